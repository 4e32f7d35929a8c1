//! How a document comes into force: built from what is in force, stored, agreed on, and then pointed to.
//!
//! Several jobs may publish the same generation at the same time. The catalogue decides whose document is
//! next; the pointer follows it. Should the pointers of two jobs be written in the wrong order, the later
//! one sees that it is not the latest and puts it right before its job settles; killed in between, the job
//! runs again and does the same.

use catalog_store::Edition;
use domain::presentation::{Pointer, SCHEMA};
use domain::{AssetState, Generation, PlaybackId, Presentation};
use media_store::{MediaStore, layout};
use packager::rates;

use super::Step;
use crate::commit::blocking;
use crate::error::JobError;

/// How often a document is built anew, or a pointer written, because others publish at the same time.
pub(super) const ATTEMPTS_MAX: usize = 8;

/// What is in force of a generation.
pub(super) struct InForce {
    pub(super) edition: Edition,
    /// The document; `None` if it cannot be read.
    pub(super) document: Option<Presentation>,
}

/// What is in force of a generation. To be asked before anything is read that goes into the next document.
pub(super) async fn in_force(step: &Step<'_>, generation: Generation) -> Result<InForce, JobError> {
    let asset = step.job.asset;
    let edition = step.parts.catalog.edition(asset, generation).await?.ok_or(JobError::Gone)?;
    let key = layout::presentation(asset, generation, edition.revision);
    let document = step.parts.store.get(&key).await?.and_then(|body| serde_json::from_slice(&body).ok());
    Ok(InForce { edition, document })
}

/// Publishes `next`, which was built from `before`; false if that is out of date: build it anew.
///
/// Does nothing but point to what is in force if that is `next` already.
pub(super) async fn replace(step: &Step<'_>, before: &InForce, mut next: Presentation) -> Result<bool, JobError> {
    let (parts, now) = (step.parts, step.parts.clock.now());
    next.revision = before.edition.revision;
    rates::fill(&mut next);
    judge(&next).await?;
    if before.document.as_ref() != Some(&next) {
        next.revision = parts.catalog.take_revision(step.job, now).await?;
        let key = layout::presentation(next.asset, next.generation, next.revision);
        parts.store.put_once(&key, serde_json::to_vec(&next)?.into()).await?;
        let revision = (next.revision, next.is_complete());
        if !parts.catalog.put_in_force(step.job, before.edition, revision, now).await? {
            tracing::info!(revision = next.revision, "another document came first");
            // Nobody was told of this one. Should it stay, the next publication takes it along.
            if let Err(error) = parts.store.delete(&key).await {
                tracing::warn!(%key, error = &error as &dyn std::error::Error, "a document that is not needed stays");
            }
            return Ok(false);
        }
    }
    point(step, next.playback).await?;
    parts.catalog.mark_playable(step.job.asset, now).await?;
    if next.is_complete() {
        // Behind the pointer: caches that are purged for it ask for what is there then.
        parts.catalog.tell_published(step.job, next.revision, parts.clock.now()).await?;
    }
    Ok(true)
}

/// Refuses a document whose playlists break a rule of HLS that must be kept.
async fn judge(next: &Presentation) -> Result<(), JobError> {
    let judged = next.clone();
    let report = blocking(move || Ok(packager::validate::presentation(&judged))).await?;
    let Some(violation) = report.violation() else { return Ok(()) };
    let (rule, place, what) = (violation.rule.id, &violation.place, &violation.what);
    tracing::error!(rule, place, what, "playlists break a rule, and are not published");
    Err(JobError::inconsistent(format!("{place} breaks {rule}: {what}")))
}

/// Shows the plan of a generation that has no row yet, unless something newer is shown.
///
/// The document first, then the pointer: whoever follows the pointer finds what it names.
pub(super) async fn show_plan(step: &Step<'_>, plan: &Presentation) -> Result<(), JobError> {
    let (parts, mut pointer) = (step.parts, plan.pointer());
    let key = layout::presentation(pointer.asset, pointer.generation, pointer.revision);
    parts.store.put_once(&key, serde_json::to_vec(plan)?.into()).await?;
    // A worker that was stopped for long must not bring back what has been replaced or deleted.
    step.still_ours().await?;
    let (asset, current) = (step.asset().await?, current(&parts.store, plan.playback).await?);
    pointer.turn = asset.turn;
    if current.as_ref().is_none_or(|current| current.rank() < pointer.rank()) {
        pointer.access = asset.access_after(current.as_ref().map(|current| &current.access));
        pointer.documents = parts.catalog.listed_documents(pointer.asset).await?;
        parts.store.put_pointer(plan.playback, serde_json::to_vec(&pointer)?.into()).await?;
    }
    parts.catalog.mark_playable(pointer.asset, parts.clock.now()).await?;
    Ok(())
}

