//! Files are of the types that are accepted: as declared, by their first octets, and by their tracks.

use axum::body::Body;
use catalog_store::UploadState;
use domain::probe::{Color, FieldOrder, Orientation, VideoTrack};
use domain::{AssetState, FrameRate, Resolution};
use ingest::{Looked, Policy};

use crate::admission::{Double, assert_refused, fast_start, ground, index_behind, media_only, plays_for};
use crate::ground::{eventually, request};

const MIB: usize = 1 << 20;

fn shows_a_picture() -> Looked {
    let Looked::Understood(mut probe) = plays_for(10) else { panic!("it plays") };
    probe.video.push(VideoTrack {
        stream_index: 1,
        codec: "h264".into(),
        pixel_format: "yuv420p".into(),
        coded: Resolution { width: 640, height: 360 },
        sample_aspect: (1, 1),
        orientation: Orientation::default(),
        color: Color::default(),
        field_order: FieldOrder::default(),
        extent: probe.audio[0].extent,
        frame_count: 250,
        measured_rate: FrameRate::new(25, 1).expect("a rate"),
        is_variable_rate: false,
        language: None,
        is_default: true,
        jumps: vec![],
        last_decodable: None,
        avc: None,
    });
    Looked::Understood(probe)
}

fn only(pattern: &str) -> Policy {
    Policy { types: vec![pattern.parse().expect("a type")], ..Policy::default() }
}

#[tokio::test]
async fn a_declared_type_that_is_not_accepted_is_refused_before_its_octets() {
    let policy = Policy { types: vec!["video/mp4".parse().expect("a type")], ..Policy::default() };
    let ground = ground(policy, None).await;
    let declared = |kind: &str| {
        let kind = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, kind);
        let metadata = format!("filetype {kind}");
        request("POST", "/uploads", &[("upload-length", "9"), ("upload-metadata", &metadata)], Body::empty())
    };
    let refused = ground.send(declared("video/webm")).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (415, "type_not_accepted"));
    for kind in ["video/mp4", "application/octet-stream", "text/vnd.trolltech.linguist"] {
        assert_eq!(ground.send(declared(kind)).await.status, 201, "{kind}: the octets decide");
    }
    let upload = ground.create(16).await;
    let found = ground.patch(upload, 0, b"fLaC0123456789ab".to_vec()).await;
    assert_eq!((found.status.as_u16(), found.code().as_str()), (415, "upload_refused"));
    assert_refused(&ground, upload, "audio/flac").await;
}

#[tokio::test]
async fn a_picture_is_refused_early_where_only_sound_is_accepted() {
    let ground = ground(only("audio/*"), Some(Double::new(shows_a_picture()))).await;
    let upload = ground.create(64 << 20).await;
    ground.patch(upload, 0, fast_start(2 * MIB)).await;
    eventually("it is refused", || async { ground.upload(upload).await.state == UploadState::Refused }).await;
    assert_refused(&ground, upload, "files of the type video/mp4 are not accepted here").await;
}

#[tokio::test]
async fn what_the_head_does_not_show_decides_the_type_at_the_end() {
    let cases = [
        ("audio/*", shows_a_picture(), Some("video/mp4")),
        ("audio/*", plays_for(10), None),
        ("audio/*", Looked::Unclear("crashed".into()), None),
        ("video/*", shows_a_picture(), None),
        ("video/*", plays_for(10), Some("audio/mp4")),
        ("video/webm", plays_for(10), Some("video/mp4")),
    ];
    for (pattern, found, refused) in cases {
        // A small file, and one whose index comes last.
        for octets in [fast_start(1000), index_behind(2 * MIB)] {
            let ground = ground(only(pattern), Some(Double::new(found.clone()))).await;
            let upload = ground.create(octets.len() as u64).await;
            let answer = ground.patch(upload, 0, octets).await;
            match refused {
                Some(kind) => {
                    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (415, "upload_refused"), "{pattern}");
                    assert_refused(&ground, upload, &format!("files of the type {kind} are not accepted here")).await;
                }
                None => {
                    assert_eq!(answer.status, 204, "{pattern} {}", answer.body);
                    assert_eq!(ground.asset(upload).await.state, AssetState::Received);
                }
            }
        }
    }
}

#[tokio::test]
async fn nobody_looks_twice_where_the_tracks_change_nothing() {
    let prober = Double::new(shows_a_picture());
    for policy in [media_only(), Policy::default(), only("*/*")] {
        let ground = ground(policy, Some(prober.clone())).await;
        let upload = ground.create(1000).await;
        assert_eq!(ground.patch(upload, 0, fast_start(1000)).await.status, 204);
    }
    assert_eq!(prober.shown(), 0);
}
