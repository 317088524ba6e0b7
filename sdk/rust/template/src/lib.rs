//! Bulk mail waits: a message that can be unsubscribed from gets the priority of the setting `bulk`.
//!
//! It has no opinion about any other message, so the next component in the chain decides.

use outpost_sdk::{Placement, Policy, Priority, Problem, Transaction, config, place, register};

struct MyPolicy;

impl Policy for MyPolicy {
    fn place(tx: &Transaction) -> Option<Placement> {
        tx.header("List-Unsubscribe")?;
        Some(place(
            bulk()?,
            "bulk",
            "the message can be unsubscribed from",
        ))
    }

    fn check_config() -> Result<(), Vec<Problem>> {
        match bulk() {
            Some(_) => Ok(()),
            None => Err(vec![Problem::new("bulk", "must be a priority from 1 to 5")]),
        }
    }
}

/// The priority of bulk mail: 5 unless set otherwise, none when what is set is no priority.
fn bulk() -> Option<Priority> {
    match config::value("bulk") {
        None => Some(Priority::VeryLow),
        Some(text) => Priority::from_number(text.parse().ok()?),
    }
}

register!(prioritizer: MyPolicy);

#[cfg(test)]
mod tests {
    use super::*;
    use outpost_sdk::testing::{self, Relay};

    fn placed(header: &str) -> Option<Priority> {
        let tx = testing::Transaction::builder()
            .author("news@shop.example")
            .header(header, "x");
        let placement = MyPolicy::place(&tx.build())?;
        testing::assert_valid(&placement);
        Some(placement.priority)
    }

    #[test]
    fn bulk_mail_waits_and_other_mail_is_left_alone() {
        assert_eq!(placed("List-Unsubscribe"), Some(Priority::VeryLow));
        assert_eq!(placed("Subject"), None);
    }

    #[test]
    fn the_operator_says_how_long_bulk_mail_waits() {
        let _relay = Relay::new().setting("bulk", "4");
        assert_eq!(MyPolicy::check_config(), Ok(()));
        assert_eq!(placed("List-Unsubscribe"), Some(Priority::Low));
    }

    #[test]
    fn a_wrong_setting_is_named_when_the_component_is_deployed() {
        let _relay = Relay::new().setting("bulk", "later");
        let problem = Problem::new("bulk", "must be a priority from 1 to 5");
        assert_eq!(MyPolicy::check_config(), Err(vec![problem]));
    }
}
