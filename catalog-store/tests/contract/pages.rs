//! Pages of every list, forwards and backwards.

use std::fmt::Debug;
use std::time::Duration;

use catalog_store::notifications::READER;
use catalog_store::{
    AuditFilter, CollectionText, Cue, Filter, Grant, Item, Member, NewDelivery, NewNotification, NewUpload, NewUser,
    NewWebhook, NotificationKind, OutboxHold, Search, Side,
};
use domain::about::label_key;
use domain::authority::Role;
use domain::collection::{Kind, Visibility};
use domain::search::Query;
use domain::{
    About, AssetId, ChannelId, CollectionId, ItemId, JobLane, MessageId, NotificationId, Stage, UserId, WebhookId,
};

use crate::about::about;
use crate::accounts::{new_user, user};
use crate::harness::{World, at};

const HOLD: OutboxHold<'static> = OutboxHold { reader: READER, holder: "a" };
/// Rows of most lists here.
const ROWS: u128 = 7;

/// Reads a list by `limit` rows at a time until its end, and from its last row back to its beginning: either way it is
/// what is expected.
pub(crate) async fn check_both_ways<P: Clone + Debug + PartialEq>(
    what: &str,
    expected: &[P],
    limit: u32,
    read: impl AsyncFn(Option<Side<P>>, u32) -> Vec<P>,
) {
    let (rows, rounds) = (usize::try_from(limit).unwrap(), expected.len() + 1);
    let (mut seen, mut side): (Vec<P>, _) = (vec![], None);
    for _ in 0..rounds {
        let page = read(side.clone(), limit).await;
        assert!(page.len() <= rows, "{what}");
        let Some(last) = page.last().cloned() else { break };
        side = Some(Side::After(last));
        seen.extend(page);
    }
    assert_eq!(seen, expected, "{what}, {limit} at a time");
    let Some(mut first) = seen.pop() else { return };
    let mut before: Vec<P> = vec![];
    for _ in 0..rounds {
        let page = read(Some(Side::Before(first.clone())), limit).await;
        assert!(page.len() <= rows, "{what}");
        let Some(next) = page.first().cloned() else { break };
        first = next;
        before.splice(0..0, page);
    }
    assert_eq!(before, seen, "{what} backwards, {limit} at a time");
}

/// The same by one row, two and three.
async fn check<P: Clone + Debug + PartialEq>(
    what: &str,
    expected: &[P],
    read: impl AsyncFn(Option<Side<P>>, u32) -> Vec<P>,
) {
    for limit in 1..=3 {
        check_both_ways(what, expected, limit, &read).await;
    }
}

fn newest_first<T: Clone>(made: &[T]) -> Vec<T> {
    made.iter().rev().cloned().collect()
}

async fn uploaded(world: &World, owner: UserId) -> AssetId {
    let new = NewUpload { owner: Some(owner.to_string()), ..world.new_upload(Some(10)) };
    world.catalog.create_upload(&new).await.unwrap();
    new.target.unwrap().asset
}

pub(crate) async fn pages_of_accounts_go_both_ways(world: World) {
    let mut made = vec![];
    for number in 0..ROWS {
        let email = format!("{number}@example.org");
        let new = NewUser { name: format!("Zoe {number}"), ..new_user(&world, &email, Role::User) };
        world.catalog.create_user(&new, "test", at(0)).await.unwrap();
        made.push(new.id);
    }
    let expected = newest_first(&made);
    check("accounts", &expected, async |side, limit| {
        world.catalog.users(side, limit).await.unwrap().iter().map(|user| user.id).collect()
    })
    .await;
    user(&world, Role::User).await;
    check("accounts by name", &expected, async |side, limit| {
        world.catalog.users_like("zo", side, limit).await.unwrap().iter().map(|user| user.id).collect()
    })
    .await;
}

pub(crate) async fn pages_of_the_audit_log_go_both_ways(world: World) {
    let (ada, bob) = (user(&world, Role::Admin).await, user(&world, Role::User).await);
    for number in 0..ROWS {
        let actor = if number % 2 == 0 { ada } else { bob };
        let target = if number % 3 == 0 { bob } else { ada };
        world.catalog.note(&actor.to_string(), "user.seen", target, at(1)).await.unwrap();
    }
    let any = AuditFilter::default;
    for filter in [
        any(),
        AuditFilter { actor: Some(ada.to_string()), ..any() },
        AuditFilter { target: Some(ada.to_string()), ..any() },
        AuditFilter { actor: Some(ada.to_string()), target: Some(ada.to_string()), ..any() },
        AuditFilter { action: Some("user.seen".into()), ..any() },
    ] {
        let read = async |side, limit| -> Vec<u64> {
            let rows = world.catalog.audit_log_of(&filter, side, limit).await.unwrap();
            rows.iter().map(|row| row.seq).collect()
        };
        let expected = read(None, 100).await;
        assert!(expected.len() > 1 && expected.is_sorted_by(|one, next| one > next), "{filter:?}");
        check(&format!("{filter:?}"), &expected, read).await;
    }
}

