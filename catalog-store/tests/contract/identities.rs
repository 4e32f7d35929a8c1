//! Who somebody is at providers: one account for each identity, and a way in that stays.

use catalog_store::{CatalogError, NewIdentity, NewUser};
use domain::authority::Role;
use domain::{IdentityId, UserId};

use crate::harness::{World, at};

fn identity(number: u128, subject: &str) -> NewIdentity {
    let (id, issuer) = (IdentityId::from_u128(number), "https://id.example.org".into());
    NewIdentity { id, provider: "corp".into(), issuer, subject: subject.into() }
}

fn somebody(world: &World, email: &str, password: Option<&str>) -> NewUser {
    NewUser {
        id: world.user_id(),
        email: Some(email.into()),
        name: "x".into(),
        language: None,
        role: Role::User,
        password: password.map(str::to_owned),
        is_email_verified: true,
    }
}

async fn account(world: &World, email: &str, password: Option<&str>) -> UserId {
    let new = somebody(world, email, password);
    world.catalog.create_user(&new, "test", at(0)).await.unwrap();
    new.id
}

pub(crate) async fn an_identity_belongs_to_one_account(world: World) {
    let catalog = &world.catalog;
    let (ada, bob) = (account(&world, "ada@x.org", None).await, account(&world, "bob@x.org", None).await);
    assert!(catalog.link_identity(&identity(1, "a"), ada, at(1)).await.unwrap());
    assert!(!catalog.link_identity(&identity(2, "a"), ada, at(2)).await.unwrap(), "it is theirs already");
    let taken = catalog.link_identity(&identity(3, "a"), bob, at(3)).await;
    assert!(matches!(taken, Err(CatalogError::IdentityTaken)), "{taken:?}");
    let found = catalog.identity("https://id.example.org", "a").await.unwrap().unwrap();
    assert_eq!((found.id, found.user, found.used_at), (IdentityId::from_u128(1), ada, at(1)));
    catalog.use_identity(found.id, at(9)).await.unwrap();
    assert_eq!(catalog.identities_of(ada).await.unwrap()[0].used_at, at(9));
    assert_eq!(catalog.identity("https://other.example.org", "a").await.unwrap(), None);
    for number in 0..19 {
        assert!(catalog.link_identity(&identity(100 + number, &format!("b{number}")), ada, at(4)).await.unwrap());
    }
    let many = catalog.link_identity(&identity(200, "one more"), ada, at(4)).await;
    assert!(matches!(many, Err(CatalogError::TooManyIdentities)), "{many:?}");
    let gone = catalog.link_identity(&identity(201, "z"), UserId::from_u128(9999), at(4)).await;
    assert!(matches!(gone, Err(CatalogError::NoUser(_))), "{gone:?}");
}

pub(crate) async fn an_account_and_its_identity_are_born_together(world: World) {
    let catalog = &world.catalog;
    let new = somebody(&world, "ada@x.org", None);
    catalog.create_user_of(&new, &identity(1, "a"), at(1)).await.unwrap();
    assert_eq!(catalog.identity("https://id.example.org", "a").await.unwrap().unwrap().user, new.id);
    let again = catalog.create_user_of(&somebody(&world, "Ada@x.org", None), &identity(2, "b"), at(2)).await;
    assert!(matches!(again, Err(CatalogError::EmailTaken(id)) if id == new.id), "{again:?}");
    let taken = catalog.create_user_of(&somebody(&world, "bob@x.org", None), &identity(3, "a"), at(2)).await;
    assert!(matches!(taken, Err(CatalogError::IdentityTaken)), "{taken:?}");
    assert!(catalog.user_by_email("bob@x.org").await.unwrap().is_none(), "neither is there without the other");
    assert!(catalog.identity("https://id.example.org", "b").await.unwrap().is_none());
    assert_eq!(catalog.audit_verify().await.unwrap().fault, None);
}

pub(crate) async fn the_last_way_in_stays(world: World) {
    let catalog = &world.catalog;
    let ada = account(&world, "ada@x.org", None).await;
    catalog.link_identity(&identity(1, "a"), ada, at(1)).await.unwrap();
    catalog.link_identity(&identity(2, "b"), ada, at(1)).await.unwrap();
    let bob = account(&world, "bob@x.org", Some("hash")).await;
    assert!(!catalog.unlink_identity(bob, IdentityId::from_u128(1), at(2)).await.unwrap(), "it is not theirs");
    assert!(catalog.unlink_identity(ada, IdentityId::from_u128(1), at(2)).await.unwrap());
    let last = catalog.unlink_identity(ada, IdentityId::from_u128(2), at(3)).await;
    assert!(matches!(last, Err(CatalogError::LastWayIn)), "{last:?}");
    assert_eq!(catalog.identities_of(ada).await.unwrap().len(), 1);
    catalog.set_password(ada, "hash", None, at(4)).await.unwrap();
    assert!(catalog.unlink_identity(ada, IdentityId::from_u128(2), at(5)).await.unwrap());
    // It is free for somebody else.
    assert!(catalog.link_identity(&identity(3, "b"), bob, at(6)).await.unwrap());
}
