//! `outpost queue …` as it is typed.

use super::*;

#[tokio::test]
async fn the_queue_is_looked_at_and_acted_on() {
    let running = Running::start().await;
    assert_eq!(running.out("queue ls").await, "nothing is queued\n");
    let id = running
        .surface
        .queue("app", Class::High, &["x@b.example", "y@b.example"])
        .await;
    assert_eq!(
        running.out("queue ls").await,
        format!(
            "#  CLASS   STATE    ID                          FROM           TO              NEXT HOP   SIZE  \
             STARTS  WHY\n\
             1  2 high  waiting  {id}  app@a.example  x@b.example +1  b.example  5 B   in 2 s  next\n"
        )
    );
    assert_eq!(
        running.out(&format!("queue hold {id} --dry-run")).await,
        "1 delivery would be held\n"
    );
    assert_eq!(
        running.out(&format!("queue hold {id}")).await,
        "1 delivery held\n"
    );
    assert_eq!(
        running.out(&format!("queue hold {id}")).await,
        "nothing is changed: the message is held already\n"
    );
    assert_eq!(
        running.out(&format!("queue retry {id}")).await,
        "nothing is changed: the message is held; release it first\n"
    );
    for said in [
        "1 delivery given the new priority\n",
        "nothing is changed: the message has this priority already\n",
    ] {
        let line = format!("queue set-priority {id} --priority 1");
        assert_eq!(running.out(&line).await, said);
    }
    let shown = running.out(&format!("queue show {id}")).await;
    assert!(
        shown.starts_with(&format!("id          {id}\nlist        default\n")),
        "{shown}"
    );
    for line in [
        "recipients  x@b.example\n            y@b.example\n",
        "priority    1 (very high): user 3 (normal), message 2 (high)\n",
        "finished    not yet\n",
        "  held by boss\n",
        "  2 recipients to b.example: held by an operator, goes on when it is released\n",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert_eq!(
        running.out("queue release --user app --yes").await,
        "1 delivery released\n"
    );
    assert_eq!(
        running.out("queue cancel --all --yes").await,
        "1 delivery cancelled\n"
    );
    assert_eq!(
        running.out(&format!("queue cancel {id}")).await,
        "nothing is changed: the message is cancelled already\n"
    );
    assert_eq!(
        running.err(&format!("queue retry {id}")).await,
        format!("message {id} was cancelled: restore it first\n")
    );
    assert_eq!(running.out("queue ls").await, "nothing is queued\n");
    let listed = running.out("queue ls --state cancelled").await;
    assert!(listed.contains(&id.to_string()), "{listed}");
    assert_eq!(
        running.out("queue restore --all --dry-run").await,
        "1 delivery would be restored\n"
    );
    assert_eq!(
        running.out(&format!("queue restore {id}")).await,
        "1 delivery restored\n"
    );
    assert_eq!(
        running.out(&format!("queue reschedule {id} --in 8h")).await,
        "1 delivery moved to the new time\n"
    );
    let listed = running.out("queue ls --state scheduled").await;
    assert!(listed.contains("2023-11-15T06:13:20.123Z"), "{listed}");
    assert_eq!(
        running
            .err(&format!("queue reschedule {id} --at 2033-11-15T06:00:00Z"))
            .await,
        "--at: is more than 365 days away\n"
    );
    assert_eq!(
        running
            .err(&format!("queue reschedule {id} --in 366d"))
            .await,
        "--in: is more than 365 days away\n"
    );
    assert_eq!(
        running.out(&format!("queue restore {id}")).await,
        "nothing is changed: nothing of the message is cancelled\n"
    );
}

impl Running {
    /// A message to that domain, an attempt of which is under way.
    async fn claimed(&self, domain: &str) -> MessageId {
        let recipient = format!("x@{domain}");
        let id = self
            .surface
            .queue("app", Class::Normal, &[&recipient])
            .await;
        let line = Line {
            next_hop: NextHop::Domain(domain.into()),
            class: Class::Normal,
            user: "app".into(),
        };
        let claimed = self.surface.api.spool.claim(&line, NOW).await.unwrap();
        assert_eq!(claimed.claim.unwrap().message.id, id);
        id
    }
}

#[tokio::test]
async fn a_change_says_what_of_it_is_under_way_or_stopped() {
    let running = Running::start().await;
    let active = running.claimed("a.example").await;
    let stopped = running
        .surface
        .queue("app", Class::Normal, &["x@b.example"])
        .await;
    running.out("queue stop --next-hop b.example").await;
    for (line, said) in [
        (
            "retry",
            "is being delivered already: what is left of it then is tried again at once",
        ),
        (
            "hold",
            "held; it is being delivered: that goes on, and what is left of it then stays back",
        ),
        (
            "release",
            "released; it is being delivered: what is left of it then goes on",
        ),
        (
            "reschedule --in 1m",
            "moved to the new time; it is being delivered: that goes on, and what is left of it then waits for that time",
        ),
        (
            "set-priority --priority 2",
            "given the new priority; it is being delivered: that goes on as it began, and the next attempt has the new one",
        ),
        (
            "cancel",
            "cancelled; it is being delivered: that is broken off unless the end of it has left",
        ),
        ("restore", "restored; it is being delivered: that goes on"),
    ] {
        assert_eq!(
            running.out(&format!("queue {line} {active}")).await,
            format!("1 delivery {said}\n")
        );
    }
    for (line, said) in [
        (
            "retry",
            "is stopped, and does not go before that is started",
        ),
        ("hold", "held"),
        (
            "release",
            "released; it is stopped, and does not go before that is started",
        ),
        ("cancel", "cancelled"),
        (
            "restore",
            "restored; it is stopped, and does not go before that is started",
        ),
    ] {
        assert_eq!(
            running.out(&format!("queue {line} {stopped}")).await,
            format!("1 delivery {said}\n")
        );
    }
    for domain in ["c.example", "d.example"] {
        let recipient = format!("x@{domain}");
        running
            .surface
            .queue("app", Class::Normal, &[&recipient])
            .await;
    }
    assert_eq!(
        running.out("queue retry --all --dry-run").await,
        "2 deliveries would be tried again now; 1 delivery is being delivered already: what is left of it then is \
         tried again at once; 1 delivery is stopped, and does not go before that is started\n"
    );
    running.claimed("a.example").await;
    assert_eq!(
        running.out("queue hold --all --yes").await,
        "5 deliveries held; 2 of them are being delivered: that goes on, and what is left of them then stays back\n"
    );
    assert_eq!(
        running.out("queue release --user app --dry-run").await,
        "5 deliveries would be released; 2 of them are being delivered: what is left of them then goes on; 1 of them is \
         stopped, and does not go before that is started\n"
    );
}

#[tokio::test]
async fn a_bulk_change_is_counted_and_asked_about() {
    let running = Running::start().await;
    for _ in 0..2 {
        running
            .surface
            .queue("app", Class::Normal, &["x@b.example"])
            .await;
    }
    let words = ["queue", "cancel", "--user", "app"];
    for (says, done) in [(None, false), (Some(false), false), (Some(true), true)] {
        let mut person = Script {
            says,
            ..Script::default()
        };
        assert_eq!(running.typed_by(&words, &mut person).await, done);
        assert_eq!(
            person.asked,
            ["2 deliveries would be cancelled. Go on? [y/N] "]
        );
        match says {
            None => assert_eq!(
                person.err,
                "2 deliveries would be cancelled.\n\
                 nothing was changed: --yes goes on without asking\n"
            ),
            Some(false) => assert_eq!(person.err, "nothing was changed\n"),
            Some(true) => assert_eq!(person.out, "2 deliveries cancelled\n"),
        }
    }
}

/// More may match by the time it is done.
#[tokio::test]
async fn a_filter_is_asked_about_also_when_it_matches_one_delivery_and_an_id_is_not() {
    let running = Running::start().await;
    let id = running
        .surface
        .queue("app", Class::Normal, &["x@b.example"])
        .await;
    let mut person = Script::default();
    let words = ["queue", "hold", "--user", "app"];
    assert!(!running.typed_by(&words, &mut person).await);
    assert_eq!(person.asked, ["1 delivery would be held. Go on? [y/N] "]);
    let mut person = Script::default();
    let words = ["queue", "hold", &id.to_string()];
    assert!(running.typed_by(&words, &mut person).await);
    assert!(person.asked.is_empty(), "{:?}", person.asked);
}

#[tokio::test]
async fn where_there_is_nothing_to_change_nobody_is_asked() {
    let running = Running::start().await;
    for (line, said) in [
        ("queue cancel --all", "nothing is queued\n"),
        (
            "queue cancel --user app",
            "nothing that is queued matches\n",
        ),
        (
            "queue hold --user app",
            "nothing that is queued matches, or it is held already\n",
        ),
        (
            "queue release --all",
            "nothing is queued, or it is not held\n",
        ),
        ("queue ls --user app", "nothing that is queued matches\n"),
        ("queue ls", "nothing is queued\n"),
        (
            "queue ls --state cancelled",
            "nothing that was cancelled can be restored\n",
        ),
        (
            "queue ls --state cancelled --user app",
            "nothing that was cancelled and can be restored matches\n",
        ),
        (
            "queue restore --all",
            "nothing that was cancelled can be restored\n",
        ),
        (
            "queue restore --user app",
            "nothing that was cancelled and can be restored matches\n",
        ),
        (
            "user ls --list default",
            "the list \"default\" has no users\n",
        ),
    ] {
        let mut person = Script::default();
        let words: Vec<&str> = line.split(' ').collect();
        assert!(running.typed_by(&words, &mut person).await, "{line}");
        assert_eq!(person.out, said, "{line}");
        assert!(person.asked.is_empty(), "{line}: {:?}", person.asked);
    }
}

#[tokio::test]
async fn what_matches_few_of_a_deep_queue_is_found() {
    let running = Running::start().await;
    for _ in 0..=crate::spool::ROWS_EXAMINED_MAX {
        running
            .surface
            .queue("app", Class::Normal, &["x@b.example"])
            .await;
    }
    let id = running
        .surface
        .queue("app", Class::Low, &["rare@b.example"])
        .await;
    let page = running.surface.get("/api/v1/queue?recipient=rare").await;
    assert_eq!(page["deliveries"].as_array().unwrap().len(), 0);
    assert!(page["cursor"].is_string());
    let found = running.out("queue ls --recipient rare").await;
    assert_eq!(found.lines().count(), 2, "{found}");
    assert!(found.contains(&id.to_string()), "{found}");
    let some = running.out("queue ls --limit 3").await;
    assert_eq!(some.lines().count(), 5, "{some}");
    assert!(some.contains("There is more: --cursor "), "{some}");
}

#[tokio::test]
async fn what_is_stopped_is_said_and_so_is_what_stays_stopped() {
    let running = Running::start().await;
    running.out("user add --name app").await;
    let id = running
        .surface
        .queue("app", Class::Normal, &["x@b.example"])
        .await;
    let since = "by boss since 2023-11-14T22:13:20.123Z";
    let until = "is stopped: nothing more of it is sent until it is started";
    for (line, said) in [
        (
            "queue stop --user app --dry-run",
            "user app would be stopped; 1 delivery waits for it\n".to_owned(),
        ),
        (
            "queue stop --user app",
            format!("user app {until}; 1 delivery waits for it\n"),
        ),
        (
            "queue stop --user app",
            format!(
                "nothing is changed: it is stopped already: user app, {since}; 1 delivery waits for it\n"
            ),
        ),
        (
            "queue stop",
            format!("everything {until}; 1 delivery waits for it\n"),
        ),
        (
            "queue stop --next-hop b.exampel",
            format!(
                "next hop b.exampel {until}; nothing waits for it now, mail that comes for it will\n"
            ),
        ),
        (
            "queue start --next-hop b.exampel --dry-run",
            format!(
                "next hop b.exampel would go on, but for what is still stopped\nstill stopped: everything, {since}\n\
                 still stopped: user app, {since}\n"
            ),
        ),
        (
            "queue start --next-hop b.exampel",
            format!(
                "next hop b.exampel goes on, but for what is still stopped\nstill stopped: everything, {since}\n\
                 still stopped: user app, {since}\n"
            ),
        ),
        (
            "queue start --list default",
            format!(
                "nothing is changed: there is no stop of list default\n\
                 still stopped: everything, {since}\nstill stopped: user app, {since}\n"
            ),
        ),
        (
            "queue start",
            format!(
                "everything goes on, but for what is still stopped; 1 delivery waited for it\n\
                 still stopped: user app, {since}\n"
            ),
        ),
    ] {
        assert_eq!(running.out(line).await, said, "{line}");
    }
    let stopped = running.out("queue ls --state stopped").await;
    assert!(stopped.contains(&id.to_string()), "{stopped}");
    assert_eq!(
        running.out("queue ls --state paused").await,
        format!("nothing that is queued matches\nstopped: user app, {since}\n")
    );
    assert_eq!(
        running
            .out("queue reschedule --state stopped --in 0s --dry-run")
            .await,
        "1 delivery would be moved to the new time; it is stopped, and does not go before that is started\n"
    );
    let listed = running.out("queue ls").await;
    assert!(listed.contains("waiting, stopped"), "{listed}");
    assert!(
        listed.ends_with(&format!("\nstopped: user app, {since}\n")),
        "{listed}"
    );
    let shown = running.out(&format!("queue show {id}")).await;
    assert!(
        shown.contains(&format!("that is started: user app, {since}")),
        "{shown}"
    );
    assert_eq!(
        running.out("queue start --user app").await,
        "user app goes on; 1 delivery waited for it\n"
    );
    assert!(
        running
            .err("queue stop --next-hop a..b")
            .await
            .starts_with("--next-hop: `a..b` is no next hop")
    );
}

#[tokio::test]
async fn an_id_of_nothing_is_answered_in_the_same_words_by_every_command() {
    let running = Running::start().await;
    let unknown = "01HF7YAT1V0000000000000009";
    for line in [
        "show",
        "hold",
        "release",
        "retry",
        "cancel",
        "restore",
        "set-priority --priority 1",
        "reschedule --in 1m",
    ] {
        assert_eq!(
            running.err(&format!("queue {line} foo")).await,
            "`foo` is no message id: that is 26 characters of 0-9 and A-Z without I, L, O and U\n"
        );
        assert_eq!(
            running.err(&format!("queue {line} {unknown}")).await,
            format!(
                "there is no message {unknown}: it may have been delivered, bounced or cancelled longer ago than \
                 trails are kept (spool.history), or the id is mistyped\n"
            )
        );
    }
}
