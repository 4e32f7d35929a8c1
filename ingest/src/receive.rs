//! A body becomes durable octets.
//!
//! The work runs in a task of its own: when the client goes away, the server drops the request, but
//! what has arrived is still flushed and recorded. Octets are recorded only after they are flushed, so
//! the recorded offset never promises more than the disk holds.

use axum::body::{Body, Bytes};
use catalog_store::Upload;
use domain::UploadId;
use http_body_util::BodyExt;
use media_store::staging::Writer;
use tokio::time::Instant;

use crate::complete;
use crate::session::Turn;
use crate::{State, UploadError};

/// Octets gathered before they are written.
const WRITE_BYTES: usize = 1 << 20;

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

/// What became of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Where the upload stands: durable, recorded, equal to the length only when it is complete.
    pub(crate) offset: u64,
    /// Why it is over.
    pub(crate) end: End,
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

/// Writes `body` where `upload` stands, and completes the upload when that was the last of it.
///
/// Dropping the future loses nothing: the work goes on until the body ends, breaks or stalls.
pub(crate) async fn receive(
    state: &State,
    upload: &Upload,
    turn: Turn,
    writer: Writer,
    body: Body,
) -> Result<Received, UploadError> {
    let work = work(state.clone(), upload.clone(), turn, writer, body);
    state.tasks.spawn(work).await.map_err(|_| UploadError::Internal)?
}

async fn work(state: State, upload: Upload, turn: Turn, writer: Writer, body: Body) -> Result<Received, UploadError> {
    let length = upload.length;
    let mut intake = Intake {
        state: &state,
        upload: upload.id,
        writer: &writer,
        length,
        admitted: upload.offset,
        written: upload.offset,
        recorded: upload.offset,
        pending: Vec::new(),
        pending_bytes: 0,
        checkpoint_at: None,
    };
    let end = intake.run(&turn, body).await?;
    intake.checkpoint().await?;
    let Intake { written, recorded, .. } = intake;
    tracing::debug!(upload.id = %upload.id, offset = written, ?end, "body over");
    if length == Some(written) && end != End::BeyondLength {
        complete::complete(&state, upload.id, upload.asset, writer, written).await?;
        return Ok(Received { offset: written, end: End::Whole });
    }
    Ok(Received { offset: recorded, end })
}

/// One body on its way to the disk: recorded <= written <= admitted.
struct Intake<'a> {
    state: &'a State,
    upload: UploadId,
    writer: &'a Writer,
    length: Option<u64>,
    /// Taken from the body.
    admitted: u64,
    /// Given to the file system.
    written: u64,
    /// Flushed, and recorded in the catalogue.
    recorded: u64,
    /// Admitted, not yet written.
    pending: Vec<Bytes>,
    pending_bytes: usize,
    /// When the oldest octet that is not recorded has waited long enough.
    checkpoint_at: Option<Instant>,
}

impl Intake<'_> {
    async fn run(&mut self, turn: &Turn, mut body: Body) -> Result<End, UploadError> {
        let silence_max = self.state.limits.silence_max;
        let mut last_octet = Instant::now();
        // Ends with the body, or after a silence, or when somebody stops it.
        loop {
            let silent_at = last_octet + silence_max;
            let wake_at = self.checkpoint_at.map_or(silent_at, |due| due.min(silent_at));
            // A lost branch loses nothing: the frame future holds no octets of its own.
            let frame = tokio::select! {
                biased;
                () = turn.stopped() => return Ok(End::TakenOver),
                () = self.state.shutdown.cancelled() => return Ok(End::Stopping),
                frame = tokio::time::timeout_at(wake_at, body.frame()) => frame,
            };
            match frame {
                Ok(None) => return Ok(End::Whole),
                Ok(Some(Err(_))) => return Ok(End::BrokenOff),
                Ok(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue };
                    if !data.is_empty() {
                        last_octet = Instant::now();
                        if let Some(end) = self.admit(turn, data) {
                            return Ok(end);
                        }
                    }
                }
                Err(_) if Instant::now() >= silent_at => return Ok(End::Stalled),
                Err(_) => {}
            }
            if self.pending_bytes >= WRITE_BYTES {
                self.write().await?;
            }
            let is_due = self.checkpoint_at.is_some_and(|due| Instant::now() >= due);
            if is_due || self.admitted - self.recorded >= self.state.limits.checkpoint_bytes {
                self.checkpoint().await?;
            }
        }
    }

    fn admit(&mut self, turn: &Turn, data: Bytes) -> Option<End> {
        let bytes = data.len() as u64;
        let room = self.length.unwrap_or(self.state.limits.size_max) - self.admitted;
        if bytes > room {
            return Some(End::BeyondLength);
        }
        if !turn.admit(bytes) {
            return Some(End::TakenOver);
        }
        self.admitted += bytes;
        self.pending_bytes += data.len();
        self.pending.push(data);
        self.checkpoint_at.get_or_insert_with(|| Instant::now() + self.state.limits.checkpoint_interval);
        None
    }

    async fn write(&mut self) -> Result<(), UploadError> {
        if self.pending_bytes > 0 {
            self.writer.write_at(self.written, std::mem::take(&mut self.pending)).await?;
            self.written += std::mem::take(&mut self.pending_bytes) as u64;
        }
        Ok(())
    }

    /// Makes everything admitted durable and records it.
    ///
    /// The last octet of an upload is not recorded here but together with the asset: an offset equal
    /// to the length tells a client that it may forget its file.
    async fn checkpoint(&mut self) -> Result<(), UploadError> {
        self.checkpoint_at = None;
        self.write().await?;
        if self.written == self.recorded {
            return Ok(());
        }
        self.writer.sync().await?;
        let is_full = self.length == Some(self.written);
        let offset = self.written - u64::from(is_full);
        if offset > self.recorded {
            self.state.catalog.advance_upload(self.upload, offset, self.state.clock.now()).await?;
            self.recorded = offset;
        }
        Ok(())
    }
}
