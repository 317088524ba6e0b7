//! What a seed draws before anything happens: next hops and their faults, limits, and how much mail comes.

use std::num::NonZeroU64;
use std::time::Duration;

use super::dice::Dice;
use crate::delivery::GateRules;
use crate::queue;
use crate::spool;

/// The hop of the senders, which takes reports. It may be slow and break off, and it never refuses for good.
pub(super) const HOME: usize = 0;

/// All next hops, by their domains.
pub(super) const DOMAINS: [&str; 8] = [
    "home.example",
    "a.example",
    "b.example",
    "c.example",
    "d.example",
    "e.example",
    "f.example",
    "g.example",
];

/// What a seed draws.
#[derive(Debug)]
pub(super) struct Weather {
    pub(super) hops: Vec<Temper>,
    pub(super) queue: queue::Settings,
    pub(super) gate: GateRules,
    pub(super) spool: spool::Settings,
    pub(super) connections_per_host_max: usize,
    pub(super) transactions_per_connection_max: u32,
    /// Between two sessions of submitters, at most.
    pub(super) session_gap: Duration,
    /// How many messages in a thousand are large.
    pub(super) large: u64,
    /// The longest that the relay lives before it crashes or is stopped.
    pub(super) life: Duration,
    /// The longest that the disk takes for anything.
    pub(super) disk: Duration,
    /// Between two doings of the operator, at most; none: there is none.
    pub(super) operator_gap: Option<Duration>,
    /// How many submitters in a thousand break off.
    pub(super) breaking_off: u64,
}

/// How a next hop behaves: what happens how many times in a thousand.
#[derive(Clone, Debug, Default)]
pub(super) struct Temper {
    /// No connection is had, refused or unanswered.
    pub(super) unreachable: u64,
    /// In spells of so many minutes, every other one of which it is down.
    pub(super) spells: Option<u64>,
    /// The greeting is 421 or 554, or never comes.
    pub(super) unwelcoming: u64,
    /// MAIL, or a recipient, is put off.
    pub(super) busy: u64,
    /// Each recipient is put off the first time.
    pub(super) greylists: bool,
    /// A recipient or the content is refused for good.
    pub(super) refusing: u64,
    /// The connection breaks in the middle of the content.
    pub(super) cutting: u64,
    /// The connection breaks behind the final dot, before a reply.
    pub(super) cutting_last: u64,
    /// No reply ever comes to the final dot.
    pub(super) silent: u64,
    /// The content is refused for now.
    pub(super) putting_off: u64,
    /// The longest that a reply takes.
    pub(super) slow: Duration,
    /// Octets of content that it reads in a second; none: all at once.
    pub(super) reads: Option<u64>,
    /// It closes connections that were idle for up to so long.
    pub(super) idle: Duration,
    /// What it lists.
    pub(super) chunking: bool,
    pub(super) pipelining: bool,
}

impl Weather {
    pub(super) fn of(dice: &Dice) -> Self {
        let seconds = Duration::from_secs;
        let is_calm = dice.happens(100);
        let mut hops: Vec<Temper> = DOMAINS
            .iter()
            .map(|_| match is_calm {
                true => Temper::calm(dice),
                false => Temper::drawn(dice),
            })
            .collect();
        hops[HOME] = Temper {
            unreachable: hops[HOME].unreachable.min(30),
            unwelcoming: 0,
            spells: None,
            greylists: false,
            refusing: 0,
            busy: hops[HOME].busy.min(30),
            cutting: hops[HOME].cutting.min(30),
            cutting_last: hops[HOME].cutting_last.min(30),
            silent: hops[HOME].silent.min(10),
            putting_off: hops[HOME].putting_off.min(30),
            slow: hops[HOME].slow.min(seconds(2)),
            ..hops[HOME].clone()
        };
        let per_next_hop_max = 1 + dice.index(6);
        Self {
            hops,
            queue: queue::Settings {
                simultaneous_max: 4 + dice.index(40),
                per_next_hop_max,
                retry: [30, 120, 600, 1_800, 3_600].map(seconds).to_vec(),
                expire_after: seconds(3_600 * (2 + dice.below(4))),
                delay_warning_after: seconds(1_800 + dice.below(7_200)),
                returned_octets_max: 2_000 + dice.index(20_000),
                stop_within: seconds(dice.below(20)),
                ..queue::Settings::default()
            },
            gate: GateRules {
                capacity: NonZeroU64::new([0, 0, 0, 20_000, 200_000][dice.index(5)]),
                pause_ceiling: seconds([1, 10, 60, 60][dice.index(4)]),
                ..GateRules::default()
            },
            spool: spool::Settings {
                inline_octets_max: 2 << 10 << dice.below(4),
                disk_free_octets_min: 0,
                // Gone at once, or to be restored for a while.
                cancelled_kept: seconds([0, 600, 7_200, 86_400][dice.index(4)]),
                page_cache_octets: 1 << 20,
                journal_octets_max: 64 << 10 << dice.below(6),
                recent_octets_max: 16 << 10 << dice.below(7),
                // Often most lines are on disk only.
                lines_max: [1, 3, 20_000, 20_000][dice.index(4)],
                ..spool::Settings::default()
            },
            connections_per_host_max: 1 + dice.index(2 * per_next_hop_max),
            transactions_per_connection_max: 1 + dice.below(50) as u32,
            session_gap: Duration::from_millis(50 << dice.below(7)),
            large: [0, 5, 20, 60][dice.index(4)],
            life: seconds(60 << dice.below(7)),
            disk: Duration::from_millis([0, 2, 10, 50][dice.index(4)]),
            operator_gap: dice
                .happens(700)
                .then(|| Duration::from_millis(1_000 << dice.below(8))),
            breaking_off: if is_calm { 0 } else { dice.below(100) },
        }
    }
}

impl Temper {
    fn calm(dice: &Dice) -> Self {
        Self {
            slow: Duration::from_millis(dice.below(500)),
            idle: Duration::from_secs(60),
            reads: dice.happens(300).then(|| 5_000 << dice.below(6)),
            chunking: dice.happens(500),
            pipelining: dice.happens(800),
            ..Self::default()
        }
    }

    /// Most faults are rare at most hops, and each hop has one or two that it is known for.
    fn drawn(dice: &Dice) -> Self {
        let odds = || match dice.below(6) {
            0 => dice.below(400),
            1 | 2 => dice.below(30),
            _ => 0,
        };
        Self {
            unreachable: odds(),
            spells: dice.happens(250).then(|| 1 + dice.below(60)),
            unwelcoming: odds(),
            busy: odds(),
            greylists: dice.happens(200),
            refusing: odds(),
            cutting: odds(),
            cutting_last: odds(),
            silent: odds() / 4,
            putting_off: odds(),
            slow: Duration::from_millis([10, 500, 5_000, 60_000][dice.index(4)]),
            idle: Duration::from_millis([1, 500, 4_000, 60_000][dice.index(4)]),
            ..Self::calm(dice)
        }
    }
}
