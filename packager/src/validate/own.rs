//! A presentation before it is published: its playlists as players will see them.

use std::collections::HashMap;

use domain::presentation::SegmentEntry;
use domain::{Presentation, RenditionId};

use super::{Multivariant, Playlist, Report, Track, read, rules, whole};
use crate::hls::{self, View};

const TOP: &str = "master.m3u8";

/// Judges every playlist of a presentation, and the sizes of its segments as far as they are known.
pub fn presentation(presentation: &Presentation) -> Report {
    let mut report = Report::default();
    let text = hls::multivariant(presentation, "", View::default());
    let Some(Playlist::Multivariant(top)) = read(TOP, text.as_bytes(), &mut report) else {
        report.add(&rules::KIND, TOP, "it lists nothing");
        return report;
    };
    let tracks = tracks(presentation, &top, &mut report);
    whole(&top, &tracks, &mut report);
    if !presentation.is_complete() {
        // They are measured, so they come last.
        report.findings.retain(|finding| *finding.rule != rules::IFRAMES);
    }
    report
}

fn tracks(presentation: &Presentation, top: &Multivariant, report: &mut Report) -> Vec<(String, Track)> {
    let video = presentation.video.iter().map(|one| (one.id.as_str(), one.segments.as_slice()));
    let audio = presentation.audio.iter().map(|one| (one.id.as_str(), one.segments.as_slice()));
    let texts = presentation.subtitles.iter().map(|one| (one.id.as_str(), one.segments.as_slice()));
    let entries: HashMap<&str, &[SegmentEntry]> = video.chain(audio).chain(texts).collect();
    let mut tracks = Vec::new();
    for (uri, declared) in top.children() {
        let (name, file) = uri.rsplit_once('/').unwrap_or(("", uri.as_str()));
        let Ok(rendition) = RenditionId::new(name) else { continue };
        let text = match file {
            "iframes.m3u8" => hls::iframes(presentation, &rendition, View::default()),
            _ => hls::media(presentation, &rendition, View::default()),
        };
        let text = text.unwrap_or_default();
        let Some(Playlist::Media(media)) = read(&uri, text.as_bytes(), report) else {
            report.add(&rules::KIND, uri, "it is no media playlist");
            continue;
        };
        let mut track = Track::new(media, declared, report);
        if file == "playlist.m3u8" {
            for entry in entries.get(name).copied().unwrap_or_default() {
                entry.bytes.iter().for_each(|bytes| track.measured(*bytes));
            }
        }
        tracks.push((uri, track));
    }
    tracks
}
