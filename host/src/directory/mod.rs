//! The directory: where lists, users, admins and their tokens are kept.
//!
//! Reads are snapshots in memory and never wait: reception asks for a user at each MAIL. Writes go
//! through one thread that puts every waiting change on stable storage in one transaction, then
//! publishes the snapshot, then answers; when a write returns, it survives a power cut and every
//! later read sees it. What a user *is* stands in `account`; passwords are hashed by `auth`, and the
//! callers carry hashes from one to the other. Backends: redb (the default) and memory (tests, can
//! be told to fail); one contract suite runs on both.

mod admins;
mod audit;
#[cfg(test)]
mod contract;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod memory;
mod ordered;
mod record;
mod redb;
mod senders;
mod state;
mod terms;
mod tokens;
mod writer;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use zeroize::Zeroizing;

use crate::account::{
    Admin, List, ListChange, NewList, NewUser, PasswordHash, Scope, Token, User, UserChange,
    check_token_name,
};
use crate::message::Timestamp;
use crate::stable;

pub use admins::ADMINS_MAX;
pub use audit::{AuditFilter, AuditPage, ENTRIES_MAX, Entry, KEPT_FOR, Login};
pub use error::{BoxError, DirectoryError, OpenError};
pub use memory::MemoryRows;
pub use senders::SenderPage;
pub use state::{LISTS_MAX, Population, TOKENS_MAX, USERS_MAX};
pub use terms::{OnlyIf, Terms, Touched, Under, Version};
pub use tokens::{IssuedToken, holds_secret};

use state::State;
use writer::Writer;

/// Which users a page holds. The default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// Of that list only.
    pub list: Option<String>,
    /// Only active ones, or only others.
    pub active: Option<bool>,
    /// Those whose name holds this text, without regard to case.
    pub name_contains: Option<String>,
}

/// A page of users in the order of their names.
#[derive(Clone, Debug)]
pub struct UserPage {
    /// The users.
    pub users: Vec<Arc<User>>,
    /// Where the next page starts: pass it as `after`. None at the end.
    pub next: Option<String>,
}

/// How much a copy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Users.
    pub users: usize,
    /// Lists.
    pub lists: usize,
    /// Admin tokens.
    pub tokens: usize,
}

/// A value before and after a change, for the audit log.
#[derive(Clone, Debug)]
pub struct Changed<T> {
    /// What it was.
    pub before: Arc<T>,
    /// What it is now.
    pub after: Arc<T>,
}

/// Lists, users and admin secrets. Cheap to clone; the last clone to go stops the writer.
#[derive(Clone)]
pub struct Directory {
    snapshot: Arc<ArcSwap<State>>,
    writer: Arc<Writer>,
}

impl Directory {
    /// Opens the directory in that file, made with the list `default` and fresh secrets when there
    /// is none. Blocks; for start-up.
    ///
    /// # Errors
    /// [`OpenError::InUse`], [`OpenError::Damaged`] or [`OpenError::Unavailable`]; nothing is
    /// repaired by leaving something out.
    pub fn open(path: &Path, now: Timestamp) -> Result<Self, OpenError> {
        Self::start(Box::new(redb::RedbRows::open(path)?), now)
    }

    /// Whether the directory in that file can be opened; every row of it is read. Blocks.
    ///
    /// # Errors
    /// As [`Directory::open`].
    pub fn verify(path: &Path, now: Timestamp) -> Result<(), OpenError> {
        state::load(&mut redb::RedbRows::open(path)?, now).map(drop)
    }

    /// A directory that lives as long as the process.
    ///
    /// # Errors
    /// [`OpenError::Unavailable`] when the machine gives neither randomness nor a thread.
    pub fn in_memory(now: Timestamp) -> Result<Self, OpenError> {
        Self::on_memory(MemoryRows::default(), now)
    }

    /// A directory on rows in memory that the caller shares, to fail them or to open them again.
    ///
    /// # Errors
    /// As [`Directory::open`].
    pub fn on_memory(rows: MemoryRows, now: Timestamp) -> Result<Self, OpenError> {
        Self::start(Box::new(rows), now)
    }

    fn start(mut rows: Box<dyn Rows>, now: Timestamp) -> Result<Self, OpenError> {
        let state = state::load(rows.as_mut(), now)?;
        let snapshot = Arc::new(ArcSwap::from_pointee(state));
        let writer = Writer::start(rows, Arc::clone(&snapshot))
            .map_err(|error| OpenError::Unavailable(error.into()))?;
        Ok(Self {
            snapshot,
            writer: Arc::new(writer),
        })
    }

