//! Removes an output that is played no more, once players that began with it have had their time; and at once
//! one that failed while another was played, which nobody has seen.
//!
//! The rows go first, then the objects: a row without an object is impossible.

use domain::{AssetId, Generation};
use media_store::{MediaStore, layout};

use super::{Settlement, Step, edition};
use crate::error::JobError;
use crate::worker::Parts;

pub(super) async fn run(step: &Step<'_>, generation: Generation) -> Result<Settlement, JobError> {
    let (parts, asset) = (step.parts, step.asset().await?);
    let known = parts.catalog.generations(asset.id).await?;
    let replaced_at = known.iter().find(|one| one.generation == generation).and_then(|one| one.replaced_at);
    let until = replaced_at.map(|at| at.plus(step.config.retire_after));
    if let Some(until) = until.filter(|until| *until > parts.clock.now()) {
        return Ok(Settlement::Kept(until));
    }
    // The pointer follows the catalogue: whoever publishes the new output may have been kept from writing it.
    if edition::is_shown(&parts.store, asset.playback, generation).await? {
        return Err(JobError::StillShown);
    }
    // It goes with the last output that was made of it.
    let source = parts.catalog.source_to_remove(asset.id, generation).await?;
    if !parts.catalog.drop_generation(step.job, parts.clock.now()).await? {
        return Err(JobError::inconsistent("an output that is in force, or to be, was to be removed"));
    }
    objects(&parts.store, asset.id, generation).await?;
    if let Some(source) = source {
        parts.store.delete(&layout::source(source)).await?;
        tracing::info!(version = source.version.0, "version removed");
    }
    Ok(Settlement::Retired)
}

/// Sweeps up what a job that was cancelled with its output may have put after that was removed.
pub(crate) async fn sweep_if_retired(
    parts: &Parts,
    asset: AssetId,
    generation: Option<Generation>,
) -> Result<(), JobError> {
    let Some(generation) = generation else { return Ok(()) };
    let Some(found) = parts.catalog.asset(asset).await? else { return Ok(()) };
    let is_wanted = [found.generation, found.next_generation].contains(&Some(generation));
    // As long as its row is there, the job that removes it is still to come.
    if is_wanted || parts.catalog.edition(asset, generation).await?.is_some() {
        return Ok(());
    }
    objects(&parts.store, asset, generation).await
}

async fn objects(store: &MediaStore, asset: AssetId, generation: Generation) -> Result<(), JobError> {
    store.delete_prefix(&layout::generation_of(asset, generation)).await?;
    let mut after = None;
    // Ends because every page begins behind the one before it.
    loop {
        let page = store.list(&layout::presentations_of(asset), after.as_ref()).await?;
        for object in page.objects {
            if layout::presentation_named(asset, &object.key).is_some_and(|(named, _)| named == generation) {
                store.delete(&object.key).await?;
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}
