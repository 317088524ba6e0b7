//! What a visitor sees instead of a page: the login, or what was wrong.

use axum::http::header::LOCATION;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::layout::{self, Frame};
use super::visit::Visitor;
use crate::admin::problem::Problem;
use crate::admin::within_path;

const HX_REDIRECT: HeaderName = HeaderName::from_static("hx-redirect");

/// Why there is no page.
pub(super) enum Refusal {
    /// Nobody is logged in; afterwards it goes on where it was.
    LogIn {
        path: String,
        /// Whether a part of a page was asked for, so that the whole page has to go.
        is_in_page: bool,
    },
    /// What was asked for cannot be done.
    Problem(Box<(Visitor, Problem)>),
}

impl Refusal {
    pub(super) fn problem(visitor: &Visitor, problem: Problem) -> Self {
        Self::Problem(Box::new((visitor.clone(), problem)))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::LogIn { path, is_in_page } => {
                let to = match path.as_str() {
                    "/" => "/login".to_owned(),
                    path => format!("/login?next={}", within_path(path)),
                };
                let to = HeaderValue::from_str(&to).unwrap_or(HeaderValue::from_static("/login"));
                if is_in_page {
                    (StatusCode::UNAUTHORIZED, [(HX_REDIRECT, to)]).into_response()
                } else {
                    (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response()
                }
            }
            Refusal::Problem(refused) => {
                let (visitor, problem) = *refused;
                let status = status_of(&problem);
                let frame = Frame {
                    title: problem.title.clone(),
                    narrow: true,
                };
                let page = layout::page(&visitor, &frame, &problem_text(&visitor, &problem));
                (status, page).into_response()
            }
        }
    }
}

/// What is wrong, with a way on.
fn problem_text(visitor: &Visitor, problem: &Problem) -> Markup {
    html! {
        p.lead { (problem.detail) }
        @if problem.errors.len() > 1 {
            ul {
                @for error in &problem.errors {
                    li { strong { (error.field) } " " (error.detail) }
                }
            }
        }
        p { a href="/" { (visitor.texts.say("back-to-start")) } }
    }
}

/// A page or what was wrong: what every page of the console answers.
pub(super) type Shown<T = Markup> = Result<T, Refusal>;

/// Turns what the API refuses into what a visitor sees.
pub(super) trait OrPage<T> {
    fn or_page(self, visitor: &Visitor) -> Shown<T>;
}

impl<T> OrPage<T> for Result<T, Problem> {
    fn or_page(self, visitor: &Visitor) -> Shown<T> {
        self.map_err(|problem| Refusal::problem(visitor, problem))
    }
}

/// The status that a problem is answered with.
pub(super) fn status_of(problem: &Problem) -> StatusCode {
    StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A form once more, with what was wrong: what no field is at fault for has a page of its own.
pub(super) fn at_fields(visitor: &Visitor, problem: Problem) -> Shown<Problem> {
    match problem.errors.is_empty() {
        true => Err(Refusal::problem(visitor, problem)),
        false => Ok(problem),
    }
}

/// Goes to a page of the console after something was done there.
pub(super) fn go_to(path: &str) -> Response {
    let to = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response()
}
