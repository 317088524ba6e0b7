//! What is stopped, and started again.

#![allow(clippy::unwrap_used)]

use super::*;

fn stop(of: StopOf) -> Stop {
    Stop {
        of,
        by: "ops".to_owned(),
        at: at(NOW),
    }
}

fn user(name: &str) -> StopOf {
    StopOf::User(name.to_owned())
}

fn list(name: &str) -> StopOf {
    StopOf::List(name.to_owned())
}

/// `ann` is in the list `news`, everybody else in none.
fn know_lists(subject: &Subject) {
    let list_of = |user: &str| (user == "ann").then(|| "news".to_owned());
    subject.spool.know_lists(Box::new(list_of));
}

/// The heads of lines that are told next.
async fn told(subject: &Subject) -> BTreeMap<Line, Option<u64>> {
    let changes = subject.spool.changes().await;
    let told = changes.into_iter();
    told.map(|change| {
        let due = change.head.map(|head| head.due.unix_milliseconds());
        (Arc::unwrap_or_clone(change.line), due)
    })
    .collect()
}

pub(super) async fn nothing_of_what_is_stopped_is_claimed_until_it_is_started(
    mut subject: Subject,
) {
    let mut own = message(4, "", Class::Normal, &["b.example"]);
    own.origin = Origin::Relay {
        list: "news".to_owned(),
        about: None,
    };
    for message in [
        message(1, "ann", Class::Normal, &["a.example"]),
        message(2, "ann", Class::High, &["b.example"]),
        message(3, "bob", Class::Normal, &["a.example"]),
        own,
    ] {
        subject.enqueue(message).await;
    }
    let lines = [
        line("a.example", Class::Normal, "ann"),
        line("b.example", Class::High, "ann"),
        line("a.example", Class::Normal, "bob"),
        line("b.example", Class::Normal, ""),
    ];
    for (of, about) in [
        (StopOf::All, [true; 4]),
        (
            StopOf::NextHop(domain("a.example")),
            [true, false, true, false],
        ),
        (user("ANN"), [true, true, false, false]),
        (list("News"), [true, true, false, false]),
        (list("default"), [false; 4]),
    ] {
        know_lists(&subject);
        told(&subject).await;
        assert_eq!(
            subject.spool.stop(stop(of.clone())).await.unwrap(),
            Stopped::Now
        );
        if about.contains(&true) {
            let expected = lines.iter().cloned().zip(about);
            let expected = expected.filter(|(_, is_stopped)| *is_stopped);
            let expected = expected.map(|(line, _)| (line, None)).collect();
            assert_eq!(told(&subject).await, expected, "{of}: no line has a head");
        }
        subject.restart().await;
        know_lists(&subject);
        if subject.is_durable() {
            let heads = told(&subject).await;
            for (line, is_stopped) in lines.iter().zip(about) {
                // Where there is not room for all lines of a lane the others are told later.
                if let Some(head) = heads.get(line) {
                    assert_eq!(head.is_none(), is_stopped, "{of} {line:?}");
                }
            }
        }
        assert_eq!(subject.spool.stops().all(), [stop(of.clone())]);
        for (line, is_stopped) in lines.iter().zip(about) {
            let claimed = subject.spool.claim(line, at(NOW)).await.unwrap();
            assert_eq!(claimed.claim.is_none(), is_stopped, "{of} {line:?}");
            assert_eq!(claimed.head, None, "the only one is claimed, or stopped");
            if let Some(claim) = claimed.claim {
                subject.spool.release(claim.lease);
            }
        }
        let _any = is_ready(subject.spool.changes()).await;
        let started = subject.spool.start(of.clone()).await.unwrap();
        assert_eq!(started, Some(stop(of.clone())));
        assert_eq!(subject.spool.start(of.clone()).await.unwrap(), None);
        if about.contains(&true) {
            // What waits for a read comes behind what is known; of a lane one line is told, where there is room for one.
            let started = |(line, head): (Line, Option<u64>)| {
                let index = lines.iter().position(|known| *known == line);
                head.is_some() && index.is_some_and(|index| about[index])
            };
            while !told(&subject).await.into_iter().any(started) {}
            for line in &lines {
                let claimed = subject.spool.claim(line, at(NOW)).await.unwrap();
                subject.spool.release(claimed.claim.unwrap().lease);
            }
        }
        subject.restart().await;
        assert_eq!(subject.spool.stops().count(), 0);
        // The reader of changes is told of all lines next.
        for line in &lines {
            let claim = subject.claim(line).await.unwrap();
            subject.spool.release(claim.lease);
        }
    }
}

