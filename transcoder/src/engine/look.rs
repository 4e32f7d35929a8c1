//! How decoded pictures become upright, progressive, standard-range ones, and how they are tagged.

use domain::probe::{Color, Extent, FieldOrder, Orientation, Rotation, VideoTrack};
use domain::{FrameRate, MediaTime, Resolution};

use crate::av::TimeBase;

/// Pictures at least this high are taken for BT.709 when they do not say, smaller ones for BT.601.
const HD_SHORT_SIDE: u32 = 720;

/// Light of a white sheet of paper in HDR pictures, in cd/m² (ITU-R BT.2408 §2.1): the white of the output.
const WHITE_NITS: u32 = 203;

/// Light of the brightest pixel where nothing is stated, in cd/m²: most HDR is mastered for it, and HLG
/// is defined by a display of it (ITU-R BT.2100 table 5).
const PEAK_NITS: u32 = 1000;

/// Least light of the brightest pixel that is told apart from [`WHITE_NITS`].
const PEAK_NITS_MIN: u32 = 250;

/// Light up to this part of white keeps its value in tone mapping; what is brighter is compressed.
const LINEAR_PART: &str = "0.3";

/// Pictures whose aspect differs by less than one part in this many from the track's are not letterboxed.
const ASPECT_PARTS: u128 = 100;

/// What decides how a decoded picture is treated; it may change in the middle of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// libav's number of the pixel format.
    pub(crate) format: i32,
    /// Width of a sample divided by its height.
    pub(crate) aspect: (u32, u32),
}

/// The time base of upright pictures: twice as fine where each field becomes one.
pub(crate) fn picture_base(track: &VideoTrack, base: TimeBase) -> TimeBase {
    match base.den.checked_mul(2).filter(|den| i32::try_from(*den).is_ok() && track.shows_fields()) {
        Some(den) => TimeBase { num: base.num, den },
        None => base,
    }
}

/// The filters that pictures of this shape need before they are scaled; `None` if they need none.
///
/// Pictures that need any but deinterlacing come out with size `top`: what follows then handles as few
/// pixels as possible.
pub(crate) fn filters(track: &VideoTrack, top: Resolution, base: TimeBase, shape: Shape) -> Option<String> {
    let mut filters: Vec<String> = Vec::new();
    let pictures = picture_base(track, base);
    if track.is_interlaced() {
        let mode = if pictures == base { "frame" } else { "field" };
        let parity = if track.field_order == FieldOrder::BottomFirst { "bff" } else { "tff" };
        filters.push(format!("bwdif=mode=send_{mode}:parity={parity}:deint=all"));
    }
    let (orientation, color) = (track.orientation, &track.color);
    let upright = match orientation.rotation {
        Rotation::None | Rotation::Half => top,
        Rotation::Quarter | Rotation::ThreeQuarters => top.turned(),
    };
    let inside = fitted(track, upright, shape);
    if inside != upright || orientation != Orientation::default() || color.is_hdr() || color.is_wide() {
        filters.push(scale(track, inside));
    }
    if inside != upright {
        // Even, for the sake of the chroma.
        let margin = |outer: u32, inner: u32| (outer - inner) / 4 * 2;
        let (left, above) = (margin(upright.width, inside.width), margin(upright.height, inside.height));
        filters.push(format!("pad={}:{}:{left}:{above}:black", upright.width, upright.height));
    }
    if color.is_hdr() {
        filters.push(tone_map(track));
    } else if color.is_wide() {
        filters.push(narrow(track));
    }
    if orientation.is_mirrored {
        filters.push("hflip".into());
    }
    match orientation.rotation {
        Rotation::None => {}
        Rotation::Quarter => filters.push("transpose=clock".into()),
        Rotation::Half => filters.push("hflip,vflip".into()),
        Rotation::ThreeQuarters => filters.push("transpose=cclock".into()),
    }
    if filters.is_empty() {
        return None;
    }
    // Some filters count in a time base of their own.
    filters.push(format!("settb=expr={}/{}", pictures.num, pictures.den));
    Some(filters.join(","))
}

