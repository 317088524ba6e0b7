//! One connection to a host: messages go over it until it is closed.
//!
//! Does what the protocol core's client session asks for, with one deadline for each thing that is
//! awaited, so that no host holds a delivery by an octet now and then. How a content leaves stands in `content`,
//! and opening in `opening`; what a reply means for a recipient and which host comes next are decided in `attempt`.

mod content;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use outpost_smtp::Reply;
use outpost_smtp::client::{Closed, Extensions, Report, Session, Step};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};

use content::Sent;

use super::broken::{Break, Cause};
use super::fitting::{Fitted, Look};
use super::gate::{Passage, Pulse};
use super::minutes::{Minutes, Overheard, loss};
use super::room::Place;
use crate::message::{RemoteHost, TlsParameters};
use crate::net::Stream;
use crate::spool::{Content, Pending};
use crate::telemetry::Counter;
use crate::tls::client::Trust;

/// Octets read at once: replies are short.
const READ_OCTETS: usize = 4 * 1024;

/// How long a farewell may take. The reply to QUIT is worth a moment, and nothing depends on it.
const FAREWELL_TIME_MAX: Duration = Duration::from_secs(5);

/// Opens the content of the message anew, once for each transaction that gets so far.
pub type OpenContent<'a> = dyn Fn() -> Pending<'static, Box<dyn Content>> + Send + Sync + 'a;

/// A connection whose session has greeted, started TLS and logged in.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    session: Session,
    host: RemoteHost,
    buffer: Box<[u8]>,
    /// What is awaited, and until when.
    deadline: Option<(u64, Instant)>,
    /// How long a piece of content may take to be written (RFC 5321 §4.5.3.2.5).
    piece_time_max: Duration,
    transactions: u32,
    /// Why it is in clear although the host offers TLS, in words for the sender.
    tls_failure: Option<String>,
    /// The host has shown who it is.
    is_verified: bool,
    /// The place that it has at its host, where those are counted.
    place: Option<Place>,
    /// Feels each octet that comes or goes in a transaction, where somebody watches it.
    pulse: Option<Pulse>,
    minutes: Minutes,
}

/// What a session wants from somebody else than its socket.
#[derive(Debug)]
pub(super) enum Turn {
    Ready,
    StartTls,
    Content,
    Done(Report),
    Closed(Closed),
}

/// A content to be sent, and what it passes on its way.
pub(super) struct Load<'a> {
    pub(super) open: &'a OpenContent<'a>,
    pub(super) octets: u64,
    /// What is known of how it can be changed.
    pub(super) look: Look,
    pub(super) passage: &'a Passage,
    pub(super) sent: &'a Counter,
}

impl Connection {
    pub(super) fn new(
        stream: Box<dyn Stream>,
        session: Session,
        host: RemoteHost,
        piece_time_max: Duration,
    ) -> Self {
        Self {
            stream,
            session,
            host,
            buffer: vec![0; READ_OCTETS].into(),
            deadline: None,
            piece_time_max,
            transactions: 0,
            tls_failure: None,
            is_verified: false,
            place: None,
            pulse: None,
            minutes: Minutes::new(),
        }
    }

    /// Another attempt is about to use it.
    pub(super) fn begin_minutes(&mut self) {
        self.minutes.begin();
    }

    /// What was said in this attempt.
    pub(super) fn overheard(&mut self) -> Option<Overheard> {
        self.minutes.take()
    }

    /// Notes something that nobody has said.
    pub(super) fn note(&mut self, text: &str) {
        self.minutes.note(text);
    }

    fn next(&mut self) -> Step {
        self.minutes.next(&mut self.session)
    }

    /// Whether it has a place at its host.
    pub(super) fn has_place(&self) -> bool {
        self.place.is_some()
    }

    /// That place.
    pub(super) fn place(&mut self) -> Option<&mut Place> {
        self.place.as_mut()
    }

    /// Keeps a place for as long as it is open.
    pub(super) fn takes(&mut self, mut place: Option<Place>) {
        if let Some(place) = &mut place {
            place.opened();
        }
        self.place = place;
    }

    /// Whether a transaction came before the one that was begun last.
    pub(super) fn is_used(&self) -> bool {
        self.transactions > 1
    }

    /// The host at the other end.
    pub(super) fn host(&self) -> &RemoteHost {
        &self.host
    }

    /// Transactions begun on this connection.
    pub(super) fn transactions(&self) -> u32 {
        self.transactions
    }

    /// Puts another stream in place of this one, as a handshake does.
    pub(super) fn take_stream(&mut self) -> Box<dyn Stream> {
        std::mem::replace(&mut self.stream, Box::new(tokio::io::empty()))
    }

