//! Objects and rendered texts, from the fastest tier that has them: memory, local files, a bucket.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::HeaderValue;
use media_store::{Key, MediaStore, StoreError};
use packager::hls::View;
use quick_cache::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::arrivals::Arrivals;
use crate::body::Content;
use crate::coding::Coding;
use crate::demand::DemandHook;
use crate::files::Buffers;
use crate::flights::Flights;
use crate::library::Published;
use crate::memory::{Memory, Name, Object};
use crate::policy::Tier;
use crate::remote::{BLOCK_BYTES, Remote, Source};
use crate::resource::{self, Standing, Stored, Text};

/// Looks after which the hook is told again that somebody still waits.
const LOOKS_PER_TELLING: u32 = 40;
/// Time a read may take, with the wait for its turn.
const READ_PATIENCE: Duration = Duration::from_secs(20);
/// Texts shorter than this are sent as they are.
const CODED_BYTES_MIN: usize = 256;
/// Content longer than this is hashed off the async threads.
const HASH_INLINE_BYTES_MAX: usize = 64 << 10;
/// How long an object that should be there is known to be missing before it is looked for again.
const MISSING_FOR: Duration = Duration::from_secs(2);
/// Blocks of one object that are fetched before anybody asks for them.
const WARM_BLOCKS_MAX: usize = 8;
/// Objects that are known to be missing.
const MISSING_MAX: usize = 4096;

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
    /// The origin behind an edge did not give it, or not all of it.
    #[error("the upstream did not give all of it")]
    Upstream,
}

/// `None` when there is no such thing.
type Fetched = Result<Option<Arc<Object>>, FetchError>;

/// Limits of [`Objects`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) cache_bytes: u64,
    pub(crate) reads_max: usize,
    pub(crate) waiters_max: usize,
    pub(crate) wait: Duration,
}

/// The objects of all assets.
pub(crate) struct Objects {
    store: MediaStore,
    memory: Arc<Memory>,
    buffers: Arc<Buffers>,
    remote: Arc<Remote>,
    missing: Cache<String, Instant>,
    fetches: Flights<Name, Fetched>,
    arriving: Flights<String, Fetched>,
    pub(crate) arrivals: Arrivals,
    reads: Semaphore,
    /// One for each processor, for the work on texts.
    processors: Arc<Semaphore>,
    waiters: Semaphore,
    wait: Duration,
    demand: DemandHook,
}

impl Objects {
    pub(crate) fn new(store: MediaStore, limits: Limits, demand: DemandHook) -> Self {
        let memory = Arc::new(Memory::new(limits.cache_bytes));
        Self {
            remote: Arc::new(Remote::new(store.clone(), Arc::clone(&memory), limits.reads_max)),
            store,
            memory,
            buffers: Arc::new(Buffers::new()),
            missing: Cache::new(MISSING_MAX),
            fetches: Flights::new(),
            arriving: Flights::new(),
            arrivals: Arrivals::default(),
            reads: Semaphore::new(limits.reads_max),
            processors: Arc::new(Semaphore::new(available_parallelism().map_or(1, NonZeroUsize::get))),
            waiters: Semaphore::new(limits.waiters_max),
            wait: limits.wait,
            demand,
        }
    }

    /// The content of a measured object of so many octets; `None` when it is not there. What is asked for a second
    /// time is taken into memory, as far as it fits.
    pub(crate) async fn measured(self: &Arc<Self>, stored: &Stored, bytes: u64) -> Result<Option<Content>, FetchError> {
        let name = Name::whole(stored.key.as_str());
        if let Some(object) = self.memory.get(&name) {
            return Ok(Some(Content::Memory(object)));
        }
        if self.is_missing(&stored.key) {
            return Ok(None);
        }
        if !self.store.is_folder() {
            let source = Source { key: stored.key.clone(), name: stored.key.as_str().into(), bytes };
            return Ok(Some(Content::Blocks(Arc::clone(&self.remote), source, None)));
        }
        if self.memory.takes(bytes) && self.memory.is_second_use(&name) {
            return Ok(self.stored(stored).await?.map(Content::Memory));
        }
        let file = match timeout(READ_PATIENCE, self.store.open_object(&stored.key)).await {
            Ok(Ok(file)) => file,
            Ok(Err(error)) => return Err(unread(&stored.key, &error)),
            Err(_) => return Err(FetchError::Slow),
        };
        match file {
            Some(file) if file.bytes() != bytes => {
                tracing::error!(key = %stored.key, expected = bytes, bytes = file.bytes(), "object has another length than published");
                Err(FetchError::Corrupt)
            }
            Some(file) => Ok(Some(Content::File(file, Arc::clone(&self.buffers)))),
            None => Ok(None),
        }
    }

