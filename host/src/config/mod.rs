//! The configuration file: every key, its default, and what a wrong value is told.
//!
//! TOML; every key optional, unknown keys refused, all mistakes reported at once with their lines.
//! What comes out are the `Settings` that the modules declare; the file's form stays in here.

mod alerts;
mod document;
mod filter;
mod places;
mod running;
mod sections;
mod syntax;
mod together;
mod unsecret;
mod urgency;
mod values;

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use outpost_smtp::Limits;

use crate::admin;
use crate::auth;
use crate::delivery;
use crate::dns;
use crate::message::Routes;
use crate::net;
use crate::plugin;
use crate::queue;
use crate::reception;
use crate::regular::{self, ReadError};
use crate::spool;
use crate::telemetry;
use crate::tls;
use crate::watch;

use document::Document;
pub use document::Mistake;
pub use places::Places;
pub use running::Change;
pub use unsecret::without_secrets;
pub use values::read_duration;

/// Where the configuration is looked for when no file is named.
pub const DEFAULT_FILES: [&str; 2] = ["outpost.toml", "/etc/outpost/outpost.toml"];

/// Largest file that is read: a thousand routes have a tenth of it.
const FILE_OCTETS_MAX: u64 = 1 << 20;

/// Most mistakes that are shown: with more of them it is another kind of file.
pub const MISTAKES_SHOWN_MAX: usize = 100;

/// A configuration that can be served.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that it came from; none for the built-in defaults.
    pub file: Option<PathBuf>,
    /// What stands in that file, as it was read; none for the built-in defaults.
    pub as_read: Option<Arc<[u8]>>,
    /// The name of this relay in the banner, in EHLO and in Received.
    pub hostname: String,
    /// The folder that keeps everything.
    pub data_dir: PathBuf,
    /// Which sockets listen.
    pub listen: net::Settings,
    /// Whether AUTH is taken without TLS.
    pub plaintext_auth: bool,
    /// Limits of the protocol core.
    pub limits: Limits,
    /// Limits of reception.
    pub reception: reception::Settings,
    /// The certificate.
    pub tls: tls::Settings,
    /// Where mail goes.
    pub routes: Routes,
    /// How attempts are made.
    pub delivery: delivery::Settings,
    /// How names are looked up.
    pub dns: dns::Settings,
    /// When attempts are made.
    pub queue: queue::Settings,
    /// How sends give way to more urgent ones.
    pub gate: delivery::GateRules,
    /// The store.
    pub spool: spool::Settings,
    /// Passwords.
    pub auth: auth::Settings,
    /// The policy components.
    pub plugin: plugin::Settings,
    /// The admin surface.
    pub admin: admin::Settings,
    /// How alerts are found and told.
    pub alerts: watch::Settings,
    /// How refused senders are told.
    pub notifications: reception::NotificationSettings,
    /// The log.
    pub log: telemetry::Settings,
    /// How long a shutdown waits for transactions and attempts to end.
    pub shutdown_grace: Duration,
    /// Where its keys stand in the file.
    pub places: Places,
}

/// What a file says, right or wrong.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The configuration, with defaults where something is wrong.
    pub config: Config,
    /// Everything that is wrong, in the order of the lines. It can be served when there is nothing.
    pub mistakes: Vec<Mistake>,
    /// What is right and should be known all the same: what was perhaps not meant.
    pub notes: Vec<Mistake>,
}

/// Why there is no configuration to serve.
#[derive(Debug)]
pub enum ConfigError {
    /// The file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file has mistakes: all of them, by line.
    Mistakes {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        mistakes: Vec<Mistake>,
    },
}

/// One line a mistake: `outpost.toml: line 3: submission.ports: …`.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Unreadable { path, source } => write!(f, "{}: {source}", path.display()),
            ConfigError::Mistakes { path, mistakes } => {
                for (index, mistake) in mistakes.iter().take(MISTAKES_SHOWN_MAX).enumerate() {
                    let end = if index + 1 < mistakes.len() { "\n" } else { "" };
                    write!(f, "{}: {mistake}{end}", path.display())?;
                }
                match mistakes.len().saturating_sub(MISTAKES_SHOWN_MAX) {
                    0 => Ok(()),
                    more => write!(f, "{}: and {more} more mistakes", path.display()),
                }
            }
        }
    }
}

impl std::error::Error for ConfigError {}

impl Reading {
    /// What is served.
    ///
    /// # Errors
    /// [`ConfigError::Mistakes`].
    pub fn into_config(self) -> Result<Config, ConfigError> {
        if self.mistakes.is_empty() {
            return Ok(self.config);
        }
        Err(ConfigError::Mistakes {
            path: self.config.file.unwrap_or_default(),
            mistakes: self.mistakes,
        })
    }
}

