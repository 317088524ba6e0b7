//! What is counted of mail, and that it is exact whatever becomes of the mail and of the process.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::*;
use crate::message::RELAY;
use crate::spool::statistics::{
    Answer, Dimension, Figure, Filter, Name, OTHERS, Period, Question, Unanswerable,
};

const HOUR: u64 = 60 * 60 * 1_000;
const DAY: u64 = 24 * HOUR;

/// All that was counted, of everything.
fn everything() -> Question {
    Question {
        since: at(0),
        until: at(NOW),
        period: None,
        by: None,
        filter: Filter::default(),
        most: None,
        cursor: None,
        rows_max: 100,
    }
}

fn by(dimension: Dimension) -> Question {
    Question {
        by: Some(dimension),
        ..everything()
    }
}

impl Subject {
    async fn answer(&self, question: Question) -> Answer {
        self.spool.statistics(question).await.unwrap().unwrap()
    }

    /// `accepted recipients sent deferred bounced expired removed | queued` of everything.
    async fn total(&self) -> String {
        let answer = self.answer(everything()).await;
        figures(&answer.total, answer.queued)
    }

    /// The same by name.
    async fn named(&self, question: Question) -> BTreeMap<String, String> {
        let answer = self.answer(question).await;
        let rows = answer.rows.into_iter().map(|row| {
            let name = match row.name.unwrap() {
                Name::Class(class) => class.map_or("none".to_owned(), |class| class.to_string()),
                Name::Text(text) => text,
            };
            (name, figures(&row.counts, row.queued.unwrap_or(0)))
        });
        rows.collect()
    }

    /// Ends an attempt at a delivery.
    async fn ends(&self, claim: &Claim, fates: Fates, took: u64) {
        let left: Vec<u32> = fates.deferred.clone();
        let remaining = match left.is_empty() {
            true => Vec::new(),
            false => vec![NewDelivery {
                recipients: left,
                ..later(&claim.delivery, NOW)
            }],
        };
        let settlement = Settlement {
            lease: claim.lease,
            remaining,
            reports: Vec::new(),
            trail: trail(),
            outcomes: Some(Outcomes {
                message: Arc::clone(&claim.message),
                at: claim.message.accepted.plus(Duration::from_millis(took)),
                fates,
            }),
            is_cancelled: false,
        };
        self.spool.settle(settlement).await.unwrap();
    }
}

fn figures(counts: &crate::message::Counts, queued: i64) -> String {
    format!(
        "{} {} {} {} {} {} {} | {queued}",
        counts.accepted,
        counts.recipients,
        counts.sent,
        counts.deferred,
        counts.bounced,
        counts.expired,
        counts.removed
    )
}

fn names(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, figures)| ((*name).to_owned(), (*figures).to_owned()))
        .collect()
}

/// One delivery with all recipients.
async fn enqueue_to_one_hop(subject: &Subject, message: Message) {
    let mut new = new_message(message);
    let recipients = 0..u32::try_from(new.message.envelope.recipients.len()).unwrap();
    new.deliveries.truncate(1);
    new.deliveries[0].next_hop = domain("hub.example");
    new.deliveries[0].recipients = recipients.collect();
    enqueue(&*subject.spool, new, b"x").await.unwrap();
}

