//! The table of users.

use axum::extract::State;
use maud::{Markup, html};
use std::sync::Arc;

use super::sent::{self, sent};
use super::{path, rules, state};
use crate::account::Scope;
use crate::admin::Api;
use crate::admin::console::layout::{self, Frame};
use crate::admin::console::parts::{self, with_query};
use crate::admin::console::refusal::{OrPage as _, Shown};
use crate::admin::console::visit::Visitor;
use crate::admin::extract::QueryString;
use crate::admin::users::{self, UserDocument, UsersDocument, UsersQuery};

/// Rows of a page: what a person looks at.
const ROWS: &str = "100";
/// Rules of a user that the table shows.
const RULES_SHOWN: usize = 3;

pub(in crate::admin::console::pages) async fn show(
    visitor: Visitor,
    State(api): State<Arc<Api>>,
    QueryString(query): QueryString<UsersQuery>,
) -> Shown {
    let asked = query.clone();
    let query = UsersQuery {
        limit: Some(ROWS.to_owned()),
        ..query
    };
    let page = users::list(visitor.reader(), State(api), QueryString(query)).await;
    let axum::Json(page) = page.or_page(&visitor)?;
    let sent = sent(&visitor.api, &page.users).await;
    let frame = Frame::new(visitor.texts.say("nav-users"));
    Ok(layout::page(
        &visitor,
        &frame,
        &table(&visitor, &asked, &page, &sent),
    ))
}

fn table(
    visitor: &Visitor,
    asked: &UsersQuery,
    page: &UsersDocument,
    sent: &[Option<u64>],
) -> Markup {
    let texts = visitor.texts;
    let given = |text: &Option<String>| text.clone().unwrap_or_default();
    let (list, name, active) = (given(&asked.list), given(&asked.name), given(&asked.active));
    let filters = [
        ("list", list.as_str()),
        ("name", &name),
        ("active", &active),
    ];
    let lists = visitor.api.directory.lists();
    html! {
        form.filters role="search" method="get" action="/users" {
            label { (texts.say("users-search")) input type="search" name="name" value=(name); }
            @if lists.len() > 1 {
                label { (texts.say("list"))
                    select name="list" {
                        option value="" { (texts.say("any")) }
                        @for known in &lists {
                            option value=(known.name) selected[known.name == list] { (known.name) }
                        }
                    }
                }
            }
            label { (texts.say("state"))
                select name="active" {
                    option value="" { (texts.say("any")) }
                    option value="true" selected[active == "true"] { (texts.say("user-active")) }
                    option value="false" selected[active == "false"] { (texts.say("user-disabled")) }
                }
            }
            button type="submit" { (texts.say("show")) }
            @if visitor.may(Scope::Admin) {
                a.button.primary href=(with_query("/users/new", [("list", list.as_str())])) { (texts.say("user-add")) }
            }
        }
        @if page.users.is_empty() {
            p.empty { (texts.say("users-none")) }
        } @else {
            div.scroll tabindex="0" role="region" aria-label=(texts.say("nav-users")) {
                table.cards {
                    thead { tr {
                        th scope="col" { (texts.say("user-name")) }
                        th scope="col" { (texts.say("state")) }
                        th scope="col" { (texts.say("list")) }
                        th scope="col" { (texts.say("user-priority")) }
                        th scope="col" { (texts.say("user-rules")) }
                        th scope="col" { (texts.say("user-last-login")) }
                        th scope="col" { (texts.with("user-sent", &[("days", sent::DAYS.into())])) }
                        th scope="col" { (texts.say("user-queued")) }
                        th scope="col" { (texts.say("user-refused")) }
                    } }
                    tbody { @for (user, sent) in page.users.iter().zip(sent) { (row(visitor, user, *sent)) } }
                }
            }
            (parts::next_page(texts, "/users", filters, page.cursor.as_deref()))
        }
    }
}

fn row(visitor: &Visitor, user: &UserDocument, sent: Option<u64>) -> Markup {
    let texts = visitor.texts;
    html! {
        tr .dim[!user.active] {
            th scope="row" {
                a href=(path(&user.name)) { (user.name) }
                // It is there for those who may see it.
                @if let Some(note) = user.note.as_deref().filter(|note| !note.is_empty()) { div.small.note { (note) } }
            }
            td data-label=(texts.say("state")) { (state(texts, user)) }
            td.brief data-label=(texts.say("list")) { (user.list) }
            td data-label=(texts.say("user-priority")) { (parts::class(texts, user.priority)) }
            td.rules data-label=(texts.say("user-rules")) { (rules(texts, user, RULES_SHOWN)) }
            td data-label=(texts.say("user-last-login")) {
                @match &user.last_login {
                    Some(at) => (parts::time(at)),
                    None => { (texts.say("never")) },
                }
            }
            td data-label=(texts.with("user-sent", &[("days", sent::DAYS.into())])) {
                @match sent {
                    Some(0) => { "0" },
                    Some(sent) => {
                        @let about = [("user", user.name.as_str()), ("span", "month")];
                        a href=(with_query("/statistics", about)) { (sent) }
                    },
                    None => { "–" },
                }
            }
            td data-label=(texts.say("user-queued")) {
                @match user.queued {
                    Some(0) => { "0" },
                    Some(queued) => { a href=(with_query("/queue", [("user", user.name.as_str())])) { (queued) } },
                    None => { "–" },
                }
            }
            td data-label=(texts.say("user-refused")) {
                @if user.refused == 0 { "0" }
                @else { a href=(with_query("/refused", [("user", user.name.as_str())])) { (user.refused) } }
            }
        }
    }
}
