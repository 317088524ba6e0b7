//! A dialogue over HTTP: who was at the other end, and what was said, line by line.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::message::{Dialogue, Party, wording};

/// What was said over one connection, without content and secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DialogueDocument {
    /// Where the message went; none for the dialogue with the client that submitted it.
    pub next_hop: Option<String>,
    /// The name of the host; none for the client.
    pub host: Option<String>,
    /// Address and port of the host; none for the client.
    pub address: Option<String>,
    /// The connection had been used for other mail before, and what was said then is left to that.
    pub continued: bool,
    /// What was said, in order: each command with its reply behind it, whatever was pipelined.
    pub lines: Vec<DialogueLineDocument>,
}

/// A line of a dialogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DialogueLineDocument {
    /// How long after the beginning of the dialogue.
    pub after_milliseconds: u64,
    /// Who said it: `client`, `server`, or `note` for what the relay notes, such as lines that are left out.
    #[schema(example = "server")]
    pub by: String,
    /// The line. In place of a content stands how long it was, in place of a secret `[masked]`.
    #[schema(example = "250 2.1.5 Recipient ok")]
    pub text: String,
}

pub(super) fn dialogue(dialogue: &Dialogue) -> DialogueDocument {
    let (next_hop, host, address) = match &dialogue.with {
        Party::Client => (None, None, None),
        Party::Host {
            next_hop,
            name,
            address,
        } => (
            Some(next_hop.to_string()),
            Some(name.clone()),
            Some(address.to_string()),
        ),
    };
    let lines = dialogue.transcript.lines().into_iter();
    DialogueDocument {
        next_hop,
        host,
        address,
        continued: dialogue.is_continued,
        lines: lines
            .map(|line| DialogueLineDocument {
                after_milliseconds: u64::try_from(line.after.as_millis()).unwrap_or(u64::MAX),
                by: line.by.name().to_owned(),
                text: wording::printable(&line.text).into_owned(),
            })
            .collect(),
    }
}
