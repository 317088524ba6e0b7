//! The data folder of every release that was is opened by this one: accounts, queued mail and what is known of it
//! are as they were.
//!
//! A folder is kept as `tests/stored/RELEASE.tar.gz`, made by `make stored-form` before that release and never
//! again; a form that came before the first release is kept as well. It was left by a kill, so that mail stands in the database, in the journal and in files. What must
//! be found in it stands beside it, in `made.json`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::{Address, Relay, Sink, mail, message_id, outpost, run, top, wait_until};

/// Messages that wait, by subject: what becomes of each before the kill.
const WAITING: [&str; 5] = [
    "deferred, in the database",
    "held, in the database",
    "deferred, in a file",
    "queued, in the journal",
    "queued, in a file and the journal",
];
const FINISHED: &str = "delivered";

/// The message of that subject; those in files are larger than what stands in the database.
fn content(subject: &str) -> String {
    let mut content = mail("ann@a.example", subject);
    if subject.contains("in a file") {
        for line in 0..2_000 {
            content.push_str(&format!(
                "\r\n{line}: what stands in line {line} of {subject}"
            ));
        }
    }
    content
}

/// What waits is not asked for again soon; what is finished is known for long.
const SETTINGS: &str = "# in clear\n[delivery]\nretry = [\"1d\"]\n[spool]\nhistory = \"365d\"\n";

fn submit(relay: &Relay, password: &str, subject: &str) -> String {
    let mut client = relay.logged_in("ann", password);
    message_id(&client.message("ann@a.example", "bob@d.example", &content(subject)))
}

/// Makes the data folder of this release. Not a test of anything: run by `make stored-form`.
#[test]
#[ignore = "it makes the stored form of this release anew"]
fn the_data_folder_of_this_release() {
    let release = env!("CARGO_PKG_VERSION");
    let archive = top().join(format!("tests/stored/{release}.tar.gz"));
    assert!(
        !archive.exists(),
        "{} is there: what was released stays",
        archive.display()
    );
    let mut relay = Relay::start(SETTINGS);
    relay.printed_by(&["list", "add", "shop", "--notify", "ops@shop.example"]);
    let password = relay.user("ann", "a.example;*.b.example");
    relay.printed_by(&[
        "user",
        "add",
        "--name",
        "Shop-1",
        "--list",
        "shop",
        "--priority",
        "5",
        "--senders",
        "news@c.example",
        "--note",
        "the newsletter",
        "--inactive",
    ]);
    let token = relay.json(&[
        "admin", "token", "create", "--name", "ops", "--scope", "read",
    ]);
    let mut messages = Vec::new();
    let mut add = |subject: &str, id: String| messages.push(json!({"subject": subject, "id": id}));

    let sink = Sink::start(relay.ip, &[]);
    let id = submit(&relay, &password, FINISHED);
    sink.wait_for(1);
    relay.program().wait_for_line("delivered");
    add(FINISHED, id);
    drop(sink);
    for subject in &WAITING[..3] {
        let id = submit(&relay, &password, subject);
        relay
            .program()
            .wait_for_line(&format!("tried again message_id={id}"));
        if subject.starts_with("held") {
            relay.printed_by(&["queue", "hold", &id]);
        }
        add(subject, id);
    }
    assert!(relay.terminate().success());
    relay.restart();
    for subject in &WAITING[3..] {
        add(subject, submit(&relay, &password, subject));
    }
    relay.kill();

    let made = json!({
        "release": release,
        "made": since_1970().as_secs(),
        "password": password,
        "token": token["token"],
        "messages": messages,
    });
    fs::write(relay.folder().join("made.json"), format!("{made:#}\n")).unwrap();
    fs::create_dir_all(archive.parent().unwrap()).unwrap();
    // What is made again is left out.
    let packed = run(Command::new("tar")
        .args([
            "--exclude=components",
            "--exclude=spool.reserve",
            "--owner=0",
            "--group=0",
        ])
        .args(["--sparse", "-czf"])
        .arg(&archive)
        .arg("-C")
        .arg(relay.folder())
        .args(["data", "made.json"]));
    assert!(packed.status.success(), "{packed:?}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "the age of a folder is that of the real world"
)]
fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

