//! The configuration file as an operator meets it: all mistakes at once by line, and a command line
//! that says clearly when it can do nothing.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};

use crate::support::{Address, Program, Relay, outpost, run, top};

/// Runs a command with that text as the configuration in an empty folder.
fn with_configuration(text: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("outpost.toml"), text).unwrap();
    run(Command::new(outpost())
        .args(arguments)
        .current_dir(folder.path()))
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

const BROKEN: &str = "\
hostname = \"relay example\"
colour = \"blue\"

[submission]
ports = \"25,587-26,x\"
message_bytes_max = \"many\"

[delivery]
retry = [\"30s\", \"soon\"]
[[delivery.route]]
recipients = \"*\"
smarthost = \"\"
[[plugin]]
name = \"nobody-ships-this\"
[admin]
adress = \"127.0.0.1:8025\"
";

#[test]
fn check_reports_all_mistakes_with_their_lines_and_serve_refuses_them_alike() {
    let check = with_configuration(BROKEN, &["check"]);
    assert!(!check.status.success());
    let lines = said(&check);
    for (line, key) in [
        (1, "hostname"),
        (2, "colour"),
        (5, "submission.ports"),
        (5, "submission.ports"),
        (6, "submission.message_bytes_max"),
        (9, "delivery.retry"),
        (12, "delivery.route[1].smarthost"),
        (14, "plugin[1].name"),
        (16, "admin.adress"),
    ] {
        let beginning = format!("outpost: outpost.toml: line {line}: {key}: ");
        assert!(
            lines.lines().any(|line| line.starts_with(&beginning)),
            "{beginning} in\n{lines}"
        );
    }
    assert_eq!(lines.lines().count(), 9, "{lines}");
    let serve = with_configuration(BROKEN, &["serve"]);
    assert!(!serve.status.success());
    assert_eq!(said(&serve), lines);
}

#[test]
fn what_is_no_toml_is_named_by_line() {
    let check = with_configuration(
        "hostname = \"a.example\"\n[submission\nports = 25\n",
        &["check"],
    );
    assert!(!check.status.success());
    let lines = said(&check);
    assert!(
        lines.starts_with("outpost: outpost.toml: line 2: "),
        "{lines}"
    );
}

#[test]
fn a_good_configuration_is_said_to_be_good_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let sample = fs::read_to_string(top().join("docs/outpost.sample.toml")).unwrap();
    fs::write(folder.path().join("outpost.toml"), sample).unwrap();
    // A machine where nothing can be written is no mistake in the file.
    let check = run(Command::new(outpost())
        .arg("check")
        .env("TMPDIR", folder.path().join("no-such-folder"))
        .current_dir(folder.path()));
    assert!(check.status.success(), "{}", said(&check));
    assert_eq!(
        String::from_utf8(check.stdout).unwrap(),
        "outpost.toml: the configuration is good\n"
    );
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn check_looks_at_certificates_and_components_too() {
    let check = with_configuration(
        "colour = 1\n[tls]\ncertificate = \"no-cert.pem\"\nkey = \"outpost.toml\"\n\
         [[plugin]]\nname = \"mine\"\ncomponent = \"no-such.wasm\"\n\
         [[plugin]]\nname = \"other\"\ncomponent = \"outpost.toml\"\n\
         [submission]\nports = \"2525\"\n\
         [[delivery.route]]\nrecipients = \"*\"\nsmarthost = \"127.0.0.1:2525\"\n",
        &["check"],
    );
    assert!(!check.status.success());
    let lines = said(&check);
    let expected = [
        "note: line 15: delivery.route[1].smarthost: 127.0.0.1:2525: this relay itself listens there",
        "line 1: colour: unknown key",
        "line 3: tls.certificate: no-cert.pem: No such file",
        "line 4: tls.key: outpost.toml: no private key in PEM form",
        "line 7: plugin[1].component: plugin \"mine\": no-such.wasm cannot be read",
        "line 10: plugin[2].component: plugin \"other\": not a component",
    ];
    assert_eq!(lines.lines().count(), expected.len(), "{lines}");
    for (line, expected) in lines.lines().zip(expected) {
        let expected = format!("outpost: outpost.toml: {expected}");
        assert!(line.starts_with(&expected), "{expected} in {line}");
    }
}

#[test]
fn a_start_names_the_key_and_line_of_a_certificate_and_of_a_component() {
    let said = Relay::refused(
        Address::of_this_test(),
        "[tls]\ncertificate = \"none.pem\"\nkey = \"none.pem\"\n\
         [[plugin]]\nname = \"authorized-senders\"\n[[plugin]]\nname = \"mine\"\n\
         component = \"none.wasm\"\n",
    );
    for expected in [
        "tls.certificate: none.pem: No such file",
        "tls.key: none.pem: No such file",
        "plugin[2].component: plugin \"mine\": none.wasm cannot be read",
    ] {
        let line = said.lines().find(|line| line.contains(expected));
        assert!(
            line.is_some_and(|line| line.contains(": line ")),
            "{expected} in {said}"
        );
    }
}

#[test]
fn what_was_perhaps_not_meant_is_noted_and_the_configuration_is_good() {
    let check = with_configuration("[dns]\nservers = [\"::1:53\"]\n", &["check"]);
    assert!(check.status.success());
    assert_eq!(
        said(&check),
        "outpost: outpost.toml: note: line 2: dns.servers: has `::1:53`, which is read as an address alone; \
         with a port it is written \"[ADDRESS]:PORT\"\n"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let output = with_configuration("", &["check", "--config", "elsewhere.toml"]);
    assert!(!output.status.success());
    assert!(
        said(&output).starts_with("outpost: elsewhere.toml: "),
        "{}",
        said(&output)
    );
}

#[test]
fn a_link_to_a_file_that_is_gone_is_no_reason_to_serve_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("gone.toml", folder.path().join("outpost.toml")).unwrap();
    let output = run(Command::new(outpost())
        .arg("check")
        .current_dir(folder.path()));
    assert!(!output.status.success());
    let said = said(&output);
    assert!(
        said.starts_with("outpost: outpost.toml: No such file"),
        "{said}"
    );
}

#[test]
fn a_restart_with_a_broken_file_says_what_is_wrong_and_a_mended_one_serves_again() {
    let mut relay = Relay::start("");
    relay.user("ann", "a.example");
    let path = relay.folder().join("outpost.toml");
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{good}\n[delivery.x]\n")).unwrap();
    // What runs is not disturbed by the file.
    relay.connect().expect("NOOP", "250");
    assert!(relay.terminate().success());
    let complaint = relay.complaint_of(&["serve"]);
    assert!(complaint.contains("delivery.x"), "{complaint}");
    fs::write(&path, good).unwrap();
    relay.restart();
    assert_eq!(relay.read("/api/v1/users/ann")["name"], "ann");
}

#[test]
fn the_command_line_says_clearly_when_no_relay_runs() {
    let ip = Address::of_this_test();
    let configuration = format!("[admin]\naddress = \"{ip}:8025\"\n");
    for command in [
        &["user", "ls"][..],
        &["list", "ls", "--json"],
        &["queue", "ls"],
        &["queue", "cancel", "--all", "--yes"],
        &["connection"],
        &["plugin", "ls"],
        &["admin", "reset-password"],
    ] {
        let output = with_configuration(&configuration, command);
        assert!(!output.status.success(), "{command:?}");
        let said = said(&output);
        assert!(
            said.contains(&format!("no relay answers at {ip}:8025")),
            "{command:?}: {said}"
        );
        assert!(said.contains("outpost serve"), "what to do: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure_and_nothing_worse() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("outpost.toml"),
        "[[delivery.route]]\nrecipients = \"*\"\nsmarthost = \"127.0.0.1:10025\"\n",
    )
    .unwrap();
    let unread = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    let full = || Stdio::from(fs::File::options().write(true).open("/dev/full").unwrap());
    for arguments in [
        &["check"][..],
        &["route", "bob@d.example"],
        &["route", "bob@d.example", "--json"],
        &["--version"],
        &["help"],
        &["user", "--help"],
    ] {
        let into = |out: Stdio| {
            let child = Command::new(outpost())
                .args(arguments)
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .stdout(out)
                .stderr(Stdio::piped())
                .spawn();
            child.unwrap().wait_with_output().unwrap()
        };
        let lost = into(full());
        assert_eq!(lost.status.code(), Some(1), "{arguments:?}");
        let told = said(&lost);
        assert!(
            told.starts_with("outpost: the answer cannot be written: "),
            "{told}"
        );
        // Whoever read enough of it is told nothing more.
        let unheard = into(unread());
        assert_eq!(unheard.status.code(), Some(1), "{arguments:?}");
        assert_eq!(said(&unheard), "");
    }
}

#[test]
fn a_sink_names_the_file_that_it_cannot_write() {
    let address = format!("{}:2500", Address::of_this_test());
    let mut sink = Program::start(Command::new(outpost()).args([
        "sink",
        "--listen",
        &address,
        "--record",
        "/dev/full",
    ]));
    sink.wait_for_line("listening on");
    let mut client = TcpStream::connect(&address).unwrap();
    client.write_all(b"QUIT\r\n").unwrap();
    let line = sink.wait_for_line("a connection broke");
    assert!(line.contains("cannot write /dev/full: No space"), "{line}");
}

#[test]
fn a_command_that_does_not_exist_is_told_apart_from_one_that_fails() {
    let unknown = with_configuration("", &["usr", "ls"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(said(&unknown).contains("usr"), "{}", said(&unknown));
    let help = with_configuration("", &["--help"]);
    assert!(help.status.success());
    let text = String::from_utf8(help.stdout).unwrap();
    for command in [
        "serve",
        "check",
        "list",
        "user",
        "queue",
        "plugin",
        "connection",
        "admin",
        "sink",
    ] {
        assert!(
            text.contains(&format!("  {command} ")),
            "{command} in\n{text}"
        );
    }
}
