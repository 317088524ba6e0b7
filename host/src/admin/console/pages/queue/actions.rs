//! What is done with queued mail: counted, confirmed, done, and undone where that can be.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::table::{FILTERS, of_form};
use crate::admin::console::fields::Fields;
use crate::admin::console::layout::{self, Frame};
use crate::admin::console::parts;
use crate::admin::console::refusal::{OrPage as _, Shown, go_to};
use crate::admin::console::session::{Notice, Tone, Undo};
use crate::admin::console::texts::Texts;
use crate::admin::console::visit::{Submitted, Visitor};
use crate::admin::extract::{Json, NoQuery, Segment};
use crate::admin::problem::{FieldError, Problem};
use crate::admin::queue::{self, QueueChanged};
use crate::admin::selection::{QueueAction, QueueChange, StateFilter};
use crate::spool::NAMED_MAX;

/// Where it goes.
const PATH: &str = "/queue/act";

/// The actions with what is said on their buttons.
const ACTIONS: [(QueueAction, &str); 6] = [
    (QueueAction::Hold, "act-hold"),
    (QueueAction::Release, "act-release"),
    (QueueAction::Retry, "act-retry"),
    (QueueAction::SetPriority, "act-set-priority"),
    (QueueAction::Reschedule, "act-reschedule"),
    (QueueAction::Cancel, "act-cancel"),
];

/// Messages that are acted upon one by one; a page has no more rows.
const SELECTED_MAX: usize = 1_000;

/// The buttons above the table. Nothing ticked means all that match.
pub(super) fn bar(texts: &'static Texts, asked: &Fields) -> Markup {
    let is_of_cancelled = asked.text("state") == StateFilter::Cancelled.name();
    html! {
        div.bulk role="group" aria-label=(texts.say("queue-actions")) {
            @if is_of_cancelled {
                (button(texts, QueueAction::Restore, "act-restore"))
            } @else {
                @for (action, key) in ACTIONS { (button(texts, action, key)) }
                label { (texts.say("act-priority"))
                    select name="priority" {
                        @for number in 1..=5_u8 { option value=(number) selected[number == 3] { (texts.say(&format!("class-{number}"))) } }
                    }
                }
                label { (texts.say("act-minutes")) input type="number" name="minutes" value="60" min="0" max="525600"; }
            }
            span.small { (texts.say("queue-actions-hint")) }
        }
    }
}

fn button(texts: &'static Texts, action: QueueAction, key: &str) -> Markup {
    let is_dangerous = action == QueueAction::Cancel;
    html! {
        button.danger[is_dangerous] type="submit" name="action" value=(action.name()) { (texts.say(key)) }
    }
}

/// The same for one message, without a count: it is one.
pub(in crate::admin::console::pages) fn of_message(
    visitor: &Visitor,
    id: &str,
    is_cancelled: bool,
) -> Markup {
    let texts = visitor.texts;
    html! {
        form.bulk method="post" action=(PATH) {
            (parts::form_token(visitor))
            input type="hidden" name="selected" value=(id);
            input type="hidden" name="confirmed" value="yes";
            input type="hidden" name="back" value="message";
            @if is_cancelled {
                (button(texts, QueueAction::Restore, "act-restore"))
            } @else {
                @for (action, key) in ACTIONS { (button(texts, action, key)) }
                label { (texts.say("act-priority"))
                    select name="priority" {
                        @for number in 1..=5_u8 { option value=(number) selected[number == 3] { (texts.say(&format!("class-{number}"))) } }
                    }
                }
                label { (texts.say("act-minutes")) input type="number" name="minutes" value="60" min="0" max="525600"; }
            }
        }
    }
}

/// What is asked for.
struct Act {
    action: QueueAction,
    /// One for each message, or one for all that match.
    changes: Vec<QueueChange>,
}

impl Act {
    fn read(fields: &Fields) -> Result<Self, Problem> {
        let action = QueueAction::parse(fields.text("action"))?;
        let number = |name: &'static str| {
            let text = fields.text(name).trim();
            text.parse::<u64>()
                .map_err(|_| Problem::field(name, "must be a whole number"))
        };
        if action == QueueAction::Undo {
            let one = |name: &str| QueueChange {
                undo: Some(name.to_owned()),
                ..QueueChange::default()
            };
            let changes = fields.all("undo").take(SELECTED_MAX).map(one).collect();
            return Ok(Self { action, changes });
        }
        let mut base = QueueChange::default();
        match action {
            QueueAction::SetPriority => {
                base.priority = Some(u8::try_from(number("priority")?).unwrap_or(u8::MAX));
            }
            QueueAction::Reschedule => {
                base.after_seconds = Some(number("minutes")?.saturating_mul(60));
            }
            _ => {}
        }
        let selected: Vec<&str> = fields.all("selected").take(SELECTED_MAX).collect();
        let changes = if selected.is_empty() {
            vec![filtered(fields, base)?]
        } else {
            let one = |id: &str| QueueChange {
                id: Some(id.to_owned()),
                ..base.clone()
            };
            let mut ids = selected;
            ids.sort_unstable();
            ids.dedup();
            ids.into_iter().map(one).collect()
        };
        Ok(Self { action, changes })
    }
}

