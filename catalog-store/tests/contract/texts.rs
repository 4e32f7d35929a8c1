//! Texts and chapters that are added, and which document is in force.

use std::collections::BTreeMap;

use catalog_store::{CatalogError, Edition, LeasedJob, NewText, Replaced, Text, TextFlags};
use domain::markers::{Marker, MarkerValue};
use domain::presentation::{Images, SubtitleRendition};
use domain::probe::Chapter;
use domain::text::{COUNT_MAX, Report, State};
use domain::{
    AssetId, AssetState, Failure, FailureCode, JobKind, JobSpec, JobState, Language, MediaTime, PictureId,
    PosterChoice, RenditionId, Resolution, SourceVersion, TextId, Timescale,
};

use crate::harness::{GENERATION, World, at};

/// What is in force once one wish was made after the planning.
const PLANNED: Edition = Edition { revision: 0, is_complete: false, wishes: 1 };

fn new(asset: AssetId, number: u128) -> NewText {
    NewText {
        id: TextId::from_u128(number),
        asset,
        language: Language::from_code("ger"),
        name: Some("Deutsch".into()),
        charset: None,
        is_forced: false,
        is_default: true,
        is_sdh: false,
        replaces: None,
    }
}

async fn add(world: &World, asset: AssetId, number: u128) -> TextId {
    let new = new(asset, number);
    world.catalog.add_text(&new, world.job_id(), at(1)).await.unwrap();
    new.id
}

/// The jobs that publish texts.
async fn jobs(world: &World, asset: AssetId) -> Vec<JobState> {
    let jobs = world.catalog.jobs_of(asset).await.unwrap().into_iter();
    jobs.filter(|job| job.spec.kind() == JobKind::Texts).map(|job| job.state).collect()
}

/// Claims light jobs until it is the one that publishes texts.
async fn claim(world: &World) -> LeasedJob {
    let job = world.claim(false, at(2)).await.expect("a job");
    assert_eq!(job.spec, JobSpec::Texts { generation: GENERATION }, "it is the most urgent one");
    job
}

fn rendition(id: TextId) -> SubtitleRendition {
    SubtitleRendition {
        id: id.rendition(),
        language: None,
        name: "Deutsch".into(),
        is_forced: false,
        is_sdh: false,
        is_default: true,
        timescale: Timescale::MILLISECONDS,
        segments: vec![],
    }
}

async fn texts(world: &World, asset: AssetId) -> Vec<Text> {
    world.catalog.texts(asset).await.unwrap()
}

pub(crate) async fn a_text_waits_for_the_first_publication_or_has_a_job_of_its_own(world: World) {
    let early = world.received().await;
    let id = add(&world, early, 1).await;
    assert!(jobs(&world, early).await.is_empty(), "nothing is planned");
    let text = world.catalog.text(early, id).await.unwrap().expect("it");
    assert_eq!((text.state, text.report, text.cut, text.created_at), (State::Waiting, None, None, at(1)));
    assert_eq!((text.language.as_ref().map(Language::tag), text.name.as_deref()), (Some("de"), Some("Deutsch")));
    assert!(text.is_default && !text.is_forced && !text.is_removed);

    let probe = world.claim(false, at(0)).await.expect("the probe");
    world.settle_probe(&probe, at(1)).await;
    add(&world, early, 2).await;
    assert_eq!(jobs(&world, early).await, [JobState::Queued]);
    assert_eq!(texts(&world, early).await.len(), 2);
    assert_eq!(world.topics(early).await.last().map(String::as_str), Some("asset.updated"));
}

pub(crate) async fn several_wishes_wait_in_one_job(world: World) {
    let asset = world.processing().await;
    let id = add(&world, asset, 1).await;
    add(&world, asset, 2).await;
    world.catalog.set_chapters(asset, Some(&[]), world.job_id(), at(1)).await.unwrap();
    world.catalog.remove_text((asset, id), None, world.job_id(), at(1)).await.unwrap();
    assert_eq!(jobs(&world, asset).await, [JobState::Queued]);
    // One that runs may have read the wishes already.
    let job = claim(&world).await;
    add(&world, asset, 3).await;
    assert_eq!(jobs(&world, asset).await, [JobState::Running, JobState::Queued]);
    // One that was to wait for its next try need not.
    world.catalog.retry(&job, "the store is away", at(60_000), at(3)).await.unwrap();
    add(&world, asset, 4).await;
    assert_eq!(jobs(&world, asset).await, [JobState::Queued, JobState::Queued]);
    assert_eq!(claim(&world).await.id, job.id);
}

