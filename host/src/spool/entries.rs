//! The row changes of one commit, as the journal keeps them.
//!
//! Changes of rows and not of messages: doing them again comes to the same however often, and needs
//! no rule of the ledger's.

use super::sheet::TABLES;

/// Changes of rows in the order in which they were made, behind room for the head of a frame.
#[derive(Debug, Default)]
pub(super) struct Entries {
    octets: Vec<u8>,
    head_octets: usize,
}

/// A change of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// Which of [`TABLES`].
    pub(super) table: usize,
    pub(super) key: &'a [u8],
    /// What stands there now; none when the row was removed.
    pub(super) row: Option<&'a [u8]>,
}

/// Memory kept for the next commit; a large one gives the rest back.
const KEPT_OCTETS_MAX: usize = 1 << 20;

impl Entries {
    /// Forgets what was kept, and leaves room for a head.
    pub(super) fn begin(&mut self, head_octets: usize) {
        self.octets.clear();
        self.octets.shrink_to(KEPT_OCTETS_MAX);
        self.octets.resize(head_octets, 0);
        self.head_octets = head_octets;
    }

    pub(super) fn push(&mut self, entry: Entry<'_>) {
        let kind = u8::try_from(entry.table).expect("there are three tables") << 1
            | u8::from(entry.row.is_some());
        self.octets.push(kind);
        self.push_octets(entry.key);
        if let Some(row) = entry.row {
            self.push_octets(row);
        }
    }

    fn push_octets(&mut self, octets: &[u8]) {
        let length = u32::try_from(octets.len()).expect("a row fits in memory many times");
        self.octets.extend_from_slice(&length.to_le_bytes());
        self.octets.extend_from_slice(octets);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.octets.len() <= self.head_octets
    }

    /// The head's room and the entries.
    pub(super) fn octets_mut(&mut self) -> &mut Vec<u8> {
        &mut self.octets
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.octets
    }
}

/// The entries in `octets`; none in place of one that is not whole, which is the last then.
pub(super) fn read(mut octets: &[u8]) -> impl Iterator<Item = Option<Entry<'_>>> {
    std::iter::from_fn(move || {
        if octets.is_empty() {
            return None;
        }
        let entry = read_one(&mut octets);
        if entry.is_none() {
            octets = &[];
        }
        Some(entry)
    })
}

fn read_one<'a>(octets: &mut &'a [u8]) -> Option<Entry<'a>> {
    let (kind, rest) = octets.split_first()?;
    *octets = rest;
    let table = usize::from(kind >> 1);
    let key = read_octets(octets)?;
    let row = match kind & 1 {
        0 => None,
        _ => Some(read_octets(octets)?),
    };
    (table < TABLES.len()).then_some(Entry { table, key, row })
}

fn read_octets<'a>(octets: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = octets.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (found, rest) = rest.split_at_checked(length)?;
    *octets = rest;
    Some(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ENTRIES: [Entry<'static>; 3] = [
        Entry {
            table: 0,
            key: b"key",
            row: Some(b"row"),
        },
        Entry {
            table: 2,
            key: b"",
            row: Some(b""),
        },
        Entry {
            table: 1,
            key: b"key",
            row: None,
        },
    ];

    fn written() -> Vec<u8> {
        let mut entries = Entries::default();
        entries.begin(7);
        assert!(entries.is_empty());
        for entry in ENTRIES {
            entries.push(entry);
        }
        assert!(!entries.is_empty());
        entries.octets()[7..].to_vec()
    }

    #[test]
    fn what_was_pushed_is_read() {
        let octets = written();
        let found: Option<Vec<Entry<'_>>> = read(&octets).collect();
        assert_eq!(found.unwrap(), ENTRIES);
    }

    #[test]
    fn entries_that_are_cut_short_are_told() {
        let octets = written();
        let whole = [0, 15, 24, octets.len()];
        for cut in 0..octets.len() {
            let found: Option<Vec<Entry<'_>>> = read(&octets[..cut]).collect();
            assert_eq!(found.is_some(), whole.contains(&cut), "cut at {cut}");
        }
    }

    #[test]
    fn a_table_that_is_not_there_is_told() {
        assert_eq!(read(&[9 << 1, 0, 0, 0, 0]).collect::<Vec<_>>(), [None]);
    }
}
