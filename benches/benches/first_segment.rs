//! How long a viewer waits: from the last uploaded byte to the first playable segment.
//!
//! Starts a server in a folder of its own, uploads a file with `headwater upload`, and asks the
//! origin until the first variant's initialization segment and segment 0 are there.
//!
//! ```text
//! cargo bench -p benches --bench first_segment -- [FILE] [--headwater PROGRAM] [--limit-s 600]
//! ```
//! Without a file it takes 10 s and 10 min of 1080p.
//!
//! `--rate BYTES` sends the file at so many octets a second instead, as a line of that speed would, counts from
//! the moment in which the last one was sent, and waits until the asset is ready too. `--set KEY=VALUE` is a
//! setting of the server.

#![expect(clippy::print_stdout, reason = "a bench reports to its terminal")]
#![expect(clippy::disallowed_methods, reason = "a bench starts the programs it measures")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use benches::measure;
use benches::options::{self, Options};
use fixtures::media::{self, ClipSpec};
use serde_json::Value;

/// Time between two questions: what the result may be off by.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Longest wait for one answer; the origin itself holds a request for a planned segment for 8 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Pieces of a second's octets, where a file is sent at a rate.
const STEPS_PER_SECOND: usize = 20;

/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

fn main() -> anyhow::Result<()> {
    let options = Options::read(std::env::args().skip(1), &["headwater", "limit-s", "rate", "set"])?;
    let rate = options.named("rate").map(str::parse).transpose().context("rate")?;
    let limit = options.named("limit-s").map_or(Ok(600), str::parse).context("limit-s")?;
    let limit = Duration::from_secs(limit);
    let headwater = options::path(options.named("headwater").unwrap_or("target/release/headwater"));
    ensure!(headwater.is_file(), "no {}: build it by `cargo build --release -p headwater`", headwater.display());
    let folder = tempfile::tempdir().context("cannot make a scratch folder")?;
    println!("{:<34}{:>10}{:>12}{:>16}{:>12}", "source", "MiB", "upload s", "first segment", "ready");
    for file in sources(&options, folder.path())? {
        let data = folder.path().join("data");
        if data.exists() {
            std::fs::remove_dir_all(&data)?;
        }
        let server = Server::start(&headwater, &data, options.named("set"), limit)?;
        let times = server.first_segment(&headwater, &file, rate, limit)?;
        let bytes = std::fs::metadata(&file)?.len();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        println!(
            "{name:<34}{:>10}{:>12.2}{:>14.3} s{:>12}",
            bytes >> 20,
            times.upload.as_secs_f64(),
            times.first_segment.as_secs_f64(),
            times.ready.map_or_else(|| "-".into(), |ready| format!("{:.2} s", ready.as_secs_f64())),
        );
    }
    Ok(())
}

fn sources(options: &Options, scratch: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if let Some(file) = options.plain_path() {
        return Ok(vec![file]);
    }
    let clip = media::clip(&ClipSpec { seconds: 10.0, width: 1920, height: 1080, rate: "30", ..ClipSpec::default() });
    let (short, long) = (scratch.join("10-seconds-1080p.mp4"), scratch.join("10-minutes-1080p.mp4"));
    std::fs::copy(&clip, &short)?;
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-stream_loop", "59", "-i"]).arg(&clip).args(["-map", "0", "-c", "copy"]);
    measure::run(command.arg(&long), Duration::from_secs(300), scratch)?;
    Ok(vec![short, long])
}

struct Times {
    /// From the start of `headwater upload` to the asset's leaving the state `uploading`.
    upload: Duration,
    /// From then to segment 0.
    first_segment: Duration,
    /// From then to the asset's being ready, where that was waited for.
    ready: Option<Duration>,
}

/// A server that ends with this value.
struct Server {
    child: Child,
    /// `127.0.0.1:PORT`.
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        measure::stop(&mut self.child);
    }
}

impl Server {
    fn start(headwater: &Path, data: &Path, set: Option<&str>, limit: Duration) -> anyhow::Result<Self> {
        let log = std::fs::File::create(data.with_extension("log"))?;
        let mut child = Command::new(headwater)
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .args(set.into_iter().flat_map(|set| ["--set", set]))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("cannot start the server")?;
        let out = child.stdout.take().context("no standard output")?;
        let mut server = Self { child, address: String::new() };
        let started = Instant::now();
        for line in BufReader::new(out).lines() {
            if let Some((_, address)) = line?.split_once("listening on http://") {
                server.address = address.trim().to_owned();
                return Ok(server);
            }
            ensure!(started.elapsed() < limit, "the server does not come up");
        }
        bail!("the server ended: {}", std::fs::read_to_string(data.with_extension("log"))?)
    }

