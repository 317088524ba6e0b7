//! What an account allows its mail of urgency: which carriers of a priority count, how urgent its mail may
//! be at most, and how many very-high messages it has.
//!
//! Limits of the account, off unless an operator sets them. How urgent a message is, policy components say;
//! reception bounds their answer by these. What of the very-high messages is spent stands in `budget`.

use super::items::gather;
use super::{FieldProblem, Items, keep};
use crate::message::Class;
use crate::message::header::Carrier;

/// Most very-high messages an hour. Each is one write of the directory, and very-high mail that is more than
/// 28 a second goes before nothing but itself.
pub const VERY_HIGH_PER_HOUR_MAX: u32 = 100_000;

/// What an account allows. The default is everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    trusted_carriers: Option<Vec<Carrier>>,
    ceiling: Option<Class>,
    very_high_per_hour: Option<u32>,
}

impl Allowance {
    /// Field name of the carriers.
    pub const TRUSTED_CARRIERS: &'static str = "trusted_carriers";
    /// Field name of the ceiling.
    pub const CEILING: &'static str = "priority_ceiling";
    /// Field name of the budget.
    pub const VERY_HIGH_PER_HOUR: &'static str = "very_high_per_hour";

    /// The carriers that count, in order of precedence. None: all there are, and those that a later release
    /// knows.
    pub fn trusted_carriers(&self) -> Option<&[Carrier]> {
        self.trusted_carriers.as_deref()
    }

    /// Whether the carrier of that name counts, in any case: the field MT-Priority, where it stands in for MT-PRIORITY
    /// (RFC 6758 §3.1), counts for whom that counts.
    pub fn trusts(&self, carrier: &str) -> bool {
        let is_named = |known: &Carrier| known.name().eq_ignore_ascii_case(carrier);
        self.trusted_carriers
            .as_ref()
            .is_none_or(|trusted| trusted.iter().any(is_named))
    }

    /// The most urgent class that the mail may have; none: any.
    pub fn ceiling(&self) -> Option<Class> {
        self.ceiling
    }

    /// Very-high messages an hour, 1 to [`VERY_HIGH_PER_HOUR_MAX`]; none: any number.
    pub fn very_high_per_hour(&self) -> Option<u32> {
        self.very_high_per_hour
    }

    /// What it is after a change.
    pub fn changed(&self, change: AllowanceChange) -> Self {
        Self {
            trusted_carriers: change
                .trusted_carriers
                .unwrap_or_else(|| self.trusted_carriers.clone()),
            ceiling: change.ceiling.unwrap_or(self.ceiling),
            very_high_per_hour: change.very_high_per_hour.unwrap_or(self.very_high_per_hour),
        }
    }
}

/// A change to what an account allows, as an operator asks for it. What is none stays, or is as for a new
/// account; what is none inside takes the limit away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowancePatch {
    /// Names of carriers.
    pub trusted_carriers: Option<Option<Items>>,
    /// 1 (very high) to 5 (very low).
    pub priority_ceiling: Option<Option<i64>>,
    /// 1 to [`VERY_HIGH_PER_HOUR_MAX`].
    pub very_high_per_hour: Option<Option<i64>>,
}

/// A change to what an account allows, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowanceChange {
    trusted_carriers: Option<Option<Vec<Carrier>>>,
    ceiling: Option<Option<Class>>,
    very_high_per_hour: Option<Option<u32>>,
}

impl AllowancePatch {
    /// Checks the whole patch.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn check(self) -> Result<AllowanceChange, Vec<FieldProblem>> {
        let mut problems = Vec::new();
        let carriers = self.trusted_carriers.map(|items| {
            items
                .map(|items| gather(Allowance::TRUSTED_CARRIERS, &items, CARRIERS_MAX, carrier))
                .transpose()
        });
        let carriers = keep(carriers.transpose(), &mut problems);
        let class = |number| check_class(Allowance::CEILING, number);
        let ceiling = self.priority_ceiling.map(|c| c.map(class).transpose());
        let ceiling = keep(ceiling.transpose(), &mut problems);
        let budget = self
            .very_high_per_hour
            .map(|number| number.map(check_budget).transpose());
        let budget = keep(budget.transpose(), &mut problems);
        match (carriers, ceiling, budget) {
            (Some(trusted_carriers), Some(ceiling), Some(very_high_per_hour)) => {
                Ok(AllowanceChange {
                    trusted_carriers,
                    ceiling,
                    very_high_per_hour,
                })
            }
            _ => Err(problems),
        }
    }
}

/// Most carriers in one list, duplicates included; there are seven.
const CARRIERS_MAX: usize = 100;

fn carrier(name: &str) -> Result<Carrier, String> {
    Carrier::from_name(name).ok_or_else(|| {
        let known = Carrier::ALL.map(Carrier::name).join(";");
        format!("is not a carrier of a priority: there are {known}")
    })
}

/// The class of that number, in that field.
pub(super) fn check_class(field: &'static str, number: i64) -> Result<Class, Option<FieldProblem>> {
    u8::try_from(number)
        .ok()
        .and_then(Class::from_number)
        .ok_or_else(|| {
            let text = format!("{number} is not a priority: write 1 (very high) to 5 (very low)");
            Some(FieldProblem::new(field, text))
        })
}

