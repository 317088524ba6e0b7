//! Who may go on, step by step and by chance.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::message::Timestamp;

const SECOND: Duration = Duration::from_secs(1);

fn message(number: u64) -> MessageId {
    MessageId::new(
        Timestamp::from_unix_milliseconds(number),
        u128::from(number),
    )
}

fn sending(number: u64, class: Class, user: &str) -> Sending {
    Sending {
        message: message(number),
        class,
        user: user.into(),
        sequence: number,
    }
}

fn next_hop(number: u64) -> Arc<NextHop> {
    Arc::new(NextHop::Domain(format!("{number}.example").into()))
}

/// Traffic whose sends are woken by their number.
struct Stage {
    traffic: Traffic<u64>,
    now: Instant,
}

impl Stage {
    fn new(rules: Rules) -> Self {
        let now = Instant::now();
        Self {
            traffic: Traffic::new(rules, now),
            now,
        }
    }

    /// A send that is in a transaction at a next hop of its own.
    fn enter(&mut self, number: u64, class: Class) -> SendId {
        self.enter_at(number, class, number)
    }

    fn enter_at(&mut self, number: u64, class: Class, hop: u64) -> SendId {
        let what = sending(number, class, "user");
        let id = self.traffic.enter(what, number, self.now);
        if class == Class::VeryHigh {
            self.traffic.begin(id, &next_hop(hop), self.now);
        }
        id
    }

    fn ask(&mut self, id: SendId, octets: usize) -> Turn {
        self.traffic.ask(id, octets, self.now).0
    }

    /// Asks until it may go: after how long, and how much.
    fn wait(&mut self, id: SendId, octets: usize) -> (Duration, usize) {
        let begun = self.now;
        loop {
            match self.ask(id, octets) {
                Turn::Go(octets) => return (self.now - begun, octets),
                Turn::Wait(Some(until)) => self.now = until.max(self.now),
                Turn::Wait(None) => panic!("it waits for somebody else"),
            }
        }
    }
}

#[test]
fn a_lower_send_is_paused_while_a_very_high_one_moves_and_trickles() {
    let mut stage = Stage::new(Rules::default());
    let bulk = stage.enter(1, Class::Normal);
    assert_eq!(stage.ask(bulk, 16_384), Turn::Go(16_384));
    let urgent = stage.enter(2, Class::VeryHigh);
    assert_eq!(stage.ask(urgent, 16_384), Turn::Go(16_384));
    for _ in 0..5 {
        stage.traffic.moved(urgent, stage.now);
        assert_eq!(stage.wait(bulk, 16_384), (SECOND, 600));
    }
    assert_eq!(
        stage.traffic.end(urgent, stage.now),
        [1],
        "who is paused is woken"
    );
    assert_eq!(stage.ask(bulk, 16_384), Turn::Go(16_384));
    assert_eq!(
        stage.traffic.take_notes(),
        [
            Note::Paused(Class::Normal),
            Note::Resumed(Class::Normal, 5 * SECOND, PauseEnd::Resumed)
        ]
    );
    stage.now += SECOND;
    let (pauses, woken) = stage.traffic.leave(bulk, stage.now);
    assert_eq!(
        pauses,
        [Pause {
            cause: message(2),
            others: 0,
            times: 1,
            ago: SECOND,
            took: 5 * SECOND,
            end: PauseEnd::Resumed,
        }]
    );
    assert!(woken.is_empty());
}

#[test]
fn a_trickle_keeps_its_rate_though_each_of_its_pieces_is_late() {
    let mut stage = Stage::new(Rules::default());
    let bulk = stage.enter(1, Class::Normal);
    stage.now += 30 * SECOND;
    let urgent = stage.enter(2, Class::VeryHigh);
    let begun = stage.now;
    let mut trickled = 0;
    while stage.now - begun < 20 * SECOND {
        stage.traffic.moved(urgent, stage.now);
        let (_, octets) = stage.wait(bulk, 16_384);
        trickled += octets;
        let allowed = (stage.now - begun).as_secs() as usize * 600 + 600;
        assert!(trickled <= allowed, "{trickled} of {allowed}");
        stage.now += 3 * SECOND / 10;
    }
    assert!(trickled >= 20 * 600, "{trickled}");
    // Who was away for long has nothing in store.
    stage.now += 10 * SECOND;
    for waits in [Duration::ZERO, SECOND / 2, SECOND] {
        stage.traffic.moved(urgent, stage.now);
        assert_eq!(stage.wait(bulk, 16_384), (waits, 600));
    }
}

