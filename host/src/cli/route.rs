//! `outpost route`: where mail would go.

use clap::Args;
use outpost_smtp::{AddressError, Mailbox, ReversePath};

use super::options::Output;

/// Whose path is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct RouteCommand {
    /// To whom
    #[arg(required = true, value_name = "RECIPIENT", value_parser = mailbox)]
    pub recipients: Vec<Mailbox>,
    /// From whom; left out: the null reverse-path
    #[arg(long, value_name = "ADDRESS", value_parser = mailbox)]
    pub sender: Option<Mailbox>,
    /// The list of the user who would send
    #[arg(long, default_value = "default")]
    pub list: String,
    /// How it is printed
    #[command(flatten)]
    pub output: Output,
}

impl RouteCommand {
    /// The reverse-path of the message.
    pub fn reverse_path(&self) -> ReversePath {
        match &self.sender {
            Some(sender) => ReversePath::Mailbox(sender.clone()),
            None => ReversePath::Null,
        }
    }
}

fn mailbox(text: &str) -> Result<Mailbox, AddressError> {
    Mailbox::parse(text, true)
}
