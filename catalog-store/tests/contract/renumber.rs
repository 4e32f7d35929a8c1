//! A database that was put back from a copy: no number is given again, and what plays is published again.

use catalog_store::{AheadJobs, NewUpload, Reprocess, ReprocessJobs, Target};
use domain::{AssetState, Generation, JobSpec, JobState, SourceId, SourceVersion};

use crate::harness::{GENERATION, World, at};

/// The number with which all go on at `at(0)` and later: seconds since 2026.
const FIRST: u32 = 32_774_400;

impl World {
    async fn renumber(&self, ms: i64) -> catalog_store::Renumbered {
        let mint = || self.job_id();
        self.catalog.renumber(mint, at(ms)).await.unwrap()
    }
}

pub(crate) async fn what_is_numbered_after_a_restore_never_had_its_number_before(world: World) {
    let asset = world.ready().await;
    let before = world.catalog.asset(asset).await.unwrap().expect("it");
    let last = world.catalog.last_event().await.unwrap();
    assert_eq!((before.generation_taken, before.turn), (GENERATION, 0));
    let done = world.renumber(100).await;
    assert_eq!((done.published, done.begun), (1, 0));
    let after = world.catalog.asset(asset).await.unwrap().expect("it");
    assert_eq!((after.generation, after.state), (before.generation, before.state), "what plays stays");
    assert_eq!((after.version, after.updated_at), (before.version, before.updated_at), "nobody has changed it");
    assert_eq!((after.generation_taken, after.turn), (Generation(FIRST), FIRST));
    // It is published from what the catalogue says.
    let texts = world.claim(false, at(101)).await.expect("it is published");
    assert_eq!((texts.asset, &texts.spec), (asset, &JobSpec::Texts { generation: GENERATION }));
    assert_eq!(world.catalog.take_revision(&texts, at(102)).await.unwrap(), FIRST + 1);
    world.catalog.settle_texts(&texts, at(102)).await.unwrap();
    let jobs = ReprocessJobs { plan: world.job_id(), retire: world.job_id() };
    let begun = world.catalog.reprocess(asset, None, jobs, at(103)).await.unwrap();
    assert_eq!(begun, Reprocess::Begun(Generation(FIRST + 1)));
    assert!(world.catalog.last_event().await.unwrap() > u64::from(FIRST));
    let told = world.catalog.events_after(last, 10).await.unwrap();
    assert!(told.iter().all(|event| event.seq > u64::from(FIRST)) && !told.is_empty(), "{told:?}");
    // Another copy, put back later, never meets what was given since; the same second goes on too.
    let again = world.catalog.asset(asset).await.unwrap().expect("it");
    world.renumber(104).await;
    let later = world.catalog.asset(asset).await.unwrap().expect("it");
    assert!(later.generation_taken > again.generation_taken && later.turn > again.turn);
    world.renumber(60_000).await;
    let later = world.catalog.asset(asset).await.unwrap().expect("it");
    assert_eq!(later.turn, FIRST + 60);
    assert!(world.is_sound().await);
    let early = domain::Timestamp::from_unix_ms(1_000);
    let refused = world.catalog.renumber(|| world.job_id(), early).await;
    assert!(matches!(refused, Err(catalog_store::CatalogError::Clock(_))), "{refused:?}");
}

pub(crate) async fn what_was_made_beside_the_one_in_force_is_begun_anew_after_a_restore(world: World) {
    let asset = world.ready().await;
    let whole = world.new_upload(Some(500));
    let playback = world.catalog.asset(asset).await.unwrap().expect("it").playback;
    // Under the next number there is something that the catalogue does not know of.
    let least = SourceId { asset, version: SourceVersion(3) };
    let new = NewUpload { target: Some(Target::version_from(least, playback)), now: at(20), ..whole };
    world.catalog.create_upload(&new).await.unwrap();
    let target = world.catalog.upload(new.id).await.unwrap().expect("it").target.expect("a source");
    assert_eq!(target.source(), least);
    world.catalog.finish_upload(new.id, 500, (world.job_id(), world.job_id()), at(21)).await.unwrap();
    let planning = world.claim(false, at(22)).await.expect("the planning");
    world.settle_next(&planning).await;
    let old = planning.spec.generation().expect("it has one");
    let done = world.renumber(100).await;
    assert_eq!((done.published, done.begun), (1, 1));
    let row = world.catalog.asset(asset).await.unwrap().expect("it");
    let next = row.next_generation.expect("it is made");
    assert_eq!((row.state, row.generation, next), (AssetState::Ready, Some(GENERATION), Generation(FIRST + 1)));
    assert_eq!(world.catalog.source_of(asset, Some(next)).await.unwrap(), least, "of the same source");
    let jobs = world.catalog.jobs_of(asset).await.unwrap();
    let left: Vec<JobSpec> = jobs.into_iter().filter(|job| job.state == JobState::Queued).map(|job| job.spec).collect();
    let expected = [
        JobSpec::Texts { generation: GENERATION },
        JobSpec::Retire { generation: old },
        JobSpec::Reprocess { generation: next },
    ];
    assert!(left.len() == 3 && expected.iter().all(|spec| left.contains(spec)), "{left:?}");
    assert!(world.is_sound().await);
}

pub(crate) async fn what_nobody_plays_yet_is_numbered_anew_but_not_published(world: World) {
    let upload = world.new_upload(Some(1000));
    world.catalog.create_upload(&upload).await.unwrap();
    let jobs = AheadJobs { plan: world.job_id(), remove: world.job_id() };
    assert!(world.catalog.begin_ahead(upload.id, 10, jobs, at(1)).await.unwrap());
    let done = world.renumber(100).await;
    assert_eq!((done.published, done.begun), (0, 0));
    let asset = upload.target.expect("an asset").asset;
    let planned = world.catalog.jobs_of(asset).await.unwrap();
    assert!(planned.iter().all(|job| job.state == JobState::Failed), "it would have an old number: {planned:?}");
    let row = world.catalog.asset(asset).await.unwrap().expect("it");
    assert_eq!((row.state, row.generation_taken), (AssetState::Uploading, Generation(FIRST)));
    assert!(world.is_sound().await);
}
