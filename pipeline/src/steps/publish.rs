//! From the ledger to the published presentation: everything planned is there, measured and verified.
//!
//! The documents are a pure function of plan, probe and rows, so that a second run writes the same bytes.

use std::collections::HashMap;

use catalog_store::{Asset, SegmentRow};
use domain::presentation::{AudioRendition, FileEntry, SegmentEntry, VideoRendition};
use domain::{
    Failure, FailureCode, Generation, LeftOut, Plan, Presentation, Probe, RenditionId, Tally, chapters, markers,
};
use futures::{StreamExt, TryStreamExt};
use media_store::{Key, MediaStore, layout};

use super::{Settlement, Step, documents, edition, poster, texts};
use crate::coding;
use crate::commit::{blocking, sha256_hex};
use crate::error::JobError;

/// Objects whose presence is checked at the same time.
const CHECKS_IN_FLIGHT: usize = 16;

type Rows = HashMap<RenditionId, Vec<SegmentRow>>;

pub(super) async fn run(step: &Step<'_>, generation: Generation) -> Result<Settlement, JobError> {
    let (asset, plan) = (step.asset().await?, step.plan(generation).await?);
    let probe = step.probe().await?;
    judge(step.parts.catalog.tally(asset.id, generation).await?)?;
    let left_out = step.parts.catalog.left_out(asset.id, generation).await?;
    let mut rows = Rows::new();
    for row in step.parts.catalog.segments(asset.id, generation).await? {
        rows.entry(row.rendition.clone()).or_default().push(row);
    }
    let planned = Presentation::planned(asset.id, asset.playback, generation, &plan);
    let mut video = Vec::new();
    for rendition in &planned.video {
        video.push(measured_video(step, generation, rendition, &mut rows).await?);
    }
    for rendition in wanted_extra(&plan, &mut rows, &left_out) {
        video.push(measured_video(step, generation, &rendition, &mut rows).await?);
    }
    let audio = measured_audio(&planned, &mut rows, &left_out)?;
    if video.is_empty() && audio.is_empty() {
        return Err(JobError::Refused(Failure::new(
            FailureCode::Damaged,
            "no sound track of the file could be decoded; it is probably damaged",
        )));
    }
    let mut whole = Presentation {
        is_complete: Some(true),
        first: None,
        title: title(&asset, &probe),
        subtitles: step.parts.catalog.subtitles(asset.id, generation).await?,
        images: step.parts.catalog.images(asset.id, generation).await?,
        video,
        audio,
        ..planned
    };
    check_segments(&step.parts.store, segments(&whole)).await?;
    whole.files = measured_files(&step.parts.store, &whole, &[]).await?;
    for _ in 0..edition::ATTEMPTS_MAX {
        let before = edition::in_force(step, generation).await?;
        let asset = step.asset().await?;
        let texts = texts::read_all(step, generation, &plan).await?;
        let poster = poster::chosen(step, generation, (&plan, &probe), asset.poster).await?;
        let mut next = whole.clone();
        if poster.images != whole.images {
            next.images.clone_from(&poster.images);
            next.files = measured_files(&step.parts.store, &next, &whole.files).await?;
        }
        next.subtitles = texts.beside(next.subtitles);
        next.chapters = chapters::shown(asset.chapters.as_deref(), &probe, plan.origin, plan.duration);
        next.markers = markers::shown(&asset.markers, plan.duration);
        if edition::replace(step, &before, next).await? {
            texts::sweep(step, texts).await?;
            documents::sweep(step).await?;
            poster.record(step, generation).await?;
            return Ok(Settlement::Published);
        }
    }
    Err(JobError::Outpaced)
}

/// The renditions in other codecs, but for codecs of which a part could not be made: those are not shown at all.
fn wanted_extra(plan: &Plan, rows: &mut Rows, left_out: &[LeftOut]) -> Vec<VideoRendition> {
    let Some(video) = &plan.video else { return Vec::new() };
    let lacks = |id: &RenditionId| {
        let codec = video.rung(id).map(|rung| rung.codec);
        codec.is_some() && left_out.iter().any(|missing| missing.codec == codec)
    };
    let (without, wanted): (Vec<_>, Vec<_>) =
        Presentation::planned_extra(plan).into_iter().partition(|rendition| lacks(&rendition.id));
    for rendition in without {
        rows.remove(&rendition.id);
    }
    wanted
}

/// The title shown to people: the one in the catalogue, else the container's, else the file's name.
pub(super) fn title(asset: &Asset, probe: &Probe) -> Option<String> {
    let stem = |name: &str| name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned();
    let file = asset.file_name.as_deref().map(stem);
    [asset.title.clone(), probe.title.clone(), file].into_iter().flatten().find(|title| !title.trim().is_empty())
}

async fn measured_video(
    step: &Step<'_>,
    generation: Generation,
    planned: &VideoRendition,
    rows: &mut Rows,
) -> Result<VideoRendition, JobError> {
    let rows = rows.remove(&planned.id).unwrap_or_default();
    let Some(segments) = complete(&planned.segments, rows) else {
        return Err(JobError::inconsistent(format!("{} is not complete", planned.id)));
    };
    let init = step.parts.store.get(&layout::init(step.job.asset, generation, &planned.id)).await?;
    let codecs = init.as_deref().and_then(coding::codecs);
    Ok(VideoRendition {
        codecs: codecs.ok_or_else(|| JobError::inconsistent(format!("{} has no init segment", planned.id)))?,
        segments,
        ..planned.clone()
    })
}

