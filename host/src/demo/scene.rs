//! What there is to see at one moment: each letter, how much of it has arrived, how fast, and what it waits for.
//!
//! Only what; how it looks is said by `bars` and `lines`.

use std::time::Duration;

use super::client::Accepted;
use super::plan::{Letter, Plan, RESET};
use super::record::Record;
use crate::delivery::UnderWay;
use crate::message::MessageId;

/// The time over which a rate is told, in microseconds: long enough for the turns that classes take.
const RATE_OVER_US: u64 = 1_000_000;

/// Share of the newsletter that has arrived when the password reset is submitted: a quarter.
const RESET_AFTER: u64 = 4;

/// What is known on this side of the relay.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    plan: &'a Plan,
    accepted: Vec<Option<Accepted>>,
    is_reset_submitted: bool,
}

/// What there is to see.
#[derive(Clone, Debug)]
pub(super) struct Scene<'a> {
    /// Since the beginning.
    pub at: Duration,
    pub phase: Phase,
    /// What the reset is called by the relay, once that is known.
    pub reset: Option<MessageId>,
    pub rows: Vec<Row<'a>>,
}

/// What happens as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The newsletter has the link for itself.
    Before,
    /// The password reset is under way.
    Passing,
    /// It has arrived, and the newsletter goes on.
    After,
    /// Everything has arrived.
    Done,
}

/// A letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row<'a> {
    pub letter: &'a Letter,
    /// Octets of its content.
    pub octets: u64,
    /// Those that have arrived.
    pub arrived: u64,
    /// Octets per second.
    pub rate: u64,
    pub state: State,
}

/// What a letter does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is not written yet.
    Unsubmitted,
    /// A client hands it over, or it waits in the queue.
    Submitted,
    /// It is being sent.
    Going,
    /// It is paused for this message.
    Paused(MessageId),
    /// It has arrived.
    Arrived,
}

impl<'a> Watch<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        Self {
            plan,
            accepted: vec![None; plan.letters.len()],
            is_reset_submitted: false,
        }
    }

    /// The relay has accepted a letter.
    pub(super) fn accepted(&mut self, letter: usize, accepted: Accepted) {
        self.accepted[letter] = Some(accepted);
    }

    /// Somebody submits the reset.
    pub(super) fn reset_is_submitted(&mut self) {
        self.is_reset_submitted = true;
    }

    /// Whether enough of the newsletter is under way, and the reset has not been submitted yet.
    pub(super) fn is_time_for_the_reset(&self, record: &Record) -> bool {
        let newsletter = RESET + 1..self.plan.letters.len();
        let (mut octets, mut arrived) = (0, 0);
        for letter in newsletter.clone() {
            octets += self.plan.letters[letter].octets();
            arrived += arrived_of(record, letter);
        }
        !self.is_reset_submitted
            && self.accepted[newsletter].iter().all(Option::is_some)
            && arrived >= octets / RESET_AFTER
    }

    /// What the relay calls the letters that it has accepted.
    pub(super) fn ids(&self) -> Vec<MessageId> {
        let accepted = self.accepted.iter().flatten();
        accepted.map(|accepted| accepted.id).collect()
    }

    /// What is known of each letter.
    pub(super) fn all_accepted(&self) -> &[Option<Accepted>] {
        &self.accepted
    }

    /// What there is to see now.
    pub(super) fn scene(&self, record: &Record, under_way: &[UnderWay], at: Duration) -> Scene<'a> {
        let letters = self.plan.letters.iter().enumerate();
        let rows: Vec<_> = letters
            .map(|(index, letter)| self.row(index, letter, record, under_way))
            .collect();
        let is_arrived = |row: &Row<'_>| row.state == State::Arrived;
        let phase = if rows.iter().all(is_arrived) {
            Phase::Done
        } else if is_arrived(&rows[RESET]) {
            Phase::After
        } else if self.is_reset_submitted {
            Phase::Passing
        } else {
            Phase::Before
        };
        Scene {
            at,
            phase,
            reset: self.accepted[RESET].map(|accepted| accepted.id),
            rows,
        }
    }

    fn row(
        &self,
        index: usize,
        letter: &'a Letter,
        record: &Record,
        under_way: &[UnderWay],
    ) -> Row<'a> {
        let octets = letter.octets();
        let transactions = record.of(index);
        let id = self.accepted[index].map(|accepted| accepted.id);
        let send = id.and_then(|id| {
            let of_it = |send: &&UnderWay| send.delivery.message == id;
            under_way.iter().find(of_it)
        });
        let is_submitted = index != RESET || self.is_reset_submitted;
        let state = if transactions.iter().any(|one| one.is_accepted()) {
            State::Arrived
        } else if let Some((_, cause)) = send.and_then(|send| send.paused) {
            State::Paused(cause)
        } else if !transactions.is_empty() {
            State::Going
        } else if is_submitted {
            State::Submitted
        } else {
            State::Unsubmitted
        };
        let newest = newest(record);
        let rate = transactions.last().map_or(0, |one| {
            one.octets_since(newest.saturating_sub(RATE_OVER_US))
        });
        Row {
            letter,
            octets,
            arrived: match state {
                State::Arrived => octets,
                // The relay has put its trace header before it.
                _ => arrived_of(record, index).min(octets),
            },
            rate,
            state,
        }
    }
}

