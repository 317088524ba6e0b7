//! The priority that a message itself asks for, in the header fields that mail clients set.
//!
//! Which of them counts is a policy component's decision; here they are only found and read, in
//! order of precedence. A malformed one has no class, and the trail says so.

use super::api::{Api, Said};
use super::{Fields, tunnelled_priority};
use crate::message::Class;

/// One carrier of a priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requested {
    /// Its name: `MT-PRIORITY`, `HTTP`, `X-SMTPAPI`, `X-Priority`, …
    pub carrier: &'static str,
    /// What it says, as it was given, cut to 64 characters.
    pub value: String,
    /// The class that it asks for; none when it is malformed.
    pub class: Option<Class>,
}

/// What can carry a priority, in order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Carrier {
    /// The parameter of MAIL (RFC 6710).
    MtPriority,
    /// The parameter `priority` of a message that is submitted over HTTP: `1` to `5`.
    Http,
    /// JSON with a `Priority`.
    XSmtpapi,
    /// `1` to `5`.
    XPriority,
    /// As [`Carrier::Importance`].
    XMsmailPriority,
    /// RFC 2156 §5.3.4.
    Importance,
    /// RFC 2156 §5.3.6.
    Priority,
}

impl Carrier {
    /// All of them, the first to count first.
    pub const ALL: [Carrier; 7] = [
        Carrier::MtPriority,
        Carrier::Http,
        Carrier::XSmtpapi,
        Carrier::XPriority,
        Carrier::XMsmailPriority,
        Carrier::Importance,
        Carrier::Priority,
    ];

    /// Its name, as [`Requested::carrier`] has it.
    pub const fn name(self) -> &'static str {
        match self {
            Carrier::MtPriority => "MT-PRIORITY",
            Carrier::Http => "HTTP",
            Carrier::XSmtpapi => "X-SMTPAPI",
            Carrier::XPriority => "X-Priority",
            Carrier::XMsmailPriority => "X-MSMail-Priority",
            Carrier::Importance => "Importance",
            Carrier::Priority => "Priority",
        }
    }

    /// The carrier of that name, without regard to case.
    pub fn from_name(name: &str) -> Option<Carrier> {
        Self::ALL
            .into_iter()
            .find(|carrier| carrier.name().eq_ignore_ascii_case(name))
    }
}

impl Requested {
    /// What the MT-PRIORITY parameter of MAIL asks for (RFC 6710 §5).
    pub fn by_mail(mt_priority: i8) -> Self {
        Self {
            carrier: "MT-PRIORITY",
            value: mt_priority.to_string(),
            class: Class::from_mt_priority(mt_priority),
        }
    }

    /// What the parameter `priority` of a submission over HTTP asks for.
    pub fn by_http(priority: &str) -> Self {
        Self {
            carrier: Carrier::Http.name(),
            value: shortened(priority),
            class: number(priority),
        }
    }
}

/// The carriers that ask for something else than the first one that is well-formed, and that one.
pub fn overruled(requested: &[Requested]) -> Vec<(&Requested, &Requested)> {
    let mut sound = requested
        .iter()
        .filter(|requested| requested.class.is_some());
    let Some(first) = sound.next() else {
        return Vec::new();
    };
    sound
        .filter(|other| other.class != first.class)
        .map(|other| (other, first))
        .collect()
}

/// Longer values say nothing about a priority; X-SMTPAPI is shown by its `Priority` alone.
const VALUE_CHARACTERS_MAX: usize = 64;

/// The carriers that are fields of the header whoever sent it, in order of precedence.
const FIELDS: [Carrier; 5] = [
    Carrier::XSmtpapi,
    Carrier::XPriority,
    Carrier::XMsmailPriority,
    Carrier::Importance,
    Carrier::Priority,
];

/// The carriers that are present, in order of precedence. `mt_priority` is what MAIL said; it comes first, and
/// behind it the field that stands in for it, where that is believed. Then comes what was said over HTTP. Of a field that
/// comes more than once the first counts: [`repeated_priorities`] has the others.
pub fn requested_priorities(
    mt_priority: Option<i8>,
    believes_field: bool,
    by_http: Option<&str>,
    fields: &Fields<'_>,
) -> Vec<Requested> {
    let mut requested = Vec::new();
    requested.extend(mt_priority.map(Requested::by_mail));
    if believes_field {
        requested.extend(tunnelled_priority(fields));
    }
    requested.extend(by_http.map(Requested::by_http));
    requested.extend(FIELDS.into_iter().filter_map(|carrier| {
        let value = fields.first(carrier.name())?;
        read(carrier, &value)
    }));
    requested
}

