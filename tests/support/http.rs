//! Requests to the admin address, made by curl, and answers.

use std::io::Write;
use std::process::Command;

use serde_json::Value;

use super::run;

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The header section, names in lower case.
    pub header: String,
    pub text: String,
}

impl Answer {
    #[track_caller]
    pub fn document(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The value of a header field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.header.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            (found == name).then_some(value)
        })
    }
}

pub fn ask(method: &str, url: &str, token: &str, body: Option<&Value>) -> Answer {
    let mut command = Command::new("curl");
    command.args(["-sS", "-i", "--max-time", "60", "-X", method, url]);
    if !token.is_empty() {
        command.args(["-H", &format!("Authorization: Bearer {token}")]);
    }
    if let Some(body) = body {
        command.args(["-H", "Content-Type: application/json", "-d"]);
        command.arg(body.to_string());
    }
    answer(&mut command)
}

/// Submits a message as that user; `more` are further arguments of curl.
pub fn submit(url: &str, user: &str, password: &str, content: &[u8], more: &[&str]) -> Answer {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content).unwrap();
    let mut command = Command::new("curl");
    command.args(["-sS", "-i", "--max-time", "60", "--user"]);
    command.args([
        &format!("{user}:{password}"),
        "-H",
        "Content-Type: message/rfc822",
    ]);
    command.args(["--data-binary", &format!("@{}", file.path().display())]);
    answer(command.args(more).arg(url))
}

fn answer(command: &mut Command) -> Answer {
    let output = run(command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    let whole = String::from_utf8(output.stdout).unwrap();
    read(&whole)
}

/// Reads an answer, and not what may come before it: 100, that the body is waited for.
pub fn read(whole: &str) -> Answer {
    let (header, text) = whole.split_once("\r\n\r\n").unwrap();
    if header.starts_with("HTTP/1.1 100 ") {
        return read(text);
    }
    let status = header.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        header: header
            .lines()
            .map(|line| match line.split_once(": ") {
                Some((name, value)) => format!("{}: {value}\n", name.to_lowercase()),
                None => format!("{line}\n"),
            })
            .collect(),
        text: text.to_owned(),
    }
}
