//! Looking at a queue that runs, on paused time.

#![allow(clippy::unwrap_used)]

use std::pin::Pin;

use proptest::prelude::*;

use super::*;
use crate::message::{Attempt, Class, DeliveryId, Message, MessageId, Origin, Progress, Timestamp};
use crate::queue::Settings;
use crate::queue::deliver::{AtMail, OpenContent};
use crate::queue::rehearsal::{Act, START, Script, deferred, delivered, message, seconds};
use crate::queue::stage::{Running, Stage};
use crate::spool::{Change, ChangeAction, Stop, StopOf};

fn request(rows_max: usize, cursor: Option<String>) -> PageRequest {
    PageRequest {
        cursor,
        rows_max,
        now: START,
    }
}

fn one_at_a_time() -> Settings {
    Settings {
        simultaneous_max: 1,
        ..Settings::default()
    }
}

async fn page(running: &Running, selection: Selection) -> Vec<(Row, Standing)> {
    let page = running
        .outlook
        .page(selection, WantedStanding::default(), request(1_000, None))
        .await;
    page.unwrap().rows
}

fn ids(rows: &[(Row, Standing)]) -> Vec<MessageId> {
    rows.iter().map(|(row, _)| row.message.id).collect()
}

/// Accepts a message of that user.
async fn accept(stage: &Stage, class: Class, user: u64, domain: u64) -> MessageId {
    let number = u128::from(stage.random());
    let recipient = format!("you@{domain}.example");
    let mut message = Message {
        class,
        ..message(number, stage.clock.now(), &[&recipient])
    };
    if let Origin::Submission(submission) = &mut message.origin {
        submission.user = format!("user{user}");
    }
    let id = message.id;
    stage.accept(message).await;
    id
}

async fn accept_many(stage: &Stage, many: u64) {
    for _ in 0..many {
        let random = stage.random();
        let class = Class::ALL[(random % 5) as usize];
        accept(stage, class, random >> 8 & 3, random >> 16 & 3).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn what_is_listed_is_the_order_in_which_mail_then_starts(seed in any::<u64>(), before in 0..40u64) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let stage = Stage::with_seed(seed);
            accept_many(&stage, 60).await;
            let slow = Act::End(seconds(1), delivered());
            let script = Script::new(std::iter::repeat_n(slow, 100));
            let running = stage.start(one_at_a_time(), script.clone());
            tokio::time::sleep(seconds(before) + Duration::from_millis(500)).await;
            let listed = page(&running, Selection::default()).await;
            let begun = script.seen().len();
            prop_assert_eq!(listed.len(), 60 - begun + 1);
            prop_assert_eq!(listed[0].0.state, QueueState::Active);
            prop_assert_eq!(&listed[0].1.reason, &Reason::Sending(None));
            for (place, (row, standing)) in listed[1..].iter().enumerate() {
                let in_line = standing.place.unwrap();
                prop_assert_eq!(in_line.number(), place as u64 + 1);
                let of_class = |class: Class| {
                    let ahead = listed[1..=place].iter();
                    ahead.filter(|(row, _)| row.message.class == class).count() as u64
                };
                prop_assert_eq!(in_line.ahead, Class::ALL.map(of_class));
                let expected = if place == 0 { Reason::RelayFull(1) } else { Reason::InLine };
                prop_assert_eq!(&standing.reason, &expected, "{:?}", row.delivery);
            }
            tokio::time::sleep(seconds(100)).await;
            let started: Vec<_> = script.seen()[begun..].iter().map(|seen| seen.message).collect();
            prop_assert_eq!(ids(&listed[1..]), started);
            running.stop().await;
            Ok(())
        })?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn what_is_stopped_is_listed_as_it_goes_when_it_is_started(seed in any::<u64>(), before in 0..40u64) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let stage = Stage::with_seed(seed);
            accept_many(&stage, 60).await;
            let slow = Act::End(seconds(1), delivered());
            let script = Script::new(std::iter::repeat_n(slow, 100));
            let running = stage.start(one_at_a_time(), script.clone());
            tokio::time::sleep(seconds(before) + Duration::from_millis(500)).await;
            let stop = Stop { of: StopOf::All, by: "ops".to_owned(), at: stage.clock.now() };
            stage.memory.stop(stop).await.unwrap();
            tokio::time::sleep(seconds(5)).await;
            let begun = script.seen().len();
            let listed = page(&running, Selection::default()).await;
            prop_assert_eq!(listed.len(), 60 - begun);
            for (_, standing) in &listed {
                prop_assert!(standing.place.is_none());
                prop_assert!(matches!(standing.reason, Reason::Stopped(_)));
            }
            let only_stopped = Selection { only_stopped: true, ..Selection::default() };
            prop_assert_eq!(ids(&page(&running, only_stopped.clone()).await), ids(&listed));
            let of_class = Selection { class: Some(Class::Normal), ..Selection::default() };
            let of_class = ids(&page(&running, of_class).await);
            let expected = listed.iter().filter(|(row, _)| row.message.class == Class::Normal);
            let expected: Vec<_> = expected.map(|(row, _)| row.message.id).collect();
            prop_assert_eq!(of_class, expected);
            stage.memory.start(StopOf::All).await.unwrap();
            tokio::time::sleep(seconds(100)).await;
            let started: Vec<_> = script.seen()[begun..].iter().map(|seen| seen.message).collect();
            prop_assert_eq!(ids(&listed), started);
            prop_assert!(page(&running, only_stopped).await.is_empty());
            running.stop().await;
            Ok(())
        })?;
    }
}

