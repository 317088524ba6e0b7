//! The two encodings of RFC 2045 §6.7 and §6.8, in pieces of any cut.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Longest line of an encoded body, without its CRLF.
const LINE_OCTETS_MAX: usize = 76;

/// Octets that make a full line of base64.
const BASE64_INPUT: usize = LINE_OCTETS_MAX / 4 * 3;

/// Encodes text: line ends stay line ends.
#[derive(Debug, Default)]
pub(super) struct QuotedPrintable {
    column: usize,
    /// A CR, a blank or a tab whose meaning the next octet decides.
    held: Option<u8>,
}

impl QuotedPrintable {
    pub(super) fn encode(&mut self, piece: &[u8], output: &mut Vec<u8>) {
        for &octet in piece {
            if let Some(held) = self.held.take() {
                match (held, octet) {
                    (b'\r', b'\n') => {
                        output.extend_from_slice(b"\r\n");
                        self.column = 0;
                        continue;
                    }
                    // RFC 2045 §6.7 (3): a blank at the end of a line would get lost.
                    (b' ' | b'\t', b'\r') | (b'\r', _) => self.escaped(held, output),
                    _ => self.plain(held, output),
                }
            }
            match octet {
                b'\r' | b' ' | b'\t' => self.held = Some(octet),
                // Two dashes at the start of a line could read like the delimiter of a multipart.
                b'-' if self.starts_line(1) => self.escaped(octet, output),
                b'!'..=b'~' if octet != b'=' => self.plain(octet, output),
                _ => self.escaped(octet, output),
            }
        }
    }

    pub(super) fn finish(mut self, output: &mut Vec<u8>) {
        if let Some(held) = self.held.take() {
            self.escaped(held, output);
        }
    }

    /// Whether so many octets more stand at the start of a line, folded here or not.
    fn starts_line(&self, octets: usize) -> bool {
        self.column == 0 || self.column + octets >= LINE_OCTETS_MAX
    }

    fn plain(&mut self, octet: u8, output: &mut Vec<u8>) {
        self.fold(1, output);
        output.push(octet);
    }

    fn escaped(&mut self, octet: u8, output: &mut Vec<u8>) {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        self.fold(3, output);
        let (high, low) = (usize::from(octet >> 4), usize::from(octet & 15));
        output.extend_from_slice(&[b'=', DIGITS[high], DIGITS[low]]);
    }

    /// Makes room for so many octets, and for the mark of a line that goes on.
    fn fold(&mut self, octets: usize, output: &mut Vec<u8>) {
        if self.column + octets >= LINE_OCTETS_MAX {
            output.extend_from_slice(b"=\r\n");
            self.column = 0;
        }
        self.column += octets;
    }
}

/// Encodes anything.
#[derive(Debug, Default)]
pub(super) struct Base64 {
    /// Less than a line.
    rest: Vec<u8>,
    has_line: bool,
}

impl Base64 {
    pub(super) fn encode(&mut self, mut piece: &[u8], output: &mut Vec<u8>) {
        while self.rest.len() + piece.len() >= BASE64_INPUT {
            let (part, behind) = piece.split_at(BASE64_INPUT - self.rest.len());
            self.rest.extend_from_slice(part);
            piece = behind;
            self.line(output);
        }
        self.rest.extend_from_slice(piece);
    }

    pub(super) fn finish(mut self, output: &mut Vec<u8>) {
        if !self.rest.is_empty() {
            self.line(output);
        }
    }

    /// The line end before a delimiter is not the body's, so lines are put in between.
    fn line(&mut self, output: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_line, true) {
            output.extend_from_slice(b"\r\n");
        }
        output.extend_from_slice(STANDARD.encode(&self.rest).as_bytes());
        self.rest.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn quoted(pieces: &[&[u8]]) -> String {
        let (mut encoder, mut output) = (QuotedPrintable::default(), Vec::new());
        for piece in pieces {
            encoder.encode(piece, &mut output);
        }
        encoder.finish(&mut output);
        String::from_utf8(output).unwrap()
    }

    fn base64(pieces: &[&[u8]]) -> String {
        let (mut encoder, mut output) = (Base64::default(), Vec::new());
        for piece in pieces {
            encoder.encode(piece, &mut output);
        }
        encoder.finish(&mut output);
        String::from_utf8(output).unwrap()
    }

    /// By the letter of RFC 2045 §6.7, written apart from the encoder.
    fn unquoted(text: &str) -> Vec<u8> {
        let mut octets = Vec::new();
        let lines: Vec<&str> = text.split("\r\n").collect();
        for (at, line) in lines.iter().enumerate() {
            let (line, goes_on) = match line.strip_suffix('=') {
                Some(line) => (line, true),
                None => (*line, false),
            };
            let mut rest = line.as_bytes();
            while let [first, behind @ ..] = rest {
                if *first == b'=' {
                    let digits = std::str::from_utf8(&behind[..2]).unwrap();
                    octets.push(u8::from_str_radix(digits, 16).unwrap());
                    rest = &behind[2..];
                } else {
                    octets.push(*first);
                    rest = behind;
                }
            }
            if !goes_on && at + 1 < lines.len() {
                octets.extend(b"\r\n");
            }
        }
        octets
    }

    #[test]
    fn text_is_quoted_as_rfc_2045_says() {
        for (text, encoded) in [
            ("", ""),
            ("plain\r\n", "plain\r\n"),
            ("gr\u{fc}n = 1\r\n", "gr=C3=BCn =3D 1\r\n"),
            ("end \r\ntab\t\r\nlast ", "end=20\r\ntab=09\r\nlast=20"),
            ("--b\r\n-x\r\na--b\r\n", "=2D-b\r\n=2Dx\r\na--b\r\n"),
            ("\0\u{7f}", "=00=7F"),
            ("a\rb\r", "a=0Db=0D"),
        ] {
            assert_eq!(quoted(&[text.as_bytes()]), encoded, "{text:?}");
        }
        // Nothing that is folded begins like a delimiter.
        let folded = quoted(&["-".repeat(200).as_bytes()]);
        assert!(
            folded.lines().all(|line| !line.starts_with("--")),
            "{folded}"
        );
    }

    fn octets() -> impl Strategy<Value = Vec<u8>> {
        let octet = prop_oneof![
            4 => any::<u8>(),
            2 => prop::sample::select(b"\r\n \t=-.".to_vec()),
            3 => b'a'..=b'z',
        ];
        prop::collection::vec(octet, 0..400)
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_what_it_was(octets in octets(), cut in 1usize..90) {
            let pieces: Vec<&[u8]> = octets.chunks(cut).collect();
            let quoted = quoted(&pieces);
            prop_assert_eq!(unquoted(&quoted), octets.clone());
            let base64 = base64(&pieces);
            let joined = base64.replace("\r\n", "");
            prop_assert_eq!(STANDARD.decode(joined).unwrap(), octets);
            for line in quoted.split("\r\n").chain(base64.split("\r\n")) {
                prop_assert!(line.len() <= LINE_OCTETS_MAX, "{}", line);
                prop_assert!(!line.ends_with([' ', '\t']) && !line.starts_with("--"));
            }
        }
    }
}
