//! The forms of `outpost sink`: a next hop for tests that can misbehave on purpose.
//!
//! Only the options and what a pattern matches; the receiver itself stands elsewhere.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

/// What the sink does.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(
    after_help = "PATTERN is STAGE:GLOB or GLOB alone. STAGE is connect (GLOB matches the \
    client's address), mail, data or end (GLOB matches the reverse-path, empty for <>), or rcpt (GLOB \
    matches the recipient; the stage when none is given). In GLOB, * stands for any text; case does \
    not matter. end is after the final dot. The first of --hang, --refuse, --defer that matches acts.\n\n\
    Example: outpost sink --refuse '*@nowhere.example' --defer 'mail:news@*' --bytes-per-second 5000"
)]
pub struct SinkOptions {
    /// Where to listen
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:2500")]
    pub listen: SocketAddr,
    /// Store each message in this folder: ID.eml as received and ID.json with its envelope
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// Record what happens, when, as a JSON object a line: connections, commands, each chunk of
    /// content with its size and arrival time, message ends; "-" is standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Take in content no faster than this, per connection
    #[arg(long, value_name = "OCTETS", value_parser = clap::value_parser!(u64).range(1..))]
    pub bytes_per_second: Option<u64>,
    /// Refuse for good (550) what matches; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub refuse: Vec<SinkPattern>,
    /// Refuse for now (450) what matches; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub defer: Vec<SinkPattern>,
    /// Never answer what matches; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub hang: Vec<SinkPattern>,
    /// Print each message whole; otherwise a line tells of it
    #[arg(long)]
    pub print: bool,
}

impl Default for SinkOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 2500)),
            store: None,
            json: None,
            bytes_per_second: None,
            refuse: Vec::new(),
            defer: Vec::new(),
            hang: Vec::new(),
            print: false,
        }
    }
}

/// Where in a session a pattern acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkStage {
    /// In place of the greeting.
    Connect,
    /// At MAIL.
    Mail,
    /// At RCPT.
    Recipient,
    /// At DATA or the first BDAT.
    Data,
    /// After the final dot.
    End,
}

/// What a misbehaviour applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkPattern {
    /// Where it acts.
    pub stage: SinkStage,
    glob: String,
}

impl SinkPattern {
    /// Whether it acts at `stage` on `text`: the client's address at connect, the recipient at
    /// RCPT, otherwise the reverse-path.
    pub fn matches(&self, stage: SinkStage, text: &str) -> bool {
        self.stage == stage && glob_matches(&self.glob, &text.to_ascii_lowercase())
    }
}

/// What was given is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkPatternError {
    /// The word before the colon is no stage.
    #[error("`{0}` is no stage: connect, mail, rcpt, data or end is expected before the colon")]
    Stage(String),
    /// There is nothing to match.
    #[error("nothing to match; * matches everything")]
    Empty,
}

impl FromStr for SinkPattern {
    type Err = SinkPatternError;

    fn from_str(text: &str) -> Result<Self, SinkPatternError> {
        let (stage, glob) = match text.split_once(':') {
            None => (SinkStage::Recipient, text),
            Some((word, glob)) => {
                let stage = match word.to_ascii_lowercase().as_str() {
                    "connect" => SinkStage::Connect,
                    "mail" => SinkStage::Mail,
                    "rcpt" => SinkStage::Recipient,
                    "data" => SinkStage::Data,
                    "end" => SinkStage::End,
                    _ => return Err(SinkPatternError::Stage(word.to_owned())),
                };
                (stage, glob)
            }
        };
        // An empty reverse-path is a thing to match; an empty recipient or client is not.
        let can_be_empty = matches!(stage, SinkStage::Mail | SinkStage::Data | SinkStage::End);
        if glob.is_empty() && !can_be_empty {
            return Err(SinkPatternError::Empty);
        }
        Ok(Self {
            stage,
            glob: glob.to_ascii_lowercase(),
        })
    }
}

/// The form that is read back.
impl fmt::Display for SinkPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            SinkStage::Connect => "connect",
            SinkStage::Mail => "mail",
            SinkStage::Recipient => "rcpt",
            SinkStage::Data => "data",
            SinkStage::End => "end",
        };
        write!(f, "{stage}:{}", self.glob)
    }
}

/// Whether `text` is the parts of `glob` in their order, with anything where the stars stand.
fn glob_matches(glob: &str, text: &str) -> bool {
    let Some((first, rest)) = glob.split_once('*') else {
        return glob == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        // The leftmost place is always right: what follows only needs to be somewhere behind it.
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_pattern_names_stage_and_text() {
        let cases = [
            ("*@b.example", SinkStage::Recipient, "X@B.Example", true),
            (
                "*@b.example",
                SinkStage::Recipient,
                "x@b.example.org",
                false,
            ),
            ("*@b.example", SinkStage::Mail, "x@b.example", false),
            ("rcpt:a*c*e", SinkStage::Recipient, "abcde", true),
            ("a*b*b", SinkStage::Recipient, "ab", false),
            ("a*a", SinkStage::Recipient, "a", false),
            ("*", SinkStage::Recipient, "anything", true),
            ("**", SinkStage::Recipient, "", true),
            ("mail:", SinkStage::Mail, "", true),
            ("mail:", SinkStage::Mail, "x@a.example", false),
            ("end:news@*", SinkStage::End, "news@a.example", true),
            ("connect:127.*", SinkStage::Connect, "127.0.0.1", true),
            ("connect:::1", SinkStage::Connect, "::1", true),
        ];
        for (pattern, stage, text, expected) in cases {
            let pattern: SinkPattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(stage, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_in_words() {
        assert_eq!("".parse::<SinkPattern>(), Err(SinkPatternError::Empty));
        assert_eq!("rcpt:".parse::<SinkPattern>(), Err(SinkPatternError::Empty));
        assert_eq!(
            "ehlo:x".parse::<SinkPattern>(),
            Err(SinkPatternError::Stage("ehlo".to_owned()))
        );
    }
}
