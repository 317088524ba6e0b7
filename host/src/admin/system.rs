//! The system over HTTP: what runs here, since when, on which disk, with which certificate and configuration.

use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::access::Reader;
use super::connection::Certificate;
use super::extract::NoQuery;
use super::health::{Reason, reasons};
use super::openapi::Refused;
use crate::account::Scope;
use crate::message::Timestamp;

/// What runs here, and how it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SystemDocument {
    /// The version of the relay.
    #[schema(example = "0.1.0")]
    pub version: String,
    /// The name of the relay.
    #[schema(example = "relay.example.com")]
    pub hostname: String,
    /// When it was started.
    pub started: String,
    /// Seconds since then.
    pub uptime_seconds: u64,
    /// Whether it can take mail.
    pub ready: bool,
    /// What is in the way; empty when it is ready.
    pub reasons: Vec<Reason>,
    /// The disk of the data folder; none when the system does not say.
    pub disk: Option<DiskDocument>,
    /// The certificate in force; none when it cannot be read.
    pub certificate: Option<CertificateDocument>,
    /// The configuration file as it is in force, with its secrets masked; none where there is no file, and for tokens of a
    /// smaller scope than admin.
    pub configuration: Option<String>,
}

/// The disk of the data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskDocument {
    /// Octets that the relay can still use.
    pub free_octets: u64,
    /// Octets of the whole file system.
    pub total_octets: u64,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateDocument {
    /// Where it comes from.
    pub source: Certificate,
    /// The names that it is for.
    pub names: Vec<String>,
    /// Who signed it.
    pub issuer: String,
    /// It is not valid before then.
    pub not_before: String,
    /// It is not valid after then.
    pub not_after: String,
    /// Whole days until then; 0 when it is over.
    pub days_left: u64,
}

/// Shows what runs here, and how it does.
#[utoipa::path(get, path = "/api/v1/system", operation_id = "show_system", tag = "system",
    security(("token" = ["read"])),
    responses((status = 200, description = "What runs here.", body = SystemDocument), Refused))]
pub(super) async fn show(
    Reader(caller): Reader,
    _: NoQuery,
    State(api): State<Arc<Api>>,
) -> axum::Json<SystemDocument> {
    let now = api.clock.now();
    let reasons = reasons(&api);
    let folder = api.backup.data_dir().to_owned();
    // A disk that hangs must not keep the runtime.
    let disk = tokio::task::spawn_blocking(move || disk_of(&folder)).await;
    let connection = api.connection.load();
    let configuration = caller
        .scope
        .covers(Scope::Admin)
        .then(|| api.backup.shown_configuration())
        .flatten();
    axum::Json(SystemDocument {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        hostname: connection.hostname.clone(),
        started: api.started.to_string(),
        uptime_seconds: now.since(api.started).as_secs(),
        ready: reasons.is_empty(),
        reasons,
        disk: disk.ok().flatten(),
        certificate: certificate(&api, connection.certificate, now),
        configuration,
    })
}

/// The disk that a folder is on; none when the system does not say. It may wait for the disk.
pub fn disk_of(folder: &Path) -> Option<DiskDocument> {
    let figures = rustix::fs::statvfs(folder).ok()?;
    Some(DiskDocument {
        free_octets: figures.f_bavail.saturating_mul(figures.f_frsize),
        total_octets: figures.f_blocks.saturating_mul(figures.f_frsize),
    })
}

fn certificate(api: &Api, source: Certificate, now: Timestamp) -> Option<CertificateDocument> {
    let facts = api.tls.certificate()?;
    Some(CertificateDocument {
        source,
        names: facts.names,
        issuer: facts.issuer,
        not_before: facts.not_before.to_string(),
        not_after: facts.not_after.to_string(),
        days_left: facts.not_after.since(now).as_secs() / 86_400,
    })
}
