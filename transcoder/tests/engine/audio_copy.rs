//! Sound that is taken over as it is: not a bit of it changes, and it stays where it was against the picture.

use std::path::{Path, PathBuf};

use domain::passthrough::{self, SoundObstacle};
use domain::{FailureCode, Span};
use fixtures::media::{self, ClipSpec};
use libtest_mimic::Trial;
use transcoder::{AudioSegment, EngineError};

use crate::hearing::{RATE, burst_near, decoded};
use crate::setup::{Planned, all, engine, planned_with, source_of, trial};

/// A burst of 10 ms at the start of every second.
const BURSTS: &str =
    "aeval=exprs=0.7*lt(mod(t\\,1)\\,0.01)*sin(2*PI*1000*t):channel_layout=stereo,pan=stereo|c0=c0|c1=c1";

/// How far a burst may be from its time, in seconds: containers of milliseconds round it.
const OFF_MAX: f64 = 0.002;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for container in ["mp4", "mkv", "mov", "flv", "m4a"] {
        let name = |what: &str| format!("{what}_of_{container}");
        trials.push(trial(&name("not_a_bit_of_the_sound"), move || not_a_bit_changes(container, 48_000)));
        trials.push(trial(&name("at_44100_not_a_bit_of_the_sound"), move || not_a_bit_changes(container, 44_100)));
        trials.push(trial(&name("bursts_are_heard_in_time"), move || in_time(container)));
    }
    trials.extend([
        trial("priming_of_1024_samples_is_not_played", || primed(1024)),
        trial("priming_of_2112_samples_is_not_played", || primed(2112)),
        trial("sound_that_begins_a_little_late_keeps_its_distance", a_little_late),
        trial("sound_with_a_gap_or_a_late_start_is_encoded", not_in_one_row),
        trial("sound_without_a_configuration_is_encoded", without_configuration),
        trial("sound_of_six_channels_is_taken_over_and_of_one_becomes_stereo", other_layouts),
        trial("copied_segments_of_sound_do_not_depend_on_each_other", independent),
        trial("sound_that_breaks_its_promise_is_refused", broken_promises),
    ]);
    trials
}

fn clip(container: &'static str, seconds: f64, filter: &str, args: &[&'static str]) -> PathBuf {
    let filter: &'static str = format!("{BURSTS}{filter}").leak();
    let side = if container == "m4a" { 0 } else { 64 };
    let audio_args = [&["-af", filter, "-c:a", "aac"], args].concat();
    media::clip(&ClipSpec { seconds, width: side, height: side, container, audio_args, ..ClipSpec::default() })
}

/// The AAC frames of a file, found by a program that is not ours; some of them may not be played.
#[expect(clippy::disallowed_methods, reason = "the source is read by a program that is not ours")]
fn frames_of(path: &Path) -> Vec<Vec<u8>> {
    let output = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-map", "0:a:0", "-c", "copy", "-f", "adts", "-"])
        .output()
        .expect("Debian's package ffmpeg");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut rest = output.stdout.as_slice();
    let mut frames = Vec::new();
    while let [0xff, _, _, third, fourth, fifth, _, ..] = rest {
        let length = usize::from(third & 3) << 11 | usize::from(*fourth) << 3 | usize::from(fifth >> 5);
        frames.push(rest[7..length].to_vec());
        rest = &rest[length..];
    }
    assert!(rest.is_empty(), "not ADTS");
    frames
}

fn frames_in(segments: &[AudioSegment]) -> Vec<Vec<u8>> {
    segments.iter().flat_map(|segment| segment.frames.clone()).collect()
}

async fn not_a_bit_changes(container: &'static str, rate: u32) {
    let args: &[&str] = if rate == 48_000 { &["-ar", "48000"] } else { &["-ar", "44100"] };
    let path = clip(container, 14.0, "", args);
    let source = planned_with(&path, true).await;
    let audio = &source.plan.audio[0];
    let copied = audio.copied.as_ref().unwrap_or_else(|| panic!("{:?}", source.probe.audio));
    assert_eq!((copied.sample_rate, audio.channels), (rate, 2));
    let segments = source.take_over_audio(source.copy_audio(0, |_| true)).await.expect("segments");
    let spans: Vec<Span> = segments.iter().map(|segment| segment.span).collect();
    assert_eq!(spans, source.plan.audio_spans(audio));
    let (made, own) = (frames_in(&segments), frames_of(&path));
    let primed = own.len() - made.len();
    assert!(primed <= 2, "{container}: {primed} frames are left out");
    assert!(made == own[primed..], "{container}: frames differ");
    let end = source.probe.audio[0].extent.end.minus(source.plan.origin).expect("near").as_secs_f64();
    let ends = (f64::from(copied.offset) + made.len() as f64 * 1024.0) / f64::from(rate);
    assert!((-0.002..1024.0 / 44_100.0 + 0.002).contains(&(ends - end)), "{container}: {ends} s instead of {end} s");
}

