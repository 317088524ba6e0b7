//! Messages kept in a folder: `CONNECTION-MESSAGE.eml` with the content as it came, and a file of the
//! same name with `.json` for its envelope.
//!
//! Plain files without a sync: a sink is for looking at mail, not for keeping it safe.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::record::MessageNumber;

/// The folder.
#[derive(Clone, Debug)]
pub(super) struct Store(PathBuf);

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
        Ok(Self(folder.to_owned()))
    }

    /// Begins a content.
    pub(super) fn begin(&self, number: MessageNumber) -> io::Result<Incoming> {
        let name = format!("{:06}-{:06}", number.connection, number.message);
        let written = self.0.join(format!("{name}.part"));
        let file = BufWriter::new(File::create(&written)?);
        Ok(Incoming {
            file,
            written,
            named: self.0.join(format!("{name}.eml")),
        })
    }
}

impl Incoming {
    /// Takes the next piece.
    pub(super) fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_all(piece)
    }

    /// The content is complete.
    pub(super) fn finish(mut self, envelope: &Value) -> io::Result<()> {
        self.file.flush()?;
        let mut text = serde_json::to_vec_pretty(envelope)?;
        text.push(b'\n');
        fs::write(self.named.with_extension("json"), text)?;
        fs::rename(&self.written, &self.named)
    }

    /// The content is void.
    pub(super) fn forget(self) -> io::Result<()> {
        fs::remove_file(&self.written)
    }
}
