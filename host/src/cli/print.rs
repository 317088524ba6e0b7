//! Answers of the relay as people read them.

mod alerts;
mod changed;
mod plugins;
mod queue;
mod senders;
mod statistics;
mod system;

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::de::DeserializeOwned;
use serde_json::Value;

pub(super) use self::changed::question;
use super::alert_options::AlertCommand;
use super::audit;
use super::backup;
use super::options::{AdminCommand, ListCommand, Remote, TokenCommand};
use super::plugin_options::PluginCommand;
use super::queue_options::QueueCommand;
use super::sender_options::RefusedCommand;
use super::text::{Table, cut, deliveries, facts, items};
use super::user_options::UserCommand;
use crate::admin::Removed;
use crate::admin::admins::{AdminDocument, AdminsDocument, NewAdminDocument};
use crate::admin::connection::{Certificate, Connection};
use crate::admin::lists::{ListDocument, ListsDocument};
use crate::admin::problem::{FieldError, Problem};
use crate::admin::reload::{Reloaded, Remark};
use crate::admin::removal::{QueuedMailChoice, RemovedUser};
use crate::admin::tokens::{NewTokenDocument, TokensDocument};
use crate::admin::users::{NewUserDocument, PasswordDocument, UserDocument, UsersDocument};
use crate::message::Class;
use crate::message::wording::{class_text, printable};

/// What the relay answered to `remote`, in words.
///
/// # Errors
/// The document is not what was asked for: a relay of another version, most likely.
pub(super) fn answer(remote: &Remote, document: Value) -> Result<String, serde_json::Error> {
    Ok(match remote {
        Remote::List(ListCommand::Ls(_)) => lists(&read(document)?),
        Remote::List(ListCommand::Rm(_)) => removed("list", &read(document)?),
        Remote::List(_) => list(&read(document)?),
        Remote::User(UserCommand::Ls { list, .. }) => users(&read(document)?, list.as_deref()),
        Remote::User(UserCommand::Add { .. }) => new_user(&read(document)?),
        Remote::User(UserCommand::ResetPassword(_)) => new_password(&read(document)?),
        Remote::User(UserCommand::Rm { .. }) => removed_user(&read(document)?),
        Remote::User(UserCommand::Senders { .. }) => senders::of_user(&read(document)?),
        Remote::User(_) => user(&read(document)?),
        Remote::Senders(_) => senders::of_address(&read(document)?),
        Remote::Refused(command) => match command {
            RefusedCommand::Ls { .. } => senders::refused(&read(document)?),
            RefusedCommand::Show(_) => senders::one(&read(document)?),
            RefusedCommand::Authorize { .. } => senders::authorized(&read(document)?),
            RefusedCommand::Dismiss(_) => {
                format!(
                    "{} is dismissed\n",
                    printable(&read::<Removed>(document)?.removed)
                )
            }
        },
        Remote::Queue(QueueCommand::Ls {
            id,
            filter,
            estimate,
            ..
        }) => {
            let is_part = id.is_some() || estimate.is_some();
            queue::queue(&read(document)?, filter, is_part)
        }
        Remote::Queue(QueueCommand::Show { .. }) => queue::message(&read(document)?),
        Remote::Queue(QueueCommand::Stop(_)) => queue::stopped(&read(document)?),
        Remote::Queue(QueueCommand::Start(_)) => queue::started(&read(document)?),
        Remote::Alert(command) => match command {
            AlertCommand::Ls { .. } => alerts::alerts(&read(document)?),
            AlertCommand::Acknowledge(_) => alerts::table(&[read(document)?]),
            AlertCommand::Test(_) => alerts::tried(&read(document)?),
        },
        Remote::Stats(_) => statistics::statistics(&read(document)?),
        Remote::Queue(_) => queue::changed(&read(document)?, remote.change()),
        Remote::Plugin(PluginCommand::Ls(_)) => plugins::plugins(&read(document)?),
        Remote::Plugin(PluginCommand::Show(_)) => plugins::plugin(&read(document)?),
        Remote::Plugin(PluginCommand::Reset(_)) => plugins::table(&[read(document)?]),
        Remote::Plugin(_) => plugins::changed(&read(document)?),
        Remote::Audit(_) => audit::print(&read(document)?),
        Remote::Backup(_) => backup::saved(&read(document)?),
        Remote::Connection(_) => connection(&read(document)?),
        Remote::System(_) => system::system(&read(document)?),
        Remote::Reload(_) => reloaded(&read(document)?),
        Remote::Admin(AdminCommand::Ls(_)) => admins(&read::<AdminsDocument>(document)?.admins),
        Remote::Admin(AdminCommand::Set { .. }) => admins(&[read(document)?]),
        Remote::Admin(AdminCommand::Rm(_)) => removed("admin", &read(document)?),
        Remote::Admin(AdminCommand::Add { .. } | AdminCommand::ResetPassword { .. }) => {
            new_admin(&read(document)?)
        }
        Remote::Admin(AdminCommand::Token { command, .. }) => match command {
            Some(TokenCommand::Create { .. }) => new_token(&read(document)?),
            Some(TokenCommand::Rm(_)) => removed("token", &read(document)?),
            _ => tokens(&read(document)?),
        },
    })
}

