//! The components that are checked in: built, written down, compared.
//!
//! How a crate is compiled is for `compile` to know, what a component is for `component`.

use crate::c::Clang;
use crate::component::{self, Shape};
use crate::guests::{Basis, GUESTS, Guest, Source};
use crate::manifest::{Entry, Manifest};
use crate::toolchain::Toolchain;
use crate::{compile, inputs, made};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A guest that was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The component.
    pub bytes: Vec<u8>,
    /// What it says of itself.
    pub entry: Entry,
}

/// Builds all guests; `target` is where cargo may leave its files. By name.
pub fn build_all(repository: &Path, target: &Path) -> Result<BTreeMap<&'static str, Built>> {
    let manifest = Manifest::read(repository)?;
    let compilers = Compilers {
        rust: Toolchain::find()?,
        c: Clang::find(),
    };
    let mut built = BTreeMap::new();
    for guest in GUESTS.iter().filter(|guest| compilers.may_keep(guest)) {
        if let Some(kept) = kept(repository, &manifest, guest)? {
            built.insert(guest.name, kept);
        }
    }
    let due = || {
        GUESTS
            .iter()
            .filter(|guest| !built.contains_key(guest.name))
    };
    let packages = due().filter_map(|guest| match guest.source {
        Source::Crate { package, .. } => Some(package),
        Source::C { .. } | Source::Made => None,
    });
    // In one go, so that cargo shares what they share.
    let plugins = repository.join("plugins");
    let selection = packages
        .flat_map(|package| ["-p", package])
        .chain(["--locked"]);
    compile::compile(repository, &plugins, target, &compilers.rust, selection)?;
    let fresh = due().map(|guest| Ok((guest.name, build(repository, target, &compilers, guest)?)));
    let fresh = fresh.collect::<Result<Vec<_>>>()?;
    built.extend(fresh);
    Ok(built)
}

/// What this machine can compile with.
struct Compilers {
    rust: Toolchain,
    c: Option<Clang>,
}

impl Compilers {
    /// Whether what is checked in may stand, as long as its sources are the same: an exhibit is
    /// never built again, and C is compiled where there is a compiler for it.
    fn may_keep(&self, guest: &Guest) -> bool {
        match guest.source {
            Source::Crate { basis, .. } => basis == Basis::Itself,
            Source::C { .. } => self.c.is_none(),
            Source::Made => false,
        }
    }
}

/// What is checked in, if its sources are the same.
fn kept(repository: &Path, manifest: &Manifest, guest: &Guest) -> Result<Option<Built>> {
    let Some(entry) = manifest.component.get(guest.name) else {
        return Ok(None);
    };
    let bytes = fs::read(file(repository, guest.name)).unwrap_or_default();
    let current = inputs::sha256(&bytes) == entry.sha256
        && inputs::digest(repository, guest)? == entry.inputs;
    Ok(current.then(|| Built {
        bytes,
        entry: entry.clone(),
    }))
}

/// Builds one guest, of those that cargo has compiled.
fn build(repository: &Path, target: &Path, compilers: &Compilers, guest: &Guest) -> Result<Built> {
    let (bytes, compiler) = match guest.source {
        Source::Crate { package, .. } => {
            let module = compile::module(target, package)?;
            let bytes = component::from_module(&module).with_context(|| guest.name)?;
            (bytes, compilers.rust.version.clone())
        }
        Source::C { folder } => {
            let clang = compilers.c.as_ref().with_context(|| {
                format!(
                    "{} has changed, and there is no clang with wasi-libc",
                    guest.name
                )
            })?;
            let bytes = clang
                .build(repository, folder, target)
                .with_context(|| guest.name)?;
            (bytes, clang.version.clone())
        }
        Source::Made => (made::make(repository, guest)?, "none".into()),
    };
    compile::refuse_own_paths(&bytes, repository, target, &compilers.rust)
        .with_context(|| guest.name)?;
    let entry = Entry {
        sha256: inputs::sha256(&bytes),
        inputs: inputs::digest(repository, guest)?,
        toolchain: compiler,
        wit: wit_version(&component::shape(&bytes)?).with_context(|| guest.name)?,
        bytes: bytes.len() as u64,
    };
    Ok(Built { bytes, entry })
}

/// The version of the contract that a component was built against.
fn wit_version(shape: &Shape) -> Result<String> {
    let names = shape.exports.iter().chain(&shape.imports);
    let mut versions = names.filter(|name| name.starts_with("outpost:policy/"));
    let version = versions
        .find_map(|name| name.split_once('@'))
        .context("not a policy component")?
        .1;
    Ok(version.to_owned())
}

/// The file of a guest.
pub fn file(repository: &Path, name: &str) -> PathBuf {
    repository.join("plugins").join(format!("{name}.wasm"))
}

/// Writes the components and the manifest.
pub fn write(repository: &Path, built: &BTreeMap<&'static str, Built>) -> Result<()> {
    let mut manifest = Manifest::default();
    for (name, Built { bytes, entry }) in built {
        let path = file(repository, name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        manifest.component.insert((*name).to_owned(), entry.clone());
    }
    manifest.write(repository)
}

/// What a rebuild that differs from what is checked in differs in; empty when all is well.
pub fn compare(repository: &Path, built: &BTreeMap<&'static str, Built>) -> Result<Vec<String>> {
    let manifest = Manifest::read(repository)?;
    let mut differences = Vec::new();
    for name in manifest
        .component
        .keys()
        .filter(|name| !built.contains_key(name.as_str()))
    {
        differences.push(format!(
            "{name} is in the manifest, but no guest has that name"
        ));
    }
    for (name, new) in built {
        let Some(entry) = manifest.component.get(*name) else {
            differences.push(format!("{name} is not in the manifest"));
            continue;
        };
        let path = file(repository, name);
        let old = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if inputs::sha256(&old) != entry.sha256 {
            differences.push(format!(
                "{name} is not the file that the manifest describes"
            ));
        } else if entry.inputs != new.entry.inputs {
            differences.push(format!("{name} is older than its sources"));
        } else if entry.toolchain == new.entry.toolchain {
            if old != new.bytes {
                differences.push(format!(
                    "{name} was not built from these sources: the bytes differ"
                ));
            }
        } else if component::shape(&old)? != component::shape(&new.bytes)? {
            // Another compiler gives other bytes, but never other imports and exports.
            differences.push(format!(
                "{name} has other imports and exports when built by {}",
                new.entry.toolchain
            ));
        }
    }
    Ok(differences)
}
