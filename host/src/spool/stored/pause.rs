//! A pause, in its stored form.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Hop;
use crate::message::{self, MessageId};

#[derive(Serialize, Deserialize)]
pub(super) struct Pause<'a> {
    #[serde(borrow)]
    pub(super) next_hop: Hop<'a>,
    pub(super) cause: u128,
    pub(super) times: u32,
    pub(super) took: Duration,
    pub(super) end: PauseEnd,
}

impl Pause<'_> {
    pub(super) fn read(&self, others: u32) -> message::Event {
        message::Event::Paused {
            next_hop: self.next_hop.read(),
            cause: MessageId::from_bits(self.cause),
            others,
            times: self.times,
            took: self.took,
            end: self.end.read(),
        }
    }
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) enum PauseEnd {
    Resumed,
    Ceiling,
    Broken,
    Finished,
}

impl PauseEnd {
    pub(super) fn of(end: message::PauseEnd) -> Self {
        match end {
            message::PauseEnd::Resumed => Self::Resumed,
            message::PauseEnd::Ceiling => Self::Ceiling,
            message::PauseEnd::Broken => Self::Broken,
            message::PauseEnd::Finished => Self::Finished,
        }
    }

    pub(super) fn read(self) -> message::PauseEnd {
        match self {
            Self::Resumed => message::PauseEnd::Resumed,
            Self::Ceiling => message::PauseEnd::Ceiling,
            Self::Broken => message::PauseEnd::Broken,
            Self::Finished => message::PauseEnd::Finished,
        }
    }
}
