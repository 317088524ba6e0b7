//! One life of the relay: put together as a start does it, on a simulated disk and a network of memory, until it is
//! stopped or its runtime goes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::DuplexStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::World;
use super::host;
use super::line::Line;
use super::watched::Watched;
use super::weather::DOMAINS;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::delivery::{self, Deliverer, Gate};
use crate::dns::{Resolver, Table};
use crate::message::{Routes, Timestamp};
use crate::net::Dialer;
use crate::queue;
use crate::reception::{self, Acceptor, Reception};
use crate::relay::deliver::{Along, Way};
use crate::relay::start::Foundation;
use crate::spool::{Spool, SpoolError, stage};
use crate::telemetry::Registry;
use crate::tls::client::Connector;

/// A relay that lives.
pub(super) struct Life {
    pub(super) clock: Clock,
    pub(super) spool: Arc<dyn Spool>,
    pub(super) watched: Arc<Watched>,
    pub(super) impatience: Arc<tokio::sync::Notify>,
    disk: stage::Disk,
    reception: Arc<Reception>,
    acceptor: Acceptor,
}

/// What a stop needs beside the relay itself.
pub(super) struct Reins {
    stop_queue: CancellationToken,
    queue: JoinHandle<()>,
    notifier: JoinHandle<()>,
    tallying: JoinHandle<()>,
    along: Arc<Along>,
}

impl Life {
    /// Starts a relay on a disk.
    ///
    /// # Errors
    /// What the spool says of the disk.
    pub(super) fn begin(
        world: &Arc<World>,
        disk: &stage::Disk,
        at: Timestamp,
    ) -> Result<(Arc<Self>, Reins), String> {
        let clock = Clock::with_timers(at);
        let dice = Arc::clone(world);
        let takes = move || dice.dice.pause(dice.weather.disk);
        let spool = stage::open(disk, world.weather.spool.clone(), clock.clone(), takes)?;
        let users = world.house.directory.clone();
        let list_of = move |name: &str| users.user(name).map(|user| user.list.clone());
        spool.know_lists(Box::new(list_of));
        let config = config(world);
        let dice = Arc::clone(world);
        let mut foundation = Foundation {
            clock: clock.clone(),
            random: Arc::new(move || {
                let number = || u128::from(dice.dice.number());
                Some(number() << 64 | number())
            }),
            registry: Registry::default(),
            directory: world.house.directory.clone(),
            authenticator: world.house.authenticator.clone(),
            plugins: Arc::clone(&world.house.plugins),
            spool: Arc::clone(&spool),
            tls: world.house.tls.clone(),
            routes: Arc::new(ArcSwap::from_pointee(Routes::new(Vec::new()))),
        };
        let gate = Gate::new(config.gate.clone(), delivery::GateMetrics::default());
        let way = Way {
            routes: foundation.routes.load_full(),
            deliverer: deliverer(world, &config, gate.clone(), clock.clone()),
        };
        let along = Along::new(way, gate);
        let watched = Watched::new(world, clock.clone(), Arc::<Along>::clone(&along));
        let queue = foundation.queue(
            &config,
            Arc::<Watched>::clone(&watched),
            queue::Metrics::default(),
        );
        let impatience = queue.impatience();
        let stop_queue = CancellationToken::new();
        let queue = tokio::spawn(queue.run(stop_queue.clone().cancelled_owned()));
        let notifier = foundation.notifier(&config);
        let notifying = Arc::clone(&notifier);
        let notifying = tokio::spawn(async move { notifying.run().await });
        let reception = foundation.reception(&config, reception::Settings::default(), notifier);
        let tally = Arc::clone(&reception.tally);
        let tallying = tokio::spawn(async move { tally.run().await });
        let acceptor = reception::accept(&reception, Vec::new());
        let life = Self {
            clock,
            spool,
            watched,
            impatience,
            disk: disk.clone(),
            reception,
            acceptor,
        };
        let reins = Reins {
            stop_queue,
            queue,
            notifier: notifying,
            tallying,
            along,
        };
        Ok((Arc::new(life), reins))
    }

    /// Serves a client.
    pub(super) fn serve(&self, stream: DuplexStream, client: SocketAddr) {
        self.acceptor.serve(&self.reception, stream, client);
    }

    /// Whether the power is out.
    pub(super) fn is_out(&self) -> bool {
        self.disk.is_out()
    }

    /// Deliveries that are queued.
    pub(super) fn queued(&self) -> u64 {
        self.spool.figures().queued.iter().sum()
    }

    /// Deliveries that were cancelled and can be restored.
    pub(super) fn cancelled(&self) -> u64 {
        self.spool.figures().cancelled
    }

    /// Stops in order, as the relay does.
    pub(super) async fn stop(&self, reins: Reins, grace: Duration) -> Result<(), SpoolError> {
        reins.stop_queue.cancel();
        let (_, queue) = tokio::join!(self.acceptor.drain(grace), reins.queue);
        queue.unwrap();
        reins.notifier.abort();
        reins.tallying.abort();
        // What a full disk does not take is lost with the process, as in the relay.
        drop(self.reception.tally.note().await);
        reins.along.way().deliverer.close().await;
        self.spool.close().await
    }
}

fn config(world: &World) -> Config {
    let mut config = config::parse("hostname = \"relay.example\"").unwrap();
    config.plaintext_auth = true;
    config.delivery.listens_on_mx_port = false;
    config.queue = world.weather.queue.clone();
    config.gate = world.weather.gate.clone();
    config.delivery.hostname = "relay.example".to_owned();
    config.delivery.connections_per_host_max = world.weather.connections_per_host_max;
    config.delivery.transactions_per_connection_max = world.weather.transactions_per_connection_max;
    config
}

/// Who makes attempts: each hop has two hosts of different preference, which are of one mind.
fn deliverer(world: &Arc<World>, config: &Config, gate: Gate, clock: Clock) -> Arc<Deliverer> {
    let mut table = Table::new();
    let mut hops = BTreeMap::new();
    for (hop, domain) in (0u8..).zip(DOMAINS) {
        for preference in [10, 20] {
            let host = format!("mx{preference}.{domain}");
            let address = SocketAddr::from(([198, 18, hop, preference], 25));
            table = table.mx(domain, preference.into(), &host);
            table = table.address(&host, &address.ip().to_string());
            hops.insert(address, usize::from(hop));
        }
    }
    let world = Arc::clone(world);
    let network = delivery::Network {
        resolver: Resolver::from_table(table),
        dialer: Dialer::memory(move |address| {
            let stream = host::dial(&world, hops[&address])?;
            let (line, open) = Line::open(&world, stream, address);
            if open > world.weather.connections_per_host_max {
                let mut seen = world.witness.seen();
                seen.wrong(format!("{open} connections to {address} at once"));
            }
            Ok(Box::new(line))
        }),
        tls: Connector::new(Vec::new()),
        random: || 7,
        clock,
    };
    Deliverer::new(
        config.delivery.clone(),
        network,
        delivery::Metrics::unregistered(),
        gate,
    )
}
