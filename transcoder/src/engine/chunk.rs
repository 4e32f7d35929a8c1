//! A run of segments of the picture: decoded once, scaled in a cascade, one encoder per segment and rung.
//!
//! ```text
//! "decode" thread        "scale" thread                     "encode 1080p" ... "encode 240p" threads
//! decode, filter, pick → top rung → next rung → ... each →  one fresh encoder per segment → socket
//! ```
//!
//! Every arrow is a short bounded channel, so the slowest encoder paces the decoder. That is the one of the largest
//! rung, and so it has two lanes: while one thread works off the end of a segment, the other begins the next.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use domain::probe::VideoTrack;
use domain::{Cadence, Codec, FailureCode, ParameterSets, Span, Tally};

use super::decode::Pictures;
use super::judge::Judge;
use super::look;
use super::outlet::Outlet;
use super::pick::{Grid, Picker};
use super::priority;
use super::units;
use super::{Source, Stop};
use crate::av::{AvError, Frame, Packet, Scaler, VideoEncoder, VideoSettings};
use crate::request::SegmentWork;
use crate::wire::{Kind, Writer};
use crate::{ChunkRequest, SampleCost};

/// Frames between the decoder and the scaler.
const FRAMES_IN_FLIGHT: usize = 3;

/// Frames between the scaler and the encoders of each rung. At the end of a segment an encoder works off all the
/// frames it looked ahead at; with room for about as many, the others need not wait for the slowest.
const SCALED_IN_FLIGHT: usize = 14;

/// Threads that encode the segments of the largest rung in turn. More threads for one encoder would not do: x264 0.164
/// with a buffer model then gives other bytes from run to run.
const TOP_LANES: usize = 2;

/// How far before the first wanted frame a decoder starts, in seconds, attempt by attempt. Containers
/// seek by decoding time, and some to the wrong place; the last attempt starts at the very beginning.
const BACKOFF_SECONDS: [u64; 4] = [1, 4, 15, 60];

/// Source frames that deinterlacing needs before the first wanted one.
const FIELD_FRAMES: i64 = 4;

/// A picture on its way, with the number of the output frame and that of the source frame.
struct Shown {
    frame: Frame,
    output: u64,
    source: u64,
}

/// What is told of each encoded segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// All of it, and in the end how the decoding went.
    Segments,
    /// How many octets it takes.
    Costs,
    /// That, and how it looks.
    Looks,
}

/// Encodes the chunk and sends its segments.
pub(crate) fn encode(source: &Source, request: &ChunkRequest, outlet: &Outlet) -> Result<(), Stop> {
    if request.rungs.iter().all(|rung| rung.codec != Codec::Av1) {
        return run(source, request, Answer::Segments, outlet);
    }
    // SVT-AV1 1.4 crashes now and then when one of its encoders is opened while another one runs, and takes a
    // few hundred megabytes for each: one rung after the other.
    for rung in 0..request.rungs.len() {
        let mut alone = request.clone();
        for work in &mut alone.work {
            work.rungs.iter_mut().enumerate().for_each(|(at, is_wanted)| *is_wanted &= at == rung);
        }
        run(source, &alone, Answer::Segments, outlet)?;
    }
    Ok(())
}

