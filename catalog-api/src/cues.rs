//! Subtitles cue by cue: shown, and edited.
//!
//! An edit is a subtitle file like any other, in WebVTT, which takes the place of what was edited: of a file that was
//! added, or of a track of the source, which comes back if the edit is removed.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use catalog_store::{Asset, NewText, Replaced, Text};
use domain::about::Fault;
use domain::authority::Action;
use domain::presentation::SubtitleRendition;
use domain::text::BYTES_MAX;
use domain::{AssetId, AssetState, Generation, JobId, Language, MediaTime, RenditionId, TextId, Timescale};
use futures::{StreamExt, TryStreamExt};
use media_store::layout;
use packager::texts::{self, CUES_MAX, Hints};
use packager::webvtt::{self, Cue};
use serde::{Deserialize, Serialize};

use crate::State;
use crate::accounts::Caller;
use crate::assets::{asset_id, no_store, output_of};
use crate::documents::{IfMatch, document_of};
use crate::door::asset_for;
use crate::problem::{Problem, chain};
use crate::subtitles::NO_TEXT;
use crate::view::{SubtitleView, replacing, seconds};

/// Largest document of an edit: the text in it, and the names of its fields.
const BODY_BYTES_MAX: usize = 2 * BYTES_MAX;
/// Latest time of a cue, in seconds: a hundred hours.
const SECONDS_MAX: f64 = 360_000.0;
/// Longest text of one cue, in characters.
const TEXT_CHARS_MAX: usize = 2_000;
/// Longest settings of one cue, in characters.
const SETTINGS_CHARS_MAX: usize = 200;
/// Cues that are shown at the same time.
const AT_ONCE_MAX: usize = 4;
/// Segments that are read at the same time.
const READS_IN_FLIGHT: usize = 8;

/// The cues of one subtitle, as they are shown and as they are sent.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Cues {
    cues: Vec<CueView>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CueView {
    start_s: f64,
    end_s: f64,
    /// In the words of WebVTT: with its tags and escapes.
    text: String,
    /// Where it stands: settings of WebVTT; empty for the usual place.
    #[serde(default)]
    settings: String,
}

impl From<Cue> for CueView {
    fn from(cue: Cue) -> Self {
        Self { start_s: seconds(cue.start), end_s: seconds(cue.end), text: cue.text, settings: cue.settings }
    }
}

/// Whose cues they are.
enum Edited {
    /// A file that was added.
    Added(Box<Text>),
    /// A track of the source, and the output that it was read for.
    Track(Generation, Box<SubtitleRendition>),
}

impl Edited {
    /// What an edit has to name.
    fn tag(&self) -> String {
        match self {
            // A text never changes: an edit is another one.
            Self::Added(text) => format!("\"{}\"", text.id),
            Self::Track(generation, rendition) => format!("\"g{generation}-{}\"", rendition.id),
        }
    }

    /// The file that the edit becomes.
    fn edit(&self, asset: &Asset, id: TextId) -> NewText {
        let charset = Some("utf-8".to_owned());
        match self {
            Self::Added(text) => NewText {
                id,
                asset: asset.id,
                language: text.language.clone(),
                name: text.name.clone(),
                charset,
                is_forced: text.is_forced,
                is_default: text.is_default,
                is_sdh: text.is_sdh,
                replaces: text.replaces.clone(),
            },
            Self::Track(_, track) => NewText {
                id,
                asset: asset.id,
                language: track.language.clone(),
                name: Some(track.name.clone()),
                charset,
                is_forced: track.is_forced,
                is_default: track.is_default,
                is_sdh: track.is_sdh,
                replaces: Some(Replaced { version: asset.source_version, rendition: track.id.clone() }),
            },
        }
    }
}

pub(crate) async fn show(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let (id, name) = place_in(path)?;
    let asset = asset_for(&state, &caller, id, Action::ReadAsset).await?;
    let edited = edited(&state, &asset, &name).await?;
    let cues = match &edited {
        Edited::Added(text) => of_text(&state, text).await?,
        Edited::Track(generation, track) => of_track(&state, &asset, *generation, track).await?,
    };
    let mut headers = no_store();
    headers.extend(HeaderValue::try_from(edited.tag()).ok().map(|tag| (header::ETAG, tag)));
    Ok((headers, Json(Cues { cues: cues.into_iter().map(CueView::from).collect() })).into_response())
}

