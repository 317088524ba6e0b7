//! Figures of records that are written by hand.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::demo::record::tests::Hop;
use crate::demo::scene::tests::{id, plan};
use crate::sink::Event;

const TRICKLE: u32 = 600;

/// A record of two letters that stop for the reset and go on, and what the test does to it at the moment when they
/// stand still. Milliseconds.
struct Story {
    plan: Plan,
    hop: Hop,
    first: u64,
    second: u64,
    reset: u64,
}

impl Story {
    /// Up to the first octets of the reset.
    fn begin() -> Self {
        let plan = plan();
        let recipients: Vec<_> = plan
            .letters
            .iter()
            .map(|letter| &*letter.recipient)
            .collect();
        let mut hop = Hop::new(&recipients);
        let first = hop.begin(ms(0), recipients[1]);
        let second = hop.begin(ms(0), recipients[2]);
        hop.chunk(ms(10), first, 200_000);
        hop.chunk(ms(15), second, 100_000);
        let reset = hop.begin(ms(1_003), recipients[RESET]);
        hop.chunk(ms(1_010), reset, 50_000);
        // One was on its way, the other had stopped.
        hop.chunk(ms(1_018), first, 20_000);
        Self {
            plan,
            hop,
            first,
            second,
            reset,
        }
    }

    /// The reset arrives, and the others go on to their ends.
    fn end(&mut self) {
        let digests: Vec<_> = self.plan.letters.iter().map(Letter::body_digest).collect();
        self.hop.chunk(ms(1_700), self.first, 600);
        self.hop.chunk(ms(2_900), self.reset, 1_950_000);
        self.hop.end(ms(3_000), self.reset, &digests[RESET]);
        self.hop.chunk(ms(3_004), self.second, 20_000);
        self.hop.chunk(ms(3_050), self.first, 20_000);
        self.hop.end(ms(4_000), self.first, &digests[1]);
        self.hop.end(ms(4_000), self.second, &digests[2]);
    }

    fn figures(&self, attempts: &[u32]) -> Figures {
        let accepted = |number: u128, unix_us| {
            let id = id(number);
            Some(Accepted { id, unix_us })
        };
        let accepted = [accepted(0, ms(1_000)), accepted(1, 0), accepted(2, 0)];
        Figures::new(&self.plan, &self.hop.record, &accepted, attempts, TRICKLE)
    }
}

/// Of two letters that stopped and went on.
pub(in crate::demo) fn of_a_story() -> Figures {
    let mut story = Story::begin();
    story.end();
    story.figures(&[0, 0, 0])
}

fn ms(milliseconds: u64) -> u64 {
    milliseconds * 1_000
}

#[test]
fn a_pause_is_reckoned_from_the_chunks_of_the_next_hop() {
    let mut story = Story::begin();
    story.end();
    let figures = story.figures(&[0, 0, 0]);
    assert_eq!(figures.failed(), Vec::<&str>::new());
    assert_eq!(figures.very_high.acceptance_to_mail_us, ms(3));
    assert_eq!(figures.very_high.acceptance_to_last_reply_us, ms(2_000));
    let gap = |index: usize| figures.others[index].gap.unwrap();
    let first = Gap {
        stopped_at_octets: 220_000,
        stopped_after_us: ms(8),
        went_on_after_us: Some(ms(50)),
        paused_us: ms(2_032),
        trickled_octets: 600,
    };
    assert_eq!(gap(0), first);
    let second = Gap {
        stopped_at_octets: 100_000,
        stopped_after_us: 0,
        went_on_after_us: Some(ms(4)),
        paused_us: ms(2_989),
        trickled_octets: 0,
    };
    assert_eq!(gap(1), second);
    let text = figures.to_string();
    for line in [
        "password reset 3.0 ms from acceptance to MAIL, 2.00 s to the last reply",
        "newsletter 1         8.0 ms    22 %    2.03 s    600 octets         50 ms",
        "yes  they went on 4.0 ms after its last reply, the last in turn 50 ms after it",
        "yes  no attempt was charged for it",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}\n{text}");
    }
    let json = figures.to_json();
    assert_eq!(json["holds"], true);
    assert_eq!(json["very_high"]["acceptance_to_mail_us"], 3_000);
    assert_eq!(json["others"][0]["paused_us"], 2_032_000);
    assert_eq!(json["others"][0]["label"], "newsletter 1");
}

