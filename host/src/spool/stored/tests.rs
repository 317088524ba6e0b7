//! What is stored is what is read back, and what is damaged is told.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::message::{Origin, Protocol};
use crate::spool::sample::{accepted, at, full_message, id, refusal, trail};
use crate::spool::{KeptRefusal, NamedIn, Refusal, RefusalId};

/// The row of a message, and what it becomes when the message is finished.
fn rows() -> (Vec<u8>, Vec<u8>) {
    let message = full_message(1);
    let record = write(&MessageRecord::of(&message, &[accepted(&message)], 1)).unwrap();
    let finished = with_end(&record, &TrailRecord::of(&trail(), Some(at(7)), None)).unwrap();
    (record, finished)
}

#[test]
fn a_finished_message_is_read_with_the_end_of_its_trail() {
    let (queued, finished) = rows();
    let expected = full_message(1);
    for (row, end) in [(&queued, None), (&finished, Some((trail(), Some(at(7)))))] {
        let (record, found) = read_message(row).unwrap();
        assert_eq!(record.message(id(1)).unwrap(), expected);
        assert_eq!(record.trail().unwrap(), [accepted(&expected)]);
        let found = found.map(|end| (end.entries().unwrap(), end.finished()));
        assert_eq!(found, end);
    }
}

#[test]
fn what_a_message_was_submitted_by_is_kept() {
    for protocol in [Protocol::Smtp, Protocol::Http] {
        let mut message = full_message(1);
        let Origin::Submission(submission) = &mut message.origin else {
            panic!("{:?}", message.origin);
        };
        submission.protocol = protocol;
        let row = write(&MessageRecord::of(&message, &[], 1)).unwrap();
        let (record, _) = read_message(&row).unwrap();
        assert_eq!(record.message(id(1)).unwrap(), message);
    }
}

#[test]
fn a_refused_sender_is_read_as_it_was_written_and_what_is_damaged_is_told() {
    for (sender, named_in) in [("X@a.example", NamedIn::Header), ("", NamedIn::Envelope)] {
        let kept = KeptRefusal {
            id: RefusalId::from_bits(7),
            refusal: Refusal {
                named_in,
                ..refusal("ann", sender, 9)
            },
        };
        let row = write(&RefusalRecord::of(&kept)).unwrap();
        let read_back = |row: &[u8]| read::<RefusalRecord<'_>>(row)?.read();
        assert_eq!(read_back(&row), Ok(kept));
        for end in 0..row.len() {
            assert!(read_back(&row[..end]).is_err(), "{end} octets");
        }
        assert!(read_back(&[&row[..], b"x"].concat()).is_err());
    }
    let kept = KeptRefusal {
        id: RefusalId::from_bits(7),
        refusal: refusal("ann", "x@a.example", 9),
    };
    let mut row = write(&RefusalRecord::of(&kept)).unwrap();
    let domain = row.windows(9).position(|octets| octets == b"a.example");
    row[domain.unwrap()] = b' ';
    let damaged = read::<RefusalRecord<'_>>(&row).and_then(RefusalRecord::read);
    assert_eq!(damaged, Err(Damage::of("no address")));
}

/// The row of a message of an older form: without what this one has behind it.
fn row_of(form: u8, row: &[u8], end: &[u8]) -> Vec<u8> {
    let (record, _) = read_message(row).unwrap();
    let record = row.len() - end.len() - record.behind(form);
    let mut older = [&row[..record], end].concat();
    older[0] = form;
    older
}

#[test]
fn a_row_of_an_older_form_is_read_and_ends_in_this_one() {
    let (queued, finished) = rows();
    let end = &finished[queued.len()..];
    let mut expected = full_message(1);
    expected.campaign = None;
    for form in (1..FORM).rev() {
        if form < 4 {
            expected.envelope.hold = None;
            expected.envelope.require_tls = false;
        }
        if form < 3 {
            expected.envelope.mt_priority = None;
            expected.envelope.deliver_by = None;
            expected.scheduled = None;
        }
        // The first form has no end behind a record.
        let done = row_of(form.max(2), &finished, end);
        let waits = row_of(form, &queued, &[]);
        let (record, found) = read_message(&waits).unwrap();
        assert_eq!(record.message(id(1)).unwrap(), expected);
        assert!(found.is_none());
        let trail = trail();
        let end = TrailRecord::of(&trail, Some(at(7)), None);
        let ended = with_end(&waits, &end).unwrap();
        for row in [&done, &ended] {
            let (record, end) = read_message(row).unwrap();
            assert_eq!(record.message(id(1)).unwrap(), expected);
            assert_eq!(end.unwrap().entries().unwrap(), trail);
        }
    }
    assert_eq!(
        read_message(&[FORM + 1]).err(),
        Some(Damage::Form(FORM + 1))
    );
}

#[test]
fn a_row_that_was_cut_anywhere_is_damaged() {
    let (queued, finished) = rows();
    for cut in (0..finished.len()).filter(|cut| *cut != queued.len()) {
        let read =
            read_message(&finished[..cut]).map(|(record, end)| (record.trail(), end.is_some()));
        assert!(
            matches!(read, Err(Damage::Octets(_))),
            "cut at {cut}: {read:?}"
        );
    }
    let longer = [&finished[..], &[0]].concat();
    assert!(matches!(
        read_message(&longer).err(),
        Some(Damage::Octets(_))
    ));
}