/// All that match the filters of the page; everything where there are none.
fn filtered(fields: &Fields, base: QueueChange) -> Result<QueueChange, Problem> {
    let given = |name| fields.given(name);
    let mut wrong = Vec::new();
    let mut number = |name: &'static str| {
        let text = fields.given(name)?;
        let number = text.parse::<u32>().ok();
        if number.is_none() {
            wrong.push(FieldError::new(name, "must be a whole number"));
        }
        number
    };
    let (class, attempts) = (number("class"), number("attempts"));
    let state = match given("state") {
        None => None,
        Some(name) => {
            let found = StateFilter::ALL.into_iter().find(|s| s.name() == name);
            if found.is_none() {
                wrong.push(FieldError::new("state", "is no state"));
            }
            found
        }
    };
    // It is another one in the next moment: what would be meant is not what is shown.
    if given("estimate_seconds").is_some() {
        let text = "says only what is shown: tick what is meant";
        wrong.push(FieldError::new("estimate_seconds", text));
    }
    if !wrong.is_empty() {
        return Err(Problem::fields(wrong));
    }
    Ok(QueueChange {
        all: fields.among(&FILTERS).next().is_none(),
        id: given("id"),
        list: given("list"),
        user: given("user"),
        class: class.map(|class| u8::try_from(class).unwrap_or(u8::MAX)),
        state,
        subject: given("subject"),
        sender: given("sender"),
        recipient: given("recipient"),
        domain: given("domain"),
        attempts,
        last_reply: given("last_reply"),
        due_from: given("due_from").map(of_form),
        due_before: given("due_before").map(of_form),
        ..base
    })
}

pub(in crate::admin::console::pages) async fn act(submitted: Submitted) -> Shown<Response> {
    let Submitted {
        visitor,
        fields,
        deed,
    } = submitted;
    let operator = visitor.operator().or_page(&visitor)?;
    let Act { action, changes } = Act::read(&fields).or_page(&visitor)?;
    // What is put back is known to the row: there is nothing to count before.
    let is_confirmed = fields.is_ticked("confirmed") || action == QueueAction::Undo;
    let is_one_of_several = changes.len() > 1;
    let mut done = Done::default();
    for change in changes {
        let change = QueueChange {
            dry_run: !is_confirmed,
            ..change
        };
        let state = State(visitor.api.clone());
        let segment = Segment(action.name().to_owned());
        let operator = operator.clone();
        let changed = queue::change(
            operator,
            deed.clone(),
            NoQuery,
            state,
            segment,
            Json(change),
        )
        .await;
        match changed {
            Ok(axum::Json(changed)) => done.add(&changed),
            // One of several that is gone meanwhile keeps nobody from the others.
            Err(problem) if is_one_of_several => done.refused(problem),
            Err(problem) => return Err(problem).or_page(&visitor),
        }
    }
    if !is_confirmed {
        return Ok(ask(&visitor, &fields, action, &done).into_response());
    }
    let texts = visitor.texts;
    let tone = match done.count {
        0 => Tone::Warning,
        _ => Tone::Done,
    };
    let mut notice = Notice::new(
        tone,
        texts.with(done_key(action), &[("count", done.count.into())]),
    );
    if done.under_way > 0 {
        let values = [("count", done.under_way.into())];
        notice.text.push(' ');
        notice.text.push_str(&texts.with("act-under-way", &values));
    }
    if let Some(problem) = &done.problem {
        notice.text.push(' ');
        notice.text.push_str(&problem.detail);
    }
    if done.is_too_many(action) {
        let values = [("max", NAMED_MAX.into())];
        notice.text.push(' ');
        notice.text.push_str(&texts.with("act-no-undo", &values));
    }
    notice.undo = undo(&fields, done.undos);
    visitor.tell(notice);
    Ok(go_to(&way_back(&fields)))
}

/// What came of it, added up.
#[derive(Default)]
struct Done {
    count: u64,
    under_way: u64,
    stopped: u64,
    /// The names under which it can be undone.
    undos: Vec<String>,
    problem: Option<Problem>,
}

