//! From the source to a published plan: the asset plays (on demand) before anything is encoded.
//!
//! The order is: presentation object, pointer, and then one transaction with probe, generation and
//! jobs. Killed in between, the next run writes the same objects again and goes on.
//!
//! What was planned, and perhaps made, while the source was uploaded is kept if it is what the complete source
//! leads to.
//!
//! A plan that takes over the source's pictures may turn out to be wrong when they are copied: then a
//! second generation is planned the same way, which encodes everything.

use catalog_store::Asset;
use domain::plan::{AudioPart, Limits};
use domain::{
    AssetState, Failure, FailureCode, Generation, JobKind, JobSpec, Plan, Presentation, Probe, Recipe, chapters,
    markers,
};

use super::{Settlement, Step, edition, images, inits, loudness, publish, trial};
use crate::error::JobError;

pub(super) async fn run(step: &Step<'_>) -> Result<Settlement, JobError> {
    let asset = step.asset().await?;
    let probe = step.parts.engine.probe(step.source().await?).await?;
    if let Some(planned) = asset.generation.filter(|_| asset.state == AssetState::Received) {
        if let Some(adopted) = adopt(step, &asset, &probe, planned).await? {
            return Ok(adopted);
        }
        tracing::warn!(generation = planned.0, "the source is not what its first part promised: it is planned anew");
    }
    let last = asset.generation_taken.max(asset.generation.unwrap_or(Generation(0)));
    let generation = Generation(last.0.saturating_add(1));
    let (plan, jobs) = publish_plan(step, &asset, &probe, &step.config.recipe, generation).await?;
    Ok(Settlement::Probed { probe: Box::new(probe), generation, plan: Box::new(plan), jobs })
}

/// Publishes what was planned while the source was uploaded; `None` unless that is what the complete source leads to,
/// in everything that decides an octet of the output.
async fn adopt(
    step: &Step<'_>,
    asset: &Asset,
    probe: &Probe,
    generation: Generation,
) -> Result<Option<Settlement>, JobError> {
    let catalog = &step.parts.catalog;
    let planned = catalog.plan(asset.id, generation).await?.zip(catalog.probe_of(asset.id, generation).await?);
    let Some((planned, foreseen)) = planned else { return Ok(None) };
    if foreseen != *probe || planned != decided(step, probe, &step.config.recipe).await? {
        return Ok(None);
    }
    // With its first segment the init segment of a rendition is stored.
    let renditions = catalog.progress(asset.id).await?;
    let has_all_inits = renditions.iter().all(|rendition| rendition.done > 0);
    if step.config.has_viewers && !has_all_inits {
        inits::store(step, generation, probe, &planned).await?;
    }
    let presentation = first_presentation(asset, probe, generation, &planned);
    edition::show_plan(step, &presentation).await?;
    tell(&planned, &presentation);
    let has_texts = !catalog.texts(asset.id).await?.is_empty();
    let more = if has_texts { vec![JobSpec::Texts { generation }] } else { vec![] };
    Ok(Some(Settlement::Adopted { probe: Box::new(probe.clone()), generation, more }))
}

/// Describes the source of an asset that plays once more, and plans the output that is to take the place of the
/// one in force. Nothing of it is shown before it is complete.
pub(super) async fn run_beside(step: &Step<'_>, generation: Generation) -> Result<Settlement, JobError> {
    let asset = step.asset().await?;
    if asset.next_generation != Some(generation) {
        return Err(JobError::Gone);
    }
    if step.parts.store.source_size(step.source_id().await?).await?.is_none() {
        let sentence = "the source of the asset is not stored any more, so it cannot be processed again";
        return Err(JobError::Refused(Failure::new(FailureCode::SourceUnavailable, sentence)));
    }
    let probe = step.parts.engine.probe(step.source().await?).await?;
    let (plan, presentation) = plan(step, &asset, &probe, &step.config.recipe, generation).await?;
    tell(&plan, &presentation);
    let jobs = jobs(&plan, &probe, generation);
    Ok(Settlement::Reprocessing { probe: Box::new(probe), plan: Box::new(plan), jobs })
}

/// Plans the generation after this one, without the source's own pictures, or without its own sound: they are not
/// what they seemed.
pub(super) async fn run_again(step: &Step<'_>, failed: Generation) -> Result<Settlement, JobError> {
    let (asset, plan) = (step.asset().await?, step.plan(failed).await?);
    let is_beside = asset.next_generation == Some(failed);
    if !is_beside && asset.generation != Some(failed) {
        return Err(JobError::Gone);
    }
    let probe = step.probe().await?;
    let recipe = if step.job.spec.kind() == JobKind::Audio {
        Recipe { audio_passthrough: false, ..plan.recipe }
    } else {
        Recipe { passthrough: false, ..plan.recipe }
    };
    let generation = Generation(asset.generation_taken.max(failed).0.saturating_add(1));
    let (plan, jobs) = if is_beside {
        let (plan, _) = self::plan(step, &asset, &probe, &recipe, generation).await?;
        let jobs = jobs(&plan, &probe, generation);
        (plan, jobs)
    } else {
        publish_plan(step, &asset, &probe, &recipe, generation).await?
    };
    Ok(Settlement::Replanned { generation, plan: Box::new(plan), jobs })
}

