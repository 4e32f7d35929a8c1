//! Checks of a deployment as players see it, through whatever stands before the origin.
//!
//! It begins at a multivariant playlist, follows the first media playlist to its first segment, and asks for that in
//! the ways in which players and CDNs do. Names of the checks are stable, so that programs may match on them.

use std::time::Duration;

use anyhow::Context;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_NONE_MATCH,
    ORIGIN, RANGE, SET_COOKIE, TRANSFER_ENCODING, VARY,
};
use http::{HeaderMap, HeaderName, Method};
use url::Url;

use super::Finding;

/// Time for one answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest playlist that is read, in octets.
const PLAYLIST_BYTES_MAX: usize = 8 << 20;
/// Longest segment that is read, in octets.
const SEGMENT_BYTES_MAX: usize = 64 << 20;
/// How often the entity-tag is looked at: replicas behind a balancer must agree.
const TAGS_LOOKED_AT: usize = 8;
/// A segment should be kept for a day at least.
const SEGMENT_AGE_S_MIN: u64 = 86_400;
/// What is not there should not be kept for longer than this.
const ABSENCE_AGE_S_MAX: u64 = 60;
/// The page that the checks pretend to be.
const PAGE: &str = "https://player.example";
/// Headers in which caches say that they had it.
const HIT_HEADERS: [&str; 5] = ["cache-status", "x-cache", "cf-cache-status", "x-cache-status", "x-proxy-cache"];

/// An answer, read to its end.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn length(&self) -> Option<u64> {
        self.header(&CONTENT_LENGTH)?.parse().ok()
    }

    /// For how long a shared cache may keep it.
    fn age_s_max(&self) -> Option<u64> {
        let directives = self.header(&CACHE_CONTROL)?.split(',').map(str::trim);
        let mut ages = directives.filter_map(|directive| directive.split_once('='));
        ages.find(|(name, _)| name.eq_ignore_ascii_case("max-age")).and_then(|(_, age)| age.parse().ok())
    }

    fn is_hit(&self) -> bool {
        let says = |name: &&str| {
            let line = self.headers.get(*name).and_then(|line| line.to_str().ok()).unwrap_or_default();
            // The origin's own line is not the CDN's.
            line.split(',').any(|one| !one.contains("headwater") && one.to_ascii_lowercase().contains("hit"))
        };
        HIT_HEADERS.iter().any(says) || self.headers.contains_key("age")
    }
}

struct Site {
    client: reqwest::Client,
}

impl Site {
    async fn ask(&self, method: Method, url: &Url, lines: &[(HeaderName, &str)]) -> anyhow::Result<Answer> {
        let mut request = self.client.request(method, url.clone()).header(ORIGIN, PAGE);
        for (name, value) in lines {
            request = request.header(name, *value);
        }
        let mut response = request.send().await.with_context(|| format!("no answer from {url}"))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.with_context(|| format!("{url} broke off"))? {
            anyhow::ensure!(body.len() + piece.len() <= SEGMENT_BYTES_MAX, "{url} is too long");
            body.extend_from_slice(&piece);
        }
        Ok(Answer { status, headers, body })
    }

    async fn get(&self, url: &Url, lines: &[(HeaderName, &str)]) -> anyhow::Result<Answer> {
        self.ask(Method::GET, url, lines).await
    }
}

/// Checks the deployment behind `master`, the address of a multivariant playlist.
///
/// # Errors
/// If there is no client to ask with; what goes wrong on the way is a finding.
pub(super) async fn all(master: &Url) -> anyhow::Result<Vec<Finding>> {
    let client = reqwest::Client::builder().timeout(PATIENCE).build().context("cannot make a client")?;
    let mut findings = Vec::new();
    if let Err(error) = look(&Site { client }, master, &mut findings).await {
        findings.push(Finding::fail("reach", crate::cli::with_causes(&error)));
    }
    Ok(findings)
}

