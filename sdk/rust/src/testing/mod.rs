//! Doubles for a policy's own tests: a transaction built by hand and a relay in memory.
//!
//! A test needs no WebAssembly: on every target but wasm32 this crate asks these doubles where a
//! component would ask the relay. They promise the behaviour of the contract, not the relay's
//! limits on log lines, metrics and state.

mod facts;
pub mod relay;

pub use crate::Transaction;
pub use facts::Builder;
pub use relay::{LogLine, Relay};

use crate::answer::is_unfit;
use crate::{
    Decision, NAME_BYTES_MAX, NOTE_BYTES_MAX, NOTES_MAX, Placement, REPLY_BYTES_MAX, Reason, Reply,
    Value, Verdict,
};

/// An answer of either kind, as far as the limits of the contract go.
pub trait Answer {
    /// What the relay would not accept in this answer.
    fn faults(&self) -> Vec<String>;
}

/// Panics when the relay would not accept this answer, and says why.
///
/// ```
/// use outpost_sdk::*;
///
/// testing::assert_valid(&refuse("hours", "closed").saying("We are closed."));
/// ```
pub fn assert_valid(answer: &impl Answer) {
    let faults = answer.faults();
    assert!(
        faults.is_empty(),
        "the relay would not accept this answer: {}",
        faults.join("; ")
    );
}

impl Answer for Decision {
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        match &self.verdict {
            Verdict::Defer(Some(reply)) => reply_faults(reply, 4, &mut faults),
            Verdict::Refuse(Some(reply)) => reply_faults(reply, 5, &mut faults),
            _ => {}
        }
        text_faults(&self.reasons, &self.notes, &mut faults);
        faults
    }
}

impl Answer for Placement {
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        text_faults(&self.reasons, &self.notes, &mut faults);
        faults
    }
}

fn reply_faults(reply: &Reply, class: u8, faults: &mut Vec<String>) {
    if reply.code / 100 != u16::from(class) {
        faults.push(format!("the code {} is not of class {class}", reply.code));
    }
    let (got, subject, detail) = reply.enhanced;
    if got != class || subject > 999 || detail > 999 {
        faults.push(format!(
            "the enhanced code {got}.{subject}.{detail} is not of class {class}"
        ));
    }
    if reply.text.is_empty() || reply.text.len() > REPLY_BYTES_MAX {
        faults.push(format!(
            "the text of the reply is not 1 to {REPLY_BYTES_MAX} octets long"
        ));
    }
    if !reply
        .text
        .bytes()
        .all(|octet| (0x20..=0x7e).contains(&octet))
    {
        faults.push("the text of the reply is not printable ASCII".into());
    }
}

fn text_faults(reasons: &[Reason], notes: &[crate::Attribute], faults: &mut Vec<String>) {
    // Details are for people: the relay cuts and cleans them, and drops what exceeds their number.
    for Reason { rule, .. } in reasons {
        if !(1..=NAME_BYTES_MAX).contains(&rule.len()) || rule.chars().any(is_unfit) {
            faults.push(format!(
                "the rule {rule:?} is not a name of 1 to {NAME_BYTES_MAX} octets"
            ));
        }
    }
    if notes.len() > NOTES_MAX {
        faults.push(format!("more than {NOTES_MAX} notes"));
    }
    for note in notes {
        let fits = |octet: u8| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
        if !(1..=NAME_BYTES_MAX).contains(&note.key.len()) || !note.key.bytes().all(fits) {
            faults.push(format!(
                "the key {:?} is not 1 to {NAME_BYTES_MAX} octets of a-z, 0-9, - and .",
                note.key
            ));
        }
        let bytes = match &note.value {
            Value::Text(text) => text.len(),
            Value::Octets(octets) => octets.len(),
            Value::Number(_) | Value::Truth(_) => 8,
        };
        if bytes > NOTE_BYTES_MAX {
            faults.push(format!(
                "the note {:?} is longer than {NOTE_BYTES_MAX} octets",
                note.key
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attribute, Priority, defer, pass, permit, place, refuse};

    fn faults(answer: impl Answer) -> String {
        answer.faults().join("; ")
    }

    #[test]
    fn sound_answers_have_no_faults() {
        assert_valid(&pass());
        assert_valid(&permit("rule", ""));
        assert_valid(&refuse("rule", "detail").saying("No."));
        assert_valid(&defer("rule", "detail").saying("Later.").noting("key", 1));
        assert_valid(&place(Priority::Low, "rule", "detail").noting("key", "text"));
    }

    #[test]
    fn faults_that_the_builders_cannot_mend_are_named() {
        let replying = |code, enhanced, text: &str| {
            faults(refuse("rule", "detail").replying(Reply::new(code, enhanced, text)))
        };
        assert_eq!(
            replying(450, (5, 7, 1), "No."),
            "the code 450 is not of class 5"
        );
        assert_eq!(
            replying(250, (5, 7, 1), "No."),
            "the code 250 is not of class 5"
        );
        assert_eq!(
            replying(550, (4, 7, 1), "No."),
            "the enhanced code 4.7.1 is not of class 5"
        );
        assert_eq!(
            replying(550, (5, 7, 1000), "No."),
            "the enhanced code 5.7.1000 is not of class 5"
        );
    }

    #[test]
    fn faults_of_what_was_put_together_by_hand_are_named() {
        let replying = |text: &str| {
            let reply = Reply {
                text: text.into(),
                ..Reply::new(550, (5, 7, 1), "No.")
            };
            faults(Decision {
                verdict: Verdict::Refuse(Some(reply)),
                ..pass()
            })
        };
        assert_eq!(
            replying(""),
            "the text of the reply is not 1 to 400 octets long"
        );
        for text in ["a\r\nb", "nö"] {
            assert_eq!(
                replying(text),
                "the text of the reply is not printable ASCII"
            );
        }
        for rule in ["", "a\u{202e}b"] {
            let reasons = vec![Reason {
                rule: rule.into(),
                detail: String::new(),
            }];
            assert_eq!(
                faults(Decision { reasons, ..pass() }),
                format!("the rule {rule:?} is not a name of 1 to 64 octets")
            );
        }
        let noting = |key: &str, value| {
            let notes = vec![Attribute {
                key: key.into(),
                value,
            }];
            faults(Decision { notes, ..pass() })
        };
        assert_eq!(
            noting("Key_1", Value::Truth(true)),
            "the key \"Key_1\" is not 1 to 64 octets of a-z, 0-9, - and ."
        );
        assert_eq!(
            noting("octets", Value::Octets(vec![0; 1025])),
            "the note \"octets\" is longer than 1024 octets"
        );
    }
}
