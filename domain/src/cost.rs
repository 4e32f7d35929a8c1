//! What encoding a chunk takes of a machine, estimated from its plan, and what may run side by side. Pure.

use std::fmt;

use crate::ladder::Rung;
use crate::plan::VideoPlan;
use crate::probe::VideoTrack;
use crate::{ByteSize, Codec};

/// Memory of an engine before any picture.
const BASE_BYTES: u64 = 96 << 20;

/// Memory for each pixel of the source: what its decoder and the filters hold, up to ten bits deep.
const SOURCE_BYTES_PER_PIXEL: u64 = 48;

/// Memory for each pixel of each picture that is encoded: references and what the rate control looks ahead.
fn encoded_bytes_per_pixel(codec: Codec) -> u64 {
    match codec {
        Codec::H264 => 136,
        Codec::Hevc => 200,
        Codec::Av1 => 160,
    }
}

/// What decoding a picture takes beside encoding one of the same size, in percent.
const DECODING_PERCENT: u64 = 35;

/// A number of processors, in hundredths: work that waits for other work keeps one busy for a part of its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cores(pub u32);

impl Cores {
    /// One whole processor.
    pub const ONE: Self = Self(100);

    /// So many whole ones.
    pub fn whole(count: u32) -> Self {
        Self(count.saturating_mul(Self::ONE.0))
    }
}

impl fmt::Display for Cores {
    /// As a decimal fraction without needless digits: `2`, `1.5`, `0.25`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:02}", self.0 / Self::ONE.0, self.0 % Self::ONE.0);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// What a piece of work takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Memory at its peak.
    pub memory: ByteSize,
    /// Processors that it keeps busy if it gets them.
    pub cores: Cores,
}

impl Cost {
    /// What a chunk of this plan takes, all its renditions encoded side by side from one decoding of `source`.
    ///
    /// Each rendition has an encoder of one thread, so the largest decides how long it takes, and the others are
    /// busy for a part of that time.
    pub fn of_chunk(video: &VideoPlan, source: &VideoTrack) -> Self {
        Self::of_rungs(Codec::H264, video.rungs.get(..video.encoded_count()).unwrap_or_default(), source)
    }

    /// What a chunk of another codec's ladder takes.
    pub fn of_extra(video: &VideoPlan, codec: Codec, source: &VideoTrack) -> Self {
        Self::of_rungs(codec, video.ladder(codec), source)
    }

    fn of_rungs(codec: Codec, rungs: &[Rung], source: &VideoTrack) -> Self {
        let encoded = || rungs.iter().map(|rung| rung.resolution.pixels());
        let (sum, largest) = (encoded().sum::<u64>(), encoded().max().unwrap_or(0).max(1));
        let decoded = source.coded.pixels();
        let memory = BASE_BYTES
            .saturating_add(decoded.saturating_mul(SOURCE_BYTES_PER_PIXEL))
            .saturating_add(sum.saturating_mul(encoded_bytes_per_pixel(codec)));
        // Mapping tones takes as much again as decoding.
        let decoding = DECODING_PERCENT * if source.color.is_hdr() { 2 } else { 1 };
        let hundredths = sum.saturating_mul(100).saturating_add(decoded.saturating_mul(decoding)) / largest;
        Self { memory: ByteSize(memory), cores: Cores(u32::try_from(hundredths).unwrap_or(u32::MAX)) }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            memory: ByteSize(self.memory.0.saturating_add(other.memory.0)),
            cores: Cores(self.cores.0.saturating_add(other.cores.0)),
        }
    }

    /// What is left of both without `other`.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self {
            memory: ByteSize(self.memory.0.saturating_sub(other.memory.0)),
            cores: Cores(self.cores.0.saturating_sub(other.cores.0)),
        }
    }
}

/// What work of this kind may take of a machine, all of it together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Memory.
    pub memory: ByteSize,
    /// Processors.
    pub cores: Cores,
}

impl Budget {
    /// No bound at all.
    pub const UNBOUNDED: Self = Self { memory: ByteSize(u64::MAX), cores: Cores(u32::MAX) };

    /// True if `wanted` may begin beside what is `used` by so many others that run.
    ///
    /// Alone everything may run, however large: else it would never. Beside others its memory must be free, and
    /// one processor, or less if it needs less: processors are shared, memory is not.
    pub fn has_room(&self, running: usize, used: Cost, wanted: Cost) -> bool {
        if running == 0 {
            return true;
        }
        let free = Cost { memory: self.memory, cores: self.cores }.minus(used);
        wanted.memory <= free.memory && wanted.cores.min(Cores::ONE) <= free.cores
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Color, Extent, FieldOrder, Orientation};
    use crate::{FrameRate, MediaTime, Resolution, ladder};

    const MIB: u64 = 1 << 20;

