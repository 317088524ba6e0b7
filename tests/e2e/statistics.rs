//! Statistics: the figures equal what was sent, by HTTP and by command, also when the relay was killed meanwhile.

use serde_json::{Value, json};

use crate::support::{Relay, Sink, wait_until};

fn content(campaign: &str) -> String {
    format!("From: ann@a.example\r\nX-Campaign: {campaign}\r\nSubject: x\r\n\r\nHello\r\n")
}

fn total(relay: &Relay, query: &str) -> [i64; 4] {
    let document = relay.read(&format!("/api/v1/statistics?{query}"));
    ["accepted", "sent", "bounced", "queued"]
        .map(|figure| document["total"][figure].as_i64().unwrap())
}

#[test]
fn the_figures_equal_what_was_sent_though_the_relay_was_killed() {
    let mut relay = Relay::start_in_clear("[delivery]\nretry = [\"1d\"]\n");
    let password = relay.user("ann", "a.example");
    let other = relay.user("bob", "a.example");
    // Nobody takes it yet.
    let mut client = relay.logged_in("ann", &password);
    for _ in 0..3 {
        client.message("ann@a.example", "you@b.example", &content("spring"));
    }
    let mut client = relay.logged_in("bob", &other);
    client.message("ann@a.example", "you@c.example", &content("=SUM(A1)"));
    assert_eq!(total(&relay, "user=ann"), [3, 0, 0, 3]);
    relay.kill();
    relay.restart();
    assert_eq!(total(&relay, "user=ann"), [3, 0, 0, 3]);
    assert_eq!(total(&relay, "campaign=spring"), [3, 0, 0, 3]);

    let sink = Sink::start(relay.ip, &[]);
    relay.printed_by(&["queue", "retry", "--all", "--yes"]);
    sink.wait_for(4);
    wait_until("all is settled", || total(&relay, "")[3] == 0);
    relay.kill();
    relay.restart();
    assert_eq!(total(&relay, ""), [4, 4, 0, 0]);
    assert_eq!(total(&relay, "user=bob"), [1, 1, 0, 0]);
    assert_eq!(total(&relay, "destination=B.Example"), [3, 3, 0, 0]);
    let by_class = relay.json(&["stats", "--by", "day,class"]);
    let rows = by_class["rows"].as_array().unwrap();
    assert_eq!(
        rows.iter().map(|row| &row["sent"]).collect::<Vec<_>>(),
        [&json!(4)]
    );
    assert!(
        rows[0]["latency"]["p50_ms"].as_u64() > Some(0),
        "{by_class:#}"
    );

    let table = relay.printed_by(&["stats", "--by", "user", "--most", "sent"]);
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().take(3).collect())
        .collect();
    assert_eq!(
        lines[1..],
        [
            ["USER", "ACCEPTED", "SENT"],
            ["ann", "3", "3"],
            ["bob", "1", "1"],
            ["total", "4", "4"]
        ],
        "{table}"
    );
    // What a sender calls a campaign is no formula to a spreadsheet.
    let csv = relay.printed_by(&["stats", "--by", "campaign", "--csv"]);
    // How often they were deferred before is a matter of when the next hop was tried.
    let begins: Vec<String> = csv
        .lines()
        .map(|line| line.split(',').take(4).collect::<Vec<_>>().join(","))
        .collect();
    assert_eq!(
        begins,
        [
            "campaign,accepted,recipients,sent",
            "\"'=SUM(A1)\",1,1,1",
            "spring,3,3,3"
        ],
        "{csv}"
    );
    let complaint = relay.complaint_of(&["stats", "--by", "destination", "--list", "default"]);
    assert!(
        complaint.contains("--by: list and destination are not counted together"),
        "{complaint}"
    );
    let refused = relay.api("GET", "/api/v1/statistics?by=week", None);
    assert_eq!(refused.document()["errors"][0]["field"], Value::from("by"));
}
