//! The sections of the file, one function each: which keys there are and what they become.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use outpost_smtp::Limits;

use super::Config;
use super::alerts::alerts;
use super::document::Section;
use super::filter::log_filter;
use super::places::Places;
use super::urgency;
use super::values::{duration, durations, list, number, plain, text, texts, truth};
use crate::admin;
use crate::auth;
use crate::delivery;
use crate::dns;
use crate::message::{HostPort, Pattern, Route, Routes, Senders, comparable_domain};
use crate::net;
use crate::net::PortSet;
use crate::plugin;
use crate::policy::OnFailure;
use crate::queue;
use crate::reception;
use crate::spool;
use crate::telemetry;
use crate::tls;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// More than a trace field has.
pub(super) const TRACE_OCTETS: u64 = 1 << 20;

/// Reads the whole file. Where something is wrong the default stands in, so that reading goes on.
pub(super) fn config(root: &Section<'_, '_>) -> Config {
    let mut places = Places::default();
    let hostname = root
        .value("hostname", text(host_name))
        .unwrap_or_else(machine_name);
    let data_dir = root
        .value("data_dir", plain)
        .map_or_else(|| PathBuf::from("outpost-data"), PathBuf::from);
    let shutdown_grace = root
        .value("shutdown_grace", duration(Duration::ZERO, DAY))
        .unwrap_or(SECOND * 30);

    let submission = root.section("submission");
    let listen = listen(&submission);
    let plaintext_auth = submission.value("plaintext_auth", truth).unwrap_or(false);
    let limits = limits(&submission);
    let content_octets_max = limits.content_octets_max;
    let reception = reception(&submission);
    submission.finish();

    let delivery_section = root.section("delivery");
    let (routes, smarthosts) = routes(&delivery_section, &mut places);
    let mut delivery = delivery(&delivery_section, &hostname);
    delivery.smarthosts = smarthosts;
    delivery.listens_on_mx_port = listen.ports.contains(delivery.mx_port);
    let mut queue = queue(&delivery_section, shutdown_grace);
    let gate = urgency::gate(&delivery_section);
    queue.classes = gate.classes;
    delivery_section.finish();

    let (alerts, notifications) = alerts(root);
    Config {
        file: None,
        as_read: None,
        tls: tls(root, &hostname, &data_dir),
        listen,
        plaintext_auth,
        limits,
        reception,
        routes,
        delivery,
        dns: dns(root),
        queue,
        gate,
        spool: spool(root, content_octets_max),
        auth: auth(root),
        plugin: plugin(root, &data_dir, &mut places),
        admin: admin(root),
        alerts,
        notifications,
        log: log(root),
        shutdown_grace,
        hostname,
        data_dir,
        places,
    }
}

fn listen(section: &Section<'_, '_>) -> net::Settings {
    let any = || {
        vec![
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        ]
    };
    let address = |text: &str| {
        text.parse::<IpAddr>()
            .map_err(|_| format!("`{text}` is not an IP address such as \"0.0.0.0\" or \"::\""))
    };
    let addresses = section.value("addresses", list(address));
    if addresses.as_ref().is_some_and(Vec::is_empty) {
        section.mistake("addresses", "at least one address is needed");
    }
    let ports = section.value("ports", texts(PortSet::read));
    let implicit_tls_ports = section.value("implicit_tls_ports", texts(PortSet::read));
    let read_both = (ports.is_some() || !section.has("ports"))
        && (implicit_tls_ports.is_some() || !section.has("implicit_tls_ports"));
    let ports = ports.unwrap_or_else(|| {
        [23..=23, 25..=26, 587..=587, 1025..=5000]
            .into_iter()
            .collect()
    });
    let implicit_tls_ports =
        implicit_tls_ports.unwrap_or_else(|| [465..=465].into_iter().collect());
    if read_both && let Some(port) = implicit_tls_ports.iter().find(|port| ports.contains(*port)) {
        section.mistake(
            "ports",
            format!("port {port} is in implicit_tls_ports too; it can be one of the two"),
        );
    }
    if read_both && ports.count() + implicit_tls_ports.count() == 0 {
        section.mistake(
            "ports",
            "at least one port is needed here or in implicit_tls_ports",
        );
    }
    net::Settings {
        addresses: addresses.map_or_else(any, once),
        ports,
        implicit_tls_ports,
        optional: section.value("optional", truth).unwrap_or(false),
    }
}

