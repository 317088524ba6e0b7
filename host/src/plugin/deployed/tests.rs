//! What is deployed: how it changes, and what of it a crash leaves.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::super::settings::{Source, Wasi};
use super::*;
use crate::message::Timestamp;
use crate::policy::OnFailure;

/// What is deployed on a configuration that can change.
struct Bench {
    data: TempDir,
    deployments: Deployments,
    configured: Vec<ComponentSettings>,
    /// When the next change is made, in milliseconds.
    now: u64,
}

impl Bench {
    fn new(configured: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut bench = Self {
            deployments: Deployments::open(data.path()).unwrap(),
            data,
            configured: Vec::new(),
            now: 1_700_000_000_000,
        };
        bench.configure(configured);
        bench
    }

    /// The components of the configuration are these from now on.
    fn configure(&mut self, names: &[&str]) {
        let components = names.iter().map(|name| {
            let file = Source::File(format!("{name}.wasm").into());
            ComponentSettings::new(name, file)
        });
        self.configured = components.collect();
        self.deployments.follow(&self.configured, &[]);
    }

    fn plan(&mut self, change: &Change) -> Result<Plan, Refused> {
        self.now += 1;
        let digest = match change {
            Change::Install(install) => self.deployments.keep(&install.component).unwrap(),
            _ => String::new(),
        };
        let author = Author {
            by: "boss",
            at: Timestamp::from_unix_milliseconds(self.now),
        };
        self.deployments
            .plan(&self.configured, change, &digest, author)
    }

    fn try_change(&mut self, change: &Change) -> Result<bool, Refused> {
        let plan = self.plan(change)?;
        self.deployments.commit(&plan).unwrap();
        self.deployments.clear();
        self.deployments.follow(&self.configured, &[]);
        Ok(plan.changes)
    }

    #[track_caller]
    fn change(&mut self, change: &Change) -> bool {
        self.try_change(change).unwrap()
    }

    /// Deploys a component of those octets.
    #[track_caller]
    fn install(&mut self, name: &str, component: &str) {
        assert!(self.change(&install(name, component)));
    }

    #[track_caller]
    fn roll_back(&mut self, name: &str) {
        let change = Change::Rollback {
            name: name.to_owned(),
            to: None,
        };
        assert!(self.change(&change));
    }

    /// The components in their order, with the numbers of their versions: `a b=2 (c)`, where `c` is disabled.
    fn chain(&self) -> String {
        let standing = self.deployments.standing();
        let members = standing.members.iter().map(|member| {
            let name = &member.settings.name;
            let version = match member.in_force {
                CONFIGURED => name.clone(),
                number => format!("{name}={number}"),
            };
            match member.is_enabled {
                true => version,
                false => format!("({version})"),
            }
        });
        members.collect::<Vec<_>>().join(" ")
    }

    /// The numbers of the versions that are kept.
    fn versions(&self, name: &str) -> Vec<u32> {
        let standing = self.deployments.standing();
        let versions = standing.member(name).unwrap().versions.iter();
        versions.map(|version| version.number).collect()
    }

    /// What stands in the folder, by the first octets of what it holds.
    fn components(&self) -> Vec<String> {
        let mut found: Vec<String> = fs::read_dir(self.deployments.folder())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "wasm"))
            .map(|path| String::from_utf8(fs::read(path).unwrap()).unwrap())
            .collect();
        found.sort();
        found
    }

    /// The same after a restart.
    fn restart(&mut self) {
        self.deployments = Deployments::open(self.data.path()).unwrap();
        self.deployments.clear();
        self.deployments.follow(&self.configured, &[]);
    }

    fn state(&self) -> PathBuf {
        self.deployments.folder().join("chain.json")
    }
}

fn install(name: &str, component: &str) -> Change {
    Change::Install(Install {
        name: name.to_owned(),
        component: component.as_bytes().to_vec(),
        octets: component.len() as u64,
        settings: Overrides::default(),
        position: None,
        note: String::new(),
    })
}

fn at_position(name: &str, component: &str, position: usize) -> Change {
    match install(name, component) {
        Change::Install(install) => Change::Install(Install {
            position: Some(position),
            ..install
        }),
        other => other,
    }
}

fn with(name: &str, component: &str, settings: Overrides) -> Change {
    match install(name, component) {
        Change::Install(install) => Change::Install(Install {
            settings,
            ..install
        }),
        other => other,
    }
}

fn disable(name: &str) -> Change {
    Change::Disable(name.to_owned())
}

fn enable(name: &str) -> Change {
    Change::Enable(name.to_owned())
}

fn remove(name: &str) -> Change {
    Change::Remove(name.to_owned())
}

