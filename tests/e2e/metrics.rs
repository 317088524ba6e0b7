//! The whole metrics page of a relay that has done a bit of everything: each family once, described,
//! and no label that mail could make grow.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Relay, Sink, mail, top, wait_until};

/// The labels that there are, and the values that each may have.
const LABELS: [(&str, &[&str]); 15] = [
    (
        "answer",
        &[
            "pass",
            "permit",
            "defer",
            "refuse",
            "failed",
            "class-1",
            "class-2",
            "class-3",
            "class-4",
            "class-5",
            "computed",
            "remembered",
            "joined",
            "throttled",
        ],
    ),
    ("class", &["1", "2", "3", "4", "5"]),
    (
        "component",
        &["bad", "authorized-senders", "effective-priority"],
    ),
    (
        "kind",
        &[
            "trap",
            "cpu-time",
            "memory",
            "host-calls",
            "answer",
            "suspended",
            "wall-time",
            "overload",
            "not-ready",
            "very-high-late",
            "disk-low",
            "breaker-open",
            "next-hop-down",
            "certificate-expiring",
            "bounces-high",
            "senders-refused",
        ],
    ),
    ("limit", &["all", "address"]),
    ("name", &["flood"]),
    ("outcome", &["delivered", "deferred", "bounced", "expired"]),
    ("question", &["sender", "priority"]),
    (
        "reason",
        &[
            "policy",
            "deferred",
            "header",
            "room",
            "login",
            "address",
            "ceiling",
            "budget",
            "uncounted",
        ],
    ),
    ("report", &["failure", "delay", "success"]),
    (
        "result",
        &["verified", "refused", "throttled", "tls", "clear", "failed"],
    ),
    ("status", &["2xx", "3xx", "4xx", "5xx"]),
    ("step", &["mail", "recipient", "data", "content"]),
    ("what", &["lines", "values"]),
    // Of the component itself: its values come from the mail, and are bounded in number.
    ("series", &[]),
];

/// A relay that has accepted, refused, failed and delivered, and its page.
fn page() -> String {
    let guest = top().join("plugins/components/tests/misbehaving.wasm");
    let relay = Relay::start_in_clear(&format!(
        "[[plugin]]\nname = \"bad\"\ncomponent = \"{}\"\non_failure = \"skip\"\n\
         [plugin.config]\nbehaviour = \"metrics-flood\"\ncalls = \"1000\"\nat = \"mail\"\n\
         [[plugin]]\nname = \"authorized-senders\"\n[[plugin]]\nname = \"effective-priority\"\n",
        guest.display()
    ));
    let sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    client.message(
        "ann@a.example",
        "bob@d.example",
        &mail("ann@a.example", "accepted"),
    );
    client.expect("MAIL FROM:<ann@other.example>", "550 ");
    client.message(
        "ann@a.example",
        "bob@d.example",
        &mail("eve@other.example", "refused"),
    );
    sink.wait_for(1);
    let mut stranger = relay.connect();
    stranger.expect("EHLO client.example", "250");
    assert!(stranger.auth_plain("ann", "wrong").starts_with("535"));
    relay.get("/livez");
    relay.get("/metrics")
}

/// `name{label="value",…} number` in its parts; values have no quotes or commas here.
fn sample(line: &str) -> (&str, Vec<(&str, &str)>) {
    let (series, _) = line.rsplit_once(' ').unwrap();
    let Some((name, labels)) = series.split_once('{') else {
        return (series, Vec::new());
    };
    let labels = labels.strip_suffix('}').unwrap().split(',');
    let labels = labels.map(|label| {
        let (key, value) = label.split_once('=').unwrap();
        (key, value.trim_matches('"'))
    });
    (name, labels.collect())
}

