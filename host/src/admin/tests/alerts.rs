//! Alerts over HTTP: what is listed in which order, and what is acknowledged by whom.

use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;

use super::{NOW, Surface};
use crate::admin::Alerts;
use crate::admin::alerts::AlertKind;
use crate::alert::{Alert, Board, Condition, Kind, Severity, Tried, Ways, WebhookStanding};

/// Alerts that are always the same: one that is over and two that go on.
pub(crate) struct Fixed(Mutex<Board>);

impl Default for Fixed {
    fn default() -> Self {
        let mut board = Board::default();
        let wrong = |kind, subject: &str, severity| Condition {
            kind,
            subject: subject.to_owned(),
            list: None,
            severity,
            text: format!("Something is wrong with <b>{subject}</b>."),
            value: Some(1.5),
            limit: None,
        };
        let hop = || wrong(Kind::NextHopDown, "<i>hop", Severity::Warning);
        let disk = || wrong(Kind::DiskLow, "", Severity::Critical);
        let breaker = || wrong(Kind::BreakerOpen, "rules", Severity::Critical);
        let ago = |seconds| NOW.minus(Duration::from_secs(seconds));
        board.look(vec![breaker(), hop()], ago(900));
        board.look(vec![hop(), disk()], ago(600));
        Self(Mutex::new(board))
    }
}

impl Alerts for Fixed {
    fn alerts(&self) -> Vec<Alert> {
        self.0.lock().unwrap().alerts().to_vec()
    }

    fn worst(&self) -> Option<(Alert, usize)> {
        self.0.lock().unwrap().worst()
    }

    fn ways(&self) -> Ways {
        Ways {
            addresses: vec!["ops@a.example".to_owned()],
            webhook: Some(WebhookStanding {
                url: "https://hooks.example/…".to_owned(),
                is_signed: true,
                failing: Some((NOW, "hooks.example answered 503".to_owned())),
            }),
        }
    }

    fn acknowledge<'a>(
        &'a self,
        id: u64,
        by: &'a str,
    ) -> Pin<Box<dyn Future<Output = Option<Alert>> + Send + 'a>> {
        let known = self.0.lock().unwrap().acknowledge(id, by, NOW).cloned();
        Box::pin(async move { known })
    }

    fn try_out(&self) -> Pin<Box<dyn Future<Output = Tried> + Send + '_>> {
        Box::pin(async {
            Tried {
                mail: Some(Ok(vec!["ops@a.example".to_owned()])),
                webhook: Some(Err("hooks.example answered 503".to_owned())),
            }
        })
    }
}

fn listed(answer: &Value) -> Vec<(u64, &str, &str)> {
    let alerts = answer["alerts"].as_array().unwrap().iter();
    let shown = alerts.map(|alert| {
        let text = |key: &str| alert[key].as_str().unwrap();
        (alert["id"].as_u64().unwrap(), text("kind"), text("state"))
    });
    shown.collect()
}

#[tokio::test]
async fn what_goes_on_is_listed_first_and_the_worst_of_it() {
    let surface = Surface::start().await;
    let all = surface.get("/api/v1/alerts").await;
    let active = [(3, "disk-low", "active"), (2, "next-hop-down", "active")];
    let over = (1, "breaker-open", "ended");
    assert_eq!(listed(&all), [active[0], active[1], over]);
    assert_eq!(
        all["told"]["webhook"]["error"],
        "hooks.example answered 503"
    );
    let some = surface.get("/api/v1/alerts?state=active").await;
    assert_eq!(listed(&some), active);
    let some = surface.get("/api/v1/alerts?state=ended").await;
    assert_eq!(listed(&some), [over]);
    let wrong = surface.ask("GET /api/v1/alerts?state=gone", None).await;
    assert_eq!(
        (wrong.status, wrong.fields()),
        (422, vec!["state".to_owned()])
    );
}

#[tokio::test]
async fn somebody_who_operates_acknowledges_what_goes_on_and_the_audit_log_says_so() {
    let surface = Surface::start().await;
    let ask = |id: &str| format!("POST /api/v1/alerts/{id}/acknowledge");
    let answered = surface.call(&surface.read, &ask("3"), None).await;
    assert_eq!(answered.status, 403);
    let answered = surface.call(&surface.operate, &ask("3"), None).await;
    assert_eq!(answered.status, 200, "{}", answered.text);
    assert_eq!(answered.json()["acknowledged"], NOW.to_string());
    let by = answered.json()["acknowledged_by"].clone();
    for id in ["1", "9", "x", "-3"] {
        let answered = surface.call(&surface.operate, &ask(id), None).await;
        assert_eq!(answered.status, 404, "{id}");
    }
    let log = surface.get("/api/v1/audit?action=acknowledge-alert").await;
    let entry = &log["entries"][0];
    assert_eq!((&entry["by"], entry["status"].as_u64()), (&by, Some(200)));
    assert!(log.to_string().contains("disk-low"), "{log}");
}

#[tokio::test]
async fn telling_is_tried_out_and_what_came_of_it_is_said() {
    let surface = Surface::start().await;
    let tried = surface.ask("POST /api/v1/alerts/test", None).await.json();
    assert_eq!(tried["queued_for"][0], "ops@a.example");
    assert_eq!(tried["webhook_taken"], false);
    assert_eq!(tried["webhook_error"], "hooks.example answered 503");
}

#[test]
fn a_kind_has_the_same_name_in_documents_and_in_words() {
    for kind in Kind::ALL {
        let shown = AlertKind::from(kind);
        assert_eq!(shown.name(), kind.name());
        assert_eq!(serde_json::to_value(shown).unwrap(), kind.name());
    }
}
