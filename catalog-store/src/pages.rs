//! Lists, a page at a time: how much of one, on which side of which place, and where the pages around it begin.

use std::str::FromStr;

use serde::Serialize;

use crate::cursors::Cursors;
use crate::engine::{Arg, Row};
use crate::sql::Sql;
use crate::{Catalog, CatalogError};

/// Which rows of a list are meant, from a place in it. Where none is named they are the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side<P> {
    /// Those right behind it.
    After(P),
    /// Those right before it, in the same order.
    Before(P),
}

impl<P> Side<P> {
    /// The same side of what `read` makes of the place.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn read<Q, E>(self, read: impl FnOnce(P) -> Result<Q, E>) -> Result<Side<Q>, E> {
        Ok(match self {
            Self::After(place) => Side::After(read(place)?),
            Self::Before(place) => Side::Before(read(place)?),
        })
    }

    /// Where rows are read from and which way; `first` lies before all of them.
    pub(crate) fn or_first(side: Option<Self>, first: P) -> (P, Way) {
        match side {
            None => (first, Way::On),
            Some(Self::After(place)) => (place, Way::On),
            Some(Self::Before(place)) => (place, Way::Back),
        }
    }
}

/// Which way rows are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// In the order of their list.
    On,
    /// Against it.
    Back,
}

impl Way {
    /// What is for this way.
    pub(crate) fn of<T>(self, [on, back]: [T; 2]) -> T {
        match self {
            Self::On => on,
            Self::Back => back,
        }
    }

    /// At most `count` of what is read first this way, and the rest; both in the order of their list.
    pub(crate) fn taken<T>(self, rows: &[T], count: usize) -> (&[T], &[T]) {
        let count = count.min(rows.len());
        match self {
            Self::On => rows.split_at(count),
            Self::Back => {
                let (rest, taken) = rows.split_at(rows.len() - count);
                (taken, rest)
            }
        }
    }

    /// Rows that were read this way, in the order of their list.
    pub(crate) fn in_order<T>(self, mut rows: Vec<T>) -> Vec<T> {
        if self == Self::Back {
            rows.reverse();
        }
        rows
    }
}

impl Catalog {
    /// Rows of a page in the order of its list, by the statement that reads them or the one that does so backwards.
    pub(crate) async fn page<R: Row>(
        &self,
        way: Way,
        statements: [Sql; 2],
        args: Vec<Arg>,
    ) -> Result<Vec<R>, CatalogError> {
        Ok(way.in_order(self.rows(way.of(statements), args).await?))
    }
}

/// A list of which a page is asked for. Its name tells it from every other list, and from itself in another order or by
/// another filter: a cursor is good for one of them.
#[derive(Debug)]
pub struct Listing {
    cursors: Cursors,
    name: String,
    limit: u32,
    side: Option<Side<String>>,
}

/// A page that there is not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// So many rows are on no page.
    #[error("limit is 1 to {most}")]
    Limit {
        /// The most.
        most: u32,
    },
    /// It lies on both sides.
    #[error("after and before ask for two pages: name one of them")]
    BothSides,
    /// A place that is none of the list.
    #[error("after is page.next of a page of the same list, and before is page.prev of one")]
    Cursor,
    /// Cursors cannot be sealed yet.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// Where the pages around a page begin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PageInfo {
    /// What to pass as `after` for the page behind it; `None` on the last one.
    pub next: Option<String>,
    /// What to pass as `before` for the page before it; `None` on the first one. An empty page has neither.
    pub prev: Option<String>,
    /// Whether more comes behind it.
    pub has_more: bool,
}

impl Listing {
    /// The first page, of `limit` rows or of the usual number; at most as many as `most`.
    ///
    /// # Errors
    /// [`PageError::Limit`]; [`PageError::Catalog`] before [`Catalog::unlock`].
    pub fn of(
        catalog: &Catalog,
        name: impl Into<String>,
        limit: Option<u32>,
        (usual, most): (u32, u32),
    ) -> Result<Self, PageError> {
        let limit = limit.unwrap_or(usual);
        if !(1..=most).contains(&limit) {
            return Err(PageError::Limit { most });
        }
        Ok(Self { cursors: catalog.cursors()?.clone(), name: name.into(), limit, side: None })
    }

