//! The demonstration as a picture: a bar for each letter, drawn anew in its place.
//!
//! A line is never as wide as the terminal, so that a terminal does not join it with the next one when it becomes wider,
//! and what is drawn over is counted by the width that the terminal has now. Nothing of the terminal is changed that would
//! have to be restored: the cursor stays, below the picture, and each line ends with the usual colours.

use std::fmt;
use std::io::{self, Write};

use crossterm::cursor::{MoveToColumn, MoveUp};
use crossterm::queue;
use crossterm::style::{Attribute, Color, ContentStyle, Print, PrintStyledContent, StyledContent};
use crossterm::terminal::{Clear, ClearType};

use super::figures::Figures;
use super::plan::octets_text;
use super::scene::{Phase, Row, Scene, State};
use crate::message::Class;

/// Wider lines are harder to follow with the eye.
const COLUMNS_MAX: usize = 110;

/// From here on there is room for the table of what came of it.
const COLUMNS_TABLE: usize = 74;

/// From here on there is room for the whole id of a message.
const COLUMNS_WIDE: usize = 100;

/// From here on there is room for a bar beside what a letter does.
const COLUMNS_USUAL: usize = 72;

/// From here on there is room for a short bar.
const COLUMNS_NARROW: usize = 48;

/// Columns and rows.
pub(super) type Size = (u16, u16);

/// The size of this terminal; that of the oldest ones where it is not known.
pub(super) fn terminal_size() -> Size {
    match crossterm::terminal::size() {
        Ok((columns, rows)) if columns > 0 && rows > 0 => (columns, rows),
        _ => (80, 24),
    }
}

/// Draws scenes, each over the one before.
#[derive(Debug)]
pub(super) struct Bars {
    unicode: bool,
    /// How wide the lines are that were drawn last.
    drawn: Vec<usize>,
    columns: u16,
}

/// A line as it is drawn.
#[derive(Clone, Debug, Default)]
struct Line {
    parts: Vec<StyledContent<String>>,
    width: usize,
}

impl Line {
    fn push(&mut self, text: impl Into<String>, style: ContentStyle) {
        let text = text.into();
        self.width += text.chars().count();
        self.parts.push(style.apply(text));
    }

    fn plain(&mut self, text: impl Into<String>) {
        self.push(text, ContentStyle::new());
    }

    /// Without what is too much.
    fn cut(mut self, width: usize) -> Self {
        let mut room = width;
        for part in &mut self.parts {
            let text: String = part.content().chars().take(room).collect();
            room -= text.chars().count();
            *part = part.style().apply(text);
        }
        self.width = width - room;
        self
    }
}

/// As it reads.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts
            .iter()
            .try_for_each(|part| f.write_str(part.content()))
    }
}

fn coloured(color: Color) -> ContentStyle {
    ContentStyle {
        foreground_color: Some(color),
        ..ContentStyle::new()
    }
}

fn with(mut style: ContentStyle, attribute: Attribute) -> ContentStyle {
    style.attributes.set(attribute);
    style
}

/// The colour of a class.
fn style_of(class: Class) -> ContentStyle {
    match class {
        Class::VeryHigh => with(coloured(Color::Red), Attribute::Bold),
        Class::High => coloured(Color::Magenta),
        Class::Normal => coloured(Color::Green),
        Class::Low => coloured(Color::Cyan),
        Class::VeryLow => coloured(Color::Blue),
    }
}

impl Bars {
    /// Nothing is drawn yet. Not every terminal shows block characters.
    pub(super) fn new(unicode: bool) -> Self {
        Self {
            unicode,
            drawn: Vec::new(),
            columns: 0,
        }
    }

    /// Draws a scene in the place of the one before.
    pub(super) fn show(
        &mut self,
        scene: &Scene<'_>,
        size: Size,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let (columns, rows) = size;
        let lines = self.lines(scene, columns.into(), rows.into());
        let mut picture = Vec::new();
        queue!(picture, MoveToColumn(0))?;
        let above = self.rows_drawn(columns);
        if above > 0 {
            queue!(picture, MoveUp(above))?;
        }
        if self.columns != columns || lines.len() < self.drawn.len() {
            queue!(picture, Clear(ClearType::FromCursorDown))?;
        }
        for line in &lines {
            for part in &line.parts {
                queue!(picture, PrintStyledContent(part.clone()))?;
            }
            queue!(picture, Clear(ClearType::UntilNewLine), Print("\r\n"))?;
        }
        self.drawn = lines.iter().map(|line| line.width).collect();
        self.columns = columns;
        // In one piece, so that no half of a picture is seen.
        out.write_all(&picture)?;
        out.flush()
    }

