//! Parts of assets that are changed one by one, and what a change needs to find.

use std::sync::Arc;

use catalog_store::notifications::version_of_channels;
use catalog_store::{Asset, CatalogError, Expected, NotificationChannel, NotificationKind, Part};
use domain::authority::{Role, Standing};
use domain::collection::{Kind, Visibility};
use domain::markers::Marker;
use domain::probe::Chapter;
use domain::{Admission, AssetId, ChannelId, MediaTime, PictureId, PosterChoice, Stage, Timescale};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::accounts::user;
use crate::harness::{World, at};

const WORKERS: u8 = 8;

fn channel() -> ChannelId {
    ChannelId::from_u128(1)
}

/// Each way to change a part, and the part.
const WAYS: [(&str, Part); 7] = [
    ("chapters", Part::Chapters),
    ("markers", Part::Markers),
    ("poster", Part::Poster),
    ("access", Part::Access),
    ("window", Part::Place),
    ("stage", Part::Place),
    ("channel", Part::Place),
];

fn instant(ms: i64) -> MediaTime {
    MediaTime::new(ms, Timescale::MILLISECONDS)
}

/// Changes a part in one way, each number to something else.
async fn change(world: &World, way: &str, asset: (AssetId, Expected), number: i64) -> Result<(), CatalogError> {
    let (catalog, job, now) = (&world.catalog, world.job_id(), at(number));
    match way {
        "chapters" => {
            let chapter = Chapter { start: instant(0), end: instant(number), title: "One".into() };
            catalog.set_chapters(asset, Some(&[chapter]), job, now).await
        }
        "markers" => {
            let start = instant(number);
            let marker = Marker { id: "one".into(), start, duration: None, class: None, attributes: [].into() };
            catalog.set_markers(asset, &[marker], job, now).await
        }
        "poster" => {
            let choice = PosterChoice::Time { id: PictureId::from_u128(world.fresh()), at_ms: number };
            catalog.set_poster(asset, choice, job, now).await.map(drop)
        }
        "access" => catalog.set_access(asset, (Admission::Private, vec![]), "test", job, now).await,
        "window" => catalog.set_window(asset, (Some(at(number)), None), "test", job, now).await,
        "stage" => {
            let wanted = if number % 2 == 0 { Stage::Published } else { Stage::Unlisted };
            catalog.set_stage(asset, (wanted, false), (None, None), "test", job, now).await.map(drop)
        }
        _ => catalog.set_channel(asset, (number % 2 != 0).then(channel), "test", now).await,
    }
}

async fn asset_with_channel(world: &World) -> AssetId {
    world.catalog.create_channel((channel(), "news"), ("News", ""), None, at(0)).await.unwrap();
    world.processing().await
}

async fn found(world: &World, asset: AssetId) -> Asset {
    world.catalog.asset(asset).await.unwrap().expect("it")
}

pub(crate) async fn a_part_is_changed_where_it_is_what_was_looked_at(world: World) {
    let asset = asset_with_channel(&world).await;
    for (way, part) in WAYS {
        let first = found(&world, asset).await.version_of(part);
        change(&world, way, (asset, Expected::Version(first)), 1).await.unwrap();
        let before = found(&world, asset).await;
        let second = before.version_of(part);
        assert_ne!(second, first, "{way}");
        let told = (world.topics(asset).await.len(), world.catalog.audit_log(None, 100).await.unwrap().len());
        let stale = change(&world, way, (asset, Expected::Version(first)), 2).await.unwrap_err();
        match stale {
            CatalogError::Changed { version } => assert_eq!(version, second, "{way}"),
            CatalogError::PlaceChanged { about_version, place } => assert_eq!((about_version, place), (1, second)),
            other => panic!("{way}: {other}"),
        }
        assert_eq!(found(&world, asset).await, before, "{way}: nothing is changed");
        assert_eq!(told.0, world.topics(asset).await.len(), "{way}");
        assert_eq!(told.1, world.catalog.audit_log(None, 100).await.unwrap().len(), "{way}");
        change(&world, way, (asset, Expected::Version(second)), 2).await.unwrap();
        assert_ne!(found(&world, asset).await.version_of(part), second, "{way}");
        let place = found(&world, asset).await.version_of(Part::Place);
        assert_eq!(place != before.version_of(Part::Place), part == Part::Place, "{way}");
        change(&world, way, (asset, Expected::Anything), 3).await.unwrap();
    }
}

