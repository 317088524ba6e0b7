//! The forms of the command line.
//!
//! Only the forms: which options there are, what they take, what excludes what. What is typed
//! wrongly is refused here with exit code 2; everything else is judged by the relay.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use super::backup::{BackupCommand, RestoreCommand};
use super::queue_options::{Change, QueueCommand};
use super::route::RouteCommand;
use super::sink::SinkCommand;
use super::transfer::{ExportCommand, ImportCommand};

/// Outpost: an edge mail relay that operators extend with WebAssembly.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "outpost", version, max_term_width = 100)]
#[command(
    after_help = "With no command, outpost serves. Without a configuration file it uses \
                        built-in defaults and listens on loopback only."
)]
pub struct Cli {
    /// The configuration file
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// What to do; none serves.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What can be done.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run the relay (what outpost does with no command)
    Serve,
    /// Validate the configuration and report all mistakes at once
    Check,
    /// Show where mail would go by the configuration and DNS; nothing is sent
    Route(RouteCommand),
    /// What the running relay does.
    #[command(flatten)]
    Remote(Remote),
    /// Put a backup into an empty data folder, on a machine where no relay runs
    Restore(RestoreCommand),
    /// Receive mail as a next hop would, for tests: print, store, be slow, refuse, defer, hang
    Sink(SinkCommand),
}

/// What the running relay does, asked over its admin API.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Remote {
    /// Lists: containers for users, messages and settings
    #[command(subcommand)]
    List(ListCommand),
    /// Users: who may log in, send as whom, and how urgently
    #[command(subcommand)]
    User(UserCommand),
    /// The queue: what waits, why, and what to do with it
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Policy components
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Show how mail clients connect: host, ports, encryption
    Connection(Output),
    /// Read the configuration again and put it into force, whole or not at all; no connection is dropped
    Reload(Output),
    /// Secrets of the admin surface
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Write everything that a new machine needs, but queued mail, into one file
    Backup(BackupCommand),
}

impl Remote {
    /// How its data is printed; none for what prints no data of the API.
    pub fn output(&self) -> Option<Output> {
        Some(match self {
            Remote::List(command) => match command {
                ListCommand::Ls(output)
                | ListCommand::Add { output, .. }
                | ListCommand::Set { output, .. } => *output,
                ListCommand::Show(named) | ListCommand::Rm(named) => named.output,
            },
            Remote::User(command) => match command {
                UserCommand::Ls { output, .. }
                | UserCommand::Add { output, .. }
                | UserCommand::Set { output, .. }
                | UserCommand::Rm { output, .. } => *output,
                UserCommand::Show(named)
                | UserCommand::ResetPassword(named)
                | UserCommand::Enable(named)
                | UserCommand::Disable(named) => named.output,
                UserCommand::Export(_) => Output::default(),
                UserCommand::Import(command) => command.output,
            },
            Remote::Queue(QueueCommand::Ls { output, .. } | QueueCommand::Show { output, .. }) => {
                *output
            }
            Remote::Queue(_) => self.change()?.output,
            Remote::Plugin(
                PluginCommand::Ls(output) | PluginCommand::Reset(Named { output, .. }),
            )
            | Remote::Connection(output)
            | Remote::Reload(output)
            | Remote::Admin(AdminCommand::ResetPassword(output)) => *output,
            Remote::Backup(command) => command.output,
            Remote::Admin(AdminCommand::Token { command, output }) => {
                let own = match command {
                    None => *output,
                    Some(
                        TokenCommand::Print(output)
                        | TokenCommand::Ls(output)
                        | TokenCommand::Create { output, .. },
                    ) => *output,
                    Some(TokenCommand::Rm(named)) => named.output,
                };
                // It may stand before the last word too.
                Output {
                    json: output.json || own.json,
                }
            }
        })
    }

    /// The change to queued mail that it is, if it is one.
    pub fn change(&self) -> Option<&Change> {
        match self {
            Remote::Queue(
                QueueCommand::Hold(change)
                | QueueCommand::Release(change)
                | QueueCommand::Retry(change)
                | QueueCommand::Cancel(change)
                | QueueCommand::SetPriority { change, .. },
            ) => Some(change),
            _ => None,
        }
    }
}

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Args)]
pub struct Output {
    /// Print what the API returns
    #[arg(long)]
    pub json: bool,
}

