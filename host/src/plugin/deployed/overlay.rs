//! What was deployed at run time, as a value: which versions of which components there are, which are in
//! force, what is disabled, in which order all are asked.
//!
//! An overlay on the chain that the operator wrote into the configuration: it never repeats what stands
//! there, so a configuration that is read again counts, and what was deployed stays. Nothing here touches
//! a file; how an overlay changes is said in `change`.

use std::collections::BTreeMap;

use super::super::digest;
use super::super::settings::{ComponentSettings, Source, Wasi};
use super::super::status::ComponentStatus;
use crate::message::Timestamp;
use crate::policy::OnFailure;

/// The number of what the configuration says, where it names the component.
pub const CONFIGURED: u32 = 0;

/// All that was deployed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlay {
    /// Counts the changes.
    pub counter: u64,
    /// The order that was asked for; what it does not name keeps the place that it has by itself.
    pub order: Vec<String>,
    /// The components that were changed at run time, the one first that was first.
    pub deployments: Vec<Deployment>,
}

/// What was done to one component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// Its name.
    pub name: String,
    /// Whether it was deployed as one that the configuration does not name. What the configuration named and names no
    /// more is not asked.
    pub is_own: bool,
    /// Whether it is asked.
    pub is_enabled: bool,
    /// The number of the version in force; [`CONFIGURED`] for what the configuration says.
    pub in_force: u32,
    /// What was deployed, the oldest first.
    pub versions: Vec<Version>,
}

/// A component as it was deployed once, with the settings that came along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Counted from 1 for each component.
    pub number: u32,
    /// SHA-256 of the component, in hexadecimal; the name of its file.
    pub digest: String,
    /// Its size.
    pub octets: u64,
    /// When it was deployed.
    pub at: Timestamp,
    /// Who deployed it.
    pub by: String,
    /// What was said about it.
    pub note: String,
    /// The version that was in force before.
    pub before: u32,
    /// The settings that came along.
    pub settings: Overrides,
}

/// Settings of a version; what is none is as the configuration says, or the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// What its failure means.
    pub on_failure: Option<OnFailure>,
    /// Whether it is given WASI.
    pub wasi: Option<Wasi>,
    /// How many transactions one instance serves.
    pub transactions_max: Option<u32>,
    /// Its own settings, all of them.
    pub config: Option<BTreeMap<String, String>>,
}

/// A component that there is, asked or not.
#[derive(Clone, Debug)]
pub struct Member {
    /// How it would be loaded.
    pub settings: ComponentSettings,
    /// Whether the configuration names it.
    pub is_configured: bool,
    /// Whether it is asked.
    pub is_enabled: bool,
    /// The number of the version in force; [`CONFIGURED`] for what the configuration says.
    pub in_force: u32,
    /// What was deployed, the oldest first.
    pub versions: Vec<Version>,
    /// What can be said about one that is not asked; none when its file cannot be read.
    pub unasked: Option<Box<ComponentStatus>>,
}

/// All components at one moment.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Names this state: another one has another.
    pub revision: String,
    /// The components in the order in which they are asked.
    pub members: Vec<Member>,
    /// What was deployed for components that the configuration does not name any more.
    pub absent: Vec<Deployment>,
}

impl Overlay {
    /// What was done to the component of that name.
    pub fn deployment(&self, name: &str) -> Option<&Deployment> {
        self.deployments.iter().find(|one| one.name == name)
    }

    /// All components in the order in which they are asked, with those that are disabled. `file_of` says where the
    /// component of a digest is.
    pub fn members(
        &self,
        configured: &[ComponentSettings],
        file_of: impl Fn(&str) -> Source,
    ) -> Vec<Member> {
        let mut members: Vec<Member> = Vec::new();
        for settings in configured {
            members.push(self.member(settings, true, &file_of));
        }
        for own in self.deployments.iter().filter(|one| one.is_own) {
            if !members.iter().any(|one| one.settings.name == own.name) {
                // What is in force of it says where it comes from.
                let nowhere = ComponentSettings::shipped(&own.name);
                members.push(self.member(&nowhere, false, &file_of));
            }
        }
        self.sorted(members)
    }

