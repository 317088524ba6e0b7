//! One attempt: one message to one next hop.
//!
//! Kept connections first, then the hosts in their order, until every recipient has an outcome or
//! there is nowhere left to go. A reply to a recipient decides over it for this attempt; a host that
//! cannot be reached, breaks off or says 421 leaves the recipients to the next one. Only a
//! connection that breaks after the final dot ends it for them: the message may have arrived.

use outpost_smtp::Reply;
use outpost_smtp::client::Closed;

use super::Deliverer;
use super::connection::{Break, Cause, Connection, Load, OpenContent};
use super::hosts::Hosts;
use super::opening::{Failure, Opening, closed_by, lost};
use super::settings::Smarthost;
use super::transaction::{self, Fates};
use crate::message::{
    Attempt, Delivery, HostPort, Message, NextHop, Outcome, RecipientOutcome, RemoteHost,
};

/// Kept connections tried before a new one is opened. Where several in a row are dead, the host has
/// been restarted and the others are dead as well.
const KEPT_CONNECTIONS_TRIED_MAX: usize = 3;

/// Hosts that were reached and did not take the message, after which the attempt ends. Each may take
/// minutes to break off; the next attempt begins with the first again.
const HOSTS_REACHED_MAX: usize = 4;

/// An attempt as far as it has got.
pub(super) struct Course<'a> {
    deliverer: &'a Deliverer,
    message: &'a Message,
    next_hop: &'a NextHop,
    load: Load<'a>,
    /// Recipients without an outcome.
    pending: Vec<u32>,
    outcomes: Vec<RecipientOutcome>,
    host: Option<RemoteHost>,
    is_unknown: bool,
    /// Why the last host did not take the message.
    failure: Option<Failure>,
}

/// What can be done for those who are still pending.
enum Further {
    /// Try elsewhere.
    Elsewhere,
    /// Nothing: nobody is, or nothing would help.
    Nothing,
}

impl<'a> Course<'a> {
    pub(super) fn new(
        deliverer: &'a Deliverer,
        message: &'a Message,
        delivery: &'a Delivery,
        open: &'a OpenContent<'a>,
    ) -> Self {
        Self {
            deliverer,
            message,
            next_hop: &delivery.next_hop,
            load: Load {
                open,
                octets: message.content_octets,
                gate: &deliverer.gate,
                sent: &deliverer.metrics.content_octets,
            },
            pending: delivery.recipients.clone(),
            outcomes: Vec::with_capacity(delivery.recipients.len()),
            host: None,
            is_unknown: false,
            failure: None,
        }
    }

    /// Runs the attempt to its end.
    pub(super) async fn run(mut self) -> Attempt {
        if let Err(outcome) = self.send_somewhere().await {
            // A host that was reached tells more than a search that ended without one.
            let failure = self.failure.take().unwrap_or(Failure {
                outcome,
                is_remote: false,
                host: None,
            });
            self.fail_rest(failure);
        }
        self.outcomes.sort_by_key(|outcome| outcome.recipient);
        Attempt {
            host: self.host,
            outcomes: self.outcomes,
            unknown: self.is_unknown,
        }
    }

