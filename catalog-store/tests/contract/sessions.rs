//! Sessions, refresh tokens, API keys and signing keys.

use catalog_store::sessions::SESSIONS_MAX;
use catalog_store::{
    CatalogError, Evidence, NewApiKey, NewIdentity, NewSession, Proof, Refreshed, SigningKey, Terms, User, UserState,
};
use domain::authority::{Role, Scope};
use domain::{IdentityId, SessionId, UserId};

use crate::accounts::user;
use crate::harness::{World, at};

/// A session that lasts until 1000 ms.
pub(crate) async fn begun(world: &World, user: UserId, proof: Proof) -> SessionId {
    let id = world.session_id();
    let evidence = Evidence::of_password(&world.catalog.user(user).await.unwrap().unwrap());
    let new = NewSession { id, user, evidence, proof, client: "test/1".into(), expires_at: at(1000) };
    world.catalog.begin_session(&new, at(0)).await.unwrap();
    id
}

fn tokens(hash: &str) -> Proof {
    Proof::Tokens { hash: hash.into(), chain_key: "chain".into() }
}

pub(crate) async fn a_session_is_found_by_what_proves_it_until_it_ends(world: World) {
    let id = user(&world, Role::User).await;
    let session = begun(&world, id, Proof::Cookie("secret".into())).await;
    let found = world.catalog.session_by_secret("secret").await.unwrap().expect("it");
    assert_eq!((found.id, found.member.id, found.member.role), (session, id, Role::User));
    assert!(found.is_live(at(999)) && !found.is_live(at(1000)) && found.has_cookie);
    assert_eq!(world.catalog.session_by_secret("other").await.unwrap(), None);
    world.catalog.touch_session(session, at(2000), at(500)).await.unwrap();
    let found = world.catalog.session(session).await.unwrap().expect("it");
    assert_eq!((found.seen_at, found.expires_at), (at(500), at(2000)));
    assert!(!world.catalog.end_session(world.user_id(), session, at(600)).await.unwrap(), "it is another's");
    assert!(world.catalog.end_session(id, session, at(600)).await.unwrap());
    assert!(!world.catalog.end_session(id, session, at(700)).await.unwrap(), "only once");
    assert!(!world.catalog.session(session).await.unwrap().expect("it").is_live(at(700)));
    assert_eq!(world.catalog.sessions_of(id, at(700)).await.unwrap(), vec![]);
}

/// A session that is about to begin.
fn beginning(world: &World, user: UserId, evidence: Evidence) -> NewSession {
    let id = world.session_id();
    NewSession { id, user, evidence, proof: tokens(&id.to_string()), client: "test/1".into(), expires_at: at(1000) }
}

async fn read(world: &World, id: UserId) -> User {
    world.catalog.user(id).await.unwrap().unwrap()
}

pub(crate) async fn a_session_begins_only_by_what_is_in_force_when_it_does(world: World) {
    let (admin, id) = (user(&world, Role::Admin).await, user(&world, Role::User).await);
    let catalog = &world.catalog;
    catalog.set_password(admin, "a", None, at(0)).await.unwrap();
    catalog.set_password(id, "old", None, at(0)).await.unwrap();
    let is_let_in = async |seen: &User| {
        let logged = catalog.audit_log(None, 100).await.unwrap().len();
        match catalog.begin_session(&beginning(&world, id, Evidence::of_password(seen)), at(5)).await {
            Ok(()) => true,
            Err(CatalogError::NotInForce) => {
                assert_eq!(catalog.audit_log(None, 100).await.unwrap().len(), logged, "nothing began");
                false
            }
            Err(error) => panic!("{error}"),
        }
    };
    // Each time somebody is found to know the password, then something happens, then the session would begin.
    let seen = read(&world, id).await;
    catalog
        .set_profile(
            id,
            seen.version,
            &catalog_store::Profile { name: "New".into(), bio: String::new(), language: None },
            at(1),
        )
        .await
        .unwrap();
    assert!(is_let_in(&seen).await, "another name changes nothing");
    catalog.set_password(id, "new", None, at(2)).await.unwrap();
    assert!(!is_let_in(&seen).await, "the password was reset");
    assert_eq!(catalog.sessions_of(id, at(6)).await.unwrap(), vec![]);

    let seen = read(&world, id).await;
    catalog.begin_totp(id, "secret", at(3)).await.unwrap();
    assert!(is_let_in(&seen).await, "it is not confirmed");
    assert!(catalog.confirm_totp(id, 1, &[], at(3)).await.unwrap());
    assert!(!is_let_in(&seen).await, "there is a second factor by now");
    let seen = read(&world, id).await;
    assert!(is_let_in(&seen).await);
    catalog.begin_totp(id, "other", at(3)).await.unwrap();
    assert!(catalog.confirm_totp(id, 2, &[], at(3)).await.unwrap());
    assert!(!is_let_in(&seen).await, "there is another second factor");
    catalog.remove_totp(id, at(3)).await.unwrap();
    assert!(is_let_in(&seen).await, "none is asked for any more");

    let seen = read(&world, id).await;
    let terms = |state| Terms { role: Role::User, state, quota_bytes: None };
    let suspended = catalog.set_terms(id, seen.version, &terms(UserState::Suspended), "x", at(4)).await.unwrap();
    assert!(!is_let_in(&seen).await && !is_let_in(&suspended).await);
    catalog.set_terms(id, suspended.version, &terms(UserState::Active), "x", at(4)).await.unwrap();
    assert_eq!(catalog.sessions_of(id, at(6)).await.unwrap(), vec![], "none began meanwhile");
    assert!(is_let_in(&seen).await);
    catalog.delete_user(id, None, "x", at(5)).await.unwrap();
    assert!(!is_let_in(&seen).await && !is_let_in(&read(&world, id).await).await);
    let unknown = beginning(&world, world.user_id(), Evidence::of_password(&seen));
    assert!(matches!(catalog.begin_session(&unknown, at(6)).await, Err(CatalogError::NotInForce)));
}

