//! A full upload becomes the source of its asset.
//!
//! Each step may be repeated: the digests of the whole are verified, the staged file becomes the source
//! object, then one transaction makes the upload complete, the asset `received` and enqueues its probe.
//! Whoever finds some of them done does the rest. The steps are taken in a task that no request can
//! interrupt, and repeated while the store is away; requests wait for it only for so long. A part has
//! no source: its file stays staged until a final upload takes it.
//!
//! Before all that is done, nobody may see an offset that equals the length, for it tells a client that
//! it may forget its file. Where the length was known, the last octet is not counted meanwhile; where all
//! octets were counted before the length was told, the length is not recorded meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use catalog_store::{Advance, Closing, Upload, UploadKind, UploadState};
use domain::{Failure, FailureCode, JobId};
use media_store::StoreError;
use media_store::staging::Writer;

use crate::committer::{Commit, SyncPolicy};
use crate::digest::Expected;
use crate::error::Causes;
use crate::receive::has_digests;
use crate::session::{COMPLETION_PATIENCE_FACTOR, Turn};
use crate::{State, UploadError, concat, document, expire};

/// Time to the first repetition; each further one waits twice as long.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Longest time between two attempts.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(30);
/// What a completion gets before its request is told to come back.
const PATIENCE_MIN: Duration = Duration::from_secs(1);
/// What an attempt under way gets when the server stops; the next start goes on from there.
const STOPPING_GRACE: Duration = Duration::from_secs(2);

/// Completes an upload of which all `length` octets are written; its offset says how many are recorded, and
/// its length is what was announced.
///
/// Dropping the future does not stop the completion.
///
/// # Errors
/// [`UploadError::Completing`] when that takes long: it goes on; [`UploadError::Refused`] when the octets
/// are not those that were promised.
pub(crate) async fn complete(
    state: &State,
    upload: &Upload,
    turn: Arc<Turn>,
    writer: Writer,
    length: u64,
) -> Result<(), UploadError> {
    turn.completing();
    let completion = Completion { state: state.clone(), upload: upload.clone(), turn, writer, length };
    let task = state.tasks.spawn(Box::pin(completion.run()));
    // A lost wait loses nothing: the task goes on.
    let patience = (state.limits.handover_max * COMPLETION_PATIENCE_FACTOR).max(PATIENCE_MIN);
    match tokio::time::timeout(patience, task).await {
        Ok(joined) => joined.map_err(|_| UploadError::Internal)?,
        // Its request is told what is recorded by now: the rest may not be on the disk yet.
        Err(_) => match state.catalog.upload(upload.id).await?.ok_or(UploadError::NotFound)? {
            now if now.state == UploadState::Complete => Ok(()),
            now => Err(UploadError::Completing { offset: now.offset }),
        },
    }
}

/// Completes an upload that a former process, or a former attempt, left full; nothing if somebody has
/// its turn.
pub(crate) async fn resume(state: &State, upload: &Upload) -> Result<(), UploadError> {
    let Some(turn) = state.sessions.idle(upload.id) else { return Ok(()) };
    // It may have been completed since the row was read.
    let upload = state.catalog.upload(upload.id).await?.filter(|now| now.state == UploadState::Open);
    let Some(upload) = upload else { return Ok(()) };
    let Some(length) = upload.full_length().or(upload.length) else { return Ok(()) };
    if state.staging.len(upload.id).await?.is_none() && complete_adopted(state, &upload).await? {
        return Ok(());
    }
    let writer = state.staging.writer(upload.id, length).await?;
    complete(state, &upload, Arc::new(turn), writer, length).await
}

/// Completes an upload whose source object exists already; false when it does not.
pub(crate) async fn complete_adopted(state: &State, upload: &Upload) -> Result<bool, UploadError> {
    let length = upload.full_length().or(upload.length);
    let (Some(length), Some(target)) = (length, upload.target) else { return Ok(false) };
    if state.store.size(&document::object_of(target)).await? != Some(length) {
        return Ok(false);
    }
    finish(state, upload, length).await?;
    state.staging.discard(upload.id).await?;
    Ok(true)
}