    fn first_segment(
        &self,
        headwater: &Path,
        file: &Path,
        rate: Option<usize>,
        limit: Duration,
    ) -> anyhow::Result<Times> {
        let started = Instant::now();
        let (upload, uploaded) = match rate {
            Some(rate) => (None, self.send(file, rate)?),
            None => {
                let upload = Command::new(headwater)
                    .args(["upload", "--json", "--server", &format!("http://{}", self.address)])
                    .arg(file)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .context("cannot start the upload")?;
                let upload = Ended(upload);
                let uploaded = until(limit, || {
                    let asset = self.asset()?;
                    Ok(asset["state"].as_str().filter(|state| *state != "uploading").map(|_| Instant::now()))
                })?;
                (Some(upload), uploaded)
            }
        };
        let playlist = until(limit, || {
            let asset = self.asset()?;
            ensure!(asset["state"] != "failed", "the asset failed: {}", asset["failure"]);
            let Some(master) = asset["playback"]["hls"].as_str() else { return Ok(None) };
            Ok(self.get(master)?.and_then(|text| first_uri(master, &text)))
        })?;
        until(limit, || {
            let Some(text) = self.get(&playlist)? else { return Ok(None) };
            let text = String::from_utf8_lossy(&text);
            let map = text.split("#EXT-X-MAP:URI=\"").nth(1).and_then(|rest| rest.split('"').next());
            let segment = text.lines().find(|line| !line.is_empty() && !line.starts_with('#'));
            let (map, segment) = map.zip(segment).context("a playlist without segments")?;
            let init = self.get(&beside(&playlist, map))?;
            let first = self.get(&beside(&playlist, segment))?;
            Ok(init.zip(first))
        })?;
        let first_segment = uploaded.elapsed();
        drop(upload);
        let is_ready = || Ok((self.asset()?["state"] == "ready").then_some(()));
        let ready = rate.map(|_| until(limit, is_ready).map(|()| uploaded.elapsed())).transpose()?;
        Ok(Times { upload: uploaded - started, first_segment, ready })
    }

    /// Uploads the file in one request at `rate` octets a second; the moment in which the last one was sent.
    fn send(&self, file: &Path, rate: usize) -> anyhow::Result<Instant> {
        let bytes = std::fs::read(file)?;
        let mut stream = TcpStream::connect(&self.address)?;
        write!(
            stream,
            "POST /uploads HTTP/1.1\r\nHost: {}\r\nTus-Resumable: 1.0.0\r\nUpload-Length: {}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n",
            self.address,
            bytes.len()
        )?;
        let mut answer = String::new();
        stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
        let location = answer.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
        });
        let location = location.with_context(|| format!("no upload: {answer}"))?;
        let mut stream = TcpStream::connect(&self.address)?;
        write!(
            stream,
            "PATCH {location} HTTP/1.1\r\nHost: {}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n\
             Content-Type: application/offset+octet-stream\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            bytes.len()
        )?;
        let (started, step) = (Instant::now(), (rate / STEPS_PER_SECOND).max(1));
        for (at, piece) in bytes.chunks(step).enumerate() {
            let due = Duration::from_secs_f64(f64::from(u32::try_from(at * step)?) / f64::from(u32::try_from(rate)?));
            std::thread::sleep(due.saturating_sub(started.elapsed()));
            stream.write_all(piece)?;
        }
        let sent = Instant::now();
        let mut answer = String::new();
        stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 204"), "not taken: {answer}");
        Ok(sent)
    }

    /// The only asset of the server; null before there is one.
    fn asset(&self) -> anyhow::Result<Value> {
        let Some(body) = self.get("/api/v1/assets?limit=1")? else { return Ok(Value::Null) };
        let list: Value = serde_json::from_slice(&body)?;
        let items = ["items", "assets", "data"].iter().find_map(|name| list[name].as_array());
        Ok(items.and_then(|items| items.first()).cloned().unwrap_or(Value::Null))
    }

    /// The body of a 200 answer; `None` for any other.
    fn get(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        // HTTP/1.0 keeps the body free of chunks and ends it with the connection.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address)?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").context("no HTTP answer")?;
        let is_ok = answer.split(|byte| *byte == b' ').nth(1) == Some(b"200");
        Ok(is_ok.then(|| answer.split_off(end + 4)))
    }
}

/// A child that is stopped when nobody waits for it any more.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        measure::stop(&mut self.0);
    }
}

/// Asks until there is an answer.
fn until<T>(limit: Duration, mut ask: impl FnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        ensure!(started.elapsed() < limit, "nothing within {limit:?}");
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// The first URI of the playlist at `path`, as a path.
fn first_uri(path: &str, text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    text.lines().find(|line| !line.is_empty() && !line.starts_with('#')).map(|uri| beside(path, uri))
}

fn beside(path: &str, uri: &str) -> String {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/{uri}")
}
