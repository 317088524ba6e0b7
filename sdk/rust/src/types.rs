//! The facts of a transaction as plain values, and how a mailbox is compared with a rule.
//!
//! These are the records of `wit/types.wit` and `wit/host.wit` with Rust's names; there stands what
//! each may hold. The relay has parsed and normalised them, nothing here checks them again.

use crate::Priority;
use core::fmt;
use std::borrow::Cow;

/// Who is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Names the session in the relay's log. Opaque.
    pub id: String,
    /// The port of the relay that the client connected to.
    pub listener_port: u16,
    /// The client's IP address as text.
    pub client_address: String,
    /// The client's port.
    pub client_port: u16,
    /// The argument of EHLO or HELO, as given; nobody checked it.
    pub ehlo: String,
    /// None: the connection is not encrypted.
    pub tls: Option<Tls>,
    /// Further facts by name.
    pub attributes: Vec<Attribute>,
}

/// The encryption of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// `1.2` or `1.3`.
    pub version: String,
    /// The cipher suite by its IANA name.
    pub cipher: String,
}

/// The logged-in user, without any secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The login name.
    pub name: String,
    /// The list that the user belongs to.
    pub list: String,
    /// The user's own priority.
    pub priority: Priority,
    /// How the user logged in: `PLAIN`, `LOGIN`.
    pub mechanism: String,
    /// Further facts by name.
    pub attributes: Vec<Attribute>,
}

/// A mailbox in comparable form: the domain in lower-case A-labels, the local part without quotes
/// and with its case as it was given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mailbox {
    /// The part before the last `@`.
    pub local: String,
    /// The part behind it.
    pub domain: String,
}

impl Mailbox {
    /// A mailbox of two parts that are in comparable form already.
    pub fn new(local: impl Into<String>, domain: impl Into<String>) -> Self {
        Self {
            local: local.into(),
            domain: domain.into(),
        }
    }

    /// Whether a domain rule covers this mailbox: `example.com` covers that domain only,
    /// `*.example.com` its subdomains at any depth and not `example.com` itself.
    pub fn is_in_domain(&self, rule: &str) -> bool {
        match rule.strip_prefix('*') {
            // The dot stays in front, so that `*.example.com` does not cover `badexample.com`.
            Some(suffix) if suffix.starts_with('.') => {
                self.domain.len() > suffix.len()
                    && self.domain.as_bytes().ends_with(suffix.as_bytes())
            }
            _ => self.domain == rule,
        }
    }

    /// Whether this is that address, without regard to case. A local part that needs quotes has
    /// them in the rule, as in SMTP: `"a b"@example.com`.
    pub fn is_address(&self, rule: &str) -> bool {
        let Some((local, domain)) = rule.rsplit_once('@') else {
            return false;
        };
        self.domain == domain && same_but_for_case(&self.local, &unquoted(local))
    }
}

/// What a local part means: without quotes and backslashes.
fn unquoted(local: &str) -> Cow<'_, str> {
    let Some(inner) = local
        .strip_prefix('"')
        .and_then(|local| local.strip_suffix('"'))
    else {
        return Cow::Borrowed(local);
    };
    let mut plain = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => characters.next().unwrap_or(character),
            other => other,
        });
    }
    Cow::Owned(plain)
}

/// Whether two texts are the same when both are in lower case.
fn same_but_for_case(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || folded(a).eq(folded(b))
}

/// The letters in lower case. The sigma at the end of a word is the one whose lower case hangs on
/// its place, and both forms become one: knowing the place would bring 14 KB of tables into each
/// component.
fn folded(text: &str) -> impl Iterator<Item = char> {
    let letters = text.chars().flat_map(lower_case);
    letters.map(|letter| if letter == 'ς' { 'σ' } else { letter })
}

/// A letter in lower case. Signs that have the lower case of a letter and are not that letter stay as they are:
/// theta, ohm, kelvin and angstrom.
fn lower_case(letter: char) -> impl Iterator<Item = char> {
    let is_sign = matches!(letter, '\u{3f4}' | '\u{2126}' | '\u{212a}' | '\u{212b}');
    let sign = is_sign.then_some(letter);
    let lower = (!is_sign).then(|| letter.to_lowercase());
    sign.into_iter().chain(lower.into_iter().flatten())
}

