//! The signals that the relay listens to.
//!
//! SIGTERM and SIGINT stop it. SIGHUP asks daemons to read their configuration again, which the relay
//! cannot do while it runs: it says so and goes on. What a stop does stands in the module above.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals of this process. Those that come before somebody waits for them are kept.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Listens from here on, on the runtime of the caller.
    ///
    /// # Errors
    /// When the system gives no signals.
    pub fn listen() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT. Each SIGHUP until then is told in the log and changes nothing.
    pub async fn stop(&mut self) {
        loop {
            tokio::select! {
                Some(()) = self.terminate.recv() => return,
                Some(()) = self.interrupt.recv() => return,
                Some(()) = self.hang_up.recv() => tracing::warn!(
                    "SIGHUP changes nothing: the configuration is read at a start only; restart to change it"
                ),
                else => std::future::pending().await,
            }
        }
    }
}

/// Waits for SIGTERM or SIGINT. Where the system gives no signals it waits for ever.
pub async fn wait_for_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::warn!("signals cannot be received; the program has to be killed");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
