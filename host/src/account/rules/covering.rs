//! Which rule covers an address, and the rule that would.
//!
//! For whoever asks who may send as whom, compared as the shipped component `authorized-senders` compares; a test of both
//! keeps them together. What is decided about mail is decided by the components alone.

use super::{ITEMS_MAX, NOT_AN_ADDRESS, SenderRules, parse_domains, parse_senders, written};
use crate::account::{FieldProblem, Items};
use crate::message::Address;

/// One of the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A domain, or with `*.` its subdomains.
    Domain(String),
    /// A whole address.
    Sender(Address),
}

/// Why a rule cannot be added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleProblem {
    /// No rule can be written for it.
    #[error("no rule can be written for it: {0}")]
    Unwritable(String),
    /// There are as many as there can be.
    #[error(
        "there are {ITEMS_MAX} {0}, and no more: take one out first, or give the user another rule that covers several"
    )]
    TooMany(&'static str),
}

impl Rule {
    /// The rule for the domain of an address, which covers every address at it.
    ///
    /// # Errors
    /// [`RuleProblem::Unwritable`].
    pub fn for_domain_of(address: &Address) -> Result<Self, RuleProblem> {
        only(parse_domains(&Items::List(vec![
            address.domain().to_owned(),
        ])))
        .map(Self::Domain)
    }

    /// The rule for an address, which covers it alone.
    ///
    /// # Errors
    /// [`RuleProblem::Unwritable`] for one that SMTP can say and a rule cannot, such as one with a *.
    pub fn for_sender(address: &Address) -> Result<Self, RuleProblem> {
        let text = written(address, address.domain());
        let sender = only(parse_senders(&Items::List(vec![text])))?;
        match is_address(&sender, address) {
            true => Ok(Self::Sender(sender)),
            false => Err(RuleProblem::Unwritable(NOT_AN_ADDRESS.to_owned())),
        }
    }

    /// The field that it stands in.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Domain(_) => SenderRules::DOMAINS,
            Self::Sender(_) => SenderRules::SENDERS,
        }
    }

    /// It as the field has it.
    pub fn text(&self) -> String {
        match self {
            Self::Domain(domain) => domain.clone(),
            Self::Sender(sender) => written(sender, sender.domain()),
        }
    }
}

/// What one item was read as.
fn only<T>(read: Result<Vec<T>, Vec<FieldProblem>>) -> Result<T, RuleProblem> {
    let nothing = || RuleProblem::Unwritable(NOT_AN_ADDRESS.to_owned());
    match read {
        Ok(mut items) => items.pop().ok_or_else(nothing),
        Err(problems) => Err(problems
            .into_iter()
            .next()
            .map_or_else(nothing, |problem| RuleProblem::Unwritable(problem.text))),
    }
}

impl SenderRules {
    /// The rule that covers an address, a domain before a sender.
    pub fn covering(&self, address: &Address) -> Option<Rule> {
        self.covering_domain(address.domain())
            .map(|domain| Rule::Domain(domain.to_owned()))
            .or_else(|| {
                let is_it = |sender: &&Address| is_address(sender, address);
                self.senders.iter().find(is_it).cloned().map(Rule::Sender)
            })
    }

    fn covering_domain(&self, domain: &str) -> Option<&str> {
        let at = |rule: &str| {
            let found = self
                .domains
                .binary_search_by(|known| known.as_str().cmp(rule));
            found.ok().map(|at| self.domains[at].as_str())
        };
        // Sorted, those with a * come first.
        let has_wildcards = self
            .domains
            .first()
            .is_some_and(|first| first.starts_with('*'));
        at(domain).or_else(|| {
            let parents = domain.match_indices('.').map(|(at, _)| &domain[at..]);
            let mut parents = parents.filter(|_| has_wildcards);
            parents.find_map(|parent| at(&format!("*{parent}")))
        })
    }

    /// The same with one rule more; the same where they cover what it covers.
    ///
    /// # Errors
    /// [`RuleProblem::TooMany`].
    pub fn with(&self, rule: &Rule) -> Result<Self, RuleProblem> {
        let is_covered = match rule {
            Rule::Domain(domain) => self.covering_domain(domain).is_some(),
            Rule::Sender(sender) => self.covering(sender).is_some(),
        };
        if is_covered {
            return Ok(self.clone());
        }
        let mut rules = self.clone();
        let count = match rule {
            Rule::Domain(domain) => {
                let at = rules.domains.partition_point(|known| known < domain);
                rules.domains.insert(at, domain.clone());
                rules.domains.len()
            }
            Rule::Sender(sender) => {
                rules.senders.push(sender.clone());
                let text = |sender: &Address| written(sender, sender.domain());
                rules.senders.sort_by_cached_key(text);
                rules.senders.len()
            }
        };
        match count > ITEMS_MAX {
            true => Err(RuleProblem::TooMany(rule.field())),
            false => Ok(rules),
        }
    }
}

