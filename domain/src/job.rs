//! Durable background work: what there is to do, and where it stands.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Codec, Generation, RenditionId};

/// Chunks of video that play as long as one part of the sound, about.
const CHUNKS_PER_AUDIO_PART: u32 = 5;

/// What a job does to its asset. Every kind is idempotent: a second run changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum JobSpec {
    /// Describe the source, plan its first generation and publish the plan.
    Probe,
    /// Describe a source of which only the first part is there, and plan the generation that is to be made of it.
    Ahead {
        /// The output.
        generation: Generation,
    },
    /// Describe the source of an asset that plays once more, and plan the generation that is to take the place
    /// of the one that is played.
    Reprocess {
        /// The new output.
        generation: Generation,
    },
    /// Encode one chunk: a run of segments of every video rendition.
    Chunk {
        /// Which output.
        generation: Generation,
        /// Number of the chunk in the plan.
        chunk: u32,
    },
    /// Encode one chunk in another codec than H.264, when everything else is there.
    Extra {
        /// Which output.
        generation: Generation,
        /// Which codec.
        codec: Codec,
        /// Number of the chunk in the plan.
        chunk: u32,
    },
    /// Take over the pictures of one chunk for the rendition that shows them as they are.
    Copy {
        /// Which output.
        generation: Generation,
        /// Number of the chunk in the plan.
        chunk: u32,
    },
    /// Encode one part of an audio rendition: a run of its segments.
    Audio {
        /// Which output.
        generation: Generation,
        /// Which rendition.
        rendition: RenditionId,
        /// Number of the part in the plan.
        #[serde(default)]
        part: u32,
    },
    /// Convert the embedded text subtitles and write the chapter files.
    Subtitles {
        /// Which output.
        generation: Generation,
    },
    /// Make poster, thumbnails, storyboard and preview.
    Images {
        /// Which output.
        generation: Generation,
        /// From its renditions, once every other part of it is there, instead of from the source.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_last: bool,
    },
    /// Encode a segment that a viewer waits for, and the ones after it.
    Demand {
        /// Which output.
        generation: Generation,
        /// Which rendition: of the picture or of the sound.
        rendition: RenditionId,
        /// The segment that was asked for.
        segment: u32,
    },
    /// Measure how loud the sound tracks are.
    Loudness {
        /// Which output.
        generation: Generation,
    },
    /// Verify all rows and publish the final presentation.
    Publish {
        /// Which output.
        generation: Generation,
    },
    /// Publish the generation anew with the texts and chapters that were added, changed or removed.
    ///
    /// No part of the generation: it never decides whether the asset is ready or failed.
    Texts {
        /// Which output.
        generation: Generation,
    },
    /// Remove an output that is played no more, or that failed while another one was played.
    Retire {
        /// The old output.
        generation: Generation,
    },
    /// Remove every object of a deleted asset.
    Purge,
}

/// How long a job waits for its priority to rise by one.
pub const PRIORITY_STEP: Duration = Duration::from_secs(60);

/// Priority of the batch work around a place that a viewer has gone to: before all that nobody looks at.
pub const WATCHED_PRIORITY: i32 = 1500;

/// How far the work on a new generation of an asset that plays steps back behind that on assets which do not yet.
pub const BACKGROUND_STEP: i32 = 500;

/// The kind of a job, without its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant is documented in JobSpec")]
pub enum JobKind {
    Probe,
    Ahead,
    Reprocess,
    Chunk,
    Extra,
    Copy,
    Audio,
    Subtitles,
    Images,
    Demand,
    Loudness,
    Publish,
    Texts,
    Retire,
    Purge,
}

/// Which lanes of a worker run a job: long work must not keep short work waiting, nor either a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobLane {
    /// Somebody waits for it: it is short.
    Urgent,
    /// It keeps a processor busy at most.
    Light,
    /// It keeps several processors busy for long.
    Heavy,
}

impl JobLane {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Urgent, Self::Light, Self::Heavy];

    /// The name used in the database and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Light => "light",
            Self::Heavy => "heavy",
        }
    }
}

impl JobKind {
    /// The name used in the database, in logs and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Ahead => "ahead",
            Self::Reprocess => "reprocess",
            Self::Chunk => "chunk",
            Self::Extra => "extra",
            Self::Copy => "copy",
            Self::Audio => "audio",
            Self::Subtitles => "subtitles",
            Self::Images => "images",
            Self::Demand => "demand",
            Self::Loudness => "loudness",
            Self::Publish => "publish",
            Self::Texts => "texts",
            Self::Retire => "retire",
            Self::Purge => "purge",
        }
    }

    /// True if the asset stands and falls with it: its failure for good is the asset's.
    ///
    /// What a demand makes for one viewer is made by another job as well, which decides; so is what is planned ahead.
    pub fn decides_asset(self) -> bool {
        !matches!(self, Self::Ahead | Self::Texts | Self::Demand | Self::Retire)
    }

    /// True if it only removes what nobody needs: it is tried until it succeeds, since giving up would leave
    /// objects behind.
    pub fn is_removal(self) -> bool {
        matches!(self, Self::Retire | Self::Purge)
    }

    /// The lanes that run it.
    pub fn lane(self) -> JobLane {
        match self {
            Self::Probe | Self::Demand | Self::Publish | Self::Texts => JobLane::Urgent,
            Self::Chunk | Self::Extra => JobLane::Heavy,
            Self::Copy | Self::Audio | Self::Subtitles | Self::Images | Self::Loudness => JobLane::Light,
            Self::Ahead | Self::Reprocess | Self::Retire | Self::Purge => JobLane::Light,
        }
    }
}

