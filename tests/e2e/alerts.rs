//! Alerts: a next hop that is down is told by mail, by a signed webhook, on the page and everywhere else that asks; once.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::console::logged_in;
use crate::support::{Address, Relay, Sink, mail, run, wait_until};

/// What was sent to a webhook: the header and the document.
type Requests = Arc<Mutex<Vec<(String, String)>>>;

/// Somebody who takes webhooks on a port of loopback.
fn hook() -> (SocketAddr, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Requests::default();
    let taken = Arc::clone(&requests);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut read, mut octets) = (Vec::new(), [0; 4_096]);
            let request = loop {
                let count = stream.read(&mut octets).unwrap();
                read.extend_from_slice(&octets[..count]);
                let text = String::from_utf8(read.clone()).unwrap();
                if let Some((header, body)) = text.split_once("\r\n\r\n")
                    && serde_json::from_str::<Value>(body).is_ok()
                {
                    break (header.to_owned(), body.to_owned());
                }
                assert_ne!(count, 0, "{text}");
            };
            taken.lock().unwrap().push(request);
            stream
                .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                .unwrap();
        }
    });
    (address, requests)
}

fn field<'a>(header: &'a str, name: &str) -> &'a str {
    let mut fields = header.lines().filter_map(|line| line.split_once(": "));
    fields.find(|(known, _)| *known == name).unwrap().1
}

#[test]
fn a_next_hop_that_is_down_is_told_by_mail_by_webhook_and_on_the_page() {
    let (hook, requests) = hook();
    let ip = Address::of_this_test();
    let settings = format!(
        "[delivery]\nretry = [\"1s\"]\n\
         [[delivery.route]]\nrecipients = \"ops.example\"\nsmarthost = \"IP:2601\"\n\
         [[delivery.route]]\nrecipients = \"*\"\nsmarthost = \"IP:2602\"\n\
         [alerts]\nnotify = \"night@ops.example\"\nnext_hop_down_after = \"1s\"\n\
         webhook = \"http://{hook}/outpost\"\nwebhook_secret = \"whsec_MDEyMzQ1Njc4OWFiY2RlZg==\"\n# in clear\n"
    );
    let mut relay = Relay::start_at(ip, &settings, &[]);
    let ops = Sink::start_on(ip, 2601, &[]);
    let password = relay.user("ann", "a.example");
    let browser = logged_in(&mut relay);
    browser.click("link", "Alerts");
    browser.reads("Nothing is wrong.");
    browser.reads(&format!("http://{hook}/… (signed)"));

    // Nobody listens at the other smarthost.
    let content = mail("ann@a.example", "waits");
    let mut session = relay.logged_in("ann", &password);
    session.message("ann@a.example", "bob@d.example", &content);
    let letter = ops.wait_for(1).remove(0);
    let subject = format!("[relay.test] Alert: next hop down (smarthost {ip}:2602)");
    assert_eq!(letter.field("Subject").unwrap(), subject);
    assert_eq!(letter.recipients(), ["night@ops.example"]);
    assert_eq!(letter.envelope["from"], "", "it can never bounce");
    assert!(letter.text().contains("has not been reached since"));

    wait_until("the webhook is called", || {
        !requests.lock().unwrap().is_empty()
    });
    let (header, document) = requests.lock().unwrap()[0].clone();
    assert!(header.starts_with("POST /outpost HTTP/1.1\r\n"), "{header}");
    let told: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(told["type"], "alert.began");
    assert_eq!(told["data"]["alert"]["kind"], "next-hop-down");
    assert_eq!(
        told["data"]["alert"]["subject"],
        format!("smarthost {ip}:2602")
    );
    // Whoever has the secret reckons the same signature.
    let reckon = "import base64, hashlib, hmac, sys\n\
                  key = base64.b64decode('MDEyMzQ1Njc4OWFiY2RlZg==')\n\
                  print('v1,' + base64.b64encode(hmac.new(key, sys.argv[1].encode(), hashlib.sha256).digest()).decode())";
    let (id, at) = (
        field(&header, "webhook-id"),
        field(&header, "webhook-timestamp"),
    );
    let signed = format!("{id}.{at}.{document}");
    let reckoned = run(Command::new("python3").args(["-c", reckon, &signed]));
    let reckoned = String::from_utf8(reckoned.stdout).unwrap();
    assert_eq!(field(&header, "webhook-signature"), reckoned.trim());

    // The open page has it by itself, and whoever knows of it says so there.
    browser.reads("Next hop is down");
    browser.click("button", "Acknowledge");
    browser.reads("acknowledged by admin");
    let listed = relay.json(&["alert", "ls"]);
    assert_eq!(listed["alerts"][0]["acknowledged_by"], "admin");
    let printed = relay.printed_by(&["alert", "ls"]);
    assert!(
        printed.contains("next-hop-down") && printed.contains("night@ops.example"),
        "{printed}"
    );
    let metrics = relay.api("GET", "/metrics", None).text;
    assert!(
        metrics.contains("outpost_alerts{kind=\"next-hop-down\"} 1"),
        "{metrics}"
    );

    let tried = relay.printed_by(&["alert", "test"]);
    let expected = "a letter is queued for night@ops.example\nthe webhook has taken it\n";
    assert_eq!(tried, expected);
    let test = ops.wait_for(2).remove(1);
    assert_eq!(
        test.field("Subject").unwrap(),
        "[relay.test] Alert: this is a test"
    );

    browser.close();
    // Another process has told it already.
    drop(session);
    assert!(relay.terminate().success());
    relay.restart_with(&settings);
    wait_until("it is known still", || {
        relay.json(&["alert", "ls"])["alerts"][0]["id"] == 1
    });
    relay.printed_by(&["alert", "test"]);
    let third = ops.wait_for(3).remove(2);
    assert_eq!(
        third.field("Subject").unwrap(),
        "[relay.test] Alert: this is a test"
    );
    let types = || -> Vec<Value> {
        let requests = requests.lock().unwrap();
        let documents = requests
            .iter()
            .map(|(_, document)| serde_json::from_str::<Value>(document).unwrap());
        documents.map(|document| document["type"].clone()).collect()
    };
    assert_eq!(types(), ["alert.began", "alert.test", "alert.test"]);
}

