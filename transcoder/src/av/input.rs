//! An opened source: streams, packets, index, seeking.
#![expect(unsafe_code, reason = "owner of AVFormatContext and its custom IO")]

use std::ffi::{CStr, c_int, c_void};
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::ptr;
use std::sync::Arc;

use domain::{MediaTime, Timescale};
use ffmpeg_next::ffi;

use super::{AvError, Options, Packet, c_text, check, dictionary_value, text};

/// Buffer between the file and libav.
const IO_BUFFER_BYTES: c_int = 64 << 10;

/// Demuxers that may be used, by libav's names.
const DEMUXERS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,flv,ogg,wav,mp3,flac,aac";

/// Decoders that may be used, by libav's names: what people upload, without the curiosities that make
/// up most of libav's attack surface.
pub(super) const DECODERS: &str = "h264,hevc,libdav1d,av1,vp8,vp9,mpeg1video,mpeg2video,mpegvideo,mpeg4,msmpeg4v1,\
msmpeg4v2,msmpeg4,h263,h263p,flv,wmv1,wmv2,wmv3,vc1,theora,mjpeg,cinepak,svq1,svq3,prores,dnxhd,ffv1,huffyuv,\
ffvhuff,utvideo,rawvideo,qtrle,rpza,dvvideo,cfhd,vp6,vp6f,vp6a,\
aac,aac_latm,ac3,eac3,dca,truehd,mlp,mp1,mp1float,mp2,mp2float,mp3,mp3float,flac,alac,vorbis,opus,\
pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_u8,pcm_s8,pcm_f32le,pcm_f32be,pcm_f64le,pcm_f64be,\
pcm_mulaw,pcm_alaw,pcm_bluray,pcm_dvd,adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,adpcm_swf,amrnb,amrwb,wmav1,wmav2,\
nellymoser,speex,gsm,gsm_ms,\
subrip,srt,ass,ssa,webvtt,mov_text,text";

/// Streams in one source.
const STREAMS_MAX: &str = "64";

/// Bytes that libav may read to understand a source.
const PROBE_BYTES: &str = "33554432";

/// Media time that libav may read to understand a source, in microseconds.
const ANALYZE_US: &str = "10000000";

/// Index entries that are read of one stream: 24 hours at 60 frames a second, with room.
const INDEX_ENTRIES_MAX: c_int = 8_000_000;

/// Chapters that are read of one source.
const CHAPTERS_MAX: u32 = 10_000;

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
    pub(crate) is_text: bool,
    pub(crate) sample_aspect: (i32, i32),
    pub(crate) primaries: Option<String>,
    pub(crate) transfer: Option<String>,
    pub(crate) matrix: Option<String>,
    pub(crate) range: Option<String>,
    pub(crate) is_interlaced: bool,
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
    file: Arc<File>,
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
}

// SAFETY: all pointers are owned, and libav's contexts are not tied to a thread.
unsafe impl Send for Input {}

impl Input {
    /// Opens `file` with the demuxer `format` and no other.
    pub(crate) fn open(file: Arc<File>, format: &str) -> Result<Self, AvError> {
        // By seeking, since the cage has no call that could also look at a path. Reads name their place.
        let size = (&*file).seek(SeekFrom::End(0)).map_err(|_| AvError::INVALID)?;
        let source = Box::into_raw(Box::new(Source { file, position: 0, size }));
        // SAFETY: `source` and `io` are owned by the `Input` from here on, whose drop frees them in order.
        unsafe {
            let mut input = Self { context: ptr::null_mut(), io: ptr::null_mut(), source, selected: Vec::new() };
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
            input.open_context(format)?;
            Ok(input)
        }
    }

