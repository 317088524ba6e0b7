//! Priorities, schedules and deadlines, from the commands of a client to the spool.

use super::*;
use crate::account::AllowancePatch;
use crate::message::{Class, Event, Timestamp};
use crate::spool::{Record, Row};

const CONTENT: &str = "From: x@a.example\r\n\r\nx\r\n.";

/// Submits a message and returns what is on the spool of it, and the reply to its content.
async fn submit(stage: &Stage, parameters: &str, content: &str, reply: &str) -> (Record, String) {
    let before = stage.queued().await;
    let mut peer = stage.logged_in().await;
    peer.say(
        &format!("MAIL FROM:<x@a.example> {parameters}"),
        "250 2.1.0",
    )
    .await;
    peer.say("RCPT TO:<bob@d.example>", "250").await;
    peer.say("DATA", "354").await;
    let reply = peer.say(content, reply).await;
    let rows = stage.queued().await;
    let is_new = |row: &&Row| {
        let id = row.message.id;
        before.iter().all(|known| known.message.id != id)
    };
    let id = rows.iter().find(is_new).unwrap().message.id;
    (stage.spool.message(id).await.unwrap().unwrap(), reply)
}

fn now(stage: &Stage) -> Timestamp {
    stage.reception.clock.now()
}

async fn text(stage: &Stage, record: &Record) -> String {
    let mut content = stage.spool.content(record.message.id).await.unwrap();
    String::from_utf8(content.next().await.unwrap().unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn the_priority_of_mail_comes_before_all_others_and_is_kept_for_the_next_hop() {
    let stage = Stage::new().await;
    let content = format!("X-Priority: 5\r\nImportance: high\r\n{CONTENT}");
    let (record, _) = submit(&stage, "MT-PRIORITY=6", &content, "250 2.0.0 Queued").await;
    assert_eq!(record.message.class, Class::VeryHigh);
    assert_eq!(record.message.priorities.message, Some(Class::VeryHigh));
    assert_eq!(record.message.envelope.mt_priority, Some(6));
    let told: Vec<String> = record
        .trail
        .iter()
        .filter(|entry| matches!(entry.event, Event::Overruled { .. }))
        .map(|entry| entry.event.to_string())
        .collect();
    assert_eq!(
        told,
        [
            "X-Priority asks for class 5 (very low), and MT-PRIORITY comes before it",
            "Importance asks for class 2 (high), and MT-PRIORITY comes before it"
        ]
    );
    let text = text(&stage, &record).await;
    assert!(
        text.contains("\r\n for <bob@d.example>\r\n PRIORITY 6;\r\n"),
        "{text}"
    );
}

#[tokio::test]
async fn a_message_that_is_more_urgent_than_it_asks_for_is_told_so() {
    let stage = Stage::new().await;
    let (record, reply) = submit(&stage, "MT-PRIORITY=-5", CONTENT, "250 2.3.6 0 ").await;
    assert_eq!(record.message.class, Class::Normal);
    assert_eq!(record.message.envelope.mt_priority, Some(-5));
    assert_eq!(record.message.mt_priority(), Some(-5));
    let id = record.message.id;
    let expected = format!("250 2.3.6 0 is the priority that counts. Queued as {id}\r\n");
    assert_eq!(reply, expected);
    submit(&stage, "MT-PRIORITY=0", CONTENT, "250 2.0.0 Queued as ").await;
}

/// Whose word does not count has said 0, what a message has of which nobody has said anything; and is told so.
#[tokio::test]
async fn a_priority_that_does_not_count_is_changed_into_none_and_reply_trace_and_next_hop_agree() {
    let mut stage = Stage::new().await;
    stage.believe_mt_priority_field();
    for (user, mail, field, counts, traced, told) in [
        (3, "MT-PRIORITY=6", "", Some(0), Some("0"), Some(0)),
        (3, "MT-PRIORITY=-6", "", Some(0), Some("0"), Some(0)),
        (3, "MT-PRIORITY=0", "", None, Some("0"), Some(0)),
        // What the user's own priority makes more urgent is not told, as ever; what it makes less urgent is.
        (1, "MT-PRIORITY=6", "", Some(4), Some("0"), Some(0)),
        (5, "MT-PRIORITY=6", "", Some(-4), Some("0"), Some(-4)),
        (3, "", "MT-Priority: 6\r\n", Some(0), None, Some(0)),
        (3, "", "MT-Priority: 60\r\n", None, None, None),
        (5, "", "", None, None, None),
    ] {
        stage
            .change(UserPatch {
                priority: Some(user),
                allowance: AllowancePatch {
                    trusted_carriers: Some(Some("X-Priority".into())),
                    ..AllowancePatch::default()
                },
                ..UserPatch::default()
            })
            .await;
        let reply = match counts {
            Some(counts) => format!("250 2.3.6 {counts} is the priority that counts. Queued"),
            None => "250 2.0.0 Queued".to_owned(),
        };
        let content = format!("{field}{CONTENT}");
        let (record, _) = submit(&stage, mail, &content, &reply).await;
        assert_eq!(record.message.mt_priority(), told, "{user} {mail} {field}");
        let text = text(&stage, &record).await;
        let clause = text.split_once("\r\n PRIORITY ");
        let clause = clause.and_then(|(_, behind)| Some(behind.split_once(';')?.0));
        assert_eq!(clause, traced, "{text}");
    }
}

#[tokio::test]
async fn what_is_to_be_held_waits_on_the_spool_and_its_trail_says_so() {
    let stage = Stage::new().await;
    let until = now(&stage).plus(Duration::from_secs(3_600));
    for (parameters, header) in [
        ("HOLDFOR=3600", String::new()),
        ("HOLDUNTIL=2023-11-15T00:13:20+01:00", String::new()),
        (
            "",
            "X-SMTPAPI: {\"Schedule\": \"2023-11-14T23:13:20Z\"}\r\n".to_owned(),
        ),
    ] {
        let content = format!("{header}{CONTENT}");
        let (record, _) = submit(&stage, parameters, &content, "250 2.0.0").await;
        assert_eq!(record.message.scheduled, Some(until), "{parameters}");
        assert_eq!(record.deliveries[0].0.due, until);
        let last = record.trail.last().unwrap().event.to_string();
        let waits = format!("waits for its time: not to be sent before {until}, as ");
        assert!(last.starts_with(&waits), "{last}");
        let is_told = text(&stage, &record).await.contains("(held until ");
        assert_eq!(is_told, header.is_empty());
        assert_eq!(record.message.envelope.hold.is_some(), header.is_empty());
    }
}

#[tokio::test]
async fn a_time_that_is_over_means_now() {
    let stage = Stage::new().await;
    for (parameters, header) in [
        ("HOLDUNTIL=2020-01-01T00:00:00Z", ""),
        ("", "X-SMTPAPI: {\"Schedule\": 1577836800}\r\n"),
        ("", "X-SMTPAPI: {\"Schedule\": \"soon\"}\r\n"),
    ] {
        let content = format!("{header}{CONTENT}");
        let (record, _) = submit(&stage, parameters, &content, "250 2.0.0").await;
        assert_eq!(record.message.scheduled, None);
        assert_eq!(record.deliveries[0].0.due, now(&stage));
        let is_noted = |entry: &crate::message::TrailEntry| {
            matches!(entry.event, Event::MalformedSchedule { .. })
        };
        assert_eq!(record.trail.iter().any(is_noted), header.contains("soon"));
    }
}

#[tokio::test]
async fn what_would_wait_for_too_long_is_refused_and_nothing_is_queued() {
    let stage = Stage::new().await;
    let mut peer = stage.logged_in().await;
    peer.say("MAIL FROM:<x@a.example> HOLDFOR=2592001", "501 5.5.4")
        .await;
    peer.say(
        "MAIL FROM:<x@a.example> HOLDUNTIL=2023-12-14T22:13:21Z",
        "501 5.5.4",
    )
    .await;
    peer.say(
        "MAIL FROM:<x@a.example> HOLDUNTIL=2023-12-14T22:13:20Z",
        "250 2.1.0",
    )
    .await;
    peer.say("RSET", "250").await;
    let content = "From: x@a.example\r\nX-SMTPAPI: {\"Schedule\": 1702592001}\r\n\r\nx";
    let reply = peer.message("x@a.example", content, "550 5.6.0 ").await;
    assert!(reply.contains("2592000 seconds at most"), "{reply}");
    assert!(stage.queued().await.is_empty());
    // The listed date counts from now.
    let listed = peer.say("EHLO client.test", "250").await;
    assert!(
        listed.contains("250-FUTURERELEASE 2592000 2023-12-14T22:13:20Z\r\n"),
        "{listed}"
    );
}

#[tokio::test]
async fn a_deadline_is_kept_and_one_that_is_over_is_nobodys_news() {
    let stage = Stage::new().await;
    let (record, _) = submit(&stage, "BY=120;RT HOLDFOR=60", CONTENT, "250 2.0.0").await;
    let by = record.message.envelope.deliver_by.unwrap();
    assert_eq!(by.until, now(&stage).plus(Duration::from_secs(120)));
    assert_eq!(by.returned_at(), Some(by.until));
    assert!(by.trace && !record.deliveries[0].0.lateness_reported);
    let (record, _) = submit(&stage, "BY=-5;N", CONTENT, "250 2.0.0").await;
    assert!(record.deliveries[0].0.lateness_reported);
}

#[tokio::test]
async fn a_deadline_that_passes_while_the_content_comes_in_is_kept() {
    for (parameters, is_overdue) in [
        ("BY=2;R", true),
        ("BY=2;R HOLDFOR=1", true),
        ("BY=60;R", false),
        ("BY=2;N", false),
    ] {
        let stage = Stage::new().await;
        let mail = now(&stage);
        let mut peer = stage.logged_in().await;
        peer.say(&format!("MAIL FROM:<x@a.example> {parameters}"), "250")
            .await;
        peer.say("RCPT TO:<bob@d.example>", "250").await;
        peer.say("DATA", "354").await;
        let come = mail.plus(Duration::from_secs(5));
        stage.reception.clock.set(come);
        peer.say(CONTENT, "250 2.0.0 Queued").await;
        let row = stage.queued().await.remove(0);
        let by = row.message.envelope.deliver_by.unwrap();
        let due = match is_overdue {
            true => by.until,
            false => come,
        };
        assert_eq!(row.delivery.due, due, "{parameters}");
        assert!(!by.is_overruled(row.delivery.due), "{parameters}");
    }
}

#[tokio::test]
async fn the_field_that_stands_in_for_mail_is_believed_only_where_that_is_configured() {
    let content = format!("MT-Priority: 6\r\nX-Priority: 4\r\n{CONTENT}");
    let stage = Stage::new().await;
    let (record, _) = submit(&stage, "", &content, "250 2.0.0").await;
    assert_eq!(record.message.envelope.mt_priority, None);
    assert_eq!(record.message.priorities.message, Some(Class::Low));
    let mut stage = Stage::new().await;
    stage.believe_mt_priority_field();
    let (record, _) = submit(&stage, "", &content, "250 2.0.0").await;
    assert_eq!(record.message.envelope.mt_priority, Some(6));
    assert_eq!(record.message.class, Class::VeryHigh);
    // The reply says what became of it, as of what MAIL says.
    let less = content.replace("MT-Priority: 6", "MT-Priority: -6 (later)");
    let (record, _) = submit(&stage, "", &less, "250 2.3.6 0 is the priority").await;
    assert_eq!(record.message.mt_priority(), Some(-6));
    // MAIL comes before it.
    let (record, _) = submit(&stage, "MT-PRIORITY=2", &content, "250 2.0.0").await;
    assert_eq!(record.message.envelope.mt_priority, Some(2));
    assert_eq!(record.message.class, Class::High);
    let malformed = content.replace("MT-Priority: 6", "MT-Priority: 60");
    let (record, _) = submit(&stage, "", &malformed, "250 2.0.0").await;
    assert_eq!(record.message.envelope.mt_priority, None);
    let told = "MT-Priority is malformed and did not count";
    assert!(
        record
            .trail
            .iter()
            .any(|entry| entry.event.to_string() == told)
    );
}
