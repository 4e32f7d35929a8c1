//! Segments, and what else belongs to a generation.

use catalog_store::progress::seconds_left;
use catalog_store::{Catalog, CatalogError, RenditionKind};
use domain::loudness::{Hundredths, Loudness};
use domain::presentation::{Images, SegmentEntry, SubtitleRendition};
use domain::{AssetState, JobKind, JobLane, JobSpec, Resolution, Tally, Timescale};

use crate::harness::{GENERATION, World, at, plan, probe, rendition, segment};

pub(crate) async fn a_segment_is_recorded_once_and_another_hash_is_refused(world: World) {
    let asset = world.processing().await;
    let job = world.claim(true, at(0)).await.expect("a chunk");
    for _ in 0..2 {
        world.catalog.insert_segment(&job, &segment(asset, "360p", 0), at(1)).await.unwrap();
    }
    let mut other = segment(asset, "360p", 0);
    other.sha256 = "cd".repeat(32);
    let refused = world.catalog.insert_segment(&job, &other, at(2)).await;
    assert!(matches!(refused, Err(CatalogError::HashMismatch { index: 0, .. })), "{refused:?}");
    world.catalog.insert_segment(&job, &segment(asset, "240p", 1), at(2)).await.unwrap();
    world.catalog.insert_segment(&job, &segment(asset, "240p", 0), at(2)).await.unwrap();
    let rows = world.catalog.segments(asset, GENERATION).await.unwrap();
    assert_eq!(rows, [segment(asset, "240p", 0), segment(asset, "240p", 1), segment(asset, "360p", 0)]);
    let rows = world.catalog.segments_of(asset, GENERATION, &rendition("240p")).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(SegmentEntry::from(rows[0].clone()).bytes, Some(1234));
    let between = async |first, last| {
        world.catalog.segments_between(asset, GENERATION, &rendition("240p"), (first, last)).await.unwrap()
    };
    assert_eq!((between(0, 1).await, between(1, 9).await, between(2, 9).await), (vec![0, 1], vec![1], vec![]));
}

pub(crate) async fn a_lost_lease_records_no_segment(world: World) {
    let asset = world.processing().await;
    let late = world.claim(true, at(0)).await.expect("a chunk");
    world.claim(true, at(10_001)).await.expect("the same chunk");
    let lost = world.catalog.insert_segment(&late, &segment(asset, "360p", 0), at(10_002)).await;
    assert!(matches!(lost, Err(CatalogError::LostLease { .. })), "{lost:?}");
    assert!(world.catalog.segments(asset, GENERATION).await.unwrap().is_empty());
}

pub(crate) async fn progress_counts_segments_per_rendition(world: World) {
    let received = world.received().await;
    assert!(world.catalog.progress(received).await.unwrap().is_empty(), "nothing is planned");
    let probe = world.claim(false, at(0)).await.expect("the probe");
    world.settle_probe(&probe, at(0)).await;
    let asset = received;
    let job = world.claim(true, at(0)).await.expect("a chunk");
    world.catalog.insert_segment(&job, &segment(asset, "360p", 0), at(1)).await.unwrap();
    world.catalog.insert_segment(&job, &segment(asset, "360p", 1), at(1)).await.unwrap();
    let progress = world.catalog.progress(asset).await.unwrap();
    let seen: Vec<_> = progress.iter().map(|entry| (entry.id.as_str(), entry.kind, entry.done, entry.total)).collect();
    assert_eq!(
        seen,
        [
            ("240p", RenditionKind::Video, 0, 7),
            ("360p", RenditionKind::Video, 2, 7),
            ("audio-0", RenditionKind::Audio, 0, 7)
        ]
    );
}

