//! A final upload: the octets of its parts, one behind the other.
//!
//! The parts are copied by the kernel, within the staging folder and in bounded steps; a file system
//! that can share blocks copies nothing. It happens in a task of its own: the request waits a little,
//! and a crash loses at most a few steps. A final upload may name parts that still grow, and begins
//! when the last of them is complete. The same request twice makes one upload. One that cannot become
//! anything is refused with the reason, and none waits longer than its parts do.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use catalog_store::finals::part_given_up;
use catalog_store::{Advance, Closing, Upload, UploadKind, UploadState};
use domain::{AssetState, Failure, FailureCode, UploadId};
use media_store::staging::Writer;
use media_store::{StagingError, StoreError};

use crate::committer::Commit;
use crate::digest::{Algorithm, Hasher};
use crate::error::Causes;
use crate::protocol::tus::PARTS_MAX;
use crate::session::Turn;
use crate::watch::Watch;
use crate::{Denial, State, UploadError, admission, complete, document, gate, intake};

/// Octets copied after which they are flushed and recorded.
const CHECKPOINT_BYTES: u64 = 1 << 30;
/// How often an upload whose request is repeated may have been given up before.
const LIVES_MAX: u32 = 16;
/// How long parts are kept that became a whole: another final upload may want them too.
const TAKEN_PARTS_AGE: Duration = Duration::from_secs(60 * 60);

/// What becomes of a request for a final upload.
#[derive(Debug)]
pub(crate) enum Planned {
    /// The same request came before and made this upload.
    Again(Box<Upload>),
    /// A new upload is to be made.
    New {
        /// The sum of its parts; `None` while a part does not know its length.
        length: Option<u64>,
        /// Keeps the same request from making another one.
        repeat_key: Option<String>,
    },
}

/// Whether `parts` can become one upload of `owner`, and whether they did so already.
pub(crate) async fn plan(
    state: &State,
    owner: Option<&str>,
    parts: Vec<UploadId>,
    metadata: &str,
) -> Result<Planned, UploadError> {
    if parts.is_empty() || parts.len() > PARTS_MAX {
        return Err(UploadError::Part { reason: "there must be at least one and not more than a thousand" });
    }
    let key = repeat_key(owner, &parts, metadata);
    for life in 0..LIVES_MAX {
        let repeat_key = format!("{key}-{life}");
        match state.catalog.upload_by_repeat_key(&repeat_key).await? {
            None => {
                let length = length_of(state, owner, &parts).await?;
                return Ok(Planned::New { length, repeat_key: Some(repeat_key) });
            }
            Some(upload) if is_alive(state, &upload).await? => return Ok(Planned::Again(Box::new(upload))),
            Some(_) => {}
        }
    }
    Err(UploadError::Part { reason: "they were put together and given up too often: upload them again" })
}

/// Puts the parts of a final upload together if all are complete; waits for that, but not for long.
///
/// # Errors
/// When it failed; [`UploadError::Refused`] for good, otherwise it is tried again later.
pub(crate) async fn begin(state: &State, upload: UploadId) -> Result<(), UploadError> {
    let task = state.tasks.spawn(join(state.clone(), upload));
    match tokio::time::timeout(state.limits.handover_max, task).await {
        Ok(Ok(Err(UploadError::Completing { .. }))) | Err(_) => Ok(()),
        Ok(joined) => joined.map_err(|_| UploadError::Internal)?,
    }
}

/// Gives an upload up, and with a part the final uploads that waited for it; false if it was not open any more.
pub(crate) async fn close(state: &State, id: UploadId, closing: &Closing) -> Result<bool, UploadError> {
    let closed = state.catalog.close_upload_with_finals(id, closing, state.clock.now()).await?;
    let Some(refused) = closed else { return Ok(false) };
    for whole in refused {
        state.sessions.closed();
        state.metrics.refused("upload_refused");
        tracing::info!(upload.id = %whole, reason = %part_given_up(), "upload refused");
        if let Err(error) = state.staging.discard(whole).await {
            tracing::warn!(upload.id = %whole, error = %Causes(&error), "a refused file is left to the janitor");
        }
    }
    Ok(true)
}

