//! The bin, and from when and until when assets are shown.

use catalog_store::{CatalogError, Filter, NewUpload, Order, Search};
use domain::authority::{Role, Standing};
use domain::search::Query;
use domain::{AssetId, Availability, ChannelId, JobKind, SourceVersion, Stage, UserId};

use crate::about::about;
use crate::accounts::user;
use crate::harness::{World, at};

async fn uploaded(world: &World, owner: UserId) -> AssetId {
    let new = NewUpload { owner: Some(owner.to_string()), ..world.new_upload(Some(10)) };
    world.catalog.create_upload(&new).await.unwrap();
    let asset = new.target.expect("it has one").asset;
    world.catalog.set_about(asset, 1, &about("dragon"), at(0)).await.unwrap();
    asset
}

/// How many assets somebody lists, finds and hears of, and how they stand to one.
async fn seen(world: &World, user: UserId, asset: AssetId, now: i64) -> (usize, usize, Standing) {
    let (name, filter, query) = (user.to_string(), Filter::default(), Query::parse("dragon"));
    let listed = world.catalog.list_assets(&filter, Order::Newest, Some(&name), None, 10, at(now)).await.unwrap();
    let search = Search { query: &query, is_forgiving: false, filter: &filter, seen_by: Some(&name), now: at(now) };
    let found = world.catalog.search(&search, None, 10).await.unwrap();
    let standing = world.catalog.standing(asset, &name, at(now)).await.unwrap();
    (listed.len(), found.hits.len(), standing)
}

pub(crate) async fn what_is_in_the_bin_is_neither_shown_nor_found_and_comes_out_as_it_was(world: World) {
    let (ada, bob) = (user(&world, Role::Uploader).await, user(&world, Role::User).await);
    let asset = uploaded(&world, ada).await;
    world.catalog.share_asset(asset, (bob, Standing::Viewer), "x", at(0)).await.unwrap();
    assert_eq!(seen(&world, bob, asset, 1).await, (1, 1, Standing::Viewer));
    let stale = world.catalog.bin_asset((asset, Some(7)), at(1000), "test", world.job_id(), at(1)).await;
    assert!(matches!(stale, Err(CatalogError::Changed { version: 2 })), "{stale:?}");
    assert_eq!(seen(&world, bob, asset, 1).await, (1, 1, Standing::Viewer));
    assert!(world.catalog.bin_asset((asset, Some(2)), at(1000), "test", world.job_id(), at(1)).await.unwrap());
    assert!(!world.catalog.bin_asset((asset, None), at(9000), "test", world.job_id(), at(2)).await.unwrap());
    assert_eq!(seen(&world, bob, asset, 3).await, (0, 0, Standing::Stranger));
    assert_eq!(seen(&world, ada, asset, 3).await, (0, 0, Standing::Owner));
    let binned = world.catalog.binned_assets(Some(&ada.to_string()), None, 10).await.unwrap();
    assert_eq!((binned.len(), binned[0].bin_until), (1, Some(at(1000))));
    assert!(binned[0].availability().is_withheld);
    assert!(world.catalog.binned_assets(Some(&bob.to_string()), None, 10).await.unwrap().is_empty());
    assert!(world.catalog.restore_asset(asset, "test", world.job_id(), at(4)).await.unwrap());
    assert!(!world.catalog.restore_asset(asset, "test", world.job_id(), at(5)).await.unwrap());
    assert_eq!(seen(&world, bob, asset, 6).await, (1, 1, Standing::Viewer));
    assert!(world.catalog.asset(asset).await.unwrap().expect("it").availability().is_always());
    let topics = world.topics(asset).await;
    let told: Vec<&str> = topics.iter().map(String::as_str).filter(|topic| *topic != "asset.updated").skip(1).collect();
    assert_eq!(
        told,
        ["asset.shared", "asset.binned", "asset.access_changed", "asset.restored", "asset.access_changed"]
    );
    let stale = world.catalog.delete_asset_at((asset, Some(7)), "test", world.job_id(), at(7)).await;
    assert!(matches!(stale, Err(CatalogError::Changed { version: 2 })), "{stale:?}");
    assert!(world.catalog.delete_asset_at((asset, Some(2)), "test", world.job_id(), at(7)).await.unwrap());
    let gone = world.catalog.bin_asset((asset, None), at(9), "test", world.job_id(), at(8)).await;
    assert!(matches!(gone, Err(CatalogError::NoAsset(_))), "{gone:?}");
}

