//! The contract does not change under a version that was released.
//!
//! The rule stands in `wit/policy.wit`: inside 0.N only functions in imported interfaces, new
//! imported interfaces and new worlds are added. The museum holds a copy of each released version.

#![allow(clippy::unwrap_used)]
#![cfg(feature = "build")]

use outpost_build::{made, repository};
use std::fs;
use wit_parser::{PackageId, Resolve, WorldId};

fn parse(resolve: &mut Resolve, wit: &str) -> PackageId {
    resolve.push_source("contract.wit", wit).unwrap()
}

/// Whether components of `old` load on a relay with `new`, by each world of `old`.
fn check_compatible(old: &str, new: &str) -> Result<(), String> {
    // The check forgets versions but needs them to differ while it reads.
    let old = old.replacen("@0.1.", "@0.0.9", 1);
    let mut resolve = Resolve::default();
    let (old, new) = (parse(&mut resolve, &old), parse(&mut resolve, new));
    for (name, old) in resolve.packages[old].worlds.clone() {
        let new: WorldId = *resolve.packages[new]
            .worlds
            .get(&name)
            .ok_or(format!("no world {name}"))?;
        wit_component::semver_check(resolve.clone(), old, new)
            .map_err(|error| format!("world {name}: {error:#}"))?;
    }
    Ok(())
}

fn today() -> String {
    made::contract(&repository().join("wit")).unwrap()
}

#[test]
fn components_of_every_released_version_still_fit() {
    let museum = repository().join("plugins/museum");
    let mut exhibits = 0;
    for entry in fs::read_dir(museum).unwrap() {
        let wit = entry.unwrap().path().join("wit");
        if wit.is_dir() {
            exhibits += 1;
            check_compatible(&made::contract(&wit).unwrap(), &today()).unwrap();
        }
    }
    assert!(exhibits > 0);
}

#[test]
fn a_version_that_is_in_the_museum_is_frozen() {
    let version = |wit: &str| wit.lines().next().unwrap().to_owned();
    let exhibit = made::contract(&repository().join("plugins/museum/0.1.0/wit")).unwrap();
    if version(&exhibit) == version(&today()) {
        assert_eq!(
            exhibit,
            today(),
            "to add to the contract, raise its version first"
        );
    }
}

#[test]
fn additions_are_compatible_and_changes_are_not() {
    let old = today();
    let check = |from: &str, to: &str, compatible: bool| {
        assert!(old.contains(from), "{from}");
        let new = old.replacen(from, to, 1).replacen("@0.1.0", "@0.1.1", 1);
        let result = check_compatible(&old, &new);
        assert_eq!(result.is_ok(), compatible, "{from} -> {to}: {result:?}");
    };
    check(
        "keys: func() -> list<string>;",
        "keys: func() -> list<string>; more: func();",
        true,
    );
    check(
        "world policy {",
        "interface more { more: func(); } world policy { import more;",
        true,
    );
    check("keys: func() -> list<string>;", "", false);
    check("record tls {", "record tls { resumed: bool,", false);
    check("enum level { debug,", "enum level { trace, debug,", false);
    check("pass,", "pass, hold,", false);
    check("type priority = u8", "type priority = u16", false);
    check(
        "place: func(",
        "explain: func() -> string; place: func(",
        false,
    );
}
