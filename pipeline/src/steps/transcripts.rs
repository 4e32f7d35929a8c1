//! What is said in assets whose subtitles were cut before searches knew of them: read again from what is stored.

use catalog_store::Text;
use domain::presentation::SubtitleRendition;
use domain::text::State;
use domain::{Generation, Plan, RenditionId};
use media_store::layout;
use packager::texts::{self, Hints};

use super::{Step, texts as added};
use crate::commit::blocking;
use crate::cues;
use crate::error::JobError;

/// Octets of one segment that are read; a cue is far shorter.
const SEGMENT_BYTES_MAX: usize = 1 << 20;

/// Has everything found that is said by subtitles of the asset, as far as it is not.
pub(super) async fn complete(
    step: &Step<'_>,
    generation: Generation,
    plan: &Plan,
    own: &[SubtitleRendition],
) -> Result<(), JobError> {
    let (parts, asset) = (step.parts, step.job.asset);
    let known = parts.catalog.transcript_sources(asset).await?;
    let version = parts.catalog.source_of(asset, Some(generation)).await?.version;
    for text in parts.catalog.texts(asset).await?.into_iter().filter(|text| !text.is_removed) {
        let source = text.id.to_string();
        // What stands for a track of another version is not shown with this one.
        let is_elsewhere = text.replaces.as_ref().is_some_and(|track| track.version != version);
        let cues = match known.contains(&source) {
            true if is_elsewhere => vec![],
            false if !is_elsewhere && text.state == State::Ready => of_text(step, plan, &text).await?,
            _ => continue,
        };
        parts.catalog.put_transcript(step.job, (&source, text.language.as_ref()), &cues, parts.clock.now()).await?;
    }
    let replaced = replaced(step, generation).await?;
    let is_known = |rendition: &SubtitleRendition| known.iter().any(|source| source == rendition.id.as_str());
    for rendition in own.iter().filter(|one| !is_known(one) && !replaced.contains(&one.id)) {
        let cues = of_rendition(step, generation, plan, rendition).await?;
        let source = (rendition.id.as_str(), rendition.language.as_ref());
        parts.catalog.put_transcript(step.job, source, &cues, parts.clock.now()).await?;
    }
    Ok(())
}

/// Tracks of the source that something else is shown and found instead of.
pub(super) async fn replaced(step: &Step<'_>, generation: Generation) -> Result<Vec<RenditionId>, JobError> {
    let (parts, asset) = (step.parts, step.job.asset);
    let source = parts.catalog.source_of(asset, Some(generation)).await?.version;
    let texts = parts.catalog.texts(asset).await?.into_iter().filter(|text| !text.is_removed);
    let tracks = texts.filter_map(|text| text.replaces).filter(|track| track.version == source);
    Ok(tracks.map(|track| track.rendition).collect())
}

async fn of_text(step: &Step<'_>, plan: &Plan, text: &Text) -> Result<Vec<catalog_store::Cue>, JobError> {
    let Some(body) = step.parts.store.get(&layout::text(step.job.asset, text.id)).await? else { return Ok(vec![]) };
    let (cues, _) = added::parsed(body, text, plan).await?;
    Ok(cues::spoken(&cues))
}

async fn of_rendition(
    step: &Step<'_>,
    generation: Generation,
    plan: &Plan,
    rendition: &SubtitleRendition,
) -> Result<Vec<catalog_store::Cue>, JobError> {
    let (asset, duration) = (step.job.asset, plan.duration);
    let mut bodies = Vec::new();
    for (index, _) in (0u32..).zip(&rendition.segments) {
        let body = step.parts.store.get(&layout::subtitle(asset, generation, &rendition.id, index)).await?;
        bodies.extend(body.filter(|body| body.len() <= SEGMENT_BYTES_MAX));
    }
    let language = rendition.language.clone();
    let read = move || {
        let hints = Hints { language: language.as_ref(), charset: Some("utf-8") };
        // A cue that crosses the edge of a segment stands in both: `shown` leaves one.
        let cues = bodies.iter().flat_map(|body| texts::read(body, hints).cues).collect();
        Ok(cues::spoken(&cues::shown(cues, duration)))
    };
    match blocking(read).await {
        // What breaks the reader once breaks it every time; nothing is found by it then.
        Err(JobError::Panicked) => Ok(vec![]),
        read => read,
    }
}
