//! Movie fragments: one moof and its mdat (ISO/IEC 14496-12 §8.8).

use domain::presentation::KeyframeRange;
use mp4_atom::{FourCC, Mfhd, Moof, Styp, Tfdt, Tfhd, Traf, Trun, TrunEntry};

use super::{CmafError, SEGMENT_BYTES_MAX, boxes};

/// The only track of every file.
pub(super) const TRACK_ID: u32 = 1;

/// An IDR picture or audio frame: depends on no other sample (ISO/IEC 14496-12 §8.8.3.1).
const SYNC: u32 = 2 << 24;

/// Any other picture: depends on others, and is no sync sample.
const NOT_SYNC: u32 = 1 << 24 | 1 << 16;

/// Octets of an mdat's own header.
const MDAT_HEADER_BYTES: usize = 8;

/// Octets that the boxes around the samples may take, per sample and on top.
const OVERHEAD_BYTES_PER_SAMPLE: usize = 512;

/// One fragment to be written.
pub(super) struct Header<'a> {
    /// Rises from fragment to fragment over the whole track.
    pub(super) sequence: u64,
    /// Number of the first frame on the track's timeline.
    pub(super) first_frame: u64,
    /// Ticks from zero to frame 0.
    pub(super) offset_ticks: u32,
    /// Ticks of one frame.
    pub(super) frame_ticks: u32,
    /// In decode order.
    pub(super) samples: Vec<Sample<'a>>,
}

/// One sample of a fragment.
pub(super) struct Sample<'a> {
    /// What goes into the mdat.
    pub(super) data: &'a [u8],
    /// Presentation minus decode time in frames; `None` for audio, where every sample is a sync sample.
    pub(super) offset_frames: Option<i64>,
}

/// Writes one media segment.
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// A segment that begins with its styp and has room for samples of these sizes.
    pub(super) fn new(sizes: impl Iterator<Item = usize>) -> Result<Self, CmafError> {
        let bytes = sizes.fold(0usize, |sum, size| sum.saturating_add(size));
        if bytes > SEGMENT_BYTES_MAX {
            return Err(CmafError::TooLarge { what: "a segment", bytes, max: SEGMENT_BYTES_MAX });
        }
        let mut out = Vec::with_capacity(bytes.saturating_add(OVERHEAD_BYTES_PER_SAMPLE));
        let styp = Styp {
            major_brand: FourCC::new(b"msdh"),
            minor_version: 0,
            compatible_brands: vec![FourCC::new(b"msdh"), FourCC::new(b"cmfs")],
        };
        boxes::put(&mut out, &styp)?;
        Ok(Self(out))
    }

    /// Appends a fragment; gives the range from its moof to the end of its first sample.
    pub(super) fn fragment(&mut self, header: &Header<'_>) -> Result<KeyframeRange, CmafError> {
        let start = self.0.len();
        // The size of a moof does not depend on the value of the offset inside it.
        let mut moof = Vec::new();
        boxes::put(&mut moof, &moof_of(header, 0)?)?;
        let data_offset = i32::try_from(moof.len() + MDAT_HEADER_BYTES).map_err(|_| CmafError::Overflow)?;
        boxes::put(&mut self.0, &moof_of(header, data_offset)?)?;
        let moof_bytes = self.0.len() - start;
        boxes::nest(&mut self.0, *b"mdat", |out| {
            header.samples.iter().for_each(|sample| out.extend_from_slice(sample.data));
            Ok(())
        })?;
        let first = header.samples.first().map_or(0, |sample| sample.data.len());
        let frames = header.samples.len() as u64;
        Ok(KeyframeRange {
            offset: start as u64,
            length: (moof_bytes + MDAT_HEADER_BYTES + first) as u64,
            ticks: frames * u64::from(header.frame_ticks),
        })
    }

    /// The whole segment.
    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

fn moof_of(header: &Header<'_>, data_offset: i32) -> Result<Moof, CmafError> {
    let is_video = header.samples.first().is_some_and(|sample| sample.offset_frames.is_some());
    let mut entries = Vec::with_capacity(header.samples.len());
    for (at, sample) in header.samples.iter().enumerate() {
        let offset_ticks = sample.offset_frames.map(|frames| frames.saturating_mul(i64::from(header.frame_ticks)));
        if offset_ticks.is_some_and(|ticks| i32::try_from(ticks).is_err()) {
            return Err(CmafError::Overflow);
        }
        entries.push(TrunEntry {
            duration: None,
            size: Some(u32::try_from(sample.data.len()).map_err(|_| CmafError::Overflow)?),
            flags: (is_video && at == 0).then_some(SYNC),
            cts: offset_ticks,
        });
    }
    let decode_time = header.first_frame.checked_mul(u64::from(header.frame_ticks));
    let decode_time = decode_time.and_then(|time| time.checked_add(u64::from(header.offset_ticks)));
    let decode_time = decode_time.ok_or(CmafError::Overflow)?;
    let sequence_number = u32::try_from(header.sequence).map_err(|_| CmafError::Overflow)?;
    let traf = Traf {
        // The brand cmf2 wants the defaults in every fragment, not in the trex.
        tfhd: Tfhd {
            track_id: TRACK_ID,
            default_sample_duration: Some(header.frame_ticks),
            default_sample_flags: Some(if is_video { NOT_SYNC } else { SYNC }),
            default_base_is_moof: true,
            ..Tfhd::default()
        },
        tfdt: Some(Tfdt { base_media_decode_time: decode_time }),
        trun: vec![Trun { data_offset: Some(data_offset), samples: entries.into() }],
        ..Traf::default()
    };
    Ok(Moof { mfhd: Mfhd { sequence_number }, traf: vec![traf] })
}
