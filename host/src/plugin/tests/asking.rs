//! Questions and answers of components that behave.

use std::time::Duration;

use super::*;
use crate::policy::{PlacementRuling, Question};

fn placed(class: Class) -> PlacementRuling {
    PlacementRuling::Placed {
        class,
        deliver_within: None,
    }
}

#[tokio::test]
async fn the_shipped_chain_authorizes_and_places() {
    let plugins = load_with(Settings::shipped(compiled())).await;
    let mut transaction = plugins.begin();
    let mail = at_mail("shop", "x@a.example");
    let header = with_header(&mail, "me@b.example", Some(Class::High));
    assert_eq!(code(&transaction.authorize(&mail).await), 250);
    assert_eq!(code(&transaction.authorize(&header).await), 250);
    let urgency = transaction.place(&header).await;
    assert_eq!(urgency.ruling, placed(Class::High));
    assert_eq!(answers(&urgency.records), ["class 2"]);
}

#[tokio::test]
async fn the_shipped_chain_refuses_who_is_not_authorized() {
    let plugins = load_with(Settings::shipped(compiled())).await;
    let mail = at_mail("shop", "ceo@c.example");
    let refused = plugins.begin().authorize(&mail).await;
    assert_eq!(code(&refused), 550);
    assert_eq!(answers(&refused.records), ["refuse"]);
    let SenderRuling::Refused { reasons, .. } = refused.ruling else {
        panic!("refused");
    };
    assert_eq!(reasons[0].rule(), "not-authorized");
    assert_eq!(reasons[0].detail(), "shop may not send as ceo@c.example");

    // An authorized reverse-path does not authorize another author.
    let mut transaction = plugins.begin();
    let mail = at_mail("shop", "x@a.example");
    assert_eq!(code(&transaction.authorize(&mail).await), 250);
    let forged = with_header(&mail, "ceo@c.example", None);
    assert_eq!(code(&transaction.authorize(&forged).await), 550);
}

#[tokio::test]
async fn a_record_names_component_digest_question_and_time() {
    let plugins = load_with(Settings::shipped(compiled())).await;
    let mail = at_mail("shop", "x@a.example");
    let permitted = plugins.begin().authorize(&mail).await;
    let [record] = &permitted.records[..] else {
        panic!("one component answers about senders");
    };
    assert_eq!(record.component.as_ref(), "authorized-senders");
    assert_eq!(*record.digest, SHIPPED[0].digest());
    assert_eq!(record.question, Question::Sender);
    assert!(!record.took.is_zero());
    assert!(!record.reasons.is_empty());
}

#[tokio::test]
async fn without_any_component_nobody_sends_and_the_user_s_priority_counts() {
    let plugins = load(vec![]).await;
    let mail = at_mail("shop", "x@a.example");
    let mut transaction = plugins.begin();
    assert_eq!(code(&transaction.authorize(&mail).await), 550);
    let header = with_header(&mail, "x@a.example", Some(Class::VeryHigh));
    assert_eq!(transaction.place(&header).await.ruling, placed(Class::Low));
}

#[tokio::test]
async fn when_all_pass_nobody_sends_and_the_user_s_priority_counts() {
    let plugins = load(vec![misbehaving(&[("behaviour", "pass")])]).await;
    let mail = at_mail("shop", "x@a.example");
    let mut transaction = plugins.begin();
    let refused = transaction.authorize(&mail).await;
    assert_eq!(
        (code(&refused), answers(&refused.records)),
        (550, vec!["pass".to_owned()])
    );
    let header = with_header(&mail, "x@a.example", Some(Class::VeryHigh));
    let urgency = transaction.place(&header).await;
    assert_eq!(urgency.ruling, placed(Class::Low));
    assert_eq!(answers(&urgency.records), ["pass"]);
}

#[tokio::test]
async fn the_first_objection_ends_the_chain() {
    let refuse = [
        ("behaviour", "refuse"),
        ("code", "553"),
        ("enhanced", "5.7.9"),
        ("text", "No."),
    ];
    let objecting = named("second", "components/tests/misbehaving", &refuse);
    let third = named("third", "components/tests/misbehaving", &[]);
    let plugins = load(vec![misbehaving(&[]), objecting, third]).await;
    let refused = plugins
        .begin()
        .authorize(&at_mail("shop", "x@a.example"))
        .await;
    assert_eq!(code(&refused), 553);
    assert_eq!(answers(&refused.records), ["permit", "refuse"]);
}

#[tokio::test]
async fn an_instance_lives_as_long_as_its_transaction_and_no_longer() {
    let plugins = load(vec![misbehaving(&[("behaviour", "count")])]).await;
    let mail = at_mail("shop", "x@a.example");
    let header = with_header(&mail, "x@a.example", None);
    for _ in 0..2 {
        let mut transaction = plugins.begin();
        transaction.authorize(&mail).await;
        assert_eq!(plugins.pool().instances_held, 1);
        transaction.authorize(&header).await;
        transaction.place(&header).await;
        // Asked three times: at MAIL, about the header, about urgency.
        assert_eq!(transaction.note_numbers(), [3]);
        assert_eq!(plugins.pool().instances, 0, "nothing is left to ask");
    }
}

