//! One attempt: one message to one next hop.
//!
//! Kept connections first, then the hosts in their order, until every recipient has an outcome or
//! there is nowhere left to go. A host that takes a recipient or refuses it for good decides over it; one
//! that refuses it for now, cannot be reached or breaks off leaves it to the next one (RFC 5321 §5.1), or
//! a backup would never be of use while the first host says 451. So does one that could not take the message
//! as it is. A connection that breaks after the final dot ends it for all in that transaction: the message
//! may have arrived. Where a connection comes from stands in `connecting`, what is said over one in `conversation`;
//! what hosts have said so far is kept by `heard`.

mod connecting;
mod conversation;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use outpost_smtp::Reply;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::Deliverer;
use super::connection::{Load, OpenContent};
use super::fitting::Look;
use super::gate::Passage;
use super::heard::Heard;
use super::hosts::{Hosts, Target};
use super::minutes::Overheard;
use super::opening::{Failure, Protection};
use super::room::Place;
use super::settings::Smarthost;
use crate::message::{
    Attempt, Contact, Delivery, Dialogue, Message, NextHop, Outcome, Party, RecipientOutcome,
    RemoteHost, Visit,
};

use conversation::End;

/// Kept connections tried before a new one is opened. Where several in a row are dead, the host has
/// been restarted and the others are dead as well.
const KEPT_CONNECTIONS_TRIED_MAX: usize = 3;

/// Hosts that were reached and did not take the message, after which the attempt ends. Each may take
/// minutes to break off; the next attempt begins with the first again. Those that list too little for the message
/// say so at once and do not count: were one left that was not asked, it might have taken what bounces.
const HOSTS_REACHED_MAX: usize = 4;

/// Recipients at whose RCPT a conversation ended in one attempt and who cost a new connection. Were there more, the
/// next attempts begin with others.
const SUSPECTS_MAX: usize = 4;

/// Characters kept of a reply. A hundred lines of two thousand octets for each recipient are a reply as well,
/// and every attempt of every one of them stands in the trail.
const REPLY_CHARACTERS_MAX: usize = 1_000;

/// Connections of one attempt whose dialogues are kept: the first ones and the last one. More than a few are only for
/// thousands of recipients.
const DIALOGUES_MAX: usize = 12;

/// How the content is read.
#[derive(Clone, Copy)]
pub(super) struct Ways<'a> {
    /// As it is.
    pub(super) open: &'a OpenContent<'a>,
    /// With its priority in its header.
    pub(super) tunnel: &'a OpenContent<'a>,
}

/// An attempt as far as it has got.
pub(super) struct Course<'a> {
    deliverer: &'a Deliverer,
    message: &'a Message,
    next_hop: &'a NextHop,
    delivery: &'a Delivery,
    load: Load<'a>,
    /// The same as it goes through the tunnel, once a host needs that.
    tunnelled: OnceCell<Load<'a>>,
    ways: Ways<'a>,
    /// What the message asks of a connection.
    protection: Protection,
    /// Recipients who are still to be sent to.
    pending: Vec<u32>,
    /// Recipients whom the host that is spoken to does not take now: another one may.
    put_off: Vec<u32>,
    /// Those at whose RCPT a conversation has ended.
    suspects: Vec<u32>,
    /// It happened over a new connection at the one who came first.
    broke_at_first: bool,
    /// So many of the pending, the first ones, were taken before that happened.
    proven: usize,
    heard: Heard,
    /// Hosts that were reached, without those that list too little for the message.
    reached: HashSet<SocketAddr>,
    contact: Contact,
    /// A connection that had carried mail was left: none of those that are kept is taken any more.
    wants_new: bool,
    /// The place that it had.
    place: Option<Place>,
    /// A host that takes mail has no room for this now: those behind it are not asked.
    is_crowded_out: bool,
    /// The host that a connection is wanted to, or was wanted to last.
    wanted: Option<RemoteHost>,
    /// The relay stops, and has cut it off.
    is_cut_off: bool,
    /// Something very high moves, and nothing of this has begun.
    gave_way: bool,
    visits: Vec<Visit>,
    /// What was said, connection by connection, and where.
    dialogues: Vec<(Party, Overheard)>,
    /// Dialogues before the last one that are not kept.
    dialogues_left_out: usize,
    /// How long it may still wait for places at hosts.
    patience: Duration,
    /// When the last of the visits ended, or the attempt began.
    since: Instant,
}