pub(super) async fn what_waits_behind_a_stop_is_counted_and_selected(subject: Subject) {
    for message in [
        message(1, "ann", Class::Normal, &["a.example", "b.example"]),
        message(2, "ann", Class::High, &["a.example"]),
        message(3, "bob", Class::High, &["a.example"]),
        message(4, "bob", Class::Low, &["c.example"]),
        message(5, "bob", Class::Low, &["a.example"]),
    ] {
        subject.enqueue(message).await;
    }
    know_lists(&subject);
    // What is held or under way waits for no stop; what is not due yet does.
    subject
        .change(Selection::of_message(id(5)), ChangeAction::Hold)
        .await;
    let later = ChangeAction::Reschedule(at(NOW + 1_000));
    subject.change(Selection::of_message(id(4)), later).await;
    let leased = subject
        .claim(&line("a.example", Class::High, "bob"))
        .await
        .unwrap();
    let stopped = Selection {
        only_stopped: true,
        ..Selection::default()
    };
    for (of, meant) in [
        (StopOf::All, vec![(1, 0), (2, 0), (1, 1), (4, 0)]),
        (StopOf::NextHop(domain("a.example")), vec![(1, 0), (2, 0)]),
        (StopOf::NextHop(domain("c.example")), vec![(4, 0)]),
        (StopOf::NextHop(domain("d.example")), vec![]),
        (
            StopOf::NextHop(NextHop::Smarthost("a.example".into())),
            vec![],
        ),
        (user("ANN"), vec![(1, 0), (2, 0), (1, 1)]),
        (user("an"), vec![]),
        (list("News"), vec![(1, 0), (2, 0), (1, 1)]),
        (list("default"), vec![]),
    ] {
        let count = meant.len() as u64;
        assert_eq!(
            subject.spool.count_behind(of.clone()).await.unwrap(),
            count,
            "{of}"
        );
        subject.spool.stop(stop(of.clone())).await.unwrap();
        assert_eq!(
            subject.spool.count_behind(of.clone()).await.unwrap(),
            count,
            "{of}"
        );
        let mut found: Vec<_> = subject.rows(stopped.clone(), 1).await;
        found.sort_by_key(|row| row.delivery.id);
        let mut expected = meant;
        expected.sort_unstable();
        let found: Vec<_> = found.iter().map(|row| row.delivery.id).collect();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(message, number)| DeliveryId {
                message: id(message),
                number,
            })
            .collect();
        assert_eq!(found, expected, "{of}");
        let retry = subject.change(stopped.clone(), ChangeAction::Retry).await;
        assert_eq!(retry, count, "{of}");
        let class = ChangeAction::SetClass(Class::VeryLow);
        let change = Change {
            action: class,
            by: "ops".to_owned(),
            at: at(NOW),
        };
        let of_messages = subject
            .spool
            .change(stopped.clone(), change, true)
            .await
            .unwrap();
        let messages: BTreeSet<_> = expected.iter().map(|id| id.message).collect();
        // With another class all of a message changes.
        let all = messages
            .iter()
            .map(|message| if *message == id(1) { 2 } else { 1 });
        assert_eq!(of_messages.deliveries, all.sum::<u64>(), "{of}");
        assert_eq!(of_messages.under_way, 0);
        subject.spool.start(of).await.unwrap().unwrap();
    }
    assert!(subject.rows(stopped, 9).await.is_empty());
    subject.spool.release(leased.lease);
    assert_eq!(subject.spool.count_behind(StopOf::All).await.unwrap(), 5);
}

