//! Bounds on what may be asked for by MT-PRIORITY, refused with the statuses that RFC 6710 has for it.
//!
//! What asks for a class below `least` (1 to 5, by default 5) is refused with 5.7.15, and what asks for class 1 and is larger than
//! `very_high_bytes_max` octets (by default any size) with 5.7.16, at MAIL where it declares its size. Of all else it
//! has no opinion, so it stands before the component that says who may send as whom.

use outpost_sdk::{
    Decision, Policy, Priority, Problem, Reply, Transaction, config, pass, refuse, register,
};

/// The policy.
pub struct PriorityLimits;

impl Policy for PriorityLimits {
    fn authorize(tx: &Transaction) -> Decision {
        // Settings were checked when the component was deployed; should one be wrong all the same,
        // there is no opinion.
        let Ok(limits) = Limits::from_settings() else {
            return pass();
        };
        let requested = tx.requested_priorities();
        let by_mail = requested.iter().find(|one| one.carrier == "MT-PRIORITY");
        let Some(asked) = by_mail.and_then(|one| one.priority) else {
            return pass();
        };
        let octets = tx.content_bytes().or(tx.envelope().declared_size_bytes);
        if asked > limits.least {
            let detail = format!(
                "class {} is asked for, and {} is the least urgent",
                asked.number(),
                limits.least.number()
            );
            let reply = Reply::new(550, (5, 7, 15), "Priority level is too low");
            return refuse("priority-limits", detail).replying(reply);
        }
        match (octets, limits.very_high_bytes_max) {
            (Some(octets), Some(max)) if asked == Priority::VeryHigh && octets > max => {
                let detail = format!("a very-high message of {octets} octets, of {max} at most");
                let reply = Reply::new(
                    552,
                    (5, 7, 16),
                    "Message is too big for the specified priority",
                );
                refuse("priority-limits", detail).replying(reply)
            }
            _ => pass(),
        }
    }

    fn check_config() -> Result<(), Vec<Problem>> {
        Limits::from_settings().map(drop)
    }
}

/// What may be asked for.
struct Limits {
    least: Priority,
    very_high_bytes_max: Option<u64>,
}

impl Limits {
    fn from_settings() -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let known = ["least", "very_high_bytes_max"];
        let others = config::keys().into_iter();
        for key in others.filter(|key| !known.contains(&key.as_str())) {
            let text = "is not a setting; known are least, very_high_bytes_max";
            problems.push(Problem::new(key, text));
        }
        let least = config::value("least").map_or(Some(Priority::VeryLow), |text| {
            Priority::from_number(text.parse().ok()?)
        });
        if least.is_none() {
            problems.push(Problem::new("least", "must be a priority from 1 to 5"));
        }
        let octets = config::value("very_high_bytes_max").map(|text| text.parse().ok());
        if octets == Some(None) {
            let text = "must be a number of octets";
            problems.push(Problem::new("very_high_bytes_max", text));
        }
        match least {
            Some(least) if problems.is_empty() => Ok(Self {
                least,
                very_high_bytes_max: octets.flatten(),
            }),
            _ => Err(problems),
        }
    }
}

register!(authorizer: PriorityLimits);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use outpost_sdk::Verdict;
    use outpost_sdk::testing::{self, Relay};

    fn limited() -> Relay {
        Relay::new()
            .setting("least", "3")
            .setting("very_high_bytes_max", "1000")
    }

    fn asking(value: &str, priority: Priority) -> testing::Builder {
        testing::Transaction::builder().requested("MT-PRIORITY", value, Some(priority))
    }

    /// The status of a refusal; none where it has no opinion.
    fn status(tx: testing::Builder) -> Option<(u16, (u8, u16, u16))> {
        let decision = PriorityLimits::authorize(&tx.build());
        testing::assert_valid(&decision);
        match decision.verdict {
            Verdict::Refuse(reply) => reply.map(|reply| (reply.code, reply.enhanced)),
            other => {
                assert_eq!(other, Verdict::Pass);
                None
            }
        }
    }

    #[test]
    fn what_is_less_urgent_than_may_be_is_refused() {
        let _relay = limited();
        let low = Some((550, (5, 7, 15)));
        assert_eq!(status(asking("-2", Priority::Low)), low);
        assert_eq!(status(asking("0", Priority::Normal)), None);
        assert_eq!(status(testing::Transaction::builder()), None);
        let other = testing::Transaction::builder();
        let other = other.requested("X-Priority", "5", Some(Priority::VeryLow));
        assert_eq!(status(other), None);
    }

    #[test]
    fn what_is_too_large_to_go_before_everything_is_refused_as_soon_as_that_is_known() {
        let _relay = limited();
        let large = Some((552, (5, 7, 16)));
        let urgent = || asking("6", Priority::VeryHigh);
        assert_eq!(status(urgent()), None);
        assert_eq!(status(urgent().parameter("SIZE", "1001")), large);
        assert_eq!(status(urgent().parameter("SIZE", "1000")), None);
        let declared_less = urgent().parameter("SIZE", "10").content_bytes(1_001);
        assert_eq!(status(declared_less), large);
        assert_eq!(
            status(asking("3", Priority::High).content_bytes(9_999)),
            None
        );
    }

    #[test]
    fn wrong_settings_are_named_at_once_and_no_setting_bounds_nothing() {
        let relay = Relay::new();
        assert_eq!(PriorityLimits::check_config(), Ok(()));
        assert_eq!(status(asking("-9", Priority::VeryLow)), None);
        let _relay = relay
            .setting("least", "0")
            .setting("very_high_bytes_max", "1k")
            .setting("most", "1");
        let problems = PriorityLimits::check_config().unwrap_err();
        let keys: Vec<&str> = problems.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(keys, ["most", "least", "very_high_bytes_max"]);
        assert_eq!(status(asking("-9", Priority::VeryLow)), None);
    }
}
