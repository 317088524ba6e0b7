//! The path to a next hop: what an attempt would look for and how it would speak, without one.

use std::net::SocketAddr;

use super::Deliverer;
use super::hosts::Hosts;
use super::settings::Smarthost;
use crate::message::{NextHop, Outcome};

impl Deliverer {
    /// The hosts that an attempt would try at a next hop, in their order.
    ///
    /// # Errors
    /// What would become of the mail, when there is none.
    pub async fn hosts(&self, next_hop: &NextHop) -> Result<Vec<(String, SocketAddr)>, Outcome> {
        let (resolver, settings) = (&self.network.resolver, &self.settings);
        let mut hosts = match next_hop {
            NextHop::Domain(domain) => {
                let seed = (self.network.random)();
                Hosts::of_domain(resolver, settings, domain, seed).await?
            }
            NextHop::Smarthost(name) => match name.parse() {
                Ok(host_port) => Hosts::of_smarthost(resolver, settings, &host_port),
                Err(_) => return Ok(Vec::new()),
            },
        };
        let mut found = Vec::new();
        while let Some(target) = hosts.next().await {
            found.push((target.name, target.address));
        }
        match found.is_empty() {
            true => Err(hosts.nothing_found()),
            false => Ok(found),
        }
    }

    /// How it would speak to them.
    pub fn manner(&self, next_hop: &NextHop) -> Smarthost {
        match next_hop {
            NextHop::Domain(_) => Smarthost::default(),
            NextHop::Smarthost(name) => self
                .settings
                .smarthosts
                .get(&**name)
                .cloned()
                .unwrap_or_default(),
        }
    }
}
