//! kill -9 at random moments of a front, of a worker and of its engines, over many assets at once.
//!
//! What is claimed: every asset ends ready without anybody repairing anything; its segments are those of an
//! undisturbed run; no job is left; and a kill costs at most what was in flight. Kills of workers and engines wait
//! for an engine that runs, so that they hit work; what each of them hit is counted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use catalog_store::Catalog;
use domain::AssetId;
use fixtures::media::{self, ClipSpec};
use fixtures::{Dice, dice};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::harness::Server;
use crate::kill::{Uploading, until_idle, uploaded};

/// Kills in the suite; `HEADWATER_TEST_KILLS` asks for more.
const KILLS: u64 = 9;
/// Assets in the suite; `HEADWATER_TEST_ASSETS` asks for more.
const ASSETS: u64 = 3;
/// Longest wait for an engine that can be killed, after which whoever should run it is killed instead.
const ENGINE_WAIT: Duration = Duration::from_secs(8);
/// From then on, or from the kill before, to a kill.
const MOMENT_MS_MAX: u64 = 700;
/// Longest run of all.
const PATIENCE: Duration = Duration::from_secs(560);
/// What one worker has in flight at most: a segment of each of two encoded qualities, and one in each light and
/// urgent lane.
const IN_FLIGHT_MAX: u64 = 6;

const FRONT: [&str; 2] = ["--roles", "ingest,api,origin"];
/// Leases that end soon: those of a killed worker must.
const WORKER: [&str; 6] = ["--roles", "worker", "--set", "lease_s=5", "--set", "heavy_lanes=1"];

/// The hashes of an asset's segments by rendition and number.
type Segments = BTreeMap<String, String>;

/// A front and a worker on the same database and bucket.
struct Fleet {
    folder: PathBuf,
    database: String,
    settings: Vec<String>,
}

impl Fleet {
    fn new(folder: &Path) -> Self {
        let (s3, database) = (fixtures::services::s3(), fixtures::services::postgres_url());
        let settings = vec![
            format!("database_url={database}"),
            format!("storage_url={}", s3.url),
            format!("storage_access_key={}", s3.access_key),
            format!("storage_secret_key={}", s3.secret_key),
            "secret_key=a key of the tests, of 32 characters and more".to_owned(),
        ];
        std::fs::create_dir_all(folder).unwrap();
        Self { folder: folder.to_owned(), database, settings }
    }

    fn start(&self, name: &str, roles: &[&'static str]) -> Server {
        let settings = self.settings.iter().flat_map(|setting| ["--set", setting.as_str()]);
        Server::start_with(&self.folder.join(name), &settings.chain(roles.iter().copied()).collect::<Vec<_>>())
    }

    /// The segments of assets in the order of their paths in the API, after a look at the whole catalogue.
    async fn segments(&self, assets: &[String]) -> Vec<Segments> {
        let catalog = Catalog::open(&self.database).await.unwrap();
        let integrity = catalog.integrity().await.unwrap();
        assert!(integrity.is_sound(), "{integrity:?}");
        assert_eq!(catalog.unfinished_job_count().await.unwrap(), 0);
        let mut segments = Vec::new();
        for path in assets {
            let id: AssetId = path.rsplit('/').next().unwrap().parse().unwrap();
            let asset = catalog.asset(id).await.unwrap().unwrap();
            let rows = catalog.segments(id, asset.generation.unwrap()).await.unwrap();
            segments
                .push(rows.into_iter().map(|row| (format!("{}/{}", row.rendition, row.index), row.sha256)).collect());
        }
        catalog.close().await;
        segments
    }
}

/// Children of a process.
fn children(parent: u32) -> Vec<Pid> {
    let processes = std::fs::read_dir("/proc").unwrap();
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |id: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // `pid (name) state ppid ...`; a zombie can no longer be hit.
        let rest = stat.rsplit(") ").next().unwrap_or_default();
        let mut fields = rest.split(' ');
        fields.next() != Some("Z") && fields.next() == Some(parent.to_string().as_str())
    };
    ids.filter(is_child).filter_map(Pid::from_raw).collect()
}

