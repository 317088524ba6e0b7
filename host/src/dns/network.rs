//! Questions to name servers, by the resolver library.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::{MxRecord, Names, Problem, Settings};

/// Answers kept in the cache. A busy relay meets a few thousand domains a day.
const CACHE_ANSWERS_MAX: u64 = 10_000;

/// How long a good answer is kept at most: a day, so that a mistaken week-long TTL can be mended.
const CACHED_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long "there is no such thing" is kept at most: a domain that was just set up works soon.
const ABSENCE_CACHED_MAX: Duration = Duration::from_secs(5 * 60);

/// Questions under way on one connection to a name server: more than the deliveries that the relay
/// makes at once, so that none is turned away.
const QUESTIONS_MAX: usize = 2_000;

/// Aliases of aliases that are followed, as by the library. More are a circle, or as good as one.
const ALIASES_MAX: usize = 8;

/// Records looked at in one answer. An answer has at most 64 KiB.
const RECORDS_MAX: usize = 256;

#[derive(Clone, Debug)]
pub(super) struct Client(Arc<TokioResolver>);

impl Client {
    /// # Errors
    /// Why there is no name server to ask.
    pub(super) fn new(settings: &Settings) -> Result<Self, String> {
        let mut builder = if settings.name_servers.is_empty() {
            TokioResolver::builder_tokio().map_err(|error| error.to_string())?
        } else {
            TokioResolver::builder_with_config(
                configuration(settings),
                TokioRuntimeProvider::default(),
            )
        };
        let options = builder.options_mut();
        options.cache_size = CACHE_ANSWERS_MAX;
        options.positive_max_ttl = Some(CACHED_MAX);
        options.negative_max_ttl = Some(ABSENCE_CACHED_MAX);
        options.max_active_requests = QUESTIONS_MAX;
        let resolver = builder.build().map_err(|error| error.to_string())?;
        Ok(Self(Arc::new(resolver)))
    }

    pub(super) async fn mx(&self, domain: &str) -> Result<Vec<MxRecord>, Problem> {
        let name = full_name(domain)?;
        self.records(name, RecordType::MX, |data| match data {
            RData::MX(mx) => {
                let host = mx.exchange.to_ascii();
                let host = host.strip_suffix('.').unwrap_or(&host).to_owned();
                Some(MxRecord {
                    preference: mx.preference,
                    host,
                })
            }
            _ => None,
        })
        .await
    }

    pub(super) async fn ipv4(&self, host: &str, names: Names) -> Result<Vec<IpAddr>, Problem> {
        self.records(host_name(host, names)?, RecordType::A, |data| match data {
            RData::A(address) => Some(address.0.into()),
            _ => None,
        })
        .await
    }

    pub(super) async fn ipv6(&self, host: &str, names: Names) -> Result<Vec<IpAddr>, Problem> {
        self.records(
            host_name(host, names)?,
            RecordType::AAAA,
            |data| match data {
                RData::AAAA(address) => Some(address.0.into()),
                _ => None,
            },
        )
        .await
    }

    /// Whether a name is an alias in a circle, or of more aliases than are followed.
    async fn is_endless(&self, mut name: Name) -> bool {
        for _ in 0..ALIASES_MAX {
            let Ok(lookup) = self.0.lookup(name, RecordType::CNAME).await else {
                return false;
            };
            let aliases = lookup.answers().iter();
            let mut aliases = aliases.filter_map(|record| match &record.data {
                RData::CNAME(alias) => Some(alias.0.clone()),
                _ => None,
            });
            match aliases.next() {
                Some(alias) => name = alias,
                None => return false,
            }
        }
        true
    }

    async fn records<T>(
        &self,
        name: Name,
        kind: RecordType,
        wanted: impl Fn(&RData) -> Option<T>,
    ) -> Result<Vec<T>, Problem> {
        let lookup = match self.0.lookup(name.clone(), kind).await {
            Ok(lookup) => lookup,
            Err(error) if is_bare(&error) && self.is_endless(name).await => {
                return Err(Problem::Temporary("aliases without an end".to_owned()));
            }
            Err(error) => return Err(problem(error)),
        };
        let answers = lookup.answers().iter().take(RECORDS_MAX);
        let records: Vec<T> = answers.filter_map(|record| wanted(&record.data)).collect();
        if records.is_empty() {
            Err(Problem::NoRecord)
        } else {
            Ok(records)
        }
    }
}

