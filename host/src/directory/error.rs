//! What can go wrong with the directory, by what a caller does about it.

use crate::account::FieldProblem;

/// A source of a failure, for the log.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why the directory could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The name is taken, perhaps in other case.
    #[error("there is already {} {what} named \"{name}\"", article(what))]
    Exists {
        /// `user`, `list`, `token` or `admin`.
        what: &'static str,
        /// As it stands in the directory.
        name: String,
    },
    /// There is nothing of that name.
    #[error("there is no {what} named \"{name}\"")]
    Unknown {
        /// `user`, `list`, `token` or `admin`.
        what: &'static str,
        /// As it was asked for.
        name: String,
    },
    /// It is not what whoever changes it had seen; nothing was changed.
    #[error("the {what} \"{name}\" was changed meanwhile")]
    ChangedMeanwhile {
        /// `user` or `list`.
        what: &'static str,
        /// As it stands in the directory.
        name: String,
    },
    /// What was given contradicts what is kept.
    #[error("{}", display_all(.0))]
    Invalid(Vec<FieldProblem>),
    /// A list that still has users cannot be removed.
    #[error("the list \"{list}\" still has {}", users_left(*.users))]
    NotEmpty {
        /// The list.
        list: String,
        /// How many it has.
        users: usize,
    },
    /// The list `default` cannot be removed.
    #[error("the list \"{0}\" always exists and cannot be removed")]
    Protected(String),
    /// The last admin token of scope admin cannot be removed.
    #[error("{0} is the last token of scope admin: without it nobody could make another")]
    LastAdmin(String),
    /// The last admin of role admin stays one.
    #[error(
        "{0} is the last admin of role admin: without one nobody could make another in the console"
    )]
    LastOfRole(String),
    /// No room within the limits of the directory.
    #[error("there are {max} {what} already, and there cannot be more")]
    Full {
        /// `users`, `lists`, `tokens` or `admins`.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// The disk has no room, and nothing was changed.
    #[error("the disk has no room")]
    NoRoom,
    /// The backend failed and nothing was changed; the source is for the log.
    #[error("the directory cannot be written: {0}")]
    Unavailable(#[source] BoxError),
}

/// Why the directory could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("in use by another process; is a relay running on this data folder already?")]
    InUse,
    /// A row cannot be read.
    #[error("the {row} in the directory is damaged: {problem}")]
    Damaged {
        /// Which one: `user alice@a.example`.
        row: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Written by a newer release.
    #[error("written by a newer release (form {found}, this release knows up to {known})")]
    TooNew {
        /// The form of the file.
        found: u8,
        /// The newest form that this release reads.
        known: u8,
    },
    /// The backend failed.
    #[error("the directory cannot be opened: {0}")]
    Unavailable(#[source] BoxError),
}

fn article(what: &str) -> &'static str {
    match what.starts_with('a') {
        true => "an",
        false => "a",
    }
}

fn users_left(users: usize) -> String {
    match users {
        1 => "1 user: remove it or move it to another list".to_owned(),
        more => format!("{more} users: remove them or move them to another list"),
    }
}

fn display_all(problems: &[FieldProblem]) -> String {
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    texts.join("; ")
}
