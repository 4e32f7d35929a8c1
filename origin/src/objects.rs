//! Whole objects and rendered texts in memory, each fetched once however many ask for it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::HeaderValue;
use media_store::{Key, MediaStore, StoreError};
use packager::hls::View;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::coding::Coding;
use crate::demand::DemandHook;
use crate::flights::Flights;
use crate::library::Published;
use crate::resource::{self, Standing, Stored, Text};

/// Time between two looks for an object that is not there yet.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Looks after which the hook is told again that somebody still waits.
const LOOKS_PER_TELLING: u32 = 40;
/// Time a read may take, with the wait for its turn.
const READ_PATIENCE: Duration = Duration::from_secs(20);
/// Texts shorter than this are sent as they are.
const CODED_BYTES_MIN: usize = 256;
/// Content longer than this is hashed off the async threads.
const HASH_INLINE_BYTES_MAX: usize = 64 << 10;
/// What an entry costs on top of its content.
const ENTRY_OVERHEAD_BYTES: u64 = 256;
/// Guess at the mean size of an entry, by which the cache sizes its tables.
const ENTRY_BYTES_TYPICAL: u64 = 256 << 10;
/// Independent parts of the cache. Few, since an entry has to fit into one part.
const CACHE_SHARDS: usize = 4;

/// Why something cannot be served although it should be there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FetchError {
    /// The store did not give it. The cause is in the log.
    #[error("the store does not answer")]
    Store,
    /// The store took too long.
    #[error("the store takes too long")]
    Slow,
    /// It is not what was published. The details are in the log.
    #[error("what is stored is not what was published")]
    Corrupt,
    /// Too many requests wait already.
    #[error("too many requests wait for segments")]
    Busy,
    /// It was not encoded in time.
    #[error("not encoded yet")]
    NotYet,
}

/// Content in memory, with its strong entity-tag.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    /// All of it.
    pub(crate) bytes: Bytes,
    /// Derived from the content alone.
    pub(crate) etag: HeaderValue,
}

/// `None` when there is no such thing.
type Fetched = Result<Option<Object>, FetchError>;

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<String, Object> for ByBytes {
    fn weight(&self, key: &String, object: &Object) -> u64 {
        object.bytes.len() as u64 + key.len() as u64 + ENTRY_OVERHEAD_BYTES
    }
}

/// Limits of [`Objects`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) cache_bytes: u64,
    pub(crate) reads_max: usize,
    pub(crate) waiters_max: usize,
    pub(crate) wait: Duration,
}

/// The objects of all assets. Keys of the cache are keys of the store, or names of rendered texts.
pub(crate) struct Objects {
    store: MediaStore,
    cache: Cache<String, Object, ByBytes>,
    fetches: Flights<String, Fetched>,
    arrivals: Flights<String, Fetched>,
    reads: Semaphore,
    waiters: Semaphore,
    wait: Duration,
    demand: DemandHook,
}

impl Objects {
    pub(crate) fn new(store: MediaStore, limits: Limits, demand: DemandHook) -> Self {
        let items = usize::try_from(limits.cache_bytes / ENTRY_BYTES_TYPICAL).unwrap_or(usize::MAX).max(16);
        let options = OptionsBuilder::new()
            .shards(CACHE_SHARDS)
            .estimated_items_capacity(items)
            .weight_capacity(limits.cache_bytes)
            .build()
            .expect("both capacities are given");
        Self {
            store,
            cache: Cache::with_options(options, ByBytes, DefaultHashBuilder::default(), DefaultLifecycle::default()),
            fetches: Flights::new(),
            arrivals: Flights::new(),
            reads: Semaphore::new(limits.reads_max),
            waiters: Semaphore::new(limits.waiters_max),
            wait: limits.wait,
            demand,
        }
    }

    /// An object of the store; `None` when it is not there.
    pub(crate) async fn stored(self: &Arc<Self>, stored: &Stored) -> Fetched {
        if let Some(object) = self.cache.get(stored.key.as_str()) {
            return Ok(Some(object));
        }
        let (objects, wanted) = (Arc::clone(self), stored.clone());
        let fetch = || async move { objects.fetch(wanted).await }.boxed();
        self.fetches.join(stored.key.as_str().to_owned(), fetch).await
    }

    /// An object that is still to be encoded: waits for it, as long and as numerous as the limits allow.
    pub(crate) async fn awaited(self: &Arc<Self>, stored: &Stored) -> Result<Object, FetchError> {
        let _turn = self.waiters.try_acquire().map_err(|_| FetchError::Busy)?;
        let (objects, wanted) = (Arc::clone(self), stored.clone());
        let arrival = self.arrivals.join(stored.key.as_str().to_owned(), || objects.arrival(wanted));
        match timeout(self.wait, arrival).await {
            Ok(Ok(Some(object))) => Ok(object),
            Ok(Ok(None)) | Err(_) => Err(FetchError::NotYet),
            Ok(Err(error)) => Err(error),
        }
    }

