//! The way across: bindings made from `wit/` and the conversions between them and this crate's types.
//!
//! Exists on wasm32 only. One set of bindings for what is imported and one for each export, so that
//! a component imports what it uses and exports the questions that it answers, nothing else.

use crate as sdk;
use crate::Priority;

mod imports {
    wit_bindgen::generate!({ path: "../../wit", world: "imports", generate_all });
}

use imports::outpost::policy as relay;
use relay::{message, types};

/// The facts of the transaction that the relay lent us.
pub struct Facts<'a>(&'a message::Transaction);

impl Facts<'_> {
    pub fn session(&self) -> sdk::Session {
        let session = self.0.session();
        sdk::Session {
            id: session.id,
            listener_port: session.listener_port,
            client_address: session.client_address,
            client_port: session.client_port,
            ehlo: session.ehlo,
            tls: session.tls.map(|tls| sdk::Tls {
                version: tls.version,
                cipher: tls.cipher,
            }),
            attributes: attributes_in(session.attributes),
        }
    }

    pub fn account(&self) -> Option<sdk::Account> {
        let account = self.0.account()?;
        Some(sdk::Account {
            name: account.name,
            list: account.list,
            // The contract has no other numbers; should a relay break it, nothing gets urgent by it.
            priority: Priority::from_number(account.priority).unwrap_or(Priority::VeryLow),
            mechanism: account.mechanism,
            attributes: attributes_in(account.attributes),
        })
    }

    pub fn authorized_domains(&self) -> Vec<String> {
        self.0.authorized_domains()
    }

    pub fn authorized_senders(&self) -> Vec<String> {
        self.0.authorized_senders()
    }

    pub fn envelope(&self) -> sdk::Envelope {
        let envelope = self.0.envelope();
        sdk::Envelope {
            reverse_path: envelope.reverse_path.map(mailbox_in),
            parameters: envelope.parameters,
            declared_size_bytes: envelope.declared_size_bytes,
            forward_path_count: envelope.forward_path_count,
        }
    }

    pub fn forward_paths(&self, offset: u32, limit: u32) -> Vec<sdk::Mailbox> {
        mailboxes_in(self.0.forward_paths(offset, limit))
    }

    pub fn header_known(&self) -> bool {
        self.0.header_known()
    }

    pub fn authors(&self) -> Vec<sdk::Mailbox> {
        mailboxes_in(self.0.authors())
    }

    pub fn requested_priorities(&self) -> Vec<sdk::Requested> {
        self.0
            .requested_priorities()
            .into_iter()
            .map(|requested| sdk::Requested {
                carrier: requested.carrier,
                value: requested.value,
                priority: requested.priority.and_then(Priority::from_number),
            })
            .collect()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.0.header(name)
    }

    pub fn headers(&self, name: &str) -> Vec<String> {
        self.0.headers(name)
    }

    pub fn all_headers(&self) -> Vec<sdk::Header> {
        let headers = self.0.all_headers().into_iter();
        headers
            .map(|header| sdk::Header {
                name: header.name,
                value: header.value,
            })
            .collect()
    }

    pub fn content_bytes(&self) -> Option<u64> {
        self.0.content_bytes()
    }

    pub fn notes(&self) -> Vec<sdk::Attribute> {
        attributes_in(self.0.notes())
    }
}

fn mailbox_in(mailbox: types::Mailbox) -> sdk::Mailbox {
    sdk::Mailbox {
        local: mailbox.local,
        domain: mailbox.domain,
    }
}

fn mailboxes_in(mailboxes: Vec<types::Mailbox>) -> Vec<sdk::Mailbox> {
    mailboxes.into_iter().map(mailbox_in).collect()
}

fn attributes_in(attributes: Vec<types::Attribute>) -> Vec<sdk::Attribute> {
    let value = |value| match value {
        types::AttributeValue::Text(text) => sdk::Value::Text(text),
        types::AttributeValue::Number(number) => sdk::Value::Number(number),
        types::AttributeValue::Truth(truth) => sdk::Value::Truth(truth),
        types::AttributeValue::Octets(octets) => sdk::Value::Octets(octets),
    };
    attributes
        .into_iter()
        .map(|a| sdk::Attribute {
            key: a.key,
            value: value(a.value),
        })
        .collect()
}