/// How late bursts are that should be heard at these seconds of the picture, in segments that were taken over.
async fn lateness(source: &Planned, seconds: &[f64]) -> Vec<f64> {
    let segments = source.take_over_audio(source.copy_audio(0, |_| true)).await.expect("segments");
    let samples = decoded(&segments);
    let offset = f64::from(source.plan.audio[0].offset()) / RATE;
    // Where the plan puts the first picture.
    let picture = source.probe.main_video().map_or(source.plan.origin, |video| video.extent.start);
    let picture = picture.minus(source.plan.origin).expect("near").as_secs_f64();
    let heard = seconds.iter().map(|second| {
        let due = second + picture;
        burst_near(&samples, 0, due - offset).unwrap_or_else(|| panic!("nothing near {second} s")) + offset - due
    });
    heard.collect()
}

fn assert_in_time(lateness: &[f64]) {
    assert!(lateness.iter().all(|late| late.abs() <= OFF_MAX), "late by {lateness:?} s");
}

async fn in_time(container: &'static str) {
    let source = planned_with(&clip(container, 14.0, "", &["-ar", "48000"]), true).await;
    let seconds: Vec<f64> = (1..14).map(f64::from).collect();
    let late = lateness(&source, &seconds).await;
    assert_in_time(&late);
    let spread = late.iter().fold((f64::MAX, f64::MIN), |(least, most), late| (least.min(*late), most.max(*late)));
    assert!(spread.1 - spread.0 < 0.0005, "{late:?}");
}

/// A file whose edit list says that this many samples at the start of the sound are not played; the encoder
/// put 1024 there.
async fn primed(samples: u32) {
    let original = clip("mp4", 8.0, "", &["-ar", "48000"]);
    let mut bytes = std::fs::read(&original).expect("a clip");
    // Version and flags, the number of edits, and of the first its length and media time.
    let one_edit = [[0; 4], 1u32.to_be_bytes()].concat();
    let is_audio = |at: &usize| {
        bytes[*at..].starts_with(b"elst")
            && bytes[at + 4..at + 12] == one_edit
            && bytes[at + 16..at + 20] == 1024u32.to_be_bytes()
    };
    // The picture may have one like it, in front.
    let at = (0..bytes.len() - 20).rfind(is_audio).expect("an edit list of one edit at 1024");
    bytes[at + 16..at + 20].copy_from_slice(&samples.to_be_bytes());
    // It plays that much shorter, in the milliseconds of the movie.
    let length = u32::from_be_bytes(bytes[at + 12..at + 16].try_into().expect("four octets"));
    let shorter = length - (samples - 1024).div_ceil(48);
    bytes[at + 12..at + 16].copy_from_slice(&shorter.to_be_bytes());
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("primed.mp4");
    std::fs::write(&path, bytes).expect("written");
    let source = planned_with(&path, true).await;
    assert!(source.plan.audio[0].copied.is_some(), "{:?}", source.probe.audio);
    let own = frames_of(&original);
    let made = frames_in(&source.take_over_audio(source.copy_audio(0, |_| true)).await.expect("segments"));
    assert!(own.ends_with(&made), "frames differ");
    assert_eq!(own.len() - made.len(), (samples / 1024) as usize, "whole frames that are not played");
    // What is played begins that much earlier in the recording.
    let earlier = f64::from(samples - 1024) / RATE;
    let seconds: Vec<f64> = (1..8).map(|second| f64::from(second) - earlier).collect();
    assert_in_time(&lateness(&source, &seconds).await);
}

async fn a_little_late() {
    // The encoder puts 21 ms in front, which play here: the first frame begins 9 ms behind the picture.
    for container in ["mp4", "mkv"] {
        let source = planned_with(&clip(container, 8.0, ",asetpts=PTS+0.03/TB", &["-ar", "48000"]), true).await;
        let copied = source.plan.audio[0].copied.as_ref().unwrap_or_else(|| panic!("{:?}", source.probe.audio));
        assert!(copied.offset > 0, "{container}: {copied:?}");
        let seconds: Vec<f64> = (1..8).map(|second| f64::from(second) + 0.03).collect();
        assert_in_time(&lateness(&source, &seconds).await);
    }
}

async fn obstacle(path: &Path) -> Option<SoundObstacle> {
    let source = planned_with(path, true).await;
    let found = passthrough::plan_sound(&source.probe.audio[0], source.plan.origin, &source.plan.recipe).err();
    assert_eq!(source.plan.audio[0].copied.is_none(), found.is_some());
    found
}

