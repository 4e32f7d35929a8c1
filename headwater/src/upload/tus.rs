//! The client's side of tus 1.0: create, append, ask, and try again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::TryStreamExt;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::time::Instant;
use tokio_util::io::ReaderStream;
use url::Url;

use super::progress::Transfer;
use super::resume::{Memory, Remembered};
use super::source::Source;

/// Octets of one request; small enough for most proxies' patience, large enough not to matter.
const APPEND_BYTES_MAX: u64 = 256 << 20;
/// Octets read from the file at a time.
const READ_BYTES: usize = 256 << 10;
/// Silence after which a request is given up, while octets are being sent.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The same while the server completes the upload: it may have to copy all of it elsewhere.
const COMPLETION_MAX: Duration = Duration::from_secs(3600);
/// Time for a request without a body.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// The first pause before another try; doubled each time.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause before another try.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Uploads that the server may lose before that is taken for an answer.
const LOSSES_MAX: u32 = 3;

/// Why a request did not do its work.
enum Setback {
    /// Worth another try, after a pause that the server may name.
    Passing { reason: String, pause: Option<Duration> },
    /// The server does not know this upload.
    Lost,
    /// No use in trying again.
    Final(anyhow::Error),
}

/// Sends `source`, going on with what `memory` holds; the address of its asset.
pub(super) async fn send(
    client: &Client,
    server: &Url,
    source: &Source,
    memory: &Memory,
    patience: Duration,
    display: &Transfer,
) -> anyhow::Result<Url> {
    let mut sender = Sender { client, source, display, patience, trouble_since: None, pause: PAUSE_MIN };
    let mut losses = 0;
    // Ends because an upload is completed, fails for good, makes no progress, or is lost too often.
    loop {
        let (upload, offset) = match memory.recall() {
            Some(upload) => match sender.offset_of(&upload.upload).await {
                Ok(offset) => {
                    display.resumed_at(offset);
                    (upload, offset)
                }
                Err(Setback::Lost) if losses < LOSSES_MAX => {
                    losses += 1;
                    memory.forget();
                    continue;
                }
                Err(setback) => {
                    sender.endure(setback).await?;
                    continue;
                }
            },
            None => match sender.create(server).await {
                Ok(upload) => {
                    memory.remember(&upload);
                    (upload, 0)
                }
                Err(setback) => {
                    sender.endure(setback).await?;
                    continue;
                }
            },
        };
        match sender.append_all(&upload.upload, offset).await {
            Ok(()) => {
                memory.forget();
                return Ok(upload.asset);
            }
            Err(Setback::Lost) if losses < LOSSES_MAX => {
                losses += 1;
                memory.forget();
                display.trouble("the server lost the upload");
            }
            Err(Setback::Lost) => return Err(anyhow!("the server loses this upload again and again")),
            Err(Setback::Final(error)) => return Err(error),
            Err(Setback::Passing { reason, .. }) => return Err(anyhow!(reason)),
        }
    }
}

struct Sender<'a> {
    client: &'a Client,
    source: &'a Source,
    display: &'a Transfer,
    patience: Duration,
    /// Since when nothing has come of anything.
    trouble_since: Option<Instant>,
    pause: Duration,
}