    /// Sends to whom it can.
    ///
    /// # Errors
    /// What becomes of those who are still pending, if no host has told.
    async fn send_somewhere(&mut self) -> Result<(), Outcome> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let deliverer = self.deliverer;
        for _ in 0..KEPT_CONNECTIONS_TRIED_MAX {
            let Some(connection) = deliverer.pool.take(self.next_hop) else {
                break;
            };
            if let Further::Nothing = self.send_over(connection).await {
                return Ok(());
            }
            // A kept connection that has died says nothing about the host.
            self.failure = None;
        }
        let standard = Smarthost::default();
        let (mut hosts, smarthost) = match self.next_hop {
            NextHop::Smarthost(name) => {
                let (host_port, smarthost) = self.smarthost(name)?;
                let (resolver, settings) = (&deliverer.network.resolver, &deliverer.settings);
                (
                    Hosts::of_smarthost(resolver, settings, &host_port),
                    smarthost,
                )
            }
            NextHop::Domain(domain) => {
                let (resolver, settings) = (&deliverer.network.resolver, &deliverer.settings);
                let seed = (deliverer.network.random)();
                let hosts = Hosts::of_domain(resolver, settings, domain, seed).await?;
                (hosts, &standard)
            }
        };
        let mut reached = 0;
        while reached < HOSTS_REACHED_MAX
            && let Some(target) = hosts.next().await
        {
            let opening = Opening {
                network: &deliverer.network,
                settings: &deliverer.settings,
                smarthost,
                target: &target,
            };
            match opening.connect().await {
                Ok(connection) => {
                    let is_protected = connection.host().tls.is_some();
                    deliverer
                        .metrics
                        .count_connection(if is_protected { "tls" } else { "clear" });
                    if let Further::Nothing = self.send_over(connection).await {
                        return Ok(());
                    }
                    reached += 1;
                }
                Err(failure) => {
                    deliverer.metrics.count_connection("failed");
                    reached += usize::from(failure.host.is_some());
                    self.failure = Some(failure);
                }
            }
        }
        Err(hosts.nothing_found())
    }

    /// How to speak to a smarthost.
    ///
    /// # Errors
    /// It does not stand in the configuration any more: the mail waits until it is routed anew.
    fn smarthost(&self, name: &str) -> Result<(HostPort, &'a Smarthost), Outcome> {
        let configured = self.deliverer.settings.smarthosts.get(name);
        match (name.parse(), configured) {
            (Ok(host_port), Some(smarthost)) => Ok((host_port, smarthost)),
            _ => Err(Outcome::Deferred(Reply::new(
                451,
                (4, 3, 5),
                "no route leads to this smarthost any more",
            ))),
        }
    }

    /// Sends to the pending recipients over a connection, and keeps it for the next message if it is
    /// still good.
    async fn send_over(&mut self, mut connection: Connection) -> Further {
        let settings = &self.deliverer.settings;
        while !self.pending.is_empty() {
            if connection.transactions() >= settings.transactions_per_connection_max {
                self.deliverer.pool.dismiss(connection);
                return Further::Elsewhere;
            }
            let count = self
                .pending
                .len()
                .min(settings.recipients_per_transaction_max.max(1));
            let rest = self.pending.split_off(count);
            let recipients = std::mem::replace(&mut self.pending, rest);
            self.deliverer.metrics.transactions.inc();
            let transaction = transaction::transaction(self.message, &recipients);
            let further = match connection.transact(transaction, &self.load).await {
                Ok(report) => {
                    let ending = connection.ending();
                    let fates = transaction::fates(&recipients, report, ending.as_ref());
                    self.settle(fates, &mut connection, ending)
                }
                Err(broken) => Some(self.broken(recipients, broken, &connection)),
            };
            if let Some(further) = further {
                return further;
            }
        }
        self.deliverer.keep(self.next_hop, connection);
        Further::Nothing
    }

    /// Takes the replies to a transaction. None: the connection is good for more.
    fn settle(
        &mut self,
        fates: Fates,
        connection: &mut Connection,
        ending: Option<Closed>,
    ) -> Option<Further> {
        if !fates.outcomes.is_empty() {
            self.host = Some(connection.host().clone());
        }
        self.outcomes.extend(fates.outcomes);
        self.pending.splice(..0, fates.remaining);
        let closed = ending?;
        self.failure = Some(closed_by(connection.host(), closed));
        Some(if self.pending.is_empty() {
            Further::Nothing
        } else {
            Further::Elsewhere
        })
    }

    /// A transaction has ended without replies.
    fn broken(&mut self, recipients: Vec<u32>, broken: Break, connection: &Connection) -> Further {
        let host = connection.host();
        let failure = match broken.cause {
            Cause::Lost(error) => lost(host, &error),
            Cause::Closed(closed) => closed_by(host, closed),
            Cause::Content(reason) => {
                tracing::error!(
                    message_id = %self.message.id,
                    reason,
                    "the content of a message cannot be read"
                );
                let reply = Reply::new(451, (4, 3, 0), "the message cannot be read at the moment");
                self.pending.splice(..0, recipients);
                self.fail_rest(Failure {
                    outcome: Outcome::Deferred(reply),
                    is_remote: false,
                    host: Some(host.clone()),
                });
                return Further::Nothing;
            }
        };
        if !broken.is_unknown {
            self.pending.splice(..0, recipients);
            self.failure = Some(failure);
            return Further::Elsewhere;
        }
        // It has to be tried again, at the risk of a duplicate (RFC 1047). Not at another host and
        // not at once, which would make the duplicate certain where a host is merely overloaded.
        self.is_unknown = true;
        self.host = failure.host;
        let outcome = failure.outcome;
        self.outcomes
            .extend(recipients.into_iter().map(|recipient| RecipientOutcome {
                recipient,
                outcome: outcome.clone(),
                remote: failure.is_remote,
            }));
        if self.pending.is_empty() {
            Further::Nothing
        } else {
            Further::Elsewhere
        }
    }

    fn fail_rest(&mut self, failure: Failure) {
        let Failure {
            outcome,
            is_remote,
            host,
        } = failure;
        if host.is_some() || self.outcomes.is_empty() {
            self.host = host;
        }
        let rest = std::mem::take(&mut self.pending);
        self.outcomes
            .extend(rest.into_iter().map(|recipient| RecipientOutcome {
                recipient,
                outcome: outcome.clone(),
                remote: is_remote,
            }));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use outpost_smtp::{Body, Notify, Orcpt, Ret};
    use tokio::time::Instant;

    use super::super::rehearsal::{Act, CONTENT, Mail, Script, World, brief, mailbox, seconds};
    use super::*;
    use crate::spool::{Content, Pending, SpoolError};

    /// The mail of b.example is taken by `first`, and if it does not, by `second`.
    fn two_hosts(first: &Script, second: &Script) -> World {
        World::new()
            .mx("b.example", 10, "mx1.example", "192.0.2.1")
            .mx("b.example", 20, "mx2.example", "192.0.2.2")
            .host("192.0.2.1:25", first)
            .host("192.0.2.2:25", second)
    }

    #[tokio::test]
    async fn a_message_is_handed_over_as_it_is() {
        let host = Script::new();
        let mail = Mail::to(&["you@b.example"]);
        let attempt = mail.deliver(&World::of(&host).deliverer()).await;
        assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
        assert_eq!(host.seen().contents, [CONTENT]);
        assert_eq!(host.verbs(), "EHLO MAIL RCPT DATA .");
        let remote = attempt.host.unwrap();
        assert_eq!(
            (
                remote.name.as_str(),
                remote.address.to_string(),
                remote.port
            ),
            ("mx.example", "192.0.2.1".to_owned(), 25)
        );
        assert!(remote.dsn && remote.tls.is_none() && !attempt.unknown);
    }

    #[tokio::test]
    async fn each_recipient_has_its_own_outcome() {
        let host = Script::new()
            .at("RCPT TO:<bad", Act::Say("550 5.1.1 Nobody\r\n"))
            .at("RCPT TO:<later", Act::Say("451 4.2.0 Later\r\n"));
        let mail = Mail::to(&[
            "bad@b.example",
            "a@b.example",
            "later@b.example",
            "c@b.example",
        ]);
        let attempt = mail.deliver(&World::of(&host).deliverer()).await;
        assert_eq!(
            brief(&attempt),
            [
                "bounced 550 5.1.1",
                "delivered 250 2.0.0",
                "deferred 451 4.2.0",
                "delivered 250 2.0.0"
            ]
        );
        assert_eq!(host.seen().contents.len(), 1);
    }

    #[tokio::test]
    async fn what_is_refused_for_all_is_said_of_each() {
        for (command, reply, outcome) in [
            ("MAIL", "550 5.7.1 Not you\r\n", "bounced 550 5.7.1"),
            ("MAIL", "451 4.7.1 Greylisted\r\n", "deferred 451 4.7.1"),
            ("RCPT", "550 5.1.1 Nobody\r\n", "bounced 550 5.1.1"),
            ("DATA", "554 5.7.0 No\r\n", "bounced 554 5.7.0"),
            (".", "554 5.6.0 Spam\r\n", "bounced 554 5.6.0"),
            (".", "452 4.3.1 Full\r\n", "deferred 452 4.3.1"),
            (".", "552 5.3.4 Too big\r\n", "bounced 552 5.3.4"),
            ("RCPT", "552 5.2.2 Mailbox full\r\n", "bounced 552 5.2.2"),
            ("RCPT", "552 5.5.3 Too many\r\n", "deferred 552 5.5.3"),
            ("RCPT", "452 Too many\r\n", "deferred 452 -"),
            ("RCPT", "550\r\n", "bounced 550 -"),
        ] {
            let (host, other) = (Script::new().at(command, Act::Say(reply)), Script::new());
            let mail = Mail::to(&["a@b.example", "c@b.example"]);
            let attempt = mail.deliver(&two_hosts(&host, &other).deliverer()).await;
            assert_eq!(brief(&attempt), [outcome, outcome], "{command} {reply}");
            assert_eq!(
                other.seen().connections,
                0,
                "a reply is final for the attempt"
            );
        }
    }

    #[tokio::test]
    async fn a_host_that_breaks_off_leaves_the_mail_to_the_next_one() {
        for command in ["connect", "EHLO", "MAIL", "RCPT", "DATA"] {
            for act in [
                Act::Cut,
                Act::SayAndCut("421 4.3.2 Closing\r\n"),
                Act::SayAndCut("nonsense\r\n"),
            ] {
                let (host, other) = (Script::new().at(command, act), Script::new());
                let mail = Mail::to(&["a@b.example", "c@b.example"]);
                let attempt = mail.deliver(&two_hosts(&host, &other).deliverer()).await;
                let delivered = "delivered 250 2.0.0";
                assert_eq!(brief(&attempt), [delivered, delivered], "{command} {act:?}");
                assert_eq!(attempt.host.unwrap().name, "mx2.example");
                assert!(!attempt.unknown);
                assert_eq!((host.seen().connections, other.seen().connections), (1, 1));
            }
        }
    }

    #[tokio::test]
    async fn the_last_host_to_break_off_says_why_mail_waits() {
        for (command, act, outcome) in [
            ("connect", Act::Cut, "deferred 451 4.4.2 local"),
            (
                "connect",
                Act::Say("554 5.7.1 Go away\r\n"),
                "deferred 554 5.7.1",
            ),
            (
                "connect",
                Act::Say("521 5.3.2 No mail here\r\n"),
                "bounced 521 5.3.2",
            ),
            (
                "EHLO",
                Act::Say("451 4.3.0 Not now\r\n"),
                "deferred 451 4.3.0",
            ),
            ("MAIL", Act::Cut, "deferred 451 4.4.2 local"),
            (
                "MAIL",
                Act::SayAndCut("421 4.3.2 Closing\r\n"),
                "deferred 421 4.3.2",
            ),
            (
                "RCPT",
                Act::SayAndCut("421 4.3.2 Closing\r\n"),
                "deferred 421 4.3.2",
            ),
            ("DATA", Act::SayAndCut("x\r\n"), "deferred 451 4.5.0 local"),
            (
                ".",
                Act::SayAndCut("421 4.3.2 Closing\r\n"),
                "deferred 421 4.3.2",
            ),
        ] {
            let host = Script::new().at(command, act);
            let mail = Mail::to(&["a@b.example"]);
            let attempt = mail.deliver(&World::of(&host).deliverer()).await;
            assert_eq!(brief(&attempt), [outcome], "{command} {act:?}");
            assert!(!attempt.unknown);
            assert_eq!(attempt.host.unwrap().name, "mx.example");
        }
    }

    #[tokio::test]
    async fn refusals_before_a_break_stand_and_the_others_go_on() {
        let host = Script::new()
            .at("RCPT TO:<bad", Act::Say("550 5.1.1 Nobody\r\n"))
            .at("DATA", Act::SayAndCut("421 4.3.2 Closing\r\n"));
        let other = Script::new();
        let mail = Mail::to(&["a@b.example", "bad@b.example"]);
        let attempt = mail.deliver(&two_hosts(&host, &other).deliverer()).await;
        assert_eq!(
            brief(&attempt),
            ["delivered 250 2.0.0", "bounced 550 5.1.1"]
        );
        assert!(
            !other
                .seen()
                .commands
                .iter()
                .any(|line| line.contains("bad@"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_final_dot_the_outcome_is_unknown_and_no_other_host_is_tried() {
        for act in [
            Act::Cut,
            Act::Hang,
            Act::Say("999 what\r\n"),
            Act::Say("354 more\r\n"),
        ] {
            let (host, other) = (Script::new().at(".", act), Script::new());
            let mail = Mail::to(&["a@b.example"]);
            let attempt = mail.deliver(&two_hosts(&host, &other).deliverer()).await;
            assert!(attempt.unknown, "{act:?}");
            assert!(brief(&attempt)[0].starts_with("deferred 451 4."), "{act:?}");
            assert_eq!(other.seen().connections, 0);
            assert_eq!(host.seen().contents.len(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_waited_for_longer_than_the_rfc_asks() {
        let minutes = |minutes: u64| seconds(60 * minutes);
        for (command, within) in [
            ("connect", minutes(5)),
            ("EHLO", minutes(5)),
            ("MAIL", minutes(5)),
            ("RCPT", minutes(5)),
            ("DATA", minutes(2)),
            (".", minutes(10)),
        ] {
            let host = Script::new().at(command, Act::Hang);
            let begun = Instant::now();
            let attempt = Mail::to(&["a@b.example"])
                .deliver(&World::of(&host).deliverer())
                .await;
            assert_eq!(brief(&attempt), ["deferred 451 4.4.2 local"], "{command}");
            assert_eq!(begun.elapsed(), within, "{command}");
            assert_eq!(attempt.unknown, command == ".", "{command}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_does_not_answer_is_passed_over() {
        let host = Script::new();
        let world = World::new()
            .mx("b.example", 10, "silent.example", "198.51.100.1")
            .mx("b.example", 20, "closed.example", "192.0.2.1")
            .mx("b.example", 30, "mx.example", "192.0.2.2")
            .host("192.0.2.2:25", &host);
        let begun = Instant::now();
        let attempt = Mail::to(&["a@b.example"]).deliver(&world.deliverer()).await;
        assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
        assert_eq!(begun.elapsed(), seconds(30));
    }

    #[tokio::test(start_paused = true)]
    async fn hosts_are_tried_within_bounds_and_their_silence_is_a_deferral() {
        let mut world = World::new();
        for number in 1..=20 {
            let name = format!("mx{number}.example");
            let address = format!("198.51.100.{number}");
            world = world.mx("b.example", number, &name, &address);
        }
        let begun = Instant::now();
        let attempt = Mail::to(&["a@b.example"]).deliver(&world.deliverer()).await;
        assert_eq!(brief(&attempt), ["deferred 451 4.4.1 local"]);
        assert_eq!(attempt.host, None);
        assert_eq!(begun.elapsed(), seconds(30 * 8));
    }

    #[tokio::test(start_paused = true)]
    async fn hosts_that_hold_us_up_are_tried_within_bounds() {
        let mut world = World::new();
        let host = Script::new().at("connect", Act::Hang);
        for number in 1..=8 {
            let address = format!("192.0.2.{number}");
            world = world
                .mx(
                    "b.example",
                    number,
                    &format!("mx{number}.example"),
                    &address,
                )
                .host(&format!("{address}:25"), &host);
        }
        let begun = Instant::now();
        let attempt = Mail::to(&["a@b.example"]).deliver(&world.deliverer()).await;
        assert_eq!(brief(&attempt), ["deferred 451 4.4.2 local"]);
        assert_eq!(host.seen().connections, HOSTS_REACHED_MAX);
        assert_eq!(begun.elapsed(), seconds(4 * 300));
    }

    #[tokio::test]
    async fn a_domain_without_hosts_is_decided_over_without_one() {
        let world = World::new().mx("null.example", 0, "", "-");
        let deliverer = world.deliverer();
        for (domain, outcome) in [
            ("null.example", "bounced 556 5.1.10 local"),
            ("none.example", "bounced 550 5.1.2 local"),
        ] {
            let next_hop = NextHop::Domain(domain.to_owned());
            let mail = Mail::by(next_hop, &["a@b.example", "c@b.example"]);
            let attempt = mail.deliver(&deliverer).await;
            assert_eq!(brief(&attempt), [outcome, outcome]);
            assert_eq!(attempt.host, None);
        }
    }

    #[tokio::test]
    async fn a_smarthost_that_is_not_configured_any_more_makes_mail_wait() {
        let mail = Mail::by(
            NextHop::Smarthost("old.example:25".to_owned()),
            &["a@b.example"],
        );
        let attempt = mail.deliver(&World::new().deliverer()).await;
        assert_eq!(brief(&attempt), ["deferred 451 4.3.5 local"]);
    }

    #[tokio::test]
    async fn commands_leave_in_one_write_and_the_dot_with_the_content() {
        let host = Script::new();
        let mail = Mail::to(&["a@b.example", "c@b.example"]);
        mail.deliver(&World::of(&host).deliverer()).await;
        let size = CONTENT.len();
        assert_eq!(
            host.seen().reads,
            [
                "EHLO relay.example\r\n".to_owned(),
                format!(
                    "MAIL FROM:<me@a.example> SIZE={size}\r\nRCPT TO:<a@b.example>\r\n\
                     RCPT TO:<c@b.example>\r\nDATA\r\n"
                ),
                "Subject: Hello\r\n\r\n..One line with a dot.\r\n.\r\n".to_owned(),
            ]
        );
    }

    #[tokio::test]
    async fn a_host_without_pipelining_gets_one_command_at_a_time() {
        let host = Script::new().listing(&["SIZE"]);
        Mail::to(&["a@b.example"])
            .deliver(&World::of(&host).deliverer())
            .await;
        let firsts: Vec<String> = host
            .seen()
            .reads
            .iter()
            .map(|read| read[..4].to_owned())
            .collect();
        assert_eq!(firsts, ["EHLO", "MAIL", "RCPT", "DATA", "Subj"]);
    }

    #[tokio::test]
    async fn what_a_host_cannot_take_is_never_sent_to_it() {
        let eight_bit = |mail: &mut Mail| mail.message.eight_bit = true;
        let utf8 = |mail: &mut Mail| {
            mail.message.envelope.smtputf8 = true;
            mail.message.envelope.recipients[0].mailbox = mailbox("jörg@b.example");
        };
        let utf8_header = |mail: &mut Mail| {
            mail.message.envelope.smtputf8 = true;
            mail.message.eight_bit = true;
        };
        let large = |mail: &mut Mail| mail.message.content_octets = 5_000;
        type Case<'a> = (&'a [&'static str], &'a dyn Fn(&mut Mail), &'a str);
        let cases: [Case<'_>; 5] = [
            (&["PIPELINING"], &eight_bit, "bounced 554 5.6.3 local"),
            (&["8BITMIME"], &utf8, "bounced 550 5.6.7 local"),
            (&["8BITMIME"], &utf8_header, "bounced 550 5.6.9 local"),
            (&["SIZE 4000"], &large, "bounced 552 5.3.4 local"),
            (&[], &eight_bit, "bounced 554 5.6.3 local"),
        ];
        for (extensions, change, outcome) in cases {
            let host = Script::new().listing(extensions);
            let mut mail = Mail::to(&["a@b.example"]);
            change(&mut mail);
            let deliverer = World::of(&host).deliverer();
            let attempt = mail.deliver(&deliverer).await;
            assert_eq!(brief(&attempt), [outcome], "{extensions:?}");
            assert_eq!(host.verbs(), "EHLO");
            // The connection is good for the next message.
            let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
            assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
            assert_eq!(host.seen().connections, 1);
        }
    }

    #[tokio::test]
    async fn a_message_that_needs_no_extension_goes_to_a_host_without_any() {
        let host = Script::new().listing(&[]);
        let mut mail = Mail::to(&["a@b.example"]);
        // Declared, and not needed after all.
        mail.message.envelope.body = Body::EightBitMime;
        mail.message.envelope.smtputf8 = true;
        let attempt = mail.deliver(&World::of(&host).deliverer()).await;
        assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
        assert_eq!(host.seen().commands[1], "MAIL FROM:<me@a.example>");
    }

    #[tokio::test]
    async fn dsn_wishes_are_passed_on_to_those_who_offer_dsn() {
        let mut mail = Mail::to(&["a@b.example"]);
        mail.message.envelope.ret = Some(Ret::Headers);
        mail.message.envelope.envid = Some("x1".to_owned());
        let recipient = &mut mail.message.envelope.recipients[0];
        recipient.notify = Some(Notify {
            success: true,
            ..Notify::default()
        });
        recipient.orcpt = Some(Orcpt {
            address_type: "rfc822".to_owned(),
            address: "first@z.example".to_owned(),
        });
        for (extensions, parameters) in [
            (
                &["DSN"][..],
                (
                    " RET=HDRS ENVID=x1",
                    " NOTIFY=SUCCESS ORCPT=rfc822;first@z.example",
                ),
            ),
            (&[], ("", "")),
        ] {
            let host = Script::new().listing(extensions);
            let attempt = mail.deliver(&World::of(&host).deliverer()).await;
            assert_eq!(attempt.host.unwrap().dsn, !extensions.is_empty());
            let commands = host.seen().commands;
            assert_eq!(
                commands[1],
                format!("MAIL FROM:<me@a.example>{}", parameters.0)
            );
            assert_eq!(
                commands[2],
                format!("RCPT TO:<a@b.example>{}", parameters.1)
            );
        }
    }

    #[tokio::test]
    async fn many_recipients_go_in_several_transactions_over_one_connection() {
        let addresses: Vec<String> = (0..250).map(|n| format!("r{n}@b.example")).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let host = Script::new();
        let attempt = Mail::to(&addresses)
            .deliver(&World::of(&host).deliverer())
            .await;
        assert_eq!(attempt.outcomes.len(), 250);
        assert!(
            attempt
                .outcomes
                .is_sorted_by_key(|outcome| outcome.recipient)
        );
        assert!(
            brief(&attempt)
                .iter()
                .all(|outcome| outcome == "delivered 250 2.0.0")
        );
        assert_eq!(
            (host.seen().contents.len(), host.seen().connections),
            (3, 1)
        );
    }

    #[tokio::test]
    async fn recipients_that_were_too_many_follow_at_once() {
        for reply in [
            "452 4.5.3 Too many\r\n",
            "452 Too many\r\n",
            "552 Too many\r\n",
        ] {
            let host = Script::new().times(1, "RCPT TO:<b", Act::Say(reply)).times(
                1,
                "RCPT TO:<c",
                Act::Say(reply),
            );
            let mail = Mail::to(&["a@b.example", "b@b.example", "c@b.example"]);
            let attempt = mail.deliver(&World::of(&host).deliverer()).await;
            assert_eq!(brief(&attempt), vec!["delivered 250 2.0.0"; 3], "{reply}");
            assert_eq!(host.seen().contents.len(), 2);
        }
        // A host that takes nobody is not asked again.
        let host = Script::new().at("RCPT", Act::Say("452 4.5.3 Too many\r\n"));
        let attempt = Mail::to(&["a@b.example"])
            .deliver(&World::of(&host).deliverer())
            .await;
        assert_eq!(brief(&attempt), ["deferred 452 4.5.3"]);
    }

    #[tokio::test]
    async fn a_large_content_arrives_as_it_was_however_it_was_cut() {
        let line = format!(".{}\r\n", "x".repeat(70));
        let content = format!("Subject: Hello\r\n\r\n{}", line.repeat(10_000));
        for piece in [1_000, 64 * 1024] {
            let host = Script::new();
            let mail = Mail::to(&["a@b.example"]).with_content(content.clone(), piece);
            let attempt = mail.deliver(&World::of(&host).deliverer()).await;
            assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
            assert!(host.seen().contents == [content.as_str()], "cut at {piece}");
        }
    }

    #[tokio::test]
    async fn a_cut_in_the_middle_of_the_content_leaves_the_mail_to_the_next_host() {
        let content = "x".repeat(70).repeat(20_000) + "\r\n";
        let host = Script::new().at("DATA", Act::CutInContent(100_000));
        let other = Script::new();
        let mail = Mail::to(&["a@b.example"]).with_content(content.clone(), 64 * 1024);
        let attempt = mail.deliver(&two_hosts(&host, &other).deliverer()).await;
        assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
        assert!(!attempt.unknown);
        assert!(host.seen().contents.is_empty() && other.seen().contents == [content]);
    }

    #[tokio::test]
    async fn a_refusal_in_the_middle_of_the_content_counts() {
        let content = "x".repeat(70).repeat(20_000) + "\r\n";
        let host = Script::new().at(
            "DATA",
            Act::RefuseInContent(100_000, "552 5.3.4 Too large\r\n"),
        );
        let mail = Mail::to(&["a@b.example"]).with_content(content, 64 * 1024);
        let attempt = mail.deliver(&World::of(&host).deliverer()).await;
        assert_eq!(brief(&attempt), ["bounced 552 5.3.4"]);
        assert!(!attempt.unknown);
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_stops_reading_is_given_up() {
        let content = "x".repeat(70).repeat(20_000) + "\r\n";
        let host = Script::new().at("DATA", Act::StopReading);
        let mail = Mail::to(&["a@b.example"]).with_content(content, 64 * 1024);
        let begun = Instant::now();
        let attempt = mail.deliver(&World::of(&host).deliverer()).await;
        assert_eq!(brief(&attempt), ["deferred 451 4.4.2 local"]);
        assert!(begun.elapsed() >= seconds(180), "{:?}", begun.elapsed());
        assert!(begun.elapsed() < seconds(190), "{:?}", begun.elapsed());
        assert!(!attempt.unknown);
    }

    #[tokio::test]
    async fn content_that_cannot_be_read_is_never_ended() {
        struct Torn;
        impl Content for Torn {
            fn next(&mut self) -> Pending<'_, Option<bytes::Bytes>> {
                Box::pin(async { Err(SpoolError::Unavailable("torn".into())) })
            }
        }
        let host = Script::new();
        let deliverer = World::of(&host).deliverer();
        let short = Mail::to(&["a@b.example"]);
        let mut long = Mail::to(&["a@b.example", "c@b.example"]);
        long.message.content_octets += 1;
        let attempt = long.deliver(&deliverer).await;
        assert_eq!(brief(&attempt), vec!["deferred 451 4.3.0 local"; 2]);
        let open = || -> Pending<'static, Box<dyn Content>> {
            Box::pin(async { Ok(Box::new(Torn) as Box<dyn Content>) })
        };
        let attempt = deliverer
            .deliver(&short.message, &short.delivery, &open)
            .await;
        assert_eq!(brief(&attempt), ["deferred 451 4.3.0 local"]);
        assert!(host.seen().contents.is_empty());
        assert_eq!(host.verbs(), "EHLO MAIL RCPT RCPT DATA EHLO MAIL RCPT DATA");
    }

    #[tokio::test]
    async fn a_bare_line_end_is_never_sent() {
        let host = Script::new();
        let content = "Subject: x\r\n\r\nsmuggled\n.\nMAIL FROM:<>\r\n".to_owned();
        let mail = Mail::to(&["a@b.example"]).with_content(content, 5);
        let attempt = mail.deliver(&World::of(&host).deliverer()).await;
        assert_eq!(brief(&attempt), ["bounced 554 5.6.11 local"]);
        assert!(host.seen().contents.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_that_comes_octet_by_octet_gains_no_time() {
        let host = Script::new().at("MAIL", Act::Drip("250 2.0.0 Ok", Duration::from_secs(59)));
        let begun = Instant::now();
        let attempt = Mail::to(&["a@b.example"])
            .deliver(&World::of(&host).deliverer())
            .await;
        assert_eq!(brief(&attempt), ["deferred 451 4.4.2 local"]);
        assert_eq!(begun.elapsed(), seconds(300));
    }
}
