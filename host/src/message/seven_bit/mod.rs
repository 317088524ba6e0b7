//! Conversion for next hops that take seven bits only (RFC 6152 §3).
//!
//! A content with octets above 127 is rewritten so that every reader decodes it to what was sent: of
//! each part that needs it the body is encoded, text as quoted-printable and the rest as base64, and its
//! Content-Transfer-Encoding says so. Everything else stays octet for octet. What cannot be rewritten
//! without changing what it says is refused with a [`Barrier`]: signed and encrypted parts (RFC 1847 §2.1),
//! octets above 127 in a header, encodings that are none, structures that readers differ about.
//!
//! The content is read twice, in pieces of any cut: a [`Survey`] says whether and how, a [`Converter`] does
//! it. Both keep a header and the start of a line in memory, and never a body. What comes out depends on
//! the content alone, so an attempt that begins anew sends the same octets.

mod converter;
mod encoder;
mod entity;
mod structure;
mod survey;
#[cfg(test)]
mod tests;

pub use converter::Converter;
pub use survey::{Survey, Surveyed};

/// Why a content cannot be made to have seven bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Barrier {
    /// A header has octets above 127. Only SMTPUTF8 carries those (RFC 6532).
    #[error("a header has octets beyond ASCII")]
    Header,
    /// A signed or encrypted part would be changed.
    #[error("a signed or encrypted part would be changed")]
    Protected,
    /// A part is encoded already, or by an encoding that is not known, and has octets above 127.
    #[error("a part is not what its encoding says")]
    Encoding,
    /// A header or the structure can be read in more than one way, or is larger than anybody needs.
    #[error("the structure of the message is unclear")]
    Structure,
}

/// What is done with each entity of a content, in the order of their headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan(Vec<Action>);

/// What is done with one entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// It stays as it is.
    Keep,
    /// It is seven-bit, and says so.
    Relabel,
    /// Its body is encoded as quoted-printable. A text without a type gets one.
    Quote(Option<Charset>),
    /// Its body is encoded as base64.
    Base64,
}

/// The charset of a text that names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charset {
    /// It can be nothing else: every octet above 127 fits.
    Utf8,
    /// RFC 1428 §3.
    Unknown,
}
