//! What a search looks into: written in the transaction of what changes it.
//!
//! Texts lie in passages of a few hundred words, which overlap by as many words as a phrase may have. So no engine's
//! limit on positions is ever reached, and a transcript is known by the minute.

use std::collections::BTreeMap;

use domain::about::label_key;
use domain::search::{self, PHRASE_WORDS_MAX};
use domain::{About, AssetId, AssetKind, Language, TextId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::catalog::{Number, Tx};
use crate::engine::{args, json as text};
use crate::{CatalogError, sql};

/// Words of a passage.
const PASSAGE_WORDS: usize = 240;
/// Words at the end of a passage with which the next one begins.
const OVERLAP_WORDS: usize = PHRASE_WORDS_MAX - 1;
/// Stands between texts that follow each other without belonging together; no query has it.
const GAP: &str = "·";
/// Passages of one field that is no transcript; its remainder is not looked into.
const FIELD_PASSAGES_MAX: usize = 64;
/// Transcripts of one asset that are looked into.
pub(crate) const TRANSCRIPTS_MAX: i64 = 16;
/// Passages of one transcript; its remainder is not looked into. A day of speech has fewer.
const TRANSCRIPT_PASSAGES_MAX: usize = 2048;
/// Words of one cue that are looked into.
const CUE_WORDS_MAX: usize = 200;
/// Passages that are written at once.
const BATCH: usize = 64;
/// Longest key by which titles are sorted, in characters.
const TITLE_KEY_CHARS: usize = 64;
/// Words of which slips are found, of one text: a film says some 4,000 different ones.
const NEAR_WORDS_MAX: usize = 5000;

/// The first passage of each field, within those of its asset.
pub(super) const PEOPLE: i64 = 1 << 13;
const LABELS: i64 = 2 << 13;
pub(super) const DESCRIPTION: i64 = 3 << 13;
pub(super) const TRANSCRIPTS: i64 = 4 << 13;
/// The ids of an asset's passages.
pub(super) const PASSAGES: i64 = 1 << 16;

/// What is said while a picture is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// When it begins, in milliseconds.
    pub start_ms: i64,
    /// When it ends.
    pub end_ms: i64,
    /// The words, without markup.
    pub text: String,
}

/// What is kept of a passage of a transcript.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Body {
    /// Its language.
    pub(super) language: Option<String>,
    /// The first cue that the passage before does not hold.
    pub(super) first: usize,
    /// Beginning, end and words.
    pub(super) cues: Vec<(i64, i64, String)>,
}

/// An asset, as far as it is looked into and listed by what people say of it.
#[derive(Debug)]
pub(crate) struct Described<'a> {
    pub(crate) id: AssetId,
    /// As it is shown.
    pub(crate) title: Option<&'a str>,
    pub(crate) file_name: Option<&'a str>,
    pub(crate) about: &'a About,
    /// Of its sound, in case nobody says another.
    pub(crate) sound: Vec<Language>,
}

/// By what assets are sorted by title: what is shown as one, which is the name of the file where there is none.
pub(crate) fn title_key(title: Option<&str>, file_name: Option<&str>) -> String {
    title.or(file_name).map(search::fold).unwrap_or_default().chars().take(TITLE_KEY_CHARS).collect()
}

impl Described<'_> {
    /// Its fields: the first passage of each, and the texts in it.
    fn fields(&self) -> [(i64, Vec<&str>); 4] {
        let about = self.about;
        let people = about.people.iter().flat_map(|credit| [&*credit.name, &*credit.role]).collect();
        let labels = about.tags.iter().chain(&about.genres).map(String::as_str).collect();
        let title = self.title.or(self.file_name).into_iter().collect();
        let description = about.description.as_deref().into_iter().collect();
        [(0, title), (PEOPLE, people), (LABELS, labels), (DESCRIPTION, description)]
    }

    /// Its labels by their kinds, each with the key by which it is compared.
    fn labels(&self) -> Vec<(&'static str, String, &str)> {
        let about = self.about;
        let said = if about.languages.is_empty() { &self.sound } else { &about.languages };
        let tags = about.tags.iter().map(|tag| ("tag", label_key(tag), tag.as_str()));
        let genres = about.genres.iter().map(|genre| ("genre", label_key(genre), genre.as_str()));
        // Whoever looks for a language finds what is said to be in one of its scripts or regions, too.
        let languages = said.iter().flat_map(Language::ranges).map(|range| ("language", range.to_owned(), range));
        tags.chain(genres).chain(languages).collect()
    }
}

