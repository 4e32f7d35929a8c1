//! Encoders of pictures (x264, x265, SVT-AV1) and of sound (AAC).
#![expect(unsafe_code, reason = "owner of AVCodecContext")]

use std::ffi::{CStr, c_int};
use std::ptr;

use domain::{Bitrate, Codec, FrameRate, Resolution};
use ffmpeg_next::ffi;

use super::frame::pixel_format;
use super::{AvError, Decoder, Frame, Options, Packet, c_text, check};

/// How x264's note about itself begins.
const X264_NAME: &[u8] = b"x264 - ";

/// Longest version that is looked for.
const X264_VERSION_BYTES_MAX: usize = 60;

/// Everything that decides an encoder's output besides the pictures.
#[derive(Clone, Debug)]
pub(crate) struct VideoSettings {
    pub(crate) codec: Codec,
    pub(crate) resolution: Resolution,
    pub(crate) frame_rate: FrameRate,
    /// Frames of the longest GOP.
    pub(crate) gop_frames_max: u32,
    pub(crate) preset: String,
    pub(crate) crf: u8,
    pub(crate) threads: u8,
    pub(crate) bitrate_max: Bitrate,
    pub(crate) level: u8,
    /// Names of primaries, transfer and matrix as x264 knows them.
    pub(crate) color: [String; 3],
}

/// A codec context that takes frames and gives packets.
pub(super) struct Encoder(*mut ffi::AVCodecContext);

// SAFETY: owned, and not tied to a thread.
unsafe impl Send for Encoder {}

impl Encoder {
    /// An encoder that `prepare` fills in before it is opened.
    ///
    /// # Safety
    /// `prepare` only sets plain fields of the context.
    pub(super) unsafe fn open(
        name: &CStr,
        options: &[(&str, &str)],
        prepare: impl FnOnce(&mut ffi::AVCodecContext),
    ) -> Result<Self, AvError> {
        let mut options = Options::new(options);
        // SAFETY: the context is ours; null is checked before it is used.
        unsafe {
            let codec = ffi::avcodec_find_encoder_by_name(name.as_ptr());
            if codec.is_null() {
                return Err(AvError(ffi::AVERROR_ENCODER_NOT_FOUND));
            }
            let encoder = Self(ffi::avcodec_alloc_context3(codec));
            let context = encoder.0.as_mut().ok_or(AvError::NO_MEMORY)?;
            // Parameter sets go into the init segment; nothing names the encoder's version.
            context.flags |= (ffi::AV_CODEC_FLAG_GLOBAL_HEADER | ffi::AV_CODEC_FLAG_BITEXACT).cast_signed();
            prepare(context);
            check(ffi::avcodec_open2(encoder.0, codec, &raw mut options.0))?;
            if options.left_over().is_some() {
                return Err(AvError(ffi::AVERROR_OPTION_NOT_FOUND));
            }
            Ok(encoder)
        }
    }

    pub(super) fn send(&mut self, frame: Option<&Frame>) -> Result<(), AvError> {
        // SAFETY: both are live; libav takes its own reference.
        check(unsafe { ffi::avcodec_send_frame(self.0, frame.map_or(ptr::null(), |frame| frame.as_ptr())) }).map(|_| ())
    }