async fn look(site: &Site, master: &Url, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    let (playlist_url, playlist) = playlist(site, master, "#EXT-X-STREAM-INF").await?;
    let media_url = line_after(&playlist, "#EXT-X-STREAM-INF").context("the playlist names no other")?;
    let media_url = playlist_url.join(&media_url)?;
    let (media_url, media) = self::playlist(site, &media_url, "#EXTINF").await?;
    let segment = media_url.join(&line_after(&media, "#EXTINF").context("the media playlist names no segment")?)?;
    findings.push(Finding::ok("reach", format!("playlists lead to {segment}")));
    let whole = site.get(&segment, &[]).await?;
    if whole.status != 200 {
        findings.push(Finding::fail("segment", format!("{segment} is answered with {}", whole.status)));
        return Ok(());
    }
    kept(&whole, findings);
    length(site, &segment, &whole, findings).await?;
    tags(site, &segment, &whole, findings).await?;
    ranges(site, &segment, &whole, findings).await?;
    cors(site, &segment, &whole, findings).await?;
    hits(site, &segment, findings).await?;
    absence(site, &segment, findings).await
}

async fn playlist(site: &Site, url: &Url, tag: &str) -> anyhow::Result<(Url, String)> {
    let answer = site.get(url, &[]).await?;
    anyhow::ensure!(answer.status == 200, "{url} is answered with {}", answer.status);
    anyhow::ensure!(answer.body.len() <= PLAYLIST_BYTES_MAX, "{url} is too long for a playlist");
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    anyhow::ensure!(text.starts_with("#EXTM3U") && text.contains(tag), "{url} is no playlist with {tag}");
    Ok((url.clone(), text))
}

/// The first line behind one that begins with `tag` which is an address.
fn line_after(playlist: &str, tag: &str) -> Option<String> {
    let lines = playlist.lines().skip_while(|line| !line.starts_with(tag)).skip(1);
    lines.map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned)
}

/// Records how one check came out.
fn judge(
    findings: &mut Vec<Finding>,
    name: &'static str,
    is_well: bool,
    well: &str,
    otherwise: impl FnOnce() -> String,
) {
    findings.push(if is_well { Finding::ok(name, well) } else { Finding::fail(name, otherwise()) });
}

fn kept(whole: &Answer, findings: &mut Vec<Finding>) {
    let age = whole.age_s_max();
    judge(findings, "kept", age.is_some_and(|age| age >= SEGMENT_AGE_S_MIN), "segments may be kept for long", || {
        format!("a segment may be kept for {} s only: let the origin's Cache-Control through", age.unwrap_or(0))
    });
    judge(findings, "cookie", !whole.headers.contains_key(SET_COOKIE), "segments set no cookie", || {
        "a segment sets a cookie, and caches do not keep what does".into()
    });
    judge(findings, "coding", !whole.headers.contains_key(CONTENT_ENCODING), "segments are not compressed", || {
        "a segment is compressed again, and then ranges and tags are lost: leave video alone".into()
    });
    if whole.headers.contains_key(VARY) {
        findings.push(Finding::warn("vary", "a segment varies: caches keep it several times"));
    }
}

async fn length(site: &Site, segment: &Url, whole: &Answer, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    let bytes = whole.body.len() as u64;
    let is_plain = !whole.headers.contains_key(TRANSFER_ENCODING);
    judge(findings, "length", whole.length() == Some(bytes) && is_plain, "GET tells the length", || {
        "a segment comes without its Content-Length: CDNs do not keep large ones then".into()
    });
    let head = site.ask(Method::HEAD, segment, &[]).await?;
    judge(findings, "head", head.status == 200 && head.length() == Some(bytes), "HEAD tells the same length", || {
        format!("HEAD is answered with {} and the length {:?}", head.status, head.length())
    });
    Ok(())
}

async fn tags(site: &Site, segment: &Url, whole: &Answer, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    let Some(tag) = whole.header(&ETAG) else {
        findings.push(Finding::fail("etag", "a segment has no entity-tag: ranges cannot be put together safely"));
        return Ok(());
    };
    judge(findings, "etag", !tag.starts_with("W/"), "the entity-tag is strong", || {
        "the entity-tag is weak, mostly because of compression: If-Range never matches".into()
    });
    let mut differing = 0;
    for _ in 0..TAGS_LOOKED_AT {
        let again = site.get(segment, &[(RANGE, "bytes=0-0")]).await?;
        differing += usize::from(again.header(&ETAG) != Some(tag));
    }
    judge(findings, "etag-same", differing == 0, "it is the same each time", || {
        format!("it differed {differing} times of {TAGS_LOOKED_AT}: replicas do not agree")
    });
    let known = site.get(segment, &[(IF_NONE_MATCH, tag)]).await?;
    judge(findings, "revalidate", known.status == 304, "who has it is told so", || {
        format!("If-None-Match is answered with {}, not 304", known.status)
    });
    Ok(())
}

