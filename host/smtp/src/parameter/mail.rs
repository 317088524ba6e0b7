//! Parameters of MAIL: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531), RET and ENVID
//! (RFC 3461), AUTH (RFC 4954 §5), MT-PRIORITY (RFC 6710), HOLDFOR and HOLDUNTIL (RFC 4865), BY (RFC 2852),
//! REQUIRETLS (RFC 8689).

use super::{By, Hold, ParameterError, set, split, xtext};
use crate::address::Mailbox;

/// Longest ENVID as it is encoded (RFC 3461 §4.4).
const ENVID_OCTETS_MAX: usize = 100;
/// Most digits of a size (RFC 1870 §3).
const SIZE_DIGITS_MAX: usize = 20;

/// What the content is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Body {
    /// Lines of ASCII.
    #[default]
    SevenBit,
    /// Lines of any octets. BINARYMIME is refused until it is relayed.
    EightBitMime,
}

/// How much of the message comes back in a report of failure (RFC 3461 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ret {
    /// All of it.
    Full,
    /// The header only.
    Headers,
}

/// Who first submitted the message, as a trusted client says (RFC 4954 §5).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AuthIdentity {
    /// `<>`: not known, or not to be told.
    Unknown,
    /// A mailbox.
    Mailbox(Mailbox),
}

/// What stood behind the reverse-path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailParameters {
    /// Declared size of the content in octets. What does not fit into 64 bits is [`u64::MAX`].
    pub size: Option<u64>,
    /// BODY; seven bits unless said otherwise.
    pub body: Body,
    /// Whether addresses and header fields may be in UTF-8.
    pub smtputf8: bool,
    /// RET.
    pub ret: Option<Ret>,
    /// ENVID, decoded: printable ASCII.
    pub envid: Option<String>,
    /// AUTH.
    pub auth: Option<AuthIdentity>,
    /// MT-PRIORITY: -9 to 9, the most urgent last.
    pub mt_priority: Option<i8>,
    /// HOLDFOR or HOLDUNTIL.
    pub hold: Option<Hold>,
    /// BY.
    pub by: Option<By>,
    /// REQUIRETLS: the message goes on under TLS, to a host that is known for who it is, or not at all.
    pub require_tls: bool,
}

impl MailParameters {
    /// Parses what stands behind the reverse-path.
    ///
    /// # Errors
    /// [`ParameterError`] says whether a parameter is unknown or malformed.
    pub fn parse(text: &str) -> Result<MailParameters, ParameterError> {
        let mut parameters = MailParameters::default();
        let (mut body, mut smtputf8, mut require_tls) = (None, None, None);
        for parameter in split(text) {
            let (keyword, value) = parameter?;
            let keyword = keyword.to_ascii_uppercase();
            match (keyword.as_str(), value) {
                ("SIZE", value) => set(&mut parameters.size, value.and_then(parse_size))?,
                ("BODY", Some(value)) if value.eq_ignore_ascii_case("BINARYMIME") => {
                    return Err(ParameterError::Unknown);
                }
                ("BODY", value) => set(&mut body, value.and_then(parse_body))?,
                ("SMTPUTF8", value) => set(&mut smtputf8, value.is_none().then_some(()))?,
                ("RET", value) => set(&mut parameters.ret, value.and_then(parse_ret))?,
                ("ENVID", value) => set(&mut parameters.envid, value.and_then(parse_envid))?,
                ("AUTH", value) => set(&mut parameters.auth, value.and_then(parse_auth))?,
                ("MT-PRIORITY", value) => {
                    set(
                        &mut parameters.mt_priority,
                        value.and_then(parse_mt_priority),
                    )?;
                }
                // RFC 4865 §4.2: one of the two, once.
                ("HOLDFOR", value) => {
                    set(&mut parameters.hold, value.and_then(Hold::parse_interval))?;
                }
                ("HOLDUNTIL", value) => {
                    set(&mut parameters.hold, value.and_then(Hold::parse_date_time))?;
                }
                ("BY", value) => set(&mut parameters.by, value.and_then(By::parse))?,
                ("REQUIRETLS", value) => set(&mut require_tls, value.is_none().then_some(()))?,
                _ => return Err(ParameterError::Unknown),
            }
        }
        parameters.body = body.unwrap_or_default();
        parameters.smtputf8 = smtputf8.is_some();
        parameters.require_tls = require_tls.is_some();
        Ok(parameters)
    }
}

/// `1*20DIGIT`, for SIZE and for the size of a chunk (RFC 1870 §3, RFC 3030 §2). Twenty digits may be
/// more than 64 bits hold; such a number is over every limit, and so is [`u64::MAX`].
pub(crate) fn parse_size(digits: &str) -> Option<u64> {
    let valid = (1..=SIZE_DIGITS_MAX).contains(&digits.len())
        && digits.bytes().all(|digit| digit.is_ascii_digit());
    valid.then(|| digits.parse().unwrap_or(u64::MAX))
}

fn parse_body(value: &str) -> Option<Body> {
    if value.eq_ignore_ascii_case("7BIT") {
        Some(Body::SevenBit)
    } else if value.eq_ignore_ascii_case("8BITMIME") {
        Some(Body::EightBitMime)
    } else {
        None
    }
}

fn parse_ret(value: &str) -> Option<Ret> {
    if value.eq_ignore_ascii_case("FULL") {
        Some(Ret::Full)
    } else if value.eq_ignore_ascii_case("HDRS") {
        Some(Ret::Headers)
    } else {
        None
    }
}

fn parse_envid(value: &str) -> Option<String> {
    (value.len() <= ENVID_OCTETS_MAX)
        .then(|| xtext::decode(value))
        .flatten()
}

