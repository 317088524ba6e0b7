//! Wants what it was not granted: its import list and its description name `state`, and when it is
//! answered `not-granted` it says so in its reason. For the tests of the relay.

use outpost_sdk::{Decision, Policy, Transaction, permit, refuse, register, state};

/// The policy.
pub struct WantsState;

impl Policy for WantsState {
    fn authorize(_tx: &Transaction) -> Decision {
        match state::add("asked", 1, 60_000) {
            Ok(_) => permit("state", "granted"),
            Err(state::Failure::NotGranted) => refuse("state", "not granted"),
            Err(_) => refuse("state", "another failure"),
        }
    }
}

register!(authorizer: WantsState, grants: ["state"]);

#[cfg(test)]
mod tests {
    use super::*;
    use outpost_sdk::testing::{Relay, Transaction};

    #[test]
    fn a_denied_grant_is_an_answer_and_no_trap() {
        let tx = Transaction::builder().build();
        let relay = Relay::new();
        assert_eq!(WantsState::authorize(&tx).reasons[0].detail, "granted");
        let _relay = relay.deny("state");
        assert_eq!(WantsState::authorize(&tx).reasons[0].detail, "not granted");
    }
}
