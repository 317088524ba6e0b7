//! What a user may send as: authorized domains and authorized senders.
//!
//! Parsed, normalised and echoed here, never applied: the policy components read both lists and
//! decide. Normal form is what they are promised: domains in lower-case A-labels, `*.` before a
//! domain for its subdomains, senders as whole addresses in lower case; both sorted and without
//! duplicates. An operator writes either form of an internationalised domain and reads both.

use outpost_smtp::Mailbox;

use super::items::gather;
use super::{FieldProblem, Items};
use crate::message::{Address, comparable_domain};

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

    /// The senders in comparable form, the local part in lower case too.
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

    /// The senders as they are written in SMTP: quoted where it must be. Parsing them gives the same rules.
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
    gather(SenderRules::SENDERS, items, ITEMS_MAX, parse_sender)
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
    comparable_domain(domain).ok()
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
