//! What is asked for under a name is done once.

use std::time::Duration;

use catalog_store::idempotency::{NAMES_MAX, marked};
use catalog_store::{CatalogError, Known, Mark, Named};

use crate::harness::{World, at};

const LOCK: Duration = Duration::from_secs(60);

fn named<'a>(hash: &'a str, fingerprint: &'a str) -> Named<'a> {
    Named { hash, principal: "ada", fingerprint }
}

async fn begun(world: &World, named: &Named<'_>, now: i64) -> Known {
    world.catalog.begin_named(named, LOCK, at(now)).await.unwrap()
}

async fn new(world: &World, named: &Named<'_>, now: i64) -> Mark {
    match begun(world, named, now).await {
        Known::New(mark) => mark,
        known => panic!("it is known: {known:?}"),
    }
}

pub(crate) async fn a_name_is_answered_as_the_first_time_and_good_for_one_thing(world: World) {
    let (one, other) = (named("k", "f"), named("k", "g"));
    let mark = new(&world, &one, 0).await;
    assert_eq!(begun(&world, &one, 1).await, Known::Running(at(60_000)));
    assert_eq!(begun(&world, &other, 1).await, Known::Other);
    let asset = marked(mark.clone(), world.received()).await;
    assert!(world.catalog.answer_named(&mark, "sealed").await.unwrap());
    assert_eq!(begun(&world, &one, 2).await, Known::Answered("sealed".into()));
    assert_eq!(begun(&world, &other, 2).await, Known::Other);
    assert!(world.catalog.asset(asset).await.unwrap().is_some());
    assert_eq!(world.catalog.prune_named(at(1)).await.unwrap(), 1);
    new(&world, &one, 3).await;
}

pub(crate) async fn what_was_killed_before_anything_was_done_is_done_by_whoever_asks_again(world: World) {
    let one = named("k", "f");
    let lost = new(&world, &one, 0).await;
    assert_eq!(begun(&world, &one, 59_999).await, Known::Running(at(60_000)));
    let mark = new(&world, &one, 60_000).await;
    // Whoever was only slow does nothing any more.
    let late = marked(lost.clone(), world.catalog.prune_events(at(0))).await;
    assert!(matches!(late, Err(CatalogError::LostName)), "{late:?}");
    assert!(!world.catalog.answer_named(&lost, "late").await.unwrap());
    assert!(!world.catalog.drop_named(&lost).await.unwrap());
    marked(mark.clone(), world.catalog.prune_events(at(0))).await.unwrap();
    assert!(world.catalog.answer_named(&mark, "first").await.unwrap());
    assert_eq!(begun(&world, &one, 60_001).await, Known::Answered("first".into()));
}

pub(crate) async fn what_was_killed_after_it_was_done_is_not_done_again(world: World) {
    let one = named("k", "f");
    let mark = new(&world, &one, 0).await;
    marked(mark.clone(), world.received()).await;
    assert_eq!(begun(&world, &one, 1).await, Known::Running(at(60_000)), "the answer may still come");
    assert_eq!(begun(&world, &one, 60_000).await, Known::Unanswered);
    assert!(!world.catalog.drop_named(&mark).await.unwrap(), "something was done");
    assert!(world.catalog.answer_named(&mark, "after all").await.unwrap());
    assert_eq!(begun(&world, &one, 60_001).await, Known::Answered("after all".into()));
}

pub(crate) async fn a_name_under_which_nothing_was_done_is_free_again(world: World) {
    let mark = new(&world, &named("k", "f"), 0).await;
    assert!(world.catalog.drop_named(&mark).await.unwrap());
    new(&world, &named("k", "another document"), 1).await;
}

pub(crate) async fn parallel_asks_under_one_name_do_it_once(world: World) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let catalog = world.another_process().await.catalog;
        tasks.spawn(async move { catalog.begin_named(&named("k", "f"), LOCK, at(0)).await.unwrap() });
    }
    let known = tasks.join_all().await;
    assert_eq!(known.iter().filter(|known| matches!(known, Known::New(_))).count(), 1, "{known:?}");
}

pub(crate) async fn so_many_names_of_somebody_are_remembered(world: World) {
    let more = 5;
    for nth in 0..NAMES_MAX + more {
        let hash = format!("k{nth}");
        let mark = new(&world, &named(&hash, "f"), nth.into()).await;
        world.catalog.answer_named(&mark, "sealed").await.unwrap();
    }
    let last = format!("k{}", NAMES_MAX + more - 1);
    assert_eq!(begun(&world, &named(&last, "f"), 9999).await, Known::Answered("sealed".into()));
    assert!(matches!(begun(&world, &named("k0", "f"), 9999).await, Known::New(_)));
}
