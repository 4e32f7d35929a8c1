//! Searching: assets by what people say of them and what is said in them, and the second at which it is said.

use std::collections::HashMap;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query as Asked, State as Shared};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use catalog_store::search::PAGE_HITS_MAX;
use catalog_store::{Asset, Facet, Found, Hit, Listing, Moment, PageInfo, Search};
use domain::authority::Action;
use domain::search::{Part, Query, Term, snippet};
use domain::{AssetId, AssetKind, AssetState, Language, PlaybackId, Probe};
use serde::{Deserialize, Serialize};

use crate::State;
use crate::accounts::Caller;
use crate::assets::asset_in;
use crate::door::asset_for;
use crate::filter::Wanted;
use crate::pages;
use crate::problem::Problem;

/// Longest query, in characters.
const QUERY_CHARS_MAX: usize = 400;
/// Hits on a page when nothing else is asked for.
const PAGE_HITS: u32 = 20;
/// With fewer hits than this, words that are near those that were typed are looked for as well.
const FEW: usize = 3;
/// Moments that are shown of one hit.
const MOMENTS_MAX: usize = 3;
/// Words of a description that are shown.
const SNIPPET_WORDS: usize = 40;
/// Passages of a transcript on a page, when nothing else is asked for, and at most.
const PAGE_PASSAGES: u32 = 20;
const PAGE_PASSAGES_MAX: u32 = 100;

/// What is looked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchQuery {
    q: String,
    r#type: Option<String>,
    tag: Option<String>,
    genre: Option<String>,
    language: Option<String>,
    state: Option<String>,
    owner: Option<String>,
    released_after: Option<String>,
    released_before: Option<String>,
    #[serde(default)]
    facets: bool,
    limit: Option<u32>,
    after: Option<String>,
    before: Option<String>,
}

/// What is looked for in one asset.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InAssetQuery {
    q: String,
    limit: Option<u32>,
    after: Option<String>,
    before: Option<String>,
}

/// A page of hits.
#[derive(Serialize)]
struct HitPage {
    data: Vec<HitView>,
    /// Words that are near those that were typed were looked for, as these find little.
    is_forgiving: bool,
    /// Null unless they are asked for.
    facets: Option<FacetsView>,
    page: PageInfo,
}

#[derive(Serialize)]
struct HitView {
    asset: CardView,
    score: u64,
    snippets: Vec<SnippetView>,
    moments: Vec<MomentView>,
}

/// An asset in few words.
#[derive(Serialize)]
pub(crate) struct CardView {
    id: AssetId,
    kind: Option<AssetKind>,
    state: AssetState,
    title: Option<String>,
    file_name: Option<String>,
    owner: Option<String>,
    owner_avatar: Option<String>,
    released_on: Option<String>,
    created_at: String,
    duration_seconds: Option<f64>,
    /// Null until players may start.
    playback_id: Option<PlaybackId>,
    watch: Option<String>,
    poster: Option<String>,
}

#[derive(Serialize)]
struct SnippetView {
    field: &'static str,
    parts: Vec<Part>,
}

#[derive(Serialize)]
struct MomentView {
    start_seconds: f64,
    end_seconds: f64,
    language: Option<Language>,
    source: String,
    parts: Vec<Part>,
}

#[derive(Default, Serialize)]
struct FacetsView {
    kinds: Vec<FacetView>,
    tags: Vec<FacetView>,
    genres: Vec<FacetView>,
    languages: Vec<FacetView>,
}

#[derive(Serialize)]
struct FacetView {
    value: String,
    count: u64,
}

