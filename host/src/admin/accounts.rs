//! Lists and users as a whole, from one relay to another and without secrets: the export and the import of the API and of
//! the console.
//!
//! What a line says and what lines come to stands in `entries`, which the command line uses too. Here the steps are taken one
//! after the other by the functions that change one list or one user, so each has its own line in the audit log. When any line is
//! wrong nothing is done. A step that fails ends the import, which says so; sent again it goes on, since what is
//! there already is no step any more.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::{Administrator, Caller};
use super::audit::Deed;
use super::entries::{self, Entry, Existing, Step};
use super::extract::{Json, NoQuery, Segment};
use super::lists::{self, ListChangeInput, ListDocument};
use super::once::{KeyHeader, ShownOnce};
use super::openapi::{Refused, RefusedBody};
use super::problem::{FieldError, Problem};
use super::users::{self, UserDocument};
use super::version::IfMatch;
use super::{Api, lists::settings};
use crate::directory::UserFilter;

/// Where both are.
pub(super) const PATH: &str = "/api/v1/accounts";
/// Steps of one import: each new user costs the work of hashing a password, and whoever sent it waits.
pub const STEPS_MAX: usize = 1_000;
/// Users that are read from the directory at once.
const PAGE: usize = 1_000;

/// Lists and users to be made, or changed where they differ.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportInput {
    /// A JSON object a line, as an export has them: `{"list": {…}}` or `{"user": {…}}`, with the fields that make one. They come to
    /// 1,000 steps at most.
    #[schema(example = "{\"user\":{\"name\":\"shop\"}}")]
    pub lines: String,
    /// Whether lists and users that are there and differ are changed, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub update: bool,
    /// Only say what would be done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What an import came to. What is there already and does not differ is left out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportedAccounts {
    /// Whether it was only said.
    pub dry_run: bool,
    /// Its steps, lists first.
    pub steps: Vec<ImportedAccount>,
}

/// A step of an import.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportedAccount {
    /// The line that asks for it, counted from 1.
    pub line: usize,
    /// What was done, or would be.
    pub done: StepDone,
    /// The list that it is about; left out for a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub list: Option<String>,
    /// The user that it is about; left out for a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub user: Option<String>,
    /// The fields that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// The password of a user that was made. It is shown this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub password: Option<String>,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub problem: Option<String>,
}

/// What becomes of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepDone {
    /// It is missing, and was made.
    Added,
    /// It differs, and was changed.
    Changed,
    /// It differs, and stays: without `update` nothing is changed.
    Differs,
    /// It was refused; what follows was not done.
    Refused,
    /// A step before it was refused.
    NotDone,
}

/// Exports all lists and users without secrets: a JSON object a line, lists first, by name. Notes are in it.
#[utoipa::path(get, path = PATH, operation_id = "export_accounts", tag = "accounts",
    security(("token" = ["admin"])),
    responses((status = 200, description = "The lines.", body = String, content_type = "application/x-ndjson"), Refused))]
pub(super) async fn export(
    _: Administrator,
    _: NoQuery,
    State(api): State<Arc<Api>>,
) -> Result<impl IntoResponse, Problem> {
    let lines = lines(api).await?;
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], lines))
}

/// Makes the lists and users that are missing, and changes those that differ when that is asked for. When any line is wrong
/// nothing is done. A new user gets a new password, which this answer has, once; nothing is removed.
#[utoipa::path(post, path = PATH, operation_id = "import_accounts", tag = "accounts", params(KeyHeader),
    request_body = ImportInput,
    security(("token" = ["admin"])),
    responses((status = 200, description = "What was done.", body = ImportedAccounts), Refused, RefusedBody))]
pub(super) async fn import(
    Administrator(caller): Administrator,
    deed: Deed,
    _: NoQuery,
    State(api): State<Arc<Api>>,
    Json(input): Json<ImportInput>,
) -> Result<impl IntoResponse, Problem> {
    let done = carry_out(&api, &caller, &deed, &input).await?;
    let made = done.steps.iter().filter(|step| step.password.is_some());
    let made = made.count();
    let once = (made > 0).then(|| {
        let what = format!(
            "{made} users were made with new passwords, and the same request with another key makes none of them"
        );
        Extension(ShownOnce(what))
    });
    let headers: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];
    let answer = (headers, axum::Json(done));
    Ok(match once {
        Some(once) => (once, answer).into_response(),
        None => answer.into_response(),
    })
}

/// All of it, read where that keeps nobody waiting.
pub(super) async fn lines(api: Arc<Api>) -> Result<String, Problem> {
    let reading = tokio::task::spawn_blocking(move || all(&api));
    let failed = |error: &dyn std::error::Error| Problem::internal("exporting accounts", error);
    let lines = reading.await.map_err(|error| failed(&error))?;
    lines.map_err(|error| failed(&error))
}

