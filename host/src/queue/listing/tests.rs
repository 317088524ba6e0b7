//! The queue in order, on a spool in memory and beside a scheduler that has seen something.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::message::{MessageId, Outcome};
use crate::queue::Settings;
use crate::queue::reach::Answer;
use crate::queue::rehearsal::{START, message};
use crate::queue::scheduler::Scheduler;
use crate::queue::stage::Stage;
use crate::spool::{LineChange, Spool as _};

fn line(domain: &str) -> Line {
    Line {
        next_hop: NextHop::Domain(domain.into()),
        class: Class::Normal,
        user: "user".into(),
    }
}

fn all() -> Parts {
    Parts::of(&Selection::default())
}

/// The recipients' domains and the standings of all that is listed.
async fn listed(stage: &Stage, scheduler: &Scheduler, sends: &Sends) -> Vec<(String, Standing)> {
    let survey = stage.memory.survey().await.unwrap();
    let situation = scheduler.situation();
    let mut listing =
        Listing::new(survey, situation, all(), None, None, stage.clock.now()).unwrap();
    let mut found = Vec::new();
    while let Came::Entry(entry) = listing.next().unwrap() {
        let (row, standing) = listing.row(&entry, sends).unwrap().unwrap();
        found.push((row.delivery.next_hop.to_string(), standing));
    }
    found
}

