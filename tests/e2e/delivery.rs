//! What becomes of accepted mail: real next hops, partial acceptance, retries, reports.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{
    Client, Moment, NextHop, PATIENCE, Postfix, Program, Received, Relay, SINK, Sink, is_root,
    mail, message_id, run, wait_until,
};

/// A session of a user of a.example.
fn session(relay: &Relay) -> Client {
    let password = relay.user("ann", "a.example");
    relay.logged_in("ann", &password)
}

/// Submits a message to these recipients (with their parameters); its id.
#[track_caller]
fn submit(client: &mut Client, to: &[&str], subject: &str) -> String {
    let content = mail("ann@a.example", subject);
    message_id(&client.transaction("<ann@a.example>", to, &content))
}

/// The outcome of each recipient in the attempts of a message so far: those of an attempt in the
/// order of their addresses.
fn outcomes(relay: &Relay, id: &str) -> Vec<(String, String)> {
    let message = relay.message(id);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let trail = message["trail"].as_array().unwrap().iter();
    trail
        .filter(|event| event["event"] == "attempted")
        .flat_map(|event| {
            let recipients = event["recipients"].as_array().unwrap().iter();
            let mut outcomes: Vec<_> = recipients
                .map(|one| (text(&one["recipient"]), text(&one["outcome"])))
                .collect();
            outcomes.sort();
            outcomes
        })
        .collect()
}

/// Waits until nothing of the message is left to deliver.
#[track_caller]
fn finished(relay: &Relay, id: &str) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let message = relay.message(id);
        if !message["finished"].is_null() {
            return message;
        }
        assert!(
            Instant::now() < until,
            "not finished: {:#}",
            message["text"]
        );
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn postfix_takes_what_it_knows_over_tls_and_the_rest_is_told_or_tried_again() {
    if !is_root() {
        eprintln!("not shown: Postfix can only be started by root");
        return;
    }
    let relay = Relay::start_in_clear(
        "[delivery]\nretry = [\"1h\"]\n\
         [[delivery.route]]\nrecipients = \"d.example\"\nsmarthost = \"IP:2600\"\n\
         [[delivery.route]]\nrecipients = \"*\"\nsmarthost = \"IP:2601\"\n",
    );
    let postfix = Postfix::start(relay.ip);
    let reports = Sink::start_on(relay.ip, SINK + 1, &[]);
    let mut client = session(&relay);
    let id = submit(
        &mut client,
        &[
            "<known@d.example>",
            "<unknown@d.example>",
            "<slow@d.example>",
        ],
        "three",
    );
    // The report about the unknown recipient comes while the slow one still waits.
    let report = reports.wait_for(1).remove(0);
    assert_eq!(report.recipients(), ["ann@a.example"]);
    assert!(
        report
            .text()
            .contains("Final-Recipient: rfc822; unknown@d.example")
    );
    assert!(!report.text().contains("rfc822; slow@d.example"));
    wait_until("Postfix has delivered", || {
        postfix.delivered("known").len() == 1
    });
    let delivered = postfix.delivered("known").remove(0);
    assert!(delivered.contains("\nThe text of three."), "{delivered}");
    assert!(
        delivered.contains("with ESMTPS id"),
        "over TLS: {delivered}"
    );
    assert_eq!(
        outcomes(&relay, &id),
        [
            ("known@d.example".to_owned(), "delivered".to_owned()),
            ("slow@d.example".to_owned(), "deferred".to_owned()),
            ("unknown@d.example".to_owned(), "bounced".to_owned()),
        ]
    );
    let queued = relay.queued();
    assert_eq!(
        queued[0]["recipients"],
        serde_json::json!(["slow@d.example"])
    );
    assert!(
        queued[0]["last_reply"]
            .as_str()
            .unwrap()
            .contains("try me later")
    );
    postfix.relent();
    relay.printed_by(&["queue", "retry", &id]);
    finished(&relay, &id);
    wait_until("Postfix has delivered", || {
        postfix.delivered("slow").len() == 1
    });
    assert_eq!(postfix.delivered("known").len(), 1, "nothing came twice");
}

