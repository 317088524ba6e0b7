//! What the trail says of an attempt, whatever follows from it: what was said, when it was paused, and what each host
//! decided.

use std::collections::BTreeSet;

use super::{Ended, Sorted, entry, recipient};
use crate::message::{Event, Outcome, RecipientOutcome, TrailEntry, Visit};

/// What the trail says of an attempt, whatever follows from it.
pub(super) fn what_happened(ended: &Ended<'_>, sorted: &Sorted<'_>) -> Vec<TrailEntry> {
    let mut trail = Vec::new();
    if ended.interrupted {
        let next_hop = ended.delivery.next_hop.clone();
        // It was known when this attempt began, and stands before what happened in it.
        trail.push(TrailEntry {
            at: ended.begun,
            event: Event::Interrupted { next_hop },
        });
    }
    let mut meanwhile: Vec<_> = said(ended).chain(paused(ended)).collect();
    meanwhile.sort_by_key(|entry| entry.at);
    trail.extend(meanwhile);
    trail.extend(attempted(ended, sorted));
    trail
}

/// What was said in the attempt, each dialogue when it began.
fn said<'a>(ended: &'a Ended<'_>) -> impl Iterator<Item = TrailEntry> + 'a {
    let dialogues = ended.attempt.dialogues.iter();
    dialogues.map(|(ago, dialogue)| TrailEntry {
        at: ended.at.minus(*ago),
        event: Event::Dialogue(dialogue.clone()),
    })
}

/// The pauses of the attempt, each when it ended.
fn paused<'a>(ended: &'a Ended<'_>) -> impl Iterator<Item = TrailEntry> + 'a {
    ended.attempt.pauses.iter().map(|pause| TrailEntry {
        at: ended.at.minus(pause.ago),
        event: Event::Paused {
            next_hop: ended.delivery.next_hop.clone(),
            cause: pause.cause,
            others: pause.others,
            times: pause.times,
            took: pause.took,
            end: pause.end,
        },
    })
}

/// The attempt as the trail tells it: one entry for each host, its recipients in the order of the
/// envelope, whatever became of each.
fn attempted(ended: &Ended<'_>, sorted: &Sorted<'_>) -> Vec<TrailEntry> {
    let recipients = &ended.message.envelope.recipients;
    let pending: BTreeSet<u32> = ended.delivery.recipients.iter().copied().collect();
    let named = |outcome: &RecipientOutcome| {
        let name = recipient(recipients, outcome.recipient)
            .map_or_else(String::new, |recipient| recipient.mailbox.to_string());
        let word = match outcome.outcome {
            Outcome::Delivered(_) => "delivered",
            Outcome::Deferred(_) => "deferred",
            Outcome::Bounced(_) => "bounced",
        };
        (name, word, outcome.outcome.reply().clone())
    };
    let mut visits = ended.attempt.visits.clone();
    for visit in &mut visits {
        visit
            .outcomes
            .retain(|outcome| pending.contains(&outcome.recipient));
    }
    if !sorted.forgotten.is_empty() {
        if visits.is_empty() {
            visits.push(Visit::default());
        }
        if let Some(last) = visits.last_mut() {
            last.outcomes.extend(sorted.forgotten.iter().cloned());
        }
    }
    let told = visits.into_iter().map(|mut visit| {
        visit.outcomes.sort_by_key(|outcome| outcome.recipient);
        let event = Event::Attempted {
            next_hop: ended.delivery.next_hop.clone(),
            host: visit.host,
            took: visit.took,
            recipients: visit.outcomes.iter().map(named).collect(),
            unknown: visit.unknown,
        };
        entry(ended, event)
    });
    told.collect()
}
