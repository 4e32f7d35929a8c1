//! What the cage leaves to an engine, on one page: whoever takes over a decoder has this and no more.
//!
//! The limits of what a description of a source may say stand in [`domain::probe`], since the server
//! checks them again: 64 tracks, 16 channels, 384 kHz, 240 frames a second, 10 000 chapters.

use domain::ByteSize;

use crate::request::Work;

// Resources.

/// Descriptors the child may have open: the three standard ones and a few spare.
pub(super) const OPEN_FILES_MAX: u64 = 16;

/// Threads of one child. Counted by user, so it holds only where the child has a user namespace of its own.
pub(super) const THREADS_MAX: u64 = 256;

/// `nobody` on Debian.
pub(super) const NOBODY: u32 = 65_534;

const MIB: u64 = 1 << 20;

// Address space is more than memory: code takes 250 MiB of it, a thread's stack 8 and its arena 64. Of
// the 1155 MiB that the ladder of a 4K HDR source at 60 frames a second takes, 752 are memory; of the
// 859 MiB of a 1080p source, 509.

/// Address space for sound and text: 400 MiB are needed.
const MEMORY_SMALL: u64 = 1024 * MIB;

/// Address space for describing a source: what is kept of an index (24 hours at 60 frames a second are
/// 300 MiB), and the first pictures of a track of any size.
const MEMORY_PROBE: u64 = 2048 * MIB;

/// Address space for a picture, before any of the source's pixels.
const MEMORY_PICTURE_BASE: u64 = 1024 * MIB;

/// Address space for each pixel of the source: decoders hold up to 16 pictures for reference and one for
/// each thread, filters a few more, of one and a half to six bytes a pixel.
const MEMORY_BYTES_PER_PIXEL: u64 = 128;

/// Address space for a picture at most: what libav needs beyond it, a source does not get.
const MEMORY_PICTURE_MAX: u64 = 4096 * MIB;

/// Address space that one piece of work may use.
pub(crate) fn memory(work: &Work) -> ByteSize {
    let picture = |pixels: u64| {
        let bytes = MEMORY_PICTURE_BASE.saturating_add(pixels.saturating_mul(MEMORY_BYTES_PER_PIXEL));
        ByteSize(bytes.min(MEMORY_PICTURE_MAX))
    };
    match work {
        Work::Chunk(request) if request.rungs.iter().any(|rung| !rung.codec.is_h264()) => ByteSize(MEMORY_PICTURE_MAX),
        Work::Chunk(request) => picture(request.track.coded.pixels()),
        Work::Measure(request) => picture(request.picture.track.coded.pixels()),
        Work::Headers(_) => picture(0),
        Work::Pictures(request) => picture(request.track.coded.pixels()),
        Work::Preview(request) => picture(request.track.coded.pixels()),
        Work::Probe | Work::Reach(_) => ByteSize(MEMORY_PROBE),
        Work::Copy(_)
        | Work::CopyAudio(_)
        | Work::Audio(_)
        | Work::Loudness(_)
        | Work::Subtitles(_)
        | Work::SelfTest => ByteSize(MEMORY_SMALL),
    }
}

// System calls. What is not named here is answered with "operation not permitted".

/// Calls that are allowed whatever their arguments: all act on memory, threads of this process,
/// clocks, or descriptors that are already open.
pub(super) const ALLOWED: &[i64] = &[
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_close,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_gettid,
    libc::SYS_getpid,
];

/// Calls that do not exist, though the kernel has them. A filter cannot look into the arguments of
/// `clone3`; told that there is no such call, glibc falls back to `clone`.
pub(super) const ABSENT: &[i64] = &[libc::SYS_clone3];

/// A call that is allowed while all these arguments are as they should be.
pub(super) struct Guarded {
    pub(super) call: i64,
    pub(super) arguments: &'static [Argument],
}

/// The bits `mask` of argument number `index` are those of `value`.
pub(super) struct Argument {
    pub(super) index: u8,
    pub(super) mask: u64,
    pub(super) value: Value,
}

/// What an argument is compared with.
pub(super) enum Value {
    /// This number.
    Is(u64),
    /// The id of the child's own process.
    OwnProcess,
}