    /// How many rows the picture takes at this width.
    fn rows_drawn(&self, columns: u16) -> u16 {
        let columns = usize::from(columns).max(1);
        let rows = self
            .drawn
            .iter()
            .map(|width| width.div_ceil(columns).max(1));
        u16::try_from(rows.sum::<usize>()).unwrap_or(u16::MAX)
    }

    fn lines(&self, scene: &Scene<'_>, columns: usize, rows: usize) -> Vec<Line> {
        // The last column stays free, and so does the row of the cursor.
        let width = columns.saturating_sub(1).min(COLUMNS_MAX);
        let rows = rows.saturating_sub(1);
        let mut lines: Vec<Line> = scene
            .rows
            .iter()
            .map(|row| self.row(row, width).cut(width))
            .collect();
        // What the eye can do without goes first.
        if rows > lines.len() + 1 {
            lines.push(Line::default());
        }
        if rows > lines.len() {
            lines.push(caption(scene, width).cut(width));
        }
        lines.truncate(rows);
        lines
    }

    fn row(&self, row: &Row<'_>, width: usize) -> Line {
        let letter = row.letter;
        let style = style_of(letter.class);
        let is_still = matches!(
            row.state,
            State::Paused(_) | State::Unsubmitted | State::Submitted
        );
        let percent = row.arrived * 100 / row.octets.max(1);
        let mut line = Line::default();
        if width < COLUMNS_NARROW {
            // No bar, and the class as a colour only.
            let (words, words_style) = words(row, width);
            line.push(format!("{:<15}", letter.label), style);
            line.plain(format!("{percent:>3} %  "));
            line.push(words, words_style);
            return line;
        }
        line.plain(format!("{:<15}", letter.label));
        line.push(format!("{:<10}", letter.class.to_string()), style);
        let (words, words_style) = words(row, width);
        let rest = match width {
            COLUMNS_WIDE.. => 39,
            COLUMNS_USUAL.. => 28,
            _ => 11,
        };
        let bar = width.saturating_sub(line.width + "  100 %  ".len() + rest);
        let (filled, empty) = self.bar(row.arrived, row.octets, bar);
        let filled_style = match is_still {
            true => with(style, Attribute::Dim),
            false => style,
        };
        line.push(filled, filled_style);
        line.push(empty, coloured(Color::DarkGrey));
        line.plain(format!("  {percent:>3} %  "));
        line.push(words, words_style);
        line
    }

    /// The part of a bar that is filled, and the other one.
    fn bar(&self, part: u64, whole: u64, width: usize) -> (String, String) {
        /// A block in eighths.
        const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
        let of_eighths = u128::from(part) * width as u128 * 8 / u128::from(whole.max(1));
        let eighths = usize::try_from(of_eighths).unwrap_or(0).min(width * 8);
        let (full, more) = (eighths / 8, eighths % 8);
        if !self.unicode {
            return ("#".repeat(full), ".".repeat(width - full));
        }
        let filled = "█".repeat(full) + EIGHTHS[more];
        let empty = width - full - usize::from(more > 0);
        (filled, "·".repeat(empty))
    }

    /// What came of it, no wider than so many columns; lines are broken between words.
    pub(super) fn figures(
        &self,
        figures: &Figures,
        columns: u16,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let columns = usize::from(columns);
        let (table, claims) = figures.lines(columns >= COLUMNS_TABLE);
        let mut told = Vec::new();
        writeln!(told)?;
        for line in table {
            writeln!(told, "{}", wrapped(&line, columns, 2))?;
        }
        writeln!(told)?;
        for (holds, text) in claims {
            let (mark, color) = match (holds, self.unicode) {
                (true, true) => ("✓", Color::Green),
                (true, false) => ("yes", Color::Green),
                (false, true) => ("✗", Color::Red),
                (false, false) => (" NO", Color::Red),
            };
            let indent = mark.chars().count() + 2;
            let text = wrapped(&text, columns.saturating_sub(indent), 0);
            let text = text.replace('\n', &format!("\n{:indent$}", ""));
            let mark = with(coloured(color), Attribute::Bold).apply(mark);
            queue!(told, PrintStyledContent(mark))?;
            writeln!(told, "  {text}")?;
        }
        out.write_all(&told)
    }
}

