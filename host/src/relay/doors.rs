//! The doors of a relay: its ports are opened first, since a port that is taken is the most likely trouble of a start.

use std::io;

use super::loops::{self, Loop};
use super::{StartError, greeting};
use crate::admin;
use crate::config::{Config, Mistake};
use crate::net::{self, Bound, Listener, Passed, Unbound, Unused};

/// The open ports, before anybody is served on them.
pub(super) struct Doors {
    pub(super) listeners: Vec<Listener>,
    pub(super) unbound: Vec<Unbound>,
    pub(super) unused: Vec<Unused>,
    /// Routes that lead back here.
    pub(super) loops: Vec<Loop>,
    pub(super) admin: admin::Listener,
}

impl Doors {
    pub(super) async fn open(
        config: &Config,
        passed: Passed,
        files_max: u64,
    ) -> Result<Doors, StartError> {
        let Bound {
            listeners,
            unbound,
            unused,
        } = net::bind(&config.listen, passed, files_max);
        for unused in &unused {
            tracing::warn!("a socket that the service manager has passed is not served: {unused}");
        }
        for unbound in &unbound {
            tracing::debug!(address = %unbound.address, error = %unbound.error, "not listening");
        }
        if listeners.is_empty() || !(config.listen.optional || unbound.is_empty()) {
            let mut lines = greeting::unbound_lines(&unbound);
            let in_use = |unbound: &Unbound| unbound.error.kind() == io::ErrorKind::AddrInUse;
            if listeners.is_empty() {
                lines.push("none of the submission ports can be listened on".to_owned());
                if unbound.iter().all(in_use) {
                    lines.push(
                        "is a relay running already? `outpost connection` asks it".to_owned(),
                    );
                }
            } else {
                lines.push(
                    "take these ports out of [submission], or let them be skipped with \
                     `optional = true` there"
                        .to_owned(),
                );
            }
            return Err(StartError(lines));
        }
        let listening: Vec<_> = listeners.iter().map(|listener| listener.address).collect();
        let loops = loops::bound(config, &listening);
        for found in &loops {
            let Mistake { line, key, text } = &found.note;
            tracing::warn!(line, key, "{text}");
        }
        let admin = admin::Listener::bind(&config.admin)
            .await
            .map_err(|error| no_admin(config, &error))?;
        Ok(Doors {
            listeners,
            unbound,
            unused,
            loops,
            admin,
        })
    }
}

/// The admin address cannot be had. Whoever has no file yet is told what to write into one: any file
/// ends the other defaults of having none.
fn no_admin(config: &Config, error: &admin::BindError) -> StartError {
    let mut lines = vec![error.to_string()];
    if config.file.is_none() {
        lines.extend(
            [
                "an outpost.toml that names another one, and else leaves all as it is without a file:",
                "    admin.address = \"127.0.0.1:8026\"",
                "    submission = { addresses = [\"127.0.0.1\", \"::1\"], optional = true }",
            ]
            .map(str::to_owned),
        );
    }
    StartError(lines)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn whoever_has_no_file_is_shown_one_that_names_another_admin_address_and_nothing_else() {
        let mut config = crate::config::parse("").unwrap();
        let taken = admin::BindError {
            address: config.admin.address,
            source: io::ErrorKind::AddrInUse.into(),
        };
        let said = no_admin(&config, &taken).to_string();
        let file: Vec<_> = said
            .lines()
            .filter_map(|line| line.strip_prefix("    "))
            .collect();
        let shown = crate::config::parse(&file.join("\n")).unwrap();
        assert_ne!(shown.admin.address, config.admin.address);
        assert!(shown.listen.optional);
        assert!(shown.listen.addresses.iter().all(|ip| ip.is_loopback()));
        assert_eq!(shown.listen.ports, config.listen.ports);
        config.file = Some("outpost.toml".into());
        assert_eq!(no_admin(&config, &taken).to_string().lines().count(), 1);
    }
}
