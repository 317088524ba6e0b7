//! A policy of somebody's own: the crate in a folder, made a component.

use crate::compile;
use crate::component::{self, Shape};
use crate::toolchain::Toolchain;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// A component that was made from a project.
#[derive(Debug)]
pub struct Project {
    /// Its file, in the folder of the project.
    pub file: PathBuf,
    /// Its size.
    pub bytes: usize,
    /// What it imports and exports.
    pub shape: Shape,
}

/// Builds the crate in that folder and writes `NAME.wasm` beside its manifest.
pub fn build(repository: &Path, folder: &Path, target: &Path) -> Result<Project> {
    let whole =
        fs::canonicalize(folder).with_context(|| format!("no folder {}", folder.display()))?;
    let name = name(&whole)?;
    let bytes = bytes(repository, &whole, target, &name)?;
    let file = folder.join(format!("{name}.wasm"));
    fs::write(&file, &bytes).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(Project {
        file,
        bytes: bytes.len(),
        shape: component::shape(&bytes)?,
    })
}

/// Builds the crate in that folder and tells whether it fits, without leaving anything behind.
pub fn check(repository: &Path, folder: &Path, target: &Path) -> Result<Shape> {
    component::shape(&bytes(repository, folder, target, &name(folder)?)?)
}

fn bytes(repository: &Path, folder: &Path, target: &Path, name: &str) -> Result<Vec<u8>> {
    let toolchain = Toolchain::find()?;
    compile::compile(repository, folder, target, &toolchain, [])?;
    let bytes = component::from_module(&compile::module(target, name)?)?;
    compile::refuse_own_paths(&bytes, folder, target, &toolchain)?;
    Ok(bytes)
}

/// The name of the package, which must be one that can become a component.
fn name(folder: &Path) -> Result<String> {
    let path = folder.join("Cargo.toml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    parse_name(&text).with_context(|| format!("{}", path.display()))
}

fn parse_name(text: &str) -> Result<String> {
    let manifest: toml::Table = text.parse()?;
    let field = |table: &str, key: &str| manifest.get(table)?.get(key).cloned();
    let kinds = field("lib", "crate-type").unwrap_or(toml::Value::Array(Vec::new()));
    let mut kinds = kinds.as_array().into_iter().flatten();
    if !kinds.any(|kind| kind.as_str() == Some("cdylib")) {
        bail!(
            "a component is built from a library: [lib] needs crate-type = [\"cdylib\", \"lib\"]"
        );
    }
    let name = field("package", "name").context("there is no [package] with a name")?;
    Ok(name
        .as_str()
        .context("the name of the package is no text")?
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_that_cannot_become_a_component_is_refused_before_it_is_built() {
        let check = |manifest: &str, expected: Result<&str, &str>| {
            let got = parse_name(manifest).map_err(|error| error.to_string());
            assert_eq!(
                got.as_deref().map_err(String::as_str),
                expected,
                "{manifest}"
            );
        };
        let no_library =
            "a component is built from a library: [lib] needs crate-type = [\"cdylib\", \"lib\"]";
        check("package.name = 'p'\nlib.crate-type = ['cdylib']", Ok("p"));
        check(
            "package.name = 'p'\nlib.crate-type = ['lib', 'cdylib']",
            Ok("p"),
        );
        check("package.name = 'p'", Err(no_library));
        check(
            "package.name = 'p'\nlib.crate-type = ['lib']",
            Err(no_library),
        );
        check(
            "lib.crate-type = ['cdylib']",
            Err("there is no [package] with a name"),
        );
        check(
            "package.name = 1\nlib.crate-type = ['cdylib']",
            Err("the name of the package is no text"),
        );
        assert!(parse_name("package").is_err());
    }
}
