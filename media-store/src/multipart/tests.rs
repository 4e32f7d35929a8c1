use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use domain::AssetId;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{MultipartId, PutResult, Result};

use super::*;
use crate::layout;

const MIB: usize = 1 << 20;
/// Three whole parts and a bit.
const BYTES: usize = 3 * 8 * MIB + 12_345;

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The request never arrives.
    RequestLost,
    /// It is done, and nobody learns of it.
    AnswerLost,
}

/// A bucket that fails at one call, and knows which multipart uploads hold parts.
#[derive(Debug)]
struct Double {
    bucket: Arc<InMemory>,
    calls: AtomicUsize,
    fails_at: Mutex<Option<(usize, Fault)>>,
    puts: AtomicUsize,
    held: Mutex<BTreeSet<String>>,
}

impl Double {
    fn new(bucket: Arc<InMemory>) -> Arc<Self> {
        let (calls, puts) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { bucket, calls, fails_at: Mutex::default(), puts, held: Mutex::default() })
    }

    fn fail_at(&self, call: usize, fault: Fault) {
        self.calls.store(0, Ordering::SeqCst);
        *lock(&self.fails_at) = Some((call, fault));
    }

    async fn call<T>(&self, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let fault = lock(&self.fails_at).filter(|(at, _)| *at == call).map(|(_, fault)| fault);
        let lost = || object_store::Error::Generic { store: "double", source: "the line is dead".into() };
        match fault {
            Some(Fault::RequestLost) => Err(lost()),
            Some(Fault::AnswerLost) => work.await.and_then(|_| Err(lost())),
            None => work.await,
        }
    }
}

#[async_trait]
impl MultipartStore for Double {
    async fn create_multipart(&self, path: &ObjectPath) -> Result<MultipartId> {
        self.call(self.bucket.create_multipart(path)).await
    }

    async fn put_part(&self, path: &ObjectPath, id: &MultipartId, part: usize, body: PutPayload) -> Result<PartId> {
        self.puts.fetch_add(1, Ordering::SeqCst);
        self.call(async {
            let put = self.bucket.put_part(path, id, part, body).await.map_err(unknown)?;
            lock(&self.held).insert(id.clone());
            Ok(put)
        })
        .await
    }

    async fn complete_multipart(&self, path: &ObjectPath, id: &MultipartId, parts: Vec<PartId>) -> Result<PutResult> {
        self.call(async {
            let done = self.bucket.complete_multipart(path, id, parts).await.map_err(unknown)?;
            lock(&self.held).remove(id);
            Ok(done)
        })
        .await
    }

    async fn abort_multipart(&self, path: &ObjectPath, id: &MultipartId) -> Result<()> {
        self.call(async {
            self.bucket.abort_multipart(path, id).await?;
            lock(&self.held).remove(id);
            Ok(())
        })
        .await
    }
}

/// What S3 says of a multipart upload that it does not know.
fn unknown(_: object_store::Error) -> object_store::Error {
    object_store::Error::NotFound { path: String::new(), source: "no such upload".into() }
}

struct Ground {
    objects: Arc<dyn ObjectStore>,
    double: Arc<Double>,
    dir: tempfile::TempDir,
    body: Vec<u8>,
}

impl Ground {
    fn new() -> Self {
        let (bucket, dir) = (Arc::new(InMemory::new()), tempfile::tempdir().expect("a folder"));
        let body: Vec<u8> = (0..251u8).cycle().take(BYTES).collect();
        fs::write(dir.path().join("staged"), &body).expect("writes");
        Self { double: Double::new(bucket.clone()), objects: bucket, dir, body }
    }

    /// As a new process finds it.
    async fn bucket(&self) -> Bucket {
        let scratch = Scratch::open(self.dir.path().join("scratch")).await.expect("opens");
        Bucket::new(self.double.clone(), scratch)
    }

    fn staged(&self) -> PathBuf {
        self.dir.path().join("staged")
    }

    /// All parts as the upload grows, then the end of it.
    async fn run(&self) -> std::result::Result<(), StoreError> {
        let (bucket, staged) = (self.bucket().await, self.staged());
        for durable in [8 * MIB - 1, 8 * MIB, 20 * MIB] {
            bucket.put_parts_ahead(&key(), &staged, durable as u64, BYTES as u64).await?;
        }
        bucket.put_source(&self.objects, &key(), &staged, BYTES as u64).await
    }

    async fn check(&self, what: &str) {
        let stored = self.objects.get(&path(&key())).await.expect("exists").bytes().await.expect("reads");
        assert!(stored == self.body, "{what}: the source is the file");
        assert!(!journal_of(&self.staged()).exists(), "{what}: no journal is left");
        assert_eq!(*lock(&self.double.held), BTreeSet::new(), "{what}: no parts are left");
    }
}

