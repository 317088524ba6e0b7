//! Where mail goes: smarthosts by recipient, sender and list, with login and TLS, and MX hosts.

use std::fs;
use std::net::IpAddr;

use crate::support::{Address, Client, Names, Relay, SINK, Sink, mail, message_id, wait_until};

fn session(relay: &Relay) -> Client {
    let password = relay.user("ann", "a.example");
    relay.logged_in("ann", &password)
}

#[track_caller]
fn submit(client: &mut Client, to: &[&str], subject: &str) -> String {
    let content = mail("ann@a.example", subject);
    message_id(&client.transaction("<ann@a.example>", to, &content))
}

/// What the trail of a message says.
fn trail(relay: &Relay, id: &str) -> String {
    relay.printed_by(&["queue", "show", id])
}

#[test]
fn the_first_route_that_matches_a_recipient_wins() {
    let relay = Relay::start_in_clear(
        "[[delivery.route]]\nrecipients = \"d.example\"\nsmarthost = \"IP:2601\"\n\
         [[delivery.route]]\nrecipients = \"*.d.example\"\nsmarthost = \"IP:2602\"\n\
         [[delivery.route]]\nrecipients = \"*\"\nsmarthost = \"IP:2600\"\n",
    );
    let sinks = [0, 1, 2].map(|which| Sink::start_on(relay.ip, SINK + which, &[]));
    let mut client = session(&relay);
    submit(
        &mut client,
        &[
            "<one@d.example>",
            "<two@sub.D.example>",
            "<three@e.example>",
            "<four@d.example>",
        ],
        "split",
    );
    for (sink, expected) in sinks.iter().zip([
        vec!["three@e.example"],
        vec!["one@d.example", "four@d.example"],
        vec!["two@sub.D.example"],
    ]) {
        assert_eq!(sink.wait_for(1)[0].recipients(), expected);
    }
}

#[test]
fn a_route_may_be_for_some_senders_or_for_one_list() {
    let relay = Relay::start_in_clear(
        "[[delivery.route]]\nrecipients = \"*\"\nsenders = \"boss@a.example\"\nsmarthost = \"IP:2601\"\n\
         [[delivery.route]]\nrecipients = \"*\"\nlist = \"shop\"\nsmarthost = \"IP:2602\"\n\
         [[delivery.route]]\nrecipients = \"*\"\nsmarthost = \"IP:2600\"\n",
    );
    let sinks = [0, 1, 2].map(|which| Sink::start_on(relay.ip, SINK + which, &[]));
    relay.printed_by(&["list", "add", "shop"]);
    let password = relay.user_with("till", &["--list", "shop", "--domains", "a.example"]);
    let mut ann = session(&relay);
    let mut till = relay.logged_in("till", &password);
    submit(&mut ann, &["<bob@d.example>"], "everybody");
    let content = mail("boss@a.example", "boss");
    message_id(&ann.transaction("<Boss@a.example>", &["<bob@d.example>"], &content));
    submit(&mut till, &["<bob@d.example>"], "shop");
    for (sink, expected) in sinks.iter().zip(["everybody", "boss", "shop"]) {
        assert_eq!(sink.wait_for(1)[0].field("Subject").unwrap(), expected);
    }
}

/// A certificate and its key, valid for that address.
fn certificate(folder: &std::path::Path, ip: IpAddr) -> (String, String) {
    let certified = rcgen::generate_simple_self_signed(vec![ip.to_string()]).unwrap();
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.join(name));
    fs::write(&certificate, certified.cert.pem()).unwrap();
    fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    (certificate.display().to_string(), key.display().to_string())
}

/// Another relay at that address, which takes logins under TLS only, with a sink behind it that has none; the route
/// there, its password, and the file of its certificate.
fn upstream(folder: &std::path::Path, ip: IpAddr) -> (Relay, Sink, String, String, String) {
    let (certificate, key) = certificate(folder, ip);
    let smarthost = Relay::start_at(
        ip,
        &format!("[tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n"),
        &[],
    );
    let sink = Sink::start(ip, &[]);
    let password = smarthost.user("upstream", "a.example");
    let route = format!(
        "[[delivery.route]]\nrecipients = \"*\"\nsmarthost = \"{ip}:2525\"\nuser = \"upstream\"\n\
         password = \"{password}\"\n"
    );
    (smarthost, sink, route, password, certificate)
}

