//! In which passages a term is: as an engine tells it, or as it told it before and what was changed since.
//!
//! Finds are kept with a horizon: they hold every change below it. On PostgreSQL that is the oldest transaction that was
//! still open when they were told, so that nothing is missed that is committed out of turn (`txid_snapshot_xmin`,
//! PostgreSQL manual, section 9.26); on SQLite, where writers follow each other, the number of the next change.

use std::sync::Arc;

use domain::search::Term;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde_json::json;

use super::index::{Dialect, PASSAGES};
use crate::catalog::Text;
use crate::engine::{args, corrupt, json as text};
use crate::{Catalog, CatalogError, sql};

/// Passages in which one term is looked for; in more of them it is only found in those of the newest assets.
const FOUND_MAX: usize = 200_000;
/// Octets of finds that one catalogue keeps.
const KEPT_OCTETS_MAX: u64 = 32 * 1024 * 1024;
/// The most frequent words that a server reads when it starts, and octets of what they find.
const USUAL_WORDS_MAX: i64 = 256;
const USUAL_OCTETS_MAX: u64 = KEPT_OCTETS_MAX / 2;
/// Terms that are expected among them, each of a few hundred passages or more.
const KEPT_TERMS: usize = 4096;

/// Ids of passages, the highest first.
pub(super) type Passages = Arc<Vec<i64>>;

/// What was found of terms that were searched for lately.
pub(crate) struct KeptFinds(Cache<String, Kept, Weight>);

/// What an engine told of a term.
#[derive(Clone)]
struct Kept {
    passages: Passages,
    /// Every change below it is in there.
    horizon: i64,
}

#[derive(Clone)]
struct Weight;

impl Weighter<String, Kept> for Weight {
    fn weight(&self, term: &String, kept: &Kept) -> u64 {
        let octets = term.len() + size_of::<Kept>() + kept.passages.len() * size_of::<i64>();
        u64::try_from(octets).unwrap_or(u64::MAX)
    }
}

impl Default for KeptFinds {
    fn default() -> Self {
        Self(Cache::with_weighter(KEPT_TERMS, KEPT_OCTETS_MAX, Weight))
    }
}

/// What was changed since a horizon, and where terms are in that.
struct Renewed {
    horizon: i64,
    /// Not below this was everything told; what was changed before it was too much.
    since: i64,
    /// The numbers of the assets that were changed, the highest first.
    documents: Vec<i64>,
    /// Where the terms are in them, in their order; nothing is looked up for those of older horizons.
    passages: Vec<Vec<i64>>,
}

impl Catalog {
    /// The passages in which each of these is, which are in the engine's own words.
    pub(super) async fn finds(&self, terms: &[String]) -> Result<Vec<Passages>, CatalogError> {
        let finds = self.kept_finds();
        let mut found: Vec<Option<Passages>> = vec![None; terms.len()];
        let kept: Vec<(usize, Kept)> =
            terms.iter().enumerate().filter_map(|(at, term)| Some((at, finds.0.get(term)?))).collect();
        if !kept.is_empty() {
            let renewed = self.renewed(terms, &kept).await?;
            for ((at, kept), changed) in kept.iter().zip(&renewed.passages) {
                if kept.horizon >= renewed.since {
                    let passages = with_changes(&kept.passages, &renewed.documents, changed);
                    found[*at] = Some(passages.clone());
                    finds.0.insert(terms[*at].clone(), Kept { passages, horizon: renewed.horizon });
                }
            }
        }
        let unknown: Vec<usize> = (0..terms.len()).filter(|at| found[*at].is_none()).collect();
        if !unknown.is_empty() {
            let asked: Vec<_> = unknown.iter().map(|at| json!({ "t": at, "q": terms[*at] })).collect();
            let limit = i64::try_from(FOUND_MAX).unwrap_or(i64::MAX);
            for row in self.rows::<FoundRow>(sql::search::FOUND, args![text("search", &asked)?, limit]).await? {
                let at = place(row.t, terms.len())?;
                let kept = Kept { passages: Arc::new(numbers(row.ids.as_deref())?), horizon: row.number };
                found[at] = Some(kept.passages.clone());
                finds.0.insert(terms[at].clone(), kept);
            }
        }
        let told = |one: Option<Passages>| one.ok_or_else(|| corrupt("search_passages.id", "a term was not told of"));
        found.into_iter().map(told).collect()
    }

    /// Reads what the words find that most passages have, as far as the engine counts words.
    pub(crate) async fn find_usual_words(&self) -> Result<(), CatalogError> {
        let words: Vec<Text> = self.rows(sql::search::USUAL_WORDS, args![USUAL_WORDS_MAX]).await?;
        for Text { text: word } in words {
            if self.kept_finds().0.weight() >= USUAL_OCTETS_MAX {
                break;
            }
            let term = Term { words: vec![word], is_prefix: false };
            self.finds(&[self.dialect().term(&term)]).await?;
        }
        Ok(())
    }

