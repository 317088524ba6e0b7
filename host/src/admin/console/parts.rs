//! What pages are made of: fields with their problems, values to copy, marks for classes and states, ways between pages.

use maud::{Markup, html};

use super::layout::TOKEN_FIELD;
use super::texts::Texts;
use super::visit::Visitor;
use crate::admin::problem::FieldError;
use crate::admin::within_path;
use crate::message::Timestamp;

/// What makes a form one of this session.
pub(super) fn form_token(visitor: &Visitor) -> Markup {
    html! { input type="hidden" name=(TOKEN_FIELD) value=(visitor.form_token); }
}

/// A value with a button that copies it; without scripts it is selected as any text.
pub(super) fn copied(texts: &'static Texts, value: &str) -> Markup {
    let label = texts.with("copy-value", &[("value", value.into())]);
    html! {
        span.copied {
            code { (value) }
            button.quiet type="button" data-copy=(value) aria-label=(label) hidden { (texts.say("copy")) }
        }
    }
}

/// Several lines with a button that copies them.
pub(super) fn copied_block(texts: &'static Texts, label: &str, value: &str) -> Markup {
    let named = texts.with("copy-what", &[("what", label.into())]);
    html! {
        div.copied.block {
            pre tabindex="0" aria-label=(label) { code { (value) } }
            button.quiet type="button" data-copy=(value) aria-label=(named) hidden { (texts.say("copy")) }
        }
    }
}

/// The effective priority, in colour and in words.
pub(super) fn class(texts: &'static Texts, class: u8) -> Markup {
    let (mark, key) = match class {
        1 => ("c1", "class-1"),
        2 => ("c2", "class-2"),
        4 => ("c4", "class-4"),
        5 => ("c5", "class-5"),
        _ => ("c3", "class-3"),
    };
    html! { span.badge.(mark) { (texts.say(key)) } }
}

/// A field of a form.
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    pub(super) label: String,
    pub(super) hint: Option<String>,
    pub(super) value: &'a str,
    /// What was wrong with it when it was sent.
    pub(super) problems: &'a [FieldError],
}

impl Field<'_> {
    fn problem(&self) -> Option<String> {
        let of_this = |error: &&FieldError| {
            let name = error.field.split(['[', '.']).next();
            name == Some(self.name)
        };
        let texts: Vec<&str> = self
            .problems
            .iter()
            .filter(of_this)
            .map(|error| error.detail.as_str())
            .collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }

    fn around(&self, input: impl FnOnce(&str, Option<String>, bool) -> Markup) -> Markup {
        let id = format!("field-{}", self.name);
        let problem = self.problem();
        let (hint_id, problem_id) = (format!("{id}-hint"), format!("{id}-problem"));
        let mut described = Vec::new();
        if self.hint.is_some() {
            described.push(hint_id.clone());
        }
        if problem.is_some() {
            described.push(problem_id.clone());
        }
        let described = (!described.is_empty()).then(|| described.join(" "));
        html! {
            div.field {
                label for=(id) { (self.label) }
                (input(&id, described, problem.is_some()))
                @if let Some(hint) = &self.hint { p.hint #(hint_id) { (hint) } }
                @if let Some(problem) = &problem { p.problem #(problem_id) { (problem) } }
            }
        }
    }

    /// One line of text.
    pub(super) fn line(&self) -> Markup {
        self.input("text")
    }

    /// One line of a login, filled in by who keeps passwords.
    pub(super) fn credential(&self, kind: &str, autocomplete: &str, is_first: bool) -> Markup {
        self.around(|id, _, _| {
            html! {
                input id=(id) name=(self.name) type=(kind) value=(self.value) autocomplete=(autocomplete)
                    required autofocus[is_first];
            }
        })
    }

    /// One line of that type.
    pub(super) fn input(&self, kind: &str) -> Markup {
        self.around(|id, described, is_wrong| {
            html! {
                input id=(id) name=(self.name) type=(kind) value=(self.value) autocomplete="off"
                    aria-describedby=[described] aria-invalid=[is_wrong.then_some("true")];
            }
        })
    }

    /// Several lines of text.
    pub(super) fn text(&self, rows: u8) -> Markup {
        self.around(|id, described, is_wrong| {
            html! {
                textarea id=(id) name=(self.name) rows=(rows) aria-describedby=[described]
                    aria-invalid=[is_wrong.then_some("true")] { "\n" (self.value) }
            }
        })
    }

    /// One of several, each with its value and its words.
    pub(super) fn choice(&self, choices: &[(String, String)]) -> Markup {
        self.around(|id, described, is_wrong| {
            html! {
                select id=(id) name=(self.name) aria-describedby=[described]
                    aria-invalid=[is_wrong.then_some("true")] {
                    @for (value, words) in choices {
                        option value=(value) selected[value == self.value] { (words) }
                    }
                }
            }
        })
    }
}

/// What is wrong with a form as a whole, or with fields that it does not show.
pub(super) fn problems_beside(problems: &[FieldError], shown: &[&str]) -> Markup {
    let beside = |error: &&FieldError| {
        let name = error.field.split(['[', '.']).next().unwrap_or_default();
        !shown.contains(&name)
    };
    let beside: Vec<_> = problems.iter().filter(beside).collect();
    html! {
        @if !beside.is_empty() {
            div.notice.failed role="alert" {
                @for error in beside { p { (error.field) ": " (error.detail) } }
            }
        }
    }
}

/// A time, to the second, as people read it: in UTC, so that it is the one of logs and trails.
pub(super) fn time(at: &str) -> Markup {
    let shown = at.get(..19).unwrap_or(at).replace('T', " ");
    html! { time datetime=(at) { (shown) } }
}

/// What the relay says in words, with the times in it as people read them. Where it names the message `named`, that is the way to it.
pub(super) fn told(text: &str, named: Option<&str>) -> Markup {
    let mut rest = text;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let is_word = rest.starts_with(of_word);
        let end = rest.find(|next| of_word(next) != is_word);
        let (piece, behind) = rest.split_at(end.unwrap_or(rest.len()));
        // A sentence may end behind it.
        let word = piece.trim_end_matches(['.', ':']);
        let is_time = word.len() == TIME_OCTETS && Timestamp::from_rfc3339(word).is_some();
        pieces.push(match word {
            _ if is_time => html! { (time(word)) (&piece[word.len()..]) },
            id if named == Some(id) => {
                html! { a href=(format!("/messages/{}", within_path(id))) { (id) } (&piece[id.len()..]) }
            }
            _ => html! { (piece) },
        });
        rest = behind;
    }
    html! { @for piece in &pieces { (piece) } }
}

