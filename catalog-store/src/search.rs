//! Searching: which assets have what is asked for, how good they are, and when it is said in them.
//!
//! Both engines find the same: words are folded and queries read by [`domain::search`], and what a find is worth is
//! counted in whole numbers. A term is worth the best field it stands in (title 8, people and labels 4, description 2,
//! transcript 1), four times that if it was typed as it stands there. Of equals the one that is known for a shorter time
//! comes first.

use std::collections::BTreeSet;

use domain::search::{self, Part, Query, Term};
use domain::{AssetId, JobId, Language, Timestamp};
use serde_json::json;

use crate::assets::AssetRow;
use crate::catalog::{Number, Text};
use crate::engine::{Arg, args, column, count, document, json as text, parsed};
use crate::listing::Filter;
use crate::{Asset, Catalog, CatalogError, Side, sql};

mod finds;
mod forgetting;
pub(crate) mod index;
mod rank;

pub(crate) use finds::KeptFinds;
pub use forgetting::{Forgotten, Place};
use index::Body;
pub use index::Cue;
use rank::{Finds, Ranked, Ranking};

/// By which rules texts are folded and cut; what was stored by others is built anew.
const RULES: i64 = 1;
/// Assets that are looked through at once when that happens.
const BATCH: u32 = 100;
/// Most hits on a page.
pub const PAGE_HITS_MAX: u32 = 100;
/// Most values of one facet.
const FACET_VALUES_MAX: i64 = 20;
/// What a find is worth of a word as it was typed, and of one that is near it.
const TYPED: i64 = 4;
const NEAR: i64 = 1;
/// Words near one that was typed that are looked for as well.
const NEAR_WORDS_MAX: usize = 5;
/// Words that share trigrams with it, of which those are chosen.
const SHARING_MAX: i64 = 200;
/// Passages in which moments of one asset are looked for, when many assets are shown.
const PASSAGES_SHOWN: usize = 2;
/// The best of what is found that are asked about first, whether they may be seen; [`GROWTH`] times as many each time
/// that these do not fill a page.
const ASKED_ABOUT: usize = 32;
const GROWTH: usize = 8;
const ASKED_ABOUT_MAX: usize = 16_384;

/// What is searched for.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// The words.
    pub query: &'a Query,
    /// Also words that are near those.
    pub is_forgiving: bool,
    /// Of what kind.
    pub filter: &'a Filter,
    /// The name to which it is confined; `None` to look everywhere.
    pub seen_by: Option<&'a str>,
    /// The present.
    pub now: Timestamp,
}

/// An asset that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// It.
    pub asset: AssetId,
    /// How good it is.
    pub score: u64,
    /// Its number among all that can be found, by which equals are in order.
    pub document: u64,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The assets, the best first.
    pub hits: Vec<Hit>,
    /// What is known of each.
    pub assets: Vec<Asset>,
    /// What finds something in them: what was typed, and what is near it.
    pub terms: Vec<Term>,
    /// Passages of their transcripts in which it is said.
    said: Vec<i64>,
}

/// How many of the assets that were found have a label, or are of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facet {
    /// `tag`, `genre`, `language` or `kind`.
    pub of: String,
    /// The label.
    pub value: String,
    /// So many.
    pub count: u64,
}

/// When something is said that is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// In which asset.
    pub asset: AssetId,
    /// The subtitles: the id of those that were added, or the name of a rendition.
    pub source: String,
    /// Their language.
    pub language: Option<Language>,
    /// When it begins, in milliseconds.
    pub start_ms: i64,
    /// When it ends.
    pub end_ms: i64,
    /// What is said, with what is looked for marked.
    pub parts: Vec<Part>,
}

/// Moments of one asset that are close together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Its place in the order of the transcripts and of time.
    pub place: u64,
    /// In the order of time.
    pub moments: Vec<Moment>,
}