/// The largest even size of this shape's aspect inside `upright`; all of it for the track's own aspect.
fn fitted(track: &VideoTrack, upright: Resolution, shape: Shape) -> Resolution {
    let wide = |size: Resolution, aspect: (u32, u32)| u128::from(size.width) * u128::from(aspect.0.max(1));
    let high = |size: Resolution, aspect: (u32, u32)| u128::from(size.height) * u128::from(aspect.1.max(1));
    let size = Resolution { width: shape.width.max(1), height: shape.height.max(1) };
    // The shape's aspect divided by the track's.
    let num = wide(size, shape.aspect) * high(track.coded, track.sample_aspect);
    let den = (high(size, shape.aspect) * wide(track.coded, track.sample_aspect)).max(1);
    if num.abs_diff(den) * ASPECT_PARTS < den {
        return upright;
    }
    let part = |side: u32, num: u128, den: u128| {
        let side = u32::try_from(u128::from(side) * num / den).unwrap_or(side).min(side);
        (side & !1).max(2)
    };
    if num < den {
        Resolution { width: part(upright.width, num, den), height: upright.height }
    } else {
        Resolution { width: upright.width, height: part(upright.height, den, num) }
    }
}

/// Scales to limited range, keeping the matrix: in eight bits, or in ten where colours are converted next.
fn scale(track: &VideoTrack, size: Resolution) -> String {
    let is_converted = track.color.is_hdr() || track.color.is_wide();
    let matrix = match matrix(track) {
        "bt2020nc" => "bt2020",
        "bt709" => "bt709",
        _ => "smpte170m",
    };
    let range = if is_full_range(track) { "full" } else { "limited" };
    format!(
        "scale={}:{}:flags=bicubic:in_color_matrix={matrix}:out_color_matrix={matrix}:in_range={range}:\
         out_range=limited,format={}",
        size.width,
        size.height,
        if is_converted { "yuv420p10le" } else { "yuv420p" }
    )
}

fn is_full_range(track: &VideoTrack) -> bool {
    // RGB has no other range; libav's names of full-range YUV of eight bits begin with yuvj.
    track.color.range.as_deref() == Some("pc")
        || ["yuvj", "gbr", "rgb", "bgr"].iter().any(|name| track.pixel_format.starts_with(name))
}

/// Matrix of the picture, or of what RGB is turned into, in zimg's names.
fn matrix(track: &VideoTrack) -> &'static str {
    let color = &track.color;
    match color.matrix.as_deref() {
        Some("bt709") => "bt709",
        Some("bt2020nc" | "bt2020c") => "bt2020nc",
        _ if color.is_hdr() || color.primaries.as_deref() == Some("bt2020") => "bt2020nc",
        _ if is_bt709(track) => "bt709",
        _ => "smpte170m",
    }
}

/// Primaries of the picture in zimg's names, of those that need a conversion.
fn primaries(track: &VideoTrack) -> &'static str {
    match track.color.primaries.as_deref() {
        Some("bt709") => "bt709",
        Some("smpte431") => "smpte431",
        Some("smpte432") => "smpte432",
        _ => "bt2020",
    }
}