pub(crate) async fn the_bin_is_emptied_when_its_time_is_over(world: World) {
    let (soon, late) = (world.processing().await, world.received().await);
    world.catalog.bin_asset((soon, None), at(100), "test", world.job_id(), at(1)).await.unwrap();
    world.catalog.bin_asset((late, None), at(200), "test", world.job_id(), at(1)).await.unwrap();
    let due = async |now| {
        let due = world.catalog.bins_due(10, at(now)).await.unwrap();
        due.into_iter().map(|asset| asset.id).collect::<Vec<_>>()
    };
    assert_eq!((due(99).await, due(100).await, due(200).await), (vec![], vec![soon], vec![soon, late]));
    world.catalog.delete_asset(soon, world.job_id(), at(100)).await.unwrap();
    assert_eq!(due(200).await, [late]);
    let jobs = world.catalog.binned_assets(None, None, 10).await.unwrap();
    assert_eq!(jobs.len(), 1, "what is deleted lies in no bin");
}

pub(crate) async fn the_clock_decides_what_is_shown(world: World) {
    let (ada, bob) = (user(&world, Role::Uploader).await, user(&world, Role::User).await);
    let asset = uploaded(&world, ada).await;
    world.catalog.share_asset(asset, (bob, Standing::Viewer), "x", at(0)).await.unwrap();
    world.catalog.set_window(asset, (Some(at(2000)), Some(at(4000))), "test", world.job_id(), at(1)).await.unwrap();
    for (now, expected) in [
        (1999, (0, 0, Standing::Stranger)),
        (2000, (1, 1, Standing::Viewer)),
        (3999, (1, 1, Standing::Viewer)),
        (4000, (0, 0, Standing::Stranger)),
    ] {
        assert_eq!(seen(&world, bob, asset, now).await, expected, "{now}");
        assert_eq!(seen(&world, ada, asset, now).await, (1, 1, Standing::Owner), "{now}");
    }
    let begin = at(0).unix_ms() / 1000;
    let window = Availability { is_withheld: false, from_s: Some(begin + 2), until_s: Some(begin + 4) };
    assert_eq!(world.catalog.asset(asset).await.unwrap().expect("it").availability(), window);
    world.catalog.share_asset(asset, (bob, Standing::Editor), "x", at(5)).await.unwrap();
    assert_eq!(seen(&world, bob, asset, 1).await, (1, 1, Standing::Editor), "who may change it sees it");
    // Of what is published already, a job writes the pointer.
    let published = world.processing().await;
    world.settle_all_parts(at(6)).await;
    let publish = world.claim(false, at(6)).await.expect("the publication");
    world.catalog.settle_publish(&publish, at(6)).await.unwrap();
    world.catalog.set_window(published, (Some(at(9000)), None), "test", world.job_id(), at(7)).await.unwrap();
    let job = world.claim(false, at(7)).await.expect("a job");
    assert_eq!((job.asset, job.spec.kind()), (published, JobKind::Texts));
}

pub(crate) async fn caches_are_told_once_that_a_time_has_come_or_is_over(world: World) {
    let asset = world.received().await;
    world.catalog.set_window(asset, (Some(at(100)), Some(at(200))), "test", world.job_id(), at(1)).await.unwrap();
    let told = async |now| world.catalog.tell_windows(10, at(0), at(now)).await.unwrap();
    assert_eq!((told(99).await, told(100).await, told(150).await), (0, 1, 0));
    assert_eq!((told(250).await, told(300).await), (1, 0));
    let topics = world.topics(asset).await;
    let last: Vec<&str> = topics[topics.len() - 4..].iter().map(String::as_str).collect();
    assert_eq!(last, ["asset.opened", "asset.access_changed", "asset.expired", "asset.access_changed"]);
    world.catalog.set_window(asset, (None, Some(at(250))), "test", world.job_id(), at(400)).await.unwrap();
    assert_eq!(told(500).await, 0, "what is over when it is set was told then");
}

