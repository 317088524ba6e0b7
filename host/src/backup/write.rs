//! Writing a backup: header, parts, digest, in one pass, so that it can be streamed.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{DIGEST, HEADER, Header, Part};

/// Writes one backup. Without [`Writer::end`] it is cut short, and readers say so.
pub struct Writer<W: Write> {
    archive: tar::Builder<Digesting<W>>,
}

impl<W: Write> Writer<W> {
    /// Begins with the header.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn begin(out: W, header: &Header) -> io::Result<Self> {
        let digesting = Digesting {
            out,
            digest: Sha256::new(),
        };
        let mut writer = Self {
            archive: tar::Builder::new(digesting),
        };
        let mut octets = serde_json::to_vec_pretty(header)?;
        octets.push(b'\n');
        writer.entry(HEADER, octets.len() as u64, octets.as_slice())?;
        Ok(writer)
    }

    /// Adds a part of that many octets.
    ///
    /// # Errors
    /// Those of `out` and `content`; [`io::ErrorKind::UnexpectedEof`] when the content has fewer.
    pub fn add(&mut self, part: Part, octets: u64, content: impl Read) -> io::Result<()> {
        self.entry(&part.name(), octets, content)
    }

    /// Ends with the digest of everything before it, and gives `out` back.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn end(mut self) -> io::Result<W> {
        let digest = self.archive.get_ref().digest.clone().finalize();
        let text = hexadecimal(&digest);
        self.entry(DIGEST, text.len() as u64, text.as_bytes())?;
        let mut out = self.archive.into_inner()?.out;
        out.flush()?;
        Ok(out)
    }

    fn entry(&mut self, name: &str, octets: u64, content: impl Read) -> io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o600);
        header.set_size(octets);
        let mut content = content.take(octets);
        self.archive.append_data(&mut header, name, &mut content)?;
        match content.limit() {
            0 => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Hands on what is written, and keeps the digest of it.
struct Digesting<W> {
    out: W,
    digest: Sha256,
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.out.write(octets)?;
        self.digest.update(&octets[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Lower-case hexadecimal.
pub(super) fn hexadecimal(octets: &[u8]) -> String {
    use std::fmt::Write as _;
    octets.iter().fold(String::new(), |mut text, octet| {
        write!(text, "{octet:02x}").expect("writing to a string does not fail");
        text
    })
}

/// A private file in that folder that has no name any more, so that nothing is left of it whatever
/// happens: for a part that is put together before it is written.
///
/// # Errors
/// What the system says.
pub fn spare_file(folder: &Path) -> io::Result<File> {
    let random = getrandom::u64().map_err(io::Error::other)?;
    // In a folder of all users, a name that none of them can have taken before.
    let path = folder.join(format!("outpost-backup-{random:016x}.part"));
    let mut options = File::options();
    options.read(true).write(true).create_new(true).mode(0o600);
    let file = options.open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}