impl Catalog {
    /// At most `limit` assets (and [`PAGE_HITS_MAX`] + 1) on one side of a hit, the best first.
    pub async fn search(
        &self,
        search: &Search<'_>,
        side: Option<Side<Hit>>,
        limit: u32,
    ) -> Result<Found, CatalogError> {
        let Some(Asked { ranking, terms }) = self.asked(search).await? else { return Ok(Found::default()) };
        let place = |hit: Hit| Ok::<_, CatalogError>((column(hit.score)?, column(hit.document)?));
        let (mut rest, way) = ranking.on(side.map(|side| side.read(place)).transpose()?);
        let limit = usize::try_from(limit.min(PAGE_HITS_MAX + 1)).unwrap_or(usize::MAX);
        let page = if *search.filter == Filter::default() { sql::search::PAGE_OF_ALL } else { sql::search::PAGE };
        let (mut hits, mut assets, mut asked_about) = (Vec::new(), Vec::new(), ASKED_ABOUT);
        while !rest.is_empty() && hits.len() < limit {
            let (some, others) = way.taken(rest, asked_about);
            // The nearest first, so that these are on the page.
            let nearest = way.in_order(some.to_vec());
            let args = asked_for(search, &nearest, i64::try_from(limit - hits.len()).unwrap_or(0))?;
            for HitRow { document, asset } in self.rows(page, args).await? {
                let one = some.iter().find(|one| one.document == document);
                let (score, asset) = (one.map_or(0, |one| one.score), Asset::try_from(asset)?);
                let (score, document) = (count("score", score)?, count("search_documents.doc_no", document)?);
                hits.push(Hit { asset: asset.id, score, document });
                assets.push(asset);
            }
            (rest, asked_about) = (others, asked_about.saturating_mul(GROWTH).min(ASKED_ABOUT_MAX));
        }
        let (hits, assets) = (way.in_order(hits), way.in_order(assets));
        let documents = hits.iter().filter_map(|hit| i64::try_from(hit.document).ok());
        let said = documents.flat_map(|document| ranking.said(document, PASSAGES_SHOWN)).collect();
        Ok(Found { hits, assets, terms, said })
    }

    /// The most frequent labels and kinds of everything that a search finds.
    pub async fn facets(&self, search: &Search<'_>) -> Result<Vec<Facet>, CatalogError> {
        let Some(asked) = self.asked(search).await? else { return Ok(Vec::new()) };
        let args = asked_for(search, &asked.ranking.best, FACET_VALUES_MAX)?;
        let rows: Vec<FacetRow> = self.rows(sql::search::FACETS, args).await?;
        let facet = |row: FacetRow| Ok(Facet { of: row.kind, value: row.label, count: count("number", row.number)? });
        rows.into_iter().map(facet).collect()
    }

    /// A few moments of each asset of a page in which something is said that was looked for.
    pub async fn moments(&self, found: &Found) -> Result<Vec<Moment>, CatalogError> {
        if found.said.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<SaidRow> = self.rows(sql::search::PASSAGES, args![text("search", &found.said)?]).await?;
        let mut moments = Vec::new();
        for row in rows {
            moments.extend(row.moments(&found.terms)?);
        }
        Ok(moments)
    }

    /// Moments of an asset in which something is said that is looked for, where all of it is said close together;
    /// those of at most `limit` passages on one side of the place of another.
    pub async fn moments_of(
        &self,
        asset: AssetId,
        query: &Query,
        side: Option<Side<u64>>,
        limit: u32,
    ) -> Result<Vec<Passage>, CatalogError> {
        let terms = &query.wanted;
        if terms.is_empty() {
            return Ok(Vec::new());
        }
        let number = column(u64::try_from(terms.len()).unwrap_or(u64::MAX))?;
        let (place, way) = Side::or_first(side, 0);
        let args = args![self.in_its_words(terms)?, ids(&[asset])?, number, column(place)?, limit];
        let rows: Vec<SaidRow> = self.page(way, [sql::search::ALL_SAID, sql::search::ALL_SAID_BEFORE], args).await?;
        let passage = |row: SaidRow| {
            let place = count("search_passages.id", row.id)?;
            Ok(Passage { place, moments: row.moments(terms)? })
        };
        rows.into_iter().map(passage).collect()
    }

    /// Which transcripts of an asset are looked into, by their sources.
    pub async fn transcript_sources(&self, asset: AssetId) -> Result<Vec<String>, CatalogError> {
        let rows: Vec<Text> = self.rows(sql::search::SOURCES, args![asset]).await?;
        Ok(rows.into_iter().map(|row| row.text).collect())
    }

