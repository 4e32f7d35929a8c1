//! The half that runs in the child: reads one request, closes the cage, does the work, answers.

mod aac;
mod audio;
mod audio_copy;
mod avc;
mod chunk;
mod copy;
mod decode;
mod fields;
mod headers;
mod judge;
mod jumps;
mod look;
mod loudness;
mod measure;
mod nal;
mod outlet;
mod pick;
mod pictures;
mod preview;
mod priority;
mod probe;
mod reach;
mod scan;
mod source;
mod subtitles;
mod tail;
mod units;

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;

use domain::{Failure, FailureCode};

use crate::av::{self, AvError};
use crate::cage::{Allowance, Cage};
use crate::output::CageReport;
use crate::request::{Envelope, Work};
use crate::wire::{Kind, REQUEST_BYTES_MAX};
pub use look::rendition_track;
use outlet::{Outlet, Unsent};
use source::Source;

/// Why the engine gives up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    /// The source is at fault; the client is told.
    #[error("refused: {0}")]
    Refused(Failure),
    /// The client is gone or does not take answers any more.
    #[error("the client is gone")]
    Unsent(#[from] Unsent),
    /// A neighbouring thread ended first; it knows the reason.
    #[error("a neighbouring thread ended")]
    Abandoned,
    /// The disk or the network below the source is at fault; the client is told.
    #[error("the source cannot be read")]
    Unreadable,
    /// The engine is at fault; it ends with this sentence in its log.
    #[error("{0}")]
    Broken(String),
}

impl From<AvError> for Stop {
    /// Errors that no step has dealt with are the source's fault, save that memory ran out or that it
    /// could not be read.
    fn from(error: AvError) -> Self {
        if error == AvError::UNREADABLE {
            return Self::Unreadable;
        }
        if error == AvError::NO_MEMORY {
            return Self::refused(FailureCode::LimitExceeded, "the file needs more memory than is allowed here");
        }
        Self::refused(FailureCode::Damaged, format!("the file cannot be decoded: {error}"))
    }
}

impl Stop {
    pub(crate) fn refused(code: FailureCode, message: impl Into<String>) -> Self {
        Self::Refused(Failure::new(code, message))
    }
}

/// Runs one piece of engine work, asked for and answered over standard output, which must be the
/// socket of a client; the source is standard input. Returns the process's exit code.
///
/// A program calls this first thing in `main`, before it starts any thread, when its first argument
/// says so: the cage can only be closed around a process of one thread. `args` are the arguments
/// after that one; there are none so far, and extra ones are refused.
pub fn engine_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    if args.into_iter().next().is_some() {
        complain("the engine takes no arguments");
        return ExitCode::from(2);
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn complain(what: &str) {
    use std::io::Write;
    // The log is the last resort: if it cannot be written, the exit code must do.
    let _ = writeln!(std::io::stderr(), "{what}");
}

fn run() -> Result<(), Stop> {
    let broken = |error: std::io::Error| Stop::Broken(format!("no client: {error}"));
    // As a file, since the cage allows plain reads and writes but no calls of the socket family.
    let socket = File::from(std::io::stdout().as_fd().try_clone_to_owned().map_err(broken)?);
    let source = File::from(std::io::stdin().as_fd().try_clone_to_owned().map_err(broken)?);
    let envelope = read_request(&socket)?;
    // While there is one thread: all later ones inherit it.
    priority::step_back(envelope.niceness);
    // While files can be opened, and before an octet of the source is seen.
    av::load().map_err(|error| Stop::Broken(error.to_string()))?;
    let line = socket.try_clone().map_err(broken)?;
    let allowance = Allowance { memory_bytes: envelope.memory_bytes, cpu_seconds: envelope.cpu_seconds };
    let cage = Cage::close(allowance).map_err(|error| Stop::Broken(error.to_string()))?;
    lifeline(line).map_err(broken)?;
    let outlet = Arc::new(Outlet::new(socket));
    av::init();
    let done = match envelope.work {
        Work::SelfTest => Ok(outlet.json(Kind::Cage, &report(&cage))?),
        Work::Headers(request) => headers::tell(&request, &outlet),
        work => Source::recognise(source, envelope.growing, envelope.pixels_max).and_then(|source| {
            let done = perform(work, &source, &outlet);
            // Bytes that could not be read explain any failure, and spoil any success.
            source.check().and(done)
        }),
    };
    match done {
        Ok(()) => Ok(outlet.done()?),
        Err(Stop::Refused(failure)) => Ok(outlet.json(Kind::Failed, &failure)?),
        Err(Stop::Unreadable) => Ok(outlet.unreadable()?),
        Err(other) => Err(other),
    }
}

fn perform(work: Work, source: &Source, outlet: &Outlet) -> Result<(), Stop> {
    match work {
        Work::Probe => Ok(outlet.json(Kind::Probe, &probe::probe(source, outlet)?)?),
        Work::Reach(streams) => reach::tell(source, &streams, outlet),
        Work::Chunk(request) => chunk::encode(source, &request, outlet),
        Work::Measure(request) => measure::measure(source, &request, outlet),
        Work::Copy(request) => copy::copy(source, &request, outlet),
        Work::Audio(request) => audio::encode(source, &request, outlet),
        Work::CopyAudio(request) => audio_copy::copy(source, &request, outlet),
        Work::Pictures(request) => pictures::take(source, &request, outlet),
        Work::Preview(request) => preview::make(source, &request, outlet),
        Work::Subtitles(request) => subtitles::read(source, &request, outlet),
        Work::Loudness(request) => loudness::measure(source, &request, outlet),
        // Neither reads a source.
        Work::Headers(_) | Work::SelfTest => Ok(()),
    }
}

fn report(cage: &Cage) -> CageReport {
    CageReport {
        namespaces: cage.namespaces.iter().map(|&name| name.to_owned()).collect(),
        limits: cage.limits.clone(),
        landlock: cage.landlock.to_owned(),
        landlock_abi: cage.landlock_abi,
        niceness: priority::niceness(),
        trials: cage.trials(),
        libav: av::version(),
        codecs_missing: av::codecs_missing(),
        encoders: av::encoders(),
    }
}

fn read_request(mut socket: &File) -> Result<Envelope, Stop> {
    let broken = |error: std::io::Error| Stop::Broken(format!("no request: {error}"));
    let mut length = [0; 4];
    socket.read_exact(&mut length).map_err(broken)?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > REQUEST_BYTES_MAX {
        return Err(Stop::Broken(format!("request of {length} bytes")));
    }
    let mut json = vec![0; length];
    socket.read_exact(&mut json).map_err(broken)?;
    serde_json::from_slice(&json).map_err(|error| Stop::Broken(format!("bad request: {error}")))
}

/// Ends this process when the client dies: the client never sends anything after the request, so the
/// read below returns only once the kernel has closed the client's end.
fn lifeline(mut socket: File) -> std::io::Result<()> {
    let watch = move || {
        let _ = socket.read(&mut [0; 1]);
        std::process::exit(1);
    };
    std::thread::Builder::new().name("lifeline".into()).stack_size(64 << 10).spawn(watch).map(drop)
}
