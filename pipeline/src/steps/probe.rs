//! From the source to a published plan: the asset plays (on demand) before anything is encoded.
//!
//! The order is: presentation object, pointer, and then one transaction with probe, generation and
//! jobs. Killed in between, the next run writes the same objects again and goes on.

use domain::plan::{AudioPart, Limits};
use domain::{Generation, JobSpec, Plan, Presentation, chapters};

use super::{Settlement, Step, edition, inits, publish};
use crate::error::JobError;

pub(super) async fn run(step: &Step<'_>) -> Result<Settlement, JobError> {
    let asset = step.asset().await?;
    let probe = step.parts.engine.probe(step.source().await?).await?;
    let plan = Plan::new(&probe, &step.config.recipe, &limits(step).await?).map_err(JobError::Refused)?;
    let generation = Generation(asset.generation.map_or(1, |last| last.0.saturating_add(1)));
    let presentation = Presentation {
        title: publish::title(&asset, &probe),
        chapters: chapters::shown(asset.chapters.as_deref(), &probe, plan.origin, plan.duration),
        ..Presentation::planned(asset.id, asset.playback, generation, &plan)
    };
    if step.config.has_viewers {
        // Players ask for them first, wherever they begin.
        inits::store(step, generation, &probe, &plan).await?;
    }
    edition::show_plan(step, &presentation).await?;
    tracing::info!(
        generation = generation.0,
        duration_ms = plan.duration.as_ms(),
        rungs = presentation.video.len(),
        audio_tracks = plan.audio.len(),
        "source understood"
    );
    let has_picture = plan.video.is_some() || probe.cover.is_some();
    let mut jobs = jobs(&plan, generation, has_picture);
    // What was added before anything was known of the file can be shown from now on.
    if !step.parts.catalog.texts(asset.id).await?.is_empty() {
        jobs.push(JobSpec::Texts { generation });
    }
    Ok(Settlement::Probed { probe: Box::new(probe), generation, plan: Box::new(plan), jobs })
}

/// What this source may hold: the worker's bounds, and those of the capability it was uploaded under.
async fn limits(step: &Step<'_>) -> Result<Limits, JobError> {
    let limits = step.config.limits.clone();
    let terms = step.parts.catalog.upload_terms_of(step.job.asset).await?;
    let duration_s_max = terms.and_then(|terms| terms.duration_s_max).unwrap_or(u32::MAX).min(limits.duration_s_max);
    Ok(Limits { duration_s_max, ..limits })
}

/// The parts of a generation. Chapters need none: they are in the presentation from the start.
fn jobs(plan: &Plan, generation: Generation, has_picture: bool) -> Vec<JobSpec> {
    let chunks = plan.chunks().into_iter().map(|chunk| JobSpec::Chunk { generation, chunk: chunk.index });
    let audio = plan.audio.iter().flat_map(|audio| {
        let part = |part: AudioPart| JobSpec::Audio { generation, rendition: audio.id.clone(), part: part.index };
        plan.audio_parts(audio).into_iter().map(part)
    });
    let subtitles = (!plan.subtitles.is_empty()).then_some(JobSpec::Subtitles { generation });
    let images = has_picture.then_some(JobSpec::Images { generation });
    let loudness = (!plan.audio.is_empty()).then_some(JobSpec::Loudness { generation });
    chunks.chain(audio).chain(subtitles).chain(images).chain(loudness).collect()
}
