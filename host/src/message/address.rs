//! Addresses in the form in which the relay compares them.
//!
//! The protocol core and the header reader know an address as it was written. Rules, components
//! and routes compare addresses, and for that the domain is brought into lower-case A-labels
//! (RFC 5891), so that either written form of an internationalised domain is the same domain.

use std::fmt;
use std::net::Ipv6Addr;

use outpost_smtp::Mailbox;

/// A mailbox in comparable form: the local part as it was given, the domain in lower-case
/// A-labels or an address literal such as `[192.0.2.1]` or `[ipv6:2001:db8::1]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    local: String,
    domain: String,
}

/// Why an address has no comparable form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressProblem {
    /// The domain is no valid host name or internationalised domain name.
    #[error("the domain is not a valid domain name")]
    Domain,
    /// There is no `@`, or nothing before it.
    #[error("an address needs a local part, an @ and a domain")]
    Shape,
}

impl Address {
    /// The comparable form of a mailbox that the protocol core has parsed.
    ///
    /// # Errors
    /// [`AddressProblem::Domain`] when the domain is not a domain name by IDNA.
    pub fn from_mailbox(mailbox: &Mailbox) -> Result<Self, AddressProblem> {
        Self::new(&mailbox.local, &mailbox.domain)
    }

    /// The comparable form of a local part and a domain.
    ///
    /// # Errors
    /// [`AddressProblem::Domain`] when the domain is not a domain name by IDNA,
    /// [`AddressProblem::Shape`] when the local part is empty.
    pub fn new(local: &str, domain: &str) -> Result<Self, AddressProblem> {
        if local.is_empty() {
            return Err(AddressProblem::Shape);
        }
        Ok(Self {
            local: local.to_owned(),
            domain: comparable_domain(domain)?,
        })
    }

    /// The local part, as it was given.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain in lower-case A-labels, or an address literal in brackets.
    pub fn domain(&self) -> &str {
        &self.domain
    }
}

/// `local@domain`. For people; the quoting that SMTP needs is the protocol core's.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

/// A domain in lower-case A-labels without a trailing dot, or an address literal in lower case, its IPv6 address in
/// the one form that RFC 5952 has for it.
///
/// # Errors
/// [`AddressProblem::Domain`] for what IDNA or the host name rules of RFC 1123 §2.1 refuse.
pub fn comparable_domain(domain: &str) -> Result<String, AddressProblem> {
    if domain.starts_with('[') && domain.ends_with(']') {
        return Ok(comparable_literal(domain));
    }
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    // Nearly every domain that comes by is plain: no need to ask IDNA about those.
    if is_plain_host_name(domain) {
        return Ok(domain.to_ascii_lowercase());
    }
    let ascii = mapped_domain(domain)?;
    if is_as_written(domain, &ascii) {
        Ok(ascii)
    } else {
        Err(AddressProblem::Domain)
    }
}

/// An address literal of RFC 5321 §4.1.3. Only that of an IPv6 address can be written in several ways.
fn comparable_literal(literal: &str) -> String {
    let lower = literal.to_ascii_lowercase();
    let address = lower
        .strip_prefix("[ipv6:")
        .and_then(|rest| rest.strip_suffix(']'))
        .and_then(|address| address.parse::<Ipv6Addr>().ok());
    match address {
        Some(address) => format!("[ipv6:{address}]"),
        None => lower,
    }
}

/// The same for a domain that an operator typed or pasted, in whatever form of Unicode: mapped as UTS 46
/// says, and echoed back, so that it is seen what became of it.
///
/// # Errors
/// [`AddressProblem::Domain`] for what IDNA or the host name rules of RFC 1123 §2.1 refuse.
pub fn mapped_domain(domain: &str) -> Result<String, AddressProblem> {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    if is_plain_host_name(domain) {
        return Ok(domain.to_ascii_lowercase());
    }
    let ascii = idna::domain_to_ascii_strict(domain).map_err(|_| AddressProblem::Domain)?;
    if ascii.is_empty() || ascii.len() > 253 {
        Err(AddressProblem::Domain)
    } else {
        Ok(ascii)
    }
}

/// Whether the mapping before the conversion (UTS 46) changed nothing but case. A domain with full
/// stops, wide letters or invisible characters that it takes away is another one to a reader that
/// does not map, and no domain by RFC 5891 §4. So is one with the Kelvin sign, whose lower case is a letter.
fn is_as_written(domain: &str, ascii: &str) -> bool {
    let labels = domain.split('.').zip(ascii.split('.'));
    domain.split('.').count() == ascii.split('.').count()
        && labels
            .filter(|(written, _)| !written.is_ascii())
            .all(|(written, ascii)| {
                let (unicode, _) = idna::domain_to_unicode(ascii);
                written.chars().all(is_letter_of_its_case)
                    && written
                        .chars()
                        .flat_map(char::to_lowercase)
                        .eq(unicode.chars())
            })
}

/// Whether a character is in lower case, or the upper case of that. Signs such as U+212A have the lower case of a
/// letter, and are not that letter in upper case: RFC 5892 §2 has no place for them.
fn is_letter_of_its_case(c: char) -> bool {
    let is_lower = c.to_lowercase().eq([c]);
    is_lower || c.to_lowercase().flat_map(char::to_uppercase).eq([c])
}

