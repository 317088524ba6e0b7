//! Connections to one host at a time, over all domains whose mail it takes.
//!
//! A large receiver takes the mail of thousands of domains, each of which is a lane of its own. What bounds the
//! connections to its hosts stands here: a [`Place`] is had before a connection is opened, and given back when it
//! is closed. Who waits for a place gets one that is given back, or a connection that somebody is done with; some
//! places are only for very-high mail. Only about as many wait at a host as may have a place there, since each holds
//! a delivery slot that another host could use: the others are sent away at once, to come again. Who that is, and
//! whose turn it is among those who wait, `waiting` says. That all places are taken does not say that the host can be
//! reached: a connection that is still being opened has a place as well, so those that are open are counted.
//! Smarthosts have no need of it, since all mail of one is one lane.

mod waiting;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::connection::Connection;
use crate::message::{Class, ClassRule, kept_for_very_high};
use waiting::Waiting;

/// Places at hosts.
pub(super) struct Room {
    per_host_max: usize,
    /// How the classes share the places at a host for which somebody waits.
    classes: ClassRule,
    /// Those at which a place is taken.
    hosts: Mutex<HashMap<IpAddr, Host>>,
}

struct Host {
    taken: usize,
    /// Those of them whose connection is open.
    open: usize,
    /// Those of them whose connection is being closed so that very-high mail has a place again.
    leaving: usize,
    waiting: Waiting,
}

/// What somebody gets who asks for a place.
pub(super) enum Asked {
    /// One that is free.
    Given(Place),
    /// None is, and he waits from now on.
    Waits(Waits),
}

/// Somebody waits for a place, until this is dropped.
pub(super) struct Waits {
    host: IpAddr,
    given: oneshot::Receiver<Given>,
    room: Arc<Room>,
}

/// What somebody gets who has waited.
pub(super) enum Given {
    /// A place for a connection.
    Place(Place),
    /// A connection that is ready for a message, with its place.
    Connection(Box<Connection>),
}

/// What became of a connection that is ready for a message.
pub(super) enum HandedOver {
    /// Somebody has it who waited.
    Given,
    /// Nobody waits for it.
    Kept(Box<Connection>),
    /// Nobody gets it, and its place is to be free.
    Surplus(Box<Connection>),
}

/// Why somebody gets nothing, and whether the host takes mail: somebody has an open connection to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// Enough are waiting, or somebody more urgent has come while he waited.
    Crowded { takes_mail: bool },
    /// He has waited as long as he may.
    InVain { takes_mail: bool },
}

/// A place at a host, until it is dropped.
pub(super) struct Place {
    host: IpAddr,
    is_open: bool,
    is_leaving: bool,
    room: Arc<Room>,
}

impl Room {
    pub(super) fn new(per_host_max: usize, classes: ClassRule) -> Arc<Self> {
        Arc::new(Self {
            per_host_max: per_host_max.max(1),
            classes,
            hosts: Mutex::default(),
        })
    }

    /// Asks for a place at the host for mail of a class and a user.
    ///
    /// # Errors
    /// Too many wait for one.
    pub(super) fn ask(
        self: &Arc<Self>,
        host: IpAddr,
        (class, user): (Class, &str),
    ) -> Result<Asked, NoPlace> {
        let host = host.to_canonical();
        let mut hosts = self.lock();
        let at = hosts.entry(host).or_insert_with(|| Host {
            taken: 0,
            open: 0,
            leaving: 0,
            waiting: Waiting::new(self.classes),
        });
        if at.taken < self.places(class) {
            at.taken += 1;
            return Ok(Asked::Given(self.place(host)));
        }
        // These come to their turn when each of those before them has sent one message.
        match at.waiting.join(class, user, self.per_host_max) {
            Some(given) => Ok(Asked::Waits(Waits {
                host,
                given,
                room: Arc::clone(self),
            })),
            None => {
                let takes_mail = at.open > 0;
                Err(NoPlace::Crowded { takes_mail })
            }
        }
    }

    /// How many places there are for mail of a class, whatever class has those that are taken.
    fn places(&self, class: Class) -> usize {
        match class {
            Class::VeryHigh => self.per_host_max,
            _ => self.per_host_max - kept_for_very_high(self.per_host_max),
        }
    }

