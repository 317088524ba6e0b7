//! What the next hop answers, and what becomes of the mail: retries, reports, real receivers.

use serde_json::Value;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Client, Program, Relay, SINK, Sink, message_id, run, wait_until};

const QUICK: &str = "[delivery]\nretry = [\"1s\"]\nexpire_after = \"3s\"\n";

fn log_in(relay: &Relay) -> Client {
    let password = relay.user("ann", "a.example");
    let mut client = relay.connect();
    assert!(client.log_in("ann", &password).starts_with("235"));
    client
}

/// Submits a message with these MAIL and RCPT commands; returns its id.
fn submit(client: &mut Client, mail: &str, recipients: &[&str]) -> String {
    client.expect(&format!("MAIL FROM:{mail}"), "250");
    for recipient in recipients {
        client.expect(&format!("RCPT TO:{recipient}"), "250");
    }
    client.expect("DATA", "354");
    let reply = client.command("From: ann@a.example\r\nSubject: hello\r\n\r\nHello.\r\n.");
    message_id(&reply)
}

/// The message as the relay knows it, once it is finished.
fn finished(relay: &Relay, id: &str) -> Value {
    let mut message = Value::Null;
    wait_until("the message is finished", || {
        message = relay.json(&["queue", "show", id]);
        !message["finished"].is_null()
    });
    message
}

fn text(message: &Value) -> String {
    message["text"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap().to_owned() + "\n")
        .collect()
}

/// What Python's email parser sees in a report: its type, then recipient, action and status of each.
fn parsed(report: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), report).unwrap();
    let script = "
import email, email.policy, sys
message = email.message_from_binary_file(open(sys.argv[1], 'rb'), policy=email.policy.default)
print(message.get_content_type(), message.get_param('report-type'), message['Auto-Submitted'])
parts = list(message.iter_parts())
print(' '.join(part.get_content_type() for part in parts))
for fields in parts[1].get_payload()[1:]:
    print(fields['Final-Recipient'], fields['Action'], fields['Status'])
print(len(message.defects))
";
    let output = run(Command::new("python3")
        .args(["-c", script])
        .arg(file.path()));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_refused_recipient_is_reported_and_the_others_are_served() {
    let relay = Relay::start_in_clear(QUICK);
    let sink = Sink::start(relay.ip, &["--refuse", "bad@"]);
    let mut client = log_in(&relay);
    let id = submit(
        &mut client,
        "<ann@a.example>",
        &["<good@d.example>", "<bad@d.example>"],
    );
    let received = sink.wait_for(2);
    let (report, letter): (Vec<_>, Vec<_>) = received
        .iter()
        .partition(|message| message.envelope["from"] == "");
    assert_eq!(letter[0].envelope["recipients"][0]["to"], "good@d.example");
    assert_eq!(report[0].envelope["recipients"][0]["to"], "ann@a.example");
    assert_eq!(
        parsed(&report[0].content),
        "multipart/report delivery-status auto-replied\n\
         text/plain message/delivery-status text/rfc822-headers\n\
         rfc822; bad@d.example failed 5.1.1\n0\n"
    );
    let message = finished(&relay, &id);
    assert!(
        text(&message).contains("bad@d.example bounced"),
        "{message:#}"
    );
}

#[test]
fn what_is_put_off_is_tried_again_and_arrives() {
    let relay = Relay::start_in_clear("[delivery]\nretry = [\"1s\"]\n");
    let sink = Sink::start(relay.ip, &["--defer", "dot"]);
    let mut client = log_in(&relay);
    let id = submit(&mut client, "<ann@a.example>", &["<bob@d.example>"]);
    wait_until("an attempt has failed", || {
        relay.json(&["queue", "ls"])["deliveries"][0]["attempts"].as_u64() >= Some(1)
    });
    drop(sink);
    let sink = Sink::start(relay.ip, &[]);
    sink.wait_for(1);
    let message = finished(&relay, &id);
    assert!(
        text(&message).contains("bob@d.example deferred"),
        "{message:#}"
    );
    assert!(
        text(&message).contains("bob@d.example delivered"),
        "{message:#}"
    );
}

#[test]
fn what_expires_is_reported() {
    let relay = Relay::start_in_clear(QUICK);
    let sink = Sink::start(relay.ip, &["--defer", "bob@"]);
    let mut client = log_in(&relay);
    submit(
        &mut client,
        "<ann@a.example> RET=FULL ENVID=letter+2B7",
        &["<bob@d.example>"],
    );
    let report = sink.wait_for(1).remove(0);
    assert_eq!(
        parsed(&report.content),
        "multipart/report delivery-status auto-replied\n\
         text/plain message/delivery-status message/rfc822\n\
         rfc822; bob@d.example failed 4.4.7\n0\n"
    );
    assert!(
        report.text().contains("Original-Envelope-Id: letter+7\r\n"),
        "{}",
        report.text()
    );
}

