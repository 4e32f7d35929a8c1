//! Owners, shares, and what somebody sees by them.

use catalog_store::{Asset, Audience, CatalogError, Filter, NewUpload, Order, Side};
use domain::authority::{Role, Standing};
use domain::{AssetId, Stage, UserId};

use crate::accounts::user;
use crate::harness::{World, at};

async fn uploaded(world: &World, owner: Option<UserId>) -> AssetId {
    let new = NewUpload { owner: owner.map(|owner| owner.to_string()), ..world.new_upload(Some(10)) };
    world.catalog.create_upload(&new).await.unwrap();
    new.target.expect("it has one").asset
}

/// The newest assets that somebody sees.
async fn listed(world: &World, name: &str, after: Option<AssetId>) -> Vec<Asset> {
    let after = after.map(|id| Side::After((String::new(), id)));
    world.catalog.list_assets(&Filter::default(), Order::Newest, Some(name), after, 10, at(5)).await.unwrap()
}

pub(crate) async fn an_asset_belongs_to_who_uploaded_it_and_can_be_shared(world: World) {
    let (ada, bob) = (user(&world, Role::Uploader).await, user(&world, Role::User).await);
    let asset = uploaded(&world, Some(ada)).await;
    assert_eq!(world.catalog.asset(asset).await.unwrap().expect("it").owner, Some(ada.to_string()));
    let standing = async |user: UserId| world.catalog.standing(asset, &user.to_string(), at(5)).await.unwrap();
    assert_eq!((standing(ada).await, standing(bob).await), (Standing::Owner, Standing::Stranger));
    for share in [Standing::Viewer, Standing::Editor] {
        world.catalog.share_asset(asset, (bob, share), "x", at(1)).await.unwrap();
        assert_eq!(standing(bob).await, share);
    }
    let shares = world.catalog.shares_of(asset).await.unwrap();
    assert_eq!((shares.len(), shares[0].user, shares[0].standing), (1, bob, Standing::Editor));
    assert!(world.catalog.unshare_asset(asset, bob, "x", at(2)).await.unwrap());
    assert!(!world.catalog.unshare_asset(asset, bob, "x", at(3)).await.unwrap());
    assert_eq!(standing(bob).await, Standing::Stranger);
    let unknown = world.catalog.share_asset(asset, (world.user_id(), Standing::Viewer), "x", at(4)).await;
    assert!(matches!(unknown, Err(CatalogError::NoUser(_))), "{unknown:?}");
    let nothing = AssetId::from_u128(u128::MAX - 1);
    let unknown = world.catalog.share_asset(nothing, (bob, Standing::Viewer), "x", at(4)).await;
    assert!(matches!(unknown, Err(CatalogError::NoAsset(_))), "{unknown:?}");
    assert_eq!(world.catalog.standing(nothing, &ada.to_string(), at(5)).await.unwrap(), Standing::Stranger);
}

pub(crate) async fn somebody_sees_what_is_theirs_or_shared_with_them(world: World) {
    let (ada, bob) = (user(&world, Role::Uploader).await, user(&world, Role::User).await);
    let (mine, shared, other) =
        (uploaded(&world, Some(bob)).await, uploaded(&world, Some(ada)).await, uploaded(&world, None).await);
    for _ in 0..2 {
        // The second time it is so already, and nobody hears of it.
        world.catalog.share_asset(shared, (bob, Standing::Viewer), "x", at(1)).await.unwrap();
    }
    let name = bob.to_string();
    let seen = listed(&world, &name, None).await;
    assert_eq!(seen.iter().map(|asset| asset.id).collect::<Vec<_>>(), [shared, mine], "newest first");
    let page = listed(&world, &name, Some(shared)).await;
    assert_eq!(page.iter().map(|asset| asset.id).collect::<Vec<_>>(), [mine]);
    let events = world.catalog.events_seen_by(&name, 0, 10, at(5)).await.unwrap();
    assert_eq!(events.iter().filter_map(|event| event.asset).collect::<Vec<_>>(), [mine, shared, shared]);
    assert_eq!((events[2].topic.as_str(), events[2].user), ("asset.shared", Some(bob)));
    assert!(world.catalog.events_seen_by(&name, events[2].seq, 10, at(5)).await.unwrap().is_empty());
    let all = world.catalog.assets(None, 10).await.unwrap();
    assert!(all.iter().any(|asset| asset.id == other));
    world.catalog.delete_asset(shared, world.job_id(), at(2)).await.unwrap();
    assert_eq!(listed(&world, &name, None).await.len(), 1);
}

pub(crate) async fn of_work_on_an_asset_those_hear_who_may_change_it(world: World) {
    let (ada, bob, eve) =
        (user(&world, Role::Uploader).await, user(&world, Role::User).await, user(&world, Role::User).await);
    let asset = uploaded(&world, Some(ada)).await;
    for (stage, note) in [(Stage::Draft, "oh"), (Stage::Submitted, "look"), (Stage::Published, "suspected fraud")] {
        world
            .catalog
            .set_stage(asset, (stage, false), (None, Some(note)), "test", world.job_id(), at(1))
            .await
            .unwrap();
    }
    world.catalog.share_asset(asset, (bob, Standing::Viewer), "x", at(2)).await.unwrap();
    world.catalog.share_asset(asset, (eve, Standing::Editor), "x", at(2)).await.unwrap();
    let heard = async |user: UserId| {
        let events = world.catalog.events_seen_by(&user.to_string(), 0, 100, at(5)).await.unwrap();
        let standing = world.catalog.standing(asset, &user.to_string(), at(5)).await.unwrap();
        for event in &events {
            assert!(event.user == Some(user) || Audience::of(&event.topic).has(standing), "{event:?}");
        }
        events.into_iter().map(|event| event.topic).collect::<Vec<_>>()
    };
    let stages = async |user| heard(user).await.iter().filter(|topic| *topic == "asset.stage_changed").count();
    assert_eq!((stages(ada).await, stages(eve).await, stages(bob).await), (3, 3, 0));
    assert_eq!(heard(bob).await.first().map(String::as_str), Some("asset.uploading"));
    assert!(heard(bob).await.contains(&"asset.shared".to_owned()));
    // A page is as long as it may be, whatever happened in between that is for others.
    assert_eq!(world.catalog.events_seen_by(&bob.to_string(), 0, 2, at(5)).await.unwrap().len(), 2);
}

pub(crate) async fn a_deleted_account_is_shared_with_no_more(world: World) {
    user(&world, Role::Admin).await;
    let bob = user(&world, Role::User).await;
    let asset = uploaded(&world, None).await;
    world.catalog.share_asset(asset, (bob, Standing::Viewer), "x", at(1)).await.unwrap();
    world.catalog.delete_user(bob, None, "x", at(2)).await.unwrap();
    assert_eq!(world.catalog.shares_of(asset).await.unwrap(), vec![]);
    let gone = world.catalog.share_asset(asset, (bob, Standing::Viewer), "x", at(3)).await;
    assert!(matches!(gone, Err(CatalogError::NoUser(_))), "{gone:?}");
}
