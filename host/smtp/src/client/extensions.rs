//! What a peer lists in its reply to EHLO (RFC 5321 §4.1.1.1).

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
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_status_codes: bool,
    /// AUTH (RFC 4954): the mechanisms that we know, in the peer's order.
    pub auth: Vec<Mechanism>,
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
        let text = "mx.example.com PIPELINING\nsize 1000\n8BITMIME\nSMTPUTF8\nDSN\nCHUNKING\nSTARTTLS\n\
                    MT-PRIORITY MIXER\ndeliverby 60,X\n\
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
}
