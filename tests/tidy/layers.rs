//! Imports between the modules of the host point down only (ARCHITECTURE.md).

use super::{assert_none, files};

/// The modules by layer. Those of layer 3 never import one another.
const LAYERS: [(u8, &[&str]); 4] = [
    (
        4,
        &[
            "main",
            "allocator",
            "cli",
            "relay",
            "config",
            "sink",
            "demo",
        ],
    ),
    (3, &["reception", "queue", "delivery", "admin", "watch"]),
    (
        2,
        &[
            "spool",
            "directory",
            "stable",
            "regular",
            "backup",
            "plugin",
            "net",
            "tls",
            "dns",
            "auth",
            "clock",
            "telemetry",
            "webhook",
        ],
    ),
    (1, &["message", "account", "policy", "alert"]),
];

fn layer(module: &str) -> Option<u8> {
    LAYERS
        .iter()
        .find(|(_, modules)| modules.contains(&module))
        .map(|(layer, _)| *layer)
}

/// The module that a file of the host belongs to.
fn module_of(path: &str) -> &str {
    let inside = path.strip_prefix("host/src/").unwrap();
    inside.split('/').next().unwrap().trim_end_matches(".rs")
}

/// The modules of the host that a text names, by `crate::` or, in main.rs, by `outpost::`.
fn imported(text: &str) -> Vec<(usize, &str)> {
    let mut imported = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        for prefix in ["crate::", "outpost::"] {
            for (at, _) in line.match_indices(prefix) {
                let rest = &line[at + prefix.len()..];
                let end = rest
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(rest.len());
                imported.push((number + 1, &rest[..end]));
            }
        }
    }
    imported
}

#[test]
fn every_module_has_a_layer() {
    let modules: Vec<String> = files("host/src", ".rs")
        .iter()
        .map(|file| module_of(&file.path).to_owned())
        .filter(|module| module != "lib" && layer(module).is_none())
        .collect();
    assert_none("modules without a layer", &modules);
}

#[test]
fn imports_point_down_only() {
    let mut wrong = Vec::new();
    for file in files("host/src", ".rs") {
        let module = module_of(&file.path);
        let Some(own) = layer(module) else { continue };
        for (line, other) in imported(&file.text) {
            let Some(imported) = layer(other) else {
                continue;
            };
            let is_sibling = own == 3 && imported == 3 && other != module;
            if imported > own || is_sibling {
                wrong.push(format!("{}:{line}: {module} imports {other}", file.path));
            }
        }
    }
    assert_none("imports that do not point down", &wrong);
}

#[test]
fn braces_after_crate_would_hide_an_import() {
    let hidden: Vec<String> = files("host/src", ".rs")
        .iter()
        .filter(|file| file.text.contains("use crate::{"))
        .map(|file| file.path.clone())
        .collect();
    assert_none("`use crate::{…}` (name one module a line)", &hidden);
}
