//! What is wrong with a query, in words of whoever sent it.

/// What the reader of queries says, as a sentence that names the parameter and what it takes.
pub(super) fn plain(told: &str) -> String {
    // `Failed to deserialize query string: limit: invalid digit found in string`; without a place for unknown names.
    let told = told.strip_prefix("Failed to deserialize query string: ").unwrap_or(told);
    if let Some(rest) = told.find("unknown field `").map(|at| &told[at + "unknown field `".len()..]) {
        let (name, known) = rest.split_once('`').unwrap_or((rest, ""));
        let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        return match known.as_slice() {
            [] => format!("there is no parameter {name}"),
            _ => format!("there is no parameter {name}: there are {}", known.join(", ")),
        };
    }
    if let Some(rest) = told.find("duplicate field `").map(|at| &told[at + "duplicate field `".len()..]) {
        return format!("{} is given more than once", rest.trim_end_matches('`'));
    }
    let Some((name, fault)) = told.split_once(": ") else { return format!("the query cannot be read: {told}") };
    let takes = match fault {
        "invalid digit found in string" | "cannot parse integer from empty string" => "a whole number, from 0",
        "number too large to fit in target type" => "a smaller number",
        "provided string was not `true` or `false`" => "true or false",
        other => return format!("{name} cannot be read: {other}"),
    };
    format!("{name} is {takes}")
}

#[cfg(test)]
mod tests {
    use axum::extract::Query;
    use axum::http::Uri;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        #[expect(dead_code, reason = "only its type matters")]
        limit: Option<u32>,
        #[serde(default)]
        #[expect(dead_code, reason = "only its type matters")]
        facets: bool,
    }

    #[test]
    fn what_is_wrong_with_a_query_names_the_parameter_and_what_it_takes() {
        let told = |query: &str| {
            let uri: Uri = format!("/?{query}").parse().unwrap();
            plain(&Query::<Wanted>::try_from_uri(&uri).unwrap_err().body_text())
        };
        for (query, expected) in [
            ("limit=abc", "limit is a whole number, from 0"),
            ("limit=-1", "limit is a whole number, from 0"),
            ("limit=", "limit is a whole number, from 0"),
            ("limit=99999999999", "limit is a smaller number"),
            ("facets=maybe", "facets is true or false"),
            ("x=1", "there is no parameter x: there are limit, facets"),
            ("limit=1&limit=2", "limit is given more than once"),
        ] {
            assert_eq!(told(query), expected, "{query}");
        }
    }
}