fn reasons(listed: &[(String, Standing)]) -> Vec<(&str, &Reason)> {
    let listed = listed.iter();
    listed
        .map(|(lane, standing)| (lane.as_str(), &standing.reason))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_is_closed_says_why() {
    let stage = Stage::new();
    for domain in ["down", "paced", "crowded", "full", "free"] {
        for _ in 0..2 {
            let recipient = format!("you@{domain}.example");
            stage.accept_to(&recipient, Class::Normal).await;
        }
    }
    let limits = Settings {
        simultaneous_max: 100,
        per_next_hop_max: 3,
        ..Settings::default()
    }
    .limits();
    let mut scheduler = Scheduler::new(limits);
    let now = stage.clock.now();
    let (down, full, crowded) = (
        line("down.example"),
        line("full.example"),
        line("crowded.example"),
    );
    for number in 0..20 {
        scheduler.started(&down, now, now);
        let reply = outpost_smtp::Reply::new(421, (4, 4, number), "Nobody answers");
        let answer = Answer {
            host: None,
            outcome: Outcome::Deferred(reply),
            is_remote: false,
        };
        scheduler.finished(&down, Some(Arc::new(answer)), now);
    }
    for _ in 0..2 {
        scheduler.started(&full, now, now);
    }
    scheduler.started(&crowded, now, now);
    let rested = now.plus(Duration::from_secs(7));
    scheduler.gave_way(&crowded, rested);
    let found = listed(&stage, &scheduler, &Sends::new()).await;
    let tried = now.plus(Duration::from_secs(1));
    assert_eq!(
        reasons(&found),
        [
            ("paced.example", &Reason::Next),
            ("paced.example", &Reason::InLine),
            // There is room for it when what is under way has ended.
            ("crowded.example", &Reason::NextHopCrowded(rested)),
            ("crowded.example", &Reason::NextHopCrowded(rested)),
            ("full.example", &Reason::NextHopFull(2)),
            ("full.example", &Reason::NextHopFull(2)),
            ("free.example", &Reason::InLine),
            ("free.example", &Reason::InLine),
            ("down.example", &Reason::NextHopUnreachable(tried)),
            ("down.example", &Reason::NextHopUnreachable(tried)),
        ]
    );
    scheduler.hold_below(true);
    let found = listed(&stage, &scheduler, &Sends::new()).await;
    assert_eq!(found[0].1.reason, Reason::VeryHighFirst);
}

#[tokio::test(start_paused = true)]
async fn where_one_starts_after_the_other_each_is_told_its_time() {
    let stage = Stage::new();
    for _ in 0..3 {
        stage.accept_to("you@b.example", Class::Normal).await;
    }
    let limits = Settings {
        per_next_hop_interval: Duration::from_secs(10),
        ..Settings::default()
    }
    .limits();
    let scheduler = Scheduler::new(limits);
    let found = listed(&stage, &scheduler, &Sends::new()).await;
    let after = |seconds| Reason::NextHopPaced(START.plus(Duration::from_secs(seconds)));
    assert_eq!(
        reasons(&found),
        [
            ("b.example", &Reason::Next),
            ("b.example", &after(10)),
            ("b.example", &after(20)),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_stopped_comes_behind_what_waits_and_says_so() {
    let stage = Stage::new();
    for domain in ["a", "b", "a", "b", "a"] {
        let recipient = format!("you@{domain}.example");
        stage.accept_to(&recipient, Class::Normal).await;
    }
    let situation = Scheduler::new(Settings::default().limits()).situation();
    let survey = stage.memory.survey().await.unwrap();
    let stopped = line("a.example");
    let stop_of = move |of: &Line| (*of == stopped).then(|| "next hop a.example".to_owned());
    let stop_of = Some(Box::new(stop_of) as Box<StopOf>);
    let mut listing =
        Listing::new(survey, situation, all(), None, stop_of, stage.clock.now()).unwrap();
    let mut found = Vec::new();
    while let Came::Entry(entry) = listing.next().unwrap() {
        let (row, standing) = listing.row(&entry, &Sends::new()).unwrap().unwrap();
        found.push((row.delivery.next_hop.to_string(), standing));
    }
    let stopped = Reason::Stopped("next hop a.example".to_owned());
    assert_eq!(
        reasons(&found),
        [
            ("b.example", &Reason::Next),
            ("b.example", &Reason::InLine),
            ("a.example", &stopped),
            ("a.example", &stopped),
            ("a.example", &stopped),
        ]
    );
}

#[test]
fn what_is_under_way_says_how_far_it_has_come() {
    let progress = Progress {
        delivery: DeliveryId {
            message: message(1, START, &["you@b.example"]).id,
            number: 0,
        },
        class: Class::Normal,
        octets: 100,
        sent: 12,
        paused: None,
    };
    assert_eq!(under_way(None).reason, Reason::Sending(None));
    let sending = under_way(Some(&progress));
    assert_eq!(sending.reason, Reason::Sending(Some(progress.clone())));
    let cause = MessageId::from_bits(7);
    let took = Duration::from_secs(3);
    let progress = Progress {
        paused: Some((took, cause)),
        ..progress
    };
    let paused = under_way(Some(&progress)).reason;
    assert!(
        matches!(paused, Reason::Paused { cause: of, took: so_long, .. } if (of, so_long) == (cause, took))
    );
}

#[tokio::test(start_paused = true)]
async fn an_estimate_is_what_is_ahead_by_the_rate_of_its_lane_or_of_all() {
    let stage = Stage::new();
    for _ in 0..200 {
        stage.accept_to("you@slow.example", Class::Normal).await;
        stage.accept_to("you@fast.example", Class::Normal).await;
    }
    let limits = Settings {
        simultaneous_max: 100,
        per_next_hop_max: 2,
        ..Settings::default()
    }
    .limits();
    let mut scheduler = Scheduler::new(limits);
    let (slow, fast) = (line("slow.example"), line("fast.example"));
    let mut lines = Vec::new();
    lines.extend(stage.memory.survey().await.unwrap().lines());
    for (line, first) in &lines {
        scheduler.update(LineChange {
            line: Arc::clone(line),
            head: first.map(|first| first.head),
        });
    }
    let begun = stage.clock.now();
    assert!(scheduler.next(begun).is_some());
    // Nothing is known: what is next starts at once, and of the others nothing is told.
    let found = listed(&stage, &scheduler, &Sends::new()).await;
    assert_eq!(found[0].1.estimate, Some(Duration::ZERO));
    assert_eq!(found[300].1.estimate, None);
    // Each lane always has one under way; one ends every second here, and every tenth of one there.
    scheduler.started(&slow, begun, begun);
    scheduler.started(&fast, begun, begun);
    for tick in 1..=1_200_u64 {
        let now = begun.plus(Duration::from_millis(100 * tick));
        for (line, every) in [(&slow, 10), (&fast, 1)] {
            if tick % every == 0 {
                scheduler.finished(line, None, now);
                scheduler.started(line, begun, now);
            }
        }
    }
    tokio::time::advance(Duration::from_secs(120)).await;
    let found = listed(&stage, &scheduler, &Sends::new()).await;
    for (lane, per_second) in [("slow.example", 1.0), ("fast.example", 10.0)] {
        let of_lane = found.iter().filter(|(of, _)| of == lane);
        for (ahead, (_, standing)) in of_lane.enumerate().skip(10) {
            let truth = (ahead as f64 / per_second).max(2.0 * ahead as f64 / 11.0);
            let told = standing.estimate.unwrap().as_secs_f64();
            assert!(
                told >= truth / 2.0 && told <= truth * 2.0,
                "{lane} {ahead}: {told} for {truth}"
            );
        }
    }
}

/// A scheduler with three places, over all lanes and in each, of which one is for very high. It knows what is on the stage
/// and has seen so many deliveries end in another lane, one each second up to now. Nothing is under way.
async fn seen(stage: &Stage, ends: u64) -> Scheduler {
    let limits = Settings {
        simultaneous_max: 3,
        per_next_hop_max: 3,
        ..Settings::default()
    }
    .limits();
    let mut scheduler = Scheduler::new(limits);
    for (line, first) in stage.memory.survey().await.unwrap().lines() {
        scheduler.update(LineChange {
            line,
            head: first.map(|first| first.head),
        });
    }
    let other = line("other.example");
    for _ in 0..ends {
        tokio::time::advance(Duration::from_secs(1)).await;
        let now = stage.clock.now();
        scheduler.started(&other, now, now);
        scheduler.finished(&other, None, now);
    }
    scheduler
}

fn estimates(listed: &[(String, Standing)]) -> Vec<Option<u64>> {
    let estimates = listed.iter().map(|(_, standing)| standing.estimate);
    estimates
        .map(|estimate| estimate.map(|of| of.as_millis().div_ceil(100) as u64 * 100))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_for_very_high_mail_does_not_start_at_once() {
    for ends in [0, 100] {
        let stage = Stage::new();
        for _ in 0..100 {
            stage.accept_to("you@b.example", Class::Normal).await;
        }
        stage.accept_to("you@a.example", Class::VeryHigh).await;
        let later = Duration::from_secs(400);
        stage
            .accept_due("you@b.example", Class::Normal, later)
            .await;
        let mut scheduler = seen(&stage, ends).await;
        let free = listed(&stage, &scheduler, &Sends::new()).await;
        assert_eq!(estimates(&free)[0], Some(0));
        if ends > 0 {
            assert_eq!(estimates(&free)[1..3], [Some(1_000), Some(2_000)]);
        }
        scheduler.hold_below(true);
        let held = listed(&stage, &scheduler, &Sends::new()).await;
        assert_eq!(held[0].0, "a.example");
        assert_eq!(estimates(&held)[0], Some(0), "it is what goes first");
        assert_eq!(held[1].1.reason, Reason::VeryHighFirst);
        // How long the very-high message takes nobody knows.
        assert_eq!(estimates(&held)[1..50], [None; 49], "{ends}");
        // What has much ahead of it waits for that, not for a message.
        assert_eq!(estimates(&held)[90..], estimates(&free)[90..]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_place_starts_when_what_is_under_way_has_ended() {
    for (lane, is_full) in [("b.example", "its lane"), ("c.example", "the relay")] {
        for ends in [0, 100] {
            let stage = Stage::new();
            for _ in 0..3 {
                stage.accept_to("you@b.example", Class::Normal).await;
            }
            let mut scheduler = seen(&stage, ends).await;
            let now = stage.clock.now();
            for _ in 0..2 {
                scheduler.started(&line(lane), now, now);
            }
            let found = listed(&stage, &scheduler, &Sends::new()).await;
            let full = match lane {
                "b.example" => Reason::NextHopFull(2),
                _ => Reason::RelayFull(2),
            };
            assert_eq!(found[0].1.reason, full, "{is_full}");
            // Of its lane nothing is known in either case.
            let expected = match (lane, ends) {
                ("c.example", 100) => [Some(1_000), Some(2_000), Some(3_000)],
                _ => [None; 3],
            };
            assert_eq!(estimates(&found), expected, "{is_full}, {ends}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_found_no_room_at_its_host_does_not_start_at_once() {
    let stage = Stage::new();
    stage.accept_to("you@b.example", Class::Normal).await;
    let mut scheduler = seen(&stage, 0).await;
    let now = stage.clock.now();
    for _ in 0..2 {
        scheduler.started(&line("b.example"), now, now);
    }
    let rest = Duration::from_secs(7);
    scheduler.gave_way(&line("b.example"), now.plus(rest));
    let found = listed(&stage, &scheduler, &Sends::new()).await;
    assert_eq!(found[0].1.reason, Reason::NextHopCrowded(now.plus(rest)));
    assert_eq!(found[0].1.estimate, Some(rest));
}
