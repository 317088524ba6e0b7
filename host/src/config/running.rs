//! A configuration beside a relay that runs: what of it can be put into force at once, what needs a
//! restart, and where the relay is that runs.
//!
//! Each setting is named here once. How it is put into force is the business of whoever assembles the relay.

use super::sections::TRACE_OCTETS;
use super::{Config, Mistake, Reading};
use crate::tls;
use crate::webhook;

/// The way from the configuration in force to the next one.
#[derive(Clone, Debug)]
pub struct Change {
    /// What can be in force without a restart: the next configuration, and from the one before it what
    /// needs a restart.
    pub config: Config,
    /// The keys and sections that differ and can change at once.
    pub changed: Vec<&'static str>,
    /// The keys that differ and need a restart.
    pub needs_restart: Vec<&'static str>,
}

/// Compares setting by setting.
#[derive(Default)]
struct Comparison {
    changed: Vec<&'static str>,
    needs_restart: Vec<&'static str>,
}

impl Comparison {
    /// Takes note of a setting that can change at once.
    fn changes<T: PartialEq>(&mut self, key: &'static str, before: &T, next: &T) {
        if before != next {
            self.changed.push(key);
        }
    }

    /// Keeps a setting that needs a restart.
    fn keeps<T: PartialEq + Clone>(&mut self, key: &'static str, before: &T, next: &mut T) {
        if before != next {
            self.needs_restart.push(key);
            next.clone_from(before);
        }
    }
}

impl Config {
    /// What becomes of this configuration, which is in force, when the relay is to go on with the next one.
    pub fn followed_by(&self, mut next: Config) -> Change {
        let mut compared = Comparison::default();
        let before = self;
        compared.keeps("hostname", &before.hostname, &mut next.hostname);
        compared.keeps("data_dir", &before.data_dir, &mut next.data_dir);
        compared.keeps(
            "shutdown_grace",
            &before.shutdown_grace,
            &mut next.shutdown_grace,
        );
        before.submission(&mut next, &mut compared);
        before.certificate(&mut next, &mut compared);
        before.delivery(&mut next, &mut compared);
        before.stores(&mut next, &mut compared);
        compared.changes("plugin", &before.plugin.chain, &next.plugin.chain);
        next.plugin.pool = before.plugin.pool;
        next.plugin.cache_dir.clone_from(&before.plugin.cache_dir);
        compared.keeps(
            "admin.address",
            &before.admin.address,
            &mut next.admin.address,
        );
        compared.keeps(
            "admin.tls",
            &before.admin.protection,
            &mut next.admin.protection,
        );
        next.admin.limits = before.admin.limits;
        before.alerts(&next, &mut compared);
        compared.keeps("log.format", &before.log.format, &mut next.log.format);
        compared.changes("log.filter", &before.log.filter, &next.log.filter);
        Change {
            config: next,
            changed: compared.changed,
            needs_restart: compared.needs_restart,
        }
    }

    fn submission(&self, next: &mut Config, compared: &mut Comparison) {
        let (before, listen) = (&self.listen, &mut next.listen);
        compared.keeps(
            "submission.addresses",
            &before.addresses,
            &mut listen.addresses,
        );
        compared.keeps("submission.ports", &before.ports, &mut listen.ports);
        compared.keeps(
            "submission.implicit_tls_ports",
            &before.implicit_tls_ports,
            &mut listen.implicit_tls_ports,
        );
        compared.keeps(
            "submission.optional",
            &before.optional,
            &mut listen.optional,
        );
        compared.changes(
            "submission.plaintext_auth",
            &self.plaintext_auth,
            &next.plaintext_auth,
        );
        let largest = &mut next.limits.content_octets_max;
        let most = self.spool.octets_in_flight_max.saturating_sub(TRACE_OCTETS);
        if *largest > most && next.spool.octets_in_flight_max > self.spool.octets_in_flight_max {
            // The spool, which goes on as it is, would never take such a message.
            let key = "submission.message_bytes_max";
            compared.keeps(key, &self.limits.content_octets_max, largest);
        }
        for (key, before, next) in [
            (
                "submission.message_bytes_max",
                self.limits.content_octets_max,
                next.limits.content_octets_max,
            ),
            (
                "submission.recipients_max",
                self.limits.recipients_max.into(),
                next.limits.recipients_max.into(),
            ),
        ] {
            compared.changes(key, &before, &next);
        }
        for (key, before, next) in [
            (
                "submission.future_release_max",
                self.limits.future_release_max,
                next.limits.future_release_max,
            ),
            (
                "submission.deliver_by_min",
                self.limits.deliver_by_min,
                next.limits.deliver_by_min,
            ),
        ] {
            compared.changes(key, &before, &next);
        }
        let (before, next) = (&self.reception, &mut next.reception);
        compared.keeps(
            "submission.mt_priority_field",
            &before.mt_priority_field,
            &mut next.mt_priority_field,
        );
        compared.changes(
            "submission.connections_max",
            &before.connections_max,
            &next.connections_max,
        );
        compared.changes(
            "submission.connections_per_address_max",
            &before.connections_per_address_max,
            &next.connections_per_address_max,
        );
    }

