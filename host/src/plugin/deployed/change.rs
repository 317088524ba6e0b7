//! How what is deployed changes: one change makes of one overlay the next one, or is refused in words.
//!
//! Arithmetic only: whether the components load is asked elsewhere.

use super::overlay::{CONFIGURED, Deployment, Overlay, Overrides, Version};
use crate::message::Timestamp;

/// Components that can be deployed or changed at run time: as many as a chain has.
const DEPLOYMENTS_MAX: usize = 32;
/// Versions that are kept of one component: what was wrong is noticed within a few.
const VERSIONS_MAX: usize = 10;
/// Versions that are kept of all, each of them a file of up to 32 MiB. A backup has all of them open at once. Half of
/// them may be in force.
const VERSIONS_OF_ALL_MAX: usize = 64;
/// Octets of all versions that are kept, unless more are in force.
const OCTETS_OF_ALL_MAX: u64 = 1 << 30;
/// The shortest beginning of a digest that names a version.
const DIGEST_DIGITS_MIN: usize = 8;
/// What has a place of its own among the paths of the API.
const RESERVED: [&str; 1] = ["order"];

/// What is to become different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A component comes into force, in the place of the one of that name or as a new one.
    Install(Install),
    /// A component is asked again.
    Enable(String),
    /// A component is not asked any more.
    Disable(String),
    /// Another version of a component comes into force.
    Rollback {
        /// The component.
        name: String,
        /// To which; none: the one that was in force before.
        to: Option<Wanted>,
    },
    /// All are asked in this order.
    Order(Vec<String>),
    /// All that was deployed under that name goes; where the configuration names it, what stands there is in force.
    Remove(String),
}

/// A component to come into force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Install {
    /// Its name.
    pub name: String,
    /// The component; whoever keeps it takes it from here.
    pub component: Vec<u8>,
    /// Its size.
    pub octets: u64,
    /// Its settings; those that are left out stay as they are.
    pub settings: Overrides,
    /// Its place among all, counted from 1; none: where it is, and a new one at the end.
    pub position: Option<usize>,
    /// What is said about it.
    pub note: String,
}

/// A version, named by whoever wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// By its digest, or the beginning of it.
    Digest(String),
    /// By its number.
    Number(u32),
}

/// Who changes something, and when.
#[derive(Clone, Copy, Debug)]
pub struct Author<'a> {
    /// Who.
    pub by: &'a str,
    /// When.
    pub at: Timestamp,
}

/// Why a change is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no component of that name.
    Unknown(String),
    /// What there is stands against it.
    Conflict(String),
    /// What was asked for has a mistake.
    Field(&'static str, String),
}

impl Change {
    /// The component that it is about; none when it is about all.
    pub fn name(&self) -> Option<&str> {
        match self {
            Change::Install(Install { name, .. })
            | Change::Enable(name)
            | Change::Disable(name)
            | Change::Rollback { name, .. }
            | Change::Remove(name) => Some(name),
            Change::Order(_) => None,
        }
    }
}

impl Overlay {
    /// What a change makes of it, `members` being the names of all components in their order and `is_configured`
    /// whether the configuration names one. The same when nothing changes; the counter is left alone.
    ///
    /// # Errors
    /// Why it is none.
    pub fn changed(
        &self,
        change: &Change,
        digest: &str,
        members: &[String],
        is_configured: impl Fn(&str) -> bool,
        author: Author<'_>,
    ) -> Result<Self, Refused> {
        let mut next = self.clone();
        let is_member = |name: &String| members.contains(name);
        match change {
            Change::Install(install) => {
                next.install(install, digest, members, is_configured, author)?;
            }
            Change::Enable(name) | Change::Disable(name) if is_member(name) => {
                let is_enabled = matches!(change, Change::Enable(_));
                if next.deployment(name).is_some_and(|one| !one.is_enabled) == is_enabled {
                    next.entry(name, false)?.is_enabled = is_enabled;
                    next.deployments.retain(|one| !one.says_nothing());
                }
            }
            Change::Rollback { name, to } if is_member(name) => {
                next.roll_back(name, to.as_ref(), is_configured(name))?;
            }
            Change::Order(order) => next.order = ordered(order, members)?,
            Change::Remove(name) => next.remove(name, is_member(name))?,
            Change::Enable(name) | Change::Disable(name) | Change::Rollback { name, .. } => {
                return Err(Refused::Unknown(name.clone()));
            }
        }
        Ok(next)
    }

