//! Initialization segments: ftyp and moov with one track, no sample and no edit list.

use domain::{ParameterSets, Resolution};
use mp4_atom::esds::{DecoderConfig, DecoderSpecific, EsDescriptor, SLConfig};
use mp4_atom::{
    Audio, Av01, Avc1, Avcc, AvccExt, Codec, Colr, Dinf, Dref, Esds, FixedPoint, FourCC, Ftyp, Hdlr, Hvc1, Mdhd, Mp4a,
    Mvex, Mvhd, Pasp, Smhd, Stbl, Stco, Stsd, Tkhd, Trex, Url, Visual, Vmhd, u24,
};

use super::fragment::TRACK_ID;
use super::sps::{self, Sps};
use super::{AudioConfig, CmafError, VideoConfig, aac, av1, boxes, hevc};

/// BT.709, what is assumed of a large picture that does not say (ISO/IEC 23091-2).
const BT709: sps::Color = sps::Color { primaries: 1, transfer: 1, matrix: 1, is_full_range: false };

/// BT.601 with 525 lines, what is assumed of a small one.
const BT601: sps::Color = sps::Color { primaries: 6, transfer: 6, matrix: 6, is_full_range: false };

const SPS: &str = "sequence parameter set";

/// Short side from which a picture is a large one.
const HD_SHORT_SIDE: u32 = 720;

/// objectTypeIndication of MPEG-4 audio, and streamType of audio (ISO/IEC 14496-1 tables 5 and 6).
const MPEG4_AUDIO: u8 = 0x40;
const AUDIO_STREAM: u8 = 5;

pub(super) fn video(config: &VideoConfig) -> Result<Vec<u8>, CmafError> {
    let side = |pixels: u32| u16::try_from(pixels).map_err(|_| CmafError::Overflow);
    let (width, height) = (side(config.resolution.width)?, side(config.resolution.height)?);
    let visual = Visual { data_reference_index: 1, width, height, ..Visual::default() };
    let track = Track {
        timescale: config.timescale.per_second(),
        handler: Hdlr { handler: FourCC::new(b"vide"), name: "video".into() },
        width: width.into(),
        height: height.into(),
        volume: 0.into(),
        entry: entry(config, visual)?,
    };
    track.render(|out| boxes::put(out, &Vmhd::default()))
}

/// The sample entry: `avc1`, `hvc1` or `av01`.
fn entry(config: &VideoConfig, visual: Visual) -> Result<Codec, CmafError> {
    let check = |stated: Resolution, aspect: Option<(u16, u16)>| {
        if stated != config.resolution {
            return Err(CmafError::Size { stated, planned: config.resolution });
        }
        if aspect.is_some_and(|(width, height)| width != height || width == 0) {
            return Err(CmafError::Config { what: SPS, reason: "its samples are not square" });
        }
        Ok(())
    };
    let pasp = Some(Pasp { h_spacing: 1, v_spacing: 1 });
    match &config.sets {
        ParameterSets::H264 { sps: unit, pps } => {
            let sps = sps::parse(unit)?;
            sps::check_pps(pps)?;
            check(sps.resolution, sps.sample_aspect)?;
            if !sps.is_progressive {
                return Err(CmafError::Config { what: SPS, reason: "its pictures may be fields" });
            }
            let colr = Some(colr(config, sps.color));
            Ok(Avc1 { visual, avcc: avcc(unit, pps, &sps)?, colr, pasp, ..Avc1::default() }.into())
        }
        ParameterSets::Hevc { sps, .. } => {
            let sps = hevc::parse(sps)?;
            check(sps.resolution, sps.sample_aspect)?;
            let colr = Some(colr(config, sps.color));
            Ok(Hvc1 { visual, hvcc: sps.record(&config.sets)?, colr, pasp, ..Hvc1::default() }.into())
        }
        ParameterSets::Av1 { sequence } => {
            let sequence = av1::parse(sequence)?;
            check(sequence.resolution, None)?;
            let colr = Some(colr(config, sequence.color));
            Ok(Av01 { visual, av1c: sequence.record(), colr, pasp, ..Av01::default() }.into())
        }
    }
}

pub(super) fn audio(config: &AudioConfig) -> Result<Vec<u8>, CmafError> {
    aac::check(config)?;
    let track = Track {
        timescale: config.sample_rate.per_second(),
        handler: Hdlr { handler: FourCC::new(b"soun"), name: "audio".into() },
        width: 0.into(),
        height: 0.into(),
        volume: 1.into(),
        entry: mp4a(config)?.into(),
    };
    track.render(|out| boxes::put(out, &Smhd::default()))
}

struct Track {
    timescale: u32,
    handler: Hdlr,
    width: FixedPoint<u16>,
    height: FixedPoint<u16>,
    volume: FixedPoint<u8>,
    entry: Codec,
}

