//! Refused senders: who tried to send as whom, one click to let them, with what else that would allow; and who may
//! send as an address.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use crate::account::Scope;
use crate::admin::console::layout::{self, Frame};
use crate::admin::console::parts;
use crate::admin::console::refusal::{OrPage as _, Shown, go_to};
use crate::admin::console::session::{Notice, Tone};
use crate::admin::console::visit::{Submitted, Visitor};
use crate::admin::extract::{QueryString, Segment};
use crate::admin::problem::Problem;
use crate::admin::refusals::{
    self, AuthorizeAs, AuthorizeInput, NamedIn, RefusalDocument, RefusalsDocument, RefusalsQuery,
};
use crate::admin::senders::{self, SendersDocument, SendersQuery};
use crate::admin::within_path;

const PATH: &str = "/refused";
/// Rows of a page: what a person looks at.
const ROWS: &str = "100";
/// What the table is filtered by, as the API names it.
const FILTERS: [&str; 3] = ["user", "sender", "domain"];

pub(super) async fn show(
    visitor: Visitor,
    QueryString(query): QueryString<RefusalsQuery>,
) -> Shown {
    let query = RefusalsQuery {
        limit: Some(ROWS.to_owned()),
        ..query
    };
    let page = refusals::page(&visitor.api, query).or_page(&visitor)?;
    let asked = visitor.asked();
    let texts = visitor.texts;
    let line = |name: &'static str, key: &str| {
        html! { label { (texts.say(key)) input type="search" name=(name) value=(asked.text(name)); } }
    };
    let body = html! {
        p.lead { (texts.say("refused-lead")) }
        form.filters role="search" method="get" action=(PATH) {
            (line("user", "queue-user"))
            (line("sender", "refused-as"))
            (line("domain", "refused-domain"))
            button type="submit" { (texts.say("show")) }
            @if asked.among(&FILTERS).next().is_some() { a.button href=(PATH) { (texts.say("show-all")) } }
        }
        (table(&visitor, &page))
        (parts::next_page(texts, PATH, asked.among(&FILTERS), page.cursor.as_deref()))
        h2 { (texts.say("who-may")) }
        form.filters method="get" action="/refused/who" {
            label { (texts.say("who-may-address")) input type="email" name="address" required; }
            button type="submit" { (texts.say("show")) }
        }
    };
    let frame = Frame::new(texts.say("nav-refused"));
    Ok(layout::page(&visitor, &frame, &body))
}

fn table(visitor: &Visitor, page: &RefusalsDocument) -> Markup {
    let texts = visitor.texts;
    if page.refusals.is_empty() {
        return html! { p.empty { (texts.say("refused-none")) } };
    }
    html! {
        div.scroll tabindex="0" role="region" aria-label=(texts.say("nav-refused")) {
            table.cards {
                thead { tr {
                    th scope="col" { (texts.say("refused-as")) }
                    th scope="col" { (texts.say("queue-user")) }
                    th scope="col" { (texts.say("refused-count")) }
                    th scope="col" { (texts.say("refused-from")) }
                    th scope="col" { (texts.say("refused-why")) }
                    th scope="col" { (texts.say("actions")) }
                } }
                tbody { @for refusal in &page.refusals { (row(visitor, refusal)) } }
            }
        }
    }
}

fn row(visitor: &Visitor, refusal: &RefusalDocument) -> Markup {
    let texts = visitor.texts;
    let named = match refusal.named_in {
        NamedIn::Envelope => texts.say("refused-in-envelope"),
        NamedIn::Header => texts.say("refused-in-header"),
    };
    html! {
        tr {
            th scope="row" {
                @if refusal.sender.is_empty() { (texts.say("null-sender")) } @else { (parts::address(&refusal.sender)) }
                div.small { (named) }
            }
            td.name data-label=(texts.say("queue-user")) {
                div {
                    @if refusal.user_is_there { a href=(format!("/users/{}", within_path(&refusal.user))) { (refusal.user) } }
                    @else { (refusal.user) " " (texts.say("refused-user-gone")) }
                }
                div.small { (refusal.list) }
            }
            td data-label=(texts.say("refused-count")) {
                (refusal.count)
                div.small { (parts::time(&refusal.last)) }
            }
            td.name data-label=(texts.say("refused-from")) { @for client in &refusal.clients { div { (client) } } }
            td.wide data-label=(texts.say("refused-why")) { @for reason in &refusal.reasons { div.small { (reason) } } }
            td.wide data-label=(texts.say("actions")) { (ways(visitor, refusal)) }
        }
    }
}

