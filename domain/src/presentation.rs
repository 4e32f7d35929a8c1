//! The published document of one generation: all a player or the origin needs, and nothing else.

use serde::{Deserialize, Serialize};

use crate::document::Listed;
use crate::markers::Marker;
use crate::probe::Chapter;
use crate::{
    Access, AssetId, Bitrate, Cadence, FrameRate, Generation, Language, MediaTime, Plan, PlaybackId, RenditionId,
    Resolution, Timescale,
};

/// Version of this document's form; a reader refuses any other.
pub const SCHEMA: u32 = 1;

/// Tracks, grid, segments, chapters and images of one generation. Immutable once written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presentation {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The asset.
    pub asset: AssetId,
    /// The name under which it is served.
    pub playback: PlaybackId,
    /// The output it describes.
    pub generation: Generation,
    /// 0 for the plan, before anything is encoded; rises with every document of the generation that is published.
    pub revision: u32,
    /// Every part is there and verified. `None` in documents that do not say: ask [`is_complete`](Self::is_complete).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_complete: Option<bool>,
    /// Title shown to people.
    pub title: Option<String>,
    /// From zero to the end of the last track.
    pub duration: MediaTime,
    /// Where segments begin.
    pub cadence: Cadence,
    /// The video rendition that players begin with, where that is not the one nearest to
    /// [`FIRST_VARIANT_BITRATE`](crate::plan::FIRST_VARIANT_BITRATE): until all is there, the source's own pictures,
    /// which need no encoding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<RenditionId>,
    /// Video renditions, smallest first: all in H.264, then codec by codec those in others.
    pub video: Vec<VideoRendition>,
    /// Audio renditions, default first. Those of one track in several layouts share language and name.
    pub audio: Vec<AudioRendition>,
    /// Subtitle renditions.
    pub subtitles: Vec<SubtitleRendition>,
    /// Chapters, in order, relative to zero.
    pub chapters: Vec<Chapter>,
    /// Markers, in order, relative to zero.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub markers: Vec<Marker>,
    /// Pictures; `None` until they are made, or when there is no picture to show.
    pub images: Option<Images>,
    /// The objects that are no segments, init segments and pictures, with what they hold; empty in
    /// documents that do not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileEntry>,
}

/// An object of a generation that is no segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Where it lies below the folder of the generation, such as `720p/init.mp4`.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of it, 64 hexadecimal digits.
    pub sha256: String,
}

/// What `current/{playback id}.json` holds: which presentation an asset is played from.
///
/// The only document that is ever overwritten, so that a generation becomes visible in one step.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pointer {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The asset.
    pub asset: AssetId,
    /// The output in force.
    pub generation: Generation,
    /// The revision of its presentation.
    pub revision: u32,
    /// Rises when an earlier source of the asset is gone back to, and when the catalogue is put back from a copy.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub turn: u32,
    /// As in the presentation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_complete: Option<bool>,
    /// Earlier outputs that are kept for players which began with them, at most [`RETAINED_MAX`]. Some may be
    /// gone already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retained: Vec<Retained>,
    /// Who may play the asset. It is no part of what was encoded: whoever points to something else keeps it.
    #[serde(default, skip_serializing_if = "Access::is_public")]
    pub access: Access,
    /// The documents of the asset, in order. They are no part of what was encoded either.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<Listed>,
}

/// Earlier outputs of one asset that are kept at the same time.
pub const RETAINED_MAX: usize = 4;

/// An output that was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Retained {
    /// The output.
    pub generation: Generation,
    /// The revision of its presentation that was in force last.
    pub revision: u32,
}

impl Pointer {
    /// True if the presentation is the verified whole, false if parts of it are still being made.
    pub fn is_complete(&self) -> bool {
        is_complete(self.is_complete, self.revision)
    }

    /// True if this presentation is the one that is pointed to.
    pub fn names(&self, presentation: &Presentation) -> bool {
        let bare = Self { turn: 0, retained: vec![], access: Access::default(), documents: vec![], ..self.clone() };
        bare == presentation.pointer()
    }

