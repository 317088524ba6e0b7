//! What a person reads after a start: where to submit mail, where the console is, what is not
//! listening and why, and what to type next.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use super::loops::Loop;
use super::secrets::FirstStart;
use crate::config::Config;
use crate::net::{Listener, PortSet, Unbound};

pub(super) struct Greeting<'a> {
    pub config: &'a Config,
    pub listeners: &'a [Listener],
    pub unbound: &'a [Unbound],
    /// Routes that lead back here.
    pub loops: &'a [Loop],
    pub admin: SocketAddr,
    pub first: Option<&'a FirstStart>,
    /// Whether what is printed may hold a secret: not where others keep and read it.
    pub in_private: bool,
    /// Whether there is a user already.
    pub has_users: bool,
}

impl fmt::Display for Greeting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = env!("CARGO_PKG_VERSION");
        writeln!(f, "Outpost {version} serves as {}", self.config.hostname)?;
        match &self.config.file {
            Some(file) => writeln!(f, "  configuration   {}", file.display())?,
            None => writeln!(
                f,
                "  configuration   built-in defaults (no outpost.toml here): loopback only"
            )?,
        }
        writeln!(f, "  data            {}", self.config.data_dir.display())?;
        for line in self.submission() {
            writeln!(f, "  submit mail to  {line}")?;
        }
        for line in unbound_lines(self.unbound) {
            writeln!(f, "  not listening   {line}")?;
        }
        for found in self.loops {
            writeln!(f, "  not delivered   {}", found.note)?;
        }
        writeln!(f, "  console         http://{}/", self.admin)?;
        if let Some(first) = self.first {
            let option = self.config_option();
            if self.in_private {
                writeln!(
                    f,
                    "                  user admin, password {}",
                    first.console_password.as_str()
                )?;
                writeln!(
                    f,
                    "                  (shown this once, and no page asks for it yet; `outpost{option} admin reset-password` makes a new one)"
                )?;
            } else {
                writeln!(
                    f,
                    "                  user admin; its password is not written to a journal:"
                )?;
                writeln!(
                    f,
                    "                  `outpost{option} admin reset-password` makes one and shows it"
                )?;
            }
            writeln!(f, "  admin token     in {}", first.token_file.display())?;
        }
        if self.has_users {
            return Ok(());
        }
        writeln!(f)?;
        writeln!(
            f,
            "Next, in another terminal, make a user that may send as any address of a domain:"
        )?;
        writeln!(f)?;
        write!(
            f,
            "    outpost{} user add --domains \"example.com\"",
            self.config_option()
        )?;
        writeln!(f)
    }
}

impl Greeting<'_> {
    /// One line for each address and kind of port.
    fn submission(&self) -> Vec<String> {
        let mut ports: BTreeMap<(IpAddr, bool), Vec<RangeInclusive<u16>>> = BTreeMap::new();
        for listener in self.listeners {
            let port = listener.address.port();
            ports
                .entry((listener.address.ip(), listener.implicit_tls))
                .or_default()
                .push(port..=port);
        }
        let line = |((ip, implicit_tls), ports): ((IpAddr, bool), Vec<_>)| {
            let ports: PortSet = ports.into_iter().collect();
            let encryption = if implicit_tls { "TLS" } else { "STARTTLS" };
            let noun = if ports.count() == 1 { "port" } else { "ports" };
            format!("{ip}, {noun} {ports} ({encryption})")
        };
        ports.into_iter().map(line).collect()
    }

    fn config_option(&self) -> String {
        match &self.config.file {
            Some(file)
                if !crate::config::DEFAULT_FILES
                    .iter()
                    .any(|default| file.as_os_str() == *default) =>
            {
                format!(" --config {}", file.display())
            }
            _ => String::new(),
        }
    }
}

/// What could not be bound: one line for each address and reason, the ports joined.
pub(super) fn unbound_lines(unbound: &[Unbound]) -> Vec<String> {
    let mut ports: BTreeMap<(IpAddr, String), Vec<RangeInclusive<u16>>> = BTreeMap::new();
    for unbound in unbound {
        let port = unbound.address.port();
        let key = (unbound.address.ip(), reason(&unbound.error));
        ports.entry(key).or_default().push(port..=port);
    }
    let line = |((ip, reason), ports): ((IpAddr, String), Vec<_>)| {
        let ports: PortSet = ports.into_iter().collect();
        let noun = if ports.count() == 1 { "port" } else { "ports" };
        format!("{ip}, {noun} {ports}: {reason}")
    };
    ports.into_iter().map(line).collect()
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "already in use by another program".to_owned(),
        std::io::ErrorKind::PermissionDenied => {
            "ports below 1024 need root or the capability CAP_NET_BIND_SERVICE".to_owned()
        }
        std::io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listening_is_named_by_address_and_reason() {
        let unbound = |address: &str, kind: std::io::ErrorKind| Unbound {
            address: address.parse().unwrap(),
            error: kind.into(),
        };
        let lines = unbound_lines(&[
            unbound("127.0.0.1:25", std::io::ErrorKind::PermissionDenied),
            unbound("127.0.0.1:23", std::io::ErrorKind::PermissionDenied),
            unbound("127.0.0.1:26", std::io::ErrorKind::PermissionDenied),
            unbound("[::1]:587", std::io::ErrorKind::AddrInUse),
        ]);
        assert_eq!(
            lines,
            [
                "127.0.0.1, ports 23,25-26: ports below 1024 need root or the capability CAP_NET_BIND_SERVICE",
                "::1, port 587: already in use by another program",
            ]
        );
    }
}
