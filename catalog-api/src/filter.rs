//! Which assets are listed or searched: what a query says of it.

use catalog_store::Filter;
use domain::about::{Date, label_key};
use domain::{AssetKind, AssetState, Language};

use crate::problem::Problem;

/// Longest value, in characters.
const VALUE_CHARS_MAX: usize = 200;

/// What a query says, as it is written there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) kind: Option<&'a str>,
    pub(crate) tag: Option<&'a str>,
    pub(crate) genre: Option<&'a str>,
    pub(crate) language: Option<&'a str>,
    pub(crate) state: Option<&'a str>,
    pub(crate) owner: Option<&'a str>,
    pub(crate) released_after: Option<&'a str>,
    pub(crate) released_before: Option<&'a str>,
}

impl Wanted<'_> {
    /// What it means; a value that means nothing is told.
    pub(crate) fn filter(&self) -> Result<Filter, Problem> {
        let unknown = |name: &str, what: &str| Problem::invalid_query(format!("{name} is {what}"));
        let kind = self.kind.map(|name| AssetKind::from_name(name).ok_or_else(|| unknown("type", "video or audio")));
        let state = self.state.map(|name| {
            let known = AssetState::from_name(name).filter(|state| *state != AssetState::Deleted);
            known.ok_or_else(|| unknown("state", "uploading, received, probed, processing, ready or failed"))
        });
        let language = self.language.map(|code| {
            let language = Language::from_tag(code).ok_or_else(Problem::unknown_language);
            language.map(|language| language.tag().to_owned())
        });
        let day = |name: &str, text: Option<&str>| {
            let day = text.map(|text| {
                text.parse::<Date>().map_err(|_| unknown(name, "a day, written YYYY-MM-DD, such as 1999-03-31"))
            });
            day.transpose().map(|day| day.map(|day| day.to_string()))
        };
        Ok(Filter {
            kind: kind.transpose()?,
            tag: short("tag", self.tag)?.map(label_key),
            genre: short("genre", self.genre)?.map(label_key),
            language: language.transpose()?,
            state: state.transpose()?,
            owner: short("owner", self.owner)?.map(str::to_owned),
            released_from: day("released_after", self.released_after)?,
            released_to: day("released_before", self.released_before)?,
        })
    }
}

fn short<'a>(name: &str, value: Option<&'a str>) -> Result<Option<&'a str>, Problem> {
    if value.is_some_and(|value| value.chars().count() > VALUE_CHARS_MAX || value.contains('\0')) {
        return Err(Problem::invalid_query(format!("{name} has at most {VALUE_CHARS_MAX} characters")));
    }
    Ok(value)
}
