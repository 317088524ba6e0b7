//! The console as a browser asks for it: who gets in, what a form has to bring, what hostile text becomes.

use axum::body::Body;
use axum::http::Request;

use super::{Answered, NOW, Surface};
use crate::account::Scope;
use crate::admin::server::Peer;
use crate::message::Class;
use crate::message::header::Carrier;

const PASSWORD: &str = "correct-horse";

/// Somebody with a browser: what it has of cookies goes with each request.
struct Browser<'a> {
    surface: &'a Surface,
    cookie: String,
    /// What forms bring.
    token: String,
}

impl<'a> Browser<'a> {
    fn new(surface: &'a Surface) -> Self {
        Self {
            surface,
            cookie: String::new(),
            token: String::new(),
        }
    }

    /// Logs in as an admin of that role, made for it.
    async fn of(surface: &'a Surface, role: Scope) -> Self {
        let name = format!("the-{role}");
        if surface.api.directory.admin(&name).is_none() {
            let hash = surface.api.auth.hash(PASSWORD).await.unwrap();
            let made = surface
                .api
                .directory
                .create_admin(&name, role, hash, super::NOW)
                .await;
            made.unwrap();
        }
        let mut browser = Self::new(surface);
        let answered = browser.log_in(&name, PASSWORD).await;
        assert_eq!(answered.status, 303, "{}", answered.text);
        browser.token = browser.form_token().await;
        browser
    }

    async fn log_in(&mut self, name: &str, password: &str) -> Answered {
        let body = format!("name={name}&password={password}");
        let answered = self.send("POST /login", &body, &[]).await;
        if let Some(cookie) = cookie_of(&answered) {
            self.cookie = cookie;
        }
        answered
    }

    async fn form_token(&self) -> String {
        let page = self.get("/users").await;
        let field = "name=\"csrf\" value=\"";
        let at = page.text.find(field).unwrap() + field.len();
        page.text[at..].split('"').next().unwrap().to_owned()
    }

    async fn get(&self, path: &str) -> Answered {
        self.send(&format!("GET {path}"), "", &[]).await
    }

    /// Sends a form of a page of this session.
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answered {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        pairs.append_pair("csrf", &self.token);
        pairs.extend_pairs(fields);
        self.send(&format!("POST {path}"), &pairs.finish(), &[])
            .await
    }

    /// Sends a form, and gets the page where it leads.
    async fn done(&self, path: &str, fields: &[(&str, &str)]) -> Answered {
        let answered = self.post(path, fields).await;
        assert_eq!(answered.status, 303, "{path}: {}", answered.text);
        self.get(answered.header("location")).await
    }

    /// Sends the form of a page as it is now, with other fields in it.
    async fn edit(&self, path: &str, fields: &[(&str, &str)]) -> Answered {
        let version = version_in(&self.get(path).await);
        let fields: Vec<_> = fields
            .iter()
            .copied()
            .chain([("version", version.as_str())])
            .collect();
        self.done(path, &fields).await
    }

    /// Sends a form with a file in it.
    async fn send_parts(&self, path: &str, parts: &[(&str, &str)]) -> Answered {
        let mut body = String::new();
        for (name, value) in [("csrf", self.token.as_str())].iter().chain(parts) {
            body.push_str("--edge\r\ncontent-disposition: form-data; name=\"");
            body.push_str(&format!("{name}\"\r\n\r\n{value}\r\n"));
        }
        body.push_str("--edge--\r\n");
        let request = Request::post(path)
            .header("host", "relay.example:8025")
            .header("cookie", &self.cookie)
            .header("content-type", "multipart/form-data; boundary=edge")
            .extension(Peer::new("192.0.2.7:40000".parse().unwrap()))
            .body(Body::from(body));
        self.surface.send(request.unwrap()).await
    }

    async fn send(&self, ask: &str, body: &str, headers: &[(&str, &str)]) -> Answered {
        let (method, path) = ask.split_once(' ').unwrap();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "relay.example:8025")
            .extension(Peer::new("192.0.2.7:40000".parse().unwrap()));
        if !self.cookie.is_empty() {
            request = request.header("cookie", &self.cookie);
        }
        if method == "POST" {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        self.surface.send(request).await
    }
}

/// The version that the form of a page is made of.
fn version_in(page: &Answered) -> String {
    let field = "name=\"version\" value=\"";
    let at = page.text.find(field).unwrap() + field.len();
    page.text[at..].split('"').next().unwrap().to_owned()
}

fn cookie_of(answered: &Answered) -> Option<String> {
    let set = answered.headers.get("set-cookie")?.to_str().unwrap();
    Some(set.split(';').next().unwrap().to_owned())
}

/// Pages that everybody who is logged in sees.
const PAGES: [&str; 11] = [
    "/connection",
    "/refused",
    "/refused/who?address=x%40a.example",
    "/statistics",
    "/statistics?span=year&class=1",
    "/users",
    "/lists",
    "/lists/default",
    "/queue",
    "/policies",
    "/system",
];

/// Pages of admins of role admin.
const PAGES_OF_ADMINS: [&str; 5] = [
    "/users/new",
    "/system/admins",
    "/system/tokens",
    "/system/audit",
    "/system/accounts",
];

