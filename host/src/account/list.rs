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

    /// The list after a change.
    pub fn changed(&self, change: ListChange, now: Timestamp) -> Self {
        Self {
            name: self.name.clone(),
            notify: change.notify.unwrap_or_else(|| self.notify.clone()),
            created: self.created,
            changed: now,
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
        let notify = keep(parse_notify(&self.notify), &mut problems);
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
        let notify = self.notify.as_ref().map(parse_notify).transpose()?;
        Ok(ListChange { notify })
    }
}

fn parse_notify(items: &Items) -> Result<Vec<Mailbox>, Vec<FieldProblem>> {
    let pairs = gather(List::NOTIFY, items, NOTIFY_MAX, |item| {
        let mailbox = parse_mailbox(item).ok_or(NOT_AN_ADDRESS)?;
        Ok((mailbox.domain, mailbox.local))
    })?;
    Ok(pairs
        .into_iter()
        .map(|(domain, local)| Mailbox { local, domain })
        .collect())
}