    /// The user of that name, without regard to case.
    pub fn user(&self, name: &str) -> Option<Arc<User>> {
        self.snapshot.load().users.get(name).cloned()
    }

    /// At most `rows_max` users that pass the filter, those after the name `after`.
    pub fn users(&self, filter: &UserFilter, after: Option<&str>, rows_max: usize) -> UserPage {
        self.snapshot.load().page(filter, after, rows_max)
    }

    /// Makes a user; a name is generated when none was asked for.
    ///
    /// # Errors
    /// [`DirectoryError::Exists`], [`DirectoryError::Invalid`] when there is no such list,
    /// [`DirectoryError::Full`] and [`DirectoryError::Unavailable`].
    pub async fn create_user(
        &self,
        new: NewUser,
        password_hash: PasswordHash,
        now: Timestamp,
    ) -> Result<Arc<User>, DirectoryError> {
        let plainly = self.under(Terms::default());
        plainly.create_user(new, password_hash, now).await
    }

    /// Changes a user.
    ///
    /// # Errors
    /// [`DirectoryError::Unknown`], [`DirectoryError::Exists`] for another name that is taken,
    /// [`DirectoryError::Invalid`] when there is no such list, [`DirectoryError::Unavailable`].
    pub async fn change_user(
        &self,
        name: &str,
        change: UserChange,
        now: Timestamp,
    ) -> Result<Changed<User>, DirectoryError> {
        let plainly = self.under(Terms::default());
        plainly.change_user(name, change, now).await
    }

    /// Replaces a user's password; the old one is void when this returns.
    ///
    /// # Errors
    /// [`DirectoryError::Unknown`], [`DirectoryError::Unavailable`].
    pub async fn set_password_hash(
        &self,
        name: &str,
        hash: PasswordHash,
        now: Timestamp,
    ) -> Result<Changed<User>, DirectoryError> {
        let plainly = self.under(Terms::default());
        plainly.set_password_hash(name, hash, now).await
    }

    /// Removes a user and returns what it was. Its queued mail is the caller's question.
    ///
    /// # Errors
    /// [`DirectoryError::Unknown`], [`DirectoryError::Unavailable`].
    pub async fn delete_user(&self, name: &str) -> Result<Arc<User>, DirectoryError> {
        let plainly = self.under(Terms::default());
        plainly.delete_user(name).await
    }

    /// Notes that a user logged in. Returns at once; it is written (and seen) with the next change
    /// or within half a minute, and lost by a crash before that.
    pub fn note_login(&self, name: &str, now: Timestamp) {
        if let Some(user) = self.user(name) {
            self.writer.note_login(&user.name, now);
        }
    }

    /// Spends one of the very-high messages that a user has by the hour; false when none is left. Where they are not
    /// counted, and where none is left, nothing is written and nobody waits. A message that is spent is on stable
    /// storage when this returns, and is spent once, however many ask at the same time.
    ///
    /// # Errors
    /// [`DirectoryError::Unknown`], [`DirectoryError::NoRoom`], [`DirectoryError::Unavailable`].
    pub async fn spend_very_high(
        &self,
        name: &str,
        now: Timestamp,
    ) -> Result<bool, DirectoryError> {
        let user = self.user(name);
        let user = user.ok_or_else(|| state::unknown("user", name))?;
        match user.very_high_left(now) {
            None => return Ok(true),
            Some(0) => return Ok(false),
            Some(_) => {}
        }
        let name = name.to_owned();
        self.writer
            .write(move |edit| edit.spend_very_high(&name, now))
            .await
    }

    /// Gives back a very-high message that was spent at `taken` and did not come to be.
    ///
    /// # Errors
    /// [`DirectoryError::NoRoom`], [`DirectoryError::Unavailable`]: it stays spent, and comes back with time.
    pub async fn give_back_very_high(
        &self,
        name: &str,
        taken: Timestamp,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        let name = name.to_owned();
        self.writer
            .write(move |edit| {
                edit.give_back_very_high(&name, taken, now);
                Ok(())
            })
            .await
    }

    /// The list of that name, without regard to case.
    pub fn list(&self, name: &str) -> Option<Arc<List>> {
        self.snapshot.load().lists.get(name).cloned()
    }

    /// All lists in the order of their names; at most [`LISTS_MAX`].
    pub fn lists(&self) -> Vec<Arc<List>> {
        self.snapshot.load().lists.iter().cloned().collect()
    }

    /// How many users each list has, by the list's name; lists without users are left out.
    pub fn populations(&self) -> BTreeMap<String, Population> {
        self.snapshot.load().populations.clone()
    }

