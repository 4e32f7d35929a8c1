//! The pages, used by a real browser: a file goes in through the upload page and plays through the watch page.
//!
//! What the browser does stands in `web/e2e`; here are the server, the clip and the verdict.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![expect(clippy::print_stdout, reason = "what players did is for whoever reads a failed run")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use fixtures::Proxy;
use fixtures::media::{self, ClipSpec, Picture};
use fixtures::proxy::{At, Cut, Fault};
use serde_json::Value;

/// A server of this test alone; it is killed when the test ends, however it ends.
struct Server {
    process: Child,
    url: String,
    said: BufReader<ChildStdout>,
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "the test starts the real binary")]
    fn start(data_dir: &Path, args: &[&str]) -> Self {
        let log = std::fs::File::create(data_dir.join("server.log")).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_headwater"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir.join("data"))
            .args(args)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut first_line = String::new();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        said.read_line(&mut first_line).unwrap();
        let url = first_line.trim().strip_prefix("listening on ").map(str::to_owned);
        let url = url.unwrap_or_else(|| panic!("the server does not listen: {first_line:?}\n{}", log_in(data_dir)));
        Self { process, url, said }
    }

    /// The next line that it says: where the first account is set up.
    fn setup_link(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        let link = line.trim().split_once(": ").map(|(_, link)| link.to_owned());
        link.unwrap_or_else(|| panic!("no link in {line:?}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn log_in(data_dir: &Path) -> String {
    std::fs::read_to_string(data_dir.join("server.log")).unwrap_or_default()
}

/// Runs a script of `web/e2e` and gives what it reports.
#[expect(clippy::disallowed_methods, reason = "the browser is driven by Node")]
fn browse(script: &str, arguments: &[&str]) -> Result<Value, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/e2e").join(script);
    let output = Command::new("node").arg(script).args(arguments).output().expect("run through `make test`: no Node");
    let report = String::from_utf8_lossy(&output.stdout);
    let words = || format!("{report}{}", String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        return Err(words());
    }
    serde_json::from_str(report.trim()).map_err(|error| format!("{error}: {}", words()))
}

/// `make test` says so where there is no Node to drive the browser.
#[expect(clippy::disallowed_methods, reason = "the test is told what the machine lacks")]
fn is_left_out() -> bool {
    std::env::var("HEADWATER_TEST_NODE").is_ok_and(|value| value == "skip")
}

fn clip() -> PathBuf {
    media::clip(&ClipSpec {
        seconds: 30.0,
        width: 854,
        height: 480,
        rate: "30",
        audio: vec!["eng", "fra"],
        subtitles: vec!["eng", "deu"],
        chapters: 3,
        picture: Picture::Scenes,
        ..ClipSpec::default()
    })
}

#[test]
fn a_file_goes_in_through_the_upload_page_and_plays_through_the_watch_page() {
    if is_left_out() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let explain = |what: &str, words: String| -> Value { panic!("{what}: {words}\n{}", log_in(folder.path())) };
    // Kept after the run, for people to look at.
    let picture = |name: &str| format!("{}/{name}.png", env!("CARGO_TARGET_TMPDIR"));

    let clip = clip();
    let clip = clip.to_str().unwrap();
    let uploaded = browse("upload.mjs", &[&server.url, clip, &picture("upload")]);
    let uploaded = uploaded.unwrap_or_else(|words| explain("the upload page", words));
    let watch = uploaded["watch"].as_str().unwrap();

    let watched = browse("watch.mjs", &[&server.url, watch, &picture("watch")]);
    let watched = watched.unwrap_or_else(|words| explain("the watch page", words));

    assert!((watched["duration"].as_f64().unwrap() - 30.0).abs() < 0.1, "{watched}");
    assert_eq!(watched["seeks"].as_array().unwrap().len(), 5);
    assert_eq!(watched["renditions"]["names"], serde_json::json!(["480p", "360p", "240p", "Auto"]), "{watched}");
    assert_ne!(watched["audio"]["from"], watched["audio"]["to"]);
    assert!(watched["subtitles"]["cue"].as_str().unwrap().contains("cue"), "{watched}");
    assert_eq!(watched["chapter"]["count"], 3);

    let played = browse("forms.mjs", &[&server.url, watch]);
    let played = played.unwrap_or_else(|words| explain("the other forms", words));
    assert_eq!(played["dash"]["heights"], serde_json::json!([240, 360, 480]), "{played}");
    assert_eq!(played["dash"]["languages"], serde_json::json!(["en", "fr"]), "{played}");
    assert!((played["dash"]["duration"].as_f64().unwrap() - 30.0).abs() < 0.1, "{played}");
    assert!(played["dash"]["thumbnail"]["width"].as_u64().unwrap() > 0, "{played}");
    assert!(played["dash"]["cues"].as_u64().unwrap() > 0, "{played}");
    // hls.js counts from the decode time of the first picture, which is three frames early.
    assert!((played["ts"]["duration"].as_f64().unwrap() - 30.0).abs() < 0.2, "{played}");
    // The segment that holds second 5.5 begins at 4, the one that holds 15 ends at 18.
    assert!((played["clip"]["duration"].as_f64().unwrap() - 14.0).abs() < 0.1, "{played}");
    assert!((played["clip"]["from"].as_f64().unwrap() - 1.5).abs() < 0.5, "{played}");

    let noted = browse("notes.mjs", &[&server.url, watch, &picture("notes")]);
    let noted = noted.unwrap_or_else(|words| explain("the notes of the watch page", words));
    let again = noted["reprocessing"].as_str().unwrap();
    assert!(again.starts_with("Being processed again 42 %, about 3 min 20 s left"), "{noted}");
    let missing = ["Audio, French: the track is <b>damaged</b>", "All sizes in AV1: the encoder does not open"];
    assert_eq!(noted["leftOut"], serde_json::json!(missing));
    assert_eq!(noted["player"], 1, "it plays meanwhile");
    assert!(noted["failure"].as_str().unwrap().ends_with("the source cannot be read"), "{noted}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test runs the program it tests")]
fn an_encrypted_asset_plays_in_a_browser() {
    if is_left_out() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let secret = "content_key_secrets=a secret that nobody could guess in a lifetime";
    let server = Server::start(folder.path(), &["--set", secret]);
    let clip = clip();
    let uploaded = browse("upload.mjs", &[&server.url, clip.to_str().unwrap()]);
    let uploaded = uploaded.unwrap_or_else(|words| panic!("the upload page: {words}\n{}", log_in(folder.path())));
    let watch = uploaded["watch"].as_str().unwrap();
    let playback = &watch[watch.find("plb_").unwrap()..][..30];
    for (method, rotate) in [("aes-128", "6"), ("cbcs", "0")] {
        let mut access = Command::new(env!("CARGO_BIN_EXE_headwater"));
        access.args(["access", playback, "--set", secret, "--encrypt", method, "--rotate", rotate, "--data-dir"]);
        let done = access.arg(folder.path().join("data")).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        // Servers follow within a second.
        std::thread::sleep(Duration::from_millis(1500));
        let played = browse("locked.mjs", &[&server.url, playback, method]);
        let played = played.unwrap_or_else(|words| panic!("{method}: {words}\n{}", log_in(folder.path())));
        assert!(played["shaka"]["frames"].as_u64().unwrap() > 0, "{played}");
        assert!(!played["keys"].as_array().unwrap().is_empty(), "{played}");
        assert!(method != "cbcs" || played["dash"]["frames"].as_u64().unwrap() > 0, "{played}");
        println!("{method}: {played}");
    }
}

#[test]
fn a_player_takes_another_host_where_the_first_is_down() {
    if is_left_out() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // At the second address of this machine nobody listens.
    let pathways = "steering_pathways=down:http://127.0.0.2,twin:http://localhost";
    let server = Server::start(folder.path(), &["--set", pathways]);
    let [down, twin] = ["127.0.0.2", "localhost"].map(|host| server.url.replace("127.0.0.1", host));
    let clip = clip();
    let uploaded = browse("upload.mjs", &[&server.url, clip.to_str().unwrap()]);
    let uploaded = uploaded.unwrap_or_else(|words| panic!("the upload page: {words}\n{}", log_in(folder.path())));
    let watch = uploaded["watch"].as_str().unwrap();
    let played = browse("steered.mjs", &[&server.url, watch, &down, &twin]);
    let played = played.unwrap_or_else(|words| panic!("{words}\n{}", log_in(folder.path())));
    assert!(played["segments"][&twin].as_u64().is_some_and(|count| count > 0), "{played}");
    assert!(!played["steering"].as_array().unwrap().is_empty(), "{played}");
    println!("{played}");
}

/// Runs on threads of its own, since the browser is waited for while the proxy works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_files_go_in_together_through_the_upload_page_over_a_line_that_breaks() {
    if is_left_out() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--roles", "ingest,api"]);
    // Whatever of the first connections carries this much up is reset there.
    let cut = Fault::Cut { at: At::Body(1_500_000), by: Cut::Rst };
    let proxy = Proxy::start(&server.url, move |index| if index < 10 { cut } else { Fault::None }).await;
    let files: Vec<Vec<u8>> = (1..=3).map(|seed| media::padded(4 << 20, seed)).collect();
    let path = |name: u64| folder.path().join(format!("{name}.mp4")).display().to_string();
    let paths: Vec<String> = (1..=3).map(path).collect();
    for (path, bytes) in paths.iter().zip(&files) {
        std::fs::write(path, bytes).unwrap();
    }
    let url = proxy.url();
    let arguments: Vec<&str> = std::iter::once(url.as_str()).chain(paths.iter().map(String::as_str)).collect();
    let report = browse("together.mjs", &arguments);
    let report = report.unwrap_or_else(|words| panic!("the upload page: {words}\n{}", log_in(folder.path())));
    assert!(report["together"].as_u64().unwrap() >= 2, "{report}");
    assert!(proxy.tally()["reset in body"] >= 2, "{:?}", proxy.tally());

    let sources = std::fs::read_dir(folder.path().join("data/media/sources")).unwrap();
    let mut arrived: Vec<Vec<u8>> = sources.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    let mut sent = files;
    arrived.sort();
    sent.sort();
    assert!(arrived == sent, "{} files arrived, and not all as they were sent", arrived.len());
}

