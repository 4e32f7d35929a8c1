//! Text subtitles: every packet of the wanted streams in one pass.

use std::collections::BTreeMap;

use domain::{MediaTime, Timescale};

use super::outlet::Outlet;
use super::scan::next_packet;
use super::{Source, Stop};
use crate::av::{Packet, SubtitleDecoder, TimeBase};
use crate::wire::Kind;
use crate::{Cue, SubtitlesRequest};

/// How long a subtitle stays that does not say it, in milliseconds.
const UNSTATED_MS: i64 = 5000;

/// Longest text of one subtitle, in characters.
const TEXT_CHARS_MAX: usize = 4000;

/// Subtitles of one source.
const CUES_MAX: usize = 200_000;

/// Fields before the text of a dialogue line as libav writes it.
const FIELDS_BEFORE_TEXT: usize = 8;

/// Reads and sends the subtitles; broken packets and streams that cannot be decoded are left out.
pub(crate) fn read(source: &Source, request: &SubtitlesRequest, outlet: &Outlet) -> Result<(), Stop> {
    let mut input = source.open()?;
    let mut decoders: BTreeMap<u32, (SubtitleDecoder, TimeBase)> = BTreeMap::new();
    for &index in &request.stream_indices {
        let info = input.stream_info(index).filter(|info| info.is_text);
        if let (Some(info), Ok(decoder)) = (info, SubtitleDecoder::open(&input, index)) {
            decoders.insert(index, (decoder, info.time_base));
        }
    }
    // What is said is said at the time of the picture that lies beside it.
    decoders.keys().for_each(|index| input.correct(*index, &request.jumps));
    input.select(&decoders.keys().copied().collect::<Vec<_>>());
    let mut packet = Packet::empty()?;
    let mut count = 0;
    while count < CUES_MAX && next_packet(&mut input, &mut packet)? {
        outlet.step()?;
        let index = packet.stream_index();
        let Some((decoder, base)) = decoders.get_mut(&index) else { continue };
        let Ok(Some(decoded)) = decoder.decode(&packet) else { continue };
        let Some(begin) = packet.pts().or(packet.dts()) else { continue };
        let Some(begin) = base.time(begin).minus(request.origin) else { continue };
        let begin = begin.as_ms();
        let length = decoded
            .end_ms
            .map(i64::from)
            .or_else(|| Some(base.time(packet.duration()).as_ms()).filter(|length| *length > 0));
        let start = begin.saturating_add(i64::from(decoded.start_ms)).max(0);
        let end = begin.saturating_add(length.unwrap_or(UNSTATED_MS));
        if end <= start {
            continue;
        }
        for text in decoded.lines.iter().filter_map(|line| text_field(line)) {
            let time = |ms: i64| MediaTime::new(ms, Timescale::MILLISECONDS);
            outlet.json(Kind::Cue, &Cue { stream_index: index, start: time(start), end: time(end), ass: text })?;
            count += 1;
        }
    }
    Ok(())
}

/// The text of a dialogue line; `None` if it is empty.
fn text_field(line: &str) -> Option<String> {
    let text = line.splitn(FIELDS_BEFORE_TEXT + 1, ',').nth(FIELDS_BEFORE_TEXT)?;
    let text: String = text.chars().filter(|char| !char.is_control()).take(TEXT_CHARS_MAX).collect();
    (!text.trim().is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_follows_eight_commas() {
        assert_eq!(text_field("0,0,Default,,0,0,0,,Hello, world\\Nagain").as_deref(), Some("Hello, world\\Nagain"));
        assert_eq!(text_field("0,0,Default,,0,0,0,, "), None);
        assert_eq!(text_field("no line"), None);
    }
}
