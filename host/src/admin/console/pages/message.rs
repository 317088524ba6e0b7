//! One message: where it stands and why, what happened to it, who decided what, and what was said about it.

use std::sync::Arc;

use axum::extract::State;
use maud::{Markup, html};

use super::queue::actions;
use crate::account::Scope;
use crate::admin::Api;
use crate::admin::access::Reader;
use crate::admin::console::layout::{self, Frame};
use crate::admin::console::parts;
use crate::admin::console::refusal::{OrPage as _, Shown};
use crate::admin::console::texts::Texts;
use crate::admin::console::visit::Visitor;
use crate::admin::dialogue::DialogueDocument;
use crate::admin::extract::{NoQuery, Segment};
use crate::admin::messages::{self, DeliveryDocument, MessageDocument};
use crate::admin::problem::Problem;
use crate::admin::selection::DeliveryStateName;
use crate::admin::trail::{EventDocument, ReasonDocument};
use crate::admin::within_path;
use crate::message::RELAY;

/// Characters of a digest that tell components apart; the whole of it is its title.
const DIGEST_SHOWN: usize = 12;

pub(super) async fn show(visitor: Visitor, Segment(id): Segment) -> Shown {
    let message = read(&visitor.api, visitor.reader(), id).await;
    let message = message.or_page(&visitor)?;
    let texts = visitor.texts;
    let live = format!("/live/messages/{}", within_path(&message.id));
    let is_open = message.finished.is_none();
    let body = html! {
        div.live hx-ext=[is_open.then_some("sse")] sse-connect=[is_open.then_some(live.as_str())] sse-swap=[is_open.then_some("message")] {
            (story(texts, &message))
        }
        @if is_open && visitor.may(Scope::Operate) {
            h2 { (texts.say("message-actions")) }
            (actions::of_message(&visitor, &message.id, is_cancelled(&message)))
        }
    };
    let title = match message.subject.as_str() {
        "" => texts.say("no-subject"),
        subject => subject.to_owned(),
    };
    Ok(layout::page(&visitor, &Frame::new(title), &body))
}

fn is_cancelled(message: &MessageDocument) -> bool {
    let mut states = message.deliveries.iter().map(|delivery| delivery.state);
    states.all(|state| state == DeliveryStateName::Cancelled)
}

pub(in crate::admin::console) async fn read(
    api: &Arc<Api>,
    reader: Reader,
    id: String,
) -> Result<MessageDocument, Problem> {
    let state = State(Arc::clone(api));
    let axum::Json(message) = messages::show(reader, NoQuery, state, Segment(id)).await?;
    Ok(message)
}

/// All that changes while the page is open.
pub(in crate::admin::console) fn story(texts: &'static Texts, message: &MessageDocument) -> Markup {
    html! {
        (facts(texts, message))
        h2 { (texts.say("message-standing")) }
        @if let Some(at) = &message.finished {
            p { (texts.say("message-finished")) " " (parts::time(at)) }
        }
        @for delivery in &message.deliveries { (standing(texts, message, delivery)) }
        h2 { (texts.say("message-timeline")) }
        (timeline(message))
        (decisions(texts, message))
        (dialogues(texts, message))
    }
}

fn facts(texts: &'static Texts, message: &MessageDocument) -> Markup {
    html! {
        dl.facts {
            dt { (texts.say("message-id")) } dd { (parts::copied(texts, &message.id)) }
            dt { (texts.say("class")) } dd { (parts::class(texts, message.class)) }
            dt { (texts.say("message-priorities")) }
            dd {
                (texts.say("message-of-user")) " " (parts::class(texts, message.user_priority)) " "
                (texts.say("message-of-message")) " "
                @match message.message_priority {
                    Some(class) => (parts::class(texts, class)),
                    None => { (texts.say("message-asked-nothing")) },
                }
            }
            dt { (texts.say("queue-user")) }
            dd {
                @if message.user.is_empty() { (texts.say("message-of-relay")) }
                @else { a href=(format!("/users/{}", within_path(&message.user))) { (message.user) } }
                // What it writes about itself belongs to no list.
                @if message.list != RELAY { " (" (message.list) ")" }
            }
            dt { (texts.say("queue-sender")) }
            dd { @if message.sender.is_empty() { (texts.say("null-sender")) } @else { (message.sender) } }
            dt { (texts.say("queue-recipient")) } dd { (message.recipients.join(", ")) }
            dt { (texts.say("message-size")) } dd { (parts::octets(message.content_octets)) }
            dt { (texts.say("message-accepted")) } dd { (parts::time(&message.accepted)) }
        }
    }
}

