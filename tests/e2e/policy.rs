//! Policy components in a running relay: an operator's own decides, one that misbehaves costs one
//! transaction, one that does not fit is refused at the start, and the trail says who decided.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Address, Client, Relay, Sink, mail, message_id, run, top};

/// A component that is checked in, as a path.
pub fn component(name: &str) -> String {
    let path = top().join("plugins").join(name);
    assert!(path.exists(), "{}", path.display());
    path.display().to_string()
}

/// What sha256sum says about a file, so that nothing of ours vouches for itself.
pub fn digest(path: &str) -> String {
    let output = run(Command::new("sha256sum").arg(path));
    let text = String::from_utf8(output.stdout).unwrap();
    text.split(' ').next().unwrap().to_owned()
}

/// A misbehaving component before the two that ship.
fn misbehaving(settings: &str) -> String {
    format!(
        "[[plugin]]\nname = \"bad\"\ncomponent = \"{}\"\n{settings}\n\
         [[plugin]]\nname = \"authorized-senders\"\n[[plugin]]\nname = \"effective-priority\"\n",
        component("components/tests/misbehaving.wasm")
    )
}

fn session(relay: &Relay, name: &str) -> Client {
    let password = relay.user(name, "a.example");
    relay.logged_in(name, &password)
}

pub fn decisions(relay: &Relay, id: &str) -> Vec<Value> {
    let message = relay.message(id);
    let trail = message["trail"].as_array().unwrap().clone();
    trail
        .into_iter()
        .filter(|event| event["event"] == "decided")
        .collect()
}

#[test]
fn components_of_the_operator_decide_about_senders_and_urgency() {
    let own = component("components/examples/own-domain.wasm");
    let hours = component("components/examples/working-hours.wasm");
    // The office never opens: nothing of the test depends on when it runs.
    let relay = Relay::start_in_clear(&format!(
        "[[plugin]]\nname = \"own-domain\"\ncomponent = \"{own}\"\n\
         [[plugin]]\nname = \"working-hours\"\ncomponent = \"{hours}\"\n\
         [plugin.config]\nopen = \"00:00\"\nclose = \"00:00\"\ndays = \"1-1\"\nclosed = \"4\"\n"
    ));
    let sink = Sink::start(relay.ip, &[]);
    // The rules of the user mean nothing to this chain.
    let mut client = session(&relay, "shop");
    client.expect(
        "MAIL FROM:<x@a.example>",
        "550 5.7.1 Use an address of your own domain.",
    );
    let from = "news@shop.example.com";
    let reply = client.message(from, "bob@d.example", &mail(from, "own"));
    let id = message_id(&reply);
    sink.wait_for(1);
    let message = relay.message(&id);
    assert_eq!(message["class"], 4, "{message:#}");
    let decisions = decisions(&relay, &id);
    let by: Vec<_> = decisions
        .iter()
        .map(|one| one["component"].as_str().unwrap())
        .collect();
    assert_eq!(by, ["own-domain", "own-domain", "working-hours"]);
    assert_eq!(decisions[0]["digest"], digest(&own));
    assert_eq!(decisions[2]["digest"], digest(&hours));
}

#[test]
fn a_component_refuses_a_priority_with_the_statuses_that_there_are_for_it() {
    let limits = component("components/examples/priority-limits.wasm");
    let relay = Relay::start_in_clear(&format!(
        "[[plugin]]\nname = \"priority-limits\"\ncomponent = \"{limits}\"\n\
         [plugin.config]\nleast = \"3\"\nvery_high_bytes_max = \"1000\"\n\
         [[plugin]]\nname = \"authorized-senders\"\n[[plugin]]\nname = \"effective-priority\"\n"
    ));
    let sink = Sink::start(relay.ip, &[]);
    let mut client = session(&relay, "ann");
    let mail_from = |parameters: &str| format!("MAIL FROM:<ann@a.example> {parameters}");
    client.expect(
        &mail_from("MT-PRIORITY=-2"),
        "550 5.7.15 Priority level is too low",
    );
    let too_large = "552 5.7.16 Message is too big for the specified priority";
    client.expect(&mail_from("MT-PRIORITY=6 SIZE=1001"), too_large);
    // It declares nothing, and the size is known at its end.
    let content = mail("ann@a.example", "large") + &"A line of text.\r\n".repeat(100);
    for (priority, code) in [("6", too_large), ("3", "250 2.0.0")] {
        client.expect(&mail_from(&format!("MT-PRIORITY={priority}")), "250");
        client.expect("RCPT TO:<bob@d.example>", "250");
        client.expect("DATA", "354");
        client.send(content.as_bytes());
        client.expect(".", code);
    }
    sink.wait_for(1);
}

