//! The same renditions by the ffmpeg command line tool.

use std::path::Path;
use std::process::Command;

use benches::measure::{self, Cost};
use domain::ladder::Rung;
use domain::{Recipe, TARGET_DURATION_S};

use super::Setting;

/// (a): one process, decoding once.
pub(crate) fn one_graph(setting: &Setting, out: &Path) -> anyhow::Result<Cost> {
    let source = &setting.source;
    let labels: String = (0..source.rungs.len()).map(|at| format!("[s{at}]")).collect();
    let scaled: Vec<String> =
        (0..).zip(&source.rungs).map(|(at, rung)| format!("[s{at}]{}[v{at}]", scale(rung))).collect();
    let graph = format!("[0:v:0]fps={},split={}{labels};{}", rate(setting), source.rungs.len(), scaled.join(";"));
    let mut command = ffmpeg(setting);
    command.args(["-filter_complex", &graph]);
    for (at, rung) in source.rungs.iter().enumerate() {
        command.args(["-map", &format!("[v{at}]")]);
        video(&mut command, setting, rung, out)?;
    }
    audio(&mut command, setting, out)?;
    Ok(measure::run(&mut command, setting.limit, &setting.scratch)?)
}

/// (b): a process for each rendition, one after the other.
pub(crate) fn one_each(setting: &Setting, out: &Path) -> anyhow::Result<Cost> {
    let mut cost = Cost::default();
    for rung in &setting.source.rungs {
        let mut command = ffmpeg(setting);
        let filter = format!("fps={},{}", rate(setting), scale(rung));
        command.args(["-map", "0:v:0", "-vf", &filter]);
        video(&mut command, setting, rung, out)?;
        cost = cost.then(measure::run(&mut command, setting.limit, &setting.scratch)?);
    }
    if setting.source.audio_tracks > 0 {
        let mut command = ffmpeg(setting);
        audio(&mut command, setting, out)?;
        cost = cost.then(measure::run(&mut command, setting.limit, &setting.scratch)?);
    }
    Ok(cost)
}

fn ffmpeg(setting: &Setting) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y", "-i"]).arg(&setting.source.path);
    command
}

fn rate(setting: &Setting) -> String {
    format!("{}/{}", setting.source.rate.num(), setting.source.rate.den())
}

fn scale(rung: &Rung) -> String {
    format!("scale={}:{}:flags=bicubic,setsar=1,format=yuv420p", rung.resolution.width, rung.resolution.height)
}

/// Options that the transcoder gives x264, but for the number of threads.
fn video(command: &mut Command, setting: &Setting, rung: &Rung, out: &Path) -> anyhow::Result<()> {
    let recipe = Recipe::default();
    let (gop, kbit) = (setting.source.gop_frames, rung.bitrate_max.0 / 1000);
    let parameters = format!(
        "keyint={gop}:min-keyint={gop}:scenecut=0:open-gop=0:force-cfr=1:stitchable=1:sliced-threads=0:bframes=3:\
         b-pyramid=none:vbv-maxrate={kbit}:vbv-bufsize={}:vbv-init=0.5:nal-hrd=none:aud=0:\
         colorprim=bt709:transfer=bt709:colormatrix=bt709:range=tv",
        kbit * 2
    );
    let level = format!("{}.{}", rung.level / 10, rung.level % 10);
    command.args(["-c:v", "libx264", "-preset", &recipe.preset, "-crf", &recipe.crf.to_string()]);
    command.args(["-profile:v", "high", "-level:v", &level, "-x264-params", &parameters]);
    command.args(["-map_chapters", "-1", "-map_metadata", "-1", "-sn", "-dn"]);
    segments(command, &out.join(rung.id.as_str()))
}

fn audio(command: &mut Command, setting: &Setting, out: &Path) -> anyhow::Result<()> {
    let recipe = Recipe::default();
    for track in 0..setting.source.audio_tracks {
        command.args(["-map", &format!("0:a:{track}"), "-c:a", "aac", "-ac", "2"]);
        command.args(["-b:a", &recipe.audio_bitrate.0.to_string(), "-ar", &recipe.audio_sample_rate.to_string()]);
        command.args(["-map_chapters", "-1", "-map_metadata", "-1", "-vn", "-sn", "-dn"]);
        segments(command, &out.join(format!("audio-{track}")))?;
    }
    Ok(())
}

fn segments(command: &mut Command, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir(folder)?;
    command.args(["-f", "hls", "-hls_segment_type", "fmp4", "-hls_playlist_type", "vod"]);
    command.args(["-hls_time", &TARGET_DURATION_S.to_string(), "-hls_fmp4_init_filename", "init.mp4"]);
    command.arg("-hls_segment_filename").arg(folder.join("%d.m4s")).arg(folder.join("playlist.m3u8"));
    Ok(())
}
