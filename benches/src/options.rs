//! Command line options of a bench: `--name value` and one plain argument.

use std::path::{Path, PathBuf};

/// What was given on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    named: Vec<(String, String)>,
    plain: Option<String>,
}

/// Why a command line is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// An option without its value.
    #[error("--{name} needs a value")]
    Value {
        /// The option.
        name: String,
    },
    /// An option that the bench does not have.
    #[error("no option --{name}: there is {known}")]
    Unknown {
        /// The option.
        name: String,
        /// What there is.
        known: String,
    },
    /// A second plain argument.
    #[error("one argument at most, not also {extra}")]
    Extra {
        /// The second one.
        extra: String,
    },
}

impl Options {
    /// Reads the arguments after the program's name; cargo's own `--bench` is passed over.
    ///
    /// # Errors
    /// If an option is not in `known`, lacks its value, or there are two plain arguments.
    pub fn read(args: impl Iterator<Item = String>, known: &[&str]) -> Result<Self, OptionsError> {
        let mut args = args.filter(|arg| arg != "--bench");
        let mut options = Self::default();
        while let Some(arg) = args.next() {
            match arg.strip_prefix("--") {
                Some(name) if known.contains(&name) => {
                    let value = args.next().ok_or_else(|| OptionsError::Value { name: name.into() })?;
                    options.named.push((name.into(), value));
                }
                Some(name) => {
                    let known = known.iter().map(|name| format!("--{name}")).collect::<Vec<_>>().join(", ");
                    return Err(OptionsError::Unknown { name: name.into(), known });
                }
                None if options.plain.is_some() => return Err(OptionsError::Extra { extra: arg }),
                None => options.plain = Some(arg),
            }
        }
        Ok(options)
    }

    /// The plain argument as a path; see [`path`].
    pub fn plain_path(&self) -> Option<PathBuf> {
        self.plain.as_deref().map(path)
    }

    /// The last value of an option.
    pub fn named(&self, name: &str) -> Option<&str> {
        self.named.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A path that is relative to the top of the checkout, as cargo starts benches somewhere else.
pub fn path(text: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Options, OptionsError> {
        Options::read(args.iter().map(|arg| (*arg).to_owned()), &["rounds", "headwater"])
    }

    #[test]
    fn options_and_one_file_are_read() {
        let options = read(&["--rounds", "3", "film.mp4", "--bench"]).unwrap();
        assert_eq!((options.named("rounds"), options.plain_path()), (Some("3"), Some(path("film.mp4"))));
        assert_eq!(path("/film.mp4"), Path::new("/film.mp4"));
        assert_eq!(options.named("headwater"), None);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let check = |args: &[&str], expected: &str| assert_eq!(read(args).unwrap_err().to_string(), expected);
        check(&["--rounds"], "--rounds needs a value");
        check(&["--fast", "1"], "no option --fast: there is --rounds, --headwater");
        check(&["a", "b"], "one argument at most, not also b");
    }
}
