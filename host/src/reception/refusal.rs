//! Refused senders: told to a list's addresses, and tallied for the spool.
//!
//! The domain sender notification tells a list's addresses who was refused as whom.
//! The first refusal of a user and domain is told at once; what follows is counted and told in ever
//! longer intervals for as long as it goes on. Notifications go out as mail of the relay itself, so
//! they raise nothing themselves; the refused sender's address never gets one.

mod bursts;
mod notice;
mod tally;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use outpost_smtp::Mailbox;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::bursts::{Bursts, Telling};
use self::notice::Notice;
use super::Reception;
use crate::account::{List, SenderRules};
use crate::directory::Directory;
use crate::message::{Address, Class, Submission};
use crate::policy::Reason;
use crate::spool::{NamedIn, OwnMailer, OwnMessage, RefusedMessage};

pub use self::tally::Tally;

/// Senders that one line of the log names, and reasons.
const SHOWN_MAX: usize = 20;

/// Bursts that are told apart; what goes beyond is counted per list. Each is some hundred octets.
const BURSTS_MAX: usize = 10_000;

/// A sender that the components refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RefusedSender {
    pub list: String,
    pub user: String,
    pub client: IpAddr,
    /// Whom the message claimed to be from.
    pub senders: Vec<Address>,
    /// Why, in the components' words.
    pub reasons: Vec<String>,
}

/// Tells the operator that a sender was refused: in the log, by a notification, and in the listing of refused senders.
/// There those whom the user's rules cover are left out, where they do not cover all: they are not what it was refused for.
pub(super) fn raise(
    reception: &Reception,
    submission: &Submission,
    rules: &SenderRules,
    (senders, named_in): (Vec<Address>, NamedIn),
    reasons: &[Reason],
) {
    let reasons: Vec<String> = reasons
        .iter()
        .map(|reason| format!("{}: {}", reason.rule(), reason.detail()))
        .collect();
    let now = reception.clock.now();
    if let Some(left_out) = reception
        .spared
        .refused_senders
        .admits(&submission.user, now)
    {
        let shown: Vec<String> = senders
            .iter()
            .take(SHOWN_MAX)
            .map(Address::to_string)
            .collect();
        tracing::info!(
            user = %submission.user,
            client = %submission.client.ip(),
            sender = shown.join(", "),
            senders = senders.len(),
            reasons = reasons[..reasons.len().min(SHOWN_MAX)].join("; "),
            left_out,
            "sender refused"
        );
    }
    let uncovered = senders
        .iter()
        .filter(|sender| rules.covering(sender).is_none());
    let uncovered: Vec<Address> = uncovered.cloned().collect();
    reception.tally.add(RefusedMessage {
        list: submission.list.clone(),
        user: submission.user.clone(),
        client: submission.client.ip(),
        at: now,
        senders: match uncovered.is_empty() {
            true => senders.clone(),
            false => uncovered,
        },
        named_in,
        reasons: reasons.clone(),
    });
    reception.notifier.raise(RefusedSender {
        list: submission.list.clone(),
        user: submission.user.clone(),
        client: submission.client.ip(),
        senders,
        reasons,
    });
}

/// How refusals become notifications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Between the tellings of one burst: the first interval, the second, …; the last repeats.
    pub intervals: Vec<Duration>,
    /// Who is told where a list has no addresses of its own.
    pub addresses: Vec<Mailbox>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            intervals: [10, 60, 600, 3_600].map(Duration::from_secs).to_vec(),
            addresses: Vec::new(),
        }
    }
}

/// Turns refused senders into notifications.
pub struct Notifier {
    addresses: ArcSwap<Vec<Mailbox>>,
    directory: Directory,
    mailer: OwnMailer,
    bursts: Mutex<Bursts>,
    raised: Notify,
}

impl Notifier {
    /// A notifier; nothing is sent until [`Notifier::run`] runs.
    pub fn new(settings: Settings, directory: Directory, mailer: OwnMailer) -> Arc<Self> {
        Arc::new(Self {
            addresses: ArcSwap::from_pointee(settings.addresses),
            directory,
            mailer,
            bursts: Mutex::new(Bursts::new(settings.intervals, BURSTS_MAX)),
            raised: Notify::new(),
        })
    }

    /// From now on it is told like this; bursts go on.
    pub fn follow(&self, settings: Settings) {
        self.addresses.store(Arc::new(settings.addresses));
        self.bursts().follow(settings.intervals);
    }

    /// Takes note of a refused sender, if there is somebody to tell: what nobody was told begins no
    /// burst, so that the first refusal after an address was given is told at once. Never waits.
    pub(super) fn raise(&self, refused: RefusedSender) {
        let list = self.directory.list(&refused.list);
        if list.is_none_or(|list| self.recipients(&list, &refused.senders).is_empty()) {
            return;
        }
        if self.bursts().take(refused, Instant::now()) {
            self.raised.notify_one();
        }
    }

    /// Sends notifications for as long as it is polled.
    pub async fn run(&self) {
        loop {
            let (tellings, next) = {
                let mut bursts = self.bursts();
                (bursts.due(Instant::now()), bursts.next_due())
            };
            for telling in tellings {
                self.tell(telling).await;
            }
            match next {
                Some(next) => tokio::select! {
                    biased;
                    () = tokio::time::sleep_until(next) => {}
                    () = self.raised.notified() => {}
                },
                None => self.raised.notified().await,
            }
        }
    }

    async fn tell(&self, telling: Telling) {
        let Some(list) = self.directory.list(&telling.last.list) else {
            return;
        };
        let recipients = self.recipients(&list, &telling.last.senders);
        if recipients.is_empty() {
            return;
        }
        let user = self.directory.user(&telling.last.user);
        let senders_now = user
            .map(|user| user.rules.senders_text())
            .unwrap_or_default();
        let notice = Notice {
            telling: &telling,
            senders_now: &senders_now,
        };
        let (subject, body) = (notice.subject(), notice.body());
        let sent = self.mailer.send(OwnMessage {
            list: &list.name,
            recipients: &recipients,
            class: Class::Normal,
            subject: &subject,
            body: &body,
        });
        if let Err(error) = sent.await {
            tracing::warn!(list = %list.name, user = %telling.last.user, %error, "a notification could not be queued");
        }
    }

    /// The list's addresses, or those for lists that have none; without those that the message claimed to be from.
    fn recipients(&self, list: &List, senders: &[Address]) -> Vec<Mailbox> {
        let is_sender = |mailbox: &Mailbox| {
            Address::from_mailbox(mailbox).is_ok_and(|address| {
                senders.iter().any(|sender| {
                    sender.domain() == address.domain()
                        && sender.local().eq_ignore_ascii_case(address.local())
                })
            })
        };
        let others = self.addresses.load();
        let told = match list.notify.is_empty() {
            true => &**others,
            false => &list.notify,
        };
        let told = told.iter().filter(|mailbox| !is_sender(mailbox));
        told.cloned().collect()
    }

    fn bursts(&self) -> MutexGuard<'_, Bursts> {
        self.bursts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