    pub(super) fn receive(&mut self, packet: &mut Packet) -> Result<Option<()>, AvError> {
        // SAFETY: both are live; libav clears the packet first.
        match check(unsafe { ffi::avcodec_receive_packet(self.0, packet.as_ptr()) }) {
            Ok(_) => Ok(Some(())),
            Err(AvError::AGAIN | AvError::EOF) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn extradata(&self) -> &[u8] {
        // SAFETY: libav keeps `extradata_size` bytes there while the context is open.
        unsafe {
            let size = usize::try_from((*self.0).extradata_size).unwrap_or(0);
            if (*self.0).extradata.is_null() { &[] } else { std::slice::from_raw_parts((*self.0).extradata, size) }
        }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: the context is ours.
        unsafe { ffi::avcodec_free_context(&raw mut self.0) };
    }
}

/// libav's name of the encoder of this codec.
pub(super) fn name(codec: Codec) -> &'static CStr {
    match codec {
        Codec::H264 => c"libx264",
        Codec::Hevc => c"libx265",
        Codec::Av1 => c"libsvtav1",
    }
}

/// An encoder of pictures for one segment, or one GOP.
pub(crate) struct VideoEncoder {
    encoder: Encoder,
}

impl VideoEncoder {
    pub(crate) fn open(settings: &VideoSettings) -> Result<Self, AvError> {
        let options = match settings.codec {
            Codec::H264 => x264_options(settings),
            Codec::Hevc => x265_options(settings),
            Codec::Av1 => svt_options(settings),
        };
        let options: Vec<(&str, &str)> = options.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let side = |pixels: u32| c_int::try_from(pixels).unwrap_or(0);
        let (num, den) = (side(settings.frame_rate.num()), side(settings.frame_rate.den()));
        let gop = side(settings.gop_frames_max);
        // SAFETY: only plain fields are set.
        let encoder = unsafe {
            Encoder::open(name(settings.codec), &options, |context| {
                context.width = side(settings.resolution.width);
                context.height = side(settings.resolution.height);
                context.pix_fmt = ffi::AVPixelFormat::AV_PIX_FMT_YUV420P;
                // One tick is one frame.
                context.time_base = ffi::AVRational { num: den, den: num };
                context.framerate = ffi::AVRational { num, den };
                context.sample_aspect_ratio = ffi::AVRational { num: 1, den: 1 };
                context.gop_size = gop;
                context.keyint_min = gop;
                context.color_range = ffi::AVColorRange::AVCOL_RANGE_MPEG;
                if settings.codec == Codec::H264 {
                    context.max_b_frames = 3;
                    context.thread_count = c_int::from(settings.threads);
                    context.flags |= ffi::AV_CODEC_FLAG_CLOSED_GOP.cast_signed();
                }
                if settings.codec == Codec::Av1 {
                    let [primaries, transfer, matrix] = settings.color.each_ref().map(|name| c_text(name));
                    set_color(context, &primaries, &transfer, &matrix);
                }
            })?
        };
        Ok(Self { encoder })
    }

    /// Whatever the encoder puts before the stream: NAL units with start codes, or OBUs.
    pub(crate) fn headers(&self) -> &[u8] {
        self.encoder.extradata()
    }

    /// A decoder for what comes out.
    pub(crate) fn decoder(&self) -> Result<Decoder, AvError> {
        // SAFETY: the context is open as long as this encoder lives.
        unsafe { Decoder::of_encoder(self.encoder.0) }
    }

    /// Encodes frame number `display` of the segment; with `begins_gop` as an IDR picture.
    pub(crate) fn send(&mut self, frame: &mut Frame, display: u32, begins_gop: bool) -> Result<(), AvError> {
        frame.forget_origin();
        frame.set_pts(i64::from(display));
        frame.set_key(begins_gop);
        self.encoder.send(Some(frame))
    }

    /// No more frames come.
    pub(crate) fn finish(&mut self) -> Result<(), AvError> {
        self.encoder.send(None)
    }

