//! An engine in its cage that is fed damaged files.
//!
//! An input is no file but a list of damages to one: small inputs reach every box of a real file, and
//! the fuzzer need not learn what a file looks like. The first octet chooses the file; then come damages
//! of eight octets: what is done, where (three octets), how much (two), and with what (two).

use std::io::{Seek, Write};
use std::process::exit;
use std::sync::OnceLock;
use std::time::Duration;

use domain::ByteSize;
use fixtures::media::{ClipSpec, clip};
use tokio::runtime::Runtime;
use transcoder::{Engine, EngineConfig, EngineError, EngineLimits};

/// The argument by which this program is asked to be an engine.
const ENGINE: &str = "engine";
/// One damage.
const DAMAGE_BYTES: usize = 8;
/// Longest file that is made of a damaged one.
const FILE_BYTES_MAX: usize = 1 << 20;
/// Longest wait for an engine: it must give up by itself, or be given up, before the fuzzer gives up.
const PATIENCE: Duration = Duration::from_secs(40);

/// Files of every container, and the engine that they are fed to.
struct Ground {
    runtime: Runtime,
    engine: Engine,
    files: Vec<Vec<u8>>,
}

static GROUND: OnceLock<Ground> = OnceLock::new();

/// Becomes an engine, and never returns, if the first argument says so.
pub fn run_if_asked() {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == ENGINE) {
        let is_well = transcoder::engine_main(args) == std::process::ExitCode::SUCCESS;
        exit(i32::from(!is_well));
    }
}

/// Feeds a damaged file to an engine, which may refuse it, crash or stall, but the server may not.
///
/// # Panics
///
/// When the server does, when it waits without end, or when the engine says what no engine says.
pub fn probe(input: &[u8]) {
    let ground = GROUND.get_or_init(Ground::new);
    let Some(file) = damaged(&ground.files, input) else { return };
    let mut source = tempfile::tempfile_in("/dev/shm").or_else(|_| tempfile::tempfile()).expect("a file");
    source.write_all(&file).and_then(|()| source.rewind()).expect("room for the file");
    let answer = ground.runtime.block_on(async {
        let probed = ground.engine.probe(source);
        tokio::time::timeout(PATIENCE, probed).await.expect("an engine that hangs is given up")
    });
    match answer {
        Ok(probe) => assert!(probe.has_media(), "{probe:?}"),
        Err(EngineError::Refused(failure)) => assert!(failure.message.split_whitespace().count() >= 4, "{failure:?}"),
        // Broken files break decoders: that is what the cage is for.
        Err(EngineError::Crashed { .. } | EngineError::Stalled { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

impl Ground {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let limits = EngineLimits {
            memory: ByteSize(1 << 30),
            stall: Duration::from_secs(10),
            wall_base: Duration::from_secs(20),
            ..EngineLimits::default()
        };
        let program = std::env::current_exe().expect("a program has a path");
        let engine = Engine::new(EngineConfig { program, args: vec![ENGINE.into()], limits });
        let files = specs().iter().map(|spec| std::fs::read(clip(spec)).expect("a clip")).collect();
        Self { runtime: runtime.expect("threads"), engine, files }
    }
}

/// One small file for each container, with tracks of every kind where it can hold them.
fn specs() -> Vec<ClipSpec> {
    let film = |container, texts: bool| ClipSpec {
        seconds: 1.0,
        width: 160,
        height: 90,
        subtitles: if texts { vec!["eng"] } else { vec![] },
        chapters: if texts { 2 } else { 0 },
        container,
        ..ClipSpec::default()
    };
    let vp9 = vec!["-c:v", "libvpx-vp9", "-b:v", "60k", "-cpu-used", "8", "-threads", "1"];
    let sound = |container, codec| ClipSpec {
        width: 0,
        height: 0,
        seconds: 1.0,
        container,
        audio_args: vec!["-c:a", codec],
        ..ClipSpec::default()
    };
    vec![
        film("mp4", true),
        ClipSpec { extra_args: vec!["-movflags", "frag_keyframe+empty_moov"], ..film("mp4", false) },
        film("mkv", true),
        ClipSpec { video_args: vp9, audio_args: vec!["-c:a", "libopus"], ..film("webm", false) },
        film("ts", false),
        film("flv", false),
        ClipSpec { video_args: vec!["-c:v", "mpeg4"], audio_args: vec!["-c:a", "libmp3lame"], ..film("avi", false) },
        ClipSpec { video_args: vec!["-c:v", "mpeg2video"], audio_args: vec!["-c:a", "mp2"], ..film("mpg", false) },
        sound("ogg", "libvorbis"),
        sound("mp3", "libmp3lame"),
        sound("flac", "flac"),
        sound("wav", "pcm_s16le"),
    ]
}

/// The file that `input` chooses, damaged as it says; `None` without a choice.
fn damaged(files: &[Vec<u8>], input: &[u8]) -> Option<Vec<u8>> {
    let (choice, damages) = input.split_first()?;
    let mut file = files.get(usize::from(*choice) % files.len())?.clone();
    for damage in damages.chunks_exact(DAMAGE_BYTES) {
        let number = |octets: &[u8]| octets.iter().fold(0usize, |number, octet| (number << 8) | usize::from(*octet));
        let (place, length) = (number(&damage[1..4]) % file.len().max(1), number(&damage[4..6]));
        let end = (place + length).min(file.len());
        match damage[0] % 7 {
            0 => file.truncate(place),
            1 => file[place..end].fill(damage[6]),
            2 => file[place..end].iter_mut().for_each(|octet| *octet ^= damage[6]),
            3 => drop(file.drain(place..end)),
            4 => {
                let copy = file[place..end].to_vec();
                let target = number(&damage[6..8]) % (file.len() + 1);
                file.splice(target..target, copy);
            }
            5 => {
                // Where a length, a count or a time may stand.
                let end = (place + 4).min(file.len());
                file[place..end].iter_mut().zip(&damage[4..8]).for_each(|(octet, new)| *octet = *new);
            }
            _ => drop(file.splice(place..place, damage[4..8].iter().copied())),
        }
        file.truncate(FILE_BYTES_MAX);
    }
    Some(file)
}
