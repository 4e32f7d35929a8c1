//! The octets of one upload on the server, sent one request after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use ingest::digest::Algorithm;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;
use tokio_util::io::ReaderStream;
use url::Url;

use super::pace::Pace;
use super::progress::Transfer;
use super::setback::Setback;
use super::source::Source;
use super::wire::{COMPLETION_MAX, Piece, Wire, checksum, in_pieces};

/// Octets of one request without a checksum; small enough for most proxies' patience, large enough not to matter.
const STREAM_BYTES_MAX: u64 = 256 << 20;
/// The first request with a checksum: it is kept whole or not at all, so a bad line should lose little.
const CHECKED_BYTES_FIRST: u64 = 1 << 20;
/// The least and the most that later ones may have.
const CHECKED_BYTES_MIN: u64 = 64 << 10;
const CHECKED_BYTES_MAX: u64 = 16 << 20;
/// Octets that all lanes together hold in memory.
const MEMORY_BYTES: u64 = 64 << 20;
/// A checked request that took less may be followed by a larger one.
const QUICK: Duration = Duration::from_secs(2);
/// Octets read from the file at a time.
const READ_BYTES: usize = 256 << 10;
/// Silence after which a request is given up, while octets are being sent.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Time between two looks at the progress.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// A stretch of a file on its way to one upload.
pub(super) struct Lane<'a> {
    pub(super) wire: &'a Wire,
    pub(super) source: &'a Source,
    pub(super) display: &'a Transfer,
    /// Which part of the file this is, for the display.
    pub(super) part: usize,
    /// Where it begins in the file.
    pub(super) start: u64,
    /// How long it is.
    pub(super) bytes: u64,
    pub(super) pace: Pace,
    pub(super) request: RequestSize,
}

/// How many octets a request carries: more while all goes well, fewer after a setback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestSize {
    checksum: Option<Algorithm>,
    bytes: u64,
    bytes_max: u64,
}

impl RequestSize {
    /// For one of `lanes` that send at the same time.
    pub(super) fn new(checksum: Option<Algorithm>, lanes: usize) -> Self {
        let share = MEMORY_BYTES / lanes.max(1) as u64;
        match checksum {
            Some(_) => Self { checksum, bytes: CHECKED_BYTES_FIRST, bytes_max: share.min(CHECKED_BYTES_MAX) },
            None => Self { checksum, bytes: STREAM_BYTES_MAX, bytes_max: STREAM_BYTES_MAX },
        }
    }

    fn succeeded(&mut self, took: Duration) {
        if took < QUICK {
            self.bytes = (self.bytes * 2).min(self.bytes_max);
        }
    }

    /// What broke off was lost if it had a checksum.
    fn broke_off(&mut self) {
        if self.checksum.is_some() {
            self.bytes = (self.bytes / 2).max(CHECKED_BYTES_MIN.min(self.bytes_max));
        }
    }

    /// Never again as much as `refused`; false if there is no less.
    fn shrink_below(&mut self, refused: u64) -> bool {
        if refused <= CHECKED_BYTES_MIN {
            return false;
        }
        self.bytes_max = (refused / 2).max(CHECKED_BYTES_MIN);
        self.bytes = self.bytes.min(self.bytes_max);
        true
    }
}

