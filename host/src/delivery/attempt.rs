//! One attempt: one message to one next hop.
//!
//! Kept connections first, then the hosts in their order, until every recipient has an outcome or
//! there is nowhere left to go. A host that takes a recipient or refuses it for good decides over it; one
//! that refuses it for now, cannot be reached or breaks off leaves it to the next one (RFC 5321 §5.1), or
//! a backup would never be of use while the first host says 451. A connection that breaks after the
//! final dot ends it for all in that transaction: the message may have arrived.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use outpost_smtp::Reply;
use outpost_smtp::client::Report;
use tokio::time::Instant;

use super::Deliverer;
use super::connection::{Break, Cause, Connection, Load, OpenContent};
use super::fitting::{Look, Misfit, fit};
use super::hosts::{Hosts, Target};
use super::opening::{Failure, Opening, closed_by, lost};
use super::room::{Given, Place};
use super::settings::Smarthost;
use super::transaction::{self, Fates};
use crate::message::{
    Attempt, Delivery, HostPort, Message, NextHop, Outcome, RecipientOutcome, RemoteHost, Visit,
};

/// Kept connections tried before a new one is opened. Where several in a row are dead, the host has
/// been restarted and the others are dead as well.
const KEPT_CONNECTIONS_TRIED_MAX: usize = 3;

/// Hosts that were reached and did not take the message, after which the attempt ends. Each may take
/// minutes to break off; the next attempt begins with the first again.
const HOSTS_REACHED_MAX: usize = 4;

/// Characters kept of a reply. A hundred lines of two thousand octets for each recipient are a reply as well,
/// and every attempt of every one of them stands in the trail.
const REPLY_CHARACTERS_MAX: usize = 1_000;