pub(super) async fn what_came_in_and_what_became_of_it_is_counted_by_each_name(
    mut subject: Subject,
) {
    let mut news = message(
        1,
        "news",
        Class::Low,
        &["a.example", "A.example", "b.example", "c.example"],
    );
    let Origin::Submission(submission) = &mut news.origin else {
        panic!("{:?}", news.origin);
    };
    submission.list = "shop".to_owned();
    news.campaign = Some("spring".to_owned());
    enqueue_to_one_hop(&subject, news).await;
    subject.enqueue(normal(2)).await;
    let mut report = normal(3);
    report.origin = Origin::Relay {
        list: "shop".to_owned(),
        about: None,
    };
    subject.enqueue(report).await;

    let hub = line("hub.example", Class::Low, "news");
    let claim = subject.claim(&hub).await.unwrap();
    let first = Fates {
        delivered: vec![0],
        deferred: vec![1, 2],
        bounced: vec![3],
        expired: vec![],
    };
    subject.ends(&claim, first, 2_000).await;
    let claim = subject.claim(&hub).await.unwrap();
    let second = Fates {
        delivered: vec![1],
        expired: vec![2],
        ..Fates::default()
    };
    subject.ends(&claim, second, 9_000).await;

    for _ in 0..2 {
        assert_eq!(subject.total().await, "3 6 2 2 1 1 0 | 2");
        assert_eq!(
            subject.named(by(Dimension::Class)).await,
            names(&[
                ("low", "1 4 2 2 1 1 0 | 0"),
                ("normal", "2 2 0 0 0 0 0 | 2")
            ])
        );
        assert_eq!(
            subject.named(by(Dimension::List)).await,
            names(&[
                ("default", "1 1 0 0 0 0 0 | 1"),
                ("shop", "2 5 2 2 1 1 0 | 1")
            ])
        );
        assert_eq!(
            subject.named(by(Dimension::User)).await,
            names(&[
                (RELAY, "1 1 0 0 0 0 0 | 1"),
                ("news", "1 4 2 2 1 1 0 | 0"),
                ("user", "1 1 0 0 0 0 0 | 1")
            ])
        );
        assert_eq!(
            subject.named(by(Dimension::Destination)).await,
            names(&[
                ("a.example", "3 4 2 1 0 0 0 | 2"),
                ("b.example", "1 1 0 1 0 1 0 | 0"),
                ("c.example", "1 1 0 0 1 0 0 | 0")
            ])
        );
        assert_eq!(
            subject.named(by(Dimension::Campaign)).await,
            names(&[("spring", "1 4 2 2 1 1 0 | 0")])
        );
        let of_shop = Filter {
            list: Some("shop".to_owned()),
            ..Filter::default()
        };
        let by_class = Question {
            filter: of_shop,
            ..by(Dimension::Class)
        };
        assert_eq!(
            subject.named(by_class.clone()).await,
            names(&[
                ("low", "1 4 2 2 1 1 0 | 0"),
                ("normal", "1 1 0 0 0 0 0 | 1")
            ])
        );
        // What took two seconds and what took nine, to a fifth.
        let low = subject.answer(by_class).await.rows.remove(1);
        let latency = low.counts.latency;
        assert_eq!(latency.count(), 2);
        for (of_hundred, seconds) in [(50, 2.0), (99, 9.0)] {
            let told = latency.percentile(of_hundred).unwrap().as_secs_f64();
            assert!((seconds..=seconds * 1.2).contains(&told), "{told}");
        }
        subject.restart().await;
    }
}

