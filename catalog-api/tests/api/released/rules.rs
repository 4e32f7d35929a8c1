//! What of a description breaks those who use an earlier one.
//!
//! What clients send has to be taken as before: nothing may be required that was not, and no value refused that was
//! taken. What they are answered has to be there as before: no field, status or type may be gone or be of another type.
//! Everything may be added: paths, operations, statuses, fields of answers, optional fields and parameters, values of
//! enumerations.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Deepest nesting of schemas that is looked into.
const DEPTH_MAX: usize = 40;

/// Methods that a path may have.
const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// Bounds below which a value is refused, and above which.
const LEAST: [&str; 5] = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];
const MOST: [&str; 5] = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];
/// Rules that cannot be weighed: one that is there and is another, or new, may refuse what was taken.
const RULES: [&str; 5] = ["pattern", "format", "multipleOf", "uniqueItems", "propertyNames"];

/// Which way a document goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Clients send it.
    In,
    /// Clients are answered with it.
    Out,
}

/// All that breaks users of `old`, each as one line that says where and what.
pub(super) fn breaks(old: &Value, new: &Value) -> Vec<String> {
    let mut found = Found { old, new, within: vec![], lines: BTreeSet::new() };
    for (path, old_path) in object(&old["paths"]) {
        for method in METHODS.iter().filter(|method| old_path.get(**method).is_some()) {
            let place = format!("{} {path}", method.to_uppercase());
            match new["paths"][path].get(*method) {
                Some(new_operation) => found.operation(&place, &old_path[*method], new_operation),
                None => found.tell(&place, "is gone"),
            }
        }
    }
    found.lines.into_iter().collect()
}

struct Found<'a> {
    old: &'a Value,
    new: &'a Value,
    /// References that led here: what refers to itself is looked at once.
    within: Vec<(String, String)>,
    lines: BTreeSet<String>,
}

impl<'a> Found<'a> {
    fn tell(&mut self, place: &str, what: impl AsRef<str>) {
        self.lines.insert(format!("{place}: {}", what.as_ref()));
    }

    fn operation(&mut self, place: &str, old: &'a Value, new: &'a Value) {
        self.parameters(place, old, new);
        self.body(place, old, new);
        let alternatives = |operation: &Value| operation["security"].as_array().cloned().unwrap_or_default();
        let now = alternatives(new);
        for way in alternatives(old).into_iter().filter(|way| !now.contains(way) && !now.is_empty()) {
            self.tell(place, format!("security {way} is gone"));
        }
        for (status, old_answer) in object(&old["responses"]) {
            let place = format!("{place} {status}");
            let Some(new_answer) = new["responses"].get(status) else {
                self.tell(&place, "is gone");
                continue;
            };
            let (old_answer, new_answer) = (resolved(self.old, old_answer), resolved(self.new, new_answer));
            for (header, _) in object(&old_answer["headers"]) {
                if new_answer["headers"].get(header).is_none() {
                    self.tell(&place, format!("header {header} is gone"));
                }
            }
            self.content(&place, Way::Out, old_answer, new_answer);
        }
    }

    fn parameters(&mut self, place: &str, old: &'a Value, new: &'a Value) {
        let named = |parameter: &Value| (text(parameter, "in").to_owned(), text(parameter, "name").to_owned());
        let is_required = |parameter: &Value| parameter["required"] == true;
        let (before, now) = (parameters(self.old, old), parameters(self.new, new));
        for parameter in &now {
            let known = before.iter().find(|known| named(known) == named(parameter));
            if is_required(parameter) && !known.is_some_and(|known| is_required(known)) {
                self.tell(place, format!("parameter {} is required", text(parameter, "name")));
            }
        }
        for known in before {
            let name = text(known, "name");
            match now.iter().find(|parameter| named(parameter) == named(known)) {
                Some(parameter) => {
                    let place = format!("{place} ?{name}");
                    self.schema(&place, Way::In, &known["schema"], &parameter["schema"], 0);
                }
                None => self.tell(place, format!("parameter {name} is gone")),
            }
        }
    }

    fn body(&mut self, place: &str, old: &'a Value, new: &'a Value) {
        let (before, now) = (&old["requestBody"], &new["requestBody"]);
        if now["required"] == true && before["required"] != true {
            self.tell(place, "a body is required");
        }
        if !before.is_null() {
            self.content(&format!("{place} body"), Way::In, before, now);
        }
    }

    fn content(&mut self, place: &str, way: Way, old: &'a Value, new: &'a Value) {
        for (kind, old_content) in object(&old["content"]) {
            match new["content"].get(kind) {
                Some(content) => self.schema(place, way, &old_content["schema"], &content["schema"], 0),
                None => self.tell(place, format!("{kind} is gone")),
            }
        }
    }

    fn schema(&mut self, place: &str, way: Way, old: &'a Value, new: &'a Value, depth: usize) {
        let names = (text(old, "$ref").to_owned(), text(new, "$ref").to_owned());
        if depth > DEPTH_MAX || (!names.0.is_empty() && self.within.contains(&names)) {
            return;
        }
        self.within.push(names);
        self.resolved_schema(place, way, (resolved(self.old, old), resolved(self.new, new)), depth);
        self.within.pop();
    }

