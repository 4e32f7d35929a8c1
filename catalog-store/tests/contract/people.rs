//! What people are told, and that they can be erased.

use std::time::Duration;

use catalog_store::erasure::Legacy;
use catalog_store::notifications::READER;
use catalog_store::search::Place;
use catalog_store::{
    CatalogError, CollectionText, Evidence, Known, Named, NewApiKey, NewIdentity, NewNotification, NewSession, NewUser,
    NewWebhook, NotificationChannel, NotificationKind, OutboxHold, Profile, Proof, Purpose, Side, UserState,
};
use domain::authority::{Role, Standing};
use domain::collection::{Kind, Visibility};
use domain::{ChannelId, IdentityId, NotificationId, UserId, WebhookId};

use crate::harness::{World, at};

const LEASE: Duration = Duration::from_secs(60);
const HOLD: OutboxHold<'static> = OutboxHold { reader: READER, holder: "a" };

async fn user(world: &World, role: Role, email: &str) -> UserId {
    let id = world.user_id();
    let new = NewUser {
        id,
        email: Some(email.into()),
        name: format!("Name of {email}"),
        language: None,
        role,
        password: Some("$argon2id$".into()),
        is_email_verified: true,
    };
    world.catalog.create_user(&new, "test", at(0)).await.unwrap();
    id
}

fn news(id: u128, user: UserId, seq: u64, by_mail: bool) -> NewNotification {
    let (id, data) = (NotificationId::from_u128(id), serde_json::json!({ "state": "ready" }));
    NewNotification { id, user, seq, kind: NotificationKind::AssetReady, asset: None, data, by_mail }
}

pub(crate) async fn an_event_is_told_once_and_what_is_read_is_known(world: World) {
    let (ada, bob) = (user(&world, Role::Admin, "ada@x.org").await, user(&world, Role::User, "bob@x.org").await);
    world.catalog.hold_reader(HOLD, LEASE, at(0)).await.unwrap().unwrap();
    let (one, two, of_bob) = (news(1, ada, 5, true), news(2, ada, 6, false), news(3, bob, 5, false));
    assert!(world.catalog.notify(HOLD, 6, &[one.clone(), two, of_bob], at(1)).await.unwrap());
    assert!(
        world
            .catalog
            .notify(HOLD, 6, &[NewNotification { id: NotificationId::from_u128(9), ..one }], at(2))
            .await
            .unwrap()
    );
    assert!(!world.catalog.notify(OutboxHold { holder: "b", ..HOLD }, 7, &[], at(2)).await.unwrap());
    let found = world.catalog.notifications(ada, false, None, 10).await.unwrap();
    let ids: Vec<NotificationId> = found.iter().map(|one| one.id).collect();
    assert_eq!(ids, [NotificationId::from_u128(2), NotificationId::from_u128(1)], "the latest first, and once");
    assert_eq!(world.catalog.unread_count(ada).await.unwrap(), 2);
    assert_eq!(world.catalog.read_notifications(bob, Some(&ids), at(3)).await.unwrap(), 0, "those of others are not");
    assert_eq!(world.catalog.read_notifications(ada, Some(&ids[..1]), at(3)).await.unwrap(), 1);
    assert_eq!(world.catalog.read_notifications(ada, Some(&ids[..1]), at(4)).await.unwrap(), 0);
    let unread = world.catalog.notifications(ada, true, None, 10).await.unwrap();
    assert_eq!((unread.len(), unread[0].id), (1, ids[1]));
    assert_eq!(world.catalog.notifications(ada, false, Some(Side::After(ids[0])), 10).await.unwrap().len(), 1);
    assert_eq!(world.catalog.read_notifications(ada, None, at(5)).await.unwrap(), 1);
    let due = world.catalog.mail_due(10).await.unwrap();
    assert_eq!(due.iter().map(|one| one.id).collect::<Vec<_>>(), [ids[1]]);
    assert!(world.catalog.note_mailed(ids[1]).await.unwrap() && !world.catalog.note_mailed(ids[1]).await.unwrap());
    assert!(world.catalog.mail_due(10).await.unwrap().is_empty());
    assert!(!world.catalog.delete_notification(bob, ids[0]).await.unwrap());
    assert!(world.catalog.delete_notification(ada, ids[0]).await.unwrap());
    assert_eq!(world.catalog.prune_notifications(at(2)).await.unwrap(), 2);
}

