//! The source: recognised by its first bytes before libav sees it, opened as what it is and nothing else.

use std::fs::File;
use std::sync::Arc;

use domain::container::{self, Container};
use domain::{FailureCode, Resolution, plan};

use super::Stop;
use crate::av::{AvError, Input};
use crate::source_file::{Foresight, Growing, SourceFile};

/// Top-level boxes of an MP4 that are looked at.
const BOXES_MAX: usize = 100_000;

/// A recognised source, which can be opened any number of times.
pub(crate) struct Source {
    file: Arc<SourceFile>,
    pixels_max: u64,
    demuxer: &'static str,
    /// The container's name as people know it.
    pub(crate) container: &'static str,
    /// The container's index, where it has one, lists every packet of the source.
    pub(crate) is_indexed: bool,
    /// What the time stamps of the container may do.
    pub(crate) clock: Clock,
    /// Packets carry their time stamps, or their place tells them: behind a seek they are as exact as
    /// when read from the beginning.
    pub(crate) has_stamps_everywhere: bool,
    /// The index lists the packets of the picture alone.
    pub(crate) seeks_by_picture: bool,
}

/// What the time stamps of a container may do in its middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// They count frames or samples.
    Counts,
    /// They may run back where a recording or a copy began anew.
    StartsAnew,
    /// They may be set to anything.
    Jumps,
}

impl Source {
    /// Looks at the first bytes. Pictures of more than `pixels_max` will not be decoded.
    pub(crate) fn recognise(file: File, growing: Option<Growing>, pixels_max: u64) -> Result<Self, Stop> {
        let file = SourceFile::new(file, growing);
        let mut head = vec![0; container::HEAD_BYTES];
        let length = file.read_up_to(&mut head, 0).map_err(|_| Stop::Unreadable)?;
        head.truncate(length);
        let read = |offset: u64, buffer: &mut [u8]| file.read_up_to(buffer, offset).unwrap_or(0);
        let recognised = Container::recognise(&head, read);
        let container =
            if file.has_failed() { return Err(Stop::Unreadable) } else { recognised.map_err(Stop::Refused)? };
        let demuxer = demuxer(container);
        let is_indexed = {
            // Of a source that is still being written it is believed until it is all there.
            let _foresight = file.foresee();
            demuxer == "mov" && !has_fragments(&file)
        };
        Ok(Self {
            file: Arc::new(file),
            pixels_max,
            demuxer,
            container: container.as_str(),
            is_indexed,
            clock: clock(container),
            has_stamps_everywhere: matches!(demuxer, "mov" | "matroska" | "flv" | "mpegts" | "flac" | "wav"),
            seeks_by_picture: matches!(demuxer, "matroska" | "flv"),
        })
    }

    /// Opens the source anew, at its start.
    pub(crate) fn open(&self) -> Result<Input, Stop> {
        Input::open(Arc::clone(&self.file), self.demuxer, self.pixels_max).map_err(|error| self.unreadable(error))
    }

    /// Fails if some of the source could not be read: nothing that was made of it is believed then.
    pub(crate) fn check(&self) -> Result<(), Stop> {
        if self.file.has_failed() { Err(Stop::Unreadable) } else { Ok(()) }
    }

    /// True if the first `end` octets are there.
    pub(crate) fn is_there(&self, end: u64) -> bool {
        self.file.growing().is_none_or(|growing| end <= growing.there)
    }

    /// True if the source is still being written.
    pub(crate) fn is_growing(&self) -> bool {
        self.file.growing().is_some()
    }

    /// Has what is not there yet read as zeros for a while.
    pub(crate) fn foresee(&self) -> Foresight<'_> {
        self.file.foresee()
    }

    /// Refuses pictures that are too large to be decoded.
    pub(crate) fn check_size(&self, coded: Resolution) -> Result<(), Stop> {
        plan::check_pixels(coded, self.pixels_max).map_err(Stop::Refused)
    }

    /// Fills `buffer` from `offset` on; `false` if the source ends before.
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> bool {
        self.file.read_up_to(buffer, offset).is_ok_and(|length| length == buffer.len())
    }

    fn unreadable(&self, error: AvError) -> Stop {
        let container = self.container;
        if error == AvError::UNREADABLE {
            return Stop::Unreadable;
        }
        if error == AvError::NO_MEMORY {
            return Stop::refused(
                FailureCode::LimitExceeded,
                "the file needs more memory to be read than is allowed here",
            );
        }
        let hint = if self.demuxer == "mov" {
            "its index is missing or damaged, as happens when a recording or a copy was cut off"
        } else {
            "its head is damaged"
        };
        Stop::refused(FailureCode::Damaged, format!("the file looks like {container} but cannot be read: {hint}"))
    }
}

fn clock(container: Container) -> Clock {
    match container {
        Container::MpegTs | Container::MpegPs => Clock::Jumps,
        Container::Flv | Container::Matroska => Clock::StartsAnew,
        _ => Clock::Counts,
    }
}

/// libav's demuxer for a container.
fn demuxer(container: Container) -> &'static str {
    match container {
        Container::QuickTime | Container::Mp4 => "mov",
        Container::Matroska => "matroska",
        Container::Avi => "avi",
        Container::Wav => "wav",
        Container::Flv => "flv",
        Container::Ogg => "ogg",
        Container::Flac => "flac",
        Container::MpegPs => "mpeg",
        Container::MpegTs => "mpegts",
        Container::Mp3 => "mp3",
        Container::Aac => "aac",
    }
}

/// True if an MP4 has fragments, whose packets its index does not list.
fn has_fragments(file: &SourceFile) -> bool {
    let mut offset = 0u64;
    for _ in 0..BOXES_MAX {
        let mut header = [0; 16];
        let Ok(length) = file.read_up_to(&mut header, offset) else { return true };
        let Some((size, kind)) = header.first_chunk::<4>().zip(header.get(4..8)).filter(|_| length >= 8) else {
            return false;
        };
        if kind == b"moof" {
            return true;
        }
        let size = match u32::from_be_bytes(*size) {
            0 => return false,
            1 if length == 16 => header.last_chunk::<8>().map_or(0, |size| u64::from_be_bytes(*size)),
            size => u64::from(size),
        };
        match offset.checked_add(size) {
            Some(next) if size >= 8 => offset = next,
            _ => return false,
        }
    }
    true
}
