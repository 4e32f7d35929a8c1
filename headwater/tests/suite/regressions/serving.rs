//! What a running server does: plays early, stays small, leaves nothing behind.

use std::path::Path;
use std::time::{Duration, Instant};

use fixtures::media::{self, ClipSpec};

use crate::harness::{PATIENCE, Server};

/// Most octets in temporary files at any time: some segments of a few rungs.
const TEMPORARY_MAX: u64 = 4 << 20;

/// Most memory in bytes, of the server and all its engines together, that a ladder of a 4K source may cost.
const MEMORY_MAX: u64 = 1_500 << 20;

#[tokio::test]
async fn regression_02_a_film_plays_before_all_of_it_is_made() {
    let temp = tempfile::tempdir().unwrap();
    let server = Server::start_with(&temp.path().join("data"), &["--set", "heavy_lanes=1"]);
    let clip = media::clip(&ClipSpec { seconds: 40.0, width: 640, height: 360, ..ClipSpec::default() });
    let asset = server.upload(&clip).await;
    let begun = Instant::now();
    // Playable once the plan is published; the first segment of a rendition some moments later.
    let segment = loop {
        assert!(begun.elapsed() < PATIENCE, "nothing to play");
        let found = server.json(&asset).await;
        if let Some(master) = found["playback"]["hls"].as_str() {
            let path = master.strip_prefix(&server.url).unwrap_or(master).to_owned();
            if let Some(segment) = first_segment(&server, &path).await {
                break segment;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let found = server.json(&asset).await;
    assert_ne!(found["state"], "ready", "{segment} was only served when all was made");
}

/// Path of the first segment of the first rendition, once it is served.
async fn first_segment(server: &Server, master: &str) -> Option<String> {
    let base = |path: &str| path.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned());
    let lines = |text: String| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).next();
    let playlist = get(server, master).await.and_then(lines)?;
    let playlist = format!("{}/{playlist}", base(master));
    let segment = get(server, &playlist).await.and_then(lines)?;
    let segment = format!("{}/{segment}", base(&playlist));
    server.get(&segment).await.status().is_success().then_some(segment)
}

async fn get(server: &Server, path: &str) -> Option<String> {
    let response = server.get(path).await;
    if response.status().is_success() { response.text().await.ok() } else { None }
}

#[tokio::test]
async fn regression_05_a_ladder_of_4k_hdr_stays_within_its_memory() {
    let temp = tempfile::tempdir().unwrap();
    let server = Server::start_with(&temp.path().join("data"), &["--set", "heavy_lanes=1"]);
    let asset = server.upload(&hdr10_4k60()).await;
    let (begun, mut engines, mut peak) = (Instant::now(), 0, 0);
    let found = loop {
        let children = memory_of_children(server.id());
        engines = engines.max(children);
        peak = peak.max(children + high_water(&server.id().to_string()).unwrap_or(0));
        let found = server.json(&asset).await;
        if found["state"] == "ready" {
            break found;
        }
        assert!(found["state"] != "failed" && begun.elapsed() < PATIENCE, "{found}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let video = &found["video"];
    assert_eq!((&video["is_hdr"], &video["width"], &video["codec"]), (&true.into(), &3840.into(), &"hevc".into()));
    assert_eq!(video["frame_rate"].as_f64(), Some(60.0));
    assert!(found["renditions"].as_array().unwrap().iter().any(|rendition| rendition["id"] == "1080p"), "{found}");
    println!("engines took {} MiB, all together {} MiB", engines >> 20, peak >> 20);
    assert!(engines > 200 << 20, "no engine was seen at work: {} MiB", engines >> 20);
    assert!(peak < MEMORY_MAX, "server and engines took {} MiB", peak >> 20);
}

/// A second of 4K at 60 frames a second as phones and cameras film it: HEVC of 10 bits, PQ, BT.2020, HDR10's light levels.
fn hdr10_4k60() -> std::path::PathBuf {
    let source = ["-f", "lavfi", "-i", "testsrc2=size=3840x2160:rate=60:duration=1,format=yuv420p10le"];
    let x265 = "log-level=error:hdr10=1:repeat-headers=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:\
                max-cll=1000,400:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)";
    let coded = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", x265, "-tag:v", "hvc1"];
    let tags = ["-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc"];
    media::made("mp4", &[&source[..], &coded, &tags].concat())
}

/// The most memory that the children of a process together have had at once.
fn memory_of_children(id: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{id}/task")).unwrap();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
    let ids = children.flat_map(|ids| ids.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    ids.filter_map(|child| high_water(&child)).sum()
}

fn high_water(id: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

#[tokio::test]
async fn regression_19_nothing_temporary_is_left_behind() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let server = Server::start(&data);
    let clip = media::clip(&ClipSpec { seconds: 20.0, width: 640, height: 360, ..ClipSpec::default() });
    let good = server.upload(&clip).await;
    // While it is made, no more lies about than what is just being written, however long the film is.
    let (begun, mut most) = (Instant::now(), 0);
    while !["ready", "failed"].contains(&server.json(&good).await["state"].as_str().unwrap()) {
        assert!(begun.elapsed() < PATIENCE, "it never ends");
        most = most.max(temporary_bytes(&data));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let all: u64 = files(&data).iter().filter_map(|file| Some(std::fs::metadata(file).ok()?.len())).sum();
    assert!(most < TEMPORARY_MAX && most * 4 < all, "{most} of {all} octets were temporary");
    let bad = temp.path().join("bad.mp4");
    std::fs::write(&bad, vec![7; 300_000]).unwrap();
    let bad = server.upload(&bad).await;
    assert_eq!(server.settled(&good).await["state"], "ready");
    assert_eq!(server.settled(&bad).await["state"], "failed");
    let left = temporary(&data);
    assert!(left.is_empty(), "{left:?}");
}

/// Files below the data folder that are not there to stay.
fn temporary(data: &Path) -> Vec<String> {
    let is_temporary = |path: &String| is_temporary(path.strip_prefix(data.to_str().unwrap()).unwrap());
    files(data).into_iter().filter(is_temporary).collect()
}

fn temporary_bytes(data: &Path) -> u64 {
    temporary(data).iter().filter_map(|file| Some(std::fs::metadata(file).ok()?.len())).sum()
}

/// A `#` is in the name of an object that is being written.
fn is_temporary(path: &str) -> bool {
    ["/scratch/", "/staging/", "/tmp/", ".tmp", ".part", "#"].iter().any(|mark| path.contains(mark))
}

fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    // Folders come and go while the server works.
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path.display().to_string()) }
    }
    found
}