#[test]
fn the_first_account_is_set_up_and_a_visitor_watches_without_one() {
    if is_left_out() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &["--access", "accounts"]);
    let link = server.setup_link();
    let clip = clip();
    let picture = format!("{}/login.png", env!("CARGO_TARGET_TMPDIR"));
    let report = browse("accounts.mjs", &[&server.url, &link, clip.to_str().unwrap(), &picture]);
    let report = report.unwrap_or_else(|words| panic!("{words}\n{}", log_in(folder.path())));
    assert!(report["watch"].as_str().unwrap().starts_with("/watch/plb_"), "{report}");
}

/// A folder for the pictures of a story, which are kept after the run, for people to look at.
fn pictures(story: &str) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(story);
    std::fs::create_dir_all(&folder).unwrap();
    folder.display().to_string()
}

#[test]
fn somebody_finds_their_way_and_keeps_their_account_in_two_languages() {
    if is_left_out() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &["--access", "accounts"]);
    let link = server.setup_link();
    let report = browse("account.mjs", &[&server.url, &link, &pictures("account")]);
    let report = report.unwrap_or_else(|words| panic!("{words}\n{}", log_in(folder.path())));
    assert_eq!(report["codes"], 10, "{report}");
}

#[test]
fn a_video_is_described_reviewed_published_found_and_brought_back() {
    if is_left_out() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let settings = ["--access", "accounts", "--set", "review=true", "--set", "bin_retention_days=7"];
    let mut server = Server::start(folder.path(), &settings);
    let link = server.setup_link();
    let spec = |seconds: f64| ClipSpec { seconds, width: 426, height: 240, audio: vec!["eng"], ..ClipSpec::default() };
    let clips = [("castle.mp4", 12.0), ("second.mp4", 4.0)].map(|(name, seconds)| {
        let path = folder.path().join(name);
        std::fs::copy(media::clip(&spec(seconds)), &path).unwrap();
        path.display().to_string()
    });
    let report = browse("studio.mjs", &[&server.url, &link, &clips[0], &clips[1], &pictures("studio")]);
    let report = report.unwrap_or_else(|words| panic!("{words}\n{}", log_in(folder.path())));
    assert!(report["channel"].as_str().unwrap().starts_with("/channels/chn_"), "{report}");
}

/// Takes one message, and refuses it below `/hook/broken`.
fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut head = Vec::new();
    let mut octet = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 16 << 10 {
        stream.read_exact(&mut octet)?;
        head.push(octet[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let status = if head.starts_with("post /hook/broken") { "500 Internal Server Error" } else { "204 No Content" };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

#[test]
fn accounts_the_audit_log_and_webhooks_are_managed_on_their_pages() {
    if is_left_out() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let hook = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = hook.local_addr().unwrap();
    // Ends with the process of this test.
    std::thread::spawn(move || hook.incoming().flatten().map(answer).filter(Result::is_err).count());
    let ports = format!("webhook_ports={}", address.port());
    let settings = ["--access", "accounts", "--set", "webhook_networks=127.0.0.0/8", "--set", &ports];
    let mut server = Server::start(folder.path(), &settings);
    let link = server.setup_link();
    let report = browse("admin.mjs", &[&server.url, &link, &format!("http://{address}/hook"), &pictures("admin")]);
    let report = report.unwrap_or_else(|words| panic!("{words}\n{}", log_in(folder.path())));
    assert!(report["rows"].as_u64().unwrap() > 0, "{report}");
}