#[test]
fn a_rollback_leads_to_what_was_in_force_before() {
    let mut bench = Bench::new(&["senders"]);
    for component in ["one", "two", "three"] {
        bench.install("senders", component);
    }
    bench.roll_back("senders");
    assert_eq!(bench.chain(), "senders=2");
    bench.roll_back("senders");
    bench.install("senders", "four");
    assert_eq!(bench.chain(), "senders=4");
    // Not to what was deployed before it, which was found wanting.
    bench.roll_back("senders");
    assert_eq!(bench.chain(), "senders=1");
    bench.roll_back("senders");
    assert_eq!(bench.chain(), "senders", "what the configuration says");
    let change = Change::Rollback {
        name: "senders".to_owned(),
        to: None,
    };
    assert!(matches!(
        bench.try_change(&change),
        Err(Refused::Conflict(_))
    ));
    assert_eq!(bench.versions("senders"), [1, 2, 3, 4]);
}

#[test]
fn a_version_has_the_settings_that_came_along_and_those_that_were_not_said_stay() {
    let mut bench = Bench::new(&["senders"]);
    bench.configured[0].transactions_max = 7;
    let config = |value: &str| Some(BTreeMap::from([("per".to_owned(), value.to_owned())]));
    bench.change(&with(
        "senders",
        "one",
        Overrides {
            config: config("1"),
            on_failure: Some(OnFailure::Refuse),
            ..Overrides::default()
        },
    ));
    bench.change(&with(
        "senders",
        "one",
        Overrides {
            config: config("2"),
            wasi: Some(Wasi::Empty),
            ..Overrides::default()
        },
    ));
    let settings = |bench: &Bench| {
        let settings = bench.deployments.standing().members[0].settings.clone();
        assert_eq!(settings.transactions_max, 7, "as the configuration says");
        (
            settings.config["per"].clone(),
            settings.on_failure,
            settings.wasi,
        )
    };
    let second = ("2".to_owned(), Some(OnFailure::Refuse), Wasi::Empty);
    assert_eq!(settings(&bench), second);
    bench.roll_back("senders");
    let first = ("1".to_owned(), Some(OnFailure::Refuse), Wasi::Refused);
    assert_eq!(settings(&bench), first);
    let same = with("senders", "one", Overrides::default());
    assert!(!bench.change(&same), "it is in force already");
}

#[test]
fn the_configuration_keeps_its_order_and_what_is_new_finds_its_place() {
    let mut bench = Bench::new(&["a", "b", "c"]);
    bench.install("own", "own");
    assert_eq!(bench.chain(), "a b c own=1");
    bench.change(&at_position("first", "first", 1));
    assert_eq!(bench.chain(), "first=1 a b c own=1");
    bench.change(&at_position("own", "own", 3));
    assert_eq!(bench.chain(), "first=1 a own=1 b c");
    bench.configure(&["a", "new", "c", "last"]);
    assert_eq!(bench.chain(), "first=1 a new own=1 c last");
    bench.configure(&["zero", "a"]);
    assert_eq!(bench.chain(), "zero first=1 a own=1");
    let order = ["own", "a", "first", "zero"].map(str::to_owned).to_vec();
    bench.change(&Change::Order(order.clone()));
    bench.restart();
    assert_eq!(bench.chain(), "own=1 a first=1 zero");
    assert!(!bench.change(&Change::Order(order)));
}

#[test]
fn what_is_disabled_keeps_its_place_and_its_versions() {
    let mut bench = Bench::new(&["a", "b"]);
    bench.install("a", "one");
    assert!(bench.change(&disable("a")));
    assert!(!bench.change(&disable("a")));
    bench.install("a", "two");
    bench.restart();
    assert_eq!(bench.chain(), "(a=2) b");
    assert_eq!(bench.deployments.chain(&bench.configured).len(), 1);
    assert!(bench.change(&enable("a")));
    assert_eq!(bench.chain(), "a=2 b");
    assert!(bench.change(&disable("b")) && bench.change(&enable("b")));
    assert!(bench.deployments.overlay().deployment("b").is_none());
    for change in [enable("no"), disable("no"), remove("no")] {
        let refused = bench.try_change(&change);
        assert_eq!(refused, Err(Refused::Unknown("no".to_owned())));
    }
}