fn attributes_out(attributes: Vec<sdk::Attribute>) -> Vec<types::Attribute> {
    let value = |value| match value {
        sdk::Value::Text(text) => types::AttributeValue::Text(text),
        sdk::Value::Number(number) => types::AttributeValue::Number(number),
        sdk::Value::Truth(truth) => types::AttributeValue::Truth(truth),
        sdk::Value::Octets(octets) => types::AttributeValue::Octets(octets),
    };
    attributes
        .into_iter()
        .map(|a| types::Attribute {
            key: a.key,
            value: value(a.value),
        })
        .collect()
}

fn reasons_out(reasons: Vec<sdk::Reason>) -> Vec<types::Reason> {
    reasons
        .into_iter()
        .map(|r| types::Reason {
            rule: r.rule,
            detail: r.detail,
        })
        .collect()
}

fn reply_out(reply: sdk::Reply) -> types::Reply {
    let (class, subject, detail) = reply.enhanced;
    types::Reply {
        code: reply.code,
        enhanced: types::EnhancedStatus {
            class,
            subject,
            detail,
        },
        text: reply.text,
    }
}

// One world for each export: a component registers those that it wants, and `wit-component` unites
// them. A single world with all of them would make every component answer every question.

pub mod lifecycle {
    wit_bindgen::generate!({
        inline: "package outpost:sdk; world lifecycle { export outpost:policy/lifecycle@0.1.0; }",
        path: "../../wit",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "outpost_sdk::wire::lifecycle",
    });

    use super::Component;
    use crate::Policy;
    use exports::outpost::policy::lifecycle::{Guest, Problem};

    impl<P: Policy> Guest for Component<P> {
        fn check_config() -> Result<(), Vec<Problem>> {
            P::check_config().map_err(|problems| {
                let problems = problems.into_iter();
                problems
                    .map(|problem| Problem {
                        key: problem.key,
                        text: problem.text,
                    })
                    .collect()
            })
        }
    }
}

pub mod authorization {
    wit_bindgen::generate!({
        inline: "package outpost:sdk; world authorization { export outpost:policy/sender-authorization@0.1.0; }",
        path: "../../wit",
        with: {
            "outpost:policy/types@0.1.0": crate::wire::imports::outpost::policy::types,
            "outpost:policy/message@0.1.0": crate::wire::imports::outpost::policy::message,
        },
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "outpost_sdk::wire::authorization",
    });

    use super::{Component, Facts, attributes_out, message, reasons_out, reply_out};
    use crate::{Policy, Transaction};
    use exports::outpost::policy::sender_authorization::{Decision, Guest, Verdict};

    impl<P: Policy> Guest for Component<P> {
        fn authorize(tx: &message::Transaction) -> Decision {
            let crate::Decision {
                verdict,
                reasons,
                notes,
            } = P::authorize(&Transaction { facts: Facts(tx) });
            let verdict = match verdict {
                crate::Verdict::Pass => Verdict::Pass,
                crate::Verdict::Permit => Verdict::Permit,
                crate::Verdict::Defer(reply) => Verdict::Defer(reply.map(reply_out)),
                crate::Verdict::Refuse(reply) => Verdict::Refuse(reply.map(reply_out)),
            };
            Decision {
                verdict,
                reasons: reasons_out(reasons),
                notes: attributes_out(notes),
            }
        }
    }
}

pub mod priority {
    wit_bindgen::generate!({
        inline: "package outpost:sdk; world priority { export outpost:policy/priority-policy@0.1.0; }",
        path: "../../wit",
        with: {
            "outpost:policy/types@0.1.0": crate::wire::imports::outpost::policy::types,
            "outpost:policy/message@0.1.0": crate::wire::imports::outpost::policy::message,
        },
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "outpost_sdk::wire::priority",
    });

    use super::{Component, Facts, attributes_out, message, reasons_out};
    use crate::{Policy, Transaction};
    use exports::outpost::policy::priority_policy::{Guest, Placement};

    impl<P: Policy> Guest for Component<P> {
        fn place(tx: &message::Transaction) -> Option<Placement> {
            let placement = P::place(&Transaction { facts: Facts(tx) })?;
            Some(Placement {
                priority: placement.priority.number(),
                deliver_within_s: placement.deliver_within_s,
                reasons: reasons_out(placement.reasons),
                notes: attributes_out(placement.notes),
            })
        }
    }
}

/// The component of a policy.
pub struct Component<P>(core::marker::PhantomData<P>);

pub mod config {
    use super::relay::config;

    pub fn value(key: &str) -> Option<String> {
        config::value(key)
    }