pub(crate) async fn what_became_of_a_text_reads_back(world: World) {
    let asset = world.processing().await;
    let (good, bad) = (add(&world, asset, 1).await, add(&world, asset, 2).await);
    let job = claim(&world).await;
    let mut report = Report { cues: 7, charset: Some("UTF-8".into()), ..Report::default() };
    report.drop_cue(3, "no time");
    let none = Report { reason: Some("no cues".into()), ..Report::default() };
    for _ in 0..2 {
        world.catalog.put_text(&job, good, &report, Some(&rendition(good)), at(3)).await.unwrap();
        world.catalog.put_text(&job, bad, &none, None, at(3)).await.unwrap();
    }
    let found = texts(&world, asset).await;
    assert_eq!((found[0].state, found[0].report.as_ref()), (State::Ready, Some(&report)));
    assert_eq!(found[0].cut, Some((GENERATION, rendition(good))));
    assert_eq!((found[1].state, found[1].report.as_ref(), &found[1].cut), (State::Unusable, Some(&none), &None));
}

pub(crate) async fn a_removed_text_is_forgotten_once_its_objects_are_gone(world: World) {
    let asset = world.processing().await;
    let id = add(&world, asset, 1).await;
    let stale = world.catalog.remove_text((asset, id), Some(2), world.job_id(), at(2)).await;
    assert!(matches!(stale, Err(CatalogError::Changed { version: 1 })), "{stale:?}");
    assert!(world.catalog.text(asset, id).await.unwrap().is_some());
    assert!(world.catalog.remove_text((asset, id), Some(1), world.job_id(), at(2)).await.unwrap());
    assert!(!world.catalog.remove_text((asset, id), None, world.job_id(), at(2)).await.unwrap());
    assert_eq!(world.catalog.text(asset, id).await.unwrap(), None);
    assert!(texts(&world, asset).await[0].is_removed, "its objects are still to be removed");
    let job = claim(&world).await;
    world.catalog.forget_text(&job, id, at(3)).await.unwrap();
    assert!(texts(&world, asset).await.is_empty());
    // What was not removed is never forgotten.
    let other = add(&world, asset, 2).await;
    world.catalog.forget_text(&job, other, at(3)).await.unwrap();
    assert_eq!(texts(&world, asset).await.len(), 1);
}

pub(crate) async fn what_is_said_of_a_text_is_changed_at_the_version_that_was_read(world: World) {
    let asset = world.processing().await;
    let id = add(&world, asset, 1).await;
    let job = claim(&world).await;
    let report = Report { cues: 1, charset: Some("windows-1252".into()), ..Report::default() };
    world.catalog.put_text(&job, id, &report, Some(&rendition(id)), at(3)).await.unwrap();
    world.catalog.settle_texts(&job, at(3)).await.unwrap();
    let said =
        TextFlags { language: Language::from_code("fr"), name: None, is_forced: true, is_default: false, is_sdh: true };
    let changed = world.catalog.change_text((asset, id), 1, &said, world.job_id(), at(4)).await.unwrap().expect("it");
    assert_eq!(
        (changed.version, changed.language.as_ref().map(Language::tag), changed.name.as_deref()),
        (2, Some("fr"), None)
    );
    assert!(changed.is_forced && !changed.is_default && changed.is_sdh);
    assert_eq!(changed.charset.as_deref(), Some("windows-1252"), "the one that it was read in stays");
    assert_eq!(
        (changed.state, changed.cut),
        (State::Ready, Some((GENERATION, rendition(id)))),
        "and what was made of it"
    );
    assert_eq!(jobs(&world, asset).await.last(), Some(&JobState::Queued), "it is published");
    let stale = world.catalog.change_text((asset, id), 1, &said, world.job_id(), at(5)).await;
    assert!(matches!(stale, Err(CatalogError::Changed { version: 2 })), "{stale:?}");
    let unknown = (asset, TextId::from_u128(99));
    assert_eq!(world.catalog.change_text(unknown, 1, &said, world.job_id(), at(5)).await.unwrap(), None);
}