fn key() -> Key {
    layout::source(AssetId::from_u128(1))
}

#[tokio::test]
async fn parts_go_ahead_and_each_is_put_once() {
    let ground = Ground::new();
    ground.run().await.expect("puts");
    ground.check("undisturbed").await;
    assert_eq!(ground.double.puts.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_crash_or_an_outage_at_any_call_loses_nothing_and_leaves_nothing() {
    let undisturbed = Ground::new();
    undisturbed.run().await.expect("puts");
    let calls = undisturbed.double.calls.load(Ordering::SeqCst);
    assert_eq!(calls, 6);
    for call in 0..calls {
        for fault in [Fault::RequestLost, Fault::AnswerLost] {
            let ground = Ground::new();
            ground.double.fail_at(call, fault);
            assert!(ground.run().await.is_err(), "call {call} fails");
            // A line of a part may be lost with the power, or be half there; the head was flushed.
            if let Ok(journal) = fs::read(journal_of(&ground.staged()))
                && journal.iter().filter(|byte| **byte == b'\n').count() > 2
            {
                fs::write(journal_of(&ground.staged()), &journal[..journal.len() - 1]).expect("writes");
            }
            ground.run().await.expect("goes on");
            ground.check(&format!("call {call}, {fault:?}")).await;
            assert!(ground.double.puts.load(Ordering::SeqCst) <= 4 + 3, "what is there is not put again");
        }
    }
}

#[tokio::test]
async fn a_multipart_upload_that_somebody_aborted_begins_anew() {
    let ground = Ground::new();
    let (bucket, staged) = (ground.bucket().await, ground.staged());
    bucket.put_parts_ahead(&key(), &staged, 16 << 20, BYTES as u64).await.expect("puts");
    let journal = load(&staged).expect("reads").expect("exists");
    assert_eq!(journal.parts.len(), 2);
    ground.double.abort_multipart(&path(&key()), &journal.id).await.expect("aborts");
    bucket.put_source(&ground.objects, &key(), &staged, BYTES as u64).await.expect("puts");
    ground.check("anew").await;
}

#[tokio::test]
async fn what_is_given_up_is_aborted_and_an_outage_is_no_reason_to_forget_it() {
    let ground = Ground::new();
    let (bucket, staged) = (ground.bucket().await, ground.staged());
    bucket.put_parts_ahead(&key(), &staged, 16 << 20, BYTES as u64).await.expect("puts");
    assert_eq!(lock(&ground.double.held).len(), 1);
    ground.double.fail_at(0, Fault::RequestLost);
    assert!(bucket.abandon(&staged).await.is_err());
    bucket.abandon(&staged).await.expect("aborts");
    bucket.abandon(&staged).await.expect("may be repeated");
    assert_eq!(*lock(&ground.double.held), BTreeSet::new());
    assert!(!journal_of(&staged).exists());
}

#[tokio::test]
async fn a_small_source_goes_in_one_piece() {
    let ground = Ground::new();
    fs::write(ground.staged(), b"small").expect("writes");
    let bucket = ground.bucket().await;
    bucket.put_parts_ahead(&key(), &ground.staged(), 5, 5).await.expect("nothing to do");
    bucket.put_source(&ground.objects, &key(), &ground.staged(), 5).await.expect("puts");
    assert_eq!(ground.double.calls.load(Ordering::SeqCst), 0);
    assert_eq!(ground.objects.head(&path(&key())).await.expect("exists").size, 5);
}

#[test]
fn a_file_of_any_size_fits_into_the_parts_s3_allows() {
    for bytes in [0, 1, PART_BYTES_MIN, PART_BYTES_MIN * PARTS_MAX, PART_BYTES_MIN * PARTS_MAX + 1, 5 << 40] {
        let part = part_bytes_of(bytes);
        assert!(part >= PART_BYTES_MIN && bytes.div_ceil(part) <= PARTS_MAX, "{bytes}");
    }
}

#[test]
fn a_journal_says_what_was_written_and_bears_what_a_power_cut_leaves() {
    let parts = [(0, "\"an etag\"".into()), (2, String::new())];
    let journal = Journal { key: key(), bytes: 7, part_bytes: 5, id: "a b".into(), parts: BTreeMap::from(parts) };
    let text = journal.head() + "0 \"an etag\"\n2 \n";
    assert_eq!(Journal::parse(&text), Some(journal.clone()));
    for tail in ["3 \"half", "\0\0\0\n\0", "x y\n"] {
        assert_eq!(Journal::parse(&(text.clone() + tail)), Some(journal.clone()), "{tail:?}");
    }
    for text in ["", "parts-1 7", "parts-1 7 5 sources/x\n", "parts-2 7 5 k\nid\n"] {
        assert_eq!(Journal::parse(text), None, "{text:?}");
    }
}
