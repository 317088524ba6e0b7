//! The grammar of command lines (RFC 5321 §4.1.1): verbs, and the arguments of each.
//!
//! Pure functions from text to values; what a command means at its time is for `conversation`.

use std::borrow::Cow;

use crate::address::{AddressError, ForwardPath, ReversePath};

/// Longest argument of EHLO and HELO in octets: a domain (RFC 5321 §4.5.3.1.2).
const HELLO_OCTETS_MAX: usize = 255;

/// The first word of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Ehlo,
    Helo,
    Mail,
    Rcpt,
    Data,
    Bdat,
    Rset,
    Noop,
    Quit,
    Help,
    Vrfy,
    Auth,
    StartTls,
    /// Known from an RFC and not implemented: 502.
    Unimplemented,
    /// Not known: 500.
    Unknown,
}

impl Verb {
    /// Whether a client can say it for ever without sending anything, and without a mistake.
    pub(super) fn brings_no_mail(self) -> bool {
        matches!(
            self,
            Verb::Ehlo | Verb::Helo | Verb::Rset | Verb::Noop | Verb::Vrfy | Verb::Help
        )
    }
}

/// Every verb by name. EXPN would tell who is on a list (RFC 5321 §7.3); the others are obsolete or
/// for mail that waits to be fetched.
const VERBS: [(&str, Verb); 20] = [
    ("MAIL", Verb::Mail),
    ("RCPT", Verb::Rcpt),
    ("DATA", Verb::Data),
    ("BDAT", Verb::Bdat),
    ("RSET", Verb::Rset),
    ("EHLO", Verb::Ehlo),
    ("QUIT", Verb::Quit),
    ("AUTH", Verb::Auth),
    ("STARTTLS", Verb::StartTls),
    ("NOOP", Verb::Noop),
    ("HELO", Verb::Helo),
    ("HELP", Verb::Help),
    ("VRFY", Verb::Vrfy),
    ("EXPN", Verb::Unimplemented),
    ("TURN", Verb::Unimplemented),
    ("ETRN", Verb::Unimplemented),
    ("ATRN", Verb::Unimplemented),
    ("SEND", Verb::Unimplemented),
    ("SOML", Verb::Unimplemented),
    ("SAML", Verb::Unimplemented),
];

/// Splits a line into its verb and what stands behind it. `None` if the line is no text: it has a
/// control character (a bare CR or LF among them) or is not UTF-8. Blanks at its end do not matter
/// (RFC 5321 §4.1.1).
pub(super) fn split(line: &[u8]) -> Option<(Verb, Cow<'_, str>)> {
    let end = line
        .iter()
        .rposition(|octet| !matches!(octet, b' ' | b'\t'))
        .map_or(0, |last| last + 1);
    let line = &line[..end];
    if line.iter().any(u8::is_ascii_control) {
        return None;
    }
    let (verb, arguments) = match memchr::memchr(b' ', line) {
        Some(blank) => (&line[..blank], &line[blank + 1..]),
        None => (line, &line[line.len()..]),
    };
    let verb = verb_named(verb)?;
    let arguments = match std::str::from_utf8(arguments) {
        Ok(arguments) => Cow::Borrowed(arguments.trim_start_matches(' ')),
        // Machines have names in the character set of their owner, and programs send them.
        Err(_) if matches!(verb, Verb::Ehlo | Verb::Helo) => {
            String::from_utf8_lossy(arguments.trim_ascii_start())
        }
        Err(_) => return None,
    };
    Some((verb, arguments))
}

/// The verb of that name; none when the name is not even text.
fn verb_named(name: &[u8]) -> Option<Verb> {
    let name = std::str::from_utf8(name).ok()?;
    let known = VERBS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    Some(known.map_or(Verb::Unknown, |(_, verb)| *verb))
}

/// The argument of EHLO and HELO: one word. More lenient than RFC 5321 §4.1.1.1, as Postfix is, because
/// programs send what their machine is called, and nothing depends on it. What no host name and no
/// address literal has becomes a question mark, so that the name is harmless wherever it is shown.
pub(super) fn hello_name(arguments: &str) -> Option<Box<str>> {
    let is_word = (1..=HELLO_OCTETS_MAX).contains(&arguments.len())
        && !arguments.contains(char::is_whitespace);
    let plain = |character: char| {
        if character.is_ascii_alphanumeric() || "-._:[]".contains(character) {
            character
        } else {
            '?'
        }
    };
    is_word.then(|| arguments.chars().map(plain).collect::<String>().into())
}

/// Why the argument of MAIL or RCPT is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PathError {
    /// `FROM:` or `TO:` is missing, or something other than a blank stands behind the path.
    Syntax,
    /// The path is none.
    Address,
}

