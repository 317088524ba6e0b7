//! Reading the configuration again while mail goes on: checked whole, then put into force whole, or not at
//! all.
//!
//! What each part does with its new settings is said there; which can change at once stands in config. No
//! connection is touched: those that are open keep what they began with.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use outpost_smtp::{Timeouts, server};
use tokio::sync::{Mutex, Notify, Semaphore};
use tokio::time::timeout;

use super::deliver::{Along, Way};
use super::{check, kept, loops, start};
use crate::admin::{self, BackupSources, ConnectionFacts, NotReloaded, Reloaded, Remark};
use crate::config::{self, Change, Config, ConfigError, Mistake, Reading};
use crate::delivery;
use crate::message::Routes;
use crate::plugin::deployed::Deployments;
use crate::plugin::{ComponentSettings, ComponentStatus, Plugins};
use crate::queue::RulesInForce;
use crate::reception::Reception;
use crate::telemetry;
use crate::tls;
use crate::watch::Watch;

/// What makes of a configuration file the configuration in force.
pub(super) struct Reloader {
    /// What is in force. Held while it is replaced, so one reload goes on at a time.
    pub in_force: Arc<Mutex<Config>>,
    pub parts: Arc<Parts>,
}

/// The parts of the relay that take other settings while they run.
pub(super) struct Parts {
    pub tls: tls::Server,
    pub plugins: Arc<Plugins>,
    pub deployments: Arc<Deployments>,
    pub reception: Arc<Reception>,
    pub watch: Arc<Watch>,
    pub routes: Arc<ArcSwap<Routes>>,
    pub along: Arc<Along>,
    pub delivery_metrics: delivery::Metrics,
    pub rules: Arc<RulesInForce>,
    /// Tells the queue that mail goes elsewhere.
    pub rerouting: Arc<Notify>,
    pub connection: Arc<ArcSwap<ConnectionFacts>>,
    pub backup: BackupSources,
    /// The submission ports.
    pub listening: Vec<SocketAddr>,
    /// How many files the relay may have open.
    pub files_max: u64,
    pub files: Files,
}

type Outcome = Result<Reloaded, NotReloaded>;

impl admin::Reload for Reloader {
    fn reload(&self) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
        let (in_force, parts) = (Arc::clone(&self.in_force), Arc::clone(&self.parts));
        Box::pin(async move {
            let mut in_force = in_force.lock_owned().await;
            to_its_end(async move {
                let outcome = parts.reload(&mut in_force).await;
                log(&outcome);
                outcome
            })
            .await
        })
    }
}

/// Does it on a task of its own: what has begun comes to its end, also when nobody waits for it any more.
pub(super) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    match tokio::spawn(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The process ends.
            Err(_) => std::future::pending().await,
        },
    }
}

impl Parts {
    async fn reload(&self, in_force: &mut Config) -> Outcome {
        let before = in_force.clone();
        let read = move || {
            let reading = config::read_again(&before)?;
            let certificate = tls::examine(&reading.config.tls, &reading.config.hostname);
            Ok::<_, ConfigError>((reading, certificate))
        };
        let read = self.files.read(read).await;
        let read = read.map_err(|error| not_read(in_force, &error))?;
        let (reading, certificate) = read.map_err(|error| not_read(in_force, &error))?;
        let configured = reading.config.plugin.chain.clone();
        let chain = self.deployments.chain(&configured);
        let chain = self.plugins.prepare(&chain).await;
        let (chain, loaded) = match chain {
            Ok(chain) => {
                let status = chain.status();
                (Some(chain), Ok(status))
            }
            Err(problems) => (None, Err(problems)),
        };
        let bound = |config: &Config| loops::bound(config, &self.listening);
        let Reading {
            config,
            mistakes,
            mut notes,
        } = check::examine(reading, bound, loaded, &certificate);
        // Without a mistake it is there.
        let Some(chain) = chain.filter(|_| mistakes.is_empty()) else {
            return Err(refused(&config, &mistakes));
        };
        let Change {
            config,
            mut changed,
            needs_restart,
        } = in_force.followed_by(config);

        // The last that can fail, so that nothing is changed when it does.
        if self.certify(in_force, &config).await? && !changed.contains(&"tls") {
            changed.push("tls");
        }
        if chain.is_another() && !changed.contains(&"plugin") {
            changed.push("plugin");
        }
        notes.extend(check::of_absent(&config, &self.deployments));
        let loaded = chain.status();
        chain.put_into_force();
        self.follow(configured, loaded).await;
        self.receive(&config);
        self.deliver(in_force, &config);
        self.watch.follow(config.alerts.clone());
        let notifier = &self.reception.notifier;
        notifier.follow(config.notifications.clone());
        telemetry::change_filter(&config.log);
        let outcome = Reloaded {
            file: shown(config.file.as_deref()),
            changed: owned(&changed),
            needs_restart: owned(&needs_restart),
            notes: notes.into_iter().map(remark).collect(),
        };
        *in_force = config;
        Ok(outcome)
    }