#[test]
fn a_smarthost_is_spoken_to_with_login_and_verified_tls() {
    let folder = tempfile::tempdir().unwrap();
    let ip = Address::of_this_test();
    let (_smarthost, sink, route, password, certificate) = upstream(folder.path(), ip);
    // The roots of the machine, as OpenSSL finds them too.
    let trust = [("SSL_CERT_FILE", certificate.as_str())];
    let relay = Relay::start_at(
        Address::of_this_test(),
        &format!("# in clear\n{route}tls = \"required\"\n"),
        &trust,
    );
    let mut client = session(&relay);
    let id = submit(&mut client, &["<bob@d.example>"], "upstream");
    let received = sink.wait_for(1).remove(0);
    let text = received.text();
    assert_eq!(text.matches("Received: from ").count(), 2, "{text}");
    assert!(text.contains("with ESMTPSA id"), "{text}");
    wait_until("the outcome is recorded", || relay.queued().is_empty());
    let trail = trail(&relay, &id);
    assert!(trail.contains(", TLSv1.3 "), "{trail}");
    assert!(!trail.contains(&password), "{trail}");
}

#[test]
fn what_requires_tls_is_handed_on_as_such_and_comes_back_from_where_the_way_ends() {
    let folder = tempfile::tempdir().unwrap();
    let ip = Address::of_this_test();
    let (_smarthost, sink, route, _, certificate) = upstream(folder.path(), ip);
    let trust = [("SSL_CERT_FILE", certificate.as_str())];
    let relay = Relay::start_at(Address::of_this_test(), &route, &trust);
    let password = relay.user("ann", "a.example");
    let mut client = relay.connect();
    let list = client.upgrade(&relay.certificate());
    assert!(list.contains("250-REQUIRETLS\n"), "{list}");
    client.auth_plain("ann", &password);
    let content = mail("ann@a.example", "required");
    let from = "<ann@a.example> RET=FULL REQUIRETLS";
    let id = message_id(&client.transaction(from, &["<bob@d.example>"], &content));
    // A report is not lost for want of TLS.
    let report = sink.wait_for(1).remove(0);
    assert_eq!(report.recipients(), ["ann@a.example"]);
    assert_eq!(report.envelope["from"], "");
    let text = report.text();
    assert!(text.contains("\r\nStatus: 5.7.10\r\n"), "{text}");
    assert!(
        text.contains("\r\nContent-Type: text/rfc822-headers\r\n"),
        "{text}"
    );
    assert!(!text.contains("The text of required"), "{text}");
    let handed_on = trail(&relay, &id);
    assert!(
        handed_on.contains(", to go under TLS all the way"),
        "{handed_on}"
    );
    assert!(
        handed_on.matches(" REQUIRETLS").count() >= 2,
        "from the client and to the smarthost: {handed_on}"
    );
    assert!(handed_on.contains("delivered"), "{handed_on}");
}

#[test]
fn a_smarthost_that_cannot_be_verified_gets_nothing_and_the_mail_waits() {
    let ip = Address::of_this_test();
    // Its certificate is one that nobody trusts.
    let smarthost = Relay::start_at(ip, "", &[]);
    let password = smarthost.user("upstream", "a.example");
    let route = format!(
        "[delivery]\nretry = [\"1h\"]\n[[delivery.route]]\nrecipients = \"*\"\n\
         smarthost = \"{ip}:2525\"\nuser = \"upstream\"\npassword = \"{password}\"\ntls = \"required\"\n"
    );
    let relay = Relay::start_in_clear(&route);
    let mut client = session(&relay);
    let id = submit(&mut client, &["<bob@d.example>"], "untrusted");
    wait_until("the attempt has failed", || {
        relay.queued()[0]["state"] == "deferred"
    });
    let trail = trail(&relay, &id);
    assert!(trail.contains("certificate"), "{trail}");
    assert_eq!(
        smarthost.read("/api/v1/users/upstream")["last_login"],
        serde_json::Value::Null,
        "no password was sent"
    );
}

