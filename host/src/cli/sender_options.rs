//! The forms of `outpost senders` and `outpost refused …`: who may send as whom, and who tried to.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};

use super::options::Output;
use crate::message::Timestamp;

/// `outpost senders`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct SendersCommand {
    /// The address
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub address: String,
    /// Users at most
    #[arg(long, value_name = "ROWS", default_value_t = 100,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub limit: u16,
    /// Go on after this page
    #[arg(long)]
    pub cursor: Option<String>,
    /// How they are printed.
    #[command(flatten)]
    pub output: Output,
}

/// `outpost refused …`
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum RefusedCommand {
    /// Show refused senders, those that were seen last first
    Ls {
        /// Only of users of this list
        #[arg(long)]
        list: Option<String>,
        /// Only of this user
        #[arg(long)]
        user: Option<String>,
        /// Only senders that contain this
        #[arg(long)]
        sender: Option<String>,
        /// Only senders of this domain
        #[arg(long)]
        domain: Option<String>,
        /// Only those that were seen then or later: 2026-11-27T08:00:00Z
        #[arg(long, value_name = "TIME", value_parser = time)]
        since: Option<Timestamp>,
        /// Rows at most
        #[arg(long, value_name = "ROWS", default_value_t = 100,
              value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
        /// Go on after this page
        #[arg(long)]
        cursor: Option<String>,
        /// How they are printed.
        #[command(flatten)]
        output: Output,
    },
    /// Show one refused sender
    Show(OneRefused),
    /// Let the user send as it from now on, and say what else that allows
    Authorize {
        /// Which one.
        #[command(flatten)]
        one: OneRefused,
        /// What is authorized: the sender alone, or its whole domain
        #[arg(long = "as", value_name = "WHAT", default_value = "sender")]
        rule: Authorized,
        /// Only say what it would come to
        #[arg(long)]
        dry_run: bool,
    },
    /// Take it from the listing; it comes again when it is refused again
    Dismiss(OneRefused),
}

impl RefusedCommand {
    /// How its data is printed.
    pub fn output(&self) -> Output {
        match self {
            Self::Ls { output, .. } => *output,
            Self::Show(one) | Self::Authorize { one, .. } | Self::Dismiss(one) => one.output,
        }
    }
}

/// A refused sender by its id.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct OneRefused {
    /// Its id, as `outpost refused ls` shows it
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub id: String,
    /// How it is printed.
    #[command(flatten)]
    pub output: Output,
}

/// What is authorized of a refused sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Authorized {
    /// The address alone.
    Sender,
    /// Any address at its domain.
    Domain,
}

fn time(text: &str) -> Result<Timestamp, &'static str> {
    Timestamp::from_rfc3339(text)
        .ok_or("it is no date with a time and an offset such as 2026-11-27T08:00:00Z")
}
