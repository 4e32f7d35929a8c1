//! From the events of the catalogue to the tags that are to be purged.

use std::collections::BTreeSet;

use catalog_store::{Catalog, CatalogError, Event};
use domain::{PlaybackId, Timestamp};

use super::teller::SETTLE;

/// Events that are looked at in one go.
pub(crate) const EVENTS_AT_ONCE: u32 = 500;

/// A tag as the origin puts it on its answers (docs/cdn.md).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tag {
    kind: &'static str,
    playback: PlaybackId,
    generation: Option<u64>,
}

impl Tag {
    /// Everything of an asset.
    pub(crate) fn asset(playback: PlaybackId) -> Self {
        Self { kind: "asset", playback, generation: None }
    }

    /// What shows something else once another document is in force: playlists, manifests, downloads.
    pub(crate) fn list(playback: PlaybackId) -> Self {
        Self { kind: "list", playback, generation: None }
    }

    /// Everything of one generation.
    pub(crate) fn generation(playback: PlaybackId, generation: u64) -> Self {
        Self { kind: "gen", playback, generation: Some(generation) }
    }

    /// The beginning of all paths that carry it, and of some that do not.
    pub(crate) fn prefix(&self) -> String {
        match self.generation {
            Some(generation) => format!("/v/{}/g{generation}/", self.playback),
            None => format!("/v/{}/", self.playback),
        }
    }

    /// As Akamai takes it, which has no colons in tags, nor had slashes.
    pub(crate) fn as_token(&self) -> String {
        origin::tag_as_token(&self.to_string())
    }
}

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.kind, self.playback)?;
        match self.generation {
            Some(generation) => write!(f, "/g{generation}"),
            None => Ok(()),
        }
    }
}

/// What became of what is purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Manner {
    /// There is something else: what is kept may be shown once more while a cache looks.
    Changed,
    /// It is not to be seen any more, or not by everybody.
    Removed,
}

/// Tags that are purged in one manner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Purge {
    pub(crate) tags: Vec<Tag>,
    pub(crate) manner: Manner,
}

/// A run of events, and what has to be told of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    /// The last event of the run.
    pub(crate) upto: u64,
    /// The last one of which there is something to tell.
    pub(crate) last: u64,
    /// When the last one happened.
    pub(crate) at: Timestamp,
    pub(crate) purges: Vec<Purge>,
}

/// The events after `seq` that are old enough, as far as they have no more than `tags_max` tags; `None` if there are
/// none.
///
/// # Errors
/// If the catalogue cannot be read.
pub(crate) async fn next(
    catalog: &Catalog,
    seq: u64,
    tags_max: usize,
    now: Timestamp,
) -> Result<Option<Batch>, CatalogError> {
    let events = catalog.events_after(seq, EVENTS_AT_ONCE).await?;
    let (mut changed, mut removed) = (BTreeSet::new(), BTreeSet::new());
    let mut batch = None;
    // What an event tells of may become visible a moment later, and origins look for it once a second.
    for event in events.into_iter().take_while(|event| event.at.plus(SETTLE) <= now) {
        let wanted = wanted(catalog, &event).await?;
        let is_new = |(manner, tag): &(Manner, Tag)| match manner {
            Manner::Changed => !changed.contains(tag),
            Manner::Removed => !removed.contains(tag),
        };
        if changed.len() + removed.len() + usize::from(wanted.as_ref().is_some_and(is_new)) > tags_max {
            break;
        }
        let (last, at) = match (&batch, &wanted) {
            (Some(Batch { last, at, .. }), None) => (*last, *at),
            (None, None) => (seq, event.at),
            (_, Some(_)) => (event.seq, event.at),
        };
        match wanted {
            Some((Manner::Changed, tag)) => changed.insert(tag),
            Some((Manner::Removed, tag)) => removed.insert(tag),
            None => false,
        };
        batch = Some(Batch { upto: event.seq, last, at, purges: Vec::new() });
    }
    let Some(mut batch) = batch else { return Ok(None) };
    for (manner, tags) in [(Manner::Changed, changed), (Manner::Removed, removed)] {
        if !tags.is_empty() {
            batch.purges.push(Purge { tags: tags.into_iter().collect(), manner });
        }
    }
    Ok(Some(batch))
}

/// What an event means to caches.
async fn wanted(catalog: &Catalog, event: &Event) -> Result<Option<(Manner, Tag)>, CatalogError> {
    let (manner, of): (Manner, fn(PlaybackId) -> Tag) = match event.topic.as_str() {
        // Segments never change under their address: what is complete replaces documents only.
        "asset.published" => (Manner::Changed, Tag::list),
        "asset.deleted" | "asset.purged" | "asset.access_changed" | "asset.failed" | "asset.retired" => {
            (Manner::Removed, Tag::asset)
        }
        _ => return Ok(None),
    };
    let Some(id) = event.asset else { return Ok(None) };
    // Rows of deleted assets stay.
    let Some(asset) = catalog.asset(id).await? else { return Ok(None) };
    let generation = event.data["generation"].as_u64().filter(|_| event.topic == "asset.retired");
    let tag = match generation {
        Some(generation) => Tag::generation(asset.playback, generation),
        None => of(asset.playback),
    };
    Ok(Some((manner, tag)))
}
