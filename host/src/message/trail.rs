//! The trail: what happened to a message and why, in the order in which it happened.
//!
//! One event per change. The texts of all surfaces are made from these values.

use std::time::Duration;

use outpost_smtp::Reply;

use super::{Class, Dialogue, NextHop, PauseEnd, RemoteHost, Timestamp};

/// Something that happened to a message, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailEntry {
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: Event,
}

/// Which limit of an account makes a message less urgent than policy components said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demotion {
    /// It is more urgent than the account's mail may be.
    Ceiling,
    /// The account has no very-high messages left for now.
    Budget,
    /// The account's very-high messages could not be counted.
    Uncounted,
}

impl Demotion {
    /// All of them.
    pub const ALL: [Demotion; 3] = [Demotion::Ceiling, Demotion::Budget, Demotion::Uncounted];

    /// `ceiling`, `budget` or `uncounted`.
    pub const fn name(self) -> &'static str {
        match self {
            Demotion::Ceiling => "ceiling",
            Demotion::Budget => "budget",
            Demotion::Uncounted => "uncounted",
        }
    }
}

/// What can happen to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A policy component answered a question about it.
    Decided {
        /// Name of the component in the configuration.
        component: String,
        /// SHA-256 of the component, in hexadecimal.
        digest: String,
        /// `sender` or `priority`.
        question: String,
        /// `permit`, `refuse`, `defer`, `pass`, `failed: …`, or `class 2`.
        answer: String,
        /// Why, in the component's words: rule and detail.
        reasons: Vec<(String, String)>,
        /// How long it took.
        took: Duration,
    },
    /// It was accepted: the 250 after the content followed.
    Accepted {
        /// The effective priority.
        class: Class,
    },
    /// A carrier of a priority was malformed and did not count.
    MalformedPriority {
        /// The carrier, such as `X-Priority`.
        carrier: String,
    },
    /// An attempt ended.
    Attempted {
        /// The lane.
        next_hop: NextHop,
        /// The host; none when none could be reached.
        host: Option<RemoteHost>,
        /// How long it took.
        took: Duration,
        /// Recipients and what became of them: `delivered`, `deferred` or `bounced`, and the reply.
        recipients: Vec<(String, &'static str, Reply)>,
        /// The final dot's answer never came: a later attempt may deliver twice.
        unknown: bool,
    },
    /// The relay had ended in the middle of its work when the delivery was due: an attempt may have been
    /// under way, so that the next one may deliver twice.
    Interrupted {
        /// The lane.
        next_hop: NextHop,
    },
    /// A delivery was deferred and will be tried again.
    Deferred {
        /// The lane.
        next_hop: NextHop,
        /// When it is tried again.
        until: Timestamp,
    },
    /// A delivery waited longer than allowed; its recipients bounced.
    Expired {
        /// The lane.
        next_hop: NextHop,
    },
    /// A report was written to the reverse-path.
    Reported {
        /// `failure`, `delay`, `success` or `relay`.
        report: &'static str,
        /// The id of the report.
        id: super::MessageId,
    },
    /// A failure report was due and none was written, since the reverse-path is null: nobody is
    /// told about a report (RFC 5321 §4.5.5).
    Unreported {
        /// `failure`.
        report: &'static str,
    },
    /// An attempt was paused for very-high mail.
    Paused {
        /// The lane.
        next_hop: NextHop,
        /// The very-high message that was being sent when it began, or the first of them; of several pauses that of the last.
        cause: super::MessageId,
        /// How many others were being sent then or came to be before it ended; of several pauses of the last.
        others: u32,
        /// How many pauses are told together.
        times: u32,
        /// How long they took.
        took: Duration,
        /// How the last of them ended.
        end: PauseEnd,
    },
    /// An operator did something.
    Operated {
        /// What was done: `held`, `released`, `class 2`, …
        action: String,
        /// By whom: the name of the token.
        by: String,
        /// An attempt was under way, which goes on as it began: it is about what remains then.
        during_attempt: bool,
    },
    /// An operator cancelled deliveries.
    Cancelled {
        /// By whom: the name of the token.
        by: String,
        /// An attempt was under way, whose outcome follows, unless the relay ended before it.
        during_attempt: bool,
        /// They can be restored before then; none: they are gone.
        until: Option<Timestamp>,
    },
    /// An operator moved deliveries to another time.
    Rescheduled {
        /// By whom: the name of the token.
        by: String,
        /// The time.
        until: Timestamp,
        /// An attempt was under way: what remains of it waits until then.
        during_attempt: bool,
    },
    /// Cancelled deliveries were removed for good.
    Removed {
        /// Before their time, for the room that new mail needs.
        for_room: bool,
    },
    /// A carrier of a priority did not count, since the user is not trusted with it.
    UntrustedPriority {
        /// The carrier, such as `X-Priority`.
        carrier: String,
    },
    /// It was accepted in a less urgent class than policy components said.
    Demoted {
        /// What they said.
        from: Class,
        /// The class that it got.
        to: Class,
        /// Why.
        reason: Demotion,
    },
    /// It is not to be sent before a time, as its sender asked.
    Scheduled {
        /// The time.
        until: Timestamp,
        /// What asked for it: `HOLDFOR`, `HOLDUNTIL` or `X-SMTPAPI`.
        carrier: String,
    },
    /// Something that asked for a time to be sent at was malformed and did not count.
    MalformedSchedule {
        /// The carrier: `X-SMTPAPI`.
        carrier: String,
    },
    /// Two carriers ask for different things, and the order of carriers decides; or one field comes more than once, and
    /// the first one counts.
    Overruled {
        /// The one that comes later, such as `Importance`.
        carrier: String,
        /// What it asks for.
        asked: String,
        /// The one that comes before it, such as `MT-PRIORITY`; of the same name when it is the first of that name.
        by: String,
    },
    /// The time is over by which a delivery was to be made (RFC 2852).
    Late {
        /// The lane.
        next_hop: NextHop,
        /// Whether it comes back, or goes on.
        is_returned: bool,
    },
    /// The routes lead elsewhere than to the lane that a delivery waited in, so it has moved.
    Rerouted {
        /// The lane that it was in.
        from: NextHop,
        /// The lanes that it is in now, and how many recipients each part has.
        to: Vec<(NextHop, u32)>,
    },
    /// What was said with the client or with a host, from the moment of the entry on. Stands before what came of it.
    Dialogue(Dialogue),
}
