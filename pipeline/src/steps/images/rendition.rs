//! What there is to take from finished renditions: a small one costs little to decode, and of a larger one only
//! key frames are.

use std::fs::File;
use std::io::Write;

use domain::ladder::Rung;
use domain::plan::VideoPlan;
use domain::probe::VideoTrack;
use domain::{Generation, MediaTime, Plan, Probe, Span};
use media_store::layout;
use transcoder::{PicturesRequest, Shot, rendition_track};

use super::{Look, Looks, Step};
use crate::commit::blocking;
use crate::error::JobError;
use crate::images::{Album, poster_rung, preview, small_rung};

/// What there is to take of a short video whose renditions are all there.
pub(super) async fn looks(
    step: &Step<'_>,
    generation: Generation,
    plan: &Plan,
    probe: &Probe,
) -> Result<Option<Looks>, JobError> {
    let (Some(video), Some(album)) = (&plan.video, Album::new(plan)) else { return Ok(None) };
    let (Some(large), Some(small)) = (poster_rung(video), small_rung(video)) else { return Ok(None) };
    let source = probe.video.iter().find(|track| track.stream_index == video.stream_index);
    let source = source.ok_or_else(|| JobError::inconsistent("the planned video track was not probed"))?;
    let track = |rung: &Rung| track(plan, video, source, rung);
    let spans = plan.video_spans();
    let is_shown = |span: &Span, places: &[usize]| {
        let frame = |first: u64| plan.cadence.frame_rate.instant(first);
        let (from, to) = (frame(span.first), frame(span.end()));
        places.iter().any(|at| (from..to).contains(&album.shots[*at].time))
    };
    let (poster, others) = (album.places(true), album.places(false));
    let with_poster: Vec<u32> = spans.iter().filter(|span| is_shown(span, &poster)).map(|span| span.index).collect();
    let all: Vec<u32> = spans.iter().map(|span| span.index).collect();
    let request = |rung: &Rung, places: &[usize], only_key_frames: bool| PicturesRequest {
        track: track(rung),
        origin: MediaTime::zero(),
        shots: places.iter().map(|at| album.shots[*at]).collect::<Vec<Shot>>(),
        only_key_frames,
    };
    let large_file = joined(step, generation, large, &with_poster).await?;
    let small_file = joined(step, generation, small, &all).await?;
    let moving = match preview::request(plan, &track(small), MediaTime::zero()) {
        // Engines name the place of every read: they can share one.
        Some(request) => Some((small_file.try_clone()?, request)),
        None => None,
    };
    let stills = vec![
        Look { file: large_file, request: request(large, &poster, true), places: poster.clone() },
        Look { file: small_file, request: request(small, &others, false), places: others.clone() },
    ];
    Ok(Some(Looks { album, stills, moving }))
}

/// A rendition as a source. Its times are those of the output but for one frame, since libav counts from the
/// first decoding time.
fn track(plan: &Plan, video: &VideoPlan, source: &VideoTrack, rung: &Rung) -> VideoTrack {
    rendition_track(source, rung.resolution, plan.cadence.frame_rate, video.frame_count)
}

/// The init segment and these segments of a rendition as one file, which has no name that a killed worker could leave.
async fn joined(step: &Step<'_>, generation: Generation, rung: &Rung, segments: &[u32]) -> Result<File, JobError> {
    let asset = step.job.asset;
    let keys = segments.iter().map(|index| layout::segment(asset, generation, &rung.id, *index));
    let mut file = blocking(|| Ok(tempfile::tempfile()?)).await?;
    for key in std::iter::once(layout::init(asset, generation, &rung.id)).chain(keys) {
        let body = step.parts.store.get(&key).await?;
        let body = body.ok_or_else(|| JobError::inconsistent(format!("{key} is missing")))?;
        file = blocking(move || {
            file.write_all(&body)?;
            Ok(file)
        })
        .await?;
    }
    Ok(file)
}
