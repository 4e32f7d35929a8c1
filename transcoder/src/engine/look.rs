//! How decoded pictures become upright, progressive, standard-range ones, and how they are tagged.

use domain::Resolution;
use domain::probe::{Rotation, VideoTrack};

/// Pictures at least this high are taken for BT.709 when they do not say, smaller ones for BT.601.
const HD_SHORT_SIDE: u32 = 720;

/// The filters that a track needs before it is scaled; `None` if it needs none.
///
/// HDR pictures are scaled to `top` first, so that tone mapping handles as few pixels as possible.
pub(crate) fn filters(track: &VideoTrack, top: Resolution, base: (u32, u32)) -> Option<String> {
    let mut filters: Vec<String> = Vec::new();
    if track.is_interlaced {
        // Bwdif halves the time base; the last filter restores it.
        filters.push("bwdif=mode=send_frame:parity=auto:deint=all".into());
    }
    if track.orientation.is_mirrored {
        filters.push("hflip".into());
    }
    match track.orientation.rotation {
        Rotation::None => {}
        Rotation::Quarter => filters.push("transpose=clock".into()),
        Rotation::Half => filters.push("hflip,vflip".into()),
        Rotation::ThreeQuarters => filters.push("transpose=cclock".into()),
    }
    if track.color.is_hdr() {
        filters.push(tone_map(track, top));
    }
    if filters.is_empty() {
        return None;
    }
    filters.push(format!("settb=expr={}/{}", base.0, base.1));
    Some(filters.join(","))
}

/// PQ or HLG to BT.709 in eight bits.
///
/// The curve, primaries and matrix are given, since frames of some files state none, and zimg refuses
/// to guess. Linear light of 1.0 is 100 cd/m².
fn tone_map(track: &VideoTrack, top: Resolution) -> String {
    let transfer = track.color.transfer.as_deref().unwrap_or("smpte2084");
    let primaries = match track.color.primaries.as_deref() {
        Some("bt709") => "bt709",
        Some("smpte432") => "smpte432",
        _ => "bt2020",
    };
    let matrix = if track.color.matrix.as_deref() == Some("bt709") { "bt709" } else { "bt2020nc" };
    let range = if track.color.range.as_deref() == Some("pc") { "pc" } else { "tv" };
    format!(
        "scale={}:{}:flags=bicubic,format=yuv420p10le,\
         zscale=tin={transfer}:pin={primaries}:min={matrix}:rin={range}:t=linear:npl=100,format=gbrpf32le,\
         zscale=p=bt709,tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=tv,format=yuv420p",
        top.width, top.height
    )
}

/// The rows of a frame are BT.709, not BT.601: matters where RGB is converted, and as a tag.
pub(crate) fn is_bt709(track: &VideoTrack) -> bool {
    match track.color.matrix.as_deref() {
        _ if track.color.is_hdr() => true,
        Some("bt709") => true,
        Some("bt470bg" | "smpte170m" | "fcc" | "smpte240m") => false,
        _ => track.display().short_side() >= HD_SHORT_SIDE,
    }
}

/// x264's names of the primaries, the transfer curve and the matrix of what is encoded.
pub(crate) fn tags(track: &VideoTrack) -> [String; 3] {
    if track.color.is_hdr() {
        return ["bt709", "bt709", "bt709"].map(str::to_owned);
    }
    let fallback = if is_bt709(track) { "bt709" } else { "smpte170m" };
    let known = |stated: Option<&str>, names: &[&str]| {
        stated.filter(|name| names.contains(name)).unwrap_or(fallback).to_owned()
    };
    let color = &track.color;
    let is_rgb = color.matrix.as_deref() == Some("gbr");
    [
        known(
            color.primaries.as_deref(),
            &["bt709", "bt470m", "bt470bg", "smpte170m", "smpte240m", "film", "bt2020", "smpte432"],
        ),
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