pub(crate) async fn pages_of_grants_go_both_ways(world: World) {
    let mut made = vec![];
    for number in 0..i64::try_from(ROWS).unwrap() {
        let grant = Grant {
            id: format!("{number}{}", world.job_id()),
            owner: Some(if number % 3 == 0 { "ada" } else { "bob" }.into()),
            key: None,
            bytes_max: None,
            duration_s_max: None,
            types: vec![],
            origin: None,
            uses_left: 1,
            expires_at: at(100),
            is_revoked: false,
            // Some of them at the same instant.
            created_at: at(number / 3),
            asset: None,
            is_document: false,
        };
        world.catalog.create_grant(&grant).await.unwrap();
        made.push(grant);
    }
    for owner in [None, Some("ada"), Some("bob")] {
        let mine = made.iter().filter(|grant| owner.is_none() || grant.owner.as_deref() == owner);
        let mut expected: Vec<_> = mine.map(|grant| (grant.created_at, grant.id.clone())).collect();
        expected.sort_by(|one, other| other.cmp(one));
        check(&format!("grants of {owner:?}"), &expected, async |side, limit| {
            let page = world.catalog.grants_of(owner, side, limit).await.unwrap();
            page.into_iter().map(|grant| (grant.created_at, grant.id)).collect()
        })
        .await;
    }
}

pub(crate) async fn pages_of_messages_go_both_ways(world: World) {
    let mut hooks = vec![];
    for id in [1, 2] {
        let new = NewWebhook {
            id: WebhookId::from_u128(id),
            owner: "ada".into(),
            url: "https://example.org/hook".into(),
            description: String::new(),
            topics: "asset.*".parse().unwrap(),
            secret: "whsec_a".into(),
        };
        hooks.push(world.catalog.create_webhook(&new, at(0)).await.unwrap().id);
    }
    let mut made = vec![];
    for number in 1..=2 * ROWS {
        let webhook = hooks[usize::from(number % 2 == 0)];
        let id = MessageId::from_u128(number);
        let new = NewDelivery { id, webhook, seq: None, topic: "test".into(), payload: "{}".into() };
        world.catalog.send_message(&new, at(0)).await.unwrap();
        made.extend((webhook == hooks[0]).then_some(id));
    }
    check("messages", &newest_first(&made), async |side, limit| {
        let page = world.catalog.deliveries(hooks[0], None, side, limit).await.unwrap();
        page.iter().map(|one| one.id).collect()
    })
    .await;
}

pub(crate) async fn pages_of_notifications_go_both_ways(world: World) {
    let (ada, bob) = (user(&world, Role::User).await, user(&world, Role::User).await);
    world.catalog.hold_reader(HOLD, Duration::from_secs(60), at(0)).await.unwrap().unwrap();
    let news = |number: u128| NewNotification {
        id: NotificationId::from_u128(number),
        user: if number.is_multiple_of(3) { bob } else { ada },
        seq: u64::try_from(number).unwrap(),
        kind: NotificationKind::AssetReady,
        asset: None,
        data: serde_json::json!({}),
        by_mail: false,
    };
    let news: Vec<_> = (1..=12).map(news).collect();
    assert!(world.catalog.notify(HOLD, 12, &news, at(1)).await.unwrap());
    let mut mine: Vec<_> = news.iter().filter(|one| one.user == ada).map(|one| one.id).collect();
    let read = mine[3];
    world.catalog.read_notifications(ada, Some(&[read]), at(2)).await.unwrap();
    for is_unread in [false, true] {
        mine.retain(|id| !is_unread || *id != read);
        check("notifications", &newest_first(&mine), async |side, limit| {
            let page = world.catalog.notifications(ada, is_unread, side, limit).await.unwrap();
            page.iter().map(|one| one.id).collect()
        })
        .await;
    }
}

