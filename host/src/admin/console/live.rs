//! What changes on an open page is sent to it: the same rows as the page was made with, made anew.
//!
//! One task makes them, for all who look: whoever looks at the same gets the same. It makes one view after the other and
//! then rests for many times as long as that took, so that however many look, at however much, delivering keeps the
//! machine to itself. It ends when nobody looks any more.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use maud::Markup;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::WatchStream;

use super::pages::{alerts as alerts_page, message, queue};
use super::texts::Texts;
use super::visit::Visitor;
use crate::account::Scope;
use crate::admin::Api;
use crate::admin::access::{Caller, Reader};
use crate::admin::alerts::{AlertsQuery, shown};
use crate::admin::extract::{NoQuery, QueryString, Segment};
use crate::admin::problem::{Kind, Problem};
use crate::admin::queue as queued;
use crate::admin::selection::QueueQuery;

/// Who looks at once: each holds a connection, of which some are left to who does something.
const LOOKING_MAX: usize = 150;
/// Between two looks at the same, while that costs nothing.
const EVERY: Duration = Duration::from_secs(1);
/// How many times as long as it took to make everything the task rests: less than two hundredths of one processor.
const RESTS: u32 = 60;
/// Octets that all of them are sent in a second: where very many look, what they see is some seconds old, and mail has the processor.
const OCTETS_A_SECOND: f64 = 1_000_000.0;
/// A rest is no longer than this, however much is looked at.
const REST_MAX: Duration = Duration::from_secs(60);

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum What {
    /// The first page of the queue with these filters; with boxes to tick for who may act.
    Queue { query: String, may_act: bool },
    /// One message.
    Message { id: String },
    /// Alerts; with a button for who may act.
    Alerts { may_act: bool },
}

/// What is looked at, in which language.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct View {
    what: What,
    language: &'static str,
}

type Made = Arc<str>;

/// The views that somebody looks at.
#[derive(Default)]
pub struct Live {
    looked_at: Mutex<LookedAt>,
}

#[derive(Default)]
struct LookedAt {
    views: HashMap<View, Watched>,
    is_made: bool,
}

struct Watched {
    query: Query,
    texts: &'static Texts,
    made: watch::Sender<Made>,
}

/// What is asked for to make a view.
#[derive(Clone)]
enum Query {
    Queue(Box<QueueQuery>, bool),
    Message(String),
    Alerts(bool),
}

pub(super) async fn queue(
    visitor: Visitor,
    State(api): State<Arc<Api>>,
    QueryString(query): QueryString<QueueQuery>,
) -> Response {
    let may_act = visitor.may(Scope::Operate);
    let text = visitor.path.split_once('?').map(|(_, query)| query);
    let what = What::Queue {
        query: text.unwrap_or_default().to_owned(),
        may_act,
    };
    let query = Query::Queue(Box::new(queue::table::of_page(query)), may_act);
    stream(visitor, api, what, query, "rows")
}

pub(super) async fn message(
    visitor: Visitor,
    State(api): State<Arc<Api>>,
    Segment(id): Segment,
) -> Response {
    let what = What::Message { id: id.clone() };
    stream(visitor, api, what, Query::Message(id), "message")
}

pub(super) async fn alerts(visitor: Visitor, State(api): State<Arc<Api>>, _: NoQuery) -> Response {
    let may_act = visitor.may(Scope::Operate);
    let what = What::Alerts { may_act };
    stream(visitor, api, what, Query::Alerts(may_act), "alerts")
}

fn stream(
    visitor: Visitor,
    api: Arc<Api>,
    what: What,
    query: Query,
    name: &'static str,
) -> Response {
    let view = View {
        what,
        language: visitor.texts.tag(),
    };
    let Some(made) = look(&api, view, query, visitor.texts) else {
        let text = "too many pages are kept up to date at once: load the page again to see what has changed";
        return Problem::new(Kind::Unavailable, text).into_response();
    };
    // What was made last comes first: it may be newer than the page, and nothing else may change for long.
    let events = WatchStream::new(made)
        .filter(|made| !made.is_empty())
        // Who has logged out meanwhile sees no more.
        .take_while(move |_| visitor.still_stands())
        .map(move |made| Ok::<_, Infallible>(Event::default().event(name).data(made.as_ref())));
    let alive = KeepAlive::new().interval(Duration::from_secs(15));
    Sse::new(events).keep_alive(alive).into_response()
}

