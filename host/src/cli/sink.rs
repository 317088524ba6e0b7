//! `outpost sink`: a next hop for tests, which can misbehave on purpose.
//!
//! What can be typed, and running the receiver in the foreground; the receiver itself is `sink`.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::Args;
use tokio::sync::oneshot;

use super::options::unread_config;
use crate::clock::Clock;
use crate::sink::{self, Action, Misdeed, SinkError, SinkOptions, Trigger};

/// What the sink does.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(
    arg = unread_config(),
    after_help = "WHAT is a stage (connect, mail, rcpt, data, dot) or a part of a recipient's \
    address, in which * stands for any text; case does not matter. The first of --hang, --refuse, \
    --defer that matches acts.\n\n\
    Example: outpost sink --refuse '@nowhere.example' --defer data --bytes-per-second 5000"
)]
pub struct SinkCommand {
    /// Where to listen
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:2500")]
    pub listen: SocketAddr,
    /// Store each message in this folder: N.eml as received and N.json with its envelope
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// Record what arrives when, as a JSON object a line: each chunk of content with its size and time
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Take in content no faster than this, per connection
    #[arg(long, value_name = "OCTETS")]
    pub bytes_per_second: Option<NonZeroU64>,
    /// Refuse for good (5yz) what matches; may be repeated
    #[arg(long, value_name = "WHAT")]
    pub refuse: Vec<Trigger>,
    /// Refuse for now (4yz) what matches; may be repeated
    #[arg(long, value_name = "WHAT")]
    pub defer: Vec<Trigger>,
    /// Never answer what matches; may be repeated
    #[arg(long, value_name = "WHAT")]
    pub hang: Vec<Trigger>,
    /// Print nothing of the messages
    #[arg(long)]
    pub quiet: bool,
}

impl From<SinkCommand> for SinkOptions {
    fn from(command: SinkCommand) -> Self {
        let misdeeds = [
            (command.hang, Action::Hang),
            (command.refuse, Action::Refuse),
            (command.defer, Action::Defer),
        ];
        let misdeeds = misdeeds.into_iter().flat_map(|(triggers, action)| {
            triggers.into_iter().map(move |at| Misdeed { at, action })
        });
        SinkOptions {
            listen: command.listen,
            hostname: "sink.localhost".to_owned(),
            print: !command.quiet,
            store: command.store,
            record: command.record,
            watcher: None,
            bytes_per_second: command.bytes_per_second,
            misdeeds: misdeeds.collect(),
        }
    }
}

/// Why a receiver did not start, and what to type instead.
#[derive(Debug)]
pub struct ReceiveError(SinkError);

impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReceiveError(error) = self;
        error.fmt(f)?;
        match error {
            SinkError::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => f
                .write_str(
                    "\na relay takes the ports 1025-5000 when nothing else is configured: receive \
                     on another one with --listen 127.0.0.1:5025, and name that as smarthost",
                ),
            _ => Ok(()),
        }
    }
}

/// Receives mail until `stop`; says where, and in the end how much came.
///
/// # Errors
/// When it cannot start.
pub async fn receive(
    command: SinkCommand,
    stop: impl Future<Output = ()>,
) -> Result<(), ReceiveError> {
    let (bound, address) = oneshot::channel();
    let running = sink::run(command.into(), Clock::system(), bound, stop);
    let told = async {
        if let Ok(address) = address.await {
            say(&format!("listening on {address}; stop with Ctrl-C"));
        }
    };
    let (messages, ()) = tokio::join!(running, told);
    say(&match messages.map_err(ReceiveError)? {
        1 => "1 message came".to_owned(),
        messages => format!("{messages} messages came"),
    });
    Ok(())
}

/// One line for the person; a closed output is no reason to stop receiving.
fn say(line: &str) {
    use io::Write as _;
    let _ = writeln!(io::stdout(), "{line}");
}