    pub(super) fn tls_started(
        &mut self,
        stream: Box<dyn Stream>,
        parameters: TlsParameters,
        trust: Trust,
    ) {
        self.stream = stream;
        self.is_verified = trust == Trust::Verified;
        let (version, cipher) = (&parameters.version, &parameters.cipher);
        self.minutes.note(&format!("[TLS: {version} {cipher}]"));
        self.host.tls = Some(parameters);
        self.session.tls_started();
    }

    /// The session is ready for messages: what the host can do is known now.
    pub(super) fn note_extensions(&mut self) {
        self.host.dsn = self.session.extensions().dsn;
        self.host.deliver_by = self.session.extensions().deliver_by.is_some();
        if let Some(reply) = self.session.tls_refusal() {
            self.tls_failure = Some(format!("{} does not start TLS ({reply})", self.host.name));
        }
    }

    /// It was opened in clear because TLS with this host had failed.
    pub(super) fn fell_back(&mut self, tls_failure: String) {
        self.tls_failure = Some(tls_failure);
    }

    /// Why it is in clear although the host offers TLS.
    pub(super) fn tls_failure(&self) -> Option<&str> {
        self.tls_failure.as_deref()
    }

    /// Whether it is under TLS with a host whose certificate is valid for its name.
    pub(super) fn is_verified(&self) -> bool {
        self.is_verified
    }

    /// Whether the host has told what it can do; after STARTTLS it has to tell anew.
    pub(super) fn has_greeted(&self) -> bool {
        *self.session.extensions() != Extensions::default()
    }

    /// What the host has said to EHLO, if HELO has no answer yet.
    pub(super) fn ehlo_refusal(&self) -> Option<Reply> {
        self.session.ehlo_refusal().cloned()
    }

    /// Whether the host lists STARTTLS, and has neither started nor refused to: where TLS is wanted, the
    /// command is under way.
    pub(super) fn is_starting_tls(&self) -> bool {
        self.session.extensions().starttls && !self.session.is_tls()
    }

    /// Whether the next transaction can begin at once.
    pub(super) fn is_ready(&mut self) -> bool {
        matches!(self.next(), Step::Ready)
    }

    /// How the conversation has ended, if it has.
    pub(super) fn ending(&mut self) -> Option<Closed> {
        match self.next() {
            Step::Closed(closed) => Some(closed),
            _ => None,
        }
    }

