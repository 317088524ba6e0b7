//! Delivery: handing messages to next hops.
//!
//! A [`Deliverer`] makes one attempt at a time for one message and one next hop: it finds the hosts,
//! drives the protocol core's client session over a connection, and returns one outcome for each
//! recipient. It always comes back, since everything that it waits for has a deadline. When to
//! try, and what follows from an outcome, is the queue's business; where a recipient's mail goes is
//! said by the [`Routes`](crate::message::Routes).
//!
//! The parts: `hosts` finds addresses, `opening` makes a connection of one, `connection` does what
//! the session asks, `broken` says how that fails, `transaction` says what a message needs and what replies mean, `fitting` makes a message
//! fit what a host lists, `tunnel` takes its priority along where a host does not, `attempt` goes from host to host, `heard` keeps what they have said, `chunkless` which
//! of them do not take chunks, `pool` keeps connections for the next message, `room` bounds those to one host, `gate` is where content waits, `path`
//! tells where mail would go, `minutes` writes down what is said.

mod attempt;
mod broken;
mod chunkless;
mod connection;
mod fitting;
mod gate;
mod heard;
mod hosts;
mod metrics;
mod minutes;
mod opening;
mod path;
mod pool;
#[cfg(test)]
mod rehearsal;
mod room;
mod settings;
mod transaction;
mod tunnel;

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use attempt::{Course, Ways};
use chunkless::Chunkless;
use connection::Connection;
use minutes::Overheard;
use pool::Pool;
use room::{HandedOver, Room};

pub use connection::OpenContent;
pub use gate::{Gate, Metrics as GateMetrics, Rules as GateRules, UnderWay};
pub use metrics::Metrics;
pub use settings::{AddressOrder, Login, Settings, Smarthost, TlsPolicy};

use crate::clock::Clock;
use crate::dns::Resolver;
use crate::message::{Attempt, Contact, Delivery, Message, NextHop, Outcome, RecipientOutcome};
use crate::net::Dialer;
use crate::tls::client::Connector;

/// The outside world, as delivery sees it.
#[derive(Debug)]
pub struct Network {
    /// Finds hosts.
    pub resolver: Resolver,
    /// Opens connections.
    pub dialer: Dialer,
    /// Protects them.
    pub tls: Connector,
    /// Shuffles hosts of equal preference; any numbers will do.
    pub random: fn() -> u64,
    /// The time, of which a next hop is told what is left (RFC 2852).
    pub clock: Clock,
}

/// Makes attempts.
pub struct Deliverer {
    settings: Settings,
    network: Network,
    metrics: Metrics,
    pool: Arc<Pool>,
    room: Arc<Room>,
    chunkless: Chunkless,
    gate: Gate,
}

impl Deliverer {
    /// A deliverer without connections.
    pub fn new(settings: Settings, network: Network, metrics: Metrics, gate: Gate) -> Arc<Self> {
        let pool = Pool::new(
            settings.idle_connections_max,
            settings.idle_time_max,
            metrics.idle_connections.clone(),
        );
        Arc::new(Self {
            room: Room::new(settings.connections_per_host_max, gate.class_rule()),
            settings,
            network,
            metrics,
            pool,
            chunkless: Chunkless::default(),
            gate,
        })
    }

    /// Tries to deliver a message to the pending recipients of a delivery, at the delivery's next
    /// hop. Whether that is still where the routes lead is for the caller to know
    /// ([`Routes::lead_to`](crate::message::Routes::lead_to)).
    ///
    /// The content is opened for each transaction that gets so far. When the gate closes the attempt ends where it is and
    /// says how far it has come. Dropping the future ends the attempt and closes the connection. A host that has not got the end of the content forgets the
    /// message; whether it has got it, the caller cannot know once the content was opened.
    pub async fn deliver(
        &self,
        message: &Message,
        delivery: &Delivery,
        open: &OpenContent<'_>,
    ) -> Attempt {
        let nobody = Box::new(|| {});
        self.deliver_telling(message, delivery, open, nobody).await
    }

