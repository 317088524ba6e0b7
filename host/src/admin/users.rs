//! Users over HTTP.
//!
//! A password is in the one answer that made it and nowhere else; that answer is never stored by
//! a cache. The note is shown to callers of scope admin only.

mod figures;

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use self::figures::{Figures, figures};
use super::access::{Administrator, Caller, Reader};
use super::audit::{self, Deed};
use super::extract::{Json, NoBody, NoQuery, QueryString, Segment, given, given_or_null};
use super::items::ItemsInput;
use super::once::{KeyHeader, ShownOnce};
use super::openapi::{Changed, Conflicts, Missing, NotModified, Refused, RefusedBody};
use super::problem::{FieldError, Problem};
use super::version::{IfMatch, IfMatchHeader, IfNoneMatch, IfNoneMatchHeader, Looked, Tagged};
use super::{Api, directory_problem, invalid, no_such, refusals, removal, within_path};
use crate::account::{Allowance, AllowancePatch, Scope, SenderRules, User, UserDraft, UserPatch};
use crate::directory::{OnlyIf, UserFilter, Version};
use crate::message::header::Carrier;
use crate::message::{Class, Timestamp};

/// Rows of a page when nothing is said: most relays have fewer users, and see them all at once.
const ROWS_DEFAULT: usize = 1_000;
/// Rows of a page at most.
const ROWS_MAX: usize = 1_000;

/// A user. The password is never part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserDocument {
    /// The name to log in with.
    pub name: String,
    /// The list that the user belongs to.
    pub list: String,
    /// Whether the user may log in.
    pub active: bool,
    /// How urgent the user's mail is, 1 (very high) to 5 (very low).
    #[schema(minimum = 1, maximum = 5)]
    pub priority: u8,
    /// For administrators; left out for tokens of a smaller scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub note: Option<String>,
    /// The domains that the user may send as, in A-labels: `a.example`, `*.b.example`.
    pub authorized_domains: Vec<String>,
    /// The addresses that the user may send as, in lower case.
    pub authorized_senders: Vec<String>,
    /// The carriers of a priority that count in the user's mail, in order of precedence; null for all.
    pub trusted_carriers: Option<Vec<String>>,
    /// The most urgent class that the user's mail may have; null for any.
    #[schema(minimum = 1, maximum = 5)]
    pub priority_ceiling: Option<u8>,
    /// Very-high messages an hour; null for any number.
    #[schema(minimum = 1, maximum = 100_000)]
    pub very_high_per_hour: Option<u32>,
    /// How many of them are left now; null where they are not counted.
    pub very_high_left: Option<u32>,
    /// When the user was made.
    pub created: String,
    /// When anything but the last login last changed.
    pub changed: String,
    /// When the password was last set.
    pub password_changed: String,
    /// When the user last logged in; none before the first time.
    pub last_login: Option<String>,
    /// Deliveries of the user that are queued now; none as long as the queue is counted, which is once behind a start.
    #[serde(default)]
    pub queued: Option<u64>,
    /// How often the user was refused a sender, of what is listed as refused.
    #[serde(default)]
    pub refused: u64,
    /// What everybody who looks at this user should know; left out when there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub warning: Option<String>,
}

/// A user and its password, in the only answer that has it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewUserDocument {
    /// The user.
    #[serde(flatten)]
    pub user: UserDocument,
    /// The password. It is shown this once.
    pub password: String,
}

/// A password, in the only answer that has it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PasswordDocument {
    /// Whose it is.
    pub name: String,
    /// The password. It is shown this once.
    pub password: String,
}

/// A page of users in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsersDocument {
    /// The users, disabled ones included.
    pub users: Vec<UserDocument>,
    /// To be sent for the next page; none at the end.
    pub cursor: Option<String>,
}

/// Which users. Everything given must match; an empty value counts as not given.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct UsersQuery {
    /// Users of this list.
    pub list: Option<String>,
    /// Only those who may log in (`true`), or only others (`false`).
    #[param(value_type = Option<bool>)]
    pub active: Option<String>,
    /// The name contains this, without regard to case.
    pub name: Option<String>,
    /// The `cursor` of the page before.
    pub cursor: Option<String>,
    /// Rows at most, 1 to 1000; 1000 when left out.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000)]
    pub limit: Option<String>,
}