    fn open_context(&mut self, format: &str) -> Result<(), AvError> {
        let mut options = Options::new(&[
            ("format_whitelist", DEMUXERS),
            ("codec_whitelist", DECODERS),
            ("protocol_whitelist", ""),
            ("probesize", PROBE_BYTES),
            ("analyzeduration", ANALYZE_US),
            ("max_streams", STREAMS_MAX),
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
            check(ffi::avformat_find_stream_info(self.context, ptr::null_mut()))?;
        }
        Ok(())
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
                is_text: properties & ffi::AV_CODEC_PROP_TEXT_SUB != 0,
                sample_aspect: (aspect.num, aspect.den),
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
                is_interlaced: field_order > ffi::AVFieldOrder::AV_FIELD_PROGRESSIVE as c_int,
                frame_rate: ((*stream).avg_frame_rate.num, (*stream).avg_frame_rate.den),
                display_matrix: display_matrix(stream),
                language: dictionary_value((*stream).metadata, c"language"),
                title: dictionary_value((*stream).metadata, c"title")
                    .or_else(|| dictionary_value((*stream).metadata, c"handler_name").filter(|name| !is_tool(name))),
            })
        }
    }

    /// Codec parameters of stream `index`, for a decoder.
    pub(super) fn parameters(&self, index: u32) -> Option<(*const ffi::AVCodecParameters, ffi::AVRational)> {
        // SAFETY: the stream lives as long as `self`.
        self.stream(index).map(|stream| unsafe { ((*stream).codecpar.cast_const(), (*stream).time_base) })
    }

    /// The chapters, in the container's order.
    pub(crate) fn chapters(&self) -> Vec<ChapterInfo> {
        // SAFETY: the context is open; the array holds `nb_chapters` pointers.
        unsafe {
            let count = (*self.context).nb_chapters.min(CHAPTERS_MAX);
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
    pub(crate) fn read(&mut self, packet: &mut Packet) -> Result<bool, AvError> {
        loop {
            // Ends with a packet, or at the end of the source.
            packet.clear();
            // SAFETY: both are live and ours.
            match check(unsafe { ffi::av_read_frame(self.context, packet.as_ptr()) }) {
                // Packets that libav read ahead to understand the source come out whatever was selected.
                Ok(_) if self.selected.is_empty() || self.selected.contains(&packet.stream_index()) => return Ok(true),
                Ok(_) => {}
                Err(AvError::EOF) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    /// Moves to a place from which stream `index` can be decoded, at or before `ticks` if possible.
    pub(crate) fn seek(&mut self, index: u32, ticks: i64) -> Result<(), AvError> {
        let index = c_int::try_from(index).map_err(|_| AvError::INVALID)?;
        // SAFETY: the context is open.
        check(unsafe { ffi::av_seek_frame(self.context, index, ticks, ffi::AVSEEK_FLAG_BACKWARD) }).map(|_| ())
    }

    /// The container's index of stream `index`, in the container's order; bounded.
    pub(crate) fn index(&self, index: u32) -> Vec<IndexEntry> {
        let Some(stream) = self.stream(index) else { return Vec::new() };
        // SAFETY: the stream lives as long as `self`; entries are read one by one before anything changes them.
        unsafe {
            let count = ffi::avformat_index_get_entries_count(stream).min(INDEX_ENTRIES_MAX);
            let entry = |at: c_int| {
                let entry = ffi::avformat_index_get_entry(stream, at);
                (!entry.is_null()).then(|| IndexEntry {
                    position: (*entry).pos,
                    timestamp: (*entry).timestamp,
                    size: u64::try_from((*entry).size()).unwrap_or(0),
                    is_discarded: (*entry).flags() & ffi::AVINDEX_DISCARD_FRAME != 0,
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

/// Names that encoders write where a title belongs.
fn is_tool(name: &str) -> bool {
    let lower = name.to_lowercase();
    name.trim().is_empty()
        || ["handler", "isomedia", "core media", "mainconcept", "gpac", "mp4", "google", "l-smash"]
            .iter()
            .any(|tool| lower.contains(tool))
}
