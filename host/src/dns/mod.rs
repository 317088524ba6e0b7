//! DNS: who takes the mail of a domain, and at which addresses. The only module that knows the
//! resolver library.
//!
//! A [`Resolver`] asks the name servers (the library caches their answers) or, in tests, a
//! [`Table`]. Every question has an end in time and every answer is bounded. What a missing record
//! means for a message is delivery's decision; only the rules of RFC 5321 §5.1 and RFC 7505 about
//! MX records are kept here.

mod exchange;
mod network;
mod servers;
mod table;

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

pub use exchange::Exchange;
pub use table::Table;

use servers::Servers;

/// Addresses kept of one host, of each family. A host that is named with more is reached by the
/// first of them or is in no state to take mail.
pub const ADDRESSES_MAX: usize = 8;

/// How long the other family of addresses is waited for once one has been answered. Some name servers leave
/// questions about AAAA without an answer; who knows both says both at once.
const OTHER_FAMILY_TIME_MAX: Duration = Duration::from_secs(2);

/// Which name servers are asked, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The name servers; when empty, those of the system.
    pub name_servers: Vec<SocketAddr>,
    /// How long one question may take, tries and fallback to TCP included.
    pub time_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name_servers: Vec::new(),
            // Two tries of 5 s each at two servers: what stub resolvers are used to.
            time_max: Duration::from_secs(20),
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no such name.
    #[error("the name does not exist")]
    NoSuchName,
    /// The name exists and has no record of the kind that was asked for.
    #[error("the name has no such record")]
    NoRecord,
    /// The domain takes no mail, and says so (RFC 7505).
    #[error("the domain accepts no mail")]
    NullMx,
    /// No answer for now; the text is for the log.
    #[error("no answer from DNS: {0}")]
    Temporary(String),
}

/// Answers questions about domains and hosts. Clones share one cache.
#[derive(Clone, Debug)]
pub struct Resolver {
    servers: Arc<Servers>,
    time_max: Duration,
}

#[derive(Clone, Debug)]
enum Source {
    Network(network::Client),
    Table(Arc<Table>),
}

/// How a name without a dot is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// As DNS has it.
    Whole,
    /// As a short name of this network, where the system completes those.
    Short,
}

/// An MX record as it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
struct MxRecord {
    preference: u16,
    /// Without its final dot; empty for the root.
    host: String,
}

impl Resolver {
    /// A resolver that asks name servers. One that has none to ask says so at each question: mail
    /// waits, the relay runs, and the system is looked at again from time to time.
    pub fn new(settings: &Settings) -> Self {
        let named = settings.clone();
        let read = move || network::Client::new(&named).map(Source::Network);
        Self {
            time_max: settings.time_max,
            ..Self::that_asks(Servers::new(Box::new(read)))
        }
    }

    fn that_asks(servers: Servers) -> Self {
        Self {
            servers: Arc::new(servers),
            time_max: Settings::default().time_max,
        }
    }

    /// Finds out anew whom to ask, and forgets what was answered.
    pub fn refresh(&self) {
        self.servers.refresh();
    }

    /// A resolver that answers from a table.
    pub fn from_table(table: Table) -> Self {
        let source = Source::Table(Arc::new(table));
        Self::that_asks(Servers::new(Box::new(move || Ok(source.clone()))))
    }

    /// The hosts that take the mail of a domain, given in A-labels: its MX hosts in the order of
    /// preference, equal ones in an order that `seed` decides, or without MX records the domain
    /// itself (RFC 5321 §5.1). Never empty, at most [`Exchange::COUNT_MAX`].
    ///
    /// # Errors
    /// [`Problem::NullMx`], [`Problem::NoSuchName`], [`Problem::Temporary`]; and
    /// [`Problem::NoRecord`] when MX records exist of which none names a host.
    pub async fn exchanges(&self, domain: &str, seed: u64) -> Result<Vec<Exchange>, Problem> {
        match self.in_time(self.mx(domain)).await {
            Ok(records) => exchange::in_order(records, seed),
            Err(Problem::NoRecord) => Ok(vec![Exchange::implicit(domain)]),
            Err(problem) => Err(problem),
        }
    }

    /// The addresses of a host that DNS has named, IPv4 first; at most [`ADDRESSES_MAX`] of each family. The
    /// name is never completed: others choose it, and it must not lead to a host of this network.
    ///
    /// # Errors
    /// [`Problem::NoSuchName`], [`Problem::NoRecord`] or [`Problem::Temporary`].
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Problem> {
        self.in_time(self.any_addresses(host, Names::Whole)).await
    }

