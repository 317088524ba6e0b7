//! The configuration is read again while mail goes on: connections stay open, what can change does, and a
//! wrong file changes nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::support::{
    Address, Client, Program, Relay, Sink, mail, message_id, outpost, run, wait_until,
};

/// Writes a certificate for `relay.test` and its key under names that stay the same.
fn certify(folder: &Path) {
    certify_for("relay.test", folder);
}

fn certify_for(name: &str, folder: &Path) {
    let certified = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    fs::write(folder.join("cert.pem"), certified.cert.pem()).unwrap();
    fs::write(
        folder.join("key.pem"),
        certified.signing_key.serialize_pem(),
    )
    .unwrap();
}

fn route(port: u16) -> String {
    format!("[[delivery.route]]\nrecipients = \"*\"\nsmarthost = \"IP:{port}\"\n# in clear\n")
}

#[track_caller]
fn submit(client: &mut Client, subject: &str) {
    let reply = client.message(
        "ann@a.example",
        "bob@d.example",
        &mail("ann@a.example", subject),
    );
    message_id(&reply);
}

#[test]
fn a_client_stays_connected_while_its_certificate_is_replaced_and_a_new_one_sees_the_new() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("cert.pem");
    let old = folder.path().join("old.pem");
    certify(folder.path());
    fs::copy(&certificate, &old).unwrap();
    let relay = Relay::start(&format!(
        "[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n",
        certificate.display(),
        folder.path().join("key.pem").display()
    ));
    let sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let mut early = relay.connect();
    early.upgrade(&old);
    early.log_in("ann", &password);
    let mut in_clear = relay.connect();

    certify(folder.path());
    // Until it is told, it serves what it has.
    relay.connect().upgrade(&old);
    let printed = relay.printed_by(&["reload"]);
    let file = relay.folder().join("outpost.toml");
    assert_eq!(
        printed,
        format!("{} was read again\nchanged: tls\n", file.display())
    );

    submit(&mut early, "across");
    in_clear.upgrade(&certificate);
    Client::open_tls(relay.tls(), &certificate).reply();
    assert_eq!(sink.wait_for(1)[0].field("Subject").unwrap(), "across");
    let again = relay.printed_by(&["reload"]);
    assert!(again.ends_with("again; nothing has changed\n"), "{again}");
}

/// Puts a certificate and its key in place as certbot does: files of their own, and links that are replaced.
fn link(folder: &Path, number: usize) {
    let made = folder.join(number.to_string());
    fs::create_dir(&made).unwrap();
    certify(&made);
    for name in ["cert.pem", "key.pem"] {
        let new = folder.join("new");
        symlink(made.join(name), &new).unwrap();
        fs::rename(new, folder.join(name)).unwrap();
    }
}

#[test]
fn a_message_that_comes_in_slowly_arrives_over_ten_certificates_and_what_is_half_done_changes_nothing()
 {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    link(folder.path(), 0);
    let mut relay = Relay::start(&format!(
        "[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n",
        certificate.display(),
        key.display()
    ));
    let sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let mut slow = relay.connect();
    slow.upgrade(&certificate);
    slow.log_in("ann", &password);
    slow.expect("MAIL FROM:<ann@a.example>", "250");
    slow.expect("RCPT TO:<bob@d.example>", "250");
    slow.expect("DATA", "354");
    let mut letter = mail("ann@a.example", "slow");
    slow.send(letter.as_bytes());
    for number in 1..=10 {
        // Each kind of half-done files is refused, and the certificate before it is served.
        let before = fs::read(&certificate).unwrap();
        let in_force = folder.path().join("in-force.pem");
        fs::write(&in_force, &before).unwrap();
        let key_before = fs::read(&key).unwrap();
        match number % 3 {
            0 => fs::remove_file(&key).unwrap(),
            1 => fs::write(&certificate, &before[..before.len() / 2]).unwrap(),
            // The certificate is there, and its key is to come.
            _ => {
                certify(folder.path());
                fs::write(&key, &key_before).unwrap();
            }
        }
        let said = relay.complaint_of(&["reload"]);
        assert!(said.contains("everything stays as it was"), "{said}");
        relay.connect().upgrade(&in_force);
        link(folder.path(), number);
        if number % 2 == 0 {
            relay.printed_by(&["reload"]);
        } else {
            relay.signal("HUP");
            let said = "the configuration was read again";
            wait_until("it is read again", || {
                relay.printed().matches(said).count() == number
            });
        }
        relay.connect().upgrade(&certificate);
        let line = format!("\r\nand on, over certificate {number}");
        slow.send(line.as_bytes());
        letter.push_str(&line);
    }
    slow.expect("\r\n.", "250");
    let received = sink.wait_for(1);
    assert_eq!(received[0].submitted(), format!("{letter}\r\n").as_bytes());
    assert!(relay.terminate().success());
}

