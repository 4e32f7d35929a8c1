//! Parts of unfinished uploads go to the bucket ahead of time.
//!
//! Where sources are kept in a bucket, the last octet of a large file must not begin a transfer of all
//! of it: what is durable is put part by part while the rest still arrives. Nothing depends on it; the
//! completion puts what is missing, so an error here is only worth a line in the log.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use catalog_store::{Upload, UploadKind};
use domain::UploadId;
use media_store::layout::Key;

use crate::error::Causes;
use crate::{State, document};

/// Uploads of which parts are put ahead at a time; the others are served when they are complete.
const TRANSFERS_MAX: usize = 16;

/// Which uploads have a transfer under way, and how far it may go. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transfers {
    durable: Arc<Mutex<HashMap<UploadId, u64>>>,
}

/// Says that the first `durable_bytes` octets of an upload may be put.
pub(crate) fn ahead(state: &State, upload: &Upload, durable_bytes: u64) {
    let (Some(length), Some(target)) = (upload.length, upload.target) else { return };
    if state.store.is_folder() || upload.kind != UploadKind::Whole {
        return;
    }
    {
        let mut transfers = lock(&state.sessions.transfers.durable);
        if let Some(known) = transfers.get_mut(&upload.id) {
            *known = durable_bytes;
            return;
        }
        if transfers.len() >= TRANSFERS_MAX {
            return;
        }
        transfers.insert(upload.id, durable_bytes);
    }
    let transfer = transfer(state.clone(), upload.id, document::object_of(target), length);
    state.tasks.spawn(transfer);
}

async fn transfer(state: State, upload: UploadId, key: Key, length: u64) {
    let (staged, mut put) = (state.staging.path(upload), 0);
    // Ends when nothing new is durable, at the first error, or with the server.
    while let Some(durable) = next(&state, upload, put) {
        let parts = state.store.put_source_parts(&key, &staged, durable, length);
        match state.shutdown.run_until_cancelled(parts).await {
            Some(Ok(())) => put = durable,
            Some(Err(error)) => {
                tracing::debug!(upload.id = %upload, error = %Causes(&error), "a part is not put ahead");
                break;
            }
            None => break,
        }
    }
    lock(&state.sessions.transfers.durable).remove(&upload);
}

/// How far the transfer may go now; `None` when it has come that far, and then it is over.
fn next(state: &State, upload: UploadId, put: u64) -> Option<u64> {
    let mut transfers = lock(&state.sessions.transfers.durable);
    let durable = transfers.get(&upload).copied().filter(|durable| *durable > put);
    if durable.is_none() {
        transfers.remove(&upload);
    }
    durable
}

fn lock(durable: &Mutex<HashMap<UploadId, u64>>) -> MutexGuard<'_, HashMap<UploadId, u64>> {
    durable.lock().unwrap_or_else(PoisonError::into_inner)
}
