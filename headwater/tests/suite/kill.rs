//! kill -9 at random moments, from the first byte of an upload to the published asset. Kills that are aimed at uploads
//! alone stand in `kill_uploads`, those of workers and engines in `kill_fleet`.
//!
//! What is claimed: the asset ends ready without anybody repairing anything; no job is left; the
//! segments are those of an undisturbed run; no row and no object belongs to nothing; and a kill
//! costs at most one segment per rendition.
//!
//! The cost is counted where it arises: the worker logs each segment as it comes out of the engine,
//! before it is packaged or stored. A (rendition, segment) that appears n times was encoded n - 1 times
//! too often. The log is written line by line by the killed process itself, so no kill hides a line.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use catalog_store::Catalog;
use domain::AssetId;
use fixtures::media::{self, ClipSpec};
use fixtures::{Dice, dice};
use serde_json::Value;

use crate::harness::{self, PATIENCE, Server, Upload};
use crate::server::objects;

/// Kills in the suite; `HEADWATER_TEST_KILLS` asks for more.
const KILLS: u64 = 3;
/// Appends of one upload: each is a moment at which it can be interrupted.
const APPENDS: usize = 16;
/// Leases that end themselves soon: the harness also kills servers whose worker never came up.
const SETTINGS: [&str; 4] = ["--set", "lease_s=5", "--set", "heavy_lanes=1"];

/// The uploader of one file, over the lives of its server.
#[derive(Default)]
pub(crate) struct Uploading {
    upload: Option<Upload>,
    /// What is going on, for the count of what the kills hit.
    doing: &'static str,
}

impl Uploading {
    /// Path of the asset in the API, once it exists.
    pub(crate) fn asset(&self) -> Option<String> {
        self.upload.as_ref().map(|upload| upload.asset.clone())
    }
}

/// Name and hash of every segment and init segment of the one asset in a data folder.
pub(crate) async fn segments(data: &Path) -> BTreeMap<String, String> {
    let catalog = Catalog::open(&format!("sqlite://{}", data.join("catalog.db").display())).await.unwrap();
    let asset = catalog.assets(None, 2).await.unwrap().remove(0);
    let rows = catalog.segments(asset.id, asset.generation.unwrap()).await.unwrap();
    catalog.close().await;
    rows.into_iter().map(|row| (format!("{}/{}", row.rendition, row.index), row.sha256)).collect()
}

/// Uploads the clip, as far as the server lives.
pub(crate) async fn uploaded(url: &str, bytes: &[u8], uploading: &mut Uploading) -> Option<()> {
    if uploading.upload.is_none() {
        uploading.doing = "creating";
        uploading.upload = Some(harness::create(url, bytes.len(), "clip.mp4").await?);
    }
    let path = uploading.upload.as_ref()?.path.clone();
    let mut at = harness::offset(url, &path).await?;
    while at < bytes.len() {
        let end = (at + bytes.len().div_ceil(APPENDS)).min(bytes.len());
        uploading.doing = if end < bytes.len() { "appending" } else { "finishing" };
        harness::append(url, &path, at, bytes[at..end].to_vec()).await?;
        at = harness::offset(url, &path).await?;
    }
    Some(())
}

/// One attempt of uploader and viewer; returns when the asset is settled, or never.
async fn settled(server: &Server, bytes: &[u8], uploading: &mut Uploading) {
    while uploaded(&server.url, bytes, uploading).await.is_none() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    uploading.doing = "encoding";
    let found = server.settled(&uploading.upload.as_ref().unwrap().asset).await;
    assert_eq!(found["state"], "ready", "{found}");
    uploading.doing = "idle";
}