/// Whether an answer says nothing but that there is no record. A name that is an alias of an alias, and so
/// on for ever, is answered like that by the library; most name servers answer SERVFAIL.
fn is_bare(error: &NetError) -> bool {
    matches!(
        error,
        NetError::Dns(DnsError::NoRecordsFound(NoRecords {
            response_code: ResponseCode::NoError,
            soa: None,
            ns: None,
            ..
        }))
    )
}

fn configuration(settings: &Settings) -> ResolverConfig {
    let servers = settings.name_servers.iter().map(|address| {
        let connections =
            [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = address.port();
                connection
            });
        NameServerConfig::new(address.ip(), true, connections.to_vec())
    });
    ResolverConfig::from_name_servers(servers.collect())
}

/// The name of a mail domain: what stands behind an `@` is never completed with a search list.
fn full_name(domain: &str) -> Result<Name, Problem> {
    // What cannot be asked does not exist: no name server could know it.
    let mut name = Name::from_ascii(domain).map_err(|_| Problem::NoSuchName)?;
    name.set_fqdn(true);
    Ok(name)
}

/// The name of a host. What is not whole, the library completes with the system's search list.
fn host_name(host: &str, names: Names) -> Result<Name, Problem> {
    if names == Names::Whole || host.contains('.') {
        return full_name(host);
    }
    Name::from_ascii(host).map_err(|_| Problem::NoSuchName)
}

