//! The mail programs of others: each submits over STARTTLS or implicit TLS with its login, to a
//! relay with the certificate that it made itself, and what arrives is what was submitted, but for
//! the trace field.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Relay, Sink, base64, run, target};

/// A relay, what stands behind it, and a message to submit.
struct Case {
    relay: Relay,
    sink: Sink,
    password: String,
    /// With CRLF.
    content: String,
}

impl Case {
    fn new() -> Case {
        let relay = Relay::start("");
        let sink = Sink::start(relay.ip, &[]);
        let password = relay.user("ann", "a.example");
        Case {
            relay,
            sink,
            password,
            content: content(),
        }
    }

    /// The content in a file, with LF as files on this system have it.
    fn file(&self) -> PathBuf {
        self.written(&self.content.replace("\r\n", "\n"))
    }

    /// The content in a file, with CRLF as libraries want it that send it as it is.
    fn file_with_crlf(&self) -> PathBuf {
        self.written(&self.content)
    }

    fn written(&self, content: &str) -> PathBuf {
        let path = self.relay.folder().join("message.eml");
        fs::write(&path, content).unwrap();
        path
    }

    fn host(&self) -> String {
        self.relay.ip.to_string()
    }

    /// Runs a client, which must succeed.
    #[track_caller]
    fn succeeds(&self, command: &mut Command) {
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{command:?}\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// The message has arrived as it was, under TLS, with its envelope.
    #[track_caller]
    fn arrived(&self) {
        let received = self.sink.wait_for(1).remove(0);
        let submitted = String::from_utf8(received.submitted().to_vec()).unwrap();
        let short = |text: &str| text.replace(&"x".repeat(998), "(998 x)");
        assert_eq!(short(&submitted), short(&self.content));
        assert_eq!(received.envelope["from"], "ann@a.example");
        assert_eq!(received.recipients(), ["bob@d.example", "eve@e.example"]);
        let trace = received.field("Received").unwrap();
        assert!(
            trace.contains(" with ESMTPSA id ") && trace.contains("using TLSv1.3"),
            "{trace}"
        );
    }
}

/// A message with what clients and relays like to get wrong: lines that begin with dots, a line of
/// the full length, blanks at line ends, octets beyond ASCII, empty lines at the end.
fn content() -> String {
    let long = "x".repeat(998);
    format!(
        "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n\
         Message-ID: <1@a.example>\r\n\
         From: Ann Example <ann@a.example>\r\n\
         To: bob@d.example,\r\n\
         \teve@e.example\r\n\
         Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\
         \r\n\
         .\r\n\
         .leading\r\n\
         ..two\r\n\
         Gr\u{fc}\u{df}e  \r\n\
         {long}\r\n\
         From here\r\n\
         \r\n\
         end.\r\n"
    )
}

fn swaks_submits(port: &str, tls: &str, mechanism: &str) {
    let mut case = Case::new();
    let data = format!("@{}", case.file().display());
    // swaks puts an empty line behind the data.
    case.content.push_str("\r\n");
    let mut command = Command::new("swaks");
    command.args(["--server", &case.host(), "--port", port, tls]);
    command.args(["--auth", mechanism, "--auth-user", "ann"]);
    command.args(["--auth-password", &case.password, "--from", "ann@a.example"]);
    command.args(["--to", "bob@d.example,eve@e.example", "--data", &data]);
    case.succeeds(&mut command);
    case.arrived();
}

#[test]
fn swaks_submits_over_starttls() {
    swaks_submits("2525", "--tls", "PLAIN");
}

#[test]
fn swaks_submits_with_tls_from_the_first_octet() {
    swaks_submits("4650", "--tls-on-connect", "LOGIN");
}

const SMTPLIB: &str = r#"
import smtplib, ssl, sys
host, mode, password, certificate, file = sys.argv[1:]
context = ssl.create_default_context(cafile=certificate)
if mode == "tls":
    smtp = smtplib.SMTP_SSL(host, 4650, context=context)
else:
    smtp = smtplib.SMTP(host, 2525)
    smtp.starttls(context=context)
smtp.login("ann", password)
refused = smtp.sendmail("ann@a.example", ["bob@d.example", "eve@e.example"], open(file, "rb").read(),
                        mail_options=["BODY=8BITMIME"])
assert refused == {}, refused
smtp.quit()
"#;

/// Python looks at the certificate: it is trusted, and valid for the address that is connected to.
fn smtplib_submits(mode: &str) {
    let case = Case::new();
    // The certificate that a relay makes for itself is valid for its name and for localhost; the
    // address of this test is neither.
    let folder = tempfile::tempdir().unwrap();
    let mut relay = case.relay;
    let certified = rcgen::generate_simple_self_signed(vec![relay.ip.to_string()]).unwrap();
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    fs::write(&certificate, certified.cert.pem()).unwrap();
    fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    assert!(relay.terminate().success());
    relay.restart_with(&format!(
        "[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n",
        certificate.display(),
        key.display()
    ));
    let case = Case { relay, ..case };
    let mut command = Command::new("python3");
    command.args(["-c", SMTPLIB, &case.host(), mode, &case.password]);
    command.arg(&certificate).arg(case.file_with_crlf());
    case.succeeds(&mut command);
    case.arrived();
}

#[test]
fn smtplib_submits_over_starttls() {
    smtplib_submits("starttls");
}

#[test]
fn smtplib_submits_with_tls_from_the_first_octet() {
    smtplib_submits("tls");
}

fn curl(case: &Case, url: &str) -> Command {
    let mut command = Command::new("curl");
    command.args(["-sS", "--insecure", "--ssl-reqd", url]);
    command.args(["--user", &format!("ann:{}", case.password)]);
    command.args(["--mail-from", "ann@a.example"]);
    command.args(["--mail-rcpt", "bob@d.example"]);
    command.args(["--mail-rcpt", "eve@e.example", "--crlf"]);
    command.arg("--upload-file").arg(case.file());
    command
}

#[test]
fn curl_submits_over_starttls() {
    let case = Case::new();
    case.succeeds(&mut curl(
        &case,
        &format!("smtp://{}:2525/client.test", case.host()),
    ));
    case.arrived();
}

#[test]
fn curl_submits_with_tls_from_the_first_octet() {
    let case = Case::new();
    case.succeeds(&mut curl(
        &case,
        &format!("smtps://{}:4650/client.test", case.host()),
    ));
    case.arrived();
}

/// The fingerprint by which msmtp trusts a certificate.
fn fingerprint(certificate: &Path) -> String {
    let output = run(Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
        .arg(certificate));
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim().split_once('=').unwrap().1.to_owned()
}

fn msmtp_submits(port: u16, starttls: &str) {
    let case = Case::new();
    let fingerprint = fingerprint(&case.relay.certificate());
    let mut command = Command::new("msmtp");
    command.args(["--file=/dev/null", "--auth=on", "--tls=on", "--user=ann"]);
    command.arg(format!("--host={}", case.host()));
    command.arg(format!("--port={port}"));
    command.arg(format!("--tls-starttls={starttls}"));
    command.arg(format!("--tls-fingerprint={fingerprint}"));
    command.arg(format!("--passwordeval=echo {}", case.password));
    command.args(["--from=ann@a.example", "bob@d.example", "eve@e.example"]);
    command.stdin(fs::File::open(case.file()).unwrap());
    case.succeeds(&mut command);
    case.arrived();
}

#[test]
fn msmtp_submits_over_starttls() {
    msmtp_submits(2525, "on");
}

#[test]
fn msmtp_submits_with_tls_from_the_first_octet() {
    msmtp_submits(4650, "off");
}

const NODEMAILER: &str = r#"
const [host, port, password, certificate, file] = process.argv.slice(1);
const fs = require("fs");
const transport = require("nodemailer").createTransport({
    host, port: Number(port), secure: port === "4650", requireTLS: true,
    auth: { user: "ann", pass: password },
    tls: { ca: fs.readFileSync(certificate), servername: "relay.test" },
});
transport.sendMail({
    envelope: { from: "ann@a.example", to: ["bob@d.example", "eve@e.example"] },
    raw: fs.readFileSync(file),
}).then(sent => { console.log(sent.response); transport.close(); },
        error => { console.error(error); process.exit(1); });
"#;

/// The folder into which tests/install.sh has put Nodemailer.
fn node_modules() -> PathBuf {
    let modules = target().join("node").join("node_modules");
    assert!(
        modules.exists(),
        "{} is missing: tests/install.sh makes it",
        modules.display()
    );
    modules
}

fn nodemailer_submits(port: &str) {
    let case = Case::new();
    let mut command = Command::new("node");
    command.env("NODE_PATH", node_modules());
    command.args(["-e", NODEMAILER, &case.host(), port, &case.password]);
    command
        .arg(case.relay.certificate())
        .arg(case.file_with_crlf());
    case.succeeds(&mut command);
    case.arrived();
}

#[test]
fn nodemailer_submits_over_starttls() {
    nodemailer_submits("2525");
}

#[test]
fn nodemailer_submits_with_tls_from_the_first_octet() {
    nodemailer_submits("4650");
}

#[test]
fn openssl_s_client_submits_by_hand() {
    let case = Case::new();
    let mut child = Command::new("openssl")
        .args(["s_client", "-quiet", "-starttls", "smtp", "-connect"])
        .arg(case.relay.smtp().to_string())
        .args(["-verify_return_error", "-CAfile"])
        .arg(case.relay.certificate())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut expect = |code: &str| {
        loop {
            let line = lines.next().expect("the conversation goes on").unwrap();
            assert!(line.starts_with(code), "{line} instead of {code}");
            if line.as_bytes()[3] == b' ' {
                return;
            }
        }
    };
    let login = base64(&format!("\0ann\0{}", case.password));
    let stuffed = case.content.replace("\r\n.", "\r\n..");
    for (said, code) in [
        ("EHLO client.test", "250"),
        (&format!("AUTH PLAIN {login}"), "235"),
        ("MAIL FROM:<ann@a.example> BODY=8BITMIME", "250"),
        ("RCPT TO:<bob@d.example>", "250"),
        ("RCPT TO:<eve@e.example>", "250"),
        ("DATA", "354"),
        (&format!("{stuffed}."), "250"),
        ("QUIT", "221"),
    ] {
        input.write_all(format!("{said}\r\n").as_bytes()).unwrap();
        expect(code);
    }
    drop(input);
    child.wait().unwrap();
    case.arrived();
}
