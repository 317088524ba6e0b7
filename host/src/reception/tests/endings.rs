//! How connections end: at a stop, and where a client does not go on.

use std::time::Duration;

use outpost_smtp::Timeouts;
use outpost_smtp::server::Security;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::stage::{Peer, Stage, plain};
use crate::reception::acceptor::Ending;
use crate::tls::client::{Connector, Trust};

#[tokio::test]
async fn a_drain_ends_idle_sessions_and_lets_transactions_end() {
    let stage = Stage::new().await;
    let mut busy = stage.logged_in().await;
    let mut idle = stage.connect();
    idle.reply("220 ").await;
    busy.say("MAIL FROM:<x@a.example>", "250").await;
    stage.ending.send_replace(Ending::Idle);
    idle.reply("421 4.3.2 ").await;
    idle.closed().await;
    busy.say("RCPT TO:<bob@d.example>", "250").await;
    busy.say("DATA", "354").await;
    busy.say("From: x@a.example\r\n\r\nx\r\n.", "250 2.0.0 ")
        .await;
    busy.reply("421 4.3.2 ").await;
    busy.closed().await;
}

#[tokio::test]
async fn after_the_grace_open_transactions_are_told_421_wherever_they_stand() {
    let bdat = "BDAT 100\r\nFrom: x@a.example\r\n";
    for last in [
        "RCPT TO:<bob@d.example>\r\n",
        "DATA\r\nFrom: x@a.example\r\n",
        bdat,
    ] {
        let stage = Stage::new().await;
        let mut peer = stage.logged_in().await;
        peer.say("MAIL FROM:<x@a.example>", "250").await;
        peer.say("RCPT TO:<bob@d.example>", "250").await;
        peer.send(last).await;
        match last {
            "DATA\r\nFrom: x@a.example\r\n" => drop(peer.reply("354").await),
            "RCPT TO:<bob@d.example>\r\n" => drop(peer.reply("250").await),
            _ => {}
        }
        stage.ending.send_replace(Ending::Idle);
        stage.ending.send_replace(Ending::Everybody);
        peer.reply("421 4.3.2 ").await;
        peer.closed().await;
        assert!(stage.queued().await.is_empty(), "{last}");
    }
}

#[tokio::test]
async fn a_client_that_never_stops_sending_is_told_421_all_the_same() {
    let stage = Stage::new().await;
    let mut peer = stage.logged_in().await;
    peer.say("MAIL FROM:<x@a.example>", "250").await;
    peer.say("RCPT TO:<bob@d.example>", "250").await;
    peer.say("DATA", "354").await;
    stage.ending.send_replace(Ending::Everybody);
    let (mut reading, mut writing) = tokio::io::split(peer.stream);
    // The relay takes what comes until the client has heard: nothing breaks under its hands.
    let sending = tokio::spawn(async move {
        let line = "y".repeat(998) + "\r\n";
        while writing.write_all(line.as_bytes()).await.is_ok() {}
    });
    let mut reply = [0; 9];
    reading.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"421 4.3.2");
    sending.abort();
    peer.task.abort();
}

#[tokio::test(start_paused = true)]
async fn an_octet_now_and_then_extends_no_deadline() {
    let stage = Stage::new().await;
    let mut peer = stage.connect();
    peer.reply("220 ").await;
    let began = Instant::now();
    // One octet every 30 s: each read comes in time, the login does not.
    let mut slowly = tokio::time::interval(Duration::from_secs(30));
    let said = loop {
        tokio::select! {
            _ = slowly.tick() => peer.send("N").await,
            octet = peer.stream.read_u8() => break octet,
        }
    };
    assert_eq!(said.unwrap(), b'4');
    let mut rest = [0; 8];
    peer.stream.read_exact(&mut rest).await.unwrap();
    assert_eq!(&rest, b"21 4.4.2");
    while peer.stream.read_u8().await.unwrap() != b'\n' {}
    assert_eq!(began.elapsed(), Timeouts::default().login);
    peer.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_end_is_dropped() {
    let stage = Stage::new().await;
    let mut peer = stage.connect();
    peer.reply("220 ").await;
    peer.say("EHLO client.test", "250").await;
    peer.say("STARTTLS", "220 2.0.0 ").await;
    let began = Instant::now();
    peer.send("\u{16}\u{3}\u{1}").await;
    peer.closed().await;
    assert_eq!(began.elapsed(), Timeouts::default().tls_handshake);
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_no_handshake() {
    let stage = Stage::new().await;
    let silent = stage.connect_under(Security::Tls);
    let mut upgrading = stage.connect();
    upgrading.reply("220 ").await;
    upgrading.say("EHLO client.test", "250").await;
    upgrading.say("STARTTLS", "220 2.0.0 ").await;
    let began = Instant::now();
    stage.ending.send_replace(Ending::Idle);
    silent.closed().await;
    upgrading.closed().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_drain_waits_for_no_answer_that_is_held_back_from_a_guesser() {
    let stage = Stage::new().await;
    let mut peer = stage.connect();
    peer.reply("220 ").await;
    peer.say("EHLO client.test", "250").await;
    let wrong = |number: u32| format!("AUTH PLAIN {}", plain("ann", &number.to_string()));
    for number in 0..2 {
        peer.say(&wrong(number), "535 5.7.8 ").await;
    }
    // From the third on answers are held back.
    peer.send(&format!("{}\r\n", wrong(2))).await;
    stage.ending.send_replace(Ending::Idle);
    peer.reply("421 4.3.2 ").await;
    peer.closed().await;
}

#[tokio::test]
async fn a_drain_waits_for_no_client_that_reads_nothing() {
    let stage = Stage::new().await;
    let mut peer = stage.logged_in().await;
    tokio::time::pause();
    peer.send(&"EHLO client.test\r\n".repeat(900)).await;
    // Until nothing more can be done: there is no room for the replies.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    stage.ending.send_replace(Ending::Idle);
    peer.task.await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 2);
}

#[tokio::test]
async fn after_a_late_starttls_there_is_as_much_time_for_the_login_as_ever() {
    let stage = Stage::new().await;
    let mut peer = stage.logged_in().await;
    tokio::time::pause();
    tokio::time::advance(Timeouts::default().login * 2).await;
    peer.say("STARTTLS", "220 2.0.0 ").await;
    let began = Instant::now();
    let Peer { stream, task } = peer;
    let (mut stream, _) = Connector::new(Vec::new())
        .handshake(stream, "relay.test", Trust::Anybody, Duration::MAX)
        .await
        .unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("421 4.4.2 "), "{reply}");
    let waited = began.elapsed().as_secs();
    assert_eq!(waited, Timeouts::default().login.as_secs());
    task.await.unwrap();
}

#[tokio::test]
async fn a_client_that_closes_its_side_of_tls_is_told_of_the_end_of_ours() {
    let stage = Stage::new().await;
    let mut peer = stage.logged_in().await;
    peer.say("STARTTLS", "220 2.0.0 ").await;
    let Peer { stream, task } = peer;
    let (mut stream, _) = Connector::new(Vec::new())
        .handshake(stream, "relay.test", Trust::Anybody, Duration::MAX)
        .await
        .unwrap();
    // What is told so is told by an alert; without one the end is an error.
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0; 100]).await.unwrap(), 0);
    task.await.unwrap();
}
