//! Attempts with several hosts: who is asked after whom, and what stands in the end.

use tokio::time::Instant;

use crate::delivery::attempt::HOSTS_REACHED_MAX;
use crate::delivery::rehearsal::{Act, Mail, Script, World, brief, last_host, seconds};
use crate::message::{Contact, NextHop};

/// The mail of b.example is taken by `first`, and if it does not, by `second`.
pub(super) fn two_hosts(first: &Script, second: &Script) -> World {
    World::new()
        .mx("b.example", 10, "mx1.example", "192.0.2.1")
        .mx("b.example", 20, "mx2.example", "192.0.2.2")
        .host("192.0.2.1:25", first)
        .host("192.0.2.2:25", second)
}

#[tokio::test]
async fn what_is_refused_for_good_is_refused_for_all_and_no_other_host_is_asked() {
    for (command, reply, outcome) in [
        ("MAIL", "550 5.7.1 Not you\r\n", "bounced 550 5.7.1"),
        ("RCPT", "550 5.1.1 Nobody\r\n", "bounced 550 5.1.1"),
        ("DATA", "554 5.7.0 No\r\n", "bounced 554 5.7.0"),
        (".", "554 5.6.0 Spam\r\n", "bounced 554 5.6.0"),
        (".", "552 5.3.4 Too big\r\n", "bounced 552 5.3.4"),
        ("RCPT", "552 5.2.2 Mailbox full\r\n", "bounced 552 5.2.2"),
        ("RCPT", "550\r\n", "bounced 550 -"),
    ] {
        let (host, other) = (Script::new().at(command, Act::Say(reply)), Script::new());
        let mail = Mail::to(&["a@b.example", "c@b.example"]);
        let attempt = mail.deliver(&two_hosts(&host, &other).deliverer()).await;
        assert_eq!(brief(&attempt), [outcome, outcome], "{command} {reply}");
        assert_eq!(other.seen().connections, 0);
    }
}

#[tokio::test]
async fn a_host_that_puts_mail_off_leaves_it_to_the_next_one() {
    for (command, reply, outcome) in [
        ("MAIL", "451 4.7.1 Greylisted\r\n", "deferred 451 4.7.1"),
        ("RCPT", "450 4.2.0 Later\r\n", "deferred 450 4.2.0"),
        ("RCPT", "552 5.5.3 Too many\r\n", "deferred 552 5.5.3"),
        ("RCPT", "452 Too many\r\n", "deferred 452 -"),
        ("DATA", "451 4.3.0 Not now\r\n", "deferred 451 4.3.0"),
        (".", "452 4.3.1 Full\r\n", "deferred 452 4.3.1"),
    ] {
        let mail = Mail::to(&["a@b.example", "c@b.example"]);
        let full = || Script::new().at(command, Act::Say(reply));

        let (host, other) = (full(), Script::new());
        let attempt = mail.deliver(&two_hosts(&host, &other).deliverer()).await;
        let delivered = "delivered 250 2.0.0";
        assert_eq!(brief(&attempt), [delivered, delivered], "{command}");
        let names = attempt
            .visits
            .iter()
            .map(|visit| visit.host.clone().unwrap().name);
        assert_eq!(names.collect::<Vec<_>>(), ["mx1.example", "mx2.example"]);
        assert_eq!((host.seen().connections, other.seen().connections), (1, 1));

        // When the others do no better, the last word stands.
        let (host, other) = (full(), Script::new().at("connect", Act::Cut));
        let attempt = mail.deliver(&two_hosts(&host, &other).deliverer()).await;
        assert_eq!(brief(&attempt), [outcome, outcome], "{command}");
        let (host, other) = (full(), full());
        let attempt = mail.deliver(&two_hosts(&host, &other).deliverer()).await;
        assert_eq!(brief(&attempt), [outcome, outcome], "{command}");
        assert_eq!((host.seen().connections, other.seen().connections), (1, 1));
    }
}

