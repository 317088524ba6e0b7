//! A content on its way over a connection: piece by piece as the gate lets it pass, and its end.

use std::time::Duration;

use bytes::Bytes;
use outpost_smtp::client::{Closed, Report, Step};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout};

use super::{Connection, Load};
use crate::delivery::broken::Cause;
use crate::message::seven_bit::{Barrier, Converter, Plan};
use crate::spool::BrokenOff;

/// How long a host that has closed in the middle of the content is listened to for its reason.
const LAST_WORDS_TIME_MAX: Duration = Duration::from_secs(2);

/// How much of a content was sent.
pub(super) enum Sent {
    /// All of it, and its end.
    Whole,
    /// A part; this became of the message instead.
    CutShort(Report),
}

impl Connection {
    /// Sends the content and its end. One piece is read ahead, so that the final dot leaves
    /// together with the last one, and the last chunk says that it is.
    pub(super) async fn send_content(
        &mut self,
        load: &Load<'_>,
        conversion: Option<&Plan>,
    ) -> Result<Sent, Cause> {
        let ours = Cause::of_content;
        let changed = |barrier: Barrier| Cause::Content(barrier.to_string());
        let mut converter = conversion.map(Converter::new);
        let mut content = (load.open)().await.map_err(ours)?;
        let mut broken_off = content.broken_off();
        let mut octets = 0;
        let mut next = content.next().await.map_err(ours)?;
        loop {
            if let Some(piece) = next.take() {
                octets += u64::try_from(piece.len()).unwrap_or(u64::MAX);
                next = content.next().await.map_err(ours)?;
                let piece = match &mut converter {
                    Some(converter) => converter.feed(&piece).map_err(changed)?.into(),
                    None => piece,
                };
                if let Some(sent) = self.send_piece(piece, load, &mut broken_off).await? {
                    return Ok(sent);
                }
            }
            if next.is_none() {
                if octets != load.octets {
                    // Without its end the host must forget what it has got.
                    return Err(Cause::Content(format!(
                        "{octets} octets were read where {} were accepted",
                        load.octets
                    )));
                }
                if let Some(converter) = converter.take() {
                    let rest = converter.finish().map_err(changed)?;
                    if let Some(sent) = self.bring_out().await? {
                        return Ok(sent);
                    }
                    if let Some(sent) = self.send_piece(rest.into(), load, &mut broken_off).await? {
                        return Ok(sent);
                    }
                }
                self.session.finish_content();
                load.passage.content_ends();
            }
            if let Some(sent) = self.bring_out().await? {
                return Ok(sent);
            }
        }
    }

    /// Writes what the session has got of the content, and waits until it wants more. Says so when there is
    /// no more to be sent.
    async fn bring_out(&mut self) -> Result<Option<Sent>, Cause> {
        let mut flushed = self.flush().await;
        loop {
            // The end may be on its way though the network failed behind it: whatever comes of it from here
            // on, the message may have been accepted.
            if self.session.is_outcome_unknown() && self.session.output().is_empty() {
                return Ok(Some(Sent::Whole));
            }
            if let Err(error) = flushed {
                return match self.last_words().await {
                    Some(report) => Ok(Some(Sent::CutShort(report))),
                    None => Err(Cause::Lost(error)),
                };
            }
            self.overhear().map_err(Cause::Lost)?;
            loop {
                match self.next() {
                    Step::Content => return Ok(None),
                    // What was held until the first chunk was taken.
                    Step::Send => break,
                    // So many chunks are in flight that their replies come first; or the first one is.
                    Step::Receive { within, wait } => {
                        self.receive(within, wait).await.map_err(Cause::Lost)?;
                    }
                    Step::Done(report) => return Ok(Some(Sent::CutShort(report))),
                    Step::Closed(closed) => return Err(Cause::Closed(closed)),
                    _ => return Err(Cause::Closed(Closed::Protocol("the content has no end"))),
                }
            }
            flushed = self.flush().await;
        }
    }

    /// Gives a piece of the content to the session, as the gate lets it pass. All but the last part of it is
    /// brought out: the end of the content is to leave together with that. Says so when there is no more to be sent.
    /// Where it has to wait at the gate it is told meanwhile when the content breaks off.
    async fn send_piece(
        &mut self,
        mut piece: Bytes,
        load: &Load<'_>,
        broken_off: &mut BrokenOff,
    ) -> Result<Option<Sent>, Cause> {
        while !piece.is_empty() {
            // What would be held until a host has taken the first line is let pass when it may leave.
            let first = self.session.first_line_octets(&piece);
            let asked = first.unwrap_or(piece.len());
            let octets = tokio::select! {
                biased;
                octets = load.passage.permit(asked) => octets,
                error = &mut *broken_off => return Err(Cause::of_content(error)),
            };
            self.session.write_content(&piece.split_to(octets));
            self.minutes.content_written(octets, &self.session);
            load.sent.inc_by(u64::try_from(octets).unwrap_or(0));
            load.passage.sent(octets);
            if piece.is_empty() {
                break;
            }
            let begun = Instant::now();
            if let Some(sent) = self.bring_out().await? {
                return Ok(Some(sent));
            }
            // The time in which a host answers is not that in which it takes octets.
            if first.is_none() {
                load.passage.took(octets, begun.elapsed());
            }
        }
        Ok(None)
    }

    /// What a host said before it stopped reading: often a refusal, which is worth more than the
    /// broken connection. A word that it took the message cannot be meant: it has not got all of it.
    async fn last_words(&mut self) -> Option<Report> {
        let unsent = self.session.output().len();
        self.session.sent(unsent);
        let listening = async {
            loop {
                match self.next() {
                    Step::Done(report) => return Some(report),
                    Step::Content | Step::Receive { .. } => {}
                    _ => return None,
                }
                match self.stream.read(&mut self.buffer).await {
                    Ok(octets) if octets > 0 => {
                        self.session.feed(&self.buffer[..octets]);
                        if let Some(pulse) = &mut self.pulse {
                            pulse.has_heard();
                        }
                    }
                    _ => return None,
                }
            }
        };
        let report = timeout(LAST_WORDS_TIME_MAX, listening).await.ok()??;
        let is_refusal = !report.recipients.iter().any(|reply| reply.is_positive());
        is_refusal.then_some(report)
    }
}
