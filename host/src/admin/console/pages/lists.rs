//! Lists: all of them, and one with its settings.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::statistics;
use crate::account::{DEFAULT_LIST, Items, Scope};
use crate::admin::console::layout::{self, Frame};
use crate::admin::console::meanwhile::{self, Beside, VERSION_FIELD};
use crate::admin::console::parts::{self, Field, with_query};
use crate::admin::console::refusal::{OrPage as _, Shown, at_fields, go_to, status_of};
use crate::admin::console::session::Notice;
use crate::admin::console::visit::{Submitted, Visitor};
use crate::admin::extract::{Json, NoQuery, Segment};
use crate::admin::items::ItemsInput;
use crate::admin::lists::{self, ListChangeInput, ListDocument, ListInput};
use crate::admin::problem::{FieldError, Kind};
use crate::admin::version::{IfMatch, IfNoneMatch, Tagged};
use crate::admin::within_path;

fn path(name: &str) -> String {
    format!("/lists/{}", within_path(name))
}

pub(super) async fn show_all(visitor: Visitor) -> Shown {
    all(&visitor, "", "", &[]).await
}

async fn all(visitor: &Visitor, name: &str, notify: &str, errors: &[FieldError]) -> Shown {
    let state = State(visitor.api.clone());
    let axum::Json(page) = lists::list(visitor.reader(), NoQuery, state).await;
    let texts = visitor.texts;
    let body = html! {
        p.lead { (texts.say("lists-lead")) }
        div.scroll tabindex="0" role="region" aria-label=(texts.say("nav-lists")) {
            table {
                thead { tr {
                    th scope="col" { (texts.say("list-name")) }
                    th scope="col" { (texts.say("nav-users")) }
                    th scope="col" { (texts.say("list-notify")) }
                } }
                tbody { @for list in &page.lists { tr {
                    th scope="row" { a href=(path(&list.name)) { (list.name) } }
                    td { (users_of(visitor, list)) }
                    td { @if list.notify.is_empty() { span.warn { (texts.say("list-notify-none")) } } @else { (list.notify.join("; ")) } }
                } } }
            }
        }
        @if visitor.may(Scope::Admin) {
            h2 { (texts.say("list-add")) }
            (parts::problems_beside(errors, &["name", "notify"]))
            form.card method="post" action="/lists" {
                (parts::form_token(visitor))
                (Field { name: "name", label: texts.say("list-name"), hint: None, value: name, problems: errors }.line())
                (notify_field(visitor, notify, errors))
                button.primary type="submit" { (texts.say("list-add")) }
            }
        }
    };
    let frame = Frame::new(texts.say("nav-lists"));
    Ok(layout::page(visitor, &frame, &body))
}

fn users_of(visitor: &Visitor, list: &ListDocument) -> Markup {
    let texts = visitor.texts;
    let values = [
        ("users", list.users.into()),
        ("active", list.active_users.into()),
    ];
    html! {
        a href=(with_query("/users", [("list", list.name.as_str())])) { (texts.with("list-users", &values)) }
    }
}

fn notify_field(visitor: &Visitor, value: &str, errors: &[FieldError]) -> Markup {
    let texts = visitor.texts;
    let field = Field {
        name: "notify",
        label: texts.say("list-notify"),
        hint: Some(texts.say("list-notify-hint")),
        value,
        problems: errors,
    };
    field.line()
}

pub(super) async fn add(submitted: Submitted) -> Shown<Response> {
    let Submitted {
        visitor,
        deed,
        fields,
    } = submitted;
    let caller = visitor.administrator().or_page(&visitor)?;
    let (name, notify) = (fields.text("name").trim(), fields.text("notify"));
    let input = ListInput {
        name: name.to_owned(),
        notify: Some(ItemsInput(Items::from(notify))),
    };
    let state = State(visitor.api.clone());
    let made = lists::add(caller, deed, NoQuery, state, Json(input)).await;
    match made {
        Ok(_) => {
            let said = visitor.texts.with("list-added", &[("name", name.into())]);
            visitor.tell(Notice::done(said));
            Ok(go_to("/lists"))
        }
        Err(problem) => {
            let problem = at_fields(&visitor, problem)?;
            let page = all(&visitor, name, notify, &problem.errors).await?;
            Ok((status_of(&problem), page).into_response())
        }
    }
}

pub(super) async fn show(visitor: Visitor, Segment(name): Segment) -> Shown {
    let list = list(&visitor, name).await?;
    let entered = Entered::of(&list);
    Ok(page_of(&visitor, &list.document, &entered, &[], None).await)
}

/// What stands in the form of a list.
struct Entered {
    /// Of which version of the list.
    version: String,
    notify: String,
}

