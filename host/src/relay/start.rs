//! Starting: what is opened in which order, and how the parts are put together.
//!
//! Doors first, since a door that is taken is the most likely trouble; then the stores and the
//! components; the secrets of a first start when nothing can fail any more, so that a password that
//! is shown once is shown.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::deliver::{Along, Way};
use super::deploy::{self, Deployer};
use super::doors::Doors;
use super::greeting::Greeting;

use super::loops::Loop;
use super::post::ByHttp;
use super::reload::{self, Files, Parts, Reloader};
use super::watched::{self, ByWatch};
use super::{Relay, StartError, audit, check, files, journal, kept, program, readings, secrets};
use crate::admin::{self, Api, Certificate, ConnectionFacts, Protection, Readiness, Submissions};
use crate::auth::Authenticator;
use crate::backup;
use crate::clock::Clock;
use crate::config::{Config, Mistake};
use crate::delivery::{self, Deliverer, Gate};
use crate::directory::{Directory, UserFilter};
use crate::dns::Resolver;
use crate::message::Routes;
use crate::net::{self, Listener, Passed};
use crate::plugin::deployed::Deployments;
use crate::plugin::{self, Plugins};
use crate::queue::{self, Deliver, Queue};
use crate::reception::{self, Connections, Notifier, Reception, Shares, Tally};
use crate::spool::{self, OwnMailer, Spool};
use crate::telemetry::Registry;
use crate::tls;
use crate::watch::{self, BoardFile, Watch};

/// What everything else is built on.
pub(super) struct Foundation {
    pub clock: Clock,
    pub random: Arc<reception::Random>,
    pub registry: Registry,
    pub directory: Directory,
    pub authenticator: Authenticator,
    pub plugins: Arc<Plugins>,
    pub spool: Arc<dyn Spool>,
    pub tls: tls::Server,
    pub routes: Arc<ArcSwap<Routes>>,
}

/// What the admin surface is joined to besides.
struct Joints {
    readiness: Readiness,
    reload: Arc<Reloader>,
    deploy: Arc<Deployer>,
    retried: Box<dyn Fn() + Send + Sync>,
    order: Arc<dyn admin::Order>,
    submissions: Submissions,
    alerts: Arc<dyn admin::Alerts>,
}

