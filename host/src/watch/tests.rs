//! The watch with facts that are told to it, a spool in memory and a webhook on loopback.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU16, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::account::{Items, ListDraft};
use crate::alert::{Disk, ListCounts, State};
use crate::directory::MemoryRows;
use crate::message::{Routes, Timestamp};
use crate::spool::{self, Memory, PageRequest, Selection, Spool};
use crate::telemetry::Registry;
use crate::webhook::{self, Secret, Url};

const NOW: Timestamp = Timestamp::from_unix_milliseconds(1_700_000_000_000);

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Facts>>);

impl Look for Told {
    fn facts(&self) -> Pin<Box<dyn Future<Output = Facts> + Send + '_>> {
        let facts = self.0.lock().unwrap().clone();
        Box::pin(async move { facts })
    }
}

struct Stage {
    facts: Told,
    spool: Arc<Memory>,
    directory: Directory,
    folder: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let clock = Clock::standing_at(NOW);
        Self {
            facts: Told::default(),
            spool: Memory::new(spool::Settings::default(), clock.clone()),
            directory: Directory::on_memory(MemoryRows::default(), NOW).unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn tell(&self, facts: Facts) {
        *self.facts.0.lock().unwrap() = facts;
    }

    /// A watch of this relay, as after a start at that time.
    fn watch(&self, settings: Settings, at: Timestamp) -> Arc<Watch> {
        let clock = Clock::standing_at(at);
        Watch::new(Parts {
            settings,
            look: Box::new(self.facts.clone()),
            directory: self.directory.clone(),
            mailer: OwnMailer {
                hostname: "relay.example".to_owned(),
                spool: self.spool.clone(),
                routes: Arc::new(ArcSwap::from_pointee(Routes::new(Vec::new()))),
                clock: clock.clone(),
            },
            clock,
            file: BoardFile::of(self.folder.path()),
            metrics: Metrics::register(&mut Registry::default()),
        })
    }

    /// Recipient, list and subject of all letters.
    async fn letters(&self) -> Vec<(String, String, String)> {
        let request = PageRequest {
            cursor: None,
            rows_max: 100,
            now: NOW,
        };
        let page = self
            .spool
            .list(Selection::default(), request)
            .await
            .unwrap();
        let letters = page.rows.into_iter().map(|row| {
            let message = &row.message;
            let recipient = message.envelope.recipients[0].mailbox.to_string();
            let list = message.origin.list().to_owned();
            (recipient, list, message.subject.clone())
        });
        letters.collect()
    }
}

fn settings() -> Settings {
    Settings {
        addresses: vec![Mailbox::parse("ops@a.example", false).unwrap()],
        ..Settings::default()
    }
}

fn disk_is_low() -> Facts {
    Facts {
        disk: Some(Disk {
            free_octets: 1,
            total_octets: 1 << 40,
            needed_octets: 1 << 20,
        }),
        ..Facts::default()
    }
}

fn bounces(list: &str) -> Facts {
    Facts {
        lists: vec![ListCounts {
            list: list.to_owned(),
            since: NOW,
            sent: 0,
            bounced: 100,
        }],
        ..Facts::default()
    }
}

#[tokio::test]
async fn a_letter_goes_to_the_system_or_to_the_list_and_once_also_over_a_restart() {
    let stage = Stage::new();
    for (name, notify) in [("shop", "shop@b.example"), ("quiet", "")] {
        let draft = ListDraft {
            name: name.to_owned(),
            notify: Items::from(notify),
        };
        let added = stage.directory.create_list(draft.check().unwrap(), NOW);
        added.await.unwrap();
    }
    let letter = |to: &str, list: &str, says: &str| {
        let subject = format!("[relay.example] Alert: {says}");
        (to.to_owned(), list.to_owned(), subject)
    };
    let mut expected = vec![
        letter("ops@a.example", "(relay)", "disk low"),
        letter("shop@b.example", "shop", "bounces high (shop)"),
        letter("ops@a.example", "quiet", "bounces high (quiet)"),
    ];
    expected.sort();
    let mut facts = disk_is_low();
    facts.lists = [bounces("shop").lists, bounces("quiet").lists].concat();
    stage.tell(facts);
    stage.watch(settings(), NOW).look_once().await;
    let mut letters = stage.letters().await;
    letters.sort();
    assert_eq!(letters, expected);
    // Another process finds the same an hour later.
    let again = stage.watch(settings(), NOW.plus(Duration::from_secs(3_600)));
    again.look_once().await;
    assert_eq!(stage.letters().await.len(), 3);
    assert_eq!(again.alerts()[0].began, NOW);
}

#[tokio::test]
async fn who_is_given_later_is_told_of_what_goes_on() {
    let stage = Stage::new();
    stage.tell(disk_is_low());
    let watch = stage.watch(Settings::default(), NOW);
    watch.look_once().await;
    assert_eq!(stage.letters().await.len(), 0);
    watch.follow(settings());
    watch.look_once().await;
    assert_eq!(stage.letters().await.len(), 1);
    let shown = watch.ways();
    assert_eq!(
        (shown.addresses, shown.webhook),
        (vec!["ops@a.example".to_owned()], None)
    );
}

#[tokio::test]
async fn an_acknowledgement_is_kept() {
    let stage = Stage::new();
    stage.tell(disk_is_low());
    let watch = stage.watch(Settings::default(), NOW);
    watch.look_once().await;
    assert!(watch.acknowledge(7, "ann").await.is_none());
    watch.acknowledge(1, "ann").await.unwrap();
    let kept = stage.watch(Settings::default(), NOW).alerts();
    assert_eq!(kept[0].acknowledged.as_ref().unwrap().by, "ann");
    assert_eq!(kept[0].state(), State::Active);
}

#[tokio::test]
async fn a_file_that_is_damaged_or_newer_begins_anew() {
    let stage = Stage::new();
    for text in ["", "{", "{\"form\":2}", "{\"form\":1}"] {
        std::fs::write(stage.folder.path().join("alerts.json"), text).unwrap();
        assert!(stage.watch(settings(), NOW).alerts().is_empty(), "{text}");
    }
}

/// Somebody on loopback who answers with a status, and tells what was sent.
async fn hook(
    status: Arc<AtomicU16>,
) -> (
    webhook::Settings,
    mpsc::Receiver<(String, serde_json::Value)>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (send, sent) = mpsc::channel(100);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut read = Vec::new();
            let (header, body) = loop {
                let mut octets = [0; 4_096];
                let count = stream.read(&mut octets).await.unwrap();
                read.extend_from_slice(&octets[..count]);
                let text = String::from_utf8_lossy(&read).into_owned();
                if let Some((header, body)) = text.split_once("\r\n\r\n")
                    && let Ok(body) = serde_json::from_str::<serde_json::Value>(body)
                {
                    break (header.to_owned(), body);
                }
            };
            let status = status.load(Ordering::SeqCst);
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            let id = header
                .lines()
                .find_map(|line| line.strip_prefix("webhook-id: "));
            send.send((id.unwrap().to_owned(), body)).await.unwrap();
        }
    });
    let settings = webhook::Settings {
        url: Url::read(&format!("http://127.0.0.1:{port}/")).unwrap(),
        secret: Some(Secret::read("0123456789abcdef").unwrap()),
    };
    (settings, sent)
}