/// PQ or HLG of limited range to BT.709 in eight bits.
///
/// Everything is stated, since frames of some files state nothing, and zimg refuses to guess. Linear
/// light of 1.0 is [`WHITE_NITS`] for both: PQ codes light itself, and zimg turns HLG into the light of
/// a display of [`PEAK_NITS`], on which its white is as bright. The brightest of the three colours is
/// compressed and the others follow it, so that no hue changes.
///
/// Approximate gamma is switched off for HLG: with it, zimg applies the display's curve to each colour
/// by itself instead of to the luminance, and reds glow.
fn tone_map(track: &VideoTrack) -> String {
    let is_hlg = track.color.transfer.as_deref() == Some("arib-std-b67");
    let transfer = if is_hlg { "agamma=false:tin=arib-std-b67" } else { "tin=smpte2084" };
    // The peak of HLG follows from its definition, whatever the metadata of a master say.
    let stated = track.color.peak_nits.filter(|_| !is_hlg);
    let peak = f64::from(stated.unwrap_or(PEAK_NITS).max(PEAK_NITS_MIN)) / f64::from(WHITE_NITS);
    format!(
        "zscale={transfer}:pin={}:min={}:rin=limited:p=bt709:t=linear:npl={WHITE_NITS},format=gbrpf32le,\
         tonemap=mobius:param={LINEAR_PART}:desat=0:peak={peak:.4},\
         zscale=pin=bt709:tin=linear:p=bt709:t=bt709:m=bt709:r=limited,format=yuv420p",
        primaries(track),
        matrix(track)
    )
}

/// Standard range with wide primaries to BT.709 in eight bits.
fn narrow(track: &VideoTrack) -> String {
    format!(
        "zscale=tin=bt709:pin={}:min={}:rin=limited:p=bt709:t=bt709:m=bt709:r=limited,format=yuv420p",
        primaries(track),
        matrix(track)
    )
}

/// The rows of a frame are BT.709, not BT.601: matters where RGB is converted, and as a tag.
pub(crate) fn is_bt709(track: &VideoTrack) -> bool {
    match track.color.matrix.as_deref() {
        _ if track.color.is_hdr() || track.color.is_wide() => true,
        Some("bt709") => true,
        Some("bt470bg" | "smpte170m" | "fcc" | "smpte240m") => false,
        _ => track.display().short_side() >= HD_SHORT_SIDE,
    }
}

/// How a rendition of `track` that holds this many pictures of this size is described, its first picture at zero.
pub fn rendition_track(track: &VideoTrack, resolution: Resolution, rate: FrameRate, frame_count: u64) -> VideoTrack {
    let [primaries, transfer, matrix] = tags(track).map(Some);
    VideoTrack {
        stream_index: 0,
        codec: "h264".into(),
        pixel_format: "yuv420p".into(),
        coded: resolution,
        sample_aspect: (1, 1),
        orientation: Orientation::default(),
        color: Color { primaries, transfer, matrix, range: Some("tv".into()), peak_nits: None },
        field_order: FieldOrder::Progressive,
        extent: Extent { start: MediaTime::zero(), end: rate.instant(frame_count) },
        frame_count,
        measured_rate: rate,
        is_variable_rate: false,
        language: None,
        is_default: true,
        jumps: Vec::new(),
        last_decodable: None,
        avc: None,
    }
}

/// x264's names of the primaries, the transfer curve and the matrix of what is encoded.
pub(crate) fn tags(track: &VideoTrack) -> [String; 3] {
    if track.color.is_hdr() || track.color.is_wide() {
        return ["bt709", "bt709", "bt709"].map(str::to_owned);
    }
    let fallback = if is_bt709(track) { "bt709" } else { "smpte170m" };
    let known = |stated: Option<&str>, names: &[&str]| {
        stated.filter(|name| names.contains(name)).unwrap_or(fallback).to_owned()
    };
    let color = &track.color;
    let is_rgb = color.matrix.as_deref() == Some("gbr");
    [
        known(color.primaries.as_deref(), &["bt709", "bt470m", "bt470bg", "smpte170m", "smpte240m", "film"]),
        known(
            color.transfer.as_deref(),
            &["bt709", "smpte170m", "smpte240m", "linear", "iec61966-2-1", "iec61966-2-4", "bt2020-10", "bt2020-12"],
        ),
        known(
            color.matrix.as_deref().filter(|_| !is_rgb),
            &["bt709", "fcc", "bt470bg", "smpte170m", "smpte240m", "bt2020nc"],
        ),
    ]
}
