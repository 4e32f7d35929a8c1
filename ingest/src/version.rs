//! Another source of an asset that plays: who may bring one.
//!
//! An upload that `replaces` an asset brings its next source (docs/adr/0042). Whoever may have the asset processed again
//! may send one, and whoever holds a capability that was handed out for that asset.

use std::time::Duration;

use catalog_store::{Asset, Target};
use domain::authority::{Action, Resource, Standing};
use domain::{AssetId, AssetState, SourceId, SourceVersion};

use crate::gate::{self, Entrant};
use crate::protocol::metadata::UPLOAD_METADATA;
use crate::{Denial, State, UploadError};

/// How long an upload that begins waits for the store to say what is there.
const PATIENCE: Duration = Duration::from_secs(2);

/// What an upload is for that names this asset, or comes under a capability; `None` for a new asset.
///
/// An asset that the one who asks may not even see is not there.
pub(crate) async fn target(
    state: &State,
    entrant: &Entrant,
    replaces: Option<&str>,
) -> Result<Option<Target>, UploadError> {
    let named = named(replaces, "replaces must be the id of an asset")?;
    if entrant.grant.as_ref().is_some_and(|(grant, _)| grant.is_document) {
        return Err(Denial::Grant { problem: "it is for a document" }.into());
    }
    let id = match (entrant.grant.as_ref().map(|(grant, _)| grant.asset), named) {
        (Some(Some(granted)), named) if named.is_none_or(|named| named == granted) => granted,
        (Some(Some(_)), _) => return Err(Denial::Grant { problem: "it is for another asset" }.into()),
        (Some(None), Some(_)) => return Err(Denial::Grant { problem: "it is for new assets" }.into()),
        (None, Some(named)) => named,
        (Some(None) | None, None) => return Ok(None),
    };
    let asset = asset_for(state, entrant, id, Action::ReprocessAsset).await?;
    Ok(Some(Target::version_from(free(state, &asset).await, asset.playback)))
}

/// The next source of an asset under whose number nothing is stored: where the database was put back from a copy, it may
/// not know of all that is.
async fn free(state: &State, asset: &Asset) -> SourceId {
    let mut next = SourceId { asset: asset.id, version: asset.source_version_taken.max(SourceVersion::FIRST) };
    loop {
        // Ends with the last number, which the catalogue refuses to go beyond.
        next.version.0 = next.version.0.saturating_add(1);
        if next.version >= SourceVersion::MAX {
            return next;
        }
        match tokio::time::timeout(PATIENCE, state.store.source_size(next)).await {
            Ok(Ok(Some(_))) => {
                let version = next.version.0;
                tracing::warn!(asset.id = %asset.id, version, "a version is stored that is in no row");
            }
            // A store that is away keeps nobody from sending: what is there is seen again at the end.
            Ok(Ok(None) | Err(_)) | Err(_) => return next,
        }
    }
}

/// The asset whose id stands in the metadata of an upload, if one does.
pub(crate) fn named(id: Option<&str>, reason: &'static str) -> Result<Option<AssetId>, UploadError> {
    let read = |id: &str| id.parse().map_err(|_| UploadError::Header { header: UPLOAD_METADATA, reason });
    id.map(read).transpose()
}

/// An asset with which somebody may do this, or for which they hold a capability.
pub(crate) async fn asset_for(
    state: &State,
    entrant: &Entrant,
    id: AssetId,
    action: Action,
) -> Result<Asset, UploadError> {
    let found = state.catalog.asset(id).await?.filter(|asset| asset.state != AssetState::Deleted);
    let asset = found.ok_or(UploadError::NoAsset)?;
    if entrant.grant.is_none() {
        let standing = match entrant.principal.name() {
            Some(name) => state.catalog.standing(id, &name, state.clock.now()).await?,
            None => Standing::Stranger,
        };
        if standing < Standing::Viewer && entrant.principal.is_confined() {
            return Err(UploadError::NoAsset);
        }
        gate::may(&entrant.principal, action, Resource::Asset(standing))?;
    }
    Ok(asset)
}