#[test]
fn a_certificate_that_the_relay_made_itself_is_left_alone_and_gives_way_to_a_configured_one() {
    let relay = Relay::start("");
    let own = fs::read(relay.certificate()).unwrap();
    relay.printed_by(&["reload"]);
    relay.connect().upgrade(&relay.certificate());
    certify(&relay.folder());
    relay.configure("[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n");
    assert_eq!(relay.json(&["reload"])["changed"][0], "tls");
    relay.connect().upgrade(&relay.folder().join("cert.pem"));
    let connection = relay.json(&["connection"]);
    assert_eq!(connection["certificate"], "configured");
    assert_eq!(fs::read(relay.certificate()).unwrap(), own);
}

#[test]
fn a_wrong_configuration_is_refused_with_key_and_line_and_the_old_one_stays() {
    let mut relay = Relay::start_in_clear("");
    let (sink, other) = (
        Sink::start(relay.ip, &[]),
        Sink::start_on(relay.ip, 2601, &[]),
    );
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    // What is right in it stays out as well.
    relay.configure(&format!(
        "colour = 1\n[tls]\ncertificate = \"none.pem\"\nkey = \"none.pem\"\n[[plugin]]\nname = \"mine\"\n\
         component = \"none.wasm\"\n{}",
        route(2601)
    ));
    let told = [
        "line 3: colour: unknown key",
        "line 13: tls.certificate: none.pem: No such file",
        "line 14: tls.key: none.pem: No such file",
        "line 17: plugin[1].component: plugin \"mine\": none.wasm cannot be read",
    ];
    let complaint = relay.complaint_of(&["reload"]);
    for (line, told) in complaint.lines().zip(told) {
        assert!(line.starts_with(&format!("outpost: {told}")), "{complaint}");
    }
    let checked = relay.complaint_of(&["check"]);
    let file = format!("{}: ", relay.folder().join("outpost.toml").display());
    let last = complaint.lines().last().unwrap();
    assert!(
        last.ends_with("has 4 mistakes: everything stays as it was"),
        "{last}"
    );
    assert_eq!(
        complaint.replace(&format!("{last}\n"), ""),
        checked.replace(&file, ""),
        "what check says, word by word"
    );
    let problem = relay.api("POST", "/api/v1/reload", None);
    assert_eq!(problem.status, 422);
    let problem = problem.document();
    assert_eq!(problem["type"], "urn:outpost:problem:invalid-configuration");
    assert_eq!(problem["errors"][0]["field"], "colour");
    assert_eq!(problem["errors"][0]["line"], 3);
    relay.signal("HUP");
    for (line, key) in [(3, "colour"), (13, "tls.certificate"), (14, "tls.key")] {
        let logged = relay.program().wait_for_line(&format!("key={key}"));
        assert!(
            logged.contains("not reloaded, all stays as it was: ")
                && logged.contains(&format!("line={line}")),
            "{logged}"
        );
    }

    submit(&mut client, "old way");
    sink.wait_for(1);
    relay.connect().upgrade(&relay.certificate());
    assert_eq!(other.count(), 0);

    relay.configure("colour =\n");
    let complaint = relay.complaint_of(&["reload"]);
    assert!(complaint.contains("outpost.toml: line 3: "), "{complaint}");
    fs::remove_file(relay.folder().join("outpost.toml")).unwrap();
    let gone = relay.api("POST", "/api/v1/reload", None).document();
    let text = gone["errors"][0]["detail"].as_str().unwrap();
    assert!(text.contains("No such file"), "{text}");
}

