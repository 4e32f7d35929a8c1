//! Lists, a page at a time, as they are answered.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use catalog_store::{PageError, PageInfo};
use serde::{Deserialize, Serialize};

use crate::assets::no_store;
use crate::problem::Problem;

/// What is asked of a list that has nothing else to ask for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    pub(crate) limit: Option<u32>,
    pub(crate) after: Option<String>,
    pub(crate) before: Option<String>,
}

/// A page of a list.
#[derive(Serialize)]
pub(crate) struct Page<T> {
    pub(crate) data: Vec<T>,
    pub(crate) page: PageInfo,
}

impl From<PageError> for Problem {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Cursor => Self::invalid_cursor(),
            PageError::Catalog(error) => error.into(),
            error @ PageError::BothSides => Self::invalid_parameter(error.to_string()),
            error => Self::invalid_query(error.to_string()),
        }
    }
}

/// The header fields of a page of what `uri` asks for: among them links to those around it (RFC 8288).
pub(crate) fn headers(page: &PageInfo, uri: &Uri) -> HeaderMap {
    let mut headers = no_store();
    let link = page.link(uri.path(), uri.query());
    headers.extend(link.and_then(|link| HeaderValue::try_from(link).ok()).map(|link| (header::LINK, link)));
    headers
}

/// The answer with a list that is bounded, and shown as a whole.
pub(crate) fn whole<T: Serialize>(data: Vec<T>) -> Response {
    (no_store(), Json(Page { data, page: PageInfo::default() })).into_response()
}

/// The answer with a page of what `uri` asks for.
pub(crate) fn answer<T: Serialize>(uri: &Uri, data: Vec<T>, page: PageInfo) -> Response {
    (headers(&page, uri), Json(Page { data, page })).into_response()
}