/// Encodes the chunk and tells of its segments.
pub(super) fn run(source: &Source, request: &ChunkRequest, answer: Answer, outlet: &Outlet) -> Result<(), Stop> {
    let wanted: Vec<&SegmentWork> = request.work.iter().filter(|work| work.rungs.contains(&true)).collect();
    let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else { return Ok(()) };
    let range = (first.span.first, last.span.end());
    let settings = settings(request);
    // A rung below all wanted ones is not even scaled.
    let lowest = (0..request.rungs.len()).find(|rung| wanted.iter().any(|work| work.rungs[*rung])).unwrap_or(0);
    let highest = (0..request.rungs.len()).rfind(|rung| wanted.iter().any(|work| work.rungs[*rung]));
    std::thread::scope(|scope| {
        let (shown, pictures) = sync_channel::<Shown>(FRAMES_IN_FLIGHT);
        let spans: Vec<Span> = wanted.iter().map(|work| work.span).collect();
        let decoder = spawn(scope, "decode", move || {
            let tally = decode(source, request, &spans, range, outlet, &shown)?;
            if answer == Answer::Segments {
                outlet.json(Kind::Tally, &tally)?;
            }
            Ok(())
        })?;
        let mut encoders = Vec::new();
        let mut rungs = Vec::new();
        for (rung, settings) in settings.iter().enumerate().skip(lowest) {
            let spans: Vec<Span> = wanted.iter().filter(|work| work.rungs[rung]).map(|work| work.span).collect();
            let is_highest = Some(rung) == highest;
            // Encoders of other codecs are too large to have two of.
            let has_lanes = is_highest && settings.codec.is_h264() && answer == Answer::Segments;
            let lane_count = if has_lanes { TOP_LANES.min(spans.len()) } else { 1 };
            let mut lanes = Vec::with_capacity(lane_count);
            for lane in 0..lane_count {
                let (scaled, frames) = sync_channel::<Shown>(SCALED_IN_FLIGHT / lane_count.max(1));
                lanes.push(scaled);
                let own: Vec<Span> = spans.iter().skip(lane).step_by(lane_count).copied().collect();
                let run = move || {
                    if !is_highest {
                        priority::step_back(priority::STEP);
                    }
                    encode_rung((rung, settings), &request.cadence, &own, &frames, answer, outlet)
                };
                encoders.push(spawn(scope, &format!("encode {}", request.rungs[rung].id), run)?);
            }
            rungs.push(Rung {
                scaler: Scaler::to_yuv420p(settings.resolution, look::is_bt709(&request.track)),
                parent: parent(request.rungs.len(), rung),
                lanes,
                spans,
            });
        }
        // The cascade runs from the largest rung down.
        rungs.reverse();
        let rung_count = request.rungs.len();
        let scaler = spawn(scope, "scale", move || scale(rungs, &pictures, rung_count))?;
        let all = [decoder, scaler].into_iter().chain(encoders);
        let ends = all.map(|thread| thread.join().unwrap_or_else(|_| Err(Stop::Broken("a thread panicked".into()))));
        let mut failures: Vec<Stop> = ends.filter_map(Result::err).collect();
        // A thread that lost its neighbour says less than the neighbour.
        failures.sort_by_key(|stop| matches!(stop, Stop::Abandoned));
        failures.into_iter().next().map_or(Ok(()), Err)
    })
}

fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    name: &str,
    run: impl FnOnce() -> T + Send + 'scope,
) -> Result<std::thread::ScopedJoinHandle<'scope, T>, Stop> {
    let started = std::thread::Builder::new().name(name.chars().take(15).collect()).spawn_scoped(scope, run);
    started.map_err(|error| Stop::Broken(format!("cannot start a thread: {error}")))
}

/// The settings of each rung's encoders.
pub(crate) fn settings(request: &ChunkRequest) -> Vec<VideoSettings> {
    let color = look::tags(&request.track);
    let rung = |rung: &domain::ladder::Rung| VideoSettings {
        codec: rung.codec,
        resolution: rung.resolution,
        frame_rate: request.cadence.frame_rate,
        gop_frames_max: request.cadence.gop_frames_max(),
        preset: request.recipe.coding(rung.codec).0.to_owned(),
        crf: rung.crf.unwrap_or(request.recipe.coding(rung.codec).1),
        threads: request.recipe.encoder_threads,
        bitrate_max: rung.bitrate_max,
        level: rung.level,
        color: color.clone(),
    };
    request.rungs.iter().map(rung).collect()
}

/// Decodes and picks the output frames of `range`, of which those inside `spans` are passed on; how it went.
fn decode(
    source: &Source,
    request: &ChunkRequest,
    spans: &[Span],
    range: (u64, u64),
    outlet: &Outlet,
    shown: &SyncSender<Shown>,
) -> Result<Tally, Stop> {
    let top = request.rungs.last().map(|rung| rung.resolution);
    let top = top.ok_or_else(|| Stop::Broken("no rungs".into()))?;
    let mut pictures = Pictures::open(source, &request.track, top, outlet)?;
    let grid = Grid { base: pictures.picture_base(), origin: request.origin, rate: request.cadence.frame_rate };
    // Pictures are counted as they are decoded, before fields become pictures of their own.
    let decoded = Grid { base: pictures.base(), ..grid };
    pictures.count_in(decoded.ticks(range.0)..decoded.ticks(range.1));
    let mut next = Some(start(&mut pictures, grid, range.0, &request.track)?);
    let mut picker = Picker::new(range.0, range.1);
    let mut count = 0;
    let mut is_abandoned = false;
    let (mut last_shown, mut repeated) = (0, 0);
    let mut show = |output: u64, held: &(Frame, u64)| -> Result<(), Stop> {
        if is_abandoned || !spans.iter().any(|span| (span.first..span.end()).contains(&output)) {
            return Ok(());
        }
        repeated += u64::from(std::mem::replace(&mut last_shown, held.1) == held.1);
        let frame = held.0.share()?;
        // The receiver is gone only when it has failed, and then it says why.
        is_abandoned = shown.send(Shown { frame, output, source: held.1 }).is_err();
        if is_abandoned { Err(Stop::Abandoned) } else { Ok(()) }
    };
    while !picker.is_complete() {
        let Some(frame) = next.take() else { break };
        let slot = grid.slot(frame.pts());
        count += 1;
        picker.push((frame, count), slot, &mut show)?;
        next = pictures.next()?;
    }
    picker.finish(&mut show)?;
    let (good, bad) = pictures.counted();
    Ok(Tally { good, bad, repeated })
}