    /// What decides between two pointers of one playback id: the higher is in force.
    pub fn rank(&self) -> (u32, Generation, u32) {
        (self.turn, self.generation, self.revision)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Documents that do not say whether they are complete have the revision 0 for the plan and 1 for the whole.
fn is_complete(stated: Option<bool>, revision: u32) -> bool {
    stated.unwrap_or(revision > 0)
}

/// One video rendition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoRendition {
    /// Its name, a path segment.
    pub id: RenditionId,
    /// Encoded size.
    pub resolution: Resolution,
    /// Frames a second.
    pub frame_rate: FrameRate,
    /// RFC 6381 codec string, such as `avc1.64001f`.
    pub codecs: String,
    /// Peak segment rate, with all overhead: measured once complete, the recipe's cap before.
    pub peak_bitrate: Bitrate,
    /// Mean rate over all segments: measured once complete, the recipe's cap before.
    pub average_bitrate: Bitrate,
    /// Ticks per second of the segments' durations.
    pub timescale: Timescale,
    /// All segments, in order.
    pub segments: Vec<SegmentEntry>,
}

/// One audio rendition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioRendition {
    /// Its name, a path segment.
    pub id: RenditionId,
    /// Language, if known.
    pub language: Option<Language>,
    /// What a menu shows.
    pub name: String,
    /// Its track is played unless the viewer chooses otherwise; true for exactly one rendition.
    pub is_default: bool,
    /// Number of channels.
    pub channels: u16,
    /// RFC 6381 codec string, such as `mp4a.40.2`.
    pub codecs: String,
    /// Peak segment rate, as for video.
    pub peak_bitrate: Bitrate,
    /// Mean rate, as for video.
    pub average_bitrate: Bitrate,
    /// Ticks per second of the segments' durations: the sample rate.
    pub timescale: Timescale,
    /// All segments, in order.
    pub segments: Vec<SegmentEntry>,
}

/// One subtitle rendition: WebVTT segments in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubtitleRendition {
    /// Its name, a path segment.
    pub id: RenditionId,
    /// Language, if known.
    pub language: Option<Language>,
    /// What a menu shows.
    pub name: String,
    /// Only shown for foreign speech.
    pub is_forced: bool,
    /// Made for the deaf and hard of hearing, as far as the source says so.
    #[serde(default)]
    pub is_sdh: bool,
    /// Shown unless the viewer chooses otherwise.
    #[serde(default)]
    pub is_default: bool,
    /// Ticks per second of the segments' durations.
    pub timescale: Timescale,
    /// All segments, in order.
    pub segments: Vec<SegmentEntry>,
}

/// One segment. What the encoder decides is only known once the segment is committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentEntry {
    /// Duration on the rendition's timescale.
    pub ticks: u64,
    /// Length of the object; `None` while it is only planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// SHA-256 of the object, 64 hexadecimal digits; `None` while it is only planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Fragments that begin with an IDR, for I-frame playlists; empty for audio and text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keyframes: Vec<KeyframeRange>,
}

/// Where an I-frame lies in its segment: from its moof to the end of its first sample (HLS authoring 6.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyframeRange {
    /// First octet of the moof.
    pub offset: u64,
    /// Octets up to the end of the I-frame.
    pub length: u64,
    /// Duration of its fragment on the rendition's timescale.
    pub ticks: u64,
}

/// Pictures of an asset; file names below its `images/` folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Images {
    /// The poster, a JPEG.
    pub poster: String,
    /// Size of the poster.
    pub poster_resolution: Resolution,
    /// Single thumbnails, JPEGs in order of time.
    pub thumbnails: Vec<Thumbnail>,
    /// Sheets of tiles for previews on the seek bar; empty for very short videos.
    pub storyboard: Option<Storyboard>,
    /// A few moments in motion, an animated WebP without sound; `None` for stills and where it could not be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
    /// The poster in a few characters, to be shown while it loads: its BlurHash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blurhash: Option<String>,
    /// The same as a ThumbHash in base 64, which knows the poster's shape too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbhash: Option<String>,
    /// The poster that was found to be the best, where somebody chose another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scored: Option<Still>,
}

/// A single picture with what is shown while it loads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Still {
    /// File name, of a JPEG.
    pub file: String,
    /// Its size.
    pub resolution: Resolution,
    /// Its BlurHash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blurhash: Option<String>,
    /// Its ThumbHash in base 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbhash: Option<String>,
}

impl Images {
    /// These pictures with the poster that somebody chose; of something of which nothing is to be seen, that alone.
    pub fn with_poster(images: Option<Self>, chosen: Still) -> Self {
        let Still { file, resolution, blurhash, thumbhash } = chosen;
        let poster = |scored, thumbnails, storyboard, preview| Self {
            poster: file,
            poster_resolution: resolution,
            thumbnails,
            storyboard,
            preview,
            blurhash,
            thumbhash,
            scored,
        };
        match images.and_then(Self::unchosen) {
            None => poster(None, Vec::new(), None, None),
            Some(images) => {
                let (file, resolution) = (images.poster, images.poster_resolution);
                let scored = Still { file, resolution, blurhash: images.blurhash, thumbhash: images.thumbhash };
                poster(Some(scored), images.thumbnails, images.storyboard, images.preview)
            }
        }
    }

