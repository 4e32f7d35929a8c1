//! Sources of every kind, made here: what comes out is compared with what went in.

mod colors;
mod fields;
mod jumps;
mod shapes;

use std::path::Path;

use domain::{MediaTime, Resolution, Timescale};
use libtest_mimic::Trial;
use transcoder::{Picture, PicturesRequest, Shot};

use crate::setup::{Planned, all, engine, open, planned};

pub(crate) fn trials() -> Vec<Trial> {
    [colors::trials(), fields::trials(), jumps::trials(), shapes::trials()].into_iter().flatten().collect()
}

/// Pictures of a source at these times, in milliseconds, each of this size.
async fn shots(source: &Planned, times_ms: &[i64], resolution: Resolution) -> Vec<Picture> {
    let time = |ms: &i64| Shot { time: MediaTime::new(*ms, Timescale::MILLISECONDS), resolution };
    let track = source.probe.main_video().expect("a video").clone();
    let shots = times_ms.iter().map(time).collect();
    let request = PicturesRequest { track, origin: source.plan.origin, shots, only_key_frames: false };
    let pictures = engine().pictures(open(&source.path), request).expect("a session");
    let pictures = all(pictures).await.expect("pictures");
    assert_eq!(pictures.len(), times_ms.len(), "every shot gives a picture");
    pictures
}

/// Mean red, green and blue of the square of `side` pixels around a point given in percent.
fn color_at(picture: &Picture, (x, y): (u32, u32), side: u32) -> [u8; 3] {
    let Resolution { width, height } = picture.resolution;
    let (left, top) = ((width * x / 100).saturating_sub(side / 2), (height * y / 100).saturating_sub(side / 2));
    let mut sums = [0u32; 3];
    for row in top..top + side {
        for column in left..left + side {
            let at = ((row * width + column) * 3) as usize;
            for (sum, value) in sums.iter_mut().zip(&picture.rgb[at..at + 3]) {
                *sum += u32::from(*value);
            }
        }
    }
    sums.map(|sum| u8::try_from(sum / (side * side)).expect("a mean of bytes"))
}

/// Fails unless all three colours are within `tolerance`.
fn assert_color(what: &str, found: [u8; 3], expected: [u8; 3], tolerance: u8) {
    let is_near = found.iter().zip(&expected).all(|(found, expected)| found.abs_diff(*expected) <= tolerance);
    assert!(is_near, "{what}: {found:?} instead of {expected:?}");
}

async fn source(path: &Path) -> Planned {
    planned(path).await
}
