//! What is wrong: one thing that somebody should look at.

use std::fmt;

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The relay takes no mail.
    NotReady,
    /// Very-high mail is slower than it is to be.
    VeryHighLate,
    /// The disk of the data folder has little room.
    DiskLow,
    /// A policy component is not asked, since it failed again and again.
    BreakerOpen,
    /// A next hop has not been reached for a while.
    NextHopDown,
    /// The certificate is about to be over, or is.
    CertificateExpiring,
    /// Much of a list's mail comes back.
    BouncesHigh,
    /// Users of a list were refused as senders.
    SendersRefused,
}

/// How soon somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Soon.
    Warning,
    /// Now.
    Critical,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// What kind of thing.
    pub kind: Kind,
    /// Which one of its kind: a list, a component, a next hop; empty where there is only one.
    pub subject: String,
    /// The list that it is about; its addresses are told, if it has some.
    pub list: Option<String>,
    /// How soon somebody should look.
    pub severity: Severity,
    /// What is wrong, in a sentence or two. Others may have written parts of it.
    pub text: String,
    /// How much it is, in the unit of its kind: seconds, octets, days or percent; a count of messages.
    pub value: Option<f64>,
    /// What it should not pass.
    pub limit: Option<f64>,
}

impl Kind {
    /// All of them, the worst first.
    pub const ALL: [Kind; 8] = [
        Kind::NotReady,
        Kind::VeryHighLate,
        Kind::DiskLow,
        Kind::BreakerOpen,
        Kind::NextHopDown,
        Kind::CertificateExpiring,
        Kind::BouncesHigh,
        Kind::SendersRefused,
    ];

    /// Its name in every interface.
    pub fn name(self) -> &'static str {
        match self {
            Kind::NotReady => "not-ready",
            Kind::VeryHighLate => "very-high-late",
            Kind::DiskLow => "disk-low",
            Kind::BreakerOpen => "breaker-open",
            Kind::NextHopDown => "next-hop-down",
            Kind::CertificateExpiring => "certificate-expiring",
            Kind::BouncesHigh => "bounces-high",
            Kind::SendersRefused => "senders-refused",
        }
    }

    /// The one of that name.
    pub fn of_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Severity {
    /// Its name in every interface.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }

    /// The one of that name.
    pub fn of_name(name: &str) -> Option<Severity> {
        let mut all = [Severity::Warning, Severity::Critical].into_iter();
        all.find(|severity| severity.name() == name)
    }
}

impl Condition {
    /// Whether both are about the same thing, however bad it is.
    pub fn is_same_as(&self, other: &Condition) -> bool {
        self.kind == other.kind && self.subject == other.subject
    }
}
