//! Is a static HLS folder exact? Read with parsers that we did not write: m3u8-rs, mp4-atom, ffprobe.
//!
//! Used by several test binaries: `#[path = "../hls_folder/check.rs"] mod check;`

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use m3u8_rs::{AlternativeMedia, AlternativeMediaType, MasterPlaylist, MediaPlaylist, MediaSegment};
use mp4_atom::{Any, Decode, Moof};

/// What a folder holds, once it is known to be exact.
#[derive(Debug)]
pub(crate) struct Report {
    /// Length of the picture in seconds; `None` without one.
    pub(crate) video_duration_s: Option<f64>,
    /// Length of the longest audio rendition in seconds; `None` without one.
    pub(crate) audio_duration_s: Option<f64>,
    /// Video renditions, as the multivariant playlist lists them.
    pub(crate) renditions: Vec<Rendition>,
    /// Languages of the audio renditions of the first group; those without one are left out.
    pub(crate) audio_languages: Vec<String>,
    /// `CHANNELS` of the audio renditions, group by group.
    pub(crate) audio_channels: Vec<String>,
    /// Languages of the subtitle renditions; those without one are left out.
    pub(crate) subtitle_languages: Vec<String>,
    /// Chapters in `chapters.json`.
    pub(crate) chapter_count: usize,
}

/// One video rendition.
#[derive(Debug)]
pub(crate) struct Rendition {
    /// Folder name.
    pub(crate) id: String,
    pub(crate) width: u64,
    pub(crate) height: u64,
    /// Frames in all segments.
    pub(crate) frames: usize,
    /// Ticks of one frame.
    pub(crate) frame_ticks: u64,
    /// Ticks per second.
    pub(crate) timescale: u32,
    pub(crate) segments: usize,
}

/// Reads the whole folder.
///
/// # Panics
/// Naming what is inexact: a gap, a frame off its grid, an EXTINF that is not its segment's length,
/// renditions that do not share their boundaries, a second init segment, a frame that does not decode.
pub(crate) fn check(dir: &Path) -> Report {
    let master = master(dir);
    let variants = || master.variants.iter().filter(|variant| !variant.is_i_frame);
    // Each picture is listed once per audio group.
    let mut with_picture: Vec<_> = variants().filter(|variant| variant.resolution.is_some()).collect();
    let combinations = with_picture.len();
    let mut seen = HashSet::new();
    with_picture.retain(|variant| seen.insert(variant.uri.clone()));
    let pictures: Vec<Track> = with_picture.iter().map(|variant| Track::read(dir, &variant.uri)).collect();
    for picture in &pictures {
        picture.assert_contiguous();
        picture.assert_even();
        picture.assert_one_init();
        picture.assert_decodes();
        assert_eq!(picture.boundaries(), pictures[0].boundaries(), "{}: other boundaries", picture.name());
    }
    let others = |kind: AlternativeMediaType| -> Vec<&AlternativeMedia> {
        master.alternatives.iter().filter(|other| other.media_type == kind).collect()
    };
    let groups = audio_groups(&others(AlternativeMediaType::Audio));
    assert_eq!(combinations, with_picture.len() * groups.len().max(1), "every picture with every group of sound");
    let sounds: Vec<&AlternativeMedia> = groups.first().cloned().unwrap_or_default();
    let alone = variants().filter(|variant| variant.resolution.is_none()).map(|variant| variant.uri.clone());
    let grouped = groups.iter().flatten().filter_map(|sound| sound.uri.clone());
    let uris: BTreeSet<String> = grouped.chain(alone).collect();
    let tracks: Vec<Track> = uris.iter().map(|uri| Track::read(dir, uri)).collect();
    for track in &tracks {
        track.assert_contiguous();
        track.assert_one_init();
        assert!(track.samples().all(|sample| sample.duration == 1024), "{}: not AAC frames", track.name());
    }
    let texts = others(AlternativeMediaType::Subtitles);
    texts.iter().for_each(|text| assert_texts(dir, text));
    let known = |other: &&AlternativeMedia| other.language.clone().filter(|language| language != "und");
    let languages = |all: &[&AlternativeMedia]| all.iter().filter_map(known).collect();
    let sizes = with_picture.iter().filter_map(|variant| variant.resolution);
    Report {
        video_duration_s: pictures.first().map(Track::seconds),
        audio_duration_s: tracks.iter().map(Track::seconds).reduce(f64::max),
        renditions: pictures.iter().zip(sizes).map(|(picture, size)| picture.rendition(size)).collect(),
        audio_languages: languages(&sounds),
        audio_channels: groups.iter().flatten().filter_map(|sound| sound.channels.clone()).collect(),
        subtitle_languages: languages(&texts),
        chapter_count: chapter_count(dir),
    }
}

