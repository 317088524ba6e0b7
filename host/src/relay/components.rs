//! What the admin surface shows of the components.

use std::sync::Arc;

use crate::admin::{PluginDocument, PluginStatus};
use crate::plugin::Plugins;

/// The plugin host as the admin surface sees it.
struct Shown(Arc<Plugins>);

/// The components of this host, for the admin surface.
pub(super) fn shown(plugins: Arc<Plugins>) -> Arc<dyn PluginStatus> {
    Arc::new(Shown(plugins))
}

impl PluginStatus for Shown {
    fn status(&self) -> Vec<PluginDocument> {
        self.0.status().into_iter().map(|component| PluginDocument { name: component.name }).collect()
    }
}
