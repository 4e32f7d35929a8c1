//! What is seen of a body while it comes in: how far, how fast, and whether it is wanted.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use catalog_store::{Upload, UploadKind};
use domain::container::HEAD_BYTES;
use domain::{Container, Failure};
use tokio::time::Instant;

use crate::live::Look;
use crate::sniff::Tracks;
use crate::{Denial, State, UploadError, admission, document, early, gate, sniff};

/// Watches one body of one upload.
pub(crate) struct Watch {
    state: State,
    upload: Upload,
    total: u64,
    /// Octets that the catalogue knows of.
    durable: u64,
    /// Where the present window of the rate began.
    window: (Instant, u64),
    is_sniffed: bool,
    /// What an upload of unknown length was allowed so far.
    may_grow_to: u64,
    error: Option<String>,
}

impl Watch {
    /// Begins where the upload stands.
    pub(crate) fn begin(state: &State, upload: &Upload) -> Self {
        state.live.began(upload.id, upload.offset);
        Self {
            state: state.clone(),
            upload: upload.clone(),
            total: upload.offset,
            durable: upload.offset,
            window: (Instant::now(), upload.offset),
            // A part shows nothing of the whole. Any other file is looked at once per body, wherever that begins: it
            // costs little, and nothing need be remembered over restarts.
            is_sniffed: upload.kind == UploadKind::Partial,
            may_grow_to: upload.length.unwrap_or(upload.offset),
            error: None,
        }
    }

    /// Octets came in; `total` is where the upload stands with them.
    pub(crate) fn admitted(&mut self, total: u64) {
        self.total = total;
        self.state.live.received(self.upload.id, total, &self.state.metrics);
    }

    /// Fails when the body comes too slowly. Call it whenever something happens.
    pub(crate) fn check_rate(&mut self) -> Result<(), UploadError> {
        let (policy, now) = (self.state.admission.policy.clone(), Instant::now());
        let rate_min = policy.rate_min;
        let (since, from) = self.window;
        let passed = now.saturating_duration_since(since);
        if rate_min == 0 || passed < policy.rate_window {
            return Ok(());
        }
        let wanted = u128::from(rate_min) * passed.as_millis() / 1000;
        if u128::from(self.total - from) < wanted {
            return Err(self.failed(Denial::TooSlow { rate_min }));
        }
        self.window = (now, self.total);
        Ok(())
    }

    /// `total` octets are in the staged file. Fails when they are not wanted; then the upload is closed already.
    ///
    /// Octets that are still to be verified (`is_checked`) are looked at like any others, so that nobody sends a file
    /// in vain; but at the end of a body its digest comes first.
    pub(crate) async fn written(&mut self, total: u64, is_checked: bool) -> Result<(), UploadError> {
        self.is_wanted()?;
        let is_whole = self.upload.length == Some(total);
        if total >= early::FIRST_BYTES || (is_whole && total > 0 && !is_checked) {
            self.sniff().await?;
        }
        let is_source = document::of(&self.upload).is_none();
        if total >= early::FIRST_BYTES && !is_whole && is_source && self.upload.kind == UploadKind::Whole {
            early::begin(&self.state, &self.upload, total);
        }
        if self.must_ask(total) { self.grow(total).await } else { Ok(()) }
    }

    /// Whether an upload of unknown length has become more than it was allowed: it is to be asked for more when nothing
    /// of it is on its way to the catalogue.
    pub(crate) fn must_ask(&self, total: u64) -> bool {
        self.upload.length.is_none() && total > self.may_grow_to
    }

    /// Reserves what an upload of unknown length has become, as its creation could not.
    async fn grow(&mut self, total: u64) -> Result<(), UploadError> {
        if self.upload.length.is_some() {
            return Ok(());
        }
        let grown = admission::grow(&self.state, &self.upload, total.saturating_sub(self.durable)).await;
        let bytes = grown.inspect_err(|error| self.error = Some(error.to_string()))?;
        self.may_grow_to = self.durable.saturating_add(bytes);
        Ok(())
    }

    /// How many of `total` octets may be kept: not those that the upload was not allowed.
    pub(crate) fn kept(&self, total: u64) -> u64 {
        if self.must_ask(total) { self.may_grow_to } else { total }
    }

    /// The first `offset` octets are durable and recorded.
    pub(crate) fn durable(&mut self, offset: u64) {
        self.state.admission.growths.recorded(self.upload.id, offset.saturating_sub(self.durable));
        self.durable = offset;
        self.state.live.durable(self.upload.id, offset);
    }

