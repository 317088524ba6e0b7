//! The hosts of a next hop, in the order in which they are tried.
//!
//! Names are looked up group by group: a host of lower preference costs no question as long as a
//! better one takes the mail. This file also knows when a search ends without a host, and whether
//! that means waiting or a bounce. Connecting is for others.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use outpost_smtp::Reply;
use tokio::task::JoinSet;

use super::settings::{AddressOrder, Settings};
use crate::dns::{Exchange, Problem, Resolver};
use crate::message::{HostPort, Outcome, RemoteHost};
use crate::net::is_own_address;

/// Addresses tried of one host, so that a host that is down leaves time for the others.
const ADDRESSES_PER_HOST_MAX: usize = 4;

/// A host at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The name that it goes by: for its certificate, the log and reports.
    pub(super) name: String,
    pub(super) address: SocketAddr,
}

impl Target {
    /// The host as the trail knows it, of which nothing else is known yet.
    pub(super) fn host(&self) -> RemoteHost {
        RemoteHost {
            name: self.name.clone(),
            address: self.address.ip(),
            port: self.address.port(),
            tls: None,
            dsn: false,
        }
    }

    /// The name that its certificate should have: that of the host, or for a literal the address.
    pub(super) fn certificate_name(&self) -> String {
        if self.name.starts_with('[') {
            return self.address.ip().to_string();
        }
        self.name.clone()
    }
}

/// `mx.example.com [192.0.2.1]`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.starts_with('[') {
            return f.write_str(&self.name);
        }
        write!(f, "{} [{}]", self.name, self.address.ip())
    }
}

/// The search for hosts, as far as it has gone.
pub(super) struct Hosts<'a> {
    resolver: &'a Resolver,
    settings: &'a Settings,
    kind: Kind,
    port: u16,
    /// Host names, by falling preference. Those of one group are equal.
    groups: VecDeque<Vec<String>>,
    found: VecDeque<Target>,
    given: usize,
    /// Why hosts were left out.
    obstacle: Option<Obstacle>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Smarthost,
    Domain { has_mx: bool },
}

/// Why a host cannot be tried, the weightiest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Obstacle {
    NoAddress,
    NoAnswer,
    Ourselves,
}

impl<'a> Hosts<'a> {
    /// The search for the hosts of a smarthost.
    pub(super) fn of_smarthost(
        resolver: &'a Resolver,
        settings: &'a Settings,
        smarthost: &HostPort,
    ) -> Self {
        let name = smarthost.host();
        let mut hosts = Self::new(resolver, settings, Kind::Smarthost, smarthost.port());
        let known = settings.smarthosts.get(&smarthost.to_string());
        if known.is_some_and(|known| known.is_this_relay) {
            hosts.note(Obstacle::Ourselves);
            return hosts;
        }
        match name.parse::<IpAddr>() {
            Ok(address) => hosts.found.push_back(hosts.target(name, address)),
            Err(_) => hosts.groups.push_back(vec![name.to_owned()]),
        }
        hosts
    }

    /// The search for the hosts of a mail domain, in A-labels or an address literal.
    ///
    /// # Errors
    /// What becomes of the mail, when it is clear already that there is no host.
    pub(super) async fn of_domain(
        resolver: &'a Resolver,
        settings: &'a Settings,
        domain: &str,
        seed: u64,
    ) -> Result<Self, Outcome> {
        let port = settings.mx_port;
        if domain.starts_with('[') {
            let address = literal(domain).ok_or_else(bad_literal)?;
            if settings.listens_on_mx_port && is_own_address(address) {
                return Err(loops());
            }
            let mut hosts = Self::new(resolver, settings, Kind::Domain { has_mx: false }, port);
            hosts.found.push_back(hosts.target(domain, address));
            return Ok(hosts);
        }
        let exchanges = resolver
            .exchanges(domain, seed)
            .await
            .map_err(no_exchange)?;
        let has_mx = !matches!(exchanges.as_slice(), [only] if only.host == domain);
        let own_name = &settings.hostname;
        let exchanges = Exchange::before(exchanges, |exchange| {
            exchange.host.eq_ignore_ascii_case(own_name)
        });
        if exchanges.is_empty() {
            return Err(loops());
        }
        let mut hosts = Self::new(resolver, settings, Kind::Domain { has_mx }, port);
        hosts.groups = exchanges
            .chunk_by(|one, next| one.preference == next.preference)
            .map(|group| group.iter().map(|exchange| exchange.host.clone()).collect())
            .collect();
        Ok(hosts)
    }