#[test]
fn one_that_does_not_move_holds_others_for_less_than_two_seconds_until_it_moves() {
    let mut stage = Stage::new(Rules {
        trickle_octets: 0,
        ..Rules::default()
    });
    let bulk = stage.enter(1, Class::Low);
    let urgent = stage.enter(2, Class::VeryHigh);
    let (waited, octets) = stage.wait(bulk, 16_384);
    assert!(waited < 2 * SECOND && octets == 16_384, "{waited:?}");
    assert_eq!(stage.traffic.held(stage.now), None);
    stage.now += 5 * SECOND;
    assert_eq!(stage.ask(bulk, 16_384), Turn::Go(16_384));
    stage.traffic.moved(urgent, stage.now);
    assert!(stage.traffic.held(stage.now).is_some());
    assert!(matches!(stage.ask(bulk, 16_384), Turn::Wait(Some(_))));
}

#[test]
fn beside_one_that_does_not_move_others_go_on_when_the_last_that_did_is_done() {
    let mut stage = Stage::new(Rules::default());
    let bulk = stage.enter(1, Class::Normal);
    stage.enter(2, Class::VeryHigh);
    stage.now += 2 * SECOND;
    let urgent = stage.enter(3, Class::VeryHigh);
    assert!(matches!(stage.ask(bulk, 100), Turn::Go(100)), "its trickle");
    assert!(matches!(stage.ask(bulk, 16_384), Turn::Wait(_)));
    stage.now += Duration::from_millis(10);
    assert_eq!(stage.traffic.end(urgent, stage.now), [1], "it is woken");
    assert_eq!(stage.ask(bulk, 16_384), Turn::Go(16_384));
}

#[test]
fn the_ceiling_of_one_that_begins_at_a_stalled_next_hop_counts_from_where_it_holds_others() {
    let mut stage = Stage::new(Rules::default());
    stage.enter_at(1, Class::VeryHigh, 1);
    stage.now += 2 * SECOND;
    let urgent = stage.enter_at(2, Class::VeryHigh, 1);
    stage.now += 58 * SECOND;
    assert_eq!(stage.traffic.held(stage.now), None);
    for _ in 0..60 {
        stage.traffic.moved(urgent, stage.now);
        assert!(stage.traffic.held(stage.now).is_some());
        stage.now += SECOND;
    }
    stage.traffic.moved(urgent, stage.now);
    assert_eq!(stage.traffic.held(stage.now), None);
}

#[test]
fn at_its_ceiling_a_send_finishes_and_that_is_told() {
    let mut stage = Stage::new(Rules::default());
    let bulk = stage.enter(1, Class::VeryLow);
    let mut goes_on = false;
    let begun = stage.now;
    for number in 2.. {
        // One very-high message after the other, each for ten seconds.
        let urgent = stage.enter(number, Class::VeryHigh);
        for _ in 0..10 {
            stage.traffic.moved(urgent, stage.now);
            let (_, octets) = stage.wait(bulk, 16_384);
            goes_on = octets == 16_384;
            if goes_on {
                break;
            }
        }
        stage.traffic.leave(urgent, stage.now);
        if goes_on {
            break;
        }
    }
    assert_eq!(stage.now - begun, 60 * SECOND);
    let urgent = stage.enter(100, Class::VeryHigh);
    assert_eq!(stage.ask(bulk, 16_384), Turn::Go(16_384), "it finishes");
    stage.traffic.leave(urgent, stage.now);
    let (pauses, _) = stage.traffic.leave(bulk, stage.now);
    let took: Duration = pauses.iter().map(|pause| pause.took).sum();
    assert_eq!(took, 60 * SECOND);
    assert_eq!(pauses.last().unwrap().end, PauseEnd::Ceiling);
}