/// The addresses, each once, and none that "any" has along: its ports would be taken.
fn once(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let is_any = |ip: &IpAddr, of: &IpAddr| ip.is_unspecified() && ip.is_ipv4() == of.is_ipv4();
    let mut seen = HashSet::new();
    let mut once = addresses.clone();
    once.retain(|ip| {
        let is_along = !ip.is_unspecified() && addresses.iter().any(|other| is_any(other, ip));
        !is_along && seen.insert(*ip)
    });
    once
}

fn limits(section: &Section<'_, '_>) -> Limits {
    let mut limits = Limits::default();
    // RFC 5321 §4.5.3.1.7 asks for at least 64 KB; a test may want less. 2 GiB is what clients count to.
    if let Some(octets) = section.value("message_bytes_max", number(1_024, 1 << 31)) {
        limits.content_octets_max = octets;
    }
    // RFC 5321 §4.5.3.1.8: at least 100.
    if let Some(recipients) = section.value("recipients_max", number(100, 100_000)) {
        limits.recipients_max = u32::try_from(recipients).unwrap_or(u32::MAX);
    }
    // RFC 4865 §3, RFC 2852 §2: nine digits of seconds. A year is more than anybody plans mail ahead.
    if let Some(longest) = section.value("future_release_max", duration(Duration::ZERO, DAY * 366))
    {
        limits.future_release_max = longest;
    }
    if let Some(least) = section.value("deliver_by_min", duration(Duration::ZERO, DAY)) {
        limits.deliver_by_min = least;
    }
    limits
}

fn reception(section: &Section<'_, '_>) -> reception::Settings {
    let mut settings = reception::Settings::default();
    if let Some(connections) = section.value("connections_max", number(1, 1_000_000)) {
        settings.connections_max = usize::try_from(connections).unwrap_or(usize::MAX);
    }
    if let Some(connections) = section.value("connections_per_address_max", number(1, 1_000_000)) {
        settings.connections_per_address_max = usize::try_from(connections).unwrap_or(usize::MAX);
    }
    settings.mt_priority_field = section.value("mt_priority_field", truth).unwrap_or(false);
    settings
}

fn tls(root: &Section<'_, '_>, hostname: &str, data_dir: &Path) -> tls::Settings {
    let section = root.section("tls");
    let certificate = section.value("certificate", plain);
    let key = section.value("key", plain);
    if section.has("certificate") && !section.has("key") {
        section.mistake(
            "certificate",
            "needs `key` beside it: the file with the private key",
        );
    }
    if section.has("key") && !section.has("certificate") {
        section.mistake(
            "key",
            "needs `certificate` beside it: the file with the certificate chain",
        );
    }
    section.finish();
    match (certificate, key) {
        (Some(certificate), Some(key)) => tls::Settings::Configured {
            certificate: certificate.into(),
            key: key.into(),
        },
        _ => tls::Settings::SelfSigned {
            hostname: hostname.to_owned(),
            folder: data_dir.to_owned(),
        },
    }
}

type Smarthosts = HashMap<String, delivery::Smarthost>;

