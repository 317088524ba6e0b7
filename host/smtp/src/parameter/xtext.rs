//! xtext, the coding of RFC 3461 §4: `+` and two upper-case hexadecimal digits stand for an octet.

/// Decodes xtext whose meaning is printable ASCII, as ENVID and AUTH demand; anything else is `None`.
pub fn decode(text: &str) -> Option<String> {
    let decoded = String::from_utf8(decode_octets(text)?).ok()?;
    let is_printable = decoded.bytes().all(|octet| matches!(octet, b' '..=b'~'));
    is_printable.then_some(decoded)
}

/// Decodes xtext: a `hexchar` may stand for any octet.
pub fn decode_octets(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        decoded.push(match octet {
            b'+' => hexadecimal(octets.next()?)? * 16 + hexadecimal(octets.next()?)?,
            b'=' => return None,
            b'!'..=b'~' => octet,
            _ => return None,
        });
    }
    Some(decoded)
}

/// Encodes `text`; octets beyond ASCII are encoded as they are in UTF-8.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'+' | b'=' => encode_octet(octet, &mut encoded),
            b'!'..=b'~' => encoded.push(char::from(octet)),
            _ => encode_octet(octet, &mut encoded),
        }
    }
    encoded
}

fn encode_octet(octet: u8, encoded: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    encoded.push('+');
    encoded.push(char::from(DIGITS[usize::from(octet >> 4)]));
    encoded.push(char::from(DIGITS[usize::from(octet & 15)]));
}

/// RFC 3461 §4: `hexchar` is upper case only.
fn hexadecimal(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn xtext_is_strict() {
        assert_eq!(
            decode("e+3Dmc2@example.com").as_deref(),
            Some("e=mc2@example.com")
        );
        assert_eq!(decode("a+20b+2B").as_deref(), Some("a b+"));
        for text in [
            "+", "+3", "+3d", "+ZZ", "a=b", "a b", "+0D", "+00", "+7F", "+E9", "\u{e9}", "a\n",
        ] {
            assert_eq!(decode(text), None, "{text}");
        }
        for text in ["+", "+3", "+3d", "+ZZ", "a=b", "a b", "\u{e9}", "a\n"] {
            assert_eq!(decode_octets(text), None, "{text}");
        }
        assert_eq!(decode_octets("a+00+E9").unwrap(), b"a\0\xe9");
    }

    proptest! {
        #[test]
        fn printable_ascii_round_trips(text in "[ -~]{0,40}") {
            let encoded = encode(&text);
            prop_assert!(encoded.bytes().all(|c| c.is_ascii_graphic() && c != b'='));
            prop_assert_eq!(decode(&encoded).unwrap(), text);
        }
    }
}
