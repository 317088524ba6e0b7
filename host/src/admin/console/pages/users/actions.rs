//! What is done with a user besides changing it: another password, enabling, disabling, removing.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use zeroize::Zeroizing;

use super::path;
use crate::admin::console::layout::{self, Frame};
use crate::admin::console::parts;
use crate::admin::console::refusal::{OrPage as _, Shown, go_to};
use crate::admin::console::session::{Notice, ShownOnce};
use crate::admin::console::visit::{Submitted, Visitor};
use crate::admin::extract::{Json, NoQuery, QueryString, Segment};
use crate::admin::removal::{self, QueuedMailChoice, RemovalQuery};
use crate::admin::users::{self, UserDocument, UserInput};
use crate::admin::version::IfMatch;

/// The ways to it all, on the page of a user.
pub(super) fn buttons(visitor: &Visitor, user: &UserDocument) -> Markup {
    let texts = visitor.texts;
    let path = path(&user.name);
    let to = |what: &str| format!("{path}/{what}");
    html! {
        div.actions {
            (parts::action(visitor, &to("password"), &[], &texts.say("user-reset-password"), false))
            @if user.active {
                (parts::action(visitor, &to("disable"), &[], &texts.say("user-disable"), false))
            } @else {
                (parts::action(visitor, &to("enable"), &[], &texts.say("user-enable"), false))
            }
            a.button href=(to("senders")) { (texts.say("may-send-as-test")) }
            a.button.danger href=(to("remove")) { (texts.say("user-remove")) }
        }
    }
}

pub(in crate::admin::console::pages) async fn reset(
    Segment(name): Segment,
    submitted: Submitted,
) -> Shown<Response> {
    let Submitted { visitor, deed, .. } = submitted;
    visitor.administrator().or_page(&visitor)?;
    let made = users::reset(&visitor.api, &deed, None, &name).await;
    let made = made.or_page(&visitor)?;
    let texts = visitor.texts;
    visitor.tell(Notice {
        secret: Some(ShownOnce {
            name: made.name.clone(),
            secret: Zeroizing::new(made.password.clone()),
        }),
        ..Notice::done(texts.with("user-password-reset", &[("name", (&made.name).into())]))
    });
    Ok(go_to(&path(&made.name)))
}

pub(in crate::admin::console::pages) async fn enable(
    Segment(name): Segment,
    submitted: Submitted,
) -> Shown<Response> {
    switch(name, submitted, true).await
}

pub(in crate::admin::console::pages) async fn disable(
    Segment(name): Segment,
    submitted: Submitted,
) -> Shown<Response> {
    switch(name, submitted, false).await
}

async fn switch(name: String, submitted: Submitted, active: bool) -> Shown<Response> {
    let Submitted { visitor, deed, .. } = submitted;
    let caller = visitor.administrator().or_page(&visitor)?;
    let input = UserInput {
        active: Some(active),
        ..UserInput::default()
    };
    let (state, name) = (State(visitor.api.clone()), Segment(name));
    let any = IfMatch::NONE;
    let changed = users::change(caller, deed, NoQuery, any, state, name, Json(input)).await;
    let user = changed.or_page(&visitor)?.document;
    let key = match active {
        true => "user-enabled",
        false => "user-was-disabled",
    };
    let said = visitor.texts.with(key, &[("name", (&user.name).into())]);
    visitor.tell(Notice::done(said));
    Ok(go_to(&path(&user.name)))
}

/// Asks what becomes of queued mail, and whether it is meant.
pub(in crate::admin::console::pages) async fn ask_to_remove(
    visitor: Visitor,
    Segment(name): Segment,
) -> Shown {
    visitor.administrator().or_page(&visitor)?;
    let queued = removal::queued_of(&visitor.api, &name).await;
    let (name, queued) = queued.or_page(&visitor)?;
    let texts = visitor.texts;
    let choices = [
        (QueuedMailChoice::Deliver, "remove-deliver"),
        (QueuedMailChoice::Hold, "remove-hold"),
        (QueuedMailChoice::Cancel, "remove-cancel"),
    ];
    let body = html! {
        p.lead { (texts.with("remove-user-lead", &[("name", (&name).into())])) }
        form.card method="post" action=(format!("{}/remove", path(&name))) {
            (parts::form_token(&visitor))
            @if queued > 0 {
                fieldset {
                    legend { (texts.with("remove-queued", &[("count", queued.into())])) }
                    @for (choice, key) in choices {
                        label.choice {
                            input type="radio" name="queued" value=(choice.name()) required;
                            (texts.say(key))
                        }
                    }
                }
            }
            button.danger type="submit" { (texts.say("user-remove")) }
            " "
            a.button href=(path(&name)) { (texts.say("back")) }
        }
    };
    let frame = Frame::narrow(texts.with("remove-user", &[("name", (&name).into())]));
    Ok(layout::page(&visitor, &frame, &body))
}

pub(in crate::admin::console::pages) async fn remove(
    Segment(name): Segment,
    submitted: Submitted,
) -> Shown<Response> {
    let Submitted {
        visitor,
        deed,
        fields,
    } = submitted;
    let caller = visitor.administrator().or_page(&visitor)?;
    let query = RemovalQuery {
        queued: fields.given("queued"),
    };
    let (state, name) = (State(visitor.api.clone()), Segment(name));
    let any = IfMatch::NONE;
    let removed = removal::remove(caller, deed, any, state, name, QueryString(query)).await;
    let axum::Json(removed) = removed.or_page(&visitor)?;
    let texts = visitor.texts;
    visitor.tell(Notice::done(
        texts.with("user-removed", &[("name", (&removed.removed).into())]),
    ));
    Ok(go_to("/users"))
}
