//! Mail exchanges: which of the MX records count, and in which order they are tried.
//!
//! Pure: the records and a seed come in. Finding addresses is the resolver's; noticing that one of
//! the hosts is this relay needs its names and is done with [`Exchange::before`].

use super::{MxRecord, Problem};

/// A host that takes the mail of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Smaller is tried earlier.
    pub preference: u16,
    /// Its name: lower case, without a final dot.
    pub host: String,
}

impl Exchange {
    /// Hosts kept of one domain. Large providers name five; the time of an attempt ends long
    /// before more than these have been tried.
    pub const COUNT_MAX: usize = 16;

    /// The host of a domain without MX records: itself (RFC 5321 §5.1).
    pub(super) fn implicit(domain: &str) -> Self {
        Self {
            preference: 0,
            host: domain.to_owned(),
        }
    }

    /// The exchanges that are strictly better than the best of those that `is_ours` points out; all
    /// when it points out none. RFC 5321 §5.1: mail that came to a host goes on only to hosts that
    /// are preferred over it, or it would go in circles.
    pub fn before(exchanges: Vec<Exchange>, is_ours: impl Fn(&Exchange) -> bool) -> Vec<Exchange> {
        let ours = exchanges.iter().filter(|exchange| is_ours(exchange));
        match ours.map(|exchange| exchange.preference).min() {
            Some(limit) => exchanges
                .into_iter()
                .filter(|exchange| exchange.preference < limit)
                .collect(),
            None => exchanges,
        }
    }
}

/// The exchanges that MX records name, the preferred first and equal ones shuffled.
pub(super) fn in_order(records: Vec<MxRecord>, seed: u64) -> Result<Vec<Exchange>, Problem> {
    // RFC 7505 §3: a single record that names the root. Among others, such a record is a mistake.
    if let [only] = records.as_slice()
        && only.host.is_empty()
    {
        return Err(Problem::NullMx);
    }
    let mut exchanges: Vec<Exchange> = records
        .into_iter()
        .filter(|record| is_host_name(&record.host))
        .map(|record| Exchange {
            preference: record.preference,
            host: record.host.to_ascii_lowercase(),
        })
        .collect();
    if exchanges.is_empty() {
        return Err(Problem::NoRecord);
    }
    // Shuffling before a stable sort shuffles each group of equals and nothing else.
    shuffle(&mut exchanges, seed);
    exchanges.sort_by_key(|exchange| exchange.preference);
    exchanges.truncate(Exchange::COUNT_MAX);
    Ok(exchanges)
}

/// Names that can stand in a log line, a report and a handshake. Underscores are no host names by
/// RFC 952, and are in use all the same.
fn is_host_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet))
}

/// Fisher and Yates. The bias of the remainder is of no matter among sixteen hosts.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for end in (1..items.len()).rev() {
        let bound = u64::try_from(end + 1).expect("a slice is not that long");
        let position = usize::try_from(next_random(&mut state) % bound).expect("below the bound");
        items.swap(end, position);
    }
}

/// SplitMix64: one seed, many numbers. Not for secrets.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use super::*;

    fn record(preference: u16, host: &str) -> MxRecord {
        MxRecord {
            preference,
            host: host.to_owned(),
        }
    }

    fn order(records: &[(u16, &str)], seed: u64) -> Vec<String> {
        let records = records
            .iter()
            .map(|(preference, host)| record(*preference, host))
            .collect();
        in_order(records, seed)
            .unwrap()
            .into_iter()
            .map(|exchange| exchange.host)
            .collect()
    }

    #[test]
    fn equal_preferences_are_shuffled_and_groups_keep_their_order() {
        let records = [(10, "b"), (20, "d"), (10, "a"), (10, "c"), (20, "e")];
        let mut first = BTreeSet::new();
        for seed in 0..100 {
            let order = order(&records, seed);
            let group: BTreeSet<&str> = order[..3].iter().map(String::as_str).collect();
            assert_eq!(group, BTreeSet::from(["a", "b", "c"]), "seed {seed}");
            first.insert(order[0].clone());
        }
        assert_eq!(first.len(), 3, "each of the equals is first for some seed");
        assert_eq!(
            order(&records, 7),
            order(&records, 7),
            "one seed, one order"
        );
    }

    #[test]
    fn hosts_that_are_no_names_are_left_out() {
        assert_eq!(
            order(
                &[(1, "a b"), (2, "a\\010b"), (3, "good_1.example"), (4, "")],
                1
            ),
            ["good_1.example"]
        );
    }

    #[test]
    fn too_many_hosts_are_cut_behind_the_preferred() {
        let records: Vec<(u16, String)> = (0..200)
            .rev()
            .map(|number| (number, format!("mx{number}")))
            .collect();
        let records: Vec<(u16, &str)> = records
            .iter()
            .map(|(preference, host)| (*preference, host.as_str()))
            .collect();
        let order = order(&records, 3);
        assert_eq!(order.len(), Exchange::COUNT_MAX);
        assert_eq!(order[0], "mx0");
    }

    #[test]
    fn only_hosts_preferred_over_ourselves_stay() {
        let exchanges = || {
            in_order(
                vec![
                    record(10, "better"),
                    record(20, "ours"),
                    record(20, "equal"),
                    record(30, "worse"),
                ],
                1,
            )
            .unwrap()
        };
        let before = Exchange::before(exchanges(), |exchange| exchange.host == "ours");
        assert_eq!(
            before,
            [Exchange {
                preference: 10,
                host: "better".to_owned()
            }]
        );
        assert_eq!(Exchange::before(exchanges(), |_| false).len(), 4);
        assert!(Exchange::before(exchanges(), |_| true).is_empty());
    }
}
