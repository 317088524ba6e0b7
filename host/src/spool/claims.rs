//! Claims: from memory where it knows enough, with a read from the database where it does not.

use std::sync::Arc;

use bytes::Bytes;

use crate::message::{Delivery, DeliveryId, Line, Message, Timestamp};

use super::board::Taken;
use super::common::Common;
use super::heads::{behind, hidden};
use super::lines::Found;
use super::rows::{self, Fault};
use super::stored::Damage;
use super::view::View;
use super::window::{First, Horizon};
use super::{Claim, Claimed, Lease, LineChange, SpoolError};

/// Leases the first delivery of a line that is due.
pub(super) async fn claim(
    common: &Arc<Common>,
    line: &Line,
    now: Timestamp,
) -> Result<Claimed, SpoolError> {
    common.board().look_for(line);
    loop {
        let taken = common.board().take_due(line, now);
        common.announce_lanes();
        match taken {
            Taken::Nothing(head) => return Ok(Claimed { claim: None, head }),
            Taken::Behind(horizon) => read_on(common, line, horizon).await?,
            Taken::Delivery { lease, remembered } => {
                let leased = Leased {
                    common,
                    lease: Some(lease),
                };
                let loaded = match remembered {
                    Some(found) => {
                        let (delivery, message) = *found;
                        Loaded::Queued(delivery, message)
                    }
                    None => load(common, lease).await?,
                };
                know_first(common, line).await?;
                match loaded {
                    Loaded::Queued(delivery, message) => {
                        return Ok(Claimed {
                            claim: Some(Claim {
                                lease: leased.served(lease),
                                interrupted: common
                                    .was_left_by_another(&delivery, message.accepted),
                                let_go: delivery.changed.max(common.stops.ended(line)),
                                delivery,
                                message,
                            }),
                            head: common.board().head(line),
                        });
                    }
                    // It waits again should it have been restored by now.
                    Loaded::Cancelled => drop(leased),
                    Loaded::Nothing => leased.lost(),
                }
            }
        }
    }
}

/// Gives a delivery back as if it had never been claimed.
pub(super) fn give_back(common: &Common, lease: Lease) {
    let line = common.board().give_back(lease);
    common.announce_lanes();
    if let Some(line) = line {
        common.announcements.announce(line);
    }
}

/// Lanes whose hidden lines are read at once: what is shown of them is told before the next ones are read.
const LANES_READ_MAX: usize = 64;

/// The lines that have another head than their reader knows.
pub(super) async fn changes(common: &Arc<Common>) -> Vec<LineChange> {
    loop {
        common.announcements.wait().await;
        // A line that is known only in part is read first. Until then nothing is taken from the
        // announcements, so a future that is dropped here loses nothing.
        for line in common.announcements.lines() {
            let times = common.opening.times();
            if let Err(error) = know_first(common, &line).await {
                tracing::error!(%error, "the head of a line cannot be read");
                // Every line is announced anew when the database has been opened again.
                if common.opening.times() == times {
                    common.announcements.withdraw(&line);
                }
            }
        }
        let changes = known_changes(common);
        if !changes.is_empty() {
            return changes;
        }
        if common.announcements.are_lanes_wanting()
            && let Err(error) = show_hidden(common).await
        {
            // Every lane is announced anew when the database has been opened again, and those that were not read with
            // whatever happens next.
            common.announcements.take_lanes();
            tracing::error!(%error, "the lines of a lane cannot be read");
        }
    }
}

/// Reads hidden lines where they may have to be shown, and announces those that are.
async fn show_hidden(common: &Arc<Common>) -> Result<(), SpoolError> {
    let reader = Arc::clone(common);
    common
        .contents
        .off_runtime(move || {
            reader.announcements.take_lanes();
            let now = reader.clock.now();
            let searches = reader.board().lines.searches(now, LANES_READ_MAX);
            let mut searches = searches.into_iter();
            while let Some(search) = searches.next() {
                let stops = &reader.stops;
                let found = match stops.has_lane(&search.lane.next_hop) {
                    true => Ok(Found::stopped()),
                    false => reader.read(|rows| {
                        let is_out = |id| reader.is_out_of_line(id);
                        hidden(rows, &search, is_out, |line| stops.has(line))
                    }),
                };
                match found {
                    Ok(found) => {
                        let changed = reader.board().show(&search, found);
                        for line in changed.lines() {
                            reader.announcements.announce(line);
                        }
                    }
                    Err(error) => {
                        let mut board = reader.board();
                        board.lines.want(search);
                        searches.for_each(|search| board.lines.want(search));
                        return Err(error.into());
                    }
                }
            }
            reader.announce_lanes();
            Ok(())
        })
        .await
}

