//! Turns messages into results, against what was asked: nothing the child says is believed.

use std::collections::{HashMap, VecDeque};

use domain::ahead::Reach;
use domain::loudness::Loudness;
use domain::plan::SURROUND_CHANNELS;
use domain::probe::{AudioTrack, TEXT_CHARS_MAX};
use domain::{Cadence, Codec, Failure, MediaTime, Probe, Resolution, Span, Tally};
use serde::de::DeserializeOwned;

use super::{coding, webp};
use crate::request::{SegmentWork, Work};
use crate::wire::{Kind, Malformed, Message, Reader};
use crate::{
    AudioCopyRequest, AudioRequest, AudioSegment, ChunkRequest, CopyRequest, Cue, Headers, LoudnessRequest,
    MeasureRequest, Picture, PicturesRequest, Preview, PreviewRequest, SampleCost, SubtitlesRequest, VideoSample,
    VideoSegment,
};

/// Frames in the longest segment: 6.5 s at 60 frames a second, or of AAC frames at 96 kHz, with room.
const SEGMENT_FRAMES_MAX: u32 = 1024;

/// Longest parameter set.
pub(super) const PARAMETER_SET_BYTES_MAX: usize = 1024;

/// Longest coded frame.
const SAMPLE_BYTES_MAX: usize = 32 << 20;

/// Longest AudioSpecificConfig.
const AUDIO_CONFIG_BYTES_MAX: usize = 64;

/// Longest AAC frame: 6144 bits for each of 16 channels.
const AAC_FRAME_BYTES_MAX: usize = 6144 / 8 * 16;

/// Rungs of a ladder.
const RUNGS_MAX: usize = 16;

/// Rate factors that are tried in one request.
const CRFS_MAX: usize = 8;

/// Similarity of equal pictures.
const SSIM_MILLIONTHS_MAX: u32 = 1_000_000;

/// Segments in one request.
const SEGMENTS_MAX: usize = 100_000;

/// Pictures in one request.
const SHOTS_MAX: usize = 20_000;

/// Frames of an animated picture.
const ANIMATION_FRAMES_MAX: u32 = 300;

/// Longest side of a picture.
const PICTURE_SIDE_MAX: u32 = 4096;

/// Subtitles in one source.
const CUES_MAX: usize = 500_000;

/// Longest text of one subtitle, in characters.
const CUE_CHARS_MAX: usize = 4000;

/// All subtitles of one source, as JSON.
const CUES_BYTES_MAX: u64 = 64 << 20;

/// Signs of progress: four a second for three days.
const SIGNS_BYTES_MAX: u64 = 16 << 20;

/// How many times its rung's highest bit rate a segment may take: a rate's buffer lasts two seconds,
/// which is more than some segments do.
const RATE_FACTOR_MAX: u64 = 8;

/// Bytes of a segment besides its rate: parameter sets, and a number and two lengths for each frame.
const SEGMENT_BYTES_BASE: u64 = 64 << 10;

/// Pictures of one source: what fits into a file, ten times over.
const PICTURES_MAX: u64 = 1 << 32;

/// Most seconds of media that wall time is granted for.
const SECONDS_MAX: u64 = 100_000;

/// A message of `kind` whose payload is JSON.
pub(crate) fn json<T: DeserializeOwned>(message: &Message, kind: Kind) -> Result<T, Malformed> {
    expect(message, kind)?;
    serde_json::from_slice(&message.payload).map_err(|error| Malformed::new(format!("bad JSON: {error}")))
}

/// Where the samples of a source of `length` octets lie.
pub(crate) fn reach(message: &Message, length: u64) -> Result<Reach, Malformed> {
    let reach: Reach = json(message, Kind::Reach)?;
    if reach.is_sound(length) { Ok(reach) } else { Err(Malformed::new("samples that lie nowhere")) }
}

/// A description of a source that can be stored, shown and planned from.
pub(crate) fn probe(message: &Message) -> Result<Probe, Malformed> {
    let probe: Probe = json(message, Kind::Probe)?;
    probe.check().map_err(|fault| Malformed::new(format!("a description that cannot be: {fault}")))?;
    Ok(probe)
}