pub(crate) async fn a_session_begins_by_an_identity_as_long_as_that_is_linked(world: World) {
    let id = user(&world, Role::User).await;
    let catalog = &world.catalog;
    catalog.set_password(id, "old", None, at(0)).await.unwrap();
    let identity = |nth| NewIdentity {
        id: IdentityId::from_u128(nth),
        provider: "corp".into(),
        issuer: "https://id.example.org".into(),
        subject: format!("subject {nth}"),
    };
    assert!(catalog.link_identity(&identity(1), id, at(0)).await.unwrap());
    let evidence = Evidence::of_identity(&read(&world, id).await, identity(1).id);
    catalog.set_password(id, "new", None, at(1)).await.unwrap();
    catalog.begin_session(&beginning(&world, id, evidence.clone()), at(2)).await.unwrap();
    assert!(catalog.unlink_identity(id, identity(1).id, at(3)).await.unwrap());
    let refused = catalog.begin_session(&beginning(&world, id, evidence), at(4)).await;
    assert!(matches!(refused, Err(CatalogError::NotInForce)), "{refused:?}");
    let other = user(&world, Role::User).await;
    assert!(catalog.link_identity(&identity(2), other, at(5)).await.unwrap());
    let evidence = Evidence::of_identity(&read(&world, id).await, identity(2).id);
    let refused = catalog.begin_session(&beginning(&world, id, evidence), at(6)).await;
    assert!(matches!(refused, Err(CatalogError::NotInForce)), "it is another's: {refused:?}");
}

pub(crate) async fn a_password_that_was_set_meanwhile_is_not_hashed_anew(world: World) {
    let id = user(&world, Role::User).await;
    world.catalog.set_password(id, "of another system", None, at(0)).await.unwrap();
    world.catalog.set_password(id, "new", None, at(1)).await.unwrap();
    assert!(!world.catalog.rehash_password(id, "of another system", "of this one").await.unwrap());
    assert_eq!(read(&world, id).await.password.as_deref(), Some("new"));
    assert!(world.catalog.rehash_password(id, "new", "newer").await.unwrap());
    assert_eq!(read(&world, id).await.password.as_deref(), Some("newer"));
}

pub(crate) async fn a_password_is_changed_by_who_knew_the_one_in_force(world: World) {
    let id = user(&world, Role::User).await;
    let catalog = &world.catalog;
    catalog.set_password(id, "first", None, at(0)).await.unwrap();
    let mine = begun(&world, id, Proof::Cookie("mine".into())).await;
    let others = begun(&world, id, Proof::Cookie("another's".into())).await;
    // Both know it, and one is first.
    catalog.change_password(id, ("first", "mine"), Some(mine), at(1)).await.unwrap();
    let logged = catalog.audit_log(None, 100).await.unwrap().len();
    let refused = catalog.change_password(id, ("first", "another's"), Some(others), at(2)).await;
    assert!(matches!(refused, Err(CatalogError::NotInForce)), "{refused:?}");
    assert_eq!(read(&world, id).await.password.as_deref(), Some("mine"));
    assert_eq!(catalog.audit_log(None, 100).await.unwrap().len(), logged, "nothing was changed");
    let live = catalog.sessions_of(id, at(3)).await.unwrap();
    assert_eq!(live.iter().map(|session| session.id).collect::<Vec<_>>(), [mine]);
    let mut changes = tokio::task::JoinSet::new();
    for nth in 0..8 {
        let catalog = catalog.clone();
        changes.spawn(async move { catalog.change_password(id, ("mine", &format!("of {nth}")), None, at(4)).await });
    }
    let outcomes = changes.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
}

