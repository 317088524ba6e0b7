//! A component that fails again and again is not asked for a while: where it fails, and for whom.

use std::time::Duration;

use super::*;
use crate::policy::Question;

const SUSPENDED: &str = "failed: not called after repeated failures";

/// Panics at every question of that stage for users whose names begin so.
fn faulty(at: &str, user: &str) -> ComponentSettings {
    misbehaving(&[("behaviour", "panic"), ("at", at), ("user", user)])
}

async fn ask(plugins: &Plugins, user: &str) -> (u16, String) {
    let answer = plugins
        .begin()
        .authorize(&at_mail(user, "x@a.example"))
        .await;
    (code(&answer), answers(&answer.records).remove(0))
}

/// A whole transaction: what was said at MAIL and about the header.
async fn ask_twice(plugins: &Plugins, user: &str) -> (String, String) {
    let mut transaction = plugins.begin();
    let mail = at_mail(user, "x@a.example");
    let at_mail = transaction.authorize(&mail).await;
    let header = with_header(&mail, "x@a.example", None);
    let at_header = transaction.authorize(&header).await;
    (
        answers(&at_mail.records).remove(0),
        answers(&at_header.records).remove(0),
    )
}

#[tokio::test(start_paused = true)]
async fn opens_after_faults_of_several_users_and_closes_after_a_good_probe() {
    let mut registry = Registry::default();
    let settings = settings(vec![faulty("mail", "faulty")]);
    let plugins = Plugins::load(settings, clock(), &mut registry)
        .await
        .unwrap();
    for n in 0..5 {
        let said = ask(&plugins, &format!("faulty-{n}")).await.1;
        assert!(said.starts_with("failed: trap"), "{said}");
    }
    let suspended = (451, SUSPENDED.to_owned());
    assert_eq!(ask(&plugins, "shop").await, suspended);
    // An answer that nobody asked for took no time.
    let (question, latency) = plugins.status()[0].latency[0];
    assert_eq!((question, latency.count), (Question::Sender, 5));
    let line = |question, value| {
        format!(
            "outpost_policy_suspended{{component=\"misbehaving\",question=\"{question}\"}} {value}\n"
        )
    };
    let page = || crate::telemetry::exposition(&registry);
    assert!(page().contains(&line("sender", 1)), "{}", page());
    assert!(page().contains(&line("priority", 0)), "{}", page());
    let status = breaker(&plugins, Question::Sender);
    assert_eq!(status.state, BreakerState::Open);

    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(ask(&plugins, "shop").await, (250, "permit".to_owned()));
    assert_eq!(
        breaker(&plugins, Question::Sender),
        BreakerStatus::default()
    );
    assert!(page().contains(&line("sender", 0)), "{}", page());
    let status = plugins.status().remove(0);
    assert_eq!(
        status.answers,
        [
            (Question::Sender, "permit", 1),
            (Question::Sender, "failed", 6)
        ]
    );
    assert_eq!(
        status.failures,
        [
            (Question::Sender, "trap", 5),
            (Question::Sender, "suspended", 1)
        ]
    );
}

#[tokio::test]
async fn answers_at_mail_do_not_hide_faults_at_the_header() {
    let plugins = load(vec![faulty("header", "")]).await;
    for n in 0..5 {
        let (at_mail, at_header) = ask_twice(&plugins, &n.to_string()).await;
        assert_eq!(at_mail, "permit");
        assert!(at_header.starts_with("failed: trap"), "{at_header}");
    }
    assert_eq!(
        ask_twice(&plugins, "shop").await,
        ("permit".to_owned(), SUSPENDED.to_owned())
    );
    assert_eq!(
        breaker(&plugins, Question::Sender).state,
        BreakerState::Open
    );
    assert_eq!(
        breaker(&plugins, Question::Priority),
        BreakerStatus::default()
    );
}

#[tokio::test(start_paused = true)]
async fn a_user_who_provokes_faults_takes_the_component_from_himself_alone() {
    let mut registry = Registry::default();
    let settings = settings(vec![faulty("header", "hostile")]);
    let plugins = Plugins::load(settings, clock(), &mut registry)
        .await
        .unwrap();
    let gauge = |value| {
        format!(
            "outpost_policy_suspended_users{{component=\"misbehaving\",question=\"sender\"}} {value}\n"
        )
    };
    let page = || crate::telemetry::exposition(&registry);
    // Nobody else is there while he tries, and he takes every probe.
    for _ in 0..3 {
        for _ in 0..20 {
            ask_twice(&plugins, "hostile").await;
        }
        assert_eq!(ask_twice(&plugins, "hostile").await.1, SUSPENDED);
        let all_is_well = ("permit".to_owned(), "permit".to_owned());
        assert_eq!(ask_twice(&plugins, "shop").await, all_is_well);
        let status = breaker(&plugins, Question::Sender);
        assert_eq!((status.state, status.users), (BreakerState::Closed, 1));
        assert!(page().contains(&gauge(1)), "{}", page());
        tokio::time::advance(Duration::from_secs(10)).await;
    }
    let calls = plugins.status()[0].failures.clone();
    assert_eq!(calls[0], (Question::Sender, "trap", 5 + 2));
}

#[tokio::test]
async fn an_operator_can_close_it() {
    let plugins = load(vec![faulty("mail", "faulty")]).await;
    for n in 0..5 {
        ask(&plugins, &format!("faulty-{n}")).await;
    }
    assert_eq!(ask(&plugins, "shop").await.0, 451);
    assert!(plugins.reset_breaker("misbehaving"));
    assert_eq!(ask(&plugins, "shop").await.0, 250);
    assert!(!plugins.reset_breaker("nobody"));
}
