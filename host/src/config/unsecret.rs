//! The configuration file as it may be shown: with its comments and its order, without the secrets in it.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// What stands in the place of a secret.
const MASK: &str = "\"[masked]\"";
/// Keys whose values are secrets; the address of a webhook often is one.
const SECRETS: [&str; 4] = ["password", "secret", "webhook", "webhook_secret"];

/// The text of a file that was read, with what is secret in it masked. Of what is no TOML nothing is shown: who knows
/// where a secret ends in it.
pub fn without_secrets(text: &str) -> String {
    let Ok(root) = DeTable::parse(text) else {
        return String::new();
    };
    let mut found = Vec::new();
    look_through(root.get_ref(), &mut found);
    found.sort_by_key(|range| range.start);
    let (mut shown, mut end) = (String::with_capacity(text.len()), 0);
    for range in found {
        // One within another is masked with it.
        if let Some(before) = text.get(end..range.start) {
            shown.push_str(before);
            shown.push_str(MASK);
            end = range.end;
        }
    }
    shown.push_str(text.get(end..).unwrap_or_default());
    shown
}

fn look_through(table: &DeTable<'_>, found: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        if SECRETS.contains(&key.get_ref().as_ref()) {
            found.push(value.span());
        } else {
            look_at(value.get_ref(), found);
        }
    }
}

fn look_at(value: &DeValue<'_>, found: &mut Vec<Range<usize>>) {
    match value {
        DeValue::Table(table) => look_through(table, found),
        DeValue::Array(values) => {
            for value in values.iter() {
                look_at(value.get_ref(), found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_masked_and_all_else_is_as_it_was_written() {
        let text = "# ours\nhostname = \"a.example\" # name\n[[delivery.route]]\nrecipients = \"*\"\nuser = \"u\"\n\
                    password = 'p#\"1' # comment\n[[delivery.route]]\npassword = \"\"\"\ntwo\nlines\"\"\"\n\
                    [x]\ny = [{ secret = { deep = \"hidden\", password = \"in\" } }, { z = 1 }]\n";
        let shown = "# ours\nhostname = \"a.example\" # name\n[[delivery.route]]\nrecipients = \"*\"\nuser = \"u\"\n\
                     password = \"[masked]\" # comment\n[[delivery.route]]\npassword = \"[masked]\"\n\
                     [x]\ny = [{ secret = \"[masked]\" }, { z = 1 }]\n";
        assert_eq!(without_secrets(text), shown);
        assert_eq!(without_secrets("password = \"p"), "");
        assert_eq!(without_secrets(""), "");
    }
}
