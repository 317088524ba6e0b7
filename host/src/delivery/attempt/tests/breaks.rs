//! A conversation that breaks off at each point in each way: nobody is lost, and nobody gets a message twice
//! unless it is said that he may.

use super::*;
use crate::delivery::rehearsal::EVERYTHING;

/// The points of a dialogue, as a script knows them.
const POINTS: [&str; 8] = [
    "connect",
    "EHLO",
    "MAIL",
    "RCPT TO:<first",
    "RCPT TO:<refused",
    "RCPT TO:<last",
    "DATA",
    ".",
];

/// The same where content goes in chunks.
const POINTS_WITH_CHUNKS: [&str; 9] = [
    "connect",
    "EHLO",
    "MAIL",
    "RCPT TO:<first",
    "RCPT TO:<refused",
    "RCPT TO:<last",
    "BDAT 12",
    "BDAT 1000",
    "BDAT 90 LAST",
];

const CONTENT_OCTETS: usize = 3_090;

/// Two who are taken, and between them one who is not.
fn mail() -> Mail {
    let lines = "a line of ten\r\n".repeat(204);
    let content = format!("Subject: x\r\n\r\n{lines}the last line.\r\n");
    assert_eq!(content.len(), CONTENT_OCTETS);
    let recipients = ["first@b.example", "refused@b.example", "last@b.example"];
    Mail::to(&recipients).with_content(content, 1_000)
}

fn script(extensions: &[&'static str]) -> Script {
    Script::new()
        .listing(extensions)
        .at("RCPT TO:<refused", Act::Say("550 5.1.1 Nobody\r\n"))
}

fn endless() -> &'static str {
    // More lines than a reply may have.
    "250-and\r\n".repeat(200).leak()
}

fn ways() -> Vec<Act> {
    vec![
        Act::Cut,
        Act::Hang,
        Act::SayAndCut("421 4.3.2 Closing\r\n"),
        Act::Say("421 4.3.2 Closing\r\n"),
        Act::SayAndCut("25"),
        Act::Say("what?\r\n"),
        Act::Say("250-one\r\n251 two\r\n"),
        Act::Say(endless()),
        Act::Say("\u{1}\u{fc}\0\r\n"),
        Act::Drip("250-slow\r\n250-slow\r\n", Duration::from_secs(40)),
    ]
}

#[tokio::test(start_paused = true)]
async fn wherever_and_however_a_host_breaks_off_nobody_is_lost_and_duplicates_are_announced() {
    let chunking = [&EVERYTHING[..], &["CHUNKING"]].concat();
    let dialogues: [(&[&'static str], &[&'static str]); 4] = [
        (&EVERYTHING, &POINTS),
        (&["8BITMIME"], &POINTS),
        (&chunking, &POINTS_WITH_CHUNKS),
        (&["CHUNKING"], &POINTS_WITH_CHUNKS),
    ];
    for (extensions, points) in dialogues {
        for point in points {
            for act in ways() {
                breaks_off(extensions, point, act).await;
            }
        }
    }
}

