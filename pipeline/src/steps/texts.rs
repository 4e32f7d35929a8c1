//! Subtitle files and chapters that were added to an asset: into its presentation, without touching anything else.

use std::collections::BTreeSet;

use catalog_store::Text;
use domain::presentation::SubtitleRendition;
use domain::text::{Report, State};
use domain::{AssetState, Generation, Language, Plan, Presentation, RenditionId, Timescale, chapters, markers};
use media_store::layout;
use packager::texts::{self, Hints, Reading};
use packager::webvtt;

use super::{Settlement, Step, documents, edition, poster, publish, subtitles, transcripts};
use crate::commit::blocking;
use crate::cues;
use crate::error::JobError;

/// What a menu shows for a text of which neither name nor language is known.
const NAMELESS: &str = "Subtitles";

/// The texts of an asset at one moment.
pub(super) struct Texts {
    /// What players get.
    pub(super) renditions: Vec<SubtitleRendition>,
    /// Tracks of the source that they get instead of.
    replaced: Vec<RenditionId>,
    /// Those that were taken back, whose objects are still there.
    removed: Vec<Text>,
}

pub(super) async fn run(step: &Step<'_>, generation: Generation) -> Result<Settlement, JobError> {
    if step.asset().await?.state == AssetState::Failed {
        return Ok(Settlement::Texts);
    }
    let (plan, probe) = (step.plan(generation).await?, step.probe().await?);
    for _ in 0..edition::ATTEMPTS_MAX {
        let before = edition::in_force(step, generation).await?;
        let Some(document) = before.document.clone() else {
            return Err(JobError::inconsistent("the document in force cannot be read"));
        };
        let asset = step.asset().await?;
        let texts = read_all(step, generation, &plan).await?;
        let own = step.parts.catalog.subtitles(asset.id, generation).await?;
        transcripts::complete(step, generation, &plan, &own).await?;
        let poster = match before.edition.is_complete {
            true => Some(poster::chosen(step, generation, (&plan, &probe), asset.poster).await?),
            // Whoever publishes the whole of it looks at what is wished for.
            false => None,
        };
        let mut next = Presentation {
            is_complete: Some(before.edition.is_complete),
            subtitles: texts.beside(own),
            chapters: chapters::shown(asset.chapters.as_deref(), &probe, plan.origin, plan.duration),
            markers: markers::shown(&asset.markers, plan.duration),
            ..document
        };
        if let Some(poster) = poster.as_ref().filter(|poster| poster.images != next.images) {
            next.images.clone_from(&poster.images);
            next.files = publish::measured_files(&step.parts.store, &next, &next.files).await?;
        }
        if edition::replace(step, &before, next).await? {
            sweep(step, texts).await?;
            documents::sweep(step).await?;
            if let Some(poster) = poster {
                poster.record(step, generation).await?;
            }
            return Ok(Settlement::Texts);
        }
    }
    Err(JobError::Outpaced)
}

/// The texts of the asset as renditions of a generation; those that were not read yet are read.
pub(super) async fn read_all(step: &Step<'_>, generation: Generation, plan: &Plan) -> Result<Texts, JobError> {
    let mut texts = Texts { renditions: vec![], replaced: vec![], removed: vec![] };
    let source = step.parts.catalog.source_of(step.job.asset, Some(generation)).await?.version;
    for text in step.parts.catalog.texts(step.job.asset).await? {
        if text.is_removed {
            texts.removed.push(text);
            continue;
        }
        // What stands for a track of another version has nothing to stand for here.
        if text.replaces.as_ref().is_some_and(|track| track.version != source) {
            continue;
        }
        let found = match &text.cut {
            Some((made, rendition)) if *made == generation => Some(rendition.clone()),
            // What does not fit one version may fit another, which has other generations.
            _ if text.state == State::Unusable && text.read_for.is_none_or(|read| read == generation) => None,
            _ => read(step, generation, plan, &text).await?,
        };
        if let Some(rendition) = found {
            texts.replaced.extend(text.replaces.as_ref().map(|track| track.rendition.clone()));
            texts.renditions.push(dressed(rendition, &text));
        }
    }
    Ok(texts)
}

impl Texts {
    /// All subtitles that players get, where these are the source's own.
    pub(super) fn beside(&self, own: Vec<SubtitleRendition>) -> Vec<SubtitleRendition> {
        let own = own.into_iter().filter(|rendition| !self.replaced.contains(&rendition.id));
        own.chain(self.renditions.iter().cloned()).collect()
    }
}

