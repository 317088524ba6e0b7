//! Sends that are paused for a very-high message: what the host gets is what it gets without.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::delivery::Deliverer;
use crate::delivery::rehearsal::{
    Act, Certificate, EVERYTHING, Mail, Pieces, Script, World, brief,
};
use crate::message::{Attempt, Class, Contact, PauseEnd};
use crate::spool::{BrokenOff, Content, Pending, SpoolError};

const SECOND: Duration = Duration::from_secs(1);

/// A message has begun, and something very high may begin before its content.
const SLOW_RCPT: Act = Act::Late(SECOND, "250 2.1.5 Fine\r\n");

/// Lines that begin with dots now and then, and no two alike.
fn long() -> String {
    let lines = (0..2_000).map(|number| match number % 3 {
        0 => format!(".{number} with a dot\r\n"),
        _ => format!("{number} without\r\n"),
    });
    format!("Subject: Long\r\n\r\n{}", lines.collect::<String>())
}

/// A very-high message is being sent elsewhere: it begins after a time and moves for five seconds.
async fn very_high(deliverer: &Deliverer, begins_after: Duration) {
    sleep(begins_after).await;
    let mut urgent = Mail::to(&["a@elsewhere.example"]);
    urgent.message.class = Class::VeryHigh;
    let passage = deliverer.gate.enter(&urgent.message, &urgent.delivery);
    let transacting = passage.begin();
    let mut pulse = passage.pulse().unwrap();
    for _ in 0..5 {
        sleep(SECOND).await;
        pulse.has_heard();
    }
    drop(transacting);
}

/// Delivers beside one.
async fn beside_very_high(deliverer: &Deliverer, mail: &Mail, begins_after: Duration) -> Attempt {
    let urgent = very_high(deliverer, begins_after);
    let (attempt, ()) = tokio::join!(mail.deliver(deliverer), urgent);
    attempt
}

#[tokio::test(start_paused = true)]
async fn a_content_arrives_as_it_is_whether_by_data_in_chunks_or_under_tls() {
    let certificate = Certificate::new();
    let with_chunks = [&EVERYTHING[..], &["CHUNKING"]].concat();
    for (name, script) in [
        ("DATA", Script::new()),
        ("BDAT", Script::new().listing(&with_chunks)),
        ("TLS", Script::new().with_tls(&certificate.server)),
        (
            "BDAT under TLS",
            Script::new()
                .listing(&with_chunks)
                .with_tls(&certificate.server),
        ),
    ] {
        let script = script.at("RCPT", SLOW_RCPT);
        let deliverer = World::of(&script).deliverer();
        let mail = Mail::to(&["a@b.example"]).with_content(long(), 5_000);
        let begun = Instant::now();
        let attempt = beside_very_high(&deliverer, &mail, SECOND / 2).await;
        assert!(
            begun.elapsed() >= 5 * SECOND,
            "{name}: {:?}",
            begun.elapsed()
        );
        assert_eq!(brief(&attempt), ["delivered 250 2.0.0"], "{name}");
        let seen = script.seen();
        assert!(seen.contents == [long()], "{name}: not as it was");
        assert_eq!(seen.connections, 1, "{name}");
        let [pause] = &attempt.pauses[..] else {
            panic!("{name}: {:?}", attempt.pauses);
        };
        assert_eq!(pause.end, PauseEnd::Resumed, "{name}");
        assert!(pause.took > 4 * SECOND, "{name}: {pause:?}");
    }
}

/// A content that breaks off when it is told to.
struct Breaking(Pieces, Arc<Notify>);

