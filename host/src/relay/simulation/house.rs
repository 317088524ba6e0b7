//! What all simulated relays of a process share, made once and with threads of its own: users whose logins are
//! known, a certificate, and who answers in the place of policy components.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::START;
use super::weather::{DOMAINS, HOME};
use crate::account::{Items, ListDraft, UserDraft};
use crate::auth::{self, Authenticator, Parameters, Verification};
use crate::directory::Directory;
use crate::message::Class;
use crate::plugin::{Authorization, Plugins, StandIn, Urgency};
use crate::policy::{Facts, PlacementRuling, SenderRuling, SenderVote};
use crate::tls;

pub(super) const PASSWORD: &str = "correct horse battery";

/// Users by their priorities: one for each class, and one more who is as most are.
const PRIORITIES: [u8; 6] = [1, 2, 3, 3, 4, 5];

/// The lists that users are in, by turns.
pub(super) const LISTS: [&str; 2] = ["default", "news"];

/// What simulated relays share.
pub(super) struct House {
    pub(super) users: Vec<User>,
    pub(super) directory: Directory,
    pub(super) authenticator: Authenticator,
    pub(super) plugins: Arc<Plugins>,
    pub(super) tls: tls::Server,
    _folder: tempfile::TempDir,
}

/// A user, and from where he sends.
pub(super) struct User {
    pub(super) name: String,
    pub(super) list: String,
    pub(super) priority: Class,
    pub(super) client: SocketAddr,
}

impl House {
    pub(super) async fn build() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certificate = tls::Settings::SelfSigned {
            hostname: "relay.example".into(),
            folder: folder.path().to_owned(),
        };
        let settings = auth::Settings {
            parameters: Parameters::CHEAP,
            // No thread hashes anything while a simulation goes on.
            remembered_for: Duration::from_secs(100 * 365 * 24 * 3_600),
            ..auth::Settings::default()
        };
        let house = Self {
            users: (0..)
                .zip(PRIORITIES)
                .map(|(number, priority)| User::new(number, priority))
                .collect(),
            directory: Directory::in_memory(START).unwrap(),
            authenticator: Authenticator::new(&settings).unwrap(),
            plugins: Plugins::standing_in(StandIn {
                sender: authorize,
                priority: place,
            })
            .await,
            tls: tls::Server::new(&certificate).unwrap(),
            _folder: folder,
        };
        let news = ListDraft {
            name: LISTS[1].to_owned(),
            notify: Items::Text(String::new()),
        };
        let made = house.directory.create_list(news.check().unwrap(), START);
        made.await.unwrap();
        for user in &house.users {
            house.admit(user).await;
        }
        house
    }

    /// Makes a user and logs in once, so that the login is remembered.
    async fn admit(&self, user: &User) {
        let draft = UserDraft {
            name: Some(user.name.clone()),
            list: Some(user.list.clone()),
            authorized_domains: Items::Text(DOMAINS[HOME].into()),
            priority: Some(user.priority.number().into()),
            ..UserDraft::default()
        };
        let hash = self.authenticator.hash(PASSWORD).await.unwrap();
        let created = self
            .directory
            .create_user(draft.check().unwrap(), hash, START);
        let created = created.await.unwrap();
        let verified = self.authenticator.verify(
            &user.name,
            created.login_hash(),
            PASSWORD.as_bytes(),
            user.client.ip(),
            START,
        );
        assert_eq!(verified.await, Verification::Verified);
    }
}

impl User {
    fn new(number: u8, priority: u8) -> Self {
        Self {
            name: format!("user{number}"),
            list: LISTS[usize::from(number) % LISTS.len()].to_owned(),
            priority: Class::from_number(priority).unwrap(),
            client: SocketAddr::from(([192, 0, 2, number], 4_711)),
        }
    }
}

/// What the component that ships says, for users with domains and no addresses.
fn authorize(facts: &Facts) -> Authorization {
    let account = facts.account.as_ref().unwrap();
    let authors = facts.header.iter().flat_map(|header| &header.authors);
    let is_theirs = |domain: &str| account.authorized_domains.iter().any(|of| of == domain);
    let is_permitted = facts
        .envelope
        .reverse_path
        .iter()
        .chain(authors)
        .all(|address| is_theirs(address.domain()));
    let ruling = match is_permitted {
        true => SenderRuling::Permitted,
        // Nobody's permit.
        false => SenderVote::default().close(),
    };
    Authorization {
        ruling,
        records: Vec::new(),
    }
}

/// The more urgent of what the user has and what the message asks for.
fn place(facts: &Facts) -> Urgency {
    let own = facts
        .requested_priorities
        .iter()
        .find_map(|requested| requested.class);
    let of_user = facts.user_priority();
    Urgency {
        ruling: PlacementRuling::Placed {
            class: own.map_or(of_user, |own| own.min(of_user)),
            deliver_within: None,
        },
        records: Vec::new(),
    }
}