impl Track {
    fn render(self, media_header: impl FnOnce(&mut Vec<u8>) -> Result<(), CmafError>) -> Result<Vec<u8>, CmafError> {
        let mut out = Vec::new();
        boxes::put(&mut out, &brands())?;
        let Self { timescale, handler, width, height, volume, entry } = self;
        let mdhd = Mdhd { timescale, language: "und".into(), ..Mdhd::default() };
        let tkhd = Tkhd { track_id: TRACK_ID, enabled: true, in_movie: true, width, height, volume, ..Tkhd::default() };
        boxes::nest(&mut out, *b"moov", |out| {
            boxes::put(out, &movie_header(timescale))?;
            boxes::nest(out, *b"trak", |out| {
                boxes::put(out, &tkhd)?;
                boxes::nest(out, *b"mdia", |out| {
                    boxes::put(out, &mdhd)?;
                    boxes::put(out, &handler)?;
                    boxes::nest(out, *b"minf", |out| {
                        media_header(out)?;
                        boxes::put(out, &Dinf { dref: Dref { entries: vec![Url::default().into()] } })?;
                        boxes::put(out, &no_samples(entry))
                    })
                })
            })?;
            let trex = Trex { track_id: TRACK_ID, default_sample_description_index: 1, ..Trex::default() };
            boxes::put(out, &Mvex { mehd: None, trex: vec![trex] })
        })?;
        Ok(out)
    }
}

fn brands() -> Ftyp {
    let compatible = [b"iso6", b"cmfc", b"cmf2", b"mp41"];
    Ftyp {
        major_brand: FourCC::new(b"iso6"),
        minor_version: 0,
        compatible_brands: compatible.into_iter().map(FourCC::new).collect(),
    }
}

fn movie_header(timescale: u32) -> Mvhd {
    Mvhd { timescale, rate: 1.into(), volume: 1.into(), next_track_id: TRACK_ID + 1, ..Mvhd::default() }
}

fn no_samples(entry: Codec) -> Stbl {
    Stbl { stsd: Stsd { codecs: vec![entry] }, stco: Some(Stco::default()), ..Stbl::default() }
}

fn avcc(unit: &[u8], pps: &[u8], sps: &Sps) -> Result<Avcc, CmafError> {
    let mut avcc = Avcc::new(unit, pps)?;
    // ISO/IEC 14496-15 §5.3.3.1.2: these profiles carry the sample format outside the parameter set too.
    if matches!(avcc.avc_profile_indication, 100 | 110 | 122 | 144) {
        avcc.ext = Some(AvccExt {
            chroma_format: sps.chroma_format,
            bit_depth_luma: sps.luma_bits,
            bit_depth_chroma: sps.chroma_bits,
            sequence_parameter_sets_ext: vec![],
        });
    }
    Ok(avcc)
}

/// The colour that the stream states, or what is assumed of a picture of this size.
fn colr(config: &VideoConfig, stated: Option<sps::Color>) -> Colr {
    let assumed = if config.resolution.short_side() >= HD_SHORT_SIDE { BT709 } else { BT601 };
    let color = stated.unwrap_or(assumed);
    Colr::Nclx {
        colour_primaries: color.primaries.into(),
        transfer_characteristics: color.transfer.into(),
        matrix_coefficients: color.matrix.into(),
        full_range_flag: color.is_full_range,
    }
}

fn mp4a(config: &AudioConfig) -> Result<Mp4a, CmafError> {
    let bitrate = u32::try_from(config.bitrate.0).map_err(|_| CmafError::Overflow)?;
    let sample_rate = u16::try_from(config.sample_rate.per_second()).map_err(|_| CmafError::Overflow)?;
    let dec_config = DecoderConfig {
        object_type_indication: MPEG4_AUDIO,
        stream_type: AUDIO_STREAM,
        up_stream: 0,
        buffer_size_db: u24::default(),
        max_bitrate: bitrate,
        avg_bitrate: bitrate,
        dec_specific: Some(DecoderSpecific { raw: config.config.clone(), ..DecoderSpecific::default() }),
    };
    let es_desc = EsDescriptor {
        // ISO/IEC 14496-14 §3.1.2: zero in a file, where the track's own number counts.
        es_id: 0,
        depends_on_es_id: None,
        url: None,
        ocr_es_id: None,
        stream_priority: 0,
        dec_config,
        sl_config: SLConfig {},
    };
    Ok(Mp4a {
        audio: Audio {
            data_reference_index: 1,
            channel_count: config.channels,
            sample_size: 16,
            sample_rate: sample_rate.into(),
        },
        esds: Esds { es_desc },
        btrt: None,
        taic: None,
    })
}
