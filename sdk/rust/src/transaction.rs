//! The transaction being decided, as a policy sees it.
//!
//! Each method asks the relay when it is called, and gives the same answer each time within one
//! question. Every text that crosses costs some hundred nanoseconds: ask once, and only for what
//! the rule needs. Where the facts come from is for `wire` (a component) or `testing` (a test).

use crate::{Account, Attribute, Envelope, Header, Mailbox, Requested, Session, relay};

/// The transaction being decided.
pub struct Transaction<'a> {
    pub(crate) facts: relay::Facts<'a>,
}

impl Transaction<'_> {
    /// Who is connected.
    pub fn session(&self) -> Session {
        self.facts.session()
    }

    /// Who is logged in. None: nobody.
    pub fn account(&self) -> Option<Account> {
        self.facts.account()
    }

    /// The user's authorized domains, normalised; see [`Mailbox::is_in_domain`].
    pub fn authorized_domains(&self) -> Vec<String> {
        self.facts.authorized_domains()
    }

    /// The user's authorized senders, normalised; see [`Mailbox::is_address`].
    pub fn authorized_senders(&self) -> Vec<String> {
        self.facts.authorized_senders()
    }

    /// What MAIL said.
    pub fn envelope(&self) -> Envelope {
        self.facts.envelope()
    }

    /// The accepted recipients in the order of RCPT, `limit` of them from `offset` on; one call
    /// returns at most 500. Empty at MAIL.
    pub fn forward_paths(&self, offset: u32, limit: u32) -> Vec<Mailbox> {
        self.facts.forward_paths(offset, limit)
    }

    /// Whether the header has been read: false at MAIL, true in the questions after the content.
    pub fn header_known(&self) -> bool {
        self.facts.header_known()
    }

    /// Every mailbox of From, Sender, Resent-From and Resent-Sender; empty before the header is known,
    /// never empty after.
    pub fn authors(&self) -> Vec<Mailbox> {
        self.facts.authors()
    }

    /// The mailboxes that the question about the sender is about: at MAIL the reverse-path (none
    /// when it is null), and when the header is known the authors.
    pub fn senders(&self) -> Vec<Mailbox> {
        if self.header_known() {
            self.authors()
        } else {
            self.envelope().reverse_path.into_iter().collect()
        }
    }

    /// What the message itself asks for, in order of precedence, malformed carriers included.
    pub fn requested_priorities(&self) -> Vec<Requested> {
        self.facts.requested_priorities()
    }

    /// The value of the first field of that name, without regard to case; none when there is no
    /// such field and before the header is known.
    pub fn header(&self, name: &str) -> Option<String> {
        self.facts.header(name)
    }

    /// The values of all fields of that name, from the top.
    pub fn headers(&self, name: &str) -> Vec<String> {
        self.facts.headers(name)
    }

    /// The whole header from the top. Dear: prefer [`header`](Self::header).
    pub fn all_headers(&self) -> Vec<Header> {
        self.facts.all_headers()
    }

    /// The size of the content in octets; none before the header is known.
    pub fn content_bytes(&self) -> Option<u64> {
        self.facts.content_bytes()
    }

    /// What components earlier in the chain left behind.
    pub fn notes(&self) -> Vec<Attribute> {
        self.facts.notes()
    }
}
