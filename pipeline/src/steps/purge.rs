//! Removes every object of a deleted asset; the pointer first, so that nobody begins to play it.

use catalog_store::Asset;
use domain::{AssetId, AssetState, SourceId, SourceVersion};
use media_store::{MediaStore, StoreError, layout};

use super::{Settlement, Step};
use crate::error::JobError;
use crate::worker::Parts;

pub(super) async fn run(step: &Step<'_>) -> Result<Settlement, JobError> {
    let asset = step.asset().await?;
    objects(&step.parts.store, &asset).await?;
    Ok(Settlement::Purged)
}

/// Sweeps up what a job that was cancelled by the deletion of its asset may have put after the purge.
pub(crate) async fn sweep_if_deleted(parts: &Parts, asset: AssetId) -> Result<(), JobError> {
    match parts.catalog.asset(asset).await? {
        Some(found) if found.state == AssetState::Deleted => objects(&parts.store, &found).await?,
        _ => {}
    }
    Ok(())
}

async fn objects(store: &MediaStore, found: &Asset) -> Result<(), StoreError> {
    let asset = found.id;
    store.delete_pointer(found.playback).await?;
    store.delete_prefix(&layout::presentations_of(asset)).await?;
    store.delete_prefix(&layout::media_of(asset)).await?;
    store.delete_prefix(&layout::texts_of(asset)).await?;
    store.delete_prefix(&layout::documents_of(asset)).await?;
    store.delete_prefix(&layout::posters_of(asset)).await?;
    // Every source that it ever had: what is not there is no error.
    for version in (SourceVersion::FIRST.0..=found.source_version_taken.0).map(SourceVersion) {
        store.delete(&layout::source(SourceId { asset, version })).await?;
    }
    Ok(())
}