    fn new(resolver: &'a Resolver, settings: &'a Settings, kind: Kind, port: u16) -> Self {
        Self {
            resolver,
            settings,
            kind,
            port,
            groups: VecDeque::new(),
            found: VecDeque::new(),
            given: 0,
            obstacle: None,
        }
    }

    /// The next address to try; none when there is no other, or enough have been tried.
    pub(super) async fn next(&mut self) -> Option<Target> {
        if self.given >= self.settings.addresses_tried_max {
            return None;
        }
        while self.found.is_empty() {
            let group = self.groups.pop_front()?;
            self.find(group).await;
        }
        self.given += 1;
        self.found.pop_front()
    }

    /// Whether hosts were left out because nobody could say for now where they are.
    pub(super) fn is_incomplete(&self) -> bool {
        self.obstacle == Some(Obstacle::NoAnswer)
    }

    /// What becomes of the mail when [`Hosts::next`] gave no address at all.
    pub(super) fn nothing_found(&self) -> Outcome {
        let reply = |code, enhanced, text| Reply::new(code, enhanced, text);
        match (self.kind, self.obstacle) {
            (Kind::Domain { .. }, Some(Obstacle::Ourselves)) => loops(),
            (Kind::Smarthost, Some(Obstacle::Ourselves)) => Outcome::Deferred(reply(
                451,
                (4, 4, 6),
                "the smarthost of the route is this relay itself",
            )),
            // A smarthost that is not found is a mistake of the operator, who can mend it.
            (Kind::Smarthost, _) => Outcome::Deferred(reply(
                451,
                (4, 4, 3),
                "the address of the smarthost was not found",
            )),
            (_, Some(Obstacle::NoAnswer)) => Outcome::Deferred(reply(
                451,
                (4, 4, 3),
                "the addresses of the mail hosts cannot be looked up now",
            )),
            (Kind::Domain { has_mx: true }, _) => Outcome::Bounced(reply(
                550,
                (5, 4, 4),
                "no mail host of the domain has an address",
            )),
            (Kind::Domain { has_mx: false }, _) => Outcome::Bounced(reply(
                550,
                (5, 1, 2),
                "the domain has no mail host and no address",
            )),
        }
    }

    /// Looks up a group of equal hosts, all at once, and lines their addresses up so that each host
    /// has its first address tried before any has its second.
    async fn find(&mut self, group: Vec<String>) {
        let mut lookups = JoinSet::new();
        for (position, host) in group.iter().cloned().enumerate() {
            let resolver = self.resolver.clone();
            lookups.spawn(async move { (position, resolver.addresses(&host).await) });
        }
        let mut answers = lookups.join_all().await;
        answers.sort_by_key(|(position, _)| *position);

        let mut by_host: Vec<(String, VecDeque<IpAddr>)> = Vec::new();
        for ((_, answer), host) in answers.into_iter().zip(group) {
            match answer {
                Ok(addresses) => by_host.push((host, self.in_order(addresses))),
                Err(Problem::Temporary(reason)) => {
                    tracing::debug!(host, reason, "the addresses of a host cannot be looked up");
                    self.note(Obstacle::NoAnswer);
                }
                Err(_) => self.note(Obstacle::NoAddress),
            }
        }
        let checks_for_loops = self.kind != Kind::Smarthost && self.settings.listens_on_mx_port;
        let is_ours = |addresses: &VecDeque<IpAddr>| addresses.iter().any(|a| is_own_address(*a));
        if checks_for_loops && by_host.iter().any(|(_, addresses)| is_ours(addresses)) {
            // One of the equals is this relay: neither they nor those behind them are for us.
            self.groups.clear();
            self.note(Obstacle::Ourselves);
            return;
        }
        while by_host.iter().any(|(_, addresses)| !addresses.is_empty()) {
            for (host, addresses) in &mut by_host {
                if let Some(address) = addresses.pop_front() {
                    self.found.push_back(Target {
                        name: host.clone(),
                        address: SocketAddr::new(address, self.port),
                    });
                }
            }
        }
        if self.found.is_empty() {
            self.note(Obstacle::NoAddress);
        }
    }

