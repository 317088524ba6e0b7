//! The driver of one client connection: moves octets between the socket and the protocol core,
//! keeps the deadlines that the core asks for, and puts the core's questions to the dialogue.
//!
//! It knows nothing of SMTP. A deadline belongs to what is awaited, not to a read, so that no
//! client can extend one octet by octet.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use outpost_smtp::server::{Answer, Question, Session, Step};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::acceptor::Ending;
use super::dialogue::Dialogue;
use super::handshake::Handshaking;
use super::minutes::Minutes;
use super::posting::Posting;
use super::{Reception, replies};
use crate::message::Timestamp;
use crate::tls::{self, ServerStream};

/// Octets of content taken from a socket at once. They pass through the stack, so that a connection that
/// waits holds no buffer.
const READ_OCTETS: usize = 64 * 1024;

/// Octets of commands taken at once. A client that reads no replies has them kept for it, and a thousand
/// commands are no faster in one piece.
const COMMANDS_OCTETS: usize = 16 * 1024;

/// Work that a connection may do without waiting for anything before others have their turn: a client
/// that always has more to say, and is never waited for, would keep a thread for tens of milliseconds.
/// A command with its answer is one, a question four, and so is a KiB of replies.
const WORK_MAX: usize = 64;

/// How long the farewell of a connection may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Who is at the other end, and of what.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub address: SocketAddr,
    pub listener_port: u16,
    pub implicit_tls: bool,
    /// Where it came by HTTP: what it says beside the session, and is told there.
    pub posting: Option<Arc<Posting>>,
}

/// One client connection.
pub(super) struct Connection<S> {
    reception: Arc<Reception>,
    stream: Stream<S>,
    session: Session,
    dialogue: Dialogue,
    minutes: Minutes,
    client: Client,
    deadlines: Deadlines,
    ending: watch::Receiver<Ending>,
    /// Work done since the client was last waited for.
    work: usize,
}

enum Stream<S> {
    Clear(S),
    Tls(Box<ServerStream<Handshaking<S>>>),
    /// In the middle of a handshake, or after one that failed.
    Gone,
}

/// What a client has to finish, and by when.
struct Deadlines {
    /// The awaited thing that `until` belongs to.
    wait: Option<u64>,
    until: Instant,
    /// By when somebody has to be logged in.
    login: Instant,
}