/// A user to be made; all can be left out.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserInput {
    /// The name to log in with; made up when left out.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// The list; `default` when left out.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub list: Option<String>,
    /// Whether the user may log in; true when left out.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub active: Option<bool>,
    /// How urgent the user's mail is, 1 (very high) to 5 (very low); 3 when left out.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, minimum = 1, maximum = 5)]
    pub priority: Option<i64>,
    /// For administrators.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub note: Option<String>,
    /// The domains that the user may send as; `*.` before one for its subdomains.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub authorized_domains: Option<ItemsInput>,
    /// The addresses that the user may send as.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub authorized_senders: Option<ItemsInput>,
    /// The carriers of a priority that count in the user's mail: `MT-PRIORITY`, `X-SMTPAPI`, `X-Priority`,
    /// `X-MSMail-Priority`, `Importance`, `Priority`. Null for all; none of them when empty.
    #[serde(
        default,
        deserialize_with = "given_or_null",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<ItemsInput>)]
    pub trusted_carriers: Option<Option<ItemsInput>>,
    /// The most urgent class that the user's mail may have, 1 (very high) to 5 (very low); null for any.
    #[serde(
        default,
        deserialize_with = "given_or_null",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 5)]
    pub priority_ceiling: Option<Option<i64>>,
    /// Very-high messages an hour, that many at once; null for any number.
    #[serde(
        default,
        deserialize_with = "given_or_null",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 100_000)]
    pub very_high_per_hour: Option<Option<i64>>,
}

impl UserInput {
    /// As a new user, before it is checked.
    pub fn draft(self) -> UserDraft {
        UserDraft {
            allowance: self.allowance(),
            name: self.name,
            list: self.list,
            active: self.active.unwrap_or(true),
            priority: self.priority,
            note: self.note.unwrap_or_default(),
            authorized_domains: self
                .authorized_domains
                .map(|items| items.0)
                .unwrap_or_default(),
            authorized_senders: self
                .authorized_senders
                .map(|items| items.0)
                .unwrap_or_default(),
        }
    }

    /// What is said about urgency, before it is checked.
    pub fn allowance(&self) -> AllowancePatch {
        AllowancePatch {
            trusted_carriers: self
                .trusted_carriers
                .clone()
                .map(|items| items.map(|items| items.0)),
            priority_ceiling: self.priority_ceiling,
            very_high_per_hour: self.very_high_per_hour,
        }
    }

    fn patch(self) -> UserPatch {
        UserPatch {
            allowance: self.allowance(),
            name: self.name,
            list: self.list,
            active: self.active,
            priority: self.priority,
            note: self.note,
            authorized_domains: self.authorized_domains.map(|items| items.0),
            authorized_senders: self.authorized_senders.map(|items| items.0),
        }
    }
}

impl UsersQuery {
    fn read(self) -> Result<(UserFilter, Option<String>, usize), Problem> {
        let set = |value: Option<String>| value.filter(|value| !value.is_empty());
        let mut errors = Vec::new();
        let active = match set(self.active).as_deref() {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => {
                errors.push(FieldError::new("active", "must be true or false"));
                None
            }
        };
        let limit = set(self.limit).map_or(Some(ROWS_DEFAULT), |text| {
            text.parse()
                .ok()
                .filter(|rows| (1..=ROWS_MAX).contains(rows))
        });
        match limit {
            Some(limit) if errors.is_empty() => {
                let filter = UserFilter {
                    list: set(self.list),
                    active,
                    name_contains: set(self.name),
                };
                Ok((filter, set(self.cursor), limit))
            }
            Some(_) => Err(Problem::fields(errors)),
            None => {
                errors.push(FieldError::new("limit", format!("must be 1 to {ROWS_MAX}")));
                Err(Problem::fields(errors))
            }
        }
    }
}

/// The carriers as documents name them.
pub fn carrier_names(carriers: &[Carrier]) -> Vec<String> {
    carriers
        .iter()
        .map(|carrier| carrier.name().to_owned())
        .collect()
}

/// A user with the figures of now.
pub(super) async fn document(api: &Api, user: &Arc<User>, caller: &Caller) -> UserDocument {
    let figures = figures(api, std::slice::from_ref(user)).await;
    let figures = figures.first().copied().unwrap_or_default();
    shown(user, figures, caller, api.clock.now())
}

fn shown(user: &User, figures: Figures, caller: &Caller, now: Timestamp) -> UserDocument {
    UserDocument {
        name: user.name.clone(),
        list: user.list.clone(),
        active: user.active,
        priority: user.priority.number(),
        note: caller.scope.covers(Scope::Admin).then(|| user.note.clone()),
        authorized_domains: user.rules.domains().to_vec(),
        authorized_senders: user.rules.sender_texts().collect(),
        trusted_carriers: user.allowance.trusted_carriers().map(carrier_names),
        priority_ceiling: user.allowance.ceiling().map(Class::number),
        very_high_per_hour: user.allowance.very_high_per_hour(),
        very_high_left: user.very_high_left(now),
        created: user.created.to_string(),
        changed: user.changed.to_string(),
        password_changed: user.password_changed.to_string(),
        last_login: user.last_login.map(|at| at.to_string()),
        queued: figures.queued,
        refused: figures.refused,
        warning: user.rules.warning().map(str::to_owned),
    }
}

