//! An instance serves several transactions where the operator wants that, and nobody knows how many.

use std::collections::HashSet;

use super::*;

fn reused(transactions_max: u32, config: &[(&str, &str)]) -> ComponentSettings {
    ComponentSettings {
        transactions_max,
        ..misbehaving(config)
    }
}

async fn ask(plugins: &Plugins, user: &str) -> Option<i64> {
    let mut transaction = plugins.begin();
    transaction.authorize(&at_mail(user, "x@a.example")).await;
    transaction.note_numbers().first().copied()
}

#[tokio::test]
async fn an_instance_serves_some_transactions_and_never_more_than_it_may() {
    let plugins = load(vec![reused(4, &[("behaviour", "count")])]).await;
    let mut lives = Vec::new();
    for _ in 0..200 {
        // How many questions this instance has been asked: one a transaction.
        let asked = ask(&plugins, "shop").await.unwrap();
        match lives.last_mut() {
            Some(life) if asked > 1 => *life = asked,
            _ => lives.push(asked),
        }
    }
    lives.pop();
    assert_eq!(lives.iter().max(), Some(&4), "{lives:?}");
    let different: HashSet<_> = lives.iter().collect();
    assert!(different.len() > 1, "nobody can count on it: {lives:?}");
}

#[tokio::test]
async fn unasked_an_instance_is_never_seen_twice() {
    let plugins = load(vec![misbehaving(&[("behaviour", "count")])]).await;
    for _ in 0..50 {
        assert_eq!(ask(&plugins, "shop").await, Some(1));
        assert_eq!(plugins.pool().instances, 0);
    }
}

#[tokio::test]
async fn an_instance_that_failed_or_was_given_up_serves_nobody_again() {
    for behaviour in ["panic", "loop"] {
        let config = [("behaviour", behaviour), ("user", "bad")];
        let plugins = load(vec![reused(1000, &config)]).await;
        ask(&plugins, "shop").await;
        // One in a thousand is drawn for a single transaction.
        while plugins.pool().instances == 0 {
            ask(&plugins, "shop").await;
        }
        assert_eq!(plugins.pool().instances_held, 1);
        if behaviour == "loop" {
            tokio::select! {
                biased;
                _ = ask(&plugins, "bad") => panic!("it never ends so soon"),
                () = tokio::task::yield_now() => {}
            }
        } else {
            ask(&plugins, "bad").await;
        }
        assert_eq!(plugins.pool().instances, 0, "{behaviour}");
    }
}

#[tokio::test]
async fn what_waits_is_bounded_and_goes_when_the_component_goes() {
    let plugins = load(vec![reused(1000, &[])]).await;
    let mail = at_mail("shop", "x@a.example");
    let mut transactions: Vec<_> = (0..8).map(|_| plugins.begin()).collect();
    for transaction in &mut transactions {
        transaction.authorize(&mail).await;
    }
    assert_eq!(plugins.pool().instances_held, 8);
    drop(transactions);
    let waiting = plugins.pool().instances;
    assert!((1..=4).contains(&waiting), "{waiting}");
    plugins.replace(&[]).await.unwrap();
    assert_eq!(plugins.pool().instances, 0);
}
