//! The rest of the relay in memory: settings, log, clock, metrics, tables, state and names.
//!
//! One double per thread, so that tests that run side by side do not meet. It is set by [`Relay`]
//! and forgotten when that is dropped; without one, nothing is set, everything is granted, the
//! tables and names are unknown and it is Monday, 1 January 2024, noon.

use core::cell::RefCell;
use std::collections::BTreeMap;

pub(crate) use super::facts::Facts;
use crate::clock::LocalTime;
use crate::log::Level;

/// A line that the policy wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// The line.
    pub text: String,
    /// Its fields.
    pub fields: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
struct World {
    settings: BTreeMap<String, String>,
    log_level: Level,
    lines: Vec<LogLine>,
    now_ms: u64,
    local: LocalTime,
    counters: BTreeMap<String, u64>,
    observations: BTreeMap<String, Vec<f64>>,
    denied: Vec<String>,
    tables: BTreeMap<String, BTreeMap<String, String>>,
    values: BTreeMap<String, (Vec<u8>, u64)>,
    counts: BTreeMap<String, (i64, u64)>,
    buckets: BTreeMap<String, (u64, u64)>,
    names: BTreeMap<(&'static str, String), Vec<String>>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            settings: BTreeMap::new(),
            log_level: Level::Debug,
            lines: Vec::new(),
            now_ms: 1_704_110_400_000,
            local: LocalTime {
                minute_of_day: 12 * 60,
                weekday: 1,
            },
            counters: BTreeMap::new(),
            observations: BTreeMap::new(),
            denied: Vec::new(),
            tables: BTreeMap::new(),
            values: BTreeMap::new(),
            counts: BTreeMap::new(),
            buckets: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

fn with<T>(act: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(act)
}

/// The relay around a policy in a test; what it says is in force on this thread until it is
/// dropped.
///
/// ```
/// use outpost_sdk::{config, testing::Relay};
///
/// let relay = Relay::new().setting("open", "08:00");
/// assert_eq!(config::value("open"), Some("08:00".into()));
/// drop(relay);
/// assert_eq!(config::value("open"), None);
/// ```
#[derive(Debug)]
#[must_use = "what it says is forgotten when it is dropped"]
pub struct Relay {
    // Bound to the thread whose double it set.
    thread: core::marker::PhantomData<*const ()>,
}

impl Relay {
    /// A relay of which nothing is said yet; whatever was said on this thread is forgotten.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        with(|world| *world = World::default());
        Self {
            thread: core::marker::PhantomData,
        }
    }

    /// The component has that setting.
    pub fn setting(self, key: &str, value: &str) -> Self {
        with(|world| world.settings.insert(key.into(), value.into()));
        self
    }

    /// Only lines of that level or above are written.
    pub fn log_level(self, level: Level) -> Self {
        with(|world| world.log_level = level);
        self
    }

    /// It is that time, in Unix milliseconds. The local time is said by [`local`](Self::local).
    pub fn now_ms(self, now_ms: u64) -> Self {
        with(|world| world.now_ms = now_ms);
        self
    }

    /// It is that time of day (minutes since midnight) on that weekday (1 Monday to 7 Sunday).
    pub fn local(self, minute_of_day: u16, weekday: u8) -> Self {
        with(|world| {
            world.local = LocalTime {
                minute_of_day,
                weekday,
            }
        });
        self
    }

    /// The table has that entry; it exists from now on. An address is looked up as a key.
    pub fn table(self, table: &str, key: &str, value: &str) -> Self {
        with(|world| {
            world
                .tables
                .entry(table.into())
                .or_default()
                .insert(key.into(), value.into())
        });
        self
    }

    /// The name has these TXT records.
    pub fn txt(self, name: &str, records: &[&str]) -> Self {
        self.name("txt", name, records)
    }

    /// The name has these addresses.
    pub fn addresses(self, name: &str, addresses: &[&str]) -> Self {
        self.name("addresses", name, addresses)
    }

    /// The name has these mail exchangers, the preferred first; their preferences are 10, 20, ...
    pub fn mx(self, name: &str, hosts: &[&str]) -> Self {
        self.name("mx", name, hosts)
    }

    /// `tables`, `state` or `dns` is not granted.
    pub fn deny(self, grant: &str) -> Self {
        with(|world| world.denied.push(grant.into()));
        self
    }

    /// The lines that the policy wrote, in order.
    pub fn lines(&self) -> Vec<LogLine> {
        with(|world| world.lines.clone())
    }

    /// The sum of a counter over all labels.
    pub fn counter(&self, name: &str) -> u64 {
        with(|world| world.counters.get(name).copied().unwrap_or(0))
    }

    /// The values of a histogram over all labels, in order.
    pub fn observations(&self, name: &str) -> Vec<f64> {
        with(|world| world.observations.get(name).cloned().unwrap_or_default())
    }

    fn name(self, kind: &'static str, name: &str, records: &[&str]) -> Self {
        let records = records.iter().map(|record| (*record).into()).collect();
        with(|world| world.names.insert((kind, name.into()), records));
        self
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        with(|world| *world = World::default());
    }
}

fn is_denied(grant: &str) -> bool {
    with(|world| world.denied.iter().any(|denied| denied == grant))
}

pub(crate) mod config {
    use super::with;