fn routes(section: &Section<'_, '_>, places: &mut Places) -> (Routes, Smarthosts) {
    let mut routes = Vec::new();
    let mut smarthosts = Smarthosts::new();
    for route in section.sections("route") {
        let recipients = route.value(
            "recipients",
            text(|text| match text.parse::<Pattern>() {
                Ok(pattern) => Ok(pattern),
                Err(error) if text.contains([',', ';', ' ']) => Err(format!(
                    "{error}; a route has one of these: write a [[delivery.route]] for each"
                )),
                Err(error) => Err(error.to_string()),
            }),
        );
        if !route.has("recipients") {
            route.mistake(
                "recipients",
                "is needed: \"*\", \"example.com\" or \"*.example.com\"",
            );
        }
        let senders = route
            .value(
                "senders",
                text(|text| text.parse::<Senders>().map_err(|error| error.to_string())),
            )
            .unwrap_or(Senders::Pattern(Pattern::Any));
        let list = route.value("list", text(list_name));
        let smarthost = route.value(
            "smarthost",
            text(|text| text.parse::<HostPort>().map_err(|error| error.to_string())),
        );
        if !route.has("smarthost") {
            route.mistake("smarthost", "is needed: \"host:port\"");
        }
        let login = login(&route);
        let tls = route.value("tls", text(tls_policy)).unwrap_or_default();
        if let Some(host) = &smarthost {
            let how = delivery::Smarthost {
                login,
                tls,
                is_this_relay: false,
            };
            let lane = host.to_string();
            if smarthosts.get(&lane).is_some_and(|other| *other != how) {
                route.mistake("smarthost", "stands in another route with another login or tls; one smarthost is spoken to in one way");
            }
            smarthosts.insert(lane, how);
            places
                .smarthosts
                .push((host.clone(), route.path().to_owned()));
        }
        if let (Some(recipients), Some(smarthost)) = (recipients, smarthost) {
            routes.push(Route {
                recipients,
                senders,
                list,
                smarthost,
            });
        }
        route.finish();
    }
    (Routes::new(routes), smarthosts)
}

/// Lists are made while the relay runs, so that one that is named here need not be there yet.
fn list_name(text: &str) -> Result<String, String> {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.is_empty() || !text.chars().all(is_letter) {
        Err(format!(
            "`{text}` is not the name of a list: letters, digits and . _ -"
        ))
    } else {
        Ok(text.to_owned())
    }
}

fn login(route: &Section<'_, '_>) -> Option<delivery::Login> {
    let user = route.value("user", plain);
    let password = route.value("password", plain);
    if route.has("user") && !route.has("password") {
        route.mistake("user", "needs `password` beside it");
    }
    if route.has("password") && !route.has("user") {
        route.mistake("password", "needs `user` beside it");
    }
    Some(delivery::Login {
        user: user?,
        password: password?,
    })
}

fn tls_policy(text: &str) -> Result<delivery::TlsPolicy, String> {
    match text {
        "opportunistic" => Ok(delivery::TlsPolicy::Opportunistic),
        "required" => Ok(delivery::TlsPolicy::Required),
        "none" => Ok(delivery::TlsPolicy::None),
        other => Err(format!(
            "`{other}` is not one of opportunistic, required, none"
        )),
    }
}

fn delivery(section: &Section<'_, '_>, hostname: &str) -> delivery::Settings {
    let mut settings = delivery::Settings {
        hostname: hostname.to_owned(),
        ..delivery::Settings::default()
    };
    if let Some(port) = section.value("mx_port", number(1, 65_535)) {
        settings.mx_port = u16::try_from(port).unwrap_or(25);
    }
    if let Some(most) = section.value("per_host_max", number(1, 100_000)) {
        settings.connections_per_host_max = usize::try_from(most).unwrap_or(usize::MAX);
    }
    if let Some(most) = section.value("messages_per_connection_max", number(1, 100_000)) {
        settings.transactions_per_connection_max = u32::try_from(most).unwrap_or(u32::MAX);
    }
    if let Some(within) = section.value("connect_timeout", duration(SECOND, SECOND * 300)) {
        settings.connect_time_max = within;
    }
    settings.mt_priority_tunnel = section.value("mt_priority_tunnel", truth).unwrap_or(false);
    settings
}