#[test]
fn a_component_in_another_language_decides_both_questions() {
    let rules = component("components/examples/house-rules.wasm");
    let relay = Relay::start_in_clear(&format!(
        "[[plugin]]\nname = \"house-rules\"\ncomponent = \"{rules}\"\n\
         [plugin.config]\ndomain = \"house.example\"\n"
    ));
    let sink = Sink::start(relay.ip, &[]);
    let mut client = session(&relay, "ann");
    client.expect(
        "MAIL FROM:<ann@a.example>",
        "550 5.7.1 Use an address of the house domain.",
    );
    let from = "ann@house.example";
    let urgent = mail(from, "[urgent] fire");
    let id = message_id(&client.message(from, "bob@d.example", &urgent));
    sink.wait_for(1);
    assert_eq!(relay.message(&id)["class"], 2);
    for decision in decisions(&relay, &id) {
        assert_eq!(decision["component"], "house-rules");
        assert_eq!(decision["digest"], digest(&rules));
    }
}

#[test]
fn each_decision_names_its_component_digest_duration_and_reasons() {
    let relay = Relay::start_in_clear("");
    let _sink = Sink::start(relay.ip, &[]);
    let mut client = session(&relay, "ann");
    let content = mail("ann@a.example", "decided");
    let id = message_id(&client.message("ann@a.example", "bob@d.example", &content));
    let decisions = decisions(&relay, &id);
    let expected = [
        (
            "authorized-senders",
            "sender",
            "permit",
            "authorized-domains",
        ),
        (
            "authorized-senders",
            "sender",
            "permit",
            "authorized-domains",
        ),
        (
            "effective-priority",
            "priority",
            "class 3",
            "effective-priority",
        ),
    ];
    assert_eq!(decisions.len(), expected.len());
    for (decision, (component_name, question, answer, rule)) in decisions.iter().zip(expected) {
        assert_eq!(decision["component"], component_name);
        assert_eq!(decision["question"], question);
        assert_eq!(decision["answer"], answer);
        assert_eq!(decision["reasons"][0]["rule"], rule);
        assert!(
            decision["took_microseconds"].as_u64().is_some(),
            "{decision}"
        );
        let file = component(&format!("components/{component_name}.wasm"));
        assert_eq!(decision["digest"], digest(&file));
    }
    // Counters and the list of components agree.
    let metrics = relay.get("/metrics");
    for line in [
        "outpost_policy_answers_total{component=\"authorized-senders\",question=\"sender\",answer=\"permit\"} 2\n",
        "outpost_policy_answers_total{component=\"effective-priority\",question=\"priority\",answer=\"class-3\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    let listed = relay.printed_by(&["plugin", "ls"]);
    for file in ["authorized-senders", "effective-priority"] {
        let digest = digest(&component(&format!("components/{file}.wasm")));
        let row = listed.lines().find(|line| line.starts_with(file)).unwrap();
        assert!(row.contains(&digest[..12]), "{row}");
        assert!(row.contains("closed"), "{row}");
    }
}

#[test]
fn a_component_that_fails_defers_within_its_deadline_and_others_are_served() {
    for behaviour in ["loop", "trap", "panic", "memory", "stack", "oversized"] {
        let relay = Relay::start_in_clear(&misbehaving(&format!(
            "on_failure = \"defer\"\n[plugin.config]\nbehaviour = \"{behaviour}\"\nat = \"mail\"\nuser = \"bad\"\n"
        )));
        let mut bad = session(&relay, "bad");
        let mut good = session(&relay, "good");
        let began = Instant::now();
        bad.expect("MAIL FROM:<x@a.example>", "451 4.3.0 ");
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{behaviour}: {:?}",
            began.elapsed()
        );
        good.expect("MAIL FROM:<x@a.example>", "250 2.1.0 ");
        // The session of the one that failed goes on, too.
        bad.expect("NOOP", "250");
        let metrics = relay.get("/metrics");
        let failed = "outpost_policy_answers_total{component=\"bad\",question=\"sender\",answer=\"failed\"} 1\n";
        assert!(metrics.contains(failed), "{behaviour}: {metrics}");
    }
}

#[test]
fn on_failure_decides_what_a_failure_means() {
    for (on_failure, reply) in [
        ("defer", "451 4.3.0 "),
        ("refuse", "550 5.7.1 "),
        ("skip", "250 2.1.0 "),
    ] {
        let relay = Relay::start_in_clear(&misbehaving(&format!(
            "on_failure = \"{on_failure}\"\n[plugin.config]\nbehaviour = \"trap\"\nat = \"mail\"\n"
        )));
        let mut client = session(&relay, "ann");
        let said = client.expect("MAIL FROM:<x@a.example>", reply);
        for inside in ["wasm", "trap", "bad", "component", "plugin"] {
            assert!(!said.contains(inside), "nothing of our insides: {said}");
        }
    }
}

