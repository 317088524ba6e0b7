//! Requests that no browser and no program of good will sends to the admin address: each has a clear answer in time, says
//! nothing of the inside, changes nothing, and the relay serves on.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::console::first_password;
use crate::support::Relay;

/// Longest that anything may take; the relay's own limits are below.
const PATIENCE: Duration = Duration::from_secs(40);

/// Sends octets and reads what comes until the other side closes or nothing comes any more.
fn dialogue(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // Whoever is refused may be cut off while it still sends.
    let sent = stream.write_all(request);
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    assert!(sent.is_ok() || !answer.is_empty() || read.is_err());
    String::from_utf8_lossy(&answer).into_owned()
}

/// A request with fields, a body, and the end of the connection behind it.
fn request(method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text =
        format!("{method} {target} HTTP/1.1\r\nHost: relay.test\r\nConnection: close\r\n");
    for (name, value) in fields {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    [text.as_bytes(), b"\r\n", body].concat()
}

fn status(answer: &str) -> u16 {
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

/// The cookie of an admin who has logged in, and the token of the forms of that session.
fn session(relay: &mut Relay) -> (String, String) {
    let password = first_password(relay);
    let form = format!("name=admin&password={password}");
    let fields = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = dialogue(
        relay.admin(),
        &request("POST", "/login", &fields, form.as_bytes()),
    );
    assert_eq!(status(&answer), 303, "{answer}");
    let set = answer
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = set.unwrap().split(';').next().unwrap().to_owned();
    let page = dialogue(
        relay.admin(),
        &request("GET", "/users", &[("Cookie", &cookie)], b""),
    );
    let token = page.split("X-CSRF-Token&quot;:&quot;").nth(1).unwrap();
    let token = token.split("&quot;").next().unwrap().to_owned();
    (cookie, token)
}

#[test]
fn no_path_leads_out_of_what_is_served_and_no_login_leads_elsewhere() {
    let mut relay = Relay::start("");
    let (cookie, _) = session(&mut relay);
    let secret = std::fs::read_to_string(relay.data().join("admin-token")).unwrap();
    for target in [
        "/assets/../../../../etc/passwd",
        "/assets/..%2f..%2f..%2fetc%2fpasswd",
        "/assets/%2e%2e/%2e%2e/etc/passwd",
        "/assets/x/..%5c..%5cetc%5cpasswd",
        "/assets/x//etc/passwd",
        "/assets/x/%00",
        "/assets/x/console.css%00.js",
        "/../data/admin-token",
        "/%2e%2e/admin-token",
        "/users/..%2f..%2fadmin-token",
        "/messages/..%2f..%2fadmin-token",
        "/policies/..%2f..%2fadmin-token/reset",
        "/api/v1/plugins/..%2f..%2fadmin-token",
        "/system/../admin-token",
        "/statistics/export?format=../../admin-token",
        "/file:///etc/passwd",
        "//etc/passwd",
        "/;/admin-token",
        "/.git/config",
        "/%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd",
    ] {
        let answer = dialogue(
            relay.admin(),
            &request("GET", target, &[("Cookie", &cookie)], b""),
        );
        let status = status(&answer);
        assert!((400..500).contains(&status), "{target}: {answer}");
        assert!(
            !answer.contains("root:") && !answer.contains(secret.trim()),
            "{target}: {answer}"
        );
    }
    // A request that is meant for a proxy leads nowhere else either.
    for target in [
        "http://evil.example/",
        "https://evil.example/users",
        "evil.example:443",
        "*",
    ] {
        let answer = dialogue(relay.admin(), &request("GET", target, &[], b""));
        assert!(!answer.contains("location: http"), "{target}: {answer}");
    }
    // Who logs in goes on to a page of the console, whatever the link said that brought him.
    let password = first_login_password(&relay);
    for next in [
        "//evil.example/",
        "https://evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "/%09/evil.example",
        "javascript:alert(1)",
        "/a%0d%0aSet-Cookie:x=y",
        "evil.example",
    ] {
        let form = format!(
            "name=bob&password={password}&next={}",
            next.replace('%', "%25").replace('\\', "%5C")
        );
        let fields = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer = dialogue(
            relay.admin(),
            &request("POST", "/login", &fields, form.as_bytes()),
        );
        assert_eq!(status(&answer), 303, "{next}: {answer}");
        let location = answer
            .lines()
            .find_map(|line| line.strip_prefix("location: "))
            .unwrap();
        let is_here = location.starts_with('/') && !location[1..].starts_with(['/', '\\']);
        assert!(
            is_here && !location.contains("evil.example/"),
            "{next}: {location}"
        );
        assert_eq!(answer.matches("et-cookie: ").count(), 1, "{next}: {answer}");
    }
}

/// The password of an admin who was made for it.
fn first_login_password(relay: &Relay) -> String {
    let made = relay.json(&["admin", "add", "bob", "--role", "read"]);
    made["password"].as_str().unwrap().to_owned()
}

#[test]
fn a_request_that_is_malformed_has_an_answer_and_never_two_meanings() {
    let relay = Relay::start("");
    let fields = |count: usize| {
        (0..count)
            .map(|n| format!("X-{n}: y\r\n"))
            .collect::<String>()
    };
    let head = "GET /livez HTTP/1.1\r\nHost: relay.test\r\nConnection: close\r\n";
    for (what, octets) in [
        (
            "two lengths",
            format!("{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
        ),
        (
            "a length that is none",
            format!("{head}Content-Length: -1\r\n\r\n"),
        ),
        (
            "a length beyond all",
            format!("{head}Content-Length: 99999999999999999999999\r\n\r\n"),
        ),
        (
            "an encoding nobody knows",
            format!("{head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "a chunk that is none",
            format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n"),
        ),
        ("a field without a colon", format!("{head}nonsense\r\n\r\n")),
        (
            "a field that begins with a blank",
            format!("{head} folded: x\r\n\r\n"),
        ),
        (
            "a blank before the colon",
            format!("{head}Name : x\r\n\r\n"),
        ),
        ("an empty field name", format!("{head}: x\r\n\r\n")),
        ("a null in a field", format!("{head}X: a\0b\r\n\r\n")),
        ("no host", "GET /livez HTTP/1.1\r\n\r\n".to_owned()),
        (
            "a version that is none",
            "GET /livez HTTP/9.9\r\nHost: x\r\n\r\n".to_owned(),
        ),
        (
            "no request at all",
            "\r\n\r\n\r\n\x01\x02\x03\r\n\r\n".to_owned(),
        ),
        ("another protocol", "EHLO relay.test\r\n".repeat(3)),
        ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("very many fields", format!("{head}{}\r\n", fields(10_000))),
        (
            "a very long field",
            format!("{head}X: {}\r\n\r\n", "y".repeat(1 << 20)),
        ),
        (
            "a very long target",
            format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "y".repeat(1 << 20)),
        ),
    ] {
        let began = Instant::now();
        let answer = dialogue(relay.admin(), octets.as_bytes());
        assert!(began.elapsed() < PATIENCE, "{what}");
        // What cannot be read may be answered by closing alone.
        if !answer.is_empty() {
            let status = status(&answer);
            // Nobody reads this one's body.
            let is_unread = status == 200 && what == "a chunk that is none";
            assert!(
                is_unread || (400..600).contains(&status),
                "{what}: {answer}"
            );
            assert_eq!(answer.matches("HTTP/1.").count(), 1, "{what}: {answer}");
        }
    }
    // With both, the length does not count (RFC 9112 §6.3), and nothing of the body is a request.
    let smuggled = "POST /api/v1/reload HTTP/1.1\r\nHost: relay.test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: relay.test\r\nConnection: close\r\n\r\n";
    let answer = dialogue(relay.admin(), smuggled.as_bytes());
    assert!(matches!(status(&answer), 400 | 401), "{answer}");
    assert!(!answer.contains("outpost_"), "{answer}");
    assert_eq!(relay.api("GET", "/livez", None).status, 200);
}

#[test]
fn bodies_that_are_made_to_cost_much_are_refused_quickly() {
    let mut relay = Relay::start("");
    let (cookie, form_token) = session(&mut relay);
    let bearer = format!("Bearer {}", relay.token());
    let json = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
    ];
    let form = [
        ("Cookie", cookie.as_str()),
        ("X-CSRF-Token", form_token.as_str()),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    let nested =
        |open: &str, close: &str| format!("{}{}", open.repeat(20_000), close.repeat(20_000));
    let keys: String = (0..4_000).map(|n| format!("\"k{n}\":1,")).collect();
    let pairs = |count: usize| (0..count).map(|n| format!("k{n}=v&")).collect::<String>();
    let before = relay.resident_octets();
    for (what, target, fields, body) in [
        (
            "deep arrays",
            "/api/v1/users",
            &json[..],
            nested("[", "]").into_bytes(),
        ),
        (
            "deep objects",
            "/api/v1/users",
            &json[..],
            nested("{\"a\":", "}").into_bytes(),
        ),
        (
            "many keys",
            "/api/v1/users",
            &json[..],
            format!("{{{keys}\"z\":1}}").into_bytes(),
        ),
        (
            "the same key twice",
            "/api/v1/lists",
            &json[..],
            b"{\"name\":\"a\",\"name\":\"b\"}".to_vec(),
        ),
        (
            "a number beyond all",
            "/api/v1/users",
            &json[..],
            format!("{{\"priority\":1{}}}", "0".repeat(10_000)).into_bytes(),
        ),
        (
            "no UTF-8",
            "/api/v1/lists",
            &json[..],
            b"{\"name\":\"\xff\xfe\"}".to_vec(),
        ),
        (
            "half a surrogate",
            "/api/v1/lists",
            &json[..],
            b"{\"name\":\"\\ud800\"}".to_vec(),
        ),
        (
            "a null in a name",
            "/api/v1/lists",
            &json[..],
            b"{\"name\":\"a\\u0000b\"}".to_vec(),
        ),
        (
            "two gigabytes of promise",
            "/api/v1/lists",
            &json[..],
            vec![b' '; 3 << 20],
        ),
        (
            "many form fields",
            "/users",
            &form[..],
            format!("{}name=%21", pairs(20_000)).into_bytes(),
        ),
        (
            "a form that is no UTF-8",
            "/users",
            &form[..],
            b"name=%ff%fe&list=default".to_vec(),
        ),
        (
            "half an escape",
            "/users",
            &form[..],
            b"name=%&list=%z".to_vec(),
        ),
        ("a large form", "/users", &form[..], vec![b'a'; 3 << 20]),
    ] {
        let began = Instant::now();
        let answer = dialogue(relay.admin(), &request("POST", target, fields, &body));
        let status = status(&answer);
        assert!((400..500).contains(&status), "{what}: {answer}");
        assert!(began.elapsed() < Duration::from_secs(5), "{what}");
    }
    let listed = relay.json(&["list", "ls"]);
    assert_eq!(listed["lists"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(
        relay.json(&["user", "ls"])["users"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
    let grown = relay.resident_octets().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} octets more");
}

#[test]
fn cookies_and_tokens_that_are_guessed_doubled_or_torn_open_nothing() {
    let mut relay = Relay::start("");
    let (cookie, token) = session(&mut relay);
    let (name, value) = cookie.split_once('=').unwrap();
    let get =
        |fields: &[(&str, &str)]| dialogue(relay.admin(), &request("GET", "/users", fields, b""));
    assert_eq!(status(&get(&[("Cookie", &cookie)])), 200);
    for torn in [
        format!("{name}="),
        format!("{name}={}", &value[1..]),
        format!("{name}={value}x"),
        format!("{name}={}", value.to_uppercase()),
        format!("{}={value}", name.to_uppercase()),
        format!("{name}=\"{value}"),
        format!("x{name}={value}"),
        format!("{name}={}", "A".repeat(20_000)),
    ] {
        let answer = get(&[("Cookie", &torn)]);
        assert!(matches!(status(&answer), 303 | 431), "{torn}: {answer}");
    }
    // A change needs the token of this session's forms, in whatever other form it comes.
    for (wrong, how) in [
        ("", "none"),
        (&token[1..], "torn"),
        (&token.to_uppercase(), "another case"),
    ] {
        let fields = [
            ("Cookie", cookie.as_str()),
            ("X-CSRF-Token", wrong),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        let answer = dialogue(
            relay.admin(),
            &request("POST", "/lists", &fields, b"name=stolen"),
        );
        assert_eq!(status(&answer), 403, "{how}: {answer}");
    }
    // Nor does it come from elsewhere, though it has everything.
    for (field, from) in [
        ("Origin", "http://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
    ] {
        let fields = [
            ("Cookie", cookie.as_str()),
            ("X-CSRF-Token", token.as_str()),
            (field, from),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        let answer = dialogue(
            relay.admin(),
            &request("POST", "/lists", &fields, b"name=stolen"),
        );
        assert_eq!(status(&answer), 403, "{field} {from}: {answer}");
    }
    let listed = relay.printed_by(&["list", "ls"]);
    assert!(!listed.contains("stolen"), "{listed}");
}