/// Writes everything but transcripts, and by what it is sorted; where it is known what was written `before`, no more
/// than what differs from that.
pub(crate) async fn describe(
    tx: &mut Tx,
    asset: &Described<'_>,
    before: Option<&Described<'_>>,
) -> Result<(), CatalogError> {
    let key = title_key(asset.title, asset.file_name);
    if before.is_none_or(|before| title_key(before.title, before.file_name) != key) {
        tx.execute(sql::assets::SET_TITLE_KEY, args![asset.id, key]).await?;
    }
    let base = document(tx, asset.id).await? * PASSAGES;
    let (fields, fields_before) = (asset.fields(), before.map(Described::fields));
    // From the first field that differs to the last one, as one range of passages.
    let differs = |at: &usize| fields_before.as_ref().is_none_or(|before| before[*at] != fields[*at]);
    let changed: Vec<usize> = (0..fields.len()).filter(differs).collect();
    if let (Some(&first), Some(&last)) = (changed.first(), changed.last()) {
        let end = fields.get(last + 1).map_or(TRANSCRIPTS, |(end, _)| *end);
        tx.execute(sql::search::DROP_PASSAGES, args![base + fields[first].0, base + end - 1]).await?;
        let mut passages = Vec::new();
        for (first, texts) in &fields[first..=last] {
            let cut = cut(texts).into_iter().take(FIELD_PASSAGES_MAX);
            let numbered = (base + first..).zip(cut);
            passages.extend(numbered.map(|(id, words)| Passage { id, source: None, body: None, words }));
        }
        put(tx, &passages).await?;
        let texts: Vec<&str> = fields[first..=last].iter().flat_map(|(_, texts)| texts).copied().collect();
        put_near_words(tx, texts.into_iter()).await?;
    }
    put_labels(tx, asset, before).await
}

/// Forgets an asset, its labels and its names elsewhere.
pub(crate) async fn forget(tx: &mut Tx, asset: AssetId) -> Result<(), CatalogError> {
    if let Some(Number { number }) = tx.row(sql::search::DOCUMENT, args![asset]).await? {
        let base = number * PASSAGES;
        tx.execute(sql::search::DROP_PASSAGES, args![base, base + PASSAGES - 1]).await?;
        tx.execute(sql::search::DROP_DOCUMENT, args![asset]).await?;
    }
    tx.execute(sql::assets::DROP_LABELS, args![asset]).await?;
    tx.execute(sql::assets::DROP_EXTERNAL_IDS, args![asset]).await?;
    Ok(())
}

/// Writes what is said in an asset by one source, in place of what was written of that before.
pub(crate) async fn put_transcript(
    tx: &mut Tx,
    asset: AssetId,
    (source, language): (&str, Option<&Language>),
    cues: &[Cue],
) -> Result<(), CatalogError> {
    let base = document(tx, asset).await? * PASSAGES + TRANSCRIPTS;
    let slots: Vec<SlotRow> = tx.rows(sql::search::SLOTS, args![base, base + TRANSCRIPTS - 1]).await?;
    let own = slots.iter().find(|slot| slot.source.as_deref() == Some(source)).map(|slot| slot.number);
    let free = || (0..TRANSCRIPTS_MAX).find(|slot| slots.iter().all(|taken| taken.number != *slot));
    let Some(slot) = own.or_else(free) else {
        tracing::info!(asset.id = %asset, "a transcript more than is looked into");
        return Ok(());
    };
    let span = PASSAGES / 2 / TRANSCRIPTS_MAX;
    let first = base + slot * span;
    tx.execute(sql::search::DROP_PASSAGES, args![first, first + span - 1]).await?;
    let language = language.map(|language| language.tag().to_owned());
    let mut passages = Vec::new();
    for (id, (words, start, cues)) in (first..).zip(cut_cues(cues)).take(TRANSCRIPT_PASSAGES_MAX) {
        let cues = cues.iter().map(|cue| (cue.start_ms, cue.end_ms, cue.text.clone())).collect();
        let body = text("search_passages.body", &Body { language: language.clone(), first: start, cues })?;
        passages.push(Passage { id, source: Some(source), body: Some(body), words });
    }
    put(tx, &passages).await?;
    put_near_words(tx, cues.iter().map(|cue| cue.text.as_str())).await
}

/// Forgets what is said in an asset by one source.
pub(crate) async fn drop_transcript(tx: &mut Tx, asset: AssetId, source: &str) -> Result<(), CatalogError> {
    put_transcript(tx, asset, (source, None), &[]).await
}

