//! A message that is submitted over HTTP: what the admin surface has read of it, and what reception says to it.
//!
//! Plain values: neither knows the other. The content comes in pieces while it is taken, never whole.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use outpost_smtp::{Credentials, Mailbox, Reply, ReversePath};

use super::{Class, MessageId, MixedLineEnds};

/// A message that a user hands over, with its envelope.
pub struct Post {
    /// Address and port of the client.
    pub client: SocketAddr,
    /// The user's name and password.
    pub credentials: Credentials,
    /// Where reports go.
    pub reverse_path: ReversePath,
    /// Whom it is for; at least one.
    pub recipients: Vec<Mailbox>,
    /// The priority that the client asks for, as it was given.
    pub priority: Option<String>,
    /// How many octets the content has, where that was said. Its line ends may make it more.
    pub content_octets: Option<u64>,
    /// The content.
    pub content: Box<dyn PostedContent>,
}

/// A content that is coming.
pub trait PostedContent: Send {
    /// The next piece of it, with the line ends of mail; none at its end. A call that is given up before it has
    /// answered loses nothing.
    fn next(
        &mut self,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Bytes>, Unreadable>> + Send + '_>>;
}

/// Why a content does not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The client has gone, or does not speak HTTP.
    #[error("it did not arrive whole")]
    CutOff,
    /// It is no content.
    #[error(transparent)]
    LineEnds(#[from] MixedLineEnds),
}

/// The message is on stable storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its name.
    pub id: MessageId,
    /// The class that it got.
    pub class: Class,
    /// What was said to its content.
    pub reply: Reply,
    /// The recipients that it was not taken for, by number, and what was said to each.
    pub refused: Vec<(usize, Reply)>,
}

/// Why nothing was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotPosted {
    /// The relay takes nobody now, or nobody more from there.
    Closed(Reply),
    /// A login from there has to be encrypted, and was not.
    InClear,
    /// The login is wrong.
    Login(Reply),
    /// Nothing was decided about the login.
    PutOff {
        /// What was said to it.
        reply: Reply,
        /// When it is worth trying again, where that is known.
        retry_after: Option<Duration>,
    },
    /// The sender or the content is refused.
    Refused(Reply),
    /// Each recipient is refused, by number.
    Recipients(Vec<Reply>),
    /// The content did not come to its end.
    Content(Unreadable),
}
