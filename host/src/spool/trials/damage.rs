//! What stands on the disk is not what was written.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use super::*;

/// How a process ends that panics while it unwinds.
const SIGABRT: i32 = 6;

/// Whatever octets of the file are changed: it opens or says that it is damaged, and what cannot
/// be read is an error. Nothing panics and nothing hangs.
async fn scratched(seed: u64) {
    let disk = Simulated::new(seed);
    let mut trial = Trial::on(&disk, seed);
    for _ in 0..40 {
        trial.enqueue().await;
    }
    trial.claims.clear();
    trial.spool.close().await.unwrap();
    let mut dice = Dice::new(seed);
    disk.scratch(1 + dice.below(40));
    let Ok(spool) = start(&disk.after_power_cut()) else {
        return;
    };
    for number in trial.known.keys() {
        if let Ok(Some(record)) = spool.message(id(*number)).await {
            assert_eq!(record.message.id, id(*number));
        }
        drop(spool.content(id(*number)).await);
    }
    for lane in LANES {
        for class in CLASSES {
            let line = Line {
                next_hop: domain(lane),
                class,
                user: "user".into(),
            };
            for _ in 0..50 {
                match spool.claim(&line, at(NOW)).await {
                    Ok(claimed) if claimed.claim.is_some() => {}
                    _ => break,
                }
            }
        }
    }
    trial.spool = spool;
    trial.enqueue().await;
    drop(trial.spool.close().await);
}

/// Tells a process of this test that it is to run the trial itself.
const ALONE: &str = "OUTPOST_TRIAL_ALONE";

/// Seeds that redb may end: it was one in some 3,000.
const ENDED_BY_REDB_MAX: usize = 2;

/// Each seed has a process of its own. Where the scratch hits redb's list of freed pages, redb panics in a
/// commit and once more while that unwinds, which ends the process whatever is caught. That is told from
/// everything else by where the panics are.
#[test]
fn a_scratched_file_is_an_error_and_no_panic_of_ours() {
    if std::env::var_os(ALONE).is_some() {
        return with_seeds(0..40, scratched);
    }
    let name = "spool::trials::damage::a_scratched_file_is_an_error_and_no_panic_of_ours";
    let mut ended_by_redb = 0;
    for seed in seeds(0..40) {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(ALONE, "1")
            .env(SEEDS, format!("{seed}..{}", seed + 1))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let ran = String::from_utf8_lossy(&output.stdout).contains("running 1 test");
        assert!(ran, "seed {seed}: no such test");
        if output.status.success() {
            continue;
        }
        let mut panics = said.lines().filter(|line| line.contains("panicked at"));
        let is_aborted = output.status.signal() == Some(SIGABRT);
        assert!(
            is_aborted && panics.all(|line| line.contains("/redb-")),
            "seed {seed}: {}\n{said}",
            output.status
        );
        ended_by_redb += 1;
    }
    assert!(ended_by_redb <= ENDED_BY_REDB_MAX, "{ended_by_redb}");
}
