//! How urgent: the more urgent of the user's priority and what the message asks for itself.
//!
//! The message's own priority is that of its first carrier, in the relay's order of precedence,
//! that is well-formed. A malformed one counts as absent and is named in the reasons, since whoever
//! wrote it expected something of it.

use outpost_sdk::{Placement, Policy, Transaction, place, register};

/// The policy.
pub struct EffectivePriority;

impl Policy for EffectivePriority {
    fn place(tx: &Transaction) -> Option<Placement> {
        // Without a user there is nothing to compare with: no opinion.
        let user = tx.account()?.priority;
        let requested = tx.requested_priorities();
        let own = requested
            .iter()
            .find_map(|carrier| Some((carrier.priority?, &carrier.carrier)));
        let (effective, asked) = match own {
            Some((own, carrier)) => (user.more_urgent(own), format!("{own} by {carrier}")),
            None => (user, "nothing".into()),
        };
        let detail = format!("the user has {user}, the message asks for {asked}");
        let malformed = requested
            .iter()
            .filter(|carrier| carrier.priority.is_none());
        Some(malformed.fold(
            place(effective, "effective-priority", detail),
            |placement, carrier| {
                let detail = format!(
                    "{} is malformed and counts as absent: {}",
                    carrier.carrier, carrier.value
                );
                placement.because("malformed-priority", detail)
            },
        ))
    }
}

register!(prioritizer: EffectivePriority);

#[cfg(test)]
mod tests {
    use super::*;
    use outpost_sdk::Priority;
    use outpost_sdk::testing::{self, Builder};

    const USER: [(u8, Priority); 5] = [
        (1, Priority::VeryHigh),
        (2, Priority::High),
        (3, Priority::Normal),
        (4, Priority::Low),
        (5, Priority::VeryLow),
    ];

    fn user(priority: Priority) -> Builder {
        testing::Transaction::builder().user_priority(priority)
    }

    fn placed(builder: Builder) -> Placement {
        let placement = EffectivePriority::place(&builder.build()).expect("a user is logged in");
        testing::assert_valid(&placement);
        placement
    }

    fn reasons(builder: Builder) -> Vec<String> {
        let reasons = placed(builder).reasons.into_iter();
        reasons
            .map(|reason| format!("{}: {}", reason.rule, reason.detail))
            .collect()
    }

    #[test]
    fn effective_is_the_more_urgent_of_all_25_pairs() {
        // Down: the user's priority, 1 to 5. Across: the message's, 1 to 5.
        let table = [
            [1, 1, 1, 1, 1],
            [1, 2, 2, 2, 2],
            [1, 2, 3, 3, 3],
            [1, 2, 3, 4, 4],
            [1, 2, 3, 4, 5],
        ];
        for ((users, priority), row) in USER.into_iter().zip(table) {
            for ((messages, own), effective) in USER.into_iter().zip(row) {
                let value = messages.to_string();
                let placed = placed(user(priority).requested("X-Priority", &value, Some(own)));
                assert_eq!(
                    placed.priority.number(),
                    effective,
                    "user {users}, message {messages}"
                );
                assert_eq!(
                    placed.reasons[0].detail,
                    format!("the user has {users}, the message asks for {messages} by X-Priority")
                );
                assert_eq!((placed.deliver_within_s, placed.notes.len()), (None, 0));
            }
        }
    }

    #[test]
    fn a_message_that_asks_for_nothing_has_the_users_priority() {
        for (number, priority) in USER {
            assert_eq!(placed(user(priority)).priority.number(), number);
        }
        assert_eq!(
            reasons(user(Priority::Low)),
            ["effective-priority: the user has 4, the message asks for nothing"]
        );
    }

    #[test]
    fn the_first_carrier_in_order_counts_even_when_a_later_one_is_more_urgent() {
        let message = user(Priority::VeryLow)
            .requested("MT-PRIORITY", "-3", Some(Priority::Low))
            .requested("X-Priority", "1", Some(Priority::VeryHigh));
        assert_eq!(placed(message.clone()).priority, Priority::Low);
        assert_eq!(
            reasons(message),
            ["effective-priority: the user has 5, the message asks for 4 by MT-PRIORITY"]
        );
    }

    #[test]
    fn malformed_carriers_count_as_absent_and_are_named() {
        let message = user(Priority::Low)
            .requested("X-SMTPAPI", "{\"Priority\":9}", None)
            .requested("X-Priority", "2", Some(Priority::High))
            .requested("Importance", "so\r\nso", None);
        assert_eq!(placed(message.clone()).priority, Priority::High);
        assert_eq!(
            reasons(message),
            [
                "effective-priority: the user has 4, the message asks for 2 by X-Priority",
                "malformed-priority: X-SMTPAPI is malformed and counts as absent: {\"Priority\":9}",
                "malformed-priority: Importance is malformed and counts as absent: so??so",
            ]
        );
        let only = user(Priority::Low).requested("X-Priority", "urgent", None);
        assert_eq!(placed(only).priority, Priority::Low);
    }

    #[test]
    fn without_a_user_there_is_no_opinion() {
        let tx = user(Priority::Low).without_account().requested(
            "X-Priority",
            "1",
            Some(Priority::VeryHigh),
        );
        assert_eq!(EffectivePriority::place(&tx.build()), None);
    }

    #[test]
    fn any_number_of_carriers_stays_within_the_limits() {
        let many = (0..100).fold(user(Priority::Low), |tx, _| {
            tx.requested("X-Priority", &"9".repeat(900), None)
        });
        assert_eq!(placed(many).reasons.len(), outpost_sdk::REASONS_MAX);
    }
}
