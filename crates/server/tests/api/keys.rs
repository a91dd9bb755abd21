//! API keys over the API.

use reqwest::Method;
use serde_json::{Value, json};

use crate::house::{Answer, House};

#[tokio::test]
async fn a_key_is_made_used_and_revoked() {
    let house = House::start().await;
    let made = house.post("/keys", &json!({"name": "the shop"})).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let secret = made.body["key"].as_str().expect("a secret").to_owned();
    assert_eq!(
        (&made.body["scope"], &made.body["current"]),
        (&json!("full"), &json!(false))
    );

    let with = |method, path: &str, secret: &str| {
        let request = house.anonymous(method, &format!("api/v1{path}"));
        request.bearer_auth(secret.to_owned())
    };
    let list = Answer::to(with(Method::GET, "/keys", &secret)).await.body;
    let shown: Vec<_> = list["data"]
        .as_array()
        .expect("keys")
        .iter()
        .map(|key| (key["name"].clone(), key["current"].clone(), key["key"].clone()))
        .collect();
    assert_eq!(
        shown,
        [
            (json!("development"), json!(false), Value::Null),
            (json!("the shop"), json!(true), Value::Null)
        ]
    );
    let own = list["data"][1]["id"].as_str().expect("an id");
    let refused = Answer::to(with(Method::DELETE, &format!("/keys/{own}"), &secret)).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (409, &json!("KEY_IN_USE"))
    );
    let path = format!("/keys/{}", made.body["id"].as_str().expect("an id"));
    for _ in 0..2 {
        assert_eq!(house.delete(&path).await.status, 204);
    }
    assert_eq!(
        Answer::to(with(Method::GET, "/credits", &secret)).await.status,
        401
    );
    let list = house.get("/keys").await.body;
    assert!(list["data"][1]["revoked_at"].is_string());

    // Others' keys are as unknown as none.
    house.kinora(&["account", "create", "other"]);
    let other = house.kinora(&["key", "create", "--account", "other", "--name", "o", "--quiet"]);
    let of_other = Answer::to(with(Method::GET, "/keys", other.trim())).await.body;
    assert_eq!(of_other["data"].as_array().map(Vec::len), Some(1));
    let id = of_other["data"][0]["id"].as_str().expect("an id");
    assert_eq!(house.delete(&format!("/keys/{id}")).await.status, 404);
    assert_eq!(house.delete("/keys/nonsense").await.status, 404);
}

#[tokio::test]
async fn keys_that_cannot_be_are_refused() {
    let house = House::start().await;
    for (body, status, field) in [
        (json!({}), 422, "name"),
        (json!({"name": "  "}), 422, "name"),
        (json!({"name": "x".repeat(101)}), 422, "name"),
        (json!({"name": "a\u{7}"}), 422, "name"),
        (json!({"name": 5}), 400, "name"),
        (json!({"name": "x", "scope": "admin"}), 422, "scope"),
        (json!({"name": "x", "scope": true}), 400, "scope"),
        (json!({"name": "x", "read_only": true}), 422, "read_only"),
    ] {
        let answer = house.post("/keys", &body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        assert_eq!(answer.body["errors"][0]["field"], field, "{body}");
    }
    let refused = house
        .post("/keys", &json!({"name": "x", "a": 1, "b": null}))
        .await;
    assert_eq!(
        refused.body["errors"],
        json!([
            {"field": "a", "message": "is no member of this body; name, scope are taken"},
            {"field": "b", "message": "is no member of this body; name, scope are taken"}
        ])
    );
    let read = house
        .post("/keys", &json!({"name": "eyes", "scope": "read"}))
        .await
        .body;
    let read = read["key"].as_str().expect("a secret");
    let request = |method| {
        house
            .anonymous(method, "api/v1/keys")
            .bearer_auth(read)
            .json(&json!({"name": "x"}))
    };
    assert_eq!(Answer::to(request(Method::GET)).await.status, 200);
    assert_eq!(Answer::to(request(Method::POST)).await.status, 403);
    for _ in 2..100 {
        assert_eq!(house.post("/keys", &json!({"name": "more"})).await.status, 201);
    }
    let full = house.post("/keys", &json!({"name": "one more"})).await;
    assert_eq!((full.status, &full.body["code"]), (409, &json!("KEY_LIMIT")));
}