    /// What was changed since the oldest of what is kept.
    async fn renewed(&self, terms: &[String], kept: &[(usize, Kept)]) -> Result<Renewed, CatalogError> {
        let asked = kept.iter().enumerate();
        let asked: Vec<_> =
            asked.map(|(number, (at, kept))| json!({ "t": number, "q": terms[*at], "h": kept.horizon })).collect();
        let oldest = kept.iter().map(|(_, kept)| kept.horizon).min().unwrap_or(0);
        let args = args![text("search", &asked)?, oldest, changes_max(self.dialect())];
        let mut renewed = Renewed { horizon: 0, since: 0, documents: vec![], passages: vec![vec![]; kept.len()] };
        for row in self.rows::<FoundRow>(sql::search::RENEWED, args).await? {
            let ids = numbers(row.ids.as_deref());
            match row.t {
                HORIZON => renewed.horizon = row.number,
                CHANGES => (renewed.since, renewed.documents) = (row.number, ids?),
                number => renewed.passages[place(number, kept.len())?] = ids?,
            }
        }
        Ok(renewed)
    }
}

/// The rows of [`sql::search::RENEWED`] that are of no term.
const HORIZON: i64 = -1;
const CHANGES: i64 = -2;

/// Assets in which a term is looked for one by one, where that takes less than to look for it in all.
fn changes_max(dialect: Dialect) -> i64 {
    match dialect {
        Dialect::Sqlite => 64,
        Dialect::Postgres => 512,
    }
}

/// What an engine tells of a term, or of changes.
#[derive(sqlx::FromRow)]
struct FoundRow {
    /// Its number, or what else it is about.
    t: i64,
    number: i64,
    /// Numbers with commas between.
    ids: Option<String>,
}

fn place(number: i64, terms: usize) -> Result<usize, CatalogError> {
    let at = usize::try_from(number).ok().filter(|at| *at < terms);
    at.ok_or_else(|| corrupt("search_passages.id", "no such term"))
}

/// Numbers as an engine puts them together, the highest first.
fn numbers(text: Option<&str>) -> Result<Vec<i64>, CatalogError> {
    let list = text.unwrap_or_default().trim_matches(['{', '}']);
    let each = list.split(',').filter(|number| !number.is_empty()).map(str::parse::<i64>);
    let mut numbers = each.collect::<Result<Vec<_>, _>>().map_err(|error| corrupt("search_passages.id", error))?;
    numbers.sort_unstable_by(|some, other| other.cmp(some));
    Ok(numbers)
}

/// The passages of a term after these assets were changed, which hold it in `changed`.
fn with_changes(kept: &Passages, documents: &[i64], changed: &[i64]) -> Passages {
    if documents.is_empty() {
        return kept.clone();
    }
    let is_changed = |id: &i64| documents.binary_search_by(|one| (id / PASSAGES).cmp(one)).is_ok();
    let mut passages: Vec<i64> =
        kept.iter().copied().filter(|id| !is_changed(id)).chain(changed.iter().copied()).collect();
    // What was kept is in order, and so is what comes to it.
    passages.sort_by(|some, other| other.cmp(some));
    passages.truncate(FOUND_MAX);
    Arc::new(passages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_both_engines_put_them_together() {
        assert_eq!(numbers(Some("{3,7,5}")).unwrap(), [7, 5, 3]);
        assert_eq!(numbers(Some("7,3")).unwrap(), [7, 3]);
        for empty in [None, Some(""), Some("{}")] {
            assert_eq!(numbers(empty).unwrap(), [0; 0]);
        }
        assert!(matches!(numbers(Some("1 2")), Err(CatalogError::Corrupt { .. })));
        assert!(matches!(place(2, 2), Err(CatalogError::Corrupt { .. })));
        assert!(matches!(place(-3, 2), Err(CatalogError::Corrupt { .. })));
    }

    #[test]
    fn what_was_changed_takes_the_place_of_what_was_kept() {
        let id = |document: i64, number: i64| document * PASSAGES + number;
        let kept = Arc::new(vec![id(9, 1), id(8, 7), id(8, 0), id(5, 3), id(5, 2)]);
        assert!(Arc::ptr_eq(&with_changes(&kept, &[], &[]), &kept));
        let changed = with_changes(&kept, &[10, 8, 5, 4], &[id(10, 0), id(5, 2), id(4, 9)]);
        assert_eq!(*changed, [id(10, 0), id(9, 1), id(5, 2), id(4, 9)]);
        assert_eq!(*with_changes(&kept, &[9, 8, 5], &[]), [0; 0]);
    }
}
