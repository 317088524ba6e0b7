//! What an operator does to the queue: it is in force at once, durable, and can be undone.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Relay, Sink, mail, message_id, wait_until};

/// A relay that has been told to send nothing, with a message each of these users for `d.example`.
fn relay_with_mail_of(users: &[&str]) -> (Relay, Vec<String>) {
    let relay = Relay::start_in_clear("");
    let said = relay.printed_by(&["queue", "stop"]);
    assert!(said.starts_with("everything is stopped"), "{said}");
    let ids = users.iter().map(|user| {
        let password = relay.user(user, "a.example");
        let mut client = relay.logged_in(user, &password);
        let content = mail("ann@a.example", user);
        message_id(&client.message("ann@a.example", "bob@d.example", &content))
    });
    let ids = ids.collect();
    (relay, ids)
}

/// What is queued or cancelled, by the ids of messages and their states.
fn listed(relay: &Relay, query: &str) -> Vec<(String, String)> {
    let page = relay.read(&format!("/api/v1/queue{query}"));
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = page["deliveries"].as_array().unwrap().iter();
    rows.map(|row| (text(row, "id"), text(row, "state")))
        .collect()
}

#[test]
fn what_is_stopped_waits_across_restarts_and_says_so() {
    let (mut relay, ids) = relay_with_mail_of(&["ann", "ben"]);
    let sink = Sink::start(relay.ip, &[]);
    relay.kill();
    relay.restart();
    relay.printed_by(&["queue", "retry", "--all", "--yes"]);
    let shown = relay.printed_by(&["queue", "show", &ids[0]]);
    assert!(
        shown.contains("stopped, goes on when that is started: everything, by first-start since"),
        "{shown}"
    );
    let listed = relay.printed_by(&["queue", "ls"]);
    assert!(listed.contains("waiting, stopped"), "{listed}");
    assert!(
        listed.contains("\nstopped: everything, by first-start since"),
        "{listed}"
    );
    assert!(relay.get("/metrics").contains("outpost_spool_stops 1\n"));
    // Stops of their own hold one user, one list, one next hop each when everything goes on.
    relay.printed_by(&["queue", "stop", "--user", "Ann"]);
    let said = relay.printed_by(&["queue", "start"]);
    assert!(
        said.starts_with(
            "everything goes on, but for what is still stopped; 2 deliveries waited for it\n\
             still stopped: user ann, by"
        ),
        "{said}"
    );
    assert_eq!(sink.wait_for(1)[0].field("Subject").unwrap(), "ben");
    wait_until("what has arrived has left the queue", || {
        relay.queued().len() == 1
    });
    let row = &relay.queued()[0];
    assert_eq!(
        (&row["id"], &row["stopped"]),
        (&json!(ids[0]), &json!("user ann"))
    );
    relay.terminate();
    relay.restart();
    relay.printed_by(&["queue", "retry", "--all", "--yes"]);
    assert_eq!(relay.queued()[0]["stopped"], "user ann");
    relay.printed_by(&["queue", "stop", "--list", "default"]);
    relay.printed_by(&["queue", "start", "--user", "ann"]);
    assert_eq!(relay.queued()[0]["stopped"], "list default");
    let next_hop = relay.queued()[0]["next_hop"].as_str().unwrap().to_owned();
    relay.printed_by(&["queue", "stop", "--next-hop", &next_hop]);
    relay.printed_by(&["queue", "start", "--list", "default"]);
    let stopped = format!("next hop {next_hop}");
    assert_eq!(relay.queued()[0]["stopped"], json!(stopped));
    assert_eq!(sink.count(), 1);
    let said = relay.printed_by(&["queue", "start", "--next-hop", &next_hop]);
    assert_eq!(
        said,
        format!("{stopped} goes on; 1 delivery waited for it\n")
    );
    let received = sink.wait_for(2);
    assert_eq!(received[1].field("Subject").unwrap(), "ann");
}

#[test]
fn a_user_who_is_moved_to_a_stopped_list_is_stopped_with_it() {
    let (relay, _) = relay_with_mail_of(&["ann", "ben"]);
    let sink = Sink::start(relay.ip, &[]);
    relay.printed_by(&["list", "add", "news"]);
    relay.printed_by(&["queue", "stop", "--list", "news"]);
    relay.printed_by(&["user", "set", "ann", "--list", "news"]);
    relay.printed_by(&["queue", "start"]);
    assert_eq!(sink.wait_for(1)[0].field("Subject").unwrap(), "ben");
    wait_until("what has arrived has left the queue", || {
        relay.queued().len() == 1
    });
    assert_eq!(relay.queued()[0]["stopped"], "list news");
    relay.printed_by(&["user", "set", "ann", "--list", "default"]);
    assert_eq!(sink.wait_for(2)[1].field("Subject").unwrap(), "ann");
}

