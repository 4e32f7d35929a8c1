//! Capabilities and imports: used as often as allowed, and kept over restarts.

use catalog_store::{CatalogError, Closing, Grant, ImportNote, NewUpload, Side, UploadKind, UploadTerms};

use crate::harness::{World, at};

fn grant(id: &str) -> Grant {
    Grant {
        id: id.into(),
        owner: Some("ada".into()),
        key: None,
        bytes_max: Some(1 << 40),
        duration_s_max: Some(60),
        types: vec!["video/*".into()],
        origin: Some("https://example.org".into()),
        uses_left: 1,
        expires_at: at(100),
        is_revoked: false,
        created_at: at(0),
        asset: None,
        is_document: false,
    }
}

fn under(world: &World, grant: &str) -> NewUpload {
    let terms = UploadTerms { grant: Some(grant.into()), ..UploadTerms::default() };
    NewUpload { terms, ..world.new_upload(Some(10)) }
}

pub(crate) async fn a_grant_reads_back_until_it_is_forgotten(world: World) {
    let id = format!("a{}", world.job_id());
    let given = grant(&id);
    world.catalog.create_grant(&given).await.unwrap();
    assert!(world.catalog.create_grant(&given).await.is_err(), "ids are unique");
    assert_eq!(world.catalog.grant(&id).await.unwrap(), Some(given));
    assert_eq!(world.catalog.grant("other").await.unwrap(), None);
    assert_eq!(world.catalog.prune_grants(at(100)).await.unwrap(), 0);
    assert!(world.catalog.prune_grants(at(101)).await.unwrap() >= 1);
    assert_eq!(world.catalog.grant(&id).await.unwrap(), None);
}

pub(crate) async fn a_grant_is_used_as_often_as_allowed_and_parts_do_not_count(world: World) {
    let id = format!("b{}", world.job_id());
    world.catalog.create_grant(&Grant { uses_left: 2, ..grant(&id) }).await.unwrap();
    let part = NewUpload { terms: under(&world, &id).terms, ..world.new_part(10, at(50)) };
    world.catalog.create_upload(&part).await.unwrap();
    let mut used = None;
    for uses_left in [1, 0] {
        let new = under(&world, &id);
        world.catalog.create_upload(&new).await.unwrap();
        used = new.target;
        assert_eq!(world.catalog.grant(&id).await.unwrap().expect("it").uses_left, uses_left);
    }
    let refused = under(&world, &id);
    let spent = world.catalog.create_upload(&refused).await;
    assert!(matches!(spent, Err(CatalogError::GrantSpent(_))), "{spent:?}");
    let terms = world.catalog.terms_of_source(used.expect("not a part").source()).await.unwrap();
    assert_eq!(terms.expect("they are kept").grant, Some(id));
    assert_eq!(world.catalog.terms_of_source(refused.target.expect("not a part").source()).await.unwrap(), None);
    assert_eq!(world.catalog.upload(refused.id).await.unwrap(), None, "nothing is left of it");
}

pub(crate) async fn parts_are_unpaid_until_a_use_is_spent_on_them(world: World) {
    let id = format!("f{}", world.job_id());
    world.catalog.create_grant(&Grant { uses_left: 2, ..grant(&id) }).await.unwrap();
    let unpaid = async || {
        let parts = world.catalog.unpaid_parts(&id).await.unwrap();
        (parts.count, parts.bytes.0, parts.waiting)
    };
    let terms = under(&world, &id).terms;
    let parts = [10, 20, 30].map(|length| NewUpload { terms: terms.clone(), ..world.new_part(length, at(50)) });
    for part in &parts {
        world.catalog.create_upload(part).await.unwrap();
    }
    world.catalog.create_upload(&world.new_part(5, at(50))).await.unwrap();
    assert_eq!(unpaid().await, (3, 60, 0));
    world.catalog.close_upload(parts[0].id, &Closing::Terminated, at(1)).await.unwrap();
    assert_eq!(unpaid().await, (2, 50, 0));
    let whole = |length, part: &NewUpload| NewUpload {
        kind: UploadKind::Final,
        length,
        terms: UploadTerms { parts: vec![part.id], ..terms.clone() },
        ..under(&world, &id)
    };
    world.catalog.create_upload(&whole(Some(20), &parts[1])).await.unwrap();
    assert_eq!(unpaid().await, (1, 30, 0));
    let waiting = whole(None, &parts[2]);
    world.catalog.create_upload(&waiting).await.unwrap();
    assert_eq!(unpaid().await, (1, 30, 1), "it may still grow");
    world.catalog.close_upload(waiting.id, &Closing::Terminated, at(2)).await.unwrap();
    assert_eq!(unpaid().await, (0, 0, 0), "the use is spent all the same");
}

