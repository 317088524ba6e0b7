//! Admins over HTTP: who may log in to the console, and how far each may go.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::Administrator;
use super::audit::{self, Deed};
use super::extract::{Json, NoBody, NoQuery, Segment};
use super::once::{KeyHeader, ShownOnce};
use super::openapi::{Conflicts, Missing, Refused, RefusedBody};
use super::problem::Problem;
use super::tokens::ScopeName;
use super::{Api, Removed, directory_problem, no_such, within_path};
use crate::account::Admin;

/// An admin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdminDocument {
    /// The login name: who acts, in trails and logs.
    #[schema(example = "admin")]
    pub name: String,
    /// How far the admin may go.
    pub role: ScopeName,
    /// When the admin was made.
    pub created: String,
    /// When the password was last set.
    pub password_changed: String,
    /// When the admin last logged in; none before the first time.
    pub last_login: Option<String>,
}

/// All admins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdminsDocument {
    /// The admins in the order of their names.
    pub admins: Vec<AdminDocument>,
}

/// An admin and the password, in the only answer that has it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewAdminDocument {
    /// The login name.
    pub name: String,
    /// How far the admin may go.
    pub role: ScopeName,
    /// The password. It is shown this once.
    pub password: String,
}

/// An admin to be made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminInput {
    /// The login name.
    pub name: String,
    /// How far the admin may go.
    pub role: ScopeName,
}

/// A change to an admin.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminChangeInput {
    /// How far the admin may go from now on.
    pub role: ScopeName,
}

/// An admin without the password.
pub(super) fn shown(admin: &Admin) -> AdminDocument {
    AdminDocument {
        name: admin.name.clone(),
        role: admin.role.into(),
        created: admin.created.to_string(),
        password_changed: admin.password_changed.to_string(),
        last_login: admin.last_login.map(|at| at.to_string()),
    }
}

/// Shows all admins.
#[utoipa::path(get, path = "/api/v1/admins", operation_id = "list_admins", tag = "admin secrets",
    security(("token" = ["admin"])),
    responses((status = 200, description = "All admins.", body = AdminsDocument), Refused))]
pub(super) async fn list(
    _: Administrator,
    _: NoQuery,
    State(api): State<Arc<Api>>,
) -> axum::Json<AdminsDocument> {
    let admins = api.directory.admins();
    axum::Json(AdminsDocument {
        admins: admins.iter().map(|admin| shown(admin)).collect(),
    })
}

/// Makes an admin. The answer has the password, once.
#[utoipa::path(post, path = "/api/v1/admins", operation_id = "add_admin", tag = "admin secrets", params(KeyHeader),
    request_body = AdminInput,
    security(("token" = ["admin"])),
    responses((status = 201, description = "The new admin with the password.", body = NewAdminDocument),
        Refused, RefusedBody, Conflicts))]
pub(super) async fn add(
    _: Administrator,
    deed: Deed,
    _: NoQuery,
    State(api): State<Arc<Api>>,
    Json(input): Json<AdminInput>,
) -> Result<impl IntoResponse, Problem> {
    let document = create(&api, &deed, input).await?;
    let location = format!("/api/v1/admins/{}", within_path(&document.name));
    let what = format!(
        "admin {} was made, and `POST {location}/password` makes another password",
        document.name
    );
    let once = Extension(ShownOnce(what));
    let headers = [(LOCATION, location), (CACHE_CONTROL, "no-store".to_owned())];
    Ok((StatusCode::CREATED, headers, once, axum::Json(document)))
}

/// As [`add`], for every surface.
pub(super) async fn create(
    api: &Api,
    deed: &Deed,
    input: AdminInput,
) -> Result<NewAdminDocument, Problem> {
    deed.note(|noted| {
        noted.action = Some("add-admin");
        noted.admin = Some(audit::shown(&input.name));
        noted.scope = Some(input.role.name());
    });
    let (password, hash) = super::new_password(api).await?;
    let admin = api
        .directory
        .under(deed.terms(&api.clock, StatusCode::CREATED, None))
        .create_admin(&input.name, input.role.into(), hash, api.clock.now())
        .await
        .map_err(directory_problem)?;
    Ok(NewAdminDocument {
        name: admin.name.clone(),
        role: admin.role.into(),
        password: password.as_str().to_owned(),
    })
}

/// Shows an admin.
#[utoipa::path(get, path = "/api/v1/admins/{name}", operation_id = "show_admin", tag = "admin secrets",
    params(("name" = String, Path, description = "The name of the admin.")),
    security(("token" = ["admin"])),
    responses((status = 200, description = "The admin.", body = AdminDocument), Refused, Missing))]
