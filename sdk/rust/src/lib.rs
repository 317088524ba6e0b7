//! What policy components of the Outpost mail relay are built on.
//!
//! A policy answers one or both of two questions: may this user send as this sender, and how
//! urgent is this message. It is a type that implements [`Policy`]; [`register!`] makes a component
//! of it. This is a whole one:
//!
//! ```
//! use outpost_sdk::*;
//!
//! struct OwnDomain;
//!
//! impl Policy for OwnDomain {
//!     fn authorize(tx: &Transaction) -> Decision {
//!         let user = tx.account().map(|account| account.name).unwrap_or_default();
//!         let own = format!("{user}.example.com");
//!         let mut senders = tx.senders().into_iter();
//!         match senders.find(|sender| !sender.is_in_domain(&own)) {
//!             None => permit("own-domain", format!("all senders are at {own}")),
//!             Some(other) => refuse("own-domain", format!("{other} is not at {own}"))
//!                 .saying("Use an address of your own domain."),
//!         }
//!     }
//! }
//!
//! register!(authorizer: OwnDomain);
//!
//! // In a test, without any WebAssembly:
//! let tx = testing::Transaction::builder().account("shop").author("news@shop.example.com");
//! assert_eq!(OwnDomain::authorize(&tx.build()).verdict, Verdict::Permit);
//! ```
//!
//! On `wasm32` the modules [`config`], [`log`], [`clock`], [`metrics`], [`tables`], [`state`] and
//! [`dns`] ask the relay; elsewhere they ask the double in [`testing`]. A component imports only
//! what it uses, so its import list is the list of what it wants.
//!
//! The contract itself stands in `wit/`; this crate leaves to it what each fact means.

mod answer;
pub mod clock;
pub mod config;
pub mod dns;
#[cfg(any(test, all(target_arch = "wasm32", feature = "heap")))]
#[cfg_attr(target_arch = "wasm32", allow(unsafe_code))]
mod heap;
pub mod log;
pub mod metrics;
mod policy;
mod priority;
pub mod state;
pub mod tables;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod transaction;
mod types;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
#[allow(unsafe_code, missing_docs, clippy::all)]
pub mod wire;

#[cfg(not(target_arch = "wasm32"))]
use testing::relay;
#[cfg(target_arch = "wasm32")]
use wire as relay;

pub use answer::*;
pub use policy::Policy;
#[doc(hidden)]
pub use policy::description;
pub use priority::Priority;
pub use transaction::Transaction;
pub use types::*;
