//! The real data folder.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::super::folder::Folder;
use super::super::{OpenError, open};
use super::*;
use crate::spool::stored::FORM;

fn open_in(path: &std::path::Path) -> Result<Arc<dyn Spool>, OpenError> {
    open(
        path,
        settings(),
        Clock::standing_at(at(NOW)),
        &mut Registry::default(),
    )
}

#[tokio::test]
async fn the_octets_in_flight_are_shown_as_they_are_now() {
    let folder = tempfile::tempdir().unwrap();
    let mut registry = Registry::default();
    let clock = Clock::standing_at(at(NOW));
    let spool = open(folder.path(), settings(), clock, &mut registry).unwrap();
    let shows = |line: &str| {
        let page = crate::telemetry::exposition(&registry);
        assert!(page.lines().any(|found| found == line), "{page}");
    };
    let content = intake(&*spool, &octets(300)).await.unwrap();
    shows("outpost_spool_octets_in_flight 300");
    drop(content);
    shows("outpost_spool_octets_in_flight 0");
}

#[tokio::test]
async fn what_it_makes_is_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let spool = open_in(&data_dir).unwrap();
    let mut new = new_message(message(1, "user", Class::Normal, &LANES[..1]));
    new.message.content_octets = 100_000;
    let content = intake(&*spool, &octets(100_000)).await.unwrap();
    spool.enqueue(new, content).await.unwrap();
    let mode = |path: &str| {
        let metadata = std::fs::metadata(data_dir.join(path)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode(""), 0o700);
    assert_eq!(mode("spool.redb"), 0o600);
    assert_eq!(mode("content"), 0o700);
    assert_eq!(mode(&format!("content/{}", id(1))), 0o600);
}

#[tokio::test]
async fn a_second_process_is_told_that_it_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let first = open_in(folder.path()).unwrap();
    let second = open_in(folder.path());
    assert!(matches!(second, Err(OpenError::InUse { .. })));
    first.close().await.unwrap();
    assert!(open_in(folder.path()).is_ok());
}

#[tokio::test]
async fn what_is_not_a_spool_is_said_to_be_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool.redb");
    std::fs::write(&path, vec![7; 10_000]).unwrap();
    let opened = open_in(folder.path());
    assert!(
        matches!(opened, Err(OpenError::Damaged { .. })),
        "{:?}",
        opened.err()
    );
    assert_eq!(
        std::fs::read(&path).unwrap(),
        vec![7; 10_000],
        "it is left as it was"
    );
    let opened = open_in(&path);
    assert!(
        matches!(opened, Err(OpenError::Unreadable { .. })),
        "{:?}",
        opened.err()
    );
}

#[tokio::test]
async fn what_a_crash_has_left_behind_is_removed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open_in(folder.path()).unwrap();
    let mut new = new_message(message(1, "user", Class::Normal, &LANES[..1]));
    new.message.content_octets = 100_000;
    let content = intake(&*spool, &octets(100_000)).await.unwrap();
    spool.enqueue(new, content).await.unwrap();
    spool.close().await.unwrap();
    let contents = folder.path().join("content");
    for name in ["incoming-7", &id(2).to_string(), "notes.txt"] {
        std::fs::write(contents.join(name), b"left").unwrap();
    }
    let spool = open_in(folder.path()).unwrap();
    let mut names: Vec<String> = std::fs::read_dir(&contents)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, [id(1).to_string(), "notes.txt".to_owned()]);
    let content = spool.content(id(1)).await.unwrap();
    assert_eq!(gather(content).await.unwrap(), octets(100_000));
}

