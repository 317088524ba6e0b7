//! Questions to the statistics, and what their answers are made of. How they are found is `answer`'s.

use crate::message::{Class, Counts, Timestamp};

use super::answer::Behind;
use super::cell::{Cell, Dimension, named};

/// Rows of an answer at most: a year by the hour and some more.
pub const ROWS_MAX: usize = 10_000;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// From the hour on that this is in; where hours are not told apart, from the day.
    pub since: Timestamp,
    /// Up to the hour that this is in; by the day, up to that day.
    pub until: Timestamp,
    /// A row for each hour or day.
    pub period: Option<Period>,
    /// A row for each of its names. With a period a row for each of both.
    pub by: Option<Dimension>,
    /// Only mail that is all of this.
    pub filter: Filter,
    /// The names with the most of this, the most first, and no further pages. Without it rows come by name and time.
    pub most: Option<Figure>,
    /// The cursor of the page before.
    pub cursor: Option<String>,
    /// Rows at most.
    pub rows_max: usize,
}

/// A stretch of time that is told in one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// An hour.
    Hour,
    /// A day of UTC.
    Day,
}

/// Which mail is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this list.
    pub list: Option<String>,
    /// Of this user.
    pub user: Option<String>,
    /// Of this class.
    pub class: Option<Class>,
    /// To this domain, in lower-case A-labels.
    pub destination: Option<String>,
    /// Of this campaign.
    pub campaign: Option<String>,
}

/// A figure of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// [`Counts::accepted`]
    Accepted,
    /// [`Counts::recipients`]
    Recipients,
    /// [`Counts::sent`]
    Sent,
    /// [`Counts::deferred`]
    Deferred,
    /// [`Counts::bounced`]
    Bounced,
    /// [`Counts::expired`]
    Expired,
    /// [`Counts::removed`]
    Removed,
    /// [`Counts::refused`]
    Refused,
    /// [`Row::queued`]
    Queued,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// From when on it counts.
    pub since: Timestamp,
    /// Up to when.
    pub until: Timestamp,
    /// What was counted, without what is empty.
    pub rows: Vec<Row>,
    /// All of it together, whatever page this is.
    pub total: Counts,
    /// Recipients that are queued now, of all of it together.
    pub queued: i64,
    /// Where the next page goes on; none at the end.
    pub cursor: Option<String>,
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// When its period begins.
    pub at: Option<Timestamp>,
    /// Its name in the dimension that was asked for.
    pub name: Option<Name>,
    /// What was counted.
    pub counts: Counts,
    /// Recipients that are queued now; none for a period.
    pub queued: Option<i64>,
}

/// A name in a dimension.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// A class; none: what was refused before it had one.
    Class(Option<Class>),
    /// That of a list, a user, a domain or a campaign.
    Text(String),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswerable {
    /// These are not counted together.
    Apart(Dimension, Dimension),
    /// The cursor is of no such question.
    Cursor,
}

impl Filter {
    fn dimensions(&self) -> impl Iterator<Item = Dimension> {
        let given = [
            (Dimension::Class, self.class.is_some()),
            (Dimension::List, self.list.is_some()),
            (Dimension::User, self.user.is_some()),
            (Dimension::Destination, self.destination.is_some()),
            (Dimension::Campaign, self.campaign.is_some()),
        ];
        let given = given.into_iter().filter(|(_, is_given)| *is_given);
        given.map(|(dimension, _)| dimension)
    }

    pub(super) fn is_met_by(&self, cell: &Cell) -> bool {
        fn is(wanted: Option<&String>, name: &str) -> bool {
            wanted.is_none_or(|wanted| wanted == name)
        }
        let of_class = |class: &Option<Class>| self.class.is_none() || self.class == *class;
        let list = self.list.as_ref();
        match cell {
            Cell::Class(class) => of_class(class),
            Cell::List(name, class) => is(list, name) && of_class(class),
            Cell::User(user, name) => is(self.user.as_ref(), user) && is(list, name),
            Cell::Destination(domain) => is(self.destination.as_ref(), domain),
            Cell::Campaign(campaign, name) => {
                is(self.campaign.as_ref(), campaign) && is(list, name)
            }
        }
    }

    /// What the keys begin with of all cells that meet it.
    pub(super) fn prefix(&self, source: Dimension) -> Vec<u8> {
        let first = match source {
            Dimension::Class => None,
            Dimension::List => self.list.as_ref(),
            Dimension::User => self.user.as_ref(),
            Dimension::Destination => self.destination.as_ref(),
            Dimension::Campaign => self.campaign.as_ref(),
        };
        match first {
            Some(name) => named(source, name),
            None => vec![source.octet()],
        }
    }
}

impl Figure {
    pub(super) fn of(self, counts: &Counts, queued: i64) -> i64 {
        match self {
            Figure::Accepted => counts.accepted,
            Figure::Recipients => counts.recipients,
            Figure::Sent => counts.sent,
            Figure::Deferred => counts.deferred,
            Figure::Bounced => counts.bounced,
            Figure::Expired => counts.expired,
            Figure::Removed => counts.removed,
            Figure::Refused => counts.refused,
            Figure::Queued => queued,
        }
    }
}

impl Question {
    /// Which cells answer it.
    ///
    /// # Errors
    /// [`Unanswerable::Apart`] names two dimensions that are not counted together.
    pub(super) fn source(&self) -> Result<Dimension, Unanswerable> {
        let wanted: Vec<Dimension> = self.filter.dimensions().chain(self.by).collect();
        if let Some(source) = Dimension::that_knows(&wanted) {
            return Ok(source);
        }
        let mut pairs = wanted
            .iter()
            .flat_map(|one| wanted.iter().map(|other| (*one, *other)));
        let apart = pairs.find(|(one, other)| Dimension::that_knows(&[*one, *other]).is_none());
        // Where each two of them were counted together, all would be.
        let (one, other) = apart.unwrap_or((wanted[0], wanted[wanted.len() - 1]));
        Err(Unanswerable::Apart(one, other))
    }

    /// Whether it can be answered, whatever was counted.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), Unanswerable> {
        self.source()?;
        match &self.cursor {
            Some(text) if Behind::from_text(text).is_none() => Err(Unanswerable::Cursor),
            _ => Ok(()),
        }
    }
}
