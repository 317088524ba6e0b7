//! What is said in dialogues of every kind, and what is kept of it.

#![allow(clippy::unwrap_used)]

use super::scribe::{
    DIALOGUE_OCTETS_MAX, EXCHANGES_MAX, LINE_OCTETS_MAX, REPLY_LINES_MAX, REPLY_OCTETS_MAX,
};
use super::*;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// What a transcript says, with times.
fn told(scribe: &mut Scribe) -> Vec<String> {
    let transcript = scribe.transcript();
    assert_eq!(Transcript::from_kept(transcript.kept()), transcript);
    let lines = transcript.lines().into_iter().map(|line| {
        let by = match line.by {
            Speaker::Client => "C",
            Speaker::Server => "S",
            Speaker::Note => "-",
        };
        format!("{} {by} {}", line.after.as_millis(), line.text)
    });
    lines.collect()
}

/// `count` recipients, sent at once in groups of a hundred; those whose number fits are refused.
fn recipients(scribe: &mut Scribe, count: u64, is_refused: impl Fn(u64) -> bool) {
    for group in (0..count).collect::<Vec<_>>().chunks(100) {
        for number in group {
            scribe.command(
                ms(1),
                format!("RCPT TO:<r{number}@a.example>\r\n").as_bytes(),
            );
        }
        for number in group {
            let reply = match is_refused(*number) {
                true => format!("550 5.1.1 no {number}\r\n"),
                false => "250 2.1.5 Ok\r\n".to_owned(),
            };
            scribe.reply(ms(2), reply.as_bytes(), true);
        }
    }
}

#[test]
fn replies_stand_behind_their_commands_however_they_were_pipelined() {
    let mut scribe = Scribe::default();
    scribe.reply(ms(0), b"220 mx.example ESMTP\r\n", true);
    scribe.command(ms(1), b"EHLO relay.example\r\n");
    scribe.reply(ms(2), b"250-mx.example\r\n", false);
    scribe.reply(ms(3), b"250-SIZE 1000\r\n250 PIPELINING\r\n", true);
    for command in ["MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA"] {
        scribe.command(ms(3), command.as_bytes());
    }
    for reply in ["250 2.1.0 Ok", "550 5.1.1 No", "354 Go on"] {
        scribe.reply(ms(5), reply.as_bytes(), true);
    }
    scribe.content(ms(6), 1_000, 0);
    scribe.content(ms(700), 20_971_520, 0);
    scribe.reply(ms(900), b"250 2.0.0 Ok: queued as 7\r\n", true);
    scribe.reply(ms(70_000), b"421 4.4.2 Idle\r\n", true);
    scribe.note(ms(70_000), "[the connection was lost]");
    assert_eq!(
        told(&mut scribe),
        [
            "0 S 220 mx.example ESMTP",
            "1 C EHLO relay.example",
            "3 S 250-mx.example",
            "3 S 250-SIZE 1000",
            "3 S 250 PIPELINING",
            "3 C MAIL FROM:<a@b.example>",
            "5 S 250 2.1.0 Ok",
            "3 C RCPT TO:<c@d.example>",
            "5 S 550 5.1.1 No",
            "3 C DATA",
            "5 S 354 Go on",
            "6 C [content, 20,971,520 octets]",
            "900 S 250 2.0.0 Ok: queued as 7",
            "70000 S 421 4.4.2 Idle",
            "70000 - [the connection was lost]",
        ]
    );
}

