//! Components that misbehave while mail flows: each kind costs its own transactions and nothing else, shows
//! itself, and is asked again when it is well or when an operator says so.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Client, Honest, Relay, Sink, mail, message_id, top, wait_until};

/// How long a component has for its answer: 50 ms of CPU time within 2 s on the clock. What the machine is
/// busy with comes on top.
const ANSWERED_WITHIN: Duration = Duration::from_secs(4);

/// Memory that may not have come back after all of it: an instance has 16 MiB at most.
const KEPT_OCTETS_MAX: u64 = 48 << 20;

/// Faults in a row that suspend a component for one user.
const FAULTS: usize = 5;

/// Users whose faults in a row suspend it for everybody.
pub(super) const USERS: usize = 5;

/// The component with those settings, before the two that ship.
pub(super) fn chain(on_failure: &str, settings: &str) -> String {
    let guest = top().join("plugins/components/tests/misbehaving.wasm");
    format!(
        "[[plugin]]\nname = \"bad\"\ncomponent = \"{}\"\n{on_failure}\n[plugin.config]\n{settings}\n\
         [[plugin]]\nname = \"authorized-senders\"\n[[plugin]]\nname = \"effective-priority\"\n\
         # in clear\n",
        guest.display()
    )
}

/// What the API says about a question to the component.
fn question(relay: &Relay, name: &str) -> Value {
    let plugins = relay.read("/api/v1/plugins");
    let bad = plugins["plugins"].as_array().unwrap().iter();
    let bad = bad.clone().find(|plugin| plugin["name"] == "bad").unwrap();
    let questions = bad["questions"].as_array().unwrap();
    let found = questions.iter().find(|one| one["question"] == name);
    found.unwrap().clone()
}

/// How many failures there were, and of which kinds.
fn failures(question: &Value) -> (u64, Vec<&str>) {
    let failures = question["failures"].as_array().unwrap();
    let faults = failures.iter().filter(|one| one["kind"] != "suspended");
    let count = faults.clone().map(|one| one["count"].as_u64().unwrap());
    let kinds = faults.filter(|one| one["count"] != 0);
    (
        count.sum(),
        kinds.map(|one| one["kind"].as_str().unwrap()).collect(),
    )
}

/// The last column of its row about senders in what the command line shows.
fn breaker(listed: &str) -> &str {
    let row = listed
        .lines()
        .find(|row| row.starts_with("bad ") && row.contains(" sender "));
    row.unwrap_or_else(|| panic!("{listed}"))
        .rsplit("  ")
        .next()
        .unwrap()
}

#[track_caller]
pub(super) fn is_put_off(client: &mut Client) {
    let began = Instant::now();
    client.expect("MAIL FROM:<x@a.example>", "451 4.3.0 ");
    assert!(began.elapsed() < ANSWERED_WITHIN, "{:?}", began.elapsed());
}

