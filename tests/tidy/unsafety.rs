//! Code that the compiler does not check stands in a few places that were looked at.

use super::{assert_none, files};

/// Where it stands, how often, and why it has to.
const REVIEWED: [(&str, usize, &str); 4] = [
    (
        "host/src/allocator.rs",
        1,
        "the allocator is reminded, by a call without arguments",
    ),
    (
        "host/src/plugin/cache.rs",
        2,
        "machine code is loaded that the relay itself has compiled, of a folder that is its own",
    ),
    (
        "sdk/rust/src/heap.rs",
        14,
        "an allocator for components, which run in a sandbox",
    ),
    (
        "sdk/rust/src/policy.rs",
        1,
        "a section of the component file has a name",
    ),
];

/// How often the text has unsafe blocks, functions, implementations or attributes.
fn count(text: &str) -> usize {
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let begins = |rest: &str| {
        let rest = rest.trim_start();
        ["{", "fn ", "impl ", "extern ", "trait ", "("]
            .iter()
            .any(|begin| rest.starts_with(begin))
    };
    let in_line = |line: &str| {
        let after = line.match_indices("unsafe").map(|(at, word)| {
            let is_word = !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            is_word && begins(&line[at + word.len()..])
        });
        after.filter(|found| *found).count()
    };
    text.lines().filter(is_code).map(in_line).sum()
}

#[test]
fn unsafe_code_stands_in_reviewed_places_only() {
    let mut wrong = Vec::new();
    let folders = ["host", "sdk", "tests", "benches", "fuzz", "plugins"];
    for file in folders.iter().flat_map(|folder| files(folder, ".rs")) {
        // Its own examples.
        if file.path == "tests/tidy/unsafety.rs" {
            continue;
        }
        let reviewed = REVIEWED.iter().find(|(path, ..)| *path == file.path);
        let (found, known) = (
            count(&file.text),
            reviewed.map_or(0, |(_, times, _)| *times),
        );
        if found != known {
            wrong.push(format!(
                "{}: {found} times, reviewed are {known}",
                file.path
            ));
        }
    }
    assert_none("unsafe code that was not reviewed", &wrong);
}

#[test]
fn unsafe_code_is_seen_however_it_is_written() {
    for (line, times) in [
        ("unsafe { x() }", 1),
        ("let y = unsafe{ x() }; unsafe { z() }", 2),
        ("unsafe fn x() {}", 1),
        ("    pub unsafe extern \"C\" fn x() {}", 1),
        ("unsafe impl Send for X {}", 1),
        ("#[unsafe(no_mangle)]", 1),
        ("// unsafe { x() }", 0),
        ("#![deny(unsafe_code)]", 0),
        ("assert!(!policy.contains(\"unsafe\"));", 0),
    ] {
        assert_eq!(count(line), times, "{line}");
    }
}
