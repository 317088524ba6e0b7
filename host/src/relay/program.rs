//! What a person types to call this program again, for the commands that are shown.
//!
//! Whoever started it by a path, as `cargo run` does, has no `outpost` in the search path of the shell:
//! then the path is what works.

use std::env;
use std::ffi::OsStr;
use std::path::Path;

/// The name that the program is known by where it is installed.
const NAME: &str = "outpost";

/// How this process was called, as it can be typed again.
pub(super) fn as_typed() -> String {
    let called = env::args_os().next().unwrap_or_default();
    let search_path = env::var_os("PATH").unwrap_or_default();
    typed(Path::new(&called), &search_path)
}

fn typed(called: &Path, search_path: &OsStr) -> String {
    let folder = called.parent().unwrap_or(Path::new(""));
    let is_found = folder.as_os_str().is_empty()
        || env::split_paths(search_path).any(|searched| searched == folder);
    let word = if is_found {
        called.file_name()
    } else {
        Some(called.as_os_str())
    };
    // A word that the shell would take apart is worse than the plain name.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    match word.and_then(OsStr::to_str) {
        Some(word) if !word.is_empty() && word.chars().all(is_plain) => word.to_owned(),
        _ => NAME.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_the_shell_does_not_find_is_called_by_its_path() {
        let search_path = OsStr::new("/usr/local/bin:/usr/bin");
        for (called, word) in [
            ("outpost", "outpost"),
            ("/usr/bin/outpost", "outpost"),
            ("target/release/outpost", "target/release/outpost"),
            ("./outpost", "./outpost"),
            ("/opt/outpost-0.1/outpost", "/opt/outpost-0.1/outpost"),
            ("/srv/my programs/outpost", "outpost"),
            ("", "outpost"),
        ] {
            assert_eq!(typed(Path::new(called), search_path), word, "{called}");
        }
    }
}
