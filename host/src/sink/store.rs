//! Messages kept in a folder: `CONNECTION-MESSAGE.eml` with the content as it came, and a file of the
//! same name with `.json` for its envelope.
//!
//! Plain files without a sync: a sink is for looking at mail, not for keeping it safe.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::naming;

/// The folder.
#[derive(Clone, Debug)]
pub(super) struct Store {
    folder: PathBuf,
    last_connection: u64,
}

/// The name of a message: connections count from 1, and the messages of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) connection: u64,
    pub(super) message: u64,
}

/// `000001-000001`, so that names sort as mail came.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}-{:06}", self.connection, self.message)
    }
}

/// A content on its way into the folder. It has its final name once its envelope stands beside it.
pub(super) struct Incoming {
    file: BufWriter<File>,
    written: PathBuf,
    named: PathBuf,
}

impl Store {
    /// Opens the folder, which is made if it does not exist.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut last_connection = 0;
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            let connection = name.to_str().and_then(|name| name.split_once('-'));
            let number = connection.and_then(|(connection, _)| connection.parse().ok());
            last_connection = last_connection.max(number.unwrap_or(0));
        }
        Ok(Self {
            folder: folder.to_owned(),
            last_connection,
        })
    }

    /// The last connection of which there was mail when the folder was opened. Counting goes on behind
    /// it, so that a second run takes nothing from the first.
    pub(super) fn last_connection(&self) -> u64 {
        self.last_connection
    }

    /// Begins a content.
    pub(super) fn begin(&self, number: Number) -> io::Result<Incoming> {
        let name = number.to_string();
        let written = self.folder.join(format!("{name}.part"));
        let file = File::create(&written).map_err(naming(&written))?;
        let file = BufWriter::new(file);
        Ok(Incoming {
            file,
            written,
            named: self.folder.join(format!("{name}.eml")),
        })
    }
}

impl Incoming {
    /// Takes the next piece.
    pub(super) fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        let taken = self.file.write_all(piece);
        taken.map_err(naming(&self.written))
    }

    /// The content is complete.
    pub(super) fn finish(mut self, envelope: &Value) -> io::Result<()> {
        self.file.flush().map_err(naming(&self.written))?;
        let described = self.named.with_extension("json");
        let text = format!("{envelope:#}\n");
        fs::write(&described, text).map_err(naming(&described))?;
        fs::rename(&self.written, &self.named).map_err(naming(&self.named))
    }

    /// The content is void.
    pub(super) fn forget(self) -> io::Result<()> {
        fs::remove_file(&self.written).map_err(naming(&self.written))
    }
}
