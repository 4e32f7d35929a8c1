//! Pictures of people: what is shown, and what is to be removed from the store.

use catalog_store::CatalogError;
use domain::authority::Role;
use domain::{PictureId, UserId};

use crate::accounts::user;
use crate::harness::{World, at};

/// What is to be removed from the store at this time.
async fn due(world: &World, ms: i64) -> Vec<(UserId, PictureId)> {
    world.catalog.avatars_due(10, at(ms)).await.unwrap()
}

/// A picture that is announced and taken.
async fn set(world: &World, user: UserId, number: u128, ms: i64) -> PictureId {
    let picture = PictureId::from_u128(number);
    world.catalog.announce_avatar(user, picture, at(ms + 1000)).await.unwrap();
    assert_eq!(world.catalog.set_avatar(user, picture, at(ms)).await.unwrap().avatar, Some(picture));
    picture
}

pub(crate) async fn a_picture_is_shown_once_it_is_taken_and_removed_from_the_store_when_it_is_not(world: World) {
    let id = user(&world, Role::User).await;
    assert_eq!(world.catalog.avatar(id).await.unwrap(), None);
    let lost = PictureId::from_u128(1);
    world.catalog.announce_avatar(id, lost, at(1000)).await.unwrap();
    assert_eq!((due(&world, 999).await, due(&world, 1000).await), (vec![], vec![(id, lost)]), "nobody took it in time");
    world.catalog.forget_avatar(lost).await.unwrap();

    let first = set(&world, id, 2, 1001).await;
    assert_eq!((world.catalog.avatar(id).await.unwrap(), due(&world, 9999).await), (Some(first), vec![]));
    let second = set(&world, id, 3, 1002).await;
    assert_eq!((world.catalog.avatar(id).await.unwrap(), due(&world, 1002).await), (Some(second), vec![(id, first)]));
    world.catalog.forget_avatar(first).await.unwrap();
    assert!(world.catalog.remove_avatar(id, "usr_moderator", at(1003)).await.unwrap());
    assert!(!world.catalog.remove_avatar(id, "usr_moderator", at(1004)).await.unwrap());
    assert_eq!((world.catalog.avatar(id).await.unwrap(), due(&world, 1003).await), (None, vec![(id, second)]));

    let log = world.catalog.audit_log(None, 10).await.unwrap();
    let done: Vec<(&str, &str)> = log.iter().map(|entry| (&*entry.actor, &*entry.action)).collect();
    let name = id.to_string();
    assert_eq!(
        done[..3],
        [("usr_moderator", "user.avatar_removed"), (&*name, "user.avatar_set"), (&*name, "user.avatar_set")]
    );
    let gone = world.catalog.remove_avatar(UserId::from_u128(99), "x", at(5)).await;
    assert!(matches!(gone, Err(CatalogError::NoUser(_))), "{gone:?}");
}

pub(crate) async fn of_whoever_is_erased_or_deleted_the_picture_is_to_be_removed(world: World) {
    user(&world, Role::Admin).await;
    let (one, two, three) =
        (user(&world, Role::User).await, user(&world, Role::User).await, user(&world, Role::User).await);
    let (first, second) = (set(&world, one, 1, 1).await, set(&world, two, 2, 1).await);
    world.catalog.erase_user(one, catalog_store::erasure::Legacy::Inherited, at(5)).await.unwrap();
    world.catalog.delete_user(two, None, "x", at(6)).await.unwrap();
    world.catalog.delete_user(three, None, "x", at(6)).await.unwrap();
    assert_eq!(due(&world, 6).await, vec![(one, first), (two, second)]);
    for gone in [one, two] {
        assert_eq!(world.catalog.avatar(gone).await.unwrap(), None);
        assert_eq!(world.catalog.user(gone).await.unwrap().unwrap().avatar, None);
    }
}

pub(crate) async fn a_picture_that_nobody_announced_is_not_taken(world: World) {
    let id = user(&world, Role::User).await;
    let known = set(&world, id, 1, 1).await;
    // The round has removed it already: it is in the store no longer.
    assert!(world.catalog.set_avatar(id, PictureId::from_u128(2), at(2)).await.is_err());
    assert_eq!((world.catalog.avatar(id).await.unwrap(), due(&world, 9999).await), (Some(known), vec![]));
}
