//! Connections kept open for the next message to the same next hop.
//!
//! Bounded in number and in time. The newest is taken first, so that a lane that needs fewer lets the
//! others end. A connection that does not fit, has served its share or has waited too long is
//! closed politely, in the background; [`Pool::close`] waits until all of that is done.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

use super::connection::{Connection, Turn};
use super::opening::Protection;
use crate::message::NextHop;
use crate::telemetry::Gauge;

/// The connections kept open.
pub(super) struct Pool {
    idle: Mutex<Idle>,
    idle_max: usize,
    idle_time_max: Duration,
    /// Connections that are being closed.
    closing: TaskTracker,
    gauge: Gauge,
}

#[derive(Default)]
struct Idle {
    /// By lane, the newest last.
    lanes: HashMap<NextHop, Vec<(Instant, Connection)>>,
    count: usize,
    is_swept: bool,
    is_closed: bool,
}

impl Pool {
    /// An empty pool for at most `idle_max` connections, each kept for about `idle_time_max`.
    pub(super) fn new(idle_max: usize, idle_time_max: Duration, gauge: Gauge) -> Arc<Self> {
        Arc::new(Self {
            idle: Mutex::default(),
            idle_max,
            idle_time_max,
            closing: TaskTracker::new(),
            gauge,
        })
    }

    /// Takes a connection to this next hop that still seems to be alive, and will do for a message.
    pub(super) fn take(&self, next_hop: &NextHop, protection: Protection) -> Option<Connection> {
        let mut idle = self.lock();
        loop {
            let lane = idle.lanes.get_mut(next_hop)?;
            let will_do = |(_, kept): &(Instant, Connection)| protection.is_met_by(kept);
            let (since, mut connection) = lane.remove(lane.iter().rposition(will_do)?);
            idle.count -= 1;
            self.gauge.dec();
            if since.elapsed() <= self.idle_time_max && connection.is_quiet() {
                return Some(connection);
            }
            // The peer has closed it or said something: both mean that it is over.
            self.dismiss(connection);
        }
    }

    /// Takes a connection to this host that was kept for another domain whose mail it takes, and will do for a message.
    pub(super) fn take_to(
        &self,
        host: &str,
        address: SocketAddr,
        protection: Protection,
    ) -> Option<Connection> {
        let mut idle = self.lock();
        loop {
            let is_wanted = |(_, connection): &(Instant, Connection)| {
                let kept = connection.host();
                protection.is_met_by(connection)
                    && kept.name == host
                    && (kept.address, kept.port) == (address.ip(), address.port())
            };
            // How a smarthost is spoken to, its route says.
            let mut lanes = idle.lanes.iter_mut();
            let (since, mut connection) = lanes.find_map(|(next_hop, lane)| match next_hop {
                NextHop::Domain(_) => Some(lane.remove(lane.iter().rposition(is_wanted)?)),
                NextHop::Smarthost(_) => None,
            })?;
            idle.count -= 1;
            self.gauge.dec();
            if since.elapsed() <= self.idle_time_max && connection.is_quiet() {
                return Some(connection);
            }
            self.dismiss(connection);
        }
    }

    /// Closes a connection to this address that was kept under another name, so that its place is free.
    pub(super) fn make_room_at(&self, address: IpAddr) {
        let mut idle = self.lock();
        let at = |(_, connection): &(Instant, Connection)| connection.host().address == address;
        let mut lanes = idle.lanes.iter_mut();
        let found = lanes.find_map(|(next_hop, lane)| match next_hop {
            // The one that has waited longest.
            NextHop::Domain(_) => Some(lane.remove(lane.iter().position(at)?)),
            NextHop::Smarthost(_) => None,
        });
        if let Some((_, connection)) = found {
            idle.count -= 1;
            self.gauge.dec();
            self.dismiss(connection);
        }
    }

    /// Makes a connection ready for the next message. One that still has to forget a refused
    /// transaction does so first, and is waited for: were its lane free meanwhile, the next message
    /// would open another connection, and so on, as many as there are refusals within a round trip. False: it is of
    /// no more use.
    pub(super) async fn readies(&self, connection: &mut Connection) -> bool {
        if connection.is_ready() {
            return true;
        }
        let forgotten = timeout(self.idle_time_max, connection.advance()).await;
        matches!(forgotten, Ok(Ok(Turn::Ready)))
    }