pub(crate) async fn pages_of_what_is_set_apart_go_both_ways(world: World) {
    world.catalog.set_first_stage(Stage::Draft).await.unwrap();
    let (ada, bob) = (user(&world, Role::Uploader).await, user(&world, Role::Uploader).await);
    let (mut waiting, mut binned) = (vec![], vec![]);
    for number in 0..2 * ROWS {
        let asset = uploaded(&world, if number.is_multiple_of(3) { bob } else { ada }).await;
        if number.is_multiple_of(2) {
            let job = world.job_id();
            world.catalog.set_stage(asset, (Stage::Submitted, true), (None, None), "test", job, at(1)).await.unwrap();
            waiting.push((number, asset));
        } else {
            assert!(world.catalog.bin_asset((asset, None), at(1000), "test", world.job_id(), at(1)).await.unwrap());
            binned.push((number, asset));
        }
    }
    for owner in [None, Some(ada.to_string())] {
        let owner = owner.as_deref();
        let of_owner = |made: &[(u128, AssetId)]| -> Vec<AssetId> {
            let mine = made.iter().rev().filter(|(number, _)| owner.is_none() || !number.is_multiple_of(3));
            mine.map(|(_, asset)| *asset).collect()
        };
        check("reviews", &of_owner(&waiting), async |side, limit| {
            let page = world.catalog.assets_to_review(owner, side, limit).await.unwrap();
            page.iter().map(|asset| asset.id).collect()
        })
        .await;
        check("bin", &of_owner(&binned), async |side, limit| {
            let page = world.catalog.binned_assets(owner, side, limit).await.unwrap();
            page.iter().map(|asset| asset.id).collect()
        })
        .await;
    }
}

pub(crate) async fn pages_of_channels_and_of_what_is_in_them_go_both_ways(world: World) {
    let (ada, bob) = (user(&world, Role::Uploader).await, user(&world, Role::User).await);
    let channels: Vec<ChannelId> = (1..=ROWS).map(ChannelId::from_u128).collect();
    for (number, id) in channels.iter().enumerate() {
        world.catalog.create_channel((*id, &format!("c{number}")), ("Name", ""), None, at(0)).await.unwrap();
        world.catalog.subscribe(bob, *id, at(1)).await.unwrap();
    }
    world.catalog.unsubscribe(bob, channels[2]).await.unwrap();
    let mut assets = vec![];
    for number in 0..20 {
        let (asset, channel) = (uploaded(&world, ada).await, channels[number % 3]);
        world.catalog.set_channel(asset, Some(channel), "test", at(1)).await.unwrap();
        assets.push((channel, asset));
    }
    check("channels", &newest_first(&channels), async |side, limit| {
        world.catalog.channels(side, limit).await.unwrap().iter().map(|one| one.id).collect()
    })
    .await;
    let followed: Vec<ChannelId> = channels.iter().copied().filter(|id| *id != channels[2]).rev().collect();
    check("subscriptions", &followed, async |side, limit| {
        world.catalog.subscriptions(bob, side, limit).await.unwrap().iter().map(|one| one.id).collect()
    })
    .await;
    let those = |is_there: fn(usize) -> bool| -> Vec<AssetId> {
        let there = assets.iter().enumerate().rev().filter(|(number, _)| is_there(*number));
        there.map(|(_, (_, asset))| *asset).collect()
    };
    check("assets of a channel", &those(|number| number % 3 == 1), async |side, limit| {
        let page = world.catalog.assets_of_channel(channels[1], side, limit, at(5)).await.unwrap();
        page.iter().map(|asset| asset.id).collect()
    })
    .await;
    check("assets of all of them", &those(|number| number % 3 != 2), async |side, limit| {
        let page = world.catalog.subscribed_assets(bob, side, limit, at(5)).await.unwrap();
        page.iter().map(|asset| asset.id).collect()
    })
    .await;
}

async fn collection(world: &World, owner: UserId) -> CollectionId {
    let text = CollectionText { title: "x".into(), description: String::new(), visibility: Visibility::Private };
    let id = world.collection_id();
    world.catalog.create_collection((id, Kind::Playlist), &text, Some(&owner.to_string()), at(0)).await.unwrap();
    id
}

async fn put(world: &World, list: CollectionId, id: u128, position: Option<u64>) -> AssetId {
    let asset = world.received().await;
    let item = (ItemId::from_u128(id), Member::Asset(asset));
    world.catalog.put_item(list, item, position, at(1)).await.unwrap();
    asset
}

async fn items(world: &World, list: CollectionId, side: Option<Side<(u64, ItemId)>>, limit: u32) -> Vec<Item> {
    world.catalog.items_of(list, None, side, limit, at(5)).await.unwrap()
}

