//! Rules of segments: what their boxes hold against what playlists say of them.

use super::multivariant::{Declared, Kind};
use super::{Media, Method, Report, rules, ts, vtt};
use crate::bmff::{self, Fragment, Init};

/// What a duration or a seam may be off by, in millionths of a second.
const DURATION_TOLERANCE: u64 = 50_000;

/// The same for decode times, as a divisor of a second.
const SEAM_TOLERANCE_DIVISOR: u64 = 1000;

const SECOND: u128 = 1_000_000;

/// One media playlist while its segments are looked at, in order.
#[derive(Debug)]
pub struct Track {
    pub(super) media: Media,
    pub(super) declared: Declared,
    /// Of each segment its duration in millionths of a second, and its octets.
    pub(super) sizes: Vec<(u64, u64)>,
    /// When the first sample is shown, in millionths of a second.
    pub(super) begins: Option<i64>,
    init: Option<Init>,
    /// Where the next fragment has to begin.
    next: Option<u64>,
    ts: ts::Clock,
}

impl Track {
    /// A playlist of which this was declared.
    pub fn new(media: Media, declared: Declared, report: &mut Report) -> Self {
        media.check_kind(declared.kind, report);
        Self { media, declared, sizes: Vec::new(), begins: None, init: None, next: None, ts: ts::Clock::default() }
    }

    /// The playlist.
    pub fn media(&self) -> &Media {
        &self.media
    }

    /// What kind of rendition it is.
    pub fn kind(&self) -> Kind {
        self.declared.kind
    }

    /// Notes the length of the next segment without looking into it.
    pub fn measured(&mut self, bytes: u64) {
        if let Some(segment) = self.media.segments.get(self.sizes.len()) {
            self.sizes.push((segment.duration, bytes));
        }
    }

    /// Looks at the initialization segment that applies from here on.
    pub fn init(&mut self, place: &str, bytes: &[u8], report: &mut Report) {
        self.init = None;
        if bytes.first() == Some(&ts::SYNC) {
            return self.ts.init(place, bytes, report);
        }
        let init = match Init::read(bytes) {
            Ok(init) => init,
            Err(broken) => return report.add(&rules::INIT, place, broken.to_string()),
        };
        if init.track_count != 1 {
            report.add(&rules::INIT, place, format!("{} tracks", init.track_count));
        }
        // Of what is encrypted only times and sizes can be told.
        if matches!(&init.entry, b"encv" | b"enca") {
            self.init = Some(init);
            return;
        }
        let declared = &self.declared;
        match init.codecs() {
            None => report.add(&rules::INIT, place, "the sample description has no readable configuration"),
            Some(codec) => {
                let is_it = |told: &String| {
                    if codec.contains('.') { told.eq_ignore_ascii_case(&codec) } else { told.starts_with(&codec) }
                };
                if !declared.codecs.is_empty() && !declared.codecs.iter().any(is_it) {
                    let what = format!("the bitstream is {codec}, declared is {}", declared.codecs.join(","));
                    report.add(&rules::CODEC, place, what);
                }
            }
        }
        let (width, height) = init.size;
        if let Some((w, h)) = declared.resolution.filter(|size| init.handler == *b"vide" && *size != init.size) {
            report.add(&rules::SIZE, place, format!("the bitstream has {width}x{height}, declared is {w}x{h}"));
        }
        self.init = Some(init);
    }

    /// Looks at the next segment; of one that is encrypted only as far as its samples alone are.
    pub fn segment(&mut self, place: &str, bytes: &[u8], report: &mut Report) {
        let key = self.media.segments.get(self.sizes.len()).and_then(|segment| segment.key.as_ref());
        let is_legible = key.is_none_or(|key| key.method == Method::Sample && bytes.first() != Some(&ts::SYNC));
        self.judged(place, bytes.len(), is_legible.then_some(bytes), report);
    }

    /// Looks at the next segment, which has so many octets and was decrypted.
    pub fn decrypted(&mut self, place: &str, length: usize, bytes: &[u8], report: &mut Report) {
        self.judged(place, length, Some(bytes), report);
    }