#[test]
fn chunks_are_told_together_with_the_reply_that_matters() {
    for (replies, said) in [
        (&["250 a", "250 b", "250 c"], "S 250 c"),
        (&["250 a", "552 b", "503 c"], "S 552 b"),
    ] {
        let mut scribe = Scribe::default();
        scribe.content(ms(1), 50, 1);
        scribe.reply(ms(2), replies[0].as_bytes(), true);
        scribe.content(ms(3), 2_000, 2);
        scribe.content(ms(4), 3_000, 3);
        scribe.reply(ms(5), replies[1].as_bytes(), true);
        scribe.reply(ms(6), replies[2].as_bytes(), true);
        scribe.command(ms(7), b"RSET");
        scribe.reply(ms(8), b"250 2.0.0 Ok", true);
        let told = told(&mut scribe);
        assert_eq!(told[0], "1 C BDAT, 3 chunks [content, 3,000 octets]");
        assert!(told[1].ends_with(said), "{told:?}");
        assert_eq!(told[2..], ["7 C RSET", "8 S 250 2.0.0 Ok"]);
    }
    let mut scribe = Scribe::default();
    scribe.content(ms(1), 50, 1);
    assert_eq!(told(&mut scribe), ["1 C BDAT [content, 50 octets]"]);
}

#[test]
fn of_many_recipients_the_first_the_last_and_the_refused_are_told() {
    let mut scribe = Scribe::default();
    scribe.command(ms(0), b"MAIL FROM:<a@b.example>");
    scribe.reply(ms(0), b"250 2.1.0 Ok", true);
    recipients(&mut scribe, 3_000, |number| number == 1_234);
    scribe.command(ms(3), b"DATA");
    scribe.reply(ms(3), b"354 Go on", true);
    scribe.content(ms(3), 7, 0);
    scribe.reply(ms(4), b"250 2.0.0 Ok", true);
    let told = told(&mut scribe);
    assert_eq!(told[0], "0 C MAIL FROM:<a@b.example>");
    let has = |line: &str| told.iter().any(|told| told == line);
    assert!(has("1 C RCPT TO:<r0@a.example>"));
    let refused = told
        .iter()
        .position(|line| line == "1 C RCPT TO:<r1234@a.example>");
    let refused = refused.unwrap();
    assert_eq!(told[refused + 1], "2 S 550 5.1.1 no 1234");
    // 3,003 exchanges, of which 24 and 16 and this one are told.
    assert_eq!(
        told[refused - 1],
        "1 - [1,211 commands are left out with their replies]"
    );
    assert_eq!(
        told[refused + 2],
        "1 - [1,751 commands are left out with their replies]"
    );
    assert!(has("1 C RCPT TO:<r2999@a.example>"));
    assert_eq!(told.last().unwrap(), "4 S 250 2.0.0 Ok");
    assert_eq!(told.len(), 2 * 41 + 2);
}

#[test]
fn what_is_kept_is_bounded_whatever_is_said() {
    let bounded = |scribe: &mut Scribe| {
        let transcript = scribe.transcript();
        let one = LINE_OCTETS_MAX + REPLY_OCTETS_MAX + LINE_OCTETS_MAX + 200;
        let most = DIALOGUE_OCTETS_MAX + 3 * one + 200 * EXCHANGES_MAX;
        assert!(
            transcript.kept().len() < most,
            "{}",
            transcript.kept().len()
        );
        transcript.lines()
    };
    // Everybody is refused, at length.
    let mut scribe = Scribe::default();
    let long = format!("550 {}\r\n", "x".repeat(2_000));
    for number in 0..5_000 {
        scribe.command(
            ms(number),
            format!("RCPT TO:<{number}@a.example>").as_bytes(),
        );
        scribe.reply(ms(number), long.as_bytes(), true);
        assert!(scribe.exchanges() < 2 * EXCHANGES_MAX);
    }
    let lines = bounded(&mut scribe);
    let left_out = lines.iter().find(|line| line.by == Speaker::Note).unwrap();
    assert!(left_out.text.ends_with(" of them refused]"), "{left_out:?}");
    assert!(lines[1].text.ends_with(" [and 1,492 more octets]"));
    // A reply of many long lines, which never ends.
    let mut scribe = Scribe::default();
    let long = format!("250-{}\r\n", "y".repeat(2_000));
    for _ in 0..10_000 {
        scribe.reply(ms(0), long.as_bytes(), false);
    }
    assert!(bounded(&mut scribe).is_empty());
    scribe.reply(ms(0), b"250 end\r\n", true);
    let lines = bounded(&mut scribe);
    let count = 10_001 - (lines.len() - 1);
    let more = format!("[and {},{:03} more lines]", count / 1_000, count % 1_000);
    assert_eq!(lines.last().unwrap().text, more);
    // Many short ones.
    scribe.clear();
    scribe.reply(ms(0), &b"250-a\r\n".repeat(100), false);
    scribe.reply(ms(0), b"250 b\r\n", true);
    let lines = bounded(&mut scribe);
    assert_eq!(lines.len(), REPLY_LINES_MAX + 1);
    assert_eq!(lines[REPLY_LINES_MAX].text, "[and 61 more lines]");
}

