//! How a segment becomes durable: packaged, verified, hashed, put, and only then entered in the ledger.

use std::collections::HashMap;

use bytes::Bytes;
use catalog_store::SegmentRow;
use domain::presentation::KeyframeRange;
use domain::{AAC_FRAME_SAMPLES, Bitrate, Generation, MediaTime, RenditionId, Span, Timescale};
use media_store::layout;
use packager::cmaf::{self, AudioConfig, VideoConfig};
use packager::verify;
use sha2::{Digest, Sha256};
use transcoder::{AudioSegment, VideoSegment};

use crate::error::JobError;
use crate::metrics::SegmentKind;
use crate::steps::Step;

/// Commits the segments of one session, one after the other.
pub(crate) struct Committer<'a> {
    step: &'a Step<'a>,
    generation: Generation,
    kind: SegmentKind,
    /// Configurations whose init segment is known to be stored.
    known: HashMap<RenditionId, Vec<u8>>,
}

/// A packaged and verified segment.
pub(crate) struct Finished {
    /// The init segment that belongs to it.
    pub(crate) init: Vec<u8>,
    bytes: Bytes,
    ticks: u64,
    timescale: Timescale,
    pub(crate) sha256: String,
    keyframes: Vec<KeyframeRange>,
}

impl<'a> Committer<'a> {
    pub(crate) fn new(step: &'a Step<'a>, generation: Generation, kind: SegmentKind) -> Self {
        Self { step, generation, kind, known: HashMap::new() }
    }

    /// Commits one segment of video, whose GOPs have these lengths.
    pub(crate) async fn video(
        &mut self,
        rendition: &RenditionId,
        config: VideoConfig,
        gops: Vec<u32>,
        declared: Bitrate,
        segment: VideoSegment,
    ) -> Result<(), JobError> {
        let (span, id) = (segment.span, rendition.clone());
        tracing::debug!(rendition.id = %rendition, segment = span.index, "segment encoded");
        let finished = blocking(move || finish_video(id, &config, &gops, declared, &segment)).await?;
        self.commit(rendition, span, finished).await
    }

    /// Commits one segment of audio.
    pub(crate) async fn audio(
        &mut self,
        rendition: &RenditionId,
        config: AudioConfig,
        segment: AudioSegment,
    ) -> Result<(), JobError> {
        let (span, id) = (segment.span, rendition.clone());
        tracing::debug!(rendition.id = %rendition, segment = span.index, "segment encoded");
        let finished = blocking(move || finish_audio(id, &config, &segment)).await?;
        self.commit(rendition, span, finished).await
    }

    async fn commit(&mut self, rendition: &RenditionId, span: Span, finished: Finished) -> Result<(), JobError> {
        let (parts, job) = (self.step.parts, self.step.job);
        if self.known.get(rendition) != Some(&finished.init) {
            self.store_init(rendition, &finished.init).await?;
        }
        let size = u64::try_from(finished.bytes.len()).unwrap_or(u64::MAX);
        let media = MediaTime::new(i64::try_from(finished.ticks).unwrap_or(i64::MAX), finished.timescale);
        let key = layout::segment(job.asset, self.generation, rendition, span.index);
        parts.store.put_once(&key, finished.bytes).await?;
        let row = SegmentRow {
            asset: job.asset,
            generation: self.generation,
            rendition: rendition.clone(),
            index: span.index,
            ticks: finished.ticks,
            bytes: size,
            sha256: finished.sha256,
            keyframes: finished.keyframes,
        };
        parts.catalog.insert_segment(job, &row, parts.clock.now()).await?;
        parts.metrics.segment_committed(self.kind, size, u64::try_from(media.as_ms()).unwrap_or(0));
        tracing::debug!(rendition.id = %rendition, segment = span.index, bytes = size, "segment committed");
        Ok(())
    }

