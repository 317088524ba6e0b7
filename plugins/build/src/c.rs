//! A guest in C: the bindings made from `wit/` in this process, then one call of clang.
//!
//! Debian has all of it (`clang-22 wasi-libc libclang-rt-22-dev-wasm32 lld-22`). A machine without
//! it keeps the component as it is checked in, as long as its sources are the same.

use crate::component;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use wit_bindgen_c::{Enabled, Opts};
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;

/// What decides the bytes; no linker is named, since clang brings the one of its version.
const FLAGS: &[&str] = &[
    // Debian's headers stand under this name, which clang calls outdated.
    "--target=wasm32-wasi",
    "-Wno-deprecated",
    "--sysroot=/usr",
    "-Os",
    "-flto",
    "-Wall",
    "-Wextra",
    "-Werror",
    // Bindings hand over what a policy need not use.
    "-Wno-unused-parameter",
    "-mexec-model=reactor",
    "-Wl,-z,stack-size=65536",
    "-Wl,--strip-all",
];

/// A C compiler for guests.
#[derive(Debug)]
pub struct Clang {
    program: PathBuf,
    /// What it says of itself.
    pub version: String,
}

impl Clang {
    /// The newest that Debian installed, if the C library for wasm is there too.
    pub fn find() -> Option<Self> {
        if !Path::new("/usr/include/wasm32-wasi/stdlib.h").exists() {
            return None;
        }
        let number = |path: &Path| {
            path.file_name()?
                .to_str()?
                .strip_prefix("clang-")?
                .parse()
                .ok()
        };
        let files = fs::read_dir("/usr/bin")
            .ok()?
            .flatten()
            .map(|entry| entry.path());
        let numbered = files.filter_map(|path| Some((number(&path)?, path)));
        let (_, program) = numbered.max_by_key(|(number, _): &(u32, _)| *number)?;
        let output = Command::new(&program).arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Some(Self {
            program,
            version: text.lines().next()?.to_owned(),
        })
    }

    /// Makes a component of `policy.c` in that folder; `target` is where its files may be left.
    pub fn build(&self, repository: &Path, folder: &str, target: &Path) -> Result<Vec<u8>> {
        let out = target.join("c").join(folder);
        fs::create_dir_all(&out)?;
        bindings(&repository.join("wit"), &out)?;
        let status = Command::new(&self.program)
            .current_dir(&out)
            .args(FLAGS)
            .arg("-I.")
            .arg(repository.join("plugins").join(folder).join("policy.c"))
            // Beside each other, so that the description of the world is linked in.
            .args(["policy.c", "policy_component_type.o", "-o", "module.wasm"])
            .status()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        if !status.success() {
            bail!("clang could not build {folder}");
        }
        component::from_module(&fs::read(out.join("module.wasm"))?)
    }
}

/// Writes `policy.h` and what belongs to it.
fn bindings(wit: &Path, out: &Path) -> Result<()> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit)?;
    let world = resolve.select_world(&[package], Some("policy"))?;
    let mut files = Files::default();
    let options = Opts {
        autodrop_borrows: Enabled::Yes,
        ..Opts::default()
    };
    options.build().generate(&mut resolve, world, &mut files)?;
    for (name, contents) in files.iter() {
        fs::write(out.join(name), contents)?;
    }
    Ok(())
}
