//! From facts to what is wrong: one judgement for each kind, with what the operator finds bearable.
//!
//! Facts are of one moment. That something is wrong only when it has been so for a while is judged by the times in the facts.

use std::time::Duration;

use super::condition::{Condition, Kind, Severity};
use crate::message::Timestamp;

/// Next hops that are named one by one; the rest of them is one alert.
const NEXT_HOPS_NAMED_MAX: usize = 20;
/// Text of others in a sentence, in characters.
const QUOTED_MAX: usize = 300;
const DAY: Duration = Duration::from_secs(86_400);

/// What is bearable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Octets that are free on the disk of the data folder; below that is wrong. None: as much as suits the disk.
    pub disk_free_octets_min: Option<u64>,
    /// A certificate that is valid for less is wrong.
    pub certificate_left_min: Duration,
    /// A next hop that has not been reached for as long is wrong.
    pub next_hop_down_after: Duration,
    /// Share of a list's recipients of about the last hour whose mail came back, in percent; more is wrong.
    pub bounced_percent_max: u64,
    /// Recipients of a list whose mail has ended within the hour, until their share says something.
    pub bounces_judged_min: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            disk_free_octets_min: None,
            certificate_left_min: DAY * 14,
            next_hop_down_after: Duration::from_secs(300),
            bounced_percent_max: 10,
            bounces_judged_min: 50,
        }
    }
}

/// What is known at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Why no mail is taken: the part, and what it lacks.
    pub unready: Vec<(String, String)>,
    /// How long very-high mail takes.
    pub very_high: Option<VeryHigh>,
    /// The disk of the data folder.
    pub disk: Option<Disk>,
    /// Components that are not asked, for anybody or for some.
    pub breakers: Vec<OpenBreaker>,
    /// Next hops that were not reached by the last attempts.
    pub next_hops: Vec<NextHopFacts>,
    /// The certificate in force.
    pub certificate: Option<Certificate>,
    /// What became of the mail of each list in about the last hour.
    pub lists: Vec<ListCounts>,
    /// Who was refused within the last hour, by list.
    pub refused: Vec<RefusedSenders>,
}

/// How long very-high mail takes from its acceptance to MAIL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VeryHigh {
    /// 99 of 100 messages took no longer.
    pub p99: Duration,
    /// How long they may take.
    pub objective: Duration,
}

/// Room on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Octets that the relay can still use.
    pub free_octets: u64,
    /// Octets of the whole file system.
    pub total_octets: u64,
    /// With less the relay takes no mail.
    pub needed_octets: u64,
}

/// A component that is not asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenBreaker {
    /// Its name.
    pub component: String,
    /// The questions that it is not asked for anybody.
    pub questions: Vec<&'static str>,
    /// Users for whom alone it is not asked.
    pub users: usize,
}

/// A next hop that the last attempts did not reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHopFacts {
    /// Its name.
    pub name: String,
    /// Since the first of them.
    pub since: Timestamp,
    /// How many they are.
    pub attempts: u64,
    /// What the last one was told.
    pub answer: String,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The names that it is for.
    pub names: Vec<String>,
    /// It is not valid after then.
    pub not_after: Timestamp,
}

/// What became of the mail of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListCounts {
    /// Its name.
    pub list: String,
    /// From when on it counts.
    pub since: Timestamp,
    /// Recipients who have it.
    pub sent: u64,
    /// Recipients whose mail came back or expired.
    pub bounced: u64,
}

/// Senders who were refused to users of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedSenders {
    /// Its name.
    pub list: String,
    /// Pairs of a user and a sender.
    pub pairs: u64,
    /// Who tried last.
    pub user: String,
    /// As whom.
    pub sender: String,
}

/// All that is wrong.
pub fn judge(facts: &Facts, bearable: &Thresholds, now: Timestamp) -> Vec<Condition> {
    let mut wrong = Vec::new();
    wrong.extend(facts.unready.iter().map(not_ready));
    wrong.extend(facts.very_high.and_then(very_high_late));
    wrong.extend(facts.disk.and_then(|disk| disk_low(disk, bearable)));
    wrong.extend(facts.breakers.iter().map(breaker_open));
    wrong.extend(next_hops_down(&facts.next_hops, bearable, now));
    let certificate = facts.certificate.as_ref();
    wrong.extend(certificate.and_then(|certificate| expiring(certificate, bearable, now)));
    let lists = facts.lists.iter();
    wrong.extend(lists.filter_map(|counts| bounces_high(counts, bearable)));
    wrong.extend(facts.refused.iter().map(senders_refused));
    wrong
}