#[tokio::test]
async fn a_spool_of_which_a_file_has_gone_is_refused_and_left_as_it_is() {
    for (gone, size, said) in [
        (
            &["spool.redb"][..],
            100,
            "spool.redb: there is no queue in it",
        ),
        (
            &["spool.redb"],
            100_000,
            "spool.redb: there is no queue in it",
        ),
        (
            &["spool.redb", "spool.journal"],
            100_000,
            "spool.redb: there is no queue in it",
        ),
        (
            &["spool.journal"],
            100_000,
            "spool.journal: the file is not there",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let spool = open_in(folder.path()).unwrap();
        let mut new = new_message(message(1, "user", Class::Normal, &LANES[..1]));
        new.message.content_octets = size as u64;
        let content = intake(&*spool, &octets(size)).await.unwrap();
        spool.enqueue(new, content).await.unwrap();
        spool.close().await.unwrap();
        drop(spool);
        let kept: Vec<(PathBuf, Vec<u8>)> = gone
            .iter()
            .map(|name| folder.path().join(name))
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect();
        for (path, _) in &kept {
            std::fs::remove_file(path).unwrap();
        }
        for _ in 0..2 {
            let refused = open_in(folder.path()).err().unwrap().to_string();
            assert!(refused.contains(said), "{refused}");
        }
        for (path, octets) in kept {
            std::fs::write(path, octets).unwrap();
        }
        let spool = open_in(folder.path()).unwrap();
        let content = spool.content(id(1)).await.unwrap();
        assert_eq!(gather(content).await.unwrap(), octets(size));
    }
}

#[tokio::test]
async fn an_intake_that_is_given_up_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open_in(folder.path()).unwrap();
    let content = intake(&*spool, &octets(1_000_000)).await.unwrap();
    let files = || {
        std::fs::read_dir(folder.path().join("content"))
            .unwrap()
            .count()
    };
    assert_eq!(files(), 1);
    drop(content);
    assert_eq!(files(), 0);
    assert_eq!(spool.figures().octets_in_flight, 0);
}

#[test]
fn a_reserve_is_set_aside_once_and_given_up_once() {
    use super::super::disk::Disk;
    let folder = tempfile::tempdir().unwrap();
    let disk = Folder::open(folder.path()).unwrap();
    assert!(!disk.give_up_reserve());
    disk.keep_reserve().unwrap();
    disk.keep_reserve().unwrap();
    let reserve = folder.path().join("spool.reserve");
    assert_eq!(std::fs::metadata(&reserve).unwrap().len(), 24 << 20);
    assert!(disk.give_up_reserve());
    assert!(!reserve.exists());
    assert!(disk.free_octets().unwrap() > 0);
}

/// Every file of a folder but the database, and what is in it.
fn files(path: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        // redb itself writes when it closes its file.
        if entry.file_type().unwrap().is_file() && name != "spool.redb" {
            files.push((name, std::fs::read(entry.path()).unwrap()));
        }
    }
    files.sort();
    files
}

#[tokio::test]
async fn one_of_a_newer_release_is_named_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open_in(folder.path()).unwrap();
    let new = new_message(message(1, "user", Class::Normal, &LANES[..1]));
    let octets = octets(usize::try_from(new.message.content_octets).unwrap());
    let content = intake(&*spool, &octets).await.unwrap();
    spool.enqueue(new, content).await.unwrap();
    spool.close().await.unwrap();
    // What a newer release adds may be anywhere: mail in another journal, contents under other names.
    let stray = folder.path().join("content").join(id(9).to_string());
    std::fs::write(&stray, "of a message that this release would not know").unwrap();
    std::fs::write(folder.path().join("spool.journal"), vec![7; 4096]).unwrap();
    let database = redb::Database::open(folder.path().join("spool.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let queue = redb::TableDefinition::<&[u8], &[u8]>::new("queue");
    transaction
        .open_table(queue)
        .unwrap()
        .insert(b"e".as_slice(), [FORM + 1].as_slice())
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    let before = files(folder.path());

    let path = folder.path().join("spool.redb");
    for _ in 0..2 {
        let said = open_in(folder.path()).err().unwrap().to_string();
        assert_eq!(
            said,
            format!(
                "{}: written by a newer release (form {}, this release knows up to {FORM})",
                path.display(),
                FORM + 1
            )
        );
        assert!(files(folder.path()) == before, "a file was changed");
        assert!(stray.exists());
    }
}
