//! The start page: what runs here, how to connect, where the API is, what to type next.
//!
//! Plain HTML with one style, no script and nothing from outside; the content policy allows only
//! that. It is shown without a login and so holds nothing that a client of the submission ports
//! would not learn anyway.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::response::{Html, IntoResponse};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

use super::Api;
use super::connection::{Certificate, Connection};

const STYLE: &str = "\
:root{color-scheme:light dark;font:1rem/1.5 system-ui,sans-serif}\
body{max-width:44rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}\
table{border-collapse:collapse}th,td{text-align:left;padding:.2rem 1.5rem .2rem 0;vertical-align:top}\
code,pre{font-family:ui-monospace,monospace}pre{overflow-x:auto}";

/// Nothing may be loaded, run, framed or sent; the one style is known by its digest.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = BASE64_STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    HeaderValue::from_str(&format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    ))
    .expect("base64 and plain words are a header value")
});

/// Shows what runs here.
#[utoipa::path(get, path = "/", operation_id = "show_start_page", tag = "start page", security(()),
    responses((status = 200, description = "What runs here, as a page.", body = String,
        content_type = "text/html")))]
pub(super) async fn show(State(api): State<Arc<Api>>) -> impl IntoResponse {
    let uptime = api.clock.now().since(api.started);
    let page = render(&api.connection.load().shown(), uptime);
    ([(CONTENT_SECURITY_POLICY, POLICY.clone())], Html(page))
}

fn render(connection: &Connection, uptime: Duration) -> String {
    let host = escaped(&connection.host);
    let version = env!("CARGO_PKG_VERSION");
    let uptime = uptime_text(uptime);
    let mut ports = String::new();
    for range in &connection.ports {
        writeln!(
            ports,
            "<tr><td>{range}</td><td>{}</td></tr>",
            range.encryption
        )
        .expect("writing to a string does not fail");
    }
    let recommended = match &connection.recommended {
        Some(recommended) => format!(
            "<p>In a mail client enter host <b>{}</b>, port <b>{}</b>, encryption <b>{}</b>, \
             and the name and password of a user.{}</p>",
            escaped(&recommended.host),
            recommended.port,
            recommended.encryption,
            match connection.certificate {
                Certificate::SelfSigned =>
                    " The certificate is self-signed: the client has to be told to trust it.",
                Certificate::Configured => "",
            }
        ),
        None => "<p>No submission port is open.</p>".to_owned(),
    };
    let login = if connection.plaintext_login {
        "<p>Logins are also taken before TLS.</p>"
    } else {
        "<p>Logins are taken under TLS only.</p>"
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Outpost on {host}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>Outpost {version} on {host}</h1>\n\
         <p>This mail relay has been up for {uptime}. This page shows no secrets and asks for no \
         login; the password of the console is for a later version.</p>\n\
         <h2>Submitting mail</h2>\n{recommended}\n{login}\n\
         <table>\n<tr><th>Ports</th><th>Encryption</th></tr>\n{ports}</table>\n\
         <h2>What to type next</h2>\n\
         <pre>outpost user add --list default --domains example.com\noutpost connection\noutpost queue ls</pre>\n\
         <h2>For programs</h2>\n\
         <table>\n\
         <tr><th>API</th><td><code>/api/v1</code>, described by <a href=\"/api/v1/openapi.json\">openapi.json</a>; \
         it needs <code>Authorization: Bearer TOKEN</code> (<code>outpost admin token</code> prints one)</td></tr>\n\
         <tr><th>Metrics</th><td><a href=\"/metrics\">/metrics</a></td></tr>\n\
         <tr><th>Health</th><td><a href=\"/livez\">/livez</a>, <a href=\"/readyz\">/readyz</a></td></tr>\n\
         </table>\n</main>\n</body>\n</html>\n"
    )
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The two largest units that are not zero: `3 days 4 hours`.
fn uptime_text(uptime: Duration) -> String {
    let seconds = uptime.as_secs();
    let parts = [
        (seconds / 86_400, "day"),
        (seconds / 3_600 % 24, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
    ];
    let shown: Vec<String> = parts
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .take(2)
        .map(|(number, unit)| format!("{number} {unit}{}", if number == 1 { "" } else { "s" }))
        .collect();
    if shown.is_empty() {
        "less than a second".to_owned()
    } else {
        shown.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::connection::{Encryption, PortRange, Recommended};

    #[test]
    fn uptime_is_told_in_the_units_that_matter() {
        let cases = [
            (0, "less than a second"),
            (1, "1 second"),
            (3_661, "1 hour 1 minute"),
            (90_000, "1 day 1 hour"),
            (86_401, "1 day 1 second"),
        ];
        for (seconds, text) in cases {
            assert_eq!(uptime_text(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_hostile_host_name_is_only_text() {
        let host = "<script>alert('x')</script>&\"";
        let page = render(
            &Connection {
                host: host.to_owned(),
                addresses: Vec::new(),
                ports: vec![PortRange {
                    first: 25,
                    last: 26,
                    encryption: Encryption::Starttls,
                }],
                plaintext_login: false,
                mechanisms: Vec::new(),
                certificate: Certificate::SelfSigned,
                recommended: Some(Recommended {
                    host: host.to_owned(),
                    port: 25,
                    encryption: Encryption::Starttls,
                }),
            },
            Duration::ZERO,
        );
        assert!(!page.contains("<script"));
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;"));
        assert!(page.contains("<td>25-26</td><td>STARTTLS</td>"));
    }
}
