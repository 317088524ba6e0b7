//! What a change of the directory comes with: the version that it is a change of, and its entry in the audit log.
//!
//! Both belong to the writer's turn: what is there is compared in the same step that changes it, and the entry is in
//! the same transaction. So of two who edit the same thing at once one is told, and nothing changes without an entry.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::audit::Entry;
use super::record;
use super::state::Edit;
use super::{Changed, Directory, DirectoryError, IssuedToken, new_token};
use crate::account::{
    Admin, List, ListChange, NewList, NewUser, PasswordHash, Rule, Scope, Spent, Token, User,
    UserChange, check_admin_name,
};
use crate::message::Timestamp;

/// Which version of a thing it is. Another one follows each change that an operator can make, the password included,
/// and none what happens by itself, such as a login: nobody's edit is in the way of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version([u8; 8]);

/// A condition on what is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnlyIf {
    /// It is there, whatever it is.
    Present,
    /// It is one of these versions.
    Versions(Vec<Version>),
}

/// What was changed, as it was and as it is; none of what was not there before, or is not any more.
#[derive(Clone, Copy, Debug)]
pub enum Touched<'a> {
    /// A user.
    User(Option<&'a User>, Option<&'a User>),
    /// A list.
    List(Option<&'a List>, Option<&'a List>),
    /// A token.
    Token(Option<&'a Token>, Option<&'a Token>),
    /// An admin.
    Admin(Option<&'a Admin>, Option<&'a Admin>),
}

/// Makes the entry for what was changed; none where nothing is to be told. Called in the writer's turn.
type Tell = Box<dyn FnOnce(Touched<'_>) -> Option<Entry> + Send>;

/// What a change comes with. The default is nothing.
#[derive(Default)]
pub struct Terms {
    /// What has to hold of what is changed.
    pub only_if: Option<OnlyIf>,
    /// Its entry in the audit log.
    pub tell: Option<Tell>,
}

/// The directory, to be changed on terms.
pub struct Under<'a> {
    directory: &'a Directory,
    terms: Terms,
}

impl Version {
    /// That of a user.
    pub fn of_user(user: &User) -> Self {
        Self::of(&record::of_user(&User {
            last_login: None,
            spent: Spent::default(),
            ..user.clone()
        }))
    }

    /// That of a list.
    pub fn of_list(list: &List) -> Self {
        Self::of(&record::of_list(list))
    }

    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let is_ours = text.len() == 16 && text.bytes().all(|octet| octet.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok()?;
        is_ours.then(|| Self(number.to_be_bytes()))
    }

