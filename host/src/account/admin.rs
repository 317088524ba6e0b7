//! Admins: people who log in to the console, and how far each may go.
//!
//! An admin is no user: a name here submits no mail, and a user's password opens no console. What a role allows is
//! a token's [`Scope`], so that whoever may do something with the one may do it with the other.

use super::name::check_user_name;
use super::{FieldProblem, PasswordHash, Scope};
use crate::message::Timestamp;

/// The name of the admin that a first start makes.
pub const FIRST_ADMIN: &str = "admin";

/// An admin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The login name, in the case in which it was given; who did something, in trails and logs.
    pub name: String,
    /// How far the admin may go.
    pub role: Scope,
    /// The hash of the password.
    pub password_hash: PasswordHash,
    /// A number that no login has had before. It changes with the password, so that open sessions end.
    pub credential_epoch: u64,
    /// When the admin was made.
    pub created: Timestamp,
    /// When the password was last set.
    pub password_changed: Timestamp,
    /// When the admin last logged in; recorded with a delay.
    pub last_login: Option<Timestamp>,
}

/// Checks the name of an admin; it may look like an address.
///
/// # Errors
/// What is wrong with it.
pub fn check_admin_name(name: &str) -> Result<(), FieldProblem> {
    check_user_name("name", name)
}
