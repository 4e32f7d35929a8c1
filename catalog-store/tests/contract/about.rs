//! What people say about assets, and how assets are listed by it.

use catalog_store::{CatalogError, Filter, Order};
use domain::about::{Credit, label_key};
use domain::{About, AssetId, AssetKind, AssetState, JobLane, Language};

use crate::harness::{World, at};

pub(crate) fn about(title: &str) -> About {
    About { title: Some(title.into()), ..About::default() }
}

async fn said(world: &World, about: &About) -> AssetId {
    let asset = world.received().await;
    world.catalog.set_about(asset, 1, about, at(1)).await.unwrap();
    asset
}

async fn listed(world: &World, filter: &Filter, order: Order) -> Vec<AssetId> {
    let assets = world.catalog.list_assets(filter, order, None, None, 10, at(9)).await.unwrap();
    assets.into_iter().map(|asset| asset.id).collect()
}

pub(crate) async fn what_is_said_reads_back_and_replaces_what_was_read(world: World) {
    let asset = world.received().await;
    let said = About {
        title: Some("Système D".into()),
        description: Some("one\ntwo".into()),
        tags: vec!["Été".into()],
        genres: vec!["Drama".into()],
        languages: Language::from_code("fra").into_iter().collect(),
        released_on: "1999-03-31".parse().ok(),
        external_ids: [("tmdb".to_owned(), "603".to_owned())].into(),
        people: vec![Credit { name: "Ada".into(), role: "director".into() }],
    };
    assert_eq!(world.catalog.set_about(asset, 1, &said, at(2)).await.unwrap(), 2);
    let found = world.catalog.asset(asset).await.unwrap().expect("it");
    assert_eq!((&found.about, found.about_version, found.title.as_deref()), (&said, 2, Some("Système D")));
    assert_eq!(found.updated_at, at(2));
    let late = world.catalog.set_about(asset, 1, &about("x"), at(3)).await;
    assert!(matches!(late, Err(CatalogError::Changed { version: 2 })), "{late:?}");
    assert_eq!(world.catalog.asset(asset).await.unwrap().expect("it").about, said);
    assert_eq!(world.topics(asset).await.last().map(String::as_str), Some("asset.updated"));
    world.catalog.delete_asset(asset, world.job_id(), at(4)).await.unwrap();
    let gone = world.catalog.set_about(asset, 2, &said, at(5)).await;
    assert!(matches!(gone, Err(CatalogError::NoAsset(_))), "{gone:?}");
    let again = world.received().await;
    world.catalog.set_about(again, 1, &said, at(6)).await.expect("what is deleted holds no id");
}

pub(crate) async fn the_title_is_the_files_until_somebody_says_another(world: World) {
    let early = world.received().await;
    world.catalog.set_about(early, 1, &about("Mine"), at(1)).await.unwrap();
    let probe = world.claim_in(JobLane::Urgent, at(2)).await.expect("the probe");
    world.settle_probe(&probe, at(2)).await;
    let title = async |asset| world.catalog.asset(asset).await.unwrap().expect("it").title;
    assert_eq!(title(early).await.as_deref(), Some("Mine"));
    let late = world.processing().await;
    assert_eq!(title(late).await.as_deref(), Some("A title"));
    assert_eq!(world.catalog.asset(late).await.unwrap().expect("it").kind, Some(AssetKind::Video));
    world.catalog.set_about(late, 1, &about("Mine"), at(3)).await.unwrap();
    assert_eq!(title(late).await.as_deref(), Some("Mine"));
    world.catalog.set_about(late, 2, &About::default(), at(4)).await.unwrap();
    assert_eq!(title(late).await.as_deref(), Some("A title"));
}

pub(crate) async fn an_id_elsewhere_belongs_to_one_asset(world: World) {
    let with = |id: &str| About { external_ids: [("imdb".to_owned(), id.to_owned())].into(), ..About::default() };
    said(&world, &with("tt1")).await;
    let other = world.received().await;
    let taken = world.catalog.set_about(other, 1, &with("tt1"), at(2)).await;
    assert!(matches!(&taken, Err(CatalogError::ExternalIdTaken { scheme }) if scheme == "imdb"), "{taken:?}");
    world.catalog.set_about(other, 1, &with("tt2"), at(3)).await.unwrap();
    world.catalog.set_about(other, 2, &with("tt2"), at(4)).await.expect("it is its own");
}

pub(crate) async fn assets_are_listed_by_what_is_said(world: World) {
    let day = |text: &str| text.parse().ok();
    let first = About { tags: vec!["Été".into()], released_on: day("1999-03-31"), ..about("élan") };
    let second = About {
        genres: vec!["Sci-Fi".into()],
        languages: Language::from_code("fra").into_iter().collect(),
        released_on: day("2005-01-01"),
        ..about("Zebra")
    };
    let (first, second) = (said(&world, &first).await, said(&world, &second).await);
    let third = said(&world, &about("Fox")).await;
    let any = Filter::default();
    for (order, expected) in [
        (Order::Newest, [third, second, first]),
        (Order::Oldest, [first, second, third]),
        (Order::Title, [first, third, second]),
        (Order::TitleBackwards, [second, third, first]),
        (Order::FirstReleased, [third, first, second]),
        (Order::LastReleased, [second, first, third]),
    ] {
        assert_eq!(listed(&world, &any, order).await, expected, "{order:?}");
        // One at a time, each behind the place of the one before.
        let (mut seen, mut after) = (vec![], None);
        for _ in 0..3 {
            let page = world.catalog.list_assets(&any, order, None, after, 1, at(9)).await.unwrap();
            after = Some((order.key(&page[0]), page[0].id));
            seen.push(page[0].id);
        }
        assert_eq!(seen, expected, "{order:?}");
        assert!(world.catalog.list_assets(&any, order, None, after, 1, at(9)).await.unwrap().is_empty());
    }
    let key = |label: &str| Some(label_key(label));
    for (filter, expected) in [
        (Filter { tag: key("ETE"), ..any.clone() }, vec![first]),
        (Filter { genre: key("sci fi"), ..any.clone() }, vec![second]),
        (Filter { genre: key("été"), ..any.clone() }, vec![]),
        (Filter { language: Some("fr".into()), ..any.clone() }, vec![second]),
        (Filter { released_from: Some("2000-01-01".into()), ..any.clone() }, vec![second]),
        (Filter { released_to: Some("1999-03-31".into()), ..any.clone() }, vec![first]),
        (Filter { state: Some(AssetState::Received), ..any.clone() }, vec![third, second, first]),
        (Filter { state: Some(AssetState::Ready), ..any.clone() }, vec![]),
        (Filter { owner: Some("nobody".into()), ..any.clone() }, vec![]),
        (Filter { kind: Some(AssetKind::Audio), ..any.clone() }, vec![]),
    ] {
        assert_eq!(listed(&world, &filter, Order::Newest).await, expected, "{filter:?}");
    }
    let ids = world.catalog.assets_by_id(&[third, first]).await.unwrap();
    assert_eq!(ids.iter().map(|asset| asset.id).collect::<Vec<_>>(), [third, first]);
}
