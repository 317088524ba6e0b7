//! The running relay: assembles the parts, serves until it is told to stop, reads its
//! configuration again when it is asked to, and stops in order.
//!
//! Decides nothing. A start either succeeds whole or says in one line a mistake what to do; a stop
//! first closes the doors, then lets work end, then closes the spool.

mod audit;
mod check;
mod deliver;
mod deploy;
mod doors;
mod files;
mod greeting;
mod journal;
mod kept;
mod loops;
mod outlook;
mod path;
mod post;
mod program;
mod readings;
mod reload;
mod secrets;
mod signals;
#[cfg(test)]
mod simulation;
mod start;
mod supervisor;
mod watched;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::deliver::Along;
use self::reload::Reloader;
use crate::admin::{NotReloaded, Readiness, Reload as _, Reloaded};
use crate::clock::Clock;
use crate::config::{Config, MISTAKES_SHOWN_MAX, Mistake};
use crate::delivery::UnderWay;
use crate::directory::Directory;
use crate::message::wording::printable;
use crate::reception::{self, Drained};
use crate::spool::Spool;

pub use check::check;
pub use path::{Path, paths};
pub use signals::{Asked, Signals, wait_for_stop};
pub use supervisor::Supervisor;

/// Why the relay does not start: one line for each thing that has to be put right.
#[derive(Debug)]
pub struct StartError(Vec<String>);

impl StartError {
    fn one(line: impl fmt::Display) -> Self {
        Self(vec![line.to_string()])
    }

    /// What is wrong with the configuration, each at its line of the file, as far as anybody reads.
    fn of(config: &Config, mistakes: &[Mistake]) -> Self {
        let line = |said: &dyn fmt::Display| match &config.file {
            Some(file) => format!("{}: {said}", file.display()),
            None => said.to_string(),
        };
        let shown = mistakes.iter().take(MISTAKES_SHOWN_MAX);
        let mut lines: Vec<_> = shown.map(|mistake| line(mistake)).collect();
        match mistakes.len().saturating_sub(MISTAKES_SHOWN_MAX) {
            0 => {}
            more => lines.push(line(&format_args!("and {more} more mistakes"))),
        }
        Self(lines)
    }
}

/// What others have named, such as a file, does not steer the terminal.
impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(|line| printable(line)).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for StartError {}

/// Time for answers of the admin surface that are under way at the end of a stop.
const ADMIN_WITHIN: Duration = Duration::from_secs(3);

/// A relay that has been started: its ports are open.
pub struct Relay {
    config: Config,
    /// Where mail is submitted, and where it is administered.
    submission: Vec<SocketAddr>,
    admin_address: SocketAddr,
    acceptor: reception::Acceptor,
    admin: JoinHandle<()>,
    queue: JoinHandle<()>,
    notifier: JoinHandle<()>,
    tally: Arc<reception::Tally>,
    tallying: JoinHandle<()>,
    watching: JoinHandle<()>,
    spool: Arc<dyn Spool>,
    directory: Directory,
    clock: Clock,
    readiness: Readiness,
    stop_admin: CancellationToken,
    stop_queue: CancellationToken,
    along: Arc<Along>,
    reloader: Arc<Reloader>,
    greeting: String,
    status: String,
}

impl Relay {
    /// What a person should read after the start: where to submit mail, where the console is and
    /// what to type next.
    pub fn greeting(&self) -> &str {
        &self.greeting
    }

    /// How many ports are open for submission, in a few words for a list of services.
    pub fn status(&self) -> &str {
        &self.status
    }

    /// Where mail is submitted.
    pub fn submission(&self) -> &[SocketAddr] {
        &self.submission
    }

    /// Where the admin surface is.
    pub fn admin(&self) -> SocketAddr {
        self.admin_address
    }

    /// The sends that are under way, and which of them are paused.
    pub fn under_way(&self) -> Vec<UnderWay> {
        self.along.gate().under_way()
    }

    /// Reads the configuration again and puts it into force, whole or not at all; the log says which. No
    /// connection is dropped.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub async fn reload(&self) -> Result<Reloaded, NotReloaded> {
        let reloaded = self.reloader.reload().await?;
        audit::note(
            &self.directory,
            audit::reloaded(&reloaded, self.clock.now()),
        )
        .await;
        Ok(reloaded)
    }

    /// Stops in order: no new connections and no new attempts, idle sessions are told, transactions
    /// and attempts end within the grace that they share, what is waiting in the spool is committed.
    pub async fn stop(mut self) {
        let grace = self.config.shutdown_grace;
        tracing::info!(?grace, "stopping");
        // That it takes no mail any more is meant, and nothing to alert anybody of.
        self.watching.abort();
        self.readiness.lacking("relay", "the relay is stopping");
        // Side by side, so that one grace bounds both.
        self.stop_queue.cancel();
        let (drained, queue) = tokio::join!(self.acceptor.drain(grace), self.queue);
        match drained {
            Drained::InTime => {}
            Drained::CutShort => tracing::warn!(
                "transactions were still open at the end of the grace; their clients were told to come back"
            ),
            Drained::Dropped => {
                tracing::warn!("connections did not end after the grace and are dropped");
            }
        }
        self.notifier.abort();
        self.tallying.abort();
        if let Err(error) = queue {
            tracing::error!(%error, "the queue did not stop well");
        }
        self.along.way().deliverer.close().await;
        self.stop_admin.cancel();
        match tokio::time::timeout(ADMIN_WITHIN, &mut self.admin).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the admin surface did not stop well"),
            // A client that is still sending its request; what waits to be committed is not to wait for it.
            Err(_) => self.admin.abort(),
        }
        if let Err(error) = self.tally.note().await {
            tracing::warn!(%error, "the last refused senders could not be noted");
        }
        if let Err(error) = self.spool.close().await {
            tracing::error!(%error, "the spool did not close well");
        }
        audit::note(&self.directory, audit::stopped(self.clock.now())).await;
        if let Err(error) = self.directory.close().await {
            tracing::error!(%error, "the directory did not close well");
        }
        tracing::info!("stopped");
    }
}

/// A file or folder, and what the system says about it.
fn file_error(path: PathBuf, error: &io::Error) -> StartError {
    StartError::one(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_start_tells_as_many_mistakes_as_anybody_reads_and_steers_no_terminal() {
        let mut config = crate::config::parse("").unwrap();
        config.file = Some("outpost.toml".into());
        let mistake = |number: usize| Mistake {
            line: Some(number),
            key: "plugin[1].component".into(),
            text: format!("it imports number {number}\n\u{1b}[2J"),
        };
        let mistakes: Vec<_> = (1..=20_000).map(mistake).collect();
        let told = StartError::of(&config, &mistakes).to_string();
        assert_eq!(told.lines().count(), MISTAKES_SHOWN_MAX + 1);
        assert!(
            told.ends_with("\noutpost.toml: and 19900 more mistakes"),
            "{told}"
        );
        assert!(!told.contains('\u{1b}'));
        let told = StartError::of(&config, &mistakes[..2]).to_string();
        assert_eq!(told.lines().count(), 2, "{told}");
        let told = StartError::one("a\nb").to_string();
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}
