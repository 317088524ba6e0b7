//! The table of acceptance names files and tests that exist.

use std::collections::HashMap;

use super::{assert_none, top};

/// What stands between backticks in the column that names tests.
fn named(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Where a file that is named in short stands.
fn place(name: &str) -> String {
    if name.starts_with("e2e/") || name.starts_with("dialogues/") {
        format!("tests/{name}")
    } else {
        name.to_owned()
    }
}

#[test]
fn every_test_in_the_table_of_acceptance_exists() {
    let table = std::fs::read_to_string(top().join("docs/acceptance.md")).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let mut texts: HashMap<String, Option<String>> = HashMap::new();
    let mut missing = Vec::new();
    let mut tests = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        // Tables of line, what, tests and status, and of what and tests.
        let cell = match cells.as_slice() {
            [_, _, cell, _] | [_, cell] => *cell,
            _ => {
                missing.push(format!("a row with {} cells: {row}", cells.len()));
                continue;
            }
        };
        let mut file = String::new();
        for name in named(cell) {
            if name.contains('.') {
                file = place(name);
                let read = || std::fs::read_to_string(top().join(&file)).ok();
                let text = texts.entry(file.clone()).or_insert_with(read);
                if text.is_none() {
                    missing.push(file.clone());
                }
                continue;
            }
            tests += 1;
            let text = texts.get(&file).and_then(Option::as_deref);
            if !text.is_some_and(|text| text.contains(&format!("fn {name}("))) {
                missing.push(format!("{file}: {name}"));
            }
        }
    }
    assert_none("named in docs/acceptance.md and not there", &missing);
    assert!(tests > 100, "the table was not understood: {tests} tests");
}
