//! The demonstration, as somebody who has just built the program sees it: its figures, its picture, and that it leaves
//! nothing behind.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Program, outpost, run};

/// A folder for what the demonstration makes for a while, and one to start it in.
struct Folders {
    temporary: TempDir,
    working: TempDir,
}

impl Folders {
    fn new() -> Self {
        Self {
            temporary: tempfile::tempdir().unwrap(),
            working: tempfile::tempdir().unwrap(),
        }
    }

    /// The program as it is started there, without what the environment says of terminals.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        for variable in ["NO_COLOR", "TERM", "LC_ALL", "LC_CTYPE", "LANG"] {
            command.env_remove(variable);
        }
        command
            .env("TMPDIR", self.temporary.path())
            .current_dir(self.working.path());
        command
    }

    #[track_caller]
    fn are_empty(&self) {
        for folder in [&self.temporary, &self.working] {
            let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

#[test]
fn the_figures_of_the_demonstration_hold_and_nothing_of_it_is_left() {
    let folders = Folders::new();
    let shown = run(folders
        .command(&outpost())
        .args(["demo", "--json", "--messages", "4"]));
    let text = String::from_utf8(shown.stdout.clone()).unwrap();
    assert!(shown.status.success(), "{shown:?}");
    let figures: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(figures["holds"], true, "{figures:#}");
    let number = |of: &Value, name: &str| {
        of[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name}: {of:#}"))
    };
    let reset = &figures["very_high"];
    assert_eq!(number(reset, "class"), 1);
    // Two seconds of the link, and no part of the newsletter's six.
    let took = number(reset, "acceptance_to_last_reply_us");
    assert!((1_500_000..5_000_000).contains(&took), "{figures:#}");
    assert!(
        number(reset, "acceptance_to_mail_us") < 1_000_000,
        "{figures:#}"
    );
    let others = figures["others"].as_array().unwrap();
    assert_eq!(others.len(), 4);
    for other in others {
        assert!(number(other, "class") > 2);
        assert_eq!(other["is_intact"], true);
        assert_eq!(number(other, "transactions"), 1);
        assert_eq!(number(other, "attempts_charged"), 0);
        let paused = number(other, "paused_us");
        assert!((1_500_000..6_000_000).contains(&paused), "{figures:#}");
        assert!(number(other, "stopped_after_us") < 1_000_000, "{figures:#}");
        assert!(number(other, "trickled_octets") < 6_000, "{figures:#}");
        assert_ne!(other["connection"], reset["connection"]);
    }
    folders.are_empty();
}

#[test]
fn on_a_terminal_it_is_a_picture_and_the_terminal_is_left_as_it_was() {
    let folders = Folders::new();
    let typed = format!(
        "stty cols 80 rows 24; exec {} demo --messages 4",
        outpost().display()
    );
    let shown = run(folders
        .command(Path::new("script"))
        .env("TERM", "xterm-256color")
        .env("LANG", "C.UTF-8")
        .args(["--quiet", "--return", "--command", &typed, "/dev/null"]));
    let text = String::from_utf8(shown.stdout.clone()).unwrap();
    assert!(shown.status.success(), "{text}");
    for seen in ["paused for password reset", "1.5 MB arrived", "✓", "█"] {
        assert!(text.contains(seen), "{seen}: {text}");
    }
    // Up to the first line of the picture, again and again.
    assert!(text.matches("\u{1b}[7A").count() > 20, "{text}");
    // Neither the cursor nor the screen is another one, and the last colour is the usual one.
    assert!(!text.contains("\u{1b}[?"), "{text}");
    let last = text.rfind("\u{1b}[").unwrap();
    assert!(text[last..].starts_with("\u{1b}[0m"), "{}", &text[last..]);
    folders.are_empty();
}

#[test]
fn whoever_stops_it_early_finds_nothing_of_it() {
    for signal in ["INT", "HUP"] {
        let folders = Folders::new();
        let mut demo = Program::start(folders.command(&outpost()).arg("demo"));
        demo.wait_for_line("newsletter 6 (very low): is being sent");
        let id = demo.id().to_string();
        let sent = run(Command::new("kill").args(["-s", signal, &id]));
        assert!(sent.status.success(), "{sent:?}");
        assert_eq!(demo.wait().code(), Some(1));
        let printed = demo.printed();
        assert!(!printed.contains('\u{1b}'), "{printed}");
        assert!(
            printed.ends_with("outpost: stopped before the end; nothing is left of it"),
            "{printed}"
        );
        folders.are_empty();
    }
}

#[test]
fn what_shows_nothing_is_refused_with_what_to_change() {
    let folders = Folders::new();
    let shown = run(folders
        .command(&outpost())
        .args(["demo", "--capacity", "100000000"]));
    assert_eq!(shown.status.code(), Some(1));
    let said = String::from_utf8(shown.stderr).unwrap();
    assert!(said.contains("a smaller --capacity"), "{said}");
    folders.are_empty();
}
