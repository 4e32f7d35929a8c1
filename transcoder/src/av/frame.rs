//! Decoded frames and coded packets.
#![expect(unsafe_code, reason = "owners of AVFrame and AVPacket")]

use std::ffi::{CStr, c_int};

use domain::probe::FieldOrder;
use ffmpeg_next::ffi;

use super::{AvError, check, dictionary_value};

/// A decoded picture or piece of sound. Cloning shares the samples.
pub(crate) struct Frame(*mut ffi::AVFrame);

// SAFETY: an AVFrame is plain data with atomically counted buffers; it is used by one thread at a time.
unsafe impl Send for Frame {}

impl Frame {
    pub(crate) fn empty() -> Result<Self, AvError> {
        // SAFETY: plain allocation; null is checked.
        let frame = unsafe { ffi::av_frame_alloc() };
        if frame.is_null() { Err(AvError::NO_MEMORY) } else { Ok(Self(frame)) }
    }

    /// A picture of this size with memory of its own.
    pub(crate) fn picture(format: c_int, width: u32, height: u32) -> Result<Self, AvError> {
        let frame = Self::empty()?;
        // SAFETY: the frame is ours and fresh.
        unsafe {
            (*frame.0).format = format;
            (*frame.0).width = c_int::try_from(width).map_err(|_| AvError::INVALID)?;
            (*frame.0).height = c_int::try_from(height).map_err(|_| AvError::INVALID)?;
            check(ffi::av_frame_get_buffer(frame.0, 0))?;
        }
        Ok(frame)
    }

    /// Zeroes all samples of a frame that has memory of its own.
    pub(super) fn blacken(&mut self) {
        // SAFETY: each buffer is ours alone and `size` bytes long.
        unsafe {
            for buffer in (*self.0).buf.iter().filter(|buffer| !buffer.is_null()) {
                std::ptr::write_bytes((**buffer).data, 0, (**buffer).size);
            }
        }
    }

    /// Another frame that shares this one's samples.
    pub(crate) fn share(&self) -> Result<Self, AvError> {
        let frame = Self::empty()?;
        // SAFETY: both frames are live; the buffers are reference-counted.
        unsafe { check(ffi::av_frame_ref(frame.0, self.0))? };
        Ok(frame)
    }

    pub(super) fn as_ptr(&self) -> *mut ffi::AVFrame {
        self.0
    }

    /// Lets go of the samples.
    pub(crate) fn clear(&mut self) {
        // SAFETY: the frame is ours.
        unsafe { ffi::av_frame_unref(self.0) };
    }

    pub(crate) fn width(&self) -> u32 {
        // SAFETY: the frame is live, as in all accessors below.
        u32::try_from(unsafe { (*self.0).width }).unwrap_or(0)
    }

    pub(crate) fn height(&self) -> u32 {
        // SAFETY: see `width`.
        u32::try_from(unsafe { (*self.0).height }).unwrap_or(0)
    }

    /// Pixel or sample format, as libav's number.
    pub(crate) fn format(&self) -> c_int {
        // SAFETY: see `width`.
        unsafe { (*self.0).format }
    }

    /// libav's name of the pixel format.
    pub(crate) fn format_name(&self) -> String {
        // SAFETY: the format number was set by libav itself, so it is one of the enumeration's.
        let name = unsafe {
            let format = std::mem::transmute::<c_int, ffi::AVPixelFormat>(self.format());
            super::text(ffi::av_get_pix_fmt_name(format))
        };
        name.unwrap_or_default()
    }

    /// Pixels use the full range of values.
    pub(crate) fn is_full_range(&self) -> bool {
        // SAFETY: see `width`; read as a number, since hostile streams may hold any.
        let range = unsafe { (&raw const (*self.0).color_range).cast::<c_int>().read() };
        range == ffi::AVColorRange::AVCOL_RANGE_JPEG as c_int || self.format_name().starts_with("yuvj")
    }

    /// Best guess of the presentation time, in the stream's time base.
    pub(crate) fn timestamp(&self) -> Option<i64> {
        // SAFETY: see `width`.
        let (best, pts) = unsafe { ((*self.0).best_effort_timestamp, (*self.0).pts) };
        [best, pts].into_iter().find(|time| *time != ffi::AV_NOPTS_VALUE)
    }

    pub(crate) fn pts(&self) -> i64 {
        // SAFETY: see `width`.
        unsafe { (*self.0).pts }
    }