impl Relay {
    /// Opens everything and serves, on sockets that were passed where there are such.
    ///
    /// # Errors
    /// Everything that keeps it from starting.
    pub async fn start(config: Config, passed: Passed) -> Result<Relay, StartError> {
        let files_max = net::raise_file_limit().unwrap_or_else(|error| {
            tracing::warn!(%error, "the limit on open files cannot be raised");
            u64::MAX
        });
        let doors = Doors::open(&config, passed, files_max).await?;
        let (mut foundation, deployments) = Foundation::lay(&config).await?;
        let started = foundation.clock.now();
        let first = secrets::first_start(
            &foundation.directory,
            &foundation.authenticator,
            &config.data_dir,
            started,
        )
        .await?;
        audit::note(&foundation.directory, audit::started(started)).await;

        let delivery_metrics = delivery::Metrics::register(&mut foundation.registry);
        let gate_metrics = delivery::GateMetrics::default();
        gate_metrics.register(&mut foundation.registry);
        let gate = Gate::new(config.gate.clone(), gate_metrics);
        let way = Way {
            routes: foundation.routes.load_full(),
            deliverer: deliverer(
                &config,
                &doors.loops,
                delivery_metrics.clone(),
                gate.clone(),
            ),
        };
        let along = Along::new(way, gate);
        let stop_queue = CancellationToken::new();
        let queue_metrics = queue::Metrics::default();
        let queue = foundation.queue(&config, Arc::<Along>::clone(&along), queue_metrics.clone());
        let (rules, impatience) = (queue.rules(), queue.impatience());
        let unreached = queue.unreached();
        let rerouting = queue.rerouting();
        let order = Arc::new(queue.outlook());
        let queue = tokio::spawn(queue.run(stop_queue.clone().cancelled_owned()));
        let notifier = foundation.notifier(&config);
        let notifying = Arc::clone(&notifier);
        let notifying = tokio::spawn(async move { notifying.run().await });
        let settings = with_room(&config, files_max, doors.listeners.len());
        let reception = foundation.reception(&config, settings, notifier);
        let tally = Arc::clone(&reception.tally);
        let tallying = tokio::spawn(async move { tally.run().await });
        let greeting = Greeting {
            config: &config,
            program: &program::as_typed(),
            listeners: &doors.listeners,
            unbound: &doors.unbound,
            unused: &doors.unused,
            loops: &doors.loops,
            admin: doors.admin.address(),
            first: first.as_ref(),
            in_private: !journal::is_journal(),
            has_users: foundation.has_users(),
        }
        .to_string();
        let status = match doors.listeners.len() {
            1 => format!("serving as {} on one socket", config.hostname),
            many => format!("serving as {} on {many} sockets", config.hostname),
        };

        let listening = |listener: &Listener| listener.address;
        let submission: Vec<_> = doors.listeners.iter().map(listening).collect();
        let admin_address = doors.admin.address();
        let readiness = Readiness::default();
        let watch = foundation.watch(&config, readiness.clone(), (queue_metrics, unreached));
        let watched = Arc::clone(&watch);
        let watching = tokio::spawn(async move { watched.run().await });
        let stop_admin = CancellationToken::new();
        let (spool, directory) = (Arc::clone(&foundation.spool), foundation.directory.clone());
        let clock = foundation.clock.clone();
        let connection = connection_facts(&config, &doors.listeners);
        let connection = Arc::new(ArcSwap::from_pointee(connection));
        let backup = kept::backup_sources(&config);
        let in_force = Arc::new(Mutex::new(config.clone()));
        let deployer = Arc::new(Deployer {
            in_force: Arc::clone(&in_force),
            parts: Arc::new(deploy::Parts {
                plugins: Arc::clone(&foundation.plugins),
                deployments: Arc::clone(&deployments),
                clock: foundation.clock.clone(),
            }),
        });
        let reloader = Arc::new(Reloader {
            in_force,
            parts: Arc::new(Parts {
                tls: foundation.tls.clone(),
                plugins: Arc::clone(&foundation.plugins),
                deployments,
                reception: Arc::clone(&reception),
                watch: Arc::clone(&watch),
                routes: Arc::clone(&foundation.routes),
                along: Arc::clone(&along),
                delivery_metrics,
                rules,
                rerouting,
                connection,
                backup,
                listening: submission.clone(),
                files_max,
                files: Files::default(),
            }),
        });
        let acceptor = reception::accept(&reception, doors.listeners);
        let entrance = acceptor.entrance(&reception, admin_address.port());
        let foundation_tls = foundation.tls.clone();
        let api = foundation.api(Joints {
            readiness: readiness.clone(),
            reload: Arc::clone(&reloader),
            deploy: deployer,
            retried: Box::new(move || impatience.notify_one()),
            order,
            submissions: Submissions::new(Arc::new(ByHttp(entrance))),
            alerts: Arc::new(ByWatch(watch)),
        });
        let admin_tls = match config.admin.protection {
            Protection::None => None,
            Protection::Tls => Some(foundation_tls),
        };
        let serving = doors
            .admin
            .serve(admin::router(api), admin_tls, stop_admin.clone());
        let admin = tokio::spawn(serving);
        tracing::info!(hostname = %config.hostname, version = env!("CARGO_PKG_VERSION"), "started");
        Ok(Relay {
            config,
            submission,
            admin_address,
            acceptor,
            admin,
            queue,
            notifier: notifying,
            tally: Arc::clone(&reception.tally),
            tallying,
            watching,
            spool,
            directory,
            clock,
            readiness,
            stop_admin,
            stop_queue,
            along,
            reloader,
            greeting,
            status,
        })
    }
}

