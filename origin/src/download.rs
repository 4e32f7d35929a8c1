//! One file to keep: a virtual MP4 over the stored segments of a rendition and its sound.
//!
//! What is kept in memory is the header and where samples lie; samples are read from the store as they are sent.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::presentation::SegmentEntry;
use domain::{Presentation, RenditionId};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use http::HeaderValue;
use media_store::{Key, MediaStore, layout};
use packager::progressive::{self, Builder, File, Piece};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::disposition;
use crate::flights::Flights;
use crate::objects::FetchError;
use crate::resource;
use crate::weighed;

/// Changes when the same segments give another file.
const FORM: &str = "mp4-1";
/// Memory for headers, in octets: one of a film of two hours has some 4 MB.
const CACHE_BYTES: u64 = 64 << 20;
/// Guess at the mean size of one.
const ENTRY_BYTES_TYPICAL: u64 = 2 << 20;
/// Independent parts of the cache: an entry has to fit into one.
const CACHE_SHARDS: usize = 1;
/// Octets that are read of an initialization segment.
const INIT_BYTES_MAX: u64 = 1 << 20;
/// Octets that are read of a segment in the hope that its moof is within.
const HEAD_BYTES: u64 = 16 << 10;
/// Movie fragments that are read at the same time for one file.
const HEADS_IN_FLIGHT: usize = 16;
/// Files that are laid out at the same time.
const LAYOUTS_MAX: usize = 2;
/// Files that wait for that, for each that has its turn; further ones are refused.
const QUEUE_PER_TURN: usize = 8;
/// Time a file waits for others to be laid out.
const TURN_PATIENCE: Duration = Duration::from_secs(10);
/// Time for laying one out, whoever is still there to wait for it.
const LAYOUT_PATIENCE: Duration = Duration::from_secs(120);
/// Runs of samples that are read ahead of the one that is sent.
const READS_AHEAD: usize = 2;
/// Most octets of one read.
const READ_BYTES_MAX: u64 = 256 << 10;
/// Time one read may take.
const READ_PATIENCE: Duration = Duration::from_secs(20);

/// What a file is made of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// Initialization segment, and each segment with where its fragments begin, if that is known.
    tracks: Vec<Track>,
    /// Follows from what goes into it.
    pub(crate) etag: HeaderValue,
    pub(crate) media_type: &'static str,
    /// `Content-Disposition`.
    pub(crate) disposition: HeaderValue,
}

#[derive(Clone, Debug, PartialEq)]
struct Track {
    init: Key,
    segments: Vec<(Key, Vec<u64>)>,
}

/// The picture `rendition` with the default sound, or the sound `rendition` alone. `None` unless all of it is there.
pub(crate) fn plan(presentation: &Presentation, rendition: &RenditionId, is_sound: bool) -> Option<Plan> {
    let picture = presentation.video.iter().find(|one| one.id == *rendition).map(|one| (&one.id, &one.segments));
    let alone = presentation.audio.iter().find(|one| one.id == *rendition).map(|one| (&one.id, &one.segments));
    let default = presentation.audio.iter().find(|one| one.is_default).map(|one| (&one.id, &one.segments));
    let chosen: Vec<(&RenditionId, &Vec<SegmentEntry>)> = match is_sound {
        true => vec![alone?],
        false => [picture?].into_iter().chain(default).collect(),
    };
    if !presentation.is_complete() {
        return None;
    }
    let mut digest = Sha256::new();
    digest.update(FORM);
    let mut tracks = Vec::new();
    for (id, entries) in chosen {
        digest.update(format!("/{id}"));
        let (asset, generation) = (presentation.asset, presentation.generation);
        let path = format!("{id}/init.mp4");
        let init = presentation.files.iter().find(|file| file.path == path);
        digest.update(init.map_or("", |file| file.sha256.as_str()));
        let mut segments = Vec::new();
        for (index, entry) in (0u32..).zip(entries) {
            digest.update(entry.sha256.as_deref()?);
            let offsets = entry.keyframes.iter().map(|keyframe| keyframe.offset).collect();
            segments.push((layout::segment(asset, generation, id, index), offsets));
        }
        tracks.push(Track { init: layout::init(asset, generation, id), segments });
    }
    let digits: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let (media_type, ending) = if is_sound { ("audio/mp4", "m4a") } else { ("video/mp4", "mp4") };
    let name = disposition::plain(presentation.title.as_deref().unwrap_or_default(), "video");
    let disposition = disposition::attachment(&format!("{name} {rendition}.{ending}"));
    Some(Plan { tracks, etag: resource::etag(&digits)?, media_type, disposition })
}

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<String, Arc<File>> for ByBytes {
    fn weight(&self, _: &String, file: &Arc<File>) -> u64 {
        file.memory_bytes()
    }
}