#[test]
fn smtp_sink_takes_a_message_unchanged() {
    let relay = Relay::start_in_clear("");
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("dump");
    std::fs::create_dir(&dump).unwrap();
    for path in [folder.path(), &dump] {
        run(Command::new("chmod").arg("777").arg(path));
    }
    let program = if std::path::Path::new("/usr/sbin/smtp-sink").exists() {
        "/usr/sbin/smtp-sink"
    } else {
        "smtp-sink"
    };
    let mut command = Command::new(program);
    if is_root() {
        command.args(["-u", "nobody"]);
    }
    command.arg("-d").arg(dump.join("message."));
    command.args([&format!("{}:{SINK}", relay.ip), "100"]);
    let _sink = Program::start(&mut command);
    wait_until("smtp-sink listens", || {
        std::net::TcpStream::connect((relay.ip, SINK)).is_ok()
    });
    let mut client = session(&relay);
    let content = format!(
        "{}\r\n.\r\n..\r\n.x\r\n\r\n{}\r\nend",
        mail("ann@a.example", "sunk"),
        "y".repeat(998)
    );
    let id = message_id(&client.message("ann@a.example", "bob@d.example", &content));
    finished(&relay, &id);
    let texts: Vec<String> = std::fs::read_dir(&dump)
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .filter(|text| text.contains("X-Rcpt-Args: <bob@d.example>"))
        .collect();
    assert_eq!(texts.len(), 1);
    // It writes files with the line ends of this system.
    let expected = content.replace("\r\n", "\n") + "\n";
    assert!(
        texts[0].trim_end().ends_with(expected.trim_end()),
        "{}",
        texts[0]
    );
    assert!(texts[0].contains("X-Helo-Args: relay.test\n"));
}

#[test]
fn a_body_of_random_octets_arrives_as_it_was() {
    let relay = Relay::start_in_clear("");
    let sink = Sink::start(relay.ip, &[]);
    let mut client = session(&relay);
    // A small generator is enough; its seed is in the message of the failure.
    let seed = std::process::id();
    let mut state = u64::from(seed) | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut body = Vec::new();
    for _ in 0..2_000 {
        let length = random() % 998;
        for _ in 0..length {
            // Many dots, and no octet that ends a line or is forbidden.
            body.push(match random() % 8 {
                0 => b'.',
                _ => match (random() % 256) as u8 {
                    0 | b'\r' | b'\n' => b'.',
                    octet => octet,
                },
            });
        }
        body.extend(b"\r\n");
    }
    let header = b"From: ann@a.example\r\nSubject: random\r\n\r\n";
    let content = [header.as_slice(), &body].concat();
    client.expect("MAIL FROM:<ann@a.example> BODY=8BITMIME", "250");
    client.expect("RCPT TO:<bob@d.example>", "250");
    client.expect("DATA", "354");
    let mut stuffed = Vec::new();
    for line in content.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            stuffed.push(b'.');
        }
        stuffed.extend(line);
    }
    stuffed.extend(b".\r\n");
    client.send(&stuffed);
    assert!(client.reply().starts_with("250 2.0.0 "));
    let received = sink.wait_for(1).remove(0);
    assert!(received.submitted() == content, "seed {seed}");
}

#[test]
fn a_deferred_message_is_tried_again_on_the_schedule_until_it_is_taken() {
    let relay = Relay::start_in_clear("[delivery]\nretry = [\"1s\", \"2s\"]\n");
    let times = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&times);
    let _hop = NextHop::start(relay.ip, move |moment| {
        let Moment::Command(command) = moment else {
            return None;
        };
        if !command.starts_with("RCPT") {
            return None;
        }
        let mut times = seen.lock().unwrap();
        times.push(Instant::now());
        (times.len() < 4).then(|| "450 4.2.0 Greylisted".to_owned())
    });
    let mut client = session(&relay);
    let id = submit(&mut client, &["<bob@d.example>"], "grey");
    finished(&relay, &id);
    let times = times.lock().unwrap();
    let waits: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits.len(), 3);
    // The last wait of the schedule repeats; each is drawn out by a fifth at most, never shortened.
    for (wait, scheduled) in waits
        .iter()
        .zip([1_000, 2_000, 2_000].map(Duration::from_millis))
    {
        assert!(*wait >= scheduled - Duration::from_millis(50), "{waits:?}");
        assert!(
            *wait <= scheduled * 6 / 5 + Duration::from_secs(3),
            "{waits:?}"
        );
    }
    let outcomes: Vec<String> = outcomes(&relay, &id).into_iter().map(|one| one.1).collect();
    assert_eq!(outcomes, ["deferred", "deferred", "deferred", "delivered"]);
}

