//! What the demonstration runs on: a relay with two users, and a sink that is its next hop, in a folder of their own.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use zeroize::Zeroizing;

use super::DemoError;
use super::client::Client;
use super::plan::{DOMAIN, NEWSLETTER, Plan, SHOP};
use crate::admin::client::{self, Ask};
use crate::admin::messages::MessageDocument;
use crate::admin::trail::EventDocument;
use crate::admin::users::NewUserDocument;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::message::{Class, MessageId};
use crate::net::Passed;
use crate::relay::Relay;
use crate::sink::{self, Recorded, SinkError, SinkOptions};

/// Entries of the record that may wait to be looked at: what arrives while the machine is busy for a second or two.
const ENTRIES_MAX: usize = 1 << 16;

/// Deliveries at a time: more than there are letters.
const PER_NEXT_HOP_MAX: usize = 50;

/// How long the relay may take to write down what became of the last message.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);

/// How often it is asked.
const SETTLED_EVERY: Duration = Duration::from_millis(20);

/// Everything that runs. It has to be struck; what is only dropped takes its folder with it at least.
pub(super) struct Stage {
    pub relay: Relay,
    /// Who sends the password reset.
    pub shop: Client,
    /// Who sends the newsletter.
    pub newsletter: Client,
    /// Octets per second at which a paused send goes on.
    pub trickle_octets: u32,
    admin: client::Client,
    hop: Hop,
    folder: TempDir,
}

/// The sink.
struct Hop {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<u64, SinkError>>,
}

impl Hop {
    async fn start(watcher: mpsc::Sender<Recorded>) -> Result<Self, DemoError> {
        let options = SinkOptions {
            listen: loopback(),
            hostname: "mx.reader.example".to_owned(),
            print: false,
            store: None,
            record: None,
            watcher: Some(watcher),
            bytes_per_second: None,
            misdeeds: Vec::new(),
        };
        let (bound, address) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let stopped = async { stopped.await.unwrap_or(()) };
        let task = tokio::spawn(sink::run(options, Clock::system(), bound, stopped));
        match address.await {
            Ok(address) => Ok(Self {
                address,
                stop,
                task,
            }),
            // It has ended, and says why.
            Err(_) => match task.await {
                Ok(Err(error)) => Err(error.into()),
                _ => Err(refused("the next hop", "it has ended")),
            },
        }
    }

