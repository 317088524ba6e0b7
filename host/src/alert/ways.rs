//! How alerts are told, for whoever looks after that.

use crate::message::Timestamp;

/// Who is told of alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// The addresses that are written to.
    pub addresses: Vec<String>,
    /// The webhook, if there is one.
    pub webhook: Option<WebhookStanding>,
}

/// How it stands with the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookStanding {
    /// Scheme and host of its address.
    pub url: String,
    /// Whether what it is told is signed.
    pub is_signed: bool,
    /// Since when it takes nothing, and why; none while it does.
    pub failing: Option<(Timestamp, String)>,
}

/// What came of telling everybody something that is no alert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// A letter is queued for these addresses, or why not; none where there are none.
    pub mail: Option<Result<Vec<String>, String>>,
    /// The webhook has taken it, or why not; none where there is none.
    pub webhook: Option<Result<(), String>>,
}
