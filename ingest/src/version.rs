//! Another source of an asset that plays: who may bring one.
//!
//! An upload that `replaces` an asset brings its next source (docs/adr/0042). Whoever may have the asset processed again
//! may send one, and whoever holds a capability that was handed out for that asset.

use catalog_store::{Asset, Target};
use domain::authority::{Action, Resource, Standing};
use domain::{AssetId, AssetState};

use crate::gate::{self, Entrant};
use crate::protocol::metadata::UPLOAD_METADATA;
use crate::{Denial, State, UploadError};

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
    Ok(Some(Target::next_version(id, asset.playback)))
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
