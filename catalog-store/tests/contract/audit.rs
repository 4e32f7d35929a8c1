//! The audit log: what was done is in it, and what is done to it is found.

use catalog_store::erasure::Legacy;
use catalog_store::{AuditFault, Catalog, CollectionText, Profile};
use domain::authority::{Role, Standing};
use domain::collection::{Kind, Visibility};
use domain::{ChannelId, CollectionId, SourceVersion, Stage};
use serde_json::{Value, json};

use crate::accounts::user;
use crate::harness::{World, at};

pub(crate) async fn what_is_done_is_logged_in_order_and_sealed(world: World) {
    let empty = world.catalog.audit_verify().await.unwrap();
    assert_eq!((empty.entries, empty.head.as_str(), empty.fault), (0, "", None));
    let id = user(&world, Role::User).await;
    let profile = Profile { name: "Secret Name".into(), bio: String::new(), language: None };
    world.catalog.set_profile(id, 1, &profile, at(1)).await.unwrap();
    let log = world.catalog.audit_log(None, 10).await.unwrap();
    let told: Vec<_> = log.iter().map(|entry| (entry.seq, entry.action.as_str(), entry.actor.as_str())).collect();
    let own = id.to_string();
    assert_eq!(told, [(2, "user.profile_changed", &*own), (1, "user.created", "system")]);
    assert_eq!(log[1].data, serde_json::json!({ "role": "user" }));
    assert!(log.iter().all(|entry| entry.subject.as_deref() == Some(&*own) && entry.hash.len() == 64));
    assert!(!format!("{log:?}").contains("Secret Name"), "nothing personal stands in it");
    assert_eq!(world.catalog.audit_log(Some(2), 10).await.unwrap().len(), 1);
    let verdict = world.catalog.audit_verify().await.unwrap();
    assert_eq!((verdict.entries, &verdict.head, verdict.fault), (2, &log[0].hash, None));
    assert!(world.catalog.has_audit_seal(&log[1].hash).await.unwrap());
    assert!(!world.catalog.has_audit_seal("other").await.unwrap());
}

pub(crate) async fn a_change_that_fails_leaves_no_row(world: World) {
    let id = user(&world, Role::User).await;
    let profile = Profile { name: "x".into(), bio: String::new(), language: None };
    world.catalog.set_profile(id, 9, &profile, at(1)).await.unwrap_err();
    assert!(!world.catalog.end_session(id, world.session_id(), at(1)).await.unwrap());
    let verdict = world.catalog.audit_verify().await.unwrap();
    assert_eq!((verdict.entries, verdict.fault), (1, None));
}

/// Whose deeds are logged in these tests.
const ACTOR: &str = "a moderator";

/// What was done by [`ACTOR`] since row `seq`, in order: the action, to what, and the details.
async fn done(world: &World, seq: u64) -> Vec<(String, String, Value)> {
    let mut log = world.catalog.audit_log(None, 100).await.unwrap();
    log.retain(|entry| entry.seq > seq && entry.actor == ACTOR);
    log.reverse();
    log.into_iter().map(|entry| (entry.action, entry.subject.unwrap_or_default(), entry.data)).collect()
}

/// A private collection with a title that nobody else may read.
async fn collection(world: &World) -> CollectionId {
    let id = world.collection_id();
    let text = CollectionText { title: "Secret".into(), description: String::new(), visibility: Visibility::Private };
    world.catalog.create_collection((id, Kind::Playlist), &text, None, at(0)).await.unwrap();
    id
}