    /// Every segment of a rendition plays after one and the same init segment.
    async fn store_init(&mut self, rendition: &RenditionId, init: &[u8]) -> Result<(), JobError> {
        let (parts, asset) = (self.step.parts, self.step.job.asset);
        let key = layout::init(asset, self.generation, rendition);
        let differs = match parts.store.get(&key).await? {
            Some(stored) if stored == init => false,
            // Without a committed segment the stored one is the garbage of a killed worker.
            Some(_) => !parts.catalog.segments_of(asset, self.generation, rendition).await?.is_empty(),
            None => false,
        };
        if differs || self.known.contains_key(rendition) {
            return Err(JobError::inconsistent(format!("segments of {rendition} need different init segments")));
        }
        parts.store.put_once(&key, Bytes::copy_from_slice(init)).await?;
        self.known.insert(rendition.clone(), init.to_vec());
        Ok(())
    }
}

/// Packages and verifies a segment of video of a rendition that declares this bit rate.
pub(crate) fn finish_video(
    rendition: RenditionId,
    config: &VideoConfig,
    gops: &[u32],
    declared: Bitrate,
    segment: &VideoSegment,
) -> Result<Finished, JobError> {
    let (span, index) = (segment.span, segment.span.index);
    let package = |source| JobError::Package { rendition: rendition.clone(), index, source };
    let samples: Vec<cmaf::VideoSample<'_>> = segment
        .samples
        .iter()
        .map(|sample| cmaf::VideoSample { display: sample.display, is_idr: sample.is_idr, data: &sample.data })
        .collect();
    let init = cmaf::video_init(config).map_err(package)?;
    let packaged = cmaf::video_segment(config, span, gops, &samples).map_err(package)?;
    let check = |source| JobError::Verify { rendition: rendition.clone(), index, source };
    verify::init(&init).map_err(check)?;
    let verified =
        verify::video(&packaged.bytes, config.sets.codec(), config.frame_ticks, span, gops).map_err(check)?;
    if (verified.ticks, &verified.keyframes) != (packaged.ticks, &packaged.keyframes) {
        return Err(JobError::inconsistent(format!("segment {index} of {rendition} reads back differently")));
    }
    let size = u64::try_from(packaged.bytes.len()).unwrap_or(u64::MAX);
    verify::bitrate(size, packaged.ticks, config.timescale, declared).map_err(check)?;
    Ok(finished(init, packaged, config.timescale))
}

/// Packages and verifies a segment of audio.
pub(crate) fn finish_audio(
    rendition: RenditionId,
    config: &AudioConfig,
    segment: &AudioSegment,
) -> Result<Finished, JobError> {
    let (span, index) = (segment.span, segment.span.index);
    let package = |source| JobError::Package { rendition: rendition.clone(), index, source };
    let frames: Vec<&[u8]> = segment.frames.iter().map(Vec::as_slice).collect();
    let init = cmaf::audio_init(config).map_err(package)?;
    let packaged = cmaf::audio_segment(config, span, &frames).map_err(package)?;
    let check = |source| JobError::Verify { rendition: rendition.clone(), index, source };
    verify::init(&init).map_err(check)?;
    let verified = verify::audio(&packaged.bytes, span, config.offset_ticks).map_err(check)?;
    if verified.ticks != packaged.ticks || packaged.ticks != u64::from(span.count) * u64::from(AAC_FRAME_SAMPLES) {
        return Err(JobError::inconsistent(format!("segment {index} of {rendition} reads back differently")));
    }
    let size = u64::try_from(packaged.bytes.len()).unwrap_or(u64::MAX);
    verify::bitrate(size, packaged.ticks, config.sample_rate, config.bitrate).map_err(check)?;
    Ok(finished(init, packaged, config.sample_rate))
}

fn finished(init: Vec<u8>, packaged: cmaf::Segment, timescale: Timescale) -> Finished {
    Finished {
        init,
        sha256: sha256_hex(&packaged.bytes),
        bytes: packaged.bytes.into(),
        ticks: packaged.ticks,
        timescale,
        keyframes: packaged.keyframes,
    }
}

/// SHA-256 of an object, as the ledger holds it: 64 hexadecimal digits.
pub(crate) fn sha256_hex(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs a computation of more than a few hundred microseconds away from the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JobError> + Send + 'static,
) -> Result<T, JobError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(JobError::Panicked))
}
