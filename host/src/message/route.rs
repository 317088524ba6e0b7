//! Routes: which next hop a recipient's mail goes to.
//!
//! Pure. Routes stand in the order of the configuration and the first that matches recipient, sender and
//! list wins; without a match the mail goes to the hosts that the MX records of the recipient's domain name. A route
//! says *where*; how to speak to a smarthost (login, TLS) is delivery's business.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use outpost_smtp::{Mailbox, ReversePath};

use super::address::{comparable_domain, is_comparable};
use super::{Address, Message, NextHop, Recipient};

/// The port of a smarthost that was written without one (RFC 5321 §4.5.4.2).
pub const SMTP_PORT: u16 = 25;

/// The routes of the configuration, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes(Vec<Route>);

/// Which mail, and the smarthost that takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// To whom.
    pub recipients: Pattern,
    /// From whom, by the reverse-path.
    pub senders: Senders,
    /// Of which list; any when there is none.
    pub list: Option<String>,
    /// Where it goes.
    pub smarthost: HostPort,
}

/// Whose mail it is.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Who sends it.
    pub reverse_path: &'a ReversePath,
    /// The list that it belongs to.
    pub list: &'a str,
}

impl<'a> Source<'a> {
    /// Whose mail a message is.
    pub fn of(message: &'a Message) -> Self {
        Self {
            reverse_path: &message.envelope.reverse_path,
            list: message.origin.list(),
        }
    }
}

impl Routes {
    /// Routes in the order in which they are asked.
    pub fn new(routes: Vec<Route>) -> Self {
        Self(routes)
    }

    /// Where mail of `source` for `recipient` goes.
    pub fn next_hop(&self, source: Source<'_>, recipient: &Mailbox) -> NextHop {
        let domain = domain_of(recipient);
        match self.matching(source, &domain) {
            Some(at) => NextHop::Smarthost(self.0[at].smarthost.to_string().into()),
            None => NextHop::Domain(domain.into()),
        }
    }

    /// Whether [`Routes::next_hop`] is that one. Makes no copies: it is asked about each delivery that is claimed.
    fn leads_to(&self, next_hop: &NextHop, source: Source<'_>, recipient: &Mailbox) -> bool {
        let domain = domain_of(recipient);
        match (self.matching(source, &domain), next_hop) {
            (Some(at), NextHop::Smarthost(name)) => self.0[at].smarthost.is_printed_as(name),
            (None, NextHop::Domain(name)) => **name == *domain,
            (Some(_), NextHop::Domain(_)) | (None, NextHop::Smarthost(_)) => false,
        }
    }

    /// Which route mail of `source` for `recipient` takes, counted from 0; none: MX.
    pub fn position(&self, source: Source<'_>, recipient: &Mailbox) -> Option<usize> {
        self.matching(source, &comparable_domain(&recipient.domain).ok()?)
    }

    fn matching(&self, source: Source<'_>, domain: &str) -> Option<usize> {
        let is_for = |route: &Route| route.recipients.matches(domain) && route.is_for(source);
        self.0.iter().position(is_for)
    }

    /// Splits the recipients of an envelope by next hop. Next hops stand in the order of their first
    /// recipient; recipients are indexes into the envelope, in their order.
    pub fn split(&self, source: Source<'_>, recipients: &[Recipient]) -> Vec<(NextHop, Vec<u32>)> {
        self.split_pending(
            source,
            recipients,
            0..u32::try_from(recipients.len()).unwrap_or(u32::MAX),
        )
    }

    /// Splits those recipients of an envelope that are still pending, given by their indexes. An
    /// index outside of the envelope is left out.
    pub fn split_pending(
        &self,
        source: Source<'_>,
        recipients: &[Recipient],
        pending: impl IntoIterator<Item = u32>,
    ) -> Vec<(NextHop, Vec<u32>)> {
        let mut groups: Vec<(NextHop, Vec<u32>)> = Vec::new();
        // An envelope may have a thousand domains: the position of each is kept beside.
        let mut positions: HashMap<NextHop, usize> = HashMap::new();
        for index in pending {
            let Some(recipient) = recipient_at(recipients, index) else {
                continue;
            };
            let next_hop = self.next_hop(source, recipient);
            match positions.get(&next_hop) {
                Some(position) => groups[*position].1.push(index),
                None => {
                    positions.insert(next_hop.clone(), groups.len());
                    groups.push((next_hop, vec![index]));
                }
            }
        }
        groups
    }

