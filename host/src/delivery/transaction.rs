//! One message as one mail transaction: what is said to a next hop, and what its replies mean.
//!
//! Pure. The protocol core sees to it that only what the next hop has announced is asked of it, and
//! that what it cannot take is not sent to it; this file tells the core what the message needs.

use outpost_smtp::client::{Closed, Report, Transaction, TransactionRecipient};
use outpost_smtp::{Body, Reply};

use crate::message::{Message, NextHop, Outcome, RecipientOutcome, Timestamp};

/// The transaction for some recipients of a message, given by their indexes, as it begins `now`. Parameters that
/// the next hop has not announced are left out by the session.
pub(super) fn transaction(message: &Message, recipients: &[u32], now: Timestamp) -> Transaction {
    let envelope = &message.envelope;
    let chosen = recipients.iter().filter_map(|index| {
        let index = usize::try_from(*index).ok()?;
        envelope.recipients.get(index)
    });
    Transaction {
        reverse_path: envelope.reverse_path.clone(),
        recipients: chosen
            .map(|recipient| TransactionRecipient {
                mailbox: recipient.mailbox.clone(),
                notify: recipient.notify,
                orcpt: recipient.orcpt.clone(),
            })
            .collect(),
        size: Some(message.content_octets),
        // What the content is counts, not what it was declared as.
        body: if message.eight_bit {
            Body::EightBitMime
        } else {
            Body::SevenBit
        },
        smtputf8: needs_smtputf8(message),
        ret: envelope.ret,
        envid: envelope.envid.clone(),
        mt_priority: message.mt_priority(),
        by: envelope.deliver_by.map(|by| by.left(now)),
        require_tls: envelope.require_tls,
    }
}

/// A message that was declared for SMTPUTF8 and turns out to be ASCII goes anywhere. Where octets beyond
/// ASCII stand is not looked at here: reception keeps the declaration only of messages that need it.
fn needs_smtputf8(message: &Message) -> bool {
    let envelope = &message.envelope;
    envelope.smtputf8
        && (message.eight_bit
            || !envelope.reverse_path.is_ascii()
            || envelope
                .recipients
                .iter()
                .any(|recipient| !recipient.mailbox.is_ascii()))
}

/// What the replies to a transaction mean.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fates {
    /// Recipients whose fate is decided for this attempt.
    pub(super) outcomes: Vec<RecipientOutcome>,
    /// Recipients of whom nothing was decided: there were too many for one transaction, or the host
    /// broke off. They may go again at once, in another transaction or to another host.
    pub(super) remaining: Vec<u32>,
    /// The outcomes are ours: the host lists too little for this message. Another one may list more.
    pub(super) is_misfit: bool,
    /// The host may have refused somebody because the connection is in clear: another one may be under TLS.
    pub(super) wants_tls: bool,
}

/// Reads the report of a transaction with a host of that next hop for `recipients`, and how the
/// conversation ended with it, if it did. `tls_failure` says why it was spoken to in clear although it
/// offers TLS.
pub(super) fn fates(
    next_hop: &NextHop,
    tls_failure: Option<&str>,
    recipients: &[u32],
    report: Report,
    ending: Option<&Closed>,
) -> Fates {
    let is_smarthost = matches!(next_hop, NextHop::Smarthost(_));
    let is_taken = report.recipients.iter().any(Reply::is_positive);
    let (is_read, is_mail_refused) = (report.content_sent, is_mail_refused(&report));
    // Our own content had a bare line end: the reply is the core's.
    let remote = !report.is_local && ending != Some(&Closed::BadContent);
    let mut fates = Fates {
        outcomes: Vec::with_capacity(recipients.len()),
        remaining: Vec::new(),
        is_misfit: report.is_local,
        wants_tls: false,
    };
    for (recipient, reply) in recipients.iter().copied().zip(report.recipients) {
        // RFC 5321 §4.5.3.1.10. Only as long as each transaction gets somebody through.
        let is_one_too_many = is_taken && is_too_many(&reply);
        // RFC 5321 §3.8: the host says nothing of the recipient, only that it will not go on.
        let is_broken_off = reply.code == 421;
        // Nobody has looked at the message: it has every chance with DATA.
        let is_unread = matches!(ending, Some(Closed::ChunkingUnknown(said)) if *said == reply);
        if is_one_too_many || is_broken_off || is_unread {
            fates.remaining.push(recipient);
            continue;
        }
        let (outcome, remote) = match tls_failure {
            Some(failure) if !is_read && wants_tls(&reply, is_mail_refused) => {
                fates.wants_tls = true;
                let text = format!("{failure}, and in clear it says: {reply}");
                let reply = Reply::new(451, (4, 7, 5), text);
                (Outcome::Deferred(reply), false)
            }
            _ if is_smarthost && wants_login(&reply) => (Outcome::Deferred(reply), remote),
            _ => (outcome(reply), remote),
        };
        fates.outcomes.push(RecipientOutcome {
            recipient,
            outcome,
            remote,
        });
    }
    fates
}

/// Whether a login or TLS is missing (RFC 4954 §6, RFC 3207 §4). From a smarthost that says something
/// about the route, which the operator can mend, and nothing about the message.
fn wants_login(reply: &Reply) -> bool {
    reply.code == 530
}

/// Whether a host that offers TLS and does not bring it about may refuse what comes in clear for that reason:
/// it says so (RFC 3207 §4), or a matter of policy (X.7), or of MAIL not what the matter is. What it says may be
/// for good; that its TLS fails is not.
fn wants_tls(reply: &Reply, is_mail_refused: bool) -> bool {
    let is_policy = match reply.enhanced {
        Some(status) => status.subject == 7,
        None => is_mail_refused,
    };
    reply.is_permanent() && (reply.code == 530 || is_policy)
}

/// The outcome that a reply of the next hop stands for.
pub(super) fn outcome(reply: Reply) -> Outcome {
    if reply.is_positive() {
        Outcome::Delivered(reply)
    } else if reply.is_permanent() && !names_too_many(&reply) {
        Outcome::Bounced(reply)
    } else {
        Outcome::Deferred(reply)
    }
}

/// Whether a host that says this over a connection that has carried mail may mean the connection: so many
/// messages or recipients in one session and no more, or a session that has lost its way. Over a new one it
/// says what it thinks of the message.
pub(super) fn may_mean_the_connection(report: &Report) -> bool {
    let says_too_many = |reply: &Reply| match reply.enhanced {
        Some(status) => (status.subject, status.detail) == (5, 3),
        None => matches!(reply.code, 452 | 552),
    };
    is_mail_refused(report)
        || (!report.content_sent && !report.is_local && report.recipients.iter().all(says_too_many))
}

/// Whether the host has refused MAIL.
pub(super) fn is_mail_refused(report: &Report) -> bool {
    !report.is_local && !report.mail.is_positive()
}

/// Whether a recipient was refused because there were too many of them, when others were taken.
/// RFC 5321 §4.5.3.1.10 has 452 for it, and wants 552 to be taken for the same.
fn is_too_many(reply: &Reply) -> bool {
    matches!(reply.code, 452 | 552) && (reply.enhanced.is_none() || names_too_many(reply))
}

/// Whether the enhanced code says so (RFC 3463 §3.6). Both codes have other meanings as well: no
/// room, a full mailbox, a message that is too large.
fn names_too_many(reply: &Reply) -> bool {
    matches!(reply.code, 452 | 552)
        && reply
            .enhanced
            .is_some_and(|status| (status.subject, status.detail) == (5, 3))
}
