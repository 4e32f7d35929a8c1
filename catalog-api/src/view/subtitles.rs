//! How subtitles look in JSON: those of the file, then those that were added.

use catalog_store::{Asset, Output, Text};
use domain::probe::SubtitleTrack;
use domain::text::{Problem, Report, State};
use domain::{AssetState, Language, RenditionId, TextId};
use serde::Serialize;

/// A subtitle track of the file, or a subtitle file that was added.
#[derive(Serialize)]
pub(crate) struct SubtitleView {
    /// By which an added one is removed; null for a track of the file.
    id: Option<TextId>,
    source: Source,
    /// The codec of a track; the form of an added file, once it was read.
    format: Option<String>,
    language: Option<Language>,
    name: Option<String>,
    is_forced: bool,
    is_default: bool,
    is_hearing_impaired: bool,
    /// The track of the file that an added one is shown instead of.
    replaces: Option<RenditionId>,
    /// The added one that is shown instead of a track of the file.
    replaced_by: Option<TextId>,
    /// False if nobody will ever see it.
    is_convertible: bool,
    state: State,
    /// Why nothing is shown of it.
    reason: Option<String>,
    /// Its name in playlists, once it is there.
    rendition: Option<RenditionId>,
    /// What was found in an added file.
    report: Option<ReportView>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    File,
    Added,
}

/// What was found in an added file.
#[derive(Serialize)]
struct ReportView {
    charset: Option<String>,
    cues: u32,
    dropped: u32,
    outside: u32,
    problems: Vec<Problem>,
}

impl SubtitleView {
    pub(crate) fn is_convertible(&self) -> bool {
        self.is_convertible
    }

    pub(crate) fn language(&self) -> Option<&Language> {
        self.language.as_ref()
    }

    fn of_track(track: &SubtitleTrack, asset: &Asset, output: &Output, texts: &[Text]) -> Self {
        let plan = output.subtitle_plans.iter().find(|plan| plan.stream_index == track.stream_index);
        let made = plan.filter(|plan| output.subtitles.iter().any(|rendition| rendition.id == plan.id));
        let (state, reason) = match (plan, made) {
            (_, Some(_)) => (State::Ready, None),
            _ if !track.is_text => {
                let codec = &track.codec;
                (State::Unusable, Some(format!("it consists of pictures ({codec}), which cannot be turned into text")))
            }
            (None, _) if asset.generation.is_some() => {
                (State::Unusable, Some("the file has more subtitle tracks than are converted here".into()))
            }
            _ if asset.state == AssetState::Ready => {
                (State::Unusable, Some("it holds no text that could be read".into()))
            }
            _ => (State::Waiting, None),
        };
        Self {
            id: None,
            source: Source::File,
            format: Some(track.codec.clone()),
            language: track.language.clone(),
            name: plan.map(|plan| plan.name.clone()).or(track.title.clone()),
            is_forced: track.is_forced,
            is_default: track.is_default,
            is_hearing_impaired: track.is_sdh,
            replaces: None,
            replaced_by: plan.and_then(|plan| replacing(texts, asset, &plan.id)),
            is_convertible: state != State::Unusable,
            state,
            reason,
            rendition: made.map(|plan| plan.id.clone()),
            report: None,
        }
    }
}

impl From<&Text> for SubtitleView {
    fn from(text: &Text) -> Self {
        let report = text.report.as_ref();
        Self {
            id: Some(text.id),
            source: Source::Added,
            format: report.and_then(|report| report.format).map(|format| format.as_str().to_owned()),
            language: text.language.clone(),
            name: text.name.clone(),
            is_forced: text.is_forced,
            is_default: text.is_default,
            is_hearing_impaired: text.is_sdh,
            replaces: text.replaces.as_ref().map(|track| track.rendition.clone()),
            replaced_by: None,
            is_convertible: text.state != State::Unusable,
            state: text.state,
            reason: report.and_then(|report| report.reason.clone()),
            rendition: text.cut.as_ref().map(|(_, rendition)| rendition.id.clone()),
            report: report.map(ReportView::from),
        }
    }
}

impl From<&Report> for ReportView {
    fn from(report: &Report) -> Self {
        Self {
            charset: report.charset.clone(),
            cues: report.cues,
            dropped: report.dropped,
            outside: report.outside,
            problems: report.problems.clone(),
        }
    }
}

/// What is shown instead of a track of the source in force.
pub(crate) fn replacing(texts: &[Text], asset: &Asset, rendition: &RenditionId) -> Option<TextId> {
    let is_it = |text: &&Text| {
        let track = text.replaces.as_ref();
        track.is_some_and(|track| track.version == asset.source_version && track.rendition == *rendition)
    };
    texts.iter().find(is_it).map(|text| text.id)
}

/// All subtitles of an asset, whether or not anything can be shown of them.
pub(crate) fn subtitles(asset: &Asset, output: &Output, texts: &[Text]) -> Vec<SubtitleView> {
    let tracks = asset.probe.iter().flat_map(|probe| &probe.subtitles);
    let tracks = tracks.map(|track| SubtitleView::of_track(track, asset, output, texts));
    tracks.chain(texts.iter().map(SubtitleView::from)).collect()
}
