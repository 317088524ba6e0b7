//! A component that is sent in a form: read within the limit of the API, checked, and in force when nothing is wrong.

use std::sync::Arc;

use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use super::{PATH, tell};
use crate::admin::Api;
use crate::admin::Condition;
use crate::admin::audit::Deed;
use crate::admin::console::parts::{self, Field};
use crate::admin::console::refusal::{OrPage as _, Shown, go_to};
use crate::admin::console::visit::{FORM_TOKEN, Visitor, is_from_here};
use crate::admin::plugins::{deploy, read_query};
use crate::admin::problem::{Kind, Problem};
use crate::plugin::deployed::{COMPONENT_OCTETS_MAX, Change};

/// Fields of the form besides the component, and octets of each.
const FIELDS_MAX: usize = 10;
const FIELD_OCTETS_MAX: usize = 4_096;

/// The form.
pub(super) fn form(visitor: &Visitor) -> Markup {
    let texts = visitor.texts;
    let field = |name: &'static str, key: &str, hint: Option<&str>, value: &'static str| Field {
        name,
        label: texts.say(key),
        hint: hint.map(|key| texts.say(key)),
        value,
        problems: &[],
    };
    let failures = ["", "defer", "refuse", "skip"].map(|name| {
        let words = match name {
            "" => texts.say("policy-as-before"),
            name => name.to_owned(),
        };
        (name.to_owned(), words)
    });
    html! {
        h2 { (texts.say("policy-upload")) }
        form.card method="post" action="/policies/upload" enctype="multipart/form-data" {
            (parts::form_token(visitor))
            (field("name", "policy-name", Some("policy-name-hint"), "").line())
            (field("on_failure", "policy-on-failure", None, "").choice(&failures))
            (field("note", "user-note", None, "").line())
            (field("component", "policy-file", Some("policy-file-hint"), "").input("file"))
            button.primary type="submit" { (texts.say("policy-upload")) }
        }
    }
}

/// What a form brought.
#[derive(Default)]
struct Sent {
    token: String,
    name: String,
    /// As the query of the API has them.
    settings: Vec<(String, String)>,
    component: Vec<u8>,
}

pub(in crate::admin::console::pages) async fn take(
    visitor: Visitor,
    deed: Deed,
    State(api): State<Arc<Api>>,
    request: Request,
) -> Shown<Response> {
    is_from_here(request.headers()).or_page(&visitor)?;
    let caller = visitor.administrator().or_page(&visitor)?;
    deed.note(|noted| noted.action = Some("install-plugin"));
    let _turn = api.uploads.turn().await.or_page(&visitor)?;
    let form = Multipart::from_request(request, &api).await;
    let form = form.map_err(|rejection| unreadable(rejection.status()));
    let form = form.or_page(&visitor)?;
    let sent = read(&visitor, form).await.or_page(&visitor)?;
    visitor.check_form_token(&sent.token).or_page(&visitor)?;
    let query = read_query(sent.name.clone(), sent.settings);
    let (mut install, _) = query.or_page(&visitor)?;
    install.octets = sent.component.len() as u64;
    install.component = sent.component;
    let change = Change::Install(install);
    let changed = deploy::change(&api, caller.0, &deed, change, Condition::None, false).await;
    let changed = changed.or_page(&visitor)?;
    tell(&visitor, &changed, &sent.name);
    Ok(go_to(PATH))
}

/// Reads the form. Its token comes before the component, so that nothing large is taken of somebody else's page.
async fn read(visitor: &Visitor, mut form: Multipart) -> Result<Sent, Problem> {
    let mut sent = Sent::default();
    for _ in 0..FIELDS_MAX {
        let field = form.next_field().await;
        let Some(mut field) = field.map_err(|error| unreadable(error.status()))? else {
            break;
        };
        let name = field.name().unwrap_or_default().to_owned();
        let max = match name.as_str() {
            "component" => {
                visitor.check_form_token(&sent.token)?;
                COMPONENT_OCTETS_MAX
            }
            _ => FIELD_OCTETS_MAX,
        };
        let mut octets = Vec::new();
        while let Some(piece) = field
            .chunk()
            .await
            .map_err(|error| unreadable(error.status()))?
        {
            if octets.len() + piece.len() > max {
                return Err(unreadable(StatusCode::PAYLOAD_TOO_LARGE));
            }
            octets.extend_from_slice(&piece);
        }
        if name == "component" {
            sent.component = octets;
            continue;
        }
        let text = String::from_utf8_lossy(&octets).trim().to_owned();
        match name.as_str() {
            FORM_TOKEN => sent.token = text,
            "name" => sent.name = text,
            _ if text.is_empty() => {}
            _ => sent.settings.push((name, text)),
        }
    }
    Ok(sent)
}

fn unreadable(status: StatusCode) -> Problem {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
            Kind::TooLarge,
            format!("a component may have at most {COMPONENT_OCTETS_MAX} octets"),
        ),
        _ => Problem::new(Kind::Malformed, "the form did not arrive whole"),
    }
}
