//! An opened source: streams, packets, index, seeking.
#![expect(unsafe_code, reason = "owner of AVFormatContext and its custom IO")]

mod jumps;

use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::Arc;

use domain::probe::FieldOrder;
use domain::{MediaTime, Resolution, Timescale, probe};
use ffmpeg_next::ffi;

use super::{AvError, Options, Packet, c_text, check, dictionary_value, light, text};
use crate::cage::policy;
use crate::source_file::SourceFile;
use jumps::Shifts;

/// Buffer between the file and libav.
const IO_BUFFER_BYTES: c_int = 64 << 10;

/// What a stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamKind {
    Video,
    Audio,
    Subtitle,
    Other,
}

/// What the container says of a stream.
#[derive(Clone, Debug)]
pub(crate) struct StreamInfo {
    pub(crate) index: u32,
    pub(crate) kind: StreamKind,
    pub(crate) codec: String,
    pub(crate) time_base: TimeBase,
    pub(crate) is_attached_picture: bool,
    pub(crate) is_default: bool,
    pub(crate) is_forced: bool,
    pub(crate) is_sdh: bool,
    pub(crate) is_text: bool,
    /// Size of a picture as the container or the codec's header states it; zeros if neither does.
    pub(crate) coded: Resolution,
    pub(crate) sample_aspect: (i32, i32),
    /// The container states the sample aspect, whatever the pictures say.
    pub(crate) is_aspect_fixed: bool,
    pub(crate) primaries: Option<String>,
    pub(crate) transfer: Option<String>,
    pub(crate) matrix: Option<String>,
    pub(crate) range: Option<String>,
    /// What the container or the head of the stream says, which may be wrong.
    pub(crate) field_order: FieldOrder,
    pub(crate) peak_nits: Option<u32>,
    /// The profile of a Dolby Vision stream without pictures that others can show.
    pub(crate) dolby_only: Option<u8>,
    pub(crate) frame_rate: (i32, i32),
    pub(crate) display_matrix: Option<[i32; 9]>,
    pub(crate) language: Option<String>,
    pub(crate) title: Option<String>,
}

/// Seconds per tick, as a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeBase {
    pub(crate) num: u32,
    pub(crate) den: u32,
}

impl TimeBase {
    fn of(rational: ffi::AVRational) -> Self {
        let part = |value: c_int| u32::try_from(value).ok().filter(|value| *value > 0).unwrap_or(1);
        Self { num: part(rational.num), den: part(rational.den) }
    }

    /// The instant of `ticks`.
    pub(crate) fn time(self, ticks: i64) -> MediaTime {
        let scale = Timescale::new(self.den).unwrap_or(Timescale::MILLISECONDS);
        MediaTime::new(ticks.saturating_mul(i64::from(self.num)), scale)
    }

    /// The tick at or before `time`; saturates.
    pub(crate) fn ticks_floor(self, time: MediaTime) -> i64 {
        let scaled = i128::from(time.ticks) * i128::from(self.den);
        let ticks = scaled.div_euclid(i128::from(time.scale.per_second()) * i128::from(self.num));
        i64::try_from(ticks).unwrap_or(if ticks < 0 { i64::MIN + 1 } else { i64::MAX })
    }
}

/// One entry of a container's index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexEntry {
    pub(crate) position: i64,
    pub(crate) timestamp: i64,
    pub(crate) size: u64,
    pub(crate) is_discarded: bool,
    pub(crate) is_key: bool,
}

/// A chapter as the container states it.
#[derive(Clone, Debug)]
pub(crate) struct ChapterInfo {
    pub(crate) start: MediaTime,
    pub(crate) end: MediaTime,
    pub(crate) title: String,
}

/// What libav's callbacks read from.
struct Source {
    file: Arc<SourceFile>,
    position: u64,
    size: u64,
}

