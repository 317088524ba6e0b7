//! A content on its way to the spool: streamed there piece by piece, with the header kept aside
//! until it has been judged.

use outpost_smtp::Reply;

use super::replies;
use crate::message::header::header_end;
use crate::spool::{Intake, SpoolError};

/// What ends a header section.
const EMPTY_LINE: &[u8] = b"\r\n";

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
        let header = self.header.finish().map_err(|reply| ("header", reply))?;
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
        // Only so much is copied as could still belong to a header of the permitted size, and the empty line behind it.
        let most = *octets_max + EMPTY_LINE.len();
        let room = (most - section.len()).min(piece.len());
        section.extend_from_slice(&piece[..room]);
        if let Some(end) = header_end(section, *searched) {
            section.truncate(end);
            *self = Header::Whole(std::mem::take(section));
        } else if section.len() == most {
            return Err(replies::header_too_large());
        } else {
            *searched = section.len();
        }
        Ok(())
    }

    /// The section. A message may be all header (RFC 5322 §3.5: the body is optional).
    fn finish(self) -> Result<Vec<u8>, Reply> {
        match self {
            Header::Gathering {
                section,
                octets_max,
                ..
            } if section.len() > octets_max => Err(replies::header_too_large()),
            Header::Gathering { section, .. } | Header::Whole(section) => Ok(section),
        }
    }
}

/// What a client is told when the spool does not take its content. The cause is for the log.
pub(super) fn refusal(error: &SpoolError) -> Reply {
    match error {
        SpoolError::Full | SpoolError::ReadOnly => replies::no_room(),
        SpoolError::Unavailable(_)
        | SpoolError::LeaseLost
        | SpoolError::Cancelled
        | SpoolError::Restored
        | SpoolError::Unknown => {
            tracing::error!(error = %error, "the spool does not take mail");
            replies::try_again()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a header in a content that comes in pieces of so many octets.
    fn section(content: &[u8], piece: usize, octets_max: usize) -> Result<Vec<u8>, Reply> {
        let mut header = Header::Gathering {
            section: Vec::new(),
            searched: 0,
            octets_max,
        };
        for piece in content.chunks(piece) {
            header.take(piece)?;
        }
        header.finish()
    }

    #[test]
    fn a_header_may_have_as_many_octets_as_the_limit_says_and_not_one_more() {
        let header = b"From: a@b.example\r\nX: y\r\n";
        for behind in [&b""[..], b"\r\n", b"\r\nbody\r\n\r\n"] {
            let content = [header, behind].concat();
            for piece in 1..=content.len() {
                let with = |octets_max| section(&content, piece, octets_max);
                assert_eq!(with(header.len()).as_deref(), Ok(&header[..]), "{piece}");
                let too_large = Err(replies::header_too_large());
                assert_eq!(with(header.len() - 1), too_large, "{piece}");
                assert_eq!(with(header.len() - 2), too_large, "{piece}");
            }
        }
        assert_eq!(section(b"\r\nbody", 1, 0).as_deref(), Ok(&b""[..]));
    }
}