/// An attempt as far as it has got.
pub(super) struct Course<'a> {
    deliverer: &'a Deliverer,
    message: &'a Message,
    next_hop: &'a NextHop,
    load: Load<'a>,
    /// Recipients who are still to be sent to.
    pending: Vec<u32>,
    /// Recipients whom the host that is spoken to has refused for now: another one may take them.
    put_off: Vec<u32>,
    /// Hosts that have done so. They are not asked twice in one attempt.
    asked: Vec<SocketAddr>,
    visits: Vec<Visit>,
    /// How long it may still wait for places at hosts.
    patience: Duration,
    /// When the last of the visits ended, or the attempt began.
    since: Instant,
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
                look: Look::default(),
                gate: &deliverer.gate,
                sent: &deliverer.metrics.content_octets,
            },
            pending: delivery.recipients.clone(),
            put_off: Vec::new(),
            asked: Vec::new(),
            visits: Vec::new(),
            patience: deliverer.settings.connect_time_max,
            since: Instant::now(),
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
        for visit in &mut self.visits {
            visit.outcomes.sort_by_key(|outcome| outcome.recipient);
        }
        Attempt {
            visits: self.visits,
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
            if !self.asked.is_empty() {
                break;
            }
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
            if self.asked.contains(&target.address) {
                continue;
            }
            let place = match self.place_at(&target).await {
                Ok(None) if self.pending.is_empty() => return Ok(()),
                // It has been spoken to, over a connection that was kept for another domain.
                Ok(None) if self.asked.contains(&target.address) => continue,
                Ok(place) => place,
                Err(failure) => {
                    self.note(failure);
                    continue;
                }
            };
            let opening = Opening {
                network: &deliverer.network,
                settings: &deliverer.settings,
                smarthost,
                target: &target,
            };
            match opening.connect().await {
                Ok(mut connection) => {
                    connection.takes(place);
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
                    self.note(failure);
                }
            }
        }
        let is_final = |failure: &Failure| matches!(failure.outcome, Outcome::Bounced(_));
        if hosts.is_incomplete() && self.failure.as_ref().is_some_and(is_final) {
            self.failure = None;
        }
        Err(hosts.nothing_found())
    }

    /// Sends over connections to the host that were kept for other domains. When that does not serve
    /// everybody, a place for a connection of our own; none where they are not counted.
    ///
    /// # Errors
    /// No place became free in time.
    async fn place_at(&mut self, target: &Target) -> Result<Option<Place>, Failure> {
        if let NextHop::Smarthost(_) = self.next_hop {
            return Ok(None);
        }
        let deliverer = self.deliverer;
        for _ in 0..KEPT_CONNECTIONS_TRIED_MAX {
            let kept = deliverer.pool.take_to(&target.name, target.address);
            let Some(connection) = kept else { break };
            let before = self.failure.take();
            let further = self.send_over(connection).await;
            self.failure = before;
            if matches!(further, Further::Nothing) || self.asked.contains(&target.address) {
                return Ok(None);
            }
        }
        let host = target.address.ip();
        if deliverer.room.is_full(host) {
            deliverer.pool.make_room_at(host);
        }
        let within = self.patience;
        let begun = Instant::now();
        let given = deliverer.room.take(host, within).await;
        self.patience = within.saturating_sub(begun.elapsed());
        match given {
            Some(Given::Place(place)) => Ok(Some(place)),
            Some(Given::Connection(connection)) => {
                if let Further::Elsewhere = self.send_over(*connection).await {
                    // It was good a moment ago: what it came to is the host's answer.
                    self.asked.push(target.address);
                }
                Ok(None)
            }
            None => {
                let text = format!("{target} has as many connections from here as it may");
                Err(Failure {
                    outcome: Outcome::Deferred(Reply::new(451, (4, 4, 5), text)),
                    is_remote: false,
                    // It can be reached: others speak to it at this moment.
                    host: Some(target.host()),
                })
            }
        }
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

    /// Sends to the pending recipients over a connection. Those whom the host has put off are pending
    /// again afterwards, for another one.
    async fn send_over(&mut self, connection: Connection) -> Further {
        self.converse(connection).await;
        self.pending.append(&mut self.put_off);
        if self.pending.is_empty() {
            Further::Nothing
        } else {
            Further::Elsewhere
        }
    }

    /// Sends to the pending recipients over a connection as long as it is good, and keeps it for the next
    /// message if it still is then.
    async fn converse(&mut self, mut connection: Connection) {
        let settings = &self.deliverer.settings;
        while !self.pending.is_empty() {
            if connection.transactions() >= settings.transactions_per_connection_max {
                return self.deliverer.pool.dismiss(connection);
            }
            let count = self
                .pending
                .len()
                .min(settings.recipients_per_transaction_max.max(1));
            let rest = self.pending.split_off(count);
            let recipients = std::mem::replace(&mut self.pending, rest);
            self.deliverer.metrics.transactions.inc();
            match self.transact(&mut connection, &recipients).await {
                Ok(report) => {
                    let ending = connection.ending();
                    let fates =
                        transaction::fates(self.next_hop, &recipients, report, ending.as_ref());
                    self.settle(fates, connection.host());
                    if let Some(closed) = ending {
                        self.failure = Some(closed_by(connection.host(), closed));
                        return;
                    }
                }
                Err(broken) => return self.broken(recipients, broken, &connection),
            }
        }
        self.deliverer.keep(self.next_hop, connection).await;
    }

    /// One transaction, with the message as this host can take it.
    async fn transact(
        &self,
        connection: &mut Connection,
        recipients: &[u32],
    ) -> Result<Report, Break> {
        let extensions = connection.extensions();
        let (look, open) = (&self.load.look, self.load.open);
        let fitted = match fit(self.message, recipients, extensions, look, open).await {
            Ok(fitted) => fitted,
            Err(Misfit::Reply(reply)) => return Ok(Report::local(reply, recipients.len())),
            Err(Misfit::Content(reason)) => {
                return Err(Break::early(Cause::Content(reason)));
            }
        };
        if fitted.conversion.is_some() {
            tracing::info!(
                message_id = %self.message.id,
                next_hop = %self.next_hop,
                host = connection.host().name,
                "converted to seven bits"
            );
        }
        connection.transact(fitted, &self.load).await
    }

    /// Takes the replies to a transaction.
    fn settle(&mut self, fates: Fates, host: &RemoteHost) {
        let put_off = fates.outcomes.iter().filter(|outcome| {
            // What is said by us would be said to the next host as well.
            outcome.remote && matches!(outcome.outcome, Outcome::Deferred(_))
        });
        let before = self.put_off.len();
        self.put_off
            .extend(put_off.map(|outcome| outcome.recipient));
        if self.put_off.len() > before {
            self.asked.push(SocketAddr::new(host.address, host.port));
        }
        self.record(Some(host.clone()), fates.outcomes, false);
        self.pending.splice(..0, fates.remaining);
    }

    /// Takes what was said to some recipients before a break. Returns the others.
    fn settle_refused(
        &mut self,
        recipients: Vec<u32>,
        mut refusals: Vec<Option<Reply>>,
        host: &RemoteHost,
    ) -> Vec<u32> {
        refusals.resize(recipients.len(), None);
        let (mut refused, mut replies, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for (recipient, refusal) in recipients.into_iter().zip(refusals) {
            match refusal {
                Some(reply) => {
                    refused.push(recipient);
                    replies.push(reply);
                }
                None => rest.push(recipient),
            }
        }
        let report = Report::of_refusals(replies);
        let fates = transaction::fates(self.next_hop, &refused, report, None);
        self.settle(fates, host);
        rest
    }

    /// A transaction has ended without replies.
    fn broken(&mut self, recipients: Vec<u32>, broken: Break, connection: &Connection) {
        let host = connection.host();
        let recipients = self.settle_refused(recipients, broken.refusals, host);
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
                // No other host would get it either.
                self.put_off.clear();
                return self.fail_rest(Failure {
                    outcome: Outcome::Deferred(reply),
                    is_remote: false,
                    host: Some(host.clone()),
                });
            }
        };
        if !broken.is_unknown {
            self.pending.splice(..0, recipients);
            self.failure = Some(failure);
            return;
        }
        // It has to be tried again, at the risk of a duplicate (RFC 1047). Not at another host and
        // not at once, which would make the duplicate certain where a host is merely overloaded.
        self.record_failure(failure, recipients, true);
    }

    /// Keeps why a host did not let us in. That one of them will never take mail (RFC 7504) does not matter
    /// as long as another one may do so later.
    fn note(&mut self, failure: Failure) {
        let may_change = |failure: &Failure| matches!(failure.outcome, Outcome::Deferred(_));
        if may_change(&failure) || !self.failure.as_ref().is_some_and(may_change) {
            self.failure = Some(failure);
        }
    }

    /// Nobody else can be asked. What a host has said of a recipient stands; this becomes of the others.
    fn fail_rest(&mut self, failure: Failure) {
        let mut rest = std::mem::take(&mut self.pending);
        let told = self.visits.iter().flat_map(|visit| &visit.outcomes);
        let told: HashSet<u32> = told.map(|outcome| outcome.recipient).collect();
        rest.retain(|recipient| !told.contains(recipient));
        self.record_failure(failure, rest, false);
    }

    fn record_failure(&mut self, failure: Failure, recipients: Vec<u32>, is_unknown: bool) {
        let outcomes = recipients.into_iter().map(|recipient| RecipientOutcome {
            recipient,
            outcome: failure.outcome.clone(),
            remote: failure.is_remote,
        });
        self.record(failure.host, outcomes.collect(), is_unknown);
    }

    /// Notes what became of some recipients, and where.
    fn record(
        &mut self,
        host: Option<RemoteHost>,
        mut outcomes: Vec<RecipientOutcome>,
        unknown: bool,
    ) {
        if outcomes.is_empty() {
            return;
        }
        for outcome in &mut outcomes {
            cut(outcome.outcome.reply_mut());
        }
        let took = self.since.elapsed();
        self.since = Instant::now();
        match self.visits.last_mut() {
            Some(visit) if visit.host == host => {
                visit.took += took;
                visit.outcomes.extend(outcomes);
                visit.unknown |= unknown;
            }
            _ => self.visits.push(Visit {
                host,
                took,
                outcomes,
                unknown,
            }),
        }
    }
}

fn cut(reply: &mut Reply) {
    if let Some((end, _)) = reply.text.char_indices().nth(REPLY_CHARACTERS_MAX) {
        reply.text.truncate(end);
        reply.text.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests;
