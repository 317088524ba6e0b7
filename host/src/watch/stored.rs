//! The board as it stands in its file: JSON with the number of its form.
//!
//! What a newer release has written is refused, not half understood; alerts begin anew then.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::alert::{Acknowledgement, Alert, Board, Condition, Kind, Severity, State, Telling};
use crate::message::Timestamp;
use crate::regular;
use crate::stable::naming;

/// The form that this release writes, and the newest that it reads.
const FORM: u32 = 1;
/// Seven hundred alerts with long texts have an eighth.
const OCTETS_MAX: u64 = 8 << 20;
/// What went on at the end of the process before goes on for as long at least, since some of it takes minutes to be found.
const GOES_ON_FOR: Duration = Duration::from_secs(600);

/// Where the board is kept. Clones name the same file.
#[derive(Clone, Debug)]
pub struct BoardFile(PathBuf);

#[derive(Deserialize)]
struct Form {
    form: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    form: u32,
    last_id: u64,
    /// Those for the system stand under the empty name, which no list has.
    letters: BTreeMap<String, u64>,
    alerts: Vec<StoredAlert>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredAlert {
    id: u64,
    kind: String,
    subject: String,
    list: Option<String>,
    severity: String,
    text: String,
    value: Option<f64>,
    limit: Option<f64>,
    began: u64,
    seen: u64,
    ended: Option<u64>,
    acknowledged: Option<(String, u64)>,
    mail: Option<(u64, bool)>,
    webhook: Option<(u64, bool)>,
}

impl BoardFile {
    /// The one within that data folder.
    pub fn of(data_dir: &Path) -> Self {
        Self(data_dir.join("alerts.json"))
    }

    /// The board as it was kept; an empty one where nothing was.
    pub(super) fn read(&self, now: Timestamp) -> io::Result<Board> {
        let octets = match regular::read(&self.0, OCTETS_MAX).map_err(io::Error::from) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Board::default()),
            octets => octets?,
        };
        let Form { form } = serde_json::from_slice(&octets)?;
        if form > FORM {
            let text = format!("{}: a newer release has written it", self.0.display());
            return Err(io::Error::other(text));
        }
        let document: Document = serde_json::from_slice(&octets)?;
        // What this release does not know is nothing that it could find again.
        let alerts = document
            .alerts
            .into_iter()
            .filter_map(StoredAlert::into_alert);
        let alerts = alerts.map(|mut alert| {
            if alert.ended.is_none() {
                alert.seen = now.plus(GOES_ON_FOR);
            }
            alert
        });
        let letters = document.letters.into_iter().map(|(list, at)| {
            let audience = (!list.is_empty()).then_some(list);
            (audience, time(at))
        });
        Ok(Board::restored(
            alerts.collect(),
            document.last_id,
            letters.collect(),
        ))
    }

    /// Keeps it. On stable storage when this returns.
    pub(super) fn write(&self, board: &Board) -> io::Result<()> {
        let letters = board.letters().iter().map(|(audience, at)| {
            let list = audience.clone().unwrap_or_default();
            (list, at.unix_milliseconds())
        });
        let document = Document {
            form: FORM,
            last_id: board.last_id(),
            letters: letters.collect(),
            alerts: board.alerts().iter().map(StoredAlert::of).collect(),
        };
        naming::replace(&self.0, &serde_json::to_vec(&document)?)
    }
}

impl StoredAlert {
    fn of(alert: &Alert) -> Self {
        let condition = &alert.condition;
        let told = |telling: Telling| {
            (
                telling.at.unix_milliseconds(),
                telling.state == State::Ended,
            )
        };
        let [mail, webhook] = alert.told;
        Self {
            id: alert.id,
            kind: condition.kind.name().to_owned(),
            subject: condition.subject.clone(),
            list: condition.list.clone(),
            severity: condition.severity.name().to_owned(),
            text: condition.text.clone(),
            value: condition.value,
            limit: condition.limit,
            began: alert.began.unix_milliseconds(),
            seen: alert.seen.unix_milliseconds(),
            ended: alert.ended.map(Timestamp::unix_milliseconds),
            acknowledged: alert
                .acknowledged
                .as_ref()
                .map(|known| (known.by.clone(), known.at.unix_milliseconds())),
            mail: mail.map(told),
            webhook: webhook.map(told),
        }
    }

    fn into_alert(self) -> Option<Alert> {
        let told = |(at, is_ended)| Telling {
            at: time(at),
            state: if is_ended {
                State::Ended
            } else {
                State::Active
            },
        };
        Some(Alert {
            id: self.id,
            condition: Condition {
                kind: Kind::of_name(&self.kind)?,
                subject: self.subject,
                list: self.list,
                severity: Severity::of_name(&self.severity)?,
                text: self.text,
                value: self.value,
                limit: self.limit,
            },
            began: time(self.began),
            seen: time(self.seen),
            ended: self.ended.map(time),
            acknowledged: self
                .acknowledged
                .map(|(by, at)| Acknowledgement { by, at: time(at) }),
            told: [self.mail.map(told), self.webhook.map(told)],
        })
    }
}

fn time(milliseconds: u64) -> Timestamp {
    Timestamp::from_unix_milliseconds(milliseconds)
}