/// Moves to a place from which output frame `first` comes out right; returns the first picture there.
fn start(pictures: &mut Pictures<'_>, grid: Grid, first: u64, track: &VideoTrack) -> Result<Frame, Stop> {
    let room = match (track.is_interlaced(), track.shows_fields()) {
        (true, true) => FIELD_FRAMES * 2,
        (true, false) => FIELD_FRAMES,
        (false, _) => 0,
    };
    // Behind the last picture that can be decoded, that one is shown.
    let decodable = track.last_decodable.map(|time| grid.slot(grid.base.ticks_floor(time)));
    let first = decodable.and_then(|slot| u64::try_from(slot).ok()).map_or(first, |slot| slot.min(first));
    let latest = i64::try_from(first).unwrap_or(i64::MAX).saturating_sub(room);
    let rate = grid.rate;
    for seconds in BACKOFF_SECONDS {
        let frames = seconds * u64::from(rate.num()).div_ceil(u64::from(rate.den()));
        let Some(from) = first.checked_sub(frames).filter(|from| *from > 0) else { break };
        if !pictures.seek(grid.ticks(from)) {
            break;
        }
        match pictures.next()? {
            Some(frame) if grid.slot(frame.pts()) <= latest => return Ok(frame),
            // Too late, or nothing to decode up to the end: go back further.
            _ => {}
        }
    }
    pictures.rewind()?;
    let none = || Stop::refused(FailureCode::Damaged, "not a single picture of the file can be decoded");
    pictures.next()?.ok_or_else(none)
}

/// The larger rung that a rung is scaled from, counted from the smallest; `None` for the source's own
/// pictures.
///
/// Two rungs up, since every step softens the small ones more; but one up where two would be the top
/// rung, whose pictures cost the most to read.
fn parent(rung_count: usize, rung: usize) -> Option<usize> {
    let top = rung_count.checked_sub(1)?;
    if rung >= top { None } else { Some(if rung + 2 < top { rung + 2 } else { rung + 1 }) }
}

/// One step of the cascade.
struct Rung {
    scaler: Scaler,
    /// Which of all rungs, counted from the smallest, its pictures are made from.
    parent: Option<usize>,
    /// To the threads that encode its segments in turn.
    lanes: Vec<SyncSender<Shown>>,
    spans: Vec<Span>,
}

impl Rung {
    /// Where a picture goes; `None` if it is in no wanted segment.
    fn lane(&self, output: u64) -> Option<&SyncSender<Shown>> {
        let at = self.spans.iter().position(|span| (span.first..span.end()).contains(&output))?;
        self.lanes.get(at % self.lanes.len().max(1))
    }
}

/// Scales every picture to all rungs, the largest first, each from its parent.
fn scale(mut rungs: Vec<Rung>, pictures: &Receiver<Shown>, rung_count: usize) -> Result<(), Stop> {
    // A picture that is shown several times is scaled once.
    let mut last: Option<(u64, Vec<Frame>)> = None;
    for Shown { frame, output, source } in pictures {
        let scaled = match last.take().filter(|(of, _)| *of == source) {
            Some((_, scaled)) => scaled,
            None => {
                let mut scaled: Vec<Frame> = Vec::with_capacity(rungs.len());
                for rung in &mut rungs {
                    // The largest rung comes first, so a parent is already there.
                    let parent = rung.parent.and_then(|parent| scaled.get(rung_count - 1 - parent));
                    let smaller = rung.scaler.scale(parent.unwrap_or(&frame))?;
                    scaled.push(smaller);
                }
                scaled
            }
        };
        for (rung, frame) in rungs.iter().zip(&scaled) {
            if let Some(lane) = rung.lane(output) {
                let shown = Shown { frame: frame.share()?, output, source };
                if lane.send(shown).is_err() {
                    return Err(Stop::Abandoned);
                }
            }
        }
        last = Some((source, scaled));
    }
    Ok(())
}