/// What init segments are made of, for as many renditions of picture and of sound.
pub(crate) fn headers(message: &Message, (video, audio): (usize, usize)) -> Result<Headers, Malformed> {
    let headers: Headers = json(message, Kind::Headers)?;
    if (headers.video.len(), headers.audio.len()) != (video, audio) {
        return Err(Malformed::new("headers of other renditions"));
    }
    if !headers.video.iter().all(|sets| sets.are_sound(PARAMETER_SET_BYTES_MAX)) {
        return Err(Malformed::new("not parameter sets"));
    }
    if !headers.audio.iter().all(|config| (1..=AUDIO_CONFIG_BYTES_MAX).contains(&config.len())) {
        return Err(Malformed::new("no AudioSpecificConfig"));
    }
    Ok(headers)
}

/// How the decoding of one run of pictures went.
pub(crate) fn tally(message: &Message) -> Result<Tally, Malformed> {
    let tally: Tally = json(message, Kind::Tally)?;
    if [tally.good, tally.bad, tally.repeated].iter().any(|count| *count > PICTURES_MAX) {
        return Err(Malformed::new("more pictures than a source can hold"));
    }
    Ok(tally)
}

/// Why the engine refuses a source, as a sentence that can be shown.
pub(crate) fn failure(message: &Message) -> Result<Failure, Malformed> {
    let failure: Failure = json(message, Kind::Failed)?;
    let plain = |char: char| if char.is_control() { ' ' } else { char };
    Ok(Failure { message: failure.message.chars().map(plain).take(TEXT_CHARS_MAX).collect(), ..failure })
}

/// Most bytes that can come of this work, all messages together.
pub(crate) fn bytes_max(work: &Work) -> u64 {
    let kind = |kind: Kind| u64::try_from(kind.payload_bytes_max()).unwrap_or(u64::MAX);
    let results = match work {
        Work::Probe => kind(Kind::Probe),
        Work::Reach(_) => kind(Kind::Reach),
        Work::SelfTest => kind(Kind::Cage),
        Work::Headers(_) => kind(Kind::Headers),
        Work::Preview(_) => kind(Kind::Preview),
        Work::Loudness(request) => {
            kind(Kind::Loudness).saturating_mul(u64::try_from(request.tracks.len()).unwrap_or(u64::MAX))
        }
        Work::Chunk(request) => chunk_bytes(request),
        Work::Measure(request) => kind(Kind::Cost).saturating_mul(costs_max(request)),
        Work::Copy(request) => kind(Kind::Video).saturating_mul(u64::try_from(request.work.len()).unwrap_or(u64::MAX)),
        Work::Audio(request) => audio_bytes(&request.work),
        Work::CopyAudio(request) => audio_bytes(&request.work),
        Work::Pictures(request) => {
            request.shots.iter().map(|shot| shot.resolution.pixels().saturating_mul(3) + 64).sum()
        }
        Work::Subtitles(_) => CUES_BYTES_MAX,
    };
    results.saturating_add(SIGNS_BYTES_MAX)
}

/// The largest frames that there can be, in as many segments.
fn audio_bytes(work: &[Span]) -> u64 {
    let frames: u64 = work.iter().map(|span| u64::from(span.count)).sum();
    let segments = u64::try_from(work.len()).unwrap_or(u64::MAX);
    let frame = u64::try_from(AAC_FRAME_BYTES_MAX).unwrap_or(u64::MAX);
    frames.saturating_mul(frame).saturating_add(segments.saturating_mul(SEGMENT_BYTES_BASE))
}

/// One answer for each run, rung and rate factor at most.
fn costs_max(request: &MeasureRequest) -> u64 {
    let picture = &request.picture;
    let runs = picture.work.len().saturating_mul(picture.rungs.len()).saturating_mul(request.crfs.len().max(1));
    u64::try_from(runs).unwrap_or(u64::MAX)
}

