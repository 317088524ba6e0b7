//! Surveys: the queue at one moment.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::*;
use crate::message::DeliveryId;

/// The messages of a line, behind one another, so many at a time.
fn read_through(survey: &dyn Survey, line: &Line, most: usize) -> Vec<DeliveryId> {
    let mut found: Vec<Waiting> = Vec::new();
    loop {
        let after = found.last().copied();
        let next = survey.waiting(line, after, most).unwrap();
        assert!(next.len() <= most);
        match next.is_empty() {
            true => return found.into_iter().map(|waiting| waiting.id).collect(),
            false => found.extend(next),
        }
    }
}

pub(super) async fn a_survey_finds_each_delivery_once_where_it_was(subject: Subject) {
    let spool = &subject.spool;
    for number in 1..=9 {
        let (user, lane) = (["ann", "bob"][number as usize % 2], "a.example");
        let message = message(number, user, Class::Normal, &[lane]);
        subject.enqueue(message).await;
    }
    subject
        .enqueue(message(20, "ann", Class::VeryHigh, &["b.example"]))
        .await;
    for number in [3, 4] {
        let selection = Selection::of_message(id(number));
        subject.change(selection, ChangeAction::Hold).await;
    }
    let ann = line("a.example", Class::Normal, "ann");
    let bob = line("a.example", Class::Normal, "bob");
    let urgent = line("b.example", Class::VeryHigh, "ann");
    let claimed = subject.claim(&ann).await.unwrap();
    let first = subject.claim(&urgent).await.unwrap();

    let mut survey = spool.survey().await.unwrap();
    let leased = survey.leased();
    assert_eq!(
        leased,
        [first.delivery.id, claimed.delivery.id],
        "the more urgent one first"
    );
    let mut lines = survey.lines();
    lines.sort_by(|one, other| one.0.cmp(&other.0));
    let known: Vec<&Line> = lines.iter().map(|(line, _)| &**line).collect();
    assert_eq!(known, [&ann, &bob], "a line without unleased mail is none");
    let mut walked = Vec::new();
    while let Some(line) = match walked.last() {
        Some(line) => survey.next_line(LinesFrom::Behind(line)),
        None => survey.next_line(LinesFrom::Start),
    }
    .unwrap()
    {
        walked.push(line);
    }
    assert_eq!(
        walked,
        [ann.clone(), bob.clone(), urgent.clone()],
        "what is leased waits in it"
    );
    let first_of = |name: &str, class| {
        let found = survey.next_line(LinesFrom::Lane(&domain(name), class));
        found.unwrap()
    };
    assert_eq!(first_of("a.example", Class::Normal), Some(ann.clone()));
    assert_eq!(first_of("a.example", Class::Low), Some(urgent.clone()));
    assert_eq!(first_of("b.example", Class::Low), None);
    let from = |user: &str| {
        let line = Line {
            user: user.into(),
            ..ann.clone()
        };
        survey.next_line(LinesFrom::Line(&line)).unwrap()
    };
    assert_eq!(from("ann"), Some(ann.clone()), "from itself on");
    assert_eq!(from("Ann"), Some(ann.clone()), "large letters come first");
    assert_eq!(from("ann\0"), Some(bob.clone()));
    for (line, first) in &lines {
        let read = survey.waiting(line, None, 1).unwrap();
        assert_eq!(first.or(read.first().copied()), read.first().copied());
    }

    // What happens from now on is not seen.
    spool.release(first.lease);
    subject.settle(claimed.lease, Vec::new()).await.unwrap();
    subject
        .enqueue(message(30, "ann", Class::Normal, &["a.example"]))
        .await;

    let numbers = |ids: &[DeliveryId]| -> Vec<u64> {
        let number = |id: &DeliveryId| {
            let row = survey.row(*id, at(NOW)).unwrap().unwrap();
            row.message.accepted.unix_milliseconds()
        };
        ids.iter().map(number).collect()
    };
    for most in [1, 2, 100] {
        let of_ann = read_through(&*survey, &ann, most);
        assert_eq!(numbers(&of_ann), [6, 8]);
        let of_bob = read_through(&*survey, &bob, most);
        assert_eq!(numbers(&of_bob), [1, 5, 7, 9]);
    }
    let mut held: Vec<(Line, Waiting)> = Vec::new();
    loop {
        let next = survey.held(held.last(), 1).unwrap();
        match next.is_empty() {
            true => break,
            false => held.extend(next),
        }
    }
    let held: Vec<DeliveryId> = held.iter().map(|(_, waiting)| waiting.id).collect();
    assert_eq!(numbers(&held), [4, 3], "by user");
    let states: BTreeSet<_> = leased
        .iter()
        .map(|id| format!("{:?}", survey.row(*id, at(NOW)).unwrap().unwrap().state))
        .collect();
    assert_eq!(states, BTreeSet::from(["Active".to_owned()]));
    let unknown = DeliveryId {
        message: id(99),
        number: 0,
    };
    assert!(survey.row(unknown, at(NOW)).unwrap().is_none());
}

pub(super) async fn a_survey_of_a_long_line_goes_on_where_memory_ends(mut subject: Subject) {
    for number in 1..=200 {
        subject
            .enqueue(message(number, "ann", Class::Low, &["a.example"]))
            .await;
    }
    subject.restart().await;
    let ann = line("a.example", Class::Low, "ann");
    for _ in 0..3 {
        subject.claim(&ann).await.unwrap();
    }
    let mut survey = subject.spool.survey().await.unwrap();
    assert_eq!(survey.leased().len(), 3);
    assert_eq!(survey.lines().len(), 1);
    let read = read_through(&*survey, &ann, 16);
    assert_eq!(read.len(), 197);
    assert_eq!(read.first().map(|of| of.message), Some(id(4)));
    // Whoever keeps one keeps nobody from closing it, nor from opening it again.
    subject.restart().await;
    assert!(subject.claim(&ann).await.is_some());
    let late = survey.waiting(&ann, None, 16);
    assert!(matches!(late, Ok(_) | Err(SpoolError::Unavailable(_))));
    drop(survey);
    subject.spool.close().await.unwrap();
    let closed = subject.spool.survey().await;
    assert!(matches!(closed, Err(SpoolError::Unavailable(_))));
}