fn not_ready((part, reason): &(String, String)) -> Condition {
    Condition {
        kind: Kind::NotReady,
        subject: part.clone(),
        list: None,
        severity: Severity::Critical,
        text: format!("The relay is not ready ({part}): {reason}."),
        value: None,
        limit: None,
    }
}

fn very_high_late(VeryHigh { p99, objective }: VeryHigh) -> Option<Condition> {
    (p99 > objective).then(|| Condition {
        kind: Kind::VeryHighLate,
        subject: String::new(),
        list: None,
        severity: Severity::Critical,
        text: format!(
            "Very-high mail of the last five minutes took {} from its acceptance to the next hop (99 of 100 messages); \
             {} is aimed at.",
            seconds(p99),
            seconds(objective)
        ),
        value: Some(p99.as_secs_f64()),
        limit: Some(objective.as_secs_f64()),
    })
}

fn disk_low(disk: Disk, bearable: &Thresholds) -> Option<Condition> {
    let least = bearable.disk_free_octets_min.unwrap_or_else(|| {
        // Room for some hours of mail on a large disk, a tenth of a small one, and always before mail is refused.
        let suits = (2 << 30_u64).min(disk.total_octets / 10);
        suits.max(disk.needed_octets.saturating_mul(2))
    });
    (disk.free_octets < least).then(|| Condition {
        kind: Kind::DiskLow,
        subject: String::new(),
        list: None,
        severity: Severity::Critical,
        text: format!(
            "The disk of the data folder has {} left of {}; below {} no mail is taken.",
            octets(disk.free_octets),
            octets(disk.total_octets),
            octets(disk.needed_octets)
        ),
        value: Some(disk.free_octets as f64),
        limit: Some(least as f64),
    })
}

fn breaker_open(breaker: &OpenBreaker) -> Condition {
    let component = &breaker.component;
    let text = match (breaker.questions.as_slice(), breaker.users) {
        ([], 1) => format!(
            "Component {component} is not asked for one user, for whom it failed again and again."
        ),
        ([], users) => format!(
            "Component {component} is not asked for {users} users, for whom it failed again and again."
        ),
        (questions, _) => format!(
            "Component {component} failed again and again and is not asked ({}): what the operator chose for its failure \
             holds instead.",
            questions.join(", ")
        ),
    };
    Condition {
        kind: Kind::BreakerOpen,
        subject: component.clone(),
        list: None,
        severity: match breaker.questions.is_empty() {
            true => Severity::Warning,
            false => Severity::Critical,
        },
        text,
        value: None,
        limit: None,
    }
}

fn next_hops_down(
    next_hops: &[NextHopFacts],
    bearable: &Thresholds,
    now: Timestamp,
) -> Vec<Condition> {
    let limit = bearable.next_hop_down_after;
    let mut down: Vec<&NextHopFacts> = next_hops
        .iter()
        .filter(|next_hop| now.since(next_hop.since) >= limit && next_hop.attempts > 1)
        .collect();
    // Those that have been down for longest are named, so that an alert keeps its subject.
    down.sort_by_key(|next_hop| (next_hop.since, &next_hop.name));
    let condition = |subject: String, text: String, value: Option<f64>| Condition {
        kind: Kind::NextHopDown,
        subject,
        list: None,
        severity: Severity::Warning,
        text,
        value,
        limit: Some(limit.as_secs_f64()),
    };
    let named = down.iter().take(NEXT_HOPS_NAMED_MAX).map(|next_hop| {
        let text = format!(
            "{} has not been reached since {} ({} attempts); its mail waits. The last answer: {}",
            next_hop.name,
            next_hop.since.to_rfc5322(),
            next_hop.attempts,
            quoted(&next_hop.answer)
        );
        let value = now.since(next_hop.since).as_secs_f64();
        condition(next_hop.name.clone(), text, Some(value))
    });
    let mut conditions: Vec<Condition> = named.collect();
    let more = down.len().saturating_sub(NEXT_HOPS_NAMED_MAX);
    if more > 0 {
        let text = format!("{more} more next hops have not been reached; their mail waits.");
        conditions.push(condition("(others)".to_owned(), text, None));
    }
    conditions
}