#[tokio::test]
async fn only_those_who_were_put_off_go_to_the_next_host() {
    let host = Script::new()
        .at("RCPT TO:<bad", Act::Say("550 5.1.1 Nobody\r\n"))
        .at("RCPT TO:<later", Act::Say("450 4.2.0 Later\r\n"));
    let other = Script::new();
    let mail = Mail::to(&["a@b.example", "later@b.example", "bad@b.example"]);
    let attempt = mail.deliver(&two_hosts(&host, &other).deliverer()).await;
    assert_eq!(
        brief(&attempt),
        [
            "delivered 250 2.0.0",
            "delivered 250 2.0.0",
            "bounced 550 5.1.1"
        ]
    );
    assert_eq!(host.seen().contents.len(), 1);
    let rcpt = other
        .seen()
        .commands
        .into_iter()
        .filter(|line| line.starts_with("RCPT"));
    assert_eq!(rcpt.collect::<Vec<_>>(), ["RCPT TO:<later@b.example>"]);
}

#[tokio::test]
async fn a_host_that_puts_mail_off_over_a_kept_connection_is_not_asked_again() {
    let (host, other) = (Script::new(), Script::new());
    let deliverer = two_hosts(&host, &other).deliverer();
    Mail::to(&["a@b.example"]).deliver(&deliverer).await;
    let host = host.at("RCPT", Act::Say("450 4.2.0 Later\r\n"));
    let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    assert_eq!((host.seen().connections, other.seen().connections), (1, 1));
}

#[tokio::test]
async fn a_host_that_breaks_off_leaves_the_mail_to_the_next_one() {
    for command in ["connect", "EHLO", "MAIL", "RCPT", "DATA"] {
        for act in [
            Act::Cut,
            Act::SayAndCut("421 4.3.2 Closing\r\n"),
            Act::SayAndCut("nonsense\r\n"),
        ] {
            let (host, other) = (Script::new().at(command, act), Script::new());
            let mail = Mail::to(&["a@b.example", "c@b.example"]);
            let attempt = mail.deliver(&two_hosts(&host, &other).deliverer()).await;
            let delivered = "delivered 250 2.0.0";
            assert_eq!(brief(&attempt), [delivered, delivered], "{command} {act:?}");
            assert_eq!(last_host(&attempt).unwrap().name, "mx2.example");
            assert!(!attempt.is_unknown());
            // At RCPT it may have been for the sake of that recipient.
            let is_odd = matches!(act, Act::SayAndCut("nonsense\r\n"));
            let connections = if command == "RCPT" && !is_odd { 2 } else { 1 };
            assert_eq!(host.seen().connections, connections, "{command} {act:?}");
            assert_eq!(other.seen().connections, 1);
        }
    }
}

#[tokio::test]
async fn the_last_host_to_break_off_says_why_mail_waits() {
    for (command, act, outcome) in [
        ("connect", Act::Cut, "deferred 451 4.4.2 local"),
        (
            "connect",
            Act::Say("250 Odd\r\n"),
            "deferred 451 4.5.0 local",
        ),
        (
            "connect",
            Act::Say("554 5.7.1 Go away\r\n"),
            "deferred 554 5.7.1",
        ),
        (
            "connect",
            Act::Say("521 5.3.2 No mail here\r\n"),
            "bounced 521 5.3.2",
        ),
        (
            "EHLO",
            Act::Say("451 4.3.0 Not now\r\n"),
            "deferred 451 4.3.0",
        ),
        // Who closes before HELO has said why to EHLO, unless he did not know it.
        (
            "EHLO",
            Act::SayAndCut("554 5.7.1 Your address is blocked\r\n"),
            "deferred 554 5.7.1",
        ),
        (
            "EHLO",
            Act::SayAndCut("502 5.5.1 What?\r\n"),
            "deferred 451 4.4.2 local",
        ),
        // Who does not wait for our farewell is heard as well.
        (
            "connect",
            Act::SayAndCut("521 5.3.2 No mail here\r\n"),
            "bounced 521 5.3.2",
        ),
        (
            "connect",
            Act::SayAndCut("554 5.7.1 Go away\r\n"),
            "deferred 554 5.7.1",
        ),
        (
            "EHLO",
            Act::SayAndCut("451 4.3.0 Not now\r\n"),
            "deferred 451 4.3.0",
        ),
        ("MAIL", Act::Cut, "deferred 451 4.4.2 local"),
        (
            "MAIL",
            Act::SayAndCut("421 4.3.2 Closing\r\n"),
            "deferred 421 4.3.2",
        ),
        (
            "RCPT",
            Act::SayAndCut("421 4.3.2 Closing\r\n"),
            "deferred 421 4.3.2",
        ),
        ("DATA", Act::SayAndCut("x\r\n"), "deferred 451 4.5.0 local"),
        (
            ".",
            Act::SayAndCut("421 4.3.2 Closing\r\n"),
            "deferred 421 4.3.2",
        ),
    ] {
        let host = Script::new().at(command, act);
        let mail = Mail::to(&["a@b.example"]);
        let attempt = mail.deliver(&World::of(&host).deliverer()).await;
        assert_eq!(brief(&attempt), [outcome], "{command} {act:?}");
        assert!(!attempt.is_unknown());
        assert_eq!(last_host(&attempt).unwrap().name, "mx.example");
    }
}

