//! Splitting a header section into fields (RFC 5322 §2.2).
//!
//! The grammar without its obsolete parts: a field name is printable US-ASCII directly followed by
//! the colon, and every line is either a field or the continuation of one. A line that is neither
//! ends the header for some readers and not for others, so it is refused.

use memchr::memmem;

/// A header section that was split into fields, over the octets that were received.
#[derive(Clone, Debug)]
pub struct Fields<'a>(Vec<Field<'a>>);

/// One header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name, as it was written.
    pub name: &'a str,
    /// What stands behind the colon up to the final CRLF, folds included.
    pub body: &'a [u8],
}

/// Why a header section is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderProblem {
    /// A line is neither a field nor a continuation.
    #[error("the header has a line that is not a header field")]
    NotAField,
    /// A NUL, at which some readers stop (RFC 5322 §2.2 allows none).
    #[error("the header has a NUL in it")]
    Nul,
    /// More fields than anybody needs (2,000).
    #[error("the header has too many fields")]
    TooMany,
}

/// No honest message comes near it (the largest seen in the wild have a few hundred); it bounds
/// what a component can be made to read.
const FIELDS_MAX: usize = 2_000;

/// Where the header section of `content` ends: the index behind the CRLF of its last field. None
/// while the empty line has not come yet.
///
/// `from` is where an earlier search over the beginning of the same content stopped, so that
/// searching while octets arrive stays linear.
pub fn header_end(content: &[u8], from: usize) -> Option<usize> {
    if content.starts_with(b"\r\n") {
        return Some(0);
    }
    let from = from.saturating_sub(3);
    memmem::find(content.get(from..)?, b"\r\n\r\n").map(|at| from + at + 2)
}

impl<'a> Fields<'a> {
    /// Splits a header section that ends behind the CRLF of its last field.
    ///
    /// # Errors
    /// See [`HeaderProblem`].
    pub fn parse(section: &'a [u8]) -> Result<Self, HeaderProblem> {
        if memchr::memchr(0, section).is_some() {
            return Err(HeaderProblem::Nul);
        }
        let mut fields = Vec::with_capacity(16);
        let mut rest = section;
        while !rest.is_empty() {
            if fields.len() == FIELDS_MAX {
                return Err(HeaderProblem::TooMany);
            }
            let end = field_end(rest);
            fields.push(Field::parse(&rest[..end])?);
            rest = &rest[end..];
        }
        Ok(Self(fields))
    }

    /// All fields in the order in which they stand.
    pub fn iter(&self) -> impl Iterator<Item = &Field<'a>> {
        self.0.iter()
    }

    /// The fields of that name, whatever its case.
    pub fn named<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Field<'a>> {
        self.0
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
    }

    /// The first field of that name, unfolded.
    pub fn first(&self, name: &str) -> Option<String> {
        self.named(name).next().map(Field::unfolded)
    }
}

impl<'a> Field<'a> {
    fn parse(line: &'a [u8]) -> Result<Self, HeaderProblem> {
        let colon = memchr::memchr(b':', line).ok_or(HeaderProblem::NotAField)?;
        let name = &line[..colon];
        // RFC 5322 §3.6.8: printable US-ASCII. The blank before the colon that §4.5.8 allowed once
        // hides the field from some readers.
        if name.is_empty() || !name.iter().all(|octet| (33..=126).contains(octet)) {
            return Err(HeaderProblem::NotAField);
        }
        let name = std::str::from_utf8(name).map_err(|_| HeaderProblem::NotAField)?;
        let body = &line[colon + 1..];
        Ok(Self {
            name,
            body: body.strip_suffix(b"\r\n").unwrap_or(body),
        })
    }

    /// The body on one line: folds become the blank that they stand for, blanks around it go.
    /// Octets that are not UTF-8 become replacement characters.
    pub fn unfolded(&self) -> String {
        let text = String::from_utf8_lossy(self.body);
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        if text.contains("\r\n") {
            text.replace("\r\n", "")
        } else {
            text.to_owned()
        }
    }
}

/// The index behind the field that starts `section`: behind the first CRLF that no blank follows.
fn field_end(section: &[u8]) -> usize {
    for at in memmem::find_iter(section, b"\r\n") {
        match section.get(at + 2) {
            Some(b' ' | b'\t') => {}
            _ => return at + 2,
        }
    }
    section.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_and_bodies(section: &str) -> Result<Vec<(String, String)>, HeaderProblem> {
        let fields = Fields::parse(section.as_bytes())?;
        Ok(fields
            .iter()
            .map(|field| (field.name.to_owned(), field.unfolded()))
            .collect())
    }

    #[test]
    fn fields_are_split_and_unfolded() {
        let fields =
            names_and_bodies("From: a@b.example\r\nSubject: one\r\n two\r\n\tthree \r\nX:\r\n")
                .unwrap();
        let expected = [
            ("From", "a@b.example"),
            ("Subject", "one two\tthree"),
            ("X", ""),
        ];
        assert_eq!(
            fields,
            expected.map(|(name, body)| (name.to_owned(), body.to_owned()))
        );
    }

    #[test]
    fn a_line_that_is_neither_field_nor_continuation_is_refused() {
        for section in [
            "From : a@b.example\r\n",
            " From: a@b.example\r\n",
            "From: a@b.example\r\nno colon here\r\n",
            ": empty name\r\n",
            "Fr\u{f6}m: a@b.example\r\n",
            "From\t: a@b.example\r\n",
            "\tx: y\r\nFrom: a@b.example\r\n",
        ] {
            assert_eq!(
                names_and_bodies(section),
                Err(HeaderProblem::NotAField),
                "{section:?}"
            );
        }
        assert_eq!(
            names_and_bodies("From: a@b.example\0\r\n"),
            Err(HeaderProblem::Nul)
        );
        let many = "X: y\r\n".repeat(FIELDS_MAX + 1);
        assert_eq!(names_and_bodies(&many), Err(HeaderProblem::TooMany));
    }

    #[test]
    fn the_end_of_the_header_is_found_however_the_content_arrives() {
        let content = b"From: a@b.example\r\nX: y\r\n\r\nbody\r\n\r\n";
        let whole = header_end(content, 0);
        assert_eq!(whole, Some(25));
        for cut in 0..content.len() {
            let found = header_end(&content[..cut], 0).or_else(|| header_end(content, cut));
            assert_eq!(found, whole, "cut at {cut}");
        }
        assert_eq!(header_end(b"\r\nbody", 0), Some(0));
        assert_eq!(header_end(b"From: x\r\n", 0), None);
    }
}
