//! The statistics agree with what was seen from outside, over all lives of the relay.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::World;
use super::life::Life;
use super::witness::Standing;
use crate::message::{Counts, RELAY, Timestamp};
use crate::spool::statistics::{Dimension, Filter, Name, Question};

/// When nothing is queued any more: each recipient that was counted in was counted out once, and of what submitters sent
/// what arrived. The reports of the messages in `given_up` have not.
pub(super) async fn check(world: &World, life: &Life, given_up: &BTreeSet<usize>) {
    let question = Question {
        since: Timestamp::EPOCH,
        until: Timestamp::NEVER,
        period: None,
        by: Some(Dimension::User),
        filter: Filter::default(),
        most: None,
        cursor: None,
        rows_max: 1_000,
    };
    let answer = life.spool.statistics(question).await.unwrap().unwrap();
    let mut seen = world.witness.seen();
    let Counts {
        recipients,
        sent,
        bounced,
        expired,
        removed,
        ..
    } = answer.total;
    if recipients != sent + bounced + expired + removed || answer.queued != 0 {
        let (total, queued) = (&answer.total, answer.queued);
        seen.wrong(format!(
            "what was counted in was not counted out: {total:?}, {queued} queued"
        ));
    }
    let relay = Some(Name::Text(RELAY.to_owned()));
    let mut counted = Counts::default();
    let by_users = answer.rows.iter().filter(|row| row.name != relay);
    by_users.for_each(|row| counted += &row.counts);
    // What the relay has to have counted at least, and at most.
    let (mut accepted, mut recipients, mut sent) = (0..=0, 0..=0, 0..=0);
    for (key, mail) in seen.mails.iter().enumerate() {
        let of_it = mail.recipients.len() as i64;
        match mail.standing {
            Standing::Void => {}
            Standing::Unsure => {
                accepted = widened(accepted, 0, 1);
                recipients = widened(recipients, 0, of_it);
            }
            Standing::Accepted(_) => {
                let (sure, most) = mail.sent(given_up.contains(&key));
                accepted = widened(accepted, 1, 1);
                recipients = widened(recipients, of_it, of_it);
                sent = widened(sent, sure, most);
            }
        }
    }
    for (what, counted, seen_of_it) in [
        ("accepted", counted.accepted, accepted),
        ("recipients", counted.recipients, recipients),
        ("sent", counted.sent, sent),
    ] {
        if !seen_of_it.contains(&counted) {
            seen.wrong(format!(
                "{counted} are counted as {what}, and {seen_of_it:?} were seen"
            ));
        }
    }
}

fn widened(range: RangeInclusive<i64>, least: i64, most: i64) -> RangeInclusive<i64> {
    range.start() + least..=range.end() + most
}