pub(crate) async fn what_somebody_wants_otherwise_is_kept(world: World) {
    let ada = user(&world, Role::Admin, "ada@x.org").await;
    let channel = async |kind| {
        let channels = world.catalog.channels_of(ada).await.unwrap();
        channels.into_iter().find(|(known, _)| *known == kind).unwrap().1
    };
    assert_eq!(channel(NotificationKind::AssetReady).await, NotificationChannel::App);
    assert_eq!(channel(NotificationKind::AccountSecurity).await, NotificationChannel::Email);
    for wanted in [NotificationChannel::Email, NotificationChannel::Off] {
        world.catalog.set_channels(ada, &[(NotificationKind::AssetReady, wanted)]).await.unwrap();
        assert_eq!(channel(NotificationKind::AssetReady).await, wanted);
    }
    assert_eq!(channel(NotificationKind::AssetFailed).await, NotificationChannel::App);
}

pub(crate) async fn a_letter_of_the_week_is_taken_once(world: World) {
    let (ada, bob) = (user(&world, Role::Admin, "ada@x.org").await, user(&world, Role::User, "bob@x.org").await);
    let other = world.another_process().await;
    world.catalog.hold_reader(HOLD, LEASE, at(0)).await.unwrap().unwrap();
    world.catalog.notify(HOLD, 1, &[news(1, ada, 1, false), news(2, bob, 1, false)], at(1000)).await.unwrap();
    let wanted = async |week| world.catalog.digest_for(week, (at(0), at(2000)), None, 10).await.unwrap();
    assert_eq!(wanted(7).await, [ada, bob]);
    world.catalog.set_channels(bob, &[(NotificationKind::Digest, NotificationChannel::Off)]).await.unwrap();
    assert_eq!(wanted(7).await, [ada]);
    for other in [(at(1001), at(2000)), (at(0), at(1000))] {
        assert!(world.catalog.digest_for(7, other, None, 10).await.unwrap().is_empty(), "nothing in that time");
        assert!(world.catalog.digest_of(ada, other, 10).await.unwrap().is_empty());
    }
    assert!(world.catalog.take_digest(ada, 7).await.unwrap());
    assert!(!other.catalog.take_digest(ada, 7).await.unwrap(), "nor after a restart");
    assert!(wanted(7).await.is_empty());
    assert_eq!(wanted(8).await, [ada]);
    assert!(!world.catalog.take_digest(ada, 6).await.unwrap());
    assert_eq!(world.catalog.digest_of(ada, (at(0), at(1001)), 10).await.unwrap().len(), 1);
    world.catalog.read_notifications(ada, None, at(2000)).await.unwrap();
    assert!(wanted(8).await.is_empty());
}

pub(crate) async fn what_concerns_an_account_or_is_shared_is_told_to_that_person_alone(world: World) {
    let (ada, bob) = (user(&world, Role::Admin, "ada@x.org").await, user(&world, Role::User, "bob@x.org").await);
    let asset = world.received().await;
    let before = world.catalog.last_event().await.unwrap();
    world.catalog.share_asset(asset, (bob, Standing::Viewer), "ada", at(1)).await.unwrap();
    world.catalog.set_password(bob, "$argon2id$x", None, at(2)).await.unwrap();
    let events = world.catalog.events_after(before, 10).await.unwrap();
    let told: Vec<_> = events.iter().map(|event| (event.topic.as_str(), event.user, event.asset)).collect();
    assert_eq!(told, [("asset.shared", Some(bob), Some(asset)), ("account.security", Some(bob), None)]);
    assert_eq!(events[1].data["action"], "user.password_changed");
    let seen = world.catalog.events_seen_by(&bob.to_string(), before, 10, at(5)).await.unwrap();
    assert_eq!(seen.len(), 2);
    assert!(world.catalog.events_seen_by(&ada.to_string(), before, 10, at(5)).await.unwrap().is_empty());
}

