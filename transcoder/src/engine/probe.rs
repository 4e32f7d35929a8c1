//! Describes a source.

use std::collections::BTreeMap;

use domain::probe::{
    AudioTrack, CHANNELS_MAX, Chapter, Color, Extent, FieldOrder, Orientation, Rotation, SAMPLE_RATES, SIDE_MAX,
    SubtitleTrack, TEXT_CHARS_MAX, VideoTrack, is_sane_aspect,
};
use domain::{ByteSize, FailureCode, FrameRate, Language, MediaTime, Probe, Resolution};

use super::outlet::Outlet;
use super::scan::{self, Timing};
use super::{Source, Stop};
use super::{fields, tail};
use crate::av::{self, AvError, Decoder, Frame, Packet, StreamInfo, StreamKind};

/// Packets of a track that are tried before it counts as undecodable.
const TRIAL_PACKETS_MAX: usize = 200;

/// What decoding the first packets of a track showed.
struct Sample {
    width: u32,
    height: u32,
    pixel_format: String,
    sample_rate: u32,
    channels: u32,
    field_order: FieldOrder,
    peak_nits: Option<u32>,
}

/// Everything that is known of the source.
pub(crate) fn probe(source: &Source, outlet: &Outlet) -> Result<Probe, Stop> {
    let input = source.open()?;
    let streams: Vec<StreamInfo> = (0..input.stream_count()).filter_map(|index| input.stream_info(index)).collect();
    let chapters = input.chapters();
    let title = input.metadata(c"title").and_then(|title| clean(&title));
    let size = ByteSize(input.size());
    drop(input);
    let timings = scan::timings(source, &streams, outlet)?;
    let mut probe = Probe {
        container: source.container.to_owned(),
        size,
        video: Vec::new(),
        audio: Vec::new(),
        subtitles: streams.iter().filter(|stream| stream.kind == StreamKind::Subtitle).map(subtitle_track).collect(),
        chapters: Vec::new(),
        title,
        libraries: av::version(),
        cover: None,
    };
    let mut unplayable = Vec::new();
    for stream in streams.iter().filter(|stream| !stream.is_attached_picture) {
        let Some(timing) = timings.get(&stream.index) else { continue };
        if stream.kind == StreamKind::Video {
            source.check_size(stream.coded)?;
        }
        match (first_decoded(source, stream, outlet)?, stream.kind) {
            (Ok(sample), StreamKind::Video) => {
                if let Some(profile) = stream.dolby_only {
                    return Err(Stop::refused(FailureCode::Unsupported, dolby_sentence(profile)));
                }
                if let Some(mut track) = video_track(stream, &sample, timing) {
                    track.field_order = fields::order(source, &track, outlet)?;
                    // What is not there yet is taken to be sound.
                    if !source.is_growing() {
                        track.last_decodable = tail::last_decodable(source, &track, outlet)?;
                    }
                    probe.video.push(track);
                }
            }
            (Ok(sample), StreamKind::Audio) => probe.audio.extend(audio_track(stream, &sample, timing)),
            (Ok(_), _) => {}
            (Err(error), _) => unplayable.push((stream.codec.clone(), error)),
        }
    }
    if !probe.has_media() {
        return Err(nothing_to_play(&streams, &timings, &unplayable));
    }
    if probe.video.is_empty() {
        probe.cover = cover(source, &streams, outlet)?;
    }
    let mut chapters: Vec<Chapter> = chapters
        .into_iter()
        .filter(|chapter| chapter.start <= chapter.end)
        .map(|chapter| Chapter {
            start: chapter.start,
            end: chapter.end,
            title: clean(&chapter.title).unwrap_or_default(),
        })
        .collect();
    chapters.sort_by_key(|chapter| chapter.start);
    probe.chapters = chapters;
    // The client takes no other description.
    probe.check().map_err(|fault| Stop::refused(FailureCode::LimitExceeded, fault.to_string()))?;
    Ok(probe)
}

fn dolby_sentence(profile: u8) -> String {
    format!(
        "the picture is Dolby Vision profile {profile}, which only Dolby's own players can show: \
         export it as HDR10, HLG or in standard range"
    )
}

