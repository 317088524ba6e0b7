//! Fields of a log line as people read them: `name=value`, in quotes where a value has blanks.
//!
//! A value can come from a client or a peer: what would begin a new line, speak to a terminal, turn the text
//! around or not be seen is escaped. A field that says nothing (`-`) is left out.

use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// The form of the fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Human;

impl<'w> FormatFields<'w> for Human {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line {
            writer,
            is_begun: false,
            result: Ok(()),
        };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'w> {
    writer: Writer<'w>,
    is_begun: bool,
    result: fmt::Result,
}

impl Line<'_> {
    fn put(&mut self, name: &str, value: &str) {
        if self.result.is_err() {
            return;
        }
        let blank = if self.is_begun { " " } else { "" };
        self.is_begun = true;
        self.result = if name == "message" {
            write!(self.writer, "{blank}{value}")
        } else if self.writer.has_ansi_escapes() {
            write!(self.writer, "{blank}\u{1b}[3m{name}\u{1b}[0m={value}")
        } else {
            write!(self.writer, "{blank}{name}={value}")
        };
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.put("message", &on_one_line(value)),
            name if value != "-" => self.put(name, &quoted(value)),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// The value as one word.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| !(c.is_whitespace() || is_unseen(c) || matches!(c, '"' | '='));
    if !value.is_empty() && value.chars().all(is_plain) {
        value.to_owned()
    } else {
        format!("{value:?}")
    }
}

/// Whether a character is not what a reader sees of it: controls, what turns the direction of the text, and what
/// has no width.
fn is_unseen(c: char) -> bool {
    !matches!(c, '"' | '\'' | '\\') && c.escape_debug().len() > 1
}

fn on_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unseen(c) {
            line.extend(c.escape_debug());
        } else {
            line.push(c);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn line(log: impl FnOnce()) -> String {
        let written = Written::default();
        let subscriber = fmt()
            .with_writer({
                let written = written.clone();
                move || written.clone()
            })
            .without_time()
            .with_target(false)
            .with_ansi(false)
            .fmt_fields(Human)
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let octets = written.0.lock().unwrap().clone();
        String::from_utf8(octets).unwrap()
    }

    #[test]
    fn a_value_with_blanks_stands_in_quotes_and_one_that_says_nothing_is_left_out() {
        let reply = "451 4.4.1 it \"refuses\" connections";
        let nothing: Option<&str> = None;
        assert_eq!(
            line(|| tracing::info!(
                user = "shop",
                host = "-",
                nothing,
                reply = %reply,
                filter = "",
                octets = 5,
                took_milliseconds = 0.3,
                dry_run = true,
                next_hop = %"[192.0.2.10]",
                "will be {} again",
                "tried"
            )),
            " INFO will be tried again user=shop \
             reply=\"451 4.4.1 it \\\"refuses\\\" connections\" filter=\"\" octets=5 \
             took_milliseconds=0.3 dry_run=true next_hop=[192.0.2.10]\n"
        );
    }

    #[test]
    fn what_is_not_seen_or_turns_the_line_around_is_escaped() {
        for (unseen, escaped) in [
            ('\u{202e}', "\\u{202e}"),
            ('\u{2066}', "\\u{2066}"),
            ('\u{200b}', "\\u{200b}"),
            ('\u{ad}', "\\u{ad}"),
            ('\u{feff}', "\\u{feff}"),
            ('\u{2028}', "\\u{2028}"),
            ('\u{e000}', "\\u{e000}"),
        ] {
            assert_eq!(quoted(&format!("a{unseen}b")), format!("\"a{escaped}b\""));
            assert_eq!(
                on_one_line(&format!("a {unseen} b")),
                format!("a {escaped} b")
            );
        }
        for seen in ["b\u{fc}cher.example", "\u{65e5}\u{672c}", "o'neil", "a\\b"] {
            assert_eq!(quoted(seen), seen);
            let message = format!("{seen} \"{seen}\"");
            assert_eq!(on_one_line(&message), message);
        }
    }

    #[test]
    fn what_a_peer_says_stays_on_its_line_and_does_not_speak_to_the_terminal() {
        assert_eq!(
            line(|| tracing::info!(reply = %"250 \u{1b}[2J\nERROR x", "a\nb")),
            " INFO a\\nb reply=\"250 \\u{1b}[2J\\nERROR x\"\n"
        );
    }
}
