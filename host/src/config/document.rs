//! The configuration file as sections, keys and values with their lines.
//!
//! Reading goes on after a mistake, so that all of them are reported at once. Every key that is
//! asked for is a known key; what nobody asked for is a mistake too.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use toml::de::{DeTable, DeValue};

use super::places;
use super::syntax::{self, Syntax};
use super::values::Wrong;
use crate::message::wording::printable;

/// Something wrong in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The line, counted from 1; none when it is about the file as a whole.
    pub line: Option<usize>,
    /// The key with its sections: `delivery.retry`; empty for a syntax error.
    pub key: String,
    /// What is wrong, and what would be right.
    pub text: String,
}

/// In one line that steers no terminal: keys and texts may have escapes of the file in them.
impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", printable(&self.key))?;
        }
        f.write_str(&printable(&self.text))
    }
}

/// A parsed file and the mistakes found in it so far.
pub(super) struct Document<'i> {
    input: &'i str,
    root: DeTable<'i>,
    syntax: Syntax,
    mistakes: RefCell<Vec<Mistake>>,
    notes: RefCell<Vec<Mistake>>,
}

/// What was found in a file.
pub(super) struct Findings {
    /// What is wrong, in the order of the lines.
    pub(super) mistakes: Vec<Mistake>,
    /// What is right and should be known all the same.
    pub(super) notes: Vec<Mistake>,
    /// The line of each key.
    pub(super) lines: BTreeMap<String, usize>,
}

impl<'i> Document<'i> {
    pub(super) fn parse(input: &'i str) -> Self {
        let (root, errors) = DeTable::parse_recoverable(input);
        let errors = errors
            .iter()
            .map(|error| (error.span().map_or(0, |span| span.start), error.message()));
        Self {
            input,
            root: root.into_inner(),
            syntax: Syntax::of(input, errors),
            mistakes: RefCell::default(),
            notes: RefCell::default(),
        }
    }

    pub(super) fn root(&self) -> Section<'_, 'i> {
        Section {
            document: self,
            path: String::new(),
            table: Some(&self.root),
            line: None,
            asked: RefCell::default(),
        }
    }

    /// All that was found.
    pub(super) fn into_findings(self) -> Findings {
        let lines = places::lines(&self.root, |offset| self.line_at(offset));
        let mut mistakes = self.mistakes.into_inner();
        // What was read from a line that is not understood is not what stands there.
        mistakes.retain(|mistake| !mistake.line.is_some_and(|line| self.syntax.is_at(line)));
        mistakes.extend(self.syntax.mistakes);
        mistakes.sort();
        mistakes.dedup();
        Findings {
            mistakes,
            notes: self.notes.into_inner(),
            lines,
        }
    }

    fn report(&self, line: Option<usize>, key: String, text: String) {
        self.mistakes.borrow_mut().push(Mistake { line, key, text });
    }

    fn line_at(&self, offset: usize) -> usize {
        syntax::line_at(self.input, offset)
    }
}

/// A table of the file; one that is not there reads as empty.
pub(super) struct Section<'d, 'i> {
    document: &'d Document<'i>,
    path: String,
    table: Option<&'d DeTable<'i>>,
    line: Option<usize>,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'d, 'i> Section<'d, 'i> {
    /// The value of a key, read by `read`; none when it is absent or wrong (and reported).
    pub(super) fn value<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&DeValue<'i>) -> Result<T, Vec<Wrong>>,
    ) -> Option<T> {
        let (value, line) = self.raw(key)?;
        match read(value) {
            Ok(value) => Some(value),
            Err(wrongs) => {
                for Wrong { at, text } in wrongs {
                    let line = at.map_or(line, |offset| self.document.line_at(offset));
                    self.document.report(Some(line), self.full(key), text);
                }
                None
            }
        }
    }

    /// Where the section is: `delivery.route[2]`.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Says what should be known about a key that is right.
    pub(super) fn note(&self, key: &'static str, text: impl Into<String>) {
        self.document.notes.borrow_mut().push(Mistake {
            line: self.raw(key).map(|(_, line)| line),
            key: self.full(key),
            text: text.into(),
        });
    }

