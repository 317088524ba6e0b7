//! Authors: no address that another reader of mail sees escapes ours.
//!
//! The other reader is mail-parser. Where it sees an address in a field of authors that ours did not
//! return, ours must have refused the message. Python's email package is asked the same by
//! `tests/readers.rs`, about headers that are composed there.

use mail_parser::{HeaderName, MessageParser};
use outpost::message::comparable_domain;
use outpost::message::header::{Authors, Fields};

/// A header section.
pub fn authors(octets: &[u8]) {
    let Some(checked) = checked(octets) else {
        return;
    };
    for address in seen(octets) {
        assert!(
            checked.contains(&address),
            "{:?}: mail-parser sees {address}, checked were {checked:?}",
            String::from_utf8_lossy(octets)
        );
    }
}

/// The addresses that are checked of a message with that header section, in comparable form; none when it
/// is refused.
pub fn checked(octets: &[u8]) -> Option<Vec<String>> {
    // The protocol core has refused content like this before anybody reads it.
    let lines: Vec<&[u8]> = octets.split(|octet| *octet == b'\n').collect();
    let is_bare = |line: &&[u8]| {
        line.strip_suffix(b"\r")
            .is_none_or(|line| line.contains(&b'\r'))
    };
    let (last, whole) = lines.split_last().unwrap_or((&octets, &[]));
    if whole.iter().any(is_bare) || !last.is_empty() {
        return None;
    }
    // An empty line ends the header.
    if octets.starts_with(b"\r\n") || octets.windows(4).any(|end| end == b"\r\n\r\n") {
        return None;
    }
    let fields = Fields::parse(octets).ok()?;
    let read = Authors::read(&fields).ok()?;
    assert!(!read.from.is_empty(), "a message without an author");
    let addresses = read.into_addresses();
    let addresses = addresses.iter();
    Some(
        addresses
            .map(|address| address.to_string().to_lowercase())
            .collect(),
    )
}

/// The addresses that mail-parser sees, in comparable form.
fn seen(section: &[u8]) -> Vec<String> {
    let content = [section, b"\r\n"].concat();
    let Some(message) = MessageParser::default().parse(&content) else {
        return Vec::new();
    };
    message
        .headers()
        .iter()
        .filter(|header| {
            matches!(
                header.name,
                HeaderName::From
                    | HeaderName::Sender
                    | HeaderName::ResentFrom
                    | HeaderName::ResentSender
            )
        })
        .filter_map(|header| header.value.as_address())
        .flat_map(|addresses| addresses.iter())
        .filter_map(|one| one.address.as_deref())
        .filter_map(comparable)
        .collect()
}

/// An address as another reader sees it, in the form in which ours are compared. None for what names nobody:
/// mail-parser takes a quoted local part for a name, and leaves `@domain`.
pub fn comparable(address: &str) -> Option<String> {
    let (local, domain) = address.rsplit_once('@')?;
    if local.is_empty() {
        return None;
    }
    let inside = local
        .strip_prefix('"')
        .and_then(|local| local.strip_suffix('"'));
    let local = inside.unwrap_or(local);
    let domain = comparable_domain(domain).unwrap_or_else(|_| domain.to_owned());
    Some(format!("{local}@{domain}").to_lowercase())
}