    /// Shows the components that are in force now.
    async fn follow(&self, configured: Vec<ComponentSettings>, loaded: Vec<ComponentStatus>) {
        let deployments = Arc::clone(&self.deployments);
        let following = move || deployments.follow(&configured, &loaded);
        // What goes wrong with it was logged with its panic.
        drop(tokio::task::spawn_blocking(following).await);
    }

    /// Whether there is another certificate now.
    async fn certify(&self, before: &Config, config: &Config) -> Result<bool, NotReloaded> {
        let is_self_signed =
            |config: &Config| matches!(config.tls, tls::Settings::SelfSigned { .. });
        if is_self_signed(before) && is_self_signed(config) {
            return Ok(false);
        }
        let (server, settings) = (self.tls.clone(), config.tls.clone());
        let replaced = self.files.read(move || server.replace(&settings)).await;
        let replaced = replaced.map_err(|error| not_read(config, &error))?;
        replaced.map_err(|error| refused(config, &[check::of_certificate(config, &error)]))
    }

    fn receive(&self, config: &Config) {
        let settings = start::with_room(config, self.files_max, self.listening.len());
        self.reception.connections.limit(&settings);
        self.reception.protocol.store(Arc::new(protocol(config)));
        let before = self.connection.load();
        self.connection.store(Arc::new(ConnectionFacts {
            plaintext_login: config.plaintext_auth,
            certificate: start::certificate(config),
            ..ConnectionFacts::clone(&before)
        }));
        self.backup.follow(
            config.as_read.clone(),
            kept::shown_configuration(config),
            kept::backup_files(config),
        );
    }

    fn deliver(&self, before: &Config, config: &Config) {
        let way = self.along.way();
        let deliverer = if before.delivery == config.delivery && before.dns == config.dns {
            // The system may have got others, and nothing in our file says so.
            way.deliverer.follow_system();
            Arc::clone(&way.deliverer)
        } else {
            let loops = loops::bound(config, &self.listening);
            start::deliverer(
                config,
                &loops,
                self.delivery_metrics.clone(),
                self.along.gate().clone(),
            )
        };
        let routes = Arc::new(config.routes.clone());
        self.along.change(Way {
            routes: Arc::clone(&routes),
            deliverer,
        });
        if before.routes != config.routes {
            self.rerouting.notify_one();
        }
        self.routes.store(routes);
        self.rules.change(&config.queue);
        self.along.gate().follow(config.gate.clone());
    }
}

/// What the protocol core is told for the connections that come.
pub(super) fn protocol(config: &Config) -> server::Settings {
    server::Settings {
        hostname: config.hostname.clone(),
        limits: config.limits.clone(),
        timeouts: Timeouts::default(),
        plaintext_auth: config.plaintext_auth,
        starttls: true,
    }
}

/// One line for each thing that the operator should know.
fn log(outcome: &Outcome) {
    match outcome {
        Ok(Reloaded {
            file,
            changed,
            needs_restart,
            notes,
        }) => {
            for Remark { line, key, text } in notes {
                let key = known(key);
                tracing::warn!(line, key, "note: {text}");
            }
            for key in needs_restart {
                tracing::warn!("needs a restart: {key}");
            }
            let changed = match changed.as_slice() {
                [] => "nothing".to_owned(),
                changed => changed.join(","),
            };
            tracing::info!(file, changed, "the configuration was read again");
        }
        Err(NotReloaded {
            file,
            mistakes,
            more,
        }) => {
            for Remark { line, key, text } in mistakes {
                let key = known(key);
                tracing::error!(file, line, key, "not reloaded, all stays as it was: {text}");
            }
            if *more > 0 {
                tracing::error!(file, more, "not reloaded: there are more mistakes");
            }
        }
    }
}

