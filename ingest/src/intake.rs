//! One body on its way to the disk: admitted, written, flushed, recorded.
//!
//! Octets gather until they are worth a write, which runs beside the body while the next ones gather. So
//! does a commit; the body goes on until so much is unrecorded that the disk is plainly slower than the
//! line. What is small waits longer: a
//! slow upload loses little in a crash, and ten thousand of them must not keep the disk busy.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use catalog_store::{Advance, Upload};
use http_body_util::BodyExt;
use media_store::staging::{Writer, Writing};
use media_store::{Gathered, WRITE_BYTES};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::committer::{Commit, SyncPolicy};
use crate::error::Causes;
use crate::receive::End;
use crate::session::Turn;
use crate::transfer;
use crate::watch::Watch;
use crate::{State, UploadError};

/// The same for an upload that brings less than [`WRITE_BYTES`] in [`GATHER_TIME`].
const SLOW_WRITE_BYTES: usize = 32 << 10;
/// How long octets gather before few are enough.
const GATHER_TIME: Duration = Duration::from_millis(100);
/// Octets that are worth a commit at each interval; fewer wait [`SMALL_COMMIT_FACTOR`] times as long.
const COMMIT_WORTH_BYTES: u64 = 256 << 10;
const SMALL_COMMIT_FACTOR: u32 = 8;
/// Commits that may be due before the body has to wait for the disk.
const CHOKE_FACTOR: u64 = 2;
/// Writes of one body at a time: one that the disk is at, one that waits for it. Meanwhile the next one gathers.
const WRITES_MAX: usize = 2;
/// Octets after which their writeback begins, where no commit does that.
const WRITEBACK_BYTES: u64 = 8 << 20;
/// What a request takes in after it was asked to let go: what its socket holds already.
const DRAIN_BYTES_MAX: u64 = 4 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_millis(20);
/// What a full disk gets back of what is not recorded: the catalogue may lie on it too, and cannot record without room.
const GIVEN_BACK_BYTES: u64 = 4 << 20;
/// Silence after which the socket is taken to be empty.
const DRAIN_SILENCE: Duration = Duration::from_millis(5);

type UnderWay = Pin<Box<dyn Future<Output = Result<(), UploadError>> + Send>>;

/// recorded <= committing <= written <= admitted.
pub(crate) struct Intake<'a> {
    pub(crate) state: &'a State,
    pub(crate) upload: &'a Upload,
    turn: &'a Arc<Turn>,
    writer: &'a Writer,
    watch: &'a mut Watch,
    progress: Option<Box<dyn Fn(u64) + Send>>,
    /// Most octets of an upload whose length is not known.
    pub(crate) size_max: u64,
    /// Nothing is recorded before the whole body is verified.
    pub(crate) is_checked: bool,
    /// What came behind the body.
    pub(crate) trailers: HeaderMap,
    /// Where the upload stood.
    pub(crate) start: u64,
    /// Taken from the body.
    admitted: u64,
    /// Given to the file system.
    pub(crate) written: u64,
    /// What the commit under way, or the last one, is about.
    committing: u64,
    /// Flushed, and recorded in the catalogue.
    recorded: u64,
    commit: Option<UnderWay>,
    /// Writes under way, and where each ends: the next one is there when the disk is done with the one before.
    writes: VecDeque<(Writing, u64)>,
    /// Admitted, not yet given to a write.
    pending: Gathered,
    pending_since: Option<Instant>,
    /// When the oldest octet came that no commit is about.
    unrecorded_since: Option<Instant>,
    writeback: Option<JoinHandle<()>>,
    writeback_end: u64,
}

impl<'a> Intake<'a> {
    pub(crate) fn new(
        state: &'a State,
        upload: &'a Upload,
        turn: &'a Arc<Turn>,
        writer: &'a Writer,
        watch: &'a mut Watch,
        progress: Option<Box<dyn Fn(u64) + Send>>,
    ) -> Self {
        let start = upload.offset;
        Self {
            state,
            upload,
            turn,
            writer,
            watch,
            progress,
            size_max: state.limits.size_max,
            is_checked: false,
            trailers: HeaderMap::new(),
            start,
            admitted: start,
            written: start,
            committing: start,
            recorded: start,
            commit: None,
            writes: VecDeque::new(),
            pending: writer.gather(start),
            pending_since: None,
            unrecorded_since: None,
            writeback: None,
            writeback_end: start,
        }
    }