    /// Has the subtitles of at most `limit` assets read again that were cut before there was a search; how many that
    /// are. `job` mints the ids of the jobs that do it. Once there are none, nobody looks for them any more.
    pub async fn ask_for_transcripts(
        &self,
        limit: u32,
        job: impl Fn() -> JobId,
        now: Timestamp,
    ) -> Result<u32, CatalogError> {
        if self.row::<Number>(sql::search::SILENCE, args![]).await?.is_none_or(|row| row.number != 0) {
            return Ok(0);
        }
        let silent: Vec<Text> = self.rows(sql::search::SILENT, args![limit]).await?;
        let mut asked = 0;
        for row in &silent {
            let asset: AssetId = parsed("search_documents.asset_id", &row.text)?;
            let mut tx = self.begin().await?;
            tx.execute(sql::search::SET_ASKED, args![asset]).await?;
            match crate::texts::lock_living(&mut tx, asset, now).await {
                Ok(row) => crate::texts::wish(&mut tx, &row, asset, job(), now).await?,
                Err(CatalogError::NoAsset(_) | CatalogError::AssetFailed(_)) => {}
                Err(error) => return Err(error),
            }
            tx.commit().await?;
            asked += 1;
        }
        if silent.is_empty() {
            let mut tx = self.begin().await?;
            tx.execute(sql::search::SET_SILENCE, args![]).await?;
            tx.commit().await?;
        }
        Ok(asked)
    }

    /// Builds anew what is looked into, if it was built by other rules.
    pub(crate) async fn renew_search(&self) -> Result<(), CatalogError> {
        if self.row::<Number>(sql::search::RULES, args![]).await?.is_some_and(|row| row.number == RULES) {
            return Ok(());
        }
        let mut after = String::new();
        // Ends with the last asset.
        loop {
            let mut tx = self.begin().await?;
            let rows: Vec<AssetRow> = tx.rows(sql::assets::EVERY, args![after.as_str(), BATCH]).await?;
            let Some(last) = rows.last() else { break };
            last.id.clone_into(&mut after);
            for row in &rows {
                let (about, sound) = (row.about()?, row.sound()?);
                let (id, title) = (parsed("assets.id", &row.id)?, row.title.as_deref());
                let file_name = row.file_name.as_deref();
                index::describe(&mut tx, &index::Described { id, title, file_name, about: &about, sound }, None)
                    .await?;
            }
            tx.commit().await?;
        }
        let mut tx = self.begin().await?;
        tx.execute(sql::search::SET_RULES, args![RULES]).await?;
        tx.commit().await
    }

    /// Sorts those by the names of their files that an earlier version did not.
    pub(crate) async fn renew_title_keys(&self) -> Result<(), CatalogError> {
        let mut after = String::new();
        // Ends with the last asset.
        loop {
            let mut tx = self.begin().await?;
            let rows: Vec<AssetRow> = tx.rows(sql::assets::UNSORTED, args![after.as_str(), BATCH]).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            last.id.clone_into(&mut after);
            for row in &rows {
                let key = index::title_key(row.title.as_deref(), row.file_name.as_deref());
                tx.execute(sql::assets::SET_TITLE_KEY, args![row.id.as_str(), key]).await?;
            }
            tx.commit().await?;
        }
    }

    /// What the engine finds; `None` if nothing can be found.
    async fn asked(&self, search: &Search<'_>) -> Result<Option<Asked>, CatalogError> {
        let (dialect, query) = (self.dialect(), search.query);
        if query.wanted.is_empty() {
            return Ok(None);
        }
        // What each stands for, and what finding it is worth.
        let mut meant: Vec<(Option<usize>, i64, Term)> = Vec::new();
        for (number, term) in query.wanted.iter().enumerate() {
            meant.push((Some(number), TYPED, term.clone()));
            if let Some(word) = term.word().filter(|_| search.is_forgiving) {
                let near = self.near(word).await?.into_iter();
                meant.extend(near.map(|near| (Some(number), NEAR, Term { words: vec![near], is_prefix: false })));
            }
        }
        meant.extend(query.unwanted.iter().map(|term| (None, 0, term.clone())));
        let terms: Vec<String> = meant.iter().map(|(_, _, term)| dialect.term(term)).collect();
        let passages = self.finds(&terms).await?;
        let finds = meant.iter().zip(passages).map(|((term, worth, _), passages)| Finds {
            term: *term,
            worth: *worth,
            passages,
        });
        let ranking = Ranking::of(finds.collect(), query.wanted.len());
        let terms = meant.into_iter().filter(|(number, ..)| number.is_some()).map(|(.., term)| term).collect();
        Ok(Some(Asked { ranking, terms }))
    }