/// Octets of a time as the relay writes it: `2026-11-28T05:55:50.287Z`.
const TIME_OCTETS: usize = 24;

fn of_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | ':' | '.')
}

/// An address or a domain, which goes on in the next line where one reads on.
pub(super) fn address(address: &str) -> Markup {
    html! {
        @for piece in address.split_inclusive(['@', '.']) { (piece) @if piece.ends_with(['@', '.']) { wbr; } }
    }
}

/// Octets, in the unit in which they are few.
pub(super) fn octets(octets: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if octets < 1024 {
        return format!("{octets} B");
    }
    let mut size = octets as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// Seconds, in the two largest units that they fill.
pub(super) fn duration(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, minutes) => format!("{minutes} min {rest} s"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// The way to the next page of a listing: with the same filters, from where this one ends.
pub(super) fn next_page<'a>(
    texts: &'static Texts,
    path: &str,
    filters: impl IntoIterator<Item = (&'a str, &'a str)>,
    cursor: Option<&'a str>,
) -> Markup {
    html! {
        @if let Some(cursor) = cursor {
            @let href = with_query(path, filters.into_iter().chain([("cursor", cursor)]));
            p.pages { a.button href=(href) rel="next" { (texts.say("next-page")) } }
        }
    }
}

/// Goes on to the next page by itself where there are scripts: nothing was found on this one, and each page is short.
pub(super) fn looks_on<'a>(
    path: &str,
    filters: impl IntoIterator<Item = (&'a str, &'a str)>,
    cursor: &'a str,
) -> Markup {
    let href = with_query(path, filters.into_iter().chain([("cursor", cursor)]));
    html! {
        div hx-get=(href) hx-trigger="load delay:100ms" hx-target="#content" hx-select="#content" hx-swap="outerHTML" {}
    }
}

/// A button in a form of its own, for something that needs no more than a click.
pub(super) fn action(
    visitor: &Visitor,
    path: &str,
    fields: &[(&str, &str)],
    label: &str,
    is_dangerous: bool,
) -> Markup {
    html! {
        form.inline method="post" action=(path) {
            (form_token(visitor))
            @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
            button.danger[is_dangerous] type="submit" { (label) }
        }
    }
}

/// A path with a query of what is given.
pub(super) fn with_query<'a>(
    path: &str,
    query: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    for (name, value) in query {
        if !value.is_empty() {
            pairs.append_pair(name, value);
        }
    }
    match pairs.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_has_times_as_people_read_them_and_a_way_to_the_message_it_names() {
        let id = "01M8GBJ0345QBXZ7PNCCJATBTW";
        let text = format!("tried at 2026-11-28T05:55:50.287Z; paused for {id}.");
        let time = "<time datetime=\"2026-11-28T05:55:50.287Z\">2026-11-28 05:55:50</time>";
        assert_eq!(
            told(&text, Some(id)).into_string(),
            format!("tried at {time}; paused for <a href=\"/messages/{id}\">{id}</a>.")
        );
        assert_eq!(
            told(&text, None).into_string(),
            format!("tried at {time}; paused for {id}.")
        );
        for as_it_is in [
            "",
            "550 5.1.1 no such user",
            "é2026-11-28T05:55:50.287",
            "9999-99-99T99:99:99.999Z",
        ] {
            assert_eq!(told(as_it_is, None).into_string(), as_it_is);
        }
        assert_eq!(
            told("a <b> & 1.", None).into_string(),
            "a &lt;b&gt; &amp; 1."
        );
    }

    #[test]
    fn an_address_goes_on_in_the_next_line_where_one_reads_on() {
        assert_eq!(
            address("a.b@<c>.example").into_string(),
            "a.<wbr>b@<wbr>&lt;c&gt;.<wbr>example"
        );
    }
}
