//! Works on one asset until nothing more happens to it: the command line's `transcode`, and tests.

use std::pin::pin;
use std::time::Duration;

use catalog_store::{Asset, CatalogError, RenditionProgress};
use domain::{AssetId, AssetState, Timestamp};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::Worker;

/// Longest time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

/// Shortest time between two reports.
const REPORT_PAUSE: Duration = Duration::from_millis(50);

/// How far an asset is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Its state.
    pub state: AssetState,
    /// Segments done and planned, per rendition; empty before the source is probed.
    pub renditions: Vec<RenditionProgress>,
    /// When it was looked at.
    pub at: Timestamp,
}

/// Why an asset did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TranscodeError {
    /// The worker was stopped before; a later call goes on where it stopped.
    #[error("stopped before the asset was final")]
    Stopped,
    /// There is no such asset.
    #[error("no asset {0}")]
    NoAsset(AssetId),
    /// The catalogue failed.
    #[error("cannot read the catalogue")]
    Catalog(#[from] CatalogError),
}

/// Runs `worker` until `asset` is final and none of its jobs is left, and returns the asset.
///
/// Whether it is ready or failed is in its state. `on_progress` is called whenever something may have
/// changed, at most twenty times a second. `soft` and `hard` stop it early, as in [`Worker::run`].
///
/// # Errors
/// [`TranscodeError::Stopped`] if a token was cancelled first.
pub async fn run_asset_until_final(
    worker: &Worker,
    asset: AssetId,
    soft: CancellationToken,
    hard: CancellationToken,
    mut on_progress: impl FnMut(&Progress),
) -> Result<Asset, TranscodeError> {
    let catalog = &worker.parts().catalog;
    let mut commits = catalog.changed();
    let stop = soft.child_token();
    let mut running = pin!(worker.run(stop.clone(), hard));
    let mut last = None;
    // Ends when the asset is final, when a token is cancelled, or with an error.
    loop {
        commits.mark_unchanged();
        let found = catalog.asset(asset).await?.ok_or(TranscodeError::NoAsset(asset))?;
        let (state, renditions) = (found.state, catalog.progress(asset).await?);
        let progress = Progress { state, renditions, at: worker.parts().clock.now() };
        let is_news = |last: &Progress| (last.state, &last.renditions) != (progress.state, &progress.renditions);
        if last.as_ref().is_none_or(is_news) {
            on_progress(&progress);
            last = Some(progress);
        }
        if found.state.is_final() && catalog.unfinished_job_count_of(asset).await? == 0 {
            stop.cancel();
            running.await;
            return Ok(found);
        }
        let woken = async {
            sleep(REPORT_PAUSE).await;
            // Whether there is news or not is looked up above.
            tokio::select! {
                _ = commits.changed() => {}
                () = sleep(REPORT_INTERVAL) => {}
            }
        };
        tokio::select! {
            () = &mut running => return Err(TranscodeError::Stopped),
            () = woken => {}
        }
    }
}
