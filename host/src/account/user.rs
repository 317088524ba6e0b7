//! Users: an SMTP login and what belongs to it.

use std::fmt;

use super::allowance::check_class;
use super::items::shown;
use super::name::{check_plain_name, check_user_name};
use super::rules::{parse_domains, parse_senders};
use super::{
    Allowance, AllowanceChange, AllowancePatch, DEFAULT_LIST, FieldProblem, Items, SenderRules,
    Spent, keep,
};
use crate::message::{Address, Class, Timestamp};

/// Longest note. It is kept in memory with its user.
pub const NOTE_OCTETS_MAX: usize = 2_000;

/// An argon2id hash as a PHC string. It says nothing about itself in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// The hash in that PHC string; whether it is one shows when a password is verified.
    pub fn new(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// A user. Made from a checked draft, changed by a checked change, so that its fields can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The login name, in the case in which it was given.
    pub name: String,
    /// The list that the user belongs to.
    pub list: String,
    /// Whether the user may log in.
    pub active: bool,
    /// The user's own priority.
    pub priority: Class,
    /// For admins only; never leaves the relay.
    pub note: String,
    /// What the user may send as.
    pub rules: SenderRules,
    /// How urgent the user's mail may be.
    pub allowance: Allowance,
    /// What is spent of the user's very-high messages; nothing where they are not counted.
    pub spent: Spent,
    /// The hash of the password.
    pub password_hash: PasswordHash,
    /// A number that no login of this name has had before. It changes when a login becomes void:
    /// the password is reset, the user is disabled, renamed, or deleted and made anew. A session that
    /// remembers the number of its login knows at its next transaction whether it still stands.
    pub credential_epoch: u64,
    /// When the user was made.
    pub created: Timestamp,
    /// When anything but the last login and what is spent last changed.
    pub changed: Timestamp,
    /// When the password was last set.
    pub password_changed: Timestamp,
    /// When the user last logged in; recorded with a delay, and never for some.
    pub last_login: Option<Timestamp>,
}

impl User {
    /// Field name of the note.
    pub const NOTE: &'static str = "note";
    /// Field name of the priority.
    pub const PRIORITY: &'static str = "priority";

    /// A new user of that name.
    pub fn new(
        name: String,
        new: NewUser,
        password_hash: PasswordHash,
        credential_epoch: u64,
        now: Timestamp,
    ) -> Self {
        Self {
            name,
            list: new.list,
            active: new.active,
            priority: new.priority,
            note: new.note,
            rules: new.rules,
            allowance: new.allowance,
            spent: Spent::default(),
            password_hash,
            credential_epoch,
            created: now,
            changed: now,
            password_changed: now,
            last_login: None,
        }
    }

    /// The user after a change; the same user, with the same time of change, when nothing is another
    /// than it was. An epoch is taken when the change makes open logins void.
    pub fn changed(
        &self,
        change: UserChange,
        next_epoch: impl FnOnce() -> u64,
        now: Timestamp,
    ) -> Self {
        let active = change.active.unwrap_or(self.active);
        let renamed = change.name.as_ref().is_some_and(|name| *name != self.name);
        let void = renamed || (self.active && !active);
        let after = Self {
            name: change.name.unwrap_or_else(|| self.name.clone()),
            list: change.list.unwrap_or_else(|| self.list.clone()),
            active,
            priority: change.priority.unwrap_or(self.priority),
            note: change.note.unwrap_or_else(|| self.note.clone()),
            rules: self.rules.replaced(change.domains, change.senders),
            allowance: self.allowance.changed(change.allowance),
            spent: self.spent,
            password_hash: self.password_hash.clone(),
            credential_epoch: if void {
                next_epoch()
            } else {
                self.credential_epoch
            },
            created: self.created,
            changed: self.changed,
            password_changed: self.password_changed,
            last_login: self.last_login,
        };
        if after == *self {
            return after;
        }
        Self {
            changed: now,
            ..after
        }
    }

    /// The user with another password; open logins become void.
    pub fn with_password(&self, hash: PasswordHash, next_epoch: u64, now: Timestamp) -> Self {
        Self {
            password_hash: hash,
            credential_epoch: next_epoch,
            changed: now,
            password_changed: now,
            ..self.clone()
        }
    }

    /// How many very-high messages the user has left at `now`; none where they are not counted.
    pub fn very_high_left(&self, now: Timestamp) -> Option<u32> {
        let per_hour = self.allowance.very_high_per_hour()?;
        Some(self.spent.left(per_hour, now))
    }

    /// What a password is verified against: nothing for a user who may not log in.
    pub fn login_hash(&self) -> Option<&PasswordHash> {
        self.active.then_some(&self.password_hash)
    }
}

/// A user as an operator asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserDraft {
    /// The login name; generated when none is given.
    pub name: Option<String>,
    /// The list; `default` when none is given.
    pub list: Option<String>,
    /// Whether the user may log in.
    pub active: bool,
    /// 1 (very high) to 5 (very low); 3 when none is given.
    pub priority: Option<i64>,
    /// For admins only.
    pub note: String,
    /// Authorized domains.
    pub authorized_domains: Items,
    /// Authorized senders.
    pub authorized_senders: Items,
    /// How urgent its mail may be; any where nothing is said.
    pub allowance: AllowancePatch,
}

