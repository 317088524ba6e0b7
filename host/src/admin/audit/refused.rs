//! What was refused, counted: wrong logins, and what a caller may not do.
//!
//! The first ones are written at once; what comes again, and what comes from ever more places, is counted and written
//! once an hour. So whoever guesses cannot push what others did out of the audit log. The counts of an hour are in
//! memory: a restart loses them, and the lines of the log have each.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::directory::Entry;
use crate::message::Timestamp;

/// How long refusals are counted together.
const COUNTED_FOR: Duration = Duration::from_secs(3_600);

/// How many are told apart in that time. With their counts that is nine entries an hour, 86,400 in the time for which
/// entries are kept: fewer than there may be.
const APART_MAX: usize = 4;

/// Counts one kind of refusals.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<Hour>);

#[derive(Debug, Default)]
struct Hour {
    began: Timestamp,
    apart: Vec<Counted>,
    others: Option<Entry>,
}

#[derive(Debug)]
struct Counted {
    /// As it was last.
    entry: Entry,
    /// How often after what is written.
    more: u32,
}

impl Refused {
    /// Counts a refusal; what is to be written now.
    pub(super) fn count(&self, entry: Entry) -> Vec<Entry> {
        let mut hour = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = hour.end(entry.at);
        if let Some(known) = hour
            .apart
            .iter_mut()
            .find(|known| is_same(&known.entry, &entry))
        {
            known.more = known.more.saturating_add(1);
            known.entry.at = entry.at;
        } else if hour.apart.len() < APART_MAX {
            due.push(entry.clone());
            hour.apart.push(Counted { entry, more: 0 });
        } else {
            let others = hour.others.get_or_insert_with(|| Entry {
                status: entry.status,
                times: 0,
                ..Entry::new(entry.action, entry.at)
            });
            others.at = entry.at;
            others.times = others.times.saturating_add(1);
        }
        due
    }

    /// What was counted in an hour that is over.
    pub(super) fn due(&self, now: Timestamp) -> Vec<Entry> {
        let mut hour = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hour.end(now)
    }
}

impl Hour {
    /// Begins the next one where it is over, or where the clock was set back.
    fn end(&mut self, now: Timestamp) -> Vec<Entry> {
        if now >= self.began && now < self.began.plus(COUNTED_FOR) {
            return Vec::new();
        }
        let ended = std::mem::replace(
            self,
            Hour {
                began: now,
                ..Hour::default()
            },
        );
        let apart = ended.apart.into_iter().filter(|counted| counted.more > 0);
        let apart = apart.map(|counted| Entry {
            times: counted.more,
            ..counted.entry
        });
        apart.chain(ended.others).collect()
    }
}

/// Whether two are counted together. Of IPv6 a /64 is one place: whoever has one has all of it.
fn is_same(one: &Entry, other: &Entry) -> bool {
    one.action == other.action
        && one.by == other.by
        && one.about == other.about
        && one.client.map(place) == other.client.map(place)
}

fn place(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => {
            let mut octets = address.octets();
            octets[8..].fill(0);
            octets.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u64) -> Timestamp {
        Timestamp::from_unix_milliseconds(1_700_000_000_000 + minute * 60_000)
    }

    fn from(client: &str, minute: u64) -> Entry {
        Entry {
            client: client.parse().ok(),
            ..Entry::new("login-failed", at(minute))
        }
    }

    fn told(entries: Vec<Entry>) -> Vec<(Option<String>, u32)> {
        let told = |entry: Entry| (entry.client.map(|client| client.to_string()), entry.times);
        entries.into_iter().map(told).collect()
    }

    #[test]
    fn the_first_is_told_at_once_and_the_rest_when_the_hour_is_over() {
        let refused = Refused::default();
        let client = |text: &str| Some(text.to_owned());
        assert_eq!(
            told(refused.count(from("192.0.2.1", 0))),
            [(client("192.0.2.1"), 1)]
        );
        for minute in 1..=50 {
            assert_eq!(told(refused.count(from("192.0.2.1", minute))), []);
        }
        assert_eq!(
            told(refused.count(from("192.0.2.2", 51))),
            [(client("192.0.2.2"), 1)]
        );
        assert_eq!(told(refused.due(at(59))), []);
        assert_eq!(told(refused.due(at(60))), [(client("192.0.2.1"), 50)]);
        assert_eq!(told(refused.due(at(120))), []);
    }

    #[test]
    fn whoever_comes_from_everywhere_is_counted_as_one() {
        let refused = Refused::default();
        let mut written = 0;
        for number in 0..1_000 {
            let client = format!("2001:db8:{number:x}::1");
            written += refused.count(from(&client, 0)).len();
            // The same place, whatever the address in it.
            let client = format!("2001:db8:{number:x}::2");
            written += refused.count(from(&client, 0)).len();
        }
        assert_eq!(written, APART_MAX);
        let due = told(refused.due(at(60)));
        assert_eq!(due.len(), APART_MAX + 1);
        assert_eq!(due.last(), Some(&(None, 2 * (1_000 - 4))));
    }

    #[test]
    fn a_clock_that_is_set_back_ends_the_hour() {
        let refused = Refused::default();
        refused.count(from("192.0.2.1", 500));
        refused.count(from("192.0.2.1", 501));
        assert_eq!(refused.due(at(499)).len(), 1);
    }
}
