//! Statistics over HTTP.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::{NOW, Surface};
use crate::message::Class;

async fn queued() -> Surface {
    let surface = Surface::start().await;
    surface
        .queue("app", Class::High, &["x@b.example", "y@c.example"])
        .await;
    surface.queue("news", Class::Low, &["x@b.example"]).await;
    surface
}

/// `name: accepted recipients queued` of each row.
fn rows(document: &Value, name: &str) -> Vec<String> {
    let rows = document["rows"].as_array().unwrap().iter();
    rows.map(|row| {
        let name = match &row[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let [accepted, recipients, queued] =
            ["accepted", "recipients", "queued"].map(|figure| &row[figure]);
        format!("{name}: {accepted} {recipients} {queued}")
    })
    .collect()
}

#[tokio::test]
async fn what_was_counted_is_told_by_each_name_and_by_time() {
    let surface = queued().await;
    let ask = async |query: &str| surface.get(&format!("/api/v1/statistics?{query}")).await;
    for (by, expected) in [
        ("class", &["2: 1 2 2", "4: 1 1 1"][..]),
        ("list", &["default: 2 3 3"]),
        ("user", &["app: 1 2 2", "news: 1 1 1"]),
        ("destination", &["b.example: 2 2 2", "c.example: 1 1 1"]),
        ("campaign", &["spring: 2 3 3"]),
    ] {
        let document = ask(&format!("by={by}")).await;
        assert_eq!(rows(&document, by), expected);
        assert_eq!(document["by"], json!([by]));
    }
    let document = ask("by=hour").await;
    assert_eq!(
        document,
        json!({
            "since": "2023-11-13T22:00:00.000Z", "until": "2023-11-14T23:00:00.000Z", "by": ["hour"],
            "rows": [{
                "at": "2023-11-14T22:00:00.000Z", "accepted": 2, "recipients": 3, "sent": 0, "deferred": 0,
                "bounced": 0, "expired": 0, "removed": 0, "refused": 0,
            }],
            "total": {
                "accepted": 2, "recipients": 3, "sent": 0, "deferred": 0, "bounced": 0, "expired": 0,
                "removed": 0, "refused": 0, "queued": 3,
            },
            "cursor": null,
        })
    );
    let document = ask("by=day,user&user=app").await;
    let row = &document["rows"][0];
    assert_eq!(
        (&row["at"], &row["user"], &row["recipients"]),
        (&json!("2023-11-14T00:00:00.000Z"), &json!("app"), &json!(2))
    );
}

#[tokio::test]
async fn a_user_is_asked_for_in_any_case_and_a_domain_as_it_is_typed() {
    let surface = queued().await;
    let body = r#"{"name":"App","authorized_domains":"a.example"}"#;
    surface.ask("POST /api/v1/users", Some(body)).await;
    surface
        .queue("App", Class::Normal, &["x@xn--bcher-kva.example"])
        .await;
    for (query, recipients) in [
        ("user=aPP", 1),
        ("user=news", 1),
        ("list=DEFAULT", 4),
        ("class=2", 2),
        ("destination=B.Example.", 2),
        ("destination=b%C3%BCcher.example", 1),
        ("campaign=spring", 4),
        ("campaign=autumn", 0),
        ("list=default&class=3", 1),
        ("user=&list=", 4),
    ] {
        let path = format!("/api/v1/statistics?{query}");
        let document = surface.get(&path).await;
        assert_eq!(document["total"]["recipients"], recipients, "{query}");
        assert_eq!(document["rows"], json!([]), "{query}");
    }
}

#[tokio::test]
async fn pages_and_the_most_first_are_told() {
    let surface = queued().await;
    let first = surface.get("/api/v1/statistics?by=user&limit=1").await;
    assert_eq!(rows(&first, "user"), ["app: 1 2 2"]);
    let cursor = first["cursor"].as_str().unwrap();
    let path = format!("/api/v1/statistics?by=user&limit=1&cursor={cursor}");
    let second = surface.get(&path).await;
    assert_eq!(rows(&second, "user"), ["news: 1 1 1"]);
    assert_eq!(second["cursor"], Value::Null);
    assert_eq!(first["total"], second["total"]);
    let most = surface
        .get("/api/v1/statistics?by=destination&most=queued&limit=1")
        .await;
    assert_eq!(rows(&most, "destination"), ["b.example: 2 2 2"]);
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_by_its_name() {
    let surface = Surface::start().await;
    for (query, fields) in [
        ("by=week", &["by"][..]),
        ("by=hour,day", &["by"]),
        ("by=user,list", &["by"]),
        ("by=day,user,hour", &["by"]),
        ("by=,", &["by"]),
        ("by=destination&list=default", &["by"]),
        ("by=user&class=2", &["by"]),
        ("user=app&destination=b.example", &["destination"]),
        ("since=yesterday&until=2023-11-14", &["until", "since"]),
        ("since=2023-11-15T00:00:00Z", &["since"]),
        ("class=6&limit=0", &["class", "limit"]),
        ("limit=10001", &["limit"]),
        ("by=user&most=sent&cursor=AAAA", &["cursor"]),
        ("by=user&most=most", &["most"]),
        ("most=sent", &["most"]),
        ("by=hour,user&most=sent", &["most"]),
        ("by=user&cursor=x", &["cursor"]),
        ("format=xml", &["format"]),
        ("week=1", &["week"]),
    ] {
        let ask = format!("GET /api/v1/statistics?{query}");
        let refused = surface.ask(&ask, None).await;
        assert_eq!(refused.status, 422, "{query}: {}", refused.text);
        assert_eq!(refused.fields(), fields, "{query}");
    }
}

#[tokio::test]
async fn csv_is_told_to_who_asks_for_it() {
    let surface = queued().await;
    let titles = "accepted,recipients,sent,deferred,bounced,expired,removed,refused,queued,p50_ms,p90_ms,p99_ms";
    let by_day = format!(
        "at,class,{titles}\r\n\
         2023-11-14T00:00:00.000Z,2,1,2,0,0,0,0,0,0,,,,\r\n\
         2023-11-14T00:00:00.000Z,4,1,1,0,0,0,0,0,0,,,,\r\n"
    );
    let by_day_of = |accept: Option<&str>, more: &str| {
        let uri = format!("/api/v1/statistics?by=day,class{more}");
        let mut request = Request::builder().uri(uri);
        request = request.header("authorization", format!("Bearer {}", surface.read));
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        surface.send(request.body(Body::empty()).unwrap())
    };
    for (accept, more, is_csv) in [
        (Some("text/csv"), "", true),
        (Some("text/html, Text/CSV;q=0.9, */*;q=0.1"), "", true),
        (Some("application/json, text/csv"), "", false),
        (Some("text/csv"), "&format=json", false),
        (None, "&format=csv", true),
        (None, "", false),
    ] {
        let answered = by_day_of(accept, more).await;
        let media_type = match is_csv {
            true => "text/csv; charset=utf-8; header=present",
            false => "application/json",
        };
        assert_eq!(
            answered.header("content-type"),
            media_type,
            "{accept:?} {more}"
        );
        assert_eq!(answered.text == by_day, is_csv, "{}", answered.text);
    }
    let first = surface
        .ask(
            "GET /api/v1/statistics?by=user&limit=1&list=default&format=csv",
            None,
        )
        .await;
    let link = first.header("link");
    let next = link.strip_prefix('<').unwrap();
    let (next, rest) = next.split_once('>').unwrap();
    assert_eq!(rest, "; rel=\"next\"");
    let second = surface.ask(&format!("GET {next}"), None).await;
    assert_eq!(
        second.text,
        format!("user,{titles}\r\nnews,1,1,0,0,0,0,0,0,1,,,\r\n")
    );
    assert_eq!(second.header("link"), "");
    assert!(NOW.to_string().starts_with("2023-11-14T22"));
}
