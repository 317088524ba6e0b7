//! What is seen of the relay from outside, and what must be true of it.
//!
//! Submitters say what they sent and what they were told, next hops what they took and what they said, the operator
//! what was done. Nothing here asks the relay.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::End;
use super::road::Rank;
use crate::message::{Class, Event, MessageId};
use crate::spool::{Record, StopOf};

/// What a next hop has answered is settled within this time, or the relay ended before.
const SETTLED_WITHIN: Duration = Duration::from_secs(2);

/// Wrongs that are told. What goes wrong once goes wrong often.
const WRONGS_MAX: usize = 20;

/// All that was seen.
#[derive(Debug, Default)]
pub(super) struct Witness(Mutex<Seen>);

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) mails: Vec<Mail>,
    pub(super) keys: BTreeMap<MessageId, usize>,
    /// Failure reports by their Message-ID.
    reports: BTreeMap<String, Reported>,
    /// Messages that were accepted and have not been found finished.
    pub(super) open: BTreeSet<usize>,
    /// When each life of the relay ended.
    ends: Vec<Moment>,
    /// Of the life that goes on: when it began, by the clock of all lives and by its own timers.
    begun: Option<(Moment, Instant)>,
    /// Whether the clock was set back, so that the relay cannot know when it was due what was tried again.
    pub(super) was_set_back: bool,
    wrong: Vec<String>,
    pub(super) tally: Tally,
}

/// Time since the first life began. It never stands still and is never set.
pub(super) type Moment = Duration;

/// What happened how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) unsure: u64,
    pub(super) received: u64,
    pub(super) twice: u64,
    pub(super) failures: u64,
    pub(super) removed: u64,
    pub(super) restored: u64,
    /// Times that something was stopped.
    pub(super) stopped: u64,
    /// Times that something very high held others, and sends that were in a transaction then.
    pub(super) holds: u64,
    pub(super) held: u64,
    /// Pauses that the relay tells of.
    pub(super) pauses: u64,
    /// Lives that ended so.
    pub(super) crashes: u64,
    pub(super) stops: u64,
}

/// A message as its submitter knows it.
#[derive(Clone, Debug)]
pub(super) struct Mail {
    pub(super) from: String,
    pub(super) priority: Option<u8>,
    pub(super) class: Class,
    /// Whether the operator has given it no other one.
    pub(super) is_class_known: bool,
    pub(super) octets: usize,
    pub(super) recipients: Vec<Recipient>,
    pub(super) standing: Standing,
    /// Whether the operator has removed it, or may have.
    is_removed: bool,
    /// Whether that was so at any time.
    was_removed: bool,
}

/// How far a submission has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The end of the content was not sent, or it was refused: nobody may ever see it.
    Void,
    /// All of it was sent, and no answer came.
    Unsure,
    /// The relay has said 250, or handed it on.
    Accepted(MessageId),
}

/// What is known of a recipient.
#[derive(Clone, Debug, Default)]
pub(super) struct Recipient {
    pub(super) address: String,
    receipts: Vec<Receipt>,
    /// Failure reports that speak of it.
    failures: u32,
}

/// A next hop has taken a message for a recipient.
#[derive(Clone, Copy, Debug)]
struct Receipt {
    life: usize,
    /// When the relay was told; none: it cannot know.
    answered: Option<Moment>,
    /// When its attempt ended: it may have had other recipients to go on for.
    ended: Option<Moment>,
}

/// A report that arrived.
#[derive(Debug, Default)]
struct Reported {
    receipts: Vec<Receipt>,
}

/// Names what a next hop has taken, until it is answered.
#[derive(Debug)]
pub(super) enum Taken {
    Mail(usize, Vec<usize>),
    Report(String),
    Nothing,
}

impl Tally {
    pub(super) fn ended(&mut self, end: End) {
        match end {
            End::Killed | End::Cut => self.crashes += 1,
            End::Stopped | End::Finished => self.stops += 1,
        }
    }
}

impl Mail {
    pub(super) fn new(from: String, priority: Option<u8>, class: Class, octets: usize) -> Self {
        Self {
            from,
            priority,
            class,
            is_class_known: true,
            octets,
            recipients: Vec::new(),
            standing: Standing::Void,
            is_removed: false,
            was_removed: false,
        }
    }
}

impl Recipient {
    pub(super) fn new(address: String) -> Self {
        Self {
            address,
            ..Self::default()
        }
    }
}

impl Witness {
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Time since the first life began.
    pub(super) fn now(&self) -> Moment {
        match self.begun {
            Some((at, since)) => at + since.elapsed(),
            None => self.ends.last().copied().unwrap_or_default(),
        }
    }

