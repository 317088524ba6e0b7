//! Lists over HTTP.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::{Administrator, Reader};
use super::audit::{self, Deed};
use super::extract::{Json, NoQuery, Segment, given};
use super::items::ItemsInput;
use super::once::KeyHeader;
use super::openapi::{Changed, Conflicts, Missing, NotModified, Refused, RefusedBody};
use super::problem::Problem;
use super::version::{IfMatch, IfMatchHeader, IfNoneMatch, IfNoneMatchHeader, Looked, Tagged};
use super::{Api, Removed, directory_problem, invalid, within_path};
use crate::account::{Items, List, ListDraft, ListPatch};
use crate::directory::Version;

/// A list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListDocument {
    /// Its name.
    #[schema(example = "default")]
    pub name: String,
    /// Who is told when a sender is refused.
    pub notify: Vec<String>,
    /// How many users it has.
    pub users: usize,
    /// How many of them may log in.
    pub active_users: usize,
    /// When it was made.
    pub created: String,
    /// When it was last changed.
    pub changed: String,
}

/// All lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListsDocument {
    /// The lists in the order of their names.
    pub lists: Vec<ListDocument>,
}

/// A list to be made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListInput {
    /// Its name.
    pub name: String,
    /// Who is told when a sender is refused.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub notify: Option<ItemsInput>,
}

/// A change to a list; what is left out stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListChangeInput {
    /// Who is told when a sender is refused, all of them.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub notify: Option<ItemsInput>,
}

/// A list as it is shown.
pub(super) fn shown(api: &Api, list: &List) -> ListDocument {
    let population = api.directory.population(&list.name);
    ListDocument {
        name: list.name.clone(),
        notify: list.notify.iter().map(ToString::to_string).collect(),
        users: population.users,
        active_users: population.active,
        created: list.created.to_string(),
        changed: list.changed.to_string(),
    }
}

/// What is set on a list.
pub(super) fn settings(list: &List) -> ListInput {
    let notify = list.notify.iter().map(ToString::to_string);
    ListInput {
        name: list.name.clone(),
        notify: Some(ItemsInput(Items::List(notify.collect()))),
    }
}

fn tagged(api: &Api, list: &List) -> Tagged<ListDocument> {
    Tagged {
        version: Version::of_list(list),
        document: shown(api, list),
    }
}

/// Shows all lists.
#[utoipa::path(get, path = "/api/v1/lists", operation_id = "list_lists", tag = "lists", security(("token" = ["read"])),
    responses((status = 200, description = "All lists.", body = ListsDocument), Refused))]
pub(super) async fn list(
    _: Reader,
    _: NoQuery,
    State(api): State<Arc<Api>>,
) -> axum::Json<ListsDocument> {
    let lists = api
        .directory
        .lists()
        .iter()
        .map(|list| shown(&api, list))
        .collect();
    axum::Json(ListsDocument { lists })
}

/// Makes a list.
#[utoipa::path(post, path = "/api/v1/lists", operation_id = "add_list", tag = "lists", params(KeyHeader),
    request_body = ListInput,
    security(("token" = ["admin"])),
    responses((status = 201, description = "The new list.", body = ListDocument,
        headers(("ETag" = String, description = "Its version, for `If-Match`."))),
        Refused, RefusedBody, Conflicts))]
pub(super) async fn add(
    _: Administrator,
    deed: Deed,
    _: NoQuery,
    State(api): State<Arc<Api>>,
    Json(input): Json<ListInput>,
) -> Result<impl IntoResponse, Problem> {
    deed.note(|noted| {
        noted.action = Some("add-list");
        noted.list = Some(audit::shown(&input.name));
    });
    let notify = input.notify.map(|items| items.0).unwrap_or_default();
    let new = ListDraft {
        name: input.name,
        notify,
    }
    .check()
    .map_err(invalid)?;
    let list = api
        .directory
        .under(deed.terms(&api.clock, StatusCode::CREATED, None))
        .create_list(new, api.clock.now())
        .await
        .map_err(directory_problem)?;
    let location = format!("/api/v1/lists/{}", within_path(&list.name));
    let list = tagged(&api, &list);
    Ok((StatusCode::CREATED, [(LOCATION, location)], list))
}

/// Shows a list.
#[utoipa::path(get, path = "/api/v1/lists/{list}", operation_id = "show_list", tag = "lists",
    params(("list" = String, Path, description = "The name of the list."), IfNoneMatchHeader),
    security(("token" = ["read"])),
    responses((status = 200, description = "The list.", body = ListDocument,
        headers(("ETag" = String, description = "Its version, for `If-Match`."))),
        NotModified, Refused, Missing))]
pub(super) async fn show(
    _: Reader,
    _: NoQuery,
    known: IfNoneMatch,
    State(api): State<Arc<Api>>,
    Segment(name): Segment,
) -> Result<Looked<ListDocument>, Problem> {
    let list = api
        .directory
        .list(&name)
        .ok_or_else(|| super::no_such("list", &name))?;
    Ok(tagged(&api, &list).unless(&known))
}

/// Changes a list.
#[utoipa::path(patch, path = "/api/v1/lists/{list}", operation_id = "change_list", tag = "lists",
    params(("list" = String, Path, description = "The name of the list."), IfMatchHeader),
    request_body = ListChangeInput,
    security(("token" = ["admin"])),
    responses((status = 200, description = "The list as it is now.", body = ListDocument,
        headers(("ETag" = String, description = "Its version, for `If-Match`."))),
        Refused, RefusedBody, Missing, Changed))]
pub(super) async fn change(
    _: Administrator,
    deed: Deed,
    _: NoQuery,
    IfMatch(only_if): IfMatch,
    State(api): State<Arc<Api>>,
    Segment(name): Segment,
    Json(input): Json<ListChangeInput>,
) -> Result<Tagged<ListDocument>, Problem> {
    deed.note(|noted| {
        noted.action = Some("change-list");
        noted.list = Some(audit::shown(&name));
    });
    let patch = ListPatch {
        notify: input.notify.map(|items| items.0),
    };
    let change = patch.check().map_err(invalid)?;
    let changed = api
        .directory
        .under(deed.terms(&api.clock, StatusCode::OK, only_if))
        .change_list(&name, change, api.clock.now())
        .await
        .map_err(directory_problem)?;
    deed.note(|noted| {
        let has_changed = changed.before.notify != changed.after.notify;
        noted.changed = Some(audit::fields([(List::NOTIFY, has_changed)]));
    });
    Ok(tagged(&api, &changed.after))
}

/// Removes a list that has no users.
#[utoipa::path(delete, path = "/api/v1/lists/{list}", operation_id = "remove_list", tag = "lists",
    params(("list" = String, Path, description = "The name of the list."), IfMatchHeader),
    security(("token" = ["admin"])),
    responses((status = 200, description = "It is gone.", body = Removed),
        Refused, Missing, Conflicts, Changed))]
pub(super) async fn remove(
    _: Administrator,
    deed: Deed,
    _: NoQuery,
    IfMatch(only_if): IfMatch,
    State(api): State<Arc<Api>>,
    Segment(name): Segment,
) -> Result<axum::Json<Removed>, Problem> {
    deed.note(|noted| {
        noted.action = Some("remove-list");
        noted.list = Some(audit::shown(&name));
    });
    let list = api
        .directory
        .under(deed.terms(&api.clock, StatusCode::OK, only_if))
        .delete_list(&name)
        .await
        .map_err(directory_problem)?;
    Ok(axum::Json(Removed {
        removed: list.name.clone(),
    }))
}
