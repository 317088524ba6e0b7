//! What does not fit is named before any mail comes.

use std::fs;
use std::time::Duration;

use super::*;

#[tokio::test]
async fn an_import_outside_the_contract_is_refused_by_name() {
    let foreign = named("foreign", "components/tests/foreign-import", &[]);
    let problems = problems(vec![foreign]).await;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].starts_with("plugin \"foreign\": it imports "),
        "{problems:?}"
    );
    assert!(
        problems[0].contains("imports wasi:filesystem/preopens@0.2.0, which no component is given"),
        "{problems:?}"
    );
    assert!(!problems[0].contains("outpost:policy"), "{problems:?}");
}

#[tokio::test]
async fn an_incompatible_version_is_refused_with_both_versions() {
    let old = named("future", "museum/9.0.0/incompatible", &[]);
    let problems = problems(vec![old]).await;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].contains("built for outpost:policy@9.0.0"),
        "{problems:?}"
    );
    assert!(
        problems[0].contains("this relay speaks outpost:policy@0.1.0"),
        "{problems:?}"
    );
}

#[tokio::test]
async fn a_function_that_this_relay_does_not_have_yet_is_named_with_both_versions() {
    let newer = named("newer", "components/tests/missing-function", &[]);
    assert_eq!(
        problems(vec![newer]).await,
        [
            "plugin \"newer\": it imports the function added-later of outpost:policy/config@0.1.9, which \
             this relay's outpost:policy@0.1.0 does not have (it was built for outpost:policy@0.1.9); a \
             newer relay may have it"
        ]
    );
}

/// What is wrong with the museum's component when a name in it is another one, as long as it was.
async fn problems_with_name(name: &str, other: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let Source::File(path) = file("museum/0.1.0/everything") else {
        panic!("a file");
    };
    let mut octets = fs::read(path).unwrap();
    let mut changed = 0;
    for at in 0..octets.len() - name.len() {
        if octets[at..].starts_with(name.as_bytes()) {
            octets[at..at + name.len()].copy_from_slice(other.as_bytes());
            changed += 1;
        }
    }
    assert!(changed > 0);
    let path = folder.path().join("patched.wasm");
    fs::write(&path, octets).unwrap();
    problems(vec![ComponentSettings::new("patched", Source::File(path))]).await
}

#[tokio::test]
async fn a_function_that_a_component_lacks_is_named_with_both_versions() {
    assert_eq!(
        problems_with_name("check-config", "check-confix").await,
        [
            "plugin \"patched\": its outpost:policy/lifecycle@0.1.0 lacks the function check-config, which \
             this relay's outpost:policy@0.1.0 asks for (it was built for outpost:policy@0.1.0)"
        ]
    );
    assert_eq!(
        problems_with_name("outpost:policy/lifecycle", "outpost:policy/livecycle").await,
        [
            "plugin \"patched\": it does not export outpost:policy/lifecycle@0.1.0, which this relay asks \
             for (it was built for outpost:policy@0.1.0)"
        ]
    );
}

#[tokio::test]
async fn a_record_that_differs_is_named() {
    for (name, other, place) in [
        (
            "minute-of-day",
            "moment-of-day",
            "outpost:policy/clock@0.1.0",
        ),
        ("deliver-within-s", "deliver-before-s", "priority-policy"),
    ] {
        let problems = problems_with_name(name, other).await;
        assert_eq!(problems.len(), 1, "{problems:?}");
        for part in [name, place, "outpost:policy@0.1.0", "built for 0.1.0"] {
            assert!(problems[0].contains(part), "{part}: {problems:?}");
        }
    }
}

#[tokio::test]
async fn all_problems_of_all_components_come_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.wasm");
    fs::write(&text, "not a component").unwrap();
    let core = folder.path().join("core.wasm");
    fs::write(&core, b"\0asm\x01\0\0\0").unwrap();
    let mut greedy = misbehaving(&[]);
    greedy.limits.memory_octets = 1 << 30;
    greedy.limits.cpu_time = Duration::from_millis(1);
    let problems = problems(vec![
        ComponentSettings::new("missing", Source::File(folder.path().join("none.wasm"))),
        ComponentSettings::new("text", Source::File(text)),
        ComponentSettings::new("core", Source::File(core)),
        ComponentSettings::shipped("not-shipped"),
        greedy,
        ComponentSettings::shipped("effective-priority"),
        ComponentSettings::shipped("effective-priority"),
        ComponentSettings::new("Bad name", Source::Shipped("effective-priority".into())),
    ])
    .await;
    for (name, text) in [
        ("missing", "cannot be read"),
        ("text", "not a component"),
        ("core", "not a component but a core module"),
        (
            "not-shipped",
            "there are: authorized-senders, effective-priority",
        ),
        ("misbehaving", "its memory: 67108864 octets at most"),
        ("misbehaving", "its CPU time: 10ms at least"),
        ("effective-priority", "another plugin has this name"),
        ("Bad name", "a name has 1 to 64 of"),
    ] {
        let named = format!("plugin \"{name}\": ");
        assert!(
            problems
                .iter()
                .any(|problem| problem.starts_with(&named) && problem.contains(text)),
            "{name}: {text} is not among {problems:#?}"
        );
    }
    assert_eq!(problems.len(), 8, "{problems:#?}");
}

#[tokio::test]
async fn a_component_finds_mistakes_in_its_settings_by_key() {
    let component = |behaviour| misbehaving(&[("behaviour", behaviour), ("at", "check")]);
    assert_eq!(
        problems(vec![component("check-problem")]).await,
        ["plugin \"misbehaving\": its setting \"behaviour\": must not be check-problem"]
    );
    let flood = problems(vec![component("check-flood")]).await;
    assert_eq!(flood.len(), 32);
    let control = problems(vec![component("check-control")]).await;
    assert!(
        control[0].ends_with("two\u{fffd}\u{fffd}lines\u{fffd}[31m"),
        "{control:?}"
    );
}

#[tokio::test]
async fn a_component_that_fails_at_start_is_not_deployed() {
    for (behaviour, expected) in [
        (
            "loop",
            "it fails at start: used more than 500ms of CPU time",
        ),
        ("panic", "it fails at start: trap: "),
        (
            "check-oversized",
            "it fails at start: trap: too much data is being copied",
        ),
    ] {
        let component = misbehaving(&[("behaviour", behaviour), ("at", "check")]);
        let problems = problems(vec![component]).await;
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(expected), "{problems:?}");
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let settings = Settings {
        cache_dir: Some(file.clone()),
        ..settings(vec![])
    };
    let loaded = Plugins::load(settings, clock(), &mut Registry::default()).await;
    let problems = loaded.err().unwrap();
    let expected = format!(
        "components cannot run: {}: the folder for compiled components cannot be used: ",
        file.display()
    );
    assert!(
        problems[0].to_string().starts_with(&expected),
        "{problems:?}"
    );
}

#[tokio::test]
async fn what_is_no_file_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let [socket, pipe] = ["socket", "pipe"].map(|name| folder.path().join(name));
    let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    crate::regular::tests::pipe(&pipe);
    for (path, what) in [
        (folder.path(), "a folder"),
        (&socket, "a socket"),
        (&pipe, "a pipe"),
        (Path::new("/dev/zero"), "a device"),
    ] {
        let component = ComponentSettings::new("mine", Source::File(path.to_owned()));
        assert_eq!(
            problems(vec![component]).await,
            [format!(
                "plugin \"mine\": {} cannot be read: it is {what}, not a regular file",
                path.display()
            )]
        );
    }
}
