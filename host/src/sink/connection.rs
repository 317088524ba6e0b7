//! One connection to a sink: does what the protocol core's session asks for.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use outpost_smtp::Reply;
use outpost_smtp::server::{Answer, Question, Security, Session, Settings, Step};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::Sink;
use super::envelope::{Client, Envelope, bare};
use super::options::{Action, Stage};
use super::record::{Digesting, Event};
use super::store::{Incoming, Number};

/// Octets of commands that are read at once by a sink that is slow.
const COMMANDS_OCTETS: usize = 512;

/// Octets read at once.
const READ_OCTETS_MAX: usize = 64 * 1024;

/// Content kept for printing; a terminal is no place for more.
const PRINTED_OCTETS_MAX: usize = 64 * 1024;

/// A connection and where it stands.
pub(super) struct Connection {
    sink: Arc<Sink>,
    stream: TcpStream,
    session: Session,
    client: SocketAddr,
    number: u64,
    messages: u64,
    envelope: Option<Envelope>,
    content: Option<Content>,
    deadline: Option<(u64, Instant)>,
    /// When the next octets of content may be read.
    readable_at: Instant,
}

/// A content that is coming in.
struct Content {
    number: Number,
    digesting: Digesting,
    incoming: Option<Incoming>,
    printed: Vec<u8>,
}

/// How a question is answered.
enum Decision {
    Answer(Answer),
    Never,
}

impl Connection {
    pub(super) fn new(
        sink: Arc<Sink>,
        settings: Arc<Settings>,
        stream: TcpStream,
        client: SocketAddr,
        number: u64,
    ) -> Self {
        Self {
            sink,
            stream,
            session: Session::without_login(settings, Security::Plain),
            client,
            number,
            messages: 0,
            envelope: None,
            content: None,
            deadline: None,
            readable_at: Instant::now(),
        }
    }

    /// Serves the client until the connection ends.
    ///
    /// # Errors
    /// What the network says when it breaks, or the disk.
    pub(super) async fn serve(mut self, settings: Arc<Settings>) -> io::Result<()> {
        self.record(|| Event::Connect {
            client: self.client,
        })?;
        let misdeed = self.sink.options.at(Stage::Connect);
        let ended = match misdeed.map(|action| Stage::Connect.reply(action)) {
            Some(None) => self.hang().await,
            Some(Some(reply)) => {
                self.session = Session::refuse(settings, reply);
                self.converse().await
            }
            None => self.converse().await,
        };
        self.discard()?;
        self.record(|| Event::Disconnect)?;
        ended
    }

    async fn converse(&mut self) -> io::Result<()> {
        loop {
            match self.session.next() {
                Step::Send => {
                    let octets = self.session.output().len();
                    self.stream.write_all(self.session.output()).await?;
                    self.session.sent(octets);
                }
                Step::Receive { within, wait } => {
                    if !self.receive(within, wait).await? {
                        return Ok(());
                    }
                }
                Step::Ask(question) => match self.decide(question)? {
                    Decision::Answer(answer) => self.session.answer(answer),
                    Decision::Never => return self.hang().await,
                },
                Step::Content => {
                    self.take_content()?;
                    self.session.content_taken();
                }
                Step::Reset => self.envelope = None,
                Step::Discard { .. } => self.discard()?,
                // A sink speaks in clear and does not offer anything else.
                Step::StartTls | Step::Close => return self.stream.shutdown().await,
            }
        }
    }

    /// Reads what has come; false at the end.
    async fn receive(&mut self, within: Duration, wait: u64) -> io::Result<bool> {
        let deadline = match self.deadline {
            Some((current, deadline)) if current == wait => deadline,
            _ => Instant::now() + within,
        };
        self.deadline = Some((wait, deadline));
        let octets_max = self.octets_allowed().await;
        let input = self.session.input();
        input.reserve(octets_max.min(READ_OCTETS_MAX));
        let mut limited = (&mut self.stream).take(u64::try_from(octets_max).unwrap_or(u64::MAX));
        let read = timeout_at(deadline, limited.read_buf(input)).await;
        self.session.tell_time(self.sink.since_epoch());
        let Ok(read) = read else {
            self.session
                .end(Reply::new(421, (4, 4, 2), "nothing came in time"));
            return Ok(true);
        };
        Ok(read? > 0)
    }

    /// Waits until content may be read again, and says how much of it. Behind a command content may stand at
    /// once (BDAT), so what is read with commands is bounded too, and not slowed down.
    async fn octets_allowed(&self) -> usize {
        let Some(speed) = self.sink.options.bytes_per_second else {
            return READ_OCTETS_MAX;
        };
        // Ten times a second, so that a slow sink is slow smoothly.
        let piece = usize::try_from(speed.get() / 10).unwrap_or(READ_OCTETS_MAX);
        if self.content.is_none() {
            return COMMANDS_OCTETS;
        }
        sleep_until(self.readable_at).await;
        piece.clamp(1, READ_OCTETS_MAX)
    }

    fn slow_down(&mut self, octets: usize) {
        let Some(speed) = self.sink.options.bytes_per_second else {
            return;
        };
        let octets = u32::try_from(octets).unwrap_or(u32::MAX);
        let speed = u32::try_from(speed.get()).unwrap_or(u32::MAX);
        let pause = Duration::from_secs(1) * octets / speed;
        self.readable_at = self.readable_at.max(Instant::now()) + pause;
    }

