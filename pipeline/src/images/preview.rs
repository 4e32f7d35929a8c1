//! Which moments of a video its animated preview shows.

use domain::probe::VideoTrack;
use domain::{MediaTime, Plan, Timescale};
use transcoder::PreviewRequest;

use super::shrunk;

/// Moments of a long video.
const SCENES: u32 = 6;

/// Frames of each moment.
const FRAMES_PER_SCENE: u32 = 6;

/// How long each frame is shown.
const FRAME_MS: u32 = 125;

/// Short side of the picture.
const SHORT_SIDE: u32 = 180;

/// File name of the preview.
pub(crate) const FILE: &str = "preview.webp";

/// What to ask for of a track whose time zero is `origin`; `None` for a still.
pub(crate) fn request(plan: &Plan, track: &VideoTrack, origin: MediaTime) -> Option<PreviewRequest> {
    let video = plan.video.as_ref()?;
    let (scenes, frames_per_scene) = moments(plan.cadence.frame_rate.instant(video.frame_count));
    let request = PreviewRequest {
        track: track.clone(),
        origin,
        resolution: shrunk(video.rungs.last()?.resolution, SHORT_SIDE),
        scenes,
        frames_per_scene,
        frame_ms: FRAME_MS,
    };
    (video.frame_count > 1 && frames_per_scene > 1).then_some(request)
}

/// Moments in the middle of equal parts of a video, or the beginning of a short one, and how many frames of each.
fn moments(length: MediaTime) -> (Vec<MediaTime>, u32) {
    let length_ms = length.as_ms();
    let ms = |ticks: i64| MediaTime::new(ticks, Timescale::MILLISECONDS);
    let (frames_max, frame_ms) = (SCENES * FRAMES_PER_SCENE, i64::from(FRAME_MS));
    // Below this the moments would nearly touch.
    let is_long = length_ms > 2 * frame_ms * i64::from(frames_max);
    if is_long {
        let scenes = i64::from(SCENES);
        ((0..scenes).map(|scene| ms(length_ms * (2 * scene + 1) / (2 * scenes))).collect(), FRAMES_PER_SCENE)
    } else {
        let frames = u32::try_from(length_ms / frame_ms).unwrap_or(0).min(frames_max);
        (vec![ms(0)], frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_video_is_shown_in_six_moments_and_a_short_one_from_its_beginning() {
        let check = |length_ms: i64, scenes_ms: &[i64], frames: u32| {
            let (found, per_scene) = moments(MediaTime::new(length_ms, Timescale::MILLISECONDS));
            let found: Vec<i64> = found.into_iter().map(MediaTime::as_ms).collect();
            assert_eq!((found.as_slice(), per_scene), (scenes_ms, frames), "{length_ms}");
        };
        check(60_000, &[5000, 15_000, 25_000, 35_000, 45_000, 55_000], 6);
        check(9000, &[0], 36);
        check(3000, &[0], 24);
        check(100, &[0], 0);
    }
}