#[tokio::test(start_paused = true)]
async fn pages_follow_one_another_also_when_the_listing_was_forgotten() {
    let stage = Stage::new();
    accept_many(&stage, 50).await;
    let running = stage.start(one_at_a_time(), Script::new([Act::Hang]));
    tokio::time::sleep(seconds(1)).await;
    let whole = ids(&page(&running, Selection::default()).await);
    assert_eq!(whole.len(), 50);
    for wait in [Duration::ZERO, KEPT_FOR + seconds(1)] {
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let page = running
                .outlook
                .page(
                    Selection::default(),
                    WantedStanding::default(),
                    request(7, cursor),
                )
                .await
                .unwrap();
            assert!(page.rows.len() <= 7);
            found.extend(ids(&page.rows));
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
            let kept = |outlook: &Outlook| outlook.kept().listings.len();
            assert_eq!(kept(&running.outlook), 1);
            tokio::time::sleep(wait).await;
            assert_eq!(kept(&running.outlook), usize::from(wait.is_zero()));
        }
        assert_eq!(found, whole, "{wait:?}");
    }
    // Many who go on with nothing keep no more than a few.
    for _ in 0..10 {
        let begun = running.outlook.page(
            Selection::default(),
            WantedStanding::default(),
            request(1, None),
        );
        assert!(begun.await.unwrap().cursor.is_some());
    }
    assert_eq!(running.outlook.kept().listings.len(), KEPT_MAX);
    // Where each knows of many lines, of fewer still.
    let lines = running.outlook.kept().listings[0].begun.listing.lines();
    assert!((5..50).contains(&lines), "{lines}");
    for (kept_lines_max, kept) in [(lines - 1, 1), (lines, 2)] {
        let mut outlook = bounded(&running.outlook, STEPS_MAX, CATCH_UP_MAX);
        Arc::get_mut(&mut outlook.0).unwrap().bounds.kept_lines_max = kept_lines_max;
        for _ in 0..3 {
            let (all, wanted) = (Selection::default(), WantedStanding::default());
            let begun = outlook.page(all, wanted, request(1, None));
            assert!(begun.await.unwrap().cursor.is_some());
        }
        assert_eq!(outlook.kept().listings.len(), kept);
    }
    running.crash().await;
}

