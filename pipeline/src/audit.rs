//! Reads everything again that is stored of an asset and says what is wrong with it.
//!
//! Nothing is written, and whoever works on the asset meanwhile need not stop. What is compared:
//!
//! ```text
//! pointer -> presentation -> entries <-> rows of the ledger <-> plan      (inventory)
//!                                 \         |
//!                                  objects: length, SHA-256, boxes        (objects)
//!                                           |
//!                                  the same segment, encoded once more    (reencode)
//! ```

mod fault;
mod inventory;
mod objects;
mod reencode;

use std::collections::HashSet;

use catalog_store::{Asset, CatalogError, Version, VersionState};
use domain::presentation::{Pointer, SCHEMA};
use domain::{AssetId, AssetState, Generation, PlaybackId, PosterChoice, Presentation, SourceId, SourceVersion};
use media_store::{Key, Prefix, StoreError, layout};
use serde::Serialize;

use crate::Parts;
pub use fault::{Fault, Finding};
use inventory::{Content, Expected, Output};

/// Most findings that one report lists; of further ones only the number is kept.
const FINDINGS_MAX: usize = 1000;

/// How often an asset is looked at that changes meanwhile.
const ATTEMPTS_MAX: u32 = 3;

/// What is done besides reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How many segments, chosen at random, are encoded again and compared.
    pub reencode: usize,
}

/// How far an audit is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Objects and segments that are done.
    pub done: u64,
    /// Those that there are to do.
    pub total: u64,
}

/// What was found of one asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The asset.
    pub asset: AssetId,
    /// The name under which it is served.
    pub playback: PlaybackId,
    /// Title shown to people.
    pub title: Option<String>,
    /// Where it stands.
    pub state: AssetState,
    /// The output in force; `None` while there is none.
    pub generation: Option<Generation>,
    /// The revision of its presentation.
    pub revision: Option<u32>,
    /// Objects that were read and compared.
    pub objects: u64,
    /// Octets of these.
    pub bytes: u64,
    /// Segments that were encoded again.
    pub reencoded: u64,
    /// The outputs that were known when the report was begun.
    #[serde(skip)]
    outputs: Vec<Generation>,
    /// Everything that is wrong, the causes before what follows from them.
    pub findings: Vec<Finding>,
    /// Findings beyond those listed.
    pub findings_left_out: u64,
}

impl Report {
    /// Nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    fn new(asset: &Asset) -> Self {
        Self {
            asset: asset.id,
            playback: asset.playback,
            title: asset.title.clone(),
            state: asset.state,
            generation: None,
            revision: None,
            objects: 0,
            bytes: 0,
            reencoded: 0,
            outputs: Vec::new(),
            findings: Vec::new(),
            findings_left_out: 0,
        }
    }

    fn add(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.findings_left_out += 1;
        }
    }

    fn tells(&self, fault: Fault) -> bool {
        self.findings.iter().any(|finding| finding.fault == fault)
    }
}

