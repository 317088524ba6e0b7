//! Paths: the addresses of the envelope in their angle brackets (RFC 5321 §4.1.2, §4.1.1.3).

use std::fmt;

use super::{AddressError, Mailbox, PATH_OCTETS_MAX, check_name};

/// Where reports go: the argument of MAIL FROM.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: a report, about which no report may be sent (RFC 5321 §4.5.5).
    Null,
    /// A mailbox.
    Mailbox(Mailbox),
}

impl ReversePath {
    /// Whether it can be sent without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        match self {
            ReversePath::Null => true,
            ReversePath::Mailbox(mailbox) => mailbox.is_ascii(),
        }
    }

    /// Parses `<>` or `<mailbox>` at the start of `text`; a source route is read and ignored
    /// (RFC 5321 appendix C). Returns what stands behind the path.
    ///
    /// # Errors
    /// As [`Mailbox::parse`]; characters beyond ASCII are let through for the caller to judge, since
    /// the SMTPUTF8 parameter stands behind the path.
    pub fn parse_prefix(text: &str) -> Result<(ReversePath, &str), AddressError> {
        let (inside, rest) = split_path(text)?;
        if inside.is_empty() {
            return Ok((ReversePath::Null, rest));
        }
        let mailbox = Mailbox::parse(skip_source_route(inside)?, true)?;
        Ok((ReversePath::Mailbox(mailbox), rest))
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReversePath::Null => f.write_str("<>"),
            ReversePath::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
        }
    }
}

/// Where a message goes: the argument of RCPT TO.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `<Postmaster>` without a domain (RFC 5321 §4.5.1).
    Postmaster,
    /// A mailbox.
    Mailbox(Mailbox),
}

impl ForwardPath {
    /// Whether it can be sent without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        match self {
            ForwardPath::Postmaster => true,
            ForwardPath::Mailbox(mailbox) => mailbox.is_ascii(),
        }
    }

    /// Parses `<mailbox>` or `<Postmaster>` at the start of `text`, as [`ReversePath::parse_prefix`].
    ///
    /// # Errors
    /// As [`ReversePath::parse_prefix`]; `<>` is not a forward-path.
    pub fn parse_prefix(text: &str) -> Result<(ForwardPath, &str), AddressError> {
        let (inside, rest) = split_path(text)?;
        if inside.eq_ignore_ascii_case("postmaster") {
            return Ok((ForwardPath::Postmaster, rest));
        }
        let mailbox = Mailbox::parse(skip_source_route(inside)?, true)?;
        Ok((ForwardPath::Mailbox(mailbox), rest))
    }
}

impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForwardPath::Postmaster => f.write_str("<Postmaster>"),
            ForwardPath::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
        }
    }
}

/// Finds the closing bracket of a path, which may also stand inside a quoted local part.
fn split_path(text: &str) -> Result<(&str, &str), AddressError> {
    let inside = text.strip_prefix('<').ok_or(AddressError::Syntax)?;
    let (mut quoted, mut escaped) = (false, false);
    for (at, octet) in inside.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Ok((&inside[..at], &inside[at + 1..])),
            _ => {}
        }
    }
    Err(AddressError::Syntax)
}

/// RFC 5321 §4.1.1.3: a source route must be accepted and should be ignored.
fn skip_source_route(inside: &str) -> Result<&str, AddressError> {
    if !inside.starts_with('@') {
        return Ok(inside);
    }
    let (route, mailbox) = inside.split_once(':').ok_or(AddressError::Syntax)?;
    if route.len() > PATH_OCTETS_MAX {
        return Err(AddressError::TooLong);
    }
    for hop in route.split(',') {
        check_name(hop.strip_prefix('@').ok_or(AddressError::Syntax)?)?;
    }
    Ok(mailbox)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn reverse(text: &str) -> Result<(String, String), AddressError> {
        ReversePath::parse_prefix(text).map(|(path, rest)| (path.to_string(), rest.to_owned()))
    }

    #[test]
    fn a_path_ends_at_the_bracket_that_is_not_quoted() {
        assert_eq!(reverse("<> SIZE=1"), Ok(("<>".into(), " SIZE=1".into())));
        assert_eq!(reverse("<a@b>"), Ok(("<a@b>".into(), String::new())));
        assert_eq!(
            reverse("<\"a> SIZE=1 \"@b> BODY=7BIT"),
            Ok(("<\"a> SIZE=1 \"@b>".into(), " BODY=7BIT".into()))
        );
        assert_eq!(
            reverse("<\"a\\\">\"@b>"),
            Ok(("<\"a\\\">\"@b>".into(), String::new()))
        );
        for text in [
            "",
            "a@b",
            "<a@b",
            "<",
            "< >",
            "< a@b>",
            "<a@b >",
            "<<a@b>",
            "<\"a@b>",
            "<Postmaster>",
        ] {
            assert_eq!(reverse(text), Err(AddressError::Syntax), "{text}");
        }
    }

    #[test]
    fn a_source_route_is_read_and_ignored() {
        assert_eq!(
            reverse("<@a.example,@b.example:c@d>"),
            Ok(("<c@d>".into(), String::new()))
        );
        for text in [
            "<@a.example>",
            "<@a,b:c@d>",
            "<@:c@d>",
            "<@a,:c@d>",
            "<@a.example:>",
        ] {
            assert_eq!(reverse(text), Err(AddressError::Syntax), "{text}");
        }
    }

    #[test]
    fn postmaster_needs_no_domain_and_the_null_path_is_no_recipient() {
        let forward = |text| ForwardPath::parse_prefix(text).map(|(path, _)| path);
        assert_eq!(forward("<pOSTmaster>"), Ok(ForwardPath::Postmaster));
        assert_eq!(forward("<>"), Err(AddressError::Syntax));
        assert_eq!(forward("<postmaster@>"), Err(AddressError::Syntax));
        assert_eq!(forward("<a@b>").unwrap().to_string(), "<a@b>");
    }
}
