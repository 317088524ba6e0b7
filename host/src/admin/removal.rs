//! Removing a user over HTTP: what becomes of its queued mail has to be said.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::access::{Administrator, Caller};
use super::audit::{self, Deed};
use super::extract::{QueryString, Segment};
use super::openapi::{Changed, Conflicts, Missing, Refused};
use super::problem::{Kind, Problem};
use super::version::{IfMatch, IfMatchHeader};
use super::{Api, directory_problem, no_such, refusals, spool_problem};
use crate::account::same_name;
use crate::directory::{DirectoryError, Version};
use crate::spool::{Change, ChangeAction, Selection, Stop, StopOf};

/// What becomes of queued mail when its user is removed.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct RemovalQuery {
    /// What becomes of the user's queued mail; needed when there is some.
    #[param(value_type = Option<QueuedMailChoice>)]
    pub queued: Option<String>,
}

/// What becomes of queued mail when its user is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueuedMailChoice {
    /// It is delivered.
    Deliver,
    /// It is held until somebody releases it.
    Hold,
    /// It is cancelled, and can be restored like what is cancelled by itself: it is delivered then.
    Cancel,
}

/// A user is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemovedUser {
    /// The name of the user.
    pub removed: String,
    /// How many deliveries of the user were queued.
    pub queued: u64,
    /// What becomes of them; none when there were none.
    pub choice: Option<QueuedMailChoice>,
}

impl QueuedMailChoice {
    const ALL: [QueuedMailChoice; 3] = [
        QueuedMailChoice::Deliver,
        QueuedMailChoice::Hold,
        QueuedMailChoice::Cancel,
    ];

    /// The name in the query.
    pub const fn name(self) -> &'static str {
        match self {
            QueuedMailChoice::Deliver => "deliver",
            QueuedMailChoice::Hold => "hold",
            QueuedMailChoice::Cancel => "cancel",
        }
    }

    const fn action(self) -> Option<ChangeAction> {
        match self {
            QueuedMailChoice::Deliver => None,
            QueuedMailChoice::Hold => Some(ChangeAction::Hold),
            QueuedMailChoice::Cancel => Some(ChangeAction::Cancel),
        }
    }
}

/// The user of that name, and how many deliveries are queued for it: as they are counted in memory, since to look through
/// the queue takes as long as it is.
pub(super) async fn queued_of(api: &Api, name: &str) -> Result<(String, u64), Problem> {
    let user = api.directory.user(name);
    let user = user.ok_or_else(|| no_such("user", name))?;
    let queued = api.spool.queued_of(&[&user.name]).await;
    let queued = queued.map_err(|error| spool_problem(&error))?;
    Ok((user.name.clone(), queued.first().copied().unwrap_or(0)))
}

/// Removes a user. With queued mail, `queued` has to say what becomes of it.
#[utoipa::path(delete, path = "/api/v1/users/{user}", operation_id = "remove_user", tag = "users",
    params(("user" = String, Path, description = "The name of the user."), RemovalQuery, IfMatchHeader),
    security(("token" = ["admin"])),
    responses((status = 200, description = "It is gone.", body = RemovedUser),
        Refused, Missing, Conflicts, Changed))]
