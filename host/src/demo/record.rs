//! What the next hop saw: its record, put in order by recipient.
//!
//! Every letter has a recipient of its own, and a transaction is one letter to one recipient.

use std::collections::HashMap;

use crate::sink::{Digests, Event, Recorded};

/// The record so far, for each letter in the order of the plan.
#[derive(Debug)]
pub(super) struct Record {
    recipients: HashMap<String, usize>,
    letters: Vec<Vec<Transaction>>,
    /// Where the connections that are open stand.
    connections: HashMap<u64, Standing>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    /// When MAIL came.
    mail_us: u64,
    /// The letter, and which of its transactions it is.
    current: Option<(usize, usize)>,
}

/// One try to hand a letter over. Times are microseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Transaction {
    pub connection: u64,
    pub mail_us: u64,
    /// When each piece of content came, and its octets.
    pub chunks: Vec<(u64, u64)>,
    /// Octets of them all.
    pub octets: u64,
    pub end: Option<End>,
}

/// The content was complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub unix_us: u64,
    pub digests: Digests,
    pub is_accepted: bool,
}

impl Record {
    /// Nothing has come yet of what these are to get.
    pub(super) fn new<'a>(recipients: impl Iterator<Item = &'a str>) -> Self {
        let recipients: HashMap<String, usize> = recipients
            .enumerate()
            .map(|(index, recipient)| (recipient.to_owned(), index))
            .collect();
        Self {
            letters: vec![Vec::new(); recipients.len()],
            recipients,
            connections: HashMap::new(),
        }
    }

    /// The next entry.
    pub(super) fn take(&mut self, recorded: Recorded) {
        let Recorded {
            unix_us,
            connection,
            event,
        } = recorded;
        match event {
            Event::Connect { .. } => {}
            Event::Disconnect => drop(self.connections.remove(&connection)),
            Event::Command { verb: "mail", .. } => {
                let standing = Standing {
                    mail_us: unix_us,
                    current: None,
                };
                self.connections.insert(connection, standing);
            }
            Event::Command { address, .. } => {
                if let Some(letter) = self.recipients.get(&address) {
                    let standing = self.connections.entry(connection).or_default();
                    let transactions = &mut self.letters[*letter];
                    standing.current = Some((*letter, transactions.len()));
                    transactions.push(Transaction {
                        connection,
                        mail_us: standing.mail_us,
                        chunks: Vec::new(),
                        octets: 0,
                        end: None,
                    });
                }
            }
            Event::Begin { .. } => {}
            Event::Chunk { octets, .. } => {
                if let Some(transaction) = self.current(connection) {
                    let octets = octets as u64;
                    transaction.octets += octets;
                    transaction.chunks.push((unix_us, octets));
                }
            }
            Event::End {
                digests,
                is_accepted,
                ..
            } => {
                if let Some(transaction) = self.current(connection) {
                    transaction.end = Some(End {
                        unix_us,
                        digests,
                        is_accepted,
                    });
                }
            }
            // It stays without an end.
            Event::Broken { .. } => {}
        }
    }

    fn current(&mut self, connection: u64) -> Option<&mut Transaction> {
        let (letter, number) = self.connections.get(&connection)?.current?;
        self.letters.get_mut(letter)?.get_mut(number)
    }

    /// The transactions of a letter, in their order.
    pub(super) fn of(&self, letter: usize) -> &[Transaction] {
        &self.letters[letter]
    }

    /// All transactions.
    pub(super) fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        self.letters.iter().flatten()
    }

    /// Whether every letter has been accepted.
    pub(super) fn is_complete(&self) -> bool {
        let mut letters = self.letters.iter();
        letters.all(|transactions| transactions.iter().any(Transaction::is_accepted))
    }
}

