//! What an account allows of urgency: which carriers count, the ceiling, and the very-high messages of an hour.

use std::time::Duration;

use super::stage::{Peer, Stage};
use super::*;
use crate::account::AllowancePatch;
use crate::message::{Class, Demotion, Event};

/// A message with these fields of a priority.
fn with(fields: &str) -> String {
    format!("From: x@a.example\r\n{fields}\r\nhello")
}

const VERY_HIGH: &str = "X-Priority: 1\r\n";

impl Stage {
    /// What ann is allowed, from her next MAIL on.
    async fn allow(&self, allowance: AllowancePatch) {
        let patch = UserPatch {
            allowance,
            ..UserPatch::default()
        };
        self.change(patch).await;
    }

    /// Which carriers count for ann; none: all.
    async fn trust(&self, carriers: Option<&str>) {
        self.allow(AllowancePatch {
            trusted_carriers: Some(carriers.map(Items::from)),
            ..AllowancePatch::default()
        })
        .await;
    }

    async fn allow_per_hour(&self, per_hour: i64) {
        self.allow(AllowancePatch {
            very_high_per_hour: Some(Some(per_hour)),
            ..AllowancePatch::default()
        })
        .await;
    }

    /// How many very-high messages ann has left.
    fn left(&self) -> Option<u32> {
        let now = self.reception.clock.now();
        self.reception
            .directory
            .user("ann")
            .unwrap()
            .very_high_left(now)
    }

    /// Class and trail of the message that a reply names, but for what components said.
    async fn story(&self, reply: &str) -> (Class, Vec<Event>) {
        let queued = self.queued().await;
        let row = queued
            .iter()
            .find(|row| reply.contains(&row.message.id.to_string()))
            .unwrap();
        let record = self.spool.message(row.message.id).await.unwrap().unwrap();
        let events = record.trail.into_iter().map(|entry| entry.event);
        // What was said is told first, and says nothing here.
        let events = events.filter(|event| !matches!(event, Event::Dialogue(_)));
        let own = events.filter(|event| !matches!(event, Event::Decided { .. }));
        (row.message.class, own.collect())
    }
}

async fn submit(peer: &mut Peer, fields: &str) -> String {
    peer.message("x@a.example", &with(fields), "250 ").await
}

/// Which user is trusted with what, what the message carries, and the class and the trail that it gets. The
/// user's own priority is 3.
#[tokio::test]
async fn a_carrier_that_the_user_is_not_trusted_with_does_not_count_and_the_trail_says_so() {
    let stage = Stage::new().await;
    let mut peer = stage.logged_in().await;
    let both = "X-Priority: 1\r\nImportance: high\r\n";
    let malformed = "X-Priority: 17\r\nImportance: huge\r\n";
    let untrusted = |carrier: &str| Event::UntrustedPriority {
        carrier: carrier.to_owned(),
    };
    let malformed_is = |carrier: &str| Event::MalformedPriority {
        carrier: carrier.to_owned(),
    };
    let overruled = Event::Overruled {
        carrier: "Importance".to_owned(),
        asked: "class 2 (high)".to_owned(),
        by: "X-Priority".to_owned(),
    };
    let twice = "X-Priority: 1\r\nX-Priority: 5\r\nX-Priority: 1\r\n";
    let repeated = Event::Overruled {
        carrier: "X-Priority".to_owned(),
        asked: "class 5 (very low)".to_owned(),
        by: "X-Priority".to_owned(),
    };
    for (trusted, fields, class, noted) in [
        (None, both, 1, vec![overruled]),
        (Some("X-Priority"), both, 1, vec![untrusted("Importance")]),
        (Some("importance"), both, 2, vec![untrusted("X-Priority")]),
        (
            Some("MT-PRIORITY;X-SMTPAPI"),
            both,
            3,
            vec![untrusted("X-Priority"), untrusted("Importance")],
        ),
        (
            Some(""),
            "X-SMTPAPI: {\"Priority\": 1}\r\n",
            3,
            vec![untrusted("X-SMTPAPI")],
        ),
        (Some(""), "", 3, vec![]),
        (None, twice, 1, vec![repeated]),
        (Some("Importance"), twice, 3, vec![untrusted("X-Priority")]),
        (
            Some("X-Priority"),
            malformed,
            3,
            vec![malformed_is("X-Priority"), untrusted("Importance")],
        ),
    ] {
        stage.trust(trusted).await;
        let reply = submit(&mut peer, fields).await;
        assert!(reply.starts_with("250 2.0.0 Queued as "), "{reply}");
        let (found, mut events) = stage.story(&reply).await;
        assert_eq!(found.number(), class, "{trusted:?} {fields:?}");
        assert_eq!(events.pop(), Some(Event::Accepted { class: found }));
        assert_eq!(events, noted, "{trusted:?} {fields:?}");
    }
}