    pub(crate) fn value(key: &str) -> Option<String> {
        with(|world| world.settings.get(key).cloned())
    }

    pub(crate) fn keys() -> Vec<String> {
        with(|world| world.settings.keys().cloned().collect())
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).into(), (*value).into()))
        .collect()
}

pub(crate) mod log {
    use super::{LogLine, pairs, with};
    use crate::log::Level;

    pub(crate) fn is_enabled(level: Level) -> bool {
        with(|world| level >= world.log_level)
    }

    pub(crate) fn write(level: Level, text: &str, fields: &[(&str, &str)]) {
        if is_enabled(level) {
            let line = LogLine {
                level,
                text: text.into(),
                fields: pairs(fields),
            };
            with(|world| world.lines.push(line));
        }
    }
}

pub(crate) mod clock {
    use super::with;
    use crate::clock::LocalTime;

    pub(crate) fn now_ms() -> u64 {
        with(|world| world.now_ms)
    }

    pub(crate) fn local() -> LocalTime {
        with(|world| world.local)
    }
}

pub(crate) mod metrics {
    use super::with;

    pub(crate) fn count(name: &str, delta: u64, _labels: &[(&str, &str)]) {
        with(|world| *world.counters.entry(name.into()).or_default() += delta);
    }

    pub(crate) fn observe(name: &str, value: f64, _labels: &[(&str, &str)]) {
        with(|world| {
            world
                .observations
                .entry(name.into())
                .or_default()
                .push(value)
        });
    }
}

pub(crate) mod tables {
    use super::{is_denied, with};
    use crate::tables::Failure;

    pub(crate) fn contains(table: &str, key: &str) -> Result<bool, Failure> {
        Ok(find(table, key)?.is_some())
    }

    pub(crate) fn find(table: &str, key: &str) -> Result<Option<String>, Failure> {
        if is_denied("tables") {
            return Err(Failure::NotGranted);
        }
        with(|world| {
            Ok(world
                .tables
                .get(table)
                .ok_or(Failure::Unknown)?
                .get(key)
                .cloned())
        })
    }

    pub(crate) fn contains_address(table: &str, address: &str) -> Result<bool, Failure> {
        contains(table, address)
    }
}

pub(crate) mod state {
    use super::{is_denied, with};
    use crate::state::{Failure, Grant};

    fn granted() -> Result<(), Failure> {
        if is_denied("state") {
            Err(Failure::NotGranted)
        } else {
            Ok(())
        }
    }

    pub(crate) fn read(key: &str) -> Result<Option<Vec<u8>>, Failure> {
        granted()?;
        Ok(with(|world| {
            let (value, until) = world.values.get(key)?;
            (world.now_ms < *until).then(|| value.clone())
        }))
    }

    pub(crate) fn write(key: &str, value: &[u8], ttl_ms: u64) -> Result<(), Failure> {
        granted()?;
        with(|world| {
            let until = world.now_ms.saturating_add(ttl_ms);
            world.values.insert(key.into(), (value.into(), until));
        });
        Ok(())
    }

    pub(crate) fn remove(key: &str) -> Result<(), Failure> {
        granted()?;
        with(|world| world.values.remove(key));
        Ok(())
    }

    pub(crate) fn add(key: &str, delta: i64, ttl_ms: u64) -> Result<i64, Failure> {
        granted()?;
        Ok(with(|world| {
            let now = world.now_ms;
            let (count, until) = world.counts.entry(key.into()).or_default();
            if *until <= now {
                *count = 0;
            }
            *until = now.saturating_add(ttl_ms);
            *count = count.saturating_add(delta);
            *count
        }))
    }

    pub(crate) fn take(
        key: &str,
        amount: u64,
        burst: u64,
        per_minute: u64,
    ) -> Result<Grant, Failure> {
        granted()?;
        Ok(with(|world| {
            let now = world.now_ms;
            let (tokens, since) = world.buckets.entry(key.into()).or_insert((burst, now));
            let gained = now.saturating_sub(*since).saturating_mul(per_minute) / 60_000;
            *tokens = tokens.saturating_add(gained).min(burst);
            *since = now;
            if *tokens >= amount {
                *tokens -= amount;
                return Grant {
                    granted: true,
                    remaining: *tokens,
                    retry_after_ms: 0,
                };
            }
            let missing = (amount - *tokens).saturating_mul(60_000);
            let retry_after_ms = missing.checked_div(per_minute).unwrap_or(u64::MAX);
            Grant {
                granted: false,
                remaining: *tokens,
                retry_after_ms,
            }
        }))
    }
}