/// A refusal, a line for each field, under the name of the option that sets it.
pub(super) fn refusal(problem: &Problem) -> Vec<String> {
    if let Some(queued) = problem.queued
        && !problem.choices.is_empty()
    {
        return vec![format!(
            "{} of this user {} queued: say what becomes of the mail with --queued {}",
            deliveries(queued),
            if queued == 1 { "is" } else { "are" },
            printable(&problem.choices.join(", --queued "))
        )];
    }
    if problem.errors.is_empty() {
        return vec![printable(&problem.detail).into_owned()];
    }
    if problem.kind.ends_with(":invalid-configuration") {
        let mistakes = problem.errors.iter().map(mistake);
        let detail = printable(&problem.detail).into_owned();
        return mistakes.chain([detail]).collect();
    }
    let line = |error: &FieldError| match error.field.as_str() {
        // What is typed by itself, with no option before it; the words name it.
        "id" | "address" => printable(&error.detail).into_owned(),
        field => format!("{}: {}", option(field), printable(&error.detail)),
    };
    problem.errors.iter().map(line).collect()
}

/// A mistake in the configuration, as `outpost check` tells it.
fn mistake(error: &FieldError) -> String {
    let remark = Remark {
        line: error.line,
        key: error.field.clone(),
        text: error.detail.clone(),
    };
    printable(&remark.to_string()).into_owned()
}

/// The option that sets a field; a field that is no option stands for itself.
fn option(field: &str) -> Cow<'_, str> {
    let name = match field {
        "authorized_domains" => "domains",
        "authorized_senders" => "senders",
        "next_hop" => "next-hop",
        "after_seconds" => "in",
        "trusted_carriers" => "carriers",
        "priority_ceiling" => "ceiling",
        "very_high_per_hour" => "very-high-per-hour",
        "on_failure" => "on-failure",
        "setting" => "set",
        "digest" => "to",
        "version" => "to-version",
        "at" | "notify" | "priority" | "note" | "list" | "scope" | "cursor" | "user" | "class"
        | "state" | "sender" | "recipient" | "domain" | "as" | "by" | "since" | "until"
        | "destination" | "campaign" | "most" | "limit" | "wasi" | "position" => field,
        _ => return printable(field),
    };
    Cow::Owned(format!("--{name}"))
}

fn read<T: DeserializeOwned>(document: Value) -> Result<T, serde_json::Error> {
    serde_json::from_value(document)
}

fn lists(document: &ListsDocument) -> String {
    let mut table = Table::new(&["NAME", "USERS", "ACTIVE", "NOTIFY"]);
    for list in &document.lists {
        table.row(vec![
            list.name.clone(),
            list.users.to_string(),
            list.active_users.to_string(),
            items(&list.notify),
        ]);
    }
    table.or("no lists")
}

fn list(list: &ListDocument) -> String {
    facts(&[
        ("name", list.name.clone()),
        ("notify", items(&list.notify)),
        (
            "users",
            format!("{}, {} of them active", list.users, list.active_users),
        ),
        ("created", list.created.clone()),
        ("changed", list.changed.clone()),
    ])
}

