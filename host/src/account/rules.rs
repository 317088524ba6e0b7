//! What a user may send as: authorized domains and authorized senders.
//!
//! Parsed, normalised and echoed here, never applied to mail: the policy components read both lists and
//! decide. Normal form is what they are promised: domains in lower-case A-labels, `*.` before a
//! domain for its subdomains, senders as whole addresses in lower case; both sorted and without
//! duplicates. An operator writes either form of an internationalised domain and reads both.

mod covering;

use outpost_smtp::Mailbox;

pub use covering::{Rule, RuleProblem};

use super::items::gather;
use super::{FieldProblem, Items};
use crate::message::{Address, comparable_domain, mapped_domain};

/// Most items in each of the two lists of a user. They are handed to a component whole, for each
/// message; beyond this, what is wanted is a policy component with a table.
pub const ITEMS_MAX: usize = 1_000;

/// Longest address a rule may hold, in octets as written (RFC 5321 §4.5.3.1.3 less its brackets).
const ADDRESS_OCTETS_MAX: usize = 254;

/// What every surface says beside a user with neither domains nor senders.
pub const NO_SENDERS_WARNING: &str = "this user may not send as anybody: \
    there are neither authorized domains nor authorized senders";

/// The two lists of a user, in normal form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SenderRules {
    domains: Vec<String>,
    senders: Vec<Address>,
}

impl SenderRules {
    /// Field name of the domains.
    pub const DOMAINS: &'static str = "authorized_domains";
    /// Field name of the senders.
    pub const SENDERS: &'static str = "authorized_senders";

    /// Parses both lists.
    ///
    /// # Errors
    /// Every wrong item (the first ten of each list), named, with what to write instead.
    pub fn parse(domains: &Items, senders: &Items) -> Result<Self, Vec<FieldProblem>> {
        let mut problems = Vec::new();
        let domains = super::keep(parse_domains(domains), &mut problems);
        let senders = super::keep(parse_senders(senders), &mut problems);
        match (domains, senders) {
            (Some(domains), Some(senders)) => Ok(Self { domains, senders }),
            _ => Err(problems),
        }
    }

    /// The same with other lists in place of those given.
    pub(super) fn replaced(
        &self,
        domains: Option<Vec<String>>,
        senders: Option<Vec<Address>>,
    ) -> Self {
        Self {
            domains: domains.unwrap_or_else(|| self.domains.clone()),
            senders: senders.unwrap_or_else(|| self.senders.clone()),
        }
    }

    /// The domains: `a.example`, `*.b.example`.
    pub fn domains(&self) -> &[String] {
        &self.domains
    }

    /// The senders in comparable form, the local part in lower case too, in the order of their
    /// texts.
    pub fn senders(&self) -> &[Address] {
        &self.senders
    }

    /// Whether nobody is covered.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty() && self.senders.is_empty()
    }

    /// What to say beside these rules, if anything.
    pub fn warning(&self) -> Option<&'static str> {
        self.is_empty().then_some(NO_SENDERS_WARNING)
    }

    /// The senders as they are written in SMTP, quoted where they must be, sorted: what components are
    /// handed. Parsing them gives the same rules.
    pub fn sender_texts(&self) -> impl Iterator<Item = String> {
        self.senders
            .iter()
            .map(|sender| written(sender, sender.domain()))
    }

    /// The domains as ";"-separated text. Parsing it gives the same rules.
    pub fn domains_text(&self) -> String {
        self.domains.join(";")
    }

    /// The senders as ";"-separated text. Parsing it gives the same rules.
    pub fn senders_text(&self) -> String {
        self.sender_texts().collect::<Vec<_>>().join(";")
    }

    /// The domains as people read them, in U-labels: `bücher.example;*.b.example`. Parsing it gives
    /// the same rules.
    pub fn domains_for_people(&self) -> String {
        let texts: Vec<String> = self.domains.iter().map(|d| domain_for_people(d)).collect();
        texts.join(";")
    }

    /// The senders as people read them, in U-labels: `info@bücher.example`. Parsing it gives the same
    /// rules.
    pub fn senders_for_people(&self) -> String {
        let texts: Vec<String> = self.senders.iter().map(sender_for_people).collect();
        texts.join(";")
    }
}

