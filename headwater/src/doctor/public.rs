//! Checks of a public address: does everything that uploads need get through to the server and back?
//!
//! A small upload is created, cut off midway, gone on with and ended again. It never becomes complete, so
//! nothing is made of it; where the server takes parts it is one, which has no asset at all.

mod clip;
mod cors;
mod flow;
mod integrity;
mod interim;
mod limit;
mod line;
mod methods;
mod multiplex;
mod reach;

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use url::Url;

use self::line::{Answer, Body, Fault, Site};
use super::Finding;

/// Tries to learn an offset while the server is busy with the upload.
const OFFSET_TRIES: u32 = 8;

/// How long the checks wait for what may never come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tempo {
    /// Until what was sent has arrived, wherever it is going to arrive.
    settling: Duration,
    /// For an answer to a request whose body is not finished.
    early_answer: Duration,
    /// Until the server has recorded what it received and says so.
    recording: Duration,
    /// Octets by which the speeds are compared.
    speed_bytes: u64,
}

impl Default for Tempo {
    fn default() -> Self {
        Self {
            settling: Duration::from_secs(1),
            early_answer: Duration::from_millis(1500),
            recording: Duration::from_secs(3),
            speed_bytes: 4 << 20,
        }
    }
}

/// What the server said of itself.
#[derive(Clone, Debug, Default)]
struct Abilities {
    extensions: Vec<String>,
    algorithms: Vec<String>,
    size_max: Option<u64>,
    /// It speaks the IETF protocol too.
    has_draft: bool,
}

impl Abilities {
    fn has(&self, extension: &str) -> bool {
        self.extensions.iter().any(|known| known == extension)
    }
}

/// The upload on trial, and what was found so far.
struct Trial {
    site: Site,
    tempo: Tempo,
    abilities: Abilities,
    upload: Url,
    length: u64,
    /// Where the server says the upload stands.
    offset: u64,
    /// Methods other than `POST` must stand in a header.
    is_overriding: bool,
    /// The server does nothing for pages of other origins, as an open one does not unless it is told to.
    is_closed_to_pages: bool,
    /// Largest body that passes, as far as is known.
    body_bytes_max: u64,
    /// Octets of one request over HTTP/1.1, and what it took.
    plain: Option<(u64, Duration)>,
    /// Everything that was created and not yet ended.
    created: Vec<Url>,
    findings: Vec<Finding>,
}

/// Every check, in the order in which an upload would meet what is wrong.
pub(super) async fn all(base: &Url, token: Option<&str>, tempo: Tempo) -> anyhow::Result<Vec<Finding>> {
    let site = Site::new(base, token)?;
    let (mut findings, abilities) = match reach::check(&site).await {
        Ok(reached) => reached,
        Err(finding) => return Ok(vec![finding]),
    };
    findings.push(cors::check(&site).await);
    let mut trial = match reach::create(site, abilities, tempo).await {
        Ok(trial) => trial,
        Err(finding) => {
            findings.push(finding);
            return Ok(findings);
        }
    };
    findings.append(&mut trial.findings);
    trial.findings = findings;
    if trial.methods().await {
        trial.cors_of_answers().await;
        trial.limit().await;
        trial.flow().await;
        trial.integrity().await;
        trial.interim().await;
        trial.multiplex().await;
    }
    trial.clean_up().await;
    Ok(trial.findings)
}

impl Trial {
    /// A request of tus about an upload.
    fn tus(&self, method: &str, address: &Url) -> http::request::Builder {
        let request = if self.is_overriding {
            self.site.request("POST", address).header("X-HTTP-Method-Override", method)
        } else {
            self.site.request(method, address)
        };
        request.header("Tus-Resumable", "1.0.0")
    }

    /// The head of a request that appends at the upload's offset.
    fn patch(&self) -> http::request::Builder {
        self.tus("PATCH", &self.upload)
            .header("Upload-Offset", self.offset)
            .header("Content-Type", "application/offset+octet-stream")
    }

    /// The next octets of the upload.
    fn octets(&self, bytes: u64) -> Bytes {
        clip::octets(self.length, self.offset, bytes)
    }

    async fn ask(&self, request: http::Result<Request<Body>>) -> Result<Answer, Fault> {
        self.site.exchange(request?).await
    }

    /// Appends octets and takes the offset from the answer.
    async fn append(&mut self, bytes: u64) -> Result<Answer, String> {
        let body = line::full(self.octets(bytes));
        let answer = self.ask(self.patch().body(body)).await.map_err(|fault| told(&fault))?;
        match answer.offset() {
            Some(offset) if answer.status.is_success() => {
                self.offset = offset;
                Ok(answer)
            }
            _ if answer.status.is_success() => Err(format!("{} without Upload-Offset", answer.said())),
            _ => Err(answer.said()),
        }
    }

    /// Asks the server where the upload stands; how long it took.
    async fn settle(&mut self) -> Result<Duration, String> {
        let begun = tokio::time::Instant::now();
        let mut reason = String::new();
        for _ in 0..OFFSET_TRIES {
            match self.ask(self.tus("HEAD", &self.upload).body(line::empty())).await {
                Ok(answer) if answer.status.is_success() => match answer.offset() {
                    Some(offset) => {
                        self.offset = offset;
                        return Ok(begun.elapsed());
                    }
                    None => return Err(format!("{} without Upload-Offset", answer.said())),
                },
                Ok(answer) => reason = answer.said(),
                Err(fault) => reason = told(&fault),
            }
            tokio::time::sleep(self.tempo.settling / 2).await;
        }
        Err(reason)
    }

    fn ok(&mut self, name: &'static str, text: impl Into<String>) {
        self.findings.push(Finding::ok(name, text));
    }

    fn warn(&mut self, name: &'static str, text: impl Into<String>) {
        self.findings.push(Finding::warn(name, text));
    }

    fn fail(&mut self, name: &'static str, text: impl Into<String>) {
        self.findings.push(Finding::fail(name, text));
    }

    /// Ends everything that was created.
    async fn clean_up(&mut self) {
        let mut left = Vec::new();
        for upload in std::mem::take(&mut self.created) {
            match self.ask(self.tus("DELETE", &upload).body(line::empty())).await {
                Ok(answer) if answer.status.is_success() || matches!(answer.status.as_u16(), 404 | 410) => {}
                Ok(answer) => left.push(format!("{upload} ({})", answer.said())),
                Err(fault) => left.push(format!("{upload} ({})", told(&fault))),
            }
        }
        match left.is_empty() {
            true => self.ok("cleanup", "the trial uploads are gone"),
            false => self.warn("cleanup", format!("cannot be ended, they will expire: {}", left.join(", "))),
        }
    }
}

/// A fault with its causes.
fn told(fault: &Fault) -> String {
    let mut text = fault.to_string();
    let mut cause = std::error::Error::source(fault);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