#[test]
fn a_wrong_login_at_the_smarthost_defers_and_says_what_the_smarthost_said() {
    let ip = Address::of_this_test();
    let smarthost = Relay::start_at(ip, "", &[]);
    smarthost.user("upstream", "a.example");
    let relay = Relay::start_in_clear(&format!(
        "[delivery]\nretry = [\"1h\"]\n[[delivery.route]]\nrecipients = \"*\"\n\
         smarthost = \"{ip}:2525\"\nuser = \"upstream\"\npassword = \"not-it\"\n"
    ));
    let mut client = session(&relay);
    let id = submit(&mut client, &["<bob@d.example>"], "wrong");
    wait_until("the attempt has failed", || {
        relay.queued()[0]["state"] == "deferred"
    });
    let trail = trail(&relay, &id);
    assert!(trail.contains("535 5.7.8"), "{trail}");
    assert!(!trail.contains("not-it"), "{trail}");
}

/// A relay that looks MX hosts up, and whose hosts all listen on the port of sinks.
fn mx_relay(names: Names) -> Relay {
    let ip = Address::of_this_test();
    let server = names.serve(ip);
    Relay::start_at(
        ip,
        &format!(
            "# in clear\n# mx\n[dns]\nservers = [\"{server}\"]\n[delivery]\nmx_port = {SINK}\n\
             retry = [\"1h\"]\n[log]\nfilter = \"info,outpost=debug\"\n"
        ),
        &[],
    )
}

#[test]
fn the_mx_host_of_best_preference_takes_the_mail_and_the_next_when_it_is_down() {
    let [first, second, third] = [(); 3].map(|()| Address::of_this_test());
    let mut relay = mx_relay(
        Names::default()
            .mx("d.example", 10, "mx1.d.example")
            .mx("d.example", 20, "mx2.d.example")
            .mx("d.example", 30, "mx3.d.example")
            .a("mx1.d.example", first)
            .a("mx2.d.example", second)
            .a("mx3.d.example", third),
    );
    let mut client = session(&relay);
    // Nobody listens at the first.
    let backup = Sink::start(second, &[]);
    let last = Sink::start(third, &[]);
    let id = submit(&mut client, &["<bob@d.example>"], "fallback");
    assert_eq!(backup.wait_for(1)[0].recipients(), ["bob@d.example"]);
    wait_until("it is finished", || relay.queued().is_empty());
    let said = trail(&relay, &id);
    assert!(said.contains("mx2.d.example"), "{said}");
    let passed_over = relay.program().wait_for_line("this host was not asked");
    assert!(passed_over.contains("mx1.d.example"), "{passed_over}");
    let best = Sink::start(first, &[]);
    // The idle connection to the second ends with it.
    drop(backup);
    submit(&mut client, &["<bob@d.example>"], "best");
    assert_eq!(best.wait_for(1)[0].field("Subject").unwrap(), "best");
    assert_eq!(last.count(), 0);
}

#[test]
fn a_domain_without_mx_is_its_own_host() {
    let host = Address::of_this_test();
    let relay = mx_relay(Names::default().a("d.example", host));
    let sink = Sink::start(host, &[]);
    let mut client = session(&relay);
    submit(&mut client, &["<bob@d.example>"], "implicit");
    assert_eq!(sink.wait_for(1)[0].recipients(), ["bob@d.example"]);
}