    /// A digest of the stored form; a part of it is enough to tell a few versions of one thing apart.
    fn of(octets: &[u8]) -> Self {
        let digest = Sha256::digest(octets);
        let mut version = [0; 8];
        version.copy_from_slice(&digest[..8]);
        Self(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl OnlyIf {
    /// Whether it holds of what is there.
    pub fn holds(&self, found: Version) -> bool {
        match self {
            OnlyIf::Present => true,
            OnlyIf::Versions(versions) => versions.contains(&found),
        }
    }
}

impl Terms {
    fn check_user(&self, edit: &Edit, name: &str) -> Result<(), DirectoryError> {
        // What is not there is told by the change itself.
        match (&self.only_if, edit.state.users.get(name)) {
            (Some(only_if), Some(user)) if !only_if.holds(Version::of_user(user)) => {
                Err(changed_meanwhile("user", &user.name))
            }
            _ => Ok(()),
        }
    }

    fn check_list(&self, edit: &Edit, name: &str) -> Result<(), DirectoryError> {
        match (&self.only_if, edit.state.lists.get(name)) {
            (Some(only_if), Some(list)) if !only_if.holds(Version::of_list(list)) => {
                Err(changed_meanwhile("list", &list.name))
            }
            _ => Ok(()),
        }
    }

    fn tell(self, edit: &mut Edit, touched: Touched<'_>) {
        edit.entries
            .extend(self.tell.and_then(|tell| tell(touched)));
    }
}

fn changed_meanwhile(what: &'static str, name: &str) -> DirectoryError {
    DirectoryError::ChangedMeanwhile {
        what,
        name: name.to_owned(),
    }
}

impl Directory {
    /// The directory, to be changed on these terms.
    pub fn under(&self, terms: Terms) -> Under<'_> {
        Under {
            directory: self,
            terms,
        }
    }
}

/// Each change as [`Directory`] has it, and [`DirectoryError::ChangedMeanwhile`] where the condition does not hold.
#[allow(
    clippy::missing_errors_doc,
    reason = "they are those of the directory's own methods"
)]
impl Under<'_> {
    /// [`Directory::create_user`].
    pub async fn create_user(
        self,
        new: NewUser,
        password_hash: PasswordHash,
        now: Timestamp,
    ) -> Result<Arc<User>, DirectoryError> {
        let Self { directory, terms } = self;
        let change = move |edit: &mut Edit| {
            let user = edit.create_user(new, password_hash, now)?;
            terms.tell(edit, Touched::User(None, Some(&user)));
            Ok(user)
        };
        directory.writer.write(change).await
    }

    /// [`Directory::change_user`].
    pub async fn change_user(
        self,
        name: &str,
        change: UserChange,
        now: Timestamp,
    ) -> Result<Changed<User>, DirectoryError> {
        let Self { directory, terms } = self;
        let name = name.to_owned();
        let change = move |edit: &mut Edit| {
            terms.check_user(edit, &name)?;
            let changed = edit.change_user(&name, change, now)?;
            let touched = Touched::User(Some(&changed.before), Some(&changed.after));
            terms.tell(edit, touched);
            Ok(changed)
        };
        directory.writer.write(change).await
    }

    /// [`Directory::authorize`].
    pub async fn authorize(
        self,
        name: &str,
        rule: Rule,
        now: Timestamp,
    ) -> Result<Changed<User>, DirectoryError> {
        let Self { directory, terms } = self;
        let name = name.to_owned();
        let change = move |edit: &mut Edit| {
            terms.check_user(edit, &name)?;
            let changed = edit.authorize(&name, &rule, now)?;
            let touched = Touched::User(Some(&changed.before), Some(&changed.after));
            terms.tell(edit, touched);
            Ok(changed)
        };
        directory.writer.write(change).await
    }

    /// [`Directory::set_password_hash`].
    pub async fn set_password_hash(
        self,
        name: &str,
        hash: PasswordHash,
        now: Timestamp,
    ) -> Result<Changed<User>, DirectoryError> {
        let Self { directory, terms } = self;
        let name = name.to_owned();
        let change = move |edit: &mut Edit| {
            terms.check_user(edit, &name)?;
            let changed = edit.set_password_hash(&name, hash, now)?;
            let touched = Touched::User(Some(&changed.before), Some(&changed.after));
            terms.tell(edit, touched);
            Ok(changed)
        };
        directory.writer.write(change).await
    }

    /// [`Directory::delete_user`].
    pub async fn delete_user(self, name: &str) -> Result<Arc<User>, DirectoryError> {
        let Self { directory, terms } = self;
        let name = name.to_owned();
        let change = move |edit: &mut Edit| {
            terms.check_user(edit, &name)?;
            let user = edit.delete_user(&name)?;
            terms.tell(edit, Touched::User(Some(&user), None));
            Ok(user)
        };
        directory.writer.write(change).await
    }

    /// [`Directory::create_list`].
    pub async fn create_list(
        self,
        new: NewList,
        now: Timestamp,
    ) -> Result<Arc<List>, DirectoryError> {
        let Self { directory, terms } = self;
        let change = move |edit: &mut Edit| {
            let list = edit.create_list(new, now)?;
            terms.tell(edit, Touched::List(None, Some(&list)));
            Ok(list)
        };
        directory.writer.write(change).await
    }

    /// [`Directory::change_list`].
    pub async fn change_list(
        self,
        name: &str,
        change: ListChange,
        now: Timestamp,
    ) -> Result<Changed<List>, DirectoryError> {
        let Self { directory, terms } = self;
        let name = name.to_owned();
        let change = move |edit: &mut Edit| {
            terms.check_list(edit, &name)?;
            let changed = edit.change_list(&name, change, now)?;
            let touched = Touched::List(Some(&changed.before), Some(&changed.after));
            terms.tell(edit, touched);
            Ok(changed)
        };
        directory.writer.write(change).await
    }

    /// [`Directory::delete_list`].
    pub async fn delete_list(self, name: &str) -> Result<Arc<List>, DirectoryError> {
        let Self { directory, terms } = self;
        let name = name.to_owned();
        let change = move |edit: &mut Edit| {
            terms.check_list(edit, &name)?;
            let list = edit.delete_list(&name)?;
            terms.tell(edit, Touched::List(Some(&list), None));
            Ok(list)
        };
        directory.writer.write(change).await
    }

    /// [`Directory::create_token`].
    pub async fn create_token(
        self,
        name: &str,
        scope: Scope,
        now: Timestamp,
    ) -> Result<IssuedToken, DirectoryError> {
        let Self { directory, terms } = self;
        let token = new_token(name, scope, now)?;
        let change = move |edit: &mut Edit| {
            let issued = edit.create_token(token)?;
            terms.tell(edit, Touched::Token(None, Some(&issued.token)));
            Ok(issued)
        };
        directory.writer.write(change).await
    }

    /// [`Directory::replace_token`].
    pub async fn replace_token(
        self,
        name: &str,
        scope: Scope,
        now: Timestamp,
    ) -> Result<IssuedToken, DirectoryError> {
        let Self { directory, terms } = self;
        let token = new_token(name, scope, now)?;
        let change = move |edit: &mut Edit| {
            let issued = edit.replace_token(token)?;
            terms.tell(edit, Touched::Token(None, Some(&issued.token)));
            Ok(issued)
        };
        directory.writer.write(change).await
    }

    /// [`Directory::delete_token`].
    pub async fn delete_token(self, name: &str) -> Result<Arc<Token>, DirectoryError> {
        let Self { directory, terms } = self;
        let name = name.to_owned();
        let change = move |edit: &mut Edit| {
            let token = edit.delete_token(&name)?;
            terms.tell(edit, Touched::Token(Some(&token), None));
            Ok(token)
        };
        directory.writer.write(change).await
    }

    /// [`Directory::create_admin`].
    pub async fn create_admin(
        self,
        name: &str,
        role: Scope,
        password_hash: PasswordHash,
        now: Timestamp,
    ) -> Result<Arc<Admin>, DirectoryError> {
        let Self { directory, terms } = self;
        check_admin_name(name).map_err(|problem| DirectoryError::Invalid(vec![problem]))?;
        let name = name.to_owned();
        let change = move |edit: &mut Edit| {
            let admin = edit.create_admin(name, role, password_hash, now)?;
            terms.tell(edit, Touched::Admin(None, Some(&admin)));
            Ok(admin)
        };
        directory.writer.write(change).await
    }

    /// [`Directory::change_admin`].
    pub async fn change_admin(
        self,
        name: &str,
        role: Scope,
    ) -> Result<Changed<Admin>, DirectoryError> {
        let Self { directory, terms } = self;
        let name = name.to_owned();
        let change = move |edit: &mut Edit| {
            let changed = edit.change_admin(&name, role)?;
            let touched = Touched::Admin(Some(&changed.before), Some(&changed.after));
            terms.tell(edit, touched);
            Ok(changed)
        };
        directory.writer.write(change).await
    }

    /// [`Directory::set_admin_password_hash`].
    pub async fn set_admin_password_hash(
        self,
        name: &str,
        hash: PasswordHash,
        now: Timestamp,
    ) -> Result<Arc<Admin>, DirectoryError> {
        let Self { directory, terms } = self;
        let name = name.to_owned();
        let change = move |edit: &mut Edit| {
            let before = edit.state.admins.get(&name).cloned();
            let admin = edit.set_admin_password_hash(&name, hash, now)?;
            terms.tell(edit, Touched::Admin(before.as_deref(), Some(&admin)));
            Ok(admin)
        };
        directory.writer.write(change).await
    }

    /// [`Directory::delete_admin`].
    pub async fn delete_admin(self, name: &str) -> Result<Arc<Admin>, DirectoryError> {
        let Self { directory, terms } = self;
        let name = name.to_owned();
        let change = move |edit: &mut Edit| {
            let admin = edit.delete_admin(&name)?;
            terms.tell(edit, Touched::Admin(Some(&admin), None));
            Ok(admin)
        };
        directory.writer.write(change).await
    }
}
