//! What the engine says about a component that does not fit, in the words of the contract.
//!
//! The engine compares names and types and reports them as a chain of texts. A function that one side
//! lacks is found there by name; all else stays in the engine's words. A test with a real component
//! for each fails when those words change.

use super::contract::{Fit, VERSION};
use super::problem::LoadProblemKind;
use crate::policy::clean_text;

/// Octets of the engine's words that are shown.
const TEXT_OCTETS_MAX: usize = 1024;

/// What is wrong with a component that the engine could not link.
pub fn of_error(fit: &Fit, error: &wasmtime::Error) -> LoadProblemKind {
    let texts: Vec<String> = error.chain().map(ToString::to_string).collect();
    missing_import(fit, &texts)
        .or_else(|| missing_export(fit, &texts))
        .unwrap_or_else(|| of_text(fit, &format!("{error:#}")))
}

/// The same when only a text is left.
pub fn of_text(fit: &Fit, text: &str) -> LoadProblemKind {
    LoadProblemKind::Mismatch {
        component: fit.version.clone(),
        relay: VERSION,
        error: clean_text(text, TEXT_OCTETS_MAX),
    }
}

fn missing_import(fit: &Fit, texts: &[String]) -> Option<LoadProblemKind> {
    let [.., instance, function, cause] = texts else {
        return None;
    };
    (cause == "function implementation is missing").then_some(())?;
    let interface = quoted(instance, "component imports instance `")?;
    let function = quoted(function, "instance export `")?;
    Some(LoadProblemKind::MissingImport {
        function: clean_text(function, TEXT_OCTETS_MAX),
        interface: clean_text(interface, TEXT_OCTETS_MAX),
        component: fit.version.clone(),
        relay: VERSION,
    })
}

fn missing_export(fit: &Fit, texts: &[String]) -> Option<LoadProblemKind> {
    let found = texts.iter().find_map(|text| {
        let interface = quoted(text, "instance export `")?;
        let (_, rest) = text.split_once("` does not have export ")?;
        Some((interface, quoted(rest, "`")?))
    });
    let (interface, function) = found?;
    Some(LoadProblemKind::MissingFunction {
        function: clean_text(function, TEXT_OCTETS_MAX),
        interface: clean_text(interface, TEXT_OCTETS_MAX),
        component: fit.version.clone(),
        relay: VERSION,
    })
}

/// What stands between this beginning and the next backtick.
fn quoted<'a>(text: &'a str, beginning: &str) -> Option<&'a str> {
    Some(text.strip_prefix(beginning)?.split_once('`')?.0)
}
