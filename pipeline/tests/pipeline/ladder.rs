//! Which rungs are made: all that a player gains something from.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use domain::complexity::{Cost, LadderProbe};
use domain::{Generation, Plan, Presentation, Recipe};
use fixtures::media::{self, ClipSpec, clip};
use packager::hls;
use pipeline::metrics::SegmentKind;

use crate::Case;
use crate::rig::{Rig, run};

pub(crate) const CASES: &[Case] = &[
    ("slides_lose_the_rungs_that_gain_nothing", || run(slides())),
    ("slides_that_are_shown_as_they_are_are_not_encoded_at_all", || run(copied_slides())),
    ("pictures_of_a_camera_keep_every_rung", || run(camera())),
    ("without_a_probe_of_the_ladder_every_rung_is_made", || run(unasked())),
    ("a_second_run_of_the_probe_decides_the_same", || run(again())),
];

/// Two slides of six seconds each, 720p, with a keyframe every so many frames.
fn slide_show(gop: &str) -> PathBuf {
    let graph = "smptehdbars=s=1280x720:r=25:d=6[a];pal75bars=s=1280x720:r=25:d=6,format=yuv420p[b];[a]format=yuv420p[a8];[a8][b]concat=n=2";
    let x264 = ["-c:v", "libx264", "-preset", "ultrafast", "-g", gop, "-sc_threshold", "0", "-threads:v", "1"];
    media::made("mp4", &[&["-filter_complex", graph], &x264[..]].concat())
}

/// Moving pictures under noise, 480p.
fn noisy() -> PathBuf {
    clip(&ClipSpec { seconds: 10.0, width: 848, height: 480, ..ClipSpec::default() })
}

async fn made(source: &Path, recipe: Recipe) -> anyhow::Result<(Rig, Plan, Presentation)> {
    let rig = Rig::with(Recipe { preset: "ultrafast".into(), ..recipe }).await?;
    let (asset, plan, presentation) = rig.ready(source).await?;
    let rungs: Vec<_> = plan.video.iter().flat_map(|video| &video.rungs).map(|rung| &rung.id).collect();
    let shown: Vec<_> = presentation.video.iter().map(|rendition| &rendition.id).collect();
    ensure!(rungs == shown, "{rungs:?} are planned, {shown:?} are shown");
    let planned = Presentation::planned(asset.id, asset.playback, Generation(1), &plan);
    check_rates(&planned, &presentation)?;
    Ok((rig, plan, presentation))
}

/// What the playlist says of each variant is what its segments are, and no more than the plan announced.
fn check_rates(planned: &Presentation, presentation: &Presentation) -> anyhow::Result<()> {
    let playlist = hls::multivariant(presentation, "", hls::View::default());
    for (planned, video) in planned.video.iter().zip(&presentation.video) {
        // A buffer of two seconds that is half full: in a run of three, a third more than the cap.
        ensure!(video.peak_bitrate.0 * 3 <= planned.peak_bitrate.0 * 4, "{}: more than was announced", video.id);
        let sum = |of: fn(&domain::presentation::SegmentEntry) -> u64| video.segments.iter().map(of).sum::<u64>();
        let (bytes, ticks) = (sum(|segment| segment.bytes.unwrap_or(0)), sum(|segment| segment.ticks));
        let average = (bytes * 8 * u64::from(video.timescale.per_second())).div_ceil(ticks);
        let sound =
            |of: fn(&domain::presentation::AudioRendition) -> u64| presentation.audio.iter().map(of).max().unwrap_or(0);
        let average = average + sound(|audio| audio.average_bitrate.0);
        let peak = video.peak_bitrate.0 + sound(|audio| audio.peak_bitrate.0);
        let line = format!("BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},");
        ensure!(playlist.contains(&line), "{}: no {line} in {playlist}", video.id);
    }
    Ok(())
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.video.iter().flat_map(|video| &video.rungs).map(|rung| rung.id.as_str()).collect()
}

fn costs(plan: &Plan) -> &[Cost] {
    plan.video.as_ref().map_or(&[], |video| &video.costs)
}

async fn slides() -> anyhow::Result<()> {
    let recipe = Recipe { passthrough: false, ladder_probe: LadderProbe::Always, ..Recipe::default() };
    let (rig, plan, presentation) = made(&slide_show("1"), recipe).await?;
    ensure!(names(&plan) == ["720p"], "{:?}", names(&plan));
    ensure!(costs(&plan).iter().map(|cost| cost.rung.as_str()).eq(["240p", "360p", "480p", "720p"]));
    let cells = plan.video_spans().len() as u64;
    ensure!(rig.parts.metrics.segments(SegmentKind::Video).count == cells, "nothing else was encoded");
    ensure!(presentation.is_complete());
    Ok(())
}

async fn copied_slides() -> anyhow::Result<()> {
    let recipe = Recipe { ladder_probe: LadderProbe::Auto, ..Recipe::default() };
    let (rig, plan, _) = made(&slide_show("50"), recipe).await?;
    ensure!(names(&plan) == ["720p"] && costs(&plan).len() == 1, "{:?}", plan.video);
    ensure!(plan.video.as_ref().is_some_and(|video| video.copied.is_some()));
    ensure!(rig.parts.metrics.segments(SegmentKind::Video).count == 0);
    Ok(())
}

async fn camera() -> anyhow::Result<()> {
    let recipe = Recipe { passthrough: false, ladder_probe: LadderProbe::Always, ..Recipe::default() };
    let (_, plan, presentation) = made(&noisy(), recipe).await?;
    ensure!(names(&plan) == ["240p", "360p", "480p"], "{:?} by {:?}", names(&plan), costs(&plan));
    for video in &presentation.video {
        let cost = costs(&plan).iter().find(|cost| cost.rung == video.id).context("it was tried")?;
        let (tried, measured) = (cost.average.0, video.average_bitrate.0);
        ensure!(tried * 4 > measured * 3 && tried * 3 < measured * 4, "{}: {tried} tried, {measured}", video.id);
    }
    Ok(())
}

async fn unasked() -> anyhow::Result<()> {
    let recipe = Recipe { passthrough: false, ..Recipe::default() };
    let (_, plan, _) = made(&slide_show("1"), recipe).await?;
    ensure!(names(&plan) == ["240p", "360p", "480p", "720p"] && costs(&plan).is_empty());
    Ok(())
}

async fn again() -> anyhow::Result<()> {
    let recipe = Recipe { passthrough: false, ladder_probe: LadderProbe::Always, ..Recipe::default() };
    let source = clip(&ClipSpec { seconds: 9.0, width: 640, height: 360, ..ClipSpec::default() });
    let (_, first, _) = made(&source, recipe.clone()).await?;
    let (_, second, _) = made(&source, recipe).await?;
    ensure!(!costs(&first).is_empty() && first == second);
    Ok(())
}
