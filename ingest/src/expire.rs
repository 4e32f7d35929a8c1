//! What nobody cares for any more is given up, and what was left undone is taken up again.

use std::collections::HashSet;
use std::time::Duration;

use catalog_store::{Closing, Upload, UploadState};
use domain::{Timestamp, UploadId};
use futures::StreamExt;

use crate::error::Causes;
use crate::{State, UploadError, concat, document, recover};

/// Time between two rounds.
const ROUND_EVERY: Duration = Duration::from_secs(60);
/// Uploads that one query names.
const PAGE_UPLOADS: u32 = 100;
/// Pages in one round.
const PAGES_MAX: u32 = 100;
/// Time that one round spends with the store, so that one that is away holds nothing else up.
const SWEEP_MAX: Duration = Duration::from_secs(10);
/// Uploads whose parts are removed from the store at a time.
const ABANDONED_AT_ONCE_MAX: usize = 4;
/// How long a part that was given up is remembered, so that its address answers 410 and not 404.
const TOMBSTONE_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Goes its rounds until the server stops. Run one for each staging folder.
pub async fn janitor(state: State) {
    // Ends with the server; a lost branch loses nothing, since the next start goes a round too.
    while !state.shutdown.is_cancelled() {
        if let Err(error) = round(&state).await {
            tracing::warn!(error = %Causes(&error), "unfinished uploads cannot be looked after");
        }
        let _ = state.shutdown.run_until_cancelled(tokio::time::sleep(ROUND_EVERY)).await;
    }
}

/// One round: gives up uploads and parts whose time is up, takes up again what could not be completed,
/// and forgets what nobody will ask for.
///
/// # Errors
/// When the catalogue or the disk does not answer; the next round does the rest.
pub async fn round(state: &State) -> Result<(), UploadError> {
    let staged = state.staging.uploads().await.map_err(|_| UploadError::Internal)?;
    let open = state.catalog.open_uploads().await?;
    let open_ids: HashSet<UploadId> = open.iter().map(|upload| upload.id).collect();
    let mut finishing = Vec::new();
    for upload in open {
        if upload.full_length().is_some() || !upload.terms.parts.is_empty() {
            // Whoever works on it has its turn, and then nothing happens here.
            finishing.push(state.tasks.spawn(recover::finish(state.clone(), upload)));
        }
    }
    // None takes long: what does goes on in a task of its own.
    futures::future::join_all(finishing).await;
    for id in staged.into_iter().filter(|id| !open_ids.contains(id)) {
        discard_closed(state, id).await?;
    }
    expire(state).await?;
    let oldest =
        state.clock.now().unix_ms().saturating_sub(i64::try_from(TOMBSTONE_AGE.as_millis()).unwrap_or(i64::MAX));
    state.catalog.prune_parts(Timestamp::from_unix_ms(oldest)).await?;
    // Last, for it asks the store, which may be away: the journals that stay are for the next round.
    let sweep = tokio::time::timeout(SWEEP_MAX, abandon_transfers(state));
    match state.shutdown.run_until_cancelled(sweep).await {
        Some(Ok(swept)) => swept,
        Some(Err(_)) => {
            tracing::warn!("the store does not answer: parts of uploads that were given up stay there for now");
            Ok(())
        }
        None => Ok(()),
    }
}

/// Removes what an upload that was given up left behind on this disk. Its parts in a bucket go with the next
/// round: whoever gives an upload up need not wait for a store that may be away.
pub(crate) async fn discard(state: &State, upload: &Upload) -> Result<(), UploadError> {
    state.staging.discard(upload.id).await?;
    // A crash may have come between the source and its record. In a bucket a source is stored only when
    // the upload is full, and then its asset is purged.
    if let Some(target) = upload.target.filter(|_| state.store.is_folder()) {
        state.store.delete(&document::object_of(target)).await?;
    }
    Ok(())
}

/// Removes from the store the parts of uploads that are not open any more.
async fn abandon_transfers(state: &State) -> Result<(), UploadError> {
    let mut closed = Vec::new();
    for upload in state.staging.transfers().await.map_err(|_| UploadError::Internal)? {
        if state.catalog.upload(upload).await?.is_none_or(|upload| upload.state != UploadState::Open) {
            closed.push(upload);
        }
    }
    let abandon = |upload: UploadId| async move {
        if let Err(error) = state.store.abandon_source(&state.staging.path(upload)).await {
            tracing::warn!(upload.id = %upload, error = %Causes(&error), "parts of an upload stay in the store for now");
        }
    };
    futures::stream::iter(closed).for_each_concurrent(ABANDONED_AT_ONCE_MAX, abandon).await;
    Ok(())
}

/// Removes the staged file of an upload that was closed behind our back, as by the deletion of its asset.
async fn discard_closed(state: &State, id: UploadId) -> Result<(), UploadError> {
    // A file without a row belongs to an upload that is just being created.
    let Some(upload) = state.catalog.upload(id).await? else { return Ok(()) };
    let is_closed = matches!(upload.state, UploadState::Terminated | UploadState::Expired | UploadState::Refused);
    match state.sessions.idle(id).filter(|_| is_closed) {
        Some(_turn) => discard(state, &upload).await,
        None => Ok(()),
    }
}

async fn expire(state: &State) -> Result<(), UploadError> {
    let finals = state.catalog.open_finals().await?;
    let is_needed = |part: UploadId| finals.iter().any(|upload| upload.terms.parts.contains(&part));
    for _ in 0..PAGES_MAX {
        let due = state.catalog.uploads_due_to_expire(state.clock.now(), PAGE_UPLOADS).await?;
        let mut given_up = 0;
        for upload in &due {
            if !(upload.state == UploadState::Complete && is_needed(upload.id)) && give_up(state, upload).await? {
                given_up += 1;
            }
        }
        if given_up == 0 {
            break;
        }
    }
    Ok(())
}

/// Gives up an upload whose time is up; false when somebody works on it or has come back.
async fn give_up(state: &State, upload: &Upload) -> Result<bool, UploadError> {
    let Some(_turn) = state.sessions.idle(upload.id) else { return Ok(false) };
    match state.catalog.upload(upload.id).await? {
        Some(upload) => close_if_due(state, &upload).await,
        None => Ok(false),
    }
}

/// Gives up an upload whose turn the caller holds, if its time is up; whether it did.
pub(crate) async fn close_if_due(state: &State, upload: &Upload) -> Result<bool, UploadError> {
    let now = state.clock.now();
    // Of an open upload that is full nothing more is to come from anybody. A part stays full when it is complete.
    let is_ours = upload.state == UploadState::Open && upload.full_length().is_some();
    let is_due = upload.expires_at.is_some_and(|expiry| expiry <= now) && !is_ours;
    if !is_due || !concat::close(state, upload.id, &Closing::Expired).await? {
        return Ok(false);
    }
    if upload.state == UploadState::Open {
        state.sessions.closed();
    }
    discard(state, upload).await?;
    tracing::info!(upload.id = %upload.id, offset = upload.offset, "upload expired");
    Ok(true)
}