pub(crate) async fn what_nobody_set_is_set_once(world: World) {
    let asset = asset_with_channel(&world).await;
    for (way, part) in WAYS.into_iter().filter(|(_, part)| *part != Part::Place) {
        change(&world, way, (asset, Expected::Nothing), 1).await.unwrap();
        let before = found(&world, asset).await;
        let again = change(&world, way, (asset, Expected::Nothing), 2).await;
        let version = before.version_of(part);
        assert!(matches!(again, Err(CatalogError::Exists { version: Some(at) }) if at == version), "{way}: {again:?}");
        assert_eq!(found(&world, asset).await, before, "{way}");
    }
    let scored = PosterChoice::Scored { id: PictureId::from_u128(world.fresh()) };
    world.catalog.set_poster(asset, scored, world.job_id(), at(3)).await.unwrap();
    world.catalog.set_chapters(asset, None, world.job_id(), at(3)).await.unwrap();
    world.catalog.set_markers(asset, &[], world.job_id(), at(3)).await.unwrap();
    for way in ["chapters", "markers", "poster"] {
        change(&world, way, (asset, Expected::Nothing), 4).await.unwrap();
    }

    let (bob, list) = (user(&world, Role::User).await, world.collection_id());
    let text = catalog_store::CollectionText {
        title: "List".into(),
        description: String::new(),
        visibility: Visibility::Private,
    };
    world.catalog.create_collection((list, Kind::Playlist), &text, None, at(0)).await.unwrap();
    for (standing, is_first) in [(Standing::Viewer, true), (Standing::Viewer, false), (Standing::Owner, false)] {
        let share = (bob, standing);
        let of_asset = world.catalog.share_asset((asset, Expected::Nothing), share, "test", at(1)).await;
        let of_list = world.catalog.share_collection((list, Expected::Nothing), share, "test", at(1)).await.map(drop);
        for shared in [of_asset, of_list] {
            assert_eq!(shared.is_ok(), is_first, "{shared:?}");
            assert!(matches!(shared, Ok(()) | Err(CatalogError::Exists { version: None })), "{shared:?}");
        }
    }
    let shares = [world.catalog.shares_of(asset).await, world.catalog.shares_of_collection(list).await];
    assert!(shares.into_iter().all(|shares| shares.unwrap()[0].standing == Standing::Viewer));
}

pub(crate) async fn of_many_who_looked_at_the_same_one_changes_it(world: World) {
    let asset = asset_with_channel(&world).await;
    let ada = user(&world, Role::User).await;
    for (way, part) in WAYS.into_iter().map(|(way, part)| (way, Some(part))).chain([("preferences", None)]) {
        let channels = world.catalog.channels_of(ada).await.unwrap();
        let version = match part {
            Some(part) => found(&world, asset).await.version_of(part),
            None => version_of_channels(&channels),
        };
        let (mut workers, together) = (JoinSet::new(), Arc::new(Barrier::new(WORKERS.into())));
        for number in 1..=i64::from(WORKERS) {
            let (world, together) = (world.clone(), together.clone());
            workers.spawn(async move {
                together.wait().await;
                // All to another stage, and into the channel; else each to something of its own.
                let number = if matches!(way, "stage" | "channel") { 1 } else { number };
                let expected = Expected::Version(version);
                if part.is_some() {
                    return change(&world, way, (asset, expected), number).await;
                }
                let kind = NotificationKind::ALL[usize::try_from(number).unwrap() % 3];
                world.catalog.set_channels((ada, expected), &[(kind, NotificationChannel::Off)]).await
            });
        }
        let told = workers.join_all().await;
        assert_eq!(told.iter().filter(|told| told.is_ok()).count(), 1, "{way}: {told:?}");
        let is_late =
            |error: &CatalogError| matches!(error, CatalogError::Changed { .. } | CatalogError::PlaceChanged { .. });
        assert!(told.iter().all(|told| told.as_ref().map_or_else(is_late, |()| true)), "{way}: {told:?}");
    }
    let off = world.catalog.channels_of(ada).await.unwrap();
    assert_eq!(off.iter().filter(|(_, channel)| *channel == NotificationChannel::Off).count(), 1);
}

pub(crate) async fn a_part_is_at_another_version_when_what_is_told_of_it_differs(world: World) {
    let asset = world.received().await;
    let before = found(&world, asset).await;
    let probe = world.claim(false, at(0)).await.expect("the probe");
    world.settle_probe(&probe, at(1)).await;
    let probed = found(&world, asset).await;
    assert_ne!(before.version_of(Part::Chapters), probed.version_of(Part::Chapters), "the file's own are known");
    for part in [Part::Markers, Part::Poster, Part::Access, Part::Place] {
        assert_eq!(before.version_of(part), probed.version_of(part), "{part:?}: nobody changed it");
    }
    world.catalog.set_chapters(asset, Some(&[]), world.job_id(), at(2)).await.unwrap();
    let set = found(&world, asset).await.version_of(Part::Chapters);
    world.catalog.set_chapters(asset, None, world.job_id(), at(3)).await.unwrap();
    assert_eq!(found(&world, asset).await.version_of(Part::Chapters), probed.version_of(Part::Chapters));
    assert_ne!(set, probed.version_of(Part::Chapters));
    world.catalog.set_about(asset, 1, &crate::about::about("dragon"), at(4)).await.unwrap();
    assert_ne!(found(&world, asset).await.version_of(Part::Place), probed.version_of(Part::Place));
}