    /// The relay begins to live, after a while without one.
    pub(super) fn begins(&mut self, after: Duration) {
        self.begun = Some((self.now() + after, Instant::now()));
    }

    /// It has ended.
    pub(super) fn ends(&mut self) {
        let now = self.now();
        self.ends.push(now);
        self.begun = None;
    }

    fn life(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn wrong(&mut self, what: String) {
        if self.wrong.len() < WRONGS_MAX {
            let at = self.now();
            self.wrong
                .push(format!("{at:?} in life {}: {what}", self.life()));
        }
    }

    pub(super) fn wrongs(&mut self) -> Vec<String> {
        std::mem::take(&mut self.wrong)
    }

    /// The relay has said 250.
    pub(super) fn accepted(&mut self, key: usize, id: MessageId) {
        self.has(key, id);
        self.tally.accepted += 1;
    }

    /// The relay has it.
    fn has(&mut self, key: usize, id: MessageId) {
        self.mails[key].standing = Standing::Accepted(id);
        self.keys.insert(id, key);
        self.open.insert(key);
    }

    /// How a message stands to very high, and how long it is.
    pub(super) fn rank(&self, key: usize) -> (Rank, usize) {
        let Some(mail) = self.mails.get(key) else {
            return (Rank::Unknown, 0);
        };
        let rank = match (mail.is_class_known, mail.class) {
            (false, _) => Rank::Unknown,
            (true, Class::VeryHigh) => Rank::VeryHigh,
            (true, _) => Rank::Below,
        };
        (rank, mail.octets)
    }

    /// The operator removes a message.
    pub(super) fn may_cancel(&mut self, key: usize) {
        self.mails[key].is_removed = true;
        self.mails[key].was_removed = true;
        self.tally.removed += 1;
    }

    /// Whether a message was removed at any time.
    pub(super) fn has_been_removed(&self, key: usize) -> bool {
        let mail = self.mails.get(key);
        mail.is_some_and(|mail| mail.was_removed)
    }

    /// All that was removed of it is back.
    pub(super) fn restored(&mut self, id: MessageId) {
        if let Some(key) = self.keys.get(&id) {
            self.mails[*key].is_removed = false;
            self.tally.restored += 1;
        }
    }

    /// A next hop has the whole of a message, and means to keep it.
    pub(super) fn takes(&mut self, key: usize, recipients: &[usize], content: &[u8]) -> Taken {
        let Some(mail) = self.mails.get(key) else {
            self.wrong(format!("message {key} arrived and was never sent"));
            return Taken::Nothing;
        };
        let expected = super::contents::content(key, &mail.from, mail.priority, mail.octets);
        let trace = content.strip_suffix(&expected[..]).filter(|trace| {
            trace.starts_with(b"Received: ") && trace.ends_with(b"\r\n") && trace.len() < 2_000
        });
        let is_whole = trace.is_some();
        let (is_void, is_unsure) = match mail.standing {
            Standing::Void => (true, false),
            Standing::Unsure => (false, true),
            Standing::Accepted(_) => (false, false),
        };
        if let Some(id) = trace.and_then(id_in).filter(|_| is_unsure) {
            // Nobody was told, and the relay has it all the same: it ends like any other.
            self.has(key, id);
        }
        if !is_whole {
            let (octets, expected) = (content.len(), expected.len());
            self.wrong(format!(
                "message {key} arrived with {octets} octets, not as it was sent with {expected}"
            ));
        }
        if is_void {
            self.wrong(format!(
                "message {key} arrived and was not sent to its end, or was refused"
            ));
        }
        for index in recipients {
            let receipt = Receipt {
                life: self.life(),
                answered: None,
                ended: None,
            };
            let earlier = self.mails[key].recipients[*index].receipts.clone();
            let mut earlier_ones = earlier.iter();
            if let Some(sure) = earlier_ones.find(|earlier| self.is_sure(earlier)) {
                self.wrong(format!(
                    "message {key} was sent to recipient {index} again after {sure:?}"
                ));
            }
            self.tally.received += 1;
            self.tally.twice += u64::from(!earlier.is_empty());
            self.mails[key].recipients[*index].receipts.push(receipt);
        }
        Taken::Mail(key, recipients.to_vec())
    }

    /// The home of the senders has the whole of a failure report.
    pub(super) fn takes_report(&mut self, id: &str, key: usize, failed: &[usize]) -> Taken {
        let receipt = Receipt {
            life: self.life(),
            answered: None,
            ended: None,
        };
        let is_new = !self.reports.contains_key(id);
        let earlier = self.reports.entry(id.to_owned()).or_default();
        let receipts = earlier.receipts.clone();
        earlier.receipts.push(receipt);
        if let Some(sure) = receipts.iter().find(|earlier| self.is_sure(earlier)) {
            self.wrong(format!("report {id} was sent again after {sure:?}"));
        }
        if is_new {
            self.tally.failures += 1;
            for index in failed {
                let known = self
                    .mails
                    .get_mut(key)
                    .and_then(|mail| mail.recipients.get_mut(*index));
                match known {
                    Some(recipient) => recipient.failures += 1,
                    None => self.wrong(format!(
                        "a report of recipient {index} of message {key}, which never was"
                    )),
                }
            }
        }
        Taken::Report(id.to_owned())
    }

    /// The relay has been told that it is taken.
    pub(super) fn answered(&mut self, taken: &Taken) {
        let now = self.now();
        let life = self.life();
        let answer = |receipts: &mut Vec<Receipt>| {
            if let Some(last) = receipts.last_mut().filter(|last| last.life == life) {
                last.answered = Some(now);
            }
        };
        match taken {
            Taken::Mail(key, recipients) => {
                for index in recipients {
                    answer(&mut self.mails[*key].recipients[*index].receipts);
                }
            }
            Taken::Report(id) => {
                if let Some(reported) = self.reports.get_mut(id) {
                    answer(&mut reported.receipts);
                    // A report has one recipient.
                    let last = reported.receipts.last_mut();
                    last.into_iter().for_each(|last| last.ended = Some(now));
                }
            }
            Taken::Nothing => {}
        }
    }

    /// An attempt has ended: what it was told is about to be recorded.
    pub(super) fn attempt_ended(&mut self, key: usize, recipients: &[u32]) {
        let (now, life) = (self.now(), self.life());
        let Some(mail) = self.mails.get_mut(key) else {
            return;
        };
        for index in recipients {
            let receipts = &mut mail.recipients[*index as usize].receipts;
            for receipt in receipts.iter_mut().filter(|receipt| receipt.life == life) {
                receipt.ended.get_or_insert(now);
            }
        }
    }

    /// Whether the relay must know that this was taken, whether its message was removed meanwhile or not.
    fn is_sure(&self, receipt: &Receipt) -> bool {
        receipt.answered.is_some()
            && match self.ends.get(receipt.life) {
                // It has an attempt under way until it knows.
                None => true,
                Some(end) => receipt
                    .ended
                    .is_some_and(|ended| ended + SETTLED_WITHIN < *end),
            }
    }

    /// What the relay knows of an accepted message in the middle of things: whoever got it, or was reported on, is
    /// done, and everybody else waits, once.
    pub(super) fn check_record(&mut self, key: usize, record: Option<&Record>) {
        let Some(record) = record else {
            let is_removed = self.mails[key].is_removed;
            if !is_removed {
                self.wrong(format!("message {key} was accepted and is gone"));
            }
            return;
        };
        let mut waiting = vec![0; self.mails[key].recipients.len()];
        for (delivery, _) in &record.deliveries {
            for recipient in &delivery.recipients {
                waiting[*recipient as usize] += 1;
            }
        }
        let ended = ended(record, self.mails[key].recipients.len());
        for (index, (waiting, ended)) in waiting.into_iter().zip(ended).enumerate() {
            let is_removed = self.mails[key].is_removed;
            match (waiting, ended) {
                (1, false) | (0, true) => {}
                (0, false) if is_removed => {}
                (0, false) if self.mails[key].was_removed && is_partly_removed(record) => {}
                (waiting, ended) => self.wrong(format!(
                    "recipient {index} of message {key} waits {waiting} times and has ended: {ended}"
                )),
            }
        }
        if record.finished.is_some() {
            self.open.remove(&key);
        }
    }

    /// What must be true of a message when nothing is queued any more. Its report may have been given up.
    pub(super) fn check_end(&mut self, key: usize, record: Option<&Record>, is_given_up: bool) {
        let mail = self.mails[key].clone();
        let is_removed = mail.is_removed;
        for (index, recipient) in mail.recipients.iter().enumerate() {
            let is_received = !recipient.receipts.is_empty();
            let is_sure = recipient
                .receipts
                .iter()
                .any(|receipt| self.is_sure(receipt));
            let ends = (is_received, is_sure, recipient.failures);
            let is_right = match ends {
                (true, _, 0) | (false, _, 1) | (true, false, 1) => true,
                (false, _, 0) => {
                    is_removed
                        || is_given_up
                        || !matches!(mail.standing, Standing::Accepted(_))
                        // It was bounced by an attempt at what was removed, of which nobody is told; or was removed before the
                        // rest was restored, where nothing is kept.
                        || (mail.was_removed
                            && (has_ended(record, index) || record.is_some_and(is_partly_removed)))
                }
                _ => false,
            };
            if !is_right {
                self.wrong(format!(
                    "recipient {index} of message {key} ended so (received, for sure, reports of failure): {ends:?}"
                ));
            }
            if let Some(record) = record.filter(|_| is_removed && is_received)
                && !says_that_it_may_come_twice(record)
                && !has_ended(Some(record), index)
                && !(self.was_set_back && was_deferred(record))
            {
                let (receipts, trail) = (&recipient.receipts, &record.trail);
                self.wrong(format!(
                    "message {key} was removed and came to recipient {index}, which its trail does not say: {receipts:?} {trail:?}"
                ));
            }
            let is_twice = recipient.receipts.len() > 1;
            if let Some(record) = record.filter(|_| is_twice)
                && !says_that_it_may_come_twice(record)
                && !(self.was_set_back && was_deferred(record))
            {
                let (receipts, trail) = (&recipient.receipts, &record.trail);
                self.wrong(format!(
                    "message {key} came twice to recipient {index}, which its trail does not say: {receipts:?} {trail:?}"
                ));
            }
        }
    }
}

impl Mail {
    /// How many recipients must count as sent to, and how many may: who was refused, given up or removed as well as
    /// received may have ended either way.
    pub(super) fn sent(&self, is_given_up: bool) -> (i64, i64) {
        let received = self.recipients.iter();
        let received = received.filter(|recipient| !recipient.receipts.is_empty());
        received.fold((0, 0), |(sure, most), recipient| {
            let is_sure = recipient.failures == 0 && !self.was_removed && !is_given_up;
            (sure + i64::from(is_sure), most + 1)
        })
    }
}

/// The id that a message has by its trace field.
fn id_in(trace: &[u8]) -> Option<MessageId> {
    let trace = std::str::from_utf8(trace).ok()?;
    let (_, behind) = trace.split_once(" (Outpost) with ")?.1.split_once(" id ")?;
    let id = behind.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    id.parse().ok()
}

/// A stop by what it is of, without regard to case.
pub(super) fn folded(of: StopOf) -> StopOf {
    match of {
        StopOf::User(name) => StopOf::User(name.to_lowercase()),
        StopOf::List(name) => StopOf::List(name.to_lowercase()),
        of => of,
    }
}

/// Whom the trail calls delivered, bounced or expired.
fn ended(record: &Record, recipients: usize) -> Vec<bool> {
    let mut ended = vec![false; recipients];
    let mut deferred_at: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let envelope = &record.message.envelope.recipients;
    for entry in &record.trail {
        match &entry.event {
            Event::Attempted {
                next_hop,
                recipients,
                ..
            } => {
                for (address, said, _) in recipients {
                    let index = envelope
                        .iter()
                        .position(|recipient| recipient.mailbox.to_string() == *address);
                    let Some(index) = index else { continue };
                    let lane = deferred_at.entry(next_hop.to_string()).or_default();
                    lane.retain(|known| *known != index);
                    match *said {
                        "deferred" => lane.push(index),
                        _ => ended[index] = true,
                    }
                }
            }
            Event::Expired { next_hop } => {
                for index in deferred_at
                    .remove(&next_hop.to_string())
                    .unwrap_or_default()
                {
                    ended[index] = true;
                }
            }
            _ => {}
        }
    }
    ended
}

/// Whether the trail says what has become of a recipient.
fn has_ended(record: Option<&Record>, index: usize) -> bool {
    record.is_some_and(|record| {
        let recipients = record.message.envelope.recipients.len();
        ended(record, recipients).get(index) == Some(&true)
    })
}

/// Whether something of it was removed for good: behind its time, or at once where nothing is kept. There alone what is under
/// way stays until its attempt ends, and can be restored when the clock is set back meanwhile.
fn is_partly_removed(record: &Record) -> bool {
    let mut events = record.trail.iter().map(|entry| &entry.event);
    events.any(|event| {
        matches!(
            event,
            Event::Removed { .. } | Event::Cancelled { until: None, .. }
        )
    })
}

fn was_deferred(record: &Record) -> bool {
    let mut events = record.trail.iter().map(|entry| &entry.event);
    events.any(|event| matches!(event, Event::Deferred { .. }))
}

fn says_that_it_may_come_twice(record: &Record) -> bool {
    record.trail.iter().any(|entry| {
        matches!(
            entry.event,
            Event::Attempted { unknown: true, .. }
                | Event::Interrupted { .. }
                | Event::Cancelled {
                    during_attempt: true,
                    ..
                }
        )
    })
}

mod tests;