#[test]
fn a_very_high_send_that_creeps_holds_others_for_no_longer_than_the_ceiling() {
    let mut stage = Stage::new(Rules::default());
    let urgent = stage.enter(1, Class::VeryHigh);
    for _ in 0..60 {
        assert!(stage.traffic.held(stage.now).is_some());
        stage.now += SECOND;
        stage.traffic.moved(urgent, stage.now);
    }
    assert_eq!(stage.traffic.held(stage.now), None);
    // Nor in another transaction of the same attempt.
    stage.traffic.end(urgent, stage.now);
    stage.traffic.begin(urgent, &next_hop(1), stage.now);
    assert_eq!(stage.traffic.held(stage.now), None);
}

#[test]
fn a_hold_that_reaches_the_ceiling_is_told_by_all_whom_it_paused() {
    let mut stage = Stage::new(Rules {
        pause_ceiling: 3 * SECOND,
        ..Rules::default()
    });
    let bulk = stage.enter(1, Class::Normal);
    let urgent = stage.enter(2, Class::VeryHigh);
    assert!(matches!(stage.ask(bulk, 16_384), Turn::Wait(_)));
    stage.now += SECOND / 2;
    let late = stage.enter(3, Class::Low);
    while stage.traffic.held(stage.now).is_some() {
        for id in [bulk, late] {
            stage.ask(id, 16_384);
        }
        stage.now += SECOND / 10;
        stage.traffic.moved(urgent, stage.now);
    }
    for (id, ahead) in [(bulk, 0), (late, 1)] {
        assert_eq!(stage.ask(id, 16_384), Turn::Go(16_384));
        let (pauses, _) = stage.traffic.leave(id, stage.now);
        let [pause] = &pauses[..] else {
            panic!("{pauses:?}");
        };
        assert_eq!(pause.end, PauseEnd::Ceiling);
        assert_eq!(pause.took, 3 * SECOND - SECOND / 2 * ahead);
    }
}

#[test]
fn a_pause_that_ends_beside_one_that_creeps_beyond_its_ceiling_has_not_reached_it() {
    let mut stage = Stage::new(Rules {
        pause_ceiling: 3 * SECOND,
        ..Rules::default()
    });
    let creeps = stage.enter(1, Class::VeryHigh);
    for _ in 0..4 {
        stage.now += SECOND;
        stage.traffic.moved(creeps, stage.now);
    }
    let bulk = stage.enter(2, Class::Normal);
    assert_eq!(stage.ask(bulk, 16_384), Turn::Go(16_384));
    let urgent = stage.enter(3, Class::VeryHigh);
    assert!(matches!(stage.ask(bulk, 16_384), Turn::Wait(_)));
    stage.now += SECOND / 2;
    stage.traffic.leave(urgent, stage.now);
    assert_eq!(stage.ask(bulk, 16_384), Turn::Go(16_384));
    let (pauses, _) = stage.traffic.leave(bulk, stage.now);
    let [pause] = &pauses[..] else {
        panic!("{pauses:?}");
    };
    assert_eq!(pause.end, PauseEnd::Resumed);
    assert_eq!((pause.cause, pause.took), (message(3), SECOND / 2));
}

/// Sends very-high content and that of others for so long at a megabyte a second: octets of each.
fn shared(stage: &mut Stage, ids: &[SendId], long: Duration) -> Vec<usize> {
    let until = stage.now + long;
    let mut sent = vec![0; ids.len()];
    while stage.now < until {
        stage.traffic.moved(ids[0], stage.now);
        for (id, sent) in ids.iter().zip(&mut sent) {
            while let Turn::Go(octets) = stage.ask(*id, 16_384) {
                *sent += octets;
            }
        }
        stage.now += Duration::from_millis(1);
    }
    sent
}

