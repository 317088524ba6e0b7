//! A component's bytes: made from a core module, and read for what they import and export.

use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::path::Path;
use wasmparser::{Parser, Payload};

/// Makes a component of a core module that carries the description of its world, as `wit-bindgen`
/// writes it.
pub fn from_module(module: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = wit_component::ComponentEncoder::default();
    encoder.validate(true);
    encoder
        .module(module)
        .context("not a module made by wit-bindgen")?;
    let component = encoder
        .encode()
        .context("the module does not fit its world")?;
    let exports = shape(&component)?.exports;
    if !exports
        .iter()
        .any(|export| export.starts_with("outpost:policy/"))
    {
        bail!("it answers no question of the contract; is `register!` missing?");
    }
    Ok(component)
}

/// What a component asks of the relay and what it offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Interfaces with their versions.
    pub imports: BTreeSet<String>,
    /// Interfaces with their versions.
    pub exports: BTreeSet<String>,
}

/// Reads the imports and exports of the outermost component.
pub fn shape(component: &[u8]) -> Result<Shape> {
    let mut shape = Shape::default();
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    shape.imports.insert(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    shape.exports.insert(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(shape)
}

/// The text of the custom section `outpost:component`, which stands in the core module.
pub fn description(component: &[u8]) -> Result<Option<String>> {
    for payload in Parser::new(0).parse_all(component) {
        if let Payload::CustomSection(section) = payload?
            && section.name() == "outpost:component"
        {
            return Ok(Some(String::from_utf8(section.data().to_vec())?));
        }
    }
    Ok(None)
}

/// Fails when the bytes name a place on the machine that made them.
pub fn refuse_machine_paths(bytes: &[u8], places: &[&Path]) -> Result<()> {
    let common = ["/home/", "/root/", "/tmp/", "/usr/", "/Users/", "C:\\"].map(str::to_owned);
    let own = places
        .iter()
        .map(|place| place.to_string_lossy().into_owned());
    for place in own.chain(common).filter(|place| place.len() > 1) {
        if let Some(at) = bytes
            .windows(place.len())
            .position(|window| window == place.as_bytes())
        {
            let end = bytes.len().min(at + 100);
            bail!(
                "the binary names a machine's path: {}",
                String::from_utf8_lossy(&bytes[at..end])
            );
        }
    }
    Ok(())
}