    /// The next coded frame in decode order, with the frame's number as its time.
    pub(crate) fn receive(&mut self, packet: &mut Packet) -> Result<Option<()>, AvError> {
        self.encoder.receive(packet)
    }
}

/// Gives the first picture of a stream as many bits as x264 gives every other IDR picture.
///
/// x264 makes an I picture finer by `ipratio`, 1.4, unless it is the first or comes after another one; so the first
/// picture of every segment, of an encoder of its own, was coarser by 2.9 QP (ADR 29). Without macroblock-tree analysis
/// the first picture has its share already, and there x264 does not look at the zone.
const FIRST_PICTURE_ZONE: &str = "0,0,b=1.4";

fn x264_options(settings: &VideoSettings) -> Vec<(&'static str, String)> {
    let kbit = (settings.bitrate_max.0 / 1000).max(1);
    let gop = settings.gop_frames_max;
    let [primaries, transfer, matrix] = &settings.color;
    let parameters = format!(
        "keyint={gop}:min-keyint={gop}:scenecut=0:open-gop=0:force-cfr=1:stitchable=1:sliced-threads=0:bframes=3:\
         b-pyramid=none:vbv-maxrate={kbit}:vbv-bufsize={}:vbv-init=0.5:nal-hrd=none:aud=0:threads={}:\
         zones={FIRST_PICTURE_ZONE}:\
         colorprim={primaries}:transfer={transfer}:colormatrix={matrix}:range=tv",
        kbit * 2,
        settings.threads
    );
    vec![
        ("preset", settings.preset.clone()),
        ("crf", settings.crf.to_string()),
        ("profile", "high".into()),
        ("level", settings.level.to_string()),
        ("forced-idr", "1".into()),
        ("x264-params", parameters),
    ]
}

/// One thread, so that the same pictures give the same bytes: neither a pool nor several pictures at once.
fn x265_options(settings: &VideoSettings) -> Vec<(&'static str, String)> {
    let kbit = (settings.bitrate_max.0 / 1000).max(1);
    let gop = settings.gop_frames_max;
    let [primaries, transfer, matrix] = &settings.color;
    let parameters = format!(
        "keyint={gop}:min-keyint={gop}:scenecut=0:open-gop=0:bframes=3:b-pyramid=0:radl=0:vbv-maxrate={kbit}:\
         vbv-bufsize={}:vbv-init=0.5:hrd=0:aud=0:repeat-headers=0:info=0:pools=none:frame-threads=1:wpp=0:pmode=0:\
         pme=0:colorprim={primaries}:transfer={transfer}:colormatrix={matrix}:range=limited:log-level=error",
        kbit * 2
    );
    vec![
        ("preset", settings.preset.clone()),
        ("crf", settings.crf.to_string()),
        ("profile", "main".into()),
        ("forced-idr", "1".into()),
        ("x265-params", parameters),
    ]
}

/// Capped like the others by a buffer of two seconds.
fn svt_options(settings: &VideoSettings) -> Vec<(&'static str, String)> {
    let kbit = (settings.bitrate_max.0 / 1000).max(1);
    // One GOP per encoder, and no other key frame in it.
    let parameters = format!("lp=1:keyint=-1:irefresh-type=2:scd=0:mbr={kbit}");
    vec![("preset", settings.preset.clone()), ("crf", settings.crf.to_string()), ("svtav1-params", parameters)]
}

/// Tags the pictures, by x264's names, which are libav's.
///
/// # Safety
/// None of its own: plain fields of a context that is not open.
unsafe fn set_color(context: &mut ffi::AVCodecContext, primaries: &CStr, transfer: &CStr, matrix: &CStr) {
    // SAFETY: terminated strings; what is not known is left as it is. Numbers that libav gives are its own.
    unsafe {
        let primaries = ffi::av_color_primaries_from_name(primaries.as_ptr());
        if primaries >= 0 {
            context.color_primaries = std::mem::transmute::<c_int, ffi::AVColorPrimaries>(primaries);
        }
        let transfer = ffi::av_color_transfer_from_name(transfer.as_ptr());
        if transfer >= 0 {
            context.color_trc = std::mem::transmute::<c_int, ffi::AVColorTransferCharacteristic>(transfer);
        }
        let matrix = ffi::av_color_space_from_name(matrix.as_ptr());
        if matrix >= 0 {
            context.colorspace = std::mem::transmute::<c_int, ffi::AVColorSpace>(matrix);
        }
    }
}

/// What x264 calls itself, from the note it puts before the first picture of a stream.
///
/// It says so nowhere else: the smallest picture there is is encoded for it.
pub(super) fn x264_version() -> Option<String> {
    let settings = VideoSettings {
        codec: Codec::H264,
        resolution: Resolution { width: 16, height: 16 },
        frame_rate: FrameRate::new(25, 1)?,
        gop_frames_max: 1,
        preset: "ultrafast".into(),
        crf: 51,
        threads: 1,
        bitrate_max: Bitrate(400_000),
        level: 10,
        color: ["bt709", "bt709", "bt709"].map(str::to_owned),
    };
    let mut encoder = VideoEncoder::open(&settings).ok()?;
    let mut frame = Frame::picture(pixel_format(c"yuv420p"), 16, 16).ok()?;
    frame.blacken();
    encoder.send(&mut frame, 0, true).ok()?;
    encoder.finish().ok()?;
    let mut packet = Packet::empty().ok()?;
    encoder.receive(&mut packet).ok()??;
    // "x264 - core 164 r3095 baee400 - H.264/MPEG-4 AVC codec - ..."
    let data = packet.data();
    let at = data.windows(X264_NAME.len()).position(|bytes| bytes == X264_NAME)?;
    let rest = &data[at + X264_NAME.len()..];
    let end = rest.windows(3).take(X264_VERSION_BYTES_MAX).position(|bytes| bytes == b" - ")?;
    let version = std::str::from_utf8(&rest[..end]).ok()?;
    Some(format!("x264 - {version}"))
}

/// An AAC-LC encoder for one segment.
pub(crate) struct AacEncoder {
    encoder: Encoder,
    channels: usize,
}

impl AacEncoder {
    pub(crate) fn open(sample_rate: u32, channels: u16, bitrate: Bitrate) -> Result<Self, AvError> {
        let rate = c_int::try_from(sample_rate).map_err(|_| AvError::INVALID)?;
        // SAFETY: only plain fields are set; a default layout holds no pointer.
        let encoder = unsafe {
            Encoder::open(c"aac", &[], |context| {
                context.sample_rate = rate;
                context.sample_fmt = ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP;
                context.bit_rate = i64::try_from(bitrate.0).unwrap_or(128_000);
                context.time_base = ffi::AVRational { num: 1, den: rate };
                ffi::av_channel_layout_default(&raw mut context.ch_layout, c_int::from(channels));
            })?
        };
        Ok(Self { encoder, channels: usize::from(channels) })
    }

