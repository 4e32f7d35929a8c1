//! Every frame where the plan puts it: our output read with parsers that we did not write.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fixtures::media::{self, ClipSpec};
use m3u8_rs::{MasterPlaylist, MediaPlaylist};
use mp4_atom::{Any, Decode, Moof};

use crate::harness::{program, run, text};

/// One fragment's samples: decode time of the first, and for each (duration, composition offset, is sync).
struct Fragment {
    decode_time: u64,
    samples: Vec<(u64, i64, bool)>,
}

/// What a rendition's segments hold.
struct Track {
    /// Fragments of each segment.
    segments: Vec<Vec<Fragment>>,
    timescale: u32,
    playlist: MediaPlaylist,
    folder: PathBuf,
}

fn atoms(bytes: &[u8]) -> Vec<Any> {
    let mut rest = bytes;
    let mut atoms = Vec::new();
    while !rest.is_empty() {
        atoms.push(Any::decode(&mut rest).unwrap());
    }
    atoms
}

/// `sample_is_non_sync_sample` (ISO/IEC 14496-12 §8.8.3.1).
const NON_SYNC: u32 = 0x0001_0000;

fn fragment(moof: &Moof) -> Fragment {
    let traf = &moof.traf[0];
    assert_eq!((moof.traf.len(), traf.trun.len()), (1, 1), "one track, one run");
    let sample = |entry: mp4_atom::TrunEntry| {
        let duration = entry.duration.or(traf.tfhd.default_sample_duration).unwrap();
        let flags = entry.flags.or(traf.tfhd.default_sample_flags).unwrap();
        (u64::from(duration), entry.cts.unwrap_or(0), flags & NON_SYNC == 0)
    };
    Fragment {
        decode_time: traf.tfdt.as_ref().unwrap().base_media_decode_time,
        samples: traf.trun[0].samples.iter().map(sample).collect(),
    }
}

fn master(out: &Path) -> MasterPlaylist {
    m3u8_rs::parse_master_playlist(&std::fs::read(out.join("master.m3u8")).unwrap()).unwrap().1
}

fn track(out: &Path, uri: &str) -> Track {
    let file = out.join(uri);
    let folder = file.parent().unwrap().to_owned();
    let playlist = m3u8_rs::parse_media_playlist(&std::fs::read(&file).unwrap()).unwrap().1;
    let init = std::fs::read(folder.join(&playlist.segments[0].map.as_ref().unwrap().uri)).unwrap();
    let timescale = atoms(&init).into_iter().find_map(|atom| match atom {
        Any::Moov(moov) => Some(moov.trak[0].mdia.mdhd.timescale),
        _ => None,
    });
    let segment = |segment: &m3u8_rs::MediaSegment| {
        let bytes = std::fs::read(folder.join(&segment.uri)).unwrap();
        atoms(&bytes)
            .iter()
            .filter_map(|atom| if let Any::Moof(moof) = atom { Some(fragment(moof)) } else { None })
            .collect()
    };
    let segments = playlist.segments.iter().map(segment).collect();
    Track { segments, timescale: timescale.unwrap(), playlist, folder }
}

impl Track {
    fn ticks(&self, segment: usize) -> u64 {
        self.segments[segment].iter().flat_map(|fragment| &fragment.samples).map(|sample| sample.0).sum()
    }

    fn sample_count(&self) -> usize {
        self.segments.iter().flatten().map(|fragment| fragment.samples.len()).sum()
    }

    /// Decode times continue without a gap, and each EXTINF is its segment's length.
    fn assert_contiguous(&self) {
        let mut next = 0;
        for (at, segment) in self.segments.iter().enumerate() {
            assert!(!segment.is_empty(), "segment {at} is empty");
            for fragment in segment {
                assert_eq!(fragment.decode_time, next, "segment {at} of {}", self.folder.display());
                assert!(fragment.samples[0].2, "a fragment begins with a sync sample");
                next += fragment.samples.iter().map(|sample| sample.0).sum::<u64>();
            }
            #[expect(clippy::cast_precision_loss, reason = "EXTINF is text")]
            let seconds = self.ticks(at) as f64 / f64::from(self.timescale);
            let told = f64::from(self.playlist.segments[at].duration);
            assert!(
                (told - seconds).abs() < 2e-5 * seconds.max(1.0),
                "EXTINF {told} of segment {at} should be {seconds}"
            );
        }
    }

    /// Presentation times of all frames are exactly one frame apart, from zero.
    fn assert_even(&self) {
        let mut times = Vec::new();
        for fragment in self.segments.iter().flatten() {
            let mut decode = i64::try_from(fragment.decode_time).unwrap();
            for (duration, offset, _) in &fragment.samples {
                times.push(decode + offset);
                decode += i64::try_from(*duration).unwrap();
            }
        }
        times.sort_unstable();
        let frame = i64::try_from(self.segments[0][0].samples[0].0).unwrap();
        let expected: Vec<i64> = (0..).map(|at| at * frame).take(times.len()).collect();
        assert!(times == expected, "frames of {} are not evenly spaced from zero", self.folder.display());
    }