/// An opened source.
pub(crate) struct Input {
    context: *mut ffi::AVFormatContext,
    io: *mut ffi::AVIOContext,
    source: *mut Source,
    /// The streams whose packets are read; empty for all.
    selected: Vec<u32>,
    /// Most pixels of a picture that is decoded.
    pixels_max: u64,
    shifts: Shifts,
}

// SAFETY: all pointers are owned, and libav's contexts are not tied to a thread.
unsafe impl Send for Input {}

impl Input {
    /// Opens `file` with the demuxer `format` and no other; pictures of more than `pixels_max` are not decoded.
    pub(crate) fn open(file: Arc<SourceFile>, format: &str, pixels_max: u64) -> Result<Self, AvError> {
        let size = file.size().map_err(|_| AvError::UNREADABLE)?;
        let source = Box::into_raw(Box::new(Source { file, position: 0, size }));
        // SAFETY: `source` and `io` are owned by the `Input` from here on, whose drop frees them in order.
        unsafe {
            let mut input = Self {
                context: ptr::null_mut(),
                io: ptr::null_mut(),
                source,
                selected: Vec::new(),
                pixels_max,
                shifts: Shifts::default(),
            };
            let buffer = ffi::av_malloc(usize::try_from(IO_BUFFER_BYTES).unwrap_or(0)).cast::<u8>();
            if buffer.is_null() {
                return Err(AvError::NO_MEMORY);
            }
            let opaque = source.cast::<c_void>();
            input.io = ffi::avio_alloc_context(buffer, IO_BUFFER_BYTES, 0, opaque, Some(read), None, Some(seek));
            input.context = ffi::avformat_alloc_context();
            if input.io.is_null() || input.context.is_null() {
                return Err(AvError::NO_MEMORY);
            }
            (*input.context).pb = input.io;
            (*input.context).flags |= ffi::AVFMT_FLAG_CUSTOM_IO;
            // Whatever a demuxer wants to open besides the source does not exist.
            (*input.context).io_open = Some(open_nothing);
            let opened = input.open_context(format);
            input.unless_unreadable(opened)?;
            Ok(input)
        }
    }

    fn open_context(&mut self, format: &str) -> Result<(), AvError> {
        let mut options = Options::new(&[
            ("format_whitelist", policy::DEMUXERS),
            ("codec_whitelist", policy::DECODERS),
            ("protocol_whitelist", policy::PROTOCOLS),
            ("probesize", &policy::PROBE_BYTES.to_string()),
            ("analyzeduration", &policy::ANALYZE_US.to_string()),
            ("max_streams", &probe::TRACKS_MAX.to_string()),
        ]);
        let format = c_text(format);
        // SAFETY: the context is ours; on failure libav frees it and sets the pointer to null.
        unsafe {
            let demuxer = ffi::av_find_input_format(format.as_ptr());
            if demuxer.is_null() {
                return Err(AvError(ffi::AVERROR_DEMUXER_NOT_FOUND));
            }
            let opened =
                ffi::avformat_open_input(&raw mut self.context, ptr::null(), demuxer.cast_mut(), &raw mut options.0);
            check(opened)?;
            if options.left_over().is_some() {
                // A limit that libav does not know is a limit that does not hold.
                return Err(AvError(ffi::AVERROR_OPTION_NOT_FOUND));
            }
            // One set for each stream known by now, since libav decodes some frames to understand them.
            let pixels_max = self.pixels_max.to_string();
            let mut each: Vec<Options> =
                (0..self.stream_count()).map(|_| Options::new(&[("max_pixels", &pixels_max)])).collect();
            check(ffi::avformat_find_stream_info(self.context, each.as_mut_ptr().cast()))?;
        }
        Ok(())
    }

    /// `result`, unless the source could not be read: then whatever libav made of it counts for nothing.
    fn unless_unreadable<T>(&self, result: Result<T, AvError>) -> Result<T, AvError> {
        // SAFETY: the source lives as long as `self`.
        if unsafe { (*self.source).file.has_failed() } { Err(AvError::UNREADABLE) } else { result }
    }

