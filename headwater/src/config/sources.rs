//! Where values come from: a file, the environment, flags.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::keys::{self, Key, Kind};
use super::{Config, ConfigError, KEYS, nearest};

/// The file that is read when none is named and this one exists.
const DEFAULT_FILE: &str = "headwater.toml";

/// What the environment names begin with.
const PREFIX: &str = "HEADWATER_";

/// Variables with the prefix that are no settings: those of the project's tests, and the token of
/// whoever uploads.
fn is_no_setting(name: &str) -> bool {
    name.starts_with("HEADWATER_TEST_") || name == "HEADWATER_CORPUS" || name == "HEADWATER_TOKEN"
}

/// What the command line says about the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// A file to read instead of `./headwater.toml`.
    pub file: Option<PathBuf>,
    /// Keys and values set by flags.
    pub flags: Vec<(String, String)>,
}

/// Reads file and environment and merges them with the flags.
///
/// # Errors
/// See [`ConfigError`]; the message names the key and where it stands.
pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
    let (path, text) = match &sources.file {
        Some(path) => (path.clone(), Some(read(path)?)),
        None => {
            let path = PathBuf::from(DEFAULT_FILE);
            let text = if path.exists() { Some(read(&path)?) } else { None };
            (path, text)
        }
    };
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    merge(text.as_deref().map(|text| (path.as_path(), text)), &environment, &sources.flags)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

/// Merges the layers over the defaults: `file` (its path and text) < `environment` < `flags`.
///
/// # Errors
/// See [`ConfigError`].
pub fn merge(
    file: Option<(&Path, &str)>,
    environment: &[(String, String)],
    flags: &[(String, String)],
) -> Result<Config, ConfigError> {
    let mut layers = Layers::of_defaults();
    if let Some((path, text)) = file {
        layers.add_file(path, text)?;
    }
    for (name, value) in environment.iter().filter(|(name, _)| !is_no_setting(name)) {
        let key = name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase();
        layers.add_text(name, &key, value)?;
    }
    for (key, value) in flags {
        layers.add_text(&format!("--{}", key.replace('_', "-")), key, value)?;
    }
    layers.into_config()
}

/// The values so far, and where each was set last.
struct Layers {
    values: Table,
    origins: Vec<(&'static str, String)>,
}

impl Layers {
    fn of_defaults() -> Self {
        let mut layers = Self { values: Table::new(), origins: Vec::new() };
        for key in &KEYS {
            let value: Table = format!("v = {}", key.default).parse().expect("every default is TOML: tested");
            layers.set("default", key, value.get("v").cloned().expect("just written"));
        }
        layers
    }

    fn set(&mut self, origin: &str, key: &Key, value: Value) {
        self.values.insert(key.name.to_owned(), value);
        self.origins.retain(|(name, _)| *name != key.name);
        self.origins.push((key.name, origin.to_owned()));
    }

    fn add_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
            path: path.to_owned(),
            message: error.to_string().trim().to_owned(),
        })?;
        let origin = path.display().to_string();
        for (name, value) in table {
            let key = known(&origin, &name)?;
            self.set(&origin, key, value);
        }
        Ok(())
    }

    fn add_text(&mut self, origin: &str, name: &str, text: &str) -> Result<(), ConfigError> {
        let key = known(origin, name)?;
        let value = match key.kind {
            Kind::Text => Value::String(text.to_owned()),
            Kind::Number => Value::Integer(text.trim().parse().map_err(|_| ConfigError::Invalid {
                origin: origin.to_owned(),
                key: key.name.to_owned(),
                problem: format!("must be a whole number, not \"{text}\""),
            })?),
            Kind::Switch => Value::Boolean(text.trim().parse().map_err(|_| ConfigError::Invalid {
                origin: origin.to_owned(),
                key: key.name.to_owned(),
                problem: format!("must be true or false, not \"{text}\""),
            })?),
            Kind::List => Value::Array(
                text.split(',')
                    .map(str::trim)
                    .filter(|word| !word.is_empty())
                    .map(|word| Value::String(word.to_owned()))
                    .collect(),
            ),
        };
        self.set(origin, key, value);
        Ok(())
    }

    fn into_config(self) -> Result<Config, ConfigError> {
        let origin_of = |name: &str| {
            self.origins.iter().find(|(key, _)| *key == name).map_or_else(String::new, |(_, origin)| origin.clone())
        };
        // One key at a time over the defaults, so that a wrong value is blamed on its own key.
        let config = self.values.clone().try_into::<Config>().map_err(|_| self.blame())?;
        config.check().map_err(|(key, problem)| ConfigError::Invalid {
            origin: origin_of(key),
            key: key.to_owned(),
            problem,
        })?;
        Ok(config)
    }

    /// Finds the key whose value does not fit, by trying each alone over the defaults.
    fn blame(&self) -> ConfigError {
        let defaults = Self::of_defaults().values;
        for (key, origin) in &self.origins {
            let mut alone = defaults.clone();
            if let Some(value) = self.values.get(*key) {
                alone.insert((*key).to_owned(), value.clone());
            }
            if let Err(error) = alone.try_into::<Config>() {
                let problem = format!("is not usable: {}", error.message());
                return ConfigError::Invalid { origin: origin.clone(), key: (*key).to_owned(), problem };
            }
        }
        ConfigError::Invalid { origin: "configuration".into(), key: "values".into(), problem: "do not fit".into() }
    }
}

fn known(origin: &str, name: &str) -> Result<&'static Key, ConfigError> {
    keys::find(name).ok_or_else(|| ConfigError::Unknown {
        origin: origin.to_owned(),
        key: name.to_owned(),
        nearest: nearest(name),
    })
}