    /// Whether the key is there at all, right or wrong.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.raw(key).is_some()
    }

    /// The section of that name.
    pub(super) fn section(&self, key: &'static str) -> Section<'d, 'i> {
        let table = self.raw(key).and_then(|(value, line)| match value {
            DeValue::Table(table) => Some((table, line)),
            _ => {
                let text = format!("a section is expected here: [{}]", self.full(key));
                self.document.report(Some(line), self.full(key), text);
                None
            }
        });
        self.child(self.full(key), table)
    }

    /// The sections of an array of tables, such as `[[delivery.route]]`.
    pub(super) fn sections(&self, key: &'static str) -> Vec<Section<'d, 'i>> {
        let Some((value, line)) = self.raw(key) else {
            return Vec::new();
        };
        let wrong = |line| {
            let text = format!("sections are expected here: [[{}]]", self.full(key));
            self.document.report(Some(line), self.full(key), text);
        };
        let DeValue::Array(items) = value else {
            wrong(line);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let line = self.document.line_at(item.span().start);
            match item.get_ref() {
                DeValue::Table(table) => {
                    let path = format!("{}[{}]", self.full(key), index + 1);
                    sections.push(self.child(path, Some((table, line))));
                }
                _ => wrong(line),
            }
        }
        sections
    }

    /// The keys of a section whose keys the operator chooses, with their text.
    pub(super) fn free_texts(&self) -> Vec<(String, String)> {
        let mut texts = Vec::new();
        for (key, value) in self.table.into_iter().flat_map(DeTable::iter) {
            let line = self.document.line_at(value.span().start);
            match free_text(value.get_ref()) {
                Some(text) => texts.push((key.get_ref().to_string(), text)),
                None => {
                    let key = format!("{}.{}", self.path, key.get_ref());
                    self.document.report(
                        Some(line),
                        key,
                        "a text, a number or true or false is expected".to_owned(),
                    );
                }
            }
        }
        texts
    }

    /// Reports a mistake about a key, at its line.
    pub(super) fn mistake(&self, key: &'static str, text: impl Into<String>) {
        let line = self.raw(key).map(|(_, line)| line).or(self.line);
        self.document.report(line, self.full(key), text.into());
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(self) {
        let asked = self.asked.borrow();
        for (key, value) in self.table.into_iter().flat_map(DeTable::iter) {
            let name = key.get_ref().as_ref();
            if asked.contains(name) {
                continue;
            }
            let line = self
                .document
                .line_at(key.span().start.min(value.span().start));
            if self.document.syntax.is_doubtful(line) {
                continue;
            }
            let near = asked.iter().find(|known| is_near(known, name));
            let text = match near {
                Some(known) => format!("unknown key; did you mean `{known}`?"),
                None => format!(
                    "unknown key; known here: {}",
                    asked.iter().copied().collect::<Vec<_>>().join(", ")
                ),
            };
            let path = if self.path.is_empty() {
                name.to_owned()
            } else {
                format!("{}.{name}", self.path)
            };
            self.document.report(Some(line), path, text);
        }
    }

    fn raw(&self, key: &'static str) -> Option<(&'d DeValue<'i>, usize)> {
        self.asked.borrow_mut().insert(key);
        let (_, value) = self
            .table?
            .iter()
            .find(|(name, _)| name.get_ref().as_ref() == key)?;
        Some((value.get_ref(), self.document.line_at(value.span().start)))
    }

    fn child(&self, path: String, table: Option<(&'d DeTable<'i>, usize)>) -> Section<'d, 'i> {
        let line = table.map(|(_, line)| line);
        Section {
            document: self.document,
            path,
            table: table.map(|(table, _)| table),
            line,
            asked: RefCell::default(),
        }
    }

    fn full(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

fn free_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// Whether one is the other with a letter too many, too few, changed or swapped, or a part of it.
fn is_near(known: &str, given: &str) -> bool {
    if given.len() >= 4 && (known.contains(given) || given.contains(known)) {
        return true;
    }
    let (known, given) = (known.as_bytes(), given.as_bytes());
    let same_start = known.iter().zip(given).take_while(|(a, b)| a == b).count();
    let same_end = known
        .iter()
        .rev()
        .zip(given.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let longer = known.len().max(given.len());
    known.len().abs_diff(given.len()) <= 1 && same_start + same_end + 2 >= longer && longer > 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(input: &str, read: impl FnOnce(&Section<'_, '_>)) -> Vec<String> {
        let document = Document::parse(input);
        let root = document.root();
        read(&root);
        root.finish();
        document
            .into_findings()
            .mistakes
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn unknown_keys_are_named_with_their_line_and_a_guess() {
        let found = mistakes(
            "hostnme = \"x\"\nzzz = 1\n[submission]\nport = 1\n",
            |root| {
                root.has("hostname");
                let submission = root.section("submission");
                submission.has("ports");
                submission.finish();
            },
        );
        assert_eq!(
            found,
            [
                "line 1: hostnme: unknown key; did you mean `hostname`?",
                "line 2: zzz: unknown key; known here: hostname, submission",
                "line 4: submission.port: unknown key; did you mean `ports`?",
            ]
        );
    }

    #[test]
    fn a_section_that_is_a_value_and_syntax_errors_are_reported_with_their_line() {
        let found = mistakes(
            "submission = 3\n[[route]]\nx = 1\n\n[broken\ny = =\n",
            |root| {
                root.section("submission").finish();
                for route in root.sections("route") {
                    route.has("x");
                    route.finish();
                }
            },
        );
        assert_eq!(
            found[0],
            "line 1: submission: a section is expected here: [submission]"
        );
        assert!(
            found.iter().any(|mistake| mistake.starts_with("line 5: ")),
            "{found:?}"
        );
        assert!(
            found.iter().any(|mistake| mistake.starts_with("line 6: ")),
            "{found:?}"
        );
    }
}
