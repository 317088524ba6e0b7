//! Parameters of RCPT: NOTIFY and ORCPT (RFC 3461 §4.1, §4.2; RFC 6533 §3 for addresses in UTF-8).

use super::{ParameterError, set, split, xtext};

/// Longest ORCPT as it is encoded (RFC 3461 §4.2).
const ORCPT_OCTETS_MAX: usize = 500;

/// When the sender wants to hear of this recipient (RFC 3461 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Notify {
    /// NEVER; the other three are false then.
    pub never: bool,
    /// SUCCESS.
    pub success: bool,
    /// FAILURE.
    pub failure: bool,
    /// DELAY.
    pub delay: bool,
}

/// The recipient that the sender first named (RFC 3461 §4.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Orcpt {
    /// `rfc822`, `utf-8` or another type, as it was given; but `utf-8` where an address of the type `rfc822`
    /// was beyond ASCII.
    pub address_type: String,
    /// The address, decoded.
    pub address: String,
}

/// What stood behind the forward-path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RcptParameters {
    /// NOTIFY.
    pub notify: Option<Notify>,
    /// ORCPT.
    pub orcpt: Option<Orcpt>,
}

impl RcptParameters {
    /// Parses what stands behind the forward-path.
    ///
    /// # Errors
    /// [`ParameterError`] says whether a parameter is unknown or malformed.
    pub fn parse(text: &str) -> Result<RcptParameters, ParameterError> {
        let mut parameters = RcptParameters::default();
        for parameter in split(text) {
            let (keyword, value) = parameter?;
            match (keyword.to_ascii_uppercase().as_str(), value) {
                ("NOTIFY", value) => set(&mut parameters.notify, value.and_then(parse_notify))?,
                ("ORCPT", value) => set(&mut parameters.orcpt, value.and_then(parse_orcpt))?,
                _ => return Err(ParameterError::Unknown),
            }
        }
        Ok(parameters)
    }
}

impl Notify {
    /// The value of NOTIFY.
    pub(crate) fn encode(self) -> String {
        let chosen = [
            (self.never, "NEVER"),
            (self.success && !self.never, "SUCCESS"),
            (self.failure && !self.never, "FAILURE"),
            (self.delay && !self.never, "DELAY"),
        ];
        let chosen: Vec<&str> = chosen
            .into_iter()
            .filter_map(|(is_chosen, name)| is_chosen.then_some(name))
            .collect();
        chosen.join(",")
    }
}

/// NEVER stands alone (RFC 3461 §4.1).
fn parse_notify(value: &str) -> Option<Notify> {
    if value.eq_ignore_ascii_case("NEVER") {
        return Some(Notify {
            never: true,
            ..Notify::default()
        });
    }
    let mut notify = Notify::default();
    for choice in value.split(',') {
        match choice.to_ascii_uppercase().as_str() {
            "SUCCESS" => notify.success = true,
            "FAILURE" => notify.failure = true,
            "DELAY" => notify.delay = true,
            _ => return None,
        }
    }
    Some(notify)
}

impl Orcpt {
    /// The value of ORCPT. `utf8` says whether the peer may be sent UTF-8 (RFC 6533 §3).
    pub(crate) fn encode(&self, utf8: bool) -> String {
        let address = if self.address_type.eq_ignore_ascii_case("utf-8") {
            encode_unicode(&self.address, utf8)
        } else {
            xtext::encode(&self.address)
        };
        format!("{};{address}", self.address_type)
    }
}

fn parse_orcpt(value: &str) -> Option<Orcpt> {
    if value.len() > ORCPT_OCTETS_MAX {
        return None;
    }
    let (address_type, address) = value.split_once(';')?;
    let is_atom = !address_type.is_empty()
        && address_type
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&c));
    if !is_atom {
        return None;
    }
    let orcpt = if address_type.eq_ignore_ascii_case("utf-8") {
        Orcpt {
            address_type: address_type.to_owned(),
            address: decode_unicode(address)?,
        }
    } else {
        decode_xtext(address_type, address)?
    };
    Some(orcpt).filter(|orcpt| !orcpt.address.is_empty())
}

/// An address of another type than `utf-8`. Postfix writes one beyond ASCII as xtext of the type `rfc822`, octet by
/// octet, which RFC 3461 §4 allows. It goes on as what it is (RFC 6533 §3): a report may have it in UTF-8 only
/// under that type.
fn decode_xtext(address_type: &str, text: &str) -> Option<Orcpt> {
    let address = String::from_utf8(xtext::decode_octets(text)?).ok()?;
    if address.contains(char::is_control) {
        return None;
    }
    if address.is_ascii() {
        return Some(Orcpt {
            address_type: address_type.to_owned(),
            address,
        });
    }
    let orcpt = Orcpt {
        address_type: "utf-8".to_owned(),
        address,
    };
    // The other coding has more octets for some characters.
    let is_short = orcpt.encode(false).len() <= ORCPT_OCTETS_MAX;
    (address_type.eq_ignore_ascii_case("rfc822") && is_short).then_some(orcpt)
}

/// `utf-8-addr-xtext` and `utf-8-addr-unitext` of RFC 6533 §3: `\x{HEX}` stands for a character.
fn decode_unicode(mut text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    while let Some(first) = text.chars().next() {
        if let Some(rest) = text.strip_prefix("\\x{") {
            let (digits, rest) = rest.split_once('}')?;
            decoded.push(embedded_character(digits)?);
            text = rest;
            continue;
        }
        if matches!(first, '\\' | '+' | '=') || first.is_control() || first == ' ' {
            return None;
        }
        decoded.push(first);
        text = &text[first.len_utf8()..];
    }
    Some(decoded)
}

