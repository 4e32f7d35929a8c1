//! What finds are worth. Counted here and not in an engine: each tells which passages hold a word in one row, and
//! neither sorts or groups what a page does not show.
//!
//! The id of a passage is the number of its asset times [`PASSAGES`], plus its own, which tells the field.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::finds::Passages;
use super::index::{DESCRIPTION, PASSAGES, PEOPLE, TRANSCRIPTS};
use crate::pages::{Side, Way};

/// Where a word or a phrase is.
pub(super) struct Finds {
    /// The number of the term that it stands for; `None` if it must not be found.
    pub(super) term: Option<usize>,
    /// What finding it is worth.
    pub(super) worth: i64,
    /// By falling id.
    pub(super) passages: Passages,
}

/// An asset in which all is found that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ranked {
    /// What it is worth.
    pub(super) score: i64,
    /// The number of the asset.
    pub(super) document: i64,
}

/// What was found of a search.
pub(super) struct Ranking {
    /// The best first, and of equals the one with the highest number.
    pub(super) best: Vec<Ranked>,
    finds: Vec<Finds>,
}

impl Ranking {
    /// Of what is found of the terms 0 to `wanted`, and of what must not be.
    pub(super) fn of(finds: Vec<Finds>, wanted: usize) -> Self {
        let mut all: Option<Vec<Ranked>> = None;
        for term in 0..wanted {
            let found = worth(finds.iter().filter(|one| one.term == Some(term)));
            all = Some(match all {
                Some(before) => both(&before, &found),
                None => found,
            });
        }
        let mut best = all.unwrap_or_default();
        let unwanted = finds.iter().filter(|one| one.term.is_none()).flat_map(|one| &*one.passages);
        let unwanted: HashSet<i64> = unwanted.map(|id| id / PASSAGES).collect();
        best.retain(|one| !unwanted.contains(&one.document));
        best.sort_unstable_by_key(|one| Reverse((one.score, one.document)));
        Self { best, finds }
    }

    /// Those on one side of what has a score and a number, and which way they are read.
    pub(super) fn on(&self, side: Option<Side<(i64, i64)>>) -> (&[Ranked], Way) {
        let place = |one: &Ranked| (one.score, one.document);
        match side {
            None => (&self.best, Way::On),
            Some(Side::After(hit)) => (&self.best[self.best.partition_point(|one| place(one) >= hit)..], Way::On),
            Some(Side::Before(hit)) => (&self.best[..self.best.partition_point(|one| place(one) > hit)], Way::Back),
        }
    }

    /// Those of an asset's passages of transcripts in which most of the terms are said, at most `limit`.
    pub(super) fn said(&self, document: i64, limit: usize) -> Vec<i64> {
        let (first, end) = (document * PASSAGES + TRANSCRIPTS, (document + 1) * PASSAGES);
        let mut terms: BTreeMap<i64, BTreeSet<usize>> = BTreeMap::new();
        for (term, finds) in self.finds.iter().filter_map(|one| Some((one.term?, &one.passages))) {
            let from = finds.partition_point(|id| *id >= end);
            for id in finds[from..].iter().take_while(|id| **id >= first) {
                terms.entry(*id).or_default().insert(term);
            }
        }
        let mut said: Vec<(Reverse<usize>, i64)> = terms.iter().map(|(id, said)| (Reverse(said.len()), *id)).collect();
        said.sort_unstable();
        said.into_iter().take(limit).map(|(_, id)| id).collect()
    }
}

/// What one term is worth in each asset, where one of several words stands for it, by falling number.
fn worth<'a>(finds: impl Iterator<Item = &'a Finds>) -> Vec<Ranked> {
    let mut found: Vec<Ranked> = Vec::new();
    let mut words = 0;
    for Finds { worth, passages, .. } in finds {
        words += 1;
        let before = found.len();
        for id in &**passages {
            let (document, score) = (id / PASSAGES, worth * weight(*id));
            match found[before..].last_mut() {
                Some(last) if last.document == document => last.score = last.score.max(score),
                _ => found.push(Ranked { score, document }),
            }
        }
    }
    if words > 1 {
        found.sort_unstable_by_key(|one| Reverse((one.document, one.score)));
        found.dedup_by_key(|one| one.document);
    }
    found
}

