//! Components that are deployed while the relay runs: what there is of them, kept across restarts, and which chain
//! that makes of the one in the configuration.
//!
//! A change is made in three steps by whoever assembles the relay: [`Deployments::plan`] says what it comes to, the chain
//! of that is loaded beside the one in force, and [`Deployments::commit`] puts it on stable storage, behind which it
//! comes into force. Each step leaves everything as it was when it fails. One change goes on at a time; that is the
//! caller's to see to.

mod change;
mod folder;
mod overlay;
mod stored;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

pub use self::change::{Author, Change, Install, Refused, Wanted};
pub use self::overlay::{CONFIGURED, Deployment, Member, Overrides, Standing, Version};

use self::folder::Folder;
use self::overlay::Overlay;
use super::load;
use super::settings::ComponentSettings;
use super::status::ComponentStatus;

/// Octets of a component that is deployed: with the largest language runtimes it has a third of it.
pub const COMPONENT_OCTETS_MAX: usize = 32 << 20;

/// What is deployed, and where it is kept.
pub struct Deployments {
    folder: Folder,
    /// What stands in the file.
    overlay: Mutex<Overlay>,
    standing: ArcSwap<Standing>,
}

/// What was deployed cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}: {reason}. What was deployed at run time is not known without it: restore it from a backup, or move {} aside to \
     start with the components of the configuration",
    .path.display(), .folder.display()
)]
pub struct DeployedError {
    path: PathBuf,
    folder: PathBuf,
    reason: String,
}

/// What a backup holds.
#[derive(Debug)]
pub struct Kept {
    /// The state as it stands in its file.
    pub state: Vec<u8>,
    /// The components with their digests.
    pub components: Vec<(String, File)>,
}

/// What a change comes to.
#[derive(Debug)]
pub struct Plan {
    next: Overlay,
    /// All components as they would be, in their order.
    members: Vec<Member>,
    /// Whether anything would be different.
    pub changes: bool,
}

impl Plan {
    /// How the components are loaded that would be asked.
    pub fn chain(&self) -> Vec<ComponentSettings> {
        overlay::chain(&self.members)
    }

    /// The same with the component that a change brings, where that would not be asked.
    pub fn with_disabled(&self, change: &Change) -> Option<Vec<ComponentSettings>> {
        let (Change::Install(Install { name, .. }) | Change::Rollback { name, .. }) = change else {
            return None;
        };
        let is_it = |member: &Member| member.settings.name == *name;
        let disabled = self
            .members
            .iter()
            .find(|one| is_it(one) && !one.is_enabled);
        disabled?;
        let wanted = self
            .members
            .iter()
            .filter(|one| is_it(one) || one.is_enabled);
        Some(wanted.map(|one| one.settings.clone()).collect())
    }
}