pub(crate) async fn whoever_begins_a_session_waits_for_who_sets_the_password(world: World) {
    let id = user(&world, Role::User).await;
    for round in 0..8 {
        let evidence = Evidence::of_password(&read(&world, id).await);
        let mut logins = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let (catalog, new) = (world.catalog.clone(), beginning(&world, id, evidence.clone()));
            logins.spawn(async move { catalog.begin_session(&new, at(2)).await });
        }
        world.catalog.set_password(id, &format!("round {round}"), None, at(2)).await.unwrap();
        for outcome in logins.join_all().await {
            assert!(matches!(outcome, Ok(()) | Err(CatalogError::NotInForce)), "{outcome:?}");
        }
        assert_eq!(world.catalog.sessions_of(id, at(3)).await.unwrap(), vec![], "of the password before");
    }
}

pub(crate) async fn all_sessions_but_one_can_be_ended_and_so_many_live_at_once(world: World) {
    let id = user(&world, Role::User).await;
    let mut made = Vec::new();
    for at in 0..=SESSIONS_MAX {
        made.push(begun(&world, id, Proof::Cookie(format!("secret-{at}"))).await);
    }
    let live = world.catalog.sessions_of(id, at(1)).await.unwrap();
    assert_eq!(live.len(), usize::try_from(SESSIONS_MAX).unwrap());
    assert!(live.iter().all(|session| session.id != made[0]), "the oldest made room");
    assert_eq!(world.catalog.end_sessions(id, Some(made[7]), at(2)).await.unwrap(), u64::from(SESSIONS_MAX) - 1);
    let live = world.catalog.sessions_of(id, at(3)).await.unwrap();
    assert_eq!(live.iter().map(|session| session.id).collect::<Vec<_>>(), [made[7]]);
    world.catalog.set_password(id, "new", Some(made[7]), at(4)).await.unwrap();
    assert_eq!(world.catalog.sessions_of(id, at(5)).await.unwrap().len(), 1);
    world.catalog.set_password(id, "newer", None, at(6)).await.unwrap();
    assert_eq!(world.catalog.sessions_of(id, at(7)).await.unwrap(), vec![]);
    assert_eq!(world.catalog.prune_sessions(at(1001)).await.unwrap(), u64::from(SESSIONS_MAX) + 1);
}

pub(crate) async fn a_refresh_token_is_spent_for_its_successor(world: World) {
    let id = user(&world, Role::User).await;
    let session = begun(&world, id, tokens("t1")).await;
    let known = world.catalog.refresh_token("t1").await.unwrap().expect("it");
    assert_eq!((known.session, known.user, known.chain_key.as_str()), (session, id, "chain"));
    let refresh = async |hash: &str, next: &str, ms| {
        world.catalog.refresh(hash, next, at(ms + 1000), at(ms - 30), at(ms)).await.unwrap()
    };
    assert_eq!(refresh("t1", "t2", 100).await, Refreshed::Rotated);
    assert_eq!(world.catalog.session(session).await.unwrap().expect("it").expires_at, at(1100));
    // The answer was lost: the same successor is good, and asking again changes nothing.
    assert_eq!(refresh("t1", "t2", 120).await, Refreshed::Repeated);
    assert_eq!(refresh("t1", "t2", 130).await, Refreshed::Repeated);
    assert_eq!(refresh("t2", "t3", 200).await, Refreshed::Rotated);
    assert_eq!(refresh("t0", "t1", 200).await, Refreshed::Over, "nobody gave it");
    assert_eq!(refresh("t3", "t4", 2000).await, Refreshed::Over, "it was not used in time");
}