async fn not_in_one_row() {
    for container in ["mp4", "mkv", "flv"] {
        let late = clip(container, 8.0, ",asetpts=PTS+2.5/TB", &["-ar", "48000"]);
        assert_eq!(obstacle(&late).await, Some(SoundObstacle::Start), "{container}");
        let gap = clip(container, 8.0, ",aselect=not(between(t\\,3.3\\,4.7))", &["-ar", "48000"]);
        assert_eq!(obstacle(&gap).await, Some(SoundObstacle::Rhythm), "{container}");
        let drift = clip(container, 20.0, ",asetpts=PTS*1.001", &["-ar", "48000"]);
        assert_eq!(obstacle(&drift).await, Some(SoundObstacle::Rhythm), "{container}");
    }
}

async fn without_configuration() {
    assert_eq!(obstacle(&clip("ts", 8.0, "", &["-ar", "48000"])).await, Some(SoundObstacle::Coding));
    assert_eq!(obstacle(&clip("mp4", 8.0, "", &["-ar", "32000"])).await, Some(SoundObstacle::Layout));
    let main = clip("mp4", 8.0, "", &["-ar", "48000", "-profile:a", "aac_main"]);
    assert_eq!(obstacle(&main).await, Some(SoundObstacle::Coding));
}

async fn other_layouts() {
    let mono = planned_with(&clip("mp4", 8.0, "", &["-ar", "48000", "-ac", "1"]), true).await;
    let [audio] = mono.plan.audio.as_slice() else { panic!("{:?}", mono.plan.audio) };
    assert_eq!((audio.channels, &audio.copied), (2, &None), "there is stereo always");
    let path = clip("mp4", 8.0, ",pan=5.1|c0=c0|c1=c1|c2=c0", &["-ar", "48000", "-b:a", "320k"]);
    let surround = planned_with(&path, true).await;
    let layouts: Vec<_> = surround.plan.audio.iter().map(|audio| (audio.channels, audio.copied.is_some())).collect();
    assert_eq!(layouts, [(2, false), (6, true)], "{:?}", surround.probe.audio);
    let made = frames_in(&surround.take_over_audio(surround.copy_audio(1, |_| true)).await.expect("segments"));
    assert!(frames_of(&path).ends_with(&made));
}

async fn independent() {
    for container in ["mp4", "mkv", "flv"] {
        let source = planned_with(&clip(container, 40.0, "", &["-ar", "44100"]), true).await;
        let together = source.take_over_audio(source.copy_audio(0, |_| true)).await.expect("segments");
        assert!(together.len() > 7);
        let mut apart = Vec::new();
        for segment in &together {
            let wanted = segment.span.index;
            apart.extend(source.take_over_audio(source.copy_audio(0, |span| span.index == wanted)).await.expect("one"));
        }
        assert!(apart == together, "{container}");
        let some = source.take_over_audio(source.copy_audio(0, |span| span.index % 3 == 1)).await.expect("segments");
        let expected: Vec<_> = together.iter().filter(|segment| segment.span.index % 3 == 1).cloned().collect();
        assert!(some == expected, "{container}");
    }
}

async fn broken_promises() {
    let source = planned_with(&clip("mp4", 14.0, "", &["-ar", "48000"]), true).await;
    let refused = |request| async {
        match source.take_over_audio(request).await {
            Err(EngineError::Refused(failure)) => {
                assert_eq!(failure.code, FailureCode::Damaged);
                failure.message
            }
            other => panic!("{other:?}"),
        }
    };
    let mut moved = source.copy_audio(0, |_| true);
    moved.offset += 400;
    assert!(refused(moved).await.contains("off its place"));
    let mut longer = source.copy_audio(0, |_| true);
    longer.frame_count += 1;
    longer.work.last_mut().expect("segments").count += 1;
    assert!(refused(longer).await.contains("it ends early"));
    let mut other = source.copy_audio(0, |_| true);
    other.config = vec![0x12, 0x10];
    assert!(refused(other).await.contains("its configuration differs"));
    let mut bytes = std::fs::read(&source.path).expect("a clip");
    // What cannot be a frame: a header in front of it.
    let victim = frames_of(&source.path)[200].clone();
    let at = bytes.windows(victim.len()).position(|window| *window == victim).expect("the frame");
    bytes[at..at + 2].copy_from_slice(&[0xff, 0xf1]);
    let request = source.copy_audio(0, |_| true);
    let session = engine().copy_audio(source_of(&bytes), request).expect("a session");
    let Err(EngineError::Refused(failure)) = all(session).await else { panic!("taken") };
    assert!(failure.message.contains("damaged or coded differently"), "{}", failure.message);
}