#[test]
fn domains_that_take_no_mail_or_do_not_exist_are_reported_at_once() {
    let home = Address::of_this_test();
    let relay = mx_relay(
        Names::default()
            .mx("null.example", 0, "")
            .a("null.example", home)
            .a("a.example", home),
    );
    let sink = Sink::start(home, &[]);
    let mut client = session(&relay);
    submit(&mut client, &["<bob@null.example>"], "null-mx");
    submit(&mut client, &["<bob@nowhere.example>"], "no-such-domain");
    let reports: String = sink.wait_for(2).iter().map(|one| one.text()).collect();
    // RFC 7505 §4.2 and RFC 7504; RFC 3463 §3.2.
    assert!(reports.contains("Status: 5.1.10\r\n"), "{reports}");
    assert!(reports.contains("Status: 5.1.2\r\n"), "{reports}");
    wait_until("nothing is queued", || relay.queued().is_empty());
}

#[test]
fn a_name_server_that_fails_defers() {
    let relay = mx_relay(Names::failing());
    let mut client = session(&relay);
    let id = submit(&mut client, &["<bob@d.example>"], "failing");
    wait_until("the attempt has failed", || {
        relay.queued()[0]["state"] == "deferred"
    });
    let said = trail(&relay, &id);
    assert!(said.contains("4.4.3"), "{said}");
}

#[test]
fn deliveries_to_one_next_hop_begin_at_their_pace() {
    let relay = Relay::start_in_clear("[delivery]\nper_next_hop_per_minute = 300\n");
    let sink = Sink::start(relay.ip, &[]);
    let mut client = session(&relay);
    for number in 0..6 {
        submit(&mut client, &["<bob@d.example>"], &format!("m{number}"));
    }
    sink.wait_for(6);
    let record = sink.record();
    let begun = record.iter().filter(|event| event["event"] == "begin");
    let begun: Vec<u64> = begun
        .map(|event| event["unix_us"].as_u64().unwrap())
        .collect();
    assert_eq!(begun.len(), 6);
    // Two hundred milliseconds from start to start.
    let took = begun[5] - begun[0];
    assert!(took >= 900_000, "{begun:?}");
}

#[test]
fn the_path_of_mail_is_told_without_sending_it() {
    let (near, far) = (Address::of_this_test(), Address::of_this_test());
    let ip = Address::of_this_test();
    let server = Names::default()
        .mx("d.example", 20, "far.d.example")
        .mx("d.example", 10, "near.d.example")
        .a("near.d.example", near)
        .a("far.d.example", far)
        .mx("null.example", 0, "")
        .serve(ip);
    let relay = Relay::start_at(
        ip,
        &format!(
            "[dns]\nservers = [\"{server}\"]\n[delivery]\nmx_port = {SINK}\n\
             [[delivery.route]]\nrecipients = \"e.example\"\nsenders = \"other.example\"\n\
             smarthost = \"127.0.0.1:9\"\n\
             [[delivery.route]]\nrecipients = \"e.example\"\nsmarthost = \"IP:{SINK}\"\n\
             user = \"us\"\npassword = \"topsecret\"\ntls = \"required\"\n"
        ),
        &[],
    );
    let sinks = [near, ip].map(|host| Sink::start(host, &[]));
    let ann = ["--sender", "ann@a.example"];
    let told = relay.printed_by(&[&["route", "bob@e.example", "eve@d.example"], &ann[..]].concat());
    assert_eq!(
        told,
        format!(
            "bob@e.example\n  route     delivery.route[2]\n  next hop  smarthost {ip}:{SINK}\n  \
             tls       required, login as us\n  host      {ip} {ip}:{SINK}\n\
             eve@d.example\n  route     none matches: MX\n  next hop  d.example\n  \
             tls       opportunistic\n  host      near.d.example {near}:{SINK}\n  \
             host      far.d.example {far}:{SINK}\n"
        )
    );
    let told = relay.json(&["route", "bob@e.example", "--sender", "x@other.example"]);
    assert_eq!(told[0]["route"], 1);
    assert_eq!(told[0]["hosts"][0]["address"], "127.0.0.1:9");
    let output = relay.outpost(&["route", "x@null.example"]);
    assert!(!output.status.success());
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("  bounced   556 5.1.10 "), "{told}");
    for sink in sinks {
        assert!(sink.record().is_empty(), "somebody was spoken to");
    }
}
