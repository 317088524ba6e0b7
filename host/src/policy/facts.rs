//! What a transaction tells the components: session, account, envelope, header.
//!
//! Each part is shared, so that the facts of a transaction cost a few reference counts: the
//! session's are made once per connection, the account's once per MAIL, the envelope's at MAIL,
//! and the header joins at the end of the content. Everything here is in comparable form already;
//! nobody past this point parses an address again. Never a password, never a token.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::account::User;
use crate::message::{Address, Class, MessageId, TlsParameters};

/// All that components can ask about one transaction at one moment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What the message is called in the log, and everywhere once it is accepted. For the relay only: no
    /// component is told.
    pub message: MessageId,
    /// Who is connected.
    pub session: Arc<SessionFacts>,
    /// Who is logged in; none: nobody.
    pub account: Option<Arc<AccountFacts>>,
    /// What MAIL said.
    pub envelope: Arc<EnvelopeFacts>,
    /// The accepted recipients in the order of RCPT; empty at MAIL.
    pub forward_paths: Arc<[Address]>,
    /// What the message itself asks for, in order of precedence, malformed carriers included.
    pub requested_priorities: Arc<[RequestedPriority]>,
    /// The header; none before the content has come.
    pub header: Option<Arc<HeaderFacts>>,
}

/// Who is connected, from where and how.
#[derive(Clone, Debug)]
pub struct SessionFacts {
    /// Names the session in the log.
    pub id: String,
    /// The port that the client connected to.
    pub listener_port: u16,
    /// Address and port of the client.
    pub client: SocketAddr,
    /// The argument of EHLO or HELO, unverified.
    pub ehlo: String,
    /// The protection of the connection; none in clear.
    pub tls: Option<TlsParameters>,
}

/// Who is logged in, without any secret.
#[derive(Clone, Debug)]
pub struct AccountFacts {
    /// The login name.
    pub name: String,
    /// The list that the user belongs to.
    pub list: String,
    /// The user's own priority.
    pub priority: Class,
    /// The SASL mechanism of the login.
    pub mechanism: String,
    /// Lower-case A-labels, sorted, without duplicates; `*.` before a domain covers its subdomains.
    pub authorized_domains: Arc<[String]>,
    /// Whole addresses in lower case with the domain in A-labels, sorted, without duplicates.
    pub authorized_senders: Arc<[String]>,
}

impl AccountFacts {
    /// What components are told of a user that logged in with that mechanism.
    pub fn of(user: &User, mechanism: &str) -> Self {
        Self {
            name: user.name.clone(),
            list: user.list.clone(),
            priority: user.priority,
            mechanism: mechanism.to_owned(),
            authorized_domains: user.rules.domains().into(),
            authorized_senders: user.rules.sender_texts().collect(),
        }
    }
}

/// What MAIL said.
#[derive(Clone, Debug, Default)]
pub struct EnvelopeFacts {
    /// None: the null reverse-path.
    pub reverse_path: Option<Address>,
    /// The parameters of MAIL, keywords in upper case, without AUTH=.
    pub parameters: Vec<(String, String)>,
    /// The value of SIZE=, in octets.
    pub declared_size_octets: Option<u64>,
}

/// One carrier of a priority that the message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedPriority {
    /// `MT-PRIORITY`, `X-Priority`, …
    pub carrier: String,
    /// The value as written.
    pub value: String,
    /// What it means; none: malformed, and it counts as absent.
    pub class: Option<Class>,
}

/// The header of a message, as far as components may see it.
#[derive(Clone, Debug, Default)]
pub struct HeaderFacts {
    /// Every mailbox of From, then of Sender and the Resent- fields; one that stands in two fields comes
    /// twice. Never empty: a message without a sound From is refused before any component is asked.
    pub authors: Vec<Address>,
    /// All fields from the top.
    pub fields: Vec<HeaderField>,
    /// The size of the content.
    pub content_octets: u64,
}

/// One field of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderField {
    /// As written in the message.
    pub name: String,
    /// Unfolded, without blanks at either end.
    pub value: String,
}

impl Facts {
    /// The facts at MAIL: no recipient, no header yet.
    pub fn at_mail(
        message: MessageId,
        session: Arc<SessionFacts>,
        account: Option<Arc<AccountFacts>>,
        envelope: EnvelopeFacts,
        requested_priorities: Vec<RequestedPriority>,
    ) -> Self {
        Self {
            message,
            session,
            account,
            envelope: Arc::new(envelope),
            forward_paths: Arc::default(),
            requested_priorities: requested_priorities.into(),
            header: None,
        }
    }

    /// The same transaction once its content has come: recipients, header, and every carrier of a
    /// priority, those of MAIL included.
    #[must_use]
    pub fn with_header(
        &self,
        forward_paths: Vec<Address>,
        requested_priorities: Vec<RequestedPriority>,
        header: HeaderFacts,
    ) -> Self {
        Self {
            message: self.message,
            session: Arc::clone(&self.session),
            account: self.account.clone(),
            envelope: Arc::clone(&self.envelope),
            forward_paths: forward_paths.into(),
            requested_priorities: requested_priorities.into(),
            header: Some(Arc::new(header)),
        }
    }

    /// Whether the header of the message is known.
    pub fn is_header_known(&self) -> bool {
        self.header.is_some()
    }

    /// The mailboxes that claim to have written the message; empty before the header is known.
    pub fn authors(&self) -> &[Address] {
        self.header.as_ref().map_or(&[], |header| &header.authors)
    }

    /// The login name; empty when nobody is logged in.
    pub fn user_name(&self) -> &str {
        self.account
            .as_ref()
            .map_or("", |account| account.name.as_str())
    }

    /// The user's own priority, which counts when no component has an opinion.
    pub fn user_priority(&self) -> Class {
        self.account
            .as_ref()
            .map_or(Class::default(), |account| account.priority)
    }
}

impl HeaderFacts {
    /// The values of all fields of that name, from the top; case does not matter.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let session = SessionFacts {
            id: "s".to_owned(),
            listener_port: 587,
            client: "192.0.2.1:4000".parse().expect("an address"),
            ehlo: "client.example".to_owned(),
            tls: None,
        };
        let message = MessageId::from_bits(1);
        Facts::at_mail(
            message,
            Arc::new(session),
            None,
            EnvelopeFacts::default(),
            vec![],
        )
    }

    #[test]
    fn nothing_of_the_header_is_known_at_mail() {
        let facts = facts();
        assert!(!facts.is_header_known());
        assert!(facts.authors().is_empty());
        assert!(facts.forward_paths.is_empty());
        assert_eq!(facts.user_priority(), Class::Normal);
    }

    #[test]
    fn the_header_joins_without_copying_the_rest() {
        let at_mail = facts();
        let header = HeaderFacts {
            fields: vec![
                HeaderField {
                    name: "Subject".into(),
                    value: "one".into(),
                },
                HeaderField {
                    name: "SUBJECT".into(),
                    value: "two".into(),
                },
            ],
            ..HeaderFacts::default()
        };
        let later = at_mail.with_header(vec![], vec![], header);
        assert!(later.is_header_known());
        assert!(Arc::ptr_eq(&at_mail.session, &later.session));
        assert!(Arc::ptr_eq(&at_mail.envelope, &later.envelope));
        let header = later.header.expect("just given");
        assert_eq!(header.values("subject").collect::<Vec<_>>(), ["one", "two"]);
    }
}
