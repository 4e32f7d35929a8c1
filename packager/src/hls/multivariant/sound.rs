//! Audio groups: the same tracks in stereo and, where the source has more, in surround sound.

use domain::Language;
use domain::presentation::AudioRendition;

use super::super::Playlist;
use super::super::attribute::List;
use super::{Children, UNDETERMINED, unique};

const STEREO_GROUP: &str = "audio";
const SURROUND_GROUP: &str = "surround";

/// Channels of sound that every device plays.
const STEREO_CHANNELS: u16 = 2;

/// One audio group; never empty.
pub(super) struct Group<'a> {
    pub(super) id: &'static str,
    members: Vec<&'a AudioRendition>,
    /// Which member is played unless the viewer chooses otherwise.
    default: usize,
}

/// The groups of a presentation: none without sound, else stereo, and surround if there is any.
///
/// Every group has the same members (RFC 8216 §4.3.4.1.1): a track that is there in stereo alone is
/// in both. Renditions of one track have the same language and name.
pub(super) fn groups<'a>(audio: &[&'a AudioRendition]) -> Vec<Group<'a>> {
    let mut tracks: Vec<Vec<&AudioRendition>> = Vec::new();
    for rendition in audio {
        let same = |track: &&mut Vec<&AudioRendition>| track.iter().all(|other| is_same_track(other, rendition));
        match tracks.iter_mut().find(same) {
            Some(track) => track.push(rendition),
            None => tracks.push(vec![rendition]),
        }
    }
    let default = tracks.iter().position(|track| track.iter().any(|one| one.is_default)).unwrap_or(0);
    let members = |id, choose: fn(&[&'a AudioRendition]) -> Option<&'a AudioRendition>| Group {
        id,
        members: tracks.iter().filter_map(|track| choose(track)).collect(),
        default,
    };
    let stereo = members(STEREO_GROUP, |track| track.iter().copied().min_by_key(|one| one.channels));
    let surround = members(SURROUND_GROUP, |track| track.iter().copied().max_by_key(|one| one.channels));
    let has_surround = surround.members.iter().any(|one| one.channels > STEREO_CHANNELS);
    let is_needed = |group: &Group<'_>| !group.members.is_empty() && (group.id == STEREO_GROUP || has_surround);
    [stereo, surround].into_iter().filter(is_needed).collect()
}

/// True for two renditions of one track in different layouts.
fn is_same_track(a: &AudioRendition, b: &AudioRendition) -> bool {
    (&a.name, &a.language) == (&b.name, &b.language) && a.channels != b.channels
}

impl<'a> Group<'a> {
    /// Highest peak rate of any member.
    pub(super) fn peak(&self) -> u64 {
        self.members.iter().map(|one| one.peak_bitrate.0).max().unwrap_or(0)
    }

    /// Highest mean rate of any member.
    pub(super) fn mean(&self) -> u64 {
        self.members.iter().map(|one| one.average_bitrate.0).max().unwrap_or(0)
    }

    /// Codecs of all members, each once.
    pub(super) fn codecs(&self) -> Vec<&'a str> {
        let mut codecs: Vec<&str> = Vec::new();
        for rendition in &self.members {
            if !codecs.contains(&rendition.codecs.as_str()) {
                codecs.push(&rendition.codecs);
            }
        }
        codecs
    }

    /// The member that is played unless the viewer chooses otherwise.
    pub(super) fn default(&self) -> &'a AudioRendition {
        self.members[self.default]
    }

    pub(super) fn render(&self, out: &mut Playlist, children: &Children<'_>) {
        let names = unique(self.members.iter().map(|one| one.name.as_str()), "Audio");
        for (at, (rendition, name)) in self.members.iter().zip(names).enumerate() {
            let list = List::of("EXT-X-MEDIA")
                .plain("TYPE", "AUDIO")
                .quoted("GROUP-ID", self.id)
                .quoted("NAME", &name)
                .quoted("LANGUAGE", rendition.language.as_ref().map_or(UNDETERMINED, Language::tag))
                .yes_or_no("DEFAULT", at == self.default)
                .yes_or_no("AUTOSELECT", true)
                .quoted("CHANNELS", &rendition.channels.to_string());
            let id = rendition.id.as_str();
            out.line(list.quoted("STABLE-RENDITION-ID", id).quoted("URI", &children.uri(id, "playlist.m3u8")).finish());
        }
    }
}