pub(crate) async fn search(
    Shared(state): Shared<State>,
    caller: Caller,
    uri: Uri,
    query: Result<Asked<SearchQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Asked(asked) = query.map_err(|error| Problem::unreadable_query(&error.body_text()))?;
    let (query, filter) = (parsed(&asked.q)?, asked.wanted().filter()?);
    let name = format!("search {:?} {filter:?}", asked.q);
    let list = Listing::of(&state.catalog, name, asked.limit, (PAGE_HITS, PAGE_HITS_MAX))?
        .at(asked.after.as_deref(), asked.before.as_deref())?;
    let side = list.side_of(place)?;
    let seen_by = caller.confined_to();
    let mut search = Search {
        query: &query,
        is_forgiving: false,
        filter: &filter,
        seen_by: seen_by.as_deref(),
        now: state.clock.now(),
    };
    let mut found = match side {
        Some(side) => {
            let side = side.read(|(is_forgiving, hit)| {
                search.is_forgiving = is_forgiving;
                Ok::<_, Problem>(hit)
            })?;
            state.catalog.search(&search, Some(side), list.rows()).await?
        }
        None => begun(&state, &mut search, list.rows()).await?,
    };
    let facets = if asked.facets { Some(state.catalog.facets(&search).await?.into()) } else { None };
    let is_forgiving = search.is_forgiving;
    let page = list.cut(&mut found.hits, |hit| {
        format!("{}\n{}\n{}\n{}", u8::from(is_forgiving), hit.score, hit.document, hit.asset)
    });
    let data = views(&state, found).await?;
    Ok((pages::headers(&page, &uri), Json(HitPage { data, is_forgiving, facets, page })).into_response())
}

/// The first page; what is typed wrongly is forgiven if that finds more.
async fn begun(state: &State, search: &mut Search<'_>, limit: u32) -> Result<Found, Problem> {
    let exact = state.catalog.search(search, None, limit).await?;
    if exact.hits.len() >= FEW.min(usize::try_from(limit).unwrap_or(FEW)) {
        return Ok(exact);
    }
    let forgiving = Search { is_forgiving: true, ..*search };
    let found = state.catalog.search(&forgiving, None, limit).await?;
    if found.hits.len() <= exact.hits.len() {
        return Ok(exact);
    }
    *search = forgiving;
    Ok(found)
}

pub(crate) async fn in_asset(
    Shared(state): Shared<State>,
    caller: Caller,
    uri: Uri,
    path: Result<Path<String>, PathRejection>,
    query: Result<Asked<InAssetQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let asset = asset_for(&state, &caller, asset_in(path)?, Action::ReadAsset).await?;
    let Asked(asked) = query.map_err(|error| Problem::unreadable_query(&error.body_text()))?;
    let query = parsed(&asked.q)?;
    let name = format!("search of {} {:?}", asset.id, asked.q);
    let list = Listing::of(&state.catalog, name, asked.limit, (PAGE_PASSAGES, PAGE_PASSAGES_MAX))?
        .at(asked.after.as_deref(), asked.before.as_deref())?;
    let mut found = state.catalog.moments_of(asset.id, &query, list.side()?, list.rows()).await?;
    let page = list.cut(&mut found, |passage| passage.place.to_string());
    let moments = found.into_iter().flat_map(|passage| passage.moments).map(MomentView::from);
    Ok(pages::answer(&uri, moments.collect(), page))
}

impl SearchQuery {
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            kind: self.r#type.as_deref(),
            tag: self.tag.as_deref(),
            genre: self.genre.as_deref(),
            language: self.language.as_deref(),
            state: self.state.as_deref(),
            owner: self.owner.as_deref(),
            released_after: self.released_after.as_deref(),
            released_before: self.released_before.as_deref(),
        }
    }
}

fn parsed(q: &str) -> Result<Query, Problem> {
    if q.chars().count() > QUERY_CHARS_MAX {
        return Err(Problem::invalid_query(format!("q has at most {QUERY_CHARS_MAX} characters")));
    }
    Ok(Query::parse(q))
}

/// A place in a list of hits: whether slips were forgiven, and the hit.
fn place(text: &str) -> Option<(bool, Hit)> {
    let mut parts = text.split('\n');
    let is_forgiving = parts.next()? == "1";
    let (score, document) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let asset = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some((is_forgiving, Hit { asset, score, document }))
}