#[tokio::test]
async fn a_host_that_will_never_take_mail_decides_only_when_no_other_may_later() {
    let never = || Script::new().at("connect", Act::Say("521 5.3.2 No mail here\r\n"));
    let busy = || Script::new().at("connect", Act::Say("421 4.3.2 Busy\r\n"));
    for (first, second, outcome) in [
        (never(), never(), "bounced 521 5.3.2"),
        (busy(), never(), "deferred 421 4.3.2"),
        (never(), busy(), "deferred 421 4.3.2"),
        (never(), Script::new(), "delivered 250 2.0.0"),
    ] {
        let deliverer = two_hosts(&first, &second).deliverer();
        let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
        assert_eq!(brief(&attempt), [outcome]);
    }
    // Nobody knows where the other host is.
    let mut world = World::of(&never());
    world.table = world
        .table
        .mx("b.example", 5, "lost.example")
        .failing("lost.example");
    let attempt = Mail::to(&["a@b.example"]).deliver(&world.deliverer()).await;
    assert_eq!(brief(&attempt), ["deferred 451 4.4.3 local"]);
}

#[tokio::test]
async fn refusals_before_a_break_stand_and_the_others_go_on() {
    let host = Script::new()
        .at("RCPT TO:<bad", Act::Say("550 5.1.1 Nobody\r\n"))
        .at("DATA", Act::SayAndCut("421 4.3.2 Closing\r\n"));
    let other = Script::new();
    let mail = Mail::to(&["a@b.example", "bad@b.example"]);
    let attempt = mail.deliver(&two_hosts(&host, &other).deliverer()).await;
    assert_eq!(
        brief(&attempt),
        ["delivered 250 2.0.0", "bounced 550 5.1.1"]
    );
    assert!(
        !other
            .seen()
            .commands
            .iter()
            .any(|line| line.contains("bad@"))
    );
}

