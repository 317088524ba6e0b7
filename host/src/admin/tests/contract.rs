//! The API is what its description says: routes, scopes, statuses and shapes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Surface;
use crate::message::Class;

/// A valid request for each operation, in an order in which all of them succeed.
const REQUESTS: &[(&str, &str, &str)] = &[
    // Operation, path as called, body.
    ("GET /livez", "/livez", ""),
    ("GET /readyz", "/readyz", ""),
    ("GET /metrics", "/metrics", ""),
    ("GET /api/v1/connection", "/api/v1/connection", ""),
    ("GET /api/v1/plugins", "/api/v1/plugins", ""),
    (
        "GET /api/v1/plugins/{plugin}",
        "/api/v1/plugins/authorized-senders",
        "",
    ),
    (
        "POST /api/v1/plugins/{plugin}/rollback",
        "/api/v1/plugins/authorized-senders/rollback",
        "{}",
    ),
    (
        "POST /api/v1/plugins/{plugin}/disable",
        "/api/v1/plugins/authorized-senders/disable",
        "",
    ),
    (
        "POST /api/v1/plugins/{plugin}/enable",
        "/api/v1/plugins/authorized-senders/enable",
        "",
    ),
    (
        "PUT /api/v1/plugins/order",
        "/api/v1/plugins/order",
        r#"{"order":["authorized-senders"]}"#,
    ),
    (
        "DELETE /api/v1/plugins/{plugin}",
        "/api/v1/plugins/authorized-senders",
        "",
    ),
    (
        "POST /api/v1/plugins/{plugin}/reset",
        "/api/v1/plugins/authorized-senders/reset",
        "",
    ),
    ("POST /api/v1/reload", "/api/v1/reload", ""),
    ("GET /api/v1/alerts", "/api/v1/alerts", ""),
    ("POST /api/v1/alerts/test", "/api/v1/alerts/test", ""),
    (
        "POST /api/v1/alerts/{alert}/acknowledge",
        "/api/v1/alerts/3/acknowledge",
        "",
    ),
    (
        "POST /api/v1/lists",
        "/api/v1/lists",
        r#"{"name":"ops","notify":["a@x.example"]}"#,
    ),
    ("GET /api/v1/lists", "/api/v1/lists", ""),
    ("GET /api/v1/lists/{list}", "/api/v1/lists/ops", ""),
    (
        "PATCH /api/v1/lists/{list}",
        "/api/v1/lists/ops",
        r#"{"notify":"b@x.example"}"#,
    ),
    (
        "POST /api/v1/users",
        "/api/v1/users",
        r#"{"name":"u","authorized_domains":"a.example"}"#,
    ),
    ("GET /api/v1/users", "/api/v1/users", ""),
    ("GET /api/v1/users/{user}", "/api/v1/users/u", ""),
    (
        "PATCH /api/v1/users/{user}",
        "/api/v1/users/u",
        r#"{"priority":1}"#,
    ),
    (
        "POST /api/v1/users/{user}/password",
        "/api/v1/users/u/password",
        "",
    ),
    ("GET /api/v1/accounts", "/api/v1/accounts", ""),
    (
        "POST /api/v1/accounts",
        "/api/v1/accounts",
        r#"{"lines":"{\"user\":{\"name\":\"imported\"}}"}"#,
    ),
    ("GET /api/v1/queue", "/api/v1/queue", ""),
    (
        "GET /api/v1/statistics",
        "/api/v1/statistics?by=day,class",
        "",
    ),
    ("GET /api/v1/messages/{id}", "/api/v1/messages/{id}", ""),
    (
        "POST /api/v1/queue/{action}",
        "/api/v1/queue/hold",
        r#"{"all":true}"#,
    ),
    ("POST /api/v1/queue/stop", "/api/v1/queue/stop", "{}"),
    ("POST /api/v1/queue/start", "/api/v1/queue/start", "{}"),
    (
        "GET /api/v1/users/{user}/senders",
        "/api/v1/users/u/senders?as=x@b.example",
        "",
    ),
    (
        "GET /api/v1/senders",
        "/api/v1/senders?address=x@b.example",
        "",
    ),
    ("GET /api/v1/refusals", "/api/v1/refusals?limit=1", ""),
    (
        "GET /api/v1/refusals/{refusal}",
        "/api/v1/refusals/{refusal}",
        "",
    ),
    (
        "POST /api/v1/refusals/{refusal}/authorize",
        "/api/v1/refusals/{refusal}/authorize",
        r#"{"as":"sender","dry_run":true}"#,
    ),
    (
        "DELETE /api/v1/refusals/{refusal}",
        "/api/v1/refusals/{refusal}",
        "",
    ),
    (
        "DELETE /api/v1/users/{user}",
        "/api/v1/users/u?queued=cancel",
        "",
    ),
    ("DELETE /api/v1/lists/{list}", "/api/v1/lists/ops", ""),
    (
        "POST /api/v1/tokens",
        "/api/v1/tokens",
        r#"{"name":"t","scope":"read"}"#,
    ),
    ("GET /api/v1/tokens", "/api/v1/tokens", ""),
    ("DELETE /api/v1/tokens/{name}", "/api/v1/tokens/t", ""),
    ("GET /api/v1/audit", "/api/v1/audit", ""),
    ("GET /api/v1/system", "/api/v1/system", ""),
    ("GET /api/v1/backup", "/api/v1/backup", ""),
    (
        "POST /api/v1/admins",
        "/api/v1/admins",
        r#"{"name":"ann","role":"operate"}"#,
    ),
    ("GET /api/v1/admins", "/api/v1/admins", ""),
    ("GET /api/v1/admins/{name}", "/api/v1/admins/ann", ""),
    (
        "PATCH /api/v1/admins/{name}",
        "/api/v1/admins/ann",
        r#"{"role":"read"}"#,
    ),
    (
        "POST /api/v1/admins/{name}/password",
        "/api/v1/admins/ann/password",
        "",
    ),
    ("DELETE /api/v1/admins/{name}", "/api/v1/admins/ann", ""),
];