fn expiring(certificate: &Certificate, bearable: &Thresholds, now: Timestamp) -> Option<Condition> {
    let left = certificate.not_after.since(now);
    if left >= bearable.certificate_left_min {
        return None;
    }
    let names = match certificate.names.as_slice() {
        [] => "no name".to_owned(),
        [name] => name.clone(),
        [name, others @ ..] => format!("{name} and {} more", others.len()),
    };
    let days = left.as_secs() / DAY.as_secs();
    let is_over = left == Duration::ZERO;
    let text = match (is_over, days) {
        (true, _) => format!("The certificate for {names} has expired: mail clients refuse it."),
        (false, 0) => format!("The certificate for {names} expires within a day."),
        (false, 1) => format!("The certificate for {names} expires tomorrow."),
        (false, days) => format!("The certificate for {names} expires in {days} days."),
    };
    Some(Condition {
        kind: Kind::CertificateExpiring,
        subject: String::new(),
        list: None,
        severity: match days {
            0..=2 => Severity::Critical,
            _ => Severity::Warning,
        },
        text,
        value: Some(days as f64),
        limit: Some((bearable.certificate_left_min.as_secs() / DAY.as_secs()) as f64),
    })
}

fn bounces_high(counts: &ListCounts, bearable: &Thresholds) -> Option<Condition> {
    let ended = counts.sent.saturating_add(counts.bounced);
    let is_judged = ended > 0 && ended >= bearable.bounces_judged_min;
    // Compared as whole numbers: a tenth of a hundred is not more than a tenth.
    let is_over = u128::from(counts.bounced) * 100
        > u128::from(ended) * u128::from(bearable.bounced_percent_max);
    (is_judged && is_over).then(|| {
        let percent = counts.bounced as f64 * 100.0 / ended as f64;
        Condition {
            kind: Kind::BouncesHigh,
            subject: counts.list.clone(),
            list: Some(counts.list.clone()),
            severity: Severity::Warning,
            text: format!(
                "Of the mail of list {} since {}, {percent:.0} % came back: {} of {ended} recipients.",
                counts.list,
                counts.since.to_rfc5322(),
                counts.bounced
            ),
            value: Some(percent),
            limit: Some(bearable.bounced_percent_max as f64),
        }
    })
}

fn senders_refused(refused: &RefusedSenders) -> Condition {
    let (user, sender) = (&refused.user, quoted(&refused.sender));
    let list = &refused.list;
    Condition {
        kind: Kind::SendersRefused,
        subject: list.clone(),
        list: Some(list.clone()),
        severity: Severity::Warning,
        text: match refused.pairs {
            0 | 1 => {
                format!("User {user} of list {list} was refused as {sender} within the last hour.")
            }
            pairs => format!(
                "Users of list {list} were refused as {pairs} senders within the last hour; user {user} as {sender} was \
                 the last."
            ),
        },
        value: Some(refused.pairs as f64),
        limit: None,
    }
}

/// A time in words that fit its size.
fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

fn octets(octets: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    let unit = UNITS.iter().find(|(size, _)| octets >= *size);
    match unit {
        Some((size, name)) => format!("{:.1} {name}", octets as f64 / *size as f64),
        None => format!("{octets} octets"),
    }
}

