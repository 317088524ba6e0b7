//! What the journal keeps, and what it makes of a file that is not as it left it.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::spool::disk::Disk;
use crate::spool::trials::simulated::{Faults, Simulated};

const OCTETS_MAX: u64 = 16 << 10;

const MARK: Mark = Mark {
    sequence: 7,
    salt: [1; SALT_OCTETS],
};

fn open(disk: &Simulated) -> Journal {
    Journal::open(disk.journal().unwrap(), OCTETS_MAX, MARK).unwrap()
}

fn append(journal: &mut Journal, row: &[u8]) -> io::Result<bool> {
    let mut entries = Entries::default();
    journal.begin(&mut entries);
    entries.push(Entry {
        table: 0,
        key: b"key",
        row: Some(row),
    });
    journal.append(&mut entries)
}

/// The rows of the commits behind `mark`.
fn replay(disk: &Simulated, mark: Mark) -> Result<Vec<Vec<u8>>, String> {
    replay_in(&mut open(disk), mark)
}

fn replay_in(journal: &mut Journal, mark: Mark) -> Result<Vec<Vec<u8>>, String> {
    let mut rows = Vec::new();
    let replayed = journal.replay::<String>(mark, |entries| {
        for entry in entries {
            rows.push(entry.unwrap().row.unwrap().to_vec());
        }
        Ok(())
    });
    match replayed {
        Ok(count) => assert_eq!(count, rows.len() as u64),
        Err(ReplayFailure::Damaged(error)) => return Err(error.to_string()),
        Err(failure) => panic!("{failure:?}"),
    }
    Ok(rows)
}

#[test]
fn what_was_appended_is_done_again() {
    let disk = Simulated::new(1);
    let mut journal = open(&disk);
    assert_eq!(replay(&disk, MARK).unwrap(), [[0; 0]; 0]);
    for row in [&[1; 3000][..], &[2; 1], &[3; 600]] {
        assert!(append(&mut journal, row).unwrap());
    }
    let disk = disk.after_power_cut();
    assert_eq!(
        replay(&disk, MARK).unwrap(),
        [vec![1; 3000], vec![2; 1], vec![3; 600]]
    );
}

#[test]
fn what_the_database_has_is_not_done_again() {
    let disk = Simulated::new(1);
    let mut journal = open(&disk);
    for row in 1..=3 {
        append(&mut journal, &[row]).unwrap();
    }
    let middle = Mark {
        sequence: MARK.sequence + 2,
        ..MARK
    };
    assert_eq!(replay(&disk, middle).unwrap(), [[3]]);
    let mark = journal.mark;
    assert_eq!(mark.sequence, MARK.sequence + 3);
    assert_eq!(replay(&disk, mark).unwrap(), [[0; 0]; 0]);
    journal.begin_anew();
    append(&mut journal, &[4]).unwrap();
    assert_eq!(replay(&disk, mark).unwrap(), [[4]]);
    // One that went to the database alone.
    let mark = journal.next_mark();
    journal.skip();
    append(&mut journal, &[6]).unwrap();
    assert_eq!(replay(&disk, mark).unwrap(), [[6]]);
}

#[test]
fn a_full_journal_takes_nothing_more() {
    let disk = Simulated::new(1);
    let mut journal = open(&disk);
    let mut frames = 0;
    while append(&mut journal, &[0; 1000]).unwrap() {
        frames += 1;
    }
    assert_eq!(frames, OCTETS_MAX / frame_octets(HEAD_OCTETS + 1000 + 12));
    assert_eq!(replay(&disk, MARK).unwrap().len() as u64, frames);
    journal.begin_anew();
    assert!(append(&mut journal, &[0; 1000]).unwrap());
    let everything = vec![0; OCTETS_MAX as usize];
    assert!(!append(&mut journal, &everything).unwrap());
}

#[test]
fn a_disk_without_room_leaves_the_journal_as_long_as_it_is() {
    let disk = Simulated::new(1);
    let mut journal = open(&disk);
    disk.set_capacity(Some(0), true);
    assert!(!append(&mut journal, &[1]).unwrap());
    disk.set_capacity(None, true);
    assert!(append(&mut journal, &[1]).unwrap());
    assert_eq!(replay(&disk, MARK).unwrap(), [[1]]);
}