    async fn stop(self) {
        // It may have ended by itself.
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

impl Stage {
    /// Sets everything up. What arrives at the next hop comes out of the channel.
    pub(super) async fn set(plan: &Plan) -> Result<(Self, mpsc::Receiver<Recorded>), DemoError> {
        let folder = tempfile::Builder::new()
            .prefix("outpost-demo-")
            .tempdir()
            .map_err(|source| DemoError::Folder {
                path: std::env::temp_dir(),
                source,
            })?;
        let (watcher, arrivals) = mpsc::channel(ENTRIES_MAX);
        let hop = Hop::start(watcher).await?;
        let config = configuration(plan, folder.path(), hop.address)?;
        let (dns, trickle_octets) = (config.dns.clone(), config.gate.trickle_octets);
        let relay = Relay::start(config, Passed::default()).await?;
        match users(&relay, folder.path()).await {
            Ok((admin, passwords)) => {
                let submission = relay.submission().first().copied().unwrap_or(hop.address);
                let [shop, newsletter] = passwords.map(|(user, password)| {
                    Client::new(submission, user, password, &dns, Clock::system())
                });
                let stage = Self {
                    relay,
                    shop,
                    newsletter,
                    trickle_octets,
                    admin,
                    hop,
                    folder,
                };
                Ok((stage, arrivals))
            }
            Err(error) => {
                relay.stop().await;
                hop.stop().await;
                Err(error)
            }
        }
    }

    /// Takes everything down, and removes the folder.
    pub(super) async fn strike(self) -> Result<(), DemoError> {
        self.shop.close().await;
        self.newsletter.close().await;
        self.relay.stop().await;
        self.hop.stop().await;
        let path = self.folder.path().to_owned();
        let removed = self.folder.close();
        removed.map_err(|source| DemoError::Folder { path, source })
    }

    /// How often each message was tried in vain, as the relay has written it down, once it is done with all of them.
    pub(super) async fn attempts(&self, messages: &[MessageId]) -> Result<Vec<u32>, DemoError> {
        let until = Instant::now() + SETTLED_WITHIN;
        let mut times = interval(SETTLED_EVERY);
        times.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut attempts = Vec::new();
        for id in messages {
            loop {
                let ask = Ask::get(format!("/api/v1/messages/{id}"));
                let message: MessageDocument = asked(&self.admin, &ask).await?;
                if message.finished.is_some() {
                    attempts.push(in_vain(&message));
                    break;
                }
                if Instant::now() > until {
                    let what = format!("waiting for the end of message {id}");
                    return Err(refused(what, "the relay has not written it down"));
                }
                times.tick().await;
            }
        }
        Ok(attempts)
    }
}

/// Attempts that did not deliver, by the trail.
fn in_vain(message: &MessageDocument) -> u32 {
    let attempts = message.trail.iter().filter(|entry| {
        matches!(&entry.event, EventDocument::Attempted { recipients, .. }
            if recipients.iter().any(|one| one.outcome != "delivered"))
    });
    u32::try_from(attempts.count()).unwrap_or(u32::MAX)
}

/// Any free port of this machine for itself.
fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// The configuration: the defaults, but for what has to be elsewhere.
fn configuration(plan: &Plan, folder: &Path, next_hop: SocketAddr) -> Result<Config, DemoError> {
    let data_dir = folder.join("data");
    let Some(data_dir) = data_dir.to_str() else {
        let problem = "its name is not UTF-8: set TMPDIR to another one";
        return Err(refused(folder.display(), problem));
    };
    // A JSON string is a basic string of TOML too.
    let data_dir = serde_json::Value::from(data_dir);
    let capacity = plan.capacity;
    let text = format!(
        "hostname = \"relay.localhost\"\n\
         data_dir = {data_dir}\n\
         # What is stopped early is not waited for.\n\
         shutdown_grace = \"0s\"\n\
         [submission]\n\
         addresses = [\"127.0.0.1\"]\n\
         ports = \"2525\"\n\
         implicit_tls_ports = \"\"\n\
         [delivery]\n\
         capacity_bytes_per_second = {capacity}\n\
         per_next_hop_max = {PER_NEXT_HOP_MAX}\n\
         [[delivery.route]]\n\
         recipients = \"*\"\n\
         smarthost = \"{next_hop}\"\n"
    );
    let mut config = config::parse(&text).map_err(|mistakes| {
        let mistakes: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        refused("the configuration", mistakes.join("; "))
    })?;
    // Nobody can write such a port: of a relay that is to be found it is none.
    config.listen.ports = [0..=0].into_iter().collect();
    config.admin.address = loopback();
    Ok(config)
}

type Passwords = [(&'static str, String); 2];

/// Makes the users, as `outpost user add` does.
async fn users(relay: &Relay, folder: &Path) -> Result<(client::Client, Passwords), DemoError> {
    let token_file = folder.join("data/admin-token");
    let token = std::fs::read_to_string(&token_file).map_err(|source| DemoError::Folder {
        path: token_file,
        source,
    })?;
    let token = Zeroizing::new(token.trim().to_owned());
    let admin = client::Client::new(relay.admin(), token, None);
    // The more urgent of what user and message ask for counts: the user's mail is no more urgent than the message says.
    let shop = add(&admin, SHOP).await?;
    let newsletter = add(&admin, NEWSLETTER).await?;
    Ok((admin, [(SHOP, shop), (NEWSLETTER, newsletter)]))
}

async fn add(admin: &client::Client, name: &str) -> Result<String, DemoError> {
    let input = serde_json::json!({
        "name": name,
        "priority": Class::VeryLow.number(),
        "authorized_domains": [DOMAIN],
    });
    let user: NewUserDocument = asked(admin, &Ask::post("/api/v1/users", Some(input))).await?;
    Ok(user.password)
}

/// The answer of the admin API, which is what was asked for.
async fn asked<T: DeserializeOwned>(admin: &client::Client, ask: &Ask) -> Result<T, DemoError> {
    let answer = admin.ask(ask).await;
    let answer = answer.map_err(|error| refused("asking the relay", error))?;
    if !answer.is_success {
        return Err(refused(ask, answer.document));
    }
    serde_json::from_value(answer.document).map_err(|error| refused(ask, error))
}

fn refused(what: impl Display, problem: impl Display) -> DemoError {
    DemoError::Refused {
        what: what.to_string(),
        problem: problem.to_string(),
    }
}
