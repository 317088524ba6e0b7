//! The forms of `outpost queue`: which mail is meant, and what is done to it.

use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgAction, ArgGroup, Args, Subcommand, ValueEnum};

use super::options::Output;
use crate::message::Timestamp;

/// How a change to queued mail is typed. The whole list of filters would hide what matters.
macro_rules! usage {
    ($action:literal) => {
        concat!(
            "outpost queue ",
            $action,
            " [OPTIONS] <ID>\n       outpost queue ",
            $action,
            " [OPTIONS] <FILTERS>\n       outpost queue ",
            $action,
            " [OPTIONS] --all"
        )
    };
}

/// `outpost queue …`
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum QueueCommand {
    /// Show what is queued
    Ls {
        /// Only this message
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        id: Option<String>,
        /// Which of it.
        #[command(flatten)]
        filter: Filter,
        /// What starts within this time, by the estimate: 90s, 30m, 8h or 3d
        #[arg(long, value_name = "DURATION", value_parser = crate::config::read_duration)]
        estimate: Option<Duration>,
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
    /// Show a message with its whole trail
    Show {
        /// The id of the message
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
    /// Keep mail back until it is released
    #[command(override_usage = usage!("hold"))]
    Hold(Change),
    /// Let held mail go on
    #[command(override_usage = usage!("release"))]
    Release(Change),
    /// Try deferred mail now
    #[command(override_usage = usage!("retry"))]
    Retry(Change),
    /// Take mail out of the queue; nobody is told, and it can be restored for a while
    #[command(override_usage = usage!("cancel"))]
    Cancel(Change),
    /// Put cancelled mail back where it was
    #[command(override_usage = usage!("restore"))]
    Restore(Change),
    /// Give mail another priority
    #[command(override_usage = usage!("set-priority --priority <1-5>"))]
    SetPriority {
        /// The new priority: 1 (very high) to 5 (very low)
        #[arg(long, value_name = "1-5", value_parser = clap::value_parser!(u8).range(1..=5))]
        priority: u8,
        /// Which mail, and how.
        #[command(flatten)]
        change: Change,
    },
    /// Put back what an action has changed, and nothing else, within the hour
    Undo {
        /// The action: `undo` in what it prints with --json
        #[arg(value_name = "ACTION", value_parser = NonEmptyStringValueParser::new())]
        action: String,
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
    /// Send nothing more: of all mail, to a next hop, of a user or of a list; sends under way end
    Stop(Stoppable),
    /// Go on with what was stopped
    Start(Stoppable),
    /// Try mail at another time
    #[command(group(ArgGroup::new("when").args(["at", "delay"]).required(true)),
              override_usage = usage!("reschedule <--at <TIME>|--in <DURATION>>"))]
    Reschedule {
        /// When: a date with a time and an offset, 2026-11-27T08:00:00Z
        #[arg(long, value_name = "TIME", value_parser = time)]
        at: Option<Timestamp>,
        /// In how long: 90s, 30m, 8h or 3d
        #[arg(long = "in", value_name = "DURATION", value_parser = crate::config::read_duration)]
        delay: Option<Duration>,
        /// Which mail, and how.
        #[command(flatten)]
        change: Change,
    },
}

/// What can be stopped. Nothing given is everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
#[group(id = "stoppable", multiple = false, args = ["next_hop", "user", "list"])]
pub struct Stoppable {
    /// This next hop, as `queue ls` shows it: a domain, or "smarthost host:port"
    #[arg(long, value_name = "NEXT HOP", value_parser = NonEmptyStringValueParser::new())]
    pub next_hop: Option<String>,
    /// Mail of this user
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub user: Option<String>,
    /// Mail of the users of this list
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub list: Option<String>,
    /// Only count what waits for it
    #[arg(long)]
    pub dry_run: bool,
    /// How it is printed.
    #[command(flatten)]
    pub output: Output,
}

pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    let example = "a date with a time and an offset is expected, such as 2026-11-27T08:00:00Z";
    Timestamp::from_rfc3339(text).ok_or_else(|| example.to_owned())
}