    /// Keeps a connection for the next message, if there is room.
    pub(super) fn put(self: &Arc<Self>, next_hop: &NextHop, connection: Connection) {
        let mut idle = self.lock();
        if idle.is_closed || idle.count >= self.idle_max {
            drop(idle);
            return self.dismiss(connection);
        }
        let kept = (Instant::now(), connection);
        match idle.lanes.get_mut(next_hop) {
            Some(lane) => lane.push(kept),
            None => {
                idle.lanes.insert(next_hop.clone(), vec![kept]);
            }
        }
        idle.count += 1;
        self.gauge.inc();
        if !idle.is_swept {
            idle.is_swept = true;
            let pool = Arc::clone(self);
            // Ends by itself when the pool is empty; closing the pool empties it.
            drop(tokio::spawn(async move { pool.sweep().await }));
        }
    }

    /// Closes a connection politely, in the background.
    pub(super) fn dismiss(&self, connection: Connection) {
        drop(self.closing.spawn(connection.close()));
    }

    /// Closes all idle connections and waits until none is being closed. None is kept from now on.
    pub(super) async fn close(&self) {
        let lanes = {
            let mut idle = self.lock();
            idle.is_closed = true;
            idle.count = 0;
            std::mem::take(&mut idle.lanes)
        };
        for (_, connection) in lanes.into_values().flatten() {
            self.gauge.dec();
            self.dismiss(connection);
        }
        self.closing.close();
        self.closing.wait().await;
    }

