//! Segments in another container than the stored one, or encrypted: made when they are asked for, and kept in memory
//! for a while.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use packager::ts;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use crate::flights::Flights;
use crate::locked::{Seal, SealError, Shape};
use crate::memory::Object;
use crate::resource;
use crate::weighed;

/// Memory for them, in octets.
const CACHE_BYTES: u64 = 64 << 20;
/// Guess at the mean size of one.
const ENTRY_BYTES_TYPICAL: u64 = 512 << 10;
/// What an entry costs on top of its content.
const ENTRY_OVERHEAD_BYTES: u64 = 256;
/// Independent parts of the cache. Few, since an entry has to fit into one part.
const CACHE_SHARDS: usize = 2;
/// Segments that are made at the same time; each takes a moment of one processor.
const MAKINGS_MAX: usize = 4;

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<String, Arc<Object>> for ByBytes {
    fn weight(&self, name: &String, object: &Arc<Object>) -> u64 {
        object.bytes.len() as u64 + name.len() as u64 + ENTRY_OVERHEAD_BYTES
    }
}

/// A stored segment that is to be packed otherwise.
#[derive(Clone)]
pub(crate) enum Work {
    /// CMAF with its initialization segment and its number.
    Media { init: Bytes, index: u32, segment: Bytes },
    /// WebVTT.
    Text(Bytes),
    /// CMAF that is to be encrypted; without an initialization segment where none is needed.
    Locked { seal: Seal, shape: Shape, init: Bytes, index: u32, segment: Bytes },
}

/// Those that were made.
pub(crate) struct Packed {
    cache: Cache<String, Arc<Object>, ByBytes>,
    flights: Flights<String, Option<Arc<Object>>>,
    turns: Arc<Semaphore>,
}

impl Packed {
    pub(crate) fn new() -> Self {
        Self {
            cache: weighed::cache(CACHE_BYTES, ENTRY_BYTES_TYPICAL, CACHE_SHARDS, ByBytes),
            flights: Flights::new(),
            turns: Arc::new(Semaphore::new(MAKINGS_MAX)),
        }
    }

    /// One that is there already.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Object>> {
        self.cache.get(name)
    }

    /// Makes one, once for all who ask. `None`, with the reason in the log, if it cannot be made.
    pub(crate) async fn make(self: &Arc<Self>, name: String, work: Work) -> Option<Arc<Object>> {
        let (packed, key) = (Arc::clone(self), name.clone());
        let making = || async move { packed.made(key, work).await }.boxed();
        self.flights.join(name, making).await
    }

    async fn made(&self, name: String, work: Work) -> Option<Arc<Object>> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        let packing = tokio::task::spawn_blocking(move || {
            // Kept to the end of the work, which goes on when its client has left.
            let _turn = turn;
            let bytes = pack(&work)?;
            Ok::<_, SealError>(Arc::new(Object { etag: resource::etag_of(&bytes), bytes: bytes.into() }))
        });
        match packing.await {
            Ok(Ok(object)) => {
                self.cache.insert(name, Arc::clone(&object));
                Some(object)
            }
            Ok(Err(error)) => {
                tracing::error!(name, error = &error as &dyn std::error::Error, "segment cannot be packed");
                None
            }
            Err(_) => {
                tracing::error!(name, "packing was interrupted");
                None
            }
        }
    }
}

fn pack(work: &Work) -> Result<Vec<u8>, SealError> {
    match work {
        Work::Media { init, index, segment } => Ok(ts::segment(init, *index, segment)?),
        Work::Locked { seal, shape, init, index, segment } => seal.apply(*shape, init, *index, segment),
        Work::Text(text) => {
            let text = std::str::from_utf8(text).map_err(|error| ts::TsError::Damaged(error.to_string()))?;
            Ok(ts::subtitles(text).into_bytes())
        }
    }
}
