//! An edit of what somebody else has changed since its form was opened: nothing is saved, and both stand side by side.
//!
//! A form brings the version that it was made of. Where another one is there by then, it is shown once more with what was
//! entered and with the version of now, so that saving it again is meant.

use maud::{Markup, html};

use super::texts::Texts;

/// The field of a form that says which version it was made of.
pub(super) const VERSION_FIELD: &str = "version";

/// What stands in a field of the form, and what is there now.
pub(super) struct Beside {
    pub(super) label: String,
    pub(super) entered: String,
    pub(super) there: String,
}

/// Makes a form one of that version.
pub(super) fn version(version: &str) -> Markup {
    html! { input type="hidden" name=(VERSION_FIELD) value=(version); }
}

/// Says that nothing was saved, and what differs.
pub(super) fn notice(texts: &'static Texts, what: &str, fields: &[Beside]) -> Markup {
    let differing = fields.iter().filter(|field| field.entered != field.there);
    let differing: Vec<_> = differing.collect();
    html! {
        div.notice.warning role="alert" {
            p { strong { (texts.with("meanwhile-changed", &[("what", what.into())])) } }
            @if differing.is_empty() {
                p { (texts.say("meanwhile-same")) }
            } @else {
                p { (texts.say("meanwhile-lead")) }
            }
        }
        @if !differing.is_empty() {
            div.scroll.beside tabindex="0" role="region" aria-label=(texts.say("meanwhile-title")) {
                table {
                    thead { tr {
                        th scope="col" { (texts.say("meanwhile-field")) }
                        th scope="col" { (texts.say("meanwhile-entered")) }
                        th scope="col" { (texts.say("meanwhile-there")) }
                    } }
                    tbody { @for field in differing { tr {
                        th scope="row" { (field.label) }
                        td { (shown(texts, &field.entered)) }
                        td { (shown(texts, &field.there)) }
                    } } }
                }
            }
        }
    }
}

fn shown(texts: &'static Texts, text: &str) -> Markup {
    match text {
        "" => html! { span.small { (texts.say("meanwhile-empty")) } },
        text => html! { span.lines { (text) } },
    }
}
