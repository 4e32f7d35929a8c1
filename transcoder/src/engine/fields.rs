//! Whether a track's pictures hold two fields: judged by the pictures, since containers say it wrongly.

use domain::probe::{FieldOrder, VideoTrack};

use super::outlet::Outlet;
use super::scan::next_packet;
use super::{Source, Stop};
use crate::av::{AvError, Decoder, Frame, Graph, Input, Packet, TimeBase};

/// Frames that are looked at, half of them at the start and half in the middle of the track.
const FRAMES_MAX: u64 = 200;

/// Pixels that are looked at: all of [`FRAMES_MAX`] frames of 1080 rows, fewer frames of larger ones.
const PIXELS_MAX: u64 = FRAMES_MAX * 1920 * 1080;

/// Packets that are read for each frame that is looked at, at most.
const PACKETS_PER_FRAME_MAX: u64 = 4;

/// Frames that must have shown clearly what they are for the pictures to overrule the container.
const CLEAR_MIN: u64 = 10;

/// Codecs of cameras, television and editing, which often do not say that they hold fields.
const SILENT_CODECS: [&str; 10] =
    ["mpeg2video", "dvvideo", "prores", "dnxhd", "mjpeg", "ffv1", "huffyuv", "ffvhuff", "utvideo", "rawvideo"];

/// Rows of interlaced pictures.
const ROWS: [u32; 5] = [480, 486, 576, 1080, 1088];

/// Samples in a row of interlaced pictures of standard definition.
const SD_COLUMNS: [u32; 2] = [704, 720];

/// How many frames showed what.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    top_first: u64,
    bottom_first: u64,
    progressive: u64,
}

impl Tally {
    /// What the frames are, when container or bitstream state `stated`.
    ///
    /// Frames without motion look progressive in either case, so few with combs are enough where fields
    /// are expected; where they are not, it takes as many as a film in television's rhythm has.
    fn order(self, stated: FieldOrder) -> FieldOrder {
        let fields = self.top_first + self.bottom_first;
        let clear = fields + self.progressive;
        let enough = if stated == FieldOrder::Progressive { 4 } else { 20 };
        if clear < CLEAR_MIN {
            stated
        } else if fields * enough <= clear {
            FieldOrder::Progressive
        } else if self.top_first >= self.bottom_first {
            FieldOrder::TopFirst
        } else {
            FieldOrder::BottomFirst
        }
    }
}

/// Whether frames hold fields. The track's own field order is what container or bitstream state.
pub(crate) fn order(source: &Source, track: &VideoTrack, outlet: &Outlet) -> Result<FieldOrder, Stop> {
    let stated = track.field_order;
    if stated == FieldOrder::Progressive && !is_suspect(track) {
        return Ok(stated);
    }
    let frames = FRAMES_MAX.min(PIXELS_MAX / track.coded.pixels().max(1)).min(track.frame_count).max(2);
    let mut input = source.open()?;
    let Some(base) = input.stream_info(track.stream_index).map(|info| info.time_base) else { return Ok(stated) };
    input.select(&[track.stream_index]);
    let mut look = Look { input, track, base, outlet, tally: Tally::default() };
    look.at(frames / 2)?;
    let half = track.extent.duration();
    let middle = base.ticks_floor(track.extent.start).saturating_add(base.ticks_floor(half) / 2);
    // A container that cannot seek is read on where the first half ended.
    let _ = look.input.seek(track.stream_index, middle);
    look.at(frames - frames / 2)?;
    Ok(look.tally.order(stated))
}

/// True for pictures that may hold fields without saying so.
fn is_suspect(track: &VideoTrack) -> bool {
    let as_interlaced = VideoTrack { field_order: FieldOrder::TopFirst, ..track.clone() };
    let is_television = as_interlaced.shows_fields() && ROWS.contains(&track.coded.height);
    is_television && (SILENT_CODECS.contains(&track.codec.as_str()) || SD_COLUMNS.contains(&track.coded.width))
}

struct Look<'a> {
    input: Input,
    track: &'a VideoTrack,
    base: TimeBase,
    outlet: &'a Outlet,
    tally: Tally,
}

impl Look<'_> {
    /// Looks at the next frames. What cannot be decoded is passed over.
    fn at(&mut self, frames: u64) -> Result<(), Stop> {
        let mut decoder = Decoder::open(&self.input, self.track.stream_index, 2)?;
        let (mut packet, mut frame) = (Packet::empty()?, Frame::empty()?);
        let mut graph: Option<Graph> = None;
        let (mut seen, mut tally) = (0, Tally::default());
        for _ in 0..frames * PACKETS_PER_FRAME_MAX {
            let more = next_packet(&mut self.input, &mut packet)?;
            self.outlet.step()?;
            if decoder.send(more.then_some(&packet)) == Err(AvError::NO_MEMORY) {
                return Err(AvError::NO_MEMORY.into());
            }
            while let Ok(Some(())) = decoder.receive(&mut frame) {
                self.outlet.step()?;
                if graph.as_ref().is_none_or(|graph| !graph.fits(&frame)) {
                    graph = Some(Graph::new(&frame, self.base, "idet")?);
                }
                if let Some(graph) = graph.as_mut() {
                    graph.send(Some(&frame))?;
                    while let Some(noted) = graph.receive()? {
                        seen += 1;
                        tally = tally_of(&noted).unwrap_or(tally);
                    }
                }
            }
            if !more || seen >= frames {
                break;
            }
        }
        self.tally.top_first += tally.top_first;
        self.tally.bottom_first += tally.bottom_first;
        self.tally.progressive += tally.progressive;
        Ok(())
    }
}

/// What the filter has counted up to this frame.
fn tally_of(frame: &Frame) -> Option<Tally> {
    // Written as "12.00".
    let count = |key| frame.note(key)?.split('.').next()?.parse().ok();
    Some(Tally {
        top_first: count(c"lavfi.idet.multiple.tff")?,
        bottom_first: count(c"lavfi.idet.multiple.bff")?,
        progressive: count(c"lavfi.idet.multiple.progressive")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_overrule_the_container_where_they_are_clear() {
        use FieldOrder::{BottomFirst, Progressive, TopFirst};
        let check = |top_first, bottom_first, progressive, stated, expected| {
            assert_eq!(Tally { top_first, bottom_first, progressive }.order(stated), expected);
        };
        check(0, 0, 190, TopFirst, Progressive);
        check(150, 2, 40, BottomFirst, TopFirst);
        check(0, 100, 0, Progressive, BottomFirst);
        check(20, 0, 180, TopFirst, TopFirst);
        check(20, 0, 180, Progressive, Progressive);
        check(2, 0, 3, BottomFirst, BottomFirst);
    }
}
