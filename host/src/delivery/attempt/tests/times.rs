//! Priority and deadline of a message: handed on to hosts that list them, and what becomes of the others.

use outpost_smtp::ByMode;

use super::*;
use crate::delivery::rehearsal::NOW;
use crate::message::DeliverBy;

const EXTENSIONS: [&str; 3] = ["PIPELINING", "MT-PRIORITY", "DELIVERBY 60"];

fn mail(mode: ByMode, seconds_left: u64) -> Mail {
    let mut mail = Mail::to(&["you@b.example"]);
    mail.message.envelope.mt_priority = Some(-9);
    mail.message.envelope.deliver_by = Some(DeliverBy {
        until: NOW.plus(seconds(seconds_left)),
        mode,
        trace: true,
    });
    mail
}

#[tokio::test]
async fn a_host_that_lists_them_is_told_the_priority_and_what_is_left_of_the_time() {
    let host = Script::new().listing(&EXTENSIONS);
    let mail = mail(ByMode::Return, 90);
    let attempt = mail.deliver(&World::of(&host).deliverer()).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    assert_eq!(
        host.seen().commands[1],
        "MAIL FROM:<me@a.example> MT-PRIORITY=-9 BY=90;RT"
    );
    assert!(last_host(&attempt).unwrap().deliver_by);
}

#[tokio::test]
async fn a_host_that_does_not_list_them_is_not_told() {
    let host = Script::new();
    let mail = mail(ByMode::Notify, 90);
    let attempt = mail.deliver(&World::of(&host).deliverer()).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    let command = &host.seen().commands[1];
    assert!(!command.contains("PRIORITY") && !command.contains("BY="));
    assert!(!last_host(&attempt).unwrap().deliver_by);
}

#[tokio::test]
async fn what_is_to_come_back_in_time_goes_only_to_hosts_that_see_to_it() {
    for (extensions, seconds_left, outcome) in [
        (&EXTENSIONS[..], 60, "delivered 250 2.0.0"),
        (&EXTENSIONS[..], 59, "bounced 554 5.4.7 local"),
        (&EXTENSIONS[..2], 9_000, "bounced 554 5.4.7 local"),
        (&EXTENSIONS[..], 0, "bounced 554 5.4.7 local"),
    ] {
        let host = Script::new().listing(extensions);
        let mail = mail(ByMode::Return, seconds_left);
        let attempt = mail.deliver(&World::of(&host).deliverer()).await;
        assert_eq!(brief(&attempt), [outcome], "{extensions:?} {seconds_left}");
    }
    // Another host of the domain may list more.
    let plain = Script::new().listing(&[]);
    let good = Script::new().listing(&EXTENSIONS);
    let world = World::new()
        .mx("b.example", 10, "plain.example", "192.0.2.1")
        .mx("b.example", 20, "good.example", "192.0.2.2")
        .host("192.0.2.1:25", &plain)
        .host("192.0.2.2:25", &good);
    let attempt = mail(ByMode::Return, 90).deliver(&world.deliverer()).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    assert_eq!(plain.verbs(), "EHLO");
    assert_eq!(good.seen().contents, [CONTENT]);
}