    fn source(width: u32, height: u32) -> VideoTrack {
        VideoTrack {
            stream_index: 0,
            codec: "hevc".into(),
            pixel_format: "yuv420p".into(),
            coded: Resolution { width, height },
            sample_aspect: (1, 1),
            orientation: Orientation::default(),
            color: Color::default(),
            field_order: FieldOrder::Progressive,
            extent: Extent { start: MediaTime::zero(), end: MediaTime::zero() },
            frame_count: 1,
            measured_rate: FrameRate::new(60, 1).expect("a rate"),
            is_variable_rate: false,
            language: None,
            is_default: true,
            jumps: Vec::new(),
            last_decodable: None,
            avc: None,
        }
    }

    fn plan(track: &VideoTrack, copied: bool) -> VideoPlan {
        VideoPlan {
            stream_index: 0,
            frame_count: 1,
            rungs: ladder::rungs(track.display(), track.measured_rate),
            copied: copied.then(|| "avc1.640028".to_owned()),
            costs: Vec::new(),
            looks: Vec::new(),
            extra: Vec::new(),
        }
    }

    fn cost(width: u32, height: u32) -> Cost {
        let track = source(width, height);
        Cost::of_chunk(&plan(&track, false), &track)
    }

    #[test]
    fn processors_are_told_without_needless_digits() {
        let told = |hundredths: u32| Cores(hundredths).to_string();
        assert_eq!([told(200), told(150), told(25), told(1000), told(0)], ["2", "1.5", "0.25", "10", "0"]);
    }

    fn mib(memory: ByteSize) -> u64 {
        memory.0 / MIB
    }

    fn budget(memory_mib: u64, cores: u32) -> Budget {
        Budget { memory: ByteSize(memory_mib * MIB), cores: Cores::whole(cores) }
    }

    #[test]
    fn a_larger_source_costs_more_and_what_is_not_encoded_costs_less() {
        let (small, full, large) = (cost(640, 360), cost(1920, 1080), cost(3840, 2160));
        assert!(small.memory < full.memory && full.memory < large.memory);
        assert!(full.cores < large.cores);
        let track = source(1920, 1080);
        let copied = Cost::of_chunk(&plan(&track, true), &track);
        assert!(copied.memory < full.memory);
        let mut hdr = source(3840, 2160);
        hdr.color.transfer = Some("smpte2084".into());
        let hdr = Cost::of_chunk(&plan(&hdr, false), &hdr);
        assert!(hdr.cores > large.cores, "tones are mapped");
    }

    #[test]
    fn the_estimates_are_those_of_the_engines_that_were_measured_and_a_little_more() {
        // 650 MiB or a little more at their peak; those of 4K were 923 before they kept their memory.
        assert!((650..720).contains(&mib(cost(1920, 1080).memory)), "{}", mib(cost(1920, 1080).memory));
        assert!((923..1100).contains(&mib(cost(3840, 2160).memory)), "{}", mib(cost(3840, 2160).memory));
    }

    #[test]
    fn what_fits_runs_side_by_side() {
        let (small, large) = (cost(640, 360), cost(3840, 2160));
        let roomy = budget(2048, 16);
        assert!(roomy.has_room(1, large, small) && roomy.has_room(1, small, large));
        assert!(roomy.has_room(1, large, large));
        assert!(!roomy.has_room(2, large.plus(large), large), "memory is not shared");
        let narrow = budget(900, 16);
        assert!(narrow.has_room(0, Cost::default(), large));
        assert!(!narrow.has_room(1, large, small) && !narrow.has_room(1, small, large));
        assert!(narrow.has_room(1, small, small));
    }

    #[test]
    fn what_fits_never_runs_alone() {
        let large = cost(3840, 2160);
        let tiny = budget(64, 1);
        assert!(tiny.has_room(0, Cost::default(), large));
        assert!(!tiny.has_room(1, large, cost(16, 16)), "nothing beside it");
    }

    #[test]
    fn processors_are_shared_but_each_needs_one() {
        let full = cost(1920, 1080);
        assert!((Cores(180)..Cores(240)).contains(&full.cores), "{:?}", full.cores);
        let cores = |count| Budget { memory: ByteSize(u64::MAX), cores: Cores::whole(count) };
        assert!(!cores(2).has_room(1, full, full), "two processors are kept busy by one");
        assert!(cores(4).has_room(1, full, full));
        assert!(!cores(4).has_room(2, full.plus(full), full));
        let eight = (0..).find(|running| {
            let used = (0..*running).fold(Cost::default(), |used, _| used.plus(full));
            !cores(8).has_room(*running, used, full)
        });
        assert_eq!(eight, Some(4));
    }

    #[test]
    fn without_a_bound_there_is_always_room() {
        let large = cost(8192, 4352);
        assert!(Budget::UNBOUNDED.has_room(1000, large, large));
    }
}
