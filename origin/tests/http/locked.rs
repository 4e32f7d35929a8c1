//! Assets that are encrypted on their way out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::{Access, Admission, Encryption, EncryptionMethod};
use http::{Method, StatusCode};
use origin::access::{ContentKeys, Gate, hash_password};
use packager::encryption::{Octets, aes128};

use crate::refusals::assert_problem;
use crate::stage::{Stage, content};

const OLD: &str = "an old secret of 32 characters..";
const NEW: &str = "a new secret of 32 characters...";

fn access(method: EncryptionMethod, clear_lead_s: u32, rotate_s: u32) -> Access {
    Access { encryption: Some(Encryption { method, clear_lead_s, rotate_s }), ..Access::default() }
}

fn gate(secrets: &[&str]) -> Gate {
    Gate::without_keys().with_content_keys(ContentKeys::new(secrets).unwrap())
}

async fn stage(access: Access, secrets: &[&str]) -> Stage {
    let stage = Stage::with_everything(1).await.guarded(gate(secrets));
    stage.allow(&access).await;
    stage
}

/// What a playlist says of each segment: its address, the address of its key, and its vector; none for clear ones.
async fn segments(stage: &Stage, playlist: &str) -> Vec<(String, Option<(String, Octets)>)> {
    let reply = stage.get(playlist).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    let text = String::from_utf8(reply.body.to_vec()).unwrap();
    let (mut key, mut found) = (None, Vec::new());
    for line in text.lines() {
        if let Some(list) = line.strip_prefix("#EXT-X-KEY:METHOD=AES-128,URI=\"../../") {
            let (uri, rest) = list.split_once("\",IV=0x").unwrap();
            key = Some((uri.to_owned(), u128::from_str_radix(rest, 16).unwrap().to_be_bytes()));
        } else if !line.starts_with('#') {
            found.push((format!("{}/{line}", playlist.rsplit_once('/').unwrap().0), key.clone()));
        }
    }
    found
}

#[tokio::test]
async fn segments_are_opened_by_the_keys_that_their_playlist_names() {
    let stage = stage(access(EncryptionMethod::Aes128, 2, 4), &[NEW]).await;
    for name in ["720p", "audio-0-en"] {
        let segments = segments(&stage, &format!("g3/{name}/playlist.m3u8")).await;
        assert_eq!(segments.len(), 3);
        assert_eq!(segments[0], (format!("g3/{name}/0.m4s"), None), "two seconds stay clear");
        assert_eq!(stage.get(&segments[0].0).await.body, content(name, 0));
        let mut keys = Vec::new();
        for (index, (uri, key)) in (1u32..).zip(&segments[1..]) {
            let (key, vector) = key.as_ref().unwrap();
            let sealed = stage.get(uri).await;
            assert_eq!(
                (sealed.status, sealed.header("cache-control")),
                (StatusCode::OK, Some("public, max-age=31536000, immutable"))
            );
            let key = stage.get(key).await;
            assert_eq!(
                aes128::open(&sealed.body, &Octets::try_from(&*key.body).unwrap(), vector).unwrap(),
                content(name, index)
            );
            keys.push(key.body);
        }
        assert_ne!(keys[0], keys[1], "one for the seconds up to the fourth, another from there on");
    }
}

#[tokio::test]
async fn an_encrypted_segment_has_a_tag_and_ranges_of_its_own() {
    let stage = stage(access(EncryptionMethod::Aes128, 0, 0), &[NEW]).await;
    let (uri, _) = segments(&stage, "g3/720p/playlist.m3u8").await.remove(1);
    let whole = stage.get(&uri).await;
    let tag = whole.header("etag").unwrap().to_owned();
    let part = stage.get_with(&uri, &[("range", "bytes=100-199"), ("if-range", &tag)]).await;
    assert_eq!((part.status, &part.body), (StatusCode::PARTIAL_CONTENT, &whole.body.slice(100..200)));
    assert_eq!(stage.get_with(&uri, &[("if-none-match", &tag)]).await.status, StatusCode::NOT_MODIFIED);
    assert_eq!(whole.header("link"), Some("<2.m4s>; rel=\"next\""));
    // Another origin with the same secret gives the same octets under the same name.
    let other = self::stage(access(EncryptionMethod::Aes128, 0, 0), &[NEW, OLD]).await;
    let again = other.get(&uri).await;
    assert_eq!((again.header("etag"), &again.body), (Some(tag.as_str()), &whole.body));
}

