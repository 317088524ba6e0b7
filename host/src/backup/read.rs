//! Reading a backup: whether it is one, whole and of a form that is known, then its parts.
//!
//! Nothing of it is trusted before its digest fits. The digest keeps from damage, not from a forger.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::write::hexadecimal;
use super::{DIGEST, FORM, HEADER, Header, Part, TAIL_OCTETS};

/// Largest header that is read; ours have a few hundred octets.
const HEADER_OCTETS_MAX: u64 = 64 * 1024;
/// Octets that are read at a time.
const PIECE_OCTETS: usize = 64 * 1024;

/// Why a file cannot be restored from.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file cannot be read.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// It does not begin as a backup does.
    #[error("not a backup of Outpost: it does not begin as one")]
    NotABackup,
    /// A newer release made it.
    #[error(
        "of form {form}, made by release {release}, and this release reads forms up to {FORM}: use that release or a newer one"
    )]
    Newer {
        /// Its form.
        form: u32,
        /// The release that made it.
        release: String,
    },
    /// Its end is missing.
    #[error("cut short, or damaged at its end: the digest that every backup ends with is missing")]
    CutShort,
    /// Its digest does not fit.
    #[error("damaged: its SHA-256 is {found}, and {written} was written")]
    Damaged {
        /// What it is.
        found: String,
        /// What it says at its end.
        written: String,
    },
    /// Its digest fits, and yet it is not what this program writes.
    #[error("not as this program writes backups: {0}")]
    Foreign(String),
}

/// A backup that is whole.
#[derive(Debug)]
pub struct Backup {
    file: File,
    header: Header,
    parts: Vec<Place>,
}

/// Where a part stands in the file.
#[derive(Clone, Copy, Debug)]
struct Place {
    part: Part,
    offset: u64,
    octets: u64,
}

/// What of a header is the same in every form.
#[derive(Deserialize)]
struct Form {
    form: u32,
    release: String,
}

impl Backup {
    /// Opens a backup and checks all of it.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        let mut file = File::open(path)?;
        let header = first(&mut file)?;
        let form: Form = serde_json::from_slice(&header).map_err(|_| BackupError::NotABackup)?;
        if form.form > FORM {
            return Err(BackupError::Newer {
                form: form.form,
                release: form.release,
            });
        }
        verify(&mut file)?;
        let foreign = |error: &dyn std::fmt::Display| BackupError::Foreign(error.to_string());
        let header = serde_json::from_slice(&header).map_err(|error| foreign(&error))?;
        let parts = parts(&mut file)?;
        Ok(Self {
            file,
            header,
            parts,
        })
    }

    /// What it says about itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The parts that it has.
    pub fn parts(&self) -> impl Iterator<Item = Part> {
        self.parts.iter().map(|place| place.part)
    }

    /// The content of a part; none when it does not have it.
    ///
    /// # Errors
    /// What the system says.
    pub fn content(&mut self, part: Part) -> io::Result<Option<impl Read>> {
        let Some(place) = self.parts.iter().find(|place| place.part == part) else {
            return Ok(None);
        };
        self.file.seek(SeekFrom::Start(place.offset))?;
        Ok(Some((&self.file).take(place.octets)))
    }
}

/// The content of the first entry.
fn first(file: &mut File) -> Result<Vec<u8>, BackupError> {
    let mut archive = tar::Archive::new(file);
    let mut entries = archive.entries()?;
    let Some(Ok(entry)) = entries.next() else {
        return Err(BackupError::NotABackup);
    };
    if *entry.path_bytes() != *HEADER.as_bytes() || entry.size() > HEADER_OCTETS_MAX {
        return Err(BackupError::NotABackup);
    }
    let mut octets = Vec::new();
    entry.take(HEADER_OCTETS_MAX).read_to_end(&mut octets)?;
    Ok(octets)
}