fn standing(
    texts: &'static Texts,
    message: &MessageDocument,
    delivery: &DeliveryDocument,
) -> Markup {
    let state = format!("state-{}", delivery.state.name());
    let paused = delivery.standing.paused.as_ref();
    let cause = paused.map(|paused| paused.cause.as_str());
    html! {
        section.card.delivery {
            p {
                span.badge.(format!("s-{}", delivery.state.name())) { (texts.say(&state)) }
                " " strong { (parts::address(&delivery.next_hop)) } " · "
                @for (number, recipient) in delivery.recipients.iter().enumerate() {
                    @if number > 0 { ", " } (parts::address(recipient))
                }
            }
            p.why { (parts::told(&delivery.standing.standing, cause)) }
            @if let Some(sent) = delivery.standing.octets_sent {
                progress max=(message.content_octets.max(1)) value=(sent) aria-label=(texts.say("queue-progress")) {}
            }
            @if !delivery.last_reply.is_empty() { p.reply { (delivery.last_reply) } }
        }
    }
}

/// The lines of the story, as every surface has them.
fn timeline(message: &MessageDocument) -> Markup {
    // Dialogues stand behind the first empty line, and have a place of their own.
    let lines = message.text.iter().take_while(|line| !line.is_empty());
    html! {
        ol.timeline {
            @for line in lines {
                @if let Some((at, text)) = line.split_once("  ") { li { (parts::time(at)) " " span { (parts::told(text, None)) } } }
                @else { li { span { (parts::told(line, None)) } } }
            }
        }
    }
}

fn decisions(texts: &'static Texts, message: &MessageDocument) -> Markup {
    let is_decided = |event: &EventDocument| matches!(event, EventDocument::Decided { .. });
    html! {
        @if message.trail.iter().any(|entry| is_decided(&entry.event)) {
            h2 { (texts.say("message-decisions")) }
            div.scroll tabindex="0" role="region" aria-label=(texts.say("message-decisions")) {
                table {
                    thead { tr {
                        th scope="col" { (texts.say("decision-component")) }
                        th scope="col" { (texts.say("decision-question")) }
                        th scope="col" { (texts.say("decision-answer")) }
                        th scope="col" { (texts.say("decision-reasons")) }
                        th scope="col" { (texts.say("decision-took")) }
                    } }
                    tbody {
                        @for entry in &message.trail {
                            @if let EventDocument::Decided { component, digest, question, answer, reasons, took_microseconds } = &entry.event {
                                tr {
                                    th scope="row" {
                                        (component)
                                        div.small title=(digest) { (digest.get(..DIGEST_SHOWN).unwrap_or(digest)) }
                                    }
                                    td { (question) }
                                    td { (answer) }
                                    td { (reasons_of(reasons)) }
                                    td { (took_microseconds) " µs" }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn reasons_of(reasons: &[ReasonDocument]) -> Markup {
    html! {
        @for reason in reasons { div { strong { (reason.rule) } " " (reason.detail) } }
    }
}

fn dialogues(texts: &'static Texts, message: &MessageDocument) -> Markup {
    let said = message.trail.iter().filter_map(|entry| match &entry.event {
        EventDocument::Dialogue(dialogue) => Some((&entry.at, dialogue)),
        _ => None,
    });
    let said: Vec<_> = said.collect();
    html! {
        @if !said.is_empty() {
            h2 { (texts.say("message-dialogues")) }
            @for (at, dialogue) in said { (one_dialogue(texts, at, dialogue)) }
        }
    }
}

fn one_dialogue(texts: &'static Texts, at: &str, dialogue: &DialogueDocument) -> Markup {
    let with = match (&dialogue.host, &dialogue.address) {
        (Some(host), Some(address)) => format!("{host} [{address}]"),
        _ => texts.say("dialogue-client"),
    };
    html! {
        details.dialogue {
            summary { (parts::time(at)) " " (with) }
            ol {
                @for line in &dialogue.lines {
                    li.(format!("by-{}", line.by)) { span.small { (line.after_milliseconds) " ms" } " " code { (line.text) } }
                }
            }
        }
    }
}
