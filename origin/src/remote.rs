//! The third tier: objects of a bucket, in aligned blocks. A block is read once however many ask for it, and they
//! get its octets as they come.

use std::collections::HashMap;
use std::ops::Range;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::HeaderValue;
use media_store::{Key, MediaStore, StoreError};
use quick_cache::sync::Cache;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::growing::Growing;
use crate::memory::{Memory, Name, Object};
use crate::objects::FetchError;

/// Octets of a block: what CDNs ask for at a time, too.
pub(crate) const BLOCK_BYTES: u64 = 1 << 20;
/// Time to get a turn, and time for each piece to come.
const PATIENCE: Duration = Duration::from_secs(20);
/// Requests for one block, each of which goes on where the one before it broke off.
const ATTEMPTS_MAX: u32 = 3;
/// Blocks under way per turn: the rest waits, and what comes on top is refused.
const QUEUE_PER_TURN: usize = 8;
/// The part of them, as a divisor, that may be under way before another is fetched ahead of being asked for.
const AHEAD_SHARE: usize = 4;
/// Objects of which it is remembered which version is read.
const VERSIONS_MAX: usize = 16 << 10;

/// An object of known length.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) key: Key,
    /// The key once more, cheap to clone.
    pub(crate) name: Arc<str>,
    pub(crate) bytes: u64,
}

impl Source {
    fn block(&self, index: u32) -> Range<u64> {
        let start = u64::from(index) * BLOCK_BYTES;
        start..(start + BLOCK_BYTES).min(self.bytes)
    }
}

/// The block that an answer begins with, and its index, while it is on its way: kept, since it may fit nowhere.
pub(crate) type Begun = Option<(u32, Arc<Growing>)>;

/// A block, there or on its way.
enum Block {
    Ready(Bytes),
    Coming(Arc<Growing>),
}

/// Reads blocks of a bucket into memory.
pub(crate) struct Remote {
    store: MediaStore,
    memory: Arc<Memory>,
    coming: Mutex<HashMap<Name, Arc<Growing>>>,
    coming_max: usize,
    /// Told when a block is no longer under way.
    room: Notify,
    versions: Cache<Arc<str>, Arc<str>>,
    turns: Semaphore,
    tasks: TaskTracker,
}

impl Remote {
    /// Reads at most `reads_max` blocks at a time.
    pub(crate) fn new(store: MediaStore, memory: Arc<Memory>, reads_max: usize) -> Self {
        Self {
            store,
            memory,
            coming: Mutex::default(),
            coming_max: reads_max.saturating_mul(QUEUE_PER_TURN),
            room: Notify::new(),
            versions: Cache::new(VERSIONS_MAX),
            turns: Semaphore::new(reads_max),
            tasks: TaskTracker::new(),
        }
    }