#[test]
fn where_capacity_is_bounded_a_send_that_reached_the_ceiling_moves_too() {
    let capacity = NonZeroU64::new(1_000_000);
    let mut stage = Stage::new(Rules {
        capacity,
        pause_ceiling: 3 * SECOND,
        ..Rules::default()
    });
    let bulk = stage.enter(1, Class::Normal);
    let small = stage.enter(2, Class::VeryLow);
    let urgent = stage.enter(3, Class::VeryHigh);
    let ids = [urgent, bulk, small];
    let sent = shared(&mut stage, &ids, 3 * SECOND);
    assert!(sent[0] > 2_900_000 && sent[1] <= 1_800, "{sent:?}");
    // It holds others no longer, and has one half; the others share by class.
    let sent = shared(&mut stage, &ids, 10 * SECOND);
    assert!((4_700_000..5_300_000).contains(&sent[0]), "{sent:?}");
    assert!((3_800_000..4_300_000).contains(&sent[1]), "{sent:?}");
    assert!((900_000..1_100_000).contains(&sent[2]), "{sent:?}");
    // So it is beside the next one, which nothing has been paused for.
    stage.traffic.leave(urgent, stage.now);
    let ids = [stage.enter(4, Class::VeryHigh), bulk, small];
    let fresh = stage.enter(5, Class::High);
    let sent = shared(&mut stage, &[&ids[..], &[fresh]].concat(), SECOND);
    assert!((400_000..600_000).contains(&sent[0]), "{sent:?}");
    assert!(sent[1] > 300_000, "{sent:?}");
    assert!(sent[3] <= 600, "{sent:?}");
    // And when nothing very high is there they are in order.
    stage.traffic.leave(ids[0], stage.now);
    let sent = shared(&mut stage, &[fresh, bulk, small], 13 * SECOND);
    assert!((7_700_000..8_500_000).contains(&sent[0]), "{sent:?}");
}

#[test]
fn a_pause_says_for_how_many_it_was_and_is_of_the_one_that_holds_at_each_moment() {
    let mut stage = Stage::new(Rules::default());
    let bulk = stage.enter(1, Class::Normal);
    let urgent = [2, 3].map(|number| stage.enter(number, Class::VeryHigh));
    let cause = |stage: &Stage| stage.traffic.held(stage.now).map(|(_, cause)| cause);
    assert!(matches!(stage.ask(bulk, 100), Turn::Wait(_)));
    stage.now += SECOND;
    let third = stage.enter(4, Class::VeryHigh);
    assert_eq!(cause(&stage), Some(message(2)));
    stage.traffic.leave(urgent[0], stage.now);
    assert_eq!(cause(&stage), Some(message(3)));
    stage.traffic.leave(urgent[1], stage.now);
    // One comes and is gone before anybody has looked.
    let fourth = stage.enter(5, Class::VeryHigh);
    stage.traffic.leave(fourth, stage.now);
    stage.traffic.leave(third, stage.now);
    assert_eq!(stage.ask(bulk, 100), Turn::Go(100));
    let again = stage.enter(6, Class::VeryHigh);
    assert_eq!(stage.ask(bulk, 1_000), Turn::Go(600), "it trickles");
    stage.traffic.leave(again, stage.now);
    let (pauses, _) = stage.traffic.leave(bulk, stage.now);
    let told: Vec<_> = pauses
        .iter()
        .map(|pause| (pause.cause, pause.others))
        .collect();
    assert_eq!(told, [(message(2), 3), (message(6), 0)]);
}

#[test]
fn many_pauses_are_told_together() {
    let mut stage = Stage::new(Rules::default());
    let bulk = stage.enter(1, Class::Normal);
    for number in 0..100 {
        let urgent = stage.enter(1_000 + number, Class::VeryHigh);
        assert!(matches!(stage.ask(bulk, 100), Turn::Wait(_)));
        stage.now += Duration::from_millis(10);
        stage.traffic.leave(urgent, stage.now);
        assert_eq!(stage.ask(bulk, 100), Turn::Go(100));
    }
    let (pauses, _) = stage.traffic.leave(bulk, stage.now);
    assert_eq!(pauses.len(), PAUSES_TOLD_MAX + 1);
    assert_eq!(pauses.iter().map(|pause| pause.times).sum::<u32>(), 100);
    let last = pauses.last().unwrap();
    assert_eq!(last.took, Duration::from_millis(840));
    assert_eq!(last.cause, message(1_099));
}