impl JobSpec {
    /// Its kind.
    pub fn kind(&self) -> JobKind {
        match self {
            Self::Probe => JobKind::Probe,
            Self::Ahead { .. } => JobKind::Ahead,
            Self::Reprocess { .. } => JobKind::Reprocess,
            Self::Chunk { .. } => JobKind::Chunk,
            Self::Extra { .. } => JobKind::Extra,
            Self::Copy { .. } => JobKind::Copy,
            Self::Audio { .. } => JobKind::Audio,
            Self::Subtitles { .. } => JobKind::Subtitles,
            Self::Images { .. } => JobKind::Images,
            Self::Demand { .. } => JobKind::Demand,
            Self::Loudness { .. } => JobKind::Loudness,
            Self::Publish { .. } => JobKind::Publish,
            Self::Texts { .. } => JobKind::Texts,
            Self::Retire { .. } => JobKind::Retire,
            Self::Purge => JobKind::Purge,
        }
    }

    /// Which generation it works on, for the jobs that make one.
    pub fn generation(&self) -> Option<Generation> {
        match self {
            Self::Chunk { generation, .. }
            | Self::Extra { generation, .. }
            | Self::Copy { generation, .. }
            | Self::Audio { generation, .. }
            | Self::Subtitles { generation }
            | Self::Images { generation, .. }
            | Self::Demand { generation, .. }
            | Self::Loudness { generation }
            | Self::Publish { generation }
            | Self::Ahead { generation }
            | Self::Reprocess { generation }
            | Self::Retire { generation }
            | Self::Texts { generation } => Some(*generation),
            Self::Probe | Self::Purge => None,
        }
    }

    /// Its priority when enqueued; in its lane the job with the highest runs first, the oldest of equals.
    ///
    /// A viewer who waits comes before everything. What lets one start is next: probe, then the head of the
    /// video and the sound, then what is taken over without encoding, then pictures; later chunks of all assets
    /// follow in order of their number, so assets share fairly, and later parts of the sound a little before the
    /// chunks that play with them. Waiting raises it ([`PRIORITY_STEP`]), so nobody waits for ever behind newcomers.
    pub fn priority(&self) -> i32 {
        let later = |chunk: u32| 800 - i32::try_from(chunk).unwrap_or(i32::MAX).min(600);
        match self {
            Self::Demand { .. } => 2000,
            Self::Probe | Self::Ahead { .. } => 1000,
            Self::Publish { .. } => 950,
            // Somebody waits for it, and it takes a moment.
            Self::Texts { .. } => 940,
            Self::Copy { chunk: 0, .. } => 920,
            Self::Audio { part: 0, .. } => 900,
            Self::Copy { chunk, .. } => 840 - i32::try_from(*chunk).unwrap_or(i32::MAX).min(100),
            Self::Audio { part, .. } => later(part.saturating_mul(CHUNKS_PER_AUDIO_PART)) + 1,
            Self::Chunk { chunk, .. } => later(*chunk),
            // Behind the last chunk of every asset.
            Self::Extra { chunk, .. } => 190 - i32::try_from(*chunk).unwrap_or(i32::MAX).min(80),
            Self::Subtitles { .. } => 850,
            Self::Images { .. } => 700,
            Self::Loudness { .. } => 650,
            // What is there plays meanwhile.
            Self::Reprocess { .. } => 300,
            Self::Purge => 100,
            Self::Retire { .. } => 90,
        }
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waiting for its time and for a worker.
    Queued,
    /// Leased to a worker.
    Running,
    /// Settled for good: its work is done.
    Done,
    /// Settled for good: it failed and will not be tried again.
    Failed,
}

impl JobState {
    /// The name used in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_reads_back_from_its_json() {
        let spec = JobSpec::Chunk { generation: Generation(1), chunk: 3 };
        let json = serde_json::to_string(&spec).expect("serialises");
        assert_eq!(json, r#"{"kind":"chunk","generation":1,"chunk":3}"#);
        assert_eq!(serde_json::from_str::<JobSpec>(&json).expect("reads back"), spec);
    }

    #[test]
    fn pictures_of_the_source_are_asked_for_as_ever() {
        let images = |is_last| JobSpec::Images { generation: Generation(1), is_last };
        let json = |spec| serde_json::to_string(&spec).expect("serialises");
        assert_eq!(json(images(false)), r#"{"kind":"images","generation":1}"#);
        for is_last in [false, true] {
            assert_eq!(serde_json::from_str::<JobSpec>(&json(images(is_last))).expect("reads back"), images(is_last));
        }
    }

    #[test]
    fn the_first_chunk_comes_before_pictures_and_later_chunks_after() {
        let chunk = |chunk| JobSpec::Chunk { generation: Generation(1), chunk }.priority();
        let images = JobSpec::Images { generation: Generation(1), is_last: false }.priority();
        assert!(chunk(0) > chunk(1) && chunk(0) > images && chunk(200) < images);
    }

    #[test]
    fn sound_comes_before_the_chunks_that_play_with_it() {
        let chunk = |chunk| JobSpec::Chunk { generation: Generation(1), chunk }.priority();
        let rendition = RenditionId::new("audio-0").expect("a name");
        let part = |part| JobSpec::Audio { generation: Generation(1), rendition: rendition.clone(), part }.priority();
        assert!(part(0) > chunk(0) && chunk(0) > part(1));
        assert!(part(1) > chunk(5) && chunk(4) >= part(1));
        assert!(part(u32::MAX) > chunk(u32::MAX));
    }

    #[test]
    fn a_job_for_a_whole_audio_rendition_is_one_for_its_first_part() {
        let json = r#"{"kind":"audio","generation":1,"rendition":"audio-0"}"#;
        let spec: JobSpec = serde_json::from_str(json).expect("reads back");
        assert!(matches!(spec, JobSpec::Audio { part: 0, .. }));
    }
}
