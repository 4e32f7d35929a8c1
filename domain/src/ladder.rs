//! The set of output qualities: which sizes a source is worth, and what each may cost.

use serde::{Deserialize, Serialize};

use crate::{Bitrate, Codec, FrameRate, RenditionId, Resolution};

/// Short sides of the ladder's rungs with the bit rate cap of each at 30 frames a second or less.
const RUNGS: [(u32, u64); 5] = [(240, 400_000), (360, 900_000), (480, 1_600_000), (720, 3_500_000), (1080, 6_500_000)];

/// What the smallest rung may cost: whoever plays at all can take as much.
pub const LEAST_BITRATE: Bitrate = Bitrate(RUNGS[0].1);

/// The largest short side that is ever produced.
const SHORT_SIDE_MAX: u32 = 1080;

/// The largest long side that is ever produced (H.264 level 5.1 allows no wider picture at this height).
const LONG_SIDE_MAX: u32 = 4096;

/// Output rates that a measured rate is snapped to: Apple's (HLS authoring 1.18), and slow ones below.
const RATES: [(u32, u32); 20] = [
    (1, 1),
    (2, 1),
    (3, 1),
    (4, 1),
    (5, 1),
    (6, 1),
    (15, 2),
    (8, 1),
    (10, 1),
    (12, 1),
    (25, 2),
    (15, 1),
    (20, 1),
    (24_000, 1001),
    (24, 1),
    (25, 1),
    (30_000, 1001),
    (30, 1),
    (50, 1),
    (60_000, 1001),
];

/// The smallest side of a picture in another codec than H.264: SVT-AV1 takes none that is smaller.
const EXTRA_SIDE_MIN: u32 = 64;

/// One video quality.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// Its name: the short side and a `p`, such as `720p`.
    pub id: RenditionId,
    /// Size of the encoded picture: even on both sides.
    pub resolution: Resolution,
    /// Cap of the bit rate over the VBV window of two seconds.
    pub bitrate_max: Bitrate,
    /// H.264 level times ten, such as 31 for 3.1 (ITU-T H.264 Annex A).
    pub level: u8,
    /// How it is coded.
    #[serde(default, skip_serializing_if = "Codec::is_h264")]
    pub codec: Codec,
    /// Constant rate factor that was chosen for this source; the recipe's where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crf: Option<u8>,
}

impl Rung {
    /// The same size in another codec, for what it costs there; `720p-hevc` beside `720p`.
    ///
    /// `None` for pictures so small that an encoder refuses them, and that gain nothing from it.
    pub fn in_codec(&self, codec: Codec) -> Option<Self> {
        if self.resolution.short_side() < EXTRA_SIDE_MIN {
            return None;
        }
        let bitrate_max = Bitrate((self.bitrate_max.0 * codec.share_percent() / 100).max(1));
        Some(Self {
            id: RenditionId::new(format!("{}-{codec}", self.id)).ok()?,
            bitrate_max,
            codec,
            crf: None,
            ..self.clone()
        })
    }
}

/// The rungs worth making of a source shown at `display`, smallest first; never empty, never upscaled.
///
/// A source between two rungs, or below the lowest, gets a rung of its own size on top; the rung
/// just below it is left out when it would hold more than 70 % of its pixels. Sizes are rounded
/// down to even numbers, at least 2.
pub fn rungs(display: Resolution, frame_rate: FrameRate) -> Vec<Rung> {
    let top = even(fit(display, display.short_side().min(SHORT_SIDE_MAX)));
    let mut sizes: Vec<Resolution> = RUNGS
        .iter()
        .map(|&(short, _)| even(fit(display, short)))
        .filter(|size| size.short_side() < top.short_side() && size.pixels() * 10 <= top.pixels() * 7)
        .collect();
    sizes.push(top);
    sizes.into_iter().filter_map(|size| rung(size, frame_rate)).collect()
}