impl Foundation {
    /// With what was deployed at run time.
    async fn lay(config: &Config) -> Result<(Foundation, Arc<Deployments>), StartError> {
        let clock = Clock::system();
        let mut registry = Registry::default();
        make_folder(&config.data_dir)?;
        if let Some(begun) = backup::unfinished(&config.data_dir) {
            return Err(StartError::one(format!(
                "{} is there: a restore was cut off. Empty the data folder and restore again",
                begun.display()
            )));
        }
        let directory_file = config.data_dir.join("directory.redb");
        // A first start that was cut off may have left it so; the token comes after it.
        if config.data_dir.join("admin-token").exists() {
            refuse_emptied(&directory_file, &config.data_dir.join("spool.redb"))?;
        }
        let spool = spool::open(
            &config.data_dir,
            config.spool.clone(),
            clock.clone(),
            &mut registry,
        )
        .map_err(StartError::one)?;
        let directory = Directory::open(&directory_file, clock.now())
            .map_err(|error| StartError::one(format!("{}: {error}", directory_file.display())))?;
        let users = directory.clone();
        let list_of = move |name: &str| users.user(name).map(|user| user.list.clone());
        spool.know_lists(Box::new(list_of));
        let authenticator = Authenticator::new(&config.auth).map_err(StartError::one)?;
        readings::register(&mut registry, &spool, &authenticator);
        let certificate = tls::examine(&config.tls, &config.hostname);
        let mut mistakes: Vec<Mistake> = certificate
            .problems
            .iter()
            .map(|error| check::of_certificate(config, error))
            .collect();
        let deployments = Deployments::open(&config.data_dir).map_err(StartError::one)?;
        let settings = plugin::Settings {
            chain: deployments.chain(&config.plugin.chain),
            ..config.plugin.clone()
        };
        let loaded = Plugins::load(settings, clock.clone(), &mut registry).await;
        if let Err(problems) = &loaded {
            mistakes.extend(problems.iter().map(|one| check::of_component(config, one)));
        }
        let plugins = match loaded {
            Ok(plugins) if mistakes.is_empty() => {
                let notes = check::about_certificate(config, &certificate)
                    .chain(check::of_chain(config, &plugins.status()))
                    .chain(check::of_absent(config, &deployments));
                for Mistake { line, key, text } in notes {
                    tracing::warn!(line, key, "{text}");
                }
                plugins
            }
            _ => {
                mistakes.sort();
                return Err(StartError::of(config, &mistakes));
            }
        };
        deployments.clear();
        deployments.follow(&config.plugin.chain, &plugins.status());
        let tls = tls::Server::new(&config.tls).map_err(StartError::one)?;
        let foundation = Foundation {
            clock,
            random: Arc::new(random),
            registry,
            directory,
            authenticator,
            plugins,
            spool,
            tls,
            routes: Arc::new(ArcSwap::from_pointee(config.routes.clone())),
        };
        Ok((foundation, Arc::new(deployments)))
    }

    fn has_users(&self) -> bool {
        let users = self.directory.users(&UserFilter::default(), None, 1);
        !users.users.is_empty()
    }

    pub(super) fn queue(
        &mut self,
        config: &Config,
        deliver: Arc<dyn Deliver>,
        metrics: queue::Metrics,
    ) -> Queue {
        let random = Arc::clone(&self.random);
        metrics.register(&mut self.registry);
        Queue::new(queue::Parts {
            settings: config.queue.clone(),
            hostname: config.hostname.clone(),
            spool: Arc::clone(&self.spool),
            deliver,
            next_hop: next_hops(&self.routes),
            // Ids and jitter will do with what there is.
            random: Box::new(move || random().unwrap_or_else(|| u128::from(std::process::id()))),
            clock: self.clock.clone(),
            metrics,
        })
    }

    /// Who writes mail of the relay itself.
    pub(super) fn mailer(&self, config: &Config) -> OwnMailer {
        OwnMailer {
            hostname: config.hostname.clone(),
            spool: Arc::clone(&self.spool),
            routes: Arc::clone(&self.routes),
            clock: self.clock.clone(),
        }
    }

