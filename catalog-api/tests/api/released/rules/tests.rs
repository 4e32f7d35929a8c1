//! Each rule by what it finds and by what it lets pass.

use serde_json::{Value, json};

use super::breaks;

fn description() -> Value {
    json!({
        "paths": { "/things/{id}": {
            "get": {
                "parameters": [
                    { "name": "id", "in": "path", "required": true, "schema": { "type": "string" } },
                    { "name": "limit", "in": "query", "schema": { "type": "integer", "minimum": 1, "maximum": 100 } },
                    { "$ref": "#/components/parameters/Sort" },
                ],
                "security": [{}, { "bearer": [] }],
                "responses": {
                    "200": {
                        "headers": { "ETag": {} },
                        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Thing" } } },
                    },
                    "404": { "$ref": "#/components/responses/Problem" },
                },
            },
            "put": {
                "requestBody": { "content": { "application/json": { "schema": {
                    "type": "object", "required": ["name"], "properties": {
                        "name": { "type": "string", "maxLength": 10 },
                        "size": { "type": ["number", "null"] },
                        "kind": { "enum": ["a", "b"] },
                        "link": { "oneOf": [{ "type": "string" }, { "type": "null" }] },
                    },
                } } } },
                "responses": { "204": {} },
            },
        } },
        "components": {
            "parameters": { "Sort": { "name": "sort", "in": "query", "schema": { "type": "string" } } },
            "responses": { "Problem": { "content": { "application/problem+json": { "schema": { "type": "object" } } } } },
            "schemas": { "Thing": {
                "type": "object", "required": ["id"], "properties": {
                    "id": { "type": "string" },
                    "size": { "type": "integer" },
                    "kind": { "enum": ["a", "b"] },
                    "parts": { "type": "array", "items": { "$ref": "#/components/schemas/Thing" } },
                    "owner": { "oneOf": [{ "$ref": "#/components/schemas/Owner" }, { "type": "null" }] },
                },
            }, "Owner": { "type": "object", "properties": { "name": { "type": "string" } } } },
        },
    })
}

const GET: &str = "/paths/~1things~1{id}/get";
const PUT: &str = "/paths/~1things~1{id}/put";
const BODY: &str = "/paths/~1things~1{id}/put/requestBody/content/application~1json/schema";
const THING: &str = "/components/schemas/Thing";

/// What is found once the value at `pointer` below `base` is another; null takes it away.
fn found(base: &str, pointer: &str, value: Value) -> Vec<String> {
    let old = description();
    let mut new = old.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let name = &*name.replace("~1", "/");
    let parent = new.pointer_mut(&format!("{base}{parent}")).unwrap();
    match parent {
        Value::Object(map) if value.is_null() => drop(map.remove(name)),
        Value::Object(map) => drop(map.insert(name.to_owned(), value)),
        Value::Array(list) if value.is_null() => drop(list.remove(name.parse().unwrap())),
        Value::Array(list) if name == "-" => list.push(value),
        Value::Array(list) => list[name.parse::<usize>().unwrap()] = value,
        other => panic!("{other}"),
    }
    breaks(&old, &new)
}

#[test]
fn nothing_is_found_in_what_is_the_same() {
    assert_eq!(breaks(&description(), &description()), Vec::<String>::new());
}

#[test]
fn additions_pass() {
    let pass = |base: &str, pointer: &str, value: Value| {
        assert_eq!(found(base, pointer, value), Vec::<String>::new(), "{base}{pointer}");
    };
    pass("/paths", "/~1more", json!({ "get": { "responses": {} } }));
    pass("/paths/~1things~1{id}", "/delete", json!({ "responses": { "204": {} } }));
    pass(GET, "/responses/500", json!({}));
    pass(GET, "/parameters/-", json!({ "name": "more", "in": "query", "schema": { "type": "string" } }));
    pass(GET, "/parameters/1/schema/maximum", json!(200));
    pass(GET, "/parameters/1/schema/minimum", Value::Null);
    pass(THING, "/properties/more", json!({ "type": "string" }));
    pass(THING, "/required/-", json!("size"));
    pass(THING, "/properties/kind/enum/-", json!("c"));
    pass(BODY, "/properties/more", json!({ "type": "string" }));
    pass(BODY, "/properties/kind/enum/-", json!("c"));
    pass(BODY, "/properties/size/type", json!(["number", "null", "string"]));
    pass(BODY, "/properties/name/maxLength", json!(11));
    pass(BODY, "/required/0", Value::Null);
    pass(BODY, "/properties/link/oneOf/-", json!({ "type": "integer" }));
    pass(GET, "/description", json!("other words"));
}