/// Forgets what is said in an asset by its source's own subtitles: another source takes its place.
pub(crate) async fn drop_own_transcripts(tx: &mut Tx, asset: AssetId) -> Result<(), CatalogError> {
    let base = document(tx, asset).await? * PASSAGES + TRANSCRIPTS;
    let slots: Vec<SlotRow> = tx.rows(sql::search::SLOTS, args![base, base + TRANSCRIPTS - 1]).await?;
    for source in slots.into_iter().filter_map(|slot| slot.source) {
        if source.parse::<TextId>().is_err() {
            drop_transcript(tx, asset, &source).await?;
        }
    }
    Ok(())
}

/// The number of an asset that is about to change.
async fn document(tx: &mut Tx, asset: AssetId) -> Result<i64, CatalogError> {
    let known: Option<Number> = tx.row(sql::search::TOUCH_DOCUMENT, args![asset]).await?;
    let row = match known {
        Some(row) => Some(row),
        None => tx.row(sql::search::PUT_DOCUMENT, args![asset]).await?,
    };
    row.map(|row| row.number).ok_or_else(|| crate::engine::corrupt("search_documents.doc_no", "no row"))
}

struct Passage<'a> {
    id: i64,
    source: Option<&'a str>,
    body: Option<String>,
    words: Vec<String>,
}

async fn put(tx: &mut Tx, passages: &[Passage<'_>]) -> Result<(), CatalogError> {
    for some in passages.chunks(BATCH) {
        let rows: Vec<_> = some
            .iter()
            .map(|passage| {
                let words = tx.dialect().words(&passage.words);
                json!({ "i": passage.id, "s": passage.source, "b": passage.body, "w": words })
            })
            .collect();
        tx.execute(sql::search::PUT_PASSAGES, args![text("search_passages", &rows)?]).await?;
    }
    Ok(())
}

/// How an engine wants to be told of words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// FTS5.
    Sqlite,
    /// tsvector and tsquery.
    Postgres,
}

impl Dialect {
    /// The words of a passage in order.
    fn words(self, words: &[String]) -> String {
        match self {
            Self::Sqlite => words.join(" "),
            Self::Postgres => {
                let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
                for (at, word) in words.iter().enumerate().filter(|(_, word)| *word != GAP) {
                    places.entry(word).or_default().push((at + 1).to_string());
                }
                let entries = places.into_iter().map(|(word, places)| format!("'{word}':{}", places.join(",")));
                entries.collect::<Vec<_>>().join(" ")
            }
        }
    }

    /// What finds a term. Folded words hold letters and digits only, so nothing in them means anything to an engine.
    pub(super) fn term(self, term: &search::Term) -> String {
        let star = |mark| if term.is_prefix { mark } else { "" };
        match self {
            Self::Sqlite => format!("\"{}\"{}", term.words.join(" "), star("*")),
            Self::Postgres => {
                let words: Vec<String> = term.words.iter().map(|word| format!("'{word}'")).collect();
                format!("{}{}", words.join(" <-> "), star(":*"))
            }
        }
    }
}

/// The words of texts that stand apart from each other, in passages that overlap.
fn cut(texts: &[&str]) -> Vec<Vec<String>> {
    let mut words: Vec<String> = Vec::new();
    for text in texts {
        if !words.is_empty() {
            words.push(GAP.to_owned());
        }
        words.extend(search::words(text).into_iter().map(|word| word.text));
    }
    let mut passages = Vec::new();
    let mut from = 0;
    // Each turn takes more words than the next one takes again.
    while from < words.len() {
        let to = (from + PASSAGE_WORDS).min(words.len());
        passages.push(words[from..to].to_vec());
        if to == words.len() {
            break;
        }
        from = to - OVERLAP_WORDS;
    }
    passages
}

/// The same of cues: the words, the first cue that is new, and the cues.
fn cut_cues(cues: &[Cue]) -> Vec<(Vec<String>, usize, &[Cue])> {
    let words: Vec<Vec<String>> = cues
        .iter()
        .map(|cue| search::words(&cue.text).into_iter().take(CUE_WORDS_MAX).map(|word| word.text).collect())
        .collect();
    let mut passages = Vec::new();
    let (mut from, mut fresh) = (0, 0);
    // Each turn takes at least one cue more than the one before.
    while fresh < cues.len() {
        let (mut to, mut count) = (from, 0);
        while to < cues.len() && (to <= fresh || count < PASSAGE_WORDS) {
            count += words[to].len();
            to += 1;
        }
        passages.push((words[from..to].concat(), fresh - from, &cues[from..to]));
        (fresh, from) = (to, to);
        let mut again = 0;
        while from > 0 && again < OVERLAP_WORDS {
            from -= 1;
            again += words[from].len();
        }
    }
    passages
}