    /// Makes sure that the octet at `offset`, with which the answer begins, can be sent, as far as that is worth
    /// waiting for.
    pub(crate) async fn begin(&self, content: &mut Content, offset: u64) -> Result<(), FetchError> {
        if let Content::Blocks(remote, source, begun) = content {
            *begun = remote.begin(source, offset).await?;
        }
        Ok(())
    }

    /// Whether an answer that takes its octets from there may be given again without looking.
    pub(crate) fn stays(&self, content: &Content) -> bool {
        match content {
            Content::None | Content::Memory(_) | Content::Blocks(..) => true,
            // The next use is to bring it into memory, if it fits.
            Content::File(file, _) => !self.memory.takes(file.bytes()),
            Content::Download(..) | Content::Growing(_) => false,
        }
    }

    /// As [`Objects::stored`], and where it was.
    pub(crate) async fn stored_in(
        self: &Arc<Self>,
        stored: &Stored,
    ) -> Result<Option<(Arc<Object>, Tier)>, FetchError> {
        if let Some(object) = self.memory.get(&Name::whole(stored.key.as_str())) {
            return Ok(Some((object, Tier::Memory)));
        }
        let tier = if self.store.is_folder() { Tier::Disk } else { Tier::Bucket };
        Ok(self.stored(stored).await?.map(|object| (object, tier)))
    }

    /// An object as a whole, through memory; `None` when it is not there.
    pub(crate) async fn stored(self: &Arc<Self>, stored: &Stored) -> Fetched {
        let name = Name::whole(stored.key.as_str());
        if let Some(object) = self.memory.get(&name) {
            return Ok(Some(object));
        }
        let (objects, wanted) = (Arc::clone(self), stored.clone());
        let fetch = || async move { objects.fetch(wanted).await }.boxed();
        self.fetches.join(name, fetch).await
    }

    /// Takes an object, or the blocks of it that `range` lies in, into memory before anybody asks for it, as far as
    /// there is room.
    pub(crate) async fn warm(self: &Arc<Self>, stored: &Stored, range: Option<Range<u64>>) {
        let Standing::Measured { bytes, .. } = stored.standing else { return };
        if self.store.is_folder() {
            if self.memory.takes(bytes) {
                // A failure is in the log, and told to whoever asks.
                let _ = self.stored(stored).await;
            }
            return;
        }
        let source = Source { key: stored.key.clone(), name: stored.key.as_str().into(), bytes };
        let range = range.map_or(0..bytes, |range| range.start.min(bytes)..range.end.min(bytes));
        let blocks = range.start / BLOCK_BYTES..range.end.div_ceil(BLOCK_BYTES);
        blocks.take(WARM_BLOCKS_MAX).for_each(|block| self.remote.warm(&source, block * BLOCK_BYTES));
    }

    /// Whether an object that should be there was found missing a moment ago.
    pub(crate) fn is_missing(&self, key: &Key) -> bool {
        self.missing.get(key.as_str()).is_some_and(|since| since.elapsed() < MISSING_FOR)
    }

    /// Remembers that an object is missing although it should be there.
    pub(crate) fn set_missing(&self, key: &Key) {
        self.missing.insert(key.as_str().to_owned(), Instant::now());
    }

    /// An object was put by this very process.
    pub(crate) fn put(&self, key: &Key) {
        self.missing.remove(key.as_str());
        self.arrivals.put(key.as_str());
    }

    /// An object that is still to be encoded: waits for it, as long and as numerous as the limits allow.
    pub(crate) async fn awaited(self: &Arc<Self>, stored: &Stored) -> Result<Arc<Object>, FetchError> {
        let _turn = self.waiters.try_acquire().map_err(|_| FetchError::Busy)?;
        let (objects, wanted) = (Arc::clone(self), stored.clone());
        let arrival = self.arriving.join(stored.key.as_str().to_owned(), || objects.arrival(wanted));
        match timeout(self.wait, arrival).await {
            Ok(Ok(Some(object))) => Ok(object),
            Ok(Ok(None)) | Err(_) => Err(FetchError::NotYet),
            Ok(Err(error)) => Err(error),
        }
    }