/// A rate, which is always as wide: `282 kB/s`. What trickles has a part of a kilobyte.
fn rate_text(octets: u64) -> String {
    match octets {
        0..9_950 => format!("{:>3.1} kB/s", octets as f64 / 1e3),
        _ => format!("{:>6}/s", octets_text(octets)),
    }
}

/// What a letter does, as far as there is room for words.
fn words(row: &Row<'_>, width: usize) -> (String, ContentStyle) {
    let quiet = coloured(Color::DarkGrey);
    match row.state {
        State::Unsubmitted => ("not yet".to_owned(), quiet),
        State::Submitted => ("waits".to_owned(), quiet),
        State::Going => {
            let rate = rate_text(row.rate);
            let text = match width {
                COLUMNS_USUAL.. => format!(
                    "{:>6} of {}  {rate}",
                    octets_text(row.arrived),
                    octets_text(row.octets)
                ),
                _ => rate,
            };
            (text, ContentStyle::new())
        }
        State::Paused(cause) => {
            let text = match width {
                COLUMNS_WIDE.. => format!("paused for {cause}"),
                COLUMNS_USUAL.. => "paused for password reset".to_owned(),
                _ => "paused".to_owned(),
            };
            (text, with(coloured(Color::Yellow), Attribute::Bold))
        }
        State::Arrived => {
            let text = match width {
                COLUMNS_USUAL.. => format!("{:>6} arrived", octets_text(row.octets)),
                _ => "arrived".to_owned(),
            };
            (text, coloured(Color::Green))
        }
    }
}

/// What happens as a whole.
fn caption(scene: &Scene<'_>, width: usize) -> Line {
    let mut line = Line::default();
    line.push(
        format!("{:>4.1} s  ", scene.at.as_secs_f64()),
        coloured(Color::DarkGrey),
    );
    let room = width.saturating_sub(line.width);
    let style = match scene.phase {
        Phase::Passing => with(ContentStyle::new(), Attribute::Bold),
        _ => ContentStyle::new(),
    };
    let id = scene.reset.map(|id| id.to_string()).unwrap_or_default();
    let with_id = format!("A password reset comes, {id}: all others stop.");
    let forms: &[&str] = match scene.phase {
        Phase::Before => &["The newsletter is under way."],
        Phase::Passing if id.is_empty() => &["A password reset is submitted."],
        Phase::Passing => &[
            with_id.as_str(),
            "A password reset comes: all others stop.",
            "A reset comes: others stop.",
        ],
        Phase::After => &[
            "The reset has arrived: they go on where they stopped.",
            "The reset is there: all go on.",
        ],
        Phase::Done => &["Everything has arrived."],
    };
    // The longest that there is room for.
    let fits = forms.iter().find(|form| form.chars().count() <= room);
    let said = fits.or(forms.last()).copied().unwrap_or_default();
    line.push(said, style);
    line
}

/// What stays on the line of the number before it.
const UNITS: [&str; 3] = ["%", "ms", "s"];

/// A text in lines that are no wider than so many columns, all but the first indented. A word that is wider stays whole.
pub(super) fn wrapped(text: &str, columns: usize, indent: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let mut lines = String::new();
    let mut width = 0;
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let is_unit = |next: &&str| UNITS.contains(&next.trim_end_matches(','));
        let word = match words.next_if(is_unit) {
            Some(unit) => format!("{word} {unit}"),
            None => word.to_owned(),
        };
        let word_width = word.chars().count();
        if width > 0 && width + 1 + word_width > columns {
            lines.push('\n');
            lines.extend(std::iter::repeat_n(' ', indent));
            width = indent;
        } else if width > 0 {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(&word);
        width += word_width;
    }
    lines
}

#[cfg(test)]
mod tests;
