//! How much clients can make the log say.

use std::io;
use std::sync::{Arc, Mutex};

use tracing::Level;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use outpost_smtp::server::Security;

use super::stage::{Stage, plain};

/// Takes down what is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn begin(&self) -> DefaultGuard {
        self.begin_at(Level::INFO)
    }

    fn begin_at(&self, level: Level) -> DefaultGuard {
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(level)
            .with_writer(self.clone());
        tracing::subscriber::set_default(subscriber.finish())
    }

    /// The lines that say this.
    fn lines(&self, message: &str) -> Vec<String> {
        let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = log.lines().filter(|line| line.contains(message));
        lines.map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Log;

    fn make_writer(&self) -> Log {
        self.clone()
    }
}

#[tokio::test]
async fn a_wrong_guess_that_is_repeated_for_ever_has_few_lines_in_the_log() {
    let stage = Stage::new().await;
    let log = Log::default();
    let _guard = log.begin();
    for _ in 0..20 {
        let mut peer = stage.connect();
        peer.reply("220 ").await;
        peer.say("EHLO client.test", "250").await;
        for _ in 0..5 {
            peer.say(&format!("AUTH PLAIN {}", plain("ann", "wrong")), "535 ")
                .await;
        }
    }
    assert_eq!(log.lines("login refused").len(), 10);
}

#[tokio::test]
async fn senders_that_are_refused_for_ever_have_few_lines_of_their_user_in_the_log() {
    let stage = Stage::new().await;
    stage.user("bob").await;
    let log = Log::default();
    let _guard = log.begin();
    let mut peer = stage.logged_in().await;
    for _ in 0..100 {
        peer.say("MAIL FROM:<x@b.example>", "550 5.7.1 ").await;
    }
    assert_eq!(log.lines("sender refused").len(), 10);
    let mut other = stage.logged_in_as("bob").await;
    other.say("MAIL FROM:<x@b.example>", "550 5.7.1 ").await;
    assert_eq!(log.lines("user=bob").len(), 1);
}

#[tokio::test]
async fn a_line_of_the_log_names_only_so_many_refused_senders() {
    let stage = Stage::new().await;
    let log = Log::default();
    let _guard = log.begin();
    let mut peer = stage.logged_in().await;
    let authors: Vec<String> = (0..30).map(|n| format!("x{n}@b.example")).collect();
    let content = format!("From: {}\r\n\r\nx", authors.join(",\r\n "));
    peer.message("x@a.example", &content, "550 5.7.1 ").await;
    let lines = log.lines("sender refused");
    assert_eq!(lines.len(), 1);
    // As a sender, and in a reason.
    let named = lines[0].matches("@b.example").count();
    assert_eq!(named, 2 * 20, "{lines:?}");
    assert!(lines[0].contains("senders=30"), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_fails_is_logged_with_its_cause() {
    let stage = Stage::new().await;
    let log = Log::default();
    let _guard = log.begin_at(Level::DEBUG);
    let mut in_clear = stage.connect_under(Security::Tls);
    in_clear.send("EHLO client.test\r\n").await;
    drop(in_clear.stream);
    in_clear.task.await.unwrap();
    stage.connect_under(Security::Tls).closed().await;
    let lines = log.lines("DEBUG");
    let failed = lines.iter().filter(|line| {
        line.contains("no TLS with this client") && line.contains("client=192.0.2.1 port=587")
    });
    assert_eq!(failed.count(), 2, "{lines:?}");
    assert!(
        lines[0].contains("error=received corrupt message"),
        "{lines:?}"
    );
    assert!(lines[1].contains("error=it took too long"), "{lines:?}");
}
