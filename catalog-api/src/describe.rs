//! What people say about an asset: changed by JSON Merge Patch (RFC 7396).

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use catalog_store::{Asset, Expected, Part};
use domain::about::{Credit, Date, Fault};
use domain::authority::Action;
use domain::misfit::pointer_to;
use domain::{About, Language};
use serde_json::{Map, Value, json};

use crate::State;
use crate::accounts::Caller;
use crate::assets::{asset_in, no_store, view};
use crate::documents::{IfMatch, document_of};
use crate::door::asset_for;
use crate::problem::Problem;

/// Largest body of a change, in octets.
const BODY_BYTES_MAX: usize = 256 << 10;

/// The fields that can be changed.
const FIELDS: [&str; 8] =
    ["title", "description", "tags", "genres", "languages", "released_on", "external_ids", "people"];

pub(crate) async fn change(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let asset = asset_for(&state, &caller, asset_in(path)?, Action::EditAsset).await?;
    let condition = IfMatch::of(&headers)?;
    condition.version(asset.about_version)?;
    let patch: Map<String, Value> = document_of(&state, &headers, body, BODY_BYTES_MAX).await?;
    let change = || async {
        let asset = asset_for(&state, &caller, asset.id, Action::EditAsset).await?;
        let version = condition.version(asset.about_version)?;
        let mut wanted = said(&asset.about);
        merge(&mut wanted, Value::Object(patch.clone()));
        let about = read(wanted).and_then(About::tidied).map_err(Problem::invalid_fields)?;
        if about == asset.about {
            return Ok(asset);
        }
        state.catalog.set_about(asset.id, version, &about, state.clock.now()).await?;
        tracing::info!(asset.id = %asset.id, "asset described");
        asset_for(&state, &caller, asset.id, Action::EditAsset).await
    };
    let described = condition.tried(change).await?;
    shown(&state, described).await
}

/// An asset with the versions of what is said about it and was decided.
pub(crate) async fn shown(state: &State, asset: Asset) -> Result<Response, Problem> {
    let mut headers = no_store();
    let tag = HeaderValue::try_from(tag_of(&asset)).ok();
    headers.extend(tag.map(|tag| (header::ETAG, tag)));
    Ok((headers, Json(view(state, asset).await?)).into_response())
}

/// What has to be there for a change of where an asset is shown, when, or at which stage, which need not say so: all that
/// was decided and said about it.
pub(crate) fn expected_place(headers: &HeaderMap, asset: &Asset) -> Result<Expected, Problem> {
    let is_named = IfMatch::is_named(headers, &tag_of(asset))?;
    Ok(if is_named { Expected::Version(asset.version_of(Part::Place)) } else { Expected::Anything })
}

fn tag_of(asset: &Asset) -> String {
    quoted_place(asset.about_version, asset.version_of(Part::Place))
}

/// The tag of an asset: the version of what is said about it comes first, which is all that a change of that looks at.
pub(crate) fn quoted_place(about_version: u64, place: u64) -> String {
    format!("\"{about_version}-{place:016x}\"")
}

/// What is said, as it can be changed.
fn said(about: &About) -> Value {
    json!({
        "title": about.title, "description": about.description, "tags": about.tags, "genres": about.genres,
        "languages": about.languages, "released_on": about.released_on, "external_ids": about.external_ids,
        "people": about.people,
    })
}

/// RFC 7396 §2. As deep as documents are read, which is bounded.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(fields) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(&name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// What is to be said; everything that is not of its form is told.
fn read(value: Value) -> Result<About, Vec<Fault>> {
    let Value::Object(mut fields) = value else { return Err(vec![Fault::new("", "not_an_object", "is an object")]) };
    let mut faults = Vec::new();
    for name in fields.keys().filter(|name| !FIELDS.contains(&name.as_str())) {
        faults.push(Fault::new(pointer_to("", name), "unknown", "there is no such field, or it cannot be changed"));
    }
    let mut take = |name: &str| fields.remove(name).filter(|value| !value.is_null());
    let about = About {
        title: take("title").and_then(|value| text(value, "/title", &mut faults)),
        description: take("description").and_then(|value| text(value, "/description", &mut faults)),
        tags: list(take("tags"), "/tags", &mut faults, text),
        genres: list(take("genres"), "/genres", &mut faults, text),
        languages: list(take("languages"), "/languages", &mut faults, language),
        released_on: take("released_on").and_then(|value| day(value, &mut faults)),
        external_ids: external_ids(take("external_ids"), &mut faults),
        people: list(take("people"), "/people", &mut faults, credit),
    };
    if faults.is_empty() { Ok(about) } else { Err(faults) }
}

