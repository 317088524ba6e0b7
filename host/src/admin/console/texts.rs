//! The words of the console, by their keys.
//!
//! They stand in one file for each language, in the form of Project Fluent, so that another language is a file beside
//! `en.ftl` and a line in [`LANGUAGES`]. What a language does not have is said in English. What the relay says on
//! every surface (trails, reasons, refusals) is made in one place for all of them and is not among these.

use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use unic_langid::LanguageIdentifier;

/// The languages that there are; the first is the one that has every key.
const LANGUAGES: [(&str, &str); 1] = [("en", include_str!("../../../console/en.ftl"))];

static ALL: LazyLock<Vec<Texts>> = LazyLock::new(|| {
    let languages = LANGUAGES.iter();
    languages
        .map(|(tag, file)| Texts::read(tag, file))
        .collect()
});

/// The words of one language.
pub(super) struct Texts {
    tag: &'static str,
    bundle: FluentBundle<FluentResource>,
}

impl Texts {
    fn read(tag: &'static str, file: &'static str) -> Self {
        let language: LanguageIdentifier = tag.parse().unwrap_or_default();
        let mut bundle = FluentBundle::new_concurrent(vec![language]);
        // Marks around what is put in would be seen where it is copied.
        bundle.set_use_isolating(false);
        // What cannot be read of a file is missing, as a test says; the rest is there.
        let resource = match FluentResource::try_new(file.to_owned()) {
            Ok(resource) | Err((resource, _)) => resource,
        };
        bundle.add_resource_overriding(resource);
        Self { tag, bundle }
    }

    /// The words in the language that a reader wants most, by `Accept-Language` (RFC 9110 §12.5.4), of those there are.
    pub(super) fn wanted(accepted: Option<&str>) -> &'static Texts {
        let ranges = accepted.unwrap_or_default().split(',');
        let mut wanted: Vec<(&str, f32)> = ranges
            .filter_map(|range| {
                let (tag, quality) = range.split_once(";q=").unwrap_or((range, "1"));
                let quality = quality.trim().parse().ok()?;
                (quality > 0.0).then_some((tag.trim(), quality))
            })
            .collect();
        wanted.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        let known = |(tag, _): (&str, f32)| {
            let language = tag.split('-').next().unwrap_or_default();
            let mut known = ALL.iter();
            known.find(|texts| texts.tag.eq_ignore_ascii_case(language))
        };
        wanted.into_iter().find_map(known).unwrap_or(&ALL[0])
    }

    /// The language, for `lang`.
    pub(super) fn tag(&self) -> &'static str {
        self.tag
    }

    /// The words of that key.
    pub(super) fn say(&'static self, key: &str) -> String {
        self.with(key, &[])
    }

    /// The words of that key, with these values in them.
    pub(super) fn with(&'static self, key: &str, values: &[(&str, Value<'_>)]) -> String {
        let found = self.formatted(key, values);
        let in_english = || ALL.first().and_then(|texts| texts.formatted(key, values));
        found.or_else(in_english).unwrap_or_else(|| key.to_owned())
    }

    fn formatted(&self, key: &str, values: &[(&str, Value<'_>)]) -> Option<String> {
        let pattern = self.bundle.get_message(key)?.value()?;
        let arguments: FluentArgs<'_> = values
            .iter()
            .map(|(name, value)| (*name, value.fluent()))
            .collect();
        // What went wrong in it shows as the name of the value.
        let mut problems = Vec::new();
        let text = self
            .bundle
            .format_pattern(pattern, Some(&arguments), &mut problems);
        Some(text.into_owned())
    }
}

/// A value in a text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Count(u64),
}

impl Value<'_> {
    fn fluent(&self) -> FluentValue<'_> {
        match self {
            Value::Text(text) => FluentValue::from(*text),
            Value::Count(count) => FluentValue::from(*count),
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(text)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Value::Text(text)
    }
}

impl From<u64> for Value<'_> {
    fn from(count: u64) -> Self {
        Value::Count(count)
    }
}

impl From<usize> for Value<'_> {
    fn from(count: usize) -> Self {
        Value::Count(u64::try_from(count).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Keys whose end is made of a value.
    const FAMILIES: [&str; 5] = ["class-", "state-", "role-", "nav-", "alert-kind-"];

    fn keys(file: &str) -> BTreeSet<String> {
        let lines = file
            .lines()
            .filter(|line| !line.starts_with([' ', '#', '}']));
        lines
            .filter_map(|line| line.split_once(" ="))
            .map(|(key, _)| key.to_owned())
            .collect()
    }

    fn sources(folder: &Path, into: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, into);
            } else if path.extension().is_some_and(|end| end == "rs")
                && path.file_name().is_some_and(|name| name != "texts.rs")
            {
                into.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }

    #[test]
    fn every_language_is_read_whole() {
        for (tag, file) in LANGUAGES {
            let read = FluentResource::try_new(file.to_owned());
            let problems = read.err().map(|(_, problems)| problems);
            assert!(problems.is_none(), "{tag}: {problems:?}");
        }
    }

    #[test]
    fn every_key_that_is_said_has_words_and_every_key_with_words_is_said() {
        let mut code = String::new();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admin/console");
        sources(&folder, &mut code);
        let known = keys(LANGUAGES[0].1);
        for call in [".say(\"", ".with(\""] {
            for (at, _) in code.match_indices(call) {
                let key = code[at + call.len()..].split('"').next().unwrap();
                assert!(known.contains(key), "no words for {key}");
            }
        }
        for key in &known {
            let is_said = code.contains(&format!("\"{key}\""));
            let is_in_family = FAMILIES.iter().any(|start| key.starts_with(start));
            assert!(is_said || is_in_family, "{key} is never said");
        }
    }

    #[test]
    fn what_a_reader_accepts_is_read_and_nonsense_is_english() {
        for accepted in [
            None,
            Some(""),
            Some("en-GB,en;q=0.9"),
            Some("xx, *;q=0.1"),
            Some(";q=;,,q=1"),
        ] {
            assert_eq!(Texts::wanted(accepted).tag(), "en", "{accepted:?}");
        }
    }

    #[test]
    fn a_value_is_put_in_as_it_is() {
        let texts = Texts::wanted(None);
        let text = texts.with("greeting", &[("name", "<b>{ $x }".into())]);
        assert!(text.contains("<b>{ $x }"), "{text}");
        assert_eq!(texts.say("no-such-key"), "no-such-key");
    }
}
