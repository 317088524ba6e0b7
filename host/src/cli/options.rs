//! The forms of the command line.
//!
//! Only the forms: which options there are, what they take, what excludes what. What is typed
//! wrongly is refused here with exit code 2; everything else is judged by the relay.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, ArgGroup, Args, Parser, Subcommand, ValueEnum, value_parser};

use super::alert_options::AlertCommand;
use super::audit::AuditCommand;
use super::backup::{BackupCommand, RestoreCommand};
use super::demo::DemoCommand;
use super::plugin_options::PluginCommand;
use super::queue_options::{Change, QueueCommand};
use super::route::RouteCommand;
use super::sender_options::{RefusedCommand, SendersCommand};
use super::sink::SinkCommand;
use super::stats_options::StatsCommand;
use super::user_options::UserCommand;
use crate::account::FIRST_ADMIN;

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

/// The option `--config` of a command that reads no configuration: taken there as everywhere, so that whoever runs commands
/// with it need not know which do, and not shown where it means nothing.
pub(super) fn unread_config() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .hide(true)
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
    /// See very-high mail pass a newsletter: relay and next hop in one process, drawn live
    Demo(DemoCommand),
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
    /// Who may send as an address: the users whose rules cover it
    Senders(SendersCommand),
    /// Refused senders: who tried to send as whom, and what to do about it
    #[command(subcommand)]
    Refused(RefusedCommand),
    /// The queue: what waits, why, and what to do with it
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Statistics: what came in, what became of it, and how long it took
    Stats(StatsCommand),
    /// Alerts: what somebody should look at, and who is told of it
    #[command(subcommand)]
    Alert(AlertCommand),
    /// Policy components: what is asked, and deploying it while mail goes on
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Show how mail clients connect: host, ports, encryption
    Connection(Output),
    /// Show how the relay does: health, disk, certificate, and the configuration in force without its secrets
    System(Output),
    /// Read the configuration again and put it into force, whole or not at all; no connection is dropped
    Reload(Output),
    /// Who changed what and when, the latest first
    Audit(AuditCommand),
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
                | UserCommand::Senders { output, .. }
                | UserCommand::Rm { output, .. } => *output,
                UserCommand::Show(named)
                | UserCommand::ResetPassword(named)
                | UserCommand::Enable(named)
                | UserCommand::Disable(named) => named.output,
                UserCommand::Export(_) => Output::default(),
                UserCommand::Import(command) => command.output,
            },
            Remote::Senders(command) => command.output,
            Remote::Refused(command) => command.output(),
            Remote::Alert(command) => command.output(),
            Remote::Queue(
                QueueCommand::Ls { output, .. }
                | QueueCommand::Show { output, .. }
                | QueueCommand::Undo { output, .. },
            ) => *output,
            Remote::Queue(QueueCommand::Stop(what) | QueueCommand::Start(what)) => what.output,
            Remote::Queue(_) => self.change()?.output,
            Remote::Plugin(command) => command.output(),
            Remote::Connection(output)
            | Remote::System(output)
            | Remote::Reload(output)
            | Remote::Admin(
                AdminCommand::Ls(output)
                | AdminCommand::Add { output, .. }
                | AdminCommand::Set { output, .. }
                | AdminCommand::Rm(Named { output, .. })
                | AdminCommand::ResetPassword { output, .. },
            ) => *output,
            Remote::Stats(command) => command.output,
            Remote::Audit(command) => command.output,
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
                | QueueCommand::Restore(change)
                | QueueCommand::SetPriority { change, .. }
                | QueueCommand::Reschedule { change, .. },
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

/// `outpost admin …`
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum AdminCommand {
    /// Show the admins: who may log in to the console
    Ls(Output),
    /// Make an admin; prints the password, once
    Add {
        /// The login name: who acts, in trails and logs
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// How far the admin may go
        #[arg(long, default_value = "read")]
        role: ScopeName,
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
    /// Give an admin another role
    Set {
        /// The login name
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// How far the admin may go from now on
        #[arg(long)]
        role: ScopeName,
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
    /// Remove an admin; open sessions end at once
    Rm(Named),
    /// Give an admin a new password for the console; prints it, once
    ResetPassword {
        /// The login name
        #[arg(default_value = FIRST_ADMIN, value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
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
mod tests;
