//! Text as a report may carry it: one line, no control characters, within the line limits.
//!
//! Everything that others wrote passes through [`one_line`] before it stands in a report.

use std::fmt::Write;

/// Which characters may stand in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    /// ASCII; others are written as `\x{10FFFF}` (RFC 6533 §3).
    Ascii,
    /// Any that can be printed.
    Any,
}

/// Lines are folded and wrapped to this many octets where there are blanks to do it at (RFC 5322 §2.1.1).
const LINE_OCTETS: usize = 76;
/// A word of more octets is broken (RFC 5322 §2.1.1 ends a line at 998).
const WORD_OCTETS_MAX: usize = 900;
/// Blanks kept in a row: a local part may have 64 octets (RFC 5321 §4.5.3.1.1).
const BLANKS_MAX: usize = 64;
/// More characters than this of one text tell a reader nothing new.
const TEXT_CHARACTERS_MAX: usize = 1_000;

/// The text on one line: runs of blanks and of characters that cannot be printed become one
/// blank, and what is too long is cut.
pub(super) fn one_line(text: &str, script: Script) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.trim().chars().take(TEXT_CHARACTERS_MAX) {
        if !is_blank(character) || !line.ends_with(' ') {
            push(&mut line, character, script);
        }
    }
    line
}

/// The same of an address or a name, in which each blank counts: what cannot be printed becomes a blank, one by
/// one.
pub(super) fn exact(text: &str, script: Script) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars().take(TEXT_CHARACTERS_MAX) {
        push(&mut line, character, script);
    }
    line
}

fn push(line: &mut String, character: char, script: Script) {
    if is_blank(character) {
        line.push(' ');
    } else if character.is_ascii() || script == Script::Any {
        line.push(character);
    } else {
        push_escaped(line, character);
    }
}

/// Whether a blank stands for it.
fn is_blank(character: char) -> bool {
    character.is_whitespace() || is_unprintable(character)
}

/// RFC 6533 §3: EmbeddedUnicodeChar.
pub(super) fn push_escaped(line: &mut String, character: char) {
    write!(line, "\\x{{{:02X}}}", u32::from(character)).expect("writing to a string does not fail");
}

/// Control characters, and those that make a line read in another order than it is written.
fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Writes a header field, folded. The value is a line already.
pub(super) fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    let mut column = name.len() + 1;
    for (blanks, word) in words(value) {
        let blanks = blanks.max(1);
        // The first word stays beside the name: a field whose first line is empty trips old readers.
        if column + blanks + word.len() > LINE_OCTETS && column > name.len() + 1 {
            out.extend_from_slice(b"\r\n");
            column = 0;
        }
        out.extend(std::iter::repeat_n(b' ', blanks));
        out.extend_from_slice(word.as_bytes());
        column += blanks + word.len();
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a paragraph, wrapped and indented. The text is a line already.
pub(super) fn paragraph(out: &mut String, indent: usize, text: &str) {
    let mut column = 0;
    for (blanks, word) in words(text) {
        let blanks = blanks.max(1);
        if column > 0 && column + blanks + word.len() > LINE_OCTETS {
            out.push_str("\r\n");
            column = 0;
        }
        let blanks = if column == 0 { indent } else { blanks };
        out.extend(std::iter::repeat_n(' ', blanks));
        out.push_str(word);
        column += blanks + word.len();
    }
    out.push_str("\r\n");
}

/// The words of a line, in pieces that fit on one, and the blanks before each; those at the end are left out.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = line.trim_end_matches(' ');
    std::iter::from_fn(move || {
        let word = rest.trim_start_matches(' ');
        if word.is_empty() {
            return None;
        }
        // No more than an address has; who writes more has no say in how long a line is.
        let blanks = (rest.len() - word.len()).min(BLANKS_MAX);
        let end = word.find(' ').unwrap_or(word.len()).min(WORD_OCTETS_MAX);
        let (word, after) = word.split_at(word.floor_char_boundary(end));
        rest = after;
        Some((blanks, word))
    })
}

