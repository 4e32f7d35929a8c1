//! Size of a rendition, and how much it looks like its source.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use domain::ladder::Rung;

use super::Setting;

/// What one rendition is worth.
pub(crate) struct Quality {
    /// Octets of all segments and of the initialization segment.
    pub(crate) bytes: u64,
    /// Mean structural similarity to the source scaled to the same size; 1 is equal.
    pub(crate) ssim: f64,
    /// Frames compared.
    pub(crate) frames: u64,
    /// Mean VMAF at the source's size; `None` unless an ffmpeg that has it was named.
    pub(crate) vmaf: Option<f64>,
}

impl Quality {
    /// Of the rendition in `folder`, as `init.mp4` and `0.m4s`, `1.m4s` ... in that order.
    pub(crate) fn of(setting: &Setting, folder: &Path, rung: &Rung) -> anyhow::Result<Self> {
        let file = setting.scratch.join("joined.mp4");
        let mut whole =
            fs::read(folder.join("init.mp4")).with_context(|| format!("no init.mp4 in {}", folder.display()))?;
        let mut index = 0u32;
        while let Ok(segment) = fs::read(folder.join(format!("{index}.m4s"))) {
            whole.extend(segment);
            index += 1;
        }
        fs::write(&file, &whole)?;
        let (ssim, frames) = ssim(setting, &file, rung)?;
        let vmaf = setting.vmaf.as_deref().map(|program| vmaf(setting, program, &file)).transpose()?;
        Ok(Self { bytes: whole.len() as u64, ssim, frames, vmaf })
    }
}

/// What people would say of it, by Netflix's model (libvmaf), shown as large as the source.
fn vmaf(setting: &Setting, program: &Path, file: &Path) -> anyhow::Result<f64> {
    let (width, height) = (setting.source.resolution.width, setting.source.resolution.height);
    let rate = format!("{}/{}", setting.source.rate.num(), setting.source.rate.den());
    let graph = format!(
        "[0:v:0]scale={width}:{height}:flags=bicubic,format=yuv420p,settb=AVTB,setpts=N*TB[d];\
         [1:v:0]fps={rate},setsar=1,format=yuv420p,settb=AVTB,setpts=N*TB[r];\
         [d][r]libvmaf=n_threads=2"
    );
    let output = Command::new("timeout")
        .arg(setting.limit.as_secs().to_string())
        .arg(program)
        .args(["-nostdin", "-v", "info", "-i"])
        .arg(file)
        .arg("-i")
        .arg(&setting.source.path)
        .args(["-filter_complex", &graph, "-an", "-f", "null", "/dev/null"])
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", program.display());
    let score = said.rsplit_once("VMAF score:").and_then(|(_, rest)| rest.split_whitespace().next());
    Ok(score.with_context(|| format!("{} has no libvmaf", program.display()))?.parse()?)
}

/// Compares frame by frame: times are dropped on both sides, as ffmpeg 5.1 moves tracks with
/// negative composition offsets.
fn ssim(setting: &Setting, file: &Path, rung: &Rung) -> anyhow::Result<(f64, u64)> {
    let (width, height) = (rung.resolution.width, rung.resolution.height);
    let rate = format!("{}/{}", setting.source.rate.num(), setting.source.rate.den());
    let graph = format!(
        "[0:v:0]settb=AVTB,setpts=N*TB[d];\
         [1:v:0]fps={rate},scale={width}:{height}:flags=bicubic,setsar=1,format=yuv420p,settb=AVTB,setpts=N*TB[r];\
         [d][r]ssim=stats_file=-"
    );
    let limit = format!("{}", setting.limit.as_secs());
    let output = Command::new("timeout")
        .args([limit.as_str(), "ffmpeg", "-nostdin", "-v", "info", "-i"])
        .arg(file)
        .arg("-i")
        .arg(&setting.source.path)
        .args(["-filter_complex", &graph, "-an", "-f", "null", "/dev/null"])
        .output()
        .context("cannot run ffmpeg")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ffmpeg: {said}");
    let mean = said.rsplit_once("All:").and_then(|(_, rest)| rest.split_whitespace().next());
    let mean = mean.context("ffmpeg gave no SSIM")?.parse()?;
    let frames = String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.starts_with("n:")).count();
    Ok((mean, frames as u64))
}