/// What was made of a text, as it is called by now.
fn dressed(rendition: SubtitleRendition, text: &Text) -> SubtitleRendition {
    let name = text.name.as_deref().or(text.language.as_ref().map(Language::name)).unwrap_or(NAMELESS);
    SubtitleRendition {
        language: text.language.clone(),
        name: name.to_owned(),
        is_forced: text.is_forced,
        is_sdh: text.is_sdh,
        is_default: text.is_default,
        ..rendition
    }
}

/// Removes the objects of texts that were taken back. To be called once a document without them is in force.
pub(super) async fn sweep(step: &Step<'_>, texts: Texts) -> Result<(), JobError> {
    let (parts, asset) = (step.parts, step.job.asset);
    let found = step.asset().await?;
    for text in texts.removed {
        // While another output is made, both may have been cut.
        let cut = text.cut.as_ref().map(|(generation, _)| *generation);
        let generations: BTreeSet<Generation> =
            [cut, found.generation, found.next_generation].into_iter().flatten().collect();
        for generation in generations {
            parts.store.delete_prefix(&layout::subtitle_of(asset, generation, &text.id.rendition())).await?;
        }
        parts.store.delete(&layout::text(asset, text.id)).await?;
        parts.catalog.forget_text(step.job, text.id, parts.clock.now()).await?;
        tracing::info!(text.id = %text.id, "text removed");
    }
    Ok(())
}

/// Reads one file, stores its segments and records what was found. `None` if nothing can be shown of it.
async fn read(
    step: &Step<'_>,
    generation: Generation,
    plan: &Plan,
    text: &Text,
) -> Result<Option<SubtitleRendition>, JobError> {
    let parts = step.parts;
    let (cues, report) = match parts.store.get(&layout::text(step.job.asset, text.id)).await? {
        Some(body) => parsed(body, text, plan).await?,
        None => (vec![], refused("the stored file is lost: add it again")),
    };
    let spoken = cues::spoken(&cues);
    let rendition = if report.reason.is_some() {
        None
    } else {
        let (cadence, duration) = (plan.cadence.clone(), plan.duration);
        let segments = blocking(move || Ok(cues::segments(&cues, &cadence, duration))).await?;
        let id = text.id.rendition();
        let segments = subtitles::store(step, generation, &id, segments).await?;
        let bare = SubtitleRendition {
            id,
            language: None,
            name: String::new(),
            is_forced: false,
            is_sdh: false,
            is_default: false,
            timescale: Timescale::MILLISECONDS,
            segments,
        };
        Some(dressed(bare, text))
    };
    let source = text.id.to_string();
    let source = (source.as_str(), text.language.as_ref());
    parts.catalog.put_transcript(step.job, source, &spoken, parts.clock.now()).await?;
    parts.catalog.put_text(step.job, text.id, &report, rendition.as_ref(), parts.clock.now()).await?;
    tracing::info!(text.id = %text.id, cues = report.cues, dropped = report.dropped, "text read");
    Ok(rendition)
}

/// The cues that are shown, and what was found; a reason in the report if there are none.
pub(super) async fn parsed(
    body: bytes::Bytes,
    text: &Text,
    plan: &Plan,
) -> Result<(Vec<webvtt::Cue>, Report), JobError> {
    let (language, charset) = (text.language.clone(), text.charset.clone());
    let duration = plan.duration;
    let work = move || {
        let Reading { cues, mut report } =
            texts::read(&body, Hints { language: language.as_ref(), charset: charset.as_deref() });
        let outside = cues.iter().filter(|cue| cue.start >= duration).count();
        let had_cues = !cues.is_empty();
        let cues = cues::shown(cues, duration);
        report.outside = u32::try_from(outside).unwrap_or(u32::MAX);
        report.cues = u32::try_from(cues.len()).unwrap_or(u32::MAX);
        if cues.is_empty() && had_cues {
            let end = domain::hms(duration);
            report.reason = Some(format!("all subtitles of the file begin after the end, which is at {end}"));
        }
        Ok((cues, report))
    };
    match blocking(work).await {
        // A file that breaks the reader once breaks it every time.
        Err(JobError::Panicked) => Ok((vec![], refused("the file could not be read"))),
        parsed => parsed,
    }
}

fn refused(reason: &str) -> Report {
    Report { reason: Some(reason.to_owned()), ..Report::default() }
}
