//! Attempts at hosts that have no room: where the mail goes meanwhile, and what that says of them.

use tokio::time::Instant;

use super::hosts::two_hosts;
use crate::delivery::Deliverer;
use crate::delivery::rehearsal::{Act, Mail, Script, World, brief, last_host, seconds};
use crate::message::{Attempt, Class, Contact};

#[tokio::test(start_paused = true)]
async fn a_host_that_answers_nobody_keeps_nobody_from_the_next_one() {
    let (host, other) = (Script::new().at("connect", Act::Hang), Script::new());
    let world = two_hosts(&host, &other).with(|settings| settings.connections_per_host_max = 1);
    let deliverer = world.deliverer();
    let mail = Mail::to(&["a@b.example"]);
    let begun = Instant::now();
    let timed = async || {
        let attempt = mail.deliver(&deliverer).await;
        (attempt, begun.elapsed())
    };
    let mut attempts = <[_; 3]>::from(tokio::join!(timed(), timed(), timed()));
    attempts.sort_by_key(|(_, took)| *took);
    // One finds neither a place nor room to wait, one waits for a place, and one for an answer.
    for ((attempt, took), expected) in attempts.into_iter().zip([0, 30, 300]) {
        assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
        assert_eq!(last_host(&attempt).unwrap().name, "mx2.example");
        assert_eq!(took, seconds(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_at_a_host_that_answers_nobody_says_nothing_good_of_it() {
    let host = Script::new().at("connect", Act::Hang);
    let world = World::of(&host).with(|settings| settings.connections_per_host_max = 1);
    let deliverer = world.deliverer();
    let mail = Mail::to(&["a@b.example"]);
    let (first, second, third) = tokio::join!(
        mail.deliver(&deliverer),
        mail.deliver(&deliverer),
        mail.deliver(&deliverer)
    );
    let mut contacts = [first, second, third].map(|attempt| attempt.contact);
    contacts.sort();
    let expected = [Contact::Missed, Contact::Missed, Contact::Crowded];
    assert_eq!(contacts, expected);
}

#[tokio::test(start_paused = true)]
async fn who_finds_enough_waiting_at_a_host_asks_those_of_equal_preference() {
    let slow = || Script::new().at(".", Act::Late(seconds(5), "250 2.0.0 Taken\r\n"));
    let (host, other) = (slow(), slow());
    let world = World::new()
        .mx("b.example", 10, "mx1.example", "192.0.2.1")
        .mx("b.example", 10, "mx2.example", "192.0.2.2")
        .host("192.0.2.1:25", &host)
        .host("192.0.2.2:25", &other)
        .with(|settings| settings.connections_per_host_max = 1);
    let deliverer = world.deliverer();
    let mail = Mail::to(&["a@b.example"]);
    let begun = Instant::now();
    let third = async {
        tokio::time::sleep(seconds(1)).await;
        let attempt = mail.deliver(&deliverer).await;
        assert_eq!(begun.elapsed(), seconds(6));
        attempt
    };
    let (first, second, third) =
        tokio::join!(mail.deliver(&deliverer), mail.deliver(&deliverer), third);
    for attempt in [first, second, third] {
        assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    }
    assert_eq!(
        (host.seen().most_at_once, other.seen().most_at_once),
        (1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn who_leaves_a_connection_that_was_handed_over_has_its_place() {
    let host = Script::new().at(".", Act::Late(seconds(5), "250 2.0.0 Taken\r\n"));
    // One message a session.
    let full = Act::Say("452 4.5.3 Too many messages\r\n");
    let host = host.times(1, "MAIL", Act::Usual).times(1, "MAIL", full);
    let world = World::of(&host).with(|settings| settings.connections_per_host_max = 1);
    let deliverer = world.deliverer();
    let mail = Mail::to(&["a@b.example"]);
    let (first, second) = tokio::join!(mail.deliver(&deliverer), mail.deliver(&deliverer));
    for attempt in [first, second] {
        assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    }
    assert_eq!((host.seen().connections, host.seen().most_at_once), (2, 1));
}

/// An attempt at a message of a class that begins after so many seconds.
async fn delivered_after(deliverer: &Deliverer, class: Class, after: u64) -> Attempt {
    tokio::time::sleep(seconds(after)).await;
    let mut mail = Mail::to(&["a@b.example"]);
    mail.message.class = class;
    mail.deliver(deliverer).await
}

#[tokio::test(start_paused = true)]
async fn who_is_more_urgent_waits_for_a_place_in_front_of_the_others_and_sends_the_last_one_away() {
    let host = Script::new().at(".", Act::Late(seconds(5), "250 2.0.0 Taken\r\n"));
    // One of the two is kept for very-high mail, and two wait.
    let world = World::of(&host).with(|settings| settings.connections_per_host_max = 2);
    let deliverer = world.deliverer();
    let begun = Instant::now();
    let timed = async |class, after| {
        let attempt = delivered_after(&deliverer, class, after).await;
        (attempt.contact, begun.elapsed())
    };
    let attempts = <[_; 4]>::from(tokio::join!(
        timed(Class::Low, 0),
        timed(Class::Low, 1),
        timed(Class::Low, 2),
        timed(Class::High, 3),
    ));
    let expected = [
        (Contact::Ready, seconds(5)),
        (Contact::Ready, seconds(15)),
        (Contact::Crowded, seconds(3)),
        (Contact::Ready, seconds(10)),
    ];
    assert_eq!(attempts, expected);
}

#[tokio::test(start_paused = true)]
async fn what_waits_at_a_full_host_goes_on_after_a_very_high_message_and_its_place_is_kept_again() {
    let host = Script::new().at(".", Act::Late(seconds(5), "250 2.0.0 Taken\r\n"));
    // One of the two is kept for very-high mail.
    let world = World::of(&host).with(|settings| settings.connections_per_host_max = 2);
    let deliverer = world.deliverer();
    let begun = Instant::now();
    let timed = async |class, after| {
        let attempt = delivered_after(&deliverer, class, after).await;
        (brief(&attempt).join(" "), begun.elapsed())
    };
    let attempts = <[_; 5]>::from(tokio::join!(
        timed(Class::Low, 0),
        timed(Class::VeryHigh, 1),
        timed(Class::Low, 2),
        timed(Class::Low, 7),
        timed(Class::VeryHigh, 12),
    ));
    // The first two are under way at once, then one, and one more when that is very high.
    let expected = [5, 6, 11, 16, 17].map(seconds);
    for ((said, at), expected) in attempts.into_iter().zip(expected) {
        assert_eq!((said.as_str(), at), ("delivered 250 2.0.0", expected));
    }
    let seen = host.seen();
    assert_eq!((seen.most_at_once, seen.connections), (2, 3));
}
