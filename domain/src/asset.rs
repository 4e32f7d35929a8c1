//! The life of an asset, as a state machine, and why it may end early.

use serde::{Deserialize, Serialize};

/// Where an asset stands between the creation of its upload and its deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssetState {
    /// Its upload exists, the source is not complete.
    Uploading,
    /// The source is complete and durable; nothing is known of it yet.
    Received,
    /// The source is understood: tracks, times, chapters.
    Probed,
    /// Its first presentation is published; segments are being made.
    Processing,
    /// Every segment exists and was verified.
    Ready,
    /// It will not play; the [`Failure`] says why.
    Failed,
    /// Removed; only its id remains.
    Deleted,
}

/// What an asset consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssetKind {
    /// Pictures, perhaps with sound.
    Video,
    /// Sound alone.
    Audio,
}

impl AssetKind {
    /// What a source makes of its asset.
    pub fn of(probe: &crate::Probe) -> Self {
        if probe.video.is_empty() { Self::Audio } else { Self::Video }
    }

    /// The name used in the API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }

    /// The kind with this name; `None` for any other text.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Video, Self::Audio].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// What can happen to an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssetEvent {
    /// The last byte of the source is durable.
    SourceCompleted,
    /// The engine described the source.
    ProbeSucceeded,
    /// The generation is planned and its first presentation published.
    PlanPublished,
    /// The verified presentation is published.
    Published,
    /// A new generation is published in place of the one that was played.
    Replaced,
    /// Something that no retry mends.
    Failed,
    /// Somebody deleted it.
    Deleted,
}

/// An event that makes no sense in the present state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an asset that is {from} cannot take the event {event:?}")]
pub struct IllegalTransition {
    /// The state the asset is in.
    pub from: AssetState,
    /// The event that was refused.
    pub event: AssetEvent,
}

impl AssetState {
    /// The state after `event`.
    ///
    /// # Errors
    /// [`IllegalTransition`] if `event` cannot happen in this state. Deletion is always possible,
    /// failure from every state that is not final.
    pub fn after(self, event: AssetEvent) -> Result<Self, IllegalTransition> {
        use AssetEvent as E;
        match (self, event) {
            (Self::Uploading, E::SourceCompleted) => Ok(Self::Received),
            (Self::Received, E::ProbeSucceeded) => Ok(Self::Probed),
            (Self::Probed, E::PlanPublished) => Ok(Self::Processing),
            (Self::Processing, E::Published) => Ok(Self::Ready),
            (Self::Ready, E::Replaced) => Ok(Self::Ready),
            (Self::Uploading | Self::Received | Self::Probed | Self::Processing, E::Failed) => Ok(Self::Failed),
            (_, E::Deleted) => Ok(Self::Deleted),
            _ => Err(IllegalTransition { from: self, event }),
        }
    }

    /// The name used in the API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uploading => "uploading",
            Self::Received => "received",
            Self::Probed => "probed",
            Self::Processing => "processing",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Deleted => "deleted",
        }
    }

    /// The state with this name; `None` for any other text.
    pub fn from_name(name: &str) -> Option<Self> {
        let all =
            [Self::Uploading, Self::Received, Self::Probed, Self::Processing, Self::Ready, Self::Failed, Self::Deleted];
        all.into_iter().find(|state| state.as_str() == name)
    }

    /// Nothing more happens by itself.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Ready | Self::Failed | Self::Deleted)
    }
}

impl std::fmt::Display for AssetState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The kinds of reasons for which an asset fails; stable, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureCode {
    /// No known container: not a media file, or its head is damaged.
    UnknownFormat,
    /// A media file without a playable picture or sound.
    NoMedia,
    /// The file is damaged beyond what can be played.
    Damaged,
    /// A codec or feature that is not decoded here.
    Unsupported,
    /// A limit (length, size, tracks, pixels) is exceeded.
    LimitExceeded,
    /// The engine crashed on this file, repeatedly.
    EngineCrashed,
    /// The engine made no progress on this file, repeatedly.
    EngineStalled,
    /// The address that it is imported from does not give the file.
    SourceUnavailable,
    /// The fault is the server's, not the file's.
    Internal,
}

/// Why an asset will not play.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The kind of reason.
    pub code: FailureCode,
    /// One sentence for the uploader: what is wrong and, where possible, what to do.
    pub message: String,
}

impl Failure {
    /// A failure of this kind, explained by `message`.
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_from_upload_to_ready_is_the_only_one() {
        let way =
            [AssetEvent::SourceCompleted, AssetEvent::ProbeSucceeded, AssetEvent::PlanPublished, AssetEvent::Published];
        let mut state = AssetState::Uploading;
        for (at, event) in way.into_iter().enumerate() {
            for other in way.into_iter().enumerate().filter(|(other, _)| *other != at).map(|(_, event)| event) {
                assert_eq!(state.after(other), Err(IllegalTransition { from: state, event: other }));
            }
            state = state.after(event).expect("the way is legal");
        }
        assert_eq!(state, AssetState::Ready);
        assert!(state.after(AssetEvent::Failed).is_err(), "what is ready stays ready");
        assert_eq!(state.after(AssetEvent::Replaced), Ok(AssetState::Ready));
        for early in [AssetState::Uploading, AssetState::Received, AssetState::Probed, AssetState::Processing] {
            assert!(early.after(AssetEvent::Replaced).is_err(), "there is nothing to be replaced");
        }
    }

    #[test]
    fn every_state_has_a_name_that_reads_back() {
        for name in ["uploading", "received", "probed", "processing", "ready", "failed", "deleted"] {
            let state = AssetState::from_name(name).expect("a state");
            assert_eq!(state.to_string(), name);
            assert_eq!(state.after(AssetEvent::Deleted), Ok(AssetState::Deleted));
        }
        assert_eq!(AssetState::from_name("done"), None);
    }
}
