//! Doors for the fuzz targets: what a taken-over engine may write into the server's socket.
//!
//! Nothing here is for programs: no names, no stability.

use domain::ladder;
use domain::plan::Limits;
use domain::probe::{AudioTrack, Color, Extent, FieldOrder, Orientation, VideoTrack};
use domain::{Cadence, FrameRate, MediaTime, Plan, Probe, Recipe, Resolution, Span, Timescale};

use crate::client::answer;
use crate::request::Work;
use crate::wire::{HEADER_BYTES, Inbox, Kind, Malformed, Message};
use crate::{AudioRequest, ChunkRequest, PicturesRequest, SegmentWork, Shot, SubtitlesRequest};

/// The kinds of work whose answers are read.
const KINDS: u8 = 6;

/// Plays `input` as everything that an engine ever sends: its first octet says what was asked for, its
/// second how many octets arrive at once.
///
/// # Panics
/// If more is held than was sent, or if what passes the checks cannot be planned from.
pub fn answers(input: &[u8]) {
    let [kind, step, sent @ ..] = input else { return };
    match kind % KINDS {
        0 => hear(sent, *step, |message| answer::probe(&message).map(|probe| plan(&probe))),
        1 => {
            let request = chunk();
            let read = answer::Chunk::new(&request).expect("a sound request").into_reader();
            hear(sent, *step, read);
            assert!(answer::bytes_max(&Work::Chunk(request)) < 1 << 30);
        }
        2 => hear(sent, *step, answer::Audio::new(&audio()).expect("a sound request").into_reader()),
        3 => hear(sent, *step, answer::Pictures::new(&pictures()).expect("a sound request").into_reader()),
        4 => hear(sent, *step, answer::Cues::new(&subtitles()).expect("a sound request").into_reader()),
        _ => hear(sent, *step, |message| match message.kind {
            Kind::Tally => answer::tally(&message).map(drop),
            Kind::Headers => answer::headers(&message, (1, 1)).map(drop),
            Kind::Failed => answer::failure(&message).map(drop),
            kind => answer::json::<crate::CageReport>(&message, kind).map(drop),
        }),
    }
}

/// Reads messages as the client does, until one is refused.
fn hear<T>(sent: &[u8], step: u8, mut read: impl FnMut(Message) -> Result<T, Malformed>) {
    let mut inbox = Inbox::default();
    let (mut arrived, mut taken) = (0, 0);
    for octets in sent.chunks(usize::from(step).max(1)) {
        let tail = inbox.tail();
        tail.extend_from_slice(octets);
        arrived += octets.len();
        // What is set aside for a message that has begun is never much more than the longest of all.
        assert!(tail.capacity() <= 2 * (Kind::Video.payload_bytes_max() + HEADER_BYTES), "{}", tail.capacity());
        loop {
            // Ends with an incomplete message, or with one that is refused.
            let Ok(message) = inbox.take() else { return };
            let Some(message) = message else { break };
            taken += HEADER_BYTES + message.payload.len();
            assert!(taken <= arrived, "more was read than was sent");
            if read(message).is_err() {
                return;
            }
        }
    }
}

/// Whatever passes the check can be planned from, within bounds.
fn plan(probe: &Probe) {
    if let Ok(plan) = Plan::new(probe, &Recipe::default(), &Limits::default()) {
        assert!(plan.video_spans().len() < 100_000 && plan.chunks().len() < 100_000);
        plan.audio.iter().for_each(|audio| assert!(plan.audio_spans(audio).len() < 100_000));
    }
    let _ = (probe.duration(), domain::hms(probe.duration()), probe.duration().as_ms());
}

fn extent() -> Extent {
    Extent { start: MediaTime::zero(), end: MediaTime::new(4000, Timescale::MILLISECONDS) }
}

fn rate() -> FrameRate {
    FrameRate::new(25, 1).expect("a rate")
}

fn video() -> VideoTrack {
    VideoTrack {
        stream_index: 0,
        codec: "h264".into(),
        pixel_format: "yuv420p".into(),
        coded: Resolution { width: 320, height: 240 },
        sample_aspect: (1, 1),
        orientation: Orientation::default(),
        color: Color::default(),
        field_order: FieldOrder::default(),
        extent: extent(),
        frame_count: 6,
        measured_rate: rate(),
        is_variable_rate: false,
        language: None,
        is_default: true,
        jumps: vec![],
        last_decodable: None,
        avc: None,
    }
}

/// Two segments, of two GOPs and of one, of two frames each.
fn chunk() -> ChunkRequest {
    let spans = [Span { index: 0, first: 0, count: 4 }, Span { index: 1, first: 4, count: 2 }];
    let rungs = ladder::rungs(video().coded, rate());
    ChunkRequest {
        track: video(),
        origin: MediaTime::zero(),
        recipe: Recipe::default(),
        cadence: Cadence { frame_rate: rate(), gop_frames: 2, cells: vec![] },
        frame_count: 6,
        work: spans.into_iter().map(|span| SegmentWork { span, rungs: vec![true; rungs.len()] }).collect(),
        rungs,
    }
}

fn audio() -> AudioRequest {
    AudioRequest {
        track: AudioTrack {
            stream_index: 1,
            codec: "aac".into(),
            sample_rate: 48_000,
            channels: 2,
            extent: extent(),
            language: None,
            title: None,
            is_default: true,
            jumps: vec![],
            aac: None,
        },
        origin: MediaTime::zero(),
        recipe: Recipe::default(),
        channels: 2,
        frame_count: 5,
        gain_db: None,
        part_first: 0,
        work: vec![Span { index: 0, first: 0, count: 3 }, Span { index: 1, first: 3, count: 2 }],
    }
}

fn pictures() -> PicturesRequest {
    let shot =
        |ms| Shot { time: MediaTime::new(ms, Timescale::MILLISECONDS), resolution: Resolution { width: 4, height: 2 } };
    PicturesRequest {
        track: video(),
        origin: MediaTime::zero(),
        shots: vec![shot(0), shot(1000)],
        only_key_frames: false,
    }
}

fn subtitles() -> SubtitlesRequest {
    SubtitlesRequest { stream_indices: vec![2, 3], origin: MediaTime::zero(), jumps: vec![] }
}
