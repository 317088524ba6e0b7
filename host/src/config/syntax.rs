//! What is no TOML, told once for each cause, and which lines cannot be trusted because of it.
//!
//! The parser goes on after a mistake and guesses. A list without its end makes it complain about each
//! line that follows; a header without its bracket makes keys stand in another section than they
//! seem to. The first is told once, and of the second no unknown keys are told.

use std::ops::Range;

use super::document::Mistake;

/// What is wrong with the notation of a file.
#[derive(Debug, Default)]
pub(super) struct Syntax {
    pub(super) mistakes: Vec<Mistake>,
    /// Lines that are not understood.
    lines: Vec<usize>,
    /// Lines whose keys may belong elsewhere.
    doubtful: Vec<Range<usize>>,
    /// From this line on everything was taken for items of a list.
    open_from: Option<usize>,
}

impl Syntax {
    /// From the errors of the parser: offsets and texts, in its order.
    pub(super) fn of<'a>(input: &str, errors: impl Iterator<Item = (usize, &'a str)>) -> Self {
        let mut errors: Vec<(usize, &str)> = errors.collect();
        errors.sort_by_key(|(offset, _)| *offset);
        let mut syntax = Self::default();
        let mut last = 0;
        for (offset, text) in errors.iter().copied() {
            let line = line_at(input, offset);
            if text == DUPLICATE {
                syntax.mistakes.push(duplicate(input, offset, line));
                continue;
            }
            // One cause shows as several errors of a line.
            if line == last || syntax.open_from.is_some() {
                continue;
            }
            last = line;
            let is_open =
                in_list(text) && errors.iter().any(|(_, text)| text.starts_with(OPEN_LIST));
            let mut text = in_words(input, offset, text);
            if is_open {
                text.push_str("; or the list before it lacks its `]`");
                syntax.open_from = Some(line);
            } else if line_of(input, line).trim_start().starts_with('[') {
                syntax.doubtful.push(line..next_header(input, line));
            }
            syntax.lines.push(line);
            syntax.mistakes.push(Mistake {
                line: Some(line),
                key: String::new(),
                text,
            });
        }
        syntax
    }

    /// Whether that line is not understood.
    pub(super) fn is_at(&self, line: usize) -> bool {
        self.lines.contains(&line) || self.open_from.is_some_and(|from| line >= from)
    }

    /// Whether a key on that line may belong to another section than it seems to.
    pub(super) fn is_doubtful(&self, line: usize) -> bool {
        self.doubtful.iter().any(|lines| lines.contains(&line))
    }
}

/// The line of an offset, counted from 1.
pub(super) fn line_at(input: &str, offset: usize) -> usize {
    let before = input.as_bytes().get(..offset).unwrap_or(input.as_bytes());
    before.iter().filter(|octet| **octet == b'\n').count() + 1
}

const DUPLICATE: &str = "duplicate key";
const OPEN_LIST: &str = "unclosed array,";

fn in_list(text: &str) -> bool {
    text.starts_with(OPEN_LIST) || text.contains("array elements") || text.contains("in array")
}

fn line_of(input: &str, line: usize) -> &str {
    input
        .lines()
        .nth(line.saturating_sub(1))
        .unwrap_or_default()
}

fn is_header(line: &str) -> bool {
    line.trim_start().starts_with('[')
}

/// The line of the first header after that line.
fn next_header(input: &str, line: usize) -> usize {
    let mut after = input.lines().enumerate().skip(line);
    after
        .find(|(_, text)| is_header(text))
        .map_or(usize::MAX, |(index, _)| index + 1)
}

/// The parser's text, where it has one that helps.
fn in_words(input: &str, offset: usize, text: &str) -> String {
    if text.starts_with("invalid basic string") {
        return "a text lacks the quote at its end, or has a character that cannot stand in it"
            .to_owned();
    }
    if !text.starts_with("string values must be quoted") {
        return text.to_owned();
    }
    let rest = input.get(offset..).unwrap_or_default();
    let rest = rest.lines().next().unwrap_or_default().trim();
    if rest.is_empty() || rest.starts_with('#') {
        "a value is missing".to_owned()
    } else {
        "a text must stand in quotes: \"…\"".to_owned()
    }
}

/// A key that stands in its section before, with the line where it stood first.
fn duplicate(input: &str, offset: usize, line: usize) -> Mistake {
    let text = line_of(input, line);
    let above: Vec<&str> = input.lines().take(line - 1).collect();
    let (key, first) = if is_header(text) {
        let name = header(text);
        let first = above
            .iter()
            .position(|other| is_header(other) && header(other) == name);
        (name.to_owned(), first)
    } else {
        let rest = input.get(offset..).unwrap_or_default();
        let end = rest.find(['=', '\n']).unwrap_or(rest.len());
        let name = rest[..end].trim();
        let start = above.iter().rposition(|other| is_header(other));
        let is_same = |other: &&str| {
            other
                .split_once('=')
                .is_some_and(|(key, _)| key.trim() == name)
        };
        let within = start.map_or(0, |start| start + 1);
        let first = above[within..].iter().position(is_same);
        let key = match start {
            Some(start) => format!("{}.{name}", header(above[start])),
            None => name.to_owned(),
        };
        (key, first.map(|index| index + within))
    };
    let text = match first {
        Some(index) => format!("stands here a second time; it is in line {} too", index + 1),
        None => "stands here a second time".to_owned(),
    };
    Mistake {
        line: Some(line),
        key,
        text,
    }
}

/// What stands between the brackets of a header.
fn header(line: &str) -> &str {
    let line = line.trim().trim_start_matches('[');
    line.split(']').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use crate::config::parse;

    fn told(text: &str) -> Vec<String> {
        let mistakes = parse(text).map(drop).unwrap_err();
        mistakes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_key_that_stands_twice_is_named_with_its_section_and_both_lines() {
        assert_eq!(
            told(
                "hostname = \"a.example\"\n[log]\nformat = \"json\"\n# again\nformat = \"human\"\n\
                 [admin]\n[log]\n[spool]\nhistory = \"1d\"\nhistory = \"2d\"\n"
            ),
            [
                "line 5: log.format: stands here a second time; it is in line 3 too",
                "line 7: log: stands here a second time; it is in line 2 too",
                "line 10: spool.history: stands here a second time; it is in line 9 too",
            ]
        );
    }

    #[test]
    fn what_follows_a_broken_header_is_not_called_unknown() {
        assert_eq!(
            told("colour = 1\n[[plugin]\nname = \"mine\"\n")[1..],
            ["line 2: unclosed array table, expected `]`"]
        );
    }

    #[test]
    fn a_list_without_its_end_is_told_once() {
        let found = told(
            "[delivery]\nretry = [\"1s\", \"2s\"\nexpire_after = \"3d\"\n[admin]\naddress = \"x\"\n",
        );
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with("line 3: "), "{found:?}");
        assert!(
            found[0].ends_with("or the list before it lacks its `]`"),
            "{found:?}"
        );
    }

    #[test]
    fn a_value_that_is_not_understood_is_told_once_and_in_words() {
        for (text, expected) in [
            ("hostname =\n", "line 1: a value is missing"),
            ("hostname = # later\n", "line 1: a value is missing"),
            (
                "hostname = a.example\n",
                "line 1: a text must stand in quotes: \"…\"",
            ),
            (
                "hostname = \"a.example\n",
                "line 1: a text lacks the quote at its end, or has a character that cannot stand in it",
            ),
        ] {
            assert_eq!(told(text), [expected], "{text}");
        }
    }
}
