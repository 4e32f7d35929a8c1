//! What is published: from a playback id over its pointer to the presentation, kept in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use domain::document::Listed;
use domain::presentation::{Pointer, Retained, SCHEMA};
use domain::{Access, AssetId, Generation, PlaybackId, Presentation};
use futures::FutureExt;
use media_store::{Key, MediaStore, StoreError, layout};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::time::{Instant, timeout};

use crate::flights::Flights;
use crate::weighed;

/// A pointer that was read this recently is not read again.
const REVALIDATION_INTERVAL: Duration = Duration::from_secs(1);
/// While the store does not answer, what was confirmed this recently is served on.
const STALE_MAX: Duration = Duration::from_secs(600);
/// Time to read a pointer and its presentation.
const READ_PATIENCE: Duration = Duration::from_secs(10);
/// Memory of a parsed presentation per octet of its JSON, at most.
const BYTES_PER_JSON_BYTE: u64 = 2;
/// What an entry costs on top.
const ENTRY_OVERHEAD_BYTES: u64 = 512;
/// Guess at the mean size of an entry, by which the cache sizes its tables.
const ENTRY_BYTES_TYPICAL: u64 = 16 << 10;
/// Independent parts of the cache. Few, since a presentation has to fit into one part: one of 10 hours
/// in five qualities has some 10 MB of JSON.
const CACHE_SHARDS: usize = 2;
/// The part of the memory that presentations which were replaced may take, as a divisor.
const EARLIER_SHARE: u64 = 4;

/// Why it is not known what is published. Causes are in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store does not tell what is published")]
pub(crate) struct Unknown;

/// A presentation in force.
#[derive(Debug)]
pub(crate) struct Published {
    /// The document.
    pub(crate) presentation: Presentation,
    /// Where it is stored.
    pub(crate) key: Key,
    /// How long it may be taken for the one in force.
    pub(crate) freshness: Arc<Freshness>,
    /// What pointed to it.
    pointer: Pointer,
    json_bytes: u64,
}

impl Published {
    /// What may be had beside it.
    pub(crate) fn documents(&self) -> &[Listed] {
        &self.pointer.documents
    }

    /// Who may play it.
    pub(crate) fn access(&self) -> &Access {
        &self.pointer.access
    }
}

/// Until when something holds without being looked at again.
#[derive(Debug, Default)]
pub(crate) struct Freshness(AtomicU64);

/// The beginning of the time that [`Freshness`] counts from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epoch(Instant);