/// Parts that became a whole are of no more use for long.
pub(crate) async fn release_parts(state: &State, upload: &Upload) {
    let (parts, at) = (&upload.terms.parts, state.clock.now().plus(TAKEN_PARTS_AGE));
    if parts.is_empty() {
        return;
    }
    if let Err(error) = state.catalog.expire_parts_at(parts, at).await {
        tracing::warn!(upload.id = %upload.id, error = %Causes(&error), "parts are kept until they expire by themselves");
    }
}

/// Begins every final upload that may have waited for this part to be complete, or given up.
pub(crate) async fn part_ended(state: &State, part: UploadId) {
    let finals = match state.catalog.open_finals().await {
        Ok(finals) => finals,
        Err(error) => {
            // The janitor's next round finds them.
            tracing::warn!(upload.id = %part, error = %Causes(&error), "final uploads cannot be looked up");
            return;
        }
    };
    for upload in finals.into_iter().filter(|upload| upload.terms.parts.contains(&part)) {
        let join = join(state.clone(), upload.id);
        state.tasks.spawn(async move {
            if let Err(error) = join.await {
                tracing::warn!(upload.id = %upload.id, error = %Causes(&error), "parts cannot be put together yet");
            }
        });
    }
}

async fn length_of(state: &State, owner: Option<&str>, parts: &[UploadId]) -> Result<Option<u64>, UploadError> {
    let mut sum = Some(0u64);
    for part in parts {
        let refused = |reason| Err(UploadError::Part { reason });
        let Some(part) = state.catalog.upload(*part).await? else { return refused("one of them does not exist") };
        if part.kind != UploadKind::Partial || part.owner.as_deref() != owner {
            return refused("one of them is not a part");
        }
        if !matches!(part.state, UploadState::Open | UploadState::Complete) {
            return refused("one of them was given up");
        }
        sum = match (sum, part.length) {
            (Some(sum), Some(length)) => match sum.checked_add(length) {
                Some(sum) if i64::try_from(sum).is_ok() => Some(sum),
                _ => return refused("together they are too long"),
            },
            _ => None,
        };
    }
    Ok(sum)
}

/// Whether somebody may still want the upload.
async fn is_alive(state: &State, upload: &Upload) -> Result<bool, UploadError> {
    match (upload.state, upload.target) {
        (UploadState::Open, _) | (UploadState::Complete, None) => Ok(true),
        (UploadState::Complete, Some(target)) => {
            let asset = state.catalog.asset(target.asset).await?;
            Ok(asset.is_some_and(|asset| asset.state != AssetState::Deleted))
        }
        _ => Ok(false),
    }
}