    fn member(
        &self,
        settings: &ComponentSettings,
        is_configured: bool,
        file_of: impl Fn(&str) -> Source,
    ) -> Member {
        let deployment = self.deployment(&settings.name);
        let version = deployment.and_then(Deployment::version);
        Member {
            settings: match version {
                Some(version) => version.settings.over(settings, file_of(&version.digest)),
                None => settings.clone(),
            },
            is_configured,
            is_enabled: deployment.is_none_or(|one| one.is_enabled),
            in_force: version.map_or(CONFIGURED, |version| version.number),
            versions: deployment.map_or_else(Vec::new, |one| one.versions.clone()),
            unasked: None,
        }
    }

    /// In the order that was asked for. Of what that does not name, since it came later, a component of the
    /// configuration stands behind the one that it stands behind there, and any other at the end.
    fn sorted(&self, mut members: Vec<Member>) -> Vec<Member> {
        let is_there = |name: &str| members.iter().any(|one| one.settings.name == name);
        let mut order: Vec<String> = self.order.clone();
        order.retain(|name| is_there(name));
        let mut before: Option<&str> = None;
        for member in &members {
            let name = &member.settings.name;
            if !order.contains(name) {
                let place = match (member.is_configured, before) {
                    (false, _) => order.len(),
                    (true, None) => 0,
                    (true, Some(before)) => {
                        let before = order.iter().position(|one| one == before);
                        before.map_or(0, |before| before + 1)
                    }
                };
                order.insert(place, name.clone());
            }
            before = Some(name);
        }
        members.sort_by_key(|one| order.iter().position(|name| *name == one.settings.name));
        members
    }

    /// What was deployed for components that the configuration does not name any more.
    pub fn absent<'o>(
        &'o self,
        configured: &'o [ComponentSettings],
    ) -> impl Iterator<Item = &'o Deployment> {
        let is_configured = |name: &str| configured.iter().any(|one| one.name == name);
        let deployments = self.deployments.iter();
        deployments.filter(move |one| !one.is_own && !is_configured(&one.name))
    }

    /// The digests of all versions.
    pub fn digests(&self) -> impl Iterator<Item = &str> {
        let versions = self.deployments.iter().flat_map(|one| &one.versions);
        versions.map(|version| version.digest.as_str())
    }

    /// Names the state that this overlay makes of a configuration whose components have those digests.
    pub fn revision(&self, configured: &[ComponentSettings], digests: &[(&str, &str)]) -> String {
        let text = format!("{}\n{configured:?}\n{digests:?}", self.counter);
        digest::of_octets(text.as_bytes())[..REVISION_DIGITS].to_owned()
    }
}

/// Digits of a revision: two states of one relay never have the same by chance.
const REVISION_DIGITS: usize = 16;

impl Deployment {
    /// The version in force; none when that is what the configuration says.
    pub fn version(&self) -> Option<&Version> {
        self.numbered(self.in_force)
    }

    /// The version of that number.
    pub fn numbered(&self, number: u32) -> Option<&Version> {
        let mut versions = self.versions.iter();
        versions.find(|version| version.number == number)
    }
}

impl Overrides {
    /// The settings of a version whose component is at `source`, where the configuration says these.
    fn over(&self, settings: &ComponentSettings, source: Source) -> ComponentSettings {
        let settings = settings.clone();
        ComponentSettings {
            source,
            on_failure: self.on_failure.or(settings.on_failure),
            wasi: self.wasi.unwrap_or(settings.wasi),
            transactions_max: self.transactions_max.unwrap_or(settings.transactions_max),
            config: self.config.clone().unwrap_or(settings.config),
            ..settings
        }
    }

    /// These, and where they say nothing what another version said.
    pub fn or(self, other: &Self) -> Self {
        Self {
            on_failure: self.on_failure.or(other.on_failure),
            wasi: self.wasi.or(other.wasi),
            transactions_max: self.transactions_max.or(other.transactions_max),
            config: self.config.or_else(|| other.config.clone()),
        }
    }
}

impl Standing {
    /// How the components that are asked are loaded.
    pub fn chain(&self) -> Vec<ComponentSettings> {
        chain(&self.members)
    }

    /// The component of that name.
    pub fn member(&self, name: &str) -> Option<&Member> {
        let mut members = self.members.iter();
        members.find(|member| member.settings.name == name)
    }
}

/// How those that are asked are loaded.
pub fn chain(members: &[Member]) -> Vec<ComponentSettings> {
    let asked = members.iter().filter(|member| member.is_enabled);
    asked.map(|member| member.settings.clone()).collect()
}
