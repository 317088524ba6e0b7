//! Alerts: active ones, those that ended lately, who is told, and whether that works.

use axum::response::Response;
use maud::{Markup, html};

use crate::account::Scope;
use crate::admin::alerts::{
    self, AlertDocument, AlertKind, AlertSeverity, AlertStateName, AlertsDocument, AlertsQuery,
    TriedDocument, WaysDocument,
};
use crate::admin::console::layout::{self, Frame};
use crate::admin::console::parts;
use crate::admin::console::refusal::{OrPage as _, Shown, go_to};
use crate::admin::console::session::{Notice, Tone};
use crate::admin::console::texts::Texts;
use crate::admin::console::visit::{Submitted, Visitor};
use crate::admin::extract::{NoQuery, Segment};

const PATH: &str = "/alerts";
/// The form that the buttons of what changes by itself belong to: it has the token of the session, which what many see
/// cannot have.
const FORM: &str = "acknowledge";

pub(super) async fn show(visitor: Visitor, _: NoQuery) -> Shown {
    let texts = visitor.texts;
    let page = alerts::shown(&visitor.api, AlertsQuery::default());
    let may_act = visitor.may(Scope::Operate);
    let body = html! {
        p.lead { (texts.say("alerts-lead")) }
        @if may_act {
            form #(FORM) method="post" action=(PATH) { (parts::form_token(&visitor)) }
        }
        div.live hx-ext="sse" sse-connect="/live/alerts" sse-swap="alerts" { (rows(texts, may_act, &page)) }
        h2 { (texts.say("alerts-told")) }
        (ways(texts, &page.told))
        @if may_act { (parts::action(&visitor, "/alerts/test", &[], &texts.say("alerts-test"), false)) }
    };
    let frame = Frame::new(texts.say("nav-alerts"));
    Ok(layout::page(&visitor, &frame, &body))
}

/// What changes by itself.
pub(in crate::admin::console) fn rows(
    texts: &'static Texts,
    may_act: bool,
    page: &AlertsDocument,
) -> Markup {
    let (active, ended): (Vec<_>, Vec<_>) = page
        .alerts
        .iter()
        .partition(|alert| alert.state == AlertStateName::Active);
    html! {
        h2 { (texts.say("alerts-active")) }
        @if active.is_empty() { p.empty { (texts.say("alerts-none")) } }
        @else { ul.alerts { @for alert in active { li { (one(texts, may_act, alert)) } } } }
        @if !ended.is_empty() {
            h2 { (texts.say("alerts-ended")) }
            ul.alerts.ended { @for alert in ended { li { (one(texts, false, alert)) } } }
        }
    }
}

fn one(texts: &'static Texts, may_act: bool, alert: &AlertDocument) -> Markup {
    let (mark, severity) = match alert.severity {
        AlertSeverity::Critical => ("bad", "alert-critical"),
        AlertSeverity::Warning => ("warn", "alert-warning"),
    };
    let way = way_to(alert);
    html! {
        h3 {
            span.badge.(mark) { (texts.say(severity)) }
            " " (texts.say(&format!("alert-kind-{}", alert.kind.name())))
            @if !alert.subject.is_empty() { ": " bdi { (alert.subject) } }
        }
        p { (parts::told(&alert.text, None)) }
        p.small {
            @match &alert.ended {
                None => { (texts.say("alert-since")) " " (parts::time(&alert.began)) }
                Some(ended) => { (texts.say("alert-from")) " " (parts::time(&alert.began)) " " (texts.say("alert-until")) " " (parts::time(ended)) }
            }
            @if let Some(by) = &alert.acknowledged_by { " · " (texts.with("alert-known", &[("name", by.into())])) }
        }
        p.actions {
            @if let Some((path, key)) = way { a href=(path) { (texts.say(key)) } " " }
            @if may_act && alert.acknowledged_by.is_none() {
                button type="submit" form=(FORM) formaction=(format!("{PATH}/{}/acknowledge", alert.id)) { (texts.say("alert-acknowledge")) }
            }
        }
    }
}

