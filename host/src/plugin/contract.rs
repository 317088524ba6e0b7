//! Whether a component fits this relay's contract, judged by the names it imports and exports.
//!
//! Versions are 0.N.P before 1.0: the same N fits, whatever P is, as long as the component uses only
//! what the relay has. Types are the engine's to compare, when the component is instantiated.

use super::problem::LoadProblemKind;
use super::section::Outline;
use super::settings::Wasi;
use super::wasi;
use crate::policy::Question;

/// The version of the contract that this relay speaks; wit/ says the same.
pub const VERSION: &str = "0.1.0";
const PACKAGE: &str = "outpost:policy";
/// What a component may import.
const IMPORTS: [&str; 9] = [
    "types", "message", "config", "log", "clock", "metrics", "tables", "state", "dns",
];
/// What is granted by the operator only; linked all the same, and answers `not-granted`.
pub const GRANTED_ON_REQUEST: [&str; 3] = ["tables", "state", "dns"];
const LIFECYCLE: &str = "lifecycle";
const SENDER: &str = "sender-authorization";
const PRIORITY: &str = "priority-policy";

/// What a component offers and was built for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// It answers who may send as whom.
    pub answers_sender: bool,
    /// It answers how urgent a message is.
    pub answers_priority: bool,
    /// The version of the contract that it was built for.
    pub version: String,
}

impl Fit {
    /// Whether the component answers that question.
    pub fn answers(&self, question: Question) -> bool {
        match question {
            Question::Sender => self.answers_sender,
            Question::Priority => self.answers_priority,
        }
    }
}

/// Compares a component's outline with the contract.
///
/// # Errors
/// Everything that does not fit.
pub fn compare(outline: &Outline, wasi: Wasi) -> Result<Fit, Vec<LoadProblemKind>> {
    let mut problems = Vec::new();
    let mut of_wasi = Vec::new();
    let mut version = None;
    for import in &outline.imports {
        match Interface::parse(import) {
            Some(interface) if !interface.is_compatible() => {
                push_version(&mut problems, &interface, "import");
            }
            Some(interface) => {
                version = version.max(interface.numbers());
                if !IMPORTS.contains(&interface.name) {
                    problems.push(LoadProblemKind::NewerImport {
                        import: import.clone(),
                        relay: VERSION,
                    });
                }
            }
            None if wasi::has(import) => of_wasi.push(import.as_str()),
            None => problems.push(LoadProblemKind::ForeignImport {
                import: import.clone(),
            }),
        }
    }
    if wasi == Wasi::Refused && !of_wasi.is_empty() {
        problems.push(LoadProblemKind::WasiImports(of_wasi.join(", ")));
    }
    let mut exports = Vec::new();
    for export in &outline.exports {
        match Interface::parse(export) {
            Some(interface) if !interface.is_compatible() => {
                push_version(&mut problems, &interface, "export");
            }
            Some(interface) => {
                version = version.max(interface.numbers());
                exports.push(interface.name);
            }
            // What else it exports is nobody's business: nothing calls it.
            None => {}
        }
    }
    let version = version.map(|[major, minor, patch]| format!("{major}.{minor}.{patch}"));
    let missing = |export| LoadProblemKind::MissingExport {
        export,
        component: version.clone(),
    };
    let answers_sender = exports.contains(&SENDER);
    let answers_priority = exports.contains(&PRIORITY);
    if problems.is_empty() {
        if !answers_sender && !answers_priority {
            problems.push(missing(format!(
                "{PACKAGE}/{SENDER}@{VERSION} or {PACKAGE}/{PRIORITY}@{VERSION}"
            )));
        }
        if !exports.contains(&LIFECYCLE) {
            problems.push(missing(format!("{PACKAGE}/{LIFECYCLE}@{VERSION}")));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Fit {
        answers_sender,
        answers_priority,
        version: version.unwrap_or_else(|| VERSION.to_owned()),
    })
}

/// One line for all interfaces of one wrong version.
fn push_version(
    problems: &mut Vec<LoadProblemKind>,
    interface: &Interface<'_>,
    direction: &'static str,
) {
    let is_known = problems.iter().any(|problem| {
        matches!(problem, LoadProblemKind::Version { component, .. } if component == interface.version)
    });
    if !is_known {
        problems.push(LoadProblemKind::Version {
            component: interface.version.to_owned(),
            relay: VERSION,
            direction,
            interface: interface.name.to_owned(),
        });
    }
}

/// `outpost:policy/NAME@VERSION`.
struct Interface<'a> {
    name: &'a str,
    version: &'a str,
}

impl<'a> Interface<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix(PACKAGE)?.strip_prefix('/')?;
        let (name, version) = rest.split_once('@')?;
        Some(Self { name, version })
    }

    fn is_compatible(&self) -> bool {
        let ours = numbers(VERSION).map(breaking_part);
        self.numbers().map(breaking_part) == ours
    }

    fn numbers(&self) -> Option<[u64; 3]> {
        numbers(self.version)
    }
}