fn queue(section: &Section<'_, '_>, grace: Duration) -> queue::Settings {
    let mut settings = queue::Settings {
        stop_within: grace,
        ..queue::Settings::default()
    };
    let count = |key| {
        section
            .value(key, number(1, 100_000))
            .and_then(|count| usize::try_from(count).ok())
    };
    if let Some(most) = count("simultaneous_max") {
        settings.simultaneous_max = most;
    }
    if let Some(most) = count("per_next_hop_max") {
        settings.per_next_hop_max = most;
    }
    // Starts are told apart by milliseconds.
    if let Some(most) = section.value("per_next_hop_per_minute", number(0, 60_000)) {
        settings.per_next_hop_interval = match u32::try_from(most) {
            Ok(most @ 1..) => Duration::from_secs(60) / most,
            _ => Duration::ZERO,
        };
    }
    if let Some(retry) = section.value("retry", durations(SECOND, DAY)) {
        settings.retry = retry;
    }
    if let Some(after) = section.value("expire_after", duration(SECOND, DAY * 30)) {
        settings.expire_after = after;
    }
    if let Some(after) = section.value("delay_warning_after", duration(SECOND, DAY * 30)) {
        settings.delay_warning_after = after;
    }
    if let Some(objective) = section.value("very_high_objective", duration(SECOND / 1_000, DAY)) {
        settings.very_high_objective = objective;
    }
    settings
}

fn dns(root: &Section<'_, '_>) -> dns::Settings {
    let section = root.section("dns");
    let server = |text: &str| {
        let with_port = text.parse::<SocketAddr>().ok();
        let address = with_port
            .or_else(|| {
                text.parse::<IpAddr>()
                    .ok()
                    .map(|ip| SocketAddr::new(ip, 53))
            })
            .ok_or_else(|| format!("`{text}` is not an IP address, with or without a port"))?;
        match address.port() {
            0 => Err(format!("`{text}` has port 0, where nobody answers")),
            _ => Ok(address),
        }
    };
    let looks_odd = RefCell::new(Vec::new());
    let server = |text: &str| {
        let address = server(text)?;
        if seems_to_have_a_port(text) {
            looks_odd.borrow_mut().push(text.to_owned());
        }
        Ok(address)
    };
    let name_servers = section.value("servers", list(server)).unwrap_or_default();
    for text in looks_odd.take() {
        let note = format!(
            "has `{text}`, which is read as an address alone; with a port it is written \"[ADDRESS]:PORT\""
        );
        section.note("servers", note);
    }
    section.finish();
    dns::Settings {
        name_servers,
        ..dns::Settings::default()
    }
}

/// Whether an IPv6 address that ends like a port for DNS was perhaps meant as one with it.
fn seems_to_have_a_port(text: &str) -> bool {
    let address = text.strip_suffix(":53");
    address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
        && text.parse::<Ipv6Addr>().is_ok()
}

fn spool(root: &Section<'_, '_>, content_octets_max: u64) -> spool::Settings {
    let section = root.section("spool");
    let mut settings = spool::Settings::default();
    // A message of the largest size, and the trace field before it, have room.
    let least = content_octets_max.saturating_add(TRACE_OCTETS);
    settings.octets_in_flight_max = settings.octets_in_flight_max.max(least);
    if let Some(octets) = section.value("in_flight_bytes_max", number(1 << 20, 1 << 40)) {
        settings.octets_in_flight_max = octets;
    }
    if let Some(kept) = section.value("history", duration(Duration::ZERO, DAY * 365)) {
        settings.history_kept = kept;
    }
    if let Some(kept) = section.value("cancelled_kept", duration(Duration::ZERO, DAY * 365)) {
        settings.cancelled_kept = kept;
    }
    if let Some(records) = section.value("history_messages_max", number(0, 100_000_000)) {
        settings.history_records_max = records;
    }
    section.finish();
    settings
}

fn auth(root: &Section<'_, '_>) -> auth::Settings {
    let section = root.section("auth");
    let mut settings = auth::Settings::default();
    if let Some(remembered) = section.value("remember", duration(Duration::ZERO, DAY)) {
        settings.remembered_for = remembered;
    }
    if let Some(threads) = section.value("threads", number(1, 64)) {
        settings.threads = usize::try_from(threads).unwrap_or(1);
    }
    section.finish();
    settings
}