    /// The same with the poster that was found to be the best; `None` if there is none, and so nothing else.
    pub fn unchosen(self) -> Option<Self> {
        match self.scored {
            Some(Still { file, resolution, blurhash, thumbhash }) => {
                Some(Self { poster: file, poster_resolution: resolution, blurhash, thumbhash, scored: None, ..self })
            }
            None => (!crate::poster::is_chosen(&self.poster)).then_some(self),
        }
    }

    /// All file names.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let thumbnails = self.thumbnails.iter().map(|thumbnail| thumbnail.file.as_str());
        let sheets = self.storyboard.iter().flat_map(|storyboard| storyboard.sheets.iter().map(String::as_str));
        let scored = self.scored.as_ref().map(|still| still.file.as_str());
        let single = std::iter::once(self.poster.as_str()).chain(scored);
        single.chain(thumbnails).chain(sheets).chain(self.preview.as_deref())
    }
}

/// One thumbnail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thumbnail {
    /// The moment it shows.
    pub time: MediaTime,
    /// File name.
    pub file: String,
}

/// Tiles of equal size and distance in time, row by row on one or more sheets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storyboard {
    /// File names of the sheets, in order.
    pub sheets: Vec<String>,
    /// Size of one tile.
    pub tile: Resolution,
    /// Tiles in a row.
    pub columns: u32,
    /// Rows on a full sheet.
    pub rows: u32,
    /// Tiles on all sheets.
    pub tile_count: u32,
    /// Time from one tile to the next.
    pub interval: MediaTime,
}

impl Presentation {
    /// The pointer that makes this presentation the current one.
    pub fn pointer(&self) -> Pointer {
        Pointer {
            schema: self.schema,
            asset: self.asset,
            generation: self.generation,
            revision: self.revision,
            turn: 0,
            is_complete: self.is_complete,
            retained: Vec::new(),
            access: Access::default(),
            documents: Vec::new(),
        }
    }

    /// True if it is the verified whole, false if parts of it are still being made.
    pub fn is_complete(&self) -> bool {
        is_complete(self.is_complete, self.revision)
    }

    /// The renditions of a plan in other codecs than H.264, as [`planned`](Self::planned) has those in H.264:
    /// what a player could not wait for is shown once it is complete.
    pub fn planned_extra(plan: &Plan) -> Vec<VideoRendition> {
        let rate = plan.cadence.frame_rate;
        let extra = plan.video.iter().flat_map(|video| video.extra.iter().flatten());
        let rendition = |rung: &crate::ladder::Rung| VideoRendition {
            id: rung.id.clone(),
            resolution: rung.resolution,
            frame_rate: rate,
            // The encoder chooses profile and level.
            codecs: String::new(),
            peak_bitrate: rung.bitrate_max,
            average_bitrate: rung.bitrate_max,
            timescale: rate.timescale(),
            segments: entries(plan.video_spans(), u64::from(rate.frame_ticks())),
        };
        extra.map(rendition).collect()
    }

    /// Revision 0 of a generation: every segment of the plan, none of them measured.
    ///
    /// Bit rates are the recipe's caps, which measured rates stay within. Subtitle renditions are
    /// left out, since how many cues a track holds is not known before it is read.
    pub fn planned(asset: AssetId, playback: PlaybackId, generation: Generation, plan: &Plan) -> Self {
        let rate = plan.cadence.frame_rate;
        let rungs = plan.video.as_ref().map_or(&[][..], |video| &video.rungs);
        let copied = plan.video.as_ref().and_then(|video| video.copied_rung().zip(video.copied.as_ref()));
        let codecs = |rung: &crate::ladder::Rung| match copied {
            Some((copied, codecs)) if copied.id == rung.id => codecs.clone(),
            _ => format!("avc1.6400{:02x}", rung.level),
        };
        let video = rungs.iter().map(|rung| VideoRendition {
            id: rung.id.clone(),
            resolution: rung.resolution,
            frame_rate: rate,
            codecs: codecs(rung),
            peak_bitrate: rung.bitrate_max,
            average_bitrate: rung.bitrate_max,
            timescale: rate.timescale(),
            segments: entries(plan.video_spans(), u64::from(rate.frame_ticks())),
        });
        let audio = plan.audio.iter().enumerate().map(|(at, audio)| AudioRendition {
            id: audio.id.clone(),
            language: audio.language.clone(),
            name: audio.name.clone(),
            is_default: at == 0,
            channels: audio.channels,
            codecs: "mp4a.40.2".into(),
            peak_bitrate: plan.audio_bitrate(audio),
            average_bitrate: plan.audio_bitrate(audio),
            timescale: plan.audio_timescale(audio),
            segments: entries(plan.audio_spans(audio), u64::from(crate::AAC_FRAME_SAMPLES)),
        });
        Self {
            schema: SCHEMA,
            asset,
            playback,
            generation,
            revision: 0,
            is_complete: Some(false),
            title: None,
            duration: plan.duration,
            cadence: plan.cadence.clone(),
            first: copied.map(|(rung, _)| rung.id.clone()),
            video: video.collect(),
            audio: audio.collect(),
            subtitles: Vec::new(),
            chapters: Vec::new(),
            markers: Vec::new(),
            images: None,
            files: Vec::new(),
        }
    }
}

