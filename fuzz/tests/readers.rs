//! Other readers read what we accept, and must see no author that was not checked: Python's email package
//! and mail-parser.
//!
//! Header sections are composed by chance. Those that our reader accepts are put to the readers of Python, in
//! one process, and to mail-parser. `OUTPOST_HEADERS` is how many are composed, `OUTPOST_SEED` where chance
//! begins: `make authors N=1000000` is the long run. What it finds becomes a line of the corpus beside the
//! reader.

#![allow(clippy::unwrap_used)]

#[path = "support/chance.rs"]
mod chance;
#[path = "readers/compose.rs"]
mod compose;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{fs, thread};

use chance::{Chance, setting};
use compose::section;
use outpost_fuzz::{authors, checked, comparable};

/// Composed in every run of the tests, in some three seconds.
const HEADERS: u64 = 20_000;

/// Findings that are shown, at most.
const SHOWN_MAX: usize = 20;

/// The inputs that fuzzing has kept.
fn kept() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/authors");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| fs::read(path).unwrap())
        .filter(|input| !input.is_empty())
        .collect()
}

#[test]
fn no_header_that_is_accepted_shows_python_an_author_that_was_not_checked() {
    let (count, seed) = (
        setting("OUTPOST_HEADERS", HEADERS),
        setting("OUTPOST_SEED", 1),
    );
    let readers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/python.py");
    let mut python = Command::new("python3")
        .arg(readers)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("tests/install.sh installs python3");
    let (mut questions, answers) = (python.stdin.take().unwrap(), python.stdout.take().unwrap());
    let (sender, asked) = std::sync::mpsc::sync_channel(10_000);
    let asking = thread::spawn(move || {
        let (kept, mut chance) = (kept(), Chance(seed));
        for _ in 0..count {
            let section = section(&mut chance, &kept);
            let Some(checked) = checked(&section) else {
                continue;
            };
            writeln!(questions, "{}", hex(&section)).unwrap();
            sender.send((section, checked)).unwrap();
        }
    });
    let (mut accepted, mut found) = (0_u64, Vec::new());
    for line in BufReader::new(answers).lines() {
        let line = line.unwrap();
        let (section, checked) = asked.recv().unwrap();
        accepted += 1;
        let seen = line.split(',').filter(|one| !one.is_empty()).map(unhex);
        for text in seen {
            let of_others: Vec<String> = addresses_in(&text)
                .filter(|address| !checked.contains(address))
                .collect();
            if !of_others.is_empty() {
                let section = String::from_utf8_lossy(&section);
                found.push(format!(
                    "{section:?}: Python sees {text:?}, and checked were {checked:?}"
                ));
            }
        }
    }
    asking.join().unwrap();
    assert!(python.wait().unwrap().success());
    println!(
        "{count} headers from seed {seed}: {accepted} were accepted, {} findings",
        found.len()
    );
    // What is refused shows nothing.
    assert!(
        accepted * 10 >= count,
        "{accepted} of {count} were accepted"
    );
    found.truncate(SHOWN_MAX);
    assert!(found.is_empty(), "seed {seed}:\n{}", found.join("\n"));
}

#[test]
fn no_header_that_is_accepted_shows_mail_parser_an_author_that_was_not_checked() {
    let (count, seed) = (
        setting("OUTPOST_HEADERS", HEADERS),
        setting("OUTPOST_SEED", 1),
    );
    let (kept, mut chance) = (kept(), Chance(seed));
    for _ in 0..count {
        // Panics with what it finds.
        authors(&section(&mut chance, &kept));
    }
}

/// The addresses in what a reader takes for one. It need not be one: where a fold ends quotes for a reader, it
/// sees ` <a@b.example>`, and whoever shows that shows `a@b.example`.
fn addresses_in(text: &str) -> impl Iterator<Item = String> {
    let is_special = |c: char| c.is_whitespace() || "\"\\(),:;<>".contains(c);
    let in_quotes = text
        .strip_prefix('"')
        .and_then(|text| text.rsplit_once("\"@"))
        .is_some_and(|(local, domain)| {
            !local.contains(['"', '\\', '@']) && !domain.contains(is_special)
        });
    let is_one = in_quotes || !text.contains(is_special) || text.contains('[');
    let pieces: Vec<&str> = if is_one {
        vec![text]
    } else {
        text.split(is_special).collect()
    };
    let addresses: Vec<String> = pieces.into_iter().filter_map(comparable).collect();
    addresses.into_iter()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn unhex(text: &str) -> String {
    let digits = text.as_bytes().chunks(2);
    let octets =
        digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
    String::from_utf8_lossy(&octets.collect::<Vec<u8>>()).into_owned()
}
