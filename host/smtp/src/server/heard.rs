//! What a client has said, for whoever writes the dialogue down.
//!
//! Promise: nothing of it is a secret. What a client sends for a login is masked here, and so is every line that is
//! no command: a client that goes on with a login that was refused sends its password where a command is awaited.

use crate::auth::Mechanism;

use super::command::{self, Verb};
use super::input::Line;

/// A line that was taken from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard<'a> {
    /// A command, whole and without its end. AUTH is none of them.
    Command(&'a [u8]),
    /// AUTH.
    Login {
        /// The mechanism, where it is known.
        mechanism: Option<Mechanism>,
        /// Whether something stood behind it.
        has_response: bool,
    },
    /// What is sent in answer to a challenge.
    Response,
    /// A line that is no command.
    Unreadable,
}

impl<'a> Heard<'a> {
    pub(super) fn of(line: &Line<'a>) -> Heard<'a> {
        let Line::Octets(octets) = *line else {
            return Heard::Unreadable;
        };
        match command::split(octets) {
            None | Some((Verb::Unknown, _)) => Heard::Unreadable,
            Some((Verb::Auth, arguments)) => {
                let mut words = arguments.split(' ').filter(|word| !word.is_empty());
                let mechanism = words.next().map(Mechanism::parse);
                Heard::Login {
                    mechanism: mechanism.flatten(),
                    has_response: words.next().is_some() || mechanism == Some(None),
                }
            }
            Some(_) => Heard::Command(octets),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::limits::{Limits, Timeouts};
    use crate::server::{Answer, Security, Session, Settings, Step};

    use super::*;

    /// What is heard of a client, and how many octets had been said before.
    fn heard(input: &str) -> Vec<(String, usize)> {
        let settings = Settings {
            hostname: "relay.example".into(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            plaintext_auth: true,
            starttls: true,
        };
        let mut session = Session::new(Arc::new(settings), Security::Plain);
        session.feed(input.as_bytes());
        let mut heard = Vec::new();
        loop {
            let step = session.next_heard(&mut |line, output| {
                let line = match line {
                    Heard::Command(line) => String::from_utf8_lossy(line).into_owned(),
                    other => format!("{other:?}"),
                };
                heard.push((line, output.len()));
            });
            match step {
                Step::Send => session.sent(session.output().len()),
                Step::Ask(_) => session.answer(Answer::Accept),
                Step::Content => session.content_taken(),
                Step::Reset | Step::Discard { .. } => {}
                _ => return heard,
            }
        }
    }

    #[test]
    fn a_secret_is_not_heard_wherever_it_is_said() {
        let secret = "AGJvYgBzZWNyZXQ=";
        let said = [
            "EHLO client.example",
            &format!("AUTH GSSAPI {secret}"),
            &format!("AUTH {secret}"),
            &format!("auth=PLAIN {secret}"),
            secret,
            &format!("AUTH PLAIN{}{secret}", " ".repeat(3)),
            "RSET",
            &format!("{secret}\n{secret}"),
            "AUTH PLAIN",
            secret,
            "",
        ];
        let lines = heard(&said.join("\r\n"));
        let all: Vec<_> = lines.iter().map(|(line, _)| line.as_str()).collect();
        assert!(!all.concat().contains("AGJv"), "{all:?}");
        assert_eq!(
            all,
            [
                "EHLO client.example",
                "Login { mechanism: None, has_response: true }",
                "Login { mechanism: None, has_response: true }",
                "Unreadable",
                "Unreadable",
                "Login { mechanism: Some(Plain), has_response: true }",
                "RSET",
                "Unreadable",
                "Login { mechanism: Some(Plain), has_response: false }",
                "Unreadable",
            ]
        );
    }

    #[test]
    fn what_answers_a_challenge_is_not_heard_and_content_is_no_line() {
        let said = [
            "EHLO client.example",
            "AUTH LOGIN",
            "Ym9i",
            "c2VjcmV0",
            "MAIL FROM:<a@b.example>",
            "RCPT TO:<c@d.example>",
            "BDAT 6",
            "RSET",
            "BDAT 0 LAST",
            "MAIL FROM:<a@b.example>",
            "RCPT TO:<c@d.example>",
            "DATA",
            "QUIT",
            ".",
            "NOOP",
            "",
        ];
        let lines = heard(&said.join("\r\n"));
        let all: Vec<_> = lines.iter().map(|(line, _)| line.as_str()).collect();
        let login = "Login { mechanism: Some(Login), has_response: false }";
        let mut expected = said.to_vec();
        expected.retain(|line| !matches!(*line, "" | "." | "QUIT" | "RSET"));
        expected[1..4].copy_from_slice(&[login, "Response", "Response"]);
        assert_eq!(all, expected);
        // What was said to a line stands before the next one is heard.
        assert!(lines[1..].windows(2).all(|pair| pair[0].1 < pair[1].1));
    }
}
