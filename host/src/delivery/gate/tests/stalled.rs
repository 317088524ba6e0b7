//! Very-high mail for a host that hangs: it holds others up once, and again when something moves there.

use tokio::time::sleep;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A very-high send to the host that hangs.
fn hanging(gate: &Gate, number: u32) -> Passage {
    let mut mail = mail(number, Class::VeryHigh);
    mail.delivery.next_hop = NextHop::Domain("hangs.example".into());
    gate.enter(&mail.message, &mail.delivery)
}

/// For how long a lower send that goes on and on is held by what is done meanwhile.
async fn held_by(gate: &Gate, does: impl Future<Output = ()>) -> Duration {
    let bulk = enter(gate, 1_000, Class::Normal);
    let goes_on = async {
        loop {
            bulk.permit(10_000).await;
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = does => {}
        () = goes_on => {}
    }
    bulk.finish().iter().map(|pause| pause.took).sum()
}

/// One very-high send that goes nowhere for so long.
async fn hangs(gate: &Gate, number: u32, time: Duration) {
    let passage = hanging(gate, number);
    let _transacting = passage.begin();
    sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn twelve_that_hang_at_one_host_hold_others_for_less_than_two_seconds_in_all() {
    let gate = gate(Rules::default());
    let passages: Vec<_> = (0..12).map(|number| hanging(&gate, number)).collect();
    let held = held_by(&gate, async {
        let mut transactions = Vec::new();
        for (number, passage) in passages.iter().enumerate() {
            transactions.push(passage.begin());
            // The network takes its commands, now and later.
            let mut pulse = passage.pulse().unwrap();
            pulse.has_written();
            sleep(SECOND / 4).await;
            pulse.has_written();
            assert_eq!(gate.held_until().is_some(), number < 2, "{number}");
            sleep(3 * SECOND / 4).await;
        }
        sleep(10 * SECOND).await;
    });
    let held = held.await;
    assert!(held > SECOND && held < 2 * SECOND, "{held:?}");
}

#[tokio::test(start_paused = true)]
async fn what_begins_where_one_hangs_holds_others_from_when_its_host_answers() {
    let gate = gate(Rules::default());
    let held = held_by(&gate, async {
        let (silent, urgent, next) = (hanging(&gate, 1), hanging(&gate, 2), hanging(&gate, 3));
        let _silent = silent.begin();
        sleep(2 * SECOND).await;
        let _urgent = urgent.begin();
        let mut pulse = urgent.pulse().unwrap();
        pulse.has_written();
        assert_eq!(gate.held_until(), None);
        // Sooner than the beats of one that moves are told.
        sleep(BEAT / 5).await;
        pulse.has_heard();
        assert!(gate.held_until().is_some());
        // It passes, so that the next one holds others from MAIL on though the first goes on hanging.
        sleep(SECOND / 2).await;
        pulse.has_heard();
        drop(_urgent);
        assert_eq!(gate.held_until(), None);
        let _next = next.begin();
        assert!(gate.held_until().is_some());
        sleep(2 * SECOND).await;
    });
    let held = held.await;
    // The patience with the first and with the last, which do not move, and what the one took that did.
    let expected = 2 * Duration::from_millis(1_500) + SECOND / 2;
    assert!(
        held > expected - SECOND / 10 && held <= expected,
        "{held:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn one_at_another_host_holds_others_from_its_mail_on() {
    let gate = gate(Rules::default());
    let (silent, urgent) = (hanging(&gate, 1), enter(&gate, 2, Class::VeryHigh));
    let _silent = silent.begin();
    sleep(5 * SECOND).await;
    let hung = hanging(&gate, 3);
    let _hung = hung.begin();
    assert_eq!(gate.held_until(), None);
    let _transacting = urgent.begin();
    assert!(gate.held_until().is_some());
}

#[tokio::test(start_paused = true)]
async fn where_one_hangs_that_others_have_passed_mail_holds_as_anywhere() {
    let gate = gate(Rules::default());
    let silent = hanging(&gate, 1);
    let _silent = silent.begin();
    sleep(2 * SECOND).await;
    let passage = hanging(&gate, 2);
    let transacting = passage.begin();
    passage.pulse().unwrap().has_heard();
    drop(transacting);
    for number in 3..10 {
        let passage = hanging(&gate, number);
        let transacting = passage.begin();
        assert!(gate.held_until().is_some(), "{number}");
        passage.pulse().unwrap().has_heard();
        drop(transacting);
        sleep(10 * SECOND).await;
        assert_eq!(gate.held_until(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_when_the_first_has_timed_out_holds_nobody_unless_that_was_long_ago() {
    let gate = gate(Rules::default());
    let minute = 60 * SECOND;
    let held = held_by(&gate, async {
        for number in 1..5 {
            hangs(&gate, number, 5 * minute).await;
            sleep(10 * minute).await;
        }
    });
    let once = held.await;
    assert!(once <= Duration::from_millis(1_500), "{once:?}");
    let held = held_by(&gate, async {
        hangs(&gate, 5, 5 * minute).await;
        sleep(16 * minute).await;
    });
    assert_eq!(held.await, Duration::ZERO);
    let again = held_by(&gate, hangs(&gate, 6, minute)).await;
    assert!(again > SECOND, "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_answers_late_holds_others_from_its_answer_on_and_for_less_each_time() {
    let gate = gate(Rules::default());
    let mut before = None;
    for number in 1..4 {
        let passage = hanging(&gate, number);
        let transacting = passage.begin();
        assert_eq!(gate.held_until().is_some(), number == 1, "{number}");
        sleep(3 * SECOND).await;
        assert_eq!(gate.held_until(), None);
        passage.pulse().unwrap().has_heard();
        let held = gate.held_until().unwrap() - Instant::now();
        assert!(before.is_none_or(|before| held == before / 2), "{held:?}");
        before = Some(held);
        drop(transacting);
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_hangs_after_its_answers_holds_others_for_some_seconds_in_all() {
    for step in [SECOND / 2, 5 * SECOND] {
        let gate = gate(Rules::default());
        let passages: Vec<_> = (0..40).map(|number| hanging(&gate, number)).collect();
        let held = held_by(&gate, async {
            let mut transactions = Vec::new();
            for passage in &passages {
                transactions.push(passage.begin());
                passage.pulse().unwrap().has_heard();
                sleep(step).await;
                if transactions.len() > 10 {
                    drop(transactions.remove(0));
                }
            }
        });
        let held = held.await;
        assert!(held > SECOND && held < 4 * SECOND, "{held:?}");
    }
}
