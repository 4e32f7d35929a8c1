//! The file that is sent, as it was when the command began.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::Context;

/// A file to send.
#[derive(Debug)]
pub(super) struct Source {
    /// Absolute, without symbolic links.
    pub(super) path: PathBuf,
    /// The name that the server is told.
    pub(super) name: String,
    /// Its length.
    pub(super) bytes: u64,
    /// When it was last changed, in nanoseconds since 1970.
    pub(super) modified_ns: u128,
}

impl Source {
    /// A regular file.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let path = std::fs::canonicalize(path).context("cannot be found")?;
        let (bytes, modified_ns) = measure(&path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { path, name, bytes, modified_ns })
    }

    /// Refuses a file that was changed since it was opened: a mixture of two versions plays nowhere.
    pub(super) fn check_unchanged(&self) -> anyhow::Result<()> {
        let is_same = measure(&self.path)? == (self.bytes, self.modified_ns);
        anyhow::ensure!(is_same, "was changed while it was being sent; send it again");
        Ok(())
    }

    /// The media type that goes with the file name; a hint, nothing relies on it.
    pub(super) fn media_type(&self) -> &'static str {
        let extension = self.path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        match extension.as_str() {
            "mp4" | "m4v" => "video/mp4",
            "mov" | "qt" => "video/quicktime",
            "mkv" => "video/x-matroska",
            "webm" => "video/webm",
            "ts" | "m2ts" | "mts" => "video/mp2t",
            "avi" => "video/x-msvideo",
            "mpg" | "mpeg" | "vob" => "video/mpeg",
            "flv" => "video/x-flv",
            "ogv" => "video/ogg",
            "mp3" => "audio/mpeg",
            "m4a" => "audio/mp4",
            "flac" => "audio/flac",
            "wav" => "audio/wav",
            "ogg" | "opus" => "audio/ogg",
            _ => "application/octet-stream",
        }
    }
}

fn measure(path: &Path) -> anyhow::Result<(u64, u128)> {
    let meta = std::fs::metadata(path).context("cannot be examined")?;
    anyhow::ensure!(meta.is_file(), "is not a regular file");
    let modified = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Ok((meta.len(), modified.map_or(0, |time| time.as_nanos())))
}
