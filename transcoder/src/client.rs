//! The half that runs in the server: starts a caged child per piece of work and checks its answers.

pub(crate) mod answer;
mod child;
mod coding;
mod webp;

use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::ahead::Reach;
use domain::loudness::Loudness;
use domain::plan::Limits;
use domain::{ByteSize, Probe, Tally};

use crate::cage::policy;
use crate::request::{Envelope, Work};
use crate::wire::{Kind, Malformed, Message};
use crate::{
    AudioCopyRequest, AudioRequest, AudioSegment, CageReport, ChunkRequest, CopyRequest, Cue, EngineError, Growing,
    Headers, HeadersRequest, LoudnessRequest, MeasureRequest, Picture, PicturesRequest, Preview, PreviewRequest,
    SampleCost, SubtitlesRequest, VideoSegment,
};
use child::{Bounds, Child, Heard};

/// How to start an engine and what it may use.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The program whose `args` make it call [`engine_main`](crate::engine_main).
    pub program: PathBuf,
    /// Arguments, such as `engine`.
    pub args: Vec<OsString>,
    /// What one child may use.
    pub limits: EngineLimits,
}

/// What one child may use before it is killed.
#[derive(Clone, Debug)]
pub struct EngineLimits {
    /// Address space of a child at most; kinds of work that need less get less.
    pub memory: ByteSize,
    /// Most pixels of a picture that is decoded; larger ones are refused with
    /// [`FailureCode::LimitExceeded`](domain::FailureCode::LimitExceeded).
    pub pixels_max: u64,
    /// Longest wait for a sign of progress.
    pub stall: Duration,
    /// Wall time for any work, however small.
    pub wall_base: Duration,
    /// Wall time added for every second of media to read or encode.
    pub wall_per_media_second: Duration,
    /// Bytes of the source that are read in a second at least; adds wall time for large sources.
    pub read_bytes_per_second_min: u64,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            memory: ByteSize(4 << 30),
            pixels_max: Limits::default().pixels_max,
            stall: Duration::from_secs(60),
            wall_base: Duration::from_secs(120),
            wall_per_media_second: Duration::from_secs(20),
            read_bytes_per_second_min: 4 << 20,
        }
    }
}

/// Starts engine children. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    config: Arc<EngineConfig>,
    niceness: u8,
    growing: Option<Growing>,
}

impl Engine {
    /// An engine that is started as `config` says.
    pub fn new(config: EngineConfig) -> Self {
        Self { config: Arc::new(config), niceness: 0, growing: None }
    }

    /// The same engine, whose children step back by `niceness` levels of nice behind this process.
    ///
    /// 0 for work that somebody waits for, up to 19 for work that takes what processors are left; the
    /// kernel takes more for 19. The bytes that come out do not depend on it.
    pub fn with_niceness(&self, niceness: u8) -> Self {
        Self { niceness, ..self.clone() }
    }

    /// The same engine for a source of which only the first octets are there, which do not change any more.
    ///
    /// Nothing behind them is read. Work that would need it ends with [`EngineError::Early`], and what came before
    /// that is what comes of the whole source. [`probe`](Self::probe) alone looks ahead: it takes for granted that
    /// samples of which the index tells hold what those hold that are there. So it must be asked again in the end.
    #[must_use]
    pub fn on_growing(&self, growing: Growing) -> Self {
        Self { growing: Some(growing), ..self.clone() }
    }

    /// Describes a source: tracks, exact times, chapters, languages.
    ///
    /// `source` must be opened for this call alone, as must be the sources of all other calls: the
    /// child owns the descriptor.
    ///
    /// What comes back has passed [`Probe::check`].
    ///
    /// # Errors
    /// [`EngineError::Refused`] if nothing in the source can be played; else what went wrong.
    pub async fn probe(&self, source: File) -> Result<Probe, EngineError> {
        let bytes = source.metadata().map_err(|source| EngineError::Start { source })?.len();
        let read = |message: Message| answer::probe(&message);
        self.only(self.session(source, Work::Probe, bytes_time(&self.config.limits, bytes), read)?).await
    }

    /// Where the samples of these streams lie, as far as the container's index tells.
    ///
    /// # Errors
    /// As [`probe`](Self::probe).
    pub async fn reach(&self, source: File, streams: Vec<u32>) -> Result<Reach, EngineError> {
        let bytes = source.metadata().map_err(|source| EngineError::Start { source })?.len();
        let length = self.growing.map_or(bytes, |growing| growing.length);
        let read = move |message: Message| answer::reach(&message, length);
        let wall = bytes_time(&self.config.limits, bytes);
        self.only(self.session(source, Work::Reach(streams), wall, read)?).await
    }

    /// What the init segments of an output are made of: known before anything is encoded, and the same afterwards.
    ///
    /// # Errors
    /// [`EngineError::Protocol`] if the engine tells of more or fewer renditions than were asked for.
    pub async fn headers(&self, request: HeadersRequest) -> Result<Headers, EngineError> {
        let source = no_source()?;
        let counts = (request.video.as_ref().map_or(0, |video| video.rungs.len()), request.audio_channels.len());
        let read = move |message: Message| answer::headers(&message, counts);
        self.only(self.session(source, Work::Headers(request), Duration::ZERO, read)?).await
    }