pub(crate) async fn what_is_done_to_videos_channels_and_collections_is_logged_with_it(world: World) {
    let (catalog, bob, list) = (&world.catalog, user(&world, Role::User).await, collection(&world).await);
    let (asset, channel) = (world.received().await, ChannelId::from_u128(7));
    let job = || world.job_id();
    let begun = catalog.audit_log(None, 1).await.unwrap()[0].seq;

    catalog.create_channel((channel, "secret"), ("Secret", "Secret"), Some(ACTOR), at(1)).await.unwrap();
    catalog.set_channel(asset, Some(channel), ACTOR, at(2)).await.unwrap();
    catalog.set_channel(asset, None, ACTOR, at(2)).await.unwrap();
    for (stage, note) in [(Stage::Draft, None), (Stage::Submitted, None), (Stage::Rejected, Some("Secret"))] {
        catalog.set_stage(asset, (stage, true), (None, note), ACTOR, job(), at(3)).await.unwrap();
    }
    catalog.set_window(asset, (Some(at(1000)), None), ACTOR, job(), at(4)).await.unwrap();
    catalog.set_window(asset, (None, None), ACTOR, job(), at(5)).await.unwrap();
    assert!(catalog.bin_asset((asset, None), at(2000), ACTOR, job(), at(6)).await.unwrap());
    assert!(catalog.restore_asset(asset, ACTOR, job(), at(7)).await.unwrap());
    assert!(catalog.delete_asset_at((asset, None), ACTOR, job(), at(8)).await.unwrap());
    catalog.share_collection(list, (bob, Standing::Viewer), ACTOR, at(9)).await.unwrap();
    assert!(catalog.unshare_collection(list, bob, ACTOR, at(10)).await.unwrap());
    let version = catalog.collection(list).await.unwrap().expect("it").version;
    let seen = CollectionText { title: "Secret".into(), description: String::new(), visibility: Visibility::Internal };
    catalog.change_collection(list, version, &seen, ACTOR, at(11)).await.unwrap();
    assert!(catalog.delete_collection(list, None, ACTOR, at(12)).await.unwrap());
    assert!(catalog.delete_channel(channel, None, ACTOR, at(13)).await.unwrap());

    let (id, channel, list, bob) = (asset.to_string(), channel.to_string(), list.to_string(), bob.to_string());
    let expected = [
        ("channel.created", &channel, json!({})),
        ("asset.channel_set", &id, json!({ "channel": channel })),
        ("asset.channel_set", &id, json!({ "channel": null })),
        ("asset.stage_set", &id, json!({ "stage": "draft" })),
        ("asset.stage_set", &id, json!({ "stage": "submitted" })),
        ("asset.stage_set", &id, json!({ "stage": "rejected" })),
        ("asset.scheduled", &id, json!({ "publish_at": at(1000).rfc3339(), "expire_at": null })),
        ("asset.scheduled", &id, json!({ "publish_at": null, "expire_at": null })),
        ("asset.binned", &id, json!({ "until": at(2000).rfc3339() })),
        ("asset.restored", &id, json!({})),
        ("asset.deleted", &id, json!({})),
        ("collection.shared", &bob, json!({ "collection": list, "standing": "viewer" })),
        ("collection.unshared", &bob, json!({ "collection": list })),
        ("collection.visibility_set", &list, json!({ "visibility": "internal" })),
        ("collection.deleted", &list, json!({})),
        ("channel.deleted", &channel, json!({})),
    ];
    let expected = expected.map(|(action, subject, data)| (action.to_owned(), subject.clone(), data));
    assert_eq!(done(&world, begun).await, expected);
    let log = catalog.audit_log(None, 100).await.unwrap();
    assert!(!format!("{log:?}").to_lowercase().contains("secret"), "no name, note or title stands in it");
    assert_eq!(fault(catalog).await, None);
}