pub(crate) async fn an_edit_takes_the_place_of_what_was_edited_once(world: World) {
    let asset = world.processing().await;
    let old = add(&world, asset, 1).await;
    let replace = async |number, edited, replaces| {
        let new = NewText { replaces, ..new(asset, number) };
        world.catalog.replace_text(&new, edited, world.job_id(), at(4)).await.unwrap()
    };
    assert!(replace(2, Some(old), None).await);
    assert!(!replace(3, Some(old), None).await, "it is taken back by now");
    let living = || async {
        let all = texts(&world, asset).await.into_iter().filter(|text| !text.is_removed);
        all.map(|text| text.id).collect::<Vec<_>>()
    };
    assert_eq!(living().await, [TextId::from_u128(2)]);
    let track = Replaced { version: SourceVersion::FIRST, rendition: RenditionId::new("text-0-fr").unwrap() };
    assert!(replace(4, None, Some(track.clone())).await);
    assert!(!replace(5, None, Some(track.clone())).await, "it is replaced by now");
    let other = Replaced { version: SourceVersion(2), ..track.clone() };
    assert!(replace(6, None, Some(other)).await, "a track of another source is another");
    let edit = world.catalog.text(asset, TextId::from_u128(4)).await.unwrap().expect("it");
    assert_eq!(edit.replaces, Some(track.clone()));
    assert!(replace(7, Some(edit.id), Some(track.clone())).await);
    assert!(world.catalog.remove_text((asset, TextId::from_u128(7)), None, world.job_id(), at(5)).await.unwrap());
    assert!(replace(8, None, Some(track)).await, "the track itself is there again");
    assert!(world.is_sound().await);
}

pub(crate) async fn a_failed_or_deleted_asset_takes_no_text(world: World) {
    let failed = world.received().await;
    let probe = world.claim(false, at(0)).await.expect("the probe");
    world.catalog.fail(&probe, &Failure::new(FailureCode::NoMedia, "no"), at(1)).await.unwrap();
    let refused = world.catalog.add_text(&new(failed, 1), world.job_id(), at(2)).await;
    assert!(matches!(refused, Err(CatalogError::AssetFailed(_))), "{refused:?}");

    let deleted = world.received().await;
    add(&world, deleted, 1).await;
    world.catalog.delete_asset(deleted, world.job_id(), at(1)).await.unwrap();
    let refused = world.catalog.add_text(&new(deleted, 2), world.job_id(), at(2)).await;
    assert!(matches!(refused, Err(CatalogError::NoAsset(_))), "{refused:?}");
    let refused = world.catalog.set_chapters(deleted, None, world.job_id(), at(2)).await;
    assert!(matches!(refused, Err(CatalogError::NoAsset(_))), "{refused:?}");
    let purge = world.claim(false, at(2)).await.expect("the purge");
    world.catalog.settle_purge(&purge, at(3)).await.unwrap();
    assert!(texts(&world, deleted).await.is_empty());
}

pub(crate) async fn an_asset_has_only_so_many_texts(world: World) {
    let asset = world.received().await;
    for number in 0..COUNT_MAX {
        add(&world, asset, number as u128).await;
    }
    let refused = world.catalog.add_text(&new(asset, 1000), world.job_id(), at(2)).await;
    assert!(matches!(refused, Err(CatalogError::TooManyTexts(_))), "{refused:?}");
}

pub(crate) async fn chapters_are_set_replaced_and_given_back(world: World) {
    let asset = world.processing().await;
    let chapter = |title: &str| Chapter {
        start: MediaTime::zero(),
        end: MediaTime::new(1000, Timescale::MILLISECONDS),
        title: title.into(),
    };
    for set in [Some(vec![chapter("One")]), Some(vec![chapter("Two")]), Some(vec![]), None] {
        world.catalog.set_chapters(asset, set.as_deref(), world.job_id(), at(2)).await.unwrap();
        assert_eq!(world.catalog.asset(asset).await.unwrap().expect("it").chapters, set);
    }
    assert_eq!(jobs(&world, asset).await, [JobState::Queued]);
}

