//! What every file has, and what none has.

use super::{assert_none, files};

const CODE: [&str; 5] = ["host", "sdk", "tests", "benches", "fuzz"];

#[test]
fn every_file_says_what_lives_in_it() {
    let headless: Vec<String> = CODE
        .iter()
        .flat_map(|folder| files(folder, ".rs"))
        .filter(|file| !file.text.starts_with("//! ") && !file.path.ends_with("build.rs"))
        .map(|file| file.path)
        .collect();
    assert_none("files without a header", &headless);
}

/// A file longer than this has a second idea in it; tests at its end do not count.
const LINES_MAX: usize = 600;

#[test]
fn a_file_holds_one_idea() {
    let long: Vec<String> = ["host", "sdk", "fuzz"]
        .iter()
        .flat_map(|folder| files(folder, ".rs"))
        .filter(|file| !file.path.ends_with("contract.rs") && !file.path.contains("/tests"))
        .filter_map(|file| {
            let code = file.text.split("#[cfg(test)]").next().unwrap_or_default();
            let lines = code.lines().count();
            (lines > LINES_MAX).then(|| format!("{}: {lines} lines", file.path))
        })
        .collect();
    assert_none("files longer than one idea", &long);
}

#[test]
fn nothing_is_left_unfinished() {
    // Put together here, so that this file does not find itself.
    let marks = ["todo", "unimplemented", "dbg"].map(|name| format!("{name}!("));
    let mut found = Vec::new();
    for file in CODE.iter().flat_map(|folder| files(folder, ".rs")) {
        for (number, line) in file.text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) || line.contains(concat!("FIX", "ME")) {
                found.push(format!("{}:{}", file.path, number + 1));
            }
        }
    }
    assert_none("unfinished marks", &found);
}

#[test]
fn no_path_of_a_machine_stands_in_the_repository() {
    let folders = [
        "host",
        "sdk",
        "tests",
        "benches",
        "plugins",
        "wit",
        "docs",
        "fuzz",
        "packaging",
    ];
    let homes = ["/work/", "/root/", "/home/"].map(|path| (path, path.trim_end_matches('/')));
    let mut found = Vec::new();
    for folder in folders {
        for ending in [".rs", ".toml", ".md", ".wit", ".sh", ".txt", ".py", ".js"] {
            for file in files(folder, ending) {
                // These two look for such paths themselves.
                if file.path == "tests/tidy/text.rs" || file.path.starts_with("plugins/build/") {
                    continue;
                }
                for (number, line) in file.text.lines().enumerate() {
                    if homes.iter().any(|(path, _)| line.contains(path)) {
                        found.push(format!("{}:{}", file.path, number + 1));
                    }
                }
            }
        }
    }
    assert_none("paths of a machine", &found);
}
