//! Renditions in other codecs than H.264, beside the same ones in H.264.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use domain::{Codec, ExtraCodec, Generation, JobKind, Presentation, Recipe};
use fixtures::media::{self, ClipSpec, clip};
use media_store::layout;
use packager::hls;
use pipeline::audit::{Options, audit};

use crate::Case;
use crate::rig::{Rig, run};

pub(crate) const CASES: &[Case] = &[
    ("every_codec_has_the_same_frames_on_the_same_boundaries", || run(all_codecs())),
    ("other_codecs_keep_to_the_keyframes_of_a_copied_source", || run(beside_a_copy())),
    ("a_codec_that_fails_is_left_out_and_the_rest_is_shown", || run(without_one())),
];

fn recipe() -> Recipe {
    let extra = |codec, preset: &str| ExtraCodec { codec, preset: preset.into(), crf: 40 };
    Recipe {
        preset: "ultrafast".into(),
        passthrough: false,
        extra_codecs: vec![extra(Codec::Hevc, "ultrafast"), extra(Codec::Av1, "12")],
        ..Recipe::default()
    }
}

async fn all_codecs() -> anyhow::Result<()> {
    let source = clip(&ClipSpec { seconds: 9.5, width: 640, height: 360, ..ClipSpec::default() });
    let rig = Rig::with(recipe()).await?;
    let (asset, plan, presentation) = rig.ready(&source).await?;
    let names: Vec<&str> = presentation.video.iter().map(|video| video.id.as_str()).collect();
    ensure!(names == ["240p", "360p", "240p-hevc", "360p-hevc", "240p-av1", "360p-av1"], "{names:?}");
    let planned = Presentation::planned(asset.id, asset.playback, Generation(1), &plan);
    ensure!(planned.video.len() == 2, "a player never waits for a codec that is made last");
    let frames = plan.video.as_ref().context("a picture")?.frame_count;
    let mut color = None;
    for video in &presentation.video {
        let ticks = |segments: &[domain::presentation::SegmentEntry]| {
            segments.iter().map(|one| (one.ticks, one.keyframes.len())).collect::<Vec<_>>()
        };
        ensure!(ticks(&video.segments) == ticks(&presentation.video[0].segments), "{}: other boundaries", video.id);
        let entry = match video.id.as_str() {
            name if name.ends_with("hevc") => "hvc1",
            name if name.ends_with("av1") => "av01",
            _ => "avc1",
        };
        ensure!(video.codecs.starts_with(entry), "{}: {}", video.id, video.codecs);
        let mut whole = object(&rig, &layout::init(asset.id, Generation(1), &video.id)).await?;
        for index in 0..u32::try_from(video.segments.len())? {
            whole.extend(object(&rig, &layout::segment(asset.id, Generation(1), &video.id, index)).await?);
        }
        let file = rig.dir.path().join(format!("{}.mp4", video.id));
        std::fs::write(&file, whole)?;
        let found = decoded(&file)?;
        ensure!((found.0.as_str(), found.2) == (entry, frames), "{}: {found:?}", video.id);
        ensure!(*color.get_or_insert(found.1.clone()) == found.1, "{}: {found:?}", video.id);
    }
    let playlist = hls::multivariant(&presentation, "", hls::View::default());
    let first = playlist.lines().find(|line| line.starts_with("#EXT-X-STREAM-INF")).context("a variant")?;
    ensure!(first.contains("avc1."), "{playlist}");
    // What the ledger says is what the objects are, and what encoding again gives.
    let report = audit(&rig.parts, asset.id, Options { reencode: 64 }, |_| {}).await?;
    ensure!(report.findings.is_empty() && report.reencoded > 20, "{report:?}");
    Ok(())
}

async fn object(rig: &Rig, key: &media_store::Key) -> anyhow::Result<Vec<u8>> {
    Ok(rig.parts.store.get(key).await?.with_context(|| format!("{key} is missing"))?.to_vec())
}

/// Sample entry, colour and number of pictures, by a program that is not ours; what it complains of is an error.
#[expect(clippy::disallowed_methods, reason = "the result is judged by a program that is not ours")]
fn decoded(file: &Path) -> anyhow::Result<(String, String, u64)> {
    let output = Command::new("ffprobe")
        .args(["-v", "warning", "-count_frames", "-select_streams", "v:0", "-of", "csv=p=0"])
        .args(["-show_entries", "stream=codec_tag_string,color_space,nb_read_frames"])
        .arg(file)
        .output()?;
    ensure!(output.stderr.is_empty(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let mut fields = text.trim().split(',');
    let mut next = || fields.next().map(str::to_owned).context("a field");
    Ok((next()?, next()?, next()?.parse()?))
}

async fn beside_a_copy() -> anyhow::Result<()> {
    let video_args = media::UNEVEN_GOPS.to_vec();
    let source = clip(&ClipSpec { seconds: 11.0, width: 320, height: 180, video_args, ..ClipSpec::default() });
    let rig = Rig::with(Recipe { passthrough: true, ..recipe() }).await?;
    let (_, plan, presentation) = rig.ready(&source).await?;
    ensure!(plan.video.as_ref().is_some_and(|video| video.encoded_count() == 0), "the source is copied");
    ensure!(presentation.video.len() == 3);
    for video in &presentation.video {
        let keyframes: Vec<usize> = video.segments.iter().map(|segment| segment.keyframes.len()).collect();
        ensure!(keyframes == [1, 1, 1, 2, 1], "{}: {keyframes:?}", video.id);
    }
    Ok(())
}

async fn without_one() -> anyhow::Result<()> {
    let source = clip(&ClipSpec { seconds: 2.0, ..ClipSpec::default() });
    let mut recipe = recipe();
    // There is no such preset: the encoder does not open.
    recipe.extra_codecs[0].preset = "slowest".into();
    let rig = Rig::with(recipe).await?;
    let (asset, _, presentation) = rig.ready(&source).await?;
    let names: Vec<&str> = presentation.video.iter().map(|video| video.id.as_str()).collect();
    ensure!(names == ["180p", "180p-av1"], "{names:?}");
    let left_out = rig.parts.catalog.left_out(asset.id, Generation(1)).await?;
    ensure!(left_out.len() == 1 && left_out[0].kind == JobKind::Extra && left_out[0].codec == Some(Codec::Hevc));
    let report = audit(&rig.parts, asset.id, Options::default(), |_| {}).await?;
    ensure!(report.findings.is_empty(), "{report:?}");
    Ok(())
}