    /// The addresses of one host that are worth a try: the families take turns.
    fn in_order(&self, addresses: Vec<IpAddr>) -> VecDeque<IpAddr> {
        let usable = addresses.into_iter().filter(|address| {
            // Such answers are mistakes or malice; a connection would lead somewhere else.
            let address = address.to_canonical();
            !address.is_unspecified() && !address.is_multicast()
        });
        let (ipv4, ipv6): (VecDeque<_>, VecDeque<_>) = usable.partition(IpAddr::is_ipv4);
        let (mut first, mut second) = match self.settings.address_order {
            AddressOrder::Ipv4First => (ipv4, ipv6),
            AddressOrder::Ipv6First => (ipv6, ipv4),
        };
        let mut ordered = VecDeque::new();
        while !(first.is_empty() && second.is_empty()) {
            ordered.extend(first.pop_front());
            ordered.extend(second.pop_front());
        }
        ordered.truncate(ADDRESSES_PER_HOST_MAX);
        ordered
    }

    fn note(&mut self, obstacle: Obstacle) {
        self.obstacle = self.obstacle.max(Some(obstacle));
    }

    fn target(&self, name: &str, address: IpAddr) -> Target {
        Target {
            name: name.to_owned(),
            address: SocketAddr::new(address, self.port),
        }
    }
}

/// The address in a literal of RFC 5321 §4.1.3: `[192.0.2.1]`, `[IPv6:2001:db8::1]`.
fn literal(domain: &str) -> Option<IpAddr> {
    let inner = domain.strip_prefix('[')?.strip_suffix(']')?;
    let is_tagged = inner
        .get(..5)
        .is_some_and(|tag| tag.eq_ignore_ascii_case("ipv6:"));
    if is_tagged {
        return inner[5..].parse::<Ipv6Addr>().ok().map(IpAddr::from);
    }
    inner.parse::<std::net::Ipv4Addr>().ok().map(IpAddr::from)
}

fn bad_literal() -> Outcome {
    Outcome::Bounced(Reply::new(
        550,
        (5, 1, 3),
        "the address literal of the recipient is not valid",
    ))
}

fn loops() -> Outcome {
    Outcome::Bounced(Reply::new(
        554,
        (5, 4, 6),
        "mail for this domain would come back to this relay",
    ))
}

