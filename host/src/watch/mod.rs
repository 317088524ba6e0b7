//! The watch: looks at the relay now and then, keeps the board of alerts, and tells of them by mail and by webhook.
//!
//! What is wrong is judged by `alert`; what the facts are is told by whoever assembles the relay. The board is kept in a
//! file, so that a restart neither tells anything twice nor forgets to. A channel that fails is tried again, and keeps
//! nobody from anything.

mod calling;
mod metrics;
mod settings;
mod stored;

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use outpost_smtp::Mailbox;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use self::calling::Caller;
pub use self::metrics::Metrics;
pub use self::settings::Settings;
pub use self::stored::BoardFile;
use crate::alert::{
    Alert, Audience, Board, Channel, Facts, Letter, News, Tried, Ways, judge, subject_of,
};
use crate::clock::Clock;
use crate::directory::Directory;
use crate::message::{Class, RELAY};
use crate::spool::{OwnMailer, OwnMessage, SpoolError};

/// How often it is looked. What is to be known within seconds has a metric.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Tells what the facts are.
pub trait Look: Send + Sync + 'static {
    /// Those of this moment.
    fn facts(&self) -> Pin<Box<dyn Future<Output = Facts> + Send + '_>>;
}

/// What the watch is made of.
pub struct Parts {
    /// What the operator chose.
    pub settings: Settings,
    /// Who knows the facts.
    pub look: Box<dyn Look>,
    /// Who has the addresses of lists.
    pub directory: Directory,
    /// Who takes letters.
    pub mailer: OwnMailer,
    /// The time.
    pub clock: Clock,
    /// Where the board is kept.
    pub file: BoardFile,
    /// What is counted.
    pub metrics: Metrics,
}

/// Watches the relay.
pub struct Watch {
    settings: ArcSwap<Settings>,
    look: Box<dyn Look>,
    directory: Directory,
    mailer: OwnMailer,
    clock: Clock,
    file: BoardFile,
    metrics: Metrics,
    board: Mutex<Board>,
    /// One version of the board at a time is on its way to the disk.
    keeping: tokio::sync::Mutex<Board>,
    caller: Caller,
    /// There may be something to tell the webhook, or another one to tell it.
    news: Notify,
}

impl Watch {
    /// One that has looked at nothing yet. What is kept of the board is read now.
    pub fn new(parts: Parts) -> Arc<Self> {
        let now = parts.clock.now();
        let board = match parts.file.read(now) {
            Ok(board) => board,
            Err(error) => {
                tracing::warn!(%error, "what is kept of alerts cannot be read, and they begin anew");
                Board::default()
            }
        };
        Arc::new(Self {
            caller: Caller::new(parts.settings.webhook.clone()),
            settings: ArcSwap::from_pointee(parts.settings),
            look: parts.look,
            directory: parts.directory,
            mailer: parts.mailer,
            clock: parts.clock,
            file: parts.file,
            metrics: parts.metrics,
            keeping: tokio::sync::Mutex::new(board.clone()),
            board: Mutex::new(board),
            news: Notify::new(),
        })
    }

    /// From now on it watches like this.
    pub fn follow(&self, settings: Settings) {
        self.caller.follow(settings.webhook.clone());
        self.settings.store(Arc::new(settings));
        self.news.notify_one();
    }

    /// Watches for as long as it is polled.
    pub async fn run(&self) {
        let looking = async {
            let mut ticks = interval(LOOK_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                self.look_once().await;
            }
        };
        tokio::join!(looking, self.call());
    }

    /// All active alerts, and those that ended lately, in the order in which they began.
    pub fn alerts(&self) -> Vec<Alert> {
        self.board().alerts().to_vec()
    }

    /// The worst one that is critical and active, and not acknowledged; and how many such there are.
    pub fn worst(&self) -> Option<(Alert, usize)> {
        self.board().worst()
    }

    /// Who is told.
    pub fn ways(&self) -> Ways {
        let addresses = self
            .settings
            .load()
            .addresses
            .iter()
            .map(Mailbox::to_string)
            .collect();
        let webhook = self.caller.standing();
        Ways { addresses, webhook }
    }

    /// Somebody acknowledges an alert. None where there is no active one of that number.
    pub async fn acknowledge(&self, id: u64, by: &str) -> Option<Alert> {
        let now = self.clock.now();
        let acknowledged = self.board().acknowledge(id, by, now).cloned()?;
        self.keep().await;
        Some(acknowledged)
    }

