//! An animated picture of a few moments.

use domain::FailureCode;

use super::decode;
use super::look;
use super::outlet::Outlet;
use super::pictures::Reel;
use super::priority;
use super::{Source, Stop};
use crate::PreviewRequest;
use crate::av::{AnimatedWebp, AvError, Scaler};
use crate::wire::{Kind, Writer};

/// Encodes the scenes, one after the other, and sends the whole file.
pub(crate) fn make(source: &Source, request: &PreviewRequest, outlet: &Outlet) -> Result<(), Stop> {
    priority::step_back(priority::STEP);
    let mut encoder = AnimatedWebp::open(request.resolution).map_err(|error| match error {
        AvError::ENCODER_NOT_FOUND => Stop::refused(FailureCode::Unsupported, "this FFmpeg has no libwebp_anim"),
        other => broken(other),
    })?;
    let track = decode::Pictures::open(source, &request.track, request.resolution, outlet)?;
    let mut reel = Reel::new(track, request.origin)?;
    let mut scaler = Scaler::to_rgb32(request.resolution, look::is_bt709(&request.track));
    let mut shown_ms = 0;
    for scene in &request.scenes {
        reel.wind(scene.as_ms())?;
        // Where the scene could not be reached exactly, it begins where the reel came to rest: no jump.
        let Some(begin_ms) = reel.position_ms() else { continue };
        for frame in 0..request.frames_per_scene {
            reel.wind(begin_ms.saturating_add(i64::from(frame) * i64::from(request.frame_ms)))?;
            let Some(picture) = reel.held() else { continue };
            encoder.send(&mut scaler.scale(picture)?, shown_ms).map_err(broken)?;
            shown_ms += i64::from(request.frame_ms);
            outlet.step()?;
        }
    }
    if shown_ms == 0 {
        return Err(Stop::refused(FailureCode::Damaged, "not a single picture of the file can be decoded"));
    }
    let file = encoder.finish().map_err(broken)?;
    if file.len() > Kind::Preview.payload_bytes_max() {
        return Err(Stop::refused(FailureCode::LimitExceeded, "its preview is too large"));
    }
    let mut writer = Writer::new(Kind::Preview);
    writer.raw(&file);
    Ok(outlet.send(writer)?)
}

/// A failure of the encoder is never the source's fault.
fn broken(error: AvError) -> Stop {
    Stop::Broken(format!("the encoder of the preview failed: {error}"))
}