fn arrived_of(record: &Record, letter: usize) -> u64 {
    record.of(letter).last().map_or(0, |one| one.octets)
}

/// When something came last, wherever: by the clock of the record.
fn newest(record: &Record) -> u64 {
    let chunks = record.transactions().filter_map(|one| one.chunks.last());
    chunks.map(|(at, _)| *at).max().unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use std::num::NonZeroU64;

    use super::*;
    use crate::demo::Options;
    use crate::demo::record::tests::Hop;
    use crate::message::{Class, DeliveryId, Timestamp};

    pub(in crate::demo) fn plan() -> Plan {
        Plan::new(&Options {
            capacity: NonZeroU64::new(1_000_000).unwrap(),
            messages: 2,
            octets: 1_000_000,
        })
    }

    pub(in crate::demo) fn id(number: u128) -> MessageId {
        MessageId::new(Timestamp::EPOCH, number)
    }

    #[test]
    fn letters_go_are_paused_and_arrive() {
        let plan = plan();
        let recipients: Vec<_> = plan
            .letters
            .iter()
            .map(|letter| &*letter.recipient)
            .collect();
        let mut hop = Hop::new(&recipients);
        let mut watch = Watch::new(&plan);
        let states = |watch: &Watch<'_>, hop: &Hop, under_way: &[UnderWay]| {
            let scene = watch.scene(&hop.record, under_way, Duration::ZERO);
            let states: Vec<_> = scene.rows.iter().map(|row| row.state).collect();
            (scene.phase, states)
        };
        use State::{Arrived, Going, Paused, Submitted, Unsubmitted};
        assert_eq!(
            states(&watch, &hop, &[]),
            (Phase::Before, vec![Unsubmitted, Submitted, Submitted])
        );
        for letter in 1..=2 {
            let accepted = Accepted {
                id: id(letter as u128),
                unix_us: 0,
            };
            watch.accepted(letter, accepted);
        }
        let first = hop.begin(0, recipients[1]);
        let second = hop.begin(0, recipients[2]);
        hop.chunk(100_000, first, 300_000);
        assert!(!watch.is_time_for_the_reset(&hop.record));
        hop.chunk(1_200_000, second, 200_000);
        assert!(watch.is_time_for_the_reset(&hop.record));
        let scene = watch.scene(&hop.record, &[], Duration::ZERO);
        assert_eq!(
            (
                scene.rows[1].arrived,
                scene.rows[1].rate,
                scene.rows[2].rate
            ),
            (300_000, 0, 200_000),
            "what came more than a second ago is no rate"
        );
        watch.reset_is_submitted();
        assert!(!watch.is_time_for_the_reset(&hop.record));
        let reset = hop.begin(0, recipients[0]);
        let paused = UnderWay {
            delivery: DeliveryId {
                message: id(1),
                number: 0,
            },
            class: Class::Normal,
            octets: 0,
            sent: 0,
            paused: Some((Duration::ZERO, id(7))),
        };
        assert_eq!(
            states(&watch, &hop, std::slice::from_ref(&paused)),
            (Phase::Passing, vec![Going, Paused(id(7)), Going])
        );
        hop.end(2_000_000, reset, "d");
        assert_eq!(
            states(&watch, &hop, &[]),
            (Phase::After, vec![Arrived, Going, Going])
        );
        hop.end(3_000_000, first, "d");
        hop.end(3_000_000, second, "d");
        assert_eq!(states(&watch, &hop, &[]).0, Phase::Done);
        let scene = watch.scene(&hop.record, &[], Duration::ZERO);
        assert!(scene.rows.iter().all(|row| row.arrived == row.octets));
    }
}