    /// A text that follows from a presentation; `None` when it has none of this kind.
    pub(crate) async fn rendered(self: &Arc<Self>, published: &Arc<Published>, text: &Text, view: View) -> Fetched {
        let name = name_of(published, text, view);
        if let Some(object) = self.cache.get(&name) {
            return Ok(Some(object));
        }
        let (objects, published, text) = (Arc::clone(self), Arc::clone(published), text.clone());
        let render = || async move { objects.render(published, text, view).await }.boxed();
        self.fetches.join(name, render).await
    }

    /// `text` in `coding`, or as it is where that would gain nothing. `name` is its own among all texts.
    pub(crate) async fn coded(self: &Arc<Self>, name: &str, text: Object, coding: Coding) -> (Object, Coding) {
        let Some(token) = coding.token().filter(|_| text.bytes.len() >= CODED_BYTES_MIN) else {
            return (text, Coding::Identity);
        };
        let name = format!("{name}#{token}");
        if let Some(object) = self.cache.get(&name) {
            return (object, coding);
        }
        let (objects, plain, key) = (Arc::clone(self), text.bytes.clone(), name.clone());
        let encode = || async move { Ok(objects.encode(key, plain, coding).await) }.boxed();
        match self.fetches.join(name, encode).await {
            Ok(Some(object)) => (object, coding),
            _ => (text, Coding::Identity),
        }
    }

    async fn encode(&self, name: String, plain: Bytes, coding: Coding) -> Option<Object> {
        let work = move || {
            let bytes = coding.encode(&plain)?;
            Some(Object { etag: resource::etag_of(&bytes), bytes })
        };
        // Only a runtime that is shutting down refuses the work.
        let object = tokio::task::spawn_blocking(work).await.ok()??;
        self.cache.insert(name, object.clone());
        Some(object)
    }

    /// Looks again and again. Ends with the object, or by being dropped with the last request for it.
    fn arrival(self: Arc<Self>, wanted: Stored) -> BoxFuture<'static, Fetched> {
        let arrival = async move {
            let mut looks = 0u32;
            loop {
                if let (0, Standing::Planned(Some(segment))) = (looks % LOOKS_PER_TELLING, &wanted.standing) {
                    self.demand.tell(segment);
                }
                looks += 1;
                sleep(POLL_INTERVAL).await;
                match self.stored(&wanted).await {
                    Ok(None) => {}
                    done => return done,
                }
            }
        };
        arrival.boxed()
    }

    /// Reads an object whole. Failures are logged here, once for all requests that share the read.
    async fn fetch(&self, wanted: Stored) -> Fetched {
        let key = &wanted.key;
        let bytes = match timeout(READ_PATIENCE, self.read(key)).await {
            Ok(Ok(Some(bytes))) => bytes,
            Ok(Ok(None)) => return Ok(None),
            Ok(Err(error)) => {
                tracing::error!(%key, error = &error as &dyn std::error::Error, "object cannot be read");
                return Err(FetchError::Store);
            }
            Err(_) => {
                tracing::error!(%key, "object is read too slowly");
                return Err(FetchError::Slow);
            }
        };
        let etag = match wanted.standing {
            Standing::Measured { bytes: expected, .. } if expected != bytes.len() as u64 => {
                tracing::error!(%key, expected, bytes = bytes.len(), "object has another length than published");
                return Err(FetchError::Corrupt);
            }
            Standing::Measured { etag, .. } => etag,
            Standing::Committed | Standing::Planned(_) => hashed(bytes.clone()).await,
        };
        tracing::debug!(%key, bytes = bytes.len(), "object read");
        let object = Object { bytes, etag };
        self.cache.insert(key.as_str().to_owned(), object.clone());
        Ok(Some(object))
    }

    async fn read(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        let _turn = self.reads.acquire().await.expect("never closed");
        self.store.get(key).await
    }

    /// Renders off the async threads: a playlist may have thousands of lines.
    async fn render(&self, published: Arc<Published>, text: Text, view: View) -> Fetched {
        let name = name_of(&published, &text, view);
        let work = move || {
            let text = text.render(&published.presentation, view)?;
            let etag = resource::etag_of(text.as_bytes());
            Some(Object { bytes: text.into(), etag })
        };
        let Ok(object) = tokio::task::spawn_blocking(work).await else {
            tracing::error!(text = name, "text cannot be rendered");
            return Err(FetchError::Corrupt);
        };
        if let Some(object) = &object {
            self.cache.insert(name, object.clone());
        }
        Ok(object)
    }
}

/// The name of a rendered text among all objects.
pub(crate) fn name_of(published: &Published, text: &Text, view: View) -> String {
    format!("{}#{text:?}{view:?}", published.key)
}

async fn hashed(bytes: Bytes) -> HeaderValue {
    if bytes.len() <= HASH_INLINE_BYTES_MAX {
        return resource::etag_of(&bytes);
    }
    let work = {
        let bytes = bytes.clone();
        move || resource::etag_of(&bytes)
    };
    // Only a runtime that is shutting down refuses the work.
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| resource::etag_of(&bytes))
}
