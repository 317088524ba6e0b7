//! The configuration file: every key, its default, and what a wrong value is told.
//!
//! TOML; every key optional, unknown keys refused, all mistakes reported at once with their lines.
//! What comes out are the `Settings` that the modules declare; the file's form stays in here.

mod document;
mod places;
mod running;
mod sections;
mod syntax;
mod together;
mod values;

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
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
use crate::spool;
use crate::telemetry;
use crate::tls;

use document::Document;
pub use document::Mistake;
pub use places::Places;
pub use running::Change;

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
    /// The store.
    pub spool: spool::Settings,
    /// Passwords.
    pub auth: auth::Settings,
    /// The policy components.
    pub plugin: plugin::Settings,
    /// The admin surface.
    pub admin: admin::Settings,
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
    /// What is right and should be known all the same: keys that have no effect yet.
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
    let found = file.map(Path::to_owned).or_else(|| {
        DEFAULT_FILES
            .iter()
            .map(PathBuf::from)
            .find(|path| path.exists())
    });
    let Some(path) = found else {
        return Ok(Reading {
            config: defaults(),
            mistakes: Vec::new(),
            notes: Vec::new(),
        });
    };
    let octets = octets_of(&path).map_err(|source| ConfigError::Unreadable {
        path: path.clone(),
        source,
    })?;
    let mut reading = read_octets(&octets);
    reading.config.file = Some(path);
    reading.config.as_read = Some(octets.into());
    Ok(reading)
}

