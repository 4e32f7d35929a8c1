//! One file on its way to the server: in one piece or in parts at the same time, begun or gone on with.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::ByteSize;
use futures::future::{join_all, try_join, try_join_all};
use url::Url;

use super::lane::{Lane, RequestSize};
use super::pace::Pace;
use super::progress::Transfer;
use super::resume::{Memory, Part, Progress, Remembered};
use super::setback::Setback;
use super::source::Source;
use super::wire::{Abilities, COMPLETION_MAX, Creation, Wire, repr_digest};

/// Uploads that the server may lose before that is taken for an answer.
const LOSSES_MAX: u32 = 3;
/// Parts are not smaller than this: each costs a request more.
const PART_BYTES_MIN: u64 = 1 << 20;
/// A file whose digest takes so long that it is said.
const LARGE_BYTES: u64 = 1 << 30;
/// Time between two looks at an upload that is being put together.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Time for ending uploads that are of no use any more.
const CLEANING_MAX: Duration = Duration::from_secs(10);

/// How a file is to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Parts at the same time.
    pub(super) parallel: usize,
    /// Pieces carry checksums if the server can check them.
    pub(super) is_checked: bool,
    /// Time without progress after which it is given up.
    pub(super) patience: Duration,
}

/// One file, its way, and what is known of both.
pub(super) struct Send<'a> {
    pub(super) wire: &'a Wire,
    pub(super) source: &'a Source,
    pub(super) memory: &'a Memory,
    pub(super) manner: Manner,
    pub(super) display: &'a Transfer,
}

