//! What the header of one MIME entity says about its body (RFC 2045).

use mail_parser::HeaderValue;
use mail_parser::parsers::MessageStream;

use super::Barrier;
use crate::message::header::{Field, Fields};

/// Longest boundary in octets. RFC 2046 §5.1.1 allows 70; programs that know better are met.
pub(super) const BOUNDARY_OCTETS_MAX: usize = 200;

/// What an entity is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Parts between lines with this boundary.
    Multipart {
        boundary: Vec<u8>,
        /// Its parts are messages unless they say otherwise (RFC 2046 §5.1.5).
        is_digest: bool,
        /// Its parts must arrive as they are (RFC 1847 §2.1).
        is_protected: bool,
    },
    /// A message with a header of its own.
    Message,
    /// A body that is text.
    Text {
        /// Whether it says so.
        is_declared: bool,
    },
    /// Any other body.
    Other,
    /// A body for which no encoding is allowed (RFC 2045 §6.4).
    Bare,
}

/// What its body is encoded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// `7bit`, or nothing.
    SevenBit,
    /// `8bit` or `binary`.
    Raw,
    /// `quoted-printable`, `base64`, or one that is not known.
    Encoded,
}

/// A header that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entity {
    pub(super) kind: Kind,
    pub(super) encoding: Encoding,
}

/// What an entity is when it does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Default {
    Text,
    Message,
}

impl Entity {
    /// Reads a header section without its empty line.
    ///
    /// # Errors
    /// [`Barrier::Structure`] when two readers could read it differently.
    pub(super) fn read(section: &[u8], default: Default) -> Result<Self, Barrier> {
        let fields = Fields::parse(section).map_err(|_| Barrier::Structure)?;
        let encoding = match only(&fields, "Content-Transfer-Encoding")? {
            None => Encoding::SevenBit,
            Some(field) => encoding(&field.unfolded()),
        };
        let kind = match only(&fields, "Content-Type")? {
            Some(field) => kind(field)?,
            None if default == Default::Message => Kind::Message,
            None => Kind::Text { is_declared: false },
        };
        let kind = match (kind, encoding) {
            // RFC 2045 §6.4 forbids it. A message is opaque then; readers differ about parts.
            (Kind::Message, Encoding::Encoded) => Kind::Bare,
            (Kind::Multipart { .. }, Encoding::Encoded) => return Err(Barrier::Structure),
            (kind, _) => kind,
        };
        Ok(Self { kind, encoding })
    }
}

/// The only field of that name.
fn only<'f, 'a>(fields: &'f Fields<'a>, name: &'f str) -> Result<Option<&'f Field<'a>>, Barrier> {
    let mut named = fields.named(name);
    let field = named.next();
    match named.next() {
        None => Ok(field),
        Some(_) => Err(Barrier::Structure),
    }
}

fn encoding(value: &str) -> Encoding {
    // A comment is allowed behind it (RFC 2045 §6.1).
    let token = value.split(['(', ';', ' ', '\t']).next().unwrap_or("");
    let is = |name: &str| token.eq_ignore_ascii_case(name);
    if is("7bit") || value.trim().is_empty() {
        Encoding::SevenBit
    } else if is("8bit") || is("binary") {
        Encoding::Raw
    } else {
        Encoding::Encoded
    }
}