    /// A text that follows from a presentation; `None` when it has none of this kind.
    pub(crate) async fn rendered(
        self: &Arc<Self>,
        published: &Arc<Published>,
        text: &Text,
        view: View,
    ) -> Result<Option<(Arc<Object>, Tier)>, FetchError> {
        let name = Name::whole(name_of(published, text, view));
        if let Some(object) = self.memory.get(&name) {
            return Ok(Some((object, Tier::Memory)));
        }
        let (objects, published, text, of) = (Arc::clone(self), Arc::clone(published), text.clone(), name.clone());
        let render = || async move { objects.render(of, published, text, view).await }.boxed();
        let tier = if is_kept(view) { Tier::Rendered } else { Tier::RenderedOnce };
        Ok(self.fetches.join(name, render).await?.map(|object| (object, tier)))
    }

    /// `text` in `coding`, or as it is where that would gain nothing. `name` is its own among all texts; what is made
    /// of it is kept in memory if `is_kept`.
    pub(crate) async fn coded(
        self: &Arc<Self>,
        name: &str,
        text: Arc<Object>,
        coding: Coding,
        is_kept: bool,
    ) -> (Arc<Object>, Coding) {
        let Some(token) = coding.token().filter(|_| text.bytes.len() >= CODED_BYTES_MIN) else {
            return (text, Coding::Identity);
        };
        let name = Name::whole(format!("{name}#{token}"));
        if let Some(object) = self.memory.get(&name) {
            return (object, coding);
        }
        let (objects, plain, key) = (Arc::clone(self), text.bytes.clone(), is_kept.then(|| name.clone()));
        let encode = || async move { Ok(objects.encode(key, plain, coding).await) }.boxed();
        match self.fetches.join(name, encode).await {
            Ok(Some(object)) => (object, coding),
            _ => (text, Coding::Identity),
        }
    }

    /// Codes a text, and keeps it if it has a name.
    async fn encode(&self, name: Option<Name>, plain: Bytes, coding: Coding) -> Option<Arc<Object>> {
        let turn = self.processor().await?;
        let work = move || {
            let _turn = turn;
            let bytes = coding.encode(&plain)?;
            Some(Arc::new(Object { etag: resource::etag_of(&bytes), bytes }))
        };
        // Only a runtime that is shutting down refuses the work.
        let object = tokio::task::spawn_blocking(work).await.ok()??;
        if let Some(name) = name {
            self.memory.keep(name, &object);
        }
        Some(object)
    }

    /// Looks again and again. Ends with the object, or by being dropped with the last request for it.
    fn arrival(self: Arc<Self>, wanted: Stored) -> BoxFuture<'static, Fetched> {
        let arrival = async move {
            let wait = self.arrivals.wait_for(wanted.key.as_str());
            let mut looks = 0u32;
            loop {
                if let (0, Standing::Planned(Some(segment))) = (looks % LOOKS_PER_TELLING, &wanted.standing) {
                    self.demand.tell(segment);
                }
                looks += 1;
                wait.for_a_while().await;
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
            Ok(Err(error)) => return Err(unread(key, &error)),
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
        let object = Arc::new(Object { bytes, etag });
        self.memory.keep(Name::whole(key.as_str()), &object);
        Ok(Some(object))
    }

    async fn read(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        let _turn = self.reads.acquire().await.expect("never closed");
        self.store.get(key).await
    }

    /// A turn for work on a text. It belongs to the work, which goes on when its client has left.
    async fn processor(&self) -> Option<OwnedSemaphorePermit> {
        timeout(READ_PATIENCE, Arc::clone(&self.processors).acquire_owned()).await.ok()?.ok()
    }

    /// Renders off the async threads: a playlist may have thousands of lines.
    async fn render(&self, name: Name, published: Arc<Published>, text: Text, view: View) -> Fetched {
        let turn = self.processor().await.ok_or(FetchError::Busy)?;
        let work = {
            let text = text.clone();
            move || {
                let _turn = turn;
                let text = text.render(&published.presentation, view)?;
                let etag = resource::etag_of(text.as_bytes());
                Some(Arc::new(Object { bytes: text.into(), etag }))
            }
        };
        let Ok(object) = tokio::task::spawn_blocking(work).await else {
            tracing::error!(?text, "text cannot be rendered");
            return Err(FetchError::Corrupt);
        };
        if let Some(object) = object.as_ref().filter(|_| is_kept(view)) {
            self.memory.keep(name, object);
        }
        Ok(object)
    }
}

/// Whether texts that show this are kept in memory: there are as many clips as anybody likes to ask for.
pub(crate) fn is_kept(view: View) -> bool {
    view.clip.is_none()
}

/// The name of a rendered text among all objects.
pub(crate) fn name_of(published: &Published, text: &Text, view: View) -> String {
    format!("{}#{text:?}{view:?}", published.key)
}

fn unread(key: &Key, error: &StoreError) -> FetchError {
    tracing::error!(%key, error = error as &dyn std::error::Error, "object cannot be read");
    FetchError::Store
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
