//! The power is cut at any moment.

use super::*;

/// Works until the power is cut, looks at what is there when it is back, and goes on with it.
async fn cut_and_go_on(seed: u64) {
    let mut dice = Dice::new(seed);
    let disk = Simulated::new(seed);
    let mut trial = Trial::on(&disk, seed);
    // Some cuts come in the first moments, some in the middle of a longer life.
    let longest = 1 << (3 + dice.below(10));
    disk.cut_power_after(dice.below(longest));
    for _ in 0..400 {
        trial.step().await;
        if disk.is_out() {
            break;
        }
    }
    disk.cut_power_after(0);
    trial.claims.clear();
    let survivor = disk.after_power_cut();
    let spool = start(&survivor).unwrap();
    trial.check(&spool, true).await;
    let queued: Vec<MessageId> = queued(&trial, &spool).await;
    for name in survivor.content_names() {
        let owner: MessageId = name.parse().unwrap();
        assert!(queued.contains(&owner), "{name} has no message");
    }
    trial.drain(&spool).await;
    spool.close().await.unwrap();
    assert_eq!(survivor.content_names(), [""; 0]);
}

async fn queued(trial: &Trial, spool: &Embedded) -> Vec<MessageId> {
    let mut queued = Vec::new();
    for number in trial.known.keys() {
        let record = spool.message(id(*number)).await.unwrap();
        queued.extend(
            record
                .filter(|r| r.finished.is_none())
                .map(|r| r.message.id),
        );
    }
    queued
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_1() {
    with_seeds(0..100, cut_and_go_on);
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_2() {
    with_seeds(100..200, cut_and_go_on);
}

/// The power is cut again and again, also while the file is repaired and orphans are removed.
async fn cut_again_and_again(seed: u64) {
    let mut dice = Dice::new(seed);
    let mut disk = Simulated::new(seed);
    let mut trial = Trial::on(&disk, seed);
    for _ in 0..6 {
        disk.cut_power_after(dice.below(600));
        for _ in 0..60 {
            trial.step().await;
        }
        trial.claims.clear();
        disk.cut_power_after(0);
        loop {
            disk = disk.after_power_cut();
            disk.cut_power_after(dice.below(200));
            if start(&disk).is_ok() {
                // Running, or out before it has done anything: either way it starts once more.
                disk.cut_power_after(0);
                disk = disk.after_power_cut();
                break;
            }
        }
        trial.spool = start(&disk).unwrap();
        trial.check(&trial.spool, true).await;
        trial.forget_refused().await;
    }
    let spool = start(&disk.after_close(&trial.spool).await).unwrap();
    trial.check(&spool, false).await;
    trial.drain(&spool).await;
}

impl Trial {
    /// What was refused and is there all the same counts as acknowledged from now on; what is
    /// not there is nothing.
    async fn forget_refused(&mut self) {
        for lane in LANES {
            let is_stopped = self.spool.stops().on(&domain(lane), "user").is_some();
            self.stopped.insert(lane, Some(is_stopped));
        }
        for (number, known) in &mut self.known {
            let record = self.spool.message(id(*number)).await.unwrap();
            let Some(record) = record else {
                known.is_acknowledged = false;
                known.recipients.fill(Fate::Closed);
                continue;
            };
            known.is_acknowledged = true;
            known.recipients.fill(Fate::Closed);
            for (delivery, state) in record.deliveries {
                let fate = match state {
                    QueueState::Cancelled => Fate::Cancelled,
                    _ => Fate::Open,
                };
                for recipient in delivery.recipients {
                    known.recipients[recipient as usize] = fate;
                }
            }
        }
    }
}

impl Simulated {
    /// The disk after its spool was closed in order.
    async fn after_close(&self, spool: &Embedded) -> Self {
        spool.close().await.unwrap();
        self.after_power_cut()
    }
}

#[test]
fn what_was_acknowledged_survives_power_cuts_during_recovery() {
    with_seeds(0..25, cut_again_and_again);
}
