//! What is said to a host over one connection in an attempt, and what its replies decide.
//!
//! Transaction after transaction until everybody has been asked or the connection is of no more use. Which host
//! that is and where those go who are still pending then is said in `attempt`.

use std::net::SocketAddr;

use outpost_smtp::Reply;
use outpost_smtp::client::{Closed, Extensions, Report};

use super::{Course, SUSPECTS_MAX, cut_off};
use crate::delivery::broken::{Break, Cause};
use crate::delivery::connection::{Connection, Load};
use crate::delivery::fitting::{Look, Misfit, fit, split_by_address};
use crate::delivery::opening::{Failure, Protection, closed_by, lost};
use crate::delivery::transaction::{self, Fates};
use crate::delivery::tunnel::tunnelled_octets;
use crate::message::{Contact, Outcome, RecipientOutcome, RemoteHost};
use crate::spool::SpoolError;

/// How a conversation ended.
pub(super) enum End {
    /// The host has been asked about everybody.
    Asked,
    /// The connection has served its share, and somebody is still pending.
    Share,
    /// The connection was left: over a new one the host may take what it has refused. Somebody is still pending.
    Worn,
    /// The host lists CHUNKING and does not take chunks. Somebody is still pending, for DATA on a new connection.
    Chunkless(Failure),
    /// It broke off, and somebody is still pending.
    Broken(Failure),
}