/// The same for the same request, and for no other.
fn repeat_key(owner: Option<&str>, parts: &[UploadId], metadata: &str) -> String {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(format!("{owner:?}\n{metadata:?}\n").as_bytes());
    parts.iter().for_each(|part| hasher.update(part.to_string().as_bytes()));
    hasher.finish().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the parts of a final upload allow.
enum Parts {
    /// All are complete; their lengths.
    Complete(Vec<(UploadId, u64)>),
    /// One still grows.
    Growing,
    /// One was given up.
    Gone,
}

/// Puts the parts together if all are complete. Boxed because the completion of a part leads here, and
/// this leads to the completion of the whole.
fn join(state: State, id: UploadId) -> Pin<Box<dyn Future<Output = Result<(), UploadError>> + Send>> {
    Box::pin(join_if_complete(state, id))
}

async fn join_if_complete(state: State, id: UploadId) -> Result<(), UploadError> {
    // Twice at most: parts that have ended do not begin to grow again.
    for _ in 0..2 {
        let Some(turn) = state.sessions.idle(id) else { return Ok(()) };
        turn.completing();
        let Some(upload) = state.catalog.upload(id).await? else { return Ok(()) };
        if upload.state != UploadState::Open || is_joined(&state, &upload).await? {
            return Ok(());
        }
        if complete_stored(&state, &upload).await? {
            return Ok(());
        }
        match parts_of(&state, &upload).await? {
            Parts::Complete(parts) => return concatenate(&state, upload, Arc::new(turn), &parts).await,
            Parts::Gone => return Err(refuse(&state, &upload, part_given_up()).await),
            Parts::Growing => postpone(&state, &upload).await?,
        }
        drop(turn);
        // A part that ended while the turn was taken could begin nothing.
        if matches!(parts_of(&state, &upload).await?, Parts::Growing) {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether nothing of it is left to be put together: completing it is for others.
async fn is_joined(state: &State, upload: &Upload) -> Result<bool, UploadError> {
    // A file that was lost since then is made of the parts once more.
    Ok(upload.is_full && state.staging.len(upload.id).await?.is_some_and(|bytes| upload.length == Some(bytes)))
}

/// Records a whole that a killed process stored and did not record; false if it is not stored.
///
/// Its file has been moved to the store by then, or has a second name there that is the source already: a file that
/// is written must not be that. Parts are not asked for, they may be gone.
async fn complete_stored(state: &State, upload: &Upload) -> Result<bool, UploadError> {
    let Some(staged_bytes) = state.staging.len(upload.id).await? else {
        return complete::complete_adopted(state, upload).await;
    };
    let Some(target) = upload.target.filter(|_| upload.length == Some(staged_bytes)) else { return Ok(false) };
    let object = document::object_of(target);
    if !state.store.is_folder() || state.store.size(&object).await? != upload.length {
        return Ok(false);
    }
    // Reads both.
    let _permit = state.sessions.heavy().await;
    match state.store.adopt(&object, &state.staging.path(upload.id)).await {
        Ok(()) => complete::complete_adopted(state, upload).await,
        Err(StoreError::SourceDiffers { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn parts_of(state: &State, upload: &Upload) -> Result<Parts, UploadError> {
    let mut complete = Vec::with_capacity(upload.terms.parts.len());
    for part in &upload.terms.parts {
        match state.catalog.upload(*part).await?.map(|part| (part.state, part.length)) {
            Some((UploadState::Complete, Some(length))) => complete.push((*part, length)),
            Some((UploadState::Open, _)) => return Ok(Parts::Growing),
            _ => return Ok(Parts::Gone),
        }
    }
    Ok(Parts::Complete(complete))
}

/// A whole lives for as long as one of its parts does that still grows.
async fn postpone(state: &State, upload: &Upload) -> Result<(), UploadError> {
    let (Some(expiry), now) = (state.limits.expiry, state.clock.now()) else { return Ok(()) };
    // Now and then is enough: it is looked at often.
    if upload.expires_at.is_some_and(|due| due > now.plus(expiry / 2)) {
        return Ok(());
    }
    let expires_at = Some(now.plus(expiry));
    let advance = Advance { id: upload.id, offset: upload.offset, expires_at, is_full: false };
    let outcomes = state.catalog.advance_uploads(&[advance], now).await?;
    outcomes.into_iter().try_for_each(|outcome| outcome.map_err(UploadError::from))
}

/// Puts complete parts together; what will not be allowed tomorrow either is refused for good.
async fn concatenate(
    state: &State,
    upload: Upload,
    turn: Arc<Turn>,
    parts: &[(UploadId, u64)],
) -> Result<(), UploadError> {
    match put_together(state, &upload, turn, parts).await {
        // There may be room later, or an answer to who somebody is.
        Err(error @ UploadError::Denied(Denial::NoRoom { .. } | Denial::Unavailable)) => Err(error),
        Err(UploadError::Denied(denial)) => {
            let failure = match &denial {
                Denial::Unwanted(failure) => failure.clone(),
                denial => Failure::new(FailureCode::LimitExceeded, denial.to_string()),
            };
            refuse(state, &upload, failure).await;
            Err(denial.into())
        }
        Err(UploadError::Lost) => {
            let message = "octets of this file were lost before it was put together: upload it again";
            let failure = match parts_of(state, &upload).await? {
                Parts::Gone => part_given_up(),
                Parts::Complete(_) | Parts::Growing => Failure::new(FailureCode::Damaged, message),
            };
            Err(refuse(state, &upload, failure).await)
        }
        other => other,
    }
}

/// Whether the whole may be as long as its parts are together, asked before they are copied.
async fn length_allowed(state: &State, upload: &Upload, parts: &[(UploadId, u64)]) -> Result<u64, UploadError> {
    let bytes_max = admission::size_max(state, upload);
    let sum = parts.iter().try_fold(0u64, |sum, (_, length)| sum.checked_add(*length));
    let length = sum.filter(|sum| *sum <= bytes_max).ok_or(Denial::TooLarge { bytes_max })?;
    gate::still_holds(state, upload).await?;
    if upload.length.is_none() {
        // What could not be asked when it was created.
        admission::may_grow(state, upload, length).await?;
        state.catalog.set_upload_length(upload.id, length, state.clock.now()).await?;
    }
    Ok(length)
}

async fn put_together(
    state: &State,
    upload: &Upload,
    turn: Arc<Turn>,
    parts: &[(UploadId, u64)],
) -> Result<(), UploadError> {
    let length = length_allowed(state, upload, parts).await?;
    let permit = state.sessions.heavy().await;
    let (writer, joined) = writer_of(state, upload).await?;
    let mut join = Join { state, upload, turn: &turn, writer: &writer, joined, recorded: upload.offset };
    let outcome = join.append_all(parts, length).await;
    let recorded = join.recorded;
    if matches!(outcome, Err(UploadError::OutOfSpace)) {
        // The catalogue needs room too, even to note that the whole is given up. The parts have all of it. Where nothing
        // more was recorded, what was there before stays: none, of a file that was lost.
        let kept = if recorded > upload.offset { recorded } else { joined };
        intake::cut(&writer, kept).await;
    }
    outcome?;
    drop(permit);
    let upload = Upload { offset: recorded, length: Some(length), is_full: false, ..upload.clone() };
    Watch::begin(state, &upload).finish(length).await?;
    complete::complete(state, &upload, turn, writer, length).await
}

/// The file of a whole, and how much of it is joined. Where less is left than was recorded, all is taken from the
/// parts once more: they are kept until the whole is complete.
async fn writer_of(state: &State, upload: &Upload) -> Result<(Writer, u64), UploadError> {
    match state.staging.writer(upload.id, upload.offset).await {
        Err(error @ StagingError::Lost { .. }) => {
            tracing::warn!(upload.id = %upload.id, error = %error, "parts are put together from the beginning");
            state.staging.create(upload.id).await?;
            Ok((state.staging.writer(upload.id, 0).await?, 0))
        }
        writer => Ok((writer?, upload.offset)),
    }
}

/// A concatenation under way.
struct Join<'a> {
    state: &'a State,
    upload: &'a Upload,
    turn: &'a Arc<Turn>,
    writer: &'a Writer,
    /// What the file held when it began.
    joined: u64,
    /// Never less than what was recorded before.
    recorded: u64,
}

impl Join<'_> {
    /// Copies what is missing of a whole of `length` octets.
    async fn append_all(&mut self, parts: &[(UploadId, u64)], length: u64) -> Result<(), UploadError> {
        let mut begin = 0;
        for (part, part_length) in parts {
            self.append(*part, begin, *part_length, length).await?;
            begin += part_length;
        }
        Ok(())
    }

    /// Copies what is missing of a part that begins at `begin` of a whole of `length` octets.
    async fn append(&mut self, part: UploadId, begin: u64, part_length: u64, length: u64) -> Result<(), UploadError> {
        let (path, end) = (self.state.staging.path(part), begin + part_length);
        let mut at = self.joined.max(begin);
        while at < end {
            if self.turn.is_superseded() {
                return Err(UploadError::TakenOver { offset: self.recorded });
            }
            if self.state.shutdown.is_cancelled() {
                return Err(UploadError::Stopping { offset: self.recorded });
            }
            let copied = match self.writer.copy_from(&path, at - begin, at, end - at).await {
                Err(StagingError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => 0,
                other => other?,
            };
            if copied == 0 {
                tracing::error!(upload.id = %part, "a complete part is shorter than it was");
                return Err(UploadError::Lost);
            }
            at += copied;
            if at.saturating_sub(self.recorded) >= CHECKPOINT_BYTES && at < length {
                self.record(at).await?;
            }
        }
        Ok(())
    }

    async fn record(&mut self, offset: u64) -> Result<(), UploadError> {
        let advance = Advance { id: self.upload.id, offset, expires_at: None, is_full: false };
        let commit = Commit { writer: self.writer.clone(), turn: self.turn.clone(), advance };
        self.state.sessions.committer.commit(self.state, commit).await?;
        self.recorded = offset;
        Ok(())
    }
}

/// Gives a whole up that nothing can become of, and tells why.
async fn refuse(state: &State, upload: &Upload, failure: Failure) -> UploadError {
    admission::refuse(state, upload, &failure).await;
    UploadError::Refused(failure)
}