    fn judged(&mut self, place: &str, length: usize, bytes: Option<&[u8]>, report: &mut Report) {
        let Some(segment) = self.media.segments.get(self.sizes.len()).cloned() else { return };
        self.measured(length as u64);
        let Some(bytes) = bytes else { return };
        if segment.is_discontinuous {
            self.next = None;
            self.ts.interrupt();
        }
        match (self.declared.kind, bytes.first()) {
            (Kind::Subtitles, _) if segment.map.is_none() => vtt::check(place, bytes, report),
            (Kind::Iframes, Some(&ts::SYNC)) => ts::check_packets(place, bytes, report),
            (Kind::Iframes, _) => self.iframe(place, bytes, report),
            (_, Some(&ts::SYNC)) => self.ts.check(place, bytes, segment.duration, report),
            // Packed audio begins with an ID3 tag (RFC 8216 §3.4).
            (_, Some(b'I')) if bytes.starts_with(b"ID3") => {}
            _ => self.fragments(place, bytes, segment.duration, report),
        }
    }

    fn fragments(&mut self, place: &str, bytes: &[u8], duration: u64, report: &mut Report) {
        let Some(init) = &self.init else {
            report.add(&rules::BOXES, place, "it is no segment, or its initialization segment cannot be read");
            return;
        };
        let fragments = match bmff::fragments(bytes, init) {
            Ok(fragments) => fragments,
            Err(broken) => {
                self.next = None;
                return report.add(&rules::BOXES, place, broken.to_string());
            }
        };
        check_first(place, bytes, init, &fragments, report);
        let scale = u64::from(init.timescale);
        for fragment in &fragments {
            if fragment.track_id != init.track_id {
                let what = format!("track {}, described is {}", fragment.track_id, init.track_id);
                report.add(&rules::TRACK_ID, place, what);
            }
            match (fragment.decode_time, self.next) {
                (None, _) => report.add(&rules::TFDT, place, "a fragment has no decode time"),
                (Some(begins), Some(next)) if begins.abs_diff(next) > scale / SEAM_TOLERANCE_DIVISOR => {
                    let what = format!("a fragment begins at {begins} of {scale}, the one before ends at {next}");
                    report.add(&rules::TFDT, place, what);
                }
                _ => {}
            }
            if let (None, Some(begins), Some(first)) = (self.begins, fragment.decode_time, fragment.samples.first()) {
                let ticks = i128::from(begins) + i128::from(first.shift);
                self.begins = i64::try_from(ticks * 1_000_000 / i128::from(scale.max(1))).ok();
            }
            self.next = fragment.decode_time.map(|begins| begins.saturating_add(fragment.ticks()));
        }
        let ticks: u64 = fragments.iter().map(Fragment::ticks).sum();
        let real = u64::try_from(u128::from(ticks) * SECOND / u128::from(scale.max(1))).unwrap_or(u64::MAX);
        if real.abs_diff(duration) > DURATION_TOLERANCE {
            let shown = |time: u64| format!("{}.{:03} s", time / 1_000_000, time / 1000 % 1000);
            report.add(&rules::DURATION, place, format!("it lasts {}, EXTINF is {}", shown(real), shown(duration)));
        }
    }

    /// `bytes` are the range of an I-frame: a moof and the beginning of its mdat.
    fn iframe(&self, place: &str, bytes: &[u8], report: &mut Report) {
        let Some(init) = &self.init else { return };
        let mut bad = |what: &str| report.add(&rules::IFRAME_RANGE, place, what);
        match bmff::first_fragment(bytes, init) {
            Err(_) => bad("the range does not begin with a moof"),
            Ok(fragment) => match fragment.samples.first() {
                None => bad("the fragment has no sample"),
                Some(sample) if sample.data(bytes).is_empty() => bad("the I-frame is not all in the range"),
                Some(sample) => {
                    let is_first = bmff::is_random_access(init, sample.data(bytes)).unwrap_or(sample.is_sync);
                    if !is_first {
                        bad("the first sample is no I-frame");
                    }
                }
            },
        }
    }
}

/// A picture that a decoder can begin with comes first.
fn check_first(place: &str, bytes: &[u8], init: &Init, fragments: &[Fragment], report: &mut Report) {
    let Some(first) = fragments.first().and_then(|fragment| fragment.samples.first()) else {
        return report.add(&rules::BOXES, place, "the first fragment has no sample");
    };
    let is_first = bmff::is_random_access(init, first.data(bytes)).unwrap_or(first.is_sync);
    if init.handler == *b"vide" && !(is_first && first.is_sync) {
        let what = if is_first {
            "the first sample is not marked as a sync sample"
        } else {
            "the first sample is no IDR picture"
        };
        report.add(&rules::IDR, place, what);
    }
}
