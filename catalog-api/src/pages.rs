//! Lists, a page at a time: how much of one, behind what it begins, and where the next one does.

use std::str::FromStr;

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use catalog_store::cursors::{Cursors, link_to_next};
use serde::{Deserialize, Serialize};

use crate::State;
use crate::assets::no_store;
use crate::problem::Problem;

/// What is asked of a list that has nothing else to ask for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    pub(crate) limit: Option<u32>,
    pub(crate) after: Option<String>,
}

/// A page of a list.
#[derive(Serialize)]
pub(crate) struct Page<T> {
    pub(crate) data: Vec<T>,
    pub(crate) page: PageInfo,
}

/// Whether more comes behind a page.
#[derive(Serialize)]
pub(crate) struct PageInfo {
    /// What to pass as `after` for the next page.
    pub(crate) next: Option<String>,
    pub(crate) has_more: bool,
}

/// A list of which a page is asked for. Its name tells it from every other list, and from itself in another order or by
/// another filter: a cursor is good for one of them.
pub(crate) struct Listing {
    cursors: Cursors,
    name: String,
    limit: u32,
}

impl Listing {
    /// A page of `limit` rows, or of the usual number; at most as many as `most`.
    pub(crate) fn of(
        state: &State,
        name: impl Into<String>,
        limit: Option<u32>,
        (usual, most): (u32, u32),
    ) -> Result<Self, Problem> {
        let limit = limit.unwrap_or(usual);
        if !(1..=most).contains(&limit) {
            return Err(Problem::invalid_query(format!("limit is 1 to {most}")));
        }
        Ok(Self { cursors: state.catalog.cursors()?.clone(), name: name.into(), limit })
    }

    /// Rows that are shown.
    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// Rows to read: one more than is shown tells whether there are more.
    pub(crate) fn rows(&self) -> u32 {
        self.limit + 1
    }

    /// The place that a cursor of this list names.
    pub(crate) fn place(&self, cursor: Option<&str>) -> Result<Option<String>, Problem> {
        cursor.map(|text| self.cursors.opened(&self.name, text).ok_or_else(Problem::invalid_cursor)).transpose()
    }

    /// The same where a place is one value.
    pub(crate) fn after<T: FromStr>(&self, cursor: Option<&str>) -> Result<Option<T>, Problem> {
        self.place(cursor)?.map(|place| place.parse().map_err(|_| Problem::invalid_cursor())).transpose()
    }

    /// Leaves of `found` what is shown; `place` tells behind what the next page begins.
    pub(crate) fn cut<T>(&self, found: &mut Vec<T>, place: impl Fn(&T) -> String) -> PageInfo {
        let shown = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let has_more = found.len() > shown;
        found.truncate(shown);
        self.info(found.last().filter(|_| has_more).map(place))
    }

    /// The same of a list that tells by itself where its next page begins.
    pub(crate) fn info(&self, next: Option<String>) -> PageInfo {
        let next = next.and_then(|place| self.cursors.sealed(&self.name, &place));
        PageInfo { has_more: next.is_some(), next }
    }
}

impl PageInfo {
    /// The header fields of a page of what `uri` asks for: among them a link to the next one (RFC 8288).
    pub(crate) fn headers(&self, uri: &Uri) -> HeaderMap {
        let mut headers = no_store();
        let next = self.next.as_deref();
        let link = next.map(|next| link_to_next(uri.path(), uri.query(), next));
        headers.extend(link.and_then(|link| HeaderValue::try_from(link).ok()).map(|link| (header::LINK, link)));
        headers
    }
}

/// The answer with a page of what `uri` asks for.
pub(crate) fn answer<T: Serialize>(uri: &Uri, data: Vec<T>, page: PageInfo) -> Response {
    (page.headers(uri), Json(Page { data, page })).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_whether_more_comes_behind_it() {
        let key = catalog_store::SecretKeys::new("a key of the tests, of 32 characters and more", []).unwrap();
        let list = Listing { cursors: key.cursors().clone(), name: "numbers".into(), limit: 2 };
        let cut = |mut found: Vec<u32>| {
            let page = list.cut(&mut found, u32::to_string);
            let after: Option<u32> = list.after(page.next.as_deref()).unwrap();
            assert_eq!(page.has_more, after.is_some());
            (found, after)
        };
        assert_eq!(list.rows(), 3);
        assert_eq!(cut(vec![]), (vec![], None));
        assert_eq!(cut(vec![7, 8]), (vec![7, 8], None));
        assert_eq!(cut(vec![7, 8, 9]), (vec![7, 8], Some(8)));
    }
}