fn parse_auth(value: &str) -> Option<AuthIdentity> {
    if value == "<>" {
        return Some(AuthIdentity::Unknown);
    }
    let mailbox = Mailbox::parse(&xtext::decode(value)?, false).ok()?;
    Some(AuthIdentity::Mailbox(mailbox))
}

/// `priority-value` of RFC 6710 §7: a digit, with a minus before it where it is not zero. Nothing else means the same.
pub fn parse_mt_priority(value: &str) -> Option<i8> {
    let digit = value.strip_prefix('-').unwrap_or(value);
    match (digit.as_bytes(), value) {
        (_, "-0") => None,
        ([b'0'..=b'9'], _) => value.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::parameter::ByMode;
    use proptest::prelude::*;
    use std::time::Duration;

    fn check(text: &str, expected: MailParameters) {
        assert_eq!(MailParameters::parse(text), Ok(expected), "{text}");
    }

    fn check_refused(text: &str, expected: ParameterError) {
        assert_eq!(MailParameters::parse(text), Err(expected), "{text}");
    }

    #[test]
    fn each_known_parameter_is_read() {
        check("", MailParameters::default());
        check(
            " size=00100 Body=8bitmime SMTPUTF8 RET=HDRS ENVID=a+20b AUTH=e+3Dmc2@example.com",
            MailParameters {
                size: Some(100),
                body: Body::EightBitMime,
                smtputf8: true,
                ret: Some(Ret::Headers),
                envid: Some("a b".into()),
                auth: Some(AuthIdentity::Mailbox(Mailbox {
                    local: "e=mc2".into(),
                    domain: "example.com".into(),
                })),
                ..MailParameters::default()
            },
        );
        check(
            "mt-priority=-9 holdfor=60 by=-5;n RequireTLS",
            MailParameters {
                mt_priority: Some(-9),
                hold: Some(Hold::For(Duration::from_secs(60))),
                by: Some(By {
                    seconds: -5,
                    mode: ByMode::Notify,
                    trace: false,
                }),
                require_tls: true,
                ..MailParameters::default()
            },
        );
        check(
            "HOLDUNTIL=2023-11-14T22:13:20Z",
            MailParameters {
                hold: Some(Hold::Until(Duration::from_secs(1_700_000_000))),
                ..MailParameters::default()
            },
        );
        check(
            "  RET=FULL  AUTH=<>",
            MailParameters {
                ret: Some(Ret::Full),
                auth: Some(AuthIdentity::Unknown),
                ..MailParameters::default()
            },
        );
    }

    #[test]
    fn a_size_of_twenty_digits_is_a_size_and_one_more_is_not() {
        let size = |text: &str| MailParameters::parse(text).map(|p| p.size);
        assert_eq!(size("SIZE=18446744073709551615"), Ok(Some(u64::MAX)));
        assert_eq!(size("SIZE=99999999999999999999"), Ok(Some(u64::MAX)));
        assert_eq!(size("SIZE=00000000000000000007"), Ok(Some(7)));
        check_refused("SIZE=000000000000000000007", ParameterError::Malformed);
    }

    #[test]
    fn malformed_values_are_not_guessed_at() {
        for text in [
            "SIZE",
            "SIZE=",
            "SIZE=abc",
            "SIZE=-1",
            "SIZE=+1",
            "SIZE=1k",
            "SIZE=0x10",
            "SIZE=1 SIZE=1",
            "BODY",
            "BODY=9BIT",
            "BODY=7BIT BODY=7BIT",
            "SMTPUTF8=1",
            "SMTPUTF8 SMTPUTF8",
            "RET",
            "RET=ALL",
            "RET=FULL RET=HDRS",
            "ENVID",
            "ENVID=+3d",
            "ENVID=a=b",
            "ENVID=+0A",
            "AUTH",
            "AUTH=a",
            "AUTH=+",
            "AUTH=<a@b>",
            "MT-PRIORITY",
            "MT-PRIORITY=",
            "MT-PRIORITY=10",
            "MT-PRIORITY=-10",
            "MT-PRIORITY=+3",
            "MT-PRIORITY=03",
            "MT-PRIORITY=-0",
            "MT-PRIORITY=-",
            "MT-PRIORITY=high",
            "MT-PRIORITY=3 MT-PRIORITY=3",
            "HOLDFOR",
            "HOLDFOR=60 HOLDFOR=60",
            "HOLDUNTIL=tomorrow",
            "HOLDFOR=60 HOLDUNTIL=2030-01-01T00:00:00Z",
            "HOLDUNTIL=2030-01-01T00:00:00Z HOLDFOR=60",
            "BY",
            "BY=60",
            "BY=60;R BY=60;R",
            "REQUIRETLS=",
            "REQUIRETLS=1",
            "REQUIRETLS requiretls",
            "-X=1",
            "=1",
            "A_B",
            "SIZE=1=2",
            "X=\u{85}",
        ] {
            check_refused(text, ParameterError::Malformed);
        }
        check_refused(
            &format!("ENVID={}", "a".repeat(101)),
            ParameterError::Malformed,
        );
        assert!(MailParameters::parse(&format!("ENVID={}", "a".repeat(100))).is_ok());
    }

    #[test]
    fn what_is_not_listed_is_unknown() {
        for text in [
            "BODY=BINARYMIME",
            "REQUIRE-TLS",
            "NOTIFY=NEVER",
            "X",
            "XFOO=bar",
            "SIZE2=1",
        ] {
            check_refused(text, ParameterError::Unknown);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "\\PC*|( [A-Z0-9]{1,8}=[!-~]{0,8}){0,4}") {
            let _ = MailParameters::parse(&text);
        }
    }
}
