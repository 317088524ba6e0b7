//! A component as it comes in: its settings in the query, its octets in the body, both bounded.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use utoipa::IntoParams;

use super::super::audit::shown;
use super::super::extract::is_as_it_is;
use super::super::problem::{FieldError, Kind, Problem};
use crate::message::wording::printable;
use crate::plugin::Wasi;
use crate::plugin::deployed::{COMPONENT_OCTETS_MAX, Install, Overrides};
use crate::policy::OnFailure;

/// Where a component is.
pub(in crate::admin) const PATH: &str = "/api/v1/plugins/{plugin}";

/// The media type of WebAssembly.
const MEDIA_TYPE: &str = "application/wasm";
/// Components that come in at once; each stands in memory whole.
const AT_ONCE_MAX: usize = 2;
/// How long one waits for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(5);
/// Octets of a note.
const NOTE_OCTETS_MAX: usize = 500;
/// Settings of a component: all of them are in the query of one request.
const SETTINGS_MAX: usize = 64;
/// Transactions that one instance serves at most, as in the configuration.
const REUSE_MAX: u32 = 1_000;

/// How many components come in at once.
pub struct Uploads(Semaphore);

impl Default for Uploads {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE_MAX))
    }
}

impl Uploads {
    pub(in crate::admin) async fn turn(&self) -> Result<SemaphorePermit<'_>, Problem> {
        let turn = timeout(TURN_WITHIN, self.0.acquire()).await;
        turn.ok().and_then(Result::ok).ok_or_else(|| {
            let text = "other components are coming in: try again when they are there";
            Problem::new(Kind::Unavailable, text)
        })
    }
}

/// The settings of a component, for the description; [`read_query`] reads them.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "its fields are there to be described")]
pub(in crate::admin) struct InstallQuery {
    /// What its failure means: `defer`, `refuse` or `skip`. What is left out of these stays as it is, and for a new
    /// component is the default.
    on_failure: Option<String>,
    /// `empty`: it is given a WASI without files, network and environment; `refused`: none.
    wasi: Option<String>,
    /// How many transactions one instance serves at most.
    #[param(minimum = 1, maximum = 1000)]
    reuse: Option<u32>,
    /// A setting of its own, `KEY=VALUE`. Comes again for each, and then they are all that it has; empty: none.
    #[param(example = json!(["open=08:00"]))]
    setting: Option<Vec<String>>,
    /// Its place among all components, counted from 1. Left out: where it is, and a new one at the end.
    #[param(minimum = 1)]
    position: Option<u32>,
    /// What is to be remembered about this version.
    #[param(max_length = 500)]
    note: Option<String>,
    /// Everything is checked, and nothing changes.
    dry_run: Option<bool>,
}

/// Reads a query; the component itself is still to come. Whether it is only tried is the second.
///
/// # Errors
/// Everything that is wrong with it.
pub(in crate::admin) fn read_query(
    name: String,
    query: Vec<(String, String)>,
) -> Result<(Install, bool), Problem> {
    let mut reading = Reading::default();
    let mut settings = Overrides::default();
    let (mut position, mut note, mut dry_run) = (None, None, None);
    for (key, value) in query {
        match key.as_str() {
            "on_failure" => {
                let known = OnFailure::named(&value);
                let text = "is one of `defer`, `refuse` and `skip`";
                reading.once(&key, &mut settings.on_failure, known, text);
            }
            "wasi" => {
                let known = Wasi::named(&value);
                let text = "is one of `refused` and `empty`";
                reading.once(&key, &mut settings.wasi, known, text);
            }
            "reuse" => {
                let number = value.parse().ok();
                let number = number.filter(|number| (1..=REUSE_MAX).contains(number));
                let text = "must be a whole number from 1 to 1000";
                reading.once(&key, &mut settings.transactions_max, number, text);
            }
            "position" => {
                let number = value.parse().ok().filter(|number| *number >= 1);
                let text = "must be a whole number from 1 on";
                reading.once(&key, &mut position, number, text);
            }
            "note" => {
                let fits = value.len() <= NOTE_OCTETS_MAX && printable(&value) == value;
                let text = "is one line of at most 500 octets";
                reading.once(&key, &mut note, fits.then_some(value), text);
            }
            "dry_run" => {
                let text = "must be true or false";
                reading.once(&key, &mut dry_run, value.parse().ok(), text);
            }
            "setting" => reading.setting(settings.config.get_or_insert_default(), &value),
            _ => reading.problem(
                &shown(&key),
                "is not known; known here: on_failure, wasi, reuse, setting, position, note, dry_run",
            ),
        }
    }
    if !reading.errors.is_empty() {
        return Err(Problem::fields(reading.errors));
    }
    let install = Install {
        name,
        component: Vec::new(),
        octets: 0,
        settings,
        position,
        note: note.unwrap_or_default(),
    };
    Ok((install, dry_run.unwrap_or(false)))
}

/// What was found wrong.
#[derive(Default)]
struct Reading {
    errors: Vec<FieldError>,
}

impl Reading {
    fn problem(&mut self, field: &str, text: &str) {
        self.errors.push(FieldError::new(field, text));
    }

    fn once<T>(&mut self, field: &str, place: &mut Option<T>, value: Option<T>, text: &str) {
        match value {
            None => self.problem(field, text),
            Some(_) if place.is_some() => self.problem(field, "stands here twice"),
            value => *place = value,
        }
    }

    fn setting(&mut self, settings: &mut BTreeMap<String, String>, text: &str) {
        if text.is_empty() {
            return;
        }
        let Some((key, value)) = text.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return self.problem("setting", "must be `KEY=VALUE`");
        };
        if settings.len() >= SETTINGS_MAX {
            let text = format!("a component has {SETTINGS_MAX} settings at most");
            return self.problem("setting", &text);
        }
        if settings.insert(key.to_owned(), value.to_owned()).is_some() {
            let text = format!("{} stands here twice", shown(key));
            self.problem("setting", &text);
        }
    }
}

/// Refuses what is not declared as a component.
pub(super) fn takes(headers: &HeaderMap) -> Result<(), Problem> {
    let mut declared = headers.get_all(CONTENT_TYPE).iter();
    // Two fields could be read as two types.
    let media_type = declared
        .next()
        .filter(|_| declared.next().is_none())
        .and_then(|value| value.to_str().ok())
        .map(str::trim);
    if !media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case(MEDIA_TYPE)) {
        return Err(Problem::new(
            Kind::UnsupportedMediaType,
            "send the component itself, with `Content-Type: application/wasm`",
        ));
    }
    if !is_as_it_is(headers) {
        return Err(Problem::new(
            Kind::UnsupportedMediaType,
            "send the component as it is, without `Content-Encoding`",
        ));
    }
    Ok(())
}

/// Reads a component whole, and no more than one has.
pub(super) async fn read(mut body: Body) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        let text = format!("a component may have at most {COMPONENT_OCTETS_MAX} octets");
        Problem::new(Kind::TooLarge, text)
    };
    if body.size_hint().lower() > COMPONENT_OCTETS_MAX as u64 {
        return Err(too_large());
    }
    let mut octets = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let cut_off = |_| Problem::new(Kind::Malformed, "the body did not arrive whole");
        let frame = frame.map_err(cut_off)?;
        // Trailer fields say nothing of a component.
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        if octets.len() + piece.len() > COMPONENT_OCTETS_MAX {
            return Err(too_large());
        }
        octets.extend_from_slice(&piece);
    }
    Ok(octets)
}