    /// Tells everybody something that is no alert, and what came of it.
    pub async fn try_out(&self) -> Tried {
        let settings = self.settings.load_full();
        let mail = match settings.addresses.as_slice() {
            [] => None,
            addresses => {
                let subject = format!("[{}] Alert: this is a test", self.mailer.hostname);
                let body = "Somebody asked the relay to try out how it tells of alerts. This letter has\n\
                            arrived, so it can. Nothing is wrong.\n";
                let sent = self.write(RELAY, addresses, &subject, body).await;
                let to = addresses.iter().map(Mailbox::to_string).collect();
                Some(sent.map(|()| to).map_err(|error| error.to_string()))
            }
        };
        let webhook = self
            .caller
            .try_out(&self.mailer.hostname, self.clock.now())
            .await;
        Tried { mail, webhook }
    }

    /// Looks, and tells what there is to tell by mail.
    async fn look_once(&self) {
        let facts = self.look.facts().await;
        let (settings, now) = (self.settings.load_full(), self.clock.now());
        let wrong = judge(&facts, &settings.thresholds, now);
        let changes = self.board().look(wrong, now);
        for (news, alert) in &changes {
            log(*news, alert);
        }
        self.metrics.show(self.board().alerts());
        if !changes.is_empty() {
            self.keep().await;
        }
        self.news.notify_one();
        self.write_letters(&settings).await;
    }

    async fn write_letters(&self, settings: &Settings) {
        let now = self.clock.now();
        let due = self
            .board()
            .letters_due(settings.mail_every, settings.remind_after, now);
        let mut is_changed = false;
        for (audience, news) in due {
            let to = self.addresses(&audience, settings);
            if to.is_empty() {
                // Whoever gives addresses later is told of what goes on then.
                self.board()
                    .nobody_to_tell(Channel::Mail, Some(&audience), now);
                continue;
            }
            let letter = Letter {
                hostname: &self.mailer.hostname,
                news: &news,
            };
            let (subject, body) = (letter.subject(), letter.body());
            let list = audience.as_deref().unwrap_or(RELAY);
            match self.write(list, &to, &subject, &body).await {
                Ok(()) => {
                    self.board().written(&audience, &news, now);
                    is_changed = true;
                }
                // It is tried again with the next look.
                Err(error) => {
                    tracing::debug!(%error, "a letter about alerts could not be queued");
                }
            }
        }
        if is_changed {
            self.keep().await;
        }
    }

    async fn write(
        &self,
        list: &str,
        recipients: &[Mailbox],
        subject: &str,
        body: &str,
    ) -> Result<(), SpoolError> {
        let message = OwnMessage {
            list,
            recipients,
            class: Class::High,
            subject,
            body,
        };
        self.mailer.send(message).await.map(drop)
    }

    /// The addresses of a list, or where it has none, or for no list, those of the system.
    fn addresses(&self, audience: &Audience, settings: &Settings) -> Vec<Mailbox> {
        let list = audience.as_ref().and_then(|name| self.directory.list(name));
        match list {
            Some(list) if !list.notify.is_empty() => list.notify.clone(),
            _ => settings.addresses.clone(),
        }
    }

    /// Tells the webhook, one thing after the other, for as long as it is polled.
    async fn call(&self) {
        loop {
            let remind_after = self.settings.load().remind_after;
            let now = self.clock.now();
            if !self.caller.is_there() {
                self.board().nobody_to_tell(Channel::Webhook, None, now);
                self.news.notified().await;
                continue;
            }
            let due = self.board().webhook_due(remind_after, now);
            let Some((news, alert)) = due else {
                self.news.notified().await;
                continue;
            };
            let hostname = &self.mailer.hostname;
            match self.caller.tell(hostname, news, &alert, now).await {
                None => {
                    self.board()
                        .told(Channel::Webhook, &alert, self.clock.now());
                    self.keep().await;
                }
                // It is told in its turn; another webhook is told at once.
                Some(wait) => tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = self.caller.changed() => {}
                },
            }
        }
    }

    /// Keeps the board as it is now. What cannot be kept is told again after a restart, at worst.
    async fn keep(&self) {
        let mut kept = self.keeping.lock().await;
        let board = self.board().clone();
        if *kept == board {
            return;
        }
        let (file, copy) = (self.file.clone(), board.clone());
        let written = tokio::task::spawn_blocking(move || file.write(&copy)).await;
        match written {
            Ok(Ok(())) => *kept = board,
            Ok(Err(error)) => tracing::debug!(%error, "alerts could not be kept"),
            Err(error) => tracing::error!(%error, "keeping alerts failed"),
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        // Each step leaves it whole.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log(news: News, alert: &Alert) {
    let condition = &alert.condition;
    let (number, kind) = (alert.id, condition.kind.name());
    match news {
        News::Ended => {
            tracing::info!(number, kind, subject = %condition.subject, "{}", subject_of(news, alert));
        }
        _ => {
            tracing::warn!(number, kind, subject = %condition.subject, "{}", condition.text);
        }
    }
}

#[cfg(test)]
mod tests;