#[test]
fn what_clients_would_miss_is_found() {
    let check = |base: &str, pointer: &str, value: Value, expected: &str| {
        let found = found(base, pointer, value);
        assert!(found.iter().any(|line| line == expected), "{expected:?} in {found:?}");
    };
    let gone = Value::Null;
    let (get, put) = ("GET /things/{id}", "PUT /things/{id}");
    check("/paths", "/~1things~1{id}", gone.clone(), &format!("{get}: is gone"));
    check("/paths/~1things~1{id}", "/put", gone.clone(), &format!("{put}: is gone"));
    check(GET, "/responses/404", gone.clone(), &format!("{get} 404: is gone"));
    check(GET, "/responses/200/headers/ETag", gone.clone(), &format!("{get} 200: header ETag is gone"));
    check(
        GET,
        "/responses/200/content/application~1json",
        gone.clone(),
        &format!("{get} 200: application/json is gone"),
    );
    check(GET, "/security/0", gone.clone(), &format!("{get}: security {{}} is gone"));
    check(GET, "/parameters/2", gone.clone(), &format!("{get}: parameter sort is gone"));
    check(GET, "/parameters/1/required", json!(true), &format!("{get}: parameter limit is required"));
    let more = json!({ "name": "more", "in": "query", "required": true, "schema": {} });
    check(GET, "/parameters/-", more, &format!("{get}: parameter more is required"));
    check(GET, "/parameters/1/schema/maximum", json!(50), &format!("{get} ?limit: maximum is 50"));
    check(GET, "/parameters/1/schema/minimum", json!(2), &format!("{get} ?limit: minimum is 2"));
    check(
        GET,
        "/parameters/1/schema/type",
        json!("string"),
        &format!("{get} ?limit: type integer is not taken any more"),
    );
    check(PUT, "/requestBody/required", json!(true), &format!("{put}: a body is required"));
    check(BODY, "/required/-", json!("size"), &format!("{put} body: field size is required"));
    check(BODY, "/properties/size", gone.clone(), &format!("{put} body: field size is gone"));
    check(BODY, "/properties/size/type", json!("number"), &format!("{put} body.size: type null is not taken any more"));
    check(BODY, "/properties/kind/enum/1", gone.clone(), &format!("{put} body.kind: value \"b\" is gone"));
    check(BODY, "/properties/name/maxLength", json!(9), &format!("{put} body.name: maxLength is 9"));
    check(BODY, "/properties/name/minLength", json!(1), &format!("{put} body.name: minLength is 1"));
    check(BODY, "/properties/name/pattern", json!("^a"), &format!("{put} body.name: pattern is \"^a\""));
    check(BODY, "/additionalProperties", json!(false), &format!("{put} body: other fields are refused"));
    let link = format!("{put} body.link: alternative 2 of oneOf is not taken any more");
    check(BODY, "/properties/link/oneOf/1", gone.clone(), &link);
    check(THING, "/properties/size", gone.clone(), &format!("{get} 200: field size is gone"));
    check(THING, "/required/0", gone.clone(), &format!("{get} 200: field id may be missing"));
    check(THING, "/properties/size/type", json!("string"), &format!("{get} 200.size: type string is answered"));
    check(
        THING,
        "/properties/size/type",
        json!(["integer", "null"]),
        &format!("{get} 200.size: type null is answered"),
    );
    check(THING, "/properties/kind/enum/0", gone.clone(), &format!("{get} 200.kind: value \"a\" is gone"));
    let owner = format!("{get} 200.owner: alternative 1 of oneOf is answered");
    check("/components/schemas/Owner", "/properties/name", gone, &owner);
}
