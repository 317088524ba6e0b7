//! Admin tokens: the names and scopes of what may call the admin API.
//!
//! The secret of a token is never here: the directory keeps a keyed hash of it.

use std::fmt;

use super::FieldProblem;
use super::name::check_plain_name;
use crate::message::Timestamp;

/// What a token allows. Each scope includes those before it: `Scope::Read < Scope::Admin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// See everything that is no secret.
    Read,
    /// Also act on the queue.
    Operate,
    /// Also change users, lists, tokens, plugins and settings.
    Admin,
}

impl Scope {
    /// All scopes, the least first.
    pub const ALL: [Scope; 3] = [Scope::Read, Scope::Operate, Scope::Admin];

    /// The scope of that name, as surfaces write it.
    ///
    /// # Errors
    /// The problem, naming the scopes that there are.
    pub fn from_name(name: &str) -> Result<Scope, FieldProblem> {
        Scope::ALL
            .into_iter()
            .find(|scope| scope.name() == name)
            .ok_or_else(|| FieldProblem::new("scope", "is one of read, operate and admin"))
    }

    /// The name as surfaces write it: `operate`.
    pub const fn name(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Operate => "operate",
            Scope::Admin => "admin",
        }
    }

    /// Whether a token of this scope may do what asks for `needed`.
    pub fn covers(self, needed: Scope) -> bool {
        self >= needed
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An admin token without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its name, by which it is removed and by which the trail says who did something.
    pub name: String,
    /// What it allows.
    pub scope: Scope,
    /// When it was made.
    pub created: Timestamp,
}

/// Checks the name of a token.
///
/// # Errors
/// What is wrong with it.
pub fn check_token_name(name: &str) -> Result<(), FieldProblem> {
    check_plain_name("name", name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_scope_covers_those_before_it() {
        let covered: Vec<Vec<bool>> = Scope::ALL
            .map(|scope| Scope::ALL.map(|needed| scope.covers(needed)).to_vec())
            .to_vec();
        assert_eq!(
            covered,
            [
                [true, false, false],
                [true, true, false],
                [true, true, true]
            ]
        );
    }

    #[test]
    fn scopes_have_names_and_others_are_refused() {
        for scope in Scope::ALL {
            assert_eq!(Scope::from_name(scope.name()), Ok(scope));
        }
        for name in ["", "Admin", "root"] {
            let problem = Scope::from_name(name).unwrap_err();
            assert_eq!(
                problem.to_string(),
                "scope: is one of read, operate and admin"
            );
        }
    }
}
