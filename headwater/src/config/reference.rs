//! The table of keys as people read it: reference page, sample file, effective values.

use std::fmt::Write;

use super::{Config, KEYS, Kind};

/// What stands in place of a secret that is set.
const HIDDEN: &str = "<hidden>";

/// The reference page, docs/reference/config.md.
pub fn reference() -> String {
    let mut page = String::from(
        "# Configuration\n\
         \n\
         <!-- Made from the table in headwater/src/config/keys.rs; a test compares the two. -->\n\
         \n\
         Values come from a file, then the environment, then flags; the later one wins.\n\
         The file is the one named with `--config`, else `headwater.toml` in the working directory if there is one.\n\
         Every key is an environment variable too: `listen` is `HEADWATER_LISTEN`; lists are separated by commas.\n\
         The most used keys have flags of their own, and `--set KEY=VALUE` sets any.\n\
         An unknown key is an error that names the nearest known one.\n\
         `headwater config` prints the effective values with secrets hidden; `headwater.sample.toml` holds all defaults.\n\
         \n\
         | key | environment | kind | default | meaning |\n\
         |---|---|---|---|---|\n",
    );
    for key in &KEYS {
        let kind = match key.kind {
            Kind::Text if key.is_secret => "secret",
            Kind::Text => "text",
            Kind::Number => "number",
            Kind::Switch => "true or false",
            Kind::List if key.is_secret => "list of secrets",
            Kind::List => "list",
        };
        let variable = format!("HEADWATER_{}", key.name.to_ascii_uppercase());
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| `{}` | `{variable}` | {kind} | `{}` | {} |", key.name, key.default, key.doc);
    }
    page
}

/// The sample file, headwater.sample.toml: every key with its default, commented.
pub fn sample() -> String {
    let mut file =
        String::from("# All settings of Headwater with their defaults; docs/reference/config.md explains the rules.\n");
    for key in &KEYS {
        let _ = write!(file, "\n# {}\n{} = {}\n", key.doc, key.name, key.default);
    }
    file
}

/// The effective configuration as TOML, secrets hidden; what `headwater config` prints.
pub fn effective(config: &Config) -> String {
    let mut table = toml::Table::try_from(config).unwrap_or_default();
    for key in KEYS.iter().filter(|key| key.is_secret) {
        let hidden = match table.get(key.name) {
            Some(toml::Value::String(value)) if !value.is_empty() => HIDDEN.into(),
            Some(toml::Value::Array(values)) if !values.is_empty() => vec![HIDDEN; values.len()].into(),
            _ => continue,
        };
        table.insert(key.name.to_owned(), hidden);
    }
    for name in ["database_url", "storage_url"] {
        if let Some(shown) = table.get(name).and_then(toml::Value::as_str).map(without_password) {
            table.insert(name.to_owned(), shown.into());
        }
    }
    let line = |key: &super::Key| table.get(key.name).map(|value| format!("{} = {value}\n", key.name));
    KEYS.iter().filter_map(line).collect()
}

/// The address with its password, if it carries one, hidden.
pub(crate) fn without_password(address: &str) -> String {
    match url::Url::parse(address) {
        Ok(mut url) if url.password().is_some() => {
            let _ = url.set_password(Some("hidden"));
            url.to_string()
        }
        _ => address.to_owned(),
    }
}