    /// Closes connections that have waited too long, until none is left.
    async fn sweep(&self) {
        loop {
            // Four looks in the time of one connection: it ends at most a quarter late.
            sleep(self.idle_time_max / 4).await;
            let mut idle = self.lock();
            let mut expired = Vec::new();
            idle.lanes.retain(|_, lane| {
                let fresh = lane.partition_point(|(since, _)| since.elapsed() > self.idle_time_max);
                expired.extend(lane.drain(..fresh));
                !lane.is_empty()
            });
            idle.count -= expired.len();
            if idle.count == 0 {
                idle.is_swept = false;
            }
            let is_done = !idle.is_swept;
            drop(idle);
            for (_, connection) in expired {
                self.gauge.dec();
                self.dismiss(connection);
            }
            if is_done {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        // Nothing inside can panic half-way; were it to, connections are no loss.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::time::advance;

    use super::super::rehearsal::{Act, Mail, Script, World, brief, seconds};

    const DELIVERED: &str = "delivered 250 2.0.0";

    #[tokio::test]
    async fn the_next_message_goes_over_the_same_connection() {
        let host = Script::new();
        let deliverer = World::of(&host).deliverer();
        for _ in 0..3 {
            let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
            assert_eq!(brief(&attempt), [DELIVERED]);
        }
        assert_eq!(
            host.verbs(),
            "EHLO MAIL RCPT DATA . MAIL RCPT DATA . MAIL RCPT DATA ."
        );
        deliverer.close().await;
        assert!(host.verbs().ends_with(". QUIT"));
    }

    #[tokio::test]
    async fn a_connection_is_good_for_more_after_a_refusal() {
        // Who refuses MAIL may be done with the session.
        for (command, connections) in [("MAIL", 2), ("RCPT", 1), ("DATA", 1), (".", 1)] {
            let host = Script::new().times(1, command, Act::Say("451 4.7.1 Greylisted\r\n"));
            let deliverer = World::of(&host).deliverer();
            let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
            assert_eq!(brief(&attempt), ["deferred 451 4.7.1"], "{command}");
            let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
            assert_eq!(brief(&attempt), [DELIVERED], "{command}");
            let seen = host.seen().connections;
            assert_eq!(seen, connections, "{command}: {}", host.verbs());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_ends_when_its_connection_is_free_again_or_given_up() {
        let host = Script::new()
            .at("DATA", Act::Say("554 5.7.0 No\r\n"))
            .at("RSET", Act::Hang);
        let deliverer = World::of(&host).deliverer();
        let begun = tokio::time::Instant::now();
        let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
        assert_eq!(brief(&attempt), ["bounced 554 5.7.0"]);
        assert_eq!(begun.elapsed(), seconds(5));
        assert_eq!(deliverer.metrics.idle_connections.get(), 0);
    }

    #[tokio::test]
    async fn a_kept_connection_that_has_died_costs_nothing() {
        for act in [
            Act::SayAndCut("250 2.0.0 Taken\r\n"),
            Act::SayAndCut("250 2.0.0 Taken\r\n421 4.4.2 Idle too long\r\n"),
        ] {
            let host = Script::new().times(1, ".", act);
            let deliverer = World::of(&host).deliverer();
            for _ in 0..2 {
                let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
                assert_eq!(brief(&attempt), [DELIVERED]);
            }
            assert_eq!(host.seen().connections, 2);
        }
        // It dies only when it is spoken to.
        for act in [Act::Cut, Act::SayAndCut("421 4.7.0 Enough\r\n")] {
            let host = Script::new();
            let deliverer = World::of(&host).deliverer();
            Mail::to(&["a@b.example"]).deliver(&deliverer).await;
            let host = host.times(1, "MAIL", act);
            let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
            assert_eq!(brief(&attempt), [DELIVERED]);
            assert_eq!(host.seen().connections, 2);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_closed_in_time() {
        let host = Script::new();
        let deliverer = World::of(&host).deliverer();
        Mail::to(&["a@b.example"]).deliver(&deliverer).await;
        advance(seconds(4)).await;
        assert!(!host.verbs().contains("QUIT"));
        tokio::time::sleep(seconds(3)).await;
        assert!(host.verbs().ends_with("QUIT"), "{}", host.verbs());
        Mail::to(&["a@b.example"]).deliver(&deliverer).await;
        assert_eq!(host.seen().connections, 2);
    }

    #[tokio::test]
    async fn a_connection_serves_its_share_and_no_more() {
        let host = Script::new();
        let world = World::of(&host).with(|settings| settings.transactions_per_connection_max = 2);
        let deliverer = world.deliverer();
        for _ in 0..4 {
            Mail::to(&["a@b.example"]).deliver(&deliverer).await;
        }
        assert_eq!(host.seen().connections, 2);
    }

    #[tokio::test]
    async fn only_so_many_connections_are_kept() {
        let host = Script::new();
        let world = World::of(&host).with(|settings| settings.idle_connections_max = 1);
        let deliverer = world.deliverer();
        let (one, other) = (Mail::to(&["a@b.example"]), Mail::to(&["c@b.example"]));
        tokio::join!(one.deliver(&deliverer), other.deliver(&deliverer));
        assert_eq!(host.seen().connections, 2);
        assert_eq!(deliverer.metrics.idle_connections.get(), 1);
        deliverer.close().await;
        assert_eq!(deliverer.metrics.idle_connections.get(), 0);
    }

    #[tokio::test]
    async fn after_the_close_nothing_is_kept() {
        let host = Script::new();
        let deliverer = World::of(&host).deliverer();
        deliverer.close().await;
        Mail::to(&["a@b.example"]).deliver(&deliverer).await;
        assert_eq!(deliverer.metrics.idle_connections.get(), 0);
        deliverer.close().await;
        assert!(host.verbs().ends_with("QUIT"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_ignores_the_farewell_is_left() {
        let host = Script::new().at("QUIT", Act::Hang);
        let deliverer = World::of(&host).deliverer();
        Mail::to(&["a@b.example"]).deliver(&deliverer).await;
        let begun = tokio::time::Instant::now();
        deliverer.close().await;
        assert_eq!(begun.elapsed(), seconds(5));
    }

    /// Two domains whose mail the same host takes.
    fn shared(host: &Script) -> World {
        World::of(host).mx("c.example", 10, "mx.example", "192.0.2.1")
    }

    fn to_c() -> Mail {
        let next_hop = crate::message::NextHop::Domain("c.example".into());
        Mail::by(next_hop, &["a@c.example"])
    }

    #[tokio::test]
    async fn domains_share_the_connections_to_a_host_that_takes_their_mail() {
        let host = Script::new();
        let deliverer = shared(&host).deliverer();
        let (one, other) = (Mail::to(&["a@b.example"]), to_c());
        for mail in [&one, &other, &one] {
            assert_eq!(brief(&mail.deliver(&deliverer).await), [DELIVERED]);
        }
        assert_eq!(host.seen().connections, 1);
        assert_eq!(deliverer.metrics.idle_connections.get(), 1);
        // One that has died says nothing about the host.
        let host = host.times(1, "MAIL", Act::Cut);
        assert_eq!(brief(&other.deliver(&deliverer).await), [DELIVERED]);
        assert_eq!(host.seen().connections, 2);
        // What is put off over it is not asked for again at once.
        let host = host.at("RCPT", Act::Say("450 4.2.0 Later\r\n"));
        let attempt = one.deliver(&deliverer).await;
        assert_eq!(brief(&attempt), ["deferred 450 4.2.0"]);
        assert_eq!(host.seen().connections, 2);
    }

    #[tokio::test]
    async fn who_was_cut_off_over_the_connection_of_another_domain_is_never_bounced() {
        let host = Script::new();
        let deliverer = shared(&host).deliverer();
        Mail::to(&["a@b.example"]).deliver(&deliverer).await;
        let _host = host
            .at("RCPT TO:<grey", Act::Say("450 4.2.0 Later\r\n"))
            .at("RCPT TO:<slam", Act::SayAndCut("421 4.7.0 Enough\r\n"));
        let next_hop = crate::message::NextHop::Domain("c.example".into());
        let mail = Mail::by(next_hop, &["grey@c.example", "slam@c.example"]);
        let outcomes = brief(&mail.deliver(&deliverer).await);
        assert_eq!(outcomes, ["deferred 450 4.2.0", "deferred 421 4.7.0"]);
    }

    #[tokio::test]
    async fn a_smarthost_is_not_spoken_to_over_the_connection_of_a_domain() {
        let host = Script::new();
        let deliverer = World::of(&host)
            .with(|settings| {
                let name = "mx.example:25".to_owned();
                settings.smarthosts.insert(name, Default::default());
            })
            .deliverer();
        let smarthost = crate::message::NextHop::Smarthost("mx.example:25".into());
        let by_smarthost = Mail::by(smarthost, &["a@b.example"]);
        for mail in [&by_smarthost, &Mail::to(&["a@b.example"]), &by_smarthost] {
            assert_eq!(brief(&mail.deliver(&deliverer).await), [DELIVERED]);
        }
        assert_eq!(host.seen().connections, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_keeps_no_place_that_somebody_waits_for() {
        let host = Script::new();
        // The same host under another name: who asked for one is not told of the other.
        let world = World::of(&host).mx("c.example", 10, "other.example", "192.0.2.1");
        let world = world.with(|settings| settings.connections_per_host_max = 1);
        let deliverer = world.deliverer();
        Mail::to(&["a@b.example"]).deliver(&deliverer).await;
        let begun = tokio::time::Instant::now();
        let attempt = to_c().deliver(&deliverer).await;
        assert_eq!(brief(&attempt), [DELIVERED]);
        assert!(begun.elapsed() < seconds(1), "{:?}", begun.elapsed());
        assert_eq!((host.seen().connections, host.seen().most_at_once), (2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn domains_share_the_limit_of_a_host_that_takes_their_mail() {
        let slow = Act::Late(seconds(20), "250 2.0.0 Taken\r\n");
        let host = Script::new().at(".", slow);
        // One place is kept for very-high mail.
        let world = shared(&host).with(|settings| settings.connections_per_host_max = 3);
        let deliverer = world.deliverer();
        let (to_b, to_c) = (Mail::to(&["a@b.example"]), to_c());
        let attempts = [&to_b, &to_c, &to_b, &to_c, &to_b].map(|mail| mail.deliver(&deliverer));
        let attempts: [_; 5] = attempts;
        let [a, b, c, d, e] = attempts;
        let ended = tokio::join!(a, b, c, d, e);
        let outcomes = [ended.0, ended.1, ended.2, ended.3, ended.4].map(|ended| brief(&ended));
        let count = |outcome: &str| outcomes.iter().filter(|given| given[0] == outcome).count();
        // Two at a time, of twenty seconds each; after thirty nobody waits any more.
        assert_eq!(count(DELIVERED), 4, "{outcomes:?}");
        assert_eq!(count("deferred 451 4.4.5 local"), 1, "{outcomes:?}");
        assert_eq!(host.seen().most_at_once, 2);
    }
}