pub(crate) async fn a_time_that_came_and_was_over_between_two_looks_is_told_as_both(world: World) {
    let asset = world.received().await;
    world.catalog.set_window(asset, (Some(at(100)), Some(at(200))), "test", world.job_id(), at(1)).await.unwrap();
    let seq = world.catalog.last_event().await.unwrap();
    assert_eq!(world.catalog.tell_windows(10, at(200), at(300)).await.unwrap(), 0, "a look that begins behind it");
    assert_eq!(world.catalog.tell_windows(10, at(150), at(300)).await.unwrap(), 1);
    let events = world.catalog.events_of(asset, seq, 10).await.unwrap();
    let topics: Vec<&str> = events.iter().map(|event| event.topic.as_str()).collect();
    assert_eq!(topics, ["asset.opened", "asset.expired", "asset.access_changed"]);
    assert_eq!(world.catalog.tell_windows(10, at(0), at(300)).await.unwrap(), 0, "once");
}

pub(crate) async fn what_is_not_published_is_shown_to_its_owner_and_editors_only(world: World) {
    world.catalog.set_first_stage(Stage::Draft).await.unwrap();
    let (ada, bob) = (user(&world, Role::Uploader).await, user(&world, Role::User).await);
    let asset = uploaded(&world, ada).await;
    world.catalog.share_asset(asset, (bob, Standing::Viewer), "x", at(0)).await.unwrap();
    let channel = ChannelId::from_u128(1);
    world.catalog.create_channel((channel, "one"), ("Name", ""), None, at(0)).await.unwrap();
    let carol = user(&world, Role::User).await;
    let put = async |stage, has_review| {
        world.catalog.set_stage(asset, (stage, has_review), (None, Some("note")), "test", world.job_id(), at(1)).await
    };
    assert_eq!(seen(&world, bob, asset, 1).await, (0, 0, Standing::Stranger));
    assert_eq!(seen(&world, ada, asset, 1).await, (1, 1, Standing::Owner));
    let refused = put(Stage::Published, true).await;
    assert!(
        matches!(&refused, Err(CatalogError::Stage(illegal)) if illegal.allowed == [Stage::Submitted]),
        "{refused:?}"
    );
    assert_eq!(put(Stage::Submitted, true).await.unwrap(), Stage::Draft);
    let waiting =
        async |name: Option<String>| world.catalog.assets_to_review(name.as_deref(), None, 10).await.unwrap().len();
    assert_eq!((waiting(None).await, waiting(Some(bob.to_string())).await), (1, 0));
    let other = Some(SourceVersion::SECOND);
    let unseen =
        world.catalog.set_stage(asset, (Stage::Approved, true), (other, None), "test", world.job_id(), at(1)).await;
    assert!(matches!(unseen, Err(CatalogError::OtherSource(SourceVersion::FIRST))), "{unseen:?}");
    put(Stage::Approved, true).await.unwrap();
    assert!(world.catalog.asset(asset).await.unwrap().expect("it").availability().is_withheld);
    put(Stage::Published, true).await.unwrap();
    assert_eq!(seen(&world, bob, asset, 1).await, (1, 1, Standing::Viewer));
    world.catalog.set_channel(asset, Some(channel), "test", at(2)).await.unwrap();
    assert_eq!(seen(&world, carol, asset, 2).await, (1, 1, Standing::Viewer));
    assert_eq!(world.catalog.assets_of_channel(channel, None, 10, at(2)).await.unwrap().len(), 1);
    put(Stage::Unlisted, true).await.unwrap();
    assert_eq!(seen(&world, bob, asset, 2).await, (1, 1, Standing::Viewer), "it is shared with them");
    assert_eq!(seen(&world, carol, asset, 2).await, (0, 0, Standing::Viewer), "who knows of it");
    assert!(world.catalog.assets_of_channel(channel, None, 10, at(2)).await.unwrap().is_empty());
    put(Stage::Archived, true).await.unwrap();
    assert_eq!(seen(&world, carol, asset, 2).await, (0, 0, Standing::Stranger));
    let found = world.catalog.asset(asset).await.unwrap().expect("it");
    assert_eq!((found.stage, found.stage_note.as_deref()), (Stage::Archived, Some("note")));
    assert!(world.topics(asset).await.iter().any(|topic| topic == "asset.stage_changed"));
    world.catalog.set_first_stage(Stage::Published).await.unwrap();
    let next = uploaded(&world, ada).await;
    assert_eq!(world.catalog.asset(next).await.unwrap().expect("it").stage, Stage::Published);
}
