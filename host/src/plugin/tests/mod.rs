//! What the plugin host promises, shown with real components: those that ship, and guests that
//! misbehave in every way the contract forbids.

#![allow(clippy::unwrap_used)]

mod asking;
mod breaker;
mod deploying;
mod loading;
mod misbehaving;
mod pool;
mod reuse;
mod stock;
mod wasi;

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::clock::Clock;
use crate::message::{Address, Class, MessageId, Timestamp};
use crate::policy::{
    AccountFacts, EnvelopeFacts, Facts, HeaderFacts, Question, RequestedPriority, SenderRuling,
    SessionFacts,
};

/// A component of the tests under plugins/components.
fn file(name: &str) -> Source {
    let components = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    Source::File(components.join(format!("{name}.wasm")))
}

/// The guest that misbehaves as its settings say.
fn misbehaving(config: &[(&str, &str)]) -> ComponentSettings {
    named("misbehaving", "components/tests/misbehaving", config)
}

fn named(name: &str, path: &str, config: &[(&str, &str)]) -> ComponentSettings {
    let config = config
        .iter()
        .map(|(key, value)| (key.to_string(), value.to_string()));
    ComponentSettings {
        config: config.collect::<BTreeMap<_, _>>(),
        ..ComponentSettings::new(name, file(path))
    }
}

/// Compiled components stay with the other products of the build: the tests share them.
fn compiled() -> PathBuf {
    let test = env::current_exe().unwrap();
    test.parent().unwrap().join("compiled-components")
}

fn settings(chain: Vec<ComponentSettings>) -> Settings {
    Settings {
        chain,
        cache_dir: Some(compiled()),
        pool: PoolSettings {
            instances: 16,
            instances_held: 8,
            computing: 1,
            ..PoolSettings::default()
        },
    }
}

fn clock() -> Clock {
    // Tuesday, 14 November 2023, 22:13:20 UTC.
    Clock::standing_at(Timestamp::from_unix_milliseconds(1_700_000_000_000))
}

async fn load(chain: Vec<ComponentSettings>) -> Arc<Plugins> {
    load_with(settings(chain)).await
}

async fn load_with(settings: Settings) -> Arc<Plugins> {
    Plugins::load(settings, clock(), &mut Registry::default())
        .await
        .unwrap()
}

/// What is wrong with a chain, as the operator reads it.
async fn problems(chain: Vec<ComponentSettings>) -> Vec<String> {
    let loaded = Plugins::load(settings(chain), clock(), &mut Registry::default()).await;
    let problems = loaded.err().expect("something is wrong with it");
    problems.iter().map(ToString::to_string).collect()
}

fn address(text: &str) -> Address {
    let (local, domain) = text.rsplit_once('@').unwrap();
    Address::new(local, domain).unwrap()
}

/// What `user` with `a.example` and `me@b.example` says at MAIL.
fn at_mail(user: &str, reverse_path: &str) -> Arc<Facts> {
    let session = SessionFacts {
        id: "session-1".into(),
        listener_port: 587,
        client: "192.0.2.1:4000".parse().unwrap(),
        ehlo: "client.example".into(),
        tls: None,
    };
    let account = AccountFacts {
        name: user.into(),
        list: "default".into(),
        priority: Class::Low,
        mechanism: "PLAIN".into(),
        authorized_domains: Arc::new(["a.example".into()]),
        authorized_senders: Arc::new(["me@b.example".into()]),
    };
    let envelope = EnvelopeFacts {
        reverse_path: Some(address(reverse_path)),
        ..EnvelopeFacts::default()
    };
    Arc::new(Facts::at_mail(
        MessageId::from_bits(7),
        Arc::new(session),
        Some(Arc::new(account)),
        envelope,
        vec![],
    ))
}

/// The same transaction when its header is known.
fn with_header(facts: &Facts, author: &str, priority: Option<Class>) -> Arc<Facts> {
    let requested = priority.map(|class| RequestedPriority {
        carrier: "X-Priority".into(),
        value: class.number().to_string(),
        class: Some(class),
    });
    let header = HeaderFacts {
        authors: vec![address(author)],
        ..HeaderFacts::default()
    };
    Arc::new(facts.with_header(
        vec![address("you@c.example")],
        requested.into_iter().collect(),
        header,
    ))
}

/// The code of the reply to a sender.
fn code(authorization: &Authorization) -> u16 {
    match &authorization.ruling {
        SenderRuling::Permitted => 250,
        SenderRuling::Deferred(reply) | SenderRuling::Refused { reply, .. } => reply.code,
    }
}

/// What the breaker of the first component says about a question.
fn breaker(plugins: &Plugins, question: Question) -> BreakerStatus {
    let status = plugins.status().remove(0);
    let found = status.breaker.iter().find(|(asked, _)| *asked == question);
    found.unwrap().1
}

/// What a component said, as the trail shows it.
fn answers(records: &[crate::policy::DecisionRecord]) -> Vec<String> {
    records
        .iter()
        .map(|record| record.answer.to_string())
        .collect()
}
