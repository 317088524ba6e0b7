//! Messages that come by HTTP: the same decisions, and what becomes of one that does not come to its end.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use outpost_smtp::server;
use outpost_smtp::{Credentials, Mailbox, Reply, ReversePath};
use tokio::sync::mpsc;

use super::stage::{PASSWORD, Stage};
use crate::account::{AllowancePatch, UserPatch};
use crate::message::{
    Event, NotPosted, Origin, Post, PostedContent, Protocol, Receipt, Unreadable, wording,
};
use crate::reception::{Acceptor, Drained, Entrance, accept};
use crate::spool::Spool;

const LETTER: &str = "From: x@a.example\r\nSubject: s\r\n\r\nhello\r\n";

/// A content that a test sends piece by piece; it ends with its sender.
struct Pieces(mpsc::Receiver<Result<Bytes, Unreadable>>);

impl PostedContent for Pieces {
    fn next(
        &mut self,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Bytes>, Unreadable>> + Send + '_>> {
        Box::pin(async { self.0.recv().await.transpose() })
    }
}

type Content = mpsc::Sender<Result<Bytes, Unreadable>>;

/// A post of ann from this machine, and where its content comes from.
fn post() -> (Post, Content) {
    let (sender, content) = mpsc::channel(1);
    let mailbox = |text| Mailbox::parse(text, true).unwrap();
    let post = Post {
        client: "127.0.0.1:4711".parse().unwrap(),
        credentials: Credentials::new("ann", PASSWORD),
        reverse_path: ReversePath::Mailbox(mailbox("x@a.example")),
        recipients: vec![mailbox("bob@d.example")],
        priority: None,
        content_octets: None,
        content: Box::new(Pieces(content)),
    };
    (post, sender)
}

/// A post whose content has come.
async fn letter(content: &str) -> Post {
    let (post, sender) = post();
    let octets = Bytes::copy_from_slice(content.as_bytes());
    sender.send(Ok(octets)).await.unwrap();
    post
}

fn entrance(stage: &Stage) -> (Acceptor, Entrance) {
    let acceptor = accept(&stage.reception, Vec::new());
    let entrance = acceptor.entrance(&stage.reception, 8025);
    (acceptor, entrance)
}

/// Changes what the protocol core goes by.
fn set(stage: &Stage, change: impl FnOnce(&mut server::Settings)) {
    let mut settings = server::Settings::clone(&stage.reception.protocol.load());
    change(&mut settings);
    stage.reception.protocol.store(Arc::new(settings));
}

