//! The admin address of a running relay: its one secret, its health, its figures, its log.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Address, Relay, Sink, base64, mail, message_id, outpost, run, wait_until};

#[test]
fn the_first_start_makes_one_secret_and_shows_it_once() {
    let mut relay = Relay::start("");
    let first = relay.printed();
    assert_eq!(first.matches("user admin, password ").count(), 1, "{first}");
    let token = relay.data().join("admin-token");
    let mode = fs::metadata(&token).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let folder = fs::metadata(relay.data()).unwrap().permissions().mode();
    assert_eq!(
        folder & 0o777,
        0o700,
        "nobody else looks into the data folder"
    );
    let secret = fs::read_to_string(&token).unwrap();
    assert!(!first.contains(secret.trim()), "the token is never printed");
    assert_eq!(relay.printed_by(&["admin", "token"]), secret);
    assert!(relay.terminate().success());
    relay.restart();
    let second = relay.printed();
    assert!(!second.contains("password "), "{second}");
    assert_eq!(fs::read_to_string(&token).unwrap(), secret);
    assert_eq!(relay.api("GET", "/api/v1/users", None).status, 200);
}

/// The journal is there for many readers and for long.
#[test]
fn under_a_service_manager_no_secret_goes_to_the_journal() {
    let relay = Relay::start("");
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let stream = fs::File::create(&journal).unwrap();
    let metadata = stream.metadata().unwrap();
    let ip = Address::of_this_test();
    let configuration = fs::read_to_string(relay.folder().join("outpost.toml"))
        .unwrap()
        .replace(&relay.ip.to_string(), &ip.to_string())
        .replace(
            &relay.data().display().to_string(),
            &folder.path().join("data").display().to_string(),
        );
    fs::write(folder.path().join("outpost.toml"), configuration).unwrap();
    let mut child = Command::new(outpost())
        .current_dir(folder.path())
        .env(
            "JOURNAL_STREAM",
            format!("{}:{}", metadata.dev(), metadata.ino()),
        )
        .stdout(stream)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the greeting is written", || {
        fs::read_to_string(&journal)
            .unwrap()
            .contains("user add --domains")
    });
    let written = fs::read_to_string(&journal).unwrap();
    assert!(!written.contains("user admin, password"), "{written}");
    assert!(
        written.contains("outpost admin reset-password` makes one and shows it"),
        "{written}"
    );
    let reset = run(Command::new(outpost())
        .args(["admin", "reset-password"])
        .current_dir(folder.path()));
    assert!(reset.status.success());
    assert!(
        String::from_utf8(reset.stdout)
            .unwrap()
            .starts_with("console user  admin\npassword      ")
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A copy onto a full disk leaves such a file; a relay without users would be served in silence.
#[test]
fn an_empty_directory_beside_a_queue_is_not_taken_for_a_first_start() {
    let mut relay = Relay::start("");
    relay.user("ann", "a.example");
    assert!(relay.terminate().success());
    let directory = relay.data().join("directory.redb");
    let good = fs::read(&directory).unwrap();
    fs::write(&directory, "").unwrap();
    let said = relay.complaint_of(&["serve"]);
    assert!(said.contains("directory.redb: the file is empty"), "{said}");
    assert!(said.contains("Restore it from a backup"), "{said}");
    fs::write(&directory, good).unwrap();
    relay.restart();
    assert_eq!(relay.read("/api/v1/users/ann")["name"], "ann");
}

#[test]
fn two_relays_have_different_secrets() {
    let secrets = [(); 2].map(|()| {
        let relay = Relay::start("");
        relay.printed_by(&["admin", "token"])
    });
    assert_ne!(secrets[0], secrets[1]);
}

#[test]
fn nothing_of_the_api_answers_without_a_token_and_each_scope_reaches_as_far_as_it_says() {
    let relay = Relay::start("");
    relay.user("ann", "a.example");
    let token = |scope: &str| {
        let made = relay.json(&[
            "admin", "token", "create", "--name", scope, "--scope", scope,
        ]);
        made["token"].as_str().unwrap().to_owned()
    };
    let [read, operate, admin] = ["read", "operate", "admin"].map(token);
    let user = json!({"name": "tom"});
    let hold = json!({"all": true});
    let cases: [(&str, &str, Option<&Value>, [u16; 5]); 4] = [
        ("GET", "/api/v1/users", None, [401, 401, 200, 200, 200]),
        ("GET", "/api/v1/queue", None, [401, 401, 200, 200, 200]),
        (
            "POST",
            "/api/v1/queue/hold",
            Some(&hold),
            [401, 401, 403, 200, 200],
        ),
        (
            "POST",
            "/api/v1/users",
            Some(&user),
            [401, 401, 403, 403, 201],
        ),
    ];
    for (method, path, body, expected) in cases {
        for (token, status) in ["", "wrong", &read, &operate, &admin].iter().zip(expected) {
            let answer = relay.api_as(token, method, path, body);
            assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
            if status >= 400 {
                assert_eq!(
                    answer.field("content-type"),
                    Some("application/problem+json")
                );
            }
        }
    }
    relay.printed_by(&["admin", "token", "rm", "read"]);
    assert_eq!(
        relay.api_as(&read, "GET", "/api/v1/users", None).status,
        401
    );
}

#[test]
fn health_and_readiness_are_told_without_a_token() {
    let relay = Relay::start("");
    assert_eq!(relay.get("/livez"), "alive\n");
    let ready: Value = serde_json::from_str(&relay.get("/readyz")).unwrap();
    assert_eq!(ready, json!({"ready": true, "reasons": []}));
    let page = relay.get("/login");
    assert!(page.contains("outpost admin reset-password"), "{page}");
}

#[test]
fn metrics_are_in_the_text_format_and_tell_of_mail_by_class_and_never_by_name() {
    let relay = Relay::start_in_clear("[delivery]\nretry = [\"1h\"]\n");
    let password = relay.user("annabel", "a.example");
    let mut client = relay.logged_in("annabel", &password);
    let content = mail("ann@a.example", "counted").replace("To:", "X-Priority: 2\r\nTo:");
    message_id(&client.message("ann@a.example", "bob@d.example", &content));
    wait_until("it is deferred", || {
        relay.queued()[0]["state"] == "deferred"
    });
    let metrics = relay.get("/metrics");
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("outpost_"), "{line}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    assert!(
        metrics.contains("outpost_spool_deliveries_queued{class=\"2\"} 1\n"),
        "{metrics}"
    );
    for name in ["annabel", "a.example", "d.example", "counted"] {
        assert!(!metrics.contains(name), "{name}");
    }
}

