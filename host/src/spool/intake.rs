//! A content on its way into the embedded spool: in memory while it is small, in a file from then on.

use std::any::Any;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::budget::Share;
use super::company::OnItsWay;
use super::contents::{Contents, Incoming};
use super::{Intake, Pending, SpoolError};

/// Takes in one content.
#[derive(Debug)]
pub(super) struct EmbeddedIntake {
    share: Share,
    /// None for a large one: nobody is to wait for it.
    on_its_way: Option<OnItsWay>,
    contents: Arc<Contents>,
    inline_octets_max: usize,
    octets: u64,
    taken: Taken,
}

#[derive(Debug)]
enum Taken {
    Small(BytesMut),
    Large(Incoming),
    /// A write failed: what came is void.
    Lost,
}

/// A content that is whole.
#[derive(Debug)]
pub(super) enum Received {
    Small(Bytes),
    Large(Incoming),
}

impl EmbeddedIntake {
    pub(super) fn new(
        share: Share,
        on_its_way: OnItsWay,
        contents: Arc<Contents>,
        inline_octets_max: usize,
    ) -> Self {
        Self {
            share,
            on_its_way: Some(on_its_way),
            contents,
            inline_octets_max,
            octets: 0,
            taken: Taken::Small(BytesMut::new()),
        }
    }

    /// Whether it writes into that folder.
    pub(super) fn is_of(&self, contents: &Arc<Contents>) -> bool {
        Arc::ptr_eq(&self.contents, contents)
    }

    /// What came, and its share of the budget.
    ///
    /// # Errors
    /// When a write failed before.
    pub(super) fn received(self) -> Result<(Received, Share), SpoolError> {
        match self.taken {
            Taken::Small(octets) => Ok((Received::Small(octets.freeze()), self.share)),
            Taken::Large(incoming) => Ok((Received::Large(incoming), self.share)),
            Taken::Lost => Err(SpoolError::unavailable("a part of the content was lost")),
        }
    }

    async fn take(&mut self, octets: &[u8]) -> Result<(), SpoolError> {
        let sum = self.octets + octets.len() as u64;
        self.share.cover(sum)?;
        // Lost if this fails, or is given up half way.
        self.taken = match std::mem::replace(&mut self.taken, Taken::Lost) {
            Taken::Small(mut gathered) => {
                if gathered.len() + octets.len() <= self.inline_octets_max {
                    gathered.extend_from_slice(octets);
                    Taken::Small(gathered)
                } else {
                    self.on_its_way = None;
                    let mut incoming = Incoming::begin(&self.contents, gathered).await?;
                    incoming.write(octets).await?;
                    Taken::Large(incoming)
                }
            }
            Taken::Large(mut incoming) => {
                incoming.write(octets).await?;
                Taken::Large(incoming)
            }
            Taken::Lost => {
                return Err(SpoolError::unavailable("a part of the content was lost"));
            }
        };
        self.octets = sum;
        Ok(())
    }
}

impl Intake for EmbeddedIntake {
    fn write<'a>(&'a mut self, octets: &'a [u8]) -> Pending<'a, ()> {
        Box::pin(self.take(octets))
    }

    fn octets(&self) -> u64 {
        self.octets
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
