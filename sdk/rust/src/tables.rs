//! Tables that the operator supplies and the relay indexes. Needs the grant `tables`.

use crate::relay;

/// Why a table gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No table of that name.
    Unknown,
    /// The operator has not granted this table to the component.
    NotGranted,
    /// It cannot be read at the moment; the text is for the log.
    Unavailable(String),
}

/// Whether the table has that key.
pub fn contains(table: &str, key: &str) -> Result<bool, Failure> {
    relay::tables::contains(table, key)
}

/// The value that the table has for that key.
pub fn find(table: &str, key: &str) -> Result<Option<String>, Failure> {
    relay::tables::find(table, key)
}

/// Whether a network of the table covers that IP address.
pub fn contains_address(table: &str, address: &str) -> Result<bool, Failure> {
    relay::tables::contains_address(table, address)
}
