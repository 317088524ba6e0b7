//! One connection to a sink: does what the protocol core's session asks for.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use outpost_smtp::Reply;
use outpost_smtp::server::{Answer, Question, Security, Session, Settings, Step};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::Sink;
use super::envelope::{Client, Envelope, bare, readable};
use super::options::{Action, Stage};
use super::record::{Digesting, Event, MessageNumber};
use super::store::Incoming;

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
    number: MessageNumber,
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
        let session = match sink.options.at(Stage::Connect) {
            Some(action @ (Action::Refuse | Action::Defer)) => {
                Session::refuse(settings, Stage::Connect.reply(action))
            }
            _ => Session::without_login(settings, Security::Plain),
        };
        Self {
            sink,
            stream,
            session,
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
    /// What the network says when it breaks.
    pub(super) async fn serve(mut self) -> io::Result<()> {
        if self.sink.options.at(Stage::Connect) == Some(Action::Hang) {
            return self.hang().await;
        }
        let ended = self.converse().await;
        self.discard();
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
                Step::Ask(question) => match self.decide(question) {
                    Decision::Answer(answer) => self.session.answer(answer),
                    Decision::Never => return self.hang().await,
                },
                Step::Content => {
                    if let Err(error) = self.take_content() {
                        return Err(self.sink.complain(error));
                    }
                    self.session.content_taken();
                }
                Step::Reset => self.envelope = None,
                Step::Discard => self.discard(),
                // A sink speaks in clear and does not offer it.
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
        let Ok(read) = timeout_at(deadline, limited.read_buf(input)).await else {
            self.session
                .end(Reply::new(421, (4, 4, 2), "nothing came in time"));
            return Ok(true);
        };
        let octets = read?;
        self.slow_down(octets);
        Ok(octets > 0)
    }

    /// Waits until content may be read again, and says how much of it.
    async fn octets_allowed(&self) -> usize {
        let (Some(speed), Some(_)) = (self.sink.options.bytes_per_second, &self.content) else {
            return READ_OCTETS_MAX;
        };
        sleep_until(self.readable_at).await;
        // Ten times a second, so that a slow sink is slow smoothly.
        usize::try_from(speed.get() / 10)
            .unwrap_or(READ_OCTETS_MAX)
            .clamp(1, READ_OCTETS_MAX)
    }

    fn slow_down(&mut self, octets: usize) {
        let Some(speed) = self.sink.options.bytes_per_second else {
            return;
        };
        let octets = u32::try_from(octets).unwrap_or(u32::MAX);
        let pause =
            Duration::from_secs(1) * octets / u32::try_from(speed.get()).unwrap_or(u32::MAX);
        self.readable_at = self.readable_at.max(Instant::now()) + pause;
    }

    fn decide(&mut self, question: Question) -> Decision {
        let refusal = match &question {
            Question::Authenticate { .. } => {
                return Decision::Answer(Answer::Refuse(Reply::new(
                    535,
                    (5, 7, 8),
                    "a sink has no logins",
                )));
            }
            Question::Mail { .. } => self.sink.options.at(Stage::Mail).map(|a| (Stage::Mail, a)),
            Question::Recipient { forward_path, .. } => {
                let path = forward_path.to_string();
                let action = self.sink.options.at_recipient(bare(&path));
                action.map(|action| (Stage::Rcpt, action))
            }
            Question::Data { .. } => self.sink.options.at(Stage::Data).map(|a| (Stage::Data, a)),
            Question::EndOfContent { .. } => {
                self.sink.options.at(Stage::Dot).map(|a| (Stage::Dot, a))
            }
        };
        let done = match question {
            Question::EndOfContent { .. } => self.finish(refusal.is_none()),
            _ if refusal.is_some() => Ok(()),
            Question::Mail {
                reverse_path,
                parameters,
            } => {
                self.envelope = Some(Envelope::new(reverse_path, parameters));
                Ok(())
            }
            Question::Recipient {
                forward_path,
                parameters,
            } => {
                if let Some(envelope) = &mut self.envelope {
                    envelope.recipients.push((forward_path, parameters));
                }
                Ok(())
            }
            Question::Data { .. } => self.begin(),
            Question::Authenticate { .. } => Ok(()),
        };
        match (refusal, done) {
            (Some((_, Action::Hang)), _) => Decision::Never,
            (Some((stage, action)), _) => Decision::Answer(Answer::Refuse(stage.reply(action))),
            (None, Ok(())) => Decision::Answer(Answer::Accept),
            (None, Err(error)) => {
                self.sink.complain(error);
                let reply = Reply::new(451, (4, 3, 0), "this sink cannot write");
                Decision::Answer(Answer::Refuse(reply))
            }
        }
    }

    /// Content is about to come.
    fn begin(&mut self) -> io::Result<()> {
        self.messages += 1;
        let number = MessageNumber {
            connection: self.number,
            message: self.messages,
        };
        if let Some(recorder) = &self.sink.recorder {
            recorder.write(number, Event::Begin)?;
        }
        let incoming = match &self.sink.store {
            Some(store) => Some(store.begin(number)?),
            None => None,
        };
        let digesting = Digesting::default();
        self.content = Some(Content {
            number,
            digesting,
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
            recorder.write(
                content.number,
                Event::Chunk {
                    octets: piece.len(),
                    offset,
                },
            )?;
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
        Ok(())
    }

    /// All content has come.
    fn finish(&mut self, is_accepted: bool) -> io::Result<()> {
        let (Some(content), Some(envelope)) = (self.content.take(), self.envelope.take()) else {
            return Ok(());
        };
        let Content {
            number,
            digesting,
            incoming,
            printed,
        } = content;
        let digests = digesting.finish();
        if let Some(recorder) = &self.sink.recorder {
            recorder.write(
                number,
                Event::End {
                    digests: &digests,
                    is_accepted,
                },
            )?;
        }
        let client = Client {
            address: self.client,
            ehlo: self.session.ehlo().unwrap_or_default().to_owned(),
        };
        match incoming {
            Some(incoming) if is_accepted => {
                incoming.finish(&envelope.to_json(number, &client, &digests))?;
            }
            Some(incoming) => incoming.forget()?,
            None => {}
        }
        if self.sink.options.print && is_accepted {
            let mut text = envelope.to_text(number, &client);
            text.push('\n');
            text.push_str(&readable(&printed));
            let left = digests
                .octets
                .saturating_sub(u64::try_from(printed.len()).unwrap_or(0));
            if left > 0 {
                text.push_str(&format!("\n[{left} more octets]\n"));
            }
            println!("{text}");
        }
        self.sink.count();
        Ok(())
    }

    /// The transaction is void, and content with it.
    fn discard(&mut self) {
        self.envelope = None;
        let Some(content) = self.content.take() else {
            return;
        };
        if let Some(recorder) = &self.sink.recorder {
            let octets = content.digesting.octets();
            if let Err(error) = recorder.write(content.number, Event::Broken { octets }) {
                self.sink.complain(error);
            }
        }
        if let Some(Err(error)) = content.incoming.map(Incoming::forget) {
            self.sink.complain(error);
        }
    }

    /// Says nothing more, until the client has had enough of it.
    async fn hang(&mut self) -> io::Result<()> {
        let mut ignored = vec![0; 4096];
        while self.stream.read(&mut ignored).await? > 0 {}
        Ok(())
    }
}