fn users(document: &UsersDocument, list: Option<&str>) -> String {
    let mut table = Table::new(&["NAME", "LIST", "STATE", "PRIORITY", "MAY SEND AS"]);
    for user in &document.users {
        let rules = [
            user.authorized_domains.as_slice(),
            user.authorized_senders.as_slice(),
        ]
        .concat();
        let rules = if rules.is_empty() {
            "nobody".to_owned()
        } else {
            cut(&rules.join(";"), 60)
        };
        table.row(vec![
            user.name.clone(),
            user.list.clone(),
            state(user).to_owned(),
            priority(user.priority),
            rules,
        ]);
    }
    let mut text = table.or(&match list {
        None => "no users".to_owned(),
        Some(list) => format!("the list \"{}\" has no users", printable(list)),
    });
    more(&mut text, document.cursor.as_deref());
    text
}

fn user(user: &UserDocument) -> String {
    let mut lines = vec![
        ("name", user.name.clone()),
        ("list", user.list.clone()),
        ("state", state(user).to_owned()),
        ("priority", priority(user.priority)),
        ("domains", items(&user.authorized_domains)),
        ("senders", items(&user.authorized_senders)),
    ];
    lines.extend(limits(user));
    if let Some(note) = user.note.as_ref().filter(|note| !note.is_empty()) {
        lines.push(("note", note.clone()));
    }
    lines.extend([
        ("created", user.created.clone()),
        ("changed", user.changed.clone()),
        ("password set", user.password_changed.clone()),
        (
            "last login",
            user.last_login
                .clone()
                .unwrap_or_else(|| "never".to_owned()),
        ),
    ]);
    if let Some(queued) = user.queued.filter(|queued| *queued > 0) {
        lines.push(("queued", deliveries(queued)));
    }
    if user.refused > 0 {
        let times = senders::times(user.refused);
        let list = format!("{times}: outpost refused ls --user {}", user.name);
        lines.push(("refused", list));
    }
    let mut text = facts(&lines);
    warn(&mut text, user.warning.as_deref());
    text
}

/// What bounds the urgency of a user's mail; nothing where nothing does.
fn limits(user: &UserDocument) -> Vec<(&'static str, String)> {
    let carriers = user.trusted_carriers.as_ref();
    let carriers = carriers.map(|carriers| ("carriers", items(carriers)));
    let ceiling = user.priority_ceiling;
    let ceiling = ceiling.map(|number| ("ceiling", priority(number)));
    let budget = user.very_high_per_hour.map(|per_hour| {
        let left = user.very_high_left.unwrap_or_default();
        ("very high", format!("{per_hour} an hour, {left} left"))
    });
    [carriers, ceiling, budget].into_iter().flatten().collect()
}

fn new_user(document: &NewUserDocument) -> String {
    let mut text = secret("name", &document.user.name, "password", &document.password);
    again(
        &mut text,
        &format!("outpost user reset-password {}", document.user.name),
    );
    warn(&mut text, document.user.warning.as_deref());
    text
}

fn new_password(document: &PasswordDocument) -> String {
    let mut text = secret("name", &document.name, "password", &document.password);
    again(
        &mut text,
        &format!("outpost user reset-password {}", document.name),
    );
    text
}

fn admins(admins: &[AdminDocument]) -> String {
    let mut table = Table::new(&["NAME", "ROLE", "LAST LOGIN", "CREATED"]);
    for admin in admins {
        let last_login = admin.last_login.as_deref();
        table.row(vec![
            admin.name.clone(),
            admin.role.name().to_owned(),
            last_login.unwrap_or("never").to_owned(),
            admin.created.clone(),
        ]);
    }
    table.or("no admins")
}

fn new_admin(document: &NewAdminDocument) -> String {
    let name = &document.name;
    let mut text = secret("console user", name, "password", &document.password);
    again(&mut text, &format!("outpost admin reset-password {name}"));
    text
}

fn new_token(document: &NewTokenDocument) -> String {
    let mut text = secret("name", &document.name, "token", &document.token);
    again(&mut text, "outpost admin token create");
    text
}

