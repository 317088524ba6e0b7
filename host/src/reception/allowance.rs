//! What a user's account allows of urgency, applied to one message: which of its carriers of a priority count, and
//! which class it gets of the one that policy components gave it.
//!
//! The limits are the account's and bound what components say; there is no rule here. A message that meets one is
//! accepted all the same, and the reply to its content and its trail say which class it got and why.

use outpost_smtp::Reply;

use super::{Reception, replies};
use crate::account::{Allowance, User};
use crate::message::header::{Carrier, Requested, overruled};
use crate::message::{Class, Demotion, Event, MessageId, Timestamp};
use crate::spool::SpoolError;

/// What a message asks for.
pub(super) struct Asked {
    /// What counts for its user, in order of precedence.
    pub(super) counted: Vec<Requested>,
    /// What the user is not trusted with.
    untrusted: Vec<Requested>,
    /// What later fields of the same name ask for, of those that count.
    repeated: Vec<Requested>,
}

/// What MAIL says by MT-PRIORITY, or the field that stands in for it.
#[derive(Clone, Copy)]
pub(super) struct MtPriority {
    asked: i8,
    counts: i8,
}

/// The class that a message gets.
pub(super) struct Allowed {
    pub(super) class: Class,
    /// What components said, and which limit stands below that.
    demoted: Option<(Class, Demotion)>,
    /// When one of the user's very-high messages was spent on it.
    spent: Option<Timestamp>,
}

impl Asked {
    pub(super) fn of(
        requested: Vec<Requested>,
        mut repeated: Vec<Requested>,
        allowance: &Allowance,
    ) -> Self {
        repeated.retain(|later| allowance.trusts(later.carrier));
        let (counted, untrusted) = requested
            .into_iter()
            .partition(|requested| allowance.trusts(requested.carrier));
        Self {
            counted,
            untrusted,
            repeated,
        }
    }

    /// What asks for something else than what comes before it, and that: another carrier, or the first of the same name.
    pub(super) fn overruled(&self) -> impl Iterator<Item = (&Requested, &'static str)> {
        let others = overruled(&self.counted).into_iter();
        let others = others.map(|(other, first)| (other, first.carrier));
        others.chain(self.repeated.iter().map(|later| (later, later.carrier)))
    }

    /// For the trail: what did not count.
    pub(super) fn events(&self) -> impl Iterator<Item = Event> {
        let malformed = self.counted.iter().filter(|asked| asked.class.is_none());
        let malformed = malformed.map(|asked| Event::MalformedPriority {
            carrier: asked.carrier.to_owned(),
        });
        let untrusted = self.untrusted.iter().map(|asked| Event::UntrustedPriority {
            carrier: asked.carrier.to_owned(),
        });
        malformed.chain(untrusted)
    }
}

impl MtPriority {
    /// From somebody who is not trusted with it, it is changed into the one of a message of which nothing is said: a
    /// relay may lower or raise what is asked for (RFC 6710 §4.1), and what is changed goes on as it is then (§4.2).
    pub(super) fn of(asked: i8, allowance: &Allowance) -> Self {
        let counts = match allowance.trusts(Carrier::MtPriority.name()) {
            true => asked,
            false => Class::UNSAID_MT_PRIORITY,
        };
        Self { asked, counts }
    }

    /// What trace field and next hops are told.
    pub(super) fn counts(self) -> i8 {
        self.counts
    }

    /// The priority of a message that got this class, where that is not the one that was asked for.
    fn changed(self, class: Class) -> Option<i8> {
        let stands =
            self.counts == self.asked && Class::from_mt_priority(self.asked) == Some(class);
        let counts = class.mt_priority_nearest(self.counts);
        (!stands && counts != self.asked).then_some(counts)
    }
}