/// Files that were laid out.
pub(crate) struct Downloads {
    store: MediaStore,
    cache: Cache<String, Arc<File>, ByBytes>,
    flights: Flights<String, Result<Arc<File>, FetchError>>,
    turns: Semaphore,
    queue: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Downloads {
    pub(crate) fn new(store: MediaStore) -> Self {
        Self {
            store,
            cache: weighed::cache(CACHE_BYTES, ENTRY_BYTES_TYPICAL, CACHE_SHARDS, ByBytes),
            flights: Flights::new(),
            turns: Semaphore::new(LAYOUTS_MAX),
            queue: Arc::new(Semaphore::new(LAYOUTS_MAX * (QUEUE_PER_TURN + 1))),
            tasks: TaskTracker::new(),
        }
    }

    /// The layout of a file: from memory, or from the movie fragments of all segments, read once for all who ask.
    ///
    /// Once begun it goes on when those who asked have left: a client that lost its patience finds it when it comes
    /// back.
    pub(crate) async fn file(self: &Arc<Self>, plan: &Plan) -> Result<Arc<File>, FetchError> {
        let name = String::from_utf8_lossy(plan.etag.as_bytes()).into_owned();
        if let Some(file) = self.cache.get(&name) {
            return Ok(file);
        }
        let (downloads, plan, key) = (Arc::clone(self), plan.clone(), name.clone());
        let mut is_first = false;
        let lay_out = || {
            is_first = true;
            let work = async move {
                let _place = Arc::clone(&downloads.queue).try_acquire_owned().map_err(|_| FetchError::Busy)?;
                let laid_out = timeout(LAYOUT_PATIENCE, downloads.lay_out(&plan)).await;
                let file = Arc::new(laid_out.map_err(|_| FetchError::Slow)??);
                downloads.cache.insert(key, Arc::clone(&file));
                Ok(file)
            };
            work.boxed()
        };
        let flight = self.flights.join(name, lay_out);
        if is_first {
            // A task drives it to its end, which the times and the queue bound.
            self.tasks.spawn(flight.clone().map(drop));
        }
        flight.await
    }

    async fn lay_out(&self, plan: &Plan) -> Result<File, FetchError> {
        let turn = timeout(TURN_PATIENCE, self.turns.acquire()).await;
        let _turn = turn.map_err(|_| FetchError::Busy)?.map_err(|_| FetchError::Busy)?;
        let inits = plan.tracks.iter().map(|track| self.read(&track.init, 0..INIT_BYTES_MAX));
        let inits: Vec<Bytes> = futures::future::try_join_all(inits).await?;
        let inits: Vec<&[u8]> = inits.iter().map(|init| &init[..]).collect();
        let mut builder = Builder::new(&inits).map_err(damaged)?;
        for (number, track) in plan.tracks.iter().enumerate() {
            let mut wanted: Vec<(u32, Key, u64)> = Vec::new();
            for (segment, (key, offsets)) in (0u32..).zip(&track.segments) {
                // Sound has one fragment, behind what comes first.
                let offsets = if offsets.is_empty() { &[0][..] } else { offsets };
                wanted.extend(offsets.iter().map(|offset| (segment, key.clone(), *offset)));
            }
            let read = |(segment, key, offset): (u32, Key, u64)| async move {
                self.moof(&key, offset).await.map(|(at, moof)| (segment, at, moof))
            };
            let mut moofs = futures::stream::iter(wanted).map(read).buffered(HEADS_IN_FLIGHT);
            while let Some((segment, at, moof)) = moofs.try_next().await? {
                builder.fragment(number, segment, at, &moof).map_err(damaged)?;
            }
        }
        builder.finish().map_err(damaged)
    }

    /// The first moof of a segment from `offset` on, and where it lies.
    async fn moof(&self, key: &Key, offset: u64) -> Result<(u64, Bytes), FetchError> {
        let head = self.read(key, offset..offset + HEAD_BYTES).await?;
        let place = progressive::first_moof(&head).ok_or_else(|| {
            tracing::error!(%key, offset, "segment has no movie fragment where one should be");
            FetchError::Corrupt
        })?;
        let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX);
        let begins = offset + place.start;
        if place.end <= head.len() as u64 {
            return Ok((begins, head.slice(at(place.start)..at(place.end))));
        }
        let whole = self.read(key, begins..offset + place.end).await?;
        Ok((begins, whole))
    }

