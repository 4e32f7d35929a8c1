//! Keeps the lease of a running job alive, and notices when it is lost.

use std::time::Duration;

use catalog_store::LeasedJob;
use tokio::time::{Instant, sleep, timeout};

use super::{Parts, WorkerConfig};

/// Heartbeats within one lease: two may fail before the lease is lost.
const HEARTBEATS_PER_LEASE: u32 = 3;

/// Returns once the lease is lost: taken by somebody else, cancelled, or not renewed in time.
pub(super) async fn kept_until_lost(parts: &Parts, config: &WorkerConfig, job: &LeasedJob) {
    let pause = (config.lease / HEARTBEATS_PER_LEASE).max(Duration::from_millis(10));
    let mut renewed = Instant::now();
    // Ends when the lease is lost; dropped when the job ends.
    loop {
        sleep(pause).await;
        let asked = Instant::now();
        match timeout(pause, parts.catalog.heartbeat(job, config.lease, parts.clock.now())).await {
            Ok(Ok(true)) => renewed = asked,
            Ok(Ok(false)) => return,
            Ok(Err(error)) => tracing::warn!(error = &error as &dyn std::error::Error, "heartbeat failed"),
            Err(_) => tracing::warn!("heartbeat timed out"),
        }
        // Somebody else may have the job by now, even though nobody could tell us.
        if renewed.elapsed() >= config.lease {
            return;
        }
    }
}
