//! What a command asks of the relay: method, path and document.
//!
//! Nothing is judged here; the relay does that, in words that the command line repeats.

mod admin;
mod plugin;
mod queue;
mod senders;

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::alert_options::AlertCommand;
use super::audit;
use super::options::{AdminCommand, ListCommand, ListFields, Remote, TokenCommand};
use super::stats_options::StatsCommand;
use super::user_options::{Limit, QueuedMail, UserCommand, UserFields};
use crate::account::Items;
use crate::admin::client::Ask;
use crate::admin::items::ItemsInput;
use crate::admin::lists::{ListChangeInput, ListInput};
use crate::admin::users::UserInput;
use crate::admin::within_path;

/// What a command comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Ask this, show the answer.
    Ask(Ask),
    /// Ask how much it would concern, perhaps ask the person, then do it.
    Change {
        /// Counts only.
        count: Ask,
        /// Does it.
        act: Ask,
        /// Whether it can concern more than one message, however many match when they are counted.
        is_bulk: bool,
    },
    /// Print the token of the data folder; the relay is not asked.
    PrintToken,
    /// Ask this, write the answer into a file.
    Save(Ask),
    /// Ask this with what is in a file, show the answer.
    Send {
        /// What is asked.
        ask: Ask,
        /// The file.
        file: PathBuf,
    },
}

/// What `remote` comes to.
pub(super) fn plan(remote: &Remote) -> Plan {
    match remote {
        Remote::List(command) => Plan::Ask(list(command)),
        Remote::User(command) => Plan::Ask(user(command)),
        Remote::Senders(command) => Plan::Ask(senders::of_address(command)),
        Remote::Refused(command) => Plan::Ask(senders::refused(command)),
        Remote::Queue(command) => queue::plan(command),
        Remote::Alert(command) => Plan::Ask(alert(*command)),
        Remote::Stats(command) => Plan::Ask(stats(command)),
        Remote::Plugin(command) => plugin::plan(command),
        Remote::Connection(_) => Plan::Ask(Ask::get("/api/v1/connection")),
        Remote::System(_) => Plan::Ask(Ask::get("/api/v1/system")),
        Remote::Reload(_) => Plan::Ask(Ask::post("/api/v1/reload", None)),
        Remote::Audit(command) => Plan::Ask(audit::ask(command)),
        Remote::Backup(_) => Plan::Save(Ask::get("/api/v1/backup")),
        Remote::Admin(AdminCommand::Token {
            command: None | Some(TokenCommand::Print(_)),
            ..
        }) => Plan::PrintToken,
        Remote::Admin(command) => Plan::Ask(admin::ask(command)),
    }
}

fn alert(command: AlertCommand) -> Ask {
    match command {
        AlertCommand::Ls { all: true, .. } => Ask::get("/api/v1/alerts"),
        AlertCommand::Ls { .. } => Ask::get("/api/v1/alerts?state=active"),
        AlertCommand::Acknowledge(one) => {
            Ask::post(format!("/api/v1/alerts/{}/acknowledge", one.id), None)
        }
        AlertCommand::Test(_) => Ask::post("/api/v1/alerts/test", None),
    }
}

fn list(command: &ListCommand) -> Ask {
    match command {
        ListCommand::Ls(_) => Ask::get("/api/v1/lists"),
        ListCommand::Add { name, fields, .. } => {
            let input = ListInput {
                name: name.clone(),
                notify: notify(fields),
            };
            Ask::post("/api/v1/lists", Some(document(&input)))
        }
        ListCommand::Show(named) => Ask::get(list_path(&named.name)),
        ListCommand::Set { name, fields, .. } => Ask::patch(
            list_path(name),
            document(&ListChangeInput {
                notify: notify(fields),
            }),
        ),
        ListCommand::Rm(named) => Ask::delete(list_path(&named.name)),
    }
}

