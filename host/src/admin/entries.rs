//! The entries of an export: lists and users as a JSON object a line, and what an import of them
//! comes to.
//!
//! Pure, and the same for the command line and for the relay: what there is comes in, steps go out. Every entry is looked at before the first step is
//! taken, so that a mistake in the last line changes nothing. No password, hash or token has a place
//! in an entry; a line that brings one is refused as any other with a field that is not known.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::items::ItemsInput;
use super::lists::{ListDocument, ListInput};
use super::users::{UserDocument, UserInput, carrier_names};
use crate::account::{Allowance, Items, ListDraft, SenderRules};
use crate::message::Class;

/// Most lines that are told to be wrong; with more of them it is another kind of file.
const PROBLEMS_SHOWN_MAX: usize = 100;

/// A line of an export.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Entry {
    /// `{"list": {…}}`
    List(ListInput),
    /// `{"user": {…}}`
    User(UserInput),
}

impl From<ListDocument> for Entry {
    fn from(list: ListDocument) -> Self {
        Entry::List(ListInput {
            name: list.name,
            notify: Some(ItemsInput(Items::List(list.notify))),
        })
    }
}

impl From<UserDocument> for Entry {
    fn from(user: UserDocument) -> Self {
        Entry::User(UserInput {
            name: Some(user.name),
            list: Some(user.list),
            active: Some(user.active),
            priority: Some(user.priority.into()),
            note: user.note,
            authorized_domains: Some(ItemsInput(Items::List(user.authorized_domains))),
            authorized_senders: Some(ItemsInput(Items::List(user.authorized_senders))),
            trusted_carriers: Some(
                user.trusted_carriers
                    .map(|carriers| ItemsInput(Items::List(carriers))),
            ),
            priority_ceiling: Some(user.priority_ceiling.map(i64::from)),
            very_high_per_hour: Some(user.very_high_per_hour.map(i64::from)),
        })
    }
}

/// What the relay has, by name in lower case.
pub trait Existing {
    /// The list of that name.
    fn list(&self, name: &str) -> Option<ListDocument>;
    /// The user of that name.
    fn user(&self, name: &str) -> Option<UserDocument>;
}

/// What a relay had when it was asked.
#[derive(Clone, Debug, Default)]
pub struct Known {
    lists: BTreeMap<String, ListDocument>,
    users: BTreeMap<String, UserDocument>,
}

impl Known {
    /// These and no others.
    pub fn new(
        lists: impl IntoIterator<Item = ListDocument>,
        users: impl IntoIterator<Item = UserDocument>,
    ) -> Self {
        let lists = lists.into_iter();
        let users = users.into_iter();
        Self {
            lists: lists
                .map(|list| (list.name.to_ascii_lowercase(), list))
                .collect(),
            users: users
                .map(|user| (user.name.to_ascii_lowercase(), user))
                .collect(),
        }
    }
}

impl Existing for Known {
    fn list(&self, name: &str) -> Option<ListDocument> {
        self.lists.get(name).cloned()
    }

    fn user(&self, name: &str) -> Option<UserDocument> {
        self.users.get(name).cloned()
    }
}

/// One thing to do, and the line that asks for it.
#[derive(Clone, Debug)]
pub struct Step {
    /// Counted from 1.
    pub line: usize,
    /// What.
    pub deed: Deed,
}

