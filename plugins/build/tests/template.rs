//! The project that authors start from passes its own tests, without a network.

#![allow(clippy::unwrap_used)]

use outpost_build::repository;
use std::process::Command;

#[test]
fn the_template_passes_its_tests_offline() {
    let template = repository().join("sdk/rust/template");
    let target = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["test", "--quiet", "--offline", "--locked", "--lib"])
        .current_dir(template)
        .env("CARGO_TARGET_DIR", target.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    assert!(text.contains("3 passed; 0 failed"), "{text}");
}
