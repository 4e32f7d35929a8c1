//! `headwater validate`: judges HLS in a folder or behind an address, our own or anybody's.
//!
//! The rules are in `packager::validate`; here is what is fetched, in which order, and how it is told.

mod fetch;
mod keys;

use std::process::ExitCode;

use anyhow::Context;
use futures::StreamExt;
use packager::validate::{
    self, Declared, Finding, HTTP_CODING, HTTP_REDIRECT, HTTP_STATUS, HTTP_TYPE, KEY_OPENS, Kind, Level, Playlist,
    Report, Track,
};
use url::Url;

use crate::{cli, terminal};
use fetch::{Fetched, Fetcher, Want};
use keys::Keys;

/// Segments that are fetched ahead of the one that is looked at.
const FETCHES_IN_FLIGHT: usize = 4;

/// Playlists shorter than this gain nothing from being compressed.
const CODED_BYTES_MIN: usize = 1024;

/// Most playlists of one presentation.
const PLAYLISTS_MAX: usize = 1000;

/// What the command's help shows below the flags.
pub const EXAMPLES: &str = "\
Examples:
  headwater validate holiday-hls                                    a folder that `headwater transcode` made
  headwater validate https://media.example.org/v/plb_.../master.m3u8  what a server or a CDN delivers
  headwater validate https://cdn.example.org/any.m3u8 --segments 3   anybody's HLS, a few segments of each list
  headwater validate holiday-hls --json | jq -r '.findings[] | [.level, .rule, .place] | @tsv'

Every playlist is read by the letter, every segment is taken apart, and what playlists say is compared with what
segments hold: the rules of RFC 8216 and of Apple's HLS authoring specification. Each breach is told with the name
of its rule, the place, and what to do about it. CMAF is looked into down to its slices; of MPEG-TS packets, tables
and time stamps are checked. Segments encrypted by AES-128 are decrypted, if the key is to be had; of encrypted
samples times and sizes are looked at.

Exit codes: 0 no rule that must be kept is broken (with --strict, none at all), 1 one is, 2 wrong usage or nothing
could be read at the address.";

/// What to judge.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder with master.m3u8, a playlist file, or the address of a playlist
    #[arg(value_name = "URL|DIR")]
    target: String,
    /// Look at the first N segments of each playlist only; bit rates are not judged then
    #[arg(long, value_name = "N")]
    segments: Option<usize>,
    /// Take rules that should be kept as seriously as those that must
    #[arg(long)]
    strict: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
struct Tally {
    playlists: usize,
    segments: usize,
    bytes: u64,
}

/// Judges what the arguments name, and prints what was found.
///
/// # Errors
/// Never for what is found wrong; only if the client cannot be set up.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut check = match Fetcher::open(&args.target) {
        Ok((fetcher, top)) => Check {
            fetcher,
            top,
            segments_max: args.segments.unwrap_or(usize::MAX),
            tally: Tally::default(),
            report: Report::default(),
            keys: Keys::default(),
        },
        Err(error) => return Ok(unreadable(&error)),
    };
    if let Err(error) = check.all().await {
        return Ok(unreadable(&error));
    }
    let Check { report, tally, .. } = check;
    if args.json {
        terminal::say(&serde_json::to_string(&document(&args.target, &report, tally))?);
    } else {
        tell(&args.target, &report, tally);
    }
    let is_broken = if args.strict { !report.findings().is_empty() } else { report.violation().is_some() };
    Ok(ExitCode::from(if is_broken { cli::FAILED } else { cli::DONE }))
}

fn unreadable(error: &anyhow::Error) -> ExitCode {
    terminal::complain(&format!("headwater: {}", cli::with_causes(error)));
    ExitCode::from(cli::MISUSED)
}

/// A judgement under way.
struct Check {
    fetcher: Fetcher,
    top: Url,
    segments_max: usize,
    tally: Tally,
    report: Report,
    keys: Keys,
}

impl Check {
    async fn all(&mut self) -> anyhow::Result<()> {
        let top = self.top.clone();
        let place = self.fetcher.name(&top);
        let fetched =
            self.fetcher.fetch(&top, None, Want::Playlist).await.with_context(|| format!("cannot read {top}"))?;
        self.judge_transport(&place, &fetched, Want::Playlist);
        self.tally.playlists += 1;
        match validate::read(&place, &fetched.bytes, &mut self.report) {
            None => anyhow::bail!("{top} is no playlist"),
            Some(Playlist::Media(media)) => {
                let track = Track::new(media, Declared::nothing(), &mut self.report);
                self.segments(&fetched.url, track).await;
            }
            Some(Playlist::Multivariant(found)) => {
                let mut tracks = Vec::new();
                for (uri, declared) in found.children().into_iter().take(PLAYLISTS_MAX) {
                    if let Some(track) = self.child(&fetched.url, &uri, declared).await {
                        tracks.push((uri, track));
                    }
                }
                validate::whole(&found, &tracks, &mut self.report);
            }
        }
        Ok(())
    }

    /// A playlist that the top names, with all its segments.
    async fn child(&mut self, base: &Url, uri: &str, declared: Declared) -> Option<Track> {
        let (place, fetched) = self.get(base, uri, None, Want::Playlist).await?;
        self.tally.playlists += 1;
        match validate::read(&place, &fetched.bytes, &mut self.report)? {
            Playlist::Media(media) => {
                let track = Track::new(media, declared, &mut self.report);
                Some(self.segments(&fetched.url, track).await)
            }
            Playlist::Multivariant(_) => None,
        }
    }