pub(crate) async fn markers_are_set_replaced_and_removed(world: World) {
    let asset = world.processing().await;
    let marker = |id: &str| Marker {
        id: id.into(),
        start: MediaTime::zero(),
        duration: None,
        class: None,
        attributes: BTreeMap::from([("X-A".to_owned(), MarkerValue::Text("\u{1f3ac}".into()))]),
    };
    assert_eq!(world.catalog.asset(asset).await.unwrap().expect("it").markers, []);
    for set in [vec![marker("one"), marker("two")], vec![marker("two")], vec![]] {
        world.catalog.set_markers(asset, &set, world.job_id(), at(2)).await.unwrap();
        assert_eq!(world.catalog.asset(asset).await.unwrap().expect("it").markers, set);
    }
    assert_eq!(jobs(&world, asset).await, [JobState::Queued]);
}

pub(crate) async fn the_youngest_choice_of_a_poster_counts_and_is_published(world: World) {
    let asset = world.processing().await;
    let poster = || async { world.catalog.asset(asset).await.unwrap().expect("it").poster };
    let choose =
        async |choice: PosterChoice| world.catalog.set_poster(asset, choice, world.job_id(), at(2)).await.unwrap();
    assert_eq!(poster().await, None);
    let (older, younger) = (PictureId::from_u128(7), PictureId::from_u128(8));
    let time = PosterChoice::Time { id: younger, at_ms: 1500 };
    assert!(choose(time).await);
    assert!(!choose(PosterChoice::Picture { id: older }).await, "what it would show may be removed already");
    assert!(!choose(PosterChoice::Scored { id: younger }).await);
    assert_eq!(poster().await, Some(time));
    let job = claim(&world).await;
    let images = images("poster-1500.jpg");
    world.catalog.set_images(&job, Some(&images), at(3)).await.unwrap();
    assert_eq!(world.catalog.images(asset, GENERATION).await.unwrap(), Some(images));
    world.catalog.set_images(&job, None, at(3)).await.unwrap();
    assert_eq!(world.catalog.images(asset, GENERATION).await.unwrap(), None);

    world.catalog.delete_asset(asset, world.job_id(), at(4)).await.unwrap();
    let gone =
        world.catalog.set_poster(asset, PosterChoice::Scored { id: PictureId::from_u128(9) }, world.job_id(), at(5));
    assert!(matches!(gone.await, Err(CatalogError::NoAsset(_))));
    let purge = world.claim(false, at(6)).await.expect("the purge");
    world.catalog.settle_purge(&purge, at(7)).await.unwrap();
    let left = world.catalog.asset(asset).await.unwrap();
    assert_eq!(left.and_then(|asset| asset.poster), None, "nothing is kept of it");
}

/// Pictures with this poster and nothing else.
fn images(poster: &str) -> Images {
    Images {
        poster: poster.into(),
        poster_resolution: Resolution { width: 16, height: 9 },
        thumbnails: vec![],
        storyboard: None,
        preview: None,
        blurhash: None,
        thumbhash: None,
        scored: None,
    }
}

pub(crate) async fn a_given_up_job_makes_texts_unusable_and_fails_no_asset(world: World) {
    let asset = world.processing().await;
    let (read, id) = (add(&world, asset, 1).await, add(&world, asset, 2).await);
    let job = claim(&world).await;
    world.catalog.put_text(&job, read, &Report::default(), Some(&rendition(read)), at(3)).await.unwrap();
    world.catalog.fail(&job, &Failure::new(FailureCode::Internal, "given up"), at(3)).await.unwrap();
    assert_eq!(world.catalog.asset(asset).await.unwrap().expect("it").state, AssetState::Processing);
    assert_eq!(jobs(&world, asset).await, [JobState::Failed]);
    let text = world.catalog.text(asset, id).await.unwrap().expect("it");
    assert_eq!(text.state, State::Unusable);
    assert_eq!(text.report.and_then(|report| report.reason).as_deref(), Some("given up"));
    assert_eq!(texts(&world, asset).await[0].state, State::Ready);
    assert!(world.claim(true, at(4)).await.is_some(), "the asset's own work goes on");
}

