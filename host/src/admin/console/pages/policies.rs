//! The policy components: which there are, in which order they are asked, how they do, and what is changed about them:
//! each change whole or not at all, and only to what was seen.

mod card;
pub(super) mod upload;

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};

use crate::account::Scope;
use crate::admin::Condition;
use crate::admin::console::fields::Fields;
use crate::admin::console::layout::{self, Frame};
use crate::admin::console::refusal::{OrPage as _, Shown, go_to};
use crate::admin::console::session::{Notice, Tone};
use crate::admin::console::visit::{Submitted, Visitor};
use crate::admin::extract::{NoBody, NoQuery, Segment};
use crate::admin::plugins::{
    self, PluginDocument, PluginsChanged, PluginsDocument, Values, deploy,
};
use crate::admin::problem::Problem;
use crate::plugin::deployed::{Change, Wanted};

const PATH: &str = "/policies";

pub(super) async fn show(visitor: Visitor) -> Markup {
    let page = document(&visitor);
    let texts = visitor.texts;
    let body = html! {
        p.lead { (texts.say("policies-lead")) }
        @if let Some(warning) = &page.warning { div.notice.warning role="status" { p { (warning) } } }
        @for number in 0..page.plugins.len() { (card::card(&visitor, &page, number)) }
        @if visitor.may(Scope::Admin) { (upload::form(&visitor)) }
    };
    let frame = Frame::new(texts.say("nav-policies"));
    layout::page(&visitor, &frame, &body)
}

fn document(visitor: &Visitor) -> PluginsDocument {
    plugins::document(&visitor.api, Values::to(&visitor.caller()))
}

/// Asks a component again that is not asked for a while because it failed.
pub(super) async fn reset(Segment(name): Segment, submitted: Submitted) -> Shown<Response> {
    let Submitted { visitor, deed, .. } = submitted;
    let operator = visitor.operator().or_page(&visitor)?;
    let state = State(visitor.api.clone());
    let reset = plugins::reset(operator, deed, NoQuery, state, Segment(name), NoBody).await;
    let axum::Json(component) = reset.or_page(&visitor)?;
    let values = [("name", (&component.name).into())];
    visitor.tell(Notice::done(
        visitor.texts.with("policy-was-reset", &values),
    ));
    Ok(go_to(PATH))
}

/// Enables, disables, moves, rolls back or removes a component.
pub(super) async fn change(
    Path((name, action)): Path<(String, String)>,
    submitted: Submitted,
) -> Shown<Response> {
    let Submitted {
        visitor,
        fields,
        deed,
    } = submitted;
    let caller = visitor.administrator().or_page(&visitor)?;
    let change = match action.as_str() {
        "enable" => Change::Enable(name.clone()),
        "disable" => Change::Disable(name.clone()),
        "remove" => Change::Remove(name.clone()),
        "roll-back" => Change::Rollback {
            name: name.clone(),
            to: fields.given("digest").map(Wanted::Digest),
        },
        "earlier" | "later" => {
            let page = document(&visitor);
            Change::Order(moved(&page.plugins, &name, action == "earlier"))
        }
        _ => {
            let problem = Problem::not_found("such action");
            return Err(problem).or_page(&visitor);
        }
    };
    let seen = seen(&fields);
    let changed = deploy::change(&visitor.api, caller.0, &deed, change, seen, false).await;
    let changed = changed.or_page(&visitor)?;
    tell(&visitor, &changed, &name);
    Ok(go_to(PATH))
}

/// The order in which all are asked when one of them has changed places with its neighbour.
fn moved(components: &[PluginDocument], name: &str, is_earlier: bool) -> Vec<String> {
    let names = components.iter().map(|component| component.name.clone());
    let mut order: Vec<String> = names.collect();
    let at = order.iter().position(|known| known == name);
    let with = at.and_then(|at| match is_earlier {
        true => at.checked_sub(1),
        false => Some(at + 1).filter(|next| *next < order.len()),
    });
    if let (Some(at), Some(with)) = (at, with) {
        order.swap(at, with);
    }
    order
}

/// What the page showed: the change is to be made to that alone.
fn seen(fields: &Fields) -> Condition {
    match fields.given("revision") {
        Some(revision) => Condition::OneOf(vec![revision]),
        None => Condition::None,
    }
}

/// Tells what is in force now.
fn tell(visitor: &Visitor, changed: &PluginsChanged, name: &str) {
    let texts = visitor.texts;
    let mut components = changed.plugins.iter();
    let in_force = components.find(|component| component.name == name);
    let digest = in_force.map_or("–", |component| component.digest.as_str());
    let digest = digest.get(..card::DIGEST_SHOWN).unwrap_or(digest);
    let key = match changed.changed {
        true => "policy-changed",
        false => "policy-unchanged",
    };
    let values = [("name", name.into()), ("digest", digest.into())];
    let mut notice = Notice::done(texts.with(key, &values));
    if let Some(warning) = &changed.warning {
        notice.tone = Tone::Warning;
        notice.text.push(' ');
        notice.text.push_str(warning);
    }
    visitor.tell(notice);
}
