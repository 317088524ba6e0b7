//! What waits in a lane when the routes lead elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::queue::rehearsal::submission;
use crate::queue::stage::Running;
use crate::spool::{NewDelivery, QueueState, Record};

/// Routes that may change, and next hops of which some are dead. Without a route mail goes to its domain.
#[derive(Default)]
struct Routed {
    routes: Mutex<BTreeMap<String, NextHop>>,
    /// How long each takes to say nothing.
    dead: Mutex<BTreeMap<NextHop, Duration>>,
    tried: Mutex<Vec<(NextHop, MessageId, u32)>>,
    /// The routes change once more behind the look at them.
    is_late: AtomicBool,
    /// What was asked about, in order.
    looked_at: Mutex<Vec<MessageId>>,
}

fn hub(name: &str) -> NextHop {
    NextHop::Smarthost(format!("{name}.example:25").into())
}

fn lane(name: &str) -> NextHop {
    NextHop::Domain(format!("{name}.example").into())
}

impl Routed {
    fn route(&self, domain: &str, to: &str) {
        let domain = format!("{domain}.example");
        self.routes.lock().unwrap().insert(domain, hub(to));
    }

    fn is_dead(&self, next_hop: NextHop, silence: Duration) {
        self.dead.lock().unwrap().insert(next_hop, silence);
    }

    fn tried(&self, next_hop: &NextHop) -> usize {
        let tried = self.tried.lock().unwrap();
        tried.iter().filter(|(at, ..)| at == next_hop).count()
    }
}

impl Deliver for Routed {
    fn led_elsewhere(
        &self,
        message: &Message,
        delivery: &Delivery,
    ) -> Option<Vec<(NextHop, Vec<u32>)>> {
        self.looked_at.lock().unwrap().push(message.id);
        if self.is_late.load(Ordering::Relaxed) {
            return None;
        }
        let routes = self.routes.lock().unwrap();
        let mut parts: Vec<(NextHop, Vec<u32>)> = Vec::new();
        for index in &delivery.recipients {
            let domain = &message.envelope.recipients[*index as usize].mailbox.domain;
            let own = || NextHop::Domain(domain.as_str().into());
            let next_hop = routes.get(domain).cloned().unwrap_or_else(own);
            match parts.iter_mut().find(|(known, _)| *known == next_hop) {
                Some((_, part)) => part.push(*index),
                None => parts.push((next_hop, vec![*index])),
            }
        }
        let is_all_here = parts.iter().all(|(to, _)| *to == delivery.next_hop);
        (!is_all_here).then_some(parts)
    }