pub(crate) async fn pages_of_collections_and_of_what_is_in_them_go_both_ways(world: World) {
    let (ada, bob) = (user(&world, Role::Uploader).await, user(&world, Role::User).await);
    let mut made = vec![];
    for number in 0..2 * ROWS {
        let owner = if number.is_multiple_of(2) { ada } else { bob };
        made.push((owner, collection(&world, owner).await));
    }
    let name = ada.to_string();
    for seen_by in [None, Some(&*name)] {
        let seen = made.iter().rev().filter(|(owner, _)| seen_by.is_none() || *owner == ada);
        let expected: Vec<CollectionId> = seen.map(|(_, id)| *id).collect();
        check("collections", &expected, async |side, limit| {
            let page = world.catalog.collections((None, None), seen_by, side, limit).await.unwrap();
            page.iter().map(|one| one.id).collect()
        })
        .await;
    }
    let list = made[0].1;
    // Their ids are in another order than they are.
    for number in 0..ROWS {
        put(&world, list, 100 + number * 5 % ROWS, None).await;
    }
    let place = |item: &Item| (item.position, item.id);
    let expected: Vec<_> = items(&world, list, None, 50).await.iter().map(place).collect();
    assert_eq!(expected.len(), 7);
    check("items", &expected, async |side, limit| items(&world, list, side, limit).await.iter().map(place).collect())
        .await;
}

pub(crate) async fn what_comes_and_goes_meanwhile_moves_no_other_item(world: World) {
    let list = collection(&world, user(&world, Role::Uploader).await).await;
    let mut assets = vec![];
    for number in 0..ROWS {
        assets.push(put(&world, list, 100 - number, None).await);
    }
    let ids = async |side| -> Vec<u128> {
        let page = items(&world, list, Some(side), 10).await;
        let number = |item: &Item| (0..200).find(|id| ItemId::from_u128(*id) == item.id).unwrap();
        page.iter().map(number).collect()
    };
    let place = (3, ItemId::from_u128(97));
    put(&world, list, 9, Some(0)).await;
    assert_eq!(ids(Side::After(place)).await, [96, 95, 94]);
    assert_eq!(ids(Side::Before(place)).await, [9, 100, 99, 98]);
    for gone in [9, 100, 99] {
        assert!(world.catalog.remove_item(list, ItemId::from_u128(gone), at(2)).await.unwrap());
    }
    assert_eq!(ids(Side::After(place)).await, [96, 95, 94]);
    assert_eq!(ids(Side::Before(place)).await, [98]);
    // The item itself, of which only the place is left.
    let place = (1, ItemId::from_u128(97));
    assert!(world.catalog.remove_item(list, place.1, at(2)).await.unwrap());
    assert_eq!(ids(Side::After(place)).await, [96, 95, 94]);
    assert_eq!(ids(Side::Before(place)).await, [98]);
}

pub(crate) async fn pages_of_hits_and_passages_go_both_ways(world: World) {
    let asset = world.processing().await;
    let cue = |at: i64| Cue { start_ms: at * 1000, end_ms: at * 1000 + 900, text: format!("filler words number {at}") };
    let cues: Vec<Cue> = (0..900).map(cue).collect();
    let job = world.claim_in(JobLane::Heavy, at(1)).await.unwrap();
    world.catalog.put_transcript(&job, ("txt_a", None), &cues, at(2)).await.unwrap();
    let query = Query::parse("filler");
    let read = async |side, limit| -> Vec<u64> {
        let page = world.catalog.moments_of(asset, &query, side, limit).await.unwrap();
        page.iter().map(|passage| passage.place).collect()
    };
    let expected = read(None, 100).await;
    assert!(expected.len() > 3 && expected.is_sorted());
    check("passages", &expected, read).await;
    for number in 0..80 {
        let title = if number % 2 == 0 { about("common word") } else { about("other") };
        let tags = if number % 40 == 7 { vec!["rare".to_owned()] } else { vec![] };
        let about = About { description: Some("a common thing".into()), tags, ..title };
        let asset = world.received().await;
        world.catalog.set_about(asset, 1, &about, at(1)).await.unwrap();
    }
    let query = Query::parse("common");
    for (filter, count) in [
        (Filter::default(), 80),
        // Those of which one is far behind the other.
        (Filter { tag: Some(label_key("rare")), ..Filter::default() }, 2),
    ] {
        let search = Search { query: &query, is_forgiving: false, filter: &filter, seen_by: None, now: at(9) };
        let read = async |side, limit| {
            let found = world.catalog.search(&search, side, limit).await.unwrap();
            assert!(found.assets.iter().map(|asset| asset.id).eq(found.hits.iter().map(|hit| hit.asset)));
            found.hits
        };
        let (mut expected, mut after) = (vec![], None);
        for _ in 0..3 {
            expected.extend(read(after, 50).await);
            after = expected.last().copied().map(Side::After);
        }
        assert_eq!(expected.len(), count);
        assert!(expected.is_sorted_by(|one, next| (one.score, one.document) > (next.score, next.document)));
        check("hits", &expected, read).await;
    }
}
