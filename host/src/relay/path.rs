//! The path of a message that is not sent: which route matches, and which hosts an attempt would ask.
//!
//! By the configuration file and DNS alone; no relay has to run, and no host is spoken to.

use std::fmt;
use std::net::SocketAddr;

use outpost_smtp::Mailbox;
use serde_json::{Value, json};

use super::loops;
use super::start::deliverer;
use crate::config::Config;
use crate::delivery::{self, Gate, GateMetrics, Smarthost, TlsPolicy};
use crate::message::{NextHop, Outcome, Source};

/// Where mail for one recipient would go.
#[derive(Debug)]
pub struct Path {
    recipient: String,
    /// The route that matches, counted from 1; none: MX.
    route: Option<usize>,
    next_hop: NextHop,
    manner: Smarthost,
    hosts: Result<Vec<(String, SocketAddr)>, Outcome>,
}

/// Finds the path of mail from `source` to each recipient.
pub async fn paths(config: &Config, source: Source<'_>, recipients: &[Mailbox]) -> Vec<Path> {
    let metrics = delivery::Metrics::unregistered();
    let gate = Gate::new(config.gate.clone(), GateMetrics::default());
    let deliverer = deliverer(config, &loops::planned(config), metrics, gate);
    let mut paths = Vec::new();
    for recipient in recipients {
        let next_hop = config.routes.next_hop(source, recipient);
        paths.push(Path {
            recipient: recipient.to_string(),
            route: config.routes.position(source, recipient).map(|at| at + 1),
            manner: deliverer.manner(&next_hop),
            hosts: deliverer.hosts(&next_hop).await,
            next_hop,
        });
    }
    paths
}

impl Path {
    /// Whether there is a host to ask.
    pub fn leads_somewhere(&self) -> bool {
        self.hosts.is_ok()
    }

    fn tls(&self) -> &'static str {
        match self.manner.tls {
            TlsPolicy::Opportunistic => "opportunistic",
            TlsPolicy::Required => "required",
            TlsPolicy::None => "none",
        }
    }

    fn login(&self) -> Option<&str> {
        self.manner.login.as_ref().map(|login| login.user.as_str())
    }

    /// As an object.
    pub fn to_json(&self) -> Value {
        let hosts = self.hosts.as_ref().ok().into_iter().flatten();
        let hosts = hosts.map(|(name, address)| json!({ "name": name, "address": address }));
        json!({
            "recipient": self.recipient,
            "route": self.route,
            "next_hop": self.next_hop.to_string(),
            "tls": self.tls(),
            "login": self.login(),
            "hosts": hosts.collect::<Vec<_>>(),
            "outcome": self.hosts.as_ref().err().map(|outcome| json!({
                "kind": kind(outcome),
                "reply": outcome.reply().to_string(),
            })),
        })
    }
}

fn kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered(_) => "delivered",
        Outcome::Deferred(_) => "deferred",
        Outcome::Bounced(_) => "bounced",
    }
}

/// For people. The password of a login is never shown.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.recipient)?;
        match self.route {
            Some(number) => writeln!(f, "  route     delivery.route[{number}]")?,
            None => writeln!(f, "  route     none matches: MX")?,
        }
        writeln!(f, "  next hop  {}", self.next_hop)?;
        write!(f, "  tls       {}", self.tls())?;
        match self.login() {
            Some(user) => writeln!(f, ", login as {user}")?,
            None => writeln!(f)?,
        }
        match &self.hosts {
            Ok(hosts) => {
                for (name, address) in hosts {
                    writeln!(f, "  host      {name} {address}")?;
                }
                Ok(())
            }
            Err(outcome) => writeln!(f, "  {:<8}  {}", kind(outcome), outcome.reply()),
        }
    }
}
