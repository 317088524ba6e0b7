//! The demonstration as lines, one for each change: for files, pipes, and terminals that are to stay plain.

use std::io::{self, Write};

use super::plan::octets_text;
use super::scene::{Row, Scene, State};
use crate::message::{Class, MessageId};

/// Writes what has changed since the scene before.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The states of the rows, as they were told last.
    told: Vec<State>,
}

impl Lines {
    /// Tells what is new.
    pub(super) fn show(&mut self, scene: &Scene<'_>, out: &mut dyn Write) -> io::Result<()> {
        for (index, row) in scene.rows.iter().enumerate() {
            let before = self.told.get(index).copied();
            match before {
                Some(before) if before == row.state => continue,
                Some(_) => self.told[index] = row.state,
                None => self.told.push(row.state),
            }
            if let Some(change) = change(before, row, scene.reset) {
                let (letter, at) = (row.letter, scene.at.as_secs_f64());
                writeln!(
                    out,
                    "{at:5.1} s  {} ({}): {change}",
                    letter.label, letter.class
                )?;
            }
        }
        out.flush()
    }
}

/// What a person is told of it; nothing of a letter that does nothing yet.
fn change(before: Option<State>, row: &Row<'_>, reset: Option<MessageId>) -> Option<String> {
    let so_far = octets_text(row.arrived);
    Some(match (before, row.state) {
        (_, State::Unsubmitted) => return None,
        (_, State::Submitted) => format!("submitted, {}", octets_text(row.octets)),
        (Some(State::Paused(_)), State::Going) => format!("goes on after {so_far}"),
        (_, State::Going) => match reset {
            Some(id) if row.letter.class == Class::VeryHigh => format!("is being sent as {id}"),
            _ => "is being sent".to_owned(),
        },
        (_, State::Paused(cause)) => format!("paused for {cause} after {so_far}"),
        (_, State::Arrived) => "has arrived".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;
    use crate::demo::scene::Phase;
    use crate::demo::scene::tests::{id, plan};

    #[test]
    fn each_change_is_told_once_and_without_escape_sequences() {
        let plan = plan();
        let mut lines = Lines::default();
        let mut out = Vec::new();
        let cause = id(7);
        for (seconds, states) in [
            (0, [State::Unsubmitted, State::Submitted]),
            (1, [State::Unsubmitted, State::Going]),
            (2, [State::Going, State::Paused(cause)]),
            (2, [State::Going, State::Paused(cause)]),
            (4, [State::Arrived, State::Going]),
            (5, [State::Arrived, State::Arrived]),
        ] {
            let rows = states.iter().zip(&plan.letters).map(|(state, letter)| Row {
                letter,
                octets: letter.octets(),
                arrived: 250_000,
                rate: 0,
                state: *state,
            });
            let scene = Scene {
                at: Duration::from_secs(seconds),
                phase: Phase::Before,
                reset: Some(cause),
                rows: rows.collect(),
            };
            lines.show(&scene, &mut out).unwrap();
        }
        let told = format!(
            "  0.0 s  newsletter 1 (normal): submitted, 1.0 MB\n  \
             1.0 s  newsletter 1 (normal): is being sent\n  \
             2.0 s  password reset (very high): is being sent as {cause}\n  \
             2.0 s  newsletter 1 (normal): paused for {cause} after 250 kB\n  \
             4.0 s  password reset (very high): has arrived\n  \
             4.0 s  newsletter 1 (normal): goes on after 250 kB\n  \
             5.0 s  newsletter 1 (normal): has arrived\n"
        );
        assert_eq!(String::from_utf8(out).unwrap(), told);
    }
}