pub(crate) async fn set(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (id, name) = place_in(path)?;
    let asset = asset_for(&state, &caller, id, Action::EditAsset).await?;
    if asset.state == AssetState::Failed {
        return Err(Problem::asset_failed());
    }
    let edited = edited(&state, &asset, &name).await?;
    let tag = edited.tag();
    if !IfMatch::of(&headers)?.names(&tag) {
        return Err(Problem::changed(&tag));
    }
    let Cues { cues } = document_of(&state, &headers, body, BODY_BYTES_MAX).await?;
    let file = tokio::task::spawn_blocking(move || written(&cues)).await.map_err(|_| Problem::internal())??;
    let now = state.clock.now();
    let new = edited.edit(&asset, TextId::mint(now, state.clock.entropy()));
    let (key, count) = (layout::text(asset.id, new.id), file.len());
    state.store.put_once(&key, file).await?;
    let old = if let Edited::Added(text) = &edited { Some(text.id) } else { None };
    let job = JobId::mint(now, state.clock.entropy());
    let replaced = match state.catalog.replace_text(&new, old, job, now).await {
        Ok(true) => Ok(()),
        // Somebody was faster.
        Ok(false) => Err(Problem::subtitle_replaced()),
        Err(error) => Err(error.into()),
    };
    if let Err(problem) = replaced {
        // Nobody knows of it, so nobody else removes it before the asset is deleted.
        if let Err(left) = state.store.delete(&key).await {
            tracing::warn!(asset.id = %asset.id, error = %chain(&left), "a refused text is left in the store");
        }
        return Err(problem);
    }
    tracing::info!(asset.id = %asset.id, text.id = %new.id, bytes = count, "subtitles edited");
    let text = state.catalog.text(asset.id, new.id).await?.ok_or(NO_TEXT)?;
    let mut headers = no_store();
    let location = format!("/api/v1/assets/{}/subtitles/{}", asset.id, new.id);
    headers.extend(HeaderValue::try_from(location).ok().map(|location| (header::CONTENT_LOCATION, location)));
    Ok((headers, Json(SubtitleView::from(&text))).into_response())
}

fn place_in(path: Result<Path<(String, String)>, PathRejection>) -> Result<(AssetId, String), Problem> {
    let Path((asset, subtitle)) = path.map_err(|error| Problem::invalid_path(error.body_text()))?;
    Ok((asset_id(&asset)?, subtitle))
}

/// What is meant by the id of a file that was added, or by the rendition of a track.
async fn edited(state: &State, asset: &Asset, name: &str) -> Result<Edited, Problem> {
    let Ok(rendition) = name.parse::<RenditionId>() else {
        let id: TextId = name.parse().map_err(|error| Problem::invalid_id(&error))?;
        let text = state.catalog.text(asset.id, id).await?.ok_or(NO_TEXT)?;
        return Ok(Edited::Added(Box::new(text)));
    };
    let (output, texts) = output_of(state, asset).await?;
    let track = output.subtitles.into_iter().find(|track| track.id == rendition);
    let (Some(track), Some(generation)) = (track, asset.generation) else { return Err(NO_TEXT.into()) };
    if replacing(&texts, asset, &rendition).is_some() {
        return Err(Problem::subtitle_replaced());
    }
    Ok(Edited::Track(generation, Box::new(track)))
}

async fn of_text(state: &State, text: &Text) -> Result<Vec<Cue>, Problem> {
    let body = state.store.get(&layout::text(text.asset, text.id)).await?.ok_or_else(Problem::subtitle_lost)?;
    read(vec![body], text.language.clone(), text.charset.clone()).await
}

/// The cues of a file that was added, and how many octets it has; `None` if it is lost.
pub(crate) async fn words(state: &State, text: &Text) -> Result<Option<(Vec<CueView>, usize)>, Problem> {
    let Some(body) = state.store.get(&layout::text(text.asset, text.id)).await? else { return Ok(None) };
    let octets = body.len();
    let cues = read(vec![body], text.language.clone(), text.charset.clone()).await?;
    Ok(Some((cues.into_iter().map(CueView::from).collect(), octets)))
}

