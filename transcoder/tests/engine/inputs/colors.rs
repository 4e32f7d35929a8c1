//! Colours of HDR and wide sources, against formulas of the standards.

use domain::{FailureCode, Resolution};
use fixtures::media::{self, ClipSpec};
use libtest_mimic::Trial;
use transcoder::EngineError;

use super::{assert_color, color_at, shots, source};
use crate::setup::{engine, source_of, trial};

/// Side of one patch, in pixels.
const SIDE: usize = 32;

/// Colours of standard range, as a BT.709 display shows them.
const PATCHES: [[u8; 3]; 10] = [
    [0, 0, 0],
    [60, 60, 60],
    [128, 128, 128],
    [140, 110, 95],
    [120, 40, 40],
    [40, 110, 50],
    [35, 50, 120],
    [200, 200, 200],
    [235, 235, 235],
    [220, 60, 60],
];

/// White of the output in HDR, in cd/m² (ITU-R BT.2408 §2.1).
const WHITE: f64 = 203.0;

/// BT.709 to BT.2020 in linear light (ITU-R BT.2087 §3).
const TO_2020: [[f64; 3]; 3] = [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]];

/// Luma of BT.2020 (ITU-R BT.2020 table 4).
const LUMA: [f64; 3] = [0.2627, 0.6780, 0.0593];

#[derive(Clone, Copy, PartialEq)]
enum Curve {
    Pq,
    Hlg,
    Sdr,
}

impl Curve {
    fn name(self) -> &'static str {
        match self {
            Self::Pq => "smpte2084",
            Self::Hlg => "arib-std-b67",
            Self::Sdr => "bt2020-10",
        }
    }

    /// The coded value of each colour, of linear light where 1.0 is white.
    fn encode(self, linear: [f64; 3]) -> [f64; 3] {
        match self {
            // SMPTE ST 2084 §5.2.
            Self::Pq => linear.map(|light| {
                let power = (light.max(0.0) * WHITE / 10_000.0).powf(0.159_301_757_812_5);
                ((0.835_937_5 + 18.851_562_5 * power) / (1.0 + 18.6875 * power)).powf(78.84375)
            }),
            // ITU-R BT.2100 table 5, for a display of 1000 cd/m².
            Self::Hlg => {
                let display = linear.map(|light| light.max(0.0) * WHITE / 1000.0);
                let luminance: f64 = display.iter().zip(LUMA).map(|(light, luma)| light * luma).sum();
                let gain = if luminance > 0.0 { luminance.powf((1.0 - 1.2) / 1.2) } else { 0.0 };
                display.map(|light| {
                    let scene = light * gain;
                    if scene <= 1.0 / 12.0 {
                        (3.0 * scene).sqrt()
                    } else {
                        0.178_832_77 * (12.0 * scene - 0.284_668_92).ln() + 0.559_910_73
                    }
                })
            }
            // ITU-R BT.1886.
            Self::Sdr => linear.map(|light| light.max(0.0).powf(1.0 / 2.4)),
        }
    }
}

fn linear(color: [u8; 3]) -> [f64; 3] {
    color.map(|value| (f64::from(value) / 255.0).powf(2.4))
}

/// What tone mapping makes of a colour: the brightest of the three follows the curve, the others keep
/// their proportion to it.
fn mapped(color: [u8; 3], peak: f64) -> [u8; 3] {
    let linear = linear(color);
    let brightest = linear.iter().copied().fold(1e-6, f64::max);
    let gain = mobius(brightest, peak) / brightest;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 255")]
    linear.map(|light| ((light * gain).powf(1.0 / 2.4) * 255.0).round().clamp(0.0, 255.0) as u8)
}

/// The curve that keeps light below 0.3 and brings `peak` to 1.
fn mobius(light: f64, peak: f64) -> f64 {
    let knee = 0.3;
    if light <= knee {
        return light;
    }
    let a = -knee * knee * (peak - 1.0) / (knee * knee - 2.0 * knee + peak);
    let b = (knee * knee - 2.0 * knee * peak + peak) / (peak - 1.0);
    (b * b + 2.0 * b * knee + knee * knee) / (b - a) * (light + a) / (light + b)
}

/// A frame of all patches side by side, in BT.2020 4:2:0 of ten bits.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ten bits, checked by clamping")]
fn frame(curve: Curve, is_full: bool) -> Vec<u8> {
    let ten_bits = |value: f64, scale: f64, offset: f64| {
        ((value * scale + offset).round().clamp(0.0, 1023.0) as u16).to_le_bytes()
    };
    let coded = PATCHES.map(|patch| {
        let bt709 = linear(patch);
        let wide = TO_2020.map(|row| row.iter().zip(bt709).map(|(part, light)| part * light).sum::<f64>());
        let [red, green, blue] = curve.encode(wide);
        let luma = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue;
        let (cb, cr) = ((blue - luma) / 1.8814, (red - luma) / 1.4746);
        if is_full {
            [ten_bits(luma, 1023.0, 0.0), ten_bits(cb, 1023.0, 512.0), ten_bits(cr, 1023.0, 512.0)]
        } else {
            [ten_bits(luma, 876.0, 64.0), ten_bits(cb, 896.0, 512.0), ten_bits(cr, 896.0, 512.0)]
        }
    });
    let plane = |at: usize, side: usize| {
        let row: Vec<u8> = coded.iter().flat_map(|patch| patch[at].repeat(side)).collect();
        row.repeat(side)
    };
    [plane(0, SIDE), plane(1, SIDE / 2), plane(2, SIDE / 2)].concat()
}