    /// Whether a file of the same name has another certificate now is not known here.
    fn certificate(&self, next: &mut Config, compared: &mut Comparison) {
        if let tls::Settings::SelfSigned { hostname, folder } = &mut next.tls {
            hostname.clone_from(&self.hostname);
            folder.clone_from(&self.data_dir);
        }
        compared.changes("tls", &self.tls, &next.tls);
    }

    fn delivery(&self, next: &mut Config, compared: &mut Comparison) {
        let (before, delivery) = (&self.delivery, &mut next.delivery);
        delivery.hostname.clone_from(&before.hostname);
        delivery.listens_on_mx_port = self.listen.ports.contains(delivery.mx_port);
        let are_same = self.routes == next.routes && before.smarthosts == delivery.smarthosts;
        compared.changes("delivery.route", &true, &are_same);
        compared.changes("delivery.mx_port", &before.mx_port, &delivery.mx_port);
        compared.changes(
            "delivery.mt_priority_tunnel",
            &before.mt_priority_tunnel,
            &delivery.mt_priority_tunnel,
        );
        compared.changes(
            "delivery.connect_timeout",
            &before.connect_time_max,
            &delivery.connect_time_max,
        );
        compared.changes(
            "delivery.per_host_max",
            &before.connections_per_host_max,
            &delivery.connections_per_host_max,
        );
        compared.changes(
            "delivery.messages_per_connection_max",
            &before.transactions_per_connection_max,
            &delivery.transactions_per_connection_max,
        );
        compared.changes("dns.servers", &self.dns, &next.dns);
        let (before, queue) = (&self.queue, &mut next.queue);
        queue.stop_within = before.stop_within;
        compared.changes("delivery.retry", &before.retry, &queue.retry);
        compared.changes(
            "delivery.expire_after",
            &before.expire_after,
            &queue.expire_after,
        );
        compared.changes(
            "delivery.delay_warning_after",
            &before.delay_warning_after,
            &queue.delay_warning_after,
        );
        compared.keeps(
            "delivery.simultaneous_max",
            &before.simultaneous_max,
            &mut queue.simultaneous_max,
        );
        compared.keeps(
            "delivery.per_next_hop_max",
            &before.per_next_hop_max,
            &mut queue.per_next_hop_max,
        );
        compared.keeps(
            "delivery.per_next_hop_per_minute",
            &before.per_next_hop_interval,
            &mut queue.per_next_hop_interval,
        );
        compared.keeps("delivery.class_shares", &before.classes, &mut queue.classes);
        compared.changes(
            "delivery.very_high_objective",
            &before.very_high_objective,
            &queue.very_high_objective,
        );
        let (before, gate) = (&self.gate, &mut next.gate);
        gate.classes = queue.classes;
        compared.changes(
            "delivery.capacity_bytes_per_second",
            &before.capacity,
            &gate.capacity,
        );
        compared.changes(
            "delivery.pause_ceiling",
            &before.pause_ceiling,
            &gate.pause_ceiling,
        );
        compared.changes(
            "delivery.pause_trickle_bytes_per_second",
            &before.trickle_octets,
            &gate.trickle_octets,
        );
    }

