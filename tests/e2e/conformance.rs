//! The admin API is what its description says, as schemathesis finds out: it makes requests of the document that the
//! relay serves, well-formed and otherwise, alone and in the order in which one leads to the next, and looks at each
//! answer. What it cannot know of this API by the document stands in tests/schemathesis.
//!
//! Everything that is described is asked, whoever adds it. `host/src/admin/tests/contract.rs` has a request for each
//! operation that succeeds.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Relay, run, target, top, wait_until};

/// Requests of each kind for each operation; some two thousand in all, which take a quarter of a minute. With ten times
/// as many it takes two minutes.
const EXAMPLES: &str = "25";
/// So that every run asks the same.
const SEED: &str = "1";

/// The program that tests/install.sh has put into the build folder.
fn schemathesis() -> PathBuf {
    let program = target().join("python").join("bin").join("schemathesis");
    assert!(
        program.exists(),
        "{} is missing: tests/install.sh makes it",
        program.display()
    );
    program
}

/// Asks the whole API; what is not as described is printed with a command that shows it.
fn asked(relay: &Relay, user: &str, password: &str, answers: &Path) {
    let set = |name, otherwise: &str| std::env::var(name).unwrap_or_else(|_| otherwise.to_owned());
    let beside = top().join("tests").join("schemathesis");
    let mut command = Command::new(schemathesis());
    command
        .arg("--config-file")
        .arg(beside.join("schemathesis.toml"))
        .arg("run")
        .arg(format!("http://{}/api/v1/openapi.json", relay.admin()))
        .args(["--no-color", "--seed", &set("OUTPOST_SEED", SEED)])
        .args(["--max-examples", &set("OUTPOST_EXAMPLES", EXAMPLES)])
        .env("PYTHONPATH", &beside)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        // There is no way round by a proxy.
        .env("no_proxy", "*")
        .env("OUTPOST_TOKEN", relay.token())
        .env("OUTPOST_USER", user)
        .env("OUTPOST_PASSWORD", password)
        .env("OUTPOST_ANSWERS", answers)
        // What it writes down stays with the relay.
        .current_dir(relay.folder());
    if let Ok(seconds) = std::env::var("OUTPOST_SECONDS") {
        command.args(["--max-time", &seconds]);
    }
    let output = run(&mut command);
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complaint}");
}

/// Operations on components.
const DEPLOYS: [&str; 8] = [
    "POST /api/v1/plugins/{plugin}/reset",
    "PUT /api/v1/plugins/{plugin}",
    "DELETE /api/v1/plugins/{plugin}",
    "GET /api/v1/plugins/{plugin}",
    "POST /api/v1/plugins/{plugin}/enable",
    "POST /api/v1/plugins/{plugin}/disable",
    "POST /api/v1/plugins/{plugin}/rollback",
    "PUT /api/v1/plugins/order",
];

/// Every operation of the document, as `GET /path`.
fn operations(document: &Value) -> Vec<String> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect()
}

#[test]
fn the_whole_api_answers_as_it_is_described_and_every_operation_succeeds() {
    let mut relay = Relay::start("");
    let password = relay.user("app", "shop.example");
    // Nothing of what can be asked for makes these: senders that were refused, more than will be dismissed.
    for number in 0..20 {
        let envelope = format!("sender=app@{number}.example&recipient=bob@d.example");
        let content = b"From: app@shop.example\r\n\r\nText.\r\n";
        assert_eq!(
            relay.submit("app", &password, &envelope, content).status,
            403
        );
    }
    wait_until("they are noted", || {
        let noted = relay.read("/api/v1/refusals");
        noted["refusals"]
            .as_array()
            .is_some_and(|noted| noted.len() == 20)
    });
    wait_until("that is an alert", || {
        relay.read("/api/v1/alerts")["alerts"][0]["id"] == 1
    });
    let answers = relay.folder().join("answers.json");
    asked(&relay, "app", &password, &answers);

    let told = std::fs::read_to_string(&answers).unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    let has_succeeded = |operation: &String| {
        let answers = told[operation].as_object();
        answers.is_some_and(|answers| answers.keys().any(|status| status.starts_with('2')))
    };
    let mut never = operations(&relay.read("/api/v1/openapi.json"));
    assert!(never.len() > 25, "{never:?}");
    never.retain(|operation| !has_succeeded(operation));
    // Nobody makes up the name of a component, or one: `deploying.rs` and `misbehaving.rs` do all of it.
    never.retain(|operation| !DEPLOYS.contains(&operation.as_str()));
    // Where nothing succeeds, no description of success was looked at.
    assert_eq!(never, [""; 0], "of {told:#}");
    assert!(!relay.program().printed().contains("panicked"));
}