#[test]
fn a_component_that_the_configuration_does_not_name_any_more_is_not_asked_and_not_forgotten() {
    let mut bench = Bench::new(&["a", "b"]);
    bench.install("b", "one");
    bench.configure(&["a"]);
    assert_eq!(bench.chain(), "a");
    assert_eq!(bench.deployments.absent(&bench.configured), ["b"]);
    bench.configure(&["a", "b"]);
    assert_eq!(bench.chain(), "a b=1");
    // Deployed anew it is one of its own.
    bench.configure(&["a"]);
    bench.install("b", "two");
    assert_eq!(bench.chain(), "a b=2");
    assert!(bench.deployments.absent(&bench.configured).is_empty());
    bench.configure(&["a", "b"]);
    assert_eq!(bench.chain(), "a b=2");
    bench.configure(&["a"]);
    assert!(bench.change(&remove("b")));
    assert_eq!(bench.chain(), "a");
    assert!(bench.components().is_empty());
}

#[test]
fn so_many_versions_are_kept_and_those_in_force_and_before_are_among_them() {
    let mut bench = Bench::new(&["a"]);
    bench.install("a", "0");
    for number in 1..=12 {
        bench.install("a", &number.to_string());
    }
    assert_eq!(bench.versions("a"), (4..=13).collect::<Vec<_>>());
    assert_eq!(bench.components().len(), 10);
    let back = Change::Rollback {
        name: "a".to_owned(),
        to: Some(Wanted::Number(4)),
    };
    bench.change(&back);
    bench.install("a", "next");
    assert_eq!(
        bench.versions("a")[..2],
        [4, 6],
        "4 is the one to go back to"
    );
    for name in 0..10 {
        for number in 0..9 {
            bench.install(&format!("own-{name}"), &format!("{name} {number}"));
        }
    }
    let standing = bench.deployments.standing();
    let kept = standing.members.iter().map(|member| member.versions.len());
    assert_eq!(kept.sum::<usize>(), 64);
    for member in &standing.members {
        let numbers: Vec<u32> = member.versions.iter().map(|one| one.number).collect();
        assert!(numbers.contains(&member.in_force), "{numbers:?}");
        assert!(numbers.len() >= 2, "{numbers:?}");
    }
    for name in 10..31 {
        bench.install(&format!("own-{name}"), "more");
    }
    let refused = bench.try_change(&install("too-many", "x"));
    assert!(matches!(refused, Err(Refused::Conflict(_))), "{refused:?}");
}

#[test]
fn octets_are_bounded_too() {
    let mut bench = Bench::new(&["a"]);
    for number in 0..5 {
        let Change::Install(install) = install("a", &number.to_string()) else {
            panic!("it is one");
        };
        let large = Change::Install(Install {
            octets: 300 << 20,
            ..install
        });
        assert!(bench.change(&large));
    }
    assert_eq!(bench.versions("a"), [3, 4, 5]);
}

#[test]
fn a_version_is_named_by_the_beginning_of_its_digest() {
    let mut bench = Bench::new(&["a"]);
    bench.install("a", "one");
    bench.install("a", "two");
    let digest = digest_of(&bench, 1);
    let to = |bench: &mut Bench, digest: &str| {
        let to = Some(Wanted::Digest(digest.to_owned()));
        let name = "a".to_owned();
        bench.try_change(&Change::Rollback { name, to })
    };
    assert!(matches!(
        to(&mut bench, &digest[..7]),
        Err(Refused::Field("digest", _))
    ));
    assert!(matches!(
        to(&mut bench, "ffffffff"),
        Err(Refused::Field("digest", _))
    ));
    assert_eq!(to(&mut bench, &digest[..8].to_uppercase()), Ok(true));
    assert_eq!(bench.chain(), "a=1");
    assert_eq!(to(&mut bench, &digest), Ok(false));
}

fn digest_of(bench: &Bench, number: u32) -> String {
    let standing = bench.deployments.standing();
    let versions = &standing.members[0].versions;
    let version = versions.iter().find(|one| one.number == number).unwrap();
    version.digest.clone()
}

#[test]
fn another_state_has_another_revision_and_the_same_one_after_a_restart() {
    let mut bench = Bench::new(&["a", "b"]);
    let revision = |bench: &Bench| bench.deployments.standing().revision.clone();
    let mut seen = vec![revision(&bench)];
    for change in [install("a", "one"), disable("b"), enable("b")] {
        bench.change(&change);
        seen.push(revision(&bench));
    }
    bench.configured[1].transactions_max = 2;
    bench.deployments.follow(&bench.configured, &[]);
    seen.push(revision(&bench));
    bench.restart();
    assert_eq!(seen.last(), Some(&revision(&bench)));
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), all, "{seen:?}");
}