#[test]
fn json_logs_have_the_message_id_everywhere_and_no_content_or_secret() {
    let mut relay = Relay::start_in_clear("[log]\nformat = \"json\"\nfilter = \"outpost=trace\"\n");
    let sink = Sink::start(relay.ip, &["--refuse", "never@"]);
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    let content = mail("ann@a.example", "subject-of-it").replace("The text", "body-of-it");
    let reply = client.transaction(
        "<ann@a.example>",
        &["<bob@d.example>", "<never@d.example>"],
        &content,
    );
    let id = message_id(&reply);
    sink.wait_for(2);
    client.expect("MAIL FROM:<ceo@victim.example>", "550");
    let mut stranger = relay.connect();
    stranger.expect("EHLO client.example", "250");
    let refused = stranger.auth_plain("name-that-nobody-has", "wrong-guess");
    assert!(refused.starts_with("535"), "{refused}");
    assert!(relay.terminate().success());
    let printed = relay.printed();
    let mut about_message = Vec::new();
    for line in printed.lines().filter(|line| line.starts_with('{')) {
        let event: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(
            event["timestamp"].is_string() && event["level"].is_string(),
            "{line}"
        );
        // What is not known is left out.
        let fields = event.as_object().unwrap().values();
        assert!(fields.clone().all(|value| value != ""), "{line}");
        if line.contains(&id) {
            about_message.push(event);
        }
    }
    let said: Vec<&str> = about_message
        .iter()
        .filter_map(|event| {
            event["fields"]["message"]
                .as_str()
                .or(event["message"].as_str())
        })
        .collect();
    for moment in ["accepted", "delivered", "bounced"] {
        assert!(said.contains(&moment), "{moment} in {about_message:#?}");
    }
    let field = |moment: &str, name: &str| {
        let event = about_message
            .iter()
            .find(|event| event.to_string().contains(moment));
        let event = event.unwrap();
        let value = event["fields"][name].as_str().or(event[name].as_str());
        value.unwrap_or_default().to_owned()
    };
    assert_eq!(field("\"accepted\"", "sender"), "ann@a.example");
    assert_eq!(field("\"delivered\"", "to"), "bob@d.example");
    assert_eq!(field("\"bounced\"", "to"), "never@d.example");
    for event in &about_message {
        assert_eq!(
            event["fields"]["message_id"]
                .as_str()
                .or(event["message_id"].as_str()),
            Some(id.as_str()),
            "{event}"
        );
    }
    let login = base64(&format!("\0ann\0{password}"));
    for secret in [
        "body-of-it",
        "subject-of-it",
        &password,
        &login,
        "name-that-nobody-has",
        "wrong-guess",
    ] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}