impl Transaction {
    /// Whether it was handed over.
    pub(super) fn is_accepted(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.is_accepted)
    }

    /// Octets that came since then.
    pub(super) fn octets_since(&self, unix_us: u64) -> u64 {
        let recent = self.chunks.iter().rev();
        recent
            .take_while(|(at, _)| *at >= unix_us)
            .map(|(_, octets)| octets)
            .sum()
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Says what happened to a record as a next hop would.
    pub(in crate::demo) struct Hop {
        pub record: Record,
        next_connection: u64,
    }

    impl Hop {
        pub(in crate::demo) fn new(recipients: &[&str]) -> Self {
            Self {
                record: Record::new(recipients.iter().copied()),
                next_connection: 1,
            }
        }

        pub(in crate::demo) fn tell(&mut self, unix_us: u64, connection: u64, event: Event) {
            self.record.take(Recorded {
                unix_us,
                connection,
                event,
            });
        }

        /// A transaction begins on a connection of its own.
        pub(in crate::demo) fn begin(&mut self, unix_us: u64, recipient: &str) -> u64 {
            let connection = self.next_connection;
            self.next_connection += 1;
            let client = "127.0.0.1:9".parse().unwrap();
            self.tell(unix_us, connection, Event::Connect { client });
            for (verb, address) in [("mail", "newsletter@shop.example"), ("rcpt", recipient)] {
                let event = Event::Command {
                    verb,
                    address: address.to_owned(),
                    code: Some(250),
                };
                self.tell(unix_us, connection, event);
            }
            self.tell(unix_us, connection, Event::Begin { message: 1 });
            connection
        }

        pub(in crate::demo) fn chunk(&mut self, unix_us: u64, connection: u64, octets: usize) {
            let event = Event::Chunk {
                message: 1,
                octets,
                offset: 0,
            };
            self.tell(unix_us, connection, event);
        }

        pub(in crate::demo) fn end(&mut self, unix_us: u64, connection: u64, body: &str) {
            let digests = Digests {
                octets: 0,
                content: String::new(),
                body: body.to_owned(),
            };
            let event = Event::End {
                message: 1,
                digests,
                is_accepted: true,
            };
            self.tell(unix_us, connection, event);
        }
    }

    #[test]
    fn chunks_belong_to_the_recipient_of_the_transaction_on_their_connection() {
        let mut hop = Hop::new(&["a@x.example", "b@x.example"]);
        let first = hop.begin(10, "a@x.example");
        let second = hop.begin(11, "b@x.example");
        hop.chunk(20, first, 100);
        hop.chunk(21, second, 7);
        hop.chunk(22, first, 50);
        hop.end(30, first, "d");
        assert!(!hop.record.is_complete());
        let [one] = hop.record.of(0) else { panic!() };
        assert_eq!((one.connection, one.mail_us, one.octets), (first, 10, 150));
        assert_eq!(one.chunks, [(20, 100), (22, 50)]);
        assert_eq!(one.octets_since(21), 50);
        hop.end(31, second, "d");
        assert!(hop.record.is_complete());
    }

    #[test]
    fn a_transaction_that_breaks_off_is_counted_and_is_no_end() {
        let mut hop = Hop::new(&["a@x.example"]);
        let first = hop.begin(10, "a@x.example");
        hop.chunk(11, first, 100);
        hop.tell(
            12,
            first,
            Event::Broken {
                message: 1,
                octets: 100,
            },
        );
        hop.tell(12, first, Event::Disconnect);
        // Nothing is known of such a connection any more.
        hop.chunk(13, first, 100);
        assert!(!hop.record.is_complete());
        let second = hop.begin(20, "a@x.example");
        hop.chunk(21, second, 100);
        hop.end(22, second, "d");
        assert!(hop.record.is_complete());
        assert_eq!(hop.record.of(0).len(), 2);
        assert_eq!(hop.record.of(0)[0].octets, 100);
    }

    #[test]
    fn mail_of_others_is_left_out() {
        let mut hop = Hop::new(&["a@x.example"]);
        let other = hop.begin(10, "c@x.example");
        hop.chunk(11, other, 100);
        hop.end(12, other, "d");
        assert!(hop.record.of(0).is_empty());
    }
}
