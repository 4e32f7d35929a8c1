//! What is served: 200 segments of each size, as an asset of Headwater's and as files of nginx's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use domain::presentation::{SCHEMA, SegmentEntry, VideoRendition};
use domain::{
    AssetId, Bitrate, Cadence, FrameRate, Generation, MediaTime, PlaybackId, Presentation, RenditionId, Resolution,
    Timescale,
};
use media_store::{Key, MediaStore, StoreConfig, layout};
use sha2::{Digest, Sha256};

use crate::peers::Peer;

/// Files of each size.
pub(crate) const FILES: u32 = 200;
const GENERATION: Generation = Generation(1);

/// How long a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// 2 KiB.
    Small,
    /// 1 MiB.
    Medium,
    /// 4 MiB.
    Large,
}

impl Size {
    const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Small => 2 << 10,
            Self::Medium => 1 << 20,
            Self::Large => 4 << 20,
        }
    }

    fn rendition(self) -> &'static str {
        match self {
            Self::Small => "240p",
            Self::Medium => "720p",
            Self::Large => "1080p",
        }
    }

    /// How many files of this size are asked for: of the large ones fewer, so that all fit into memory.
    pub(crate) fn files(self) -> u32 {
        if self == Self::Large { FILES / 4 } else { FILES }
    }
}

/// The files.
pub(crate) struct Site {
    /// The folder of objects.
    pub(crate) media: PathBuf,
    first: Vec<(Size, Vec<u8>)>,
}

impl Site {
    /// Writes everything below `folder`.
    pub(crate) fn build(folder: &Path) -> anyhow::Result<Self> {
        let media = folder.join("media");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let first = runtime.block_on(fill(&media, folder))?;
        Ok(Self { media, first })
    }

    /// The path of a file, as players ask for it.
    pub(crate) fn path(size: Size, index: u32) -> String {
        format!("/v/{}/g{GENERATION}/{}/{index}.m4s", playback(), size.rendition())
    }

    /// Where the same lies below the folder of objects.
    pub(crate) fn file_pattern() -> (String, String) {
        let prefix = layout::segment(asset(), GENERATION, &rendition(Size::Small), 0).to_string();
        let folder = prefix.strip_suffix("/240p/0.m4s").unwrap_or(&prefix).to_owned();
        (format!("/v/{}/g{GENERATION}", playback()), folder)
    }

    /// The strong entity-tag that Headwater gives a file.
    pub(crate) fn etag(&self, peer: &Peer, size: Size) -> anyhow::Result<String> {
        let head = curl(&["-sI", &format!("http://{}{}", peer.plain, Self::path(size, 0))])?;
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let line = head.lines().find_map(|line| line.strip_prefix("etag:")).context("no entity-tag")?;
        Ok(line.trim().to_owned())
    }

    /// Asks for one file of each size and compares.
    pub(crate) fn check(&self, peer: &Peer) -> anyhow::Result<()> {
        for (size, content) in &self.first {
            let got = curl(&["-s", &format!("http://{}{}", peer.plain, Self::path(*size, 0))])?;
            ensure!(got == *content, "{} serves something else at {}", peer.name, Self::path(*size, 0));
        }
        Ok(())
    }
}

fn curl(arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let output = Command::new("curl").args(["--max-time", "20"]).args(arguments).output().context("cannot run curl")?;
    ensure!(output.status.success(), "curl failed");
    Ok(output.stdout)
}

fn asset() -> AssetId {
    AssetId::from_u128(1)
}

fn playback() -> PlaybackId {
    PlaybackId::from_u128(7)
}

fn rendition(size: Size) -> RenditionId {
    RenditionId::new(size.rendition()).expect("a rendition name")
}

async fn fill(media: &Path, folder: &Path) -> anyhow::Result<Vec<(Size, Vec<u8>)>> {
    let config = StoreConfig {
        url: format!("file://{}", media.display()),
        access_key: None,
        secret_key: None,
        scratch: folder.join("scratch"),
    };
    let store = MediaStore::open(config).await?;
    let (mut video, mut first) = (Vec::new(), Vec::new());
    for size in Size::ALL {
        let mut segments = Vec::new();
        for index in 0..FILES {
            // Files of one size differ in their beginning only: that is enough to tell them apart.
            let seed = Sha256::digest(format!("{size:?}/{index}"));
            let content: Vec<u8> = seed.iter().copied().cycle().take(size.bytes()).collect();
            let sha256 = hash(&content);
            if index == 0 {
                first.push((size, content.clone()));
            }
            if index < size.files() {
                fs::create_dir_all(media)?;
                store.put_once(&layout::segment(asset(), GENERATION, &rendition(size), index), content.into()).await?;
            }
            segments.push(entry(size.bytes(), sha256));
        }
        video.push(video_of(rendition(size), segments));
    }
    let presentation = presentation(video);
    store.put_once(&layout::presentation(asset(), GENERATION, 1), serde_json::to_vec(&presentation)?.into()).await?;
    store.put_pointer(playback(), serde_json::to_vec(&presentation.pointer())?.into()).await?;
    Ok(first)
}

fn rate() -> FrameRate {
    FrameRate::new(25, 1).expect("a frame rate")
}

fn hash(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|octet| format!("{octet:02x}")).collect()
}

fn entry(bytes: usize, sha256: String) -> SegmentEntry {
    let ticks = 150 * u64::from(rate().frame_ticks());
    SegmentEntry { ticks, bytes: Some(bytes as u64), sha256: Some(sha256), keyframes: vec![] }
}

fn video_of(id: RenditionId, segments: Vec<SegmentEntry>) -> VideoRendition {
    VideoRendition {
        id,
        resolution: Resolution { width: 1280, height: 720 },
        frame_rate: rate(),
        codecs: "avc1.64001f".into(),
        peak_bitrate: Bitrate(3_000_000),
        average_bitrate: Bitrate(2_000_000),
        timescale: rate().timescale(),
        segments,
    }
}

fn presentation(video: Vec<VideoRendition>) -> Presentation {
    Presentation {
        schema: SCHEMA,
        asset: asset(),
        playback: playback(),
        generation: GENERATION,
        revision: 1,
        is_complete: Some(true),
        first: None,
        title: None,
        duration: MediaTime::new(i64::from(FILES) * 6000, Timescale::MILLISECONDS),
        cadence: Cadence::for_video(rate()),
        video,
        audio: vec![],
        subtitles: vec![],
        chapters: vec![],
        markers: vec![],
        images: None,
        files: vec![],
    }
}

/// An asset of one rendition, whose segments all are `content`, and their keys.
pub(crate) fn in_one_rendition(count: u32, content: &[u8]) -> (Presentation, Vec<Key>) {
    let (id, sha256) = (rendition(Size::Medium), hash(content));
    let segments = (0..count).map(|_| entry(content.len(), sha256.clone())).collect();
    let keys = (0..count).map(|index| layout::segment(asset(), GENERATION, &id, index)).collect();
    (presentation(vec![video_of(id, segments)]), keys)
}

/// The path of one of them.
pub(crate) fn path_in_one_rendition(index: u32) -> String {
    Site::path(Size::Medium, index)
}