#[tokio::test]
async fn nobody_sees_a_page_without_logging_in_and_afterwards_it_goes_on_there() {
    let surface = Surface::start().await;
    let mut browser = Browser::new(&surface);
    for page in PAGES.iter().chain(&PAGES_OF_ADMINS) {
        let answered = browser.get(page).await;
        assert_eq!(answered.status, 303, "{page}");
        let way = answered.header("location");
        assert!(way.starts_with("/login?next="), "{way}");
        assert!(answered.text.is_empty(), "{}", answered.text);
    }
    let hash = surface.api.auth.hash(PASSWORD).await.unwrap();
    let directory = &surface.api.directory;
    let made = directory.create_admin("ann", Scope::Admin, hash, super::NOW);
    made.await.unwrap();
    for (name, password) in [("ann", "wrong"), ("nobody", PASSWORD), ("", "")] {
        let answered = browser.log_in(name, password).await;
        assert_eq!(answered.status, 401);
        assert!(answered.text.contains("Name or password is wrong"));
        assert!(cookie_of(&answered).is_none());
    }
    let form = browser.get("/login?next=%2Fusers%3Fname%3Dx").await;
    assert!(form.text.contains("name=\"next\" value=\"/users?name=x\""));
    let body = format!("name=ANN&password={PASSWORD}&next=%2Fusers");
    let answered = browser.send("POST /login", &body, &[]).await;
    assert_eq!(
        (answered.status, answered.header("location")),
        (303, "/users")
    );
    let set = answered.header("set-cookie");
    assert!(
        set.ends_with("; Path=/; HttpOnly; SameSite=Strict"),
        "{set}"
    );
    browser.cookie = cookie_of(&answered).unwrap();
    for page in PAGES.iter().chain(&PAGES_OF_ADMINS) {
        let answered = browser.get(page).await;
        assert_eq!(answered.status, 200, "{page}: {}", answered.text);
        assert!(answered.text.starts_with("<!DOCTYPE html>"), "{page}");
    }
    assert_eq!(
        surface.api.directory.admin("ann").unwrap().last_login,
        Some(super::NOW)
    );
}

#[tokio::test]
async fn a_login_gets_a_session_of_its_own_whatever_it_came_with() {
    let surface = Surface::start().await;
    let mut browser = Browser::of(&surface, Scope::Admin).await;
    browser.cookie = "outpost_session=chosen-by-somebody-else".to_owned();
    let before = browser.cookie.clone();
    assert_eq!(browser.get("/users").await.status, 303);
    assert_eq!(browser.log_in("the-admin", PASSWORD).await.status, 303);
    assert_ne!(browser.cookie, before);
    let first = browser.cookie.clone();
    browser.log_in("the-admin", PASSWORD).await;
    assert_ne!(browser.cookie, first);
    // Two could be taken for one another.
    browser.cookie = format!("{}; {first}", browser.cookie);
    assert_eq!(browser.get("/users").await.status, 303);
}

#[tokio::test]
async fn a_session_ends_with_its_login_its_password_or_its_admin() {
    let surface = Surface::start().await;
    let browser = Browser::of(&surface, Scope::Operate).await;
    let other = Browser::of(&surface, Scope::Operate).await;
    let answered = browser.post("/logout", &[]).await;
    assert!(answered.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(browser.get("/users").await.status, 303);
    assert_eq!(other.get("/users").await.status, 200);
    let reset = "POST /api/v1/admins/the-operate/password";
    assert_eq!(surface.ask(reset, None).await.status, 200);
    assert_eq!(other.get("/users").await.status, 303);

    let reader = Browser::of(&surface, Scope::Read).await;
    let gone = surface.ask("DELETE /api/v1/admins/the-read", None).await;
    assert_eq!(gone.status, 200);
    assert_eq!(reader.get("/users").await.status, 303);
}

#[tokio::test]
async fn an_admin_whose_own_password_is_made_anew_goes_on_and_sees_it() {
    let surface = Surface::start().await;
    let browser = Browser::of(&surface, Scope::Admin).await;
    let other = Browser::of(&surface, Scope::Admin).await;
    let page = browser.done("/system/admins/the-admin/password", &[]).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("It is shown this once"));
    assert_eq!(other.get("/users").await.status, 303);
}

#[tokio::test]
async fn a_form_that_does_not_come_from_a_page_of_the_session_changes_nothing() {
    let surface = Surface::start().await;
    let browser = Browser::of(&surface, Scope::Admin).await;
    let other = Browser::of(&surface, Scope::Admin).await;
    let with = |token: &str| format!("csrf={token}&name=eve&list=default&priority=3");
    let good = with(&browser.token);
    for (body, headers) in [
        ("name=eve&list=default".to_owned(), vec![]),
        (with(""), vec![]),
        (with(&other.token), vec![]),
        (good.clone(), vec![("sec-fetch-site", "cross-site")]),
        (good.clone(), vec![("sec-fetch-site", "same-site")]),
        (good.clone(), vec![("origin", "http://evil.example")]),
        (good.clone(), vec![("origin", "http://relay.example:80")]),
        (with("x"), vec![("x-csrf-token", other.token.as_str())]),
    ] {
        let answered = browser.send("POST /users", &body, &headers).await;
        assert_eq!(answered.status, 403, "{body} {headers:?}");
        assert!(answered.text.contains("not one of ours"));
    }
    assert!(surface.api.directory.user("eve").is_none());
    let from_here = [
        ("origin", "http://relay.example:8025"),
        ("sec-fetch-site", "same-origin"),
    ];
    let answered = browser.send("POST /users", &good, &from_here).await;
    assert_eq!(answered.status, 303, "{}", answered.text);
    // Nobody is logged in by somebody else's page.
    let body = format!("name=the-admin&password={PASSWORD}");
    let answered = browser
        .send("POST /login", &body, &[("sec-fetch-site", "cross-site")])
        .await;
    assert_eq!(answered.status, 403);
}