/// The end of one upload, under way.
struct Completion {
    state: State,
    upload: Upload,
    turn: Arc<Turn>,
    writer: Writer,
    length: u64,
}

impl Completion {
    async fn run(self) -> Result<(), UploadError> {
        let Self { state, upload, length, .. } = &self;
        let digests = Expected::of_terms(&upload.terms.digests).ok_or(UploadError::Internal)?;
        // What may take long is first made so that no client has to come back for it. So is what only its client
        // knows to be all: the row does not tell the length.
        let mut is_recorded = upload.is_full;
        let is_unannounced = self.tellable() == *length;
        let is_document = document::of(upload).is_some();
        if !is_recorded && (is_unannounced || is_document || !state.store.is_folder() || !digests.is_empty()) {
            self.record_full().await?;
            is_recorded = true;
        }
        let is_durable = state.limits.sync != SyncPolicy::None;
        let is_flushed = is_durable && !is_recorded;
        let begun = Instant::now();
        self.writer.clone().seal(*length, is_flushed).await?;
        if is_flushed {
            state.metrics.synced(begun.elapsed());
        }
        if !self.holds(&digests).await? {
            return Err(self.differs(&digests).await?);
        }
        if is_document && let Some(failure) = self.described().await? {
            return Err(self.refuse(failure).await?);
        }
        let mut delay = RETRY_DELAY;
        // Ends with success, an error that time does not heal, a termination, or the server.
        loop {
            let error = match self.attempt().await {
                Err(error) if may_heal(&error) => error,
                Err(UploadError::Store(error @ StoreError::SourceDiffers { .. })) => {
                    return Err(self.misplaced(&error).await?);
                }
                other => return other,
            };
            tracing::warn!(upload.id = %upload.id, error = %Causes(&error), "an upload cannot be completed yet");
            if !is_recorded {
                is_recorded = self.record_sealed().await.is_ok();
            }
            tokio::select! {
                () = self.turn.superseded() => return Err(error),
                () = state.shutdown.cancelled() => return Err(error),
                () = tokio::time::sleep(delay) => {}
            }
            delay = (delay * 2).min(RETRY_DELAY_MAX);
        }
    }

    /// Whether the file has the digests that were announced.
    async fn holds(&self, digests: &[Expected]) -> Result<bool, UploadError> {
        if digests.is_empty() {
            return Ok(true);
        }
        let _permit = self.state.sessions.heavy().await;
        let verification = has_digests(&self.state, &self.upload, 0..self.length, digests);
        // What was read is lost with the branch; the next start reads again.
        match self.state.shutdown.run_until_cancelled(verification).await {
            Some(holds) => Ok(holds?),
            None => Err(UploadError::Completing { offset: self.tellable() }),
        }
    }

    /// One attempt at storing and recording.
    ///
    /// In a folder it is short and not to be interrupted: nobody else may touch the file before its new
    /// name is there. On its way into a bucket the file is only read; what is put is not put again.
    async fn attempt(&self) -> Result<(), UploadError> {
        if self.state.store.is_folder() {
            return self.store_and_finish().await;
        }
        let quit = async {
            tokio::select! {
                () = self.turn.superseded() => {}
                () = self.state.shutdown.cancelled() => tokio::time::sleep(STOPPING_GRACE).await,
            }
        };
        tokio::select! {
            outcome = self.store_and_finish() => outcome,
            () = quit => Err(UploadError::Completing { offset: self.tellable() }),
        }
    }

    async fn store_and_finish(&self) -> Result<(), UploadError> {
        let Self { state, upload, length, .. } = self;
        if let Some(target) = upload.target {
            state.store.adopt(&document::object_of(target), self.writer.path()).await?;
        }
        finish(state, upload, *length).await?;
        if upload.kind == UploadKind::Partial {
            concat::part_ended(state, upload.id).await;
        }
        Ok(())
    }

    /// How many octets may be counted before the upload is complete: an offset never falls, and without a length
    /// beside it, it says nothing of the end.
    fn tellable(&self) -> u64 {
        match self.upload.length {
            Some(length) => length.saturating_sub(1).max(self.upload.offset),
            None => self.length,
        }
    }