impl Course<'_> {
    /// Sends to the pending recipients over a connection as long as it is good, and keeps it for the next
    /// message if it still is then.
    pub(super) async fn converse(&mut self, mut connection: Connection) -> End {
        connection.begin_minutes();
        while !self.pending.is_empty() {
            let before = self.pending.len();
            let chosen = self.choose(connection.extensions());
            let (mut recipients, foreign) =
                split_by_address(self.message, chosen, connection.extensions());
            match recipients.is_empty() {
                true => recipients = foreign,
                false => self.pending.extend(foreign),
            }
            let mut is_refused = false;
            let broke_at;
            let ended = match self.transact(&mut connection, &recipients).await {
                Ok(None) => {
                    self.give_way();
                    break;
                }
                Ok(Some(report)) => {
                    self.contact = Contact::Ready;
                    if connection.is_used() && transaction::may_mean_the_connection(&report) {
                        return self.leave(connection, recipients, &report).await;
                    }
                    is_refused = transaction::is_mail_refused(&report);
                    broke_at = report.closed_at;
                    let ending = connection.ending();
                    let fates = transaction::fates(
                        self.next_hop,
                        connection.tls_failure(),
                        &recipients,
                        report,
                        ending.as_ref(),
                    );
                    is_refused |= fates.wants_tls;
                    self.settle(fates, connection.host());
                    // Then MAIL was refused, and that is all there is to it.
                    let ending = ending.filter(|closed| *closed != Closed::Unbegun);
                    ending.map(|closed| self.ended(connection.host(), closed))
                }
                Err(broken) => {
                    broke_at = broken.at;
                    let failure = self.broken(&recipients, broken, &connection);
                    Some(End::Broken(failure))
                }
            };
            if let Some(end) = ended {
                self.note_dialogue(&mut connection);
                let suspect = broke_at.and_then(|at| Some((at, *recipients.get(at)?)));
                return match suspect {
                    _ if self.pending.is_empty() => End::Asked,
                    Some((at, suspect)) if self.goes_on_without(suspect, at, &connection) => {
                        self.place = connection.leave().await;
                        End::Worn
                    }
                    _ => end,
                };
            }
            let has_served = self.deliverer.has_served(&connection);
            // One that has decided over nobody is repeated on the same connection, where that helps.
            if is_refused || (has_served && (1..before).contains(&self.pending.len())) {
                self.note_dialogue(&mut connection);
                self.deliverer.pool.dismiss(connection);
                return match self.pending.is_empty() {
                    true => End::Asked,
                    false => End::Share,
                };
            }
        }
        let host = connection.host().clone();
        let overheard = self.deliverer.keep(self.next_hop, connection).await;
        self.overheard(&host, overheard);
        End::Asked
    }

    /// Takes down what was said over a connection in this attempt.
    fn note_dialogue(&mut self, connection: &mut Connection) {
        let overheard = connection.overheard();
        self.overheard(connection.host(), overheard);
    }

    /// Takes those of the next transaction from the pending: as many as may go in one, by our own limit and by
    /// the host's (RFC 9422 §4.2). Each at whose RCPT a conversation has ended goes alone, behind all others.
    fn choose(&mut self, extensions: &Extensions) -> Vec<u32> {
        let suspects = &self.suspects;
        self.pending
            .sort_by_key(|recipient| suspects.contains(recipient));
        let mut pending = self.pending.iter();
        let count = pending.position(|recipient| suspects.contains(recipient));
        let count = count.unwrap_or(self.pending.len()).max(1);
        let proven = std::mem::take(&mut self.proven);
        let count = if proven > 0 { count.min(proven) } else { count };
        let settings = &self.deliverer.settings;
        let listed = extensions.limits.rcpt_max;
        let listed = listed.and_then(|max| usize::try_from(max.get()).ok());
        let count = count.min(settings.recipients_per_transaction_max.max(1));
        let count = count.min(listed.unwrap_or(usize::MAX));
        let rest = self.pending.split_off(count);
        std::mem::replace(&mut self.pending, rest)
    }

    /// A conversation has ended at the RCPT of somebody, and `before` him others were answered. Says whether
    /// the host is asked again at once, over a new connection: those who were taken before him first, and he
    /// last. Were all asked in the same way again, they would share his fate each time.
    fn goes_on_without(&mut self, suspect: u32, before: usize, connection: &Connection) -> bool {
        if self.suspects.contains(&suspect) || self.suspects.len() >= SUSPECTS_MAX {
            return false;
        }
        if connection.is_used() {
            // It may have been the connection.
            self.wants_new = true;
        } else if self.pending.len() == 1 || (before == 0 && self.broke_at_first) {
            // Where it ends at the first one again, it is not for his sake.
            return false;
        } else {
            self.broke_at_first |= before == 0;
        }
        let place = self.pending.iter().position(|pending| *pending == suspect);
        self.proven = place.unwrap_or(0);
        self.suspects.push(suspect);
        tracing::debug!(
            message_id = %self.message.id,
            next_hop = %self.next_hop,
            host = connection.host().name,
            recipient = suspect,
            "the conversation ended at one recipient: the others go first over a new connection"
        );
        true
    }

    /// Leaves a connection that has carried mail, since the refusal may concern nothing else. Those that are
    /// kept are no younger than their host allows either, so a new one follows.
    async fn leave(&mut self, mut connection: Connection, asked: Vec<u32>, report: &Report) -> End {
        self.note_dialogue(&mut connection);
        let host = connection.host();
        tracing::debug!(
            message_id = %self.message.id,
            next_hop = %self.next_hop,
            host = host.name,
            reply = report.recipients.first().map(tracing::field::display),
            transactions = connection.transactions(),
            "refused over a connection that has carried mail: it is left for a new one"
        );
        self.pending.splice(..0, asked);
        self.wants_new = true;
        self.place = connection.leave().await;
        End::Worn
    }

    /// A host has ended the conversation behind a transaction, or cannot be spoken to any more.
    fn ended(&self, host: &RemoteHost, closed: Closed) -> End {
        let is_chunkless = matches!(closed, Closed::ChunkingUnknown(_));
        let failure = closed_by(host, closed);
        if !is_chunkless {
            return End::Broken(failure);
        }
        let address = SocketAddr::new(host.address, host.port);
        self.deliverer.chunkless.remember(address);
        tracing::info!(
            host = host.name,
            %address,
            reply = %failure.outcome.reply(),
            "this host lists CHUNKING and does not take it: its mail goes with DATA"
        );
        End::Chunkless(failure)
    }

    /// One transaction, with the message as this host can take it. None when it gave way to something very high.
    async fn transact(
        &self,
        connection: &mut Connection,
        recipients: &[u32],
    ) -> Result<Option<Report>, Break> {
        if self.protection == Protection::Required && !connection.is_verified() {
            let reply = Reply::new(550, (5, 7, 10), "Encryption needed");
            return Ok(Some(Report::local(reply, recipients.len())));
        }
        let extensions = connection.extensions();
        let load = match self.load_for(extensions).await {
            Ok(load) => load,
            Err(error) => return Err(Break::early(Cause::of_content(error))),
        };
        let (look, open) = (&load.look, load.open);
        let now = self.deliverer.network.clock.now();
        let mut fitted = match fit(self.message, recipients, extensions, look, open, now).await {
            Ok(fitted) => fitted,
            Err(Misfit::Reply(reply)) => return Ok(Some(Report::local(reply, recipients.len()))),
            Err(Misfit::Content(error)) => {
                return Err(Break::early(Cause::of_content(error)));
            }
        };
        let size = fitted
            .transaction
            .size
            .filter(|_| fitted.conversion.is_some());
        fitted.transaction.size = size.or(Some(load.octets));
        // RFC 8689 §2: it is not said to a host that has not shown who it is. Only a report gets here then.
        fitted.transaction.require_tls &= connection.is_verified();
        let by = self.message.envelope.deliver_by;
        if by.is_some_and(|by| by.is_overruled(self.delivery.due)) {
            // Nothing is left of its time, and RFC 2852 §4 has no way to say so of what is to be returned.
            fitted.transaction.by = None;
        }
        if fitted.conversion.is_some() {
            tracing::info!(
                message_id = %self.message.id,
                next_hop = %self.next_hop,
                host = connection.host().name,
                "converted to seven bits"
            );
        }
        let transacted = connection.transact(fitted, load).await;
        if !matches!(transacted, Ok(None)) {
            self.deliverer.metrics.transactions.inc();
        }
        transacted
    }

    /// The content as a host of these extensions gets it.
    ///
    /// # Errors
    /// It cannot be read.
    async fn load_for(&self, extensions: &Extensions) -> Result<&Load<'_>, SpoolError> {
        if !self.deliverer.settings.mt_priority_tunnel || extensions.mt_priority {
            return Ok(&self.load);
        }
        let load = async || {
            let priority = self.message.mt_priority();
            Ok(Load {
                open: self.ways.tunnel,
                octets: tunnelled_octets(self.load.octets, priority, self.load.open).await?,
                look: Look::default(),
                ..self.load
            })
        };
        self.tunnelled.get_or_try_init(load).await
    }

    /// Takes the replies to a transaction.
    fn settle(&mut self, fates: Fates, host: &RemoteHost) {
        self.pending.splice(..0, fates.remaining);
        let outcomes = fates.outcomes;
        let is_put_off = |outcome: &&RecipientOutcome| {
            fates.is_misfit || matches!(outcome.outcome, Outcome::Deferred(_))
        };
        let put_off = outcomes.iter().filter(is_put_off);
        let put_off = put_off.map(|outcome| outcome.recipient);
        let before = self.put_off.len();
        self.put_off.extend(put_off);
        if fates.is_misfit {
            // The trail has it only if it decides.
            let reply = outcomes.first().map(|of| of.outcome.reply().to_string());
            tracing::info!(
                message_id = %self.message.id,
                next_hop = %self.next_hop,
                host = host.name,
                reply,
                "this host cannot take the message as it is"
            );
            self.reached
                .remove(&SocketAddr::new(host.address, host.port));
            self.heard.cannot_take(host, outcomes);
        } else {
            self.heard.put_off(host, &self.put_off[before..]);
            self.record(Some(host.clone()), outcomes, false);
        }
    }

    /// Takes what was said to some recipients before a break. Returns the others.
    fn settle_refused(
        &mut self,
        recipients: &[u32],
        mut refusals: Vec<Option<Reply>>,
        connection: &Connection,
    ) -> Vec<u32> {
        refusals.resize(recipients.len(), None);
        let (mut refused, mut replies, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for (recipient, refusal) in recipients.iter().copied().zip(refusals) {
            match refusal {
                Some(reply) => {
                    refused.push(recipient);
                    replies.push(reply);
                }
                None => rest.push(recipient),
            }
        }
        if !refused.is_empty() {
            self.contact = Contact::Ready;
        }
        let report = Report::of_refusals(replies);
        let tls_failure = connection.tls_failure();
        let fates = transaction::fates(self.next_hop, tls_failure, &refused, report, None);
        self.settle(fates, connection.host());
        rest
    }

    /// A transaction has ended without replies. Says why.
    fn broken(&mut self, recipients: &[u32], broken: Break, connection: &Connection) -> Failure {
        let host = connection.host();
        let recipients = self.settle_refused(recipients, broken.refusals, connection);
        let failure = match broken.cause {
            Cause::Lost(error) => lost(host, &error),
            Cause::Closed(closed) => closed_by(host, closed),
            Cause::CutOff(how_far) => {
                self.is_cut_off = true;
                let failure = cut_off(Some(host.clone()), &how_far);
                self.record_failure(failure.clone(), recipients, broken.is_unknown);
                return failure;
            }
            Cause::Content(reason) => {
                tracing::error!(
                    message_id = %self.message.id,
                    reason,
                    "the content of a message cannot be read"
                );
                return self.cannot_go_on(
                    recipients,
                    host,
                    "the message cannot be read at the moment",
                );
            }
            Cause::Cancelled => {
                return self.cannot_go_on(
                    recipients,
                    host,
                    "the message was cancelled before all of it was sent",
                );
            }
        };
        if broken.is_unknown {
            self.contact = Contact::Ready;
            // It has to be tried again, at the risk of a duplicate (RFC 1047). Not at another host and
            // not at once, which would make the duplicate certain where a host is merely overloaded.
            self.record_failure(failure.clone(), recipients, true);
        } else {
            self.pending.splice(..0, recipients);
        }
        failure
    }

    /// Nothing of the message has begun, so it is left as it was, and the connection to who comes next.
    fn give_way(&mut self) {
        self.gave_way = true;
        self.pending.clear();
        self.put_off.clear();
    }

    /// The content has no end that could be sent: no other host would get it either.
    fn cannot_go_on(&mut self, recipients: Vec<u32>, host: &RemoteHost, why: &str) -> Failure {
        let reply = Reply::new(451, (4, 3, 0), why);
        let failure = Failure {
            host: Some(host.clone()),
            ..Failure::of_ours(Outcome::Deferred(reply))
        };
        self.contact = Contact::Ready;
        self.pending.splice(..0, recipients);
        self.turn_away();
        self.fail_rest(failure.clone());
        failure
    }
}
