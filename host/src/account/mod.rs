//! Accounts: lists, users, admins and their tokens, what a user may send as, and how urgently.
//!
//! Plain values and pure functions. A draft or a patch comes in as an operator gave it, over
//! whatever surface; `check` turns it into a value that the rest of the relay trusts, or says
//! everything that is wrong with it at once, in the words that every surface shows. Where accounts
//! are kept is the directory's business, passwords are auth's, and whether a rule covers a sender is
//! decided by a policy component: nothing here compares an address with a rule.

mod admin;
mod allowance;
mod budget;
mod items;
mod list;
mod name;
mod rules;
mod token;
mod user;

use std::fmt;

pub use admin::{Admin, FIRST_ADMIN, check_admin_name};
pub use allowance::{Allowance, AllowanceChange, AllowancePatch, VERY_HIGH_PER_HOUR_MAX};
pub use budget::Spent;
pub use items::Items;
pub use list::{List, ListChange, ListDraft, ListPatch, NewList, notification_addresses};
pub use name::{
    DEFAULT_LIST, NAME_OCTETS_MAX, check_plain_name, check_user_name, generated_user_name,
    next_spelling, same_name,
};
pub use rules::{ITEMS_MAX, NO_SENDERS_WARNING, Rule, RuleProblem, SenderRules};
pub use token::{Scope, Token, check_token_name};
pub use user::{NOTE_OCTETS_MAX, NewUser, PasswordHash, User, UserChange, UserDraft, UserPatch};

/// What is wrong with one field of what an operator gave, in words that say what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldProblem {
    /// The field as the HTTP API names it, such as `authorized_domains`.
    pub field: &'static str,
    /// What is wrong and how to right it; starts in lower case, ends without a full stop.
    pub text: String,
}

impl FieldProblem {
    /// A problem of that field.
    pub fn new(field: &'static str, text: impl Into<String>) -> Self {
        Self {
            field,
            text: text.into(),
        }
    }
}

impl fmt::Display for FieldProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.text)
    }
}

impl std::error::Error for FieldProblem {}

/// Takes the value out of a checked field, or keeps its problems for later, so that a form is
/// checked to its end before anybody is told.
fn keep<T>(
    checked: Result<T, impl IntoIterator<Item = FieldProblem>>,
    problems: &mut Vec<FieldProblem>,
) -> Option<T> {
    match checked {
        Ok(value) => Some(value),
        Err(found) => {
            problems.extend(found);
            None
        }
    }
}