/// Parses authorized domains into normal form.
pub(super) fn parse_domains(items: &Items) -> Result<Vec<String>, Vec<FieldProblem>> {
    gather(SenderRules::DOMAINS, items, ITEMS_MAX, parse_domain)
}

/// Parses authorized senders into normal form.
pub(super) fn parse_senders(items: &Items) -> Result<Vec<Address>, Vec<FieldProblem>> {
    let mut senders = gather(SenderRules::SENDERS, items, ITEMS_MAX, parse_sender)?;
    senders.sort_by_cached_key(|sender| written(sender, sender.domain()));
    Ok(senders)
}

fn parse_domain(item: &str) -> Result<String, String> {
    if item == "*" {
        return Err(String::from(
            "would allow every domain: list the domains, such as example.com, \
             or *.example.com for its subdomains",
        ));
    }
    if let Some(domain) = item.strip_prefix('@') {
        return Err(match domain_in_normal_form(domain) {
            Some(_) => format!("is written without the @: write {domain}"),
            None => NOT_A_DOMAIN.to_owned(),
        });
    }
    if let Some(domain) = item.strip_prefix('.')
        && domain_in_normal_form(domain).is_some()
    {
        // Other servers mean subdomains by it.
        return Err(format!(
            "is written without the dot before it: write {domain}, or *.{domain} for its subdomains"
        ));
    }
    if item.contains('@') {
        return Err(String::from(
            "is an address: write it under the authorized senders, or only what follows the @",
        ));
    }
    let (wildcard, domain) = match item.strip_prefix("*.") {
        Some(domain) => ("*.", domain),
        None => ("", item),
    };
    if domain.contains('*') {
        return Err(String::from(
            "has a * where none can stand: *.example.com covers the subdomains of example.com, \
             and there are no other patterns",
        ));
    }
    match domain_in_normal_form(domain) {
        Some(domain) if !(wildcard == "*." && domain.starts_with('[')) => {
            Ok(format!("{wildcard}{domain}"))
        }
        _ => Err(NOT_A_DOMAIN.to_owned()),
    }
}

pub(super) const NOT_AN_ADDRESS: &str = "is not an address: write it as in name@example.com";

const NOT_A_DOMAIN: &str = "is not a domain: write it as in example.com";

/// A domain, or an address literal that SMTP would accept in its place.
fn domain_in_normal_form(domain: &str) -> Option<String> {
    if domain.starts_with('[') {
        let mailbox = Mailbox::parse(&format!("x@{domain}"), false).ok()?;
        return comparable_domain(&mailbox.domain).ok();
    }
    mapped_domain(domain).ok()
}

fn parse_sender(item: &str) -> Result<Address, String> {
    if item.contains('*') {
        return Err(String::from(
            "has a *: senders are whole addresses; to allow all addresses of a domain, \
             write the domain under the authorized domains",
        ));
    }
    if let Some(inner) = item
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
    {
        return Err(format!("is written without the brackets: write {inner}"));
    }
    if !item.contains('@') && domain_in_normal_form(item).is_some() {
        return Err(format!(
            "is not a whole address: write it as in name@{item}; \
             a whole domain is written under the authorized domains"
        ));
    }
    let mailbox = parse_mailbox(item).ok_or(NOT_AN_ADDRESS)?;
    // Compared without regard to case, so kept without it. RFC 5321 §2.4 would let two local parts
    // differ by case only; a user who owns one and not the other has not been met.
    Address::new(&mailbox.local.to_lowercase(), &mailbox.domain)
        .ok()
        // Lower case and A-labels can be longer than what was written.
        .filter(|sender| parse_mailbox(&written(sender, sender.domain())).is_some())
        .ok_or_else(|| String::from(NOT_AN_ADDRESS))
}

/// An address as an operator writes it, its domain in comparable form and its local part as given.
pub(super) fn parse_mailbox(item: &str) -> Option<Mailbox> {
    if item.len() > ADDRESS_OCTETS_MAX {
        return None;
    }
    let mailbox = Mailbox::parse(item, true).ok()?;
    let domain = comparable_domain(&mailbox.domain).ok()?;
    Some(Mailbox {
        local: mailbox.local,
        domain,
    })
}

