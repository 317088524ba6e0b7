//! The examples of the connection page, run as they are copied from it by the programs that they are for: over STARTTLS and with
//! TLS from the first octet, with the certificate that the relay made itself and with one of an authority.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::console::logged_in;
use crate::support::{Relay, Sink, may_mount, target};

/// Where Debian has PHPMailer.
const PHPMAILER: &str = "/usr/share/php/libphp-phpmailer/autoload.php";

/// The name of every relay under test.
const HOST: &str = "relay.test";

/// What runs the example of that name, from a file of this name.
const PROGRAMS: [(&str, &str, &str); 4] = [
    ("swaks", "sh", "example.sh"),
    ("Python", "python3", "example.py"),
    ("Node.js", "node", "example.js"),
    ("PHP", "php", "example.php"),
];

/// Only with TLS from the first octet, so that this is recommended.
const TLS_ONLY: &str =
    "[submission]\naddresses = [\"IP\"]\nports = \"1025\"\nimplicit_tls_ports = \"4650\"\n";

/// Runs a program in a folder, where the name of the relay is its address.
fn run_there(folder: &Path, program: &str, file: &str, environment: &[(&str, &Path)]) {
    let hosts = folder.join("hosts");
    let shell = "mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        shell,
        "sh",
    ]);
    command
        .arg(&hosts)
        .args([program, file])
        .current_dir(folder);
    command.env("NODE_PATH", target().join("node").join("node_modules"));
    command.envs(environment.iter().copied());
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{program} {file}\n{}\n{}{}",
        fs::read_to_string(folder.join(file)).unwrap(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Copies each example from the page, fills in what stands for something, and runs it; each message arrives under TLS.
fn copied_and_run(relay: &mut Relay, environment: &[(&str, &Path)]) {
    let sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let folder = tempfile::tempdir().unwrap();
    // As somebody else's machine finds it.
    fs::write(
        folder.path().join("hosts"),
        format!("{} {HOST}\n", relay.ip),
    )
    .unwrap();
    if relay.certificate().exists() {
        let certificate = folder.path().join("self-signed-cert.pem");
        fs::copy(relay.certificate(), certificate).unwrap();
    }
    // As Composer makes it.
    fs::create_dir(folder.path().join("vendor")).unwrap();
    let autoload = format!("<?php require '{PHPMAILER}';\n");
    fs::write(folder.path().join("vendor/autoload.php"), autoload).unwrap();
    let browser = logged_in(relay);
    let address = relay.ip.to_string();
    let mut arrived = 0;
    for (name, program, file) in PROGRAMS {
        if program == "php" && !Path::new(PHPMAILER).exists() {
            eprintln!("not shown: PHPMailer is missing, tests/install.sh brings it");
            continue;
        }
        let button = format!("button[data-copy][aria-label*=\"{name}\"]");
        let copied = browser.attribute_of(&button, "data-copy");
        let example = copied
            .replace("NAME", "ann")
            .replace("PASSWORD", &password)
            .replace("SENDER", "ann@a.example")
            .replace("RECIPIENT", "bob@d.example")
            .replace(&address, HOST);
        fs::write(folder.path().join(file), example).unwrap();
        run_there(folder.path(), program, file, environment);
        arrived += 1;
        let received = sink.wait_for(arrived).remove(arrived - 1);
        assert_eq!(received.envelope["from"], "ann@a.example", "{name}");
        assert_eq!(received.recipients(), ["bob@d.example"], "{name}");
        let trace = received.field("Received").unwrap();
        assert!(trace.contains(" with ESMTPSA id "), "{name}: {trace}");
    }
}

fn can_be_run() -> bool {
    let can = may_mount();
    if !can {
        eprintln!("not shown: it needs a mount namespace, and none can be made here");
    }
    can
}

#[test]
fn each_example_works_as_it_is_copied_with_the_certificate_that_the_relay_made_itself() {
    if can_be_run() {
        copied_and_run(&mut Relay::start(""), &[]);
    }
}

#[test]
fn each_example_works_as_it_is_copied_with_tls_from_the_first_octet() {
    if can_be_run() {
        copied_and_run(&mut Relay::start(TLS_ONLY), &[]);
    }
}

#[test]
fn each_example_works_as_it_is_copied_with_a_certificate_of_an_authority() {
    if !can_be_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(vec![HOST.to_owned()]).unwrap();
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    fs::write(&certificate, certified.cert.pem()).unwrap();
    fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let mut relay = Relay::start(&format!(
        "[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n",
        certificate.display(),
        key.display()
    ));
    // What the machine trusts.
    let trusted = [
        ("SSL_CERT_FILE", certificate.as_path()),
        ("NODE_EXTRA_CA_CERTS", &certificate),
    ];
    copied_and_run(&mut relay, &trusted);
}