impl Entered {
    fn of(list: &Tagged<ListDocument>) -> Self {
        Self {
            version: list.version.to_string(),
            notify: list.document.notify.join("; "),
        }
    }
}

async fn list(visitor: &Visitor, name: String) -> Shown<Tagged<ListDocument>> {
    let state = State(visitor.api.clone());
    let (reader, name) = (visitor.reader(), Segment(name));
    let list = lists::show(reader, NoQuery, IfNoneMatch::NONE, state, name).await;
    Ok(list.or_page(visitor)?.tagged)
}

/// The page of a list: with what is there by now, where that is another version than the form was made of.
async fn page_of(
    visitor: &Visitor,
    list: &ListDocument,
    entered: &Entered,
    errors: &[FieldError],
    there: Option<&Entered>,
) -> Markup {
    let texts = visitor.texts;
    let can_go = list.users == 0 && list.name != DEFAULT_LIST;
    let beside = there.map(|there| Beside {
        label: texts.say("list-notify"),
        entered: entered.notify.clone(),
        there: there.notify.clone(),
    });
    let glance = statistics::at_a_glance(visitor, "list", &list.name).await;
    let body = html! {
        @if let Some(beside) = beside { (meanwhile::notice(texts, &list.name, &[beside])) }
        dl.facts {
            dt { (texts.say("nav-users")) } dd { (users_of(visitor, list)) }
            dt { (texts.say("created")) } dd { (parts::time(&list.created)) }
            dt { (texts.say("changed")) } dd { (parts::time(&list.changed)) }
        }
        @if visitor.may(Scope::Admin) {
            h2 { (texts.say("list-settings")) }
            (parts::problems_beside(errors, &["notify"]))
            form.card method="post" action=(path(&list.name)) {
                (parts::form_token(visitor))
                (meanwhile::version(&entered.version))
                (notify_field(visitor, &entered.notify, errors))
                button.primary type="submit" { (texts.say("save")) }
            }
            @if can_go {
                div.actions {
                    (parts::action(visitor, &format!("{}/remove", path(&list.name)), &[], &texts.say("list-remove"), true))
                }
            }
        } @else {
            h2 { (texts.say("list-notify")) }
            p { (list.notify.join("; ")) }
        }
        (glance)
    };
    layout::page(visitor, &Frame::narrow(list.name.clone()), &body)
}

pub(super) async fn change(Segment(name): Segment, submitted: Submitted) -> Shown<Response> {
    let Submitted {
        visitor,
        deed,
        fields,
    } = submitted;
    let caller = visitor.administrator().or_page(&visitor)?;
    let entered = Entered {
        version: fields.text(VERSION_FIELD).to_owned(),
        notify: fields.text("notify").to_owned(),
    };
    let input = ListChangeInput {
        notify: Some(ItemsInput(Items::from(entered.notify.as_str()))),
    };
    let state = State(visitor.api.clone());
    let segment = Segment(name.clone());
    let only_if = IfMatch::of_form(&entered.version);
    match lists::change(caller, deed, NoQuery, only_if, state, segment, Json(input)).await {
        Ok(Tagged { document: list, .. }) => {
            let said = visitor
                .texts
                .with("list-changed", &[("name", (&list.name).into())]);
            visitor.tell(Notice::done(said));
            Ok(go_to(&path(&list.name)))
        }
        Err(problem) => {
            let list = list(&visitor, name).await?;
            let there = Entered::of(&list);
            if problem.status == Kind::ChangedMeanwhile.status() {
                let entered = Entered {
                    version: there.version.clone(),
                    ..entered
                };
                let page = page_of(&visitor, &list.document, &entered, &[], Some(&there)).await;
                return Ok((status_of(&problem), page).into_response());
            }
            let problem = at_fields(&visitor, problem)?;
            let page = page_of(&visitor, &list.document, &entered, &problem.errors, None).await;
            Ok((status_of(&problem), page).into_response())
        }
    }
}

pub(super) async fn remove(Segment(name): Segment, submitted: Submitted) -> Shown<Response> {
    let Submitted { visitor, deed, .. } = submitted;
    let caller = visitor.administrator().or_page(&visitor)?;
    let state = State(visitor.api.clone());
    let (any, name) = (IfMatch::NONE, Segment(name));
    let removed = lists::remove(caller, deed, NoQuery, any, state, name).await;
    let axum::Json(removed) = removed.or_page(&visitor)?;
    let values = [("name", (&removed.removed).into())];
    visitor.tell(Notice::done(visitor.texts.with("list-removed", &values)));
    Ok(go_to("/lists"))
}