/// What a passage is worth by its field.
fn weight(id: i64) -> i64 {
    match id % PASSAGES {
        ..PEOPLE => 8,
        PEOPLE..DESCRIPTION => 4,
        DESCRIPTION..TRANSCRIPTS => 2,
        _ => 1,
    }
}

/// What is in both, which are in order, and worth as much as in both.
fn both(some: &[Ranked], others: &[Ranked]) -> Vec<Ranked> {
    let mut others = others.iter().copied().peekable();
    let mut both = Vec::with_capacity(some.len().min(others.len()));
    for one in some {
        while others.next_if(|other| other.document > one.document).is_some() {}
        if let Some(other) = others.next_if(|other| other.document == one.document) {
            both.push(Ranked { score: one.score + other.score, document: one.document });
        }
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(term: i64, worth: i64, ids: &[i64]) -> Finds {
        Finds { term: usize::try_from(term).ok(), worth, passages: ids.to_vec().into() }
    }

    fn passage(document: i64, field: i64, number: i64) -> i64 {
        (document << 16) + (field << 13) + number
    }

    fn ranked(finds: Vec<Finds>, wanted: usize) -> Vec<(i64, i64)> {
        let ranking = Ranking::of(finds, wanted);
        ranking.best.into_iter().map(|one| (one.document, one.score)).collect()
    }

    #[test]
    fn a_term_is_worth_the_best_field_it_stands_in() {
        let ids = [passage(9, 3, 0), passage(8, 7, 1), passage(8, 4, 0), passage(7, 3, 0), passage(7, 0, 0)];
        assert_eq!(ranked(vec![found(0, 4, &ids)], 1), [(7, 32), (9, 8), (8, 4)]);
        assert_eq!(ranked(vec![found(0, 4, &[])], 1), []);
        assert_eq!(ranked(vec![], 1), []);
        assert_eq!(ranked(vec![], 0), []);
    }

    #[test]
    fn all_terms_have_to_be_there_and_none_of_the_unwanted() {
        let first = [passage(9, 0, 0), passage(6, 0, 0), passage(5, 3, 0), passage(4, 0, 0)];
        let second = [passage(8, 0, 0), passage(6, 1, 0), passage(5, 0, 0), passage(4, 0, 0)];
        let rows = || vec![found(0, 4, &first), found(1, 4, &second)];
        assert_eq!(ranked(rows(), 2), [(4, 64), (6, 48), (5, 40)]);
        let mut rows = rows();
        rows.push(found(-1, 0, &[passage(4, 7, 9)]));
        assert_eq!(ranked(rows, 2), [(6, 48), (5, 40)]);
        assert_eq!(ranked(vec![found(0, 4, &first)], 2), [], "nothing is found of the second");
    }

    #[test]
    fn of_several_words_for_a_term_the_best_counts() {
        let typed = found(0, 4, &[passage(5, 3, 0), passage(3, 0, 0)]);
        let near = found(0, 1, &[passage(6, 0, 0), passage(5, 0, 0), passage(3, 0, 0)]);
        assert_eq!(ranked(vec![typed, near], 1), [(3, 32), (6, 8), (5, 8)]);
    }

    #[test]
    fn the_passages_shown_are_those_in_which_most_is_said() {
        let said = |number| passage(5, 4, number);
        let first = [passage(6, 4, 0), said(3), said(2), said(1), passage(5, 0, 0), passage(4, 7, 8191)];
        let rows = vec![found(0, 4, &first), found(1, 4, &[said(3), passage(5, 1, 0)]), found(-1, 0, &[said(2)])];
        let ranking = Ranking::of(rows, 2);
        assert_eq!(ranking.said(5, 2), [said(3), said(1)]);
        assert_eq!(ranking.said(5, 9), [said(3), said(1), said(2)]);
        assert_eq!(ranking.said(4, 9), [passage(4, 7, 8191)]);
        assert!(ranking.said(7, 9).is_empty());
    }
}