pub(super) async fn what_an_operator_does_is_counted_and_nothing_is_counted_twice(
    mut subject: Subject,
) {
    for number in 1..=4 {
        subject
            .enqueue(message(
                number,
                "user",
                Class::Normal,
                &["a.example", "b.example"],
            ))
            .await;
    }
    let of = |number| Selection::of_message(id(number));
    assert_eq!(subject.change(of(1), ChangeAction::Hold).await, 2);
    assert_eq!(subject.total().await, "4 8 0 0 0 0 0 | 8");
    assert_eq!(subject.change(of(2), ChangeAction::Cancel).await, 2);
    assert_eq!(subject.total().await, "4 8 0 0 0 0 0 | 6");
    assert_eq!(subject.change(of(2), ChangeAction::Restore).await, 2);
    assert_eq!(subject.total().await, "4 8 0 0 0 0 0 | 8");
    subject
        .change(of(3), ChangeAction::SetClass(Class::High))
        .await;
    let by_class = subject.named(by(Dimension::Class)).await;
    assert_eq!(
        by_class,
        names(&[
            ("high", "0 0 0 0 0 0 0 | 2"),
            ("normal", "4 8 0 0 0 0 0 | 6")
        ])
    );
    // Moved to another lane, untried.
    let claim = subject.claim(&normal_line()).await.unwrap();
    let moved = NewDelivery {
        next_hop: domain("hub.example"),
        ..later(&claim.delivery, 1)
    };
    subject.settle(claim.lease, vec![moved]).await.unwrap();
    assert_eq!(subject.total().await, "4 8 0 0 0 0 0 | 8");
    // Cancelled while it was tried, and sent all the same.
    let line = line("a.example", Class::High, "user");
    let claim = subject.claim(&line).await.unwrap();
    assert_eq!(subject.change(of(3), ChangeAction::Cancel).await, 2);
    let settlement = Settlement {
        lease: claim.lease,
        remaining: Vec::new(),
        reports: Vec::new(),
        trail: trail(),
        outcomes: Some(Outcomes {
            message: Arc::clone(&claim.message),
            at: at(NOW),
            fates: Fates {
                delivered: vec![0],
                ..Fates::default()
            },
        }),
        is_cancelled: true,
    };
    subject.spool.settle(settlement).await.unwrap();
    assert_eq!(subject.total().await, "4 8 1 0 0 0 0 | 6");
    subject.restart().await;
    // What nobody has restored is removed in time.
    subject
        .clock
        .set(at(NOW).plus(subject.settings.cancelled_kept));
    subject.enqueue(normal(9)).await;
    let two_days = Question {
        until: at(2 * DAY),
        ..everything()
    };
    let answer = subject.answer(two_days.clone()).await;
    assert_eq!(figures(&answer.total, answer.queued), "5 9 1 0 0 0 1 | 7");
    subject.restart().await;
    let answer = subject.answer(two_days).await;
    assert_eq!(figures(&answer.total, answer.queued), "5 9 1 0 0 0 1 | 7");
}

pub(super) async fn what_is_cancelled_and_not_kept_is_counted_as_removed(subject: Subject) {
    let settings = Settings {
        cancelled_kept: Duration::ZERO,
        // What is finished is forgotten in the same transaction.
        history_records_max: 0,
        ..settings()
    };
    let subject = subject.with(settings);
    subject.enqueue(normal(1)).await;
    let selection = Selection::of_message(id(1));
    assert_eq!(subject.change(selection, ChangeAction::Cancel).await, 1);
    assert_eq!(subject.total().await, "1 1 0 0 0 0 1 | 0");
    let by_domain = subject.named(by(Dimension::Destination)).await;
    assert_eq!(by_domain, names(&[("a.example", "1 1 0 0 0 0 1 | 0")]));
}

