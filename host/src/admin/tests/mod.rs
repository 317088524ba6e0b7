//! The API as its callers see it: each endpoint with what it answers and what it refuses.
//!
//! The router is called as a service, on a directory and a spool in memory.

#![allow(clippy::unwrap_used)]

mod accounts;
mod alerts;
mod audited;
mod console;
mod contract;
mod logs;
mod mail;
mod operations;
pub(crate) mod plugins;
mod refusals;
mod repeated;
mod senders;
mod statistics;
mod stops;
mod submission;
mod surface;
mod versions;

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use outpost_smtp::{Body as Declared, Mailbox, Reply, ReversePath};
use serde_json::Value;

use super::{
    Api, BackupSources, Certificate, ConnectionFacts, Metrics, NotReloaded, Order, OrderedPage,
    PluginStatus, Readiness, Reload, Reloaded, Remark, Submissions, Told, Uploads, router,
};
use crate::account::{DEFAULT_LIST, Scope};
use crate::auth::{self, Authenticator, Parameters};
use crate::clock::Clock;
use crate::directory::{Directory, MemoryRows};
use crate::message::{
    Address, Class, Dialogue, Envelope, Event, Message, MessageId, NextHop, Origin, Party,
    PlaceInLine, Priorities, Protocol, Reason, Recipient, Scribe, Standing, Submission, Timestamp,
    TrailEntry, WantedStanding,
};
use crate::plugin::{
    About, Allocation, Authorization, BreakerState, BreakerStatus, ComponentStatus, LatencySummary,
    PoolStatus, Source,
};
use crate::policy::{
    Answer, DecisionRecord, Facts, OnFailure, Question, SenderRuling, refusal_reply,
};
use crate::spool::{
    self, Memory, NamedIn, NewDelivery, NewMessage, NewRefusals, PageRequest, QueueState, Record,
    RefusedMessage, Selection, Spool,
};
use crate::telemetry::Registry;

/// When all of it happens.
pub(crate) const NOW: Timestamp = Timestamp::from_unix_milliseconds(1_700_000_000_123);

/// What stands in its configuration file.
pub(crate) const CONFIGURATION: &str = "hostname = \"relay.example\"\n";

