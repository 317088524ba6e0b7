//! Who submits a message: a user with a password, as over SMTP, and never a token.
//!
//! The scheme is Basic (RFC 7617). It is only read here: whose password it is, and how often somebody may guess, is
//! found out where every login of a user is.

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use outpost_smtp::Credentials;
use zeroize::Zeroizing;

use super::problem::{Kind, Problem};

/// RFC 7617 §2.1: names and passwords are UTF-8.
const CHALLENGE: HeaderValue =
    HeaderValue::from_static("Basic realm=\"outpost\", charset=\"UTF-8\"");

/// What a client sends to log in.
#[derive(Debug)]
pub(super) struct Login(pub(super) Credentials);

/// There is no login, or a wrong one, with the challenge that belongs to it (RFC 9110 §15.5.2).
#[derive(Debug)]
pub(super) struct NotLoggedIn(pub(super) Problem);

impl IntoResponse for NotLoggedIn {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
        response.headers_mut().insert(WWW_AUTHENTICATE, CHALLENGE);
        response
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Login {
    type Rejection = NotLoggedIn;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, NotLoggedIn> {
        basic(parts).map(Login).ok_or_else(|| {
            let text = "send name and password of a user: `Authorization: Basic …` (RFC 7617), as `curl --user` \
                        does; a token submits nothing";
            NotLoggedIn(Problem::new(Kind::LoginNeeded, text))
        })
    }
}

/// Name and password of the request. The scheme is read without regard to case (RFC 9110 §11.1); what is not UTF-8 is
/// nobody's, and so is what has control characters (RFC 7617 §2).
fn basic(parts: &Parts) -> Option<Credentials> {
    let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
    let value = headers.next()?.to_str().ok()?;
    // Two headers could be read as two users.
    if headers.next().is_some() {
        return None;
    }
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let octets = Zeroizing::new(BASE64_STANDARD.decode(encoded.trim()).ok()?);
    let text = str::from_utf8(&octets).ok()?;
    let (name, password) = text.split_once(':')?;
    (!text.contains(char::is_control)).then(|| Credentials::new(name, password))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::http::Request;

    use super::*;

    fn read(values: &[&str]) -> Option<(String, String)> {
        let mut request = Request::get("/");
        for value in values {
            request = request.header(AUTHORIZATION, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        basic(&parts).map(|found| (found.name.clone(), found.password.clone()))
    }

    #[test]
    fn a_name_and_a_password_are_read_and_nothing_else() {
        let encoded = |text: &[u8]| BASE64_STANDARD.encode(text);
        let login = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
        for (text, expected) in [
            ("ann:secret", login("ann", "secret")),
            ("ann:", login("ann", "")),
            ("ann:a:b", login("ann", "a:b")),
            ("jos\u{e9}:p\u{e4}ss", login("jos\u{e9}", "p\u{e4}ss")),
            (":x", login("", "x")),
            ("ann", None),
            ("ann\0:x", None),
            ("ann:x\r\n", None),
        ] {
            let header = format!("Basic {}", encoded(text.as_bytes()));
            assert_eq!(read(&[&header]), expected, "{text:?}");
            let header = format!("bASIC  {} ", encoded(text.as_bytes()));
            assert_eq!(read(&[&header]), expected, "{text:?}");
        }
        let whole = format!("Basic {}", encoded(b"ann:secret"));
        assert_eq!(read(&[&whole, &whole]), None, "two");
        let latin_1 = format!("Basic {}", encoded(b"jos\xe9:x"));
        for wrong in [
            "",
            "Basic",
            "Basic ",
            "Basic !",
            "Bearer YW5uOng=",
            "YW5uOng=",
            &latin_1,
        ] {
            assert_eq!(read(&[wrong]), None, "{wrong}");
        }
        assert_eq!(read(&[]), None);
    }
}
