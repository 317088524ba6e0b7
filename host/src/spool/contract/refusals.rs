//! What is remembered of refused senders.

#![allow(clippy::unwrap_used)]

use super::*;

async fn note(subject: &Subject, refusals: &[Refusal]) {
    let new = NewRefusals::of(refusals);
    subject.spool.note_refusals(new).await.unwrap();
}

fn listed(subject: &Subject) -> Vec<KeptRefusal> {
    let refusals = subject.spool.refusals();
    let page = refusals.page(&RefusalFilter::default(), None, 1_000, subject.clock.now());
    let rows = page.unwrap().rows;
    rows.iter().map(|row| (**row).clone()).collect()
}

pub(super) async fn refusals_of_one_user_and_sender_are_one_row(mut subject: Subject) {
    note(
        &subject,
        &[
            refusal("ann", "x@b.example", 10),
            refusal("bob", "x@b.example", 20),
        ],
    )
    .await;
    let null = Refusal {
        list: "news".to_owned(),
        sender: None,
        named_in: NamedIn::Header,
        reasons: Vec::new(),
        clients: vec!["2001:db8::1".parse().unwrap()],
        ..refusal("bob", "", 25)
    };
    let again = Refusal {
        named_in: NamedIn::Header,
        count: 3,
        first: at(28),
        clients: vec![[192, 0, 2, 2].into()],
        reasons: vec!["other: why".to_owned()],
        ..refusal("ANN", "X@b.example", 30)
    };
    note(&subject, &[again.clone(), null.clone()]).await;
    let before = listed(&subject);
    subject.restart().await;
    let rows = listed(&subject);
    assert_eq!(rows, before, "also after a restart");
    let refusals: Vec<_> = rows.into_iter().map(|row| row.refusal).collect();
    let ann = Refusal {
        count: 4,
        first: at(10),
        clients: vec![[192, 0, 2, 2].into(), [192, 0, 2, 1].into()],
        ..again
    };
    assert_eq!(refusals, [ann, null, refusal("bob", "x@b.example", 20)]);
}

pub(super) async fn what_is_dismissed_is_gone_and_stays_gone(mut subject: Subject) {
    let spool = Arc::clone(&subject.spool);
    let (one, other) = (
        refusal("ann", "x@b.example", NOW - 5),
        refusal("ann", "y@b.example", NOW - 4),
    );
    note(&subject, &[one.clone(), other.clone()]).await;
    let ids: Vec<RefusalId> = listed(&subject).iter().map(|row| row.id).collect();
    let [other_id, one_id] = ids[..] else {
        panic!("{ids:?}")
    };
    let dismissed = tokio::join!(
        spool.dismiss_refusals(vec![one_id]),
        spool.dismiss_refusals(vec![one_id, other_id]),
    );
    let mut found = [dismissed.0.unwrap(), dismissed.1.unwrap()].concat();
    found.sort_unstable();
    let mut both = vec![one_id, other_id];
    both.sort_unstable();
    assert_eq!(found, both, "each was dismissed once");
    assert_eq!(listed(&subject), []);
    // What was refused before that comes late.
    note(&subject, std::slice::from_ref(&one)).await;
    assert_eq!(listed(&subject), []);
    let again = Refusal {
        last: at(NOW + 1),
        ..one
    };
    subject.clock.set(at(NOW + 1));
    note(&subject, std::slice::from_ref(&again)).await;
    drop(spool);
    subject.restart().await;
    let rows = listed(&subject);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].refusal, again);
    assert!(!ids.contains(&rows[0].id), "it has a name of its own");
    let unknown = subject.spool.dismiss_refusals(ids).await.unwrap();
    assert_eq!(unknown, []);
}

pub(super) async fn rows_have_an_end(mut subject: Subject) {
    let senders: Vec<_> = (0..REFUSALS_OF_USER_MAX as u64 + 3)
        .map(|number| refusal("guesser", &format!("s{number}@b.example"), 100 + number))
        .collect();
    note(&subject, &[refusal("ann", "x@b.example", 1)]).await;
    note(&subject, &senders[..10]).await;
    note(&subject, &senders[10..]).await;
    subject.restart().await;
    let rows = listed(&subject);
    let users = rows.iter().filter(|row| row.refusal.user == "guesser");
    let first: Vec<_> = users.map(|row| row.refusal.first).collect();
    assert_eq!(first.len(), REFUSALS_OF_USER_MAX);
    assert_eq!(first.last(), Some(&at(103)), "those that were seen last");
    assert_eq!(rows.last().unwrap().refusal.user, "ann");
    let later = at(1).plus(REFUSALS_KEPT + Duration::from_millis(1));
    subject.clock.set(later);
    assert_eq!(listed(&subject).len(), REFUSALS_OF_USER_MAX);
    note(&subject, &[refusal("bob", "x@b.example", 1_000)]).await;
    subject.restart().await;
    assert_eq!(subject.spool.refusals().count(), REFUSALS_OF_USER_MAX + 1);
}
