//! What a component says about itself in its custom section, and what it imports and exports: all
//! that can be read without compiling it.

use serde::Deserialize;
use wasmparser::{Encoding, Parser, Payload};

use crate::policy::clean_text;

/// The section that the SDK writes.
const SECTION: &str = "outpost:component";
/// What every WebAssembly file begins with.
const MAGIC: &[u8] = b"\0asm";
/// Octets of the section that are read: a few names and versions.
const SECTION_OCTETS_MAX: usize = 16 << 10;

/// Octets of the name of an import or export that are kept: those of the contract and of WASI have half as many.
const NAME_OCTETS_MAX: usize = 128;
/// Imports, and exports, that are read: contract and WASI together have not fifty.
const NAMES_MAX: usize = 1_000;
/// Octets of what the reader says about octets that are no component: it may name what it found there.
const ERROR_OCTETS_MAX: usize = 512;

/// The outside of a component. Its names are fit to be shown.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Names of what it imports, in its order.
    pub imports: Vec<String>,
    /// Names of what it exports, in its order.
    pub exports: Vec<String>,
    /// What it says about itself, when it does.
    pub about: Option<About>,
}

/// What a component says about itself. Shown, never relied on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct About {
    /// Its own name.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// The SDK that it was built with.
    pub sdk: String,
    /// What it wants beyond what everybody is granted.
    pub grants: Vec<String>,
}

impl Outline {
    /// Reads the outline of a component.
    ///
    /// # Errors
    /// What is wrong, when the octets are no component.
    pub fn read(octets: &[u8]) -> Result<Self, String> {
        if !octets.starts_with(MAGIC) {
            return Err("not a component: it does not begin as WebAssembly does".to_owned());
        }
        let mut outline = Self::default();
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(octets) {
            match payload.map_err(|error| invalid(&error))? {
                Payload::Version { encoding, .. } => {
                    if depth == 0 && encoding != Encoding::Component {
                        return Err(
                            "not a component but a core module: `wasm-tools component new` makes \
                             one of it"
                                .to_owned(),
                        );
                    }
                    depth += 1;
                }
                Payload::End(_) => depth -= 1,
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section {
                        let name = import.map_err(|error| invalid(&error))?.name.name;
                        push(&mut outline.imports, name)?;
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section {
                        let name = export.map_err(|error| invalid(&error))?.name.name;
                        push(&mut outline.exports, name)?;
                    }
                }
                // The linker leaves the section in the core module inside.
                Payload::CustomSection(section)
                    if section.name() == SECTION && section.data().len() <= SECTION_OCTETS_MAX =>
                {
                    outline.about = serde_json::from_slice(section.data()).ok();
                }
                _ => {}
            }
        }
        Ok(outline)
    }
}

fn push(names: &mut Vec<String>, name: &str) -> Result<(), String> {
    if names.len() >= NAMES_MAX {
        return Err(format!(
            "it has more than {NAMES_MAX} imports or exports, which no policy component needs"
        ));
    }
    names.push(clean_text(name, NAME_OCTETS_MAX));
    Ok(())
}

fn invalid(error: &wasmparser::BinaryReaderError) -> String {
    clean_text(&format!("not a component: {error}"), ERROR_OCTETS_MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::super::shipped::SHIPPED;
    use super::*;

    #[test]
    fn a_component_shows_what_it_wants_offers_and_says_about_itself() {
        let outline = Outline::read(SHIPPED[0].octets).unwrap();
        assert!(
            outline
                .imports
                .contains(&"outpost:policy/message@0.1.0".to_owned())
        );
        assert!(
            outline
                .exports
                .contains(&"outpost:policy/sender-authorization@0.1.0".to_owned())
        );
        let about = outline.about.unwrap();
        assert_eq!(about.name, SHIPPED[0].name);
        assert!(!about.version.is_empty() && !about.sdk.is_empty());
        assert!(about.grants.is_empty());
    }

    #[test]
    fn a_core_module_is_told_apart() {
        let error = Outline::read(b"\0asm\x01\0\0\0").unwrap_err();
        assert!(error.contains("core module"), "{error}");
    }

    #[test]
    fn names_that_steer_a_terminal_or_never_end_are_shown_harmless_and_cut() {
        let outline = Outline::read(&importing(&["env\n\u{1b}[2J"])).unwrap();
        assert_eq!(outline.imports, ["env\u{fffd}\u{fffd}[2J"]);
        let outline = Outline::read(&importing(&[&"n".repeat(3000)])).unwrap();
        assert_eq!(outline.imports, ["n".repeat(NAME_OCTETS_MAX)]);
    }

    #[test]
    fn more_names_than_any_component_needs_are_refused_in_one_line() {
        assert!(Outline::read(&importing(&["n"; NAMES_MAX])).is_ok());
        let error = Outline::read(&importing(&["n"; NAMES_MAX + 1])).unwrap_err();
        assert!(error.contains("more than 1000 imports"), "{error}");
    }

    /// A component that imports functions of those names.
    fn importing(names: &[&str]) -> Vec<u8> {
        let mut section = length(names.len()).to_vec();
        for name in names {
            section.push(0);
            section.extend(length(name.len()));
            section.extend(name.as_bytes());
            section.extend([1, 0]);
        }
        let mut octets = b"\0asm\x0d\0\x01\0\x0a".to_vec();
        octets.extend(length(section.len()));
        octets.extend(section);
        octets
    }

    /// Two octets of LEB128.
    fn length(n: usize) -> [u8; 2] {
        [(n & 0x7f) as u8 | 0x80, (n >> 7) as u8]
    }

    #[test]
    fn what_is_no_webassembly_is_refused_in_one_line() {
        for octets in [&b""[..], b"-----BEGIN CERTIFICATE-----\n", b"\0as"] {
            let error = Outline::read(octets).unwrap_err();
            assert_eq!(
                error,
                "not a component: it does not begin as WebAssembly does"
            );
        }
    }

    proptest! {
        #[test]
        fn no_octets_are_too_strange(octets: Vec<u8>) {
            drop(Outline::read(&octets));
        }

        #[test]
        fn no_damage_is_too_strange(at in 0..SHIPPED[1].octets.len(), octet: u8, end in 0..SHIPPED[1].octets.len()) {
            let mut octets = SHIPPED[1].octets.to_vec();
            octets[at] = octet;
            drop(Outline::read(&octets));
            drop(Outline::read(&octets[..end]));
        }
    }
}