fn octets_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    let file = File::open(path)?;
    file.take(FILE_OCTETS_MAX + 1).read_to_end(&mut octets)?;
    if octets.len() as u64 > FILE_OCTETS_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {FILE_OCTETS_MAX} octets: this is no configuration"),
        ));
    }
    Ok(octets)
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
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        parse(text)
            .map(drop)
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn the_defaults_are_those_of_the_manual() {
        let config = parse("").unwrap();
        assert_eq!(config.listen.ports.to_string(), "23,25-26,587,1025-5000");
        assert_eq!(config.listen.implicit_tls_ports.to_string(), "465");
        assert!(!config.listen.optional);
        assert!(!config.plaintext_auth);
        assert_eq!(config.limits.content_octets_max, 52_428_800);
        assert_eq!(config.admin.address.to_string(), "127.0.0.1:8025");
        assert_eq!(config.data_dir, Path::new("outpost-data"));
        assert_eq!(config.queue.simultaneous_max, 500);
        let names: Vec<_> = config
            .plugin
            .chain
            .iter()
            .map(|component| component.name.as_str())
            .collect();
        assert_eq!(names, ["authorized-senders", "effective-priority"]);
    }

    /// The sample file, and the same with the keys that it shows as comments.
    fn sample() -> (&'static str, String) {
        let sample = include_str!("../../../docs/outpost.sample.toml");
        let shown = |line: &str| {
            let key = |(key, _): (&str, &str)| {
                !key.is_empty()
                    && key
                        .bytes()
                        .all(|octet| octet.is_ascii_lowercase() || octet == b'_')
            };
            line.starts_with('[') || line.split_once(" = ").is_some_and(key)
        };
        let whole = sample.lines().map(|line| match line.strip_prefix("# ") {
            Some(rest) if shown(rest) => rest,
            _ => line,
        });
        (sample, whole.collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn the_sample_file_says_the_defaults() {
        let (sample, whole) = sample();
        let defaults = parse("hostname = \"relay.example.com\"").unwrap();
        let mut config = parse(sample).unwrap();
        let names = |config: &Config| {
            let chain = config.plugin.chain.iter();
            chain
                .map(|component| component.name.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&config), names(&defaults));
        config.plugin = defaults.plugin.clone();
        assert_eq!(format!("{config:#?}"), format!("{defaults:#?}"));
        assert_eq!(parse(&whole).unwrap().plugin.chain.len(), 3);
    }

    #[test]
    fn the_sample_file_has_every_key() {
        let (_, whole) = sample();
        for section in [
            "",
            "[submission]",
            "[tls]",
            "[delivery]",
            "[[delivery.route]]",
            "[dns]",
            "[spool]",
            "[auth]",
            "[admin]",
            "[log]",
            "[[plugin]]",
        ] {
            let found = mistakes(&format!("{section}\nzzz = 1\n"));
            let known = found
                .iter()
                .find_map(|mistake| mistake.split_once("known here: "))
                .unwrap()
                .1;
            for key in known.split(", ") {
                let forms = [format!("{key} = "), format!("[{key}]"), format!(".{key}]")];
                assert!(
                    forms.iter().any(|form| whole.contains(form)),
                    "{section} {key}"
                );
            }
        }
    }

    #[test]
    fn without_a_file_only_loopback_is_served() {
        let config = defaults();
        assert!(
            config
                .listen
                .addresses
                .iter()
                .all(|address| address.is_loopback())
        );
        assert!(config.listen.optional);
    }

    #[test]
    fn every_key_of_the_manual_is_understood() {
        let config = parse(
            r#"
            hostname = "relay.example.com"
            data_dir = "elsewhere"
            [submission]
            addresses = ["127.0.0.1"]
            ports = "2525"
            implicit_tls_ports = ""
            optional = true
            plaintext_auth = true
            message_bytes_max = 1000000
            [tls]
            certificate = "cert.pem"
            key = "key.pem"
            [delivery]
            capacity_bytes_per_second = 0
            simultaneous_max = 7
            per_next_hop_max = 3
            pause_ceiling = "60s"
            retry = ["1s", "2m"]
            expire_after = "2d"
            [[delivery.route]]
            recipients = "*.example.com"
            smarthost = "127.0.0.1:2500"
            user = "u"
            password = "p"
            tls = "required"
            [[delivery.route]]
            recipients = "*"
            senders = "*.shop.example"
            list = "shop"
            smarthost = "127.0.0.1"
            [admin]
            address = "127.0.0.1:0"
            [[plugin]]
            name = "authorized-senders"
            on_failure = "refuse"
            [[plugin]]
            name = "mine"
            component = "mine.wasm"
            wasi = "empty"
            reuse = 50
            [plugin.config]
            limit = 3
            "#,
        )
        .unwrap();
        assert_eq!(config.hostname, "relay.example.com");
        assert_eq!(config.queue.per_next_hop_max, 3);
        assert_eq!(config.queue.retry, [1, 120].map(Duration::from_secs));
        assert_eq!(config.delivery.smarthosts.len(), 2);
        assert_eq!(config.plugin.chain[1].config["limit"], "3");
        let wasi = config.plugin.chain.iter().map(|component| component.wasi);
        assert_eq!(
            wasi.collect::<Vec<_>>(),
            [plugin::Wasi::Refused, plugin::Wasi::Empty]
        );
        let reuse = config.plugin.chain.iter().map(|one| one.transactions_max);
        assert_eq!(reuse.collect::<Vec<_>>(), [1, 50], "never unasked");
    }

    #[test]
    fn every_mistake_is_reported_at_once_with_its_line_and_what_would_be_right() {
        let found = mistakes(
            "hostname = \"not a name\"\n\
             colour = 1\n\
             [submission]\n\
             ports = \"25,x\"\n\
             implicit_tls_ports = \"25\"\n\
             addresses = [\"everywhere\"]\n\
             optional = \"yes\"\n\
             message_bytes_max = -1\n\
             [tls]\n\
             certificate = \"cert.pem\"\n\
             [delivery]\n\
             retry = []\n\
             expire_after = \"5 days\"\n\
             [[delivery.route]]\n\
             smarthost = \"127.0.0.1:99999\"\n\
             tls = \"sometimes\"\n\
             senders = \"*@a.example\"\n\
             list = \"the shop\"\n\
             [admin]\n\
             address = \"8025\"\n\
             [[plugin]]\n\
             name = \"no-such\"\n\
             [[plugin]]\n\
             on_failure = \"accept\"\n\
             wasi = \"full\"\n\
             reuse = 0\n",
        );
        let expected = [
            "line 1: hostname: `not a name` is not a host name",
            "line 2: colour: unknown key",
            "line 4: submission.ports: `x` is neither a port",
            "line 6: submission.addresses: `everywhere` is not an IP address",
            "line 7: submission.optional: true or false is expected, not a text",
            "line 8: submission.message_bytes_max: a whole number from 1024",
            "line 10: tls.certificate: needs `key` beside it",
            "line 12: delivery.retry: at least one duration is needed",
            "line 13: delivery.expire_after: `5 days` is not a duration",
            "line 14: delivery.route[1].recipients: is needed",
            "line 15: delivery.route[1].smarthost: the port must be a number",
            "line 16: delivery.route[1].tls: `sometimes` is not one of",
            "line 17: delivery.route[1].senders: \"*@a.example\" is not \"*\", an address",
            "line 18: delivery.route[1].list: `the shop` is not the name of a list",
            "line 20: admin.address: `8025` is not an address and a port",
            "line 22: plugin[1].name: `no-such` is not a component that ships",
            "line 23: plugin[2].name: is needed",
            "line 24: plugin[2].on_failure: `accept` is not one of",
            "line 25: plugin[2].wasi: `full` is not \"empty\"",
            "line 26: plugin[2].reuse: a whole number from 1 to 1000",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                found.starts_with(expected),
                "{found:?} does not begin with {expected:?}"
            );
        }
    }

    #[test]
    fn every_wrong_item_is_told_at_its_own_line() {
        assert_eq!(
            mistakes(
                "[submission]\nports = \"x,25,9-5\"\naddresses = [\"a\", \"127.0.0.1\",\n 5]\n\
                 [delivery]\nretry = [\n\"1s\",\n\"soon\",\n\"99d\",\n]\n"
            ),
            [
                "line 2: submission.ports: `x` is neither a port (1 to 65535) nor a range such as 1025-5000",
                "line 2: submission.ports: the range `9-5` ends before it begins",
                "line 3: submission.addresses: `a` is not an IP address such as \"0.0.0.0\" or \"::\"",
                "line 4: submission.addresses: a text in quotes is expected, not a whole number",
                "line 8: delivery.retry: `soon` is not a duration such as \"30s\", \"2m\", \"1h\" or \"5d\"",
                "line 9: delivery.retry: `99d` is outside 1s to 1d",
            ]
        );
    }

    #[test]
    fn what_is_not_utf_8_is_named_by_its_line_and_the_rest_is_read() {
        let reading = read_octets(b"# plain\nhostname = \"gr\xfcn\"\ncolour = 1\n");
        let found: Vec<String> = reading.mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(
            found[0],
            "line 2: the octet 0xFC is not UTF-8: save the file with the encoding UTF-8"
        );
        assert!(
            found[1].starts_with("line 3: colour: unknown key"),
            "{found:?}"
        );
    }

    #[test]
    fn a_setting_without_effect_is_noted_unless_it_is_the_default() {
        let notes = |text: &str| {
            let notes = read_text(text).notes;
            notes.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            notes("[delivery]\npause_ceiling = \"10s\"\ncapacity_bytes_per_second = 5\n"),
            [
                "line 2: delivery.pause_ceiling: has no effect in this version (default: 1m)",
                "line 3: delivery.capacity_bytes_per_second: has no effect in this version: mail is \
                 sent as fast as it can be",
            ]
        );
        let defaults = "[delivery]\npause_ceiling = \"60s\"\ncapacity_bytes_per_second = 0\n";
        assert!(notes(defaults).is_empty());
    }

    #[test]
    fn what_would_do_something_else_than_it_says_is_refused() {
        for (text, expected) in [
            (
                "hostname = \"127.0.0.1\"\n",
                "line 1: hostname: `127.0.0.1` is an address, not a host name",
            ),
            (
                "[log]\nfilter = \"inf\"\n",
                "line 2: log.filter: `inf` is not one of off, error, warn, info, debug, trace; for a \
                 part of the relay write \"info,outpost=debug\"",
            ),
            (
                "[log]\nfilter = \"info,outpost\"\n",
                "line 2: log.filter: `outpost` is not one of off, error, warn, info, debug, trace; for a \
                 part of the relay write \"info,outpost=debug\"",
            ),
        ] {
            assert_eq!(mistakes(text), [expected]);
        }
        for filter in ["INFO", "warn,outpost::queue=trace", "off", ""] {
            assert!(
                parse(&format!("[log]\nfilter = \"{filter}\"\n")).is_ok(),
                "{filter}"
            );
        }
        let twice = parse("[submission]\naddresses = [\"::1\", \"127.0.0.1\", \"::1\"]\n").unwrap();
        assert_eq!(twice.listen.addresses.len(), 2);
        let any =
            parse("[submission]\naddresses = [\"127.0.0.1\", \"0.0.0.0\", \"::1\"]\n").unwrap();
        let any: Vec<_> = any
            .listen
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(any, ["0.0.0.0", "::1"]);
    }

    #[test]
    fn a_file_that_is_no_configuration_is_not_read_or_told_to_its_end() {
        let large = read(Some(Path::new("/dev/zero"))).unwrap_err().to_string();
        assert!(
            large.ends_with("octets: this is no configuration"),
            "{large}"
        );
        let error = ConfigError::Mistakes {
            path: PathBuf::from("x"),
            mistakes: parse(&"a\n".repeat(200)).map(drop).unwrap_err(),
        };
        let shown = error.to_string();
        assert_eq!(shown.lines().count(), MISTAKES_SHOWN_MAX + 1, "{shown}");
        assert!(shown.ends_with("x: and 100 more mistakes"), "{shown}");
    }

    #[test]
    fn a_port_is_either_in_clear_or_tls() {
        let found = mistakes("[submission]\nports = \"25,465\"\n");
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(
            found[0].starts_with("line 2: submission.ports: port 465 is in implicit_tls_ports too")
        );
    }
}
