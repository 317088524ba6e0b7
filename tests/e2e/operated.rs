//! What an operator does to mail that is being sent and is paused, and what is shown of it and of what waits meanwhile.

use serde_json::{Value, json};

use crate::support::{Client, Relay, Sink, message_id, wait_until};

fn submit(client: &mut Client, subject: &str, priority: u8, lines: usize) -> String {
    let content = format!(
        "From: ann@a.example\r\nSubject: {subject}\r\nX-Priority: {priority}\r\n\r\n{}",
        "A line of a text that nobody reads to its end.\r\n".repeat(lines)
    );
    message_id(&client.message("ann@a.example", "bob@d.example", &content))
}

fn row(relay: &Relay, id: &str) -> Value {
    let queued = relay.queued().into_iter();
    let mut of_it = queued.filter(|row| row["id"] == id);
    of_it.next().unwrap_or_default()
}

#[test]
fn what_is_paused_is_broken_off_at_once_when_it_is_cancelled_and_goes_on_as_it_began_otherwise() {
    // Without a trickle nothing of what is paused comes to the end of a piece.
    let more =
        "[delivery]\ncapacity_bytes_per_second = 1000000\npause_trickle_bytes_per_second = 0\n";
    let relay = Relay::start_in_clear(more);
    let _sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    let [cancelled, ranked, held] =
        ["cancelled", "ranked", "held"].map(|subject| submit(&mut client, subject, 3, 200_000));
    let all = [&cancelled, &ranked, &held];
    wait_until("all are being sent", || {
        let has_begun = |id: &&String| row(&relay, id)["octets_sent"].as_u64() > Some(0);
        all.iter().all(has_begun)
    });
    // It takes twenty seconds.
    let urgent = submit(&mut client, "urgent", 1, 400_000);
    wait_until("all are paused", || {
        let is_paused = |id: &&String| row(&relay, id)["paused"]["cause"] == urgent;
        all.iter().all(is_paused)
    });

    relay.printed_by(&["queue", "cancel", &cancelled]);
    wait_until("its attempt has ended", || {
        let text = relay.message(&cancelled)["text"].to_string();
        text.contains("the message was cancelled before all of it was sent")
    });
    assert_eq!(row(&relay, &urgent)["state"], "active", "long before that");
    let shown = relay.message(&cancelled);
    let trail = shown["trail"].as_array().unwrap().iter();
    let pauses: Vec<_> = trail.filter(|entry| entry["event"] == "paused").collect();
    assert_eq!(pauses.len(), 1, "{shown:#}");
    assert_eq!(pauses[0]["end"], "broken");
    let metrics = relay.get("/metrics");
    assert!(!metrics.contains("outpost_delivery_resumes_total{class=\"3\"}"));

    let said = relay.printed_by(&["queue", "set-priority", "--priority", "1", &ranked]);
    let goes_on =
        "it is being delivered: that goes on as it began, and the next attempt has the new one";
    assert_eq!(
        said,
        format!("1 delivery given the new priority; {goes_on}\n")
    );
    relay.printed_by(&["queue", "hold", &held]);
    let ranked_row = row(&relay, &ranked);
    assert_eq!(ranked_row["paused"]["cause"], urgent);
    assert_eq!(
        (&ranked_row["class"], &ranked_row["attempt_class"]),
        (&json!(1), &json!(3))
    );
    for (id, standing, trail) in [
        (
            &ranked,
            "; sent in class 3 (normal), in class 1 (very high) from its next attempt on",
            "moved to class 1 by first-start, during an attempt, which goes on in the class that it began in",
        ),
        (
            &held,
            "; held by an operator meanwhile, what remains of it stays back",
            "held by first-start, during an attempt: what remains of it stays back",
        ),
    ] {
        let shown = row(&relay, id)["standing"].to_string();
        assert!(shown.contains(standing), "{shown}");
        let text = relay.message(id)["text"].to_string();
        assert!(text.contains(trail), "{text}");
    }

    let waits = submit(&mut client, "waits", 3, 1);
    let waiting = row(&relay, &waits);
    assert_eq!(
        (&waiting["reason"], &waiting["estimate_seconds"]),
        (&json!("very-high-first"), &json!(null))
    );
    assert_eq!(row(&relay, &urgent)["state"], "active", "still");
}