    /// Encodes a run of segments of the picture. Segments of one rung come in order; rungs interleave.
    ///
    /// Must be called inside a Tokio runtime, as must be the other methods.
    ///
    /// # Errors
    /// [`EngineError::Start`] if the child cannot be started, or the request contradicts itself.
    pub fn encode_chunk(&self, source: File, request: ChunkRequest) -> Result<Session<VideoSegment>, EngineError> {
        let checker = answer::Chunk::new(&request).map_err(contradiction)?;
        let wall = self.config.limits.wall_per_media_second.saturating_mul(answer::chunk_seconds(&request));
        self.session(source, Work::Chunk(request), wall, checker.into_reader())
    }

    /// Encodes a few runs of the picture and tells what they cost, and how they look where rate factors are tried, in
    /// any order.
    ///
    /// # Errors
    /// As [`encode_chunk`](Self::encode_chunk).
    pub fn measure(&self, source: File, request: MeasureRequest) -> Result<Session<SampleCost>, EngineError> {
        let checker = answer::Costs::new(&request).map_err(contradiction)?;
        let wall = self.config.limits.wall_per_media_second.saturating_mul(answer::measure_seconds(&request));
        self.session(source, Work::Measure(request), wall, checker.into_reader())
    }

    /// Takes over the missing segments of a track's pictures as they are, in order.
    ///
    /// A source that is not what its probe promised is refused: then it must be encoded.
    ///
    /// # Errors
    /// As [`encode_chunk`](Self::encode_chunk).
    pub fn copy(&self, source: File, request: CopyRequest) -> Result<Session<VideoSegment>, EngineError> {
        let checker = answer::Chunk::of_copy(&request).map_err(contradiction)?;
        let wall = self.config.limits.wall_per_media_second.saturating_mul(answer::copy_seconds(&request));
        self.session(source, Work::Copy(request), wall, checker.into_reader())
    }

    /// Encodes segments of one part of an audio rendition, in order.
    ///
    /// # Errors
    /// As [`encode_chunk`](Self::encode_chunk).
    pub fn encode_audio(&self, source: File, request: AudioRequest) -> Result<Session<AudioSegment>, EngineError> {
        let bytes = source.metadata().map_err(|source| EngineError::Start { source })?.len();
        let checker = answer::Audio::new(&request).map_err(contradiction)?;
        // A source without an index is read up to the part.
        let reading = bytes_time(&self.config.limits, bytes);
        let encoding = self.config.limits.wall_per_media_second.saturating_mul(answer::audio_seconds(&request));
        let wall = reading.saturating_add(encoding);
        self.session(source, Work::Audio(request), wall, checker.into_reader())
    }

    /// Takes over segments of a track's sound as it is, in order.
    ///
    /// A source that is not what its probe promised is refused: then it must be encoded.
    ///
    /// # Errors
    /// As [`encode_chunk`](Self::encode_chunk).
    pub fn copy_audio(&self, source: File, request: AudioCopyRequest) -> Result<Session<AudioSegment>, EngineError> {
        let bytes = source.metadata().map_err(|source| EngineError::Start { source })?.len();
        let checker = answer::Audio::of_copy(&request).map_err(contradiction)?;
        let wall = bytes_time(&self.config.limits, bytes);
        self.session(source, Work::CopyAudio(request), wall, checker.into_reader())
    }

    /// Takes still pictures, in the order of the request; a shot that cannot be taken is left out.
    ///
    /// # Errors
    /// As [`encode_chunk`](Self::encode_chunk).
    pub fn pictures(&self, source: File, request: PicturesRequest) -> Result<Session<Picture>, EngineError> {
        let checker = answer::Pictures::new(&request).map_err(contradiction)?;
        let shots = u32::try_from(request.shots.len()).unwrap_or(u32::MAX);
        let wall = self.config.limits.wall_per_media_second.saturating_mul(shots);
        self.session(source, Work::Pictures(request), wall, checker.into_reader())
    }

    /// Makes an animated WebP of a few moments.
    ///
    /// # Errors
    /// As [`encode_chunk`](Self::encode_chunk); [`EngineError::Refused`] also where libav cannot write WebP.
    pub async fn preview(&self, source: File, request: PreviewRequest) -> Result<Preview, EngineError> {
        let checker = answer::Animation::new(&request).map_err(contradiction)?;
        let wall = self.config.limits.wall_per_media_second.saturating_mul(checker.frames_max());
        self.only(self.session(source, Work::Preview(request), wall, checker.into_reader())?).await
    }

    /// Reads text subtitles, in the order of the file.
    ///
    /// # Errors
    /// As [`encode_chunk`](Self::encode_chunk).
    pub fn subtitles(&self, source: File, request: SubtitlesRequest) -> Result<Session<Cue>, EngineError> {
        let bytes = source.metadata().map_err(|source| EngineError::Start { source })?.len();
        let checker = answer::Cues::new(&request).map_err(contradiction)?;
        self.session(source, Work::Subtitles(request), bytes_time(&self.config.limits, bytes), checker.into_reader())
    }