async fn breaks_off(extensions: &[&'static str], point: &'static str, act: Act) {
    let case = format!("{point} {act:?} {extensions:?}")
        .chars()
        .take(200)
        .collect::<String>();
    // The act comes first, and once: at the next attempt the host is well again.
    let host = Script::new()
        .listing(extensions)
        .times(1, point, act)
        .at("RCPT TO:<refused", Act::Say("550 5.1.1 Nobody\r\n"));
    let deliverer = World::of(&host).deliverer();
    let mut mail = mail();
    let attempt = mail.deliver(&deliverer).await;
    let is_end = matches!(point, "." | "BDAT 90 LAST");
    let is_said = matches!(act, Act::Say(text) | Act::SayAndCut(text) if text.starts_with("421"));
    // The last chunk may have left before it is seen that nobody answers to the first.
    if point != "BDAT 1000" {
        assert_eq!(attempt.is_unknown(), is_end && !is_said, "{case}");
    }
    let outcomes = brief(&attempt);
    assert_eq!(outcomes.len(), 3, "one outcome for each: {case}");
    let is_understood = is_said
        || matches!(
            act,
            Act::Cut | Act::Hang | Act::Drip(..) | Act::SayAndCut(_)
        );
    if point.starts_with("RCPT") && is_understood {
        // It may have been for the sake of that recipient: everybody is asked again at once.
        let taken = "delivered 250 2.0.0";
        assert_eq!(outcomes, [taken, "bounced 550 5.1.1", taken], "{case}");
        // An empty one ends a transaction without recipients: the script says 354 all the same.
        let contents = host.seen().contents;
        let copies = contents.iter().filter(|content| !content.is_empty());
        assert!(copies.clone().all(|copy| *copy == mail.content), "{case}");
        assert_eq!(copies.count(), 2, "one for each: {case}");
        return;
    }
    for taken in [0, 2] {
        assert!(
            outcomes[taken].starts_with("deferred"),
            "{case}: {outcomes:?}"
        );
    }
    // What was said to him before stands, if the host could be understood afterwards.
    let is_told = !matches!(
        point,
        "connect" | "EHLO" | "MAIL" | "RCPT TO:<first" | "RCPT TO:<refused"
    );
    if is_told && is_understood {
        assert_eq!(outcomes[1], "bounced 550 5.1.1", "{case}");
    } else {
        assert!(outcomes[1].starts_with("deferred"), "{case}: {outcomes:?}");
    }
    mail.delivery.recipients = (0..3)
        .filter(|recipient| outcomes[*recipient as usize].starts_with("deferred"))
        .collect();
    let again = brief(&mail.deliver(&deliverer).await);
    let served = again
        .iter()
        .filter(|outcome| *outcome == "delivered 250 2.0.0");
    assert_eq!(served.count(), 2, "{case}: {again:?}");
    // A script that refuses a chunk and goes on takes the others all the same; a host does not.
    if point != "BDAT 1000" || !matches!(act, Act::Say(_)) {
        let copies = host.seen().contents.len();
        assert_eq!(copies, if is_end { 2 } else { 1 }, "{case}");
    }
    for content in host.seen().contents {
        assert!(content == mail.content, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_answers_late_and_in_other_letters_is_understood() {
    for point in POINTS {
        let usual = match point {
            "connect" => "220 gr\u{fc}n\r\n",
            "DATA" => "354 gr\u{fc}n\r\n",
            "EHLO" => "250-gr\u{fc}n\r\n250 8BITMIME\r\n",
            _ => "250-gr\u{fc}n\r\n250 gr\u{fc}n\r\n",
        };
        if point == "RCPT TO:<refused" || point == "DATA" {
            continue;
        }
        // A quarter of an hour for a whole message, each step in its time.
        let late = Act::Late(Duration::from_secs(290), usual);
        let host = script(&EVERYTHING).at(point, late);
        let attempt = mail().deliver(&World::of(&host).deliverer()).await;
        let outcomes = brief(&attempt);
        assert!(
            outcomes[0].starts_with("delivered 250"),
            "{point}: {outcomes:?}"
        );
    }
}

#[tokio::test]
async fn a_host_that_greylists_takes_the_mail_the_next_time() {
    let host = Script::new().times(2, "RCPT", Act::Say("450 4.2.0 Greylisted\r\n"));
    let deliverer = World::of(&host).deliverer();
    let mail = Mail::to(&["a@b.example", "c@b.example"]);
    assert_eq!(
        brief(&mail.deliver(&deliverer).await),
        ["deferred 450 4.2.0"; 2]
    );
    assert_eq!(
        brief(&mail.deliver(&deliverer).await),
        ["delivered 250 2.0.0"; 2]
    );
    assert_eq!(host.seen().connections, 1);
    // An empty one came first: the script says 354 though nobody was accepted.
    assert_eq!(host.seen().contents, ["", CONTENT]);
}

#[tokio::test]
async fn the_outcome_is_unknown_of_those_alone_who_were_taken_before_the_break() {
    let host = script(&EVERYTHING)
        .at("RCPT TO:<last", Act::Say("450 4.2.0 Later\r\n"))
        .at(".", Act::Cut);
    let attempt = mail().deliver(&World::of(&host).deliverer()).await;
    let outcomes = attempt.visits.iter().flat_map(|visit| {
        let outcomes = visit.outcomes.iter();
        outcomes.map(|of| (of.recipient, visit.is_unknown_of(of)))
    });
    let mut outcomes: Vec<_> = outcomes.collect();
    outcomes.sort();
    assert_eq!(outcomes, [(0, true), (1, false), (2, false)]);
}

#[tokio::test]
async fn one_recipient_at_whom_a_host_ends_the_connection_takes_nobody_with_him() {
    let (taken, bad) = ("delivered 250 2.0.0", "deferred 421 4.7.0");
    for (recipients, outcomes, connections) in [
        (["bad", "a", "c", "d"], [bad, taken, taken, taken], 2),
        (["a", "bad", "c", "d"], [taken, bad, taken, taken], 2),
        (["a", "c", "d", "bad"], [taken, taken, taken, bad], 2),
        (["a", "bad1", "c", "bad2"], [taken, bad, taken, bad], 3),
        (["bad1", "a", "bad2", "c"], [bad, taken, bad, taken], 3),
    ] {
        for extensions in [&EVERYTHING[..], &["8BITMIME"]] {
            let reply = "421 4.7.0 Not him\r\n";
            let host = Script::new()
                .listing(extensions)
                .at("RCPT TO:<bad", Act::SayAndCut(reply));
            let addresses = recipients.map(|name| format!("{name}@b.example"));
            let attempt = Mail::to(&addresses.each_ref().map(String::as_str))
                .deliver(&World::of(&host).deliverer())
                .await;
            assert_eq!(brief(&attempt), outcomes, "{recipients:?}");
            assert_eq!(host.seen().connections, connections, "{recipients:?}");
        }
    }
}

#[tokio::test]
async fn those_at_whom_a_host_breaks_off_stand_in_nobodys_way_for_ever() {
    let host = Script::new().at("RCPT TO:<bad", Act::Cut);
    let deliverer = World::of(&host).deliverer();
    let mut addresses: Vec<String> = (0..8).map(|n| format!("bad{n}@b.example")).collect();
    addresses.push("a@b.example".to_owned());
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let mut mail = Mail::to(&addresses);
    while host.seen().contents.is_empty() && mail.delivery.attempts < 9 {
        let before = host.seen().connections;
        mail.deliver(&deliverer).await;
        let connections = host.seen().connections - before;
        assert!(connections <= 6, "{connections}");
        mail.delivery.attempts += 1;
    }
    assert_eq!(host.seen().contents, [CONTENT]);
}
