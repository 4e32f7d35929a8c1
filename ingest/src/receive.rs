//! A body becomes durable octets.
//!
//! When the client goes away, the server drops the request, but the work goes on in a task of its own:
//! what has arrived is still flushed and recorded. Octets are recorded only after they are flushed, so
//! the recorded offset never promises more than the disk holds. Octets that must have a checksum are
//! recorded only after it was verified, in the file they were written to.

use std::sync::Arc;

use axum::body::Body;
use axum::http::HeaderMap;
use catalog_store::{Upload, UploadState};
use domain::UploadId;
use media_store::StagingError;
use media_store::staging::Writer;

use crate::complete;
use crate::digest::{Expected, Hasher};
use crate::intake::{self, Intake};
use crate::lasting::Lasting;
use crate::live::Look;
use crate::session::Turn;
use crate::watch::Watch;
use crate::{Denial, State, UploadError, admission};

/// Why a body is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client sent all of it.
    Whole,
    /// The connection broke.
    BrokenOff,
    /// Nothing came for too long.
    Stalled,
    /// A newer request took over.
    TakenOver,
    /// The server is stopping.
    Stopping,
    /// More came than was announced; what goes beyond is dropped.
    BeyondLength,
}

impl End {
    fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::BrokenOff => "broken off",
            Self::Stalled => "stalled",
            Self::TakenOver => "taken over",
            Self::Stopping => "stopping",
            Self::BeyondLength => "beyond length",
        }
    }
}

/// Reads checksums from the trailers of a body.
pub(crate) type ReadTrailers = fn(&HeaderMap) -> Result<Vec<Expected>, UploadError>;

/// The next octets of an upload, as a request brings them.
pub(crate) struct Piece {
    /// The right to append.
    pub(crate) turn: Turn,
    /// The octets.
    pub(crate) body: Body,
    /// Digests that the octets must have.
    pub(crate) checks: Vec<Expected>,
    /// Given when more digests are announced as trailers.
    pub(crate) trailer: Option<ReadTrailers>,
    /// Whether the end of the body is the end of the upload, where the protocol says so.
    pub(crate) completes: Option<bool>,
    /// Is told each time more octets are durable; must not block.
    pub(crate) progress: Option<Box<dyn Fn(u64) + Send>>,
}

/// What became of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Where the upload stands: durable, recorded, equal to the length only when it is complete.
    pub(crate) offset: u64,
    /// Why it is over.
    pub(crate) end: End,
    /// Whether the upload is complete.
    pub(crate) is_complete: bool,
}

impl Received {
    /// The error that tells a client why its body was not taken to the end.
    pub(crate) fn refusal(self, upload: &Upload, state: &State) -> UploadError {
        let offset = self.offset;
        match self.end {
            End::Whole | End::BrokenOff => UploadError::BrokenOff { offset },
            End::Stalled => UploadError::Stalled { offset, silence: state.limits.silence_max },
            End::TakenOver => UploadError::TakenOver { offset },
            End::Stopping => UploadError::Stopping { offset },
            End::BeyondLength => UploadError::BeyondLength { length: upload.length.unwrap_or(offset), offset },
        }
    }
}

/// Writes the body where `upload` stands, and completes the upload when that was the last of it.
///
/// Dropping the future loses nothing: the work goes on until the body ends, breaks or stalls.
pub(crate) async fn receive(state: &State, upload: &Upload, piece: Piece) -> Result<Received, UploadError> {
    Lasting::new(state.tasks.clone(), work(state.clone(), upload.clone(), piece)).await
}

async fn work(state: State, upload: Upload, piece: Piece) -> Result<Received, UploadError> {
    let id = upload.id;
    match take(&state, upload, piece).await {
        Err(error) if !matches!(error, UploadError::Denied(_) | UploadError::Refused(_)) => {
            // Whoever refuses an upload closes it and removes its file. Whatever a body fails of then, at any step, is
            // a consequence; the client is told the reason.
            match state.live.look(id) {
                Look::Refused(failure) => Err(Denial::Unwanted(failure).into()),
                _ => Err(error),
            }
        }
        other => other,
    }
}

