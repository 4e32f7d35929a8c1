//! The command line: what it teaches, what it refuses, and what its exit codes say.

use std::fs;

use fixtures::media::{self, ClipSpec};

use crate::harness::{headwater, run, text};

fn stdout(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// libav comes with a hundred and sixty libraries, which only the engine needs, and loads by itself.
#[test]
fn the_program_starts_without_libav() {
    // The loader lists what it would map instead of starting the program.
    let told = headwater(&["--version"]).env("LD_TRACE_LOADED_OBJECTS", "1").output().unwrap();
    let libraries = stdout(&told);
    assert!(libraries.contains("libc.so"), "no list: {libraries}");
    let unwanted: Vec<&str> =
        libraries.split_whitespace().filter(|name| name.starts_with("libav") || name.starts_with("libsw")).collect();
    assert_eq!(
        unwanted, [""; 0],
        "a function of libav is not in transcoder/src/av/late.rs; `nm -D --undefined-only` tells which"
    );
}

#[test]
fn help_teaches_by_example() {
    let help = stdout(&run(&["--help"]));
    for taught in
        ["Examples:", "headwater transcode holiday.mp4", "Exit codes:", "serve", "upload", "probe", "doctor", "verify"]
    {
        assert!(help.contains(taught), "{taught} is missing in\n{help}");
    }
    assert!(!help.contains("engine"), "the engine is nobody's command:\n{help}");
    for command in
        ["serve", "upload", "probe", "transcode", "doctor", "verify", "validate", "reprocess", "renumber", "config"]
    {
        let help = run(&[command, "--help"]);
        assert_eq!(help.status.code(), Some(0));
        assert!(stdout(&help).contains("Examples:"), "{command} teaches nothing:\n{}", stdout(&help));
    }
}

#[test]
fn a_wrong_command_line_is_2_and_a_missing_file_1() {
    assert_eq!(run(&["fry"]).status.code(), Some(2));
    assert_eq!(run(&["transcode", "a.mp4"]).status.code(), Some(2));
    let missing = run(&["probe", "/no/such/file.mp4"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("cannot open /no/such/file.mp4"), "{}", stderr(&missing));
}

#[test]
fn settings_come_from_the_file_then_the_environment_then_flags() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("headwater.toml"), "listen = \"127.0.0.1:1\"\nlease_s = 11\n").unwrap();
    let config = |variables: &[(&str, &str)], args: &[&str]| {
        let mut command = headwater(&["config"]);
        command.args(args).current_dir(temp.path()).envs(variables.iter().copied());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    };
    assert!(config(&[], &[]).contains("listen = \"127.0.0.1:1\"\n"));
    let printed = config(&[("HEADWATER_LISTEN", "127.0.0.1:2")], &[]);
    assert!(printed.contains("listen = \"127.0.0.1:2\"\n") && printed.contains("lease_s = 11\n"), "{printed}");
    let printed = config(&[("HEADWATER_LISTEN", "127.0.0.1:2")], &["--set", "listen=127.0.0.1:3"]);
    assert!(printed.contains("listen = \"127.0.0.1:3\"\n"), "{printed}");
    assert!(config(&[("HEADWATER_STORAGE_SECRET_KEY", "hush")], &[]).contains("\"<hidden>\""));
}

#[test]
fn an_unknown_setting_is_refused_with_the_nearest_known_one() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("h.toml");
    fs::write(&file, "data_dri = \"x\"\n").unwrap();
    let refused = run(&["config", "--config", text(&file)]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("unknown key \"data_dri\"; did you mean \"data_dir\"?"), "{}", stderr(&refused));
}