/// Everything that can be kept of a person, in every table that keeps anything.
async fn with_everything(world: &World, id: UserId, email: &str) {
    let catalog = &world.catalog;
    let version = catalog.user(id).await.unwrap().unwrap().version;
    let bio = format!("Write to {email}");
    catalog.set_profile(id, version, &Profile { name: email.into(), bio, language: None }, at(1)).await.unwrap();
    let (client, proof) = (format!("browser of {email}"), Proof::Cookie(format!("cookie of {email}")));
    let evidence = Evidence::of_password(&catalog.user(id).await.unwrap().unwrap());
    let session = NewSession { id: world.session_id(), user: id, evidence, proof, client, expires_at: at(1_000_000) };
    catalog.begin_session(&session, at(1)).await.unwrap();
    let key = NewApiKey {
        id: world.key_id(),
        user: id,
        name: format!("key of {email}"),
        prefix: "hwk_".into(),
        hash: format!("hash of {email}"),
        scopes: Default::default(),
        expires_at: None,
    };
    catalog.create_api_key(&key, at(1)).await.unwrap();
    let identity = NewIdentity {
        id: IdentityId::from_u128(77),
        provider: "corp".into(),
        issuer: "https://id.example.org".into(),
        subject: email.into(),
    };
    assert!(catalog.link_identity(&identity, id, at(1)).await.unwrap());
    catalog.issue_ticket(&format!("ticket of {email}"), (id, Purpose::VerifyEmail), at(100), at(1)).await.unwrap();
    let webhook = NewWebhook {
        id: WebhookId::from_u128(77),
        owner: id.to_string(),
        url: format!("https://example.org/?of={email}"),
        description: format!("of {email}"),
        topics: Default::default(),
        secret: "whsec_a".into(),
    };
    catalog.create_webhook(&webhook, at(1)).await.unwrap();
    let mut told = news(1, id, 1, true);
    told.data = serde_json::json!({ "to": email });
    catalog.hold_reader(HOLD, LEASE, at(0)).await.unwrap().unwrap();
    assert!(catalog.notify(HOLD, 1000, &[told], at(1)).await.unwrap());
    catalog.set_channels(id, &[(NotificationKind::Digest, NotificationChannel::Off)]).await.unwrap();
    let (hash, name) = (format!("name of {email}"), id.to_string());
    let named = Named { hash: &hash, principal: &name, fingerprint: "f" };
    assert!(matches!(catalog.begin_named(&named, LEASE, at(1)).await.unwrap(), Known::New(_)));
    let part = catalog_store::NewUpload {
        owner: Some(id.to_string()),
        file_name: Some(format!("part of {email}")),
        metadata: format!("filename {email}"),
        ..world.new_part(5, at(1_000_000))
    };
    catalog.create_upload(&part).await.unwrap();
}

