//! Parts become one file: also after a crash, also when they come late, and only once.

use axum::body::Body;
use catalog_store::{Advance, Closing, NewUpload, Target, UploadKind, UploadState, UploadTerms, finals};
use domain::{AssetId, AssetState, PlaybackId, UploadId};

use crate::ground::{Answer, Ground, eventually, noise, patch, request, send};

async fn part(ground: &Ground, length: usize) -> UploadId {
    let length = length.to_string();
    let headers = [("upload-length", &*length), ("upload-concat", "partial")];
    ground.send(request("POST", "/uploads", &headers, Body::empty())).await.id()
}

async fn complete_part(ground: &Ground, octets: &[u8]) -> UploadId {
    let part = part(ground, octets.len()).await;
    if !octets.is_empty() {
        assert_eq!(ground.patch(part, 0, octets.to_vec()).await.offset(), Some(octets.len() as u64));
    }
    part
}

async fn join(ground: &Ground, parts: &[UploadId]) -> Answer {
    let parts: Vec<String> = parts.iter().map(|part| format!("/uploads/{part}")).collect();
    let concat = format!("final;{}", parts.join(" "));
    ground.send(request("POST", "/uploads", &[("upload-concat", &*concat)], Body::empty())).await
}

async fn check_source(ground: &Ground, upload: UploadId, expected: &[u8]) {
    eventually("the whole is complete", || async { ground.upload(upload).await.state == UploadState::Complete }).await;
    let asset = ground.asset(upload).await;
    assert_eq!((asset.state, ground.probes().await), (AssetState::Received, vec![asset.id]));
    assert!(ground.source(asset.id).await == expected);
}

#[tokio::test]
async fn parts_of_any_size_become_one_file_in_their_order_and_more_than_once() {
    let (ground, file) = (Ground::new().await, noise(5_000_000));
    let pieces = [&file[..1_234_567], &[], &file[1_234_567..]];
    let mut parts = Vec::new();
    for octets in pieces {
        parts.push(complete_part(&ground, octets).await);
    }
    let joined = join(&ground, &parts).await;
    assert_eq!(joined.status, 201, "{}", joined.body);
    check_source(&ground, joined.id(), &file).await;
    let twice = join(&ground, &[parts[2], parts[0], parts[2]]).await;
    check_source(&ground, twice.id(), &[pieces[2], pieces[0], pieces[2]].concat()).await;
}

#[tokio::test]
async fn the_same_request_again_makes_no_second_file() {
    let ground = Ground::new().await;
    let parts = [complete_part(&ground, b"abc").await, complete_part(&ground, b"def").await];
    let answers = futures::future::join_all((0..8).map(|_| join(&ground, &parts))).await;
    let first = answers[0].id();
    assert!(answers.iter().all(|answer| answer.status == 201 && answer.id() == first), "{answers:?}");
    check_source(&ground, first, b"abcdef").await;
    assert_eq!(join(&ground, &parts).await.id(), first, "also when it is complete");
    // What was deleted may be made anew.
    let path = format!("/uploads/{first}");
    assert_eq!(ground.send(request("DELETE", &path, &[], Body::empty())).await.status, 204);
    let anew = join(&ground, &parts).await;
    assert_ne!(anew.id(), first);
    check_source_of_two(&ground, anew.id(), b"abcdef").await;
}

/// As [`check_source`], where another asset was deleted: its purge is queued too.
async fn check_source_of_two(ground: &Ground, upload: UploadId, expected: &[u8]) {
    eventually("the whole is complete", || async { ground.upload(upload).await.state == UploadState::Complete }).await;
    assert!(ground.source(ground.asset(upload).await.id).await == expected);
}

#[tokio::test]
async fn a_whole_may_be_asked_for_before_its_parts_are_there() {
    let (ground, file) = (Ground::new().await, noise(300_000));
    let parts = [part(&ground, 100_000).await, part(&ground, 200_000).await];
    let joined = join(&ground, &parts).await;
    assert_eq!(joined.status, 201, "{}", joined.body);
    let upload = ground.upload(joined.id()).await;
    assert_eq!((upload.state, upload.length), (UploadState::Open, Some(300_000)));
    assert_eq!(ground.head(joined.id()).await.offset(), None, "nothing of it is there");
    let late = futures::join!(
        ground.patch(parts[1], 0, file[100_000..].to_vec()),
        ground.patch(parts[0], 0, file[..100_000].to_vec()),
    );
    assert_eq!((late.0.offset(), late.1.offset()), (Some(200_000), Some(100_000)));
    check_source(&ground, joined.id(), &file).await;
}