/// An active user with a generated name, who may not send as anybody.
impl Default for UserDraft {
    fn default() -> Self {
        Self {
            name: None,
            list: None,
            active: true,
            priority: None,
            note: String::new(),
            authorized_domains: Items::default(),
            authorized_senders: Items::default(),
            allowance: AllowancePatch::default(),
        }
    }
}

/// A user to be made, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    name: Option<String>,
    list: String,
    active: bool,
    priority: Class,
    note: String,
    rules: SenderRules,
    allowance: Allowance,
}

impl UserDraft {
    /// Checks the whole draft. Whether the list exists and the name is free, the directory says.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn check(self) -> Result<NewUser, Vec<FieldProblem>> {
        let mut problems = Vec::new();
        if let Some(name) = &self.name {
            problems.extend(check_user_name("name", name).err());
        }
        let list = self.list.unwrap_or_else(|| DEFAULT_LIST.to_owned());
        problems.extend(check_plain_name("list", &list).err());
        let class = |number| check_class(User::PRIORITY, number);
        let priority = self.priority.map_or(Ok(Class::Normal), class);
        let priority = keep(priority, &mut problems);
        problems.extend(check_note(&self.note).err());
        let rules = SenderRules::parse(&self.authorized_domains, &self.authorized_senders);
        let rules = keep(rules, &mut problems);
        let allowance = keep(self.allowance.check(), &mut problems);
        match (priority, rules, allowance) {
            (Some(priority), Some(rules), Some(change)) if problems.is_empty() => Ok(NewUser {
                name: self.name,
                list,
                active: self.active,
                priority,
                note: self.note,
                rules,
                allowance: Allowance::default().changed(change),
            }),
            _ => Err(problems),
        }
    }
}

impl NewUser {
    /// The name that was asked for.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The list that was asked for.
    pub fn list(&self) -> &str {
        &self.list
    }

    /// The same for the list as the directory writes it.
    pub fn in_list(self, list: &str) -> Self {
        Self {
            list: list.to_owned(),
            ..self
        }
    }
}

/// A change to a user as an operator asks for it; what is none stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserPatch {
    /// Another name.
    pub name: Option<String>,
    /// Another list.
    pub list: Option<String>,
    /// Whether the user may log in.
    pub active: Option<bool>,
    /// 1 (very high) to 5 (very low).
    pub priority: Option<i64>,
    /// For admins only.
    pub note: Option<String>,
    /// Authorized domains, all of them.
    pub authorized_domains: Option<Items>,
    /// Authorized senders, all of them.
    pub authorized_senders: Option<Items>,
    /// How urgent its mail may be.
    pub allowance: AllowancePatch,
}

/// A change to a user, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserChange {
    name: Option<String>,
    list: Option<String>,
    active: Option<bool>,
    priority: Option<Class>,
    note: Option<String>,
    domains: Option<Vec<String>>,
    senders: Option<Vec<Address>>,
    allowance: AllowanceChange,
}

impl UserPatch {
    /// Checks the whole patch. Whether the list exists and the name is free, the directory says.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn check(self) -> Result<UserChange, Vec<FieldProblem>> {
        let mut problems = Vec::new();
        if let Some(name) = &self.name {
            problems.extend(check_user_name("name", name).err());
        }
        if let Some(list) = &self.list {
            problems.extend(check_plain_name("list", list).err());
        }
        if let Some(note) = &self.note {
            problems.extend(check_note(note).err());
        }
        let class = |number| check_class(User::PRIORITY, number);
        let priority = self.priority.map(class).transpose();
        let priority = keep(priority, &mut problems);
        let domains = self.authorized_domains.as_ref().map(parse_domains);
        let domains = keep(domains.transpose(), &mut problems);
        let senders = self.authorized_senders.as_ref().map(parse_senders);
        let senders = keep(senders.transpose(), &mut problems);
        let allowance = keep(self.allowance.check(), &mut problems);
        match (priority, domains, senders, allowance) {
            (Some(priority), Some(domains), Some(senders), Some(allowance))
                if problems.is_empty() =>
            {
                Ok(UserChange {
                    name: self.name,
                    list: self.list,
                    active: self.active,
                    priority,
                    note: self.note,
                    domains,
                    senders,
                    allowance,
                })
            }
            _ => Err(problems),
        }
    }
}

impl UserChange {
    /// The change that enables or disables a user.
    pub fn active(active: bool) -> Self {
        Self {
            active: Some(active),
            ..Self::default()
        }
    }

    /// The other name, if one is asked for.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The other list, if one is asked for.
    pub fn list(&self) -> Option<&str> {
        self.list.as_deref()
    }

    /// The same for the list as the directory writes it.
    pub fn in_list(self, list: &str) -> Self {
        Self {
            list: Some(list.to_owned()),
            ..self
        }
    }
}

fn check_note(note: &str) -> Result<(), FieldProblem> {
    if note.len() > NOTE_OCTETS_MAX {
        let text = format!("is longer than {NOTE_OCTETS_MAX} octets");
        return Err(FieldProblem::new(User::NOTE, text));
    }
    let is_odd = |c: &char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if let Some(character) = note.chars().find(is_odd) {
        let text = format!(
            "contains a control character: {}",
            shown(&character.to_string())
        );
        return Err(FieldProblem::new(User::NOTE, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