    fn alerts(&self, next: &Config, compared: &mut Comparison) {
        let (before, next_alerts) = (&self.alerts, &next.alerts);
        compared.changes("alerts.notify", &before.addresses, &next_alerts.addresses);
        for (key, before, next) in [
            (
                "alerts.mail_every",
                before.mail_every,
                next_alerts.mail_every,
            ),
            (
                "alerts.remind_after",
                before.remind_after,
                next_alerts.remind_after,
            ),
        ] {
            compared.changes(key, &before, &next);
        }
        let intervals = (&self.notifications.intervals, &next.notifications.intervals);
        compared.changes("alerts.refused_senders_every", intervals.0, intervals.1);
        let (before, next) = (before.webhook.as_ref(), next_alerts.webhook.as_ref());
        let url = |of: Option<&webhook::Settings>| of.map(|of| of.url.clone());
        compared.changes("alerts.webhook", &url(before), &url(next));
        let secret = |of: Option<&webhook::Settings>| of.and_then(|of| of.secret.clone());
        compared.changes("alerts.webhook_secret", &secret(before), &secret(next));
        let (before, next) = (&self.alerts.thresholds, &next_alerts.thresholds);
        let (key, octets) = ("alerts.disk_free_bytes_min", before.disk_free_octets_min);
        compared.changes(key, &octets, &next.disk_free_octets_min);
        for (key, before, next) in [
            (
                "alerts.certificate_left_min",
                before.certificate_left_min,
                next.certificate_left_min,
            ),
            (
                "alerts.next_hop_down_after",
                before.next_hop_down_after,
                next.next_hop_down_after,
            ),
        ] {
            compared.changes(key, &before, &next);
        }
        for (key, before, next) in [
            (
                "alerts.bounced_percent_max",
                before.bounced_percent_max,
                next.bounced_percent_max,
            ),
            (
                "alerts.bounces_judged_min",
                before.bounces_judged_min,
                next.bounces_judged_min,
            ),
        ] {
            compared.changes(key, &before, &next);
        }
    }

    fn stores(&self, next: &mut Config, compared: &mut Comparison) {
        let (before, spool) = (&self.spool, &mut next.spool);
        let key = "spool.in_flight_bytes_max";
        if self.places.has(key) || next.places.has(key) {
            let room = &mut spool.octets_in_flight_max;
            compared.keeps(key, &before.octets_in_flight_max, room);
        }
        compared.keeps(
            "spool.history",
            &before.history_kept,
            &mut spool.history_kept,
        );
        compared.keeps(
            "spool.cancelled_kept",
            &before.cancelled_kept,
            &mut spool.cancelled_kept,
        );
        compared.keeps(
            "spool.history_messages_max",
            &before.history_records_max,
            &mut spool.history_records_max,
        );
        spool.clone_from(before);
        let (before, auth) = (&self.auth, &mut next.auth);
        compared.keeps(
            "auth.remember",
            &before.remembered_for,
            &mut auth.remembered_for,
        );
        compared.keeps("auth.threads", &before.threads, &mut auth.threads);
    }
}