pub(crate) async fn texts_neither_hold_up_nor_hasten_the_publication(world: World) {
    let asset = world.processing().await;
    add(&world, asset, 1).await;
    let texts = claim(&world).await;
    world.settle_all_parts(at(3)).await;
    let publish = world.claim(false, at(4)).await.expect("publish");
    assert_eq!(publish.spec.kind(), JobKind::Publish, "the texts are not waited for");
    world.catalog.settle_publish(&publish, at(5)).await.unwrap();
    assert!(world.catalog.integrity().await.unwrap().is_sound(), "texts may run on a ready asset");
    world.catalog.settle_texts(&texts, at(6)).await.unwrap();
    assert_eq!(world.catalog.unfinished_job_count_of(asset).await.unwrap(), 0);
    assert_eq!(world.catalog.asset(asset).await.unwrap().expect("it").state, AssetState::Ready);
}

pub(crate) async fn a_document_is_put_in_force_only_in_place_of_what_it_was_made_from(world: World) {
    let asset = world.processing().await;
    add(&world, asset, 1).await;
    let job = claim(&world).await;
    assert_eq!(world.catalog.edition(asset, GENERATION).await.unwrap(), Some(PLANNED));
    let (first, second) = (
        world.catalog.take_revision(&job, at(3)).await.unwrap(),
        world.catalog.take_revision(&job, at(3)).await.unwrap(),
    );
    assert_eq!((first, second), (1, 2));
    assert!(world.catalog.put_in_force(&job, PLANNED, (second, true), at(4)).await.unwrap());
    let whole = Edition { revision: second, is_complete: true, ..PLANNED };
    assert_eq!(world.catalog.edition(asset, GENERATION).await.unwrap(), Some(whole));
    // The slower one was made from the plan: it would bring the plan back.
    assert!(!world.catalog.put_in_force(&job, PLANNED, (first, false), at(5)).await.unwrap());
    assert!(!world.catalog.put_in_force(&job, whole, (first, false), at(5)).await.unwrap(), "numbers only rise");
    // One that was built before another wish would leave that out.
    add(&world, asset, 2).await;
    let third = world.catalog.take_revision(&job, at(6)).await.unwrap();
    assert!(!world.catalog.put_in_force(&job, whole, (third, true), at(6)).await.unwrap());
    let wished = Edition { wishes: 2, ..whole };
    assert_eq!(world.catalog.edition(asset, GENERATION).await.unwrap(), Some(wished));
    assert!(world.catalog.put_in_force(&job, wished, (third, true), at(6)).await.unwrap());
    assert_eq!(world.catalog.edition(asset, domain::Generation(9)).await.unwrap(), None);
}

pub(crate) async fn a_lost_lease_publishes_nothing(world: World) {
    let asset = world.processing().await;
    let id = add(&world, asset, 1).await;
    let late = claim(&world).await;
    world.claim(false, at(20_000)).await.expect("the same job");
    let answers = [
        world.catalog.take_revision(&late, at(20_001)).await.map(|_| ()),
        world.catalog.put_in_force(&late, PLANNED, (1, true), at(20_001)).await.map(|_| ()),
        world.catalog.put_text(&late, id, &Report::default(), None, at(20_001)).await,
        world.catalog.settle_texts(&late, at(20_001)).await,
    ];
    for answer in answers {
        assert!(matches!(answer, Err(CatalogError::LostLease { .. })), "{answer:?}");
    }
    assert_eq!(world.catalog.edition(asset, GENERATION).await.unwrap(), Some(PLANNED));
    assert_eq!(texts(&world, asset).await[0].state, State::Waiting);
}

pub(crate) async fn a_failed_asset_publishes_nothing(world: World) {
    let asset = world.processing().await;
    add(&world, asset, 1).await;
    let job = claim(&world).await;
    let chunk = world.claim(true, at(3)).await.expect("a chunk");
    world.catalog.fail(&chunk, &Failure::new(FailureCode::Damaged, "no"), at(4)).await.unwrap();
    let refused = world.catalog.put_in_force(&job, PLANNED, (1, false), at(5)).await;
    assert!(matches!(refused, Err(CatalogError::NoAsset(_))), "{refused:?}");
}
