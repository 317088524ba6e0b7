//! What stands in the components, and what keeps a bad one from being checked in.

#![allow(clippy::unwrap_used)]
#![cfg(feature = "build")]

use outpost_build::{component, repository};
use std::fs;
use std::path::Path;

fn read(name: &str) -> Vec<u8> {
    fs::read(repository().join("plugins").join(format!("{name}.wasm"))).unwrap()
}

/// Imports and exports without the package, those of the contract without its version too.
fn shape(name: &str) -> (Vec<String>, Vec<String>) {
    let shape = component::shape(&read(name)).unwrap();
    let short = |name: String| match name.strip_prefix("outpost:policy/") {
        Some(interface) => interface.trim_end_matches("@0.1.0").to_owned(),
        None => name,
    };
    (
        shape.imports.into_iter().map(short).collect(),
        shape.exports.into_iter().map(short).collect(),
    )
}

#[test]
fn a_component_imports_what_it_uses_and_exports_what_it_answers() {
    let check = |name: &str, imports: &[&str], exports: &[&str]| {
        let (got_imports, got_exports) = shape(name);
        assert_eq!(
            (&got_imports[..], &got_exports[..]),
            (
                &imports.iter().map(|s| s.to_string()).collect::<Vec<_>>()[..],
                &exports.iter().map(|s| s.to_string()).collect::<Vec<_>>()[..]
            ),
            "{name}"
        );
    };
    let authorizer = ["lifecycle", "sender-authorization"];
    let prioritizer = ["lifecycle", "priority-policy"];
    let both = ["lifecycle", "priority-policy", "sender-authorization"];
    check(
        "components/authorized-senders",
        &["message", "types"],
        &authorizer,
    );
    check(
        "components/effective-priority",
        &["message", "types"],
        &prioritizer,
    );
    check(
        "components/examples/own-domain",
        &["message", "types"],
        &authorizer,
    );
    check(
        "components/examples/priority-limits",
        &["config", "message", "types"],
        &authorizer,
    );
    check(
        "components/examples/working-hours",
        &["clock", "config", "message", "types"],
        &prioritizer,
    );
    check(
        "components/examples/house-rules",
        &["config", "message", "types"],
        &both,
    );
    check(
        "components/tests/wants-state",
        &["message", "state", "types"],
        &authorizer,
    );
    check(
        "components/tests/misbehaving",
        &["config", "log", "message", "metrics", "state", "types"],
        &both,
    );
    let all = [
        "clock", "config", "dns", "log", "message", "metrics", "state", "tables", "types",
    ];
    check("museum/0.1.0/everything", &all, &both);
    for import in ["wasi:cli/environment@0.2.0", "wasi:io/poll@0.2.0"] {
        let imports = shape("components/tests/wants-wasi").0;
        assert!(imports.contains(&import.into()), "{imports:?}");
    }
    assert!(
        shape("components/tests/foreign-import")
            .0
            .contains(&"wasi:filesystem/preopens@0.2.0".into())
    );
    assert!(
        shape("components/tests/missing-function")
            .0
            .contains(&"config@0.1.9".into())
    );
    assert!(
        shape("museum/9.0.0/incompatible")
            .0
            .contains(&"message@9.0.0".into())
    );
}

#[test]
fn a_component_describes_itself() {
    let check = |name: &str, description: &str| {
        assert_eq!(
            component::description(&read(name)).unwrap().as_deref(),
            Some(description),
            "{name}"
        );
    };
    check(
        "components/authorized-senders",
        r#"{"name":"authorized-senders","version":"0.1.0","sdk":"0.1.0","grants":[]}"#,
    );
    check(
        "components/tests/wants-state",
        r#"{"name":"wants-state","version":"0.1.0","sdk":"0.1.0","grants":["state"]}"#,
    );
    assert_eq!(
        component::description(&read("components/tests/misbehaving")).unwrap(),
        None
    );
}

#[test]
fn a_binary_that_names_a_machines_path_is_refused() {
    let check = |bytes: &[u8], refused: bool| {
        let result =
            component::refuse_machine_paths(bytes, &[Path::new("/srv/checkout"), Path::new("")]);
        assert_eq!(
            result.is_err(),
            refused,
            "{}",
            String::from_utf8_lossy(bytes)
        );
    };
    check(b"at /rust/library/core/src/fmt.rs", false);
    check(b"at /outpost/sdk/rust/src/wire.rs", false);
    check(b"at /home/somebody/src/lib.rs", true);
    check(b"at /srv/checkout/sdk/rust/src/wire.rs", true);
    check(b"/usr/lib/rustlib/src", true);
    let error = component::refuse_machine_paths(b"....at /tmp/x.rs", &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the binary names a machine's path: /tmp/x.rs"
    );
}

#[test]
fn what_is_no_module_of_a_component_is_refused() {
    assert!(component::from_module(b"no wasm").is_err());
    assert!(component::from_module(b"\0asm\x01\0\0\0").is_err());
    assert!(component::shape(b"no wasm").is_err());
}
