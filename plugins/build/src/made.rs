//! Components that no compiler is needed for: they exist for what they import and export, and trap
//! when they are called.
//!
//! Each is made from today's `wit/` with one thing changed, so that it differs from a component that
//! fits in that one thing only.

use crate::component;
use crate::guests::Guest;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use wit_component::{StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve};

/// Makes the component of that name.
pub fn make(repository: &Path, guest: &Guest) -> Result<Vec<u8>> {
    let wit = contract(&repository.join("wit"))?;
    match guest.name {
        "components/tests/foreign-import" => from_wit(&with_foreign_import(&wit)?),
        "components/tests/missing-function" => from_wit(&with_added_function(&wit)?),
        "museum/9.0.0/incompatible" => from_wit(&wit.replace("@0.1.0", "@9.0.0")),
        other => bail!("nobody knows how to make {other}"),
    }
}

/// All files of the contract as one text with one package line.
pub fn contract(folder: &Path) -> Result<String> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "wit"));
    files.sort();
    let mut head = None;
    let mut text = String::new();
    for file in files {
        for line in fs::read_to_string(&file)?.lines() {
            if line.starts_with("package ") {
                head = Some(line.to_owned());
            } else if !line.trim_start().starts_with("//") {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    Ok(format!(
        "{}\n{text}",
        head.context("the contract names no package")?
    ))
}

/// A component that reads files, which no component of a mail relay may.
fn with_foreign_import(wit: &str) -> Result<String> {
    let (head, rest) = wit.split_once('\n').context("the contract is empty")?;
    Ok(format!(
        "{head}\n{}\npackage wasi:filesystem@0.2.0 {{ interface preopens {{ \
         get-directories: func() -> list<string>; }} }}\n",
        rest.replace(
            "world authorizer {",
            "world authorizer { import wasi:filesystem/preopens@0.2.0;"
        )
    ))
}

/// A component of a later compatible version that uses a function that this relay does not have.
fn with_added_function(wit: &str) -> Result<String> {
    let later = wit.replace("@0.1.0", "@0.1.9");
    let (before, after) = later
        .split_once("interface config {")
        .context("no interface config")?;
    Ok(format!(
        "{before}interface config {{ added-later: func() -> bool;{after}"
    ))
}

/// A component of the world `authorizer` that imports all of it and traps when it is called.
fn from_wit(wit: &str) -> Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("made.wit", wit)?;
    let world = resolve.select_world(&[package], Some("authorizer"))?;
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    component::from_module(&module)
}