fn text(value: Value, pointer: &str, faults: &mut Vec<Fault>) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => {
            faults.push(Fault::new(pointer, "not_a_text", "is a text"));
            None
        }
    }
}

fn list<T>(
    value: Option<Value>,
    pointer: &str,
    faults: &mut Vec<Fault>,
    one: impl Fn(Value, &str, &mut Vec<Fault>) -> Option<T>,
) -> Vec<T> {
    match value {
        None => Vec::new(),
        Some(Value::Array(items)) => {
            let each = items.into_iter().enumerate();
            each.filter_map(|(at, item)| one(item, &format!("{pointer}/{at}"), faults)).collect()
        }
        Some(_) => {
            faults.push(Fault::new(pointer, "not_a_list", "is a list"));
            Vec::new()
        }
    }
}

fn language(value: Value, pointer: &str, faults: &mut Vec<Fault>) -> Option<Language> {
    let code = text(value, pointer, faults)?;
    let language = Language::from_tag(&code);
    if language.is_none() {
        faults.push(Fault::new(
            pointer,
            "invalid_language",
            "is a BCP 47 tag, such as fr or pt-BR, without extensions",
        ));
    }
    language
}

fn day(value: Value, faults: &mut Vec<Fault>) -> Option<Date> {
    let written = text(value, "/released_on", faults)?;
    written
        .parse()
        .map_err(|error: domain::about::NoDate| {
            faults.push(Fault::new("/released_on", "invalid_date", error.to_string()));
        })
        .ok()
}

fn external_ids(value: Option<Value>, faults: &mut Vec<Fault>) -> BTreeMap<String, String> {
    let mut ids = BTreeMap::new();
    match value {
        None => {}
        Some(Value::Object(fields)) => {
            for (scheme, id) in fields {
                let pointer = pointer_to("/external_ids", &scheme);
                ids.extend(text(id, &pointer, faults).map(|id| (scheme, id)));
            }
        }
        Some(_) => faults.push(Fault::new("/external_ids", "not_an_object", "is an object of schemes and ids")),
    }
    ids
}

fn credit(value: Value, pointer: &str, faults: &mut Vec<Fault>) -> Option<Credit> {
    let Value::Object(mut fields) = value else {
        faults.push(Fault::new(pointer, "not_an_object", "is an object with a name and a role"));
        return None;
    };
    let mut take = |name: &str| text(fields.remove(name).unwrap_or_default(), &format!("{pointer}/{name}"), faults);
    let (name, role) = (take("name"), take("role"));
    if !fields.is_empty() {
        faults.push(Fault::new(pointer, "unknown", "has a name and a role and nothing else"));
    }
    Some(Credit { name: name?, role: role? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(mut target: Value, patch: Value) -> Value {
        merge(&mut target, patch);
        target
    }

    #[test]
    fn patches_merge_as_in_appendix_a_of_rfc_7396() {
        for (target, patch, expected) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a":"b"}), json!(["c"]), json!(["c"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"a":"foo"}), json!("bar"), json!("bar")),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            assert_eq!(merged(target.clone(), patch.clone()), expected, "{target} {patch}");
        }
    }

    #[test]
    fn what_is_not_of_its_form_is_told_with_its_place() {
        let wanted = json!({
            "title": 7, "tags": ["a", 1], "genres": "x", "languages": ["fr", "xx"], "released_on": "soon",
            "external_ids": { "imdb": 5 }, "people": [{ "name": "Ada" }, 3, { "name": "x", "role": "y", "age": 4 }],
            "owner": "me",
        });
        let faults = read(wanted).unwrap_err();
        let places: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        let expected = [
            "/owner",
            "/title",
            "/tags/1",
            "/genres",
            "/languages/1",
            "/released_on",
            "/external_ids/imdb",
            "/people/0/role",
            "/people/1",
            "/people/2",
        ];
        assert_eq!(places, expected);
        assert_eq!(read(said(&About::default())).unwrap(), About::default());
    }
}