    /// Most pixels of a picture that is decoded.
    pub(super) fn pixels_max(&self) -> u64 {
        self.pixels_max
    }

    /// Length of the source.
    pub(crate) fn size(&self) -> u64 {
        // SAFETY: the source lives as long as `self`.
        unsafe { (*self.source).size }
    }

    fn stream(&self, index: u32) -> Option<*mut ffi::AVStream> {
        // SAFETY: the context is open; the array holds `nb_streams` pointers.
        unsafe { (index < (*self.context).nb_streams).then(|| *(*self.context).streams.add(index as usize)) }
    }

    pub(crate) fn stream_count(&self) -> u32 {
        // SAFETY: the context is open.
        unsafe { (*self.context).nb_streams }
    }

    /// What the container says of stream `index`.
    pub(crate) fn stream_info(&self, index: u32) -> Option<StreamInfo> {
        let stream = self.stream(index)?;
        // SAFETY: the stream and its parameters live as long as `self`.
        unsafe {
            let parameters = (*stream).codecpar;
            let kind = match (*parameters).codec_type {
                ffi::AVMediaType::AVMEDIA_TYPE_VIDEO => StreamKind::Video,
                ffi::AVMediaType::AVMEDIA_TYPE_AUDIO => StreamKind::Audio,
                ffi::AVMediaType::AVMEDIA_TYPE_SUBTITLE => StreamKind::Subtitle,
                _ => StreamKind::Other,
            };
            let descriptor = ffi::avcodec_descriptor_get((*parameters).codec_id);
            let properties = if descriptor.is_null() { 0 } else { (*descriptor).props };
            let aspect = if (*stream).sample_aspect_ratio.num > 0 {
                (*stream).sample_aspect_ratio
            } else {
                (*parameters).sample_aspect_ratio
            };
            let disposition = |flag: c_int| (*stream).disposition & flag != 0;
            let field_order = (&raw const (*parameters).field_order).cast::<c_int>().read();
            Some(StreamInfo {
                index,
                kind,
                codec: text(ffi::avcodec_get_name((*parameters).codec_id)).unwrap_or_default(),
                time_base: TimeBase::of((*stream).time_base),
                is_attached_picture: disposition(ffi::AV_DISPOSITION_ATTACHED_PIC)
                    || disposition(ffi::AV_DISPOSITION_TIMED_THUMBNAILS),
                is_default: disposition(ffi::AV_DISPOSITION_DEFAULT),
                is_forced: disposition(ffi::AV_DISPOSITION_FORCED),
                is_sdh: disposition(ffi::AV_DISPOSITION_HEARING_IMPAIRED),
                is_text: properties & ffi::AV_CODEC_PROP_TEXT_SUB != 0,
                coded: Resolution {
                    width: u32::try_from((*parameters).width).unwrap_or(0),
                    height: u32::try_from((*parameters).height).unwrap_or(0),
                },
                sample_aspect: (aspect.num, aspect.den),
                is_aspect_fixed: (*stream).sample_aspect_ratio.num > 0,
                primaries: color_name(
                    (&raw const (*parameters).color_primaries).cast(),
                    ffi::AVColorPrimaries::AVCOL_PRI_NB as c_int,
                    |value| ffi::av_color_primaries_name(std::mem::transmute::<c_int, ffi::AVColorPrimaries>(value)),
                ),
                transfer: color_name(
                    (&raw const (*parameters).color_trc).cast(),
                    ffi::AVColorTransferCharacteristic::AVCOL_TRC_NB as c_int,
                    |value| {
                        ffi::av_color_transfer_name(std::mem::transmute::<c_int, ffi::AVColorTransferCharacteristic>(
                            value,
                        ))
                    },
                ),
                matrix: color_name(
                    (&raw const (*parameters).color_space).cast(),
                    ffi::AVColorSpace::AVCOL_SPC_NB as c_int,
                    |value| ffi::av_color_space_name(std::mem::transmute::<c_int, ffi::AVColorSpace>(value)),
                ),
                range: color_name(
                    (&raw const (*parameters).color_range).cast(),
                    ffi::AVColorRange::AVCOL_RANGE_NB as c_int,
                    |value| ffi::av_color_range_name(std::mem::transmute::<c_int, ffi::AVColorRange>(value)),
                ),
                field_order: order_of(field_order),
                peak_nits: light::stream_peak(stream),
                dolby_only: light::dolby_only(stream),
                frame_rate: ((*stream).avg_frame_rate.num, (*stream).avg_frame_rate.den),
                display_matrix: display_matrix(stream),
                language: dictionary_value((*stream).metadata, c"language"),
                title: dictionary_value((*stream).metadata, c"title")
                    .or_else(|| dictionary_value((*stream).metadata, c"handler_name").filter(|name| !is_tool(name))),
            })
        }
    }