fn problem(error: NetError) -> Problem {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(NoRecords {
            response_code: ResponseCode::NXDomain,
            ..
        })) => Problem::NoSuchName,
        // Other name servers are named instead of an answer: the one that was asked does not know.
        NetError::Dns(DnsError::NoRecordsFound(NoRecords {
            response_code: ResponseCode::NoError,
            soa: None,
            ns: Some(_),
            ..
        })) => Problem::Temporary("a referral instead of an answer".to_owned()),
        NetError::Dns(DnsError::NoRecordsFound(NoRecords {
            response_code: ResponseCode::NoError,
            ..
        })) => Problem::NoRecord,
        other => Problem::Temporary(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use hickory_resolver::proto::op::{Message, MessageType, OpCode};
    use hickory_resolver::proto::rr::Record;
    use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, MX, NS};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, UdpSocket};

    use super::super::Resolver;
    use super::*;

    /// The zone of the name server below.
    fn answer(name: &str, kind: RecordType) -> (ResponseCode, Vec<RData>) {
        let host = |name: &str| Name::from_ascii(name).unwrap();
        let found = |records| (ResponseCode::NoError, records);
        match (name, kind) {
            ("mail.example.", RecordType::MX) => found(vec![
                RData::MX(MX::new(20, host("mx2.example."))),
                RData::MX(MX::new(10, host("Mx1.Example."))),
            ]),
            ("null.example.", RecordType::MX) => found(vec![RData::MX(MX::new(0, Name::root()))]),
            ("alias.example.", RecordType::MX) => found(vec![
                RData::CNAME(CNAME(host("mail.example."))),
                RData::MX(MX::new(5, host("mx5.example."))),
            ]),
            ("circle.example.", _) => found(vec![RData::CNAME(CNAME(host("round.example.")))]),
            ("round.example.", _) => found(vec![RData::CNAME(CNAME(host("circle.example.")))]),
            ("self.example.", _) => found(vec![RData::CNAME(CNAME(host("self.example.")))]),
            // An alias of which nothing stands in the same answer.
            ("bare-alias.example.", _) => found(vec![RData::CNAME(CNAME(host("bare.example.")))]),
            ("lost-alias.example.", _) => found(vec![RData::CNAME(CNAME(host("none.example.")))]),
            ("lame-alias.example.", _) => {
                found(vec![RData::CNAME(CNAME(host("failing.example.")))])
            }
            ("far-alias.example.", _) => found(vec![RData::CNAME(CNAME(host("mail.example.")))]),
            ("mx-alias.example.", _) => found(vec![RData::CNAME(CNAME(host("mx1.example.")))]),
            ("half.example.", RecordType::A) => (ResponseCode::ServFail, vec![]),
            ("half.example.", RecordType::AAAA) => found(vec![RData::AAAA(AAAA::new(
                0x2001, 0xdb8, 0, 0, 0, 0, 0, 2,
            ))]),
            ("large.example.", RecordType::MX) => found(
                (0..100)
                    .map(|number| {
                        RData::MX(MX::new(number, host(&format!("mx{number}.large.example."))))
                    })
                    .collect(),
            ),
            ("mx1.example.", RecordType::A) => found(vec![RData::A(A::new(192, 0, 2, 1))]),
            ("mx1.example.", RecordType::AAAA) => found(vec![RData::AAAA(AAAA::new(
                0x2001, 0xdb8, 0, 0, 0, 0, 0, 1,
            ))]),
            ("bare.example." | "mx1.example.", _) => found(vec![]),
            ("failing.example.", _) => (ResponseCode::ServFail, vec![]),
            ("lame.example.", _) => found(vec![RData::NS(NS(host("ns.example.")))]),
            ("refused.example.", _) => (ResponseCode::Refused, vec![]),
            _ => (ResponseCode::NXDomain, vec![]),
        }
    }

    /// The answer to a question; over UDP one that is large is cut (RFC 1035 §4.2.1). None to silent.example.
    fn respond(question: &[u8], octets_max: usize) -> Option<Vec<u8>> {
        let question = Message::from_vec(question).unwrap();
        let query = question.queries[0].clone();
        let name = query.name().clone();
        let text = name.to_ascii().to_ascii_lowercase();
        if text == "silent.example." {
            return None;
        }
        let (code, records) = answer(&text, query.query_type());
        let mut response = Message::new(question.id, MessageType::Response, OpCode::Query);
        response.metadata.response_code = code;
        response.metadata.recursion_available = true;
        response.add_query(query.clone());
        let mut owner = name;
        for data in records {
            if let RData::NS(_) = &data {
                response.add_authority(Record::from_rdata(owner.clone(), 60, data));
                continue;
            }
            let next = match &data {
                RData::CNAME(alias) => alias.0.clone(),
                _ => owner.clone(),
            };
            response.add_answer(Record::from_rdata(owner, 60, data));
            owner = next;
        }
        let octets = response.to_vec().unwrap();
        if octets.len() <= octets_max {
            return Some(octets);
        }
        let mut cut = Message::new(question.id, MessageType::Response, OpCode::Query);
        cut.metadata.truncation = true;
        cut.add_query(query);
        Some(cut.to_vec().unwrap())
    }

    /// Both kinds at one port that nobody else has.
    async fn sockets() -> (UdpSocket, TcpListener) {
        for _ in 0..100 {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                return (udp, tcp);
            }
        }
        panic!("no port is free for both");
    }

    /// A name server on loopback, and a resolver that asks it.
    async fn resolver() -> Resolver {
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            loop {
                let (octets, client) = udp.recv_from(&mut buffer).await.unwrap();
                if let Some(response) = respond(&buffer[..octets], 1200) {
                    udp.send_to(&response, client).await.unwrap();
                }
            }
        });
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = tcp.accept().await.unwrap();
                tokio::spawn(async move {
                    while let Ok(octets) = stream.read_u16().await {
                        let mut question = vec![0; usize::from(octets)];
                        stream.read_exact(&mut question).await.unwrap();
                        let response = respond(&question, 65_535).unwrap();
                        let octets = u16::try_from(response.len()).unwrap();
                        stream.write_u16(octets).await.unwrap();
                        stream.write_all(&response).await.unwrap();
                    }
                });
            }
        });
        Resolver::new(&Settings {
            name_servers: vec![address],
            time_max: Duration::from_secs(2),
        })
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_is_asked_for_again_over_tcp() {
        let resolver = resolver().await;
        let exchanges = resolver.exchanges("large.example", 1).await.unwrap();
        assert_eq!(exchanges[0].host, "mx0.large.example");
    }

    #[tokio::test]
    async fn aliases_are_followed_and_a_circle_is_no_answer() {
        let resolver = resolver().await;
        // RFC 5321 §5.1: what an alias leads to is asked instead.
        let exchanges = resolver.exchanges("far-alias.example", 1).await.unwrap();
        assert_eq!(exchanges[0].host, "mx1.example");
        // An MX host should be no alias (RFC 2181 §10.3), and many are.
        let addresses = resolver.addresses("mx-alias.example").await.unwrap();
        assert_eq!(addresses.len(), 2);
        let exchanges = resolver.exchanges("bare-alias.example", 1).await.unwrap();
        assert_eq!(exchanges[0].host, "bare-alias.example");
        assert_eq!(
            resolver.exchanges("lost-alias.example", 1).await,
            Err(Problem::NoSuchName)
        );
        for domain in ["circle.example", "self.example", "lame-alias.example"] {
            let mx = resolver.exchanges(domain, 1).await;
            assert!(matches!(mx, Err(Problem::Temporary(_))), "{domain}: {mx:?}");
            let addresses = resolver.addresses(domain).await;
            assert!(
                matches!(addresses, Err(Problem::Temporary(_))),
                "{domain}: {addresses:?}"
            );
        }
    }

    #[test]
    fn only_the_short_name_of_a_host_of_ours_is_completed() {
        for (host, names, is_whole) in [
            ("intranet", Names::Whole, true),
            ("intranet", Names::Short, false),
            ("mx.example", Names::Short, true),
        ] {
            assert_eq!(host_name(host, names).unwrap().is_fqdn(), is_whole);
        }
    }

    #[tokio::test]
    async fn one_family_is_enough_and_silence_ends() {
        let resolver = resolver().await;
        assert_eq!(resolver.addresses("half.example").await.unwrap().len(), 1);
        let asked = std::time::Instant::now();
        let problem = resolver.exchanges("silent.example", 1).await.unwrap_err();
        assert!(matches!(problem, Problem::Temporary(_)), "{problem}");
        assert!(asked.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test]
    async fn name_servers_are_asked_and_their_answers_understood() {
        let resolver = resolver().await;
        let exchanges = resolver.exchanges("mail.example", 1).await.unwrap();
        let hosts: Vec<&str> = exchanges
            .iter()
            .map(|exchange| exchange.host.as_str())
            .collect();
        assert_eq!(hosts, ["mx1.example", "mx2.example"]);
        let addresses = resolver.addresses("mx1.example").await.unwrap();
        assert_eq!(
            addresses,
            ["192.0.2.1", "2001:db8::1"].map(|a| a.parse::<IpAddr>().unwrap())
        );
        let exchanges = resolver.exchanges("alias.example", 1).await.unwrap();
        assert_eq!(exchanges[0].host, "mx5.example");
        let exchanges = resolver.exchanges("bare.example", 1).await.unwrap();
        assert_eq!(exchanges[0].host, "bare.example");
    }

    #[tokio::test]
    async fn answers_without_records_are_told_apart() {
        let resolver = resolver().await;
        assert_eq!(
            resolver.exchanges("null.example", 1).await,
            Err(Problem::NullMx)
        );
        assert_eq!(
            resolver.exchanges("none.example", 1).await,
            Err(Problem::NoSuchName)
        );
        assert_eq!(
            resolver.addresses("none.example").await,
            Err(Problem::NoSuchName)
        );
        assert_eq!(
            resolver.addresses("bare.example").await,
            Err(Problem::NoRecord)
        );
        for domain in ["failing.example", "lame.example", "refused.example"] {
            let problem = resolver.exchanges(domain, 1).await.unwrap_err();
            assert!(
                matches!(problem, Problem::Temporary(_)),
                "{domain}: {problem}"
            );
        }
        for domain in ["a..b", "x y", "ü.example", &"a".repeat(64)] {
            assert_eq!(
                resolver.exchanges(domain, 1).await,
                Err(Problem::NoSuchName),
                "{domain}"
            );
        }
    }
}