    /// Width of a sample divided by its height, if stated.
    pub(crate) fn sample_aspect(&self) -> (i32, i32) {
        // SAFETY: see `width`.
        let aspect = unsafe { (*self.0).sample_aspect_ratio };
        (aspect.num, aspect.den)
    }

    /// The field that was taken first, if the bitstream says that there are two.
    pub(crate) fn field_order(&self) -> FieldOrder {
        // SAFETY: see `width`.
        let (is_interlaced, is_top_first) =
            unsafe { ((*self.0).interlaced_frame != 0, (*self.0).top_field_first != 0) };
        match (is_interlaced, is_top_first) {
            (false, _) => FieldOrder::Progressive,
            (true, true) => FieldOrder::TopFirst,
            (true, false) => FieldOrder::BottomFirst,
        }
    }

    /// What a filter has noted on the frame.
    pub(crate) fn note(&self, key: &CStr) -> Option<String> {
        // SAFETY: see `width`; the dictionary belongs to the frame and may be null.
        unsafe { dictionary_value((*self.0).metadata, key) }
    }

    pub(crate) fn set_pts(&mut self, pts: i64) {
        // SAFETY: see `width`.
        unsafe { (*self.0).pts = pts };
    }

    /// Whether an encoder must, or need not, begin a GOP here.
    pub(crate) fn set_key(&mut self, is_key: bool) {
        let kind =
            if is_key { ffi::AVPictureType::AV_PICTURE_TYPE_I } else { ffi::AVPictureType::AV_PICTURE_TYPE_NONE };
        // SAFETY: see `width`.
        unsafe {
            (*self.0).pict_type = kind;
            (*self.0).key_frame = c_int::from(is_key);
        }
    }

    /// Forgets everything that an encoder might copy from the source into the output.
    pub(crate) fn forget_origin(&mut self) {
        // SAFETY: the frame is ours; side data is removed kind by kind through libav.
        unsafe {
            let count = isize::try_from((*self.0).nb_side_data).unwrap_or(0);
            let kinds: Vec<_> = (0..count).map(|at| (**(*self.0).side_data.offset(at)).type_).collect();
            kinds.into_iter().for_each(|kind| ffi::av_frame_remove_side_data(self.0, kind));
            (*self.0).interlaced_frame = 0;
            (*self.0).repeat_pict = 0;
            (*self.0).sample_aspect_ratio = ffi::AVRational { num: 1, den: 1 };
        }
    }

    /// Marks pixels as limited range, as the scaler leaves them.
    pub(crate) fn set_limited_range(&mut self) {
        // SAFETY: see `width`.
        unsafe { (*self.0).color_range = ffi::AVColorRange::AVCOL_RANGE_MPEG };
    }

    /// Samples per channel.
    pub(crate) fn sample_count(&self) -> usize {
        // SAFETY: see `width`.
        usize::try_from(unsafe { (*self.0).nb_samples }).unwrap_or(0)
    }

    pub(crate) fn sample_rate(&self) -> u32 {
        // SAFETY: see `width`.
        u32::try_from(unsafe { (*self.0).sample_rate }).unwrap_or(0)
    }

    pub(crate) fn channels(&self) -> u32 {
        // SAFETY: see `width`.
        u32::try_from(unsafe { (*self.0).ch_layout.nb_channels }).unwrap_or(0)
    }

    /// Copies a packed 24-bit picture without the padding of its rows.
    pub(crate) fn rgb_rows(&self) -> Vec<u8> {
        let (width, height) = (self.width() as usize * 3, self.height() as usize);
        let mut rows = Vec::with_capacity(width * height);
        for row in 0..height {
            // SAFETY: the scaler filled `height` rows of `width` bytes, each `linesize` after the last.
            let line = unsafe {
                let stride = isize::try_from((*self.0).linesize[0]).unwrap_or(0);
                let start = (*self.0).data[0].offset(stride * row.cast_signed());
                std::slice::from_raw_parts(start, width)
            };
            rows.extend_from_slice(line);
        }
        rows
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        // SAFETY: the frame is ours.
        unsafe { ffi::av_frame_free(&raw mut self.0) };
    }
}

/// A piece of coded data from a demuxer or an encoder.
pub(crate) struct Packet(*mut ffi::AVPacket);

// SAFETY: an AVPacket is plain data with atomically counted buffers; it is used by one thread at a time.
unsafe impl Send for Packet {}

