//! A rate factor for each source and rung, by how its pictures look.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use catalog_store::{Asset, Reprocess, ReprocessJobs};
use domain::per_title::{CHOICE, TRIED};
use domain::presentation::VideoRendition;
use domain::{Generation, JobId, Plan, Presentation, Recipe};
use fixtures::media;
use media_store::layout;
use pipeline::audit::{Options, audit};

use crate::Case;
use crate::rig::{Rig, run};

pub(crate) const CASES: &[Case] = &[
    ("an_easy_title_gets_larger_rate_factors_than_a_hard_one", || run(easy_and_hard())),
    ("what_comes_out_looks_as_was_asked_for", || run(as_asked())),
    ("a_second_run_chooses_the_same_and_encodes_the_same", || run(again())),
    ("an_output_made_anew_for_a_quality_is_verified_like_any_other", || run(anew())),
    ("pictures_that_are_copied_are_not_judged", || run(copied())),
];

/// How far the quality of a whole clip may be from what was asked for, in decibels: rate factors are whole, about
/// half a decibel apart, and samples are not the whole.
const TOLERANCE_DB: f64 = 0.6;

fn recipe(db: u8) -> Recipe {
    Recipe { preset: "ultrafast".into(), passthrough: false, per_title_db: Some(db), ..Recipe::default() }
}

/// A slow zoom into soft shapes, 360p, near enough to lossless; `more` filters are applied.
fn zoom(more: &str, crf: &str) -> PathBuf {
    let graph = format!("mandelbrot=s=640x360:r=25:end_pts=3000,trim=duration=9,gblur=sigma=3{more},format=yuv420p");
    let x264 = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", crf, "-g", "50", "-sc_threshold", "0"];
    media::made("mp4", &[&["-f", "lavfi", "-i", &graph], &x264[..]].concat())
}

fn easy() -> PathBuf {
    zoom("", "6")
}

/// The same under grain.
fn hard() -> PathBuf {
    zoom(",noise=alls=2:allf=t", "6")
}

async fn made(source: &Path, recipe: Recipe) -> anyhow::Result<(Rig, Asset, Plan, Presentation)> {
    let mut rig = Rig::with(recipe).await?;
    // So that init segments are stored before anything is encoded, and must be those of every segment.
    rig.config.has_viewers = true;
    let (asset, plan, presentation) = rig.ready(source).await?;
    Ok((rig, asset, plan, presentation))
}

fn factors(plan: &Plan) -> Vec<Option<u8>> {
    plan.video.iter().flat_map(|video| &video.rungs).map(|rung| rung.crf).collect()
}

fn bytes(video: &VideoRendition) -> u64 {
    video.segments.iter().filter_map(|segment| segment.bytes).sum()
}

/// What ffmpeg finds of a rendition of the source's own size, in decibels.
async fn ssim_db(rig: &Rig, asset: &Asset, video: &VideoRendition, source: &Path) -> anyhow::Result<f64> {
    let mut whole = object(rig, &layout::init(asset.id, Generation(1), &video.id)).await?;
    for index in 0..u32::try_from(video.segments.len())? {
        whole.extend(object(rig, &layout::segment(asset.id, Generation(1), &video.id, index)).await?);
    }
    let file = rig.dir.path().join("whole.mp4");
    std::fs::write(&file, whole)?;
    let graph = "[0:v]setpts=N,settb=1[c];[1:v]setpts=N,settb=1[o];[c][o]ssim";
    #[expect(clippy::disallowed_methods, reason = "the result is judged by a program that is not ours")]
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-i"])
        .arg(&file)
        .arg("-i")
        .arg(source)
        .args(["-filter_complex", graph, "-f", "null", "-"])
        .output()?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let luma = log.split("SSIM Y:").nth(1).and_then(|rest| rest.split(' ').next()).context(log.clone())?;
    Ok(-10.0 * (1.0 - luma.parse::<f64>()?).log10())
}

async fn object(rig: &Rig, key: &media_store::Key) -> anyhow::Result<Vec<u8>> {
    Ok(rig.parts.store.get(key).await?.with_context(|| format!("{key} is missing"))?.to_vec())
}