/// What later fields of a carrier ask for that its first one does not, each class once: so few, however many fields
/// there are. None of it counts.
pub fn repeated_priorities(fields: &Fields<'_>) -> Vec<Requested> {
    let mut repeated: Vec<Requested> = Vec::new();
    for carrier in FIELDS {
        let mut found = fields.named(carrier.name());
        let first = found.next().map(|field| read(carrier, &field.unfolded()));
        let mut known = vec![first.flatten().and_then(|first| first.class)];
        for field in found {
            let Some(later) = read(carrier, &field.unfolded()) else {
                continue;
            };
            if later.class.is_some() && !known.contains(&later.class) {
                known.push(later.class);
                repeated.push(later);
            }
        }
    }
    repeated
}

/// What a field says of a priority; none where it is about other things.
fn read(carrier: Carrier, value: &str) -> Option<Requested> {
    let class = match carrier {
        Carrier::XSmtpapi => return x_smtpapi(value),
        Carrier::MtPriority | Carrier::Http => return None,
        Carrier::XPriority => x_priority(value),
        Carrier::XMsmailPriority | Carrier::Importance => importance(value),
        Carrier::Priority => priority(value),
    };
    Some(Requested {
        carrier: carrier.name(),
        class,
        value: shortened(value),
    })
}

/// `X-SMTPAPI: {"Priority": 2, …}`. Without that key the field is about other things; what is no JSON object, or has
/// the key twice, is a malformed carrier.
fn x_smtpapi(value: &str) -> Option<Requested> {
    let priority = match Api::parse(value).map(|api| api.priority) {
        Some(Said::Nothing) => return None,
        Some(Said::Once(priority)) => Some(priority),
        Some(Said::Twice) | None => None,
    };
    Some(Requested {
        carrier: "X-SMTPAPI",
        value: shortened(priority.unwrap_or(value)),
        class: priority.and_then(api_priority),
    })
}

/// One digit and nothing else.
fn number(value: &str) -> Option<Class> {
    let mut characters = value.chars();
    let digit = characters.next()?.to_digit(10)?;
    let class = Class::from_number(u8::try_from(digit).ok()?)?;
    characters.next().is_none().then_some(class)
}

/// `1` to `5`, as a number or in quotes.
fn api_priority(json: &str) -> Option<Class> {
    match json.starts_with('"') {
        true => number(&serde_json::from_str::<String>(json).ok()?),
        false => number(json),
    }
}

/// `1`, or `1 (Highest)` as mail clients like to write it.
fn x_priority(value: &str) -> Option<Class> {
    let (digit, rest) = value.split_at_checked(1)?;
    let rest = rest.trim_start();
    let comment = rest.is_empty() || (rest.starts_with('(') && rest.ends_with(')'));
    let class = digit.parse().ok().and_then(Class::from_number)?;
    comment.then_some(class)
}

/// `high`, `normal`, `low` (RFC 2156 §5.3.4).
fn importance(value: &str) -> Option<Class> {
    match value.to_ascii_lowercase().as_str() {
        "high" => Some(Class::High),
        "normal" => Some(Class::Normal),
        "low" => Some(Class::Low),
        _ => None,
    }
}

/// `urgent`, `normal`, `non-urgent` (RFC 2156 §5.3.6).
fn priority(value: &str) -> Option<Class> {
    match value.to_ascii_lowercase().as_str() {
        "urgent" => Some(Class::High),
        "normal" => Some(Class::Normal),
        "non-urgent" => Some(Class::Low),
        _ => None,
    }
}

