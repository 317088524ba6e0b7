//! Lists: containers for users, their messages and statistics.

use outpost_smtp::Mailbox;

use super::items::gather;
use super::name::check_plain_name;
use super::rules::{NOT_AN_ADDRESS, parse_mailbox};
use super::{FieldProblem, Items, keep};
use crate::message::Timestamp;

/// Most notification addresses of a list: each refused sender is told to all of them.
const NOTIFY_MAX: usize = 20;

/// A list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Its name, in the case in which it was given.
    pub name: String,
    /// Who is told when a sender is refused: domains in comparable form, local parts as given.
    pub notify: Vec<Mailbox>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub changed: Timestamp,
}

impl List {
    /// Field name of the notification addresses.
    pub const NOTIFY: &'static str = "notify";

    /// A new list.
    pub fn new(new: NewList, now: Timestamp) -> Self {
        Self {
            name: new.name,
            notify: new.notify,
            created: now,
            changed: now,
        }
    }

    /// The list after a change; with the time of the last one when nothing is another than it was.
    pub fn changed(&self, change: ListChange, now: Timestamp) -> Self {
        let notify = change.notify.unwrap_or_else(|| self.notify.clone());
        Self {
            name: self.name.clone(),
            changed: if notify == self.notify {
                self.changed
            } else {
                now
            },
            notify,
            created: self.created,
        }
    }

    /// The notification addresses as ";"-separated text.
    pub fn notify_text(&self) -> String {
        let texts: Vec<String> = self.notify.iter().map(ToString::to_string).collect();
        texts.join(";")
    }
}

/// A list as an operator asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListDraft {
    /// Its name.
    pub name: String,
    /// Notification addresses.
    pub notify: Items,
}

/// A list to be made, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewList {
    name: String,
    notify: Vec<Mailbox>,
}

impl ListDraft {
    /// Checks the whole draft.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn check(self) -> Result<NewList, Vec<FieldProblem>> {
        let mut problems = Vec::new();
        problems.extend(check_plain_name("name", &self.name).err());
        let notify = keep(notification_addresses(&self.notify), &mut problems);
        match notify {
            Some(notify) if problems.is_empty() => Ok(NewList {
                name: self.name,
                notify,
            }),
            _ => Err(problems),
        }
    }
}

impl NewList {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who is told when a sender is refused, in comparable form.
    pub fn notify(&self) -> &[Mailbox] {
        &self.notify
    }
}

/// A change to a list as an operator asks for it; what is none stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPatch {
    /// Notification addresses, all of them.
    pub notify: Option<Items>,
}

/// A change to a list, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListChange {
    notify: Option<Vec<Mailbox>>,
}

impl ListPatch {
    /// Checks the whole patch.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn check(self) -> Result<ListChange, Vec<FieldProblem>> {
        let notify = self
            .notify
            .as_ref()
            .map(notification_addresses)
            .transpose()?;
        Ok(ListChange { notify })
    }
}

/// Reads notification addresses, of a list or of the system.
///
/// # Errors
/// What is wrong with them.
pub fn notification_addresses(items: &Items) -> Result<Vec<Mailbox>, Vec<FieldProblem>> {
    let pairs = gather(List::NOTIFY, items, NOTIFY_MAX, |item| {
        let mailbox = parse_mailbox(item).ok_or(NOT_AN_ADDRESS)?;
        Ok((mailbox.domain, mailbox.local))
    })?;
    Ok(pairs
        .into_iter()
        .map(|(domain, local)| Mailbox { local, domain })
        .collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn notify(text: &str) -> Result<String, Vec<String>> {
        let draft = ListDraft {
            name: String::from("news"),
            notify: text.into(),
        };
        match draft.check() {
            Ok(new) => Ok(List::new(new, Timestamp::EPOCH).notify_text()),
            Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn notification_addresses_keep_their_local_part_as_given() {
        assert_eq!(
            notify(" Ops@A.example ;info@bücher.example; Ops@a.example;"),
            Ok("Ops@a.example;info@xn--bcher-kva.example".to_owned())
        );
        assert_eq!(notify(""), Ok(String::new()));
    }

    #[test]
    fn wrong_notification_addresses_are_named() {
        assert_eq!(
            notify("a.example;x@a.example"),
            Err(vec![
                "notify: \"a.example\" is not an address: write it as in name@example.com"
                    .to_owned()
            ])
        );
        let many: String = (0..21).map(|n| format!("x{n}@a.example;")).collect();
        assert_eq!(
            notify(&many),
            Err(vec!["notify: has more than 20 items".to_owned()])
        );
    }

    #[test]
    fn all_problems_of_a_draft_are_told_at_once() {
        let draft = ListDraft {
            name: String::from("a b"),
            notify: "x".into(),
        };
        let fields: Vec<_> = draft.check().unwrap_err().iter().map(|p| p.field).collect();
        assert_eq!(fields, ["name", "notify"]);
    }

    #[test]
    fn a_change_replaces_what_it_names_only() {
        let (then, now) = (Timestamp::EPOCH, Timestamp::from_unix_milliseconds(5));
        let draft = ListDraft {
            name: String::from("news"),
            notify: "a@a.example".into(),
        };
        let list = List::new(draft.check().unwrap(), then);
        let same = list.changed(ListPatch::default().check().unwrap(), now);
        assert_eq!(
            (same.notify_text(), same.created, same.changed),
            ("a@a.example".into(), then, then),
            "nothing was changed"
        );
        let none = ListPatch {
            notify: Some("".into()),
        };
        assert_eq!(list.changed(none.check().unwrap(), now).notify_text(), "");
    }
}