#[test]
fn the_api_is_described_where_it_is() {
    let relay = Relay::start("");
    let described = relay.get("/api/v1/openapi.json");
    let described: Value = serde_json::from_str(&described).unwrap();
    assert!(described["openapi"].as_str().unwrap().starts_with("3."));
    for path in [
        "/api/v1/lists",
        "/api/v1/users/{user}/password",
        "/api/v1/queue/{action}",
        "/api/v1/messages/{id}",
        "/api/v1/plugins",
        "/api/v1/connection",
        "/metrics",
        "/livez",
        "/readyz",
    ] {
        assert!(described["paths"][path].is_object(), "{path}");
    }
}

#[test]
fn queued_mail_is_shown_held_released_and_cancelled() {
    let relay = Relay::start_in_clear("[delivery]\nretry = [\"1h\"]\n");
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    let ids: Vec<String> = (0..3)
        .map(|number| {
            let content = mail("ann@a.example", &format!("m{number}"));
            message_id(&client.message(
                "ann@a.example",
                &format!("bob{number}@d.example"),
                &content,
            ))
        })
        .collect();
    wait_until("all have been tried", || {
        relay.queued().iter().all(|one| one["state"] == "deferred")
    });
    let listed = relay.printed_by(&["queue", "ls"]);
    for id in &ids {
        assert!(listed.contains(id.as_str()), "{listed}");
    }
    assert!(listed.contains("deferred"), "{listed}");
    let count = relay.json(&["queue", "hold", "--user", "ann", "--dry-run"]);
    assert_eq!(count["count"], 3);
    assert_eq!(relay.queued()[0]["state"], "deferred", "only counted");
    relay.printed_by(&["queue", "hold", "--recipient", "bob1@", "--yes"]);
    let held = relay.json(&["queue", "ls", "--state", "held"]);
    assert_eq!(held["deliveries"].as_array().unwrap().len(), 1);
    assert_eq!(held["deliveries"][0]["id"], ids[1].as_str());
    relay.printed_by(&["queue", "cancel", &ids[0]]);
    assert_eq!(relay.queued().len(), 2);
    let sink = Sink::start(relay.ip, &[]);
    relay.printed_by(&["queue", "retry", &ids[2]]);
    sink.wait_for(1);
    relay.printed_by(&["queue", "release", &ids[1]]);
    relay.printed_by(&["queue", "retry", &ids[1]]);
    let subjects: Vec<_> = sink
        .wait_for(2)
        .iter()
        .map(|one| one.field("Subject").unwrap())
        .collect();
    assert_eq!(subjects, ["m2", "m1"]);
    // More than one message is not changed without somebody who agrees.
    let complaint = relay.complaint_of(&["queue", "cancel"]);
    assert!(complaint.contains("--all"), "{complaint}");
}

#[test]
fn one_program_and_one_folder_are_all_there_is() {
    let relay = Relay::start("");
    let open = run(Command::new("ls").args(["-l", &format!("/proc/{}/fd", relay.id())]));
    let open = String::from_utf8(open.stdout).unwrap();
    let data = relay.data().canonicalize().unwrap();
    for line in open.lines() {
        let Some((_, target)) = line.split_once(" -> ") else {
            continue;
        };
        let is_ours = target.starts_with(data.to_str().unwrap());
        // The engine of components looks at its own memory in /proc.
        let is_nameless = [
            "socket:",
            "pipe:",
            "anon_inode:",
            "/dev/",
            "/memfd:",
            "/proc/",
        ]
        .iter()
        .any(|kind| target.starts_with(kind));
        assert!(is_ours || is_nameless, "{target}");
    }
    let beside: Vec<String> = fs::read_dir(relay.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        beside.len(),
        2,
        "the configuration and the data: {beside:?}"
    );
}

/// The certificate is the one that the first start made; the command line knows it by its file.
#[test]
fn the_admin_address_speaks_tls_where_that_is_required_and_nothing_else() {
    let mut relay = Relay::start("[admin]\naddress = \"IP:8025\"\ntls = \"required\"\n");
    let address = relay.admin();
    let listed = relay.printed_by(&["user", "ls"]);
    assert!(listed.contains("no users"), "{listed}");
    let printed = relay.printed();
    assert!(
        printed.contains(&format!("https://{address}/")),
        "{printed}"
    );
    let clear = run(Command::new("curl").args(["-s", &format!("http://{address}/livez")]));
    assert!(!clear.status.success(), "{clear:?}");
    let (_, password) = printed.split_once("user admin, password ").unwrap();
    let password = password.lines().next().unwrap();
    let login = run(Command::new("curl")
        .args(["-s", "-i", "--connect-to"])
        .arg(format!("localhost:8025:{address}"))
        .arg("--cacert")
        .arg(relay.certificate())
        .args(["-d", &format!("name=admin&password={password}")])
        .arg("https://localhost:8025/login"));
    let said = String::from_utf8(login.stdout).unwrap();
    assert!(
        said.contains("set-cookie: __Host-outpost_session=") && said.contains("; Secure"),
        "{said}"
    );
}