/// Whatever step of a change is the last one before a crash, the next start finds the state before or the one after.
#[test]
fn a_crash_between_any_two_steps_leaves_one_of_the_two_states() {
    let steps: [fn(&mut Bench); 5] = [
        // A component is half written.
        |bench| {
            let aside = bench.deployments.folder().join("0a.wasm.new");
            fs::write(aside, "tw").unwrap();
        },
        // It is there, and nothing names it.
        |bench| drop(bench.deployments.keep(b"two").unwrap()),
        // What names it is half written.
        |bench| {
            bench.deployments.keep(b"two").unwrap();
            fs::write(bench.state().with_extension("json.new"), "{\"form\":1,").unwrap();
        },
        // It has its name; what nobody names any more is still there.
        |bench| {
            let plan = bench.plan(&install("a", "two")).unwrap();
            bench.deployments.commit(&plan).unwrap();
            bench.deployments.keep(b"left over").unwrap();
        },
        // One is gone, and its component is still there.
        |bench| {
            let plan = bench.plan(&remove("a")).unwrap();
            bench.deployments.commit(&plan).unwrap();
        },
    ];
    let after = ["a=1", "a=1", "a=1", "a=2", "a"];
    for (step, after) in steps.into_iter().zip(after) {
        let mut bench = Bench::new(&["a"]);
        bench.install("a", "one");
        step(&mut bench);
        bench.restart();
        assert_eq!(bench.chain(), after);
        let kept: &[&str] = match after {
            "a=2" => &["one", "two"],
            "a=1" => &["one"],
            _ => &[],
        };
        assert_eq!(bench.components(), kept, "{after}");
        let asides = fs::read_dir(bench.deployments.folder()).unwrap();
        let mut asides = asides.map(|entry| entry.unwrap().file_name());
        assert!(!asides.any(|name| name.to_str().unwrap().ends_with(".new")));
    }
}

#[test]
fn a_state_that_cannot_be_written_leaves_the_one_before() {
    let mut bench = Bench::new(&["a"]);
    bench.install("a", "one");
    let aside = bench.state().with_extension("json.new");
    fs::create_dir(&aside).unwrap();
    let plan = bench.plan(&install("a", "two")).unwrap();
    assert!(bench.deployments.commit(&plan).is_err());
    bench.deployments.follow(&bench.configured, &[]);
    assert_eq!(bench.chain(), "a=1");
    fs::remove_dir(aside).unwrap();
    bench.restart();
    assert_eq!(bench.chain(), "a=1");
    bench.install("a", "two");
    assert_eq!(bench.chain(), "a=2");
}

#[test]
fn a_component_that_was_damaged_is_written_anew_when_it_is_deployed_again() {
    let mut bench = Bench::new(&["a"]);
    bench.install("a", "one");
    let path = bench
        .deployments
        .folder()
        .join(format!("{}.wasm", digest_of(&bench, 1)));
    fs::write(&path, "damaged").unwrap();
    bench.change(&install("a", "one"));
    assert_eq!(fs::read(path).unwrap(), b"one");
}

#[test]
fn what_cannot_be_read_is_told_with_what_to_do() {
    let mut bench = Bench::new(&["a"]);
    bench.change(&with(
        "a",
        "one",
        Overrides {
            on_failure: Some(OnFailure::Skip),
            wasi: Some(Wasi::Empty),
            transactions_max: Some(3),
            config: Some(BTreeMap::from([("k".to_owned(), "v".to_owned())])),
        },
    ));
    let whole = fs::read_to_string(bench.state()).unwrap();
    bench.restart();
    assert_eq!(bench.chain(), "a=1");
    for (text, told) in [
        (whole[..whole.len() / 2].to_owned(), "it is damaged: "),
        (String::new(), "it is damaged: "),
        (
            whole.replace("\"form\": 1", "\"form\": 2"),
            "of form 2, and this release reads forms up to 1",
        ),
        (
            whole.replace("\"in_force\": 1", "\"in_force\": 9"),
            "a has no version 9, which is in force",
        ),
        (
            whole.replace("\"digest\": \"", "\"digest\": \"../"),
            "is no digest",
        ),
        (
            whole.replace("\"skip\"", "\"accept\""),
            "\"accept\" is no meaning of a failure",
        ),
        (
            whole.replace("\"empty\"", "\"full\""),
            "\"full\" is no WASI",
        ),
        (
            whole.replace("\"own\"", "\"more\""),
            "it is damaged: unknown field `more`",
        ),
    ] {
        fs::write(bench.state(), &text).unwrap();
        let error = Deployments::open(bench.data.path())
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains(told), "{error}");
        assert!(
            error.starts_with(&bench.state().display().to_string()),
            "{error}"
        );
        assert!(error.contains("move "), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn what_is_deployed_is_the_relay_s_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let mut bench = Bench::new(&["a"]);
    bench.install("a", "one");
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = bench.deployments.folder().to_owned();
    for entry in fs::read_dir(&folder).unwrap() {
        assert_eq!(mode(entry.unwrap().path()), 0o600);
    }
    assert_eq!(mode(folder), 0o700);
}
