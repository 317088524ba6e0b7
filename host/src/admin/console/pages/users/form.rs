//! The form in which a user is made and changed, with what its rules are read as while they are typed.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use zeroize::Zeroizing;

use super::{actions, login, path, state};
use crate::account::{DEFAULT_LIST, Items, Scope, SenderRules};
use crate::admin::console::fields::Fields;
use crate::admin::console::layout::{self, Frame};
use crate::admin::console::meanwhile::{self, Beside, VERSION_FIELD};
use crate::admin::console::pages::statistics;
use crate::admin::console::parts::{self, Field};
use crate::admin::console::refusal::{OrPage as _, Shown, at_fields, go_to, status_of};
use crate::admin::console::session::{Notice, ShownOnce};
use crate::admin::console::texts::Texts;
use crate::admin::console::visit::{Submitted, Visitor};
use crate::admin::extract::{Json, NoQuery, QueryString, Segment};
use crate::admin::items::ItemsInput;
use crate::admin::problem::{FieldError, Kind, Problem};
use crate::admin::users::{self, UserDocument, UserInput};
use crate::admin::version::{IfMatch, IfNoneMatch, Tagged};
use crate::message::header::Carrier;

/// The fields that the form shows, as the API names them.
const SHOWN: [&str; 9] = [
    "name",
    "list",
    "priority",
    "note",
    "authorized_domains",
    "authorized_senders",
    "trusted_carriers",
    "priority_ceiling",
    "very_high_per_hour",
];

/// What the choice is named of those who trust some carriers of a priority and no other.
const ONLY_THESE: &str = "these";

/// What stands in the form.
#[derive(Default)]
struct Entered {
    /// Of which version of the user; empty for one that is to be made.
    version: String,
    name: String,
    list: String,
    priority: String,
    note: String,
    domains: String,
    senders: String,
    ceiling: String,
    per_hour: String,
    /// Whether every carrier of a priority counts, also those of later releases.
    trusts_all: bool,
    /// Those that count otherwise, by name.
    carriers: Vec<String>,
}

impl Entered {
    fn of(tagged: &Tagged<UserDocument>) -> Self {
        let user = &tagged.document;
        let number = |number: Option<u32>| number.map(|n| n.to_string()).unwrap_or_default();
        Self {
            version: tagged.version.to_string(),
            name: user.name.clone(),
            list: user.list.clone(),
            priority: user.priority.to_string(),
            note: user.note.clone().unwrap_or_default(),
            domains: user.authorized_domains.join("; "),
            senders: user.authorized_senders.join("; "),
            ceiling: number(user.priority_ceiling.map(u32::from)),
            per_hour: number(user.very_high_per_hour),
            trusts_all: user.trusted_carriers.is_none(),
            carriers: user.trusted_carriers.clone().unwrap_or_default(),
        }
    }

    fn read(fields: &Fields) -> Self {
        let text = |name| fields.text(name).to_owned();
        Self {
            version: text(VERSION_FIELD),
            name: text("name"),
            list: text("list"),
            priority: text("priority"),
            // A browser sends every end of a line as two characters.
            note: text("note").replace("\r\n", "\n"),
            domains: text("authorized_domains"),
            senders: text("authorized_senders"),
            ceiling: text("priority_ceiling"),
            per_hour: text("very_high_per_hour"),
            trusts_all: fields.text("carriers") != ONLY_THESE,
            carriers: fields.all("trusted_carriers").map(str::to_owned).collect(),
        }
    }

    /// As the API takes it; what is no number there is said at its field.
    fn input(&self) -> Result<UserInput, Vec<FieldError>> {
        let mut wrong = Vec::new();
        let mut number = |name: &str, text: &str| match text.trim() {
            "" => None,
            text => text.parse::<i64>().map(Some).unwrap_or_else(|_| {
                wrong.push(FieldError::new(name, "must be a whole number"));
                None
            }),
        };
        let input = UserInput {
            name: Some(self.name.trim().to_owned()).filter(|name| !name.is_empty()),
            list: Some(self.list.clone()).filter(|list| !list.is_empty()),
            active: None,
            priority: number("priority", &self.priority),
            note: Some(self.note.clone()),
            authorized_domains: Some(ItemsInput(Items::from(self.domains.as_str()))),
            authorized_senders: Some(ItemsInput(Items::from(self.senders.as_str()))),
            trusted_carriers: Some(self.trusted()),
            priority_ceiling: Some(number("priority_ceiling", &self.ceiling)),
            very_high_per_hour: Some(number("very_high_per_hour", &self.per_hour)),
        };
        match wrong.is_empty() {
            true => Ok(input),
            false => Err(wrong),
        }
    }
}