    fn install(
        &mut self,
        install: &Install,
        digest: &str,
        members: &[String],
        is_configured: impl Fn(&str) -> bool,
        author: Author<'_>,
    ) -> Result<(), Refused> {
        let name = &install.name;
        if RESERVED.contains(&name.as_str()) {
            let text = "has a meaning in the paths of the API: give it another name".to_owned();
            return Err(Refused::Field("name", text));
        }
        let is_new = !members.contains(name);
        if let Some(position) = install.position {
            let last = members.len() + usize::from(is_new);
            if !(1..=last).contains(&position) {
                let text = format!("must be a place from 1 to {last}");
                return Err(Refused::Field("position", text));
            }
            let mut order: Vec<String> = members.to_vec();
            order.retain(|one| one != name);
            order.insert((position - 1).min(order.len()), name.clone());
            if order != members {
                self.order = order;
            }
        }
        let is_own = !is_configured(name);
        let deployment = self.entry(name, is_own)?;
        // The configuration named it once, and names it no more.
        deployment.is_own |= is_own;
        let before = deployment.version();
        let settings = match before {
            Some(before) => install.settings.clone().or(&before.settings),
            None => install.settings.clone(),
        };
        if before.is_some_and(|before| before.digest == digest && before.settings == settings) {
            return Ok(());
        }
        let numbers = deployment.versions.iter().map(|version| version.number);
        let number = numbers.max().unwrap_or(CONFIGURED).saturating_add(1);
        deployment.versions.push(Version {
            number,
            digest: digest.to_owned(),
            octets: install.octets,
            at: author.at,
            by: author.by.to_owned(),
            note: install.note.clone(),
            before: deployment.in_force,
            settings,
        });
        deployment.in_force = number;
        while deployment.versions.len() > VERSIONS_MAX {
            deployment.forget_oldest();
        }
        self.forget_oldest_of_all();
        Ok(())
    }

    /// What was done to a component; begins with nothing.
    fn entry(&mut self, name: &str, is_own: bool) -> Result<&mut Deployment, Refused> {
        let known = self.deployments.iter().position(|one| one.name == name);
        let at = match known {
            Some(at) => at,
            None if self.deployments.len() >= DEPLOYMENTS_MAX => {
                let text = format!(
                    "{DEPLOYMENTS_MAX} components are deployed or changed at run time, and no more at once: remove one first"
                );
                return Err(Refused::Conflict(text));
            }
            None => {
                self.deployments.push(Deployment {
                    name: name.to_owned(),
                    is_own,
                    is_enabled: true,
                    in_force: CONFIGURED,
                    versions: Vec::new(),
                });
                self.deployments.len() - 1
            }
        };
        Ok(&mut self.deployments[at])
    }

    fn roll_back(
        &mut self,
        name: &str,
        to: Option<&Wanted>,
        is_configured: bool,
    ) -> Result<(), Refused> {
        let mut deployments = self.deployments.iter_mut();
        let deployment = deployments.find(|one| one.name == name);
        let none_before = || {
            let text = format!("no version of {name} was in force before the one that is");
            Refused::Conflict(text)
        };
        let Some(deployment) = deployment else {
            return Err(none_before());
        };
        let is_there = |number: u32| match number {
            CONFIGURED => is_configured,
            number => deployment.numbered(number).is_some(),
        };
        let number = match to {
            None => match deployment.version() {
                Some(version) if is_there(version.before) => version.before,
                _ => return Err(none_before()),
            },
            Some(Wanted::Number(number)) if is_there(*number) => *number,
            Some(Wanted::Number(number)) => {
                let text = format!("{name} has no version {number}");
                return Err(Refused::Field("version", text));
            }
            Some(Wanted::Digest(digest)) => deployment.of_digest(digest)?,
        };
        deployment.in_force = number;
        Ok(())
    }