#[test]
fn each_recipient_of_one_transaction_has_its_own_fate() {
    let relay = Relay::start_in_clear("[delivery]\nretry = [\"1h\"]\n");
    let sink = Sink::start(relay.ip, &["--refuse", "never@", "--defer", "later@"]);
    let mut client = session(&relay);
    let id = submit(
        &mut client,
        &["<now@d.example>", "<never@d.example>", "<later@d.example>"],
        "fates",
    );
    let received = sink.wait_for(2);
    let message = received
        .iter()
        .find(|one| one.envelope["from"] != "")
        .unwrap();
    assert_eq!(message.recipients(), ["now@d.example"]);
    let report = received
        .iter()
        .find(|one| one.envelope["from"] == "")
        .unwrap();
    assert_eq!(report.recipients(), ["ann@a.example"]);
    wait_until("one recipient is left", || {
        let queued = relay.queued();
        queued.len() == 1 && queued[0]["state"] == "deferred"
    });
    assert_eq!(
        relay.queued()[0]["recipients"],
        serde_json::json!(["later@d.example"])
    );
    // later@, never@, now@
    let outcomes: Vec<String> = outcomes(&relay, &id).into_iter().map(|one| one.1).collect();
    assert_eq!(outcomes, ["deferred", "bounced", "delivered"]);
}

/// Reads a report with the parser of Python's standard library, which knows nothing of Outpost.
const READ_REPORT: &str = r#"
import email, email.policy, json, sys
message = email.message_from_binary_file(open(sys.argv[1], "rb"), policy=email.policy.SMTP)
assert not message.defects, message.defects
assert message.get_content_type() == "multipart/report", message.get_content_type()
text, status, returned = message.get_payload()
for part in (text, status, returned):
    assert not part.defects, part.defects
assert status.get_content_type() == "message/delivery-status"
whole, *recipients = status.get_payload()
print(json.dumps({
    "report_type": message.get_param("report-type"),
    "from": message["From"], "to": message["To"], "subject": message["Subject"],
    "auto": message["Auto-Submitted"],
    "text": text.get_content(),
    "whole": dict(whole.items()),
    "recipients": [dict(part.items()) for part in recipients],
    "returned_type": returned.get_content_type(),
    "returned": returned.as_string(),
}))
"#;