/// The first attached picture that can be decoded, as a track of one frame.
fn cover(source: &Source, streams: &[StreamInfo], outlet: &Outlet) -> Result<Option<VideoTrack>, Stop> {
    let start = MediaTime::zero();
    for stream in streams.iter().filter(|stream| stream.is_attached_picture && stream.kind == StreamKind::Video) {
        if let Ok(sample) = first_decoded(source, stream, outlet)? {
            let timing = Timing {
                extent: Extent { start, end: start },
                frame_count: 1,
                rate: FrameRate::new(1, 1).ok_or_else(|| Stop::Broken("no rate".into()))?,
                is_variable: false,
                jumps: Vec::new(),
                avc: None,
                aac: None,
            };
            return Ok(video_track(stream, &sample, &timing));
        }
    }
    Ok(None)
}

/// Why a source without a single playable track is refused.
fn nothing_to_play(streams: &[StreamInfo], timings: &BTreeMap<u32, Timing>, unplayable: &[(String, AvError)]) -> Stop {
    let is_media = |stream: &&StreamInfo| {
        matches!(stream.kind, StreamKind::Video | StreamKind::Audio) && !stream.is_attached_picture
    };
    if streams.iter().filter(is_media).count() == 0 {
        return Stop::refused(FailureCode::NoMedia, "the file holds neither a picture nor sound");
    }
    if let Some((codec, _)) = unplayable.iter().find(|(codec, error)| is_unknown(codec, *error)) {
        let sentence = if codec == "none" || codec == "unknown" {
            "the file does not say how its picture and sound are coded".to_owned()
        } else {
            format!("the file is coded with {codec}, which is not supported here")
        };
        return Stop::refused(FailureCode::Unsupported, sentence);
    }
    let sentence = if timings.is_empty() {
        "the file names picture or sound but holds none: it was probably cut off"
    } else {
        "neither picture nor sound of the file can be decoded: it is damaged"
    };
    Stop::refused(FailureCode::Damaged, sentence)
}

fn is_unknown(codec: &str, error: AvError) -> bool {
    error == AvError::DECODER_NOT_FOUND || codec == "none"
}

/// Decodes the start of one track until a first frame comes out.
fn first_decoded(source: &Source, stream: &StreamInfo, outlet: &Outlet) -> Result<Result<Sample, AvError>, Stop> {
    let mut input = source.open()?;
    input.select(&[stream.index]);
    let mut decoder = match Decoder::open(&input, stream.index, 1) {
        Ok(decoder) => decoder,
        Err(error) => return Ok(Err(error)),
    };
    let (mut packet, mut frame) = (Packet::empty()?, Frame::empty()?);
    let mut error = AvError::INVALID;
    for _ in 0..TRIAL_PACKETS_MAX {
        let more = scan::next_packet(&mut input, &mut packet)?;
        outlet.step()?;
        if let Err(refused) = decoder.send(more.then_some(&packet)) {
            error = refused;
        }
        if let Ok(Some(())) = decoder.receive(&mut frame) {
            return Ok(Ok(Sample {
                width: frame.width(),
                height: frame.height(),
                pixel_format: if stream.kind == StreamKind::Video { frame.format_name() } else { String::new() },
                sample_rate: frame.sample_rate(),
                channels: frame.channels(),
                field_order: frame.field_order(),
                peak_nits: frame.peak_nits(),
            }));
        }
        if !more {
            break;
        }
    }
    Ok(Err(error))
}

fn video_track(stream: &StreamInfo, sample: &Sample, timing: &Timing) -> Option<VideoTrack> {
    let sides = 1..=SIDE_MAX;
    if !sides.contains(&sample.width) || !sides.contains(&sample.height) {
        return None;
    }
    Some(VideoTrack {
        stream_index: stream.index,
        codec: stream.codec.clone(),
        pixel_format: sample.pixel_format.clone(),
        coded: Resolution { width: sample.width, height: sample.height },
        sample_aspect: aspect(stream.sample_aspect),
        orientation: stream.display_matrix.map(orientation).unwrap_or_default(),
        color: Color {
            primaries: stream.primaries.clone(),
            transfer: stream.transfer.clone(),
            matrix: stream.matrix.clone(),
            range: stream.range.clone(),
            peak_nits: stream.peak_nits.or(sample.peak_nits),
        },
        // The bitstream knows better than the container.
        field_order: match sample.field_order {
            FieldOrder::Progressive => stream.field_order,
            order => order,
        },
        extent: timing.extent,
        frame_count: timing.frame_count,
        measured_rate: timing.rate,
        is_variable_rate: timing.is_variable,
        language: language(stream),
        is_default: stream.is_default,
        jumps: timing.jumps.clone(),
        last_decodable: None,
        avc: timing.avc.clone(),
    })
}

