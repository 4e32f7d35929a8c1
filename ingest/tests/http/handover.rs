//! A new request takes an upload over: quickly, without losing what is on its way, and never two at once.

use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use ingest::{Limits, State};
use media_store::{MediaStore, StoreConfig};

use crate::ground::{Ground, eventually, noise, patch, request, send, slow_body};

#[tokio::test]
async fn a_question_lets_the_request_before_it_take_in_what_has_come() {
    let ground = Ground::new().await;
    let (upload, file) = (ground.create(4_000_000).await, noise(3_000_000));
    let (sender, body) = slow_body();
    for piece in file.chunks(50_000) {
        sender.unbounded_send(Ok(Bytes::copy_from_slice(piece))).expect("is read");
    }
    // Nothing ends the body: the line is dead, but for what lies in its buffers.
    let stalled = ground.patch(upload, 0, body);
    let question = async {
        eventually("the body is being read", || async { !ground.state.tasks.is_empty() }).await;
        ground.head(upload).await
    };
    let (stalled, head) = tokio::join!(stalled, question);
    assert_eq!((head.status.as_u16(), head.offset()), (200, Some(3_000_000)));
    assert_eq!((stalled.status.as_u16(), stalled.offset()), (409, Some(3_000_000)));
    assert!(std::fs::read(ground.state.staging.path(upload)).expect("reads") == file);
}

#[tokio::test]
async fn a_body_that_never_pauses_is_not_drained_for_long() {
    let ground = Ground::new().await;
    let upload = ground.create(1 << 40).await;
    let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[7; 65_536])));
    let body = Body::from_stream(endless);
    let endless = ground.patch(upload, 0, body);
    let question = async {
        eventually("the body is being read", || async { ground.upload(upload).await.offset > 0 }).await;
        ground.head(upload).await
    };
    let (endless, head) = tokio::join!(endless, question);
    assert_eq!((head.status.as_u16(), head.offset()), (200, endless.offset()));
    assert_eq!(endless.status, 409);
}

#[tokio::test]
async fn a_stalled_request_is_taken_over_long_before_it_is_given_up() {
    let ground = Ground::new().await;
    let mut took = Vec::new();
    for round in 0..100 {
        let upload = ground.create(10).await;
        let (sender, body) = slow_body();
        sender.unbounded_send(Ok(Bytes::from_static(b"abc"))).expect("is read");
        let state = ground.state.clone();
        let _stalled = tokio::task::JoinSet::from_iter([async move { send(&state, patch(upload, 0, body)).await }]);
        eventually("the body is being read", || async { sender.is_empty() }).await;
        let asked = Instant::now();
        if round % 2 == 0 {
            assert_eq!(ground.head(upload).await.offset(), Some(3));
        } else {
            let path = format!("/uploads/{upload}");
            assert_eq!(ground.send(request("DELETE", &path, &[], Body::empty())).await.status, 204);
        }
        took.push(asked.elapsed());
    }
    took.sort();
    let (median, worst) = (took[50], took[99]);
    // No figure of a busy machine; but nobody waited for the silence to last too long.
    assert!(worst < ground.state.limits.silence_max / 4, "median {median:?}, worst {worst:?}");
}

#[tokio::test]
async fn of_parallel_requests_for_one_offset_exactly_one_wins_checked_or_not() {
    use base64::Engine as _;
    for round in 0..30u8 {
        let ground = Ground::new().await;
        let upload = ground.create(200_001).await;
        let requests = (0..6u8).map(|writer| {
            let pieces = (0..8).map(move |_| Ok::<_, std::io::Error>(vec![writer; 25_000]));
            let mut request = patch(upload, 0, Body::from_stream(futures::stream::iter(pieces)));
            if round % 2 == 0 {
                let mut hasher = ingest::digest::Hasher::new(ingest::digest::Algorithm::Crc32c);
                hasher.update(&vec![writer; 200_000]);
                let checksum = format!("crc32c {}", base64::prelude::BASE64_STANDARD.encode(hasher.finish()));
                request.headers_mut().insert("upload-checksum", checksum.parse().expect("is a value"));
            }
            ground.send(request)
        });
        let answers = futures::future::join_all(requests).await;
        let won: Vec<usize> = (0..6).filter(|&writer| answers[writer].status == 204).collect();
        assert_eq!(won.len(), 1, "round {round}: {answers:?}");
        assert!(answers.iter().all(|answer| [204, 409].contains(&answer.status.as_u16())), "{answers:?}");
        let staged = std::fs::read(ground.state.staging.path(upload)).expect("reads");
        assert!(staged == vec![u8::try_from(won[0]).expect("fits"); 200_000], "round {round}");
        assert_eq!(ground.head(upload).await.offset(), Some(200_000));
    }
}