/// Whether a domain is certainly written as [`comparable_domain`] writes it, as nearly every one is that comes by.
pub(super) fn is_comparable(domain: &str) -> bool {
    !domain.bytes().any(|octet| octet.is_ascii_uppercase()) && is_plain_host_name(domain)
}

/// Letters, digits, inner hyphens and dots only, no label that IDNA would have to look into. Hosts are
/// named `r3---x`: only where the two hyphens follow `xn` do they say something (RFC 5890 §2.3.1).
fn is_plain_host_name(domain: &str) -> bool {
    !domain.is_empty()
        && domain.len() <= 253
        && domain.split('.').all(|label| {
            let octets = label.as_bytes();
            !octets.is_empty()
                && octets.len() <= 63
                && octets
                    .iter()
                    .all(|o| o.is_ascii_alphanumeric() || *o == b'-')
                && octets[0] != b'-'
                && octets[octets.len() - 1] != b'-'
                && !label
                    .get(..4)
                    .is_some_and(|start| start.eq_ignore_ascii_case("xn--"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_written_form_of_a_domain_is_the_same_address() {
        let unicode = Address::new("me", "Bücher.example").unwrap();
        let ascii = Address::new("me", "XN--bcher-kva.EXAMPLE.").unwrap();
        assert_eq!(unicode, ascii);
        assert_eq!(ascii.domain(), "xn--bcher-kva.example");
    }

    #[test]
    fn an_address_literal_is_the_address_in_it_however_it_is_written() {
        for (written, comparable) in [
            ("[192.0.2.1]", "[192.0.2.1]"),
            ("[IPv6:2001:DB8:0:0::1]", "[ipv6:2001:db8::1]"),
            ("[ipv6:2001:db8:0:0:0:0:0:1]", "[ipv6:2001:db8::1]"),
            ("[IPV6:0000::0]", "[ipv6:::]"),
            ("[IPv6:0::ffff:c000:201]", "[ipv6:::ffff:192.0.2.1]"),
            // A reader of literals refuses it; here it stays another one than any address.
            ("[IPv6:None]", "[ipv6:none]"),
        ] {
            assert_eq!(comparable_domain(written).as_deref(), Ok(comparable));
            assert_eq!(comparable_domain(comparable).as_deref(), Ok(comparable));
        }
    }

    #[test]
    fn the_local_part_stays_as_it_was_given() {
        assert_eq!(
            Address::new("John.Doe", "A.example").unwrap().to_string(),
            "John.Doe@a.example"
        );
    }

    #[test]
    fn case_is_all_that_a_written_domain_may_differ_in() {
        for (domain, ascii) in [
            ("B\u{dc}CHER.example", "xn--bcher-kva.example"),
            (
                "xn--bcher-kva.b\u{fc}cher.example",
                "xn--bcher-kva.xn--bcher-kva.example",
            ),
            ("stra\u{df}e.example", "xn--strae-oqa.example"),
            ("\u{c5}S.example", "xn--s-1fa.example"),
            ("\u{3a9}.example", "xn--bya.example"),
            ("\u{1c90}.example", "xn--lod.example"),
            (
                "\u{43f}\u{440}\u{438}\u{43c}\u{435}\u{440}.example",
                "xn--e1afmkfd.example",
            ),
            ("\u{4f8b}\u{3048}.example", "xn--r8jz45g.example"),
            (
                "\u{645}\u{62b}\u{627}\u{644}.example",
                "xn--mgbh0fb.example",
            ),
        ] {
            assert_eq!(comparable_domain(domain).as_deref(), Ok(ascii), "{domain}");
        }
        for domain in [
            "a\u{3002}example",
            "\u{ff41}.example",
            "a.exam\u{ad}ple",
            "a.example\u{200b}",
            "b\u{75}\u{308}cher.example",
            // Signs that have the lower case of a letter, and are another character (RFC 5892 §2).
            "\u{212a}ing.example",
            "\u{212b}s.example",
            "\u{2126}.example",
            "\u{3f4}.example",
            "b\u{fc}\u{212a}.example",
        ] {
            assert_eq!(
                comparable_domain(domain),
                Err(AddressProblem::Domain),
                "{domain:?}"
            );
        }
    }

    #[test]
    fn hyphens_in_a_row_are_those_of_a_host_name_unless_behind_xn() {
        for domain in ["r3---sn-x.example", "ab--cd.example", "a--b.example"] {
            assert_eq!(comparable_domain(domain).as_deref(), Ok(domain));
            assert_eq!(mapped_domain(domain).as_deref(), Ok(domain));
        }
        for domain in ["xn--a.example", "XN--99999999.example"] {
            assert_eq!(comparable_domain(domain), Err(AddressProblem::Domain));
            assert_eq!(mapped_domain(domain), Err(AddressProblem::Domain));
        }
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        for domain in [
            "",
            ".",
            "a..b",
            "-a.example",
            "a_b.example",
            "a b.example",
            "xn--\u{0}",
            "a.example..",
            &"a".repeat(64),
        ] {
            assert_eq!(
                Address::new("x", domain),
                Err(AddressProblem::Domain),
                "{domain:?}"
            );
        }
        assert_eq!(Address::new("", "a.example"), Err(AddressProblem::Shape));
    }
}