fn kind(field: &Field<'_>) -> Result<Kind, Barrier> {
    let mut value = field.body.to_vec();
    value.extend_from_slice(b"\r\n");
    let parsed = MessageStream::new(&value).parse_content_type();
    let HeaderValue::ContentType(content_type) = &parsed else {
        return Ok(Kind::Other);
    };
    let is = |part: &str, name: &str| part.eq_ignore_ascii_case(name);
    let main = content_type.ctype();
    let sub = content_type.subtype().unwrap_or("");
    if is(main, "multipart") {
        let attributes = content_type.attributes().unwrap_or_default();
        let mut boundaries = attributes
            .iter()
            .filter(|attribute| is(&attribute.name, "boundary"))
            .map(|attribute| attribute.value.trim_end_matches([' ', '\t']));
        let (Some(boundary), None) = (boundaries.next(), boundaries.next()) else {
            return Err(Barrier::Structure);
        };
        if boundary.is_empty() || boundary.len() > BOUNDARY_OCTETS_MAX || !boundary.is_ascii() {
            return Err(Barrier::Structure);
        }
        return Ok(Kind::Multipart {
            boundary: boundary.as_bytes().to_vec(),
            is_digest: is(sub, "digest"),
            is_protected: is(sub, "signed") || is(sub, "encrypted"),
        });
    }
    if is(main, "message") {
        // RFC 6532 §3.7, RFC 6533 §6: the forms for UTF-8 may be encoded as any body.
        let is_global = sub
            .get(..6)
            .is_some_and(|start| start.eq_ignore_ascii_case("global"));
        return Ok(match sub {
            _ if is_global => Kind::Other,
            _ if is(sub, "rfc822") => Kind::Message,
            _ => Kind::Bare,
        });
    }
    Ok(if is(main, "text") {
        Kind::Text { is_declared: true }
    } else {
        Kind::Other
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(section: &str) -> Result<Entity, Barrier> {
        Entity::read(section.as_bytes(), Default::Text)
    }

    fn multipart(boundary: &str, is_digest: bool, is_protected: bool) -> Kind {
        Kind::Multipart {
            boundary: boundary.into(),
            is_digest,
            is_protected,
        }
    }

    #[test]
    fn types_are_told_apart() {
        for (value, kind) in [
            (
                "text/plain; charset=utf-8",
                Kind::Text { is_declared: true },
            ),
            ("TEXT", Kind::Text { is_declared: true }),
            ("image/png", Kind::Other),
            ("message/rfc822", Kind::Message),
            ("message/global", Kind::Other),
            ("message/delivery-status", Kind::Bare),
            (
                "multipart/mixed; boundary=abc",
                multipart("abc", false, false),
            ),
            (
                "multipart/Digest;\r\n boundary=\"a b: \\\"c\"",
                multipart("a b: \"c", true, false),
            ),
            (
                "multipart/signed; micalg=x; boundary=Q (comment)",
                multipart("Q", false, true),
            ),
            (
                "multipart/encrypted; boundary=Q",
                multipart("Q", false, true),
            ),
        ] {
            let section = format!("Subject: x\r\nContent-Type: {value}\r\n");
            assert_eq!(
                read(&section).map(|entity| entity.kind),
                Ok(kind),
                "{value}"
            );
        }
        let undeclared = Kind::Text { is_declared: false };
        assert_eq!(
            read("Subject: x\r\n").map(|entity| entity.kind),
            Ok(undeclared)
        );
        let digested = Entity::read(b"", Default::Message).map(|entity| entity.kind);
        assert_eq!(digested, Ok(Kind::Message));
    }

    #[test]
    fn encodings_are_told_apart() {
        for (value, encoding) in [
            ("7bit", Encoding::SevenBit),
            ("", Encoding::SevenBit),
            ("8BIT", Encoding::Raw),
            ("binary (really)", Encoding::Raw),
            ("base64", Encoding::Encoded),
            ("Quoted-Printable", Encoding::Encoded),
            ("x-uuencode", Encoding::Encoded),
            ("8bits", Encoding::Encoded),
        ] {
            let section = format!("Content-Transfer-Encoding: {value}\r\n");
            let read = read(&section).map(|entity| entity.encoding);
            assert_eq!(read, Ok(encoding), "{value}");
        }
    }

    #[test]
    fn what_readers_differ_about_is_refused() {
        let long = "a".repeat(BOUNDARY_OCTETS_MAX + 1);
        for section in [
            "Content-Type: text/plain\r\nContent-Type: text/html\r\n",
            "Content-Transfer-Encoding: 8bit\r\nContent-transfer-encoding: 7bit\r\n",
            "Content-Type: multipart/mixed\r\n",
            "Content-Type: multipart/mixed; boundary=\"\"\r\n",
            "Content-Type: multipart/mixed; boundary=a; boundary=b\r\n",
            &format!("Content-Type: multipart/mixed; boundary={long}\r\n"),
            "Content-Type: multipart/mixed; boundary=a\r\nContent-Transfer-Encoding: base64\r\n",
            "no field\r\n",
        ] {
            assert_eq!(read(section), Err(Barrier::Structure), "{section}");
        }
    }
}
