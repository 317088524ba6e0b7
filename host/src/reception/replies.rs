//! The replies that reception words itself.
//!
//! One general sentence each: nothing of our insides, nothing of what the client sent.

use std::fmt::Display;
use std::time::Duration;

use outpost_smtp::Reply;

use crate::message::header::{AuthorProblem, HeaderProblem};
use crate::message::wording::class_text;
use crate::message::{AddressProblem, Class, Demotion, MessageId};

pub(super) fn too_many_connections() -> Reply {
    Reply::new(
        421,
        (4, 7, 0),
        "Too many connections, please try again later",
    )
}

pub(super) fn too_many_connections_from_you() -> Reply {
    Reply::new(421, (4, 7, 0), "Too many connections from your address")
}

pub(super) fn shutting_down() -> Reply {
    Reply::new(
        421,
        (4, 3, 2),
        "The service is closing, please try again shortly",
    )
}

pub(super) fn timed_out() -> Reply {
    Reply::new(421, (4, 4, 2), "Timed out waiting for you")
}

pub(super) fn logged_in() -> Reply {
    Reply::new(235, (2, 7, 0), "Authentication successful")
}

pub(super) fn wrong_credentials() -> Reply {
    Reply::new(535, (5, 7, 8), "Authentication credentials invalid")
}

pub(super) fn login_later() -> Reply {
    Reply::new(
        454,
        (4, 7, 0),
        "Too many login attempts, please try again later",
    )
}

pub(super) fn login_void() -> Reply {
    Reply::new(
        421,
        (4, 7, 0),
        "Your login is no longer valid, please log in again",
    )
}

pub(super) fn bad_sender(problem: AddressProblem) -> Reply {
    let text = match problem {
        AddressProblem::Domain => "The domain of the sender is not a valid domain name",
        AddressProblem::Shape => "The address of the sender has an empty local part",
    };
    Reply::new(553, (5, 1, 7), text)
}

pub(super) fn bad_recipient(problem: AddressProblem) -> Reply {
    let text = match problem {
        AddressProblem::Domain => "The domain of the recipient is not a valid domain name",
        AddressProblem::Shape => "The address of the recipient has an empty local part",
    };
    Reply::new(553, (5, 1, 3), text)
}

pub(super) fn no_room() -> Reply {
    Reply::new(
        452,
        (4, 3, 1),
        "Not enough room right now, please try again later",
    )
}

pub(super) fn try_again() -> Reply {
    Reply::new(
        451,
        (4, 3, 0),
        "The message cannot be taken right now, please try again later",
    )
}

pub(super) fn header_too_large() -> Reply {
    Reply::new(552, (5, 3, 4), "The header of the message is too large")
}

pub(super) fn bad_header(problem: HeaderProblem) -> Reply {
    Reply::new(550, (5, 6, 0), sentence(problem))
}

pub(super) fn bad_author(problem: AuthorProblem) -> Reply {
    Reply::new(550, (5, 7, 1), sentence(problem))
}

/// As the protocol core says it.
pub(super) fn too_large() -> Reply {
    Reply::new(552, (5, 3, 4), "Message exceeds the maximum size")
}

pub(super) fn loops() -> Reply {
    Reply::new(554, (5, 4, 6), "The message has passed too many relays")
}

/// The message is on stable storage. Where another priority counts than was asked for by MT-PRIORITY, the reply begins
/// with it, in the numbers of that parameter (RFC 6710 §4.1, X.3.6).
pub(super) fn queued(id: MessageId, mt_priority: Option<i8>) -> Reply {
    taken(format!("Queued as {id}"), mt_priority)
}

/// Queued in a class that a limit of the account gave it; the priority as in [`queued`].
pub(super) fn queued_below(
    id: MessageId,
    class: Class,
    reason: Demotion,
    mt_priority: Option<i8>,
) -> Reply {
    let why = match reason {
        Demotion::Ceiling => "your account may use no class above it",
        Demotion::Budget => "your account has no very-high messages left for now",
        Demotion::Uncounted => "very-high messages of your account cannot be counted right now",
    };
    let queued = format!("Queued as {id} in class {}: {why}", class_text(class));
    taken(queued, mt_priority)
}

fn taken(queued: String, mt_priority: Option<i8>) -> Reply {
    match mt_priority {
        Some(counts) => {
            let text = format!("{counts} is the priority that counts. {queued}");
            Reply::new(250, (2, 3, 6), text)
        }
        None => Reply::new(250, (2, 0, 0), queued),
    }
}

pub(super) fn held_too_long(longest: Duration) -> Reply {
    let text = match longest.as_secs() {
        0 => {
            "No message is held here: its X-SMTPAPI field asks for a time that is ahead".to_owned()
        }
        seconds => format!(
            "The X-SMTPAPI field asks for a time that is too far ahead: {seconds} seconds at most"
        ),
    };
    Reply::new(550, (5, 6, 0), text)
}

pub(super) fn held_too_late() -> Reply {
    let text = "The X-SMTPAPI field asks for a time that is behind the one by which the message is to be delivered";
    Reply::new(550, (5, 6, 0), text)
}

/// The problem as a sentence of its own.
fn sentence(problem: impl Display) -> String {
    let text = problem.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_says_which_class_was_used_and_by_the_parameter_in_its_numbers() {
        let id = MessageId::from_bits(0);
        let reply = |class, reason, counts| queued_below(id, class, reason, counts).to_string();
        for (class, reason, said) in [
            (
                Class::High,
                Demotion::Budget,
                "in class 2 (high): your account has no very-high messages left for now",
            ),
            (
                Class::Low,
                Demotion::Ceiling,
                "in class 4 (low): your account may use no class above it",
            ),
            (
                Class::High,
                Demotion::Uncounted,
                "in class 2 (high): very-high messages of your account cannot be counted right now",
            ),
        ] {
            let said = format!("Queued as {id} {said}");
            assert_eq!(reply(class, reason, None), format!("250 2.0.0 {said}"));
            assert_eq!(
                reply(class, reason, Some(-1)),
                format!("250 2.3.6 -1 is the priority that counts. {said}")
            );
        }
    }
}