/// The operations that take no JSON, the first no token either; `submission` and `plugins` show what they answer.
const OCTETS: [&str; 2] = ["POST /api/v1/messages", "PUT /api/v1/plugins/{plugin}"];

pub(super) async fn described(surface: &Surface) -> Value {
    let answered = surface.call("", "GET /api/v1/openapi.json", None).await;
    assert_eq!(answered.status, 200);
    assert_eq!(answered.header("content-type"), "application/json");
    answered.json()
}

pub(super) fn operation<'a>(document: &'a Value, name: &str) -> &'a Value {
    let (method, path) = name.split_once(' ').unwrap();
    &document["paths"][path][method.to_lowercase()]
}

#[tokio::test]
async fn the_description_lists_every_operation_and_no_other() {
    let surface = Surface::start().await;
    let document = described(&surface).await;
    let mut listed = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            listed.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let known: BTreeSet<String> = REQUESTS
        .iter()
        .map(|(operation, _, _)| (*operation).to_owned())
        .chain(OCTETS.map(str::to_owned))
        .collect();
    assert_eq!(listed, known);
    // And what the router itself knows: each path has the methods of the description.
    for path in document["paths"].as_object().unwrap().keys() {
        let called = path.replace("{action}", "hold").replace(['{', '}'], "");
        let refused = surface.ask(&format!("TRACE {called}"), None).await;
        let allowed: BTreeSet<String> = refused
            .header("allow")
            .split(',')
            .filter(|method| *method != "HEAD")
            .map(|method| format!("{method} {path}"))
            .collect();
        let listed: BTreeSet<String> = listed
            .iter()
            .filter(|name| name.ends_with(&format!(" {path}")))
            .cloned()
            .collect();
        assert_eq!(allowed, listed, "{path}");
    }
}