async fn views(state: &State, mut found: Found) -> Result<Vec<HitView>, Problem> {
    let posters = posters(state, &found.assets).await?;
    let mut moments = state.catalog.moments(&found).await?;
    let mut views = Vec::with_capacity(found.hits.len());
    // One asset more than is shown may be there, before them or behind them.
    found.assets.retain(|asset| found.hits.iter().any(|hit| hit.asset == asset.id));
    for (hit, asset) in found.hits.iter().zip(std::mem::take(&mut found.assets)) {
        let (own, others) = moments.into_iter().partition(|moment: &Moment| moment.asset == asset.id);
        moments = others;
        views.push(HitView {
            score: hit.score,
            snippets: snippets(&asset, &found.terms),
            moments: own.into_iter().take(MOMENTS_MAX).map(MomentView::from).collect(),
            asset: CardView::new(asset, &posters),
        });
    }
    Ok(views)
}

/// The files of the posters of those that play.
async fn posters(state: &State, assets: &[Asset]) -> Result<HashMap<AssetId, String>, Problem> {
    let playable: Vec<AssetId> = assets.iter().filter(|asset| asset.is_playable).map(|asset| asset.id).collect();
    if playable.is_empty() {
        return Ok(HashMap::new());
    }
    Ok(state.catalog.posters(&playable).await?)
}

/// These assets in few words, in their order.
pub(crate) async fn cards(state: &State, assets: Vec<Asset>) -> Result<Vec<CardView>, Problem> {
    let posters = posters(state, &assets).await?;
    Ok(assets.into_iter().map(|asset| CardView::new(asset, &posters)).collect())
}

/// What of the texts about an asset is found, at most one piece of each kind.
fn snippets(asset: &Asset, terms: &[Term]) -> Vec<SnippetView> {
    let about = &asset.about;
    let people: Vec<String> = about.people.iter().map(|credit| format!("{} ({})", credit.name, credit.role)).collect();
    let fields = [
        ("title", one(asset.title.as_deref().or(asset.file_name.as_deref()))),
        ("people", people.iter().map(String::as_str).collect()),
        ("tags", about.tags.iter().map(String::as_str).collect()),
        ("genres", about.genres.iter().map(String::as_str).collect()),
        ("description", one(about.description.as_deref())),
    ];
    let found = |(field, texts): (&'static str, Vec<&str>)| {
        let parts = texts.into_iter().find_map(|text| snippet(text, terms, SNIPPET_WORDS))?;
        Some(SnippetView { field, parts })
    };
    fields.into_iter().filter_map(found).collect()
}

/// A text, if there is one.
fn one(text: Option<&str>) -> Vec<&str> {
    text.into_iter().collect()
}

impl CardView {
    /// With its poster, if it has one among those of these files.
    pub(crate) fn new(asset: Asset, posters: &HashMap<AssetId, String>) -> Self {
        let poster = posters.get(&asset.id);
        let playback = Some(asset.playback).filter(|_| asset.is_playable);
        let generation = asset.generation.filter(|_| asset.is_playable);
        Self {
            owner_avatar: crate::view::owner_avatar(&asset),
            id: asset.id,
            kind: asset.kind,
            state: asset.state,
            released_on: asset.about.released_on.map(|day| day.to_string()),
            created_at: asset.created_at.rfc3339(),
            duration_seconds: asset.probe.as_ref().map(Probe::duration).map(crate::view::seconds),
            playback_id: playback,
            watch: playback.map(|id| format!("/watch/{id}")),
            poster: poster
                .zip(generation)
                .map(|(file, generation)| format!("/v/{}/g{generation}/images/{file}", asset.playback)),
            title: asset.title,
            file_name: asset.file_name,
            owner: asset.owner,
        }
    }
}

impl From<Moment> for MomentView {
    fn from(moment: Moment) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "times of media are far below 2^53 ms")]
        let seconds = |ms: i64| ms as f64 / 1000.0;
        Self {
            start_seconds: seconds(moment.start_ms),
            end_seconds: seconds(moment.end_ms),
            language: moment.language,
            source: moment.source,
            parts: moment.parts,
        }
    }
}

impl From<Vec<Facet>> for FacetsView {
    fn from(facets: Vec<Facet>) -> Self {
        let mut view = Self::default();
        for Facet { of, value, count } in facets {
            let list = match &*of {
                "kind" => &mut view.kinds,
                "tag" => &mut view.tags,
                "genre" => &mut view.genres,
                _ => &mut view.languages,
            };
            list.push(FacetView { value, count });
        }
        view
    }
}