/// A sample aspect between 1:20 and 20:1; anything else is a lie.
fn aspect((num, den): (i32, i32)) -> (u32, u32) {
    match (u32::try_from(num), u32::try_from(den)) {
        (Ok(num), Ok(den)) if is_sane_aspect((num, den)) => (num, den),
        _ => (1, 1),
    }
}

fn audio_track(stream: &StreamInfo, sample: &Sample, timing: &Timing) -> Option<AudioTrack> {
    if !SAMPLE_RATES.contains(&sample.sample_rate) || !(1..=CHANNELS_MAX).contains(&sample.channels) {
        return None;
    }
    Some(AudioTrack {
        stream_index: stream.index,
        codec: stream.codec.clone(),
        sample_rate: sample.sample_rate,
        channels: u16::try_from(sample.channels).ok()?,
        extent: timing.extent,
        language: language(stream),
        title: stream.title.as_deref().and_then(clean),
        is_default: stream.is_default,
        jumps: timing.jumps.clone(),
        aac: timing.aac.clone(),
    })
}

fn subtitle_track(stream: &StreamInfo) -> SubtitleTrack {
    SubtitleTrack {
        stream_index: stream.index,
        codec: stream.codec.clone(),
        is_text: stream.is_text,
        language: language(stream),
        title: stream.title.as_deref().and_then(clean),
        is_default: stream.is_default,
        is_forced: stream.is_forced,
        is_sdh: stream.is_sdh,
    }
}

fn language(stream: &StreamInfo) -> Option<Language> {
    stream.language.as_deref().and_then(Language::from_code)
}

/// Text of a source's metadata without control characters, cut to length; `None` if nothing is left.
fn clean(text: &str) -> Option<String> {
    let clean: String =
        text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(TEXT_CHARS_MAX).collect();
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}

/// The nearest quarter turn, and the mirroring, of a display matrix (ISO/IEC 14496-12 §8.2.2).
///
/// The matrix maps (x, y) to (a·x + c·y, b·x + d·y) with y downward. A mirroring of left and right
/// only changes the signs of a and b, so the turn is read off c and d.
fn orientation(matrix: [i32; 9]) -> Orientation {
    let [a, b, _, c, d, ..] = matrix.map(i64::from);
    let determinant = a * d - b * c;
    if determinant == 0 {
        return Orientation::default();
    }
    let rotation = match (d.abs() >= c.abs(), d > 0, c < 0) {
        (true, true, _) => Rotation::None,
        (true, false, _) => Rotation::Half,
        (false, _, true) => Rotation::Quarter,
        (false, _, false) => Rotation::ThreeQuarters,
    };
    Orientation { is_mirrored: determinant < 0, rotation }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: i32 = 1 << 16;

    #[test]
    fn a_display_matrix_is_a_quarter_turn_and_a_mirroring() {
        let check = |a: i32, b: i32, c: i32, d: i32, rotation: Rotation, is_mirrored: bool| {
            let matrix = [a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30];
            assert_eq!(orientation(matrix), Orientation { is_mirrored, rotation }, "{a} {b} {c} {d}");
        };
        check(1, 0, 0, 1, Rotation::None, false);
        check(0, 1, -1, 0, Rotation::Quarter, false);
        check(-1, 0, 0, -1, Rotation::Half, false);
        check(0, -1, 1, 0, Rotation::ThreeQuarters, false);
        check(-1, 0, 0, 1, Rotation::None, true);
        check(1, 0, 0, -1, Rotation::Half, true);
        check(0, 0, 0, 0, Rotation::None, false);
    }

    #[test]
    fn text_of_a_source_loses_what_could_harm() {
        assert_eq!(clean("a\u{1b}[31m\nb").as_deref(), Some("a [31m b"));
        assert_eq!(clean(" \0 "), None);
        assert_eq!(clean(&"x".repeat(1000)).map(|text| text.len()), Some(TEXT_CHARS_MAX));
    }

    #[test]
    fn an_impossible_sample_aspect_is_square() {
        assert_eq!(aspect((0, 1)), (1, 1));
        assert_eq!(aspect((-2, 1)), (1, 1));
        assert_eq!(aspect((1, 2_000_000_000)), (1, 1));
        assert_eq!(aspect((1280, 1281)), (1280, 1281));
    }
}