impl Entered {
    fn trusted(&self) -> Option<ItemsInput> {
        let these = || ItemsInput(Items::List(self.carriers.clone()));
        (!self.trusts_all).then(these)
    }

    /// The carriers that count, in words.
    fn carriers(&self, texts: &'static Texts) -> String {
        match (self.trusts_all, self.carriers.as_slice()) {
            (true, _) => texts.say("user-carriers-all"),
            (false, []) => texts.say("user-carriers-none"),
            (false, these) => these.join("; "),
        }
    }

    fn has_limits(&self) -> bool {
        !(self.trusts_all && self.ceiling.is_empty() && self.per_hour.is_empty())
    }
}

/// Which list a new user begins in.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(in crate::admin::console::pages) struct NewQuery {
    list: Option<String>,
}

pub(in crate::admin::console::pages) async fn new(
    visitor: Visitor,
    QueryString(query): QueryString<NewQuery>,
) -> Shown {
    visitor.administrator().or_page(&visitor)?;
    let list = query.list.filter(|list| !list.is_empty());
    let entered = Entered {
        list: list.unwrap_or_else(|| DEFAULT_LIST.to_owned()),
        priority: "3".to_owned(),
        trusts_all: true,
        ..Entered::default()
    };
    Ok(page_of_new(&visitor, &entered, &[]))
}

pub(in crate::admin::console::pages) async fn add(submitted: Submitted) -> Shown<Response> {
    let Submitted {
        visitor,
        fields,
        deed,
    } = submitted;
    let caller = visitor.administrator().or_page(&visitor)?;
    let entered = Entered::read(&fields);
    let made = match entered.input() {
        Ok(input) => users::create(&visitor.api, &caller.0, &deed, input).await,
        Err(wrong) => Err(Problem::fields(wrong)),
    };
    match made {
        Ok(made) => {
            let texts = visitor.texts;
            let name = &made.user.name;
            visitor.tell(Notice {
                secret: Some(ShownOnce {
                    name: name.clone(),
                    secret: Zeroizing::new(made.password.clone()),
                }),
                ..Notice::done(texts.with("user-added", &[("name", name.into())]))
            });
            Ok(go_to(&path(name)))
        }
        Err(problem) => {
            let problem = at_form(&visitor, problem)?;
            let page = page_of_new(&visitor, &entered, &problem.errors);
            Ok((status_of(&problem), page).into_response())
        }
    }
}

pub(in crate::admin::console::pages) async fn show(
    visitor: Visitor,
    Segment(name): Segment,
) -> Shown {
    let user = user(&visitor, name).await?;
    let entered = Entered::of(&user);
    Ok(page_of(&visitor, &user, &entered, &[], None).await)
}

pub(in crate::admin::console::pages) async fn change(
    Segment(name): Segment,
    submitted: Submitted,
) -> Shown<Response> {
    let Submitted {
        visitor,
        fields,
        deed,
    } = submitted;
    let caller = visitor.administrator().or_page(&visitor)?;
    let entered = Entered::read(&fields);
    let changed = match entered.input() {
        Ok(input) => {
            let (state, name) = (State(visitor.api.clone()), Segment(name.clone()));
            let only_if = IfMatch::of_form(&entered.version);
            users::change(caller, deed, NoQuery, only_if, state, name, Json(input)).await
        }
        Err(wrong) => Err(Problem::fields(wrong)),
    };
    match changed {
        Ok(Tagged {
            document: changed, ..
        }) => {
            let texts = visitor.texts;
            visitor.tell(Notice::done(
                texts.with("user-changed", &[("name", (&changed.name).into())]),
            ));
            Ok(go_to(&path(&changed.name)))
        }
        Err(problem) => {
            let user = user(&visitor, name).await?;
            if problem.status == Kind::ChangedMeanwhile.status() {
                let there = Entered::of(&user);
                let entered = Entered {
                    version: there.version.clone(),
                    ..entered
                };
                let page = page_of(&visitor, &user, &entered, &[], Some(&there)).await;
                return Ok((status_of(&problem), page).into_response());
            }
            let problem = at_form(&visitor, problem)?;
            let page = page_of(&visitor, &user, &entered, &problem.errors, None).await;
            Ok((status_of(&problem), page).into_response())
        }
    }
}