    fn stream_time_base(&self, index: u32) -> Option<TimeBase> {
        // SAFETY: the stream lives as long as `self`.
        self.stream(index).map(|stream| unsafe { TimeBase::of((*stream).time_base) })
    }

    /// Codec parameters of stream `index`, for a decoder.
    pub(super) fn parameters(&self, index: u32) -> Option<(*const ffi::AVCodecParameters, ffi::AVRational)> {
        // SAFETY: the stream lives as long as `self`.
        self.stream(index).map(|stream| unsafe { ((*stream).codecpar.cast_const(), (*stream).time_base) })
    }

    /// What the container, or libav in its place, keeps of a stream for its decoder.
    pub(crate) fn extradata(&self, index: u32) -> Vec<u8> {
        let Some((parameters, _)) = self.parameters(index) else { return Vec::new() };
        // SAFETY: libav keeps `extradata_size` bytes there while the stream lives; they are copied at once.
        unsafe {
            let size = usize::try_from((*parameters).extradata_size).unwrap_or(0);
            let start = (*parameters).extradata;
            if start.is_null() { Vec::new() } else { std::slice::from_raw_parts(start, size).to_vec() }
        }
    }

    /// The chapters, in the container's order.
    pub(crate) fn chapters(&self) -> Vec<ChapterInfo> {
        // SAFETY: the context is open; the array holds `nb_chapters` pointers.
        unsafe {
            let count = (*self.context).nb_chapters.min(u32::try_from(probe::CHAPTERS_MAX).unwrap_or(u32::MAX));
            let chapter = |at: u32| {
                let chapter = *(*self.context).chapters.add(at as usize);
                let base = TimeBase::of((*chapter).time_base);
                let title = dictionary_value((*chapter).metadata, c"title").unwrap_or_default();
                ChapterInfo { start: base.time((*chapter).start), end: base.time((*chapter).end), title }
            };
            (0..count).map(chapter).collect()
        }
    }

    /// A text of the container's metadata.
    pub(crate) fn metadata(&self, key: &CStr) -> Option<String> {
        // SAFETY: the context is open.
        unsafe { dictionary_value((*self.context).metadata, key) }
    }

    /// Lets the demuxer drop the packets of all streams but these.
    pub(crate) fn select(&mut self, indices: &[u32]) {
        self.selected = indices.to_vec();
        for index in 0..self.stream_count() {
            let discard = if indices.contains(&index) {
                ffi::AVDiscard::AVDISCARD_DEFAULT
            } else {
                ffi::AVDiscard::AVDISCARD_ALL
            };
            if let Some(stream) = self.stream(index) {
                // SAFETY: the stream lives as long as `self`.
                unsafe { (*stream).discard = discard };
            }
        }
    }

