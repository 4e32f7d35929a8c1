//! The two servers, each on the first processor.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use benches::measure;

use crate::site::Site;

/// Clock ticks per second in `/proc/*/stat`: `USER_HZ`, 100 on every architecture in use.
const TICKS_PER_S: f64 = 100.0;
/// Longest wait for a server to come up.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Lines a server may write before the one with its address.
const LINES_MAX: usize = 100;
/// The processor of the servers.
const PROCESSOR: &str = "0";

/// A server that ends with this value.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    child: Child,
    /// The process that does the work.
    worker: u32,
    /// `127.0.0.1:PORT` of HTTP/1.1; also of HTTP/2 where one port speaks both.
    pub(crate) plain: String,
    /// The same for HTTP/2 without TLS.
    pub(crate) http2: String,
    /// The same for TLS.
    pub(crate) tls: String,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // nginx's workers end with their master, if it is asked and not killed.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        std::thread::sleep(Duration::from_millis(200));
        measure::stop(&mut self.child);
    }
}

impl Peer {
    /// Headwater as an origin and nothing else, over the folder of objects, with so much memory for them.
    pub(crate) fn headwater(program: &Path, folder: &Path, name: &str, cache_bytes: u64) -> anyhow::Result<Self> {
        let storage = format!("storage_url=file://{}", folder.join("media").display());
        Self::headwater_with(program, folder, name, &[storage], cache_bytes)
    }

    /// The same over whatever the settings say.
    pub(crate) fn headwater_with(
        program: &Path,
        folder: &Path,
        name: &str,
        settings: &[String],
        cache_bytes: u64,
    ) -> anyhow::Result<Self> {
        let (certificate, key) = certificate(folder)?;
        let tls = format!("127.0.0.1:{}", free_port()?);
        let mut command = pinned(program);
        command.args(["serve", "--roles", "origin", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder.join(name));
        let always = [
            format!("origin_cache_bytes={cache_bytes}"),
            "log=warn".to_owned(),
            format!("tls_listen={tls}"),
            format!("tls_cert={}", certificate.display()),
            format!("tls_key={}", key.display()),
        ];
        for setting in settings.iter().chain(&always) {
            command.args(["--set", setting]);
        }
        let log = fs::File::create(folder.join(format!("{name}.log")))?;
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn()?;
        let out = child.stdout.take().context("no standard output")?;
        let worker = child.id();
        let mut peer = Self { name: "headwater", child, worker, plain: String::new(), http2: String::new(), tls };
        for line in BufReader::new(out).lines().take(LINES_MAX) {
            if let Some((_, address)) = line?.split_once("listening on http://") {
                peer.plain = address.trim().to_owned();
                peer.http2 = peer.plain.clone();
                return Ok(peer);
            }
        }
        bail!("headwater ended: {}", fs::read_to_string(folder.join(format!("{name}.log")))?)
    }

    /// nginx with the same files and headers.
    pub(crate) fn nginx(folder: &Path, site: &Site) -> anyhow::Result<Self> {
        let (certificate, key) = certificate(folder)?;
        let ports = [free_port()?, free_port()?, free_port()?];
        let [plain, http2, tls] = ports.map(|port| format!("127.0.0.1:{port}"));
        let (path, files) = Site::file_pattern();
        let headers: String = headers().iter().map(|(name, value)| format!("add_header {name} '{value}';\n")).collect();
        let root = folder.join("nginx");
        fs::create_dir_all(&root)?;
        let (root_dir, media) = (root.display(), site.media.display());
        let config = format!(
            "daemon off; worker_processes 1; pid {root_dir}/pid; error_log {root_dir}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n\
             access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; server_tokens off;\n\
             open_file_cache max=2000 inactive=60s; open_file_cache_valid 60s;\n\
             types {{ video/mp4 m4s; }}\n\
             client_body_temp_path {root_dir}/a; proxy_temp_path {root_dir}/b; fastcgi_temp_path {root_dir}/c;\n\
             uwsgi_temp_path {root_dir}/d; scgi_temp_path {root_dir}/e;\n\
             server {{\n\
             listen {plain} reuseport; listen {http2} http2 reuseport; listen {tls} ssl http2 reuseport;\n\
             http2_max_requests 1000000000;\n\
             ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.3;\n\
             location {path}/ {{ alias {media}/{files}/;\n{headers} }}\n\
             }} }}\n",
            certificate.display(),
            key.display(),
        );
        let file = root.join("nginx.conf");
        fs::write(&file, config)?;
        let mut command = pinned(Path::new("nginx"));
        command.arg("-p").arg(&root).arg("-c").arg(&file).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(fs::File::create(root.join("stderr"))?).spawn()?;
        let mut peer = Self { name: "nginx", worker: child.id(), child, plain, http2, tls };
        let begun = Instant::now();
        while TcpStream::connect(&peer.plain).is_err() {
            let said = || fs::read_to_string(root.join("stderr")).unwrap_or_default();
            ensure!(begun.elapsed() < START_LIMIT, "nginx does not come up: {}", said());
            std::thread::sleep(Duration::from_millis(50));
        }
        peer.worker = child_of(peer.child.id())?;
        Ok(peer)
    }

    /// The memory of its process that is no file's, in octets.
    pub(crate) fn own_bytes(&self) -> anyhow::Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.worker))?;
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no memory")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    /// User and system time of its process so far, in seconds.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    pub(crate) fn cpu_s(&self) -> anyhow::Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.worker))?;
        let (_, rest) = text.rsplit_once(')').context("no stat")?;
        let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(ticks as f64 / TICKS_PER_S)
    }
}

