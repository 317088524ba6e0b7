//! Admins: who they are, one more, another role, a new password, and one less.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use zeroize::Zeroizing;

use super::{parts as ways, reach, roles};
use crate::admin::admins::{self, AdminChangeInput, AdminDocument, AdminInput, NewAdminDocument};
use crate::admin::console::layout::{self, Frame};
use crate::admin::console::parts::{self, Field};
use crate::admin::console::refusal::{OrPage as _, Shown, at_fields, go_to, status_of};
use crate::admin::console::session::{Notice, ShownOnce};
use crate::admin::console::visit::{Submitted, Visitor};
use crate::admin::extract::{Json, NoQuery, Segment};
use crate::admin::problem::FieldError;
use crate::admin::within_path;

const PATH: &str = "/system/admins";

pub(in crate::admin::console::pages) async fn show(visitor: Visitor) -> Shown {
    page(&visitor, "", &[]).await
}

async fn page(visitor: &Visitor, name: &str, errors: &[FieldError]) -> Shown {
    let caller = visitor.administrator().or_page(visitor)?;
    let axum::Json(all) = admins::list(caller, NoQuery, State(visitor.api.clone())).await;
    let texts = visitor.texts;
    let roles = roles(texts);
    let body = html! {
        (ways(visitor))
        div.scroll tabindex="0" role="region" aria-label=(texts.say("system-admins")) {
            table {
                thead { tr {
                    th scope="col" { (texts.say("log-in-name")) }
                    th scope="col" { (texts.say("admin-role")) }
                    th scope="col" { (texts.say("user-last-login")) }
                    th scope="col" { (texts.say("actions")) }
                } }
                tbody { @for admin in &all.admins { (row(visitor, admin, &roles)) } }
            }
        }
        h2 { (texts.say("admin-add")) }
        (parts::problems_beside(errors, &["name", "role"]))
        form.card method="post" action=(PATH) {
            (parts::form_token(visitor))
            (Field { name: "name", label: texts.say("log-in-name"), hint: None, value: name, problems: errors }.line())
            (Field { name: "role", label: texts.say("admin-role"), hint: None, value: "read", problems: errors }.choice(&roles))
            button.primary type="submit" { (texts.say("admin-add")) }
        }
    };
    Ok(layout::page(
        visitor,
        &Frame::new(texts.say("system-admins")),
        &body,
    ))
}

fn row(visitor: &Visitor, admin: &AdminDocument, roles: &[(String, String)]) -> Markup {
    let texts = visitor.texts;
    let path = |what: &str| format!("{PATH}/{}/{what}", within_path(&admin.name));
    html! {
        tr {
            th scope="row" { (admin.name) }
            td {
                form.inline method="post" action=(path("role")) {
                    (parts::form_token(visitor))
                    select name="role" aria-label=(texts.with("admin-role-of", &[("name", (&admin.name).into())])) {
                        @for (role, words) in roles { option value=(role) selected[role == admin.role.name()] { (words) } }
                    }
                    button.quiet type="submit" { (texts.say("save")) }
                }
            }
            td {
                @match &admin.last_login {
                    Some(at) => (parts::time(at)),
                    None => { (texts.say("never")) },
                }
            }
            td {
                (parts::action(visitor, &path("password"), &[], &texts.say("user-reset-password"), false))
                (parts::action(visitor, &path("remove"), &[], &texts.say("remove"), true))
            }
        }
    }
}

fn shown_once(visitor: &Visitor, made: &NewAdminDocument, key: &str) {
    let values = [("name", (&made.name).into())];
    visitor.tell(Notice {
        secret: Some(ShownOnce {
            name: made.name.clone(),
            secret: Zeroizing::new(made.password.clone()),
        }),
        ..Notice::done(visitor.texts.with(key, &values))
    });
}

pub(in crate::admin::console::pages) async fn add(submitted: Submitted) -> Shown<Response> {
    let Submitted {
        visitor,
        fields,
        deed,
    } = submitted;
    visitor.administrator().or_page(&visitor)?;
    let name = fields.text("name").trim();
    let made = match reach("role", &fields) {
        Ok(role) => {
            let name = name.to_owned();
            admins::create(&visitor.api, &deed, AdminInput { name, role }).await
        }
        Err(problem) => Err(problem),
    };
    match made {
        Ok(made) => {
            shown_once(&visitor, &made, "admin-added");
            Ok(go_to(PATH))
        }
        Err(problem) => {
            let problem = at_fields(&visitor, problem)?;
            let page = page(&visitor, name, &problem.errors).await?;
            Ok((status_of(&problem), page).into_response())
        }
    }
}

pub(in crate::admin::console::pages) async fn change(
    Segment(name): Segment,
    submitted: Submitted,
) -> Shown<Response> {
    let Submitted {
        visitor,
        fields,
        deed,
    } = submitted;
    let caller = visitor.administrator().or_page(&visitor)?;
    let role = reach("role", &fields).or_page(&visitor)?;
    let state = State(visitor.api.clone());
    let input = Json(AdminChangeInput { role });
    let changed = admins::change(caller, deed, NoQuery, state, Segment(name), input).await;
    let axum::Json(admin) = changed.or_page(&visitor)?;
    let values = [
        ("name", (&admin.name).into()),
        ("role", admin.role.name().into()),
    ];
    visitor.tell(Notice::done(visitor.texts.with("admin-changed", &values)));
    Ok(go_to(PATH))
}

pub(in crate::admin::console::pages) async fn reset(
    Segment(name): Segment,
    submitted: Submitted,
) -> Shown<Response> {
    let Submitted { visitor, deed, .. } = submitted;
    visitor.administrator().or_page(&visitor)?;
    let made = admins::reset(&visitor.api, &deed, &name).await;
    let made = made.or_page(&visitor)?;
    // Of an admin's own password the session goes with it, and what it would be told.
    if made.name == visitor.admin.name {
        visitor.begin_anew().or_page(&visitor)?;
    }
    shown_once(&visitor, &made, "admin-password-reset");
    Ok(go_to(PATH))
}

pub(in crate::admin::console::pages) async fn remove(
    Segment(name): Segment,
    submitted: Submitted,
) -> Shown<Response> {
    let Submitted { visitor, deed, .. } = submitted;
    let caller = visitor.administrator().or_page(&visitor)?;
    let state = State(visitor.api.clone());
    let removed = admins::remove(caller, deed, NoQuery, state, Segment(name)).await;
    let axum::Json(removed) = removed.or_page(&visitor)?;
    let values = [("name", (&removed.removed).into())];
    visitor.tell(Notice::done(visitor.texts.with("admin-removed", &values)));
    Ok(go_to(PATH))
}