pub(crate) async fn of_somebody_who_was_erased_nothing_is_left_in_any_table(world: World) {
    let email = "erase.me@example.org";
    let admin = user(&world, Role::Admin, "ada@x.org").await;
    let id = user(&world, Role::Uploader, email).await;
    with_everything(&world, id, email).await;
    let new = catalog_store::NewUpload { owner: Some(id.to_string()), ..world.new_upload(Some(5)) };
    world.catalog.create_upload(&new).await.unwrap();
    let asset = new.target.unwrap().asset;
    world.catalog.share_asset(asset, (admin, Standing::Viewer), "x", at(1)).await.unwrap();
    let tables = world.tables_with(email).await;
    for table in [
        "users",
        "sessions",
        "api_keys",
        "tickets",
        "webhooks",
        "notifications",
        "uploads",
        "idempotency_keys",
        "identities",
    ] {
        assert!(tables.iter().any(|found| found == table), "{table} is looked at: {tables:?}");
    }
    let (list, channel, name) = (world.collection_id(), ChannelId::from_u128(1), id.to_string());
    let text = CollectionText { title: "List".into(), description: "x".into(), visibility: Visibility::Private };
    world.catalog.create_collection((list, Kind::Playlist), &text, Some(&name), at(1)).await.unwrap();
    world.catalog.create_channel((channel, "theirs"), ("Channel", ""), Some(&name), at(1)).await.unwrap();
    world.catalog.subscribe(id, channel, at(1)).await.unwrap();
    let belongings = world.catalog.belongings_of(id).await.unwrap();
    let kept = [&belongings.collections, &belongings.channels, &belongings.subscriptions];
    assert_eq!(kept.map(|kept| kept[0].name.as_str()), ["List", "Channel", "Channel"]);
    assert_eq!(kept.map(|kept| kept[0].kind.as_str()), ["playlist", "theirs", "theirs"]);
    assert_eq!((belongings.assets.len(), belongings.uploads.len(), belongings.sessions.len()), (1, 2, 1));
    assert_eq!((belongings.shares.len(), belongings.is_cut()), (1, false));
    assert!(belongings.audit.len() >= 4, "{:?}", belongings.audit);

    assert_eq!(world.catalog.erase_user(id, Legacy::Inherited, at(5)).await.unwrap(), Some(admin));
    assert_eq!(world.tables_with(email).await, Vec::<String>::new());
    let left = world.catalog.user(id).await.unwrap().unwrap();
    assert_eq!((left.state, left.email, left.password), (UserState::Deleted, None, None));
    assert_eq!(world.catalog.asset(asset).await.unwrap().unwrap().owner, Some(admin.to_string()));
    assert!(world.catalog.webhooks_of(&id.to_string()).await.unwrap().is_empty());
    let (theirs, heirs) = (world.catalog.belongings_of(id).await.unwrap(), world.catalog.belongings_of(admin).await);
    let heirs = heirs.unwrap();
    assert_eq!((theirs.collections.len(), theirs.channels.len(), theirs.subscriptions.len()), (0, 0, 0));
    assert_eq!((heirs.collections.len(), heirs.channels.len(), heirs.subscriptions.len()), (1, 1, 0));
    let verdict = world.catalog.audit_verify().await.unwrap();
    assert_eq!(verdict.fault, None, "the log is whole, and says who without saying who that was");
    let again = world.catalog.erase_user(id, Legacy::Inherited, at(6)).await;
    assert!(matches!(again, Err(CatalogError::NoUser(_))), "{again:?}");
    let last = world.catalog.erase_user(admin, Legacy::Inherited, at(6)).await;
    assert!(matches!(last, Err(CatalogError::LastAdmin)), "{last:?}");
}

/// One thing of each kind that can become somebody's, made the `nth` time.
async fn made(world: &World, id: UserId, evidence: &Evidence, kind: usize, nth: u128) -> Result<(), CatalogError> {
    let (catalog, name, at) = (&world.catalog, id.to_string(), at(1));
    let unique = format!("{kind} {nth}");
    match kind {
        0 => {
            let text = CollectionText { title: unique, description: "x".into(), visibility: Visibility::Private };
            catalog.create_collection((world.collection_id(), Kind::Playlist), &text, Some(&name), at).await
        }
        1 => {
            let id = ChannelId::from_u128(world.fresh());
            catalog.create_channel((id, &format!("handle-{nth}")), ("Name", ""), Some(&name), at).await
        }
        2 => {
            let (url, description) = ("https://example.org/".to_owned(), unique);
            let (topics, secret) = (Default::default(), "whsec_a".into());
            let id = WebhookId::from_u128(world.fresh());
            catalog
                .create_webhook(&NewWebhook { id, owner: name, url, description, topics, secret }, at)
                .await
                .map(drop)
        }
        3 => {
            let (scopes, expires_at) = (Default::default(), None);
            let (id, user, prefix) = (world.key_id(), id, "hwk_".into());
            let key = NewApiKey { id, user, name: "ci".into(), prefix, hash: unique, scopes, expires_at };
            catalog.create_api_key(&key, at).await
        }
        4 => catalog.create_upload(&catalog_store::NewUpload { owner: Some(name), ..world.new_upload(Some(5)) }).await,
        5 => {
            let part = world.new_part(5, crate::harness::at(1_000_000));
            catalog.create_upload(&catalog_store::NewUpload { owner: Some(name), ..part }).await
        }
        6 => {
            let grant = catalog_store::Grant {
                id: unique,
                owner: Some(name),
                key: None,
                bytes_max: None,
                duration_s_max: None,
                types: vec![],
                origin: None,
                uses_left: 1,
                expires_at: crate::harness::at(1000),
                is_revoked: false,
                created_at: at,
                asset: None,
                is_document: false,
            };
            catalog.create_grant(&grant).await
        }
        7 => catalog.issue_ticket(&unique, (id, Purpose::VerifyEmail), crate::harness::at(100), at).await,
        8 => {
            let named = Named { hash: &unique, principal: &name, fingerprint: "f" };
            catalog.begin_named(&named, LEASE, at).await.map(drop)
        }
        9 => catalog.set_channels(id, &[(NotificationKind::Digest, NotificationChannel::Off)]).await,
        10 => {
            let (session, proof) = (world.session_id(), Proof::Cookie(unique));
            let (evidence, client, expires_at) = (evidence.clone(), "x".into(), crate::harness::at(1_000_000));
            let new = NewSession { id: session, user: id, evidence, proof, client, expires_at };
            catalog.begin_session(&new, at).await
        }
        _ => unreachable!("there are {KINDS}"),
    }
}

