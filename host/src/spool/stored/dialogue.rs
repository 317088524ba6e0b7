//! A dialogue about a message in its stored form.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::message::{self, Party, Transcript};

use super::Hop;

/// With whom, whether mail was sent over the connection before, and what was said.
#[derive(Serialize, Deserialize)]
pub(super) struct Dialogue<'a> {
    #[serde(borrow)]
    host: Option<Host<'a>>,
    is_continued: bool,
    /// As the transcript keeps itself: one string, which is read as whatever it is.
    #[serde(borrow)]
    said: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
struct Host<'a> {
    #[serde(borrow)]
    next_hop: Hop<'a>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    address: IpAddr,
    port: u16,
}

impl<'a> Dialogue<'a> {
    pub(super) fn of(dialogue: &'a message::Dialogue) -> Self {
        let host = match &dialogue.with {
            Party::Client => None,
            Party::Host {
                next_hop,
                name,
                address,
            } => Some(Host {
                next_hop: Hop::of(next_hop),
                name: Cow::Borrowed(name),
                address: address.ip(),
                port: address.port(),
            }),
        };
        Self {
            host,
            is_continued: dialogue.is_continued,
            said: Cow::Borrowed(dialogue.transcript.kept()),
        }
    }

    pub(super) fn read(&self) -> message::Dialogue {
        let with = match &self.host {
            None => Party::Client,
            Some(host) => Party::Host {
                next_hop: host.next_hop.read(),
                name: host.name.to_string(),
                address: SocketAddr::new(host.address, host.port),
            },
        };
        message::Dialogue {
            with,
            is_continued: self.is_continued,
            transcript: Transcript::from_kept(&self.said),
        }
    }
}
