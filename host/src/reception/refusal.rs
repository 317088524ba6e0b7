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
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use outpost_smtp::{Body, Mailbox, ReversePath};
use tokio::sync::Notify;
use tokio::time::Instant;

use self::bursts::{Bursts, Telling};
use self::notice::Notice;
use super::Reception;
use crate::account::{List, SenderRules};
use crate::clock::Clock;
use crate::directory::Directory;
use crate::message::{
    Address, Class, Envelope, Event, Message, MessageId, Origin, Priorities, Recipient, Routes,
    Source, Submission, TrailEntry,
};
use crate::policy::Reason;
use crate::spool::{NamedIn, NewDelivery, NewMessage, RefusedMessage, Spool, SpoolError};

pub use self::tally::Tally;

/// Senders that one line of the log names, and reasons.
const SHOWN_MAX: usize = 20;

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
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of this relay.
    pub hostname: String,
    /// Between the tellings of one burst: the first interval, the second, …; the last repeats.
    pub intervals: Vec<Duration>,
    /// Bursts that are told apart; what goes beyond is counted per list.
    pub bursts_max: usize,
}

impl Settings {
    /// The usual ones for the relay of that name.
    pub fn new(hostname: String) -> Self {
        let intervals = [10, 60, 600, 3_600].map(Duration::from_secs).to_vec();
        // Each is some hundred octets.
        Self {
            hostname,
            intervals,
            bursts_max: 10_000,
        }
    }
}

/// Turns refused senders into notifications.
pub struct Notifier {
    settings: Settings,
    directory: Directory,
    spool: Arc<dyn Spool>,
    routes: Arc<ArcSwap<Routes>>,
    clock: Clock,
    bursts: Mutex<Bursts>,
    raised: Notify,
}

impl Notifier {
    /// A notifier; nothing is sent until [`Notifier::run`] runs.
    pub fn new(
        settings: Settings,
        directory: Directory,
        spool: Arc<dyn Spool>,
        routes: Arc<ArcSwap<Routes>>,
        clock: Clock,
    ) -> Arc<Self> {
        let bursts = Mutex::new(Bursts::new(settings.intervals.clone(), settings.bursts_max));
        Arc::new(Self {
            settings,
            directory,
            spool,
            routes,
            clock,
            bursts,
            raised: Notify::new(),
        })
    }

    /// Takes note of a refused sender, if there is somebody to tell: what nobody was told begins no
    /// burst, so that the first refusal after an address was given is told at once. Never waits.
    pub(super) fn raise(&self, refused: RefusedSender) {
        let list = self.directory.list(&refused.list);
        if list.is_none_or(|list| recipients(&list, &refused.senders).is_empty()) {
            return;
        }
        let mut bursts = self.bursts.lock().unwrap_or_else(PoisonError::into_inner);
        if bursts.take(refused, Instant::now()) {
            self.raised.notify_one();
        }
    }

    /// Sends notifications for as long as it is polled.
    pub async fn run(&self) {
        loop {
            let (tellings, next) = {
                let mut bursts = self.bursts.lock().unwrap_or_else(PoisonError::into_inner);
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
        let recipients = recipients(&list, &telling.last.senders);
        if recipients.is_empty() {
            return;
        }
        if let Err(error) = self.enqueue(&list, recipients, &telling).await {
            tracing::warn!(list = %list.name, user = %telling.last.user, %error, "a notification could not be queued");
        }
    }

    async fn enqueue(
        &self,
        list: &List,
        recipients: Vec<Mailbox>,
        telling: &Telling,
    ) -> Result<(), SpoolError> {
        let now = self.clock.now();
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| SpoolError::Unavailable(error.into()))?;
        let id = MessageId::new(now, u128::from_ne_bytes(random));
        let user = self.directory.user(&telling.last.user);
        let senders_now = user
            .map(|user| user.rules.senders_text())
            .unwrap_or_default();
        let notice = Notice {
            hostname: &self.settings.hostname,
            id,
            at: now,
            recipients: &recipients,
            telling,
            senders_now: &senders_now,
        };
        let (subject, content) = (notice.subject(), notice.content());
        let mut intake = self.spool.intake(None)?;
        intake.write(content.as_bytes()).await?;
        let recipients: Vec<Recipient> = recipients
            .into_iter()
            .map(|mailbox| Recipient {
                mailbox,
                notify: None,
                orcpt: None,
            })
            .collect();
        let envelope = Envelope {
            reverse_path: ReversePath::Null,
            smtputf8: recipients
                .iter()
                .any(|recipient| !recipient.mailbox.is_ascii()),
            recipients,
            body: Body::SevenBit,
            ret: None,
            envid: None,
            mt_priority: None,
            deliver_by: None,
            hold: None,
            require_tls: false,
        };
        let source = Source {
            reverse_path: &envelope.reverse_path,
            list: &list.name,
        };
        let deliveries = self
            .routes
            .load()
            .split(source, &envelope.recipients)
            .into_iter();
        let class = Class::Normal;
        let message = NewMessage {
            deliveries: deliveries
                .map(|(next_hop, recipients)| NewDelivery::first(next_hop, recipients, now))
                .collect(),
            trail: vec![TrailEntry {
                at: now,
                event: Event::Accepted { class },
            }],
            message: Message {
                id,
                origin: Origin::Relay {
                    list: list.name.clone(),
                    about: None,
                },
                envelope,
                class,
                priorities: Priorities {
                    user: class,
                    message: None,
                },
                accepted: now,
                deliver_until: None,
                scheduled: None,
                content_octets: intake.octets(),
                eight_bit: !content.is_ascii(),
                subject,
                campaign: None,
            },
        };
        self.spool.enqueue(message, intake).await
    }
}

/// The list's addresses, but for those that the message claimed to be from.
fn recipients(list: &List, senders: &[Address]) -> Vec<Mailbox> {
    let is_sender = |mailbox: &Mailbox| {
        Address::from_mailbox(mailbox).is_ok_and(|address| {
            senders.iter().any(|sender| {
                sender.domain() == address.domain()
                    && sender.local().eq_ignore_ascii_case(address.local())
            })
        })
    };
    list.notify
        .iter()
        .filter(|mailbox| !is_sender(mailbox))
        .cloned()
        .collect()
}
