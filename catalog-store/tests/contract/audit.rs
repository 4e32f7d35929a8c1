//! The audit log: what was done is in it, and what is done to it is found.

use catalog_store::{AuditFault, Catalog, Profile};
use domain::authority::Role;

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
