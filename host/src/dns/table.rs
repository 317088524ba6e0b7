//! Answers from a table: the DNS of tests and simulations.

use std::collections::HashMap;
use std::net::IpAddr;

use super::{MxRecord, Names, Problem};

/// How many aliases are followed, as name servers do.
const ALIASES_MAX: usize = 8;

/// What short names are completed with.
const SEARCHED: &str = "house.example";

/// A small DNS in memory. A name is known once something has been said about it.
#[derive(Clone, Debug, Default)]
pub struct Table(HashMap<String, Entry>);

#[derive(Clone, Debug, Default)]
struct Entry {
    mx: Vec<MxRecord>,
    addresses: Vec<IpAddr>,
    alias: Option<String>,
    mood: Mood,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Answers,
    Fails,
    Silent,
}

impl Table {
    /// A table that knows no name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an MX record; the empty host is the root (RFC 7505).
    #[must_use]
    pub fn mx(mut self, domain: &str, preference: u16, host: &str) -> Self {
        self.entry(domain).mx.push(MxRecord {
            preference,
            host: host.to_owned(),
        });
        self
    }

    /// Adds an address record. What is no IP address is left out.
    #[must_use]
    pub fn address(mut self, host: &str, address: &str) -> Self {
        let entry = self.entry(host);
        entry.addresses.extend(address.parse::<IpAddr>());
        self
    }

    /// Makes a name an alias (CNAME) of another.
    #[must_use]
    pub fn alias(mut self, name: &str, of: &str) -> Self {
        self.entry(name).alias = Some(of.to_ascii_lowercase());
        self
    }

    /// Makes questions about a name fail (SERVFAIL).
    #[must_use]
    pub fn failing(mut self, name: &str) -> Self {
        self.entry(name).mood = Mood::Fails;
        self
    }

    /// Leaves questions about a name without an answer.
    #[must_use]
    pub fn silent(mut self, name: &str) -> Self {
        self.entry(name).mood = Mood::Silent;
        self
    }

    fn entry(&mut self, name: &str) -> &mut Entry {
        self.0.entry(name.to_ascii_lowercase()).or_default()
    }

    pub(super) async fn mx_records(&self, domain: &str) -> Result<Vec<MxRecord>, Problem> {
        some(self.find(domain).await?.mx.clone())
    }

    pub(super) async fn ipv4(&self, host: &str, names: Names) -> Result<Vec<IpAddr>, Problem> {
        let entry = self.find(&completed(host, names)).await?;
        some(
            entry
                .addresses
                .iter()
                .copied()
                .filter(IpAddr::is_ipv4)
                .collect(),
        )
    }

    pub(super) async fn ipv6(&self, host: &str, names: Names) -> Result<Vec<IpAddr>, Problem> {
        let entry = self.find(&completed(host, names)).await?;
        some(
            entry
                .addresses
                .iter()
                .copied()
                .filter(IpAddr::is_ipv6)
                .collect(),
        )
    }

    async fn find(&self, name: &str) -> Result<&Entry, Problem> {
        let mut name = name.to_ascii_lowercase();
        for _ in 0..ALIASES_MAX {
            let entry = self.0.get(&name).ok_or(Problem::NoSuchName)?;
            match (entry.mood, &entry.alias) {
                (Mood::Fails, _) => return Err(Problem::Temporary("told to fail".to_owned())),
                (Mood::Silent, _) => std::future::pending().await,
                (Mood::Answers, Some(alias)) => name = alias.clone(),
                (Mood::Answers, None) => return Ok(entry),
            }
        }
        Err(Problem::Temporary("too many aliases".to_owned()))
    }
}

fn completed(host: &str, names: Names) -> String {
    match names == Names::Short && !host.contains('.') {
        true => format!("{host}.{SEARCHED}"),
        false => host.to_owned(),
    }
}

fn some<T>(records: Vec<T>) -> Result<Vec<T>, Problem> {
    if records.is_empty() {
        Err(Problem::NoRecord)
    } else {
        Ok(records)
    }
}