    /// Hands a connection that is ready to who waits for one to its host. Where nobody gets it, and not even the places
    /// are left that are kept for very-high mail, it is to be closed: it would be kept for anybody, and who waits below
    /// very high would wait for it.
    pub(super) fn hand_over(&self, connection: Box<Connection>) -> HandedOver {
        if !connection.has_place() {
            return HandedOver::Kept(connection);
        }
        let host = connection.host().address.to_canonical();
        let mut given = Given::Connection(connection);
        loop {
            let next = self.next_waiting(host);
            match (next, given) {
                (Some(waiting), ours) => match waiting.send(ours) {
                    Ok(()) => return HandedOver::Given,
                    // He has just given up.
                    Err(ours) => given = ours,
                },
                (None, Given::Connection(mut connection)) => {
                    let is_surplus = connection.place().is_some_and(Place::leaves_if_surplus);
                    return match is_surplus {
                        true => HandedOver::Surplus(connection),
                        false => HandedOver::Kept(connection),
                    };
                }
                (None, Given::Place(_)) => return HandedOver::Given,
            }
        }
    }

    fn next_waiting(&self, host: IpAddr) -> Option<oneshot::Sender<Given>> {
        let mut hosts = self.lock();
        let at = hosts.get_mut(&host)?;
        // What is given to him is one of those that are taken.
        let is_below_too = !self.is_surplus(at);
        at.waiting.next(is_below_too)
    }

    /// Whether more places are taken than there are for mail below very high.
    fn is_surplus(&self, at: &Host) -> bool {
        at.taken - at.leaving > self.places(Class::VeryLow)
    }

    /// A connection to the host is not open any more.
    fn closed(&self, host: IpAddr) {
        if let Some(at) = self.lock().get_mut(&host) {
            at.open = at.open.saturating_sub(1);
        }
    }