/// Reads the named file; without one, the first of [`DEFAULT_FILES`] that is there, or the built-in
/// defaults, which listen on loopback only and skip ports that cannot be bound.
///
/// # Errors
/// [`ConfigError::Unreadable`].
pub fn read(file: Option<&Path>) -> Result<Reading, ConfigError> {
    let found = file.map(Path::to_owned).or_else(default_file);
    read_by(found, |path| {
        regular::within(File::open(path)?, FILE_OCTETS_MAX)
    })
}

/// Reads it once more for a relay that runs. What stood in the place of a file at the start and is read up, as a pipe
/// is, would be taken for an empty one now; so would a file that somebody is about to write.
///
/// # Errors
/// [`ConfigError::Unreadable`].
pub fn read_again(in_force: &Config) -> Result<Reading, ConfigError> {
    let file = in_force.file.clone().or_else(default_file);
    let mut reading = read_by(file, |path| regular::read(path, FILE_OCTETS_MAX))?;
    if reading.config.places.is_empty() && !in_force.places.is_empty() {
        let text = "nothing is set in it any more; where the defaults are meant, restart the relay";
        reading.mistakes.push(Mistake {
            line: None,
            key: String::new(),
            text: text.to_owned(),
        });
        reading.mistakes.sort();
    }
    Ok(reading)
}

/// The first of [`DEFAULT_FILES`] that is there.
fn default_file() -> Option<PathBuf> {
    let mut files = DEFAULT_FILES.iter().map(PathBuf::from);
    files.find(|path| is_there(path))
}

fn read_by(
    file: Option<PathBuf>,
    octets_of: impl FnOnce(&Path) -> Result<Vec<u8>, ReadError>,
) -> Result<Reading, ConfigError> {
    let Some(path) = file else {
        return Ok(Reading {
            config: defaults(),
            mistakes: Vec::new(),
            notes: Vec::new(),
        });
    };
    let octets = octets_of(&path).map_err(|error| ConfigError::Unreadable {
        path: path.clone(),
        source: match error {
            ReadError::System(error) => error,
            ReadError::NotRegular(_) => io::Error::other(format!(
                "{error}: it can be read at the start only; restart the relay"
            )),
            ReadError::TooLarge(_) => {
                io::Error::other(format!("{error}: this is no configuration"))
            }
        },
    })?;
    let mut reading = read_octets(&octets);
    reading.config.file = Some(path);
    reading.config.as_read = Some(octets.into());
    Ok(reading)
}

/// Whether there is something of that name. A link into nowhere is: somebody meant a file to be served.
fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Reads the octets of a file. What is not UTF-8 is told, and the rest is read all the same.
fn read_octets(octets: &[u8]) -> Reading {
    let error = match str::from_utf8(octets) {
        Ok(text) => return read_text(text),
        Err(error) => error,
    };
    let before = &octets[..error.valid_up_to()];
    let line = before.iter().filter(|octet| **octet == b'\n').count() + 1;
    let mut reading = read_text(&String::from_utf8_lossy(octets));
    // What was read from that line is not what stands there.
    reading
        .mistakes
        .retain(|mistake| mistake.line != Some(line));
    reading.mistakes.push(Mistake {
        line: Some(line),
        key: String::new(),
        text: format!(
            "the octet 0x{:02X} is not UTF-8: save the file with the encoding UTF-8",
            octets[error.valid_up_to()]
        ),
    });
    reading.mistakes.sort();
    reading
}

fn read_text(text: &str) -> Reading {
    let document = Document::parse(text);
    let root = document.root();
    let mut config = sections::config(&root);
    root.finish();
    let found = document.into_findings();
    config.places.lines = found.lines;
    let (mut mistakes, mut notes) = (found.mistakes, found.notes);
    notes.extend(together::notes(&config, &mistakes));
    mistakes.extend(together::mistakes(&config, &mistakes));
    mistakes.sort();
    Reading {
        config,
        mistakes,
        notes,
    }
}

/// Reads a configuration from its text. Relative paths in it are relative to the working folder.
///
/// # Errors
/// All mistakes, in the order of their lines.
pub fn parse(text: &str) -> Result<Config, Vec<Mistake>> {
    let reading = read_text(text);
    if reading.mistakes.is_empty() {
        Ok(reading.config)
    } else {
        Err(reading.mistakes)
    }
}

/// What is served where there is no configuration file: everything on loopback, and ports that are
/// taken or privileged are skipped.
fn defaults() -> Config {
    let document = Document::parse("");
    let mut config = sections::config(&document.root());
    config.listen.addresses = vec![[127, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into()];
    config.listen.optional = true;
    config
}

#[cfg(test)]
mod tests;
