//! The init segments of a planned output: they follow from the recipe, or from the source's own parameter
//! sets where its pictures are shown as they are, so they are there before any segment is.

use bytes::Bytes;
use domain::{Generation, ParameterSets, Plan, Probe, RenditionId};
use futures::{StreamExt, TryStreamExt};
use media_store::layout;
use packager::cmaf::{self, CmafError};
use packager::verify;
use transcoder::{ChunkRequest, HeadersRequest};

use super::{Step, audio, chunk};
use crate::error::JobError;

/// Objects that are stored at the same time: each waits for the disk.
const PUTS_IN_FLIGHT: usize = 8;

/// Stores the init segment of every rendition of the plan.
pub(super) async fn store(step: &Step<'_>, generation: Generation, probe: &Probe, plan: &Plan) -> Result<(), JobError> {
    let (parts, asset) = (step.parts, step.job.asset);
    let video =
        plan.video.as_ref().map(|video| chunk::request(plan, (video, &video.rungs), probe, vec![])).transpose()?;
    // Only what is encoded follows from the recipe.
    let encoded = plan.video.as_ref().map_or(0, |video| video.encoded_count());
    let video = video.filter(|_| encoded > 0).map(|request| {
        let rungs = request.rungs.into_iter().take(encoded).collect();
        ChunkRequest { rungs, ..request }
    });
    let encoded = plan.audio.iter().filter(|audio| audio.copied.is_none());
    let audio_channels = encoded.map(|audio| audio.channels).collect();
    let request = HeadersRequest { recipe: plan.recipe.clone(), video, audio_channels };
    let headers = parts.engine.headers(request).await?;
    let sets = headers.video.into_iter().chain(copied(probe, plan));
    let rungs = plan.video.iter().flat_map(|video| &video.rungs);
    let mut inits = Vec::new();
    for (rung, sets) in rungs.zip(sets) {
        inits.push((&rung.id, cmaf::video_init(&chunk::config(plan, rung, sets))));
    }
    let mut made = headers.audio.into_iter();
    for rendition in &plan.audio {
        let own = rendition.copied.as_ref().and(audio::track(rendition, probe)).and_then(|track| track.aac.as_ref());
        let Some(config) = own.map(|aac| aac.config.clone()).or_else(|| made.next()) else { continue };
        inits.push((&rendition.id, cmaf::audio_init(&audio::config(plan, rendition, config))));
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

/// True unless the source's own pictures are to be shown and their parameter sets forbid it.
pub(super) fn are_possible(probe: &Probe, plan: &Plan) -> bool {
    let rung = plan.video.as_ref().and_then(|video| video.copied_rung());
    let Some((rung, sets)) = rung.zip(copied(probe, plan)) else { return true };
    cmaf::video_init(&chunk::config(plan, rung, sets)).is_ok()
}

/// The parameter sets of the source's own pictures, if these are to be shown.
fn copied(probe: &Probe, plan: &Plan) -> Option<ParameterSets> {
    let video = plan.video.as_ref().filter(|video| video.copied.is_some())?;
    let track = probe.video.iter().find(|track| track.stream_index == video.stream_index)?;
    let avc = track.avc.as_ref()?;
    Some(ParameterSets::H264 { sps: avc.sps.clone(), pps: avc.pps.clone() })
}