pub(super) async fn remove(
    Administrator(caller): Administrator,
    deed: Deed,
    IfMatch(only_if): IfMatch,
    State(api): State<Arc<Api>>,
    Segment(name): Segment,
    QueryString(query): QueryString<RemovalQuery>,
) -> Result<axum::Json<RemovedUser>, Problem> {
    deed.note(|noted| {
        noted.action = Some("remove-user");
        noted.user = Some(audit::shown(&name));
    });
    let choice = choice(query.queued.as_deref())?;
    let user = api
        .directory
        .user(&name)
        .ok_or_else(|| no_such("user", &name))?;
    // Its mail goes first, so that has to be known before; and once more in the turn in which the user goes.
    if only_if
        .as_ref()
        .is_some_and(|only_if| !only_if.holds(Version::of_user(&user)))
    {
        let (what, name) = ("user", user.name.clone());
        return Err(directory_problem(DirectoryError::ChangedMeanwhile {
            what,
            name,
        }));
    }
    let queued = change_mail_of(&api, &user.name, ChangeAction::Cancel, &caller, true).await?;
    if queued > 0 && choice.is_none() {
        let deliveries = if queued == 1 {
            "delivery"
        } else {
            "deliveries"
        };
        return Err(Problem {
            queued: Some(queued),
            choices: QueuedMailChoice::ALL
                .map(|choice| choice.name().to_owned())
                .to_vec(),
            ..Problem::new(
                Kind::QueuedMail,
                format!(
                    "user {} has {queued} queued {deliveries}: say what becomes of the mail with \
                     `?queued=deliver`, `?queued=hold` or `?queued=cancel`",
                    user.name
                ),
            )
        });
    }
    let action = choice.and_then(QueuedMailChoice::action);
    deed.note(|noted| {
        noted.queued = choice.filter(|_| queued > 0).map(QueuedMailChoice::name);
        noted.deliveries = Some(queued);
    });
    // The mail first: when that fails, the user is still there to try it again. And once more
    // behind the user, for what an open session submitted meanwhile.
    let mut changed = 0;
    if let Some(action) = action {
        changed = change_mail_of(&api, &user.name, action, &caller, false).await?;
    }
    let user = api
        .directory
        .under(deed.terms(&api.clock, StatusCode::OK, only_if))
        .delete_user(&name)
        .await
        .map_err(directory_problem)?;
    api.spool.lists_changed();
    refusals::forget_user(&api, &user.name).await;
    if let Some(action) = action {
        let again = change_mail_of(&api, &user.name, action, &caller, false).await?;
        if action == ChangeAction::Cancel {
            changed += again;
        }
    }
    let queued = queued.max(changed);
    deed.note(|noted| noted.deliveries = Some(queued));
    Ok(axum::Json(RemovedUser {
        removed: user.name.clone(),
        queued,
        choice: choice.filter(|_| queued > 0),
    }))
}

/// Refuses to give another name to a user with queued mail: the mail belongs to the name, and what is
/// asked of it (whose is it, what becomes of it) would find nothing under the new one. Another name is also
/// the same one in other case: mail of one user under two spellings would stand in two lines of the queue.
pub(super) async fn may_be_named(
    api: &Api,
    name: &str,
    new_name: &str,
    caller: &Caller,
) -> Result<(), Problem> {
    let Some(user) = api.directory.user(name) else {
        return Ok(());
    };
    if user.name == new_name {
        return Ok(());
    }
    let is_stopped =
        |stop: &Stop| matches!(&stop.of, StopOf::User(name) if same_name(name, &user.name));
    if api.spool.stops().all().iter().any(is_stopped) {
        return Err(Problem::new(
            Kind::Conflict,
            format!(
                "user {} is stopped by that name: start it before you give it another one",
                user.name
            ),
        ));
    }
    match change_mail_of(api, &user.name, ChangeAction::Cancel, caller, true).await? {
        0 => Ok(()),
        queued => Err(Problem::new(
            Kind::Conflict,
            format!(
                "user {} has mail in the queue ({queued} to deliver), which belongs to that name: \
                 give it another name when the mail is gone",
                user.name
            ),
        )),
    }
}

fn choice(text: Option<&str>) -> Result<Option<QueuedMailChoice>, Problem> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let found = QueuedMailChoice::ALL
        .into_iter()
        .find(|choice| choice.name() == text);
    found
        .map(Some)
        .ok_or_else(|| Problem::field("queued", "must be deliver, hold or cancel"))
}

async fn change_mail_of(
    api: &Api,
    user: &str,
    action: ChangeAction,
    caller: &Caller,
    dry_run: bool,
) -> Result<u64, Problem> {
    let selection = Selection {
        user: Some(user.to_owned()),
        ..Selection::default()
    };
    let change = Change {
        action,
        by: caller.name.clone(),
        at: api.clock.now(),
    };
    let changed = api.spool.change(selection, change, dry_run).await;
    let changed = changed.map_err(|error| spool_problem(&error))?;
    Ok(changed.deliveries)
}
