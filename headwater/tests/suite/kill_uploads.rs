//! kill -9 under uploads: while they are created, appended to, finished, and put together from parts.
//!
//! A kill is aimed: it waits for the uploader to begin a drawn phase and for a drawn moment more. What the uploader
//! was doing when the server died is counted, so that nobody has to believe that every phase was hit.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use fixtures::{Dice, dice, media};
use media_store::StoreConfig;

use crate::harness::{PATIENCE, Server};
use crate::torture::folder_store;
use crate::uploader::{Manner, Phase, Uploader, assert_exact};

/// Kills in the suite; `HEADWATER_TEST_KILLS` asks for more.
const KILLS: u64 = 10;
/// Phases that kills are aimed at, the rarer ones more often.
const AIMS: [Phase; 6] = [
    Phase::Creating,
    Phase::Appending,
    Phase::FinishingPart,
    Phase::Finishing,
    Phase::Concatenating,
    Phase::Concatenating,
];
/// Longest time between the beginning of a phase and the kill.
const DELAY: Duration = Duration::from_millis(25);
/// Most bytes of one request: a few requests per file, long enough to be hit.
const PIECE_BYTES: usize = 1 << 20;

#[tokio::test]
async fn kills_under_uploads_lose_nothing_and_double_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    killed(&data, &[], folder_store(&data)).await;
}

#[tokio::test]
async fn kills_under_uploads_to_a_bucket_lose_nothing_and_double_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let s3 = fixtures::services::s3();
    let settings = [
        format!("storage_url={}", s3.url),
        format!("storage_access_key={}", s3.access_key),
        format!("storage_secret_key={}", s3.secret_key),
    ];
    let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let store = StoreConfig {
        url: s3.url,
        access_key: Some(s3.access_key),
        secret_key: Some(s3.secret_key),
        scratch: temp.path().join("scratch"),
    };
    killed(&data, &settings, store).await;
}

async fn killed(data: &Path, settings: &[&str], store: StoreConfig) {
    let seed = dice::seed();
    let kills = dice::setting("HEADWATER_TEST_KILLS").unwrap_or(KILLS);
    println!("HEADWATER_TEST_SEED={seed} HEADWATER_TEST_KILLS={kills}");
    let settings: Vec<&str> = ["--roles", "ingest,api"].iter().chain(settings).copied().collect();
    let mut dice = Dice::new(seed);
    let mut uploaders: Vec<Uploader> = Vec::new();
    let mut hit: BTreeMap<Phase, u64> = BTreeMap::new();
    let begun = Instant::now();
    let mut server = Server::start_with(data, &settings);
    // Each kill is aimed at the first upload that comes into the drawn phase.
    for _ in 0..kills {
        let aim = dice.one_of(&AIMS);
        let delay = dice.moment(DELAY);
        loop {
            assert!(begun.elapsed() < PATIENCE * 2, "the kills take too long");
            if uploaders.last().is_none_or(|last| last.next(PIECE_BYTES) == Phase::Done) {
                uploaders.push(uploader(&mut dice, uploaders.len(), aim));
            }
            let uploader = uploaders.last_mut().unwrap();
            let mut phase = uploader.phase();
            let aimed = async {
                phase.wait_for(|phase| *phase == aim).await.unwrap();
                tokio::time::sleep(delay).await;
            };
            // Whatever the uploader was doing when the time was up, it was interrupted there.
            let is_missed = tokio::select! {
                biased;
                () = aimed => false,
                () = uploader.run(&server.url, PIECE_BYTES) => true,
            };
            if !is_missed {
                break;
            }
        }
        let at = *uploaders.last().unwrap().phase().borrow();
        *hit.entry(at).or_default() += 1;
        server.kill();
        server = Server::start_with(data, &settings);
    }
    for uploader in &mut uploaders {
        uploader.run(&server.url, PIECE_BYTES).await;
    }
    server.kill();
    println!("{} uploads in {:.1?}, kills by phase: {hit:?}", uploaders.len(), begun.elapsed());
    let kept: Vec<_> = uploaders.iter().map(Uploader::done).collect();
    assert_exact(&format!("sqlite://{}", data.join("catalog.db").display()), store, &kept).await;
}

/// The next file, in a manner that comes through the phase.
fn uploader(dice: &mut Dice, index: usize, aim: Phase) -> Uploader {
    let manner = match aim {
        Phase::Concatenating | Phase::FinishingPart => Manner::Parts,
        Phase::Finishing => Manner::ALL[[5, 0, 2, 3, 4][index % 5]],
        _ => Manner::ALL[index % Manner::ALL.len()],
    };
    let bytes = usize::try_from((1 << 20) + dice.below(6 << 20)).unwrap();
    Uploader::new(media::padded(bytes, dice.number()).into(), manner)
}
