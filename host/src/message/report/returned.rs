//! The part of a report that returns the message, or its header (RFC 3461 §4.3, RFC 6522 §4).
//!
//! The whole message is returned when the sender asked for it, when the report is about a failure
//! (RFC 3461 §4.3 wants no more than the header otherwise) and when it can be returned without
//! changing an octet within the limits, but never of a message that TLS was required for. In all other cases the header is; so it is where the whole would make a
//! report that cannot reach a host without 8BITMIME.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use outpost_smtp::Ret;

use super::{Kind, Report, text};

/// RFC 5322 §2.1.1: octets of a line, without its CRLF.
const LINE_OCTETS_MAX: usize = 998;

/// What is returned, and how.
pub(super) struct Returned<'a> {
    media_type: &'static str,
    encoding: Encoding,
    octets: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    SevenBit,
    EightBit,
    QuotedPrintable,
    Base64,
}

impl<'a> Returned<'a> {
    /// Decides for a report; `smtputf8` says that the report itself travels with SMTPUTF8.
    pub(super) fn choose(report: &Report<'a>, smtputf8: bool) -> Self {
        let content = report.content;
        // RFC 8689 §5: as if RET=HDRS had been said.
        let is_header_only = report.about.envelope.require_tls;
        let complete = u64::try_from(content.len()) == Ok(report.about.content_octets);
        let full = report.kind == Kind::Failure
            && !is_header_only
            && report.about.envelope.ret == Some(Ret::Full)
            && complete
            && has_short_lines(content);
        match full {
            true => Self::full(content, header_of(content), smtputf8),
            false => Self::header(report, smtputf8),
        }
    }

    fn full(content: &'a [u8], header: &[u8], smtputf8: bool) -> Self {
        // RFC 2046 §5.2.1 allows no encoding of message/rfc822; RFC 6532 §3.7 allows it of message/global.
        let (media_type, encoding) = match (header.is_ascii(), smtputf8, content.is_ascii()) {
            (true, _, true) => ("message/rfc822", Encoding::SevenBit),
            (true, _, false) => ("message/rfc822", Encoding::EightBit),
            (false, true, _) => ("message/global", Encoding::EightBit),
            (false, false, _) => ("message/global", Encoding::Base64),
        };
        Self {
            media_type,
            encoding,
            octets: content,
        }
    }

    /// The header alone, for a report that must not have the whole.
    pub(super) fn header(report: &Report<'a>, smtputf8: bool) -> Self {
        let header = header_of(report.content);
        let (media_type, encoding) = match (header.is_ascii() && has_short_lines(header), smtputf8)
        {
            (true, _) => ("text/rfc822-headers", Encoding::SevenBit),
            (false, true) if has_short_lines(header) => {
                ("message/global-headers", Encoding::EightBit)
            }
            // RFC 6522 §4: a header that is no legal 7-bit text may be encoded.
            (false, _) => (
                "text/rfc822-headers; charset=utf-8",
                Encoding::QuotedPrintable,
            ),
        };
        Self {
            media_type,
            encoding,
            octets: header,
        }
    }

    /// Octets that are returned, before encoding.
    pub(super) fn octets(&self) -> usize {
        self.octets.len()
    }

    /// Whether this part makes the report 8-bit.
    pub(super) fn is_eight_bit(&self) -> bool {
        self.encoding == Encoding::EightBit
    }

    /// Appends the part.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        text::field(out, "Content-Type", self.media_type);
        text::field(out, "Content-Transfer-Encoding", self.encoding.name());
        out.extend_from_slice(b"\r\n");
        match self.encoding {
            Encoding::SevenBit | Encoding::EightBit => out.extend_from_slice(self.octets),
            Encoding::QuotedPrintable => text::quoted_printable(out, self.octets),
            Encoding::Base64 => base64_lines(out, self.octets),
        }
    }
}

impl Encoding {
    /// The name in a Content-Transfer-Encoding (RFC 2045 §6.1).
    const fn name(self) -> &'static str {
        match self {
            Encoding::SevenBit => "7bit",
            Encoding::EightBit => "8bit",
            Encoding::QuotedPrintable => "quoted-printable",
            Encoding::Base64 => "base64",
        }
    }
}

/// The header with its last CRLF, without the empty line. Of a header that was cut, the whole lines.
fn header_of(content: &[u8]) -> &[u8] {
    if content.starts_with(b"\r\n") {
        return &[];
    }
    if let Some(end) = memchr::memmem::find(content, b"\r\n\r\n") {
        return &content[..end + 2];
    }
    match memchr::memmem::rfind(content, b"\r\n") {
        Some(end) => &content[..end + 2],
        None => &[],
    }
}

fn has_short_lines(content: &[u8]) -> bool {
    content
        .split(|octet| *octet == b'\n')
        .all(|line| line.len() <= LINE_OCTETS_MAX + 1)
}

fn base64_lines(out: &mut Vec<u8>, octets: &[u8]) {
    // 57 octets make the 76 characters that RFC 2045 §6.8 allows on a line.
    for line in octets.chunks(57) {
        out.extend_from_slice(STANDARD.encode(line).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_ends_before_the_empty_line_and_a_cut_one_at_a_whole_line() {
        for (content, header) in [
            ("A: 1\r\nB: 2\r\n\r\nbody", "A: 1\r\nB: 2\r\n"),
            ("A: 1\r\nB: 2\r\n", "A: 1\r\nB: 2\r\n"),
            ("A: 1\r\nB: cut", "A: 1\r\n"),
            ("cut", ""),
            ("\r\nbody", ""),
            ("", ""),
        ] {
            assert_eq!(
                header_of(content.as_bytes()),
                header.as_bytes(),
                "{content:?}"
            );
        }
    }

    #[test]
    fn lines_of_998_octets_are_short_and_longer_ones_are_not() {
        assert!(has_short_lines(
            format!("{}\r\n", "x".repeat(998)).as_bytes()
        ));
        assert!(!has_short_lines(
            format!("{}\r\n", "x".repeat(999)).as_bytes()
        ));
    }
}
