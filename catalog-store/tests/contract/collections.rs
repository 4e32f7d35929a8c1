//! Collections with what is in them, and channels with who follows them.

use catalog_store::{CatalogError, CollectionText, Filter, Member, NewUpload, Order, Side};
use domain::authority::{Role, Standing};
use domain::collection::{Kind, Visibility};
use domain::{AssetId, ChannelId, CollectionId, ItemId, UserId};

use crate::accounts::user;
use crate::harness::{World, at};

fn text(title: &str, visibility: Visibility) -> CollectionText {
    CollectionText { title: title.into(), description: String::new(), visibility }
}

async fn collection(world: &World, kind: Kind, owner: Option<UserId>) -> CollectionId {
    let id = world.collection_id();
    let owner = owner.map(|owner| owner.to_string());
    world
        .catalog
        .create_collection((id, kind), &text("x", Visibility::Private), owner.as_deref(), at(0))
        .await
        .unwrap();
    id
}

fn item(number: u128) -> ItemId {
    ItemId::from_u128(number)
}

async fn put(world: &World, collection: CollectionId, number: u128, asset: AssetId, position: Option<u64>) {
    let item = (item(number), Member::Asset(asset));
    world.catalog.put_item(collection, item, position, at(1)).await.unwrap();
}

/// The numbers of the items in order, and where they stand.
async fn order(world: &World, collection: CollectionId, seen_by: Option<&str>) -> Vec<(u64, ItemId)> {
    let items = world.catalog.items_of(collection, seen_by, None, 50, at(5)).await.unwrap();
    items.into_iter().map(|item| (item.position, item.id)).collect()
}

pub(crate) async fn items_stand_in_order_and_can_be_moved(world: World) {
    let list = collection(&world, Kind::Playlist, None).await;
    let mut assets = vec![];
    for number in 0..4 {
        let asset = world.received().await;
        put(&world, list, number, asset, None).await;
        assets.push(asset);
    }
    let stand = |numbers: [u128; 4]| (0..).zip(numbers.map(item)).collect::<Vec<(u64, ItemId)>>();
    assert_eq!(order(&world, list, None).await, stand([0, 1, 2, 3]));
    for (moved, to, expected) in
        [(3, 0, [3, 0, 1, 2]), (3, 2, [0, 1, 3, 2]), (0, 99, [1, 3, 2, 0]), (2, 2, [1, 3, 2, 0])]
    {
        let (item, _) = world.catalog.move_item(list, item(moved), to, at(2)).await.unwrap().expect("it");
        assert_eq!(order(&world, list, None).await, stand(expected), "{moved} to {to}");
        assert_eq!(item.position, to.min(3));
    }
    assert!(world.catalog.move_item(list, item(77), 0, at(2)).await.unwrap().is_none());
    let twice = world.catalog.put_item(list, (item(9), Member::Asset(assets[0])), None, at(3)).await;
    assert!(matches!(twice, Err(CatalogError::AlreadyIn(_))), "{twice:?}");
    assert_eq!(order(&world, list, None).await, stand([1, 3, 2, 0]), "a refusal changes nothing");
    assert!(world.catalog.remove_item(list, item(3), at(4)).await.unwrap());
    assert!(!world.catalog.remove_item(list, item(3), at(4)).await.unwrap());
    put(&world, list, 5, assets[3], Some(1)).await;
    assert_eq!(order(&world, list, None).await, stand([1, 5, 2, 0]));
    let page = world.catalog.items_of(list, None, Some(Side::After((1, item(5)))), 1, at(5)).await.unwrap();
    assert_eq!(page[0].id, item(2));
    world.catalog.delete_asset(assets[2], world.job_id(), at(5)).await.unwrap();
    let left: Vec<ItemId> = order(&world, list, None).await.into_iter().map(|(_, id)| id).collect();
    assert_eq!(left, [1, 5, 0].map(item));
    let version = world.catalog.collection(list).await.unwrap().expect("it").version;
    let late = world.catalog.change_collection(list, 1, &text("y", Visibility::Internal), "test", at(6)).await;
    assert!(matches!(late, Err(CatalogError::Changed { version: now }) if now == version), "{late:?}");
    let changed =
        world.catalog.change_collection(list, version, &text("y", Visibility::Internal), "test", at(6)).await.unwrap();
    assert_eq!((changed.title.as_str(), changed.version), ("y", version + 1));
    assert_eq!(world.catalog.collection(list).await.unwrap(), Some(changed));
    let stale = world.catalog.delete_collection(list, Some(version), "test", at(6)).await;
    assert!(matches!(stale, Err(CatalogError::Changed { version: now }) if now == version + 1), "{stale:?}");
    assert!(world.catalog.collection(list).await.unwrap().is_some());
    assert!(world.catalog.delete_collection(list, Some(version + 1), "test", at(6)).await.unwrap());
    assert!(!world.catalog.delete_collection(list, None, "test", at(6)).await.unwrap());
    let gone = world.catalog.put_item(list, (item(6), Member::Asset(assets[0])), None, at(7)).await;
    assert!(matches!(gone, Err(CatalogError::NoCollection(_))), "{gone:?}");
}