#[tokio::test]
async fn each_role_sees_and_does_what_it_may() {
    let surface = Surface::start().await;
    let reader = Browser::of(&surface, Scope::Read).await;
    let operator = Browser::of(&surface, Scope::Operate).await;
    surface
        .ask(
            "POST /api/v1/users",
            Some(r#"{"name":"ann","note":"hers"}"#),
        )
        .await;
    let id = surface
        .queue("ann", Class::Normal, &["x@b.example"])
        .await
        .to_string();
    for page in PAGES_OF_ADMINS.iter().chain(&["/users/ann/remove"]) {
        for browser in [&reader, &operator] {
            let answered = browser.get(page).await;
            assert_eq!(answered.status, 403, "{page}");
        }
    }
    for browser in [&reader, &operator] {
        let page = browser.get("/users").await.text;
        assert!(!page.contains("hers") && !page.contains("Add a user"));
        let page = browser.get("/users/ann").await.text;
        assert!(!page.contains("hers") && !page.contains("<textarea"));
        for (path, fields) in [
            ("/users", vec![("name", "eve")]),
            ("/users/ann", vec![("name", "eve")]),
            ("/users/ann/password", vec![]),
            ("/users/ann/disable", vec![]),
            ("/users/ann/remove", vec![]),
            ("/lists", vec![("name", "news")]),
            ("/lists/default", vec![("notify", "x@a.example")]),
            ("/system/admins", vec![("name", "eve"), ("role", "admin")]),
            ("/system/tokens", vec![("name", "eve"), ("scope", "admin")]),
        ] {
            assert_eq!(browser.post(path, &fields).await.status, 403, "{path}");
        }
    }
    let act = [
        ("action", "hold"),
        ("selected", id.as_str()),
        ("confirmed", "yes"),
    ];
    assert_eq!(reader.post("/queue/act", &act).await.status, 403);
    assert_eq!(
        reader.post("/queue/stop", &[("kind", "all")]).await.status,
        403
    );
    assert!(
        !reader
            .get("/queue")
            .await
            .text
            .contains("type=\"checkbox\"")
    );
    assert_eq!(operator.post("/queue/act", &act).await.status, 303);
    // A role counts at the next request.
    let change = surface
        .ask(
            "PATCH /api/v1/admins/the-read",
            Some(r#"{"role":"operate"}"#),
        )
        .await;
    assert_eq!(change.status, 200);
    assert_eq!(reader.post("/queue/act", &act).await.status, 303);
}

#[tokio::test]
async fn the_settings_are_shown_with_who_can_log_in_and_who_is_disabled() {
    let surface = Surface::start().await;
    let browser = Browser::of(&surface, Scope::Read).await;
    let page = browser.get("/connection").await;
    assert!(page.text.contains("Nobody yet"), "{}", page.text);
    for (name, active) in [("shop", true), ("old", false)] {
        let body = serde_json::json!({"name": name, "active": active, "authorized_domains": ["a.example"]});
        let made = surface
            .ask("POST /api/v1/users", Some(&body.to_string()))
            .await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    let page = browser.get("/connection").await;
    for (name, state) in [("shop", "active"), ("old", "disabled")] {
        let (_, row) = page
            .text
            .split_once(&format!("href=\"/users/{name}\""))
            .unwrap();
        let (row, _) = row.split_once("</tr>").unwrap();
        assert!(row.contains(state) && row.contains("a.example"), "{row}");
    }
    assert!(!page.text.contains("/users/new"), "who reads makes none");
    let browser = Browser::of(&surface, Scope::Admin).await;
    assert!(browser.get("/connection").await.text.contains("/users/new"));
    for number in 0..20 {
        let body = serde_json::json!({ "name": format!("user-{number}") }).to_string();
        surface.ask("POST /api/v1/users", Some(&body)).await;
    }
    let page = browser.get("/connection").await;
    assert!(page.text.contains("All users"));
    assert_eq!(page.text.matches("href=\"/users/").count(), 20);
}

#[tokio::test]
async fn a_user_is_made_shown_changed_and_removed_in_pages() {
    let surface = Surface::start().await;
    let browser = Browser::of(&surface, Scope::Admin).await;
    let wrong = [
        ("name", "shop"),
        ("list", "default"),
        ("priority", "2"),
        ("authorized_domains", "shop.example, b.example"),
        ("very_high_per_hour", "many"),
    ];
    let answered = browser.post("/users", &wrong).await;
    assert_eq!(answered.status, 422);
    assert!(answered.text.contains("must be a whole number"));
    assert!(answered.text.contains("value=\"shop.example, b.example\""));
    let mut right = wrong;
    right[4].1 = "";
    let answered = browser.post("/users", &right).await;
    assert_eq!(answered.status, 422);
    assert!(
        answered.text.contains("contains a comma"),
        "{}",
        answered.text
    );
    right[3].1 = "shop.example; *.b.example";
    let page = browser.done("/users", &right).await;
    assert!(page.text.contains("The user shop is made"));
    assert!(
        page.text
            .contains("any address at a subdomain of b.example")
    );
    let user = surface.api.directory.user("shop").unwrap();
    assert_eq!(user.priority, Class::High);
    assert_eq!(user.allowance.trusted_carriers(), None);
    let password = "data-copy=\"";
    let shown: Vec<_> = page.text.match_indices(password).collect();
    assert_eq!(shown.len(), 3, "the name twice and the password");
    let again = browser.get("/users/shop").await;
    assert!(!again.text.contains("It is shown this once"));

    let taken = browser.post("/users", &right).await;
    assert_eq!(taken.status, 409);
    assert!(
        taken
            .text
            .contains("there is already a user named &quot;shop&quot;")
    );

    let before = user.password_hash.clone();
    let page = browser.done("/users/shop/password", &[]).await;
    assert!(page.text.contains("shop has a new password"));
    assert_ne!(
        surface.api.directory.user("shop").unwrap().password_hash,
        before
    );
    browser.done("/users/shop/disable", &[]).await;
    assert!(!surface.api.directory.user("shop").unwrap().active);
    browser.done("/users/shop/enable", &[]).await;
    let change = [
        ("name", "shop"),
        ("list", "default"),
        ("priority", "5"),
        ("note", "till\r\nfive"),
        ("authorized_senders", "a@b.example"),
        ("priority_ceiling", "2"),
        ("very_high_per_hour", "20"),
        ("carriers", "these"),
        ("trusted_carriers", "X-Priority"),
        ("trusted_carriers", "HTTP"),
    ];
    let page = browser.edit("/users/shop", &change).await;
    for ticked in ["HTTP", "X-Priority"] {
        let ticked = format!("value=\"{ticked}\" checked");
        assert!(page.text.contains(&ticked), "{ticked}: {}", page.text);
    }
    assert!(!page.text.contains("value=\"Importance\" checked"));
    let allowance = &surface.api.directory.user("shop").unwrap().allowance;
    let trusted = allowance.trusted_carriers().unwrap();
    assert_eq!(trusted, [Carrier::Http, Carrier::XPriority]);
    assert_eq!(allowance.ceiling(), Some(Class::High));
    assert_eq!(allowance.very_high_per_hour(), Some(20));
    let unknown = [("carriers", "these"), ("trusted_carriers", "X-Mood")];
    let refused = browser.post("/users/shop", &unknown).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text.contains("is not a carrier of a priority"));
    let user = surface.api.directory.user("shop").unwrap();
    assert_eq!(
        (user.priority, user.note.as_str()),
        (Class::VeryLow, "till\nfive")
    );
    assert!(user.active && user.rules.domains().is_empty());

    let id = surface.queue("shop", Class::Normal, &["x@b.example"]).await;
    let page = browser.get("/users/shop/remove").await;
    assert!(
        page.text
            .contains("One delivery of this user is in the queue")
    );
    assert_eq!(browser.post("/users/shop/remove", &[]).await.status, 409);
    browser
        .done("/users/shop/remove", &[("queued", "hold")])
        .await;
    assert!(surface.api.directory.user("shop").is_none());
    let message = surface.get(&format!("/api/v1/messages/{id}")).await;
    assert_eq!(message["deliveries"][0]["state"], "held");
}

#[tokio::test]
async fn an_edit_of_what_was_changed_meanwhile_is_shown_beside_it_and_saved_when_it_is_meant() {
    let surface = Surface::start().await;
    let (ann, bob) = (
        Browser::of(&surface, Scope::Admin).await,
        Browser::of(&surface, Scope::Admin).await,
    );
    let settings = |note: &'static str, domains: &'static str| {
        vec![
            ("name", "shop"),
            ("list", "default"),
            ("priority", "3"),
            ("note", note),
            ("authorized_domains", domains),
        ]
    };
    ann.done("/users", &settings("", "a.example")).await;
    let seen = version_in(&ann.get("/users/shop").await);
    bob.edit("/users/shop", &settings("of bob", "b.example"))
        .await;

    let mut edit = settings("of\r\nann", "c.example");
    edit.push(("version", &seen));
    let answered = ann.post("/users/shop", &edit).await;
    assert_eq!(answered.status, 412);
    for text in [
        "shop was changed by somebody else",
        "<td><span class=\"lines\">c.example</span></td><td><span class=\"lines\">b.example</span></td>",
        "<td><span class=\"lines\">of\nann</span></td><td><span class=\"lines\">of bob</span></td>",
        "value=\"c.example\"",
        "of\nann</textarea>",
    ] {
        assert!(answered.text.contains(text), "{text}: {}", answered.text);
    }
    // What both have is no difference.
    assert!(!answered.text.contains("<td><span class=\"lines\">default"));
    let user = surface.api.directory.user("shop").unwrap();
    assert_eq!(user.note, "of bob");
    // A mistake in what is typed keeps the version that it was made of.
    let mut wrong = settings("", "c,d");
    wrong.push(("version", &seen));
    let wrong = ann.post("/users/shop", &wrong).await;
    assert_eq!((wrong.status, version_in(&wrong)), (422, seen.clone()));

    let now = version_in(&answered);
    assert_ne!(now, seen);
    edit.pop();
    edit.push(("version", &now));
    ann.done("/users/shop", &edit).await;
    assert_eq!(surface.api.directory.user("shop").unwrap().note, "of\nann");

    // A form that does not say of which version it is saves nothing.
    edit.pop();
    assert_eq!(ann.post("/users/shop", &edit).await.status, 412);

    let list = "/lists/default";
    let seen = version_in(&ann.get(list).await);
    bob.edit(list, &[("notify", "bob@a.example")]).await;
    let edit = [("notify", "ann@a.example"), ("version", &seen)];
    let answered = ann.post(list, &edit).await;
    assert_eq!(answered.status, 412);
    assert!(
        answered
            .text
            .contains("<span class=\"lines\">bob@a.example</span>")
    );
    assert!(answered.text.contains("value=\"ann@a.example\""));
    let edit = [
        ("notify", "ann@a.example"),
        ("version", &version_in(&answered)),
    ];
    ann.done(list, &edit).await;
    let list = surface.api.directory.list("default").unwrap();
    assert_eq!(list.notify[0].to_string(), "ann@a.example");
}

#[tokio::test]
async fn rules_are_read_back_while_they_are_typed() {
    let surface = Surface::start().await;
    let browser = Browser::of(&surface, Scope::Admin).await;
    for (domains, senders, expected) in [
        ("", "", "may not send as anybody"),
        ("a.example;", "", "any address at a.example"),
        ("*", "", "would allow every domain"),
        ("", "x@a.example,y@a.example", "contains a comma"),
    ] {
        let fields = [
            ("authorized_domains", domains),
            ("authorized_senders", senders),
        ];
        let answered = browser.post("/users/rules", &fields).await;
        assert_eq!(answered.status, 200);
        assert!(
            answered
                .text
                .starts_with("<div class=\"echo\" id=\"rules\"")
        );
        let text = answered.text.to_lowercase();
        assert!(text.contains(expected), "{domains} {senders}: {text}");
    }
}

#[tokio::test]
async fn queued_mail_is_counted_confirmed_changed_and_put_back() {
    let surface = Surface::start().await;
    let browser = Browser::of(&surface, Scope::Operate).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = surface.queue("ann", Class::Low, &["x@b.example"]).await;
        ids.push(id.to_string());
    }
    surface.queue("bob", Class::Normal, &["x@b.example"]).await;
    let page = browser.get("/queue?user=ann").await.text;
    assert_eq!(page.matches("name=\"selected\"").count(), 3);
    assert!(page.contains("sse-connect=\"/live/queue?user=ann\""));
    for id in &ids {
        assert!(page.contains(&format!(">{id}<")), "its id can be read");
    }
    assert!(page.contains("default · ann · "), "{page}");

    let all_of_ann = [("user", "ann"), ("action", "hold")];
    let asked = browser.post("/queue/act", &all_of_ann).await;
    assert_eq!(asked.status, 200);
    assert!(
        asked.text.contains("3 deliveries would be held"),
        "{}",
        asked.text
    );
    let held = async || {
        let page = surface.get("/api/v1/queue?state=held").await;
        page["deliveries"].as_array().unwrap().len()
    };
    assert_eq!(held().await, 0);
    let confirmed = [("user", "ann"), ("action", "hold"), ("confirmed", "yes")];
    let page = browser.done("/queue/act", &confirmed).await;
    assert!(page.text.contains("3 deliveries are held"));
    assert_eq!(held().await, 3);

    // One by one: undone without another question.
    let two = [
        ("action", "release"),
        ("confirmed", "yes"),
        ("selected", &ids[0]),
        ("selected", &ids[1]),
    ];
    let page = browser.done("/queue/act", &two).await;
    assert!(page.text.contains("2 deliveries are released"));
    assert_eq!(held().await, 1);
    let back = [
        ("action", "hold"),
        ("confirmed", "yes"),
        ("selected", &ids[0]),
        ("selected", &ids[1]),
    ];
    browser.done("/queue/act", &back).await;
    assert_eq!(held().await, 3);

    let urgent = [
        ("action", "set-priority"),
        ("priority", "1"),
        ("confirmed", "yes"),
        ("selected", &ids[0]),
    ];
    browser.done("/queue/act", &urgent).await;
    let message = surface.get(&format!("/api/v1/messages/{}", ids[0])).await;
    assert_eq!(message["class"], 1);
    let cancel = [
        ("action", "cancel"),
        ("confirmed", "yes"),
        ("back", "message"),
        ("selected", &ids[0]),
    ];
    let page = browser.done("/queue/act", &cancel).await;
    assert!(page.text.contains("One delivery is cancelled"));
    assert!(page.text.contains("name=\"undo\""));
    let gone = [
        ("action", "hold"),
        ("confirmed", "yes"),
        ("selected", "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
    ];
    assert_eq!(browser.post("/queue/act", &gone).await.status, 404);
    for wrong in [
        vec![("action", "explode")],
        vec![("action", "set-priority"), ("priority", "9")],
        vec![("action", "reschedule"), ("minutes", "soon")],
        vec![("action", "hold"), ("class", "red")],
        vec![("action", "hold"), ("state", "asleep")],
    ] {
        let status = browser.post("/queue/act", &wrong).await.status;
        assert!([404, 422].contains(&status), "{wrong:?}: {status}");
    }
    let page = browser.done("/queue/stop", &[("kind", "all")]).await;
    assert!(page.text.contains("Stopped: everything"));
    let page = browser.done("/queue/start", &[("kind", "all")]).await;
    assert!(page.text.contains("Started: everything"));
}

#[tokio::test]
async fn a_next_hop_a_user_and_a_list_are_stopped_and_started_in_the_page() {
    let surface = Surface::start().await;
    for user in ["ann", "bob"] {
        let body = format!(r#"{{"name": "{user}"}}"#);
        surface.ask("POST /api/v1/users", Some(&body)).await;
    }
    let directory = surface.api.directory.clone();
    let list_of = move |name: &str| directory.user(name).map(|user| user.list.clone());
    surface.api.spool.know_lists(Box::new(list_of));
    let browser = Browser::of(&surface, Scope::Operate).await;
    surface.queue("ann", Class::Low, &["x@b.example"]).await;
    surface.queue("bob", Class::Normal, &["x@c.example"]).await;
    for (kind, name, waits) in [
        ("next_hop", "b.example", "One delivery waits"),
        ("user", "bob", "One delivery waits"),
        ("list", "default", "2 deliveries wait"),
    ] {
        let fields = [("kind", kind), ("name", name)];
        let page = browser.done("/queue/stop", &fields).await.text;
        let what = format!("Stopped: {} {name}", kind.replace('_', " "));
        assert!(page.contains(&format!("{what}. {waits} for it.")), "{page}");
        // Who looks later is told by whom, with the way to start it.
        let page = browser.get("/queue?state=stopped").await.text;
        assert!(page.contains(&format!("{what}, by the-operate since")));
        assert!(page.contains("action=\"/queue/start\""));
        let page = browser.done("/queue/start", &fields).await.text;
        assert!(page.contains(&format!("Started: {} {name}", kind.replace('_', " "))));
        assert!(!page.contains("action=\"/queue/start\""));
    }
    for (kind, name) in [("next_hop", "no hop"), ("list", "none"), ("else", "")] {
        let fields = [("kind", kind), ("name", name)];
        let status = browser.post("/queue/stop", &fields).await.status;
        assert!([404, 422].contains(&status), "{kind} {name}: {status}");
    }
}

#[tokio::test]
async fn the_queue_is_filtered_by_all_that_it_shows() {
    let surface = Surface::start().await;
    let browser = Browser::of(&surface, Scope::Operate).await;
    let id = surface.queue("ann", Class::Low, &["x@b.example"]).await;
    surface.queue("bob", Class::Normal, &["y@c.example"]).await;
    let at = NOW.to_string();
    let (now, later) = (&at[..16], "2900-01-01T00:00");
    let filters = [
        (format!("id={id}"), 1),
        ("list=default".to_owned(), 2),
        ("user=ann".to_owned(), 1),
        ("class=4".to_owned(), 1),
        ("state=waiting".to_owned(), 2),
        ("sender=nobody".to_owned(), 0),
        ("recipient=y@c".to_owned(), 1),
        ("subject=nothing".to_owned(), 0),
        ("domain=b.example".to_owned(), 1),
        ("last_reply=451".to_owned(), 0),
        ("attempts=1".to_owned(), 0),
        (format!("due_from={later}"), 0),
        (format!("due_before={later}&due_from={now}"), 2),
        ("estimate_seconds=3600".to_owned(), 2),
    ];
    for (filter, count) in &filters {
        let page = browser.get(&format!("/queue?{filter}")).await;
        assert_eq!(page.status, 200, "{filter}: {}", page.text);
        assert_eq!(
            page.text.matches("name=\"selected\"").count(),
            *count,
            "{filter}"
        );
        for (name, value) in filter.split('&').filter_map(|part| part.split_once('=')) {
            let is_choice = ["class", "state"].contains(&name);
            let shown = match is_choice {
                true => format!("<option value=\"{value}\" selected"),
                false => format!("name=\"{name}\" value=\"{value}\""),
            };
            assert!(page.text.contains(&shown), "{filter}: {shown}");
        }
    }
    let of_one = browser.get(&format!("/queue?id={id}")).await.text;
    let story = format!("href=\"/messages/{id}\">What happened to message");
    assert!(of_one.contains(&story), "{of_one}");
    let hold = |name, value| [("action", "hold"), ("confirmed", "yes"), (name, value)];
    // What starts within a time is another mail in the next moment: not all that matches is meant, but what is ticked.
    let page = browser.get("/queue?estimate_seconds=3600").await.text;
    let form = page.split("action=\"/queue/act\"").nth(1).unwrap();
    assert!(form.contains("name=\"estimate_seconds\" value=\"3600\""));
    let refused = browser
        .post("/queue/act", &hold("estimate_seconds", "3600"))
        .await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.text.contains("tick what is meant"));
    let none = browser.done("/queue/act", &hold("due_from", later)).await;
    assert!(none.text.contains("0 deliveries are held"), "{}", none.text);
    let both = browser.done("/queue/act", &hold("due_before", later)).await;
    assert!(both.text.contains("2 deliveries are held"), "{}", both.text);
}

#[tokio::test]
async fn a_page_of_the_queue_on_which_nothing_was_found_looks_on_by_itself() {
    let surface = Surface::start().await;
    let browser = Browser::of(&surface, Scope::Operate).await;
    for _ in 0..101 {
        surface.queue("ann", Class::Normal, &["x@b.example"]).await;
    }
    let page = browser.get("/queue?estimate_seconds=0").await.text;
    let next = page.split("rel=\"next\"").next().unwrap();
    let next = next.rsplit("href=\"").next().unwrap();
    let next = next.split('"').next().unwrap();
    assert!(
        next.starts_with("/queue?estimate_seconds=0&amp;cursor="),
        "{next}"
    );
    let looks_on = format!("<div hx-get=\"{next}\" hx-trigger=\"load ");
    assert!(page.contains(&looks_on), "{page}");
    // Where something is there, and where nothing more can be, it stays.
    for path in ["/queue", "/queue?user=nobody"] {
        let page = browser.get(path).await.text;
        assert!(!page.contains("hx-trigger=\"load "), "{path}");
    }
}

/// The fields of the form that takes back what the page tells of.
fn undo_in(page: &Answered) -> Vec<(String, String)> {
    let at = page.text.find("action=\"/queue/act\"").unwrap();
    let form = page.text[at..].split("</form>").next().unwrap();
    let field = |input: &str| {
        let value = |name: &str| {
            let at = input.find(name)? + name.len();
            Some(input[at..].split('"').next()?.to_owned())
        };
        Some((value("name=\"")?, value("value=\"")?))
    };
    let fields = form.split("<input").skip(1).filter_map(field);
    fields.filter(|(name, _)| name != "csrf").collect()
}

#[tokio::test]
async fn an_undo_puts_back_what_the_action_has_changed_and_nothing_else() {
    let surface = Surface::start().await;
    let browser = Browser::of(&surface, Scope::Operate).await;
    let to_b = ["x@b.example"];
    let low = surface.queue("ann", Class::Low, &to_b).await.to_string();
    let high = surface.queue("ann", Class::High, &to_b).await.to_string();
    let held_before = surface.queue("ann", Class::Low, &to_b).await.to_string();
    let one = [
        ("action", "hold"),
        ("confirmed", "yes"),
        ("selected", &held_before),
    ];
    browser.done("/queue/act", &one).await;
    let of = async |id: &str| {
        let message = surface.get(&format!("/api/v1/messages/{id}")).await;
        let state = message["deliveries"][0]["state"]
            .as_str()
            .unwrap()
            .to_owned();
        (state, message["class"].as_u64().unwrap())
    };
    let act = async |action: &str, fields: &[(&str, &str)]| {
        let mut all = vec![("user", "ann"), ("action", action), ("confirmed", "yes")];
        all.extend(fields);
        browser.done("/queue/act", &all).await
    };
    let undo = async |page: &Answered| {
        let fields = undo_in(page);
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        browser.done("/queue/act", &fields).await
    };
    let waiting = |class| ("waiting".to_owned(), class);
    let held = |class| ("held".to_owned(), class);

    // Mail of the same filter that comes in between is left alone, and so is what was held before.
    let page = act("hold", &[]).await;
    assert!(page.text.contains("2 deliveries are held"));
    let later = surface.queue("ann", Class::Low, &to_b).await.to_string();
    let hold_later = [
        ("action", "hold"),
        ("confirmed", "yes"),
        ("selected", &later),
    ];
    browser.done("/queue/act", &hold_later).await;
    let back = undo(&page).await;
    assert!(back.text.contains("2 deliveries are as they were before"));
    assert_eq!(
        (
            of(&low).await,
            of(&high).await,
            of(&held_before).await,
            of(&later).await
        ),
        (waiting(4), waiting(2), held(4), held(4))
    );
    // Once is enough.
    let fields = undo_in(&page);
    let again: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let again = browser.post("/queue/act", &again).await;
    assert_eq!(again.status, 404);
    assert!(again.text.contains("it was undone already"));

    // What is restored is seen again where it was cancelled, and what was held is held.
    let page = act("cancel", &[]).await;
    assert!(page.text.contains("4 deliveries are cancelled"));
    assert!(page.text.contains("Nothing is queued here"));
    let back = undo(&page).await;
    assert_eq!(back.text.matches("name=\"selected\"").count(), 4);
    assert_eq!((of(&low).await, of(&later).await), (waiting(4), held(4)));

    // Each has its own priority again, but where somebody has given another one since.
    let page = act("set-priority", &[("priority", "5")]).await;
    assert!(page.text.contains("4 deliveries have another priority"));
    let urgent = [
        ("action", "set-priority"),
        ("priority", "1"),
        ("confirmed", "yes"),
        ("selected", &later),
    ];
    browser.done("/queue/act", &urgent).await;
    let back = undo(&page).await;
    assert!(back.text.contains("3 deliveries are as they were before"));
    assert_eq!(
        (
            of(&low).await,
            of(&high).await,
            of(&held_before).await,
            of(&later).await
        ),
        (waiting(4), waiting(2), held(4), held(1))
    );

    // One by one it is the same, and what has no way back offers none.
    let two = [
        ("action", "cancel"),
        ("confirmed", "yes"),
        ("selected", low.as_str()),
        ("selected", &high),
    ];
    let page = browser.done("/queue/act", &two).await;
    let back = undo(&page).await;
    assert!(back.text.contains("2 deliveries are as they were before"));
    let page = act("retry", &[]).await;
    assert!(!page.text.contains("name=\"undo\""));
}

#[tokio::test]
async fn hostile_text_is_only_text() {
    let surface = Surface::start().await;
    let browser = Browser::of(&surface, Scope::Admin).await;
    let hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let note = [
        ("name", "eve"),
        ("list", "default"),
        ("priority", "3"),
        ("note", hostile),
    ];
    browser.done("/users", &note).await;
    // Its subject has a tag, its dialogue what would steer a terminal.
    let id = surface.queue("eve", Class::Normal, &["x@b.example"]).await;
    let query = "/queue?subject=%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    let search = "/users?name=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    let message = format!("/messages/{id}");
    let nothing = "/%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    for path in [
        "/users",
        "/users/eve",
        "/queue",
        query,
        search,
        &message,
        nothing,
    ] {
        let page = browser.get(path).await.text;
        for tag in ["<script>", "<img src=x", "<b>", "\u{1b}", "\u{202e}"] {
            assert!(!page.contains(tag), "{path} has {tag:?}: {page}");
        }
    }
    let page = browser.get(&message).await.text;
    assert!(page.contains("Your &lt;b&gt;password&lt;/b&gt;"));
    let refused = [
        ("name", hostile),
        ("list", hostile),
        ("authorized_domains", hostile),
    ];
    let page = browser.post("/users", &refused).await;
    assert_eq!(page.status, 422);
    assert!(!page.text.contains("<script>") && !page.text.contains("<img src=x"));
    let page = browser.log_in_page(hostile).await;
    assert!(!page.contains("<script>") && !page.contains("<img src=x"));
}

impl Browser<'_> {
    /// What a wrong login shows.
    async fn log_in_page(&self, name: &str) -> String {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        pairs.append_pair("name", name).append_pair("password", "x");
        self.send("POST /login", &pairs.finish(), &[]).await.text
    }
}