impl Sender<'_> {
    async fn create(&self, server: &Url) -> Result<Remembered, Setback> {
        let collection = server.join("uploads").map_err(|error| Setback::Final(error.into()))?;
        let metadata = format!(
            "filename {},filetype {}",
            STANDARD.encode(&self.source.name),
            STANDARD.encode(self.source.media_type())
        );
        let request = self
            .client
            .post(collection.clone())
            .header("Upload-Length", self.source.bytes)
            .header("Upload-Metadata", metadata)
            .timeout(if self.source.bytes == 0 { COMPLETION_MAX } else { ANSWER_MAX });
        let answer = ask(request).await.map_err(|setback| match setback {
            Setback::Lost => Setback::Final(anyhow!("{collection} takes no uploads")),
            other => other,
        })?;
        let address = |name: &str| {
            let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
            value.and_then(|value| collection.join(value).ok())
        };
        let upload = address(LOCATION.as_str()).ok_or("Location");
        let asset = address("Asset-Location").ok_or("Asset-Location");
        let missing = |name| Setback::Final(anyhow!("{server} is not a headwater server: its answer has no {name}"));
        Ok(Remembered { upload: upload.map_err(missing)?, asset: asset.map_err(missing)? })
    }

    async fn offset_of(&self, upload: &Url) -> Result<u64, Setback> {
        offset_in(ask(self.client.head(upload.clone()).timeout(ANSWER_MAX)).await?.headers())
    }

    /// Sends everything behind `offset`, whatever gets in the way, as long as there is progress.
    async fn append_all(&mut self, upload: &Url, mut offset: u64) -> Result<(), Setback> {
        let mut is_known = true;
        while offset < self.source.bytes {
            let step = if is_known { self.append(upload, offset).await } else { self.offset_of(upload).await };
            match step {
                Ok(reached) => {
                    if reached > offset {
                        self.trouble_since = None;
                        self.pause = PAUSE_MIN;
                    }
                    offset = reached;
                    is_known = true;
                    self.display.at(offset);
                }
                Err(Setback::Lost) => return Err(Setback::Lost),
                Err(setback) => {
                    self.endure(setback).await.map_err(Setback::Final)?;
                    is_known = false;
                }
            }
        }
        Ok(())
    }

    /// One request; the offset that the server acknowledges.
    async fn append(&self, upload: &Url, offset: u64) -> Result<u64, Setback> {
        self.source.check_unchanged().map_err(Setback::Final)?;
        let bytes = APPEND_BYTES_MAX.min(self.source.bytes - offset);
        let sent = Arc::new(AtomicU64::new(0));
        let body = self.body(offset, bytes, sent.clone()).await.map_err(Setback::Final)?;
        let request = self
            .client
            .patch(upload.clone())
            .header("Upload-Offset", offset)
            .header(CONTENT_TYPE, "application/offset+octet-stream")
            .header(CONTENT_LENGTH, bytes)
            .body(body);
        let answer = tokio::select! {
            // Losing either branch drops the request: the server keeps what arrived, and is asked for it.
            answer = ask(request) => answer?,
            silence = self.silence(offset, bytes, &sent) => {
                let reason = format!("nothing moved for {} s", silence.as_secs());
                return Err(Setback::Passing { reason, pause: None });
            }
        };
        offset_in(answer.headers())
    }

    async fn body(&self, offset: u64, bytes: u64, sent: Arc<AtomicU64>) -> anyhow::Result<reqwest::Body> {
        let mut file = tokio::fs::File::open(&self.source.path).await.context("cannot be opened")?;
        file.seek(std::io::SeekFrom::Start(offset)).await.context("cannot be read")?;
        let count = move |piece: &bytes::Bytes| {
            sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        };
        let pieces = ReaderStream::with_capacity(file.take(bytes), READ_BYTES).inspect_ok(count);
        Ok(reqwest::Body::wrap_stream(pieces))
    }

    /// Shows progress; done when there is none for too long.
    async fn silence(&self, offset: u64, bytes: u64, sent: &AtomicU64) -> Duration {
        let (mut last, mut since) = (0, Instant::now());
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        // Ends with the silence, or is dropped with the request.
        loop {
            ticks.tick().await;
            let now = sent.load(Ordering::Relaxed);
            if now != last {
                (last, since) = (now, Instant::now());
                self.display.at(offset + now);
            }
            let silence_max = if now == bytes { COMPLETION_MAX } else { SILENCE_MAX };
            if since.elapsed() > silence_max {
                return silence_max;
            }
        }
    }

    /// Waits before another try, or gives up.
    async fn endure(&mut self, setback: Setback) -> anyhow::Result<()> {
        let (reason, pause) = match setback {
            Setback::Passing { reason, pause } => (reason, pause),
            Setback::Lost => ("the server does not know this address".to_owned(), None),
            Setback::Final(error) => return Err(error),
        };
        let since = *self.trouble_since.get_or_insert_with(|| {
            self.display.trouble(&reason);
            Instant::now()
        });
        if since.elapsed() >= self.patience {
            return Err(anyhow!("no progress for {} s: {reason}", self.patience.as_secs()));
        }
        tokio::time::sleep(pause.unwrap_or(self.pause).min(PAUSE_MAX)).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        Ok(())
    }
}

async fn ask(request: RequestBuilder) -> Result<Response, Setback> {
    let answer = request.header("Tus-Resumable", "1.0.0").send().await;
    let answer = answer.map_err(|error| Setback::Passing { reason: causes(&error), pause: None })?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let pause = seconds.map(Duration::from_secs);
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(Setback::Lost),
        StatusCode::CONFLICT | StatusCode::LOCKED | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            Err(Setback::Passing { reason: explanation(answer).await, pause })
        }
        _ if status.is_server_error() => Err(Setback::Passing { reason: explanation(answer).await, pause }),
        _ => Err(Setback::Final(anyhow!("the server refuses it: {}", explanation(answer).await))),
    }
}

/// What the server says of its refusal.
async fn explanation(answer: Response) -> String {
    let status = answer.status();
    let problem = tokio::time::timeout(ANSWER_MAX, answer.json::<serde_json::Value>()).await;
    let detail = problem.ok().and_then(Result::ok).and_then(|problem| problem["detail"].as_str().map(str::to_owned));
    detail.map_or_else(|| status.to_string(), |detail| format!("{detail} ({})", status.as_u16()))
}

fn offset_in(headers: &HeaderMap) -> Result<u64, Setback> {
    let offset = headers.get("Upload-Offset").and_then(|value| value.to_str().ok()?.parse().ok());
    offset.ok_or_else(|| Setback::Final(anyhow!("the answer has no Upload-Offset: this is no tus server")))
}

fn causes(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