    /// Reads the next packet; `false` at the end of the source.
    ///
    /// Once the source could not be read, this fails for good with [`AvError::UNREADABLE`]: libav takes
    /// such a place for damage, and gives what it has of a packet as if it were all.
    pub(crate) fn read(&mut self, packet: &mut Packet) -> Result<bool, AvError> {
        loop {
            // Ends with a packet, or at the end of the source.
            packet.clear();
            // SAFETY: both are live and ours.
            let read = check(unsafe { ffi::av_read_frame(self.context, packet.as_ptr()) });
            match self.unless_unreadable(read) {
                // Packets that libav read ahead to understand the source come out whatever was selected.
                Ok(_) if self.selected.is_empty() || self.selected.contains(&packet.stream_index()) => {
                    self.put_right(packet);
                    return Ok(true);
                }
                Ok(_) => {}
                Err(AvError::EOF) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    /// Moves to a place from which stream `index` can be decoded, at or before `ticks` if possible.
    pub(crate) fn seek(&mut self, index: u32, ticks: i64) -> Result<(), AvError> {
        if self.has_places() {
            return self.seek_by_places(index, ticks);
        }
        if self.is_corrected(index) {
            return Err(AvError::INVALID);
        }
        let index = c_int::try_from(index).map_err(|_| AvError::INVALID)?;
        // SAFETY: the context is open.
        check(unsafe { ffi::av_seek_frame(self.context, index, ticks, ffi::AVSEEK_FLAG_BACKWARD) }).map(|_| ())
    }

    /// The container's index of stream `index`, in the container's order; bounded.
    pub(crate) fn index(&self, index: u32) -> Vec<IndexEntry> {
        let Some(stream) = self.stream(index) else { return Vec::new() };
        // SAFETY: the stream lives as long as `self`; entries are read one by one before anything changes them.
        unsafe {
            let count = ffi::avformat_index_get_entries_count(stream);
            let count = count.min(c_int::try_from(policy::INDEX_ENTRIES_MAX).unwrap_or(c_int::MAX));
            let entry = |at: c_int| {
                let entry = ffi::avformat_index_get_entry(stream, at);
                (!entry.is_null()).then(|| IndexEntry {
                    position: (*entry).pos,
                    timestamp: (*entry).timestamp,
                    size: u64::try_from((*entry).size()).unwrap_or(0),
                    is_discarded: (*entry).flags() & ffi::AVINDEX_DISCARD_FRAME != 0,
                    is_key: (*entry).flags() & ffi::AVINDEX_KEYFRAME != 0,
                })
            };
            (0..count).filter_map(entry).collect()
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // SAFETY: libav does not free custom IO; all three are ours and freed once, in this order.
        unsafe {
            ffi::avformat_close_input(&raw mut self.context);
            if !self.io.is_null() {
                ffi::av_freep((&raw mut (*self.io).buffer).cast());
                ffi::avio_context_free(&raw mut self.io);
            }
            drop(Box::from_raw(self.source));
        }
    }
}

/// Reads from the source for libav.
unsafe extern "C" fn read(opaque: *mut c_void, buffer: *mut u8, length: c_int) -> c_int {
    // SAFETY: `opaque` is the boxed source.
    let is_at_end = unsafe { (*opaque.cast::<Source>()).position >= (*opaque.cast::<Source>()).size };
    if is_at_end {
        // The buffer must stay as it is: libav may go back to what it still holds.
        return ffi::AVERROR_EOF;
    }
    // SAFETY: `opaque` is the boxed source; libav owns `length` bytes at `buffer`, which are set to
    // zero before they are seen as a slice.
    let (source, buffer) = unsafe {
        let length = usize::try_from(length).unwrap_or(0);
        ptr::write_bytes(buffer, 0, length);
        (&mut *opaque.cast::<Source>(), std::slice::from_raw_parts_mut(buffer, length))
    };
    match source.file.read_at(buffer, source.position) {
        Ok(0) => ffi::AVERROR_EOF,
        Ok(length) => {
            source.position = source.position.saturating_add(u64::try_from(length).unwrap_or(0));
            c_int::try_from(length).unwrap_or(0)
        }
        Err(_) => ffi::AVERROR(libc::EIO),
    }
}

/// Moves in the source for libav.
unsafe extern "C" fn seek(opaque: *mut c_void, offset: i64, whence: c_int) -> i64 {
    // SAFETY: `opaque` is the boxed source.
    let source = unsafe { &mut *opaque.cast::<Source>() };
    let size = i64::try_from(source.size).unwrap_or(i64::MAX);
    let current = i64::try_from(source.position).unwrap_or(i64::MAX);
    let target = match whence & !ffi::AVSEEK_FORCE {
        ffi::AVSEEK_SIZE => return size,
        libc::SEEK_SET => Some(offset),
        libc::SEEK_CUR => current.checked_add(offset),
        libc::SEEK_END => size.checked_add(offset),
        _ => None,
    };
    match target.and_then(|target| u64::try_from(target).ok()) {
        Some(position) => {
            source.position = position;
            i64::try_from(position).unwrap_or(i64::MAX)
        }
        None => i64::from(ffi::AVERROR(libc::EINVAL)),
    }
}

/// Refuses to open anything besides the source.
unsafe extern "C" fn open_nothing(
    _context: *mut ffi::AVFormatContext,
    _io: *mut *mut ffi::AVIOContext,
    _url: *const std::ffi::c_char,
    _flags: c_int,
    _options: *mut *mut ffi::AVDictionary,
) -> c_int {
    ffi::AVERROR(libc::EPERM)
}

/// The name of a colour property, read as a number since hostile files may hold any.
///
/// # Safety
/// `value` points to a live number; `name` accepts every number from 0 below `end`.
unsafe fn color_name(
    value: *const c_int,
    end: c_int,
    name: impl FnOnce(c_int) -> *const std::ffi::c_char,
) -> Option<String> {
    // SAFETY: the caller's promise.
    let value = unsafe { value.read() };
    let known = (0..end).contains(&value);
    // SAFETY: libav's names are static strings.
    let name = known.then(|| name(value)).and_then(|name| unsafe { text(name) });
    name.filter(|name| !matches!(name.as_str(), "unknown" | "reserved" | "unspecified"))
}

/// # Safety
/// `stream` is live.
unsafe fn display_matrix(stream: *const ffi::AVStream) -> Option<[i32; 9]> {
    // SAFETY: the side data belongs to the stream and is copied out at once.
    unsafe {
        let mut size = 0;
        let kind = ffi::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX;
        let data = ffi::av_stream_get_side_data(stream, kind, &raw mut size);
        if data.is_null() || size < 36 {
            return None;
        }
        let mut matrix = [0i32; 9];
        ptr::copy_nonoverlapping(data, matrix.as_mut_ptr().cast::<u8>(), 36);
        Some(matrix)
    }
}

/// The field that is shown first, of libav's number.
fn order_of(order: c_int) -> FieldOrder {
    let is = |known: ffi::AVFieldOrder| order == known as c_int;
    if is(ffi::AVFieldOrder::AV_FIELD_TT) || is(ffi::AVFieldOrder::AV_FIELD_BT) {
        FieldOrder::TopFirst
    } else if is(ffi::AVFieldOrder::AV_FIELD_BB) || is(ffi::AVFieldOrder::AV_FIELD_TB) {
        FieldOrder::BottomFirst
    } else {
        FieldOrder::Progressive
    }
}

/// Names that encoders write where a title belongs.
fn is_tool(name: &str) -> bool {
    let lower = name.to_lowercase();
    name.trim().is_empty()
        || ["handler", "isomedia", "core media", "mainconcept", "gpac", "mp4", "google", "l-smash"]
            .iter()
            .any(|tool| lower.contains(tool))
}
