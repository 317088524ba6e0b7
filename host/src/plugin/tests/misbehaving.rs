//! Each kind of misbehaviour is a value, costs its own transaction only, and leaves nothing behind.

use std::fs;
use std::time::{Duration, Instant};

use super::*;
use crate::policy::{OnFailure, PlacementRuling, Question};

/// Asks at MAIL; the trail's answer of a component that failed.
async fn failure(config: &[(&str, &str)]) -> String {
    let plugins = load(vec![misbehaving(config)]).await;
    let answer = plugins
        .begin()
        .authorize(&at_mail("shop", "x@a.example"))
        .await;
    assert_eq!(code(&answer), 451, "{answer:?}");
    assert_eq!(plugins.pool().instances, 0, "its instance is dropped");
    answers(&answer.records).remove(0)
}

#[tokio::test]
async fn an_endless_loop_runs_out_of_cpu_time() {
    let began = Instant::now();
    let failure = failure(&[("behaviour", "loop")]).await;
    assert_eq!(failure, "failed: used more than 50ms of CPU time");
    // Generous: the machine may be busy with other tests.
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_memory_bomb_is_refused_more_memory() {
    let failure = failure(&[("behaviour", "memory")]).await;
    // On a slow machine its time is up before its memory is.
    let expected = [
        "failed: wanted more than 16777216 octets of memory",
        "failed: used more than 50ms of CPU time",
    ];
    assert!(expected.contains(&failure.as_str()), "{failure}");
}

#[tokio::test]
async fn memory_returns_after_bombs() {
    let mut bomb = misbehaving(&[("behaviour", "memory"), ("user", "bomber")]);
    bomb.limits.memory_octets = 64 << 20;
    bomb.limits.cpu_time = Duration::from_secs(1);
    let plugins = load(vec![bomb]).await;
    let (good, bad) = (
        at_mail("shop", "x@a.example"),
        at_mail("bomber", "x@a.example"),
    );
    plugins.begin().authorize(&good).await;
    let before = resident_octets();
    for _ in 0..10 {
        plugins.begin().authorize(&bad).await;
        // Between the faults, so that the breaker stays closed.
        assert_eq!(code(&plugins.begin().authorize(&good).await), 250);
    }
    let grown = resident_octets().saturating_sub(before);
    // Other tests may run in this process; a leak would be five times as much.
    assert!(
        grown < 128 << 20,
        "grown by {grown} octets after 640 MiB of bombs"
    );
}

fn resident_octets() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[tokio::test]
async fn a_trap_is_an_answer() {
    for behaviour in ["panic", "trap", "stack"] {
        let failure = failure(&[("behaviour", behaviour)]).await;
        assert!(
            failure.starts_with("failed: trap: "),
            "{behaviour}: {failure}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_copied() {
    let failure = failure(&[("behaviour", "oversized")]).await;
    assert!(
        failure.contains("too much data is being copied"),
        "{failure}"
    );
}

#[tokio::test]
async fn calls_of_the_relay_are_bounded() {
    let failure = failure(&[("behaviour", "slow")]).await;
    let expected = [
        "failed: called the relay more than 10000 times",
        "failed: used more than 50ms of CPU time",
    ];
    assert!(expected.contains(&failure.as_str()), "{failure}");
}

#[tokio::test]
async fn replies_that_break_the_contract_are_never_sent() {
    for (behaviour, code, enhanced, text) in [
        ("refuse", "250", "2.0.0", "Fine."),
        ("refuse", "451", "4.7.1", "Later."),
        ("refuse", "550", "4.7.1", "No."),
        ("refuse", "550", "5.1000.1", "No."),
        ("refuse", "550", "5.7.1", "No.\r\n250 Yes."),
        ("refuse", "550", "5.7.1", ""),
        ("defer", "550", "5.7.1", "No."),
        ("defer", "999", "4.7.1", "Later."),
    ] {
        let failure = failure(&[
            ("behaviour", behaviour),
            ("code", code),
            ("enhanced", enhanced),
            ("text", text),
        ])
        .await;
        assert!(
            failure.starts_with("failed: invalid answer: the reply"),
            "{failure}"
        );
    }
}

#[tokio::test]
async fn notes_beyond_the_contract_are_invalid() {
    for config in [
        [("behaviour", "permit"), ("notes", "17")],
        [("notes", "1"), ("note-bytes", "1025")],
        [("notes", "1"), ("key", "Not a key")],
        [("behaviour", "permit"), ("rule", "")],
    ] {
        let failure = failure(&config).await;
        assert!(
            failure.starts_with("failed: invalid answer: "),
            "{config:?}: {failure}"
        );
    }
}

#[tokio::test]
async fn reasons_are_cut_and_cleaned_because_senders_may_have_chosen_them() {
    let config = [("reasons", "1000"), ("detail", "two\r\nlines\u{1b}[31m")];
    let plugins = load(vec![misbehaving(&config)]).await;
    let answer = plugins
        .begin()
        .authorize(&at_mail("shop", "x@a.example"))
        .await;
    assert_eq!(code(&answer), 250);
    let reasons = &answer.records[0].reasons;
    assert_eq!(reasons.len(), 32);
    assert_eq!(reasons[0].detail(), "two\u{fffd}\u{fffd}lines\u{fffd}[31m");
}

#[tokio::test]
async fn a_priority_that_is_none_leaves_the_user_s() {
    for priority in ["0", "6", "255"] {
        let config = [
            ("behaviour", "permit"),
            ("at", "place"),
            ("priority", priority),
        ];
        let plugins = load(vec![misbehaving(&config)]).await;
        let header = with_header(&at_mail("shop", "x@a.example"), "x@a.example", None);
        let urgency = plugins.begin().place(&header).await;
        let users = PlacementRuling::Placed {
            class: Class::Low,
            deliver_within: None,
        };
        assert_eq!(urgency.ruling, users, "skip is the default about urgency");
        assert_eq!(
            answers(&urgency.records),
            [format!(
                "failed: invalid answer: there is no priority {priority}"
            )]
        );
    }
}

#[tokio::test]
async fn the_operator_chooses_what_a_failure_means() {
    for (on_failure, sender, urgency) in [
        (OnFailure::Defer, 451, 451),
        (OnFailure::Refuse, 550, 554),
        (OnFailure::Skip, 550, 250),
    ] {
        let mut component = misbehaving(&[("behaviour", "panic")]);
        component.on_failure = Some(on_failure);
        let plugins = load(vec![component]).await;
        let mail = at_mail("shop", "x@a.example");
        assert_eq!(
            code(&plugins.begin().authorize(&mail).await),
            sender,
            "{on_failure:?}"
        );
        let header = with_header(&mail, "x@a.example", None);
        let code = match plugins.begin().place(&header).await.ruling {
            PlacementRuling::Placed { .. } => 250,
            PlacementRuling::Deferred(reply) | PlacementRuling::Refused(reply) => reply.code,
        };
        assert_eq!(code, urgency, "{on_failure:?}");
    }
}

#[tokio::test]
async fn an_instance_that_failed_is_never_asked_again() {
    let config = [("behaviour", "panic"), ("at", "mail")];
    let mut component = misbehaving(&config);
    component.on_failure = Some(OnFailure::Skip);
    let second = named("second", "components/tests/misbehaving", &[]);
    let plugins = load(vec![component, second]).await;
    let mut transaction = plugins.begin();
    let mail = at_mail("shop", "x@a.example");
    assert_eq!(code(&transaction.authorize(&mail).await), 250);
    let header = with_header(&mail, "x@a.example", None);
    let again = transaction.authorize(&header).await;
    assert_eq!(answers(&again.records), ["permit", "permit"]);
}

#[tokio::test]
async fn logs_and_metrics_are_bounded() {
    for (behaviour, what) in [("log-flood", "lines"), ("metrics-flood", "values")] {
        let mut registry = Registry::default();
        let component = misbehaving(&[("behaviour", behaviour), ("calls", "1000")]);
        let settings = settings(vec![component]);
        let plugins = Plugins::load(settings, clock(), &mut registry)
            .await
            .unwrap();
        let answer = plugins
            .begin()
            .authorize(&at_mail("shop", "x@a.example"))
            .await;
        assert_eq!(
            code(&answer),
            250,
            "too much of either is dropped, not punished"
        );
        let page = crate::telemetry::exposition(&registry);
        let dropped =
            format!("outpost_policy_dropped_total{{component=\"misbehaving\",what=\"{what}\"}}");
        let line = page
            .lines()
            .find(|line| line.starts_with(&dropped))
            .unwrap();
        let dropped: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert_eq!(
            dropped,
            if what == "lines" {
                1000 - 32
            } else {
                1000 - 256
            }
        );
    }
}

#[tokio::test]
async fn lines_of_a_component_carry_its_name_the_message_and_the_session() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer({
        let lines = lines.clone();
        move || lines.clone()
    });
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let plugins = load(vec![misbehaving(&[
        ("behaviour", "log-flood"),
        ("calls", "40"),
    ])])
    .await;
    plugins
        .begin()
        .authorize(&at_mail("shop", "x@a.example"))
        .await;
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let own = |line: &&str| {
        line.contains(" ERROR ")
            && line.contains("component=\"misbehaving\"")
            && line.contains("session=\"session-1\"")
            && line.contains("message_id=00000000000000000000000007 ")
            && !line.contains("fields")
    };
    assert_eq!(text.lines().filter(own).count(), 32, "{text}");
}

#[tokio::test]
async fn a_failure_is_logged_with_component_message_and_user() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer({
        let lines = lines.clone();
        move || lines.clone()
    });
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    failure(&[("behaviour", "panic")]).await;
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let expected = "a policy component failed message_id=00000000000000000000000007 \
                    component=misbehaving question=\"mail\" user=\"shop\" failure=trap: ";
    assert!(text.contains(expected), "{text}");
}

#[derive(Clone, Default)]
struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_runaway_component_lets_other_sessions_go_on() {
    // One thread for all: without turns at each tick, nobody could finish before the loop does.
    let mut runaway = misbehaving(&[("behaviour", "loop"), ("user", "runaway")]);
    runaway.limits.cpu_time = Duration::from_millis(500);
    let plugins = load(vec![runaway]).await;
    let (done, mut order) = tokio::sync::mpsc::unbounded_channel();
    let ask = |user: &'static str, plugins: Arc<Plugins>| {
        let done = done.clone();
        async move {
            let answer = plugins
                .begin()
                .authorize(&at_mail(user, "x@a.example"))
                .await;
            done.send((user, code(&answer))).unwrap();
        }
    };
    let runaway = tokio::spawn(ask("runaway", Arc::clone(&plugins)));
    let others: Vec<_> = (0..10)
        .map(|_| tokio::spawn(ask("shop", Arc::clone(&plugins))))
        .collect();
    for other in others {
        other.await.unwrap();
    }
    runaway.await.unwrap();
    for _ in 0..10 {
        assert_eq!(order.recv().await, Some(("shop", 250)));
    }
    assert_eq!(order.recv().await, Some(("runaway", 451)));
}