/// The address in SMTP's notation with `domain` in place of its own.
fn written(address: &Address, domain: &str) -> String {
    Mailbox {
        local: address.local().to_owned(),
        domain: domain.to_owned(),
    }
    .to_string()
}

/// A domain (with or without `*.`) in U-labels; as it is when they would not lead back to it.
fn domain_for_people(domain: &str) -> String {
    let (wildcard, name) = match domain.strip_prefix("*.") {
        Some(name) => ("*.", name),
        None => ("", domain),
    };
    let people = format!("{wildcard}{}", in_unicode(name));
    if parse_domain(&people).as_deref() == Ok(domain) {
        people
    } else {
        domain.to_owned()
    }
}

/// As [`domain_for_people`], for a sender.
fn sender_for_people(sender: &Address) -> String {
    let people = written(sender, &in_unicode(sender.domain()));
    if parse_sender(&people).as_ref() == Ok(sender) {
        people
    } else {
        written(sender, sender.domain())
    }
}

fn in_unicode(domain: &str) -> String {
    idna::domain_to_unicode(domain).0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn domains(text: &str) -> Result<SenderRules, Vec<FieldProblem>> {
        SenderRules::parse(&text.into(), &Items::default())
    }

    fn senders(text: &str) -> Result<SenderRules, Vec<FieldProblem>> {
        SenderRules::parse(&Items::default(), &text.into())
    }

    fn check_domains(text: &str, normal: &str) {
        assert_eq!(domains(text).unwrap().domains_text(), normal, "{text:?}");
    }

    fn check_senders(text: &str, normal: &str) {
        assert_eq!(senders(text).unwrap().senders_text(), normal, "{text:?}");
    }

    fn refusal(rules: Result<SenderRules, Vec<FieldProblem>>) -> String {
        let problems: Vec<String> = rules.unwrap_err().into_iter().map(|p| p.text).collect();
        problems.join(" | ")
    }

    #[test]
    fn domains_in_every_way_of_writing_them_have_one_normal_form() {
        check_domains("", "");
        check_domains("a.example;b.example", "a.example;b.example");
        check_domains("  B.Example ;a.EXAMPLE; b.example;", "a.example;b.example");
        check_domains("a.example.", "a.example");
        check_domains("*.A.example;a.example", "*.a.example;a.example");
        check_domains(
            "bücher.example;XN--BCHER-KVA.example",
            "xn--bcher-kva.example",
        );
        check_domains("*.BÜCHER.example", "*.xn--bcher-kva.example");
        check_domains("bu\u{308}cher.example", "xn--bcher-kva.example");
        check_domains("日本。example", "xn--wgv71a.example");
        check_domains("localhost", "localhost");
        check_domains(
            "[192.0.2.1];[ipv6:2001:DB8:0::1];[IPv6:2001:db8:0:0:0:0:0:1]",
            "[192.0.2.1];[ipv6:2001:db8::1]",
        );
    }

    #[test]
    fn a_refused_domain_is_named_and_the_right_way_shown() {
        let pattern = "has a * where none can stand: *.example.com covers the subdomains of \
                       example.com, and there are no other patterns";
        let no_domain = "is not a domain: write it as in example.com";
        for (item, text) in [
            (
                "a.example, b.example",
                "contains a comma: items are separated by a semicolon, write \"a.example;b.example\"",
            ),
            (
                "a.example b.example",
                "contains a blank: items are separated by a semicolon, write \"a.example;b.example\"",
            ),
            (
                "*",
                "would allow every domain: list the domains, such as example.com, \
                 or *.example.com for its subdomains",
            ),
            ("**.a.example", pattern),
            ("*a.example", pattern),
            ("a.*.example", pattern),
            ("*.*.example", pattern),
            ("@a.example", "is written without the @: write a.example"),
            (
                ".a.example",
                "is written without the dot before it: write a.example, or *.a.example for its subdomains",
            ),
            ("@", no_domain),
            (
                "x@a.example",
                "is an address: write it under the authorized senders, or only what follows the @",
            ),
            ("*.", no_domain),
            ("*.[192.0.2.1]", no_domain),
            ("[192.0.2.256]", no_domain),
            ("a..example", no_domain),
            ("a_b.example", no_domain),
            ("-a.example", no_domain),
            ("xn--\u{fc}.example", no_domain),
            ("https://a.example/", no_domain),
        ] {
            let expected = format!("\"{item}\" {text}");
            assert_eq!(refusal(domains(item)), expected);
            assert_eq!(
                refusal(domains(&format!("ok.example;{item};b.example"))),
                expected
            );
        }
    }

    #[test]
    fn senders_in_every_way_of_writing_them_have_one_normal_form() {
        check_senders("", "");
        check_senders(
            " Y@a.example;x@A.Example ;X@a.example; ",
            "x@a.example;y@a.example",
        );
        check_senders("Info@Bücher.example", "info@xn--bcher-kva.example");
        check_senders("JÜRGEN@a.example", "jürgen@a.example");
        check_senders("\"John\"@a.example", "john@a.example");
        check_senders("\"A..B\"@a.example", "\"a..b\"@a.example");
        check_senders("\"a@b\"@a.example", "\"a@b\"@a.example");
        check_senders("a@a.example;a+b@a.example", "a+b@a.example;a@a.example");
        check_senders("o'neil+tag@a.example", "o'neil+tag@a.example");
        check_senders("x@[192.0.2.1]", "x@[192.0.2.1]");
        check_senders(
            "x@[IPv6:2001:DB8:0:0::1];X@[ipv6:2001:db8::1]",
            "x@[ipv6:2001:db8::1]",
        );
    }

    #[test]
    fn a_refused_sender_is_named_and_the_right_way_shown() {
        let pattern = "has a *: senders are whole addresses; to allow all addresses of a domain, \
                       write the domain under the authorized domains";
        for (item, text) in [
            (
                "x@a.example,y@a.example",
                "contains a comma: items are separated by a semicolon, \
                 write \"x@a.example;y@a.example\"",
            ),
            (
                "Bob <b@a.example>",
                "contains a blank: items are separated by a semicolon, write \"b@a.example\"",
            ),
            (
                "<b@a.example>",
                "is written without the brackets: write b@a.example",
            ),
            ("*", pattern),
            ("*@a.example", pattern),
            ("x@*.a.example", pattern),
            (
                "a.example",
                "is not a whole address: write it as in name@a.example; \
                 a whole domain is written under the authorized domains",
            ),
            ("@a.example", NOT_AN_ADDRESS),
            ("x@", NOT_AN_ADDRESS),
            ("x@y@a.example", NOT_AN_ADDRESS),
            ("x.@a.example", NOT_AN_ADDRESS),
            ("\"\"@a.example", NOT_AN_ADDRESS),
            ("x@a_b.example", NOT_AN_ADDRESS),
            ("mailto:x@a.example", NOT_AN_ADDRESS),
        ] {
            assert_eq!(refusal(senders(item)), format!("\"{item}\" {text}"));
        }
        let long = format!("{}@a.example", "x".repeat(65));
        assert!(refusal(senders(&long)).ends_with(NOT_AN_ADDRESS));
        // 32 times two octets, which are three each in lower case.
        let grows = format!("{}@a.example", "\u{130}".repeat(32));
        assert!(refusal(senders(&grows)).ends_with(NOT_AN_ADDRESS));
    }

    #[test]
    fn problems_of_both_lists_are_told_at_once_under_their_own_field() {
        let problems = SenderRules::parse(&"*;a.example;@".into(), &"x".into()).unwrap_err();
        let fields: Vec<_> = problems.iter().map(|problem| problem.field).collect();
        assert_eq!(
            fields,
            [
                "authorized_domains",
                "authorized_domains",
                "authorized_senders"
            ]
        );
    }

    #[test]
    fn people_read_internationalised_domains_in_their_own_letters() {
        let rules = SenderRules::parse(
            &"XN--BCHER-KVA.example;*.xn--bcher-kva.example;a.example".into(),
            &"Info@xn--bcher-kva.example".into(),
        )
        .unwrap();
        assert_eq!(
            rules.domains_for_people(),
            "*.bücher.example;a.example;bücher.example"
        );
        assert_eq!(rules.senders_for_people(), "info@bücher.example");
        assert_eq!(
            rules.domains_text(),
            "*.xn--bcher-kva.example;a.example;xn--bcher-kva.example"
        );
    }

    #[test]
    fn the_warning_is_there_when_both_lists_are_empty_only() {
        assert_eq!(SenderRules::default().warning(), Some(NO_SENDERS_WARNING));
        assert_eq!(domains("a.example").unwrap().warning(), None);
        assert_eq!(senders("x@a.example").unwrap().warning(), None);
    }

    #[test]
    fn a_thousand_items_are_taken_and_one_more_is_not() {
        let text: String = (0..1_000).map(|n| format!("d{n}.example;")).collect();
        assert_eq!(domains(&text).unwrap().domains().len(), ITEMS_MAX);
        assert_eq!(
            refusal(domains(&format!("{text}x.example"))),
            "has more than 1000 items"
        );
    }

    fn domain() -> impl Strategy<Value = String> {
        let label = prop_oneof![
            "[a-zA-Z0-9]{1,8}",
            "[a-z]{1,3}-[a-z]{1,3}",
            "[äÖüßéñ日本абв]{1,5}"
        ];
        let name = prop::collection::vec(label, 1..4).prop_map(|labels| labels.join("."));
        (prop::bool::ANY, name)
            .prop_map(|(wild, name)| if wild { format!("*.{name}") } else { name })
    }

    fn sender() -> impl Strategy<Value = String> {
        let local = prop_oneof![
            "[a-zA-Z0-9+_']{1,8}",
            "[A-Z]{1,3}\\.[äÖüİΣß]{1,3}",
            "\"[a-zA-Z.@]{1,6}\""
        ];
        (local, domain())
            .prop_map(|(local, domain)| format!("{local}@{}", domain.trim_start_matches("*.")))
    }

    /// Whatever somebody might type.
    fn anything() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-zA-Z0-9äßİ日。.*@;, \t\n\"\\\\<>\\[\\]:_-]{0,40}",
            ".{0,40}"
        ]
    }

    proptest! {
        #[test]
        fn the_echo_of_an_echo_is_the_same(
            domains in prop_oneof![prop::collection::vec(domain(), 0..6).prop_map(|d| d.join(" ; ")), anything()],
            senders in prop_oneof![prop::collection::vec(sender(), 0..6).prop_map(|s| s.join(";")), anything()],
        ) {
            if let Ok(rules) = SenderRules::parse(&domains.as_str().into(), &senders.as_str().into()) {
                let echo = |domains: String, senders: String| {
                    SenderRules::parse(&domains.into(), &senders.into()).unwrap()
                };
                prop_assert_eq!(&echo(rules.domains_text(), rules.senders_text()), &rules);
                prop_assert_eq!(&echo(rules.domains_for_people(), rules.senders_for_people()), &rules);
                let list = Items::List(rules.sender_texts().collect());
                let again = SenderRules::parse(&Items::List(rules.domains().to_vec()), &list).unwrap();
                prop_assert_eq!(&again, &rules);
                prop_assert!(rules.domains().is_sorted());
                prop_assert!(rules.sender_texts().is_sorted());
            }
        }

        #[test]
        fn well_formed_rules_are_never_refused(
            domains in prop::collection::vec(domain(), 0..6),
            senders in prop::collection::vec(sender(), 0..6),
        ) {
            let rules = SenderRules::parse(&Items::List(domains), &Items::List(senders));
            prop_assert!(rules.is_ok(), "{rules:?}");
        }

        #[test]
        fn a_refusal_names_an_item_that_was_given(text in anything()) {
            for problem in domains(&text).err().into_iter().chain(senders(&text).err()).flatten() {
                prop_assert!(problem.text.starts_with('"'), "{problem}");
            }
        }
    }
}
