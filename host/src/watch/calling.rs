//! Telling the webhook: what it is sent, and how long until it is tried again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Notify;

use crate::alert::{Alert, Channel, News, WebhookStanding, subject_of};
use crate::message::Timestamp;
use crate::webhook::{self, Webhook, WebhookError};

/// The first wait after a failure; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Calls the webhook of the configuration in force.
#[derive(Debug)]
pub(super) struct Caller {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    webhook: Option<Webhook>,
    failing: Option<Failing>,
}

#[derive(Clone, Debug)]
struct Failing {
    since: Timestamp,
    error: String,
    wait: Duration,
}

/// What is sent.
#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    timestamp: String,
    /// In one line, which chat services show.
    text: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    relay: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<AlertData<'a>>,
}

#[derive(Serialize)]
struct AlertData<'a> {
    id: u64,
    kind: &'static str,
    subject: &'a str,
    list: Option<&'a str>,
    severity: &'static str,
    state: &'static str,
    text: &'a str,
    value: Option<f64>,
    limit: Option<f64>,
    began: String,
    ended: Option<String>,
    acknowledged_by: Option<&'a str>,
}

impl Caller {
    pub(super) fn new(settings: Option<webhook::Settings>) -> Self {
        Self {
            state: Mutex::new(State {
                webhook: settings.map(Webhook::new),
                failing: None,
            }),
            changed: Notify::new(),
        }
    }

    /// From now on that one is called.
    pub(super) fn follow(&self, settings: Option<webhook::Settings>) {
        let mut state = self.state();
        let before = state.webhook.as_ref().map(Webhook::settings);
        if before != settings.as_ref() {
            state.webhook = settings.map(Webhook::new);
            state.failing = None;
            self.changed.notify_one();
        }
    }

    /// Returns when another one is to be called.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn is_there(&self) -> bool {
        self.state().webhook.is_some()
    }

    /// How it stands with it.
    pub(super) fn standing(&self) -> Option<WebhookStanding> {
        let state = self.state();
        let settings = state.webhook.as_ref()?.settings();
        let failing = state.failing.as_ref();
        Some(WebhookStanding {
            url: settings.url.to_string(),
            is_signed: settings.secret.is_some(),
            failing: failing.map(|failing| (failing.since, failing.error.clone())),
        })
    }

    /// Tells of an alert; how long to wait before it is tried again if it was not taken.
    pub(super) async fn tell(
        &self,
        hostname: &str,
        news: News,
        alert: &Alert,
        now: Timestamp,
    ) -> Option<Duration> {
        let webhook = self.state().webhook.clone()?;
        // Until it has been taken it is the same event, however often it is sent.
        let told = alert.told[Channel::Webhook as usize].map_or(alert.began, |told| told.at);
        let id = format!(
            "{hostname}-{}-{}-{}",
            alert.id,
            news.name(),
            told.unix_milliseconds()
        );
        let document = document(hostname, news, alert, now);
        let outcome = webhook.send(&id, now, document).await;
        self.note(&webhook, outcome, now)
    }

    /// Tells something that is no alert.
    pub(super) async fn try_out(
        &self,
        hostname: &str,
        now: Timestamp,
    ) -> Option<Result<(), String>> {
        let webhook = self.state().webhook.clone()?;
        let document = Document {
            r#type: "alert.test".to_owned(),
            timestamp: now.to_string(),
            text: format!("[{hostname}] This is a test. Nothing is wrong."),
            data: Data {
                relay: hostname,
                alert: None,
            },
        };
        let id = format!("{hostname}-test-{}", now.unix_milliseconds());
        let sent = webhook.send(&id, now, text(&document)).await;
        Some(sent.map_err(|error| error.to_string()))
    }

    fn note(
        &self,
        webhook: &Webhook,
        outcome: Result<(), WebhookError>,
        now: Timestamp,
    ) -> Option<Duration> {
        let mut state = self.state();
        // Another one has taken its place meanwhile.
        let current = state.webhook.as_ref().map(Webhook::settings);
        let is_current = current == Some(webhook.settings());
        match outcome {
            Ok(()) => {
                if is_current && state.failing.take().is_some() {
                    tracing::info!("the webhook takes alerts again");
                }
                None
            }
            Err(_) if !is_current => Some(Duration::ZERO),
            Err(error) => {
                let before = state.failing.take();
                if before.is_none() {
                    tracing::warn!(%error, "the webhook does not take alerts");
                }
                let wait = match &before {
                    None => FIRST_WAIT,
                    Some(before) => (before.wait * 2).min(LONGEST_WAIT),
                };
                state.failing = Some(Failing {
                    since: before.map_or(now, |before| before.since),
                    error: error.to_string(),
                    wait,
                });
                Some(wait)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn document(hostname: &str, news: News, alert: &Alert, now: Timestamp) -> String {
    let condition = &alert.condition;
    let document = Document {
        r#type: format!("alert.{}", news.name()),
        timestamp: now.to_string(),
        text: format!(
            "[{hostname}] {}. {}",
            subject_of(news, alert),
            condition.text
        ),
        data: Data {
            relay: hostname,
            alert: Some(AlertData {
                id: alert.id,
                kind: condition.kind.name(),
                subject: &condition.subject,
                list: condition.list.as_deref(),
                severity: condition.severity.name(),
                state: alert.state().name(),
                text: &condition.text,
                value: condition.value,
                limit: condition.limit,
                began: alert.began.to_string(),
                ended: alert.ended.map(|ended| ended.to_string()),
                acknowledged_by: alert.acknowledged.as_ref().map(|known| known.by.as_str()),
            }),
        },
    };
    text(&document)
}

fn text(document: &Document<'_>) -> String {
    serde_json::to_string(document).expect("texts and numbers have a form in JSON")
}
