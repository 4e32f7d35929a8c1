//! What readers are told.

use crate::harness::{World, at, segment};

pub(crate) async fn every_change_of_state_is_told_in_order(world: World) {
    let asset = world.processing().await;
    world.catalog.mark_playable(asset, at(1)).await.unwrap();
    world.settle_all_parts(at(2)).await;
    let publish = world.claim(false, at(3)).await.expect("publish");
    world.catalog.settle_publish(&publish, at(4)).await.unwrap();
    world.catalog.delete_asset(asset, world.job_id(), at(5)).await.unwrap();
    let told: Vec<String> = world.topics(asset).await.into_iter().filter(|topic| topic != "asset.progress").collect();
    assert_eq!(
        told,
        [
            "asset.uploading",
            "asset.received",
            "asset.probed",
            "asset.processing",
            "asset.playable",
            "asset.ready",
            "asset.deleted"
        ]
    );
    let events = world.catalog.events_after(0, 1000).await.unwrap();
    let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
    assert_eq!(world.catalog.last_event().await.unwrap(), events.len() as u64);
    assert_eq!(events[0].data["state"], "uploading");
    assert_eq!(world.catalog.events_after(3, 2).await.unwrap(), events[3..5]);
}

pub(crate) async fn progress_is_told_at_most_twice_a_second(world: World) {
    let asset = world.processing().await;
    let job = world.claim(true, at(0)).await.expect("a chunk");
    for index in 0..20 {
        let now = at(i64::from(index) * 50);
        world.catalog.insert_segment(&job, &segment(asset, "360p", index), now).await.unwrap();
    }
    let events = world.catalog.events_of(asset, 0, 1000).await.unwrap();
    let done: Vec<_> = events
        .iter()
        .filter(|event| event.topic == "asset.progress")
        .map(|event| (event.data["segments_done"].as_u64(), event.data["segments_total"].as_u64()))
        .collect();
    assert_eq!(done, [(Some(1), Some(21)), (Some(11), Some(21))]);
}

pub(crate) async fn a_waiting_reader_is_woken_by_a_commit(world: World) {
    let mut changed = world.catalog.changed();
    changed.mark_unchanged();
    assert_eq!(world.claim(false, at(0)).await, None);
    assert!(!changed.has_changed().unwrap(), "an empty claim wakes nobody");
    world.received().await;
    assert!(changed.has_changed().unwrap());
}

pub(crate) async fn old_events_can_be_pruned(world: World) {
    let asset = world.received().await;
    world.catalog.delete_asset(asset, world.job_id(), at(100)).await.unwrap();
    assert_eq!(world.catalog.first_event().await.unwrap(), Some(1));
    assert_eq!(world.catalog.prune_events(at(50)).await.unwrap(), 2);
    assert_eq!(world.catalog.first_event().await.unwrap(), Some(3));
    assert_eq!(world.catalog.last_event().await.unwrap(), 3);
}