    /// Words that somebody may have meant, the nearest first.
    async fn near(&self, typed: &str) -> Result<Vec<String>, CatalogError> {
        let trigrams = search::trigrams(typed);
        if trigrams.is_empty() {
            return Ok(Vec::new());
        }
        // A slip changes at most four of them.
        let slips = if search::forgives_two(typed) { 2 } else { 1 };
        let shared = i64::try_from(trigrams.len()).unwrap_or(0).saturating_sub(4 * slips).max(1);
        let rows: Vec<Text> =
            self.rows(sql::search::SHARING, args![text("search", &trigrams)?, shared, SHARING_MAX]).await?;
        // Those that share too few, or too little to be told from many others that share as much.
        let first = |word: &String| search::trigrams(word).into_iter().next();
        let meant = search::one_slip_from(typed).into_iter();
        let meant: Vec<_> = meant.filter_map(|word| Some(json!({ "t": first(&word)?, "w": word }))).collect();
        let known: Vec<Text> = self.rows(sql::search::KNOWN, args![text("search", &meant)?]).await?;
        let near: BTreeSet<String> = rows.into_iter().chain(known).map(|row| row.text).collect();
        let near = near.into_iter().filter(|word| search::is_near(typed, word));
        let mut near: Vec<(Option<usize>, String)> = near.map(|word| (search::distance(typed, &word), word)).collect();
        near.sort();
        Ok(near.into_iter().take(NEAR_WORDS_MAX).map(|(_, word)| word).collect())
    }

    fn in_its_words(&self, terms: &[Term]) -> Result<String, CatalogError> {
        let dialect = self.dialect();
        let each = terms.iter().enumerate();
        text("search", &each.map(|(at, term)| json!({ "t": at, "q": dialect.term(term) })).collect::<Vec<_>>())
    }
}

fn ids(assets: &[AssetId]) -> Result<String, CatalogError> {
    text("search", &assets.iter().map(ToString::to_string).collect::<Vec<_>>())
}

/// Which of these may be seen and are asked for.
fn asked_for(search: &Search<'_>, documents: &[Ranked], limit: i64) -> Result<Vec<Arg>, CatalogError> {
    let documents: Vec<i64> = documents.iter().map(|one| one.document).collect();
    let mut args = args![text("search", &documents)?, limit];
    args.extend(search.filter.args(search.seen_by));
    args.push(search.now.into());
    Ok(args)
}

/// What an engine found.
struct Asked {
    ranking: Ranking,
    terms: Vec<Term>,
}

#[derive(sqlx::FromRow)]
struct HitRow {
    document: i64,
    #[sqlx(flatten)]
    asset: AssetRow,
}

#[derive(sqlx::FromRow)]
struct FacetRow {
    kind: String,
    label: String,
    number: i64,
}

/// A passage of a transcript.
#[derive(sqlx::FromRow)]
struct SaidRow {
    asset_id: String,
    id: i64,
    source: Option<String>,
    body: Option<String>,
}

impl SaidRow {
    /// The cues of the passage in which one of `terms` finds something, but for those that the passage before holds.
    fn moments(self, terms: &[Term]) -> Result<Vec<Moment>, CatalogError> {
        let body: Body = document("search_passages.body", &self.body.unwrap_or_default())?;
        let asset = parsed("search_passages.asset_id", &self.asset_id)?;
        let each: Vec<Vec<search::Word>> = body.cues.iter().map(|(_, _, text)| search::words(text)).collect();
        // A phrase may begin in one cue and end in another; what lies in those of the passage before was found there.
        let known = search::found_in(&each[..body.first.min(each.len())].concat(), terms);
        let mut found = search::found_in(&each.concat(), terms);
        found.retain(|word| known.binary_search(word).is_err());
        let (mut moments, mut before) = (Vec::new(), 0);
        for ((start_ms, end_ms, text), words) in body.cues.iter().zip(&each) {
            let after = before + words.len();
            let own: Vec<usize> =
                found.iter().filter(|word| (before..after).contains(*word)).map(|word| word - before).collect();
            before = after;
            if own.is_empty() {
                continue;
            }
            moments.push(Moment {
                asset,
                source: self.source.clone().unwrap_or_default(),
                language: body.language.as_deref().and_then(Language::from_tag),
                start_ms: *start_ms,
                end_ms: *end_ms,
                parts: search::marked(text, words, own.into_iter()),
            });
        }
        Ok(moments)
    }
}