pub(crate) async fn a_series_has_seasons_and_a_playlist_has_not(world: World) {
    let series = collection(&world, Kind::Series, None).await;
    let season = collection(&world, Kind::Season, None).await;
    let list = collection(&world, Kind::Playlist, None).await;
    let put = async |into, id, what| world.catalog.put_item(into, (item(id), Member::Season(what)), None, at(1)).await;
    assert_eq!(put(series, 1, season).await.unwrap().member, Member::Season(season));
    for (into, what) in [(series, list), (series, series), (list, season), (season, season)] {
        let refused = put(into, 2, what).await;
        assert!(matches!(refused, Err(CatalogError::Unfit { .. })), "{refused:?}");
    }
    world.catalog.delete_collection(season, None, "test", at(2)).await.unwrap();
    assert!(order(&world, series, None).await.is_empty());
}

pub(crate) async fn a_collection_is_seen_by_its_owner_and_whom_it_is_shared_with(world: World) {
    let (ada, bob) = (user(&world, Role::User).await, user(&world, Role::User).await);
    let list = collection(&world, Kind::Playlist, Some(ada)).await;
    let standing = async |user: UserId| world.catalog.standing_to_collection(list, &user.to_string()).await.unwrap();
    let seen = async |user: UserId| {
        let name = user.to_string();
        world.catalog.collections((None, None), Some(&name), None, 10).await.unwrap().len()
    };
    assert_eq!((standing(ada).await, standing(bob).await), (Standing::Owner, Standing::Stranger));
    assert_eq!((seen(ada).await, seen(bob).await), (1, 0));
    world.catalog.share_collection(list, (bob, Standing::Editor), "test", at(1)).await.unwrap();
    assert_eq!((standing(bob).await, seen(bob).await), (Standing::Editor, 1));
    assert_eq!(world.catalog.shares_of_collection(list).await.unwrap()[0].user, bob);
    assert!(world.catalog.unshare_collection(list, bob, "test", at(2)).await.unwrap());
    assert!(!world.catalog.unshare_collection(list, bob, "test", at(2)).await.unwrap());
    let version = world.catalog.collection(list).await.unwrap().expect("it").version;
    world.catalog.change_collection(list, version, &text("x", Visibility::Internal), "test", at(2)).await.unwrap();
    assert_eq!((standing(bob).await, seen(bob).await), (Standing::Viewer, 1));
    let unknown = world.catalog.share_collection(list, (world.user_id(), Standing::Viewer), "test", at(3)).await;
    assert!(matches!(unknown, Err(CatalogError::NoUser(_))), "{unknown:?}");
    let only = async |kind| world.catalog.collections((Some(kind), None), None, None, 10).await.unwrap().len();
    assert_eq!((only(Kind::Playlist).await, only(Kind::Series).await), (1, 0));
}

async fn uploaded(world: &World, owner: UserId) -> AssetId {
    let new = NewUpload { owner: Some(owner.to_string()), ..world.new_upload(Some(10)) };
    world.catalog.create_upload(&new).await.unwrap();
    new.target.expect("it has one").asset
}

pub(crate) async fn what_is_in_a_collection_is_seen_as_far_as_it_may_be(world: World) {
    let (ada, bob) = (user(&world, Role::Uploader).await, user(&world, Role::User).await);
    let list = collection(&world, Kind::Playlist, Some(ada)).await;
    let (hidden, shared) = (uploaded(&world, ada).await, uploaded(&world, ada).await);
    put(&world, list, 1, hidden, None).await;
    put(&world, list, 2, shared, None).await;
    world.catalog.share_asset(shared, (bob, Standing::Viewer), "x", at(1)).await.unwrap();
    let name = bob.to_string();
    assert_eq!(order(&world, list, Some(&name)).await, [(1, item(2))]);
    assert_eq!(order(&world, list, Some(&ada.to_string())).await.len(), 2);
    let series = collection(&world, Kind::Series, Some(ada)).await;
    let season = collection(&world, Kind::Season, Some(ada)).await;
    world.catalog.put_item(series, (item(3), Member::Season(season)), None, at(2)).await.unwrap();
    assert!(order(&world, series, Some(&name)).await.is_empty());
    world.catalog.share_collection(season, (bob, Standing::Viewer), "test", at(3)).await.unwrap();
    assert_eq!(order(&world, series, Some(&name)).await.len(), 1);
}

fn channel(number: u128) -> ChannelId {
    ChannelId::from_u128(number)
}

