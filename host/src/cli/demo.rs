//! `outpost demo`: very-high mail passes a newsletter, for anybody to see.
//!
//! What can be typed, and what the terminal can show; the demonstration itself is `demo`.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::num::NonZeroU64;

use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::options::unread_config;
use crate::demo::{self, DemoError, Options, Show};

/// What is shown.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(
    arg = unread_config(),
    after_help = "Relay, client and next hop run in this process, on loopback ports that are free, with a \
    folder that is removed at the end. Nothing leaves this machine, no relay that runs on it is touched, and no \
    configuration is read.\n\n\
    Where the output is no terminal, and with NO_COLOR or TERM=dumb, a line is printed for each change. The exit code \
    is 0 when everything that is claimed at the end holds.\n\n\
    Example: outpost demo --messages 10 --capacity 2000000"
)]
pub struct DemoCommand {
    /// Octets per second of the link that everything goes over
    #[arg(long, value_name = "OCTETS", default_value = "1000000", value_parser = capacity())]
    pub capacity: u64,
    /// Copies of the newsletter
    #[arg(long, value_name = "NUMBER", default_value_t = 6, value_parser = messages())]
    pub messages: u64,
    /// Octets of each copy
    #[arg(long, value_name = "OCTETS", default_value_t = 1_500_000, value_parser = size())]
    pub size: u64,
    /// Draw nothing, and print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// A slower link has pieces that are no larger than a trickle; a faster one is faster than the machine.
fn capacity() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(100_000..=100_000_000)
}

/// More have no room on a screen.
fn messages() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(1..=20)
}

/// A smaller one is through at once; a larger one is refused by the relay.
fn size() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(100_000..=50_000_000)
}

/// Shows it, until the end or until `stop`.
///
/// # Errors
/// When it does not come to its end, or does not show what it should.
pub async fn demonstrate(
    command: DemoCommand,
    stop: impl Future<Output = ()>,
) -> Result<(), DemoError> {
    let options = Options {
        capacity: NonZeroU64::new(command.capacity).unwrap_or(NonZeroU64::MIN),
        messages: usize::try_from(command.messages).unwrap_or(usize::MAX),
        octets: command.size,
    };
    let is_terminal = io::stdout().is_terminal();
    let show = match command.json {
        true => Show::Json,
        false => show(is_terminal, |name| std::env::var_os(name)),
    };
    demo::run(options, show, &mut io::stdout(), stop).await
}

/// How it is shown in this environment.
fn show(is_terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> Show {
    let given = |name| variable(name).filter(|value| !value.is_empty());
    // https://no-color.org: whatever its value is.
    let is_plain = given("NO_COLOR").is_some();
    let is_dumb = given("TERM").is_none_or(|value| value == "dumb");
    if !is_terminal || is_plain || is_dumb {
        return Show::Lines;
    }
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(given);
    let locale = locale.unwrap_or_default().to_string_lossy().to_lowercase();
    let unicode = locale.contains("utf-8") || locale.contains("utf8");
    Show::Bars { unicode }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_that_can_show_bars_gets_them() {
        let shown = |is_terminal, variables: &[(&str, &str)]| {
            show(is_terminal, |name| {
                let found = variables.iter().find(|(one, _)| *one == name);
                found.map(|(_, value)| OsString::from(value))
            })
        };
        let blocks = Show::Bars { unicode: true };
        let ascii = Show::Bars { unicode: false };
        for (is_terminal, variables, way) in [
            (
                true,
                &[("TERM", "xterm"), ("LANG", "en_GB.UTF-8")][..],
                blocks,
            ),
            (
                true,
                &[("TERM", "xterm"), ("LC_ALL", "C.utf8"), ("LANG", "C")],
                blocks,
            ),
            (
                true,
                &[("TERM", "xterm"), ("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")],
                ascii,
            ),
            (
                true,
                &[("TERM", "xterm"), ("LC_ALL", ""), ("LANG", "de_DE.UTF-8")],
                blocks,
            ),
            (true, &[("TERM", "xterm")], ascii),
            (true, &[("TERM", "xterm"), ("NO_COLOR", "1")], Show::Lines),
            (true, &[("TERM", "xterm"), ("NO_COLOR", "")], ascii),
            (true, &[("TERM", "dumb"), ("LANG", "C.UTF-8")], Show::Lines),
            (true, &[], Show::Lines),
            (
                false,
                &[("TERM", "xterm"), ("LANG", "C.UTF-8")],
                Show::Lines,
            ),
        ] {
            assert_eq!(
                shown(is_terminal, variables),
                way,
                "{is_terminal} {variables:?}"
            );
        }
    }
}