async fn put_labels(tx: &mut Tx, asset: &Described<'_>, before: Option<&Described<'_>>) -> Result<(), CatalogError> {
    let labels = asset.labels();
    if before.is_some_and(|before| before.labels() == labels) {
        return Ok(());
    }
    tx.execute(sql::assets::DROP_LABELS, args![asset.id]).await?;
    if labels.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = labels.iter().map(|(kind, key, label)| json!({ "k": kind, "y": key, "l": label })).collect();
    tx.execute(sql::assets::PUT_LABELS, args![asset.id, text("asset_labels", &rows)?]).await?;
    Ok(())
}

/// Keeps the words by which slips of the hand are found. In one order everywhere, so that no two writers of the same
/// words wait for each other in a circle.
async fn put_near_words<'a>(tx: &mut Tx, texts: impl Iterator<Item = &'a str>) -> Result<(), CatalogError> {
    let words = search::vocabulary(texts);
    let words = words.iter().take(NEAR_WORDS_MAX).map(|word| (word, search::trigrams(word)));
    let mut rows: Vec<_> = words.filter(|(_, trigrams)| !trigrams.is_empty()).collect();
    rows.sort();
    let rows: Vec<_> = rows.into_iter().map(|(word, trigrams)| json!({ "w": word, "t": trigrams })).collect();
    if !rows.is_empty() {
        tx.execute(sql::search::PUT_TRIGRAMS, args![text("search_trigrams", &rows)?]).await?;
    }
    Ok(())
}

/// The kind of an asset, as a column.
pub(crate) fn kind_column(kind: Option<AssetKind>) -> Option<String> {
    kind.map(|kind| kind.as_str().to_owned())
}

#[derive(sqlx::FromRow)]
struct SlotRow {
    source: Option<String>,
    number: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(count: usize) -> String {
        (0..count).map(|at| format!("w{at}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_phrase_of_a_long_text_stands_in_one_passage() {
        let text = words(1000);
        let passages = cut(&[&text]);
        let all: Vec<&str> = text.split(' ').collect();
        for phrase in all.windows(PHRASE_WORDS_MAX) {
            assert!(passages.iter().any(|passage| passage.windows(PHRASE_WORDS_MAX).any(|window| window == phrase)));
        }
        assert!(passages.iter().all(|passage| passage.len() <= PASSAGE_WORDS));
        assert_eq!(cut(&["a", "b c"]), [["a", GAP, "b", "c"]]);
        assert!(cut(&[]).is_empty() && cut(&["?!"]).is_empty());
    }

    #[test]
    fn every_cue_is_new_in_one_passage_and_phrases_go_on_in_the_next() {
        let cue = |at: i64, text: String| Cue { start_ms: at * 1000, end_ms: at * 1000 + 900, text };
        let cues: Vec<Cue> = (0..400).map(|at| cue(at, format!("a{at} b{at} c{at}"))).collect();
        let passages = cut_cues(&cues);
        let fresh: Vec<&Cue> = passages.iter().flat_map(|(_, first, cues)| &cues[*first..]).collect();
        assert_eq!(fresh, cues.iter().collect::<Vec<_>>());
        let all: Vec<String> = cues.iter().flat_map(|cue| cue.text.split(' ').map(str::to_owned)).collect();
        for phrase in all.windows(PHRASE_WORDS_MAX) {
            assert!(
                passages.iter().any(|(words, _, _)| words.windows(PHRASE_WORDS_MAX).any(|window| window == phrase))
            );
        }
        let long = [cue(0, words(5000)), cue(1, "end".into()), cue(2, String::new())];
        let passages = cut_cues(&long);
        assert_eq!(passages[0].0.len(), CUE_WORDS_MAX + 1, "the rest of an endless cue is left out");
        assert!(cut_cues(&[]).is_empty());
    }

    #[test]
    fn both_engines_are_told_the_same() {
        let words = ["a", "b", GAP, "a"].map(str::to_owned);
        assert_eq!(Dialect::Sqlite.words(&words), "a b · a");
        assert_eq!(Dialect::Postgres.words(&words), "'a':1,4 'b':2");
        let term = search::Term { words: vec!["a".into(), "b".into()], is_prefix: true };
        assert_eq!(Dialect::Sqlite.term(&term), "\"a b\"*");
        assert_eq!(Dialect::Postgres.term(&term), "'a' <-> 'b':*");
    }
}