    /// The page behind one cursor or before the other, if there is one.
    ///
    /// # Errors
    /// [`PageError::BothSides`]; [`PageError::Cursor`] if it is none of this list.
    pub fn at(mut self, after: Option<&str>, before: Option<&str>) -> Result<Self, PageError> {
        let opened = |cursor| self.cursors.opened(&self.name, cursor).ok_or(PageError::Cursor);
        self.side = match (after, before) {
            (None, None) => None,
            (Some(after), None) => Some(Side::After(opened(after)?)),
            (None, Some(before)) => Some(Side::Before(opened(before)?)),
            (Some(_), Some(_)) => return Err(PageError::BothSides),
        };
        Ok(self)
    }

    /// Rows to read: one more than is shown tells whether there are more.
    pub fn rows(&self) -> u32 {
        self.limit + 1
    }

    /// What is asked for, where a place is one value.
    ///
    /// # Errors
    /// [`PageError::Cursor`] if it does not read as one.
    pub fn side<P: FromStr>(&self) -> Result<Option<Side<P>>, PageError> {
        self.side_of(|place| place.parse().ok())
    }

    /// The same where `read` tells what a place is.
    ///
    /// # Errors
    /// [`PageError::Cursor`] if it does not read as one.
    pub fn side_of<P>(&self, read: impl FnOnce(&str) -> Option<P>) -> Result<Option<Side<P>>, PageError> {
        let place = |place: String| read(&place).ok_or(PageError::Cursor);
        self.side.clone().map(|side| side.read(place)).transpose()
    }

    /// Leaves of `found` what is shown: of a page that is asked for by what comes behind it the last, else the first.
    /// `place` tells the place of a row.
    pub fn cut<T>(&self, found: &mut Vec<T>, place: impl Fn(&T) -> String) -> PageInfo {
        let shown = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let has_more = found.len() > shown;
        // What a cursor names lies on its other side.
        let (is_behind, is_before) = match self.side {
            None => (has_more, false),
            Some(Side::After(_)) => (has_more, true),
            Some(Side::Before(_)) => (true, has_more),
        };
        if let Some(Side::Before(_)) = self.side {
            found.drain(..found.len().saturating_sub(shown));
        } else {
            found.truncate(shown);
        }
        let sealed = |row: &T| self.cursors.sealed(&self.name, &place(row));
        let next = found.last().filter(|_| is_behind).and_then(sealed);
        let prev = found.first().filter(|_| is_before).and_then(sealed);
        PageInfo { has_more: next.is_some(), next, prev }
    }
}

