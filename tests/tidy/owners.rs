//! Each large dependency is named in one place.

use super::{assert_none, files};

/// A dependency, and where it may be named.
const OWNERS: [(&str, &[&str]); 23] = [
    ("wasmtime", &["host/src/plugin/"]),
    ("wasmtime_wasi", &["host/src/plugin/wasi.rs"]),
    // Its owners have a module of its name, so they are looked at more closely below.
    (
        "redb",
        &[
            "host/src/spool/",
            "host/src/directory/",
            "host/src/stable/backend.rs",
        ],
    ),
    ("rustls", &["host/src/tls/", "host/src/net/"]),
    ("tokio_rustls", &["host/src/tls/", "host/src/net/"]),
    ("rcgen", &["host/src/tls/"]),
    ("x509_parser", &["host/src/tls/facts.rs"]),
    ("hyper", &["host/src/admin/", "host/src/webhook/"]),
    ("axum", &["host/src/admin/"]),
    ("utoipa", &["host/src/admin/"]),
    ("maud", &["host/src/admin/console/"]),
    ("fluent_bundle", &["host/src/admin/console/texts.rs"]),
    ("argon2", &["host/src/auth/"]),
    ("toml", &["host/src/config/"]),
    ("clap", &["host/src/cli/", "host/src/main.rs"]),
    ("crossterm", &["host/src/demo/bars.rs"]),
    ("hickory_resolver", &["host/src/dns/"]),
    ("listenfd", &["host/src/net/passed.rs"]),
    ("sd_notify", &["host/src/relay/supervisor.rs"]),
    ("mimalloc", &["host/src/allocator.rs"]),
    ("tar", &["host/src/backup/"]),
    ("rpds", &["host/src/spool/memtable.rs"]),
    ("prometheus_client", &["host/src/telemetry/"]),
];

#[test]
fn a_large_dependency_has_one_owner() {
    let mut wrong = Vec::new();
    for file in files("host/src", ".rs") {
        for (dependency, owners) in OWNERS {
            if owners.iter().any(|owner| file.path.starts_with(owner)) {
                continue;
            }
            let names = |line: &str| {
                let line = line.trim_start();
                !line.starts_with("//") && is_named(line, dependency)
            };
            if let Some(line) = file.text.lines().position(names) {
                wrong.push(format!(
                    "{}:{}: {dependency} belongs to {}",
                    file.path,
                    line + 1,
                    owners.join(", ")
                ));
            }
        }
    }
    assert_none("dependencies named by others than their owners", &wrong);
}

/// Whether the line names the crate: `use dependency`, or `dependency::` as the head of a path.
fn is_named(line: &str, dependency: &str) -> bool {
    let head = format!("{dependency}::");
    let in_path = line.match_indices(&head).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':')
    });
    in_path || line == format!("use {dependency};")
}

#[test]
fn redb_is_named_in_one_file_of_each_store() {
    for store in ["host/src/spool", "host/src/directory", "host/src/stable"] {
        let naming: Vec<String> = files(store, ".rs")
            .into_iter()
            .filter(|file| file.text.contains("use redb::{") || file.text.contains("use ::redb::"))
            .filter(|file| !file.path.contains("test") && !file.path.ends_with("faults.rs"))
            .map(|file| file.path)
            .collect();
        assert!(naming.len() <= 1, "{store}: {}", naming.join(", "));
    }
}

#[test]
fn the_protocol_core_is_light() {
    let manifest = std::fs::read_to_string(super::top().join("host/smtp/Cargo.toml")).unwrap();
    let dependencies = manifest
        .split("[dependencies]")
        .nth(1)
        .unwrap()
        .split('[')
        .next()
        .unwrap();
    let names: Vec<&str> = dependencies
        .lines()
        .filter_map(|line| line.split('.').next())
        .filter(|name| !name.is_empty())
        .collect();
    assert_eq!(names, ["base64", "memchr"], "no socket, no clock, no async");
}