impl Content for Breaking {
    fn next(&mut self) -> Pending<'_, Option<Bytes>> {
        self.0.next()
    }

    fn broken_off(&self) -> BrokenOff {
        let broken = Arc::clone(&self.1);
        Box::pin(async move {
            broken.notified().await;
            SpoolError::Cancelled
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_cancelled_while_it_is_paused_is_broken_off_at_once() {
    for tunnel in [false, true] {
        let script = Script::new().at("RCPT", SLOW_RCPT);
        let world = World::of(&script).with(|settings| settings.mt_priority_tunnel = tunnel);
        let deliverer = world.deliverer();
        let mail = Mail::to(&["a@b.example"]).with_content(long(), 64 * 1024);
        let broken = Arc::new(Notify::new());
        let open = || -> Pending<'static, Box<dyn Content>> {
            let pieces = Pieces(vec![Bytes::from(long())]);
            let content = Breaking(pieces, Arc::clone(&broken));
            Box::pin(async { Ok(Box::new(content) as Box<dyn Content>) })
        };
        let cancel = async {
            sleep(2 * SECOND).await;
            let under_way = deliverer.gate.under_way();
            assert!(under_way.iter().any(|send| send.paused.is_some()));
            broken.notify_one();
        };
        let begun = Instant::now();
        let attempted = async {
            let attempt = deliverer
                .deliver(&mail.message, &mail.delivery, &open)
                .await;
            (attempt, begun.elapsed())
        };
        let urgent = very_high(&deliverer, SECOND / 2);
        let ((attempt, took), (), ()) = tokio::join!(attempted, cancel, urgent);
        assert_eq!(brief(&attempt), ["deferred 451 4.3.0 local"]);
        assert_eq!(took, 2 * SECOND);
        let [pause] = &attempt.pauses[..] else {
            panic!("{:?}", attempt.pauses);
        };
        assert_eq!((pause.end, pause.took), (PauseEnd::Broken, SECOND));
        assert!(script.seen().contents.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_not_begun_gives_way_and_leaves_its_connection_to_who_comes_next() {
    let script = Script::new();
    let deliverer = World::of(&script).deliverer();
    let mail = Mail::to(&["a@b.example"]);
    // It has a connection to open before MAIL, and something very high begins meanwhile.
    let attempt = beside_very_high(&deliverer, &mail, Duration::ZERO).await;
    assert_eq!(attempt.contact, Contact::GaveWay);
    assert!(attempt.outcomes().is_empty() && attempt.mail_ago.is_none());
    let has_begun = |script: &Script| {
        let seen = script.seen().commands;
        seen.iter().any(|line| line.starts_with("MAIL"))
    };
    assert!(!has_begun(&script));
    let attempt = mail.deliver(&deliverer).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    assert!(has_begun(&script));
    assert_eq!(script.seen().connections, 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_has_begun_goes_on_to_its_next_recipients() {
    let script = Script::new().at(".", Act::Late(SECOND, "250 2.0.0 Taken\r\n"));
    let world = World::of(&script).with(|settings| settings.recipients_per_transaction_max = 1);
    let deliverer = world.deliverer();
    let content = format!("Subject: Two\r\n\r\n{}", "a line\r\n".repeat(2_000));
    let mail = Mail::to(&["a@b.example", "b@b.example"]).with_content(content, 5_000);
    let attempt = beside_very_high(&deliverer, &mail, SECOND / 2).await;
    assert_eq!(
        brief(&attempt),
        ["delivered 250 2.0.0", "delivered 250 2.0.0"]
    );
    let [pause] = &attempt.pauses[..] else {
        panic!("{:?}", attempt.pauses);
    };
    assert!(pause.took > 4 * SECOND, "{pause:?}");
}

#[tokio::test(start_paused = true)]
async fn a_send_whose_final_dot_has_left_is_not_paused() {
    let late = Act::Late(3 * SECOND, "250 2.0.0 Taken\r\n");
    let script = Script::new().at(".", late);
    let deliverer = World::of(&script).deliverer();
    let mail = Mail::to(&["a@b.example"]);
    let begun = Instant::now();
    let taken = async {
        let attempt = mail.deliver(&deliverer).await;
        (attempt, begun.elapsed())
    };
    let other = Mail::to(&["a@b.example"]);
    let urgent = beside_very_high(&deliverer, &other, SECOND);
    let ((attempt, took), _) = tokio::join!(taken, urgent);
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    assert_eq!((attempt.pauses.len(), took), (0, 3 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn what_follows_the_first_line_of_a_first_chunk_asks_when_it_may_leave() {
    let with_chunks = [&EVERYTHING[..], &["CHUNKING"]].concat();
    let late = Act::Late(3 * SECOND, "250 2.0.0 Taken\r\n");
    let script = Script::new().listing(&with_chunks).at("BDAT", late);
    let deliverer = World::of(&script).deliverer();
    let mail = Mail::to(&["a@b.example"]).with_content(long(), 5_000);
    // It begins while the host thinks about the first line, and moves for three seconds more when it has.
    let attempt = beside_very_high(&deliverer, &mail, SECOND).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    assert!(script.seen().contents == [long()]);
    let [pause] = &attempt.pauses[..] else {
        panic!("{:?}", attempt.pauses);
    };
    assert_eq!(pause.end, PauseEnd::Resumed);
    assert_eq!(pause.took, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_small_content_that_trickles_to_its_end_says_so() {
    let script = Script::new().at("RCPT", SLOW_RCPT);
    let deliverer = World::of(&script).deliverer();
    let content = format!("Subject: Small\r\n\r\n{}", "a line\r\n".repeat(200));
    let mail = Mail::to(&["a@b.example"]).with_content(content, 5_000);
    let attempt = beside_very_high(&deliverer, &mail, SECOND / 2).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    let [pause] = &attempt.pauses[..] else {
        panic!("{:?}", attempt.pauses);
    };
    assert_eq!(pause.end, PauseEnd::Finished);
    assert!(pause.took > SECOND && pause.took < 5 * SECOND, "{pause:?}");
}

#[tokio::test(start_paused = true)]
async fn very_high_mail_for_a_host_that_hangs_holds_others_for_some_seconds_in_all() {
    let without_pipelining = ["8BITMIME"];
    for command in ["MAIL", "RCPT", "DATA", "."] {
        for extensions in [&EVERYTHING[..], &without_pipelining] {
            let script = Script::new().listing(extensions).at(command, Act::Hang);
            let held = held_by_twelve(&script, command).await;
            assert!(
                held > SECOND && held < 4 * SECOND,
                "{command}, {extensions:?}: {held:?}"
            );
        }
    }
}

/// Twelve very-high messages, one a second: for how long they hold a send to another host.
async fn held_by_twelve(script: &Script, command: &str) -> Duration {
    let deliverer = World::of(script).deliverer();
    let bulk = Mail::to(&["a@elsewhere.example"]);
    let bulk = deliverer.gate.enter(&bulk.message, &bulk.delivery);
    let mut hanging = JoinSet::new();
    let submits = async {
        for _ in 0..12 {
            let deliverer = deliverer.clone();
            hanging.spawn(async move {
                let mut urgent = Mail::to(&["a@b.example"]);
                urgent.message.class = Class::VeryHigh;
                urgent.deliver(&deliverer).await
            });
            sleep(SECOND).await;
        }
    };
    let goes_on = async {
        loop {
            bulk.permit(10_000).await;
            sleep(SECOND / 100).await;
        }
    };
    tokio::select! {
        () = submits => {}
        () = goes_on => {}
    }
    let seen = script.seen().commands;
    let seen = seen.iter().filter(|line| line.starts_with("MAIL"));
    assert_eq!(seen.count(), 12, "{command}");
    bulk.finish().iter().map(|pause| pause.took).sum()
}