pub(crate) async fn the_time_that_is_left_follows_from_the_last_commits(world: World) {
    let asset = world.processing().await;
    let job = world.claim(true, at(0)).await.expect("a chunk");
    // A second for each of the segments of 360p; the ledger's segments play two seconds each.
    let left = async |now: i64| {
        let renditions = world.catalog.progress(asset).await.unwrap();
        let of = |id: &str| renditions.iter().find(|one| one.id.as_str() == id).expect("it is planned").clone();
        let whole = seconds_left(&renditions, at(now));
        (of("360p").left(at(now)).map(|left| left.as_millis()), of("360p").share(), whole)
    };
    assert_eq!(left(0).await, (None, 0.0, None));
    for index in 0..4 {
        let now = at(i64::from(index) * 1000);
        world.catalog.insert_segment(&job, &segment(asset, "360p", index), now).await.unwrap();
    }
    // 4 times 2 s of 30 s are done, the rest takes half of its length.
    let (remaining, share, whole) = left(3000).await;
    assert_eq!((remaining, whole), (Some(11_000), None), "of the sound nothing is known");
    assert!((0.2666..0.2667).contains(&share), "{share}");
    assert_eq!(left(3500).await.0, Some(10_500));
    assert_eq!(left(1_000_000).await.0, None, "nobody works");
    let events = world.catalog.events_of(asset, 0, 1000).await.unwrap();
    let last = events.iter().rfind(|event| event.topic == "asset.progress").expect("progress");
    let told = last.data["renditions"].as_array().expect("a list").iter().find(|one| one["id"] == "360p");
    let told = told.expect("it is told");
    assert_eq!((told["seconds_left"].as_u64(), told["share"].as_f64()), (Some(11), Some(0.267)), "{told}");
    assert_eq!((last.data["segments_done"].as_u64(), &last.data["seconds_left"]), (Some(4), &serde_json::Value::Null));
}

pub(crate) async fn images_and_subtitles_read_back(world: World) {
    let asset = world.processing().await;
    world.claim(false, at(0)).await.expect("audio");
    let job = world.claim(false, at(0)).await.expect("images");
    assert_eq!(world.catalog.images(asset, GENERATION).await.unwrap(), None);
    let images = Images {
        poster: "poster.jpg".into(),
        poster_resolution: Resolution { width: 640, height: 360 },
        thumbnails: vec![],
        storyboard: None,
        preview: None,
        blurhash: None,
        thumbhash: None,
        scored: None,
    };
    let subtitles = vec![SubtitleRendition {
        id: rendition("subtitles-0"),
        language: None,
        name: "Subtitles".into(),
        is_forced: false,
        is_sdh: false,
        is_default: false,
        timescale: Timescale::MILLISECONDS,
        segments: vec![],
    }];
    for _ in 0..2 {
        world.catalog.put_images(&job, &images, at(1)).await.unwrap();
        world.catalog.put_subtitles(&job, &subtitles, at(1)).await.unwrap();
    }
    assert_eq!(world.catalog.images(asset, GENERATION).await.unwrap(), Some(images.clone()));
    assert_eq!(world.catalog.subtitles(asset, GENERATION).await.unwrap(), subtitles);
    world.catalog.settle_part(&job, world.job_id(), at(2)).await.unwrap();
    let lost = world.catalog.put_images(&job, &images, at(3)).await;
    assert!(matches!(lost, Err(CatalogError::LostLease { .. })), "{lost:?}");
}

pub(crate) async fn loudness_reads_back_and_belongs_to_a_generation(world: World) {
    let asset = world.processing().await;
    let job = world.claim(false, at(0)).await.expect("audio");
    assert_eq!(world.catalog.loudness(asset, GENERATION).await.unwrap(), None);
    let loudness = [Loudness {
        stream_index: 1,
        integrated_lufs: Hundredths::new(-16.23),
        range_lu: Hundredths::ZERO,
        true_peak_dbtp: None,
    }];
    for measured in [&[][..], &loudness] {
        world.catalog.put_loudness(&job, measured, at(1)).await.unwrap();
        assert_eq!(world.catalog.loudness(asset, GENERATION).await.unwrap().as_deref(), Some(measured));
    }
    let output = world.catalog.output(asset, GENERATION).await.unwrap().expect("a plan");
    assert_eq!(output.loudness, loudness);
    world.catalog.settle_part(&job, world.job_id(), at(2)).await.unwrap();
    let lost = world.catalog.put_loudness(&job, &loudness, at(3)).await;
    assert!(matches!(lost, Err(CatalogError::LostLease { .. })), "{lost:?}");
}