#[tokio::test]
async fn whatever_the_description_refers_to_is_there() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        if let Some(reference) = value["$ref"].as_str() {
            found.push(reference);
        }
        let none = value.get("default").is_some_and(Value::is_null);
        assert!(
            !none,
            "no text or number is null when it is left out: {value}"
        );
        match value {
            Value::Object(fields) => fields.values().for_each(|value| references(value, found)),
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let surface = Surface::start().await;
    let document = surface.get("/api/v1/openapi.json").await;
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 100, "{found:?}");
    found.retain(|reference| {
        let pointer = reference.strip_prefix('#');
        pointer.is_none_or(|pointer| document.pointer(pointer).is_none())
    });
    assert_eq!(found, [""; 0]);
}

#[tokio::test]
async fn every_operation_is_described_in_words_with_an_id_of_its_own() {
    let surface = Surface::start().await;
    let document = described(&surface).await;
    let mut ids = BTreeSet::new();
    for name in REQUESTS.iter().map(|(name, _, _)| *name).chain(OCTETS) {
        let operation = operation(&document, name);
        assert!(
            !operation["summary"].as_str().unwrap_or_default().is_empty(),
            "{name}"
        );
        assert!(
            ids.insert(operation["operationId"].as_str().unwrap().to_owned()),
            "{name}"
        );
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(
                !response["description"].as_str().unwrap().is_empty(),
                "{name} {status}"
            );
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        if let Some(properties) = schema["properties"].as_object() {
            for (property, schema) in properties {
                let is_described = ["description", "$ref", "oneOf"]
                    .iter()
                    .any(|key| schema.get(key).is_some());
                assert!(is_described, "{name}.{property}");
            }
        }
    }
}

#[tokio::test]
async fn each_operation_needs_the_scope_that_it_is_described_with() {
    let surface = Surface::start().await;
    let document = described(&surface).await;
    let scopes = [
        ("read", &surface.read),
        ("operate", &surface.operate),
        ("admin", &surface.admin),
    ];
    for (name, called, body) in REQUESTS {
        let security = &operation(&document, name)["security"];
        let needed = security[0]["token"][0].as_str();
        let method = name.split_once(' ').unwrap().0;
        let ask = format!(
            "{method} {}",
            called.replace("{id}", "x").replace("{refusal}", "1")
        );
        // A body that is refused keeps what is tried here from happening.
        let body = if body.is_empty() { None } else { Some("[]") };
        let without = surface.call("", &ask, body).await.status;
        let Some(needed) = needed else {
            assert_ne!(without, 401, "{name}");
            continue;
        };
        assert_eq!(without, 401, "{name}");
        let mut reaches = false;
        for (scope, token) in scopes {
            reaches = reaches || scope == needed;
            if reaches && (ask.starts_with("DELETE") || ask.ends_with("password")) {
                continue;
            }
            let answered = surface.call(token, &ask, body).await.status;
            assert_eq!(answered == 403, !reaches, "{name} as {scope}: {answered}");
        }
    }
}

#[tokio::test]
async fn every_answer_has_a_described_status_and_shape() {
    let surface = Surface::start().await;
    let document = described(&surface).await;
    // Something to go back from.
    surface.install("authorized-senders", "mine").await;
    let id = surface
        .queue("u", Class::Normal, &["x@b.example"])
        .await
        .to_string();
    surface.refuse("u", &["x@b.example", "y@b.example"]).await;
    let refusal = surface.refusal("x@b.example").await;
    for (name, called, body) in REQUESTS {
        let method = name.split_once(' ').unwrap().0;
        let called = called.replace("{id}", &id).replace("{refusal}", &refusal);
        let ask = format!("{method} {called}");
        let body = Some(*body).filter(|body| !body.is_empty());
        let answered = surface.ask(&ask, body).await;
        assert!(
            answered.status < 300,
            "{ask}: {} {}",
            answered.status,
            answered.text
        );
        let responses = &operation(&document, name)["responses"];
        let response = &responses[answered.status.to_string()];
        assert!(response.is_object(), "{ask} answers {}", answered.status);
        let media = answered.header("content-type").split(';').next().unwrap();
        let content = &response["content"][media];
        assert!(content.is_object(), "{ask} answers as {media}");
        if media == "application/json" {
            fits(&document, &content["schema"], &answered.json(), name);
        }
        // Refusals that any operation of its kind can meet.
        let with_more = format!("{ask}{}no=1", if ask.contains('?') { "&" } else { "?" });
        let more = surface.ask(&with_more, body).await;
        if name.contains("/api/") {
            assert_eq!(
                (more.status, more.fields()),
                (422, vec!["no".to_owned()]),
                "{name}"
            );
        }
        let mut refusals = vec![more];
        refusals.push(surface.call("", &ask, body).await);
        refusals.push(surface.call(&surface.read, &ask, body).await);
        if body.is_some() {
            for wrong in ["{", "[]", "{\"no\":1}"] {
                refusals.push(surface.ask(&ask, Some(wrong)).await);
            }
        }
        for refused in refusals.iter().filter(|refused| refused.status >= 400) {
            let response = &responses[refused.status.to_string()];
            assert!(
                response.is_object(),
                "{ask} answers {}: {}",
                refused.status,
                refused.text
            );
            let schema = &response["content"]["application/problem+json"]["schema"];
            fits(&document, schema, &refused.json(), name);
        }
    }
}