    /// The same of a host that the operator has named: without a dot it may be a short name of this network.
    ///
    /// # Errors
    /// As for [`Self::addresses`].
    pub async fn addresses_of_ours(&self, host: &str) -> Result<Vec<IpAddr>, Problem> {
        self.in_time(self.any_addresses(host, Names::Short)).await
    }

    async fn any_addresses(&self, host: &str, names: Names) -> Result<Vec<IpAddr>, Problem> {
        match self.servers.source()? {
            Source::Network(client) => {
                both_families(client.ipv4(host, names), client.ipv6(host, names)).await
            }
            Source::Table(table) => {
                both_families(table.ipv4(host, names), table.ipv6(host, names)).await
            }
        }
    }

    async fn mx(&self, domain: &str) -> Result<Vec<MxRecord>, Problem> {
        match self.servers.source()? {
            Source::Network(client) => client.mx(domain).await,
            Source::Table(table) => table.mx_records(domain).await,
        }
    }

    async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        timeout(self.time_max, answer)
            .await
            .unwrap_or_else(|_| Err(Problem::Temporary("timed out".to_owned())))
    }
}

/// The addresses of both families. Once one has been answered with some, the other has [`OTHER_FAMILY_TIME_MAX`].
async fn both_families(
    ipv4: impl Future<Output = Result<Vec<IpAddr>, Problem>>,
    ipv6: impl Future<Output = Result<Vec<IpAddr>, Problem>>,
) -> Result<Vec<IpAddr>, Problem> {
    let (mut ipv4, mut ipv6) = (pin!(ipv4), pin!(ipv6));
    let (ipv4, ipv6) = tokio::select! {
        biased;
        ipv4 = &mut ipv4 => {
            let ipv6 = beside(&ipv4, ipv6).await;
            (ipv4, ipv6)
        }
        ipv6 = &mut ipv6 => (beside(&ipv6, ipv4).await, ipv6),
    };
    join_families(ipv4, ipv6)
}

/// The answer about one family, beside that about the other.
async fn beside(
    other: &Result<Vec<IpAddr>, Problem>,
    answer: impl Future<Output = Result<Vec<IpAddr>, Problem>>,
) -> Result<Vec<IpAddr>, Problem> {
    if other.is_err() {
        return answer.await;
    }
    let in_time = timeout(OTHER_FAMILY_TIME_MAX, answer).await;
    in_time.unwrap_or_else(|_| Err(Problem::Temporary("timed out".to_owned())))
}