    fn watch(
        &mut self,
        config: &Config,
        readiness: Readiness,
        (queue, unreached): (queue::Metrics, queue::Unreached),
    ) -> Arc<Watch> {
        Watch::new(watch::Parts {
            settings: config.alerts.clone(),
            look: Box::new(watched::Parts {
                readiness,
                queue,
                unreached,
                plugins: Arc::clone(&self.plugins),
                spool: Arc::clone(&self.spool),
                tls: self.tls.clone(),
                clock: self.clock.clone(),
                data_dir: config.data_dir.clone(),
                disk_needed: config.spool.disk_free_octets_min,
            }),
            directory: self.directory.clone(),
            mailer: self.mailer(config),
            clock: self.clock.clone(),
            file: BoardFile::of(&config.data_dir),
            metrics: watch::Metrics::register(&mut self.registry),
        })
    }

    pub(super) fn notifier(&self, config: &Config) -> Arc<Notifier> {
        let settings = config.notifications.clone();
        Notifier::new(settings, self.directory.clone(), self.mailer(config))
    }

    pub(super) fn reception(
        &mut self,
        config: &Config,
        settings: reception::Settings,
        notifier: Arc<Notifier>,
    ) -> Arc<Reception> {
        Arc::new(Reception {
            connections: Connections::new(&settings),
            spared: reception::Spared::default(),
            shares: Shares::new(self.spool.figures().octets_in_flight_max),
            settings,
            protocol: ArcSwap::from_pointee(reload::protocol(config)),
            tls: self.tls.clone(),
            directory: self.directory.clone(),
            authenticator: self.authenticator.clone(),
            plugins: Arc::clone(&self.plugins),
            spool: Arc::clone(&self.spool),
            routes: Arc::clone(&self.routes),
            notifier,
            tally: Tally::new(Arc::clone(&self.spool)),
            clock: self.clock.clone(),
            random: Arc::clone(&self.random),
            metrics: reception::Metrics::register(&mut self.registry),
        })
    }

    /// The admin surface. It shows the metrics of everybody, so it comes last.
    fn api(mut self, joints: Joints) -> Api {
        let Joints {
            readiness,
            reload,
            deploy,
            retried,
            order,
            submissions,
            alerts,
        } = joints;
        let metrics = admin::Metrics::register(&mut self.registry);
        let started = self.clock.now();
        Api {
            directory: self.directory,
            auth: self.authenticator,
            spool: self.spool,
            order,
            retried,
            submissions,
            alerts,
            plugins: self.plugins,
            deploy,
            uploads: admin::Uploads::default(),
            connection: Arc::clone(&reload.parts.connection),
            backup: reload.parts.backup.clone(),
            reload,
            tls: self.tls,
            sessions: admin::Sessions::default(),
            live: admin::Live::default(),
            answers: admin::Answers::default(),
            undos: admin::Undos::default(),
            audit: admin::audit::Audit::default(),
            registry: Arc::new(self.registry),
            metrics,
            readiness,
            clock: self.clock,
            started,
        }
    }
}

/// Refuses a store that has become empty, as a copy onto a full disk or a crash of the file system leaves
/// it: beside the other one it is not that of a first start, and what it held would be gone in silence.
fn refuse_emptied(directory: &Path, spool: &Path) -> Result<(), StartError> {
    let octets = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    let lines = [
        (
            directory,
            spool,
            "all users are lost. Restore it from a backup, or remove it to start without users",
        ),
        (
            spool,
            directory,
            "all queued mail is lost. Move it, spool.journal and content/ aside to start with an empty queue",
        ),
    ]
    .into_iter()
    .filter(|(emptied, other, ..)| emptied.exists() && octets(emptied) == 0 && octets(other) > 0)
    .map(|(emptied, other, lost)| {
        format!(
            "{}: the file is empty, though {} beside it is not: {lost}",
            emptied.display(),
            other.file_name().unwrap_or_default().display(),
        )
    });
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() {
        Ok(())
    } else {
        Err(StartError(lines))
    }
}

