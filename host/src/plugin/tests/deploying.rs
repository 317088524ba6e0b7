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
    let other = || named("other", "components/tests/misbehaving", &[]);
    let settings = settings(vec![faulty(), other()]);
    let plugins = Plugins::load(settings, clock(), &mut registry)
        .await
        .unwrap();
    let mail = at_mail("shop", "x@a.example");
    for _ in 0..5 {
        plugins.begin().authorize(&mail).await;
    }
    plugins.replace(&[faulty()]).await.unwrap();
    assert_eq!(breaker(&plugins, Question::Sender).users, 1);
    let page = crate::telemetry::exposition(&registry);
    assert!(page.contains("component=\"misbehaving\""));
    assert!(!page.contains("component=\"other\""));
}
