//! Children that hang, die or lie.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::Trial;
use transcoder::{EngineError, EngineLimits};

use crate::setup::{engine_with, source_of, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_child_that_hangs_is_killed", a_child_that_hangs_is_killed),
        trial("idle_signs_of_life_are_no_progress", idle_signs_of_life_are_no_progress),
        trial("a_child_that_dies_is_a_crash_with_its_last_words", a_child_that_dies_is_a_crash_with_its_last_words),
        trial("a_child_that_somebody_kills_has_not_crashed", a_child_that_somebody_kills_has_not_crashed),
        trial("a_child_that_lies_is_refused", a_child_that_lies_is_refused),
        trial("a_description_that_cannot_be_is_refused", a_description_that_cannot_be_is_refused),
        trial("a_flood_of_answers_is_cut_off", a_flood_of_answers_is_cut_off),
        trial("a_program_that_does_not_exist_cannot_start", a_program_that_does_not_exist_cannot_start),
        trial("an_engine_ends_when_its_client_is_gone", an_engine_ends_when_its_client_is_gone),
    ]
}

/// An engine gone wrong, in the way that the next argument says.
pub(crate) fn misbehave(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let how = args.next().and_then(|how| how.into_string().ok()).unwrap_or_default();
    let mut client = std::fs::File::from(std::io::stdout().as_fd().try_clone_to_owned().expect("a client"));
    let mut length = [0; 4];
    client.read_exact(&mut length).expect("a request");
    let length = usize::try_from(u32::from_le_bytes(length)).expect("fits");
    client.read_exact(&mut vec![0; length]).expect("a request");
    match how.as_str() {
        "idle" => loop {
            // The same count again and again; ends when the client kills this process.
            client.write_all(&[1, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]).expect("a client");
            std::thread::sleep(Duration::from_millis(20));
        },
        "die" => {
            let _ = std::io::stderr().write_all(b"these are my last words\x1b[0m\n");
            std::process::abort();
        }
        "fall" => {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            ExitCode::SUCCESS
        }
        "lie" => {
            let _ = client.write_all(&[3, 0xff, 0xff, 0xff, 0x7f, 1, 2, 3]);
            ExitCode::SUCCESS
        }
        "invent" => {
            let probe =
                br#"{"container":"hls","size":1,"video":[],"audio":[],"subtitles":[],"chapters":[],"title":null}"#;
            let length = u32::try_from(probe.len()).expect("short").to_le_bytes();
            let _ = client.write_all(&[&[3], &length[..], probe].concat());
            ExitCode::SUCCESS
        }
        "flood" => {
            let mut count = 0u64;
            loop {
                // Ends when nobody listens any more.
                let messages: Vec<u8> =
                    (0..4096u64).flat_map(|at| [1, 8, 0, 0, 0].into_iter().chain((count + at).to_le_bytes())).collect();
                count += 4096;
                if client.write_all(&messages).is_err() {
                    return ExitCode::FAILURE;
                }
            }
        }
        _ => loop {
            std::thread::park();
        },
    }
}

async fn probe_with(how: &str) -> EngineError {
    // Short where the watchdog itself is tested; elsewhere a busy machine may take its time.
    let stall = if matches!(how, "hang" | "idle") { Duration::from_millis(300) } else { Duration::from_secs(30) };
    let limits = EngineLimits { stall, ..EngineLimits::default() };
    let engine = engine_with(&["misbehave", how], limits);
    engine.probe(source_of(b"x")).await.expect_err("a misbehaving engine gives no probe")
}

async fn a_child_that_hangs_is_killed() {
    let error = probe_with("hang").await;
    assert!(matches!(error, EngineError::Stalled { .. }), "{error:?}");
    assert!(error.is_transient());
}

async fn idle_signs_of_life_are_no_progress() {
    let error = probe_with("idle").await;
    assert!(matches!(error, EngineError::Stalled { .. }), "{error:?}");
}

async fn a_child_that_dies_is_a_crash_with_its_last_words() {
    match probe_with("die").await {
        EngineError::Crashed { status, log } => {
            assert!(status.contains("signal: 6"), "{status}");
            assert!(log.contains("these are my last words"), "{log}");
            assert!(!log.contains('\u{1b}'));
        }
        error => panic!("{error:?}"),
    }
}

async fn a_child_that_somebody_kills_has_not_crashed() {
    let error = probe_with("fall").await;
    assert!(matches!(error, EngineError::Killed { .. }) && error.is_outage(), "{error:?}");
}

async fn a_child_that_lies_is_refused() {
    let error = probe_with("lie").await;
    assert!(matches!(error, EngineError::Protocol { .. }), "{error:?}");
}

async fn a_description_that_cannot_be_is_refused() {
    let error = probe_with("invent").await;
    assert!(matches!(&error, EngineError::Protocol { what } if what.contains("container")), "{error:?}");
}

async fn a_flood_of_answers_is_cut_off() {
    let error = probe_with("flood").await;
    assert!(matches!(&error, EngineError::Protocol { what } if what.contains("more than")), "{error:?}");
}

async fn a_program_that_does_not_exist_cannot_start() {
    let config = transcoder::EngineConfig {
        program: "/nonexistent/engine".into(),
        args: Vec::new(),
        limits: EngineLimits::default(),
    };
    let error = transcoder::Engine::new(config).probe(source_of(b"x")).await.expect_err("no program");
    assert!(matches!(error, EngineError::Start { .. }), "{error:?}");
}

#[expect(clippy::disallowed_methods, reason = "starts the engine as a client that dies at once would")]
async fn an_engine_ends_when_its_client_is_gone() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let mut child = tokio::process::Command::new(std::env::current_exe().expect("a path"))
        .arg("engine")
        .stdin(source_of(b"x"))
        .stdout(std::os::fd::OwnedFd::from(theirs))
        .kill_on_drop(true)
        .spawn()
        .expect("a child");
    drop(ours);
    let status = tokio::time::timeout(Duration::from_secs(10), child.wait()).await;
    assert!(!status.expect("the child ends by itself").expect("a status").success());
}
