//! Tests of the engine as a process. The test binary is its own engine: `engine` as first argument.

mod ahead;
mod audio;
mod audio_copy;
mod cage;
mod codecs;
mod copy;
mod hearing;
mod inputs;
mod loudness;
mod measure;
mod pictures;
mod probe;
mod setup;
mod subtitles;
mod sync;
mod trouble;
mod video;
mod watchdog;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next().as_deref().and_then(std::ffi::OsStr::to_str) {
        Some("engine") => return transcoder::engine_main(args),
        Some("bad-disk") => return trouble::engine_on_a_bad_disk(args),
        Some("misbehave") => return watchdog::misbehave(args),
        _ => {}
    }
    let trials: Vec<Trial> = [
        ahead::trials(),
        audio::trials(),
        audio_copy::trials(),
        cage::trials(),
        codecs::trials(),
        copy::trials(),
        inputs::trials(),
        loudness::trials(),
        measure::trials(),
        pictures::trials(),
        probe::trials(),
        subtitles::trials(),
        sync::trials(),
        trouble::trials(),
        video::trials(),
        watchdog::trials(),
    ]
    .into_iter()
    .flatten()
    .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