/// Patches as the engine shows them.
async fn shown(curve: Curve, is_full: bool, video_args: &[&str]) -> Vec<[u8; 3]> {
    let size = format!("{}x{SIDE}", SIDE * PATCHES.len());
    let range = if is_full { "pc" } else { "tv" };
    let mut args = vec!["-f", "rawvideo", "-pix_fmt", "yuv420p10le", "-s", &size, "-r", "25", "-i", "RAW"];
    args.extend(["-color_primaries", "bt2020", "-colorspace", "bt2020nc", "-color_trc", curve.name()]);
    args.extend(["-color_range", range]);
    args.extend(video_args);
    let path = media::encoded("mkv", &frame(curve, is_full).repeat(5), &args);
    let source = source(&path).await;
    let color = &source.probe.main_video().expect("a video").color;
    assert_eq!((color.transfer.as_deref(), color.range.as_deref()), (Some(curve.name()), Some(range)));
    let width = u32::try_from(SIDE * PATCHES.len()).expect("fits");
    let picture = shots(&source, &[40], Resolution { width, height: 32 }).await.remove(0);
    (0..10).map(|at| color_at(&picture, (at * 10 + 5, 50), 8)).collect()
}

const LOSSLESS: &[&str] = &["-c:v", "ffv1"];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("regression_09_hdr10_keeps_its_colours", || hdr(Curve::Pq, false)),
        trial("regression_09_hlg_keeps_its_colours", || hdr(Curve::Hlg, false)),
        trial("regression_09_hdr_of_full_range_keeps_its_colours", || hdr(Curve::Pq, true)),
        trial("regression_09_the_stated_peak_sets_the_curve", the_stated_peak_sets_the_curve),
        trial("regression_09_wide_colours_of_standard_range_are_converted", wide_colours_are_converted),
        trial("regression_09_dolby_vision_without_a_base_is_refused", dolby_vision_without_a_base_is_refused),
    ]
}

async fn hdr(curve: Curve, is_full: bool) {
    let shown = shown(curve, is_full, LOSSLESS).await;
    for (patch, found) in PATCHES.iter().zip(&shown) {
        assert_color(&format!("{patch:?}"), *found, mapped(*patch, 1000.0 / WHITE), 5);
        // No colour of an ordinary picture looks different from what it was mastered as.
        if linear(*patch).iter().all(|light| *light <= 0.3) {
            assert_color(&format!("{patch:?} as it was"), *found, *patch, 5);
        }
    }
    for (patch, [red, green, blue]) in PATCHES.iter().zip(&shown).filter(|(patch, _)| patch[0] == patch[2]) {
        assert!(
            red.abs_diff(*green) <= 2 && blue.abs_diff(*green) <= 2,
            "grey {patch:?} has a cast: {red} {green} {blue}"
        );
    }
}

/// Whites of a master of 4000 cd/m² are compressed more than those of one of 1000.
async fn the_stated_peak_sets_the_curve() {
    let params = "lossless=1:log-level=none:max-cll=4000,400:\
                  master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(40000000,50)";
    let shown = shown(Curve::Pq, false, &["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", params]).await;
    for (patch, found) in PATCHES.iter().zip(&shown) {
        assert_color(&format!("{patch:?}"), *found, mapped(*patch, 4000.0 / WHITE), 5);
    }
}

async fn wide_colours_are_converted() {
    for (patch, found) in PATCHES.iter().zip(&shown(Curve::Sdr, false, LOSSLESS).await) {
        assert_color(&format!("{patch:?}"), *found, *patch, 5);
    }
}

/// A file like any other, save for a box that says Dolby Vision profile 5.
async fn dolby_vision_without_a_base_is_refused() {
    let file = std::fs::read(media::clip(&ClipSpec { seconds: 1.0, ..ClipSpec::default() })).expect("a clip");
    let record = |profile: u8, base: u8| {
        let mut record = vec![0, 0, 0, 32, b'd', b'v', b'c', b'C', 1, 0, profile << 1, 0b0000_1101, base << 4];
        record.resize(32, 0);
        record
    };
    let refused = engine().probe(source_of(&with_box(&file, &record(5, 0)))).await;
    match refused {
        Err(EngineError::Refused(failure)) => {
            assert_eq!(failure.code, FailureCode::Unsupported);
            assert!(failure.message.contains("Dolby Vision profile 5"), "{failure}");
        }
        other => panic!("{other:?}"),
    }
    let compatible = engine().probe(source_of(&with_box(&file, &record(8, 4)))).await;
    assert!(compatible.is_ok(), "profile 8.4 is HLG in itself: {compatible:?}");
}

/// The file with a box at the end of its first sample description, whose boxes all grow by it.
fn with_box(file: &[u8], added: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    let (mut start, mut end) = (0, file.len());
    let mut grown = Vec::new();
    // Only boxes behind the samples grow, so that no sample moves.
    for (kind, header) in [("moov", 8), ("trak", 8), ("mdia", 8), ("minf", 8), ("stbl", 8), ("stsd", 16), ("avc1", 8)] {
        let found = std::iter::successors(Some(start), |at| Some(at + size_at(&file, *at)).filter(|at| *at < end))
            .find(|at| &file[at + 4..at + 8] == kind.as_bytes());
        let at = found.unwrap_or_else(|| panic!("no {kind}"));
        grown.push(at);
        (start, end) = (at + header, at + size_at(&file, at));
    }
    for at in grown {
        let size = u32::try_from(size_at(&file, at) + added.len()).expect("a small box");
        file[at..at + 4].copy_from_slice(&size.to_be_bytes());
    }
    file.splice(end..end, added.iter().copied());
    file
}

fn size_at(file: &[u8], at: usize) -> usize {
    u32::from_be_bytes(*file[at..].first_chunk().expect("a box")) as usize
}
