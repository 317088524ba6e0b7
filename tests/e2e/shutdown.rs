//! SIGTERM: what is under way ends, what is idle is told, and then the relay is gone.

use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Client, Relay, Sink, mail, message_id, outpost, run, wait_until};

fn terminate(relay: &Relay) {
    relay.signal("TERM");
}

fn signal_process(id: u32, name: &str) {
    let id = id.to_string();
    let sent = run(Command::new("kill").args(["-s", name, &id]));
    assert!(sent.status.success(), "{sent:?}");
}

#[test]
fn a_transaction_under_way_ends_and_idle_sessions_get_421() {
    let mut relay = Relay::start_in_clear("");
    let sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let mut greeted = relay.connect();
    let mut idle = relay.logged_in("ann", &password);
    let mut busy = relay.logged_in("ann", &password);
    busy.expect("MAIL FROM:<ann@a.example>", "250");
    busy.expect("RCPT TO:<bob@d.example>", "250");
    busy.expect("DATA", "354");
    let content = mail("ann@a.example", "last");
    let (first, rest) = content.split_at(20);
    busy.send(first.as_bytes());
    terminate(&relay);
    for client in [&mut greeted, &mut idle] {
        let reply = client.reply();
        assert!(reply.starts_with("421 4.3.2 "), "{reply}");
        assert!(client.is_closed());
    }
    // Nobody new is let in, and the message ends with its 250.
    wait_until("the port is closed", || {
        TcpStream::connect(relay.smtp()).is_err()
    });
    busy.send(format!("{rest}\r\n.\r\n").as_bytes());
    message_id(&busy.reply());
    let reply = busy.reply();
    assert!(reply.starts_with("421 4.3.2 "), "{reply}");
    let status = relay.program().wait();
    assert!(status.success(), "{status}");
    // It leaves at once or after the next start.
    relay.restart();
    assert_eq!(sink.wait_for(1)[0].field("Subject").unwrap(), "last");
}

#[test]
fn a_transaction_that_does_not_end_is_told_421_after_the_grace() {
    let mut relay = Relay::start_in_clear("shutdown_grace = \"1s\"\n");
    let password = relay.user("ann", "a.example");
    let mut waiting = relay.logged_in("ann", &password);
    waiting.expect("MAIL FROM:<ann@a.example>", "250");
    let mut sending = relay.logged_in("ann", &password);
    sending.expect("MAIL FROM:<ann@a.example>", "250");
    sending.expect("RCPT TO:<bob@d.example>", "250");
    sending.expect("DATA", "354");
    sending.send(b"From: ann@a.example\r\n");
    terminate(&relay);
    for client in [&mut waiting, &mut sending] {
        let reply = client.reply();
        assert!(reply.starts_with("421 4.3.2 "), "{reply}");
        assert!(client.is_closed());
    }
    let status = relay.program().wait();
    assert!(status.success(), "{status}");
    relay.restart();
    assert!(relay.queued().is_empty(), "nobody was told 250");
}

#[test]
fn clients_and_deliveries_share_one_grace() {
    let grace = Duration::from_secs(4);
    let mut relay = Relay::start_in_clear("shutdown_grace = \"4s\"\n");
    let hop = Sink::start(relay.ip, &["--hang", "dot"]);
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    let id = message_id(&client.message(
        "ann@a.example",
        "bob@d.example",
        &mail("ann@a.example", "stuck"),
    ));
    wait_until("the delivery hangs", || {
        relay.queued().iter().any(|one| one["state"] == "active")
    });
    client.expect("MAIL FROM:<ann@a.example>", "250");
    let began = Instant::now();
    assert!(relay.terminate().success());
    let took = began.elapsed();
    assert!(took >= grace, "both were given their time: {took:?}");
    assert!(took < 2 * grace, "one after the other: {took:?}");
    drop(hop);
    relay.restart();
    let trail = relay.printed_by(&["queue", "show", &id]);
    assert!(
        trail.contains("a later attempt may deliver twice"),
        "{trail}"
    );
    // What was said is there, up to the stop.
    assert!(
        trail.contains("[the relay stops: cut off after "),
        "{trail}"
    );
}

