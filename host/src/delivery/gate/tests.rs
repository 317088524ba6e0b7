//! What waits at the gate, on paused time.

#![allow(clippy::unwrap_used)]

use std::num::NonZeroU64;

use super::super::rehearsal::Mail;
use super::*;

fn mail(number: u32, class: Class) -> Mail {
    let mut mail = Mail::to(&["a@b.example"]);
    mail.message.class = class;
    mail.delivery.id.number = number;
    mail.delivery.next_hop = NextHop::Domain(format!("{number}.example").into());
    mail
}

/// A send to a next hop of its own.
fn enter(gate: &Gate, number: u32, class: Class) -> Passage {
    let mail = mail(number, class);
    gate.enter(&mail.message, &mail.delivery)
}

fn gate(rules: Rules) -> Gate {
    Gate::new(rules, Metrics::default())
}

#[tokio::test(start_paused = true)]
async fn without_anything_urgent_nobody_waits_and_a_fast_host_gets_large_pieces() {
    let gate = gate(Rules::default());
    let passage = enter(&gate, 1, Class::Normal);
    let _transacting = passage.begin();
    let mut pieces = Vec::new();
    for _ in 0..4 {
        let octets = passage.permit(1 << 20).await;
        passage.took(octets, Duration::ZERO);
        pieces.push(octets);
    }
    assert_eq!(pieces, [16_384, 32_768, 65_536, 65_536]);
    passage.took(65_536, Duration::from_millis(60));
    assert_eq!(
        passage.permit(1 << 20).await,
        32_768,
        "a slow one smaller ones"
    );
}

#[tokio::test(start_paused = true)]
async fn a_paused_send_goes_on_in_the_moment_in_which_the_very_high_one_is_done() {
    let gate = gate(Rules::default());
    let bulk = enter(&gate, 1, Class::Normal);
    let urgent = enter(&gate, 2, Class::VeryHigh);
    let transacting = urgent.begin();
    let begun = Instant::now();
    let mut permit = Box::pin(bulk.permit(10_000));
    assert!(
        timeout_at(begun + Duration::from_millis(300), &mut permit)
            .await
            .is_err()
    );
    assert_eq!(
        gate.under_way()[0].paused,
        Some((
            Duration::from_millis(300),
            mail(2, Class::VeryHigh).message.id
        ))
    );
    assert!(gate.held_until().is_some());
    drop(transacting);
    assert_eq!(permit.as_mut().await, 10_000);
    drop(permit);
    assert_eq!(begun.elapsed(), Duration::from_millis(300));
    assert_eq!(gate.held_until(), None);
    gate.eased().notified().await;
    assert_eq!(bulk.finish().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_told_though_another_very_high_send_is_in_a_transaction_and_does_not_move() {
    let gate = gate(Rules::default());
    let (silent, urgent) = (
        enter(&gate, 1, Class::VeryHigh),
        enter(&gate, 2, Class::VeryHigh),
    );
    let _silent = silent.begin();
    tokio::time::advance(Duration::from_secs(2)).await;
    let transacting = urgent.begin();
    assert!(gate.held_until().is_some());
    drop(transacting);
    assert_eq!(gate.held_until(), None);
    let until = Instant::now() + Duration::from_millis(1);
    let told = timeout_at(until, gate.eased().notified_owned()).await;
    assert!(told.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_very_high_send_that_ends_abruptly_holds_nobody() {
    let gate = gate(Rules::default());
    let bulk = enter(&gate, 1, Class::Normal);
    let urgent = enter(&gate, 2, Class::VeryHigh);
    let hold = async move {
        let _transacting = urgent.begin();
        std::future::pending::<()>().await;
    };
    let begun = Instant::now();
    let cut = timeout_at(begun + Duration::from_millis(10), hold);
    let (octets, _) = tokio::join!(bulk.permit(100), cut);
    assert_eq!((octets, begun.elapsed()), (100, Duration::from_millis(10)));
}

#[tokio::test(start_paused = true)]
async fn a_capacity_is_shared_by_class_and_other_rules_count_at_once() {
    let rules = Rules {
        capacity: NonZeroU64::new(100_000),
        ..Rules::default()
    };
    let gate = gate(rules);
    let mut tasks = Vec::new();
    for number in 2..=5u8 {
        let gate = gate.clone();
        tasks.push(tokio::spawn(async move {
            let passage = enter(&gate, number.into(), Class::from_number(number).unwrap());
            let mut sent = 0;
            let until = Instant::now() + Duration::from_secs(30);
            while let Ok(octets) = timeout_at(until, passage.permit(65_536)).await {
                sent += octets;
            }
            sent
        }));
    }
    let mut sent = Vec::new();
    for task in tasks {
        sent.push(task.await.unwrap());
    }
    let all: usize = sent.iter().sum();
    assert!((2_990_000..3_020_000).contains(&all), "{sent:?}");
    for (sent, share) in sent.iter().zip([8, 4, 2, 1]) {
        let expected = all * share / 15;
        assert!(sent.abs_diff(expected) < all / 100, "{sent} of {expected}");
    }
    let slow = enter(&gate, 9, Class::Normal);
    // Empties what the bucket holds.
    while timeout_at(Instant::now(), slow.permit(65_536))
        .await
        .is_ok()
    {}
    let begun = Instant::now();
    let change = async { gate.follow(Rules::default()) };
    tokio::join!(slow.permit(65_536), change);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn who_is_held_for_less_long_than_it_knew_goes_on_in_time() {
    let gate = gate(Rules::default());
    let bulk = enter(&gate, 1, Class::Normal);
    let (silent, urgent) = (
        enter(&gate, 2, Class::VeryHigh),
        enter(&gate, 3, Class::VeryHigh),
    );
    let begun = Instant::now();
    let _silent = silent.begin();
    tokio::time::advance(Duration::from_millis(1_200)).await;
    let transacting = urgent.begin();
    // It trickles at once, and not again for a second.
    assert_eq!(bulk.permit(10_000).await, 600);
    let mut permit = Box::pin(bulk.permit(10_000));
    let soon = Instant::now() + Duration::from_millis(100);
    assert!(timeout_at(soon, &mut permit).await.is_err());
    drop(transacting);
    // The silent one holds it for as long as it may, and no longer.
    assert_eq!(permit.await, 10_000);
    assert_eq!(begun.elapsed(), Duration::from_millis(1_500));
    let told = timeout_at(Instant::now(), gate.eased().notified_owned()).await;
    assert!(told.is_ok());
}

mod stalled;