#[tokio::test(start_paused = true)]
async fn a_beginning_alone_keeps_nothing_and_can_be_gone_on_with() {
    let stage = Stage::new();
    accept_many(&stage, 50).await;
    let running = stage.start(one_at_a_time(), Script::new([Act::Hang]));
    tokio::time::sleep(seconds(1)).await;
    let whole = ids(&page(&running, Selection::default()).await);
    let (all, wanted) = (Selection::default(), WantedStanding::default());
    let beginning = running.outlook.beginning(all.clone(), wanted, 7);
    let beginning = beginning.await.unwrap();
    assert_eq!(ids(&beginning.rows), whole[..7]);
    assert!(running.outlook.kept().listings.is_empty());
    let next = request(100, beginning.cursor);
    let next = running.outlook.page(all.clone(), wanted, next).await;
    let next = next.unwrap();
    assert_eq!(ids(&next.rows), whole[7..]);
    assert!(next.cursor.is_none());
    let everything = running.outlook.beginning(all, wanted, 50).await.unwrap();
    assert_eq!(ids(&everything.rows), whole);
    running.crash().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_something_else_comes_when_that_is_and_what_is_held_last() {
    let stage = Stage::new();
    let failing = accept(&stage, Class::Normal, 1, 1).await;
    let active = accept(&stage, Class::Normal, 1, 2).await;
    let waiting = accept(&stage, Class::Normal, 1, 3).await;
    let held = accept(&stage, Class::VeryHigh, 1, 4).await;
    let change = Change {
        action: ChangeAction::Hold,
        by: "ops".to_owned(),
        at: START,
    };
    let selection = Selection::of_message(held);
    stage.memory.change(selection, change, false).await.unwrap();
    let script = Script::new([Act::End(Duration::ZERO, deferred()), Act::Hang]);
    let running = stage.start(one_at_a_time(), script);
    tokio::time::sleep(seconds(1)).await;
    let listed = page(&running, Selection::default()).await;
    assert_eq!(ids(&listed), [active, waiting, failing, held]);
    let reasons: Vec<&str> = listed.iter().map(|(_, of)| of.reason.name()).collect();
    assert_eq!(reasons, ["sending", "relay-full", "deferred", "held"]);
    let estimate = listed[2].1.estimate;
    assert!(estimate.is_none(), "one that is due is ahead of it");
    let only = |state| Selection {
        state: Some(state),
        ..Selection::default()
    };
    for (state, expected) in [
        (QueueState::Active, active),
        (QueueState::Waiting, waiting),
        (QueueState::Deferred, failing),
        (QueueState::Held, held),
    ] {
        assert_eq!(ids(&page(&running, only(state)).await), [expected]);
        let record = stage.record(expected).await;
        let standings = running.outlook.standings(&record).await.unwrap();
        let row = listed.iter().find(|(row, _)| row.message.id == expected);
        let (_, standing) = row.unwrap();
        assert_eq!(standings[0].reason, standing.reason);
    }
    let of_class = Selection {
        class: Some(Class::Normal),
        ..Selection::default()
    };
    let expected = [active, waiting, failing];
    assert_eq!(ids(&page(&running, of_class).await), expected);
    running.crash().await;
}

/// Looks at the same queue, and passes no more than that at once.
fn bounded(outlook: &Outlook, steps_max: usize, catch_up_max: u64) -> Outlook {
    let Shared {
        spool,
        deliver,
        clock,
        driver,
        ..
    } = &*outlook.0;
    let mut bounded = Outlook::new(
        Arc::clone(spool),
        Arc::clone(deliver),
        clock.clone(),
        driver.clone(),
    );
    Arc::get_mut(&mut bounded.0).unwrap().bounds = Bounds {
        steps_max,
        catch_up_max,
        ..bounded.0.bounds
    };
    bounded
}

#[tokio::test(start_paused = true)]
async fn a_page_passes_so_many_at_most_and_all_that_is_meant_comes() {
    let stage = Stage::new();
    accept_many(&stage, 50).await;
    let running = stage.start(one_at_a_time(), Script::new([Act::Hang]));
    tokio::time::sleep(seconds(1)).await;
    let of_user = Selection {
        user: Some("USER2".to_owned()),
        ..Selection::default()
    };
    let expected = ids(&page(&running, of_user.clone()).await);
    assert!((2..49).contains(&expected.len()), "{expected:?}");
    let outlook = bounded(&running.outlook, 5, 3);
    for wait in [Duration::ZERO, KEPT_FOR + seconds(1)] {
        let (mut found, mut cursors) = (Vec::new(), Vec::new());
        let mut empty = 0;
        loop {
            let request = request(100, cursors.last().cloned());
            let wanted = WantedStanding::default();
            let page = outlook.page(of_user.clone(), wanted, request);
            let page = page.await.unwrap();
            assert!(page.rows.len() <= 5_usize.div_ceil(LOOK_STEPS));
            empty += usize::from(page.rows.is_empty());
            found.extend(ids(&page.rows));
            let Some(cursor) = page.cursor else {
                break;
            };
            assert!(
                !cursors.contains(&cursor),
                "each page has a cursor of its own"
            );
            cursors.push(cursor);
            // Once it is forgotten, and then caught up with.
            if cursors.len() == 3 {
                tokio::time::sleep(wait).await;
            }
        }
        assert_eq!(found, expected, "{wait:?}");
        assert!(cursors.len() >= 50 / 5 && empty > 0);
    }
    running.crash().await;
}

/// Delivers as the script says, and says of all of it that it is paused but for one.
struct Paused {
    script: Arc<Script>,
    moves: MessageId,
}

impl Deliver for Paused {
    fn deliver(
        &self,
        message: Arc<Message>,
        delivery: Delivery,
        content: OpenContent,
        at_mail: AtMail,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send>> {
        self.script.deliver(message, delivery, content, at_mail)
    }

    fn under_way(&self) -> Vec<Progress> {
        let seen = self.script.seen().into_iter();
        let progress = seen.map(|seen| Progress {
            delivery: DeliveryId {
                message: seen.message,
                number: 0,
            },
            class: seen.class,
            octets: 2,
            sent: 1,
            paused: (seen.message != self.moves).then_some((seconds(1), self.moves)),
        });
        progress.collect()
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_paused_is_listed_by_itself() {
    let stage = Stage::new();
    let moves = accept(&stage, Class::VeryHigh, 1, 1).await;
    let paused = accept(&stage, Class::Normal, 1, 2).await;
    let settings = Settings {
        simultaneous_max: 2,
        ..Settings::default()
    };
    let script = Script::new([Act::Hang, Act::Hang]);
    let running = stage.start(settings, Arc::new(Paused { script, moves }));
    tokio::time::sleep(seconds(1)).await;
    let waiting = accept(&stage, Class::Normal, 1, 3).await;
    tokio::time::sleep(seconds(1)).await;
    let all = ids(&page(&running, Selection::default()).await);
    assert_eq!(all, [moves, paused, waiting]);
    let only_paused = WantedStanding {
        only_paused: true,
        ..WantedStanding::default()
    };
    let active = Selection {
        state: Some(QueueState::Active),
        ..Selection::default()
    };
    for selection in [Selection::default(), active] {
        let page = running
            .outlook
            .page(selection, only_paused, request(9, None));
        assert_eq!(ids(&page.await.unwrap().rows), [paused]);
    }
    running.crash().await;
}

#[tokio::test(start_paused = true)]
async fn a_cursor_of_somebody_else_is_refused_and_one_behind_the_end_ends() {
    let stage = Stage::new();
    accept_many(&stage, 3).await;
    let running = stage.start(one_at_a_time(), Script::new([Act::Hang]));
    tokio::time::sleep(seconds(1)).await;
    for cursor in [
        "", "x", "1", "1.", ".1", "1.2.3", "01.2", "1.-2", "+1.2", "1.02",
    ] {
        let request = request(10, Some(cursor.to_owned()));
        let refused = running
            .outlook
            .page(Selection::default(), WantedStanding::default(), request)
            .await;
        assert!(matches!(refused, Err(SpoolError::Unknown)), "{cursor}");
    }
    let far = request(10, Some(format!("1.{}", u64::MAX)));
    let page = running
        .outlook
        .page(Selection::default(), WantedStanding::default(), far)
        .await;
    let page = page.unwrap();
    assert!(page.rows.is_empty() && page.cursor.is_none());
    running.crash().await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_has_ended_is_not_waited_for() {
    let stage = Stage::new();
    let running = stage.start(Settings::default(), Script::new([]));
    let outlook = running.outlook.clone();
    running.stop().await;
    let page = outlook
        .page(
            Selection::default(),
            WantedStanding::default(),
            request(1, None),
        )
        .await;
    assert!(matches!(page, Err(SpoolError::Unavailable(_))));
}

#[tokio::test(start_paused = true)]
async fn what_is_far_behind_is_told_no_place() {
    let stage = Stage::new();
    let running = stage.start(one_at_a_time(), Script::new([Act::Hang]));
    accept(&stage, Class::High, 1, 1).await;
    tokio::time::sleep(seconds(1)).await;
    let long_ago = Timestamp::from_unix_milliseconds(START.unix_milliseconds() - 1);
    for number in 0..PLACES_MAX {
        stage
            .accept(message(number as u128, long_ago, &["you@b.example"]))
            .await;
    }
    let last = accept(&stage, Class::Normal, 0, 1).await;
    let other = stage.accept_to("you@b.example", Class::Normal).await;
    tokio::time::sleep(seconds(1)).await;
    let near = stage.record(last).await;
    let near = running.outlook.standings(&near).await.unwrap();
    assert!(near[0].place.is_some(), "its user has his turn soon");
    let far = stage.record(other).await;
    let far = running.outlook.standings(&far).await.unwrap();
    assert_eq!((far[0].place, &far[0].reason), (None, &Reason::InLine));
    running.crash().await;
}
