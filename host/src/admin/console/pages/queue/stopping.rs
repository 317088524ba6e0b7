//! Stopping and starting: everything, a next hop, a user, a list.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use crate::account::Scope;
use crate::admin::console::fields::Fields;
use crate::admin::console::parts;
use crate::admin::console::refusal::{OrPage as _, Shown, go_to};
use crate::admin::console::session::Notice;
use crate::admin::console::visit::{Submitted, Visitor};
use crate::admin::extract::{Json, NoQuery};
use crate::admin::problem::Problem;
use crate::admin::stops::{self, StopDocument, StopInput};

/// What can be stopped: as the API names it, and the key of its name.
const KINDS: [(&str, &str); 4] = [
    ("all", "stop-all"),
    ("next_hop", "stop-next-hop"),
    ("user", "stop-user"),
    ("list", "stop-list"),
];

/// What is stopped, and the way to stop more.
pub(super) fn panel(visitor: &Visitor, stops: &[StopDocument]) -> Markup {
    let texts = visitor.texts;
    let may_act = visitor.may(Scope::Operate);
    html! {
        @for stop in stops {
            div.notice.warning role="status" {
                p { (texts.with("stop-in-force", &[("what", (&stop.text).into())])) }
                @if may_act {
                    @let (kind, name) = of(stop);
                    (parts::action(visitor, "/queue/start", &[("kind", kind), ("name", name)], &texts.say("stop-start"), false))
                }
            }
        }
        @if may_act {
            details.stopping {
                summary { (texts.say("stop-something")) }
                form.filters method="post" action="/queue/stop" {
                    (parts::form_token(visitor))
                    label { (texts.say("stop-what"))
                        select name="kind" {
                            @for (kind, key) in KINDS { option value=(kind) { (texts.say(key)) } }
                        }
                    }
                    label { (texts.say("stop-name")) input type="text" name="name"; }
                    button.danger type="submit" { (texts.say("stop-do")) }
                }
                p.hint { (texts.say("stop-hint")) }
            }
        }
    }
}

fn of(stop: &StopDocument) -> (&'static str, &str) {
    let of = &stop.of;
    let ways = [
        ("next_hop", &of.next_hop),
        ("user", &of.user),
        ("list", &of.list),
    ];
    let mut given = ways
        .into_iter()
        .filter_map(|(kind, name)| Some((kind, name.as_deref()?)));
    given.next().unwrap_or(("all", ""))
}

fn input(fields: &Fields) -> Result<StopInput, Problem> {
    let name = Some(fields.text("name").trim().to_owned());
    let none = StopInput::default();
    match fields.text("kind") {
        "all" => Ok(none),
        "next_hop" => Ok(StopInput {
            next_hop: name,
            ..none
        }),
        "user" => Ok(StopInput { user: name, ..none }),
        "list" => Ok(StopInput { list: name, ..none }),
        _ => Err(Problem::field("kind", "is nothing that can be stopped")),
    }
}

pub(in crate::admin::console::pages) async fn stop(submitted: Submitted) -> Shown<Response> {
    switch(submitted, Way::Stop).await
}

pub(in crate::admin::console::pages) async fn start(submitted: Submitted) -> Shown<Response> {
    switch(submitted, Way::Start).await
}

/// Whether something is stopped or started.
enum Way {
    Stop,
    Start,
}

async fn switch(submitted: Submitted, way: Way) -> Shown<Response> {
    let Submitted {
        visitor,
        fields,
        deed,
    } = submitted;
    let operator = visitor.operator().or_page(&visitor)?;
    let input = Json(input(&fields).or_page(&visitor)?);
    let state = State(visitor.api.clone());
    let (changed, key) = match way {
        Way::Stop => {
            let stopped = stops::stop(operator, deed, NoQuery, state, input).await;
            (stopped, "stop-stopped")
        }
        Way::Start => {
            let started = stops::start(operator, deed, NoQuery, state, input).await;
            (started, "stop-started")
        }
    };
    let axum::Json(changed) = changed.or_page(&visitor)?;
    let values = [
        ("what", (&changed.text).into()),
        ("count", changed.count.unwrap_or_default().into()),
    ];
    visitor.tell(Notice::done(visitor.texts.with(key, &values)));
    Ok(go_to("/queue"))
}