async fn of_track(
    state: &State,
    asset: &Asset,
    generation: Generation,
    track: &SubtitleRendition,
) -> Result<Vec<Cue>, Problem> {
    let keys = (0u32..).zip(&track.segments).map(|(index, _)| layout::subtitle(asset.id, generation, &track.id, index));
    let reads = keys.map(|key| async move { state.store.get(&key).await?.ok_or_else(Problem::subtitle_lost) });
    let bodies = futures::stream::iter(reads.collect::<Vec<_>>()).buffered(READS_IN_FLIGHT).try_collect().await?;
    read(bodies, track.language.clone(), Some("utf-8".to_owned())).await
}

/// The cues of these files in order, each once: one that crosses the edge of a segment stands in both.
async fn read(bodies: Vec<Bytes>, language: Option<Language>, charset: Option<String>) -> Result<Vec<Cue>, Problem> {
    let work = move || {
        let hints = Hints { language: language.as_ref(), charset: charset.as_deref() };
        let mut cues: Vec<Cue> = bodies.iter().flat_map(|body| texts::read(body, hints).cues).collect();
        cues.sort_by(|one, other| {
            (one.start, one.end, &one.text, &one.settings).cmp(&(other.start, other.end, &other.text, &other.settings))
        });
        cues.dedup();
        cues
    };
    // A file that breaks the reader says nothing.
    Ok(tokio::task::spawn_blocking(work).await.unwrap_or_default())
}

/// The file of these cues; what is wrong with them.
fn written(cues: &[CueView]) -> Result<Bytes, Problem> {
    let mut faults = Vec::new();
    if cues.is_empty() {
        faults.push(Fault::new("/cues", "empty", "holds at least one cue: remove the subtitle instead"));
    }
    if cues.len() > CUES_MAX {
        faults.push(Fault::new("/cues", "too_many", format!("holds at most {CUES_MAX} cues")));
        return Err(Problem::invalid_fields(faults));
    }
    let mut read: Vec<Cue> = Vec::with_capacity(cues.len());
    let mut ends: Vec<i64> = Vec::new();
    for (at, cue) in cues.iter().enumerate() {
        let place = |field: &str| format!("/cues/{at}/{field}");
        let Some((start, end)) = times(cue, &place, &mut faults) else { continue };
        if read.last().is_some_and(|before| before.start > start) {
            faults.push(Fault::new(place("start_s"), "out_of_order", "is not earlier than that of the cue before"));
        }
        ends.retain(|other| *other > start.as_ms());
        ends.push(end.as_ms());
        if ends.len() > AT_ONCE_MAX {
            let detail = format!("more than {AT_ONCE_MAX} cues are shown at the same time");
            faults.push(Fault::new(place("start_s"), "too_many_at_once", detail));
        }
        read.extend(checked(cue, (start, end), &place, &mut faults));
    }
    if !faults.is_empty() {
        return Err(Problem::invalid_fields(faults));
    }
    let file = webvtt::whole(&read);
    if file.len() > BYTES_MAX { Err(Problem::body_too_large(BYTES_MAX)) } else { Ok(file.into()) }
}

/// When a cue is shown, to the millisecond.
fn times(cue: &CueView, place: &impl Fn(&str) -> String, faults: &mut Vec<Fault>) -> Option<(MediaTime, MediaTime)> {
    let mut instant = |field: &str, seconds: f64| {
        let within = Duration::try_from_secs_f64(seconds).ok().filter(|_| seconds <= SECONDS_MAX);
        let ms = within.and_then(|time| i64::try_from((time + Duration::from_micros(500)).as_millis()).ok());
        if ms.is_none() {
            faults.push(Fault::new(place(field), "out_of_range", format!("is 0 to {SECONDS_MAX}")));
        }
        ms.map(|ms| MediaTime::new(ms, Timescale::MILLISECONDS))
    };
    let (start, end) = (instant("start_s", cue.start_s), instant("end_s", cue.end_s));
    let (start, end) = (start?, end?);
    if end <= start {
        faults.push(Fault::new(place("end_s"), "too_early", "is later than start_s"));
        return None;
    }
    Some((start, end))
}