fn all(api: &Api) -> serde_json::Result<String> {
    let mut text = String::new();
    let mut add = |entry: Entry| -> serde_json::Result<()> {
        text.push_str(&serde_json::to_string(&entry)?);
        text.push('\n');
        Ok(())
    };
    for list in api.directory.lists() {
        add(Entry::List(settings(&list)))?;
    }
    let (now, mut after) = (api.clock.now(), None);
    loop {
        let filter = UserFilter::default();
        let page = api.directory.users(&filter, after.as_deref(), PAGE);
        for user in &page.users {
            add(Entry::from(users::in_full(user, now)))?;
        }
        after = page.next;
        if after.is_none() {
            return Ok(text);
        }
    }
}

impl Existing for Api {
    fn list(&self, name: &str) -> Option<ListDocument> {
        let list = self.directory.list(name)?;
        Some(lists::shown(self, &list))
    }

    fn user(&self, name: &str) -> Option<UserDocument> {
        let user = self.directory.user(name)?;
        Some(users::in_full(&user, self.clock.now()))
    }
}

/// Takes the steps, or only says which they are.
///
/// # Errors
/// Every line that is wrong.
pub(super) async fn carry_out(
    api: &Arc<Api>,
    caller: &Caller,
    deed: &Deed,
    input: &ImportInput,
) -> Result<ImportedAccounts, Problem> {
    deed.note(|noted| {
        noted.action = Some("import-accounts");
        noted.dry_run = input.dry_run.then_some(true);
    });
    let steps = entries::steps(&input.lines, &**api).map_err(|problems| {
        let errors = problems.into_iter();
        Problem::fields(errors.map(|text| FieldError::new("lines", text)).collect())
    })?;
    if steps.len() > STEPS_MAX {
        let text = format!(
            "they come to {} steps, and {STEPS_MAX} are taken at once: split them, or use `outpost user import`",
            steps.len()
        );
        return Err(Problem::field("lines", text));
    }
    let mut done = Vec::with_capacity(steps.len());
    let mut is_broken_off = false;
    for step in steps {
        let mut told = told(&step);
        let stays = told.done == StepDone::Changed && !input.update;
        if is_broken_off {
            told.done = StepDone::NotDone;
        } else if stays {
            told.done = StepDone::Differs;
        } else if !input.dry_run {
            match take(api, caller, deed, step.deed).await {
                Ok(password) => told.password = password,
                Err(problem) => {
                    told.done = StepDone::Refused;
                    told.problem = Some(problem.detail);
                    is_broken_off = true;
                }
            }
        }
        done.push(told);
    }
    Ok(ImportedAccounts {
        dry_run: input.dry_run,
        steps: done,
    })
}

/// A step as it is told, when it is taken.
fn told(step: &Step) -> ImportedAccount {
    let told =
        |done, list: Option<&String>, user: Option<&String>, fields: Vec<String>| ImportedAccount {
            line: step.line,
            done,
            list: list.cloned(),
            user: user.cloned(),
            fields,
            password: None,
            problem: None,
        };
    match &step.deed {
        entries::Deed::AddList(list) => told(StepDone::Added, Some(&list.name), None, Vec::new()),
        entries::Deed::ChangeList(list) => {
            let fields = vec!["notify".to_owned()];
            told(StepDone::Changed, Some(&list.name), None, fields)
        }
        entries::Deed::AddUser(name, _) => told(StepDone::Added, None, Some(name), Vec::new()),
        entries::Deed::ChangeUser(name, _, fields) => {
            let fields = fields.iter().map(|field| (*field).to_owned()).collect();
            told(StepDone::Changed, None, Some(name), fields)
        }
    }
}

/// Takes one step; the password that it makes.
async fn take(
    api: &Arc<Api>,
    caller: &Caller,
    deed: &Deed,
    step: entries::Deed,
) -> Result<Option<String>, Problem> {
    let administrator = || Administrator(caller.clone());
    let (deed, state, any) = (deed.clone(), State(Arc::clone(api)), IfMatch::NONE);
    match step {
        entries::Deed::AddList(list) => {
            lists::add(administrator(), deed, NoQuery, state, Json(list)).await?;
        }
        entries::Deed::ChangeList(list) => {
            let change = Json(ListChangeInput {
                notify: list.notify,
            });
            let name = Segment(list.name);
            lists::change(administrator(), deed, NoQuery, any, state, name, change).await?;
        }
        entries::Deed::AddUser(_, user) => {
            let made = users::create(api, caller, &deed, user).await?;
            return Ok(Some(made.password));
        }
        entries::Deed::ChangeUser(name, user, _) => {
            let (name, user) = (Segment(name), Json(user));
            users::change(administrator(), deed, NoQuery, any, state, name, user).await?;
        }
    }
    Ok(None)
}