#[tokio::test]
async fn a_whole_whose_part_is_given_up_is_refused_with_the_reason_in_any_order() {
    for is_given_up_first in [false, true] {
        let ground = Ground::new().await;
        let parts = [part(&ground, 3).await, part(&ground, 3).await];
        let joined = join(&ground, &parts).await.id();
        let path = format!("/uploads/{}", parts[1]);
        let delete = || ground.send(request("DELETE", &path, &[], Body::empty()));
        if !is_given_up_first {
            ground.patch(parts[0], 0, "abc").await;
        }
        assert_eq!(delete().await.status, 204);
        let upload = ground.upload(joined).await;
        assert_eq!((upload.state, upload.failure), (UploadState::Refused, Some(finals::part_given_up())), "at once");
        assert_refused(&ground, joined, "given up").await;
        let head = ground.head(joined).await;
        assert_eq!((head.status.as_u16(), head.offset()), (410, None));
        assert_eq!(ground.patch(parts[0], if is_given_up_first { 0 } else { 3 }, "").await.status, 204);
    }
}

#[tokio::test]
async fn a_whole_that_was_not_begun_is_refused_when_a_complete_part_is_given_up() {
    let ground = Ground::new().await;
    let parts = [complete_part(&ground, b"abc").await, complete_part(&ground, b"def").await];
    let whole = unfinished(&ground, &parts, 6, b"").await;
    let path = format!("/uploads/{}", parts[0]);
    assert_eq!(ground.send(request("DELETE", &path, &[], Body::empty())).await.status, 204);
    assert_refused(&ground, whole, "given up").await;
}

async fn deferred_part(ground: &Ground) -> UploadId {
    let headers = [("upload-defer-length", "1"), ("upload-concat", "partial")];
    ground.send(request("POST", "/uploads", &headers, Body::empty())).await.id()
}

async fn assert_refused(ground: &Ground, whole: UploadId, part: &str) {
    eventually("the whole is refused", || async { ground.upload(whole).await.state == UploadState::Refused }).await;
    let asset = ground.asset(whole).await;
    assert_eq!((asset.state, ground.probes().await), (AssetState::Failed, vec![]));
    assert!(asset.failure.as_ref().is_some_and(|failure| failure.message.contains(part)), "{asset:?}");
    eventually("its file is gone", || async { !ground.state.staging.path(whole).exists() }).await;
    assert!(ground.state.catalog.open_finals().await.expect("answers").is_empty(), "nobody tries again");
}

#[tokio::test]
async fn a_whole_that_turns_out_longer_than_it_may_be_is_refused_for_good() {
    let ground = Ground::with(ingest::Limits { size_max: 10, ..ingest::Limits::default() }).await;
    let parts = [deferred_part(&ground).await, deferred_part(&ground).await];
    let whole = join(&ground, &parts).await.id();
    for part in parts {
        let mut last = patch(part, 0, "abcdef");
        last.headers_mut().insert("upload-length", "6".parse().expect("a value"));
        assert_eq!(ground.send(last).await.offset(), Some(6));
    }
    assert_refused(&ground, whole, "up to 10 octets").await;
}

#[tokio::test]
async fn a_whole_of_which_a_part_is_lost_is_refused_for_good() {
    for is_gone in [false, true] {
        let ground = Ground::new().await;
        let parts = [complete_part(&ground, b"abc").await, part(&ground, 3).await];
        let whole = join(&ground, &parts).await.id();
        let file = ground.state.staging.path(parts[0]);
        if is_gone { std::fs::remove_file(&file) } else { std::fs::write(&file, b"a") }.expect("is lost");
        ground.patch(parts[1], 0, "def").await;
        assert_refused(&ground, whole, "lost").await;
    }
}

/// A final upload as a killed process leaves it: nothing is recorded of it, and its file holds `staged`.
async fn unfinished(ground: &Ground, parts: &[UploadId], length: u64, staged: &[u8]) -> UploadId {
    let now = ground.state.clock.now();
    let target =
        Target::new(AssetId::mint(now, ground.state.clock.entropy()), PlaybackId::mint(ground.state.clock.entropy()));
    let id = UploadId::mint(now, ground.state.clock.entropy());
    let terms = UploadTerms { parts: parts.to_vec(), ..UploadTerms::default() };
    let new = NewUpload { kind: UploadKind::Final, terms, ..NewUpload::whole(id, target, Some(length), now) };
    ground.state.staging.create(id).await.expect("creates");
    ground.state.catalog.create_upload(&new).await.expect("creates");
    std::fs::write(ground.state.staging.path(id), staged).expect("writes");
    id
}

async fn record(ground: &Ground, id: UploadId, offset: u64) {
    advance(ground, Advance { id, offset, expires_at: None, is_full: false }).await;
}

async fn advance(ground: &Ground, advance: Advance) {
    let now = ground.state.clock.now();
    ground.state.catalog.advance_uploads(&[advance], now).await.expect("answers").remove(0).expect("advances");
}