fn user(command: &UserCommand) -> Ask {
    match command {
        UserCommand::Ls { list, cursor, .. } => {
            let query = [("list", list.as_deref()), ("cursor", cursor.as_deref())];
            Ask::get(with_query("/api/v1/users", &query))
        }
        UserCommand::Add {
            name,
            list,
            fields,
            inactive,
            ..
        } => {
            let input = UserInput {
                name: name.clone(),
                list: Some(list.clone()),
                active: inactive.then_some(false),
                ..user_input(fields)
            };
            Ask::post("/api/v1/users", Some(document(&input)))
        }
        UserCommand::Show(named) => Ask::get(user_path(&named.name)),
        UserCommand::Set {
            name,
            rename,
            list,
            fields,
            inactive,
            active,
            ..
        } => {
            let input = UserInput {
                name: rename.clone(),
                list: list.clone(),
                active: active.then_some(true).or(inactive.then_some(false)),
                ..user_input(fields)
            };
            Ask::patch(user_path(name), document(&input))
        }
        UserCommand::Senders { name, sender, .. } => senders::of_user(name, sender.as_deref()),
        UserCommand::ResetPassword(named) => {
            Ask::post(format!("{}/password", user_path(&named.name)), None)
        }
        UserCommand::Enable(named) => switch(&named.name, true),
        UserCommand::Disable(named) => switch(&named.name, false),
        // What both begin with; `transfer` asks the rest.
        UserCommand::Export(_) | UserCommand::Import(_) => Ask::get("/api/v1/users"),
        UserCommand::Rm { name, queued, .. } => {
            let queued = queued.map(|choice| match choice {
                QueuedMail::Deliver => "deliver",
                QueuedMail::Hold => "hold",
                QueuedMail::Cancel => "cancel",
            });
            Ask::delete(with_query(&user_path(name), &[("queued", queued)]))
        }
    }
}

fn stats(command: &StatsCommand) -> Ask {
    let since = command.since.map(|since| since.to_string());
    let until = command.until.map(|until| until.to_string());
    let class = command.class.map(|class| class.to_string());
    let limit = command.limit.to_string();
    let query = [
        ("by", command.by.as_deref()),
        ("since", since.as_deref()),
        ("until", until.as_deref()),
        ("list", command.list.as_deref()),
        ("user", command.user.as_deref()),
        ("class", class.as_deref()),
        ("destination", command.destination.as_deref()),
        ("campaign", command.campaign.as_deref()),
        ("most", command.most.as_deref()),
        ("limit", Some(limit.as_str())),
        ("cursor", command.cursor.as_deref()),
        ("format", command.csv.then_some("csv")),
    ];
    Ask::get(with_query("/api/v1/statistics", &query))
}

fn switch(name: &str, active: bool) -> Ask {
    Ask::patch(
        user_path(name),
        document(&UserInput {
            active: Some(active),
            ..UserInput::default()
        }),
    )
}

fn user_input(fields: &UserFields) -> UserInput {
    let items = |text: &Option<String>| text.clone().map(|text| ItemsInput(Items::Text(text)));
    UserInput {
        priority: fields.priority.map(i64::from),
        note: fields.note.clone(),
        authorized_domains: items(&fields.domains),
        authorized_senders: items(&fields.senders),
        trusted_carriers: fields.carriers.as_ref().map(|text| {
            let some = !text.eq_ignore_ascii_case("all");
            some.then(|| ItemsInput(Items::Text(text.clone())))
        }),
        priority_ceiling: fields.ceiling.map(limit),
        very_high_per_hour: fields.very_high_per_hour.map(limit),
        ..UserInput::default()
    }
}

fn limit(limit: Limit) -> Option<i64> {
    match limit {
        Limit::Unlimited => None,
        Limit::To(number) => Some(number.into()),
    }
}

fn notify(fields: &ListFields) -> Option<ItemsInput> {
    fields
        .notify
        .clone()
        .map(|text| ItemsInput(Items::Text(text)))
}

fn list_path(name: &str) -> String {
    format!("/api/v1/lists/{}", within_path(name))
}

fn user_path(name: &str) -> String {
    format!("/api/v1/users/{}", within_path(name))
}

pub(super) fn with_query(path: &str, query: &[(&str, Option<&str>)]) -> String {
    let mut whole = path.to_owned();
    let mut separator = '?';
    for (name, value) in query {
        if let Some(value) = value {
            write!(whole, "{separator}{name}={}", within_path(value))
                .expect("writing to a string does not fail");
            separator = '&';
        }
    }
    whole
}