impl<'a> Course<'a> {
    pub(super) fn new(
        deliverer: &'a Deliverer,
        message: &'a Message,
        delivery: &'a Delivery,
        ways: Ways<'a>,
        passage: &'a Passage,
    ) -> Self {
        Self {
            deliverer,
            message,
            next_hop: &delivery.next_hop,
            delivery,
            load: Load {
                open: ways.open,
                octets: message.content_octets,
                look: Look::default(),
                passage,
                sent: &deliverer.metrics.content_octets,
            },
            tunnelled: OnceCell::new(),
            ways,
            protection: Protection::of(message),
            pending: in_turn(delivery),
            put_off: Vec::new(),
            suspects: Vec::new(),
            broke_at_first: false,
            proven: 0,
            heard: Heard::default(),
            reached: HashSet::new(),
            contact: Contact::Missed,
            wants_new: false,
            place: None,
            is_crowded_out: false,
            wanted: None,
            is_cut_off: false,
            gave_way: false,
            visits: Vec::new(),
            dialogues: Vec::new(),
            dialogues_left_out: 0,
            patience: deliverer.settings.connect_time_max,
            since: Instant::now(),
        }
    }

    /// Runs the attempt to its end, or until the relay stops.
    pub(super) async fn run(mut self) -> Attempt {
        let passage = self.load.passage;
        let ended = tokio::select! {
            biased;
            // A transaction that is cut off says first how far it has come.
            ended = self.send_somewhere() => Some(ended),
            () = passage.is_cut_off() => None,
        };
        match ended {
            Some(Ok(())) => {}
            Some(Err(outcome)) => self.fail_rest(Failure::of_ours(outcome)),
            None => {
                self.is_cut_off = true;
                // Some of them may have been on their way into a transaction.
                self.pending = self.delivery.recipients.clone();
                let failure = cut_off(self.wanted.take(), "before the message was sent");
                self.fail_rest(failure);
            }
        }
        if self.is_cut_off {
            self.contact = Contact::CutOff;
        } else if self.gave_way {
            self.contact = Contact::GaveWay;
        }
        for visit in &mut self.visits {
            visit.outcomes.sort_by_key(|outcome| outcome.recipient);
        }
        if let (Some((_, last)), 1..) = (self.dialogues.last_mut(), self.dialogues_left_out) {
            let left_out = self.dialogues_left_out;
            let note = format!("[{left_out} connections before this one are left out]");
            last.transcript = last.transcript.behind(&note);
        }
        Attempt {
            visits: self.visits,
            contact: self.contact,
            pauses: Vec::new(),
            mail_ago: None,
            dialogues: self.dialogues.into_iter().map(dialogue).collect(),
        }
    }

    /// Keeps what was said to a host.
    fn overheard(&mut self, host: &RemoteHost, overheard: impl IntoIterator<Item = Overheard>) {
        for overheard in overheard {
            if self.dialogues.len() == DIALOGUES_MAX {
                self.dialogues.pop();
                self.dialogues_left_out += 1;
            }
            let with = Party::Host {
                next_hop: self.next_hop.clone(),
                name: host.name.clone(),
                address: SocketAddr::new(host.address, host.port),
            };
            self.dialogues.push((with, overheard));
        }
    }

    /// Sends to whom it can, and concludes what becomes of the others.
    ///
    /// # Errors
    /// What becomes of those who are still pending, when there is no host to ask.
    async fn send_somewhere(&mut self) -> Result<(), Outcome> {
        let deliverer = self.deliverer;
        // Mail of a domain may have gone over a connection that was verified for a host which only MX records name.
        let kept_max = match (self.next_hop, self.protection) {
            (NextHop::Domain(_), Protection::Wanted | Protection::Required) => 0,
            _ => KEPT_CONNECTIONS_TRIED_MAX,
        };
        for _ in 0..kept_max {
            if self.pending.is_empty() {
                return Ok(());
            }
            let Some(connection) = deliverer.pool.take(self.next_hop, self.protection) else {
                break;
            };
            // A kept connection that has died says nothing about the host.
            self.converse(connection).await;
            self.turn_away();
            if self.wants_new || self.heard.has_put_off() {
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
                if hosts.are_of_mx_records() {
                    self.goes_by_mx(domain)?;
                }
                (hosts, &standard)
            }
        };
        while !self.pending.is_empty()
            && self.reached.len() < HOSTS_REACHED_MAX
            && let Some(target) = match self.is_crowded_out {
                // One that takes mail as fast as it can is no reason to try those behind it.
                true => hosts.next_equal(),
                false => hosts.next().await,
            }
        {
            self.turn_to(&target);
            if !self.pending.is_empty()
                && let Err(failure) = self.visit(&target, smarthost).await
            {
                tracing::debug!(
                    message_id = %self.message.id,
                    next_hop = %self.next_hop,
                    host = target.name,
                    address = %target.address,
                    reply = %failure.outcome.reply(),
                    "this host was not asked about all recipients: the next one is"
                );
                self.heard.failed(&target.name, failure);
            }
            self.turn_away();
        }
        self.conclude(&hosts);
        Ok(())
    }

    /// The names of the hosts come from MX records, which anybody may have written.
    ///
    /// # Errors
    /// RFC 8689 §4.2.1: what requires TLS is not sent to such hosts, and comes back.
    fn goes_by_mx(&mut self, domain: &str) -> Result<(), Outcome> {
        if self.protection == Protection::Required {
            // No host was asked, so this says nothing of them.
            self.contact = Contact::Ready;
            let text = format!(
                "REQUIRETLS support required: this relay cannot authenticate the mail hosts of {domain}"
            );
            return Err(Outcome::Bounced(Reply::new(550, (5, 7, 30), text)));
        }
        self.protection = Protection::AsConfigured;
        Ok(())
    }