/// `outpost list …`
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum ListCommand {
    /// Show all lists
    Ls(Output),
    /// Create a list
    Add {
        /// Its name
        name: String,
        /// What is set.
        #[command(flatten)]
        fields: ListFields,
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
    /// Show one list
    Show(Named),
    /// Change a list
    #[command(group(ArgGroup::new("change").arg("notify").required(true)))]
    Set {
        /// Its name
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// What is set.
        #[command(flatten)]
        fields: ListFields,
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
    /// Remove a list that has no users
    Rm(Named),
}

/// What `outpost user set` can change; without any of them it was not meant.
const CHANGES: [&str; 8] = [
    "rename", "list", "priority", "domains", "senders", "note", "inactive", "active",
];

/// What can be set on a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct ListFields {
    /// Where notifications go: addresses separated by ";"
    #[arg(long, value_name = "ADDRESSES")]
    pub notify: Option<String>,
}

/// One thing by its name.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Named {
    /// Its name
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// How it is printed.
    #[command(flatten)]
    pub output: Output,
}

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
        after_help = "What is not named stays. --domains and --senders replace what was there; \"\" empties them."
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

/// `outpost plugin …`
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum PluginCommand {
    /// Show the policy components in the order in which they are asked
    Ls(Output),
    /// Ask a component again that is not asked for a while because it failed
    Reset(Named),
}

/// `outpost admin …`
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum AdminCommand {
    /// Give the console a new password; prints it, once
    ResetPassword(Output),
    /// Tokens of the admin API; alone it prints the token of the data folder
    Token {
        /// What to do with tokens.
        #[command(subcommand)]
        command: Option<TokenCommand>,
        /// How the token of the data folder is printed.
        #[command(flatten)]
        output: Output,
    },
}

