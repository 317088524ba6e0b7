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
            deliver_by: false,
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
        // RFC 5321 §5.1 is about a host that finds itself among those that take the mail. Where another server
        // does so on this machine it has our name, and is no circle.
        let exchanges = Exchange::before(exchanges, |exchange| {
            settings.listens_on_mx_port && exchange.host.eq_ignore_ascii_case(&settings.hostname)
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

    /// Whether MX records say who they are. Nobody knows whether those are the domain's own: neither DNSSEC nor
    /// MTA-STS is looked at.
    pub(super) fn are_of_mx_records(&self) -> bool {
        self.kind == Kind::Domain { has_mx: true }
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
        self.next_equal()
    }

    /// The next address to try of those that are as good as the last one.
    pub(super) fn next_equal(&mut self) -> Option<Target> {
        if self.given >= self.settings.addresses_tried_max {
            return None;
        }
        let next = self.found.pop_front()?;
        self.given += 1;
        Some(next)
    }

    /// Whether hosts were left out because nobody could say for now where they are.
    pub(super) fn is_incomplete(&self) -> bool {
        self.obstacle == Some(Obstacle::NoAnswer)
    }

    /// What becomes of the mail of those over whom nobody has decided. Never a bounce once
    /// [`Hosts::next`] gave an address: there is a host, whatever came of it.
    pub(super) fn nothing_found(&self) -> Outcome {
        let reply = |code, enhanced, text| Reply::new(code, enhanced, text);
        if self.given > 0 && !self.is_incomplete() {
            let text = "no mail host has decided over this recipient yet";
            return Outcome::Deferred(reply(451, (4, 4, 0), text));
        }
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
        let is_ours = self.kind == Kind::Smarthost;
        for (position, host) in group.iter().cloned().enumerate() {
            let resolver = self.resolver.clone();
            lookups.spawn(async move {
                let found = match is_ours {
                    true => resolver.addresses_of_ours(&host).await,
                    false => resolver.addresses(&host).await,
                };
                (position, found)
            });
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
mod tests;
