//! A component that does what it must not, for the tests of the relay; its settings say what.
//!
//! | setting | meaning |
//! |---|---|
//! | `behaviour` | one of those below; not set: it behaves, permits and places by the user's priority |
//! | `at` | `mail`, `header`, `place` or `check`: only in that question; not set: in all |
//! | `user` | only when a user asks whose name begins so (not in `check`) |
//! | `code`, `enhanced`, `text` | the reply of `defer` and `refuse`; without `code` there is none |
//! | `rule`, `detail`, `reasons` | the text of each reason, and how many there are |
//! | `key`, `note-bytes`, `notes` | the key of each note, the size of its value, how many there are |
//! | `priority` | the number that `place` answers, any of 0 to 255 |
//! | `bytes` | how much `oversized`, `log-oversized` and `check-oversized` write (8 MiB) |
//! | `calls` | how often `slow`, `log-flood` and `metrics-flood` call (1,000,000) |
//!
//! Behaviours: `pass`, `permit`, `defer`, `refuse`, `count` (notes under `calls` how many questions
//! this instance has been asked), `loop`, `memory`, `panic`, `trap`, `stack`, `oversized`, `slow`,
//! `log-flood`, `log-oversized`, `metrics-flood`, `state` (calls an import that needs a grant), and
//! in `check` also `check-problem`, `check-flood`, `check-control`, `check-oversized`.

#![cfg(target_arch = "wasm32")]
#![allow(
    unsafe_code,
    reason = "the export macro of wit-bindgen expands here; nothing below is unsafe"
)]

// The bindings themselves: the SDK would not let it say what must not be said.
mod bindings {
    #![allow(missing_docs, clippy::all)]
    wit_bindgen::generate!({ path: "../../../wit", world: "policy", generate_all });
}

use bindings::exports::outpost::policy::lifecycle::{self, Problem};
use bindings::exports::outpost::policy::priority_policy::{self, Placement};
use bindings::exports::outpost::policy::sender_authorization::{self, Decision, Verdict};
use bindings::outpost::policy::message::Transaction;
use bindings::outpost::policy::types::{Attribute, AttributeValue, EnhancedStatus, Reason, Reply};
use bindings::outpost::policy::{config, log, metrics, state};
use core::hint::black_box;
use core::sync::atomic::{AtomicI64, Ordering::Relaxed};

struct Misbehaving;

/// How many questions this instance has been asked.
static ASKED: AtomicI64 = AtomicI64::new(0);

impl sender_authorization::Guest for Misbehaving {
    fn authorize(tx: &Transaction) -> Decision {
        let question = if tx.header_known() { "header" } else { "mail" };
        let behaviour = behaviour(question, Some(tx));
        misbehave(&behaviour, tx);
        let verdict = match behaviour.as_str() {
            "pass" => Verdict::Pass,
            "defer" => Verdict::Defer(reply()),
            "refuse" => Verdict::Refuse(reply()),
            _ => Verdict::Permit,
        };
        Decision {
            verdict,
            reasons: reasons(&behaviour),
            notes: notes(&behaviour),
        }
    }
}

impl priority_policy::Guest for Misbehaving {
    fn place(tx: &Transaction) -> Option<Placement> {
        let behaviour = behaviour("place", Some(tx));
        misbehave(&behaviour, tx);
        if behaviour == "pass" {
            return None;
        }
        let users = tx.account().map_or(3, |account| account.priority);
        let priority = match behaviour.as_str() {
            "" => users,
            _ => number("priority", users.into()) as u8,
        };
        let (reasons, notes) = (reasons(&behaviour), notes(&behaviour));
        Some(Placement {
            priority,
            deliver_within_s: None,
            reasons,
            notes,
        })
    }
}

impl lifecycle::Guest for Misbehaving {
    fn check_config() -> Result<(), Vec<Problem>> {
        let problem = |text: String| Problem {
            key: "behaviour".into(),
            text,
        };
        match behaviour("check", None).as_str() {
            "check-problem" => Err(vec![problem("must not be check-problem".into())]),
            "check-flood" => Err((0..10_000).map(|n| problem(n.to_string())).collect()),
            "check-control" => Err(vec![problem("two\r\nlines\u{1b}[31m".into())]),
            "check-oversized" => Err(vec![problem(large())]),
            "loop" if at("check") => endless(),
            "memory" if at("check") => memory(),
            "panic" if at("check") => panic!("told to panic"),
            "trap" if at("check") => core::arch::wasm32::unreachable(),
            _ => Ok(()),
        }
    }
}