/// The audio groups in the order of the playlist. All have the same members (RFC 8216 §4.3.4.1.1).
fn audio_groups<'a>(sounds: &[&'a AlternativeMedia]) -> Vec<Vec<&'a AlternativeMedia>> {
    let mut groups: Vec<Vec<&AlternativeMedia>> = Vec::new();
    for sound in sounds {
        match groups.iter_mut().find(|group| group[0].group_id == sound.group_id) {
            Some(group) => group.push(sound),
            None => groups.push(vec![sound]),
        }
    }
    let members = |group: &[&AlternativeMedia]| -> Vec<_> {
        group.iter().map(|sound| (sound.name.clone(), sound.language.clone(), sound.default)).collect()
    };
    for group in &groups {
        assert_eq!(members(group), members(&groups[0]), "audio groups have different members");
    }
    groups
}

fn master(dir: &Path) -> MasterPlaylist {
    m3u8_rs::parse_master_playlist(&read(&dir.join("master.m3u8"))).expect("a multivariant playlist").1
}

fn read(file: &Path) -> Vec<u8> {
    std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn playlist(file: &Path) -> MediaPlaylist {
    let playlist = m3u8_rs::parse_media_playlist(&read(file)).expect("a media playlist").1;
    assert!(playlist.end_list && !playlist.segments.is_empty(), "{}: not a whole VOD", file.display());
    let longest = playlist.segments.iter().map(|segment| f64::from(segment.duration).round()).fold(0.0, f64::max);
    #[expect(clippy::cast_precision_loss, reason = "a target duration is a small number of seconds")]
    let target = playlist.target_duration as f64;
    assert!(longest <= target, "{}: a segment of {longest} s, target {target}", file.display());
    playlist
}

fn chapter_count(dir: &Path) -> usize {
    let Ok(text) = std::fs::read_to_string(dir.join("chapters.json")) else { return 0 };
    let chapters: serde_json::Value = serde_json::from_str(&text).expect("chapters.json is JSON");
    chapters.as_array().map_or(0, Vec::len)
}

fn assert_texts(dir: &Path, text: &AlternativeMedia) {
    let file = dir.join(text.uri.as_ref().expect("subtitles have a playlist"));
    for segment in &playlist(&file).segments {
        let cues = String::from_utf8(read(&file.with_file_name(&segment.uri))).expect("WebVTT is UTF-8");
        assert!(cues.starts_with("WEBVTT"), "{}", segment.uri);
        assert!(cues.contains("X-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000"), "{}", segment.uri);
    }
}

/// One sample of a track run.
struct Sample {
    duration: u64,
    offset: i64,
    is_sync: bool,
}

struct Fragment {
    decode_time: u64,
    samples: Vec<Sample>,
}

/// A rendition: its playlist and what its segments hold.
struct Track {
    folder: PathBuf,
    playlist: MediaPlaylist,
    timescale: u32,
    segments: Vec<Vec<Fragment>>,
}

fn atoms(bytes: &[u8]) -> Vec<Any> {
    let mut rest = bytes;
    let mut atoms = Vec::new();
    while !rest.is_empty() {
        atoms.push(Any::decode(&mut rest).expect("a box that parses"));
    }
    atoms
}

/// `sample_is_non_sync_sample` (ISO/IEC 14496-12 §8.8.3.1).
const NON_SYNC: u32 = 0x0001_0000;

fn fragment(moof: &Moof) -> Fragment {
    let traf = &moof.traf[0];
    assert_eq!((moof.traf.len(), traf.trun.len()), (1, 1), "one track and one run in a fragment");
    let sample = |entry: mp4_atom::TrunEntry| Sample {
        duration: u64::from(entry.duration.or(traf.tfhd.default_sample_duration).expect("a duration")),
        offset: entry.cts.unwrap_or(0),
        is_sync: entry.flags.or(traf.tfhd.default_sample_flags).expect("flags") & NON_SYNC == 0,
    };
    Fragment {
        decode_time: traf.tfdt.as_ref().expect("a decode time").base_media_decode_time,
        samples: traf.trun[0].samples.iter().map(sample).collect(),
    }
}

impl Track {
    fn read(dir: &Path, uri: &str) -> Self {
        let file = dir.join(uri);
        let folder = file.parent().expect("a folder").to_owned();
        let playlist = playlist(&file);
        let init = read(&folder.join(map(&playlist.segments[0])));
        let timescale = atoms(&init).iter().find_map(|atom| match atom {
            Any::Moov(moov) => Some(moov.trak[0].mdia.mdhd.timescale),
            _ => None,
        });
        let fragments = |segment: &MediaSegment| {
            let fragment = |atom: &Any| if let Any::Moof(moof) = atom { Some(fragment(moof)) } else { None };
            atoms(&read(&folder.join(&segment.uri))).iter().filter_map(fragment).collect::<Vec<_>>()
        };
        let segments = playlist.segments.iter().map(fragments).collect();
        Self { timescale: timescale.expect("a moov"), segments, playlist, folder }
    }

    fn name(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.segments.iter().flatten().flat_map(|fragment| &fragment.samples)
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds are for printing and for comparing with text")]
    fn in_seconds(&self, ticks: u64) -> f64 {
        ticks as f64 / f64::from(self.timescale)
    }

    fn seconds(&self) -> f64 {
        self.in_seconds(self.samples().map(|sample| sample.duration).sum())
    }

    fn boundaries(&self) -> Vec<u64> {
        self.segments.iter().map(|segment| segment[0].decode_time).collect()
    }

    fn rendition(&self, size: m3u8_rs::Resolution) -> Rendition {
        Rendition {
            id: self.name(),
            width: size.width,
            height: size.height,
            frames: self.samples().count(),
            frame_ticks: self.segments[0][0].samples[0].duration,
            timescale: self.timescale,
            segments: self.segments.len(),
        }
    }

    /// Decode times continue without a gap, and each EXTINF is its segment's length.
    ///
    /// Sound that was taken over begins less than a frame behind zero.
    fn assert_contiguous(&self) {
        let name = self.name();
        let mut next = self.segments[0][0].decode_time;
        assert!(next < self.segments[0][0].samples[0].duration, "{name} begins late");
        for (at, segment) in self.segments.iter().enumerate() {
            let begun = next;
            assert!(!segment.is_empty(), "{name}: segment {at} is empty");
            for fragment in segment {
                assert_eq!(fragment.decode_time, next, "{name}: segment {at} does not continue the one before");
                assert!(
                    fragment.samples[0].is_sync,
                    "{name}: a fragment of segment {at} does not begin with a sync sample"
                );
                next += fragment.samples.iter().map(|sample| sample.duration).sum::<u64>();
            }
            let (seconds, told) = (self.in_seconds(next - begun), f64::from(self.playlist.segments[at].duration));
            // EXTINF is printed with five decimals and read into 24 bits.
            assert!((told - seconds).abs() < 2e-5, "{name}: EXTINF {told} of segment {at} should be {seconds}");
        }
    }

    /// Presentation times of all frames are exactly one frame apart, from zero.
    fn assert_even(&self) {
        let mut times = Vec::new();
        for fragment in self.segments.iter().flatten() {
            let mut decode = i64::try_from(fragment.decode_time).expect("fits");
            for sample in &fragment.samples {
                times.push(decode + sample.offset);
                decode += i64::try_from(sample.duration).expect("fits");
            }
        }
        times.sort_unstable();
        let frame = i64::try_from(self.segments[0][0].samples[0].duration).expect("fits");
        for (time, expected) in times.into_iter().zip((0..).map(|at| at * frame)) {
            assert_eq!(time, expected, "{}: a frame is off its grid", self.name());
        }
    }

    /// All segments name one init segment, and there is no other.
    fn assert_one_init(&self) {
        let first = map(&self.playlist.segments[0]);
        // A map holds until the next one; naming it once is enough.
        let strays =
            self.playlist.segments.iter().filter(|segment| segment.map.as_ref().is_some_and(|map| map.uri != first));
        assert_eq!(strays.count(), 0, "{}: several init segments", self.name());
        let entries = std::fs::read_dir(&self.folder).expect("the rendition's folder");
        let is_init = |path: &Path| path.extension().is_some_and(|extension| extension == "mp4");
        assert_eq!(entries.filter(|entry| entry.as_ref().is_ok_and(|entry| is_init(&entry.path()))).count(), 1);
    }

    /// ffprobe decodes as many frames as there are samples, and complains of nothing.
    #[expect(clippy::disallowed_methods, reason = "output is decoded by a program that is not ours")]
    fn assert_decodes(&self) {
        let mut whole = read(&self.folder.join(map(&self.playlist.segments[0])));
        for segment in &self.playlist.segments {
            whole.extend(read(&self.folder.join(&segment.uri)));
        }
        let file = tempfile::Builder::new().suffix(".mp4").tempfile().expect("a temporary file");
        std::fs::write(file.path(), whole).expect("written");
        let decoded = Command::new("ffprobe")
            .args(["-v", "error", "-count_frames", "-select_streams", "v:0", "-of", "csv=p=0"])
            .args(["-show_entries", "stream=pix_fmt,nb_read_frames"])
            .arg(file.path())
            .output()
            .expect("Debian's package ffmpeg has ffprobe");
        let complaints = String::from_utf8_lossy(&decoded.stderr);
        assert!(complaints.trim().is_empty(), "{}: ffprobe says {complaints}", self.name());
        let told = String::from_utf8_lossy(&decoded.stdout).trim().to_owned();
        assert_eq!(told, format!("yuv420p,{}", self.samples().count()), "{}", self.name());
    }
}

fn map(segment: &MediaSegment) -> &str {
    &segment.map.as_ref().expect("an init segment").uri
}
