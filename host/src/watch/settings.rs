//! What the operator chooses about alerts.

use std::time::Duration;

use outpost_smtp::Mailbox;

use crate::alert::Thresholds;
use crate::webhook;

/// How alerts are found and told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What is bearable.
    pub thresholds: Thresholds,
    /// Who is told by mail of what concerns the relay, and of lists without addresses of their own.
    pub addresses: Vec<Mailbox>,
    /// Between two letters to the same people: what happens meanwhile stands in the next one.
    pub mail_every: Duration,
    /// Of what goes on somebody is reminded after as long.
    pub remind_after: Duration,
    /// Who is told by a request, if anybody.
    pub webhook: Option<webhook::Settings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            thresholds: Thresholds::default(),
            addresses: Vec::new(),
            mail_every: Duration::from_secs(600),
            remind_after: Duration::from_secs(86_400),
            webhook: None,
        }
    }
}
