//! What every store promises, checked on a local folder and on a real S3 server alike.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use domain::{AssetId, Generation, PlaybackId, RenditionId};
use futures::{StreamExt, TryStreamExt, stream};
use media_store::{MediaStore, PAGE_OBJECTS, Put, StoreConfig, StoreError, layout};

/// A store of its own for one test, and a folder beside it for files of the test.
struct Ground {
    store: MediaStore,
    config: StoreConfig,
    dir: tempfile::TempDir,
}

impl Ground {
    async fn folder() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let url = format!("file://{}", dir.path().join("made/on/open").display());
        let config = StoreConfig { url, access_key: None, secret_key: None, scratch: dir.path().join("scratch") };
        Self { store: MediaStore::open(config.clone()).await.expect("opens"), config, dir }
    }

    async fn bucket() -> Self {
        let (s3, dir) = (fixtures::services::s3(), tempfile::tempdir().expect("a folder"));
        let config = StoreConfig {
            url: s3.url,
            access_key: Some(s3.access_key),
            secret_key: Some(s3.secret_key),
            scratch: dir.path().join("scratch"),
        };
        Self { store: MediaStore::open(config.clone()).await.expect("opens"), config, dir }
    }

    /// The names of the staged file and of what belongs to it.
    fn beside_staged(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.dir.path()).expect("lists");
        let names = names.map(|entry| entry.expect("is there").file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|name| name.starts_with("staged")).collect();
        names.sort();
        names
    }

    fn staged(&self, body: &[u8]) -> PathBuf {
        let path = self.dir.path().join("staged");
        std::fs::write(&path, body).expect("writes");
        path
    }
}

const GENERATION: Generation = Generation(1);

fn asset() -> AssetId {
    AssetId::from_u128(42)
}

fn rendition() -> RenditionId {
    RenditionId::new("720p").expect("a name")
}

fn segment(index: u32) -> media_store::Key {
    layout::segment(asset(), GENERATION, &rendition(), index)
}

/// `length` octets that differ from place to place.
fn noise(length: usize) -> Vec<u8> {
    let step = |state: &mut u64| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        Some(state.to_be_bytes()[0])
    };
    (0..length).scan(7u64, |state, _| step(state)).collect()
}