/// A user as administrators see it, without figures.
pub(super) fn in_full(user: &User, now: Timestamp) -> UserDocument {
    let administrator = Caller {
        name: String::new(),
        scope: Scope::Admin,
    };
    shown(user, Figures::default(), &administrator, now)
}

async fn tagged(api: &Api, user: &Arc<User>, caller: &Caller) -> Tagged<UserDocument> {
    Tagged {
        version: Version::of_user(user),
        document: document(api, user, caller).await,
    }
}

/// Shows users, disabled ones included.
#[utoipa::path(get, path = "/api/v1/users", operation_id = "list_users", tag = "users", params(UsersQuery),
    security(("token" = ["read"])),
    responses((status = 200, description = "A page of users.", body = UsersDocument), Refused))]
pub(super) async fn list(
    Reader(caller): Reader,
    State(api): State<Arc<Api>>,
    QueryString(query): QueryString<UsersQuery>,
) -> Result<axum::Json<UsersDocument>, Problem> {
    let (filter, after, rows_max) = query.read()?;
    if let Some(list) = filter.list.as_deref()
        && api.directory.list(list).is_none()
    {
        let text = format!("there is no list named \"{list}\"");
        return Err(Problem::fields(vec![FieldError::new("list", text)]));
    }
    let page = api.directory.users(&filter, after.as_deref(), rows_max);
    let now = api.clock.now();
    let figures = figures(&api, &page.users).await;
    let users = page.users.iter().zip(figures);
    let users = users.map(|(user, figures)| shown(user, figures, &caller, now));
    Ok(axum::Json(UsersDocument {
        users: users.collect(),
        cursor: page.next,
    }))
}

/// Makes a user. The answer has the password, once.
#[utoipa::path(post, path = "/api/v1/users", operation_id = "add_user", tag = "users", params(KeyHeader),
    request_body = UserInput,
    security(("token" = ["admin"])),
    responses((status = 201, description = "The new user with its password.", body = NewUserDocument),
        Refused, RefusedBody, Conflicts))]
pub(super) async fn add(
    Administrator(caller): Administrator,
    deed: Deed,
    _: NoQuery,
    State(api): State<Arc<Api>>,
    Json(input): Json<UserInput>,
) -> Result<impl IntoResponse, Problem> {
    let document = create(&api, &caller, &deed, input).await?;
    let location = format!("/api/v1/users/{}", within_path(&document.user.name));
    let what = format!(
        "user {} was made, and `POST {location}/password` makes another password",
        document.user.name
    );
    let once = Extension(ShownOnce(what));
    let headers = [(LOCATION, location), (CACHE_CONTROL, "no-store".to_owned())];
    Ok((StatusCode::CREATED, headers, once, axum::Json(document)))
}

/// As [`add`], for every surface.
pub(super) async fn create(
    api: &Api,
    caller: &Caller,
    deed: &Deed,
    input: UserInput,
) -> Result<NewUserDocument, Problem> {
    deed.note(|noted| {
        noted.action = Some("add-user");
        noted.user = input.name.as_deref().map(audit::shown);
        noted.list = input.list.as_deref().map(audit::shown);
    });
    let new = input.draft().check().map_err(invalid)?;
    let (password, hash) = super::new_password(api).await?;
    let user = api
        .directory
        .under(deed.terms(&api.clock, StatusCode::CREATED, None))
        .create_user(new, hash, api.clock.now())
        .await
        .map_err(directory_problem)?;
    // There may be mail of that name, of a user that was removed.
    api.spool.lists_changed();
    deed.note(|noted| {
        noted.user = Some(audit::shown(&user.name));
        noted.list = Some(user.list.clone());
    });
    Ok(NewUserDocument {
        user: document(api, &user, caller).await,
        password: password.as_str().to_owned(),
    })
}

/// Shows a user.
#[utoipa::path(get, path = "/api/v1/users/{user}", operation_id = "show_user", tag = "users",
    params(("user" = String, Path, description = "The name of the user."), IfNoneMatchHeader),
    security(("token" = ["read"])),
    responses((status = 200, description = "The user.", body = UserDocument,
        headers(("ETag" = String, description = "Its version, for `If-Match`."))),
        NotModified, Refused, Missing))]
pub(super) async fn show(
    Reader(caller): Reader,
    _: NoQuery,
    known: IfNoneMatch,
    State(api): State<Arc<Api>>,
    Segment(name): Segment,
) -> Result<Looked<UserDocument>, Problem> {
    let user = api
        .directory
        .user(&name)
        .ok_or_else(|| no_such("user", &name))?;
    Ok(tagged(&api, &user, &caller).await.unless(&known))
}

