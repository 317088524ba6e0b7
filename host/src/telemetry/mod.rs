//! Metrics and logs: the only module that knows the metrics library and the log subscriber.
//!
//! Each module declares its own metrics as a struct of these types and registers them once, under
//! names that start with `outpost_`. Label sets are bounded: never an address, a message or a user.

mod human;
mod logs;
mod plain;
mod reading;

pub use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::gauge::Gauge;
pub use prometheus_client::metrics::histogram::Histogram;
pub use prometheus_client::registry::Registry;

pub use logs::{LogFormat, Settings, change_filter, start_logs};
pub use plain::plain_exposition;
pub use reading::{read_counts, read_gauge, read_seconds};

/// The registry in the text form that Prometheus asks for (OpenMetrics 1.0).
pub fn exposition(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).expect("writing to a string does not fail");
    text
}