#[test]
fn a_list_without_addresses_has_the_system_told_of_refused_senders() {
    let relay = Relay::start_in_clear("[alerts]\nnotify = \"night@ops.example\"\n");
    let sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let mut session = relay.logged_in("ann", &password);
    session.expect("MAIL FROM:<ceo@victim.example>", "550 5.7.1");
    let notice = sink.wait_for(1).remove(0);
    assert_eq!(notice.recipients(), ["night@ops.example"]);
    let subject = "User ann was refused as ceo@victim.example";
    assert_eq!(notice.field("Subject").unwrap(), subject);
    wait_until("it is an alert", || {
        let listed = relay.json(&["alert", "ls"]);
        listed["alerts"][0]["kind"] == "senders-refused"
    });
    assert_eq!(sink.count(), 1, "there is no second letter about it");
}

#[test]
fn a_stop_that_takes_its_time_alerts_nobody() {
    let mut relay = Relay::start_in_clear(
        "shutdown_grace = \"7s\"\n[alerts]\nnotify = \"night@ops.example\"\n",
    );
    let password = relay.user("ann", "a.example");
    let mut session = relay.logged_in("ann", &password);
    session.expect("MAIL FROM:<ann@a.example>", "250");
    session.expect("RCPT TO:<bob@d.example>", "250");
    session.expect("DATA", "354");
    // The relay waits for the content for longer than it takes to look at itself.
    assert!(relay.terminate().success());
    let kept = std::fs::read_to_string(relay.data().join("alerts.json"));
    assert!(kept.is_err(), "{kept:?}");
}
