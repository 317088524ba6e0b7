//! How mail clients connect: host, ports, encryption, and the combination to recommend.
//!
//! The facts come from what the relay has bound, not from what it was asked to bind.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::access::Reader;
use super::extract::NoQuery;
use super::openapi::Refused;

/// What the relay knows about its submission ports once they are bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionFacts {
    /// The relay's own name.
    pub hostname: String,
    /// The addresses that are listened on.
    pub addresses: Vec<IpAddr>,
    /// The ports that are bound in clear, with STARTTLS.
    pub starttls_ports: Vec<u16>,
    /// The ports that are bound with TLS from the first octet.
    pub tls_ports: Vec<u16>,
    /// Whether a login is possible before TLS.
    pub plaintext_login: bool,
    /// Where the certificate comes from.
    pub certificate: Certificate,
}

/// Where the certificate of the relay comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Certificate {
    /// Made at first start: clients have to be told to trust it.
    SelfSigned,
    /// Configured by the operator.
    Configured,
}

/// How a port is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Encryption {
    /// In clear until STARTTLS.
    Starttls,
    /// TLS from the first octet.
    Tls,
}

/// How mail clients connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Connection {
    /// The name of the relay; the certificate should carry it.
    #[schema(example = "relay.example.com")]
    pub host: String,
    /// The addresses that are listened on.
    #[schema(value_type = Vec<String>, example = json!(["0.0.0.0", "::"]))]
    pub addresses: Vec<IpAddr>,
    /// The ports, in order.
    pub ports: Vec<PortRange>,
    /// Whether a login is possible before TLS.
    pub plaintext_login: bool,
    /// How a client may log in.
    #[schema(example = json!(["PLAIN", "LOGIN"]))]
    pub mechanisms: Vec<String>,
    /// Where the certificate comes from.
    pub certificate: Certificate,
    /// What to enter in a mail client; none while no port is bound.
    pub recommended: Option<Recommended>,
}

/// Ports that follow one another and are encrypted alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortRange {
    /// The first port.
    pub first: u16,
    /// The last port; the first again when it stands alone.
    pub last: u16,
    /// How they are encrypted.
    pub encryption: Encryption,
}

/// What to enter in a mail client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Recommended {
    /// The host: the relay's name, or the address where only this machine is listened to.
    #[schema(example = "relay.example.com")]
    pub host: String,
    /// The port.
    #[schema(example = 465)]
    pub port: u16,
    /// Its encryption.
    pub encryption: Encryption,
}

impl ConnectionFacts {
    /// The facts as surfaces show them.
    pub fn shown(&self) -> Connection {
        let mut ports = ranges(&self.starttls_ports, Encryption::Starttls);
        ports.extend(ranges(&self.tls_ports, Encryption::Tls));
        ports.sort_by_key(|range| (range.first, range.encryption));
        Connection {
            host: self.hostname.clone(),
            addresses: self.addresses.clone(),
            ports,
            plaintext_login: self.plaintext_login,
            mechanisms: vec!["PLAIN".to_owned(), "LOGIN".to_owned()],
            certificate: self.certificate,
            recommended: self.recommended(),
        }
    }

    /// RFC 8314 §3.3 prefers TLS from the first octet, on port 465; then comes what mail clients
    /// try by themselves, then what there is.
    fn recommended(&self) -> Option<Recommended> {
        let (port, encryption) = if self.tls_ports.contains(&465) {
            (465, Encryption::Tls)
        } else if let Some(port) = [587, 2525]
            .into_iter()
            .find(|port| self.starttls_ports.contains(port))
        {
            (port, Encryption::Starttls)
        } else if let Some(port) = self.tls_ports.iter().min() {
            (*port, Encryption::Tls)
        } else {
            (*self.starttls_ports.iter().min()?, Encryption::Starttls)
        };
        Some(Recommended {
            host: self.reachable_host(),
            port,
            encryption,
        })
    }

