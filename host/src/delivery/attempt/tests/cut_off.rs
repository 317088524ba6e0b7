//! Attempts that the relay cuts off when it stops: how far they had come is known, and told.

use super::*;
use crate::delivery::rehearsal::{Certificate, EVERYTHING};
use crate::message::{Class, Contact, PauseEnd};

/// More than what fits between us and a host that has stopped reading.
const OCTETS: usize = 200_000;

fn long() -> String {
    let line = "Nothing in it matters.\r\n";
    format!("Subject: Long\r\n\r\n{}", line.repeat(OCTETS / line.len()))
}

/// An attempt that is cut off when nothing moves any more.
async fn cut_off(mail: &Mail, deliverer: &Deliverer) -> Attempt {
    let stop = async {
        tokio::time::sleep(seconds(5)).await;
        deliverer.gate.close();
    };
    let begun = Instant::now();
    let (attempt, ()) = tokio::join!(mail.deliver(deliverer), stop);
    assert_eq!(begun.elapsed(), seconds(5), "it ends at once");
    attempt
}

/// The last line of the last dialogue.
fn last_words(attempt: &Attempt) -> String {
    let (_, dialogue) = attempt.dialogues.last().unwrap();
    dialogue.transcript.lines().pop().unwrap().text.to_string()
}

#[tokio::test(start_paused = true)]
async fn before_the_end_of_the_content_it_says_how_far_it_had_come_and_comes_once() {
    let certificate = Certificate::new();
    for (name, script) in [
        ("clear", Script::new()),
        ("TLS", Script::new().with_tls(&certificate.server)),
    ] {
        let host = script.at("DATA", Act::StopReading);
        let mail = Mail::to(&["a@b.example"]).with_content(long(), 5_000);
        let attempt = cut_off(&mail, &World::of(&host).deliverer()).await;
        assert_eq!(brief(&attempt), ["deferred 451 4.3.2 local"], "{name}");
        assert_eq!(attempt.contact, Contact::CutOff, "{name}");
        assert!(!attempt.is_unknown(), "{name}");
        assert_eq!(last_host(&attempt).unwrap().name, "mx.example", "{name}");
        let said = attempt.outcomes()[0].0.outcome.reply().text.clone();
        let (before, of) = said.rsplit_once(" of ").unwrap();
        let sent = before.strip_prefix("Cut off by a stop of the relay after ");
        let sent: usize = sent.unwrap().parse().unwrap();
        assert!(sent > 50_000 && sent < mail.content.len(), "{said}");
        assert_eq!(of, format!("{} octets", mail.content.len()));
        let note = format!("[the relay stops: cut off after {sent} of {of}]");
        assert_eq!(last_words(&attempt), note, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn behind_the_end_of_the_content_it_may_come_twice() {
    let with_chunks = [&EVERYTHING[..], &["CHUNKING"]].concat();
    let certificate = Certificate::new();
    let all = CONTENT.len();
    for (name, host) in [
        ("DATA", Script::new().at(".", Act::Hang)),
        (
            "TLS",
            Script::new()
                .with_tls(&certificate.server)
                .at(".", Act::Hang),
        ),
        (
            "BDAT",
            Script::new()
                .listing(&with_chunks)
                .times(1, "BDAT", Act::Usual)
                .at("BDAT", Act::Hang),
        ),
    ] {
        let mail = Mail::to(&["a@b.example"]);
        let attempt = cut_off(&mail, &World::of(&host).deliverer()).await;
        assert_eq!(brief(&attempt), ["deferred 451 4.3.2 local"], "{name}");
        assert_eq!(attempt.contact, Contact::CutOff, "{name}");
        assert!(attempt.is_unknown(), "{name}");
        let note = format!("[the relay stops: cut off after {all} of {all} octets]");
        assert_eq!(last_words(&attempt), note, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_decided_before_stands() {
    let host = Script::new()
        .listing(&[])
        .at("RCPT TO:<bad", Act::Say("550 5.1.1 Nobody\r\n"))
        .times(1, ".", Act::Usual)
        .at(".", Act::Hang);
    let world = World::of(&host).with(|settings| settings.recipients_per_transaction_max = 1);
    let deliverer = world.deliverer();
    let mail = Mail::to(&["bad@b.example", "a@b.example", "b@b.example", "c@b.example"]);
    let attempt = cut_off(&mail, &deliverer).await;
    assert_eq!(
        brief(&attempt),
        [
            "bounced 550 5.1.1",
            "delivered 250 2.0.0",
            "deferred 451 4.3.2 local",
            "deferred 451 4.3.2 local"
        ]
    );
    // It is known of whom it is not known.
    let unknown = attempt.visits.iter().filter(|visit| visit.unknown);
    let unknown: Vec<u32> = unknown
        .flat_map(|visit| visit.outcomes.iter().map(|outcome| outcome.recipient))
        .collect();
    assert_eq!(unknown, [2]);
}

#[tokio::test(start_paused = true)]
async fn where_no_host_has_heard_of_it_nothing_was_said() {
    let world = World::new().mx("b.example", 10, "mx.example", "192.0.2.1");
    let host = Script::new().at("connect", Act::Hang);
    let deliverer = world.host("192.0.2.1:25", &host).deliverer();
    let attempt = cut_off(&Mail::to(&["a@b.example"]), &deliverer).await;
    assert_eq!(brief(&attempt), ["deferred 451 4.3.2 local"]);
    assert_eq!(attempt.contact, Contact::CutOff);
    assert!(attempt.dialogues.is_empty() && !attempt.is_unknown());
    assert_eq!(attempt.mail_ago, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_paused_is_cut_off_where_it_stands() {
    // It has begun before the very-high one does.
    let host = Script::new().at("RCPT", Act::Late(seconds(1), "250 2.1.5 Fine\r\n"));
    let deliverer = World::of(&host).deliverer();
    let mut urgent = Mail::to(&["a@elsewhere.example"]);
    urgent.message.class = Class::VeryHigh;
    let passage = deliverer.gate.enter(&urgent.message, &urgent.delivery);
    let beating = async {
        let beat = Duration::from_millis(100);
        tokio::time::sleep(beat).await;
        let transacting = passage.begin();
        let mut pulse = passage.pulse().unwrap();
        for _ in 1..50 {
            tokio::time::sleep(beat).await;
            pulse.has_heard();
        }
        // It is cut off in the same moment.
        drop(transacting);
    };
    let mail = Mail::to(&["a@b.example"]).with_content(long(), 5_000);
    let (attempt, ()) = tokio::join!(cut_off(&mail, &deliverer), beating);
    assert_eq!(brief(&attempt), ["deferred 451 4.3.2 local"]);
    assert!(!attempt.is_unknown());
    let [pause] = &attempt.pauses[..] else {
        panic!("{:?}", attempt.pauses);
    };
    assert_eq!(pause.end, PauseEnd::Broken);
    assert_eq!(host.seen().contents.len(), 0);
}
