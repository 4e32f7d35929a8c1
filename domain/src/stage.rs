//! How far an asset is on its way to those who may see it: drafts, reviews, what is shown.

use serde::{Deserialize, Serialize};

/// Where an asset stands between being made and being put away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Its owner works on it.
    Draft,
    /// It waits for somebody to look at it.
    Submitted,
    /// It may be shown.
    Approved,
    /// It may not be shown as it is.
    Rejected,
    /// It is shown.
    Published,
    /// It is shown to those who know of it, and stands in no list of a channel.
    Unlisted,
    /// It was shown, and is kept.
    Archived,
}

/// A way that there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is {from} cannot become {wanted}")]
pub struct IllegalStage {
    /// Where it stands.
    pub from: Stage,
    /// Where it was to go.
    pub wanted: Stage,
    /// Where it can go.
    pub allowed: Vec<Stage>,
}

impl Stage {
    /// Every stage, in the order of the way.
    pub const ALL: [Self; 7] =
        [Self::Draft, Self::Submitted, Self::Approved, Self::Rejected, Self::Published, Self::Unlisted, Self::Archived];

    /// The name used in the API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Submitted => "submitted",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Published => "published",
            Self::Unlisted => "unlisted",
            Self::Archived => "archived",
        }
    }

    /// The stage with this name; `None` for any other text.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == name)
    }

    /// Where it can go from here; without a review also from a draft to everybody.
    pub fn next(self, has_review: bool) -> Vec<Self> {
        let (ways, past_review): (&[Self], &[Self]) = match self {
            Self::Draft => (&[Self::Submitted], &[Self::Published, Self::Unlisted]),
            Self::Submitted => (&[Self::Draft, Self::Approved, Self::Rejected], &[Self::Published, Self::Unlisted]),
            Self::Approved => (&[Self::Draft, Self::Published, Self::Unlisted, Self::Archived], &[]),
            Self::Rejected => (&[Self::Draft, Self::Submitted], &[Self::Published, Self::Unlisted]),
            Self::Published => (&[Self::Draft, Self::Unlisted, Self::Archived], &[]),
            Self::Unlisted => (&[Self::Draft, Self::Published, Self::Archived], &[]),
            Self::Archived => (&[Self::Draft, Self::Published, Self::Unlisted], &[]),
        };
        let past_review = if has_review { &[] } else { past_review };
        ways.iter().chain(past_review).copied().collect()
    }

    /// Goes to another stage.
    ///
    /// # Errors
    /// [`IllegalStage`] if there is no way.
    pub fn to(self, wanted: Self, has_review: bool) -> Result<Self, IllegalStage> {
        let allowed = self.next(has_review);
        if allowed.contains(&wanted) { Ok(wanted) } else { Err(IllegalStage { from: self, wanted, allowed }) }
    }

    /// Where it stands when another file is in its place that nobody has looked at: what may be shown, or was, waits for
    /// a look again.
    #[must_use]
    pub fn with_unseen_file(self) -> Self {
        match self {
            Self::Draft | Self::Submitted | Self::Rejected => self,
            Self::Approved | Self::Published | Self::Unlisted | Self::Archived => Self::Submitted,
        }
    }

    /// Whether it is played in this stage.
    pub fn is_played(self) -> bool {
        matches!(self, Self::Published | Self::Unlisted)
    }

    /// Whether only somebody who reviews can put it into this stage.
    pub fn is_verdict(self) -> bool {
        matches!(self, Self::Approved | Self::Rejected)
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_a_review_nothing_is_shown_that_was_not_approved() {
        // All that can be reached from a draft without anybody's verdict.
        let mut reached = vec![Stage::Draft];
        let mut at = 0;
        while let Some(stage) = reached.get(at).copied() {
            for next in stage.next(true) {
                if !next.is_verdict() && !reached.contains(&next) {
                    reached.push(next);
                }
            }
            at += 1;
        }
        assert_eq!(reached, [Stage::Draft, Stage::Submitted]);
        assert_eq!(Stage::Draft.to(Stage::Published, false), Ok(Stage::Published));
    }

    #[test]
    fn what_may_be_shown_waits_for_a_look_again_when_its_file_is_another_one() {
        for stage in Stage::ALL {
            let next = stage.with_unseen_file();
            // From there nothing leads past a verdict.
            assert!(matches!(next, Stage::Draft | Stage::Submitted | Stage::Rejected), "{stage}");
            assert_eq!(next == stage, next.with_unseen_file() == stage, "{stage}");
        }
        assert_eq!(Stage::Rejected.with_unseen_file(), Stage::Rejected);
        assert_eq!(Stage::Archived.with_unseen_file(), Stage::Submitted);
    }

    #[test]
    fn a_way_that_there_is_not_tells_those_that_there_are() {
        let refused = Stage::Rejected.to(Stage::Published, true).unwrap_err();
        assert_eq!(refused.allowed, [Stage::Draft, Stage::Submitted]);
        assert_eq!(refused.to_string(), "what is rejected cannot become published");
        for stage in Stage::ALL {
            assert!(stage.to(stage, false).is_err(), "{stage} is no way to itself");
            assert!(
                stage == Stage::Draft || stage.next(true).contains(&Stage::Draft),
                "{stage} can be worked on again"
            );
            assert_eq!(Stage::from_name(stage.as_str()), Some(stage));
        }
        assert_eq!(Stage::from_name("gone"), None);
    }
}
