//! The component's own settings, as the operator wrote them.
//!
//! They do not change while an instance lives. Whether they make sense is for
//! [`Policy::check_config`](crate::Policy::check_config) to say when the component is deployed.

use crate::relay;

/// The setting of that name. None: not set.
pub fn value(key: &str) -> Option<String> {
    relay::config::value(key)
}

/// The names of all settings, sorted.
pub fn keys() -> Vec<String> {
    relay::config::keys()
}
