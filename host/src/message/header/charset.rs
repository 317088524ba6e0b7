//! Character sets of encoded words: which of them are read here, and where readers of one set differ.
//!
//! A display name is looked at as it is decoded here, and the next reader decodes for itself. So a set counts as
//! known only where the printable characters of US-ASCII stand for themselves, which makes an `@` the same octet
//! to every reader; and in sets of two octets a second octet of that value is looked at as well.

use mail_parser::decoders::charsets::map::charset_decoder;

/// Whether text in that set is decoded here, and readers cannot differ about what is US-ASCII in it. In UTF-16
/// they differ about the order of octets (RFC 2781 §4.3), in UTF-7 letters become an `@`; and of some sets the
/// library shows replacement characters alone, as web browsers do, where other readers decode them.
pub(super) fn is_known(charset: &str) -> bool {
    if matches!(charset.to_ascii_lowercase().as_str(), "utf-8" | "utf8") {
        return true;
    }
    // What stands behind the last one is a letter in UTF-7.
    let printable: Vec<u8> = (b' '..=b'~').chain(*b"+AOk-").collect();
    charset_decoder(charset.as_bytes())
        .is_some_and(|decode| decode(&printable).as_bytes() == printable)
}

/// Whether octets are what the set allows, where readers make very different things of what it does not. In
/// ISO-2022-JP a line end or an escape sequence of a later set leaves two readers in different states, and
/// one takes octets above 127 for another set.
pub(super) fn is_allowed(charset: &str, octets: &[u8]) -> bool {
    (!charset.contains("2022") || is_iso_2022_jp(octets)) && !may_be_ebcdic(charset, octets)
}

/// Whether a reader that guesses a set, as flanker does where octets are none of the set that is named, may see an
/// address. Only in EBCDIC are all its letters other octets: `|` is the `@` and `K` the dot, between octets above 127.
fn may_be_ebcdic(charset: &str, octets: &[u8]) -> bool {
    let holds = |character: u8| {
        octets
            .windows(3)
            .any(|three| three[1] == character && !three[0].is_ascii() && !three[2].is_ascii())
    };
    if !(holds(b'|') && holds(b'K')) {
        return false;
    }
    match charset_decoder(charset.as_bytes()) {
        // Tables of other readers have gaps where the library has none.
        Some(decode) => decode(octets).contains(['|', char::REPLACEMENT_CHARACTER]),
        None => std::str::from_utf8(octets).is_err(),
    }
}

/// Whether every reader of mail decodes the set: those that RFC 2049 §2 names, and UTF-8.
pub(super) fn is_common(charset: &str) -> bool {
    let lower = charset.to_ascii_lowercase();
    let is_iso_8859 = lower
        .strip_prefix("iso-8859-")
        .is_some_and(|part| part.bytes().all(|octet| octet.is_ascii_digit()));
    is_iso_8859 || matches!(lower.as_str(), "utf-8" | "us-ascii")
}

/// Whether an octet may be an `@` to another reader of the set, while here it is the second one of a letter. Readers
/// differ about the first one where a smaller table goes by the same name (GB2312 has not the letters of GBK), and
/// about all where they do not know the name: they replace what they do not know, or leave it out.
pub(super) fn may_hold_at(charset: &str, octets: &[u8]) -> bool {
    let Some(decode) = charset_decoder(charset.as_bytes()) else {
        return false;
    };
    octets.windows(2).any(|pair| {
        pair[1] == b'@'
            && !pair[0].is_ascii()
            && !begins_letters(charset, pair[0])
            && !decode(pair).contains('@')
    })
}

/// Whether that octet begins letters of two octets to every reader of the set.
fn begins_letters(charset: &str, octet: u8) -> bool {
    match charset.to_ascii_lowercase().as_str() {
        "gbk" | "gb18030" => true,
        // Beyond them are the letters of Hong Kong and of vendors.
        "big5" => matches!(octet, 0xa1..=0xc7 | 0xc9..=0xf9),
        // The rows of JIS X 0208; beyond them are the letters of vendors.
        "shift_jis" => matches!(octet, 0x81 | 0x83 | 0x84 | 0x89..=0x9f | 0xe0..=0xea),
        _ => false,
    }
}

