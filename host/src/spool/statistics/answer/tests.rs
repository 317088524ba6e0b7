//! What an answer reads, and that it is the same however much there is.

#![allow(clippy::unwrap_used)]

use std::cell::Cell as Counter;

use crate::spool::memtable::Row as Octets;
use crate::spool::sample::at;
use crate::spool::sheet::Range;
use crate::spool::statistics::{Figure, Filter, MemoryRows, RollUp};

use super::super::tally::{Tally, add_queued};
use super::*;

const HOUR: u64 = 60 * 60 * 1_000;
const DAY: u64 = 24 * HOUR;

/// Rows that count how often they are looked for.
struct Watched<'a> {
    rows: &'a MemoryRows,
    looks: Counter<usize>,
}

impl Read for Watched<'_> {
    fn get(&self, sheet: Sheet, key: &[u8]) -> Result<Option<Octets>, StoreError> {
        self.looks.set(self.looks.get() + 1);
        self.rows.get(sheet, key)
    }

    fn scan(
        &self,
        sheet: Sheet,
        range: Range<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Scan,
    ) -> Result<(), StoreError> {
        self.looks.set(self.looks.get() + 1);
        self.rows.scan(sheet, range, visit)
    }
}

/// The answer, and how often it looked for rows.
fn asked(rows: &MemoryRows, question: &Question, now: u64) -> (Answer, usize) {
    let looks = Counter::new(0);
    let watched = Watched { rows, looks };
    let answer = question.answer(&watched, at(now)).unwrap().unwrap();
    (answer, watched.looks.get())
}

fn by_user(since: u64, until: u64) -> Question {
    Question {
        since: at(since),
        until: at(until),
        period: None,
        by: Some(Dimension::User),
        filter: Filter::default(),
        most: None,
        cursor: None,
        rows_max: 10_000,
    }
}

fn refused(rows: &mut MemoryRows, users: impl Iterator<Item = usize>, when: u64) {
    let mut tally = Tally::default();
    for user in users {
        tally.refused(
            "shop",
            &format!("u{user:05}"),
            user as u64 % 7 + 1,
            at(when),
        );
    }
    tally.write(rows, at(when)).unwrap();
}

fn queued(rows: &mut MemoryRows, users: impl Iterator<Item = usize>) {
    for user in users {
        let cell = Cell::User(format!("u{user:05}"), "shop".to_owned());
        add_queued(rows, &cell.to_key(), user as i64 % 5 + 1).unwrap();
    }
}

fn roll_up(rows: &mut MemoryRows, now: u64) {
    let mut roll_up = RollUp::default();
    while roll_up.is_due(at(now)) {
        roll_up.step(rows, at(now)).unwrap();
    }
}

/// By user: how many refused messages, how many queued recipients.
fn figures(answer: &Answer) -> BTreeMap<String, (i64, i64)> {
    let rows = answer.rows.iter().map(|row| match &row.name {
        Some(Name::Text(name)) => (name.clone(), (row.counts.refused, row.queued.unwrap())),
        name => panic!("{name:?}"),
    });
    rows.collect()
}

#[test]
fn names_of_the_hour_and_of_the_queue_are_read_in_a_few_passes() {
    let mut rows = MemoryRows::default();
    refused(&mut rows, 0..5_000, DAY);
    queued(&mut rows, (0..9_000).filter(|user| user % 2 == 0));
    let (answer, looks) = asked(&rows, &by_user(0, DAY + 1), DAY);
    let expected: BTreeMap<_, _> = (0..9_000)
        .filter(|user| user % 2 == 0 || *user < 5_000)
        .map(|user| {
            let refused = if user < 5_000 { user as i64 % 7 + 1 } else { 0 };
            let queued = if user % 2 == 0 {
                user as i64 % 5 + 1
            } else {
                0
            };
            (format!("u{user:05}"), (refused, queued))
        })
        .collect();
    assert!(figures(&answer) == expected);
    let sum = |part: fn(&(i64, i64)) -> i64| expected.values().map(part).sum::<i64>();
    assert_eq!(answer.total.refused, sum(|(refused, _)| *refused));
    assert_eq!(answer.queued, sum(|(_, queued)| *queued));
    assert!(looks < 100, "{looks} looks for 7,000 names");
}

#[test]
fn a_name_with_days_costs_two_looks_and_one_more_for_each_day_that_is_asked_for_in_part() {
    let mut rows = MemoryRows::default();
    // Each in the hour after the one before: some in a part of a day, some on whole days, some before.
    for user in 0..5_000 {
        refused(&mut rows, user..=user, (user as u64 % 240) * HOUR);
    }
    roll_up(&mut rows, 10 * DAY);
    let (since, until) = (50, 190);
    let question = by_user(since * HOUR, until * HOUR - 1);
    let (answer, looks) = asked(&rows, &question, 10 * DAY);
    let expected: BTreeMap<_, _> = (0..5_000)
        .filter(|user| (since..until).contains(&(*user as u64 % 240)))
        .map(|user| (format!("u{user:05}"), (user as i64 % 7 + 1, 0)))
        .collect();
    assert!(figures(&answer) == expected);
    let in_part = (0..5_000).filter(|user| [2, 7].contains(&(user % 240 / 24)));
    let most = 2 * 5_000 + in_part.count() + 100;
    assert!(looks <= most, "{looks} looks, {most} at most");
}

#[test]
fn pages_and_the_most_are_the_same_however_many_names_there_are() {
    let mut rows = MemoryRows::default();
    refused(&mut rows, (0..4_000).filter(|user| user % 3 == 0), HOUR);
    roll_up(&mut rows, 2 * DAY);
    refused(&mut rows, (0..6_000).filter(|user| user % 5 == 0), 2 * DAY);
    queued(&mut rows, (3_000..9_000).filter(|user| user % 2 == 0));
    let all = by_user(0, 2 * DAY + 1);
    let (whole, _) = asked(&rows, &all, 2 * DAY);
    let counted = |user: i64| {
        i64::from(user % 3 == 0 && user < 4_000) + i64::from(user % 5 == 0 && user < 6_000)
    };
    let expected: i64 = (0..6_000).map(|user| counted(user) * (user % 7 + 1)).sum();
    assert_eq!(whole.total.refused, expected);
    let (mut paged, mut cursor) = (Vec::new(), None);
    loop {
        let question = Question {
            cursor: cursor.take(),
            rows_max: 700,
            ..all.clone()
        };
        let (page, _) = asked(&rows, &question, 2 * DAY);
        assert_eq!((&page.total, page.queued), (&whole.total, whole.queued));
        paged.extend(page.rows);
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert!(paged.len() > 2 * CELLS_AT_ONCE, "{}", paged.len());
    assert!(paged == whole.rows);
    let most = Question {
        most: Some(Figure::Refused),
        rows_max: 20,
        ..all
    };
    let mut sorted = whole.rows;
    sorted.sort_by_key(|row| std::cmp::Reverse(row.counts.refused));
    sorted.truncate(20);
    assert_eq!(asked(&rows, &most, 2 * DAY).0.rows, sorted);
}
