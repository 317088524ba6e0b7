//! Joins the watch to the parts that it looks at, and the admin surface to the watch.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::admin::{Alerts, Readiness, disk_of};
use crate::alert::{
    Alert, Certificate, Disk, Facts, ListCounts, NextHopFacts, OpenBreaker, RefusedSenders, Tried,
    VeryHigh, Ways,
};
use crate::clock::Clock;
use crate::message::{NextHop, RELAY, Timestamp};
use crate::plugin::{BreakerState, Plugins};
use crate::queue::{self, Unreached};
use crate::spool::statistics::{self, Dimension, Name, Question};
use crate::spool::{RefusalFilter, Spool};
use crate::tls;
use crate::watch::{Look, Watch};

/// Rows of refused senders that are looked at for one look.
const REFUSALS_MAX: usize = 1_000;
/// What counts as lately where things are counted.
const LATELY: Duration = Duration::from_secs(3_600);

/// The parts that are looked at.
pub(super) struct Parts {
    pub readiness: Readiness,
    pub queue: queue::Metrics,
    pub unreached: Unreached,
    pub plugins: Arc<Plugins>,
    pub spool: Arc<dyn Spool>,
    pub tls: tls::Server,
    pub clock: Clock,
    pub data_dir: PathBuf,
    /// With less room no mail is taken.
    pub disk_needed: u64,
}

impl Look for Parts {
    fn facts(&self) -> Pin<Box<dyn Future<Output = Facts> + Send + '_>> {
        Box::pin(async move {
            let now = self.clock.now();
            let very_high = self.queue.very_high(now);
            Facts {
                unready: self.unready(),
                very_high: very_high.map(|(p99, objective)| VeryHigh { p99, objective }),
                disk: self.disk().await,
                breakers: self.breakers(),
                next_hops: self.next_hops(now),
                certificate: self.tls.certificate().map(|facts| Certificate {
                    names: facts.names,
                    not_after: facts.not_after,
                }),
                lists: self.lists(now).await,
                refused: self.refused(now),
            }
        })
    }
}

impl Parts {
    fn unready(&self) -> Vec<(String, String)> {
        let reasons = self.readiness.with(&*self.spool).into_iter();
        reasons.map(|reason| (reason.part, reason.reason)).collect()
    }

    async fn disk(&self) -> Option<Disk> {
        let (folder, needed_octets) = (self.data_dir.clone(), self.disk_needed);
        // A disk that hangs must not keep the runtime.
        let disk = tokio::task::spawn_blocking(move || disk_of(&folder)).await;
        let disk = disk.ok().flatten()?;
        Some(Disk {
            free_octets: disk.free_octets,
            total_octets: disk.total_octets,
            needed_octets,
        })
    }

    fn breakers(&self) -> Vec<OpenBreaker> {
        let components = self.plugins.breakers().into_iter();
        let open = components.filter_map(|(component, status)| {
            let closed = |state| state == BreakerState::Closed;
            let questions = status.iter().filter(|(_, status)| !closed(status.state));
            let questions: Vec<_> = questions.map(|(question, _)| question.name()).collect();
            let users = status.iter().map(|(_, status)| status.users).max();
            let users = users.unwrap_or(0);
            (!questions.is_empty() || users > 0).then_some(OpenBreaker {
                component,
                questions,
                users,
            })
        });
        open.collect()
    }

    /// Of hosts that many send to, only those with much mail: there is always a domain somewhere whose host is down.
    fn next_hops(&self, now: Timestamp) -> Vec<NextHopFacts> {
        let unreached = self.unreached.list(now).into_iter();
        let down = unreached
            .filter(|hop| hop.is_shut || matches!(hop.next_hop, NextHop::Smarthost(_)))
            .map(|hop| NextHopFacts {
                name: hop.next_hop.to_string(),
                since: hop.since,
                attempts: hop.attempts,
                answer: hop.answer,
            });
        down.collect()
    }

    async fn lists(&self, now: Timestamp) -> Vec<ListCounts> {
        let question = Question {
            since: now.minus(LATELY),
            until: now,
            period: None,
            by: Some(Dimension::List),
            filter: statistics::Filter::default(),
            most: None,
            cursor: None,
            rows_max: statistics::ROWS_MAX,
        };
        let Ok(Ok(answer)) = self.spool.statistics(question).await else {
            // That the spool cannot be read shows elsewhere.
            return Vec::new();
        };
        let since = answer.since;
        // Differences that were not rolled up yet may be below nothing.
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        let rows = answer.rows.into_iter();
        let counts = rows.filter_map(|row| match row.name {
            Some(Name::Text(list)) if list != RELAY => Some(ListCounts {
                list,
                since,
                sent: count(row.counts.sent),
                bounced: count(row.counts.bounced).saturating_add(count(row.counts.expired)),
            }),
            _ => None,
        });
        counts.collect()
    }

    fn refused(&self, now: Timestamp) -> Vec<RefusedSenders> {
        let filter = RefusalFilter {
            since: Some(now.minus(LATELY)),
            ..RefusalFilter::default()
        };
        let refusals = self.spool.refusals();
        let page = refusals.page(&filter, None, REFUSALS_MAX, now);
        let mut by_list: Vec<RefusedSenders> = Vec::new();
        // The last ones first.
        for row in page.unwrap_or_default().rows {
            let refusal = &row.refusal;
            let known = by_list.iter_mut().find(|known| known.list == refusal.list);
            match known {
                Some(known) => known.pairs += 1,
                None => by_list.push(RefusedSenders {
                    list: refusal.list.clone(),
                    pairs: 1,
                    user: refusal.user.clone(),
                    sender: match &refusal.sender {
                        Some(sender) => sender.to_string(),
                        None => "<>".to_owned(),
                    },
                }),
            }
        }
        by_list
    }
}

/// What the admin surface knows of alerts.
pub(super) struct ByWatch(pub(super) Arc<Watch>);

impl Alerts for ByWatch {
    fn alerts(&self) -> Vec<Alert> {
        self.0.alerts()
    }

    fn worst(&self) -> Option<(Alert, usize)> {
        self.0.worst()
    }

    fn ways(&self) -> Ways {
        self.0.ways()
    }

    fn acknowledge<'a>(
        &'a self,
        id: u64,
        by: &'a str,
    ) -> Pin<Box<dyn Future<Output = Option<Alert>> + Send + 'a>> {
        Box::pin(self.0.acknowledge(id, by))
    }

    fn try_out(&self) -> Pin<Box<dyn Future<Output = Tried> + Send + '_>> {
        Box::pin(self.0.try_out())
    }
}
