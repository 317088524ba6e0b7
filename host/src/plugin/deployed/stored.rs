//! What is deployed as it stands in its file: JSON with the number of its form.
//!
//! A conversion of its own, so that the overlay can change without a stored file becoming unreadable, and the other way
//! round. What a newer release has written is refused, not half understood.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::settings::Wasi;
use super::overlay::{Deployment, Overlay, Overrides, Version};
use crate::message::Timestamp;
use crate::policy::OnFailure;

/// The form that this release writes, and the newest that it reads.
const FORM: u32 = 1;

/// What of a file is the same in every form.
#[derive(Deserialize)]
struct Form {
    form: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    form: u32,
    counter: u64,
    order: Vec<String>,
    components: Vec<Component>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Component {
    name: String,
    own: bool,
    enabled: bool,
    in_force: u32,
    versions: Vec<StoredVersion>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredVersion {
    number: u32,
    digest: String,
    octets: u64,
    at: String,
    by: String,
    note: String,
    before: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_failure: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wasi: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reuse: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    config: Option<BTreeMap<String, String>>,
}

/// Writes an overlay.
pub fn write(overlay: &Overlay) -> Vec<u8> {
    let document = Document {
        form: FORM,
        counter: overlay.counter,
        order: overlay.order.clone(),
        components: overlay.deployments.iter().map(Component::from).collect(),
    };
    let mut octets =
        serde_json::to_vec_pretty(&document).expect("texts, numbers and lists always serialize");
    octets.push(b'\n');
    octets
}

/// Reads an overlay.
///
/// # Errors
/// Why it is none, in words.
pub fn read(octets: &[u8]) -> Result<Overlay, String> {
    let damaged = |error: serde_json::Error| format!("it is damaged: {error}");
    let Form { form } = serde_json::from_slice(octets).map_err(damaged)?;
    if form > FORM {
        return Err(format!(
            "of form {form}, and this release reads forms up to {FORM}: use the release that wrote it or a newer one"
        ));
    }
    let document: Document = serde_json::from_slice(octets).map_err(damaged)?;
    let deployments = document.components.into_iter().map(deployment);
    let deployments: Result<Vec<_>, String> = deployments.collect();
    Ok(Overlay {
        counter: document.counter,
        order: document.order,
        deployments: deployments.map_err(|what| format!("it is damaged: {what}"))?,
    })
}

impl From<&Deployment> for Component {
    fn from(deployment: &Deployment) -> Self {
        Self {
            name: deployment.name.clone(),
            own: deployment.is_own,
            enabled: deployment.is_enabled,
            in_force: deployment.in_force,
            versions: deployment
                .versions
                .iter()
                .map(StoredVersion::from)
                .collect(),
        }
    }
}

impl From<&Version> for StoredVersion {
    fn from(version: &Version) -> Self {
        let settings = &version.settings;
        Self {
            number: version.number,
            digest: version.digest.clone(),
            octets: version.octets,
            at: version.at.to_string(),
            by: version.by.clone(),
            note: version.note.clone(),
            before: version.before,
            on_failure: settings.on_failure.map(|one| one.name().to_owned()),
            wasi: settings.wasi.map(|one| one.name().to_owned()),
            reuse: settings.transactions_max,
            config: settings.config.clone(),
        }
    }
}

fn deployment(component: Component) -> Result<Deployment, String> {
    let versions = component.versions.into_iter().map(version);
    let versions: Result<Vec<_>, String> = versions.collect();
    let deployment = Deployment {
        name: component.name,
        is_own: component.own,
        is_enabled: component.enabled,
        in_force: component.in_force,
        versions: versions?,
    };
    // What is an own one has no other place to come from.
    let needs_version = deployment.is_own || deployment.in_force > 0;
    if needs_version && deployment.version().is_none() {
        let Deployment { name, in_force, .. } = deployment;
        return Err(format!(
            "{name} has no version {in_force}, which is in force"
        ));
    }
    Ok(deployment)
}

fn version(version: StoredVersion) -> Result<Version, String> {
    let wrong = |what: &str, value: &str| format!("{value:?} is no {what}");
    let digest = version.digest;
    // It becomes the name of a file.
    if digest.len() != 64 || !digest.bytes().all(|octet| octet.is_ascii_hexdigit()) {
        return Err(wrong("digest", &digest));
    }
    let at = Timestamp::from_rfc3339(&version.at).ok_or_else(|| wrong("time", &version.at))?;
    let on_failure = version.on_failure.map(|name| {
        let known = OnFailure::named(&name);
        known.ok_or_else(|| wrong("meaning of a failure", &name))
    });
    let wasi = version.wasi.map(|name| {
        let known = Wasi::named(&name);
        known.ok_or_else(|| wrong("WASI", &name))
    });
    Ok(Version {
        number: version.number,
        digest,
        octets: version.octets,
        at,
        by: version.by,
        note: version.note,
        before: version.before,
        settings: Overrides {
            on_failure: on_failure.transpose()?,
            wasi: wasi.transpose()?,
            transactions_max: version.reuse,
            config: version.config,
        },
    })
}
