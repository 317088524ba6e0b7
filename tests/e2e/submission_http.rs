//! Messages that come by HTTP: taken, refused and delivered like those that come by SMTP.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{Answer, PATIENCE, Relay, Sink, base64, mail, read_answer, wait_until};

const QUERY: &str = "sender=ann@a.example&recipient=bob@d.example";

/// A relay that takes no login in clear over SMTP, with its sink, and the password of ann.
fn relay() -> (Relay, Sink, String) {
    relay_with("")
}

fn relay_with(more: &str) -> (Relay, Sink, String) {
    let relay = Relay::start(more);
    let sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    (relay, sink, password)
}

/// The id of a message that was taken.
#[track_caller]
fn id_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.document()["id"].as_str().unwrap().to_owned()
}

/// Begins to submit a message of so many octets, and sends its header.
fn begin(relay: &Relay, password: &str, octets: usize, content: &str) -> TcpStream {
    let mut stream = TcpStream::connect(relay.admin()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let login = base64(&format!("ann:{password}"));
    let request = format!(
        "POST /api/v1/messages?{QUERY} HTTP/1.1\r\nHost: relay.test\r\nAuthorization: Basic {login}\r\n\
         Content-Type: message/rfc822\r\nContent-Length: {octets}\r\nConnection: close\r\n\r\n{content}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// What is answered; none where the connection breaks off before.
fn answered(mut stream: TcpStream) -> Option<Answer> {
    let mut whole = Vec::new();
    drop(stream.read_to_end(&mut whole));
    (!whole.is_empty()).then(|| read_answer(&String::from_utf8(whole).unwrap()))
}

/// How many clients reception has at the moment.
fn clients(relay: &Relay) -> String {
    let metrics = relay.get("/metrics");
    let mut lines = metrics.lines();
    let line = lines.find_map(|line| line.strip_prefix("outpost_reception_connections "));
    line.unwrap_or_else(|| panic!("no such figure: {metrics}"))
        .to_owned()
}

#[test]
fn a_message_over_http_arrives_octet_for_octet_and_its_id_is_known_at_once() {
    let (relay, sink, password) = relay();
    let content = "From: Ann <ann@a.example>\r\nTo: bob@d.example\r\nSubject: s\r\nMIME-Version: 1.0\r\n\
                   Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
                   .\r\n.leading\r\n..two\r\nGr\u{fc}\u{df}e  \r\n\r\n\r\nend\r\n";
    let query = format!("{QUERY}&recipient=eve@e.example");
    let answer = relay.submit("ann", &password, &query, content.as_bytes());
    let id = id_of(&answer);
    // Before anything else: what is answered is stored.
    let shown = relay.message(&id);
    let location = answer.field("location").unwrap();
    assert_eq!(location, format!("/api/v1/messages/{id}"));
    assert_eq!(relay.read(location)["id"], id.as_str());
    assert_eq!(shown["origin"]["protocol"], "http");
    assert_eq!(shown["class"], 3);
    assert_eq!(answer.document()["class"], 3);
    let told = shown["text"][0].as_str().unwrap();
    assert!(
        told.contains("submitted by ann of list default from 127."),
        "{told}"
    );
    assert!(
        told.contains(" to port 8025 by HTTP, login by BASIC, in clear"),
        "{told}"
    );
    let received = sink.wait_for(1).remove(0);
    assert_eq!(String::from_utf8_lossy(received.submitted()), content);
    assert_eq!(received.envelope["from"], "ann@a.example");
    assert_eq!(received.recipients(), ["bob@d.example", "eve@e.example"]);
    let trace = received.field("Received").unwrap();
    assert!(
        trace.contains(&format!(" by relay.test (Outpost) with HTTP id {id}")),
        "{trace}"
    );
    // A text of a system whose lines end with LF becomes one of mail.
    let lines = content.replace("\r\n", "\n");
    id_of(&relay.submit("ann", &password, QUERY, lines.as_bytes()));
    let received = sink.wait_for(2).remove(1);
    assert_eq!(String::from_utf8_lossy(received.submitted()), content);
    let mixed = format!("{content}\n");
    let refused = relay.submit("ann", &password, QUERY, mixed.as_bytes());
    assert_eq!(refused.status, 422, "{}", refused.text);
}

#[test]
fn the_priority_over_http_comes_before_the_fields_and_a_malformed_one_is_noted() {
    let (relay, _sink, password) = relay();
    relay.printed_by(&["user", "set", "ann", "--priority", "5"]);
    let submit = |priority: &str, fields: &str| {
        let content = format!("From: ann@a.example\r\n{fields}\r\nText.\r\n");
        let query = format!("{QUERY}{priority}");
        let answer = relay.submit("ann", &password, &query, content.as_bytes());
        let id = id_of(&answer);
        let shown = relay.message(&id);
        assert_eq!(shown["class"], answer.document()["class"]);
        (shown["class"].as_u64().unwrap(), shown["text"].to_string())
    };
    for (priority, fields, class) in [
        ("", "", 5),
        ("&priority=1", "", 1),
        ("&priority=1", "X-Priority: 4\r\n", 1),
        (
            "&priority=4",
            "X-SMTPAPI: {\"Priority\": 1}\r\nX-Priority: 1\r\n",
            4,
        ),
        ("&priority=3", "Importance: high\r\n", 3),
        ("", "X-Priority: 4\r\n", 4),
    ] {
        let (found, story) = submit(priority, fields);
        assert_eq!(found, class, "{priority} {fields}: {story}");
    }
    for absent in ["&priority=urgent", "&priority=1&priority=1"] {
        let (class, story) = submit(absent, "X-Priority: 2\r\n");
        assert_eq!(class, 2, "the next carrier counts");
        let noted = "HTTP is malformed and did not count";
        assert!(story.contains(noted), "{absent} {story}");
    }
    let (_, story) = submit("&priority=2", "X-Priority: 4\r\n");
    assert!(story.contains("the message asks for 2 by HTTP"), "{story}");
    relay.printed_by(&["user", "set", "ann", "--carriers", "X-Priority"]);
    let (class, story) = submit("&priority=1", "X-Priority: 4\r\n");
    assert_eq!(class, 4);
    assert!(
        story.contains("HTTP does not count for this user"),
        "{story}"
    );
}

#[test]
fn a_wrong_login_is_refused_and_slowed_and_a_disabled_user_has_none() {
    let (relay, _sink, password) = relay();
    let content = mail("ann@a.example", "s");
    let login =
        |name: &str, password: &str| relay.submit(name, password, QUERY, content.as_bytes());
    let began = Instant::now();
    for guess in 0..4 {
        let refused = login("ann", &format!("guess-{guess}"));
        assert_eq!(refused.status, 401, "{}", refused.text);
        assert_eq!(refused.document()["reply"]["code"], 535);
        let challenge = refused.field("www-authenticate").unwrap();
        assert_eq!(challenge, "Basic realm=\"outpost\", charset=\"UTF-8\"");
    }
    // The third is held back for half a second and the fourth for a whole one.
    assert!(began.elapsed() >= Duration::from_millis(1_500));
    assert_eq!(login("nobody", &password).status, 401);
    id_of(&login("ann", &password));
    // Tokens are no users, and users have no token.
    let token = relay.api("POST", &format!("/api/v1/messages?{QUERY}"), None);
    assert_eq!(token.status, 401);
    relay.printed_by(&["user", "disable", "ann"]);
    assert_eq!(login("ann", &password).status, 401);
    relay.printed_by(&["user", "enable", "ann"]);
    id_of(&login("ann", &password));
}

#[test]
fn what_the_user_may_not_send_is_refused_with_the_reply_and_not_queued() {
    let (relay, sink, password) = relay();
    let content = mail("ann@a.example", "s");
    for (query, content) in [
        (
            "sender=ann@b.example&recipient=bob@d.example",
            content.clone(),
        ),
        (QUERY, mail("ceo@b.example", "s")),
    ] {
        let refused = relay.submit("ann", &password, query, content.as_bytes());
        assert_eq!(refused.status, 403, "{}", refused.text);
        let problem = refused.document();
        assert_eq!(problem["type"], "urn:outpost:problem:not-permitted");
        assert_eq!(problem["reply"]["code"], 550);
        assert_eq!(problem["reply"]["enhanced"], "5.7.1");
    }
    for (query, field) in [
        (format!("{QUERY}&colour=red"), "colour"),
        ("sender=ann@a.example".to_owned(), "recipient"),
        ("recipient=bob@d.example".to_owned(), "sender"),
        ("sender=ann&recipient=bob@d.example".to_owned(), "sender"),
    ] {
        let refused = relay.submit("ann", &password, &query, content.as_bytes());
        assert_eq!(refused.status, 422, "{}", refused.text);
        assert_eq!(refused.document()["errors"][0]["field"], field);
    }
    // A second one beside the right one.
    let json = ["-H", "Content-Type: application/json"];
    let refused = relay.submit_with("ann", &password, QUERY, content.as_bytes(), &json);
    assert_eq!(refused.status, 415, "{}", refused.text);
    assert!(relay.queued().is_empty());
    assert_eq!(sink.count(), 0);
}

#[test]
fn what_is_too_large_is_refused_whether_its_size_is_said_or_not() {
    let (relay, sink, password) = relay_with(
        "[submission]\naddresses = [\"IP\"]\nports = \"2525\"\nmessage_bytes_max = 300000\n",
    );
    let content = |octets: usize| {
        let mut content = mail("ann@a.example", "large") + "\r\n";
        while content.len() < octets {
            content.push_str("a line of a text that has many of them\r\n");
        }
        content.truncate(octets - 2);
        content + "\r\n"
    };
    for (octets, status) in [(300_000, 201), (300_001, 413), (3_000_000, 413)] {
        for more in [&[][..], &["-H", "Transfer-Encoding: chunked"]] {
            let content = content(octets);
            let answer = relay.submit_with("ann", &password, QUERY, content.as_bytes(), more);
            assert_eq!(answer.status, status, "{octets} {more:?}: {}", answer.text);
            if status == 413 {
                assert_eq!(answer.document()["reply"]["code"], 552);
            }
        }
    }
    let received = sink.wait_for(2);
    assert!(
        received
            .iter()
            .all(|received| received.submitted().len() == 300_000)
    );
}

#[test]
fn who_goes_away_in_the_middle_leaves_nothing() {
    let (relay, _sink, password) = relay();
    let content = mail("ann@a.example", "s");
    for _ in 0..3 {
        let stream = begin(&relay, &password, 100_000, &content);
        wait_until("it is a client", || clients(&relay) == "1");
        drop(stream);
        wait_until("it is no client any more", || clients(&relay) == "0");
    }
    assert!(relay.queued().is_empty());
}

#[test]
fn a_stop_waits_for_a_message_that_is_coming() {
    let (mut relay, sink, password) = relay();
    let content = mail("ann@a.example", "last") + "\r\n";
    let (first, rest) = content.split_at(40);
    let mut stream = begin(&relay, &password, content.len(), first);
    // A content that has begun is not told to end.
    let nothing = "outpost_spool_octets_in_flight 0\n";
    wait_until("it comes in", || !relay.get("/metrics").contains(nothing));
    relay.signal("TERM");
    wait_until("the port is closed", || {
        TcpStream::connect(relay.smtp()).is_err()
    });
    let refused = relay.submit("ann", &password, QUERY, content.as_bytes());
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert_eq!(refused.document()["reply"]["code"], 421);
    assert!(refused.field("retry-after").is_some());
    stream.write_all(rest.as_bytes()).unwrap();
    let id = id_of(&answered(stream).unwrap());
    assert!(relay.program().wait().success());
    relay.restart();
    assert_eq!(sink.wait_for(1)[0].field("Subject").unwrap(), "last");
    assert_eq!(relay.message(&id)["origin"]["protocol"], "http");
}

/// Far more than the surface has places for: each is taken or told to come back, and what was taken arrives once.
#[test]
fn of_a_thousand_at_once_each_that_is_taken_arrives_once() {
    let (relay, sink, password) = relay();
    let streams: Vec<_> = (0..1_000)
        .map(|number| {
            let content = mail("ann@a.example", &format!("number-{number}")) + "\r\n";
            begin(&relay, &password, content.len(), &content)
        })
        .collect();
    let answers: Vec<_> = streams
        .into_iter()
        .map(|stream| answered(stream).unwrap())
        .collect();
    let mut ids = HashSet::new();
    for answer in &answers {
        match answer.status {
            201 => assert!(ids.insert(id_of(answer)), "{}", answer.text),
            503 => assert!(answer.field("retry-after").is_some()),
            _ => panic!("{}: {}", answer.status, answer.text),
        }
    }
    assert!(ids.len() >= 192, "{} were taken", ids.len());
    let received = sink.wait_for(ids.len());
    wait_until("nothing is left", || relay.queued().is_empty());
    assert_eq!(sink.count(), ids.len());
    let subjects: HashSet<_> = received
        .iter()
        .map(|received| received.field("Subject"))
        .collect();
    assert_eq!(subjects.len(), ids.len(), "each came once");
    for id in ids.iter().take(20) {
        assert_eq!(relay.message(id)["deliveries"].as_array().unwrap().len(), 0);
    }
}
