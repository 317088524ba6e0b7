//! What a request to the console brings with it: whose session it is, in which language, and for a form that it
//! comes from a page of that session.
//!
//! A form without the token of its session, or one that the browser says comes from elsewhere, changes nothing. The cookie
//! is sent by browsers only with requests that begin on our own pages (`SameSite=Strict`) and is seen by no script.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{ACCEPT_LANGUAGE, CONTENT_TYPE, COOKIE, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue};

use super::fields::Fields;
use super::refusal::Refusal;
use super::session::{self, Notice, Standing};
use super::texts::Texts;
use crate::account::{Admin, Scope};
use crate::admin::Api;
use crate::admin::access::{Administrator, Caller, Operator, Reader};
use crate::admin::audit::Deed;
use crate::admin::problem::{Kind, Problem};
use crate::admin::server::Peer;
use crate::directory::Login;

/// The name of the cookie. It is bound to the host where TLS is (RFC 6265bis §4.1.3).
const COOKIE_NAME: &str = "outpost_session";
const SECURE_COOKIE_NAME: &str = "__Host-outpost_session";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const X_CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");
pub(super) const HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");

/// The field of a form that has the token.
pub(super) const FORM_TOKEN: &str = "csrf";

/// Somebody who is logged in.
#[derive(Clone)]
pub(super) struct Visitor {
    pub(super) api: Arc<Api>,
    pub(super) admin: Arc<Admin>,
    pub(super) texts: &'static Texts,
    /// What forms of this session bring.
    pub(super) form_token: String,
    /// Where this is, for the way back and the mark in the navigation.
    pub(super) path: String,
    secret: String,
}

impl Visitor {
    /// What stands in the query of the address, as a form of the page has sent it.
    pub(super) fn asked(&self) -> Fields {
        let query = self.path.split_once('?').map(|(_, query)| query);
        Fields::read(query.unwrap_or_default().as_bytes())
    }

    /// The admin as a caller of the API.
    pub(super) fn caller(&self) -> Caller {
        Caller {
            name: self.admin.name.clone(),
            scope: self.admin.role,
        }
    }

    /// Whether the admin's role reaches as far.
    pub(super) fn may(&self, needed: Scope) -> bool {
        self.admin.role.covers(needed)
    }

    pub(super) fn reader(&self) -> Reader {
        Reader(self.caller())
    }

    /// As who may act on the queue.
    pub(super) fn operator(&self) -> Result<Operator, Problem> {
        self.reaches(Scope::Operate).map(Operator)
    }

    /// As who may do everything.
    pub(super) fn administrator(&self) -> Result<Administrator, Problem> {
        self.reaches(Scope::Admin).map(Administrator)
    }

    fn reaches(&self, needed: Scope) -> Result<Caller, Problem> {
        if self.may(needed) {
            return Ok(self.caller());
        }
        let detail = format!(
            "this needs an admin of role {needed}; {} has role {}",
            self.admin.name, self.admin.role
        );
        Err(Problem::new(Kind::Forbidden, detail))
    }

    /// Keeps what is to be told on the next page.
    pub(super) fn tell(&self, notice: Notice) {
        self.api.sessions.tell(&self.secret, notice);
    }

    /// Refuses a form that did not bring what its session gave out.
    pub(super) fn check_form_token(&self, brought: &str) -> Result<(), Problem> {
        let standing = self.api.sessions.find(&self.secret, self.api.clock.now());
        match standing.is_some_and(|standing| session::is_form_token(&standing, brought)) {
            true => Ok(()),
            false => {
                let text = "the form is not from a page of this session: load the page again, then send it";
                Err(Problem::new(Kind::NotFromHere, text))
            }
        }
    }

    /// Whether the session still stands, which is not used by asking.
    pub(super) fn still_stands(&self) -> bool {
        let sessions = &self.api.sessions;
        let standing = sessions.look_at(&self.secret, self.api.clock.now());
        standing.is_some_and(|standing| still_stands(&self.api, &standing).is_some())
    }

    /// The session goes on though the admin's own password has just been made anew.
    pub(super) fn begin_anew(&self) -> Result<(), Problem> {
        let admin = self.api.directory.admin(&self.admin.name);
        let admin = admin.ok_or_else(|| Problem::not_found("such admin"))?;
        self.api.sessions.renew(&self.secret, &admin);
        Ok(())
    }

    pub(super) fn take_notices(&self) -> Vec<Notice> {
        self.api.sessions.take_notices(&self.secret)
    }

    /// Ends the session.
    pub(super) fn leave(&self) {
        self.api.sessions.end(&self.secret);
    }
}

impl FromRequestParts<Arc<Api>> for Visitor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Refusal> {
        let texts = texts(&parts.headers);
        let path = parts.uri.path_and_query();
        let path = path.map_or("/", |path| path.as_str()).to_owned();
        let is_in_page = parts.headers.contains_key(HX_REQUEST);
        let refused = || Refusal::LogIn {
            path: path.clone(),
            is_in_page,
        };
        let secret = cookie(parts).ok_or_else(refused)?;
        let standing = api.sessions.find(secret, api.clock.now());
        let standing = standing.ok_or_else(refused)?;
        let Some(admin) = still_stands(api, &standing) else {
            api.sessions.end(secret);
            return Err(refused());
        };
        if let Some(deed) = parts.extensions.get::<Deed>() {
            deed.note(|noted| {
                noted.by = Some(admin.name.clone());
                noted.login = Some(Login::Console);
            });
        }
        Ok(Self {
            secret: secret.to_owned(),
            api: Arc::clone(api),
            admin,
            texts,
            form_token: standing.form_token,
            path,
        })
    }
}