#[tokio::test]
async fn names_and_ids_are_described_with_the_bounds_that_are_kept() {
    let surface = Surface::start().await;
    let document = described(&surface).await;
    for (name, called, _) in REQUESTS {
        for parameter in operation(&document, name)["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|parameter| parameter["in"] == "path" && parameter["name"] != "action")
        {
            for bound in ["minLength", "maxLength", "pattern"] {
                let bound = &parameter["schema"][bound];
                assert!(!bound.is_null(), "{name}: {parameter}");
            }
        }
        // What is no text is refused before anything is looked up, and the description says so.
        let Some((path, _)) = name.split_once('{').filter(|_| name.contains("/api/")) else {
            continue;
        };
        let kept = path.split_once(' ').unwrap().1.len();
        let (_, after) = called[kept..].split_once('/').unwrap_or_default();
        let slash = if after.is_empty() { "" } else { "/" };
        let method = path.split(' ').next().unwrap();
        let ask = format!("{method} {}%ff{slash}{after}", &called[..kept]);
        let refused = surface.ask(&ask, None).await;
        assert_eq!(refused.status, 400, "{ask}: {}", refused.text);
        assert!(operation(&document, name)["responses"]["400"].is_object());
    }
    let schemas = &document["components"]["schemas"];
    let text = |length: usize| "x".repeat(length);
    for (schema, field, request) in [
        ("ListInput", "name", "POST /api/v1/lists"),
        ("TokenInput", "name", "POST /api/v1/tokens"),
        ("UserInput", "name", "POST /api/v1/users"),
        ("UserInput", "note", "POST /api/v1/users"),
    ] {
        let longest = schemas[schema]["properties"][field]["maxLength"].as_u64();
        let longest = usize::try_from(longest.unwrap()).unwrap();
        for (length, is_taken) in [(longest, true), (longest + 1, false)] {
            let mut body = json!({field: text(length)});
            if schema == "TokenInput" {
                body["scope"] = "read".into();
            }
            let answered = surface.ask(request, Some(&body.to_string())).await;
            let expected = if is_taken { 201 } else { 422 };
            assert_eq!(answered.status, expected, "{schema}.{field} of {length}");
        }
    }
    for (schema, field) in [("UserInput", "list"), ("QueueChange", "id")] {
        let described = &schemas[schema]["properties"][field];
        assert!(described["pattern"].is_string(), "{described}");
    }
}

#[tokio::test]
async fn what_may_be_left_out_of_a_query_may_be_empty_and_is_described_so() {
    let surface = Surface::start().await;
    let document = described(&surface).await;
    let mut parameters = 0;
    for name in ["GET /api/v1/users", "GET /api/v1/queue"] {
        for parameter in operation(&document, name)["parameters"].as_array().unwrap() {
            parameters += 1;
            assert_eq!(parameter["allowEmptyValue"], true, "{name}: {parameter}");
            let ask = format!("{name}?{}=", parameter["name"].as_str().unwrap());
            assert_eq!(surface.ask(&ask, None).await.status, 200, "{ask}");
        }
    }
    assert!(parameters > 15, "{parameters}");
    let sender = &operation(&document, OCTETS[0])["parameters"][0];
    assert!(sender["allowEmptyValue"].is_null(), "{sender}");
}

#[tokio::test]
async fn numbers_of_a_query_are_taken_within_the_bounds_that_are_described() {
    let surface = Surface::start().await;
    let document = described(&surface).await;
    let parameters = operation(&document, "GET /api/v1/queue")["parameters"].clone();
    for name in ["attempts", "estimate_seconds"] {
        let mut parameters = parameters.as_array().unwrap().iter();
        let parameter = parameters.find(|parameter| parameter["name"] == name);
        let most = parameter.unwrap()["schema"]["maximum"].as_u64().unwrap();
        for (number, status) in [(most, 200), (most + 1, 422)] {
            let ask = format!("GET /api/v1/queue?{name}={number}");
            assert_eq!(surface.ask(&ask, None).await.status, status, "{ask}");
        }
    }
}

/// Whether a value has the shape that is described: no property too many, none too few, right types.
pub(super) fn fits(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Err(problem) = check(document, schema, value) {
        panic!("{at}: {problem} in {value}");
    }
}

fn check(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let mut properties = BTreeSet::new();
    check_in(document, schema, value, &mut properties)?;
    // What is described as any object at all.
    let is_free =
        schema["properties"].is_null() && schema["$ref"].is_null() && properties.is_empty();
    if let Some(object) = value.as_object().filter(|_| !is_free) {
        match object.keys().find(|key| !properties.contains(*key)) {
            Some(key) => return Err(format!("{key} is not described")),
            None => return Ok(()),
        }
    }
    Ok(())
}

fn check_in(
    document: &Value,
    schema: &Value,
    value: &Value,
    known: &mut BTreeSet<String>,
) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        let schema = &document["components"]["schemas"][name];
        return if schema.is_object() {
            check_in(document, schema, value, known)
        } else {
            Err(format!("{reference} leads nowhere"))
        };
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        check_in(document, part, value, known)?;
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let mut problems = Vec::new();
        let fitting = choices.iter().find_map(|choice| {
            let mut properties = BTreeSet::new();
            match check_in(document, choice, value, &mut properties) {
                Ok(()) => Some(properties),
                Err(problem) => {
                    problems.push(problem);
                    None
                }
            }
        });
        known.extend(fitting.ok_or_else(|| problems.join(" / "))?);
    }
    if let Some(values) = schema["enum"].as_array()
        && !values.contains(value)
    {
        return Err(format!("{value} is not one of {values:?}"));
    }
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let types = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is_number = value.is_number() && types.contains(&"number");
    if !types.is_empty() && !types.contains(&is) && !is_number {
        return Err(format!("{value} is not {types:?}"));
    }
    for item in value.as_array().into_iter().flatten() {
        check(document, &schema["items"], item)?;
    }
    if let Some(object) = value.as_object() {
        for required in schema["required"].as_array().into_iter().flatten() {
            if !object.contains_key(required.as_str().unwrap_or_default()) {
                return Err(format!("{required} is missing"));
            }
        }
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            known.insert(name.clone());
            if let Some(value) = object.get(name) {
                check(document, schema, value)?;
            }
        }
    }
    Ok(())
}

#[test]
fn the_shape_check_can_fail() {
    let document = json!({"components": {"schemas": {"A": {
        "type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}}}}}});
    let schema = json!({"$ref": "#/components/schemas/A"});
    assert_eq!(check(&document, &schema, &json!({"x": 1})), Ok(()));
    for wrong in [
        json!({}),
        json!({"x": "1"}),
        json!({"x": 1.5}),
        json!({"x": 1, "y": 2}),
        json!([]),
    ] {
        assert!(check(&document, &schema, &wrong).is_err(), "{wrong}");
    }
}
