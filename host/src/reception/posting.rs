//! Messages that come by HTTP: handed over to a session like any other, by a client inside the relay.
//!
//! There is one way into the spool. What is posted has its own connection (in memory) with its own place among the
//! clients, and the protocol core's client says there what a mail program would: the login, the envelope, the content in
//! chunks as they arrive, so that a content that is refused is refused while it comes. Limits, deadlines, components,
//! the trail and the figures are those of every session. What SMTP has no words for goes beside it, in a [`Posting`].
//! How a post was written down is the admin surface's business.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use outpost_smtp::client::{
    self, Closed, Report, Session, Step, Tls, Transaction, TransactionRecipient,
};
use outpost_smtp::{Body, Credentials, Mailbox, Reply, ReversePath, Timeouts};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::acceptor::Door;
use super::replies;
use crate::message::{Class, MessageId, NotPosted, Post, PostedContent, Receipt};

/// Octets on their way between the two sessions, in either direction: what a session takes at once.
const PIPE_OCTETS: usize = 64 * 1024;

/// Octets of replies that are read at once.
const READ_OCTETS: usize = 1024;

/// What goes beside the session of a message that comes by HTTP.
#[derive(Debug, Default)]
pub(super) struct Posting {
    priority: Option<String>,
    taken: OnceLock<(MessageId, Class)>,
    retry_after: OnceLock<Duration>,
}

impl Posting {
    /// The priority that the client asks for, as it was given.
    pub(super) fn priority(&self) -> Option<&str> {
        self.priority.as_deref()
    }

    /// The message is on stable storage.
    pub(super) fn taken(&self, id: MessageId, class: Class) {
        self.taken.get_or_init(|| (id, class));
    }

    /// Nothing was decided about the login.
    pub(super) fn put_off(&self, retry_after: Duration) {
        self.retry_after.get_or_init(|| retry_after);
    }
}

/// Where messages come in by HTTP.
pub struct Entrance {
    door: Door,
}

impl Entrance {
    pub(super) fn new(door: Door) -> Self {
        Self { door }
    }

    /// Takes a message. It is on stable storage when this returns a receipt. Who gives it up before has what a client
    /// has whose connection broke: nothing was taken unless the content had come to its end.
    ///
    /// # Errors
    /// Why nothing was taken.
    pub async fn take(&self, post: Post) -> Result<Receipt, NotPosted> {
        let Post {
            mut client,
            credentials,
            reverse_path,
            recipients,
            priority,
            content_octets,
            mut content,
        } = post;
        client.set_ip(client.ip().to_canonical());
        let posting = Arc::new(Posting {
            priority,
            ..Posting::default()
        });
        let (stream, far_end) = duplex(PIPE_OCTETS);
        self.door.begin(far_end, client, Some(Arc::clone(&posting)));
        let transaction = transaction(reverse_path, recipients, content_octets);
        let speaker = Speaker {
            session: Session::new(settings(client, credentials)),
            stream,
            is_shut: false,
            posting,
            refused: None,
        };
        speaker.run(transaction, content.as_mut()).await
    }
}

/// Says for a client what is to be said.
struct Speaker {
    session: Session,
    stream: DuplexStream,
    /// The other end reads no more. It may have said why.
    is_shut: bool,
    posting: Arc<Posting>,
    /// Who was refused before the content began; none before that.
    refused: Option<Vec<Option<Reply>>>,
}

impl Speaker {
    /// The conversation. Nothing here has a deadline: at the other end is the relay itself, which ends what takes too
    /// long.
    async fn run(
        mut self,
        transaction: Transaction,
        content: &mut dyn PostedContent,
    ) -> Result<Receipt, NotPosted> {
        let mut transaction = Some(transaction);
        loop {
            match self.session.next() {
                Step::Send => self.send().await,
                Step::Receive { .. } => self.receive().await?,
                Step::Ready => {
                    let Some(transaction) = transaction.take() else {
                        return Err(self.lost());
                    };
                    if self.is_too_large(&transaction) {
                        return Err(NotPosted::Refused(replies::too_large()));
                    }
                    self.session.begin(transaction);
                }
                Step::Content => self.content(content).await?,
                Step::Done(report) => return self.concluded(report),
                Step::Closed(closed) => return Err(self.closed(closed)),
                // Never asked for.
                Step::StartTls => return Err(self.lost()),
            }
        }
    }

