//! A content on its way into memory.

use std::any::Any;

use crate::spool::budget::Share;
use crate::spool::{Intake, Pending};

#[derive(Debug)]
pub(super) struct MemoryIntake {
    pub(super) share: Share,
    pub(super) octets: Vec<u8>,
}

impl Intake for MemoryIntake {
    fn write<'a>(&'a mut self, octets: &'a [u8]) -> Pending<'a, ()> {
        Box::pin(async move {
            self.share
                .cover((self.octets.len() + octets.len()) as u64)?;
            self.octets.extend_from_slice(octets);
            Ok(())
        })
    }

    fn octets(&self) -> u64 {
        self.octets.len() as u64
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
