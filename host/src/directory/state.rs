//! What the directory holds at one moment, and each change as a step from one moment to the next.
//!
//! A step checks first and changes afterwards, so that a refused one leaves nothing behind. It says
//! which rows it touches; the writer puts those on stable storage before anybody sees the new state.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::audit::Entry;
use super::ordered::{Named, Ordered};
use super::record::{self, Decoded};
use super::tokens::KeptToken;
use super::{
    BoxError, Changed, DirectoryError, Kind, OpenError, Row, RowChange, Rows, UserFilter, UserPage,
};
use crate::account::{
    Admin, DEFAULT_LIST, FIRST_ADMIN, FieldProblem, List, ListChange, ListDraft, NewList, NewUser,
    PasswordHash, Scope, Spent, User, UserChange, generated_user_name, same_name,
};
use crate::message::Timestamp;

/// Most users. All are held in memory, at about half a KiB each.
pub const USERS_MAX: usize = 1_000_000;

/// Most lists. They are shown whole and counted with each change.
pub const LISTS_MAX: usize = 10_000;

/// Most admin tokens. Each request is compared with all of them.
pub const TOKENS_MAX: usize = 100;

/// How many users a list has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Population {
    /// All of them.
    pub users: usize,
    /// Those that may log in.
    pub active: usize,
}

/// The directory at one moment.
#[derive(Clone)]
pub(super) struct State {
    pub(super) users: Ordered<User>,
    pub(super) lists: Ordered<List>,
    pub(super) tokens: Ordered<KeptToken>,
    pub(super) admins: Ordered<Admin>,
    pub(super) secrets: Arc<Secrets>,
    /// By the name of the list as it stands in `lists`.
    pub(super) populations: BTreeMap<String, Population>,
}

/// What there is one of.
#[derive(Clone)]
pub(super) struct Secrets {
    pub(super) cache_key: Zeroizing<[u8; 32]>,
    pub(super) token_key: Zeroizing<[u8; 32]>,
    /// The hash of the console's password, from before there were admins.
    pub(super) console: Option<PasswordHash>,
    /// The last credential epoch that was given out.
    pub(super) epoch: u64,
}

impl Named for User {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for List {
    fn name(&self) -> &str {
        &self.name
    }
}

/// Reads all rows. The first time, makes the secrets and the list `default`.
pub(super) fn load(rows: &mut dyn Rows, now: Timestamp) -> Result<State, OpenError> {
    let mut state = State {
        users: Ordered::default(),
        lists: Ordered::default(),
        tokens: Ordered::default(),
        admins: Ordered::default(),
        secrets: Arc::new(Secrets {
            cache_key: Zeroizing::new([0; 32]),
            token_key: Zeroizing::new([0; 32]),
            console: None,
            epoch: 0,
        }),
        populations: BTreeMap::new(),
    };
    let mut secrets = None;
    for row in rows.load().map_err(OpenError::Unavailable)? {
        match record::decode(&row)? {
            Decoded::User(user) => {
                state.count(&user, 1);
                state.users.put(Arc::new(user));
            }
            Decoded::List(list) => state.lists.put(Arc::new(list)),
            Decoded::Token(token) => state.tokens.put(Arc::new(token)),
            Decoded::Admin(admin) => state.admins.put(Arc::new(admin)),
            Decoded::Secrets(found) => secrets = Some(found),
        }
    }
    let mut edit = Edit::on(state);
    match secrets {
        Some(secrets) => edit.state.secrets = Arc::new(secrets),
        None => {
            let fresh = fresh_secrets().map_err(OpenError::Unavailable)?;
            edit.put_secrets(fresh);
        }
    }
    if let Some(hash) = edit.state.secrets.console.clone() {
        edit.put_console_password_on_an_admin(hash, now);
    }
    if edit.state.lists.get(DEFAULT_LIST).is_none() {
        let draft = ListDraft {
            name: DEFAULT_LIST.to_owned(),
            ..ListDraft::default()
        };
        let new = draft
            .check()
            .expect("the name of the default list is a name");
        edit.put_list(List::new(new, now));
    }
    if !edit.rows.is_empty() {
        rows.write(&edit.rows).map_err(OpenError::Unavailable)?;
    }
    Ok(edit.state)
}

fn fresh_secrets() -> Result<Secrets, BoxError> {
    let mut cache_key = Zeroizing::new([0; 32]);
    let mut token_key = Zeroizing::new([0; 32]);
    getrandom::fill(cache_key.as_mut())?;
    getrandom::fill(token_key.as_mut())?;
    Ok(Secrets {
        cache_key,
        token_key,
        console: None,
        epoch: 0,
    })
}

impl State {
    /// Everything as rows.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row> {
        let row = |kind, name: &str, octets| Row {
            kind,
            key: key_of(name),
            octets,
        };
        let users = self.users.iter().map(move |user| {
            let octets = record::of_user(user);
            row(Kind::User, &user.name, octets)
        });
        let lists = self.lists.iter().map(move |list| {
            let octets = record::of_list(list);
            row(Kind::List, &list.name, octets)
        });
        let tokens = self.tokens.iter().map(move |kept| {
            let octets = record::of_token(kept);
            row(Kind::Token, &kept.token.name, octets)
        });
        let admins = self.admins.iter().map(move |admin| {
            let octets = record::of_admin(admin);
            row(Kind::Admin, &admin.name, octets)
        });
        let secrets = record::of_secrets(&self.secrets);
        let secrets = std::iter::once(row(Kind::Secrets, SECRETS_KEY, secrets));
        users
            .chain(lists)
            .chain(tokens)
            .chain(admins)
            .chain(secrets)
    }

