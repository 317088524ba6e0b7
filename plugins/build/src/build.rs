//! The build: all guests with one cargo, each made a component, checked for what must not be in it.

use crate::component::{self, Shape};
use crate::guests::{GUESTS, Guest, Source};
use crate::manifest::{Entry, Manifest};
use crate::toolchain::{TARGET, Toolchain};
use crate::{inputs, made};
use anyhow::{Context, Result, bail};
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
    let mut built = BTreeMap::new();
    for guest in GUESTS {
        if let Some(kept) = kept(repository, &manifest, guest)? {
            built.insert(guest.name, kept);
        }
    }
    let toolchain = Toolchain::find()?;
    let due = || {
        GUESTS
            .iter()
            .filter(|guest| !built.contains_key(guest.name))
    };
    compile(repository, target, &toolchain, due())?;
    let fresh = due().map(|guest| Ok((guest.name, build(repository, target, &toolchain, guest)?)));
    let fresh = fresh.collect::<Result<Vec<_>>>()?;
    built.extend(fresh);
    Ok(built)
}

/// A guest that is built once and has been.
fn kept(repository: &Path, manifest: &Manifest, guest: &Guest) -> Result<Option<Built>> {
    let Some(entry) = manifest
        .component
        .get(guest.name)
        .filter(|_| guest.is_kept())
    else {
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

/// Compiles the core modules of these guests, in one go, so that cargo shares what they share.
fn compile(
    repository: &Path,
    target: &Path,
    toolchain: &Toolchain,
    guests: impl Iterator<Item = &'static Guest>,
) -> Result<()> {
    let mut cargo = toolchain.cargo();
    cargo.current_dir(repository.join("plugins"));
    cargo.env("CARGO_TARGET_DIR", target);
    cargo.env(
        "CARGO_ENCODED_RUSTFLAGS",
        flags(repository, toolchain).join("\x1f"),
    );
    for guest in guests {
        if let Source::Crate { package, .. } = guest.source {
            cargo.args(["-p", package]);
        }
    }
    let status = cargo.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo could not build the guests");
    }
    Ok(())
}

fn flags(repository: &Path, toolchain: &Toolchain) -> Vec<String> {
    let remap = |from: &Path, to| format!("--remap-path-prefix={}={to}", from.display());
    let mut flags = vec![
        // The later of two prefixes that fit wins: the special ones stand last.
        remap(repository, "/outpost"),
        remap(&toolchain.sysroot.join("lib/rustlib/src/rust"), "/rust"),
    ];
    // Panic messages name files of the registry, whose folder carries a host's name.
    let registry = cargo_home().join("registry/src");
    for host in fs::read_dir(registry).into_iter().flatten().flatten() {
        flags.push(remap(&host.path(), "/registry"));
    }
    // A policy needs little stack, and each instance pays for its own.
    flags.extend(["-C", "link-arg=-zstack-size=65536"].map(String::from));
    flags
}

fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

fn build(repository: &Path, target: &Path, toolchain: &Toolchain, guest: &Guest) -> Result<Built> {
    let bytes = match guest.source {
        Source::Crate { package, .. } => {
            let file = format!("{}.wasm", package.replace('-', "_"));
            let path = target.join(TARGET).join("release").join(file);
            let module =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            component::from_module(&module).with_context(|| guest.name)?
        }
        Source::Made => made::make(repository, guest)?,
    };
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let cargo_home = cargo_home();
    let places = [repository, target, &home, &cargo_home, &toolchain.sysroot];
    component::refuse_machine_paths(&bytes, &places).with_context(|| guest.name)?;
    let entry = Entry {
        sha256: inputs::sha256(&bytes),
        inputs: inputs::digest(repository, guest)?,
        toolchain: match guest.source {
            Source::Crate { .. } => toolchain.version.clone(),
            Source::Made => "none".into(),
        },
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
