//! What a person reads after a start: where to submit mail, where it goes, where the console is, what
//! is not listening and why, and what to type next.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::Path;

use super::loops::Loop;
use super::secrets::FirstStart;
use crate::admin::Protection;
use crate::config::{Config, DEFAULT_FILES};
use crate::message::{Pattern, Route, Senders};
use crate::net::{Listener, PortSet, Unbound, Unused};

pub(super) struct Greeting<'a> {
    pub config: &'a Config,
    /// What to type for this program.
    pub program: &'a str,
    pub listeners: &'a [Listener],
    pub unbound: &'a [Unbound],
    /// Sockets that were passed in vain.
    pub unused: &'a [Unused],
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
        for unused in self.unused {
            writeln!(f, "  not served      a socket that was passed, {unused}")?;
        }
        for found in self.loops {
            writeln!(f, "  not delivered   {}", found.note)?;
        }
        writeln!(f, "  mail goes to    {}", self.next_hops())?;
        let scheme = match self.config.admin.protection {
            Protection::None => "http",
            Protection::Tls => "https",
        };
        writeln!(f, "  console         {scheme}://{}/", self.admin)?;
        let command = self.command();
        if let Some(first) = self.first {
            if self.in_private {
                writeln!(
                    f,
                    "                  user admin, password {}",
                    first.console_password.as_str()
                )?;
                writeln!(
                    f,
                    "                  (shown this once; `{command} admin reset-password` makes a new one)"
                )?;
            } else {
                writeln!(
                    f,
                    "                  user admin; its password is not written to a journal:"
                )?;
                writeln!(
                    f,
                    "                  `{command} admin reset-password` makes one and shows it"
                )?;
            }
            writeln!(f, "  admin token     in {}", first.token_file.display())?;
        }
        if self.has_users {
            return Ok(());
        }
        let here = if self.is_bound_to_its_folder() {
            " and in this folder"
        } else {
            ""
        };
        writeln!(f)?;
        writeln!(
            f,
            "Next, in another terminal{here}: make a user that may send as any address of a domain,\n\
             and see what to enter in its mail program:"
        )?;
        writeln!(f)?;
        writeln!(f, "    {command} user add --domains \"example.com\"")?;
        writeln!(f, "    {command} connection")
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

    /// Where accepted mail is sent.
    fn next_hops(&self) -> String {
        let port = self.config.delivery.mx_port;
        let by_mx = format!("the mail hosts of the recipients' domains (MX, port {port})");
        let mut smarthosts = Vec::new();
        for route in self.config.routes.iter() {
            let smarthost = route.smarthost.to_string();
            if !smarthosts.contains(&smarthost) {
                smarthosts.push(smarthost);
            }
            if is_for_all(route) {
                break;
            }
        }
        let takes_the_rest = self.config.routes.iter().any(is_for_all);
        match smarthosts.as_slice() {
            [] => by_mx,
            [only] if takes_the_rest => format!("smarthost {only}"),
            some if takes_the_rest => format!("smarthosts, by route: {}", some.join(", ")),
            some => format!("smarthosts, by route: {}; else {by_mx}", some.join(", ")),
        }
    }

    /// How a person calls this program for this relay.
    fn command(&self) -> String {
        match self.named_file() {
            Some(file) => format!("{} --config {}", self.program, file.display()),
            None => self.program.to_owned(),
        }
    }

    /// The configuration, where commands do not find it by themselves.
    fn named_file(&self) -> Option<&Path> {
        let file = self.config.file.as_deref()?;
        let is_default = DEFAULT_FILES
            .iter()
            .any(|default| file.as_os_str() == *default);
        (!is_default).then_some(file)
    }

    /// Whether commands find configuration and data only where the relay was started.
    fn is_bound_to_its_folder(&self) -> bool {
        let file = self.config.file.as_deref();
        self.config.data_dir.is_relative() || file.is_some_and(Path::is_relative)
    }
}

/// Whether no mail gets past a route.
fn is_for_all(route: &Route) -> bool {
    route.recipients == Pattern::Any
        && route.senders == Senders::Pattern(Pattern::Any)
        && route.list.is_none()
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
            "ports below 1024 need root, the capability CAP_NET_BIND_SERVICE, or a socket that systemd passes"
                .to_owned()
        }
        std::io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config;

    fn greeting(config: &Config, program: &str) -> String {
        Greeting {
            config,
            program,
            listeners: &[],
            unbound: &[],
            unused: &[],
            loops: &[],
            admin: config.admin.address,
            first: None,
            in_private: true,
            has_users: false,
        }
        .to_string()
    }

    #[test]
    fn where_mail_goes_is_told() {
        let all = "[[delivery.route]]\nrecipients = \"*\"\nsmarthost = \"all.example:587\"\n";
        let some = "[[delivery.route]]\nrecipients = \"a.example\"\nsmarthost = \"some.example\"\n";
        let own =
            "[[delivery.route]]\nrecipients = \"*\"\nlist = \"x\"\nsmarthost = \"own.example\"\n";
        let mx = "the mail hosts of the recipients' domains (MX, port 25)";
        for (routes, said) in [
            (String::new(), mx.to_owned()),
            (all.to_owned(), "smarthost all.example:587".to_owned()),
            (
                format!("{some}{some}{all}{own}"),
                "smarthosts, by route: some.example:25, all.example:587".to_owned(),
            ),
            (
                format!("{some}{own}"),
                format!("smarthosts, by route: some.example:25, own.example:25; else {mx}"),
            ),
        ] {
            let config = config::parse(&routes).unwrap();
            let text = greeting(&config, "outpost");
            let line = format!("  mail goes to    {said}\n");
            assert!(text.contains(&line), "{text}");
        }
    }

    #[test]
    fn commands_are_shown_as_they_can_be_typed() {
        let mut config = config::parse("").unwrap();
        let path = "target/release/outpost";
        let text = greeting(&config, path);
        assert!(text.contains("terminal and in this folder:"), "{text}");
        assert!(
            text.ends_with(
                "\n    target/release/outpost user add --domains \"example.com\"\
                 \n    target/release/outpost connection\n"
            ),
            "{text}"
        );
        config.file = Some("/srv/mail.toml".into());
        config.data_dir = "/srv/mail".into();
        let text = greeting(&config, "outpost");
        assert!(text.contains("in another terminal: make"), "{text}");
        assert!(
            text.contains("\n    outpost --config /srv/mail.toml user add"),
            "{text}"
        );
    }

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
                "127.0.0.1, ports 23,25-26: ports below 1024 need root, the capability CAP_NET_BIND_SERVICE, or a socket that systemd passes",
                "::1, port 587: already in use by another program",
            ]
        );
    }
}
