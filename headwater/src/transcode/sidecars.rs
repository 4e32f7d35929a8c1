//! Subtitle files that are given beside the media file.

use std::path::PathBuf;

use anyhow::{Context, bail};
use catalog_store::{Catalog, CatalogError, NewText, Text};
use domain::text::{BYTES_MAX, COUNT_MAX, State};
use domain::{AssetId, Clock, JobId, Language, TextId};
use media_store::{MediaStore, layout};

use crate::terminal;

/// One subtitle file, read.
pub(super) struct Sidecar {
    path: PathBuf,
    language: Option<Language>,
    content: Vec<u8>,
}

/// Reads the files that were named as `FILE` or `FILE:LANG`.
pub(super) fn read(named: &[String]) -> anyhow::Result<Vec<Sidecar>> {
    if named.len() > COUNT_MAX {
        bail!("at most {COUNT_MAX} subtitle files can be given");
    }
    named.iter().map(|name| one(name)).collect()
}

fn one(name: &str) -> anyhow::Result<Sidecar> {
    let (path, language) = match name.rsplit_once(':') {
        // A file whose name has a colon is meant if it is there.
        Some((path, code)) if !PathBuf::from(name).exists() => {
            let language = Language::from_tag(code).with_context(|| {
                format!("{name}: \"{code}\" is no language; use a BCP 47 tag or an ISO 639 code, such as de")
            })?;
            (PathBuf::from(path), Some(language))
        }
        _ => (PathBuf::from(name), None),
    };
    let bytes = std::fs::metadata(&path).with_context(|| format!("cannot open {}", path.display()))?.len();
    if usize::try_from(bytes).map_or(true, |bytes| bytes > BYTES_MAX) {
        bail!("{} has {bytes} octets; a subtitle file has at most {BYTES_MAX}", path.display());
    }
    let content = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Sidecar { path, language, content })
}

/// Adds those that an earlier run of the same command did not.
pub(super) async fn add(
    sidecars: &[Sidecar],
    asset: AssetId,
    catalog: &Catalog,
    store: &MediaStore,
    clock: &dyn Clock,
) -> anyhow::Result<()> {
    let added = catalog.texts(asset).await?.len();
    for sidecar in sidecars.iter().skip(added) {
        let (now, id) = (clock.now(), TextId::mint(clock.now(), clock.entropy()));
        store.put_once(&layout::text(asset, id), sidecar.content.clone().into()).await?;
        let new = NewText {
            id,
            asset,
            language: sidecar.language.clone(),
            name: None,
            charset: None,
            is_forced: false,
            is_default: false,
            is_sdh: false,
            replaces: None,
        };
        match catalog.add_text(&new, JobId::mint(now, clock.entropy()), now).await {
            // Why it failed is told at the end.
            Err(CatalogError::AssetFailed(_)) => return Ok(()),
            added => added?,
        }
    }
    Ok(())
}

/// Tells what could not be read.
pub(super) async fn report(sidecars: &[Sidecar], asset: AssetId, catalog: &Catalog) -> anyhow::Result<()> {
    for (sidecar, text) in sidecars.iter().zip(catalog.texts(asset).await?) {
        if let Some(said) = said_of(&text) {
            terminal::complain(&format!("headwater: {}: {said}", sidecar.path.display()));
        }
    }
    Ok(())
}

fn said_of(text: &Text) -> Option<String> {
    let report = text.report.as_ref()?;
    if text.state == State::Unusable {
        return Some(format!("left out: {}", report.reason.as_deref().unwrap_or("it cannot be read")));
    }
    let left_out = report.dropped.saturating_add(report.outside);
    let place =
        report.problems.first().map(|problem| format!(", the first in line {}: {}", problem.line, problem.what));
    (left_out > 0).then(|| format!("{} subtitles shown, {left_out} left out{}", report.cues, place.unwrap_or_default()))
}
