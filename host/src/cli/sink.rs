//! The forms of `outpost sink`: a next hop for tests that can misbehave on purpose.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::Args;

use crate::sink::{self, Action, Misdeed, Trigger};

/// What is typed after `outpost sink`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(
    after_help = "PATTERN says what is treated so: a part of a recipient's address, where * \
    stands for any text (\"@slow.example\", \"news*@*.example\"), or a stage for all mail: connect, mail, rcpt, \
    data, or dot (after the final dot). Each option may be repeated; --hang goes before --refuse, and \
    --refuse before --defer.\n\n\
    Example: outpost sink --print --refuse @nowhere.example --bytes-per-second 5000"
)]
pub struct SinkOptions {
    /// Where to listen
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:2500")]
    pub listen: SocketAddr,
    /// The name in the greeting
    #[arg(long, value_name = "NAME", default_value = "sink.localhost")]
    pub hostname: String,
    /// Print each message as it comes
    #[arg(long)]
    pub print: bool,
    /// Store each message in this folder, its envelope as JSON beside it
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// Record when each chunk of content arrives: a JSON object a line
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Take in content no faster than this, on each connection
    #[arg(long, value_name = "OCTETS")]
    pub bytes_per_second: Option<NonZeroU64>,
    /// Refuse for good (5yz) what matches
    #[arg(long, value_name = "PATTERN")]
    pub refuse: Vec<Trigger>,
    /// Refuse for now (4yz) what matches
    #[arg(long, value_name = "PATTERN")]
    pub defer: Vec<Trigger>,
    /// Never answer what matches
    #[arg(long, value_name = "PATTERN")]
    pub hang: Vec<Trigger>,
}

impl From<SinkOptions> for sink::SinkOptions {
    fn from(typed: SinkOptions) -> Self {
        let misdeeds = [
            (Action::Hang, typed.hang),
            (Action::Refuse, typed.refuse),
            (Action::Defer, typed.defer),
        ];
        Self {
            listen: typed.listen,
            hostname: typed.hostname,
            print: typed.print,
            store: typed.store,
            record: typed.json,
            bytes_per_second: typed.bytes_per_second,
            misdeeds: misdeeds
                .into_iter()
                .flat_map(|(action, triggers)| {
                    triggers.into_iter().map(move |at| Misdeed { at, action })
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::sink::Stage;

    fn typed(line: &[&str]) -> Result<sink::SinkOptions, String> {
        let words = ["outpost", "sink"].into_iter().chain(line.iter().copied());
        match Cli::try_parse_from(words)
            .map_err(|error| error.to_string())?
            .command
        {
            Some(Command::Sink(options)) => Ok(options.into()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn alone_it_listens_where_the_sample_configuration_sends_to() {
        let options = typed(&[]).unwrap();
        assert_eq!(options.listen.to_string(), "127.0.0.1:2500");
        assert!(options.misdeeds.is_empty());
        assert!(!options.print);
    }

    #[test]
    fn misdeeds_are_typed_as_patterns() {
        let options = typed(&[
            "--listen",
            "[::1]:0",
            "--defer",
            "@a.example",
            "--refuse",
            "data",
            "--hang",
            "dot",
            "--refuse",
            "X*@b.example",
            "--bytes-per-second",
            "5000",
            "--store",
            "mail",
            "--json",
            "chunks.jsonl",
            "--print",
        ])
        .unwrap();
        let expected = [
            (Action::Hang, Trigger::Stage(Stage::Dot)),
            (Action::Refuse, Trigger::Stage(Stage::Data)),
            (
                Action::Refuse,
                Trigger::Recipient("x*@b.example".to_owned()),
            ),
            (Action::Defer, Trigger::Recipient("@a.example".to_owned())),
        ];
        assert_eq!(
            options.misdeeds,
            expected.map(|(action, at)| Misdeed { at, action })
        );
        assert_eq!(options.bytes_per_second.map(NonZeroU64::get), Some(5000));
        assert_eq!(options.record, Some(PathBuf::from("chunks.jsonl")));
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        assert!(
            typed(&["--refuse", ""])
                .unwrap_err()
                .contains("connect, mail, rcpt, data, dot")
        );
        assert!(typed(&["--bytes-per-second", "0"]).is_err());
        assert!(typed(&["--listen", "2500"]).is_err());
    }
}
