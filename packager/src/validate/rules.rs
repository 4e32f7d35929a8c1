//! The rules by name.

/// How binding a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Players are hindered by it sooner or later, and it is never published.
    Must,
    /// Some players or viewers are served worse.
    Should,
}

impl Level {
    /// `MUST` or `SHOULD`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
        }
    }
}

/// A rule with its name, which never changes.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub id: &'static str,
    /// How binding it is.
    pub level: Level,
    /// Where it is written: RFC 8216 or its successor, Apple's authoring specification (APL), or another standard.
    pub source: &'static str,
    /// What to do about a breach.
    pub advice: &'static str,
}

macro_rules! rules {
    ($($visibility:vis $name:ident = $id:literal, $level:ident, $source:literal, $advice:literal;)*) => {
        $(#[doc = $advice] $visibility static $name: Rule =
            Rule { id: $id, level: Level::$level, source: $source, advice: $advice };)*

        /// Every rule.
        pub static ALL: &[&Rule] = &[$(&$name),*];
    };
}

rules! {
    pub(super) UTF8 = "playlist.utf8", Must, "RFC 8216 4.1", "Write UTF-8 without byte order mark and control characters.";
    pub(super) EXTM3U = "playlist.extm3u", Must, "RFC 8216 4.3.1.1", "Begin the playlist with #EXTM3U.";
    pub(super) KIND = "playlist.kind", Must, "RFC 8216 4.1", "List either renditions or segments in one playlist.";
    pub(super) VERSION = "playlist.version", Must, "RFC 8216 7", "State the version that the tags in use need, once.";
    pub(super) ONCE = "playlist.once", Must, "RFC 8216 4.3", "Write the tag once.";
    pub(super) ATTRIBUTES = "playlist.attributes", Must, "RFC 8216 4.2", "Write NAME=value,NAME=\"value\" with the type that the attribute has, each name once.";
    pub(super) URI = "playlist.uri", Must, "RFC 8216 4.1", "Write a URI without spaces behind the tag that needs one.";

    pub(super) BANDWIDTH = "multivariant.bandwidth", Must, "RFC 8216 4.3.4.2", "State BANDWIDTH in bits per second.";
    pub(super) AVERAGE_BANDWIDTH = "multivariant.average-bandwidth", Must, "APL 9.14", "State AVERAGE-BANDWIDTH, not above BANDWIDTH.";
    pub(super) CODECS = "multivariant.codecs", Must, "APL 9.1", "State all codecs, each in full.";
    pub(super) RESOLUTION = "multivariant.resolution", Must, "APL 9.2", "State RESOLUTION of what has a picture, and only of that.";
    pub(super) FRAME_RATE = "multivariant.frame-rate", Must, "APL 9.15", "State FRAME-RATE, at most 60.";
    pub(super) GROUPS = "multivariant.groups", Must, "RFC 8216 4.3.4.2", "Name groups that EXT-X-MEDIA tags of that type make.";
    pub(super) MEDIA = "multivariant.media", Must, "RFC 8216 4.3.4.1", "Give EXT-X-MEDIA the attributes that its TYPE needs, and no others.";
    pub(super) GROUP_MEMBERS = "multivariant.group-members", Must, "RFC 8216 4.3.4.1.1", "Give members of a group different names, one default, and all groups of a type the same members.";
    pub(super) LANGUAGE = "multivariant.language", Must, "APL 8.10", "State LANGUAGE, und where it is not known.";
    pub(super) CAPTIONS = "multivariant.captions", Must, "RFC 8216 4.3.4.2", "Say CLOSED-CAPTIONS=NONE on all variants or on none.";
    pub(super) SCORE = "multivariant.score", Must, "APL 9.19", "State SCORE on all variants or on none.";
    pub(super) STABLE_ID = "multivariant.stable-id", Must, "RFC 8216bis 4.4.6.2", "Use letters, digits and +/=.-_ in stable ids, and the same for the same URI.";
    pub(super) SESSION_DATA = "multivariant.session-data", Must, "RFC 8216 4.3.4.4", "Give session data an id, and either a value or a URI.";
    pub(super) VIDEO_RANGE = "multivariant.video-range", Must, "APL 9.16", "State VIDEO-RANGE on all variants with a picture unless all are SDR.";
    pub(super) IFRAMES = "multivariant.iframes", Must, "APL 6.1", "Add I-frame playlists for fast forward and rewind.";
    pub(super) INDEPENDENT = "multivariant.independent", Should, "APL 9.11", "Add EXT-X-INDEPENDENT-SEGMENTS once every segment begins with a key frame.";
    pub(super) FIRST_VARIANT = "multivariant.first-variant", Should, "APL 1.32", "List the variant nearest to 2 Mb/s first.";
    pub(super) SEVERAL = "multivariant.several", Should, "APL 9.9", "Offer several bit rates.";
    pub(super) ASPECT = "multivariant.aspect", Should, "APL 1.33", "Give all variants the same shape.";

    pub(super) TARGET_DURATION = "media.target-duration", Must, "RFC 8216 4.3.3.1", "State EXT-X-TARGETDURATION, not below any duration rounded to the nearest second.";
    pub(super) TARGET_SIX = "media.target-six", Should, "APL 7.5", "Make segments of about 6 s.";
    pub(super) EXTINF = "media.extinf", Must, "RFC 8216 4.3.2.1", "Put EXTINF with a positive duration before every segment.";
    pub(super) ENDLIST = "media.endlist", Must, "RFC 8216 4.3.3.4", "End the playlist with EXT-X-ENDLIST.";
    pub(super) PLAYLIST_TYPE = "media.playlist-type", Must, "APL 8.6", "Say EXT-X-PLAYLIST-TYPE:VOD.";
    pub(super) MAP = "media.map", Must, "APL 8.20", "Name the initialization segment by EXT-X-MAP before the first segment.";
    pub(super) BYTERANGE = "media.byterange", Must, "RFC 8216 4.3.2.2", "Give a byte range an offset, or the same file just before it.";
    pub(super) EMPTY = "media.empty", Must, "RFC 8216 4.3.3", "List at least one segment.";
    pub(super) START = "media.start", Must, "RFC 8216 4.3.5.2", "Keep TIME-OFFSET within the playlist.";
    pub(super) DATERANGE = "media.daterange", Must, "RFC 8216 4.3.2.7", "Give date ranges an ID and a START-DATE, and the playlist EXT-X-PROGRAM-DATE-TIME.";
    pub(super) KEY = "media.key", Must, "RFC 8216 4.3.2.4", "Give EXT-X-KEY a METHOD that there is, and unless that is NONE a URI, an IV of 128 bits if any, and versions such as 1/2; state the IV where it applies to EXT-X-MAP.";
    pub(super) IFRAMES_ONLY = "media.iframes-only", Must, "APL 6.8", "Say EXT-X-I-FRAMES-ONLY in I-frame playlists, and only there.";

    pub(super) SAME_TARGET = "across.target-duration", Must, "APL 8.2", "Give picture and sound the same target duration.";
    pub(super) SAME_DURATION = "across.duration", Must, "APL 8.3", "Make all renditions of the picture equally long.";
    pub(super) TRACK_LENGTH = "across.track-length", Should, "APL 2.15", "Let picture, sound and subtitles last equally long; where the source does not, its end is silent or dark.";
    pub(super) SAME_RANGE = "across.time-range", Must, "APL 8.7", "Let all renditions begin at the same time.";
    pub(super) ALIGNMENT = "across.alignment", Should, "APL 8.22", "Cut all renditions at the same places.";
    pub(super) DISCONTINUITIES = "across.discontinuities", Must, "APL 8.15", "Put discontinuities at the same places in all renditions.";
    pub(super) PEAK = "across.peak", Must, "APL 1.27", "State as BANDWIDTH what was measured: the peak of the dearest combination.";
    pub(super) PEAK_LOW = "across.peak-overstated", Should, "APL 1.27", "State as BANDWIDTH what was measured: players take a lower quality than they could.";
    pub(super) AVERAGE = "across.average", Must, "APL 1.26", "State as AVERAGE-BANDWIDTH what was measured.";
    pub(super) PEAK_TO_AVERAGE = "across.peak-to-average", Should, "APL 1.30", "Keep the peak within twice the average.";

    pub(super) BOXES = "segment.boxes", Must, "ISO/IEC 14496-12", "Deliver whole segments: boxes do not fit together.";
    pub(super) INIT = "segment.init", Must, "ISO/IEC 14496-12 8.3", "Deliver an initialization segment with one track.";
    pub(super) TRACK_ID = "segment.track", Must, "ISO/IEC 14496-12 8.8.7", "Use segments of the track that the initialization segment describes.";
    pub(super) TFDT = "segment.tfdt", Must, "APL 7.3", "Let every fragment begin where the one before it ends.";
    pub(super) DURATION = "segment.extinf", Must, "APL 8.1", "State the real duration as EXTINF.";
    pub(super) IDR = "segment.idr", Must, "APL 7.4", "Begin every segment with an IDR picture.";
    pub(super) CODEC = "segment.codecs", Must, "APL 9.1", "State the codec that the bitstream has.";
    pub(super) SIZE = "segment.resolution", Must, "APL 9.2", "State the size that the bitstream has.";
    pub(super) IFRAME_RANGE = "segment.iframe-range", Must, "APL 6.10", "Let the range of an I-frame begin with its moof and hold all of it.";
    pub(super) TS_SYNC = "ts.sync", Must, "ISO/IEC 13818-1 2.4.3.2", "Deliver whole packets of 188 octets that begin with 0x47.";
    pub(super) TS_PAT = "ts.pat", Must, "RFC 8216 3.2", "Begin a segment with PAT and PMT, or name them by EXT-X-MAP.";
    pub(super) TS_CONTINUITY = "ts.continuity", Must, "ISO/IEC 13818-1 2.4.3.3", "Let continuity counters rise by one.";
    pub(super) TS_PTS = "ts.pts", Must, "APL 7.1", "Give pictures time stamps that go on where the segment before ends.";
    pub(super) VTT = "vtt.syntax", Must, "WebVTT 4", "Write WebVTT: header, blank line, times in order, text.";
    pub(super) VTT_MAP = "vtt.timestamp-map", Must, "APL 5.3", "Put X-TIMESTAMP-MAP with MPEGTS and LOCAL behind the header.";

    pub KEY_OPENS = "segment.key", Must, "RFC 8216 5", "Serve a key of 16 octets that opens the segments behind it.";
    pub HTTP_STATUS = "http.status", Must, "RFC 8216 6.2", "Serve every file that a playlist names.";
    pub HTTP_REDIRECT = "http.redirect", Must, "APL 8.18", "Serve it where the playlist says, without a redirect.";
    pub HTTP_TYPE = "http.content-type", Must, "APL 10.4", "Serve it with the media type of what it is.";
    pub HTTP_CODING = "http.gzip", Should, "APL 10.1", "Serve playlists with Content-Encoding: gzip to those who accept it.";
}
