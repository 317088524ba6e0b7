//! A client that submits mail: it logs in, over TLS, and hands over one message at a time.
//!
//! Delivery is what speaks SMTP as a client here, so it is asked to deliver to the relay as to a smarthost that wants a
//! login.

use std::net::SocketAddr;
use std::sync::Arc;

use outpost_smtp::{Body, Mailbox, ReversePath};

use super::DemoError;
use super::plan::Letter;
use crate::clock::Clock;
use crate::delivery::{
    Deliverer, Gate, GateMetrics, GateRules, Login, Metrics, Network, Settings, Smarthost,
    TlsPolicy,
};
use crate::dns::{self, Resolver};
use crate::message::{
    Class, Delivery, DeliveryId, DeliveryState, Envelope, Message, MessageId, NextHop, Origin,
    Outcome, Priorities, Recipient, Timestamp,
};
use crate::net::Dialer;
use crate::spool::{Content, Pending};
use crate::telemetry::Registry;
use crate::tls::client::Connector;

/// What a client knows once a message is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    /// The name that the relay gave it.
    pub id: MessageId,
    /// When its 250 was read, in microseconds since the Unix epoch.
    pub unix_us: u64,
}

/// A user's mail program.
#[derive(Clone, Debug)]
pub(super) struct Client {
    deliverer: Arc<Deliverer>,
    relay: String,
    clock: Clock,
}

impl Client {
    /// For a user of the relay at that address.
    pub(super) fn new(
        relay: SocketAddr,
        user: &str,
        password: String,
        dns: &dns::Settings,
        clock: Clock,
    ) -> Self {
        let relay = relay.to_string();
        let mut settings = Settings {
            hostname: format!("{user}.localhost"),
            ..Settings::default()
        };
        let login = Login {
            user: user.to_owned(),
            password,
        };
        let smarthost = Smarthost {
            login: Some(login),
            // Its certificate is one that it has made itself.
            tls: TlsPolicy::Opportunistic,
            is_this_relay: false,
        };
        settings.smarthosts.insert(relay.clone(), smarthost);
        let network = Network {
            resolver: Resolver::new(dns),
            dialer: Dialer::tcp(),
            tls: Connector::new(Vec::new()),
            random: || 0,
            clock: Clock::system(),
        };
        let metrics = Metrics::register(&mut Registry::default());
        let gate = Gate::new(GateRules::default(), GateMetrics::default());
        Self {
            deliverer: Deliverer::new(settings, network, metrics, gate),
            relay,
            clock,
        }
    }

    /// Submits a letter.
    pub(super) async fn submit(&self, letter: &Letter) -> Result<Accepted, DemoError> {
        let refused = |problem: String| DemoError::Refused {
            what: format!("submitting {}", letter.label),
            problem,
        };
        let mailbox = |address: &str| {
            Mailbox::parse(address, false).map_err(|error| refused(error.to_string()))
        };
        let reverse_path = ReversePath::Mailbox(mailbox(&letter.sender())?);
        let (message, delivery) = self.prepare(letter, reverse_path, mailbox(&letter.recipient)?);
        let open = || -> Pending<'static, Box<dyn Content>> {
            let content: Box<dyn Content> = Box::new(letter.content());
            Box::pin(std::future::ready(Ok(content)))
        };
        let attempt = self.deliverer.deliver(&message, &delivery, &open).await;
        let unix_us = self.clock.unix_microseconds();
        let outcomes = attempt.outcomes();
        let Some((outcome, _)) = outcomes.first() else {
            return Err(refused("the relay was not reached".to_owned()));
        };
        match &outcome.outcome {
            Outcome::Delivered(reply) => {
                let mut words = reply.text.split_whitespace();
                match words.find_map(|word| word.parse().ok()) {
                    Some(id) => Ok(Accepted { id, unix_us }),
                    None => Err(refused(format!("it was accepted without an id: {reply}"))),
                }
            }
            other => Err(refused(other.reply().to_string())),
        }
    }

    /// Closes the connection that is kept for the next message.
    pub(super) async fn close(&self) {
        self.deliverer.close().await;
    }

    fn prepare(
        &self,
        letter: &Letter,
        reverse_path: ReversePath,
        recipient: Mailbox,
    ) -> (Message, Delivery) {
        // The client's own; the relay gives it another one.
        let id = MessageId::new(Timestamp::EPOCH, 0);
        let now = self.clock.now();
        let message = Message {
            id,
            origin: Origin::Relay {
                list: String::new(),
                about: None,
            },
            envelope: Envelope {
                reverse_path,
                recipients: vec![Recipient {
                    mailbox: recipient,
                    notify: None,
                    orcpt: None,
                }],
                body: Body::SevenBit,
                smtputf8: false,
                ret: None,
                envid: None,
                mt_priority: None,
                deliver_by: None,
                hold: None,
                require_tls: false,
            },
            // Its own gate has nothing to hold back: the letter's header says how urgent it is.
            class: Class::Normal,
            priorities: Priorities {
                user: Class::Normal,
                message: None,
            },
            accepted: now,
            deliver_until: None,
            scheduled: None,
            content_octets: letter.octets(),
            eight_bit: false,
            subject: String::new(),
            campaign: None,
        };
        let delivery = Delivery {
            id: DeliveryId {
                message: id,
                number: 0,
            },
            next_hop: NextHop::Smarthost(self.relay.as_str().into()),
            recipients: vec![0],
            attempts: 0,
            due: now,
            sequence: 0,
            state: DeliveryState::Waiting,
            delay_reported: false,
            lateness_reported: false,
            moved_from: None,
            changed: None,
            last_reply: String::new(),
        };
        (message, delivery)
    }
}
