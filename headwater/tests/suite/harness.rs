//! A real server in a folder of its own, a small tus client, and a clock on every wait.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use base64::Engine as _;
use fixtures::contract::{Contract, Exchange};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;

/// The binary under test.
pub(crate) const HEADWATER: &str = env!("CARGO_BIN_EXE_headwater");

/// What every answer of the API is held to.
static CONTRACT: LazyLock<Contract> = LazyLock::new(|| Contract::new(&catalog_api::aliases::DOCUMENT));

/// Longest wait for anything: a loaded machine of two cores encodes slowly.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// Requests whose answers are held to the description of the API.
pub(crate) trait Asked {
    /// Sends the request.
    async fn asked(self) -> reqwest::Result<Response>;
}

impl Asked for RequestBuilder {
    async fn asked(self) -> reqwest::Result<Response> {
        let (client, request) = self.build_split();
        let request = request?;
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let sent = request.body().and_then(|body| body.as_bytes()).map(<[u8]>::to_vec);
        let is_json = request.headers().get("content-type").is_some_and(|kind| kind.as_bytes().ends_with(b"json"));
        let response = client.execute(request).await?;
        let is_stream = response.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream");
        if !path.starts_with("/api/") || is_stream {
            return Ok(response);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await?;
        let exchange = Exchange {
            method: &method,
            path: &path,
            sent: sent.as_deref().filter(|_| is_json),
            status: status.as_u16(),
            headers: &headers,
            body: Some(&body),
        };
        CONTRACT.check(&exchange).unwrap_or_else(|wrong| panic!("{wrong}"));
        let mut again = http::Response::new(body);
        (*again.status_mut(), *again.headers_mut()) = (status, headers);
        Ok(again.into())
    }
}

/// The program, away from the settings of the folder the tests run in.
#[expect(clippy::disallowed_methods, reason = "these tests run the program")]
pub(crate) fn headwater(args: &[&str]) -> Command {
    let mut command = Command::new(HEADWATER);
    command.args(args);
    command
}

/// Runs the program to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    headwater(args).output().unwrap()
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A running server. Dropping it kills it.
pub(crate) struct Server {
    child: Child,
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    log: PathBuf,
}

impl Server {
    /// Starts a server on `data_dir` and waits for its line.
    pub(crate) fn start(data_dir: &Path) -> Self {
        Self::start_with(data_dir, &[])
    }

    /// The same with more arguments.
    pub(crate) fn start_with(data_dir: &Path, args: &[&str]) -> Self {
        Self::start_as(&mut headwater(&[]), data_dir, args)
    }

    /// The same, begun by a program that becomes the server: `command` ends with the server's own name.
    pub(crate) fn start_as(command: &mut Command, data_dir: &Path, args: &[&str]) -> Self {
        Self::start_on("127.0.0.1:0", command, data_dir, args)
    }

    /// The same, listening on an address that is known before.
    pub(crate) fn start_on(listen: &str, command: &mut Command, data_dir: &Path, args: &[&str]) -> Self {
        // The log grows over restarts; each line is written at once, so a kill loses none.
        let log = data_dir.with_extension("log");
        let lines = OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut child = command
            .args(["serve", "--listen", listen, "--data-dir", text(data_dir)])
            .args(["--set", "log=info,pipeline=debug", "--set", "log_format=json"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::from(lines))
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").map(str::to_owned);
        let url = url.unwrap_or_else(|| panic!("no address in {line:?}:\n{}", std::fs::read_to_string(&log).unwrap()));
        Self { child, url, log }
    }

    /// Every line logged on this data folder so far.
    pub(crate) fn log(&self) -> Vec<Value> {
        let lines = BufReader::new(File::open(&self.log).unwrap()).lines();
        lines.filter_map(|line| serde_json::from_str(&line.unwrap()).ok()).collect()
    }

    /// A path as the server sees it, if it sees another file system than this process.
    pub(crate) fn seen(&self, path: &Path) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join("root").join(path.strip_prefix("/").unwrap())
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// How it ended.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// True while it runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// A GET below the server's address.
    pub(crate) async fn get(&self, path: &str) -> Response {
        Client::new().get(format!("{}{path}", self.url)).asked().await.unwrap()
    }

    /// The JSON document at `path`.
    pub(crate) async fn json(&self, path: &str) -> Value {
        self.get(path).await.json().await.unwrap()
    }

    /// The text at `path`, which must be there.
    pub(crate) async fn text(&self, path: &str) -> String {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.text().await.unwrap()
    }

    /// Sends a whole file, which may be refused; the path of its asset in the API.
    pub(crate) async fn upload(&self, file: &Path) -> String {
        let bytes = tokio::fs::read(file).await.unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let upload = create(&self.url, bytes.len(), name).await.unwrap();
        let sent = append(&self.url, &upload.path, 0, bytes).await.unwrap();
        let (status, answer) = (sent.status(), sent.text().await.unwrap());
        assert!(status == StatusCode::NO_CONTENT || answer.contains("\"upload_refused\""), "{status} {answer}");
        upload.asset
    }

    /// Waits until the asset is ready or failed.
    pub(crate) async fn settled(&self, asset: &str) -> Value {
        let begun = Instant::now();
        loop {
            let found = self.json(asset).await;
            if matches!(found["state"].as_str(), Some("ready" | "failed")) {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "still {found}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An upload that was created.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    /// Path of the upload.
    pub(crate) path: String,
    /// Path of its asset in the API.
    pub(crate) asset: String,
}

/// Creates an upload; `None` if the server went away.
pub(crate) async fn create(url: &str, length: usize, name: &str) -> Option<Upload> {
    let name = base64::engine::general_purpose::STANDARD.encode(name);
    let created = Client::new()
        .post(format!("{url}/uploads"))
        .header("tus-resumable", "1.0.0")
        .header("upload-length", length)
        .header("upload-metadata", format!("filename {name}"))
        .send()
        .await
        .ok()?;
    assert_eq!(created.status(), StatusCode::CREATED);
    let header = |name: &str| created.headers()[name].to_str().unwrap().to_owned();
    Some(Upload { path: header("location"), asset: header("asset-location") })
}

/// Appends bytes to an upload; `None` if the server went away.
pub(crate) async fn append(url: &str, upload: &str, offset: usize, bytes: Vec<u8>) -> Option<Response> {
    Client::new()
        .patch(format!("{url}{upload}"))
        .header("tus-resumable", "1.0.0")
        .header("upload-offset", offset)
        .header("content-type", "application/offset+octet-stream")
        .body(bytes)
        .send()
        .await
        .ok()
}

/// How many bytes of an upload are durable; `None` if the server went away.
pub(crate) async fn offset(url: &str, upload: &str) -> Option<usize> {
    let answer = Client::new().head(format!("{url}{upload}")).header("tus-resumable", "1.0.0").send().await.ok()?;
    answer.headers().get("upload-offset")?.to_str().ok()?.parse().ok()
}
