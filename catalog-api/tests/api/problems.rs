//! What the documents of problems lead to.

use serde_json::{Value, json};

use crate::people::{People, Who};

#[tokio::test]
async fn the_type_of_a_problem_leads_to_its_title() {
    let people = People::start().await;
    let asked = async |path: &str, fields: &[(&str, &str)]| {
        people.send(&Who::default(), ("GET", path), Value::Null, fields).await
    };
    let none = asked("/api/v1/none", &[("x-request-id", "from-outside")]).await;
    none.is_problem(404, "not_found", "/api/v1/none");
    let problem: Value = serde_json::from_str(&none.text).unwrap();
    assert_eq!(problem["request_id"], "from-outside");
    let kind = problem["type"].as_str().unwrap();
    for (language, title) in [("en", "Not found"), ("fr", "Introuvable")] {
        let told = asked(kind, &[("accept-language", language)]).await;
        assert_eq!((told.header("content-language"), told.header("vary")), (Some(language), Some("Accept-Language")));
        assert_eq!(told.ok(), json!({ "type": kind, "code": "not_found", "title": title }));
    }
    let unknown = "/api/problems/about_nothing";
    asked(unknown, &[]).await.is_problem(404, "not_found", unknown);
    people.stop().await;
}