impl Epoch {
    fn millis(self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Freshness {
    /// Whether it still holds.
    pub(crate) fn holds(&self, epoch: Epoch) -> bool {
        epoch.millis() < self.0.load(Ordering::Relaxed)
    }

    fn renew(&self, epoch: Epoch) {
        let until = epoch.millis().saturating_add(u64::try_from(REVALIDATION_INTERVAL.as_millis()).unwrap_or(0));
        self.0.store(until, Ordering::Relaxed);
    }

    fn end(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// What went wrong with a pointer or a presentation.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("not the JSON of a {what}")]
    Json {
        what: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("schema {0} is not understood")]
    Schema(u32),
    #[error("the pointer names {0}, which does not exist")]
    Dangling(Key),
    #[error("{0} describes another asset or generation than its name says")]
    Misplaced(Key),
    #[error("reading was interrupted")]
    Interrupted,
    #[error("the store takes too long")]
    Slow,
}

/// The last that is known of a playback id.
#[derive(Clone)]
struct Slot {
    checked: Instant,
    confirmed: Instant,
    found: Option<Arc<Published>>,
}

/// An earlier output of an asset.
type Earlier = (AssetId, Retained);

#[derive(Clone)]
struct ByBytes;

impl Weighter<Earlier, Arc<Published>> for ByBytes {
    fn weight(&self, _: &Earlier, published: &Arc<Published>) -> u64 {
        published.json_bytes * BYTES_PER_JSON_BYTE + ENTRY_OVERHEAD_BYTES
    }
}

impl Weighter<PlaybackId, Slot> for ByBytes {
    fn weight(&self, _: &PlaybackId, slot: &Slot) -> u64 {
        let json_bytes = slot.found.as_ref().map_or(0, |published| published.json_bytes);
        json_bytes * BYTES_PER_JSON_BYTE + ENTRY_OVERHEAD_BYTES
    }
}

/// Playback ids and what they stand for.
pub(crate) struct Library {
    store: MediaStore,
    epoch: Epoch,
    slots: Cache<PlaybackId, Slot, ByBytes>,
    lookups: Flights<PlaybackId, Result<Option<Arc<Published>>, Unknown>>,
    /// Presentations that were replaced and are still played. They never change.
    earlier: Cache<Earlier, Arc<Published>, ByBytes>,
    earlier_lookups: Flights<Earlier, Result<Option<Arc<Published>>, Unknown>>,
}

fn cache<K: Eq + std::hash::Hash, V: Clone>(bytes: u64) -> Cache<K, V, ByBytes>
where
    ByBytes: Weighter<K, V>,
{
    weighed::cache(bytes, ENTRY_BYTES_TYPICAL, CACHE_SHARDS, ByBytes)
}

impl Library {
    /// Keeps at most about `cache_bytes` of presentations, and of ids that stand for nothing.
    pub(crate) fn new(store: MediaStore, cache_bytes: u64) -> Self {
        let earlier_bytes = cache_bytes / EARLIER_SHARE;
        let slots = cache(cache_bytes - earlier_bytes);
        Self {
            store,
            epoch: Epoch(Instant::now()),
            slots,
            lookups: Flights::new(),
            earlier: cache(earlier_bytes),
            earlier_lookups: Flights::new(),
        }
    }

    /// What `playback` stands for: not older than a second, as long as the store answers. `None` for nothing.
    pub(crate) async fn find(self: &Arc<Self>, playback: PlaybackId) -> Result<Option<Arc<Published>>, Unknown> {
        let slot = self.slots.get(&playback);
        match slot {
            Some(slot) if slot.checked.elapsed() < REVALIDATION_INTERVAL => Ok(slot.found),
            slot => self.look_up(playback, slot).await,
        }
    }

    /// What the freshness of presentations is counted from.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Asks the store when `playback` is needed next: its pointer was changed by this very process.
    pub(crate) fn expire(&self, playback: PlaybackId) {
        if let Some(slot) = self.slots.get(&playback) {
            slot.found.iter().for_each(|published| published.freshness.end());
            let long_ago = slot.checked.checked_sub(REVALIDATION_INTERVAL);
            match long_ago {
                Some(checked) => self.slots.insert(playback, Slot { checked, ..slot }),
                None => drop(self.slots.remove(&playback)),
            }
        }
    }

    /// As [`Library::find`], but asks the store in any case.
    pub(crate) async fn find_afresh(self: &Arc<Self>, playback: PlaybackId) -> Result<Option<Arc<Published>>, Unknown> {
        let slot = self.slots.get(&playback);
        self.look_up(playback, slot).await
    }

    async fn look_up(
        self: &Arc<Self>,
        playback: PlaybackId,
        slot: Option<Slot>,
    ) -> Result<Option<Arc<Published>>, Unknown> {
        let library = Arc::clone(self);
        let lookup = || async move { library.refresh(playback, slot).await }.boxed();
        self.lookups.join(playback, lookup).await
    }

    /// Asks the store; falls back on the last answer for a while. Logs once for all requests that share it.
    async fn refresh(&self, playback: PlaybackId, slot: Option<Slot>) -> Result<Option<Arc<Published>>, Unknown> {
        let last = slot.as_ref().and_then(|slot| slot.found.clone());
        let read = timeout(READ_PATIENCE, self.read(playback, last)).await.unwrap_or(Err(ReadError::Slow));
        let now = Instant::now();
        let slot = match (read, slot) {
            (Ok(found), _) => Slot { checked: now, confirmed: now, found },
            (Err(error), slot) => {
                tracing::error!(playback.id = %playback, error = &error as &dyn std::error::Error, "presentation cannot be read");
                let slot = slot.filter(|slot| slot.confirmed.elapsed() < STALE_MAX).ok_or(Unknown)?;
                Slot { checked: now, ..slot }
            }
        };
        slot.found.iter().for_each(|published| published.freshness.renew(self.epoch));
        self.slots.insert(playback, slot.clone());
        Ok(slot.found)
    }

    async fn read(
        &self,
        playback: PlaybackId,
        last: Option<Arc<Published>>,
    ) -> Result<Option<Arc<Published>>, ReadError> {
        let Some(pointer) = self.store.pointer(playback).await? else { return Ok(None) };
        let pointer: Pointer =
            serde_json::from_slice(&pointer).map_err(|source| ReadError::Json { what: "pointer", source })?;
        if pointer.schema != SCHEMA {
            return Err(ReadError::Schema(pointer.schema));
        }
        if let Some(last) = last.filter(|last| last.pointer == pointer) {
            return Ok(Some(last));
        }
        let key = layout::presentation(pointer.asset, pointer.generation, pointer.revision);
        let Some(json) = self.store.get(&key).await? else { return Err(ReadError::Dangling(key)) };
        Ok(Some(Arc::new(parsed(json, playback, pointer, key).await?)))
    }

    /// The presentation of an earlier output that is kept for players which began with it; `None` if it is not, or
    /// not any more.
    pub(crate) async fn find_earlier(
        self: &Arc<Self>,
        published: &Arc<Published>,
        generation: Generation,
    ) -> Result<Option<Arc<Published>>, Unknown> {
        let pointer = &published.pointer;
        let Some(kept) = pointer.retained.iter().find(|kept| kept.generation == generation) else { return Ok(None) };
        let (playback, place) = (published.presentation.playback, (pointer.asset, *kept));
        if let Some(found) = self.earlier.get(&place) {
            return Ok(Some(found));
        }
        let library = Arc::clone(self);
        let (asset, Retained { generation, revision }) = place;
        let pointer =
            Pointer { generation, revision, retained: Vec::new(), is_complete: Some(true), ..pointer.clone() };
        let lookup = || async move { library.read_earlier(playback, (asset, pointer), place).await }.boxed();
        self.earlier_lookups.join(place, lookup).await
    }

    async fn read_earlier(
        &self,
        playback: PlaybackId,
        (asset, pointer): (AssetId, Pointer),
        place: Earlier,
    ) -> Result<Option<Arc<Published>>, Unknown> {
        let key = layout::presentation(asset, pointer.generation, pointer.revision);
        let read = async {
            let Some(json) = self.store.get(&key).await? else { return Ok(None) };
            parsed(json, playback, pointer, key.clone()).await.map(|found| Some(Arc::new(found)))
        };
        match timeout(READ_PATIENCE, read).await.unwrap_or(Err(ReadError::Slow)) {
            Ok(found) => {
                found.iter().for_each(|found| self.earlier.insert(place, Arc::clone(found)));
                Ok(found)
            }
            Err(error) => {
                tracing::error!(playback.id = %playback, error = &error as &dyn std::error::Error, "earlier presentation cannot be read");
                Err(Unknown)
            }
        }
    }
}

/// Reads a presentation off the async threads: it may be long.
async fn parsed(json: Bytes, playback: PlaybackId, pointer: Pointer, key: Key) -> Result<Published, ReadError> {
    let parsing = tokio::task::spawn_blocking(move || parse(&json, playback, pointer, key));
    parsing.await.map_err(|_| ReadError::Interrupted)?
}

/// Reads a presentation and checks that it is the one that was asked for.
fn parse(json: &Bytes, playback: PlaybackId, pointer: Pointer, key: Key) -> Result<Published, ReadError> {
    let presentation: Presentation =
        serde_json::from_slice(json).map_err(|source| ReadError::Json { what: "presentation", source })?;
    if presentation.schema != SCHEMA {
        return Err(ReadError::Schema(presentation.schema));
    }
    // Whether it is complete need not be told in both.
    let is_named = presentation.asset == pointer.asset
        && (presentation.generation, presentation.revision) == (pointer.generation, pointer.revision);
    if !is_named || presentation.playback != playback {
        return Err(ReadError::Misplaced(key));
    }
    Ok(Published { presentation, key, freshness: Arc::default(), pointer, json_bytes: json.len() as u64 })
}
