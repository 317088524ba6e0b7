//! What is around every page: the navigation, what is to be told, who is logged in.

use maud::{DOCTYPE, Markup, html};

use super::pages::alerts;
use super::parts;
use super::session::{Notice, Tone};
use super::texts::Texts;
use super::visit::Visitor;
use super::{assets, visit};

/// The parts of the console, in the order of the navigation: where each is, and the key of its name.
const SECTIONS: [(&str, &str); 9] = [
    ("/connection", "nav-connection"),
    ("/users", "nav-users"),
    ("/lists", "nav-lists"),
    ("/queue", "nav-queue"),
    ("/refused", "nav-refused"),
    ("/alerts", "nav-alerts"),
    ("/policies", "nav-policies"),
    ("/statistics", "nav-statistics"),
    ("/system", "nav-system"),
];

/// What a page says about itself.
pub(super) struct Frame {
    /// The heading, which is the title too.
    pub(super) title: String,
    /// Whether it is text rather than a table, and reads better in a narrow column.
    pub(super) narrow: bool,
}

impl Frame {
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            narrow: false,
        }
    }

    pub(super) fn narrow(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            narrow: true,
        }
    }
}

/// A whole page of somebody who is logged in.
pub(super) fn page(visitor: &Visitor, frame: &Frame, body: &Markup) -> Markup {
    let texts = visitor.texts;
    let notices = visitor.take_notices();
    let headers = format!("{{\"X-CSRF-Token\":\"{}\"}}", visitor.form_token);
    document(
        texts,
        &frame.title,
        &html! {
            body hx-headers=(headers) {
                a.skip href="#content" { (texts.say("skip-to-content")) }
                header.bar {
                    a.brand href="/" { (mark()) span { "Outpost" } }
                    details.menu {
                        summary { (texts.say("menu")) }
                        (navigation(visitor))
                    }
                }
                div.side {
                    (navigation(visitor))
                }
                main #content tabindex="-1" .narrow[frame.narrow] {
                    h1 { (frame.title) }
                    (alerts::banner(visitor))
                    @for notice in &notices { (told(visitor, notice)) }
                    (body)
                }
            }
        },
    )
}

/// A whole page of nobody in particular.
pub(super) fn document(texts: &'static Texts, title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(texts.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="htmx-config" content="{\"includeIndicatorStyles\":false,\"allowEval\":false,\"selfRequestsOnly\":true,\"historyCacheSize\":0}";
                title { (title) " · Outpost" }
                link rel="stylesheet" href=(assets::style());
                link rel="icon" href=(assets::icon()) type="image/svg+xml";
                @for script in assets::scripts() { script src=(script) defer {} }
            }
            (body)
        }
    }
}

fn navigation(visitor: &Visitor) -> Markup {
    let texts = visitor.texts;
    let here = visitor.path.split('?').next().unwrap_or_default();
    let is_here = |path: &str| {
        let rest = here.strip_prefix(path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    html! {
        nav aria-label=(texts.say("navigation")) {
            ul {
                @for (path, key) in SECTIONS {
                    li { a href=(path) aria-current=[is_here(path).then_some("page")] { (texts.say(key)) } }
                }
            }
            div.who {
                span { (texts.with("greeting", &[("name", (&visitor.admin.name).into())])) }
                form method="post" action="/logout" {
                    (parts::form_token(visitor))
                    button.quiet type="submit" { (texts.say("log-out")) }
                }
                p { (texts.say("times-in-utc")) }
            }
        }
    }
}

fn told(visitor: &Visitor, notice: &Notice) -> Markup {
    let texts = visitor.texts;
    let kind = match notice.tone {
        Tone::Done => "done",
        Tone::Warning => "warning",
    };
    html! {
        div.notice.(kind) role="status" {
            p { (notice.text) }
            @if let Some(secret) = &notice.secret {
                dl.secret {
                    dt { (texts.say("secret-name")) }
                    dd { (parts::copied(texts, &secret.name)) }
                    dt { (texts.say("secret-password")) }
                    dd { (parts::copied(texts, &secret.secret)) }
                }
                p.hint { (texts.say("secret-once")) }
            }
            @if let Some(undo) = &notice.undo {
                form method="post" action=(undo.path) {
                    (parts::form_token(visitor))
                    @for (name, value) in &undo.fields {
                        input type="hidden" name=(name) value=(value);
                    }
                    button type="submit" { (texts.say("undo")) }
                }
            }
        }
    }
}

fn mark() -> Markup {
    html! { img src=(assets::icon()) alt="" width="24" height="24"; }
}

/// The name of the field and of the header that a form brings.
pub(super) const TOKEN_FIELD: &str = visit::FORM_TOKEN;