fn no_exchange(problem: Problem) -> Outcome {
    match problem {
        Problem::NoSuchName => Outcome::Bounced(Reply::new(
            550,
            (5, 1, 2),
            "the domain of the recipient does not exist",
        )),
        // RFC 7505 §4.
        Problem::NullMx => Outcome::Bounced(Reply::new(
            556,
            (5, 1, 10),
            "the domain of the recipient accepts no mail",
        )),
        Problem::NoRecord => Outcome::Bounced(Reply::new(
            550,
            (5, 4, 4),
            "the domain names no usable mail host",
        )),
        Problem::Temporary(reason) => {
            tracing::debug!(reason, "the mail hosts of a domain cannot be looked up");
            Outcome::Deferred(Reply::new(
                451,
                (4, 4, 3),
                "the mail hosts of the domain cannot be looked up now",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::dns::Table;

    fn settings() -> Settings {
        Settings {
            hostname: "relay.example".to_owned(),
            ..Settings::default()
        }
    }

    /// `host address` of everything that is tried, or the code and enhanced code of the outcome.
    async fn search(table: Table, settings: Settings, domain: &str) -> Result<Vec<String>, String> {
        let resolver = Resolver::from_table(table);
        let mut hosts = match Hosts::of_domain(&resolver, &settings, domain, 5).await {
            Ok(hosts) => hosts,
            Err(outcome) => return Err(brief(&outcome)),
        };
        let mut found = Vec::new();
        while let Some(target) = hosts.next().await {
            found.push(format!("{} {}", target.name, target.address));
        }
        if found.is_empty() {
            Err(brief(&hosts.nothing_found()))
        } else {
            Ok(found)
        }
    }

    fn brief(outcome: &Outcome) -> String {
        let kind = match outcome {
            Outcome::Delivered(_) => "delivered",
            Outcome::Deferred(_) => "deferred",
            Outcome::Bounced(_) => "bounced",
        };
        let reply = outcome.reply();
        let enhanced = reply.enhanced.unwrap();
        format!(
            "{kind} {} {}.{}.{}",
            reply.code, enhanced.class, enhanced.subject, enhanced.detail
        )
    }

    #[tokio::test]
    async fn hosts_are_tried_by_preference_and_each_address_in_turn() {
        let table = Table::new()
            .mx("a.example", 20, "late.example")
            .mx("a.example", 10, "early.example")
            .address("late.example", "192.0.2.9")
            .address("early.example", "192.0.2.1")
            .address("early.example", "192.0.2.2")
            .address("early.example", "2001:db8::1");
        assert_eq!(
            search(table.clone(), settings(), "a.example")
                .await
                .unwrap(),
            [
                "early.example 192.0.2.1:25",
                "early.example [2001:db8::1]:25",
                "early.example 192.0.2.2:25",
                "late.example 192.0.2.9:25",
            ]
        );
        let ipv6_first = Settings {
            address_order: AddressOrder::Ipv6First,
            ..settings()
        };
        assert_eq!(
            search(table.clone(), ipv6_first, "a.example")
                .await
                .unwrap()[0],
            "early.example [2001:db8::1]:25"
        );
        let few = Settings {
            addresses_tried_max: 2,
            ..settings()
        };
        assert_eq!(search(table, few, "a.example").await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn equal_hosts_have_their_first_address_tried_before_any_second() {
        let mut table = Table::new();
        for host in ["x.example", "y.example"] {
            table = table.mx("a.example", 10, host);
            for last in 1..=6 {
                table = table.address(host, &format!("192.0.2.{last}"));
            }
        }
        let tried = search(table, settings(), "a.example").await.unwrap();
        let hosts: Vec<&str> = tried.iter().map(|line| &line[..1]).collect();
        assert_ne!(hosts[0], hosts[1]);
        assert_ne!(hosts[2], hosts[3]);
        assert_eq!(tried.len(), 2 * ADDRESSES_PER_HOST_MAX);
    }

    #[tokio::test]
    async fn a_search_without_a_host_says_what_becomes_of_the_mail() {
        let table = Table::new()
            .mx("null.example", 0, "")
            .mx("hollow.example", 10, "nowhere.example")
            .mx("half.example", 10, "nowhere.example")
            .mx("half.example", 20, "lame.example")
            .mx("circle.example", 10, "Relay.example")
            .mx("circle.example", 20, "other.example")
            .mx("zero.example", 10, "zero-host.example")
            .address("zero-host.example", "0.0.0.0")
            .address("other.example", "192.0.2.1")
            .alias("bare.example", "bare-target.example")
            .mx("bare-sibling.example", 1, "x")
            .failing("lame.example");
        let table = table.address("relay.example", "192.0.2.77");
        for (domain, outcome) in [
            ("none.example", "bounced 550 5.1.2"),
            ("null.example", "bounced 556 5.1.10"),
            ("hollow.example", "bounced 550 5.4.4"),
            ("zero.example", "bounced 550 5.4.4"),
            ("half.example", "deferred 451 4.4.3"),
            ("lame.example", "deferred 451 4.4.3"),
            ("circle.example", "bounced 554 5.4.6"),
            ("relay.example", "bounced 554 5.4.6"),
            ("bare.example", "bounced 550 5.1.2"),
            ("[192.0.2]", "bounced 550 5.1.3"),
            ("[ipv6:192.0.2.1]", "bounced 550 5.1.3"),
        ] {
            assert_eq!(
                search(table.clone(), settings(), domain).await.unwrap_err(),
                outcome,
                "{domain}"
            );
        }
    }

    #[tokio::test]
    async fn a_domain_without_mx_is_its_own_host() {
        let table = Table::new().address("a.example", "192.0.2.1");
        assert_eq!(
            search(table, settings(), "a.example").await.unwrap(),
            ["a.example 192.0.2.1:25"]
        );
    }

    #[tokio::test]
    async fn a_literal_needs_no_dns() {
        for (domain, target) in [
            ("[192.0.2.7]", "[192.0.2.7] 192.0.2.7:25"),
            ("[ipv6:2001:db8::7]", "[ipv6:2001:db8::7] [2001:db8::7]:25"),
        ] {
            assert_eq!(
                search(Table::new(), settings(), domain).await.unwrap(),
                [target]
            );
        }
    }

    #[tokio::test]
    async fn only_hosts_preferred_over_ourselves_are_tried() {
        let table = || {
            Table::new()
                .mx("a.example", 10, "better.example")
                .mx("a.example", 20, "ours.example")
                .mx("a.example", 20, "equal.example")
                .mx("a.example", 30, "worse.example")
                .address("better.example", "192.0.2.1")
                .address("ours.example", "127.0.0.1")
                .address("equal.example", "192.0.2.2")
                .address("worse.example", "192.0.2.3")
        };
        let named = Settings {
            hostname: "ours.example".to_owned(),
            ..settings()
        };
        let addressed = Settings {
            listens_on_mx_port: true,
            ..settings()
        };
        for settings in [named, addressed] {
            assert_eq!(
                search(table(), settings.clone(), "a.example")
                    .await
                    .unwrap(),
                ["better.example 192.0.2.1:25"]
            );
        }
        let neighbour = settings();
        assert_eq!(
            search(table(), neighbour, "a.example").await.unwrap().len(),
            4
        );
    }

    #[tokio::test]
    async fn an_own_address_is_a_loop_when_we_listen_there() {
        let listening = Settings {
            listens_on_mx_port: true,
            ..settings()
        };
        let table = Table::new()
            .mx("a.example", 10, "x.example")
            .address("x.example", "::1");
        for domain in ["a.example", "[127.0.0.1]"] {
            assert_eq!(
                search(table.clone(), listening.clone(), domain)
                    .await
                    .unwrap_err(),
                "bounced 554 5.4.6"
            );
        }
    }

    #[tokio::test]
    async fn mail_for_a_smarthost_that_is_this_relay_waits_for_the_operator() {
        let resolver = Resolver::from_table(Table::new());
        let smarthost = "127.0.0.1:2500";
        let how = super::super::settings::Smarthost {
            is_this_relay: true,
            ..Default::default()
        };
        let looping = Settings {
            smarthosts: [(smarthost.to_owned(), how)].into(),
            ..settings()
        };
        let mut hosts = Hosts::of_smarthost(&resolver, &looping, &smarthost.parse().unwrap());
        assert_eq!(hosts.next().await, None);
        assert_eq!(brief(&hosts.nothing_found()), "deferred 451 4.4.6");
    }

    #[tokio::test]
    async fn a_smarthost_is_looked_up_and_never_a_reason_to_bounce() {
        let resolver = Resolver::from_table(Table::new().address("hub.example", "127.0.0.1"));
        let listening = Settings {
            listens_on_mx_port: true,
            ..settings()
        };
        for (smarthost, address) in [
            ("hub.example:587", Some("127.0.0.1:587")),
            ("[::1]:2500", Some("[::1]:2500")),
            ("none.example", None),
        ] {
            let mut hosts = Hosts::of_smarthost(&resolver, &listening, &smarthost.parse().unwrap());
            let found = hosts.next().await.map(|target| target.address);
            assert_eq!(found, address.map(|address| address.parse().unwrap()));
            assert_eq!(brief(&hosts.nothing_found()), "deferred 451 4.4.3");
            assert_eq!(hosts.next().await, None);
        }
    }
}
