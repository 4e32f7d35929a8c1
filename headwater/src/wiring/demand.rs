//! What the origin waits for, brought to the queue of jobs.

use std::sync::Arc;

use catalog_store::{Catalog, Demand, Wanted};
use domain::{Clock, JobId};
use origin::DemandHook;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Segments that are told but not yet looked up; further ones are told again two seconds later.
const TOLD_MAX: usize = 256;

/// A hook for an origin, and the task that listens to it until `soft` is cancelled.
pub fn demand(
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    soft: CancellationToken,
) -> (DemandHook, impl Future<Output = ()> + Send + 'static) {
    let (tell, mut told) = mpsc::channel::<origin::Wanted>(TOLD_MAX);
    let hook = DemandHook::new(move |wanted| {
        // The origin repeats what it still waits for.
        let _ = tell.try_send(wanted);
    });
    let listen = async move {
        // Ends with the soft signal, or with the last hook.
        while let Some(Some(wanted)) = soft.run_until_cancelled(told.recv()).await {
            enqueue(&catalog, &*clock, wanted).await;
        }
    };
    (hook, listen)
}

async fn enqueue(catalog: &Catalog, clock: &dyn Clock, wanted: origin::Wanted) {
    let origin::Wanted { asset, generation, rendition, segment } = wanted;
    let wanted = Wanted { asset, generation, rendition, segment };
    let now = clock.now();
    match catalog.demand(&wanted, JobId::mint(now, clock.entropy()), now).await {
        Ok(Demand::Full) => tracing::warn!(asset.id = %asset, "too many segments are waited for"),
        Ok(demand) => {
            tracing::debug!(asset.id = %asset, rendition.id = %wanted.rendition, segment, ?demand, "segment waited for");
        }
        // Playback does not depend on it: the viewer waits for what comes by itself.
        Err(error) => {
            tracing::warn!(asset.id = %asset, error = &error as &dyn std::error::Error, "demand cannot be enqueued");
        }
    }
}
