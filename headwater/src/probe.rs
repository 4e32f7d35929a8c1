//! `headwater probe`: what is in a media file.

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use domain::loudness::Loudness;
use domain::plan::Limits;
use domain::probe::{Chapter, SubtitleTrack, VideoTrack};
use domain::{Language, Probe, hms};
use transcoder::{EngineError, LoudnessRequest};

use crate::config::Config;
use crate::{cli, terminal, wiring};

/// What to describe, and how.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The media file
    file: PathBuf,
    /// Measure how loud the sound tracks are (EBU R128), which takes a look at all of the file
    #[arg(long)]
    loudness: bool,
    /// Print the whole description as JSON, with exact times
    #[arg(long)]
    json: bool,
}

/// Describes the file on standard output.
///
/// # Errors
/// If the file cannot be read or the engine cannot run; a source that the engine refuses is
/// reported on standard error and by the exit code.
pub async fn run(args: Args, config: Config) -> anyhow::Result<ExitCode> {
    let description = match describe(&args, &config).await? {
        Ok(description) => description,
        Err(error) => {
            terminal::complain(&format!("headwater: {}: {}", args.file.display(), error.failure()));
            return Ok(ExitCode::from(cli::FAILED));
        }
    };
    let text = if args.json {
        serde_json::to_string_pretty(&description)?
    } else {
        human(&description.probe, &description.loudness)
    };
    terminal::say(text.trim_end());
    Ok(ExitCode::from(cli::DONE))
}

/// What is printed.
#[derive(serde::Serialize)]
struct Description {
    #[serde(flatten)]
    probe: Probe,
    /// Only there if it was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    loudness: Vec<Loudness>,
}

async fn describe(args: &Args, config: &Config) -> anyhow::Result<Result<Description, EngineError>> {
    let engine = wiring::engine(&config.source_limits())?;
    let probe = match engine.probe(open(&args.file)?).await {
        Ok(probe) => probe,
        Err(error) => return Ok(Err(error)),
    };
    let mut loudness = Vec::new();
    if args.loudness {
        let mut session = engine.loudness(open(&args.file)?, LoudnessRequest { tracks: probe.audio.clone() })?;
        // Ends with the last track, or with an error.
        loop {
            match session.next().await {
                Ok(Some(measured)) => loudness.push(measured),
                Ok(None) => break,
                Err(error) => return Ok(Err(error)),
            }
        }
    }
    Ok(Ok(Description { probe, loudness }))
}

/// Opens a source: a regular file that may be read.
pub(crate) fn open(path: &std::path::Path) -> anyhow::Result<File> {
    let source = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let kind = source.metadata().with_context(|| format!("cannot examine {}", path.display()))?;
    anyhow::ensure!(kind.is_file(), "{} is not a regular file", path.display());
    Ok(source)
}

/// The description as a table for people; `loudness` of the tracks that were measured.
pub fn human(probe: &Probe, loudness: &[Loudness]) -> String {
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
    row("container", probe.container.clone());
    row("size", probe.size.to_string());
    row("duration", hms(probe.duration()));
    if let Some(title) = &probe.title {
        row("title", title.clone());
    }
    for track in &probe.video {
        row("video", video(track));
    }
    if let Some(track) = probe.main_video() {
        let obstacle = domain::passthrough::plan(track, probe.origin()).err();
        row("pass-through", obstacle.map_or_else(|| "yes".into(), |obstacle| format!("no: {obstacle}")));
    }
    for track in &probe.audio {
        let title = track.title.as_ref().map(|title| format!(", \"{title}\"")).unwrap_or_default();
        let language = language(track.language.as_ref());
        row(
            "audio",
            format!("{language}, {}, {} channels, {} Hz{title}", track.codec, track.channels, track.sample_rate),
        );
        let recipe = domain::Recipe::default();
        let begins = domain::Plan::new(probe, &recipe, &Limits::default()).map_or(probe.origin(), |plan| plan.origin);
        let obstacle = domain::passthrough::plan_sound(track, begins, &recipe).err();
        row("pass-through", obstacle.map_or_else(|| "yes".into(), |obstacle| format!("no: {obstacle}")));
        for measured in loudness.iter().filter(|measured| measured.stream_index == track.stream_index) {
            row("loudness", loudness_line(measured));
        }
    }
    for track in &probe.subtitles {
        row("subtitles", subtitle(track));
    }
    row("has subtitles", if probe.subtitles.iter().any(|track| track.is_text) { "yes" } else { "no" }.into());
    for chapter in &probe.chapters {
        row("chapter", chapter_line(chapter));
    }
    terminal::table(&rows)
}

fn video(track: &VideoTrack) -> String {
    let mut text = format!("{} {}, {} fps", track.codec, track.display(), track.measured_rate);
    if track.is_variable_rate {
        text += " (variable)";
    }
    if track.display() != track.coded {
        text += &format!(", coded as {}", track.coded);
    }
    if track.is_interlaced() {
        text += ", interlaced";
    }
    if track.color.is_hdr() {
        text += ", HDR";
    }
    text + &format!(", {} frames", track.frame_count)
}

fn loudness_line(measured: &Loudness) -> String {
    let Some((integrated, peak)) = measured.integrated_lufs.zip(measured.true_peak_dbtp) else {
        return "silence".to_owned();
    };
    format!("{integrated} LUFS, range {} LU, true peak {peak} dBTP", measured.range_lu)
}

fn subtitle(track: &SubtitleTrack) -> String {
    let mut text = format!("{}, {}", language(track.language.as_ref()), track.codec);
    if !track.is_text {
        text += " (pictures: left out)";
    }
    if track.is_forced {
        text += ", forced";
    }
    text
}

fn chapter_line(chapter: &Chapter) -> String {
    format!("{} - {}  {}", hms(chapter.start), hms(chapter.end), chapter.title)
}

fn language(language: Option<&Language>) -> String {
    language.map_or_else(|| "language unknown".into(), |language| format!("{} ({})", language.name(), language.tag()))
}
