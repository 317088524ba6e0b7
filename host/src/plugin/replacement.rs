//! Another chain for the one in force: loaded whole, then put in its place, or forgotten.
//!
//! The two steps are apart so that whoever changes more than the chain can change all of it or nothing.

use std::sync::Arc;

use tokio::sync::MutexGuard;

use super::component::Component;
use super::{ComponentSettings, ComponentStatus, LoadProblem, Plugins, load};

/// A chain that is loaded and not in force yet. Dropped, it leaves everything as it was.
pub struct Replacement<'p> {
    plugins: &'p Plugins,
    chain: Vec<Arc<Component>>,
    _one_at_a_time: MutexGuard<'p, ()>,
}

impl Plugins {
    /// Loads another chain beside the one in force. Components that stay as they are keep their breaker.
    ///
    /// # Errors
    /// Everything that is wrong, each with the component that it is about.
    pub async fn prepare(
        &self,
        settings: &[ComponentSettings],
    ) -> Result<Replacement<'_>, Vec<LoadProblem>> {
        let one_at_a_time = self.replacing.lock().await;
        let before = self.chain.load_full();
        match load::chain(&self.workshop, settings, &before).await {
            Ok(chain) => Ok(Replacement {
                plugins: self,
                chain,
                _one_at_a_time: one_at_a_time,
            }),
            Err(problems) => {
                self.forget_others();
                Err(problems)
            }
        }
    }

    /// Loads another chain and puts it into force at once.
    ///
    /// # Errors
    /// Everything that is wrong; the chain stays as it is.
    pub async fn replace(&self, settings: &[ComponentSettings]) -> Result<(), Vec<LoadProblem>> {
        self.prepare(settings).await?.put_into_force();
        Ok(())
    }

    /// Takes those that are not in force off the metrics page.
    fn forget_others(&self) {
        let chain = self.chain.load();
        let names = chain.iter().map(|component| component.name().as_ref());
        self.workshop.metrics.keep(names);
    }
}

impl Replacement<'_> {
    /// What is known about each component of the chain, in its order.
    pub fn status(&self) -> Vec<ComponentStatus> {
        let components = self.chain.iter();
        components
            .map(|component| component.as_ref().into())
            .collect()
    }

    /// Whether it differs from the chain in force: in its order, its settings, or what a file holds.
    pub fn is_another(&self) -> bool {
        let before = self.plugins.chain.load();
        let are_same = |(one, other): (&Arc<Component>, &Arc<Component>)| Arc::ptr_eq(one, other);
        before.len() != self.chain.len() || !before.iter().zip(&self.chain).all(are_same)
    }

    /// Puts the chain into force, for the transactions that begin from now on.
    pub fn put_into_force(mut self) {
        for component in &self.chain {
            // A new version of a component has a new breaker.
            component.show_breakers();
        }
        let chain = Arc::new(std::mem::take(&mut self.chain));
        // Who is no longer part of it is forgotten at the drop.
        self.plugins.chain.store(chain);
    }
}

impl Drop for Replacement<'_> {
    fn drop(&mut self) {
        self.plugins.forget_others();
    }
}