impl Send<'_> {
    /// Sends the file, going on with what is remembered of it; the address of its asset.
    pub(super) async fn run(&self) -> anyhow::Result<Url> {
        let abilities = self.abilities().await.map_err(Setback::into_error)?;
        self.end(&self.memory.forget_other_versions()).await;
        let mut losses = 0;
        // Ends because an upload is completed, fails for good, makes no progress, or is lost too often.
        loop {
            let progress = match self.memory.recall() {
                Some(progress) => progress,
                None => Progress { whole: None, parts: self.divide(&abilities) },
            };
            let sent = if progress.parts.is_empty() {
                self.in_one_piece(&abilities, progress.whole).await
            } else {
                self.in_parts(&abilities, progress).await
            };
            match sent {
                Ok(asset) => {
                    self.memory.forget();
                    return Ok(asset);
                }
                Err(Setback::Lost { reason }) => {
                    losses += 1;
                    let rest = self.memory.recall().unwrap_or_default();
                    self.memory.forget();
                    self.end(&rest.uploads()).await;
                    if losses > LOSSES_MAX {
                        return Err(anyhow!("the server loses this upload again and again: {reason}"));
                    }
                    self.display.trouble(&format!("the server does not have this upload any more ({reason})"));
                }
                Err(Setback::Refused(error)) => {
                    let rest = self.memory.recall().unwrap_or_default();
                    self.memory.forget();
                    self.end(&rest.uploads()).await;
                    return Err(error);
                }
                Err(setback) => return Err(setback.into_error()),
            }
        }
    }

    async fn abilities(&self) -> Result<Abilities, Setback> {
        let mut pace = self.pace();
        // Ends with an answer or with patience.
        loop {
            match self.wire.abilities().await {
                Ok(abilities) => {
                    self.check_size(&abilities)?;
                    return Ok(abilities);
                }
                Err(setback) => pace.endure(setback, self.display).await?,
            }
        }
    }

    /// What the server says of its limit is heeded before anything is sent.
    fn check_size(&self, abilities: &Abilities) -> Result<(), Setback> {
        match abilities.size_max.filter(|size_max| self.source.bytes > *size_max) {
            None => Ok(()),
            Some(size_max) => Err(Setback::Refused(anyhow!(
                "the server takes uploads of up to {}, this file has {}: send a smaller one, or have upload_size_max raised",
                ByteSize(size_max),
                ByteSize(self.source.bytes),
            ))),
        }
    }

    /// The parts in which the file goes; none if it goes in one piece.
    fn divide(&self, abilities: &Abilities) -> Vec<Part> {
        if self.manner.parallel > 1 && !abilities.concatenation {
            self.display.note("the server takes no parts: the file goes in one piece");
        }
        let most = usize::try_from(self.source.bytes / PART_BYTES_MIN).unwrap_or(usize::MAX);
        let count = if abilities.concatenation { self.manner.parallel.min(most) } else { 1 };
        divided(self.source.bytes, count)
    }

    fn pace(&self) -> Pace {
        Pace::new(self.manner.patience)
    }

    fn lane(&self, abilities: &Abilities, part: usize, stretch: (u64, u64), lanes: usize) -> Lane<'_> {
        let checksum = abilities.checksum.filter(|_| self.manner.is_checked);
        let request = RequestSize::new(checksum, lanes);
        let (wire, source, display) = (self.wire, self.source, self.display);
        Lane { wire, source, display, part, start: stretch.0, bytes: stretch.1, pace: self.pace(), request }
    }

    /// What the server is told of the file.
    fn metadata(&self) -> String {
        let (name, media_type) = (STANDARD.encode(&self.source.name), STANDARD.encode(self.source.media_type()));
        format!("filename {name},filetype {media_type}")
    }

    /// The digest of the whole, where the server wants one.
    async fn whole_digest(&self, abilities: &Abilities) -> Result<Option<String>, Setback> {
        let Some(algorithm) = abilities.whole_digest.filter(|_| self.manner.is_checked) else { return Ok(None) };
        if self.source.bytes > LARGE_BYTES {
            self.display.note("reads the file for its digest");
        }
        let value = self.source.digest(algorithm).await.map_err(Setback::Final)?;
        self.source.check_unchanged().map_err(Setback::Refused)?;
        Ok(repr_digest(algorithm, &value))
    }

    async fn in_one_piece(&self, abilities: &Abilities, known: Option<Remembered>) -> Result<Url, Setback> {
        self.display.divided(&[self.source.bytes]);
        let mut lane = self.lane(abilities, 0, (0, self.source.bytes), 1);
        let (whole, offset) = match known {
            Some(whole) => {
                let offset = self.standing(&mut lane, &whole.upload).await?;
                (whole, offset)
            }
            None => {
                let creation = Creation {
                    length: Some(self.source.bytes),
                    metadata: Some(self.metadata()),
                    digest: self.whole_digest(abilities).await?,
                    ..Creation::default()
                };
                let whole = self.created(&creation).await?;
                self.memory.remember(&Progress { whole: Some(whole.clone()), parts: Vec::new() });
                (whole, 0)
            }
        };
        lane.append_all(&whole.upload, offset).await?;
        Ok(whole.asset)
    }

    /// Creates the upload that becomes the asset.
    async fn created(&self, creation: &Creation) -> Result<Remembered, Setback> {
        let mut pace = self.pace();
        // Ends with an upload, a refusal or patience.
        loop {
            match self.wire.create_asset(creation).await {
                Ok(whole) => return Ok(whole),
                Err(Setback::Lost { reason }) if creation.concat.is_none() => {
                    return Err(Setback::Final(anyhow!("this server takes no uploads: {reason}")));
                }
                Err(setback) => pace.endure(setback, self.display).await?,
            }
        }
    }

    /// Where an upload of an earlier run stands.
    async fn standing(&self, lane: &mut Lane<'_>, upload: &Url) -> Result<u64, Setback> {
        // Ends with an offset, a refusal or patience.
        loop {
            match lane.offset_of(upload).await {
                Ok(offset) => {
                    self.display.resumed_at(lane.part, offset);
                    return Ok(offset);
                }
                Err(setback) => lane.pace.endure(setback, self.display).await?,
            }
        }
    }

    /// Sends every part, then has them put together.
    async fn in_parts(&self, abilities: &Abilities, progress: Progress) -> Result<Url, Setback> {
        let lengths: Vec<u64> = progress.parts.iter().map(|part| part.bytes).collect();
        self.display.divided(&lengths);
        let parts = progress.parts.clone();
        let shared = Mutex::new(progress);
        let whole = { shared.lock().unwrap_or_else(PoisonError::into_inner).whole.clone() };
        let whole = match whole {
            Some(whole) => whole,
            None => {
                let lanes = parts.len();
                let sent = parts.into_iter().enumerate().map(|(at, part)| {
                    let lane = self.lane(abilities, at, (part.start, part.bytes), lanes);
                    self.part(lane, part, &shared)
                });
                // The digest is made while the parts travel. One part that fails for good takes the others with it.
                let (uploads, digest) = try_join(try_join_all(sent), self.whole_digest(abilities)).await?;
                self.put_together(&uploads, digest, &shared).await?
            }
        };
        self.until_whole(&whole.upload).await?;
        // The server would keep the parts for other uploads that are made of them; there are none.
        let parts: Vec<Url> = {
            let progress = shared.lock().unwrap_or_else(PoisonError::into_inner);
            progress.parts.iter().filter_map(|part| part.upload.clone()).collect()
        };
        self.end(&parts).await;
        Ok(whole.asset)
    }

    /// Sends one part; its address.
    async fn part(&self, mut lane: Lane<'_>, part: Part, shared: &Mutex<Progress>) -> Result<Url, Setback> {
        let (mut known, mut losses) = (part.upload, 0);
        // Ends with the part on the server, a refusal, patience, or too many losses.
        loop {
            let sent = match known.take() {
                Some(upload) => match self.standing(&mut lane, &upload).await {
                    Ok(offset) => lane.append_all(&upload, offset).await.map(|()| upload),
                    Err(setback) => Err(setback),
                },
                None => {
                    let upload = self.created_part(&mut lane, part.bytes).await?;
                    self.remember_part(shared, lane.part, Some(upload.clone()));
                    lane.append_all(&upload, 0).await.map(|()| upload)
                }
            };
            match sent {
                Err(Setback::Lost { reason }) if losses < LOSSES_MAX => {
                    losses += 1;
                    self.remember_part(shared, lane.part, None);
                    self.display
                        .trouble(&format!("the server does not have part {} any more ({reason})", lane.part + 1));
                    lane.display.at(lane.part, 0);
                }
                other => return other,
            }
        }
    }

    async fn created_part(&self, lane: &mut Lane<'_>, bytes: u64) -> Result<Url, Setback> {
        let creation = Creation { length: Some(bytes), concat: Some("partial".to_owned()), ..Creation::default() };
        // Ends with an upload, a refusal or patience.
        loop {
            match self.wire.create(&creation).await {
                Ok((upload, _)) => return Ok(upload),
                Err(Setback::Lost { reason }) => {
                    return Err(Setback::Final(anyhow!("this server takes no uploads: {reason}")));
                }
                Err(setback) => lane.pace.endure(setback, self.display).await?,
            }
        }
    }

    fn remember_part(&self, shared: &Mutex<Progress>, at: usize, upload: Option<Url>) {
        let mut progress = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(part) = progress.parts.get_mut(at) {
            part.upload = upload;
        }
        self.memory.remember(&progress);
    }

    /// The upload that is made of the parts. Asking again after a lost answer gives the same one.
    async fn put_together(
        &self,
        parts: &[Url],
        digest: Option<String>,
        shared: &Mutex<Progress>,
    ) -> Result<Remembered, Setback> {
        let concat = format!("final;{}", parts.iter().map(Url::path).collect::<Vec<_>>().join(" "));
        let creation =
            Creation { metadata: Some(self.metadata()), concat: Some(concat), digest, ..Creation::default() };
        let whole = self.created(&creation).await?;
        let mut progress = shared.lock().unwrap_or_else(PoisonError::into_inner);
        progress.whole = Some(whole.clone());
        self.memory.remember(&progress);
        Ok(whole)
    }

    /// Waits until the server has put the parts together.
    async fn until_whole(&self, upload: &Url) -> Result<(), Setback> {
        let (mut pace, begun) = (self.pace(), tokio::time::Instant::now());
        while begun.elapsed() < COMPLETION_MAX {
            match self.wire.offset_of(upload).await {
                Ok(Some(offset)) if offset == self.source.bytes => return Ok(()),
                Ok(Some(offset)) => {
                    let bytes = self.source.bytes;
                    let error = anyhow!("the server put the parts together to {offset} octets instead of {bytes}");
                    return Err(Setback::Refused(error));
                }
                Ok(None) => {
                    pace.progressed();
                    tokio::time::sleep(LOOK_INTERVAL).await;
                }
                Err(setback) => pace.endure(setback, self.display).await?,
            }
        }
        Err(Setback::Final(anyhow!("the server does not get done putting the parts together; try again later")))
    }

    /// Ends uploads that are of no use any more. What cannot be ended expires.
    async fn end(&self, uploads: &[Url]) {
        let ended = join_all(uploads.iter().map(|upload| self.wire.terminate(upload)));
        let _ = tokio::time::timeout(CLEANING_MAX, ended).await;
    }
}

/// `count` stretches that cover `bytes` octets; none where one would do.
fn divided(bytes: u64, count: usize) -> Vec<Part> {
    if count < 2 {
        return Vec::new();
    }
    let count = count as u64;
    // In 128 bits: the product does not fit into 64 for every file.
    let edge = |at: u64| u64::try_from(u128::from(bytes) * u128::from(at) / u128::from(count)).unwrap_or(bytes);
    (0..count).map(|at| Part { start: edge(at), bytes: edge(at + 1) - edge(at), upload: None }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_file_without_gap_or_overlap() {
        for (bytes, count) in [(10, 3), (1 << 40, 7), (u64::MAX, 16), (1_000_003, 4)] {
            let parts = divided(bytes, count);
            assert_eq!(parts.len(), count);
            let mut at = 0;
            for part in &parts {
                assert_eq!(part.start, at);
                assert!(part.bytes > 0);
                at += part.bytes;
            }
            assert_eq!(at, bytes);
        }
        assert!(divided(10, 1).is_empty() && divided(0, 0).is_empty());
    }
}