fn document(input: &impl Serialize) -> Value {
    serde_json::to_value(input).expect("texts, numbers and lists always serialize")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser as _;

    use super::*;
    use crate::cli::options::{Cli, Command};

    pub(super) fn planned(line: &[&str]) -> Plan {
        let words = std::iter::once("outpost").chain(line.iter().copied());
        match Cli::try_parse_from(words).unwrap().command {
            Some(Command::Remote(remote)) => plan(&remote),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_command_is_one_request() {
        let cases: &[(&[&str], &str)] = &[
            (
                &["user", "set", "x", "--carriers", "all", "--ceiling", "none"],
                r#"PATCH /api/v1/users/x {"priority_ceiling":null,"trusted_carriers":null}"#,
            ),
            (
                &[
                    "user",
                    "set",
                    "x",
                    "--carriers",
                    "",
                    "--very-high-per-hour",
                    "9",
                ],
                r#"PATCH /api/v1/users/x {"trusted_carriers":"","very_high_per_hour":9}"#,
            ),
            (&["list", "ls"], "GET /api/v1/lists"),
            (
                &["list", "add", "ops", "--notify", "a@x.example;b@x.example"],
                r#"POST /api/v1/lists {"name":"ops","notify":"a@x.example;b@x.example"}"#,
            ),
            (
                &["list", "add", "ops"],
                r#"POST /api/v1/lists {"name":"ops"}"#,
            ),
            (&["list", "show", "a/b"], "GET /api/v1/lists/a%2Fb"),
            (
                &["list", "set", "ops", "--notify", ""],
                r#"PATCH /api/v1/lists/ops {"notify":""}"#,
            ),
            (&["list", "rm", "ops"], "DELETE /api/v1/lists/ops"),
            (&["user", "ls"], "GET /api/v1/users"),
            (
                &["user", "ls", "--list", "o p"],
                "GET /api/v1/users?list=o%20p",
            ),
            (&["user", "add"], r#"POST /api/v1/users {"list":"default"}"#),
            (
                &[
                    "user",
                    "add",
                    "--list",
                    "ops",
                    "--name",
                    "app",
                    "--priority",
                    "1",
                    "--domains",
                    "a.example;*.b.example",
                    "--senders",
                    "x@c.example",
                    "--note",
                    "n",
                    "--inactive",
                ],
                r#"POST /api/v1/users {"active":false,"authorized_domains":"a.example;*.b.example","authorized_senders":"x@c.example","list":"ops","name":"app","note":"n","priority":1}"#,
            ),
            (
                &["user", "show", "app@a.example"],
                "GET /api/v1/users/app@a.example",
            ),
            (
                &["user", "set", "app", "--priority", "5"],
                r#"PATCH /api/v1/users/app {"priority":5}"#,
            ),
            (
                &[
                    "user", "set", "app", "--name", "new", "--list", "ops", "--active",
                ],
                r#"PATCH /api/v1/users/app {"active":true,"list":"ops","name":"new"}"#,
            ),
            (
                &["user", "set", "app", "--inactive"],
                r#"PATCH /api/v1/users/app {"active":false}"#,
            ),
            (
                &["user", "reset-password", "app"],
                "POST /api/v1/users/app/password",
            ),
            (
                &["user", "enable", "app"],
                r#"PATCH /api/v1/users/app {"active":true}"#,
            ),
            (
                &["user", "disable", "app"],
                r#"PATCH /api/v1/users/app {"active":false}"#,
            ),
            (&["user", "rm", "app"], "DELETE /api/v1/users/app"),
            (
                &["user", "rm", "app", "--queued", "hold"],
                "DELETE /api/v1/users/app?queued=hold",
            ),
            (&["queue", "ls"], "GET /api/v1/queue?limit=100"),
            (
                &[
                    "queue",
                    "ls",
                    "--list",
                    "ops",
                    "--user",
                    "app",
                    "--class",
                    "2",
                    "--state",
                    "held",
                    "--id",
                    "01ABC",
                    "--subject",
                    "r=s",
                    "--sender",
                    "a&b",
                    "--recipient",
                    "x+y",
                    "--domain",
                    "b.example",
                    "--attempts",
                    "3",
                    "--last-reply",
                    "451 4",
                    "--due-from",
                    "2026-11-27T09:00:00+01:00",
                    "--due-before",
                    "2026-11-28T00:00:00Z",
                    "--estimate",
                    "2m",
                    "--limit",
                    "7",
                    "--cursor",
                    "c",
                ],
                "GET /api/v1/queue?id=01ABC&list=ops&user=app&class=2&state=held&subject=r%3Ds&sender=a%26b\
                 &recipient=x%2By&domain=b.example&attempts=3&last_reply=451%204\
                 &due_from=2026-11-27T08%3A00%3A00.000Z&due_before=2026-11-28T00%3A00%3A00.000Z\
                 &estimate_seconds=120&limit=7&cursor=c",
            ),
            (&["queue", "show", "01ABC"], "GET /api/v1/messages/01ABC"),
            (&["queue", "stop"], "POST /api/v1/queue/stop {}"),
            (
                &["queue", "stop", "--next-hop", "smarthost 127.0.0.1:2500"],
                r#"POST /api/v1/queue/stop {"next_hop":"smarthost 127.0.0.1:2500"}"#,
            ),
            (
                &["queue", "start", "--list", "news", "--dry-run"],
                r#"POST /api/v1/queue/start {"dry_run":true,"list":"news"}"#,
            ),
            (&["stats"], "GET /api/v1/statistics?limit=1000"),
            (
                &[
                    "stats",
                    "--by",
                    "day,class",
                    "--since",
                    "2026-11-01T00:00:00Z",
                    "--until",
                    "2026-12-01T01:00:00+01:00",
                    "--list",
                    "ops",
                    "--class",
                    "2",
                    "--limit",
                    "9",
                    "--cursor",
                    "c",
                    "--csv",
                ],
                "GET /api/v1/statistics?by=day%2Cclass&since=2026-11-01T00%3A00%3A00.000Z\
                 &until=2026-12-01T00%3A00%3A00.000Z&list=ops&class=2&limit=9&cursor=c&format=csv",
            ),
            (
                &[
                    "stats",
                    "--by",
                    "user",
                    "--user",
                    "(relay)",
                    "--destination",
                    "a.example",
                    "--campaign",
                    "a b",
                    "--most",
                    "sent",
                ],
                "GET /api/v1/statistics?by=user&user=%28relay%29&destination=a.example&campaign=a%20b&most=sent&limit=1000",
            ),
            (&["plugin", "ls"], "GET /api/v1/plugins"),
            (
                &["plugin", "reset", "quota"],
                "POST /api/v1/plugins/quota/reset",
            ),
            (&["audit"], "GET /api/v1/audit?limit=100"),
            (
                &[
                    "audit",
                    "--since",
                    "2026-11-27T09:00:00+01:00",
                    "--until",
                    "2026-11-28T00:00:00Z",
                    "--by",
                    "boss",
                    "--action",
                    "change-user",
                    "--user",
                    "a&b",
                    "--list",
                    "ops",
                    "--limit",
                    "7",
                    "--cursor",
                    "c",
                ],
                "GET /api/v1/audit?since=2026-11-27T08%3A00%3A00.000Z&until=2026-11-28T00%3A00%3A00.000Z\
                 &by=boss&action=change-user&user=a%26b&list=ops&limit=7&cursor=c",
            ),
            (&["connection"], "GET /api/v1/connection"),
            (&["system"], "GET /api/v1/system"),
            (&["admin", "ls"], "GET /api/v1/admins"),
            (
                &["admin", "add", "ann@a.example", "--role", "operate"],
                r#"POST /api/v1/admins {"name":"ann@a.example","role":"operate"}"#,
            ),
            (
                &["admin", "set", "ann", "--role", "admin"],
                r#"PATCH /api/v1/admins/ann {"role":"admin"}"#,
            ),
            (&["admin", "rm", "ann"], "DELETE /api/v1/admins/ann"),
            (
                &["admin", "reset-password"],
                "POST /api/v1/admins/admin/password",
            ),
            (
                &["admin", "reset-password", "ann"],
                "POST /api/v1/admins/ann/password",
            ),
            (&["admin", "token", "ls"], "GET /api/v1/tokens"),
            (
                &["admin", "token", "create", "--name", "grafana"],
                r#"POST /api/v1/tokens {"name":"grafana","scope":"read"}"#,
            ),
            (
                &["admin", "token", "rm", "grafana"],
                "DELETE /api/v1/tokens/grafana",
            ),
        ];
        for (line, expected) in cases {
            match planned(line) {
                Plan::Ask(ask) => assert_eq!(ask.to_string(), *expected, "{line:?}"),
                other => panic!("{line:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_token_of_the_data_folder_needs_no_relay() {
        assert_eq!(planned(&["admin", "token"]), Plan::PrintToken);
        assert_eq!(planned(&["admin", "token", "print"]), Plan::PrintToken);
    }
}