fn tokens(document: &TokensDocument) -> String {
    let mut table = Table::new(&["NAME", "SCOPE", "CREATED"]);
    for token in &document.tokens {
        table.row(vec![
            token.name.clone(),
            token.scope.name().to_owned(),
            token.created.clone(),
        ]);
    }
    table.or("no tokens")
}

fn removed(what: &str, document: &Removed) -> String {
    format!("{what} {} is removed\n", printable(&document.removed))
}

fn removed_user(document: &RemovedUser) -> String {
    let mut text = format!("user {} is removed\n", printable(&document.removed));
    let fate = match document.choice {
        None => return text,
        Some(QueuedMailChoice::Deliver) => "delivered",
        Some(QueuedMailChoice::Hold) => "held until released",
        Some(QueuedMailChoice::Cancel) => "cancelled",
    };
    writeln!(text, "queued mail: {}, {fate}", deliveries(document.queued))
        .expect("writing to a string does not fail");
    text
}

/// One line for each thing that changed, that needs a restart, or that should be known.
fn reloaded(reloaded: &Reloaded) -> String {
    let mut text = match &reloaded.file {
        Some(file) => format!("{} was read again", printable(file)),
        None => "there is no outpost.toml: the built-in defaults go on".to_owned(),
    };
    let (changed, needs_restart) = (&reloaded.changed, &reloaded.needs_restart);
    text.push_str(if changed.is_empty() && needs_restart.is_empty() {
        "; nothing has changed\n"
    } else {
        "\n"
    });
    let lines = (changed.iter().map(|key| ("changed", key.clone())))
        .chain(
            needs_restart
                .iter()
                .map(|key| ("needs a restart", key.clone())),
        )
        .chain(reloaded.notes.iter().map(|note| ("note", note.to_string())));
    for (what, line) in lines {
        text.push_str(&format!("{what}: {}\n", printable(&line)));
    }
    text
}

fn connection(connection: &Connection) -> String {
    let addresses: Vec<String> = connection
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    let login = format!(
        "{}, {}",
        connection.mechanisms.join(" or "),
        if connection.plaintext_login {
            "also before TLS"
        } else {
            "under TLS only"
        }
    );
    let certificate = match connection.certificate {
        Certificate::SelfSigned => "self-signed: clients have to be told to trust it",
        Certificate::Configured => "configured",
    };
    let recommended = connection.recommended.as_ref().map_or_else(
        || "no port is open".to_owned(),
        |best| {
            format!(
                "host {}, port {}, {}",
                best.host, best.port, best.encryption
            )
        },
    );
    let mut text = facts(&[
        ("host", connection.host.clone()),
        ("addresses", addresses.join(", ")),
        ("login", login),
        ("certificate", certificate.to_owned()),
        ("recommended", recommended),
    ]);
    let mut table = Table::new(&["PORTS", "ENCRYPTION"]);
    for range in &connection.ports {
        table.row(vec![range.to_string(), range.encryption.to_string()]);
    }
    text.push('\n');
    text.push_str(&table.or("no ports"));
    text
}

fn secret(name: &str, value: &str, kind: &str, secret: &str) -> String {
    facts(&[(name, value.to_owned()), (kind, secret.to_owned())])
}

fn again(text: &mut String, command: &str) {
    writeln!(
        text,
        "It is shown this once and kept nowhere; `{}` makes another.",
        printable(command)
    )
    .expect("writing to a string does not fail");
}

fn warn(text: &mut String, warning: Option<&str>) {
    if let Some(warning) = warning {
        writeln!(text, "warning: {}", printable(warning))
            .expect("writing to a string does not fail");
    }
}

pub(super) fn more(text: &mut String, cursor: Option<&str>) {
    if let Some(cursor) = cursor {
        writeln!(text, "There is more: --cursor {}", printable(cursor))
            .expect("writing to a string does not fail");
    }
}

fn state(user: &UserDocument) -> &'static str {
    if user.active { "active" } else { "disabled" }
}

fn priority(number: u8) -> String {
    Class::from_number(number).map_or_else(|| number.to_string(), class_text)
}

fn null_or(sender: &str) -> String {
    if sender.is_empty() {
        "<>".to_owned()
    } else {
        sender.to_owned()
    }
}