/// `HEXPOINT`: two to six upper-case digits without needless zeros, and never a control.
fn embedded_character(digits: &str) -> Option<char> {
    let valid = (2..=6).contains(&digits.len())
        && digits
            .bytes()
            .all(|c| matches!(c, b'0'..=b'9' | b'A'..=b'F'))
        && (digits.len() == 2 || !digits.starts_with('0'));
    if !valid {
        return None;
    }
    let character = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
    (!character.is_control()).then_some(character)
}

fn encode_unicode(address: &str, utf8: bool) -> String {
    let mut encoded = String::with_capacity(address.len());
    for character in address.chars() {
        let is_plain = character.is_ascii_graphic() && !matches!(character, '\\' | '+' | '=');
        if is_plain || (utf8 && !character.is_ascii()) {
            encoded.push(character);
        } else {
            encoded.push_str(&format!("\\x{{{:02X}}}", u32::from(character)));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn notify(text: &str) -> Result<String, ParameterError> {
        RcptParameters::parse(text).map(|p| p.notify.unwrap().encode())
    }

    fn orcpt(text: &str) -> Result<(String, String), ParameterError> {
        let orcpt = RcptParameters::parse(text)?.orcpt.unwrap();
        Ok((orcpt.address_type, orcpt.address))
    }

    #[test]
    fn notify_is_never_or_a_list() {
        assert_eq!(notify("NOTIFY=never"), Ok("NEVER".into()));
        assert_eq!(notify("notify=DELAY,success"), Ok("SUCCESS,DELAY".into()));
        assert_eq!(
            notify("NOTIFY=SUCCESS,FAILURE,DELAY"),
            Ok("SUCCESS,FAILURE,DELAY".into())
        );
        for text in [
            "NOTIFY",
            "NOTIFY=",
            "NOTIFY=,",
            "NOTIFY=NEVER,SUCCESS",
            "NOTIFY=SUCCESS,",
            "NOTIFY=ALWAYS",
            "NOTIFY=SUCCESS,NEVER",
            "NOTIFY=FAILURE NOTIFY=DELAY",
        ] {
            assert_eq!(notify(text), Err(ParameterError::Malformed), "{text}");
        }
    }

    #[test]
    fn orcpt_is_decoded_by_its_type() {
        assert_eq!(
            orcpt("ORCPT=rfc822;Bob+2Bx@example.com"),
            Ok(("rfc822".into(), "Bob+x@example.com".into()))
        );
        assert_eq!(
            orcpt("ORCPT=utf-8;jos\\x{E9}@example.com"),
            Ok(("utf-8".into(), "jos\u{e9}@example.com".into()))
        );
        assert_eq!(
            orcpt("ORCPT=UTF-8;jos\u{e9}\\x{2B}@x"),
            Ok(("UTF-8".into(), "jos\u{e9}+@x".into()))
        );
        assert_eq!(
            orcpt("ORCPT=x400;/S+3Db"),
            Ok(("x400".into(), "/S=b".into()))
        );
        // As Postfix writes it.
        assert_eq!(
            orcpt("ORCPT=rfc822;j+C3+BCrgen@x.test"),
            Ok(("utf-8".into(), "j\u{fc}rgen@x.test".into()))
        );
        let long = format!("ORCPT=rfc822;{}", "a".repeat(494));
        let longer = format!("ORCPT=rfc822;+C3+BC{}", "\\".repeat(90));
        for text in [
            "ORCPT",
            "ORCPT=",
            "ORCPT=a@b",
            "ORCPT=;a@b",
            "ORCPT=rfc822;",
            "ORCPT=rfc822;a+b",
            "ORCPT=rfc822;\u{e9}",
            "ORCPT=rfc822;+0D+0A",
            "ORCPT=rfc822;+FC",
            "ORCPT=rfc822;+C2+85",
            "ORCPT=rfc822;+7F",
            "ORCPT=x400;j+C3+BCrgen",
            "ORCPT=r(c;a",
            "ORCPT=utf-8;\\x{0A}",
            "ORCPT=utf-8;\\x{D800}",
            "ORCPT=utf-8;\\x{0e9}",
            "ORCPT=utf-8;\\x{110000}",
            "ORCPT=utf-8;a\\",
            "ORCPT=utf-8;a+2B",
            "ORCPT=rfc822;a ORCPT=rfc822;a",
            &long,
            &longer,
        ] {
            assert_eq!(orcpt(text), Err(ParameterError::Malformed), "{text}");
        }
        assert!(orcpt(&long[..long.len() - 1]).is_ok());
    }

    #[test]
    fn parameters_of_mail_are_unknown_to_rcpt() {
        for text in [
            "SIZE=1",
            "BODY=7BIT",
            "RET=FULL",
            "X=1",
            "RRVS=2014-04-03T23:01:00Z",
        ] {
            assert_eq!(
                RcptParameters::parse(text),
                Err(ParameterError::Unknown),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn orcpt_round_trips(is_utf8: bool, send_utf8: bool, address in "[!-~]{1,40}", foreign in "[\u{e9}\u{4e2d}]{0,3}") {
            let (address_type, address) = if is_utf8 { ("utf-8", address + &foreign) } else { ("rfc822", address) };
            let orcpt = Orcpt { address_type: address_type.into(), address };
            let encoded = orcpt.encode(send_utf8);
            prop_assert!(send_utf8 || encoded.is_ascii());
            prop_assert_eq!(RcptParameters::parse(&format!("ORCPT={encoded}")).unwrap().orcpt, Some(orcpt));
        }
    }
}
