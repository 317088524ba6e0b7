//! Instances are made before they are needed; nobody sees them twice, and they are in nobody's way.

use std::time::Duration;

use super::*;
use crate::policy::PlacementRuling;

/// Waits until as many instances live.
async fn until_there_are(plugins: &Plugins, instances: usize) {
    for _ in 0..100_000 {
        if plugins.pool().instances == instances {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("there are {} instances", plugins.pool().instances);
}

#[tokio::test]
async fn an_instance_that_was_made_beforehand_serves_one_transaction() {
    let plugins = load(vec![misbehaving(&[("behaviour", "count")])]).await;
    let mail = at_mail("shop", "x@a.example");
    for waiting in 1..=2 {
        // While one is being made no other is begun, and it counts before it is there.
        while plugins.pool().instances < waiting {
            plugins.begin().prepare_others();
            tokio::task::yield_now().await;
        }
    }
    for waiting in [1, 0, 0] {
        let mut transaction = plugins.begin();
        assert_eq!(code(&transaction.authorize(&mail).await), 250);
        assert_eq!(
            transaction.note_numbers(),
            [1],
            "nobody has asked it before"
        );
        drop(transaction);
        assert_eq!(plugins.pool().instances, waiting);
    }
}

#[tokio::test]
async fn a_few_wait_and_go_when_the_component_goes() {
    let plugins = load(vec![misbehaving(&[])]).await;
    for _ in 0..20 {
        plugins.begin().prepare_others();
        tokio::task::yield_now().await;
    }
    until_there_are(&plugins, 4).await;
    plugins.replace(&[]).await.unwrap();
    assert_eq!(plugins.pool().instances, 0);
}

#[tokio::test]
async fn what_nobody_needs_yet_gives_way() {
    let shipped = Settings::shipped(compiled());
    let settings = Settings {
        pool: PoolSettings {
            instances: 1,
            instances_held: 0,
            wait: Duration::from_millis(5),
            ..PoolSettings::default()
        },
        ..shipped
    };
    let plugins = load_with(settings).await;
    plugins.begin().prepare_others();
    // The only one is of the component that is not asked now.
    until_there_are(&plugins, 1).await;
    let mail = at_mail("shop", "x@a.example");
    let header = with_header(&mail, "x@a.example", None);
    let placed = plugins.begin().place(&header).await;
    assert!(
        matches!(placed.ruling, PlacementRuling::Placed { .. }),
        "{placed:?}"
    );
}
