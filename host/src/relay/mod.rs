//! The running relay: assembles the parts, serves until it is told to stop, and stops in order.
//!
//! Decides nothing. A start either succeeds whole or says in one line a mistake what to do; a stop
//! first closes the doors, then lets work end, then closes the spool.

mod deliver;
mod greeting;
mod secrets;
mod signals;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outpost_smtp::{Timeouts, server};
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Api, Certificate, ConnectionFacts, Readiness};
use crate::auth::Authenticator;
use crate::clock::Clock;
use crate::config::Config;
use crate::delivery::{self, Deliverer};
use crate::directory::Directory;
use crate::dns::Resolver;
use crate::message::Routes;
use crate::net;
use crate::plugin::Plugins;
use crate::queue::{self, Queue};
use crate::reception::{self, NotificationSettings, Notifier, Reception};
use crate::spool::{self, Spool};
use crate::telemetry::Registry;
use crate::tls;

pub use signals::wait_for_stop;

/// Why the relay does not start: one line for each thing that has to be put right.
#[derive(Debug)]
pub struct StartError(Vec<String>);

impl StartError {
    fn one(line: impl fmt::Display) -> Self {
        Self(vec![line.to_string()])
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for StartError {}

/// A relay that has been started: its ports are open.
pub struct Relay {
    config: Config,
    acceptor: reception::Acceptor,
    admin: tokio::task::JoinHandle<()>,
    queue: tokio::task::JoinHandle<()>,
    notifier: tokio::task::JoinHandle<()>,
    spool: Arc<dyn Spool>,
    directory: Directory,
    readiness: Readiness,
    stop_admin: CancellationToken,
    stop_queue: CancellationToken,
    greeting: String,
}

impl Relay {
    /// Opens everything in the order in which the parts need one another; the ports come last, so
    /// that whoever connects is served.
    ///
    /// # Errors
    /// Everything that keeps it from starting.
    pub async fn start(config: Config) -> Result<Relay, StartError> {
        let clock = Clock::system();
        let started = clock.now();
        let mut registry = Registry::default();
        if let Err(error) = net::raise_file_limit() {
            tracing::warn!(%error, "the limit on open files cannot be raised");
        }
        make_folder(&config.data_dir)?;

        let directory = Directory::open(&config.data_dir.join("directory.redb"), started)
            .map_err(StartError::one)?;
        let authenticator = Authenticator::new(&config.auth).map_err(StartError::one)?;
        let first =
            secrets::first_start(&directory, &authenticator, &config.data_dir, started).await?;
        let plugins = Plugins::load(config.plugin.clone(), clock.clone(), &mut registry)
            .await
            .map_err(|problems| StartError(problems.iter().map(ToString::to_string).collect()))?;
        let spool = spool::open(
            &config.data_dir,
            config.spool.clone(),
            clock.clone(),
            &mut registry,
        )
        .map_err(StartError::one)?;
        let tls = tls::Server::new(&config.tls).map_err(StartError::one)?;
        let routes = Arc::new(config.routes.clone());

        let (listeners, unbound) = net::bind(&config.listen);
        for unbound in &unbound {
            tracing::debug!(address = %unbound.address, error = %unbound.error, "not listening");
        }
        if !config.listen.optional && !unbound.is_empty() {
            return Err(StartError(greeting::unbound_lines(&unbound)));
        }
        if listeners.is_empty() {
            return Err(StartError::one(
                "none of the submission ports can be listened on",
            ));
        }
        let admin_listener = admin::Listener::bind(&config.admin)
            .await
            .map_err(StartError::one)?;

        let metrics = queue::Metrics::default();
        metrics.register(&mut registry);
        let stop_queue = CancellationToken::new();
        let network = delivery::Network {
            resolver: Resolver::new(&config.dns),
            dialer: net::Dialer::tcp(),
            tls: tls::client::Connector::new(Vec::new()),
            random: || u64::try_from(random() >> 64).unwrap_or_default(),
        };
        let deliverer = Deliverer::new(
            config.delivery.clone(),
            network,
            delivery::Metrics::register(&mut registry),
        );
        let queue = Queue::new(queue::Parts {
            settings: config.queue.clone(),
            hostname: config.hostname.clone(),
            spool: Arc::clone(&spool),
            deliver: deliver::along(Arc::clone(&routes), deliverer),
            next_hop: next_hops(&routes),
            random: Box::new(random),
            clock: clock.clone(),
            metrics,
        });
        let queue = tokio::spawn(queue.run(stop_queue.clone().cancelled_owned()));

        let notifier = Notifier::new(
            NotificationSettings::new(config.hostname.clone()),
            directory.clone(),
            Arc::clone(&spool),
            Arc::clone(&routes),
            clock.clone(),
        );
        let notifier_task = tokio::spawn({
            let notifier = Arc::clone(&notifier);
            async move { notifier.run().await }
        });
        let connection = connection_facts(&config, &listeners);
        let reception = Arc::new(Reception {
            settings: config.reception.clone(),
            protocol: Arc::new(server::Settings {
                hostname: config.hostname.clone(),
                limits: config.limits.clone(),
                timeouts: Timeouts::default(),
                plaintext_auth: config.plaintext_auth,
                starttls: true,
            }),
            tls,
            directory: directory.clone(),
            authenticator: authenticator.clone(),
            plugins: Arc::clone(&plugins),
            spool: Arc::clone(&spool),
            routes,
            notifier,
            clock: clock.clone(),
            metrics: reception::Metrics::register(&mut registry),
        });
        let readiness = Readiness::default();
        let admin_metrics = admin::Metrics::register(&mut registry);
        let greeting = greeting::Greeting {
            config: &config,
            listeners: &listeners,
            unbound: &unbound,
            admin: admin_listener.address(),
            first: first.as_ref(),
        }
        .to_string();
        let api = Api {
            directory: directory.clone(),
            auth: authenticator,
            spool: Arc::clone(&spool),
            plugins,
            connection,
            registry: Arc::new(registry),
            metrics: admin_metrics,
            readiness: readiness.clone(),
            clock,
            started,
        };
        let stop_admin = CancellationToken::new();
        let admin = tokio::spawn(admin_listener.serve(admin::router(api), stop_admin.clone()));
        let acceptor = reception::accept(&reception, listeners);
        tracing::info!(hostname = %config.hostname, version = env!("CARGO_PKG_VERSION"), "started");
        Ok(Relay {
            config,
            acceptor,
            admin,
            queue,
            notifier: notifier_task,
            spool,
            directory,
            readiness,
            stop_admin,
            stop_queue,
            greeting,
        })
    }

    /// What a person should read after the start: where to submit mail, where the console is and
    /// what to type next.
    pub fn greeting(&self) -> &str {
        &self.greeting
    }

    /// Stops in order: no new connections, idle sessions are told, transactions and attempts end
    /// within the grace, what is waiting in the spool is committed.
    pub async fn stop(self) {
        tracing::info!("stopping");
        self.readiness.lacking("relay", "the relay is stopping");
        let grace = self.config.shutdown_grace;
        if !self.acceptor.drain(grace).await {
            tracing::warn!("connections were still open at the end of the grace and are dropped");
        }
        self.notifier.abort();
        self.stop_queue.cancel();
        if let Err(error) = self.queue.await {
            tracing::error!(%error, "the queue did not stop well");
        }
        self.stop_admin.cancel();
        if let Err(error) = self.admin.await {
            tracing::error!(%error, "the admin surface did not stop well");
        }
        if let Err(error) = self.spool.close().await {
            tracing::error!(%error, "the spool did not close well");
        }
        if let Err(error) = self.directory.close().await {
            tracing::error!(%error, "the directory did not close well");
        }
        tracing::info!("stopped");
    }
}

/// Checks what `outpost check` promises beyond the file itself: certificate and components.
///
/// # Errors
/// One line for each thing that would keep the relay from starting.
pub async fn check(config: &Config) -> Result<(), StartError> {
    let mut lines = Vec::new();
    if let tls::Settings::Configured { .. } = config.tls
        && let Err(error) = tls::Server::new(&config.tls)
    {
        lines.push(format!("tls: {error}"));
    }
    // Compiled aside, so that a check leaves no trace in the data folder and needs no rights to it.
    let aside = std::env::temp_dir().join(format!("outpost-check-{}", std::process::id()));
    let settings = crate::plugin::Settings {
        cache_dir: aside.clone(),
        ..config.plugin.clone()
    };
    if let Err(problems) = Plugins::load(settings, Clock::system(), &mut Registry::default()).await
    {
        lines.extend(problems.iter().map(|problem| format!("plugin: {problem}")));
    }
    let _ = fs::remove_dir_all(aside);
    if lines.is_empty() {
        Ok(())
    } else {
        Err(StartError(lines))
    }
}

fn make_folder(path: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(|error| {
        StartError::one(format!(
            "the data folder {} cannot be made: {error}",
            path.display()
        ))
    })
}

fn connection_facts(config: &Config, listeners: &[net::Listener]) -> ConnectionFacts {
    let ports = |implicit_tls| {
        let mut ports: Vec<u16> = listeners
            .iter()
            .filter(|listener| listener.implicit_tls == implicit_tls)
            .map(|listener| listener.address.port())
            .collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    };
    ConnectionFacts {
        hostname: config.hostname.clone(),
        addresses: config.listen.addresses.clone(),
        starttls_ports: ports(false),
        tls_ports: ports(true),
        plaintext_login: config.plaintext_auth,
        certificate: match config.tls {
            tls::Settings::Configured { .. } => Certificate::Configured,
            tls::Settings::SelfSigned { .. } => Certificate::SelfSigned,
        },
    }
}

fn next_hops(
    routes: &Arc<Routes>,
) -> Box<dyn Fn(&outpost_smtp::Mailbox) -> crate::message::NextHop + Send + Sync> {
    let routes = Arc::clone(routes);
    Box::new(move |mailbox| routes.next_hop(mailbox))
}

/// Randomness for jitter and the ids of reports. The system's source does not fail once it has
/// worked, and it has: passwords and ids are made from it before.
fn random() -> u128 {
    let mut octets = [0; 16];
    match getrandom::fill(&mut octets) {
        Ok(()) => u128::from_ne_bytes(octets),
        Err(error) => {
            tracing::error!(%error, "the system gives no random numbers");
            u128::from(std::process::id())
        }
    }
}

/// A file or folder, and what the system says about it.
fn file_error(path: PathBuf, error: &io::Error) -> StartError {
    StartError::one(format!("{}: {error}", path.display()))
}