#[tokio::test]
async fn an_iframe_is_a_file_of_its_own() {
    let stage = stage(access(EncryptionMethod::Aes128, 2, 0), &[NEW]).await;
    let text = stage.get("g3/720p/iframes.m3u8").await.body;
    let text = String::from_utf8(text.to_vec()).unwrap();
    assert!(text.contains("#EXT-X-BYTERANGE:600@40\n0.m4s\n"), "{text}");
    let segments = segments(&stage, "g3/720p/iframes.m3u8").await;
    let (uri, key) = &segments[1];
    assert!(uri.ends_with("/1-0.m4s"), "{uri}");
    let (key, vector) = key.as_ref().unwrap();
    let key = Octets::try_from(&*stage.get(key).await.body).unwrap();
    let plain = aes128::open(&stage.get(uri).await.body, &key, vector).unwrap();
    assert_eq!(plain, content("720p", 1)[40..640]);
    assert_eq!(stage.get(&uri.replace("1-0", "1-1")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nothing_of_an_encrypted_asset_is_to_be_had_clear_but_texts_and_pictures() {
    let stage = stage(access(EncryptionMethod::Aes128, 2, 0), &[NEW]).await;
    for rest in ["g3/720p/1.m4s", "g3/audio-0-en/2.m4s", "g3/720p/1.ts", "manifest.mpd", "720p.mp4", "audio-0-en.m4a"] {
        assert_problem(&stage.get(rest).await, StatusCode::NOT_FOUND, "encrypted");
    }
    for rest in ["g3/720p/init.mp4", "g3/text-0-de/1.vtt", "g3/images/poster.jpg", "chapters.json", "storyboard.vtt"] {
        assert_eq!(stage.get(rest).await.status, StatusCode::OK, "{rest}");
    }
    let text = stage.get("g3/text-0-de/playlist.m3u8").await.body;
    assert!(!String::from_utf8_lossy(&text).contains("EXT-X-KEY"));
    let clip = segments(&stage, "g3/720p/playlist.m3u8?start=3").await;
    assert_eq!(clip.len(), 2, "clips are cut as ever");
    assert!(clip.iter().all(|(_, key)| key.is_some()));
}

#[tokio::test]
async fn samples_are_encrypted_in_cmaf_alone() {
    let stage = stage(access(EncryptionMethod::Cbcs, 0, 0), &[NEW]).await;
    assert_problem(&stage.get("master.m3u8?container=ts").await, StatusCode::NOT_FOUND, "encrypted");
    let text = String::from_utf8(stage.get("g3/720p/playlist.m3u8").await.body.to_vec()).unwrap();
    assert!(text.contains("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"../../keys/3/0?of="), "{text}");
    assert!(!text.contains("\"init.mp4\""), "{text}");
    // One key for all can be told to players of DASH, more cannot.
    let manifest = stage.get("manifest.mpd").await;
    assert_eq!(manifest.status, StatusCode::OK);
    let manifest = String::from_utf8(manifest.body.to_vec()).unwrap();
    assert!(manifest.contains("value=\"cbcs\" cenc:default_KID=\""), "{manifest}");
    let rotated = self::stage(access(EncryptionMethod::Cbcs, 0, 4), &[NEW]).await;
    assert_problem(&rotated.get("manifest.mpd").await, StatusCode::NOT_FOUND, "encrypted");
    // What is stored here is no CMAF.
    let (init, _) = text.split_once("#EXT-X-MAP:URI=\"").unwrap().1.split_once('"').unwrap();
    assert_problem(&stage.get(&format!("g3/720p/{init}")).await, StatusCode::INTERNAL_SERVER_ERROR, "damaged");
    assert_problem(
        &stage.get(&format!("g3/720p/{}", init.replace("init-0", "init-1"))).await,
        StatusCode::NOT_FOUND,
        "not_found",
    );
}

#[tokio::test]
async fn a_key_is_given_to_those_who_may_play_and_kept_by_nobody() {
    let signed = |admission| Access { admission, ..access(EncryptionMethod::Aes128, 0, 2) };
    let stage = stage(signed(Admission::Public), &[NEW]).await;
    let key = stage.get("keys/3/1").await;
    assert_eq!((key.status, key.body.len()), (StatusCode::OK, 16));
    assert_eq!(key.header("content-type"), Some("application/octet-stream"));
    assert_eq!(key.header("cache-control"), Some("private, no-store"));
    assert_eq!(key.header("cdn-cache-control"), None);
    assert_eq!(stage.send(Method::HEAD, "keys/3/1", &[]).await.status, StatusCode::OK);
    assert_eq!(stage.send(Method::POST, "keys/3/1", &[]).await.status, StatusCode::METHOD_NOT_ALLOWED);
    for rest in ["keys/3/4", "keys/2/0", "keys/3/0?of=000000000000", "keys/3/0?of=x", "keys/3/-1"] {
        assert_problem(&stage.get(rest).await, StatusCode::NOT_FOUND, "not_found");
    }
    stage.allow(&signed(Admission::Signed)).await;
    assert_problem(&stage.get("keys/3/1").await, StatusCode::FORBIDDEN, "token_needed");
    let hash = hash_password("right", [7; 16]);
    stage.allow(&signed(Admission::Password { hash })).await;
    assert_problem(&stage.get("keys/3/1").await, StatusCode::UNAUTHORIZED, "password_needed");
    let basic = format!("Basic {}", STANDARD.encode("u:right"));
    let opened = stage.get_with("keys/3/1", &[("authorization", &basic)]).await;
    assert_eq!((opened.status, &opened.body), (StatusCode::OK, &key.body));
    assert_eq!(opened.header("cache-control"), Some("private, no-store"));
    // Wrong ones are bounded, and told when another is looked at; whoever had the right one does not feel it.
    let mut guessed = None;
    for nth in 0..40 {
        let guess = format!("Basic {}", STANDARD.encode(format!("u:guess {nth}")));
        let answer = stage.get_with("keys/3/1", &[("authorization", &guess)]).await;
        if answer.status != StatusCode::UNAUTHORIZED {
            guessed = Some(answer);
            break;
        }
    }
    let guessed = guessed.expect("there is a bound");
    assert_problem(&guessed, StatusCode::TOO_MANY_REQUESTS, "too_many_attempts");
    assert_eq!(guessed.header("cache-control"), Some("no-store"));
    let wait: u32 = guessed.header("retry-after").and_then(|wait| wait.parse().ok()).expect("seconds");
    assert!((1..=15).contains(&wait), "{wait}");
    assert_eq!(stage.get_with("keys/3/1", &[("authorization", &basic)]).await.status, StatusCode::OK);
    assert_problem(&stage.get("keys/3/1").await, StatusCode::UNAUTHORIZED, "password_needed");
    let pages = vec!["https://shop.example".to_owned()];
    stage.allow(&Access { pages, ..signed(Admission::Public) }).await;
    assert_problem(&stage.get("keys/3/1").await, StatusCode::FORBIDDEN, "other_page");
    let shown = stage.get_with("keys/3/1", &[("origin", "https://shop.example")]).await;
    assert_eq!((shown.status, shown.header("cache-control")), (StatusCode::OK, Some("private, no-store")));
    stage.allow(&Access::default()).await;
    assert_problem(&stage.get("keys/3/1").await, StatusCode::NOT_FOUND, "not_found");
}

#[tokio::test]
async fn without_a_secret_an_encrypted_asset_is_not_served_at_all() {
    let stage = stage(access(EncryptionMethod::Aes128, 0, 0), &[]).await;
    for rest in ["master.m3u8", "g3/720p/0.m4s", "keys/3/0"] {
        assert_problem(&stage.get(rest).await, StatusCode::SERVICE_UNAVAILABLE, "no_content_key");
    }
}

#[tokio::test]
async fn players_go_on_while_the_secret_changes_and_stop_when_the_policy_does() {
    let before = stage(access(EncryptionMethod::Aes128, 0, 0), &[OLD]).await;
    let begun = segments(&before, "g3/720p/playlist.m3u8").await;
    let (key, _) = begun[0].1.clone().unwrap();
    let (sealed, octets) = (before.get(&begun[0].0).await.body, before.get(&key).await.body);
    let after = before.guarded(gate(&[NEW, OLD]));
    assert_eq!((after.get(&begun[0].0).await.body, after.get(&key).await.body), (sealed, octets));
    assert_ne!(segments(&after, "g3/720p/playlist.m3u8").await, begun, "who begins now has the new one");
    after.allow(&access(EncryptionMethod::Aes128, 0, 4)).await;
    assert_problem(&after.get(&begun[0].0).await, StatusCode::NOT_FOUND, "not_found");
    after.allow(&Access::default()).await;
    assert_problem(&after.get(&begun[0].0).await, StatusCode::NOT_FOUND, "not_found");
    assert_eq!(after.get("g3/720p/0.m4s").await.status, StatusCode::OK);
}