    pub fn keys() -> Vec<String> {
        config::keys()
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).into(), (*value).into()))
        .collect()
}

pub mod log {
    use super::relay::log;
    use crate::log::Level;

    fn level_out(level: Level) -> log::Level {
        match level {
            Level::Debug => log::Level::Debug,
            Level::Info => log::Level::Info,
            Level::Warn => log::Level::Warn,
            Level::Error => log::Level::Error,
        }
    }

    pub fn is_enabled(level: Level) -> bool {
        log::is_enabled(level_out(level))
    }

    pub fn write(level: Level, text: &str, fields: &[(&str, &str)]) {
        log::write(level_out(level), text, &super::pairs(fields));
    }
}

pub mod clock {
    use super::relay::clock;
    use crate::clock::LocalTime;

    pub fn now_ms() -> u64 {
        clock::now_ms()
    }

    pub fn local() -> LocalTime {
        let local = clock::local();
        LocalTime {
            minute_of_day: local.minute_of_day,
            weekday: local.weekday,
        }
    }
}

pub mod metrics {
    use super::relay::metrics;

    pub fn count(name: &str, delta: u64, labels: &[(&str, &str)]) {
        metrics::count(name, delta, &super::pairs(labels));
    }

    pub fn observe(name: &str, value: f64, labels: &[(&str, &str)]) {
        metrics::observe(name, value, &super::pairs(labels));
    }
}

pub mod tables {
    use super::relay::tables;
    use crate::tables::Failure;

    fn failure_in(failure: tables::Failure) -> Failure {
        match failure {
            tables::Failure::Unknown => Failure::Unknown,
            tables::Failure::NotGranted => Failure::NotGranted,
            tables::Failure::Unavailable(text) => Failure::Unavailable(text),
        }
    }

    pub fn contains(table: &str, key: &str) -> Result<bool, Failure> {
        tables::contains(table, key).map_err(failure_in)
    }

    pub fn find(table: &str, key: &str) -> Result<Option<String>, Failure> {
        tables::find(table, key).map_err(failure_in)
    }

    pub fn contains_address(table: &str, address: &str) -> Result<bool, Failure> {
        tables::contains_address(table, address).map_err(failure_in)
    }
}

pub mod state {
    use super::relay::state;
    use crate::state::{Failure, Grant};

    fn failure_in(failure: state::Failure) -> Failure {
        match failure {
            state::Failure::NotGranted => Failure::NotGranted,
            state::Failure::Quota => Failure::Quota,
            state::Failure::TooLarge => Failure::TooLarge,
            state::Failure::Unavailable(text) => Failure::Unavailable(text),
        }
    }

    pub fn read(key: &str) -> Result<Option<Vec<u8>>, Failure> {
        state::read(key).map_err(failure_in)
    }

    pub fn write(key: &str, value: &[u8], ttl_ms: u64) -> Result<(), Failure> {
        state::write(key, value, ttl_ms).map_err(failure_in)
    }

    pub fn remove(key: &str) -> Result<(), Failure> {
        state::remove(key).map_err(failure_in)
    }

    pub fn add(key: &str, delta: i64, ttl_ms: u64) -> Result<i64, Failure> {
        state::add(key, delta, ttl_ms).map_err(failure_in)
    }

    pub fn take(key: &str, amount: u64, burst: u64, per_minute: u64) -> Result<Grant, Failure> {
        let grant = state::take(key, amount, burst, per_minute).map_err(failure_in)?;
        Ok(Grant {
            granted: grant.granted,
            remaining: grant.remaining,
            retry_after_ms: grant.retry_after_ms,
        })
    }
}

pub mod dns {
    use super::relay::dns;
    use crate::dns::Failure;

    fn failure_in(failure: dns::Failure) -> Failure {
        match failure {
            dns::Failure::NotFound => Failure::NotFound,
            dns::Failure::NotGranted => Failure::NotGranted,
            dns::Failure::Deadline => Failure::Deadline,
            dns::Failure::Temporary(text) => Failure::Temporary(text),
        }
    }

    pub fn txt(name: &str) -> Result<Vec<String>, Failure> {
        dns::txt(name).map_err(failure_in)
    }

    pub fn addresses(name: &str) -> Result<Vec<String>, Failure> {
        dns::addresses(name).map_err(failure_in)
    }

    pub fn mx(name: &str) -> Result<Vec<(u16, String)>, Failure> {
        dns::mx(name).map_err(failure_in)
    }
}
