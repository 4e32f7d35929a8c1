//! Pictures that change their shape in the middle of a source.

use std::fs;

use domain::Resolution;
use fixtures::media;
use libtest_mimic::Trial;

use super::{assert_color, color_at, shots, source};
use crate::setup::trial;

const BLACK: [u8; 3] = [0, 0, 0];
const ORANGE: [u8; 3] = [255, 165, 0];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_shape_that_changes_in_the_middle_is_letterboxed", a_changed_shape_is_letterboxed),
        trial("a_tiny_transport_stream_plays", a_tiny_transport_stream_plays),
        trial("a_size_that_changes_without_the_aspect_fills_the_picture", a_changed_size_fills_the_picture),
    ]
}

/// Three seconds of orange, in a transport stream.
fn orange(size: &str) -> Vec<u8> {
    let picture = format!("color=c=orange:size={size}:rate=25:duration=3");
    let args =
        ["-f", "lavfi", "-i", &picture, "-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"];
    fs::read(media::made("ts", &args)).expect("a clip")
}

async fn joined(first: &str, second: &str, test: impl AsyncFn(&crate::setup::Planned)) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("joined.ts");
    fs::write(&path, [orange(first), orange(second)].concat()).expect("room");
    test(&source(&path).await).await;
}

async fn a_changed_shape_is_letterboxed() {
    joined("320x240", "320x180", async |source| {
        let pictures = shots(source, &[1000, 5000], Resolution { width: 320, height: 240 }).await;
        assert_color("the first part", color_at(&pictures[0], (50, 5), 4), ORANGE, 12);
        assert_color("above the second part", color_at(&pictures[1], (50, 5), 4), BLACK, 12);
        assert_color("below the second part", color_at(&pictures[1], (50, 95), 4), BLACK, 12);
        assert_color("the second part", color_at(&pictures[1], (5, 50), 4), ORANGE, 12);
        let segments = source.encode(source.chunk(|_| true)).await.expect("segments");
        let frames: u32 = segments.iter().filter(|segment| segment.rung == 0).map(|segment| segment.span.count).sum();
        assert_eq!(frames, 150);
    })
    .await;
    joined("320x180", "240x320", async |source| {
        let picture = shots(source, &[5000], Resolution { width: 320, height: 180 }).await.remove(0);
        assert_color("beside the second part", color_at(&picture, (5, 50), 4), BLACK, 12);
        assert_color("the second part", color_at(&picture, (50, 5), 4), ORANGE, 12);
    })
    .await;
}

async fn a_changed_size_fills_the_picture() {
    joined("320x180", "640x360", async |source| {
        let picture = shots(source, &[5000], Resolution { width: 320, height: 180 }).await.remove(0);
        assert_color("a corner", color_at(&picture, (4, 4), 4), ORANGE, 12);
    })
    .await;
}

/// All of it fits into one read.
async fn a_tiny_transport_stream_plays() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tiny.ts");
    fs::write(&path, orange("320x180")).expect("room");
    let source = source(&path).await;
    assert_eq!(source.probe.video[0].frame_count, 75);
}