#[test]
fn whatever_a_component_does_costs_its_own_transactions_while_mail_flows() {
    let kinds: [(&str, &str, &[&str]); 8] = [
        ("loop", "", &["cpu-time"]),
        // On a slow machine its time is up before its memory is, and likewise with the calls.
        ("memory", "", &["memory", "cpu-time"]),
        ("stack", "", &["trap", "cpu-time"]),
        ("trap", "", &["trap"]),
        ("panic", "", &["trap"]),
        ("oversized", "", &["answer", "trap", "memory", "cpu-time"]),
        (
            "refuse",
            "code = \"250\"\nenhanced = \"2.0.0\"\n",
            &["answer"],
        ),
        ("slow", "", &["host-calls", "cpu-time"]),
    ];
    let settings = |behaviour: &str, more: &str| {
        chain(
            "",
            &format!("behaviour = \"{behaviour}\"\nuser = \"bad\"\n{more}"),
        )
    };
    let relay = Relay::start_in_clear(&settings("loop", ""));
    let passwords: Vec<(String, String)> = (0..USERS - 1)
        .map(|number| format!("bad-{number}"))
        .map(|name| (name.clone(), relay.user(&name, "a.example")))
        .collect();
    let honest = [
        Honest::begin(&relay, "good"),
        Honest::begin(&relay, "better"),
    ];
    let mut before = None;
    for (behaviour, more, expected) in kinds {
        relay.configure(&settings(behaviour, more));
        relay.printed_by(&["reload"]);
        thread::scope(|scope| {
            for (name, password) in &passwords {
                let relay = &relay;
                scope.spawn(move || {
                    let mut client = relay.logged_in(name, password);
                    // The last one is answered without the component.
                    for _ in 0..=FAULTS {
                        is_put_off(&mut client);
                    }
                });
            }
        });
        let asked = question(&relay, "sender");
        let (count, kinds) = failures(&asked);
        assert!(
            count >= (FAULTS * passwords.len()) as u64,
            "{behaviour}: {asked:#}"
        );
        // The counts are of the name, over all its versions: the latest kinds are among them.
        assert!(
            kinds.iter().any(|kind| expected.contains(kind)),
            "{behaviour}: {asked:#}"
        );
        // Those who use it well close nobody's breaker but their own, which is closed.
        assert_eq!(
            (&asked["breaker"], &asked["users_suspended"]),
            (&"closed".into(), &4.into()),
            "{behaviour}"
        );
        assert_eq!(
            breaker(&relay.printed_by(&["plugin", "ls"])),
            "open for 4 users",
            "{behaviour}"
        );
        let metrics = relay.get("/metrics");
        let gauge = "outpost_policy_suspended_users{component=\"bad\",question=\"sender\"} 4\n";
        assert!(metrics.contains(gauge), "{behaviour}: {metrics}");
        // By hand: it is asked again at once, and fails again.
        assert_eq!(
            breaker(&relay.printed_by(&["plugin", "reset", "bad"])),
            "closed"
        );
        let (name, password) = &passwords[0];
        is_put_off(&mut relay.logged_in(name, password));
        assert!(
            failures(&question(&relay, "sender")).0 > count,
            "{behaviour}"
        );
        let memory = relay.resident_octets();
        println!("{behaviour}: {} KiB", memory >> 10);
        let before = *before.get_or_insert(memory);
        assert!(
            memory < before + KEPT_OCTETS_MAX,
            "{behaviour}: {memory} octets, {before} before"
        );
    }
    for honest in honest {
        honest.end("all kinds of misbehaviour");
    }
}

#[test]
fn a_crowd_that_keeps_the_machine_busy_suspends_nothing_that_does_its_work() {
    const SESSIONS: usize = 100;
    let relay = Relay::start_in_clear(&chain(
        "",
        "behaviour = \"loop\"\nat = \"mail\"\nuser = \"bad\"\n",
    ));
    // One less than would suspend it for everybody; each asks many times before his faults suspend it for him.
    let passwords: Vec<(String, String)> = (0..USERS - 1)
        .map(|number| format!("bad-{number}"))
        .map(|name| (name.clone(), relay.user(&name, "a.example")))
        .collect();
    let mut crowd: Vec<Client> = (0..SESSIONS)
        .map(|number| {
            let (name, password) = &passwords[number % passwords.len()];
            relay.logged_in(name, password)
        })
        .collect();
    let honest = Honest::begin(&relay, "good");
    let began = Instant::now();
    for client in &mut crowd {
        client.send(b"MAIL FROM:<x@a.example>\r\n");
    }
    for client in &mut crowd {
        let reply = client.reply();
        assert!(reply.starts_with("451 4.3.0 "), "{reply}");
    }
    let took = began.elapsed();
    println!("{SESSIONS} loops end after {took:?}");
    assert!(took < ANSWERED_WITHIN, "{took:?}");
    honest.end("a crowd of loops");
    let listed = relay.printed_by(&["plugin", "ls"]);
    for shipped in ["authorized-senders", "effective-priority"] {
        let row = listed.lines().find(|row| row.starts_with(shipped)).unwrap();
        assert!(row.ends_with("  closed"), "{listed}");
    }
    // Where the machine is busy with more than this, their time on the clock runs out: nobody's fault.
    assert_ne!(breaker(&listed), "open");
    let metrics = relay.get("/metrics");
    for shipped in ["authorized-senders", "effective-priority"] {
        let failures = format!("outpost_policy_failures_total{{component=\"{shipped}\"");
        let mut counts = metrics.lines().filter(|line| line.starts_with(&failures));
        assert!(counts.all(|line| line.ends_with(" 0")), "{metrics}");
    }
}