#[test]
fn a_frame_that_was_not_synced_is_taken_back() {
    let disk = Simulated::new(1);
    let mut journal = open(&disk);
    append(&mut journal, &[1]).unwrap();
    disk.set_faults(Faults {
        sync: 1,
        ..Faults::default()
    });
    append(&mut journal, &[2; 700]).unwrap_err();
    disk.set_faults(Faults::default());
    assert_eq!(replay_in(&mut journal, MARK).unwrap(), [[1]]);
    append(&mut journal, &[3]).unwrap();
    let disk = disk.after_power_cut();
    assert_eq!(replay(&disk, MARK).unwrap(), [[1], [3]]);
}

#[test]
fn a_damaged_end_is_no_commit_and_a_damaged_middle_is_told() {
    let disk = Simulated::new(1);
    let mut journal = open(&disk);
    for row in 1..=3 {
        append(&mut journal, &[row]).unwrap();
    }
    let file = disk.journal().unwrap();
    let spoil = |frame: u64| {
        let at = frame * SECTOR_OCTETS + HEAD_OCTETS as u64 + 5;
        let mut octet = [0];
        file.read(at, &mut octet).unwrap();
        file.write(at, &[octet[0] ^ 1]).unwrap();
    };
    spoil(2);
    assert_eq!(replay(&disk, MARK).unwrap(), [[1], [2]]);
    spoil(2);
    spoil(1);
    let told = replay(&disk, MARK).unwrap_err();
    assert_eq!(
        told,
        "the journal cannot be read at octet 512, and there is mail behind it at 1024"
    );
}

#[test]
fn a_frame_of_another_salt_or_round_is_none() {
    let disk = Simulated::new(1);
    append(&mut open(&disk), &[1]).unwrap();
    let salt = [2; SALT_OCTETS];
    assert_eq!(replay(&disk, Mark { salt, ..MARK }).unwrap(), [[0; 0]; 0]);
    let sequence = 8;
    let later = Mark { sequence, ..MARK };
    assert_eq!(replay(&disk, later).unwrap(), [[0; 0]; 0]);
}

/// The process ended before it could take the frame back, and the system's cache shows it still.
#[test]
fn a_frame_whose_sync_failed_in_the_last_process_is_written_again() {
    for seed in 0..20 {
        let disk = Simulated::new(seed);
        append(&mut open(&disk), &[1]).unwrap();
        let mut journal = open(&disk);
        assert_eq!(replay_in(&mut journal, MARK).unwrap(), [[1]]);
        disk.set_faults(Faults {
            sync: 1,
            ..Faults::default()
        });
        append(&mut journal, &[2; 700]).unwrap_err();
        disk.set_faults(Faults::default());
        let mut journal = open(&disk);
        let there = replay_in(&mut journal, MARK).unwrap();
        append(&mut journal, &[3]).unwrap();
        let expected = [&there[..], &[vec![3]]].concat();
        let disk = disk.after_power_cut();
        assert_eq!(replay(&disk, MARK).unwrap(), expected, "seed {seed}");
    }
}

/// Whoever may send mail chooses what stands behind the end: to digest eight megabytes for each sector of
/// them would take minutes.
#[test]
fn what_looks_like_a_frame_costs_nothing_when_it_cannot_be_one() {
    const OCTETS: u64 = 8 << 20;
    let disk = Simulated::new(1);
    let mut content = Vec::new();
    while content.len() < OCTETS as usize {
        content.extend_from_slice(&MAGIC);
        content.extend_from_slice(&(OCTETS as u32 / 2).to_le_bytes());
        content.extend_from_slice(&u64::MAX.to_le_bytes());
    }
    disk.journal().unwrap().write(0, &content).unwrap();
    let began = std::time::Instant::now();
    assert_eq!(replay(&disk, MARK).unwrap(), [[0; 0]; 0]);
    assert!(began.elapsed() < std::time::Duration::from_secs(20));
}

#[test]
fn a_mark_is_read_from_its_row() {
    let mark = Mark::new().unwrap();
    assert_eq!(Mark::from_row(&mark.to_row()), Some(mark));
    assert_ne!(Mark::new().unwrap().salt, mark.salt);
    assert_eq!(Mark::from_row(&[0; 23]), None);
    assert_eq!(Mark::from_row(&[0; 25]), None);
}
