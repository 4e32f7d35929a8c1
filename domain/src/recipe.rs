//! Everything that decides the output bytes, and its hash.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::complexity::LadderProbe;
use crate::{Bitrate, Codec};

/// The encoder settings of one generation. Two equal recipes make equal segments of equal sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// Version of the encoding code itself; raised whenever the same settings give other bytes.
    pub version: u32,
    /// x264's preset.
    pub preset: String,
    /// x264's constant rate factor.
    pub crf: u8,
    /// Threads of each x264 encoder: part of the recipe, since VBV decisions depend on it. With more than one, x264
    /// 0.164 gives other octets from run to run (ADR 28).
    pub encoder_threads: u8,
    /// Bit rate of a stereo AAC track.
    pub audio_bitrate: Bitrate,
    /// Bit rate of a 5.1 AAC track.
    #[serde(default = "surround_bitrate")]
    pub surround_bitrate: Bitrate,
    /// Sample rate of every audio track, in Hz.
    pub audio_sample_rate: u32,
    /// The libraries that encode, with their versions: other ones may give other bytes. Empty in settings, and
    /// where it was not noted; a plan has those that its source was probed with.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub libraries: String,
    /// Pictures of sources that allow it are shown as they are, as the largest rendition.
    #[serde(default)]
    pub passthrough: bool,
    /// Sound of sources that allow it is played as it is.
    #[serde(default)]
    pub audio_passthrough: bool,
    /// Integrated loudness that every sound track is brought to ([`crate::loudness::gain`]), in LUFS: then sound is
    /// always encoded. `None` leaves it as loud as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loudness_target_lufs: Option<i8>,
    /// Whether a few GOPs are tried before the ladder is decided.
    #[serde(default, skip_serializing_if = "LadderProbe::is_off")]
    pub ladder_probe: LadderProbe,
    /// Structural similarity to the source that every H.264 rung is to have, in decibels ([`crate::per_title`]):
    /// then each gets a rate factor of its own, and `crf` only counts where none could be tried. `None` for the same
    /// factor everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_title_db: Option<u8>,
    /// Codecs in which every size is encoded besides H.264, in the order of the playlist; each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_codecs: Vec<ExtraCodec>,
}

/// A codec besides H.264, and how it is encoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtraCodec {
    /// The codec.
    pub codec: Codec,
    /// The encoder's preset, in its own words: x265's names, SVT-AV1's numbers.
    pub preset: String,
    /// The encoder's constant rate factor, on its own scale.
    pub crf: u8,
}

fn surround_bitrate() -> Bitrate {
    Bitrate(320_000)
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            version: 3,
            preset: "veryfast".into(),
            crf: 23,
            encoder_threads: 1,
            audio_bitrate: Bitrate(128_000),
            surround_bitrate: surround_bitrate(),
            audio_sample_rate: 48_000,
            libraries: String::new(),
            passthrough: true,
            audio_passthrough: true,
            loudness_target_lufs: None,
            ladder_probe: LadderProbe::Off,
            per_title_db: None,
            extra_codecs: Vec::new(),
        }
    }
}

/// Hash of a [`Recipe`]: the first 16 hexadecimal digits of SHA-256 over its JSON.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecipeId(String);

impl Recipe {
    /// Bit rate of an AAC track of this many channels.
    pub fn audio_bitrate_of(&self, channels: u16) -> Bitrate {
        if channels > 2 { self.surround_bitrate } else { self.audio_bitrate }
    }

    /// True if `current` would make something else of the same source, other things being equal.
    ///
    /// Libraries do not count: a new FFmpeg alone is no reason to encode everything again. Nor does it count that
    /// the pictures or the sound of a source had to be encoded although they might have been taken as they are.
    pub fn is_outdated_by(&self, current: &Self) -> bool {
        let made = Self {
            libraries: current.libraries.clone(),
            passthrough: current.passthrough,
            audio_passthrough: current.audio_passthrough,
            ..self.clone()
        };
        let is_taken_back =
            (self.passthrough && !current.passthrough) || (self.audio_passthrough && !current.audio_passthrough);
        made != *current || is_taken_back
    }

    /// Preset and constant rate factor of a codec; those of H.264 if the recipe has no others for it.
    pub fn coding(&self, codec: Codec) -> (&str, u8) {
        let extra = self.extra_codecs.iter().find(|extra| extra.codec == codec);
        extra.map_or((&self.preset, self.crf), |extra| (&extra.preset, extra.crf))
    }

    /// The name of this recipe.
    pub fn id(&self) -> RecipeId {
        let json = serde_json::to_vec(self).expect("a struct of numbers and text has a JSON form");
        let digest = Sha256::digest(json);
        RecipeId(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }
}

impl fmt::Display for RecipeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_from_before_surround_sound_still_reads() {
        let mut json = serde_json::to_value(Recipe::default()).expect("serialises");
        json.as_object_mut().expect("an object").remove("surround_bitrate");
        assert_eq!(serde_json::from_value::<Recipe>(json).expect("reads back"), Recipe::default());
    }

    #[test]
    fn a_recipe_from_before_sound_was_taken_over_encodes_it() {
        let mut json = serde_json::to_value(Recipe::default()).expect("serialises");
        json.as_object_mut().expect("an object").remove("audio_passthrough");
        let read = serde_json::from_value::<Recipe>(json).expect("reads back");
        assert!(read.passthrough && !read.audio_passthrough);
    }

    #[test]
    fn a_recipe_is_outdated_by_other_settings_and_not_by_another_library() {
        let (made, current) = (Recipe { libraries: "7.1".into(), ..Recipe::default() }, Recipe::default());
        assert!(!made.is_outdated_by(&current));
        assert!(made.is_outdated_by(&Recipe { crf: 20, ..current.clone() }));
        assert!(made.is_outdated_by(&Recipe { version: 4, ..current.clone() }));
        assert!(made.is_outdated_by(&Recipe { passthrough: false, ..current.clone() }));
        assert!(made.is_outdated_by(&Recipe { audio_passthrough: false, ..current.clone() }));
        assert!(made.is_outdated_by(&Recipe { per_title_db: Some(16), ..current.clone() }));
        assert!(made.is_outdated_by(&Recipe { loudness_target_lufs: Some(-16), ..current.clone() }));
        let encoded = Recipe { passthrough: false, audio_passthrough: false, ..made };
        assert!(!encoded.is_outdated_by(&current), "nothing of it could be taken as it is");
    }

    #[test]
    fn a_mode_that_is_off_leaves_the_name_of_a_recipe_as_it_was() {
        let json = serde_json::to_string(&Recipe::default()).expect("serialises");
        assert!(!json.contains("per_title") && !json.contains("loudness"), "{json}");
    }

    #[test]
    fn a_changed_setting_gives_another_recipe() {
        let default = Recipe::default();
        assert_eq!(default.id(), Recipe::default().id());
        assert_ne!(default.id(), Recipe { crf: 24, ..default.clone() }.id());
        assert_ne!(default.id(), Recipe { libraries: "5.1.9".into(), ..default.clone() }.id());
    }
}