    fn boundaries(&self) -> Vec<u64> {
        self.segments.iter().map(|segment| segment[0].decode_time).collect()
    }
}

/// Transcodes a file; the folder lives as long as the guard.
fn transcoded(source: &Path) -> (tempfile::TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    let done = run(&["transcode", text(source), "-o", text(&out)]);
    assert_eq!(done.status.code(), Some(0), "{}: {}", source.display(), String::from_utf8_lossy(&done.stderr));
    (temp, out)
}

/// Checks one source from end to end; its expected number of output frames, if it is known beforehand.
fn check(source: &Path, frames: Option<usize>) {
    let (_temp, out) = transcoded(source);
    let master = master(&out);
    let variants: Vec<&m3u8_rs::VariantStream> = master.variants.iter().filter(|variant| !variant.is_i_frame).collect();
    let videos: BTreeMap<&str, Track> = variants
        .iter()
        .filter(|variant| variant.resolution.is_some())
        .map(|variant| (variant.uri.as_str(), track(&out, &variant.uri)))
        .collect();
    let mut boundaries: Option<Vec<u64>> = None;
    for (uri, video) in &videos {
        video.assert_contiguous();
        video.assert_even();
        let count = video.sample_count();
        assert!(frames.is_none_or(|frames| frames == count), "{uri} has {count} frames, not {frames:?}");
        let ours = video.boundaries();
        assert_eq!(boundaries.get_or_insert_with(|| ours.clone()), &ours, "boundaries differ over the renditions");
        assert_one_init(&out, video);
        assert_decodes(video, count);
    }
    for audio in master.alternatives.iter().filter(|other| other.media_type == m3u8_rs::AlternativeMediaType::Audio) {
        let audio = track(&out, audio.uri.as_deref().unwrap());
        audio.assert_contiguous();
        assert!(audio.segments.iter().flatten().flat_map(|fragment| &fragment.samples).all(|sample| sample.0 == 1024));
    }
}

/// All segments of a rendition name the same init segment, and there is no other.
fn assert_one_init(out: &Path, track: &Track) {
    let named: Vec<&str> =
        track.playlist.segments.iter().filter_map(|segment| Some(segment.map.as_ref()?.uri.as_str())).collect();
    assert!(!named.is_empty() && named.iter().all(|uri| *uri == named[0]), "{}", out.display());
    let inits = std::fs::read_dir(&track.folder).unwrap();
    let inits =
        inits.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "mp4"));
    assert_eq!(inits.count(), 1);
}

/// ffprobe decodes as many frames as there are samples, and complains of nothing.
fn assert_decodes(track: &Track, count: usize) {
    let mut whole = std::fs::read(track.folder.join(&track.playlist.segments[0].map.as_ref().unwrap().uri)).unwrap();
    for segment in &track.playlist.segments {
        whole.extend(std::fs::read(track.folder.join(&segment.uri)).unwrap());
    }
    let file = tempfile::Builder::new().suffix(".mp4").tempfile().unwrap();
    std::fs::write(file.path(), whole).unwrap();
    let asked =
        ["-v", "error", "-count_frames", "-select_streams", "v:0", "-show_entries", "stream=nb_read_frames,pix_fmt"];
    let told = program("ffprobe", &[&asked[..], &["-of", "csv=p=0", text(file.path())]].concat());
    assert_eq!(told.trim(), format!("yuv420p,{count}"), "{}", track.folder.display());
}

#[test]
fn whole_and_fractional_rates_give_every_frame_its_place() {
    check(&media::clip(&ClipSpec { seconds: 9.0, width: 640, height: 480, ..ClipSpec::default() }), Some(225));
    let ntsc = ClipSpec { seconds: 7.0, rate: "30000/1001", audio: vec!["eng", "deu"], ..ClipSpec::default() };
    check(&media::clip(&ntsc), Some(210));
}

#[test]
fn sound_alone_is_cut_without_a_gap() {
    check(&media::clip(&ClipSpec { seconds: 9.0, width: 0, height: 0, container: "m4a", ..ClipSpec::default() }), None);
}

#[test]
fn real_files_keep_their_frames() {
    let natural =
        [("a_sam2_02_cups.mp4", Some(300)), ("g_androidx_sample_with_chapters.mp4", None), ("k_vide_ocean.webm", None)];
    for (name, frames) in natural {
        if let Some(file) = fixtures::corpus_file(name) {
            check(&file, frames);
        }
    }
}
