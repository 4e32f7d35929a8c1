use std::time::Duration;

use axum::body::{Body, Bytes};
use domain::AssetState;
use ingest::Limits;

use crate::ground::{Ground, eventually, noise, patch, send, slow_body};

fn broken() -> std::io::Result<Bytes> {
    Err(std::io::ErrorKind::ConnectionReset.into())
}

/// Limits under which checkpoints come at once.
fn eager() -> Limits {
    Limits { checkpoint_interval: Duration::from_millis(1), ..Limits::default() }
}

#[tokio::test]
async fn a_body_that_breaks_off_keeps_every_octet_that_came() {
    let (ground, file) = (Ground::new().await, noise(3_000_000));
    let upload = ground.create(3_000_000).await;
    let (sender, body) = slow_body();
    for piece in file[..2_345_678].chunks(65_536) {
        sender.unbounded_send(Ok(Bytes::copy_from_slice(piece))).expect("is read");
    }
    sender.unbounded_send(broken()).expect("is read");
    let answer = ground.patch(upload, 0, body).await;
    assert_eq!((answer.status.as_u16(), answer.offset()), (400, Some(2_345_678)));
    assert_eq!(ground.head(upload).await.offset(), Some(2_345_678));
    ground.patch(upload, 2_345_678, file[2_345_678..].to_vec()).await;
    assert!(ground.source(ground.asset(upload).await.id).await == file, "the source is the file");
}

#[tokio::test]
async fn a_request_that_is_dropped_keeps_every_octet_that_came() {
    let ground = Ground::new().await;
    let upload = ground.create(10).await;
    let (sender, body) = slow_body();
    let state = ground.state.clone();
    let request = tokio::task::JoinSet::from_iter([async move { send(&state, patch(upload, 0, body)).await }]);
    sender.unbounded_send(Ok(Bytes::from_static(b"abc"))).expect("is read");
    eventually("the body is being read", || async { ground.state.tasks.len() == 1 }).await;
    drop(request);
    sender.unbounded_send(Ok(Bytes::from_static(b"de"))).expect("is read");
    sender.unbounded_send(broken()).expect("is read");
    eventually("the octets are recorded", || async { ground.upload(upload).await.offset == 5 }).await;
}

#[tokio::test]
async fn a_request_dropped_behind_the_last_octet_still_completes() {
    let ground = Ground::new().await;
    let upload = ground.create(3).await;
    let (sender, body) = slow_body();
    let state = ground.state.clone();
    let request = tokio::task::JoinSet::from_iter([async move { send(&state, patch(upload, 0, body)).await }]);
    sender.unbounded_send(Ok(Bytes::from_static(b"abc"))).expect("is read");
    eventually("the body is being read", || async { ground.state.tasks.len() == 1 }).await;
    drop(request);
    sender.unbounded_send(broken()).expect("is read");
    eventually("the asset is received", || async { ground.asset(upload).await.state == AssetState::Received }).await;
    assert_eq!(ground.head(upload).await.offset(), Some(3));
}

#[tokio::test]
async fn octets_are_recorded_while_the_body_still_comes_but_never_the_last_one() {
    let ground = Ground::with(eager()).await;
    let upload = ground.create(5).await;
    let (sender, body) = slow_body();
    let request = ground.patch(upload, 0, body);
    let watch = async {
        sender.unbounded_send(Ok(Bytes::from_static(b"abc"))).expect("is read");
        eventually("three octets are recorded", || async { ground.upload(upload).await.offset == 3 }).await;
        sender.unbounded_send(Ok(Bytes::from_static(b"de"))).expect("is read");
        eventually("all but one are recorded", || async { ground.upload(upload).await.offset == 4 }).await;
        assert_eq!(ground.asset(upload).await.state, AssetState::Uploading);
        drop(sender);
    };
    let (answer, ()) = tokio::join!(request, watch);
    assert_eq!(answer.offset(), Some(5));
    assert_eq!(ground.asset(upload).await.state, AssetState::Received);
}

#[tokio::test]
async fn a_stalled_request_is_taken_over_by_one_that_goes_on_where_it_stands() {
    let ground = Ground::new().await;
    let upload = ground.create(6).await;
    let (sender, body) = slow_body();
    sender.unbounded_send(Ok(Bytes::from_static(b"abc"))).expect("is read");
    let stalled = ground.patch(upload, 0, body);
    let successor = async {
        eventually("the octets came", || async { sender.is_empty() }).await;
        // The stalled request may not have looked at the octets yet: then the offset is refused.
        loop {
            let answer = ground.patch(upload, 3, "def").await;
            if answer.status != 409 {
                return answer;
            }
        }
    };
    let (stalled, successor) = tokio::join!(stalled, successor);
    assert_eq!((stalled.status.as_u16(), stalled.code().as_str()), (409, "taken_over"));
    assert_eq!((successor.status.as_u16(), successor.offset()), (204, Some(6)));
    assert_eq!(ground.source(ground.asset(upload).await.id).await, b"abcdef");
}