#[tokio::test]
async fn components_see_a_request_without_what_does_not_count() {
    let stage = Stage::new().await;
    stage.trust(Some("Importance")).await;
    let mut peer = stage.logged_in().await;
    let reply = submit(&mut peer, "X-Priority: very\r\nImportance: high\r\n").await;
    let queued = stage.queued().await;
    assert_eq!(queued[0].message.priorities.message, Some(Class::High));
    let record = stage.spool.message(queued[0].message.id).await.unwrap();
    let trail = record.unwrap().trail;
    let said: Vec<String> = trail.iter().map(|entry| entry.event.to_string()).collect();
    let said = said.join("\n");
    assert!(
        said.contains("the message asks for 2 by Importance"),
        "{said}"
    );
    assert!(!said.contains("malformed"), "{reply} {said}");
    assert!(said.contains("X-Priority does not count for this user"));
}

#[tokio::test]
async fn the_field_that_stands_in_for_mail_counts_for_whom_mt_priority_counts() {
    let mut stage = Stage::new().await;
    stage.believe_mt_priority_field();
    let untrusted = Event::UntrustedPriority {
        carrier: "MT-Priority".to_owned(),
    };
    for (trusted, class, noted) in [
        (None, Class::VeryHigh, vec![]),
        (Some("importance;mt-priority"), Class::VeryHigh, vec![]),
        (Some("Importance"), Class::Normal, vec![untrusted]),
    ] {
        stage.trust(trusted).await;
        let mut peer = stage.logged_in().await;
        let reply = submit(&mut peer, "MT-Priority: 6\r\n").await;
        let (found, mut events) = stage.story(&reply).await;
        events.pop();
        assert_eq!((found, events), (class, noted), "{trusted:?}");
    }
}

