//! A bucket that can be slow, broken and dishonest, and an origin before it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use media_store::{MediaStore, StoreConfig, layout};
use origin::{DemandHook, Origin, OriginConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::stage::{GENERATION, Reply, asset, playback, presentation, rendition, sha256};

/// Octets of the long segment: two blocks and a half.
pub(crate) const LONG_BYTES: usize = (5 << 20) / 2;

/// What the bucket does with a read of a segment.
#[derive(Clone, Debug, Default)]
pub(crate) enum Mood {
    /// As it should.
    #[default]
    Well,
    /// It answers 500.
    Down,
    /// It breaks off after so many octets of each answer.
    BreaksOff(usize),
    /// It names another version in each answer.
    Lies,
    /// It says that the object is one octet longer.
    Longer,
    /// It sends half, and the rest when there is a permit.
    Holds(Arc<Semaphore>),
    /// It takes its time before each answer.
    Slow(Duration),
}

#[derive(Default)]
struct Shared {
    objects: HashMap<String, Bytes>,
    mood: Mood,
    /// The reads of segments: `range` and `if-match`.
    reads: Vec<(String, Option<String>)>,
}

pub(crate) struct Bucket {
    shared: Arc<Mutex<Shared>>,
    pub(crate) origin: Origin,
    store: StoreConfig,
    _dir: tempfile::TempDir,
}

/// The octets of the long segment.
pub(crate) fn long() -> Bytes {
    (0..LONG_BYTES).map(|at| u8::try_from((at * 31 + at / 4093) % 251).unwrap()).collect()
}

impl Bucket {
    /// A bucket with an asset whose first segment is long.
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (tasks, served) = (TaskTracker::new(), Arc::clone(&shared));
        tasks.clone().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tasks.spawn(serve(stream, Arc::clone(&served)));
            }
        });
        let dir = tempfile::tempdir().unwrap();
        let store = StoreConfig {
            url: format!("s3://bkt?endpoint=http://{address}&region=here"),
            access_key: Some("access".into()),
            secret_key: Some("secret".into()),
            scratch: dir.path().join("scratch"),
        };
        let origin = origin_before(&store, OriginConfig::default()).await;
        let bucket = Self { shared, origin, store, _dir: dir };
        let mut published = presentation(1);
        let entry = &mut published.video[0].segments[0];
        (entry.bytes, entry.sha256) = (Some(LONG_BYTES as u64), Some(sha256(&long())));
        let json = serde_json::to_vec(&published).unwrap();
        bucket.put(&layout::presentation(asset(), GENERATION, 1), json.into());
        bucket.put(&layout::pointer(playback()), serde_json::to_vec(&published.pointer()).unwrap().into());
        bucket.put(&layout::segment(asset(), GENERATION, &rendition("720p"), 0), long());
        bucket
    }

    /// The same bucket before another origin.
    pub(crate) async fn behind(self, config: OriginConfig) -> Self {
        Self { origin: origin_before(&self.store, config).await, ..self }
    }

    fn put(&self, key: &media_store::Key, body: Bytes) {
        self.shared.lock().unwrap().objects.insert(key.to_string(), body);
    }

    pub(crate) fn is(&self, mood: Mood) {
        self.shared.lock().unwrap().mood = mood;
    }

    /// The reads of segments so far.
    pub(crate) fn reads(&self) -> Vec<(String, Option<String>)> {
        self.shared.lock().unwrap().reads.clone()
    }

    /// Asks for the long segment; `Err` when the answer broke off.
    pub(crate) async fn get(&self, range: Option<&str>) -> Result<Reply, std::io::Error> {
        let (head, body) = self.response(range).await.into_parts();
        Ok(Reply { status: head.status, headers: head.headers, body: body.collect().await?.to_bytes() })
    }

    pub(crate) async fn response(&self, range: Option<&str>) -> http::Response<origin::Body> {
        let mut request = http::Request::get(format!("/v/{}/g3/720p/0.m4s", playback()));
        if let Some(range) = range {
            request = request.header("range", range);
        }
        let request = request.body(()).unwrap();
        match self.origin.answer_at_once(&request) {
            Some(response) => response,
            None => self.origin.clone().oneshot(request).await.unwrap(),
        }
    }
}

async fn origin_before(store: &StoreConfig, config: OriginConfig) -> Origin {
    Origin::new(config, MediaStore::open(store.clone()).await.unwrap(), DemandHook::none())
}

async fn serve(mut stream: TcpStream, shared: Arc<Mutex<Shared>>) {
    let mut head = Vec::new();
    while let Ok(octet) = stream.read_u8().await {
        head.push(octet);
        if head.ends_with(b"\r\n\r\n") {
            let text = String::from_utf8(std::mem::take(&mut head)).unwrap();
            if answer(&mut stream, &text, &shared).await.is_none() {
                return;
            }
        }
    }
}

/// Answers one request; `None` when the connection is to be closed.
async fn answer(stream: &mut TcpStream, head: &str, shared: &Mutex<Shared>) -> Option<()> {
    let path = head.split(' ').nth(1)?.split('?').next()?.trim_start_matches("/bkt/").to_owned();
    let line = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
    let (range, condition) = (line("range:"), line("if-match:"));
    let (object, mood, version) = {
        let mut shared = shared.lock().unwrap();
        let is_segment = path.ends_with(".m4s");
        if is_segment {
            shared.reads.push((range.clone().unwrap_or_default(), condition.clone()));
        }
        let mood = if is_segment { shared.mood.clone() } else { Mood::Well };
        let version = if let Mood::Lies = mood { format!("\"v{}\"", shared.reads.len()) } else { "\"v1\"".to_owned() };
        (shared.objects.get(&path).cloned(), mood, version)
    };
    let (status, whole) = match (object, &mood) {
        (_, Mood::Down) => ("500 Internal Server Error", None),
        (None, _) => ("404 Not Found", None),
        (Some(_), _) if condition.is_some_and(|condition| condition != version) => ("412 Precondition Failed", None),
        (Some(whole), _) => (if range.is_some() { "206 Partial Content" } else { "200 OK" }, Some(whole)),
    };
    let Some(whole) = whole else {
        return stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await.ok();
    };
    let (start, end) = match range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) {
        Some((first, last)) => (first.parse().unwrap(), (last.parse::<usize>().unwrap() + 1).min(whole.len())),
        None => (0, whole.len()),
    };
    if let Mood::Slow(time) = mood {
        tokio::time::sleep(time).await;
    }
    let length = whole.len() + usize::from(matches!(mood, Mood::Longer));
    let (part, content_range) = (whole.slice(start..end), format!("bytes {start}-{}/{length}", end - 1));
    let mut answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\netag: {version}\r\n", part.len());
    answer.push_str("last-modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    if range.is_some() {
        answer.push_str(&format!("content-range: {content_range}\r\n"));
    }
    stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
    match mood {
        Mood::BreaksOff(after) if after < part.len() => {
            stream.write_all(&part[..after]).await.ok()?;
            None
        }
        Mood::Holds(permits) => {
            let half = part.len() / 2;
            stream.write_all(&part[..half]).await.ok()?;
            permits.acquire().await.unwrap().forget();
            stream.write_all(&part[half..]).await.ok()
        }
        _ => stream.write_all(&part).await.ok(),
    }
}
