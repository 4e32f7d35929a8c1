//! What uploads need goes away and comes back: space on the disk, and the store behind.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::UploadId;
use fixtures::media;
use fixtures::services::Garage;
use media_store::StoreConfig;
use reqwest::{Client, Response};
use serde_json::Value;

use crate::harness::{self, HEADWATER, PATIENCE, Server, append};
use crate::torture::folder_store;
use crate::uploader::assert_exact;

/// The disk of the server that runs out of space, in MiB.
const DISK_MIB: u64 = 64;
/// What is left of it while it is full.
const LEFT_BYTES: u64 = 6 << 20;
const FILE_BYTES: usize = 24 << 20;

/// A server whose data folder is a small disk of its own, which nobody else sees and which goes away with it.
fn on_a_small_disk(data: &Path) -> Server {
    std::fs::create_dir(data).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    let script = format!("mount -t tmpfs -o size={DISK_MIB}m,mode=700 tmpfs \"$0\" && exec \"$@\"");
    #[expect(clippy::disallowed_methods, reason = "the server is started in a mount namespace of its own")]
    let mut command = Command::new("unshare");
    if !is_root {
        command.arg("--map-root-user");
    }
    command.args(["--mount", "sh", "-c", &script]).arg(data).arg(HEADWATER);
    Server::start_as(&mut command, data, &["--roles", "ingest,api", "--set", "disk_reserve_bytes=1048576"])
}

fn free_bytes(disk: &Path) -> u64 {
    let told = rustix::fs::statvfs(disk).unwrap();
    told.f_bavail * told.f_frsize
}

/// Takes the space of a disk, but for this much.
fn fill(disk: &Path, left_bytes: u64) -> PathBuf {
    let ballast = disk.join("ballast");
    let file = std::fs::File::create(&ballast).unwrap();
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, free_bytes(disk) - left_bytes).unwrap();
    ballast
}

async fn problem(answer: Response) -> (u16, Option<String>, String) {
    let status = answer.status().as_u16();
    let retry_after = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    let problem: Value = answer.json().await.unwrap();
    (status, retry_after, problem["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_full_disk_is_told_clearly_and_the_upload_goes_on_when_there_is_space() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let server = on_a_small_disk(&data);
    let disk = server.seen(&data);
    let file = Bytes::from(media::padded(FILE_BYTES, 1));
    let upload = harness::create(&server.url, file.len(), "clip.mp4").await.unwrap();
    let first = append(&server.url, &upload.path, 0, file[..4 << 20].to_vec()).await.unwrap();
    assert_eq!(first.status(), 204);

    let ballast = fill(&disk, LEFT_BYTES);
    let refused = append(&server.url, &upload.path, 4 << 20, file[4 << 20..].to_vec()).await.unwrap();
    let (status, _, code) = problem(refused).await;
    assert_eq!((status, code.as_str()), (507, "out_of_space"));
    // Whoever asks is told where the upload stands, and whoever comes anew is sent away before a byte.
    let offset = harness::offset(&server.url, &upload.path).await.unwrap();
    assert!((4 << 20..FILE_BYTES).contains(&offset), "{offset}");
    let length = file.len().to_string();
    let create = Client::new().post(format!("{}/uploads", server.url)).header("tus-resumable", "1.0.0");
    let answer = create.header("upload-length", length).send().await.unwrap();
    assert_eq!(problem(answer).await.0, 507);
    // It is still full: the same again, and nothing that was acknowledged is gone.
    let refused = append(&server.url, &upload.path, offset, file[offset..].to_vec()).await.unwrap();
    assert_eq!(problem(refused).await.0, 507);
    let again = harness::offset(&server.url, &upload.path).await.unwrap();
    assert!((offset..FILE_BYTES).contains(&again), "{again} after {offset}");

    std::fs::remove_file(ballast).unwrap();
    let answer = append(&server.url, &upload.path, again, file[again..].to_vec()).await.unwrap();
    let status = answer.status();
    assert_eq!(status, 204, "{:?} {:#?}", answer.text().await, server.log());
    // The disk ends with the server: what is on it is copied away first.
    let kept = temp.path().join("kept");
    let id: UploadId = upload.path.rsplit('/').next().unwrap().parse().unwrap();
    copy(&disk, &kept);
    server.kill();
    assert_exact(&format!("sqlite://{}", kept.join("catalog.db").display()), folder_store(&kept), &[(id, file)]).await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

#[tokio::test]
async fn an_outage_of_the_store_is_told_clearly_and_the_upload_completes_when_it_is_back() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let mut garage = Garage::start();
    let s3 = garage.s3();
    let settings = [
        format!("storage_url={}", s3.url),
        format!("storage_access_key={}", s3.access_key),
        format!("storage_secret_key={}", s3.secret_key),
    ];
    let settings = settings.iter().flat_map(|setting| ["--set", setting]);
    let settings: Vec<&str> = ["--roles", "ingest,api"].into_iter().chain(settings).collect();
    let server = Server::start_with(&data, &settings);
    let file = Bytes::from(media::padded(FILE_BYTES, 2));
    let upload = harness::create(&server.url, file.len(), "clip.mp4").await.unwrap();
    let half = file.len() / 2;
    let first = append(&server.url, &upload.path, 0, file[..half].to_vec()).await.unwrap();
    assert_eq!(first.status(), 204);

    garage.stop();
    // Bytes are taken as long as there is room for them; that the file is whole is never said.
    let begun = Instant::now();
    let refused = append(&server.url, &upload.path, half, file[half..].to_vec()).await.unwrap();
    println!("during the outage: {} after {:.1?}", refused.status(), begun.elapsed());
    let (status, retry_after, code) = problem(refused).await;
    assert_eq!(status, 503, "{code}");
    assert!(retry_after.is_some(), "{code}");
    let offset = harness::offset(&server.url, &upload.path).await.unwrap();
    assert!((half..file.len()).contains(&offset), "{offset}");

    garage.resume();
    let begun = Instant::now();
    loop {
        let offset = harness::offset(&server.url, &upload.path).await.unwrap();
        if offset == file.len() {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "the upload does not complete: {offset}");
        // As a client does: it sends what is not acknowledged, and is told to wait or that all is well.
        let answer = append(&server.url, &upload.path, offset, file[offset..].to_vec()).await.unwrap();
        assert!([204, 409, 503].contains(&answer.status().as_u16()), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("complete {:.1?} after the store was back", begun.elapsed());
    server.kill();
    let store = StoreConfig {
        url: s3.url,
        access_key: Some(s3.access_key),
        secret_key: Some(s3.secret_key),
        scratch: temp.path().join("scratch"),
    };
    let id: UploadId = upload.path.rsplit('/').next().unwrap().parse().unwrap();
    assert_exact(&format!("sqlite://{}", data.join("catalog.db").display()), store, &[(id, file)]).await;
}