/// The highest rate of each rung over the frames that it still lacks, with room.
fn chunk_bytes(request: &ChunkRequest) -> u64 {
    let rate = request.cadence.frame_rate;
    let segment = |span: &Span, rung: &domain::ladder::Rung| {
        let bits =
            u128::from(rung.bitrate_max.0) * u128::from(span.count) * u128::from(rate.den()) / u128::from(rate.num());
        let bytes = u64::try_from(bits / 8).unwrap_or(u64::MAX).saturating_mul(RATE_FACTOR_MAX);
        bytes.saturating_add(SEGMENT_BYTES_BASE)
    };
    let wanted = |work: &SegmentWork| {
        let rungs = request.rungs.iter().zip(&work.rungs).filter(|(_, is_wanted)| **is_wanted);
        rungs.map(|(rung, _)| segment(&work.span, rung)).fold(0, u64::saturating_add)
    };
    request.work.iter().map(wanted).fold(0, u64::saturating_add)
}

fn expect(message: &Message, kind: Kind) -> Result<(), Malformed> {
    if message.kind == kind { Ok(()) } else { Err(Malformed::new(format!("{:?} instead of {kind:?}", message.kind))) }
}

/// Seconds from the chunk's first to its last frame; the seek may cost as much again.
pub(crate) fn chunk_seconds(request: &ChunkRequest) -> u32 {
    seconds(request.work.iter().map(|work| work.span), &request.cadence)
}

/// Seconds of all runs, as often as each is encoded.
pub(super) fn measure_seconds(request: &MeasureRequest) -> u32 {
    let times = u32::try_from(request.crfs.len().max(1)).unwrap_or(u32::MAX);
    chunk_seconds(&request.picture).saturating_mul(times)
}

/// Seconds of the segments to take over.
pub(crate) fn copy_seconds(request: &CopyRequest) -> u32 {
    seconds(request.work.iter().copied(), &request.cadence)
}

fn seconds(spans: impl Iterator<Item = Span>, cadence: &Cadence) -> u32 {
    let frames: u64 = spans.map(|span| u64::from(span.count)).sum();
    let rate = cadence.frame_rate;
    let seconds = frames.saturating_mul(u64::from(rate.den())) / u64::from(rate.num());
    u32::try_from(seconds.min(SECONDS_MAX)).unwrap_or(u32::MAX)
}

/// Seconds from the start of the part, where decoding begins, to the last wanted segment's end.
pub(crate) fn audio_seconds(request: &AudioRequest) -> u32 {
    let frames = request.work.last().map_or(0, |span| span.end().saturating_sub(request.part_first));
    let samples = frames.saturating_mul(u64::from(domain::AAC_FRAME_SAMPLES));
    let seconds = samples / u64::from(request.recipe.audio_sample_rate.max(1));
    u32::try_from(seconds.min(SECONDS_MAX)).unwrap_or(u32::MAX)
}

/// Seconds of all tracks together.
pub(super) fn loudness_seconds(request: &LoudnessRequest) -> u32 {
    let seconds = |track: &AudioTrack| u64::try_from(track.extent.duration().as_ms() / 1000).unwrap_or(0);
    let seconds = request.tracks.iter().map(seconds).fold(0, u64::saturating_add);
    u32::try_from(seconds.min(SECONDS_MAX)).unwrap_or(u32::MAX)
}

fn check_spans<'a>(spans: impl Iterator<Item = &'a Span>) -> Result<(), Malformed> {
    let mut next = 0;
    for (at, span) in spans.enumerate() {
        if at >= SEGMENTS_MAX || span.count == 0 || span.count > SEGMENT_FRAMES_MAX || span.first < next {
            return Err(Malformed::new("segments are empty, too long, too many or out of order"));
        }
        next = span.end();
    }
    Ok(())
}

/// A segment that is to come, with the lengths of its GOPs.
type Planned = (Span, Vec<u32>);

/// The spans with their GOPs, if these make them up.
fn planned(spans: impl Iterator<Item = Span>, cadence: &Cadence) -> Result<VecDeque<Planned>, Malformed> {
    let planned = |span: Span| {
        let gops = cadence.gops(span);
        let frames: u64 = gops.iter().map(|gop| u64::from(*gop)).sum();
        if frames != u64::from(span.count) || gops.contains(&0) {
            return Err(Malformed::new("GOPs do not make up their segment"));
        }
        Ok((span, gops))
    };
    spans.map(planned).collect()
}

/// Checks the segments of a chunk.
pub(crate) struct Chunk {
    /// For each rung the segments still to come. The end of one may come before that of the one before it.
    expected: Vec<VecDeque<Planned>>,
    /// For each rung how it is coded.
    codecs: Vec<Codec>,
}