const KINDS: usize = 11;

/// Asserts that nothing is that of somebody but links to upload, which are taken back.
async fn has_nothing(world: &World, id: UserId) {
    let (catalog, name) = (&world.catalog, id.to_string());
    let left = catalog.belongings_of(id).await.unwrap();
    assert_eq!((left.assets.len(), left.uploads.len(), left.sessions.len()), (0, 0, 0));
    assert_eq!((left.collections.len(), left.channels.len(), left.subscriptions.len()), (0, 0, 0));
    assert!(left.grants.iter().all(|grant| grant.is_revoked), "{:?}", left.grants);
    assert_eq!(catalog.api_keys_of(id).await.unwrap(), vec![]);
    assert_eq!(catalog.webhooks_of(&name).await.unwrap().len(), 0);
    assert_eq!(catalog.notifications(id, false, None, 10).await.unwrap().len(), 0);
    // The log names them, and so do what the links and the account itself were.
    let tables = world.tables_with(&name).await;
    let expected = ["audit_log", "events", "search_documents", "upload_grants", "users"];
    assert!(tables.iter().all(|table| expected.contains(&&**table)), "{tables:?}");
}

pub(crate) async fn nothing_becomes_that_of_somebody_who_is_gone(world: World) {
    user(&world, Role::Admin, "ada@x.org").await;
    let catalog = &world.catalog;
    let channel = ChannelId::from_u128(1);
    catalog.create_channel((channel, "of-others"), ("Name", ""), None, at(0)).await.unwrap();
    catalog.hold_reader(HOLD, LEASE, at(0)).await.unwrap().unwrap();
    for (nth, is_asked_by_them) in [(1, true), (2, false)] {
        let id = user(&world, Role::Uploader, &format!("{nth}@x.org")).await;
        let evidence = Evidence::of_password(&catalog.user(id).await.unwrap().unwrap());
        match is_asked_by_them {
            true => assert_eq!(catalog.erase_user(id, Legacy::Deleted, at(2)).await.unwrap(), None),
            false => catalog.delete_user(id, None, "x", at(2)).await.unwrap(),
        }
        // What was begun before ends now.
        for kind in 0..KINDS {
            let refused = made(&world, id, &evidence, kind, nth).await;
            let is_refused = matches!(refused, Err(CatalogError::AccountGone(gone)) if gone == id)
                || matches!((&refused, kind), (Err(CatalogError::NotInForce), 10));
            assert!(is_refused, "{kind}: {refused:?}");
        }
        let refused = catalog.subscribe(id, channel, at(3)).await;
        assert!(matches!(refused, Err(CatalogError::AccountGone(_))), "{refused:?}");
        assert!(catalog.notify(HOLD, 1000, &[news(nth, id, 1, true)], at(3)).await.unwrap(), "others are told");
        assert!(!catalog.take_digest(id, 7).await.unwrap());
        has_nothing(&world, id).await;
    }
}