    fn place(self: &Arc<Self>, host: IpAddr) -> Place {
        Place {
            host,
            is_open: false,
            is_leaving: false,
            room: Arc::clone(self),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Host>> {
        // Nothing inside can panic half-way.
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waits {
    /// What comes first, a place or a connection.
    ///
    /// # Errors
    /// None came in this time, or somebody more urgent did.
    pub(super) async fn within(self, most: Duration) -> Result<Given, NoPlace> {
        let given = timeout(most, self.given).await;
        let takes_mail = || {
            let hosts = self.room.lock();
            hosts.get(&self.host).is_some_and(|at| at.open > 0)
        };
        match given {
            Ok(Ok(given)) => Ok(given),
            Ok(Err(_)) => Err(NoPlace::Crowded {
                takes_mail: takes_mail(),
            }),
            Err(_) => Err(NoPlace::InVain {
                takes_mail: takes_mail(),
            }),
        }
    }
}

impl Place {
    /// Whether it is one at this host.
    pub(super) fn is_at(&self, host: IpAddr) -> bool {
        self.host == host.to_canonical()
    }

    /// Whether its connection is to be closed so that very-high mail has a place again; it is on its way then.
    fn leaves_if_surplus(&mut self) -> bool {
        let mut hosts = self.room.lock();
        let at = hosts.get_mut(&self.host);
        if let Some(at) = at.filter(|at| !self.is_leaving && self.room.is_surplus(at)) {
            at.leaving += 1;
            self.is_leaving = true;
        }
        self.is_leaving
    }

    /// Its connection is closed, and another one may have it.
    pub(super) fn closed(&mut self) {
        if self.is_open {
            self.is_open = false;
            self.room.closed(self.host);
        }
    }

    /// Its connection is open: the host takes mail.
    pub(super) fn opened(&mut self) {
        if let Some(at) = self.room.lock().get_mut(&self.host)
            && !self.is_open
        {
            self.is_open = true;
            at.open += 1;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.closed();
        if self.is_leaving
            && let Some(at) = self.room.lock().get_mut(&self.host)
        {
            at.leaving -= 1;
        }
        if let Some(waiting) = self.room.next_waiting(self.host) {
            // Who gives up just now drops it again, and it goes on to the next.
            let _ = waiting.send(Given::Place(self.room.place(self.host)));
            return;
        }
        let mut hosts = self.room.lock();
        if let Some(at) = hosts.get_mut(&self.host) {
            at.taken = at.taken.saturating_sub(1);
            if at.taken == 0 {
                hosts.remove(&self.host);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    const URGENT: (Class, &str) = (Class::VeryHigh, "app");

    async fn take(
        room: &Arc<Room>,
        host: IpAddr,
        who: (Class, &str),
        within: Duration,
    ) -> Result<Given, NoPlace> {
        match room.ask(host, who)? {
            Asked::Given(place) => Ok(Given::Place(place)),
            Asked::Waits(waits) => waits.within(within).await,
        }
    }

    /// Whether no place at the host is free for mail of that class.
    fn is_full(room: &Room, host: IpAddr, class: Class) -> bool {
        let hosts = room.lock();
        let at = hosts.get(&host);
        at.is_some_and(|at| at.taken >= room.places(class))
    }

    fn host(number: u32) -> IpAddr {
        IpAddr::V4(std::net::Ipv4Addr::from_bits(number))
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_limited_per_host_and_come_back() {
        let room = Room::new(2, ClassRule::default());
        let first = take(&room, host(1), URGENT, SECOND).await;
        let second = take(&room, host(1), URGENT, SECOND).await;
        assert!(first.is_ok() && second.is_ok());
        let mapped = "::ffff:0.0.0.1".parse().unwrap();
        assert_eq!(
            take(&room, mapped, URGENT, SECOND).await.err(),
            Some(NoPlace::InVain { takes_mail: false })
        );
        assert!(take(&room, host(2), URGENT, SECOND).await.is_ok());
        // One that gave up before is passed over.
        let (given_up, given, ()) = tokio::join!(
            take(&room, host(1), URGENT, Duration::ZERO),
            take(&room, host(1), URGENT, SECOND),
            async {
                tokio::time::sleep(SECOND / 2).await;
                drop(first);
            }
        );
        assert!(given_up.is_err() && given.is_ok());
        assert!(take(&room, host(1), URGENT, Duration::ZERO).await.is_err());
        drop((given, second));
        assert!(room.lock().is_empty(), "a host without places is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_wait_as_may_have_a_place_and_the_others_are_sent_away_at_once() {
        let room = Room::new(2, ClassRule::default());
        let taken = [
            take(&room, host(1), URGENT, SECOND).await,
            take(&room, host(1), URGENT, SECOND).await,
        ];
        let begun = tokio::time::Instant::now();
        let sent_away = async {
            // Once the others wait.
            tokio::task::yield_now().await;
            assert_eq!(
                take(&room, host(1), URGENT, SECOND).await.err(),
                Some(NoPlace::Crowded { takes_mail: false })
            );
            assert!(begun.elapsed().is_zero());
            drop(taken);
        };
        let (one, two, ()) = tokio::join!(
            take(&room, host(1), URGENT, SECOND),
            take(&room, host(1), URGENT, SECOND),
            sent_away
        );
        assert!(one.is_ok() && two.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_takes_mail_as_long_as_a_connection_is_open() {
        let room = Room::new(1, ClassRule::default());
        let sent_away = async || take(&room, host(1), URGENT, SECOND).await.err();
        let Ok(Given::Place(mut place)) = take(&room, host(1), URGENT, SECOND).await else {
            panic!("no place");
        };
        let in_vain = |takes_mail| Some(NoPlace::InVain { takes_mail });
        assert_eq!(sent_away().await, in_vain(false));
        place.opened();
        place.opened();
        assert_eq!(sent_away().await, in_vain(true));
        // Who gets the place has yet to open a connection.
        let (next, ()) = tokio::join!(take(&room, host(1), URGENT, SECOND), async { drop(place) });
        assert_eq!(sent_away().await, in_vain(false));
        drop(next);
        assert!(room.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn very_high_mail_has_a_place_when_all_others_have_theirs_and_is_given_the_next_one() {
        let room = Room::new(4, ClassRule::default());
        let take = |class| take(&room, host(1), (class, "app"), SECOND);
        let mut below = Vec::new();
        for _ in 0..3 {
            below.push(take(Class::High).await);
        }
        assert!(below.iter().all(Result::is_ok) && is_full(&room, host(1), Class::High));
        assert!(take(Class::High).await.is_err());
        let very_high = take(Class::VeryHigh).await;
        assert!(very_high.is_ok());
        // Who waits below it gives way to one that comes later, and gets no place that is kept.
        let (first, second, ()) = tokio::join!(take(Class::High), take(Class::VeryHigh), async {
            tokio::time::sleep(SECOND / 2).await;
            below.pop();
        });
        assert!(first.is_err() && second.is_ok());
        let (first, ()) = tokio::join!(take(Class::High), async {
            tokio::task::yield_now().await;
            drop(second);
        });
        assert!(first.is_err());
        let (first, ()) = tokio::join!(take(Class::High), async {
            tokio::task::yield_now().await;
            drop(very_high);
        });
        assert!(first.is_ok());
    }
}