/// Prints `local@domain`, for a person: the local part stands without quotes.
impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.local)?;
        f.write_str("@")?;
        f.write_str(&self.domain)
    }
}

/// What MAIL said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// None: the null reverse-path, `MAIL FROM:<>`.
    pub reverse_path: Option<Mailbox>,
    /// The parameters of MAIL as given, keywords in upper case.
    pub parameters: Vec<(String, String)>,
    /// The value of `SIZE=`, in octets, when the client declared one.
    pub declared_size_bytes: Option<u64>,
    /// How many recipients have been accepted so far; 0 at MAIL.
    pub forward_path_count: u32,
}

/// A header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// As written in the message.
    pub name: String,
    /// Unfolded, without blanks at either end.
    pub value: String,
}

/// One carrier of a priority that the sender asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requested {
    /// `MT-PRIORITY`, `X-Priority`, `Importance`, ...
    pub carrier: String,
    /// The value as written.
    pub value: String,
    /// What the value means. None: malformed, and it counts as absent.
    pub priority: Option<Priority>,
}

/// An open fact by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// 1 to 64 octets of a-z, 0-9, `-` and `.`.
    pub key: String,
    /// The fact.
    pub value: Value,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A number.
    Number(i64),
    /// Yes or no.
    Truth(bool),
    /// Octets.
    Octets(Vec<u8>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Truth(truth)
    }
}

impl From<Vec<u8>> for Value {
    fn from(octets: Vec<u8>) -> Self {
        Self::Octets(octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_rule_covers_that_domain_or_with_a_star_its_subdomains_only() {
        let check = |rule: &str, covered: &[&str], others: &[&str]| {
            for domain in covered {
                assert!(
                    Mailbox::new("a", *domain).is_in_domain(rule),
                    "{rule} covers {domain}"
                );
            }
            for domain in others {
                assert!(
                    !Mailbox::new("a", *domain).is_in_domain(rule),
                    "{rule}, not {domain}"
                );
            }
        };
        check(
            "a.example",
            &["a.example"],
            &["sub.a.example", "ba.example", "example", "a.example.b", ""],
        );
        check(
            "*.a.example",
            &["sub.a.example", "deep.sub.a.example"],
            &["a.example", "ba.example", ".a.example.b", "a.exampl", ""],
        );
        check("*", &[], &["a.example", ""]);
        check(
            "*a.example",
            &[],
            &["a.example", "ba.example", "b.a.example"],
        );
        check("[192.0.2.1]", &["[192.0.2.1]"], &["192.0.2.1"]);
    }

    #[test]
    fn an_address_rule_covers_that_address_without_regard_to_case() {
        let check = |rule: &str, local: &str, domain: &str, covered: bool| {
            assert_eq!(
                Mailbox::new(local, domain).is_address(rule),
                covered,
                "{rule} {local} {domain}"
            );
        };
        check("x@a.example", "x", "a.example", true);
        check("x@a.example", "X", "a.example", true);
        check("x@a.example", "y", "a.example", false);
        check("x@a.example", "x", "sub.a.example", false);
        check("x@a.example", "xx", "a.example", false);
        check("x@a.example", "", "a.example", false);
        check("jürgen@a.example", "JÜRGEN", "a.example", true);
        check("jürgen@a.example", "jurgen", "a.example", false);
        check("οδος@a.example", "ΟΔΟΣ", "a.example", true);
        check("ålk@a.example", "Ålk", "a.example", true);
        check("king@a.example", "\u{212a}ing", "a.example", false);
        check("ålk@a.example", "\u{212b}lk", "a.example", false);
        check("ω@a.example", "\u{2126}", "a.example", false);
        check("θ@a.example", "\u{3f4}", "a.example", false);
        check("\u{212a}@a.example", "\u{212a}", "a.example", true);
        check(r#""a b"@c.example"#, "A b", "c.example", true);
        check(r#""a b"@c.example"#, r#""a b""#, "c.example", false);
        check(r#""a@b"@c.example"#, "a@b", "c.example", true);
        check(r#""a@b"@c.example"#, "a", "b@c.example", false);
        check(r#""a\\\"b"@c.example"#, r#"a\"b"#, "c.example", true);
        check(r#""@c.example"#, "", "c.example", false);
        check("a.example", "a", "example", false);
        check("", "", "", false);
    }
}