#[test]
fn a_delivery_that_is_cut_off_in_its_content_leaves_at_once_after_the_next_start() {
    let config = "shutdown_grace = \"1s\"\n[delivery]\nretry = [\"1h\"]\n";
    let mut relay = Relay::start_in_clear(config);
    let slow = Sink::start(relay.ip, &["--bytes-per-second", "10000"]);
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    let content = mail("ann@a.example", "slow") + &"\r\n".repeat(200_000);
    let id = message_id(&client.message("ann@a.example", "bob@d.example", &content));
    wait_until("the content is on its way", || {
        relay.queued().iter().any(|one| one["state"] == "active")
    });
    assert!(relay.terminate().success());
    assert_eq!(slow.count(), 0);
    drop(slow);
    let sink = Sink::start(relay.ip, &[]);
    relay.restart();
    assert_eq!(sink.wait_for(1)[0].field("Subject").unwrap(), "slow");
    wait_until("it is settled", || relay.queued().is_empty());
    let trail = relay.printed_by(&["queue", "show", &id]);
    assert!(
        trail.contains("(451 4.3.2 Cut off by a stop of the relay after "),
        "{trail}"
    );
    assert!(!trail.contains("twice"), "{trail}");
}

#[test]
fn a_request_that_never_comes_whole_holds_up_no_stop() {
    let mut relay = Relay::start_in_clear("shutdown_grace = \"1s\"\n");
    let mut stuck = TcpStream::connect(relay.admin()).unwrap();
    let head = format!(
        "POST /api/v1/users HTTP/1.1\r\nHost: relay\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{",
        relay.token()
    );
    stuck.write_all(head.as_bytes()).unwrap();
    // It is being read by the time another one has been answered.
    assert_eq!(relay.get("/livez"), "alive\n");
    let began = Instant::now();
    assert!(relay.terminate().success());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_second_signal_ends_the_relay_at_once() {
    let mut relay = Relay::start_in_clear("shutdown_grace = \"1h\"\n");
    let password = relay.user("ann", "a.example");
    let mut busy = relay.logged_in("ann", &password);
    busy.expect("MAIL FROM:<ann@a.example>", "250");
    terminate(&relay);
    relay.program().wait_for_line("stopping");
    relay.signal("INT");
    let status = relay.program().wait();
    assert_eq!(status.code(), Some(1), "{}", relay.printed());
    assert!(
        relay
            .printed()
            .contains("outpost: ended at once by a second signal"),
        "{}",
        relay.printed()
    );
}

#[test]
fn readiness_ends_with_the_signal_and_liveness_stays() {
    let mut relay = Relay::start_in_clear("");
    let password = relay.user("ann", "a.example");
    let mut busy = relay.logged_in("ann", &password);
    busy.expect("MAIL FROM:<ann@a.example>", "250");
    assert!(relay.get("/readyz").contains("\"ready\":true"));
    terminate(&relay);
    relay.program().wait_for_line("stopping");
    let answer = relay.api_as("", "GET", "/readyz", None);
    assert_eq!(answer.status, 503);
    assert!(
        answer.text.contains("the relay is stopping"),
        "{}",
        answer.text
    );
    assert_eq!(relay.get("/livez"), "alive\n");
    busy.expect("RSET", "250");
    assert!(relay.program().wait().success());
}

#[test]
fn a_delivery_under_way_ends_before_the_relay_does() {
    let mut relay = Relay::start_in_clear("");
    // 20 KB at 10 KB a second.
    let sink = Sink::start(relay.ip, &["--bytes-per-second", "10000"]);
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    let content = mail("ann@a.example", "slow") + &"\r\n".repeat(10_000);
    message_id(&client.message("ann@a.example", "bob@d.example", &content));
    wait_until("the content is on its way", || {
        relay.queued().iter().any(|one| one["state"] == "active")
    });
    assert!(relay.terminate().success());
    assert_eq!(sink.count(), 1);
    relay.restart();
    assert!(relay.queued().is_empty(), "and it is not sent again");
    assert_eq!(sink.count(), 1);
}

#[test]
fn a_relay_serves_and_drains_though_nobody_reads_what_it_says() {
    let mut relay = Relay::start_in_clear("");
    let password = relay.user("ann", "a.example");
    assert!(relay.terminate().success());
    // As when it runs at a terminal that is closed, or in a pipe whose other end has gone.
    let mut child = Command::new(outpost())
        .arg("--config")
        .arg(relay.folder().join("outpost.toml"))
        .current_dir(relay.folder())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    wait_until("it listens", || TcpStream::connect(relay.smtp()).is_ok());
    signal_process(child.id(), "HUP");
    let mut client = Client::connect(relay.smtp());
    assert!(client.log_in("ann", &password).starts_with("235 "));
    let content = mail("ann@a.example", "unseen");
    message_id(&client.message("ann@a.example", "bob@d.example", &content));
    signal_process(child.id(), "TERM");
    assert!(client.reply().starts_with("421 4.3.2 "));
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
}