/// Messages in hours of several days; what is asked is the same before and behind each roll-up.
pub(super) async fn hours_and_days_are_told_apart_for_as_long_as_they_are_kept(
    mut subject: Subject,
) {
    let hours = [0, 1, 25, 26, 26 + 32 * 24];
    for hour in hours {
        let mut new = message(hour * HOUR + 5, "user", Class::Normal, &["a.example"]);
        new.envelope.recipients.truncate(1);
        subject.clock.set(at(hour * HOUR + 5));
        subject.enqueue(new).await;
    }
    let last = *hours.last().unwrap();
    subject.clock.set(at((last + 1) * HOUR));
    let asked = |period, since, until| Question {
        period,
        since: at(since * HOUR),
        until: at(until * HOUR),
        ..everything()
    };
    let by_hour = asked(Some(Period::Hour), 0, last + 1);
    let by_day = asked(Some(Period::Day), 1, last + 1);
    let told = |answer: &Answer| -> Vec<(u64, i64)> {
        let rows = answer.rows.iter();
        rows.map(|row| {
            let at = row.at.unwrap().unix_milliseconds() / HOUR;
            (at, row.counts.accepted)
        })
        .collect()
    };
    // More than once: what a start, an hour and a portion leave to be done is done by later commits.
    for round in 0..4 {
        let answer = subject.answer(by_hour.clone()).await;
        let expected: Vec<(u64, i64)> = hours.iter().map(|hour| (*hour, 1)).collect();
        assert_eq!(told(&answer), expected, "{round}");
        let answer = subject.answer(by_day.clone()).await;
        assert_eq!(told(&answer), [(0, 2), (24, 2), (33 * 24, 1)], "{round}");
        assert_eq!(answer.since, at(0), "whole days");
        for (since, until, accepted) in [
            (0, last + 1, 5),
            (1, 26, 2),
            (1, 27, 3),
            (25, 26, 1),
            (24, 48, 2),
            (2, 25, 0),
            (26, last, 1),
            (48, last, 0),
        ] {
            let answer = subject.answer(asked(None, since, until)).await;
            assert_eq!(
                answer.total.accepted, accepted,
                "{since} to {until}, {round}"
            );
        }
        subject.restart().await;
        // Something is written, which is counted elsewhere.
        subject.clock.set(at((last + 48 + round) * HOUR));
        let number = (last + 48 + round) * HOUR;
        subject.enqueue(normal(number)).await;
    }
    // Behind the time for which hours are kept, days are.
    subject.clock.set(at(402 * DAY));
    for number in 0..4 {
        subject.enqueue(normal(402 * DAY + number)).await;
    }
    let answer = subject.answer(by_hour).await;
    assert_eq!(told(&answer), [(last, 1)]);
    assert_eq!(answer.since, at(2 * DAY));
    let answer = subject.answer(by_day).await;
    assert_eq!(told(&answer)[..2], [(0, 2), (24, 2)]);
    let answer = subject.answer(asked(None, 1, 27)).await;
    assert_eq!((answer.since, answer.until), (at(0), at(DAY)));
    assert_eq!(answer.total.accepted, 2, "whole days");
    // And behind that of days, nothing.
    subject.clock.set(at(4_000 * DAY));
    for number in 0..4 {
        subject.enqueue(normal(4_000 * DAY + number)).await;
    }
    let answer = subject.answer(asked(None, 0, 5_000 * 24)).await;
    assert_eq!(answer.total.accepted, 4);
}

pub(super) async fn names_beyond_the_limit_are_counted_as_others(mut subject: Subject) {
    let domains: Vec<String> = (0..2_003)
        .map(|number| format!("d{number:04}.example"))
        .collect();
    let domains: Vec<&str> = domains.iter().map(String::as_str).collect();
    enqueue_to_one_hop(&subject, message(1, "user", Class::Normal, &domains)).await;
    let question = Question {
        rows_max: 10_000,
        ..by(Dimension::Destination)
    };
    let accepted = |answer: &Answer, wanted: &str| -> Option<i64> {
        let mut rows = answer.rows.iter();
        let row = rows.find(|row| row.name == Some(Name::Text(wanted.to_owned())));
        row.map(|row| row.counts.recipients)
    };
    let answer = subject.answer(question.clone()).await;
    assert_eq!(accepted(&answer, OTHERS), Some(3));
    assert_eq!(accepted(&answer, "d1999.example"), Some(1));
    // It is queued all the same.
    assert_eq!(accepted(&answer, "d2000.example"), Some(0));
    assert_eq!((answer.total.recipients, answer.queued), (2_003, 2_003));
    // In the next hour other names come first, and a block has no more of them.
    subject.clock.set(at(NOW + HOUR));
    enqueue_to_one_hop(
        &subject,
        message(NOW + HOUR, "user", Class::Normal, &["new.example"]),
    )
    .await;
    subject.clock.set(at(NOW + 2 * HOUR));
    for number in 0..40 {
        subject.enqueue(normal(NOW + 2 * HOUR + number)).await;
    }
    subject.restart().await;
    let question = Question {
        until: at(2 * HOUR),
        ..question
    };
    let answer = subject.answer(question).await;
    assert_eq!(accepted(&answer, OTHERS), Some(4));
    assert_eq!(accepted(&answer, "new.example"), Some(0), "queued");
    assert_eq!(answer.total.recipients, 2_004);
}