/// Whether the digest at the end is that of everything before it.
fn verify(file: &mut File) -> Result<(), BackupError> {
    let octets = file.metadata()?.len();
    let Some(before) = octets.checked_sub(TAIL_OCTETS as u64) else {
        return Err(BackupError::CutShort);
    };
    let mut tail = [0; TAIL_OCTETS];
    file.seek(SeekFrom::Start(before))?;
    file.read_exact(&mut tail)?;
    let written = written_digest(&tail).ok_or(BackupError::CutShort)?;
    file.seek(SeekFrom::Start(0))?;
    let mut rest = file.take(before);
    let mut digest = Sha256::new();
    let mut piece = vec![0; PIECE_OCTETS];
    loop {
        match rest.read(&mut piece)? {
            0 => break,
            read => digest.update(&piece[..read]),
        }
    }
    let found = hexadecimal(&digest.finalize());
    if found == written {
        Ok(())
    } else {
        Err(BackupError::Damaged { found, written })
    }
}

fn written_digest(tail: &[u8; TAIL_OCTETS]) -> Option<String> {
    let mut archive = tar::Archive::new(tail.as_slice());
    let mut entries = archive.entries().ok()?;
    let mut entry = entries.next()?.ok()?;
    let is_digest = *entry.path_bytes() == *DIGEST.as_bytes() && entry.size() == 64;
    let mut text = String::new();
    entry.read_to_string(&mut text).ok()?;
    let is_hexadecimal = text.bytes().all(|octet| octet.is_ascii_hexdigit());
    // What the padding and the end hold is not in the digest: nothing may hide there.
    let (padding, end) = (&tail[576..1024], &tail[1024..]);
    let is_end = padding.iter().chain(end).all(|octet| *octet == 0);
    (is_digest && is_hexadecimal && is_end).then_some(text)
}