/// Encodes segments of one rung, each with an encoder of its own.
fn encode_rung(
    (rung, settings): (usize, &VideoSettings),
    cadence: &Cadence,
    spans: &[Span],
    frames: &Receiver<Shown>,
    answer: Answer,
    outlet: &Outlet,
) -> Result<(), Stop> {
    let codec = settings.codec;
    for span in spans {
        let mut encoder = VideoEncoder::open(settings).map_err(broken)?;
        let sets = parameter_sets(codec, &encoder)?;
        let mut writer = Writer::new(Kind::Video);
        writer.u32(u32::try_from(rung).unwrap_or(u32::MAX)).u32(span.index);
        sets.units().into_iter().for_each(|unit| _ = writer.bytes(unit));
        let mut packet = Packet::empty()?;
        let judge = if answer == Answer::Looks { Some(Judge::of(&encoder).map_err(broken)?) } else { None };
        let mut coded = Coded { frames: 0, bytes: 0, judge };
        let gops = cadence.gops(*span);
        let mut starts = gops.iter().scan(0, |next, gop| Some(std::mem::replace(next, *next + gop))).peekable();
        for display in 0..span.count {
            let Ok(mut shown) = frames.recv() else { return Err(Stop::Abandoned) };
            if shown.output != span.first + u64::from(display) {
                return Err(Stop::Broken(format!("frame {} in segment {}", shown.output, span.index)));
            }
            let begins_gop = starts.next_if_eq(&display).is_some();
            // This encoder places key frames where it likes: each GOP has one of its own.
            if codec == Codec::Av1 && begins_gop && display > 0 {
                encoder.finish().map_err(broken)?;
                drain(codec, &mut encoder, &mut packet, &mut writer, &mut coded, outlet)?;
                // Before the next one takes as much memory.
                drop(encoder);
                encoder = VideoEncoder::open(settings).map_err(broken)?;
                if parameter_sets(codec, &encoder)? != sets {
                    return Err(Stop::Broken(format!("two sequence headers in segment {}", span.index)));
                }
            }
            if let Some(judge) = &mut coded.judge {
                judge.keep(&shown.frame, display).map_err(broken)?;
            }
            encoder.send(&mut shown.frame, display, begins_gop).map_err(broken)?;
            drop(shown);
            drain(codec, &mut encoder, &mut packet, &mut writer, &mut coded, outlet)?;
        }
        encoder.finish().map_err(broken)?;
        drain(codec, &mut encoder, &mut packet, &mut writer, &mut coded, outlet)?;
        let Coded { frames: count, bytes, judge } = coded;
        if count != span.count {
            return Err(Stop::Broken(format!("{count} instead of {} frames in segment {}", span.count, span.index)));
        }
        match answer {
            Answer::Segments => outlet.send(writer)?,
            Answer::Costs | Answer::Looks => {
                let looks = judge.map(Judge::finish).transpose().map_err(broken)?;
                if let Some((_, judged)) = looks.filter(|(_, judged)| *judged != count) {
                    return Err(Stop::Broken(format!("{judged} of {count} frames judged in segment {}", span.index)));
                }
                let crf = looks.map(|_| settings.crf);
                let ssim_millionths = looks.map(|(ssim, _)| ssim);
                outlet.json(Kind::Cost, &SampleCost { rung, index: span.index, crf, bytes, ssim_millionths })?;
            }
        }
    }
    Ok(())
}

fn parameter_sets(codec: Codec, encoder: &VideoEncoder) -> Result<ParameterSets, Stop> {
    let sets = units::parameter_sets(codec, encoder.headers());
    sets.ok_or_else(|| Stop::Broken("the encoder gave no parameter sets".into()))
}

/// What has come out of an encoder.
struct Coded {
    frames: u32,
    bytes: u64,
    /// Sees it too, if it is to be judged.
    judge: Option<Judge>,
}

/// Moves coded frames from the encoder into the message.
fn drain(
    codec: Codec,
    encoder: &mut VideoEncoder,
    packet: &mut Packet,
    writer: &mut Writer,
    coded: &mut Coded,
    outlet: &Outlet,
) -> Result<(), Stop> {
    while encoder.receive(packet).map_err(broken)?.is_some() {
        outlet.step()?;
        if let Some(judge) = &mut coded.judge {
            judge.push(Some(packet)).map_err(broken)?;
        }
        let display = packet.pts().and_then(|pts| u32::try_from(pts).ok());
        let display = display.ok_or_else(|| Stop::Broken("a coded frame without a number".into()))?;
        let sample = units::sample(codec, packet.data());
        let sample = sample.ok_or_else(|| Stop::Broken("a coded frame that cannot be read".into()))?;
        writer.u32(display).bytes(&sample);
        coded.frames += 1;
        coded.bytes += u64::try_from(sample.len()).unwrap_or(u64::MAX);
    }
    Ok(())
}

/// A failure of the encoder is never the source's fault.
fn broken(error: AvError) -> Stop {
    Stop::Broken(format!("the encoder failed: {error}"))
}
