//! The clients, each on the second processor: wrk for HTTP/1.1, h2load for HTTP/2.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::Figures;
use crate::peers::Peer;
use crate::site::{Site, Size};

/// The processor of the clients.
const PROCESSOR: &str = "1";

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Whole files.
    Plain,
    /// The second million octets.
    Range,
    /// What the client has already.
    NotModified,
    /// Whole files, over TLS.
    Tls,
    /// Whole files, over HTTP/2 without TLS.
    Http2,
}

/// Asks for `seconds`, and says what came of it.
pub(crate) fn run(
    load: Load,
    peer: &Peer,
    site: &Site,
    size: Size,
    seconds: usize,
    folder: &Path,
) -> anyhow::Result<Figures> {
    let before_s = peer.cpu_s()?;
    let (requests, rate) = match load {
        Load::Http2 => h2load(peer, size, seconds, folder)?,
        _ => wrk(load, peer, site, size, seconds, folder)?,
    };
    let cpu_s = peer.cpu_s()? - before_s;
    Ok(Figures { rate, cpu_us: cpu_s * 1e6 / requests })
}

fn wrk(load: Load, peer: &Peer, site: &Site, size: Size, seconds: usize, folder: &Path) -> anyhow::Result<(f64, f64)> {
    let headers = match load {
        Load::Range => "{[\"Range\"]=\"bytes=1000000-1999999\"}".to_owned(),
        Load::NotModified if peer.name == "nginx" => {
            // nginx makes a tag of each file's own, from size and time: `*` would ask too little of it.
            format!("{{[\"If-None-Match\"]='{}'}}", site.etag(peer, size)?)
        }
        Load::NotModified => format!("{{[\"If-None-Match\"]='{}'}}", site.etag(peer, size)?),
        _ => "{}".to_owned(),
    };
    // One file for 304, since each has its own tag.
    let files = if load == Load::NotModified { 1 } else { size.files() };
    let pattern = Site::path(size, 0).replace("/0.m4s", "/%d.m4s");
    let script = folder.join("wrk.lua");
    let text = format!(
        "local made, at = {{}}, 0\n\
         init = function() for i = 0, {files} - 1 do made[i] = wrk.format('GET', string.format('{pattern}', i), {headers}) end end\n\
         request = function() at = (at + 1) % {files}; return made[at] end\n"
    );
    fs::write(&script, text)?;
    let address = if load == Load::Tls { format!("https://{}/", peer.tls) } else { format!("http://{}/", peer.plain) };
    let output = Command::new("taskset")
        .args(["-c", PROCESSOR, "wrk", "-t1", "-c32", &format!("-d{seconds}s"), "-s"])
        .arg(&script)
        .arg(&address)
        .output()
        .context("cannot run wrk")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "wrk failed: {text}");
    ensure!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "{} with {load:?}: {text}", peer.name);
    let rate = figure(&text, "Requests/sec:")?;
    let line = text.lines().find(|line| line.contains(" requests in ")).context("wrk counts no requests")?;
    let requests = line.split_whitespace().next().unwrap_or_default().parse()?;
    Ok((requests, rate))
}

fn h2load(peer: &Peer, size: Size, seconds: usize, folder: &Path) -> anyhow::Result<(f64, f64)> {
    let addresses: String =
        (0..size.files()).map(|index| format!("http://{}{}\n", peer.http2, Site::path(size, index))).collect();
    let list = folder.join("addresses");
    fs::write(&list, addresses)?;
    let output = Command::new("taskset")
        .args(["-c", PROCESSOR, "h2load", "-c8", "-m8", "-D", &seconds.to_string(), "-i"])
        .arg(&list)
        .output()
        .context("cannot run h2load")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "h2load failed: {text}");
    let line = text.lines().find(|line| line.starts_with("finished in")).context("h2load tells nothing")?;
    let rate = line.split(',').nth(1).and_then(|part| part.split_whitespace().next()).context("no rate")?.parse()?;
    let line = text.lines().find(|line| line.starts_with("status codes:")).context("h2load tells no statuses")?;
    let requests = line.split_whitespace().nth(2).context("no count")?.parse()?;
    ensure!(requests > 0.0, "no answer by {}: {text}", peer.name);
    Ok((requests, rate))
}

fn figure(text: &str, name: &str) -> anyhow::Result<f64> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(name)).with_context(|| format!("no {name}"))?;
    Ok(line.trim().parse()?)
}
