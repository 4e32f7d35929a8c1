use bytes::Bytes;

use super::*;

async fn write(writer: &Writer, offset: u64, octets: impl Into<Bytes>) -> Result<(), StagingError> {
    let mut gathered = writer.gather(offset);
    gathered.push(octets.into());
    writer.write(gathered).await
}

async fn staging() -> (tempfile::TempDir, Staging, UploadId) {
    let dir = tempfile::tempdir().expect("a folder");
    let staging = Staging::open(dir.path().join("up/loads")).await.expect("opens");
    let upload = UploadId::from_u128(7);
    staging.create(upload).await.expect("creates");
    (dir, staging, upload)
}

#[tokio::test]
async fn what_was_not_acknowledged_is_cut_off_by_the_next_writer() {
    let (_dir, staging, upload) = staging().await;
    let writer = staging.writer(upload, 0).await.expect("claims");
    write(&writer, 0, "abcdefgh").await.expect("writes");
    writer.sync().await.expect("flushes");
    let next = staging.writer(upload, 4).await.expect("claims");
    write(&next, 4, "XY").await.expect("writes");
    assert_eq!(fs::read(next.path()).expect("reads"), b"abcdXY");
}

#[tokio::test]
async fn an_older_writer_is_refused_for_good() {
    let (_dir, staging, upload) = staging().await;
    let older = staging.writer(upload, 0).await.expect("claims");
    let newer = staging.writer(upload, 0).await.expect("claims");
    write(&newer, 0, "new").await.expect("writes");
    let late = write(&older, 0, "old").await;
    assert!(matches!(late, Err(StagingError::TakenOver { .. })));
    assert!(matches!(older.sync().await, Err(StagingError::TakenOver { .. })));
    assert!(matches!(older.seal(3, true).await, Err(StagingError::TakenOver { .. })));
    assert_eq!(fs::read(newer.seal(3, true).await.expect("seals")).expect("reads"), b"new");
}

#[tokio::test]
async fn lost_octets_are_noticed() {
    let (_dir, staging, upload) = staging().await;
    let short = staging.writer(upload, 5).await;
    assert!(matches!(short, Err(StagingError::Lost { found_bytes: 0, expected_bytes: 5, .. })));
    let sealed = staging.writer(upload, 0).await.expect("claims").seal(1, true).await;
    assert!(matches!(sealed, Err(StagingError::Lost { .. })));
    staging.discard(upload).await.expect("discards");
    assert!(matches!(staging.writer(upload, 0).await, Err(StagingError::Lost { .. })));
}

#[tokio::test]
async fn discarding_refuses_the_writer_and_may_be_repeated() {
    let (_dir, staging, upload) = staging().await;
    let writer = staging.writer(upload, 0).await.expect("claims");
    assert_eq!(staging.uploads().await.expect("lists"), [upload]);
    staging.discard(upload).await.expect("discards");
    staging.discard(upload).await.expect("discards again");
    assert!(matches!(write(&writer, 0, "").await, Err(StagingError::TakenOver { .. })));
    assert_eq!(staging.len(upload).await.expect("measures"), None);
    assert!(staging.uploads().await.expect("lists").is_empty());
}

#[tokio::test]
async fn a_copy_takes_octets_of_another_file_and_ends_where_that_ends() {
    let (_dir, staging, upload) = staging().await;
    let part = UploadId::from_u128(8);
    staging.create(part).await.expect("creates");
    let other = staging.writer(part, 0).await.expect("claims");
    write(&other, 0, "0123456789").await.expect("writes");
    let writer = staging.writer(upload, 0).await.expect("claims");
    write(&writer, 0, "ab").await.expect("writes");
    assert_eq!(writer.copy_from(&staging.path(part), 4, 2, 100).await.expect("copies"), 6);
    assert_eq!(writer.copy_from(&staging.path(part), 10, 8, 100).await.expect("copies"), 0);
    assert_eq!(fs::read(writer.path()).expect("reads"), b"ab456789");
    staging.writer(upload, 0).await.expect("claims");
    assert!(matches!(writer.copy_from(other.path(), 0, 0, 1).await, Err(StagingError::TakenOver { .. })));
}

#[tokio::test]
async fn a_scan_shows_exactly_the_octets_asked_for() {
    let (_dir, staging, upload) = staging().await;
    let body: Vec<u8> = (0..251u8).cycle().take(1_000_000).collect();
    let writer = staging.writer(upload, 0).await.expect("claims");
    write(&writer, 0, body.clone()).await.expect("writes");
    for range in [0..0, 0..1_000_000, 5..6, 262_143..999_999] {
        let octets = range.start as u64..range.end as u64;
        let seen = staging.scan(upload, octets, Vec::new(), Vec::extend_from_slice).await.expect("reads");
        assert!(seen == body[range.clone()], "{range:?}");
    }
    assert!(staging.scan(upload, 999_999..1_000_001, (), |(), _| {}).await.is_err());
}

#[tokio::test]
async fn all_files_can_be_flushed_at_once_and_writing_goes_on_during_a_flush() {
    let (_dir, staging, upload) = staging().await;
    let writer = staging.writer(upload, 0).await.expect("claims");
    for round in 0..8u64 {
        let written = write(&writer, round, "x");
        let (written, one, all, started) =
            tokio::join!(written, writer.sync(), staging.sync_all(), writer.start_writeback(0, round + 1));
        written.and(one).and(started).expect("is done");
        all.expect("flushes");
    }
    assert_eq!(staging.len(upload).await.expect("measures"), Some(8));
}

#[tokio::test]
async fn gates_without_a_writer_do_not_pile_up() {
    let (_dir, staging, _) = staging().await;
    for upload in 0..1000 {
        staging.discard(UploadId::from_u128(upload)).await.expect("discards");
    }
    assert!(lock(&staging.inner.gates).len() <= 64);
}