macro_rules! on_every_store {
    ($($name:ident),+ $(,)?) => {
        mod folder {
            $(#[tokio::test] async fn $name() { super::$name(super::Ground::folder().await).await; })+
        }
        mod bucket {
            $(#[tokio::test] async fn $name() { super::$name(super::Ground::bucket().await).await; })+
        }
    };
}

on_every_store!(
    an_object_reads_back_whole_and_in_parts,
    putting_the_same_object_twice_is_success,
    what_a_killed_worker_left_is_replaced,
    absence_is_not_an_error,
    the_pointer_is_replaced,
    pages_list_every_object_once_and_in_order,
    deleting_a_prefix_leaves_its_neighbours,
    a_source_is_adopted_once_whatever_is_repeated,
    a_source_of_several_parts_arrives_whole,
    parts_put_ahead_end_in_the_same_source,
    what_was_put_ahead_can_be_given_up,
    adopting_a_different_file_is_refused,
    an_empty_source_is_a_source,
    every_reader_of_a_source_has_its_own_position,
    objects_survive_reopening_the_store,
    parallel_writers_of_one_object_agree,
    a_store_opened_to_read_reads,
);

async fn an_object_reads_back_whole_and_in_parts(ground: Ground) {
    let (store, body) = (ground.store, noise(300_000));
    store.check().await.expect("answers");
    store.put_once(&segment(0), body.clone().into()).await.expect("puts");
    assert_eq!(store.get(&segment(0)).await.expect("reads").expect("exists"), body);
    assert_eq!(store.head(&segment(0)).await.expect("reads"), Some(300_000));
    for range in [0..1, 1000..2000, 299_999..300_000] {
        let part = store.get_range(&segment(0), range.clone()).await.expect("reads").expect("exists");
        let at = usize::try_from(range.start).expect("fits")..usize::try_from(range.end).expect("fits");
        assert_eq!(part, body[at]);
    }
    let tail = store.get_range(&segment(0), 299_990..400_000).await.expect("reads").expect("exists");
    assert_eq!(tail, body[299_990..]);
    assert!(store.get_range(&segment(0), 300_000..300_001).await.is_err());
    let file = store.local_path(&segment(0));
    assert_eq!(file.is_some(), store.is_folder());
    assert!(file.is_none_or(|file| std::fs::read(file).expect("reads") == body));
}

async fn putting_the_same_object_twice_is_success(ground: Ground) {
    let body = Bytes::from(noise(1000));
    assert_eq!(ground.store.put_once(&segment(0), body.clone()).await.expect("puts"), Put::Written);
    let again = ground.store.put_once(&segment(0), body.clone()).await.expect("puts");
    assert_eq!(again, if ground.store.is_folder() { Put::AlreadyThere } else { Put::Written });
    assert_eq!(ground.store.get(&segment(0)).await.expect("reads"), Some(body));
}

async fn what_a_killed_worker_left_is_replaced(ground: Ground) {
    for body in [&b"of the same length: old"[..], b"of the same length: new", b"another length"] {
        ground.store.put_once(&segment(0), Bytes::from_static(body)).await.expect("puts");
        assert_eq!(ground.store.get(&segment(0)).await.expect("reads").expect("exists"), body);
    }
}

async fn absence_is_not_an_error(ground: Ground) {
    let store = ground.store;
    assert_eq!(store.get(&segment(9)).await.expect("answers"), None);
    assert_eq!(store.get_range(&segment(9), 0..10).await.expect("answers"), None);
    assert_eq!(store.head(&segment(9)).await.expect("answers"), None);
    assert_eq!(store.pointer(PlaybackId::from_u128(1)).await.expect("answers"), None);
    assert_eq!(store.source_size(asset()).await.expect("answers"), None);
    store.delete(&segment(9)).await.expect("is fine");
    store.delete_pointer(PlaybackId::from_u128(1)).await.expect("is fine");
    store.delete_prefix(&layout::media_of(asset())).await.expect("is fine");
    let page = store.list(&layout::media_of(asset()), None).await.expect("answers");
    assert!(page.objects.is_empty() && page.next.is_none());
    assert!(matches!(store.open_source(asset()).await, Err(StoreError::Missing { .. })));
}

async fn the_pointer_is_replaced(ground: Ground) {
    let playback = PlaybackId::from_u128(5);
    for body in ["first", "second, longer", "3"] {
        ground.store.put_pointer(playback, Bytes::from(body)).await.expect("puts");
        assert_eq!(ground.store.pointer(playback).await.expect("reads").expect("exists"), body);
    }
    ground.store.delete_pointer(playback).await.expect("deletes");
    assert_eq!(ground.store.pointer(playback).await.expect("reads"), None);
}

async fn pages_list_every_object_once_and_in_order(ground: Ground) {
    let count = u32::try_from(PAGE_OBJECTS + 30).expect("fits");
    let puts = stream::iter(0..count).map(|index| {
        let store = ground.store.clone();
        async move { store.put_once(&segment(index), Bytes::from_static(b"x")).await }
    });
    puts.buffer_unordered(16).try_collect::<Vec<_>>().await.expect("puts");
    let prefix = layout::generation_of(asset(), GENERATION);
    let first = ground.store.list(&prefix, None).await.expect("lists");
    assert_eq!(first.objects.len(), PAGE_OBJECTS);
    let second = ground.store.list(&prefix, first.next.as_ref()).await.expect("lists");
    assert_eq!((second.objects.len(), second.next), (30, None));
    let keys: Vec<_> = first.objects.iter().chain(&second.objects).map(|object| object.key.clone()).collect();
    assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "in order, none twice");
    assert!(keys.contains(&segment(0)) && keys.contains(&segment(count - 1)));
    ground.store.delete_prefix(&prefix).await.expect("deletes");
    assert!(ground.store.list(&prefix, None).await.expect("lists").objects.is_empty());
}

async fn deleting_a_prefix_leaves_its_neighbours(ground: Ground) {
    let key = |generation| layout::init(asset(), Generation(generation), &rendition());
    for generation in [1, 10, 2] {
        ground.store.put_once(&key(generation), Bytes::from_static(b"x")).await.expect("puts");
    }
    ground.store.delete_prefix(&layout::generation_of(asset(), Generation(1))).await.expect("deletes");
    assert_eq!(ground.store.head(&key(1)).await.expect("reads"), None);
    assert_eq!(ground.store.head(&key(10)).await.expect("reads"), Some(1));
    assert_eq!(ground.store.head(&key(2)).await.expect("reads"), Some(1));
}

#[tokio::test]
async fn a_write_that_nobody_waits_for_any_more_does_not_outlive_its_deletion() {
    let ground = Ground::folder().await;
    for index in 0..40 {
        let key = segment(index);
        let mut put = Box::pin(ground.store.put_once(&key, Bytes::from(vec![7; 1 << 20])));
        assert!(futures::poll!(put.as_mut()).is_pending());
        drop(put);
        if index % 2 == 0 {
            ground.store.delete_prefix(&layout::media_of(asset())).await.expect("deletes");
        } else {
            ground.store.delete(&key).await.expect("deletes");
        }
        assert_eq!(ground.store.head(&key).await.expect("reads"), None);
    }
    // A write that went on behind the deletion would have ended by now.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(ground.store.list(&layout::media_of(asset()), None).await.expect("lists").objects.is_empty());
}

async fn a_source_is_adopted_once_whatever_is_repeated(ground: Ground) {
    let (staged, body) = (ground.staged(b"the source"), b"the source");
    ground.store.adopt_source(asset(), &staged).await.expect("adopts");
    assert!(!staged.exists());
    ground.store.adopt_source(asset(), &staged).await.expect("adopts again: the staged file is gone");
    ground.staged(body);
    ground.store.adopt_source(asset(), &staged).await.expect("adopts again: the staged file was not yet removed");
    assert!(!staged.exists());
    assert_eq!(ground.store.source_size(asset()).await.expect("reads"), Some(10));
    assert_eq!(read(&ground.store).await, body);
    let nothing = ground.store.adopt_source(AssetId::from_u128(1), &staged).await;
    assert!(matches!(nothing, Err(StoreError::Missing { .. })));
}

async fn a_source_of_several_parts_arrives_whole(ground: Ground) {
    let body = noise((25 << 20) + 12_345);
    ground.store.adopt_source(asset(), &ground.staged(&body)).await.expect("adopts");
    assert!(read(&ground.store).await == body, "the source reads back");
}

async fn parts_put_ahead_end_in_the_same_source(ground: Ground) {
    let body = noise((25 << 20) + 12_345);
    let (staged, length) = (ground.staged(&body), body.len() as u64);
    for durable_bytes in [0, 7 << 20, 17 << 20, 17 << 20, length] {
        ground.store.put_source_parts(&layout::source(asset()), &staged, durable_bytes, length).await.expect("puts");
        assert_eq!(ground.store.source_size(asset()).await.expect("reads"), None, "a part is no source");
    }
    // A new process goes on from what lies beside the staged file.
    let store = MediaStore::open(ground.config.clone()).await.expect("opens");
    store.adopt_source(asset(), &staged).await.expect("adopts");
    assert!(read(&store).await == body, "the source reads back");
    ground
        .store
        .put_source_parts(&layout::source(asset()), &staged, length, length)
        .await
        .expect("comes too late, which is fine");
    ground.store.adopt_source(asset(), &staged).await.expect("adopts again");
    assert_eq!(ground.beside_staged(), Vec::<String>::new());
}

async fn what_was_put_ahead_can_be_given_up(ground: Ground) {
    let body = noise(25 << 20);
    let (staged, length) = (ground.staged(&body), body.len() as u64);
    ground.store.put_source_parts(&layout::source(asset()), &staged, 17 << 20, length).await.expect("puts");
    for _ in 0..2 {
        ground.store.abandon_source(&staged).await.expect("gives up");
        assert_eq!(ground.beside_staged(), ["staged"]);
    }
    // Nothing of it is in the way of another attempt.
    ground.store.adopt_source(asset(), &staged).await.expect("adopts");
    assert!(read(&ground.store).await == body, "the source reads back");
}

async fn adopting_a_different_file_is_refused(ground: Ground) {
    ground.store.adopt_source(asset(), &ground.staged(b"one")).await.expect("adopts");
    let staged = ground.staged(b"another");
    let refused = ground.store.adopt_source(asset(), &staged).await;
    assert!(matches!(refused, Err(StoreError::SourceDiffers { stored_bytes: 3, staged_bytes: 7, .. })));
    assert!(staged.exists());
    // One of the same length is not taken for it either: nothing would be left of it.
    let staged = ground.staged(b"two");
    let refused = ground.store.adopt_source(asset(), &staged).await;
    assert!(matches!(refused, Err(StoreError::SourceDiffers { stored_bytes: 3, staged_bytes: 3, .. })), "{refused:?}");
    assert!(staged.exists() && read(&ground.store).await == b"one");
}

async fn an_empty_source_is_a_source(ground: Ground) {
    ground.store.adopt_source(asset(), &ground.staged(b"")).await.expect("adopts");
    assert_eq!(ground.store.source_size(asset()).await.expect("reads"), Some(0));
    assert!(read(&ground.store).await.is_empty());
}

async fn every_reader_of_a_source_has_its_own_position(ground: Ground) {
    ground.store.adopt_source(asset(), &ground.staged(b"0123456789")).await.expect("adopts");
    let mut first = ground.store.open_source(asset()).await.expect("opens");
    first.seek(SeekFrom::Start(7)).expect("seeks");
    let opened = (0..4).map(|_| ground.store.open_source(asset()));
    for mut file in futures::future::try_join_all(opened).await.expect("opens") {
        let mut body = String::new();
        file.read_to_string(&mut body).expect("reads");
        assert_eq!(body, "0123456789");
    }
    assert_eq!(first.stream_position().expect("tells"), 7);
}

async fn objects_survive_reopening_the_store(ground: Ground) {
    ground.store.put_once(&segment(0), Bytes::from_static(b"kept")).await.expect("puts");
    drop(ground.store);
    let store = MediaStore::open(ground.config).await.expect("opens");
    assert_eq!(store.get(&segment(0)).await.expect("reads").expect("exists"), "kept");
}

async fn a_store_opened_to_read_reads(ground: Ground) {
    ground.store.put_once(&segment(0), Bytes::from_static(b"kept")).await.expect("puts");
    let store = MediaStore::open_to_read(ground.config).await.expect("opens");
    assert_eq!(store.get(&segment(0)).await.expect("reads").expect("exists"), "kept");
}

#[tokio::test]
async fn a_folder_opened_to_read_is_left_as_it_is() {
    let ground = Ground::folder().await;
    let (url, mut config) = (ground.config.url.clone(), ground.config.clone());
    let leftover = ground.dir.path().join("made/on/open/.unfinished/1-0");
    std::fs::write(&leftover, b"half").expect("writes");
    MediaStore::open_to_read(config.clone()).await.expect("opens");
    assert!(leftover.exists());
    config.url = format!("{url}/missing");
    assert!(matches!(MediaStore::open_to_read(config).await, Err(StoreError::Open { .. })));
    assert!(!ground.dir.path().join("made/on/open/missing").exists());
}

async fn parallel_writers_of_one_object_agree(ground: Ground) {
    let (key, body) = (segment(0), Bytes::from(noise(100_000)));
    let puts = (0..8).map(|_| ground.store.put_once(&key, body.clone()));
    for put in futures::future::join_all(puts).await {
        put.expect("puts");
    }
    assert_eq!(ground.store.get(&key).await.expect("reads"), Some(body));
}

async fn read(store: &MediaStore) -> Vec<u8> {
    let mut body = Vec::new();
    store.open_source(asset()).await.expect("opens").read_to_end(&mut body).expect("reads");
    body
}

#[tokio::test]
async fn a_linked_source_reads_as_the_file_it_points_to() {
    let ground = Ground::folder().await;
    let file = ground.staged(b"elsewhere");
    for _ in 0..2 {
        ground.store.link_source(asset(), &file).await.expect("links");
    }
    assert_eq!(ground.store.source_size(asset()).await.expect("reads"), Some(9));
    assert_eq!(read(&ground.store).await, b"elsewhere");
    ground.store.delete(&layout::source(asset())).await.expect("deletes");
    assert!(file.exists(), "only the link is deleted");
    let other = ground.store.link_source(asset(), Path::new("/nonexistent")).await;
    assert!(matches!(other, Err(StoreError::Io { .. })));
}

#[tokio::test]
async fn a_folder_on_another_file_system_is_adopted_by_copy() {
    let ground = Ground::folder().await;
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { panic!("Linux has /dev/shm") };
    let staged = elsewhere.path().join("staged");
    std::fs::write(&staged, noise(3 << 20)).expect("writes");
    ground.store.adopt_source(asset(), &staged).await.expect("adopts");
    assert!(!staged.exists());
    assert!(read(&ground.store).await == noise(3 << 20), "the source reads back");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_an_error_worth_a_retry() {
    let scratch = tempfile::tempdir().expect("a folder");
    let store = MediaStore::open(StoreConfig {
        url: "s3://bkt?endpoint=http://127.0.0.1:1".into(),
        access_key: Some("a".into()),
        secret_key: Some("b".into()),
        scratch: scratch.path().into(),
    });
    let refused = store.await.expect("opens").check().await.expect_err("nobody listens there");
    assert!(matches!(refused.retry(), media_store::Retry::After(_)), "{refused:?}");
    assert!(refused.to_string().starts_with("cannot read current/"), "{refused}");
}
