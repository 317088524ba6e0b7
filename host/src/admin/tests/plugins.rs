//! Policy components over HTTP: deployed, enabled, ordered, rolled back, and refused.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::{Answered, NOW, OnePlugin, Surface};
use crate::admin::{Deploy, Deployed, Deploying, NotDeployed};
use crate::plugin::deployed::{Author, Change, Deployments, Kept, Standing};
use crate::plugin::{ComponentSettings, LoadProblem, LoadProblemKind};

/// What is deployed, without anything that runs it. What begins with `bad` does not load.
pub(crate) struct Bench {
    deployments: Deployments,
    configured: Vec<ComponentSettings>,
}

impl Bench {
    pub(crate) fn new(data_dir: &Path) -> Self {
        let bench = Self {
            deployments: Deployments::open(data_dir).unwrap(),
            configured: vec![ComponentSettings::shipped("authorized-senders")],
        };
        bench
            .deployments
            .follow(&bench.configured, &[OnePlugin::status()]);
        bench
    }

    fn made(&self, mut deploying: Deploying) -> Result<Deployed, NotDeployed> {
        let before = self.deployments.standing();
        if !deploying.condition.holds(&before.revision) {
            return Err(NotDeployed::Stale);
        }
        let mut digest = String::new();
        if let Change::Install(install) = &mut deploying.change {
            if install.component.starts_with(b"bad") {
                let problem = |component: &str, kind| LoadProblem {
                    component: Some(component.to_owned()),
                    kind,
                };
                let setting = LoadProblemKind::Setting {
                    key: "per".to_owned(),
                    text: "is not a setting".to_owned(),
                };
                let foreign = LoadProblemKind::ForeignImport {
                    import: "env/x".to_owned(),
                };
                return Err(NotDeployed::Unfit(vec![
                    problem(&install.name, foreign),
                    problem(&install.name, setting),
                    problem("other", LoadProblemKind::Invalid("no component".to_owned())),
                ]));
            }
            install.octets = install.component.len() as u64;
            digest = self.deployments.keep(&install.component).unwrap();
        }
        let author = Author {
            by: &deploying.by,
            at: NOW,
        };
        let plan = self
            .deployments
            .plan(&self.configured, &deploying.change, &digest, author);
        let plan = plan.map_err(NotDeployed::Refused)?;
        let standing = if deploying.dry_run {
            Arc::new(Standing {
                revision: before.revision.clone(),
                ..self.deployments.foresee(&plan, &self.configured)
            })
        } else {
            self.deployments.commit(&plan).unwrap();
            self.deployments
                .follow(&self.configured, &[OnePlugin::status()]);
            self.deployments.standing()
        };
        let status = vec![OnePlugin::status()];
        let asked = status.into_iter().filter(|one| {
            let member = standing.member(&one.name);
            member.is_some_and(|member| member.is_enabled)
        });
        Ok(Deployed {
            changed: plan.changes,
            before: (before, vec![OnePlugin::status()]),
            status: asked.collect(),
            standing,
        })
    }
}

impl Deploy for Bench {
    fn standing(&self) -> Arc<Standing> {
        self.deployments.standing()
    }

    fn kept(&self) -> std::io::Result<Option<Kept>> {
        self.deployments.kept()
    }

    fn deploy(
        &self,
        deploying: Deploying,
    ) -> Pin<Box<dyn Future<Output = Result<Deployed, NotDeployed>> + Send>> {
        Box::pin(std::future::ready(self.made(deploying)))
    }
}

impl Surface {
    /// Deploys octets; `target` is the name, and the query if there is one.
    pub(crate) async fn install(&self, target: &str, component: &'static str) -> Answered {
        let request = Request::builder()
            .method("PUT")
            .uri(format!("/api/v1/plugins/{target}"))
            .header("authorization", format!("Bearer {}", self.admin))
            .header("content-type", "application/wasm");
        self.send(request.body(Body::from(component)).unwrap())
            .await
    }
}

