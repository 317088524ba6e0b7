//! Who is logged in to the console.
//!
//! A session is a random secret in a cookie; the relay keeps its digest, whose it is, and what the admin is to be told
//! on the next page. Sessions live in memory: after a restart everybody logs in again. Whether the admin still exists, has
//! the same password and how far the role reaches is asked of the directory at each request, never remembered here.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::account::Admin;
use crate::message::Timestamp;

/// Sessions at once, of all admins: some hundred octets each. The one that was seen longest ago goes first.
const SESSIONS_MAX: usize = 1_000;
/// Sessions of one admin, so that nobody's logins end those of others.
const OF_ONE_ADMIN_MAX: usize = 20;
/// A session that is not used for so long is over: somebody has left the desk.
const IDLE_MAX: Duration = Duration::from_secs(3_600);
/// A session is over after a day's work, used or not.
const AGE_MAX: Duration = Duration::from_secs(12 * 3_600);
/// What waits to be told to one admin; the oldest goes first.
const NOTICES_MAX: usize = 10;

/// What an admin is told once, on the next page.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    pub(super) tone: Tone,
    pub(super) text: String,
    /// What is shown this once, and for whom it is.
    pub(super) secret: Option<ShownOnce>,
    /// How it is undone: where a form goes, and its fields.
    pub(super) undo: Option<Undo>,
}

/// How a notice is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Done,
    Warning,
}

/// A secret that was just made.
#[derive(Clone)]
pub(super) struct ShownOnce {
    pub(super) name: String,
    pub(super) secret: Zeroizing<String>,
}

impl std::fmt::Debug for ShownOnce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShownOnce")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A form that takes back what was done.
#[derive(Clone, Debug)]
pub(super) struct Undo {
    pub(super) path: String,
    pub(super) fields: Vec<(String, String)>,
}

impl Notice {
    pub(super) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self {
            tone,
            text: text.into(),
            secret: None,
            undo: None,
        }
    }

    pub(super) fn done(text: impl Into<String>) -> Self {
        Self::new(Tone::Done, text)
    }
}

/// What is known of a session that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// The name of its admin.
    pub(super) admin: String,
    /// The admin's epoch at the login.
    pub(super) credential_epoch: u64,
    /// What a form has to bring.
    pub(super) form_token: String,
}

struct Session {
    standing: Standing,
    began: Timestamp,
    seen: Timestamp,
    notices: Vec<Notice>,
}

impl Session {
    fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.seen) > IDLE_MAX || now.since(self.began) > AGE_MAX
    }
}

/// All sessions.
#[derive(Default)]
pub struct Sessions {
    kept: Mutex<HashMap<[u8; 32], Session>>,
}

impl Sessions {
    /// Begins a session of an admin who has just logged in. Its secret is new, whatever the client had before.
    ///
    /// # Errors
    /// The machine has no randomness.
    pub(super) fn begin(
        &self,
        admin: &Admin,
        now: Timestamp,
    ) -> Result<Zeroizing<String>, getrandom::Error> {
        let secret = random_text()?;
        let form_token = random_text()?.as_str().to_owned();
        let session = Session {
            standing: Standing {
                admin: admin.name.clone(),
                credential_epoch: admin.credential_epoch,
                form_token,
            },
            began: now,
            seen: now,
            notices: Vec::new(),
        };
        let mut kept = self.kept();
        kept.retain(|_, session| !session.is_over(now));
        let is_theirs = |session: &Session| session.standing.admin == admin.name;
        make_room(&mut kept, OF_ONE_ADMIN_MAX, is_theirs);
        make_room(&mut kept, SESSIONS_MAX, |_| true);
        kept.insert(digest(&secret), session);
        Ok(secret)
    }

    /// The session of that secret, which is used now.
    pub(super) fn find(&self, secret: &str, now: Timestamp) -> Option<Standing> {
        let mut kept = self.kept();
        let key = digest(secret);
        let session = kept.get_mut(&key)?;
        if session.is_over(now) {
            kept.remove(&key);
            return None;
        }
        session.seen = session.seen.max(now);
        Some(session.standing.clone())
    }

    /// The session of that secret, which is not used by that.
    pub(super) fn look_at(&self, secret: &str, now: Timestamp) -> Option<Standing> {
        let kept = self.kept();
        let session = kept.get(&digest(secret))?;
        (!session.is_over(now)).then(|| session.standing.clone())
    }

    /// The session goes on with the login that its admin has now.
    pub(super) fn renew(&self, secret: &str, admin: &Admin) {
        if let Some(session) = self.kept().get_mut(&digest(secret)) {
            session.standing.credential_epoch = admin.credential_epoch;
        }
    }

    /// Ends the session of that secret.
    pub(super) fn end(&self, secret: &str) {
        self.kept().remove(&digest(secret));
    }

    /// Keeps what is to be told on the next page of that session.
    pub(super) fn tell(&self, secret: &str, notice: Notice) {
        if let Some(session) = self.kept().get_mut(&digest(secret)) {
            session.notices.push(notice);
            if session.notices.len() > NOTICES_MAX {
                session.notices.remove(0);
            }
        }
    }