/// What the rules that are typed are read as, for the page that is open.
pub(in crate::admin::console::pages) async fn echo(submitted: Submitted) -> Markup {
    let entered = Entered::read(&submitted.fields);
    read_as(submitted.visitor.texts, &entered)
}

async fn user(visitor: &Visitor, name: String) -> Shown<Tagged<UserDocument>> {
    let state = State(visitor.api.clone());
    let (reader, name) = (visitor.reader(), Segment(name));
    let user = users::show(reader, NoQuery, IfNoneMatch::NONE, state, name).await;
    Ok(user.or_page(visitor)?.tagged)
}

/// What was wrong with the form, or with it as a whole; what it is not at fault for has a page of its own.
fn at_form(visitor: &Visitor, problem: Problem) -> Shown<Problem> {
    if problem.errors.is_empty() && problem.status == Kind::Conflict.status() {
        let errors = vec![FieldError::new("form", problem.detail.clone())];
        return Ok(Problem { errors, ..problem });
    }
    at_fields(visitor, problem)
}

fn page_of_new(visitor: &Visitor, entered: &Entered, errors: &[FieldError]) -> Markup {
    let texts = visitor.texts;
    let body = html! {
        p.lead { (texts.say("user-add-lead")) }
        (form(visitor, "/users", entered, errors, &texts.say("user-add")))
    };
    layout::page(visitor, &Frame::narrow(texts.say("user-add")), &body)
}

/// The page of a user: with what is there by now, where that is another version than the form was made of.
async fn page_of(
    visitor: &Visitor,
    user: &Tagged<UserDocument>,
    entered: &Entered,
    errors: &[FieldError],
    there: Option<&Entered>,
) -> Markup {
    let texts = visitor.texts;
    let user = &user.document;
    let glance = statistics::at_a_glance(visitor, "user", &user.name).await;
    let body = html! {
        @if let Some(there) = there { (meanwhile::notice(texts, &user.name, &beside(texts, entered, there))) }
        @if let Some(warning) = &user.warning { div.notice.warning role="status" { p { (warning) } } }
        dl.facts {
            dt { (texts.say("user-name")) } dd { (login(texts, user)) }
            dt { (texts.say("state")) } dd { (state(texts, user)) }
            dt { (texts.say("user-last-login")) }
            dd {
                @match &user.last_login {
                    Some(at) => (parts::time(at)),
                    None => { (texts.say("never")) },
                }
            }
            dt { (texts.say("user-password-set")) } dd { (parts::time(&user.password_changed)) }
            @if let Some(left) = user.very_high_left {
                dt { (texts.say("user-very-high-left")) } dd { (left) }
            }
        }
        @if visitor.may(Scope::Admin) {
            (actions::buttons(visitor, user))
            h2 { (texts.say("user-settings")) }
            (form(visitor, &path(&user.name), entered, errors, &texts.say("save")))
        } @else {
            h2 { (texts.say("user-rules")) }
            (read_as(texts, entered))
        }
        (glance)
    };
    layout::page(visitor, &Frame::narrow(user.name.clone()), &body)
}

fn form(
    visitor: &Visitor,
    action: &str,
    entered: &Entered,
    errors: &[FieldError],
    submit: &str,
) -> Markup {
    let texts = visitor.texts;
    let field = |name: &'static str, label: &str, hint: Option<&str>, value| Field {
        name,
        label: texts.say(label),
        hint: hint.map(|key| texts.say(key)),
        value,
        problems: errors,
    };
    let lists = visitor.api.directory.lists();
    let lists: Vec<_> = lists
        .iter()
        .map(|list| (list.name.clone(), list.name.clone()))
        .collect();
    let priorities = priorities(texts);
    let ceilings: Vec<_> = std::iter::once((String::new(), texts.say("user-ceiling-none")))
        .chain(priorities.clone())
        .collect();
    let domains = field(
        "authorized_domains",
        "user-domains",
        Some("user-domains-hint"),
        &entered.domains,
    );
    let senders = field(
        "authorized_senders",
        "user-senders",
        Some("user-senders-hint"),
        &entered.senders,
    );
    let per_hour = field(
        "very_high_per_hour",
        "user-very-high",
        Some("user-very-high-hint"),
        &entered.per_hour,
    );
    html! {
        (parts::problems_beside(errors, &SHOWN))
        form.card method="post" action=(action) {
            (parts::form_token(visitor))
            @if !entered.version.is_empty() { (meanwhile::version(&entered.version)) }
            (field("name", "user-name", Some("user-name-hint"), &entered.name).line())
            (field("list", "list", None, &entered.list).choice(&lists))
            (field("priority", "user-priority", Some("user-priority-hint"), &entered.priority).choice(&priorities))
            fieldset hx-post="/users/rules" hx-trigger="input changed delay:300ms" hx-target="#rules" hx-swap="outerHTML" {
                legend { (texts.say("user-may-send-as")) }
                (domains.line())
                (senders.line())
                (read_as(texts, entered))
            }
            (field("note", "user-note", Some("user-note-hint"), &entered.note).text(3))
            details open[entered.has_limits()] {
                summary { (texts.say("user-limits")) }
                (field("priority_ceiling", "user-ceiling", Some("user-ceiling-hint"), &entered.ceiling).choice(&ceilings))
                (per_hour.input("number"))
                (carriers(texts, entered, errors))
            }
            button.primary type="submit" { (submit) }
        }
    }
}

