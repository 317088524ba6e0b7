//! What stands on the disk is not what was written.

use super::*;

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
                user: "user".to_owned(),
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

#[test]
fn a_scratched_file_is_an_error_and_no_panic() {
    with_seeds(0..40, scratched);
}