/// Major, minor and patch number; none for what is no plain version.
fn numbers(version: &str) -> Option<[u64; 3]> {
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    let version = [numbers.next()??, numbers.next()??, numbers.next()??];
    numbers.next().is_none().then_some(version)
}

/// The part of a version whose change breaks: `0.N` before 1.0, the major number from then on.
fn breaking_part(version: [u64; 3]) -> (u64, u64) {
    match version {
        [0, minor, _] => (0, minor),
        [major, ..] => (major, 0),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn check(imports: &[&str], exports: &[&str]) -> Result<Fit, Vec<String>> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let outline = Outline {
            imports: owned(imports),
            exports: owned(exports),
            about: None,
        };
        compare(&outline, Wasi::Refused)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    const EXPORTS: [&str; 2] = [
        "outpost:policy/lifecycle@0.1.0",
        "outpost:policy/sender-authorization@0.1.0",
    ];

    #[test]
    fn the_contract_s_own_file_names_the_same_version() {
        let package = format!("package {PACKAGE}@{VERSION};");
        for file in [
            include_str!("../../../wit/types.wit"),
            include_str!("../../../wit/host.wit"),
            include_str!("../../../wit/policy.wit"),
        ] {
            assert!(file.contains(&package));
        }
    }

    #[test]
    fn a_compatible_component_fits() {
        let fit = check(
            &[
                "outpost:policy/message@0.1.10",
                "outpost:policy/types@0.1.9",
            ],
            &EXPORTS,
        )
        .unwrap();
        assert!(fit.answers_sender && !fit.answers_priority);
        assert_eq!(fit.version, "0.1.10");
    }

    #[test]
    fn imports_outside_the_contract_are_named() {
        assert_eq!(
            check(&["wasi:http/types@0.2.0", "env"], &EXPORTS).unwrap_err(),
            [
                "it imports wasi:http/types@0.2.0, which no component is given",
                "it imports env, which no component is given"
            ]
        );
    }

    #[test]
    fn imports_of_wasi_are_named_together_and_how_to_get_them() {
        let imports = ["wasi:cli/environment@0.2.0", "wasi:io/poll@0.2.0"];
        assert_eq!(
            check(&imports, &EXPORTS).unwrap_err(),
            [
                "it imports wasi:cli/environment@0.2.0, wasi:io/poll@0.2.0, which no component is given \
                 unasked; if its language's runtime cannot do without, `wasi = \"empty\"` gives it a WASI \
                 without files, network and environment"
            ]
        );
        let outline = Outline {
            imports: vec!["wasi:io/poll@0.2.0".into(), "wasi:http/types@0.2.0".into()],
            exports: EXPORTS.map(String::from).into(),
            about: None,
        };
        let problems = compare(&outline, Wasi::Empty).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].to_string().contains("wasi:http/types"));
    }

    #[test]
    fn an_incompatible_version_is_named_once_with_both_versions() {
        let problems = check(
            &["outpost:policy/types@0.2.0", "outpost:policy/message@0.2.0"],
            &["outpost:policy/lifecycle@0.2.0"],
        )
        .unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("outpost:policy@0.2.0 (import types)"));
        assert!(problems[0].contains("speaks outpost:policy@0.1.0"));
        for version in ["1.0.0", "0.0.1", "0.1", "nonsense", ""] {
            let import = format!("outpost:policy/types@{version}");
            assert!(check(&[&import], &EXPORTS).is_err(), "{version}");
        }
    }

    #[test]
    fn what_the_contract_will_have_later_needs_a_newer_relay() {
        let problems = check(&["outpost:policy/weather@0.1.9"], &EXPORTS).unwrap_err();
        assert!(problems[0].contains("outpost:policy/weather@0.1.9"));
        assert!(problems[0].contains("newer than this relay's outpost:policy@0.1.0"));
    }

    #[test]
    fn missing_exports_are_named() {
        assert_eq!(
            check(&[], &[]).unwrap_err(),
            [
                "it does not export outpost:policy/sender-authorization@0.1.0 or \
                 outpost:policy/priority-policy@0.1.0, which this relay asks for (it was built for \
                 something else than outpost:policy)",
                "it does not export outpost:policy/lifecycle@0.1.0, which this relay asks for (it was \
                 built for something else than outpost:policy)"
            ]
        );
        let exports = ["outpost:policy/sender-authorization@0.1.7"];
        assert_eq!(
            check(&[], &exports).unwrap_err(),
            [
                "it does not export outpost:policy/lifecycle@0.1.0, which this relay asks for (it was \
                 built for outpost:policy@0.1.7)"
            ]
        );
    }
}
