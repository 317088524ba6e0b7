//! Alerts: what somebody should look at, since when, and who has been told.
//!
//! Plain values and arithmetic: facts are judged into conditions (`judge`), a board makes alerts of them that begin, go on
//! and end (`board`), and letters tell of those (`letter`). Where facts come from, and how anybody is told, is the
//! business of `watch`.

mod board;
mod condition;
mod judge;
mod letter;
mod ways;

pub use self::board::{Acknowledgement, Alert, Audience, Board, Channel, News, State, Telling};
pub use self::condition::{Condition, Kind, Severity};
pub use self::judge::{
    Certificate, Disk, Facts, ListCounts, NextHopFacts, OpenBreaker, RefusedSenders, Thresholds,
    VeryHigh, judge,
};
pub use self::letter::{Letter, subject_of};
pub use self::ways::{Tried, Ways, WebhookStanding};