/// The same rungs, none with a higher cap than its size has anyway.
pub(crate) fn caps(rungs: &[Rung], frame_rate: FrameRate) -> Vec<Rung> {
    let capped = |of: &Rung| {
        let usual = rung(of.resolution, frame_rate).map_or(of.bitrate_max, |usual| usual.bitrate_max);
        Rung { bitrate_max: usual.min(of.bitrate_max), ..of.clone() }
    };
    rungs.iter().map(capped).collect()
}

/// The output rate for a source measured at `measured` frames a second: rates above 60 are halved
/// until they are not, then the nearest rate of the table is taken.
pub fn output_rate(measured: FrameRate) -> FrameRate {
    let mut per_second = measured.as_f64();
    // 1 000 000 fps is halved 15 times; a rate is a ratio of two u32, so 32 rounds always do.
    for _ in 0..32 {
        if per_second <= 60.5 {
            break;
        }
        per_second /= 2.0;
    }
    let sixty = (60, 1);
    let nearest = RATES.iter().chain([&sixty]).copied().min_by(|a, b| {
        let distance = |(num, den): (u32, u32)| (f64::from(num) / f64::from(den) / per_second).ln().abs();
        distance(*a).total_cmp(&distance(*b))
    });
    nearest.and_then(|(num, den)| FrameRate::new(num, den)).unwrap_or(measured)
}

/// `display` scaled so that its short side is `short`, unless its long side would exceed the limit.
fn fit(display: Resolution, short: u32) -> Resolution {
    let (from_short, from_long) = (u64::from(display.short_side().max(1)), u64::from(display.long_side().max(1)));
    let long = (from_long * u64::from(short) * 2 + from_short) / (from_short * 2);
    let (short, long) = if long > u64::from(LONG_SIDE_MAX) {
        ((from_short * u64::from(LONG_SIDE_MAX) / from_long).max(1), u64::from(LONG_SIDE_MAX))
    } else {
        (u64::from(short), long)
    };
    let side = |pixels: u64| u32::try_from(pixels).unwrap_or(LONG_SIDE_MAX);
    let upright = Resolution { width: side(long), height: side(short) };
    if display.width >= display.height { upright } else { upright.turned() }
}

fn even(size: Resolution) -> Resolution {
    Resolution { width: (size.width & !1).max(2), height: (size.height & !1).max(2) }
}

fn rung(resolution: Resolution, frame_rate: FrameRate) -> Option<Rung> {
    let cap = RUNGS.iter().find(|(short, _)| resolution.short_side() <= *short).map_or(RUNGS[4].1, |rung| rung.1);
    let bitrate_max = Bitrate(if frame_rate.as_f64() > 31.0 { cap * 3 / 2 } else { cap });
    Some(Rung {
        id: RenditionId::new(format!("{}p", resolution.short_side())).ok()?,
        resolution,
        bitrate_max,
        level: level(resolution, frame_rate, bitrate_max),
        codec: Codec::H264,
        crf: None,
    })
}

