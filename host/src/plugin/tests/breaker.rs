//! A component that fails again and again is not called for a while.

use std::time::Duration;

use super::*;
use crate::policy::Question;

fn faulty() -> ComponentSettings {
    misbehaving(&[("behaviour", "panic"), ("user", "faulty")])
}

async fn ask(plugins: &Plugins, user: &str) -> (u16, String) {
    let answer = plugins
        .begin()
        .authorize(&at_mail(user, "x@a.example"))
        .await;
    (code(&answer), answers(&answer.records).remove(0))
}

#[tokio::test(start_paused = true)]
async fn opens_after_repeated_faults_and_closes_after_a_good_probe() {
    let mut registry = Registry::default();
    let plugins = Plugins::load(settings(vec![faulty()]), clock(), &mut registry)
        .await
        .unwrap();
    for _ in 0..5 {
        assert!(ask(&plugins, "faulty").await.1.starts_with("failed: trap"));
    }
    let suspended = (451, "failed: not called after repeated failures".to_owned());
    assert_eq!(ask(&plugins, "shop").await, suspended);
    assert!(matches!(
        plugins.status()[0].breaker,
        BreakerState::Open { .. }
    ));
    let line = "outpost_policy_suspended{component=\"misbehaving\"}";
    let page = || crate::telemetry::exposition(&registry);
    assert!(page().contains(&format!("{line} 1")));

    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(ask(&plugins, "shop").await, (250, "permit".to_owned()));
    assert_eq!(
        plugins.status()[0].breaker,
        BreakerState::Closed { faults: 0 }
    );
    assert!(page().contains(&format!("{line} 0")));
    assert_eq!(
        plugins.status()[0].answers,
        [
            (Question::Sender, "permit", 1),
            (Question::Sender, "failed", 6)
        ]
    );
    assert_eq!(
        plugins.status()[0].failures,
        [("trap", 5), ("suspended", 1)]
    );
}

#[tokio::test]
async fn one_user_s_mail_does_not_take_a_component_away_from_the_others() {
    let plugins = load(vec![faulty()]).await;
    for _ in 0..20 {
        assert_eq!(ask(&plugins, "faulty").await.0, 451);
        assert_eq!(ask(&plugins, "shop").await.0, 250);
    }
}

#[tokio::test]
async fn an_operator_can_close_it() {
    let plugins = load(vec![faulty()]).await;
    for _ in 0..5 {
        ask(&plugins, "faulty").await;
    }
    assert_eq!(ask(&plugins, "shop").await.0, 451);
    assert!(plugins.reset_breaker("misbehaving"));
    assert_eq!(ask(&plugins, "shop").await.0, 250);
    assert!(!plugins.reset_breaker("nobody"));
}