/// A cue as it will be read again.
fn checked(
    cue: &CueView,
    (start, end): (MediaTime, MediaTime),
    place: &impl Fn(&str) -> String,
    faults: &mut Vec<Fault>,
) -> Option<Cue> {
    let is_odd = |c: char| c.is_control() && c != '\n' && c != '\t';
    if cue.text.chars().count() > TEXT_CHARS_MAX || cue.text.contains(is_odd) {
        let detail = format!("has at most {TEXT_CHARS_MAX} characters, and no control characters but line breaks");
        faults.push(Fault::new(place("text"), "invalid_text", detail));
        return None;
    }
    let wanted = cue.settings.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_plain = cue.settings.chars().count() <= SETTINGS_CHARS_MAX && !wanted.contains(char::is_control);
    let settings = if is_plain { wanted.clone() } else { String::new() };
    let one = Cue { start, end, text: cue.text.clone(), settings };
    let found = texts::read(webvtt::whole(&[one]).as_bytes(), Hints { language: None, charset: Some("utf-8") });
    let Some(found) = found.cues.into_iter().next() else {
        faults.push(Fault::new(place("text"), "empty", "shows nothing"));
        return None;
    };
    if found.settings != wanted {
        faults.push(Fault::new(place("settings"), "invalid_settings", "is not understood as settings of WebVTT"));
        return None;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cue(start_s: f64, end_s: f64, text: &str) -> CueView {
        CueView { start_s, end_s, text: text.into(), settings: String::new() }
    }

    fn faults(cues: &[CueView]) -> Vec<String> {
        let problem = written(cues).expect_err("is refused");
        problem.faults().into_iter().map(|(pointer, code)| format!("{pointer} {code}")).collect()
    }

    #[test]
    fn cues_are_written_as_a_file_that_reads_back() {
        let placed =
            CueView { settings: " line:10%  align:start ".into(), ..cue(3.0, 4.0005, "<i>Où</i> & <b>là</b>") };
        let file = written(&[cue(0.0, 1.5, "One\n\ntwo"), cue(1.0, 2.0, "a --> b"), placed]).expect("is fine");
        let text = String::from_utf8(file.to_vec()).expect("is text");
        assert!(text.starts_with("WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nOne\ntwo\n"), "{text}");
        assert!(text.contains("00:00:03.000 --> 00:00:04.001 line:10% align:start\n<i>Où</i>"), "{text}");
        let read = texts::read(text.as_bytes(), Hints::default());
        assert_eq!((read.cues.len(), read.report.dropped), (3, 0));
        assert_eq!(webvtt::plain(&read.cues[1].text), "a --> b");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        assert_eq!(faults(&[]), ["/cues empty"]);
        let nan = cue(f64::NAN, 1.0, "x");
        let cues = [
            cue(5.0, 4.0, "x"),
            cue(-1.0, 1.0, "x"),
            nan,
            cue(7.0, 8.0, "x"),
            cue(6.0, 9.0, "x"),
            cue(10.0, 11.0, " \n "),
            CueView { settings: "line:banana".into(), ..cue(12.0, 13.0, "x") },
            cue(14.0, 15.0, "a\u{7}b"),
            cue(16.0, 1e9, "x"),
        ];
        let expected = [
            "/cues/0/end_s too_early",
            "/cues/1/start_s out_of_range",
            "/cues/2/start_s out_of_range",
            "/cues/4/start_s out_of_order",
            "/cues/5/text empty",
            "/cues/6/settings invalid_settings",
            "/cues/7/text invalid_text",
            "/cues/8/end_s out_of_range",
        ];
        assert_eq!(faults(&cues), expected);
    }

    #[test]
    fn so_many_cues_are_shown_at_once() {
        let four: Vec<CueView> = (0..4).map(|at| cue(f64::from(at), 10.0, "x")).collect();
        assert!(written(&four).is_ok());
        let five: Vec<CueView> = (0..5).map(|at| cue(f64::from(at), 10.0, "x")).collect();
        assert_eq!(faults(&five), ["/cues/4/start_s too_many_at_once"]);
        let later: Vec<CueView> = (0..9).map(|at| cue(f64::from(at), f64::from(at) + 4.0, "x")).collect();
        assert!(written(&later).is_ok(), "one that has ended is not shown any more");
    }
}
