//! Accounts: one for each address, changed at the version that was read, and always somebody who can decide.

use catalog_store::{CatalogError, NewUser, Profile, Proof, Purpose, Sealed, Side, Terms, UserState};
use domain::UserId;
use domain::authority::Role;

use crate::harness::{World, at};
use crate::sessions::begun;

pub(crate) fn new_user(world: &World, email: &str, role: Role) -> NewUser {
    NewUser {
        id: world.user_id(),
        email: Some(email.to_owned()),
        name: "Ada".into(),
        language: Some("fr".into()),
        role,
        password: Some("$argon2id$...".into()),
        is_email_verified: false,
    }
}

/// An account of its own in this case.
pub(crate) async fn user(world: &World, role: Role) -> UserId {
    let new = new_user(world, "", role);
    let new = NewUser { email: Some(format!("{}@example.org", new.id)), ..new };
    world.catalog.create_user(&new, "system", at(0)).await.unwrap();
    new.id
}

pub(crate) async fn an_address_has_one_account_however_it_is_written(world: World) {
    let new = new_user(&world, "Ada.Lovelace@Example.org", Role::User);
    world.catalog.create_user(&new, "anybody", at(0)).await.unwrap();
    let found = world.catalog.user_by_email(" ada.lovelace@EXAMPLE.org").await.unwrap().expect("it is found");
    assert_eq!((found.id, found.email.as_deref(), found.version), (new.id, Some("Ada.Lovelace@Example.org"), 1));
    assert_eq!((found.role, found.state, found.is_email_verified), (Role::User, UserState::Active, false));
    let again = new_user(&world, "ADA.lovelace@example.org", Role::Admin);
    let before = world.catalog.last_event().await.unwrap();
    let taken = world.catalog.create_user(&again, "anybody", at(1)).await;
    assert!(matches!(taken, Err(CatalogError::EmailTaken(id)) if id == new.id), "{taken:?}");
    assert_eq!(world.catalog.user(again.id).await.unwrap(), None);
    assert_eq!(world.catalog.audit_log(None, 1).await.unwrap()[0].action, "user.registered_again");
    let told = world.catalog.events_after(before, 10).await.unwrap();
    assert!(told.is_empty(), "nothing was changed: {told:?}");
    assert!(!format!("{found:?}").contains("xample"), "{found:?}");
}

pub(crate) async fn parallel_registrations_of_one_address_make_one_account(world: World) {
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (catalog, new) = (world.catalog.clone(), new_user(&world, "many@example.org", Role::User));
        tries.spawn(async move { catalog.create_user(&new, "anybody", at(0)).await });
    }
    let outcomes = tries.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    let is_taken = |outcome: &Result<(), CatalogError>| matches!(outcome, Err(CatalogError::EmailTaken(_)));
    assert_eq!(outcomes.iter().filter(|outcome| is_taken(outcome)).count(), 5, "{outcomes:?}");
}

pub(crate) async fn a_change_is_for_the_version_that_was_read(world: World) {
    let id = user(&world, Role::User).await;
    let profile = |name: &str| Profile { name: name.into(), bio: "Counts.".into(), language: None };
    let changed = world.catalog.set_profile(id, 1, &profile("Countess"), at(1)).await.unwrap();
    assert_eq!((changed.version, changed.name.as_str(), changed.bio.as_str()), (2, "Countess", "Counts."));
    let late = world.catalog.set_profile(id, 1, &profile("Other"), at(2)).await;
    assert!(matches!(late, Err(CatalogError::Changed { version: 2 })), "{late:?}");
    let after = world.catalog.user(id).await.unwrap().expect("it");
    assert_eq!((after.name.as_str(), after.version, after.updated_at), ("Countess", 2, at(1)));
    let nobody = world.catalog.set_profile(world.user_id(), 1, &profile("x"), at(3)).await;
    assert!(matches!(nobody, Err(CatalogError::NoUser(_))), "{nobody:?}");
}

pub(crate) async fn somebody_can_always_decide_about_accounts(world: World) {
    assert!(!world.catalog.has_admin().await.unwrap());
    let first = user(&world, Role::Admin).await;
    assert!(world.catalog.has_admin().await.unwrap());
    let terms = |role, state| Terms { role, state, quota_bytes: None };
    for wanted in [terms(Role::User, UserState::Active), terms(Role::Admin, UserState::Suspended)] {
        let refused = world.catalog.set_terms(first, 1, &wanted, "x", at(1)).await;
        assert!(matches!(refused, Err(CatalogError::LastAdmin)), "{refused:?}");
    }
    let refused = world.catalog.delete_user(first, None, "x", at(1)).await;
    assert!(matches!(refused, Err(CatalogError::LastAdmin)), "{refused:?}");
    let second = user(&world, Role::Admin).await;
    let mut tries = tokio::task::JoinSet::new();
    for id in [first, second] {
        let catalog = world.catalog.clone();
        tries.spawn(async move { catalog.delete_user(id, None, "x", at(2)).await });
    }
    let outcomes = tries.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "of two at once one stays: {outcomes:?}");
}