/// Refuses a source of whose picture too much was lost, over its whole length.
fn judge(tally: Tally) -> Result<(), JobError> {
    let Tally { good, bad, repeated } = tally;
    tracing::debug!(good, bad, repeated, "pictures counted");
    if !tally.is_damaged() {
        return Ok(());
    }
    let sentence =
        format!("{bad} of {} pictures of the file cannot be decoded: it is damaged", good.saturating_add(bad));
    Err(JobError::Refused(Failure::new(FailureCode::Damaged, sentence)))
}

/// The audio renditions that are complete: of one that is not it is recorded that it was left out, and why.
fn measured_audio(
    planned: &Presentation,
    rows: &mut Rows,
    left_out: &[LeftOut],
) -> Result<Vec<AudioRendition>, JobError> {
    let mut renditions: Vec<AudioRendition> = Vec::new();
    for planned in &planned.audio {
        let rows = rows.remove(&planned.id).unwrap_or_default();
        if left_out.iter().any(|missing| missing.rendition.as_ref() == Some(&planned.id)) {
            continue;
        }
        let Some(segments) = complete(&planned.segments, rows) else {
            return Err(JobError::inconsistent(format!("{} is not complete", planned.id)));
        };
        renditions.push(AudioRendition { is_default: renditions.is_empty(), segments, ..planned.clone() });
    }
    match rows.keys().next() {
        Some(stranger) => Err(JobError::inconsistent(format!("{stranger} is in no plan"))),
        None => Ok(renditions),
    }
}

/// The committed segments, if they are exactly the planned ones; `None` if one is missing.
fn complete(planned: &[SegmentEntry], mut rows: Vec<SegmentRow>) -> Option<Vec<SegmentEntry>> {
    rows.sort_by_key(|row| row.index);
    let is_planned = |(at, (row, entry)): (usize, (&SegmentRow, &SegmentEntry))| {
        usize::try_from(row.index).is_ok_and(|index| index == at) && row.ticks == entry.ticks && row.bytes > 0
    };
    if rows.len() != planned.len() || !rows.iter().zip(planned).enumerate().all(is_planned) {
        return None;
    }
    Some(rows.into_iter().map(SegmentEntry::from).collect())
}

/// Every segment that the presentation names, with its length.
fn segments(presentation: &Presentation) -> Vec<(Key, Option<u64>)> {
    let (asset, generation) = (presentation.asset, presentation.generation);
    let mut segments = Vec::new();
    let video = presentation.video.iter().map(|rendition| (&rendition.id, &rendition.segments));
    let audio = presentation.audio.iter().map(|rendition| (&rendition.id, &rendition.segments));
    for (id, entries) in video.chain(audio) {
        let keys = (0u32..).map(|index| layout::segment(asset, generation, id, index));
        segments.extend(keys.zip(entries.iter().map(|segment| segment.bytes)));
    }
    for rendition in &presentation.subtitles {
        let keys = (0u32..).map(|index| layout::subtitle(asset, generation, &rendition.id, index));
        segments.extend(keys.zip(rendition.segments.iter().map(|segment| segment.bytes)));
    }
    segments
}

/// The objects that the presentation names and that are no segments: init segments and pictures.
pub(crate) fn files(presentation: &Presentation) -> Result<Vec<Key>, JobError> {
    let (asset, generation) = (presentation.asset, presentation.generation);
    let coded =
        presentation.video.iter().map(|video| &video.id).chain(presentation.audio.iter().map(|audio| &audio.id));
    let inits = coded.map(|id| Ok(layout::init(asset, generation, id)));
    let pictures = presentation.images.iter().flat_map(domain::presentation::Images::files).map(|file| {
        layout::image(asset, generation, file).map_err(|error| JobError::inconsistent(format!("{file}: {error}")))
    });
    inits.chain(pictures).collect()
}

/// Reads what is no segment and notes what it holds: no row does. What is `known` of a file is taken as it is.
pub(super) async fn measured_files(
    store: &MediaStore,
    presentation: &Presentation,
    known: &[FileEntry],
) -> Result<Vec<FileEntry>, JobError> {
    let folder = layout::generation_of(presentation.asset, presentation.generation);
    let measure = |key: Key| {
        let path = key.below(&folder).unwrap_or_default().to_owned();
        let known = known.iter().find(|file| file.path == path).cloned();
        async move {
            if let Some(known) = known {
                return Ok(known);
            }
            let body = store.get(&key).await?;
            let body = body.ok_or_else(|| JobError::inconsistent(format!("{key} is missing")))?;
            let bytes = u64::try_from(body.len()).unwrap_or(u64::MAX);
            let sha256 = blocking(move || Ok(sha256_hex(&body))).await?;
            Ok::<_, JobError>(FileEntry { path, bytes, sha256 })
        }
    };
    futures::stream::iter(files(presentation)?).map(measure).buffered(CHECKS_IN_FLIGHT).try_collect().await
}

/// The last look before players see it: every segment exists and is as long as its row says.
async fn check_segments(store: &MediaStore, segments: Vec<(Key, Option<u64>)>) -> Result<(), JobError> {
    let check = |(key, expected): (Key, Option<u64>)| async move {
        match store.head(&key).await? {
            Some(found) if expected.is_none_or(|expected| expected == found) => Ok(()),
            Some(found) => Err(JobError::inconsistent(format!("{key} has {found} bytes, its row {expected:?}"))),
            None => Err(JobError::inconsistent(format!("{key} is missing"))),
        }
    };
    futures::stream::iter(segments).map(check).buffer_unordered(CHECKS_IN_FLIGHT).try_collect().await
}

#[cfg(test)]
mod tests;
