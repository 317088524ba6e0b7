//! Questions to the database: contents, pages of the queue, whole records, counts.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::message::{Class, DeliveryId, Message, MessageId, Timestamp, TrailEntry};

use super::ages::{Ages, Counts};
use super::change::{Among, Concerned};
use super::common::Common;
use super::cursor::Cursor;
use super::listing::Filling;
use super::pieces::Pieces;
use super::place::{self, Place};
use super::rows::{self, Begun, Fault, Standing};
use super::sheet::Sheet;
use super::statistics::{Answer, Question, Unanswerable};
use super::view::{Scan, View};
use super::walk::Walk;
use super::{
    Change, ChangeAction, Content, Page, PageRequest, QueueState, ROWS_EXAMINED_MAX, Record, Row,
    Selection, SpoolError, StopOf,
};

/// The content of a queued message.
pub(super) async fn content(
    common: &Arc<Common>,
    id: MessageId,
) -> Result<Box<dyn Content>, SpoolError> {
    let remembered = common.board().recent.content(id);
    if let Some(octets) = remembered {
        return Ok(Box::new(Pieces::of(octets)));
    }
    let reader = Arc::clone(common);
    let kept = common
        .contents
        .off_runtime(move || {
            let found = reader.read(|rows| Fault::apart(find_content(rows, id)))?;
            found.map_err(SpoolError::unavailable)
        })
        .await?;
    match kept {
        None => Err(SpoolError::Unknown),
        Some(Kept::Inline(octets)) => Ok(Box::new(Pieces::of(octets.into()))),
        Some(Kept::File { octets }) => Ok(Box::new(common.contents.open(id, octets).await?)),
    }
}

/// When the transaction of the oldest delivery of each class began.
pub(super) async fn oldest(common: &Arc<Common>) -> Result<[Option<Timestamp>; 5], SpoolError> {
    counted(common, Ages::oldest).await
}

/// How many deliveries each of these users has.
pub(super) async fn queued_of(
    common: &Arc<Common>,
    users: &[&str],
) -> Result<Vec<u64>, SpoolError> {
    let users: Vec<String> = users.iter().map(|user| (*user).to_owned()).collect();
    counted(common, move |ages| ages.of_users(&users)).await
}

/// What is known once the queue is counted. The first who asks has that done, and it comes to its end though nobody waits
/// for it any more.
async fn counted<T: Send + 'static>(
    common: &Arc<Common>,
    known: impl Fn(&Ages) -> Option<T> + Send + 'static,
) -> Result<T, SpoolError> {
    if let Some(known) = known(&common.board().ages) {
        return Ok(known);
    }
    let one_at_a_time = Arc::clone(&common.counting).lock_owned().await;
    let counter = Arc::clone(common);
    common
        .contents
        .off_runtime(move || {
            let _one_at_a_time = one_at_a_time;
            let (view, times) = {
                let _step = counter.step();
                let view = counter.store.view()?;
                (view, counter.board().ages.begin())
            };
            if let Some(times) = times {
                let counts = counter.store.read_in(&view, Counts::of)?;
                counter.board().ages.complete(times, counts);
            }
            let known = known(&counter.board().ages);
            known.ok_or_else(|| SpoolError::unavailable("memory was built anew"))
        })
        .await
}

/// Where a content was found.
enum Kept {
    Inline(Vec<u8>),
    File { octets: u64 },
}

fn find_content(rows: &View, id: MessageId) -> Result<Option<Kept>, Fault> {
    if let Some(octets) = rows::content(rows, id)? {
        return Ok(Some(Kept::Inline(octets)));
    }
    if !rows::is_queued(rows, id)? {
        return Ok(None);
    }
    let message = rows::message(rows, id)?;
    Ok(message.map(|message| Kept::File {
        octets: message.content_octets,
    }))
}

/// How many deliveries a change would concern.
pub(super) async fn count(
    common: &Arc<Common>,
    selection: Selection,
    change: Change,
) -> Result<Concerned, SpoolError> {
    let reader = Arc::clone(common);
    common
        .contents
        .off_runtime(move || {
            let is_leased = |id| reader.is_leased(id);
            let walk = Walk {
                selection: &selection,
                among: Among::of_change(change.action),
                now: change.at,
                is_leased: &is_leased,
                stops: &reader.stops,
            };
            let count = reader.read(|rows| {
                let mut concerned = Concerned::default();
                let mut fault = None;
                walk.on(rows, None, usize::MAX, &mut |found| {
                    let class = found.standing.place.line.class;
                    if !change.concerns(&found.standing.delivery, class) {
                        return Scan::On;
                    }
                    let counted = match change.action {
                        // All deliveries of its message change, which are counted with the first one.
                        ChangeAction::SetClass(_) => Fault::apart(walk.of_message(rows, &found)),
                        _ => Ok(Ok(walk.one(&found))),
                    };
                    match counted {
                        Ok(counted) => {
                            concerned += counted.unwrap_or_default();
                            Scan::On
                        }
                        Err(error) => {
                            fault = Some(error);
                            Scan::Stop
                        }
                    }
                })?;
                fault.map_or(Ok(concerned), Err)
            })?;
            Ok(count)
        })
        .await
}