pub(crate) async fn what_is_under_way_while_somebody_is_erased_is_not_left_behind(world: World) {
    user(&world, Role::Admin, "ada@x.org").await;
    let id = user(&world, Role::Uploader, "x@x.org").await;
    let evidence = Evidence::of_password(&world.catalog.user(id).await.unwrap().unwrap());
    let (begun, mut beginnings) = tokio::sync::mpsc::channel(KINDS);
    let mut busy = tokio::task::JoinSet::new();
    for kind in 0..KINDS {
        let (world, evidence, begun) = (world.clone(), evidence.clone(), begun.clone());
        busy.spawn(async move {
            // Ends with the account, or with as many as one may have.
            for nth in 0..500 {
                match made(&world, id, &evidence, kind, nth).await {
                    Ok(()) if nth == 0 => begun.send(()).await.unwrap(),
                    Ok(()) => {}
                    Err(CatalogError::AccountGone(_) | CatalogError::NotInForce) => return,
                    Err(CatalogError::TooManyChannels | CatalogError::TooManyWebhooks) => return,
                    Err(CatalogError::TooManyKeys(_)) => return,
                    Err(error) => panic!("{kind}: {error:?}"),
                }
            }
        });
    }
    for _ in 0..KINDS {
        beginnings.recv().await.unwrap();
    }
    world.catalog.erase_user(id, Legacy::Inherited, at(5)).await.unwrap();
    busy.join_all().await;
    has_nothing(&world, id).await;
}

pub(crate) async fn of_somebody_who_takes_everything_along_no_name_is_left(world: World) {
    let (admin, id) = (user(&world, Role::Admin, "ada@x.org").await, user(&world, Role::Uploader, "x@x.org").await);
    let (catalog, name) = (&world.catalog, id.to_string());
    let file_name = Some("holiday with erika.mp4".to_owned());
    let new = catalog_store::NewUpload { owner: Some(name.clone()), file_name, ..world.new_upload(Some(5)) };
    catalog.create_upload(&new).await.unwrap();
    let asset = new.target.unwrap().asset;
    catalog.share_asset(asset, (admin, Standing::Viewer), "x", at(1)).await.unwrap();
    let text = CollectionText { title: "erika".into(), description: "x".into(), visibility: Visibility::Private };
    catalog.create_collection((world.collection_id(), Kind::Playlist), &text, Some(&name), at(1)).await.unwrap();
    catalog.create_channel((ChannelId::from_u128(1), "erika"), ("Erika", ""), Some(&name), at(1)).await.unwrap();
    let tables = world.tables_with("erika").await;
    for table in ["events", "assets", "collections", "channels"] {
        assert!(tables.iter().any(|found| found == table), "{table}: {tables:?}");
    }
    let refused = catalog.erase_user(id, Legacy::Deleted, at(2)).await;
    assert!(matches!(refused, Err(CatalogError::VideosLeft(left)) if left == id), "{refused:?}");
    assert_eq!(catalog.belongings_of(id).await.unwrap().assets.len(), 1, "nobody else has it");
    catalog.delete_asset(asset, world.job_id(), at(2)).await.unwrap();
    catalog.erase_user(id, Legacy::Deleted, at(3)).await.unwrap();
    let job = world.claim(false, at(4)).await.expect("the purge");
    assert_eq!(catalog.shares_of(asset).await.unwrap().len(), 1, "with whom it was shared is told that it is gone");
    catalog.settle_purge(&job, at(5)).await.unwrap();
    assert_eq!(catalog.shares_of(asset).await.unwrap(), vec![]);
    assert_eq!(world.tables_with("erika").await, ["search_trigrams"]);
    catalog.forget_words(&Place::default(), 1000).await.unwrap();
    assert_eq!(world.tables_with("erika").await, Vec::<String>::new());
    let heirs = catalog.belongings_of(admin).await.unwrap();
    assert_eq!((heirs.collections.len(), heirs.channels.len()), (0, 0));
    let events = catalog.events_after(0, 50).await.unwrap();
    let told: Vec<_> = events.iter().filter(|event| event.asset == Some(asset)).map(|one| one.topic.as_str()).collect();
    assert_eq!(
        told,
        ["asset.uploading", "asset.shared", "asset.deleted", "asset.purged"],
        "what happened is told still"
    );
}

pub(crate) async fn whoever_an_administrator_deletes_is_gone_from_every_table_too(world: World) {
    let email = "delete.me@example.org";
    world.received().await;
    user(&world, Role::Admin, "ada@x.org").await;
    let id = user(&world, Role::User, email).await;
    with_everything(&world, id, email).await;
    world.catalog.delete_user(id, None, "x", at(5)).await.unwrap();
    assert_eq!(world.tables_with(email).await, ["uploads"], "what was uploaded stays");
}