#[track_caller]
fn refusal(posted: Result<Receipt, NotPosted>) -> String {
    match posted {
        Err(NotPosted::Refused(reply)) => reply.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_message_by_http_is_one_like_any_other_and_says_how_it_came() {
    let stage = Stage::new().await;
    let (_acceptor, entrance) = entrance(&stage);
    let content =
        "From: x@a.example\r\nX-SMTPAPI: {\"Priority\": 4}\r\nX-Priority: 2\r\n\r\n.\r\n..\r\nend";
    let mut post = letter(content).await;
    post.client = "[::ffff:127.0.0.1]:4711".parse().unwrap();
    post.priority = Some("1".to_owned());
    let receipt = entrance.take(post).await.unwrap();
    let rows = stage.queued().await;
    assert_eq!(rows.len(), 1);
    let message = &rows[0].message;
    assert_eq!(
        (receipt.id, receipt.class, receipt.refused),
        (message.id, message.class, Vec::new())
    );
    let queued = Reply::new(250, (2, 0, 0), format!("Queued as {}", message.id));
    assert_eq!(receipt.reply, queued);
    assert_eq!(message.class.number(), 1);
    let Origin::Submission(submission) = &message.origin else {
        panic!("{:?}", message.origin);
    };
    assert_eq!(submission.protocol, Protocol::Http);
    let told = wording::submitted(message);
    let beginning = "submitted by ann of list default from 127.0.0.1:4711 to port 8025 by HTTP, login by BASIC, in \
                     clear; sender x@a.example, 1 recipient, ";
    assert!(told.starts_with(beginning), "{told}");
    let mut stored = stage.spool.content(message.id).await.unwrap();
    let mut text = Vec::new();
    while let Some(piece) = stored.next().await.unwrap() {
        text.extend_from_slice(&piece);
    }
    let text = String::from_utf8(text).unwrap();
    let trace =
        "Received: from [127.0.0.1] ([127.0.0.1])\r\n by relay.test (Outpost) with HTTP id ";
    assert!(text.starts_with(trace), "{text}");
    assert!(text.ends_with(&format!(" +0000\r\n{content}")), "{text}");
    let record = stage.spool.message(message.id).await.unwrap().unwrap();
    let trail: Vec<String> = record.trail.iter().map(ToString::to_string).collect();
    for (carrier, class) in [("X-SMTPAPI", "4 (low)"), ("X-Priority", "2 (high)")] {
        let overruled = record.trail.iter().any(|entry| {
            matches!(&entry.event, Event::Overruled { carrier: found, asked, by }
                if found == carrier && *asked == format!("class {class}") && by == "HTTP")
        });
        assert!(overruled, "{trail:#?}");
    }
}

#[tokio::test]
async fn a_malformed_priority_is_absent_and_one_that_is_not_trusted_does_not_count() {
    let stage = Stage::new().await;
    let (_acceptor, entrance) = entrance(&stage);
    let take = async |said: &str| {
        let mut post = letter("From: x@a.example\r\nX-Priority: 2\r\n\r\nhello\r\n").await;
        post.priority = Some(said.to_owned());
        let receipt = entrance.take(post).await.unwrap();
        let record = stage.spool.message(receipt.id).await.unwrap().unwrap();
        let told = |event: &Event| match event {
            Event::MalformedPriority { carrier } => Some(format!("malformed {carrier}")),
            Event::UntrustedPriority { carrier } => Some(format!("untrusted {carrier}")),
            _ => None,
        };
        let told: Vec<_> = record.trail.iter().filter_map(|e| told(&e.event)).collect();
        (receipt.class.number(), told)
    };
    for malformed in ["0", "6", "", "high", "1 (Highest)"] {
        let expected = (2, vec!["malformed HTTP".to_owned()]);
        assert_eq!(take(malformed).await, expected, "{malformed}");
    }
    assert_eq!(take("5").await, (3, vec![]), "and the user's is 3");
    let only = |carriers: &str| UserPatch {
        allowance: AllowancePatch {
            trusted_carriers: Some(Some(carriers.into())),
            ..AllowancePatch::default()
        },
        ..UserPatch::default()
    };
    stage.change(only("X-Priority")).await;
    assert_eq!(take("1").await, (2, vec!["untrusted HTTP".to_owned()]));
    stage.change(only("http")).await;
    assert_eq!(take("1").await.0, 1);
}

#[tokio::test]
async fn a_wrong_login_is_refused_and_many_of_them_are_put_off() {
    let stage = Stage::new().await;
    let (_acceptor, entrance) = entrance(&stage);
    for (name, password) in [("ann", "wrong"), ("nobody", PASSWORD)] {
        let (mut wrong, _content) = post();
        wrong.credentials = Credentials::new(name, password);
        let Err(NotPosted::Login(reply)) = entrance.take(wrong).await else {
            panic!("{name} has logged in");
        };
        assert_eq!(reply.code, 535);
    }
    let entrance = Arc::new(entrance);
    let mut guesses = tokio::task::JoinSet::new();
    for number in 0..20 {
        let entrance = Arc::clone(&entrance);
        guesses.spawn(async move {
            let (mut wrong, _content) = post();
            wrong.credentials = Credentials::new("ann", format!("guess {number}"));
            entrance.take(wrong).await
        });
    }
    loop {
        let Some(posted) = guesses.join_next().await else {
            panic!("nobody was put off");
        };
        match posted.unwrap() {
            Err(NotPosted::PutOff { reply, retry_after }) => {
                assert_eq!(reply.code, 454);
                assert!(retry_after.is_some_and(|after| after >= Duration::from_secs(1)));
                break;
            }
            Err(NotPosted::Login(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    stage
        .change(UserPatch {
            active: Some(false),
            ..UserPatch::default()
        })
        .await;
    let mut inactive = letter(LETTER).await;
    inactive.client = "127.0.0.2:4711".parse().unwrap();
    let posted = entrance.take(inactive).await;
    assert!(matches!(posted, Err(NotPosted::Login(_))), "{posted:?}");
    assert!(stage.queued().await.is_empty());
}

#[tokio::test]
async fn a_login_in_clear_is_taken_from_this_machine_alone_unless_the_operator_lets_all() {
    let stage = Stage::new().await;
    let (_acceptor, entrance) = entrance(&stage);
    for (plaintext_auth, client, is_taken) in [
        (false, "127.0.0.1:1", true),
        (false, "127.9.9.9:1", true),
        (false, "[::1]:1", true),
        (false, "[::ffff:127.0.0.1]:1", true),
        (false, "192.0.2.1:1", false),
        (false, "[2001:db8::1]:1", false),
        (true, "192.0.2.1:1", true),
    ] {
        set(&stage, |settings| settings.plaintext_auth = plaintext_auth);
        let mut post = letter(LETTER).await;
        post.client = client.parse().unwrap();
        match entrance.take(post).await {
            Ok(_) => assert!(is_taken, "{client}"),
            Err(NotPosted::InClear) => assert!(!is_taken, "{client}"),
            Err(other) => panic!("{client}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_the_rules_refuse_is_refused_in_the_same_words_and_leaves_nothing() {
    let stage = Stage::new().await;
    let (_acceptor, entrance) = entrance(&stage);
    let (mut sender, _content) = post();
    sender.reverse_path = ReversePath::Mailbox(Mailbox::parse("x@b.example", true).unwrap());
    let said = refusal(entrance.take(sender).await);
    assert!(said.starts_with("550 5.7.1 "), "{said}");
    for (content, beginning) in [
        ("From: x@b.example\r\n\r\nx", "550 5.7.1 "),
        (
            "Subject: no author\r\n\r\nx",
            "550 5.7.1 The message has no From field",
        ),
        ("no header at all\r\n\r\nx", "550 5.6.0 "),
        ("", "550 5.7.1 The message has no From field"),
    ] {
        let said = refusal(entrance.take(letter(content).await).await);
        assert!(said.starts_with(beginning), "{content:?}: {said}");
    }
    assert!(stage.queued().await.is_empty());
}

#[tokio::test]
async fn whom_it_is_taken_for_gets_it_and_who_is_refused_is_told() {
    let stage = Stage::new().await;
    let (_acceptor, entrance) = entrance(&stage);
    let mailbox = |text| Mailbox::parse(text, true).unwrap();
    let mut some = letter(LETTER).await;
    some.recipients = vec![
        mailbox("\"\"@d.example"),
        mailbox("bob@d.example"),
        mailbox("\"\"@e.example"),
    ];
    let receipt = entrance.take(some).await.unwrap();
    let refused: Vec<_> = receipt
        .refused
        .iter()
        .map(|(n, reply)| (*n, reply.code))
        .collect();
    assert_eq!(refused, [(0, 553), (2, 553)]);
    assert_eq!(stage.queued().await[0].message.envelope.recipients.len(), 1);
    // A content that is refused is refused for all, whatever was said to recipients before.
    let mut none = letter("Subject: no author\r\n\r\nx").await;
    none.recipients = vec![mailbox("\"\"@d.example"), mailbox("bob@d.example")];
    assert!(refusal(entrance.take(none).await).starts_with("550 5.7.1 The message has no From"));
    let (mut nobody, _content) = post();
    nobody.recipients = vec![mailbox("\"\"@d.example")];
    match entrance.take(nobody).await {
        Err(NotPosted::Recipients(replies)) => assert_eq!(replies[0].code, 553),
        other => panic!("{other:?}"),
    }
    assert_eq!(stage.queued().await.len(), 1);
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_comes_or_while_it_does() {
    let stage = Stage::new().await;
    set(&stage, |settings| {
        settings.limits.content_octets_max = 100_000
    });
    let (_acceptor, entrance) = entrance(&stage);
    let too_large = "552 5.3.4 Message exceeds the maximum size";
    let (mut declared, _content) = post();
    declared.content_octets = Some(100_001);
    assert_eq!(refusal(entrance.take(declared).await), too_large);
    let (streamed, content) = post();
    let sending = tokio::spawn(async move {
        let mut pieces = 0;
        content.send(Ok(LETTER.into())).await.unwrap();
        // It never ends by itself.
        while content
            .send(Ok("line\r\n".repeat(1_000).into()))
            .await
            .is_ok()
        {
            pieces += 1;
        }
        pieces
    });
    assert_eq!(refusal(entrance.take(streamed).await), too_large);
    assert!(sending.await.unwrap() < 200, "it was read no further");
    let mut whole = letter(LETTER).await;
    whole.content_octets = Some(100_000);
    entrance.take(whole).await.unwrap();
    assert_eq!(stage.queued().await.len(), 1);
}

#[tokio::test]
async fn a_content_that_breaks_off_or_is_given_up_is_no_message() {
    let stage = Stage::new().await;
    let (acceptor, entrance) = entrance(&stage);
    for unreadable in [
        Unreadable::CutOff,
        Unreadable::LineEnds(crate::message::MixedLineEnds),
    ] {
        let (post, content) = post();
        let (posted, ()) = tokio::join!(entrance.take(post), async move {
            content.send(Ok(LETTER.into())).await.unwrap();
            content.send(Err(unreadable)).await.unwrap();
        });
        assert_eq!(posted, Err(NotPosted::Content(unreadable)));
    }
    let (post, content) = post();
    let posted = tokio::spawn(async move { entrance.take(post).await });
    content.send(Ok(LETTER.into())).await.unwrap();
    // The second one fits when the first is on its way.
    content.send(Ok("more\r\n".into())).await.unwrap();
    posted.abort();
    drop(content);
    assert_eq!(
        acceptor.drain(Duration::from_secs(60)).await,
        Drained::InTime
    );
    assert!(stage.queued().await.is_empty());
}

#[tokio::test]
async fn a_content_that_stalls_is_waited_for_no_longer_than_any_other() {
    let stage = Stage::new().await;
    let (_acceptor, entrance) = entrance(&stage);
    let (post, content) = post();
    let posted = tokio::spawn(async move { entrance.take(post).await });
    content.send(Ok(LETTER.into())).await.unwrap();
    content.send(Ok("more\r\n".into())).await.unwrap();
    content.reserve().await.unwrap();
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let said = refusal(posted.await.unwrap());
    assert!(said.starts_with("421 4.4.2 "), "{said}");
    // The wait began a moment before time stood still.
    let waited = began.elapsed();
    assert!((299..=300).contains(&waited.as_secs()), "{waited:?}");
    assert!(stage.queued().await.is_empty());
}

#[tokio::test]
async fn a_stop_lets_a_message_come_to_its_end_and_takes_no_new_one() {
    let stage = Stage::new().await;
    let (acceptor, entrance) = entrance(&stage);
    let entrance = Arc::new(entrance);
    let (post, content) = post();
    let takes = Arc::clone(&entrance);
    let posted = tokio::spawn(async move { takes.take(post).await });
    content.send(Ok(LETTER.into())).await.unwrap();
    content.send(Ok("more\r\n".into())).await.unwrap();
    content.reserve().await.unwrap();
    let drained = tokio::spawn(async move { acceptor.drain(Duration::from_secs(60)).await });
    loop {
        match entrance.take(letter(LETTER).await).await {
            Err(NotPosted::Closed(reply)) => {
                assert!(reply.to_string().starts_with("421 4.3.2 "), "{reply}");
                break;
            }
            // The drain has not begun.
            Ok(_) => tokio::task::yield_now().await,
            other => panic!("{other:?}"),
        }
    }
    drop(content);
    let receipt = posted.await.unwrap().unwrap();
    assert!(stage.spool.message(receipt.id).await.unwrap().is_some());
    assert_eq!(drained.await.unwrap(), Drained::InTime);
    let after = entrance.take(letter(LETTER).await).await;
    assert!(matches!(after, Err(NotPosted::Closed(_))), "{after:?}");
}

#[tokio::test]
async fn who_finds_no_place_is_told_to_come_back() {
    let stage = Stage::new().await;
    let (_acceptor, entrance) = entrance(&stage);
    let limits = super::Settings {
        connections_per_address_max: 0,
        ..super::Settings::default()
    };
    stage.reception.connections.limit(&limits);
    let Err(NotPosted::Closed(reply)) = entrance.take(letter(LETTER).await).await else {
        panic!("it was taken");
    };
    assert!(reply.to_string().starts_with("421 4.7.0 "), "{reply}");
}
