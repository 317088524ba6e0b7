//! Makes a message fit a host: what it needs and the host does not list is done without, or done here.
//!
//! 8-bit content for a host without 8BITMIME is converted (RFC 6152 §3), domains beyond ASCII are written
//! in A-labels for one without SMTPUTF8 (RFC 5891 §4.4), and the wishes of DSN are left out by the protocol
//! core, so that the queue reports instead (RFC 3461 §5.2.2). A host without DELIVERBY is asked for word of a delay. What can only be sent raw is not sent: the core
//! refuses a transaction that does not fit.

use std::borrow::Cow;
use std::sync::Arc;

use outpost_smtp::client::{Extensions, Transaction};
use outpost_smtp::{Body, By, ByMode, Mailbox, Notify, Reply, ReversePath};
use tokio::sync::OnceCell;

use super::connection::OpenContent;
use super::transaction::transaction;
use crate::message::seven_bit::{Barrier, Converter, Plan, Survey};
use crate::message::{Message, Timestamp, comparable_domain};
use crate::spool::SpoolError;

/// A message as it is sent to one host.
#[derive(Debug)]
pub(super) struct Fitted {
    pub(super) transaction: Transaction,
    /// How the content is changed on its way.
    pub(super) conversion: Option<Arc<Plan>>,
}

/// Why a message is not sent to a host.
#[derive(Debug)]
pub(super) enum Misfit {
    /// It cannot be made to fit; this is said to the sender.
    Reply(Reply),
    /// The content cannot be read on our side.
    Content(SpoolError),
}

/// What a look at the content has told: one is enough for an attempt.
#[derive(Debug, Default)]
pub(super) struct Look(OnceCell<Looked>);

#[derive(Debug)]
struct Looked {
    is_header_ascii: bool,
    /// The plan, and the octets that come out.
    conversion: Result<(Arc<Plan>, u64), Barrier>,
}

/// The transaction with a host of these extensions for some recipients of a message, as it begins `now`.
///
/// # Errors
/// [`Misfit`], when there is none. What the host lists in numbers (SIZE) is compared by the core.
pub(super) async fn fit(
    message: &Message,
    recipients: &[u32],
    extensions: &Extensions,
    look: &Look,
    open: &OpenContent<'_>,
    now: Timestamp,
) -> Result<Fitted, Misfit> {
    let mut transaction = transaction(message, recipients, now);
    if extensions.deliver_by.is_none() {
        ask_for_delay(&mut transaction);
    }
    let look = async || look.at(open).await.map_err(Misfit::Content);
    if transaction.smtputf8 && !extensions.smtputf8 {
        spell_domains(&mut transaction);
        // The core says which address it is; a header is not looked at for nothing.
        if is_ascii(&transaction) {
            transaction.smtputf8 = message.eight_bit && !look().await?.is_header_ascii;
        }
    }
    let is_raw = transaction.body == Body::EightBitMime && !extensions.eight_bit_mime;
    if !is_raw || (transaction.smtputf8 && !extensions.smtputf8) {
        return Ok(Fitted {
            transaction,
            conversion: None,
        });
    }
    match &look().await?.conversion {
        Ok((plan, octets)) => {
            transaction.body = Body::SevenBit;
            transaction.size = Some(*octets);
            Ok(Fitted {
                transaction,
                conversion: Some(Arc::clone(plan)),
            })
        }
        Err(barrier) => {
            let text = format!("The next hop takes no 8-bit content: {barrier}");
            Err(Misfit::Reply(Reply::new(554, (5, 6, 3), text)))
        }
    }
}

