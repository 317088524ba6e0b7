//! The forms of `outpost plugin …`.
//!
//! As in `options`: only the forms, nothing is judged here that the relay judges.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};

use super::options::{Named, Output};

/// `outpost plugin …`
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum PluginCommand {
    /// Show the policy components in the order in which they are asked
    Ls(Output),
    /// Show one component, with its settings and the versions that are kept
    Show(Named),
    /// Deploy a component: a new one, or the next version of the one of that name
    #[command(
        after_help = "It is checked whole before it is in force, for the mail that begins from then on; no connection is \
        dropped. What is not named stays as it is. --set replaces all settings that were there; --set \"\" empties them."
    )]
    Install(InstallCommand),
    /// Have a component asked again that was disabled
    Enable(ChangeOne),
    /// Have a component not asked any more, until it is enabled
    Disable(ChangeOne),
    /// Put the version of a component into force that was before, or another one that is kept
    Rollback {
        /// Which component, and how.
        #[command(flatten)]
        change: ChangeOne,
        /// The version of this digest; its first 8 digits are enough
        #[arg(long, value_name = "DIGEST")]
        to: Option<String>,
        /// The version of this number; 0 is what the configuration says
        #[arg(long, value_name = "NUMBER", conflicts_with = "to")]
        to_version: Option<u32>,
    },
    /// Have the components asked in this order
    Order {
        /// The names of all of them, disabled ones too
        #[arg(required = true, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
        names: Vec<String>,
        /// How it is done.
        #[command(flatten)]
        how: How,
    },
    /// Remove all that was deployed under a name; where the configuration names it, that is in force again
    Rm(ChangeOne),
    /// Ask a component again that is not asked for a while because it failed
    Reset(Named),
}

/// `outpost plugin install …`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct InstallCommand {
    /// The component, a .wasm file
    pub file: PathBuf,
    /// Its name; that of the file when left out
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// What it means that it gives no answer
    #[arg(long)]
    pub on_failure: Option<OnFailureName>,
    /// empty: it is given a WASI without files, network and environment
    #[arg(long)]
    pub wasi: Option<WasiName>,
    /// Transactions that one instance serves at most
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub reuse: Option<u32>,
    /// A setting of its own; comes again for each
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Its place among all, counted from 1; a new one is asked last when left out
    #[arg(long, value_name = "PLACE", value_parser = clap::value_parser!(u32).range(1..))]
    pub position: Option<u32>,
    /// What is to be remembered about this version
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// How it is done.
    #[command(flatten)]
    pub how: How,
}

/// One component by its name, and how it is changed.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ChangeOne {
    /// Its name
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// How it is done.
    #[command(flatten)]
    pub how: How,
}

/// How the chain is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct How {
    /// Check everything, change nothing, and show what would be
    #[arg(long)]
    pub dry_run: bool,
    /// Only when this is the revision of the chain, as `plugin ls --json` shows it
    #[arg(long, value_name = "REVISION", value_parser = NonEmptyStringValueParser::new())]
    pub revision: Option<String>,
    /// How it is printed.
    #[command(flatten)]
    pub output: Output,
}

/// What a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnFailureName {
    /// The client is asked to come back.
    Defer,
    /// The answer is no.
    Refuse,
    /// No opinion.
    Skip,
}

/// What a component is given of WASI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WasiName {
    /// Nothing.
    Refused,
    /// One without files, network and environment.
    Empty,
}

impl PluginCommand {
    /// How its data is printed.
    pub fn output(&self) -> Output {
        match self {
            PluginCommand::Ls(output) => *output,
            PluginCommand::Show(named) | PluginCommand::Reset(named) => named.output,
            PluginCommand::Install(InstallCommand { how, .. })
            | PluginCommand::Order { how, .. }
            | PluginCommand::Enable(ChangeOne { how, .. })
            | PluginCommand::Disable(ChangeOne { how, .. })
            | PluginCommand::Rm(ChangeOne { how, .. }) => how.output,
            PluginCommand::Rollback { change, .. } => change.how.output,
        }
    }
}