#[test]
fn nobody_is_told_about_a_report_or_what_nobody_wants_to_know() {
    let relay = Relay::start_in_clear(QUICK);
    let sink = Sink::start(relay.ip, &["--refuse", "bad@"]);
    let mut client = log_in(&relay);
    let null = submit(&mut client, "<>", &["<bad@d.example>"]);
    let never = submit(
        &mut client,
        "<ann@a.example>",
        &["<bad@d.example> NOTIFY=NEVER"],
    );
    let success = submit(
        &mut client,
        "<ann@a.example>",
        &["<good@d.example> NOTIFY=SUCCESS"],
    );
    for id in [&null, &never, &success] {
        finished(&relay, id);
    }
    assert!(text(&finished(&relay, &null)).contains("no failure report was written"));
    // The sink lists DSN, so the report of success is its business.
    let received = sink.wait_for(1);
    assert_eq!(received.len(), 1);
    assert_eq!(
        received[0].envelope["recipients"][0]["notify"], "SUCCESS",
        "{}",
        received[0].envelope
    );
    assert!(
        relay.json(&["queue", "ls"])["deliveries"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

/// The program of that name, which may stand where only root looks.
fn program(name: &str) -> PathBuf {
    let beside = Path::new("/usr/sbin").join(name);
    if beside.exists() {
        beside
    } else {
        PathBuf::from(name)
    }
}

#[test]
fn smtp_sink_receives() {
    let relay = Relay::start_in_clear("");
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let dump = folder.path().join("dump");
    fs::write(&dump, "").unwrap();
    fs::set_permissions(&dump, fs::Permissions::from_mode(0o666)).unwrap();
    let _receiver = Program::start(
        Command::new(program("smtp-sink"))
            .args(["-u", "nobody", "-D"])
            .arg(&dump)
            .arg(format!("{}:{SINK}", relay.ip))
            .arg("100"),
    );
    let mut client = log_in(&relay);
    let id = submit(&mut client, "<ann@a.example>", &["<bob@d.example>"]);
    finished(&relay, &id);
    let dumped = fs::read_to_string(&dump).unwrap();
    assert!(dumped.contains("Subject: hello"), "{dumped}");
}

/// A Postfix that keeps mail for d.example in a folder; everything of it stands below that folder.
struct Postfix {
    folder: tempfile::TempDir,
}

impl Postfix {
    fn start(relay: &Relay) -> Postfix {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["conf", "spool", "data", "mail"] {
            fs::create_dir(at(name)).unwrap();
        }
        let id = |arguments: &[&str]| -> u32 {
            let output = run(Command::new("id").args(arguments));
            String::from_utf8_lossy(&output.stdout)
                .trim()
                .parse()
                .unwrap()
        };
        let (user, group) = (id(&["-u", "postfix"]), id(&["-g", "postfix"]));
        chown(at("data"), Some(user), Some(group)).unwrap();
        chown(at("mail"), Some(user), Some(group)).unwrap();
        let settings = format!(
            "compatibility_level = 3.6\nqueue_directory = {spool}\ndata_directory = {data}\n\
             mail_owner = postfix\nsetgid_group = postdrop\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n\
             myhostname = next.d.example\nmydestination =\nalias_maps =\nmaillog_file = {log}\n\
             maillog_file_prefixes = {prefix}\nsmtpd_relay_restrictions = reject_unauth_destination\n\
             virtual_mailbox_domains = d.example\nvirtual_mailbox_base = {mail}\n\
             virtual_mailbox_maps = static:box/\nvirtual_uid_maps = static:{user}\n\
             virtual_gid_maps = static:{group}\nvirtual_minimum_uid = 1\ndisable_dns_lookups = yes\n\
             smtp_host_lookup = native\nsmtpd_peername_lookup = no\n",
            spool = at("spool").display(),
            data = at("data").display(),
            log = at("data/log").display(),
            prefix = folder.path().display(),
            mail = at("mail").display(),
        );
        fs::write(at("conf/main.cf"), settings).unwrap();
        let services = "cleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\n\
             rewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\n\
             trace unix - - n - 0 bounce\nverify unix - - n - 1 verify\nanvil unix - - n - 1 anvil\n\
             proxymap unix - - n - - proxymap\nvirtual unix - n n - - virtual\nerror unix - - n - - error\n\
             retry unix - - n - - error\nscache unix - - n - 1 scache\ntlsmgr unix - - n 1000? 1 tlsmgr\n\
             postlog unix-dgram n - n - 1 postlogd\nsmtp unix - - n - - smtp\n";
        fs::write(
            at("conf/master.cf"),
            format!("{}:{SINK} inet n - n - - smtpd\n{services}", relay.ip),
        )
        .unwrap();
        let postfix = Postfix { folder };
        let output = postfix.command("start");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        postfix
    }

    fn command(&self, word: &str) -> std::process::Output {
        run(Command::new(program("postfix"))
            .arg("-c")
            .arg(self.folder.path().join("conf"))
            .arg(word))
    }

    /// What has been delivered.
    fn mail(&self) -> Vec<String> {
        let Ok(folder) = fs::read_dir(self.folder.path().join("mail/box/new")) else {
            return Vec::new();
        };
        folder
            .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
            .collect()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.command("stop");
    }
}

#[test]
fn postfix_receives() {
    let relay = Relay::start_in_clear("[delivery]\nretry = [\"1s\"]\n");
    let postfix = Postfix::start(&relay);
    let mut client = log_in(&relay);
    let known = submit(&mut client, "<ann@a.example>", &["<bob@d.example>"]);
    let foreign = submit(&mut client, "<ann@a.example>", &["<bob@elsewhere.example>"]);
    assert!(text(&finished(&relay, &known)).contains("bob@d.example delivered"));
    let refused = text(&finished(&relay, &foreign));
    assert!(
        refused.contains("bob@elsewhere.example bounced"),
        "{refused}"
    );
    wait_until("Postfix has delivered", || !postfix.mail().is_empty());
    let mail = postfix.mail().remove(0);
    assert!(
        mail.contains("Subject: hello") && mail.contains(&known),
        "{mail}"
    );
}
