//! Refused messages on their way to the spool: put together by user and sender until they are noted.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Key, NamedIn, REFUSALS_OF_USER_MAX, Refusal};
use crate::message::{Address, Timestamp};

/// Rows of a batch, each of a kibibyte at most: noting them is one transaction, which mail may wait for.
const ROWS_MAX: usize = 1_000;

/// Senders of one message that have a row: a header can name thousands.
const SENDERS_MAX: usize = 20;

/// A message that was refused for its senders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedMessage {
    /// The list of the user.
    pub list: String,
    /// The user.
    pub user: String,
    /// From where it came.
    pub client: IpAddr,
    /// When.
    pub at: Timestamp,
    /// As whom it was sent; nobody for the null reverse-path.
    pub senders: Vec<Address>,
    /// Where they were named.
    pub named_in: NamedIn,
    /// Why it was refused, in the components' words.
    pub reasons: Vec<String>,
}

/// What was refused since the last time: rows by user and sender, and how many messages there were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRefusals {
    rows: BTreeMap<Key, Refusal>,
    /// By list and user. As many as there are users that send.
    messages: BTreeMap<(String, String), u64>,
}

impl NewRefusals {
    /// Adds a message. Where there would be too many rows it is counted and has none.
    pub fn add(&mut self, refused: RefusedMessage) {
        self.count(&refused.list, &refused.user, 1);
        let row = |sender| Refusal {
            list: refused.list.clone(),
            user: refused.user.clone(),
            sender,
            named_in: refused.named_in,
            count: 1,
            first: refused.at,
            last: refused.at,
            clients: vec![refused.client],
            reasons: refused.reasons.clone(),
        };
        if refused.senders.is_empty() {
            self.put(row(None));
        }
        for sender in refused.senders.iter().take(SENDERS_MAX) {
            self.put(row(Some(sender.clone())));
        }
    }

    /// Puts these before what has come since: they could not be noted.
    pub fn put_back(&mut self, earlier: NewRefusals) {
        let since = std::mem::replace(self, earlier);
        for ((list, user), count) in since.messages {
            self.count(&list, &user, count);
        }
        for row in since.rows.into_values() {
            self.put(row);
        }
    }

    /// Whether nothing was refused.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The rows.
    pub fn rows(&self) -> impl Iterator<Item = &Refusal> {
        self.rows.values()
    }

    /// How many messages of each user were refused, with the list of the user. A message with several senders is one, and one
    /// whose sender has no row is one too.
    pub fn messages(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        let messages = self.messages.iter();
        messages.map(|((list, user), count)| (list.as_str(), user.as_str(), *count))
    }

    fn count(&mut self, list: &str, user: &str, more: u64) {
        let key = (list.to_owned(), user.to_owned());
        let count = self.messages.entry(key).or_default();
        *count = count.saturating_add(more);
    }

    fn put(&mut self, mut row: Refusal) {
        if !row.fits() {
            return;
        }
        row.bound();
        let key = row.key();
        if let Some(known) = self.rows.get_mut(&key) {
            known.add(row);
        } else if self.rows.len() < ROWS_MAX && self.rows_of(&key.user) < REFUSALS_OF_USER_MAX {
            self.rows.insert(key, row);
        }
    }

    fn rows_of(&self, user: &str) -> usize {
        let from = Key {
            user: user.to_owned(),
            sender: String::new(),
        };
        let rows = self.rows.range(from..);
        rows.take_while(|(key, _)| key.user == user).count()
    }
}

#[cfg(test)]
impl NewRefusals {
    /// Just these rows.
    pub(in crate::spool) fn of(rows: &[Refusal]) -> Self {
        let mut new = Self::default();
        for row in rows {
            new.count(&row.list, &row.user, row.count);
            new.put(row.clone());
        }
        new
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::spool::sample::at;

    fn refused(user: &str, senders: &[&str], milliseconds: u64) -> RefusedMessage {
        let address = |text: &&str| {
            let (local, domain) = text.rsplit_once('@').unwrap();
            Address::new(local, domain).unwrap()
        };
        RefusedMessage {
            list: "default".to_owned(),
            user: user.to_owned(),
            client: [192, 0, 2, 1].into(),
            at: at(milliseconds),
            senders: senders.iter().map(address).collect(),
            named_in: NamedIn::Header,
            reasons: vec!["r".repeat(1_000)],
        }
    }

    /// Sender and count.
    fn rows(new: &NewRefusals) -> Vec<(String, u64)> {
        let sender = |row: &Refusal| row.sender.as_ref().map(Address::to_string);
        new.rows()
            .map(|row| (sender(row).unwrap_or_default(), row.count))
            .collect()
    }

    #[test]
    fn a_message_with_two_senders_is_one_message_and_two_rows() {
        let mut new = NewRefusals::default();
        assert!(new.is_empty());
        new.add(refused("ann", &["x@a.example", "y@a.example"], 1));
        new.add(refused("ann", &["Y@a.example"], 2));
        new.add(refused("ann", &[], 3));
        let expected = [("", 1), ("x@a.example", 1), ("Y@a.example", 2)];
        let expected = expected.map(|(sender, count)| (sender.to_owned(), count));
        assert_eq!(rows(&new), expected);
        assert_eq!(new.messages().collect::<Vec<_>>(), [("default", "ann", 3)]);
        assert!(new.rows().all(|row| row.reasons[0].len() < 400));
        let too_long = format!("{}@a.example", "x".repeat(400));
        new.add(refused("ann", &[&too_long], 4));
        assert_eq!(new.rows().count(), 3, "what no rule can hold has no row");
    }

    #[test]
    fn what_could_not_be_noted_counts_with_what_came_since() {
        let mut earlier = NewRefusals::default();
        earlier.add(refused("ann", &["x@a.example"], 1));
        let mut new = NewRefusals::default();
        new.add(refused("ann", &["x@a.example"], 9));
        new.add(refused("bob", &["x@a.example"], 9));
        new.put_back(earlier);
        let row = new.rows().next().unwrap();
        assert_eq!((row.first, row.last, row.count), (at(1), at(9), 2));
        let messages: Vec<_> = new.messages().collect();
        assert_eq!(messages, [("default", "ann", 2), ("default", "bob", 1)]);
    }

    #[test]
    fn a_batch_has_an_end_and_counts_what_is_beyond_it() {
        let mut new = NewRefusals::default();
        for user in 0..10 {
            for number in 0..300 {
                let sender = format!("s{number}@a.example");
                new.add(refused(&format!("u{user}"), &[&sender], 1));
            }
        }
        assert_eq!(new.rows().count(), ROWS_MAX);
        let of_user = new.rows().filter(|row| row.user == "u0").count();
        assert_eq!(of_user, REFUSALS_OF_USER_MAX);
        assert!(new.messages().all(|(.., count)| count == 300));
        let many: Vec<String> = (0..100)
            .map(|number| format!("s{number}@a.example"))
            .collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let mut new = NewRefusals::default();
        new.add(refused("ann", &many, 1));
        assert_eq!(new.rows().count(), SENDERS_MAX);
        assert_eq!(new.messages().next(), Some(("default", "ann", 1)));
    }
}