#[tokio::test]
async fn a_crowd_of_runaways_is_at_fault_however_many_they_are() {
    // Each would have a fifteenth of the time on the wall, and none would use up its CPU time.
    let mut runaway = misbehaving(&[("behaviour", "loop")]);
    runaway.limits.cpu_time = Duration::from_millis(200);
    runaway.limits.wall_time = Duration::from_millis(2500);
    let plugins = load(vec![runaway]).await;
    let questions: Vec<_> = (0..15)
        .map(|_| {
            let plugins = Arc::clone(&plugins);
            tokio::spawn(async move {
                let facts = at_mail("runaway", "x@a.example");
                plugins.begin().authorize(&facts).await
            })
        })
        .collect();
    let mut failures = Vec::new();
    for question in questions {
        failures.extend(answers(&question.await.unwrap().records));
    }
    let faults = failures
        .iter()
        .filter(|failure| *failure == "failed: used more than 200ms of CPU time");
    assert!(faults.count() > 0, "{failures:?}");
    assert_eq!(plugins.pool().instances, 0);
}

#[tokio::test]
async fn what_computes_when_its_component_is_suspended_is_given_up() {
    let mut runaway = misbehaving(&[("behaviour", "loop"), ("user", "runaway")]);
    runaway.limits.cpu_time = Duration::from_millis(20);
    runaway.limits.wall_time = Duration::from_secs(120);
    let plugins = load(vec![runaway]).await;
    let ask = || {
        let plugins = Arc::clone(&plugins);
        tokio::spawn(async move {
            let facts = at_mail("runaway", "x@a.example");
            answers(&plugins.begin().authorize(&facts).await.records)
        })
    };
    let mut failures = Vec::new();
    for question in (0..12).map(|_| ask()).collect::<Vec<_>>() {
        failures.extend(question.await.unwrap());
    }
    let ended = |how: &str| {
        failures
            .iter()
            .filter(|failure| failure.contains(how))
            .count()
    };
    assert_eq!(ended("of CPU time"), 5, "{failures:?}");
    assert_eq!(
        ended("not called after repeated failures"),
        7,
        "{failures:?}"
    );
    assert_eq!(plugins.pool().instances, 0);
}

#[tokio::test]
async fn too_little_of_the_machine_is_not_the_component_s_fault() {
    // Six endless loops share one thread, so each has a sixth of the time on the wall. So many faults
    // would open the breaker.
    let mut component = misbehaving(&[("behaviour", "loop")]);
    component.limits.cpu_time = Duration::from_millis(200);
    component.limits.wall_time = Duration::from_millis(200);
    component.on_failure = Some(OnFailure::Refuse);
    let plugins = load(vec![component]).await;
    let questions = (0..6).map(|_| {
        let plugins = Arc::clone(&plugins);
        tokio::spawn(async move {
            plugins
                .begin()
                .authorize(&at_mail("shop", "x@a.example"))
                .await
        })
    });
    for question in questions.collect::<Vec<_>>() {
        let answer = question.await.unwrap();
        assert_eq!(answers(&answer.records), ["failed: no answer within 200ms"]);
        assert_eq!(code(&answer), 451, "never a permanent refusal");
    }
    assert_eq!(
        breaker(&plugins, Question::Sender),
        BreakerStatus::default()
    );
}
