//! The twenty complaints that people have about other media servers, each as a test with its number.
//!
//! `docs/reference/inputs.md` lists them with all their tests, some of which stand elsewhere; `table`
//! checks that the list is true.

mod picture;
mod serving;
mod sound;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::check::{self, Rendition, Report};
use crate::harness::{run, text};

/// A transcoded file, and what is in its folder.
struct Result {
    dir: TempDir,
    report: Report,
}

impl Result {
    fn folder(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    fn largest(&self) -> &Rendition {
        self.report.renditions.iter().max_by_key(|rendition| rendition.width * rendition.height).unwrap()
    }

    /// Width and height of the largest rendition.
    fn size(&self) -> (usize, usize) {
        let largest = self.largest();
        (usize::try_from(largest.width).unwrap(), usize::try_from(largest.height).unwrap())
    }

    /// All pictures of the largest rendition, as bytes of `pixels`.
    fn pictures(&self, pixels: &str) -> Vec<u8> {
        let playlist = self.folder().join(&self.largest().id).join("playlist.m3u8");
        decoded(&playlist, &["-f", "rawvideo", "-pix_fmt", pixels])
    }

    /// The samples of the first audio rendition, left and right in turn.
    fn samples(&self) -> Vec<i16> {
        let folders = std::fs::read_dir(self.folder()).unwrap().map(|entry| entry.unwrap().path());
        let mut sounds: Vec<PathBuf> = folders.filter(|path| name(path).starts_with("audio-")).collect();
        sounds.sort();
        let bytes = decoded(&sounds[0].join("playlist.m3u8"), &["-f", "s16le"]);
        bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
    }

    /// The poster's pixels, in a size of 32 by 18.
    fn poster(&self) -> Vec<u8> {
        let poster = self.folder().join("images/poster.jpg");
        decoded(&poster, &["-vf", "scale=32:18:flags=area", "-f", "rawvideo", "-pix_fmt", "rgb24"])
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Transcodes a file and checks the whole folder.
fn transcoded(source: &Path) -> Result {
    let dir = tempfile::tempdir().unwrap();
    let done = run(&["transcode", text(source), "-o", text(&dir.path().join("out"))]);
    assert_eq!(done.status.code(), Some(0), "{}: {}", source.display(), String::from_utf8_lossy(&done.stderr));
    let report = check::check(&dir.path().join("out"));
    Result { dir, report }
}

/// What another program decodes of a file.
#[expect(clippy::disallowed_methods, reason = "output is decoded by a program that is not ours")]
fn decoded(file: &Path, args: &[&str]) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i", text(file)])
        .args(args)
        .arg("-")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// What another program says of the first stream of a kind, one line per entry.
#[expect(clippy::disallowed_methods, reason = "output is described by a program that is not ours")]
fn described(file: &Path, entries: &str) -> Vec<String> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-of", "default=noprint_wrappers=1:nokey=1"])
        .args(["-show_entries", &format!("stream={entries}"), text(file)])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}