#[test]
fn a_pause_that_the_attempt_does_not_outlive_is_told_so() {
    let mut stage = Stage::new(Rules::default());
    let bulk = stage.enter(1, Class::Normal);
    stage.enter(2, Class::VeryHigh);
    assert!(matches!(stage.ask(bulk, 100), Turn::Wait(_)));
    stage.now += Duration::from_millis(700);
    let (pauses, _) = stage.traffic.leave(bulk, stage.now);
    assert_eq!(pauses[0].end, PauseEnd::Broken);
}

#[test]
fn a_content_that_trickles_to_its_end_is_over_with_its_pause() {
    let mut stage = Stage::new(Rules::default());
    let bulk = stage.enter(1, Class::Normal);
    let urgent = stage.enter(2, Class::VeryHigh);
    assert_eq!(stage.wait(bulk, 300), (SECOND, 300));
    assert_eq!(stage.traffic.finish(bulk, stage.now), None);
    assert_eq!(stage.traffic.pause_of(bulk), None);
    // The reply to its end comes later.
    stage.now += SECOND / 2;
    let (pauses, _) = stage.traffic.leave(bulk, stage.now);
    assert_eq!(
        pauses,
        [Pause {
            cause: message(2),
            others: 0,
            times: 1,
            ago: SECOND / 2,
            took: SECOND,
            end: PauseEnd::Finished,
        }]
    );
    stage.traffic.leave(urgent, stage.now);
}

#[test]
fn a_content_that_trickled_to_its_end_leaves_the_capacity_to_the_next() {
    let rules = Rules {
        capacity: NonZeroU64::new(100_000),
        ..Rules::default()
    };
    let mut stage = Stage::new(rules);
    let first = stage.enter(1, Class::Normal);
    while let Turn::Go(_) = stage.ask(first, 16_384) {}
    let second = stage.enter(2, Class::Normal);
    assert!(matches!(stage.ask(second, 16_384), Turn::Wait(_)));
    assert_eq!(stage.traffic.finish(first, stage.now), Some(2));
    stage.now += SECOND / 2;
    assert!(matches!(stage.ask(second, 16_384), Turn::Go(_)));
}

#[test]
fn a_capacity_is_handed_to_the_most_urgent_first() {
    let rules = Rules {
        capacity: NonZeroU64::new(100_000),
        ..Rules::default()
    };
    let mut stage = Stage::new(rules);
    let high = stage.enter(1, Class::High);
    // Until the bucket is empty.
    while let Turn::Go(_) = stage.ask(high, 16_384) {}
    let urgent = stage
        .traffic
        .enter(sending(2, Class::VeryHigh, "user"), 2, stage.now);
    assert!(matches!(stage.ask(urgent, 16_384), Turn::Wait(Some(_))));
    assert_eq!(
        stage.traffic.ask(high, 16_384, stage.now).1,
        Some(2),
        "who is next is woken, should he not know"
    );
    let (waited, octets) = stage.wait(urgent, 16_384);
    assert!(waited <= Duration::from_millis(21) && octets == 2_000);
}

/// A send in the simulation.
struct Model {
    id: SendId,
    class: Class,
    user: usize,
    left: usize,
    begun: Instant,
    asks_at: Option<Instant>,
    is_in_transaction: bool,
}

