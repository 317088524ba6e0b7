//! What is checked in is what its sources say, as far as that shows without a compiler.

#![allow(clippy::unwrap_used)]

use outpost_build::guests::{GUESTS, Guest};
use outpost_build::manifest::{Entry, Manifest};
use outpost_build::{inputs, repository};
use std::fs;

const REBUILD: &str = "to rebuild: make components";

fn each(mut check: impl FnMut(&Guest, &Entry, &[u8])) {
    let repository = repository();
    let manifest = Manifest::read(&repository).unwrap();
    for guest in GUESTS {
        let entry = manifest.component.get(guest.name);
        let entry =
            entry.unwrap_or_else(|| panic!("{} is not in the manifest; {REBUILD}", guest.name));
        let bytes = fs::read(
            repository
                .join("plugins")
                .join(format!("{}.wasm", guest.name)),
        )
        .unwrap();
        check(guest, entry, &bytes);
    }
}

#[test]
fn no_component_is_older_than_its_sources() {
    each(|guest, entry, _| {
        let inputs = inputs::digest(&repository(), guest).unwrap();
        assert_eq!(
            inputs, entry.inputs,
            "{} is older than its sources; {REBUILD}",
            guest.name
        );
    });
}

#[test]
fn each_component_is_the_file_that_the_manifest_describes() {
    each(|guest, entry, bytes| {
        assert_eq!(
            inputs::sha256(bytes),
            entry.sha256,
            "{}; {REBUILD}",
            guest.name
        );
        assert_eq!(bytes.len() as u64, entry.bytes, "{}", guest.name);
    });
}

#[test]
fn the_manifest_names_no_component_that_nobody_makes() {
    let manifest = Manifest::read(&repository()).unwrap();
    let made: Vec<&str> = GUESTS.iter().map(|guest| guest.name).collect();
    let unknown: Vec<&String> = manifest
        .component
        .keys()
        .filter(|name| !made.contains(&name.as_str()))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn what_ships_is_small() {
    // A relay compiles them on its first start; 50 KB take some 80 ms. All of them stand in git.
    let mut total = 0;
    each(|guest, entry, _| {
        assert!(
            entry.bytes <= 64 << 10,
            "{} has {} bytes",
            guest.name,
            entry.bytes
        );
        total += entry.bytes;
    });
    assert!(
        GUESTS.len() > 2 && total > 100 << 10 && total < 500 << 10,
        "{total}"
    );
}
