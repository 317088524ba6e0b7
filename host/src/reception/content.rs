//! A content on its way to the spool: streamed there piece by piece, with the header kept aside
//! until it has been judged.

use outpost_smtp::Reply;

use super::replies;
use crate::message::header::header_end;
use crate::spool::{Intake, SpoolError};

/// A content that is being received.
pub(super) struct Receiving {
    /// None when it is refused: what it took is given back at once, however long the rest takes.
    intake: Option<Box<dyn Intake>>,
    header: Header,
    /// Octets that came, the trace header left out.
    octets: u64,
    /// The first thing that went wrong; the rest of the content is read and forgotten.
    failure: Option<Refusal>,
    eight_bit: bool,
}

/// Why a message is refused, as the log and the metrics call it, and what its client is told.
pub(super) type Refusal = (&'static str, Reply);

/// A content that has come in whole.
pub(super) struct Received {
    pub intake: Box<dyn Intake>,
    /// The header section, up to and with the CRLF of its last field.
    pub header: Vec<u8>,
    pub eight_bit: bool,
}

enum Header {
    /// The empty line has not come yet. `searched` octets of it are known not to hold it.
    Gathering {
        section: Vec<u8>,
        searched: usize,
        octets_max: usize,
    },
    Whole(Vec<u8>),
}

impl Receiving {
    /// Begins with the trace header, which goes before everything else.
    pub(super) async fn begin(
        mut intake: Box<dyn Intake>,
        trace: &str,
        octets_max: usize,
    ) -> Result<Self, Reply> {
        intake
            .write(trace.as_bytes())
            .await
            .map_err(|error| refusal(&error))?;
        let header = Header::Gathering {
            section: Vec::new(),
            searched: 0,
            octets_max,
        };
        Ok(Self {
            intake: Some(intake),
            header,
            octets: 0,
            failure: None,
            eight_bit: false,
        })
    }

    /// Takes the next piece.
    pub(super) async fn take(&mut self, piece: &[u8]) {
        let Some(intake) = &mut self.intake else {
            return;
        };
        self.eight_bit |= !piece.is_ascii();
        self.octets += piece.len() as u64;
        let taken = match self.header.take(piece) {
            Ok(()) => intake
                .write(piece)
                .await
                .map_err(|error| ("room", refusal(&error))),
            Err(reply) => Err(("header", reply)),
        };
        if let Err(failure) = taken {
            self.refuse(failure);
        }
    }

    /// Octets of it that have come.
    pub(super) fn octets(&self) -> u64 {
        self.octets
    }

    /// Refuses it, whatever comes yet. The first reason is the one that is told.
    pub(super) fn refuse(&mut self, failure: Refusal) {
        self.intake = None;
        self.header = Header::Whole(Vec::new());
        self.failure.get_or_insert(failure);
    }

    /// Whether it is refused already.
    pub(super) fn is_refused(&self) -> bool {
        self.failure.is_some()
    }

    /// Ends; why the message is refused when it could not be taken whole.
    pub(super) fn finish(self) -> Result<Received, Refusal> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let intake = self.intake.ok_or_else(|| ("room", replies::try_again()))?;
        let header = match self.header {
            // A message may be all header (RFC 5322 §3.5: the body is optional).
            Header::Gathering { section, .. } | Header::Whole(section) => section,
        };
        Ok(Received {
            intake,
            header,
            eight_bit: self.eight_bit,
        })
    }
}

impl Header {
    fn take(&mut self, piece: &[u8]) -> Result<(), Reply> {
        let Header::Gathering {
            section,
            searched,
            octets_max,
        } = self
        else {
            return Ok(());
        };
        // Only so much is copied as could still belong to a header of the permitted size.
        let room = (*octets_max + 1)
            .saturating_sub(section.len())
            .min(piece.len());
        section.extend_from_slice(&piece[..room]);
        if let Some(end) = header_end(section, *searched) {
            section.truncate(end);
            *self = Header::Whole(std::mem::take(section));
        } else if section.len() > *octets_max {
            return Err(replies::header_too_large());
        } else {
            *searched = section.len();
        }
        Ok(())
    }
}

/// What a client is told when the spool does not take its content. The cause is for the log.
pub(super) fn refusal(error: &SpoolError) -> Reply {
    match error {
        SpoolError::Full | SpoolError::ReadOnly => replies::no_room(),
        SpoolError::Unavailable(_) | SpoolError::LeaseLost | SpoolError::Unknown => {
            tracing::error!(error = %error, "the spool does not take mail");
            replies::try_again()
        }
    }
}