pub(super) async fn what_is_under_way_ends_and_what_remains_of_it_waits(subject: Subject) {
    subject.enqueue(normal(1)).await;
    subject.enqueue(normal(2)).await;
    let first = subject.claim(&normal_line()).await.unwrap();
    let second = subject.claim(&normal_line()).await.unwrap();
    subject.spool.stop(stop(StopOf::All)).await.unwrap();
    subject.enqueue(normal(3)).await;
    subject
        .settle(first.lease, vec![later(&first.delivery, 1)])
        .await
        .unwrap();
    subject.spool.release(second.lease);
    assert!(subject.claim(&normal_line()).await.is_none());
    assert_eq!(subject.spool.figures().queued, [0, 0, 3, 0, 0]);
    // What an operator does to it meanwhile counts.
    subject
        .change(Selection::of_message(id(3)), ChangeAction::Cancel)
        .await;
    subject.spool.start(StopOf::All).await.unwrap();
    assert_eq!(subject.drain(&normal_line()).await, [1, 2]);
}

pub(super) async fn what_another_stop_is_about_stays_stopped(mut subject: Subject) {
    subject.enqueue(normal(1)).await;
    for of in [user("user"), StopOf::NextHop(domain("a.example"))] {
        subject.spool.stop(stop(of)).await.unwrap();
    }
    subject.spool.start(user("User")).await.unwrap().unwrap();
    subject.restart().await;
    assert!(subject.claim(&normal_line()).await.is_none());
    assert_eq!(subject.spool.start(StopOf::All).await.unwrap(), None);
    assert!(subject.claim(&normal_line()).await.is_none());
    let of = StopOf::NextHop(domain("a.example"));
    let why = subject.spool.stops().on(&domain("a.example"), "user");
    assert_eq!(why, Some(stop(of.clone())));
    subject.spool.start(of).await.unwrap().unwrap();
    assert_eq!(subject.drain(&normal_line()).await, [1]);
}

pub(super) async fn something_is_stopped_once_and_there_are_so_many_stops(mut subject: Subject) {
    for number in 1..STOPS_MAX {
        let of = user(&format!("user{number}"));
        assert_eq!(subject.spool.stop(stop(of)).await.unwrap(), Stopped::Now);
    }
    let later = Stop {
        by: "somebody else".to_owned(),
        ..stop(user("USER1"))
    };
    assert_eq!(
        subject.spool.stop(later).await.unwrap(),
        Stopped::Already(stop(user("user1")))
    );
    assert_eq!(
        subject.spool.stop(stop(StopOf::All)).await.unwrap(),
        Stopped::Now
    );
    let more = stop(list("news"));
    assert_eq!(
        subject.spool.stop(more.clone()).await.unwrap(),
        Stopped::TooMany
    );
    subject.restart().await;
    assert_eq!(subject.spool.stops().count(), STOPS_MAX);
    assert_eq!(subject.spool.stop(more).await.unwrap(), Stopped::TooMany);
    subject.spool.start(user("user7")).await.unwrap().unwrap();
    assert_eq!(subject.spool.stops().count(), STOPS_MAX - 1);
}

pub(super) async fn a_user_who_changes_lists_is_stopped_with_the_one_that_he_is_in(
    subject: Subject,
) {
    use std::sync::atomic::{AtomicBool, Ordering};
    subject.enqueue(normal(1)).await;
    told(&subject).await;
    let is_in_news = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&is_in_news);
    let list_of = move |_: &str| {
        let list = if asked.load(Ordering::Relaxed) {
            "news"
        } else {
            "default"
        };
        Some(list.to_owned())
    };
    subject.spool.know_lists(Box::new(list_of));
    assert!(
        !is_ready(subject.spool.changes()).await,
        "without a stop of a list it makes no difference"
    );
    subject.spool.stop(stop(list("news"))).await.unwrap();
    assert!(!is_ready(subject.spool.changes()).await);
    is_in_news.store(true, Ordering::Relaxed);
    subject.spool.lists_changed();
    assert_eq!(told(&subject).await, [(normal_line(), None)].into());
    assert!(subject.claim(&normal_line()).await.is_none());
    is_in_news.store(false, Ordering::Relaxed);
    subject.spool.lists_changed();
    assert_eq!(told(&subject).await, [(normal_line(), Some(1))].into());
    assert_eq!(subject.drain(&normal_line()).await, [1]);
}