pub(crate) async fn pages_of_assets_are_newest_first_and_without_gaps(world: World) {
    let mut made = vec![];
    for _ in 0..7 {
        made.push(world.received().await);
    }
    made.reverse();
    let mut seen = vec![];
    let mut after = None;
    for _ in 0..4 {
        let page = world.catalog.assets(after, 2).await.unwrap();
        after = page.last().map(|asset| asset.id);
        seen.extend(page.into_iter().map(|asset| asset.id));
    }
    assert_eq!(seen, made);
}

pub(crate) async fn pictures_that_are_taken_last_wait_for_every_other_part(world: World) {
    let asset = world.received().await;
    let probe_job = world.claim_in(JobLane::Urgent, at(0)).await.expect("the probe");
    let mut parts = world.parts();
    for (_, spec) in &mut parts {
        if let JobSpec::Images { is_last, .. } = spec {
            *is_last = true;
        }
    }
    world.catalog.settle_probe(&probe_job, &probe(), GENERATION, &plan(), &parts, at(0)).await.unwrap();
    for heavy in [true, true, false] {
        let job = world.claim(heavy, at(1)).await.expect("a part");
        assert_ne!(job.spec.kind(), JobKind::Images);
        assert!(heavy || world.claim(false, at(1)).await.is_none(), "pictures came before the last part was there");
        world.catalog.settle_part(&job, world.job_id(), at(1)).await.unwrap();
    }
    let images = world.claim(false, at(2)).await.expect("the pictures");
    assert_eq!((images.asset, images.spec.kind()), (asset, JobKind::Images));
    world.catalog.settle_part(&images, world.job_id(), at(2)).await.unwrap();
    assert_eq!(world.claim(false, at(3)).await.expect("a job").spec, JobSpec::Publish { generation: GENERATION });
}

pub(crate) async fn the_tallies_of_all_chunks_add_up(world: World) {
    let asset = world.processing().await;
    assert_eq!(world.catalog.tally(asset, GENERATION).await.unwrap(), Tally::default());
    for bad in [0, 7] {
        let chunk = world.claim(true, at(1)).await.expect("a chunk");
        let tally = Tally { good: 100, bad, repeated: 1 };
        world.catalog.add_tally(&chunk, tally, at(2)).await.unwrap();
        world.catalog.settle_part(&chunk, world.job_id(), at(3)).await.unwrap();
        let late = world.catalog.add_tally(&chunk, tally, at(4)).await;
        assert!(matches!(late, Err(CatalogError::LostLease { .. })), "{late:?}");
    }
    let expected = Tally { good: 200, bad: 7, repeated: 2 };
    assert_eq!(world.catalog.tally(asset, GENERATION).await.unwrap(), expected);
}

pub(crate) async fn a_catalogue_opened_to_read_sees_what_is_committed_and_writes_nothing(world: World) {
    let reader = Catalog::open_to_read(&world.url).await.unwrap();
    let asset = world.received().await;
    assert_eq!(reader.asset(asset).await.unwrap().unwrap().state, AssetState::Received);
    let refused = reader.delete_asset(asset, world.job_id(), at(1)).await;
    assert!(matches!(refused, Err(CatalogError::Statement(_))), "{refused:?}");
    assert_eq!(world.catalog.asset(asset).await.unwrap().unwrap().state, AssetState::Received);
    reader.close().await;
}

#[tokio::test]
async fn a_database_of_another_schema_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("catalog.db");
    let url = format!("sqlite://{}", file.display());
    assert!(matches!(Catalog::open_to_read(&url).await, Err(CatalogError::Open(_))), "there is none");
    assert!(!file.exists());
    // A database, but without a schema.
    Catalog::open(&url).await.unwrap().close().await;
    assert!(Catalog::open_to_read(&url).await.is_err());
}
