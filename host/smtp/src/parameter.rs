//! Parameters of MAIL and RCPT: the strict grammar of RFC 5321 §4.1.2 and what each keyword means.
//!
//! What is not listed in EHLO is refused, never ignored: a client that asks for a message to be held
//! must not see it sent at once. Each extension is one arm in [`MailParameters::parse`] and one field.

mod by;
mod hold;
mod mail;
mod rcpt;
pub mod xtext;

pub(crate) use mail::parse_size;

use std::fmt;

pub use by::{By, ByMode};
pub use hold::Hold;
pub use mail::{AuthIdentity, Body, MailParameters, Ret, parse_mt_priority};
pub use rcpt::{Notify, Orcpt, RcptParameters};

/// Why parameters were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterError {
    /// A keyword or a choice that is not implemented: 555 5.5.4 (RFC 5321 §4.1.1.11).
    Unknown,
    /// A value that does not follow its grammar, or a keyword twice: 501 5.5.4.
    Malformed,
}

impl fmt::Display for ParameterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ParameterError::Unknown => "a parameter is not implemented",
            ParameterError::Malformed => "a parameter is malformed",
        })
    }
}

impl std::error::Error for ParameterError {}

/// Most parameters of one command; twelve are known.
const PARAMETERS_MAX: usize = 32;

/// Splits ` KEYWORD=value KEYWORD` into pairs. Nothing else may stand there.
fn split(text: &str) -> impl Iterator<Item = Result<(&str, Option<&str>), ParameterError>> {
    text.split(' ')
        .filter(|parameter| !parameter.is_empty())
        .enumerate()
        .map(|(at, parameter)| {
            let (keyword, value) = match parameter.split_once('=') {
                Some((keyword, value)) => (keyword, Some(value)),
                None => (parameter, None),
            };
            if at < PARAMETERS_MAX && is_keyword(keyword) && value.is_none_or(is_value) {
                Ok((keyword, value))
            } else {
                Err(ParameterError::Malformed)
            }
        })
}

/// `esmtp-keyword`.
fn is_keyword(keyword: &str) -> bool {
    keyword.starts_with(|first: char| first.is_ascii_alphanumeric())
        && keyword
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// `esmtp-value`: graphic characters without `=`, and those beyond ASCII of RFC 6531 §3.3.
fn is_value(value: &str) -> bool {
    !value.is_empty()
        && value
            .chars()
            .all(|c| c != '=' && (c.is_ascii_graphic() || (!c.is_ascii() && !c.is_control())))
}

/// Puts a parameter's value in its place; twice is malformed (RFC 5321 §4.1.1.11 has each once).
fn set<T>(place: &mut Option<T>, value: Option<T>) -> Result<(), ParameterError> {
    if place.is_some() {
        return Err(ParameterError::Malformed);
    }
    *place = Some(value.ok_or(ParameterError::Malformed)?);
    Ok(())
}