    /// Takes in the body until it is over; what is not recorded then is for [`Intake::end`].
    pub(crate) async fn run(&mut self, mut body: Body) -> Result<End, UploadError> {
        let silence_max = self.state.limits.silence_max;
        let mut last_octet = Instant::now();
        // Ends with the body, or after a silence, or when somebody stops it.
        loop {
            let silent_at = last_octet + silence_max;
            let wake_at = self.commit_at().map_or(silent_at, |due| due.min(silent_at));
            let is_choked = self.is_choked();
            // A lost branch loses nothing: the frame future holds no octets of its own, the commit and the
            // write stay where they are. The write comes last: while octets lie ready it is looked at between them,
            // and wakes nobody when it is over.
            let frame = tokio::select! {
                biased;
                () = self.turn.stopped() => return Box::pin(self.drain(body)).await,
                () = self.state.shutdown.cancelled() => return Ok(End::Stopping),
                outcome = under_way(&mut self.commit) => {
                    self.committed(outcome)?;
                    if is_choked {
                        last_octet = Instant::now();
                    }
                    continue;
                }
                frame = timeout_at(wake_at, body.frame()), if !is_choked => frame,
                outcome = written(&mut self.writes) => {
                    Box::pin(self.wrote(outcome)).await?;
                    continue;
                }
            };
            match frame {
                Ok(None) => return Ok(End::Whole),
                Ok(Some(Err(_))) => return Ok(End::BrokenOff),
                Ok(Some(Ok(frame))) => {
                    last_octet = Instant::now();
                    if let Some(end) = self.take(frame) {
                        return Ok(end);
                    }
                }
                Err(_) if Instant::now() >= silent_at => return Ok(End::Stalled),
                Err(_) => {}
            }
            self.watch.check_rate()?;
            // Ends: none is begun here.
            while self.writes.front().is_some_and(|(write, _)| write.is_over()) {
                Box::pin(self.settle_write()).await?;
            }
            // Boxed while they last: most of the time only the next frame is waited for.
            // Ends: each write takes some off.
            while self.is_worth_a_write() {
                Box::pin(self.begin_write()).await?;
            }
            if self.is_commit_due() {
                Box::pin(self.commit()).await?;
            }
        }
    }

    /// Takes in what lies ready, for a request that wants to know where the upload stands; nothing when
    /// the newer request goes on from where this one is.
    async fn drain(&mut self, mut body: Body) -> Result<End, UploadError> {
        let (deadline, bytes_max) = (Instant::now() + DRAIN_TIME_MAX, self.admitted + DRAIN_BYTES_MAX);
        while self.admitted < bytes_max && !self.turn.is_superseded() {
            let until = deadline.min(Instant::now() + DRAIN_SILENCE);
            match timeout_at(until, body.frame()).await {
                Ok(None) => return Ok(End::Whole),
                Ok(Some(Err(_))) => return Ok(End::BrokenOff),
                Ok(Some(Ok(frame))) => {
                    if let Some(end) = self.take(frame) {
                        return Ok(end);
                    }
                }
                Err(_) => break,
            }
            while self.is_worth_a_write() {
                self.begin_write().await?;
            }
        }
        Ok(End::TakenOver)
    }

