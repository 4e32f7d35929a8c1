//! Real sources through the real engine, a real catalogue and a real store.
//!
//! Called with `engine`, this binary is the engine; otherwise it runs its tests.

mod audit;
mod codecs;
mod ladder;
mod loudness;
mod outputs;
mod passthrough;
mod per_title;
mod reprocess;
mod resume;
mod rig;
mod room;
mod texts;
mod trouble;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// A test: its name and what it does.
type Case = (&'static str, fn() -> anyhow::Result<()>);

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("engine") {
        return transcoder::engine_main(std::env::args_os().skip(2));
    }
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .init();
    let trial = |(name, test): Case| Trial::test(name, move || test().map_err(|error| format!("{error:#}").into()));
    let cases = [
        audit::CASES,
        codecs::CASES,
        ladder::CASES,
        loudness::CASES,
        outputs::CASES,
        passthrough::CASES,
        per_title::CASES,
        reprocess::CASES,
        resume::CASES,
        room::CASES,
        texts::CASES,
        trouble::CASES,
    ]
    .concat();
    let trials = cases.into_iter().map(trial).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
