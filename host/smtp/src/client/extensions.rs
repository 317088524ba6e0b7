//! What a peer lists in its reply to EHLO (RFC 5321 §4.1.1.1).

use std::num::NonZeroU32;

use crate::auth::Mechanism;

/// The extensions that matter to us.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extensions {
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// SIZE (RFC 1870); 0 if the peer names no maximum.
    pub size: Option<u64>,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// MT-PRIORITY (RFC 6710), whatever its profile.
    pub mt_priority: bool,
    /// DELIVERBY (RFC 2852): the shortest time in seconds in which it returns a message; 0 if it names none.
    pub deliver_by: Option<u32>,
    /// LIMITS (RFC 9422): what the peer says that it takes. Whoever begins transactions keeps to it.
    pub limits: PeerLimits,
    /// REQUIRETLS (RFC 8689). A session believes it under TLS only.
    pub require_tls: bool,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_status_codes: bool,
    /// AUTH (RFC 4954): the mechanisms that we know, in the peer's order.
    pub auth: Vec<Mechanism>,
}

/// How much a peer takes, as far as it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerLimits {
    /// MAILMAX (RFC 9422 §4.1): MAIL commands on one connection, those that are refused included.
    pub mail_max: Option<NonZeroU32>,
    /// RCPTMAX (RFC 9422 §4.2): RCPT commands in one transaction.
    pub rcpt_max: Option<NonZeroU32>,
}

impl Extensions {
    /// Reads the lines behind the first. Unknown keywords are ignored (RFC 5321 §4.1.1.1); so is a
    /// SIZE that is no number, which is like naming no maximum, and so is such a DELIVERBY.
    pub fn parse(text: &str) -> Extensions {
        let mut extensions = Extensions::default();
        for line in text.lines().skip(1) {
            let (keyword, parameters) = line.split_once([' ', '=']).unwrap_or((line, ""));
            match keyword.to_ascii_uppercase().as_str() {
                "PIPELINING" => extensions.pipelining = true,
                "SIZE" => extensions.size = Some(parameters.trim().parse().unwrap_or(0)),
                "8BITMIME" => extensions.eight_bit_mime = true,
                "SMTPUTF8" => extensions.smtputf8 = true,
                "DSN" => extensions.dsn = true,
                "CHUNKING" => extensions.chunking = true,
                "MT-PRIORITY" => extensions.mt_priority = true,
                "DELIVERBY" => extensions.deliver_by = Some(least_time(parameters)),
                "LIMITS" => extensions.limits = PeerLimits::parse(parameters).unwrap_or_default(),
                "REQUIRETLS" => extensions.require_tls = true,
                "STARTTLS" => extensions.starttls = true,
                "ENHANCEDSTATUSCODES" => extensions.enhanced_status_codes = true,
                // `AUTH=LOGIN` is how some old servers list it for old clients.
                "AUTH" => extensions.add_mechanisms(parameters),
                _ => {}
            }
        }
        extensions
    }

    fn add_mechanisms(&mut self, names: &str) {
        for mechanism in names.split([' ', '=']).filter_map(Mechanism::parse) {
            if !self.auth.contains(&mechanism) {
                self.auth.push(mechanism);
            }
        }
    }
}

/// Most digits of a limit (RFC 9422 §4.1, §4.2).
const LIMIT_DIGITS_MAX: usize = 6;

impl PeerLimits {
    /// `limits-param` (RFC 9422 §3). A limit that we do not know is ignored, and so is one whose value is no number as
    /// it has to be (§3.7); of two values for the same limit the smaller one counts. None when the whole cannot be read.
    fn parse(parameters: &str) -> Option<PeerLimits> {
        let mut limits = PeerLimits::default();
        for parameter in parameters.trim_end().split(' ') {
            let (name, value) = match parameter.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (parameter, None),
            };
            if !is_limit_name(name) || !value.is_none_or(is_limit_value) {
                return None;
            }
            let place = match name.to_ascii_uppercase().as_str() {
                "MAILMAX" => &mut limits.mail_max,
                "RCPTMAX" => &mut limits.rcpt_max,
                _ => continue,
            };
            if let Some(limit) = value.and_then(parse_limit) {
                *place = Some(place.map_or(limit, |other| other.min(limit)));
            }
        }
        Some(limits)
    }
}

fn is_limit_name(name: &str) -> bool {
    let is_allowed = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    !name.is_empty() && name.bytes().all(is_allowed)
}