/// How many deliveries wait behind a stop of this: by the keys of their rows, in one go, since there may be as many lines as
/// there are deliveries.
pub(super) async fn count_behind(common: &Arc<Common>, of: StopOf) -> Result<u64, SpoolError> {
    let reader = Arc::clone(common);
    let counting = move || {
        let leased: HashSet<DeliveryId> = reader.board().leases.deliveries().collect();
        let lane = match &of {
            StopOf::NextHop(next_hop) => {
                let end = place::lane_prefix(next_hop, Class::VeryLow, 1);
                let begin = place::lane_prefix(next_hop, Class::VeryHigh, 0);
                Some((begin, place::after_all(&end)))
            }
            StopOf::All | StopOf::User(_) | StopOf::List(_) => None,
        };
        let range = match &lane {
            Some((begin, end)) => (Bound::Included(&begin[..]), Bound::Excluded(&end[..])),
            None => (Bound::Unbounded, Bound::Unbounded),
        };
        let count = reader.read(|rows| {
            let mut count = 0;
            // What the keys of the last line begin with, and whether it is meant.
            let mut line: Option<(Vec<u8>, bool)> = None;
            rows.scan(Sheet::Waiting, range, &mut |key, row| {
                let known = line.as_ref().filter(|(prefix, _)| key.starts_with(prefix));
                let is_meant = match known {
                    Some((_, is_meant)) => *is_meant,
                    // A damaged row is told by those who need it.
                    None => Place::from_key(key).is_some_and(|place| {
                        let is_meant = reader.stops.is_about(&of, &place.line);
                        line = Some((place::line_prefix(&place.line), is_meant));
                        is_meant
                    }),
                };
                let id = || {
                    let message = rows::read_message_key(row)?;
                    let number = place::number(key)?;
                    Some(DeliveryId { message, number })
                };
                count += u64::from(is_meant && id().is_some_and(|id| !leased.contains(&id)));
                Scan::On
            })?;
            Ok(count)
        })?;
        Ok(count)
    };
    common.contents.off_runtime(counting).await
}

/// A page of the queue.
pub(super) async fn page(
    common: &Arc<Common>,
    selection: Selection,
    request: PageRequest,
) -> Result<Page, SpoolError> {
    let among = Among::of_listing(&selection);
    let after = match &request.cursor {
        Some(text) => {
            let cursor = Cursor::from_text(text, among).ok_or(SpoolError::Unknown)?;
            Some(cursor.key())
        }
        None => None,
    };
    let reader = Arc::clone(common);
    common
        .contents
        .off_runtime(move || {
            let is_leased = |id| reader.is_leased(id);
            let walk = Walk {
                selection: &selection,
                among,
                now: request.now,
                is_leased: &is_leased,
                stops: &reader.stops,
            };
            let page = reader.read(|rows| {
                let mut page = Filling::of(&request);
                // The deliveries of a message often stand near one another.
                let mut messages: BTreeMap<MessageId, Arc<Message>> = BTreeMap::new();
                let after = walk.on(rows, after.clone(), ROWS_EXAMINED_MAX, &mut |found| {
                    let message = messages
                        .entry(found.message.id)
                        .or_insert_with(|| Arc::new(found.message));
                    page.push(Row {
                        delivery: found.standing.delivery,
                        message: Arc::clone(message),
                        state: found.state,
                    });
                    if page.is_full() { Scan::Stop } else { Scan::On }
                })?;
                let cursor = after.and_then(|key| Cursor::behind(among, &key));
                Ok(Page {
                    rows: page.end(),
                    cursor: cursor.map(|cursor| cursor.to_text()),
                })
            })?;
            Ok(page)
        })
        .await
}

/// All that is known of a message.
pub(super) async fn record(
    common: &Arc<Common>,
    id: MessageId,
) -> Result<Option<Record>, SpoolError> {
    let reader = Arc::clone(common);
    let whole = common
        .contents
        .off_runtime(move || {
            let found = reader.read(|rows| Fault::apart(read_whole(rows, id)))?;
            found.map_err(SpoolError::unavailable)
        })
        .await?;
    let now = common.clock.now();
    Ok(whole.map(|whole| whole.into_record(common, now)))
}

/// What was counted.
pub(super) async fn statistics(
    common: &Arc<Common>,
    question: Question,
) -> Result<Result<Answer, Unanswerable>, SpoolError> {
    let reader = Arc::clone(common);
    let answering = move || {
        let now = reader.clock.now();
        Ok(reader.read(|rows| question.answer(rows, now))?)
    };
    common.contents.off_runtime(answering).await
}

/// A record as it was read.
struct Whole {
    begun: Begun,
    standings: Vec<Standing>,
    later_trail: Vec<TrailEntry>,
    finished: Option<Timestamp>,
}

fn read_whole(rows: &View, id: MessageId) -> Result<Option<Whole>, Fault> {
    let Some(mut begun) = rows::begun(rows, id)? else {
        return Ok(None);
    };
    let standings = rows::standings(rows, id)?;
    let (mut later_trail, mut finished) = rows::later_trail(rows, id)?;
    if let Some((end, at)) = begun.end.take() {
        later_trail.extend(end);
        finished = at;
    }
    Ok(Some(Whole {
        begun,
        standings,
        later_trail,
        finished,
    }))
}

impl Whole {
    fn into_record(self, common: &Common, now: Timestamp) -> Record {
        let board = common.board();
        let deliveries = self.standings.into_iter().map(|standing| {
            let leased = board.is_leased(standing.delivery.id);
            let state = QueueState::of(&standing.delivery, leased, now);
            (standing.delivery, state)
        });
        let mut trail = self.begun.trail;
        trail.extend(self.later_trail);
        Record {
            message: Arc::new(self.begun.message),
            deliveries: deliveries.collect(),
            trail,
            finished: self.finished,
        }
    }
}
