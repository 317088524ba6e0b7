//! A backup of a relay that runs, and a relay that starts on what was restored.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use super::policy::{component, digest};
use crate::support::{Relay, is_root, may_mount, outpost, run, wait_until};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn holds(octets: &[u8], secret: &str) -> bool {
    octets
        .windows(secret.len())
        .any(|window| window == secret.as_bytes())
}

#[test]
fn what_is_restored_from_a_backup_under_changes_lets_old_passwords_log_in() {
    let mut relay = Relay::start_in_clear("");
    let password = relay.user("ann", "a.example");
    let token = relay.json(&[
        "admin", "token", "create", "--name", "ops", "--scope", "admin",
    ]);
    let token = token["token"].as_str().unwrap();
    let certificate = fs::read(relay.certificate()).unwrap();
    let first_token = fs::read_to_string(relay.data().join("admin-token")).unwrap();

    let (answered, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    // Each with the number of users that were answered before it was asked for.
    let mut backups = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let body = json!({"name": format!("user-{number}"), "note": "x".repeat(500)});
                let made = relay.api("POST", "/api/v1/users", Some(&body));
                assert_eq!(made.status, 201, "{}", made.text);
                answered.store(number + 1, Ordering::Relaxed);
            }
        });
        for name in ["first.tar", "second.tar"] {
            let before = answered.load(Ordering::Relaxed);
            wait_until("users are made", || {
                answered.load(Ordering::Relaxed) > before
            });
            let before = answered.load(Ordering::Relaxed);
            relay.printed_by(&["backup", name]);
            backups.push((relay.folder().join(name), before));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(relay.terminate().success());

    let file = backups[0].0.to_str().unwrap();
    let said = relay.complaint_of(&["restore", file]);
    assert!(said.contains(" holds "), "{said}");
    for (file, before) in &backups {
        assert_eq!(mode(file), 0o600);
        let octets = fs::read(file).unwrap();
        for secret in [&password, token, first_token.trim()] {
            assert!(!holds(&octets, secret), "only hashes are in it");
        }
        fs::remove_dir_all(relay.data()).unwrap();
        let said = relay.printed_by(&["restore", file.to_str().unwrap()]);
        assert!(
            said.contains("2 admin tokens, the self-signed certificate"),
            "{said}"
        );
        assert_eq!(mode(&relay.data()), 0o700);
        for entry in fs::read_dir(relay.data()).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0o600);
        }
        relay.restart();
        relay.logged_in("ann", &password);
        for number in 0..*before {
            let path = format!("/api/v1/users/user-{number}");
            assert_eq!(relay.read(&path)["note"].as_str().unwrap().len(), 500);
        }
        assert_eq!(fs::read(relay.certificate()).unwrap(), certificate);
        let restored = relay.read("/api/v1/audit?action=restore-backup");
        let restored = &restored["entries"][0];
        assert_eq!(restored["after"]["tokens"], 2, "{restored}");
        assert_eq!(restored["by"], serde_json::Value::Null);
        let as_ops = relay.api_as(token, "GET", "/api/v1/tokens", None);
        assert_eq!(as_ops.status, 200, "{}", as_ops.text);
        assert_ne!(
            fs::read_to_string(relay.data().join("admin-token")).unwrap(),
            first_token,
            "a new one is made, since the old one is in no backup"
        );
        assert!(relay.terminate().success());
    }
    let printed = relay.printed_by(&["restore", file, "--print-config"]);
    let configuration = fs::read_to_string(relay.folder().join("outpost.toml")).unwrap();
    assert_eq!(printed, configuration);
}

#[test]
fn what_was_deployed_at_run_time_is_in_a_backup_and_in_force_on_what_is_restored() {
    let mut relay = Relay::start_in_clear("");
    let own = component("components/examples/own-domain.wasm");
    let name = "authorized-senders";
    relay.printed_by(&["plugin", "install", &own, "--name", name, "--note", "ours"]);
    let before = relay.read("/api/v1/plugins/authorized-senders")["versions"].clone();
    let file = relay.folder().join("b.tar");
    let file = file.to_str().unwrap();
    let said = relay.printed_by(&["backup", file]);
    assert!(said.contains("1 deployed component"), "{said}");
    assert!(relay.terminate().success());
    fs::remove_dir_all(relay.data()).unwrap();
    let said = relay.printed_by(&["restore", file]);
    assert!(said.contains("1 deployed component"), "{said}");
    assert_eq!(mode(&relay.data().join("deployed")), 0o700);
    relay.restart();
    let shown = relay.read("/api/v1/plugins/authorized-senders");
    assert_eq!(shown["versions"], before);
    assert_eq!(shown["digest"], digest(&own));
    relay.printed_by(&["plugin", "rollback", name]);
}

#[test]
fn a_backup_holds_the_configuration_that_is_in_force() {
    let relay = Relay::start_in_clear("");
    let file = relay.folder().join("b.tar");
    let file = file.to_str().unwrap();
    relay.configure("[delivery]\nretry = [\"7h\"]\n");
    let held = || {
        relay.printed_by(&["backup", file, "--force"]);
        relay.printed_by(&["restore", file, "--print-config"])
    };
    assert!(!held().contains("7h"), "it is not in force yet");
    relay.printed_by(&["reload"]);
    assert!(held().contains("7h"));
}