impl Packet {
    pub(crate) fn empty() -> Result<Self, AvError> {
        // SAFETY: plain allocation; null is checked.
        let packet = unsafe { ffi::av_packet_alloc() };
        if packet.is_null() { Err(AvError::NO_MEMORY) } else { Ok(Self(packet)) }
    }

    pub(super) fn as_ptr(&self) -> *mut ffi::AVPacket {
        self.0
    }

    pub(crate) fn clear(&mut self) {
        // SAFETY: the packet is ours.
        unsafe { ffi::av_packet_unref(self.0) };
    }

    pub(crate) fn stream_index(&self) -> u32 {
        // SAFETY: the packet is live, as in all accessors below.
        u32::try_from(unsafe { (*self.0).stream_index }).unwrap_or(u32::MAX)
    }

    pub(crate) fn pts(&self) -> Option<i64> {
        // SAFETY: see `stream_index`.
        Some(unsafe { (*self.0).pts }).filter(|time| *time != ffi::AV_NOPTS_VALUE)
    }

    pub(crate) fn dts(&self) -> Option<i64> {
        // SAFETY: see `stream_index`.
        Some(unsafe { (*self.0).dts }).filter(|time| *time != ffi::AV_NOPTS_VALUE)
    }

    /// Where it begins in the file, if the demuxer knows.
    pub(crate) fn position(&self) -> Option<u64> {
        // SAFETY: see `stream_index`.
        u64::try_from(unsafe { (*self.0).pos }).ok()
    }

    /// Adds ticks to its time stamps.
    pub(crate) fn shift(&mut self, ticks: i64) {
        // SAFETY: see `stream_index`.
        let (pts, dts) = unsafe { (&mut (*self.0).pts, &mut (*self.0).dts) };
        for time in [pts, dts] {
            if *time != ffi::AV_NOPTS_VALUE {
                *time = time.saturating_add(ticks);
            }
        }
    }

    /// Drops the presentation time if it lies so far behind the decoding time that it must be wrong.
    pub(crate) fn forget_pts_outside(&mut self, delays: std::ops::RangeInclusive<i64>) {
        if let (Some(pts), Some(dts)) = (self.pts(), self.dts())
            && !delays.contains(&pts.saturating_sub(dts))
        {
            // SAFETY: see `stream_index`.
            unsafe { (*self.0).pts = ffi::AV_NOPTS_VALUE };
        }
    }

    /// A decoder can start here.
    pub(crate) fn is_key(&self) -> bool {
        // SAFETY: see `stream_index`.
        unsafe { (*self.0).flags & ffi::AV_PKT_FLAG_KEY != 0 }
    }

    pub(crate) fn duration(&self) -> i64 {
        // SAFETY: see `stream_index`.
        unsafe { (*self.0).duration }
    }

    /// The packet is decoded but not shown.
    pub(crate) fn is_discarded(&self) -> bool {
        // SAFETY: see `stream_index`.
        unsafe { (*self.0).flags & ffi::AV_PKT_FLAG_DISCARD != 0 }
    }

    /// The demuxer saw that something is missing or broken.
    pub(crate) fn is_corrupt(&self) -> bool {
        // SAFETY: see `stream_index`.
        unsafe { (*self.0).flags & ffi::AV_PKT_FLAG_CORRUPT != 0 }
    }

    /// True if from here on the stream is coded under another configuration than this one.
    pub(crate) fn has_other_config(&self, config: &[u8]) -> bool {
        let kind = ffi::AVPacketSideDataType::AV_PKT_DATA_NEW_EXTRADATA;
        let mut size = 0;
        // SAFETY: libav keeps `size` bytes at `data` while the packet is not changed.
        unsafe {
            let data = ffi::av_packet_get_side_data(self.0, kind, &raw mut size);
            !data.is_null() && std::slice::from_raw_parts(data, size) != config
        }
    }

    pub(crate) fn data(&self) -> &[u8] {
        // SAFETY: libav keeps `size` bytes at `data` while the packet is not changed.
        unsafe {
            let size = usize::try_from((*self.0).size).unwrap_or(0);
            if (*self.0).data.is_null() { &[] } else { std::slice::from_raw_parts((*self.0).data, size) }
        }
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        // SAFETY: the packet is ours.
        unsafe { ffi::av_packet_free(&raw mut self.0) };
    }
}

/// libav's number of the pixel format of this name.
pub(super) fn pixel_format(name: &CStr) -> c_int {
    // SAFETY: a terminated string; unknown names give -1.
    unsafe { ffi::av_get_pix_fmt(name.as_ptr()) as c_int }
}
