//! The forms of `outpost user …`.
//!
//! As in `options`: only the forms, nothing is judged here that the relay judges.

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use super::options::{Named, Output};
use super::transfer::{ExportCommand, ImportCommand};
use crate::account::VERY_HIGH_PER_HOUR_MAX;

/// What `outpost user set` can change; without any of them it was not meant.
const CHANGES: [&str; 11] = [
    "rename",
    "list",
    "priority",
    "domains",
    "senders",
    "note",
    "carriers",
    "ceiling",
    "very_high_per_hour",
    "inactive",
    "active",
];

/// `outpost user …`
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum UserCommand {
    /// Show all users, disabled ones included
    Ls {
        /// Only users of this list
        #[arg(long)]
        list: Option<String>,
        /// Go on after this page
        #[arg(long)]
        cursor: Option<String>,
        /// How they are printed.
        #[command(flatten)]
        output: Output,
    },
    /// Create a user; prints name and password, once
    Add {
        /// The name to log in with; made up when left out
        #[arg(long)]
        name: Option<String>,
        /// The list that it belongs to
        #[arg(long, default_value = "default")]
        list: String,
        /// What is set.
        #[command(flatten)]
        fields: UserFields,
        /// Create it disabled
        #[arg(long)]
        inactive: bool,
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
    /// Show one user
    Show(Named),
    /// Change a user
    #[command(
        group(ArgGroup::new("change").args(CHANGES).required(true).multiple(true)),
        after_help = "What is not named stays. --domains, --senders and --carriers replace what was there; \"\" empties them."
    )]
    Set {
        /// Its name
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// Give it another name
        #[arg(long = "name", value_name = "NAME")]
        rename: Option<String>,
        /// Move it to this list
        #[arg(long)]
        list: Option<String>,
        /// What is set.
        #[command(flatten)]
        fields: UserFields,
        /// Disable it
        #[arg(long)]
        inactive: bool,
        /// Enable it
        #[arg(long, conflicts_with = "inactive")]
        active: bool,
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
    /// Show what a user may send as, and with --as what the policy components say about one address
    Senders {
        /// Its name
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// Ask the components whether it may send as this address
        #[arg(long = "as", value_name = "ADDRESS", value_parser = NonEmptyStringValueParser::new())]
        sender: Option<String>,
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
    /// Give a user a new password; prints it, once; the old one stops at once
    ResetPassword(Named),
    /// Let a user log in again
    Enable(Named),
    /// Keep a user from logging in and end its open sessions
    Disable(Named),
    /// Write lists and users, without any secret, as a JSON object a line
    Export(ExportCommand),
    /// Make the lists and users of an export; prints the passwords of new users, once
    Import(ImportCommand),
    /// Remove a user
    Rm {
        /// Its name
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// What becomes of its queued mail; needed when there is some
        #[arg(long)]
        queued: Option<QueuedMail>,
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
}

/// What can be set on a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct UserFields {
    /// How urgent its mail is: 1 (very high) to 5 (very low); a new user has 3
    #[arg(long, value_name = "1-5", value_parser = clap::value_parser!(u8).range(1..=5))]
    pub priority: Option<u8>,
    /// Domains that it may send as, separated by ";": "a.example;*.b.example"
    #[arg(long)]
    pub domains: Option<String>,
    /// Addresses that it may send as, separated by ";": "x@c.example;y@c.example"
    #[arg(long)]
    pub senders: Option<String>,
    /// A note for administrators; it never leaves the relay
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Carriers of a priority that count, separated by ";": "MT-PRIORITY;X-Priority"; all for any of them, "" for none
    #[arg(long, value_name = "CARRIERS|all")]
    pub carriers: Option<String>,
    /// The most urgent class that its mail may have: 1 to 5; none for any
    #[arg(long, value_name = "1-5|none", value_parser = number_or_none::<1, 5>)]
    pub ceiling: Option<Limit>,
    /// How many very-high messages it has in an hour, and at once; more are accepted as high; none for any number
    #[arg(long, value_name = "N|none", value_parser = number_or_none::<1, { VERY_HIGH_PER_HOUR_MAX }>)]
    pub very_high_per_hour: Option<Limit>,
}

/// A limit that may be taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// None.
    Unlimited,
    /// So many.
    To(u32),
}

/// `none`, or a number within these bounds.
fn number_or_none<const MIN: u32, const MAX: u32>(text: &str) -> Result<Limit, String> {
    if text == "none" {
        return Ok(Limit::Unlimited);
    }
    text.parse()
        .ok()
        .filter(|number| (MIN..=MAX).contains(number))
        .map(Limit::To)
        .ok_or_else(|| format!("it is neither {MIN} to {MAX} nor none"))
}

/// What becomes of the queued mail of a user that is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum QueuedMail {
    /// It is delivered.
    Deliver,
    /// It is held until somebody releases it.
    Hold,
    /// It is cancelled.
    Cancel,
}
