//! Admins in the directory: each change as a step.
//!
//! There is always one of role admin once there has been one: without it nobody could make another.

use std::sync::Arc;

use super::ordered::Named;
use super::record;
use super::state::{Edit, full, unknown};
use super::{Changed, DirectoryError, Kind};
use crate::account::{Admin, PasswordHash, Scope};
use crate::message::Timestamp;

/// Most admins. They are shown whole.
pub const ADMINS_MAX: usize = 100;

impl Named for Admin {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Edit {
    pub(super) fn create_admin(
        &mut self,
        name: String,
        role: Scope,
        password_hash: PasswordHash,
        now: Timestamp,
    ) -> Result<Arc<Admin>, DirectoryError> {
        if self.state.admins.len() >= ADMINS_MAX {
            return Err(full("admins", ADMINS_MAX));
        }
        if let Some(admin) = self.state.admins.get(&name) {
            return Err(DirectoryError::Exists {
                what: "admin",
                name: admin.name.clone(),
            });
        }
        let credential_epoch = self.next_epoch();
        Ok(self.put_admin(Admin {
            name,
            role,
            password_hash,
            credential_epoch,
            created: now,
            password_changed: now,
            last_login: None,
        }))
    }

    pub(super) fn change_admin(
        &mut self,
        name: &str,
        role: Scope,
    ) -> Result<Changed<Admin>, DirectoryError> {
        let before = self.known_admin(name)?;
        if role == before.role {
            let after = Arc::clone(&before);
            return Ok(Changed { before, after });
        }
        self.refuse_the_last(&before)?;
        let after = self.put_admin(Admin {
            role,
            ..Admin::clone(&before)
        });
        Ok(Changed { before, after })
    }

    pub(super) fn set_admin_password_hash(
        &mut self,
        name: &str,
        hash: PasswordHash,
        now: Timestamp,
    ) -> Result<Arc<Admin>, DirectoryError> {
        let before = self.known_admin(name)?;
        let credential_epoch = self.next_epoch();
        Ok(self.put_admin(Admin {
            password_hash: hash,
            credential_epoch,
            password_changed: now,
            ..Admin::clone(&before)
        }))
    }

    pub(super) fn delete_admin(&mut self, name: &str) -> Result<Arc<Admin>, DirectoryError> {
        let admin = self.known_admin(name)?;
        self.refuse_the_last(&admin)?;
        self.state.admins.remove(name);
        self.remove_row(Kind::Admin, name);
        Ok(admin)
    }

    /// Records when an admin logged in; one who is gone by now needs no such record.
    pub(super) fn record_admin_login(&mut self, name: &str, now: Timestamp) {
        if let Ok(admin) = self.known_admin(name) {
            self.put_admin(Admin {
                last_login: Some(now),
                ..Admin::clone(&admin)
            });
        }
    }

    pub(super) fn put_admin(&mut self, admin: Admin) -> Arc<Admin> {
        let admin = Arc::new(admin);
        self.put_row(Kind::Admin, &admin.name, record::of_admin(&admin));
        self.state.admins.put(Arc::clone(&admin));
        admin
    }

    fn known_admin(&self, name: &str) -> Result<Arc<Admin>, DirectoryError> {
        let admin = self.state.admins.get(name).cloned();
        admin.ok_or_else(|| unknown("admin", name))
    }

    fn refuse_the_last(&self, admin: &Admin) -> Result<(), DirectoryError> {
        let is_administrator = |admin: &&Arc<Admin>| admin.role == Scope::Admin;
        let mut administrators = self.state.admins.iter().filter(is_administrator);
        match (administrators.next(), administrators.next()) {
            (Some(only), None) if only.name == admin.name => {
                Err(DirectoryError::LastOfRole(admin.name.clone()))
            }
            _ => Ok(()),
        }
    }
}
