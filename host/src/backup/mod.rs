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

use serde::{Deserialize, Serialize};

pub use place::{PlaceError, place, unfinished};
pub use read::{Backup, BackupError};
pub use write::{Writer, spare_file};

/// The form that this release writes, and the newest that it reads.
pub const FORM: u32 = 1;

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
}

impl Part {
    const ALL: [Part; 4] = [
        Part::Configuration,
        Part::Directory,
        Part::Certificate,
        Part::Key,
    ];

    /// Its name in the archive.
    fn name(self) -> &'static str {
        match self {
            Part::Configuration => "outpost.toml",
            Part::Directory => "data/directory.redb",
            Part::Certificate => "data/self-signed-cert.pem",
            Part::Key => "data/self-signed-key.pem",
        }
    }

    /// Its name in the data folder; none for what does not stand there.
    fn file_name(self) -> Option<&'static str> {
        self.name().strip_prefix("data/")
    }
}
