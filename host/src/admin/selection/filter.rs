//! What mail is selected by, whichever way it is said: read and checked in one place.
//!
//! A query string and a document differ in what an empty text means and in what a number is written as; that is told by
//! those who have them.

use crate::admin::audit;
use crate::admin::problem::FieldError;
use crate::message::{Class, MessageId, Timestamp};
use crate::spool::Selection;

use super::names::StateFilter;

/// More than any schedule of retries comes to.
const ATTEMPTS_MAX: u32 = 1_000_000;

/// What is given of each; everything given must match.
#[derive(Default)]
pub(super) struct Filter {
    pub(super) id: Option<String>,
    pub(super) list: Option<String>,
    pub(super) user: Option<String>,
    /// The number, where what is given is one.
    pub(super) class: Option<Option<u8>>,
    /// The state, where what is given is one.
    pub(super) state: Option<Result<StateFilter, FieldError>>,
    pub(super) subject: Option<String>,
    pub(super) sender: Option<String>,
    pub(super) recipient: Option<String>,
    pub(super) domain: Option<String>,
    /// The number, where what is given is one.
    pub(super) attempts: Option<Option<u32>>,
    pub(super) last_reply: Option<String>,
    pub(super) due_from: Option<String>,
    pub(super) due_before: Option<String>,
}

impl Filter {
    /// What is meant. What is wrong is noted, and left out.
    pub(super) fn read(self, errors: &mut Vec<FieldError>) -> Selection {
        let message = noted(self.id.as_deref().map(message_id), errors);
        let class = self.class.map(|number| {
            let class = number.and_then(Class::from_number);
            class.ok_or_else(|| class_error("class"))
        });
        let class = noted(class, errors);
        let attempts_min = noted(self.attempts.map(attempts), errors);
        let mut time = |field, text: Option<String>| {
            let moment = text.map(|text| moment(field, &text));
            noted(moment, errors)
        };
        let due_from = time("due_from", self.due_from);
        let due_before = time("due_before", self.due_before);
        let state = noted(self.state, errors);
        Selection {
            these: None,
            message,
            list: self.list,
            user: self.user,
            class,
            state: state.and_then(StateFilter::state),
            only_stopped: state == Some(StateFilter::Stopped),
            subject: self.subject,
            sender: self.sender,
            recipient: self.recipient,
            domain: self.domain,
            attempts_min,
            last_reply: self.last_reply,
            due_from,
            due_before,
            next_hop: None,
        }
    }
}

/// What was read, with what is wrong with it noted.
pub(super) fn noted<T>(
    found: Option<Result<T, FieldError>>,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    found?.map_err(|error| errors.push(error)).ok()
}

/// The id of a message, wherever one is given.
pub(in crate::admin) fn message_id(text: &str) -> Result<MessageId, FieldError> {
    let id = text.parse::<MessageId>();
    id.map_err(|error| FieldError::new("id", format!("`{}` is {error}", audit::shown(text))))
}

/// So many or more: none at all would be all mail.
fn attempts(number: Option<u32>) -> Result<u32, FieldError> {
    let number = number.filter(|number| (1..=ATTEMPTS_MAX).contains(number));
    number.ok_or_else(|| {
        let text = format!("must be a number, 1 to {ATTEMPTS_MAX}");
        FieldError::new("attempts", text)
    })
}

/// How a time is written.
pub(super) const TIME: &str = "a date with a time and an offset such as 2026-11-27T08:00:00Z";

/// A point in time, wherever one is given.
pub(in crate::admin) fn moment(field: &'static str, text: &str) -> Result<Timestamp, FieldError> {
    let moment = Timestamp::from_rfc3339(text);
    moment.ok_or_else(|| FieldError::new(field, format!("must be {TIME}")))
}

pub(super) fn class_error(field: &str) -> FieldError {
    FieldError::new(field, "must be 1 (very high) to 5 (very low)")
}
