//! Documents beside a video: told of, handed out as files to keep, under the same rights, without being shown.

use domain::document::Listed;
use domain::presentation::Pointer;
use domain::{Access, Admission, ByteSize, DocumentId, Encryption, EncryptionMethod};
use http::{Method, StatusCode};
use media_store::layout;
use origin::access::{ContentKeys, Gate};

use crate::stage::{Stage, asset, content, playback, presentation, sha256};

fn id(number: u128) -> DocumentId {
    DocumentId::from_u128(number)
}

fn listed(number: u128, name: &str, media_type: &str) -> Listed {
    let body = content("document", u32::try_from(number).unwrap());
    Listed {
        id: id(number),
        name: name.into(),
        description: "What it is.".into(),
        media_type: media_type.into(),
        size_bytes: ByteSize(body.len() as u64),
        sha256: sha256(&body),
    }
}

async fn stage(access: Access, documents: Vec<Listed>) -> Stage {
    let stage = Stage::with_everything(1).await;
    for number in 1..=3 {
        stage.put(&layout::document(asset(), id(number.into())), content("document", number)).await;
    }
    point(&stage, access, documents).await;
    stage
}

async fn point(stage: &Stage, access: Access, documents: Vec<Listed>) {
    let pointer = Pointer { access, documents, ..presentation(1).pointer() };
    stage.store.put_pointer(playback(), serde_json::to_vec(&pointer).unwrap().into()).await.unwrap();
}

#[tokio::test]
async fn a_document_is_a_file_to_keep() {
    let listed = vec![listed(1, "Système D.pdf", "application/pdf"), listed(2, "page.html", "text/plain")];
    let stage = stage(Access::default(), listed).await;
    let path = format!("documents/{}", id(1));
    let reply = stage.get(&path).await;
    assert_eq!((reply.status, &reply.body), (StatusCode::OK, &content("document", 1)));
    let tag = format!("\"{}\"", &sha256(&content("document", 1))[..32]);
    assert_eq!(reply.header("etag"), Some(tag.as_str()));
    assert_eq!(reply.header("content-type"), Some("application/pdf"));
    let disposition = "attachment; filename=\"Syst_me D.pdf\"; filename*=UTF-8''Syst%C3%A8me%20D.pdf";
    assert_eq!(reply.header("content-disposition"), Some(disposition));
    assert!(reply.header("content-security-policy").unwrap().starts_with("sandbox; default-src 'none'"));
    assert!(reply.header("cache-control").unwrap().starts_with("public, max-age=15"));
    assert!(reply.header("surrogate-key").unwrap().contains("list:"), "it goes with what is purged");
    let part = stage.get_with(&path, &[("range", "bytes=10-19"), ("if-range", &tag)]).await;
    assert_eq!((part.status, &part.body[..]), (StatusCode::PARTIAL_CONTENT, &content("document", 1)[10..20]));
    assert_eq!(part.header("content-disposition"), Some(disposition));
    assert_eq!(stage.get_with(&path, &[("if-none-match", &tag)]).await.status, StatusCode::NOT_MODIFIED);
    assert_eq!(stage.send(Method::HEAD, &path, &[]).await.status, StatusCode::OK);
    let page = stage.get(&format!("documents/{}", id(2))).await;
    assert!(page.header("content-disposition").unwrap().contains("filename=\"page.html.txt\""));
    // The object is there, and nobody was told of it.
    assert_eq!(stage.get(&format!("documents/{}", id(3))).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_a_browser_could_run_is_named_nothing() {
    for wrong in ["text/html", "image/svg+xml", "text/javascript", "application/x\r\nset-cookie: a"] {
        let stage = stage(Access::default(), vec![listed(1, "a.html", wrong)]).await;
        let reply = stage.get(&format!("documents/{}", id(1))).await;
        assert_eq!(reply.header("content-type"), Some("application/octet-stream"), "{wrong}");
    }
}

#[tokio::test]
async fn documents_are_told_of_in_order_and_a_change_is_seen() {
    let first = listed(1, "a.pdf", "application/pdf");
    let stage = stage(Access::default(), vec![]).await;
    let told =
        async || -> serde_json::Value { serde_json::from_slice(&stage.get("documents.json").await.body).unwrap() };
    assert_eq!(told().await, serde_json::json!({ "documents": [] }));
    point(&stage, Access::default(), vec![listed(2, "b.pdf", "application/pdf"), first.clone()]).await;
    let both = told().await;
    assert_eq!(both["documents"][0]["name"], "b.pdf");
    assert_eq!(both["documents"][1]["url"], format!("documents/{}", id(1)));
    assert_eq!(both["documents"][1]["sha256"], first.sha256.as_str());
    let path = format!("documents/{}", id(1));
    assert_eq!(stage.get(&path).await.status, StatusCode::OK);
    point(&stage, Access::default(), vec![]).await;
    assert_eq!(stage.get(&path).await.status, StatusCode::NOT_FOUND, "it is taken back");
}

#[tokio::test]
async fn documents_are_for_those_who_may_play_the_asset() {
    let documents = vec![listed(1, "a.pdf", "application/pdf")];
    let signed = Access { admission: Admission::Signed, ..Access::default() };
    let withheld = domain::Availability { is_withheld: true, ..domain::Availability::default() };
    let withheld = Access { availability: withheld, ..Access::default() };
    for (access, status) in [(signed, StatusCode::FORBIDDEN), (withheld, StatusCode::NOT_FOUND)] {
        let stage = stage(access, documents.clone()).await;
        for path in ["documents.json".to_owned(), format!("documents/{}", id(1))] {
            let reply = stage.get(&path).await;
            assert!(!reply.status.is_success(), "{path}");
            assert!(reply.status == status || reply.status == StatusCode::UNAUTHORIZED, "{path}: {}", reply.status);
            assert!(!reply.body.windows(32).any(|octets| octets == &content("document", 1)[..32]));
        }
    }
    let unlisted = Access { admission: Admission::Unlisted, ..Access::default() };
    let reply = stage(unlisted, documents.clone()).await.get(&format!("documents/{}", id(1))).await;
    assert_eq!((reply.status, reply.header("x-robots-tag")), (StatusCode::OK, Some("noindex")));
    // What is encrypted is the picture and the sound.
    let encryption = Some(Encryption { method: EncryptionMethod::Aes128, clear_lead_s: 0, rotate_s: 0 });
    let keys = ContentKeys::new(&["a secret of 32 characters or more.."]).unwrap();
    let stage = stage(Access { encryption, ..Access::default() }, documents).await;
    let stage = stage.guarded(Gate::without_keys().with_content_keys(keys));
    assert_eq!(stage.get(&format!("documents/{}", id(1))).await.status, StatusCode::OK);
}
