//! The forms of `outpost alert …`: active alerts, and acknowledging them.

use clap::{Args, Subcommand};

use super::options::Output;

/// `outpost alert …`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum AlertCommand {
    /// Show active alerts, and who is told of them
    Ls {
        /// Also those that ended lately
        #[arg(long)]
        all: bool,
        /// How they are printed.
        #[command(flatten)]
        output: Output,
    },
    /// Acknowledge an alert: nobody is reminded of it
    Acknowledge(OneAlert),
    /// Try out how alerts are told: queue a letter and call the webhook
    Test(Output),
}

/// An alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Args)]
pub struct OneAlert {
    /// Its number
    #[arg(value_name = "NUMBER")]
    pub id: u64,
    /// How it is printed.
    #[command(flatten)]
    pub output: Output,
}

impl AlertCommand {
    /// How its data is printed.
    pub fn output(&self) -> Output {
        match self {
            Self::Ls { output, .. } | Self::Test(output) => *output,
            Self::Acknowledge(one) => one.output,
        }
    }
}