/// The admin of a session, unless the login of then is none any more.
fn still_stands(api: &Api, standing: &Standing) -> Option<Arc<Admin>> {
    let admin = api.directory.admin(&standing.admin)?;
    (admin.credential_epoch == standing.credential_epoch).then_some(admin)
}

/// A form that was sent from one of our pages.
pub(super) struct Submitted {
    pub(super) visitor: Visitor,
    pub(super) fields: Fields,
    pub(super) deed: Deed,
}

impl FromRequest<Arc<Api>> for Submitted {
    type Rejection = Refusal;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, api).await?;
        let refused = |problem| Refusal::problem(&visitor, problem);
        is_from_here(&parts.headers).map_err(refused)?;
        let deed = parts.extensions.get::<Deed>().cloned().unwrap_or_default();
        let brought = parts.headers.get(X_CSRF_TOKEN).cloned();
        let fields = fields(Request::from_parts(parts, body), api)
            .await
            .map_err(refused)?;
        let brought = brought.as_ref().and_then(|value| value.to_str().ok());
        let brought = brought.unwrap_or_else(|| fields.text(FORM_TOKEN));
        visitor.check_form_token(brought).map_err(refused)?;
        Ok(Self {
            visitor,
            fields,
            deed,
        })
    }
}

/// Reads a form; bodies of other kinds are none.
pub(super) async fn fields(request: Request, api: &Arc<Api>) -> Result<Fields, Problem> {
    let declared = request.headers().get(CONTENT_TYPE);
    let declared = declared.and_then(|value| value.to_str().ok());
    let declared = declared.and_then(|value| value.split(';').next());
    let is_form = declared.is_some_and(|declared| {
        declared
            .trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    });
    if !is_form {
        let text = "send a form, as the pages do";
        return Err(Problem::new(Kind::UnsupportedMediaType, text));
    }
    let body = Bytes::from_request(request, api).await;
    let body = body.map_err(crate::admin::extract::unread_body)?;
    Ok(Fields::read(&body))
}

/// Refuses what the browser says comes from a page elsewhere (Fetch Metadata; RFC 6454 §7).
pub(super) fn is_from_here(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let is_same_site = |site: &str| matches!(site, "same-origin" | "none");
    let is_ours = |origin: &str| {
        let host = origin.split_once("://").map_or(origin, |(_, host)| host);
        text(&HOST).is_some_and(|ours| ours.eq_ignore_ascii_case(host))
    };
    // An origin that a browser keeps to itself is judged by where it says that it comes from.
    let origin = text(&ORIGIN).filter(|origin| *origin != "null");
    if text(&SEC_FETCH_SITE).is_none_or(is_same_site) && origin.is_none_or(is_ours) {
        return Ok(());
    }
    let text = "the form comes from a page elsewhere: nothing was done";
    Err(Problem::new(Kind::NotFromHere, text))
}

/// The words for whoever asks.
pub(super) fn texts(headers: &HeaderMap) -> &'static Texts {
    let accepted = headers.get(ACCEPT_LANGUAGE);
    Texts::wanted(accepted.and_then(|value| value.to_str().ok()))
}

/// The secret in the cookie; none where there are two.
fn cookie(parts: &Parts) -> Option<&str> {
    let name = cookie_name(is_encrypted(parts));
    let headers = parts.headers.get_all(COOKIE).iter();
    let pairs = headers
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'));
    let mut ours = pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(given, _)| *given == name);
    let (_, secret) = ours.next()?;
    ours.next().is_none().then_some(secret)
}

const fn cookie_name(encrypted: bool) -> &'static str {
    match encrypted {
        true => SECURE_COOKIE_NAME,
        false => COOKIE_NAME,
    }
}

fn is_encrypted(parts: &Parts) -> bool {
    let peer = parts.extensions.get::<Peer>();
    peer.is_some_and(|peer| peer.encrypted)
}

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Self::of(&parts.extensions)
    }
}

/// How a client is reached and whether what it sends is protected, for a login.
pub(super) struct Client {
    pub(super) address: IpAddr,
    encrypted: bool,
}

impl Client {
    pub(super) fn of(extensions: &Extensions) -> Result<Self, Problem> {
        let peer = extensions.get::<Peer>();
        let unknown = || Problem::new(Kind::Internal, "it is not known whose request this is");
        let peer = peer.ok_or_else(unknown)?;
        Ok(Self {
            address: peer.address.ip(),
            encrypted: peer.encrypted,
        })
    }

    /// What gives a browser its session, or with nothing takes it away.
    pub(super) fn set_cookie(&self, secret: &str) -> HeaderValue {
        let name = cookie_name(self.encrypted);
        let secure = if self.encrypted { "; Secure" } else { "" };
        let age = if secret.is_empty() { "; Max-Age=0" } else { "" };
        HeaderValue::from_str(&format!(
            "{name}={secret}; Path=/; HttpOnly; SameSite=Strict{secure}{age}"
        ))
        .expect("base64 and plain words are a header value")
    }
}