async fn ranges(site: &Site, segment: &Url, whole: &Answer, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    let bytes = whole.body.len() as u64;
    let last = 99.min(bytes.saturating_sub(1));
    let part = site.get(segment, &[(RANGE, &format!("bytes=0-{last}"))]).await?;
    let expected = format!("bytes 0-{last}/{bytes}");
    let count = usize::try_from(last + 1).unwrap_or(usize::MAX);
    let is_well = part.status == 206
        && part.header(&CONTENT_RANGE) == Some(expected.as_str())
        && part.length() == Some(last + 1)
        && whole.body.get(..count) == Some(part.body.as_slice());
    judge(findings, "range", is_well, "ranges are answered in part", || {
        format!("a range is answered with {} and Content-Range {:?}", part.status, part.header(&CONTENT_RANGE))
    });
    // The way in which CDNs fill their slices.
    let slice = site.get(segment, &[(RANGE, "bytes=0-1048575")]).await?;
    let end = bytes.min(1 << 20);
    let is_well = slice.status == 206 && slice.length() == Some(end) || slice.status == 200 && bytes <= 1 << 20;
    judge(findings, "slice", is_well, "slices of 1 MiB are, too", || {
        format!("the first MiB is answered with {} and {:?} octets", slice.status, slice.length())
    });
    let behind = site.get(segment, &[(RANGE, &format!("bytes={bytes}-"))]).await?;
    judge(findings, "range-end", behind.status == 416, "a range behind the end is refused", || {
        format!("a range behind the end is answered with {}, not 416", behind.status)
    });
    Ok(())
}

async fn cors(site: &Site, segment: &Url, whole: &Answer, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    let tag = whole.header(&ETAG).unwrap_or("\"none\"");
    let far = format!("bytes={}-", whole.body.len());
    for (name, lines) in [
        ("cors-200", vec![]),
        ("cors-206", vec![(RANGE, "bytes=0-0")]),
        ("cors-304", vec![(IF_NONE_MATCH, tag)]),
        ("cors-416", vec![(RANGE, far.as_str())]),
    ] {
        let answer = site.get(segment, &lines).await?;
        let allowed = answer.header(&ACCESS_CONTROL_ALLOW_ORIGIN);
        judge(findings, name, matches!(allowed, Some("*" | PAGE)), "pages of other origins may read it", || {
            format!("the answer {} has Access-Control-Allow-Origin {allowed:?}", answer.status)
        });
    }
    Ok(())
}

async fn hits(site: &Site, segment: &Url, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    let again = site.get(segment, &[]).await?;
    findings.push(match again.is_hit() {
        true => Finding::ok("hit", "a cache in front had it the second time"),
        false => Finding::warn("hit", "no cache in front says that it had it the second time: is one there?"),
    });
    let mut told = segment.clone();
    told.query_pairs_mut().append_pair("CMCD", "sid=\"doctor\"");
    let told = site.get(&told, &[]).await?;
    if again.is_hit() {
        findings.push(match told.is_hit() {
            true => Finding::ok("query", "what players tell in the query does not matter to it"),
            false => Finding::warn("query", "with CMCD in the query it is kept again: leave the query out of the key"),
        });
    }
    Ok(())
}

async fn absence(site: &Site, segment: &Url, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    let absent = site.get(&segment.join("4294967295.m4s")?, &[]).await?;
    let age = absent.age_s_max().unwrap_or(u64::MAX);
    let is_short =
        absent.header(&CACHE_CONTROL).is_some_and(|line| line.contains("no-store")) || age <= ABSENCE_AGE_S_MAX;
    judge(findings, "absent", absent.status == 404 && is_short, "what is not there is not kept for long", || {
        format!("what is not there is answered with {} and kept for long", absent.status)
    });
    Ok(())
}