    /// Sets aside whom this host does not have to be asked about.
    fn turn_to(&mut self, target: &Target) {
        let pending = std::mem::take(&mut self.pending);
        let has_said = |recipient: &u32| self.heard.has_said(target, *recipient);
        (self.put_off, self.pending) = pending.into_iter().partition(has_said);
        self.proven = 0;
    }

    /// Those whom the host has put off are pending again, for another one.
    fn turn_away(&mut self) {
        self.pending.append(&mut self.put_off);
    }

    /// Sends to the pending recipients at one host: over connections that were kept for other domains, and
    /// then over our own, as many as it takes.
    ///
    /// # Errors
    /// Why some are still pending.
    async fn visit(&mut self, target: &Target, smarthost: &Smarthost) -> Result<(), Failure> {
        if let NextHop::Domain(_) = self.next_hop {
            for _ in 0..KEPT_CONNECTIONS_TRIED_MAX {
                if self.wants_new {
                    break;
                }
                let (pool, protection) = (&self.deliverer.pool, self.protection);
                let kept = pool.take_to(&target.name, target.address, protection);
                let Some(connection) = kept else { break };
                if let End::Asked = self.converse(connection).await {
                    return Ok(());
                }
            }
        }
        let mut is_chunkless = false;
        loop {
            let connection = self.connect(target, smarthost).await?;
            match self.converse(connection).await {
                End::Asked => return Ok(()),
                // Somebody was decided over, so this comes to an end.
                End::Share => {}
                // Once for each that had carried mail, and for a few recipients: the one that follows is new.
                End::Worn => {}
                // It is remembered, so this happens once, but for a connection that was handed over.
                End::Chunkless(_) if !is_chunkless => is_chunkless = true,
                End::Chunkless(failure) | End::Broken(failure) => return Err(failure),
            }
        }
    }

    /// Decides over those whom no host took.
    fn conclude(&mut self, hosts: &Hosts<'_>) {
        let failure = match self.heard.failure() {
            Some(failure) if failure.is_temporary() => failure.clone(),
            // There may be a host that nobody can find now, and it may take the mail.
            _ if hosts.is_incomplete() => Failure::of_ours(hosts.nothing_found()),
            never => {
                let never = never.cloned();
                for (host, outcomes) in self.heard.misfits() {
                    let untold = self.untold();
                    let is_untold = |of: &RecipientOutcome| untold.contains(&of.recipient);
                    let outcomes = outcomes.into_iter().filter(is_untold).collect();
                    self.record(Some(host), outcomes, false);
                }
                never.unwrap_or_else(|| Failure::of_ours(hosts.nothing_found()))
            }
        };
        self.fail_rest(failure);
    }

    /// Those who are pending and of whom no host has said anything.
    fn untold(&self) -> HashSet<u32> {
        let mut untold: HashSet<u32> = self.pending.iter().copied().collect();
        for outcome in self.visits.iter().flat_map(|visit| &visit.outcomes) {
            untold.remove(&outcome.recipient);
        }
        untold
    }

    /// Nobody else can be asked. What a host has said of a recipient stands; this becomes of the others.
    fn fail_rest(&mut self, failure: Failure) {
        let rest = self.untold();
        self.pending.clear();
        self.record_failure(failure, rest.into_iter().collect(), false);
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
            Some(visit) if visit.host == host && visit.unknown == unknown => {
                visit.took += took;
                visit.outcomes.extend(outcomes);
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

/// A dialogue, and how long before this moment it began.
fn dialogue((with, overheard): (Party, Overheard)) -> (Duration, Dialogue) {
    let ago = overheard.ago();
    let Overheard {
        is_continued,
        transcript,
        ..
    } = overheard;
    let dialogue = Dialogue {
        with,
        is_continued,
        transcript,
    };
    (ago, dialogue)
}

/// The recipients, another one of them first at each attempt: those at whom hosts break off must not stand in
/// the way of the same others for ever.
fn in_turn(delivery: &Delivery) -> Vec<u32> {
    let mut recipients = delivery.recipients.clone();
    let attempts = usize::try_from(delivery.attempts).unwrap_or(0);
    let first = attempts.checked_rem(recipients.len()).unwrap_or(0);
    recipients.rotate_left(first);
    recipients
}

/// What becomes of those to whom nothing could be sent in time, since the relay stops.
fn cut_off(host: Option<RemoteHost>, how_far: &str) -> Failure {
    let text = format!("Cut off by a stop of the relay {how_far}");
    Failure {
        host,
        ..Failure::of_ours(Outcome::Deferred(Reply::new(451, (4, 3, 2), text)))
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
