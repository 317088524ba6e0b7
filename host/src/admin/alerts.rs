//! Alerts over HTTP: active ones, those that ended lately, who is told; and that somebody knows.

use std::cmp::Reverse;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::access::{Operator, Reader};
use super::audit::Deed;
use super::extract::{NoQuery, QueryString, Segment};
use super::once::KeyHeader;
use super::openapi::{Missing, Refused};
use super::problem::{Kind as ProblemKind, Problem};
use crate::alert::{Alert, Kind, Severity, State as AlertState, Tried, Ways};

/// Knows the alerts.
pub trait Alerts: Send + Sync + 'static {
    /// All active alerts, and those that ended lately, in the order in which they began.
    fn alerts(&self) -> Vec<Alert>;

    /// The worst one that is critical and active, and not acknowledged; and how many such there are.
    fn worst(&self) -> Option<(Alert, usize)>;

    /// Who is told.
    fn ways(&self) -> Ways;

    /// Somebody acknowledges an alert. None where there is no active one of that number.
    fn acknowledge<'a>(
        &'a self,
        id: u64,
        by: &'a str,
    ) -> Pin<Box<dyn Future<Output = Option<Alert>> + Send + 'a>>;

    /// Tells everybody something that is no alert.
    fn try_out(&self) -> Pin<Box<dyn Future<Output = Tried> + Send + '_>>;
}

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AlertKind {
    /// The relay takes no mail.
    NotReady,
    /// Very-high mail is slower than its objective.
    VeryHighLate,
    /// The disk of the data folder has little room.
    DiskLow,
    /// A policy component is not asked, since it failed again and again.
    BreakerOpen,
    /// A next hop has not been reached for a while.
    NextHopDown,
    /// The certificate is about to expire, or has.
    CertificateExpiring,
    /// Much of a list's mail comes back.
    BouncesHigh,
    /// Users of a list were refused as senders.
    SendersRefused,
}

/// How soon somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertSeverity {
    /// Soon.
    Warning,
    /// Now.
    Critical,
}

/// Whether an alert is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AlertStateName {
    /// It does.
    Active,
    /// It is over.
    Ended,
}

/// Something that somebody should look at, or should have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertDocument {
    /// Its number.
    #[schema(minimum = 1)]
    pub id: u64,
    /// What kind of thing is wrong.
    pub kind: AlertKind,
    /// Which one of its kind: a list, a component, a next hop; empty where there is only one.
    #[schema(example = "smarthost mail.example.com:25")]
    pub subject: String,
    /// The list that it is about; none where it is about the relay.
    pub list: Option<String>,
    /// How soon somebody should look.
    pub severity: AlertSeverity,
    /// Whether it is active.
    pub state: AlertStateName,
    /// What is wrong. Others may have written parts of it.
    pub text: String,
    /// How much it is, in the unit of its kind: seconds, octets, days, percent or a number of senders; none where nothing is measured.
    pub value: Option<f64>,
    /// What it should not pass, in the same unit.
    pub limit: Option<f64>,
    /// Since when.
    pub began: String,
    /// Until when; none while it is active.
    pub ended: Option<String>,
    /// Who has acknowledged it; nobody is reminded of it then.
    pub acknowledged_by: Option<String>,
    /// Since when.
    pub acknowledged: Option<String>,
}

/// Who is told of alerts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaysDocument {
    /// The addresses that are written to of what concerns the relay, and of lists that have no addresses of their own.
    pub addresses: Vec<String>,
    /// The webhook; none where there is none.
    pub webhook: Option<WebhookDocument>,
}

/// The webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookDocument {
    /// Scheme and host of its address.
    #[schema(example = "https://hooks.example.com/…")]
    pub url: String,
    /// Whether what it is told is signed.
    pub signed: bool,
    /// Since when it takes nothing; none while it does.
    pub failing_since: Option<String>,
    /// Why.
    pub error: Option<String>,
}

/// Alerts, and who is told of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertsDocument {
    /// Active ones, the worst first; then ended ones, the latest first. There are never more than a few hundred.
    pub alerts: Vec<AlertDocument>,
    /// Who is told.
    pub told: WaysDocument,
}

/// What came of telling everybody something that is no alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TriedDocument {
    /// The addresses for which a letter is queued.
    pub queued_for: Vec<String>,
    /// Why there is no letter; none where there is one, or nobody to write to.
    pub mail_error: Option<String>,
    /// Whether the webhook has taken it; none where there is none.
    pub webhook_taken: Option<bool>,
    /// Why it has not.
    pub webhook_error: Option<String>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AlertsQuery {
    /// Only active ones, or only ended ones.
    pub(super) state: Option<AlertStateName>,
}

impl From<&Alert> for AlertDocument {
    fn from(alert: &Alert) -> Self {
        let condition = &alert.condition;
        let known = alert.acknowledged.as_ref();
        Self {
            id: alert.id,
            kind: condition.kind.into(),
            subject: condition.subject.clone(),
            list: condition.list.clone(),
            severity: match condition.severity {
                Severity::Warning => AlertSeverity::Warning,
                Severity::Critical => AlertSeverity::Critical,
            },
            state: match alert.state() {
                AlertState::Active => AlertStateName::Active,
                AlertState::Ended => AlertStateName::Ended,
            },
            text: condition.text.clone(),
            value: condition.value,
            limit: condition.limit,
            began: alert.began.to_string(),
            ended: alert.ended.map(|ended| ended.to_string()),
            acknowledged_by: known.map(|known| known.by.clone()),
            acknowledged: known.map(|known| known.at.to_string()),
        }
    }
}