/// Waits until a worker has an engine; false if it has nothing to do for long.
async fn has_engine(worker: &Server) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < ENGINE_WAIT {
        if !children(worker.id()).is_empty() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

fn drawn(engines: &[Pid], dice: &mut Dice) -> Option<Pid> {
    let at = dice.below(engines.len().max(1) as u64);
    engines.get(usize::try_from(at).unwrap()).copied()
}

/// Uploads a file, over the lives of the front; its path in the API.
async fn delivered(
    bytes: Vec<u8>,
    turn: u64,
    mut turns: watch::Receiver<u64>,
    front: watch::Receiver<String>,
) -> String {
    turns.wait_for(|now| *now >= turn).await.unwrap();
    let mut uploading = Uploading::default();
    loop {
        let url = front.borrow().clone();
        if uploaded(&url, &bytes, &mut uploading).await.is_some() {
            return uploading.asset().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn kills_of_front_worker_and_engines_lose_nothing_over_many_assets() {
    let seed = dice::seed();
    let kills = dice::setting("HEADWATER_TEST_KILLS").unwrap_or(KILLS);
    let assets = dice::setting("HEADWATER_TEST_ASSETS").unwrap_or(ASSETS);
    println!("HEADWATER_TEST_SEED={seed} HEADWATER_TEST_KILLS={kills} HEADWATER_TEST_ASSETS={assets}");
    let clips: Vec<Vec<u8>> = (0..u16::try_from(assets).unwrap())
        .map(|at| ClipSpec { seconds: 20.0 + f64::from(at), width: 640, height: 360, ..ClipSpec::default() })
        .map(|spec| std::fs::read(media::clip(&spec)).unwrap())
        .collect();
    let temp = tempfile::tempdir().unwrap();

    let calm = Fleet::new(&temp.path().join("calm"));
    let (front, worker) = (calm.start("front", &FRONT), calm.start("worker", &WORKER));
    let (turns, url) = (watch::channel(0).0, watch::channel(front.url.clone()).0);
    let mut paths = Vec::new();
    for clip in &clips {
        paths.push(delivered(clip.clone(), 0, turns.subscribe(), url.subscribe()).await);
    }
    for path in &paths {
        assert_eq!(front.settled(path).await["state"], "ready");
    }
    until_idle(&front).await;
    drop((front, worker));
    let expected = calm.segments(&paths).await;

    let fleet = Fleet::new(&temp.path().join("killed"));
    let (mut front, mut worker) = (fleet.start("front", &FRONT), fleet.start("worker", &WORKER));
    let (turns, url) = (watch::channel(0).0, watch::channel(front.url.clone()).0);
    let mut uploads = JoinSet::new();
    for (at, clip) in clips.into_iter().enumerate() {
        // The last file comes when two thirds of the kills are over.
        let turn = at as u64 * kills * 2 / (assets * 3);
        let upload = delivered(clip, turn, turns.subscribe(), url.subscribe());
        uploads.spawn(async move { (at, upload.await) });
    }
    let (mut dice, mut hit, begun) = (Dice::new(seed), BTreeMap::<&str, u64>::new(), Instant::now());
    for kill in 0..kills {
        turns.send_replace(kill);
        let victim = dice.below(3);
        let has_engine = victim != 0 && has_engine(&worker).await;
        tokio::time::sleep(Duration::from_millis(1 + dice.below(MOMENT_MS_MAX))).await;
        let what = match victim {
            0 => {
                front.kill();
                front = fleet.start("front", &FRONT);
                url.send_replace(front.url.clone());
                "front"
            }
            1 => {
                worker.kill();
                worker = fleet.start("worker", &WORKER);
                if has_engine { "worker at work" } else { "idle worker" }
            }
            // The one that was seen may have ended in the meantime, and another may run.
            _ => match drawn(&children(worker.id()), &mut dice) {
                Some(engine) if kill_process(engine, Signal::KILL).is_ok() => "engine",
                _ => "engine that had ended",
            },
        };
        *hit.entry(what).or_default() += 1;
        assert!(begun.elapsed() < PATIENCE, "the kills take too long: {hit:?}");
    }
    turns.send_replace(kills);
    println!("kills in {:.0} s: {hit:?}", begun.elapsed().as_secs_f64());

    let mut paths = vec![String::new(); expected.len()];
    while let Some(delivered) = uploads.join_next().await {
        let (at, path) = delivered.unwrap();
        paths[at] = path;
    }
    for path in &paths {
        let found = front.settled(path).await;
        assert_eq!(found["state"], "ready", "{found}");
    }
    until_idle(&front).await;
    let log = worker.log();
    drop((front, worker));
    assert_eq!(fleet.segments(&paths).await, expected, "hashes differ from the undisturbed run's");

    let mut encoded = BTreeMap::<[String; 3], u64>::new();
    for line in log.iter().filter(|line| line["message"] == "segment encoded") {
        let asset = line["span"]["asset.id"].as_str().unwrap_or_else(|| panic!("no asset in {line}"));
        let rendition = line["rendition.id"].as_str().unwrap();
        *encoded.entry([asset.to_owned(), rendition.to_owned(), line["segment"].to_string()]).or_default() += 1;
    }
    let doubled: u64 = encoded.values().map(|count| count - 1).sum();
    let spoilt = kills - hit.get("front").unwrap_or(&0);
    println!("{doubled} of {} segments encoded again", encoded.len());
    assert!(encoded.len() >= expected.iter().map(Segments::len).sum(), "not all that was encoded was logged");
    assert!(doubled <= spoilt * IN_FLIGHT_MAX, "{doubled} segments encoded again in {spoilt} kills");
}