    /// How many users that list has.
    pub(super) fn population(&self, list: &str) -> Population {
        let Some(list) = self.lists.get(list) else {
            return Population::default();
        };
        self.populations
            .get(&list.name)
            .copied()
            .unwrap_or_default()
    }

    /// A page of users.
    pub(super) fn page(
        &self,
        filter: &UserFilter,
        after: Option<&str>,
        rows_max: usize,
    ) -> UserPage {
        let text = filter
            .name_contains
            .as_ref()
            .map(|t| t.to_ascii_lowercase());
        let passes = |user: &&Arc<User>| {
            filter
                .list
                .as_ref()
                .is_none_or(|list| same_name(list, &user.list))
                && filter.active.is_none_or(|active| active == user.active)
                && text
                    .as_ref()
                    .is_none_or(|text| user.name.to_ascii_lowercase().contains(text))
        };
        let start = after.unwrap_or_default();
        let mut matching = self.users.after(start).filter(passes);
        let users: Vec<Arc<User>> = matching.by_ref().take(rows_max).cloned().collect();
        let has_more = matching.next().is_some();
        let next = users
            .last()
            .filter(|_| has_more)
            .map(|user| user.name.clone());
        UserPage { users, next }
    }

    fn count(&mut self, user: &User, by: isize) {
        let population = self.populations.entry(user.list.clone()).or_default();
        population.users = population.users.saturating_add_signed(by);
        if user.active {
            population.active = population.active.saturating_add_signed(by);
        }
        if population.users == 0 {
            self.populations.remove(&user.list);
        }
    }
}

/// Steps from one state to the next, with the rows that they touch.
pub(super) struct Edit {
    pub(super) state: State,
    pub(super) rows: Vec<RowChange>,
    /// What the audit log has of them.
    pub(super) entries: Vec<Entry>,
}

impl Edit {
    pub(super) fn on(state: State) -> Self {
        Self {
            state,
            rows: Vec::new(),
            entries: Vec::new(),
        }
    }

    pub(super) fn create_user(
        &mut self,
        new: NewUser,
        password_hash: PasswordHash,
        now: Timestamp,
    ) -> Result<Arc<User>, DirectoryError> {
        if self.state.users.len() >= USERS_MAX {
            return Err(full("users", USERS_MAX));
        }
        let list = self.known_list(new.list())?;
        let name = match new.name() {
            Some(name) => {
                self.refuse_taken_user(name)?;
                name.to_owned()
            }
            None => self.free_user_name()?,
        };
        let epoch = self.next_epoch();
        let user = User::new(name, new.in_list(&list), password_hash, epoch, now);
        Ok(self.put_user(user))
    }