    /// How many users that list has.
    pub fn population(&self, list: &str) -> Population {
        self.snapshot.load().population(list)
    }

    /// Makes a list.
    ///
    /// # Errors
    /// [`DirectoryError::Exists`], [`DirectoryError::Full`], [`DirectoryError::Unavailable`].
    pub async fn create_list(
        &self,
        new: NewList,
        now: Timestamp,
    ) -> Result<Arc<List>, DirectoryError> {
        let plainly = self.under(Terms::default());
        plainly.create_list(new, now).await
    }

    /// Changes a list.
    ///
    /// # Errors
    /// [`DirectoryError::Unknown`], [`DirectoryError::Unavailable`].
    pub async fn change_list(
        &self,
        name: &str,
        change: ListChange,
        now: Timestamp,
    ) -> Result<Changed<List>, DirectoryError> {
        let plainly = self.under(Terms::default());
        plainly.change_list(name, change, now).await
    }

    /// Removes a list without users.
    ///
    /// # Errors
    /// [`DirectoryError::Unknown`], [`DirectoryError::Protected`], [`DirectoryError::NotEmpty`],
    /// [`DirectoryError::Unavailable`].
    pub async fn delete_list(&self, name: &str) -> Result<Arc<List>, DirectoryError> {
        let plainly = self.under(Terms::default());
        plainly.delete_list(name).await
    }

    /// All admin tokens in the order of their names; at most [`TOKENS_MAX`] and the one that
    /// [`Directory::replace_token`] makes.
    pub fn tokens(&self) -> Vec<Arc<Token>> {
        let state = self.snapshot.load();
        state
            .tokens
            .iter()
            .map(|kept| Arc::clone(&kept.token))
            .collect()
    }

    /// Makes an admin token. Its secret is in the answer and nowhere else.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`] for the name, [`DirectoryError::Exists`],
    /// [`DirectoryError::Full`], [`DirectoryError::Unavailable`].
    pub async fn create_token(
        &self,
        name: &str,
        scope: Scope,
        now: Timestamp,
    ) -> Result<IssuedToken, DirectoryError> {
        let plainly = self.under(Terms::default());
        plainly.create_token(name, scope, now).await
    }

    /// The token with that secret, if there is one. The time that this takes tells nothing about
    /// the secrets there are.
    pub fn check_token(&self, secret: &str) -> Option<Arc<Token>> {
        self.snapshot.load().check_token(secret)
    }

    /// Makes an admin token in place of one of that name, whose secret is void when this returns. It is
    /// made also where there are [`TOKENS_MAX`]: the caller names one, so there is one more at most.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`] for the name, [`DirectoryError::Unavailable`].
    pub async fn replace_token(
        &self,
        name: &str,
        scope: Scope,
        now: Timestamp,
    ) -> Result<IssuedToken, DirectoryError> {
        let plainly = self.under(Terms::default());
        plainly.replace_token(name, scope, now).await
    }

    /// Removes an admin token; its secret is void when this returns.
    ///
    /// # Errors
    /// [`DirectoryError::Unknown`], [`DirectoryError::LastAdmin`], [`DirectoryError::Unavailable`].
    pub async fn delete_token(&self, name: &str) -> Result<Arc<Token>, DirectoryError> {
        let plainly = self.under(Terms::default());
        plainly.delete_token(name).await
    }

    /// All admins in the order of their names; at most [`ADMINS_MAX`].
    pub fn admins(&self) -> Vec<Arc<Admin>> {
        self.snapshot.load().admins.iter().cloned().collect()
    }

    /// The admin of that name, without regard to case.
    pub fn admin(&self, name: &str) -> Option<Arc<Admin>> {
        self.snapshot.load().admins.get(name).cloned()
    }

    /// Makes an admin.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`] for the name, [`DirectoryError::Exists`], [`DirectoryError::Full`],
    /// [`DirectoryError::Unavailable`].
    pub async fn create_admin(
        &self,
        name: &str,
        role: Scope,
        password_hash: PasswordHash,
        now: Timestamp,
    ) -> Result<Arc<Admin>, DirectoryError> {
        let plainly = self.under(Terms::default());
        plainly.create_admin(name, role, password_hash, now).await
    }

    /// Gives an admin another role, in force at the next request.
    ///
    /// # Errors
    /// [`DirectoryError::Unknown`], [`DirectoryError::LastOfRole`], [`DirectoryError::Unavailable`].
    pub async fn change_admin(
        &self,
        name: &str,
        role: Scope,
    ) -> Result<Changed<Admin>, DirectoryError> {
        let plainly = self.under(Terms::default());
        plainly.change_admin(name, role).await
    }

