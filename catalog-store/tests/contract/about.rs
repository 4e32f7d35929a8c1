//! What people say about assets, and how assets are listed by it.

use catalog_store::{Asset, CatalogError, Described, Filter, NewUser, Order, Side};
use domain::about::{Credit, label_key};
use domain::authority::{Role, Standing};
use domain::{About, AssetId, AssetKind, AssetState, ChannelId, JobLane, Language, PlaybackId};

use crate::harness::{World, at};
use crate::pages::check_both_ways;

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
        languages: ["fra", "pt-br", "zh-Hant-TW"].into_iter().filter_map(Language::from_tag).collect(),
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
            after = Some(Side::After((order.key(&page[0]), page[0].id)));
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
        (Filter { language: Some("pt".into()), ..any.clone() }, vec![second]),
        (Filter { language: Some("pt-BR".into()), ..any.clone() }, vec![second]),
        (Filter { language: Some("pt-PT".into()), ..any.clone() }, vec![]),
        (Filter { language: Some("zh-Hant".into()), ..any.clone() }, vec![second]),
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

pub(crate) async fn what_has_no_title_is_sorted_by_the_name_of_its_file(world: World) {
    let dog = said(&world, &about("Dog")).await;
    let new = world.new_upload(Some(10));
    let clip = new.target.expect("an asset").asset;
    world.catalog.create_upload(&new).await.unwrap();
    let bee = said(&world, &about("bee")).await;
    assert_eq!(listed(&world, &Filter::default(), Order::Title).await, [bee, clip, dog]);
    let page = world.catalog.list_assets(&Filter::default(), Order::Title, None, None, 2, at(9)).await.unwrap();
    let after = Side::After((Order::Title.key(&page[1]), page[1].id));
    let rest = world.catalog.list_assets(&Filter::default(), Order::Title, None, Some(after), 2, at(9)).await.unwrap();
    assert_eq!(rest.iter().map(|asset| asset.id).collect::<Vec<_>>(), [dog]);
    // And again once nobody says a title any more.
    world.catalog.set_about(clip, 1, &about("Zebra"), at(2)).await.unwrap();
    assert_eq!(listed(&world, &Filter::default(), Order::TitleBackwards).await, [clip, dog, bee]);
    world.catalog.set_about(clip, 2, &About::default(), at(3)).await.unwrap();
    assert_eq!(listed(&world, &Filter::default(), Order::TitleBackwards).await, [dog, clip, bee]);
}

/// Pages are found by different indexes; here each is held against what is picked out of all assets by hand.
pub(crate) async fn a_page_is_the_same_whichever_way_it_is_found(world: World) {
    let (me, other) = (world.user_id(), world.user_id());
    for id in [me, other] {
        let new = NewUser {
            id,
            email: None,
            name: "Somebody".into(),
            language: None,
            role: Role::User,
            password: None,
            is_email_verified: false,
        };
        world.catalog.create_user(&new, "test", at(0)).await.unwrap();
    }
    let (mine, theirs) = (me.to_string(), other.to_string());
    let channel = ChannelId::from_u128(1);
    world.catalog.create_channel((channel, "one"), ("One", ""), None, at(0)).await.unwrap();
    let described = |index: u128| Described {
        asset: AssetId::from_u128(1000 + index),
        playback: PlaybackId::from_u128(1000 + index),
        about: About {
            tags: if index.is_multiple_of(3) { vec!["Rare".into()] } else { vec![] },
            genres: if index.is_multiple_of(2) { vec!["Drama".into()] } else { vec![] },
            released_on: format!("20{:02}-01-01", index % 7).parse().ok(),
            ..about(&format!("Title {}", index * 7 % 11))
        },
        owner: Some(if index.is_multiple_of(5) { mine.clone() } else { theirs.clone() }),
        channel: index.is_multiple_of(4).then_some(channel),
    };
    let all: Vec<Described> = (0..60).map(described).collect();
    world.catalog.import_described(&all, at(0)).await.unwrap();
    let shared: Vec<AssetId> = (0..60).step_by(13).map(|index| AssetId::from_u128(1000 + index)).collect();
    for asset in &shared {
        world.catalog.share_asset(*asset, (me, Standing::Viewer), "test", at(1)).await.unwrap();
    }
    let orders =
        [Order::Newest, Order::Oldest, Order::Title, Order::TitleBackwards, Order::FirstReleased, Order::LastReleased];
    let filters = [
        Filter::default(),
        Filter { tag: Some(label_key("rare")), ..Filter::default() },
        Filter { genre: Some(label_key("drama")), ..Filter::default() },
        Filter { owner: Some(mine.clone()), ..Filter::default() },
        Filter { owner: Some(theirs.clone()), tag: Some(label_key("rare")), ..Filter::default() },
        Filter { released_from: Some("2003-01-01".into()), ..Filter::default() },
    ];
    let by_id = |id: AssetId| all.iter().find(|one| one.asset == id).expect("it is one of them");
    for order in orders {
        let whole = world.catalog.list_assets(&Filter::default(), order, None, None, 100, at(9)).await.unwrap();
        assert_eq!(whole.len(), all.len());
        for (filter, viewer) in filters.iter().flat_map(|filter| [(filter, None), (filter, Some(mine.as_str()))]) {
            let is_wanted = |one: &Described| {
                let has = |labels: &[String], wanted: &Option<String>| {
                    wanted.as_ref().is_none_or(|wanted| labels.iter().any(|label| label_key(label) == *wanted))
                };
                let is_late = |from: &String| one.about.released_on.is_some_and(|day| day.to_string() >= *from);
                let is_seen = one.channel.is_some() || one.owner.as_deref() == viewer || shared.contains(&one.asset);
                has(&one.about.tags, &filter.tag)
                    && has(&one.about.genres, &filter.genre)
                    && filter.owner.as_ref().is_none_or(|owner| one.owner.as_ref() == Some(owner))
                    && filter.released_from.as_ref().is_none_or(is_late)
                    && (viewer.is_none() || is_seen)
            };
            let place = |asset: &Asset| (order.key(asset), asset.id);
            let expected: Vec<_> = whole.iter().filter(|asset| is_wanted(by_id(asset.id))).map(place).collect();
            let what = format!("{filter:?}, {order:?}, seen by {viewer:?}");
            check_both_ways(&what, &expected, 7, async |side, limit| {
                let page = world.catalog.list_assets(filter, order, viewer, side, limit, at(9)).await.unwrap();
                page.iter().map(place).collect()
            })
            .await;
        }
    }
}
