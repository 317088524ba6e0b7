//! Another chain comes into force at once and whole, and a transaction sees one of them.

use super::*;

fn answering(behaviour: &str) -> ComponentSettings {
    misbehaving(&[("behaviour", behaviour)])
}

#[tokio::test]
async fn a_transaction_sees_one_version_from_mail_to_the_end() {
    let plugins = load(vec![answering("permit")]).await;
    let mail = at_mail("shop", "x@a.example");
    let header = with_header(&mail, "x@a.example", None);
    let (mut before, mut unasked) = (plugins.begin(), plugins.begin());
    assert_eq!(code(&before.authorize(&mail).await), 250);
    plugins.replace(&[answering("refuse")]).await.unwrap();
    assert_eq!(code(&before.authorize(&header).await), 250);
    assert_eq!(code(&unasked.authorize(&mail).await), 250);
    assert_eq!(code(&plugins.begin().authorize(&mail).await), 550);
}

#[tokio::test]
async fn a_chain_that_does_not_load_changes_nothing() {
    let plugins = load(vec![answering("permit")]).await;
    let broken = named("foreign", "components/tests/foreign-import", &[]);
    assert!(
        plugins
            .replace(&[answering("refuse"), broken])
            .await
            .is_err()
    );
    let mail = at_mail("shop", "x@a.example");
    assert_eq!(code(&plugins.begin().authorize(&mail).await), 250);
    assert_eq!(plugins.status().len(), 1);
}

#[tokio::test]
async fn a_component_that_stays_keeps_its_breaker_and_one_that_goes_takes_its_numbers_along() {
    let mut registry = Registry::default();
    let faulty = || answering("panic");
    let other = named(
        "other",
        "components/tests/misbehaving",
        &[("behaviour", "metrics-flood"), ("calls", "3")],
    );
    let settings = settings(vec![other, faulty()]);
    let plugins = Plugins::load(settings, clock(), &mut registry)
        .await
        .unwrap();
    let mail = at_mail("shop", "x@a.example");
    for _ in 0..5 {
        plugins.begin().authorize(&mail).await;
    }
    let page = crate::telemetry::exposition(&registry);
    assert!(page.contains("outpost_component_counts_total{component=\"other\""));
    plugins.replace(&[faulty()]).await.unwrap();
    assert_eq!(breaker(&plugins, Question::Sender).users, 1);
    let page = crate::telemetry::exposition(&registry);
    assert!(page.contains("component=\"misbehaving\""));
    assert!(!page.contains("component=\"other\""));
}

#[tokio::test]
async fn a_chain_that_was_loaded_and_is_not_wanted_leaves_no_trace() {
    let mut registry = Registry::default();
    let plugins = Plugins::load(settings(vec![answering("permit")]), clock(), &mut registry)
        .await
        .unwrap();
    let page = || {
        let page = crate::telemetry::exposition(&registry);
        let series = page.lines().filter(|line| line.contains("component=\""));
        series.map(str::to_owned).collect::<Vec<_>>().join("\n")
    };
    assert!(page().contains("component=\"misbehaving\""));
    let other = named("other", "components/tests/misbehaving", &[]);
    let prepared = plugins.prepare(&[answering("refuse"), other]).await;
    let prepared = prepared.map_err(drop).unwrap();
    assert_eq!(prepared.status().len(), 2);
    assert!(prepared.is_another());
    assert!(page().contains("component=\"other\""), "it could count");
    drop(prepared);
    assert!(!page().contains("component=\"other\""));
    let same = plugins.prepare(&[answering("permit")]).await;
    assert!(!same.map_err(drop).unwrap().is_another());
    assert!(page().contains("component=\"misbehaving\""));
    let mail = at_mail("shop", "x@a.example");
    assert_eq!(code(&plugins.begin().authorize(&mail).await), 250);
}