#[track_caller]
fn check(story: &Story, attempts: &[u32], failed: &[&str]) {
    let figures = story.figures(attempts);
    assert_eq!(figures.failed(), failed);
    let text = figures.to_string();
    let told = text.lines().filter(|line| line.starts_with(" NO  "));
    assert_eq!(told.count(), failed.len(), "{text}");
    assert_eq!(figures.to_json()["holds"], failed.is_empty());
}

#[test]
fn what_does_not_stop_is_told() {
    let mut story = Story::begin();
    story.hop.chunk(ms(2_100), story.second, 20_000);
    story.end();
    check(&story, &[0, 0, 0], &["the others stopped"]);
}

#[test]
fn more_than_a_trickle_is_told() {
    let mut story = Story::begin();
    for number in 0..5 {
        story.hop.chunk(ms(1_100 + number), story.first, 600);
    }
    story.end();
    check(&story, &[0, 0, 0], &["the others trickled only"]);
}

#[test]
fn what_is_passed_by_nothing_is_told() {
    // Nothing is under way when it comes.
    let plan = plan();
    let recipients: Vec<_> = plan
        .letters
        .iter()
        .map(|letter| &*letter.recipient)
        .collect();
    let mut hop = Hop::new(&recipients);
    for (number, letter) in plan.letters.iter().enumerate() {
        let at = number as u64 * 1_000;
        let connection = hop.begin(ms(at), &letter.recipient);
        hop.chunk(ms(at + 1), connection, 10);
        hop.end(ms(at + 2), connection, &letter.body_digest());
    }
    let story = Story {
        plan: plan.clone(),
        hop,
        first: 0,
        second: 0,
        reset: 0,
    };
    check(
        &story,
        &[0, 0, 0],
        &[
            "the reset was first",
            "the others stopped",
            "the others went on",
        ],
    );
}

#[test]
fn what_arrives_before_the_reset_is_told() {
    let mut story = Story::begin();
    let digest = story.plan.letters[1].body_digest();
    story.hop.end(ms(1_020), story.first, &digest);
    let digests: Vec<_> = story.plan.letters.iter().map(Letter::body_digest).collect();
    story.hop.end(ms(3_000), story.reset, &digests[RESET]);
    story.hop.chunk(ms(3_004), story.second, 20_000);
    story.hop.end(ms(4_000), story.second, &digests[2]);
    check(
        &story,
        &[0, 0, 0],
        &["the reset was first", "the others went on"],
    );
}

#[test]
fn a_body_that_has_changed_is_told() {
    let mut story = Story::begin();
    story.hop.end(ms(3_000), story.reset, "another");
    story.hop.chunk(ms(3_001), story.first, 20_000);
    story.hop.chunk(ms(3_001), story.second, 20_000);
    let digests: Vec<_> = story.plan.letters.iter().map(Letter::body_digest).collect();
    story.hop.end(ms(4_000), story.first, &digests[1]);
    story.hop.end(ms(4_000), story.second, &digests[2]);
    check(&story, &[0, 0, 0], &["every body is intact"]);
}

#[test]
fn a_second_connection_and_a_charged_attempt_are_told() {
    let mut story = Story::begin();
    let broken = Event::Broken {
        message: 1,
        octets: 100_000,
    };
    story.hop.tell(ms(1_005), story.second, broken);
    story.hop.tell(ms(1_005), story.second, Event::Disconnect);
    let recipient = story.plan.letters[2].recipient.clone();
    story.second = story.hop.begin(ms(1_006), &recipient);
    story.hop.chunk(ms(1_007), story.second, 10_000);
    story.end();
    check(
        &story,
        &[0, 0, 1],
        &[
            "each came once, on one connection",
            "no attempt was charged",
        ],
    );
    // What nobody can tell of is no proof.
    let mut story = Story::begin();
    story.end();
    check(&story, &[0, 0], &["no attempt was charged"]);
}

#[test]
fn times_are_short() {
    for (microseconds, text) in [
        (0, "0 ms"),
        (40, "0.0 ms"),
        (1_234, "1.2 ms"),
        (17_400, "17 ms"),
        (999_400, "999 ms"),
        (2_041_000, "2.04 s"),
    ] {
        assert_eq!(time_text(microseconds), text);
    }
}