#[tokio::test]
async fn a_webhook_that_fails_is_told_later_and_everything_once() {
    let stage = Stage::new();
    let status = Arc::new(AtomicU16::new(503));
    let (webhook, mut sent) = hook(Arc::clone(&status)).await;
    let with_hook = Settings {
        webhook: Some(webhook),
        ..Settings::default()
    };
    let watch = stage.watch(with_hook.clone(), NOW);
    stage.tell(disk_is_low());
    watch.look_once().await;
    let calling = Arc::clone(&watch);
    let calling = tokio::spawn(async move { calling.call().await });
    let (refused_id, refused) = sent.recv().await.unwrap();
    assert_eq!(refused["type"], "alert.began");
    // How it stands is known when the answer has been read.
    let failing = || watch.ways().webhook.unwrap().failing;
    while failing().is_none() {
        tokio::task::yield_now().await;
    }
    assert!(
        failing()
            .unwrap()
            .1
            .ends_with("answered 503 Service Unavailable")
    );
    assert!(watch.alerts()[0].told[Channel::Webhook as usize].is_none());
    calling.abort();
    // Whoever is told in its place is told at once, and by the same name as before.
    status.store(204, Ordering::SeqCst);
    let again = stage.watch(with_hook.clone(), NOW);
    let calling = Arc::clone(&again);
    let calling = tokio::spawn(async move { calling.call().await });
    let (id, taken) = sent.recv().await.unwrap();
    assert_eq!((&id, &taken["data"]), (&refused_id, &refused["data"]));
    assert_eq!(taken["data"]["alert"]["kind"], "disk-low");
    assert_eq!(taken["data"]["relay"], "relay.example");
    while again.alerts()[0].told[Channel::Webhook as usize].is_none() {
        tokio::task::yield_now().await;
    }
    calling.abort();
    // The next process has nothing more to tell, until it is over.
    stage.tell(Facts::default());
    let last = stage.watch(with_hook, NOW.plus(Duration::from_secs(900)));
    last.look_once().await;
    // What went on before the restart goes on for a while.
    assert_eq!(last.alerts()[0].state(), State::Active);
    let tried = last.try_out().await;
    assert_eq!((tried.mail, tried.webhook), (None, Some(Ok(()))));
    let (_, test) = sent.recv().await.unwrap();
    assert_eq!(test["type"], "alert.test");
}
