//! Items given as ";"-separated text or as a list, and what is commonly wrong with them.
//!
//! The two written forms mean the same. What an item has to be is said by its field; this file
//! knows how items are told apart and how a wrong one is shown to the person who wrote it.

use super::FieldProblem;

/// How many wrong items of a field are named; after that they are only counted.
const PROBLEMS_SHOWN_MAX: usize = 10;

/// How much of a wrong item is shown: enough to find it, not enough to fill a page.
const SHOWN_CHARACTERS_MAX: usize = 80;

/// Items as an operator gave them. Blanks around an item, empty items and so a trailing ";" don't
/// matter in either form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Items {
    /// Separated by ";".
    Text(String),
    /// One by one; each may still hold several, separated by ";".
    List(Vec<String>),
}

impl Items {
    /// The items, trimmed, without empty ones.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let texts = match self {
            Items::Text(text) => std::slice::from_ref(text),
            Items::List(list) => list.as_slice(),
        };
        texts
            .iter()
            .flat_map(|text| text.split(';'))
            .map(str::trim)
            .filter(|item| !item.is_empty())
    }
}

/// No items.
impl Default for Items {
    fn default() -> Self {
        Items::List(Vec::new())
    }
}

impl From<&str> for Items {
    fn from(text: &str) -> Self {
        Items::Text(text.to_owned())
    }
}

impl From<String> for Items {
    fn from(text: String) -> Self {
        Items::Text(text)
    }
}

impl From<Vec<String>> for Items {
    fn from(list: Vec<String>) -> Self {
        Items::List(list)
    }
}

