//! Limits and timeouts as data, with the section of the RFC that each number comes from.
//!
//! The core keeps the limits itself. It has no clock: the timeouts are handed to whoever drives a
//! session, in the `within` of a `Receive` step or by reading the fields here.

use std::time::Duration;

/// How much of anything a server session takes before it says no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest command line in octets with its CRLF. RFC 5321 §4.5.3.1.4 asks for 512; the
    /// extensions that we list add to it: SIZE 26 (RFC 1870), SMTPUTF8 10 (RFC 6531), DSN 107 for
    /// MAIL and 500 for RCPT (RFC 3461), AUTH 500 (RFC 4954), MT-PRIORITY 15 (RFC 6710),
    /// FUTURERELEASE 34 (RFC 4865), DELIVERBY 17 (RFC 2852), REQUIRETLS 11 (RFC 8689). 2,048 holds any sum of them.
    pub command_octets_max: usize,
    /// Longest line of an AUTH exchange, and longest AUTH command, in octets with its CRLF.
    /// RFC 4954 §4 calls 12,288 enough for every deployed mechanism.
    pub auth_line_octets_max: usize,
    /// Accepted recipients in one transaction. RFC 5321 §4.5.3.1.8 asks for at least 100. Listed as
    /// RCPTMAX of LIMITS (RFC 9422).
    pub recipients_max: u32,
    /// Content in octets after dots are unstuffed, CRLFs counted (RFC 1870 §5). Listed as SIZE.
    pub content_octets_max: u64,
    /// Longest line of content in octets with its CRLF. RFC 5321 §4.5.3.1.6 says 1,000, yet many
    /// programs write a whole HTML part as one line and every large receiver takes it. Since we never
    /// change a line, the limit only keeps out what nobody could relay: 1 MiB.
    pub content_line_octets_max: u64,
    /// Content that is read and thrown away after it was refused, so that the session stays in step
    /// (RFC 3030 §2 demands it for BDAT). Past this the reply is sent at once and the session closes:
    /// 1 GiB is more than an honest client sends by mistake.
    pub discarded_octets_max: u64,
    /// Commands that the core itself refused since the last accepted message; one more is answered
    /// with 421. Refusals that the relay decides do not count, nor do as many commands as
    /// `recipients_max` that came behind a refused MAIL, chunk or recipient: a client that pipelines may
    /// not have known. Twenty, as at Postfix.
    pub errors_max: u32,
    /// Failed logins in one session; the next AUTH is answered with 421.
    pub auth_failures_max: u32,
    /// Commands before a login; one more is answered with 421. A client needs five.
    pub commands_before_login_max: u32,
    /// Commands after a login that bring no mail (EHLO, HELO, RSET, NOOP, VRFY, HELP, a MAIL that the relay
    /// refuses) since the last accepted message; one more is answered with 421. Postfix takes 100; programs that keep a
    /// connection for hours with a NOOP a minute, and those that say RSET behind every refused
    /// sender, come further with 1,000.
    pub commands_without_mail_max: u32,
    /// How long a client may ask for a message to be held; zero: FUTURERELEASE (RFC 4865) is not offered.
    /// A month holds what people plan ahead; what waits longer is better kept by who sends it.
    pub future_release_max: Duration,
    /// The shortest time in which a client may ask for a message to be delivered or else returned
    /// (RFC 2852 §3). None by default: a message that leaves at once is never late.
    pub deliver_by_min: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            command_octets_max: 2_048,
            auth_line_octets_max: 12_288,
            recipients_max: 1_000,
            content_octets_max: 52_428_800,
            content_line_octets_max: 1 << 20,
            discarded_octets_max: 1 << 30,
            errors_max: 20,
            auth_failures_max: 5,
            commands_before_login_max: 100,
            commands_without_mail_max: 1_000,
            future_release_max: Duration::from_secs(30 * 24 * 60 * 60),
            deliver_by_min: Duration::ZERO,
        }
    }
}

/// How long either side waits. Each is for one whole command, reply or block, never for an octet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// Server: for the next command (RFC 5321 §4.5.3.2.7: at least 5 minutes).
    pub command: Duration,
    /// Server: for the next 4 KiB of content, or its end. The client may be as slow as the timeout
    /// for the next command allows.
    pub content: Duration,
    /// Server: from the connection to a login. No RFC names it; what is not logged in by then only
    /// costs memory. Kept by the driver.
    pub login: Duration,
    /// Both: for a TLS handshake. Kept by the driver.
    pub tls_handshake: Duration,
    /// Client: for the greeting (RFC 5321 §4.5.3.2.1).
    pub greeting: Duration,
    /// Client: for the reply to EHLO, HELO, STARTTLS, AUTH and RSET. No RFC names it; as for MAIL.
    pub hello: Duration,
    /// Client: for the reply to MAIL (RFC 5321 §4.5.3.2.2).
    pub mail: Duration,
    /// Client: for the reply to RCPT (RFC 5321 §4.5.3.2.3).
    pub rcpt: Duration,
    /// Client: for the 354 (RFC 5321 §4.5.3.2.4).
    pub data: Duration,
    /// Client: for a block of content to be taken by the network (RFC 5321 §4.5.3.2.5). Kept by the
    /// driver, which is the one that writes.
    pub content_block: Duration,
    /// Client: for the reply to the end of the content (RFC 5321 §4.5.3.2.6).
    pub end_of_content: Duration,
    /// Client: for the 221. The mail is settled by then and nothing is lost by leaving.
    pub quit: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        const fn minutes(count: u64) -> Duration {
            Duration::from_secs(count * 60)
        }
        Timeouts {
            command: minutes(5),
            content: minutes(5),
            login: minutes(2),
            tls_handshake: minutes(1),
            greeting: minutes(5),
            hello: minutes(5),
            mail: minutes(5),
            rcpt: minutes(5),
            data: minutes(2),
            content_block: minutes(3),
            end_of_content: minutes(10),
            quit: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_never_stricter_than_the_rfc() {
        let (limits, timeouts) = (Limits::default(), Timeouts::default());
        assert!(limits.command_octets_max >= 512 + 26 + 10 + 107 + 500 + 15 + 34 + 17 + 11);
        assert!(limits.auth_line_octets_max >= 12_288);
        assert!(limits.recipients_max >= 100);
        assert!(limits.content_octets_max >= 64 * 1024);
        assert!(limits.content_line_octets_max >= 1_000);
        assert!(timeouts.command >= Duration::from_secs(300));
        assert!(timeouts.greeting >= Duration::from_secs(300));
        assert!(timeouts.mail >= Duration::from_secs(300));
        assert!(timeouts.rcpt >= Duration::from_secs(300));
        assert!(timeouts.data >= Duration::from_secs(120));
        assert!(timeouts.content_block >= Duration::from_secs(180));
        assert!(timeouts.end_of_content >= Duration::from_secs(600));
    }
}
