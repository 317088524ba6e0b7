//! What a service manager is told about the relay: that it serves, reads its configuration again, or stops, and
//! that it is alive (sd_notify(3)).
//!
//! Without one nothing happens: it is found by `NOTIFY_SOCKET`, and by `WATCHDOG_USEC` where it wants to hear
//! from the relay now and then.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

/// Whoever looks after this process, if anybody.
#[derive(Debug)]
pub struct Supervisor {
    status: String,
}

impl Supervisor {
    /// Says that the relay serves, and from now on that it is alive, as often as that is wanted. `status` is shown
    /// to people. Must be called within a runtime.
    pub fn begin(status: &str) -> Supervisor {
        let supervisor = Supervisor {
            status: status.to_owned(),
        };
        if let Some(patience) = sd_notify::watchdog_enabled() {
            tokio::spawn(keep_telling(patience));
        }
        supervisor.ready();
        supervisor
    }

    /// The relay serves, after its start or with the configuration that is in force now.
    pub fn ready(&self) {
        tell(&[NotifyState::Ready, NotifyState::Status(&self.status)]);
    }

    /// The configuration is being read again.
    pub fn reloading(&self) {
        // With the time, by which systemd tells this reload from the one before.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!(%error, "the system does not tell the time"),
        }
    }

    /// The relay was told to stop, and lets work end.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    }
}

/// Says that the relay is alive, twice within the patience. It runs beside the connections: where it does not get
/// its turn, nobody does.
async fn keep_telling(patience: Duration) {
    // Not zero, which a timer refuses.
    let mut moments = interval((patience / 2).max(Duration::from_millis(1)));
    moments.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        moments.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told how the relay is doing");
    }
}