/// What Headwater says of a segment beside what every server says.
fn headers() -> [(&'static str, &'static str); 16] {
    const EXPOSED: &str = "Content-Length, Content-Range, Accept-Ranges, Date, ETag, Link, Retry-After, Server-Timing, \
                           Cache-Status, CMSD-Static, CMSD-Dynamic, X-Request-Id";
    [
        ("Cache-Control", "public, max-age=31536000, immutable"),
        ("CDN-Cache-Control", "max-age=31536000"),
        (
            "Surrogate-Key",
            "asset:plb_00000000000000000000000007 gen:plb_00000000000000000000000007/g1 rend:plb_00000000000000000000000007/720p",
        ),
        (
            "Cache-Tag",
            "asset:plb_00000000000000000000000007,gen:plb_00000000000000000000000007/g1,rend:plb_00000000000000000000000007/720p",
        ),
        (
            "Edge-Cache-Tag",
            "asset:plb_00000000000000000000000007,gen:plb_00000000000000000000000007/g1,rend:plb_00000000000000000000000007/720p",
        ),
        ("Link", "<1.m4s>; rel=\"next\""),
        ("CMSD-Static", "ot=v,sf=h,st=v,d=6000,br=2730"),
        ("CMSD-Dynamic", "\"headwater\";rd=0"),
        ("Server-Timing", "tier;desc=\"memory\""),
        ("Cache-Status", "headwater; hit"),
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Expose-Headers", EXPOSED),
        ("Cross-Origin-Resource-Policy", "cross-origin"),
        ("Timing-Allow-Origin", "*"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Request-Id", "0123456789abcdef0123456789abcdef"),
    ]
}

fn pinned(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", PROCESSOR]).arg(program);
    command
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// nginx's only worker.
fn child_of(parent: u32) -> anyhow::Result<u32> {
    let text = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
    text.split_whitespace().next().context("nginx has no worker")?.parse().context("not a process id")
}

/// A certificate for 127.0.0.1, made once.
fn certificate(folder: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    if !certificate.exists() {
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "7"])
            .args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()?;
        ensure!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
    }
    Ok((certificate, key))
}