    pub(super) fn change_user(
        &mut self,
        name: &str,
        mut change: UserChange,
        now: Timestamp,
    ) -> Result<Changed<User>, DirectoryError> {
        let before = self.known_user(name)?;
        if let Some(list) = change.list() {
            let list = self.known_list(list)?;
            change = change.in_list(&list);
        }
        if let Some(other) = change.name()
            && !same_name(other, &before.name)
        {
            self.refuse_taken_user(other)?;
        }
        let after = before.changed(change, || self.next_epoch(), now);
        if after == *before {
            // Nothing is another than it was: nothing to write.
            let after = Arc::clone(&before);
            return Ok(Changed { before, after });
        }
        self.take_user(&before);
        let after = self.put_user(after);
        Ok(Changed { before, after })
    }

    pub(super) fn set_password_hash(
        &mut self,
        name: &str,
        hash: PasswordHash,
        now: Timestamp,
    ) -> Result<Changed<User>, DirectoryError> {
        let before = self.known_user(name)?;
        let epoch = self.next_epoch();
        self.take_user(&before);
        let after = self.put_user(before.with_password(hash, epoch, now));
        Ok(Changed { before, after })
    }

    pub(super) fn delete_user(&mut self, name: &str) -> Result<Arc<User>, DirectoryError> {
        let user = self.known_user(name)?;
        self.take_user(&user);
        Ok(user)
    }

    /// Records when users last logged in; those that are gone or renamed are passed over.
    pub(super) fn record_logins(&mut self, logins: &HashMap<String, Timestamp>) {
        for (name, at) in logins {
            let Some(user) = self.state.users.get(name).cloned() else {
                continue;
            };
            if user.last_login < Some(*at) {
                self.take_user(&user);
                self.put_user(User {
                    last_login: Some(*at),
                    ..User::clone(&user)
                });
            }
        }
    }

    /// Spends one of the very-high messages that a user has; false when none is left. Nothing is written for one
    /// whose messages are not counted.
    pub(super) fn spend_very_high(
        &mut self,
        name: &str,
        now: Timestamp,
    ) -> Result<bool, DirectoryError> {
        let user = self.known_user(name)?;
        let Some(per_hour) = user.allowance.very_high_per_hour() else {
            return Ok(true);
        };
        let spent = user.spent.with_one_more(per_hour, now);
        Ok(spent.map(|spent| self.put_spent(&user, spent)).is_some())
    }

    /// Gives back what was spent at `taken`; nobody who is gone, renamed or not counted any more needs it.
    pub(super) fn give_back_very_high(&mut self, name: &str, taken: Timestamp, now: Timestamp) {
        if let Some(user) = self.state.users.get(name).cloned()
            && let Some(per_hour) = user.allowance.very_high_per_hour()
        {
            self.put_spent(&user, user.spent.without_one(taken, per_hour, now));
        }
    }

    fn put_spent(&mut self, user: &User, spent: Spent) {
        self.take_user(user);
        self.put_user(User {
            spent,
            ..user.clone()
        });
    }

    pub(super) fn create_list(
        &mut self,
        new: NewList,
        now: Timestamp,
    ) -> Result<Arc<List>, DirectoryError> {
        if self.state.lists.len() >= LISTS_MAX {
            return Err(full("lists", LISTS_MAX));
        }
        if let Some(list) = self.state.lists.get(new.name()) {
            return Err(DirectoryError::Exists {
                what: "list",
                name: list.name.clone(),
            });
        }
        Ok(self.put_list(List::new(new, now)))
    }

    pub(super) fn change_list(
        &mut self,
        name: &str,
        change: ListChange,
        now: Timestamp,
    ) -> Result<Changed<List>, DirectoryError> {
        let before = self.state.lists.get(name).cloned();
        let before = before.ok_or_else(|| unknown("list", name))?;
        let after = before.changed(change, now);
        let after = if after == *before {
            Arc::clone(&before)
        } else {
            self.put_list(after)
        };
        Ok(Changed { before, after })
    }

