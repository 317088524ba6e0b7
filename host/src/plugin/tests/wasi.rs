//! An empty WASI for who asks for it, and none for who does not.

use std::time::Duration;

use super::*;
use crate::policy::Question;

fn wants_wasi(wasi: Wasi, config: &[(&str, &str)]) -> ComponentSettings {
    ComponentSettings {
        wasi,
        ..named("wants-wasi", "components/tests/wants-wasi", config)
    }
}

#[tokio::test]
async fn without_the_request_each_import_is_refused_by_name() {
    let problems = problems(vec![wants_wasi(Wasi::Refused, &[])]).await;
    assert_eq!(problems.len(), 1, "{problems:?}");
    for import in [
        "wasi:cli/environment@0.2.0",
        "wasi:clocks/wall-clock@0.2.0",
        "wasi:filesystem/preopens@0.2.0",
        "wasi:random/random@0.2.0",
        "wasi:sockets/tcp-create-socket@0.2.0",
        "`wasi = \"empty\"`",
    ] {
        assert!(problems[0].contains(import), "{import}: {problems:?}");
    }
}

#[tokio::test]
async fn on_request_it_is_there_and_empty() {
    // The test runner's own are not to be seen.
    assert!(env::vars().count() > 0 && env::args().count() > 0);
    let plugins = load(vec![wants_wasi(Wasi::Empty, &[])]).await;
    let answer = plugins
        .begin()
        .authorize(&at_mail("shop", "x@a.example"))
        .await;
    assert_eq!(code(&answer), 250, "{answer:?}");
    let reasons = answer.records[0].reasons.iter();
    let reasons: Vec<_> = reasons
        .map(|reason| (reason.rule(), reason.detail()))
        .collect();
    let expected = [
        ("environment", "0"),
        ("arguments", "0"),
        ("working-directory", "false"),
        ("directories", "0"),
        ("socket", "denied"),
        ("random", "16"),
        // The relay's clock, which stands still in the tests.
        ("time", "1700000000"),
    ];
    assert_eq!(reasons, expected);
}

#[tokio::test]
async fn a_component_that_waits_is_given_up_and_to_blame() {
    let mut component = wants_wasi(Wasi::Empty, &[("behaviour", "wait")]);
    component.limits.wall_time = Duration::from_millis(100);
    let plugins = load(vec![component]).await;
    for _ in 0..5 {
        let answer = plugins
            .begin()
            .authorize(&at_mail("shop", "x@a.example"))
            .await;
        assert_eq!(code(&answer), 451);
        assert_eq!(
            answers(&answer.records),
            ["failed: trap: it waited for 100ms and went on"]
        );
    }
    assert_eq!(plugins.pool().instances, 0);
    assert_eq!(breaker(&plugins, Question::Sender).users, 1);
}

#[tokio::test]
async fn what_wasi_keeps_for_a_component_is_bounded() {
    for behaviour in ["hoard", "random"] {
        let mut component = wants_wasi(Wasi::Empty, &[("behaviour", behaviour)]);
        component.limits.cpu_time = Duration::from_secs(2);
        component.limits.wall_time = Duration::from_secs(60);
        let plugins = load(vec![component]).await;
        let answer = plugins
            .begin()
            .authorize(&at_mail("shop", "x@a.example"))
            .await;
        let said = answers(&answer.records).remove(0);
        assert!(said.starts_with("failed: trap: "), "{behaviour}: {said}");
    }
}

#[tokio::test]
async fn a_component_that_misdescribes_wasi_is_refused_by_the_name_of_the_function() {
    let foreign = ComponentSettings {
        wasi: Wasi::Empty,
        ..named("foreign", "components/tests/foreign-import", &[])
    };
    let problems = problems(vec![foreign]).await;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].contains("wasi:filesystem/preopens@0.2.0"),
        "{problems:?}"
    );
    assert!(problems[0].contains("get-directories"), "{problems:?}");
}
