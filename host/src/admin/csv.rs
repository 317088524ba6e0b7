//! Tables for spreadsheets (RFC 4180): cells with commas between, each quoted, each row ended with CRLF.
//!
//! What others wrote stands in cells, and a spreadsheet takes a cell for a formula that begins like one. Such a cell
//! gets an apostrophe before it: it is shown as text, and nothing in it is reckoned or fetched.

use std::io::{self, Write};

/// The media type, with its header row.
pub(super) const MEDIA_TYPE: &str = "text/csv; charset=utf-8; header=present";

/// Writes a row.
pub(super) fn row<'a>(
    out: &mut impl Write,
    cells: impl IntoIterator<Item = &'a str>,
) -> io::Result<()> {
    let mut separator = "";
    for cell in cells {
        // A formula may stand behind blanks and line ends too.
        let first = cell.trim_start().chars().next();
        let is_formula = first.is_some_and(|first| "=+-@".contains(first));
        let is_formula = is_formula || cell.starts_with(['\t', '\r', '\n']);
        let apostrophe = if is_formula { "'" } else { "" };
        let quoted = cell.replace('"', "\"\"");
        write!(out, "{separator}\"{apostrophe}{quoted}\"")?;
        separator = ",";
    }
    out.write_all(b"\r\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_cell_is_text_whatever_stands_in_it() {
        for (cell, expected) in [
            ("", r#""""#),
            ("a,b", r#""a,b""#),
            ("say \"x\"", r#""say ""x""""#),
            ("a\r\nb", "\"a\r\nb\""),
            ("=HYPERLINK(\"x\")", r#""'=HYPERLINK(""x"")""#),
            ("+1", r#""'+1""#),
            ("-1", r#""'-1""#),
            ("@SUM(A1)", r#""'@SUM(A1)""#),
            (" =1", r#""' =1""#),
            ("\t=1", "\"'\t=1\""),
            ("\u{a0}=1", "\"'\u{a0}=1\""),
            ("a=1", r#""a=1""#),
        ] {
            let mut out = Vec::new();
            row(&mut out, [cell, "x"]).unwrap();
            let expected = format!("{expected},\"x\"\r\n");
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{cell:?}");
        }
    }
}