#[test]
fn a_relay_is_asked_also_while_the_file_has_a_mistake_elsewhere() {
    let relay = Relay::start("");
    relay.configure("colour = 1\n[log]\nformat = \"xml\"\n");
    let output = relay.outpost(&["queue", "hold", "--all", "--yes"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let file = relay.folder().join("outpost.toml");
    assert_eq!(
        said,
        format!(
            "outpost: {}: note: it has 2 mistakes, which `outpost check` tells\n",
            file.display()
        )
    );
    // Where it is wrong in what leads to the relay, nothing else is asked in its place.
    fs::write(&file, "[admin]\naddress = 1\n").unwrap();
    let complaint = relay.complaint_of(&["user", "ls"]);
    assert!(complaint.contains("line 2: admin.address: "), "{complaint}");
}

#[test]
fn the_next_message_follows_a_changed_route_and_what_waits_does_too() {
    let mut relay = Relay::start_in_clear("[delivery]\nretry = [\"1h\"]\n");
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    submit(&mut client, "waits");
    relay.program().wait_for_line("deferred");
    let other = Sink::start_on(relay.ip, 2601, &[]);
    relay.configure(&format!("[delivery]\nretry = [\"2h\"]\n{}", route(2601)));
    let changed = relay.json(&["reload"])["changed"].clone();
    assert_eq!(
        changed,
        serde_json::json!(["delivery.route", "delivery.retry"])
    );
    submit(&mut client, "next");
    assert_eq!(other.wait_for(1)[0].field("Subject").unwrap(), "next");
    relay.printed_by(&["queue", "retry", "--all", "--yes"]);
    assert_eq!(other.wait_for(2)[1].field("Subject").unwrap(), "waits");
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_is_in_force() {
    let mut relay = Relay::start_in_clear("");
    let password = relay.user("ann", "a.example");
    let mut open = relay.logged_in("ann", &password);
    open.expect("MAIL FROM:<ann@a.example>", "250");
    let text = fs::read_to_string(relay.folder().join("outpost.toml")).unwrap();
    let text = text
        .replace("\"relay.test\"", "\"other.test\"")
        .replace(
            "plaintext_auth = true",
            "plaintext_auth = false\nmessage_bytes_max = 2000",
        )
        .replace("ports = \"2525\"", "ports = \"2526\"");
    fs::write(
        relay.folder().join("outpost.toml"),
        format!("{text}[log]\nfilter = \"debug\"\n"),
    )
    .unwrap();
    relay.signal("HUP");
    let line = relay
        .program()
        .wait_for_line("the configuration was read again");
    for key in [
        "submission.plaintext_auth",
        "submission.message_bytes_max",
        "log.filter",
    ] {
        assert!(line.contains(key), "{line}");
    }
    for key in ["hostname", "submission.ports"] {
        relay
            .program()
            .wait_for_line(&format!("needs a restart: {key}"));
    }
    // It is named for as long as it is so.
    let printed = relay.printed_by(&["reload"]);
    assert!(
        printed.ends_with("again\nneeds a restart: hostname\nneeds a restart: submission.ports\n"),
        "{printed}"
    );
    let mut new = relay.connect();
    let list = new.expect("EHLO client.test", "250");
    assert!(list.starts_with("250-relay.test"), "{list}");
    assert!(
        list.contains("SIZE 2000") && !list.contains("AUTH"),
        "{list}"
    );
    // The transaction that was open before goes on as it began.
    open.expect("RCPT TO:<bob@d.example>", "250");
    open.expect("RSET", "250");
    open.expect("MAIL FROM:<ann@a.example> SIZE=3000", "250");
    let connection = relay.json(&["connection"]);
    assert_eq!(connection["plaintext_login"], false);
}

#[test]
fn the_next_transaction_asks_the_components_that_are_configured_now() {
    let relay = Relay::start_in_clear("");
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    client.expect("MAIL FROM:<ann@a.example>", "250");
    relay.configure("[[plugin]]\nname = \"effective-priority\"\n# in clear\n");
    let printed = relay.printed_by(&["reload"]);
    let mut lines = printed.lines().skip(1);
    assert_eq!(lines.next(), Some("changed: plugin"));
    let note = lines.next().unwrap();
    assert!(
        note.starts_with("note: ") && note.contains("so every sender is refused"),
        "{note}"
    );
    client.expect("RSET", "250");
    client.expect("MAIL FROM:<ann@a.example>", "5");
    relay.configure("# in clear\n");
    relay.printed_by(&["reload"]);
    client.expect("MAIL FROM:<ann@a.example>", "250");
}

#[test]
fn the_log_follows_its_filter_at_once() {
    let mut relay = Relay::start("");
    let said = "the configuration was read again";
    relay.configure("[log]\nfilter = \"warn\"\n");
    assert_eq!(relay.json(&["reload"])["changed"][0], "log.filter");
    relay.configure("[log]\nfilter = \"info\"\n");
    relay.printed_by(&["reload"]);
    relay.program().wait_for_line(said);
    let printed = relay.printed();
    assert_eq!(printed.matches(said).count(), 1, "{printed}");
}

#[test]
fn a_configuration_that_came_through_a_pipe_or_is_emptied_stays_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let ip = Address::of_this_test();
    Relay::write_configuration(folder.path(), ip, "# in clear\n");
    let file = folder.path().join("outpost.toml");
    let mut piped = Command::new("bash");
    piped
        .args(["-c", "exec \"$0\" --config <(cat \"$1\")"])
        .arg(outpost())
        .arg(&file)
        .current_dir(folder.path());
    let mut relay = Program::start(&mut piped);
    relay.wait_for_line("user add --domains");
    let signal = |relay: &Program| {
        let sent = run(Command::new("kill").args(["-s", "HUP", &relay.id().to_string()]));
        assert!(sent.status.success(), "{sent:?}");
    };
    signal(&relay);
    let said = relay.wait_for_line("not reloaded, all stays as it was");
    assert!(said.contains("it is a pipe, not a regular file"), "{said}");
    assert!(relay.terminate().success());

    let mut relay = Relay::start_in_clear("");
    let sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let file = relay.folder().join("outpost.toml");
    fs::write(&file, "").unwrap();
    relay.signal("HUP");
    let said = relay
        .program()
        .wait_for_line("not reloaded, all stays as it was");
    assert!(said.contains("nothing is set in it any more"), "{said}");
    submit(&mut relay.logged_in("ann", &password), "its old way");
    sink.wait_for(1);
}

#[test]
fn a_certificate_that_never_answers_is_refused_and_later_reloads_and_the_end_come_all_the_same() {
    let mut relay = Relay::start("");
    certify(&relay.folder());
    let pipe = relay.folder().join("pipe.pem");
    assert!(run(Command::new("mkfifo").arg(&pipe)).status.success());
    relay.configure("[tls]\ncertificate = \"pipe.pem\"\nkey = \"key.pem\"\n");
    for command in ["check", "reload"] {
        let said = relay.complaint_of(&[command]);
        assert!(
            said.contains("tls.certificate: pipe.pem: it is a pipe, not a regular file"),
            "{said}"
        );
    }
    relay.configure("[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n");
    assert_eq!(relay.json(&["reload"])["changed"][0], "tls");
    assert!(relay.terminate().success());
}

#[test]
fn a_smarthost_is_verified_by_the_roots_that_the_machine_has_now() {
    let (folder, ip) = (tempfile::tempdir().unwrap(), Address::of_this_test());
    let (certificate, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    let roots = folder.path().join("roots.pem");
    certify(folder.path());
    fs::copy(&certificate, &roots).unwrap();
    certify_for(&ip.to_string(), folder.path());
    let smarthost = Relay::start_at(
        ip,
        &format!(
            "[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n",
            certificate.display(),
            key.display()
        ),
        &[],
    );
    let sink = Sink::start(ip, &[]);
    let upstream = smarthost.user("upstream", "a.example");
    let mut relay = Relay::start_at(
        Address::of_this_test(),
        &format!(
            "# in clear\n[delivery]\nretry = [\"1h\"]\n[[delivery.route]]\nrecipients = \"*\"\n\
             smarthost = \"{ip}:2525\"\nuser = \"upstream\"\npassword = \"{upstream}\"\ntls = \"required\"\n"
        ),
        &[("SSL_CERT_FILE", roots.to_str().unwrap())],
    );
    let password = relay.user("ann", "a.example");
    submit(&mut relay.logged_in("ann", &password), "waits");
    relay.program().wait_for_line("deferred");
    fs::copy(&certificate, &roots).unwrap();
    relay.printed_by(&["reload"]);
    relay.printed_by(&["queue", "retry", "--all", "--yes"]);
    assert_eq!(sink.wait_for(1)[0].field("Subject").unwrap(), "waits");
}