#[tokio::test]
async fn a_component_without_a_grant_is_told_so() {
    let wants_state = named("wants-state", "components/tests/wants-state", &[]);
    let plugins = load(vec![wants_state]).await;
    let refused = plugins
        .begin()
        .authorize(&at_mail("shop", "x@a.example"))
        .await;
    let record = &refused.records[0];
    assert_eq!(record.answer.to_string(), "refuse");
    assert_eq!(record.reasons[0].detail(), "not granted");
    let imports = &plugins.status()[0].imports;
    assert!(
        imports.contains(&("outpost:policy/state@0.1.0".into(), false)),
        "{imports:?}"
    );
    assert!(
        imports.contains(&("outpost:policy/message@0.1.0".into(), true)),
        "{imports:?}"
    );
}

#[tokio::test]
async fn a_component_of_each_released_version_loads_and_answers() {
    let everything = named("everything", "museum/0.1.0/everything", &[]);
    let plugins = load(vec![everything]).await;
    let mail = at_mail("museum", "a@museum.example");
    let header = with_header(&mail, "a@museum.example", Some(Class::High));
    let mut transaction = plugins.begin();
    assert_eq!(code(&transaction.authorize(&mail).await), 250);
    assert_eq!(code(&transaction.authorize(&header).await), 250);
    let urgency = transaction.place(&header).await;
    let expected = PlacementRuling::Placed {
        class: Class::Low,
        deliver_within: Some(Duration::from_secs(3600)),
    };
    assert_eq!(urgency.ruling, expected);
    let reasons = urgency.records[0].reasons.iter();
    let reasons: Vec<_> = reasons
        .map(|reason| (reason.rule(), reason.detail()))
        .collect();
    assert_eq!(
        reasons,
        [
            ("museum", "version 0.1.0"),
            ("deliver-within", "delivery makes sense for 3600s")
        ]
    );
    for (user, author, expected) in [
        ("shop", "a@museum.example", 451),
        ("museum", "b@museum.example", 550),
    ] {
        let header = with_header(&at_mail(user, "a@museum.example"), author, None);
        let mut transaction = plugins.begin();
        assert_eq!(code(&transaction.authorize(&header).await), expected);
    }
}

#[tokio::test]
async fn settings_and_the_time_of_day_reach_a_component() {
    // The tests' clock stands at 22:13 on a Tuesday.
    for (open, close, class) in [("08:00", "18:00", 5), ("22:00", "06:00", 2)] {
        let config = [("open", open), ("close", close)];
        let hours = named(
            "working-hours",
            "components/examples/working-hours",
            &config,
        );
        let plugins = load(vec![
            hours,
            ComponentSettings::shipped("effective-priority"),
        ])
        .await;
        let mail = at_mail("shop", "x@a.example");
        let header = with_header(&mail, "x@a.example", Some(Class::High));
        let urgency = plugins.begin().place(&header).await;
        let class = Class::from_number(class).unwrap();
        assert_eq!(urgency.ruling, placed(class), "{open} to {close}");
    }
}

#[tokio::test]
async fn notes_reach_the_components_behind_and_the_next_question() {
    let note = |name| {
        named(
            name,
            "components/tests/misbehaving",
            &[("notes", "1"), ("key", name)],
        )
    };
    let plugins = load(vec![note("first"), note("second")]).await;
    let mail = at_mail("shop", "x@a.example");
    let mut transaction = plugins.begin();
    transaction.authorize(&mail).await;
    assert_eq!(transaction.note_keys_before(0), ["first"]);
    assert_eq!(transaction.note_keys_before(1), ["first", "second"]);
    // Said again, it is one note all the same.
    transaction
        .authorize(&with_header(&mail, "x@a.example", None))
        .await;
    assert_eq!(transaction.note_keys_before(1), ["first", "second"]);
}

#[tokio::test]
async fn status_and_metrics_count_answers() {
    let mut registry = Registry::default();
    let settings = Settings::shipped(compiled());
    let plugins = Plugins::load(settings, clock(), &mut registry)
        .await
        .unwrap();
    for sender in ["x@a.example", "x@a.example", "x@c.example"] {
        plugins.begin().authorize(&at_mail("shop", sender)).await;
    }
    let status = &plugins.status()[0];
    assert_eq!(status.name, "authorized-senders");
    assert_eq!(status.about.name, "authorized-senders");
    assert_eq!(status.contract, CONTRACT_VERSION);
    assert_eq!(
        status.answers,
        [
            (Question::Sender, "permit", 2),
            (Question::Sender, "refuse", 1)
        ]
    );
    assert_eq!(status.latency[0].1.count, 3);
    let page = crate::telemetry::exposition(&registry);
    assert!(page.contains(
        "outpost_policy_answers_total{component=\"authorized-senders\",question=\"sender\",answer=\"permit\"} 2"
    ), "{page}");
}
