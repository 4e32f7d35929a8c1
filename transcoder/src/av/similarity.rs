//! How much pictures look like others: libav's `ssim`.
#![expect(unsafe_code, reason = "owner of AVFilterGraph")]

use std::ffi::{CStr, c_int};
use std::ptr;

use ffmpeg_next::ffi;

use super::{AvError, Frame, c_text, check};

/// Where the filter notes the similarity of the luma.
const NOTE: &CStr = c"lavfi.ssim.Y";

/// Compares pictures of one size and format with what they were made from.
pub(crate) struct Similarity {
    graph: *mut ffi::AVFilterGraph,
    /// Where pictures go in, and where their originals do.
    sources: [*mut ffi::AVFilterContext; 2],
    sink: *mut ffi::AVFilterContext,
}

// SAFETY: owned, and not tied to a thread.
unsafe impl Send for Similarity {}

impl Similarity {
    /// For pictures like `frame`.
    pub(crate) fn new(frame: &Frame) -> Result<Self, AvError> {
        let arguments = c_text(&format!(
            "video_size={}x{}:pix_fmt={}:time_base=1/1:pixel_aspect=1/1",
            frame.width(),
            frame.height(),
            frame.format()
        ));
        let mut this = Self { graph: ptr::null_mut(), sources: [ptr::null_mut(); 2], sink: ptr::null_mut() };
        // SAFETY: the graph owns all filters and is freed with `this`; names are terminated strings.
        unsafe {
            this.graph = ffi::avfilter_graph_alloc();
            if this.graph.is_null() {
                return Err(AvError::NO_MEMORY);
            }
            (*this.graph).nb_threads = 1;
            let mut compare = ptr::null_mut();
            let [picture, original] = &mut this.sources;
            add(this.graph, picture, (c"buffer", c"picture"), Some(&arguments))?;
            add(this.graph, original, (c"buffer", c"original"), Some(&arguments))?;
            add(this.graph, &mut compare, (c"ssim", c"compare"), None)?;
            add(this.graph, &mut this.sink, (c"buffersink", c"out"), None)?;
            check(ffi::avfilter_link(this.sources[0], 0, compare, 0))?;
            check(ffi::avfilter_link(this.sources[1], 0, compare, 1))?;
            check(ffi::avfilter_link(compare, 0, this.sink, 0))?;
            check(ffi::avfilter_graph_config(this.graph, ptr::null_mut()))?;
        }
        Ok(this)
    }

    /// Takes a picture and its original; both must have the same time, later than those before.
    pub(crate) fn send(&mut self, picture: &Frame, original: &Frame) -> Result<(), AvError> {
        self.put(0, Some(picture))?;
        self.put(1, Some(original))
    }

    /// No more pictures come.
    pub(crate) fn finish(&mut self) -> Result<(), AvError> {
        self.put(0, None)?;
        self.put(1, None)
    }

    /// The similarity of the next picture, from 0 to 1, in their order; `None` if it needs more.
    pub(crate) fn receive(&mut self) -> Result<Option<f64>, AvError> {
        let frame = Frame::empty()?;
        // SAFETY: both are live.
        match check(unsafe { ffi::av_buffersink_get_frame(self.sink, frame.as_ptr()) }) {
            Ok(_) => {
                let told = frame.note(NOTE).and_then(|text| text.parse::<f64>().ok());
                told.filter(|value| value.is_finite()).map(Some).ok_or(AvError::INVALID)
            }
            Err(AvError::AGAIN | AvError::EOF) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn put(&mut self, at: usize, frame: Option<&Frame>) -> Result<(), AvError> {
        let frame = frame.map_or(ptr::null_mut(), Frame::as_ptr);
        // SAFETY: the flag makes libav take its own reference, so the frame stays ours.
        let flags = ffi::AV_BUFFERSRC_FLAG_KEEP_REF as c_int;
        check(unsafe { ffi::av_buffersrc_add_frame_flags(self.sources[at], frame, flags) }).map(|_| ())
    }
}

/// Adds a filter, by what it is and what it is called here.
///
/// # Safety
/// `graph` is live.
unsafe fn add(
    graph: *mut ffi::AVFilterGraph,
    filter: &mut *mut ffi::AVFilterContext,
    (kind, name): (&CStr, &CStr),
    arguments: Option<&CStr>,
) -> Result<(), AvError> {
    // SAFETY: the caller's promise; a filter that is missing is null, which is refused.
    unsafe {
        let kind = ffi::avfilter_get_by_name(kind.as_ptr());
        if kind.is_null() {
            return Err(AvError(ffi::AVERROR_FILTER_NOT_FOUND));
        }
        let arguments = arguments.map_or(ptr::null(), CStr::as_ptr);
        check(ffi::avfilter_graph_create_filter(filter, kind, name.as_ptr(), arguments, ptr::null_mut(), graph))
            .map(|_| ())
    }
}

impl Drop for Similarity {
    fn drop(&mut self) {
        // SAFETY: the graph is ours, or null, and owns its filters.
        unsafe { ffi::avfilter_graph_free(&raw mut self.graph) };
    }
}