/// All pairs of a ceiling and of what components say.
#[tokio::test]
async fn no_message_is_above_the_ceiling_of_its_user_and_the_reply_says_which_class_it_got() {
    let stage = Stage::new().await;
    let mut peer = stage.logged_in().await;
    for ceiling in Class::ALL {
        stage
            .change(UserPatch {
                priority: Some(5),
                allowance: AllowancePatch {
                    priority_ceiling: Some(Some(ceiling.number().into())),
                    ..AllowancePatch::default()
                },
                ..UserPatch::default()
            })
            .await;
        for placed in Class::ALL {
            let reply = submit(&mut peer, &format!("X-Priority: {}\r\n", placed.number())).await;
            let (class, events) = stage.story(&reply).await;
            assert_eq!(class, placed.max(ceiling));
            let accepted = Event::Accepted { class };
            if class == placed {
                assert_eq!(events, [accepted]);
                assert!(!reply.contains(" in class "), "{reply}");
            } else {
                let reason = Demotion::Ceiling;
                let (from, to) = (placed, class);
                assert_eq!(events, [Event::Demoted { from, to, reason }, accepted]);
                let said = format!(
                    " in class {} ({class}): your account may use no class above it\r\n",
                    class.number()
                );
                assert!(
                    reply.starts_with("250 2.0.0 ") && reply.ends_with(&said),
                    "{reply}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_user_has_so_many_very_high_messages_and_the_next_are_high_until_more_come_back() {
    let stage = Stage::new().await;
    stage.allow_per_hour(2).await;
    let mut peer = stage.logged_in().await;
    for left in [1, 0] {
        // What is less urgent costs nothing.
        for fields in ["", "X-Priority: 2\r\n"] {
            submit(&mut peer, fields).await;
        }
        let reply = submit(&mut peer, VERY_HIGH).await;
        assert_eq!(stage.story(&reply).await.0, Class::VeryHigh);
        assert_eq!(stage.left(), Some(left));
    }
    let reply = submit(&mut peer, VERY_HIGH).await;
    assert!(
        reply.ends_with(
            " in class 2 (high): your account has no very-high messages left for now\r\n"
        ),
        "{reply}"
    );
    let (class, events) = stage.story(&reply).await;
    let demoted = Event::Demoted {
        from: Class::VeryHigh,
        to: Class::High,
        reason: Demotion::Budget,
    };
    assert_eq!(
        (class, events),
        (Class::High, vec![demoted, Event::Accepted { class }])
    );
    let later = stage.reception.clock.now().plus(Duration::from_secs(1_800));
    stage.reception.clock.set(later);
    let reply = submit(&mut peer, VERY_HIGH).await;
    assert_eq!(stage.story(&reply).await.0, Class::VeryHigh);
    assert_eq!(stage.left(), Some(0));
}

#[tokio::test]
async fn a_very_high_message_that_the_ceiling_stops_is_not_spent() {
    let stage = Stage::new().await;
    stage.allow_per_hour(2).await;
    stage
        .allow(AllowancePatch {
            priority_ceiling: Some(Some(2)),
            ..AllowancePatch::default()
        })
        .await;
    let mut peer = stage.logged_in().await;
    let reply = submit(&mut peer, VERY_HIGH).await;
    assert!(
        reply.contains(" in class 2 (high): your account may use"),
        "{reply}"
    );
    assert_eq!(stage.left(), Some(2));
}

#[tokio::test]
async fn what_is_refused_is_not_spent_and_what_may_be_stored_is() {
    let stage = Stage::new().await;
    stage.allow_per_hour(3).await;
    let mut peer = stage.logged_in().await;
    let no_author = "Subject: s\r\nX-Priority: 1\r\n\r\nx";
    peer.message("x@a.example", no_author, "550 5.7.1 ").await;
    assert_eq!(stage.left(), Some(3));
    for (error, reply, left) in [
        (SpoolError::Full, "452 4.3.1 ", 3),
        (SpoolError::ReadOnly, "452 4.3.1 ", 3),
        (SpoolError::unavailable("who knows"), "451 4.3.0 ", 2),
    ] {
        stage.spool.fail_next_enqueue(error);
        peer.message("x@a.example", &with(VERY_HIGH), reply).await;
        assert_eq!(stage.left(), Some(left), "{reply}");
    }
}

#[tokio::test]
async fn what_cannot_be_counted_is_accepted_as_high() {
    let stage = Stage::new().await;
    stage.allow_per_hour(3).await;
    let mut peer = stage.logged_in().await;
    stage.rows.set_failing(true);
    let reply = submit(&mut peer, VERY_HIGH).await;
    assert!(
        reply.ends_with(
            " in class 2 (high): very-high messages of your account cannot be counted right now\r\n"
        ),
        "{reply}"
    );
    let (class, events) = stage.story(&reply).await;
    let reason = Demotion::Uncounted;
    let (from, to) = (Class::VeryHigh, class);
    assert_eq!(
        events,
        [
            Event::Demoted { from, to, reason },
            Event::Accepted { class }
        ]
    );
    // Whose messages are not counted does not notice.
    stage.rows.set_failing(false);
    stage.user("bob").await;
    stage.rows.set_failing(true);
    let mut bob = stage.logged_in_as("bob").await;
    let reply = submit(&mut bob, VERY_HIGH).await;
    assert_eq!(stage.story(&reply).await.0, Class::VeryHigh);
    stage.rows.set_failing(false);
    submit(&mut peer, VERY_HIGH).await;
    assert_eq!(stage.left(), Some(2));
}

#[tokio::test]
async fn sessions_at_the_same_time_have_no_more_than_there_is() {
    let stage = Stage::new().await;
    stage.allow_per_hour(7).await;
    let mut sessions = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut peer = stage.logged_in().await;
        sessions.spawn(async move { submit(&mut peer, VERY_HIGH).await });
    }
    let replies = sessions.join_all().await;
    let demoted = replies
        .iter()
        .filter(|reply| reply.contains(" in class 2 "));
    assert_eq!(demoted.count(), 13, "{replies:?}");
    assert_eq!(stage.left(), Some(0));
}

#[tokio::test]
async fn what_is_made_less_urgent_is_counted_by_the_limit() {
    let stage = Stage::new().await;
    let mut peer = stage.logged_in().await;
    stage.allow_per_hour(1).await;
    for _ in 0..3 {
        submit(&mut peer, VERY_HIGH).await;
    }
    stage
        .allow(AllowancePatch {
            priority_ceiling: Some(Some(4)),
            ..AllowancePatch::default()
        })
        .await;
    submit(&mut peer, "").await;
    let metrics = &stage.reception.metrics;
    let counted = [Demotion::Ceiling, Demotion::Budget, Demotion::Uncounted]
        .map(|reason| metrics.demoted_by(reason));
    assert_eq!(counted, [1, 2, 0]);
}