impl Reading {
    /// Whether nothing is wrong with what leads to the relay that runs: its admin address and data folder.
    pub fn tells_where_the_relay_is(&self) -> bool {
        let leads = |mistake: &Mistake| {
            let key = mistake.key.as_str();
            key.is_empty() || key == "data_dir" || key.starts_with("admin")
        };
        !self.mistakes.iter().any(leads)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::config::{Config, parse, read_text};

    const BEFORE: &str = "hostname = \"a.example\"\n";

    fn config(text: &str) -> Config {
        parse(&format!("{BEFORE}{text}")).unwrap()
    }

    /// A value other than the default for each key, and whether it can change at once.
    const OTHERS: [(&str, &str, bool); 40] = [
        ("data_dir", "data_dir = \"elsewhere\"", false),
        ("shutdown_grace", "shutdown_grace = \"1s\"", false),
        (
            "submission.addresses",
            "[submission]\naddresses = [\"127.0.0.1\"]",
            false,
        ),
        ("submission.ports", "[submission]\nports = \"2525\"", false),
        (
            "submission.implicit_tls_ports",
            "[submission]\nimplicit_tls_ports = \"\"",
            false,
        ),
        (
            "submission.optional",
            "[submission]\noptional = true",
            false,
        ),
        (
            "submission.plaintext_auth",
            "[submission]\nplaintext_auth = true",
            true,
        ),
        (
            "submission.message_bytes_max",
            "[submission]\nmessage_bytes_max = 2000",
            true,
        ),
        (
            "submission.message_bytes_max",
            "[submission]\nmessage_bytes_max = 1073741824",
            false,
        ),
        (
            "submission.recipients_max",
            "[submission]\nrecipients_max = 200",
            true,
        ),
        (
            "submission.future_release_max",
            "[submission]\nfuture_release_max = \"1h\"",
            true,
        ),
        (
            "submission.deliver_by_min",
            "[submission]\ndeliver_by_min = \"1m\"",
            true,
        ),
        (
            "submission.mt_priority_field",
            "[submission]\nmt_priority_field = true",
            false,
        ),
        (
            "delivery.mt_priority_tunnel",
            "[delivery]\nmt_priority_tunnel = true",
            true,
        ),
        (
            "submission.connections_max",
            "[submission]\nconnections_max = 7",
            true,
        ),
        (
            "submission.connections_per_address_max",
            "[submission]\nconnections_per_address_max = 7",
            true,
        ),
        ("tls", "[tls]\ncertificate = \"c\"\nkey = \"k\"", true),
        (
            "delivery.simultaneous_max",
            "[delivery]\nsimultaneous_max = 7",
            false,
        ),
        (
            "delivery.per_next_hop_max",
            "[delivery]\nper_next_hop_max = 7",
            false,
        ),
        (
            "delivery.per_next_hop_per_minute",
            "[delivery]\nper_next_hop_per_minute = 7",
            false,
        ),
        (
            "delivery.per_host_max",
            "[delivery]\nper_host_max = 7",
            true,
        ),
        (
            "delivery.messages_per_connection_max",
            "[delivery]\nmessages_per_connection_max = 7",
            true,
        ),
        ("delivery.retry", "[delivery]\nretry = [\"7s\"]", true),
        (
            "delivery.class_shares",
            "[delivery]\nclass_shares = \"strict\"",
            false,
        ),
        (
            "delivery.very_high_objective",
            "[delivery]\nvery_high_objective = \"7s\"",
            true,
        ),
        (
            "delivery.capacity_bytes_per_second",
            "[delivery]\ncapacity_bytes_per_second = 7",
            true,
        ),
        (
            "delivery.pause_ceiling",
            "[delivery]\npause_ceiling = \"7s\"",
            true,
        ),
        (
            "delivery.pause_trickle_bytes_per_second",
            "[delivery]\npause_trickle_bytes_per_second = 7",
            true,
        ),
        (
            "delivery.expire_after",
            "[delivery]\nexpire_after = \"7s\"",
            true,
        ),
        (
            "delivery.delay_warning_after",
            "[delivery]\ndelay_warning_after = \"7s\"",
            true,
        ),
        (
            "delivery.connect_timeout",
            "[delivery]\nconnect_timeout = \"7s\"",
            true,
        ),
        ("delivery.mx_port", "[delivery]\nmx_port = 2526", true),
        (
            "delivery.route",
            "[[delivery.route]]\nrecipients = \"*\"\nsmarthost = \"b.example:25\"",
            true,
        ),
        ("dns.servers", "[dns]\nservers = [\"127.0.0.1\"]", true),
        (
            "spool.in_flight_bytes_max",
            "[spool]\nin_flight_bytes_max = 104857600",
            false,
        ),
        ("spool.history", "[spool]\nhistory = \"7s\"", false),
        (
            "spool.cancelled_kept",
            "[spool]\ncancelled_kept = \"7s\"",
            false,
        ),
        (
            "spool.history_messages_max",
            "[spool]\nhistory_messages_max = 7",
            false,
        ),
        ("auth.remember", "[auth]\nremember = \"7s\"", false),
        ("auth.threads", "[auth]\nthreads = 7", false),
    ];
    const SIGNED: &str =
        "[alerts]\nwebhook = \"https://a.example/\"\nwebhook_secret = \"0123456789abcdef\"";
    const ALERTS: [(&str, &str, bool); 11] = [
        (
            "alerts.notify",
            "[alerts]\nnotify = \"ops@a.example\"",
            true,
        ),
        ("alerts.mail_every", "[alerts]\nmail_every = \"7m\"", true),
        (
            "alerts.remind_after",
            "[alerts]\nremind_after = \"7h\"",
            true,
        ),
        (
            "alerts.refused_senders_every",
            "[alerts]\nrefused_senders_every = [\"7s\"]",
            true,
        ),
        (
            "alerts.webhook",
            "[alerts]\nwebhook = \"https://a.example/\"",
            true,
        ),
        ("alerts.webhook_secret", SIGNED, true),
        (
            "alerts.disk_free_bytes_min",
            "[alerts]\ndisk_free_bytes_min = 7",
            true,
        ),
        (
            "alerts.certificate_left_min",
            "[alerts]\ncertificate_left_min = \"7d\"",
            true,
        ),
        (
            "alerts.next_hop_down_after",
            "[alerts]\nnext_hop_down_after = \"7m\"",
            true,
        ),
        (
            "alerts.bounced_percent_max",
            "[alerts]\nbounced_percent_max = 7",
            true,
        ),
        (
            "alerts.bounces_judged_min",
            "[alerts]\nbounces_judged_min = 7",
            true,
        ),
    ];
    const MORE: [(&str, &str, bool); 5] = [
        (
            "admin.address",
            "[admin]\naddress = \"127.0.0.2:8025\"",
            false,
        ),
        ("admin.tls", "[admin]\ntls = \"required\"", false),
        ("log.format", "[log]\nformat = \"json\"", false),
        ("log.filter", "[log]\nfilter = \"debug\"", true),
        ("plugin", "[[plugin]]\nname = \"authorized-senders\"", true),
    ];

    #[test]
    fn each_setting_changes_at_once_or_is_kept_and_named() {
        let before = config("");
        for (key, text, at_once) in OTHERS.into_iter().chain(ALERTS).chain(MORE) {
            let next = config(text);
            let before = match text == SIGNED {
                true => config("[alerts]\nwebhook = \"https://a.example/\""),
                false => before.clone(),
            };
            let change = before.followed_by(next.clone());
            let (changed, kept) = if at_once {
                (vec![key], vec![])
            } else {
                (vec![], vec![key])
            };
            assert_eq!(
                (change.changed, change.needs_restart),
                (changed, kept),
                "{text}"
            );
            let (next, before) = (format!("{next:?}"), format!("{before:?}"));
            // What is secret is not shown.
            assert!(next != before || text == SIGNED, "{text}");
            let expected = if at_once { next } else { before };
            assert_eq!(format!("{:?}", change.config), expected, "{text}");
        }
        let change = before.followed_by(parse("hostname = \"b.example\"").unwrap());
        assert_eq!(change.needs_restart, ["hostname"]);
        assert_eq!(format!("{:?}", change.config), format!("{before:?}"));
    }

    #[test]
    fn every_key_is_one_that_changes_or_is_kept() {
        for section in [
            "submission",
            "delivery",
            "dns",
            "spool",
            "auth",
            "admin",
            "alerts",
            "log",
        ] {
            let found = read_text(&format!("[{section}]\nzzz = 1\n")).mistakes;
            let known = found[0].text.split_once("known here: ").unwrap().1;
            for key in known.split(", ") {
                let key = format!("{section}.{key}");
                let mut named = OTHERS.iter().chain(&ALERTS).chain(&MORE);
                assert!(named.any(|(named, ..)| *named == key), "{key}");
            }
        }
    }

    #[test]
    fn a_restart_that_is_still_needed_is_named_again() {
        let next = config("[admin]\naddress = \"127.0.0.2:8025\"");
        let change = config("").followed_by(next.clone());
        assert_eq!(
            change.config.followed_by(next).needs_restart,
            ["admin.address"]
        );
    }

    #[test]
    fn a_relay_is_found_while_nothing_is_wrong_with_what_leads_to_it() {
        for (text, is_found) in [
            ("colour = 1", true),
            ("data_dir = 1", false),
            ("[admin]\naddress = 1", false),
            ("[submission", false),
        ] {
            let reading = read_text(text);
            assert!(!reading.mistakes.is_empty());
            assert_eq!(reading.tells_where_the_relay_is(), is_found, "{text}");
        }
    }
}