/// Appends text with CRLF line ends in quoted-printable (RFC 2045 §6.7).
pub(super) fn quoted_printable(out: &mut Vec<u8>, text: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut column = 0;
    let mut octets = text.iter().copied().enumerate();
    while let Some((at, octet)) = octets.next() {
        let rest = &text[at + 1..];
        if octet == b'\r' && rest.first() == Some(&b'\n') {
            octets.next();
            out.extend_from_slice(b"\r\n");
            column = 0;
            continue;
        }
        // Blanks at the end of a line are lost on the way unless they are encoded.
        let ends_line = rest.is_empty() || rest.starts_with(b"\r\n");
        let plain = match octet {
            b'=' => false,
            b' ' | b'\t' => !ends_line,
            octet => octet.is_ascii_graphic(),
        };
        let width = if plain { 1 } else { 3 };
        // One column stays free for the `=` of a soft break.
        if column + width > LINE_OCTETS - 1 {
            out.extend_from_slice(b"=\r\n");
            column = 0;
        }
        if plain {
            out.push(octet);
        } else {
            out.push(b'=');
            out.push(HEX[usize::from(octet >> 4)]);
            out.push(HEX[usize::from(octet & 15)]);
        }
        column += width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_others_becomes_one_printable_line() {
        for (text, ascii, any) in [
            ("plain", "plain", "plain"),
            (
                "a\r\nBcc: x@y.example",
                "a Bcc: x@y.example",
                "a Bcc: x@y.example",
            ),
            ("a\0\u{1b}[31m \t b\n", "a [31m b", "a [31m b"),
            ("b\u{fc}cher", "b\\x{FC}cher", "b\u{fc}cher"),
            ("\u{202e}txt\u{2028}x", " txt x", " txt x"),
        ] {
            assert_eq!(one_line(text, Script::Ascii), ascii, "{text:?}");
            assert_eq!(one_line(text, Script::Any), any, "{text:?}");
        }
        assert_eq!(
            one_line(&"x".repeat(5_000), Script::Any).len(),
            TEXT_CHARACTERS_MAX
        );
    }

    #[test]
    fn of_an_address_each_blank_is_kept() {
        let address = exact("\"a  b\r\n \u{202e}c\"@x.example ", Script::Ascii);
        assert_eq!(address, "\"a  b    c\"@x.example ");
        for column in 0..80 {
            let mut out = Vec::new();
            field(&mut out, &"n".repeat(column), &format!("rfc822; {address}"));
            let text = String::from_utf8(out).unwrap_or_default();
            let unfolded = text.replace("\r\n ", " ");
            assert!(unfolded.ends_with(": rfc822; \"a  b    c\"@x.example\r\n"));
            assert!(
                text.split_terminator("\r\n")
                    .all(|line| !line.trim().is_empty())
            );
        }
        let mut out = String::new();
        paragraph(&mut out, 4, &address);
        assert_eq!(out, "    \"a  b    c\"@x.example\r\n");
    }

    #[test]
    fn fields_are_folded_at_blanks_and_long_words_are_broken() {
        let mut out = Vec::new();
        field(
            &mut out,
            "Name",
            &format!("{} {}", "word ".repeat(40), "x".repeat(2_000)),
        );
        let text = String::from_utf8(out).unwrap_or_default();
        assert!(text.starts_with("Name: word word"));
        assert!(text.ends_with("x\r\n"));
        for line in text.split_terminator("\r\n").skip(1) {
            assert!(
                line.starts_with(' ') && line.len() > 1 && line.len() < 998,
                "{line:?}"
            );
        }
    }

    #[test]
    fn paragraphs_are_wrapped_and_indented() {
        let mut out = String::new();
        paragraph(&mut out, 4, &"seven77 ".repeat(20));
        assert!(
            out.split_terminator("\r\n")
                .all(|line| line.starts_with("    s") && line.len() <= 76)
        );
    }

    #[test]
    fn quoted_printable_keeps_lines_short_and_encodes_what_is_not_plain() {
        for (text, encoded) in [
            ("a=b\r\n", "a=3Db\r\n"),
            ("end \r\nx\t", "end=20\r\nx=09"),
            ("\u{fc}", "=C3=BC"),
            ("\rx", "=0Dx"),
        ] {
            let mut out = Vec::new();
            quoted_printable(&mut out, text.as_bytes());
            assert_eq!(String::from_utf8_lossy(&out), encoded);
        }
        let mut out = Vec::new();
        quoted_printable(&mut out, "\u{fc}".repeat(500).as_bytes());
        assert!(
            out.split(|octet| *octet == b'\n')
                .all(|line| line.len() <= 77)
        );
    }
}