fn check_budget(number: i64) -> Result<u32, Option<FieldProblem>> {
    u32::try_from(number)
        .ok()
        .filter(|number| (1..=VERY_HIGH_PER_HOUR_MAX).contains(number))
        .ok_or_else(|| {
            let text = format!(
                "{number} is not a number of very-high messages: write 1 to \
                 {VERY_HIGH_PER_HOUR_MAX}; a ceiling of 2 allows none at all"
            );
            Some(FieldProblem::new(Allowance::VERY_HIGH_PER_HOUR, text))
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn allowed(patch: AllowancePatch) -> Allowance {
        Allowance::default().changed(patch.check().unwrap())
    }

    fn carriers(items: impl Into<Items>) -> AllowancePatch {
        AllowancePatch {
            trusted_carriers: Some(Some(items.into())),
            ..AllowancePatch::default()
        }
    }

    fn problems(patch: AllowancePatch) -> Vec<String> {
        let problems = patch.check().unwrap_err();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_new_account_allows_everything() {
        let allowance = Allowance::default();
        assert_eq!(allowance, allowed(AllowancePatch::default()));
        assert!(Carrier::ALL.iter().all(|c| allowance.trusts(c.name())));
        assert!(allowance.trusts("one of a later release"));
        assert_eq!(
            (allowance.ceiling(), allowance.very_high_per_hour()),
            (None, None)
        );
    }

    #[test]
    fn carriers_are_named_in_any_case_and_order_and_the_others_do_not_count() {
        for (text, trusted) in [
            ("", &[][..]),
            (
                " x-priority ; MT-priority;;",
                &["MT-PRIORITY", "X-Priority"],
            ),
            ("Priority;Importance;priority", &["Importance", "Priority"]),
            ("X-MSMail-Priority", &["X-MSMail-Priority"]),
            ("x-smtpapi", &["X-SMTPAPI"]),
        ] {
            let allowance = allowed(carriers(text));
            let names = allowance.trusted_carriers().unwrap().iter();
            assert_eq!(
                names.map(|carrier| carrier.name()).collect::<Vec<_>>(),
                trusted,
                "{text:?}"
            );
            for carrier in Carrier::ALL.map(Carrier::name) {
                assert_eq!(allowance.trusts(carrier), trusted.contains(&carrier));
            }
        }
    }

    #[test]
    fn everything_wrong_is_told_by_its_key() {
        let patch = AllowancePatch {
            trusted_carriers: Some(Some("X-Priority;X-Prio".into())),
            priority_ceiling: Some(Some(0)),
            very_high_per_hour: Some(Some(0)),
        };
        assert_eq!(
            problems(patch),
            [
                "trusted_carriers: \"X-Prio\" is not a carrier of a priority: there are \
                 MT-PRIORITY;HTTP;X-SMTPAPI;X-Priority;X-MSMail-Priority;Importance;Priority",
                "priority_ceiling: 0 is not a priority: write 1 (very high) to 5 (very low)",
                "very_high_per_hour: 0 is not a number of very-high messages: write 1 to 100000; \
                 a ceiling of 2 allows none at all",
            ]
        );
        assert_eq!(
            problems(carriers("X-Priority,Importance")),
            [
                "trusted_carriers: \"X-Priority,Importance\" contains a comma: items are separated by \
                 a semicolon, write \"X-Priority;Importance\""
            ]
        );
        for number in [-1, 100_001, i64::MAX, i64::MIN] {
            let patch = AllowancePatch {
                very_high_per_hour: Some(Some(number)),
                ..AllowancePatch::default()
            };
            assert!(problems(patch)[0].starts_with(&format!("very_high_per_hour: {number} ")));
        }
    }

    #[test]
    fn a_change_replaces_what_it_names_and_null_takes_away() {
        let all = allowed(AllowancePatch {
            trusted_carriers: Some(Some("X-Priority".into())),
            priority_ceiling: Some(Some(1)),
            very_high_per_hour: Some(Some(100_000)),
        });
        assert_eq!(all.ceiling(), Some(Class::VeryHigh));
        assert_eq!(all.very_high_per_hour(), Some(VERY_HIGH_PER_HOUR_MAX));
        let nothing = AllowancePatch::default().check().unwrap();
        assert_eq!(all.changed(nothing), all);
        let one = AllowancePatch {
            priority_ceiling: Some(None),
            ..AllowancePatch::default()
        };
        let after = all.changed(one.check().unwrap());
        assert_eq!(after.ceiling(), None);
        assert_eq!(after.trusted_carriers(), all.trusted_carriers());
        assert_eq!(after.very_high_per_hour(), all.very_high_per_hour());
        let rest = AllowancePatch {
            trusted_carriers: Some(None),
            very_high_per_hour: Some(None),
            ..AllowancePatch::default()
        };
        let after = after.changed(rest.check().unwrap());
        assert_eq!(after, Allowance::default());
    }
}