#[tokio::test]
async fn a_concatenation_that_was_killed_goes_on_where_it_was_recorded() {
    let (ground, file) = (Ground::new().await, noise(250_000));
    let parts = [complete_part(&ground, &file[..100_000]).await, complete_part(&ground, &file[100_000..]).await];
    for (recorded, is_staged_beyond) in [(0, true), (99_999, false), (100_000, true), (180_000, true)] {
        let copied = usize::try_from(recorded).expect("fits");
        let beyond = if is_staged_beyond { &b"not yet flushed"[..] } else { b"" };
        let id = unfinished(&ground, &parts, 250_000, &[&file[..copied], beyond].concat()).await;
        record(&ground, id, recorded).await;
        let state = ground.restarted().await;
        check_source(&ground, id, &file).await;
        drop(state);
    }
}

/// How far a whole got before its process was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Killed {
    /// All octets are in its file.
    Joined,
    /// The file has a second name in the store.
    Linked,
    /// The store has it alone.
    Stored,
    /// As above, and a part was given up before the next start.
    StoredWithoutParts,
    /// Its file is gone, of which some was recorded.
    Lost,
    /// The same when all of it was.
    FullAndLost,
}

#[tokio::test]
async fn a_whole_that_was_killed_before_it_was_recorded_is_complete_at_the_next_start() {
    let file = noise(250_000);
    let ways = [Killed::Joined, Killed::Linked, Killed::Stored, Killed::StoredWithoutParts, Killed::Lost];
    for killed in ways.into_iter().chain([Killed::FullAndLost]) {
        let ground = Ground::new().await;
        let parts = [complete_part(&ground, &file[..100_000]).await, complete_part(&ground, &file[100_000..]).await];
        let id = unfinished(&ground, &parts, 250_000, &file).await;
        let (asset, staged) = (ground.asset(id).await.id, ground.state.staging.path(id));
        match killed {
            Killed::Joined => {}
            Killed::Linked => {
                let second = staged.with_extension("second");
                std::fs::hard_link(&staged, &second).expect("links");
                ground.state.store.adopt_source(asset, &staged).await.expect("adopts");
                std::fs::rename(&second, &staged).expect("is called so again");
            }
            Killed::Stored | Killed::StoredWithoutParts => {
                ground.state.store.adopt_source(asset, &staged).await.expect("adopts");
            }
            Killed::Lost => {
                record(&ground, id, 180_000).await;
                std::fs::remove_file(&staged).expect("removes");
            }
            Killed::FullAndLost => {
                advance(&ground, Advance { id, offset: 249_999, expires_at: None, is_full: true }).await;
                std::fs::remove_file(&staged).expect("removes");
            }
        }
        if killed == Killed::StoredWithoutParts {
            let now = ground.state.clock.now();
            assert!(ground.state.catalog.close_upload(parts[1], &Closing::Terminated, now).await.expect("answers"));
        }
        let state = ground.restarted().await;
        check_source(&ground, id, &file).await;
        assert!(!staged.exists(), "{killed:?}");
        let soon = ground.state.clock.now().plus(std::time::Duration::from_secs(60 * 60));
        eventually("its parts are released", || async { ground.upload(parts[0]).await.expires_at == Some(soon) }).await;
        drop(state);
    }
}

#[tokio::test]
async fn a_whole_that_was_killed_is_refused_if_its_parts_are_lost() {
    for is_joined in [false, true] {
        let ground = Ground::new().await;
        let parts = [complete_part(&ground, b"abc").await, complete_part(&ground, b"def").await];
        let whole = unfinished(&ground, &parts, 6, if is_joined { b"abcdef" } else { b"" }).await;
        if !is_joined {
            std::fs::remove_file(ground.state.staging.path(whole)).expect("removes");
        }
        std::fs::write(ground.state.staging.path(parts[1]), b"d").expect("is lost");
        let state = ground.restarted().await;
        assert_refused(&ground, whole, "lost").await;
        drop(state);
    }
}

#[tokio::test]
async fn a_whole_takes_no_octets_and_is_not_what_its_digest_does_not_say() {
    let ground = Ground::new().await;
    let parts = [complete_part(&ground, b"abc").await, complete_part(&ground, b"def").await];
    let concat = format!("final;/uploads/{} /uploads/{}", parts[0], parts[1]);
    let digest = "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:";
    let headers = [("upload-concat", &*concat), ("repr-digest", digest)];
    let refused = ground.send(request("POST", "/uploads", &headers, Body::empty())).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (410, "upload_refused"), "{}", refused.body);
    let joined = join(&ground, &parts).await.id();
    assert_eq!(send(&ground.state, patch(joined, 6, "g")).await.status, 403);
    // The parts are still there for it.
    check_source(&ground, joined, b"abcdef").await;
    let closed = ground.state.catalog.close_upload(parts[0], &Closing::Terminated, ground.state.clock.now()).await;
    assert!(closed.expect("answers"), "a part may be given up when it is taken");
}
