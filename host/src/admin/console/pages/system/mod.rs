//! The system: how it does, who may administer it, and what programs may.

pub(super) mod accounts;
pub(super) mod admins;
pub(super) mod audit;
pub(super) mod overview;
pub(super) mod tokens;

use maud::{Markup, html};

use crate::account::Scope;
use crate::admin::console::fields::Fields;
use crate::admin::console::texts::Texts;
use crate::admin::console::visit::Visitor;
use crate::admin::problem::Problem;
use crate::admin::tokens::ScopeName;

/// Parts of the system that have a page of their own: where, the key of the name, and what a role has to reach.
const PARTS: [(&str, &str, Scope); 5] = [
    ("/system", "system-overview", Scope::Read),
    ("/system/audit", "system-audit", Scope::Admin),
    ("/system/accounts", "system-accounts", Scope::Admin),
    ("/system/admins", "system-admins", Scope::Admin),
    ("/system/tokens", "system-tokens", Scope::Admin),
];

/// The ways between them.
fn parts(visitor: &Visitor) -> Markup {
    let texts = visitor.texts;
    let here = visitor.path.split('?').next().unwrap_or_default();
    html! {
        nav.tabs aria-label=(texts.say("system-parts")) {
            @for (path, key, needed) in PARTS {
                @if visitor.may(needed) {
                    a href=(path) aria-current=[(here == path).then_some("page")] { (texts.say(key)) }
                }
            }
        }
    }
}

/// The roles to choose from, with what each may.
fn roles(texts: &'static Texts) -> Vec<(String, String)> {
    Scope::ALL
        .into_iter()
        .map(|role| {
            let name = role.name();
            (name.to_owned(), texts.say(&format!("role-{name}")))
        })
        .collect()
}

/// The role or the scope that a form names in that field.
fn reach(field: &str, fields: &Fields) -> Result<ScopeName, Problem> {
    let scope = Scope::from_name(fields.text(field));
    scope
        .map(ScopeName::from)
        .map_err(|problem| Problem::field(field, problem.text))
}
