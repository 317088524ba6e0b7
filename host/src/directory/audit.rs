//! The audit log: who changed what and when, kept beside what was changed.
//!
//! An entry of a change to the directory is written in the transaction of that change: there is neither without the
//! other. The entries stand in a table of their own and never in memory; a reader looks at them as they were at one
//! moment, apart from the writer. Their number and age are bounded. What an entry says is the business of whoever
//! makes it, and so is it that there is no secret in it.

pub(super) mod stored;

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::time::Duration;

use super::{BoxError, Directory, DirectoryError, OpenError};
use crate::account::same_name;
use crate::message::Timestamp;

/// Most entries; beyond it the oldest go. At some 400 octets each they take 40 MB, and a relay at which twenty admins
/// change ten things a day has them for a year.
pub const ENTRIES_MAX: u64 = 100_000;

/// Oldest entry: a year, and time to look at it once it is over.
pub const KEPT_FOR: Duration = Duration::from_secs(400 * 86_400);

/// How many old entries an added one pushes out at most. One is enough where the number is at its bound; a clock that
/// jumps ahead is to cost few.
const PUSHED_OUT_BY_ONE_MAX: usize = 2;

/// Entries that are looked at for a page: a filter that few pass is not to keep a page waiting for all.
const LOOKED_AT_MAX: usize = 20_000;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// The name of the token or the admin; none where the relay did it, or nobody that is known.
    pub by: Option<String>,
    /// How they had logged in.
    pub login: Option<Login>,
    /// From where.
    pub client: Option<IpAddr>,
    /// What was done.
    pub action: String,
    /// What it was about: kinds of things and names of them.
    pub about: Vec<(String, String)>,
    /// What was, as a JSON object of what is another now.
    pub before: Option<String>,
    /// What is.
    pub after: Option<String>,
    /// The HTTP status of the answer; none where there was none.
    pub status: Option<u16>,
    /// How many deliveries it concerned.
    pub deliveries: Option<u64>,
    /// How often: attempts that were refused are counted together.
    pub times: u32,
}

/// How somebody has logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// With a token.
    Token,
    /// With name and password, in the console.
    Console,
}

impl Entry {
    /// That this happened, and nothing else.
    pub fn new(action: impl Into<String>, at: Timestamp) -> Self {
        Self {
            at,
            by: None,
            login: None,
            client: None,
            action: action.into(),
            about: Vec::new(),
            before: None,
            after: None,
            status: None,
            deliveries: None,
            times: 1,
        }
    }
}

/// Which entries. The default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Not before this.
    pub since: Option<Timestamp>,
    /// Before this.
    pub until: Option<Timestamp>,
    /// By who has this name.
    pub by: Option<String>,
    /// Of this action.
    pub action: Option<String>,
    /// About each of these: a kind and a name, without regard to case.
    pub about: Vec<(&'static str, String)>,
}

/// A page of entries, the newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditPage {
    /// The entries with their numbers, which are given out in order and never twice.
    pub entries: Vec<(u64, Entry)>,
    /// Where the next page starts: pass it as `before`. None at the end. There may be fewer entries than asked for before.
    pub next: Option<u64>,
}

impl AuditFilter {
    fn passes(&self, entry: &Entry) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted
                .as_ref()
                .is_none_or(|wanted| found.is_some_and(|found| same_name(wanted, found)))
        };
        is(&self.by, entry.by.as_deref())
            && is(&self.action, Some(&entry.action))
            && self.about.iter().all(|(kind, name)| {
                let mut about = entry.about.iter();
                about.any(|(of, named)| of == kind && same_name(name, named))
            })
    }

    fn covers(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at < until)
    }
}

/// The entries of one moment, whatever is written meanwhile.
pub(super) trait Entries: Send {
    /// Shows those before that number, the newest first, for as long as they are wanted.
    fn visit(&self, before: u64, see: &mut Visitor<'_>) -> Result<(), BoxError>;
}

/// A log without entries.
pub(super) struct NoEntries;

impl Entries for NoEntries {
    fn visit(&self, _before: u64, _see: &mut Visitor<'_>) -> Result<(), BoxError> {
        Ok(())
    }
}

/// Sees an entry: its number and its row.
pub(super) type Visitor<'a> = dyn FnMut(u64, &[u8]) -> Result<ControlFlow<()>, BoxError> + 'a;

/// Entries to be added, and which old ones go for that.
#[derive(Default)]
pub(super) struct Added {
    pub(super) rows: Vec<Vec<u8>>,
    /// Those of before may go.
    kept_since: Timestamp,
}

impl Added {
    pub(super) fn of(entries: &[Entry]) -> Self {
        let latest = entries.iter().map(|entry| entry.at).max();
        Self {
            rows: entries.iter().map(stored::encode).collect(),
            kept_since: latest.map_or(Timestamp::EPOCH, |at| at.minus(KEPT_FOR)),
        }
    }

    /// How many go at most.
    pub(super) fn pushed_out_max(&self) -> usize {
        self.rows.len() * PUSHED_OUT_BY_ONE_MAX
    }

    /// Whether the oldest goes, where there are `count`.
    pub(super) fn pushes_out(&self, oldest: &[u8], count: u64) -> bool {
        // What cannot be read has no age; it goes in its turn.
        count > ENTRIES_MAX || stored::written_at(oldest).is_ok_and(|at| at < self.kept_since)
    }
}

impl Directory {
    /// Adds entries for what changed nothing of the directory; they are on stable storage when this returns.
    ///
    /// # Errors
    /// [`DirectoryError::NoRoom`], [`DirectoryError::Unavailable`].
    pub async fn record(&self, entries: Vec<Entry>) -> Result<(), DirectoryError> {
        self.writer
            .write(move |edit| {
                edit.entries.extend(entries);
                Ok(())
            })
            .await
    }

    /// At most `rows_max` entries that pass the filter, the newest first, those before the number `before`; none that is
    /// older at `now` than entries are kept. Blocks.
    ///
    /// # Errors
    /// [`DirectoryError::Unavailable`].
    pub fn audit(
        &self,
        filter: &AuditFilter,
        before: Option<u64>,
        rows_max: usize,
        now: Timestamp,
    ) -> Result<AuditPage, DirectoryError> {
        let (_, entries) = self.writer.moment()?;
        let oldest = now.minus(KEPT_FOR);
        let mut page = AuditPage::default();
        let mut looked_at = 0;
        let mut last = None;
        entries
            .visit(before.unwrap_or(u64::MAX), &mut |number, row| {
                if page.entries.len() == rows_max || looked_at == LOOKED_AT_MAX {
                    page.next = last;
                    return Ok(ControlFlow::Break(()));
                }
                looked_at += 1;
                last = Some(number);
                let at = stored::written_at(row).map_err(|problem| damaged(number, problem))?;
                if at < oldest || !filter.covers(at) {
                    return Ok(ControlFlow::Continue(()));
                }
                let entry = stored::decode(row).map_err(|problem| damaged(number, problem))?;
                if filter.passes(&entry) {
                    page.entries.push((number, entry));
                }
                Ok(ControlFlow::Continue(()))
            })
            .map_err(DirectoryError::Unavailable)?;
        Ok(page)
    }
}

fn damaged(number: u64, problem: String) -> BoxError {
    let row = format!("entry {number} of the audit log");
    OpenError::Damaged { row, problem }.into()
}
