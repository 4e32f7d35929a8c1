//! The init segments of a planned output: they follow from the recipe, so they are there before any segment is.

use bytes::Bytes;
use domain::{Generation, Plan, Probe, RenditionId};
use futures::{StreamExt, TryStreamExt};
use media_store::layout;
use packager::cmaf::{self, AudioConfig, CmafError};
use packager::verify;
use transcoder::HeadersRequest;

use super::{Step, chunk};
use crate::error::JobError;

/// Objects that are stored at the same time: each waits for the disk.
const PUTS_IN_FLIGHT: usize = 8;

/// Stores the init segment of every rendition of the plan.
pub(super) async fn store(step: &Step<'_>, generation: Generation, probe: &Probe, plan: &Plan) -> Result<(), JobError> {
    let (parts, asset) = (step.parts, step.job.asset);
    let video = plan.video.as_ref().map(|video| chunk::request(plan, video, probe, vec![])).transpose()?;
    let audio_channels = plan.audio.iter().map(|audio| audio.channels).collect();
    let request = HeadersRequest { recipe: plan.recipe.clone(), video, audio_channels };
    let headers = parts.engine.headers(request).await?;
    let rungs = plan.video.iter().flat_map(|video| &video.rungs);
    let mut inits = Vec::new();
    for (rung, sets) in rungs.zip(headers.video) {
        inits.push((&rung.id, cmaf::video_init(&chunk::config(plan, rung, sets))));
    }
    for (audio, config) in plan.audio.iter().zip(headers.audio) {
        let config = AudioConfig {
            sample_rate: plan.audio_timescale(),
            channels: audio.channels,
            config,
            bitrate: plan.recipe.audio_bitrate_of(audio.channels),
        };
        inits.push((&audio.id, cmaf::audio_init(&config)));
    }
    let put = |(rendition, init): (&RenditionId, Result<Vec<u8>, CmafError>)| {
        let (rendition, key) = (rendition.clone(), layout::init(asset, generation, rendition));
        async move {
            let init = init.map_err(|source| JobError::Package { rendition: rendition.clone(), index: 0, source })?;
            verify::init(&init).map_err(|source| JobError::Verify { rendition, index: 0, source })?;
            parts.store.put_once(&key, Bytes::from(init)).await?;
            Ok::<_, JobError>(())
        }
    };
    futures::stream::iter(inits).map(put).buffer_unordered(PUTS_IN_FLIGHT).try_collect().await
}
