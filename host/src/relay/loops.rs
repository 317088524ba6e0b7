//! Smarthosts that are this relay: mail to them would come back.
//!
//! Only what can be known without asking DNS: addresses, `localhost`, and the relay's own name. Loops by
//! MX records are found at the attempt, by delivery.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::config::{Config, Mistake};
use crate::message::HostPort;
use crate::net::Settings;

/// A route that leads back to the relay.
pub(super) struct Loop {
    /// Its smarthost.
    pub host: HostPort,
    /// What to tell the operator. A note and no refusal: the mail waits and is not lost, and whoever
    /// only tries the ports out should not have to name another smarthost first.
    pub note: Mistake,
}

/// The routes to what the relay will listen on when it starts.
pub(super) fn planned(config: &Config) -> Vec<Loop> {
    let own = |address: SocketAddr| is_planned(&config.listen, address);
    loops(config, own, |host| {
        let port = host.port();
        if config.listen.optional {
            format!(
                "this relay listens on port {port} too when it is free, and mail for this route \
                 would wait: start the smarthost first, or take {port} out of [submission] ports"
            )
        } else {
            format!(
                "this relay itself listens there, so mail for this route will wait: name another \
                 host or port, or take {port} out of [submission] ports"
            )
        }
    })
}

/// The routes to what the relay listens on.
pub(super) fn bound(config: &Config, listening: &[SocketAddr]) -> Vec<Loop> {
    let own = |address: SocketAddr| {
        listening
            .iter()
            .any(|bound| bound.port() == address.port() && covers(bound.ip(), address.ip()))
    };
    loops(config, own, |host| {
        let port = host.port();
        format!(
            "this relay itself listens there, so mail for this route waits: start the smarthost \
             first, name another host or port, or take {port} out of [submission] ports"
        )
    })
}

fn loops(
    config: &Config,
    own: impl Fn(SocketAddr) -> bool,
    text: impl Fn(&HostPort) -> String,
) -> Vec<Loop> {
    let mut found = Vec::new();
    for (host, section) in config.places.smarthosts() {
        let addresses = addresses(host, &config.hostname, &config.listen);
        if addresses
            .into_iter()
            .any(|ip| own(SocketAddr::new(ip, host.port())))
        {
            let key = format!("{section}.smarthost");
            let text = format!("{host}: {}", text(host));
            found.push(Loop {
                host: host.clone(),
                note: config.places.mistake(&key, text),
            });
        }
    }
    found
}

/// The addresses that a smarthost is known to have.
fn addresses(host: &HostPort, hostname: &str, listen: &Settings) -> Vec<IpAddr> {
    let loopback = [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    match host.host() {
        "localhost" => loopback.into(),
        // Under its own name it is found wherever it listens.
        own if own == hostname => listen.addresses.clone(),
        text => text.parse().into_iter().collect(),
    }
}

fn is_planned(listen: &Settings, address: SocketAddr) -> bool {
    let ports = [&listen.ports, &listen.implicit_tls_ports];
    ports.iter().any(|ports| ports.contains(address.port()))
        && listen
            .addresses
            .iter()
            .any(|own| covers(*own, address.ip()))
}

/// Whether a connection to `address` reaches what listens on `own`.
fn covers(own: IpAddr, address: IpAddr) -> bool {
    let reached = match address {
        // A connection to "any" goes to the machine itself.
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        address => address,
    };
    own == reached
        || own == address
        || (own.is_unspecified()
            && own.is_ipv4() == reached.is_ipv4()
            && is_of_this_machine(reached))
}

/// Whether this machine has the address: then a socket can be bound to it.
fn is_of_this_machine(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config;

    /// Keys of the smarthosts that lead back.
    fn found(addresses: &str, optional: bool, smarthosts: &[&str]) -> Vec<String> {
        let mut text = format!(
            "hostname = \"relay.example\"\n[submission]\naddresses = {addresses}\n\
             ports = \"2500-2600\"\nimplicit_tls_ports = \"465\"\noptional = {optional}\n"
        );
        for smarthost in smarthosts {
            text.push_str(&format!(
                "[[delivery.route]]\nrecipients = \"*\"\nsmarthost = \"{smarthost}\"\n"
            ));
        }
        let config = config::parse(&text).unwrap();
        planned(&config)
            .iter()
            .map(|found| found.note.to_string())
            .map(|text| text.split(": ").take(3).collect::<Vec<_>>().join(": "))
            .collect()
    }

    #[test]
    fn a_smarthost_at_a_port_of_the_relay_leads_back_to_it() {
        assert_eq!(
            found(
                "[\"127.0.0.1\"]",
                false,
                &[
                    "127.0.0.1:2500",
                    "127.0.0.1:2601",
                    "127.0.0.2:2500",
                    "localhost:465",
                    "relay.example:2600",
                    "other.example:2600",
                    "[::1]:2500",
                ]
            ),
            [
                "line 9: delivery.route[1].smarthost: 127.0.0.1:2500",
                "line 18: delivery.route[4].smarthost: localhost:465",
                "line 21: delivery.route[5].smarthost: relay.example:2600",
            ]
        );
    }

    #[test]
    fn all_addresses_are_those_of_this_machine_and_no_others() {
        assert_eq!(
            found(
                "[\"0.0.0.0\"]",
                false,
                &[
                    "127.9.9.9:2500",
                    "203.0.113.77:2500",
                    "0.0.0.0:2500",
                    "[::1]:2500"
                ]
            ),
            [
                "line 9: delivery.route[1].smarthost: 127.9.9.9:2500",
                "line 15: delivery.route[3].smarthost: 0.0.0.0:2500",
            ]
        );
    }

    #[test]
    fn an_optional_port_may_be_the_smarthosts() {
        assert_eq!(
            found("[\"127.0.0.1\"]", true, &["127.0.0.1:2500"]),
            ["line 9: delivery.route[1].smarthost: 127.0.0.1:2500"]
        );
    }

    #[test]
    fn what_listens_decides_once_it_does() {
        let text = "[submission]\naddresses = [\"127.0.0.1\"]\noptional = true\n\
                    [[delivery.route]]\nrecipients = \"*\"\nsmarthost = \"127.0.0.1:2500\"\n";
        let config = config::parse(text).unwrap();
        let found = |listening: &[&str]| {
            let listening: Vec<SocketAddr> =
                listening.iter().map(|text| text.parse().unwrap()).collect();
            bound(&config, &listening).len()
        };
        assert_eq!(found(&["127.0.0.1:2499", "127.0.0.1:2501"]), 0);
        assert_eq!(found(&["127.0.0.1:2499", "127.0.0.1:2500"]), 1);
        assert_eq!(found(&["0.0.0.0:2500"]), 1);
        assert_eq!(found(&["[::]:2500"]), 0);
    }
}