/// The connection is over.
enum Over {
    /// The client says no more. It may be told of our end all the same.
    Closed,
    /// Nothing more can be said to the client.
    Lost,
}

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Self {
        Over::Lost
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(
        reception: Arc<Reception>,
        stream: S,
        session: Session,
        client: Client,
        ending: watch::Receiver<Ending>,
    ) -> Self {
        let now = Instant::now();
        let deadlines = Deadlines {
            wait: None,
            until: now,
            login: now + reception.protocol.load().timeouts.login,
        };
        let dialogue = Dialogue::new(Arc::clone(&reception), client.clone());
        let mut minutes = Minutes::new();
        if client.posting.is_some() {
            minutes.spoken_for();
        }
        let stream = Stream::Clear(stream);
        Self {
            reception,
            stream,
            session,
            dialogue,
            minutes,
            client,
            deadlines,
            ending,
            work: 0,
        }
    }

    /// Serves the client until the connection ends.
    pub(super) async fn run(mut self) {
        if self.client.implicit_tls && self.handshake().await.is_err() {
            return;
        }
        // Whatever was under way when a connection is lost is forgotten with it: the client has no
        // 250, so the message is still the client's.
        match self.converse().await {
            // RFC 8446 §6.1: who is told of the end of one direction tells of that of the other.
            Ok(()) | Err(Over::Closed) => {
                let _ = timeout(CLOSE_WITHIN, self.close()).await;
            }
            Err(Over::Lost) => {}
        }
    }

    async fn converse(&mut self) -> Result<(), Over> {
        loop {
            let minutes = &mut self.minutes;
            let step = self
                .session
                .next_heard(&mut |heard, output| minutes.hear(heard, output));
            self.take_turns(&step).await;
            match step {
                Step::Send => self.send().await?,
                Step::Receive { within, wait } => self.receive(within, wait).await?,
                Step::Content => {
                    self.dialogue.content(self.session.content()).await;
                    self.session.content_taken();
                }
                Step::Ask(question) => self.answer(question).await,
                Step::Discard { refusal } => {
                    let output = self.session.output();
                    self.minutes.forget(output, refusal.is_some());
                    self.dialogue.discard(refusal);
                }
                Step::Reset => {
                    self.minutes.forget(self.session.output(), false);
                    self.dialogue.reset();
                }
                Step::StartTls => {
                    self.handshake().await?;
                    self.session.tls_started();
                }
                Step::Close => return Ok(()),
            }
        }
    }

    /// Puts the question to the dialogue. A client that logs in has no transaction yet, and its answer may be held
    /// back: that keeps no stop waiting.
    async fn answer(&mut self, question: Question) {
        let is_login = matches!(question, Question::Authenticate { .. });
        let is_about_content = matches!(question, Question::Data { .. });
        let mut ends = false;
        if let Question::EndOfContent { octets } = question {
            self.minutes.see(self.session.output());
            self.minutes.content_ends(octets);
            ends = true;
        }
        tokio::select! {
            biased;
            answer = self.dialogue.answer(question, &self.session, &mut self.minutes) => {
                match answer {
                    Answer::Accept | Answer::AcceptWith(_) if ends => self.minutes.message_taken(),
                    Answer::Accept | Answer::AcceptWith(_) => {}
                    _ if ends => self.minutes.message_refused(),
                    _ if is_about_content => self.minutes.forget(self.session.output(), false),
                    _ => {}
                }
                self.session.answer(answer);
            }
            _ = self.ending.wait_for(|ending| *ending > Ending::Nobody), if is_login => {
                self.session.end(replies::shutting_down());
            }
        }
    }

    /// Lets others go on when this connection has worked for long without waiting.
    async fn take_turns(&mut self, step: &Step) {
        self.work += match step {
            Step::Send => self.session.output().len().div_ceil(256),
            Step::Ask(_) => 4,
            _ => 1,
        };
        if self.work > WORK_MAX {
            self.work = 0;
            tokio::task::yield_now().await;
        }
    }

    async fn send(&mut self) -> Result<(), Over> {
        let ended_by = self.ended_by();
        let output = self.session.output();
        self.minutes.see(output);
        let octets = output.len();
        {
            let sending = async {
                self.stream.write_all(output).await?;
                self.stream.flush().await
            };
            let sending = timeout(self.reception.settings.send_within, sending);
            tokio::pin!(sending);
            let sent = tokio::select! {
                biased;
                sent = &mut sending => Some(sent),
                _ = self.ending.wait_for(|ending| *ending >= ended_by) => None,
            };
            // A client that does not read cannot be told of an end, and has as much time as for a farewell.
            let sent = match sent {
                Some(sent) => sent,
                None => timeout(CLOSE_WITHIN, sending)
                    .await
                    .map_err(|_| Over::Lost)?,
            };
            sent.map_err(|_| Over::Lost)??;
        }
        self.session.sent(octets);
        self.minutes.sent(octets);
        Ok(())
    }

    /// From when on the session has to end.
    fn ended_by(&self) -> Ending {
        if self.session.in_transaction() {
            Ending::Everybody
        } else {
            Ending::Idle
        }
    }

    /// Waits for the client, for as long as what is awaited may take.
    async fn receive(&mut self, within: Duration, wait: u64) -> Result<(), Over> {
        let mut until = self.deadlines.for_wait(wait, within);
        if !self.session.is_authenticated() {
            until = until.min(self.deadlines.login);
        }
        let ended_by = self.ended_by();
        // Looked at first: a client that never stops sending would hide it behind its octets.
        if *self.ending.borrow() >= ended_by {
            self.session.end(replies::shutting_down());
            return Ok(());
        }
        let read = self.stream.read_into(&mut self.session, &mut self.work);
        tokio::select! {
            biased;
            read = timeout_at(until, read) => match read {
                Ok(Ok(0)) => return Err(Over::Closed),
                Ok(Ok(_)) => {
                    let now = self.reception.clock.now();
                    self.session.tell_time(now.since(Timestamp::EPOCH));
                }
                Ok(Err(_)) => return Err(Over::Lost),
                Err(_) => self.session.end(replies::timed_out()),
            },
            _ = self.ending.wait_for(|ending| *ending >= ended_by) => {
                self.session.end(replies::shutting_down());
            }
        }
        Ok(())
    }

    /// Closes. A client that was cut off in the middle of something is listened to until it closes
    /// too: to close with its octets unread would make the system throw away our last reply.
    async fn close(&mut self) -> io::Result<()> {
        self.stream.close().await?;
        if self.session.is_cut_off() {
            while self.stream.skip().await? > 0 {}
        }
        Ok(())
    }

    async fn handshake(&mut self) -> Result<(), Over> {
        let Stream::Clear(stream) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(Over::Lost);
        };
        let stream = Handshaking::new(stream);
        let accepting = self.reception.tls.acceptor().accept(stream);
        let (handshake_within, login_within) = {
            let timeouts = &self.reception.protocol.load().timeouts;
            (timeouts.tls_handshake, timeouts.login)
        };
        let accepting = timeout(handshake_within, accepting);
        let accepted = tokio::select! {
            biased;
            accepted = accepting => accepted,
            // Nothing can be said in the middle of a handshake, and there is no transaction in one.
            _ = self.ending.wait_for(|ending| *ending > Ending::Nobody) => return Err(Over::Lost),
        };
        let late = || io::Error::new(io::ErrorKind::TimedOut, "it took too long");
        let mut stream = match accepted.unwrap_or_else(|_| Err(late())) {
            Ok(stream) => stream,
            Err(error) => {
                self.reception.metrics.failed_handshakes.inc();
                let Client {
                    address,
                    listener_port,
                    ..
                } = &self.client;
                tracing::debug!(client = %address.ip(), port = *listener_port, %error, "no TLS with this client");
                return Err(Over::Lost);
            }
        };
        stream.get_mut().0.is_over();
        let parameters = tls::parameters(stream.get_ref().1);
        if let Some(parameters) = &parameters {
            self.minutes.tls_started(parameters);
        }
        self.dialogue.tls_started(parameters);
        self.stream = Stream::Tls(Box::new(stream));
        // A login is forgotten, and there is as much time for the next one.
        self.deadlines.login = Instant::now() + login_within;
        Ok(())
    }
}

