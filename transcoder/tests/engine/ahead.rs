//! Sources of which only the first octets are there: what comes of them is what comes of the whole, or nothing.

use std::path::{Path, PathBuf};

use domain::ahead::needs;
use domain::{Generation, JobSpec};
use fixtures::corpus_file;
use fixtures::media::{self, ClipSpec};
use libtest_mimic::Trial;
use transcoder::{EngineError, Growing};

use crate::setup::{Planned, engine, open, planned_with, source_of, trial};

/// Files of the corpus with their index in front.
const INDEX_FIRST: &[&str] = &[
    "a_openshot_sintel_trailer-720p.mp4",
    "a_sam2_02_cups.mp4",
    "c_androidx_sample_edit_list.mp4",
    "f_torchcodec_nasa_13013.mp4",
    "j_androidx_bbb_800x640_768kbps_30fps_avc_2b_firstpts_10_sec.mp4",
];

/// Closed GOPs of two seconds of so few bits that the pictures can be shown as they are.
const PASSED: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-crf",
    "38",
    "-g",
    "50",
    "-sc_threshold",
    "0",
    "-pix_fmt",
    "yuv420p",
    "-threads:v",
    "1",
];

pub(crate) fn trials() -> Vec<Trial> {
    let clips = [("encoded", false), ("copied", true)].into_iter().flat_map(|(name, passes)| {
        [
            trial(&format!("the_first_part_of_a_clip_foretells_the_whole_{name}"), move || async move {
                assert_eq!(foretold(&clip(passes), 60).await, Foretold::Right);
            }),
            trial(&format!("work_on_the_first_part_gives_what_the_whole_gives_{name}"), move || part(passes)),
        ]
    });
    let corpus = INDEX_FIRST.iter().map(|file| {
        trial(&format!("the_first_part_never_foretells_wrongly_{file}"), move || async move {
            let Some(path) = corpus_file(file) else { return };
            for percent in [50, 80, 95] {
                let foretold = foretold(&path, percent).await;
                assert!(!matches!(foretold, Foretold::Wrong(_)), "{file} at {percent} %: {foretold:?}");
            }
        })
    });
    clips.chain(corpus).collect()
}

/// Thirty seconds with the index in front.
fn clip(passes: bool) -> PathBuf {
    let plain = ClipSpec { seconds: 30.0, extra_args: vec!["-movflags", "+faststart"], ..ClipSpec::default() };
    if passes { media::clip(&ClipSpec { video_args: PASSED.to_vec(), ..plain }) } else { media::clip(&plain) }
}

#[derive(Debug, PartialEq, Eq)]
enum Foretold {
    Right,
    /// What was said, and what is.
    Wrong(String),
    TooEarly,
}

/// What a probe of the first part says of the whole. Behind the part lies noise, which must not be taken for data.
async fn foretold(path: &Path, percent: u64) -> Foretold {
    let whole = engine().probe(open(path)).await.expect("it can be played");
    let (file, growing) = first_part(path, percent);
    match engine().on_growing(growing).probe(file).await {
        Ok(part) if part == whole => Foretold::Right,
        Ok(part) => Foretold::Wrong(format!("foretold {part:?}\nis       {whole:?}")),
        Err(EngineError::Early) => Foretold::TooEarly,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

fn first_part(path: &Path, percent: u64) -> (std::fs::File, Growing) {
    let mut bytes = std::fs::read(path).expect("readable");
    let length = u64::try_from(bytes.len()).expect("short");
    let there = length * percent / 100;
    bytes[usize::try_from(there).expect("short")..].iter_mut().for_each(|octet| *octet ^= 0x5a);
    (source_of(&bytes), Growing { there, length })
}

/// Encodes or copies the first chunk with as many octets as it is said to need, and with half of them.
async fn part(passes: bool) {
    let source = planned_with(&clip(passes), passes).await;
    assert_eq!(source.plan.video.as_ref().expect("a picture").copied.is_some(), passes);
    let streams = vec![0, 1];
    let reach = engine().reach(open(&source.path), streams.clone()).await.expect("an index");
    let (file, growing) = first_part(&source.path, 60);
    assert_eq!(engine().on_growing(growing).reach(file, streams).await.expect("the same"), reach);
    let job = JobSpec::Chunk { generation: Generation(1), chunk: 0 };
    let (need, begin) = needs(&source.plan, &reach, &job).expect("a part");
    let length = std::fs::metadata(&source.path).expect("it is there").len();
    assert!(begin == 0 && need < length / 2, "{need} of {length}");

    let last = source.plan.chunks()[0].segment_count;
    let (whole, segments) = work(&source, None, last).await;
    assert!(whole.is_ok());
    let percent = need * 100 / length + 1;
    let (enough, from_part) = work(&source, Some(percent), last).await;
    assert!(enough.is_ok(), "{enough:?}");
    assert_eq!(from_part, segments);
    // What came before the end of what is there is right, and nothing comes after.
    let (early, some) = work(&source, Some(percent * 2 / 5), last).await;
    assert!(matches!(early, Err(EngineError::Early)), "{early:?}");
    assert!(some.len() < segments.len() && some.iter().all(|segment| segments.contains(segment)));
}

/// Rung, number and hash-like content of every segment of the first `last` that comes of a part of the source.
async fn work(
    source: &Planned,
    percent: Option<u64>,
    last: u32,
) -> (Result<(), EngineError>, Vec<(usize, u32, Vec<Vec<u8>>)>) {
    let (file, engine) = match percent {
        Some(percent) => {
            let (file, growing) = first_part(&source.path, percent);
            (file, engine().on_growing(growing))
        }
        None => (open(&source.path), engine()),
    };
    let is_copied = source.plan.video.as_ref().is_some_and(|video| video.copied.is_some());
    let mut session = if is_copied {
        engine.copy(file, source.copy(|span| span.index < last)).expect("it starts")
    } else {
        engine.encode_chunk(file, source.chunk(|span| span.index < last)).expect("it starts")
    };
    let mut segments = Vec::new();
    loop {
        // Ends with the session.
        match session.next().await {
            Ok(Some(segment)) => {
                let samples = segment.samples.iter().map(|sample| sample.data.to_vec()).collect();
                segments.push((segment.rung, segment.span.index, samples));
            }
            Ok(None) => return (Ok(()), segments),
            Err(error) => return (Err(error), segments),
        }
    }
}
