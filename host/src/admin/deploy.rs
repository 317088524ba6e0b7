//! What changes the chain of policy components while the relay runs. A seam: the surface knows neither files nor the
//! component engine.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use super::condition::Condition;
use crate::plugin::deployed::{Change, Kept, Refused, Standing};
use crate::plugin::{ComponentStatus, LoadProblem};

/// Changes which components are asked, and in which order.
pub trait Deploy: Send + Sync {
    /// All components as they are.
    fn standing(&self) -> Arc<Standing>;

    /// What a backup holds of them; none when nothing was ever deployed. Blocks.
    ///
    /// # Errors
    /// What the system says.
    fn kept(&self) -> io::Result<Option<Kept>>;

    /// Makes a change whole, or not at all. It is on stable storage before it is in force, and in force for the
    /// transactions that begin when there is an answer. What has begun comes to its end, whoever waits for it.
    fn deploy(
        &self,
        deploying: Deploying,
    ) -> Pin<Box<dyn Future<Output = Result<Deployed, NotDeployed>> + Send>>;
}

/// A change that somebody wants.
#[derive(Clone, Debug)]
pub struct Deploying {
    /// What is to become different.
    pub change: Change,
    /// Who wants it.
    pub by: String,
    /// What it is to be made to.
    pub condition: Condition,
    /// Whether it is only tried: everything is checked, and nothing changes.
    pub dry_run: bool,
}

/// What came of a change.
#[derive(Clone, Debug)]
pub struct Deployed {
    /// Whether anything is different, or would be.
    pub changed: bool,
    /// All components as they were, and what was known of those that were asked.
    pub before: (Arc<Standing>, Vec<ComponentStatus>),
    /// All components as they are then.
    pub standing: Arc<Standing>,
    /// What is known of those that are asked.
    pub status: Vec<ComponentStatus>,
}

/// Why everything stays as it was.
#[derive(Debug)]
pub enum NotDeployed {
    /// Something else is in force than the author of the change has seen.
    Stale,
    /// It is none.
    Refused(Refused),
    /// The chain that it makes does not load.
    Unfit(Vec<LoadProblem>),
    /// The disk has no room for it.
    NoRoom,
    /// The disk failed; for the log.
    Failed(io::Error),
}
