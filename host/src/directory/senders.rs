//! Who may send as whom, by the rules: whose rules cover an address, and one rule more for a user.

use std::sync::Arc;

use super::state::{Edit, State};
use super::{Changed, Directory, DirectoryError, Terms};
use crate::account::{FieldProblem, Rule, User};
use crate::message::{Address, Timestamp};

/// Users that one page looks at: some tens of milliseconds. Where few of many are covered a page is short and has a cursor.
pub const USERS_EXAMINED_MAX: usize = 200_000;

/// A page of users whose rules cover an address, in the order of their names.
#[derive(Clone, Debug)]
pub struct SenderPage {
    /// The users, each with the rule.
    pub users: Vec<(Arc<User>, Rule)>,
    /// Where the next page starts: pass it as `after`. None at the end.
    pub next: Option<String>,
}

impl Directory {
    /// At most `rows_max` users whose rules cover an address, those after the name `after`. Looks at the rules of each user,
    /// and at no more than `USERS_EXAMINED_MAX` of them: not for a thread that others wait for.
    pub fn senders(&self, address: &Address, after: Option<&str>, rows_max: usize) -> SenderPage {
        let state = self.snapshot.load_full();
        state.senders(address, after, rows_max)
    }

    /// Gives a user one rule more, whatever others change meanwhile; the same user where the rules cover that already.
    ///
    /// # Errors
    /// [`DirectoryError::Unknown`], [`DirectoryError::Invalid`] when there are as many rules as there can be,
    /// [`DirectoryError::NoRoom`], [`DirectoryError::Unavailable`].
    pub async fn authorize(
        &self,
        name: &str,
        rule: Rule,
        now: Timestamp,
    ) -> Result<Changed<User>, DirectoryError> {
        let plainly = self.under(Terms::default());
        plainly.authorize(name, rule, now).await
    }
}

impl State {
    fn senders(&self, address: &Address, after: Option<&str>, rows_max: usize) -> SenderPage {
        let mut users = Vec::new();
        let mut last = None;
        let ordered = self.users.after(after.unwrap_or_default());
        for (examined, user) in ordered.enumerate() {
            if examined == USERS_EXAMINED_MAX || users.len() == rows_max {
                let next = last.map(|user: &Arc<User>| user.name.clone());
                return SenderPage { users, next };
            }
            if let Some(rule) = user.rules.covering(address) {
                users.push((Arc::clone(user), rule));
            }
            last = Some(user);
        }
        SenderPage { users, next: None }
    }
}

impl Edit {
    pub(super) fn authorize(
        &mut self,
        name: &str,
        rule: &Rule,
        now: Timestamp,
    ) -> Result<Changed<User>, DirectoryError> {
        let before = self.known_user(name)?;
        let rules = before.rules.with(rule).map_err(|problem| {
            let problem = FieldProblem::new(rule.field(), problem.to_string());
            DirectoryError::Invalid(vec![problem])
        })?;
        if rules == before.rules {
            let after = Arc::clone(&before);
            return Ok(Changed { before, after });
        }
        self.take_user(&before);
        let after = self.put_user(User {
            rules,
            changed: now,
            ..User::clone(&before)
        });
        Ok(Changed { before, after })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Instant;

    use super::*;
    use crate::account::{PasswordHash, UserDraft};
    use crate::directory::{MemoryRows, state};

    const NOW: Timestamp = Timestamp::from_unix_milliseconds(1_700_000_000_000);

    fn user(number: usize, domains: &str, senders: &str) -> Arc<User> {
        let name = format!("u{number:06}");
        let draft = UserDraft {
            name: Some(name.clone()),
            authorized_domains: domains.into(),
            authorized_senders: senders.into(),
            ..UserDraft::default()
        };
        let hash = PasswordHash::new(String::new());
        Arc::new(User::new(name, draft.check().unwrap(), hash, 1, NOW))
    }

    fn address(text: &str) -> Address {
        let (local, domain) = text.rsplit_once('@').unwrap();
        Address::new(local, domain).unwrap()
    }

    #[test]
    fn who_may_send_as_an_address_is_found_among_a_hundred_thousand() {
        let mut state = state::load(&mut MemoryRows::default(), NOW).unwrap();
        for number in 0..100_000 {
            let own = format!("d{number}.example;*.w{}.example", number % 1_000);
            let senders = format!("s{number}@shared.example;t{number}@shared.example");
            state.users.put(user(number, &own, &senders));
        }
        for number in 100_000..300_000 {
            state.users.put(user(number, "e.example", ""));
        }
        state.users.put(user(999_999, "", "s5@shared.example"));
        let began = Instant::now();
        let found = |text: &str| {
            let (mut names, mut after, mut pages) = (Vec::new(), None, 0);
            loop {
                let page = state.senders(&address(text), after.as_deref(), 1_000);
                let users = page.users.iter();
                names.extend(users.map(|(user, rule)| (user.name.clone(), rule.text())));
                pages += 1;
                after = page.next;
                if after.is_none() {
                    return (names, pages);
                }
            }
        };
        let pair = |name: &str, rule: &str| (name.to_owned(), rule.to_owned());
        let (names, pages) = found("S5@shared.example");
        let expected = [
            pair("u000005", "s5@shared.example"),
            pair("u999999", "s5@shared.example"),
        ];
        assert_eq!(
            (&names[..], pages),
            (&expected[..], 2),
            "a page looks at so many"
        );
        let (names, _) = found("any@d77.example");
        assert_eq!(names, [pair("u000077", "d77.example")]);
        let (names, _) = found("any@sub.w7.example");
        assert_eq!(names.len(), 100);
        let (names, pages) = found("any@e.example");
        assert_eq!((names.len(), pages), (200_000, 201));
        assert_eq!(found("any@nobody.example").0, []);
        println!("five questions took {:?}", began.elapsed());
    }
}