/// Takes back the plan of a generation that failed, so that no player waits for segments that never come.
pub(crate) async fn withdraw(store: &MediaStore, playback: PlaybackId, generation: Generation) -> Result<(), JobError> {
    let current = current(store, playback).await?;
    if current.is_some_and(|current| current.generation == generation && !current.is_complete()) {
        store.delete_pointer(playback).await?;
    }
    Ok(())
}

/// Has the pointer name what is in force, or something newer.
async fn point(step: &Step<'_>, playback: PlaybackId) -> Result<(), JobError> {
    let (parts, asset) = (step.parts, step.job.asset);
    for attempt in 0..ATTEMPTS_MAX {
        // Read anew after each write: another job may have written an older pointer over a newer one, and somebody may
        // have gone back to an earlier version.
        let found = step.asset().await?;
        let generation = found.generation.ok_or(JobError::Gone)?;
        let edition = parts.catalog.edition(asset, generation).await?.ok_or(JobError::Gone)?;
        let is_complete = Some(edition.is_complete);
        let retained = parts.catalog.retained(asset).await?;
        let (revision, turn) = (edition.revision, found.turn);
        let documents = parts.catalog.listed_documents(asset).await?;
        let current = current(&parts.store, playback).await?;
        let access = found.access_after(current.as_ref().map(|current| &current.access));
        let wanted = Pointer {
            schema: SCHEMA,
            asset,
            generation,
            revision,
            turn,
            is_complete,
            retained,
            access,
            documents: documents.clone(),
        };
        // Whatever is newer stays, and is played when the catalogue says.
        let wanted = match current.clone() {
            Some(newer) if newer.rank() > wanted.rank() => {
                let documents = documents.clone();
                Pointer { access: found.access_after(Some(&newer.access)), documents, ..newer }
            }
            _ => wanted,
        };
        let is_there = |current: &Pointer| {
            let is_followed = current.access == found.access_after(Some(&current.access));
            is_followed && current.documents == documents && current.rank() >= wanted.rank()
        };
        if current.as_ref().is_some_and(is_there) {
            return if attempt == 0 { Ok(()) } else { still_living(step, playback, generation).await };
        }
        step.still_ours().await?;
        // An operator may have changed it meanwhile.
        let access = self::current(&parts.store, playback).await?.map_or(wanted.access, |current| current.access);
        let wanted = Pointer { access: found.access_after(Some(&access)), ..wanted };
        parts.store.put_pointer(playback, serde_json::to_vec(&wanted)?.into()).await?;
    }
    Err(JobError::Outpaced)
}

/// Takes back what was just pointed to if the asset has failed in that very moment.
async fn still_living(step: &Step<'_>, playback: PlaybackId, generation: Generation) -> Result<(), JobError> {
    match step.parts.catalog.asset(step.job.asset).await?.map(|asset| asset.state) {
        Some(AssetState::Failed) => {
            withdraw(&step.parts.store, playback, generation).await?;
            Err(JobError::Gone)
        }
        Some(AssetState::Deleted) | None => Err(JobError::Gone),
        Some(_) => Ok(()),
    }
}

/// True if the output is the one that is pointed to.
pub(super) async fn is_shown(
    store: &MediaStore,
    playback: PlaybackId,
    generation: Generation,
) -> Result<bool, JobError> {
    Ok(current(store, playback).await?.is_some_and(|current| current.generation == generation))
}

async fn current(store: &MediaStore, playback: PlaybackId) -> Result<Option<Pointer>, JobError> {
    let Some(body) = store.pointer(playback).await? else { return Ok(None) };
    match serde_json::from_slice(&body) {
        Ok(pointer) => Ok(Some(pointer)),
        // Whoever may play it must not be forgotten.
        Err(error) if has_policy(&body) => {
            Err(JobError::inconsistent(format!("the pointer of {playback} cannot be understood: {error}")))
        }
        // It is of an older form: it is replaced.
        Err(_) => Ok(None),
    }
}

fn has_policy(pointer: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(pointer).is_ok_and(|value| value.get("access").is_some())
}