/// Takes the announced lines whose heads are known; the others stay announced.
fn known_changes(common: &Common) -> Vec<LineChange> {
    let board = common.board();
    let mut changes = Vec::new();
    for line in common.announcements.take() {
        let head = match board.lines.first(&line) {
            _ if board.stops.has(&line) => None,
            First::At(spot, _) => Some(spot.head()),
            First::Nothing => None,
            First::Behind(_) => {
                common.announcements.announce(line);
                continue;
            }
        };
        let line = board.lines.kept(line);
        changes.push(LineChange { line, head });
    }
    changes
}

/// Reads a line on until its first delivery is known.
async fn know_first(common: &Arc<Common>, line: &Line) -> Result<(), SpoolError> {
    loop {
        let first = common.board().lines.first(line);
        match first {
            First::Behind(horizon) => read_on(common, line, horizon).await?,
            First::At(..) | First::Nothing => return Ok(()),
        }
    }
}

async fn read_on(common: &Arc<Common>, line: &Line, horizon: Horizon) -> Result<(), SpoolError> {
    let (reader, line) = (Arc::clone(common), line.clone());
    common
        .contents
        .off_runtime(move || {
            let behind = reader.read(|rows| behind(rows, &line, horizon))?;
            // When the line was touched meanwhile, whoever needs it reads again.
            reader.board().extend(&line, horizon, &behind);
            Ok(())
        })
        .await
}

/// What is known of a delivery that was leased.
enum Loaded {
    Queued(Delivery, Arc<Message>),
    /// An operator was faster.
    Cancelled,
    /// It is gone, or cannot be read and was set aside.
    Nothing,
}

/// Reads what is not remembered of a delivery, and its content if that is small, which is asked
/// for next.
async fn load(common: &Arc<Common>, lease: Lease) -> Result<Loaded, SpoolError> {
    let (reader, id) = (Arc::clone(common), lease.delivery);
    let read = common
        .contents
        .off_runtime(move || {
            let read = reader.read(|rows| Fault::apart(read_delivery(rows, id)))?;
            if matches!(read, Ok((Loaded::Cancelled, _))) {
                // Memory is to know of it too before the lease is given back.
                drop(reader.step());
            }
            Ok(read)
        })
        .await?;
    match read {
        Ok((loaded, content)) => {
            if let Some(content) = content {
                common.board().recent.add_content(id.message, content);
            }
            Ok(loaded)
        }
        Err(damage) => {
            tracing::error!(message_id = %id.message, delivery = %id, %damage, "a queued delivery cannot be read and is held");
            if let Some(place) = common.board().place_of(lease) {
                common.inbox.set_aside(place.to_key());
            }
            Ok(Loaded::Nothing)
        }
    }
}

/// A delivery, and its content if that is small.
fn read_delivery(rows: &View, id: DeliveryId) -> Result<(Loaded, Option<Bytes>), Fault> {
    let Some(standing) = rows::standing(rows, id)? else {
        return Ok((Loaded::Nothing, None));
    };
    if standing.is_cancelled() {
        return Ok((Loaded::Cancelled, None));
    }
    let message = rows::message(rows, id.message)?
        .ok_or_else(|| Damage::Octets("the message is missing".to_owned()))?;
    let content = match rows::content(rows, id.message) {
        Ok(content) => content.map(Bytes::from),
        // Whoever asks for it is told.
        Err(Fault::Damaged(_)) => None,
        Err(fault) => return Err(fault),
    };
    let loaded = Loaded::Queued(standing.delivery, Arc::new(message));
    Ok((loaded, content))
}

/// A lease on its way to whoever asked for it. Dropped before it gets there, it is given back.
struct Leased<'a> {
    common: &'a Common,
    lease: Option<Lease>,
}

impl Leased<'_> {
    fn served(mut self, lease: Lease) -> Lease {
        self.lease = None;
        lease
    }

    /// There is nothing to deliver.
    fn lost(mut self) {
        if let Some(lease) = self.lease.take() {
            self.common.board().leases.end(lease);
        }
    }
}

impl Drop for Leased<'_> {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            give_back(self.common, lease);
        }
    }
}
