//! Content: how it is framed on the wire and what its octets may be.
//!
//! [`DotDecoder`] and [`DotEncoder`] know the dots of DATA (RFC 5321 §4.5.2), [`ChunkSize`] the
//! argument of BDAT (RFC 3030 §2), [`Inspector`] what is wrong or remarkable with the octets
//! themselves. All work on slices of any cut, find their bytes with `memchr`, and keep a few words of
//! state; none gathers content.

mod chunk;
mod decoder;
mod encoder;
mod inspector;

pub use chunk::ChunkSize;
pub use decoder::{Decoded, DotDecoder};
pub use encoder::{BareLineEnd, DotEncoder};
pub use inspector::{Findings, Inspector};