/// Where the parts stand, between the header and the digest.
fn parts(file: &mut File) -> Result<Vec<Place>, BackupError> {
    let foreign = |text: String| BackupError::Foreign(text);
    file.seek(SeekFrom::Start(0))?;
    let mut archive = tar::Archive::new(file);
    let mut parts: Vec<Place> = Vec::new();
    for entry in archive.entries_with_seek()?.skip(1) {
        let entry = entry.map_err(|error| foreign(error.to_string()))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if name == DIGEST {
            break;
        }
        let known =
            Part::named(&name).filter(|part| !parts.iter().any(|place| place.part == *part));
        let Some(part) = known else {
            return Err(foreign(format!("it has {name:?}, which is not expected")));
        };
        if part.octets_max().is_some_and(|most| entry.size() > most) {
            return Err(foreign(format!("{name} has {} octets", entry.size())));
        }
        parts.push(Place {
            part,
            offset: entry.raw_file_position(),
            octets: entry.size(),
        });
    }
    if parts.iter().any(|place| place.part == Part::Directory) {
        Ok(parts)
    } else {
        Err(foreign("it has no directory".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::FileExt as _;

    use super::super::Writer;
    use super::*;

    fn header() -> Header {
        Header {
            form: FORM,
            release: "0.1.0".to_owned(),
            made: "2023-11-14T22:13:20.123Z".to_owned(),
            hostname: "relay.example".to_owned(),
            users: 2,
            lists: 1,
            tokens: 1,
            components: 0,
        }
    }

    const DIRECTORY: &[u8] = &[7; 600];

    fn octets_with(header: &Header) -> Vec<u8> {
        let mut writer = Writer::begin(Vec::new(), header).unwrap();
        let configuration = "hostname = \"relay.example\"\n".as_bytes();
        let octets = configuration.len() as u64;
        writer
            .add(Part::Configuration, octets, configuration)
            .unwrap();
        let octets = DIRECTORY.len() as u64;
        writer.add(Part::Directory, octets, DIRECTORY).unwrap();
        writer.end().unwrap()
    }

    fn opened(octets: &[u8]) -> Result<Backup, BackupError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.tar");
        std::fs::write(&path, octets).unwrap();
        Backup::open(&path)
    }

    fn content(backup: &mut Backup, part: Part) -> Option<Vec<u8>> {
        let mut octets = Vec::new();
        backup
            .content(part)
            .unwrap()?
            .read_to_end(&mut octets)
            .unwrap();
        Some(octets)
    }

    #[test]
    fn what_was_written_is_read_back() {
        let mut backup = opened(&octets_with(&header())).unwrap();
        assert_eq!(*backup.header(), header());
        let parts: Vec<Part> = backup.parts().collect();
        assert_eq!(parts, [Part::Configuration, Part::Directory]);
        let directory = content(&mut backup, Part::Directory).unwrap();
        assert_eq!(directory, DIRECTORY);
        let configuration = content(&mut backup, Part::Configuration).unwrap();
        assert_eq!(configuration, b"hostname = \"relay.example\"\n");
        assert_eq!(content(&mut backup, Part::Key), None);
    }

    #[test]
    fn any_octet_that_changed_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.tar");
        let whole = octets_with(&header());
        std::fs::write(&path, &whole).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        for (at, octet) in whole.iter().enumerate() {
            file.write_all_at(&[octet ^ 0x21], at as u64).unwrap();
            assert!(Backup::open(&path).is_err(), "octet {at}");
            file.write_all_at(&[*octet], at as u64).unwrap();
        }
        Backup::open(&path).unwrap();
    }

    #[test]
    fn what_is_damaged_between_its_ends_is_said_to_be_damaged() {
        let mut octets = octets_with(&header());
        let middle = octets.len() / 2;
        octets[middle] ^= 1;
        let error = opened(&octets).unwrap_err();
        assert!(matches!(error, BackupError::Damaged { .. }), "{error}");
    }

    #[test]
    fn what_is_cut_short_is_said_to_be_wherever_it_was_cut() {
        let whole = octets_with(&header());
        for octets in [
            1_024,
            1_500,
            2_047,
            2_560,
            whole.len() - 512,
            whole.len() - 1,
        ] {
            let error = opened(&whole[..octets]).unwrap_err();
            assert!(matches!(error, BackupError::CutShort), "{octets}: {error}");
        }
        let longer = [whole.as_slice(), &[0; 512]].concat();
        assert!(matches!(opened(&longer), Err(BackupError::CutShort)));
    }

    #[test]
    fn one_of_a_newer_form_names_the_release_that_reads_it() {
        let newer = Header {
            form: FORM + 1,
            release: "9.0.0".to_owned(),
            ..header()
        };
        let error = opened(&octets_with(&newer)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "of form 3, made by release 9.0.0, and this release reads forms up to 2: use that release or a newer one"
        );
    }

    #[test]
    fn what_is_no_backup_is_said_to_be_none() {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(1);
        archive
            .append_data(&mut header, "x", b"x".as_slice())
            .unwrap();
        let other = archive.into_inner().unwrap();
        for octets in [b"".as_slice(), b"text", &[0; 4_096], &[b'x'; 4_096], &other] {
            let error = opened(octets).unwrap_err();
            assert!(matches!(error, BackupError::NotABackup), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_not_expected_is_refused_and_so_is_one_without_a_directory() {
        let mut writer = Writer::begin(Vec::new(), &header()).unwrap();
        for _ in 0..2 {
            writer.add(Part::Directory, 1, b"x".as_slice()).unwrap();
        }
        let twice = writer.end().unwrap();
        let writer = Writer::begin(Vec::new(), &header()).unwrap();
        for octets in [twice, writer.end().unwrap()] {
            let error = opened(&octets).unwrap_err();
            assert!(matches!(error, BackupError::Foreign(_)), "{error}");
        }
    }

    #[test]
    fn a_part_with_fewer_octets_than_announced_is_not_written() {
        let mut writer = Writer::begin(Vec::new(), &header()).unwrap();
        let error = writer.add(Part::Key, 2, b"x".as_slice()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
