//! What was purged lately: an answer that was asked for before its purge, and comes after it, is not kept.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Purges that are remembered. What was asked for before the oldest of them is not kept when it comes.
const REMEMBERED_MAX: usize = 256;

/// What a purge is for.
pub(super) enum Scope {
    /// Answers that carry one of these tags.
    Tags(HashSet<Box<[u8]>>),
    /// Everything.
    All,
}

impl Scope {
    /// Whether it is for an answer with these tags.
    pub(super) fn covers(&self, tags: &[&[u8]]) -> bool {
        match self {
            Self::All => true,
            Self::Tags(purged) => tags.iter().any(|tag| purged.contains(*tag)),
        }
    }
}

/// A moment among purges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(u64);

#[derive(Default)]
struct Remembered {
    count: u64,
    /// The latest, the oldest of them first.
    scopes: VecDeque<std::sync::Arc<Scope>>,
}

/// The purges of one edge.
#[derive(Default)]
pub(super) struct Purges(Mutex<Remembered>);

impl Purges {
    fn lock(&self) -> MutexGuard<'_, Remembered> {
        // What is remembered is whole after every statement but two, between which nothing can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present.
    pub(super) fn moment(&self) -> Moment {
        Moment(self.lock().count)
    }

    /// Remembers a purge. To be called before what is kept is looked through.
    pub(super) fn remember(&self, scope: std::sync::Arc<Scope>) {
        let mut remembered = self.lock();
        remembered.count += 1;
        remembered.scopes.push_back(scope);
        if remembered.scopes.len() > REMEMBERED_MAX {
            remembered.scopes.pop_front();
        }
    }

    /// Whether an answer with these tags, which was asked for at `moment`, has been purged since.
    pub(super) fn have_reached(&self, moment: Moment, tags: &[&[u8]]) -> bool {
        let remembered = self.lock();
        let since = usize::try_from(remembered.count - moment.0).unwrap_or(usize::MAX);
        if since > remembered.scopes.len() {
            return true;
        }
        remembered.scopes.iter().rev().take(since).any(|scope| scope.covers(tags))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn scope(tags: &[&str]) -> Arc<Scope> {
        Arc::new(Scope::Tags(tags.iter().map(|tag| tag.as_bytes().into()).collect()))
    }

    fn reached(purges: &Purges, moment: Moment, tags: &str) -> bool {
        purges.have_reached(moment, &tags.as_bytes().split(|octet| *octet == b' ').collect::<Vec<_>>())
    }

    #[test]
    fn what_was_asked_for_before_its_purge_is_known() {
        let purges = Purges::default();
        let first = purges.moment();
        assert!(!reached(&purges, first, "a b"));
        purges.remember(scope(&["b", "c"]));
        let second = purges.moment();
        assert!(reached(&purges, first, "a b") && !reached(&purges, first, "a") && !reached(&purges, first, ""));
        assert!(!reached(&purges, second, "a b"), "it was asked for behind the purge");
        purges.remember(Arc::new(Scope::All));
        assert!(reached(&purges, second, "") && !reached(&purges, purges.moment(), "b"));
    }

    #[test]
    fn what_is_older_than_all_that_is_remembered_counts_as_purged() {
        let purges = Purges::default();
        let first = purges.moment();
        purges.remember(scope(&["x"]));
        let second = purges.moment();
        for _ in 0..REMEMBERED_MAX {
            purges.remember(scope(&["y"]));
        }
        assert!(reached(&purges, first, "a") && !reached(&purges, second, "a"));
    }
}
