//! Accounts and rows of the audit log, looked for.

use catalog_store::{AuditFilter, NewUser, Profile, Side};
use domain::UserId;
use domain::authority::Role;

use crate::accounts::{new_user, user};
use crate::harness::{World, at};

async fn named(world: &World, name: &str, email: Option<&str>) -> UserId {
    let new = new_user(world, "", Role::User);
    let new = NewUser { name: name.into(), email: email.map(str::to_owned), ..new };
    world.catalog.create_user(&new, "system", at(0)).await.unwrap();
    new.id
}

async fn found(world: &World, text: &str) -> Vec<UserId> {
    let mut found: Vec<UserId> =
        world.catalog.users_like(text, None, 10).await.unwrap().iter().map(|user| user.id).collect();
    found.reverse();
    found
}

pub(crate) async fn accounts_are_found_by_what_their_names_and_addresses_begin_with(world: World) {
    user(&world, Role::Admin).await;
    let zoe = named(&world, "Zoé Léa Dûpont", Some("Zoe.D@Example.org")).await;
    let leo = named(&world, "Léo", Some("duplo@example.net")).await;
    let zola = named(&world, "ZOLA_100%", None).await;
    let check = async |text: &str, expected: &[UserId]| assert_eq!(found(&world, text).await, expected, "{text:?}");
    check("zo", &[zoe, zola]).await;
    check("ZOÉ", &[zoe]).await;
    check("zoe.d@EX", &[zoe]).await;
    check("le", &[zoe, leo]).await;
    check("léa dup", &[zoe]).await;
    check("dup", &[zoe, leo]).await;
    check("example", &[]).await;
    check("zola 100", &[zola]).await;
    // Nothing in a text means anything else.
    for text in ["%", "z%", "_o", "'", "zo\\"] {
        assert!(!found(&world, text).await.contains(&leo), "{text}");
    }
    check("@", &[]).await;
    check(&zola.to_string(), &[zola]).await;

    // Page by page, as the list without a text.
    let first = world.catalog.users_like("zo", None, 1).await.unwrap();
    let second = world.catalog.users_like("zo", Some(Side::After(first[0].id)), 1).await.unwrap();
    assert_eq!((first[0].id, second[0].id), (zola, zoe));

    // By what they are called now, and not at all once they are gone.
    let profile = Profile { name: "Max".into(), bio: String::new(), language: None };
    world.catalog.set_profile(leo, 1, &profile, at(1)).await.unwrap();
    check("le", &[zoe]).await;
    check("max", &[leo]).await;
    check("duplo", &[leo]).await;
    world.catalog.delete_user(zoe, None, "x", at(2)).await.unwrap();
    check("zo", &[zola]).await;
    // What an earlier version wrote is there after the next start.
    world.catalog.migrate().await.unwrap();
    check("max", &[leo]).await;
}

pub(crate) async fn rows_of_the_audit_log_are_found_by_all_that_stands_in_them(world: World) {
    let (ada, bob) = (named(&world, "Ada", None).await, named(&world, "Bob", None).await);
    let (by_ada, by_bob) = (ada.to_string(), bob.to_string());
    for (actor, action, subject, ms) in [
        (&by_ada, "session.begun", ada, 10),
        (&by_ada, "user.suspended", bob, 20),
        (&by_bob, "user.suspended", ada, 30),
        (&by_bob, "user_x", ada, 40),
        (&by_bob, "session.ended", bob, 50),
    ] {
        world.catalog.note(actor, action, subject, at(ms)).await.unwrap();
    }
    let of = async |filter: AuditFilter, before: Option<u64>, limit: u32| {
        let rows = world.catalog.audit_log_of(&filter, before.map(Side::After), limit).await.unwrap();
        rows.into_iter().map(|row| row.seq).collect::<Vec<_>>()
    };
    let any = AuditFilter::default;
    let all = of(any(), None, 10).await;
    assert_eq!(all, [7, 6, 5, 4, 3, 2, 1], "two made the accounts");
    let check = async |filter: AuditFilter, expected: &[u64]| {
        assert_eq!(of(filter.clone(), None, 10).await, expected, "{filter:?}");
    };
    check(AuditFilter { actor: Some(by_ada.clone()), ..any() }, &[4, 3]).await;
    check(AuditFilter { target: Some(by_ada.clone()), ..any() }, &[6, 5, 3, 1]).await;
    check(AuditFilter { action: Some("user.".into()), ..any() }, &[5, 4, 2, 1]).await;
    check(AuditFilter { action: Some("user.suspended".into()), ..any() }, &[5, 4]).await;
    check(AuditFilter { action: Some("suspended".into()), ..any() }, &[]).await;
    check(AuditFilter { action: Some("%".into()), ..any() }, &[]).await;
    check(AuditFilter { from: Some(at(20)), until: Some(at(40)), ..any() }, &[5, 4]).await;
    let both = AuditFilter { actor: Some(by_bob), target: Some(by_ada), ..any() };
    check(both.clone(), &[6, 5]).await;
    check(AuditFilter { action: Some("user.s".into()), until: Some(at(30)), ..both.clone() }, &[]).await;
    assert_eq!((of(both.clone(), None, 1).await, of(both, Some(6), 1).await), (vec![6], vec![5]));
}
