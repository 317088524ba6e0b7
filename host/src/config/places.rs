//! Where each key stands in the file, for what is found out about it later: a certificate that does not
//! fit, a component that cannot be loaded, a smarthost that is this relay.

use std::collections::BTreeMap;
use std::fmt;

use toml::de::{DeTable, DeValue};

use super::document::Mistake;
use crate::message::HostPort;

/// The lines of the keys, and which section became what.
#[derive(Clone, Default)]
pub struct Places {
    pub(super) lines: BTreeMap<String, usize>,
    /// The names of components and their sections, in the order of the file.
    pub(super) components: Vec<(String, String)>,
    /// The smarthosts of the routes and their sections, in the order of the file.
    pub(super) smarthosts: Vec<(HostPort, String)>,
}

/// A configuration is compared and shown without them.
impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Places(…)")
    }
}

/// The line of each key and section, by its path.
pub(super) fn lines(
    root: &DeTable<'_>,
    line_at: impl Fn(usize) -> usize,
) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    note(&mut lines, "", root, &line_at);
    lines
}

impl Places {
    /// A mistake about a key. Of one that is not in the file the line is that of its section.
    pub fn mistake(&self, key: &str, text: impl Into<String>) -> Mistake {
        let mut found = None;
        let mut part = key;
        while found.is_none() && !part.is_empty() {
            found = self.lines.get(part).copied();
            part = part.rfind(['.', '[']).map_or("", |end| &part[..end]);
        }
        Mistake {
            line: found,
            key: key.to_owned(),
            text: text.into(),
        }
    }

    /// Whether the file has no key at all.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether the file has that key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.lines.contains_key(key)
    }

    /// The section of the component of that name: `plugin[2]`. One that is not in the file, since it is
    /// asked by default, has none.
    pub fn component(&self, name: &str) -> Option<&str> {
        let mut components = self.components.iter();
        components
            .find(|(other, _)| other == name)
            .map(|(_, section)| section.as_str())
    }

    /// The smarthosts of the routes, each with its section: `delivery.route[2]`.
    pub fn smarthosts(&self) -> impl Iterator<Item = (&HostPort, &str)> {
        self.smarthosts
            .iter()
            .map(|(host, section)| (host, section.as_str()))
    }
}

fn note(
    lines: &mut BTreeMap<String, usize>,
    path: &str,
    table: &DeTable<'_>,
    line_at: &impl Fn(usize) -> usize,
) {
    for (key, value) in table.iter() {
        let key = key.get_ref().as_ref();
        let path = if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        };
        lines.insert(path.clone(), line_at(value.span().start));
        match value.get_ref() {
            DeValue::Table(table) => note(lines, &path, table, line_at),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{}]", index + 1);
                    lines.insert(path.clone(), line_at(item.span().start));
                    if let DeValue::Table(table) = item.get_ref() {
                        note(lines, &path, table, line_at);
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    #[test]
    fn a_key_is_found_by_its_path_and_one_that_is_not_there_by_its_section() {
        let input = "a = 1\n[tls]\ncertificate = \"c\"\n[[plugin]]\nname = \"x\"\n[[plugin]]\n\nname = \"y\"\n";
        let (root, _) = DeTable::parse_recoverable(input);
        let line_at = |offset: usize| input[..offset].matches('\n').count() + 1;
        let places = Places {
            lines: lines(root.get_ref(), line_at),
            ..Places::default()
        };
        for (key, line) in [
            ("a", Some(1)),
            ("tls.certificate", Some(3)),
            ("tls.key", Some(2)),
            ("plugin[2].name", Some(8)),
            ("plugin[1].component", Some(4)),
            ("plugin[1].config.zone", Some(4)),
            ("b", None),
        ] {
            assert_eq!(places.mistake(key, "").line, line, "{key}");
        }
    }
}
