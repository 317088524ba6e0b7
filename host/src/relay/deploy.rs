//! Changing the chain of policy components while mail goes on: loaded whole beside the one in force, put on stable
//! storage, then swapped.
//!
//! What a change comes to is said by `plugin::deployed`. A change and a reload never go on at the same time: both make
//! the chain from the configuration in force and from what is deployed. A crash before the state has its name leaves
//! the chain before, and one behind it the new one, which has been loaded and started by then.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::reload::to_its_end;
use crate::admin::{self, Deployed, Deploying, NotDeployed};
use crate::clock::Clock;
use crate::config::Config;
use crate::plugin::Plugins;
use crate::plugin::deployed::{Author, Change, Deployments, Kept, Plan, Standing};
use crate::stable;

/// What deploys components.
pub(super) struct Deployer {
    /// What is in force. Held while something is deployed, so one change goes on at a time.
    pub in_force: Arc<Mutex<Config>>,
    pub parts: Arc<Parts>,
}

/// What a change works on.
pub(super) struct Parts {
    pub plugins: Arc<Plugins>,
    pub deployments: Arc<Deployments>,
    pub clock: Clock,
}

type Outcome = Result<Deployed, NotDeployed>;

impl admin::Deploy for Deployer {
    fn standing(&self) -> Arc<Standing> {
        self.parts.deployments.standing()
    }

    fn kept(&self) -> io::Result<Option<Kept>> {
        self.parts.deployments.kept()
    }

    fn deploy(&self, deploying: Deploying) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
        let (in_force, parts) = (Arc::clone(&self.in_force), Arc::clone(&self.parts));
        Box::pin(async move {
            let in_force = in_force.lock_owned().await;
            to_its_end(async move {
                let outcome = parts.deploy(&in_force, deploying).await;
                // A component that came and is not in force, or one that went.
                let deployments = Arc::clone(&parts.deployments);
                blocking(move || deployments.clear()).await;
                outcome
            })
            .await
        })
    }
}

impl Parts {
    async fn deploy(&self, in_force: &Config, mut deploying: Deploying) -> Outcome {
        let configured = &in_force.plugin.chain;
        let before = self.deployments.standing();
        let was = (Arc::clone(&before), self.plugins.status());
        if !deploying.condition.holds(&before.revision) {
            return Err(NotDeployed::Stale);
        }
        let digest = self.keep(&mut deploying.change).await?;
        let author = Author {
            by: &deploying.by,
            at: self.clock.now(),
        };
        let change = &deploying.change;
        let plan = self.deployments.plan(configured, change, &digest, author);
        let plan = plan.map_err(NotDeployed::Refused)?;
        if !plan.changes {
            return Ok(Deployed {
                changed: false,
                before: was,
                standing: before,
                status: self.plugins.status(),
            });
        }
        // One that is disabled is not part of the chain, and is no less to be fit for it.
        if let Some(whole) = plan.with_disabled(change) {
            let fit = self.plugins.prepare(&whole).await;
            fit.map_err(NotDeployed::Unfit)?;
        }
        let chain = self.plugins.prepare(&plan.chain()).await;
        let chain = chain.map_err(NotDeployed::Unfit)?;
        let plan = Arc::new(plan);
        if deploying.dry_run {
            let status = chain.status();
            drop(chain);
            let foreseen = self.foresee(configured.clone(), &plan, &before).await;
            return Ok(Deployed {
                changed: true,
                before: was,
                standing: Arc::new(foreseen),
                status,
            });
        }
        let status = chain.status();
        let committed = blocking({
            let (deployments, plan) = (Arc::clone(&self.deployments), Arc::clone(&plan));
            move || deployments.commit(&plan)
        });
        committed.await.map_err(not_kept)?;
        chain.put_into_force();
        let standing = blocking({
            let (deployments, configured) = (Arc::clone(&self.deployments), configured.clone());
            let status = status.clone();
            move || {
                deployments.follow(&configured, &status);
                deployments.standing()
            }
        });
        let standing = standing.await;
        let (component, by) = (deploying.change.name(), &deploying.by);
        let revision = &standing.revision;
        tracing::info!(
            by,
            component,
            revision,
            "the chain of policy components was changed"
        );
        Ok(Deployed {
            changed: true,
            before: was,
            standing,
            status,
        })
    }

    /// Keeps the component that comes, if one does; its digest.
    async fn keep(&self, change: &mut Change) -> Result<String, NotDeployed> {
        let Change::Install(install) = change else {
            return Ok(String::new());
        };
        let component = std::mem::take(&mut install.component);
        install.octets = component.len() as u64;
        let deployments = Arc::clone(&self.deployments);
        let kept = blocking(move || deployments.keep(&component)).await;
        kept.map_err(not_kept)
    }

    async fn foresee(
        &self,
        configured: Vec<crate::plugin::ComponentSettings>,
        plan: &Arc<Plan>,
        before: &Standing,
    ) -> Standing {
        let (deployments, plan) = (Arc::clone(&self.deployments), Arc::clone(plan));
        let foreseen = blocking(move || deployments.foresee(&plan, &configured)).await;
        Standing {
            revision: before.revision.clone(),
            ..foreseen
        }
    }
}

fn not_kept(error: io::Error) -> NotDeployed {
    match stable::is_no_room(&error) {
        true => NotDeployed::NoRoom,
        false => NotDeployed::Failed(error),
    }
}

/// Runs what blocks where it may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // It was not cancelled: nobody else can do so.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