const fn bits(index: u8, mask: u64, value: u64) -> Argument {
    Argument { index, mask, value: Value::Is(value) }
}

const fn exactly(index: u8, value: u64) -> Argument {
    bits(index, u64::MAX, value)
}

const fn unsigned(flag: libc::c_int) -> u64 {
    flag.unsigned_abs() as u64
}

pub(super) const GUARDED: &[Guarded] = &[
    // Threads, not processes.
    Guarded {
        call: libc::SYS_clone,
        arguments: &[bits(0, unsigned(libc::CLONE_THREAD), unsigned(libc::CLONE_THREAD))],
    },
    // No memory that can be executed: whatever a taken-over decoder writes stays data.
    Guarded { call: libc::SYS_mmap, arguments: &[bits(2, unsigned(libc::PROT_EXEC), 0)] },
    Guarded { call: libc::SYS_mprotect, arguments: &[bits(2, unsigned(libc::PROT_EXEC), 0)] },
    // Thread names only.
    Guarded { call: libc::SYS_prctl, arguments: &[exactly(0, unsigned(libc::PR_SET_NAME))] },
    // A thread's own priority, which it can only lower.
    Guarded { call: libc::SYS_getpriority, arguments: &[exactly(0, libc::PRIO_PROCESS as u64), exactly(1, 0)] },
    Guarded { call: libc::SYS_setpriority, arguments: &[exactly(0, libc::PRIO_PROCESS as u64), exactly(1, 0)] },
    // Questions about a descriptor, as `File` asks them.
    Guarded { call: libc::SYS_fcntl, arguments: &[exactly(1, unsigned(libc::F_GETFL))] },
    // `abort` dies by a signal to itself; nobody else is signalled.
    Guarded { call: libc::SYS_tgkill, arguments: &[Argument { index: 0, mask: u64::MAX, value: Value::OwnProcess }] },
];

// What libav may use.

/// Demuxers, by libav's names. Those that read other files (hls, concat, dash, image2) are not among them.
pub(crate) const DEMUXERS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,flv,ogg,wav,mp3,flac,aac";

/// Protocols: none, since the source is read through a descriptor.
pub(crate) const PROTOCOLS: &str = "";

/// Decoders, by libav's names: what people upload, without the curiosities that make up most of
/// libav's attack surface.
pub(crate) const DECODERS: &str = "h264,hevc,libdav1d,av1,vp8,vp9,mpeg1video,mpeg2video,mpegvideo,mpeg4,msmpeg4v1,\
msmpeg4v2,msmpeg4,h263,h263p,flv,wmv1,wmv2,wmv3,vc1,theora,mjpeg,cinepak,svq1,svq3,prores,dnxhd,png,ffv1,huffyuv,\
ffvhuff,utvideo,rawvideo,qtrle,rpza,dvvideo,cfhd,vp6,vp6f,vp6a,\
aac,aac_latm,ac3,eac3,dca,truehd,mlp,mp1,mp1float,mp2,mp2float,mp3,mp3float,flac,alac,vorbis,opus,\
pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_u8,pcm_s8,pcm_f32le,pcm_f32be,pcm_f64le,pcm_f64be,\
pcm_mulaw,pcm_alaw,pcm_bluray,pcm_dvd,adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,adpcm_swf,amrnb,amrwb,wmav1,wmav2,\
nellymoser,speex,gsm,gsm_ms,\
subrip,srt,ass,ssa,webvtt,mov_text,text";

/// Largest single allocation libav may make.
pub(crate) const ALLOCATION_BYTES_MAX: usize = 512 << 20;

/// Bytes that libav may read to understand a source.
pub(crate) const PROBE_BYTES: u32 = 32 << 20;

/// Media time that libav may read to understand a source, in microseconds.
pub(crate) const ANALYZE_US: u32 = 10_000_000;

/// Index entries that are read of one stream, and packets whose times are kept: 24 hours at 60 frames
/// a second, with room.
pub(crate) const INDEX_ENTRIES_MAX: usize = 8_000_000;
