//! What the README tells a newcomer to type, typed.
//!
//! Commands and files are taken from its text; only the address is another one, and what a person
//! copies from the screen (password, id) is copied here too.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{Address, Program, outpost, top};

/// The README, with the address of this test.
struct Readme(String);

impl Readme {
    fn read(address: &str) -> Self {
        let text = fs::read_to_string(top().join("README.md")).unwrap();
        Self(text.replace("127.0.0.1", address))
    }

    /// The lines of the first block of that language.
    fn block(&self, language: &str) -> &str {
        let fence = format!("\n```{language}\n");
        let (_, rest) = self.0.split_once(&fence).unwrap();
        rest.split_once("\n```").unwrap().0
    }

    /// The command that follows `before`, up to the end of its last line.
    fn command(&self, before: &str) -> String {
        let at = self.0.find(before).unwrap_or_else(|| {
            panic!("the README says nothing of {before:?}");
        });
        let mut lines = Vec::new();
        for line in self.0[at..].lines() {
            lines.push(line.trim_start_matches("$ "));
            if !line.ends_with(['\\', '|']) {
                break;
            }
        }
        lines.join("\n")
    }

    /// A line of what the README shows as the answer.
    #[track_caller]
    fn shows(&self, line: &str) {
        assert!(self.0.contains(line), "the README does not show {line:?}");
    }
}

/// A shell in the newcomer's folder, with the program in its path.
fn shell(folder: &Path, line: &str) -> Command {
    let programs = outpost().parent().unwrap().to_owned();
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new("bash");
    command
        .args(["-c", &format!("set -o pipefail; exec 2>&1; {line}")])
        .env("PATH", format!("{}:{path}", programs.display()))
        .current_dir(folder);
    command
}

fn typed(folder: &Path, line: &str) -> Output {
    shell(folder, line).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_newcomer_gets_from_the_readme_to_a_relayed_message() {
    let address = Address::of_this_test().to_string();
    let readme = Readme::read(&address);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let configuration = readme.block("toml");
    // Tests run side by side: the console is at the address of this one too.
    let configuration = format!("{configuration}\n[admin]\naddress = \"{address}:8025\"\n");
    fs::write(folder.join("outpost.toml"), configuration).unwrap();

    let checked = typed(folder, &readme.command("$ outpost check"));
    assert!(checked.status.success(), "{}", said(&checked));
    readme.shows(said(&checked).trim());

    let sink = readme.command("$ outpost sink");
    let mut sink = Program::start(&mut shell(folder, &format!("exec {sink}")));
    let listens = sink.wait_for_line("listening on");
    readme.shows(&listens);

    let mut relay = Program::start(&mut shell(folder, "exec outpost"));
    readme.shows(&relay.wait_for_line("serves as"));
    for port in [2525, 4650] {
        readme.shows(&relay.wait_for_line(&format!("port {port}")));
    }
    readme.shows(&relay.wait_for_line("admin token"));
    readme.shows(&relay.wait_for_line("user add --domains"));

    let added = said(&typed(folder, &readme.command("$ outpost user add")));
    let password = added
        .lines()
        .find_map(|line| line.strip_prefix("password  "))
        .unwrap_or_else(|| panic!("{added}"));
    readme.shows("It is shown this once and kept nowhere");

    let with_password = |command: &str| format!("PASSWORD={password}; {command}");
    let send = with_password(&readme.command("printf 'From: ann@example.com"));
    let sent = typed(folder, &send);
    assert!(sent.status.success(), "{}", said(&sent));
    sink.wait_for_line("The first one.");
    assert!(sink.printed().contains("RCPT TO:<bob@example.net>"));

    let id = sink
        .printed()
        .lines()
        .find_map(|line| {
            line.split_once(" with ESMTPSA id ")
                .map(|(_, id)| id.to_owned())
        })
        .expect("the trace field names it");
    let show = "outpost queue show";
    let told = readme.command(&format!("$ {show} "));
    assert!(told.len() > show.len(), "{told}");
    // It is settled in the moment after the receiver has it.
    let end = "finished: nothing of it is left to deliver";
    let trail = (0..100)
        .map(|_| said(&typed(folder, &format!("{show} {id}"))))
        .find(|trail| trail.contains(end))
        .expect("its trail ends");
    readme.shows(end);
    for line in trail.lines().filter(|line| line.starts_with("priority ")) {
        readme.shows(line);
    }
    assert!(trail.contains("class 1"), "{trail}");
    let (story, _) = trail.split_once(end).unwrap();
    assert!(!story.contains("dialogue with"), "{trail}");
    assert_eq!(trail.matches("dialogue with").count(), 2, "{trail}");

    let notified = typed(folder, &readme.command("outpost list set default"));
    assert!(notified.status.success(), "{}", said(&notified));
    let forged = with_password(&readme.command("printf 'From: boss@bank.example"));
    let refused = said(&typed(folder, &forged));
    readme.shows(refused.trim());
    let refused = typed(folder, &forged.replace("curl -sS", "curl --verbose"));
    let reply = "550 5.7.1 Your login is not authorized for this sender";
    assert!(said(&refused).contains(reply), "{}", said(&refused));
    readme.shows(reply);
    readme.shows(&sink.wait_for_line("Subject: User ann was refused"));
}