    /// Whether the mail of all these recipients still goes to `next_hop`.
    pub fn lead_to(
        &self,
        next_hop: &NextHop,
        source: Source<'_>,
        recipients: &[Recipient],
        pending: &[u32],
    ) -> bool {
        pending
            .iter()
            .filter_map(|index| recipient_at(recipients, *index))
            .all(|recipient| self.leads_to(next_hop, source, recipient))
    }

    /// Where the mail of these recipients goes, split by next hop; none when all of it still goes to `next_hop`. It may go
    /// elsewhere because the configuration has changed since it was split.
    pub fn led_elsewhere(
        &self,
        next_hop: &NextHop,
        source: Source<'_>,
        recipients: &[Recipient],
        pending: &[u32],
    ) -> Option<Vec<(NextHop, Vec<u32>)>> {
        let is_led_there = self.lead_to(next_hop, source, recipients, pending);
        let split = || self.split_pending(source, recipients, pending.iter().copied());
        (!is_led_there).then(split)
    }

    /// The routes, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.0.iter()
    }
}

/// The domain by which a recipient's mail is routed. One that IDNA refuses is looked up as it stands: DNS says the rest.
fn domain_of(recipient: &Mailbox) -> Cow<'_, str> {
    let domain = recipient.domain.as_str();
    match is_comparable(domain) {
        true => Cow::Borrowed(domain),
        false => {
            let comparable = comparable_domain(domain);
            Cow::Owned(comparable.unwrap_or_else(|_| domain.to_ascii_lowercase()))
        }
    }
}

fn recipient_at(recipients: &[Recipient], index: u32) -> Option<&Mailbox> {
    let index = usize::try_from(index).ok()?;
    recipients.get(index).map(|recipient| &recipient.mailbox)
}

impl Route {
    fn is_for(&self, source: Source<'_>) -> bool {
        // Names of lists are the same in any case.
        let is_its_list = |list: &String| list.eq_ignore_ascii_case(source.list);
        self.list.as_ref().is_none_or(is_its_list) && self.senders.matches(source.reverse_path)
    }
}

/// Which senders a route is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Senders {
    /// Those that a pattern describes; `*` is also the null reverse-path.
    Pattern(Pattern),
    /// One address, whatever its case.
    Address(Address),
}

impl Senders {
    /// Whether mail with this reverse-path is meant. A null one is nobody's.
    pub fn matches(&self, reverse_path: &ReversePath) -> bool {
        let sender = match reverse_path {
            ReversePath::Null => None,
            ReversePath::Mailbox(mailbox) => Address::from_mailbox(mailbox).ok(),
        };
        match (self, sender) {
            (Senders::Pattern(Pattern::Any), _) => true,
            (_, None) => false,
            (Senders::Pattern(pattern), Some(sender)) => pattern.matches(sender.domain()),
            (Senders::Address(address), Some(sender)) => {
                address.domain() == sender.domain()
                    && address.local().eq_ignore_ascii_case(sender.local())
            }
        }
    }
}

/// What was given are no senders.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not \"*\", an address such as \"x@example.com\", a domain such as \"example.com\", or \"*.\" and a domain"
)]
pub struct NotSenders(String);

impl FromStr for Senders {
    type Err = NotSenders;

    fn from_str(text: &str) -> Result<Self, NotSenders> {
        let error = || NotSenders(text.to_owned());
        let Some((local, domain)) = text.rsplit_once('@') else {
            return text.parse().map(Senders::Pattern).map_err(|_| error());
        };
        if local.contains('*') || local.contains(char::is_whitespace) {
            return Err(error());
        }
        Address::new(local, domain)
            .map(Senders::Address)
            .map_err(|_| error())
    }
}

/// Which recipients a route is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// `*`: all of them.
    Any,
    /// `example.com`: those at exactly this domain, in lower-case A-labels.
    Domain(String),
    /// `*.example.com`: those at any subdomain of this domain, not those at the domain itself.
    Subdomains(String),
}

