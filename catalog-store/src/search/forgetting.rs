//! Words by which slips of the hand are found, once nothing says them any more.
//!
//! They are written with the passages that have them, and not counted: whether one is still said is asked of the index
//! of passages, word by word and some at a time, from time to time.

use domain::search::{self, Term};
use serde_json::json;

use super::index::Dialect;
use crate::catalog::{Text, Tx};
use crate::engine::{args, json as text};
use crate::{Catalog, CatalogError, sql};

/// A place among the rows of words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    trigram: String,
    word: String,
}

/// What became of some words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// So many are forgotten.
    pub count: usize,
    /// Where to go on; `None` when all were looked at.
    pub next: Option<Place>,
}

impl Catalog {
    /// Forgets those words that nothing says any more, of at most `limit` rows behind a place; each word has some five
    /// rows. They are left for another time where somebody else writes words at this moment.
    pub async fn forget_words(&self, after: &Place, limit: u32) -> Result<Forgotten, CatalogError> {
        let args = args![after.trigram.as_str(), after.word.as_str(), limit];
        let rows: Vec<TrigramRow> = self.rows(sql::search::SOME_TRIGRAMS, args).await?;
        let next = rows.last().map(|row| Place { trigram: row.trigram.clone(), word: row.word.clone() });
        // Each word once: with the first of its trigrams.
        let is_first = |row: &TrigramRow| search::trigrams(&row.word).first() == Some(&row.trigram);
        let words: Vec<String> = rows.into_iter().filter(is_first).map(|row| row.word).collect();
        let unsaid: Vec<Text> = self.rows(sql::search::UNSAID, args![asked(self.dialect(), &words)?]).await?;
        if unsaid.is_empty() {
            return Ok(Forgotten { count: 0, next });
        }
        let unsaid: Vec<String> = unsaid.into_iter().map(|row| row.text).collect();
        let mut tx = self.begin().await?;
        if tx.execute(sql::search::HOLD_TRIGRAMS, args![]).await.is_err() {
            tx.cancel().await?;
            return Ok(Forgotten { count: 0, next });
        }
        let count = tx.forget(self.dialect(), &unsaid).await?;
        tx.commit().await?;
        Ok(Forgotten { count, next })
    }
}

impl Tx {
    /// Forgets those of these words that nothing says. Nobody writes words meanwhile: whoever has written a passage
    /// with one of them, and found it known, has committed or will find it unknown.
    async fn forget(&mut self, dialect: Dialect, words: &[String]) -> Result<usize, CatalogError> {
        let unsaid: Vec<Text> = self.rows(sql::search::UNSAID, args![asked(dialect, words)?]).await?;
        let rows = unsaid.iter().map(|row| json!({ "w": row.text, "t": search::trigrams(&row.text) }));
        let rows: Vec<_> = rows.collect();
        if !rows.is_empty() {
            self.execute(sql::search::DROP_TRIGRAMS, args![text("search_trigrams", &rows)?]).await?;
        }
        Ok(rows.len())
    }
}

fn asked(dialect: Dialect, words: &[String]) -> Result<String, CatalogError> {
    let term = |word: &String| dialect.term(&Term { words: vec![word.clone()], is_prefix: false });
    text("search", &words.iter().map(|word| json!({ "w": word, "q": term(word) })).collect::<Vec<_>>())
}

#[derive(sqlx::FromRow)]
struct TrigramRow {
    trigram: String,
    word: String,
}