    /// The octets `range` of the file, as they come from the store.
    pub(crate) fn stream(
        self: &Arc<Self>,
        plan: Arc<Plan>,
        file: Arc<File>,
        range: Range<u64>,
    ) -> BoxStream<'static, Result<Bytes, FetchError>> {
        let downloads = Arc::clone(self);
        let steps = (range.start..range.end).step_by(usize::try_from(READ_BYTES_MAX).unwrap_or(usize::MAX));
        let end = range.end;
        let pieces = steps.flat_map(move |start| {
            file.pieces(start..end.min(start + READ_BYTES_MAX))
                .map(|piece| match piece {
                    Piece::Header(range) => Wanted::Header(Bytes::copy_from_slice(&file.header()[range])),
                    Piece::Segment { track, segment, range } => Wanted::Segment { track, segment, range },
                })
                .collect::<Vec<_>>()
        });
        let reads = futures::stream::iter(pieces).map(move |wanted| {
            let (downloads, key) = (Arc::clone(&downloads), wanted.key(&plan));
            async move {
                match (wanted, key) {
                    (Wanted::Header(octets), _) => Ok(octets),
                    (Wanted::Segment { range, .. }, Some(key)) => {
                        let length = range.end - range.start;
                        let octets = downloads.read(&key, range).await?;
                        if octets.len() as u64 == length { Ok(octets) } else { Err(FetchError::Corrupt) }
                    }
                    (Wanted::Segment { .. }, None) => Err(FetchError::Corrupt),
                }
            }
        });
        reads.buffered(READS_AHEAD).boxed()
    }

    /// Octets of an object, as many of `range` as there are.
    async fn read(&self, key: &Key, range: Range<u64>) -> Result<Bytes, FetchError> {
        match timeout(READ_PATIENCE, self.store.get_range(key, range)).await {
            Ok(Ok(Some(octets))) => Ok(octets),
            Ok(Ok(None)) => {
                tracing::error!(%key, "committed object is missing");
                Err(FetchError::Corrupt)
            }
            Ok(Err(error)) => {
                tracing::error!(%key, error = &error as &dyn std::error::Error, "object cannot be read");
                Err(FetchError::Store)
            }
            Err(_) => Err(FetchError::Slow),
        }
    }
}

/// A piece of the file, on its way.
enum Wanted {
    Header(Bytes),
    Segment { track: usize, segment: u32, range: Range<u64> },
}

impl Wanted {
    fn key(&self, plan: &Plan) -> Option<Key> {
        let Self::Segment { track, segment, .. } = self else { return None };
        let segments = &plan.tracks.get(*track)?.segments;
        segments.get(usize::try_from(*segment).ok()?).map(|(key, _)| key.clone())
    }
}