impl Chunk {
    pub(crate) fn new(request: &ChunkRequest) -> Result<Self, Malformed> {
        check_spans(request.work.iter().map(|work| &work.span))?;
        let rungs = request.rungs.len();
        if rungs == 0 || rungs > RUNGS_MAX || request.work.iter().any(|work| work.rungs.len() != rungs) {
            return Err(Malformed::new("rungs do not match"));
        }
        if request.work.iter().any(|work| work.span.end() > request.frame_count) {
            return Err(Malformed::new("a segment ends behind the video"));
        }
        let wanted = |rung: usize| request.work.iter().filter(move |work| work.rungs[rung]).map(|work| work.span);
        let expected = (0..rungs).map(|rung| planned(wanted(rung), &request.cadence)).collect::<Result<_, _>>()?;
        Ok(Self { expected, codecs: request.rungs.iter().map(|rung| rung.codec).collect() })
    }

    pub(super) fn of_copy(request: &CopyRequest) -> Result<Self, Malformed> {
        check_spans(request.work.iter())?;
        if request.work.iter().any(|span| span.end() > request.frame_count) {
            return Err(Malformed::new("a segment ends behind the video"));
        }
        let expected = vec![planned(request.work.iter().copied(), &request.cadence)?];
        Ok(Self { expected, codecs: vec![Codec::H264] })
    }

    pub(crate) fn into_reader(mut self) -> impl FnMut(Message) -> Result<VideoSegment, Malformed> + Send + 'static {
        move |message| self.segment(&message)
    }

    fn segment(&mut self, message: &Message) -> Result<VideoSegment, Malformed> {
        expect(message, Kind::Video)?;
        let mut reader = Reader::new(&message.payload);
        let rung = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
        let index = reader.u32()?;
        let open = self.expected.get_mut(rung);
        let own = open.and_then(|open| open.remove(open.iter().position(|(span, _)| span.index == index)?));
        let (span, gops) = own.ok_or_else(|| Malformed::new("segment not asked for"))?;
        let codec = self.codecs.get(rung).copied().unwrap_or_default();
        let sets = coding::parameter_sets(codec, &mut reader)?;
        let mut seen = vec![false; usize::try_from(span.count).unwrap_or(0)];
        let mut gops = gops.into_iter();
        let mut gop_start = 0;
        let mut samples = Vec::with_capacity(seen.len());
        for at in 0..span.count {
            let display = reader.u32()?;
            let data = reader.bytes(SAMPLE_BYTES_MAX)?.to_vec();
            let slot = usize::try_from(display).ok().and_then(|display| seen.get_mut(display));
            match slot {
                Some(slot) if !*slot => *slot = true,
                _ => return Err(Malformed::new("a frame is doubled or outside of its segment")),
            }
            let is_idr = coding::is_sync(codec, &data)?;
            let begins = at == gop_start;
            if begins {
                gop_start += gops.next().unwrap_or(u32::MAX - at);
            }
            // Closed GOPs: each IDR stands where the GOP begins in both orders.
            if is_idr != begins || (is_idr && display != at) {
                return Err(Malformed::new("an IDR is missing or misplaced"));
            }
            samples.push(VideoSample { display, is_idr, data });
        }
        reader.end()?;
        Ok(VideoSegment { rung, span, sets, samples })
    }
}

/// Checks what runs of pictures cost.
pub(super) struct Costs {
    /// What is still to come, with the most octets that its pictures may take.
    expected: HashMap<(usize, u32, Option<u8>), u64>,
}

impl Costs {
    pub(super) fn new(request: &MeasureRequest) -> Result<Self, Malformed> {
        let picture = &request.picture;
        // The same bounds as for segments.
        Chunk::new(picture)?;
        let mut crfs: Vec<Option<u8>> = request.crfs.iter().copied().map(Some).collect();
        crfs.sort_unstable();
        crfs.dedup();
        if crfs.len() != request.crfs.len() || crfs.len() > CRFS_MAX {
            return Err(Malformed::new("rate factors are doubled, or too many"));
        }
        if crfs.is_empty() {
            crfs.push(None);
        }
        let samples = |work: &SegmentWork| {
            let wanted = (0..picture.rungs.len()).filter(|rung| work.rungs[*rung]);
            let (index, bytes_max) = (work.span.index, u64::from(work.span.count) * SAMPLE_BYTES_MAX as u64);
            wanted.flat_map(|rung| crfs.iter().map(move |crf| ((rung, index, *crf), bytes_max))).collect::<Vec<_>>()
        };
        Ok(Self { expected: picture.work.iter().flat_map(samples).collect() })
    }

