//! Sound that is brought to a loudness, judged by a meter that is not ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use catalog_store::Asset;
use domain::{Generation, Plan, Recipe};
use fixtures::media;
use media_store::layout;
use pipeline::audit::{Options, audit};

use crate::Case;
use crate::rig::{Rig, run};

pub(crate) const CASES: &[Case] = &[
    ("sound_is_brought_to_the_loudness_that_was_asked_for", || run(to_the_target())),
    ("sound_with_high_peaks_is_made_no_louder_than_they_permit", || run(peaks())),
    ("every_track_has_a_gain_of_its_own_and_is_verified_like_any_other", || run(tracks())),
    ("surround_sound_and_its_stereo_mix_are_both_brought_to_the_target", || run(surround())),
    ("sound_is_as_loud_as_it_was_unless_asked_for", || run(as_it_was())),
];

/// How far coding may move loudness, in LU.
const TOLERANCE_LU: f64 = 0.5;

fn recipe(target: Option<i8>) -> Recipe {
    Recipe { preset: "ultrafast".into(), loudness_target_lufs: target, ..Recipe::default() }
}

/// 20 s of a stereo tone that swells, `amplitude` at its height, in frames that could be taken over.
fn tone(amplitude: &str) -> PathBuf {
    let filter = format!(
        "aeval=exprs={amplitude}*(0.6+0.4*sin(2*PI*t/5))*sin(2*PI*997*t):c=same,aformat=channel_layouts=stereo"
    );
    let source = ["-f", "lavfi", "-i", "anullsrc=r=48000:cl=stereo", "-t", "20", "-af", &filter];
    media::made("mp4", &[&source[..], &["-c:a", "aac", "-b:a", "128k"]].concat())
}

/// 20 s that are soft but for clicks at full scale.
fn clicks() -> PathBuf {
    let filter = "aeval=exprs=0.02*sin(2*PI*500*t)+0.9*lt(mod(t\\,5)\\,0.002):c=same,aformat=channel_layouts=stereo";
    let source = ["-f", "lavfi", "-i", "anullsrc=r=48000:cl=stereo", "-t", "20", "-af", filter, "-c:a", "flac"];
    media::made("mkv", &source)
}

async fn made(source: &Path, target: Option<i8>) -> anyhow::Result<(Rig, Asset, Plan)> {
    let rig = Rig::with(recipe(target)).await?;
    let (asset, plan, _) = rig.ready(source).await?;
    Ok((rig, asset, plan))
}

/// Integrated loudness and true peak of a rendition, by libavfilter's meter.
async fn judged(rig: &Rig, asset: &Asset, plan: &Plan, at: usize) -> anyhow::Result<(f64, f64)> {
    let audio = &plan.audio[at];
    let mut whole = Vec::new();
    let init = std::iter::once(layout::init(asset.id, Generation(1), &audio.id));
    let count = u32::try_from(plan.audio_spans(audio).len())?;
    for key in init.chain((0..count).map(|index| layout::segment(asset.id, Generation(1), &audio.id, index))) {
        whole.extend(rig.parts.store.get(&key).await?.with_context(|| format!("{key} is missing"))?);
    }
    let file = rig.dir.path().join("whole.mp4");
    std::fs::write(&file, whole)?;
    #[expect(clippy::disallowed_methods, reason = "sound is judged by a program that is not ours")]
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostats", "-i"])
        .arg(&file)
        .args(["-af", "ebur128=peak=true:framelog=verbose", "-f", "null", "-"])
        .output()?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let summary = log.rsplit("Summary:").next().context("a summary")?.to_owned();
    let value = |label: &str| -> anyhow::Result<f64> {
        let (_, rest) = summary.split_once(label).with_context(|| log.clone())?;
        Ok(rest.split_whitespace().next().context("a number")?.parse()?)
    };
    Ok((value("I:")?, value("Peak:")?))
}

async fn to_the_target() -> anyhow::Result<()> {
    for (source, target) in [(tone("0.05"), -16), (tone("0.9"), -23), (tone("0.05"), -23)] {
        let (rig, asset, plan) = made(&source, Some(target)).await?;
        ensure!(plan.audio[0].copied.is_none() && plan.audio[0].gain_db.is_some(), "{:?}", plan.audio);
        let (integrated, _) = judged(&rig, &asset, &plan, 0).await?;
        ensure!((integrated - f64::from(target)).abs() <= TOLERANCE_LU, "{integrated} LUFS instead of {target}");
    }
    Ok(())
}

async fn peaks() -> anyhow::Result<()> {
    let (rig, asset, plan) = made(&clicks(), Some(-16)).await?;
    let (integrated, peak) = judged(&rig, &asset, &plan, 0).await?;
    // Coding adds peaks of its own.
    ensure!(integrated < -25.0 && peak <= 0.5, "{integrated} LUFS, {peak} dBTP");
    Ok(())
}

async fn tracks() -> anyhow::Result<()> {
    let amplitudes =
        ["0.04", "0.6"].map(|amplitude| format!("aevalsrc=exprs={amplitude}*sin(2*PI*700*t):d=12:s=48000"));
    let input = |filter: &'static str| ["-f", "lavfi", "-i", filter];
    let [soft, loud] = amplitudes.map(|filter| input(filter.leak()));
    let source = media::made("mkv", &[&soft[..], &loud, &["-map", "0", "-map", "1", "-c:a", "flac"]].concat());
    let (rig, asset, plan) = made(&source, Some(-20)).await?;
    let gains: Vec<Option<f64>> = plan.audio.iter().map(|audio| audio.gain_db.map(f64::from)).collect();
    ensure!(matches!(gains[..], [Some(soft), Some(loud)] if soft > 5.0 && loud < -5.0), "{gains:?}");
    for at in 0..2 {
        let (integrated, _) = judged(&rig, &asset, &plan, at).await?;
        ensure!((integrated + 20.0).abs() <= TOLERANCE_LU, "track {at}: {integrated} LUFS");
    }
    let report = audit(&rig.parts, asset.id, Options { reencode: 64 }, |_| {}).await?;
    ensure!(report.is_sound() && report.reencoded > 0, "{report:?}");
    Ok(())
}

async fn surround() -> anyhow::Result<()> {
    let voices =
        "0.05*sin(2*PI*400*t)|0.05*sin(2*PI*500*t)|0.1*sin(2*PI*600*t)|0|0.03*sin(2*PI*700*t)|0.03*sin(2*PI*800*t)";
    let filter = format!("aevalsrc=exprs={voices}:c=5.1:d=12:s=48000");
    let source = media::made("mkv", &["-f", "lavfi", "-i", &filter, "-c:a", "flac"]);
    let (rig, asset, plan) = made(&source, Some(-20)).await?;
    ensure!(plan.audio.iter().map(|audio| audio.channels).eq([2, 6]), "{:?}", plan.audio);
    for at in 0..2 {
        let (integrated, _) = judged(&rig, &asset, &plan, at).await?;
        ensure!((integrated + 20.0).abs() <= TOLERANCE_LU, "rendition {at}: {integrated} LUFS");
    }
    Ok(())
}

async fn as_it_was() -> anyhow::Result<()> {
    for (source, is_copied) in [(tone("0.05"), true), (clicks(), false)] {
        let (.., plan) = made(&source, None).await?;
        ensure!(plan.audio[0].gain_db.is_none() && plan.audio[0].copied.is_some() == is_copied, "{:?}", plan.audio);
    }
    Ok(())
}
