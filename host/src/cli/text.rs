//! Text for people: tables, lists of facts, and counted things.
//!
//! What is shown comes from clients and peers in part, so everything is made harmless for a terminal
//! on its way in. Widths are counted in characters; a column with wide ones is out of line, no more.

use std::fmt::Write as _;

use crate::message::wording::printable;

/// Columns under their titles.
pub(super) struct Table {
    titles: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(super) fn new(titles: &[&'static str]) -> Self {
        Self {
            titles: titles.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, a cell for each title.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(
            cells
                .iter()
                .map(|cell| printable(cell).into_owned())
                .collect(),
        );
    }

    /// The table, or `nothing` when it has no rows.
    pub(super) fn or(self, nothing: &str) -> String {
        if self.rows.is_empty() {
            return format!("{nothing}\n");
        }
        let widths: Vec<usize> = (0..self.titles.len())
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
                widest.max(self.titles[column].chars().count())
            })
            .collect();
        let titles: Vec<String> = self
            .titles
            .iter()
            .map(|title| (*title).to_owned())
            .collect();
        let mut text = String::new();
        for row in std::iter::once(&titles).chain(&self.rows) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                write!(line, "{cell:<width$}  ").expect("writing to a string does not fail");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Facts, a line each, their values under one another.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let width = facts
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for (name, value) in facts {
        // A value of several lines goes on below its first one.
        for (index, line) in value.split('\n').enumerate() {
            let name = if index == 0 { name } else { "" };
            let line = format!("{name:<width$}  {}", printable(line));
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}

/// `1 delivery`, `2 deliveries`.
pub(super) fn deliveries(count: u64) -> String {
    format!(
        "{count} {}",
        if count == 1 { "delivery" } else { "deliveries" }
    )
}

/// The items, or `none`.
pub(super) fn items(items: &[String]) -> String {
    if items.is_empty() {
        "none".to_owned()
    } else {
        items.join(";")
    }
}

/// At most that many characters, with a mark where something is missing.
pub(super) fn cut(text: &str, characters_max: usize) -> String {
    if text.chars().count() <= characters_max {
        return text.to_owned();
    }
    let mut cut: String = text
        .chars()
        .take(characters_max.saturating_sub(1))
        .collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_titles() {
        let mut table = Table::new(&["NAME", "N"]);
        table.row(vec!["default".into(), "1".into()]);
        table.row(vec!["ä\u{1b}[2J".into(), String::new()]);
        assert_eq!(table.or("no"), "NAME     N\ndefault  1\nä\u{fffd}[2J\n");
        assert_eq!(Table::new(&["NAME"]).or("no lists"), "no lists\n");
    }

    #[test]
    fn facts_stand_under_one_another() {
        let text = facts(&[
            ("a", "1".into()),
            ("note", "two\nlines".into()),
            ("x", String::new()),
        ]);
        assert_eq!(text, "a     1\nnote  two\n      lines\nx\n");
    }

    #[test]
    fn long_text_is_cut_with_a_mark() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
    }
}
