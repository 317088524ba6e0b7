//! Mailboxes (RFC 5321 §4.1.2, RFC 6531 §3.3); the paths of the envelope are in a file of their own.
//!
//! Parsed once, here; past this file an address is trusted. A [`Mailbox`] keeps the meaning of the
//! local part (quotes that were not needed are gone) and the domain as it was given. Whether a domain
//! is a valid internationalised one (IDNA) is left to the relay.

mod path;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

pub use path::{ForwardPath, ReversePath};

/// Longest local part in octets (RFC 5321 §4.5.3.1.1).
pub const LOCAL_OCTETS_MAX: usize = 64;
/// Longest domain in octets (RFC 5321 §4.5.3.1.2).
pub const DOMAIN_OCTETS_MAX: usize = 255;
/// Longest path in octets with its angle brackets (RFC 5321 §4.5.3.1.3).
pub const PATH_OCTETS_MAX: usize = 256;
/// Longest label of a domain in octets (RFC 1035 §2.3.4).
const LABEL_OCTETS_MAX: usize = 63;

/// Why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressError {
    /// It does not follow the grammar.
    Syntax,
    /// The local part, the domain or the path is longer than RFC 5321 §4.5.3.1 allows.
    TooLong,
    /// It has characters beyond ASCII where they are not allowed.
    NonAscii,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressError::Syntax => "not a valid address",
            AddressError::TooLong => "the address is too long",
            AddressError::NonAscii => "the address has characters beyond ASCII",
        })
    }
}

impl std::error::Error for AddressError {}

/// Whether `text` is a domain or an address literal (RFC 5321 §4.1.2, §4.1.3), as what a client says
/// it is called should be.
pub fn is_host(text: &str) -> bool {
    check_domain(text).is_ok()
}

/// `local@domain`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    /// What the local part means: without quotes and backslashes.
    pub local: String,
    /// The domain as it was given, or an address literal with its brackets.
    pub domain: String,
}

impl Mailbox {
    /// Parses `local@domain`, with characters beyond ASCII only if `utf8`.
    ///
    /// # Errors
    /// [`AddressError`] says whether the grammar, a length or the characters are at fault.
    pub fn parse(text: &str, utf8: bool) -> Result<Mailbox, AddressError> {
        if !utf8 && !text.is_ascii() {
            return Err(AddressError::NonAscii);
        }
        let (local, rest) = if text.starts_with('"') {
            quoted_local(text)?
        } else {
            dotted_local(text)?
        };
        let domain = rest.strip_prefix('@').ok_or(AddressError::Syntax)?;
        if text.len() - rest.len() > LOCAL_OCTETS_MAX
            || domain.len() > DOMAIN_OCTETS_MAX
            || text.len() + 2 > PATH_OCTETS_MAX
        {
            return Err(AddressError::TooLong);
        }
        check_domain(domain)?;
        Ok(Mailbox {
            local,
            domain: domain.to_owned(),
        })
    }

    /// Whether it can be sent without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.local.is_ascii() && self.domain.is_ascii()
    }
}

impl fmt::Display for Mailbox {
    /// Writes a valid Mailbox, with quotes around a local part that needs them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.local) {
            return write!(f, "{}@{}", self.local, self.domain);
        }
        f.write_str("\"")?;
        for character in self.local.chars() {
            if matches!(character, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{character}")?;
        }
        write!(f, "\"@{}", self.domain)
    }
}

/// `Dot-string`: the local part up to the `@`, and the rest from there.
fn dotted_local(text: &str) -> Result<(String, &str), AddressError> {
    let at = text.find('@').ok_or(AddressError::Syntax)?;
    let (local, rest) = text.split_at(at);
    if !is_dot_string(local) {
        return Err(AddressError::Syntax);
    }
    Ok((local.to_owned(), rest))
}

/// `Quoted-string`: its meaning, and the rest behind the closing quote.
fn quoted_local(text: &str) -> Result<(String, &str), AddressError> {
    let mut local = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((local, &text[at + 1..])),
            '\\' => match characters.next() {
                Some((_, escaped @ ' '..='~')) => local.push(escaped),
                _ => return Err(AddressError::Syntax),
            },
            ' '..='~' => local.push(character),
            other if is_foreign(other) => local.push(other),
            _ => return Err(AddressError::Syntax),
        }
    }
    Err(AddressError::Syntax)
}

fn is_dot_string(local: &str) -> bool {
    local
        .split('.')
        .all(|atom| !atom.is_empty() && atom.chars().all(|c| is_atext(c) || is_foreign(c)))
}

/// `atext` of RFC 5322 §3.2.3.
fn is_atext(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(character)
}

/// `UTF8-non-ascii` of RFC 6531 §3.3, without controls and blanks, and without the other forms of `@` that
/// become one where text is normalised: what looks like the end of an address to another reader, or like an
/// address of its own, is not part of one here.
fn is_foreign(character: char) -> bool {
    !character.is_ascii()
        && !character.is_control()
        && !character.is_whitespace()
        && !matches!(character, '\u{ff20}' | '\u{fe6b}')
}

/// Checks a domain or an address literal.
fn check_domain(domain: &str) -> Result<(), AddressError> {
    let Some(literal) = domain.strip_prefix('[') else {
        return check_name(domain);
    };
    let literal = literal.strip_suffix(']').ok_or(AddressError::Syntax)?;
    if is_address_literal(literal) {
        Ok(())
    } else {
        Err(AddressError::Syntax)
    }
}

