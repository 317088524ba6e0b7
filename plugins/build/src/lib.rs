//! The components that are checked in: which there are, what they are made from, how they are made.
//!
//! A relay is built by plain cargo on machines that have no wasm target, so the components are
//! checked in with a manifest of digests. This crate keeps the two promises that make that honest:
//! a fast test sees that a component is older than its sources ([`inputs`]), and a rebuild gives
//! the same bytes on every machine that has the manifest's compiler ([`build`]).

#[cfg(feature = "build")]
pub mod build;
#[cfg(feature = "build")]
pub mod c;
#[cfg(feature = "build")]
pub mod compile;
#[cfg(feature = "build")]
pub mod component;
pub mod guests;
pub mod inputs;
#[cfg(feature = "build")]
pub mod made;
pub mod manifest;
#[cfg(feature = "build")]
pub mod project;
#[cfg(feature = "build")]
pub mod toolchain;

use std::path::{Path, PathBuf};

/// The folder that holds `wit/`, `sdk/` and `plugins/`, by where this crate stands.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("this crate stands two folders deep")
        .to_path_buf()
}
