//! Lists, a page at a time: how much of one, behind what it begins, and where the next one does.

use std::str::FromStr;

use aws_lc_rs::hmac;
use axum::Json;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::assets::no_store;
use crate::problem::Problem;
use crate::{Access, State};

/// Octets of a cursor's seal.
const SEAL_BYTES: usize = 8;

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
    key: Vec<u8>,
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
        // Where everything is open to everybody there is nothing that a forged cursor could reach.
        let key = match &state.access {
            Access::Accounts(accounts) => accounts.ring().cursor_key(),
            Access::Open => b"open to everybody".to_vec(),
        };
        Ok(Self { key, name: name.into(), limit })
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
        cursor.map(|text| opened(&self.key, &self.name, text)).transpose()
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
        let next = next.map(|place| sealed(&self.key, &self.name, &place));
        PageInfo { has_more: next.is_some(), next }
    }
}

impl PageInfo {
    /// The header fields of a page of what `uri` asks for: among them a link to the next one (RFC 8288).
    pub(crate) fn headers(&self, uri: &Uri) -> HeaderMap {
        let mut headers = no_store();
        headers.extend(link_to_next(uri, self.next.as_deref()));
        headers
    }
}

/// The answer with a page of what `uri` asks for.
pub(crate) fn answer<T: Serialize>(uri: &Uri, data: Vec<T>, page: PageInfo) -> Response {
    (page.headers(uri), Json(Page { data, page })).into_response()
}

/// Where a page ends, sealed so that nobody makes one up or takes it to another list.
fn sealed(key: &[u8], list: &str, place: &str) -> String {
    let seal = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), format!("{list}\n{place}").as_bytes());
    URL_SAFE_NO_PAD.encode([&seal.as_ref()[..SEAL_BYTES], place.as_bytes()].concat())
}

fn opened(key: &[u8], list: &str, cursor: &str) -> Result<String, Problem> {
    let octets = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| Problem::invalid_cursor())?;
    let place = octets.get(SEAL_BYTES..).and_then(|place| std::str::from_utf8(place).ok());
    let place = place.filter(|place| sealed(key, list, place) == cursor);
    place.map(str::to_owned).ok_or_else(Problem::invalid_cursor)
}

fn link_to_next(uri: &Uri, next: Option<&str>) -> Option<(header::HeaderName, HeaderValue)> {
    let asked = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<&str> = asked.filter(|pair| !pair.starts_with("after=")).collect();
    let after = format!("after={}", next?);
    pairs.push(&after);
    let link = format!("<{}?{}>; rel=\"next\"", uri.path(), pairs.join("&"));
    HeaderValue::try_from(link).ok().map(|link| (header::LINK, link))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_list_only_and_cannot_be_made_up() {
        let next = sealed(b"key", "users", "usr_1");
        assert_eq!(opened(b"key", "users", &next).unwrap(), "usr_1");
        assert!(opened(b"key", "audit", &next).is_err() && opened(b"other", "users", &next).is_err());
        let forged = URL_SAFE_NO_PAD.encode(b"12345678usr_1");
        for wrong in [&*forged, "", "x", "####", &next[..next.len() - 1]] {
            assert!(opened(b"key", "users", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_page_tells_whether_more_comes_behind_it() {
        let list = Listing { key: b"key".to_vec(), name: "numbers".into(), limit: 2 };
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

    #[test]
    fn a_link_to_the_next_page_asks_for_the_same() {
        let link = |uri: &str| link_to_next(&uri.parse().unwrap(), Some("x")).unwrap().1;
        assert_eq!(link("/a?limit=2&after=w&tag=%C3%A9"), "</a?limit=2&tag=%C3%A9&after=x>; rel=\"next\"");
        assert_eq!(link("/a"), "</a?after=x>; rel=\"next\"");
        assert_eq!(link_to_next(&"/a".parse().unwrap(), None), None);
    }
}
