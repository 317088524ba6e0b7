//! How the relay does: since when it runs, whether it is ready, its disk and certificate, and what it runs with.

use axum::extract::State;
use maud::{Markup, html};

use super::parts as ways;
use crate::account::Scope;
use crate::admin::connection::Certificate;
use crate::admin::console::layout::{self, Frame};
use crate::admin::console::parts;
use crate::admin::console::refusal::{OrPage as _, Shown, go_to};
use crate::admin::console::session::Notice;
use crate::admin::console::texts::Texts;
use crate::admin::console::visit::{Submitted, Visitor};
use crate::admin::extract::{NoBody, NoQuery};
use crate::admin::reload;
use crate::admin::system::{self, CertificateDocument, DiskDocument, SystemDocument};
use axum::response::Response;

/// From so many days before its end on a certificate is warned about: authorities renew a month before.
const CERTIFICATE_DAYS_MIN: u64 = 14;
/// A disk with less than this part of it free is warned about.
const DISK_FREE_PERCENT_MIN: u64 = 10;

pub(in crate::admin::console::pages) async fn show(visitor: Visitor) -> Markup {
    let state = State(visitor.api.clone());
    let axum::Json(system) = system::show(visitor.reader(), NoQuery, state).await;
    let texts = visitor.texts;
    let body = html! {
        (ways(&visitor))
        (health(texts, &system))
        dl.facts {
            dt { (texts.say("system-version")) } dd { (system.version) }
            dt { (texts.say("system-host")) } dd { (system.hostname) }
            dt { (texts.say("system-started")) } dd { (parts::time(&system.started)) }
            dt { (texts.say("system-uptime")) } dd { (parts::duration(system.uptime_seconds)) }
            @if let Some(disk) = &system.disk { dt { (texts.say("system-disk")) } dd { (disk_of(texts, disk)) } }
        }
        @if let Some(certificate) = &system.certificate { (certificate_of(texts, certificate)) }
        @if visitor.may(Scope::Admin) { (configuration(&visitor, &system)) }
    };
    layout::page(&visitor, &Frame::new(texts.say("nav-system")), &body)
}

fn health(texts: &'static Texts, system: &SystemDocument) -> Markup {
    html! {
        @if system.ready { div.notice.done role="status" { p { (texts.say("system-ready")) } } }
        @for reason in &system.reasons {
            div.notice.failed role="alert" { p { (reason.part) ": " (reason.reason) } }
        }
    }
}

fn disk_of(texts: &'static Texts, disk: &DiskDocument) -> Markup {
    let used = disk.total_octets.saturating_sub(disk.free_octets);
    let is_low = disk.free_octets.saturating_mul(100)
        < disk.total_octets.saturating_mul(DISK_FREE_PERCENT_MIN);
    let (free, total) = (
        parts::octets(disk.free_octets),
        parts::octets(disk.total_octets),
    );
    let values = [("free", (&free).into()), ("total", (&total).into())];
    html! {
        progress max=(disk.total_octets.max(1)) value=(used) aria-label=(texts.say("system-disk-used")) {}
        " "
        span.warn[is_low] { (texts.with("system-disk-free", &values)) }
    }
}

fn certificate_of(texts: &'static Texts, certificate: &CertificateDocument) -> Markup {
    let source = match certificate.source {
        Certificate::SelfSigned => texts.say("certificate-self-signed"),
        Certificate::Configured => texts.say("certificate-configured"),
    };
    let is_near = certificate.days_left < CERTIFICATE_DAYS_MIN;
    html! {
        h2 { (texts.say("system-certificate")) }
        dl.facts {
            dt { (texts.say("certificate-source")) } dd { (source) }
            dt { (texts.say("certificate-names")) } dd { (certificate.names.join(", ")) }
            dt { (texts.say("certificate-issuer")) } dd { (certificate.issuer) }
            dt { (texts.say("certificate-until")) }
            dd {
                (parts::time(&certificate.not_after)) " "
                span.warn[is_near] { (texts.with("certificate-days", &[("days", certificate.days_left.into())])) }
            }
        }
    }
}

fn configuration(visitor: &Visitor, system: &SystemDocument) -> Markup {
    let texts = visitor.texts;
    html! {
        h2 { (texts.say("system-configuration")) }
        @match &system.configuration {
            Some(text) => pre tabindex="0" aria-label=(texts.say("system-configuration")) { code { (text) } },
            None => p { (texts.say("system-no-configuration")) },
        }
        div.actions {
            (parts::action(visitor, "/system/reload", &[], &texts.say("system-reload"), false))
            a.button href="/system/backup" { (texts.say("system-backup")) }
        }
        p.hint { (texts.say("system-backup-hint")) }
    }
}

/// Reads the configuration file again.
pub(in crate::admin::console::pages) async fn reload(submitted: Submitted) -> Shown<Response> {
    let Submitted { visitor, deed, .. } = submitted;
    let caller = visitor.administrator().or_page(&visitor)?;
    let state = State(visitor.api.clone());
    let reloaded = reload::reload(caller, deed, NoQuery, state, NoBody).await;
    let axum::Json(reloaded) = reloaded.or_page(&visitor)?;
    let texts = visitor.texts;
    let changed = match reloaded.changed.as_slice() {
        [] => texts.say("system-reloaded-nothing"),
        changed => texts.with(
            "system-reloaded",
            &[("changed", (&changed.join(", ")).into())],
        ),
    };
    let mut notice = Notice::done(changed);
    if !reloaded.needs_restart.is_empty() {
        let keys = reloaded.needs_restart.join(", ");
        let values = [("keys", (&keys).into())];
        notice.text.push(' ');
        notice
            .text
            .push_str(&texts.with("system-restart-needed", &values));
    }
    visitor.tell(notice);
    Ok(go_to("/system"))
}

/// A backup, as the API makes it.
pub(in crate::admin::console::pages) async fn backup(
    visitor: Visitor,
    deed: crate::admin::audit::Deed,
) -> Shown<Response> {
    let caller = visitor.administrator().or_page(&visitor)?;
    let state = State(visitor.api.clone());
    let made = crate::admin::backup::make(caller, deed, NoQuery, state).await;
    made.or_page(&visitor)
}