fn plugin(root: &Section<'_, '_>, data_dir: &Path, places: &mut Places) -> plugin::Settings {
    let mut settings = plugin::Settings::shipped(data_dir.join("components"));
    if !root.has("plugin") {
        return settings;
    }
    settings.chain.clear();
    for component in root.sections("plugin") {
        let name = component.value("name", text(component_name));
        if !component.has("name") {
            component.mistake(
                "name",
                "is needed: a component that ships, or a name of yours with `component` beside it",
            );
        }
        let file = component.value("component", plain);
        if let Some(name) = &name
            && !component.has("component")
            && !plugin::is_shipped(name)
        {
            component.mistake(
                "name",
                format!("`{name}` is not a component that ships; name its file with `component = \"….wasm\"`"),
            );
        }
        if let Some(name) = &name
            && settings.chain.iter().any(|other| other.name == *name)
        {
            component.mistake("name", format!("`{name}` stands in the chain twice"));
        }
        let on_failure = component.value("on_failure", text(on_failure));
        let wasi = component.value("wasi", text(wasi));
        let reuse = component.value("reuse", number(1, 1000));
        let keys = component.section("config").free_texts();
        let section = component.path().to_owned();
        component.finish();
        let Some(name) = name else { continue };
        places.components.push((name.clone(), section));
        let source = match file {
            Some(file) => plugin::Source::File(file.into()),
            None => plugin::Source::Shipped(name.clone()),
        };
        settings.chain.push(plugin::ComponentSettings {
            on_failure,
            config: keys.into_iter().collect(),
            wasi: wasi.unwrap_or_default(),
            transactions_max: reuse.and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
            ..plugin::ComponentSettings::new(&name, source)
        });
    }
    settings
}

fn component_name(text: &str) -> Result<String, String> {
    let plain = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
    if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is not a name of small letters, digits and hyphens (at most 64)"
        ))
    }
}

fn on_failure(text: &str) -> Result<OnFailure, String> {
    OnFailure::named(text).ok_or_else(|| format!("`{text}` is not one of defer, refuse, skip"))
}

fn wasi(text: &str) -> Result<plugin::Wasi, String> {
    match text {
        "empty" => Ok(plugin::Wasi::Empty),
        other => Err(format!(
            "`{other}` is not \"empty\", the only WASI there is; leave it out where there need be none"
        )),
    }
}

fn admin(root: &Section<'_, '_>) -> admin::Settings {
    let section = root.section("admin");
    let address = |text: &str| {
        text.parse::<SocketAddr>().map_err(|_| {
            format!("`{text}` is not an address and a port such as \"127.0.0.1:8025\"")
        })
    };
    let address = section.value("address", text(address));
    let protection = section.value("tls", text(protection));
    section.finish();
    let address = address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8025)));
    admin::Settings {
        address,
        protection: protection.unwrap_or_default(),
        limits: admin::Limits::default(),
    }
}

fn protection(text: &str) -> Result<admin::Protection, String> {
    match text {
        "required" => Ok(admin::Protection::Tls),
        "none" => Ok(admin::Protection::None),
        other => Err(format!("`{other}` is not one of required, none")),
    }
}

fn log(root: &Section<'_, '_>) -> telemetry::Settings {
    let section = root.section("log");
    let mut settings = telemetry::Settings::default();
    let format = |text: &str| match text {
        "human" => Ok(telemetry::LogFormat::Human),
        "json" => Ok(telemetry::LogFormat::Json),
        other => Err(format!("`{other}` is not one of human, json")),
    };
    if let Some(format) = section.value("format", text(format)) {
        settings.format = format;
    }
    if let Some(filter) = section.value("filter", text(log_filter)) {
        settings.filter = filter;
    }
    section.finish();
    settings
}

fn host_name(text: &str) -> Result<String, String> {
    let name = comparable_domain(text).map_err(|_| format!("`{text}` is not a host name"))?;
    if name.starts_with('[') || name.parse::<IpAddr>().is_ok() {
        Err(format!("`{text}` is an address, not a host name"))
    } else {
        Ok(name)
    }
}

/// The machine's own name; `localhost` where it has none that a mail server may use.
fn machine_name() -> String {
    // Asked of the kernel and not of /proc, which a service need not see.
    let system = rustix::system::uname();
    let name = system.nodename().to_str().ok();
    name.and_then(|name| host_name(name).ok())
        .unwrap_or_else(|| "localhost".to_owned())
}
