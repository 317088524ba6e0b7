//! A transaction built by hand.
//!
//! Without any call the builder gives what most tests want: a user `user` of the list `default`
//! with priority 3, logged in by PLAIN over TLS 1.3, no rules, a null reverse-path, and a header
//! that is not known yet. Addresses are taken as they stand: the last `@` parts them, and the
//! domain must be in comparable form as the relay would give it.

use crate::{
    Account, Attribute, Envelope, Header, Mailbox, Priority, Requested, Session, Tls, Transaction,
    Value,
};
use core::marker::PhantomData;

/// The facts of a transaction, held in memory.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    session: Session,
    account: Option<Account>,
    authorized_domains: Vec<String>,
    authorized_senders: Vec<String>,
    envelope: Envelope,
    forward_paths: Vec<Mailbox>,
    header_known: bool,
    authors: Vec<Mailbox>,
    requested_priorities: Vec<Requested>,
    headers: Vec<Header>,
    content_bytes: u64,
    notes: Vec<Attribute>,
    // A component's facts are lent by the relay; these are ours, with the same type for both.
    lent: PhantomData<&'a ()>,
}

/// Builds a transaction for a test.
#[derive(Clone, Debug)]
pub struct Builder {
    facts: Facts<'static>,
}

impl Transaction<'static> {
    /// Starts a transaction for a test; see [`Builder`].
    pub fn builder() -> Builder {
        let session = Session {
            id: "test".into(),
            listener_port: 587,
            client_address: "192.0.2.1".into(),
            client_port: 49152,
            ehlo: "client.example".into(),
            tls: Some(Tls {
                version: "1.3".into(),
                cipher: "TLS_AES_256_GCM_SHA384".into(),
            }),
            attributes: Vec::new(),
        };
        let account = Account {
            name: "user".into(),
            list: "default".into(),
            priority: Priority::Normal,
            mechanism: "PLAIN".into(),
            attributes: Vec::new(),
        };
        let envelope = Envelope {
            reverse_path: None,
            parameters: Vec::new(),
            declared_size_bytes: None,
            forward_path_count: 0,
        };
        let facts = Facts {
            session,
            account: Some(account),
            authorized_domains: Vec::new(),
            authorized_senders: Vec::new(),
            envelope,
            forward_paths: Vec::new(),
            header_known: false,
            authors: Vec::new(),
            requested_priorities: Vec::new(),
            headers: Vec::new(),
            content_bytes: 1024,
            notes: Vec::new(),
            lent: PhantomData,
        };
        Builder { facts }
    }
}

fn mailbox(address: &str) -> Mailbox {
    match address.rsplit_once('@') {
        Some((local, domain)) if !domain.is_empty() => Mailbox::new(local, domain),
        _ => panic!("{address:?} is not an address: it needs an @ and a domain"),
    }
}

impl Builder {
    /// Who is connected, in full.
    pub fn session(mut self, session: Session) -> Self {
        self.facts.session = session;
        self
    }

    /// The client's IP address.
    pub fn client_address(mut self, address: &str) -> Self {
        self.facts.session.client_address = address.into();
        self
    }

    /// A connection without encryption.
    pub fn without_tls(mut self) -> Self {
        self.facts.session.tls = None;
        self
    }

    /// The login name of the user.
    pub fn account(mut self, name: &str) -> Self {
        self.user().name = name.into();
        self
    }

    /// The list of the user.
    pub fn list(mut self, list: &str) -> Self {
        self.user().list = list.into();
        self
    }

    /// The user's own priority.
    pub fn user_priority(mut self, priority: Priority) -> Self {
        self.user().priority = priority;
        self
    }

    /// Nobody is logged in.
    pub fn without_account(mut self) -> Self {
        self.facts.account = None;
        self
    }

    /// The user's authorized domains, normalised.
    pub fn authorized_domains(mut self, domains: &[&str]) -> Self {
        self.facts.authorized_domains = domains.iter().map(|domain| (*domain).into()).collect();
        self
    }

    /// The user's authorized senders, normalised.
    pub fn authorized_senders(mut self, senders: &[&str]) -> Self {
        self.facts.authorized_senders = senders.iter().map(|sender| (*sender).into()).collect();
        self
    }

    /// `MAIL FROM` with that address.
    pub fn reverse_path(mut self, address: &str) -> Self {
        self.facts.envelope.reverse_path = Some(mailbox(address));
        self
    }

    /// One more parameter of MAIL.
    pub fn parameter(mut self, keyword: &str, value: &str) -> Self {
        if keyword == "SIZE" {
            self.facts.envelope.declared_size_bytes = value.parse().ok();
        }
        self.facts
            .envelope
            .parameters
            .push((keyword.into(), value.into()));
        self
    }

    /// One more accepted recipient.
    pub fn forward_path(mut self, address: &str) -> Self {
        self.facts.forward_paths.push(mailbox(address));
        self.facts.envelope.forward_path_count += 1;
        self
    }

