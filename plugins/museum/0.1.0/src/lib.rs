//! One component of contract version 0.1.0 that uses all of it: every function, every type.
//!
//! A relay that changes something inside a compatible version no longer loads it, or no longer
//! gets the answers below. Built once on its own copy of the contract and kept as it is.
//!
//! It permits when the user `museum` sends as `a@museum.example`, places at the user's priority,
//! and leaves a note `museum` with the number of facts that it has seen.

#![cfg(target_arch = "wasm32")]
#![allow(
    unsafe_code,
    reason = "the export macro of wit-bindgen expands here; nothing below is unsafe"
)]

mod bindings {
    #![allow(missing_docs, clippy::all)]
    wit_bindgen::generate!({ path: "wit", world: "policy", generate_all });
}

use bindings::exports::outpost::policy::lifecycle::{self, Problem};
use bindings::exports::outpost::policy::priority_policy::{self, Placement};
use bindings::exports::outpost::policy::sender_authorization::{self, Decision, Verdict};
use bindings::outpost::policy::message::Transaction;
use bindings::outpost::policy::types::{Attribute, AttributeValue, EnhancedStatus, Reason, Reply};
use bindings::outpost::policy::{clock, config, dns, log, metrics, state, tables};
use core::hint::black_box;

struct Museum;

impl sender_authorization::Guest for Museum {
    fn authorize(tx: &Transaction) -> Decision {
        let notes = see_all(tx);
        let senders = if tx.header_known() {
            tx.authors()
        } else {
            tx.envelope().reverse_path.into_iter().collect()
        };
        let own = senders
            .iter()
            .all(|s| s.local == "a" && s.domain == "museum.example");
        let verdict = match tx.account() {
            None => Verdict::Pass,
            Some(account) if account.name != "museum" => Verdict::Defer(None),
            Some(_) if own => Verdict::Permit,
            Some(_) => Verdict::Refuse(Some(Reply {
                code: 550,
                enhanced: EnhancedStatus {
                    class: 5,
                    subject: 7,
                    detail: 1,
                },
                text: "Only a@museum.example may send.".into(),
            })),
        };
        let reasons = vec![Reason {
            rule: "museum".into(),
            detail: "version 0.1.0".into(),
        }];
        Decision {
            verdict,
            reasons,
            notes,
        }
    }
}

impl priority_policy::Guest for Museum {
    fn place(tx: &Transaction) -> Option<Placement> {
        let notes = see_all(tx);
        Some(Placement {
            priority: tx.account()?.priority,
            deliver_within_s: Some(3600),
            reasons: vec![Reason {
                rule: "museum".into(),
                detail: "version 0.1.0".into(),
            }],
            notes,
        })
    }
}

impl lifecycle::Guest for Museum {
    fn check_config() -> Result<(), Vec<Problem>> {
        let unknown = config::keys().into_iter().filter(|key| key != "exhibit");
        let problems: Vec<Problem> = unknown
            .map(|key| Problem {
                key,
                text: "is not a setting".into(),
            })
            .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }
}

/// Calls every function of every imported interface.
fn see_all(tx: &Transaction) -> Vec<Attribute> {
    let session = tx.session();
    let envelope = tx.envelope();
    let facts = [
        session.attributes.len(),
        usize::from(session.tls.is_some()),
        tx.authorized_domains().len(),
        tx.authorized_senders().len(),
        envelope.parameters.len(),
        tx.forward_paths(0, 500).len(),
        tx.requested_priorities().len(),
        usize::from(tx.header("subject").is_some()),
        tx.headers("received").len(),
        tx.all_headers().len(),
        usize::from(tx.content_bytes().is_some()),
        tx.notes().len(),
        usize::from(config::value("exhibit").is_some()),
        config::keys().len(),
    ];
    let local = clock::local();
    black_box((clock::now_ms(), local.minute_of_day, local.weekday));
    if log::is_enabled(log::Level::Debug) {
        log::write(log::Level::Debug, "seen", &[("ehlo".into(), session.ehlo)]);
    }
    metrics::count("seen", 1, &[]);
    metrics::observe("facts", 1.0, &[]);
    let _ = black_box((
        tables::contains("t", "k"),
        tables::find("t", "k"),
        tables::contains_address("t", "::1"),
    ));
    let _ = black_box((
        state::read("k"),
        state::write("k", b"v", 1),
        state::remove("k"),
    ));
    let _ = black_box((state::add("k", 1, 1), state::take("k", 1, 1, 1)));
    let _ = black_box((
        dns::txt("museum.example"),
        dns::addresses("museum.example"),
        dns::mx("museum.example"),
    ));
    let number = facts.iter().sum::<usize>() as i64;
    [
        ("museum", AttributeValue::Number(number)),
        ("museum-text", AttributeValue::Text("0.1.0".into())),
        ("museum-truth", AttributeValue::Truth(true)),
        ("museum-octets", AttributeValue::Octets(vec![0, 1, 0])),
    ]
    .map(|(key, value)| Attribute {
        key: key.into(),
        value,
    })
    .into()
}

bindings::export!(Museum with_types_in bindings);
