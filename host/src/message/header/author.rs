//! The authors of a message: every mailbox of From, Sender, Resent-From and Resent-Sender.
//!
//! What is read of each stands in `mailbox`. A message whose authors cannot be told for sure is refused,
//! since the next reader shows them to a person.

mod mailbox;
#[cfg(test)]
mod tests;

use self::mailbox::mailbox_list;
use super::{Field, Fields};
use crate::message::Address;

/// Who a message says it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authors {
    /// Every mailbox of From, in order; never empty.
    pub from: Vec<Address>,
    /// Every mailbox of Sender, Resent-From and Resent-Sender.
    pub senders: Vec<Address>,
}

/// Why the authors of a message cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorProblem {
    /// No From field.
    #[error("the message has no From field")]
    MissingFrom,
    /// More than one From field.
    #[error("the message has more than one From field")]
    RepeatedFrom,
    /// A From field that is not a plain list of mailboxes.
    #[error("the From field is not a plain list of addresses")]
    UnparsableFrom,
    /// More than one Sender field.
    #[error("the message has more than one Sender field")]
    RepeatedSender,
    /// A Sender field that is not one plain mailbox.
    #[error("the Sender field is not one plain address")]
    UnparsableSender,
    /// A Resent-From or Resent-Sender field that is not a plain list of mailboxes.
    #[error("a Resent field is not a plain list of addresses")]
    UnparsableResent,
}

/// Every author costs a rule check; a message with more than this many is no letter.
const AUTHORS_MAX: usize = 100;

impl Authors {
    /// Reads the authors of a message.
    ///
    /// # Errors
    /// See [`AuthorProblem`]; the message must be refused then.
    pub fn read(fields: &Fields<'_>) -> Result<Self, AuthorProblem> {
        let from = from_field(fields)?;
        let from = mailbox_list(from).ok_or(AuthorProblem::UnparsableFrom)?;
        let mut senders = Vec::new();
        if let Some(sender) = only(fields, "Sender", AuthorProblem::RepeatedSender)? {
            let sender = mailbox_list(sender).filter(|mailboxes| mailboxes.len() == 1);
            senders.extend(sender.ok_or(AuthorProblem::UnparsableSender)?);
        }
        for name in ["Resent-From", "Resent-Sender"] {
            for field in fields.named(name) {
                senders.extend(mailbox_list(field).ok_or(AuthorProblem::UnparsableResent)?);
            }
        }
        if senders.len() > AUTHORS_MAX {
            return Err(AuthorProblem::UnparsableResent);
        }
        Ok(Self { from, senders })
    }

    /// All of them, those of From first.
    pub fn into_addresses(self) -> Vec<Address> {
        let mut addresses = self.from;
        addresses.extend(self.senders);
        addresses
    }
}

/// The one From field. A field named `>From` is a From field that a mailbox file has quoted, and to some readers
/// (the c-client library) a From field as it is.
fn from_field<'s, 'a>(fields: &'s Fields<'a>) -> Result<&'s Field<'a>, AuthorProblem> {
    let from = only(fields, "From", AuthorProblem::RepeatedFrom)?;
    let is_quoted = fields.named(">From").next().is_some();
    match from {
        Some(_) if is_quoted => Err(AuthorProblem::RepeatedFrom),
        from => from.ok_or(AuthorProblem::MissingFrom),
    }
}

fn only<'s, 'a>(
    fields: &'s Fields<'a>,
    name: &'s str,
    repeated: AuthorProblem,
) -> Result<Option<&'s Field<'a>>, AuthorProblem> {
    let mut named = fields.named(name);
    let first = named.next();
    if named.next().is_some() {
        Err(repeated)
    } else {
        Ok(first)
    }
}