pub(super) async fn an_answer_comes_in_pages_or_with_the_most_first(subject: Subject) {
    for (number, user) in [(1, "c"), (2, "a"), (3, "b"), (4, "b")] {
        subject
            .enqueue(message(number, user, Class::Normal, &["a.example"]))
            .await;
    }
    let mut question = Question {
        rows_max: 2,
        ..by(Dimension::User)
    };
    let name = |row: &crate::spool::statistics::Row| match row.name.clone() {
        Some(Name::Text(text)) => text,
        other => panic!("{other:?}"),
    };
    let mut pages = Vec::new();
    loop {
        let answer = subject.answer(question.clone()).await;
        assert_eq!(answer.total.accepted, 4, "whatever page it is");
        pages.push(answer.rows.iter().map(name).collect::<Vec<_>>());
        question.cursor = answer.cursor;
        if question.cursor.is_none() {
            break;
        }
    }
    assert_eq!(pages, [vec!["a", "b"], vec!["c"]]);
    // By hour and name, a row a page.
    let mut question = Question {
        rows_max: 1,
        period: Some(Period::Hour),
        ..by(Dimension::User)
    };
    let mut rows = Vec::new();
    loop {
        let answer = subject.answer(question.clone()).await;
        assert_eq!(answer.total.accepted, 4);
        rows.extend(
            answer
                .rows
                .iter()
                .map(|row| (name(row), row.counts.accepted)),
        );
        question.cursor = answer.cursor;
        if question.cursor.is_none() {
            break;
        }
    }
    let row = |name: &str, accepted| (name.to_owned(), accepted);
    assert_eq!(rows, [row("a", 1), row("b", 2), row("c", 1)]);
    let most = Question {
        most: Some(Figure::Accepted),
        ..by(Dimension::User)
    };
    let answer = subject.answer(most).await;
    let found: Vec<String> = answer.rows.iter().map(name).collect();
    assert_eq!(found, ["b", "a", "c"]);
}

pub(super) async fn what_is_not_counted_together_cannot_be_asked(subject: Subject) {
    let question = Question {
        filter: Filter {
            user: Some("user".to_owned()),
            ..Filter::default()
        },
        ..by(Dimension::Destination)
    };
    let refused = subject.spool.statistics(question).await.unwrap();
    let apart = Unanswerable::Apart(Dimension::User, Dimension::Destination);
    assert_eq!(refused, Err(apart));
    for cursor in ["", "!", "AAAA", "AAAAAAE"] {
        let question = Question {
            cursor: Some(cursor.to_owned()),
            ..by(Dimension::User)
        };
        let refused = subject.spool.statistics(question).await.unwrap();
        assert_eq!(refused, Err(Unanswerable::Cursor), "{cursor}");
    }
}

pub(super) async fn refused_messages_are_counted_for_their_users(mut subject: Subject) {
    let sender = |text: &str| crate::message::Address::new("x", text).unwrap();
    for times in [1, 2] {
        let mut new = NewRefusals::default();
        for _ in 0..times {
            new.add(RefusedMessage {
                list: "default".to_owned(),
                user: "user".to_owned(),
                client: [192, 0, 2, 1].into(),
                at: at(NOW),
                senders: vec![sender("a.example"), sender("b.example")],
                named_in: NamedIn::Header,
                reasons: Vec::new(),
            });
        }
        subject.spool.note_refusals(new).await.unwrap();
    }
    for _ in 0..2 {
        let answer = subject.answer(by(Dimension::User)).await;
        let names: Vec<_> = answer.rows.iter().map(|row| row.name.clone()).collect();
        assert_eq!(names, [Some(Name::Text("user".to_owned()))]);
        assert_eq!(answer.rows[0].counts.refused, 3, "messages, not senders");
        let answer = subject.answer(by(Dimension::Class)).await;
        assert_eq!(answer.rows[0].name, Some(Name::Class(None)));
        assert_eq!((answer.total.refused, answer.total.accepted), (3, 0));
        subject.restart().await;
    }
}