/// Which carriers of a priority count.
fn carriers(texts: &'static Texts, entered: &Entered, errors: &[FieldError]) -> Markup {
    let is_ticked = |name: &str| entered.carriers.iter().any(|carrier| carrier == name);
    let choices = [
        ("all", "user-carriers-all", entered.trusts_all),
        (ONLY_THESE, "user-carriers-these", !entered.trusts_all),
    ];
    html! {
        fieldset {
            legend { (texts.say("user-carriers")) }
            @for (value, key, is_chosen) in choices {
                label.choice { input type="radio" name="carriers" value=(value) checked[is_chosen]; " " (texts.say(key)) }
            }
            div.choices {
                @for carrier in Carrier::ALL {
                    label.choice {
                        input type="checkbox" name="trusted_carriers" value=(carrier.name()) checked[is_ticked(carrier.name())];
                        " " (carrier.name())
                    }
                }
            }
            p.hint { (texts.say("user-carriers-hint")) }
            @for error in errors.iter().filter(|error| error.field.starts_with("trusted_carriers")) {
                p.problem { (error.detail) }
            }
        }
    }
}

/// What was entered and what is there now, field by field.
fn beside(texts: &'static Texts, entered: &Entered, there: &Entered) -> Vec<Beside> {
    let one = |key: &str, entered: &str, there: &str| Beside {
        label: texts.say(key),
        entered: entered.to_owned(),
        there: there.to_owned(),
    };
    vec![
        one("user-name", &entered.name, &there.name),
        one("list", &entered.list, &there.list),
        one("user-priority", &entered.priority, &there.priority),
        one("user-domains", &entered.domains, &there.domains),
        one("user-senders", &entered.senders, &there.senders),
        one("user-note", &entered.note, &there.note),
        one("user-ceiling", &entered.ceiling, &there.ceiling),
        one("user-very-high", &entered.per_hour, &there.per_hour),
        one(
            "user-carriers",
            &entered.carriers(texts),
            &there.carriers(texts),
        ),
    ]
}

fn priorities(texts: &'static Texts) -> Vec<(String, String)> {
    (1..=5)
        .map(|number: u8| (number.to_string(), texts.say(&format!("class-{number}"))))
        .collect()
}

/// What the rules in the form are read as, or what is wrong with them, in the words of every surface.
fn read_as(texts: &'static Texts, entered: &Entered) -> Markup {
    let items = |text: &str| Items::from(text);
    let rules = SenderRules::parse(&items(&entered.domains), &items(&entered.senders));
    html! {
        div #rules.echo aria-live="polite" {
            @match &rules {
                Ok(rules) => {
                    @if let Some(warning) = rules.warning() {
                        p.warn { (warning) }
                    } @else {
                        p { (texts.say("rules-read-as")) }
                        ul {
                            @for domain in rules.domains() {
                                li {
                                    @if let Some(parent) = domain.strip_prefix("*.") {
                                        (texts.with("rule-subdomains", &[("domain", parent.into())]))
                                    } @else {
                                        (texts.with("rule-domain", &[("domain", domain.into())]))
                                    }
                                }
                            }
                            @for sender in rules.sender_texts() {
                                li { (texts.with("rule-sender", &[("address", (&sender).into())])) }
                            }
                        }
                    }
                }
                Err(problems) => {
                    @for problem in problems { p.problem { (problem.text) } }
                }
            }
        }
    }
}