/// Plans a generation and makes its first presentation the current one; returns what there is to do.
async fn publish_plan(
    step: &Step<'_>,
    asset: &Asset,
    probe: &Probe,
    recipe: &Recipe,
    generation: Generation,
) -> Result<(Plan, Vec<JobSpec>), JobError> {
    let (plan, presentation) = plan(step, asset, probe, recipe, generation).await?;
    edition::show_plan(step, &presentation).await?;
    tell(&plan, &presentation);
    let mut jobs = jobs(&plan, probe, generation);
    // What was added before anything was known of the file can be shown from now on.
    if !step.parts.catalog.texts(asset.id).await?.is_empty() {
        jobs.push(JobSpec::Texts { generation });
    }
    Ok((plan, jobs))
}

/// Plans a generation and stores what can be stored of it before anything is encoded.
async fn plan(
    step: &Step<'_>,
    asset: &Asset,
    probe: &Probe,
    recipe: &Recipe,
    generation: Generation,
) -> Result<(Plan, Presentation), JobError> {
    let plan = decided(step, probe, recipe).await?;
    let presentation = first_presentation(asset, probe, generation, &plan);
    if step.config.has_viewers {
        // Players ask for them first, wherever they begin.
        inits::store(step, generation, probe, &plan).await?;
    }
    Ok((plan, presentation))
}

/// The plan of this source, before any of its GOPs is tried.
pub(super) async fn untried(step: &Step<'_>, probe: &Probe, recipe: &Recipe) -> Result<Plan, JobError> {
    let limits = limits(step).await?;
    let plan = Plan::new(probe, recipe, &limits).map_err(JobError::Refused)?;
    if inits::are_possible(probe, &plan) {
        return Ok(plan);
    }
    let recipe = Recipe { passthrough: false, ..recipe.clone() };
    Plan::new(probe, &recipe, &limits).map_err(JobError::Refused)
}

async fn decided(step: &Step<'_>, probe: &Probe, recipe: &Recipe) -> Result<Plan, JobError> {
    let plan = untried(step, probe, recipe).await?;
    let plan = trial::decide(step, probe, plan).await?;
    loudness::decide(step, probe, plan).await
}

/// The document that shows a plan of which nothing is made yet.
fn first_presentation(asset: &Asset, probe: &Probe, generation: Generation, plan: &Plan) -> Presentation {
    Presentation {
        title: publish::title(asset, probe),
        chapters: chapters::shown(asset.chapters.as_deref(), probe, plan.origin, plan.duration),
        markers: markers::shown(&asset.markers, plan.duration),
        ..Presentation::planned(asset.id, asset.playback, generation, plan)
    }
}

fn tell(plan: &Plan, presentation: &Presentation) {
    tracing::info!(
        generation = presentation.generation.0,
        duration_ms = plan.duration.as_ms(),
        rungs = presentation.video.len(),
        audio_tracks = plan.audio.len(),
        audio_copied = plan.audio.iter().filter(|audio| audio.copied.is_some()).count(),
        copied = plan.video.as_ref().and_then(|video| video.copied_rung()).map(|rung| rung.id.as_str()),
        "source understood"
    );
}

/// What this source may hold: the worker's bounds, and those of the capability it was uploaded under.
async fn limits(step: &Step<'_>) -> Result<Limits, JobError> {
    let limits = step.config.limits.clone();
    let terms = step.parts.catalog.terms_of_source(step.source_id().await?).await?;
    let duration_s_max = terms.and_then(|terms| terms.duration_s_max).unwrap_or(u32::MAX).min(limits.duration_s_max);
    Ok(Limits { duration_s_max, ..limits })
}

/// The parts of a generation. Chapters need none: they are in the presentation from the start.
pub(super) fn jobs(plan: &Plan, probe: &Probe, generation: Generation) -> Vec<JobSpec> {
    let has_picture = plan.video.is_some() || probe.cover.is_some();
    let chunks =
        |is_wanted: bool| if is_wanted { plan.chunks() } else { Vec::new() }.into_iter().map(|chunk| chunk.index);
    let video = plan.video.as_ref();
    let copies = chunks(video.is_some_and(|video| video.copied_rung().is_some()));
    let copies = copies.map(|chunk| JobSpec::Copy { generation, chunk });
    let encoded = chunks(video.is_some_and(|video| video.encoded_count() > 0));
    let encoded = encoded.map(|chunk| JobSpec::Chunk { generation, chunk });
    let audio = plan.audio.iter().flat_map(|audio| {
        let part = |part: AudioPart| JobSpec::Audio { generation, rendition: audio.id.clone(), part: part.index };
        plan.audio_parts(audio).into_iter().map(part)
    });
    let extra = video.into_iter().flat_map(|video| &video.extra).filter_map(|rungs| rungs.first());
    let extra = extra.flat_map(|rung| {
        let codec = rung.codec;
        plan.chunks().into_iter().map(move |chunk| JobSpec::Extra { generation, codec, chunk: chunk.index })
    });
    let subtitles = (!plan.subtitles.is_empty()).then_some(JobSpec::Subtitles { generation });
    let images = has_picture.then_some(JobSpec::Images { generation, is_last: images::are_last(plan) });
    let measured = (!plan.audio.is_empty()).then_some(JobSpec::Loudness { generation });
    copies.chain(encoded).chain(audio).chain(subtitles).chain(images).chain(measured).chain(extra).collect()
}