#[test]
fn what_was_cancelled_is_restored_after_a_crash_and_delivered() {
    let (mut relay, ids) = relay_with_mail_of(&["ann", "ben", "cid"]);
    relay.printed_by(&["queue", "cancel", "--all", "--yes"]);
    assert_eq!(listed(&relay, ""), []);
    relay.printed_by(&["queue", "start"]);
    relay.kill();
    relay.restart();
    let sink = Sink::start(relay.ip, &[]);
    let cancelled: Vec<_> = ids
        .iter()
        .map(|id| (id.clone(), "cancelled".to_owned()))
        .collect();
    let mut found = listed(&relay, "?state=cancelled");
    found.sort();
    assert_eq!(found, cancelled);
    let counted = relay.printed_by(&["queue", "restore", "--user", "ben", "--dry-run"]);
    assert_eq!(counted, "1 delivery would be restored\n");
    relay.printed_by(&["queue", "restore", "--user", "ben", "--yes"]);
    assert_eq!(sink.wait_for(1)[0].field("Subject").unwrap(), "ben");
    relay.printed_by(&["queue", "restore", &ids[2]]);
    assert_eq!(sink.wait_for(2)[1].field("Subject").unwrap(), "cid");
    assert_eq!(listed(&relay, "?state=cancelled"), cancelled[..1]);
    wait_until("what was restored is finished", || {
        !relay.message(&ids[1])["finished"].is_null()
    });
    let text = relay.message(&ids[1])["text"].to_string();
    for line in [
        "cancelled by first-start; can be restored until",
        "restored by first-start",
        "bob@d.example delivered",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn what_is_cancelled_while_it_is_being_sent_is_not_sent_to_its_end() {
    let relay = Relay::start_in_clear("");
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    let slow = Sink::start(relay.ip, &["--bytes-per-second", "200000"]);
    let content = mail("ann@a.example", "large") + &"\r\nA line.".repeat(1 << 20);
    let id = message_id(&client.message("ann@a.example", "bob@d.example", &content));
    wait_until("it is being sent", || {
        relay
            .queued()
            .iter()
            .any(|row| row["octets_sent"].as_u64() > Some(0))
    });
    relay.printed_by(&["queue", "cancel", &id]);
    let text = relay.message(&id)["text"].to_string();
    let said = "cancelled by first-start, during an attempt, which may have delivered it";
    assert!(text.contains(said), "{text}");
    wait_until("the attempt has ended", || {
        let text = relay.message(&id)["text"].to_string();
        text.contains("the message was cancelled before all of it was sent")
    });
    assert_eq!(listed(&relay, ""), []);
    assert_eq!(slow.count(), 0);
    drop(slow);
    let sink = Sink::start(relay.ip, &[]);
    relay.printed_by(&["queue", "restore", &id]);
    relay.printed_by(&["queue", "retry", &id]);
    let sent = content + "\r\n";
    assert!(sink.wait_for(1)[0].submitted() == sent.as_bytes());
    wait_until("it is finished", || {
        !relay.message(&id)["finished"].is_null()
    });
}

#[test]
fn what_arrived_though_it_was_cancelled_says_so_and_is_not_restored() {
    let relay = Relay::start_in_clear("");
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    // One piece, all of which has been read when the first octets of it leave.
    let slow = Sink::start(relay.ip, &["--bytes-per-second", "3000"]);
    let content = mail("ann@a.example", "slow") + &"\r\nA line.".repeat(3_000);
    let id = message_id(&client.message("ann@a.example", "bob@d.example", &content));
    wait_until("it is being sent", || {
        let rows = relay.queued();
        rows.iter().any(|row| row["octets_sent"].as_u64() > Some(0))
    });
    relay.printed_by(&["queue", "cancel", &id]);
    let row = &relay.queued()[0];
    assert_eq!((&row["id"], &row["state"]), (&json!(id), &json!("active")));
    let standing = row["standing"].as_str().unwrap();
    assert!(
        standing.contains("; cancelled by an operator meanwhile"),
        "{standing}"
    );
    assert_eq!(slow.wait_for(1).len(), 1);
    wait_until("it is finished", || {
        !relay.message(&id)["finished"].is_null()
    });
    let text = relay.message(&id)["text"].to_string();
    for line in [
        "cancelled by first-start, during an attempt, which may have delivered it",
        "bob@d.example delivered",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let said = relay.complaint_of(&["queue", "restore", &id]);
    assert!(
        said.contains("nothing of it is queued or can be restored"),
        "{said}"
    );
    assert_eq!(slow.count(), 1);
}

#[test]
fn what_is_moved_to_another_time_goes_then() {
    let (mut relay, ids) = relay_with_mail_of(&["ann", "ben"]);
    relay.printed_by(&["queue", "reschedule", &ids[0], "--in", "3d"]);
    let began = Instant::now();
    let delay = Duration::from_secs(3);
    relay.printed_by(&["queue", "reschedule", &ids[1], "--in", "3s"]);
    relay.printed_by(&["queue", "start"]);
    relay.kill();
    relay.restart();
    let sink = Sink::start(relay.ip, &[]);
    assert_eq!(sink.wait_for(1)[0].field("Subject").unwrap(), "ben");
    // By the clock of the machine, which is read to a millisecond.
    assert!(began.elapsed() >= delay - Duration::from_millis(50));
    wait_until("the other one alone is queued", || {
        listed(&relay, "") == [(ids[0].clone(), "scheduled".to_owned())]
    });
    relay.printed_by(&[
        "queue",
        "reschedule",
        &ids[0],
        "--at",
        "2000-01-01T00:00:00Z",
    ]);
    assert_eq!(sink.wait_for(2)[1].field("Subject").unwrap(), "ann");
}