pub(crate) async fn a_refresh_token_that_is_used_again_later_ends_its_session(world: World) {
    let id = user(&world, Role::User).await;
    let (late, early) = (begun(&world, id, tokens("a1")).await, begun(&world, id, tokens("b1")).await);
    let refresh = async |hash: &str, next: &str, ms| {
        world.catalog.refresh(hash, next, at(ms + 1000), at(ms - 30), at(ms)).await.unwrap()
    };
    assert_eq!(refresh("a1", "a2", 100).await, Refreshed::Rotated);
    assert_eq!(refresh("a1", "a2", 131).await, Refreshed::Reused);
    assert!(world.catalog.session(late).await.unwrap().expect("it").is_ended);
    assert_eq!(refresh("a2", "a3", 132).await, Refreshed::Over, "the whole family is over");
    // Within the grace as well, once the successor was used: whoever has that got the answer.
    assert_eq!(refresh("b1", "b2", 100).await, Refreshed::Rotated);
    assert_eq!(refresh("b2", "b3", 105).await, Refreshed::Rotated);
    assert_eq!(refresh("b1", "b2", 110).await, Refreshed::Reused);
    assert!(world.catalog.session(early).await.unwrap().expect("it").is_ended);
    let actions: Vec<String> =
        world.catalog.audit_log(None, 2).await.unwrap().into_iter().map(|entry| entry.action).collect();
    assert_eq!(actions, ["session.refresh_reused", "session.refresh_reused"]);
}

pub(crate) async fn parallel_uses_of_one_refresh_token_agree_on_the_successor(world: World) {
    let id = user(&world, Role::User).await;
    begun(&world, id, tokens("p1")).await;
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let catalog = world.catalog.clone();
        tries.spawn(async move { catalog.refresh("p1", "p2", at(1100), at(70), at(100)).await.unwrap() });
    }
    let outcomes = tries.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Refreshed::Rotated).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Refreshed::Repeated).count(), 7, "{outcomes:?}");
}

pub(crate) async fn an_api_key_is_good_until_it_ends_or_is_taken_back(world: World) {
    let id = user(&world, Role::Uploader).await;
    let key = |hash: &str, expires_at| NewApiKey {
        id: world.key_id(),
        user: id,
        name: "ci".into(),
        prefix: "hwk_abc".into(),
        hash: hash.into(),
        scopes: [Scope::UploadsCreate, Scope::AssetsRead].into_iter().collect(),
        expires_at,
    };
    let new = key("one", Some(at(100)));
    world.catalog.create_api_key(&new, at(0)).await.unwrap();
    let found = world.catalog.api_key_by_hash("one").await.unwrap().expect("it");
    assert_eq!((found.id, found.member.id, found.scopes, found.seen_at), (new.id, id, new.scopes, None));
    assert!(found.is_live(at(99)) && !found.is_live(at(100)));
    world.catalog.touch_api_key(new.id, at(5)).await.unwrap();
    assert_eq!(world.catalog.api_keys_of(id).await.unwrap()[0].seen_at, Some(at(5)));
    assert!(!world.catalog.revoke_api_key(world.user_id(), new.id, at(6)).await.unwrap(), "it is another's");
    assert!(world.catalog.revoke_api_key(id, new.id, at(6)).await.unwrap());
    assert!(!world.catalog.revoke_api_key(id, new.id, at(7)).await.unwrap());
    assert!(!world.catalog.api_key_by_hash("one").await.unwrap().expect("it").is_live(at(8)));
    for at_key in 0..catalog_store::credentials::KEYS_MAX {
        world.catalog.create_api_key(&key(&format!("key-{at_key}"), None), at(9)).await.unwrap();
    }
    let refused = world.catalog.create_api_key(&key("too many", None), at(10)).await;
    assert!(matches!(refused, Err(CatalogError::TooManyKeys(_))), "{refused:?}");
}

pub(crate) async fn one_of_several_processes_adds_a_signing_key(world: World) {
    let key = |id: &str, ms| SigningKey {
        id: id.into(),
        purpose: "jwt:EdDSA".into(),
        secret: "secret".into(),
        created_at: at(ms),
    };
    let (one, two) = (key("one", 0), key("two", 0));
    let renew = |key, ms| world.catalog.renew_signing_keys(Some(key), at(ms - 100), &[], at(ms));
    let (first, second) = tokio::join!(renew(&one, 0), renew(&two, 0));
    first.unwrap();
    second.unwrap();
    let keys = world.catalog.signing_keys().await.unwrap();
    assert_eq!(keys.len(), 1, "whoever comes second takes that of the first");
    let third = key("three", 200);
    let gone = [keys[0].id.clone()];
    let keys = world.catalog.renew_signing_keys(Some(&third), at(100), &gone, at(200)).await.unwrap();
    assert_eq!(keys.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), ["three"]);
}