impl AlertKind {
    /// Its name in every interface.
    pub fn name(self) -> &'static str {
        let mut all = Kind::ALL.into_iter();
        let kind = all.find(|kind| AlertKind::from(*kind) == self);
        kind.map_or("", Kind::name)
    }
}

impl From<Kind> for AlertKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::NotReady => AlertKind::NotReady,
            Kind::VeryHighLate => AlertKind::VeryHighLate,
            Kind::DiskLow => AlertKind::DiskLow,
            Kind::BreakerOpen => AlertKind::BreakerOpen,
            Kind::NextHopDown => AlertKind::NextHopDown,
            Kind::CertificateExpiring => AlertKind::CertificateExpiring,
            Kind::BouncesHigh => AlertKind::BouncesHigh,
            Kind::SendersRefused => AlertKind::SendersRefused,
        }
    }
}

impl From<Ways> for WaysDocument {
    fn from(ways: Ways) -> Self {
        Self {
            addresses: ways.addresses,
            webhook: ways.webhook.map(|webhook| {
                let (since, error) = webhook.failing.unzip();
                WebhookDocument {
                    url: webhook.url,
                    signed: webhook.is_signed,
                    failing_since: since.map(|since| since.to_string()),
                    error,
                }
            }),
        }
    }
}

impl From<Tried> for TriedDocument {
    fn from(tried: Tried) -> Self {
        let (queued_for, mail_error) = match tried.mail {
            None => (Vec::new(), None),
            Some(Ok(addresses)) => (addresses, None),
            Some(Err(error)) => (Vec::new(), Some(error)),
        };
        Self {
            queued_for,
            mail_error,
            webhook_taken: tried.webhook.as_ref().map(Result::is_ok),
            webhook_error: tried.webhook.and_then(Result::err),
        }
    }
}

/// Lists alerts: active ones, the worst first, then those that ended lately.
#[utoipa::path(get, path = "/api/v1/alerts", operation_id = "list_alerts", tag = "alerts",
    params(AlertsQuery),
    security(("token" = ["read"])),
    responses((status = 200, description = "The alerts.", body = AlertsDocument), Refused))]
pub(super) async fn list(
    _: Reader,
    QueryString(query): QueryString<AlertsQuery>,
    State(api): State<Arc<Api>>,
) -> axum::Json<AlertsDocument> {
    axum::Json(shown(&api, query))
}

/// What is asked for.
pub(super) fn shown(api: &Api, query: AlertsQuery) -> AlertsDocument {
    let alerts = api.alerts.alerts().into_iter();
    let (mut active, mut ended): (Vec<_>, Vec<_>) = alerts.partition(|alert| alert.ended.is_none());
    active.sort_by_key(|alert| (alert.condition.kind, alert.began, alert.id));
    ended.sort_by_key(|alert| (Reverse(alert.ended), alert.id));
    let documents = active.iter().chain(&ended).map(AlertDocument::from);
    AlertsDocument {
        alerts: documents
            .filter(|alert| query.state.is_none_or(|state| alert.state == state))
            .collect(),
        told: api.alerts.ways().into(),
    }
}

/// Acknowledges an alert: nobody is reminded of it by mail or webhook. Its end is told all the same.
#[utoipa::path(post, path = "/api/v1/alerts/{alert}/acknowledge", operation_id = "acknowledge_alert", tag = "alerts",
    params(("alert" = String, Path, description = "The number of the alert.", example = "1"), KeyHeader),
    security(("token" = ["operate"])),
    responses((status = 200, description = "The alert.", body = AlertDocument), Refused, Missing))]
pub(super) async fn acknowledge(
    Operator(caller): Operator,
    deed: Deed,
    _: NoQuery,
    State(api): State<Arc<Api>>,
    Segment(id): Segment,
) -> Result<axum::Json<AlertDocument>, Problem> {
    deed.note(|noted| noted.action = Some("acknowledge-alert"));
    acknowledged(&api, &deed, &caller.name, &id)
        .await
        .map(axum::Json)
}

/// Acknowledges the alert of that number.
pub(super) async fn acknowledged(
    api: &Api,
    deed: &Deed,
    by: &str,
    id: &str,
) -> Result<AlertDocument, Problem> {
    let number = id.parse::<u64>().ok();
    let known = match number {
        Some(number) => api.alerts.acknowledge(number, by).await,
        None => None,
    };
    let Some(alert) = known else {
        return Err(Problem::new(
            ProblemKind::NotFound,
            "no alert of that number is active",
        ));
    };
    let condition = &alert.condition;
    let about = format!("{} {}", condition.kind, condition.subject);
    deed.note(|noted| noted.alert = Some(about.trim_end().to_owned()));
    Ok((&alert).into())
}

/// Tries out how alerts are told: queues a letter for the addresses and calls the webhook, and says what came of it.
#[utoipa::path(post, path = "/api/v1/alerts/test", operation_id = "test_alerts", tag = "alerts",
    params(KeyHeader),
    security(("token" = ["operate"])),
    responses((status = 200, description = "What came of it.", body = TriedDocument), Refused))]
pub(super) async fn test(
    _: Operator,
    deed: Deed,
    _: NoQuery,
    State(api): State<Arc<Api>>,
) -> axum::Json<TriedDocument> {
    deed.note(|noted| noted.action = Some("test-alerts"));
    axum::Json(api.alerts.try_out().await.into())
}