/// A client that says EHLO a thousand times has sixty-four of them looked at once more, not a thousand.
#[test]
fn who_talks_for_ever_costs_little_memory() {
    let mut scribe = Scribe::default();
    for number in 0..10_000 {
        scribe.command(ms(number), b"EHLO client.example");
        scribe.reply(ms(number), &b"250-EXTENSION\r\n".repeat(20), false);
        scribe.reply(ms(number), b"250 CHUNKING", true);
        assert!(scribe.exchanges() <= 64, "{number}");
        assert!(scribe.octets() <= 16 << 10, "{number}: {}", scribe.octets());
    }
}

#[test]
fn a_hundred_commands_wait_for_their_replies_though_much_was_left_out() {
    let mut scribe = Scribe::default();
    recipients(&mut scribe, 1_000, |_| true);
    let command = |number: u32| format!("RCPT TO:<{}{number}@b.example>", "z".repeat(600));
    for number in 0..100 {
        scribe.command(ms(9), command(number).as_bytes());
    }
    for number in 0..100 {
        let reply = format!("550 5.1.1 no {number}");
        scribe.reply(ms(9), reply.as_bytes(), true);
    }
    let lines = scribe.transcript().lines();
    let [.., said, reply] = &lines[..] else {
        panic!("{lines:?}");
    };
    let cut = command(99).len() - LINE_OCTETS_MAX;
    let said_then = format!(
        "{} [and {cut} more octets]",
        &command(99)[..LINE_OCTETS_MAX]
    );
    assert_eq!(said.text, said_then);
    assert_eq!(reply.text, "550 5.1.1 no 99");
}

#[test]
fn nothing_that_is_kept_is_a_control() {
    let mut scribe = Scribe::default();
    scribe.command(ms(0), "NOOP \u{1b}[31m\u{85}é\r\n".as_bytes());
    scribe.reply(ms(0), b"250 \x06!\x01\x02\x05 \xff\xfe\x7f\rx\r\n", true);
    assert_eq!(
        told(&mut scribe),
        [
            "0 C NOOP \u{fffd}[31m\u{fffd}é",
            "0 S 250 \u{fffd}!\u{fffd}\u{fffd}\u{fffd} \u{fffd}\u{fffd}\u{fffd}\u{fffd}x",
        ]
    );
}

#[test]
fn a_usual_dialogue_takes_few_octets() {
    let mut scribe = Scribe::default();
    let mut said = 0;
    for (command, reply) in [
        ("MAIL FROM:<news@shop.example> SIZE=2048", "250 2.1.0 Ok"),
        ("RCPT TO:<someone@b.example>", "250 2.1.5 Ok"),
        ("DATA", "354 End data with <CR><LF>.<CR><LF>"),
    ] {
        scribe.command(ms(0), command.as_bytes());
        scribe.reply(ms(1), reply.as_bytes(), true);
        said += command.len() + reply.len();
    }
    scribe.content(ms(1), 2_048, 0);
    scribe.reply(ms(3), b"250 2.0.0 Ok: queued as 4bXy7z", true);
    said += 23 + 30;
    let kept = scribe.transcript().kept().len();
    assert!(kept < 130 && said > 180, "{kept} of {said}");
}

