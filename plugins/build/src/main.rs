//! `build-guests`: rebuilds the components that are checked in, or with `--check` only compares.

use anyhow::{Result, bail};
use outpost_build::{build, repository};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: build-guests [--check]

  without an option   rebuilds the components and the manifest
  --check             rebuilds aside and compares: the bytes where the compiler is the
                      manifest's, the imports and exports where it is another
";

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
    let check = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--check"] => true,
        ["--help"] => {
            print!("{USAGE}");
            return Ok(());
        }
        _ => bail!("{USAGE}"),
    };
    let repository = repository();
    let built = build::build_all(&repository, &target(&repository))?;
    if check {
        let differences = build::compare(&repository, &built)?;
        if !differences.is_empty() {
            bail!(
                "{}\nTo rebuild: cargo run --manifest-path plugins/Cargo.toml -p outpost-build",
                differences.join("\n")
            );
        }
        println!("{} components are those of their sources", built.len());
        return Ok(());
    }
    build::write(&repository, &built)?;
    for (name, built) in &built {
        println!("{:>7} bytes  {name}", built.entry.bytes);
    }
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