    /// The AudioSpecificConfig.
    pub(crate) fn config(&self) -> &[u8] {
        self.encoder.extradata()
    }

    /// Encodes one AAC frame of samples, given per channel, that begins at sample `pts`.
    pub(crate) fn send(&mut self, planes: &[&[f32]], pts: i64) -> Result<(), AvError> {
        let count = planes.first().map_or(0, |plane| plane.len());
        if planes.len() != self.channels || planes.iter().any(|plane| plane.len() != count) {
            return Err(AvError::INVALID);
        }
        let mut frame = Frame::empty()?;
        // SAFETY: libav allocates `channels` planes of `count` floats, into which exactly as many are copied.
        unsafe {
            let raw = frame.as_ptr();
            (*raw).format = ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP as c_int;
            (*raw).sample_rate = (*self.encoder.0).sample_rate;
            (*raw).nb_samples = c_int::try_from(count).map_err(|_| AvError::INVALID)?;
            check(ffi::av_channel_layout_copy(&raw mut (*raw).ch_layout, &raw const (*self.encoder.0).ch_layout))?;
            check(ffi::av_frame_get_buffer(raw, 0))?;
            for (at, plane) in planes.iter().enumerate() {
                ptr::copy_nonoverlapping(plane.as_ptr(), (*(*raw).extended_data.add(at)).cast::<f32>(), count);
            }
        }
        frame.set_pts(pts);
        self.encoder.send(Some(&frame))
    }

    /// The next AAC frame, with the time of its first sample.
    pub(crate) fn receive(&mut self, packet: &mut Packet) -> Result<Option<()>, AvError> {
        self.encoder.receive(packet)
    }
}
