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

/// Whether octets are what the set allows, where readers make very different things of what it does not. That is
/// ISO-2022-JP: a line end or an escape sequence of a later set leaves two readers in different states, and
/// one takes octets above 127 for another set.
pub(super) fn is_allowed(charset: &str, octets: &[u8]) -> bool {
    match Family::of(charset) {
        Some(Family::Iso2022Jp) => is_iso_2022_jp(octets),
        _ => true,
    }
}

/// Whether every reader of mail decodes the set: those that RFC 2049 §2 names, and UTF-8.
pub(super) fn is_common(charset: &str) -> bool {
    let lower = charset.to_ascii_lowercase();
    matches!(lower.as_str(), "utf-8" | "us-ascii") || lower.starts_with("iso-8859-")
}

/// Whether an octet may be an `@` to another reader of the set, while here it is the second one of a letter: the
/// first one begins no such letter in a smaller table that goes by the same name, so that it alone is replaced
/// or left out.
pub(super) fn may_hold_at(charset: &str, octets: &[u8]) -> bool {
    let Some(family) = Family::of(charset) else {
        return false;
    };
    octets
        .windows(2)
        .any(|pair| pair[1] == b'@' && !pair[0].is_ascii() && !family.has_lead(pair[0]))
}

/// Sets whose readers differ.
enum Family {
    Big5,
    Gb2312,
    Iso2022Jp,
    ShiftJis,
}

impl Family {
    fn of(charset: &str) -> Option<Self> {
        let name: String = charset
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .collect();
        if name.contains("2022") {
            Some(Self::Iso2022Jp)
        } else if name.contains("big5") {
            Some(Self::Big5)
        } else if name.contains("2312") || matches!(name.as_str(), "chinese" | "isoir58") {
            Some(Self::Gb2312)
        } else if name.contains("jis")
            || matches!(name.as_str(), "ms932" | "mskanji" | "windows31j")
        {
            Some(Self::ShiftJis)
        } else {
            None
        }
    }

    /// Whether that octet begins letters whose second octet is US-ASCII, to every reader.
    fn has_lead(&self, octet: u8) -> bool {
        match self {
            // Beyond them are the letters of Hong Kong and of vendors.
            Self::Big5 => matches!(octet, 0xa1..=0xc7 | 0xc9..=0xf9),
            // Those of GBK go by this name too. Of GB 2312 itself both octets are above 127.
            Self::Gb2312 => false,
            Self::Iso2022Jp => true,
            // The rows of JIS X 0208; beyond them are the letters of vendors.
            Self::ShiftJis => matches!(octet, 0x81 | 0x83 | 0x84 | 0x89..=0x9f | 0xe0..=0xea),
        }
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
            ("gb18030", b"\x81@", false),
            ("big5", b"\xa4@", false),
            ("big5", b"\x87@", true),
            ("Big5-HKSCS", b"\xfe@", true),
            ("shift_jis", b"\x81@\x83@", false),
            ("Shift_JIS", b"\x87@", true),
            ("windows-31j", b"\xfa@", true),
            ("iso-8859-1", b"\x81@", false),
            ("euc-jp", b"\xb0@", false),
        ] {
            assert_eq!(may_hold_at(charset, octets), is_so, "{charset}");
        }
    }
}