    pub(super) fn into_reader(mut self) -> impl FnMut(Message) -> Result<SampleCost, Malformed> + Send + 'static {
        move |message| {
            let cost: SampleCost = json(&message, Kind::Cost)?;
            let bytes_max = self.expected.remove(&(cost.rung, cost.index, cost.crf));
            let bytes_max = bytes_max.ok_or_else(|| Malformed::new("a cost that was not asked for"))?;
            if cost.bytes == 0 || cost.bytes > bytes_max {
                return Err(Malformed::new("a cost that cannot be"));
            }
            if cost.ssim_millionths.is_some() != cost.crf.is_some()
                || cost.ssim_millionths.is_some_and(|ssim| ssim > SSIM_MILLIONTHS_MAX)
            {
                return Err(Malformed::new("a similarity that cannot be"));
            }
            Ok(cost)
        }
    }
}

fn check_channels(channels: u16) -> Result<(), Malformed> {
    if matches!(channels, 1 | 2 | SURROUND_CHANNELS) {
        return Ok(());
    }
    Err(Malformed::new("channels are neither 1, 2 nor 6"))
}

/// Checks the segments of an audio track.
pub(crate) struct Audio {
    expected: VecDeque<Span>,
    /// The configuration of sound that is taken over.
    config: Option<Vec<u8>>,
}

impl Audio {
    pub(crate) fn new(request: &AudioRequest) -> Result<Self, Malformed> {
        check_spans(request.work.iter())?;
        let whole = request.part_first..=request.frame_count;
        if request.work.iter().any(|span| !whole.contains(&span.first) || !whole.contains(&span.end())) {
            return Err(Malformed::new("a segment lies outside of its part"));
        }
        check_channels(request.channels)?;
        Ok(Self { expected: request.work.iter().copied().collect(), config: None })
    }

    pub(super) fn of_copy(request: &AudioCopyRequest) -> Result<Self, Malformed> {
        check_spans(request.work.iter())?;
        if request.work.iter().any(|span| span.end() > request.frame_count) {
            return Err(Malformed::new("a segment ends behind the sound"));
        }
        check_channels(request.channels)?;
        Ok(Self { expected: request.work.iter().copied().collect(), config: Some(request.config.clone()) })
    }

    pub(crate) fn into_reader(mut self) -> impl FnMut(Message) -> Result<AudioSegment, Malformed> + Send + 'static {
        move |message| {
            expect(&message, Kind::Audio)?;
            let mut reader = Reader::new(&message.payload);
            let index = reader.u32()?;
            let span = self.expected.pop_front().filter(|span| span.index == index);
            let span = span.ok_or_else(|| Malformed::new("segment not asked for"))?;
            let config = reader.bytes(AUDIO_CONFIG_BYTES_MAX)?.to_vec();
            if self.config.as_ref().is_some_and(|promised| *promised != config) {
                return Err(Malformed::new("another configuration than the source's"));
            }
            let frame = |_| reader.bytes(AAC_FRAME_BYTES_MAX).map(<[u8]>::to_vec);
            let frames = (0..span.count).map(frame).collect::<Result<Vec<_>, _>>()?;
            reader.end()?;
            Ok(AudioSegment { span, config, frames })
        }
    }
}

/// Checks measurements of loudness.
pub(super) struct Loud {
    /// Streams that are still to come.
    expected: Vec<u32>,
}

impl Loud {
    pub(super) fn new(request: &LoudnessRequest) -> Self {
        Self { expected: request.tracks.iter().map(|track| track.stream_index).collect() }
    }

