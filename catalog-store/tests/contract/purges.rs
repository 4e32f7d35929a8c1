//! What caches in front are told of, and by whom.

use std::time::Duration;

use catalog_store::{CatalogError, OutboxHold};
use domain::{AssetId, JobLane};

use crate::harness::{World, at};

const LEASE: Duration = Duration::from_secs(60);

fn hold<'a>(target: &'a str, holder: &'a str) -> OutboxHold<'a> {
    OutboxHold { reader: target, holder }
}

pub(crate) async fn a_new_target_is_told_of_what_comes_from_there_on(world: World) {
    world.received().await;
    let last = world.catalog.last_event().await.unwrap();
    assert!(last > 0);
    let one = world.catalog.hold_reader(hold("cdn", "a"), LEASE, at(0)).await.unwrap().unwrap();
    assert_eq!((one.seq, one.failures, one.failing_since, one.given_up), (last, 0, None, 0));
    world.received().await;
    let again = world.catalog.hold_reader(hold("cdn", "a"), LEASE, at(1)).await.unwrap().unwrap();
    assert_eq!(again, one, "what came is still to be told");
    let other = world.catalog.hold_reader(hold("edge", "a"), LEASE, at(1)).await.unwrap().unwrap();
    assert_eq!(other.seq, world.catalog.last_event().await.unwrap());
}

pub(crate) async fn one_process_tells_a_target_until_its_lease_runs_out(world: World) {
    let other = world.another_process().await;
    let (a, b) = (hold("cdn", "a"), hold("cdn", "b"));
    assert!(world.catalog.hold_reader(a, LEASE, at(0)).await.unwrap().is_some());
    assert_eq!(other.catalog.hold_reader(b, LEASE, at(1000)).await.unwrap(), None);
    // A process of the same name that was started anew takes it up at once.
    assert!(world.catalog.hold_reader(a, LEASE, at(2000)).await.unwrap().is_some());
    assert_eq!(other.catalog.hold_reader(b, LEASE, at(62_000)).await.unwrap(), None);
    assert!(other.catalog.hold_reader(b, LEASE, at(62_001)).await.unwrap().is_some());
    // Whoever has lost it changes nothing.
    assert!(!world.catalog.note_told(a, 900).await.unwrap());
    assert!(!world.catalog.note_untold(a, "away", at(70_000), at(63_000)).await.unwrap());
    assert!(!world.catalog.give_up_telling(a, 900).await.unwrap());
    assert_eq!(world.catalog.hold_reader(a, LEASE, at(64_000)).await.unwrap(), None);
    other.catalog.release_reader(b).await.unwrap();
    let back = world.catalog.hold_reader(a, LEASE, at(64_001)).await.unwrap().unwrap();
    assert_eq!((back.seq, back.failures), (0, 0));
}

pub(crate) async fn what_went_wrong_is_known_until_it_goes_well(world: World) {
    let cdn = hold("cdn", "a");
    world.catalog.hold_reader(cdn, LEASE, at(0)).await.unwrap();
    assert!(world.catalog.note_untold(cdn, "503", at(2000), at(1000)).await.unwrap());
    assert!(world.catalog.note_untold(cdn, "timed out", at(6000), at(2000)).await.unwrap());
    assert!(world.catalog.give_up_telling(cdn, 7).await.unwrap());
    let found = world.catalog.purge_targets().await.unwrap().remove(0);
    assert_eq!((found.name.as_str(), found.seq, found.failures, found.given_up), ("cdn", 7, 2, 1));
    assert_eq!((found.failing_since, found.retry_at), (Some(at(1000)), at(6000)));
    assert_eq!(found.error.as_deref(), Some("timed out"));
    assert!(world.catalog.note_told(cdn, 9).await.unwrap());
    assert!(!world.catalog.note_told(cdn, 8).await.unwrap(), "a place never goes back");
    let found = world.catalog.purge_targets().await.unwrap().remove(0);
    assert_eq!((found.seq, found.failures, found.failing_since, found.error), (9, 0, None, None));
    assert_eq!(found.given_up, 1);
}

pub(crate) async fn what_is_published_and_who_may_play_it_is_told_in_events(world: World) {
    let asset = world.processing().await;
    world.settle_all_parts(at(2)).await;
    let publish = world.claim_in(JobLane::Urgent, at(3)).await.expect("publish");
    world.catalog.tell_published(&publish, 4, at(4)).await.unwrap();
    world.catalog.tell_access_changed(asset, at(5)).await.unwrap();
    let events = world.catalog.events_of(asset, 0, 1000).await.unwrap();
    let [published, access] = &events[events.len() - 2..] else { panic!("{events:?}") };
    assert_eq!(published.topic, "asset.published");
    assert_eq!(published.data, serde_json::json!({ "generation": 1, "revision": 4 }));
    assert_eq!(access.topic, "asset.access_changed");
    let later = world.claim_in(JobLane::Urgent, at(3_600_000)).await.expect("the lease ran out");
    let late = world.catalog.tell_published(&publish, 5, at(3_600_001)).await;
    assert!(matches!(late, Err(CatalogError::LostLease { .. })), "{late:?}");
    assert_eq!(later.asset, asset);
    let nobody = world.catalog.tell_access_changed(AssetId::from_u128(99), at(6)).await;
    assert!(matches!(nobody, Err(CatalogError::NoAsset(_))), "{nobody:?}");
}
