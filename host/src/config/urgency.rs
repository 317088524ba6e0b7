//! What `[delivery]` says about urgency: how the classes share, and how sends give way to one another.

use std::num::NonZeroU64;
use std::time::Duration;

use super::document::Section;
use super::values::{duration, number, text};
use crate::delivery::GateRules;
use crate::message::{ClassRule, WEIGHT_MAX};

/// The shortest ceiling: below it a pause is hardly one.
const CEILING_MIN: Duration = Duration::from_secs(1);

/// The longest: hosts wait for five minutes (RFC 5321 §4.5.3.2.5), and not for a moment longer.
const CEILING_MAX: Duration = Duration::from_secs(240);

/// The fastest trickle: beyond it a pause would be none.
const TRICKLE_MAX: u64 = 100_000;

/// Reads the rules of the gate.
pub(super) fn gate(section: &Section<'_, '_>) -> GateRules {
    let mut rules = GateRules::default();
    if let Some(ceiling) = section.value("pause_ceiling", duration(CEILING_MIN, CEILING_MAX)) {
        rules.pause_ceiling = ceiling;
    }
    if let Some(octets) = section.value("pause_trickle_bytes_per_second", number(0, TRICKLE_MAX)) {
        rules.trickle_octets = u32::try_from(octets).unwrap_or(rules.trickle_octets);
    }
    if let Some(octets) = section.value("capacity_bytes_per_second", number(0, u64::MAX)) {
        rules.capacity = NonZeroU64::new(octets);
    }
    if let Some(classes) = section.value("class_shares", text(class_rule)) {
        rules.classes = classes;
    }
    rules
}

/// `8:4:2:1`, the weights of classes 2 to 5, or `strict`.
fn class_rule(value: &str) -> Result<ClassRule, String> {
    if value == "strict" {
        return Ok(ClassRule::Strict);
    }
    let weights: Option<Vec<u32>> = value
        .split(':')
        .map(|weight| {
            let weight = weight.trim().parse().ok();
            weight.filter(|weight| (1..=WEIGHT_MAX).contains(weight))
        })
        .collect();
    weights
        .and_then(|weights| weights.try_into().ok())
        .map(ClassRule::Weighted)
        .ok_or_else(|| {
            format!(
                "`{value}` is neither \"strict\" nor four weights from 1 to {WEIGHT_MAX}, those of classes 2 to 5, \
                 such as \"8:4:2:1\""
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_four_weights_or_strict() {
        assert_eq!(class_rule("8:4:2:1"), Ok(ClassRule::default()));
        assert_eq!(
            class_rule("1 : 1:1:100"),
            Ok(ClassRule::Weighted([1, 1, 1, 100]))
        );
        assert_eq!(class_rule("strict"), Ok(ClassRule::Strict));
        for wrong in [
            "",
            "8:4:2",
            "8:4:2:1:1",
            "8:4:2:0",
            "8:4:2:101",
            "8:4:-2:1",
            "Strict",
        ] {
            let told = class_rule(wrong).expect_err(wrong);
            assert!(told.contains("classes 2 to 5"), "{told}");
        }
    }
}