impl Pattern {
    /// Whether a recipient at `domain`, in lower-case A-labels, is meant.
    pub fn matches(&self, domain: &str) -> bool {
        match self {
            Pattern::Any => true,
            Pattern::Domain(exactly) => domain == exactly,
            Pattern::Subdomains(parent) => domain
                .strip_suffix(parent.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        }
    }
}

/// What was given is no pattern of recipients.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not \"*\", a domain such as \"example.com\", or \"*.\" and a domain")]
pub struct NotAPattern(String);

impl FromStr for Pattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        if text == "*" {
            return Ok(Pattern::Any);
        }
        let domain = |text: &str| comparable_domain(text).map_err(|_| NotAPattern(text.to_owned()));
        match text.strip_prefix("*.") {
            // An address literal has no subdomains.
            Some(parent) if parent.starts_with('[') => Err(NotAPattern(text.to_owned())),
            Some(parent) => Ok(Pattern::Subdomains(
                domain(parent).map_err(|_| NotAPattern(text.to_owned()))?,
            )),
            None => Ok(Pattern::Domain(domain(text)?)),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Any => f.write_str("*"),
            Pattern::Domain(domain) => f.write_str(domain),
            Pattern::Subdomains(parent) => write!(f, "*.{parent}"),
        }
    }
}

/// A host and a port: `smtp.example.com:587`, `192.0.2.1:25`, `[2001:db8::1]:25`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    host: String,
    port: u16,
}

impl HostPort {
    /// The host: a name in lower case or an IP address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, never 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether that is its printed form.
    fn is_printed_as(&self, text: &str) -> bool {
        let Some((host, port)) = text.rsplit_once(':') else {
            return false;
        };
        let literal = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        literal.unwrap_or(host) == self.host && port.parse() == Ok(self.port)
    }
}

/// The form that [`HostPort::from_str`] reads back, always with the port. One host is printed one
/// way, so that it has one lane however it was written.
impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why a text names no host and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAHostPort {
    /// No name, no IPv4 address, and no IPv6 address in brackets.
    #[error("the host must be a name, an IPv4 address or an IPv6 address in brackets")]
    Host,
    /// Not a number from 1 to 65535.
    #[error("the port must be a number from 1 to 65535")]
    Port,
}

impl FromStr for HostPort {
    type Err = NotAHostPort;

    fn from_str(text: &str) -> Result<Self, NotAHostPort> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']').ok_or(NotAHostPort::Host)?;
                let address: Ipv6Addr = address.parse().map_err(|_| NotAHostPort::Host)?;
                let port = match port.strip_prefix(':') {
                    Some(port) => Some(port),
                    None if port.is_empty() => None,
                    None => return Err(NotAHostPort::Port),
                };
                (address.to_string(), port)
            }
            None => {
                let (host, port) = match text.split_once(':') {
                    Some((host, port)) => (host, Some(port)),
                    None => (text, None),
                };
                (host_name(host).ok_or(NotAHostPort::Host)?, port)
            }
        };
        let port = port.map_or(Ok(SMTP_PORT), parse_port)?;
        Ok(Self { host, port })
    }
}

/// A host name in comparable form. Underscores, which no mail domain has, are common in the names
/// that container networks give to their hosts.
fn host_name(text: &str) -> Option<String> {
    let is_container_name = text.len() <= 253
        && text.contains('_')
        && text
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || b"_-.".contains(&octet));
    if is_container_name {
        return Some(text.to_ascii_lowercase());
    }
    comparable_domain(text).ok()
}

