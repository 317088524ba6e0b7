//! What begins many lines of SMTP dialogues, and stands in transcripts under a name of two octets.
//!
//! Names are kept on disk: one is never given to another phrase. Of two that begin a line the longer one stands first.

use super::PHRASE;

/// The phrases that begin with this octet, with their names.
const fn beginning_with(first: u8) -> &'static [(char, &'static str)] {
    match first {
        b'M' => &[('!', "MAIL FROM:<")],
        b'R' => &[('"', "RCPT TO:<"), ('#', "RSET")],
        b'E' => &[('$', "EHLO ")],
        b'D' => &[('%', "DATA")],
        b'S' => &[('&', "STARTTLS")],
        b'A' => &[('\'', "AUTH PLAIN [masked]"), ('(', "AUTH LOGIN")],
        b'B' => &[(')', "BDAT [content, "), ('*', "BDAT, ")],
        // Python's smtplib writes them so.
        b'm' => &[('`', "mail FROM:<")],
        b'r' => &[('a', "rcpt TO:<"), ('b', "rset")],
        b'e' => &[('c', "ehlo ")],
        b'd' => &[('d', "data")],
        b'[' => &[
            ('+', "[content, "),
            (',', "[TLS: TLSv1.3 TLS13_AES_256_GCM_SHA384]"),
            ('-', "[TLS: TLSv1.3 "),
            ('.', "[masked]"),
        ],
        b'2' => &[
            ('/', "250 2.0.0 Ok: queued as "),
            ('0', "250 2.0.0 Queued as "),
            ('1', "250 2.0.0 Message accepted"),
            ('2', "250 2.0.0 "),
            ('3', "250 2.1.0 Sender ok"),
            ('4', "250 2.1.0 "),
            ('5', "250 2.1.5 Recipient ok"),
            ('6', "250 2.1.5 "),
            ('7', "250-ENHANCEDSTATUSCODES"),
            ('8', "250-AUTH PLAIN LOGIN"),
            ('9', "250-FUTURERELEASE "),
            (':', "250-MT-PRIORITY"),
            (';', "250-PIPELINING"),
            ('<', "250-DELIVERBY"),
            ('=', "250-BINARYMIME"),
            ('>', "250-8BITMIME"),
            ('?', "250-STARTTLS"),
            ('@', "250-SMTPUTF8"),
            ('A', "250-CHUNKING"),
            ('B', "250-SIZE "),
            ('C', "250-AUTH "),
            ('D', "250-VRFY"),
            ('E', "250-ETRN"),
            ('F', "250-HELP"),
            ('G', "250-DSN"),
            ('H', "250-"),
            ('I', "250 CHUNKING"),
            ('J', "250 SMTPUTF8"),
            ('K', "250 "),
            ('L', "220 2.0.0 Ready to start TLS"),
            ('M', "220 2.0.0 "),
            ('N', "220 "),
            ('O', "235 2.7.0 Authentication successful"),
            ('P', "235 2.7.0 "),
            ('Q', "221 2.0.0 Bye"),
        ],
        b'3' => &[
            ('R', "354 End data with <CR><LF>.<CR><LF>"),
            ('S', "354 "),
            ('T', "334 "),
        ],
        b'4' => &[
            ('U', "451 4.7.1 "),
            ('V', "450 4.2.0 "),
            ('W', "421 4."),
            ('X', "451 4."),
            ('Y', "450 4."),
            ('Z', "452 4."),
        ],
        b'5' => &[
            ('[', "550 5.1.1 "),
            ('\\', "550 5.7.1 "),
            (']', "554 5.7.1 "),
            ('^', "550 5."),
            ('_', "554 5."),
        ],
        _ => &[],
    }
}

/// The octets that phrases begin with.
const FIRST: &[u8] = b"MREDSABmred[2345";

/// Appends a line, with the name of its phrase in place of that.
pub(super) fn shorten(line: &str, kept: &mut String) {
    let Some(first) = line.as_bytes().first() else {
        return;
    };
    for (name, phrase) in beginning_with(*first) {
        if let Some(rest) = line.strip_prefix(phrase) {
            kept.push(PHRASE);
            kept.push(*name);
            kept.push_str(rest);
            return;
        }
    }
    kept.push_str(line);
}

/// The line as it was. A name that nothing has stands for nothing.
pub(super) fn expand(kept: &str) -> String {
    let Some(named) = kept.strip_prefix(PHRASE) else {
        return kept.to_owned();
    };
    let mut rest = named.chars();
    let name = rest.next();
    let all = FIRST.iter().flat_map(|first| beginning_with(*first));
    let mut found = all.filter(|(known, _)| Some(*known) == name);
    let phrase = found.next().map_or("", |(_, phrase)| phrase);
    [phrase, rest.as_str()].concat()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_phrase_is_found_and_is_what_it_was() {
        let mut names = HashSet::new();
        for first in 0..=u8::MAX {
            for (name, phrase) in beginning_with(first) {
                assert_eq!(phrase.as_bytes()[0], first);
                assert!(FIRST.contains(&first), "{phrase}");
                assert!(name.is_ascii_graphic() && names.insert(name), "{phrase}");
                let mut kept = String::new();
                shorten(phrase, &mut kept);
                assert_eq!(kept, format!("{PHRASE}{name}"), "{phrase}");
                assert_eq!(expand(&kept), *phrase);
            }
        }
        assert_eq!(expand("\u{6}\u{7f}x"), "x");
        assert_eq!(expand("\u{6}"), "");
    }

    #[test]
    fn a_line_is_what_it_was_whatever_it_begins_with() {
        for line in [
            "",
            "MAIL FROM:<a@b>",
            "MAIL",
            "250-XY",
            "é",
            "250 2.1.0 Sender okay",
        ] {
            let mut kept = String::new();
            shorten(line, &mut kept);
            assert_eq!(expand(&kept), line);
        }
    }
}