/// The addresses of both families. One that answers is enough; a temporary failure of the other
/// one counts only when there is nothing else.
fn join_families(
    ipv4: Result<Vec<IpAddr>, Problem>,
    ipv6: Result<Vec<IpAddr>, Problem>,
) -> Result<Vec<IpAddr>, Problem> {
    match (ipv4, ipv6) {
        (Ok(mut addresses), Ok(more)) => {
            addresses.truncate(ADDRESSES_MAX);
            addresses.extend(more.into_iter().take(ADDRESSES_MAX));
            Ok(addresses)
        }
        (Ok(mut addresses), Err(_)) | (Err(_), Ok(mut addresses)) => {
            addresses.truncate(ADDRESSES_MAX);
            Ok(addresses)
        }
        (Err(problem @ Problem::Temporary(_)), Err(_))
        | (Err(_), Err(problem @ Problem::Temporary(_)))
        | (Err(problem @ Problem::NoRecord), Err(_))
        | (Err(_), Err(problem)) => Err(problem),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn hosts(exchanges: &[Exchange]) -> Vec<(u16, &str)> {
        exchanges
            .iter()
            .map(|exchange| (exchange.preference, exchange.host.as_str()))
            .collect()
    }

    #[tokio::test]
    async fn mx_hosts_come_in_the_order_of_preference() {
        let table = Table::new()
            .mx("a.example", 20, "second.example")
            .mx("a.example", 10, "First.example")
            .mx("a.example", 30, "third.example");
        let exchanges = Resolver::from_table(table)
            .exchanges("a.example", 1)
            .await
            .unwrap();
        assert_eq!(
            hosts(&exchanges),
            [
                (10, "first.example"),
                (20, "second.example"),
                (30, "third.example")
            ]
        );
    }

    #[tokio::test]
    async fn without_mx_records_the_domain_itself_takes_the_mail() {
        let table = Table::new().address("a.example", "192.0.2.1");
        let exchanges = Resolver::from_table(table)
            .exchanges("a.example", 1)
            .await
            .unwrap();
        assert_eq!(hosts(&exchanges), [(0, "a.example")]);
    }

    #[tokio::test]
    async fn problems_of_a_domain_are_told_apart() {
        let table = Table::new()
            .mx("null.example", 0, "")
            .mx("rootonly.example", 5, "")
            .mx("rootonly.example", 10, "")
            .failing("lame.example");
        let resolver = Resolver::from_table(table);
        for (domain, problem) in [
            ("none.example", Problem::NoSuchName),
            ("null.example", Problem::NullMx),
            ("rootonly.example", Problem::NoRecord),
            (
                "lame.example",
                Problem::Temporary("told to fail".to_owned()),
            ),
        ] {
            assert_eq!(
                resolver.exchanges(domain, 1).await,
                Err(problem),
                "{domain}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_name_server_is_a_temporary_problem() {
        let resolver = Resolver::from_table(Table::new().silent("slow.example"));
        let begun = tokio::time::Instant::now();
        let problem = resolver.exchanges("slow.example", 1).await.unwrap_err();
        assert_eq!(problem, Problem::Temporary("timed out".to_owned()));
        let problem = resolver.addresses("slow.example").await.unwrap_err();
        assert_eq!(problem, Problem::Temporary("timed out".to_owned()));
        assert_eq!(begun.elapsed(), Settings::default().time_max * 2);
    }

    #[tokio::test]
    async fn addresses_of_both_families_are_found_through_aliases() {
        let table = Table::new()
            .alias("mx.example", "real.example")
            .address("real.example", "2001:db8::1")
            .address("real.example", "192.0.2.1");
        let addresses = Resolver::from_table(table)
            .addresses("mx.example")
            .await
            .unwrap();
        assert_eq!(
            addresses,
            ["192.0.2.1", "2001:db8::1"].map(|a| a.parse::<IpAddr>().unwrap())
        );
    }

    #[tokio::test]
    async fn a_host_with_too_many_addresses_is_cut() {
        let mut table = Table::new();
        for number in 0..=255 {
            table = table
                .address("many.example", &format!("192.0.2.{number}"))
                .address("many.example", &format!("2001:db8::{number}"));
        }
        let addresses = Resolver::from_table(table)
            .addresses("many.example")
            .await
            .unwrap();
        assert_eq!(addresses.len(), 2 * ADDRESSES_MAX);
        assert!(addresses[ADDRESSES_MAX].is_ipv6());
    }

    #[tokio::test(start_paused = true)]
    async fn a_family_without_an_answer_is_waited_for_no_longer_than_two_seconds() {
        let some = || Ok(vec!["192.0.2.1".parse().unwrap()]);
        let more = || Ok(vec!["2001:db8::1".parse().unwrap()]);
        let after = async |seconds, answer| {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            answer
        };
        let both = || Ok([some().unwrap(), more().unwrap()].concat());
        let none = || Err(Problem::NoRecord);
        for (ipv4, ipv6, addresses, seconds) in [
            (after(0, some()), after(30, more()), some(), 2),
            (after(30, some()), after(3, more()), more(), 5),
            (after(0, some()), after(1, more()), both(), 1),
            // Where there is no address yet, the other one is needed.
            (after(0, none()), after(15, more()), more(), 15),
            (after(15, some()), after(0, none()), some(), 15),
        ] {
            let begun = tokio::time::Instant::now();
            assert_eq!(both_families(ipv4, ipv6).await, addresses);
            assert_eq!(begun.elapsed(), Duration::from_secs(seconds));
        }
    }

    #[test]
    fn one_family_is_enough_and_a_failure_outweighs_an_absence() {
        let some = || Ok(vec!["192.0.2.1".parse().unwrap()]);
        let temporary = || Err(Problem::Temporary("x".to_owned()));
        assert_eq!(join_families(some(), temporary()), some());
        assert_eq!(join_families(Err(Problem::NoRecord), some()), some());
        assert_eq!(
            join_families(Err(Problem::NoRecord), temporary()),
            temporary()
        );
        assert_eq!(
            join_families(temporary(), Err(Problem::NoSuchName)),
            temporary()
        );
        assert_eq!(
            join_families(Err(Problem::NoSuchName), Err(Problem::NoRecord)),
            Err(Problem::NoRecord)
        );
        assert_eq!(
            join_families(Err(Problem::NoSuchName), Err(Problem::NoSuchName)),
            Err(Problem::NoSuchName)
        );
    }
}
