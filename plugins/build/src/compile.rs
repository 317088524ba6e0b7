//! From a crate to a core module, in the same way for what is checked in and for a policy of
//! somebody's own: with a small stack, and without a word about the machine.

use crate::component;
use crate::toolchain::{TARGET, Toolchain};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// Runs cargo in that folder; `target` is where it may leave its files.
pub fn compile<'a>(
    repository: &Path,
    folder: &Path,
    target: &Path,
    toolchain: &Toolchain,
    arguments: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    let mut cargo = toolchain.cargo();
    cargo.current_dir(folder);
    cargo.env("CARGO_TARGET_DIR", target);
    cargo.env(
        "CARGO_ENCODED_RUSTFLAGS",
        flags(repository, folder, toolchain).join("\x1f"),
    );
    let status = cargo.args(arguments).status().context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo could not build what stands in {}", folder.display());
    }
    Ok(())
}

/// The core module of a package that was compiled.
pub fn module(target: &Path, package: &str) -> Result<Vec<u8>> {
    let file = format!("{}.wasm", package.replace('-', "_"));
    let path = target.join(TARGET).join("release").join(file);
    fs::read(&path).with_context(|| {
        format!(
            "cannot read {}; has the library the crate-type cdylib?",
            path.display()
        )
    })
}

/// Fails when the bytes name a place on this machine.
pub fn refuse_own_paths(
    bytes: &[u8],
    folder: &Path,
    target: &Path,
    toolchain: &Toolchain,
) -> Result<()> {
    let (home, cargo_home) = (home(), cargo_home());
    let places = [folder, target, &home, &cargo_home, &toolchain.sysroot];
    component::refuse_machine_paths(bytes, &places)
}

fn flags(repository: &Path, folder: &Path, toolchain: &Toolchain) -> Vec<String> {
    let remap = |from: &Path, to| format!("--remap-path-prefix={}={to}", from.display());
    // The later of two prefixes that fit wins: the special ones stand last.
    let mut flags = vec![remap(repository, "/outpost")];
    if !folder.starts_with(repository) {
        flags.push(remap(folder, "/policy"));
    }
    flags.push(remap(
        &toolchain.sysroot.join("lib/rustlib/src/rust"),
        "/rust",
    ));
    // Panic messages name files of the registry, whose folder carries a host's name.
    let registry = cargo_home().join("registry/src");
    for host in fs::read_dir(registry).into_iter().flatten().flatten() {
        flags.push(remap(&host.path(), "/registry"));
    }
    // A policy needs little stack, and each instance pays for its own.
    flags.extend(["-C", "link-arg=-zstack-size=65536"].map(String::from));
    flags
}

fn home() -> PathBuf {
    PathBuf::from(std::env::var_os("HOME").unwrap_or_default())
}

fn cargo_home() -> PathBuf {
    std::env::var_os("CARGO_HOME").map_or_else(|| home().join(".cargo"), PathBuf::from)
}
