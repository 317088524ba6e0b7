//! The tests that look at Outpost from outside: the repository as text, and the relay as a program
//! with real clients and real next hops. What can be shown lower down is shown there.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod dialogues;
mod e2e;
mod support;
mod tidy;