impl Lane<'_> {
    /// Sends everything behind `offset`, whatever gets in the way, as long as there is progress.
    pub(super) async fn append_all(&mut self, upload: &Url, mut offset: u64) -> Result<(), Setback> {
        let mut is_known = true;
        while offset < self.bytes {
            let begun = Instant::now();
            let step = if is_known { self.append(upload, offset).await } else { self.offset_of(upload).await };
            match step {
                Ok(reached) => {
                    if reached > offset {
                        self.pace.progressed();
                    }
                    if is_known {
                        self.request.succeeded(begun.elapsed());
                    }
                    (offset, is_known) = (reached, true);
                    self.display.at(self.part, offset);
                }
                Err(setback) => {
                    let is_damage = matches!(setback, Setback::Damaged { .. });
                    if let Setback::TooLong { reason } = setback {
                        self.shrink(offset, &reason)?;
                        continue;
                    }
                    if is_known && !is_damage {
                        self.request.broke_off();
                    }
                    self.pace.endure(setback, self.display).await?;
                    // Nothing of a damaged body was kept.
                    is_known = is_damage;
                }
            }
        }
        Ok(())
    }

    /// Where the upload stands.
    pub(super) async fn offset_of(&self, upload: &Url) -> Result<u64, Setback> {
        let missing = "the answer has no Upload-Offset: this is no tus server, or a proxy drops the header";
        self.wire.offset_of(upload).await?.ok_or_else(|| Setback::Final(anyhow!(missing)))
    }

    fn shrink(&mut self, offset: u64, reason: &str) -> Result<(), Setback> {
        let refused = self.request.bytes.min(self.bytes - offset);
        self.display.retried();
        if self.request.shrink_below(refused) {
            self.display.trouble(&format!("a proxy takes no request of {refused} octets ({reason})"));
            return Ok(());
        }
        let advice = "raise the body limit of the proxy (nginx: client_max_body_size 0)";
        Err(Setback::Final(anyhow!("a proxy before the server takes no request of {refused} octets: {advice}")))
    }

    /// One request; the offset that the server acknowledges.
    async fn append(&self, upload: &Url, offset: u64) -> Result<u64, Setback> {
        self.source.check_unchanged().map_err(Setback::Refused)?;
        let bytes = self.request.bytes.min(self.bytes - offset);
        let passed = Arc::new(AtomicU64::new(0));
        let at = self.start + offset;
        let sent = async {
            match self.request.checksum {
                Some(algorithm) => {
                    let octets = self.source.read(at, bytes).await.map_err(Setback::Final)?;
                    // After the reading too: nothing that belongs to another version is sent.
                    self.source.check_unchanged().map_err(Setback::Refused)?;
                    let hashed = octets.clone();
                    let hashed = tokio::task::spawn_blocking(move || checksum(algorithm, &hashed)).await;
                    let checksum = Some(hashed.map_err(|error| Setback::Final(error.into()))?);
                    let body = in_pieces(octets);
                    self.wire.append(upload, Piece { offset, bytes, checksum, body, passed: passed.clone() }).await
                }
                None => {
                    let file = self.source.at(at).await.map_err(Setback::Final)?;
                    let body = ReaderStream::with_capacity(file.take(bytes), READ_BYTES);
                    self.wire
                        .append(upload, Piece { offset, bytes, checksum: None, body, passed: passed.clone() })
                        .await
                }
            }
        };
        let answer = tokio::select! {
            // Losing either branch drops the request: the server keeps what arrived, and is asked for it.
            answer = sent => answer,
            silence = self.silence(offset, bytes, &passed) => {
                Err(Setback::Passing { reason: format!("nothing moved for {} s", silence.as_secs()), pause: None })
            }
        };
        self.display.passed(passed.load(Ordering::Relaxed));
        answer
    }

    /// Shows progress; done when there is none for too long.
    async fn silence(&self, offset: u64, bytes: u64, passed: &AtomicU64) -> Duration {
        let (mut last, mut since) = (0, Instant::now());
        let mut ticks = tokio::time::interval(LOOK_INTERVAL);
        // Ends with the silence, or is dropped with the request.
        loop {
            ticks.tick().await;
            let now = passed.load(Ordering::Relaxed);
            if now != last {
                (last, since) = (now, Instant::now());
                self.display.at(self.part, offset + now);
            }
            let silence_max = if now == bytes { COMPLETION_MAX } else { SILENCE_MAX };
            if since.elapsed() > silence_max {
                return silence_max;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_grow_while_all_goes_well_and_shrink_after_setbacks() {
        let mut size = RequestSize::new(Some(Algorithm::Sha256), 4);
        assert_eq!(size.bytes, 1 << 20);
        (0..9).for_each(|_| size.succeeded(Duration::from_millis(10)));
        assert_eq!(size.bytes, 16 << 20);
        size.succeeded(Duration::from_secs(9));
        assert_eq!(size.bytes, 16 << 20);
        size.broke_off();
        assert_eq!(size.bytes, 8 << 20);
        assert!(size.shrink_below(5 << 20));
        (0..9).for_each(|_| size.succeeded(Duration::from_millis(10)));
        assert_eq!(size.bytes, 5 << 19, "the proxy's limit is not forgotten");
        (0..20).for_each(|_| size.broke_off());
        assert_eq!(size.bytes, CHECKED_BYTES_MIN);
        assert!(!size.shrink_below(CHECKED_BYTES_MIN));
        let many = RequestSize::new(Some(Algorithm::Sha256), 16);
        assert_eq!(many.bytes_max * 16, MEMORY_BYTES);
    }

    #[test]
    fn what_is_kept_octet_by_octet_needs_no_small_requests() {
        let mut size = RequestSize::new(None, 1);
        size.broke_off();
        assert_eq!(size.bytes, STREAM_BYTES_MAX);
        assert!(size.shrink_below(1000 << 10));
        assert_eq!(size.bytes, 500 << 10);
    }
}