/// What is drawn for a simulated run.
#[derive(Clone, Debug)]
struct Drawn {
    capacity: Option<u64>,
    strict: bool,
    sends: Vec<(u8, usize, usize, u64)>,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let send = (1..=5u8, 0..4usize, 1..300_000usize, 0..5_000u64);
    (
        prop::option::of(20_000..5_000_000u64),
        any::<bool>(),
        prop::collection::vec(send, 1..40),
    )
        .prop_map(|(capacity, strict, sends)| Drawn {
            capacity,
            strict,
            sends,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Every send comes to its end, the capacity is kept, nothing lower than very high moves but by its trickle
    /// while something very high does, and nothing is left behind.
    #[test]
    fn whatever_is_sent_the_promises_are_kept(drawn in drawn()) {
        let rules = Rules {
            capacity: drawn.capacity.and_then(NonZeroU64::new),
            classes: if drawn.strict { ClassRule::Strict } else { ClassRule::default() },
            ..Rules::default()
        };
        let begun = Instant::now();
        let mut traffic: Traffic<usize> = Traffic::new(rules.clone(), begun);
        let mut now = begun;
        let mut models: Vec<Model> = Vec::new();
        let mut coming: Vec<_> = drawn.sends.clone();
        coming.sort_by_key(|send| std::cmp::Reverse(send.3));
        let mut sent = 0u64;
        let mut trickled: BTreeMap<SendId, Instant> = BTreeMap::new();
        let mut steps = 0u32;
        loop {
            steps += 1;
            prop_assert!(steps < 2_000_000, "it comes to no end");
            // The next thing that happens: a send that comes, or one that asks.
            let comes = coming.last().map(|send| begun + Duration::from_millis(send.3));
            let asks = models.iter().filter_map(|model| model.asks_at).min();
            let Some(next) = comes.into_iter().chain(asks).min() else { break };
            now = now.max(next);
            if comes.is_some_and(|comes| comes <= now) {
                let (class, user, octets, _) = coming.pop().unwrap();
                let class = Class::from_number(class).unwrap();
                let number = models.len();
                let user_name = user.to_string();
                let id = traffic.enter(sending(number as u64, class, &user_name), number, now);
                let begun = if class == Class::VeryHigh { traffic.begin(id, &next_hop(number as u64 % 3), now) } else { Vec::new() };
                for woken in begun {
                    models[woken].asks_at = Some(now);
                }
                models.push(Model { id, class, user, left: octets, begun: now, asks_at: Some(now), is_in_transaction: true });
                continue;
            }
            let Some(at) = models.iter().position(|model| model.asks_at.is_some_and(|asks| asks <= now)) else { continue };
            let model = &models[at];
            let (turn, woken) = traffic.ask(model.id, model.left.min(65_536), now);
            if let Some(woken) = woken {
                models[woken].asks_at = Some(models[woken].asks_at.map_or(now, |asks| asks.min(now)));
            }
            let model = &mut models[at];
            match turn {
                Turn::Wait(until) => {
                    prop_assert!(until.is_none_or(|until| until > now), "no busy waiting");
                    model.asks_at = until;
                }
                Turn::Go(octets) => {
                    prop_assert!(octets > 0 && octets <= model.left);
                    sent += octets as u64;
                    model.left -= octets;
                    if model.class != Class::VeryHigh && traffic.held(now).is_some() && !traffic.is_exempt(model.id) {
                        prop_assert!(octets <= 600, "a trickle, not {octets}");
                        let last = trickled.insert(model.id, now).unwrap_or(model.begun);
                        prop_assert!(now - last >= SECOND / 2 || last == model.begun);
                    }
                    if model.class == Class::VeryHigh {
                        traffic.moved(model.id, now);
                    }
                    model.asks_at = Some(now);
                    // Where there is no capacity, the network takes it at a megabyte a second.
                    if drawn.capacity.is_none() {
                        model.asks_at = Some(now + Duration::from_micros(octets as u64));
                    }
                    if model.left == 0 {
                        model.asks_at = None;
                        model.is_in_transaction = false;
                        let next = traffic.finish(model.id, now);
                        let (pauses, mut woken) = traffic.leave(model.id, now);
                        woken.extend(next);
                        prop_assert!(pauses.iter().all(|pause| pause.end != PauseEnd::Broken));
                        let paused: Duration = pauses.iter().map(|pause| pause.took).sum();
                        prop_assert!(paused <= rules.pause_ceiling);
                        for woken in woken {
                            models[woken].asks_at = Some(now);
                        }
                    }
                }
            }
        }
        prop_assert!(models.iter().all(|model| model.left == 0 && !model.is_in_transaction));
        prop_assert!(models.iter().all(|model| model.user < 4));
        if let Some(capacity) = drawn.capacity {
            let allowed = (now - begun).as_secs_f64() * capacity as f64;
            // What the bucket holds, and what trickles may overdraw.
            let slack = (capacity as f64 / 20.0).max(1_024.0) * 2.0 + 66_000.0;
            prop_assert!(sent as f64 <= allowed + slack, "{sent} octets where {allowed} fit");
        }
        prop_assert!(!traffic.has_urgent() && traffic.sends.is_empty() && traffic.queue.is_empty());
    }
}