/// Names and states of the components, as `a b (disabled)`.
fn chain(document: &Value) -> String {
    let plugins = document["plugins"].as_array().unwrap().iter();
    let told = plugins.map(|plugin| {
        let name = plugin["name"].as_str().unwrap();
        match plugin["state"].as_str().unwrap() {
            "asked" => name.to_owned(),
            state => format!("{name} ({state})"),
        }
    });
    told.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_component_is_deployed_replaced_rolled_back_and_removed() {
    let surface = Surface::start().await;
    let before = surface.get("/api/v1/plugins").await;
    let first = surface
        .install("quota?setting=per=3&on_failure=skip&note=the+first", "one")
        .await;
    assert_eq!(first.status, 200, "{}", first.text);
    let first_document = first.json();
    assert_eq!(chain(&first_document), "authorized-senders quota");
    assert_eq!(first_document["changed"], true);
    assert_ne!(first_document["revision"], before["revision"]);
    let tag = format!("{}", first_document["revision"]);
    assert_eq!(first.header("etag"), tag, "as the field has it");

    surface.install("quota", "second").await;
    let shown = surface.get("/api/v1/plugins/quota").await;
    assert_eq!(shown["source"], "deployed");
    assert_eq!(shown["configured"], false);
    assert_eq!(shown["version"], 2);
    assert_eq!(
        shown["config"],
        json!({"per": "3"}),
        "what is not said stays"
    );
    assert_eq!(
        shown["versions"],
        json!([
            {
                "version": 1, "octets": 3, "at": NOW.to_string(), "by": "boss", "note": "the first",
                "digest": "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
                "in_force": false, "before": 0,
            },
            {
                "version": 2, "octets": 6, "at": NOW.to_string(), "by": "boss", "note": "",
                "digest": "16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4",
                "in_force": true, "before": 1,
            },
        ])
    );
    let same = surface.install("quota", "second").await.json();
    assert_eq!(same["changed"], false);

    let rollback = "POST /api/v1/plugins/quota/rollback";
    let back = surface.ask(rollback, None).await.json();
    assert_eq!(back["plugins"][1]["version"], 1);
    let none = surface.ask(rollback, None).await;
    assert_eq!(none.status, 409, "{}", none.text);
    let forth = surface
        .ask(rollback, Some(r#"{"digest":"16367AAC"}"#))
        .await
        .json();
    assert_eq!(forth["plugins"][1]["version"], 2);
    for (body, field) in [
        (r#"{"digest":"16367"}"#, "digest"),
        (r#"{"digest":"00000000"}"#, "digest"),
        (r#"{"version":0}"#, "version"),
        (r#"{"version":1,"digest":"16367aac"}"#, "digest"),
    ] {
        let refused = surface.ask(rollback, Some(body)).await;
        assert_eq!(
            (refused.status, refused.fields()),
            (422, vec![field.to_owned()])
        );
    }

    let removed = surface.ask("DELETE /api/v1/plugins/quota", None).await;
    assert_eq!(chain(&removed.json()), "authorized-senders");
    let gone = surface.ask("DELETE /api/v1/plugins/quota", None).await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn one_that_the_configuration_names_is_overlaid_and_comes_back() {
    let surface = Surface::start().await;
    let name = "authorized-senders";
    let remove = format!("DELETE /api/v1/plugins/{name}");
    let refused = surface.ask(&remove, None).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert!(refused.text.contains("stands in the configuration"));
    surface.install(name, "mine").await;
    let shown = surface.get(&format!("/api/v1/plugins/{name}")).await;
    assert_eq!(
        (&shown["source"], &shown["version"]),
        (&json!("deployed"), &json!(1))
    );
    assert_eq!(shown["configured"], true);
    let back = format!("POST /api/v1/plugins/{name}/rollback");
    for body in [None, Some(r#"{"version":1}"#), Some(r#"{"version":0}"#)] {
        let done = surface.ask(&back, body).await.json();
        let is_configured = body.is_none_or(|body| body.contains('0'));
        let source = if is_configured { "shipped" } else { "deployed" };
        assert_eq!(done["plugins"][0]["source"], source, "{body:?}");
    }
    assert_eq!(surface.ask(&remove, None).await.status, 200);
    let shown = surface.get(&format!("/api/v1/plugins/{name}")).await;
    assert_eq!(shown["versions"], json!([]));
}

#[tokio::test]
async fn who_disables_the_last_one_that_decides_about_senders_is_warned() {
    let surface = Surface::start().await;
    let ask = |action: &str| format!("POST /api/v1/plugins/authorized-senders/{action}");
    assert_eq!(surface.get("/api/v1/plugins").await["warning"], Value::Null);
    let tried = surface.ask(&ask("disable?dry_run=true"), None).await.json();
    let disabled = surface.ask(&ask("disable"), None).await.json();
    for (answer, is_dry) in [(&tried, true), (&disabled, false)] {
        assert_eq!(answer["dry_run"], is_dry);
        assert_eq!(answer["changed"], true);
        assert_eq!(chain(answer), "authorized-senders (disabled)");
        let warning = answer["warning"].as_str().unwrap();
        assert!(warning.contains("every sender is refused"), "{warning}");
    }
    assert_ne!(tried["revision"], disabled["revision"]);
    // What it is stays known while nobody asks it.
    assert_eq!(disabled["plugins"][0]["questions"][0]["question"], "sender");
    assert!(surface.get("/api/v1/plugins").await["warning"].is_string());
    let again = surface.ask(&ask("disable"), None).await.json();
    assert_eq!(again["changed"], false);
    let enabled = surface.ask(&ask("enable"), None).await.json();
    assert_eq!(enabled["warning"], Value::Null);
}

#[tokio::test]
async fn all_have_a_place_in_an_order() {
    let surface = Surface::start().await;
    surface.install("quota?position=1", "one").await;
    surface.install("hours", "two").await;
    let order = |names: &[&str]| {
        let body = json!({ "order": names }).to_string();
        let surface = &surface;
        async move { surface.ask("PUT /api/v1/plugins/order", Some(&body)).await }
    };
    let listed = surface.get("/api/v1/plugins").await;
    assert_eq!(chain(&listed), "quota authorized-senders hours");
    let done = order(&["hours", "authorized-senders", "quota"]).await;
    assert_eq!(chain(&done.json()), "hours authorized-senders quota");
    for (names, text) in [
        (&["hours", "quota"][..], "authorized-senders has none"),
        (&["hours", "quota", "no"], "there is no component no"),
        (&["hours", "hours"], "hours stands there twice"),
    ] {
        let refused = order(names).await;
        assert_eq!(refused.fields(), ["order"]);
        assert!(refused.text.contains(text), "{}", refused.text);
    }
    for (target, field) in [("new?position=5", "position"), ("order?position=1", "")] {
        let refused = surface.install(target, "x").await;
        if field.is_empty() {
            // The path is another one.
            assert_eq!(refused.status, 422, "{}", refused.text);
        } else {
            assert_eq!(
                (refused.status, refused.fields()),
                (422, vec![field.to_owned()])
            );
        }
    }
}

#[tokio::test]
async fn a_change_is_made_to_what_was_seen_or_not_at_all() {
    let surface = Surface::start().await;
    let disable = |tag: String| {
        let request = Request::builder()
            .method("POST")
            .uri("/api/v1/plugins/authorized-senders/disable")
            .header("authorization", format!("Bearer {}", surface.admin))
            .header("if-match", tag);
        surface.send(request.body(Body::empty()).unwrap())
    };
    let seen = surface.ask("GET /api/v1/plugins", None).await;
    let tag = seen.header("etag").to_owned();
    surface.install("quota", "one").await;
    let stale = disable(tag).await;
    assert_eq!(stale.status, 412, "{}", stale.text);
    assert_eq!(
        stale.json()["type"],
        "urn:outpost:problem:changed-meanwhile"
    );
    let listed = surface.get("/api/v1/plugins").await;
    assert_eq!(chain(&listed), "authorized-senders quota");
    let tag = format!("\"other\", {}", listed["revision"]);
    assert_eq!(disable(tag).await.status, 200);
}

#[tokio::test]
async fn what_does_not_load_is_refused_with_every_problem() {
    let surface = Surface::start().await;
    let before = surface.get("/api/v1/plugins").await;
    let refused = surface.install("quota", "bad").await;
    assert_eq!(refused.status, 422);
    assert_eq!(
        refused.json()["type"],
        "urn:outpost:problem:invalid-component"
    );
    assert_eq!(
        refused.fields(),
        ["component", "setting.per", "plugins.other"]
    );
    assert!(
        refused.text.contains("it imports env/x"),
        "{}",
        refused.text
    );
    assert_eq!(surface.get("/api/v1/plugins").await, before);
}

#[tokio::test]
async fn everything_that_is_wrong_with_what_is_said_about_a_component_is_told() {
    let surface = Surface::start().await;
    let refused = surface
        .install(
            "x?on_failure=accept&wasi=full&reuse=0&position=0&dry_run=yes&setting=a&setting=b=1\
             &setting=b=2&note=a%0Ab&no=1",
            "one",
        )
        .await;
    assert_eq!(
        refused.fields(),
        [
            "on_failure",
            "wasi",
            "reuse",
            "position",
            "dry_run",
            "setting",
            "setting",
            "note",
            "no"
        ]
    );
    let put = |media: &'static str, coding: &'static str| {
        let request = Request::builder()
            .method("PUT")
            .uri("/api/v1/plugins/x")
            .header("authorization", format!("Bearer {}", surface.admin))
            .header("content-type", media)
            .header("content-encoding", coding);
        surface.send(request.body(Body::from("one")).unwrap())
    };
    assert_eq!(put("application/json", "identity").await.status, 415);
    assert_eq!(put("application/wasm", "gzip").await.status, 415);
    assert_eq!(put("Application/WASM", "identity").await.status, 200);
}

#[tokio::test]
async fn a_component_that_never_ends_is_read_no_further_than_the_largest() {
    let surface = Surface::start().await;
    let request = |length: Option<&str>, body: Body| {
        let mut request = Request::builder()
            .method("PUT")
            .uri("/api/v1/plugins/x")
            .header("authorization", format!("Bearer {}", surface.admin))
            .header("content-type", "application/wasm");
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        request.body(body).unwrap()
    };
    let endless = Body::new(super::surface::Endless);
    let refused = surface.send(request(None, endless)).await;
    assert_eq!(refused.status, 413);
    assert!(refused.text.contains("at most 33554432 octets"));
}

#[tokio::test]
async fn values_of_settings_are_for_those_who_may_change_them() {
    let surface = Surface::start().await;
    surface.install("quota?setting=key=secret", "one").await;
    for (token, value) in [
        (&surface.admin, json!("secret")),
        (&surface.operate, Value::Null),
        (&surface.read, Value::Null),
    ] {
        for ask in ["GET /api/v1/plugins/quota", "GET /api/v1/plugins"] {
            let answered = surface.call(token, ask, None).await;
            assert_eq!(answered.status, 200);
            assert_eq!(answered.text.contains("secret"), !value.is_null());
            assert!(answered.text.contains("\"key\""), "{}", answered.text);
        }
    }
    let missing = surface.ask("GET /api/v1/plugins/no", None).await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn the_audit_log_has_the_chain_before_and_after_each_deployment() {
    let surface = Surface::start().await;
    let told = async || {
        let entries = surface.get("/api/v1/audit?limit=1").await;
        let entry = entries["entries"][0].clone();
        let side = |side: &str| {
            let chain = entry[side]["chain"].as_array().cloned().unwrap_or_default();
            let short = |one: &Value| {
                let text = one.as_str().unwrap().to_owned();
                let mut words: Vec<_> = text.split(' ').map(str::to_owned).collect();
                assert!(
                    words[1].bytes().all(|b| b.is_ascii_hexdigit()) && words[1].len() >= 16,
                    "{text}"
                );
                words[1].truncate(4);
                words.join(" ")
            };
            chain.iter().map(short).collect::<Vec<_>>().join(", ")
        };
        (
            entry["action"].as_str().unwrap().to_owned(),
            side("before"),
            side("after"),
        )
    };
    let post = async |path: &str| {
        surface
            .ask(&format!("POST /api/v1/plugins/{path}"), None)
            .await
    };
    assert_eq!(surface.install("mine", "one").await.status, 200);
    let (action, before, installed) = told().await;
    assert_eq!(action, "install-plugin");
    assert!(
        !before.contains("mine") && installed.contains(", mine "),
        "{before} -> {installed}"
    );
    assert_eq!(post("mine/disable").await.status, 200);
    let (action, before, after) = told().await;
    assert_eq!((action.as_str(), &before), ("disable-plugin", &installed));
    assert_eq!(after, format!("{installed} (disabled)"));
    // What changes nothing, or is only tried, leaves no chain behind.
    assert_eq!(post("mine/enable?dry_run=true").await.status, 200);
    assert_eq!(told().await.0, "disable-plugin");
}
