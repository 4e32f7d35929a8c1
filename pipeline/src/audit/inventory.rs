//! What must be stored of one generation, from plan, ledger and presentation; and where these disagree. Pure.

use std::collections::{BTreeMap, HashSet};

use catalog_store::SegmentRow;
use domain::presentation::{AudioRendition, Images, SegmentEntry, SubtitleRendition, VideoRendition};
use domain::{
    AssetId, Bitrate, Codec, Generation, LeftOut, MediaTime, Plan, PlaybackId, Presentation, RenditionId, Resolution,
    Span, Timescale,
};
use media_store::{Key, layout};

use super::fault::{Fault, Finding};

/// What the catalogue knows of one generation.
pub(super) struct Output {
    pub(super) asset: AssetId,
    pub(super) playback: PlaybackId,
    pub(super) generation: Generation,
    /// Nothing of it is still to come.
    pub(super) is_ready: bool,
    pub(super) plan: Plan,
    pub(super) rows: Vec<SegmentRow>,
    pub(super) images: Option<Images>,
    pub(super) subtitles: Vec<SubtitleRendition>,
    /// What could not be made.
    pub(super) left_out: Vec<LeftOut>,
}

/// What must be there, and what is wrong before a single object is read.
#[derive(Default)]
pub(super) struct Inventory {
    pub(super) expected: Vec<Expected>,
    /// Objects that may be there although nothing needs them.
    pub(super) allowed: Vec<Key>,
    pub(super) findings: Vec<Finding>,
}

/// One object that must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) key: Key,
    pub(super) content: Content,
    pub(super) bytes: Option<u64>,
    pub(super) sha256: Option<String>,
}

/// What an object must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A segment of video on this cell.
    Video { codec: Codec, span: Span, frame_ticks: u32, gops: Vec<u32>, timescale: Timescale, declared: Bitrate },
    /// A segment of audio on this cell.
    Audio { span: Span, offset_ticks: u32, timescale: Timescale, declared: Bitrate },
    /// The init segment of a video rendition of this size; its codec string, once that is published.
    VideoInit { resolution: Resolution, timescale: Timescale, frame_ticks: u32, codecs: Option<String> },
    /// The init segment of an audio rendition.
    AudioInit,
    /// A segment of text.
    Subtitles,
    /// A picture.
    Picture,
    /// Whatever a person sent.
    Sent,
}

/// The cells of a rendition and what its segments must be.
struct Cells<'a> {
    id: &'a RenditionId,
    spans: Vec<Span>,
    frame_ticks: u32,
    init: Content,
    segment: Box<dyn Fn(Span) -> Content + 'a>,
}

/// Compares what is known of a generation; `presentation` is the document in force, if it is this generation's.
pub(super) fn take(output: &Output, presentation: Option<&Presentation>) -> Inventory {
    let mut inventory = Inventory::default();
    let mut rows: BTreeMap<&RenditionId, BTreeMap<u32, &SegmentRow>> = BTreeMap::new();
    for row in &output.rows {
        rows.entry(&row.rendition).or_default().insert(row.index, row);
    }
    if let Some(presentation) = presentation {
        inventory.compare_outline(output, presentation);
    }
    for cells in cells(output, presentation) {
        let rows = rows.remove(cells.id).unwrap_or_default();
        let entries = presentation.and_then(|presentation| entries(presentation, cells.id));
        inventory.rendition(output, &cells, &rows, entries, presentation);
    }
    for stranger in rows.into_keys() {
        let place = output.place(stranger);
        inventory
            .findings
            .push(Fault::RowStray.finding(place, "the ledger has segments of a rendition that is in no plan"));
    }
    inventory.texts(output, presentation);
    inventory.pictures(output, presentation);
    inventory
}

impl Output {
    /// It was left out for good: it has no entry and perhaps not all rows.
    fn lacks(&self, rendition: &RenditionId) -> bool {
        let rung = self.plan.video.as_ref().and_then(|video| video.rung(rendition));
        let is_in = |codec: Codec| rung.is_some_and(|rung| rung.codec == codec);
        self.left_out
            .iter()
            .any(|missing| missing.rendition.as_ref() == Some(rendition) || missing.codec.is_some_and(is_in))
    }

    fn place(&self, rendition: &RenditionId) -> String {
        format!("{} generation {} {rendition}", self.asset, self.generation)
    }
}

impl Inventory {
    fn add(&mut self, key: Key, content: Content, known: (Option<u64>, Option<String>)) {
        self.expected.push(Expected { key, content, bytes: known.0, sha256: known.1 });
    }