    /// Replaces an admin's password; the old one is void, and so are open sessions, when this returns.
    ///
    /// # Errors
    /// [`DirectoryError::Unknown`], [`DirectoryError::Unavailable`].
    pub async fn set_admin_password_hash(
        &self,
        name: &str,
        hash: PasswordHash,
        now: Timestamp,
    ) -> Result<Arc<Admin>, DirectoryError> {
        let plainly = self.under(Terms::default());
        plainly.set_admin_password_hash(name, hash, now).await
    }

    /// Removes an admin; open sessions are void when this returns.
    ///
    /// # Errors
    /// [`DirectoryError::Unknown`], [`DirectoryError::LastOfRole`], [`DirectoryError::Unavailable`].
    pub async fn delete_admin(&self, name: &str) -> Result<Arc<Admin>, DirectoryError> {
        let plainly = self.under(Terms::default());
        plainly.delete_admin(name).await
    }

    /// Notes that an admin logged in.
    ///
    /// # Errors
    /// [`DirectoryError::NoRoom`], [`DirectoryError::Unavailable`].
    pub async fn record_admin_login(
        &self,
        name: &str,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        let name = name.to_owned();
        self.writer
            .write(move |edit| {
                edit.record_admin_login(&name, now);
                Ok(())
            })
            .await
    }

    /// The key under which the relay recognises what it wrote itself (the cache of compiled
    /// components). Made when the directory was first opened, the same ever since.
    pub fn cache_key(&self) -> Zeroizing<[u8; 32]> {
        self.snapshot.load().secrets.cache_key.clone()
    }

    /// Writes a directory that holds what this one holds at this moment into an empty file: what has
    /// been answered is in it. Changes go on meanwhile. Blocks.
    ///
    /// # Errors
    /// [`DirectoryError::NoRoom`] where the file is, [`DirectoryError::Unavailable`].
    pub fn copy(&self, file: File) -> Result<Copied, DirectoryError> {
        let (state, entries) = self.writer.moment().unwrap_or_else(|error| {
            // The accounts stand in memory: a copy of those is better than none.
            tracing::warn!(%error, "a copy of the directory has no audit log: it cannot be read");
            (self.snapshot.load_full(), Box::new(audit::NoEntries))
        });
        redb::write_new(file, state.rows(), &*entries).map_err(|error| {
            if stable::is_no_room(&*error) {
                DirectoryError::NoRoom
            } else {
                DirectoryError::Unavailable(error)
            }
        })?;
        Ok(Copied {
            users: state.users.len(),
            lists: state.lists.len(),
            tokens: state.tokens.len(),
        })
    }

    /// Writes what is waiting, then gives the file back; later writes are
    /// [`DirectoryError::Unavailable`], reads go on.
    ///
    /// # Errors
    /// [`DirectoryError::Unavailable`] when login times could not be written.
    pub async fn close(&self) -> Result<(), DirectoryError> {
        self.writer.close().await
    }
}

fn new_token(name: &str, scope: Scope, now: Timestamp) -> Result<Token, DirectoryError> {
    check_token_name(name).map_err(|problem| DirectoryError::Invalid(vec![problem]))?;
    Ok(Token {
        name: name.to_owned(),
        scope,
        created: now,
    })
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.snapshot.load();
        f.debug_struct("Directory")
            .field("users", &state.users.len())
            .field("lists", &state.lists.len())
            .finish_non_exhaustive()
    }
}

/// What a backend keeps: rows of octets by kind and key. The writer thread owns it.
trait Rows: Send {
    /// All rows.
    fn load(&mut self) -> Result<Vec<Row>, BoxError>;

    /// Applies all changes and adds all entries, or none; on stable storage when it returns. After an error
    /// it is not known which, and the rows must be loaded again before the next write.
    fn write_with(&mut self, changes: &[RowChange], added: &audit::Added) -> Result<(), BoxError>;

    /// The same without entries.
    fn write(&mut self, changes: &[RowChange]) -> Result<(), BoxError> {
        self.write_with(changes, &audit::Added::default())
    }

    /// The audit log at this moment.
    fn entries(&mut self) -> Result<Box<dyn audit::Entries>, BoxError>;
}

/// What a row describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    User,
    List,
    Token,
    Admin,
    Secrets,
}

/// A stored row.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    kind: Kind,
    key: String,
    octets: Vec<u8>,
}

/// A change to a row; without octets it is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RowChange {
    kind: Kind,
    key: String,
    octets: Option<Vec<u8>>,
}