/// Why an asset could not be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// There is no such asset.
    #[error("no asset {0}")]
    NoAsset(AssetId),
    /// The catalogue failed.
    #[error("cannot read the catalogue")]
    Catalog(#[from] CatalogError),
    /// The object store failed.
    #[error("cannot read the storage")]
    Store(#[from] StoreError),
}

/// Looks at everything that is stored of `asset`; `on_progress` is called after each object.
///
/// What is still being made is not missed: of an asset that is not ready, that is looked at which is there.
/// Both the catalogue and the store may have been opened to be read only.
///
/// # Errors
/// [`AuditError`] if the asset is unknown, or catalogue or store do not answer. Whatever is wrong with
/// the asset itself is in the report.
pub async fn audit(
    parts: &Parts,
    asset: AssetId,
    options: Options,
    mut on_progress: impl FnMut(Progress),
) -> Result<Report, AuditError> {
    for _ in 1..ATTEMPTS_MAX {
        let report = attempt(parts, asset, options, &mut on_progress).await?;
        if report.is_sound() || !has_changed(parts, &report).await? {
            return Ok(report);
        }
    }
    let mut report = attempt(parts, asset, options, &mut on_progress).await?;
    if !report.is_sound() && has_changed(parts, &report).await? {
        report.findings.insert(0, Fault::Changing.finding(asset, "it changed while it was looked at"));
    }
    Ok(report)
}

/// True if the asset moved on since the report was begun, so that its findings may be none.
async fn has_changed(parts: &Parts, report: &Report) -> Result<bool, AuditError> {
    let found = parts.catalog.asset(report.asset).await?;
    let state = found.map_or(AssetState::Deleted, |found| found.state);
    let pointer = pointer(parts, report.playback).await?.and_then(Result::ok);
    let in_force = pointer.map(|pointer| (pointer.generation, pointer.revision));
    // One that was replaced goes some time later.
    let outputs = outputs(parts, report.asset).await?;
    Ok((state, in_force) != (report.state, report.generation.zip(report.revision)) || outputs != report.outputs)
}

async fn outputs(parts: &Parts, asset: AssetId) -> Result<Vec<Generation>, CatalogError> {
    Ok(parts.catalog.generations(asset).await?.into_iter().map(|one| one.generation).collect())
}

async fn attempt(
    parts: &Parts,
    id: AssetId,
    options: Options,
    on_progress: &mut impl FnMut(Progress),
) -> Result<Report, AuditError> {
    let asset = parts.catalog.asset(id).await?.ok_or(AuditError::NoAsset(id))?;
    let mut report = Report::new(&asset);
    let is_busy = parts.catalog.unfinished_job_count_of(id).await? > 0;
    check_source(parts, &asset, is_busy, &mut report).await?;
    let published = published(parts, &asset, &mut report).await?;
    let is_elsewhere = match &published {
        // One that is behind is of the same time.
        Some(published) if !is_busy && !report.tells(Fault::PointerBehind) => {
            is_elsewhere(parts, &asset, published, &mut report).await?
        }
        _ => false,
    };
    // What is in force is not what is told there: nothing can be learned from that, nor of what it does not know.
    let published = published.filter(|_| !is_elsewhere);
    let is_busy = is_busy || is_elsewhere;
    let mut known: HashSet<Key> = HashSet::new();
    let mut inventories = Vec::new();
    report.outputs = outputs(parts, id).await?;
    for generation in report.outputs.clone() {
        let Some(output) = output(parts, &asset, generation, &mut report).await? else { continue };
        let presentation = published.as_ref().filter(|published| published.generation == generation);
        let inventory = inventory::take(&output, presentation);
        inventory.findings.iter().cloned().for_each(|finding| report.add(finding));
        known.extend(inventory.expected.iter().map(|expected| expected.key.clone()));
        known.extend(inventory.allowed.iter().cloned());
        inventories.push((output, inventory));
    }
    let mut added = added_texts(parts, id).await?;
    added.extend(added_documents(parts, id).await?);
    let (begun, removed) = (parts.catalog.documents(id).await?, parts.catalog.removed_documents(id).await?);
    // Those that are just being stored or removed may be there.
    known.extend(begun.iter().map(|document| document.id).chain(removed).map(|one| layout::document(id, one)));
    if let Some(PosterChoice::Picture { id: picture }) = asset.poster {
        added.push(Expected { key: layout::poster(id, picture), content: Content::Picture, bytes: None, sha256: None });
    }
    known.extend(added.iter().map(|expected| expected.key.clone()));
    let picked = reencode::pick(options.reencode, published.as_ref(), &inventories, parts.clock.entropy());
    let total: usize =
        inventories.iter().map(|(_, inventory)| inventory.expected.len()).sum::<usize>() + added.len() + picked.len();
    let mut progress = Progress { done: 0, total: u64::try_from(total).unwrap_or(u64::MAX) };
    for (_, inventory) in &mut inventories {
        objects::check(parts, std::mem::take(&mut inventory.expected), &mut report, &mut progress, on_progress).await?;
    }
    objects::check(parts, added, &mut report, &mut progress, on_progress).await?;
    // Objects of work under way come before their rows.
    if !is_busy {
        let prefixes = [layout::media_of(id), layout::texts_of(id), layout::documents_of(id), layout::posters_of(id)];
        for prefix in prefixes {
            // What was published of an earlier output is told by documents that are not read here.
            let is_earlier = |key: &Key| {
                let mut earlier = report.outputs.iter().filter(|one| Some(**one) != asset.generation);
                earlier.any(|one| key.below(&layout::generation_of(id, *one)).is_some())
            };
            let is_known = |key: &Key| known.contains(key) || is_earlier(key);
            let strange = strangers(parts, &prefix, is_known).await?;
            strange.into_iter().for_each(|finding| report.add(finding));
        }
        let in_force = report.generation.zip(report.revision);
        // Earlier documents stay for players that hold on to them.
        let is_published = |key: &Key| {
            layout::presentation_named(id, key).is_some_and(|(generation, revision)| {
                report.outputs.contains(&generation)
                    && in_force.is_none_or(|(current, last)| generation != current || revision <= last)
            })
        };
        let strange = strangers(parts, &layout::presentations_of(id), is_published).await?;
        strange.into_iter().for_each(|finding| report.add(finding));
    }
    if reencode::is_comparable(parts, &picked, &mut report).await {
        for segment in picked {
            reencode::compare(parts, &asset, segment, &mut report).await?;
            progress.done += 1;
            on_progress(progress);
        }
    }
    Ok(report)
}

/// The subtitle files that were added to the asset, as they were sent. Those taken back may be gone already.
async fn added_texts(parts: &Parts, asset: AssetId) -> Result<Vec<Expected>, AuditError> {
    let texts = parts.catalog.texts(asset).await?;
    let sent = texts.iter().filter(|text| !text.is_removed).map(|text| Expected {
        key: layout::text(asset, text.id),
        content: Content::Sent,
        bytes: None,
        sha256: None,
    });
    Ok(sent.collect())
}

/// The documents of the asset that are there, with what was noted of them.
async fn added_documents(parts: &Parts, asset: AssetId) -> Result<Vec<Expected>, AuditError> {
    let documents = parts.catalog.documents(asset).await?;
    let there = documents.into_iter().filter(|document| document.state == domain::document::State::Ready);
    let expected = |document: catalog_store::Document| Expected {
        key: layout::document(asset, document.id),
        content: Content::Sent,
        bytes: document.size.map(|size| size.0),
        sha256: document.sha256,
    };
    Ok(there.map(expected).collect())
}

async fn check_source(parts: &Parts, asset: &Asset, is_busy: bool, report: &mut Report) -> Result<(), AuditError> {
    if asset.source_version_taken != SourceVersion::FIRST {
        check_versions(parts, asset, is_busy, report).await?;
    }
    let key = layout::source(asset.source());
    let found = parts.store.source_size(asset.source()).await?;
    let expected = match asset.state {
        AssetState::Uploading => return Ok(()),
        AssetState::Deleted => {
            if found.is_some() && !is_busy {
                report.add(Fault::Stranger.finding(key, "the asset is deleted, its source is still there"));
            }
            return Ok(());
        }
        _ => asset.size.map(|size| size.0),
    };
    match (found, expected) {
        (None, _) => report.add(Fault::SourceMissing.finding(key, "the source is missing")),
        (Some(found), Some(expected)) if found != expected => {
            report.add(
                Fault::SourceDiffers.finding(key, format!("the source has {found} bytes, received were {expected}")),
            );
        }
        _ => {}
    }
    Ok(())
}

/// The sources that are not in force: those that can be gone back to are there, those that are not known any more are
/// not.
async fn check_versions(parts: &Parts, asset: &Asset, is_busy: bool, report: &mut Report) -> Result<(), AuditError> {
    let known = parts.catalog.versions(asset.id).await?;
    let numbers = (SourceVersion::FIRST.0..=asset.source_version_taken.0).map(SourceVersion);
    for version in numbers.filter(|version| *version != asset.source_version) {
        let source = SourceId { asset: asset.id, version };
        let key = layout::source(source);
        let found = parts.store.source_size(source).await?;
        let expected = known.iter().find(|known| known.version == version);
        match (found, expected.filter(|known| known.state == VersionState::Ready)) {
            (None, Some(_)) => report.add(Fault::SourceMissing.finding(key, "the source of a kept version is missing")),
            (Some(found), Some(Version { size: Some(size), .. })) if found != size.0 => {
                let what = format!("the source has {found} bytes, received were {}", size.0);
                report.add(Fault::SourceDiffers.finding(key, what));
            }
            (Some(_), None) if expected.is_none() && !is_busy => {
                report.add(Fault::Stranger.finding(key, "the version is not kept, its source is still there"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What the catalogue knows of one generation; `None` if it is not planned.
async fn output(
    parts: &Parts,
    asset: &Asset,
    generation: Generation,
    report: &mut Report,
) -> Result<Option<Output>, AuditError> {
    let read = async {
        let Some(plan) = parts.catalog.plan(asset.id, generation).await? else { return Ok(None) };
        Ok(Some(Output {
            asset: asset.id,
            playback: asset.playback,
            generation,
            is_ready: asset.state == AssetState::Ready && asset.generation == Some(generation),
            plan,
            rows: parts.catalog.segments(asset.id, generation).await?,
            images: parts.catalog.images(asset.id, generation).await?,
            subtitles: parts.catalog.subtitles(asset.id, generation).await?,
            left_out: parts.catalog.left_out(asset.id, generation).await?,
        }))
    };
    match read.await {
        Err(CatalogError::Corrupt { column, detail }) => {
            let place = format!("{} generation {generation}", asset.id);
            report.add(Fault::RowUnreadable.finding(place, format!("{column} cannot be read: {detail}")));
            Ok(None)
        }
        read => Ok(read?),
    }
}

/// The presentation in force, noted in the report; `None` if there is none or it cannot be read.
async fn published(parts: &Parts, asset: &Asset, report: &mut Report) -> Result<Option<Presentation>, AuditError> {
    let place = format!("pointer of {}", asset.playback);
    let is_expected = asset.state == AssetState::Ready || (asset.is_playable && asset.state == AssetState::Processing);
    let pointer = match pointer(parts, asset.playback).await? {
        Some(Ok(_)) if asset.state == AssetState::Deleted => {
            report.add(Fault::Stranger.finding(place, "the asset is deleted, its pointer is still there"));
            return Ok(None);
        }
        Some(Ok(pointer)) => pointer,
        Some(Err(error)) => {
            report.add(Fault::PointerUnreadable.finding(place, format!("the pointer cannot be read: {error}")));
            return Ok(None);
        }
        None if is_expected => {
            report.add(Fault::PointerMissing.finding(place, "the asset has no pointer, so nobody can play it"));
            return Ok(None);
        }
        None => return Ok(None),
    };
    (report.generation, report.revision) = (Some(pointer.generation), Some(pointer.revision));
    if pointer.schema != SCHEMA || pointer.asset != asset.id {
        let told = format!("it names {} in form {}, not {} in form {SCHEMA}", pointer.asset, pointer.schema, asset.id);
        report.add(Fault::PointerUnreadable.finding(place, told));
        return Ok(None);
    }
    if asset.state == AssetState::Ready && !pointer.is_complete() {
        report.add(
            Fault::PointerBehind
                .finding(place, "the asset is ready, but its pointer names a document of when it was not"),
        );
    }
    let key = layout::presentation(pointer.asset, pointer.generation, pointer.revision);
    let Some(body) = parts.store.get(&key).await? else {
        report.add(Fault::PresentationMissing.finding(key, "the pointer names this presentation, which is missing"));
        return Ok(None);
    };
    report.objects += 1;
    report.bytes += u64::try_from(body.len()).unwrap_or(0);
    let problem = match serde_json::from_slice::<Presentation>(&body) {
        Ok(found) if pointer.names(&found) && found.playback == asset.playback => return Ok(Some(found)),
        Ok(found) => format!("it is that of {} generation {}-{}", found.asset, found.generation, found.revision),
        Err(error) => format!("it cannot be read: {error}"),
    };
    report.add(Fault::PresentationUnreadable.finding(key, problem));
    Ok(None)
}

/// True if another presentation of a ready asset is shown than the one that the catalogue has in force; then that is in
/// the report.
async fn is_elsewhere(
    parts: &Parts,
    asset: &Asset,
    published: &Presentation,
    report: &mut Report,
) -> Result<bool, AuditError> {
    let Some(generation) = asset.generation.filter(|_| asset.state == AssetState::Ready) else { return Ok(false) };
    let Some(edition) = parts.catalog.edition(asset.id, generation).await? else { return Ok(false) };
    if (published.generation, published.revision) == (generation, edition.revision) {
        return Ok(false);
    }
    let (shown, revision) = (published.generation, published.revision);
    let told = format!(
        "it shows generation {shown}, revision {revision}; the catalogue has generation {generation}, revision {}",
        edition.revision
    );
    report.add(Fault::PointerElsewhere.finding(format!("pointer of {}", asset.playback), told));
    Ok(true)
}

/// The pointer of a playback id, if there is one and it can be read.
async fn pointer(
    parts: &Parts,
    playback: PlaybackId,
) -> Result<Option<Result<Pointer, serde_json::Error>>, StoreError> {
    Ok(parts.store.pointer(playback).await?.map(|body| serde_json::from_slice(&body)))
}

/// Objects below `prefix` that nothing speaks of.
async fn strangers(
    parts: &Parts,
    prefix: &Prefix,
    is_known: impl Fn(&Key) -> bool,
) -> Result<Vec<Finding>, AuditError> {
    let (mut after, mut found) = (None, Vec::new());
    // Ends because every page begins behind the one before it.
    loop {
        let page = parts.store.list(prefix, after.as_ref()).await?;
        for object in page.objects.into_iter().filter(|object| !is_known(&object.key)) {
            let told = format!("{} bytes that no row and no presentation speaks of", object.bytes);
            // One more than can be listed tells that there are more.
            if found.len() <= FINDINGS_MAX {
                found.push(Fault::Stranger.finding(object.key, told));
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(found),
        }
    }
}