#[tokio::test]
async fn head_stops_a_stalled_request_and_its_answer_is_good_to_go_on_from() {
    let ground = Ground::new().await;
    let upload = ground.create(6).await;
    let (sender, body) = slow_body();
    sender.unbounded_send(Ok(Bytes::from_static(b"abc"))).expect("is read");
    let stalled = ground.patch(upload, 0, body);
    let successor = async {
        eventually("the body is being read", || async { ground.state.tasks.len() == 1 }).await;
        let head = ground.head(upload).await;
        assert_eq!(head.status, 200);
        let offset = head.offset().expect("has an offset");
        let rest = &"abcdef"[usize::try_from(offset).expect("fits")..];
        ground.patch(upload, offset, rest).await
    };
    let (stalled, successor) = tokio::join!(stalled, successor);
    assert_eq!(stalled.status, 409);
    assert_eq!((successor.status.as_u16(), successor.offset()), (204, Some(6)));
    assert_eq!(ground.source(ground.asset(upload).await.id).await, b"abcdef");
}

#[tokio::test]
async fn of_parallel_requests_for_one_offset_exactly_one_wins() {
    for round in 0..20u8 {
        let ground = Ground::new().await;
        let upload = ground.create(300_001).await;
        let bodies = (0..8u8).map(|writer| {
            let pieces = (0..10).map(move |_| Ok::<_, std::io::Error>(vec![writer; 30_000]));
            Body::from_stream(futures::stream::iter(pieces))
        });
        let answers = futures::future::join_all(bodies.map(|body| ground.patch(upload, 0, body))).await;
        let won: Vec<usize> = (0..8).filter(|&writer| answers[writer].status == 204).collect();
        assert_eq!(won.len(), 1, "round {round}: {answers:?}");
        assert!(answers.iter().all(|answer| [204, 409].contains(&answer.status.as_u16())), "{answers:?}");
        let staged = std::fs::read(ground.state.staging.path(upload)).expect("reads");
        assert!(staged == vec![u8::try_from(won[0]).expect("fits"); 300_000], "round {round}");
    }
}

#[tokio::test]
async fn a_request_for_another_offset_does_not_disturb_the_one_that_appends() {
    let ground = Ground::new().await;
    let upload = ground.create(6).await;
    let (sender, body) = slow_body();
    let appending = ground.patch(upload, 0, body);
    let disturbance = async {
        eventually("the body is being read", || async { ground.state.tasks.len() == 1 }).await;
        assert_eq!(ground.patch(upload, 5, "f").await.status, 409);
        sender.unbounded_send(Ok(Bytes::from_static(b"abcdef"))).expect("is read");
        drop(sender);
    };
    let (appending, ()) = tokio::join!(appending, disturbance);
    assert_eq!((appending.status.as_u16(), appending.offset()), (204, Some(6)));
}

#[tokio::test]
async fn a_body_that_says_nothing_is_given_up_and_what_came_is_kept() {
    let ground = Ground::with(Limits { silence_max: Duration::from_millis(50), ..Limits::default() }).await;
    let upload = ground.create(6).await;
    let (sender, body) = slow_body();
    sender.unbounded_send(Ok(Bytes::from_static(b"abc"))).expect("is read");
    let answer = ground.patch(upload, 0, body).await;
    assert_eq!((answer.status.as_u16(), answer.offset()), (408, Some(3)));
}

#[tokio::test]
async fn a_stopping_server_keeps_what_came_and_says_so() {
    let ground = Ground::new().await;
    let upload = ground.create(6).await;
    let (sender, body) = slow_body();
    sender.unbounded_send(Ok(Bytes::from_static(b"abc"))).expect("is read");
    let request = ground.patch(upload, 0, body);
    let stop = async {
        eventually("the octets came", || async { sender.is_empty() }).await;
        eventually("the body is being read", || async { ground.state.tasks.len() == 1 }).await;
        ground.state.shutdown.cancel();
    };
    let (answer, ()) = tokio::join!(request, stop);
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    let restarted = ground.restarted().await;
    let offset = answer.offset().expect("has an offset");
    let rest = &"abcdef"[usize::try_from(offset).expect("fits")..];
    assert_eq!(send(&restarted, patch(upload, offset, rest)).await.offset(), Some(6));
    assert_eq!(ground.source(ground.asset(upload).await.id).await, b"abcdef");
}

#[tokio::test]
async fn a_termination_stops_the_request_that_appends() {
    let ground = Ground::new().await;
    let upload = ground.create(6).await;
    let (_sender, body) = slow_body();
    let appending = ground.patch(upload, 0, body);
    let termination = async {
        eventually("the body is being read", || async { ground.state.tasks.len() == 1 }).await;
        let path = format!("/uploads/{upload}");
        ground.send(crate::ground::request("DELETE", &path, &[], Body::empty())).await
    };
    let (appending, termination) = tokio::join!(appending, termination);
    assert_eq!(termination.status, 204);
    assert_eq!(appending.status, 409);
}

#[tokio::test]
async fn a_creation_whose_body_breaks_off_tells_where_to_go_on() {
    let ground = Ground::new().await;
    let (sender, body) = slow_body();
    sender.unbounded_send(Ok(Bytes::from_static(b"abc"))).expect("is read");
    sender.unbounded_send(broken()).expect("is read");
    let headers = [("upload-length", "6"), ("content-type", "application/offset+octet-stream")];
    let answer = ground.send(crate::ground::request("POST", "/uploads", &headers, body)).await;
    assert_eq!((answer.status.as_u16(), answer.offset()), (201, Some(3)));
    assert_eq!(ground.patch(answer.id(), 3, "def").await.offset(), Some(6));
}
