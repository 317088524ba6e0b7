//! The section `[alerts]`: who is told of what is wrong, how often, and what is wrong.

use std::net::IpAddr;
use std::time::Duration;

use outpost_smtp::Mailbox;

use super::document::Section;
use super::values::{duration, durations, number, text, texts};
use crate::account::{Items, notification_addresses};
use crate::reception;
use crate::watch;
use crate::webhook::{self, Secret, Url};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// How alerts are found and told, and refused senders.
pub(super) fn alerts(root: &Section<'_, '_>) -> (watch::Settings, reception::NotificationSettings) {
    let section = root.section("alerts");
    let mut settings = watch::Settings::default();
    let mut notifications = reception::NotificationSettings::default();
    if let Some(addresses) = section.value("notify", texts(addresses)) {
        notifications.addresses.clone_from(&addresses);
        settings.addresses = addresses;
    }
    if let Some(every) = section.value("mail_every", duration(MINUTE, DAY)) {
        settings.mail_every = every;
    }
    if let Some(after) = section.value("remind_after", duration(MINUTE * 10, DAY * 365)) {
        settings.remind_after = after;
    }
    if let Some(every) = section.value("refused_senders_every", durations(SECOND, DAY * 7)) {
        notifications.intervals = every;
    }
    settings.webhook = webhook(&section);
    let bearable = &mut settings.thresholds;
    bearable.disk_free_octets_min = section.value("disk_free_bytes_min", number(0, 1 << 50));
    if let Some(left) = section.value("certificate_left_min", duration(Duration::ZERO, DAY * 365)) {
        bearable.certificate_left_min = left;
    }
    if let Some(after) = section.value("next_hop_down_after", duration(SECOND, DAY * 7)) {
        bearable.next_hop_down_after = after;
    }
    if let Some(percent) = section.value("bounced_percent_max", number(0, 100)) {
        bearable.bounced_percent_max = percent;
    }
    if let Some(recipients) = section.value("bounces_judged_min", number(1, 1_000_000)) {
        bearable.bounces_judged_min = recipients;
    }
    section.finish();
    (settings, notifications)
}

fn webhook(section: &Section<'_, '_>) -> Option<webhook::Settings> {
    let url = section.value("webhook", text(Url::read));
    let secret = section.value("webhook_secret", text(Secret::read));
    if section.has("webhook_secret") && !section.has("webhook") {
        section.mistake("webhook_secret", "needs `webhook` beside it");
    }
    let url = url?;
    let is_near = |host: &str| {
        let address = host.parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    };
    if !url.is_protected() && !is_near(url.host()) {
        let text = "alerts are sent in clear: whoever is on the way can read them, and tell others of his own where nothing \
                    is signed; name an address with https";
        section.note("webhook", text);
    }
    Some(webhook::Settings { url, secret })
}

fn addresses(text: &str) -> Result<Vec<Mailbox>, Vec<String>> {
    notification_addresses(&Items::from(text)).map_err(|problems| {
        let texts = problems.into_iter().map(|problem| problem.text);
        texts.collect()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::{parse, read_text};

    #[test]
    fn who_is_told_how_often_and_of_what_is_read() {
        let text = "[alerts]\nnotify = \"ops@a.example; x@b.example\"\nmail_every = \"1h\"\nremind_after = \"2d\"\n\
                    refused_senders_every = [\"1m\", \"1d\"]\nwebhook = \"https://a.example/hook\"\n\
                    webhook_secret = \"0123456789abcdef\"\ndisk_free_bytes_min = 1000\n\
                    certificate_left_min = \"7d\"\nnext_hop_down_after = \"1m\"\nbounced_percent_max = 5\n\
                    bounces_judged_min = 10\n";
        let config = parse(text).unwrap();
        let shown = format!("{:?} {:?}", config.alerts, config.notifications);
        for part in [
            "ops",
            "b.example",
            "mail_every: 3600s",
            "remind_after: 172800s",
            "intervals: [60s, 86400s]",
            "https://a.example/…",
            "Some(1000)",
            "certificate_left_min: 604800s",
            "next_hop_down_after: 60s",
            "bounced_percent_max: 5",
            "bounces_judged_min: 10",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(
            !shown.contains("0123456789") && !shown.contains("hook\""),
            "{shown}"
        );
        assert_eq!(config.notifications.addresses, config.alerts.addresses);
    }

    #[test]
    fn what_is_wrong_is_told_at_its_line() {
        for (text, wrong) in [
            ("notify = \"a.example\"", "line 2: alerts.notify: "),
            (
                "mail_every = \"1s\"",
                "line 2: alerts.mail_every: `1s` is outside 1m to 1d",
            ),
            (
                "webhook = \"a.example\"",
                "line 2: alerts.webhook: is not an address such as",
            ),
            (
                "webhook_secret = \"0123456789abcdef\"",
                "line 2: alerts.webhook_secret: needs `webhook` beside it",
            ),
            (
                "bounced_percent_max = 101",
                "line 2: alerts.bounced_percent_max: ",
            ),
            (
                "notfy = 1",
                "line 2: alerts.notfy: unknown key; did you mean `notify`?",
            ),
        ] {
            let mistakes = parse(&format!("[alerts]\n{text}\n")).unwrap_err();
            assert!(
                mistakes[0].to_string().starts_with(wrong),
                "{}",
                mistakes[0]
            );
            assert!(!mistakes[0].to_string().contains("0123456789"));
        }
        let notes = |url: &str| read_text(&format!("[alerts]\nwebhook = \"{url}\"\n")).notes;
        assert_eq!(notes("http://a.example/").len(), 1);
        assert!(notes("http://127.0.0.1:9/").is_empty() && notes("https://a.example/").is_empty());
    }
}
