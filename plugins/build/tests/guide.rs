//! The code that the plugin author's guide shows is code that is built and tested.

#![allow(clippy::unwrap_used)]

use outpost_build::repository;
use std::fs;

/// Code without its layout, which the guide and `cargo fmt` see differently.
fn bare(code: &str) -> String {
    code.split_whitespace()
        .collect::<String>()
        .replace(",}", "}")
        .replace(",)", ")")
}

#[test]
fn the_guide_shows_code_that_is_built() {
    let read = |path: &str| fs::read_to_string(repository().join(path)).unwrap();
    let sources = [
        "plugins/examples/own-domain/src/lib.rs",
        "sdk/rust/template/src/lib.rs",
    ];
    let built: String = sources.into_iter().map(|path| bare(&read(path))).collect();
    let guide = read("docs/plugins.md");
    let blocks = guide
        .split("```rust\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap());
    let mut shown = 0;
    for block in blocks {
        shown += 1;
        assert!(
            built.contains(&bare(block)),
            "the guide shows what nobody builds:\n{block}"
        );
    }
    assert!(shown >= 4, "{shown}");
}