    /// All `length` octets are in the staged file: the last check before the upload is complete.
    pub(crate) async fn finish(&mut self, length: u64) -> Result<(), UploadError> {
        self.is_wanted()?;
        // An empty file is complete as soon as it is created; its probe says that it is empty.
        if length > 0 {
            self.sniff().await?;
            self.check_tracks(length).await?;
        }
        gate::still_holds(&self.state, &self.upload).await.inspect_err(|error| self.error = Some(error.to_string()))?;
        self.grow(length).await?;
        let bytes_max = admission::size_max(&self.state, &self.upload);
        if length > bytes_max {
            return Err(self.failed(Denial::TooLarge { bytes_max }));
        }
        Ok(())
    }

    /// Why the body ended before its time.
    pub(crate) fn ended(&mut self, why: &str) {
        self.error = Some(why.to_owned());
    }

    fn is_wanted(&mut self) -> Result<(), UploadError> {
        match self.state.live.look(self.upload.id) {
            Look::Refused(failure) => Err(self.failed(Denial::Unwanted(failure))),
            _ => Ok(()),
        }
    }

    async fn sniff(&mut self) -> Result<(), UploadError> {
        if std::mem::replace(&mut self.is_sniffed, true) {
            return Ok(());
        }
        if document::of(&self.upload).is_some() {
            let Err(failure) = document::look(&self.state, &self.upload).await? else { return Ok(()) };
            admission::refuse(&self.state, &self.upload, &failure).await;
            return Err(self.failed(Denial::Unwanted(failure)));
        }
        let lists = admission::lists(&self.state, &self.upload);
        if lists.is_empty() {
            return Ok(());
        }
        let Some(found) = self.container().await? else { return Ok(()) };
        let found = found.and_then(|container| admission::on_lists(container, Tracks::Unknown, &lists));
        let Err(failure) = found else { return Ok(()) };
        admission::refuse(&self.state, &self.upload, &failure).await;
        Err(self.failed(Denial::Unwanted(failure)))
    }

    /// Whether all `length` octets together are of a type that is accepted, where that depends on the tracks.
    async fn check_tracks(&mut self, length: u64) -> Result<(), UploadError> {
        let lists = admission::lists(&self.state, &self.upload);
        let is_source = self.upload.kind != UploadKind::Partial && document::of(&self.upload).is_none();
        if lists.is_empty() || !is_source {
            return Ok(());
        }
        let Some(Ok(container)) = self.container().await? else { return Ok(()) };
        if !admission::is_in_doubt(container, &lists) {
            return Ok(());
        }
        let stop = self.state.shutdown.clone();
        let look = Box::pin(early::mistyped(&self.state, &self.upload, container, length, &lists));
        // What was looked at is lost with the branch; whoever goes on with the upload has it looked at again.
        let Some(mistyped) = stop.run_until_cancelled(look).await else {
            return Err(UploadError::Stopping { offset: self.durable });
        };
        let Some(failure) = mistyped else { return Ok(()) };
        admission::refuse(&self.state, &self.upload, &failure).await;
        Err(self.failed(Denial::Unwanted(failure)))
    }

    /// The container of the staged file, or what is wrong with it; `None` when it cannot be read.
    async fn container(&self) -> Result<Option<Result<Container, Failure>>, UploadError> {
        let path = self.state.staging.path(self.upload.id);
        match tokio::task::spawn_blocking(move || container_of(&path)).await {
            Ok(Ok(found)) => Ok(Some(found)),
            Ok(Err(error)) => {
                // The same file cannot be completed either: there it is told what is wrong with it.
                tracing::warn!(upload.id = %self.upload.id, %error, "the head of an upload cannot be read");
                Ok(None)
            }
            Err(_) => Err(UploadError::Internal),
        }
    }

    fn failed(&mut self, denial: Denial) -> UploadError {
        self.error = Some(denial.to_string());
        denial.into()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.state.admission.growths.forget(self.upload.id);
        self.state.live.ended(self.upload.id, self.error.take());
    }
}

fn container_of(staged: &Path) -> std::io::Result<Result<Container, Failure>> {
    let file = File::open(staged)?;
    let head = sniff::head_of(&file, HEAD_BYTES)?;
    Ok(sniff::container(&head, |offset, buffer| file.read_at(buffer, offset).unwrap_or(0)))
}