fn unpack(archive: &Path, into: &Path) -> Value {
    let unpacked = run(Command::new("tar")
        .arg("-xzf")
        .arg(archive)
        .arg("--no-same-owner")
        .arg("-C")
        .arg(into));
    assert!(unpacked.status.success(), "{unpacked:?}");
    let made = fs::read_to_string(into.join("made.json")).unwrap();
    serde_json::from_str(&made).unwrap()
}

/// Every archive that is kept.
fn archives() -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(top().join("tests/stored")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let archives: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "gz"))
        .collect();
    assert!(!archives.is_empty());
    archives
}

#[test]
fn the_data_folder_of_every_release_is_opened_and_its_mail_delivered() {
    for archive in archives() {
        let ip = Address::of_this_test();
        // There before the relay: what has waited for months is due at once, and has no second attempt.
        let sink = Sink::start(ip, &[]);
        let made = std::cell::RefCell::new(Value::Null);
        let mut relay = Relay::start_by(ip, SETTINGS, &|folder| {
            made.replace(unpack(&archive, folder));
            (Command::new(outpost()), Stdio::null())
        });
        let made = made.into_inner();
        has_its_accounts(&relay, &made);
        let held = relay.read("/api/v1/queue?state=held");
        assert_eq!(held["deliveries"][0]["subject"], WAITING[1], "{held}");
        relay.printed_by(&["queue", "release", "--all", "--yes"]);
        relay.printed_by(&["queue", "retry", "--all", "--yes"]);

        let received = sink.wait_for(WAITING.len());
        for subject in WAITING {
            let expected = Some(subject.to_owned());
            let mut found = received
                .iter()
                .filter(|received| received.field("Subject") == expected);
            let received = found.next().unwrap();
            assert!(found.next().is_none(), "{subject}: once");
            let submitted = format!("{}\r\n", content(subject));
            assert!(
                received.submitted() == submitted.as_bytes(),
                "{subject}: octet for octet"
            );
            assert_eq!(received.recipients(), ["bob@d.example"]);
        }
        wait_until("everything is settled", || relay.queued().is_empty());
        has_its_trails(&relay, &made);

        // Once more, now that this release has written to it.
        assert!(relay.terminate().success());
        relay.restart();
        has_its_accounts(&relay, &made);
        has_its_trails(&relay, &made);
        assert_eq!(sink.count(), WAITING.len());
    }
}

fn has_its_accounts(relay: &Relay, made: &Value) {
    relay.logged_in("ann", made["password"].as_str().unwrap());
    let ann = relay.read("/api/v1/users/ann");
    assert_eq!(
        ann["authorized_domains"],
        json!(["*.b.example", "a.example"])
    );
    let shop = relay.read("/api/v1/users/shop-1");
    for (field, value) in [
        ("name", json!("Shop-1")),
        ("list", json!("shop")),
        ("active", json!(false)),
        ("priority", json!(5)),
        ("note", json!("the newsletter")),
        ("authorized_senders", json!(["news@c.example"])),
    ] {
        assert_eq!(shop[field], value, "{field}");
    }
    assert_eq!(
        relay.read("/api/v1/lists/shop")["notify"],
        json!(["ops@shop.example"])
    );
    let token = made["token"].as_str().unwrap();
    assert_eq!(
        relay.api_as(token, "GET", "/api/v1/users", None).status,
        200
    );
}

/// What was known of each message is known, and what came of it since.
fn has_its_trails(relay: &Relay, made: &Value) {
    let age = since_1970().saturating_sub(Duration::from_secs(made["made"].as_u64().unwrap()));
    for message in made["messages"].as_array().unwrap() {
        let subject = message["subject"].as_str().unwrap();
        if subject == FINISHED && age > Duration::from_secs(360 * 86_400) {
            continue; // It is no longer kept.
        }
        let trail = relay.printed_by(&["queue", "show", message["id"].as_str().unwrap()]);
        assert!(
            trail.contains(&format!("subject     {subject}\n")),
            "{trail}"
        );
        let before = match subject {
            _ if subject.starts_with("held") => "held by first-start",
            _ if subject.starts_with("deferred") => "bob@d.example deferred",
            _ => "accepted in class 3 (normal)",
        };
        for expected in [
            before,
            "submitted by ann of list default",
            "bob@d.example delivered",
        ] {
            assert!(trail.contains(expected), "{subject}: {expected} in {trail}");
        }
    }
}
