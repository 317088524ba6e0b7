//! The envelope of a message that is submitted over HTTP, as its query says it.
//!
//! What is wrong with it is told all at once, each by the name of its parameter. A priority is only passed on: one that
//! is none, or comes twice, counts as absent (that is said where every carrier of a priority is read).

use outpost_smtp::{Mailbox, ReversePath};

use crate::admin::audit::shown;
use crate::admin::problem::{FieldError, Problem};

/// The envelope that a query says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) sender: ReversePath,
    /// At least one.
    pub(super) recipients: Vec<Mailbox>,
    /// As it was given; what was said more than once stands there together, and is no priority.
    pub(super) priority: Option<String>,
}

impl Envelope {
    /// Reads a query.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn read(query: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut reading = Reading::default();
        let (mut sender, mut recipients, mut priorities) = (None, Vec::new(), Vec::new());
        for (name, value) in query {
            match name.as_str() {
                "sender" => {
                    if sender.replace(value).is_some() {
                        reading.problem("sender", "stands here twice");
                    }
                }
                "priority" => priorities.push(value),
                "recipient" => recipients.push(value),
                "" => reading.problem(
                    "query",
                    "has a parameter without a name; known here: sender, recipient, priority",
                ),
                _ => reading.problem(
                    &shown(&name),
                    "is not known; known here: sender, recipient, priority",
                ),
            }
        }
        let sender = match sender.as_deref() {
            Some("") => Some(ReversePath::Null),
            Some(address) => reading.mailbox("sender", address).map(ReversePath::Mailbox),
            None => {
                let text = "is needed: where reports go; empty for a message that gets none";
                reading.problem("sender", text);
                None
            }
        };
        if recipients.is_empty() {
            reading.problem("recipient", "is needed, once for each recipient");
        }
        let recipients: Vec<Mailbox> = (0..)
            .zip(&recipients)
            .filter_map(|(number, address)| {
                reading.mailbox(&format!("recipient[{number}]"), address)
            })
            .collect();
        match sender {
            Some(sender) if reading.errors.is_empty() => Ok(Self {
                sender,
                recipients,
                priority: (!priorities.is_empty()).then(|| priorities.join(", ")),
            }),
            _ => Err(Problem::fields(reading.errors)),
        }
    }
}

/// What was found wrong.
#[derive(Default)]
struct Reading {
    errors: Vec<FieldError>,
}

impl Reading {
    fn problem(&mut self, field: &str, text: &str) {
        self.errors.push(FieldError::new(field, text));
    }

    fn mailbox(&mut self, field: &str, address: &str) -> Option<Mailbox> {
        let read = Mailbox::parse(address, true);
        read.map_err(|error| self.problem(field, &format!("\"{}\": {error}", shown(address))))
            .ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::message::header::Requested;

    fn read(query: &[(&str, &str)]) -> Result<Envelope, Vec<(String, String)>> {
        let pairs = query.iter();
        let pairs = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Envelope::read(pairs.collect()).map_err(|problem| {
            let errors = problem.errors.into_iter();
            errors.map(|error| (error.field, error.detail)).collect()
        })
    }

    #[test]
    fn a_sender_and_each_recipient_are_read_and_the_priority_as_it_is() {
        let mailbox = |text: &str| Mailbox::parse(text, true).unwrap();
        assert_eq!(
            read(&[
                ("recipient", "bob@d.example"),
                ("sender", "ann@a.example"),
                ("recipient", "j\u{f6}rg@b\u{fc}cher.example"),
                ("priority", "urgent"),
            ]),
            Ok(Envelope {
                sender: ReversePath::Mailbox(mailbox("ann@a.example")),
                recipients: vec![
                    mailbox("bob@d.example"),
                    mailbox("j\u{f6}rg@b\u{fc}cher.example")
                ],
                priority: Some("urgent".to_owned()),
            })
        );
        let null = read(&[("sender", ""), ("recipient", "bob@d.example")]).unwrap();
        assert_eq!((null.sender, null.priority), (ReversePath::Null, None));
    }

    #[test]
    fn a_priority_that_is_said_twice_is_none_and_goes_on_as_one_that_cannot_be_read() {
        let envelope = read(&[
            ("priority", "1"),
            ("sender", ""),
            ("recipient", "bob@d.example"),
            ("priority", "1"),
        ]);
        let priority = envelope.unwrap().priority.unwrap();
        assert_eq!(priority, "1, 1");
        assert_eq!(Requested::by_http(&priority).class, None);
    }

    #[test]
    fn everything_that_is_wrong_is_named() {
        let of = |query: &[(&str, &str)]| -> Vec<String> {
            let errors = read(query).unwrap_err().into_iter();
            errors
                .map(|(field, text)| format!("{field}: {text}"))
                .collect()
        };
        assert_eq!(
            of(&[]),
            [
                "sender: is needed: where reports go; empty for a message that gets none",
                "recipient: is needed, once for each recipient",
            ]
        );
        assert_eq!(
            of(&[
                ("sender", "ann"),
                ("colour", "red"),
                ("recipient", "bob@d.example"),
                ("recipient", "<bob@d.example>"),
                ("sender", "ann"),
                ("recipient", ""),
            ]),
            [
                "colour: is not known; known here: sender, recipient, priority",
                "sender: stands here twice",
                "sender: \"ann\": not a valid address",
                "recipient[1]: \"<bob@d.example>\": not a valid address",
                "recipient[2]: \"\": not a valid address",
            ]
        );
        assert_eq!(
            of(&[
                ("sender", "a@b.example\r\nRCPT"),
                ("recipient", "c@d.example")
            ]),
            ["sender: \"a@b.example\u{fffd}\u{fffd}RCPT\": not a valid address"]
        );
    }
}