/// What can be done about it.
fn ways(visitor: &Visitor, refusal: &RefusalDocument) -> Markup {
    let texts = visitor.texts;
    let path = |what: &str| format!("{PATH}/{}/{what}", within_path(&refusal.id));
    let can_allow = refusal.user_is_there && !refusal.sender.is_empty();
    html! {
        @if let Some(rule) = &refusal.covered_by {
            p { (texts.with("refused-covered", &[("rule", (&rule.rule).into())])) }
        } @else if can_allow && visitor.may(Scope::Admin) {
            (parts::action(visitor, &path("authorize"), &[("rule", "sender")], &texts.say("refused-allow-address"), false))
            div.small { (texts.with("refused-allow-address-also", &[("address", (&refusal.sender).into())])) }
            (parts::action(visitor, &path("authorize"), &[("rule", "domain")], &texts.say("refused-allow-domain"), false))
            div.small { (texts.with("refused-allow-domain-also", &[("domain", (&refusal.domain).into())])) }
        }
        @if visitor.may(Scope::Operate) {
            (parts::action(visitor, &path("dismiss"), &[], &texts.say("refused-dismiss"), false))
        }
    }
}

pub(super) async fn authorize(Segment(id): Segment, submitted: Submitted) -> Shown<Response> {
    let Submitted {
        visitor,
        fields,
        deed,
    } = submitted;
    let caller = visitor.administrator().or_page(&visitor)?;
    deed.note(|noted| noted.action = Some("authorize-refusal"));
    let rule = match fields.text("rule") {
        "sender" => Ok(AuthorizeAs::Sender),
        "domain" => Ok(AuthorizeAs::Domain),
        _ => Err(Problem::field("rule", "is one of sender and domain")),
    };
    let input = AuthorizeInput {
        rule: rule.or_page(&visitor)?,
        dry_run: false,
    };
    let done = refusals::authorized(&visitor.api, &caller.0, &deed, &id, &input).await;
    let done = done.or_page(&visitor)?;
    let texts = visitor.texts;
    let values = [
        ("user", (&done.user.name).into()),
        ("rule", (&done.rule.text).into()),
        ("count", done.settles.len().into()),
    ];
    let mut notice = Notice::done(texts.with("refused-allowed", &values));
    for also in &done.also {
        notice.text.push(' ');
        notice.text.push_str(also);
    }
    visitor.tell(notice);
    Ok(go_to(PATH))
}

pub(super) async fn dismiss(Segment(id): Segment, submitted: Submitted) -> Shown<Response> {
    let Submitted { visitor, deed, .. } = submitted;
    visitor.operator().or_page(&visitor)?;
    deed.note(|noted| noted.action = Some("dismiss-refusal"));
    let gone = refusals::dismissed(&visitor.api, &deed, &id).await;
    let notice = match gone {
        Ok(_) => Notice::done(visitor.texts.say("refused-dismissed")),
        // Somebody else was quicker.
        Err(problem) if problem.status == 404 => Notice::new(Tone::Warning, problem.detail),
        Err(problem) => return Err(problem).or_page(&visitor),
    };
    visitor.tell(notice);
    Ok(go_to(PATH))
}

/// Who may send as an address.
pub(super) async fn who(visitor: Visitor, QueryString(query): QueryString<SendersQuery>) -> Shown {
    let address = query.address.clone().unwrap_or_default();
    let state = State(visitor.api.clone());
    let found = senders::list(visitor.reader(), state, QueryString(query)).await;
    let axum::Json(page) = found.or_page(&visitor)?;
    let texts = visitor.texts;
    let body = html! {
        p.hint { (page.rests_on.text) }
        (senders_of(&visitor, &page))
        (parts::next_page(texts, "/refused/who", [("address", address.as_str())], page.cursor.as_deref()))
        p { a href=(PATH) { (texts.say("back")) } }
    };
    let title = texts.with("who-may-title", &[("address", (&page.address).into())]);
    Ok(layout::page(&visitor, &Frame::new(title), &body))
}

fn senders_of(visitor: &Visitor, page: &SendersDocument) -> Markup {
    let texts = visitor.texts;
    if page.users.is_empty() {
        return html! { p.empty { (texts.say("who-may-nobody")) } };
    }
    html! {
        div.scroll tabindex="0" role="region" aria-label=(texts.say("nav-users")) {
            table {
                thead { tr {
                    th scope="col" { (texts.say("queue-user")) }
                    th scope="col" { (texts.say("list")) }
                    th scope="col" { (texts.say("state")) }
                    th scope="col" { (texts.say("who-may-rule")) }
                } }
                tbody { @for user in &page.users { tr {
                    th scope="row" { a href=(format!("/users/{}", within_path(&user.user))) { (user.user) } }
                    td { (user.list) }
                    td { @if user.active { (texts.say("user-active")) } @else { (texts.say("user-disabled")) } }
                    td { (user.rule.text) }
                } } }
            }
        }
    }
}