async fn easy_and_hard() -> anyhow::Result<()> {
    let (.., easy_plan, easy_shown) = made(&easy(), recipe(18)).await?;
    let (.., hard_plan, hard_shown) = made(&hard(), recipe(18)).await?;
    let (easy, hard) = (factors(&easy_plan), factors(&hard_plan));
    ensure!(easy.len() == 2 && hard.len() == 2, "{easy:?} {hard:?}");
    for (at, (easy, hard)) in easy.iter().zip(&hard).enumerate() {
        let (easy, hard) = (easy.context("one was chosen")?, hard.context("one was chosen")?);
        ensure!(CHOICE.contains(&easy) && CHOICE.contains(&hard) && easy > hard, "{easy} {hard}");
        let sizes = (bytes(&easy_shown.video[at]), bytes(&hard_shown.video[at]));
        ensure!(sizes.0 * 2 < sizes.1, "{sizes:?}");
    }
    let looks = &hard_plan.video.as_ref().context("a picture")?.looks;
    ensure!(looks.iter().all(|looks| looks.looks.iter().map(|look| look.crf).eq(TRIED)), "{looks:?}");
    Ok(())
}

async fn as_asked() -> anyhow::Result<()> {
    for (source, db) in [(hard(), 17), (hard(), 18), (easy(), 22)] {
        let (rig, asset, plan, presentation) = made(&source, recipe(db)).await?;
        let top = presentation.video.last().context("a rendition")?;
        let found = ssim_db(&rig, &asset, top, &source).await?;
        let chosen = factors(&plan);
        let crf = chosen.last().copied().flatten().context("one was chosen")?;
        ensure!(CHOICE.start() < &crf && crf < *CHOICE.end(), "the target is within reach: {crf}");
        ensure!((found - f64::from(db)).abs() < TOLERANCE_DB, "{db} dB asked, {found} found at {crf}");
    }
    Ok(())
}

async fn again() -> anyhow::Result<()> {
    let (first, asset, plan, presentation) = made(&hard(), recipe(18)).await?;
    let (second, other, same, _) = made(&hard(), recipe(18)).await?;
    ensure!(plan == same && factors(&plan).iter().all(Option::is_some), "{:?}", factors(&plan));
    ensure!(first.ledger(asset.id).await? == second.ledger(other.id).await?);
    ensure!(presentation.is_complete());
    let report = audit(&first.parts, asset.id, Options { reencode: 64 }, |_| {}).await?;
    ensure!(report.is_sound() && report.reencoded == 8, "{report:?}");
    Ok(())
}

async fn anew() -> anyhow::Result<()> {
    let usual = Recipe { per_title_db: None, ..recipe(18) };
    let (mut rig, asset, plan, _) = made(&hard(), usual).await?;
    ensure!(factors(&plan) == [None, None] && plan.video.is_some_and(|video| video.looks.is_empty()));
    rig.config.recipe = recipe(18);
    let mint = || JobId::mint(rig.now(), rig.parts.clock.entropy());
    let jobs = ReprocessJobs { plan: mint(), retire: mint() };
    ensure!(rig.parts.catalog.reprocess(asset.id, None, jobs, rig.now()).await? == Reprocess::Begun(Generation(2)));
    let done = rig.finish(asset.id).await?;
    ensure!(done.generation == Some(Generation(2)));
    let plan = rig.parts.catalog.plan(asset.id, Generation(2)).await?.context("a plan")?;
    ensure!(factors(&plan).iter().all(Option::is_some));
    let report = audit(&rig.parts, asset.id, Options { reencode: 64 }, |_| {}).await?;
    ensure!(report.is_sound() && report.reencoded == 8, "{report:?}");
    Ok(())
}

async fn copied() -> anyhow::Result<()> {
    // Coded as people get it, so that it may be copied.
    let source = zoom("", "24");
    let (_, _, plan, _) = made(&source, Recipe { passthrough: true, ..recipe(18) }).await?;
    let video = plan.video.as_ref().context("a picture")?;
    ensure!(video.copied.is_some() && video.looks.len() == 1, "{video:?}");
    ensure!(matches!(factors(&plan)[..], [Some(_), None]), "{:?}", factors(&plan));
    Ok(())
}