/// A store that does not answer.
async fn dead_store(ground: &Ground) -> State {
    let config = StoreConfig {
        url: "s3://bkt?endpoint=http://127.0.0.1:1".into(),
        access_key: Some("a".into()),
        secret_key: Some("b".into()),
        scratch: ground.dir.path().join("scratch"),
    };
    State { store: MediaStore::open(config).await.expect("opens"), ..ground.state.clone() }
}

#[tokio::test]
async fn while_the_store_is_away_every_octet_is_kept_and_the_upload_ends_by_itself_when_it_is_back() {
    let ground = Ground::with(Limits { handover_max: Duration::from_millis(100), ..Limits::default() }).await;
    let away = dead_store(&ground).await;
    let upload = ground.create(6).await;
    let last = send(&away, patch(upload, 0, "abcdef")).await;
    assert_eq!((last.status.as_u16(), last.code().as_str(), last.offset()), (503, "completing", Some(5)));
    assert!(last.header("retry-after").is_some());
    let asked = Instant::now();
    let head = send(&away, request("HEAD", &format!("/uploads/{upload}"), &[], Body::empty())).await;
    assert_eq!((head.status.as_u16(), head.offset()), (200, Some(5)), "the last octet waits for the store");
    assert!(asked.elapsed() < Duration::from_secs(1), "a question does not wait for a completion");
    let again = send(&away, patch(upload, 5, "f")).await;
    assert_eq!(again.status, 423, "{}", again.body);
    assert!(again.header("retry-after").is_some());
    assert!(ground.upload(upload).await.is_full);
    away.shutdown.cancel();
    away.tasks.close();
    tokio::time::timeout(Duration::from_secs(20), away.tasks.wait()).await.expect("the server stops");
    // Another start, with the store back: nothing more comes from the client.
    let state = ground.restarted().await;
    eventually("the upload is complete", || async { ground.head(upload).await.offset() == Some(6) }).await;
    assert_eq!(ground.source(ground.asset(upload).await.id).await, b"abcdef");
    assert_eq!(ground.probes().await.len(), 1);
    drop(state);
}

#[tokio::test]
async fn an_upload_that_cannot_be_completed_can_be_terminated() {
    let ground = Ground::with(Limits { handover_max: Duration::from_secs(1), ..Limits::default() }).await;
    let away = dead_store(&ground).await;
    let upload = ground.create(6).await;
    let path = format!("/uploads/{upload}");
    let last = send(&away, patch(upload, 0, "abcdef"));
    let terminate = async {
        eventually("the upload is full", || async { ground.upload(upload).await.is_full }).await;
        // The attempt under way is not cut off: ask until it is over.
        loop {
            let answer = send(&away, request("DELETE", &path, &[], Body::empty())).await;
            if answer.status != 423 {
                return answer;
            }
        }
    };
    let (last, terminated) = tokio::join!(last, terminate);
    assert_eq!(terminated.status, 204, "{}", terminated.body);
    assert_eq!(last.status, 503, "{}", last.body);
    assert!(!ground.state.staging.path(upload).exists());
    // Whether its source was stored is not known: the asset is purged.
    let jobs = ground.state.catalog.jobs_of(ground.asset(upload).await.id).await.expect("answers");
    assert_eq!(jobs.iter().map(|job| &job.spec).collect::<Vec<_>>(), [&domain::JobSpec::Purge]);
}
