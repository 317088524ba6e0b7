//! Who may send as whom.

use serde_json::{Value, json};

use super::{OnePlugin, PluginStatus as _, Surface};
use crate::admin::senders::{RulesDecide, basis_of};
use crate::plugin::Source;
use crate::policy::{OnFailure, Question};

async fn add(surface: &Surface, body: Value) {
    let made = surface
        .ask("POST /api/v1/users", Some(&body.to_string()))
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
}

#[tokio::test]
async fn what_a_user_may_send_as_is_told_in_words_and_by_asking_the_components() {
    let surface = Surface::start().await;
    let rules = json!({"name": "app", "authorized_domains": "a.example;*.b.example",
                       "authorized_senders": ["X@c.example"]});
    add(&surface, rules).await;
    let told = surface.get("/api/v1/users/APP/senders").await;
    let rules = &told["rules"];
    assert_eq!(
        rules[0],
        json!({"field": "authorized_domains", "rule": "*.b.example",
               "text": "any address at any subdomain of b.example, but not at b.example itself",
               "example": "anybody@sub.b.example"})
    );
    assert_eq!(
        rules[1]["text"],
        "any address at a.example, but not at its subdomains"
    );
    assert_eq!(
        rules[2],
        json!({"field": "authorized_senders", "rule": "x@c.example", "text": "x@c.example alone",
               "example": "x@c.example"})
    );
    assert_eq!(told["warning"], Value::Null);
    assert_eq!(told["verdict"], Value::Null);
    assert_eq!(told["rests_on"]["rules"], "alone");
    assert_eq!(
        told["rests_on"]["components"],
        json!(["authorized-senders"])
    );

    let asked = surface
        .get("/api/v1/users/app/senders?as=News@A.example")
        .await;
    let verdict = &asked["verdict"];
    assert_eq!(verdict["answer"], "permitted");
    assert_eq!(verdict["address"], "News@a.example");
    assert_eq!(verdict["rule"]["rule"], "a.example");
    assert_eq!(verdict["reply"], Value::Null);
    let asked = surface
        .get("/api/v1/users/app/senders?as=x@b.example")
        .await;
    let verdict = &asked["verdict"];
    assert_eq!(verdict["answer"], "refused");
    assert_eq!(verdict["rule"], Value::Null);
    assert_eq!(verdict["reply"]["code"], 550);
    assert_eq!(
        verdict["decisions"],
        json!([{"component": "authorized-senders", "digest": "3f2a91b0c4d5e6f7", "answer": "refuse",
                "reasons": ["told: b.example"]}])
    );

    add(&surface, json!({"name": "nobody"})).await;
    let told = surface.get("/api/v1/users/nobody/senders").await;
    assert_eq!(told["rules"], json!([]));
    assert!(
        told["warning"]
            .as_str()
            .unwrap()
            .contains("may not send as anybody")
    );
    let missing = surface.ask("GET /api/v1/users/gone/senders", None).await;
    assert_eq!(missing.status, 404);
    for wrong in ["x", "@a.example", "x@", "<x@a.example>", "x@a..example"] {
        let ask = format!(
            "GET /api/v1/users/app/senders?as={}",
            crate::admin::within_path(wrong)
        );
        let refused = surface.ask(&ask, None).await;
        assert_eq!(
            (refused.status, refused.fields()),
            (422, vec!["as".to_owned()]),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn who_may_send_as_an_address_is_told_page_by_page() {
    let surface = Surface::start().await;
    for (name, domains, senders, active) in [
        ("a", "b.example", "", true),
        ("b", "*.b.example", "", true),
        ("c", "", "X@b.example", false),
        ("d", "c.example", "y@b.example", true),
    ] {
        let body = json!({"name": name, "authorized_domains": domains,
                          "authorized_senders": senders, "active": active});
        add(&surface, body).await;
    }
    let all = surface.get("/api/v1/senders?address=x@B.example").await;
    assert_eq!(all["address"], "x@b.example");
    assert_eq!(all["cursor"], Value::Null);
    let told: Vec<_> = all["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| (&user["user"], &user["active"], &user["rule"]["rule"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!("a"), &json!(true), &json!("b.example")),
            (&json!("c"), &json!(false), &json!("x@b.example")),
        ]
    );
    let mut names = Vec::new();
    let mut cursor = String::new();
    for _ in 0..3 {
        let path = format!("/api/v1/senders?address=x@b.example&limit=1&cursor={cursor}");
        let page = surface.get(&path).await;
        names.extend(
            page["users"]
                .as_array()
                .unwrap()
                .iter()
                .map(|user| user["user"].clone()),
        );
        cursor = page["cursor"].as_str().unwrap_or_default().to_owned();
    }
    assert_eq!(
        (names, cursor),
        (vec![json!("a"), json!("c")], String::new())
    );
    for (query, field) in [
        ("", "address"),
        ("?address=", "address"),
        ("?address=x", "address"),
        ("?address=x@b.example&limit=0", "limit"),
        ("?address=x@b.example&limit=1001", "limit"),
        ("?address=x@b.example&no=1", "no"),
    ] {
        let refused = surface
            .ask(&format!("GET /api/v1/senders{query}"), None)
            .await;
        assert_eq!(
            (refused.status, refused.fields()),
            (422, vec![field.to_owned()]),
            "{query}"
        );
    }
}

#[test]
fn what_an_answer_rests_on_is_who_is_in_the_chain() {
    let shipped = || OnePlugin.status().remove(0);
    let own = || {
        let mut own = shipped();
        own.name = "quota".to_owned();
        own.source = Source::File("quota.wasm".into());
        own
    };
    // It goes by the name and is another one.
    let in_its_place = || {
        let mut own = own();
        own.name = "authorized-senders".to_owned();
        own
    };
    let priority = || {
        let mut own = own();
        own.questions = vec![(Question::Priority, OnFailure::Skip)];
        own
    };
    for (chain, rules, words) in [
        (
            vec![shipped(), priority()],
            RulesDecide::Alone,
            "the rules of users decide",
        ),
        (
            vec![shipped(), own()],
            RulesDecide::First,
            "authorized-senders, quota",
        ),
        (vec![own()], RulesDecide::Unknown, "these decide"),
        (vec![in_its_place()], RulesDecide::Unknown, "these decide"),
        (vec![priority()], RulesDecide::Unknown, "nobody may send"),
        (vec![], RulesDecide::Unknown, "nobody may send"),
    ] {
        let basis = basis_of(chain);
        assert_eq!(basis.rules, rules, "{}", basis.text);
        assert!(basis.text.contains(words), "{}", basis.text);
    }
}
