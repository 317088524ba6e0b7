//! What was and what is, as the audit log has it: the fields that differ, as an administrator sees them.
//!
//! They come from the documents of the API, in which there are no secrets. What grows is bounded: of a long list the
//! items that came and went are kept, and of what is longer still its size.

use serde::Serialize;
use serde_json::{Map, Value};

/// Octets of one side of a difference. A change of a few dozen rules fits, and a hundred thousand entries that are all as
/// large as they can be take 0.9 GB.
const SIDE_OCTETS_MAX: usize = 4_096;

/// Octets of a field that stays as it is where a side is too long.
const FIELD_OCTETS_MAX: usize = 512;

/// The field that names a thing: it stays, also where it is the same.
const NAME: &str = "name";

/// What nobody sets: it follows from the rest, or changes by itself.
const DERIVED: [&str; 8] = [
    "changed",
    "last_login",
    "very_high_left",
    "queued",
    "refused",
    "warning",
    "users",
    "active_users",
];

/// One side: the fields of an object.
pub(in crate::admin) type Side = Map<String, Value>;

/// A side of these fields.
pub(in crate::admin) fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Side {
    let fields = fields.into_iter();
    fields
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// The fields of a document that somebody sets.
pub(in crate::admin) fn side(document: &impl Serialize) -> Option<Side> {
    match serde_json::to_value(document) {
        Ok(Value::Object(mut fields)) => {
            fields.retain(|name, _| !DERIVED.contains(&name.as_str()));
            Some(fields)
        }
        _ => None,
    }
}

/// Leaves in both what differs, and the name. One that has no other side stays whole.
pub(in crate::admin) fn differing(
    before: Option<Side>,
    after: Option<Side>,
) -> (Option<Side>, Option<Side>) {
    let (Some(mut before), Some(mut after)) = (before.clone(), after.clone()) else {
        return (before.map(bounded), after.map(bounded));
    };
    before.retain(|name, value| name == NAME || after.get(name) != Some(value));
    after.retain(|name, _| name == NAME || before.contains_key(name));
    if octets(&before).max(octets(&after)) > SIDE_OCTETS_MAX {
        leave_out_what_stayed(&mut before, &mut after);
    }
    (Some(bounded(before)), Some(bounded(after)))
}

/// As the log keeps it.
pub(in crate::admin) fn text(side: Option<Side>) -> Option<String> {
    side.map(|side| Value::Object(side).to_string())
}

/// Of lists on both sides, leaves the items that are on one alone, and says how many others there are.
fn leave_out_what_stayed(before: &mut Side, after: &mut Side) {
    for (name, was) in before.iter_mut() {
        let (Value::Array(was), Some(Value::Array(is))) = (was, after.get_mut(name)) else {
            continue;
        };
        let stayed: Vec<Value> = was
            .iter()
            .filter(|item| is.contains(item))
            .cloned()
            .collect();
        for side in [was, is] {
            side.retain(|item| !stayed.contains(item));
            side.push(format!("(and {} that stayed)", stayed.len()).into());
        }
    }
}

/// A side that is not longer than one is.
fn bounded(mut side: Side) -> Side {
    if octets(&side) <= SIDE_OCTETS_MAX {
        return side;
    }
    for (_, value) in &mut side {
        let octets = value.to_string().len();
        if octets > FIELD_OCTETS_MAX {
            *value = format!("({octets} octets)").into();
        }
    }
    side
}

fn octets(side: &Side) -> usize {
    serde_json::to_string(side).map_or(0, |text| text.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn texts(before: Value, after: Value) -> (String, String) {
        let (before, after) = differing(side(&before), side(&after));
        (
            text(before).unwrap_or_default(),
            text(after).unwrap_or_default(),
        )
    }

    #[test]
    fn what_differs_stays_and_so_does_the_name() {
        assert_eq!(
            texts(
                json!({"name": "a", "priority": 3, "note": "n", "changed": "x", "last_login": null}),
                json!({"name": "a", "priority": 1, "note": "n", "changed": "y", "last_login": "z"}),
            ),
            (
                r#"{"name":"a","priority":3}"#.to_owned(),
                r#"{"name":"a","priority":1}"#.to_owned()
            )
        );
        let whole = json!({"name": "a", "note": "n"});
        assert_eq!(
            texts(Value::Null, whole.clone()),
            (String::new(), whole.to_string())
        );
        assert_eq!(
            texts(json!({"name": "a", "x": 1}), json!({"name": "a", "x": 1})).0,
            r#"{"name":"a"}"#
        );
    }

    #[test]
    fn of_a_long_list_the_items_that_came_and_went_stay() {
        let domains = |range: std::ops::Range<u32>| -> Vec<String> {
            range.map(|n| format!("d{n}.example")).collect()
        };
        let (before, after) = texts(
            json!({"name": "a", "domains": domains(0..1_000)}),
            json!({"name": "a", "domains": domains(1..1_001)}),
        );
        assert_eq!(
            before,
            r#"{"domains":["d0.example","(and 999 that stayed)"],"name":"a"}"#
        );
        assert_eq!(
            after,
            r#"{"domains":["d1000.example","(and 999 that stayed)"],"name":"a"}"#
        );
        let (before, after) = texts(
            json!({"name": "a", "domains": domains(0..1_000)}),
            json!({"name": "a", "domains": []}),
        );
        assert!(before.ends_with(r#" octets)","name":"a"}"#), "{before}");
        assert_eq!(after, r#"{"domains":["(and 0 that stayed)"],"name":"a"}"#);
        let (_, note) = texts(Value::Null, json!({"name": "a", "note": "x".repeat(5_000)}));
        assert_eq!(note, r#"{"name":"a","note":"(5002 octets)"}"#);
    }
}