impl PageInfo {
    /// The value of `Link` on a page at `path`, asked for by `query`, that leads to those around it (RFC 8288).
    pub fn link(&self, path: &str, query: Option<&str>) -> Option<String> {
        let is_kept = |pair: &&str| !["", "after", "before"].contains(&pair.split('=').next().unwrap_or_default());
        let asked: String = query.unwrap_or_default().split('&').filter(is_kept).flat_map(|pair| [pair, "&"]).collect();
        let to = |side: &str, cursor: &str, rel: &str| format!("<{path}?{asked}{side}={cursor}>; rel=\"{rel}\"");
        let next = self.next.as_deref().map(|next| to("after", next, "next"));
        let prev = self.prev.as_deref().map(|prev| to("before", prev, "prev"));
        let links: Vec<String> = next.into_iter().chain(prev).collect();
        (!links.is_empty()).then(|| links.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(limit: u32) -> Listing {
        let keys = crate::SecretKeys::new("a key of the tests, of 32 characters and more", []).unwrap();
        Listing { cursors: keys.cursors().clone(), name: "numbers".into(), limit, side: None }
    }

    /// A page of the numbers 1 to `last` as a catalogue reads it: what is shown, and the pages around it.
    fn page(list: &Listing, last: u32) -> (Vec<u32>, PageInfo) {
        let (place, way) = Side::or_first(list.side().unwrap(), 0);
        let rows = usize::try_from(list.rows()).unwrap();
        let read = way.of([(place + 1..=last).collect::<Vec<u32>>(), (1..place).rev().collect()]);
        let mut found = way.in_order(read.into_iter().take(rows).collect());
        let page = list.cut(&mut found, u32::to_string);
        assert_eq!(page.has_more, page.next.is_some());
        (found, page)
    }

    #[test]
    fn pages_lead_to_those_around_them() {
        let (first, to) = page(&list(2), 5);
        assert_eq!((first, to.prev.as_ref()), (vec![1, 2], None));
        let (second, to) = page(&list(2).at(to.next.as_deref(), None).unwrap(), 5);
        assert_eq!(second, [3, 4]);
        let (last, end) = page(&list(2).at(to.next.as_deref(), None).unwrap(), 5);
        assert_eq!((last, end.has_more), (vec![5], false));
        let (before, back) = page(&list(2).at(None, end.prev.as_deref()).unwrap(), 5);
        assert_eq!((before, &back), (vec![3, 4], &to), "it is the same page");
        let (before, back) = page(&list(2).at(None, back.prev.as_deref()).unwrap(), 5);
        assert_eq!((before, back.has_more, back.prev), (vec![1, 2], true, None));
    }

    #[test]
    fn an_empty_page_leads_nowhere() {
        let (seen, to) = page(&list(5), 6);
        assert_eq!(seen.len(), 5);
        let gone = page(&list(5).at(to.next.as_deref(), None).unwrap(), 5);
        assert_eq!(gone, (vec![], PageInfo::default()));
        assert_eq!(page(&list(5), 0), (vec![], PageInfo::default()));
        assert_eq!(page(&list(5), 5).1, PageInfo::default());
    }

    #[test]
    fn a_page_is_asked_for_by_one_cursor_of_its_list() {
        let cursor = page(&list(1), 2).1.next;
        let both = list(1).at(cursor.as_deref(), cursor.as_deref());
        assert!(matches!(&both, Err(PageError::BothSides)));
        let told = both.unwrap_err().to_string();
        assert!(told.contains("after") && told.contains("before"), "{told}");
        let other = Listing { name: "others".into(), ..list(1) };
        for (after, before) in
            [(cursor.as_deref(), None), (None, cursor.as_deref()), (Some("x"), None), (None, Some(""))]
        {
            let other = Listing { cursors: other.cursors.clone(), name: other.name.clone(), limit: 1, side: None };
            assert!(matches!(other.at(after, before), Err(PageError::Cursor)), "{after:?} {before:?}");
        }
    }

    #[test]
    fn links_ask_for_the_same() {
        let info = |next: Option<&str>, prev: Option<&str>| PageInfo {
            next: next.map(str::to_owned),
            prev: prev.map(str::to_owned),
            has_more: next.is_some(),
        };
        let link = |info: PageInfo, query| info.link("/a", query);
        let asked = Some("limit=2&after=w&tag=%C3%A9&released_after=2026-01-01");
        let kept = "limit=2&tag=%C3%A9&released_after=2026-01-01";
        assert_eq!(
            link(info(Some("x"), Some("v")), asked).unwrap(),
            format!("</a?{kept}&after=x>; rel=\"next\", </a?{kept}&before=v>; rel=\"prev\"")
        );
        assert_eq!(link(info(None, Some("v")), Some("before=w&")).unwrap(), "</a?before=v>; rel=\"prev\"");
        assert_eq!(link(info(Some("x"), None), None).unwrap(), "</a?after=x>; rel=\"next\"");
        assert_eq!(link(info(None, None), asked), None);
    }
}