pub(crate) async fn a_suspended_account_loses_its_sessions_and_a_deleted_one_its_data(world: World) {
    user(&world, Role::Admin).await;
    let id = user(&world, Role::Uploader).await;
    let session = begun(&world, id, Proof::Cookie("cookie-hash".into())).await;
    let terms = Terms { role: Role::Uploader, state: UserState::Suspended, quota_bytes: Some(5) };
    world.catalog.set_terms(id, 1, &terms, "x", at(1)).await.unwrap();
    let found = world.catalog.session(session).await.unwrap().expect("it");
    assert!(found.is_ended && !found.is_live(at(2)));
    assert_eq!(world.catalog.quota_of(&id.to_string()).await.unwrap(), Some(5));
    assert_eq!(world.catalog.quota_of("ada").await.unwrap(), None);
    world.catalog.delete_user(id, Some(2), "x", at(3)).await.unwrap();
    let gone = world.catalog.user(id).await.unwrap().expect("its id is left");
    assert_eq!((gone.email, gone.name.as_str(), gone.password, gone.state), (None, "", None, UserState::Deleted));
    assert!(world.catalog.users(None, 100).await.unwrap().iter().all(|user| user.id != id));
    let again = world.catalog.delete_user(id, None, "x", at(4)).await;
    assert!(matches!(again, Err(CatalogError::NoUser(_))), "{again:?}");
}

pub(crate) async fn pages_of_accounts_are_newest_first_and_without_gaps(world: World) {
    let mut made = Vec::new();
    for _ in 0..5 {
        made.insert(0, user(&world, Role::User).await);
    }
    let (mut seen, mut after) = (Vec::new(), None);
    for _ in 0..3 {
        let page = world.catalog.users(after, 2).await.unwrap();
        after = page.last().map(|user| Side::After(user.id));
        seen.extend(page.into_iter().map(|user| user.id));
    }
    assert_eq!(seen, made);
}

pub(crate) async fn the_first_administrator_is_set_up_once(world: World) {
    assert_eq!(world.catalog.fresh_admin().await.unwrap(), None);
    let new = NewUser { email: None, password: None, ..new_user(&world, "", Role::Admin) };
    world.catalog.create_user(&new, "system", at(0)).await.unwrap();
    assert_eq!(world.catalog.fresh_admin().await.unwrap(), Some(new.id));
    assert!(!world.catalog.has_admin().await.unwrap(), "nobody can log in yet");
    world.catalog.set_up(new.id, ("root@example.org", "Root"), "hash", at(1)).await.unwrap();
    let admin = world.catalog.user_by_email("root@example.org").await.unwrap().expect("it");
    assert_eq!((admin.id, admin.name.as_str(), admin.is_email_verified), (new.id, "Root", true));
    assert!(world.catalog.has_admin().await.unwrap());
    assert_eq!(world.catalog.fresh_admin().await.unwrap(), None);
}

pub(crate) async fn a_second_factor_is_in_force_once_it_is_confirmed_and_its_codes_are_good_once(world: World) {
    let id = user(&world, Role::User).await;
    let stored = async || world.catalog.user(id).await.unwrap().expect("it");
    assert!(!world.catalog.confirm_totp(id, 5, &[], at(0)).await.unwrap(), "nothing was begun");
    world.catalog.begin_totp(id, "aa", at(0)).await.unwrap();
    let opened = |secret: Option<Sealed>| secret.map(|secret| world.catalog.opened_totp(id, &secret).unwrap());
    let both = async || (opened(stored().await.totp), opened(stored().await.totp_pending));
    assert_eq!(both().await, (None, Some("aa".into())));
    assert!(!world.catalog.use_totp_step(id, 5).await.unwrap());
    assert!(world.catalog.confirm_totp(id, 5, &["one".into(), "two".into()], at(1)).await.unwrap());
    assert_eq!(both().await, (Some("aa".into()), None));
    assert!(!world.catalog.use_totp_step(id, 5).await.unwrap(), "its code confirmed it");
    assert!(world.catalog.use_totp_step(id, 6).await.unwrap());
    assert!(!world.catalog.use_totp_step(id, 6).await.unwrap());
    assert!(world.catalog.take_recovery_code(id, "one", at(2)).await.unwrap());
    assert!(!world.catalog.take_recovery_code(id, "one", at(3)).await.unwrap());
    world.catalog.remove_totp(id, at(4)).await.unwrap();
    assert_eq!(stored().await.totp, None);
    assert!(!world.catalog.take_recovery_code(id, "two", at(5)).await.unwrap());
}

pub(crate) async fn a_link_is_good_once_for_its_purpose_and_until_its_end(world: World) {
    let id = user(&world, Role::User).await;
    let issue =
        async |hash: &str, purpose| world.catalog.issue_ticket(hash, (id, purpose), at(10), at(0)).await.unwrap();
    let take = async |hash: &str, purpose, ms| world.catalog.take_ticket(hash, purpose, at(ms)).await.unwrap();
    issue("one", Purpose::VerifyEmail).await;
    assert_eq!(take("one", Purpose::ResetPassword, 1).await, None, "it is for something else");
    assert_eq!(take("one", Purpose::VerifyEmail, 10).await, None, "it is over");
    assert_eq!(take("one", Purpose::VerifyEmail, 1).await, Some(id));
    assert_eq!(take("one", Purpose::VerifyEmail, 1).await, None, "it was used");
    issue("two", Purpose::ResetPassword).await;
    issue("three", Purpose::ResetPassword).await;
    assert_eq!(take("two", Purpose::ResetPassword, 1).await, None, "the next one took its place");
    world.catalog.set_password(id, "new", None, at(2)).await.unwrap();
    assert_eq!(take("three", Purpose::ResetPassword, 3).await, None, "the password was changed since");
    assert!(world.catalog.verify_email(id, at(4)).await.unwrap());
    assert!(!world.catalog.verify_email(id, at(5)).await.unwrap());
    assert!(world.catalog.user(id).await.unwrap().expect("it").is_email_verified);
}