fn entries(spans: Vec<crate::Span>, frame_ticks: u64) -> Vec<SegmentEntry> {
    let entry = |span: crate::Span| SegmentEntry {
        ticks: u64::from(span.count) * frame_ticks,
        bytes: None,
        sha256: None,
        keyframes: vec![],
    };
    spans.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn still(file: &str) -> Still {
        let resolution = Resolution { width: 640, height: 360 };
        Still { file: file.into(), resolution, blurhash: None, thumbhash: Some(file.into()) }
    }

    #[test]
    fn a_chosen_poster_stands_beside_the_scored_one_and_can_be_taken_back() {
        let alone = Images::with_poster(None, still("poster-pic.jpg"));
        assert_eq!(alone.files().collect::<Vec<_>>(), ["poster-pic.jpg"]);
        assert_eq!(alone.unchosen(), None, "nothing was to be seen");
        let thumbnails = vec![Thumbnail { time: MediaTime::zero(), file: "thumbnail-0.jpg".into() }];
        let scored =
            Images { poster: "poster.jpg".into(), thumbnails, ..Images::with_poster(None, still("poster.jpg")) };
        let chosen = Images::with_poster(Some(scored.clone()), still("poster-1500.jpg"));
        assert_eq!(chosen.files().collect::<Vec<_>>(), ["poster-1500.jpg", "poster.jpg", "thumbnail-0.jpg"]);
        assert_eq!(chosen.thumbhash.as_deref(), Some("poster-1500.jpg"));
        let again = Images::with_poster(Some(chosen.clone()), still("poster-9.jpg"));
        assert_eq!(again.files().collect::<Vec<_>>(), ["poster-9.jpg", "poster.jpg", "thumbnail-0.jpg"]);
        for images in [chosen, again, scored.clone()] {
            assert_eq!(images.unchosen().as_ref(), Some(&scored));
        }
        let text = serde_json::to_string(&scored).expect("serialises");
        assert!(!text.contains("scored"), "documents of before are the same: {text}");
    }

    #[test]
    fn a_pointer_reads_back_from_its_json() {
        let (asset, generation) = (AssetId::from_u128(1), Generation(2));
        let retained = Vec::new();
        let pointer = Pointer {
            schema: SCHEMA,
            asset,
            generation,
            revision: 1,
            turn: 0,
            is_complete: Some(false),
            retained,
            access: Access::default(),
            documents: Vec::new(),
        };
        let json = serde_json::to_string(&pointer).expect("serialises");
        let head = r#"{"schema":1,"asset":"ast_00000000000000000000000001","generation":2,"revision":1"#;
        assert_eq!(json, format!(r#"{head},"is_complete":false}}"#));
        assert_eq!(serde_json::from_str::<Pointer>(&json).expect("reads back"), pointer);
        assert!(!pointer.is_complete());
        let retained = vec![Retained { generation: Generation(1), revision: 3 }];
        let replaced = Pointer { retained, ..pointer };
        let json = serde_json::to_string(&replaced).expect("serialises");
        assert!(json.ends_with(r#""retained":[{"generation":1,"revision":3}]}"#), "{json}");
        assert_eq!(serde_json::from_str::<Pointer>(&json).expect("reads back"), replaced);
        let restored = Pointer { turn: 1, generation: Generation(1), ..replaced.clone() };
        let json = serde_json::to_string(&restored).expect("serialises");
        assert_eq!(serde_json::from_str::<Pointer>(&json).expect("reads back"), restored);
        assert!(restored.rank() > replaced.rank(), "what was gone back to is in force");
    }

    #[test]
    fn documents_that_do_not_say_whether_they_are_complete_tell_it_by_their_revision() {
        let read = |revision: u32| {
            let head = r#"{"schema":1,"asset":"ast_00000000000000000000000001","generation":2"#;
            serde_json::from_str::<Pointer>(&format!(r#"{head},"revision":{revision}}}"#)).expect("an older form")
        };
        assert!(!read(0).is_complete());
        assert!(read(1).is_complete());
    }
}