    /// The octets of `range`, if all of them are in memory.
    pub(crate) fn at_hand(&self, source: &Source, range: &Range<u64>) -> Option<Vec<Bytes>> {
        let mut pieces = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let index = index_of(at);
            let block = source.block(index);
            let object = self.memory.get(&Name::block(&source.name, index))?;
            let end = block.end.min(range.end);
            pieces.push(cut(&object.bytes, block.start, at..end));
            at = end;
        }
        Some(pieces)
    }

    /// Waits until the octet at `offset` is there: what is wrong shows before the answer begins. Gives what a stream
    /// that begins there has to be given.
    pub(crate) async fn begin(self: &Arc<Self>, source: &Source, offset: u64) -> Result<Begun, FetchError> {
        let index = index_of(offset);
        let Block::Coming(growing) = self.block(source, index, self.coming_max)? else { return Ok(None) };
        let (mut reached, mut piece) = (source.block(index).start, 0);
        while reached <= offset {
            match growing.piece(piece).await {
                Some(octets) => reached += octets?.len() as u64,
                None => return Err(FetchError::Corrupt),
            }
            piece += 1;
        }
        Ok(Some((index, growing)))
    }

    /// The octets of `range` as they come, one block ahead. `begun` is of use if the range begins in that block.
    pub(crate) fn stream(
        self: &Arc<Self>,
        source: Source,
        range: Range<u64>,
        begun: Begun,
    ) -> BoxStream<'static, Result<Bytes, FetchError>> {
        let index = index_of(range.start);
        let begun = begun.filter(|(of, _)| *of == index);
        let block = begun.map(|(_, growing)| (growing, 0, source.block(index).start));
        let read = BlockRead { remote: Arc::clone(self), source, at: range.start, end: range.end, block };
        futures::stream::unfold(read, BlockRead::next).boxed()
    }

    /// Has a block fetched, without waiting for it, unless others are busy enough with what is asked for.
    pub(crate) fn warm(self: &Arc<Self>, source: &Source, offset: u64) {
        // Nobody waits, so that nobody has to be told when there is no room.
        let _ = self.block(source, index_of(offset), self.coming_max / AHEAD_SHARE);
    }

    /// As [`Remote::block`], but waits for room: an answer that has begun can no longer be refused.
    async fn block_in_time(self: &Arc<Self>, source: &Source, index: u32) -> Result<Block, FetchError> {
        let wait = async {
            // Ends with the block, or with the patience below.
            loop {
                let mut room = pin!(self.room.notified());
                // Room that is made after this look wakes us.
                room.as_mut().enable();
                match self.block(source, index, self.coming_max) {
                    Err(FetchError::Busy) => room.await,
                    block => return block,
                }
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or(Err(FetchError::Slow))
    }

    /// A block, which is fetched if there is need to and fewer than `coming_max` are under way.
    fn block(self: &Arc<Self>, source: &Source, index: u32, coming_max: usize) -> Result<Block, FetchError> {
        let name = Name::block(&source.name, index);
        if let Some(object) = self.memory.get(&name) {
            return Ok(Block::Ready(object.bytes.clone()));
        }
        let mut coming = self.coming();
        if let Some(growing) = coming.get(&name) {
            return Ok(Block::Coming(Arc::clone(growing)));
        }
        // It may have arrived between the two looks.
        if let Some(object) = self.memory.get(&name) {
            return Ok(Block::Ready(object.bytes.clone()));
        }
        if coming.len() >= coming_max {
            return Err(FetchError::Busy);
        }
        let growing = Arc::new(Growing::default());
        coming.insert(name.clone(), Arc::clone(&growing));
        drop(coming);
        let fill = Fill { remote: Arc::clone(self), name, growing: Arc::clone(&growing) };
        let (source, range) = (source.clone(), source.block(index));
        // A task of its own: a reader that is slow or leaves holds up nobody.
        self.tasks.spawn(async move { fill.run(&source, range).await });
        Ok(Block::Coming(growing))
    }

    fn coming(&self) -> MutexGuard<'_, HashMap<Name, Arc<Growing>>> {
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One block being fetched. However this ends, its readers are told.
struct Fill {
    remote: Arc<Remote>,
    name: Name,
    growing: Arc<Growing>,
}

impl Drop for Fill {
    fn drop(&mut self) {
        self.growing.end(Err(FetchError::Store));
        self.remote.coming().remove(&self.name);
        self.remote.room.notify_waiters();
    }
}

impl Fill {
    async fn run(self, source: &Source, range: Range<u64>) {
        let read = self.read(source, range).await;
        match read {
            Ok(()) => {
                let object = Object { bytes: self.growing.joined(), etag: HeaderValue::from_static("") };
                self.remote.memory.keep(self.name.clone(), &Arc::new(object));
                self.growing.end(Ok(()));
            }
            Err(error) => {
                // The next request may pin another version, should this one be gone.
                self.remote.versions.remove(&source.name);
                self.growing.end(Err(error));
            }
        }
    }

    /// Reads the block, resuming where a request broke off. Failures are logged here, once for all readers.
    async fn read(&self, source: &Source, range: Range<u64>) -> Result<(), FetchError> {
        let turn = timeout(PATIENCE, self.remote.turns.acquire()).await.map_err(|_| FetchError::Slow)?;
        let _turn = turn.map_err(|_| FetchError::Store)?;
        let (mut at, mut attempts) = (range.start, 0);
        // Ends with the block, or after so many attempts.
        loop {
            attempts += 1;
            let error = match timeout(PATIENCE, self.attempt(source, at..range.end, &mut at)).await {
                Ok(Ok(())) if at == range.end => return Ok(()),
                Ok(Ok(())) => Broken::Short,
                Ok(Err(error)) => error,
                Err(_) => Broken::Silent,
            };
            let (key, error) = (&source.key, &error as &dyn std::error::Error);
            if attempts == ATTEMPTS_MAX {
                tracing::error!(%key, error, at, attempts, "block cannot be read");
                return Err(FetchError::Store);
            }
            tracing::warn!(%key, error, at, attempts, "block broke off");
        }
    }

    /// One request. `at` tells how far it came.
    async fn attempt(&self, source: &Source, range: Range<u64>, at: &mut u64) -> Result<(), Broken> {
        let pinned = self.remote.versions.get(&source.name);
        let read = self.remote.store.read_remote(&source.key, range.clone(), pinned.as_deref()).await?;
        let mut read = read.ok_or(Broken::Missing)?;
        if read.object_bytes != source.bytes {
            return Err(Broken::Length { stored: read.object_bytes, published: source.bytes });
        }
        if let (None, Some(version)) = (pinned, read.version) {
            self.remote.versions.insert(Arc::clone(&source.name), version.into());
        }
        while let Some(piece) = read.pieces.next().await {
            let piece = piece?;
            if piece.len() as u64 > range.end - *at {
                return Err(Broken::Long);
            }
            *at += piece.len() as u64;
            if !piece.is_empty() {
                self.growing.push(piece);
            }
        }
        Ok(())
    }
}

/// Why a request for a block came to nothing.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("there is no such object")]
    Missing,
    #[error("the object has {stored} octets, but {published} were published")]
    Length { stored: u64, published: u64 },
    #[error("the answer ended early")]
    Short,
    #[error("the answer is longer than what was asked for")]
    Long,
    #[error("the store takes too long")]
    Silent,
}

/// A part of an object, being read block by block.
struct BlockRead {
    remote: Arc<Remote>,
    source: Source,
    at: u64,
    end: u64,
    block: Option<(Arc<Growing>, usize, u64)>,
}

impl BlockRead {
    async fn next(mut self) -> Option<(Result<Bytes, FetchError>, Self)> {
        // Ends with the range: each turn takes a piece of a block, and blocks are finite.
        loop {
            if self.at >= self.end {
                return None;
            }
            let block = self.source.block(index_of(self.at));
            let Some((growing, piece, reached)) = &mut self.block else {
                match self.enter().await {
                    Ok(Some(octets)) => return Some((Ok(octets), self)),
                    Ok(None) => continue,
                    Err(error) => return Some(self.fail(error)),
                }
            };
            match growing.piece(*piece).await {
                Some(Ok(octets)) => {
                    let start = *reached;
                    *piece += 1;
                    *reached += octets.len() as u64;
                    let (from, to) = (self.at.max(start), (*reached).min(self.end));
                    if *reached >= block.end {
                        self.block = None;
                    }
                    if from < to {
                        self.at = to;
                        return Some((Ok(cut(&octets, start, from..to)), self));
                    }
                }
                Some(Err(error)) => return Some(self.fail(error)),
                None => return Some(self.fail(FetchError::Corrupt)),
            }
        }
    }

    /// Enters the block at hand: gives its octets if they are there.
    async fn enter(&mut self) -> Result<Option<Bytes>, FetchError> {
        let index = index_of(self.at);
        let block = self.source.block(index);
        let entered = self.remote.block_in_time(&self.source, index).await?;
        if block.end < self.end {
            self.remote.warm(&self.source, block.end);
        }
        Ok(match entered {
            Block::Ready(bytes) => {
                let end = block.end.min(self.end);
                let octets = cut(&bytes, block.start, self.at..end);
                self.at = end;
                Some(octets)
            }
            Block::Coming(growing) => {
                self.block = Some((growing, 0, block.start));
                None
            }
        })
    }

    fn fail(mut self, error: FetchError) -> (Result<Bytes, FetchError>, Self) {
        self.at = self.end;
        (Err(error), self)
    }
}

fn index_of(offset: u64) -> u32 {
    u32::try_from(offset / BLOCK_BYTES).unwrap_or(u32::MAX)
}

/// The octets `range` of an object, out of a piece of it that begins at `start`.
fn cut(piece: &Bytes, start: u64, range: Range<u64>) -> Bytes {
    let at = |offset: u64| usize::try_from(offset - start).unwrap_or(usize::MAX).min(piece.len());
    piece.slice(at(range.start)..at(range.end))
}

#[cfg(test)]
mod tests {
    use media_store::StoreConfig;
    use tokio::time::Instant;

    use super::*;

    /// A reader of a store with nothing in it, with so many blocks under way that never come.
    async fn remote(under_way: u32) -> (Arc<Remote>, Vec<Fill>, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            url: format!("file://{}/media", dir.path().display()),
            access_key: None,
            secret_key: None,
            scratch: dir.path().join("scratch"),
        };
        let store = MediaStore::open(config).await.unwrap();
        let remote = Arc::new(Remote::new(store, Arc::new(Memory::new(64 << 20)), 1));
        let fill = |index| {
            let (name, growing) = (Name::block(&"other".into(), index), Arc::new(Growing::default()));
            remote.coming().insert(name.clone(), Arc::clone(&growing));
            Fill { remote: Arc::clone(&remote), name, growing }
        };
        let fills = (0..under_way).map(fill).collect();
        (remote, fills, dir)
    }

    fn source() -> Source {
        let key = media_store::layout::pointer(domain::PlaybackId::from_u128(7));
        Source { name: key.as_str().into(), key, bytes: 10 }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_has_begun_waits_for_room_for_a_while() {
        let (remote, mut fills, _dir) = remote(8).await;
        assert!(matches!(remote.begin(&source(), 0).await, Err(FetchError::Busy)));
        let begun = Instant::now();
        assert_eq!(remote.stream(source(), 0..10, None).next().await, Some(Err(FetchError::Slow)));
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());

        let mut body = remote.stream(source(), 0..10, None);
        assert!(futures::poll!(body.next()).is_pending());
        let object = Object { bytes: "0123456789".into(), etag: HeaderValue::from_static("") };
        remote.memory.keep(Name::block(&source().name, 0), &Arc::new(object));
        fills.pop();
        assert_eq!(body.next().await, Some(Ok("0123456789".into())));
        assert_eq!(body.next().await, None);
    }

    #[tokio::test]
    async fn little_is_fetched_ahead_while_much_is_under_way() {
        for (under_way, expected) in [(0, 1), (1, 2), (2, 2), (7, 7), (8, 8)] {
            let (remote, _fills, _dir) = remote(under_way).await;
            remote.warm(&source(), 0);
            assert_eq!(remote.coming().len(), expected, "{under_way}");
        }
    }
}
