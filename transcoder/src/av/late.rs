//! libav is loaded by the child that needs it, not with the program (ADR 47).
//!
//! Every function of libav that this crate calls, by itself or through the bindings, is defined here: a jump
//! through a table that [`load`] fills. So the linker finds them all and names no library of libav in the program,
//! and the server, which never calls them, does not map the hundred and sixty libraries that they pull in.
//! A function that is missing below is still linked as ever, and the whole of libav comes back at every start: the
//! tests of the program look for that.
#![expect(unsafe_code, reason = "jumps to functions that are looked up by name")]

use std::ffi::{CString, c_int, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use ffmpeg_next::ffi;

/// What the table is aligned to and takes: a page, whatever the kernel's pages are.
#[cfg(target_arch = "x86_64")]
const PAGE_BYTES: usize = 4096;
#[cfg(target_arch = "aarch64")]
const PAGE_BYTES: usize = 65536;

/// Octets of an address in the table.
const ADDRESS_BYTES: usize = size_of::<AtomicPtr<()>>();

/// Why libav cannot be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum LoadError {
    #[error("libav cannot be loaded: {0}")]
    Library(String),
    #[error("{library} has no {function}: it is another version than this program was built for")]
    Function { library: String, function: &'static str },
    #[error("the addresses of libav's functions cannot be protected: {0}")]
    Protection(String),
}

/// The addresses of the functions; not to be written to once they are known.
#[cfg_attr(target_arch = "x86_64", repr(C, align(4096)))]
#[cfg_attr(target_arch = "aarch64", repr(C, align(65536)))]
struct Table([AtomicPtr<()>; SLOTS.len()]);

/// Loads libav, for the whole life of the process. Call it first thing, while there is one thread and files can be
/// opened.
///
/// The libraries are those whose headers this program was built with: their major version is in their names, and the
/// same functions and structures are in all that share one.
pub(crate) fn load() -> Result<(), LoadError> {
    static LOADED: OnceLock<Result<(), LoadError>> = OnceLock::new();
    LOADED.get_or_init(|| fill().and_then(|()| protect())).clone()
}

fn fill() -> Result<(), LoadError> {
    for (library, major, slots) in libraries() {
        let name = format!("lib{library}.so.{major}");
        let c_name = CString::new(name.clone()).unwrap_or_default();
        // SAFETY: the name is terminated. What the libraries do when they are loaded they did at the start before.
        let handle = unsafe { libc::dlopen(c_name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL) };
        if handle.is_null() {
            return Err(LoadError::Library(reason(&name)));
        }
        for &slot in slots {
            let function = SLOTS[slot as usize];
            let c_function = CString::new(function).unwrap_or_default();
            // SAFETY: the library is loaded, and never unloaded; the name is terminated.
            let address = unsafe { libc::dlsym(handle, c_function.as_ptr()) };
            if address.is_null() {
                return Err(LoadError::Function { library: name, function });
            }
            TABLE.0[slot as usize].store(address.cast(), Ordering::Relaxed);
        }
    }
    Ok(())
}

/// What the loader says of its last failure.
fn reason(name: &str) -> String {
    // SAFETY: the text is the loader's, and stays until it is called again by this thread.
    let text = unsafe { super::text(libc::dlerror()) };
    text.unwrap_or_else(|| format!("{name} is not there"))
}

/// As the linker's own table is: a decoder that was taken over turns no call into another.
fn protect() -> Result<(), LoadError> {
    let table = (&raw const TABLE).cast_mut().cast::<c_void>();
    // SAFETY: the pages hold the table and nothing else; it is only read from here on.
    let outcome = unsafe { libc::mprotect(table, size_of::<Table>(), libc::PROT_READ) };
    if outcome == 0 { Ok(()) } else { Err(LoadError::Protection(std::io::Error::last_os_error().to_string())) }
}

/// Ends the process: there is nobody to tell a missing function of libav.
fn missing(function: &str) -> ! {
    use std::io::Write;
    // The log is the last resort: if it cannot be written, the signal must do.
    let _ = writeln!(std::io::stderr(), "{function} of libav was called before libav was loaded");
    std::process::abort()
}

const _: () = assert!(size_of::<Table>() == PAGE_BYTES, "the table takes whole pages of its own");

macro_rules! functions {
    ($($library:ident $major:ident { $($function:ident)+ })+) => {
        /// A place in the table.
        #[expect(non_camel_case_types, reason = "named as the functions are")]
        #[derive(Clone, Copy)]
        enum Slot { $($($function,)+)+ }

        /// The functions in the order of their places.
        const SLOTS: &[&str] = &[$($(stringify!($function),)+)+];

        /// Until libav is loaded, each place holds the address of what says that it is not.
        static TABLE: Table = Table([$($({
            extern "C" fn not_loaded() -> ! {
                missing(stringify!($function))
            }
            AtomicPtr::new(not_loaded as *const () as *mut ())
        },)+)+]);

        /// Libraries, the major version of each, and what is used of them; what others need comes first.
        fn libraries() -> impl Iterator<Item = (&'static str, c_int, &'static [Slot])> {
            [$((stringify!($library), ffi::$major, &[$(Slot::$function),+][..])),+].into_iter()
        }

        /// What the linker finds. Arguments and results are left where they are. Hidden, so that the libraries do not
        /// find them, too: their own calls need no detour.
        mod entries {
            $($(
                #[unsafe(naked)]
                #[unsafe(no_mangle)]
                unsafe extern "C" fn $function() {
                    #[cfg(target_arch = "x86_64")]
                    core::arch::naked_asm!(
                        concat!(".hidden ", stringify!($function)),
                        "jmp qword ptr [rip + {table} + {at}]",
                        table = sym super::TABLE,
                        at = const super::Slot::$function as usize * super::ADDRESS_BYTES,
                    );
                    #[cfg(target_arch = "aarch64")]
                    core::arch::naked_asm!(
                        concat!(".hidden ", stringify!($function)),
                        "adrp x16, {table} + {at}",
                        "ldr x16, [x16, :lo12:{table} + {at}]",
                        "br x16",
                        table = sym super::TABLE,
                        at = const super::Slot::$function as usize * super::ADDRESS_BYTES,
                    );
                }
            )+)+
        }
    };
}

functions! {
    avutil LIBAVUTIL_VERSION_MAJOR {
        av_channel_layout_copy
        av_channel_layout_default
        av_channel_layout_from_mask
        av_color_primaries_from_name
        av_color_primaries_name
        av_color_range_name
        av_color_space_from_name
        av_color_space_name
        av_color_transfer_from_name
        av_color_transfer_name
        av_dict_free
        av_dict_get
        av_dict_set
        av_frame_alloc
        av_frame_free
        av_frame_get_buffer
        av_frame_get_side_data
        av_frame_ref
        av_frame_remove_side_data
        av_frame_unref
        av_freep
        av_get_pix_fmt
        av_get_pix_fmt_name
        av_log_set_level
        av_malloc
        av_max_alloc
        av_opt_set_dict
        av_strdup
        av_strerror
        av_version_info
    }
    swresample LIBSWRESAMPLE_VERSION_MAJOR {
        swr_alloc_set_opts2
        swr_convert
        swr_free
        swr_get_delay
        swr_get_out_samples
        swr_init
        swr_inject_silence
        swr_set_compensation
    }
    swscale LIBSWSCALE_VERSION_MAJOR {
        sws_freeContext
        sws_getCoefficients
        sws_getContext
        sws_scale
        sws_setColorspaceDetails
    }
    avcodec LIBAVCODEC_VERSION_MAJOR {
        av_packet_alloc
        av_packet_free
        av_packet_get_side_data
        av_packet_unref
        avcodec_alloc_context3
        avcodec_decode_subtitle2
        avcodec_descriptor_get
        avcodec_find_decoder
        avcodec_find_decoder_by_name
        avcodec_find_encoder_by_name
        avcodec_flush_buffers
        avcodec_free_context
        avcodec_get_name
        avcodec_open2
        avcodec_parameters_alloc
        avcodec_parameters_free
        avcodec_parameters_from_context
        avcodec_parameters_to_context
        avcodec_receive_frame
        avcodec_receive_packet
        avcodec_send_frame
        avcodec_send_packet
        avsubtitle_free
    }
    avformat LIBAVFORMAT_VERSION_MAJOR {
        av_find_input_format
        av_read_frame
        av_seek_frame
        av_stream_get_side_data
        avformat_alloc_context
        avformat_close_input
        avformat_find_stream_info
        avformat_index_get_entries_count
        avformat_index_get_entry
        avformat_open_input
        avio_alloc_context
        avio_context_free
    }
    avfilter LIBAVFILTER_VERSION_MAJOR {
        av_buffersink_get_frame
        av_buffersrc_add_frame_flags
        avfilter_get_by_name
        avfilter_graph_alloc
        avfilter_graph_config
        avfilter_graph_create_filter
        avfilter_graph_free
        avfilter_graph_parse_ptr
        avfilter_inout_alloc
        avfilter_inout_free
        avfilter_link
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn libav_is_loaded_once_and_answers() {
        assert_eq!((load(), load()), (Ok(()), Ok(())));
        assert!(super::super::version().starts_with(|first: char| first.is_ascii_digit()));
        assert_eq!(super::super::codecs_missing(), [""; 0]);
    }

    #[test]
    fn a_library_that_is_not_there_is_named() {
        // SAFETY: the name is terminated.
        let handle = unsafe { libc::dlopen(c"libheadwater-has-no-such.so.1".as_ptr(), libc::RTLD_LAZY) };
        assert!(handle.is_null());
        let told = LoadError::Library(reason("libheadwater-has-no-such.so.1")).to_string();
        assert!(told.contains("libheadwater-has-no-such.so.1: cannot open"), "{told}");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a process that aborts is not this one, and is told so")]
    fn a_call_before_that_ends_the_process_and_names_the_function() {
        const NAME: &str = "av::late::tests::a_call_before_that_ends_the_process_and_names_the_function";
        // A second name, which no test has.
        const CALLS: &str = "calls-libav-before-it-is-loaded";
        if std::env::args().any(|argument| argument == CALLS) {
            super::super::version();
            std::process::exit(0);
        }
        let mut itself = Command::new(std::env::current_exe().unwrap());
        itself.args(["--exact", NAME, CALLS, "--nocapture"]);
        let told = itself.output().unwrap();
        let log = String::from_utf8_lossy(&told.stderr);
        assert!(!told.status.success() && log.contains("av_version_info of libav was called before"), "{log}");
    }
}
