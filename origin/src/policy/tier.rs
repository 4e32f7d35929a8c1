//! Where the octets of an answer came from, told in RFC 9211's way and in a browser's.

use std::ops::Range;

use http::HeaderName;

use crate::body::Content;

/// Where the octets came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// Nowhere: the answer has none.
    Unread,
    /// Memory.
    Memory,
    /// A local file.
    Disk,
    /// A bucket, at least in part.
    Bucket,
    /// They were made from the presentation.
    Rendered,
    /// The same, and they are not kept.
    RenderedOnce,
    /// They were not encoded yet when they were asked for.
    Awaited,
}

impl Tier {
    /// Where the octets `range` of `content` come from.
    pub(crate) fn of(content: &Content, range: Range<u64>) -> Self {
        match content {
            Content::File(..) => Self::Disk,
            content if content.is_at_hand(range) => Self::Memory,
            _ => Self::Bucket,
        }
    }

    /// Where they come from when they are asked for again.
    pub(crate) fn of_kept(content: &Content) -> Self {
        match content {
            Content::None => Self::Unread,
            Content::File(..) | Content::Download(..) => Self::Disk,
            Content::Memory(_) | Content::Blocks(..) | Content::Growing(_) => Self::Memory,
        }
    }

    /// The headers that tell it.
    pub(crate) fn headers(self) -> [(HeaderName, &'static str); 3] {
        let (status, timing) = match self {
            Self::Unread => ("headwater; hit", "tier;desc=\"none\""),
            Self::Memory => ("headwater; hit", "tier;desc=\"memory\""),
            Self::Disk => ("headwater; hit; detail=disk", "tier;desc=\"disk\""),
            Self::Bucket => ("headwater; fwd=uri-miss; stored", "tier;desc=\"bucket\""),
            Self::Rendered => ("headwater; fwd=uri-miss; stored; detail=rendered", "tier;desc=\"rendered\""),
            Self::RenderedOnce => ("headwater; fwd=uri-miss; detail=rendered", "tier;desc=\"rendered\""),
            Self::Awaited => ("headwater; fwd=uri-miss; stored; detail=encoded", "tier;desc=\"encoded\""),
        };
        [
            (HeaderName::from_static("cache-status"), status),
            (super::SERVER_TIMING, timing),
            (super::CMSD_DYNAMIC, "\"headwater\";rd=0"),
        ]
    }
}
