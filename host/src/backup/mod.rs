//! Backups: the one file that holds what a new machine needs, its form, and putting it in place.
//!
//! A backup is a tar archive. Its first entry is a header that names form and release; parts of the
//! data folder and the configuration file follow; the last entry is a SHA-256 over every octet
//! before it. So a reader knows at once whether it can read it and whether it is whole, before it
//! writes anything. Which files are put in is the business of those who make one (`admin`), what
//! they hold that of their owners. Queued mail is in none: what was delivered since would be
//! delivered again. The only module that knows tar.

mod place;
mod read;
mod write;

use std::borrow::Cow;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use place::{PlaceError, place, unfinished};
pub use read::{Backup, BackupError};
pub use write::{Writer, spare_file};

/// The newest form that this release reads: 2 has what was deployed at run time.
pub const FORM: u32 = 2;
/// The form of a backup in which nothing is deployed, which older releases read too.
pub const FORM_WITHOUT_DEPLOYED: u32 = 1;

/// Name of the first entry.
const HEADER: &str = "header.json";
/// Name of the last entry.
const DIGEST: &str = "sha256";
/// What a tar archive is made of; an entry is padded to whole ones.
const BLOCK_OCTETS: usize = 512;
/// The last entry and the end of the archive: header, digest, two empty blocks.
const TAIL_OCTETS: usize = 4 * BLOCK_OCTETS;

/// What a backup says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Its form. A reader that does not know it reads nothing else but `release`.
    pub form: u32,
    /// The release that made it.
    pub release: String,
    /// When it was made, as in the admin API.
    pub made: String,
    /// The name of the relay that it is of.
    pub hostname: String,
    /// How many users it has.
    pub users: usize,
    /// How many lists.
    pub lists: usize,
    /// How many admin tokens, as hashes.
    pub tokens: usize,
    /// How many policy components that were deployed at run time.
    #[serde(default, skip_serializing_if = "is_none")]
    pub components: usize,
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

/// A file in a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The configuration file as it was read at the start.
    Configuration,
    /// Lists, users and admin secrets.
    Directory,
    /// The certificate that the relay made for itself.
    Certificate,
    /// Its private key.
    Key,
    /// What is deployed at run time, and what of it is in force.
    Deployed,
    /// A component that was deployed, by its SHA-256.
    Component([u8; 32]),
}

/// Octets of most parts: a configuration file is not read beyond 1 MiB either.
const PART_OCTETS_MAX: u64 = 1 << 20;
/// Octets of what says what is deployed, as it is not read beyond either.
const DEPLOYED_OCTETS_MAX: u64 = 8 << 20;
/// Octets of a component.
const COMPONENT_OCTETS_MAX: u64 = 32 << 20;

impl Part {
    /// All of which there is one at most.
    const SINGLE: [Part; 5] = [
        Part::Configuration,
        Part::Directory,
        Part::Certificate,
        Part::Key,
        Part::Deployed,
    ];

    /// The component of a SHA-256 in hexadecimal, if it is one.
    pub fn component(digest: &str) -> Option<Self> {
        let mut octets = [0; 32];
        let digits = digest.as_bytes();
        if digits.len() != 2 * octets.len() {
            return None;
        }
        for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
            let is_digit = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
            if !pair.iter().all(is_digit) {
                return None;
            }
            *octet = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self::Component(octets))
    }

    /// The part of that name in the archive.
    fn named(name: &str) -> Option<Self> {
        let digest = name.strip_prefix("data/deployed/");
        let digest = digest.and_then(|name| name.strip_suffix(".wasm"));
        let mut single = Self::SINGLE.into_iter();
        single
            .find(|part| part.name() == name)
            .or_else(|| Self::component(digest?))
    }

    /// Its name in the archive.
    fn name(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Part::Configuration => "outpost.toml",
            Part::Directory => "data/directory.redb",
            Part::Certificate => "data/self-signed-cert.pem",
            Part::Key => "data/self-signed-key.pem",
            Part::Deployed => "data/deployed/chain.json",
            Part::Component(digest) => {
                return format!("data/deployed/{}.wasm", write::hexadecimal(&digest)).into();
            }
        })
    }

    /// Its path in the data folder; none for what does not stand there.
    fn path(self) -> Option<PathBuf> {
        let name = self.name();
        name.strip_prefix("data/").map(PathBuf::from)
    }

    /// Octets of the largest; none where there is no bound.
    fn octets_max(self) -> Option<u64> {
        match self {
            Part::Directory => None,
            Part::Deployed => Some(DEPLOYED_OCTETS_MAX),
            Part::Component(_) => Some(COMPONENT_OCTETS_MAX),
            Part::Configuration | Part::Certificate | Part::Key => Some(PART_OCTETS_MAX),
        }
    }
}