/// RFC 1468 §2: printable US-ASCII, or its Japanese variant, or pairs of octets, with one of four escape sequences
/// in between. The text need not end in US-ASCII: programs cut it into words wherever they are full.
fn is_iso_2022_jp(octets: &[u8]) -> bool {
    let (mut rest, mut is_double) = (octets, false);
    while let [octet, behind @ ..] = rest {
        (rest, is_double) = match (octet, behind) {
            (0x1b, [b'(', b'B' | b'J', behind @ ..]) => (behind, false),
            (0x1b, [b'$', b'@' | b'B', behind @ ..]) => (behind, true),
            (0x21..=0x7e, [0x21..=0x7e, behind @ ..]) if is_double => (behind, true),
            (b' '..=b'~', behind) if !is_double => (behind, false),
            _ => return false,
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_known_when_its_us_ascii_is_that_of_every_reader() {
        for charset in [
            "utf-8",
            "UTF-8",
            "utf8",
            "us-ascii",
            "ISO-8859-1",
            "iso-8859-16",
            "windows-1251",
            "koi8-r",
            "macintosh",
            "Shift_JIS",
            "EUC-JP",
            "iso-2022-jp",
            "gb18030",
            "GB2312",
            "gbk",
            "big5",
            "euc-kr",
            "KS_C_5601-1987",
            "cp850",
            "ibm866",
            "tis-620",
            "windows-874",
        ] {
            assert!(is_known(charset), "{charset}");
        }
        for charset in [
            "",
            "cp037",
            "x-unknown",
            "unicode_escape",
            // Nothing but replacement characters comes out.
            "replacement",
            "iso-2022-cn",
            "iso-2022-kr",
            "ISO_2022_KR",
            "csISO2022KR",
            "hz-gb-2312",
            // Letters turn into other characters.
            "utf-7",
            "UTF_7",
            "csUTF7",
            "unicode-1-1-utf-7",
            // Two octets for each character, in either order.
            "utf-16",
            "UTF-16BE",
            "utf-16le",
            "csUTF16",
            "csUTF16BE",
            "csUTF16LE",
            "ucs-2",
            "ISO-10646-UCS-2",
            "unicode",
            "csUnicode",
            "unicodeFEFF",
            "unicodefffe",
        ] {
            assert!(!is_known(charset), "{charset}");
        }
    }

    #[test]
    fn iso_2022_jp_is_what_its_rfc_says() {
        for (octets, is_legal) in [
            (&b"Ann Lee"[..], true),
            (b"\x1b$B;3ED\x1b(B", true),
            (b"\x1b$@;3ED\x1b(J Ann", true),
            (b"\x1b$B;3ED", true),
            (b"\xc1\xa5\xc1\xb6", false),
            (b"\x1b$B;3\nEVIL@X", false),
            (b"\x1b$B; EVIL@X", false),
            (b"\x1b$B;3E\x1b(B", false),
            (b"\x1b$B;3E", false),
            (b"\x1b(IEVIL@X\x1b(B", false),
            (b"\x1b$(D;3ED\x1b(B", false),
            (b"\x0eEVIL@X\x0f", false),
            (b"\x1b", false),
        ] {
            for charset in ["iso-2022-jp", "csISO2022JP"] {
                assert_eq!(is_allowed(charset, octets), is_legal, "{octets:?}");
            }
        }
        assert!(is_allowed("iso-8859-1", b"\xc1"));
    }

    #[test]
    fn what_is_an_address_in_ebcdic_is_allowed_where_nobody_has_to_guess() {
        let address = b"\xa7|\xa8K\xa9";
        for charset in [
            "utf-8",
            "us-ascii",
            "windows-1252",
            "euc-kr",
            "koi8-r",
            "big5",
            "GBK",
        ] {
            assert!(!is_allowed(charset, address), "{charset}");
            assert!(is_allowed(charset, b"\xa7 | K\xa9"), "{charset}");
        }
        assert!(is_allowed("utf-8", "\u{e9}|\u{e9}K\u{e9}".as_bytes()));
        assert!(is_allowed("shift_jis", b"\x83|\x83K\x83A"));
    }

    #[test]
    fn what_every_reader_decodes() {
        for charset in ["UTF-8", "us-ascii", "ISO-8859-1", "iso-8859-15"] {
            assert!(is_common(charset), "{charset}");
        }
        for charset in ["gb18030", "l10", "iso-8859-8-i", "windows-1252", ""] {
            assert!(!is_common(charset), "{charset}");
        }
    }

    #[test]
    fn a_second_octet_may_be_an_at_to_readers_of_a_smaller_table() {
        for (charset, octets, is_so) in [
            ("gb2312", &b"\x81@"[..], true),
            ("GB_2312-80", b"\xb0\xa1\x81@", true),
            ("chinese", b"\xfe@", true),
            ("csISO58GB231280", b"\x81@", true),
            ("iso-ir-58", b"\x81@", true),
            ("gb2312", b"\xb0\xa1", false),
            ("gb2312", b"\x81A", false),
            ("gbk", b"\x81@", false),
            ("GB18030", b"\x81@", false),
            ("csgbk", b"\x81@", true),
            ("csgb18030", b"\x81@", true),
            ("cn-big5", b"\xa4@", true),
            ("utf-8", b"\xc3\xbc@", false),
            ("big5", b"\xa4@", false),
            ("big5", b"\x87@", true),
            ("Big5-HKSCS", b"\xfe@", true),
            ("shift_jis", b"\x81@\x83@", false),
            ("Shift_JIS", b"\x87@", true),
            ("windows-31j", b"\xfa@", true),
            ("iso-8859-1", b"\x81@", false),
            ("euc-jp", b"\xb0@", false),
            ("iso-2022-jp", b"\x1b$B!@\x1b(B", false),
        ] {
            assert_eq!(may_hold_at(charset, octets), is_so, "{charset}");
        }
    }
}