    /// Measures how loud sound tracks are; one that cannot be decoded is left out.
    ///
    /// # Errors
    /// As [`encode_chunk`](Self::encode_chunk).
    pub fn loudness(&self, source: File, request: LoudnessRequest) -> Result<Session<Loudness>, EngineError> {
        let bytes = source.metadata().map_err(|source| EngineError::Start { source })?.len();
        let checker = answer::Loud::new(&request);
        let decoding = self.config.limits.wall_per_media_second.saturating_mul(answer::loudness_seconds(&request));
        let wall = bytes_time(&self.config.limits, bytes).saturating_add(decoding);
        self.session(source, Work::Loudness(request), wall, checker.into_reader())
    }

    /// Lets a child try from inside its cage what it must not be able to do.
    ///
    /// # Errors
    /// What went wrong with the child; a cage that leaks is not an error but in the report.
    pub async fn self_test(&self) -> Result<CageReport, EngineError> {
        let source = no_source()?;
        let read = |message: Message| answer::json(&message, Kind::Cage);
        self.only(self.session(source, Work::SelfTest, Duration::ZERO, read)?).await
    }

    fn session<T>(
        &self,
        source: File,
        work: Work,
        extra_wall: Duration,
        read: impl FnMut(Message) -> Result<T, Malformed> + Send + 'static,
    ) -> Result<Session<T>, EngineError> {
        let limits = &self.config.limits;
        let wall = limits.wall_base.saturating_add(extra_wall);
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let cpu_seconds = wall.as_secs().saturating_mul(u64::try_from(cores).unwrap_or(1)).max(1);
        let memory_bytes = policy::memory(&work).0.min(limits.memory.0);
        let (niceness, pixels_max) = (self.niceness, limits.pixels_max);
        let growing = self.growing;
        let envelope = Envelope { memory_bytes, cpu_seconds, niceness, pixels_max, growing, work };
        let bounds = Bounds { stall: limits.stall, wall, bytes_max: answer::bytes_max(&envelope.work) };
        let child = Child::start(&self.config, source, &envelope, bounds)?;
        Ok(Session { child: Some(child), tally: None, is_growing: growing.is_some(), read: Box::new(read) })
    }

    async fn only<T>(&self, mut session: Session<T>) -> Result<T, EngineError> {
        let missing = || EngineError::Protocol { what: "the engine was done before it answered".into() };
        let answer = session.next().await?.ok_or_else(missing)?;
        match session.next().await? {
            None => Ok(answer),
            Some(_) => Err(EngineError::Protocol { what: "the engine answered twice".into() }),
        }
    }
}

/// For work that reads nothing.
fn no_source() -> Result<File, EngineError> {
    File::open("/dev/null").map_err(|source| EngineError::Start { source })
}

fn bytes_time(limits: &EngineLimits, bytes: u64) -> Duration {
    Duration::from_secs(bytes / limits.read_bytes_per_second_min.max(1))
}

fn contradiction(malformed: Malformed) -> EngineError {
    EngineError::Protocol { what: format!("the request contradicts itself: {malformed}") }
}

/// One running child. Pull its results; dropping the session kills the child.
pub struct Session<T> {
    /// `None` once the work is complete or has failed.
    child: Option<Child>,
    tally: Option<Tally>,
    /// A source that cannot be read on is not there yet.
    is_growing: bool,
    read: Box<dyn FnMut(Message) -> Result<T, Malformed> + Send>,
}

impl<T> Session<T> {
    /// The next result; `None` once the work is complete.
    ///
    /// Can be cancelled: a result that was not returned is returned by the next call. The watchdogs
    /// count only the time spent inside this call, so a slow consumer does not make a child "stalled".
    ///
    /// # Errors
    /// [`EngineError`]; after an error the child is dead and further calls return `None`.
    pub async fn next(&mut self) -> Result<Option<T>, EngineError> {
        let Some(child) = self.child.as_mut() else { return Ok(None) };
        let heard = child.hear().await;
        let result = match heard {
            Ok(Heard::Message(message)) => match (self.read)(message) {
                Ok(result) => return Ok(Some(result)),
                Err(malformed) => Err(EngineError::Protocol { what: malformed.0 }),
            },
            Ok(Heard::Done) => Ok(None),
            Err(EngineError::Unreadable) if self.is_growing => Err(EngineError::Early),
            Err(error) => Err(error),
        };
        self.tally = child.tally();
        // Dropping the child kills it, whatever it is doing.
        self.child = None;
        result
    }

    /// How the decoding went, once the work is complete; `None` before, and for work without pictures.
    pub fn tally(&self) -> Option<Tally> {
        self.tally
    }
}

impl<T> std::fmt::Debug for Session<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("child", &self.child).finish_non_exhaustive()
    }
}