    /// Answers as the sink was told to.
    fn decide(&mut self, question: Question) -> io::Result<Decision> {
        let (stage, action) = match &question {
            Question::Authenticate { .. } => {
                // Not offered, so not asked.
                let reply = Reply::new(503, (5, 5, 1), "a sink has no logins");
                return Ok(Decision::Answer(Answer::Refuse(reply)));
            }
            Question::Mail { reverse_path, .. } => {
                let action = self.sink.options.at(Stage::Mail);
                self.record_command("mail", &reverse_path.to_string(), Stage::Mail, action)?;
                (Stage::Mail, action)
            }
            Question::Recipient { forward_path, .. } => {
                let path = forward_path.to_string();
                let action = self.sink.options.at_recipient(bare(&path));
                self.record_command("rcpt", &path, Stage::Rcpt, action)?;
                (Stage::Rcpt, action)
            }
            Question::Data { .. } => (Stage::Data, self.sink.options.at(Stage::Data)),
            Question::EndOfContent { .. } => (Stage::Dot, self.sink.options.at(Stage::Dot)),
        };
        match question {
            Question::EndOfContent { .. } => self.finish(action.is_none())?,
            _ if action.is_some() => {}
            Question::Mail {
                reverse_path,
                parameters,
            } => self.envelope = Some(Envelope::new(reverse_path, parameters)),
            Question::Recipient {
                forward_path,
                parameters,
            } => {
                if let Some(envelope) = &mut self.envelope {
                    envelope.recipients.push((forward_path, parameters));
                }
            }
            Question::Data { .. } => self.begin()?,
            Question::Authenticate { .. } => {}
        }
        Ok(match action.map(|action| stage.reply(action)) {
            None => Decision::Answer(Answer::Accept),
            Some(Some(reply)) => Decision::Answer(Answer::Refuse(reply)),
            Some(None) => Decision::Never,
        })
    }

    fn record_command(
        &self,
        verb: &'static str,
        path: &str,
        stage: Stage,
        action: Option<Action>,
    ) -> io::Result<()> {
        let code = match action {
            None => Some(250),
            Some(action) => stage.reply(action).map(|reply| reply.code),
        };
        self.record(|| Event::Command {
            verb,
            address: bare(path).to_owned(),
            code,
        })
    }

    /// Content is about to come.
    fn begin(&mut self) -> io::Result<()> {
        self.messages += 1;
        let number = Number {
            connection: self.number,
            message: self.messages,
        };
        self.record(|| Event::Begin {
            message: number.message,
        })?;
        let incoming = match &self.sink.store {
            Some(store) => Some(store.begin(number)?),
            None => None,
        };
        self.content = Some(Content {
            number,
            digesting: Digesting::new(self.sink.wants_digests()),
            incoming,
            printed: Vec::new(),
        });
        self.readable_at = Instant::now();
        Ok(())
    }

    fn take_content(&mut self) -> io::Result<()> {
        let Some(content) = &mut self.content else {
            return Ok(());
        };
        let piece = self.session.content();
        let offset = content.digesting.take(piece);
        if let Some(recorder) = &self.sink.recorder {
            let chunk = Event::Chunk {
                message: content.number.message,
                octets: piece.len(),
                offset,
            };
            recorder.write(self.number, chunk)?;
        }
        if let Some(incoming) = &mut content.incoming {
            incoming.write(piece)?;
        }
        if self.sink.options.print {
            let room = PRINTED_OCTETS_MAX - content.printed.len();
            content
                .printed
                .extend_from_slice(&piece[..room.min(piece.len())]);
        }
        let octets = piece.len();
        self.slow_down(octets);
        Ok(())
    }

    /// All content has come.
    fn finish(&mut self, is_accepted: bool) -> io::Result<()> {
        let (Some(content), Some(envelope)) = (self.content.take(), self.envelope.take()) else {
            return Ok(());
        };
        let digests = content.digesting.finish();
        self.record(|| Event::End {
            message: content.number.message,
            digests: digests.clone(),
            is_accepted,
        })?;
        if !is_accepted {
            return content.incoming.map_or(Ok(()), Incoming::forget);
        }
        let client = Client {
            address: self.client,
            ehlo: self.session.ehlo().unwrap_or_default().to_owned(),
        };
        if let Some(incoming) = content.incoming {
            incoming.finish(&envelope.to_json(content.number, &client, &digests))?;
        }
        if self.sink.options.print {
            let text = envelope.to_text(content.number, &client, &content.printed, digests.octets);
            // A terminal that has gone away is no reason to stop.
            drop(writeln!(io::stdout().lock(), "{text}"));
        }
        self.sink.count();
        Ok(())
    }

    /// The transaction is void, and content with it.
    fn discard(&mut self) -> io::Result<()> {
        self.envelope = None;
        let Some(content) = self.content.take() else {
            return Ok(());
        };
        self.record(|| Event::Broken {
            message: content.number.message,
            octets: content.digesting.octets(),
        })?;
        content.incoming.map_or(Ok(()), Incoming::forget)
    }

    fn record(&self, event: impl FnOnce() -> Event) -> io::Result<()> {
        match &self.sink.recorder {
            Some(recorder) => recorder.write(self.number, event()),
            None => Ok(()),
        }
    }

    /// Says nothing more, until the client has had enough of it.
    async fn hang(&mut self) -> io::Result<()> {
        let mut ignored = vec![0; 4096];
        while self.stream.read(&mut ignored).await? > 0 {}
        Ok(())
    }
}