/// A relay's admin surface with everything in memory.
pub(crate) struct Surface {
    pub(crate) api: Arc<Api>,
    /// How often the queue was told to try at once.
    retried: Arc<AtomicUsize>,
    /// Where messages are handed to.
    desk: Arc<submission::Desk>,
    pub(crate) rows: MemoryRows,
    pub(crate) router: Router,
    pub(crate) admin: String,
    pub(crate) operate: String,
    pub(crate) read: String,
    sequence: Mutex<u128>,
    _folder: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answered {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The fields that a problem names.
    pub(crate) fn fields(&self) -> Vec<String> {
        let json = self.json();
        let errors = json["errors"].as_array().cloned().unwrap_or_default();
        errors
            .iter()
            .map(|error| error["field"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// A chain of one component, which does not change with what is deployed.
struct OnePlugin;

impl PluginStatus for OnePlugin {
    fn status(&self) -> Vec<ComponentStatus> {
        vec![Self::status()]
    }

    fn pool(&self) -> PoolStatus {
        PoolStatus {
            allocation: Allocation::Pooled,
            instances_max: 256,
            instances: 1,
            instances_held: 0,
        }
    }

    fn reset_breaker(&self, name: &str) -> bool {
        name == "authorized-senders"
    }

    /// As the component of that name, but for its words.
    fn authorize(
        &self,
        facts: Arc<Facts>,
    ) -> Pin<Box<dyn Future<Output = Authorization> + Send + '_>> {
        let account = facts.account.as_ref().unwrap();
        let sender = facts.envelope.reverse_path.as_ref().unwrap();
        let domain = sender.domain().to_owned();
        let is_permitted = account.authorized_domains.contains(&domain)
            || account.authorized_senders.contains(&sender.to_string());
        let reason = crate::policy::Reason::new("told".into(), domain.as_str()).unwrap();
        let (ruling, answer) = match is_permitted {
            true => (SenderRuling::Permitted, Answer::Permit),
            false => {
                let (reply, reasons) = (refusal_reply(), vec![reason.clone()]);
                (SenderRuling::Refused { reply, reasons }, Answer::Refuse)
            }
        };
        let record = DecisionRecord {
            component: "authorized-senders".into(),
            digest: "3f2a91b0c4d5e6f7".into(),
            question: Question::Sender,
            answer,
            reasons: vec![reason],
            took: Duration::from_micros(20),
        };
        let records = vec![record];
        Box::pin(std::future::ready(Authorization { ruling, records }))
    }
}

impl OnePlugin {
    fn status() -> ComponentStatus {
        let summary = LatencySummary {
            median: Duration::from_micros(20),
            ..LatencySummary::default()
        };
        let breaker = BreakerStatus {
            state: BreakerState::Closed,
            users: 1,
        };
        ComponentStatus {
            name: "authorized-senders".to_owned(),
            digest: "3f2a91b0c4d5e6f7".to_owned(),
            octets: 29_000,
            source: Source::Shipped("authorized-senders".to_owned()),
            about: About {
                version: "0.1.0".to_owned(),
                ..About::default()
            },
            contract: "0.1.0".to_owned(),
            questions: vec![(Question::Sender, OnFailure::Defer)],
            exports: vec!["outpost:policy/sender@0.1.0".to_owned()],
            imports: vec![("outpost:policy/dns@0.1.0".to_owned(), false)],
            answers: vec![
                (Question::Sender, "permit", 7),
                (Question::Priority, "class", 1),
            ],
            failures: vec![
                (Question::Sender, "trap", 2),
                (Question::Priority, "trap", 1),
            ],
            latency: vec![(Question::Sender, summary)],
            breaker: vec![(Question::Sender, breaker)],
        }
    }
}

/// Whoever asks for a reload first gets what can be said about one; later ones are refused.
#[derive(Default)]
struct Reloads(AtomicBool);

impl Reload for Reloads {
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<Reloaded, NotReloaded>> + Send>> {
        let remark = |key: &str, text: &str| Remark {
            line: Some(3),
            key: key.to_owned(),
            text: text.to_owned(),
        };
        let outcome = if self.0.swap(true, Ordering::Relaxed) {
            Err(NotReloaded {
                file: Some("outpost.toml".to_owned()),
                mistakes: vec![remark("hostname", "`a b` is not a host name")],
                more: 1,
            })
        } else {
            Ok(Reloaded {
                file: Some("outpost.toml".to_owned()),
                changed: vec!["tls".to_owned(), "plugin".to_owned()],
                needs_restart: vec!["admin.address".to_owned()],
                notes: vec![remark("plugin", "nobody decides")],
            })
        };
        Box::pin(std::future::ready(outcome))
    }
}

/// Shows the queue as the spool lists it, and says of what waits that nothing is ahead.
struct AsListed(Arc<Memory>);

fn standing(class: Class, state: QueueState, is_stopped: bool) -> Option<Standing> {
    (state == QueueState::Waiting && !is_stopped).then_some(Standing {
        place: Some(PlaceInLine {
            class,
            ahead: [0; 5],
        }),
        reason: Reason::Next,
        estimate: Some(Duration::from_millis(1_500)),
    })
}

impl Order for AsListed {
    fn page(
        &self,
        selection: Selection,
        wanted: WantedStanding,
        page: PageRequest,
    ) -> Told<'_, OrderedPage> {
        Box::pin(async move {
            let page = self.0.list(selection, page).await?;
            let is_wanted = |standing: &Option<Standing>| match standing {
                Some(standing) => wanted.matches(standing),
                None => wanted == WantedStanding::default(),
            };
            let rows = page.rows.into_iter().map(|row| {
                let stop = self
                    .0
                    .stops()
                    .on(&row.delivery.next_hop, row.message.origin.user());
                let standing = standing(row.message.class, row.state, stop.is_some());
                (row, standing)
            });
            let rows = rows.filter(|(_, standing)| is_wanted(standing));
            Ok(OrderedPage {
                rows: rows.collect(),
                cursor: page.cursor,
            })
        })
    }

    fn beginning(
        &self,
        selection: Selection,
        wanted: WantedStanding,
        rows_max: usize,
    ) -> Told<'_, OrderedPage> {
        let page = PageRequest {
            cursor: None,
            rows_max,
            now: NOW,
        };
        self.page(selection, wanted, page)
    }

    fn standings<'a>(&'a self, record: &'a Record) -> Told<'a, Vec<Option<Standing>>> {
        let message = &record.message;
        let all = record.deliveries.iter().map(|(delivery, state)| {
            let stop = self.0.stops().on(&delivery.next_hop, message.origin.user());
            standing(message.class, *state, stop.is_some())
        });
        let all = all.collect();
        Box::pin(std::future::ready(Ok(all)))
    }
}

impl Surface {
    pub(crate) async fn start() -> Self {
        let clock = Clock::standing_at(NOW);
        let folder = tempfile::tempdir().unwrap();
        let rows = MemoryRows::default();
        let directory = Directory::on_memory(rows.clone(), NOW).unwrap();
        let mut secrets = Vec::new();
        for (name, scope) in [
            ("boss", Scope::Admin),
            ("night-shift", Scope::Operate),
            ("grafana", Scope::Read),
        ] {
            let issued = directory.create_token(name, scope, NOW).await.unwrap();
            secrets.push(issued.secret.as_str().to_owned());
        }
        let auth = Authenticator::new(&auth::Settings {
            parameters: Parameters::CHEAP,
            ..auth::Settings::default()
        });
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let retried = Arc::new(AtomicUsize::new(0));
        let spool = Memory::new(spool::Settings::default(), clock.clone());
        let desk = Arc::<submission::Desk>::default();
        let api = Arc::new(Api {
            directory,
            auth: auth.unwrap(),
            order: Arc::new(AsListed(Arc::clone(&spool))),
            spool,
            retried: {
                let retried = Arc::clone(&retried);
                Box::new(move || {
                    retried.fetch_add(1, Ordering::Relaxed);
                })
            },
            submissions: Submissions::new(Arc::<submission::Desk>::clone(&desk)),
            plugins: Arc::new(OnePlugin),
            deploy: Arc::new(plugins::Bench::new(folder.path())),
            alerts: Arc::new(alerts::Fixed::default()),
            uploads: Uploads::default(),
            reload: Arc::new(Reloads::default()),
            connection: Arc::new(ArcSwap::from_pointee(ConnectionFacts {
                hostname: "relay.example".to_owned(),
                addresses: vec!["0.0.0.0".parse().unwrap()],
                starttls_ports: vec![25, 587],
                tls_ports: vec![465],
                plaintext_login: false,
                certificate: Certificate::SelfSigned,
            })),
            backup: BackupSources::new(
                folder.path().to_owned(),
                Some(CONFIGURATION.as_bytes().into()),
                Some(CONFIGURATION.to_owned()),
                Vec::new(),
            ),
            tls: crate::tls::Server::new(&crate::tls::Settings::SelfSigned {
                hostname: "relay.example".to_owned(),
                folder: folder.path().to_owned(),
            })
            .unwrap(),
            sessions: super::Sessions::default(),
            undos: super::Undos::default(),
            live: super::Live::default(),
            answers: crate::admin::Answers::default(),
            audit: crate::admin::audit::Audit::default(),
            registry: Arc::new(registry),
            metrics,
            readiness: Readiness::default(),
            clock,
            started: NOW,
        });
        let mut secrets = secrets.into_iter();
        Self {
            router: router(Arc::clone(&api)),
            api,
            retried,
            desk,
            rows,
            admin: secrets.next().unwrap(),
            operate: secrets.next().unwrap(),
            read: secrets.next().unwrap(),
            sequence: Mutex::new(0),
            _folder: folder,
        }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answered {
        let response = TowerToHyperService::new(self.router.clone())
            .call(request)
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answered {
            status: parts.status.as_u16(),
            headers: parts.headers,
            // A backup is no text.
            text: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    pub(crate) async fn call(&self, token: &str, ask: &str, body: Option<&str>) -> Answered {
        let (method, path) = ask.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        self.send(
            request
                .body(Body::from(body.unwrap_or_default().to_owned()))
                .unwrap(),
        )
        .await
    }

    /// As the administrator.
    pub(crate) async fn ask(&self, ask: &str, body: Option<&str>) -> Answered {
        let token = self.admin.clone();
        self.call(&token, ask, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answered = self.ask(&format!("GET {path}"), None).await;
        assert_eq!(answered.status, 200, "{path}: {}", answered.text);
        answered.json()
    }

    /// Notes a refused message for each of these senders.
    pub(crate) async fn refuse(&self, user: &str, senders: &[&str]) {
        let mut new = NewRefusals::default();
        for sender in senders {
            let sender = sender.rsplit_once('@');
            let sender = sender.map(|(local, domain)| Address::new(local, domain).unwrap());
            new.add(RefusedMessage {
                list: DEFAULT_LIST.to_owned(),
                user: user.to_owned(),
                client: "192.0.2.7".parse().unwrap(),
                at: self.api.clock.now(),
                senders: sender.into_iter().collect(),
                named_in: NamedIn::Envelope,
                reasons: vec!["not-authorized: no".to_owned()],
            });
        }
        self.api.spool.note_refusals(new).await.unwrap();
    }

    /// The id of the refused sender.
    pub(crate) async fn refusal(&self, sender: &str) -> String {
        let listed = self.get("/api/v1/refusals").await;
        let mut refusals = listed["refusals"].as_array().unwrap().iter();
        let found = refusals.find(|refusal| refusal["sender"] == sender);
        found.unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// Queues a message of that user to those recipients, a delivery for each domain.
    pub(crate) async fn queue(&self, user: &str, class: Class, recipients: &[&str]) -> MessageId {
        let id = {
            let mut sequence = self.sequence.lock().unwrap();
            *sequence += 1;
            MessageId::new(NOW, *sequence)
        };
        let mailbox = |text: &str| {
            let (local, domain) = text.split_once('@').unwrap();
            Mailbox {
                local: local.to_owned(),
                domain: domain.to_owned(),
            }
        };
        let message = Message {
            id,
            origin: Origin::Submission(Submission {
                list: DEFAULT_LIST.to_owned(),
                user: user.to_owned(),
                client: "192.0.2.7:40000".parse().unwrap(),
                listener_port: 587,
                protocol: Protocol::Smtp,
                ehlo: "laptop".to_owned(),
                mechanism: "PLAIN".to_owned(),
                tls: None,
            }),
            envelope: Envelope {
                reverse_path: ReversePath::Mailbox(mailbox("app@a.example")),
                recipients: recipients
                    .iter()
                    .map(|text| Recipient {
                        mailbox: mailbox(text),
                        notify: None,
                        orcpt: None,
                    })
                    .collect(),
                body: Declared::SevenBit,
                smtputf8: false,
                ret: None,
                envid: None,
                mt_priority: None,
                deliver_by: None,
                hold: None,
                require_tls: false,
            },
            class,
            priorities: Priorities {
                user: Class::Normal,
                message: Some(class),
            },
            accepted: NOW,
            deliver_until: None,
            scheduled: None,
            content_octets: 5,
            eight_bit: false,
            subject: "Your <b>password</b>".to_owned(),
            campaign: Some("spring".to_owned()),
        };
        let mut deliveries: Vec<NewDelivery> = Vec::new();
        for (index, recipient) in (0..).zip(recipients) {
            let next_hop = NextHop::Domain(recipient.split_once('@').unwrap().1.into());
            match deliveries
                .iter_mut()
                .find(|delivery| delivery.next_hop == next_hop)
            {
                Some(delivery) => delivery.recipients.push(index),
                None => deliveries.push(NewDelivery {
                    next_hop,
                    recipients: vec![index],
                    due: NOW,
                    attempts: 0,
                    delay_reported: false,
                    lateness_reported: false,
                    last_reply: String::new(),
                }),
            }
        }
        let trail = vec![
            TrailEntry {
                at: NOW,
                event: Event::Decided {
                    component: "authorized-senders".to_owned(),
                    digest: "3f2a91b0c4d5e6f7".to_owned(),
                    question: "sender".to_owned(),
                    answer: "permit".to_owned(),
                    reasons: vec![("domain".to_owned(), "a.example".to_owned())],
                    took: Duration::from_micros(212),
                },
            },
            TrailEntry {
                at: NOW,
                event: Event::Accepted { class },
            },
            TrailEntry {
                at: NOW,
                event: Event::Dialogue(dialogue(recipients[0])),
            },
            TrailEntry {
                at: NOW,
                event: Event::Attempted {
                    next_hop: NextHop::Domain("b.example".into()),
                    host: None,
                    took: Duration::from_millis(3),
                    recipients: vec![(
                        recipients[0].to_owned(),
                        "deferred",
                        Reply::new(450, (4, 4, 1), "nobody answers"),
                    )],
                    unknown: false,
                },
            },
        ];
        let spool = &self.api.spool;
        let mut intake = spool.intake(None).unwrap();
        intake.write(b"hello").await.unwrap();
        spool
            .enqueue(
                NewMessage {
                    message,
                    deliveries,
                    trail,
                },
                intake,
            )
            .await
            .unwrap();
        id
    }
}

/// A dialogue with a host that breaks off, and that would steer a terminal if it could.
fn dialogue(recipient: &str) -> Dialogue {
    let mut scribe = Scribe::default();
    let after = Duration::from_millis;
    scribe.reply(after(0), b"220 mx.b.example \x1b[2J\xe2\x80\xae", true);
    scribe.command(after(2), format!("RCPT TO:<{recipient}>").as_bytes());
    scribe.note(after(61_000), "[no answer in time]");
    Dialogue {
        with: Party::Host {
            next_hop: NextHop::Domain("b.example".into()),
            name: "mx.b.example".to_owned(),
            address: "192.0.2.1:25".parse().unwrap(),
        },
        is_continued: true,
        transcript: scribe.transcript(),
    }
}