/// RFC 5321 §4.1.3, without the general literal: no other tag was ever registered.
fn is_address_literal(literal: &str) -> bool {
    match literal.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => literal[5..].parse::<Ipv6Addr>().is_ok(),
        _ => literal.parse::<Ipv4Addr>().is_ok(),
    }
}

/// `Domain` of RFC 5321 §4.1.2. An underscore is let through: such hosts exist, and whether one may stand in the
/// domain of a mailbox is for the relay to say.
fn check_name(name: &str) -> Result<(), AddressError> {
    for label in name.split('.') {
        let valid = !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(is_label_character);
        if !valid {
            return Err(AddressError::Syntax);
        }
        // A label beyond ASCII is measured in its A-label form, by the relay.
        if label.is_ascii() && label.len() > LABEL_OCTETS_MAX {
            return Err(AddressError::TooLong);
        }
    }
    if name.len() > DOMAIN_OCTETS_MAX {
        return Err(AddressError::TooLong);
    }
    Ok(())
}

/// The full stops of other scripts (RFC 5895 §2.3) are refused: one reader would see two labels
/// where another sees one.
fn is_label_character(character: char) -> bool {
    character.is_ascii_alphanumeric()
        || matches!(character, '-' | '_')
        || (is_foreign(character) && !matches!(character, '\u{3002}' | '\u{ff0e}' | '\u{ff61}'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(text: &str, printed: &str) {
        let mailbox = Mailbox::parse(text, true).unwrap();
        assert_eq!(mailbox.to_string(), printed, "{text}");
        assert_eq!(Mailbox::parse(printed, true).unwrap(), mailbox, "{text}");
    }

    fn check_refused(text: &str, expected: AddressError) {
        assert_eq!(Mailbox::parse(text, true), Err(expected), "{text}");
    }

    #[test]
    fn a_mailbox_prints_as_a_valid_mailbox_with_only_the_quotes_it_needs() {
        check("a@b.example", "a@b.example");
        check("A.b+c@B.example", "A.b+c@B.example");
        check("\"john\"@x.example", "john@x.example");
        check("\"j\\ohn\"@x.example", "john@x.example");
        check("\"john smith\"@x.example", "\"john smith\"@x.example");
        check("\"a\\\"b\\\\c\"@x.example", "\"a\\\"b\\\\c\"@x.example");
        check("\"a..b\"@x.example", "\"a..b\"@x.example");
        check("\"\"@x.example", "\"\"@x.example");
        check("\"a@b\"@x.example", "\"a@b\"@x.example");
        check("\"<>\"@x.example", "\"<>\"@x.example");
        check("a@[192.0.2.1]", "a@[192.0.2.1]");
        check("a@[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]");
        check("a@localhost", "a@localhost");
        check("a@under_score.example", "a@under_score.example");
        check(
            "jos\u{e9}@b\u{fc}cher.example",
            "jos\u{e9}@b\u{fc}cher.example",
        );
    }

    #[test]
    fn what_is_not_a_mailbox_is_refused() {
        for text in [
            "",
            "@",
            "a",
            "a@",
            "@b",
            ".a@b",
            "a.@b",
            "a..b@c",
            "a b@c",
            "a@b c",
            "a@b..c",
            "a@.b",
            "a@b.",
            "a@-b",
            "a@b-",
            "a@b@c",
            "\"a@b",
            "\"a\"b@c",
            "\"a\\",
            "a@[1.2.3]",
            "a@[1.2.3.4",
            "a@1.2.3.4]",
            "a@[256.1.1.1]",
            "a@[01.2.3.4]",
            "a@[IPv6:zz]",
            "a@[]",
            "a@[x-tag:1]",
            "a\r@b",
            "a@b\n",
            "\"a\r\n\"@b",
            "\"\u{1}\"@b",
            "<a@b>",
            "a@b>",
            "a,b@c",
            "a@b,c",
            "(a)@b",
            "a\u{a0}b@c",
            "a\u{ff20}b@c",
            "\"a\u{fe6b}b\"@c",
            "a@b\u{3002}c",
            "a@b/c",
            "a@b:c",
            "a@[IPv\u{e9}:::]",
        ] {
            check_refused(text, AddressError::Syntax);
        }
    }

    #[test]
    fn the_lengths_of_rfc_5321_are_kept_to_the_octet() {
        let local = "l".repeat(64);
        check(&format!("{local}@b.example"), &format!("{local}@b.example"));
        check_refused(&format!("{local}l@b.example"), AddressError::TooLong);
        let domain = format!(
            "{}.{}.{}.example",
            "a".repeat(63),
            "b".repeat(63),
            "c".repeat(53)
        );
        assert_eq!(domain.len() + 2, 191);
        check(
            &format!("{}@{domain}", &local[..64]),
            &format!("{local}@{domain}"),
        );
        let longest = format!(
            "{local}@{}.{}.{}",
            "a".repeat(63),
            "b".repeat(63),
            "c".repeat(61)
        );
        assert_eq!(longest.len() + 2, PATH_OCTETS_MAX);
        check(&longest, &longest);
        check_refused(&format!("{longest}c"), AddressError::TooLong);
        check_refused(
            &format!("a@{}.example", "a".repeat(64)),
            AddressError::TooLong,
        );
    }

    #[test]
    fn characters_beyond_ascii_need_to_be_allowed() {
        let text = "jos\u{e9}@example.com";
        assert_eq!(Mailbox::parse(text, false), Err(AddressError::NonAscii));
        assert!(!Mailbox::parse(text, true).unwrap().is_ascii());
    }
}