#[test]
fn a_failing_component_about_urgency_costs_no_mail_by_default_and_shows_in_the_trail() {
    let relay = Relay::start_in_clear(&misbehaving(
        "[plugin.config]\nbehaviour = \"trap\"\nat = \"place\"\n",
    ));
    let sink = Sink::start(relay.ip, &[]);
    let mut client = session(&relay, "ann");
    let content = mail("ann@a.example", "skipped");
    let id = message_id(&client.message("ann@a.example", "bob@d.example", &content));
    sink.wait_for(1);
    assert_eq!(relay.message(&id)["class"], 3);
    let failed = decisions(&relay, &id)
        .into_iter()
        .find(|one| one["component"] == "bad" && one["question"] == "priority")
        .unwrap();
    assert!(
        failed["answer"].as_str().unwrap().contains("fail"),
        "{failed}"
    );
}

#[test]
fn a_breaker_opens_after_repeated_failures_and_is_seen() {
    let relay = Relay::start_in_clear(&misbehaving(
        "[plugin.config]\nbehaviour = \"trap\"\nat = \"mail\"\n",
    ));
    let mut client = session(&relay, "ann");
    let mut seen = String::new();
    for _ in 0..100 {
        client.expect("MAIL FROM:<x@a.example>", "451 4.3.0 ");
        seen = relay.printed_by(&["plugin", "ls"]);
        if seen.contains("open") {
            break;
        }
    }
    let row = seen.lines().find(|line| line.starts_with("bad ")).unwrap();
    assert!(row.contains("open"), "{seen}");
    // Open, it still defers.
    client.expect("MAIL FROM:<x@a.example>", "451 4.3.0 ");
}

/// What a start with that component says, which must refuse it.
fn refused(name: &str, more: &str) -> String {
    let chain = format!(
        "[[plugin]]\nname = \"mine\"\ncomponent = \"{}\"\n{more}",
        component(name)
    );
    Relay::refused(Address::of_this_test(), &chain)
}

#[test]
fn a_component_of_an_incompatible_version_is_refused_with_both_versions() {
    let said = refused("museum/9.0.0/incompatible.wasm", "");
    assert!(said.contains("plugin \"mine\""), "{said}");
    assert!(said.contains("outpost:policy@9.0.0"), "{said}");
    assert!(said.contains("outpost:policy@0.1.0"), "{said}");
}

#[test]
fn a_component_that_wants_more_than_the_contract_is_refused_by_the_name_of_the_import() {
    let said = refused("components/tests/foreign-import.wasm", "");
    assert!(said.contains("it imports "), "{said}");
    assert!(said.contains("which no component is given"), "{said}");
    let said = refused(
        "components/examples/working-hours.wasm",
        "[plugin.config]\nopens = \"08:00\"\nclosed = \"9\"\n",
    );
    assert!(said.contains("\"opens\": is not a setting"), "{said}");
    assert!(said.contains("\"closed\": must be a priority"), "{said}");
}

#[test]
fn a_component_of_the_first_version_is_loaded_as_it_was_built() {
    let relay = Relay::start(&format!(
        "[[plugin]]\nname = \"old\"\ncomponent = \"{}\"\n[[plugin]]\nname = \"authorized-senders\"\n",
        component("museum/0.1.0/everything.wasm")
    ));
    let listed = relay.printed_by(&["plugin", "ls"]);
    let row = listed
        .lines()
        .find(|line| line.starts_with("old "))
        .unwrap();
    assert!(row.contains("0.1.0"), "{listed}");
}

#[test]
fn without_any_component_that_permits_every_sender_is_refused_and_the_users_priority_counts() {
    let hours = component("components/examples/working-hours.wasm");
    let relay = Relay::start_in_clear(&format!(
        "[[plugin]]\nname = \"working-hours\"\ncomponent = \"{hours}\"\n"
    ));
    let mut client = session(&relay, "ann");
    client.expect("MAIL FROM:<ann@a.example>", "550 5.7.1 ");

    // Whoever wrote that chain is told before any user is.
    let undecided = "[[plugin]]\nname = \"effective-priority\"\n";
    let mut relay = Relay::start_in_clear(undecided);
    let checked = relay.outpost(&["check"]);
    assert!(checked.status.success());
    let noted = String::from_utf8(checked.stderr).unwrap();
    let told = "no component of the chain decides who may send as whom, so every sender is refused";
    assert!(
        noted.contains("outpost.toml: note: ") && noted.contains(told),
        "{noted}"
    );
    session(&relay, "ann").expect("MAIL FROM:<ann@a.example>", "550 5.7.1 ");
    assert!(relay.terminate().success());
    let logged = relay.printed();
    assert!(
        logged.contains(" WARN ") && logged.contains(told),
        "{logged}"
    );

    let own = component("components/examples/own-domain.wasm");
    let relay = Relay::start_in_clear(&format!(
        "[[plugin]]\nname = \"own-domain\"\ncomponent = \"{own}\"\n"
    ));
    let password = relay.user_with("shop", &["--priority", "2"]);
    let mut client = relay.logged_in("shop", &password);
    let from = "news@shop.example.com";
    let content = mail(from, "s").replace("To:", "X-Priority: 1\r\nTo:");
    let id = message_id(&client.message(from, "bob@d.example", &content));
    assert_eq!(
        relay.message(&id)["class"],
        2,
        "nobody reads X-Priority here"
    );
}
