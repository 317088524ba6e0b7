//! Replays the corpora: every input that fuzzing has kept or found, in every run of the tests.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use outpost_fuzz::TARGETS;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The names in a folder, without the ending of files.
fn names(folder: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn every_input_of_every_corpus_passes() {
    for (name, target) in TARGETS {
        let corpus = folder("corpus").join(name);
        let inputs = names(&corpus);
        assert!(inputs.len() >= 5, "{name}: a corpus of {}", inputs.len());
        for input in inputs {
            // Shown when the target panics.
            println!("corpus/{name}/{input}");
            target(&fs::read(corpus.join(input)).unwrap());
        }
    }
}

#[test]
fn every_target_has_a_corpus_and_a_program() {
    let targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert!(targets.is_sorted());
    assert_eq!(names(&folder("corpus")), targets);
    assert_eq!(names(&folder("libfuzzer/fuzz_targets")), targets);
    let manifest = fs::read_to_string(folder("libfuzzer/Cargo.toml")).unwrap();
    let programs: Vec<&str> = manifest
        .lines()
        .filter_map(|line| {
            line.strip_prefix("path = \"fuzz_targets/")?
                .strip_suffix(".rs\"")
        })
        .collect();
    assert_eq!(programs, targets);
}