#[tokio::test]
async fn what_a_page_loads_comes_from_here_and_may_be_kept() {
    let surface = Surface::start().await;
    let browser = Browser::of(&surface, Scope::Read).await;
    let page = browser.get("/connection").await;
    let policy = page.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(
        !page.text.contains("://"),
        "nothing from elsewhere is named"
    );
    assert!(!page.text.contains(" style=") && !page.text.contains("<style"));
    let mut count = 0;
    for (at, _) in page.text.match_indices("\"/assets/") {
        let path = page.text[at + 1..].split('"').next().unwrap();
        let asset = Browser::new(&surface).get(path).await;
        assert_eq!(asset.status, 200, "{path}");
        assert!(asset.header("cache-control").contains("immutable"));
        count += 1;
    }
    assert!(count >= 5, "{count}");
    for path in [
        "/assets/0/console.css",
        "/assets/../../../etc/passwd",
        "/assets/x/..%2f..%2f..%2fetc%2fpasswd",
        "/assets/",
    ] {
        assert_eq!(browser.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_form_or_too_large_is_refused() {
    let surface = Surface::start().await;
    let browser = Browser::of(&surface, Scope::Admin).await;
    let large = format!("csrf={}&note={}", browser.token, "x".repeat(300_000));
    assert_eq!(browser.send("POST /users", &large, &[]).await.status, 413);
    let request = Request::post("/users")
        .header("cookie", &browser.cookie)
        .header("content-type", "application/json")
        .extension(Peer::new("192.0.2.7:40000".parse().unwrap()))
        .body(Body::from("{}"))
        .unwrap();
    assert_eq!(surface.send(request).await.status, 415);
}

#[tokio::test]
async fn guesses_at_admins_are_slowed_and_refused_and_never_those_of_users() {
    tokio::time::pause();
    let surface = Surface::start().await;
    let mut browser = Browser::of(&surface, Scope::Admin).await;
    let mut last = 0;
    for number in 0..12 {
        let guess = format!("wrong-{number}");
        last = browser.log_in("the-admin", &guess).await.status;
    }
    assert_eq!(last, 429);
    // Who is known from there goes on, and nobody else is shut out.
    assert_eq!(browser.log_in("the-admin", PASSWORD).await.status, 303);
    Browser::of(&surface, Scope::Read).await;
}

#[tokio::test]
async fn the_figures_of_the_statistics_are_those_of_the_mail_and_files_have_them_too() {
    let surface = Surface::start().await;
    let browser = Browser::of(&surface, Scope::Read).await;
    for class in [Class::VeryHigh, Class::Normal, Class::Normal] {
        surface
            .queue("ann", class, &["x@b.example", "y@c.example"])
            .await;
    }
    let page = browser.get("/statistics").await.text;
    for figure in [
        "<dt>Accepted</dt><dd>3</dd>",
        "<dt>Sent</dt><dd>0</dd>",
        "<dt>Queued</dt><dd>6</dd>",
        "user=ann\">ann</a></th><td>3</td>",
        "destination=b.example\">b.example</a></th><td>3</td>",
    ] {
        assert!(page.contains(figure), "{figure}: {page}");
    }
    // What it comes to of a list and of a user stands on their pages.
    surface
        .ask("POST /api/v1/users", Some(r#"{"name":"ann"}"#))
        .await;
    for (path, more) in [
        ("/lists/default", "/statistics?list=default&amp;span=month"),
        ("/users/ann", "/statistics?user=ann&amp;span=month"),
    ] {
        let page = browser.get(path).await.text;
        assert!(page.contains("<dt>Accepted</dt><dd>3</dd>"), "{page}");
        assert!(page.contains("<dt>Queued</dt><dd>6</dd>"), "{page}");
        assert!(
            page.contains("<figure class=\"chart\">") && page.contains(more),
            "{page}"
        );
    }
    let file = "/statistics/export?by=user&format=csv";
    let answered = browser.get(file).await;
    assert!(answered.header("content-type").starts_with("text/csv"));
    assert!(
        answered
            .text
            .lines()
            .nth(1)
            .unwrap()
            .starts_with("ann,3,6,0"),
        "{}",
        answered.text
    );
    let wrong = browser.get("/statistics?class=9").await;
    assert_eq!(wrong.status, 422);
}

#[tokio::test]
async fn the_system_page_shows_the_configuration_to_administrators_alone() {
    let surface = Surface::start().await;
    let admin = Browser::of(&surface, Scope::Admin).await;
    let page = admin.get("/system").await.text;
    for text in [
        "The relay takes mail",
        "hostname = &quot;relay.example&quot;",
        "days left",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let reader = Browser::of(&surface, Scope::Read).await;
    let page = reader.get("/system").await.text;
    assert!(!page.contains("hostname = "));
    for path in ["/system/backup", "/system/admins", "/system/tokens"] {
        assert_eq!(reader.get(path).await.status, 403, "{path}");
    }
    assert_eq!(
        admin.get("/system/backup").await.header("content-type"),
        "application/x-tar"
    );
}

/// A form with a file, as a browser sends it.
fn with_component(token: &str, name: &str, component: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for (field, value) in [("csrf", token), ("name", name), ("note", "try")] {
        let part =
            format!("--b\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    body.extend_from_slice(
        b"--b\r\nContent-Disposition: form-data; name=\"component\"; filename=\"x.wasm\"\r\n\
          Content-Type: application/wasm\r\n\r\n",
    );
    body.extend_from_slice(component);
    body.extend_from_slice(b"\r\n--b--\r\n");
    body
}

impl Browser<'_> {
    async fn upload(&self, body: Vec<u8>) -> Answered {
        let request = Request::post("/policies/upload")
            .header("cookie", &self.cookie)
            .header("content-type", "multipart/form-data; boundary=b")
            .extension(Peer::new("192.0.2.7:40000".parse().unwrap()))
            .body(Body::from(body))
            .unwrap();
        self.surface.send(request).await
    }
}

#[tokio::test]
async fn a_component_is_deployed_by_a_form_of_the_session_and_within_its_size() {
    let surface = Surface::start().await;
    let browser = Browser::of(&surface, Scope::Admin).await;
    let reader = Browser::of(&surface, Scope::Read).await;
    let component = vec![b'x'; 400_000];
    let revision = async || {
        let plugins = surface.get("/api/v1/plugins").await;
        plugins["revision"].as_str().unwrap().to_owned()
    };
    let before = revision().await;
    let foreign = with_component(&reader.token, "quota", &component);
    assert_eq!(browser.upload(foreign.clone()).await.status, 403);
    assert_eq!(reader.upload(foreign).await.status, 403);
    let bad = with_component(&browser.token, "quota", b"bad");
    let refused = browser.upload(bad).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    let large = vec![b'x'; crate::plugin::deployed::COMPONENT_OCTETS_MAX + 1];
    let large = with_component(&browser.token, "quota", &large);
    assert_eq!(browser.upload(large).await.status, 413);
    assert_eq!(revision().await, before);

    // Larger than any other form may be.
    let good = with_component(&browser.token, "authorized-senders", &component);
    let answered = browser.upload(good).await;
    assert_eq!(answered.status, 303, "{}", answered.text);
    let page = browser.get("/policies").await.text;
    assert!(page.contains("One version was deployed"), "{page}");
    // What the page before showed is not what there is any more.
    let stale = [("revision", before.as_str())];
    let path = "/policies/authorized-senders/disable";
    assert_eq!(browser.post(path, &stale).await.status, 412);
    let now = revision().await;
    let seen = [("revision", now.as_str())];
    assert_eq!(browser.post(path, &seen).await.status, 303);
    assert_eq!(
        browser
            .post("/policies/authorized-senders/explode", &seen)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn accounts_are_exported_looked_at_and_imported_in_pages() {
    let (from, to) = (Surface::start().await, Surface::start().await);
    from.ask(
        "POST /api/v1/lists",
        Some(r#"{"name":"ops","notify":"x@a.example"}"#),
    )
    .await;
    let shop = r#"{"name":"shop","list":"ops","note":"<b>n</b>","authorized_domains":"a.example"}"#;
    from.ask("POST /api/v1/users", Some(shop)).await;
    let reader = Browser::of(&from, Scope::Read).await;
    assert_eq!(reader.get("/system/accounts/export").await.status, 403);
    let exported = Browser::of(&from, Scope::Admin).await;
    let exported = exported.get("/system/accounts/export").await;
    assert!(
        exported
            .header("content-disposition")
            .contains("accounts.jsonl")
    );
    let lines = exported.text;
    assert!(
        lines.contains("\"shop\"") && !lines.contains("argon2"),
        "{lines}"
    );

    let browser = Browser::of(&to, Scope::Admin).await;
    let path = "/system/accounts";
    let wrong = format!("{lines}{{\"user\":{{\"name\":\"x\",\"priority\":9}}}}\n");
    let refused = browser.send_parts(path, &[("file", &wrong)]).await;
    assert_eq!(refused.status, 422);
    assert!(
        refused.text.contains("line 4: priority"),
        "{}",
        refused.text
    );
    let looked = browser.send_parts(path, &[("file", &lines)]).await;
    assert_eq!(looked.status, 200, "{}", looked.text);
    assert!(looked.text.contains("To be made: 2. To be changed: 0"));
    assert!(!looked.text.contains("<b>n</b>"));
    assert!(to.api.directory.user("shop").is_none());
    let confirmed = [("confirmed", "yes"), ("lines", lines.as_str())];
    let forged = [("csrf", "x"), confirmed[0], confirmed[1]];
    assert_eq!(browser.send_parts(path, &forged).await.status, 403);
    let done = browser.send_parts(path, &confirmed).await;
    assert!(done.text.contains("The import is done"), "{}", done.text);
    assert_eq!(done.text.matches("data-copy=").count(), 1, "one password");
    let shop = to.api.directory.user("shop").unwrap();
    assert_eq!(
        (shop.list.as_str(), shop.note.as_str()),
        ("ops", "<b>n</b>")
    );
    let again = browser.send_parts(path, &confirmed).await;
    assert!(again.text.contains("The import is done") && !again.text.contains("data-copy="));

    let other = r#"{"user":{"name":"shop","priority":1}}"#;
    let looked = browser.send_parts(path, &[("file", other)]).await;
    assert!(
        looked
            .text
            .contains("differs, and is left as it is: priority")
    );
    let update = [("file", other), ("update", "yes"), ("confirmed", "yes")];
    let done = browser.send_parts(path, &update).await;
    assert!(done.text.contains("changed: priority"), "{}", done.text);
    let after = to.api.directory.user("shop").unwrap();
    assert_eq!(after.priority, Class::VeryHigh);
    assert_eq!(after.password_hash, shop.password_hash);
}