    pub(super) fn into_reader(mut self) -> impl FnMut(Message) -> Result<Loudness, Malformed> + Send + 'static {
        move |message| {
            let loudness: Loudness = json(&message, Kind::Loudness)?;
            let at = self.expected.iter().position(|stream| *stream == loudness.stream_index);
            self.expected.remove(at.ok_or_else(|| Malformed::new("loudness not asked for"))?);
            Ok(loudness)
        }
    }
}

/// Checks still pictures.
pub(crate) struct Pictures {
    expected: Vec<Resolution>,
    next: usize,
}

impl Pictures {
    pub(crate) fn new(request: &PicturesRequest) -> Result<Self, Malformed> {
        let fits = |size: &Resolution| {
            (1..=PICTURE_SIDE_MAX).contains(&size.width) && (1..=PICTURE_SIDE_MAX).contains(&size.height)
        };
        let expected: Vec<Resolution> = request.shots.iter().map(|shot| shot.resolution).collect();
        if expected.len() > SHOTS_MAX || !expected.iter().all(fits) {
            return Err(Malformed::new("too many pictures, or of impossible size"));
        }
        Ok(Self { expected, next: 0 })
    }

    pub(crate) fn into_reader(mut self) -> impl FnMut(Message) -> Result<Picture, Malformed> + Send + 'static {
        move |message| {
            expect(&message, Kind::Picture)?;
            let mut reader = Reader::new(&message.payload);
            let shot = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
            let asked = self.expected.get(shot).filter(|_| shot >= self.next);
            let resolution = *asked.ok_or_else(|| Malformed::new("picture not asked for"))?;
            let rgb = reader.rest();
            if u64::try_from(rgb.len()).ok() != Some(resolution.pixels() * 3) {
                return Err(Malformed::new("picture of the wrong size"));
            }
            self.next = shot + 1;
            Ok(Picture { shot, resolution, rgb: rgb.to_vec() })
        }
    }
}

/// Checks an animated picture.
pub(super) struct Animation {
    resolution: Resolution,
    frames_max: u32,
}

impl Animation {
    pub(super) fn new(request: &PreviewRequest) -> Result<Self, Malformed> {
        let resolution = request.resolution;
        let scenes = u32::try_from(request.scenes.len()).unwrap_or(u32::MAX);
        let frames_max = scenes.saturating_mul(request.frames_per_scene);
        let fits = [resolution.width, resolution.height].iter().all(|side| (1..=PICTURE_SIDE_MAX).contains(side));
        if !fits || !(1..=ANIMATION_FRAMES_MAX).contains(&frames_max) || request.frame_ms == 0 {
            return Err(Malformed::new("too many frames, or of impossible size"));
        }
        Ok(Self { resolution, frames_max })
    }

    pub(super) fn frames_max(&self) -> u32 {
        self.frames_max
    }

    pub(super) fn into_reader(self) -> impl FnMut(Message) -> Result<Preview, Malformed> + Send + 'static {
        move |message| {
            expect(&message, Kind::Preview)?;
            let frame_count = webp::frame_count(&message.payload, self.resolution)?;
            if frame_count > self.frames_max {
                return Err(Malformed::new("more frames than were asked for"));
            }
            Ok(Preview { frame_count, webp: message.payload })
        }
    }
}

/// Checks subtitles.
pub(crate) struct Cues {
    streams: Vec<u32>,
    count: usize,
}

impl Cues {
    pub(crate) fn new(request: &SubtitlesRequest) -> Result<Self, Malformed> {
        Ok(Self { streams: request.stream_indices.clone(), count: 0 })
    }

    pub(crate) fn into_reader(mut self) -> impl FnMut(Message) -> Result<Cue, Malformed> + Send + 'static {
        move |message| {
            let cue: Cue = json(&message, Kind::Cue)?;
            self.count += 1;
            if self.count > CUES_MAX || !self.streams.contains(&cue.stream_index) {
                return Err(Malformed::new("too many subtitles, or not asked for"));
            }
            if cue.end < cue.start || cue.start < MediaTime::zero() {
                return Err(Malformed::new("a subtitle that ends before it begins, or begins before zero"));
            }
            if cue.ass.chars().any(char::is_control) || cue.ass.chars().count() > CUE_CHARS_MAX {
                return Err(Malformed::new("a subtitle that is too long or holds control characters"));
            }
            Ok(cue)
        }
    }
}

#[cfg(test)]
mod tests;