/// Where something can be done about it.
fn way_to(alert: &AlertDocument) -> Option<(String, &'static str)> {
    let subject = alert.subject.as_str();
    Some(match alert.kind {
        AlertKind::NotReady | AlertKind::DiskLow | AlertKind::CertificateExpiring => {
            ("/system".to_owned(), "nav-system")
        }
        AlertKind::VeryHighLate => {
            let path = parts::with_query("/queue", [("class", "1")]);
            (path, "nav-queue")
        }
        AlertKind::BreakerOpen => ("/policies".to_owned(), "nav-policies"),
        // The queue is filtered by the domain of recipients; what goes to a smarthost may be for any.
        AlertKind::NextHopDown if subject.contains(['(', ' ']) => {
            ("/queue".to_owned(), "nav-queue")
        }
        AlertKind::NextHopDown => {
            let path = parts::with_query("/queue", [("domain", subject)]);
            (path, "nav-queue")
        }
        AlertKind::BouncesHigh => {
            let path = parts::with_query("/statistics", [("list", subject)]);
            (path, "nav-statistics")
        }
        AlertKind::SendersRefused => ("/refused".to_owned(), "nav-refused"),
    })
}

fn ways(texts: &'static Texts, told: &WaysDocument) -> Markup {
    html! {
        dl.facts {
            dt { (texts.say("alerts-mail")) }
            dd {
                @if told.addresses.is_empty() { (texts.say("alerts-mail-none")) }
                @for address in &told.addresses { div { (address) } }
            }
            dt { (texts.say("alerts-webhook")) }
            dd {
                @match &told.webhook {
                    None => (texts.say("alerts-webhook-none")),
                    Some(webhook) => {
                        div {
                            (webhook.url) " "
                            @if webhook.signed { (texts.say("alerts-signed")) } @else { (texts.say("alerts-unsigned")) }
                        }
                        @if let (Some(since), Some(error)) = (&webhook.failing_since, &webhook.error) {
                            div.problem { (texts.say("alerts-failing")) " " (parts::time(since)) ": " (error) }
                        }
                    }
                }
            }
        }
        p.hint { (texts.say("alerts-told-hint")) }
    }
}

pub(super) async fn acknowledge(Segment(id): Segment, submitted: Submitted) -> Shown<Response> {
    let Submitted { visitor, deed, .. } = submitted;
    let caller = visitor.operator().or_page(&visitor)?;
    deed.note(|noted| noted.action = Some("acknowledge-alert"));
    let known = alerts::acknowledged(&visitor.api, &deed, &caller.0.name, &id).await;
    let notice = match known {
        Ok(_) => Notice::done(visitor.texts.say("alert-acknowledged")),
        // It is over meanwhile.
        Err(problem) if problem.status == 404 => Notice::new(Tone::Warning, problem.detail),
        Err(problem) => return Err(problem).or_page(&visitor),
    };
    visitor.tell(notice);
    Ok(go_to(PATH))
}

pub(super) async fn test(submitted: Submitted) -> Shown<Response> {
    let Submitted { visitor, deed, .. } = submitted;
    visitor.operator().or_page(&visitor)?;
    deed.note(|noted| noted.action = Some("test-alerts"));
    let tried = TriedDocument::from(visitor.api.alerts.try_out().await);
    let texts = visitor.texts;
    let mut said = Vec::new();
    if !tried.queued_for.is_empty() {
        let addresses = tried.queued_for.join(", ");
        said.push(texts.with("alerts-tested-mail", &[("addresses", (&addresses).into())]));
    }
    if tried.webhook_taken == Some(true) {
        said.push(texts.say("alerts-tested-webhook"));
    }
    let failed: Vec<String> = tried
        .mail_error
        .into_iter()
        .chain(tried.webhook_error)
        .collect();
    if said.is_empty() && failed.is_empty() {
        said.push(texts.say("alerts-tested-nobody"));
    }
    let is_told = !tried.queued_for.is_empty() || tried.webhook_taken == Some(true);
    let tone = match is_told && failed.is_empty() {
        true => Tone::Done,
        false => Tone::Warning,
    };
    said.extend(failed);
    visitor.tell(Notice::new(tone, said.join(" ")));
    Ok(go_to(PATH))
}

/// What every page says while a critical alert is active that nobody has acknowledged.
pub(in crate::admin::console) fn banner(visitor: &Visitor) -> Markup {
    let here = visitor.path.split('?').next().unwrap_or_default();
    let Some((worst, count)) = visitor.api.alerts.worst().filter(|_| here != PATH) else {
        return html! {};
    };
    let texts = visitor.texts;
    html! {
        div.notice.failed {
            p { (worst.condition.text) }
            p { a href=(PATH) { (texts.with("alerts-count", &[("count", count.into())])) } }
        }
    }
}
