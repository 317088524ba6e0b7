//! Connections kept open for the next message to the same next hop.
//!
//! Bounded in number and in time. The newest is taken first, so that a lane that needs fewer lets the
//! others end. A connection that does not fit, has served its share or has waited too long is
//! closed politely, in the background; [`Pool::close`] waits until all of that is done.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

use super::connection::{Connection, Turn};
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

    /// Takes a connection to this next hop that still seems to be alive.
    pub(super) fn take(&self, next_hop: &NextHop) -> Option<Connection> {
        let mut idle = self.lock();
        loop {
            let (since, mut connection) = idle.lanes.get_mut(next_hop)?.pop()?;
            idle.count -= 1;
            self.gauge.dec();
            if since.elapsed() <= self.idle_time_max && connection.is_quiet() {
                return Some(connection);
            }
            // The peer has closed it or said something: both mean that it is over.
            self.dismiss(connection);
        }
    }

    /// Keeps a connection for the next message, if there is room. One that still has to forget a
    /// refused transaction does so first, in the background.
    pub(super) fn put(self: &Arc<Self>, next_hop: &NextHop, mut connection: Connection) {
        if connection.is_ready() {
            return self.put_ready(next_hop, connection);
        }
        let (pool, next_hop) = (Arc::clone(self), next_hop.clone());
        drop(self.closing.spawn(async move {
            let settled = timeout(pool.idle_time_max, connection.advance()).await;
            match settled {
                Ok(Ok(Turn::Ready)) => pool.put_ready(&next_hop, connection),
                _ => connection.close().await,
            }
        }));
    }

    fn put_ready(self: &Arc<Self>, next_hop: &NextHop, connection: Connection) {
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
