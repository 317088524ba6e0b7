//! Name lookups, cached and time-boxed by the relay. Needs the grant `dns`.

use crate::relay;

/// Why a lookup gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The name or the record does not exist.
    NotFound,
    /// The operator has not granted it.
    NotGranted,
    /// No answer within the component's time.
    Deadline,
    /// The resolver failed; the text is for the log.
    Temporary(String),
}

/// The TXT records of that name.
pub fn txt(name: &str) -> Result<Vec<String>, Failure> {
    relay::dns::txt(name)
}

/// The IPv4 and IPv6 addresses of that name, as text.
pub fn addresses(name: &str) -> Result<Vec<String>, Failure> {
    relay::dns::addresses(name)
}

/// Preference and host of each mail exchanger, the preferred first.
pub fn mx(name: &str) -> Result<Vec<(u16, String)>, Failure> {
    relay::dns::mx(name)
}