    fn remove(&mut self, name: &str, is_member: bool) -> Result<(), Refused> {
        match self.deployments.iter().position(|one| one.name == name) {
            Some(at) => {
                let gone = self.deployments.remove(at);
                if gone.is_own {
                    self.order.retain(|one| *one != gone.name);
                }
                Ok(())
            }
            None if is_member => Err(Refused::Conflict(format!(
                "{name} stands in the configuration, and nothing of it was changed at run time: disable it, or take \
                 it out there and reload"
            ))),
            None => Err(Refused::Unknown(name.to_owned())),
        }
    }

    /// Keeps what is kept of all within its bounds; what is in force stays.
    fn forget_oldest_of_all(&mut self) {
        loop {
            let versions = || self.deployments.iter().flat_map(|one| &one.versions);
            let octets: u64 = versions().map(|version| version.octets).sum();
            if versions().count() <= VERSIONS_OF_ALL_MAX && octets <= OCTETS_OF_ALL_MAX {
                return;
            }
            let idle = self.deployments.iter_mut();
            let idle = idle.filter_map(|one| Some((one.oldest_idle()?, one)));
            match idle.min_by_key(|(oldest, _)| *oldest) {
                Some((_, deployment)) => deployment.forget_oldest(),
                None => return,
            }
        }
    }
}

impl Deployment {
    /// Whether all is as if nothing had been done.
    fn says_nothing(&self) -> bool {
        self.is_enabled && !self.is_own && self.versions.is_empty()
    }

    /// When the oldest version was deployed that is neither in force nor the one to go back to.
    fn oldest_idle(&self) -> Option<Timestamp> {
        self.place_of_oldest_idle().map(|at| self.versions[at].at)
    }

    fn forget_oldest(&mut self) {
        if let Some(at) = self.place_of_oldest_idle() {
            self.versions.remove(at);
        }
    }

    fn place_of_oldest_idle(&self) -> Option<usize> {
        let before = self.version().map(|version| version.before);
        let mut versions = self.versions.iter();
        versions.position(|one| one.number != self.in_force && Some(one.number) != before)
    }

    /// The number of the newest version of that digest.
    fn of_digest(&self, digest: &str) -> Result<u32, Refused> {
        let refused = |text: String| Err(Refused::Field("digest", text));
        if digest.len() < DIGEST_DIGITS_MIN {
            return refused(format!(
                "at least {DIGEST_DIGITS_MIN} digits name a version"
            ));
        }
        let digest = digest.to_ascii_lowercase();
        let is_it = |version: &&Version| version.digest.starts_with(&digest);
        let found = self.versions.iter().rev().find(is_it);
        let Some(found) = found else {
            return refused(format!("{} has no version of that digest", self.name));
        };
        let mut all = self.versions.iter().filter(is_it);
        if all.any(|version| version.digest != found.digest) {
            return refused("several versions begin so: give more of it".to_owned());
        }
        Ok(found.number)
    }
}

/// An order of all members.
fn ordered(order: &[String], members: &[String]) -> Result<Vec<String>, Refused> {
    let refused = |text: String| Err(Refused::Field("order", text));
    let mut seen: Vec<&String> = Vec::with_capacity(members.len());
    for name in order {
        if !members.contains(name) {
            return refused(format!("there is no component {name}"));
        }
        if seen.contains(&name) {
            return refused(format!("{name} stands there twice"));
        }
        seen.push(name);
    }
    let left_out: Vec<&str> = members
        .iter()
        .filter(|name| !seen.contains(name))
        .map(String::as_str)
        .collect();
    match left_out.as_slice() {
        [] => Ok(order.to_vec()),
        left_out => refused(format!(
            "all components have a place, and {} has none",
            left_out.join(", ")
        )),
    }
}