impl Deadlines {
    fn for_wait(&mut self, wait: u64, within: Duration) -> Instant {
        if self.wait != Some(wait) {
            self.wait = Some(wait);
            self.until = Instant::now() + within;
        }
        self.until
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    /// Feeds the session with what the client has sent; the number of octets, 0 at the end. Where it has to
    /// be waited for, the work before is forgotten.
    async fn read_into(&mut self, session: &mut Session, work: &mut usize) -> io::Result<usize> {
        let octets_max = if session.takes_content() {
            READ_OCTETS
        } else {
            COMMANDS_OCTETS
        };
        let read = self.read(octets_max, |octets| session.feed(octets));
        tokio::pin!(read);
        poll_fn(|context| {
            let polled = read.as_mut().poll(context);
            if polled.is_pending() {
                *work = 0;
            }
            polled
        })
        .await
    }

    /// Throws away what the client has sent; the number of octets, 0 at the end.
    async fn skip(&mut self) -> io::Result<usize> {
        self.read(READ_OCTETS, |_| ()).await
    }

    async fn read(&mut self, octets_max: usize, mut take: impl FnMut(&[u8])) -> io::Result<usize> {
        poll_fn(|context| {
            let mut space = [const { MaybeUninit::uninit() }; READ_OCTETS];
            let mut buffer = ReadBuf::uninit(&mut space[..octets_max.min(READ_OCTETS)]);
            let polled = match self {
                Stream::Clear(stream) => Pin::new(stream).poll_read(context, &mut buffer),
                Stream::Tls(stream) => Pin::new(stream).poll_read(context, &mut buffer),
                Stream::Gone => return std::task::Poll::Ready(Ok(0)),
            };
            polled.map_ok(|()| {
                take(buffer.filled());
                buffer.filled().len()
            })
        })
        .await
    }

    async fn write_all(&mut self, octets: &[u8]) -> io::Result<()> {
        match self {
            Stream::Clear(stream) => stream.write_all(octets).await,
            Stream::Tls(stream) => stream.write_all(octets).await,
            Stream::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Clear(stream) => stream.flush().await,
            Stream::Tls(stream) => stream.flush().await,
            Stream::Gone => Ok(()),
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        match self {
            Stream::Clear(stream) => stream.shutdown().await,
            Stream::Tls(stream) => stream.shutdown().await,
            Stream::Gone => Ok(()),
        }
    }
}