    pub(super) fn delete_list(&mut self, name: &str) -> Result<Arc<List>, DirectoryError> {
        let list = self.state.lists.get(name).cloned();
        let list = list.ok_or_else(|| unknown("list", name))?;
        if same_name(name, DEFAULT_LIST) {
            return Err(DirectoryError::Protected(list.name.clone()));
        }
        let users = self.state.population(name).users;
        if users > 0 {
            return Err(DirectoryError::NotEmpty {
                list: list.name.clone(),
                users,
            });
        }
        self.state.lists.remove(name);
        self.remove_row(Kind::List, name);
        Ok(list)
    }

    /// What was the console's password before there were admins is that of the first one.
    fn put_console_password_on_an_admin(&mut self, hash: PasswordHash, now: Timestamp) {
        if self.state.admins.get(FIRST_ADMIN).is_none() {
            let credential_epoch = self.next_epoch();
            self.put_admin(Admin {
                name: FIRST_ADMIN.to_owned(),
                role: Scope::Admin,
                password_hash: hash,
                credential_epoch,
                created: now,
                password_changed: now,
                last_login: None,
            });
        }
        self.put_secrets(Secrets {
            console: None,
            ..Secrets::clone(&self.state.secrets)
        });
    }

    pub(super) fn known_user(&self, name: &str) -> Result<Arc<User>, DirectoryError> {
        let user = self.state.users.get(name).cloned();
        user.ok_or_else(|| unknown("user", name))
    }

    /// The list's name as it stands in the directory.
    fn known_list(&self, name: &str) -> Result<String, DirectoryError> {
        let list = self.state.lists.get(name);
        list.map(|list| list.name.clone()).ok_or_else(|| {
            let text = format!("there is no list named \"{name}\"");
            DirectoryError::Invalid(vec![FieldProblem::new("list", text)])
        })
    }

    fn refuse_taken_user(&self, name: &str) -> Result<(), DirectoryError> {
        match self.state.users.get(name) {
            None => Ok(()),
            Some(user) => Err(DirectoryError::Exists {
                what: "user",
                name: user.name.clone(),
            }),
        }
    }

    fn free_user_name(&self) -> Result<String, DirectoryError> {
        loop {
            let random = getrandom::u64().map_err(|e| DirectoryError::Unavailable(e.into()))?;
            let name = generated_user_name(random);
            if self.state.users.get(&name).is_none() {
                return Ok(name);
            }
        }
    }

    pub(super) fn next_epoch(&mut self) -> u64 {
        let mut secrets = Secrets::clone(&self.state.secrets);
        secrets.epoch += 1;
        let epoch = secrets.epoch;
        self.put_secrets(secrets);
        epoch
    }

    pub(super) fn put_user(&mut self, user: User) -> Arc<User> {
        let user = Arc::new(user);
        self.state.count(&user, 1);
        self.state.users.put(Arc::clone(&user));
        self.put_row(Kind::User, &user.name, record::of_user(&user));
        user
    }

    pub(super) fn take_user(&mut self, user: &User) {
        self.state.count(user, -1);
        self.state.users.remove(&user.name);
        self.remove_row(Kind::User, &user.name);
    }

    fn put_list(&mut self, list: List) -> Arc<List> {
        let list = Arc::new(list);
        self.state.lists.put(Arc::clone(&list));
        self.put_row(Kind::List, &list.name, record::of_list(&list));
        list
    }

    fn put_secrets(&mut self, secrets: Secrets) {
        self.put_row(Kind::Secrets, SECRETS_KEY, record::of_secrets(&secrets));
        self.state.secrets = Arc::new(secrets);
    }

    pub(super) fn put_row(&mut self, kind: Kind, name: &str, octets: Vec<u8>) {
        self.rows.push(RowChange {
            kind,
            key: key_of(name),
            octets: Some(octets),
        });
    }

    pub(super) fn remove_row(&mut self, kind: Kind, name: &str) {
        self.rows.push(RowChange {
            kind,
            key: key_of(name),
            octets: None,
        });
    }
}

/// The key of what has that name.
fn key_of(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// The key of the only row of its kind.
const SECRETS_KEY: &str = "secrets";

pub(super) fn unknown(what: &'static str, name: &str) -> DirectoryError {
    DirectoryError::Unknown {
        what,
        name: name.to_owned(),
    }
}

pub(super) fn full(what: &'static str, max: usize) -> DirectoryError {
    DirectoryError::Full { what, max }
}