    fn resolved_schema(&mut self, place: &str, way: Way, (old, new): (&'a Value, &'a Value), depth: usize) {
        self.types(place, way, old, new);
        self.values(place, old, new);
        if way == Way::In {
            self.bounds(place, old, new);
        }
        self.fields(place, way, old, new, depth);
        if !old["items"].is_null() && !new["items"].is_null() {
            self.schema(&format!("{place}[]"), way, &old["items"], &new["items"], depth + 1);
        }
        self.alternatives(place, way, old, new, depth);
    }

    /// What was taken is taken, and what is answered is what was answered.
    fn types(&mut self, place: &str, way: Way, old: &Value, new: &Value) {
        let (before, now) = (types(old), types(new));
        let is_taken = |kind: &str, by: &[String]| {
            by.is_empty() || by.iter().any(|known| known == kind || (kind == "integer" && known == "number"))
        };
        let (narrow, wide) = if way == Way::In { (&before, &now) } else { (&now, &before) };
        if narrow.is_empty() && !wide.is_empty() && old["oneOf"].is_null() && new["oneOf"].is_null() {
            self.tell(place, format!("type is {now:?}, was {before:?}"));
        }
        for kind in narrow.iter().filter(|kind| !is_taken(kind, wide)) {
            let what = if way == Way::In { "is not taken any more" } else { "is answered" };
            self.tell(place, format!("type {kind} {what}"));
        }
    }

    fn values(&mut self, place: &str, old: &Value, new: &Value) {
        let listed = |schema: &Value| {
            schema["enum"].as_array().cloned().or_else(|| schema.get("const").map(|one| vec![one.clone()]))
        };
        match (listed(old), listed(new)) {
            (None, Some(_)) => self.tell(place, "is an enumeration"),
            (Some(before), Some(now)) => {
                for value in before.iter().filter(|value| !now.contains(value)) {
                    self.tell(place, format!("value {value} is gone"));
                }
            }
            (_, None) => {}
        }
    }

    fn bounds(&mut self, place: &str, old: &Value, new: &Value) {
        let number = |schema: &Value, name: &str| schema[name].as_f64();
        for (names, is_narrower) in [(LEAST, f64::gt as fn(&f64, &f64) -> bool), (MOST, f64::lt)] {
            for name in names {
                let Some(now) = number(new, name) else { continue };
                if number(old, name).is_none_or(|before| is_narrower(&now, &before)) {
                    self.tell(place, format!("{name} is {now}"));
                }
            }
        }
        for name in RULES.iter().filter(|name| !new[**name].is_null() && new[**name] != old[**name]) {
            self.tell(place, format!("{name} is {}", new[*name]));
        }
    }

    fn fields(&mut self, place: &str, way: Way, old: &'a Value, new: &'a Value, depth: usize) {
        let (before, now) = (required(old), required(new));
        match way {
            Way::In => now.difference(&before).for_each(|name| self.tell(place, format!("field {name} is required"))),
            Way::Out => {
                before.difference(&now).for_each(|name| self.tell(place, format!("field {name} may be missing")))
            }
        }
        for (name, field) in object(&old["properties"]) {
            match new["properties"].get(name) {
                Some(now) => self.schema(&format!("{place}.{name}"), way, field, now, depth + 1),
                None => self.tell(place, format!("field {name} is gone")),
            }
        }
        let (before, now) = (&old["additionalProperties"], &new["additionalProperties"]);
        if way == Way::In && *now == false && *before != false && !types(old).is_empty() {
            self.tell(place, "other fields are refused");
        }
        if before.is_object() && now.is_object() {
            self.schema(&format!("{place}.*"), way, before, now, depth + 1);
        }
    }

    /// Each alternative of what comes is one of those that whoever takes it knows.
    fn alternatives(&mut self, place: &str, way: Way, old: &'a Value, new: &'a Value, depth: usize) {
        for name in ["oneOf", "anyOf", "allOf"] {
            let list = |schema: &'a Value| schema[name].as_array().map_or(&[][..], Vec::as_slice);
            let (before, now) = (list(old), list(new));
            if before.is_empty() && now.is_empty() {
                continue;
            }
            let (coming, known) = if way == Way::In { (before, now) } else { (now, before) };
            for (nth, one) in coming.iter().enumerate() {
                let fits = |other: &&'a Value| {
                    let (one, other) = if way == Way::In { (one, *other) } else { (*other, one) };
                    let (old, new, within) = (self.old, self.new, self.within.clone());
                    let mut tried = Found { old, new, within, lines: BTreeSet::new() };
                    tried.schema("", way, one, other, depth + 1);
                    tried.lines.is_empty()
                };
                if !known.iter().any(|other| fits(&other)) {
                    let what = if way == Way::In { "is not taken any more" } else { "is answered" };
                    self.tell(place, format!("alternative {} of {name} {what}", nth + 1));
                }
            }
        }
    }
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let mut value = value;
    for _ in 0..DEPTH_MAX {
        let Some(reference) = value["$ref"].as_str() else { break };
        value = document.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null);
    }
    value
}

fn parameters<'a>(document: &'a Value, operation: &'a Value) -> Vec<&'a Value> {
    let listed = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
    listed.iter().map(|parameter| resolved(document, parameter)).collect()
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn types(schema: &Value) -> Vec<String> {
    match &schema["type"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(all) => all.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
        _ => vec![],
    }
}

fn required(schema: &Value) -> BTreeSet<String> {
    let listed = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    listed.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests;
