//! What counts as the time that very-high mail takes: not what it waits for an operator.

use super::*;
use crate::queue::stage::Running;
use crate::telemetry::{Registry, exposition};

/// The percentile of very-high mail, in seconds, and whether there is an alarm.
fn very_high(queue: &Running) -> (f64, bool) {
    let mut registry = Registry::default();
    queue.metrics.register(&mut registry);
    let text = exposition(&registry);
    let figure = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse::<f64>().unwrap()
    };
    let alarm = figure("outpost_very_high_alarm ");
    (figure("outpost_very_high_p99_seconds "), alarm > 0.5)
}

async fn change(stage: &Stage, action: ChangeAction) {
    let change = Change {
        action,
        by: "ops".to_owned(),
        at: stage.clock.now(),
    };
    let changed = stage.change(Selection::default(), change, false).await;
    assert_eq!(changed.unwrap().deliveries, 1);
}

async fn stop(stage: &Stage, of: StopOf) {
    let stop = Stop {
        of,
        by: "ops".to_owned(),
        at: stage.clock.now(),
    };
    assert_eq!(Spool::stop(stage, stop).await.unwrap(), Stopped::Now);
}

async fn start(stage: &Stage, of: StopOf) {
    assert!(Spool::start(stage, of).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_waited_for_an_operator_took_no_time() {
    let stage = Stage::new();
    let script = Script::new([]);
    let queue = stage.start(Settings::default(), script.clone());
    let user = || StopOf::User("user".to_owned());
    let lane = || StopOf::NextHop(NextHop::Domain("b.example".into()));

    stop(&stage, user()).await;
    stage.accept_to("you@b.example", Class::VeryHigh).await;
    pass(seconds(5)).await;
    start(&stage, user()).await;
    pass(seconds(1)).await;

    // Made very high behind a stop that goes on for a while.
    stop(&stage, lane()).await;
    stage.accept_to("you@b.example", Class::Normal).await;
    pass(seconds(3)).await;
    change(&stage, ChangeAction::SetClass(Class::VeryHigh)).await;
    pass(seconds(3)).await;
    start(&stage, lane()).await;
    pass(seconds(1)).await;

    // Kept back, held, and let go.
    stop(&stage, StopOf::All).await;
    stage.accept_to("you@b.example", Class::VeryHigh).await;
    change(&stage, ChangeAction::Hold).await;
    start(&stage, StopOf::All).await;
    pass(seconds(4)).await;
    change(&stage, ChangeAction::Release).await;
    pass(seconds(1)).await;

    assert_eq!(script.seen().len(), 3);
    let (p99, is_alarmed) = very_high(&queue);
    assert!(p99 < 0.1 && !is_alarmed, "{p99}");
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_since_it_was_let_go_takes_its_time() {
    let stage = Stage::new();
    let script = Script::new([Act::End(seconds(3), delivered())]);
    let queue = stage.start(Settings::default(), script.clone());
    stop(&stage, StopOf::All).await;
    stage.accept_to("you@b.example", Class::VeryHigh).await;
    pass(seconds(5)).await;
    start(&stage, StopOf::All).await;
    pass(seconds(4)).await;
    let (p99, is_alarmed) = very_high(&queue);
    assert!((3.0..3.4).contains(&p99) && is_alarmed, "{p99}");
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_came_to_mail_before_a_stop_cut_it_off_has_been_counted() {
    let stage = Stage::new();
    stage.accept_to("you@b.example", Class::VeryHigh).await;
    let queue = stage.start(
        Settings::default(),
        Script::new([Act::CutOff { is_unknown: false }]),
    );
    pass(Duration::from_millis(100)).await;
    queue.stop().await;
    pass(seconds(60)).await;
    stage.reopen();
    let script = Script::new([]);
    let queue = stage.start(Settings::default(), script.clone());
    pass(seconds(1)).await;
    assert_eq!(script.seen().len(), 1);
    let (p99, is_alarmed) = very_high(&queue);
    assert!(p99.is_nan() && !is_alarmed, "{p99}");
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_late_is_known_when_it_comes_to_mail_though_it_never_ends() {
    let stage = Stage::new();
    let settings = Settings {
        per_next_hop_max: 1,
        ..Settings::default()
    };
    let script = Script::new([Act::End(seconds(3), delivered()), Act::Hang]);
    let queue = stage.start(settings, script.clone());
    stage.accept_to("you@b.example", Class::Normal).await;
    pass(Duration::from_millis(10)).await;
    stage.accept_to("me@b.example", Class::VeryHigh).await;
    pass(seconds(2)).await;
    assert!(very_high(&queue).0.is_nan(), "it has not come to MAIL");
    pass(seconds(2)).await;
    let (p99, is_alarmed) = very_high(&queue);
    assert!((2.9..3.4).contains(&p99) && is_alarmed, "{p99}");
    assert_eq!(stage.queued(), 1);
    queue.stop().await;
}