impl Allowed {
    /// The class of a message of `user` that components placed in that class. A very-high message that is counted is
    /// spent when this returns; [`Allowed::unused`] gives it back.
    pub(super) async fn of(reception: &Reception, user: &User, placed: Class) -> Self {
        let demoted_to = |class, reason| Self {
            class,
            demoted: Some((placed, reason)),
            spent: None,
        };
        if let Some(ceiling) = user.allowance.ceiling().filter(|ceiling| placed < *ceiling) {
            return demoted_to(ceiling, Demotion::Ceiling);
        }
        let mut allowed = Self {
            class: placed,
            demoted: None,
            spent: None,
        };
        if placed != Class::VeryHigh || user.allowance.very_high_per_hour().is_none() {
            return allowed;
        }
        let now = reception.clock.now();
        match reception.directory.spend_very_high(&user.name, now).await {
            Ok(true) => {
                allowed.spent = Some(now);
                allowed
            }
            Ok(false) => demoted_to(Class::High, Demotion::Budget),
            Err(error) => {
                if let Some(left_out) = reception.spared.uncounted.admits(now) {
                    tracing::warn!(
                        user = %user.name,
                        %error,
                        left_out,
                        "a very-high message could not be counted"
                    );
                }
                demoted_to(Class::High, Demotion::Uncounted)
            }
        }
    }

    /// The spool did not take the message. What it may have taken all the same stays spent.
    pub(super) async fn unused(&self, reception: &Reception, user: &User, error: &SpoolError) {
        let is_certain = matches!(error, SpoolError::Full | SpoolError::ReadOnly);
        if let Some(spent) = self.spent.filter(|_| is_certain) {
            let now = reception.clock.now();
            let directory = &reception.directory;
            // Where that cannot be written it comes back with time.
            drop(directory.give_back_very_high(&user.name, spent, now).await);
        }
    }

    /// For the trail.
    pub(super) fn events(&self) -> impl Iterator<Item = Event> {
        let to = self.class;
        let demoted = self.demoted;
        let demoted = demoted.map(|(from, reason)| Event::Demoted { from, to, reason });
        demoted.into_iter().chain([Event::Accepted { class: to }])
    }

    /// What its client is told when the message is on stable storage.
    pub(super) fn reply(&self, id: MessageId, mt_priority: Option<MtPriority>) -> Reply {
        let changed = mt_priority.and_then(|said| said.changed(self.class));
        match self.demoted {
            None => replies::queued(id, changed),
            Some((_, reason)) => replies::queued_below(id, self.class, reason, changed),
        }
    }

    /// The message is on stable storage.
    pub(super) fn accepted(&self, reception: &Reception) {
        reception.metrics.accepted(self.class);
        if let Some((_, reason)) = self.demoted {
            reception.metrics.demoted(reason);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::account::AllowancePatch;

    #[test]
    fn a_priority_is_told_to_be_another_where_the_class_or_the_word_of_its_user_makes_it_one() {
        let nobody = AllowancePatch {
            trusted_carriers: Some(Some("Importance".into())),
            ..AllowancePatch::default()
        };
        let trusted = Allowance::default();
        let untrusted = trusted.changed(nobody.check().unwrap());
        for (allowance, asked, class, counts, changed) in [
            (&trusted, 6, Class::VeryHigh, 6, None),
            (&trusted, 6, Class::High, 6, Some(3)),
            (&trusted, 2, Class::High, 2, None),
            (&trusted, 6, Class::Low, 6, Some(-1)),
            (&trusted, -9, Class::Normal, -9, Some(0)),
            (&untrusted, 6, Class::Normal, 0, Some(0)),
            (&untrusted, -9, Class::Normal, 0, Some(0)),
            (&untrusted, 0, Class::Normal, 0, None),
            // By another carrier, or its user.
            (&untrusted, 6, Class::VeryHigh, 0, Some(4)),
            (&untrusted, 0, Class::Low, 0, Some(-1)),
            // It is what was asked for all the same.
            (&untrusted, -1, Class::Low, 0, None),
        ] {
            let said = MtPriority::of(asked, allowance);
            assert_eq!(
                (said.counts(), said.changed(class)),
                (counts, changed),
                "{asked} {class}"
            );
        }
    }
}