pub(crate) async fn an_asset_is_in_one_channel_and_seen_there_by_everybody(world: World) {
    let (ada, bob) = (user(&world, Role::Uploader).await, user(&world, Role::User).await);
    let owner = ada.to_string();
    for (number, handle) in [(1, "one"), (2, "two")] {
        let made = world.catalog.create_channel((channel(number), handle), ("Name", ""), Some(&owner), at(0)).await;
        made.unwrap();
    }
    let taken = world.catalog.create_channel((channel(3), "one"), ("x", ""), None, at(0)).await;
    assert!(matches!(taken, Err(CatalogError::HandleTaken)), "{taken:?}");
    let asset = uploaded(&world, ada).await;
    let name = bob.to_string();
    let listed = async || {
        let list =
            world.catalog.list_assets(&Filter::default(), Order::Newest, Some(&name), None, 10, at(5)).await.unwrap();
        list.len()
    };
    let of = async |number| world.catalog.assets_of_channel(channel(number), None, 10, at(5)).await.unwrap().len();
    let standing = async || world.catalog.standing(asset, &name, at(5)).await.unwrap();
    assert_eq!((listed().await, standing().await), (0, Standing::Stranger));
    world.catalog.set_channel(asset, Some(channel(1)), "test", at(1)).await.unwrap();
    world.catalog.set_channel(asset, Some(channel(2)), "test", at(2)).await.unwrap();
    assert_eq!((of(1).await, of(2).await, listed().await, standing().await), (0, 1, 1, Standing::Viewer));
    assert_eq!(world.catalog.asset(asset).await.unwrap().expect("it").channel, Some(channel(2)));
    let unknown = world.catalog.set_channel(asset, Some(channel(9)), "test", at(3)).await;
    assert!(matches!(unknown, Err(CatalogError::NoChannel(_))), "{unknown:?}");
    let stale = world.catalog.delete_channel(channel(2), Some(7), "test", at(3)).await;
    assert!(matches!(stale, Err(CatalogError::Changed { version: 1 })), "{stale:?}");
    assert_eq!(of(2).await, 1);
    assert!(world.catalog.delete_channel(channel(2), Some(1), "test", at(3)).await.unwrap());
    assert!(!world.catalog.delete_channel(channel(2), None, "test", at(3)).await.unwrap());
    assert_eq!((listed().await, standing().await), (0, Standing::Stranger), "and nobody else sees it");
    let late = world.catalog.change_channel(channel(1), 7, ("New", "about"), at(4)).await;
    assert!(matches!(late, Err(CatalogError::Changed { version: 1 })), "{late:?}");
    let changed = world.catalog.change_channel(channel(1), 1, ("New", "about"), at(4)).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.version, changed.handle.as_str()), ("New", 2, "one"));
    assert_eq!(world.catalog.channel_by_handle("one").await.unwrap(), Some(changed));
}

pub(crate) async fn whoever_follows_channels_gets_the_newest_of_them(world: World) {
    let (ada, bob) = (user(&world, Role::Uploader).await, user(&world, Role::User).await);
    for (number, handle) in [(1, "one"), (2, "two")] {
        world.catalog.create_channel((channel(number), handle), ("Name", ""), None, at(0)).await.unwrap();
    }
    let (first, other, last) = (uploaded(&world, ada).await, uploaded(&world, ada).await, uploaded(&world, ada).await);
    for (asset, number) in [(first, 1), (other, 2), (last, 1)] {
        world.catalog.set_channel(asset, Some(channel(number)), "test", at(1)).await.unwrap();
    }
    for _ in 0..2 {
        world.catalog.subscribe(bob, channel(1), at(2)).await.unwrap();
    }
    let feed = async |after: Option<AssetId>| {
        let assets = world.catalog.subscribed_assets(bob, after.map(Side::After), 10, at(5)).await.unwrap();
        assets.into_iter().map(|asset| asset.id).collect::<Vec<_>>()
    };
    assert_eq!(feed(None).await, [last, first]);
    assert_eq!(feed(Some(last)).await, [first]);
    let followed = world.catalog.subscriptions(bob, None, 10).await.unwrap();
    assert_eq!((followed.len(), followed[0].id, followed[0].subscribers), (1, channel(1), 1));
    let unknown = world.catalog.subscribe(bob, channel(9), at(3)).await;
    assert!(matches!(unknown, Err(CatalogError::NoChannel(_))), "{unknown:?}");
    assert!(world.catalog.unsubscribe(bob, channel(1)).await.unwrap());
    assert!(!world.catalog.unsubscribe(bob, channel(1)).await.unwrap());
    assert!(feed(None).await.is_empty());
}

pub(crate) async fn what_is_deleted_while_it_is_referred_to_is_told_as_gone(world: World) {
    let bob = user(&world, Role::User).await;
    let catalog = &world.catalog;
    for nth in 100..140 {
        let (id, handle) = (channel(nth), format!("c{nth}"));
        catalog.create_channel((id, &handle), ("Name", ""), None, at(1)).await.unwrap();
        // Whichever is first.
        let (deleted, followed) =
            tokio::join!(catalog.delete_channel(id, None, "test", at(2)), catalog.subscribe(bob, id, at(2)));
        assert!(deleted.unwrap());
        match followed {
            Ok(()) => {}
            Err(CatalogError::NoChannel(gone)) => assert_eq!(gone, id),
            Err(error) => assert!(error.is_reference_gone(), "{error:?}"),
        }
    }
}