/// Under which they stand in the help, as the usage calls them.
const FILTERS_HEADING: &str = "Filters";

/// Mail by what it is. Everything given must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
#[group(skip)]
pub struct Filter {
    /// Of this list
    #[arg(long, help_heading = FILTERS_HEADING)]
    pub list: Option<String>,
    /// Of this user
    #[arg(long, help_heading = FILTERS_HEADING)]
    pub user: Option<String>,
    /// Of this class
    #[arg(long, help_heading = FILTERS_HEADING, value_name = "1-5", value_parser = clap::value_parser!(u8).range(1..=5))]
    pub class: Option<u8>,
    /// In this state
    #[arg(long, help_heading = FILTERS_HEADING)]
    pub state: Option<State>,
    /// With this in the Subject
    #[arg(long, help_heading = FILTERS_HEADING, value_name = "TEXT")]
    pub subject: Option<String>,
    /// With this in the reverse-path
    #[arg(long, help_heading = FILTERS_HEADING, value_name = "TEXT")]
    pub sender: Option<String>,
    /// With this in a pending recipient
    #[arg(long, help_heading = FILTERS_HEADING, value_name = "TEXT")]
    pub recipient: Option<String>,
    /// To this next hop, as `queue ls` shows it, a domain or "smarthost host:port"; or to a recipient at this domain
    #[arg(long, help_heading = FILTERS_HEADING)]
    pub domain: Option<String>,
    /// After so many failed attempts, or more
    #[arg(long, help_heading = FILTERS_HEADING, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub attempts: Option<u32>,
    /// With this in what the last failed attempt was told
    #[arg(long, help_heading = FILTERS_HEADING, value_name = "TEXT")]
    pub last_reply: Option<String>,
    /// Whose time, or next try, is then or later: 2026-11-27T08:00:00Z
    #[arg(long, help_heading = FILTERS_HEADING, value_name = "TIME", value_parser = time)]
    pub due_from: Option<Timestamp>,
    /// Whose time, or next try, is before then
    #[arg(long, help_heading = FILTERS_HEADING, value_name = "TIME", value_parser = time)]
    pub due_before: Option<Timestamp>,
}

/// States of queued mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// Due, waits for its turn.
    Waiting,
    /// Not tried yet, waits for its time.
    Scheduled,
    /// Waits for its next try.
    Deferred,
    /// Waiting, scheduled or deferred, and not sent until what it is stopped with is started.
    Stopped,
    /// Kept back by an operator.
    Held,
    /// Being delivered, paused or not.
    Active,
    /// Active, and paused at this moment for a very-high message; can be listed, not acted on.
    Paused,
    /// Taken out of the queue, can be restored; shown only when it is asked for.
    Cancelled,
}

/// A change to queued mail.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Change {
    /// Which mail.
    #[command(flatten)]
    pub target: Target,
    /// Only count what it would concern
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask before changing what filters or --all name
    #[arg(long)]
    pub yes: bool,
    /// How it is printed.
    #[command(flatten)]
    pub output: Output,
}

/// Mail by what it is, as options: those of [`Filter`].
const FILTERS: [&str; 12] = [
    "list",
    "user",
    "class",
    "state",
    "subject",
    "sender",
    "recipient",
    "domain",
    "attempts",
    "last_reply",
    "due_from",
    "due_before",
];

/// One message, or all that match. Nothing given is refused: that would be everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
#[group(skip)]
pub struct Target {
    /// The id of one message
    #[arg(value_parser = NonEmptyStringValueParser::new(), conflicts_with = "all",
          conflicts_with_all = FILTERS, required_unless_present = "all",
          required_unless_present_any = FILTERS)]
    pub id: Option<String>,
    /// All that match this.
    #[command(flatten)]
    pub filter: Filter,
    /// Everything that is queued; for restore, everything that was cancelled
    #[arg(long, action = ArgAction::SetTrue, conflicts_with_all = FILTERS)]
    pub all: bool,
}
