//! A chain of video filters.
#![expect(unsafe_code, reason = "owner of AVFilterGraph")]

use std::ffi::c_int;
use std::ptr;

use ffmpeg_next::ffi;

use super::{AvError, Frame, TimeBase, c_text, check};

/// A configured chain: frames in, frames out.
pub(crate) struct Graph {
    graph: *mut ffi::AVFilterGraph,
    source: *mut ffi::AVFilterContext,
    sink: *mut ffi::AVFilterContext,
    shape: Shape,
}

/// What a chain is configured for; another shape needs another chain.
type Shape = (u32, u32, c_int);

// SAFETY: owned, and not tied to a thread.
unsafe impl Send for Graph {}

fn shape_of(frame: &Frame) -> Shape {
    (frame.width(), frame.height(), frame.format())
}

impl Graph {
    /// The chain `filters` for frames like `frame`.
    pub(crate) fn new(frame: &Frame, time_base: TimeBase, filters: &str) -> Result<Self, AvError> {
        let shape = shape_of(frame);
        // One thread: the filters share two cores with the encoders, and slices would not change a byte.
        let arguments = c_text(&format!(
            "video_size={}x{}:pix_fmt={}:time_base={}/{}:pixel_aspect=1/1",
            shape.0, shape.1, shape.2, time_base.num, time_base.den
        ));
        let filters = c_text(filters);
        // SAFETY: the graph owns all filters; the in/out lists are freed by libav or below.
        unsafe {
            let mut graph =
                Self { graph: ffi::avfilter_graph_alloc(), source: ptr::null_mut(), sink: ptr::null_mut(), shape };
            if graph.graph.is_null() {
                return Err(AvError::NO_MEMORY);
            }
            (*graph.graph).nb_threads = 1;
            let (buffer, sink) =
                (ffi::avfilter_get_by_name(c"buffer".as_ptr()), ffi::avfilter_get_by_name(c"buffersink".as_ptr()));
            check(ffi::avfilter_graph_create_filter(
                &raw mut graph.source,
                buffer,
                c"in".as_ptr(),
                arguments.as_ptr(),
                ptr::null_mut(),
                graph.graph,
            ))?;
            check(ffi::avfilter_graph_create_filter(
                &raw mut graph.sink,
                sink,
                c"out".as_ptr(),
                ptr::null(),
                ptr::null_mut(),
                graph.graph,
            ))?;
            let (mut outputs, mut inputs) = (ffi::avfilter_inout_alloc(), ffi::avfilter_inout_alloc());
            if outputs.is_null() || inputs.is_null() {
                return Err(AvError::NO_MEMORY);
            }
            (*outputs).name = ffi::av_strdup(c"in".as_ptr());
            (*outputs).filter_ctx = graph.source;
            (*inputs).name = ffi::av_strdup(c"out".as_ptr());
            (*inputs).filter_ctx = graph.sink;
            let parsed = ffi::avfilter_graph_parse_ptr(
                graph.graph,
                filters.as_ptr(),
                &raw mut inputs,
                &raw mut outputs,
                ptr::null_mut(),
            );
            ffi::avfilter_inout_free(&raw mut inputs);
            ffi::avfilter_inout_free(&raw mut outputs);
            check(parsed)?;
            check(ffi::avfilter_graph_config(graph.graph, ptr::null_mut()))?;
            Ok(graph)
        }
    }

    /// True if the chain was made for frames like this one.
    pub(crate) fn fits(&self, frame: &Frame) -> bool {
        self.shape == shape_of(frame)
    }

    /// Puts a frame in; `None` ends the stream.
    pub(crate) fn send(&mut self, frame: Option<&Frame>) -> Result<(), AvError> {
        let frame = frame.map_or(ptr::null_mut(), Frame::as_ptr);
        // SAFETY: the flag makes libav take its own reference, so the frame stays ours.
        let flags = ffi::AV_BUFFERSRC_FLAG_KEEP_REF as c_int;
        check(unsafe { ffi::av_buffersrc_add_frame_flags(self.source, frame, flags) }).map(|_| ())
    }

    /// Takes a frame out; `None` if the chain needs more.
    pub(crate) fn receive(&mut self) -> Result<Option<Frame>, AvError> {
        let frame = Frame::empty()?;
        // SAFETY: both are live.
        match check(unsafe { ffi::av_buffersink_get_frame(self.sink, frame.as_ptr()) }) {
            Ok(_) => Ok(Some(frame)),
            Err(AvError::AGAIN | AvError::EOF) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: the graph is ours and owns its filters.
        unsafe { ffi::avfilter_graph_free(&raw mut self.graph) };
    }
}
