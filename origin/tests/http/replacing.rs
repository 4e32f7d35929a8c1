//! Players that began with an output which was replaced.

use std::time::Duration;

use domain::presentation::{Pointer, RETAINED_MAX, Retained};
use domain::{Generation, Presentation};
use http::StatusCode;
use media_store::layout;

use crate::stage::{GENERATION, SEGMENTS, Stage, asset, content, playback, presentation, rendition};

const NEXT: Generation = Generation(4);

/// Longer than what is known of a pointer is believed.
const A_WHILE: Duration = Duration::from_millis(1100);

/// The presentation that takes the old one's place: another quality.
fn next() -> Presentation {
    let mut next = Presentation { generation: NEXT, revision: 2, ..presentation(1) };
    next.video[0].id = rendition("1080p");
    next.subtitles.clear();
    next
}

/// Puts the next output in force, with these kept beside it.
async fn replace(stage: &Stage, retained: Vec<Retained>) {
    let next = next();
    let key = layout::presentation(next.asset, next.generation, next.revision);
    stage.put(&key, serde_json::to_vec(&next).unwrap().into()).await;
    stage.put(&layout::init(asset(), NEXT, &rendition("1080p")), b"another moov".as_slice().into()).await;
    let pointer = Pointer { retained, ..next.pointer() };
    stage.store.put_pointer(playback(), serde_json::to_vec(&pointer).unwrap().into()).await.unwrap();
}

fn kept() -> Vec<Retained> {
    vec![Retained { generation: GENERATION, revision: 1 }]
}

#[tokio::test]
async fn a_player_that_began_with_the_old_output_goes_on_with_it() {
    let stage = Stage::with_everything(1).await;
    let playlist = stage.get("g3/720p/playlist.m3u8").await;
    replace(&stage, kept()).await;
    tokio::time::sleep(A_WHILE).await;
    let master = stage.get("master.m3u8").await;
    let master = String::from_utf8(master.body.to_vec()).unwrap();
    assert!(master.contains("g4/1080p/playlist.m3u8") && !master.contains("g3/"), "{master}");
    let again = stage.get("g3/720p/playlist.m3u8").await;
    assert_eq!((again.status, &again.body), (StatusCode::OK, &playlist.body));
    for index in 0..SEGMENTS {
        let reply = stage.get(&format!("g3/720p/{index}.m4s")).await;
        assert_eq!((reply.status, reply.body), (StatusCode::OK, content("720p", index)));
    }
    // What it has not looked at before as well.
    for rest in ["g3/audio-0-en/playlist.m3u8", "g3/720p/iframes.m3u8", "g3/text-0-de/0.vtt", "g3/images/poster.jpg"] {
        assert_eq!(stage.get(rest).await.status, StatusCode::OK, "{rest}");
    }
    assert_eq!(stage.get("g4/1080p/init.mp4").await.status, StatusCode::OK);
    for rest in ["g4/720p/0.m4s", "g3/1080p/0.m4s", "g2/720p/0.m4s", "g5/720p/0.m4s"] {
        assert_eq!(stage.get(rest).await.status, StatusCode::NOT_FOUND, "{rest}");
    }
}

#[tokio::test]
async fn an_old_output_that_is_kept_no_more_is_404() {
    let stage = Stage::with_everything(1).await;
    replace(&stage, vec![]).await;
    for rest in ["g3/720p/playlist.m3u8", "g3/720p/0.m4s"] {
        assert_eq!(stage.get(rest).await.status, StatusCode::NOT_FOUND, "{rest}");
    }
    // Named, but its documents and objects are gone already.
    let stage = Stage::with_everything(1).await;
    replace(&stage, kept()).await;
    stage.store.delete_prefix(&layout::generation_of(asset(), GENERATION)).await.unwrap();
    stage.store.delete(&layout::presentation(asset(), GENERATION, 1)).await.unwrap();
    for rest in ["g3/720p/playlist.m3u8", "g3/720p/0.m4s"] {
        assert_eq!(stage.get(rest).await.status, StatusCode::NOT_FOUND, "{rest}");
    }
    assert_eq!(stage.get("master.m3u8").await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_old_output_whose_objects_go_while_it_is_played_is_404_and_no_fault() {
    let stage = Stage::with_everything(1).await;
    replace(&stage, kept()).await;
    assert_eq!(stage.get("g3/720p/0.m4s").await.status, StatusCode::OK);
    stage.store.delete_prefix(&layout::generation_of(asset(), GENERATION)).await.unwrap();
    assert_eq!(stage.get("g3/720p/1.m4s").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn as_many_old_outputs_are_served_as_are_kept() {
    let stage = Stage::with_everything(1).await;
    let mut retained = kept();
    for number in 10..9 + u32::try_from(RETAINED_MAX).unwrap() {
        let old = Presentation { generation: Generation(number), ..presentation(1) };
        stage.put(&layout::presentation(asset(), old.generation, 1), serde_json::to_vec(&old).unwrap().into()).await;
        retained.push(Retained { generation: old.generation, revision: 1 });
    }
    replace(&stage, retained.clone()).await;
    for one in retained {
        let rest = format!("g{}/720p/playlist.m3u8", one.generation);
        assert_eq!(stage.get(&rest).await.status, StatusCode::OK, "{rest}");
    }
}
