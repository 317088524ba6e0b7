//! A stop that cuts attempts off: what becomes of them after the next start.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_is_cut_off_before_its_end_leaves_at_once_after_the_next_start_and_is_not_charged() {
    let stage = Stage::new();
    let id = stage.accept_to("you@b.example", Class::Normal).await;
    let script = Script::new([Act::CutOff { is_unknown: false }]);
    let queue = stage.start(Settings::default(), script.clone());
    pass(Duration::from_millis(100)).await;
    queue.stop().await;
    let record = stage.record(id).await;
    let (delivery, _) = &record.deliveries[0];
    assert_eq!((delivery.attempts, delivery.due), (0, START));
    let is_unknown = |event: &Event| matches!(event, Event::Attempted { unknown: true, .. });
    assert!(!record.trail.iter().any(|entry| is_unknown(&entry.event)));
    let is_told = |event: &Event| matches!(event, Event::Attempted { host: Some(_), .. });
    assert!(record.trail.iter().any(|entry| is_told(&entry.event)));
    stage.reopen();
    let script = Script::new([]);
    let queue = stage.start(Settings::default(), script.clone());
    pass(seconds(1)).await;
    assert_eq!((script.seen().len(), stage.queued()), (1, 0));
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_what_is_cut_off_behind_its_end_only_very_high_mail_leaves_at_once() {
    let stage = Stage::new();
    let normal = stage.accept_to("you@b.example", Class::Normal).await;
    let urgent = stage.accept_to("you@c.example", Class::VeryHigh).await;
    let behind = Act::CutOff { is_unknown: true };
    let script = Script::new([behind.clone(), behind]);
    let queue = stage.start(Settings::default(), script.clone());
    pass(Duration::from_millis(100)).await;
    queue.stop().await;
    for id in [normal, urgent] {
        let record = stage.record(id).await;
        assert_eq!(record.deliveries[0].0.attempts, 1);
        let is_unknown = |event: &Event| matches!(event, Event::Attempted { unknown: true, .. });
        assert!(record.trail.iter().any(|entry| is_unknown(&entry.event)));
    }
    stage.reopen();
    let script = Script::new([]);
    let queue = stage.start(Settings::default(), script.clone());
    pass(seconds(1)).await;
    assert_eq!((ids(&script.seen()), stage.queued()), (vec![urgent], 1));
    pass(seconds(60)).await;
    assert_eq!(
        (ids(&script.seen()), stage.queued()),
        (vec![urgent, normal], 0)
    );
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_an_attempt_that_does_not_come_back_the_trail_says_that_it_may_deliver_twice() {
    let stage = Stage::new();
    let id = stage.accept_to("you@b.example", Class::Normal).await;
    let script = Script::new([Act::HangInContent]);
    let queue = stage.start(Settings::default(), script.clone());
    pass(Duration::from_millis(100)).await;
    queue.stop().await;
    let record = stage.record(id).await;
    let is_unknown = |event: &Event| matches!(event, Event::Attempted { unknown: true, .. });
    assert!(record.trail.iter().any(|entry| is_unknown(&entry.event)));
    // Not at once, which would make it certain.
    stage.reopen();
    let queue = stage.start(Settings::default(), script.clone());
    pass(seconds(5)).await;
    assert_eq!((script.seen().len(), stage.queued()), (1, 1));
    pass(seconds(60)).await;
    assert_eq!((script.seen().len(), stage.queued()), (2, 0));
    queue.stop().await;
}