/// The lowest H.264 level that allows this size, rate and bit rate in High profile with four
/// reference frames (ITU-T H.264 table A-1; High profile multiplies the bit rate by 1.25).
fn level(resolution: Resolution, frame_rate: FrameRate, bitrate: Bitrate) -> u8 {
    // (level, macroblocks a second, macroblocks a frame, macroblocks of decoded pictures, kbit/s)
    const LEVELS: [(u8, u64, u64, u64, u64); 10] = [
        (21, 19_800, 792, 4752, 4000),
        (22, 20_250, 1620, 8100, 4000),
        (30, 40_500, 1620, 8100, 10_000),
        (31, 108_000, 3600, 18_000, 14_000),
        (32, 216_000, 5120, 20_480, 20_000),
        (40, 245_760, 8192, 32_768, 20_000),
        (42, 522_240, 8704, 34_816, 50_000),
        (50, 589_824, 22_080, 110_400, 135_000),
        (51, 983_040, 36_864, 184_320, 240_000),
        (52, 2_073_600, 36_864, 184_320, 240_000),
    ];
    const REFERENCE_FRAMES: u64 = 4;
    let side = |pixels: u32| u64::from(pixels.div_ceil(16));
    let frame = side(resolution.width) * side(resolution.height);
    let per_second = (frame * u64::from(frame_rate.num())).div_ceil(u64::from(frame_rate.den()));
    LEVELS
        .iter()
        .find(|(_, rate_max, frame_max, decoded_max, kbit_max)| {
            per_second <= *rate_max
                && frame <= *frame_max
                && frame * REFERENCE_FRAMES <= *decoded_max
                && bitrate.0 * 4 / 5 <= *kbit_max * 1000
                // Neither side may exceed sqrt(8 * MaxFS) macroblocks (A.3.1 f, g).
                && side(resolution.long_side()).pow(2) <= 8 * *frame_max
        })
        .map_or(52, |found| found.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn size(width: u32, height: u32) -> Resolution {
        Resolution { width, height }
    }

    fn fps(num: u32, den: u32) -> FrameRate {
        FrameRate::new(num, den).expect("not zero")
    }

    fn check(width: u32, height: u32, expected: &str) {
        let rungs = rungs(size(width, height), fps(25, 1));
        let text: Vec<String> =
            rungs.iter().map(|rung| format!("{} {} L{}", rung.id, rung.resolution, rung.level)).collect();
        assert_eq!(text.join(", "), expected);
    }

    #[test]
    fn a_source_gets_the_rungs_it_is_worth() {
        check(
            1920,
            1080,
            "240p 426x240 L21, 360p 640x360 L30, 480p 852x480 L30, 720p 1280x720 L31, 1080p 1920x1080 L40",
        );
        check(
            1080,
            1920,
            "240p 240x426 L21, 360p 360x640 L30, 480p 480x852 L30, 720p 720x1280 L31, 1080p 1080x1920 L40",
        );
        check(1024, 576, "240p 426x240 L21, 360p 640x360 L30, 480p 852x480 L30, 576p 1024x576 L31");
        check(1280, 536, "240p 572x240 L21, 360p 860x360 L30, 536p 1280x536 L31");
        check(
            3840,
            2160,
            "240p 426x240 L21, 360p 640x360 L30, 480p 852x480 L30, 720p 1280x720 L31, 1080p 1920x1080 L40",
        );
        check(161, 121, "120p 160x120 L21");
        check(321, 241, "240p 320x240 L21");
        check(1, 1, "2p 2x2 L21");
    }

    #[test]
    fn a_rate_is_snapped_to_the_nearest_natural_one() {
        let check = |num, den, expected: &str| assert_eq!(output_rate(fps(num, den)).to_string(), expected);
        check(30_000, 1001, "29.97");
        check(2997, 100, "29.97");
        check(24_000, 1001, "23.976");
        check(810_000, 13_487, "60");
        check(120, 1, "60");
        check(240_000, 1001, "59.94");
        check(29_500, 1000, "29.97");
        check(25, 2, "12.5");
        check(1, 1, "1");
        check(90_000, 1, "50");
        check(1, 100, "1");
    }

    proptest! {
        #[test]
        fn no_rung_is_odd_or_larger_than_its_source(width in 1u32..16_384, height in 1u32..16_384) {
            let display = size(width, height);
            let rungs = rungs(display, fps(30, 1));
            prop_assert!(!rungs.is_empty());
            for rung in &rungs {
                prop_assert!(rung.resolution.width % 2 == 0 && rung.resolution.height % 2 == 0);
                prop_assert!(rung.resolution.width <= width.max(2) && rung.resolution.height <= height.max(2));
                prop_assert!(rung.resolution.long_side() <= LONG_SIDE_MAX && rung.resolution.short_side() <= SHORT_SIDE_MAX);
            }
            for pair in rungs.windows(2) {
                prop_assert!(pair[0].resolution.pixels() < pair[1].resolution.pixels());
                prop_assert_ne!(&pair[0].id, &pair[1].id);
            }
        }
    }
}