#[test]
fn each_family_is_there_once_and_described_and_no_label_grows_with_the_mail() {
    let page = page();
    let (mut helps, mut types) = (BTreeSet::new(), BTreeMap::new());
    let (mut series, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut family = "";
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, text) = rest.split_once(' ').unwrap();
            assert!(name.starts_with("outpost_") && text.len() > 5, "{line}");
            assert!(helps.insert(name), "{name} is described twice");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(types.insert(name, kind).is_none(), "{name} is there twice");
            assert!(helps.contains(name), "{name} has no description");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            family = name;
        } else {
            assert!(!line.starts_with('#'), "{line}");
            let (name, labels) = sample(line);
            let ending = name.strip_prefix(family);
            let endings: &[&str] = match types[family] {
                "counter" | "gauge" => &[""],
                "histogram" => &["_bucket", "_sum", "_count"],
                other => panic!("{family} is a {other}"),
            };
            assert!(
                ending.is_some_and(|ending| endings.contains(&ending)),
                "{line} stands below {family}"
            );
            assert!(
                series.insert(line.rsplit_once(' ').unwrap().0),
                "twice: {line}"
            );
            for (label, value) in labels {
                if label == "le" {
                    assert!(value == "+Inf" || value.parse::<f64>().is_ok(), "{line}");
                    continue;
                }
                let known = LABELS.iter().find(|(name, _)| *name == label);
                let values = known
                    .unwrap_or_else(|| panic!("an unknown label: {line}"))
                    .1;
                assert!(label == "series" || values.contains(&value), "{line}");
                seen.insert(label);
            }
        }
    }
    assert_eq!(
        helps,
        types.keys().copied().collect(),
        "described and there"
    );
    assert!(types.len() > 30, "{}", types.len());
    let missing: Vec<_> = LABELS
        .iter()
        .filter(|(name, _)| !seen.contains(name))
        .collect();
    assert!(missing.len() <= 2, "not shown by this relay: {missing:?}");
    let own = |line: &&str| line.starts_with("outpost_component_counts_total{");
    assert_eq!(page.lines().filter(own).count(), 256, "a component's own");
    for line in [
        "outpost_spool_writable 1",
        "outpost_auth_verifications_waiting 0",
    ] {
        assert!(page.lines().any(|seen| seen == line), "{line}");
    }
    let computed = "outpost_auth_verifications_total{answer=\"computed\"} 2";
    assert!(page.lines().any(|line| line == computed), "{page}");
    let seconds = page
        .lines()
        .find_map(|line| line.strip_prefix("outpost_auth_verification_seconds_total "));
    assert!(seconds.unwrap().parse::<f64>().unwrap() > 0.0);
}

#[test]
fn depth_and_age_of_the_queue_are_shown_for_each_class() {
    // Nobody takes the mail.
    let relay = Relay::start_in_clear("");
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    let from = "ann@a.example";
    let figures = |name: &str| {
        let page = relay.get("/metrics");
        [1, 2, 3, 4, 5].map(|class| -> u64 {
            let beginning = format!("{name}{{class=\"{class}\"}} ");
            let line = page.lines().find_map(|line| line.strip_prefix(&beginning));
            line.unwrap_or_else(|| panic!("{beginning} in {page}"))
                .parse()
                .unwrap()
        })
    };
    let (depth, age) = (
        "outpost_spool_deliveries_queued",
        "outpost_spool_oldest_seconds",
    );
    assert_eq!((figures(depth), figures(age)), ([0; 5], [0; 5]));
    let slow = relay.user_with("slow", &["--domains", "a.example", "--priority", "5"]);
    let mut slow = relay.logged_in("slow", &slow);
    assert!(
        slow.message(from, "bob@d.example", &mail(from, "slow"))
            .starts_with("250 ")
    );
    wait_until("it is older than a second", || figures(age)[4] >= 2);
    assert!(
        client
            .message(from, "bob@d.example", &mail(from, "usual"))
            .starts_with("250 ")
    );
    let ages = figures(age);
    assert!(ages[4] > ages[2], "{ages:?}");
    assert_eq!(
        (figures(depth), ages[..2].to_vec()),
        ([0, 0, 1, 0, 1], vec![0, 0])
    );
    relay.printed_by(&["queue", "cancel", "--all", "--yes"]);
    assert_eq!((figures(depth), figures(age)), ([0; 5], [0; 5]));
}