    /// Whether the relay would refuse it for what it says of its size: then nothing of it has to come.
    fn is_too_large(&self, transaction: &Transaction) -> bool {
        let listed = self.session.extensions().size.filter(|max| *max > 0);
        matches!((transaction.size, listed), (Some(size), Some(max)) if size > max)
    }

    async fn send(&mut self) {
        let output = self.session.output();
        let octets = output.len();
        if !self.is_shut {
            self.is_shut = self.stream.write_all(output).await.is_err();
        }
        self.session.sent(octets);
    }

    async fn receive(&mut self) -> Result<(), NotPosted> {
        let mut octets = [0; READ_OCTETS];
        match self.stream.read(&mut octets).await {
            Ok(read @ 1..) => {
                self.session.feed(&octets[..read]);
                Ok(())
            }
            Ok(0) | Err(_) => Err(self.lost()),
        }
    }

    /// Takes the next piece of the content, or what the relay has to say first: it waits for the client no longer
    /// than for any other.
    async fn content(&mut self, content: &mut dyn PostedContent) -> Result<(), NotPosted> {
        if self.refused.is_none() {
            self.refused = Some(self.session.refusals());
        }
        if self.is_shut {
            return self.receive().await;
        }
        let mut octets = [0; READ_OCTETS];
        tokio::select! {
            biased;
            read = self.stream.read(&mut octets) => match read {
                Ok(read @ 1..) => self.session.feed(&octets[..read]),
                Ok(0) | Err(_) => return Err(self.lost()),
            },
            piece = content.next() => match piece {
                Ok(Some(piece)) => self.session.write_content(&piece),
                Ok(None) => self.session.finish_content(),
                Err(unreadable) => return Err(NotPosted::Content(unreadable)),
            },
        }
        Ok(())
    }

    /// What became of the message.
    fn concluded(&self, report: Report) -> Result<Receipt, NotPosted> {
        let replies = report.recipients;
        if let Some((id, class)) = self.posting.taken.get() {
            let reply = replies.iter().find(|reply| reply.is_positive());
            let reply = reply.unwrap_or(&report.mail).clone();
            let refused = replies.into_iter().enumerate();
            return Ok(Receipt {
                id: *id,
                class: *class,
                reply,
                refused: refused.filter(|(_, reply)| !reply.is_positive()).collect(),
            });
        }
        if !report.mail.is_positive() {
            return Err(NotPosted::Refused(report.mail));
        }
        // The reply to the content is that of each recipient who was taken before it.
        let of_content = self.refused.as_ref().and_then(|refused| {
            let mut taken = refused.iter().zip(&replies);
            taken.find_map(|(refused, reply)| refused.is_none().then(|| reply.clone()))
        });
        Err(match of_content {
            Some(reply) => NotPosted::Refused(reply),
            None => NotPosted::Recipients(replies),
        })
    }

    /// The conversation has ended before there was a message.
    fn closed(&self, closed: Closed) -> NotPosted {
        match closed {
            Closed::Greeting(reply) | Closed::Hello(reply) | Closed::Peer(reply) => {
                NotPosted::Closed(reply)
            }
            Closed::AuthMissing => NotPosted::InClear,
            Closed::AuthRefused(reply) if reply.is_transient() => NotPosted::PutOff {
                reply,
                retry_after: self.posting.retry_after.get().copied(),
            },
            Closed::AuthRefused(reply) => NotPosted::Login(reply),
            _ => self.lost(),
        }
    }

    /// The session has gone without a word.
    fn lost(&self) -> NotPosted {
        NotPosted::Closed(replies::try_again())
    }
}

fn transaction(
    reverse_path: ReversePath,
    recipients: Vec<Mailbox>,
    size: Option<u64>,
) -> Transaction {
    let recipients = recipients.into_iter().map(|mailbox| TransactionRecipient {
        mailbox,
        notify: None,
        orcpt: None,
    });
    Transaction {
        reverse_path,
        recipients: recipients.collect(),
        size,
        // Whether it needs them is seen when it has come.
        body: Body::EightBitMime,
        smtputf8: true,
        ret: None,
        envid: None,
        mt_priority: None,
        by: None,
        require_tls: false,
    }
}

fn settings(client: SocketAddr, credentials: Credentials) -> client::Settings {
    client::Settings {
        // It has not said what it is called.
        ehlo: match client.ip() {
            IpAddr::V4(address) => format!("[{address}]"),
            IpAddr::V6(address) => format!("[IPv6:{address}]"),
        },
        timeouts: Timeouts::default(),
        tls: Tls::Never,
        credentials: Some(credentials),
        chunking: true,
    }
}