impl Deployments {
    /// Reads what was deployed.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(data_dir: &Path) -> Result<Self, DeployedError> {
        let folder = Folder::of(data_dir);
        let failed = |reason: String| DeployedError {
            path: folder.state(),
            folder: folder.path().to_owned(),
            reason,
        };
        let overlay = match folder.read_state() {
            Ok(None) => Overlay::default(),
            Ok(Some(octets)) => stored::read(&octets).map_err(failed)?,
            Err(error) => return Err(failed(error.to_string())),
        };
        Ok(Self {
            folder,
            overlay: Mutex::new(overlay),
            standing: ArcSwap::default(),
        })
    }

    /// The folder of what is deployed.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The chain that is to be in force where the configuration says this one.
    pub fn chain(&self, configured: &[ComponentSettings]) -> Vec<ComponentSettings> {
        let overlay = self.overlay();
        overlay::chain(&overlay.members(configured, |digest| self.folder.source(digest)))
    }

    /// What was deployed for components that the configuration does not name any more.
    pub fn absent(&self, configured: &[ComponentSettings]) -> Vec<String> {
        let overlay = self.overlay();
        let absent = overlay.absent(configured);
        absent.map(|one| one.name.clone()).collect()
    }

    /// All components as they are, in their order.
    pub fn standing(&self) -> Arc<Standing> {
        self.standing.load_full()
    }

    /// Keeps a component on stable storage, and returns its digest. Nothing is in force by that. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn keep(&self, component: &[u8]) -> io::Result<String> {
        self.folder.keep(component)
    }

    /// What a change comes to. Of a component that comes, the digest; nothing of any other change.
    ///
    /// # Errors
    /// Why it is none.
    pub fn plan(
        &self,
        configured: &[ComponentSettings],
        change: &Change,
        digest: &str,
        author: Author<'_>,
    ) -> Result<Plan, Refused> {
        let source = |digest: &str| self.folder.source(digest);
        let overlay = self.overlay().clone();
        let members = overlay.members(configured, source);
        let names = members.iter().map(|member| member.settings.name.clone());
        let names: Vec<String> = names.collect();
        let is_configured = |name: &str| configured.iter().any(|one| one.name == name);
        let mut next = overlay.changed(change, digest, &names, is_configured, author)?;
        let changes = next != overlay;
        if changes {
            next.counter = next.counter.saturating_add(1);
        }
        Ok(Plan {
            members: next.members(configured, source),
            next,
            changes,
        })
    }

    /// Puts what was planned on stable storage: from then on it is what the next start begins with. Blocks.
    ///
    /// # Errors
    /// What the system says; everything is as it was.
    pub fn commit(&self, plan: &Plan) -> io::Result<()> {
        let mut overlay = self.overlay();
        let written = self.folder.write_state(&stored::write(&plan.next));
        if written.is_err() {
            // It may have its name already, and just that is not known to be on stable storage.
            drop(self.folder.write_state(&stored::write(&overlay)));
        } else {
            overlay.clone_from(&plan.next);
        }
        written
    }

    /// What a backup holds, of one moment; none when nothing was ever deployed. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn kept(&self) -> io::Result<Option<Kept>> {
        // Nothing is removed meanwhile.
        let overlay = self.overlay();
        let Some(state) = self.folder.read_state()? else {
            return Ok(None);
        };
        let mut digests: Vec<&str> = overlay.digests().collect();
        digests.sort_unstable();
        digests.dedup();
        let components = digests.into_iter().map(|digest| {
            let file = File::open(self.folder.component(digest))?;
            Ok((digest.to_owned(), file))
        });
        let components: io::Result<Vec<_>> = components.collect();
        Ok(Some(Kept {
            state,
            components: components?,
        }))
    }

    /// Whether what stands in a data folder is whole: the state can be read, and so can all that is in force.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn verify(data_dir: &Path) -> Result<(), String> {
        let deployments = Self::open(data_dir).map_err(|error| error.to_string())?;
        let overlay = deployments.overlay();
        for deployment in &overlay.deployments {
            let Some(version) = deployment.version() else {
                continue;
            };
            let source = deployments.folder.source(&version.digest);
            load::verify(&source).map_err(|problem| {
                let name = &deployment.name;
                format!("plugin \"{name}\": {problem}")
            })?;
        }
        Ok(())
    }

    /// Removes the files of what is not deployed. Blocks.
    pub fn clear(&self) {
        let overlay = self.overlay();
        self.folder
            .clear(|digest| overlay.digests().any(|kept| kept == digest));
    }

    /// How everything would stand by a plan.
    pub fn foresee(&self, plan: &Plan, configured: &[ComponentSettings]) -> Standing {
        standing(&plan.next, &self.folder, configured, &[])
    }

    /// Takes note of what is in force now: the chain of the configuration, and what was loaded of it all. Blocks.
    pub fn follow(&self, configured: &[ComponentSettings], loaded: &[ComponentStatus]) {
        let overlay = self.overlay();
        let standing = standing(&overlay, &self.folder, configured, loaded);
        self.standing.store(Arc::new(standing));
    }

    fn overlay(&self) -> MutexGuard<'_, Overlay> {
        // Nothing panics while it is locked.
        self.overlay.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn standing(
    overlay: &Overlay,
    folder: &Folder,
    configured: &[ComponentSettings],
    loaded: &[ComponentStatus],
) -> Standing {
    let mut members = overlay.members(configured, |digest| folder.source(digest));
    for member in members.iter_mut().filter(|member| !member.is_enabled) {
        member.unasked = load::examine(&member.settings).map(Box::new);
    }
    let digests = loaded
        .iter()
        .map(|one| (one.name.as_str(), one.digest.as_str()));
    let digests: Vec<_> = digests.collect();
    Standing {
        revision: overlay.revision(configured, &digests),
        members,
        absent: overlay.absent(configured).cloned().collect(),
    }
}