/// Begins to look at a view.
fn look(
    api: &Arc<Api>,
    view: View,
    query: Query,
    texts: &'static Texts,
) -> Option<watch::Receiver<Made>> {
    let mut looked_at = api.live.looked_at();
    let looking: usize = looked_at
        .views
        .values()
        .map(|watched| watched.made.receiver_count())
        .sum();
    if looking >= LOOKING_MAX {
        return None;
    }
    let watched = looked_at.views.entry(view).or_insert_with(|| Watched {
        query,
        texts,
        made: watch::Sender::new(Arc::from("")),
    });
    let made = watched.made.subscribe();
    if !looked_at.is_made {
        looked_at.is_made = true;
        tokio::spawn(make(Arc::clone(api)));
    }
    Some(made)
}

impl Live {
    fn looked_at(&self) -> MutexGuard<'_, LookedAt> {
        self.looked_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be made now; none when nobody looks any more, and the task is over.
    fn due(&self) -> Option<Vec<(View, Query, &'static Texts)>> {
        let mut looked_at = self.looked_at();
        let views = &mut looked_at.views;
        views.retain(|_, watched| watched.made.receiver_count() > 0);
        if views.is_empty() {
            looked_at.is_made = false;
            return None;
        }
        let due = views
            .iter()
            .map(|(view, watched)| (view.clone(), watched.query.clone(), watched.texts));
        Some(due.collect())
    }

    /// Sends it to who looks, where it is another than before: how many octets to all of them.
    fn send(&self, view: &View, made: &str) -> usize {
        let looked_at = self.looked_at();
        let Some(watched) = looked_at.views.get(view) else {
            return 0;
        };
        let is_sent = watched.made.send_if_modified(|before| {
            let is_another = **before != *made;
            if is_another {
                *before = Arc::from(made);
            }
            is_another
        });
        match is_sent {
            true => made.len() * watched.made.receiver_count(),
            false => 0,
        }
    }
}

/// Makes what is looked at, for as long as somebody does.
async fn make(api: Arc<Api>) {
    while let Some(due) = api.live.due() {
        let began = Instant::now();
        let mut sent = 0;
        for (view, query, texts) in due {
            // What cannot be made now stays as it is on the page.
            if let Ok(made) = made(&api, query, texts).await {
                sent += api.live.send(&view, &made.into_string());
            }
        }
        sleep(rest(began.elapsed(), sent)).await;
    }
}

/// Until the next look, behind one that took so long and of which so many octets were sent.
fn rest(took: Duration, sent: usize) -> Duration {
    let for_sending = Duration::from_secs_f64(sent as f64 / OCTETS_A_SECOND);
    (took * RESTS).max(for_sending).clamp(EVERY, REST_MAX)
}

async fn made(api: &Arc<Api>, query: Query, texts: &'static Texts) -> Result<Markup, Problem> {
    // What is shown is what everybody who is logged in may see.
    let reader = Reader(Caller {
        name: String::new(),
        scope: Scope::Read,
    });
    Ok(match query {
        Query::Queue(query, may_act) => {
            let page = queued::beginning(api, *query).await?;
            queue::table::rows(texts, may_act, &page)
        }
        Query::Message(id) => {
            let shown = message::read(api, reader, id).await?;
            message::story(texts, &shown)
        }
        Query::Alerts(may_act) => {
            let page = shown(api, AlertsQuery::default());
            alerts_page::rows(texts, may_act, &page)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_is_made_and_sent_the_longer_is_the_rest() {
        let page = 80_000;
        let milliseconds = Duration::from_millis;
        assert_eq!(rest(milliseconds(5), page), EVERY);
        assert_eq!(rest(milliseconds(50), page), Duration::from_secs(3));
        assert_eq!(rest(milliseconds(5), 12 * page), EVERY);
        assert_eq!(rest(milliseconds(5), 100 * page), Duration::from_secs(8));
        assert_eq!(rest(Duration::from_secs(2), usize::MAX), REST_MAX);
    }
}