fn damaged(error: progressive::ProgressiveError) -> FetchError {
    tracing::error!(error = &error as &dyn std::error::Error, "segments do not make a file");
    FetchError::Corrupt
}

#[cfg(test)]
mod tests {
    use domain::{AssetId, Generation};
    use media_store::StoreConfig;

    use super::*;

    /// A store without objects, and a file of one track that would be in it.
    async fn stage() -> (Arc<Downloads>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}/media", folder.path().display());
        let scratch = folder.path().join("scratch");
        let config = StoreConfig { url, access_key: None, secret_key: None, scratch };
        let store = MediaStore::open(config).await.unwrap();
        (Arc::new(Downloads::new(store)), folder)
    }

    fn plan(number: usize) -> Plan {
        let id = RenditionId::new("720p").unwrap();
        let init = layout::init(AssetId::from_u128(1), Generation(1), &id);
        let etag = HeaderValue::from_str(&format!("\"{number}\"")).unwrap();
        let disposition = HeaderValue::from_static("attachment");
        Plan { tracks: vec![Track { init, segments: vec![] }], etag, media_type: "video/mp4", disposition }
    }

    fn places(downloads: &Downloads) -> usize {
        LAYOUTS_MAX * (QUEUE_PER_TURN + 1) - downloads.queue.available_permits()
    }

    #[tokio::test]
    async fn a_layout_goes_on_when_the_last_who_waited_has_left() {
        let (downloads, _folder) = stage().await;
        let turns = downloads.turns.acquire_many(2).await.unwrap();
        let wanted = plan(1);
        let mut first = Box::pin(downloads.file(&wanted));
        assert!(futures::poll!(&mut first).is_pending());
        tokio::task::yield_now().await;
        drop(first);
        assert_eq!(places(&downloads), 1, "it waits for its turn without anybody");
        let mut second = Box::pin(downloads.file(&wanted));
        assert!(futures::poll!(&mut second).is_pending());
        tokio::task::yield_now().await;
        assert_eq!(places(&downloads), 1, "the second waits for the same");
        drop(turns);
        assert_eq!(second.await.unwrap_err(), FetchError::Corrupt, "there is no such object");
        assert_eq!(places(&downloads), 0);
        // What failed is tried again by whoever asks next.
        assert_eq!(downloads.file(&wanted).await.unwrap_err(), FetchError::Corrupt);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_waited_for_so_long_and_by_so_many() {
        let (downloads, _folder) = stage().await;
        let turns = downloads.turns.acquire_many(2).await.unwrap();
        let begun = tokio::time::Instant::now();
        assert_eq!(downloads.file(&plan(0)).await.unwrap_err(), FetchError::Busy);
        assert_eq!(begun.elapsed(), TURN_PATIENCE);
        let queue = LAYOUTS_MAX * (QUEUE_PER_TURN + 1);
        let plans: Vec<Plan> = (0..=queue).map(plan).collect();
        let waiting = plans[..queue].iter().map(|plan| downloads.file(plan));
        let mut waiting = Box::pin(futures::future::join_all(waiting));
        assert!(futures::poll!(&mut waiting).is_pending());
        assert_eq!(places(&downloads), queue);
        let begun = tokio::time::Instant::now();
        assert_eq!(downloads.file(&plans[queue]).await.unwrap_err(), FetchError::Busy);
        assert!(begun.elapsed() < Duration::from_secs(1), "it is refused at once");
        drop(turns);
        let ends: Vec<_> = waiting.await.into_iter().map(Result::unwrap_err).collect();
        assert!(
            ends.iter().all(|end| matches!(end, FetchError::Corrupt | FetchError::Busy | FetchError::Slow)),
            "{ends:?}"
        );
        assert_eq!(places(&downloads), 0);
    }
}
