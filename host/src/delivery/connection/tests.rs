//! What a host does in the moment in which the content ends: before anybody waits for its reply.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;

use outpost_smtp::client::{self, Tls};
use tokio::io::AsyncWrite;

use super::super::gate::{Gate, Metrics as GateMetrics, Rules as GateRules};
use super::super::hosts::Target;
use super::super::metrics::Metrics;
use super::super::rehearsal::{Mail, NOW, Pieces};
use super::super::transaction::transaction;
use super::*;

/// A stream whose other end answers at once, and behind the final dot does as it is told without waiting.
struct Abrupt {
    replies: VecDeque<&'static [u8]>,
    ending: Ending,
    has_ended: bool,
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    Closes,
    Resets,
    /// What was written does not leave any more.
    ResetsWhileFlushed,
    Says(&'static [u8]),
}

impl AsyncRead for Abrupt {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let said = match (self.has_ended, self.ending) {
            (false, _) => self.replies.pop_front(),
            (true, Ending::Says(reply)) => Some(reply),
            (true, Ending::Closes) => Some(&b""[..]),
            (true, _) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        };
        match said {
            Some(said) => into.put_slice(said),
            None => return Poll::Pending,
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Abrupt {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.has_ended |= octets.ends_with(b"\r\n.\r\n");
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match (self.has_ended, self.ending) {
            (true, Ending::ResetsWhileFlushed) => {
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

async fn transact(ending: Ending) -> Result<Report, Break> {
    let replies: [&[u8]; 5] = [
        b"220 mx.example\r\n",
        b"250 mx.example\r\n",
        b"250 2.0.0 Ok\r\n",
        b"250 2.0.0 Ok\r\n",
        b"354 Go on\r\n",
    ];
    let stream = Abrupt {
        replies: replies.into(),
        ending,
        has_ended: false,
    };
    let timeouts = outpost_smtp::Timeouts::default();
    let piece_time_max = timeouts.content_block;
    let session = Session::new(client::Settings {
        ehlo: "relay.example".to_owned(),
        timeouts,
        tls: Tls::Never,
        credentials: None,
        chunking: true,
    });
    let target = Target {
        name: "mx.example".to_owned(),
        address: "192.0.2.1:25".parse().unwrap(),
    };
    let mut connection = Connection::new(Box::new(stream), session, target.host(), piece_time_max);
    assert!(matches!(connection.advance().await, Ok(Turn::Ready)));

    let mail = Mail::to(&["a@b.example"]);
    let content = mail.content.clone();
    let open = move || -> Pending<'static, Box<dyn Content>> {
        let pieces = vec![content.clone().into()];
        Box::pin(async { Ok(Box::new(Pieces(pieces)) as Box<dyn Content>) })
    };
    let gate = Gate::new(GateRules::default(), GateMetrics::default());
    let passage = gate.enter(&mail.message, &mail.delivery);
    let load = Load {
        open: &open,
        octets: mail.message.content_octets,
        look: Look::default(),
        passage: &passage,
        sent: &Metrics::unregistered().content_octets,
    };
    let fitted = Fitted {
        transaction: transaction(&mail.message, &[0], NOW),
        conversion: None,
    };
    let transacted = connection.transact(fitted, &load).await;
    transacted.map(|report| report.unwrap())
}

#[tokio::test]
async fn the_outcome_is_unknown_from_the_moment_in_which_the_dot_has_left() {
    for ending in [
        Ending::Closes,
        Ending::Resets,
        Ending::ResetsWhileFlushed,
        Ending::Says(b"what?\r\n"),
    ] {
        let broken = transact(ending).await.unwrap_err();
        assert!(broken.is_unknown, "{ending:?}: {:?}", broken.cause);
    }
    for reply in [&b"250 2.0.0 Taken\r\n"[..], b"554 5.6.0 Spam\r\n"] {
        let report = transact(Ending::Says(reply)).await.unwrap();
        let said = report.recipients[0].to_string();
        assert_eq!(format!("{said}\r\n").as_bytes(), reply);
    }
}