/// `outpost admin token …`
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum TokenCommand {
    /// Print the admin token that the first start left in the data folder
    Print(Output),
    /// Show the tokens by name and scope
    Ls(Output),
    /// Create a token; prints it, once
    Create {
        /// Its name: who acts with it, in trails and logs
        #[arg(long)]
        name: String,
        /// How far it reaches
        #[arg(long, default_value = "read")]
        scope: ScopeName,
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
    /// Remove a token; it stops at once
    Rm(Named),
}

/// How far a token reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScopeName {
    /// See everything but notes.
    Read,
    /// And act on the queue.
    Operate,
    /// And change lists, users and tokens.
    Admin,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    use super::super::queue_options::State;
    use super::*;

    fn read(line: &str) -> Result<Cli, ErrorKind> {
        let words = std::iter::once("outpost").chain(line.split_whitespace());
        let words = words.map(|word| if word == "''" { "" } else { word });
        Cli::try_parse_from(words).map_err(|error| error.kind())
    }

    fn remote(line: &str) -> Remote {
        match read(line).unwrap().command {
            Some(Command::Remote(remote)) => remote,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_forms_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_serves_and_every_command_takes_a_configuration() {
        assert_eq!(
            read("").unwrap(),
            Cli {
                config: None,
                command: None
            }
        );
        for line in [
            "",
            "serve",
            "check",
            "restore x",
            "sink",
            "list ls",
            "list add x",
            "list show x",
            "list set x --notify y",
            "list rm x",
            "user ls",
            "user add",
            "user show x",
            "user set x --active",
            "user reset-password x",
            "user enable x",
            "user disable x",
            "user export",
            "user import x",
            "user rm x",
            "queue ls",
            "queue show x",
            "queue hold x",
            "queue release x",
            "queue retry x",
            "queue cancel x",
            "queue set-priority x --priority 1",
            "plugin ls",
            "plugin reset x",
            "connection",
            "admin reset-password",
            "admin token",
            "admin token print",
            "admin token create --name x",
            "admin token ls",
            "admin token rm x",
            "backup x",
        ] {
            let after = read(&format!("{line} --config a.toml")).unwrap();
            let before = read(&format!("--config a.toml {line}")).unwrap();
            assert_eq!(
                after.config.as_deref(),
                Some(std::path::Path::new("a.toml")),
                "{line}"
            );
            assert_eq!(after, before, "{line}");
        }
    }

    #[test]
    fn what_prints_data_takes_json() {
        for line in [
            "list ls",
            "list add x",
            "list show x",
            "list set x --notify y",
            "list rm x",
            "user ls",
            "user add",
            "user show x",
            "user set x --active",
            "user reset-password x",
            "user enable x",
            "user disable x",
            "user import x",
            "user rm x",
            "queue ls",
            "queue show x",
            "queue hold x",
            "queue release x",
            "queue retry x",
            "queue cancel x",
            "queue set-priority x --priority 1",
            "plugin ls",
            "plugin reset x",
            "connection",
            "admin reset-password",
            "admin token",
            "admin token print",
            "admin token create --name x",
            "admin token ls",
            "admin token rm x",
            "backup x",
        ] {
            assert!(read(&format!("{line} --json")).is_ok(), "{line}");
        }
    }

    #[test]
    fn json_may_stand_before_or_after_what_is_done_with_tokens() {
        for line in [
            "admin token --json ls",
            "admin token ls --json",
            "admin token --json",
        ] {
            assert_eq!(remote(line).output(), Some(Output { json: true }), "{line}");
        }
        assert_eq!(
            remote("admin token ls").output(),
            Some(Output { json: false })
        );
    }

    #[test]
    fn a_user_is_described_by_options() {
        assert_eq!(
            remote(
                "user add --list ops --name app --priority 1 --domains a.example;*.b.example \
                 --senders x@c.example --note hers --inactive --json"
            ),
            Remote::User(UserCommand::Add {
                name: Some("app".into()),
                list: "ops".into(),
                fields: UserFields {
                    priority: Some(1),
                    domains: Some("a.example;*.b.example".into()),
                    senders: Some("x@c.example".into()),
                    note: Some("hers".into()),
                },
                inactive: true,
                output: Output { json: true },
            })
        );
    }

    #[test]
    fn queued_mail_is_named_by_id_or_by_filter() {
        let Remote::Queue(QueueCommand::Hold(one)) = remote("queue hold 01ABC") else {
            panic!()
        };
        assert_eq!(one.target.id.as_deref(), Some("01ABC"));
        let Remote::Queue(QueueCommand::Cancel(many)) =
            remote("queue cancel --user app --class 3 --state held --dry-run")
        else {
            panic!()
        };
        assert_eq!(many.target.filter.user.as_deref(), Some("app"));
        assert_eq!(many.target.filter.class, Some(3));
        assert_eq!(many.target.filter.state, Some(State::Held));
        assert!(many.dry_run);
    }

    #[test]
    fn what_is_typed_wrongly_is_refused() {
        let cases = [
            ("user add --priority 6", ErrorKind::ValueValidation),
            ("user add --priority high", ErrorKind::ValueValidation),
            (
                "user set x --active --inactive",
                ErrorKind::ArgumentConflict,
            ),
            ("user rm", ErrorKind::MissingRequiredArgument),
            ("user set x", ErrorKind::MissingRequiredArgument),
            ("user set x --json", ErrorKind::MissingRequiredArgument),
            ("list set x", ErrorKind::MissingRequiredArgument),
            ("user rm x --queued burn", ErrorKind::InvalidValue),
            ("queue hold", ErrorKind::MissingRequiredArgument),
            ("queue hold --dry-run", ErrorKind::MissingRequiredArgument),
            ("queue hold x --user app", ErrorKind::ArgumentConflict),
            ("queue hold --all --user app", ErrorKind::ArgumentConflict),
            ("queue set-priority x", ErrorKind::MissingRequiredArgument),
            ("queue ls --limit 0", ErrorKind::ValueValidation),
            ("queue ls --state lost", ErrorKind::InvalidValue),
            ("stats", ErrorKind::InvalidSubcommand),
            ("demo", ErrorKind::InvalidSubcommand),
            ("plugin new", ErrorKind::InvalidSubcommand),
            ("queue restore x", ErrorKind::InvalidSubcommand),
            ("serve --json", ErrorKind::UnknownArgument),
            ("user show ''", ErrorKind::InvalidValue),
            ("user set '' --active", ErrorKind::InvalidValue),
            ("user rm ''", ErrorKind::InvalidValue),
            ("list set '' --notify x", ErrorKind::InvalidValue),
            ("queue show ''", ErrorKind::InvalidValue),
            ("queue hold ''", ErrorKind::InvalidValue),
        ];
        for (line, kind) in cases {
            assert_eq!(read(line).unwrap_err(), kind, "{line}");
        }
    }
}