/// What to do in this question; empty: behave.
fn behaviour(question: &str, tx: Option<&Transaction>) -> String {
    let elsewhere = config::value("at").is_some_and(|at| at != question);
    let other_user = || {
        let user = config::value("user").unwrap_or_default();
        let asking = tx
            .and_then(Transaction::account)
            .map(|account| account.name);
        tx.is_some() && !asking.unwrap_or_default().starts_with(&user)
    };
    if elsewhere || other_user() {
        return String::new();
    }
    config::value("behaviour").unwrap_or_default()
}

/// Whether the settings name this question: a component that cannot be deployed misbehaves nowhere.
fn at(question: &str) -> bool {
    config::value("at").is_some_and(|at| at == question)
}

fn misbehave(behaviour: &str, tx: &Transaction) {
    ASKED.fetch_add(1, Relaxed);
    match behaviour {
        "loop" => endless(),
        "memory" => memory(),
        "panic" => panic!("told to panic"),
        "trap" => core::arch::wasm32::unreachable(),
        "stack" => {
            black_box(deeper(0));
        }
        "slow" => (0..number("calls", 1_000_000)).for_each(|_| {
            black_box(tx.envelope());
        }),
        "log-flood" => (0..number("calls", 1_000_000)).for_each(|n| {
            log::write(log::Level::Error, &n.to_string(), &[]);
        }),
        "log-oversized" => log::write(log::Level::Error, &large(), &[]),
        "metrics-flood" => (0..number("calls", 1_000_000)).for_each(|n| {
            metrics::count("flood", 1, &[("series".into(), n.to_string())]);
        }),
        "state" => {
            black_box(state::add("asked", 1, 60_000).is_ok());
        }
        _ => {}
    }
}

#[allow(clippy::empty_loop)]
fn endless() -> ! {
    loop {
        black_box(0);
    }
}

/// Touches each page it takes, so that it is not only asked for.
fn memory() -> ! {
    let mut taken = Vec::new();
    loop {
        taken.push(vec![1_u8; 64 << 10]);
        black_box(&taken);
    }
}

/// Uses stack in each step, and the result of the deeper one, so that it cannot become a loop.
#[allow(unconditional_recursion, reason = "that is what it is for")]
fn deeper(depth: u64) -> u64 {
    let frame = black_box([depth; 32]);
    deeper(depth + 1) + frame[(depth % 32) as usize]
}

fn number(key: &str, default: u64) -> u64 {
    config::value(key)
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn text(key: &str, default: &str) -> String {
    config::value(key).unwrap_or_else(|| default.into())
}

fn large() -> String {
    "x".repeat(number("bytes", 8 << 20) as usize)
}

/// The reply that the settings describe, right or wrong: `code = "250"`, `enhanced = "2.0.0"`.
fn reply() -> Option<Reply> {
    let code = config::value("code")?.parse().ok()?;
    let enhanced = text("enhanced", "5.7.1");
    let mut parts = enhanced.split('.').map(|part| part.parse().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    let enhanced = EnhancedStatus {
        class: part() as u8,
        subject: part(),
        detail: part(),
    };
    Some(Reply {
        code,
        enhanced,
        text: text("text", "Told to misbehave."),
    })
}

fn reasons(behaviour: &str) -> Vec<Reason> {
    let detail = if behaviour == "oversized" {
        large()
    } else {
        text("detail", behaviour)
    };
    let reason = Reason {
        rule: text("rule", "misbehaving"),
        detail,
    };
    vec![reason; number("reasons", 1) as usize]
}

fn notes(behaviour: &str) -> Vec<Attribute> {
    if behaviour == "count" {
        let value = AttributeValue::Number(ASKED.load(Relaxed));
        return vec![Attribute {
            key: "calls".into(),
            value,
        }];
    }
    let value = AttributeValue::Text("n".repeat(number("note-bytes", 1) as usize));
    vec![
        Attribute {
            key: text("key", "note"),
            value
        };
        number("notes", 0) as usize
    ]
}

bindings::export!(Misbehaving with_types_in bindings);
