//! Files that are broken or made to do harm, through a running server.

use std::path::Path;
use std::time::Duration;

use fixtures::media::{self, ClipSpec};

use crate::harness::{Server, text};
use crate::server::objects;

/// A line of /etc/passwd that no media file of ours holds.
const SECRET: &[u8] = b"root:x:0:0";

/// The corpus's broken (l) and malicious (m) files; none where the corpus is not on this machine.
fn corpus() -> Vec<std::path::PathBuf> {
    let folder = fixtures::corpus();
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let is_hostile = |path: &Path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("l_") || name.starts_with("m_")
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(|path| is_hostile(path)).collect();
    files.sort();
    files
}

/// Hostile files of our own, for machines without the corpus.
fn made(folder: &Path) -> Vec<std::path::PathBuf> {
    let whole = std::fs::read(media::clip(&ClipSpec { seconds: 3.0, ..ClipSpec::default() })).unwrap();
    let playlist = b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\nconcat:/etc/passwd\n#EXT-X-ENDLIST\n".to_vec();
    let concat = b"ffconcat version 1.0\nfile /etc/passwd\n".to_vec();
    let noise: Vec<u8> =
        (0..200_000u32).map(|at| u8::try_from((at.wrapping_mul(2_654_435_761)) >> 24).unwrap()).collect();
    let mut scrambled = whole.clone();
    for at in (2_000..scrambled.len()).step_by(97) {
        scrambled[at] ^= 0x5A;
    }
    let files = [
        ("playlist.mp4", playlist),
        ("concat.mp4", concat),
        ("noise.mp4", noise),
        ("half.mp4", whole[..whole.len() / 2].to_vec()),
        ("scrambled.mp4", scrambled),
        ("one-byte.mp4", vec![0]),
    ];
    let written = files.into_iter().map(|(name, bytes)| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    });
    written.collect()
}

#[tokio::test]
async fn hostile_files_end_with_a_reason_or_play_and_the_server_stays_up() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let mut server = Server::start(&data);
    let mut files = made(temp.path());
    files.extend(corpus());
    let mut outcomes = Vec::new();
    for file in &files {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let asset = server.upload(file).await;
        let found = tokio::time::timeout(Duration::from_secs(120), server.settled(&asset)).await;
        let found = found.unwrap_or_else(|_| panic!("{name} is never settled"));
        let reason = found["failure"]["message"].as_str().unwrap_or_default().to_owned();
        let state = found["state"].as_str().unwrap().to_owned();
        assert!(state == "ready" || is_understandable(&reason), "{name}: {found}");
        // The playback of a malicious file would mean that it was taken for what it pretends to be.
        assert!(!name.starts_with("m_") || state == "failed", "{name}: {found}");
        assert_ne!(found["failure"]["code"], "internal", "{name}: {found}");
        outcomes.push(format!("{name}: {state} {reason}"));
        assert!(server.is_alive(), "{name} brought the server down");
    }
    println!("{}", outcomes.join("\n"));
    assert_eq!(server.json("/healthz").await["status"], "ok");
    assert_no_secret(&data);
}

/// A sentence of some length, not a stack trace, an errno or a path.
fn is_understandable(reason: &str) -> bool {
    let is_sentence = reason.split_whitespace().count() >= 4;
    is_sentence && !["panicked", "errno", "AVERROR", "0x", "/tmp", "Error {"].iter().any(|word| reason.contains(word))
}

/// Nothing the server made holds a line of /etc/passwd. Sources are left out: they are the attacker's own bytes.
fn assert_no_secret(data: &Path) {
    for object in objects(data) {
        if text(&object).contains("/sources/") {
            continue;
        }
        let bytes = std::fs::read(&object).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET), "{} holds a secret", object.display());
    }
}