#[test]
fn root_is_told_where_the_relay_may_not_read_what_was_restored() {
    if !is_root() {
        eprintln!("shows nothing: only root can restore for somebody else");
        return;
    }
    let mut relay = Relay::start("");
    relay.printed_by(&["backup", "b.tar"]);
    assert!(relay.terminate().success());
    let restore = || {
        fs::remove_dir_all(relay.data()).unwrap();
        let output = relay.outpost(&["restore", "b.tar"]);
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(restore(), "");
    chown(relay.folder(), Some(64_004), Some(64_004)).unwrap();
    let said = restore();
    let note = format!("outpost: note: {} belongs to root", relay.data().display());
    assert!(said.starts_with(&note), "{said}");
}

#[test]
fn a_backup_that_is_not_whole_is_named_and_restores_nothing() {
    let mut relay = Relay::start("");
    relay.printed_by(&["backup", "b.tar"]);
    assert!(relay.terminate().success());
    fs::remove_dir_all(relay.data()).unwrap();
    let file = relay.folder().join("b.tar");
    let whole = fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    for (octets, complaint) in [
        (&whole[..whole.len() / 2], "outpost: b.tar: cut short, "),
        (&damaged[..], "outpost: b.tar: damaged: its SHA-256 is "),
        (b"text", "outpost: b.tar: not a backup of Outpost"),
    ] {
        fs::write(&file, octets).unwrap();
        let said = relay.complaint_of(&["restore", "b.tar"]);
        assert!(said.starts_with(complaint), "{said}");
        assert!(!relay.data().exists());
    }
    fs::write(&file, whole).unwrap();
    relay.printed_by(&["restore", "b.tar"]);
    assert!(relay.data().join("directory.redb").exists());
}

/// What a script says that succeeds in the folder of a relay. Its mounts are its own, and gone with its last process.
fn said_among_mounts(relay: &Relay, script: &str) -> String {
    let output = run(Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(outpost())
        .current_dir(relay.folder()));
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn a_data_folder_that_is_a_disk_of_its_own_is_restored_into() {
    if !may_mount() {
        return;
    }
    let mut relay = Relay::start_in_clear("");
    let password = relay.user("ann", "a.example");
    relay.printed_by(&["backup", "b.tar"]);
    assert!(relay.terminate().success());
    fs::remove_dir_all(relay.data()).unwrap();
    fs::create_dir(relay.data()).unwrap();
    // In a namespace of its own, where the disk is gone with the last process.
    let script = "set -e; mount -t tmpfs none data; mkdir data/lost+found
        \"$0\" --config outpost.toml restore b.tar
        ls -A data; stat -c %a data
        mkdir data/.restoring
        ! \"$0\" --config outpost.toml restore b.tar
        ! \"$0\" --config outpost.toml serve
        rmdir data/.restoring data/lost+found; cp -a data/. copy";
    fs::create_dir(relay.folder().join("copy")).unwrap();
    let said = said_among_mounts(&relay, script);
    for line in [
        "restored  ",
        "\ndirectory.redb\nlost+found\nself-signed-cert.pem\nself-signed-key.pem\n700\n",
        "/.restoring is there: another restore is under way, or one was cut off",
        "/.restoring is there: a restore was cut off. Empty the data folder and restore again",
    ] {
        assert!(said.contains(line), "{line} in {said}");
    }
    fs::remove_dir(relay.data()).unwrap();
    fs::rename(relay.folder().join("copy"), relay.data()).unwrap();
    relay.restart();
    relay.logged_in("ann", &password);
}

#[test]
fn a_full_disk_is_named_and_keeps_nobody_from_a_backup() {
    if !may_mount() {
        return;
    }
    let mut relay = Relay::start_in_clear("");
    assert!(relay.terminate().success());
    let script = "set -e; mount -t tmpfs -o size=96m none data
        \"$0\" --config outpost.toml serve 2>log & serving=$!
        trap 'kill $serving; wait $serving || true; cat log' EXIT
        for _ in $(seq 200); do \"$0\" --config outpost.toml user ls && break; sleep 0.1; done
        # A spool that is opened again for want of room gives some back.
        added=0; full=0
        for user in $(seq 50); do
            test $full -lt 2 || break
            ! head -c 200m /dev/zero >> data/fill
            if \"$0\" --config outpost.toml user add --name ann$user --note $(head -c 500 /dev/zero | tr '\\0' x)
            then added=$((added + 1)); else full=$((full + 1)); fi
        done
        echo \"added $added\"
        \"$0\" --config outpost.toml backup b.tar
        rm data/fill
        \"$0\" --config outpost.toml user add --name bob";
    let said = said_among_mounts(&relay, script);
    let full = "outpost: the disk of the data folder is full: make room there, then try again";
    assert_eq!(said.matches(full).count(), 2, "{said}");
    let added = said.lines().find_map(|line| line.strip_prefix("added "));
    let held = said.lines().find_map(|line| line.strip_prefix("holds    "));
    let users = held.and_then(|held| held.split_once(' '));
    assert_eq!(users.map(|(users, _)| users), added, "{said}");
    assert!(said.contains("bob"), "{said}");
}

#[test]
fn accounts_go_from_one_relay_to_another_without_secrets() {
    let from = Relay::start_in_clear("");
    let password = from.user("ann", "a.example");
    from.printed_by(&["user", "export", "accounts.jsonl"]);
    let file = from.folder().join("accounts.jsonl");
    assert_eq!(mode(&file), 0o600);
    let exported = fs::read(&file).unwrap();
    let token = fs::read_to_string(from.data().join("admin-token")).unwrap();
    for secret in [&password, token.trim(), "argon2", "outpost_"] {
        assert!(!holds(&exported, secret));
    }
    let to = Relay::start_in_clear("");
    let made = to.printed_by(&["user", "import", file.to_str().unwrap()]);
    let new = made
        .strip_prefix("added user ann  password ")
        .unwrap()
        .trim();
    assert_ne!(new, password);
    to.logged_in("ann", new);
    let reply = to.connect().log_in("ann", &password);
    assert!(
        reply.starts_with("535"),
        "the old one stays behind: {reply}"
    );
}
