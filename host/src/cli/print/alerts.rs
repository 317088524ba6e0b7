//! Alerts as people read them in a terminal.

use super::senders::line;
use crate::admin::alerts::{
    AlertDocument, AlertSeverity, AlertsDocument, TriedDocument, WebhookDocument,
};
use crate::cli::text::Table;

/// What goes on, and who is told.
pub(super) fn alerts(document: &AlertsDocument) -> String {
    let mut text = table(&document.alerts);
    let told = &document.told;
    let nobody = "nobody: [alerts] notify names addresses";
    let addresses = match told.addresses.is_empty() {
        true => nobody.to_owned(),
        false => told.addresses.join(", "),
    };
    line(&mut text, "");
    line(&mut text, &format!("told by mail     {addresses}"));
    let webhook = match &told.webhook {
        None => "nobody: [alerts] webhook names an address".to_owned(),
        Some(webhook) => standing(webhook),
    };
    line(&mut text, &format!("told by webhook  {webhook}"));
    text
}

/// Alerts, each with what is wrong below it.
pub(super) fn table(alerts: &[AlertDocument]) -> String {
    let mut table = Table::new(&[
        "NUMBER",
        "SINCE",
        "UNTIL",
        "SEVERITY",
        "KIND",
        "WHAT IS WRONG",
    ]);
    for alert in alerts {
        let known = alert.acknowledged_by.as_ref();
        let known = known.map(|by| format!(" (acknowledged by {by})"));
        table.row(vec![
            alert.id.to_string(),
            second(&alert.began),
            alert.ended.as_deref().map(second).unwrap_or_default(),
            match alert.severity {
                AlertSeverity::Critical => "critical",
                AlertSeverity::Warning => "warning",
            }
            .to_owned(),
            alert.kind.name().to_owned(),
            format!("{}{}", alert.text, known.unwrap_or_default()),
        ]);
    }
    table.or("nothing is wrong")
}

/// What came of a test.
pub(super) fn tried(tried: &TriedDocument) -> String {
    let mut text = String::new();
    let mail = match (&tried.mail_error, tried.queued_for.as_slice()) {
        (Some(error), _) => format!("no letter could be queued: {error}"),
        (None, []) => "nobody is told by mail".to_owned(),
        (None, addresses) => format!("a letter is queued for {}", addresses.join(", ")),
    };
    line(&mut text, &mail);
    let webhook = match (&tried.webhook_error, tried.webhook_taken) {
        (Some(error), _) => format!("the webhook has not taken it: {error}"),
        (None, None) => "nobody is told by webhook".to_owned(),
        (None, Some(_)) => "the webhook has taken it".to_owned(),
    };
    line(&mut text, &webhook);
    text
}

fn standing(webhook: &WebhookDocument) -> String {
    let signed = if webhook.signed {
        "signed"
    } else {
        "not signed"
    };
    match (&webhook.failing_since, &webhook.error) {
        (Some(since), Some(error)) => {
            format!(
                "{} ({signed}), takes nothing since {}: {error}",
                webhook.url,
                second(since)
            )
        }
        _ => format!("{} ({signed})", webhook.url),
    }
}

/// A time, to the second.
fn second(at: &str) -> String {
    match at.get(..19) {
        Some(second) => format!("{second}Z"),
        None => at.to_owned(),
    }
}
