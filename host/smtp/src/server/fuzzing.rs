//! What fuzzing reaches of a server session besides the session itself: how lines are taken, and the
//! grammar of commands.
//!
//! For the fuzz targets only, behind the feature `fuzzing`. Nothing is decided here.

use crate::address::{ForwardPath, ReversePath};

use super::command::{self, Verb};
use super::input::{self, Input, Start};

/// A command line as a session takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Its octets without the CRLF.
    Octets(Vec<u8>),
    /// It was longer than the limit.
    TooLong,
    /// It was an AUTH command and longer than the limit for those.
    AuthTooLong,
    /// It has a bare LF.
    BareLf,
}

/// The command lines in octets that arrive in these pieces.
pub fn lines<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    octets_max: usize,
    auth_octets_max: usize,
) -> Vec<Line> {
    let mut input = Input::default();
    let mut lines = Vec::new();
    for piece in pieces {
        input.appendable(true).extend_from_slice(piece);
        while let Some(line) = input.command(octets_max, auth_octets_max) {
            lines.push(match line {
                input::Line::Octets(octets) => Line::Octets(octets.to_vec()),
                input::Line::TooLong(Start::Auth) => Line::AuthTooLong,
                input::Line::TooLong(_) => Line::TooLong,
                input::Line::BareLf(_) => Line::BareLf,
            });
        }
        input.release();
    }
    lines
}

/// What a command line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// It is no text.
    NoText,
    /// EHLO or HELO, with the name as it is kept; none when it is refused.
    Hello(Option<Box<str>>),
    /// MAIL with its path, and what stands behind it; none when it is refused.
    Mail(Option<(ReversePath, String)>),
    /// RCPT, likewise.
    Rcpt(Option<(ForwardPath, String)>),
    /// Any other.
    Other,
}

/// Reads a command line without its CRLF.
pub fn command(line: &[u8]) -> Command {
    let Some((verb, arguments)) = command::split(line) else {
        return Command::NoText;
    };
    match verb {
        Verb::Ehlo | Verb::Helo => Command::Hello(command::hello_name(&arguments)),
        Verb::Mail => {
            let read = command::mail_arguments(&arguments).ok();
            Command::Mail(read.map(|(path, behind)| (path, behind.to_owned())))
        }
        Verb::Rcpt => {
            let read = command::rcpt_arguments(&arguments).ok();
            Command::Rcpt(read.map(|(path, behind)| (path, behind.to_owned())))
        }
        _ => Command::Other,
    }
}