    fn full(&self) -> Advance {
        Advance { id: self.upload.id, offset: self.tellable(), expires_at: None, is_full: true }
    }

    /// Makes every octet durable and records that: from here on nothing is needed of the client.
    async fn record_full(&self) -> Result<(), UploadError> {
        let commit = Commit { writer: self.writer.clone(), turn: self.turn.clone(), advance: self.full() };
        self.state.sessions.committer.commit(&self.state, commit).await
    }

    /// The same when the file is sealed, which flushed it.
    async fn record_sealed(&self) -> Result<(), UploadError> {
        let outcomes = self.state.catalog.advance_uploads(&[self.full()], self.state.clock.now()).await?;
        outcomes.into_iter().try_for_each(|outcome| outcome.map_err(UploadError::from))
    }

    /// Notes what a document is and holds, before it is stored; why it is not wanted, if so.
    async fn described(&self) -> Result<Option<Failure>, UploadError> {
        let _permit = self.state.sessions.heavy().await;
        let describing = document::describe(&self.state, &self.upload, self.length);
        // What was read is lost with the branch; the next start reads again.
        match self.state.shutdown.run_until_cancelled(describing).await {
            Some(described) => described,
            None => Err(UploadError::Completing { offset: self.tellable() }),
        }
    }

    /// Gives the upload up: its octets are not those that were promised.
    async fn differs(&self, digests: &[Expected]) -> Result<UploadError, UploadError> {
        let names: Vec<&str> = digests.iter().map(|digest| digest.algorithm.tus_name()).collect();
        let message = format!("the file does not have the announced digest ({}): upload it again", names.join(", "));
        self.refuse(Failure::new(FailureCode::Damaged, message)).await
    }

    /// Gives the upload up, since its place is taken: what is there belongs to somebody whom the catalogue does not know,
    /// and stays.
    async fn misplaced(&self, taken: &StoreError) -> Result<UploadError, UploadError> {
        let Self { state, upload, .. } = self;
        tracing::error!(upload.id = %upload.id, error = %Causes(taken), "another file lies where this one belongs");
        let message = "another file is stored where this one belongs, as after the database was put back from a copy: \
            upload it again";
        let failure = Failure::new(FailureCode::Internal, message);
        if state.catalog.close_upload(upload.id, &Closing::Refused(failure.clone()), state.clock.now()).await? {
            state.sessions.closed();
            state.staging.discard(upload.id).await?;
        }
        Ok(UploadError::Refused(failure))
    }

    /// Gives the upload up, for this reason.
    async fn refuse(&self, failure: Failure) -> Result<UploadError, UploadError> {
        let Self { state, upload, .. } = self;
        if concat::close(state, upload.id, &Closing::Refused(failure.clone())).await? {
            state.sessions.closed();
            expire::discard(state, upload).await?;
        }
        Ok(UploadError::Refused(failure))
    }
}

async fn finish(state: &State, upload: &Upload, length: u64) -> Result<(), UploadError> {
    let now = state.clock.now();
    let job = || JobId::mint(now, state.clock.entropy());
    match state.catalog.finish_upload(upload.id, length, (job(), job()), now).await.map_err(UploadError::from) {
        Ok(()) => {
            state.sessions.closed();
            tracing::info!(upload.id = %upload.id, bytes = length, "upload complete");
            concat::release_parts(state, upload).await;
            Ok(())
        }
        // The asset was deleted meanwhile: nobody else knows of the object that has just been made.
        Err(error @ (UploadError::Gone | UploadError::NotFound)) => {
            if let Some(target) = upload.target {
                state.store.delete(&document::object_of(target)).await?;
            }
            Err(error)
        }
        Err(error) => Err(error),
    }
}

/// Whether the same may succeed later without anybody doing anything about the upload.
fn may_heal(error: &UploadError) -> bool {
    match error {
        UploadError::Store(error) => error.retry() != media_store::Retry::Never,
        UploadError::Catalog(_) | UploadError::Staging(_) | UploadError::OutOfSpace => true,
        _ => false,
    }
}
