//! Removes every object of a deleted asset; the pointer first, so that nobody begins to play it.

use domain::{AssetId, AssetState, PlaybackId};
use media_store::{MediaStore, StoreError, layout};

use super::{Settlement, Step};
use crate::error::JobError;
use crate::worker::Parts;

pub(super) async fn run(step: &Step<'_>) -> Result<Settlement, JobError> {
    let asset = step.asset().await?;
    objects(&step.parts.store, asset.id, asset.playback).await?;
    Ok(Settlement::Purged)
}

/// Sweeps up what a job that was cancelled by the deletion of its asset may have put after the purge.
pub(crate) async fn sweep_if_deleted(parts: &Parts, asset: AssetId) -> Result<(), JobError> {
    match parts.catalog.asset(asset).await? {
        Some(found) if found.state == AssetState::Deleted => objects(&parts.store, asset, found.playback).await?,
        _ => {}
    }
    Ok(())
}

async fn objects(store: &MediaStore, asset: AssetId, playback: PlaybackId) -> Result<(), StoreError> {
    store.delete_pointer(playback).await?;
    store.delete_prefix(&layout::presentations_of(asset)).await?;
    store.delete_prefix(&layout::media_of(asset)).await?;
    store.delete_prefix(&layout::texts_of(asset)).await?;
    store.delete(&layout::source(asset)).await
}