    /// Tracks, duration and sums of a presentation against the plan.
    fn compare_outline(&mut self, output: &Output, presentation: &Presentation) {
        let planned = Presentation::planned(output.asset, output.playback, output.generation, &output.plan);
        let key = layout::presentation(output.asset, output.generation, presentation.revision);
        let mut differs = |what: String| self.findings.push(Fault::PresentationDiffers.finding(&key, what));
        if presentation.duration != planned.duration {
            let (found, planned) = (presentation.duration.as_ms(), planned.duration.as_ms());
            differs(format!("it lasts {found} ms, planned are {planned} ms"));
        }
        if presentation.cadence != planned.cadence {
            differs("its segments are on another grid than planned".into());
        }
        let sizes = |renditions: &[VideoRendition]| -> Vec<(RenditionId, Resolution, Timescale)> {
            renditions.iter().map(|video| (video.id.clone(), video.resolution, video.timescale)).collect()
        };
        let mut wanted = planned.video.clone();
        if presentation.is_complete() {
            let extra = Presentation::planned_extra(&output.plan);
            wanted.extend(extra.into_iter().filter(|video| !output.lacks(&video.id)));
        }
        if sizes(&presentation.video) != sizes(&wanted) {
            differs("its video renditions are not the planned ones".into());
        }
        let is_planned = |audio: &AudioRendition| {
            planned.audio.iter().any(|planned| (&planned.id, planned.timescale) == (&audio.id, audio.timescale))
        };
        if !presentation.audio.iter().all(is_planned) {
            differs("it has an audio rendition that was not planned".into());
        }
        let is_there = |audio: &&AudioRendition| presentation.audio.iter().any(|found| found.id == audio.id);
        if let Some(missing) = planned.audio.iter().filter(|audio| !output.lacks(&audio.id)).find(|it| !is_there(it)) {
            differs(format!("it lacks {}, which was not left out", missing.id));
        }
        for text in &presentation.subtitles {
            let found = sum(&text.segments, text.timescale).as_ms();
            // Text is cut in whole milliseconds.
            let wanted = presentation.duration.as_ms().max(1);
            if found != wanted {
                differs(format!("the segments of {} last {found} ms together, the whole {wanted} ms", text.id));
            }
        }
    }

    /// Plan, rows and entries of one coded rendition, cell by cell.
    fn rendition(
        &mut self,
        output: &Output,
        cells: &Cells<'_>,
        rows: &BTreeMap<u32, &SegmentRow>,
        entries: Option<&[SegmentEntry]>,
        presentation: Option<&Presentation>,
    ) {
        let (asset, generation, id) = (output.asset, output.generation, cells.id);
        let is_published = presentation.is_some_and(Presentation::is_complete) && entries.is_some();
        let is_missed = output.is_ready && !output.lacks(id);
        let mut lasting = 0u64;
        for span in &cells.spans {
            let index = usize::try_from(span.index).unwrap_or(usize::MAX);
            let entry = entries.and_then(|entries| entries.get(index));
            let row = rows.get(&span.index).copied();
            lasting = lasting.saturating_add(entry.map_or(0, |entry| entry.ticks));
            self.compare_cell(output, cells, *span, row, entry.filter(|_| is_published));
            let recorded = row.map(|row| (Some(row.bytes), Some(row.sha256.clone())));
            let told = || entry.filter(|entry| entry.bytes.is_some()).map(|entry| (entry.bytes, entry.sha256.clone()));
            if let Some(known) = recorded.or_else(told) {
                self.add(layout::segment(asset, generation, id, span.index), (cells.segment)(*span), known);
            } else if is_missed || is_published {
                // Nothing tells its hash, but it must be there.
                self.add(layout::segment(asset, generation, id, span.index), (cells.segment)(*span), (None, None));
            }
        }
        let planned = cells.spans.iter().map(|span| u64::from(span.count) * u64::from(cells.frame_ticks)).sum::<u64>();
        let count = entries.map_or(cells.spans.len(), <[SegmentEntry]>::len);
        if entries.is_some() && (lasting != planned || count != cells.spans.len()) {
            let key = layout::presentation(asset, generation, presentation.map_or(0, |document| document.revision));
            let told = format!(
                "the {count} segments of {id} last {lasting} ticks together, planned are {} of {planned} ticks",
                cells.spans.len()
            );
            self.findings.push(Fault::PresentationDiffers.finding(key, told));
        }
        let cell_count = u32::try_from(cells.spans.len()).unwrap_or(u32::MAX);
        if let Some(stray) = rows.keys().find(|index| **index >= cell_count) {
            let place = format!("{} segment {stray}", output.place(id));
            self.findings.push(Fault::RowStray.finding(place, "the ledger has a segment that the plan has not"));
        }
        if is_missed || !rows.is_empty() {
            let key = layout::init(asset, generation, id);
            let known = file(presentation, &key, output);
            self.add(key, cells.init.clone(), known);
        } else {
            // It is there before the first segment is.
            self.allowed.push(layout::init(asset, generation, id));
        }
    }

