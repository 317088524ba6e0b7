//! The outcome of a transaction.

use crate::reply::Reply;

/// What became of a message at a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The reply to MAIL.
    pub mail: Reply,
    /// One final reply per recipient, in order: that to its RCPT if it was refused there, else that to
    /// DATA or to the end of the content.
    pub recipients: Vec<Reply>,
    /// Whether the content has been sent to its end.
    pub content_sent: bool,
    /// The recipient at whose RCPT the peer ended the conversation, by number.
    pub closed_at: Option<usize>,
    /// The replies were made here, because the peer could not have taken the message.
    pub is_local: bool,
}

impl Report {
    pub(super) fn new(mail: Reply, recipients: Vec<Reply>) -> Report {
        Report {
            mail,
            recipients,
            content_sent: false,
            closed_at: None,
            is_local: false,
        }
    }

    /// What was said to those who were refused before the connection broke.
    pub fn of_refusals(replies: Vec<Reply>) -> Report {
        Report::new(Reply::plain(250, ""), replies)
    }

    /// The peer was not even asked.
    pub fn local(reply: Reply, recipients: usize) -> Report {
        let replies = vec![reply.clone(); recipients];
        Report {
            is_local: true,
            ..Report::new(reply, replies)
        }
    }

    pub(super) fn after_content(self) -> Report {
        Report {
            content_sent: true,
            ..self
        }
    }
}