pub(crate) async fn a_grant_that_ended_or_was_taken_back_is_of_no_use(world: World) {
    let (old, revoked) = (format!("c{}", world.job_id()), format!("d{}", world.job_id()));
    world.catalog.create_grant(&Grant { expires_at: at(0), ..grant(&old) }).await.unwrap();
    world.catalog.create_grant(&grant(&revoked)).await.unwrap();
    assert!(world.catalog.revoke_grant(&revoked, Some("ada"), at(1)).await.unwrap());
    assert!(!world.catalog.revoke_grant(&revoked, None, at(2)).await.unwrap(), "only once");
    assert!(world.catalog.grant(&revoked).await.unwrap().expect("it").is_revoked);
    for id in [&old, &revoked] {
        let spent = world.catalog.create_upload(&under(&world, id)).await;
        assert!(matches!(spent, Err(CatalogError::GrantSpent(_))), "{spent:?}");
    }
}

pub(crate) async fn grants_of_one_are_listed_behind_each_other(world: World) {
    let (owner, other) = (format!("o{}", world.job_id()), format!("p{}", world.job_id()));
    let ids: Vec<String> = (0..4).map(|_| format!("9{}", world.job_id())).collect();
    for (nth, id) in ids.iter().enumerate() {
        // Two of them at the same instant.
        let created_at = at(i64::try_from(nth / 2).unwrap());
        let key = (nth == 3).then(|| domain::KeyId::from_u128(5));
        world.catalog.create_grant(&Grant { owner: Some(owner.clone()), key, created_at, ..grant(id) }).await.unwrap();
    }
    world.catalog.create_grant(&Grant { owner: Some(other), ..grant(&format!("8{}", ids[0])) }).await.unwrap();
    let mut wanted = [(at(1), &ids[2]), (at(1), &ids[3]), (at(0), &ids[0]), (at(0), &ids[1])];
    wanted.sort_by(|one, other| other.cmp(one));
    let (mut seen, mut before): (Vec<Grant>, Option<Grant>) = (Vec::new(), None);
    loop {
        let place = before.as_ref().map(|grant| Side::After((grant.created_at, grant.id.clone())));
        let page = world.catalog.grants_of(Some(&owner), place, 1).await.unwrap();
        let Some(found) = page.into_iter().next() else { break };
        before = Some(found.clone());
        seen.push(found);
    }
    let places: Vec<_> = seen.iter().map(|grant| (grant.created_at, &grant.id)).collect();
    assert_eq!(places, wanted);
    assert_eq!(seen.iter().filter(|grant| grant.key == Some(domain::KeyId::from_u128(5))).count(), 1);
    let all = world.catalog.grants_of(None, None, 100).await.unwrap();
    assert!(all.len() >= 5 && all.is_sorted_by_key(|grant| std::cmp::Reverse((grant.created_at, grant.id.clone()))));
}

pub(crate) async fn parallel_uses_of_one_grant_succeed_once(world: World) {
    let id = format!("e{}", world.job_id());
    world.catalog.create_grant(&grant(&id)).await.unwrap();
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (catalog, new) = (world.catalog.clone(), under(&world, &id));
        tries.spawn(async move { catalog.create_upload(&new).await });
    }
    let outcomes = tries.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
}

pub(crate) async fn what_is_noted_of_an_import_is_the_latest_and_goes_with_its_upload(world: World) {
    let new = world.new_upload(None);
    world.catalog.create_upload(&new).await.unwrap();
    assert_eq!(world.catalog.import_note(new.id).await.unwrap(), ImportNote::default());
    let first = ImportNote { validator: Some("\"v1\"".into()), attempts: 1, error: Some("refused".into()) };
    let second = ImportNote { attempts: 0, error: None, ..first.clone() };
    for note in [&first, &second] {
        world.catalog.note_import(new.id, note, at(1)).await.unwrap();
        assert_eq!(world.catalog.import_note(new.id).await.unwrap(), *note);
    }
    let asset = new.target.expect("not a part").asset;
    world.catalog.delete_asset(asset, world.job_id(), at(2)).await.unwrap();
    let purge = world.claim(false, at(3)).await.expect("the purge");
    world.catalog.settle_purge(&purge, at(4)).await.unwrap();
    assert_eq!(world.catalog.import_note(new.id).await.unwrap(), ImportNote::default());
    let unknown = world.new_upload(None).id;
    assert!(world.catalog.note_import(unknown, &first, at(5)).await.is_err());
}