pub(crate) async fn a_video_that_is_left_as_it_is_leaves_no_row(world: World) {
    let (catalog, bob, list) = (&world.catalog, user(&world, Role::User).await, collection(&world).await);
    let (asset, channel, job) = (world.received().await, ChannelId::from_u128(7), || world.job_id());
    let begun = catalog.audit_log(None, 1).await.unwrap()[0].seq;
    catalog.set_channel(asset, Some(channel), ACTOR, at(1)).await.unwrap_err();
    catalog.set_stage(asset, (Stage::Submitted, true), (None, None), ACTOR, job(), at(1)).await.unwrap_err();
    catalog.bin_asset((asset, Some(9)), at(9), ACTOR, job(), at(1)).await.unwrap_err();
    catalog.delete_asset_at((asset, Some(9)), ACTOR, job(), at(1)).await.unwrap_err();
    catalog.restore_version(asset, (SourceVersion(1), true), ACTOR, job(), at(1)).await.unwrap_err();
    catalog.delete_collection(list, Some(9), ACTOR, at(1)).await.unwrap_err();
    catalog.share_collection(list, (world.user_id(), Standing::Viewer), ACTOR, at(1)).await.unwrap_err();
    assert!(!catalog.restore_asset(asset, ACTOR, job(), at(1)).await.unwrap());
    assert!(!catalog.unshare_collection(list, bob, ACTOR, at(1)).await.unwrap());
    assert!(!catalog.delete_channel(channel, None, ACTOR, at(1)).await.unwrap());
    assert!(!catalog.delete_collection(world.collection_id(), None, ACTOR, at(1)).await.unwrap());
    // What is said of it is no row, nor is what a collection is called.
    catalog.set_about(asset, 1, &crate::about::about("dragon"), at(2)).await.unwrap();
    let text = CollectionText { title: "y".into(), description: String::new(), visibility: Visibility::Private };
    catalog.change_collection(list, 1, &text, ACTOR, at(2)).await.unwrap();
    assert_eq!(catalog.audit_log(None, 1).await.unwrap()[0].seq, begun);
    // What the server does by itself is done by nobody's name.
    assert!(catalog.delete_asset(asset, job(), at(3)).await.unwrap());
    let log = catalog.audit_log(None, 1).await.unwrap();
    assert_eq!((log[0].actor.as_str(), log[0].action.as_str()), ("system", "asset.deleted"));

    // Whoever goes leaves rows that are theirs no more than by an id.
    user(&world, Role::Admin).await;
    catalog.create_channel((channel, "erika"), ("Erika", ""), Some(&bob.to_string()), at(4)).await.unwrap();
    let rows = catalog.belongings_of(bob).await.unwrap().audit;
    assert!(rows.iter().any(|row| row.action == "channel.created"), "{rows:?}");
    catalog.delete_channel(channel, None, &bob.to_string(), at(5)).await.unwrap();
    catalog.erase_user(bob, Legacy::Deleted, at(6)).await.unwrap();
    assert_eq!(fault(catalog).await, None);
}

async fn fault(catalog: &Catalog) -> Option<(u64, &'static str)> {
    let verdict = catalog.audit_verify().await.unwrap();
    verdict.fault.map(|AuditFault { seq, problem }| (seq, problem))
}

pub(crate) async fn tampering_is_found_wherever_it_is(world: World) {
    for _ in 0..4 {
        user(&world, Role::User).await;
    }
    assert_eq!(fault(&world.catalog).await, None);
    world.tamper("update audit_log set actor = 'mallory' where seq = 3").await;
    assert_eq!(fault(&world.catalog).await, Some((3, "the row is not what was written")));
    world.tamper("update audit_log set actor = 'system' where seq = 3").await;
    assert_eq!(fault(&world.catalog).await, None, "what is put back is not told from what was never changed");
    world.tamper("update audit_head set hash = 'other' where id = 1").await;
    assert_eq!(fault(&world.catalog).await, Some((4, "the seal of the whole log is another")));
    world.tamper("delete from audit_log where seq = 4").await;
    assert_eq!(fault(&world.catalog).await, Some((4, "rows are missing at the end")));
    world.tamper("delete from audit_log where seq = 2").await;
    assert_eq!(fault(&world.catalog).await, Some((2, "rows are missing")));
}
