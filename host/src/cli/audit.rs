//! `outpost audit`: who changed what, as it is asked for and as it is printed.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde_json::Value;

use super::options::Output;
use super::print::more;
use super::queue_options::time;
use super::remote::{Failure, asked, read, unreadable};
use super::text::{Table, cut};
use crate::admin::audit::log::{AuditDocument, EntryAbout, EntryDocument};
use crate::admin::client::{Ask, Client};
use crate::message::Timestamp;

/// `outpost audit …`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct AuditCommand {
    /// Not before this date and time, 2026-11-27T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub since: Option<Timestamp>,
    /// Before this date and time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<Timestamp>,
    /// By the token or admin of this name
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub by: Option<String>,
    /// Of this action: change-user, hold, reload
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub action: Option<String>,
    /// About this user
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub user: Option<String>,
    /// About this list, or a user of it
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub list: Option<String>,
    /// Entries at most
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

/// What is asked of the relay.
pub(super) fn ask(command: &AuditCommand) -> Ask {
    let since = command.since.map(|at| at.to_string());
    let until = command.until.map(|at| at.to_string());
    let limit = command.limit.to_string();
    let query = [
        ("since", since.as_deref()),
        ("until", until.as_deref()),
        ("by", command.by.as_deref()),
        ("action", command.action.as_deref()),
        ("user", command.user.as_deref()),
        ("list", command.list.as_deref()),
        ("limit", Some(limit.as_str())),
        ("cursor", command.cursor.as_deref()),
    ];
    Ask::get(super::asks::with_query("/api/v1/audit", &query))
}

/// As many entries as were asked for. The relay looks at a part of a long log at a time, so a page may hold few of those
/// that match.
pub(super) async fn listed(client: &Client, command: &AuditCommand) -> Result<Value, Failure> {
    let mut command = command.clone();
    let mut entries = Vec::new();
    loop {
        let page: AuditDocument = read(asked(client, &ask(&command)).await?)?;
        let rows = u16::try_from(page.entries.len()).unwrap_or(u16::MAX);
        entries.extend(page.entries);
        command.limit = command.limit.saturating_sub(rows);
        command.cursor = page.cursor;
        if command.cursor.is_none() || command.limit == 0 {
            break;
        }
    }
    let cursor = command.cursor;
    serde_json::to_value(AuditDocument { entries, cursor }).map_err(unreadable)
}

/// The entries as people read them, a line each.
pub(super) fn print(document: &AuditDocument) -> String {
    let mut table = Table::new(&["TIME", "BY", "FROM", "ACTION", "ABOUT", "CHANGE"]);
    for entry in &document.entries {
        table.row(vec![
            entry.at.clone(),
            entry.by.clone().unwrap_or_else(|| "-".to_owned()),
            entry.client.clone().unwrap_or_else(|| "-".to_owned()),
            entry.action.clone(),
            cut(&about(&entry.about), ABOUT_CHARACTERS_MAX),
            cut(&change(entry), CHANGE_CHARACTERS_MAX),
        ]);
    }
    let mut text = table.or("no entries");
    more(&mut text, document.cursor.as_deref());
    text
}

/// Longest text about what was done, and of what came of it; `--json` has all of it.
const ABOUT_CHARACTERS_MAX: usize = 60;
const CHANGE_CHARACTERS_MAX: usize = 100;

fn about(about: &EntryAbout) -> String {
    let parts = [
        ("user", &about.user),
        ("list", &about.list),
        ("token", &about.token),
        ("admin", &about.admin),
        ("component", &about.component),
        ("alert", &about.alert),
        ("message", &about.message_id),
        ("mail", &about.filter),
        ("queued mail", &about.queued),
        ("next hop", &about.next_hop),
        ("request", &about.request),
        ("version", &about.version),
    ];
    let parts = parts.into_iter().filter_map(|(kind, name)| {
        let name = name.as_ref()?;
        Some(format!("{kind} {name}"))
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// `priority 3 -> 1, 12 deliveries`
fn change(entry: &EntryDocument) -> String {
    let mut parts = Vec::new();
    match (&entry.before, &entry.after) {
        (Some(before), Some(after)) => {
            for (field, is) in after
                .iter()
                .filter(|(field, is)| before.get(*field) != Some(is))
            {
                let was = before.get(field).unwrap_or(&Value::Null);
                parts.push(format!("{field} {} -> {}", value(was), value(is)));
            }
        }
        (None, Some(fields)) | (Some(fields), None) => {
            let fields = fields.iter().filter(|(field, _)| *field != "name");
            let set = fields.filter(|(_, is)| !matches!(value(is).as_str(), "none" | ""));
            parts.extend(set.map(|(field, is)| format!("{field} {}", value(is))));
        }
        (None, None) => {}
    }
    if let Some(count) = entry.deliveries {
        parts.push(super::text::deliveries(count));
    }
    match entry.status {
        Some(status) if status >= 400 => parts.push(format!("refused with {status}")),
        None if entry.client.is_some() => parts.push("given up before its end".to_owned()),
        _ => {}
    }
    if entry.times > 1 {
        parts.push(format!("{} times", entry.times));
    }
    parts.join(", ")
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(self::value).collect::<Vec<_>>().join(";"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_is_a_line_that_says_what_was_and_what_is() {
        let entry = |more: Value| {
            let mut entry = json!({"sequence": 1, "at": "T", "by": "boss", "login": "token", "client": "192.0.2.7",
                "action": "change-user", "about": {"user": "app", "list": "ops"}, "before": null, "after": null,
                "status": 200, "deliveries": null, "times": 1});
            for (name, value) in more.as_object().unwrap() {
                entry[name] = value.clone();
            }
            entry
        };
        let document = json!({"entries": [
            entry(json!({"before": {"name": "app", "priority": 3, "authorized_domains": ["a.example", "b.example"]},
                         "after": {"name": "app", "priority": 1, "authorized_domains": []}})),
            entry(json!({"action": "remove-list", "about": {"list": "ops"}, "before": {"name": "ops", "notify": []}})),
            entry(json!({"action": "hold", "about": {"filter": "all"}, "deliveries": 2, "status": null})),
            entry(json!({"action": "login-failed", "about": {}, "by": null, "status": 401, "times": 7})),
            entry(json!({"action": "start", "about": {"version": "0.1.0\u{1b}[2J"}, "by": null, "client": null, "status": null})),
        ], "cursor": "5"});
        let text = print(&serde_json::from_value(document).unwrap());
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[1].ends_with("authorized_domains a.example;b.example -> none, priority 3 -> 1"),
            "{text}"
        );
        assert!(lines[2].ends_with("list ops"), "{text}");
        assert!(
            lines[3].ends_with("2 deliveries, given up before its end"),
            "{text}"
        );
        assert!(lines[4].ends_with("refused with 401, 7 times"), "{text}");
        assert!(
            lines[5].starts_with("T     -     -          start") && !text.contains('\u{1b}'),
            "{text}"
        );
        assert_eq!(lines[6], "There is more: --cursor 5");
    }
}
