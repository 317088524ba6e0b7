//! `build-guests`: rebuilds the components that are checked in, compares them, or builds a project.

use anyhow::{Context, Result, bail};
use outpost_build::{build, project, repository};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: build-guests [--check | --project FOLDER]

  without an option   rebuilds the components that are checked in, and their manifest
  --check             rebuilds them aside and compares: the bytes where the compiler is the
                      manifest's, the imports and exports where it is another; builds the
                      template project too
  --project FOLDER    builds the policy in that folder and writes NAME.wasm into it";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("build-guests: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let repository = repository();
    let target = target(&repository);
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => rebuild(&repository, &target),
        ["--check"] => check(&repository, &target),
        ["--project", folder] => build_project(&repository, Path::new(folder), &target),
        ["--help"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => bail!("{USAGE}"),
    }
}

fn rebuild(repository: &Path, target: &Path) -> Result<()> {
    let built = build::build_all(repository, target)?;
    build::write(repository, &built)?;
    for (name, built) in &built {
        println!("{:>7} bytes  {name}", built.entry.bytes);
    }
    Ok(())
}

fn check(repository: &Path, target: &Path) -> Result<()> {
    let built = build::build_all(repository, target)?;
    let differences = build::compare(repository, &built)?;
    if !differences.is_empty() {
        bail!("{}\nto rebuild: make components", differences.join("\n"));
    }
    project::check(repository, &repository.join("sdk/rust/template"), target)
        .context("the template project")?;
    println!("{} components are those of their sources", built.len());
    Ok(())
}

fn build_project(repository: &Path, folder: &Path, target: &Path) -> Result<()> {
    let project = project::build(repository, folder, target)?;
    println!("{}, {} bytes", project.file.display(), project.bytes);
    let words = |names: &BTreeSet<String>| {
        names
            .iter()
            .cloned()
            .collect::<Vec<_>>()
            .join("\n           ")
    };
    println!("  exports  {}", words(&project.shape.exports));
    println!("  imports  {}", words(&project.shape.imports));
    Ok(())
}

/// Where cargo leaves its files: below the folder that this program was built into, apart from those
/// of the machine's own target, whose flags differ.
fn target(repository: &Path) -> PathBuf {
    let own = std::env::current_exe().ok();
    let own = own
        .as_deref()
        .and_then(|program| program.ancestors().nth(2));
    own.map_or_else(|| repository.join("plugins/target"), Path::to_path_buf)
        .join("guests")
}
