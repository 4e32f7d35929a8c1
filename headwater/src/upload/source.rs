//! The file that is sent, as it was when the command began.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::Context;
use bytes::Bytes;
use ingest::digest::{Algorithm, Hasher};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// Octets hashed at a time.
const HASH_BYTES: usize = 1 << 20;

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
    /// When anything about it last changed, in nanoseconds since 1970: nobody can set that time back.
    pub(super) changed_ns: i128,
}

impl Source {
    /// A regular file.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let path = std::fs::canonicalize(path).context("cannot be found")?;
        let (bytes, modified_ns, changed_ns) = measure(&path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { path, name, bytes, modified_ns, changed_ns })
    }

    /// Refuses a file that was changed since it was opened: a mixture of two versions plays nowhere.
    pub(super) fn check_unchanged(&self) -> anyhow::Result<()> {
        // Another name or another owner is no other content.
        let (bytes, modified_ns, _) = measure(&self.path)?;
        let is_same = (bytes, modified_ns) == (self.bytes, self.modified_ns);
        anyhow::ensure!(is_same, "was changed while it was being sent; send it again");
        Ok(())
    }

    /// `bytes` octets from `start`.
    pub(super) async fn read(&self, start: u64, bytes: u64) -> anyhow::Result<Bytes> {
        let mut octets = vec![0; usize::try_from(bytes).context("is too long for this machine")?];
        self.at(start).await?.read_exact(&mut octets).await.context("cannot be read")?;
        Ok(octets.into())
    }

    /// The open file at an offset.
    pub(super) async fn at(&self, start: u64) -> anyhow::Result<tokio::fs::File> {
        let mut file = tokio::fs::File::open(&self.path).await.context("cannot be opened")?;
        file.seek(std::io::SeekFrom::Start(start)).await.context("cannot be read")?;
        Ok(file)
    }

    /// The digest of the whole file.
    pub(super) async fn digest(&self, algorithm: Algorithm) -> anyhow::Result<Vec<u8>> {
        let (path, source_bytes) = (self.path.clone(), self.bytes);
        let hashed = tokio::task::spawn_blocking(move || {
            let mut file = std::fs::File::open(path)?;
            let (mut hasher, mut buffer) = (Hasher::new(algorithm), vec![0; HASH_BYTES]);
            let mut hashed = 0u64;
            // Ends with the file, or when it has grown: then its digest is of no use.
            while hashed <= source_bytes {
                let read = std::io::Read::read(&mut file, &mut buffer)?;
                if read == 0 {
                    break;
                }
                hasher.update(&buffer[..read]);
                hashed += read as u64;
            }
            Ok::<_, std::io::Error>(hasher.value())
        });
        let value = hashed.await.context("cannot be read")?.context("cannot be read")?;
        self.check_unchanged()?;
        Ok(value)
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

/// Its length, when it was written to, and when anything about it changed.
fn measure(path: &Path) -> anyhow::Result<(u64, u128, i128)> {
    let meta = std::fs::metadata(path).context("cannot be examined")?;
    anyhow::ensure!(meta.is_file(), "is not a regular file");
    let modified = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let changed_ns = i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec());
    Ok((meta.len(), modified.map_or(0, |time| time.as_nanos()), changed_ns))
}