/// Takes ten seconds, since the breaker does.
#[test]
fn what_failed_for_everybody_is_asked_again_when_an_operator_says_so_or_a_probe_is_answered() {
    let mut relay = Relay::start_in_clear(&chain(
        "",
        "behaviour = \"trap\"\nat = \"mail\"\nuser = \"bad\"\n",
    ));
    let mut bad: Vec<Client> = (0..USERS)
        .map(|number| format!("bad-{number}"))
        .map(|name| {
            let password = relay.user(&name, "a.example");
            relay.logged_in(&name, &password)
        })
        .collect();
    let password = relay.user("good", "a.example");
    let mut good = relay.logged_in("good", &password);
    let mut open = |relay: &Relay, good: &mut Client| {
        bad.iter_mut().for_each(is_put_off);
        assert_eq!(question(relay, "sender")["breaker"], "open");
        assert_eq!(breaker(&relay.printed_by(&["plugin", "ls"])), "open");
        let gauge = "outpost_policy_suspended{component=\"bad\",question=\"sender\"} 1\n";
        assert!(relay.get("/metrics").contains(gauge));
        // Nobody is asked about, and everybody is put off at once.
        let began = Instant::now();
        is_put_off(good);
        assert!(began.elapsed() < Duration::from_secs(1));
    };
    open(&relay, &mut good);
    let reset = relay.api("POST", "/api/v1/plugins/bad/reset", None);
    assert_eq!(
        (reset.status, &reset.document()["name"]),
        (200, &"bad".into())
    );
    good.expect("MAIL FROM:<good@a.example>", "250 2.1.0 ");
    good.expect("RSET", "250");

    open(&relay, &mut good);
    let opened = Instant::now();
    wait_until("a probe is answered", || {
        let reply = good.command("MAIL FROM:<good@a.example>");
        assert!(
            reply.starts_with("250 2.1.0 ") || reply.starts_with("451 4.3.0 "),
            "{reply}"
        );
        reply.starts_with("250")
    });
    println!("closed after {:?}", opened.elapsed());
    assert_eq!(question(&relay, "sender")["breaker"], "closed");
    assert_eq!(breaker(&relay.printed_by(&["plugin", "ls"])), "closed");
    let gauge = "outpost_policy_suspended{component=\"bad\",question=\"sender\"} 0\n";
    assert!(relay.get("/metrics").contains(gauge));
    good.expect("RSET", "250");
    assert!(relay.terminate().success());
    let logged = relay.printed();
    assert!(
        logged.contains("action=reset-plugin component=bad"),
        "{logged}"
    );
}

#[test]
fn with_skip_the_rules_that_ship_decide_alone_and_each_question_follows_its_policy() {
    let fails = "behaviour = \"trap\"\n";
    let relay = Relay::start_in_clear(&chain("on_failure = \"skip\"", fails));
    let sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    client.expect("MAIL FROM:<ann@other.example>", "550 5.7.1 ");
    let content = mail("ann@a.example", "s").replace("To:", "X-Priority: 1\r\nTo:");
    let id = message_id(&client.message("ann@a.example", "bob@d.example", &content));
    sink.wait_for(1);
    assert_eq!(relay.message(&id)["class"], 1);
    // Nothing is lost in silence: the trail says that it failed, each time.
    let trail = relay.message(&id)["trail"].to_string();
    assert_eq!(trail.matches("\"answer\":\"failed").count(), 3, "{trail}");

    for (on_failure, at, at_mail, at_end) in [
        ("defer", "place", "250 2.1.0 ", "451 4.3.0 "),
        ("refuse", "place", "250 2.1.0 ", "554 5.3.0 "),
        ("skip", "place", "250 2.1.0 ", "250 2.0.0 "),
        ("defer", "header", "250 2.1.0 ", "451 4.3.0 "),
        ("refuse", "header", "250 2.1.0 ", "550 5.7.1 "),
        ("skip", "header", "250 2.1.0 ", "250 2.0.0 "),
    ] {
        let settings = format!("{fails}at = \"{at}\"\n");
        relay.configure(&chain(&format!("on_failure = \"{on_failure}\""), &settings));
        relay.printed_by(&["reload"]);
        client.expect("MAIL FROM:<ann@a.example>", at_mail);
        client.expect("RSET", "250");
        let queued = relay.queued().len();
        let reply = client.message("ann@a.example", "bob@d.example", &mail("ann@a.example", at));
        assert!(reply.starts_with(at_end), "{on_failure} at {at}: {reply}");
        if !reply.starts_with("250") {
            assert!(
                relay.queued().len() <= queued,
                "{on_failure} at {at}: nothing is queued"
            );
        }
    }
}
