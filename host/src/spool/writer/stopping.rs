//! Answers to whoever stops and starts, and to whoever notes refused senders and dismisses them.

use super::error_again;
use crate::spool::inbox::{Beside, Reply, Stopping, send};
use crate::spool::{NewRefusals, SpoolError, Stop, Stopped};

/// What became of a request, in a transaction.
pub(super) enum StoppingDone {
    Stop(Result<Stopped, SpoolError>),
    Start(Result<Option<Stop>, SpoolError>),
}

impl StoppingDone {
    /// Answers the request that it is of.
    pub(super) fn answer(self, request: Stopping) {
        match (self, request) {
            (Self::Stop(result), Stopping::Stop(_, reply)) => send(reply, result),
            (Self::Start(result), Stopping::Start(_, reply)) => send(reply, result),
            // One is made for each, in order. Who is not answered sees that.
            (Self::Stop(_), Stopping::Start(..)) | (Self::Start(_), Stopping::Stop(..)) => {}
        }
    }
}

/// Nothing can be stopped or started, noted or dismissed.
pub(super) fn refuse_beside(beside: Beside, error: &SpoolError) {
    for request in beside.stopping {
        request.refuse(error_again(error));
    }
    refuse_refused(beside.refused, error);
    for (_, reply) in beside.dismissed {
        send(reply, Err(error_again(error)));
    }
}

/// Refused senders cannot be noted.
pub(super) fn refuse_refused(refused: Vec<(NewRefusals, Reply<()>)>, error: &SpoolError) {
    for (_, reply) in refused {
        send(reply, Err(error_again(error)));
    }
}
