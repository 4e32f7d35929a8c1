//! What is to be transcoded, and into which rungs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use domain::ladder::{self, Rung};
use domain::{Cadence, FrameRate, Resolution};

/// A source without rotation, with square samples and a constant rate: what ffmpeg needs no help with.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) resolution: Resolution,
    pub(crate) rate: FrameRate,
    pub(crate) duration_s: f64,
    pub(crate) audio_tracks: usize,
    pub(crate) rungs: Vec<Rung>,
    pub(crate) gop_frames: u32,
}

impl Source {
    /// Asks ffprobe.
    pub(crate) fn probe(path: &Path) -> anyhow::Result<Self> {
        let output = Command::new("ffprobe")
            .args(["-v", "error", "-show_entries", "stream=codec_type,width,height,avg_frame_rate:format=duration"])
            .args(["-of", "json"])
            .arg(path)
            .output()
            .context("cannot run ffprobe")?;
        ensure!(output.status.success(), "ffprobe: {}", String::from_utf8_lossy(&output.stderr));
        let facts: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let streams = facts["streams"].as_array().context("no streams")?;
        let kind = |kind: &'static str| streams.iter().filter(move |stream| stream["codec_type"] == kind);
        let Some(video) = kind("video").next() else { bail!("{} has no picture", path.display()) };
        let side = |name: &str| video[name].as_u64().and_then(|side| u32::try_from(side).ok()).context("no size");
        let resolution = Resolution { width: side("width")?, height: side("height")? };
        let stated = video["avg_frame_rate"].as_str().and_then(|text| text.split_once('/')).context("no frame rate")?;
        let stated = FrameRate::new(stated.0.parse()?, stated.1.parse()?).context("no frame rate")?;
        let rate = ladder::output_rate(stated);
        let duration_s = facts["format"]["duration"].as_str().context("no duration")?.parse()?;
        Ok(Self {
            path: path.to_owned(),
            resolution,
            rate,
            duration_s,
            audio_tracks: kind("audio").count(),
            rungs: ladder::rungs(resolution, rate),
            gop_frames: Cadence::for_video(rate).gop_frames,
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, resolution, rate, duration_s, audio_tracks, rungs, .. } = self;
        let names: Vec<&str> = rungs.iter().map(|rung| rung.id.as_str()).collect();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        write!(
            f,
            "{name}: {duration_s:.1} s of {resolution} at {rate} fps, {audio_tracks} audio, to {}",
            names.join(" ")
        )
    }
}