pub(crate) mod dns {
    use super::{is_denied, with};
    use crate::dns::Failure;

    fn lookup(kind: &'static str, name: &str) -> Result<Vec<String>, Failure> {
        if is_denied("dns") {
            return Err(Failure::NotGranted);
        }
        with(|world| {
            world
                .names
                .get(&(kind, name.into()))
                .cloned()
                .ok_or(Failure::NotFound)
        })
    }

    pub(crate) fn txt(name: &str) -> Result<Vec<String>, Failure> {
        lookup("txt", name)
    }

    pub(crate) fn addresses(name: &str) -> Result<Vec<String>, Failure> {
        lookup("addresses", name)
    }

    pub(crate) fn mx(name: &str) -> Result<Vec<(u16, String)>, Failure> {
        let hosts = lookup("mx", name)?;
        Ok((1..)
            .map(|place: u16| place.saturating_mul(10))
            .zip(hosts)
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::Relay;
    use crate::{clock, config, dns, log, metrics, state, tables};

    #[test]
    fn settings_log_clock_and_metrics_are_those_of_the_test() {
        let relay = Relay::new()
            .setting("a", "1")
            .log_level(log::Level::Warn)
            .now_ms(7)
            .local(480, 2);
        assert_eq!(
            (config::value("a"), config::keys()),
            (Some("1".into()), vec!["a".into()])
        );
        assert_eq!(
            (
                clock::now_ms(),
                clock::local().minute_of_day,
                clock::local().weekday
            ),
            (7, 480, 2)
        );
        log::info("not written");
        log::write(log::Level::Error, "written", &[("key", "value")]);
        assert_eq!(relay.lines().len(), 1);
        assert_eq!(relay.lines()[0].fields, [("key".into(), "value".into())]);
        metrics::count("seen", 2, &[]);
        metrics::count("seen", 3, &[("class", "x")]);
        metrics::observe("took", 0.5, &[]);
        assert_eq!(
            (relay.counter("seen"), relay.observations("took")),
            (5, vec![0.5])
        );
    }

    #[test]
    fn tables_are_unknown_or_have_what_the_test_put_in() {
        let relay = Relay::new().table("vip", "a.example", "gold");
        assert_eq!(tables::find("vip", "a.example"), Ok(Some("gold".into())));
        assert_eq!(tables::contains("vip", "b.example"), Ok(false));
        assert_eq!(
            tables::contains("none", "b.example"),
            Err(tables::Failure::Unknown)
        );
        let _relay = relay.deny("tables");
        assert_eq!(
            tables::contains("vip", "a.example"),
            Err(tables::Failure::NotGranted)
        );
    }

    #[test]
    fn state_is_forgotten_after_its_time() {
        let relay = Relay::new().now_ms(1000);
        state::write("k", b"v", 10).unwrap();
        assert_eq!(
            (state::add("n", 2, 10), state::add("n", 3, 10)),
            (Ok(2), Ok(5))
        );
        assert_eq!(state::read("k"), Ok(Some(b"v".to_vec())));
        let relay = relay.now_ms(1010);
        assert_eq!(
            (state::read("k"), state::add("n", 1, 10)),
            (Ok(None), Ok(1))
        );
        let _relay = relay.deny("state");
        assert_eq!(state::read("k"), Err(state::Failure::NotGranted));
    }

    #[test]
    fn a_bucket_holds_its_burst_and_fills_by_the_minute() {
        let relay = Relay::new().now_ms(0);
        let take = |amount| state::take("b", amount, 3, 60).unwrap();
        assert_eq!((take(2).granted, take(1).granted), (true, true));
        assert_eq!((take(1).granted, take(1).retry_after_ms), (false, 1000));
        let _relay = relay.now_ms(1000);
        assert_eq!((take(1).granted, take(1).granted), (true, false));
    }

    #[test]
    fn names_are_those_of_the_test() {
        let _relay = Relay::new().mx("a.example", &["mx1.example", "mx2.example"]);
        let hosts = dns::mx("a.example").unwrap();
        assert_eq!(
            hosts,
            [(10, "mx1.example".into()), (20, "mx2.example".into())]
        );
        assert_eq!(dns::txt("a.example"), Err(dns::Failure::NotFound));
    }
}