/// Those of some recipients to whom a host of these extensions can be sent mail, as far as their addresses go, and
/// the others: in one transaction these would keep it from all.
pub(super) fn split_by_address(
    message: &Message,
    recipients: Vec<u32>,
    extensions: &Extensions,
) -> (Vec<u32>, Vec<u32>) {
    if extensions.smtputf8 || !message.envelope.smtputf8 {
        return (recipients, Vec::new());
    }
    recipients.into_iter().partition(|index| {
        let position = usize::try_from(*index).ok();
        let recipient = position.and_then(|at| message.envelope.recipients.get(at));
        recipient.is_none_or(|recipient| ascii_domain(&recipient.mailbox).is_some())
    })
}

impl Look {
    async fn at(&self, open: &OpenContent<'_>) -> Result<&Looked, SpoolError> {
        self.0.get_or_try_init(|| look(open)).await
    }
}

/// Reads the content: once to see what can be done, and once more to see how large it becomes.
async fn look(open: &OpenContent<'_>) -> Result<Looked, SpoolError> {
    let mut survey = Survey::new();
    let mut content = open().await?;
    while let Some(piece) = content.next().await? {
        survey.feed(&piece);
    }
    let surveyed = survey.finish();
    let conversion = match surveyed.plan {
        Ok(plan) => converted_octets(&plan, open)
            .await?
            .map(|octets| (Arc::new(plan), octets)),
        Err(barrier) => Err(barrier),
    };
    Ok(Looked {
        is_header_ascii: surveyed.is_header_ascii,
        conversion,
    })
}

async fn converted_octets(
    plan: &Plan,
    open: &OpenContent<'_>,
) -> Result<Result<u64, Barrier>, SpoolError> {
    let mut converter = Converter::new(plan);
    let mut octets = 0;
    let mut content = open().await?;
    while let Some(piece) = content.next().await? {
        match converter.feed(&piece) {
            Ok(converted) => octets += count(&converted),
            Err(barrier) => return Ok(Err(barrier)),
        }
    }
    Ok(converter.finish().map(|rest| octets + count(&rest)))
}

fn count(octets: &[u8]) -> u64 {
    u64::try_from(octets.len()).unwrap_or(u64::MAX)
}

/// Asks a host that does not know by when the message is to be delivered to tell its sender of a delay, if that is what
/// follows and there is time left (RFC 2852 §4.1.4.2).
fn ask_for_delay(transaction: &mut Transaction) {
    let is_told = |by: By| by.mode == ByMode::Notify && by.seconds > 0;
    if !transaction.by.is_some_and(is_told) {
        return;
    }
    for recipient in &mut transaction.recipients {
        let unsaid = Notify {
            failure: true,
            ..Notify::default()
        };
        let notify = recipient.notify.get_or_insert(unsaid);
        notify.delay |= !notify.never;
    }
}

/// Writes domains in A-labels, where that makes an address one in ASCII.
fn spell_domains(transaction: &mut Transaction) {
    let spell = |mailbox: &mut Mailbox| {
        if let Some(domain) = ascii_domain(mailbox).map(Cow::into_owned) {
            mailbox.domain = domain;
        }
    };
    if let ReversePath::Mailbox(mailbox) = &mut transaction.reverse_path {
        spell(mailbox);
    }
    for recipient in &mut transaction.recipients {
        spell(&mut recipient.mailbox);
    }
}

/// The domain of an address that can be written in ASCII, as it is written then.
fn ascii_domain(mailbox: &Mailbox) -> Option<Cow<'_, str>> {
    match (mailbox.local.is_ascii(), mailbox.domain.is_ascii()) {
        (true, true) => Some(Cow::Borrowed(&mailbox.domain)),
        (true, false) => comparable_domain(&mailbox.domain).ok().map(Cow::Owned),
        (false, _) => None,
    }
}

fn is_ascii(transaction: &Transaction) -> bool {
    let is_reverse_ascii = match &transaction.reverse_path {
        ReversePath::Null => true,
        ReversePath::Mailbox(mailbox) => mailbox.is_ascii(),
    };
    let mut recipients = transaction.recipients.iter();
    is_reverse_ascii && recipients.all(|recipient| recipient.mailbox.is_ascii())
}