/// Changes a user; what is left out stays. In force at the next MAIL of every open session.
#[utoipa::path(patch, path = "/api/v1/users/{user}", operation_id = "change_user", tag = "users",
    params(("user" = String, Path, description = "The name of the user."), IfMatchHeader),
    request_body = UserInput,
    security(("token" = ["admin"])),
    responses((status = 200, description = "The user as it is now.", body = UserDocument,
        headers(("ETag" = String, description = "Its version, for `If-Match`."))),
        Refused, RefusedBody, Missing, Conflicts, Changed))]
pub(super) async fn change(
    Administrator(caller): Administrator,
    deed: Deed,
    _: NoQuery,
    IfMatch(only_if): IfMatch,
    State(api): State<Arc<Api>>,
    Segment(name): Segment,
    Json(input): Json<UserInput>,
) -> Result<Tagged<UserDocument>, Problem> {
    deed.note(|noted| {
        noted.action = Some("change-user");
        noted.user = Some(audit::shown(&name));
    });
    let patch = input.patch();
    let new_name = patch.name.clone();
    let change = patch.check().map_err(invalid)?;
    if let Some(new_name) = new_name {
        removal::may_be_named(&api, &name, &new_name, &caller).await?;
    }
    let changed = api
        .directory
        .under(deed.terms(&api.clock, StatusCode::OK, only_if))
        .change_user(&name, change, api.clock.now())
        .await
        .map_err(directory_problem)?;
    if changed.before.list != changed.after.list {
        api.spool.lists_changed();
    }
    deed.note(|noted| {
        noted.list = Some(changed.after.list.clone());
        noted.changed = Some(differing(&changed.before, &changed.after));
    });
    if changed.before.rules != changed.after.rules {
        refusals::settle(&api, &changed.after).await;
    }
    Ok(tagged(&api, &changed.after, &caller).await)
}

/// The names of the fields in which they differ; of another name that name too.
fn differing(before: &User, after: &User) -> String {
    let name = format!("name={}", after.name);
    audit::fields([
        (name.as_str(), before.name != after.name),
        ("list", before.list != after.list),
        ("active", before.active != after.active),
        (User::PRIORITY, before.priority != after.priority),
        (User::NOTE, before.note != after.note),
        (
            SenderRules::DOMAINS,
            before.rules.domains() != after.rules.domains(),
        ),
        (
            SenderRules::SENDERS,
            before.rules.senders() != after.rules.senders(),
        ),
        (
            Allowance::TRUSTED_CARRIERS,
            before.allowance.trusted_carriers() != after.allowance.trusted_carriers(),
        ),
        (
            Allowance::CEILING,
            before.allowance.ceiling() != after.allowance.ceiling(),
        ),
        (
            Allowance::VERY_HIGH_PER_HOUR,
            before.allowance.very_high_per_hour() != after.allowance.very_high_per_hour(),
        ),
    ])
}

/// Gives a user a new password; the old one stops at once. The answer has it, once.
#[utoipa::path(post, path = "/api/v1/users/{user}/password", operation_id = "reset_user_password", tag = "users",
    params(("user" = String, Path, description = "The name of the user."), IfMatchHeader, KeyHeader),
    security(("token" = ["admin"])),
    responses((status = 200, description = "The new password.", body = PasswordDocument),
        Refused, RefusedBody, Missing, Conflicts, Changed))]
pub(super) async fn reset_password(
    _: Administrator,
    deed: Deed,
    _: NoQuery,
    IfMatch(only_if): IfMatch,
    State(api): State<Arc<Api>>,
    Segment(name): Segment,
    _: NoBody,
) -> Result<impl IntoResponse, Problem> {
    let document = reset(&api, &deed, only_if, &name).await?;
    let what = format!(
        "user {} got a new password, and the same request with another key makes another",
        document.name
    );
    let once = Extension(ShownOnce(what));
    Ok(([(CACHE_CONTROL, "no-store")], once, axum::Json(document)))
}

/// As [`reset_password`], for every surface.
pub(super) async fn reset(
    api: &Api,
    deed: &Deed,
    only_if: Option<OnlyIf>,
    name: &str,
) -> Result<PasswordDocument, Problem> {
    deed.note(|noted| {
        noted.action = Some("reset-password");
        noted.user = Some(audit::shown(name));
    });
    // Before the work of hashing: what is not there needs no password.
    api.directory
        .user(name)
        .ok_or_else(|| no_such("user", name))?;
    let (password, hash) = super::new_password(api).await?;
    let changed = api
        .directory
        .under(deed.terms(&api.clock, StatusCode::OK, only_if))
        .set_password_hash(name, hash, api.clock.now())
        .await
        .map_err(directory_problem)?;
    Ok(PasswordDocument {
        name: changed.after.name.clone(),
        password: password.as_str().to_owned(),
    })
}