fn parse_port(text: &str) -> Result<u16, NotAHostPort> {
    let digits_only = text.bytes().all(|octet| octet.is_ascii_digit());
    match text.parse() {
        Ok(port) if port > 0 && digits_only => Ok(port),
        _ => Err(NotAHostPort::Port),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn routes(table: &[(&str, &str)]) -> Routes {
        Routes::new(
            table
                .iter()
                .map(|(recipients, smarthost)| Route {
                    recipients: recipients.parse().unwrap(),
                    senders: "*".parse().unwrap(),
                    list: None,
                    smarthost: smarthost.parse().unwrap(),
                })
                .collect(),
        )
    }

    /// Mail that no route looks at the sender of.
    const ANYBODY: Source<'_> = Source {
        reverse_path: &ReversePath::Null,
        list: "default",
    };

    fn mailbox(domain: &str) -> Mailbox {
        Mailbox {
            local: "you".to_owned(),
            domain: domain.to_owned(),
        }
    }

    fn recipients(domains: &[&str]) -> Vec<Recipient> {
        let recipient = |domain: &&str| Recipient {
            mailbox: mailbox(domain),
            notify: None,
            orcpt: None,
        };
        domains.iter().map(recipient).collect()
    }

    #[test]
    fn the_first_route_that_matches_wins() {
        let routes = routes(&[
            ("example.com", "a.example:2525"),
            ("*.example.com", "[2001:DB8::1]:26"),
            ("bücher.example", "c.example"),
            ("*", "192.0.2.1"),
        ]);
        for (domain, smarthost) in [
            ("example.com", "a.example:2525"),
            ("Example.COM.", "a.example:2525"),
            ("x.example.com", "[2001:db8::1]:26"),
            ("x.y.example.com", "[2001:db8::1]:26"),
            ("xexample.com", "192.0.2.1:25"),
            ("XN--BCHER-KVA.example", "c.example:25"),
            ("[192.0.2.7]", "192.0.2.1:25"),
        ] {
            assert_eq!(
                routes.next_hop(ANYBODY, &mailbox(domain)),
                NextHop::Smarthost(smarthost.into()),
                "{domain}"
            );
        }
    }

    #[test]
    fn without_a_matching_route_mail_goes_to_its_domain() {
        let routes = routes(&[("*.example.com", "a.example")]);
        for (domain, next_hop) in [
            ("example.com", "example.com"),
            ("Bücher.example", "xn--bcher-kva.example"),
            ("[192.0.2.7]", "[192.0.2.7]"),
            ("[IPv6:2001:DB8::7]", "[ipv6:2001:db8::7]"),
            ("No_Such.Name", "no_such.name"),
        ] {
            assert_eq!(
                routes.next_hop(ANYBODY, &mailbox(domain)),
                NextHop::Domain(next_hop.into()),
                "{domain}"
            );
        }
    }

    #[test]
    fn a_route_may_be_for_some_senders_or_for_one_list() {
        let route = |senders: &str, list: Option<&str>, smarthost: &str| Route {
            recipients: Pattern::Any,
            senders: senders.parse().unwrap(),
            list: list.map(str::to_owned),
            smarthost: smarthost.parse().unwrap(),
        };
        let routes = Routes::new(vec![
            route("Boss@a.example", None, "boss"),
            route("bücher.example", None, "books"),
            route("*.a.example", Some("shop"), "sub-shop"),
            route("*", Some("shop"), "shop"),
            route("a.example", None, "all-a"),
        ]);
        for (sender, list, host) in [
            ("boss@A.example", "shop", Some("boss")),
            ("boss@a.example", "x", Some("boss")),
            ("x@xn--bcher-kva.example", "x", Some("books")),
            ("x@b.a.example", "shop", Some("sub-shop")),
            ("x@b.a.example", "x", None),
            ("x@a.example", "Shop", Some("shop")),
            ("x@a.example", "x", Some("all-a")),
            ("", "shop", Some("shop")),
            ("", "x", None),
        ] {
            let reverse_path = match sender {
                "" => ReversePath::Null,
                sender => ReversePath::Mailbox(Mailbox::parse(sender, true).unwrap()),
            };
            let source = Source {
                reverse_path: &reverse_path,
                list,
            };
            let expected = match host {
                Some(host) => NextHop::Smarthost(format!("{host}:25").into()),
                None => NextHop::Domain("d.example".into()),
            };
            let found = routes.next_hop(source, &mailbox("d.example"));
            assert_eq!(found, expected, "{sender} of {list}");
        }
        for text in [
            "",
            "@a.example",
            "*@a.example",
            "a b@c.example",
            "a@b c",
            "*a",
        ] {
            assert!(text.parse::<Senders>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_envelope_is_split_in_the_order_of_its_recipients() {
        let routes = routes(&[
            ("b.example", "hub.example"),
            ("d.example", "hub.example:25"),
        ]);
        let recipients = recipients(&[
            "b.example",
            "a.example",
            "d.example",
            "A.EXAMPLE",
            "c.example",
        ]);
        assert_eq!(
            routes.split(ANYBODY, &recipients),
            [
                (NextHop::Smarthost("hub.example:25".into()), vec![0, 2]),
                (NextHop::Domain("a.example".into()), vec![1, 3]),
                (NextHop::Domain("c.example".into()), vec![4]),
            ]
        );
        assert_eq!(
            routes.split_pending(ANYBODY, &recipients, [3, 4, 99]),
            [
                (NextHop::Domain("a.example".into()), vec![3]),
                (NextHop::Domain("c.example".into()), vec![4]),
            ]
        );
    }

    #[test]
    fn a_changed_configuration_leads_elsewhere() {
        let recipients = recipients(&["a.example", "b.example"]);
        let old = NextHop::Smarthost("old.example:25".into());
        let all_old = routes(&[("*", "old.example")]);
        assert!(all_old.lead_to(&old, ANYBODY, &recipients, &[0, 1]));
        let some_new = routes(&[("a.example", "new.example"), ("*", "old.example")]);
        assert!(!some_new.lead_to(&old, ANYBODY, &recipients, &[0, 1]));
        assert!(some_new.lead_to(&old, ANYBODY, &recipients, &[1]));
        assert!(!Routes::default().lead_to(&old, ANYBODY, &recipients, &[1]));
        let led = |routes: &Routes| routes.led_elsewhere(&old, ANYBODY, &recipients, &[0, 1]);
        assert_eq!(led(&all_old), None);
        let new = NextHop::Smarthost("new.example:25".into());
        assert_eq!(led(&some_new), Some(vec![(new, vec![0]), (old, vec![1])]));
    }

    #[test]
    fn what_was_split_by_routes_is_where_they_lead() {
        let domains = [
            "a.example",
            "A.Example",
            "a.example.",
            "b\u{fc}cher.example",
            "xn--bcher-kva.example",
            "-refused-.example",
            "-Refused-.example",
            "[192.0.2.1]",
            "[IPv6:2001:DB8::1]",
        ];
        let recipients = recipients(&domains);
        for written in [
            &[][..],
            &[("a.example", "hub.example:26")],
            &[("*", "[2001:db8::1]:25")],
            &[("xn--bcher-kva.example", "192.0.2.1:587"), ("*", "hub")],
        ] {
            let routes = routes(written);
            for (next_hop, part) in routes.split(ANYBODY, &recipients) {
                for index in part {
                    assert!(routes.lead_to(&next_hop, ANYBODY, &recipients, &[index]));
                }
                let others = [
                    NextHop::Smarthost("hub.example:27".into()),
                    NextHop::Smarthost("other.example:26".into()),
                    NextHop::Domain("other.example".into()),
                ];
                for other in others {
                    assert!(
                        !routes.lead_to(&other, ANYBODY, &recipients, &[0]),
                        "{other}"
                    );
                }
            }
        }
    }

    #[test]
    fn patterns_are_read_and_printed() {
        for (text, printed) in [
            ("*", "*"),
            ("A.Example", "a.example"),
            ("*.Bücher.example", "*.xn--bcher-kva.example"),
        ] {
            assert_eq!(text.parse::<Pattern>().unwrap().to_string(), printed);
        }
        for text in [
            "",
            "*.",
            "*.*",
            "a.*",
            "*a.example",
            "x@a.example",
            "a b",
            "*.[192.0.2.1]",
        ] {
            assert_eq!(
                text.parse::<Pattern>(),
                Err(NotAPattern(text.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn hosts_and_ports_are_read_and_printed() {
        for (text, printed) in [
            ("Smtp.Example.com:587", "smtp.example.com:587"),
            ("localhost", "localhost:25"),
            ("Mail_Hub:26", "mail_hub:26"),
            ("127.0.0.1:2500", "127.0.0.1:2500"),
            ("[2001:0db8::0001]", "[2001:db8::1]:25"),
            ("[::1]:65535", "[::1]:65535"),
        ] {
            let host_port: HostPort = text.parse().unwrap();
            assert_eq!(host_port.to_string(), printed);
            assert_eq!(printed.parse(), Ok(host_port));
        }
        for (text, problem) in [
            ("", NotAHostPort::Host),
            (":25", NotAHostPort::Host),
            ("[::1", NotAHostPort::Host),
            ("[192.0.2.1]:25", NotAHostPort::Host),
            ("a b:25", NotAHostPort::Host),
            ("a.example:", NotAHostPort::Port),
            ("a.example:0", NotAHostPort::Port),
            ("a.example:+25", NotAHostPort::Port),
            ("a.example:65536", NotAHostPort::Port),
            ("::1", NotAHostPort::Host),
            ("[::1]25", NotAHostPort::Port),
        ] {
            assert_eq!(text.parse::<HostPort>(), Err(problem), "{text:?}");
        }
    }
}