/// Reception's settings, with fewer clients than configured where the rest would be left without open files.
pub(super) fn with_room(config: &Config, files_max: u64, listeners: usize) -> reception::Settings {
    let mut settings = config.reception.clone();
    let wanted = settings.connections_max;
    let clients_max =
        files::clients_max(wanted, files_max, listeners, config.queue.simultaneous_max);
    if clients_max < wanted {
        tracing::warn!(
            connections_max = wanted,
            clients_max,
            files_max,
            "the limit on open files leaves room for fewer clients at once than configured"
        );
    }
    settings.connections_max = clients_max;
    settings
}

fn make_folder(path: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(|error| {
        if path.is_file() {
            let path = path.display();
            return StartError::one(format!("the data folder {path} is a file"));
        }
        let path = path.display();
        StartError::one(format!("the data folder {path} cannot be made: {error}"))
    })
}

fn connection_facts(config: &Config, listeners: &[Listener]) -> ConnectionFacts {
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
        certificate: certificate(config),
    }
}

pub(super) fn certificate(config: &Config) -> Certificate {
    match config.tls {
        tls::Settings::Configured { .. } => Certificate::Configured,
        tls::Settings::SelfSigned { .. } => Certificate::SelfSigned,
    }
}

fn next_hops(routes: &Arc<ArcSwap<Routes>>) -> Box<queue::NextHopOf> {
    let routes = Arc::clone(routes);
    Box::new(move |source, mailbox| routes.load().next_hop(source, mailbox))
}

/// Who makes attempts with the settings of this configuration; `loops` lead back here.
pub(super) fn deliverer(
    config: &Config,
    loops: &[Loop],
    metrics: delivery::Metrics,
    gate: Gate,
) -> Arc<Deliverer> {
    let mut settings = config.delivery.clone();
    for found in loops {
        if let Some(smarthost) = settings.smarthosts.get_mut(&found.host.to_string()) {
            smarthost.is_this_relay = true;
        }
    }
    let network = delivery::Network {
        resolver: Resolver::new(&config.dns),
        dialer: net::Dialer::tcp(),
        tls: tls::client::Connector::new(Vec::new()),
        random: || random().map_or(0, |random| random as u64),
        clock: Clock::system(),
    };
    Deliverer::new(settings, network, metrics, gate)
}

/// The system's random numbers. Its source does not fail once it has worked, and it has: keys are made from it
/// before.
fn random() -> Option<u128> {
    let mut octets = [0; 16];
    match getrandom::fill(&mut octets) {
        Ok(()) => Some(u128::from_ne_bytes(octets)),
        Err(error) => {
            tracing::error!(%error, "the system gives no random numbers");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_store_that_is_empty_beside_the_other_is_refused_and_a_first_start_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (directory, spool) = (folder.path().join("d"), folder.path().join("s"));
        let refused = |directory_is: Option<&str>, spool_is: Option<&str>| {
            for (path, text) in [(&directory, directory_is), (&spool, spool_is)] {
                drop(fs::remove_file(path));
                if let Some(text) = text {
                    fs::write(path, text).unwrap();
                }
            }
            let refused = refuse_emptied(&directory, &spool);
            refused
                .map_err(|error| error.to_string())
                .err()
                .unwrap_or_default()
        };
        for (directory_is, spool_is) in [
            (None, None),
            (Some(""), None),
            (Some(""), Some("")),
            (None, Some("mail")),
            (Some("users"), None),
            (Some("users"), Some("mail")),
        ] {
            assert_eq!(refused(directory_is, spool_is), "");
        }
        let said = refused(Some(""), Some("mail"));
        assert!(said.ends_with("remove it to start without users"), "{said}");
        let said = refused(Some("users"), Some(""));
        assert!(
            said.ends_with("aside to start with an empty queue"),
            "{said}"
        );
    }
}
