//! Room for instances is bounded; who gets none is told to come back.

use std::time::Duration;

use super::*;
use crate::policy::Question;

fn pool(instances: u32, instances_held: u32, chain: Vec<ComponentSettings>) -> Settings {
    Settings {
        pool: PoolSettings {
            instances,
            instances_held,
            wait: Duration::from_millis(5),
            ..PoolSettings::default()
        },
        ..settings(chain)
    }
}

#[tokio::test]
async fn a_question_without_room_is_deferred_and_nobody_s_fault() {
    let mut component = misbehaving(&[("behaviour", "loop"), ("user", "runaway")]);
    component.limits.cpu_time = Duration::from_secs(1);
    // A busy machine takes its time to give that much.
    component.limits.wall_time = Duration::from_secs(120);
    let plugins = load_with(pool(1, 0, vec![component])).await;
    // The loop has the only instance, and gives the thread away at every tick.
    let (mut runaway, mut late) = (plugins.begin(), plugins.begin());
    let (runaway_facts, late_facts) = (
        at_mail("runaway", "x@a.example"),
        at_mail("shop", "x@a.example"),
    );
    let (runaway, late) = tokio::join!(
        runaway.authorize(&runaway_facts),
        late.authorize(&late_facts)
    );
    assert_eq!(code(&runaway), 451);
    assert_eq!(answers(&late.records), ["failed: no free instance"]);
    assert_eq!(code(&late), 451);
    assert_eq!(
        plugins.status()[0].failures,
        [
            (Question::Sender, "cpu-time", 1),
            (Question::Sender, "overload", 1)
        ]
    );
    assert_eq!(code(&plugins.begin().authorize(&late_facts).await), 250);
}

#[tokio::test]
async fn slow_clients_cannot_hold_all_instances() {
    let plugins = load_with(pool(3, 2, vec![misbehaving(&[("behaviour", "count")])])).await;
    let mail = at_mail("shop", "x@a.example");
    let header = with_header(&mail, "x@a.example", None);
    let mut transactions: Vec<_> = (0..20).map(|_| plugins.begin()).collect();
    for transaction in &mut transactions {
        assert_eq!(code(&transaction.authorize(&mail).await), 250);
    }
    assert_eq!(plugins.pool().instances_held, 2);
    let mut counts = Vec::new();
    for transaction in &mut transactions {
        assert_eq!(code(&transaction.authorize(&header).await), 250);
        transaction.place(&header).await;
        counts.push(transaction.note_numbers()[0]);
    }
    // The first two kept theirs; then there was leave for each that came after them in turn.
    assert_eq!(counts[..2], [3, 3]);
    assert!(counts[2..].iter().all(|count| *count == 2), "{counts:?}");
    assert_eq!(plugins.pool().instances, 0);
}

#[tokio::test]
async fn a_question_that_is_given_up_gives_its_room_back() {
    let mut component = misbehaving(&[("behaviour", "loop"), ("user", "runaway")]);
    component.limits.cpu_time = Duration::from_secs(60);
    component.limits.wall_time = Duration::from_secs(60);
    let plugins = load_with(pool(1, 1, vec![component])).await;
    let mut transaction = plugins.begin();
    let facts = at_mail("runaway", "x@a.example");
    tokio::select! {
        biased;
        _ = transaction.authorize(&facts) => panic!("it never ends"),
        () = tokio::task::yield_now() => {}
    }
    assert_eq!(plugins.pool().instances, 0);
    let facts = at_mail("shop", "x@a.example");
    assert_eq!(code(&transaction.authorize(&facts).await), 250);
}

#[test]
fn a_transaction_moves_between_threads() {
    fn is_send<T: Send>() {}
    is_send::<Transaction>();
    is_send::<Arc<Plugins>>();
}