fn is_limit_value(value: &str) -> bool {
    let is_allowed = |octet: u8| octet.is_ascii_graphic() && octet != b';';
    !value.is_empty() && value.bytes().all(is_allowed)
}

/// `%x31-39 0*5DIGIT`.
fn parse_limit(digits: &str) -> Option<NonZeroU32> {
    let is_number = digits.len() <= LIMIT_DIGITS_MAX
        && !digits.starts_with('0')
        && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// `[min-by-time] *( "," extension-token )` (RFC 2852 §3).
fn least_time(parameters: &str) -> u32 {
    let first = parameters.split(',').next().unwrap_or_default();
    first.trim().parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_is_known_and_the_rest_is_ignored() {
        let text = "mx.example.com PIPELINING\nsize 1000\n8BITMIME\nSMTPUTF8\nDSN\nCHUNKING\nRequireTLS\nSTARTTLS\n\
                    MT-PRIORITY MIXER\ndeliverby 60,X\nlimits MAILMAX=50 RCPTMAX=20 X\n\
                    ENHANCEDSTATUSCODES\nAUTH=LOGIN\nAUTH CRAM-MD5 LOGIN plain\nXCLIENT NAME\n\nHELP";
        assert_eq!(
            Extensions::parse(text),
            Extensions {
                pipelining: false,
                size: Some(1000),
                eight_bit_mime: true,
                smtputf8: true,
                dsn: true,
                chunking: true,
                mt_priority: true,
                deliver_by: Some(60),
                limits: limits(50, 20),
                require_tls: true,
                starttls: true,
                enhanced_status_codes: true,
                auth: vec![Mechanism::Login, Mechanism::Plain],
            }
        );
        assert_eq!(Extensions::parse("mx\nSIZE").size, Some(0));
        assert_eq!(Extensions::parse("mx\nSIZE abc").size, Some(0));
        for unbounded in ["mx\nDELIVERBY", "mx\nDELIVERBY -5", "mx\nDELIVERBY x"] {
            assert_eq!(Extensions::parse(unbounded).deliver_by, Some(0));
        }
        assert_eq!(Extensions::parse("mx"), Extensions::default());
    }

    /// Zero: none.
    fn limits(mail_max: u32, rcpt_max: u32) -> PeerLimits {
        PeerLimits {
            mail_max: NonZeroU32::new(mail_max),
            rcpt_max: NonZeroU32::new(rcpt_max),
        }
    }

    #[test]
    fn limits_count_as_far_as_they_can_be_read() {
        for (text, expected) in [
            ("RCPTMAX=1", limits(0, 1)),
            ("rcptmax=100 mailmax=999999 ", limits(999_999, 100)),
            ("MAILMAX=7 RCPTDOMAINMAX=1 X-Y_Z=a=b FLAG", limits(7, 0)),
            ("RCPTMAX=30 RCPTMAX=20 RCPTMAX=25", limits(0, 20)),
            // One limit that is wrong says nothing about the others.
            ("RCPTMAX=0 MAILMAX=5", limits(5, 0)),
            ("RCPTMAX=1000000 MAILMAX=5", limits(5, 0)),
            ("RCPTMAX=010 MAILMAX=5", limits(5, 0)),
            ("RCPTMAX=+10 MAILMAX=5", limits(5, 0)),
            ("RCPTMAX=-1 MAILMAX=5", limits(5, 0)),
            ("RCPTMAX=many MAILMAX=5", limits(5, 0)),
            ("RCPTMAX MAILMAX=5", limits(5, 0)),
            // What is no list of limits is none at all.
            ("", limits(0, 0)),
            ("RCPTMAX=10;MAILMAX=5", limits(0, 0)),
            ("RCPTMAX=10; MAILMAX=5", limits(0, 0)),
            ("RCPTMAX= MAILMAX=5", limits(0, 0)),
            ("RCPTMAX=10  MAILMAX=5", limits(0, 0)),
            ("RCPTMAX=10, MAILMAX=5 =1", limits(0, 0)),
            ("RCPT.MAX=10 MAILMAX=5", limits(0, 0)),
            ("RCPTMAX=1\u{661} MAILMAX=5", limits(0, 0)),
        ] {
            let listed = Extensions::parse(&format!("mx\nLIMITS {text}"));
            assert_eq!(listed.limits, expected, "{text:?}");
        }
        assert_eq!(Extensions::parse("mx\nLIMITS").limits, limits(0, 0));
    }
}