#[test]
fn a_probe_tells_people_and_programs_what_is_in_a_file() {
    let clip = media::clip(&ClipSpec {
        seconds: 3.0,
        audio: vec!["eng", "fra"],
        subtitles: vec!["deu"],
        chapters: 2,
        ..ClipSpec::default()
    });
    let told = run(&["probe", text(&clip)]);
    assert_eq!(told.status.code(), Some(0), "{}", stderr(&told));
    let table = stdout(&told);
    for fact in [
        "duration",
        "00:00:03",
        "h264 320x180, 25 fps",
        "English (en), aac",
        "Deutsch (de)",
        "chapter",
        "has subtitles  yes",
        "pass-through   no: its bit rate is too high",
        "pass-through   yes",
    ] {
        assert!(table.contains(fact), "{fact} is missing in\n{table}");
    }
    let json: serde_json::Value = serde_json::from_str(&stdout(&run(&["probe", text(&clip), "--json"]))).unwrap();
    assert_eq!(json["video"][0]["frame_count"], 75);
    assert_eq!(json["audio"][1]["language"], "fr");
}

#[test]
fn a_file_that_is_no_media_is_refused_with_a_reason() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("letter.mp4");
    fs::write(&file, "Dear all, this is not a film.").unwrap();
    for args in [vec!["probe", text(&file)], vec!["transcode", text(&file), "-o", text(&temp.path().join("out"))]] {
        let refused = run(&args);
        assert_eq!(refused.status.code(), Some(1), "{args:?}");
        let told = stderr(&refused);
        assert!(told.contains("letter.mp4: ") && !told.contains("panic"), "{told}");
    }
    assert!(!temp.path().join("out").exists(), "a refused source leaves nothing behind");
}

#[test]
fn a_transcode_makes_a_folder_with_the_playlist_at_its_top_and_nothing_else_of_ours() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    let clip = media::clip(&ClipSpec { seconds: 3.0, ..ClipSpec::default() });
    let done = run(&["transcode", text(&clip), "-o", text(&out)]);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    assert!(out.join("master.m3u8").is_file());
    assert!(!out.join(".headwater").exists());
    assert!(clip.is_file(), "the source is left alone");
    let again = run(&["transcode", text(&clip), "-o", text(&out)]);
    assert_eq!(again.status.code(), Some(2));
    assert!(stderr(&again).contains("the folder already holds"), "{}", stderr(&again));
}

#[test]
fn a_killed_transcode_goes_on_with_its_own_file_only() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    let long = media::clip(&ClipSpec { seconds: 12.0, width: 640, height: 360, ..ClipSpec::default() });
    let mut child = headwater(&["transcode", text(&long), "-o", text(&out)]).spawn().unwrap();
    let begun = std::time::Instant::now();
    while crate::server::objects(&out.join(".headwater/media/media")).len() < 3 {
        assert!(begun.elapsed() < crate::harness::PATIENCE, "no segment appears");
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be killed");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();

    let other = media::clip(&ClipSpec { seconds: 3.0, ..ClipSpec::default() });
    let refused = run(&["transcode", text(&other), "-o", text(&out)]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("half run of another file"), "{}", stderr(&refused));

    let resumed = run(&["transcode", text(&long), "-o", text(&out), "--set", "log=pipeline=debug"]);
    assert_eq!(resumed.status.code(), Some(0), "{}", stderr(&resumed));
    let whole = temp.path().join("whole");
    assert_eq!(run(&["transcode", text(&long), "-o", text(&whole)]).status.code(), Some(0));
    for file in crate::server::objects(&whole) {
        let name = file.strip_prefix(&whole).unwrap();
        if name.extension().is_some_and(|extension| extension == "m4s" || extension == "mp4") {
            assert!(fs::read(&file).unwrap() == fs::read(out.join(name)).unwrap(), "{} differs", name.display());
        }
    }
}

#[test]
fn a_doctor_names_every_check() {
    let temp = tempfile::tempdir().unwrap();
    let report = stdout(&run(&["doctor", "--data-dir", text(&temp.path().join("data"))]));
    for check in
        ["kernel", "cage", "rlimits", "codecs", "ffmpeg", "storage", "database", "disk", "clock", "limits", "access"]
    {
        assert!(report.lines().any(|line| line.contains(check)), "{check} is missing in\n{report}");
    }
    assert!(report.lines().all(|line| ["ok ", "warn ", "fail "].iter().any(|word| line.starts_with(word))), "{report}");
}

#[test]
fn a_migration_makes_the_database() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("with blank");
    let done = run(&["migrate", "--data-dir", text(&data)]);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    assert!(data.join("catalog.db").is_file());
}