    /// A relay that listens to this machine only is not found under its name.
    fn reachable_host(&self) -> String {
        match self.addresses.first() {
            Some(address) if self.addresses.iter().all(IpAddr::is_loopback) => address.to_string(),
            _ => self.hostname.clone(),
        }
    }
}

fn ranges(ports: &[u16], encryption: Encryption) -> Vec<PortRange> {
    let mut ports = ports.to_vec();
    ports.sort_unstable();
    ports.dedup();
    let mut ranges: Vec<PortRange> = Vec::new();
    for port in ports {
        match ranges.last_mut() {
            Some(range) if range.last.checked_add(1) == Some(port) => range.last = port,
            _ => ranges.push(PortRange {
                first: port,
                last: port,
                encryption,
            }),
        }
    }
    ranges
}

/// `587`, `1025-5000`.
impl std::fmt::Display for PortRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// The encryption as mail clients call it.
impl std::fmt::Display for Encryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Encryption::Starttls => "STARTTLS",
            Encryption::Tls => "SSL/TLS",
        })
    }
}

/// Tells how mail clients connect.
#[utoipa::path(get, path = "/api/v1/connection", operation_id = "show_connection", tag = "connection", security(("token" = ["read"])),
    responses((status = 200, description = "How mail clients connect.", body = Connection), Refused))]
pub(super) async fn show(
    _: Reader,
    _: NoQuery,
    State(api): State<Arc<Api>>,
) -> axum::Json<Connection> {
    axum::Json(api.connection.load().shown())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn facts(addresses: &[&str], starttls: &[u16], tls: &[u16]) -> ConnectionFacts {
        ConnectionFacts {
            hostname: "relay.example".to_owned(),
            addresses: addresses
                .iter()
                .map(|address| address.parse().unwrap())
                .collect(),
            starttls_ports: starttls.to_vec(),
            tls_ports: tls.to_vec(),
            plaintext_login: false,
            certificate: Certificate::SelfSigned,
        }
    }

    #[test]
    fn ports_are_gathered_into_ranges() {
        let connection =
            facts(&["::"], &[1027, 25, 26, 587, 1025, 1026, 25, 65535], &[465]).shown();
        let ports: Vec<String> = connection
            .ports
            .iter()
            .map(|range| format!("{range} {}", range.encryption))
            .collect();
        assert_eq!(
            ports,
            [
                "25-26 STARTTLS",
                "465 SSL/TLS",
                "587 STARTTLS",
                "1025-1027 STARTTLS",
                "65535 STARTTLS"
            ]
        );
    }

    #[test]
    fn the_best_of_what_is_bound_is_recommended() {
        type Case<'a> = (&'a [u16], &'a [u16], Option<(u16, Encryption)>);
        let cases: [Case<'_>; 6] = [
            (&[25, 587], &[465], Some((465, Encryption::Tls))),
            (&[25, 587, 2525], &[4650], Some((587, Encryption::Starttls))),
            (&[1025, 2525], &[], Some((2525, Encryption::Starttls))),
            (&[1025], &[4650], Some((4650, Encryption::Tls))),
            (&[1030, 1025], &[], Some((1025, Encryption::Starttls))),
            (&[], &[], None),
        ];
        for (starttls, tls, expected) in cases {
            let recommended = facts(&["0.0.0.0"], starttls, tls).shown().recommended;
            assert_eq!(
                recommended.map(|found| (found.port, found.encryption)),
                expected
            );
        }
    }

    #[test]
    fn a_relay_on_loopback_is_recommended_by_its_address() {
        let host = |addresses: &[&str]| {
            facts(addresses, &[2525], &[])
                .shown()
                .recommended
                .unwrap()
                .host
        };
        assert_eq!(host(&["127.0.0.1", "::1"]), "127.0.0.1");
        assert_eq!(host(&["127.0.0.1", "192.0.2.1"]), "relay.example");
    }
}