    /// The same, and tells when the first MAIL is written.
    pub async fn deliver_telling(
        &self,
        message: &Message,
        delivery: &Delivery,
        open: &OpenContent<'_>,
        at_mail: Box<dyn Fn() + Send + Sync>,
    ) -> Attempt {
        let begun = Instant::now();
        let passage = self.gate.enter(message, delivery).telling(at_mail);
        let tunnel = tunnel::through(open, message.mt_priority());
        let ways = Ways {
            open,
            tunnel: &tunnel,
        };
        let course = Course::new(self, message, delivery, ways, &passage);
        let mut attempt = course.run().await;
        attempt.mail_ago = passage.mail_ago();
        attempt.pauses = passage.finish();
        if let Contact::Crowded | Contact::GaveWay = attempt.contact {
            // Nothing was sent. It may be so several times a second.
            return attempt;
        }
        self.metrics
            .attempt_seconds
            .observe(begun.elapsed().as_secs_f64());
        for (outcome, _) in attempt.outcomes() {
            self.metrics.count(&outcome.outcome);
        }
        log(message, delivery, &attempt);
        attempt
    }

    /// Finds out anew what the system says: which name servers there are, and whom to trust.
    pub fn follow_system(&self) {
        self.network.resolver.refresh();
        self.network.tls.forget_roots();
    }

    /// Closes the connections that are kept, and waits until they are closed. Attempts that are
    /// still under way close theirs when they end.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Keeps a connection for the next message, or closes it when it has served its share. What was said over it in
    /// this attempt.
    async fn keep(&self, next_hop: &NextHop, mut connection: Connection) -> Option<Overheard> {
        let is_good = !self.has_served(&connection) && self.pool.readies(&mut connection).await;
        let overheard = connection.overheard();
        if !is_good {
            self.pool.dismiss(connection);
            return overheard;
        }
        match self.room.hand_over(Box::new(connection)) {
            HandedOver::Given => {}
            HandedOver::Kept(connection) => self.pool.put(next_hop, *connection),
            HandedOver::Surplus(connection) => self.pool.dismiss(*connection),
        }
        overheard
    }

    /// Whether a connection has carried as many transactions as we allow, or as its host says that it takes
    /// (RFC 9422 §4.1).
    fn has_served(&self, connection: &Connection) -> bool {
        let ours = self.settings.transactions_per_connection_max;
        let listed = connection.extensions().limits.mail_max;
        connection.transactions() >= listed.map_or(ours, |listed| ours.min(listed.get()))
    }
}

impl fmt::Debug for Deliverer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliverer")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Addresses in a line of the log. Most messages have fewer; of the others the trail names all.
const LOGGED_ADDRESSES_MAX: usize = 20;

/// One line for each outcome that differs from the one before: nearly always one line.
fn log(message: &Message, delivery: &Delivery, attempt: &Attempt) {
    let same = attempt.visits.iter().flat_map(|visit| {
        let alike = |one: &RecipientOutcome, next: &RecipientOutcome| {
            (&one.outcome, one.remote) == (&next.outcome, next.remote)
        };
        let chunks = visit.outcomes.chunk_by(alike);
        chunks.map(move |same| (visit, same))
    });
    for (visit, same) in same {
        let host = visit.host.as_ref().map(|host| host.name.as_str());
        let unknown = visit.is_unknown_of(&same[0]);
        let outcome = &same[0].outcome;
        let reply = outcome.reply();
        let outcome = match outcome {
            Outcome::Delivered(_) => "delivered",
            Outcome::Deferred(_) => "deferred",
            Outcome::Bounced(_) => "bounced",
        };
        tracing::info!(
            message_id = %delivery.id.message,
            delivery = %delivery.id,
            next_hop = %delivery.next_hop,
            host,
            to = addresses(message, same),
            recipients = same.len(),
            %reply,
            unknown,
            "{outcome}"
        );
    }
}

/// The recipients of these outcomes, as somebody looks for them in a log.
fn addresses(message: &Message, outcomes: &[RecipientOutcome]) -> String {
    let recipients = &message.envelope.recipients;
    let named = outcomes
        .iter()
        .filter_map(|outcome| recipients.get(usize::try_from(outcome.recipient).ok()?))
        .take(LOGGED_ADDRESSES_MAX)
        .map(|recipient| recipient.mailbox.to_string());
    named.collect::<Vec<_>>().join(", ")
}
