//! Outpost: an edge mail relay that operators extend with WebAssembly.
//!
//! The modules stand in layers and import downwards only (ARCHITECTURE.md has the map, the tidy
//! test keeps it): plain types (`message`, `account`, `policy`, `alert`), one module per outside thing
//! (`spool`, `directory`, `stable`, `regular`, `backup`, `plugin`, `net`, `tls`, `dns`, `auth`, `clock`, `telemetry`, `webhook`), tasks
//! (`reception`, `queue`, `delivery`, `admin`, `watch`), and what assembles them (`relay`, `cli`, `config`, `sink`, `demo`).

pub mod account;
pub mod admin;
pub mod alert;
pub mod auth;
pub mod backup;
pub mod cli;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod demo;
pub mod directory;
pub mod dns;
pub mod message;
pub mod net;
pub mod plugin;
pub mod policy;
pub mod queue;
pub mod reception;
mod regular;
pub mod relay;
pub mod sink;
pub mod spool;
mod stable;
pub mod telemetry;
pub mod tls;
pub mod watch;
pub mod webhook;