pub(super) async fn show(
    _: Administrator,
    _: NoQuery,
    State(api): State<Arc<Api>>,
    Segment(name): Segment,
) -> Result<axum::Json<AdminDocument>, Problem> {
    let admin = api.directory.admin(&name);
    let admin = admin.ok_or_else(|| no_such("admin", &name))?;
    Ok(axum::Json(shown(&admin)))
}

/// Gives an admin another role, in force at the admin's next request.
#[utoipa::path(patch, path = "/api/v1/admins/{name}", operation_id = "change_admin", tag = "admin secrets",
    params(("name" = String, Path, description = "The name of the admin.")),
    request_body = AdminChangeInput,
    security(("token" = ["admin"])),
    responses((status = 200, description = "The admin as it is now.", body = AdminDocument),
        Refused, RefusedBody, Missing, Conflicts))]
pub(super) async fn change(
    _: Administrator,
    deed: Deed,
    _: NoQuery,
    State(api): State<Arc<Api>>,
    Segment(name): Segment,
    Json(input): Json<AdminChangeInput>,
) -> Result<axum::Json<AdminDocument>, Problem> {
    deed.note(|noted| {
        noted.action = Some("change-admin");
        noted.admin = Some(audit::shown(&name));
        noted.scope = Some(input.role.name());
    });
    let changed = api
        .directory
        .under(deed.terms(&api.clock, StatusCode::OK, None))
        .change_admin(&name, input.role.into())
        .await
        .map_err(directory_problem)?;
    deed.note(|noted| {
        let has_changed = changed.before.role != changed.after.role;
        noted.changed = Some(audit::fields([("role", has_changed)]));
    });
    Ok(axum::Json(shown(&changed.after)))
}

/// Removes an admin; open sessions end at once.
#[utoipa::path(delete, path = "/api/v1/admins/{name}", operation_id = "remove_admin", tag = "admin secrets",
    params(("name" = String, Path, description = "The name of the admin.")),
    security(("token" = ["admin"])),
    responses((status = 200, description = "The admin is gone.", body = Removed), Refused, Missing, Conflicts))]
pub(super) async fn remove(
    _: Administrator,
    deed: Deed,
    _: NoQuery,
    State(api): State<Arc<Api>>,
    Segment(name): Segment,
) -> Result<axum::Json<Removed>, Problem> {
    deed.note(|noted| {
        noted.action = Some("remove-admin");
        noted.admin = Some(audit::shown(&name));
    });
    let told = api
        .directory
        .under(deed.terms(&api.clock, StatusCode::OK, None));
    let removed = told.delete_admin(&name).await;
    let admin = removed.map_err(directory_problem)?;
    Ok(axum::Json(Removed {
        removed: admin.name.clone(),
    }))
}

/// Gives an admin a new password; the old one and open sessions end at once. The answer has it, once.
#[utoipa::path(post, path = "/api/v1/admins/{name}/password", operation_id = "reset_admin_password", tag = "admin secrets",
    params(("name" = String, Path, description = "The name of the admin."), KeyHeader),
    security(("token" = ["admin"])),
    responses((status = 200, description = "The new password.", body = NewAdminDocument),
        Refused, RefusedBody, Missing, Conflicts))]
pub(super) async fn reset_password(
    _: Administrator,
    deed: Deed,
    _: NoQuery,
    State(api): State<Arc<Api>>,
    Segment(name): Segment,
    _: NoBody,
) -> Result<impl IntoResponse, Problem> {
    let document = reset(&api, &deed, &name).await?;
    let what = format!(
        "admin {} got a new password, and the same request with another key makes another",
        document.name
    );
    let once = Extension(ShownOnce(what));
    Ok(([(CACHE_CONTROL, "no-store")], once, axum::Json(document)))
}

/// As [`reset_password`], for every surface.
pub(super) async fn reset(api: &Api, deed: &Deed, name: &str) -> Result<NewAdminDocument, Problem> {
    deed.note(|noted| {
        noted.action = Some("reset-admin-password");
        noted.admin = Some(audit::shown(name));
    });
    // Before the work of hashing: who is not there needs no password.
    let known = api.directory.admin(name);
    known.ok_or_else(|| no_such("admin", name))?;
    let (password, hash) = super::new_password(api).await?;
    let admin = api
        .directory
        .under(deed.terms(&api.clock, StatusCode::OK, None))
        .set_admin_password_hash(name, hash, api.clock.now())
        .await
        .map_err(directory_problem)?;
    Ok(NewAdminDocument {
        name: admin.name.clone(),
        role: admin.role.into(),
        password: password.as_str().to_owned(),
    })
}
