//! Which picture somebody chose to stand for an asset.

use serde::{Deserialize, Serialize};

use crate::PictureId;

/// What is to be the poster of an asset. Each choice has an id, and the younger one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum PosterChoice {
    /// The one that was found to be the best.
    Scored {
        /// The id of the choice.
        id: PictureId,
    },
    /// What is seen at a time.
    Time {
        /// The id of the choice.
        id: PictureId,
        /// When, in milliseconds on the timeline of the output.
        at_ms: i64,
    },
    /// A picture that was sent.
    Picture {
        /// The id of the picture.
        id: PictureId,
    },
}

impl PosterChoice {
    /// The id of the choice: of a picture that was sent, its own.
    pub fn id(&self) -> PictureId {
        match self {
            Self::Scored { id } | Self::Time { id, .. } | Self::Picture { id } => *id,
        }
    }

    /// The name of the file below the images of a generation; `None` for the one that was found to be the best, which
    /// has its name already. Another choice has another one, since addresses are kept for ever.
    pub fn file(&self) -> Option<String> {
        match self {
            Self::Scored { .. } => None,
            Self::Time { at_ms, .. } => Some(format!("{CHOSEN}{at_ms}.jpg")),
            Self::Picture { id } => Some(format!("{CHOSEN}{id}.jpg")),
        }
    }
}

/// What names of posters that were chosen begin with.
const CHOSEN: &str = "poster-";

/// Whether a file below the images of a generation is a poster that somebody chose.
pub fn is_chosen(file: &str) -> bool {
    file.starts_with(CHOSEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_has_a_file_of_its_own_and_reads_back() {
        let id = PictureId::from_u128(7);
        let all = [
            (PosterChoice::Scored { id }, None, r#"{"of":"scored","id":"pic_00000000000000000000000007"}"#),
            (
                PosterChoice::Time { id, at_ms: 1500 },
                Some("poster-1500.jpg"),
                r#"{"of":"time","id":"pic_00000000000000000000000007","at_ms":1500}"#,
            ),
            (
                PosterChoice::Picture { id },
                Some("poster-pic_00000000000000000000000007.jpg"),
                r#"{"of":"picture","id":"pic_00000000000000000000000007"}"#,
            ),
        ];
        for (choice, file, text) in all {
            assert_eq!(choice.file().as_deref(), file);
            assert!(file.is_none_or(is_chosen));
            assert_eq!(serde_json::to_string(&choice).unwrap(), text);
            assert_eq!((serde_json::from_str::<PosterChoice>(text).unwrap(), choice.id()), (choice, id));
        }
        assert!(!is_chosen("poster.jpg"));
    }
}