/// What is done for an entry.
#[derive(Clone, Debug)]
pub enum Deed {
    /// The list is missing.
    AddList(ListInput),
    /// The list tells others.
    ChangeList(ListInput),
    /// The user is missing; with its name.
    AddUser(String, UserInput),
    /// The user differs in these fields; with the name that it has.
    ChangeUser(String, UserInput, Vec<&'static str>),
}

/// What the entries come to: lists first, so that users find them. Entries that change nothing have
/// no step.
///
/// # Errors
/// Every line that is wrong, in words.
pub fn steps(text: &str, existing: &impl Existing) -> Result<Vec<Step>, Vec<String>> {
    let mut problems = Vec::new();
    let mut lists: BTreeMap<String, (usize, ListInput)> = BTreeMap::new();
    let mut users: BTreeMap<String, (usize, UserInput)> = BTreeMap::new();
    // As some editors begin a file.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, text) in text.lines().enumerate() {
        let line = index + 1;
        if text.trim().is_empty() {
            continue;
        }
        let taken = |what: &str, name: &str, first: usize| {
            format!("line {line}: the {what} {name:?} stands on line {first} already")
        };
        match serde_json::from_str(text) {
            Err(error) => {
                // The line of the error is that of the entry, which is always 1.
                let (is_json, column) = (error.is_data(), error.column());
                let error = error.to_string();
                let said = error.split(" at line ").next().unwrap_or(&error);
                problems.push(if is_json {
                    format!("line {line}: {said}")
                } else {
                    format!("line {line}: is not JSON: {said} at column {column}")
                });
            }
            Ok(Entry::List(list)) => match lists.get(&list.name.to_ascii_lowercase()) {
                Some((first, _)) => problems.push(taken("list", &list.name, *first)),
                None => drop(lists.insert(list.name.to_ascii_lowercase(), (line, list))),
            },
            Ok(Entry::User(user)) => {
                let name = user.name.clone().unwrap_or_default();
                match users.get(&name.to_ascii_lowercase()) {
                    _ if name.is_empty() => {
                        problems.push(format!("line {line}: name: is needed"));
                    }
                    Some((first, _)) => problems.push(taken("user", &name, *first)),
                    None => drop(users.insert(name.to_ascii_lowercase(), (line, user))),
                }
            }
        }
    }
    let mut steps = Vec::new();
    for (key, (line, list)) in &lists {
        let checked = checked_list(list, existing.list(key).as_ref());
        take(*line, checked, &mut steps, &mut problems);
    }
    for (key, (line, user)) in &users {
        let list = user.list.as_deref().map(str::to_ascii_lowercase);
        if let Some(list) = list.filter(|list| !is_there(list, &lists, existing)) {
            problems.push(format!(
                "line {line}: list: there is no list named {list:?}"
            ));
        }
        let checked = checked_user(user, existing.user(key).as_ref());
        take(*line, checked, &mut steps, &mut problems);
    }
    if problems.is_empty() {
        return Ok(steps);
    }
    problems.sort_by_key(|problem| line_of(problem));
    if problems.len() > PROBLEMS_SHOWN_MAX {
        let more = problems.len() - PROBLEMS_SHOWN_MAX;
        problems.truncate(PROBLEMS_SHOWN_MAX);
        problems.push(format!("and {more} more mistakes"));
    }
    Err(problems)
}

fn is_there(
    list: &str,
    lists: &BTreeMap<String, (usize, ListInput)>,
    existing: &impl Existing,
) -> bool {
    lists.contains_key(list) || existing.list(list).is_some()
}

