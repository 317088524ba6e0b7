//! How many recipients each user of a page has reached, by the statistics.
//!
//! A question for each user reads the few rows of its name, whatever else was counted; all users at once would be a walk
//! over everybody. A page does not wait for them for long: what is not known by then is left out.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::admin::Api;
use crate::admin::statistics::{self, StatisticsQuery};
use crate::admin::users::UserDocument;

/// Over how many days it is counted, today included.
pub(super) const DAYS: u64 = 30;
/// How long a page waits for all of its users.
const COUNTED_WITHIN: Duration = Duration::from_millis(250);

/// The figure of each of these users; none where it could not be read in time.
pub(super) async fn sent(api: &Arc<Api>, users: &[UserDocument]) -> Vec<Option<u64>> {
    let until = Instant::now() + COUNTED_WITHIN;
    let now = api.clock.now();
    let since = now.minus(Duration::from_secs(86_400 * (DAYS - 1)));
    let mut figures = Vec::with_capacity(users.len());
    for user in users {
        let query = StatisticsQuery {
            user: Some(user.name.clone()),
            since: Some(since.to_string()),
            until: Some(now.to_string()),
            ..StatisticsQuery::default()
        };
        let counted = timeout_at(until, statistics::document(api, query)).await;
        figures.push(counted.ok().and_then(Result::ok).map(|of| of.total.sent));
    }
    figures
}
