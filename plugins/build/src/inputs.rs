//! The digest over what a component is made from: no compiler needed, some milliseconds.
//!
//! Everything that could change the bytes counts, and nothing that stands outside of the
//! repository: the guest's own files, the SDK, the contract, the lock file and the profile. A change
//! that leaves the bytes as they were (a comment) changes the digest too; then a rebuild says so.

use crate::guests::{Basis, Guest, Source};
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

/// The digest over the inputs of one guest, in hexadecimal.
pub fn digest(repository: &Path, guest: &Guest) -> Result<String> {
    let mut files = Vec::new();
    for place in places(guest) {
        collect(repository, &place, &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in &files {
        let path = repository.join(file);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        // Lengths stand before names and contents, so that no two sets of files look the same.
        hash.update((file.len() as u64).to_be_bytes());
        hash.update(file);
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    }
    Ok(hex(&hash.finalize()))
}

/// The digest of a file's bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Files and folders that count, relative to the repository.
fn places(guest: &Guest) -> Vec<String> {
    let (folder, shared): (_, &[&str]) = match guest.source {
        Source::Crate { folder, basis, .. } => (Some(folder), shared(basis)),
        Source::C { folder } => (
            Some(folder),
            &["plugins/Cargo.lock", "wit", "plugins/build/src/c.rs"],
        ),
        Source::Made => (None, &["wit", "plugins/build/src/made.rs"]),
    };
    let own = folder.map(|folder| format!("plugins/{folder}"));
    shared
        .iter()
        .map(|place| (*place).into())
        .chain(own)
        .collect()
}

/// What a crate is made from besides its own files.
fn shared(basis: Basis) -> &'static [&'static str] {
    match basis {
        Basis::Sdk => &[
            "plugins/Cargo.toml",
            "plugins/Cargo.lock",
            "wit",
            "sdk/rust/Cargo.toml",
            "sdk/rust/src",
        ],
        Basis::Contract => &["plugins/Cargo.toml", "plugins/Cargo.lock", "wit"],
        Basis::Itself => &[],
    }
}

fn collect(repository: &Path, place: &str, files: &mut Vec<String>) -> Result<()> {
    let path = repository.join(place);
    if path.is_dir() {
        for entry in
            fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))?
        {
            let name = entry?.file_name();
            let name = name.to_str().context("a file name that is not UTF-8")?;
            // What editors and builds leave behind is no source.
            if !name.starts_with('.') && name != "target" && !name.ends_with(".wasm") {
                collect(repository, &format!("{place}/{name}"), files)?;
            }
        }
    } else {
        files.push(place.into());
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