    fn deliver(
        &self,
        message: Arc<Message>,
        delivery: Delivery,
        _content: OpenContent,
        _at_mail: AtMail,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send>> {
        if self.is_late.swap(false, Ordering::Relaxed) {
            let contact = Contact::Elsewhere;
            return Box::pin(async move {
                Attempt {
                    contact,
                    ..Attempt::default()
                }
            });
        }
        let next_hop = delivery.next_hop.clone();
        let dead = self.dead.lock().unwrap().get(&next_hop).copied();
        let mut tried = self.tried.lock().unwrap();
        tried.push((next_hop, message.id, delivery.attempts));
        let outcome = if dead.is_some() {
            deferred()
        } else {
            delivered()
        };
        let mut attempt = attempt_with(&delivery, &vec![outcome; delivery.recipients.len()]);
        if dead.is_some() {
            attempt.contact = Contact::Missed;
        }
        Box::pin(async move {
            tokio::time::sleep(dead.unwrap_or_default()).await;
            attempt
        })
    }
}

/// A message that waits in one lane for these recipients.
async fn accept_in(stage: &Stage, next_hop: NextHop, recipients: &[&str]) -> MessageId {
    let number = u128::from(stage.random());
    let mut new = submission(message(number, stage.clock.now(), recipients));
    let (all, due) = ((0..).take(recipients.len()), new.deliveries[0].due);
    new.deliveries = vec![NewDelivery::first(next_hop, all.collect(), due)];
    let id = new.message.id;
    stage.enqueue_split(new).await;
    id
}

async fn change(stage: &Stage, action: ChangeAction) {
    let change = Change {
        action,
        by: "admin".to_owned(),
        at: stage.clock.now(),
    };
    let all = Selection::default();
    let changed = stage.memory.change(all, change, false).await;
    assert_eq!(changed.unwrap().deliveries, 1);
}

fn moves(record: &Record) -> Vec<&Event> {
    let events = record.trail.iter().map(|entry| &entry.event);
    events
        .filter(|event| matches!(event, Event::Rerouted { .. }))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_delivery_moves_in_parts_and_untried_and_is_what_it_was() {
    let stage = Stage::new();
    let recipients = ["x@a.example", "x@b.example", "y@a.example"];
    let id = accept_in(&stage, hub("old"), &recipients).await;
    let routed = Arc::new(Routed::default());
    routed.is_dead(hub("old"), Duration::ZERO);
    for domain in ["a", "b"] {
        routed.route(domain, "old");
    }
    let queue = stage.start(Settings::default(), routed.clone());
    pass(seconds(1)).await;
    let (before, state) = stage.record(id).await.deliveries.pop().unwrap();
    assert_eq!((before.attempts, state), (1, QueueState::Deferred));
    // The new one is stopped, so that what moves there can be seen.
    let of = StopOf::NextHop(hub("new"));
    let stop = Stop {
        of: of.clone(),
        by: "admin".to_owned(),
        at: stage.clock.now(),
    };
    assert_eq!(stage.memory.stop(stop).await.unwrap(), Stopped::Now);
    routed.route("a", "new");
    routed.dead.lock().unwrap().clear();
    pass(seconds(60)).await;
    let record = stage.record(id).await;
    let [(moved, _)] = &record.deliveries[..] else {
        panic!("{:?}", record.deliveries);
    };
    assert_eq!(
        (&moved.next_hop, &moved.recipients[..]),
        (&hub("new"), &[0, 2][..])
    );
    let known = |of: &Delivery| (of.due, of.attempts, of.sequence, of.last_reply.clone());
    assert_eq!(known(moved), known(&before));
    let event = Event::Rerouted {
        from: hub("old"),
        to: vec![(hub("new"), 2), (hub("old"), 1)],
    };
    assert_eq!(moves(&record), [&event]);
    stage.memory.start(of).await.unwrap().unwrap();
    pass(seconds(1)).await;
    assert_eq!(stage.queued(), 0);
    let tried = [
        (hub("old"), id, 0),
        (hub("old"), id, 1),
        (hub("new"), id, 1),
    ];
    assert_eq!(
        *routed.tried.lock().unwrap(),
        tried,
        "no attempt for the move"
    );
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_in_the_lane_where_it_goes_does_not_move_again() {
    let stage = Stage::new();
    let routed = Arc::new(Routed::default());
    for number in 0..50 {
        routed.route(&format!("d{number}"), "new");
        let recipient = format!("you@d{number}.example");
        stage.accept_to(&recipient, Class::Normal).await;
    }
    routed.is_dead(hub("new"), Duration::ZERO);
    let queue = stage.start(Settings::default(), routed.clone());
    pass(seconds(3_600)).await;
    let all = stage.memory.figures().queued.iter().sum::<u64>();
    assert_eq!(all, 50);
    let tried = routed.tried.lock().unwrap().clone();
    assert!(tried.iter().all(|(next_hop, ..)| *next_hop == hub("new")));
    let ids: BTreeSet<MessageId> = tried.iter().map(|(_, id, _)| *id).collect();
    for id in ids {
        assert_eq!(moves(&stage.record(id).await).len(), 1);
    }
    // One lane that is shut, not fifty that are tried each by itself.
    assert!(tried.len() < 400, "{}", tried.len());
    queue.stop().await;
}

/// A message whose move takes a moment to be recorded, in which an operator does something.
async fn meanwhile(action: ChangeAction) -> (Arc<Stage>, Running, MessageId) {
    let stage = Stage::new();
    let id = stage.accept_to("you@a.example", Class::Normal).await;
    let failure = SpoolError::Unavailable("as the test says".into());
    stage.memory.fail_next_settlement(failure);
    let routed = Arc::new(Routed::default());
    routed.route("a", "new");
    let queue = stage.start(Settings::default(), routed);
    pass(Duration::from_millis(10)).await;
    change(&stage, action).await;
    pass(seconds(60)).await;
    (stage, queue, id)
}

#[tokio::test(start_paused = true)]
async fn what_was_cancelled_meanwhile_stays_where_it_was_and_moves_when_it_is_restored() {
    let (stage, queue, id) = meanwhile(ChangeAction::Cancel).await;
    let record = stage.record(id).await;
    let (delivery, state) = &record.deliveries[0];
    assert_eq!(
        (&delivery.next_hop, *state),
        (&lane("a"), QueueState::Cancelled)
    );
    assert_eq!(moves(&record).len(), 0);
    change(&stage, ChangeAction::Restore).await;
    pass(seconds(1)).await;
    assert_eq!(stage.queued(), 0);
    assert_eq!(moves(&stage.record(id).await).len(), 1);
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_held_or_moved_to_another_time_meanwhile_is_so_where_it_goes() {
    let (stage, queue, id) = meanwhile(ChangeAction::Hold).await;
    let record = stage.record(id).await;
    let (delivery, state) = &record.deliveries[0];
    assert_eq!(
        (&delivery.next_hop, *state),
        (&hub("new"), QueueState::Held)
    );
    assert_eq!(moves(&record).len(), 1);
    queue.stop().await;

    let later = START.plus(seconds(7_200));
    let (stage, queue, id) = meanwhile(ChangeAction::Reschedule(later)).await;
    let (delivery, _) = stage.record(id).await.deliveries.pop().unwrap();
    assert_eq!((delivery.next_hop, delivery.due), (hub("new"), later));
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_led_elsewhere_between_claim_and_attempt_is_not_tried() {
    let stage = Stage::new();
    let id = stage.accept_to("you@a.example", Class::Normal).await;
    let routed = Arc::new(Routed::default());
    routed.route("a", "new");
    routed.is_late.store(true, Ordering::Relaxed);
    let queue = stage.start(Settings::default(), routed.clone());
    pass(Duration::from_millis(10)).await;
    assert_eq!(*routed.tried.lock().unwrap(), [(hub("new"), id, 0)]);
    let record = stage.record(id).await;
    assert_eq!((record.trail.len(), moves(&record).len()), (2, 1));
    queue.stop().await;
}

/// A hundred messages for each of two domains, turn by turn, whose hub is dead and answers after that time.
async fn behind_a_dead_hub(silence: Duration) -> (Arc<Stage>, Arc<Routed>) {
    let stage = Stage::new();
    let routed = Arc::new(Routed::default());
    routed.is_dead(hub("old"), silence);
    for domain in ["a", "b"] {
        routed.route(domain, "old");
    }
    for _ in 0..100 {
        for recipient in ["x@a.example", "x@b.example"] {
            accept_in(&stage, hub("old"), &[recipient]).await;
        }
    }
    (stage, routed)
}

#[tokio::test(start_paused = true)]
async fn all_mail_of_a_shut_lane_moves_at_once_though_a_trial_is_under_way() {
    let silence = seconds(120);
    let (stage, routed) = behind_a_dead_hub(silence).await;
    let queue = stage.start(Settings::default(), routed.clone());
    // It was shut after two minutes, and a trial has begun a second later.
    pass(silence + seconds(60)).await;
    let before = routed.tried(&hub("old"));
    for domain in ["a", "b"] {
        routed.route(domain, "new");
    }
    queue.rerouting.notify_one();
    pass(Duration::from_millis(100)).await;
    assert!(routed.tried(&hub("new")) > 150, "all but what was deferred");
    pass(seconds(600)).await;
    assert_eq!(routed.tried(&hub("old")), before);
    assert_eq!((routed.tried(&hub("new")), stage.queued()), (200, 0));
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_a_shut_lane_all_moves_at_once_that_goes_elsewhere_and_the_rest_is_tried_once() {
    let (stage, routed) = behind_a_dead_hub(Duration::ZERO).await;
    let settings = Settings {
        retry: vec![seconds(7_200)],
        ..Settings::default()
    };
    let queue = stage.start(settings, routed.clone());
    pass(seconds(35)).await;
    let before = routed.tried(&hub("old"));
    routed.route("b", "new");
    queue.rerouting.notify_one();
    pass(Duration::from_millis(100)).await;
    let moved = routed.tried(&hub("new"));
    assert!(moved > 70, "{moved}");
    assert_eq!(routed.tried(&hub("old")), before + 1);
    // What stays has been told.
    pass(seconds(60)).await;
    assert_eq!(routed.tried(&hub("old")), before + 1);
    routed.dead.lock().unwrap().clear();
    pass(seconds(10_000)).await;
    assert_eq!((routed.tried(&hub("new")), stage.queued()), (100, 0));
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_has_very_much_to_be_moved_does_not_keep_others_waiting() {
    let stage = Stage::new();
    let routed = Arc::new(Routed::default());
    routed.route("a", "new");
    routed.is_dead(hub("new"), Duration::ZERO);
    for _ in 0..500 {
        stage.accept_to("x@a.example", Class::Normal).await;
    }
    let mut other = message(7, stage.clock.now(), &["x@b.example"]);
    if let crate::message::Origin::Submission(submission) = &mut other.origin {
        submission.user = "other".to_owned();
    }
    let other_id = other.id;
    stage.accept(other).await;
    let queue = stage.start(Settings::default(), routed.clone());
    pass(Duration::from_millis(1)).await;
    let looked_at = routed.looked_at.lock().unwrap().clone();
    let place = looked_at.iter().position(|id| *id == other_id);
    assert!(place.is_some_and(|place| place < 100), "{place:?}");
    assert!(looked_at.len() > 500);
    queue.stop().await;
}
