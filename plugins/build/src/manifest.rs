//! `plugins/components/manifest.toml`: which bytes are checked in and from what they were made.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// By name.
    pub component: BTreeMap<String, Entry>,
}

/// One component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// SHA-256 of the file.
    pub sha256: String,
    /// SHA-256 over its inputs; see `inputs`.
    pub inputs: String,
    /// The compiler, or `none` for a component that is made without one.
    pub toolchain: String,
    /// The version of the contract that it was built against.
    pub wit: String,
    /// The size of the file.
    pub bytes: u64,
}

const HEAD: &str = "\
# The components that are checked in. Written by the guest build; do not edit.
# To rebuild: make components
";

impl Manifest {
    /// Where it stands.
    pub fn path(repository: &Path) -> PathBuf {
        repository.join("plugins/components/manifest.toml")
    }

    /// Reads it; an absent one is empty.
    pub fn read(repository: &Path) -> Result<Self> {
        let path = Self::path(repository);
        if !path.exists() {
            return Ok(Self::default());
        }
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not a manifest", path.display()))
    }

    /// Writes it.
    pub fn write(&self, repository: &Path) -> Result<()> {
        let path = Self::path(repository);
        let text = format!("{HEAD}\n{}", toml::to_string(self)?);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}
