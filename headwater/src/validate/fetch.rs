//! Gets files out of a folder or over HTTP, each with a bound.

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, RANGE};
use url::Url;

/// Time one file may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Most octets of one file.
const BYTES_MAX: u64 = 256 << 20;

const REDIRECTS_MAX: usize = 5;

/// What kind of file is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// A playlist.
    Playlist,
    /// WebVTT.
    Text,
    /// An initialization segment or a segment.
    Media,
    /// One that could not be decrypted.
    Sealed,
    /// A key.
    Key,
}

impl Want {
    /// Whether a file that begins so may be of this media type (APL 10.4).
    pub(super) fn is_type(self, media_type: &str, bytes: &[u8]) -> bool {
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let (cmaf, transport) = (
            ["video/mp4", "audio/mp4", "video/iso.segment", "audio/aac", "audio/mpeg", "audio/ac3", "audio/eac3"],
            ["video/mp2t"],
        );
        let known: &[&str] = match (self, bytes.first()) {
            // Whatever it says is right: nothing tells otherwise.
            (Self::Key, _) => return true,
            (Self::Sealed, _) => return cmaf.iter().chain(&transport).any(|known| *known == essence),
            (Self::Playlist, _) => {
                &["application/vnd.apple.mpegurl", "audio/mpegurl", "application/x-mpegurl", "audio/x-mpegurl"]
            }
            (Self::Text, _) => &["text/vtt"],
            (Self::Media, Some(0x47)) => &transport,
            (Self::Media, _) => &cmaf,
        };
        known.contains(&essence.as_str())
    }
}

/// A file with the way it came.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) bytes: Bytes,
    /// Where it was in the end.
    pub(super) url: Url,
    /// `None` from a folder.
    pub(super) http: Option<Http>,
}

/// What a server said.
#[derive(Debug)]
pub(super) struct Http {
    pub(super) content_type: Option<String>,
    pub(super) is_redirected: bool,
    /// It came compressed.
    pub(super) is_coded: bool,
}

/// Gets files from one place.
#[derive(Clone, Debug)]
pub(super) struct Fetcher {
    /// What names in the report are relative to.
    base: Url,
    client: Option<reqwest::Client>,
    /// The folder that nothing is read outside of.
    root: PathBuf,
}

impl Fetcher {
    /// A fetcher for this folder, file or address, and the playlist to begin with.
    pub(super) fn open(target: &str) -> anyhow::Result<(Self, Url)> {
        if target.starts_with("http://") || target.starts_with("https://") {
            let top = Url::parse(target).with_context(|| format!("{target} is no address"))?;
            let client = reqwest::Client::builder()
                .timeout(PATIENCE)
                .redirect(reqwest::redirect::Policy::limited(REDIRECTS_MAX))
                .user_agent(concat!("headwater-validate/", env!("CARGO_PKG_VERSION")))
                .build()?;
            return Ok((Self { base: top.join(".")?, client: Some(client), root: PathBuf::new() }, top));
        }
        let path = Path::new(target);
        let file = if path.is_dir() { path.join("master.m3u8") } else { path.to_owned() };
        let file = file.canonicalize().with_context(|| format!("cannot find {}", file.display()))?;
        let root = file.parent().unwrap_or(&file).to_owned();
        let top = Url::from_file_path(&file).map_err(|()| anyhow::anyhow!("{} has no address", file.display()))?;
        Ok((Self { base: top.join(".")?, client: None, root }, top))
    }

    /// How the report calls a file.
    pub(super) fn name(&self, url: &Url) -> String {
        url.as_str().strip_prefix(self.base.as_str()).unwrap_or(url.as_str()).to_owned()
    }

    /// The file that `uri` names in a playlist at `base`.
    pub(super) async fn join(
        &self,
        base: &Url,
        uri: &str,
        range: Option<Range<u64>>,
        want: Want,
    ) -> anyhow::Result<Fetched> {
        let url = base.join(uri).with_context(|| format!("{uri:?} is no URI"))?;
        self.fetch(&url, range, want).await
    }

    /// A file, or a range of it.
    pub(super) async fn fetch(&self, url: &Url, range: Option<Range<u64>>, want: Want) -> anyhow::Result<Fetched> {
        match &self.client {
            Some(client) => over_http(client, url, range, want).await,
            None => {
                let (url, root) = (url.clone(), self.root.clone());
                tokio::task::spawn_blocking(move || from_folder(url, &root, range)).await?
            }
        }
    }
}

fn from_folder(url: Url, root: &Path, range: Option<Range<u64>>) -> anyhow::Result<Fetched> {
    use std::io::{Seek, SeekFrom};

    ensure!(url.scheme() == "file", "{url} is not in the folder");
    let path = url.to_file_path().map_err(|()| anyhow::anyhow!("{url} is no file"))?.canonicalize()?;
    ensure!(path.starts_with(root), "{} is outside of the folder", path.display());
    let mut file = std::fs::File::open(&path)?;
    let length = file.metadata()?.len();
    let range = range.unwrap_or(0..length);
    ensure!(range.end <= length, "the range ends at {} of {length} octets", range.end);
    ensure!(range.end - range.start <= BYTES_MAX, "it is longer than {BYTES_MAX} octets");
    file.seek(SeekFrom::Start(range.start))?;
    let mut bytes = Vec::new();
    file.take(range.end - range.start).read_to_end(&mut bytes)?;
    Ok(Fetched { bytes: bytes.into(), url, http: None })
}

async fn over_http(
    client: &reqwest::Client,
    url: &Url,
    range: Option<Range<u64>>,
    want: Want,
) -> anyhow::Result<Fetched> {
    let mut request = client.get(url.clone());
    if want == Want::Playlist {
        request = request.header(ACCEPT_ENCODING, "gzip");
    }
    if let Some(range) = &range {
        request = request.header(RANGE, format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
    }
    let mut response = request.send().await?;
    ensure!(response.status().is_success(), "the server answers {}", response.status());
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (content_type, coding) = (text(CONTENT_TYPE), text(CONTENT_ENCODING));
    let is_partial = response.status() == http::StatusCode::PARTIAL_CONTENT;
    let end = response.url().clone();
    let mut bytes = BytesMut::new();
    while let Some(piece) = response.chunk().await? {
        ensure!((bytes.len() + piece.len()) as u64 <= BYTES_MAX, "it is longer than {BYTES_MAX} octets");
        bytes.extend_from_slice(&piece);
    }
    let mut bytes = bytes.freeze();
    let is_coded = match coding.as_deref() {
        None | Some("identity") => false,
        Some("gzip") => {
            bytes = unzipped(&bytes)?;
            true
        }
        Some(other) => bail!("the server sends {other}, which was not asked for"),
    };
    if let Some(range) = range {
        let length = usize::try_from(range.end - range.start)?;
        if !is_partial {
            let start = usize::try_from(range.start)?;
            ensure!(bytes.len() >= start + length, "the range ends behind the file");
            bytes = bytes.slice(start..start + length);
        }
        ensure!(bytes.len() == length, "{} octets instead of the {length} of the range", bytes.len());
    }
    let http = Http { content_type, is_redirected: end != *url, is_coded };
    Ok(Fetched { bytes, url: end, http: Some(http) })
}

fn unzipped(bytes: &[u8]) -> anyhow::Result<Bytes> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).take(BYTES_MAX).read_to_end(&mut plain)?;
    Ok(plain.into())
}