    async fn segments(&mut self, base: &Url, mut track: Track) -> Track {
        let media = track.media().clone();
        let want = if track.kind() == Kind::Subtitles { Want::Text } else { Want::Media };
        let fetcher = self.fetcher.clone();
        let wanted = media.segments.iter().take(self.segments_max).map(|segment| {
            let (fetcher, base) = (fetcher.clone(), base.clone());
            async move { (segment, fetcher.join(&base, &segment.uri, segment.range.clone(), want).await) }
        });
        let mut arrivals = futures::stream::iter(wanted).buffered(FETCHES_IN_FLIGHT);
        let mut map = None;
        while let Some((segment, fetched)) = arrivals.next().await {
            if segment.map != map
                && let Some(wanted) = segment.map.and_then(|index| media.maps.get(index))
            {
                map = segment.map;
                let fetched = self.fetcher.join(base, &wanted.uri, wanted.range.clone(), Want::Media).await;
                let (fetched, _) = self.keys.open(&self.fetcher, base, wanted.key.as_ref(), 0, fetched).await;
                if let Some((place, fetched)) = self.arrived(base, &wanted.uri, fetched, Want::Media) {
                    track.init(&place, &fetched.bytes, &mut self.report);
                }
            }
            let (key, sequence) = (segment.key.as_ref(), segment.sequence);
            let (fetched, sealed) = self.keys.open(&self.fetcher, base, key, sequence, fetched).await;
            for (place, what) in self.keys.problems() {
                self.report.add(&KEY_OPENS, place, what);
            }
            let want = if key.is_some() && sealed.is_none() && want == Want::Media { Want::Sealed } else { want };
            if let Some((place, fetched)) = self.arrived(base, &segment.uri, fetched, want) {
                self.tally.segments += 1;
                match sealed {
                    Some(length) => track.decrypted(&place, length, &fetched.bytes, &mut self.report),
                    None => track.segment(&place, &fetched.bytes, &mut self.report),
                }
            } else {
                // It is missed once; what follows is judged as if it had been there.
                track.segment("", &[], &mut Report::default());
            }
        }
        drop(arrivals);
        track
    }

    async fn get(
        &mut self,
        base: &Url,
        uri: &str,
        range: Option<std::ops::Range<u64>>,
        want: Want,
    ) -> Option<(String, Fetched)> {
        let fetched = self.fetcher.join(base, uri, range, want).await;
        self.arrived(base, uri, fetched, want)
    }

    fn arrived(
        &mut self,
        base: &Url,
        uri: &str,
        fetched: anyhow::Result<Fetched>,
        want: Want,
    ) -> Option<(String, Fetched)> {
        let place = base.join(uri).map_or_else(|_| uri.to_owned(), |url| self.fetcher.name(&url));
        match fetched {
            Ok(fetched) => {
                self.judge_transport(&place, &fetched, want);
                Some((place, fetched))
            }
            Err(error) => {
                self.report.add(&HTTP_STATUS, place, cli::with_causes(&error));
                None
            }
        }
    }

    fn judge_transport(&mut self, place: &str, fetched: &Fetched, want: Want) {
        self.tally.bytes += fetched.bytes.len() as u64;
        let Some(http) = &fetched.http else { return };
        if http.is_redirected {
            self.report.add(&HTTP_REDIRECT, place, format!("it is redirected to {}", fetched.url));
        }
        let media_type = http.content_type.as_deref().unwrap_or("");
        if !want.is_type(media_type, &fetched.bytes) {
            self.report.add(&HTTP_TYPE, place, format!("Content-Type: {media_type}"));
        }
        if want == Want::Playlist && !http.is_coded && fetched.bytes.len() >= CODED_BYTES_MIN {
            self.report.add(&HTTP_CODING, place, "it comes as it is");
        }
    }
}

fn document(target: &str, report: &Report, tally: Tally) -> serde_json::Value {
    let finding = |one: &Finding| {
        serde_json::json!({
            "rule": one.rule.id,
            "level": one.rule.level.name(),
            "source": one.rule.source,
            "place": one.place,
            "what": one.what,
            "advice": one.rule.advice,
        })
    };
    let (must, should) = counts(report);
    serde_json::json!({
        "target": target,
        "violations": must,
        "warnings": should,
        "omitted": report.omitted(),
        "checked": tally,
        "findings": report.findings().iter().map(finding).collect::<Vec<_>>(),
    })
}

fn counts(report: &Report) -> (usize, usize) {
    let must = report.findings().iter().filter(|finding| finding.rule.level == Level::Must).count();
    (must, report.findings().len() - must)
}

fn tell(target: &str, report: &Report, tally: Tally) {
    let mut shown: Vec<&Finding> = report.findings().iter().collect();
    shown.sort_by_key(|finding| (finding.rule.level, finding.rule.id));
    let mut last = None;
    for finding in shown {
        let rule = finding.rule;
        if last != Some(rule.id) {
            terminal::say(&format!("{} {} ({})\n  {}", rule.level.name(), rule.id, rule.source, rule.advice));
            last = Some(rule.id);
        }
        terminal::say(&format!("    {}: {}", finding.place, finding.what));
    }
    if report.omitted() > 0 {
        terminal::say(&format!("{} more of the same", report.omitted()));
    }
    let Tally { playlists, segments, bytes } = tally;
    let (must, should) = counts(report);
    let size = domain::ByteSize(bytes);
    terminal::say(&format!(
        "{target}: {playlists} playlists, {segments} segments, {size} read: {must} violations, {should} warnings"
    ));
}