#[tokio::test]
async fn kills_at_random_moments_lose_nothing_and_double_nothing() {
    let seed = dice::seed();
    let kills = dice::setting("HEADWATER_TEST_KILLS").unwrap_or(KILLS);
    println!("HEADWATER_TEST_SEED={seed} HEADWATER_TEST_KILLS={kills}");
    let clip = media::clip(&ClipSpec {
        seconds: 24.0,
        width: 640,
        height: 360,
        audio: vec!["eng", "fra"],
        ..ClipSpec::default()
    });
    let bytes = std::fs::read(clip).unwrap();
    let temp = tempfile::tempdir().unwrap();

    let calm = temp.path().join("calm");
    let begun = Instant::now();
    let server = Server::start_with(&calm, &SETTINGS);
    settled(&server, &bytes, &mut Uploading::default()).await;
    let undisturbed = begun.elapsed();
    drop(server);

    let data = temp.path().join("killed");
    let mut dice = Dice::new(seed);
    let (mut uploading, mut hit) = (Uploading::default(), BTreeMap::<&str, u64>::new());
    let begun = Instant::now();
    // Moments are drawn over the time a whole run takes; a run that got ready early takes the last kills afterwards.
    let server = loop {
        let server = Server::start_with(&data, &SETTINGS);
        if hit.values().sum::<u64>() == kills {
            break server;
        }
        let moment = u64::try_from(undisturbed.as_millis()).unwrap() / kills.clamp(1, 6);
        let moment = Duration::from_millis(1 + dice.below(moment));
        // Whatever the client was doing when the time was up, it was interrupted there.
        let _ = tokio::time::timeout(moment, settled(&server, &bytes, &mut uploading)).await;
        server.kill();
        *hit.entry(uploading.doing).or_default() += 1;
        assert!(begun.elapsed() < PATIENCE * 2, "the kills take too long");
    };
    println!("kills by phase: {hit:?}");
    settled(&server, &bytes, &mut uploading).await;
    until_idle(&server).await;
    let log = server.log();
    server.kill();

    assert_nothing_is_left_over(&data).await;
    assert_eq!(segments(&data).await, segments(&calm).await, "hashes differ from the undisturbed run's");
    for (rendition, counts) in encoded(&log) {
        let doubled: u64 = counts.values().map(|count| count - 1).sum();
        println!("{rendition}: {doubled} of {} segments encoded again in {kills} kills", counts.len());
        assert!(doubled <= kills, "{rendition}: {doubled} segments encoded again in {kills} kills: {counts:?}");
    }
}

/// Waits until the queue is empty: what follows the last segment has been settled too.
pub(crate) async fn until_idle(server: &Server) {
    let begun = Instant::now();
    loop {
        let numbers = server.text("/metrics").await;
        let is_busy = |line: &str| {
            line.starts_with("headwater_jobs{")
                && (line.contains("state=\"queued\"") || line.contains("state=\"running\""))
                && !line.ends_with(" 0")
        };
        if !numbers.lines().any(is_busy) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "jobs are left:\n{numbers}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// How often each segment of each rendition came out of an engine.
pub(crate) fn encoded(log: &[Value]) -> BTreeMap<String, BTreeMap<u64, u64>> {
    let mut counts: BTreeMap<String, BTreeMap<u64, u64>> = BTreeMap::new();
    for line in log.iter().filter(|line| line["message"] == "segment encoded") {
        let rendition = line["rendition.id"].as_str().unwrap().to_owned();
        *counts.entry(rendition).or_default().entry(line["segment"].as_u64().unwrap()).or_default() += 1;
    }
    assert!(!counts.is_empty(), "the worker logs no encoded segment");
    counts
}

pub(crate) async fn assert_nothing_is_left_over(data: &Path) {
    let catalog = Catalog::open(&format!("sqlite://{}", data.join("catalog.db").display())).await.unwrap();
    let integrity = catalog.integrity().await.unwrap();
    assert!(integrity.is_sound(), "{integrity:?}");
    assert_eq!(catalog.unfinished_job_count().await.unwrap(), 0);
    let assets = catalog.assets(None, 10).await.unwrap();
    let is_known = |id: &AssetId| assets.iter().any(|asset| asset.id == *id);
    for asset in &assets {
        assert!(asset.state.is_final() || asset.state == domain::AssetState::Uploading, "{asset:?}");
    }
    // Every object lies below the id of an asset that exists, or is the pointer of one.
    for object in objects(&data.join("media")) {
        let path = object.strip_prefix(data.join("media")).unwrap().display().to_string();
        let named: Vec<AssetId> = path.split('/').filter_map(|part| part.parse().ok()).collect();
        let pointed = path.strip_prefix("current/").and_then(|name| name.strip_suffix(".json"));
        let is_pointer = pointed.is_some_and(|name| assets.iter().any(|asset| asset.playback.to_string() == name));
        assert!(is_pointer || (named.len() == 1 && named.iter().all(is_known)), "{path} belongs to nothing");
    }
    let rows: usize = {
        let mut rows = 0;
        for asset in assets.iter().filter_map(|asset| Some((asset.id, asset.generation?))) {
            rows += catalog.segments(asset.0, asset.1).await.unwrap().len();
        }
        rows
    };
    let stored = objects(&data.join("media/media"));
    let stored = stored.iter().filter(|object| object.extension().is_some_and(|extension| extension == "m4s")).count();
    assert_eq!(stored, rows, "segments without a row, or rows without a segment");
    catalog.close().await;
    // A kill between creation and its answer leaves an empty upload that its client never learnt of.
    let unfinished = objects(&data.join("uploads"));
    for file in unfinished {
        assert_eq!(std::fs::metadata(&file).unwrap().len(), 0, "{} is left over", file.display());
    }
}