#[tokio::test(start_paused = true)]
async fn after_the_final_dot_the_outcome_is_unknown_and_no_other_host_is_tried() {
    for act in [
        Act::Cut,
        Act::Hang,
        Act::Say("999 what\r\n"),
        Act::Say("354 more\r\n"),
    ] {
        let (host, other) = (Script::new().at(".", act), Script::new());
        let mail = Mail::to(&["a@b.example"]);
        let attempt = mail.deliver(&two_hosts(&host, &other).deliverer()).await;
        assert!(attempt.is_unknown(), "{act:?}");
        assert!(brief(&attempt)[0].starts_with("deferred 451 4."), "{act:?}");
        assert_eq!(other.seen().connections, 0);
        assert_eq!(host.seen().contents.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_answer_is_passed_over() {
    let host = Script::new();
    let world = World::new()
        .mx("b.example", 10, "silent.example", "198.51.100.1")
        .mx("b.example", 20, "closed.example", "192.0.2.1")
        .mx("b.example", 30, "mx.example", "192.0.2.2")
        .host("192.0.2.2:25", &host);
    let begun = Instant::now();
    let attempt = Mail::to(&["a@b.example"]).deliver(&world.deliverer()).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    assert_eq!(begun.elapsed(), seconds(30));
}

#[tokio::test(start_paused = true)]
async fn hosts_are_tried_within_bounds_and_their_silence_is_a_deferral() {
    let mut world = World::new();
    for number in 1..=20 {
        let name = format!("mx{number}.example");
        let address = format!("198.51.100.{number}");
        world = world.mx("b.example", number, &name, &address);
    }
    let begun = Instant::now();
    let attempt = Mail::to(&["a@b.example"]).deliver(&world.deliverer()).await;
    assert_eq!(brief(&attempt), ["deferred 451 4.4.1 local"]);
    assert_eq!(last_host(&attempt), None);
    assert_eq!(begun.elapsed(), seconds(30 * 8));
}

#[tokio::test(start_paused = true)]
async fn hosts_that_hold_us_up_are_tried_within_bounds() {
    let mut world = World::new();
    let host = Script::new().at("connect", Act::Hang);
    for number in 1..=8 {
        let address = format!("192.0.2.{number}");
        world = world
            .mx(
                "b.example",
                number,
                &format!("mx{number}.example"),
                &address,
            )
            .host(&format!("{address}:25"), &host);
    }
    let begun = Instant::now();
    let attempt = Mail::to(&["a@b.example"]).deliver(&world.deliverer()).await;
    assert_eq!(brief(&attempt), ["deferred 451 4.4.2 local"]);
    assert_eq!(host.seen().connections, HOSTS_REACHED_MAX);
    assert_eq!(begun.elapsed(), seconds(4 * 300));
}

#[tokio::test]
async fn a_cut_in_the_middle_of_the_content_leaves_the_mail_to_the_next_host() {
    let content = "x".repeat(70).repeat(20_000) + "\r\n";
    let host = Script::new().at("DATA", Act::CutInContent(100_000));
    let other = Script::new();
    let mail = Mail::to(&["a@b.example"]).with_content(content.clone(), 64 * 1024);
    let attempt = mail.deliver(&two_hosts(&host, &other).deliverer()).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    assert!(!attempt.is_unknown());
    assert!(host.seen().contents.is_empty() && other.seen().contents == [content]);
}

/// 150 recipients: two transactions.
pub(super) fn many() -> Vec<String> {
    (0..150)
        .map(|number| format!("r{number}@b.example"))
        .collect()
}

#[tokio::test]
async fn who_was_cut_off_over_a_kept_connection_is_never_bounced() {
    for break_off in [Act::SayAndCut("421 4.7.0 Too many errors\r\n"), Act::Cut] {
        let host = Script::new();
        let deliverer = World::of(&host).deliverer();
        Mail::to(&["a@b.example"]).deliver(&deliverer).await;
        let host = host
            .at("RCPT TO:<grey", Act::Say("450 4.2.0 Greylisted\r\n"))
            .at("RCPT TO:<slam", break_off);
        let mail = Mail::to(&["grey@b.example", "slam@b.example"]);
        let outcomes = brief(&mail.deliver(&deliverer).await);
        assert_eq!(outcomes[0], "deferred 450 4.2.0", "{break_off:?}");
        assert!(outcomes[1].starts_with("deferred 4"), "{outcomes:?}");
        // He is asked for once more, over a connection that has not seen an error; the other one is not.
        let commands = host.seen().commands;
        let asked = |start: &str| {
            commands
                .iter()
                .filter(|line| line.starts_with(start))
                .count()
        };
        assert_eq!(asked("RCPT TO:<grey"), 1);
        assert_eq!(asked("RCPT TO:<slam"), 2);
    }
}

#[tokio::test]
async fn a_connection_that_has_served_its_share_is_followed_by_another_one() {
    let host = Script::new()
        .at("RCPT TO:<r7@", Act::Say("450 4.2.0 Later\r\n"))
        .at("RCPT TO:<r8@", Act::Say("550 5.1.1 Nobody\r\n"));
    let world = World::of(&host).with(|settings| settings.transactions_per_connection_max = 1);
    let recipients = many();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let attempt = Mail::to(&recipients).deliver(&world.deliverer()).await;
    let outcomes = brief(&attempt);
    let count = |wanted: &str| outcomes.iter().filter(|of| *of == wanted).count();
    assert_eq!(count("delivered 250 2.0.0"), 148, "{outcomes:?}");
    assert_eq!(
        (&*outcomes[7], &*outcomes[8]),
        ("deferred 450 4.2.0", "bounced 550 5.1.1")
    );
    assert_eq!(
        (host.seen().connections, host.seen().contents.len()),
        (2, 2)
    );
}

#[tokio::test]
async fn those_behind_an_unknown_outcome_are_not_bounced() {
    let host = Script::new().at(".", Act::Cut);
    let recipients = many();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let attempt = Mail::to(&recipients)
        .deliver(&World::of(&host).deliverer())
        .await;
    assert_eq!(brief(&attempt), vec!["deferred 451 4.4.2 local"; 150]);
    // Those of the second transaction were never sent.
    let unknown = attempt.visits.iter().flat_map(|visit| {
        let outcomes = visit.outcomes.iter();
        outcomes.filter(|outcome| visit.is_unknown_of(outcome))
    });
    assert_eq!(unknown.count(), 100);
}

#[tokio::test]
async fn a_host_that_cannot_take_the_message_decides_only_when_no_other_may_take_it() {
    let small = || Script::new().listing(&["SIZE 10"]);
    let at_rcpt = |reply| Script::new().at("RCPT", Act::Say(reply));
    let grey = || at_rcpt("450 4.2.0 Greylisted\r\n");
    let delivered = "delivered 250 2.0.0";
    for (first, second, outcome) in [
        (grey(), small(), "deferred 450 4.2.0"),
        (small(), grey(), "deferred 450 4.2.0"),
        (small(), Script::new(), delivered),
        (
            small(),
            at_rcpt("550 5.1.1 Nobody\r\n"),
            "bounced 550 5.1.1",
        ),
        (small(), small(), "bounced 552 5.3.4 local"),
        (
            Script::new().at("connect", Act::Say("421 4.3.2 Busy\r\n")),
            small(),
            "deferred 421 4.3.2",
        ),
        (
            small(),
            Script::new().at("connect", Act::Cut),
            "deferred 451 4.4.2 local",
        ),
        (
            small(),
            Script::new().at("connect", Act::Say("521 5.3.2 Never\r\n")),
            "bounced 552 5.3.4 local",
        ),
    ] {
        let deliverer = two_hosts(&first, &second).deliverer();
        let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
        assert_eq!(brief(&attempt), [outcome]);
    }
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_no_other_host() {
    let small = Script::new().listing(&["SIZE 10"]);
    for (first, second) in [("192.0.2.1", "192.0.2.9"), ("192.0.2.9", "192.0.2.1")] {
        let mut world = World::new()
            .mx("b.example", 10, "mx.example", first)
            .host("192.0.2.1:25", &small);
        world.table = world.table.address("mx.example", second);
        let attempt = Mail::to(&["a@b.example"]).deliver(&world.deliverer()).await;
        assert_eq!(brief(&attempt), ["bounced 552 5.3.4 local"]);
    }
    // Nobody knows where the other host is, and it may take more.
    let mut world = World::of(&small);
    world.table = world
        .table
        .mx("b.example", 5, "lost.example")
        .failing("lost.example");
    let attempt = Mail::to(&["a@b.example"]).deliver(&world.deliverer()).await;
    assert_eq!(brief(&attempt), ["deferred 451 4.4.3 local"]);
}

#[tokio::test(start_paused = true)]
async fn a_next_hop_is_of_use_when_one_of_its_hosts_is_ready_for_mail() {
    let busy = Act::Say("421 4.3.2 Busy\r\n");
    for (command, act, contact) in [
        ("connect", Act::Hang, Contact::Missed),
        ("connect", Act::Cut, Contact::Missed),
        ("connect", busy, Contact::Missed),
        ("EHLO", busy, Contact::Missed),
        ("MAIL", busy, Contact::Ready),
        ("RCPT", Act::Cut, Contact::Ready),
        (".", Act::Cut, Contact::Ready),
    ] {
        let host = Script::new().at(command, act);
        let deliverer = World::of(&host).deliverer();
        let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
        assert_eq!(attempt.contact, contact, "{command} {act:?}");
        let deliverer = two_hosts(&host, &Script::new()).deliverer();
        let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
        assert_eq!(attempt.contact, Contact::Ready, "{command} {act:?}");
    }
    // A kept connection is a host that is ready, if it is not dead.
    let host = Script::new();
    let deliverer = World::of(&host).deliverer();
    for (command, contact) in [("-", Contact::Ready), ("MAIL", Contact::Missed)] {
        Mail::to(&["a@b.example"]).deliver(&deliverer).await;
        let host = host.clone().times(1, command, Act::Cut);
        let _host = host.times(1, "connect", busy);
        let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
        assert_eq!(attempt.contact, contact, "{command}");
    }
    // So is one that has refused somebody before it broke off.
    let host = Script::new();
    let deliverer = World::of(&host).deliverer();
    Mail::to(&["a@b.example"]).deliver(&deliverer).await;
    let host = host.times(1, "RCPT TO:<bad", Act::Say("450 4.2.0 Later\r\n"));
    let host = host.times(1, "DATA", Act::Cut);
    let _host = host.times(1, "connect", busy);
    let mail = Mail::to(&["a@b.example", "bad@b.example"]);
    assert_eq!(mail.deliver(&deliverer).await.contact, Contact::Ready);
    // Nobody is there, or nobody knows where.
    let mut world = World::new().mx("b.example", 10, "mx.example", "198.51.100.1");
    world.table = world.table.failing("lame.example");
    let deliverer = world.deliverer();
    for domain in ["b.example", "lame.example"] {
        let mail = Mail::by(NextHop::Domain(domain.into()), &["a@b.example"]);
        assert_eq!(mail.deliver(&deliverer).await.contact, Contact::Missed);
    }
}

#[tokio::test(start_paused = true)]
async fn who_finds_enough_waiting_at_a_host_is_sent_away_at_once_and_asks_no_other() {
    let slow = Act::Late(seconds(5), "250 2.0.0 Taken\r\n");
    let (host, other) = (Script::new().at(".", slow), Script::new());
    let world = two_hosts(&host, &other).with(|settings| settings.connections_per_host_max = 1);
    let deliverer = world.deliverer();
    let mail = Mail::to(&["a@b.example"]);
    let begun = Instant::now();
    let sent_away = async {
        tokio::time::sleep(seconds(1)).await;
        let attempt = mail.deliver(&deliverer).await;
        assert_eq!(begun.elapsed(), seconds(1));
        attempt
    };
    let (first, second, third) = tokio::join!(
        mail.deliver(&deliverer),
        mail.deliver(&deliverer),
        sent_away
    );
    for attempt in [first, second] {
        assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    }
    assert_eq!(third.contact, Contact::Crowded);
    assert_eq!(brief(&third), ["deferred 451 4.4.5 local"]);
    assert_eq!(other.seen().connections, 0);
}

#[tokio::test]
async fn hosts_that_cannot_take_the_message_keep_it_from_none_that_can() {
    let (small, good) = (Script::new().listing(&["SIZE 10"]), Script::new());
    let mut world = World::new();
    for number in 1..=5_u16 {
        let (name, address) = (format!("mx{number}.example"), format!("192.0.2.{number}"));
        let host = if number == 5 { &good } else { &small };
        world = world.mx("b.example", number, &name, &address);
        world = world.host(&format!("{address}:25"), host);
    }
    let attempt = Mail::to(&["a@b.example"]).deliver(&world.deliverer()).await;
    assert_eq!(small.seen().connections, HOSTS_REACHED_MAX);
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
}