    /// Whether nothing has come since the last reply: neither a farewell nor the end.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let mut octets = ReadBuf::new(&mut self.buffer);
        matches!(
            Pin::new(&mut self.stream).poll_read(&mut context, &mut octets),
            Poll::Pending
        )
    }

    /// What the host has listed.
    pub(super) fn extensions(&self) -> &Extensions {
        self.session.extensions()
    }

    /// Hands one message over. None when it gave way to something very high before it was begun.
    ///
    /// # Errors
    /// [`Break`] when there is no reply for the recipients. The connection is of no use then.
    pub(super) async fn transact(
        &mut self,
        fitted: Fitted,
        load: &Load<'_>,
    ) -> Result<Option<Report>, Break> {
        // The one before may still have to be forgotten.
        let cause = match self.advance().await {
            Ok(Turn::Ready) => None,
            Ok(Turn::Closed(closed)) => Some(Cause::Closed(closed)),
            Ok(_) => Some(Cause::Closed(Closed::Protocol("no transaction can begin"))),
            Err(error) => Some(Cause::Lost(error)),
        };
        if let Some(cause) = cause {
            self.note_loss(&cause);
            return Err(Break::early(cause));
        }
        let Some(_transacting) = load.passage.begin() else {
            return Ok(None);
        };
        self.transactions = self.transactions.saturating_add(1);
        self.pulse = load.passage.pulse();
        let transacted = tokio::select! {
            biased;
            transacted = self.transact_begun(fitted, load) => transacted,
            () = load.passage.is_cut_off() => Err(self.cut_off(load.passage)),
        };
        self.pulse = None;
        if let Err(broken) = &transacted {
            self.note_loss(&broken.cause);
        }
        transacted.map(Some)
    }

    fn note_loss(&mut self, cause: &Cause) {
        match cause {
            Cause::Lost(error) => self.minutes.note(loss(error)),
            Cause::Content(_) => self.minutes.note("[the relay could not send the message]"),
            Cause::CutOff(how_far) => {
                let note = format!("[the relay stops: cut off {how_far}]");
                self.minutes.note(&note);
            }
            Cause::Cancelled => self.minutes.note("[the message was cancelled]"),
            Cause::Closed(_) => {}
        }
    }

    /// Where a transaction was that is left as it is: a host that has not got the end of the content forgets it.
    fn cut_off(&self, passage: &Passage) -> Break {
        let unwritten = self.session.output().len();
        Break {
            cause: Cause::CutOff(passage.how_far(unwritten)),
            is_unknown: self.session.is_outcome_unknown() && unwritten == 0,
            refusals: self.session.refusals(),
            at: None,
        }
    }

    async fn transact_begun(&mut self, fitted: Fitted, load: &Load<'_>) -> Result<Report, Break> {
        self.minutes.transaction_begins();
        self.session.begin(fitted.transaction);
        let conversion = fitted.conversion.as_deref();
        let mut began_content = false;
        let mut is_unknown = false;
        let cause = loop {
            match self.advance().await {
                Ok(Turn::Done(report)) => return Ok(report),
                Ok(Turn::Content) if !began_content => {
                    began_content = true;
                    match self.send_content(load, conversion).await {
                        Ok(Sent::Whole) => is_unknown = true,
                        Ok(Sent::CutShort(report)) => return Ok(report),
                        Err(cause) => break cause,
                    }
                }
                Ok(Turn::Closed(closed)) => break Cause::Closed(closed),
                Ok(Turn::Content | Turn::Ready | Turn::StartTls) => {
                    break Cause::Closed(Closed::Protocol("the transaction has no end"));
                }
                Err(error) => break Cause::Lost(error),
            }
        };
        Err(Break {
            cause,
            is_unknown,
            refusals: self.session.refusals(),
            at: self.session.awaited_recipient(),
        })
    }

    /// Takes what has come unasked, without waiting: a host may refuse a content that it has not
    /// read to its end.
    fn overhear(&mut self) -> io::Result<()> {
        let mut context = Context::from_waker(Waker::noop());
        let mut octets = ReadBuf::new(&mut self.buffer);
        match Pin::new(&mut self.stream).poll_read(&mut context, &mut octets) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(())) if octets.filled().is_empty() => {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            Poll::Ready(Ok(())) => {
                self.session.feed(octets.filled());
                if let Some(pulse) = &mut self.pulse {
                    pulse.has_heard();
                }
                Ok(())
            }
            Poll::Ready(Err(error)) => Err(error),
        }
    }

    /// Does what the session asks of its socket, until it asks for something else.
    ///
    /// # Errors
    /// What the network says; [`io::ErrorKind::TimedOut`] when a deadline has passed,
    /// [`io::ErrorKind::UnexpectedEof`] when the host has closed without a word.
    pub(super) async fn advance(&mut self) -> io::Result<Turn> {
        loop {
            match self.next() {
                Step::Send => {
                    if let Err(error) = self.flush().await {
                        // Who has refused us may not listen to a farewell, and has said why.
                        let closed = self.session.ending().cloned();
                        return closed.map(Turn::Closed).ok_or(error);
                    }
                }
                Step::Receive { within, wait } => self.receive(within, wait).await?,
                Step::StartTls => return Ok(Turn::StartTls),
                Step::Ready => return Ok(Turn::Ready),
                Step::Content => return Ok(Turn::Content),
                Step::Done(report) => return Ok(Turn::Done(report)),
                Step::Closed(closed) => return Ok(Turn::Closed(closed)),
            }
        }
    }

    /// Ends the conversation politely, if the host lets us.
    pub(super) async fn close(mut self) {
        self.session.quit();
        let farewell = async {
            while !matches!(self.advance().await, Ok(Turn::Closed(_)) | Err(_)) {}
            // Under TLS this says that nothing was cut off.
            self.stream.shutdown().await
        };
        // Whatever comes of it, the connection ends here.
        drop(timeout(FAREWELL_TIME_MAX, farewell).await);
    }

    /// The same, and leaves its place to another connection to the host.
    pub(super) async fn leave(mut self) -> Option<Place> {
        let mut place = self.place.take();
        self.close().await;
        if let Some(place) = &mut place {
            place.closed();
        }
        place
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.minutes.sending(&self.session);
        let deadline = Instant::now() + self.piece_time_max;
        while !self.session.output().is_empty() {
            let write = self.stream.write(self.session.output());
            match timeout_at(deadline, write).await?? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                octets => self.session.sent(octets),
            }
            if let Some(pulse) = &mut self.pulse {
                pulse.has_written();
            }
        }
        timeout_at(deadline, self.stream.flush()).await?
    }

    async fn receive(&mut self, within: Duration, wait: u64) -> io::Result<()> {
        let deadline = match self.deadline {
            Some((awaited, deadline)) if awaited == wait => deadline,
            _ => Instant::now() + within,
        };
        self.deadline = Some((wait, deadline));
        match timeout_at(deadline, self.stream.read(&mut self.buffer)).await?? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            octets => {
                self.session.feed(&self.buffer[..octets]);
                if let Some(pulse) = &mut self.pulse {
                    pulse.has_heard();
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