// What comes before and behind the body is boxed: while octets trickle in, only the intake takes memory.
async fn take(state: &State, upload: Upload, piece: Piece) -> Result<Received, UploadError> {
    let Piece { turn, body, checks, trailer, completes, progress } = piece;
    let turn = Arc::new(turn);
    // All octets are there, from a request whose completion did not come to its end: what comes again
    // is not needed.
    if let (true, Some(length)) = (upload.is_full, upload.full_length()) {
        let writer = state.staging.writer(upload.id, length).await?;
        Box::pin(complete::complete(state, &upload, turn, writer, length)).await?;
        return Ok(Received { offset: length, end: End::Whole, is_complete: true });
    }
    let writer = Box::pin(state.staging.writer(upload.id, upload.offset)).await?;
    let is_checked = !checks.is_empty() || trailer.is_some();
    let mut watch = Watch::begin(state, &upload);
    let mut intake = Intake::new(state, &upload, &turn, &writer, &mut watch, progress);
    intake.size_max = admission::size_max(state, &upload);
    intake.is_checked = is_checked;
    let outcome = match intake.run(body).await {
        Ok(end) if is_checked => Box::pin(intake.verify(end, checks, trailer)).await.map(|()| end),
        other => other,
    };
    let (end, written, recorded) = match Box::pin(intake.end(outcome, completes)).await {
        Ok(ended) => ended,
        Err(error) => {
            watch.ended("failed");
            Box::pin(cut_back(state, upload.id, &writer)).await;
            return Err(error);
        }
    };
    tracing::debug!(upload.id = %upload.id, offset = written, end = end.as_str(), "body over");
    if end != End::Whole {
        watch.ended(end.as_str());
    }
    // A length that the end of the body tells is recorded together with the end of the upload.
    let is_told_by_the_end = upload.length.is_none() && completes == Some(true) && end == End::Whole;
    let length = if is_told_by_the_end { Some(written) } else { upload.length };
    let Some(length) = length.filter(|length| *length == written && end != End::BeyondLength) else {
        if is_checked && end != End::Whole {
            Box::pin(cut_back(state, upload.id, &writer)).await;
        }
        return Ok(Received { offset: recorded, end, is_complete: false });
    };
    if let Err(error) = Box::pin(watch.finish(length)).await {
        Box::pin(cut_back(state, upload.id, &writer)).await;
        return Err(error);
    }
    let upload = Upload { offset: recorded, ..upload };
    Box::pin(complete::complete(state, &upload, turn, writer, length)).await?;
    Ok(Received { offset: length, end: End::Whole, is_complete: true })
}

/// Cuts off what was written and is not recorded. The next writer would do that too, but on a full disk nobody may come
/// so far: the catalogue needs room itself, even to note that an upload is given up.
async fn cut_back(state: &State, id: UploadId, writer: &Writer) {
    // Only the catalogue knows what it recorded, after a commit that failed.
    let recorded = match state.catalog.upload(id).await {
        Ok(Some(now)) if now.state == UploadState::Open && !now.is_full => now.offset,
        _ => return,
    };
    intake::cut(writer, recorded).await;
}

impl Intake<'_> {
    /// Proves that what this body brought has the digests that were promised; otherwise nothing of it counts.
    async fn verify(
        &mut self,
        end: End,
        checks: Vec<Expected>,
        trailer: Option<ReadTrailers>,
    ) -> Result<(), UploadError> {
        let start = self.start;
        if end != End::Whole {
            self.forget();
            return Ok(());
        }
        self.write().await?;
        let mut checks = checks;
        if let Some(read) = trailer {
            let promised = read(&std::mem::take(&mut self.trailers))?;
            if promised.is_empty() {
                self.forget();
                let header = crate::protocol::tus::UPLOAD_CHECKSUM;
                return Err(UploadError::Header { header, reason: "it was announced as a trailer but did not come" });
            }
            checks.extend(promised);
        }
        let holds = has_digests(self.state, self.upload, start..self.written, &checks).await?;
        if holds {
            // From here on the octets are like any others: they are looked at, flushed and recorded.
            self.is_checked = false;
            return Ok(());
        }
        self.forget();
        Err(UploadError::ChecksumMismatch { offset: start })
    }
}

/// Whether the octets `range` of the staged file have all these digests.
pub(crate) async fn has_digests(
    state: &State,
    upload: &Upload,
    range: std::ops::Range<u64>,
    expected: &[Expected],
) -> Result<bool, StagingError> {
    if expected.is_empty() {
        return Ok(true);
    }
    let hashers: Vec<Hasher> = expected.iter().map(|expected| Hasher::new(expected.algorithm)).collect();
    let hashers = hashed(state, upload, range, hashers).await?;
    Ok(hashers.into_iter().zip(expected).all(|(hasher, expected)| hasher.matches(expected)))
}

/// Shows the octets `range` of the staged file to all these hashers.
pub(crate) async fn hashed(
    state: &State,
    upload: &Upload,
    range: std::ops::Range<u64>,
    hashers: Vec<Hasher>,
) -> Result<Vec<Hasher>, StagingError> {
    let feed = |hashers: &mut Vec<Hasher>, octets: &[u8]| hashers.iter_mut().for_each(|hasher| hasher.update(octets));
    state.staging.scan(upload.id, range, hashers, feed).await
}
