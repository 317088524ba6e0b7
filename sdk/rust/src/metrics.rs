//! Numbers for the relay's metrics page, where the component's name is a label of each.
//!
//! Names and label keys are `[a-z0-9_]`, at most 64 octets; at most 4 labels, whose values are cut
//! at 64 octets. What does not fit, or would open more than 256 series, is counted and dropped by
//! the relay.

use crate::relay;

/// Adds to a counter.
pub fn count(name: &str, delta: u64, labels: &[(&str, &str)]) {
    relay::metrics::count(name, delta, labels);
}

/// Records one value of a histogram.
pub fn observe(name: &str, value: f64, labels: &[(&str, &str)]) {
    relay::metrics::observe(name, value, labels);
}