/// Whether a sender of the rules is that address, without regard to case.
fn is_address(sender: &Address, address: &Address) -> bool {
    let (local, other) = (sender.local(), address.local());
    sender.domain() == address.domain()
        && (local.eq_ignore_ascii_case(other) || local == other.to_lowercase())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn rules(domains: &str, senders: &str) -> SenderRules {
        SenderRules::parse(&domains.into(), &senders.into()).unwrap()
    }

    fn address(text: &str) -> Address {
        let (local, domain) = text.rsplit_once('@').unwrap();
        Address::new(local, domain).unwrap()
    }

    #[test]
    fn a_rule_covers_what_the_shipped_component_permits_by_it() {
        let rules = rules(
            "a.example;b.example;*.c.example;bücher.example;[192.0.2.1]",
            "x@d.example;jürgen@e.example;\"a!b\"@d.example",
        );
        for (sender, rule) in [
            ("anybody@a.example", Some("a.example")),
            ("a@xn--bcher-kva.example", Some("xn--bcher-kva.example")),
            ("a@sub.a.example", None),
            ("a@nota.example", None),
            ("a@sub.c.example", Some("*.c.example")),
            ("a@deep.sub.c.example", Some("*.c.example")),
            ("a@c.example", None),
            ("a@notc.example", None),
            ("a@[192.0.2.1]", Some("[192.0.2.1]")),
            ("X@d.example", Some("x@d.example")),
            ("JÜRGEN@e.example", Some("jürgen@e.example")),
            ("A!b@d.example", Some("a!b@d.example")),
            ("y@d.example", None),
            ("x@sub.d.example", None),
            ("a.example@d.example", None),
        ] {
            let covering = rules.covering(&address(sender));
            let text = covering.as_ref().map(Rule::text);
            assert_eq!(text.as_deref(), rule, "{sender}");
        }
        assert_eq!(
            SenderRules::default().covering(&address("a@a.example")),
            None
        );
    }

    #[test]
    fn a_rule_that_is_made_for_an_address_covers_it_and_is_in_normal_form() {
        for (sender, for_sender, for_domain) in [
            ("X@a.example", Some("x@a.example"), "a.example"),
            ("a(b@a.example", Some("\"a(b\"@a.example"), "a.example"),
            // No item has a blank.
            ("a b@a.example", None, "a.example"),
            ("x@[192.0.2.1]", Some("x@[192.0.2.1]"), "[192.0.2.1]"),
            ("a*b@a.example", None, "a.example"),
        ] {
            let address = address(sender);
            let rule = Rule::for_sender(&address);
            assert_eq!(rule.as_ref().ok().map(Rule::text).as_deref(), for_sender);
            let domain = Rule::for_domain_of(&address).unwrap();
            assert_eq!(domain.text(), for_domain);
            for rule in rule.into_iter().chain([domain]) {
                let with = rules("z.example", "z@a.example").with(&rule).unwrap();
                assert_eq!(with.covering(&address), Some(rule.clone()));
                assert_eq!(with.with(&rule).as_ref(), Ok(&with), "it is there");
                let again = SenderRules::parse(
                    &Items::Text(with.domains_text()),
                    &Items::Text(with.senders_text()),
                );
                assert_eq!(again, Ok(with));
            }
        }
    }

    #[test]
    fn there_are_so_many_rules_and_no_more() {
        let domains: Vec<String> = (0..ITEMS_MAX).map(|n| format!("d{n}.example")).collect();
        let senders: Vec<String> = (0..ITEMS_MAX).map(|n| format!("s{n}@x.example")).collect();
        let full = rules(&domains.join(";"), &senders.join(";"));
        let new = address("new@new.example");
        for rule in [Rule::for_sender(&new), Rule::for_domain_of(&new)] {
            let rule = rule.unwrap();
            assert_eq!(full.with(&rule), Err(RuleProblem::TooMany(rule.field())));
        }
        let known = Rule::for_sender(&address("S7@x.example")).unwrap();
        assert_eq!(full.with(&known).as_ref(), Ok(&full));
    }
}