/// Where a problem stands: `line 12: …`.
fn line_of(problem: &str) -> usize {
    let number = problem.trim_start_matches("line ").split(':').next();
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn take(
    line: usize,
    checked: Result<Option<Deed>, Vec<String>>,
    steps: &mut Vec<Step>,
    problems: &mut Vec<String>,
) {
    match checked {
        Ok(deed) => steps.extend(deed.map(|deed| Step { line, deed })),
        Err(found) => {
            problems.extend(
                found
                    .into_iter()
                    .map(|problem| format!("line {line}: {problem}")),
            );
        }
    }
}

fn checked_list(
    list: &ListInput,
    existing: Option<&ListDocument>,
) -> Result<Option<Deed>, Vec<String>> {
    let notify = list.notify.as_ref().map(|items| items.0.clone());
    let wanted = notified(&list.name, notify.clone().unwrap_or_default())?;
    let Some(there) = existing else {
        return Ok(Some(Deed::AddList(list.clone())));
    };
    // What the relay has and this version cannot read differs from everything.
    let has = notified(&there.name, Items::List(there.notify.clone()));
    let differs = notify.is_some() && has != Ok(wanted);
    Ok(differs.then(|| {
        Deed::ChangeList(ListInput {
            name: there.name.clone(),
            notify: list.notify.clone(),
        })
    }))
}

/// Who is told when a sender is refused, as the relay keeps it and in any order.
fn notified(list: &str, notify: Items) -> Result<BTreeSet<String>, Vec<String>> {
    let draft = ListDraft {
        name: list.to_owned(),
        notify,
    };
    let list = draft.check().map_err(said)?;
    Ok(list.notify().iter().map(ToString::to_string).collect())
}

fn checked_user(
    user: &UserInput,
    existing: Option<&UserDocument>,
) -> Result<Option<Deed>, Vec<String>> {
    user.clone().draft().check().map_err(said)?;
    let Some(there) = existing else {
        let name = user.name.clone().unwrap_or_default();
        return Ok(Some(Deed::AddUser(name, user.clone())));
    };
    let items = |input: &Option<ItemsInput>| input.clone().map(|items| items.0);
    let (domains, senders) = (
        items(&user.authorized_domains),
        items(&user.authorized_senders),
    );
    let rules = SenderRules::parse(
        &domains.clone().unwrap_or_default(),
        &senders.clone().unwrap_or_default(),
    )
    .map_err(said)?;
    let allowance = user.allowance().check().map_err(said)?;
    let allowance = Allowance::default().changed(allowance);
    let list = user.list.as_deref();
    let differs = [
        (
            "list",
            list.is_some_and(|list| !list.eq_ignore_ascii_case(&there.list)),
        ),
        (
            "active",
            user.active.is_some_and(|active| active != there.active),
        ),
        (
            "priority",
            user.priority
                .is_some_and(|priority| priority != i64::from(there.priority)),
        ),
        ("note", user.note.is_some() && user.note != there.note),
        (
            "authorized_domains",
            domains.is_some() && rules.domains() != there.authorized_domains,
        ),
        (
            "authorized_senders",
            senders.is_some()
                && !rules
                    .sender_texts()
                    .eq(there.authorized_senders.iter().cloned()),
        ),
        (
            Allowance::TRUSTED_CARRIERS,
            user.trusted_carriers.is_some()
                && allowance.trusted_carriers().map(carrier_names) != there.trusted_carriers,
        ),
        (
            Allowance::CEILING,
            user.priority_ceiling.is_some()
                && allowance.ceiling().map(Class::number) != there.priority_ceiling,
        ),
        (
            Allowance::VERY_HIGH_PER_HOUR,
            user.very_high_per_hour.is_some()
                && allowance.very_high_per_hour() != there.very_high_per_hour,
        ),
    ];
    let fields: Vec<&'static str> = differs
        .into_iter()
        .filter_map(|(field, differs)| differs.then_some(field))
        .collect();
    let change = UserInput {
        name: None,
        ..user.clone()
    };
    Ok((!fields.is_empty()).then(|| Deed::ChangeUser(there.name.clone(), change, fields)))
}

fn said(problems: Vec<crate::account::FieldProblem>) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn existing() -> Known {
        let list = |name: &str| ListDocument {
            name: name.to_owned(),
            notify: vec!["Ops@a.example".to_owned()],
            users: 0,
            active_users: 0,
            created: String::new(),
            changed: String::new(),
        };
        let user = UserDocument {
            name: "Shop".to_owned(),
            list: "default".to_owned(),
            active: true,
            priority: 3,
            note: Some("n".to_owned()),
            authorized_domains: vec!["a.example".to_owned(), "b.example".to_owned()],
            authorized_senders: vec!["x@c.example".to_owned()],
            trusted_carriers: Some(vec!["MT-PRIORITY".to_owned(), "X-Priority".to_owned()]),
            priority_ceiling: Some(2),
            very_high_per_hour: None,
            very_high_left: None,
            created: String::new(),
            changed: String::new(),
            password_changed: String::new(),
            last_login: None,
            queued: None,
            refused: 0,
            warning: None,
        };
        Known::new([list("default")], [user])
    }

    fn deeds(text: &str) -> Vec<String> {
        let steps = steps(text, &existing()).unwrap();
        let told = |step: Step| match step.deed {
            Deed::AddList(list) => format!("{}: add list {}", step.line, list.name),
            Deed::ChangeList(list) => format!("{}: change list {}", step.line, list.name),
            Deed::AddUser(name, _) => format!("{}: add user {name}", step.line),
            Deed::ChangeUser(name, _, fields) => {
                format!("{}: change user {name} {}", step.line, fields.join(","))
            }
        };
        steps.into_iter().map(told).collect()
    }

    #[test]
    fn what_is_exported_changes_nothing_where_it_came_from() {
        let existing = existing();
        let lists = existing.lists.values().cloned().map(Entry::from);
        let entries = lists.chain(existing.users.values().cloned().map(Entry::from));
        let lines: Vec<String> = entries
            .map(|entry| serde_json::to_string(&entry).unwrap())
            .collect();
        assert_eq!(deeds(&lines.join("\n")), Vec::<String>::new());
        assert_eq!(
            lines[1],
            r#"{"user":{"name":"Shop","list":"default","active":true,"priority":3,"note":"n","authorized_domains":["a.example","b.example"],"authorized_senders":["x@c.example"],"trusted_carriers":["MT-PRIORITY","X-Priority"],"priority_ceiling":2,"very_high_per_hour":null}}"#
        );
    }

    #[test]
    fn lists_come_first_and_only_what_differs_is_changed() {
        let text = r#"
            {"user":{"name":"new","list":"ops"}}
            {"list":{"name":"ops"}}
            {"user":{"name":"shop","priority":1,"authorized_domains":"B.example;a.example","note":"m"}}
            {"list":{"name":"Default","notify":["x@a.example"]}}"#;
        assert_eq!(
            deeds(text),
            [
                "5: change list default",
                "3: add list ops",
                "2: add user new",
                "4: change user Shop priority,note",
            ]
        );
        assert_eq!(
            deeds(r#"{"user":{"name":"SHOP"}}"#),
            Vec::<String>::new(),
            "what is not named stays"
        );
    }

    #[test]
    fn limits_of_urgency_are_compared_as_the_relay_keeps_them() {
        for (fields, differs) in [
            (r#""trusted_carriers":"x-priority; mt-priority""#, ""),
            (r#""trusted_carriers":null"#, "trusted_carriers"),
            (r#""trusted_carriers":[]"#, "trusted_carriers"),
            (r#""priority_ceiling":2,"very_high_per_hour":null"#, ""),
            (r#""priority_ceiling":null"#, "priority_ceiling"),
            (
                r#""priority_ceiling":3,"very_high_per_hour":5"#,
                "priority_ceiling,very_high_per_hour",
            ),
        ] {
            let deeds = deeds(&format!(r#"{{"user":{{"name":"shop",{fields}}}}}"#));
            let expected = match differs {
                "" => vec![],
                differs => vec![format!("1: change user Shop {differs}")],
            };
            assert_eq!(deeds, expected, "{fields}");
        }
    }

    #[test]
    fn addresses_to_notify_are_compared_as_the_relay_keeps_them() {
        let mut existing = existing();
        let there = existing.lists.get_mut("default").unwrap();
        there.notify = vec![
            "ops@xn--mnchen-3ya.example".to_owned(),
            "Ops@a.example".to_owned(),
        ];
        let has_steps = |text: &str| !steps(text, &existing).unwrap().is_empty();
        for (notify, differs) in [
            ("ops@m\u{fc}nchen.example; Ops@A.example", false),
            (
                "Ops@a.example;ops@xn--mnchen-3ya.example;Ops@a.EXAMPLE",
                false,
            ),
            ("ops@a.example;ops@xn--mnchen-3ya.example", true),
            ("Ops@a.example", true),
            ("", true),
        ] {
            let line = format!(r#"{{"list":{{"name":"default","notify":"{notify}"}}}}"#);
            assert_eq!(has_steps(&line), differs, "{notify}");
        }
    }

    #[test]
    fn a_byte_order_mark_before_the_first_line_is_no_part_of_it() {
        let marked = "\u{feff}{\"user\":{\"name\":\"new\"}}";
        assert_eq!(deeds(marked), ["1: add user new"]);
    }

    #[test]
    fn every_bad_line_is_told_and_there_are_no_steps() {
        let text = r#"{"user":{"name":"good"}}
{"user":{"name":"a","password":"secret"}}
{"user":{"name":"b","priority":9,"authorized_domains":["nodomain@x"],"priority_ceiling":0}}
{"user":{"name":"c","list":"none"}}
{"user":{}}
{"user":{"name":"GOOD"}}
{"list":{"name":"-"}}
{"host":{}}
text
{"user":"#;
        let problems = steps(text, &existing()).unwrap_err();
        let begins = [
            "line 2: unknown field `password`",
            "line 3: priority: ",
            "line 3: authorized_domains: ",
            "line 3: priority_ceiling: ",
            "line 4: list: there is no list named \"none\"",
            "line 5: name: is needed",
            "line 6: the user \"GOOD\" stands on line 1 already",
            "line 7: name: ",
            "line 8: unknown variant `host`",
            "line 9: is not JSON: expected value at column 1",
            "line 10: is not JSON: EOF while parsing a value at column 8",
        ];
        assert_eq!(problems.len(), begins.len(), "{problems:#?}");
        for (problem, begin) in problems.iter().zip(begins) {
            assert!(problem.starts_with(begin), "{problem}");
        }
    }
}
