//! Tokens: what programs may do, by the name of each; one more, shown once, and one less.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use zeroize::Zeroizing;

use super::{parts as ways, reach, roles};
use crate::admin::console::layout::{self, Frame};
use crate::admin::console::parts::{self, Field};
use crate::admin::console::refusal::{OrPage as _, Shown, at_fields, go_to, status_of};
use crate::admin::console::session::{Notice, ShownOnce};
use crate::admin::console::visit::{Submitted, Visitor};
use crate::admin::extract::{NoQuery, Segment};
use crate::admin::problem::FieldError;
use crate::admin::tokens::{self, TokenDocument, TokenInput};
use crate::admin::within_path;

const PATH: &str = "/system/tokens";

pub(in crate::admin::console::pages) async fn show(visitor: Visitor) -> Shown {
    page(&visitor, "", &[]).await
}

async fn page(visitor: &Visitor, name: &str, errors: &[FieldError]) -> Shown {
    let caller = visitor.administrator().or_page(visitor)?;
    let axum::Json(all) = tokens::list(caller, NoQuery, State(visitor.api.clone())).await;
    let texts = visitor.texts;
    let body = html! {
        (ways(visitor))
        p.lead { (texts.say("tokens-lead")) }
        div.scroll tabindex="0" role="region" aria-label=(texts.say("system-tokens")) {
            table {
                thead { tr {
                    th scope="col" { (texts.say("token-name")) }
                    th scope="col" { (texts.say("token-scope")) }
                    th scope="col" { (texts.say("created")) }
                    th scope="col" { (texts.say("actions")) }
                } }
                tbody { @for token in &all.tokens { (row(visitor, token)) } }
            }
        }
        h2 { (texts.say("token-add")) }
        (parts::problems_beside(errors, &["name", "scope"]))
        form.card method="post" action=(PATH) {
            (parts::form_token(visitor))
            (Field { name: "name", label: texts.say("token-name"), hint: None, value: name, problems: errors }.line())
            (Field { name: "scope", label: texts.say("token-scope"), hint: None, value: "read", problems: errors }.choice(&roles(texts)))
            button.primary type="submit" { (texts.say("token-add")) }
        }
    };
    Ok(layout::page(
        visitor,
        &Frame::new(texts.say("system-tokens")),
        &body,
    ))
}

fn row(visitor: &Visitor, token: &TokenDocument) -> Markup {
    let texts = visitor.texts;
    let path = format!("{PATH}/{}/remove", within_path(&token.name));
    html! {
        tr {
            th scope="row" { (token.name) }
            td { (texts.say(&format!("role-{}", token.scope.name()))) }
            td { (parts::time(&token.created)) }
            td { (parts::action(visitor, &path, &[], &texts.say("remove"), true)) }
        }
    }
}

pub(in crate::admin::console::pages) async fn add(submitted: Submitted) -> Shown<Response> {
    let Submitted {
        visitor,
        fields,
        deed,
    } = submitted;
    visitor.administrator().or_page(&visitor)?;
    let name = fields.text("name").trim();
    let made = match reach("scope", &fields) {
        Ok(scope) => {
            let name = name.to_owned();
            tokens::create(&visitor.api, &deed, TokenInput { name, scope }).await
        }
        Err(problem) => Err(problem),
    };
    match made {
        Ok(made) => {
            let values = [("name", (&made.name).into())];
            visitor.tell(Notice {
                secret: Some(ShownOnce {
                    name: made.name.clone(),
                    secret: Zeroizing::new(made.token.clone()),
                }),
                ..Notice::done(visitor.texts.with("token-added", &values))
            });
            Ok(go_to(PATH))
        }
        Err(problem) => {
            let problem = at_fields(&visitor, problem)?;
            let page = page(&visitor, name, &problem.errors).await?;
            Ok((status_of(&problem), page).into_response())
        }
    }
}

pub(in crate::admin::console::pages) async fn remove(
    Segment(name): Segment,
    submitted: Submitted,
) -> Shown<Response> {
    let Submitted { visitor, deed, .. } = submitted;
    let caller = visitor.administrator().or_page(&visitor)?;
    let state = State(visitor.api.clone());
    let removed = tokens::remove(caller, deed, NoQuery, state, Segment(name)).await;
    let axum::Json(removed) = removed.or_page(&visitor)?;
    let values = [("name", (&removed.removed).into())];
    visitor.tell(Notice::done(visitor.texts.with("token-removed", &values)));
    Ok(go_to(PATH))
}
