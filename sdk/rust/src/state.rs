//! Small shared state: a namespace per component, a quota, a time to live. Needs the grant `state`.
//!
//! It outlives the instance and is shared with all others of the same component; read, then write
//! is a race, [`add`] and [`take`] are not.

use crate::relay;

/// Why the state could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The operator has not granted it.
    NotGranted,
    /// The component's quota is used up.
    Quota,
    /// The key or the value is too large.
    TooLarge,
    /// It cannot be reached at the moment; the text is for the log.
    Unavailable(String),
}

/// What a token bucket answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Whether the amount was taken.
    pub granted: bool,
    /// What is left.
    pub remaining: u64,
    /// When it makes sense to ask again; 0 when granted.
    pub retry_after_ms: u64,
}

/// The value of that key, if it has one.
pub fn read(key: &str) -> Result<Option<Vec<u8>>, Failure> {
    relay::state::read(key)
}

/// Writes a value that is forgotten after that time.
pub fn write(key: &str, value: &[u8], ttl_ms: u64) -> Result<(), Failure> {
    relay::state::write(key, value, ttl_ms)
}

/// Forgets a value.
pub fn remove(key: &str) -> Result<(), Failure> {
    relay::state::remove(key)
}

/// Adds to a counter (absent counts as 0) and returns its new value.
pub fn add(key: &str, delta: i64, ttl_ms: u64) -> Result<i64, Failure> {
    relay::state::add(key, delta, ttl_ms)
}

/// Takes from a token bucket that holds `burst` at most and gains `per_minute` a minute.
pub fn take(key: &str, amount: u64, burst: u64, per_minute: u64) -> Result<Grant, Failure> {
    relay::state::take(key, amount, burst, per_minute)
}
