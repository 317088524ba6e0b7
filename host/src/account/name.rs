//! Names of users and lists.
//!
//! A user's name is an SMTP login. It may look like an address, because that is what many mail
//! clients insist on, but it is only a name: no rule follows from it. Names are unique without
//! regard to case and keep the case in which they were given.

use super::FieldProblem;
use super::items::shown;

/// The list that always exists and cannot be removed.
pub const DEFAULT_LIST: &str = "default";

/// Longest name of a user, a list or a token: an address fits (RFC 5321 §4.5.3.1.3), and it stays
/// below the 255 octets of RFC 4616 §2.
pub const NAME_OCTETS_MAX: usize = 254;

/// Letters without those that are mistaken for one another, so that a generated name can be read out.
const GENERATED_ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// How many characters follow `user-`: 40 bits, so that a clash among a million is unlikely and
/// the directory's next try is all it takes.
const GENERATED_CHARACTERS: u32 = 8;

/// Whether two names name the same thing.
pub fn same_name(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Of all spellings of a name, which are the same name, the first one from there on in the order of octets.
pub fn next_spelling(name: &str, from: &str) -> Option<String> {
    let (name, from) = (name.as_bytes(), from.as_bytes());
    // In their order: large letters come first.
    let spellings = |octet: u8| [octet.to_ascii_uppercase(), octet.to_ascii_lowercase()];
    let first_from = |at: usize| name.get(at..).unwrap_or_default().to_ascii_uppercase();
    let both = name.iter().zip(from);
    let common = both.take_while(|(octet, other)| spellings(**octet).contains(other));
    let common = common.count();
    let found = if common == from.len() {
        [from, &first_from(common)].concat()
    } else {
        // As much of `from` as can be, and then a greater letter.
        (0..=common).rev().find_map(|at| {
            let mut greater = spellings(*name.get(at)?).into_iter();
            let greater = greater.find(|spelling| *spelling > from[at])?;
            Some([&from[..at], &[greater], &first_from(at + 1)].concat())
        })?
    };
    String::from_utf8(found).ok()
}

/// The name of a user for whom none was given; `random` must come from a good source of randomness.
pub fn generated_user_name(random: u64) -> String {
    let characters = (0..GENERATED_CHARACTERS).map(|position| {
        let index = (random >> (5 * position)) & 31;
        char::from(GENERATED_ALPHABET[index as usize])
    });
    "user-".chars().chain(characters).collect()
}

/// Checks a user's name: ASCII without blanks, so that every client can type it and no SASL
/// implementation has to prepare it (RFC 4616 §2 asks for SASLprep, which few do).
///
/// # Errors
/// What no user can be named.
pub fn check_user_name(field: &'static str, name: &str) -> Result<(), FieldProblem> {
    check_name(field, name, "._-+@=", "letters, digits and . _ - + = @")
}

/// Checks a list's or a token's name.
///
/// # Errors
/// What no list or token can be named.
pub fn check_plain_name(field: &'static str, name: &str) -> Result<(), FieldProblem> {
    check_name(field, name, "._-", "letters, digits and . _ -")
}

fn check_name(
    field: &'static str,
    name: &str,
    marks: &str,
    allowed: &str,
) -> Result<(), FieldProblem> {
    let problem = |text: String| Err(FieldProblem::new(field, text));
    if name.is_empty() {
        return problem(String::from("is empty: give a name"));
    }
    if name.len() > NAME_OCTETS_MAX {
        return problem(format!("is longer than {NAME_OCTETS_MAX} characters"));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
    if !name.chars().all(fits) {
        return problem(format!("{} may only hold {allowed}", shown(name)));
    }
    // A leading mark would read as an option on the command line, and "." or ".." as a path.
    let ends = name.as_bytes();
    if !ends[0].is_ascii_alphanumeric() || !ends[ends.len() - 1].is_ascii_alphanumeric() {
        return problem(format!(
            "{} must start and end with a letter or a digit",
            shown(name)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_next_spelling_is_the_first_one_of_all(
            name in "[aBz@ü-]{0,4}",
            from in "[aAbBzZ@ü-]{0,5}",
        ) {
            let letters = name.chars();
            let letters = letters.map(|letter| {
                BTreeSet::from([letter.to_ascii_uppercase(), letter.to_ascii_lowercase()])
            });
            let mut all = vec![String::new()];
            for spellings in letters {
                let longer = |begun: &String| -> Vec<String> {
                    spellings.iter().map(|letter| format!("{begun}{letter}")).collect()
                };
                all = all.iter().flat_map(longer).collect();
            }
            prop_assert!(all.iter().all(|spelling| same_name(spelling, &name)));
            let expected = all.into_iter().filter(|spelling| *spelling >= from).min();
            prop_assert_eq!(next_spelling(&name, &from), expected);
        }
    }

    #[test]
    fn a_user_name_may_look_like_an_address() {
        for name in [
            "a",
            "bob",
            "Bob.Smith",
            "printer-3",
            "a+b@c.example",
            "x_1=y",
            &"a".repeat(254),
        ] {
            assert_eq!(check_user_name("name", name), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_list_name_is_plain() {
        assert_eq!(check_plain_name("name", "News_2.eu-west"), Ok(()));
        assert_eq!(
            check_plain_name("list", "a@b").unwrap_err().to_string(),
            "list: \"a@b\" may only hold letters, digits and . _ -"
        );
    }

    #[test]
    fn what_is_no_name_is_refused_in_words() {
        let only = "may only hold letters, digits and . _ - + = @";
        let ends = "must start and end with a letter or a digit";
        for (name, text) in [
            ("", "is empty: give a name".to_owned()),
            (&"a".repeat(255), "is longer than 254 characters".to_owned()),
            ("a b", format!("\"a b\" {only}")),
            ("a/b", format!("\"a/b\" {only}")),
            ("jürgen", format!("\"jürgen\" {only}")),
            ("a\0", format!("\"a\\u{{0}}\" {only}")),
            ("-rf", format!("\"-rf\" {ends}")),
            ("..", format!("\"..\" {ends}")),
            ("a@", format!("\"a@\" {ends}")),
        ] {
            assert_eq!(
                check_user_name("name", name),
                Err(FieldProblem::new("name", text)),
                "{name:?}"
            );
        }
    }

    #[test]
    fn generated_names_are_names_and_differ() {
        assert_eq!(generated_user_name(0), "user-aaaaaaaa");
        assert_eq!(generated_user_name(u64::MAX), "user-99999999");
        assert_eq!(generated_user_name(1 << 5), "user-abaaaaaa");
        assert_eq!(
            check_user_name("name", &generated_user_name(12_345)),
            Ok(())
        );
    }

    #[test]
    fn names_are_the_same_in_any_case() {
        assert!(same_name("Bob@A.example", "bob@a.EXAMPLE"));
        assert!(!same_name("bob", "bob2"));
    }
}