/// The key, where the remark has one and is not about the file.
fn known(key: &str) -> Option<&str> {
    Some(key).filter(|key| !key.is_empty())
}

fn not_read(config: &Config, error: &dyn std::error::Error) -> NotReloaded {
    NotReloaded {
        file: shown(config.file.as_deref()),
        mistakes: vec![Remark {
            line: None,
            key: String::new(),
            text: error.to_string(),
        }],
        more: 0,
    }
}

fn refused(config: &Config, mistakes: &[Mistake]) -> NotReloaded {
    let told = mistakes.iter().take(config::MISTAKES_SHOWN_MAX);
    NotReloaded {
        file: shown(config.file.as_deref()),
        mistakes: told.cloned().map(remark).collect(),
        more: mistakes.len().saturating_sub(config::MISTAKES_SHOWN_MAX),
    }
}

fn remark(Mistake { line, key, text }: Mistake) -> Remark {
    Remark { line, key, text }
}

fn shown(file: Option<&Path>) -> Option<String> {
    file.map(|file| file.display().to_string())
}

fn owned(keys: &[&str]) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
}

/// Longest time in which the files are read. A disk has them in milliseconds; a file system over a network whose
/// server has gone may never.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// Where files are read that may never answer. Whoever waits for them gives up in time, and what still reads keeps
/// one thread at most.
pub(super) struct Files(Arc<Semaphore>);

/// Why files are not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Unread {
    #[error("the files were not read within {} s: what they stand on does not answer", READ_WITHIN.as_secs())]
    Late,
    #[error("an earlier reload still reads its files: what they stand on does not answer")]
    Busy,
}

impl Default for Files {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Files {
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unread> {
        let turn = Arc::clone(&self.0).try_acquire_owned();
        let turn = turn.map_err(|_| Unread::Busy)?;
        let reading = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        match timeout(READ_WITHIN, reading).await {
            Ok(Ok(done)) => Ok(done),
            // It was not cancelled: nobody else can do so.
            Ok(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(Unread::Late),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is logged of an outcome, a line as JSON.
    fn logged(outcome: &Outcome) -> String {
        #[derive(Clone, Default)]
        struct Written(Arc<Mutex<Vec<u8>>>);

        impl std::io::Write for Written {
            fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().write(octets)
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        let written = Written::default();
        let out = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .without_time()
            .with_target(false)
            .with_writer(move || out.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || log(outcome));
        String::from_utf8(written.0.lock().unwrap().clone()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn files_that_do_not_answer_keep_no_later_reload_from_its_turn() {
        let files = Files::default();
        let (answer, answered) = std::sync::mpsc::channel::<()>();
        let stuck = files.read(move || answered.recv().is_ok());
        // Time stands still while a thread works, so it is moved by hand.
        let late = async {
            tokio::time::advance(READ_WITHIN).await;
        };
        let (stuck, ()) = tokio::join!(stuck, late);
        assert_eq!(stuck, Err(Unread::Late));
        assert_eq!(files.read(|| ()).await, Err(Unread::Busy));
        answer.send(()).unwrap();
        let back = Arc::clone(&files.0).acquire_owned().await.unwrap();
        drop(back);
        assert_eq!(files.read(|| 5).await, Ok(5));
    }

    #[test]
    fn a_mistake_is_logged_with_its_line_and_key_where_it_has_them() {
        let remark = |line, key: &str| Remark {
            line,
            key: key.to_owned(),
            text: "no".to_owned(),
        };
        let outcome = Err(NotReloaded {
            file: Some("f".to_owned()),
            mistakes: vec![remark(None, ""), remark(Some(3), "log.filter")],
            more: 0,
        });
        assert_eq!(
            logged(&outcome),
            "{\"level\":\"ERROR\",\"fields\":{\"message\":\"not reloaded, all stays as it was: no\",\"file\":\"f\"}}\n\
             {\"level\":\"ERROR\",\"fields\":{\"message\":\"not reloaded, all stays as it was: no\",\"file\":\"f\",\"line\":3,\
             \"key\":\"log.filter\"}}\n"
        );
    }
}
