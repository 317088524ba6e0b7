//! What fuzzing checks: one function per target, which takes any octets and panics when something does
//! not hold.
//!
//! `tests/replay.rs` runs each over its corpus with every other test; the package in `libfuzzer` runs
//! them under libFuzzer. Each target has a file here, a folder of its name in `corpus`, and a program
//! of its name in `libfuzzer/fuzz_targets`. Nothing here is part of the relay.

mod address;
mod answer;
mod authors;
mod bdat;
mod client;
mod command;
mod cut;
mod header;
mod line;
mod reply;
mod server;
mod stored;
#[path = "../../host/smtp/tests/support/mod.rs"]
mod support;

pub use address::address;
pub use answer::answer;
pub use authors::{authors, checked, comparable};
pub use bdat::bdat;
pub use client::client;
pub use command::command;
pub use header::header;
pub use line::line;
pub use reply::reply;
pub use server::server;
pub use stored::stored;

/// A target: its name, and what it does with octets.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 11] = [
    ("address", address),
    ("answer", answer),
    ("authors", authors),
    ("bdat", bdat),
    ("client", client),
    ("command", command),
    ("header", header),
    ("line", line),
    ("reply", reply),
    ("server", server),
    ("stored", stored),
];
