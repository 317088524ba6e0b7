//! Users: the table, the form in which one is made and changed, and what else is done with one.

pub(super) mod actions;
pub(super) mod form;
pub(super) mod senders;
mod sent;
pub(super) mod table;

use maud::{Markup, html};

use crate::admin::console::parts::copied;
use crate::admin::console::texts::Texts;
use crate::admin::users::UserDocument;
use crate::admin::within_path;

/// Where a user is.
pub(super) fn path(name: &str) -> String {
    format!("/users/{}", within_path(name))
}

/// Whether a user may log in, in a word.
pub(super) fn state(texts: &'static Texts, user: &UserDocument) -> Markup {
    match user.active {
        true => html! { span.badge.on { (texts.say("user-active")) } },
        false => html! { span.badge.off { (texts.say("user-disabled")) } },
    }
}

/// The rules as a person reads them: how many at most before the rest is counted.
pub(super) fn rules(texts: &'static Texts, user: &UserDocument, shown_max: usize) -> Markup {
    let domains = user.authorized_domains.iter();
    let senders = user.authorized_senders.iter();
    let all: Vec<&String> = domains.chain(senders).collect();
    let more = all.len().saturating_sub(shown_max);
    html! {
        @if all.is_empty() { span.warn { (texts.say("rules-none")) } }
        @for rule in all.iter().take(shown_max) { span.rule { (rule) } " " }
        @if more > 0 { (texts.with("rules-more", &[("count", more.into())])) }
    }
}

/// The name of a user, to be copied into a mail client.
fn login(texts: &'static Texts, user: &UserDocument) -> Markup {
    copied(texts, &user.name)
}
