//! What components can be granted beside the facts: settings, log, clock and metrics for everybody;
//! tables, state and name lookups are linked, and answer that they are not granted.

use super::bindings::outpost::policy::{clock, config, dns, log, metrics, state, tables};
use super::context::Context;
use crate::policy::clean_text;

/// Octets of a line's text, as the contract says.
const LINE_OCTETS_MAX: usize = 1024;
/// Fields of a line, as the contract says.
const FIELDS_MAX: usize = 16;
/// Octets of a field's key or value.
const FIELD_OCTETS_MAX: usize = 256;

impl config::Host for Context {
    fn value(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        self.called()?;
        Ok(self.shared.config.get(&key).cloned())
    }

    fn keys(&mut self) -> wasmtime::Result<Vec<String>> {
        self.called()?;
        Ok(self.shared.config.keys().cloned().collect())
    }
}

impl log::Host for Context {
    fn is_enabled(&mut self, level: log::Level) -> wasmtime::Result<bool> {
        self.called()?;
        Ok(match level {
            log::Level::Debug => tracing::enabled!(tracing::Level::DEBUG),
            log::Level::Info => tracing::enabled!(tracing::Level::INFO),
            log::Level::Warn => tracing::enabled!(tracing::Level::WARN),
            log::Level::Error => tracing::enabled!(tracing::Level::ERROR),
        })
    }

    fn write(
        &mut self,
        level: log::Level,
        text: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        self.called()?;
        if !self.may_write_line() {
            return Ok(());
        }
        let component = self.shared.name.as_ref();
        let facts = self.facts.as_ref();
        let message_id = facts.map(|facts| tracing::field::display(facts.message));
        let session = facts.map(|facts| facts.session.id.as_str());
        let text = clean_text(&text, LINE_OCTETS_MAX);
        let fields = joined(&fields);
        match level {
            log::Level::Debug => tracing::debug!(message_id, component, session, fields, "{text}"),
            log::Level::Info => tracing::info!(message_id, component, session, fields, "{text}"),
            log::Level::Warn => tracing::warn!(message_id, component, session, fields, "{text}"),
            log::Level::Error => tracing::error!(message_id, component, session, fields, "{text}"),
        }
        Ok(())
    }
}

/// `key=value` pairs; names of a component's own are data to the log, never its field names. None when
/// there are no pairs.
fn joined(fields: &[(String, String)]) -> Option<String> {
    let fields = fields.iter().take(FIELDS_MAX).map(|(key, value)| {
        let key = clean_text(key, FIELD_OCTETS_MAX);
        format!("{key}={:?}", clean_text(value, FIELD_OCTETS_MAX))
    });
    let pairs = fields.collect::<Vec<_>>();
    (!pairs.is_empty()).then(|| pairs.join(" "))
}

impl clock::Host for Context {
    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        self.called()?;
        Ok(self.now().unix_milliseconds())
    }

    fn local(&mut self) -> wasmtime::Result<clock::LocalTime> {
        self.called()?;
        let now = self.now();
        let local = self.shared.clock.local(now);
        Ok(clock::LocalTime {
            minute_of_day: local.minute_of_day,
            weekday: local.weekday,
        })
    }
}

impl metrics::Host for Context {
    fn count(
        &mut self,
        name: String,
        delta: u64,
        labels: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        self.called()?;
        self.shared.metrics.count(&name, delta, labels);
        Ok(())
    }

    fn observe(
        &mut self,
        name: String,
        value: f64,
        labels: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        self.called()?;
        self.shared.metrics.observe(&name, value, labels);
        Ok(())
    }
}

impl tables::Host for Context {
    fn contains(
        &mut self,
        _: String,
        _: String,
    ) -> wasmtime::Result<Result<bool, tables::Failure>> {
        self.called()?;
        Ok(Err(tables::Failure::NotGranted))
    }

    fn find(
        &mut self,
        _: String,
        _: String,
    ) -> wasmtime::Result<Result<Option<String>, tables::Failure>> {
        self.called()?;
        Ok(Err(tables::Failure::NotGranted))
    }

    fn contains_address(
        &mut self,
        _: String,
        _: String,
    ) -> wasmtime::Result<Result<bool, tables::Failure>> {
        self.called()?;
        Ok(Err(tables::Failure::NotGranted))
    }
}

impl state::Host for Context {
    fn read(&mut self, _: String) -> wasmtime::Result<Result<Option<Vec<u8>>, state::Failure>> {
        self.called()?;
        Ok(Err(state::Failure::NotGranted))
    }

    fn write(
        &mut self,
        _: String,
        _: Vec<u8>,
        _: u64,
    ) -> wasmtime::Result<Result<(), state::Failure>> {
        self.called()?;
        Ok(Err(state::Failure::NotGranted))
    }

    fn remove(&mut self, _: String) -> wasmtime::Result<Result<(), state::Failure>> {
        self.called()?;
        Ok(Err(state::Failure::NotGranted))
    }

    fn add(&mut self, _: String, _: i64, _: u64) -> wasmtime::Result<Result<i64, state::Failure>> {
        self.called()?;
        Ok(Err(state::Failure::NotGranted))
    }

    fn take(
        &mut self,
        _: String,
        _: u64,
        _: u64,
        _: u64,
    ) -> wasmtime::Result<Result<state::Grant, state::Failure>> {
        self.called()?;
        Ok(Err(state::Failure::NotGranted))
    }
}

impl dns::Host for Context {
    fn txt(&mut self, _: String) -> wasmtime::Result<Result<Vec<String>, dns::Failure>> {
        self.called()?;
        Ok(Err(dns::Failure::NotGranted))
    }

    fn addresses(&mut self, _: String) -> wasmtime::Result<Result<Vec<String>, dns::Failure>> {
        self.called()?;
        Ok(Err(dns::Failure::NotGranted))
    }

    fn mx(&mut self, _: String) -> wasmtime::Result<Result<Vec<(u16, String)>, dns::Failure>> {
        self.called()?;
        Ok(Err(dns::Failure::NotGranted))
    }
}
