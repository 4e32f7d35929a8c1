//! What every test needs: an engine that is this binary, sources, and plans for them.

use std::fs::File;
use std::path::{Path, PathBuf};

use domain::plan::Limits;
use domain::{Plan, Probe, Recipe, Span};
use libtest_mimic::Trial;
use transcoder::{
    AudioCopyRequest, AudioRequest, AudioSegment, ChunkRequest, CopyRequest, Engine, EngineConfig, EngineError,
    EngineLimits, SegmentWork, Session, VideoSegment,
};

/// A trial that runs `test` on a runtime of its own.
pub(crate) fn trial<F>(name: &str, test: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()>,
{
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(test());
        Ok(())
    })
}

/// An engine whose child is this test binary.
pub(crate) fn engine() -> Engine {
    engine_with(&["engine"], EngineLimits::default())
}

/// An engine whose child is this test binary with these arguments.
pub(crate) fn engine_with(args: &[&str], limits: EngineLimits) -> Engine {
    let program = std::env::current_exe().expect("a test binary has a path");
    Engine::new(EngineConfig { program, args: args.iter().map(Into::into).collect(), limits })
}

pub(crate) fn open(path: &Path) -> File {
    File::open(path).unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()))
}

/// A source holding `bytes`.
pub(crate) fn source_of(bytes: &[u8]) -> File {
    use std::io::{Seek, Write};
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(bytes).expect("room for the file");
    file.rewind().expect("a seekable file");
    file
}

/// A probed source with the plan for it.
pub(crate) struct Planned {
    pub(crate) path: PathBuf,
    pub(crate) probe: Probe,
    pub(crate) plan: Plan,
}

/// A plan that encodes everything.
pub(crate) async fn planned(path: &Path) -> Planned {
    planned_with(path, false).await
}

/// A plan that takes over the pictures and the sound of the source where that is possible and `passthrough` is set.
pub(crate) async fn planned_with(path: &Path, passthrough: bool) -> Planned {
    let probe = engine().probe(open(path)).await.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // Fast, since tests compare bytes and counts, not quality.
    let recipe =
        Recipe { preset: "ultrafast".into(), passthrough, audio_passthrough: passthrough, ..Recipe::default() };
    let plan = Plan::new(&probe, &recipe, &Limits::default()).expect("a plan");
    Planned { path: path.to_owned(), probe, plan }
}

impl Planned {
    /// A request for the segments `is_wanted` says, on all rungs.
    pub(crate) fn chunk(&self, is_wanted: impl Fn(&Span) -> bool) -> ChunkRequest {
        let video = self.plan.video.as_ref().expect("a video");
        let spans = self.plan.video_spans().into_iter().filter(is_wanted);
        ChunkRequest {
            track: self.probe.main_video().expect("a video").clone(),
            origin: self.plan.origin,
            recipe: self.plan.recipe.clone(),
            cadence: self.plan.cadence.clone(),
            frame_count: video.frame_count,
            rungs: video.rungs.clone(),
            work: spans.map(|span| SegmentWork { span, rungs: vec![true; video.rungs.len()] }).collect(),
        }
    }

    /// A request for the segments `is_wanted` says, as the source holds them.
    pub(crate) fn copy(&self, is_wanted: impl Fn(&Span) -> bool) -> CopyRequest {
        let video = self.plan.video.as_ref().expect("a video");
        CopyRequest {
            stream_index: video.stream_index,
            origin: self.plan.origin,
            cadence: self.plan.cadence.clone(),
            frame_count: video.frame_count,
            work: self.plan.video_spans().into_iter().filter(is_wanted).collect(),
        }
    }

    pub(crate) async fn take_over(&self, request: CopyRequest) -> Result<Vec<VideoSegment>, EngineError> {
        all(engine().copy(open(&self.path), request)?).await
    }

    pub(crate) async fn encode(&self, request: ChunkRequest) -> Result<Vec<VideoSegment>, EngineError> {
        let mut segments = all(engine().encode_chunk(open(&self.path), request)?).await?;
        // A short one may end before the one before it.
        segments.sort_by_key(|segment| segment.span.index);
        Ok(segments)
    }

    /// A request for the segments `is_wanted` says of audio rendition `at`, all of one part.
    pub(crate) fn audio(&self, at: usize, is_wanted: impl Fn(&Span) -> bool) -> AudioRequest {
        let audio = &self.plan.audio[at];
        let track = self.probe.audio.iter().find(|track| track.stream_index == audio.stream_index);
        AudioRequest {
            track: track.expect("the planned track").clone(),
            origin: self.plan.origin,
            recipe: self.plan.recipe.clone(),
            channels: audio.channels,
            frame_count: audio.frame_count,
            gain_db: None,
            part_first: 0,
            work: self.plan.audio_spans(audio).into_iter().filter(is_wanted).collect(),
        }
    }

    /// A request for the segments `is_wanted` says of audio rendition `at`, as the source holds them.
    pub(crate) fn copy_audio(&self, at: usize, is_wanted: impl Fn(&Span) -> bool) -> AudioCopyRequest {
        let audio = &self.plan.audio[at];
        let copied = audio.copied.as_ref().expect("sound to take over");
        let track = self.probe.audio.iter().find(|track| track.stream_index == audio.stream_index);
        AudioCopyRequest {
            stream_index: audio.stream_index,
            origin: self.plan.origin,
            sample_rate: copied.sample_rate,
            channels: audio.channels,
            config: track.and_then(|track| track.aac.as_ref()).expect("a configuration").config.clone(),
            offset: copied.offset,
            frame_count: audio.frame_count,
            work: self.plan.audio_spans(audio).into_iter().filter(is_wanted).collect(),
        }
    }

    pub(crate) async fn take_over_audio(&self, request: AudioCopyRequest) -> Result<Vec<AudioSegment>, EngineError> {
        all(engine().copy_audio(open(&self.path), request)?).await
    }

    pub(crate) async fn encode_audio(&self, request: AudioRequest) -> Result<Vec<AudioSegment>, EngineError> {
        all(engine().encode_audio(open(&self.path), request)?).await
    }
}

/// Everything a session gives.
pub(crate) async fn all<T>(mut session: Session<T>) -> Result<Vec<T>, EngineError> {
    let mut results = Vec::new();
    while let Some(result) = session.next().await? {
        results.push(result);
    }
    Ok(results)
}
