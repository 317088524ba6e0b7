//! The admin surface: the HTTP API, metrics, health and the start page.

mod extract;
mod problem;
mod server;