/// What others wrote, on one line and not too long.
fn quoted(text: &str) -> String {
    let one_line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    one_line.take(QUOTED_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_milliseconds(1_700_000_000_000);

    fn found(facts: &Facts) -> Vec<(Kind, String)> {
        let wrong = judge(facts, &Thresholds::default(), NOW);
        wrong.into_iter().map(|it| (it.kind, it.subject)).collect()
    }

    #[test]
    fn where_all_is_well_nothing_is_wrong() {
        let facts = Facts {
            very_high: Some(VeryHigh {
                p99: Duration::from_secs(1),
                objective: Duration::from_secs(1),
            }),
            disk: Some(Disk {
                free_octets: 2 << 30,
                total_octets: 1 << 40,
                needed_octets: 256 << 20,
            }),
            certificate: Some(Certificate {
                names: vec![],
                not_after: NOW.plus(DAY * 14),
            }),
            next_hops: vec![next_hop("a.example", 299)],
            lists: vec![
                counts("quiet", 0, 49),
                counts("usual", 90, 10),
                counts("none", 0, 0),
            ],
            ..Facts::default()
        };
        assert_eq!(found(&facts), []);
    }

    #[test]
    fn each_kind_is_found_at_its_threshold() {
        let facts = Facts {
            unready: vec![("spool".into(), "no room".into())],
            very_high: Some(VeryHigh {
                p99: Duration::from_millis(1_001),
                objective: Duration::from_secs(1),
            }),
            disk: Some(Disk {
                free_octets: (2 << 30) - 1,
                total_octets: 1 << 40,
                needed_octets: 256 << 20,
            }),
            breakers: vec![OpenBreaker {
                component: "rules".into(),
                questions: vec!["sender"],
                users: 0,
            }],
            next_hops: vec![next_hop("a.example", 300)],
            certificate: Some(Certificate {
                names: vec!["relay.example".into()],
                not_after: NOW.plus(DAY * 14 - Duration::from_secs(1)),
            }),
            lists: vec![counts("shop", 89, 11)],
            refused: vec![RefusedSenders {
                list: "default".into(),
                pairs: 1,
                user: "ann".into(),
                sender: "ceo@a.example".into(),
            }],
        };
        let subjects = ["spool", "", "", "rules", "a.example", "", "shop", "default"];
        let expected = Kind::ALL.into_iter().zip(subjects.map(str::to_owned));
        assert_eq!(found(&facts), expected.collect::<Vec<_>>());
        for condition in judge(&facts, &Thresholds::default(), NOW) {
            assert!(condition.text.ends_with(['.', 'd']), "{}", condition.text);
        }
    }

    #[test]
    fn a_disk_is_judged_by_its_size_unless_the_operator_says_how_much() {
        let low = |free, total, needed, said| {
            let disk = Disk {
                free_octets: free,
                total_octets: total,
                needed_octets: needed,
            };
            let bearable = Thresholds {
                disk_free_octets_min: said,
                ..Thresholds::default()
            };
            disk_low(disk, &bearable).is_some()
        };
        assert!(!low(1_000, 10_000, 100, None) && low(999, 10_000, 100, None));
        assert!(low(1_999, 10_000, 1_000, None), "before mail is refused");
        assert!(!low(999, 10_000, 100, Some(999)) && low(998, 10_000, 100, Some(999)));
    }

    #[test]
    fn of_very_many_next_hops_those_that_are_down_for_longest_are_named() {
        let next_hops = (0..100).map(|n| next_hop(&format!("h{n}.example"), 400 + n));
        let facts = Facts {
            next_hops: next_hops.collect(),
            ..Facts::default()
        };
        let found = found(&facts);
        assert_eq!(found.len(), NEXT_HOPS_NAMED_MAX + 1);
        assert_eq!(found[0].1, "h99.example");
        assert_eq!(found[NEXT_HOPS_NAMED_MAX].1, "(others)");
    }

    #[test]
    fn what_others_wrote_steers_nothing() {
        let hostile = format!("550 \u{1b}[2J\r\n{}", "x".repeat(5_000));
        let facts = Facts {
            next_hops: vec![NextHopFacts {
                answer: hostile,
                ..next_hop("a.example", 600)
            }],
            ..Facts::default()
        };
        let text = &judge(&facts, &Thresholds::default(), NOW)[0].text;
        assert!(!text.contains(char::is_control) && text.len() < 500);
    }

    #[test]
    fn a_certificate_that_is_over_says_so() {
        let text = |left: Duration, gone: Duration| {
            let certificate = Certificate {
                names: vec!["a.example".into(), "b.example".into()],
                not_after: NOW.plus(left).minus(gone),
            };
            expiring(&certificate, &Thresholds::default(), NOW).map(|found| found.text)
        };
        let (none, day) = (Duration::ZERO, DAY);
        for (left, gone, says) in [
            (day * 3, none, "a.example and 1 more expires in 3 days"),
            (day, none, "expires tomorrow"),
            (Duration::from_secs(5), none, "expires within a day"),
            (none, day, "has expired"),
        ] {
            let text = text(left, gone).unwrap_or_default();
            assert!(text.contains(says), "{text}");
        }
    }

    fn next_hop(name: &str, seconds: u64) -> NextHopFacts {
        NextHopFacts {
            name: name.to_owned(),
            since: NOW.minus(Duration::from_secs(seconds)),
            attempts: 3,
            answer: "connection refused".to_owned(),
        }
    }

    fn counts(list: &str, sent: u64, bounced: u64) -> ListCounts {
        ListCounts {
            list: list.to_owned(),
            since: NOW,
            sent,
            bounced,
        }
    }
}
