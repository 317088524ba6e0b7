//! The signals that the relay listens to.
//!
//! SIGTERM and SIGINT stop it, SIGHUP has it read its configuration again. What either does stands in the
//! module above.

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

    /// Waits for SIGTERM or SIGINT. A SIGHUP that comes meanwhile is kept.
    pub async fn stop(&mut self) {
        tokio::select! {
            Some(()) = self.terminate.recv() => {}
            Some(()) = self.interrupt.recv() => {}
            else => std::future::pending().await,
        }
    }

    /// Waits for either kind.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            biased;
            Some(()) = self.terminate.recv() => Asked::Stop,
            Some(()) = self.interrupt.recv() => Asked::Stop,
            Some(()) = self.hang_up.recv() => Asked::Reload,
            else => std::future::pending().await,
        }
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
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
