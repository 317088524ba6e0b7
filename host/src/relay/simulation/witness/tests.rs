//! The witness tells what is wrong with records that are made up.

use super::super::contents::content;
use super::*;

const FROM: &str = "user0+k0@home.example";

/// A witness of one life, to whom a message for one recipient was accepted.
fn witness() -> Witness {
    let witness = Witness::default();
    let mut seen = witness.seen();
    seen.begins(Duration::ZERO);
    let mut mail = Mail::new(FROM.to_owned(), None, Class::Normal, 300);
    let address = "r0.k0@a.example".to_owned();
    mail.recipients.push(Recipient::new(address));
    seen.mails.push(mail);
    seen.accepted(0, id());
    drop(seen);
    witness
}

fn id() -> MessageId {
    "01HF7WJXMJ3E4QWAPXDA24PQC9".parse().unwrap()
}

fn arrived() -> Vec<u8> {
    let sent = content(0, FROM, None, 300);
    let id = id();
    let trace =
        format!("Received: from x\r\n by relay.example (Outpost) with ESMTP id {id};\r\n Tue\r\n");
    [trace.as_bytes(), &sent].concat()
}

/// The message arrives, and the relay is told so and settles it.
fn delivered(seen: &mut Seen) {
    let taken = seen.takes(0, &[0], &arrived());
    seen.answered(&taken);
    seen.attempt_ended(0, &[0]);
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn what_arrives_once_and_whole_is_right() {
    let witness = witness();
    let mut seen = witness.seen();
    delivered(&mut seen);
    seen.check_end(0, None, false);
    assert_eq!(seen.wrongs(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_never_arrives_is_lost_unless_it_was_removed() {
    let witness = witness();
    let mut seen = witness.seen();
    seen.check_end(0, None, false);
    assert_eq!(seen.wrongs().len(), 1);
    seen.may_cancel(0);
    seen.check_end(0, None, false);
    assert_eq!(seen.wrongs().len(), 0);
    seen.restored(id());
    seen.check_end(0, None, false);
    assert_eq!(seen.wrongs().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_was_told_of_and_arrived_ends_like_any_other() {
    let witness = Witness::default();
    let mut seen = witness.seen();
    seen.begins(Duration::ZERO);
    let mut mail = Mail::new(FROM.to_owned(), None, Class::Normal, 300);
    for address in ["r0.k0@a.example", "r1.k0@a.example"] {
        mail.recipients.push(Recipient::new(address.to_owned()));
    }
    mail.standing = Standing::Unsure;
    seen.mails.push(mail);
    seen.check_end(0, None, false);
    assert_eq!(seen.wrongs(), Vec::<String>::new(), "nobody has it");
    drop(seen.takes(0, &[0], &arrived()));
    assert_eq!(seen.mails[0].standing, Standing::Accepted(id()));
    seen.check_end(0, None, false);
    assert_eq!(seen.wrongs().len(), 1, "the other one is forgotten");
    seen.check_end(0, None, true);
    assert_eq!(seen.wrongs().len(), 0, "or its report was given up");
}

#[tokio::test(start_paused = true)]
async fn an_octet_that_is_missing_is_missed() {
    let witness = witness();
    let mut seen = witness.seen();
    let mut cut = arrived();
    cut.remove(200);
    drop(seen.takes(0, &[0], &cut));
    assert_eq!(seen.wrongs().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_comes_again_is_wrong_unless_the_relay_could_not_know() {
    let first = witness();
    delivered(&mut first.seen());
    drop(first.seen().takes(0, &[0], &arrived()));
    assert_eq!(first.seen().wrongs().len(), 1);
    // A crash comes soon after, and a long time after, the attempt.
    for (passes, wrongs) in [(1, 0), (5, 1)] {
        let witness = witness();
        delivered(&mut witness.seen());
        pass(passes).await;
        let mut seen = witness.seen();
        seen.ends();
        seen.begins(Duration::from_secs(10));
        drop(seen.takes(0, &[0], &arrived()));
        assert_eq!(seen.wrongs().len(), wrongs, "{passes} s");
    }
}

/// A message is removed while it arrives, and restored.
#[tokio::test(start_paused = true)]
async fn what_arrives_while_it_is_removed_does_not_come_again() {
    let witness = witness();
    let mut seen = witness.seen();
    let taken = seen.takes(0, &[0], &arrived());
    seen.may_cancel(0);
    seen.answered(&taken);
    seen.attempt_ended(0, &[0]);
    seen.restored(id());
    assert_eq!(seen.wrongs(), Vec::<String>::new());
    drop(seen.takes(0, &[0], &arrived()));
    assert_eq!(seen.wrongs().len(), 1);
}