/// Parses each item and brings the lot into normal form: sorted, without duplicates.
///
/// `parse` says what is wrong with an item after the item itself has been shown.
pub(super) fn gather<T: Ord>(
    field: &'static str,
    items: &Items,
    items_max: usize,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, Vec<FieldProblem>> {
    if items.iter().nth(items_max).is_some() {
        let text = format!("has more than {items_max} items");
        return Err(vec![FieldProblem::new(field, text)]);
    }
    let mut values = Vec::new();
    let mut problems = Vec::new();
    let mut wrong = 0_usize;
    for item in items.iter() {
        match check_characters(item).and_then(|()| parse(item)) {
            Ok(value) => values.push(value),
            Err(text) => {
                wrong += 1;
                if wrong <= PROBLEMS_SHOWN_MAX {
                    let text = format!("{} {text}", shown(item));
                    problems.push(FieldProblem::new(field, text));
                }
            }
        }
    }
    if wrong > PROBLEMS_SHOWN_MAX {
        let more = wrong - PROBLEMS_SHOWN_MAX;
        problems.push(FieldProblem::new(
            field,
            format!("{more} more items are wrong"),
        ));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    values.sort_unstable();
    values.dedup();
    Ok(values)
}

/// What no item may hold, whatever it is: separators of other notations, and what cannot be seen.
fn check_characters(item: &str) -> Result<(), String> {
    if item.starts_with('"') && item.contains([',', ' ']) {
        return Err(String::from(
            "has a comma or a blank within quotes, which no item can have: to allow such a sender, \
             write its domain under the authorized domains",
        ));
    }
    if item.contains(',') {
        return Err(format!("contains a comma: {}", separated(item)));
    }
    if item.contains(char::is_whitespace) {
        return Err(format!("contains a blank: {}", separated(item)));
    }
    if let Some(character) = item.chars().find(|c| is_invisible(*c)) {
        return Err(format!(
            "contains an invisible character (U+{:04X}): type it again instead of pasting it",
            u32::from(character)
        ));
    }
    Ok(())
}

/// Control characters, and those that a web page leaves in what is copied from it.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// What was probably meant by an item that holds several: the same with semicolons. Of `Name
/// <address>` only the address. A bare `*` is never proposed: it is refused wherever it stands.
fn separated(item: &str) -> String {
    const SEPARATED: &str = "items are separated by a semicolon";
    let parts = || {
        item.split(|c: char| c == ',' || c.is_whitespace())
            .filter(|part| !part.is_empty())
    };
    let in_brackets = |part: &'_ str| part.starts_with('<') && part.ends_with('>');
    let meant: Vec<&str> = if parts().any(in_brackets) {
        parts()
            .filter(|part| in_brackets(part))
            .map(|part| part.trim_matches(['<', '>']))
            .collect()
    } else {
        parts().collect()
    };
    if meant.contains(&"*") {
        return SEPARATED.to_owned();
    }
    format!("{SEPARATED}, write {}", shown(&meant.join(";")))
}

/// An item in quotes as it is shown to people: on one line, no longer than a line.
pub(super) fn shown(item: &str) -> String {
    let mut text = String::from("\"");
    for (count, character) in item.chars().enumerate() {
        if count == SHOWN_CHARACTERS_MAX {
            text.push('…');
            break;
        }
        if is_invisible(character) {
            text.extend(character.escape_unicode());
        } else {
            text.push(character);
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn gathered(items: impl Into<Items>) -> Result<Vec<String>, Vec<String>> {
        let parse = |item: &str| match item.strip_prefix('!') {
            None => Ok(item.to_owned()),
            Some(_) => Err(String::from("is wrong")),
        };
        gather("field", &items.into(), 20, parse)
            .map_err(|problems| problems.into_iter().map(|p| p.to_string()).collect())
    }

    #[test]
    fn blanks_empty_items_order_and_duplicates_dont_matter() {
        for text in [
            "a;b",
            "b;a",
            " a ; b ",
            "a;b;",
            ";;a;;b;;",
            "a;b;a",
            "\ta\n;\r\nb",
            "a;\u{a0}b",
        ] {
            assert_eq!(gathered(text), Ok(vec!["a".into(), "b".into()]), "{text:?}");
        }
        for text in ["", " ", ";", " ; ; "] {
            assert_eq!(gathered(text), Ok(vec![]), "{text:?}");
        }
    }

    #[test]
    fn a_list_means_what_the_text_means() {
        let list = ["b", "", " a;c ", "b;"].map(String::from).to_vec();
        assert_eq!(gathered(list), gathered("a;b;c"));
        assert_eq!(gathered(Items::default()), Ok(vec![]));
    }

    #[test]
    fn separators_of_other_notations_are_refused_and_the_right_ones_shown() {
        for (item, problem) in [
            (
                "a,b",
                "field: \"a,b\" contains a comma: items are separated by a semicolon, write \"a;b\"",
            ),
            (
                "a, b ,c",
                "field: \"a, b ,c\" contains a comma: items are separated by a semicolon, write \"a;b;c\"",
            ),
            (
                "a\nb",
                "field: \"a\\u{a}b\" contains a blank: items are separated by a semicolon, write \"a;b\"",
            ),
            (
                "*.a, b",
                "field: \"*.a, b\" contains a comma: items are separated by a semicolon, write \"*.a;b\"",
            ),
            (
                "*,b",
                "field: \"*,b\" contains a comma: items are separated by a semicolon",
            ),
            (
                "\"a b\"@x",
                "field: \"\"a b\"@x\" has a comma or a blank within quotes, which no item can have: \
                 to allow such a sender, write its domain under the authorized domains",
            ),
            (
                "a\u{200b}b",
                "field: \"a\\u{200b}b\" contains an invisible character (U+200B): \
                 type it again instead of pasting it",
            ),
        ] {
            assert_eq!(gathered(item), Err(vec![problem.to_owned()]));
        }
    }

    #[test]
    fn every_wrong_item_is_named_up_to_ten() {
        assert_eq!(
            gathered("!x;a;!y"),
            Err(vec![
                "field: \"!x\" is wrong".to_owned(),
                "field: \"!y\" is wrong".to_owned()
            ])
        );
        let problems = gathered("!;".repeat(13)).unwrap_err();
        assert_eq!(problems.len(), 11);
        assert_eq!(problems[10], "field: 3 more items are wrong");
    }

    #[test]
    fn items_are_counted_before_they_are_looked_at() {
        assert!(gathered("a;".repeat(20)).is_ok());
        assert_eq!(
            gathered("!;".repeat(21)),
            Err(vec!["field: has more than 20 items".to_owned()])
        );
    }

    #[test]
    fn a_long_item_is_cut_where_it_is_shown() {
        let text = shown(&"ü".repeat(200));
        assert_eq!(text, format!("\"{}…\"", "ü".repeat(SHOWN_CHARACTERS_MAX)));
    }
}