#[test]
fn whatever_was_kept_can_be_read() {
    for kept in [
        "",
        "x",
        "\u{5}",
        "\u{5}99999999999999999999\u{1}a",
        "\u{2}",
        "é\u{6}\u{3}\u{6}é",
    ] {
        for line in Transcript::from_kept(kept).lines() {
            assert!(line.text.chars().all(|c| !c.is_control()), "{kept:?}");
        }
    }
}

#[test]
fn what_was_said_in_a_transaction_that_is_given_up_is_forgotten() {
    let mut scribe = Scribe::default();
    scribe.reply(ms(0), b"220 relay", true);
    scribe.begin(ms(1), b"MAIL FROM:<first@a.example>");
    scribe.reply(ms(1), b"530 5.7.0 Authentication required", true);
    scribe.begin(ms(2), b"MAIL FROM:<second@a.example>");
    scribe.reply(ms(2), b"250 2.1.0 Ok", true);
    scribe.command(ms(2), b"RCPT TO:<c@d.example>");
    scribe.reply(ms(2), b"250 2.1.5 Ok", true);
    scribe.begin(ms(3), b"MAIL FROM:<nested@a.example>");
    scribe.reply(ms(3), b"503 5.5.1 open", true);
    scribe.command(ms(4), b"RSET");
    assert_eq!(scribe.forget(false), 1, "the reply to RSET");
    assert_eq!(scribe.forget(true), 0);
    scribe.begin(ms(5), b"MAIL FROM:<third@a.example>");
    scribe.reply(ms(6), b"250 2.1.0 Ok", true);
    assert_eq!(
        told(&mut scribe),
        [
            "0 S 220 relay",
            "1 C MAIL FROM:<first@a.example>",
            "1 S 530 5.7.0 Authentication required",
            "5 C MAIL FROM:<third@a.example>",
            "6 S 250 2.1.0 Ok",
        ]
    );
    // However much was said in it.
    recipients(&mut scribe, 1_000, |_| false);
    scribe.chunk(ms(7), 5);
    assert_eq!(scribe.forget(true), 1);
    // A content that is refused while it comes is answered later, if it was not already.
    for is_answered in [false, true] {
        scribe.begin(ms(8), b"MAIL FROM:<a@a.example>");
        scribe.reply(ms(8), b"250 2.1.0 Ok", true);
        scribe.command(ms(8), b"DATA");
        scribe.reply(ms(8), b"354 go", true);
        if is_answered {
            scribe.reply(ms(8), b"552 5.3.4 Too large", true);
        }
        assert_eq!(scribe.forget(true), u32::from(!is_answered));
    }
    assert_eq!(told(&mut scribe).len(), 3);
}

#[test]
fn chunks_that_are_announced_are_added_up() {
    let mut scribe = Scribe::default();
    scribe.chunk(ms(1), 700);
    scribe.reply(ms(1), b"250 2.0.0 Chunk ok", true);
    scribe.chunk(ms(2), 800);
    scribe.content_ends(ms(3), 1_500);
    scribe.reply(ms(3), b"250 2.0.0 Queued", true);
    let told = told(&mut scribe);
    assert_eq!(
        told,
        [
            "1 C BDAT, 2 chunks [content, 1,500 octets]",
            "3 S 250 2.0.0 Queued"
        ]
    );
    scribe.clear();
    scribe.command(ms(0), b"DATA");
    scribe.reply(ms(0), b"354 go", true);
    scribe.content_ends(ms(1), 999);
    assert_eq!(scribe.transcript().lines()[2].text, "[content, 999 octets]");
}

#[test]
fn a_note_stands_before_what_was_said() {
    let mut scribe = Scribe::default();
    scribe.command(ms(5), b"QUIT");
    let lines = scribe.transcript().behind("[before]").lines();
    assert_eq!(
        (lines[0].by, lines[0].text.as_str()),
        (Speaker::Note, "[before]")
    );
    assert_eq!((lines[1].after, lines[1].text.as_str()), (ms(5), "QUIT"));
}