    /// What is to be told now; it is told once.
    pub(super) fn take_notices(&self, secret: &str) -> Vec<Notice> {
        let mut kept = self.kept();
        let session = kept.get_mut(&digest(secret));
        session
            .map(|session| std::mem::take(&mut session.notices))
            .unwrap_or_default()
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a form brought what its session gave out, in a time that tells nothing.
pub(super) fn is_form_token(standing: &Standing, brought: &str) -> bool {
    standing
        .form_token
        .as_bytes()
        .ct_eq(brought.as_bytes())
        .into()
}

/// Makes room for one more of those that are meant, by ending the one that was seen longest ago.
fn make_room(
    kept: &mut HashMap<[u8; 32], Session>,
    max: usize,
    is_meant: impl Fn(&Session) -> bool,
) {
    let meant = kept.iter().filter(|(_, session)| is_meant(session));
    if meant.clone().count() < max {
        return;
    }
    let oldest = meant
        .min_by_key(|(_, session)| session.seen)
        .map(|(key, _)| *key);
    if let Some(oldest) = oldest {
        kept.remove(&oldest);
    }
}

/// 256 random bits.
fn random_text() -> Result<Zeroizing<String>, getrandom::Error> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(random.as_mut())?;
    Ok(Zeroizing::new(
        BASE64_URL_SAFE_NO_PAD.encode(random.as_slice()),
    ))
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::account::{PasswordHash, Scope};

    const NOW: Timestamp = Timestamp::from_unix_milliseconds(1_000_000);

    fn admin(name: &str) -> Admin {
        Admin {
            name: name.to_owned(),
            role: Scope::Admin,
            password_hash: PasswordHash::new(String::new()),
            credential_epoch: 7,
            created: NOW,
            password_changed: NOW,
            last_login: None,
        }
    }

    #[test]
    fn a_session_is_found_by_its_secret_until_it_ends() {
        let sessions = Sessions::default();
        let ann = sessions.begin(&admin("ann"), NOW).unwrap();
        let bob = sessions.begin(&admin("bob"), NOW).unwrap();
        assert_ne!(*ann, *bob);
        let found = sessions.find(&ann, NOW).unwrap();
        assert_eq!((found.admin.as_str(), found.credential_epoch), ("ann", 7));
        assert_ne!(
            found.form_token,
            sessions.find(&bob, NOW).unwrap().form_token
        );
        for wrong in ["", "x", &ann[1..], &ann.to_uppercase()] {
            assert_eq!(sessions.find(wrong, NOW), None);
        }
        sessions.end(&ann);
        assert_eq!(sessions.find(&ann, NOW), None);
        assert!(sessions.find(&bob, NOW).is_some());
    }

    #[test]
    fn a_session_ends_when_it_is_not_used_and_after_a_day() {
        let sessions = Sessions::default();
        let secret = sessions.begin(&admin("ann"), NOW).unwrap();
        let mut now = NOW;
        while now.since(NOW) + IDLE_MAX <= AGE_MAX {
            now = now.plus(IDLE_MAX);
            assert!(sessions.find(&secret, now).is_some());
        }
        assert!(sessions.find(&secret, now.plus(IDLE_MAX)).is_none());
        let secret = sessions.begin(&admin("ann"), NOW).unwrap();
        let later = NOW.plus(IDLE_MAX + Duration::from_secs(1));
        assert!(sessions.find(&secret, later).is_none());
    }

    #[test]
    fn no_admin_ends_the_sessions_of_others() {
        let sessions = Sessions::default();
        let ann = sessions.begin(&admin("ann"), NOW).unwrap();
        let mut first = None;
        for second in 0..=OF_ONE_ADMIN_MAX {
            let now = NOW.plus(Duration::from_secs(second as u64));
            let secret = sessions.begin(&admin("bob"), now).unwrap();
            first.get_or_insert(secret);
        }
        assert!(sessions.find(&ann, NOW).is_some());
        assert!(sessions.find(&first.unwrap(), NOW).is_none());
    }

    #[test]
    fn there_are_so_many_sessions_and_no_more() {
        let sessions = Sessions::default();
        for number in 0..=SESSIONS_MAX {
            let name = format!("a{number}");
            sessions.begin(&admin(&name), NOW).unwrap();
        }
        assert_eq!(sessions.kept().len(), SESSIONS_MAX);
    }

    #[test]
    fn what_is_told_is_told_once_and_not_without_end() {
        let sessions = Sessions::default();
        let secret = sessions.begin(&admin("ann"), NOW).unwrap();
        for number in 0..=NOTICES_MAX {
            sessions.tell(&secret, Notice::done(number.to_string()));
        }
        let told = sessions.take_notices(&secret);
        let texts: Vec<_> = told.iter().map(|notice| notice.text.as_str()).collect();
        assert_eq!(texts.len(), NOTICES_MAX);
        assert_eq!(texts[0], "1");
        assert!(sessions.take_notices(&secret).is_empty());
        sessions.tell("nobody", Notice::done("x"));
    }
}