impl Done {
    fn add(&mut self, changed: &QueueChanged) {
        self.count += changed.count;
        self.under_way += changed.under_way;
        self.stopped += changed.stopped;
        self.undos.extend(changed.undo.clone());
    }

    /// Whether it could be undone if it were not so much.
    fn is_too_many(&self, action: QueueAction) -> bool {
        let has_way_back = match action {
            QueueAction::Hold
            | QueueAction::Release
            | QueueAction::Cancel
            | QueueAction::Restore
            | QueueAction::SetPriority => true,
            QueueAction::Retry | QueueAction::Reschedule | QueueAction::Undo => false,
        };
        has_way_back && self.count > NAMED_MAX as u64 && self.undos.is_empty()
    }

    fn refused(&mut self, problem: Problem) {
        self.problem.get_or_insert(problem);
    }
}

const fn done_key(action: QueueAction) -> &'static str {
    match action {
        QueueAction::Hold => "done-hold",
        QueueAction::Release => "done-release",
        QueueAction::Retry => "done-retry",
        QueueAction::Cancel => "done-cancel",
        QueueAction::Restore => "done-restore",
        QueueAction::SetPriority => "done-set-priority",
        QueueAction::Reschedule => "done-reschedule",
        QueueAction::Undo => "done-undo",
    }
}

const fn ask_key(action: QueueAction) -> &'static str {
    match action {
        QueueAction::Hold => "ask-hold",
        QueueAction::Release => "ask-release",
        QueueAction::Retry => "ask-retry",
        QueueAction::Cancel => "ask-cancel",
        QueueAction::Restore => "ask-restore",
        QueueAction::SetPriority => "ask-set-priority",
        // It is done without a question.
        QueueAction::Undo => "undo",
        QueueAction::Reschedule => "ask-reschedule",
    }
}

/// How many it would concern, before it is done.
fn ask(visitor: &Visitor, fields: &Fields, action: QueueAction, done: &Done) -> Markup {
    let texts = visitor.texts;
    let filters: Vec<_> = fields.among(&FILTERS).collect();
    let is_selected = fields.is_ticked("selected");
    let body = html! {
        p.lead { (texts.with(ask_key(action), &[("count", done.count.into())])) }
        @if !is_selected {
            @if filters.is_empty() { p.warn { (texts.say("ask-everything")) } }
            @else {
                p { (texts.say("ask-matching")) }
                dl.facts { @for (name, value) in &filters { dt { (name) } dd { (value) } } }
            }
        }
        @if done.under_way > 0 { p { (texts.with("ask-under-way", &[("count", done.under_way.into())])) } }
        @if done.stopped > 0 { p { (texts.with("ask-stopped", &[("count", done.stopped.into())])) } }
        form.card method="post" action=(PATH) {
            (parts::form_token(visitor))
            input type="hidden" name="confirmed" value="yes";
            input type="hidden" name="action" value=(action.name());
            @for name in ["priority", "minutes"] { input type="hidden" name=(name) value=(fields.text(name)); }
            @for (name, value) in &filters { input type="hidden" name=(name) value=(value); }
            @for id in fields.all("selected") { input type="hidden" name="selected" value=(id); }
            button.primary.danger[action == QueueAction::Cancel] type="submit" disabled[done.count == 0] { (texts.say("ask-do-it")) }
            " "
            a.button href=(way_back(fields)) { (texts.say("back")) }
        }
    };
    layout::page(visitor, &Frame::narrow(texts.say("ask-title")), &body)
}

/// Where it came from.
fn way_back(fields: &Fields) -> String {
    match (fields.text("back"), fields.all("selected").next()) {
        ("message", Some(id)) => format!("/messages/{}", crate::admin::within_path(id)),
        _ => parts::with_query("/queue", fields.among(&FILTERS)),
    }
}

/// The form that takes back just what was done, and leads to where it was done: there the mail stands again.
fn undo(fields: &Fields, undos: Vec<String>) -> Option<Undo> {
    if undos.is_empty() {
        return None;
    }
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut undo = vec![field("action", QueueAction::Undo.name())];
    undo.extend(undos.iter().map(|name| field("undo", name)));
    let filters = fields.among(&FILTERS);
    undo.extend(filters.map(|(name, value)| field(name, value)));
    let selected = fields.all("selected").next();
    if let (back @ "message", Some(id)) = (fields.text("back"), selected) {
        undo.push(field("back", back));
        undo.push(field("selected", id));
    }
    Some(Undo {
        path: PATH.to_owned(),
        fields: undo,
    })
}