    /// One more mailbox of From; the header is known now.
    pub fn author(mut self, address: &str) -> Self {
        self.facts.authors.push(mailbox(address));
        self.facts.header_known = true;
        self
    }

    /// One more field at the bottom of the header, which is known now. Authors and requested
    /// priorities are not read from it; say them with their own methods.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.facts.headers.push(Header {
            name: name.into(),
            value: value.into(),
        });
        self.facts.header_known = true;
        self
    }

    /// One more carrier of a priority, behind the others in precedence. None: malformed.
    pub fn requested(mut self, carrier: &str, value: &str, priority: Option<Priority>) -> Self {
        let requested = Requested {
            carrier: carrier.into(),
            value: value.into(),
            priority,
        };
        self.facts.requested_priorities.push(requested);
        self
    }

    /// The size of the content in octets; the header is known now.
    pub fn content_bytes(mut self, bytes: u64) -> Self {
        self.facts.content_bytes = bytes;
        self.facts.header_known = true;
        self
    }

    /// One more note of a component earlier in the chain.
    pub fn note(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.facts.notes.push(Attribute {
            key: key.into(),
            value: value.into(),
        });
        self
    }

    /// The transaction.
    pub fn build(self) -> Transaction<'static> {
        Transaction { facts: self.facts }
    }

    fn user(&mut self) -> &mut Account {
        self.facts
            .account
            .as_mut()
            .expect("without_account() comes after what describes the user")
    }
}

impl Facts<'_> {
    pub(crate) fn session(&self) -> Session {
        self.session.clone()
    }

    pub(crate) fn account(&self) -> Option<Account> {
        self.account.clone()
    }

    pub(crate) fn authorized_domains(&self) -> Vec<String> {
        self.authorized_domains.clone()
    }

    pub(crate) fn authorized_senders(&self) -> Vec<String> {
        self.authorized_senders.clone()
    }

    pub(crate) fn envelope(&self) -> Envelope {
        self.envelope.clone()
    }

    pub(crate) fn forward_paths(&self, offset: u32, limit: u32) -> Vec<Mailbox> {
        let from = self.forward_paths.iter().skip(offset as usize);
        from.take(limit.min(500) as usize).cloned().collect()
    }

    pub(crate) fn header_known(&self) -> bool {
        self.header_known
    }

    pub(crate) fn authors(&self) -> Vec<Mailbox> {
        self.authors.clone()
    }

    pub(crate) fn requested_priorities(&self) -> Vec<Requested> {
        self.requested_priorities.clone()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers(name).into_iter().next()
    }

    pub(crate) fn headers(&self, name: &str) -> Vec<String> {
        let same = self
            .headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case(name));
        same.map(|header| header.value.clone()).collect()
    }

    pub(crate) fn all_headers(&self) -> Vec<Header> {
        self.headers.clone()
    }

    pub(crate) fn content_bytes(&self) -> Option<u64> {
        self.header_known.then_some(self.content_bytes)
    }

    pub(crate) fn notes(&self) -> Vec<Attribute> {
        self.notes.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_unknown_until_something_of_it_is_said() {
        let at_mail = Transaction::builder().reverse_path("a@b.example").build();
        assert!(!at_mail.header_known());
        assert_eq!(at_mail.content_bytes(), None);
        assert_eq!(at_mail.senders(), [Mailbox::new("a", "b.example")]);

        let after = Transaction::builder()
            .reverse_path("a@b.example")
            .author("c@d.example")
            .build();
        assert!(after.header_known());
        assert_eq!(after.content_bytes(), Some(1024));
        assert_eq!(after.senders(), [Mailbox::new("c", "d.example")]);
    }

    #[test]
    fn fields_are_found_without_regard_to_case_from_the_top() {
        let tx = Transaction::builder()
            .header("X-Tag", "1")
            .header("x-tag", "2")
            .build();
        assert_eq!(tx.header("X-TAG"), Some("1".into()));
        assert_eq!(tx.headers("x-tag"), ["1", "2"]);
        assert_eq!(tx.header("Tag"), None);
    }

    #[test]
    fn recipients_come_in_pages() {
        let builder = (0..7).fold(Transaction::builder(), |builder, n| {
            builder.forward_path(&format!("r{n}@d.example"))
        });
        let tx = builder.build();
        let page = |offset, limit| {
            let page = tx.forward_paths(offset, limit);
            page.into_iter()
                .map(|mailbox| mailbox.local)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(tx.envelope().forward_path_count, 7);
        assert_eq!(page(0, 3), "r0 r1 r2");
        assert_eq!(page(6, 3), "r6");
        assert_eq!(page(7, 3), "");
    }

    #[test]
    #[should_panic(expected = "\"nobody\" is not an address")]
    fn an_address_without_a_domain_is_a_mistake_of_the_test() {
        Transaction::builder().author("nobody");
    }
}
