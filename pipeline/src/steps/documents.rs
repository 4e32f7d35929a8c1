//! Documents that were taken back: their objects go once no pointer tells of them.

use media_store::layout;

use super::Step;
use crate::error::JobError;

/// Removes what is left of them. To be called once the pointer follows the catalogue.
pub(super) async fn sweep(step: &Step<'_>) -> Result<(), JobError> {
    let (parts, asset) = (step.parts, step.job.asset);
    for document in parts.catalog.removed_documents(asset).await? {
        parts.store.delete(&layout::document(asset, document)).await?;
        parts.catalog.forget_document(step.job, document, parts.clock.now()).await?;
        tracing::info!(document.id = %document, "document removed");
    }
    Ok(())
}