fn parsed(report: &Received) -> Value {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &report.content).unwrap();
    let output = run(Command::new("python3")
        .args(["-c", READ_REPORT])
        .arg(file.path()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", report.text());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_refused_recipient_is_reported_to_the_envelope_sender_as_rfc_3464_says() {
    let relay = Relay::start_in_clear("");
    let sink = Sink::start(relay.ip, &["--refuse", "never@d.example"]);
    let mut client = session(&relay);
    let content = mail("Ann <ann@a.example>", "bounced");
    let reply = client.transaction(
        "<ann+bounces@a.example> RET=HDRS ENVID=QQ314",
        &["<never@d.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;first@c.example"],
        &content,
    );
    let id = message_id(&reply);
    let received = sink.wait_for(1).remove(0);
    assert_eq!(received.envelope["from"], "", "a null reverse-path");
    assert_eq!(received.recipients(), ["ann+bounces@a.example"]);
    let report = parsed(&received);
    assert_eq!(report["report_type"], "delivery-status");
    assert_eq!(report["to"], "ann+bounces@a.example");
    assert_eq!(report["auto"], "auto-replied");
    assert_eq!(report["whole"]["Reporting-MTA"], "dns; relay.test");
    assert_eq!(report["whole"]["Original-Envelope-Id"], "QQ314");
    let recipients = report["recipients"].as_array().unwrap();
    assert_eq!(recipients.len(), 1);
    let recipient = &recipients[0];
    assert_eq!(recipient["Original-Recipient"], "rfc822; first@c.example");
    assert_eq!(recipient["Final-Recipient"], "rfc822; never@d.example");
    assert_eq!(recipient["Action"], "failed");
    assert_eq!(recipient["Status"], "5.1.1");
    assert_eq!(
        recipient["Diagnostic-Code"],
        "smtp; 550 5.1.1 refused, as this sink was told"
    );
    // RET=HDRS: the header comes back, the text does not.
    let returned = report["returned"].as_str().unwrap();
    assert!(returned.contains("Subject: bounced"), "{returned}");
    assert!(!returned.contains("The text of"), "{returned}");
    assert!(report["text"].as_str().unwrap().contains("never@d.example"));
    assert!(
        finished(&relay, &id)["text"]
            .to_string()
            .contains("never@d.example")
    );
}

#[test]
fn ret_full_returns_the_whole_message() {
    let relay = Relay::start_in_clear("");
    let sink = Sink::start(relay.ip, &["--refuse", "never@d.example"]);
    let mut client = session(&relay);
    let reply = client.transaction(
        "<ann@a.example> RET=FULL",
        &["<never@d.example>"],
        &mail("ann@a.example", "whole"),
    );
    message_id(&reply);
    let report = parsed(&sink.wait_for(1)[0]);
    assert_eq!(report["returned_type"], "message/rfc822");
    assert!(
        report["returned"]
            .as_str()
            .unwrap()
            .contains("The text of whole.")
    );
}

#[test]
fn who_wants_no_report_gets_none() {
    let relay = Relay::start_in_clear("");
    let sink = Sink::start(relay.ip, &["--refuse", "never@d.example"]);
    let mut client = session(&relay);
    let never = submit(&mut client, &["<never@d.example> NOTIFY=NEVER"], "silent");
    let success = submit(
        &mut client,
        &["<never@d.example> NOTIFY=SUCCESS"],
        "success-only",
    );
    for id in [never, success] {
        finished(&relay, &id);
    }
    // A later message with a report is the first thing that arrives.
    submit(&mut client, &["<never@d.example> NOTIFY=FAILURE"], "told");
    let report = sink.wait_for(1).remove(0);
    assert!(report.text().contains("Subject: told"), "{}", report.text());
    wait_until("all is done", || relay.queued().is_empty());
    assert_eq!(sink.count(), 1);
}

#[test]
fn dsn_parameters_go_on_to_a_next_hop_that_knows_them() {
    let relay = Relay::start_in_clear("");
    let sink = Sink::start(relay.ip, &[]);
    let mut client = session(&relay);
    let reply = client.transaction(
        "<ann@a.example> RET=HDRS ENVID=a+2Bb",
        &["<bob@d.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;first+2B@c.example"],
        &mail("ann@a.example", "dsn"),
    );
    let id = message_id(&reply);
    let received = sink.wait_for(1).remove(0);
    let envelope = received.envelope.to_string();
    assert_eq!(received.envelope["ret"], "HDRS", "{envelope}");
    assert_eq!(received.envelope["envid"], "a+b", "{envelope}");
    let recipient = &received.envelope["recipients"][0];
    assert!(
        recipient["notify"].to_string().contains("SUCCESS"),
        "{envelope}"
    );
    assert!(
        recipient["orcpt"].to_string().contains("first+@c.example"),
        "{envelope}"
    );
    finished(&relay, &id);
    assert_eq!(
        sink.count(),
        1,
        "the next hop will report, so the relay does not"
    );
}

#[test]
fn success_is_reported_where_the_next_hop_knows_no_dsn() {
    let relay = Relay::start_in_clear("");
    let hop = NextHop::start(relay.ip, |moment| match moment {
        Moment::Command(command) if command.starts_with("EHLO") => Some("250 hop.test".to_owned()),
        _ => None,
    });
    let mut client = session(&relay);
    submit(&mut client, &["<bob@d.example> NOTIFY=SUCCESS"], "relayed");
    wait_until("message and report have come", || hop.accepted().len() == 2);
    let report = hop.accepted().remove(1);
    assert_eq!(report.commands[0].to_uppercase(), "MAIL FROM:<>");
    assert!(
        report.content.contains("\r\nAction: relayed\r\n"),
        "{}",
        report.content
    );
}

#[test]
fn a_bounce_is_never_bounced() {
    let mut relay = Relay::start_in_clear("");
    // The sender is as unknown as the recipient.
    let mut sink = Sink::start(relay.ip, &["--refuse", "rcpt"]);
    let mut client = session(&relay);
    let id = submit(&mut client, &["<bob@d.example>"], "hopeless");
    finished(&relay, &id);
    wait_until("the report is gone as well", || relay.queued().is_empty());
    // A message of the null reverse-path that somebody submitted is not bounced either.
    let reply = client.message("", "bob@d.example", &mail("ann@a.example", "null"));
    finished(&relay, &message_id(&reply));
    wait_until("nothing is queued", || relay.queued().is_empty());
    // At its end the sink has written down everything.
    assert!(sink.program.terminate().success());
    let attempts: Vec<String> = sink
        .record()
        .iter()
        .filter(|event| event["verb"] == "mail")
        .map(|event| event["address"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        attempts,
        ["ann@a.example", "", ""],
        "three attempts, one report"
    );
    assert_eq!(sink.count(), 0);
    assert!(relay.terminate().success());
}

#[test]
fn a_delayed_message_is_reported_once_and_one_that_expires_is_bounced() {
    let relay = Relay::start_in_clear(
        "[delivery]\nretry = [\"1s\"]\ndelay_warning_after = \"1s\"\nexpire_after = \"4s\"\n",
    );
    let sink = Sink::start(relay.ip, &["--defer", "slow@"]);
    let mut client = session(&relay);
    let id = submit(&mut client, &["<slow@d.example>"], "late");
    let unwanted = submit(&mut client, &["<slow@d.example> NOTIFY=NEVER"], "unwanted");
    finished(&relay, &id);
    finished(&relay, &unwanted);
    let received = sink.wait_for(2);
    wait_until("nothing is queued", || relay.queued().is_empty());
    assert_eq!(
        sink.count(),
        2,
        "one warning, one bounce, nothing for NOTIFY=NEVER"
    );
    let [warning, bounce] = [parsed(&received[0]), parsed(&received[1])];
    assert_eq!(warning["recipients"][0]["Action"], "delayed");
    assert!(
        warning["recipients"][0]["Will-Retry-Until"].is_string(),
        "{warning:#}"
    );
    assert_eq!(warning["subject"], "Your message is delayed");
    assert_eq!(bounce["recipients"][0]["Action"], "failed");
    assert_eq!(
        bounce["recipients"][0]["Status"]
            .as_str()
            .unwrap()
            .as_bytes()[0],
        b'4'
    );
}

#[test]
fn a_next_hop_that_says_nothing_but_5yz_at_once_bounces_and_4yz_defers() {
    let relay = Relay::start_in_clear("[delivery]\nretry = [\"1h\"]\n");
    for (stage, action) in [("mail", "refuse"), ("data", "refuse"), ("dot", "refuse")] {
        let sink = Sink::start_on(relay.ip, SINK, &[&format!("--{action}"), stage]);
        let password = relay.user(&format!("u-{stage}"), "a.example");
        let mut client = relay.logged_in(&format!("u-{stage}"), &password);
        let id = submit(&mut client, &["<bob@d.example>"], stage);
        let done = finished(&relay, &id);
        assert!(
            done["text"].to_string().contains("bounced"),
            "{stage}: {done:#}"
        );
        drop(sink);
    }
    for stage in ["connect", "mail", "rcpt", "data", "dot"] {
        let sink = Sink::start_on(relay.ip, SINK, &["--defer", stage]);
        let password = relay.user(&format!("d-{stage}"), "a.example");
        let mut client = relay.logged_in(&format!("d-{stage}"), &password);
        let id = submit(&mut client, &["<bob@d.example>"], stage);
        wait_until("it is deferred", || {
            let outcomes = outcomes(&relay, &id);
            !outcomes.is_empty() && outcomes.iter().all(|one| one.1 == "deferred")
        });
        drop(sink);
    }
}

#[test]
fn a_connection_is_used_again_for_the_next_message() {
    let relay = Relay::start_in_clear("");
    let sink = Sink::start(relay.ip, &[]);
    let mut client = session(&relay);
    for number in 0..5 {
        let id = submit(&mut client, &["<bob@d.example>"], &format!("m{number}"));
        finished(&relay, &id);
    }
    let record = sink.record();
    let connects = record.iter().filter(|event| event["event"] == "connect");
    assert_eq!(connects.count(), 1);
    assert_eq!(sink.count(), 5);
}

#[test]
fn eight_bit_mail_is_converted_for_a_next_hop_that_takes_seven() {
    let relay = Relay::start_in_clear("");
    let hop = NextHop::start(relay.ip, |moment| match moment {
        Moment::Command(line) if line.starts_with("EHLO") => Some("250 hop.test".to_owned()),
        _ => None,
    });
    let mut client = session(&relay);
    let content = "From: <ann@a.example>\r\nMIME-Version: 1.0\r\n\
                   Content-Type: text/plain; charset=utf-8\r\n\
                   Content-Transfer-Encoding: 8bit\r\n\r\ngrün = .\r\n.";
    let reply = client.transaction(
        "<ann@a.example> BODY=8BITMIME",
        &["<bob@d.example>"],
        content,
    );
    finished(&relay, &message_id(&reply));
    let transaction = hop.accepted().remove(0);
    assert_eq!(transaction.commands[0], "MAIL FROM:<ann@a.example>");
    let content = transaction.content;
    let expected = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                    Content-Transfer-Encoding: quoted-printable\r\n\r\ngr=C3=BCn =3D .\r\n.\r\n";
    assert!(content.ends_with(expected), "{content}");
}
