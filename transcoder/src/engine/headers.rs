//! What init segments are made of: encoders are opened and tell their parameter sets, nothing is encoded.

use super::outlet::Outlet;
use super::{Stop, chunk, units};
use crate::HeadersRequest;
use crate::av::{AacEncoder, AvError, VideoEncoder};
use crate::output::Headers;
use crate::wire::Kind;

/// Opens an encoder per rendition and sends what they tell.
pub(crate) fn tell(request: &HeadersRequest, outlet: &Outlet) -> Result<(), Stop> {
    let broken = |error: AvError| Stop::Broken(format!("the encoder failed: {error}"));
    let mut headers = Headers::default();
    if let Some(video) = &request.video {
        for settings in chunk::settings(video) {
            let encoder = VideoEncoder::open(&settings).map_err(broken)?;
            outlet.step()?;
            let sets = units::parameter_sets(settings.codec, encoder.headers());
            headers.video.push(sets.ok_or_else(|| Stop::Broken("the encoder gave no parameter sets".into()))?);
        }
    }
    for channels in &request.audio_channels {
        let recipe = &request.recipe;
        let bitrate = recipe.audio_bitrate_of(*channels);
        let encoder = AacEncoder::open(recipe.audio_sample_rate, *channels, bitrate).map_err(broken)?;
        headers.audio.push(encoder.config().to_vec());
    }
    Ok(outlet.json(Kind::Headers, &headers)?)
}