fn shortened(value: &str) -> String {
    value.chars().take(VALUE_CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requested(section: &str) -> Vec<(&'static str, Option<u8>)> {
        let fields = Fields::parse(section.as_bytes()).unwrap();
        requested_priorities(None, false, None, &fields)
            .into_iter()
            .map(|requested| (requested.carrier, requested.class.map(Class::number)))
            .collect()
    }

    #[test]
    fn every_carrier_is_read() {
        for (field, carrier, class) in [
            ("X-SMTPAPI: {\"Priority\": 1}", "X-SMTPAPI", Some(1)),
            (
                "X-SMTPAPI: {\"to\": [\"x\"], \"Priority\": \"5\"}",
                "X-SMTPAPI",
                Some(5),
            ),
            ("X-SMTPAPI: {\"Priority\": 6}", "X-SMTPAPI", None),
            ("X-SMTPAPI: {\"Priority\": 256}", "X-SMTPAPI", None),
            ("X-SMTPAPI: {\"Priority\": 1.5}", "X-SMTPAPI", None),
            ("X-SMTPAPI: {\"Priority\": 1e0}", "X-SMTPAPI", None),
            ("X-SMTPAPI: {\"Priority\": 1e400}", "X-SMTPAPI", None),
            ("X-SMTPAPI: {\"Priority\": [1]}", "X-SMTPAPI", None),
            (
                "X-SMTPAPI: {\"Priority\": 1, \"Priority\": 1}",
                "X-SMTPAPI",
                None,
            ),
            (
                "X-SMTPAPI: {\"Priority\": 1, \"Schedule\": 1, \"Schedule\": 2}",
                "X-SMTPAPI",
                Some(1),
            ),
            ("X-SMTPAPI: {\"Priority\": \"01\"}", "X-SMTPAPI", None),
            ("X-SMTPAPI: {\"Priority\": \"+1\"}", "X-SMTPAPI", None),
            ("X-SMTPAPI: {\"Priority\": \" 1\"}", "X-SMTPAPI", None),
            ("X-SMTPAPI: {\"Priority\": \"\"}", "X-SMTPAPI", None),
            ("X-SMTPAPI: {\"Priority\": null}", "X-SMTPAPI", None),
            (
                "X-SMTPAPI: {\"Priority\": \"\\u0031\"}",
                "X-SMTPAPI",
                Some(1),
            ),
            ("X-SMTPAPI: {\"priority\": 1}", "X-SMTPAPI", Some(1)),
            ("X-SMTPAPI: {\"PRIORITY\": \"1\"}", "X-SMTPAPI", Some(1)),
            (
                "X-SMTPAPI: {\"Priority\": 1, \"priority\": 1}",
                "X-SMTPAPI",
                None,
            ),
            ("X-SMTPAPI: {Priority", "X-SMTPAPI", None),
            ("X-SMTPAPI: [1]", "X-SMTPAPI", None),
            ("X-SMTPAPI: [\"2\"]", "X-SMTPAPI", None),
            ("X-SMTPAPI: 1", "X-SMTPAPI", None),
            ("X-Priority: 1", "X-Priority", Some(1)),
            ("X-Priority: 1 (Highest)", "X-Priority", Some(1)),
            ("x-priority: 5(lowest)", "X-Priority", Some(5)),
            ("X-Priority: 0", "X-Priority", None),
            ("X-Priority: 11", "X-Priority", None),
            ("X-Priority: -1", "X-Priority", None),
            ("X-Priority: ü", "X-Priority", None),
            ("X-Priority:", "X-Priority", None),
            ("X-MSMail-Priority: High", "X-MSMail-Priority", Some(2)),
            ("X-MSMail-Priority: Medium", "X-MSMail-Priority", None),
            ("Importance: high", "Importance", Some(2)),
            ("Importance: Normal", "Importance", Some(3)),
            ("Importance: LOW", "Importance", Some(4)),
            ("Priority: urgent", "Priority", Some(2)),
            ("Priority: normal", "Priority", Some(3)),
            ("Priority: non-urgent", "Priority", Some(4)),
            ("Priority: high", "Priority", None),
        ] {
            assert_eq!(
                requested(&format!("{field}\r\n")),
                [(carrier, class)],
                "{field}"
            );
        }
    }

    #[test]
    fn carriers_come_in_order_of_precedence_whatever_their_order_in_the_header() {
        let section = "Priority: urgent\r\nImportance: low\r\nX-MSMail-Priority: Normal\r\n\
                       X-Priority: 5\r\nX-SMTPAPI: {\"Priority\":1}\r\n";
        let carriers: Vec<_> = requested(section)
            .into_iter()
            .map(|(carrier, _)| carrier)
            .collect();
        assert_eq!(
            carriers,
            [
                "X-SMTPAPI",
                "X-Priority",
                "X-MSMail-Priority",
                "Importance",
                "Priority"
            ]
        );
    }

    #[test]
    fn what_mail_said_comes_first_and_who_asks_for_something_else_is_overruled() {
        let section = "Importance: high\r\nX-Priority: 9\r\nX-SMTPAPI: {\"Priority\":1}\r\n\
                       Priority: normal\r\n";
        let fields = Fields::parse(section.as_bytes()).unwrap();
        let requested = requested_priorities(Some(2), true, Some("2"), &fields);
        assert_eq!(requested[0], Requested::by_mail(2));
        assert_eq!(requested[0].class, Some(Class::High));
        assert_eq!(requested[1], Requested::by_http("2"));
        let named: Vec<_> = overruled(&requested)
            .into_iter()
            .map(|(other, first)| (other.carrier, first.carrier))
            .collect();
        assert_eq!(
            named,
            [("X-SMTPAPI", "MT-PRIORITY"), ("Priority", "MT-PRIORITY")]
        );
        assert!(
            overruled(&requested[3..4]).is_empty(),
            "malformed, and alone"
        );
    }

    #[test]
    fn what_was_said_over_http_is_one_digit_and_comes_before_every_field() {
        for (said, class) in [
            ("1", Some(1)),
            ("5", Some(5)),
            ("0", None),
            ("6", None),
            ("", None),
            ("01", None),
            ("1 (Highest)", None),
            ("high", None),
            ("\u{661}", None),
        ] {
            let fields = Fields::parse(b"X-SMTPAPI: {\"Priority\":4}\r\n").unwrap();
            let requested = requested_priorities(None, false, Some(said), &fields);
            let found: Vec<_> = requested
                .iter()
                .map(|requested| (requested.carrier, requested.class.map(Class::number)))
                .collect();
            assert_eq!(found, [("HTTP", class), ("X-SMTPAPI", Some(4))], "{said:?}");
        }
        assert_eq!(Requested::by_http(&"1".repeat(99)).value.len(), 64);
    }

    #[test]
    fn a_carrier_that_comes_again_with_another_value_is_told_once_for_each_class() {
        for (section, expected) in [
            ("X-Priority: 1\r\nX-Priority: 1 (Highest)\r\n", vec![]),
            (
                "X-Priority: 1\r\nSubject: x\r\nx-priority: 5\r\nX-Priority: 5\r\nX-Priority: 2\r\n",
                vec![("X-Priority", 5), ("X-Priority", 2)],
            ),
            // The first one counts as absent, and the later one all the same.
            (
                "Importance: huge\r\nImportance: low\r\n",
                vec![("Importance", 4)],
            ),
            ("Importance: low\r\nImportance: huge\r\n", vec![]),
            (
                "X-SMTPAPI: {\"Priority\":1}\r\nX-SMTPAPI: {\"category\":\"x\"}\r\n\
                 X-SMTPAPI: {\"Priority\":5}\r\nPriority: urgent\r\nPriority: normal\r\n",
                vec![("X-SMTPAPI", 5), ("Priority", 3)],
            ),
            (
                "X-SMTPAPI: {\"category\":\"x\"}\r\nX-SMTPAPI: {\"Priority\":5}\r\n",
                vec![("X-SMTPAPI", 5)],
            ),
        ] {
            let fields = Fields::parse(section.as_bytes()).unwrap();
            let repeated: Vec<_> = repeated_priorities(&fields)
                .into_iter()
                .map(|later| (later.carrier, later.class.map_or(0, Class::number)))
                .collect();
            assert_eq!(repeated, expected, "{section}");
        }
    }

    #[test]
    fn every_carrier_of_a_header_is_one_by_name() {
        let section = "Priority: urgent\r\nImportance: low\r\nX-MSMail-Priority: Normal\r\n\
                       X-Priority: 5\r\nX-SMTPAPI: {\"Priority\":1}\r\n";
        let found: Vec<_> = requested(section)
            .into_iter()
            .map(|(name, _)| Carrier::from_name(name).unwrap())
            .collect();
        assert_eq!(found, Carrier::ALL[2..], "and in this order");
        for carrier in Carrier::ALL {
            let name = carrier.name().to_lowercase();
            assert_eq!(Carrier::from_name(&name), Some(carrier));
        }
        assert_eq!(Carrier::from_name("X-Prio"), None);
    }

    #[test]
    fn an_api_header_without_a_priority_is_about_other_things() {
        assert_eq!(requested("X-SMTPAPI: {\"category\": \"news\"}\r\n"), []);
        assert_eq!(requested("From: a@b.example\r\n"), []);
    }
}