    /// One cell of plan, ledger and presentation.
    fn compare_cell(
        &mut self,
        output: &Output,
        cells: &Cells<'_>,
        span: Span,
        row: Option<&SegmentRow>,
        entry: Option<&SegmentEntry>,
    ) {
        let place = || format!("{} segment {}", output.place(cells.id), span.index);
        let planned = u64::from(span.count) * u64::from(cells.frame_ticks);
        match (row, entry) {
            (None, Some(_)) => {
                self.findings.push(Fault::RowMissing.finding(place(), "it is published, but not in the ledger"));
            }
            (None, None) if output.is_ready && !output.lacks(cells.id) => {
                self.findings.push(Fault::RowMissing.finding(place(), "it is planned, but not in the ledger"));
            }
            (Some(row), _) if row.ticks != planned => {
                let told = format!("the ledger has {} ticks, planned are {planned}", row.ticks);
                self.findings.push(Fault::RowDiffers.finding(place(), told));
            }
            (Some(row), Some(entry)) if SegmentEntry::from(row.clone()) != *entry => {
                self.findings.push(Fault::PresentationDiffers.finding(
                    place(),
                    "the presentation tells another length, hash, duration or keyframe than the ledger",
                ));
            }
            _ => {}
        }
    }

    fn texts(&mut self, output: &Output, presentation: Option<&Presentation>) {
        let published = presentation.iter().flat_map(|presentation| &presentation.subtitles);
        let mut seen = HashSet::new();
        for text in published.chain(&output.subtitles) {
            if !seen.insert(&text.id) {
                continue;
            }
            for (index, entry) in (0u32..).zip(&text.segments) {
                let key = layout::subtitle(output.asset, output.generation, &text.id, index);
                self.add(key, Content::Subtitles, (entry.bytes, entry.sha256.clone()));
            }
        }
    }

    fn pictures(&mut self, output: &Output, presentation: Option<&Presentation>) {
        let published = presentation.and_then(|presentation| presentation.images.as_ref());
        if let (Some(published), Some(recorded)) = (published, &output.images)
            && published != recorded
        {
            let key = layout::presentation(output.asset, output.generation, presentation.map_or(0, |it| it.revision));
            self.findings.push(Fault::PresentationDiffers.finding(key, "its pictures are not those of the catalogue"));
        }
        let mut seen = HashSet::new();
        for name in published.iter().copied().chain(&output.images).flat_map(Images::files) {
            if !seen.insert(name) {
                continue;
            }
            match layout::image(output.asset, output.generation, name) {
                Ok(key) => {
                    let known = file(presentation, &key, output);
                    self.add(key, Content::Picture, known);
                }
                Err(error) => {
                    let place = format!("{} generation {} images/{name}", output.asset, output.generation);
                    self.findings.push(Fault::PresentationDiffers.finding(place, error.to_string()));
                }
            }
        }
    }
}

/// What the presentation tells of an object that is no segment.
fn file(presentation: Option<&Presentation>, key: &Key, output: &Output) -> (Option<u64>, Option<String>) {
    let path = key.below(&layout::generation_of(output.asset, output.generation));
    let found = presentation.and_then(|it| it.files.iter().find(|file| Some(file.path.as_str()) == path));
    found.map_or((None, None), |file| (Some(file.bytes), Some(file.sha256.clone())))
}

/// All coded renditions of the plan.
fn cells<'a>(output: &'a Output, presentation: Option<&Presentation>) -> Vec<Cells<'a>> {
    let plan = &output.plan;
    let rate = plan.cadence.frame_rate;
    let (timescale, frame_ticks) = (rate.timescale(), rate.frame_ticks());
    let codecs = |id: &RenditionId| {
        let complete = presentation.filter(|presentation| presentation.is_complete())?;
        complete.video.iter().find(|video| video.id == *id).map(|video| video.codecs.clone())
    };
    let video = plan.video.iter().flat_map(|video| video.ladders().flatten()).map(move |rung| Cells {
        id: &rung.id,
        spans: plan.video_spans(),
        frame_ticks,
        init: Content::VideoInit { resolution: rung.resolution, timescale, frame_ticks, codecs: codecs(&rung.id) },
        segment: Box::new(move |span| Content::Video {
            codec: rung.codec,
            span,
            frame_ticks,
            gops: plan.cadence.gops(span),
            timescale,
            declared: rung.bitrate_max,
        }),
    });
    let audio = plan.audio.iter().map(move |audio| Cells {
        id: &audio.id,
        spans: plan.audio_spans(audio),
        frame_ticks: domain::AAC_FRAME_SAMPLES,
        init: Content::AudioInit,
        segment: Box::new(move |span| Content::Audio {
            span,
            offset_ticks: audio.offset(),
            timescale: plan.audio_timescale(audio),
            declared: plan.audio_bitrate(audio),
        }),
    });
    video.chain(audio).collect()
}

/// The segments of a coded rendition in the presentation.
fn entries<'a>(presentation: &'a Presentation, id: &RenditionId) -> Option<&'a [SegmentEntry]> {
    let video = presentation.video.iter().find(|video| video.id == *id).map(|video| video.segments.as_slice());
    video.or_else(|| presentation.audio.iter().find(|audio| audio.id == *id).map(|audio| audio.segments.as_slice()))
}

fn sum(entries: &[SegmentEntry], timescale: Timescale) -> MediaTime {
    let ticks = entries.iter().fold(0u64, |sum, entry| sum.saturating_add(entry.ticks));
    MediaTime::new(i64::try_from(ticks).unwrap_or(i64::MAX), timescale)
}

#[cfg(test)]
mod tests;