/// `FROM:<reverse-path>` and what stands behind it.
pub(super) fn mail_arguments(arguments: &str) -> Result<(ReversePath, &str), PathError> {
    path_arguments(arguments, "FROM:", ReversePath::parse_prefix)
}

/// `TO:<forward-path>` and what stands behind it.
pub(super) fn rcpt_arguments(arguments: &str) -> Result<(ForwardPath, &str), PathError> {
    path_arguments(arguments, "TO:", ForwardPath::parse_prefix)
}

/// A blank behind the colon is let through: RFC 5321 §3.3 forbids it to clients, printers send it,
/// and it can mean nothing else.
fn path_arguments<'a, P>(
    arguments: &'a str,
    keyword: &str,
    parse: impl Fn(&'a str) -> Result<(P, &'a str), AddressError>,
) -> Result<(P, &'a str), PathError> {
    let found = arguments
        .get(..keyword.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(keyword));
    if !found {
        return Err(PathError::Syntax);
    }
    let path = arguments[keyword.len()..].trim_start_matches(' ');
    let (path, behind) = parse(path).map_err(|_| PathError::Address)?;
    if behind.is_empty() || behind.starts_with(' ') {
        Ok((path, behind))
    } else {
        Err(PathError::Syntax)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_verb_is_a_word_of_its_own_in_any_case() {
        for (line, verb, arguments) in [
            ("DATA", Verb::Data, ""),
            ("data \t ", Verb::Data, ""),
            ("Mail  FROM:<> ", Verb::Mail, "FROM:<>"),
            ("StartTLS", Verb::StartTls, ""),
            ("expn x", Verb::Unimplemented, "x"),
        ] {
            assert_eq!(split(line.as_bytes()), Some((verb, arguments.into())));
        }
        for line in [
            "",
            " ",
            " DATA",
            "DATAX",
            "DAT",
            "MAILFROM:<>",
            "XYZZY",
            "D\u{c4}TA",
        ] {
            assert_eq!(split(line.as_bytes()).unwrap().0, Verb::Unknown, "{line}");
        }
    }

    #[test]
    fn a_line_with_controls_is_no_text() {
        for line in [
            "NOOP\rNOOP",
            "NOOP\nNOOP",
            "\0",
            "NOOP\x07",
            "NOOP\x7f",
            "NOOP\tx",
            "\r",
        ] {
            assert_eq!(split(line.as_bytes()), None, "{line:?}");
        }
        assert_eq!(split(b"NOOP \xff"), None);
        assert_eq!(split(b"N\xffOOP"), None);
    }

    #[test]
    fn a_hello_needs_one_word_and_what_no_name_has_becomes_a_question_mark() {
        let name = |arguments: &str| hello_name(arguments).map(String::from);
        for plain in [
            "a",
            "mx.example.com",
            "mx.example.com.",
            "DESKTOP_1",
            "[192.0.2.1]",
            "[IPv6:2001:db8::1]",
            "[::1]",
            "localhost:8080",
        ] {
            assert_eq!(name(plain).as_deref(), Some(plain));
        }
        for (odd, shown) in [
            ("<a>", "?a?"),
            ("a(b);\"", "a?b???"),
            ("a@b", "a?b"),
            ("b\u{fc}cher", "b?cher"),
        ] {
            assert_eq!(name(odd).as_deref(), Some(shown));
        }
        for legacy in [b"EHLO B\xdcRO-PC".as_slice(), b"EHLO  B\xdcRO-PC "] {
            let (verb, arguments) = split(legacy).unwrap();
            assert_eq!(verb, Verb::Ehlo);
            assert_eq!(name(&arguments).as_deref(), Some("B?RO-PC"));
        }
        for none in ["", "a b", "a\u{a0}b", "a".repeat(256).as_str()] {
            assert_eq!(name(none), None, "{none}");
        }
    }

    #[test]
    fn paths_stand_in_brackets_behind_their_keyword() {
        let mail =
            |text| mail_arguments(text).map(|(path, behind)| (path.to_string(), behind.to_owned()));
        assert_eq!(mail("FROM:<a@b>"), Ok(("<a@b>".into(), String::new())));
        assert_eq!(mail("from: <> SIZE=1"), Ok(("<>".into(), " SIZE=1".into())));
        assert_eq!(mail("FROM:<a@b>SIZE=1"), Err(PathError::Syntax));
        assert_eq!(mail("FROM:a@b"), Err(PathError::Address));
        assert_eq!(mail("FROM :<a@b>"), Err(PathError::Syntax));
        assert_eq!(mail("TO:<a@b>"), Err(PathError::Syntax));
        assert_eq!(mail("FR\u{d6}"), Err(PathError::Syntax));
        assert_eq!(mail(""), Err(PathError::Syntax));
        assert_eq!(rcpt_arguments("to:<a@b>").unwrap().0.to_string(), "<a@b>");
    }
}