    fn take(&mut self, frame: http_body::Frame<Bytes>) -> Option<End> {
        match frame.into_data() {
            Ok(data) if data.is_empty() => None,
            Ok(data) => self.admit(data),
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    self.trailers = trailers;
                }
                None
            }
        }
    }

    fn admit(&mut self, data: Bytes) -> Option<End> {
        let bytes = data.len() as u64;
        let room = self.upload.length.unwrap_or(self.size_max).saturating_sub(self.admitted);
        if bytes > room {
            return Some(End::BeyondLength);
        }
        // Octets that may yet be dropped move nobody's position: a newer request begins where this one did.
        if !self.turn.admit(if self.is_checked { 0 } else { bytes }) {
            return Some(End::TakenOver);
        }
        self.admitted += bytes;
        self.pending.push(data);
        let now = Instant::now();
        self.pending_since.get_or_insert(now);
        self.unrecorded_since.get_or_insert(now);
        self.watch.admitted(self.admitted);
        None
    }

    fn is_worth_a_write(&self) -> bool {
        let has_gathered = || self.pending_since.is_some_and(|since| since.elapsed() >= GATHER_TIME);
        self.pending.len() >= WRITE_BYTES || (self.pending.len() >= SLOW_WRITE_BYTES && has_gathered())
    }

    /// Begins to write the whole blocks of what has gathered, once there is place in the line.
    async fn begin_write(&mut self) -> Result<(), UploadError> {
        // Ends: none is begun here.
        while self.writes.len() >= WRITES_MAX {
            self.settle_write().await?;
        }
        let rest = self.pending.split_off_rest();
        let gathered = std::mem::replace(&mut self.pending, rest);
        self.pending_since = (!self.pending.is_empty()).then(Instant::now);
        if gathered.is_empty() {
            return Ok(());
        }
        let end = gathered.end();
        self.writes.push_back((self.writer.begin_write(gathered), end));
        Ok(())
    }

    /// The outcome of the oldest write.
    async fn wrote(&mut self, outcome: Result<(), UploadError>) -> Result<(), UploadError> {
        let end = self.writes.pop_front().map(|(_, end)| end);
        if outcome.is_err() {
            // What came behind it would stand in its place, or leave a hole. What of that is begun is not written.
            self.writes.clear();
            self.pending = self.writer.gather(self.written);
        }
        outcome?;
        self.written = end.unwrap_or(self.written);
        self.start_writeback();
        self.look().await
    }

    /// Has somebody look at what is written.
    async fn look(&mut self) -> Result<(), UploadError> {
        if self.watch.must_ask(self.written) {
            Box::pin(self.settle()).await?;
        }
        self.watch.written(self.written, self.is_checked).await
    }

    /// Waits for the oldest write.
    async fn settle_write(&mut self) -> Result<(), UploadError> {
        let outcome = written(&mut self.writes).await;
        self.wrote(outcome).await
    }

    /// Writes everything that was admitted.
    pub(crate) async fn write(&mut self) -> Result<(), UploadError> {
        self.pending_since = None;
        if !self.pending.is_empty() {
            let next = self.writer.gather(self.pending.end());
            let gathered = std::mem::replace(&mut self.pending, next);
            let end = gathered.end();
            self.writes.push_back((self.writer.begin_write(gathered), end));
        }
        // Ends: none is begun here.
        while !self.writes.is_empty() {
            self.settle_write().await?;
        }
        // Also at what was written before it was verified.
        self.look().await
    }

    /// Nothing that this body brought counts.
    pub(crate) fn forget(&mut self) {
        self.pending = self.writer.gather(self.start);
        self.written = self.start;
        // They come to their end, and are waited for, so that nothing is written behind what is cut off.
        self.writes.iter_mut().for_each(|(_, end)| *end = self.start);
        self.admitted = self.start;
        self.writeback_end = self.start;
        self.unrecorded_since = None;
    }

    /// Without commits in between, the last flush would find everything still to be written.
    fn start_writeback(&mut self) {
        let commits = self.state.limits.sync == SyncPolicy::Interval && !self.is_checked;
        let is_done = self.writeback.as_ref().is_none_or(JoinHandle::is_finished);
        let bytes = self.written - self.writeback_end;
        if commits || self.state.limits.sync == SyncPolicy::None || !is_done || bytes < WRITEBACK_BYTES {
            return;
        }
        let (writer, offset) = (self.writer.clone(), self.writeback_end);
        self.writeback_end = self.written;
        let start = async move {
            if let Err(error) = writer.start_writeback(offset, bytes).await {
                tracing::debug!(%error, "the writeback could not be started early");
            }
        };
        self.writeback = Some(self.state.tasks.spawn(start));
    }

    /// When octets have waited long enough; `None` while none wait or a commit is under way.
    fn commit_at(&self) -> Option<Instant> {
        let may_commit = self.commit.is_none() && !self.is_checked && self.state.limits.sync != SyncPolicy::End;
        let since = self.unrecorded_since.filter(|_| may_commit)?;
        let interval = self.state.limits.checkpoint_interval;
        let is_worth_it = self.admitted - self.committing >= COMMIT_WORTH_BYTES;
        Some(since + if is_worth_it { interval } else { interval * SMALL_COMMIT_FACTOR })
    }

    fn is_commit_due(&self) -> bool {
        let has_gathered = || self.admitted - self.committing >= self.state.limits.checkpoint_bytes;
        self.commit_at().is_some_and(|due| Instant::now() >= due || has_gathered())
    }

    async fn commit(&mut self) -> Result<(), UploadError> {
        self.write().await?;
        self.begin_commit();
        Ok(())
    }

    /// The last octet of an upload is not recorded here but together with the asset: an offset equal
    /// to the length tells a client that it may forget its file.
    fn begin_commit(&mut self) {
        self.unrecorded_since = None;
        self.committing = self.written;
        let is_full = self.upload.length == Some(self.written);
        let offset = self.written - u64::from(is_full && self.written > 0);
        if offset <= self.recorded {
            return;
        }
        let (state, limits) = (self.state.clone(), &self.state.limits);
        let expires_at = limits.expiry.map(|expiry| state.clock.now().plus(expiry));
        let advance = Advance { id: self.upload.id, offset, expires_at, is_full: false };
        let commit = Commit { writer: self.writer.clone(), turn: self.turn.clone(), advance };
        self.recorded = offset;
        let committer = state.sessions.committer.clone();
        self.commit = Some(Box::pin(async move { committer.commit(&state, commit).await }));
    }

    fn committed(&mut self, outcome: Result<(), UploadError>) -> Result<(), UploadError> {
        self.commit = None;
        outcome?;
        self.watch.durable(self.recorded);
        if let Some(tell) = &self.progress {
            tell(self.recorded);
        }
        transfer::ahead(self.state, self.upload, self.recorded);
        Ok(())
    }

    fn is_choked(&self) -> bool {
        self.commit.is_some() && self.written - self.committing >= CHOKE_FACTOR * self.state.limits.checkpoint_bytes
    }

    /// Makes everything durable and recorded that counts, whatever the end was; the end, the octets
    /// written and those recorded.
    pub(crate) async fn end(
        mut self,
        outcome: Result<End, UploadError>,
        completes: Option<bool>,
    ) -> Result<(End, u64, u64), UploadError> {
        if self.is_checked && outcome.is_err() {
            self.forget();
        }
        let settled = self.settle().await;
        let written = self.write().await;
        let outcome = outcome.and_then(|end| settled.and(written).map(|()| end));
        self.written = self.watch.kept(self.written).max(self.recorded);
        if let Err(error) = &outcome {
            if matches!(error, UploadError::OutOfSpace) {
                self.written = self.written.saturating_sub(GIVEN_BACK_BYTES).max(self.recorded);
            }
            // What there was no room or quota for takes no room either.
            cut(self.writer, self.written).await;
        }
        // A completion flushes and records by itself.
        let will_complete = match (&outcome, self.upload.length) {
            (Ok(End::Whole), None) => completes == Some(true),
            (Ok(end), Some(length)) => *end != End::BeyondLength && length == self.written,
            _ => false,
        };
        if !will_complete && self.written > self.recorded {
            self.begin_commit();
            let settled = self.settle().await;
            // What went wrong first is told, and what was written before that is kept if it can be: a full
            // disk takes nothing back.
            if outcome.is_ok() {
                settled?;
            }
        }
        Ok((outcome?, self.written, self.recorded))
    }

    async fn settle(&mut self) -> Result<(), UploadError> {
        match self.commit.take() {
            Some(commit) => {
                let outcome = commit.await;
                self.committed(outcome)
            }
            None => Ok(()),
        }
    }
}

/// Cuts off what lies behind `bytes` octets of the file. Where that fails, the next writer does it.
pub(crate) async fn cut(writer: &Writer, bytes: u64) {
    if let Err(error) = writer.cut(bytes).await {
        tracing::debug!(upload.id = %writer.upload(), error = %Causes(&error), "a staged file is not cut back");
    }
}

/// The outcome of what is under way, when something is; never otherwise.
async fn under_way(work: &mut Option<UnderWay>) -> Result<(), UploadError> {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

/// The same of the oldest write.
async fn written(writes: &mut VecDeque<(Writing, u64)>) -> Result<(), UploadError> {
    match writes.front_mut() {
        Some((write, _)) => Ok(write.outcome().await?),
        None => std::future::pending().await,
    }
}
